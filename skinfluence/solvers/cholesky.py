"""Cholesky factorisation of an explicit positive definite curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigvalsh, lapack, solve_triangular

from skinfluence.curvature import Curvature
from skinfluence.memory import require_memory
from skinfluence.solvers.base import Factor, SingularCurvatureError
from skinfluence.solvers.rows import factorize_by_rows

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Cholesky:
    """Form every block of the curvature, scale it to a unit diagonal and factorise it, H = L L'.

    Needs a positive definite curvature, which is found out by trying; directions the curvature
    promises to be flat (the common shift of multinomial classes) are fixed at zero exactly. Costs
    P^2 memory and P^3 / 3 multiplications per block of P parameters. Where a penalised model has
    fewer rows (times coupled classes) than parameters, the matrix of the rows is factorised in its
    place: r^2 memory, r^3 / 3 multiplications (Woodbury; ``solver_`` says so).

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
        n_blocks, size = curvature.block_shape()
        by_rows = factorize_by_rows(curvature)
        if by_rows is not None:
            return by_rows
        require_memory(
            2.0 * n_blocks * size**2 * 8,
            f"The curvature of {curvature.n_params:,} parameters and its factor",
            "Fit the model on fewer features (SelectKBest, TruncatedSVD, max_features= of a "
            "vectorizer), or pass a solver object that does not form the matrix.",
        )
        H = curvature.blocks()
        for parameters in curvature.flat_shifts():
            # H is zero along this shift, so any multiple of the projector on it may be added;
            # right-hand sides of removals have no part along it.
            fill = np.mean(H[0, parameters, parameters]) / len(parameters)
            H[0][np.ix_(parameters, parameters)] += fill if fill > 0 else 1.0
        if curvature.objective.kind == "network":
            # What no training row moves, as the weights of a unit that is never active, stays.
            idle = np.flatnonzero(np.diagonal(H[0]) == 0.0)
            H[0, idle, idle] = 1.0
        scale = np.empty((n_blocks, size))
        rconds = np.empty(n_blocks)
        for b in range(n_blocks):
            try:
                scale[b], rconds[b] = _factorize_in_place(H[b], self.rcond)
            except SingularCurvatureError as error:
                if curvature.positive_semidefinite:
                    raise
                raise _indefinite(curvature) from error
        rcond = float(rconds.min())
        return CholeskyFactor(H, scale, curvature.n_params, rcond, curvature.flat_shifts())


@dataclass(frozen=True, eq=False)
class CholeskyFactor:
    """H_b^-1 = S (L L')^-1 S for every block b, S a diagonal scaling.

    Attributes
    ----------
    lower : ndarray of shape (n_blocks, block_size, block_size)
        L; the strict upper triangles are zero.
    scale : ndarray of shape (n_blocks, block_size)
    n_params : int
        A multiple of n_blocks * block_size: blocks that are alike are stored once.
    rcond : float
        Smallest estimated reciprocal condition number of the scaled blocks.
    shifts : list of ndarray of int
        Parameters whose common shift the curvature maps to zero.
    """

    lower: Array
    scale: Array
    n_params: int
    rcond: float
    shifts: list[Array]

    def solve(self, V: Array) -> Array:
        n_blocks, size = self.scale.shape
        k = V.shape[1]
        if not k:
            return np.empty((self.n_params, 0))
        V = V.reshape(-1, size, k)
        out = np.empty(V.shape)
        for b in range(n_blocks):
            # One block for all outputs, or one for each.
            alike = slice(None) if n_blocks == 1 else slice(b, b + 1)
            columns = V[alike].transpose(1, 0, 2).reshape(size, -1) * self.scale[b][:, None]
            half = solve_triangular(self.lower[b], columns, lower=True, overwrite_b=True)
            full = solve_triangular(self.lower[b], half, lower=True, trans="T", overwrite_b=True)
            full *= self.scale[b][:, None]
            out[alike] = full.reshape(size, -1, k).transpose(1, 0, 2)
        return out.reshape(self.n_params, k)

    def quadratic(self, B: Array, block: int) -> Array:
        scaled = B * self.scale[block][:, None]
        Z: Array = solve_triangular(self.lower[block], scaled, lower=True, overwrite_b=True)
        squares: Array = np.einsum("ij,ij->j", Z, Z)
        return squares

    def inverse(self) -> Array:
        out = np.empty_like(self.lower)
        for b, L in enumerate(self.lower):
            inverse, _ = lapack.dpotri(L, lower=1)
            inverse = np.tril(inverse) + np.tril(inverse, -1).T
            out[b] = inverse * self.scale[b] * self.scale[b][:, None]
        return out

    def inverse_diagonal(self) -> Array:
        inverse = self.inverse()
        diagonal: Array = np.diagonal(inverse, axis1=1, axis2=2).copy()
        for shift in self.shifts:
            # A common shift is an eigenvector, at whatever value the factor was given there.
            along = inverse[0][np.ix_(shift, shift)].sum() / len(shift)
            diagonal[0, shift] -= along / len(shift)
        return diagonal


def _indefinite(curvature: Curvature) -> SingularCurvatureError:
    """Return the error of a curvature that is not positive definite, with what it would take."""
    smallest = min(float(eigvalsh(H, subset_by_index=(0, 0))[0]) for H in curvature.blocks())
    needed = 1.001 * max(curvature.damping - smallest, 0.0)  # rounded up: it is printed short
    return SingularCurvatureError(
        f"The curvature of {curvature.n_params:,} parameters is not positive definite: its "
        f"smallest eigenvalue is {smallest:.3g}. The parameters are not at a minimum that is the "
        f"only one nearby. Pass damping > {needed:.4g} (twice that, to be away from the pole), "
        "refine=True to move to a minimum, or curvature='gauss_newton' where the model has raw "
        "predictions."
    )


def _factorize_in_place(H: Array, limit: float) -> tuple[Array, float]:
    """Overwrite H by the Cholesky factor of S H S; return S and the reciprocal condition."""
    diagonal = np.diagonal(H).copy()
    if not np.all(np.isfinite(diagonal)):
        raise SingularCurvatureError(
            "The curvature is not finite: the fitted parameters or the features overflow. Scale "
            "the features (StandardScaler) and fit again."
        )
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    H *= scale
    H *= scale[:, None]
    norm = np.linalg.norm(H, 1)
    L, info = lapack.dpotrf(H, lower=1, clean=1)
    rcond = lapack.dpocon(L, norm, uplo="L")[0] if info == 0 else 0.0
    if rcond < limit:
        raise SingularCurvatureError(
            f"The curvature of {len(H)} parameters is singular (reciprocal condition number "
            f"{rcond:.1e}): the fitted model is not the only optimum. Likely causes, in a model "
            "without penalty: constant, repeated or collinear columns, columns far from zero "
            "beside their spread, more columns than rows, or classes that can be separated. Drop "
            "or scale such columns (StandardScaler), fit with a penalty (Ridge, a finite C), or "
            "pass damping > 0."
        )
    H[...] = L
    return scale, float(rcond)
