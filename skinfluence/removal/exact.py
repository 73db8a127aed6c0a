"""The exact minimum without a row, for many rows at once.

Every column of Theta (n_params, m) is the model without one row. A Newton step for all of them is
found by conjugate gradients whose preconditioner is the factor of the full data: what differs is a
row's own rank-K block and how far the curvature moved, which costs a few iterations. Each
iteration is two matrix products for all columns; columns that have converged leave.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from skinfluence.objectives import LinearObjective
from skinfluence.objectives.base import row_blocks
from skinfluence.removal.base import Removal
from skinfluence.solvers import Factor
from skinfluence.solvers.base import require_memory

Array = npt.NDArray[Any]

ROUNDING = 1e-13
"""Gradients below this, in units of sqrt(F), are rounding: |g|^2 / 2 is what F could still fall."""


def minimise_without(
    removal: Removal, rows: Array, *, rtol: float = 1e-8, max_iter: int = 100
) -> Array:
    """Return theta_without_i - theta at the exact minimum without each of some rows.

    Parameters
    ----------
    removal : Removal
        Its steps are the starting points, its factors the preconditioners.
    rows : ndarray of int, shape (m,)
    rtol : float
        Stop when the gradient, in the norm of the inverse curvature, is below this fraction of
        the gradient that the removal itself caused, or below what rounding leaves of it.
    max_iter : int
        Newton steps.

    Returns
    -------
    ndarray of shape (n_params, m)

    Raises
    ------
    MemoryError
        Before allocating, if the result does not fit.

    Warns
    -----
    ConvergenceWarning
        Naming the rows whose minimum was not reached (without them the data may be separable).
    """
    objective = removal.objective
    assert isinstance(objective, LinearObjective)
    require_memory(
        8.0 * objective.n_params * len(rows),
        f"Minimising without each of {len(rows):,} rows of high leverage",
        "Fit with a stronger penalty, or use method='first_order'.",
    )
    out = np.empty((objective.n_params, len(rows)))
    failed: list[int] = []
    width = objective.loss.n_outputs * objective.n_samples
    for stratum, factor in enumerate(removal.factors):
        members = np.flatnonzero(removal.strata[rows] == stratum)
        for block in row_blocks(len(members), width):
            here = members[block]
            problem = _Without(objective, rows[here], factor)
            out[:, here], converged = _newton_cg(
                problem, removal.changes(rows[here]), rtol=rtol, max_iter=max_iter
            )
            failed.extend(rows[here[~converged]].tolist())
    if failed:
        warnings.warn(
            f"Without each of the rows {sorted(failed)[:20]} ({len(failed)} in all) no minimum was "
            f"reached in {max_iter} steps: the remaining rows may be separable. Their scores are "
            "those of the last step. Fit with a stronger penalty.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return out


class _Without:
    """The objectives without each of m rows, as columns: shapes (n_params, m), (n, m, K)."""

    def __init__(self, objective: LinearObjective, rows: Array, factor: Factor) -> None:
        self.objective = objective
        self.factor = factor
        self.y = objective.targets[:, None]
        self.eta = objective.raw_predictions()[:, None, :]
        self.theta = objective.theta[:, None]
        self.l2 = objective.l2[:, None]
        self.w = objective.weighting.weights_without_rows(rows, objective.sample_weight)
        self.w[rows, np.arange(len(rows))] = 0.0

    def take(self, columns: Array) -> None:
        self.w = self.w[:, columns]

    def predict(self, D: Array) -> Array:
        """Return J D, shape (n, m, K)."""
        return self.objective.jacobian_dot(D).transpose(0, 2, 1).astype(np.float64, copy=False)

    def gradient(self, D: Array, JD: Array) -> Array:
        weighted = self.w[:, :, None] * self.objective.loss.gradient(self.y, self.eta + JD)
        out: Array = self._pull(weighted) + self.l2 * (self.theta + D)
        return out

    def slope(self, D: Array, JD: Array, S: Array, JS: Array) -> Array:
        """Return the derivative along S, shape (m,)."""
        g = self.objective.loss.gradient(self.y, self.eta + JD)
        along: Array = np.einsum("imk,imk,im->m", g, JS, self.w)
        out: Array = along + np.sum(self.l2 * (self.theta + D) * S, axis=0)
        return out

    def curvature(self, JD: Array) -> Callable[[Array, Array], Array]:
        """Return the Hessian of every column, as the map from S and J S to its product with S."""
        product = self.objective.loss.hessian_product(self.y, self.eta + JD)
        w = self.w[:, :, None]
        return lambda S, JS: self._pull(w * product(JS)) + self.l2 * S

    def _pull(self, B: Array) -> Array:
        return self.objective.jacobian_t_dot(B.transpose(0, 2, 1))


def _newton_cg(problem: _Without, D: Array, *, rtol: float, max_iter: int) -> tuple[Array, Array]:
    """Minimise every column; return the changes and whether each converged."""
    out, converged = D.copy(), np.zeros(D.shape[1], dtype=bool)
    active = np.arange(D.shape[1])
    origin = np.zeros((D.shape[0], D.shape[1]))
    caused = _norm(problem, problem.gradient(origin, problem.predict(origin)))
    goal = np.maximum(rtol * caused, ROUNDING * np.sqrt(max(problem.objective.value(), 0.0)))
    JD = problem.predict(D)
    for _ in range(max_iter):
        gradient = problem.gradient(D, JD)
        size = _norm(problem, gradient)
        done = size <= goal
        if np.any(done):
            out[:, active[done]] = D[:, done]
            converged[active[done]] = True
            keep = np.flatnonzero(~done)
            active, D, JD = active[keep], D[:, keep], JD[:, keep]
            gradient, size = gradient[:, keep], size[keep]
            goal, caused = goal[keep], caused[keep]
            problem.take(keep)
        if not len(active):
            break
        forcing = np.minimum(0.1, np.sqrt(size / caused))
        S, JS = _cg(problem, problem.curvature(JD), -gradient, forcing)
        t = _step_lengths(problem, D, JD, S, JS)
        D, JD = D + t * S, JD + t[None, :, None] * JS
    out[:, active] = D
    return out, converged


def _cg(
    problem: _Without,
    times: Callable[[Array, Array], Array],
    B: Array,
    rtol: Array,
    max_iter: int = 200,
) -> tuple[Array, Array]:
    """Solve H_i s_i = b_i for every column by preconditioned conjugate gradients."""
    S, R = np.zeros_like(B), B.copy()
    JS = np.zeros((problem.objective.n_samples, B.shape[1], problem.objective.loss.n_outputs))
    Z = problem.factor.solve(R)
    P, rz = Z.copy(), np.sum(R * Z, axis=0)
    stop = rtol**2 * rz
    for _ in range(max_iter):
        open_ = rz > stop
        if not np.any(open_):
            break
        JP = problem.predict(P)
        HP = times(P, JP)
        pHp = np.sum(P * HP, axis=0)
        open_ &= pHp > 0
        alpha = np.where(open_, rz / np.where(pHp > 0, pHp, 1.0), 0.0)
        S += alpha * P
        JS += alpha[None, :, None] * JP
        R -= alpha * HP
        Z = problem.factor.solve(R)
        new = np.sum(R * Z, axis=0)
        P = Z + np.where(open_, new / np.where(rz > 0, rz, 1.0), 0.0) * P
        rz = np.where(open_, new, 0.0)
    return S, JS


def _step_lengths(problem: _Without, D: Array, JD: Array, S: Array, JS: Array) -> Array:
    """Return, per column, a step that at least halves the (negative) slope along S.

    For a convex function this needs no values, which near the minimum are all rounding.
    """
    first = problem.slope(D, JD, S, JS)
    t = np.ones(D.shape[1])
    for _ in range(30):
        over = problem.slope(D + t * S, JD + t[None, :, None] * JS, S, JS) > -0.5 * first
        if not np.any(over):
            break
        t = np.where(over, 0.5 * t, t)
    return t


def _norm(problem: _Without, gradient: Array) -> Array:
    squares = np.sum(gradient * problem.factor.solve(gradient), axis=0)
    out: Array = np.sqrt(np.maximum(squares, 0.0))
    return out
