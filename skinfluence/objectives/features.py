"""How rows as an estimator takes them become rows that its coefficients multiply."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from scipy import sparse
from scipy.linalg import lapack, solve_triangular
from sklearn.utils import check_array

from skinfluence.typing import Array

DIGITS = 1e-13
"""Part of the largest pivot below which what is left of a kernel matrix is its rounding."""


def as_rows(X: Any) -> Any:
    """Return `X` as CSR or as an ndarray of float64 or float32, uncopied where it is one."""
    X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32], ensure_min_samples=0)
    return sparse.csr_matrix(X) if sparse.issparse(X) else X


def as_table(X: Any) -> Any:
    """Return rows as a CSR matrix or an array, which positions index, for a kernel."""
    if sparse.issparse(X):
        return sparse.csr_matrix(X)
    table = np.asarray(X)
    if table.dtype.kind in "Ob" and table.ndim == 2:  # numbers of several kinds, as frames have
        with suppress(ValueError):
            return table.astype(np.float64)
    return table


class Features(Protocol):
    """A map from rows to features that the training data have fixed."""

    def __call__(self, X: Any) -> Any:
        """Return the features of rows, an ndarray or CSR matrix of shape (n, n_features)."""
        ...


class LinearFeatures(ABC):
    """Features that are linear in others: coefficients of these are coefficients of those.

    Attributes
    ----------
    features : Features
        The others.
    """

    features: Features

    @abstractmethod
    def of(self, X: Any) -> Any:
        """Return these features of rows, of which the others are X."""

    @abstractmethod
    def coefficients(self, W: Array) -> Array:
        """Return coefficients of the others from those of these, the intercept last.

        The same raw predictions follow from both.

        Parameters
        ----------
        W : ndarray of shape (..., n_features + 1, k)
        """

    def __call__(self, X: Any) -> Any:
        return self.of(self.features(X))


@dataclass(frozen=True)
class AsGiven:
    """The rows themselves."""

    def __call__(self, X: Any) -> Any:
        return as_rows(X)


@dataclass(frozen=True, eq=False)
class Shifted(LinearFeatures):
    """Other features less a constant each, in their precision.

    Attributes
    ----------
    features : Features
    shift : ndarray of shape (n_features,)
    """

    features: Features
    shift: Array

    def of(self, X: Any) -> Any:
        return (X - self.shift).astype(X.dtype, copy=False)

    def coefficients(self, W: Array) -> Array:
        out = W.copy()
        out[..., -1, :] -= np.einsum("p,...pk->...k", self.shift, W[..., :-1, :])
        return out


@dataclass(frozen=True, eq=False)
class Selected:
    """Some columns of other features.

    Attributes
    ----------
    features : Features
    columns : ndarray of int
    """

    features: Features
    columns: Array

    def __call__(self, X: Any) -> Any:
        return self.features(X)[:, self.columns]


@dataclass(frozen=True, eq=False)
class KernelFeatures:
    """Features whose inner products are a kernel: phi(x) = L^-1 k(P, x), k(P, P) = L L'.

    P are the pivots of a Cholesky factor that stops where only rounding is left, so that
    Phi Phi' = K on the training rows and a function f = phi(x)' theta has the norm ``|theta|`` in
    the space of the kernel. A penalty on f is then a penalty on theta.

    Attributes
    ----------
    kernel : callable
        From rows and the pivots to k, shape (n, rank).
    pivots : rows of the estimator's features
        P.
    lower : ndarray of shape (rank, rank)
        L.
    """

    kernel: Callable[[Any, Any], Array]
    pivots: Any
    lower: Array
    dtype: Any = np.float64

    @classmethod
    def of(
        cls, kernel: Callable[[Any, Any], Array], X: Any, K: Array
    ) -> tuple[KernelFeatures, Array]:
        """Return the features of a kernel and those of the training rows, (n_train, rank).

        Parameters
        ----------
        kernel : callable
        X : rows
            What it was trained on, in any form that can be indexed by rows.
        K : ndarray of shape (n_train, n_train)
            The kernel of all pairs; overwritten.

        Raises
        ------
        ValueError
            If K is not positive semidefinite.
        """
        diagonal = np.diagonal(K).copy()
        largest = float(diagonal.max(initial=0.0))
        if not np.all(np.isfinite(K)) or diagonal.min(initial=0.0) < -DIGITS * largest:
            raise ValueError(_NO_KERNEL)
        probe = np.random.default_rng(0).standard_normal((len(K), 4))
        products = K @ probe
        # K is its own transpose, so that its rows may be taken for columns.
        L, order, rank, _ = lapack.dpstrf(K.T, lower=1, tol=DIGITS * largest, overwrite_a=True)
        L = np.tril(L)[:, :rank]
        rows = np.empty_like(L)
        rows[order - 1] = L
        # A pivoted factor stops at the first pivot that is not positive; an indefinite K has more.
        left = np.abs(np.einsum("ij,ij->i", rows, rows) - diagonal).max(initial=0.0)
        missed = np.abs(rows @ (rows.T @ probe) - products).max(initial=0.0)
        if max(left, missed / max(1.0, np.sqrt(len(K)))) > 1e-8 * largest:
            raise ValueError(_NO_KERNEL)
        chosen = order[:rank] - 1
        dtype = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
        return cls(kernel, X[chosen], L[:rank], dtype), rows

    def extended_to(self, X: Any) -> KernelFeatures:
        """Return features that have, after these, those of the part of new rows they leave out.

        On rows in the span of the pivots, such as the training rows, the new ones are 0.
        """
        phi = self(X)
        left = np.asarray(self.kernel(X, X), dtype=np.float64) - phi @ phi.T
        largest = float(np.einsum("ij,ij->i", self.lower, self.lower).max(initial=0.0))
        largest = max(largest, float(np.diagonal(left).max(initial=0.0)))
        L, order, rank, _ = lapack.dpstrf(np.asfortranarray(left), lower=1, tol=DIGITS * largest)
        if not rank or left.max() <= 0:
            return self
        chosen = order[:rank] - 1
        r = len(self.lower)
        lower = np.zeros((r + rank, r + rank))
        lower[:r, :r], lower[r:, :r] = self.lower, phi[chosen]
        lower[r:, r:] = np.tril(L)[:rank, :rank]
        both = [self.pivots, X[chosen]]
        sparse_ones = sparse.issparse(self.pivots)
        pivots = sparse.vstack(both).tocsr() if sparse_ones else np.concatenate(both)
        return replace(self, pivots=pivots, lower=lower)

    def __call__(self, X: Any) -> Any:
        X = as_table(X)
        products = np.asarray(self.kernel(X, self.pivots), dtype=np.float64)
        return solve_triangular(self.lower, products.T, lower=True).T


_NO_KERNEL = (
    "The kernel of the training rows is not positive semidefinite (sigmoid kernels often are not), "
    "so the fitted model is not the minimum of a convex problem and no removal can be derived. Use "
    "a kernel such as 'rbf', 'poly' with coef0 >= 0, or 'linear'."
)
