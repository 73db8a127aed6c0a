"""Removals under an l1 penalty, where a row may take coefficients out of the model or bring some.

First order and Newton stay on the support of the fitted model, with its signs. "exact" begins with
the minimum there, and every edit goes on to its own. So do Newton steps that end far beyond 0, or
that the other rows do not determine, but among the fitted coefficients alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skinfluence.minimisers.active_set import ENTERS, minimise_l1
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.process.blocks import row_blocks
from skinfluence.process.memory import available_memory
from skinfluence.process.row_names import named_rows
from skinfluence.process.tuning import tuning
from skinfluence.process.warnings import warn
from skinfluence.removal.base import Counterfactuals, Removal, edit_blocks
from skinfluence.removal.edited import Edited, EditedRows, row_edits
from skinfluence.removal.edits import Edits, shared_directions
from skinfluence.removal.exact import ROUNDING, ExactRemoval, minima_after, minimise
from skinfluence.removal.groups import GROUP_RTOL, ExactGroups, GroupRemoval, NewtonGroups
from skinfluence.removal.guard import beyond_zero
from skinfluence.removal.leverages import ALONE
from skinfluence.solvers import Factor
from skinfluence.typing import Array

Factorize = Callable[[Objective], Factor]

FEW_STEPS = 10
"""Newton steps after which a minimum on the support is given up: F may have none there."""


@dataclass(frozen=True, eq=False)
class ActiveSetRemoval(ExactRemoval):
    """The change of all parameters by each edit of one row, at its minimum under an l1 penalty.

    Attributes
    ----------
    everywhere : Edits
        Those of `edits`, in all parameters.
    factorize : callable
    """

    everywhere: Edits
    factorize: Factorize

    def own_predictions(self, n_jobs: int | None = None) -> Array:
        features = self.everywhere.features
        assert isinstance(features, LinearObjective)
        out = np.empty((self.n_edits, features.loss.n_outputs))

        def fill(rows: Array) -> None:
            out[rows] = features.rows(rows).jacobian_rows_dot(self.changes(rows))

        self.in_blocks(fill, n_jobs)
        return out

    def changes(self, rows: Array) -> Array:
        return minima_under_l1(self, self.everywhere, rows, self.factorize, rtol=self.rtol)


def minima_under_l1(
    removal: Removal, everywhere: Edits, rows: Array, factorize: Factorize, *, rtol: float
) -> Array:
    """Return the changes of all parameters at the minima after some edits, (n_params, m).

    The minimum on the support, with its signs, is where to begin; where that is not the one under
    the penalty, or there is none, the active set is followed.

    Parameters
    ----------
    removal : Removal
        Unguarded Newton steps on the support.
    everywhere : Edits
        The same edits, in all parameters that may be other than 0.
    rows : ndarray of int, shape (m,)
    factorize : callable
    rtol : float
        As `minimise_after`.
    """
    whole, base = everywhere.base, removal.edits.base
    assert isinstance(whole, LinearObjective) and isinstance(base, LinearObjective)
    assert removal.leverage is not None
    own = removal.leverage[rows] > 1.0 - ALONE  # on the support, where the penalty is a line
    support = slice(None) if whole.n_params == base.n_params else base.support
    D = np.zeros((whole.n_params, len(rows)))
    steps = np.zeros((base.n_params, len(rows)))
    steps[:, ~own], reached = minima_after(removal, rows[~own], rtol=rtol, max_iter=FEW_STEPS)
    own[~own] = ~reached
    D[support] = steps
    D[:, own] = 0.0
    own |= _support_changed(removal, everywhere, rows, D)
    columns = np.flatnonzero(own)
    for column, caused in zip(columns, _caused(removal, rows[columns]), strict=True):
        edited = everywhere.after(rows[[column]])
        D[:, column] = _minimise_l1(whole, D[:, column], edited, factorize, rtol * caused)
    return _named_failures(D, lambda failed: f"each of the rows {named_rows(rows[failed])}")


def _caused(removal: Removal, rows: Array) -> Array:
    """Return the norms of what some edits push along, in the inverse curvature, shape (m,)."""
    out = np.zeros(len(rows))
    for stratum in range(len(removal.factors)):
        members = np.flatnonzero(removal.strata[rows] == stratum)
        for block in edit_blocks(len(members), removal.edits.base):
            columns = members[block]
            out[columns] = EditedRows(removal, rows[columns], stratum).caused
    return out


def _support_changed(removal: Removal, everywhere: Edits, rows: Array, D: Array) -> Array:
    """Return which minima on the support are not those in all parameters, shape (m,)."""
    whole = everywhere.base
    assert isinstance(whole, LinearObjective) and whole.l1 is not None
    theta, signs = whole.theta[:, None], np.sign(whole.theta)[:, None]
    penalised = (whole.l1 > 0)[:, None]
    inside, outside = penalised & (signs != 0), penalised & (signs == 0)
    changed: Array = np.any(inside & (signs * (theta + D) <= 0), axis=0)
    if not np.any(outside):
        return changed
    smooth = Edits(replace(whole, l1=None), everywhere.leaving, everywhere.coming)
    stated = row_edits(smooth, rows, shared_directions(whole))
    after = Edited(factor=removal.factors[0], damping=0.0, **stated)
    beyond = np.abs(after.gradient(D)[0]) > (1.0 + ENTERS) * whole.l1[:, None]
    changed |= np.any(outside & beyond, axis=0)
    return changed


@dataclass(frozen=True, eq=False)
class SupportGroups(Counterfactuals):
    """The change without each group on the support of the fitted model, under an l1 penalty.

    Groups without which the support would be another are named.

    Attributes
    ----------
    groups : GroupRemoval
        On the support.
    whole : LinearObjective
    factorize : callable
    """

    groups: GroupRemoval
    whole: LinearObjective
    factorize: Factorize

    @property
    def method(self) -> str:  # type: ignore[override]
        return self.groups.method

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return self.groups.linear

    @property
    def objective(self) -> Objective:
        return self.groups.base

    @property
    def n_edits(self) -> int:
        return self.groups.n_edits

    def column_blocks(self, rows: Array) -> Iterator[Array]:
        """Cut some groups into blocks, as those on the support."""
        return self.groups.column_blocks(rows)

    def changes(self, rows: Array) -> Array:
        D = self.steps(rows)
        all_parameters = zip(rows, self.spread(D).T, strict=True)
        changed = np.array([self._changes_support(int(j), d) for j, d in all_parameters])
        if np.any(changed):
            warn(
                f"Removing {self.groups.named(rows[changed])} changes the active set; "
                f"method={self.method!r} keeps the fitted one. Use method='exact'.",
                UserWarning,
            )
        return D

    def steps(self, rows: Array) -> Array:
        """Return the changes of the parameters on the support."""
        return self.groups.changes(rows)

    def spread(self, D: Array) -> Array:
        """Return changes on the support as changes of all parameters."""
        assert isinstance(self.groups.base, LinearObjective)
        out = np.zeros((self.whole.n_params, D.shape[1]))
        out[self.groups.base.support] = D
        return out

    def minima(self, objective: LinearObjective, rows: Array, D: Array) -> Array:
        """Return the changes to the minima of an objective without some groups, begun at D."""
        columns = [
            _minimise_l1(objective, d, self._edited(objective, int(j)), self.factorize)
            for j, d in zip(rows, D.T, strict=True)
        ]
        found = np.stack(columns, axis=1) if columns else D
        return _named_failures(found, lambda failed: self.groups.named(rows[failed]))

    def _changes_support(self, j: int, change: Array) -> bool:
        """Return whether the minimum without a group has another support, seen from a step."""
        after = self._edited(self.whole, j).at(self.whole.theta + change)
        assert after.l1 is not None
        penalised, signs = after.l1 > 0, np.sign(self.whole.theta)
        leaves = penalised & (signs != 0) & (signs * after.theta <= 0)
        outside = penalised & (signs == 0)
        enters = outside & (np.abs(after.smooth_gradient()) > (1.0 + 1e3 * ENTERS) * after.l1)
        return bool(np.any(leaves | enters))

    def _edited(self, objective: LinearObjective, j: int) -> LinearObjective:
        mask, weighting = self.groups.masks[[j]], objective.weighting
        ratios = weighting.ratios(mask @ weighting.counted())
        w = weighting.all_weights(ratios, objective.sample_weight)[:, 0]
        w[mask.indices] = 0.0
        return objective.with_weights(w)


class NewtonSupportGroups(SupportGroups):
    """The joint Newton step without each group on the support.

    Where that is not trusted it is the minimum there; where there is none, or one far beyond 0, the
    minimum in the fitted coefficients under the penalty.
    """

    groups: NewtonGroups

    def steps(self, rows: Array) -> Array:
        base = self.groups.base
        assert isinstance(base, LinearObjective)
        problem, D = self.groups.edited(rows)
        astray = problem.flat
        trusted = problem.next_step(D) <= tuning().trusted_next_step
        on = np.flatnonzero(~astray & ~trusted)
        with_signs = minimise(problem.take(on), D[:, on], rtol=GROUP_RTOL, max_iter=FEW_STEPS)
        D[:, on], reached = with_signs
        astray[on] = ~reached
        D[:, astray] = 0.0
        astray |= beyond_zero(base, self.groups.factor, D, problem.pushes)
        within = base.within_support(self.groups.damping)
        D[:, astray] = self.minima(within, rows[astray], D[:, astray])
        return D


class ActiveSetGroups(SupportGroups):
    """The change of all parameters without each group at its minimum, under an l1 penalty."""

    groups: ExactGroups

    @property
    def objective(self) -> Objective:
        return self.whole

    def changes(self, rows: Array) -> Array:
        problem, D = self.groups.edited(rows)
        return self.minima(self.whole, rows, self.spread(np.where(problem.flat, 0.0, D)))


def on_active_set(found: ExactRemoval, everywhere: Edits, factorize: Factorize) -> ActiveSetRemoval:
    """Return exact removals on the support, gone on to their own minima in all parameters."""
    fields = {**vars(found), "whole": everywhere.base}
    return ActiveSetRemoval(**fields, everywhere=everywhere, factorize=factorize)


def _minimise_l1(
    whole: LinearObjective,
    change: Array,
    edited: LinearObjective,
    factorize: Factorize,
    goal: float = 0.0,
) -> Array:
    """Return the change to the minimum of an edited objective, from a place near it.

    NaN where none is reached.
    """
    assert whole.l1 is not None
    theta = whole.theta + change
    flipped = (whole.l1 > 0) & (np.sign(theta) * np.sign(whole.theta) < 0)
    goal = max(goal, ROUNDING * float(np.sqrt(max(whole.value(), 0.0))))
    try:
        found = minimise_l1(edited.at(np.where(flipped, 0.0, theta)), factorize, goal)
    except ValueError:
        return np.full_like(change, np.nan)
    return found.theta - whole.theta


def _named_failures(D: Array, named: Callable[[Array], str]) -> Array:
    """Return the changes, 0 for edits without which no minimum was reached, after naming them."""
    failed = np.flatnonzero(np.isnan(D).any(axis=0))
    if len(failed):
        D[:, failed] = 0.0
        warn(
            f"After the edit of {named(failed)} no minimum was reached under the l1 penalty: it "
            "may not be the only one. Their scores are 0. Fit with an l2 penalty beside it.",
            ConvergenceWarning,
        )
    return D


def warn_of_changed_supports(removal: Removal, everywhere: Edits) -> None:
    """Name the edits whose step changes a sign or brings a coefficient in."""
    moving = changed_supports(removal, everywhere)
    if len(moving):
        edit = "Removing" if everywhere.coming is None else "Changing"
        warn(
            f"{edit} each of the rows {named_rows(moving, None)} changes the active set; "
            f"method={removal.method!r} keeps the fitted one. Use method='exact' for these rows.",
            UserWarning,
        )


def changed_supports(removal: Removal, everywhere: Edits) -> Array:
    """Return the edits after which other coefficients are 0, as far as one step can tell.

    The derivative at coefficients that are 0 is taken along the step, to first order; where the
    step was guarded it is the derivative at its end.
    """
    base, whole, features = removal.objective, everywhere.base, everywhere.features
    assert isinstance(whole, LinearObjective) and isinstance(features, LinearObjective)
    assert isinstance(base, LinearObjective)
    assert base.tilt is not None and base.support is not None
    assert whole.l1 is not None and removal.coefficients is not None
    outside = np.flatnonzero((whole.theta == 0) & (whole.l1 > 0))
    gradient = whole.smooth_gradient()[outside, None]
    limit = whole.l1[outside, None] * (1.0 + 1e3 * ENTERS)
    E = whole.weighted_grad_sum(whole.weighting.shared_columns(whole.sample_weight))[outside]
    changed = np.zeros(removal.n_edits, dtype=bool)
    for stratum, hvp in enumerate(_curvatures(removal, whole, outside)):
        members = np.flatnonzero(removal.strata == stratum)
        for block in row_blocks(len(members), whole.n_params):
            rows = members[block]
            D = removal.changes(rows)
            changed[rows] = np.any(base.tilt[:, None] * (base.theta[:, None] + D) < 0, axis=0)
            if len(outside):
                own = features.rows(rows).jacobian_t_rows(removal.coefficients[rows])[outside]
                G = gradient + hvp(D) - own - E @ removal.shares[rows].T
                changed[rows] |= np.any(np.abs(G) > limit, axis=0)
    if len(removal.guarded):
        D = np.zeros((whole.n_params, len(removal.guarded)))
        D[base.support] = removal.guarded_changes
        changed[removal.guarded] = _support_changed(removal, everywhere, removal.guarded, D)
    return np.flatnonzero(changed)


def _curvatures(
    removal: Removal, whole: LinearObjective, outside: Array
) -> list[Callable[[Array], Array]]:
    """Return, for every stratum, the product of the curvature with steps on the support.

    Those rows of it that belong to the other coefficients, by weights as the step took them.
    """
    base = removal.edits.base
    assert isinstance(base, LinearObjective) and base.support is not None
    support = base.support
    w = whole.sample_weight[:, None].repeat(len(removal.factors), axis=1)
    if removal.shares.shape[1] and not removal.linear:
        w = whole.weighting.all_weights(removal.edits.typical_ratios(), whole.sample_weight)
    form = 24.0 * whole.n_params * base.n_params * w.shape[1] < available_memory() / 4

    def spread(D: Array) -> Array:
        out = np.zeros((whole.n_params, D.shape[1]))
        out[support] = D
        return out

    def product(weighed: LinearObjective) -> Callable[[Array], Array]:
        if not form:  # a product with all rows for every block of edits
            return lambda D: weighed.hvp(spread(D))[outside]
        H = weighed.hvp(spread(np.eye(base.n_params)))[outside]
        return lambda D: H @ D

    return [product(whole.with_weights(column)) for column in w.T]
