"""Inner products of rows, X X': what a penalised model with fewer rows than features is made of.

They do not depend on weights or parameters, so that all objectives over the same rows share them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dsyrk

from skinfluence.objectives.gram import in_double, mirror
from skinfluence.process.blocks import row_blocks
from skinfluence.process.tuning import tuning
from skinfluence.typing import Array


class RowProducts:
    """X X' of the rows of an objective, found when it is first asked for, and kept.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    parent : RowProducts, optional
        Those of the rows that these are some of.
    index : slice or ndarray of int, optional
        Which.
    """

    def __init__(
        self, X: Any, parent: RowProducts | None = None, index: slice | Array | None = None
    ) -> None:
        self.X = X
        self.parent = parent
        self.index = index
        self._matrix: Array | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"X": self.X, "parent": None, "index": None, "_matrix": None}

    def matrix(self) -> Array:
        """Return X X', shape (n_samples, n_samples), not to be written to."""
        if self._matrix is None:
            whole = self.parent
            if whole is not None and whole._matrix is not None:
                chosen = np.arange(whole.X.shape[0])[self.index]
                self._matrix = whole._matrix[np.ix_(chosen, chosen)]
            else:
                self._matrix = row_products(self.X)
        return self._matrix

    def keep(self, matrix: Array) -> RowProducts:
        """Return these products, known from elsewhere."""
        self._matrix = matrix
        return self

    def place(self, part: RowProducts) -> Array | None:
        """Return which of these rows `part` is over; None where it is over others."""
        if part is self:
            return np.arange(self.X.shape[0])
        if part.parent is None:
            return None
        among = self.place(part.parent)
        return None if among is None else among[part.index]

    def times(self, rows: RowProducts) -> Array:
        """Return X X_rows', shape (n_samples, n_rows), in float64."""
        among = self.place(rows)
        if among is not None:
            return self.matrix()[:, among]
        return between(self.X, rows.X)


def between(A: Any, B: Any) -> Array:
    """Return A B', shape (n_a, n_b), in float64."""
    if sparse.issparse(A) and sparse.issparse(B):
        return (in_double(A) @ in_double(B).T).toarray()
    if sparse.issparse(A) or A.dtype == B.dtype == np.float64:
        return in_double(A) @ in_double(B).T
    out = np.zeros((A.shape[0], B.shape[0]))
    for columns in row_blocks(A.shape[1], A.shape[0] + B.shape[0]):
        out += in_double(A[:, columns]) @ in_double(B[:, columns]).T
    return out


def row_products(X: Any) -> Array:
    """Return X X', shape (n_samples, n_samples), in float64."""
    if sparse.issparse(X):
        return _sparse_products(in_double(X))
    if X.dtype == np.float64:
        return X @ X.T  # half the work: numpy sees that it is symmetric
    out = np.zeros((X.shape[0], X.shape[0]))
    for columns in row_blocks(X.shape[1], X.shape[0]):
        part = in_double(X[:, columns])
        out += part @ part.T
    return out


def _sparse_products(X: Any) -> Array:
    """Return X X' of a CSR matrix: of common columns by dense products, of the others by sparse."""
    n, p = X.shape
    common = np.bincount(X.indices, minlength=p) > n / tuning().common_columns
    rest = X[:, ~common]
    out = np.zeros((n, n), order="F")
    dense = X[:, common].tocsc()
    for columns in row_blocks(dense.shape[1], n):
        part = dense[:, columns].toarray(order="F")
        out = dsyrk(1.0, part, beta=1.0, c=out, overwrite_c=True, lower=True)
    out = out.T  # rows whose products with later ones are known
    if rest.nnz:
        columns_of = rest.T.tocsr()
        for start in range(0, n, tuning().tile):
            stop = min(start + tuning().tile, n)
            out[start:stop, start:] += (rest[start:stop] @ columns_of[:, start:]).toarray()
    mirror(out)
    return out


def squared_lengths(X: Any) -> Array:
    """Return |x_i|^2 of every row, shape (n_samples,), in float64."""
    if sparse.issparse(X):
        return np.asarray(in_double(X).multiply(X).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", X, X, dtype=np.float64)
