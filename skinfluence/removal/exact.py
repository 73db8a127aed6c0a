"""The exact minimum without a row, for many rows at once.

Two phases share two products of matrices, J D and J' B, for all columns of a block:

1. chord steps: the factor of the full data with each row's own block taken out (Woodbury) is so
   close to the curvature of the remaining rows that a step shrinks the error tenfold or more, at
   the price of one solve and the two products;
2. the few columns that do not shrink (the curvature moved too far) get Newton steps of their own,
   by conjugate gradients with the same factor as preconditioner.

Columns that have converged leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature
from skinfluence.minimisers.newton import STRIDE, minimum
from skinfluence.objectives import LinearObjective
from skinfluence.objectives.row_space import Axes, lifted, within
from skinfluence.process.blocks import edit_elements, n_rows_of, row_blocks
from skinfluence.process.memory import require_memory
from skinfluence.process.progress import counted
from skinfluence.process.row_names import named_rows
from skinfluence.process.warnings import warn
from skinfluence.removal.base import Removal, edit_blocks
from skinfluence.removal.edited import Edited, EditedRows
from skinfluence.removal.edits import Edits
from skinfluence.solvers import Cholesky, Factor
from skinfluence.typing import Array

ROUNDING = 1e-13
"""Gradients below this, in units of sqrt(F), are rounding: |g|^2 / 2 is what F could still fall."""

SHRINKS = 0.25
"""Chord steps go on while each shrinks the gradient to this fraction."""


FLAT = 1e-14
"""Curvature along a direction, relative to that of the preconditioner, that is none."""

MOST_REACHED = 0.8
"""Part of the training rows above which all of them take part in the iteration."""

EXACT_RTOL = 1e-8
"""Gradient at which ``method="exact"`` is done, as a fraction of what the removal caused."""


@dataclass(frozen=True, eq=False)
class ExactRemoval(Removal):
    """The change by each edit at the exact minimum, found when it is asked for and not kept.

    Attributes
    ----------
    whole : LinearObjective
        Over the training rows, at its optimum; that of `edits` may be in fewer coordinates.
    axes : Axes or None
        What those coordinates are, where they are others.
    rtol : float
        Gradient at which an edit is done, as a fraction of what it caused.
    """

    whole: LinearObjective
    axes: Axes | None
    rtol: float = field(default=EXACT_RTOL, kw_only=True)
    columnwise = True

    @property
    def objective(self) -> LinearObjective:
        return self.whole

    def own_predictions(self, n_jobs: int | None = None) -> Array:
        features = self.edits.features
        assert isinstance(features, LinearObjective)
        out = np.empty((self.n_edits, features.loss.n_outputs))

        def fill(rows: Array) -> None:
            out[rows] = features.rows(rows).jacobian_rows_dot(self._minima(rows))

        self.in_blocks(fill, n_jobs)
        return out

    def changes(self, rows: Array) -> Array:
        minima = self._minima(rows)
        return minima if self.axes is None else lifted(self.axes, minima, self.whole.loss.n_outputs)

    def changes_along(self, U: Array, n_jobs: int | None = None) -> Array:
        if self.axes is None:
            return super().changes_along(U, n_jobs)
        # The axes are orthonormal: U meets the minima in their coordinates, and none is lifted.
        base = self.edits.base
        assert isinstance(base, LinearObjective)
        small = replace(self, axes=None, whole=base)
        return small.changes_along(within(self.axes, U, self.whole.loss.n_outputs), n_jobs)

    def _minima(self, rows: Array) -> Array:
        at = np.isin(rows, self.guarded)  # rows of leverage 1 whose one step is exact
        out = np.empty((self.edits.base.n_params, len(rows)))
        out[:, at] = self.guarded_changes[:, np.searchsorted(self.guarded, rows[at])]
        out[:, ~at] = minimise_after(self, rows[~at], rtol=self.rtol)
        return out


def exact(newton: Callable[[Edits], Removal], edits: Edits) -> ExactRemoval:
    """Return the exact change by every edit.

    Where a penalised model has fewer rows than features, all that happens happens in the space the
    rows span: the iteration runs in coordinates of that space.

    Parameters
    ----------
    newton : callable
        Returns the unguarded Newton steps of edits, from which to go on.
    edits : Edits
    """
    assert isinstance(edits.base, LinearObjective)
    reduced = edits.in_row_space()
    small, axes = (edits, None) if reduced is None else reduced
    steps = {**vars(newton(small)), "method": "exact"}
    return ExactRemoval(**steps, whole=edits.base, axes=axes)


def in_row_space(
    removal: Removal, factorize: Callable[[Edits], list[Factor]]
) -> tuple[Removal, Axes | None]:
    """Return Newton steps in the space of the rows where that is much less work, and its axes.

    `factorize` returns the factors of the strata of edits stated in that space. Elsewhere the steps
    are returned as they are, and None.
    """
    base = removal.edits.base
    assert isinstance(base, LinearObjective)
    reduced = removal.edits.in_row_space() if base.row_space_is_small else None
    if reduced is None:
        return removal, None
    edits, axes = reduced
    small = replace(
        removal,
        edits=edits,
        shared=within(axes, removal.shared, base.loss.n_outputs),
        factors=tuple(factorize(edits)),
        guarded_changes=np.empty((edits.base.n_params, 0)),
    )
    return small, axes


def minimise_guarded(removal: Removal, axes: Axes | None, rows: Array, *, rtol: float) -> Array:
    """Return `minimise_after` of steps that are in the space of the rows, in all parameters."""
    changes = minimise_after(removal, rows, rtol=rtol)
    base = removal.edits.base
    assert isinstance(base, LinearObjective)
    return changes if axes is None else lifted(axes, changes, base.loss.n_outputs)


def minimise_after(removal: Removal, rows: Array, *, rtol: float, max_iter: int = 100) -> Array:
    """Return the changes of the parameters at the exact minimum after each of some edits.

    Parameters
    ----------
    removal : Removal
        Its steps are the starting points, its factors the preconditioners.
    rows : ndarray of int, shape (m,)
    rtol : float
        Stop when the gradient, in the norm of the inverse curvature, is below this fraction of
        the gradient that the edit itself caused, or below what rounding leaves of it.
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
    out, reached = minima_after(removal, rows, rtol=rtol, max_iter=max_iter)
    failed = np.sort(rows[~reached])
    if len(failed):
        warn(
            f"Without each of the rows {named_rows(failed)} no minimum was "
            f"reached in {max_iter} steps: the remaining rows may be separable, or the curvature "
            "nearly singular. Their scores are those of the last step. Fit with a stronger "
            "penalty, or, where a hinge is smoothed, raise temperature=.",
            ConvergenceWarning,
        )
    return out


