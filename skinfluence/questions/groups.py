"""Groups of rows, by a label for every row or by masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.process.row_names import named_row
from skinfluence.typing import Array


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
        For other shapes, masks that are not 0 or 1, and labels that are missing or mixed.
    """
    accepted = (
        f"One label per training row, shape ({n_train},), or boolean masks of shape (n_groups, "
        f"{n_train}) are accepted. For lists of positions pass "
        f"[np.isin(np.arange({n_train}), rows) for rows in groups]."
    )
    if sparse.issparse(groups):
        masks = sparse.csr_matrix(groups, copy=True)
        masks.sum_duplicates()
    else:
        try:
            given = np.asarray(groups)
        except ValueError as error:  # lists of unequal length
            raise ValueError(
                f"groups as lists of unequal lengths were given. {accepted}"
            ) from error
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
    missing = np.array([label is None or not _equals_itself(label) for label in labels.tolist()])
    if np.any(missing):
        raise ValueError(
            f"groups has {int(missing.sum())} missing label(s), the first at row "
            f"{named_row(int(np.argmax(missing)))}; a label for every row is accepted. Give these "
            "rows one, or pass masks."
        )
    try:
        names, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels.tolist()})
        raise ValueError(f"groups mixes labels of the types {kinds}. {accepted}") from error
    n_train = len(labels)
    ones, rows = np.ones(n_train, dtype=bool), np.arange(n_train)
    return sparse.csr_matrix((ones, (codes, rows)), shape=(len(names), n_train)), names


def _equals_itself(label: Any) -> bool:
    """Return whether a label is one: NaN and NaT equal nothing, pandas.NA does not know."""
    equal = label == label
    return isinstance(equal, (bool, np.bool_)) and bool(equal)
