"""Removals under an l1 penalty, where a row may take coefficients out of the model or bring some.

The other methods stay on the support of the fitted model, with its signs. Here the minimum on that
support is where to begin, and every edit goes on to its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skinfluence.active_set import ENTERS, settle_or_cool
from skinfluence.messages import warn
from skinfluence.objectives import Fixed, LinearObjective, Objective
from skinfluence.objectives.base import row_blocks
from skinfluence.removal.base import Counterfactuals, Removal, in_threads
from skinfluence.removal.edited import Edited
from skinfluence.removal.edits import Edits
from skinfluence.removal.exact import ExactRemoval
from skinfluence.removal.groups import GroupRemoval
from skinfluence.removal.one_step import shared_directions
from skinfluence.solvers import Factor

Array = npt.NDArray[Any]

Factorize = Callable[[Objective], Factor]


@dataclass(frozen=True, eq=False)
class SettledRemoval(ExactRemoval):
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
        for column in np.flatnonzero(self._unsettled(rows, D)):
            i = int(rows[column])
            D[:, column] = _settle(self.whole, D[:, column], self._edited(i), self.factorize)
        return _named_failures(D, rows)

    def _unsettled(self, rows: Array, D: Array) -> Array:
        """Return which minima on the support are not those in all parameters, shape (m,)."""
        edits, whole = self.everywhere, self.whole
        assert whole.l1 is not None
        smooth = Edits(replace(whole, l1=None), edits.leaving, edits.coming)
        after = Edited.of_rows(smooth, rows, shared_directions(whole), self.factors[0])
        gradient, _ = after.gradient(D)
        theta = whole.theta[:, None]
        penalised = (whole.l1 > 0)[:, None]
        flips = penalised & (np.sign(theta) * (theta + D) < 0)
        beyond = np.abs(gradient) > (1.0 + ENTERS) * whole.l1[:, None]
        enters = penalised & (theta == 0) & beyond
        out: Array = np.any(flips | enters, axis=0)
        return out

    def _edited(self, i: int) -> LinearObjective:
        """Return the objective after one edit, over all parameters."""
        edits, whole = self.everywhere, self.whole
        ratios = edits.ratios[i : i + 1]
        w = _weights_after(whole, ratios)
        if edits.leaving:
            w[i] = 0.0
        after = whole.weighing(w)
        if edits.coming is None:
            return after
        back = edits.coming.rows(np.array([i]))
        assert isinstance(back, LinearObjective)
        return _joined(after, back, back.sample_weight * back.weighting.own(ratios))


@dataclass(frozen=True, eq=False)
class SettledGroups(Counterfactuals):
    """The change of all parameters without each group, at its minimum under an l1 penalty.

    Attributes
    ----------
    groups : GroupRemoval
        Exact on the support.
    whole : LinearObjective
    factorize : callable
    """

    groups: GroupRemoval
    whole: LinearObjective
    factorize: Factorize
    method = "exact"

    @property
    def objective(self) -> Objective:
        return self.whole

    @property
    def n_edits(self) -> int:
        return self.groups.n_edits

    def changes(self, rows: Array) -> Array:
        base = self.groups.base
        assert isinstance(base, LinearObjective)
        D = np.zeros((self.whole.n_params, len(rows)))
        D[base.support] = self.groups.changes(rows)
        for column, j in enumerate(rows):
            D[:, column] = _settle(self.whole, D[:, column], self._edited(int(j)), self.factorize)
        return _named_failures(D, rows)

    def _edited(self, j: int) -> LinearObjective:
        mask, weighting = self.groups.masks[[j]], self.whole.weighting
        w = _weights_after(self.whole, weighting.ratios(mask @ weighting.counted()))
        w[mask.indices] = 0.0
        return self.whole.weighing(w)


def settled(found: ExactRemoval, everywhere: Edits, factorize: Factorize) -> SettledRemoval:
    """Return exact removals on the support, gone on to their own minima in all parameters."""
    fields = {**vars(found), "whole": everywhere.base}
    return SettledRemoval(**fields, everywhere=everywhere, factorize=factorize)


def _settle(
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
        found = settle_or_cool(edited.at(np.where(flipped, 0.0, theta)), factorize, goal)
    except ValueError:
        return np.full_like(change, np.nan)
    out: Array = found.theta - whole.theta
    return out


def _named_failures(D: Array, edits: Array) -> Array:
    """Return the changes, 0 for edits without which no minimum was reached, after naming them."""
    failed = np.isnan(D).any(axis=0)
    if np.any(failed):
        D[:, failed] = 0.0
        warn(
            f"Without each of {edits[failed][:20].tolist()} ({int(failed.sum())} in all) no "
            "minimum was reached under the l1 penalty: it may not be the only one. Their scores "
            "are 0. Fit with an l2 penalty beside it.",
            ConvergenceWarning,
        )
    return D


def _weights_after(whole: LinearObjective, ratios: Array) -> Array:
    if not ratios.shape[1]:
        return whole.sample_weight.copy()
    weights: Array = whole.weighting.all_weights(ratios, whole.sample_weight)[:, 0].copy()
    return weights


def _joined(base: LinearObjective, row: LinearObjective, w: Array) -> LinearObjective:
    """Return an objective with one more row."""
    stack = sparse.vstack if sparse.issparse(base.X) else np.vstack
    X: Any = stack([base.X, row.X])
    return replace(
        base,
        X=X.tocsr() if sparse.issparse(X) else X,
        y=np.concatenate([base.targets, row.targets]),
        sample_weight=np.concatenate([base.sample_weight, w]),
        weighting=Fixed(base.n_samples + 1),
    )


def warn_of_moving_support(removal: Removal, everywhere: Edits) -> None:
    """Name the edits whose step changes a sign or brings a coefficient in."""
    moving = moving_support(removal, everywhere)
    if len(moving):
        named = ", ".join(map(str, moving[:20])) + (", ..." if len(moving) > 20 else "")
        edits = "Without each of" if everywhere.coming is None else "After the change of each of"
        warn(
            f"{edits} the rows {named} ({len(moving)} in all) other coefficients would be 0 than "
            f"now. method={removal.method!r} keeps those of the fitted model; use method='exact' "
            "for these rows.",
            UserWarning,
        )


def moving_support(removal: Removal, everywhere: Edits) -> Array:
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
    units = np.zeros((whole.n_params, base.n_params))
    units[base.support, np.arange(base.n_params)] = 1.0
    H = whole.hvp(units)[outside] if len(outside) else np.empty((0, base.n_params))
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
            G = gradient + H @ D - own - E @ removal.shares[rows].T
            moved |= np.any(np.abs(G) > limit, axis=0)
        found.append(index[moved])
    return np.concatenate(found)