def minima_after(
    removal: Removal, rows: Array, *, rtol: float, max_iter: int
) -> tuple[Array, Array]:
    """Return `minimise_after`, and which of the minima were reached, (m,); without a warning."""
    objective = removal.edits.base
    assert isinstance(objective, LinearObjective) and removal.coefficients is not None
    require_memory(
        8.0 * objective.n_params * len(rows),
        f"The parameters without each of {len(rows):,} rows that one Newton step cannot carry",
        "Fit with a stronger penalty, or use method='first_order'.",
    )
    out, reached = np.empty((objective.n_params, len(rows))), np.ones(len(rows), dtype=bool)
    for stratum in range(len(removal.factors)):
        members = np.flatnonzero(removal.strata[rows] == stratum)
        blocks, what = edit_blocks(len(members), objective), f"the minima of {len(members):,} rows"
        for block in counted(blocks, what, len(members), size=n_rows_of):
            columns = members[block]
            problem = EditedRows(removal, rows[columns], stratum)
            step = problem.step(removal.coefficients[rows[columns]])
            out[:, columns], converged = minimise(problem, step, rtol=rtol, max_iter=max_iter)
            for column in columns[~converged]:
                change = _by_cooling(removal, int(rows[column]))
                if change is None:
                    reached[column] = False
                else:
                    out[:, column] = change
    return out, reached


