"""Which rows the check removes, and how a refitted estimator is read."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state

from skinfluence.adapters import adapt, features_of, final_step
from skinfluence.effects import target_of
from skinfluence.objectives import OutputObjective

Array = npt.NDArray[Any]


def check_rows(rows: Any, select: str, forbidden: Array) -> None:
    """Refuse rows that cannot be removed, before anything is computed.

    Parameters
    ----------
    rows : int or array-like of int
        How many at most, or which.
    select : {"extreme", "random"}
    forbidden : ndarray of bool, shape (n_train,)
        Rows that cannot be removed: the only ones of their class.

    Raises
    ------
    ValueError
        For unknown, repeated or forbidden rows, or an unknown `select`.
    """
    if select not in ("extreme", "random"):
        raise ValueError(f"select={select!r} was given; accepted are 'extreme' and 'random'.")
    if np.ndim(rows) > 0:
        _check_positions(np.asarray(rows), forbidden)
        return
    if not (isinstance(rows, Integral) and int(rows) >= 1):
        raise ValueError(
            f"rows={rows!r} was given; a number of rows >= 1, or an array of positions, is "
            "accepted."
        )
    if np.all(forbidden):
        raise ValueError(
            "Every training row is the only one of its class: without it the model has other "
            "classes and no change can be compared. Add rows of the same classes."
        )


def _check_positions(rows: Array, forbidden: Array) -> None:
    accepted = f"positions from 0 to {len(forbidden) - 1}, each once, are accepted."
    if rows.ndim != 1 or not len(rows) or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(f"rows of shape {rows.shape} and type {rows.dtype} were given; {accepted}")
    outside = rows[(rows < 0) | (rows >= len(forbidden))]
    if len(outside):
        raise ValueError(f"rows {outside.tolist()} are out of range; {accepted}")
    if len(np.unique(rows)) < len(rows):
        raise ValueError(f"rows has duplicates; {accepted}")
    if np.any(forbidden[rows]):
        raise ValueError(
            f"rows {rows[forbidden[rows]].tolist()} are the only ones of their class: without them "
            "the model has other classes and no change can be compared. Leave them in."
        )


def choose_rows(
    rows: Any, select: str, scores: Array, forbidden: Array, random_state: Any
) -> Array:
    """Return the positions of the rows to remove, of what `check_rows` let pass.

    Parameters
    ----------
    rows : int or array-like of int
        How many at most, or which.
    select : {"extreme", "random"}
        Largest column norm of the scores, or any.
    scores : ndarray of shape (n_test, n_train)
    forbidden : ndarray of bool, shape (n_train,)
    random_state : int, RandomState or None
    """
    if np.ndim(rows) > 0:
        return np.asarray(rows)
    allowed = np.flatnonzero(~forbidden)
    if select == "random":
        n_rows = min(rows, len(allowed))
        return np.sort(check_random_state(random_state).choice(allowed, n_rows, replace=False))
    norms = np.linalg.norm(scores[:, allowed].astype(np.float64), axis=0)
    largest: Array = allowed[np.argsort(-norms, kind="stable")[:rows]]
    return largest


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
