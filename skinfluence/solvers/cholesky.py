"""Cholesky factorisation of an explicit positive definite curvature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack, solve_triangular

from skinfluence.curvature import Curvature
from skinfluence.solvers.base import Factor, Numerics, SingularCurvatureError, Solver
from skinfluence.solvers.dense import (
    advice,
    blockwise,
    diagonal_off_gauge,
    form,
    rescale,
    singular,
    smallest_eigenvalue,
)
from skinfluence.solvers.row_factor import factorize_by_rows
from skinfluence.typing import Array


@dataclass(frozen=True)
class Cholesky(Solver):
    """Form every block of the curvature, scale it to a unit diagonal and factorise it, H = L L'.

    Needs a positive definite curvature, which is found out by trying; directions the curvature
    promises to be flat (the common shift of multinomial classes) are fixed at zero exactly. Costs
    P^2 memory and P^3 / 6 multiplications per block of P parameters. Where a penalised model has
    fewer rows (times coupled classes) than parameters, the matrix of the rows is factorised in its
    place: r^2 memory, r^3 / 6 multiplications (Woodbury; ``solver_`` says so).

    Parameters
    ----------
    rcond : float, default=1e-13
        A block whose estimated reciprocal condition number, after scaling, is below this is
        refused as singular.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skinfluence import InfluenceClassifier
    >>> from skinfluence.solvers import Cholesky
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = X[:, :3] / X[:, :3].std(axis=0)
    >>> model = InfluenceClassifier(solver=Cholesky()).fit(X, y)
    >>> model.influence_scores(X[:2], y[:2]).shape
    (2, 569)
    """

    rcond: float = 1e-13

    def factorize(self, curvature: Curvature) -> Factor:
        """Return the factor of `curvature`.

        Raises
        ------
        MemoryError
            Before allocating, if the blocks do not fit.
        SingularCurvatureError
            If a block is singular, or so nearly that its inverse would be noise, or indefinite.
        """
        by_rows = factorize_by_rows(curvature)
        if by_rows is not None:
            return by_rows
        L = form(curvature)
        scale = np.empty(L.shape[:2])
        seen = np.empty((len(L), 2))
        for b, block in enumerate(L):
            try:
                scale[b], seen[b] = _factorize_in_place(block, curvature, self.rcond)
            except SingularCurvatureError as error:
                if curvature.positive_semidefinite:
                    raise
                raise _indefinite(curvature) from error
        rcond, pivot = (float(smallest) for smallest in seen.min(axis=0))
        numerics = Numerics(curvature.damping, rcond, pivot, n_negative=0)
        return CholeskyFactor(L, scale, curvature.n_params, curvature.flat_shifts(), numerics)


@dataclass(frozen=True, eq=False)
class CholeskyFactor(Factor):
    """H_b^-1 = S (L L')^-1 S for every block b, S a diagonal scaling.

    Attributes
    ----------
    lower : ndarray of shape (n_blocks, block_size, block_size)
        L; the strict upper triangles are zero.
    scale : ndarray of shape (n_blocks, block_size)
    n_params : int
        A multiple of n_blocks * block_size: blocks that are alike are stored once.
    shifts : list of ndarray of int
        Parameters whose common shift the curvature maps to zero.
    numerics : Numerics
    """

    lower: Array
    scale: Array
    n_params: int
    shifts: list[Array]
    numerics: Numerics

    @property
    def rcond(self) -> float:
        assert self.numerics.rcond is not None
        return self.numerics.rcond

    def solve(self, V: Array) -> Array:
        def solve_block(b: int, columns: Array) -> Array:
            half = self._half(b, columns)
            full: Array = solve_triangular(
                self.lower[b], half, lower=True, trans="T", overwrite_b=True
            )
            full *= self.scale[b][:, None]
            return full

        return blockwise(V, self.scale.shape, solve_block)

    def embed(self, V: Array) -> Array:
        """Return L^-1 S V, shape (n_params, k): embed(A)' embed(B) = A' H^-1 B."""
        return blockwise(V, self.scale.shape, self._half)

    def _half(self, b: int, columns: Array) -> Array:
        columns *= self.scale[b][:, None]
        return solve_triangular(self.lower[b], columns, lower=True, overwrite_b=True)

    def quadratic(self, B: Array, block: int) -> Array:
        scaled = B * self.scale[block][:, None]
        Z: Array = solve_triangular(self.lower[block], scaled, lower=True, overwrite_b=True)
        return np.einsum("ij,ij->j", Z, Z)

    def inverse(self) -> Array:
        out = np.empty_like(self.lower)
        for b, L in enumerate(self.lower):
            inverse, _ = lapack.dpotri(L, lower=1)
            inverse = np.tril(inverse) + np.tril(inverse, -1).T
            out[b] = inverse * self.scale[b] * self.scale[b][:, None]
        return out

    def inverse_diagonal(self) -> Array:
        return diagonal_off_gauge(self.inverse(), self.shifts)


def _indefinite(curvature: Curvature) -> SingularCurvatureError:
    """Return the error of a curvature that is not positive definite, with what it would take."""
    smallest = smallest_eigenvalue(curvature)
    size = "" if smallest is None else f": its smallest eigenvalue is {smallest:.3g}"
    return SingularCurvatureError(
        f"The curvature of {curvature.n_params:,} parameters is not positive definite{size}. The "
        "parameters are not at a minimum that is the only one nearby. "
        + advice(curvature.damping, smallest)
    )


def _factorize_in_place(
    H: Array, curvature: Curvature, limit: float
) -> tuple[Array, tuple[float, float]]:
    """Overwrite H by L, S H S = L L'; return S, the reciprocal condition and the smallest pivot."""
    diagonal = np.diagonal(H).copy()
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    rescale(H, scale)
    norm = lapack.dlange("1", H)
    L, info = lapack.dpotrf(H, lower=1, clean=1, overwrite_a=1)
    rcond = float(lapack.dpocon(L, norm, uplo="L")[0]) if info == 0 else 0.0
    if not rcond >= limit:
        raise singular(curvature, rcond)
    if not np.shares_memory(H, L):
        H[...] = L
    return scale, (rcond, float(np.diagonal(L).min()) ** 2)