def _by_cooling(removal: Removal, row: int) -> Array | None:
    """Return the change to the minimum after one edit, at falling temperatures; None without one.

    Where hardly a row is left within the bend of a cold hinge, no step from the old minimum leads
    to the new one.
    """
    base = removal.edits.base
    assert isinstance(base, LinearObjective)
    if base.loss.temperature is None or base.tilt is not None or removal.damping > 0:
        return None
    try:
        cooled = minimum(
            removal.edits.after(np.array([row])), lambda part: Cholesky().factorize(Curvature(part))
        )
    except ValueError:
        return None
    return cooled.objective.theta - base.theta


def minimise(problem: Edited, D: Array, *, rtol: float, max_iter: int = 100) -> tuple[Array, Array]:
    """Minimise every column from D; return the changes and whether each converged.

    A column whose remaining rows are separated, without a penalty, has no minimum, however small
    its gradient: it has not converged.
    """
    # Steps that run away, where hardly any curvature is left, end as columns that did not converge.
    with np.errstate(over="ignore", invalid="ignore"):
        return _minimise(problem, D, rtol, max_iter)


def _minimise(problem: Edited, D: Array, rtol: float, max_iter: int) -> tuple[Array, Array]:
    D = np.where(np.isfinite(D).all(axis=0), D, 0.0)
    caused = np.where(np.isfinite(problem.caused), problem.caused, 0.0)
    goal = np.maximum(rtol * caused, ROUNDING * np.sqrt(max(problem.objective.value(), 0.0)))
    out, converged = np.zeros_like(D), caused == 0.0
    moving = np.flatnonzero(~converged)
    out[:, moving], converged[moving] = _chord(problem.take(moving), D[:, moving], goal[moving])
    width = problem.n_outputs * problem.objective.n_samples
    failed = np.flatnonzero(~converged)
    for block in row_blocks(len(failed), width, edit_elements()):
        columns = failed[block]
        out[:, columns], converged[columns] = _newton(
            problem.take(columns), out[:, columns], goal[columns], caused[columns], max_iter
        )
    if problem.may_recede:
        for block in row_blocks(len(caused), width, edit_elements()):
            part = problem.take(np.arange(len(caused))[block])
            converged[block] &= ~part.is_separated(out[:, block], part.predict(out[:, block]))
    return out, converged


def _chord(problem: Edited, D: Array, goal: Array) -> tuple[Array, Array]:
    """Take chord steps while they shrink the gradient; return the best and whether it is done.

    The first step is off by far more than single precision is, so it is computed in that. A column
    is done when its gradient is small, or when a bound on the gradient after the next step is.
    """
    out, converged = D.copy(), np.zeros(D.shape[1], dtype=bool)
    active = np.arange(D.shape[1])
    best = np.full(D.shape[1], np.inf)
    single = not problem.objective.constant_hessian
    while len(active):
        gradient, reach = problem.gradient(D.astype(np.float32) if single else D)
        gradient = gradient.astype(np.float64, copy=False)
        sane = np.isfinite(gradient).all(axis=0)
        Z, size = problem.precondition(np.where(sane, gradient, 0.0))
        size[~sane] = np.inf
        better = size < best
        out[:, active[better]] = D[:, better]
        done = np.zeros(len(active), dtype=bool)
        if not single:
            done = size <= goal[active]
            certain = ~done & (problem.after(gradient, Z, reach) <= goal[active])
            out[:, active[certain]] = D[:, certain] - Z[:, certain]
            done |= certain
            converged[active[done]] = True
        keep = np.flatnonzero(~done & sane & (size <= SHRINKS * best))
        if len(keep) < len(active):
            active, D, size = active[keep], D[:, keep], size[keep]
            Z, problem = Z[:, keep], problem.take(keep)
        best, single = size, False
        D = D - Z
    return out, converged


