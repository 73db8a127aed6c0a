"""The curvature of penalised models with fewer rows than parameters, factorised by rows.

With H = Lambda + Z'Z, Z of r rows, Lambda diagonal, and M = I + Z Lambda^-1 Z' (Woodbury),

    H^-1 v = Lambda^-1 (v - Z' M^-1 Z Lambda^-1 v).

Parameters without penalty (intercepts) have no place in Lambda^-1. They are eliminated last: with
Z = [Z_p, Z_u], their Schur complement is Z_u' M^-1 Z_u, and

    x_u = (Z_u' M^-1 Z_u)^-1 (v_u - Z_u' M^-1 t),         t = Z_p Lambda^-1 v_p,
    x_p = Lambda^-1 (v_p - Z_p' M^-1 (t + Z_u x_u)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack, solve_triangular

from skinfluence.curvature import Curvature, Root
from skinfluence.memory import require_memory
from skinfluence.solvers.base import SingularCurvatureError

Array = npt.NDArray[Any]

MOST_FREE = 0.1
"""Share of the rows up to which there may be parameters without penalty (or 32 of them)."""


REFINED = 1e-5
"""Condition below which a solve is refined once, by what H leaves of its right-hand side."""


@dataclass(frozen=True, eq=False)
class RowBlock:
    """One block of the curvature.

    Attributes
    ----------
    root : Root
        Z, in products.
    scale : ndarray of shape (block_size,)
        Lambda^-1; zero for the parameters without penalty.
    lower : ndarray of shape (rank, rank)
        L with M = L L'.
    free : ndarray of int, shape (n_free,)
        The parameters without penalty.
    half : ndarray of shape (rank, n_free)
        L^-1 Z_u.
    schur : ndarray of shape (n_free, n_free)
        (Z_u' M^-1 Z_u)^-1, on the complement of the gauge.
    rcond : float
        1 / trace M: its reciprocal is how many digits v - Z' M^-1 Z Lambda^-1 v may lose.
    """

    root: Root
    scale: Array
    lower: Array
    free: Array
    half: Array
    schur: Array
    rcond: float

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (block_size, k)."""
        out = self._solve(V)
        if self.rcond < REFINED:
            penalties = np.where(self.scale > 0, 1.0 / np.where(self.scale > 0, self.scale, 1.0), 0)
            product = penalties[:, None] * out + self.root.t_dot(self.root.dot(out))
            out += self._solve(V - product)
        return out

    def _solve(self, V: Array) -> Array:
        scaled = self.scale[:, None] * V
        t = solve_triangular(self.lower, self.root.dot(scaled), lower=True, overwrite_b=True)
        x = self.schur @ (V[self.free] - self.half.T @ t)
        t += self.half @ x
        t = solve_triangular(self.lower, t, lower=True, trans="T", overwrite_b=True)
        out: Array = V - self.root.t_dot(t)
        out *= self.scale[:, None]
        out[self.free] = x
        return out


@dataclass(frozen=True, eq=False)
class RowFactor:
    """H^-1 by the rows of every block.

    Attributes
    ----------
    blocks : list of RowBlock
    n_params : int
        A multiple of n_blocks * block_size: blocks that are alike are stored once.
    """

    blocks: list[RowBlock]
    n_params: int

    @property
    def rcond(self) -> float:
        """Smallest of the blocks."""
        return min(block.rcond for block in self.blocks)

    def solve(self, V: Array) -> Array:
        n_blocks, size = len(self.blocks), len(self.blocks[0].scale)
        if not V.shape[1]:
            return np.empty((self.n_params, 0))
        V = V.reshape(-1, size, V.shape[1])
        solved = [self.blocks[b % n_blocks].solve(one) for b, one in enumerate(V)]
        return np.concatenate(solved)

    def quadratic(self, B: Array, block: int) -> Array:
        products: Array = np.einsum("ij,ij->j", B, self.blocks[block].solve(B))
        return products

    def inverse(self) -> Array:
        size = len(self.blocks[0].scale)
        require_memory(
            2.0 * len(self.blocks) * size**2 * 8,
            f"The inverse curvature of {size:,} parameters",
            "Ask for fewer rows at a time.",
        )
        return np.stack([block.solve(np.eye(size)) for block in self.blocks])

    def inverse_diagonal(self) -> Array:
        return np.stack([_inverse_diagonal(block) for block in self.blocks])


def roots_of(curvature: Curvature) -> list[Root] | None:
    """Return the roots to factorise by; None where that is not possible or not less work."""
    roots = curvature.roots()
    if roots is None:
        return None
    free = np.sum(curvature.diagonal() == 0, axis=1)
    rank = min(root.rank for root in roots)
    return roots if np.all(free <= min(max(MOST_FREE * rank, 32), rank - 1)) else None


def factorize_by_rows(curvature: Curvature) -> RowFactor | None:
    """Return the factor by rows; None where there is none, or where it would be larger.

    Raises
    ------
    MemoryError
        Before allocating, if the matrices of the rows do not fit.
    SingularCurvatureError
        If the parameters without penalty are not determined.
    """
    roots = roots_of(curvature)
    if roots is None:
        return None
    rank = max(root.rank for root in roots)
    require_memory(
        (len(roots) + 2.0) * rank**2 * 8,
        f"The curvature by its {rank:,} rows (times coupled classes) and its factor",
        "Fit the model on fewer features (SelectKBest, TruncatedSVD, max_features= of a "
        "vectorizer), or pass a solver object that does not form the matrix.",
    )
    shifts = curvature.flat_shifts()
    pairs = zip(roots, curvature.diagonal(), strict=True)
    blocks = [_factorize(root, diagonal, shifts) for root, diagonal in pairs]
    return RowFactor(blocks, curvature.n_params)


def _factorize(root: Root, diagonal: Array, shifts: list[Array]) -> RowBlock:
    free = np.flatnonzero(diagonal == 0)
    scale = np.where(diagonal > 0, 1.0 / np.where(diagonal > 0, diagonal, 1.0), 0.0)
    M = root.gram(scale)
    M[np.arange(root.rank), np.arange(root.rank)] += 1.0
    rcond = 1.0 / float(np.trace(M))
    lower, info = lapack.dpotrf(M, lower=1, clean=1, overwrite_a=1)
    if info != 0 or not np.all(np.isfinite(lower.ravel()[:: root.rank + 1])):
        raise SingularCurvatureError(
            "The curvature is not finite: the fitted parameters or the features overflow. Scale "
            "the features (StandardScaler) and fit again."
        )
    if not len(free):
        empty = np.empty((0, 0))
        return RowBlock(root, scale, lower, free, np.empty((root.rank, 0)), empty, rcond)
    units = np.zeros((len(diagonal), len(free)))
    units[free, np.arange(len(free))] = 1.0
    half = solve_triangular(lower, root.dot(units), lower=True, overwrite_b=True)
    schur = half.T @ half
    gauge = np.zeros_like(schur)
    for shift in shifts:
        at = np.searchsorted(free, shift)
        gauge[np.ix_(at, at)] = 1.0 / len(at)
    fill = np.mean(np.diagonal(schur))
    idle = np.flatnonzero(np.diagonal(schur) == 0.0)  # no row moves these, nor they any row
    schur[idle, idle] = fill
    schur += fill * gauge
    if np.linalg.cond(schur) > 1e13:
        raise SingularCurvatureError(
            "The parameters without penalty (intercepts) are not determined by the rows: the "
            "fitted model is not the only optimum. Fit without an intercept or on more rows, or "
            "pass damping > 0."
        )
    return RowBlock(root, scale, lower, free, half, np.linalg.inv(schur) - gauge / fill, rcond)


def _inverse_diagonal(block: RowBlock) -> Array:
    """Return the diagonal of H^-1, a slice of the parameters at a time."""
    size = len(block.scale)
    out = np.empty(size)
    for start in range(0, size, 1024):
        here = np.arange(start, min(start + 1024, size))
        unit = np.zeros((size, len(here)))
        unit[here, np.arange(len(here))] = 1.0
        out[here] = block.solve(unit)[here, np.arange(len(here))]
    return out
