"""Groups of rows, by a label for every row or by masks."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.inspection import GivenRows
from skinfluence.process.row_names import length_of, listed, named_row, near
from skinfluence.typing import Array


def masks_given(
    groups: Any, n_rows: int, *, name: str = "groups", rows: str = "training"
) -> tuple[Any, Array]:
    """Return groups as a CSR matrix of bool, shape (n_groups, n_rows), and their names.

    Parameters
    ----------
    groups : array-like of shape (n_rows,), or array or sparse matrix (n_groups, n_rows)
        One label per row, or masks; groups of labels come as `numpy.unique` sorts them. A frame of
        masks names its groups by its index.
    n_rows : int
    name, rows : str
        What a message calls the groups, and the rows.

    Raises
    ------
    ValueError
        For other shapes, masks that are not 0 or 1, and labels that are missing or mixed.
    """
    accepted = (
        f"One label per {rows} row, shape ({n_rows},), or boolean masks of shape (n_groups, "
        f"{n_rows}) are accepted. For lists of positions pass "
        f"[np.isin(np.arange({n_rows}), rows) for rows in groups]."
    )
    if sparse.issparse(groups):
        masks = sparse.csr_matrix(groups, copy=True)
        masks.sum_duplicates()
    else:
        try:
            given = np.asarray(groups)
        except ValueError as error:  # lists of unequal length
            raise ValueError(
                f"{name} as lists of unequal lengths were given. {accepted}"
            ) from error
        if given.ndim == 1 and len(given) == n_rows:
            return _masks_of_labels(given, name, accepted)
        if given.ndim != 2 or given.shape[1] != n_rows or given.dtype.kind not in "biuf":
            raise ValueError(
                f"{name} of shape {given.shape} and type {given.dtype} were given. {accepted}"
            )
        masks = sparse.csr_matrix(given)
    if masks.shape[1] != n_rows or not masks.shape[0]:
        raise ValueError(f"{name} of shape {masks.shape} were given. {accepted}")
    masks.eliminate_zeros()
    if not np.all(masks.data == 1):
        raise ValueError(
            f"{name} with entries other than 0 and 1 were given ({masks.data.max()!r} is one). "
            f"{accepted}"
        )
    out = sparse.csr_matrix(masks, dtype=bool)
    out.sort_indices()
    names = groups.index if hasattr(groups, "iloc") else np.arange(out.shape[0])
    return out, np.asarray(names)


def labels_in_columns(
    groups: Any, given: GivenRows, *, name: str = "groups", rows: str = "training"
) -> Any:
    """Return a label for every row where groups are columns of their rows, else the groups.

    Parameters
    ----------
    groups : object
        The name of a column, or a list of several; whatever else comes back as it is.
    given : GivenRows
        The rows as they were given, with their targets, which are columns too.
    name, rows : str
        What a message calls the groups, and the rows.

    Raises
    ------
    ValueError
        For a name that no column has, and names that may be labels as well.
    """
    named = [groups] if isinstance(groups, str) else groups
    if not isinstance(named, list) or not named or not all(isinstance(e, str) for e in named):
        return groups
    n_rows, columns = length_of(given.X), given.columns()
    unknown = [each for each in named if each not in columns]
    if isinstance(groups, list) and len(groups) == n_rows:
        if unknown:
            return groups
        X = "X_test" if rows == "test" else "X"
        raise ValueError(
            f"{name}={groups!r} was given, which may be columns of the {rows} rows or a label for "
            f"each of these {n_rows}. Pass {name}=np.array({groups!r}) for labels, "
            f"{name}={X}[{groups!r}].apply(tuple, axis=1) for the columns."
        )
    if unknown:
        also = "'mean', 'sum'" if rows == "test" else "masks"
        such = near(unknown[0], columns) or [*columns][:5]
        raise ValueError(
            f"{name}={groups!r} was given; {unknown} are no columns of the {rows} rows. Names of "
            f"columns, such as {listed(such)}, a label for every row, or "
            f"{also} are accepted."
        )
    values = given.frame(np.arange(n_rows), named)
    if len(named) == 1:
        return values[named[0]].to_numpy()
    _refuse_missing(values.isna().any(axis=1).to_numpy(), name)
    return np.fromiter(values.itertuples(index=False, name=None), dtype=object, count=n_rows)


def _refuse_missing(missing: Array, name: str) -> None:
    if np.any(missing):
        raise ValueError(
            f"{name} has {int(missing.sum())} missing label(s), the first at row "
            f"{named_row(int(np.argmax(missing)))}; a label for every row is accepted. Give these "
            "rows one, or pass masks."
        )


def _masks_of_labels(labels: Array, name: str, accepted: str) -> tuple[Any, Array]:
    missing = np.array([label is None or not _equals_itself(label) for label in labels.tolist()])
    _refuse_missing(missing, name)
    try:
        names, codes = np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels.tolist()})
        raise ValueError(f"{name} mixes labels of the types {kinds}. {accepted}") from error
    n_rows = len(labels)
    ones, rows = np.ones(n_rows, dtype=bool), np.arange(n_rows)
    return sparse.csr_matrix((ones, (codes, rows)), shape=(len(names), n_rows)), names


def _equals_itself(label: Any) -> bool:
    """Return whether a label is one: NaN and NaT equal nothing, pandas.NA does not know."""
    equal = label == label
    return isinstance(equal, (bool, np.bool_)) and bool(equal)
