"""The products that no method can do without, in numpy and scipy alone."""

from __future__ import annotations

import numpy as np
from clocks import clocked
from scipy import linalg, sparse

ROWS = 2_000
"""Rows of a block that stays in the cache."""


def gram(X, roots, dtype=None):
    """Return the lower triangle of sum_i d_i x_i x_i', roots of d given: half of X' D X.

    Block by block through one buffer, so that no copy of X is made.
    """
    dtype = np.dtype(dtype or X.dtype)
    syrk = linalg.blas.dsyrk if dtype == np.float64 else linalg.blas.ssyrk
    out = np.zeros((X.shape[1], X.shape[1]), dtype=dtype, order="F")
    buffer = np.empty((min(ROWS, len(X)), X.shape[1]), dtype=dtype)
    for start in range(0, len(X), ROWS):
        part = slice(start, start + ROWS)
        Z = np.multiply(X[part], roots[part, None], out=buffer[: len(X[part])])
        out = syrk(1.0, Z.T, beta=1.0, c=out, overwrite_c=True, lower=True)
    return out


def factor(H, l2):
    """Return the factor of H + l2 I, in the place of H."""
    H[np.diag_indices_from(H)] += l2
    return linalg.cho_factor(H, lower=True, overwrite_a=True, check_finite=False)


def binary(X, X_test, l2, dtype=None):
    """Return all scores but for their signs and sizes: X'DX, its factor, solves, X S.

    The first three in a precision of their own, where one is given.
    """
    dtype = np.dtype(dtype or X.dtype)
    found = factor(gram(X, np.full(len(X), 0.5, dtype=dtype), dtype), dtype.type(l2))
    S = linalg.cho_solve(found, X_test.T.astype(dtype, copy=False), check_finite=False)
    return X @ S.astype(X.dtype, copy=False)


def pairs_of_classes(X, n_classes):
    """Return the seconds of the Gram matrices of all pairs of classes, from a few of them.

    The blocks of a multinomial Hessian sum to zero over the classes: those on the diagonal follow.
    """
    n_pairs = n_classes * (n_classes - 1) // 2
    roots = np.random.default_rng(0).random(len(X))
    tried = min(n_pairs, 3)
    return clocked(lambda: [gram(X, roots) for _ in range(tried)])[0] / tried * n_pairs


def factor_of_classes(n_params):
    """Return the seconds of the factor of a matrix of this size, and the factor."""
    H = np.zeros((n_params, n_params), order="F")
    H[:] = np.random.default_rng(0).random(n_params)
    return clocked(lambda: factor(H, 10.0 * n_params))


def scores_of_classes(found, X, X_test, n_classes):
    """Return the seconds of solves for test rows, and of all rows along the solutions.

    Right-hand sides: every class of every test row shares the products with the features.
    """
    rng = np.random.default_rng(0)
    V = rng.standard_normal((len(found[0]), len(X_test)))

    weights = rng.standard_normal((len(X), n_classes))

    def scores():
        S = linalg.cho_solve(found, V, check_finite=False)
        S = S[: X.shape[1] * n_classes].reshape(X.shape[1], -1)
        out = np.empty((len(X), len(X_test)))
        for start in range(0, len(X), ROWS):
            part = slice(start, start + ROWS)
            along = (X[part] @ S).reshape(-1, n_classes, len(X_test))
            np.einsum("ikt,ik->it", along, weights[part], out=out[part])
        return out

    return clocked(scores)[0]


def wide(X, X_test, l2):
    """Return scores of few rows with many columns: X X', X X_test', the factor, a product."""
    products, cross = X @ X.T, X @ X_test.T
    if sparse.issparse(X):
        products, cross = products.toarray(), cross.toarray()
    found = factor(np.array(products, order="F"), l2)
    return cross - products @ linalg.cho_solve(found, cross)


def streamed(X, S, n_rows=ROWS):
    """Return the largest of X S in every column; its blocks stay in the cache."""
    best = np.full(S.shape[1], -np.inf)
    for start in range(0, len(X), n_rows):
        np.maximum(best, (X[start : start + n_rows] @ S).max(axis=0), out=best)
    return best


def streamed_with_factor(X, X_test, l2):
    found = factor(gram(X, np.full(len(X), 0.5)), l2)
    return streamed(X, linalg.cho_solve(found, X_test.T))
