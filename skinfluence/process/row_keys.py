"""What tells a row from others: rows with the same values have the same key, wherever they lie."""

from __future__ import annotations

from collections.abc import Hashable
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.typing import Array

MISSING = "a value that is missing"


def row_keys(rows: Any, coarse: str | None = None) -> list[Hashable]:
    """Return a key for every row of an array, frame, sparse matrix or list.

    Equal values are equal, whatever their type: 1 is 1.0, and what is missing (NaN, None, NaT) is
    all the same. Numbers count in double precision.

    Parameters
    ----------
    rows : array-like, sparse matrix, frame or list
    coarse : str, optional
        Of floats: what they are rounded to before.
    """
    if sparse.issparse(rows):
        return _of_sparse(rows, coarse)
    if hasattr(rows, "iloc") and hasattr(rows, "columns"):
        return _of_columns([np.asarray(rows.iloc[:, j]) for j in range(rows.shape[1])], coarse)
    values = np.asarray(rows) if hasattr(rows, "__array__") else _numbers(rows)
    if values is None:
        return [_comparable(row) for row in rows]
    return _of_columns([*values.T] if values.ndim > 1 else [values], coarse)


def coarser(*data: Any) -> str | None:
    """Return the coarsest type of floats in several arrays, frames or sparse matrices.

    None where no float is coarser than double precision.
    """
    types = [each for one in data for each in _types(one) if getattr(each, "kind", "") == "f"]
    bits = min((8 * each.itemsize for each in types), default=64)
    return f"float{bits}" if bits < 64 else None


def _types(data: Any) -> list[Any]:
    """Return the types of all columns; none of a list, which has numbers in double precision."""
    if hasattr(data, "iloc"):
        return list(np.ravel(data.dtypes))
    if hasattr(data, "__array__"):
        return [np.asarray(data).dtype]
    return [data.dtype] if sparse.issparse(data) else []


def _numbers(rows: Any) -> Array | None:
    """Return a list of rows as an array, if it is one of numbers."""
    try:
        values = np.asarray(rows)
    except ValueError:  # rows of unequal length
        return None
    return values if values.dtype.kind in "biuf" else None


def _of_columns(columns: list[Array], coarse: str | None) -> list[Hashable]:
    """Return the keys of rows that are given by their columns: numbers first, then the others."""
    numbers = [each for each in columns if each.dtype.kind in "biuf"]
    others = [_listed(each) for each in columns if each.dtype.kind not in "biuf"]
    keys: list[Hashable] = []
    if numbers:
        keys = [
            row.tobytes()
            for row in _canonical(np.column_stack([_rounded(each, coarse) for each in numbers]))
        ]
    if not others:
        return keys
    texts: list[Hashable] = [*zip(*others, strict=True)]
    return [*zip(keys, texts, strict=True)] if numbers else texts


def _listed(column: Array) -> list[Hashable]:
    """Return what stands for the values of a column that are no numbers."""
    if column.dtype.kind in "mM":
        return list(column.astype(np.int64).tolist())
    return [_comparable(value) for value in column.tolist()]


def _of_sparse(matrix: Any, coarse: str | None) -> list[Hashable]:
    rows = sparse.csr_matrix(matrix, copy=True)
    rows.sum_duplicates()
    rows.eliminate_zeros()
    data, indices = _canonical(_rounded(rows.data, coarse)), rows.indices.astype(np.int64)
    ends = pairwise(rows.indptr.tolist())
    return [(indices[a:b].tobytes(), data[a:b].tobytes()) for a, b in ends]


def _rounded(numbers: Array, coarse: str | None) -> Array:
    """Return numbers in a coarser type, if they are floats."""
    if coarse is None or numbers.dtype.kind != "f":
        return numbers
    with np.errstate(over="ignore"):
        return numbers.astype(coarse)


def _canonical(numbers: Array) -> Array:
    """Return numbers in double precision, of which equal ones have the same bytes."""
    out = np.ascontiguousarray(numbers, dtype=np.float64) + 0.0  # -0 is 0
    out[np.isnan(out)] = np.nan
    return out


def _comparable(value: Any) -> Hashable:
    """Return what stands for a value: itself, unless it equals nothing or has no hash."""
    equal = value == value
    if value is None or not (isinstance(equal, (bool, np.bool_)) and bool(equal)):
        return MISSING if np.ndim(value) == 0 else tuple(map(_comparable, value))
    if isinstance(value, dict):
        return frozenset((key, _comparable(each)) for key, each in value.items())
    if isinstance(value, (list, tuple, set)):
        return tuple(map(_comparable, value))
    return value if isinstance(value, Hashable) else repr(value)
