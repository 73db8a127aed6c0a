"""A fingerprint of data: the same for the same values, however they lie in memory."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
from scipy import sparse


def digest(*data: Any) -> str:
    """Return the SHA-256 of arrays, frames, sparse matrices or lists, and None, in hexadecimal.

    Types count as well: 1 and 1.0 are two values.
    """
    found = sha256()
    for each in data:
        _add(found, each)
    return found.hexdigest()


def _add(found: Any, data: Any) -> None:
    if sparse.issparse(data):
        matrix = data.tocsr(copy=True)
        matrix.sum_duplicates()
        for part in (np.array(matrix.shape), matrix.indptr, matrix.indices, matrix.data):
            _add(found, part.astype(np.int64) if part.dtype.kind == "i" else part)
    elif hasattr(data, "iloc") and hasattr(data, "columns"):
        found.update(repr([str(name) for name in data.columns]).encode())
        for position in range(data.shape[1]):  # a frame as one array has one type for all columns
            _add(found, data.iloc[:, position])
    elif data is None:
        found.update(b"None")
    else:
        _add_array(found, np.asarray(data, dtype=None if hasattr(data, "__array__") else object))


def _add_array(found: Any, values: Any) -> None:
    found.update(f"{values.dtype.str} {values.shape}".encode())
    if values.dtype.kind in "OTSU":
        found.update(repr(values.ravel().tolist()).encode())
    else:
        found.update(np.ascontiguousarray(values).view(np.uint8).data)
