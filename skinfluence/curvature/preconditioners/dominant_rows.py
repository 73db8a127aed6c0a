"""Low-rank preconditioner from the rows with the largest Gauss-Newton terms, for networks.

A network that fits well is sure of most rows, and the curvature of their losses is next to nothing:
a few rows make up most of sum_i J_i' G_i J_i. Theirs is inverted as it is, in the dual form

    (D + Z'Z)^-1 = D^-1 - D^-1 Z' (I + Z D^-1 Z')^-1 Z D^-1,

D = diag(l2) + damping, and the other rows are left to the iteration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import linalg

from skinfluence.curvature.contracts import Inverse
from skinfluence.curvature.roots import NetworkRoot
from skinfluence.objectives import NetworkObjective
from skinfluence.objectives.base import square_roots
from skinfluence.process.tuning import tuning
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class DominantRows(Inverse):
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
        order = np.argsort(-sizes.ravel(), kind="stable")[: tuning().dominant_rows]
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
        diagonal = self.diagonal[:, None].astype(V.dtype)
        out: Array = V / diagonal
        U = np.zeros((self.root.rank, V.shape[1]), dtype=V.dtype)
        U[self.chosen] = linalg.cho_solve(self.factor, self.root.dot(out)[self.chosen])
        out -= self.root.t_dot(U) / diagonal
        return out
