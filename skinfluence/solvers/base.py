"""The contract of a solver and the errors of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from skinfluence.curvature import Curvature

Array = npt.NDArray[Any]


class SingularCurvatureError(np.linalg.LinAlgError):
    """The curvature has no inverse: the fitted model is not the only optimum."""


@dataclass(frozen=True)
class Numerics:
    """How well a curvature was inverted, as far as that was cheap to tell.

    Attributes
    ----------
    damping : float
        On the diagonal of the curvature.
    rcond : float or None
        Estimated reciprocal condition number, after scaling to a unit diagonal; the smallest of
        the blocks.
    smallest_pivot : float or None
        Smallest entry of the diagonal of the factor (of D in L D L'), after the same scaling.
    n_negative : int or None
        Negative eigenvalues.
    residual : float or None
        Largest residual of all solves so far, relative to the right-hand side. Factors by rows
        that refine their solves tell that from before.
    n_products : int or None
        Products with the curvature so far, of however many columns.
    """

    damping: float
    rcond: float | None = None
    smallest_pivot: float | None = None
    n_negative: int | None = None
    residual: float | None = None
    n_products: int | None = None


class Factor(Protocol):
    """A factorised curvature: a small picklable object.

    V : shape (n_params, k). B : columns of one block, shape (block_size, k). Some have
    ``embed(V)``, shape (rank, k), with embed(A)' embed(B) = A' H^-1 B.
    """

    @property
    def numerics(self) -> Numerics:
        """How well this inverts."""
        ...

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


def expect(factor: Factor, k: int) -> None:
    """Tell a factor that decides by the number of right-hand sides how many a question has."""
    getattr(factor, "expect", lambda k: None)(k)


@runtime_checkable
class Solver(Protocol):
    """A way to invert a curvature.

    `factorize` raises SingularCurvatureError where there is no inverse, ValueError where the
    curvature lacks what the solver needs, MemoryError *before* it allocates what cannot fit.
    """

    def factorize(self, curvature: Curvature) -> Factor:
        """Return the factor of a curvature."""
        ...
