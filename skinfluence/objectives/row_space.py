"""Coordinates of the space that rows span, where there are fewer of them than features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse
from scipy.linalg import lapack, solve_triangular

from skinfluence.objectives.gram import in_double
from skinfluence.objectives.row_products import RowProducts
from skinfluence.typing import Array

PIVOTS = 1e-4
"""Smallest pivot of the rows' products, relative to the largest, whose axes have digits enough.

They are orthonormal within the rounding of one over its square.
"""


class Axes(Protocol):
    """Orthonormal axes of the space that rows X span.

    Attributes
    ----------
    rows : ndarray of shape (n_samples, rank)
        X in these coordinates.
    """

    rows: Array

    @property
    def n_features(self) -> int:
        """Columns of X."""
        ...

    def coordinates(self, V: Array) -> Array:
        """Return the coordinates of the part of V, shape (n_features, k), in the space."""
        ...

    def lift(self, C: Array) -> Array:
        """Return the vectors of coordinates C, shape (rank, k)."""
        ...


@dataclass(eq=False)
class DenseAxes:
    """From X' = U R."""

    rows: Array
    axes: Array

    @classmethod
    def of(cls, X: Array) -> DenseAxes:
        """Return the axes of the rows of X."""
        axes, R = np.linalg.qr(in_double(X).T)
        return cls(R.T, axes)

    @property
    def n_features(self) -> int:
        return len(self.axes)

    def coordinates(self, V: Array) -> Array:
        return self.axes.T @ V

    def lift(self, C: Array) -> Array:
        return self.axes @ C


@dataclass(eq=False)
class RowAxes:
    """X_r' L^-T for r independent rows X_r with X_r X_r' = L L': never formed."""

    rows: Array
    chosen: Any
    lower: Array

    @classmethod
    def of(cls, products: RowProducts) -> RowAxes:
        """Return the axes of rows, by a Cholesky factor of their products.

        It is pivoted, which takes long, where the rows are not surely independent.
        """
        # The products are their own transpose, so that their rows may be taken for columns.
        K = products.matrix().T
        L, info = lapack.dpotrf(K, lower=1, clean=1)
        sizes = np.diagonal(L)
        if info == 0 and len(L) and sizes.min() > PIVOTS * sizes.max():
            return cls(L, products.X, L)
        L, pivots, rank, _ = lapack.dpstrf(K, lower=1)
        L = np.tril(L)[:, :rank]
        rows = np.empty_like(L)
        rows[pivots - 1] = L
        return cls(rows, products.X[pivots[:rank] - 1], L[:rank])

    @property
    def n_features(self) -> int:
        return int(self.chosen.shape[1])

    def coordinates(self, V: Array) -> Array:
        return solve_triangular(self.lower, in_double(self.chosen) @ V, lower=True)

    def lift(self, C: Array) -> Array:
        inside = solve_triangular(self.lower, C, lower=True, trans="T")
        return in_double(self.chosen).T @ inside


def axes_of(products: RowProducts) -> Axes:
    """Return the axes of the space that rows span: from X itself where X X' would lose digits."""
    axes = RowAxes.of(products)
    pivots = np.diagonal(axes.lower)
    complete = len(pivots) == len(axes.rows) and pivots.min() > PIVOTS * pivots.max()
    if complete or sparse.issparse(products.X):
        return axes
    return DenseAxes.of(products.X)


def lifted(axes: Axes, V: Array, n_outputs: int) -> Array:
    """Return parameters in coordinates, class-major columns, as parameters; intercepts stay."""
    rank = axes.rows.shape[1]
    blocks = V.reshape(n_outputs, len(V) // n_outputs, V.shape[1])
    p = axes.n_features
    out = np.empty((n_outputs, p + blocks.shape[1] - rank, V.shape[1]))
    for one, block in zip(out, blocks, strict=True):
        one[:p], one[p:] = axes.lift(block[:rank]), block[rank:]
    return out.reshape(-1, V.shape[1])


def within(axes: Axes, V: Array, n_outputs: int) -> Array:
    """Return parameters, class-major columns, in coordinates: of their part in the space."""
    p, blocks = axes.n_features, V.reshape(n_outputs, len(V) // n_outputs, V.shape[1])
    return np.concatenate([np.concatenate([axes.coordinates(b[:p]), b[p:]]) for b in blocks])
