"""One block of the curvature of a penalised model, by its rows.

With H = Lambda + Z'Z, Z of r rows, Lambda diagonal, and M = I + Z Lambda^-1 Z' (Woodbury),

    H^-1 v = Lambda^-1 (v - Z' M^-1 Z Lambda^-1 v).

Parameters without penalty (intercepts) have no place in Lambda^-1. They are eliminated last: with
Z = [Z_p, Z_u], their Schur complement is Z_u' M^-1 Z_u, and

    x_u = (Z_u' M^-1 Z_u)^-1 (v_u - Z_u' M^-1 t),         t = Z_p Lambda^-1 v_p,
    x_p = Lambda^-1 (v_p - Z_p' u),                       u = M^-1 (t + Z_u x_u).

Rows J_i, Z_i = S_i J_i, meet without any array of the size of the parameters. For v = J_t',

    J_i H^-1 J_t' = J_i Lambda^-1 J_t' - J_i Lambda^-1 Z_p' u + J_iu x_u,

where all products are inner products of rows. Among the rows themselves, with one output each,

    S J H^-1 J' S = I - M^-1 + M^-1 Z_u (Z_u' M^-1 Z_u)^-1 Z_u' M^-1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import lapack, solve_triangular

from skinfluence.curvature import Root
from skinfluence.curvature.roots import RowRoot
from skinfluence.process.tuning import tuning
from skinfluence.solvers.base import SingularCurvatureError
from skinfluence.typing import Array

REFINED = 1e-5
"""Condition below which a solve is refined once, by what H leaves of its right-hand side."""

LOST = 1e-8
"""Condition below which inner products of rows have lost more than a solve that is refined."""

SHARP = 1e-4
"""Leverage above which 1 - (1 - h) has digits enough to tell h."""

MANY = 3
"""A part of the rows, one in this many, from which on all quadratic forms take less than theirs."""


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
        L with M = L L'; above its diagonal it is not 0, but anything.
    free : ndarray of int, shape (n_free,)
        The parameters without penalty.
    edge : ndarray of shape (rank, n_free)
        Z_u.
    half : ndarray of shape (rank, n_free)
        L^-1 Z_u.
    schur : ndarray of shape (n_free, n_free)
        (Z_u' M^-1 Z_u)^-1, on the complement of the gauge.
    rcond : float
        1 / trace M: its reciprocal is how many digits v - Z' M^-1 Z Lambda^-1 v may lose.
    pivot : float
        Smallest diagonal entry of L, squared, relative to that of M.
    residuals : list of float
        Of the solves that were refined the largest relative residual, before that.
    """

    root: Root
    scale: Array
    lower: Array
    free: Array
    edge: Array
    half: Array
    schur: Array
    rcond: float
    pivot: float
    residuals: list[float] = field(default_factory=list)

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (block_size, k)."""
        out = self._solve(V)
        if self.rcond < REFINED:
            penalties = np.where(self.scale > 0, 1.0 / np.where(self.scale > 0, self.scale, 1.0), 0)
            remaining = V - penalties[:, None] * out - self.root.t_dot(self.root.dot(out))
            self._note(remaining, V)
            out += self._solve(remaining)
        return out

    def _solve(self, V: Array) -> Array:
        scaled = self.scale[:, None] * V
        u, x = self._inner(self.root.dot(scaled), V[self.free])
        out: Array = V - self.root.t_dot(u)
        out *= self.scale[:, None]
        out[self.free] = x
        return out

    def _note(self, remaining: Array, V: Array) -> None:
        self.residuals[:] = [max([*self.residuals, _relative(remaining, V)])]

    def _inner(self, t: Array, v_u: Array) -> tuple[Array, Array]:
        """Return u and x_u."""
        t = _triangular(self.lower, t)
        x = self.schur @ (v_u - self.half.T @ t)
        t += self.half @ x
        return _triangular(self.lower, t, trans=1), x

    def between(self, rows: Any, B: Array) -> Array | None:
        """Return J_i H^-1 J_t' b_t of all rows i of the curvature, shape (n_samples, K, n_rows).

        None where inner products do not give it.

        Parameters
        ----------
        rows : objective
            The rows t, of the kind that the curvature has.
        B : ndarray of shape (n_rows, K)
        """
        root = self._met()
        if root is None:
            return None
        C = root.meet(rows, self.scale)[:, None, :] * B.T
        place = self._outputs_of_free(root)
        v_u = B.T[place]
        u, x = self._inner(root.scaled(C), v_u)
        C -= root.pushed(u, self.scale)
        C[:, place] += x
        if self.rcond < REFINED:
            # What is left of the right-hand side is Z_p' (u - Z x), and of v_u, v_u - Z_u' Z x.
            reached = root.scaled(C)
            remaining, v_remaining = u - reached, v_u - self.edge.T @ reached
            self._note(remaining, u)
            second, x = self._inner(root.scaled(root.pushed(remaining, self.scale)), v_remaining)
            C += root.pushed(remaining - second, self.scale)
            C[:, place] += x
        return C

    def quadratics(self, rows: Any, chosen: Array) -> Array | None:
        """Return J_t H^-1 J_t' of chosen rows t, (n_chosen, K, K); None as in `between`."""
        root, n = self._met(), len(chosen)
        if root is None:
            return None
        place, rank = root.place(rows), root.rank
        if place is None and self.rcond < REFINED:
            return None
        place = None if place is None else place[chosen]
        out = np.empty((n, root.n_outputs, root.n_outputs))
        open_ = np.arange(n)
        if place is not None and root.n_outputs == 1 and n * MANY > rank:
            q = self._own_quadratics(root)[place]
            out[:, 0, 0], open_ = q, np.flatnonzero(np.isnan(q))
        size = max(1, tuning().block_elements // (rank * root.n_outputs))
        for start in range(0, len(open_), size):
            chunk = open_[start : start + size]
            part, own = rows.rows(chosen[chunk]), None if place is None else place[chunk]
            if self.rcond < REFINED:
                out[chunk] = self._refined_quadratics(root, part, own)
            else:
                out[chunk] = self._direct_quadratics(root, part)
        return out

    def _own_quadratics(self, root: RowRoot) -> Array:
        """Return J_i H^-1 J_i' of all rows i, (n_samples,); NaN where it would lose digits."""
        h = 1.0 - _squared_columns(lapack.dtrtri(self.lower, lower=1)[0])
        y = _triangular(self.lower, self.half, trans=1)
        h += np.einsum("ij,ij->i", y @ self.schur, y)
        weights = root.roots[:, 0, 0] ** 2
        safe = h > SHARP
        out = np.full(root.n_samples, np.nan)
        out[root.curved] = np.where(safe, h, np.nan) / np.where(safe, weights, 1.0)
        return out

    def _direct_quadratics(self, root: RowRoot, rows: Any) -> Array:
        """Return J_t Lambda^-1 J_t' - |L^-1 S J Lambda^-1 J_t'|^2, and what is free: (n, K, K)."""
        met, free = root.meet(rows, self.scale)[:, None, :], self._outputs_of_free(root)
        units = np.eye(root.n_outputs)[:, :, None]
        halves = [_triangular(self.lower, root.scaled(met * unit)) for unit in units]
        ends = [u[free] - self.half.T @ t for u, t in zip(units, halves, strict=True)]
        T, W = np.stack(halves, axis=2), np.stack(ends, axis=2)
        Q: Array = np.einsum("ftk,fg,gtl->tkl", W, self.schur, W, optimize=True)
        Q -= np.einsum("rtk,rtl->tkl", T, T)
        Q += root.squares(rows, self.scale)[:, None, None] * np.eye(root.n_outputs)
        return Q

    def _refined_quadratics(self, root: RowRoot, rows: Any, place: Array | None) -> Array:
        columns = []
        for unit in np.eye(root.n_outputs):
            reached = self.between(rows, np.tile(unit, (rows.n_samples, 1)))
            assert reached is not None and place is not None
            columns.append(reached[place, :, np.arange(rows.n_samples)])
        return np.stack(columns, axis=2)

    def _outputs_of_free(self, root: RowRoot) -> Array:
        """Return of which output each parameter without penalty is the intercept."""
        return self.free // (len(self.scale) // root.n_outputs)

    def _met(self) -> RowRoot | None:
        """Return the root, if its rows meet others through inner products."""
        root = self.root
        if self.rcond < LOST or not isinstance(root, RowRoot):
            return None
        return root if root.meets(self.scale, self.free) else None


def factorized(root: Root, diagonal: Array, shifts: list[Array]) -> RowBlock:
    """Return the factor of diag(diagonal) + Z'Z; `shifts` are common shifts it maps to zero."""
    free = np.flatnonzero(diagonal == 0)
    scale = np.where(diagonal > 0, 1.0 / np.where(diagonal > 0, diagonal, 1.0), 0.0)
    M = root.upper_gram(scale) if isinstance(root, RowRoot) else root.gram(scale)
    M[np.arange(root.rank), np.arange(root.rank)] += 1.0
    diagonal_of_M = np.diagonal(M).copy()
    # M is its own transpose: L takes the place of its upper triangle, and the other stays unused.
    lower, info = lapack.dpotrf(M.T, lower=1, clean=0, overwrite_a=1)
    pivots = np.diagonal(lower) ** 2
    if info != 0 or not np.all(np.isfinite(pivots)):
        raise SingularCurvatureError(
            "The curvature is not finite: the fitted parameters or the features overflow. Scale "
            "the features (StandardScaler) and fit again."
        )
    rcond = 1.0 / float(diagonal_of_M.sum())
    pivot = float(np.min(pivots / diagonal_of_M))
    if not len(free):
        edge, empty = np.empty((root.rank, 0)), np.empty((0, 0))
        return RowBlock(root, scale, lower, free, edge, edge, empty, rcond, pivot)
    units = np.zeros((len(diagonal), len(free)))
    units[free, np.arange(len(free))] = 1.0
    edge = root.dot(units)
    half = _triangular(lower, edge)
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
    inverse = np.linalg.inv(schur) - gauge / fill
    return RowBlock(root, scale, lower, free, edge, half, inverse, rcond, pivot)


def _triangular(lower: Array, B: Array, trans: int = 0) -> Array:
    """Return L^-1 B, or L^-T B."""
    # Only B can have overflowed: a look at every entry of L takes longer than the solve for a few.
    finite = np.asarray_chkfinite(B)
    return solve_triangular(lower, finite, lower=True, trans=trans, check_finite=False)


def _squared_columns(lower: Array) -> Array:
    """Return the squared norm of every column of a lower triangle, whatever is above it."""
    n = len(lower)
    out = np.empty(n)
    for start in range(0, n, 512):
        here = slice(start, min(start + 512, n))
        square, below = np.tril(lower[here, here]), lower[here.stop :, here]
        out[here] = np.einsum("ij,ij->j", square, square) + np.einsum("ij,ij->j", below, below)
    return out


def _relative(residual: Array, V: Array) -> float:
    """Return the largest norm of a column, relative to that of another."""
    norms = np.linalg.norm(V, axis=0)
    ratios = np.linalg.norm(residual, axis=0) / np.where(norms > 0, norms, 1.0)
    return float(ratios.max(initial=0.0))
