"""Products of features: sums of g_i x_i x_i' with the intercept as a last feature of ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dsyrk

from skinfluence.process.blocks import row_blocks
from skinfluence.process.tuning import tuning
from skinfluence.typing import Array

NEGLIGIBLE = 1e-18
"""Part of the largest curvature of a row below which one adds nothing to their sum."""


CACHED = 2**20
"""Numbers of X that are scaled at once, to be multiplied while a cache holds them (8 MiB)."""

MOST_CURVED = 0.9
"""Part of the rows with a curvature above which choosing them costs more than it saves."""


def weighted_gram(X: Any, g: Array, fit_intercept: bool) -> Array:
    """Return sum_i g_i x_i x_i', the intercept included, shape (d, d)."""
    d = X.shape[1] + fit_intercept
    gram = np.zeros((d, d), order="F")
    rows, n = None, X.shape[0]
    if sparse.issparse(X):
        full = np.diff(X.indptr) > X.shape[1] / tuning().common_columns
        rows, n = np.flatnonzero(full), int(full.sum())
        _add_sparse(gram, X[~full], g[~full], fit_intercept)
    gram = _add_dense(gram, X, g, fit_intercept, rows, n)
    mirror(gram.T)
    return gram


def _add_dense(
    gram: Array, X: Any, g: Array, fit_intercept: bool, rows: Array | None, n: int
) -> Array:
    """Return the lower triangle of gram + sum_i g_i x_i x_i', over n rows or all (None)."""
    # Entries of one tile have one sign in most losses: +-Z'Z, half the work of X' D X.
    for sign in (1.0, -1.0):
        of_sign = sign * g > NEGLIGIBLE * np.abs(g).max(initial=0.0)
        if rows is None and np.count_nonzero(of_sign) > MOST_CURVED * n:
            chosen = None
        else:
            chosen = np.flatnonzero(of_sign) if rows is None else rows[of_sign[rows]]
        out = None
        for part in row_blocks(n if chosen is None else len(chosen), len(gram), CACHED):
            index: slice | Array = part if chosen is None else chosen[part]
            root = np.sqrt(np.maximum(sign * g[index], 0.0))
            out = np.empty((len(root), len(gram))) if out is None else out[: len(root)]
            Z = with_intercept(X[index], fit_intercept, root, out)
            gram = dsyrk(sign, Z.T, beta=1.0, c=gram, overwrite_c=True, lower=True)
    return gram


def _add_sparse(gram: Array, X: Any, g: Array, fit_intercept: bool) -> None:
    """Add the lower triangle of sum_i g_i x_i x_i' to gram, some of its columns at a time."""
    p = X.shape[1]
    if not X.nnz:
        if fit_intercept:
            gram[-1, -1] += g.sum()
        return
    X = in_double(X)
    weighted = sparse.csc_matrix(X.multiply(g[:, None]))
    columns_of = sparse.csr_matrix(X.T)
    for start in range(0, p, tuning().tile):
        stop = min(start + tuning().tile, p)
        tile = columns_of[start:] @ weighted[:, start:stop]
        gram[start:p, start:stop] += tile.toarray()
    if fit_intercept:
        gram[-1, :p] += np.asarray(weighted.sum(axis=0)).ravel()
        gram[-1, -1] += g.sum()


def mirror(A: Array) -> None:
    """Copy the upper triangle of A, (n, n), to the lower one."""
    n = len(A)
    for start in range(0, n, tuning().tile):
        stop = min(start + tuning().tile, n)
        tile = A[start:stop, start:stop]
        tile[...] = np.triu(tile) + np.triu(tile, 1).T
        A[stop:, start:stop] = A[start:stop, stop:].T


def in_double(X: Any) -> Any:
    """Return features in double precision, uncopied where they are."""
    return X.astype(np.float64, copy=False)


def with_intercept(
    X: Any, fit_intercept: bool, scale: Array | None = None, out: Array | None = None
) -> Array:
    """Return a dense float64 copy of a block of rows, with a last column of ones.

    Times `scale`, shape (n_rows,), where there is one; into `out` if given.
    """
    X = X.toarray() if sparse.issparse(X) else X
    if out is None:
        out = np.empty((X.shape[0], X.shape[1] + fit_intercept))
    if scale is None:
        out[:, : X.shape[1]] = X
    else:
        np.multiply(X, scale[:, None], out=out[:, : X.shape[1]])
    if fit_intercept:
        out[:, -1] = 1.0 if scale is None else scale
    return out
