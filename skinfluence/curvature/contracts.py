"""What is consumed of a curvature besides its products: square roots, and approximate inverses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from skinfluence.typing import Array


class Root(Protocol):
    """A block of F'' without its penalty as Z'Z, Z of shape (rank, block_size), in products."""

    @property
    def rank(self) -> int:
        """Rows of Z."""
        ...

    def dot(self, V: Array) -> Array:
        """Return Z V, shape (rank, k)."""
        ...

    def t_dot(self, U: Array) -> Array:
        """Return Z' U, shape (block_size, k)."""
        ...

    def gram(self, scale: Array) -> Array:
        """Return Z diag(scale) Z', shape (rank, rank), for a scale of shape (block_size,)."""
        ...


class Inverse(ABC):
    """Anything that solves with a matrix: a factor, or a preconditioner.

    Attributes
    ----------
    lower_bound : bool
        What this inverts is nowhere more than the curvature, and has an inverse beyond rounding:
        then the curvature has one. False unless it is known.
    """

    lower_bound: bool = False

    @abstractmethod
    def solve(self, V: Array) -> Array:
        """Return the inverse times V, shape (n_params, k), in the precision of V."""
