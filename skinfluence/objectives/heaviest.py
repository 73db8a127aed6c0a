"""The Gauss-Newton matrix of the rows that weigh most: a preconditioner for networks.

A network that fits well is sure of most rows, and the curvature of their losses is next to nothing:
a few rows make up most of sum_i J_i' G_i J_i. Theirs is inverted as it is, in the dual form

    (D + Z'Z)^-1 = D^-1 - D^-1 Z' (I + Z D^-1 Z')^-1 Z D^-1,

D = diag(l2) + damping, and the other rows are left to the iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from skinfluence.objectives.gram import in_double
from skinfluence.objectives.roots import NetworkRoot, square_roots

if TYPE_CHECKING:
    from skinfluence.objectives.network import NetworkObjective

Array = npt.NDArray[Any]

RANK = 2_000
"""Rows of Z at most: its factor takes no more than two products with 20 columns of 10,000 rows."""


@dataclass(frozen=True, eq=False)
class Heaviest:
    """The inverse of D + Z'Z, Z the largest of the rows of all S_i J_i, S_i' S_i = G_i.

    Attributes
    ----------
    diagonal : ndarray of shape (n_params,)
        D, positive.
    root : NetworkRoot
        Of the rows that have any part in Z.
    chosen : ndarray of int, shape (rank,)
        Which rows of `root` are in Z.
    factor : tuple
        Cholesky factor of I + Z D^-1 Z'.
    """

    diagonal: Array
    root: NetworkRoot
    chosen: Array
    factor: tuple[Array, bool]

    @classmethod
    def of(cls, objective: NetworkObjective, damping: float) -> Self:
        """Return it for the curvature of an objective plus damping."""
        sizes = _sizes(objective)
        order = np.argsort(-sizes.ravel(), kind="stable")[:RANK]
        chosen = np.sort(order[sizes.ravel()[order] > 0.0])
        rows, place = np.unique(chosen // sizes.shape[1], return_inverse=True)
        part = objective.rows(rows)
        root = NetworkRoot(part, square_roots(part))
        diagonal = objective.l2 + damping
        if np.any(diagonal <= 0):  # intercepts without damping: held like the weights
            diagonal = np.where(diagonal > 0, diagonal, float(diagonal.max()) or 1.0)
        pick = chosen % sizes.shape[1]
        gram = _gram(root, place, pick, 1.0 / diagonal)
        gram[np.diag_indices_from(gram)] += 1.0
        factor = linalg.cho_factor(gram, lower=True, overwrite_a=True)
        return cls(diagonal, root, place * sizes.shape[1] + pick, factor)

    def solve(self, V: Array) -> Array:
        """Return the inverse times V, shape (n_params, k)."""
        scaled = V / self.diagonal[:, None]
        U = np.zeros((self.root.rank, V.shape[1]))
        U[self.chosen] = linalg.cho_solve(self.factor, self.root.dot(scaled)[self.chosen])
        out: Array = scaled - self.root.t_dot(U) / self.diagonal[:, None]
        return out


def _sizes(objective: NetworkObjective) -> Array:
    """Return the squared norms of the rows of S_i J_i, shape (n_samples, K)."""
    out = np.zeros((objective.n_samples, objective.loss.n_outputs))
    for index, part, run in objective.passes(objective.loss.n_outputs):
        deltas = run.back(part.root_stack())
        for A, delta in zip(run.activations, deltas, strict=True):
            A = in_double(A)
            squares = A.multiply(A).sum(axis=1) if sparse.issparse(A) else (A**2).sum(axis=-1)
            out[index] += ((1.0 + np.ravel(squares)) * (delta**2).sum(axis=2)).T
    return out


def _gram(root: NetworkRoot, rows: Array, pick: Array, scale: Array) -> Array:
    """Return Z diag(scale) Z', as `NetworkRoot.gram`, of some of the rows of `root`."""
    one = root.objective
    run = one.layers.forward(one.X, one.layers.split(one.theta[:, None]))
    deltas = run.back(np.ascontiguousarray(root.roots.transpose(1, 0, 2)))
    out = np.zeros((len(rows), len(rows)))
    for part, A, delta in zip(one.layers.slices(), run.activations, deltas, strict=True):
        A = in_double(A)
        A = A if sparse.issparse(A) else A.reshape(one.n_samples, -1)
        inputs = A @ A.T
        inputs = inputs.toarray() if sparse.issparse(inputs) else inputs
        inputs = scale[part.start] * inputs + scale[part.stop - 1]
        chosen = delta[pick, rows]
        out += inputs[np.ix_(rows, rows)] * (chosen @ chosen.T)
    return out
