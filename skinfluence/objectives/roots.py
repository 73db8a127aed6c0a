"""The curvature of a linear model as products of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

from skinfluence.objectives.base import row_blocks
from skinfluence.objectives.gram import in_double

Array = npt.NDArray[Any]


class Rows(Protocol):
    """What roots need of a linear objective: its features and the products with J."""

    @property
    def X(self) -> Any:
        """The features, shape (n_samples, n_features)."""
        ...

    @property
    def fit_intercept(self) -> bool:
        """Whether a feature of ones is added."""
        ...

    @property
    def block_size(self) -> int:
        """Parameters of one output."""
        ...

    def jacobian_dot(self, V: Array) -> Array:
        """Return J_i V for every row, shape (n_samples, K, k)."""
        ...

    def jacobian_t_dot(self, B: Array) -> Array:
        """Return sum_i J_i' B_i for B of shape (n_samples, K, k)."""
        ...


@dataclass(frozen=True, eq=False)
class RowRoot:
    """Z, whose rows are those of S_i J_i, S_i' S_i = G_i.

    Attributes
    ----------
    objective : Rows
        Of K outputs: those that are coupled, or one.
    roots : ndarray of shape (n_samples, K, K)
        S_i.
    """

    objective: Rows
    roots: Array

    @property
    def rank(self) -> int:
        return int(self.roots.shape[0] * self.roots.shape[1])

    def dot(self, V: Array) -> Array:
        out: Array = self.roots @ self.objective.jacobian_dot(V)
        return out.reshape(self.rank, V.shape[1])

    def t_dot(self, U: Array) -> Array:
        n, K, _ = self.roots.shape
        B = self.roots.transpose(0, 2, 1) @ U.reshape(n, K, -1)
        return self.objective.jacobian_t_dot(B)

    def gram(self, scale: Array) -> Array:
        one = scale[: self.objective.block_size]  # alike for coupled outputs
        X, p = self.objective.X, self.objective.X.shape[1]
        if sparse.issparse(X):
            X = in_double(X)
            products = (X.multiply(one[:p]).tocsr() @ X.T).toarray()
        else:
            products = np.zeros((X.shape[0], X.shape[0]))
            for columns in row_blocks(p, X.shape[0]):
                part = in_double(X[:, columns])
                products += (part * one[columns]) @ part.T
        if self.objective.fit_intercept:
            products += one[p]
        if self.roots.shape[1] == 1:
            root = self.roots[:, 0, 0]
            out: Array = products * root * root[:, None]
            return out
        tiles = np.einsum("iac,jbc->iajb", self.roots, self.roots, optimize=True)
        tiles *= products[:, None, :, None]
        matrix: Array = tiles.reshape(self.rank, self.rank)
        return matrix
