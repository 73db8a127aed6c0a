"""Effects of the removal of a row on itself: its own loss and prediction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skinfluence.objectives import OutputObjective
from skinfluence.process.blocks import row_blocks
from skinfluence.removal import Counterfactuals, Removal
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


def left_out_where(
    removal: Removal, n_jobs: int | None, wanted: Callable[[Array, Array], Array]
) -> Array:
    """Return every training row under the model without it: by a step, exactly where wanted.

    Parameters
    ----------
    removal : Removal
        Of every row, whose `changes` are exact and found when asked for.
    n_jobs : int or None
    wanted : callable
        From the raw predictions by one Newton step, and how far each took them, both
        (n_train, K), to the rows that are to be exact, bool of shape (n_train,).

    Returns
    -------
    ndarray of shape (n_train, K)
    """
    objective, steps = removal.objective, removal.own_shift
    assert isinstance(objective, OutputObjective) and steps is not None
    eta = objective.raw_predictions() + steps
    exact = wanted(eta, steps)
    exact[removal.guarded] = True  # of leverage 1: they have no such step

    def fill(rows: Array) -> None:
        part = objective.rows(rows)
        eta[rows] = part.raw_predictions() + removal.own_shifts(part, removal.changes(rows))

    rows = np.flatnonzero(exact)
    removal.prepare(len(rows))
    removal.in_blocks(fill, n_jobs, rows)
    removal.report()
    return eta
