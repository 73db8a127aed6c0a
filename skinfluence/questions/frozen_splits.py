"""What the judge of trees over the same splits is told of them: plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.losses import (
    Exponential,
    HalfSquaredError,
    Logistic,
    Loss,
    Multinomial,
    Tweedie,
)
from skinfluence.objectives.boosting import BoostingObjective
from skinfluence.objectives.forests import ForestObjective
from skinfluence.objectives.leaves import LeavesObjective
from skinfluence.retraining import FrozenTrees, RowsInTrees
from skinfluence.typing import Array


def frozen_trees(objective: Any, test: Any) -> FrozenTrees:
    """Return trees, their training rows and some test rows in plain arrays.

    Parameters
    ----------
    objective : ForestObjective or BoostingObjective
        Over the training rows.
    test : LeavesObjective
        Over the test rows.
    """
    if isinstance(objective, ForestObjective):
        every = np.ones(objective.n_samples)
        return FrozenTrees(
            kind="mean",
            children=objective.splits.children,
            roots=objective.splits.roots,
            train=_rows(objective),
            test=_rows(test),
            y=objective.targets,
            weights=objective.sample_weight if objective.weighed else every,
            uses=objective.draws,
        )
    assert isinstance(objective, BoostingObjective)
    kind, K = _kind(objective.minimised), objective.n_outputs
    y, masks = objective.targets, objective.masks
    penalty = np.zeros(len(objective.splits.children))
    penalty[objective.splits.leaf_nodes] = objective.penalty
    return FrozenTrees(
        kind=kind,
        children=objective.splits.children,
        roots=objective.splits.roots,
        train=_rows(objective),
        test=_rows(test),
        y=(y[:, None] == np.arange(K)).astype(np.float64) if kind == "classes" else y,
        weights=objective.sample_weight,
        uses=None if masks is None else np.repeat(masks, K, axis=1),
        rate=objective.rate,
        factor=objective.factor,
        penalty=penalty,
        centred=objective.centred,
    )


def _kind(loss: Loss) -> str:
    """Return what the judge calls a loss of boosted trees."""
    if isinstance(loss, Tweedie):
        return {1.0: "poisson", 2.0: "gamma"}[loss.power]
    return _KINDS[type(loss)]


_KINDS: dict[type[Loss], str] = {
    HalfSquaredError: "squared",
    Logistic: "logistic",
    Multinomial: "classes",
    Exponential: "exponential",
}


def _rows(objective: LeavesObjective) -> RowsInTrees:
    splits, X = objective.splits, objective.X

    def descend(rows: Array, nodes: Array) -> Array:
        return splits.descend(X, rows, nodes)

    return RowsInTrees(splits.leaf_nodes[objective.leaves], descend)
