"""Symmetric indefinite factorisation of an explicit curvature, with its inertia."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack, solve_triangular

from skinfluence.curvature import Curvature
from skinfluence.process.warnings import warn
from skinfluence.solvers.base import Factor, Numerics, Solver
from skinfluence.solvers.dense import (
    advice,
    blockwise,
    diagonal_off_gauge,
    form,
    rescale,
    singular,
    smallest_eigenvalue,
)
from skinfluence.typing import Array


@dataclass(frozen=True)
class LU(Solver):
    """Form every block of the curvature, scale and factorise it, H = L D L', D of 1 x 1 and 2 x 2.

    For curvature that is not positive definite: the Hessian of a network, or of a model of your
    own, away from a minimum. The number of negative eigenvalues is that of D (Sylvester's law of
    inertia); where there are any, a warning says so, for the answers are those of a saddle. Costs
    what `Cholesky` costs without its way by rows, P^2 memory and P^3 / 6 multiplications, which
    take about 1.6 times as long.

    Parameters
    ----------
    rcond : float, default=1e-13
        A block whose estimated reciprocal condition number, after scaling, is below this is
        refused as singular.

    References
    ----------
    Bunch, J. R. & Kaufman, L. (1977). Some stable methods for calculating inertia and solving
    symmetric linear systems. Math. Comp. 31. doi:10.1090/S0025-5718-1977-0428694-0.
    Bunch, J. R. (1971). Equilibration of symmetric matrices in the max-norm. J. ACM 18.
    doi:10.1145/321662.321670.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skinfluence import InfluenceClassifier
    >>> from skinfluence.solvers import LU
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = X[:, :3] / X[:, :3].std(axis=0)
    >>> model = InfluenceClassifier(solver=LU()).fit(X, y)
    >>> model.influence_scores(X[:2], y[:2]).shape
    (2, 569)
    """

    rcond: float = 1e-13

    def factorize(self, curvature: Curvature) -> LUFactor:
        """Return the factor of `curvature`.

        Raises
        ------
        MemoryError
            Before allocating, if the blocks do not fit.
        SingularCurvatureError
            If a block is singular, or so nearly that its inverse would be noise.

        Warns
        -----
        UserWarning
            With the inertia, where there are negative eigenvalues.
        """
        H = form(curvature)
        blocks = [_factorize_in_place(block, curvature, self.rcond) for block in H]
        repeats = curvature.n_params // (H.shape[0] * H.shape[1])
        numerics = Numerics(
            curvature.damping,
            rcond=min(block.rcond for block in blocks),
            smallest_pivot=min(float(np.abs(block.pivots).min()) for block in blocks),
            n_negative=repeats * sum(int(np.sum(block.pivots < 0)) for block in blocks),
        )
        if numerics.n_negative:
            _warn_of_saddle(curvature, numerics.n_negative)
        return LUFactor(blocks, curvature.n_params, curvature.flat_shifts(), numerics)


@dataclass(frozen=True, eq=False)
class LUBlock:
    """S H S = P L D L' P' of one block.

    Attributes
    ----------
    lower : ndarray of shape (block_size, block_size)
        L below its diagonal, which is one.
    order : ndarray of int, shape (block_size,)
        P, as the place from which every row comes.
    scale : ndarray of shape (block_size,)
        S.
    main, beside : ndarray of shape (block_size,)
        D^-1: its diagonal, and next to it the entries (i, i + 1).
    pivots : ndarray of shape (block_size,)
        Eigenvalues of D.
    rcond : float
    """

    lower: Array
    order: Array
    scale: Array
    main: Array
    beside: Array
    pivots: Array
    rcond: float

    def half(self, V: Array) -> Array:
        """Return L^-1 P' S V."""
        V = (self.scale[:, None] * V)[self.order]
        out: Array = solve_triangular(
            self.lower, V, lower=True, unit_diagonal=True, overwrite_b=True
        )
        return out

    def between(self, Z: Array) -> Array:
        """Return D^-1 Z."""
        out: Array = self.main[:, None] * Z
        pairs = np.flatnonzero(self.beside)
        out[pairs] += self.beside[pairs, None] * Z[pairs + 1]
        out[pairs + 1] += self.beside[pairs, None] * Z[pairs]
        return out

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (block_size, k)."""
        Z = solve_triangular(
            self.lower, self.between(self.half(V)), lower=True, unit_diagonal=True, trans="T"
        )
        out: Array = np.empty_like(Z)
        out[self.order] = Z
        out *= self.scale[:, None]
        return out


@dataclass(frozen=True, eq=False)
class LUFactor(Factor):
    """H^-1 by the factors of every block.

    Attributes
    ----------
    blocks : list of LUBlock
    n_params : int
        A multiple of n_blocks * block_size: blocks that are alike are stored once.
    shifts : list of ndarray of int
        Parameters whose common shift the curvature maps to zero.
    numerics : Numerics
    """

    blocks: list[LUBlock]
    n_params: int
    shifts: list[Array]
    numerics: Numerics

    def solve(self, V: Array) -> Array:
        shape = len(self.blocks), len(self.blocks[0].scale)
        return blockwise(V, shape, lambda b, columns: self.blocks[b].solve(columns))

    def quadratic(self, B: Array, block: int) -> Array:
        Z = self.blocks[block].half(B)
        return np.einsum("ij,ij->j", Z, self.blocks[block].between(Z))

    def inverse(self) -> Array:
        size = len(self.blocks[0].scale)
        inverse: Array = np.stack([block.solve(np.eye(size)) for block in self.blocks])
        inverse += inverse.transpose(0, 2, 1)
        inverse *= 0.5
        return inverse

    def inverse_diagonal(self) -> Array:
        return diagonal_off_gauge(self.inverse(), self.shifts)


def equilibrate(H: Array) -> Array:
    """Return S such that the largest entry of every row of the lower triangle of S H S is 1.

    Of a positive semidefinite H, whose diagonal bounds the rest, it makes the diagonal 1; of
    others, entries that their diagonals do not bound stay below 1 too (Bunch 1971).
    """
    # s_i = 1 / max(sqrt |H_ii|, max_{j < i} s_j |H_ij|), a column of the lower triangle at a time.
    size = np.sqrt(np.abs(np.diagonal(H)))
    scale = np.ones(len(H))
    for j in range(len(H)):
        if size[j] > 0:
            scale[j] = 1.0 / size[j]
            np.maximum(size[j + 1 :], scale[j] * np.abs(H[j + 1 :, j]), out=size[j + 1 :])
    return scale


def _factorize_in_place(H: Array, curvature: Curvature, limit: float) -> LUBlock:
    """Overwrite H, in Fortran order, by the factor of S H S."""
    scale = equilibrate(H)
    rescale(H, scale)
    norm = lapack.dlange("1", H)
    work, _ = lapack.dsytrf_lwork(len(H), lower=1)
    A, ipiv, info = lapack.dsytrf(H, lower=1, lwork=int(work), overwrite_a=1)
    rcond = float(lapack.dsycon(A, ipiv, norm, lower=1)[0]) if info == 0 else 0.0
    if not rcond >= limit:
        raise singular(curvature, rcond)
    order, first = _read_pivots(ipiv)
    # L with its rows in order, and what D has beside its diagonal apart, as dsytrs2 does: that
    # one, and so triangular solves by blocks, is not in all versions of scipy; dsytrs is slow.
    L, beside, _ = lapack.dsyconv(A, ipiv, lower=1, overwrite_a=1)
    main, beside, pivots = _inverse_of_pivots(np.diagonal(L).copy(), beside, first)
    return LUBlock(L, order, scale, main, beside, pivots, rcond)


def _read_pivots(ipiv: Array) -> tuple[Array, list[int]]:
    """Return the order of the rows, and where pivots of two rows begin."""
    order, first, i = list(range(len(ipiv))), [], 0
    while i < len(ipiv):
        swapped = int(abs(ipiv[i])) - 1
        if ipiv[i] < 0:
            first.append(i)
            i += 1
        order[i], order[swapped] = order[swapped], order[i]
        i += 1
    return np.array(order, dtype=np.intp), first


def _inverse_of_pivots(a: Array, beside: Array, first: list[int]) -> tuple[Array, Array, Array]:
    """Return D^-1, its diagonal and what is beside it, and the eigenvalues of D."""
    i = np.array(first, dtype=np.intp)
    pivots, off = a.copy(), np.zeros_like(a)
    b, mean = beside[i], 0.5 * (a[i] + a[i + 1])
    reach = np.hypot(0.5 * (a[i] - a[i + 1]), b)
    pivots[i], pivots[i + 1] = mean - reach, mean + reach
    main = 1.0 / np.where(a == 0, 1.0, a)  # zeros are in pivots of two rows
    determinant = a[i] * a[i + 1] - b**2
    main[i], main[i + 1] = a[i + 1] / determinant, a[i] / determinant
    off[i] = -b / determinant
    return main, off, pivots


def _warn_of_saddle(curvature: Curvature, n_negative: int) -> None:
    single = n_negative == 1
    warn(
        f"The curvature of {curvature.n_params:,} parameters has {n_negative:,} negative "
        f"eigenvalue{'' if single else 's'}, of {curvature.n_params:,}: the parameters are at a "
        "saddle of the objective, where removals have first-order answers, but there is no "
        "minimum nearby for a model without a row to be at. "
        + advice(curvature.damping, smallest_eigenvalue(curvature)),
        UserWarning,
    )
