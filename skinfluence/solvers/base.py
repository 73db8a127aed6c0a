"""The contracts of a solver and of its factor, and the errors of all of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from skinfluence.curvature import Curvature, Inverse
from skinfluence.objectives import Objective
from skinfluence.process.memory import require_memory
from skinfluence.typing import Array

COLUMNS_AT_ONCE = 256
"""Columns that are solved for at once."""


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


class Factor(Inverse):
    """A factorised curvature: a small picklable object that solves. `solve` is all it must have.

    The other methods have defaults. Those that follow from `solve` need the `curvature`, which the
    constructor keeps, or that of a subclass; one that overrides all of them need not keep it.

    Conventions:

    - V : shape (n_params, k);
    - B : columns of one block, shape (block_size, k).

    Parameters
    ----------
    curvature : Curvature

    Attributes
    ----------
    approximate : bool
        The solves are close at most: no measure of how far a fit is from its minimum.
    iterates : bool
        `moved` costs next to nothing, and every solve is an iteration. Otherwise the factor is what
        costs, and serves nearby parameters as it is.
    numerics : Numerics or None
        How well this inverts; None where that is not known.
    """

    approximate: ClassVar[bool] = False
    iterates: ClassVar[bool] = False
    numerics: Numerics | None = None
    curvature: Curvature

    def __init__(self, curvature: Curvature) -> None:
        self.curvature = curvature

    @abstractmethod
    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (n_params, k); V has no part along `curvature.flat_shifts`."""

    @property
    def rcond(self) -> float | None:
        """Reciprocal condition number that bounds the digits solves lose; None: not known."""
        return None

    @property
    def reason(self) -> str | None:
        """Which solver answers, and why, where that is decided by what is asked."""
        return None

    # ------------------------------------------------------------------- cheaper than a solve

    def precondition(self, V: Array) -> Array:
        """Return about H^-1 V by a positive definite map, at the least cost: the solve, or less."""
        return self.solve(V)

    def prepare(self, n_columns: int) -> None:
        """Prepare for a question that takes so many right-hand sides, in whatever blocks."""
        return

    def moved(self, objective: Objective) -> Factor | None:
        """Return the factor at parameters nearby, keeping what is costly; None: factorise anew."""
        return None

    # ---------------------------------------------------------------------- what solving gives

    def quadratic(self, B: Array, block: int) -> Array:
        """Return b' H_block^-1 b of every column, shape (k,)."""
        size = self.curvature.block_shape()[1]
        params = slice(block * size, (block + 1) * size)
        columns = np.zeros((self.curvature.n_params, B.shape[1]))
        columns[params] = B
        return np.einsum("ij,ij->j", B, self.solve(columns)[params])

    def inverse(self) -> Array:
        """Return H^-1 as its diagonal blocks, shape (n_blocks, block_size, block_size)."""
        n_blocks, size = self.curvature.block_shape()
        require_memory(
            8.0 * 8 * n_blocks * size * self.curvature.n_params,
            f"The inverse curvature of {self.curvature.n_params:,} parameters",
            "Ask for fewer rows at a time.",
        )
        return np.stack([self._columns(b, np.arange(size)) for b in range(n_blocks)])

    def inverse_diagonal(self) -> Array:
        """Return the diagonal of H^-1 on the complement of the gauge, (n_blocks, block_size)."""
        n_blocks, size = self.curvature.block_shape()
        out = np.empty((n_blocks, size))
        for b in range(n_blocks):
            for part in np.array_split(np.arange(size), -(-size // COLUMNS_AT_ONCE)):
                out[b, part] = self._columns(b, part)[part, np.arange(len(part))]
        return out

    def _columns(self, block: int, chosen: Array) -> Array:
        """Return some columns of the inverse of a block, shape (block_size, n_chosen)."""
        size = self.curvature.block_shape()[1]
        units = np.zeros((self.curvature.n_params, len(chosen)))
        units[block * size + chosen, np.arange(len(chosen))] = 1.0
        solved = self.solve(self.curvature.off_gauge(units))
        return solved[block * size : (block + 1) * size]

    # --------------------------------------------------------------------- not of every factor

    def embed(self, V: Array) -> Array:
        """Return E V, shape (rank, k), with H^-1 = E' E.

        Raises
        ------
        ValueError
            Where the factor does not split so.
        """
        raise unsupported(
            self,
            "influence_embedding was asked for, which splits the inverse curvature into two "
            "factors by embed(V)",
            "those of Arnoldi and Cholesky (of a model with more rows than parameters)",
            "solver=skinfluence.solvers.Arnoldi(rank=100)",
        )

    def between(self, rows: Any, B: Array) -> Array | None:
        """Return J_i H^-1 J_t' b_t of all rows i of the curvature, shape (n_samples, K, n_rows).

        By inner products of rows, without any array of the size of the parameters. None where they
        do not give it.

        Parameters
        ----------
        rows : objective
            The rows t, of the kind that the curvature has.
        B : ndarray of shape (n_rows, K)
        """
        return None

    def quadratics(self, rows: Any, chosen: Array | None = None) -> Array | None:
        """Return J_t H^-1 J_t' of (chosen) rows t, as `between`; None where that gives none.

        Shape (n_rows, K, K), or its diagonal (n_rows, K) where each output has a block.
        """
        return None


def unsupported(factor: Factor, asked: str, which: str, instead: str) -> ValueError:
    """Return the error of a factor without a method that not every factor has.

    Parameters
    ----------
    factor : Factor
    asked : str
        What was asked for, and the method that gives it.
    which : str
        Whose factors have it.
    instead : str
        What to pass.
    """
    return ValueError(
        f"{asked}, and a {type(factor).__name__} does not have it; {which} do. Pass {instead}."
    )


class Solver(ABC):
    """A way to invert a curvature.

    Anything with a method `factorize` is one; subclass this to say that it approximates.

    Attributes
    ----------
    approximate : bool
        Its factors are close at most: how far a fit is from its minimum is measured by another.
    """

    approximate: ClassVar[bool] = False

    @abstractmethod
    def factorize(self, curvature: Curvature) -> Factor:
        """Return the factor of a curvature.

        Raises
        ------
        SingularCurvatureError
            Where there is no inverse.
        ValueError
            Where the curvature lacks what the solver needs.
        MemoryError
            Before it allocates what cannot fit.
        """


class CheckedFactor(Factor):
    """A user's factor, its solves looked at, and kept off the directions that H maps to zero.

    Along a common shift of classes nothing is determined: what a solve makes of the part of V there
    differs from method to method, and is left out before and after.

    Parameters
    ----------
    factor : Factor
    curvature : Curvature
    """

    def __init__(self, factor: Factor, curvature: Curvature) -> None:
        super().__init__(curvature)
        self.factor = factor
        self.singular = bool(curvature.flat_shifts()) or curvature.flat is not None

    @property
    def numerics(self) -> Numerics | None:  # type: ignore[override]
        return self.factor.numerics

    @property
    def iterates(self) -> bool:  # type: ignore[override]
        return self.factor.iterates

    @property
    def approximate(self) -> bool:  # type: ignore[override]
        return self.factor.approximate

    @property
    def rcond(self) -> float | None:
        return self.factor.rcond

    @property
    def reason(self) -> str | None:
        return self.factor.reason

    def solve(self, V: Array) -> Array:
        return self._off_gauge(self.factor.solve, V)

    def precondition(self, V: Array) -> Array:
        return self._off_gauge(self.factor.precondition, V)

    def _off_gauge(self, solve: Callable[[Array], Array], V: Array) -> Array:
        if not V.shape[1]:
            return np.empty(V.shape)
        solved = solve(self.curvature.off_gauge(V))
        if np.shape(solved) != V.shape:
            raise TypeError(
                f"{type(self.factor).__name__}.solve returned {type(solved).__name__} of shape "
                f"{np.shape(solved)} for V of shape {V.shape}; an array of the shape of V is "
                "accepted. Return H^-1 V, a column for every column."
            )
        return self.curvature.off_gauge(solved)

    def prepare(self, n_columns: int) -> None:
        self.factor.prepare(n_columns)

    def moved(self, objective: Objective) -> Factor | None:
        moved = self.factor.moved(objective)
        curvature = replace(self.curvature, objective=objective)
        return None if moved is None else CheckedFactor(moved, curvature)

    def quadratic(self, B: Array, block: int) -> Array:
        return super().quadratic(B, block) if self.singular else self.factor.quadratic(B, block)

    def inverse(self) -> Array:
        return super().inverse() if self.singular else self.factor.inverse()

    def inverse_diagonal(self) -> Array:
        return super().inverse_diagonal() if self.singular else self.factor.inverse_diagonal()

    def embed(self, V: Array) -> Array:
        return self.factor.embed(self.curvature.off_gauge(V))


@dataclass(frozen=True)
class CheckedSolver(Solver):
    """A user's solver, whose factors are looked at where they are received."""

    solver: Any

    @property
    def approximate(self) -> bool:  # type: ignore[override]
        return bool(getattr(self.solver, "approximate", False))  # a user's solver may not know it

    def factorize(self, curvature: Curvature) -> Factor:
        factor = self.solver.factorize(curvature)
        if isinstance(factor, Factor):
            return CheckedFactor(factor, curvature)
        raise TypeError(
            f"{type(self.solver).__name__}.factorize returned a {type(factor).__name__}; a "
            "skinfluence.solvers.Factor is accepted. Subclass Factor and give it solve(V): all "
            "else has a default."
        )
