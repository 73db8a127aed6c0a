"""Trees, forests and boosted trees: the training goes again over the same splits."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from skinfluence.mechanisms.contract import Mechanism, Settings, register_mechanism
from skinfluence.objectives.boosting import BoostingObjective, ClassBoostingObjective
from skinfluence.objectives.forests import ForestObjective
from skinfluence.objectives.leaves import LeavesObjective
from skinfluence.removal import Counterfactuals, Edits
from skinfluence.removal.boosting import LeafRefits
from skinfluence.removal.boosting_derivatives import BoostingDerivatives, backwards, target_weights
from skinfluence.removal.boosting_steps import BoostingSteps, propagation
from skinfluence.removal.forests import (
    LeafEdits,
    LeafGroups,
    OutOfBag,
    leaf_weights,
    refuse_lone_rows,
)
from skinfluence.solvers import Factor
from skinfluence.typing import Array


class TreesMechanism(Mechanism):
    """Splits stay, and all leaves are computed again without the rows that leave."""

    changes = ("removal", "addition", "relabelling")
    default_method = "exact"
    held = ("the splits of the trees, and what is kept of nodes that are no leaves",)
    objective: LeavesObjective

    def __init__(self, objective: LeavesObjective) -> None:
        self.objective = objective

    @classmethod
    def at(cls, objective: Any, settings: Settings) -> Self:
        return cls(objective)

    @classmethod
    def assumption(cls, method: str, question: str) -> str:
        if method == "out_of_bag":
            return ""
        if method == "first_order":
            return (
                "Over the same splits, and to first order: the only row of a leaf has no effect, "
                "and a fit on other rows may choose other splits."
            )
        if question == "leave_one_out":
            return (
                "Over the same splits, which saw every row: losses are too small, the more the "
                "deeper the trees. How good the model is, cross-validation says."
            )
        if question == "self_influence":
            return "Over the same splits, which saw every row: a fit without it would move it more."
        return "Over the same splits: a fit on other rows may choose others."

    @classmethod
    def refits_for(cls, objective: Any) -> tuple[str, ...]:
        return ("structure",)

    @property
    def solver(self) -> str:
        counted, given = self.objective.sample_weight > 0, self.objective.n_samples
        unused = given - int(np.count_nonzero(counted))
        note = f"; {unused} row(s) of no weight, held out or given none, have no effect"
        return "none: leaves are computed again over the same splits" + (note if unused else "")

    @property
    def factor(self) -> Factor:
        raise ValueError(
            "influence_embedding was asked of trees, whose scores are no products of two vectors, "
            "one of a training row and one of a test row. Ask for prediction_weights, the share of "
            "each training row in each prediction, or for influence_scores."
        )

    def in_all_parameters(self, D: Array, changes: Counterfactuals) -> Array:
        """Return changes of all leaves, of one that is gone the change to what replaces it."""
        if not np.any(gone := np.isnan(D)):
            return D
        out = D.copy()
        for i in np.flatnonzero(gone.any(axis=1)):
            out[i] = self.objective.replaced(D[i])
        return out

    def without(self, masks: Any, method: str) -> tuple[LeavesObjective, LeavesObjective]:
        if method == "first_order":
            raise ValueError(
                "method='first_order' was given; a derivative leaves trees with leaves that are "
                "those of no rows, and such a copy could not be asked again. Pass method='exact'."
            )
        change = self.groups(masks, None, method).changes(np.array([0]))[:, 0]
        before = self.objective.rows(np.delete(np.arange(masks.shape[1]), masks.indices))
        return before, before.at(before.theta + change)

    def gradient_norm(self, objective: Any) -> float:
        """Return how far the leaves are from what they are for these rows.

        Of a leaf without rows that is still there, from what would replace it.
        """
        alive = ~np.isnan(objective.theta)
        off = objective.replaced(np.where(alive, objective.refitted() - objective.theta, 0.0))
        return float(np.linalg.norm(off[alive]))

    def test(self, test: Any, changes: Counterfactuals) -> Any:
        return test

    def _as_drawn(self, edits: Edits, method: str) -> Edits:
        """Return edits whose rows, where they come back, are drawn as they were."""
        if not edits.leaving:
            return edits
        if edits.coming is None:
            if method != "first_order":
                refuse_lone_rows(self.objective)
            return edits
        return replace(edits, coming=self._drawn(edits.coming))

    def _drawn(self, coming: Any) -> Any:
        """Return the training rows with other targets, drawn by each tree as they were."""
        return None if coming is None else self.objective.as_drawn(coming)


@register_mechanism(ForestObjective)
class ForestMechanism(TreesMechanism):
    """Trees that average their rows: every method but the derivative is exact."""

    methods = ("first_order", "newton", "exact", "out_of_bag")
    objective: ForestObjective

    @classmethod
    def default_for(cls, question: str, objective: Any) -> str:
        alone = question in ("leave_one_out", "self_influence", "label_audit")
        if alone and objective.bagged:
            return "out_of_bag"
        return super().default_for(question, objective)

    def edits(self, edits: Edits, method: str) -> Counterfactuals:
        if method == "out_of_bag":
            return OutOfBag(self.objective)
        self._refuse_unknown_weights(edits.coming)
        return LeafEdits(self._as_drawn(edits, method), method)

    def groups(
        self, masks: Any, names: Array | None, method: str, coming: Any = None
    ) -> Counterfactuals:
        if method == "out_of_bag":
            return OutOfBag(self.objective)
        self._refuse_unknown_weights(coming)
        return LeafGroups(self.objective, masks, names, method, self._drawn(coming))

    def _refuse_unknown_weights(self, coming: Any) -> None:
        draws = self.objective.draws
        if coming is not None and draws is not None and draws.dtype.kind == "f":
            raise ValueError(
                "Rows that come, or change their label, were asked about, and the trees of this "
                "forest weigh classes each by itself (class_weight='balanced_subsample', or of "
                "bagged trees): what such a row would weigh there is not known. Use "
                "class_weight='balanced' or a dict of the forest, or fit with the change."
            )

    def prediction_weights(self, test: Any) -> Array:
        return leaf_weights(self.objective, test)


@register_mechanism(BoostingObjective)
class BoostingMechanism(TreesMechanism):
    """Boosted trees of one output: a matrix says what leaves do to later ones.

    That is "newton", for rows that leave one by one. Everything else it is asked for is exact.
    """

    methods: ClassVar[tuple[str, ...]] = ("first_order", "newton", "exact")
    default_method = "newton"
    objective: BoostingObjective

    @classmethod
    def default_for(cls, question: str, objective: Any) -> str:
        if question in CHANGED_TOGETHER:
            return "exact"
        return super().default_for(question, objective)

    @cached_property
    def propagation(self) -> list[Array]:
        """What leaves do to later ones."""
        return propagation(self.objective)

    def edits(self, edits: Edits, method: str) -> Counterfactuals:
        edits = self._as_drawn(edits, method)
        if method == "first_order":
            return BoostingDerivatives(edits)
        removal = edits.leaving and edits.coming is None
        if removal and (method == "newton" or self.objective.minimised.constant_hessian):
            return self._steps(method)
        ranking = self._for_ranking if removal else None
        return LeafRefits(self.objective, edits, ranking=ranking)

    def _steps(self, method: str) -> Counterfactuals:
        return BoostingSteps(self.objective, self.propagation, method)

    def _for_ranking(self) -> Counterfactuals:
        """Return the removal of every row by a cheaper method."""
        return self._steps("newton")

    def groups(
        self, masks: Any, names: Array | None, method: str, coming: Any = None
    ) -> Counterfactuals:
        method = "exact" if method == "newton" else method
        return LeafRefits(self.objective, masks, names, method, coming=self._drawn(coming))

    def prediction_weights(self, test: Any) -> Array:
        if not self.objective.minimised.constant_hessian:
            raise ValueError(
                "prediction_weights was asked of boosted trees under another loss than the "
                "squared error, whose predictions are not linear in the targets. Ask for "
                "relabel_influence, which says what another target of a row does."
            )
        U = test.jacobian_t_rows(np.ones((test.n_samples, 1)))
        return target_weights(self.objective, backwards(self.objective, U)).T


@register_mechanism(ClassBoostingObjective)
class ClassBoostingMechanism(BoostingMechanism):
    """Boosted trees of several classes, whose raw predictions move each other."""

    methods = ("first_order", "exact")
    default_method = "exact"

    def _for_ranking(self) -> Counterfactuals:
        return BoostingDerivatives(Edits(self.objective))


CHANGED_TOGETHER = (
    "leave_one_out",
    "group_influence",
    "addition_influence",
    "relabel_influence",
    "without",
)
"""Questions whose answers "auto" does not take a step for."""
