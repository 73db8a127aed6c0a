"""The contract of a solver and the errors of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from skinfluence.curvature import Curvature

Array = npt.NDArray[Any]


class SingularCurvatureError(np.linalg.LinAlgError):
    """The curvature has no inverse: the fitted model is not the only optimum."""


class Factor(Protocol):
    """A factorised curvature: a small picklable object.

    V : shape (n_params, k). B : columns of one block, shape (block_size, k).
    """

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (n_params, k)."""
        ...

    def quadratic(self, B: Array, block: int) -> Array:
        """Return b' H_block^-1 b of every column, shape (k,)."""
        ...

    def inverse(self) -> Array:
        """Return H^-1 as its diagonal blocks, shape (n_blocks, block_size, block_size)."""
        ...

    def inverse_diagonal(self) -> Array:
        """Return the diagonal of H^-1 on the complement of the gauge, (n_blocks, block_size)."""
        ...


def rough(factor: Factor) -> Callable[[Array], Array]:
    """Return a cheap map near V -> H^-1 V, positive definite as well: the solve, by default.

    A factor that iterates has its preconditioner for it, as a method `rough`.
    """
    cheap: Callable[[Array], Array] = getattr(factor, "rough", factor.solve)
    return cheap


@runtime_checkable
class Solver(Protocol):
    """A way to invert a curvature.

    `factorize` raises SingularCurvatureError where there is no inverse, ValueError where the
    curvature lacks what the solver needs, MemoryError *before* it allocates what cannot fit.
    """

    def factorize(self, curvature: Curvature) -> Factor:
        """Return the factor of a curvature."""
        ...
