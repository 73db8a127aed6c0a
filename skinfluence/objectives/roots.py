"""The curvature as products of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

from skinfluence.objectives.base import OutputObjective, row_blocks
from skinfluence.objectives.gram import in_double

if TYPE_CHECKING:
    from skinfluence.objectives.network import NetworkObjective

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


@dataclass(frozen=True, eq=False)
class NetworkRoot:
    """Z, whose rows are those of S_i J_i, J_i the Jacobian of a network.

    Attributes
    ----------
    objective : NetworkObjective
    roots : ndarray of shape (n_samples, K, K)
        S_i.
    """

    objective: NetworkObjective
    roots: Array

    @property
    def rank(self) -> int:
        return int(self.roots.shape[0] * self.roots.shape[1])

    def dot(self, V: Array) -> Array:
        JV = self.objective.jacobian_dot(V)
        out: Array = self.roots.astype(JV.dtype, copy=False) @ JV
        return out.reshape(self.rank, V.shape[1])

    def t_dot(self, U: Array) -> Array:
        n, K, _ = self.roots.shape
        B = self.roots.astype(U.dtype, copy=False).transpose(0, 2, 1) @ U.reshape(n, K, -1)
        return self.objective.jacobian_t_dot(B)

    def gram(self, scale: Array) -> Array:
        return self.gram_of(np.arange(self.rank), scale)

    def gram_of(self, chosen: Array, scale: Array) -> Array:
        """Return `gram` of some of the rows of Z alone."""
        # A layer adds (s_W a_i'a_j + s_b) delta_i'delta_j, s its scale: alike for all of W.
        one = self.objective
        run = one.layers.forward(one.X, one.layers.split(one.theta[:, None]))
        deltas = run.back(np.ascontiguousarray(self.roots.transpose(1, 0, 2)))
        n, K, _ = self.roots.shape
        rows, outputs = chosen // K, chosen % K
        out = np.zeros((len(chosen), len(chosen)))
        for part, A, delta in zip(one.layers.slices(), run.activations, deltas, strict=True):
            A = in_double(A) if sparse.issparse(A) else in_double(A).reshape(n, -1)
            inputs = A @ A.T
            inputs = inputs.toarray() if sparse.issparse(inputs) else inputs
            inputs = scale[part.start] * inputs + scale[part.stop - 1]
            back = delta[outputs, rows]
            products = back @ back.T
            products *= inputs[np.ix_(rows, rows)]
            out += products
        return out


def square_roots(objective: OutputObjective) -> Array:
    """Return S_i with S_i' S_i = w_i d2l/deta2 of every row, shape (n_samples, K, K)."""
    w, G = objective.sample_weight, objective.output_hessians()
    if objective.loss.separable:
        root: Array = np.sqrt(np.maximum(w[:, None] * G, 0.0))[:, :, None] * np.eye(G.shape[1])
        return root
    values, vectors = np.linalg.eigh(w[:, None, None] * G)
    out: Array = np.sqrt(np.maximum(values, 0.0))[:, :, None] * vectors.transpose(0, 2, 1)
    return out
