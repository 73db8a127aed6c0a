"""Groups of rows that leave models that are not linear in their parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skinfluence.curvature import Inverse
from skinfluence.minimisers.trust_region import Problem
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.process.warnings import warn
from skinfluence.removal.edits import Edits, shared_directions
from skinfluence.removal.groups import GroupRemoval, inverse_without
from skinfluence.removal.nonlinear import (
    FARTHEST_SHIFT,
    MOST_REMAINING,
    UNTRUSTED,
    Refits,
    UnreliableSteps,
    exceeds_trust,
    remaining_gradients,
)
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class LocalGroups(Refits):
    """Local refits without each of several groups of rows, or with other targets of these.

    Attributes
    ----------
    base : Objective
        Over the training rows, at its optimum.
    masks : CSR matrix of bool, shape (n_groups, n_samples)
    names : ndarray of shape (n_groups,) or None
        What a warning calls the groups; None where they are just rows.
    coming : Objective or None
        The training rows with the targets with which those of a group come back.
    """

    base: Objective
    masks: Any
    names: Array | None
    coming: Objective | None = None

    @property
    def objective(self) -> Objective:
        return self.base

    @property
    def n_edits(self) -> int:
        return int(self.masks.shape[0])

    def problem(self, rows: Array) -> Problem:
        if self.coming is None:
            return without_groups(self.base, self.masks[rows])
        edits, masks = Edits(self.base, coming=self.coming), self.masks[rows]
        W, arriving = np.zeros((2, self.base.n_samples, len(rows)))
        for j in range(len(rows)):
            members = masks[[j]].indices
            W[:, j], part = edits.together(members)
            assert part is not None
            arriving[members, j] = part.sample_weight
        return Problem(self.base, W, self.coming, arriving=arriving)

    def named(self, edits: Array) -> str:
        if self.names is None:
            return "these rows"
        return f"each of the groups {self.names[edits][:20].tolist()} ({len(edits)} in all)"


@dataclass(frozen=True, eq=False)
class GroupSteps(UnreliableSteps, GroupRemoval):
    """Newton steps without groups of rows, of a model that is not linear in its parameters.

    The joint step with the (Gauss-Newton) curvature of the group out.
    """

    method = "newton"

    def changes(self, rows: Array) -> Array:
        masks, weighting = self.masks[rows], self.base.weighting
        ratios = weighting.ratios(masks @ weighting.counted())
        A = weighting.all_weights(ratios, self.base.sample_weight) * masks.T.toarray()
        pushes = self.base.weighted_grad_sum(A) + shared_directions(self.base) @ (1.0 - ratios).T
        weights = weighting.all_weights(ratios, self.base.sample_weight)
        out = np.empty_like(pushes)
        for j, group in enumerate(rows):
            gone = masks.indices[masks.indptr[j] : masks.indptr[j + 1]]
            moved = weights[:, j] if ratios.shape[1] else None
            out[:, [j]] = self._inverse(gone, moved).solve(pushes[:, [j]])
            if self._exceeds_trust(gone, out[:, [j]]):
                self.flagged[int(group)] = np.inf
        problem = without_groups(self.base, masks)
        remaining = remaining_gradients(problem, pushes, out, self.factor, self.n_edits)
        if remaining is not None:
            self.flagged.update(dict.fromkeys(rows[remaining > MOST_REMAINING].tolist(), np.inf))
        return out

    def _exceeds_trust(self, gone: Array, change: Array) -> bool:
        """Return whether a step takes its own rows elsewhere than their derivatives say."""
        if not len(gone) or not isinstance(self.base, OutputObjective):
            return False
        part = self.base.rows(gone)
        linear = part.jacobian_dot(change)[:, :, 0].reshape(1, -1)
        moved = part.prediction_changes(change)[:, 0].reshape(1, -1)
        scale = self.base.loss.curvature_scale
        far = scale is not None and np.abs(linear).max() > FARTHEST_SHIFT * scale
        return bool(far or exceeds_trust(linear, moved)[0])

    def _inverse(self, gone: Array, weights: Array | None) -> Inverse:
        if isinstance(self.base, OutputObjective):
            return inverse_without(self.base, gone, weights, self.factor, self.factorize)
        kept = np.delete(np.arange(self.base.n_samples), gone)
        w = self.base.sample_weight if weights is None else weights
        return self.factorize(self.base.rows(kept).with_weights(w[kept]))

    def warn_of(self, edits: Array, worst: float) -> None:
        warn(
            f"The Newton step without {self.named(edits)} {UNTRUSTED}",
            UserWarning,
        )


def without_groups(base: Objective, masks: Any) -> Problem:
    """Return the objectives without each row of `masks`, CSR of shape (m, n_samples)."""
    ratios = base.weighting.ratios(masks @ base.weighting.counted())
    weights = base.weighting.all_weights(ratios, base.sample_weight)
    W = np.array(np.broadcast_to(weights, (base.n_samples, masks.shape[0])))
    W[masks.toarray().T] = 0.0
    return Problem(base, W)
