"""Coordinates of the space that rows span, where there are fewer of them than features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack, solve_triangular

from skinfluence.objectives.gram import in_double

Array = npt.NDArray[Any]


class Axes(Protocol):
    """Orthonormal axes of the space that rows X span.

    Attributes
    ----------
    rows : ndarray of shape (n_samples, rank)
        X in these coordinates.
    """

    rows: Array

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

    def coordinates(self, V: Array) -> Array:
        out: Array = self.axes.T @ V
        return out

    def lift(self, C: Array) -> Array:
        out: Array = self.axes @ C
        return out


@dataclass(eq=False)
class SparseAxes:
    """X_r' L^-T for r independent rows X_r with X_r X_r' = L L': never formed, X stays sparse."""

    rows: Array
    chosen: Any
    lower: Array

    @classmethod
    def of(cls, X: Any) -> SparseAxes:
        """Return the axes of the rows of X, by a pivoted Cholesky factor of their products."""
        X = in_double(X)
        L, pivots, rank, _ = lapack.dpstrf((X @ X.T).toarray(), lower=1)
        L = np.tril(L)[:, :rank]
        rows = np.empty_like(L)
        rows[pivots - 1] = L
        return cls(rows, X[pivots[:rank] - 1], L[:rank])

    def coordinates(self, V: Array) -> Array:
        out: Array = solve_triangular(self.lower, self.chosen @ V, lower=True)
        return out

    def lift(self, C: Array) -> Array:
        out: Array = self.chosen.T @ solve_triangular(self.lower, C, lower=True, trans="T")
        return out
