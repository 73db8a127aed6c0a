"""Which rows the check removes, and how a refitted estimator is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from skinfluence.adapters import adapt, features_of, final_step
from skinfluence.effects import target_of
from skinfluence.objectives import OutputObjective

Array = npt.NDArray[Any]


def choose_rows(
    rows: Any, select: str, scores: Array, forbidden: Array, random_state: Any
) -> Array:
    """Return the positions of the rows to remove.

    Parameters
    ----------
    rows : int or array-like of int
        How many, or which.
    select : {"extreme", "random"}
        Largest column norm of the scores, or any.
    scores : ndarray of shape (n_test, n_train)
    forbidden : ndarray of bool, shape (n_train,)
        Rows that cannot be removed: the only ones of their class.
    random_state : int, RandomState or None

    Raises
    ------
    ValueError
        For unknown, repeated or forbidden rows, or an unknown `select`.
    """
    n_train = scores.shape[1]
    if select not in ("extreme", "random"):
        raise ValueError(f"select={select!r} was given; accepted are 'extreme' and 'random'.")
    if np.ndim(rows) > 0:
        return _check_rows(np.asarray(rows), n_train, forbidden)
    allowed = np.flatnonzero(~forbidden)
    if not 1 <= rows <= len(allowed):
        raise ValueError(
            f"rows={rows!r} was given; a number from 1 to {len(allowed)} (rows that can be "
            "removed), or an array of positions, is accepted."
        )
    if select == "random":
        return np.sort(check_random_state(random_state).choice(allowed, rows, replace=False))
    norms = np.linalg.norm(scores[:, allowed].astype(np.float64), axis=0)
    largest: Array = allowed[np.argsort(-norms, kind="stable")[:rows]]
    return largest


def _check_rows(rows: Array, n_train: int, forbidden: Array) -> Array:
    accepted = f"positions from 0 to {n_train - 1}, each once,"
    if rows.ndim != 1 or not len(rows) or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(
            f"rows of shape {rows.shape} and type {rows.dtype} were given; {accepted} are accepted."
        )
    outside = rows[(rows < 0) | (rows >= n_train)]
    if len(outside):
        raise ValueError(f"rows {outside.tolist()} are out of range; {accepted} are accepted.")
    if len(np.unique(rows)) < len(rows):
        raise ValueError(f"rows has duplicates; {accepted} are accepted.")
    if np.any(forbidden[rows]):
        raise ValueError(
            f"rows {rows[forbidden[rows]].tolist()} are the only ones of their class: without them "
            "the model has other classes and no change can be compared. Leave them in."
        )
    return rows


def only_ones_of_their_class(y: Any, sample_weight: Any) -> Array:
    """Return, for every row, whether no other row of positive weight shares its label."""
    labels = np.asarray(y).ravel()
    _, codes = np.unique(labels, return_inverse=True)
    counted = np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight) > 0
    lonely: Array = (np.bincount(codes, weights=counted)[codes] <= 1) & (counted > 0)
    return lonely


def read_target(
    fitted: Any, X_test: Any, y_test: Any, y_train: Any, *, target: str, output: int | None
) -> Array:
    """Return the target of test rows under a refitted estimator, shape (n_test,).

    The estimator is adapted over the test rows; the targets it is adapted with are placeholders
    that any training labels can be, since only its parameters are read.
    """
    features = features_of(fitted, X_test)
    y_train = np.asarray(y_train)
    n_test = features.shape[0] if hasattr(features, "shape") else len(features)
    placeholder = np.resize(y_train, (n_test, *y_train.shape[1:]))
    objective = adapt(final_step(fitted), features, placeholder, None)
    assert isinstance(objective, OutputObjective)
    test = objective.on(features, y_test if target == "loss" else None)
    return target_of(target, test, y_test, output).value()
