"""Effects of the removal of a row on itself: its own loss and prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.objectives import OutputObjective
from skinfluence.objectives.base import row_blocks
from skinfluence.removal import Evaluated, Removal

Array = npt.NDArray[Any]


def self_effects(removal: Removal | Evaluated, n_jobs: int | None) -> Array:
    """Return the effect of the removal of every row on its own loss, shape (n_train,)."""
    objective = removal.objective
    if isinstance(objective, OutputObjective):
        moved = removal.own_predictions(n_jobs)
        if removal.method == "first_order":
            out: Array = np.einsum("ik,ik->i", objective.output_gradients(), moved)
            return out
        return objective.loss.change(objective.targets, objective.raw_predictions(), moved)
    if isinstance(removal, Evaluated):
        return removal.own_losses(n_jobs)
    effects = np.empty(objective.n_samples)
    for rows in row_blocks(objective.n_samples, objective.n_params):
        part = objective.rows(rows)
        gradients = part.weighted_grad_sum(np.eye(part.n_samples))
        changes = removal.changes(np.arange(objective.n_samples)[rows])
        effects[rows] = np.einsum("pi,pi->i", gradients, changes)
    return effects


def left_out(
    removal: Removal | Evaluated, n_jobs: int | None, *, with_parameters: bool
) -> tuple[Array, Array | None]:
    """Return every training row under the model without it.

    Returns
    -------
    eta : ndarray of shape (n_train, K)
        The raw prediction of each by the model that never saw it.
    parameters : ndarray of shape (n_train, n_params) or None
        Of these models, where asked for.
    """
    objective = removal.objective
    assert isinstance(objective, OutputObjective)
    if not with_parameters:
        return objective.raw_predictions() + removal.own_predictions(n_jobs), None
    changes = removal.all_changes(n_jobs)
    moved = np.empty_like(objective.raw_predictions())
    for rows in row_blocks(objective.n_samples, objective.n_params):
        part, D = objective.rows(rows), changes[rows].T
        first_order = removal.method == "first_order"
        moved[rows] = part.jacobian_rows_dot(D) if first_order else part.own_prediction_changes(D)
    return objective.raw_predictions() + moved, objective.theta + changes
