"""Which rows leave, and whether they may: positions, masks and groups, refused with reasons."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.process.warnings import warn
from skinfluence.questions.fitted import Fitted
from skinfluence.typing import Array


def check_positions(rows: Array, n_train: int) -> None:
    """Refuse what is not a set of positions of training rows."""
    accepted = (
        f"positions from 0 to {n_train - 1}, each once, are accepted. For labels of a frame pass "
        "X.index.get_indexer(labels)."
    )
    if rows.ndim != 1 or not len(rows) or not np.issubdtype(rows.dtype, np.integer):
        raise ValueError(f"rows of shape {rows.shape} and type {rows.dtype} were given; {accepted}")
    outside = rows[(rows < 0) | (rows >= n_train)]
    if len(outside):
        raise ValueError(f"rows {outside.tolist()} are out of range; {accepted}")
    if len(np.unique(rows)) < len(rows):
        raise ValueError(f"rows has duplicates; {accepted}")


def rows_given(rows: Any, n_train: int) -> Array:
    """Return the positions of rows given as positions or as a mask.

    Raises
    ------
    ValueError
        For unknown or repeated rows, none, and a mask of another length.
    """
    given = np.atleast_1d(np.asarray(rows))
    if not given.size:
        raise ValueError("rows is empty; at least one row leaves.")
    if given.dtype == bool:
        if given.shape != (n_train,):
            raise ValueError(
                f"rows as a mask of shape {given.shape} was given; a mask has an entry for every "
                f"training row, shape ({n_train},). Pass that, or positions."
            )
        given = np.flatnonzero(given)
        if not len(given):
            raise ValueError("rows as a mask without any True was given; at least one row leaves.")
    check_positions(given, n_train)
    return given


def masks_given(groups: Any, n_train: int) -> tuple[Any, Array]:
    """Return groups as a CSR matrix of bool, shape (n_groups, n_train), and their names.

    Parameters
    ----------
    groups : array-like of shape (n_train,), or array or sparse matrix (n_groups, n_train)
        One label per row, or masks; groups of labels come as `numpy.unique` sorts them.
    n_train : int

    Raises
    ------
    ValueError
        For other shapes, masks that are not 0 or 1, labels that are missing or mixed, and one
        mask that could be labels.
    """
    accepted = (
        f"One label per training row, shape ({n_train},), or boolean masks of shape (n_groups, "
        f"{n_train}) are accepted."
    )
    if sparse.issparse(groups):
        masks = sparse.csr_matrix(groups, copy=True)
        masks.sum_duplicates()
    else:
        given = np.asarray(groups)
        if given.ndim == 1 and given.dtype == bool:
            raise ValueError(
                "groups of shape (n_train,) and type bool was given, which may be one mask or the "
                "labels False and True. Pass mask[None] for the one group, or labels.astype(str)."
            )
        if given.ndim == 1 and len(given) == n_train:
            return _masks_of_labels(given, accepted)
        if given.ndim != 2 or given.shape[1] != n_train or given.dtype.kind not in "biuf":
            raise ValueError(
                f"groups of shape {given.shape} and type {given.dtype} were given. {accepted}"
            )
        masks = sparse.csr_matrix(given)
    if masks.shape[1] != n_train or not masks.shape[0]:
        raise ValueError(f"groups of shape {masks.shape} were given. {accepted}")
    masks.eliminate_zeros()
    if not np.all(masks.data == 1):
        raise ValueError(
            f"groups with entries other than 0 and 1 were given ({masks.data.max()!r} is one). "
            f"{accepted}"
        )
    out = sparse.csr_matrix(masks, dtype=bool)
    out.sort_indices()
    return out, np.arange(out.shape[0])


def _masks_of_labels(labels: Array, accepted: str) -> tuple[Any, Array]:
    missing = np.array([label is None or label != label for label in labels.tolist()])
    if np.any(missing):
        raise ValueError(
            f"groups has {int(missing.sum())} missing label(s), the first at row "
            f"{int(np.argmax(missing))}. {accepted} Give these rows a label, or pass masks."
        )
    try:
        names, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels.tolist()})
        raise ValueError(f"groups mixes labels of the types {kinds}. {accepted}") from error
    n_train = len(labels)
    ones, rows = np.ones(n_train, dtype=bool), np.arange(n_train)
    return sparse.csr_matrix((ones, (codes, rows)), shape=(len(names), n_train)), names


def only_ones_of_their_class(y: Any, sample_weight: Any) -> Array:
    """Return, for every row, whether no other row of positive weight shares its label."""
    codes, counted = _classes_that_count(y, sample_weight)
    return (np.bincount(codes, weights=counted)[codes] <= 1) & (counted > 0)


def lonely_rows(fitted: Fitted) -> Array:
    """Return which training rows are the only ones of their class, shape (n_train,)."""
    y = fitted.training.y
    if not fitted.classifier or np.ndim(y) > 1:
        return np.zeros(len(y), dtype=bool)
    return only_ones_of_their_class(y, fitted.training.sample_weight)


def warn_of_lonely_rows(fitted: Fitted) -> None:
    """Name the training rows that are the only ones of their class."""
    rows = np.flatnonzero(lonely_rows(fitted))
    if len(rows):
        named = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
        warn(
            f"The training rows {named} are the only ones of their class: without them the "
            "model has other classes, or no finite optimum, and their scores mean nothing. "
            "Leave these scores out, or add rows of the same classes.",
            UserWarning,
        )


def refuse_too_much(masks: Any, y: Any | None, sample_weight: Any, names: Array | None) -> None:
    """Refuse groups that leave no row of positive weight, or none of a class.

    Parameters
    ----------
    masks : CSR matrix of bool, shape (n_groups, n_train)
    y : array-like of shape (n_train,) or None
        Labels of a classifier.
    sample_weight : array-like or None
    names : ndarray of shape (n_groups,) or None
        What a message calls the groups; None where they are just rows.
    """
    n_train = masks.shape[1]
    labels = np.zeros(n_train) if y is None else y
    codes, counted = _classes_that_count(labels, sample_weight)
    totals = np.bincount(codes, weights=counted)
    member = counted[:, None] * (codes[:, None] == np.arange(len(totals)))
    emptied = (masks @ member >= totals) & (totals > 0)
    all_of_it = np.flatnonzero(emptied.all(axis=1))
    if len(all_of_it):
        raise ValueError(
            f"{_named(names, all_of_it)} every training row (that has a weight): nothing is left "
            "to fit. Leave some rows in."
        )
    some = np.flatnonzero(emptied.any(axis=1))
    if len(some):
        classes = np.unique(np.asarray(labels).ravel())[emptied[some[0]]].tolist()
        raise ValueError(
            f"{_named(names, some)} every row of a class (the first: {classes}): the model without "
            "them has other classes, and no change can be compared. Leave at least one row of "
            "every class in."
        )


def _named(names: Array | None, found: Array) -> str:
    if names is None:
        return "rows take away"
    return f"groups {names[found][:20].tolist()} ({len(found)} in all) take away"


def _classes_that_count(y: Any, sample_weight: Any) -> tuple[Array, Array]:
    labels = np.asarray(y).ravel()
    _, codes = np.unique(labels, return_inverse=True)
    if sample_weight is None:
        return codes, np.ones(len(labels))
    return codes, (np.asarray(sample_weight) > 0).astype(np.float64)
