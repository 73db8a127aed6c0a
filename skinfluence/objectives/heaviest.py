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
from scipy import linalg

from skinfluence.objectives.roots import NetworkRoot, square_roots

if TYPE_CHECKING:
    from skinfluence.objectives.network import NetworkObjective

Array = npt.NDArray[Any]

RANK = 3_000
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
        sizes = np.empty((objective.n_samples, objective.loss.n_outputs))
        for index, part, run in objective.passes(objective.loss.n_outputs):
            sizes[index] = run.squares(run.back(part.root_stack())).T
        order = np.argsort(-sizes.ravel(), kind="stable")[:RANK]
        chosen = np.sort(order[sizes.ravel()[order] > 0.0])
        rows, place = np.unique(chosen // sizes.shape[1], return_inverse=True)
        part = objective.rows(rows)
        root = NetworkRoot(part, square_roots(part))
        diagonal = objective.l2 + damping
        if np.any(diagonal <= 0):  # intercepts without damping: held like the weights
            diagonal = np.where(diagonal > 0, diagonal, float(diagonal.max()) or 1.0)
        chosen = place * sizes.shape[1] + chosen % sizes.shape[1]  # in the rows of the root
        gram = root.gram_of(chosen, 1.0 / diagonal)
        gram[np.diag_indices_from(gram)] += 1.0
        factor = linalg.cho_factor(gram, lower=True, overwrite_a=True)
        return cls(diagonal, root, chosen, factor)

    def solve(self, V: Array) -> Array:
        """Return the inverse times V, shape (n_params, k), in the precision of V."""
        diagonal = self.diagonal[:, None].astype(V.dtype)
        out: Array = V / diagonal
        U = np.zeros((self.root.rank, V.shape[1]), dtype=V.dtype)
        U[self.chosen] = linalg.cho_solve(self.factor, self.root.dot(out)[self.chosen])
        out -= self.root.t_dot(U) / diagonal
        return out
