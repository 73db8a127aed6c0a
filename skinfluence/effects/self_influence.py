"""Effects of the removal of a row on itself: its own loss and prediction."""

from __future__ import annotations

import numpy as np

from skinfluence.objectives import OutputObjective
from skinfluence.process.blocks import row_blocks
from skinfluence.removal import Counterfactuals
from skinfluence.typing import Array


def self_effects(removal: Counterfactuals, n_jobs: int | None) -> Array:
    """Return the effect of the removal of every row on its own loss, shape (n_train,)."""
    objective = removal.objective
    if not isinstance(objective, OutputObjective):
        return removal.own_losses(n_jobs)
    moved = removal.own_predictions(n_jobs)
    if removal.linear:
        return np.einsum("ik,ik->i", objective.output_gradients(), moved)
    return objective.loss.change(objective.targets, objective.raw_predictions(), moved)


def left_out(
    removal: Counterfactuals, n_jobs: int | None, *, with_parameters: bool
) -> tuple[Array, Array | None]:
    """Return every training row under the model without it.

    Returns
    -------
    eta : ndarray of shape (n_train, K)
        The raw prediction of each by the model that never saw it.
    changes : ndarray of shape (n_train, n_params) or None
        Of the parameters of each, where asked for.
    """
    objective = removal.objective
    assert isinstance(objective, OutputObjective)
    if not with_parameters:
        return objective.raw_predictions() + removal.own_predictions(n_jobs), None
    changes = removal.all_changes(n_jobs)
    moved = np.empty_like(objective.raw_predictions())
    for rows in row_blocks(objective.n_samples, objective.n_params):
        moved[rows] = removal.own_shifts(objective.rows(rows), changes[rows].T)
    return objective.raw_predictions() + moved, changes
