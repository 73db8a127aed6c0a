"""Products of features: sums of g_i x_i x_i' with the intercept as a last feature of ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg.blas import dsyrk

from skinfluence.objectives.base import row_blocks

Array = npt.NDArray[Any]

NEGLIGIBLE = 1e-18
"""Part of the largest curvature of a row below which one adds nothing to their sum."""

MOST_CURVED = 0.9
"""Part of the rows with a curvature above which choosing them costs more than it saves."""


def weighted_gram(X: Any, g: Array, fit_intercept: bool) -> Array:
    """Return sum_i g_i x_i x_i', the intercept included, shape (d, d)."""
    n, d = X.shape[0], X.shape[1] + fit_intercept
    if sparse.issparse(X):
        total: Array = np.zeros((d, d))
        for index in row_blocks(n, d):
            total += _sparse_gram(X[index], g[index], fit_intercept)
        return total
    gram = np.zeros((d, d), order="F")
    # Entries of one tile have one sign in most losses: +-Z'Z, half the work of X' D X.
    for sign in (1.0, -1.0):
        curved = np.flatnonzero(sign * g > NEGLIGIBLE * np.abs(g).max(initial=0.0))
        whole = len(curved) > MOST_CURVED * n
        for part in row_blocks(n if whole else len(curved), d):
            rows: slice | Array = part if whole else curved[part]
            Z = with_intercept(X[rows], fit_intercept)
            Z *= np.sqrt(np.maximum(sign * g[rows], 0.0))[:, None]
            gram = dsyrk(sign, Z.T, beta=1.0, c=gram, overwrite_c=True, lower=True)
    upper = np.triu_indices(d, 1)
    gram[upper] = gram.T[upper]
    return gram


def in_double(X: Any) -> Any:
    """Return features in double precision, uncopied where they are."""
    return X.astype(np.float64, copy=False)


def with_intercept(X: Any, fit_intercept: bool) -> Array:
    """Return a dense float64 copy of a block of rows, with a last column of ones."""
    out = np.ones((X.shape[0], X.shape[1] + fit_intercept))
    out[:, : X.shape[1]] = X.toarray() if sparse.issparse(X) else X
    return out


def _sparse_gram(X: Any, g: Array, fit_intercept: bool) -> Array:
    p = X.shape[1]
    out = np.empty((p + fit_intercept, p + fit_intercept))
    Xg = sparse.csr_matrix(in_double(X).multiply(g[:, None]))
    out[:p, :p] = (in_double(X).T @ Xg).toarray()
    if fit_intercept:
        out[:p, -1] = out[-1, :p] = np.asarray(Xg.sum(axis=0)).ravel()
        out[-1, -1] = g.sum()
    return out