def _newton(
    problem: Edited, D: Array, goal: Array, caused: Array, max_iter: int
) -> tuple[Array, Array]:
    """Take damped Newton steps; return the changes and whether each column converged.

    Rows on a flat part of their loss (a hinge), further from its bends than the step goes, add
    nothing to the iteration. They are looked at again at its end.
    """
    # A step that overshoots into a flat part of the loss is a place from which nothing descends.
    JD = problem.predict(D)
    D = _step_lengths(problem, np.zeros_like(D), np.zeros_like(JD), D, JD) * D
    rows = problem.active_rows(D)
    while True:
        few = len(rows) < MOST_REACHED * problem.objective.n_samples
        part = problem.among(rows) if few else problem
        D, converged = _newton_cg(part, D, goal, caused, max_iter)
        if not few:
            return D, converged
        missed = np.setdiff1d(problem.active_rows(0.5 * D), rows)
        if not len(missed):
            return D, converged
        rows = np.union1d(rows, problem.active_rows(D))


def _newton_cg(
    problem: Edited, D: Array, goal: Array, caused: Array, max_iter: int
) -> tuple[Array, Array]:
    """Take damped Newton steps with all rows that count."""
    JD = problem.predict(D)
    out, converged = D.copy(), np.zeros(D.shape[1], dtype=bool)
    active = np.arange(D.shape[1])
    moved = np.zeros(D.shape[1])
    stride = STRIDE * (problem.objective.loss.curvature_scale or np.inf)
    for _ in range(max_iter):
        gradient, _ = problem.gradient(D)
        sane = np.isfinite(gradient).all(axis=0)
        size = problem.norm(np.where(sane, gradient, 0.0))
        done = sane & (size <= goal)
        out[:, active[sane]] = D[:, sane]
        converged[active[done]] = True
        if problem.may_recede:
            # Steps shrink to a minimum; where the gradient does and they do not, it is at infinity.
            converged[active[done & (moved > stride)]] = False
        keep = np.flatnonzero(sane & ~done)
        if len(keep) < len(active):
            active, D, JD = active[keep], D[:, keep], JD[:, keep]
            gradient, size = gradient[:, keep], size[keep]
            goal, caused, moved = goal[keep], caused[keep], moved[keep]
            problem = problem.take(keep)
        if not len(active):
            break
        forcing = np.minimum(0.1, np.sqrt(size / caused))
        S, JS = _cg(problem, problem.curvature(D, JD), -gradient, forcing)
        t = _step_lengths(problem, D, JD, S, JS)
        JS *= t[None, :, None]
        D, JD = D + t * S, JD + JS
        moved = np.maximum(JS.max(axis=(0, 2)), -JS.min(axis=(0, 2)))
    return out, converged


def _cg(
    problem: Edited,
    times: Callable[[Array, Array], Array],
    B: Array,
    rtol: Array,
    max_iter: int = 200,
) -> tuple[Array, Array]:
    """Solve H_i s_i = b_i for every column by preconditioned conjugate gradients."""
    S, R = np.zeros_like(B), B.copy()
    JS = np.zeros((problem.objective.n_samples, B.shape[1], problem.objective.loss.n_outputs))
    Z = problem.apply(R)
    P, rz = Z.copy(), np.sum(R * Z, axis=0)
    stop = rtol**2 * rz
    for _ in range(max_iter):
        open_ = rz > stop
        if not np.any(open_):
            break
        JP = problem.predict(P)
        HP = times(P, JP)
        pHp = np.sum(P * HP, axis=0)
        open_ &= (pHp > FLAT * rz) & (pHp < np.inf)
        HP[:, ~open_] = 0.0
        alpha = np.where(open_, rz / np.where(open_, pHp, 1.0), 0.0)
        S += alpha * P
        JS += alpha[None, :, None] * JP
        R -= alpha * HP
        Z = problem.apply(R)
        new = np.sum(R * Z, axis=0)
        P = Z + np.where(open_, new / np.where(rz > 0, rz, 1.0), 0.0) * P
        rz = np.where(open_, new, 0.0)
    return S, JS


def _step_lengths(problem: Edited, D: Array, JD: Array, S: Array, JS: Array) -> Array:
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
