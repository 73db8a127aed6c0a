"""Removals under an l1 penalty, where a row may take coefficients out of the model or bring some.

The other methods stay on the support of the fitted model, with its signs. Here the minimum on that
support is where to begin, and every edit goes on to its own.
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
from skinfluence.process.threads import in_threads
from skinfluence.process.warnings import warn
from skinfluence.removal.base import Counterfactuals, Removal
from skinfluence.removal.edited import Edited, row_edits
from skinfluence.removal.edits import Edits
from skinfluence.removal.exact import ExactRemoval
from skinfluence.removal.groups import GroupRemoval
from skinfluence.removal.one_step import shared_directions
from skinfluence.solvers import Factor
from skinfluence.typing import Array

Factorize = Callable[[Objective], Factor]


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

        in_threads(fill, self.column_blocks(np.arange(self.n_edits)), n_jobs)
        return out

    def changes(self, rows: Array) -> Array:
        base = self.edits.base
        assert isinstance(base, LinearObjective)
        D = np.zeros((self.whole.n_params, len(rows)))
        D[base.support] = super()._minima(rows)
        for column in np.flatnonzero(self._support_changed(rows, D)):
            i = int(rows[column])
            D[:, column] = _minimise_l1(
                self.whole, D[:, column], self.everywhere.after(i), self.factorize
            )
        return _named_failures(D, rows)

    def _support_changed(self, rows: Array, D: Array) -> Array:
        """Return which minima on the support are not those in all parameters, shape (m,)."""
        edits, whole = self.everywhere, self.whole
        assert whole.l1 is not None
        smooth = Edits(replace(whole, l1=None), edits.leaving, edits.coming)
        stated = row_edits(smooth, rows, shared_directions(whole))
        after = Edited(factor=self.factors[0], damping=0.0, **stated)
        gradient, _ = after.gradient(D)
        theta = whole.theta[:, None]
        penalised = (whole.l1 > 0)[:, None]
        flips = penalised & (np.sign(theta) * (theta + D) < 0)
        beyond = np.abs(gradient) > (1.0 + ENTERS) * whole.l1[:, None]
        enters = penalised & (theta == 0) & beyond
        return np.any(flips | enters, axis=0)


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
        D = self.groups.changes(rows)
        all_parameters = zip(rows, self._spread(D).T, strict=True)
        changed = np.array([self._changes_support(int(j), d) for j, d in all_parameters])
        if np.any(changed):
            warn(
                f"Removing {self.groups.named(rows[changed])} changes the active set; "
                f"method={self.method!r} keeps the fitted one. Use method='exact'.",
                UserWarning,
            )
        return D

    def _spread(self, D: Array) -> Array:
        """Return changes on the support as changes of all parameters."""
        assert isinstance(self.groups.base, LinearObjective)
        out = np.zeros((self.whole.n_params, D.shape[1]))
        out[self.groups.base.support] = D
        return out

    def _changes_support(self, j: int, change: Array) -> bool:
        """Return whether the minimum without a group has another support, seen from a step."""
        after = self._edited(j).at(self.whole.theta + change)
        assert after.l1 is not None
        flips = (after.l1 > 0) & (np.sign(self.whole.theta) * after.theta < 0)
        outside = (after.l1 > 0) & (self.whole.theta == 0)
        enters = outside & (np.abs(after.smooth_gradient()) > (1.0 + 1e3 * ENTERS) * after.l1)
        return bool(np.any(flips | enters))

    def _edited(self, j: int) -> LinearObjective:
        mask, weighting = self.groups.masks[[j]], self.whole.weighting
        ratios = weighting.ratios(mask @ weighting.counted())
        w = weighting.all_weights(ratios, self.whole.sample_weight)[:, 0]
        w[mask.indices] = 0.0
        return self.whole.with_weights(w)


class ActiveSetGroups(SupportGroups):
    """The change of all parameters without each group at its minimum, under an l1 penalty."""

    @property
    def objective(self) -> Objective:
        return self.whole

    def changes(self, rows: Array) -> Array:
        names = self.groups.names
        D = self._spread(self.groups.changes(rows))
        for column, j in enumerate(rows):
            edited = self._edited(int(j))
            D[:, column] = _minimise_l1(self.whole, D[:, column], edited, self.factorize)
        return _named_failures(D, rows if names is None else names[rows])


def on_active_set(found: ExactRemoval, everywhere: Edits, factorize: Factorize) -> ActiveSetRemoval:
    """Return exact removals on the support, gone on to their own minima in all parameters."""
    fields = {**vars(found), "whole": everywhere.base}
    return ActiveSetRemoval(**fields, everywhere=everywhere, factorize=factorize)


def _minimise_l1(
    whole: LinearObjective, change: Array, edited: LinearObjective, factorize: Factorize
) -> Array:
    """Return the change to the minimum of an edited objective, from a place near it.

    NaN where none is reached.
    """
    assert whole.l1 is not None
    theta = whole.theta + change
    flipped = (whole.l1 > 0) & (np.sign(theta) * np.sign(whole.theta) < 0)
    goal = 1e-13 * np.sqrt(max(whole.value(), 0.0))
    try:
        found = minimise_l1(edited.at(np.where(flipped, 0.0, theta)), factorize, goal)
    except ValueError:
        return np.full_like(change, np.nan)
    return found.theta - whole.theta


def _named_failures(D: Array, edits: Array) -> Array:
    """Return the changes, 0 for edits without which no minimum was reached, after naming them."""
    failed = np.isnan(D).any(axis=0)
    if np.any(failed):
        D[:, failed] = 0.0
        warn(
            f"After the edit of each of the rows or groups {edits[failed][:20].tolist()} "
            f"({int(failed.sum())} in all) no minimum was reached under the l1 penalty: it may not "
            "be the only one. Their scores are 0. Fit with an l2 penalty beside it.",
            ConvergenceWarning,
        )
    return D


def warn_of_changed_supports(removal: Removal, everywhere: Edits) -> None:
    """Name the edits whose step changes a sign or brings a coefficient in."""
    moving = changed_supports(removal, everywhere)
    if len(moving):
        named = ", ".join(map(str, moving[:20])) + (", ..." if len(moving) > 20 else "")
        edit = "Removing" if everywhere.coming is None else "Changing"
        warn(
            f"{edit} each of the rows {named} ({len(moving)} in all) changes the active set; "
            f"method={removal.method!r} keeps the fitted one. Use method='exact' for these rows.",
            UserWarning,
        )


def changed_supports(removal: Removal, everywhere: Edits) -> Array:
    """Return the edits after which other coefficients are 0, as far as one step can tell.

    The derivative at coefficients that are 0 is taken along the step, to first order.
    """
    base, whole, features = removal.objective, everywhere.base, everywhere.features
    assert isinstance(whole, LinearObjective) and isinstance(features, LinearObjective)
    assert isinstance(base, LinearObjective) and base.support is not None
    assert whole.l1 is not None and removal.coefficients is not None
    outside = np.setdiff1d(np.arange(whole.n_params), base.support)
    gradient = whole.smooth_gradient()[outside, None]
    limit = whole.l1[outside, None] * (1.0 + 1e3 * ENTERS)
    H = None
    if 24.0 * whole.n_params * base.n_params < available_memory() / 4:
        units = np.zeros((whole.n_params, base.n_params))
        units[base.support, np.arange(base.n_params)] = 1.0
        H = whole.hvp(units)[outside]
    E = whole.weighted_grad_sum(whole.weighting.shared_columns(whole.sample_weight))[outside]
    penalised = whole.l1[base.support] > 0
    found = []
    for rows in row_blocks(removal.n_edits, whole.n_params):
        index = np.arange(removal.n_edits)[rows]
        D = removal.changes(index)
        flips = penalised[:, None] & (np.sign(base.theta)[:, None] * (base.theta[:, None] + D) < 0)
        moved = np.any(flips, axis=0)
        if len(outside):
            own = features.rows(rows).jacobian_t_rows(removal.coefficients[rows])[outside]
            if H is None:  # a product with all rows for every block of edits
                spread = np.zeros((whole.n_params, len(index)))
                spread[base.support] = D
                HD = whole.hvp(spread)[outside]
            else:
                HD = H @ D
            G = gradient + HD - own - E @ removal.shares[rows].T
            moved |= np.any(np.abs(G) > limit, axis=0)
        found.append(index[moved])
    return np.concatenate(found)
