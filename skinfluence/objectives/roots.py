"""The curvature of a linear model as products of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from skinfluence.objectives.base import row_blocks
from skinfluence.objectives.gram import in_double

if TYPE_CHECKING:
    from skinfluence.objectives.linear import LinearObjective

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class RowRoot:
    """Z, whose rows are those of S_i J_i, S_i' S_i = G_i.

    Attributes
    ----------
    objective : LinearObjective
        Of K outputs: those that are coupled, or one.
    roots : ndarray of shape (n_samples, K, K)
        S_i.
    """

    objective: LinearObjective
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
