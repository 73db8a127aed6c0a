"""Jacobi and block Jacobi preconditioners of linear models: the diagonal, and each output alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import linalg, sparse

from skinfluence.curvature.contracts import Inverse
from skinfluence.objectives import LinearObjective
from skinfluence.objectives.gram import in_double, weighted_gram
from skinfluence.process.blocks import row_blocks
from skinfluence.process.memory import require_memory
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class Diagonal(Inverse):
    """The inverse of the diagonal (Jacobi)."""

    inverse: Array

    @classmethod
    def of(cls, objective: LinearObjective, damping: float) -> Self:
        """Return it for the curvature of an objective plus damping."""
        G = _of_outputs(objective)
        X, p = objective.X, objective.X.shape[1]
        sums = np.zeros((objective.block_size, G.shape[1]))
        for rows in row_blocks(X.shape[0], p if not sparse.issparse(X) else 1):
            part = in_double(X[rows])
            squares = part.multiply(part).tocsr() if sparse.issparse(part) else part**2
            sums[:p] += squares.T @ G[rows]
        sums[p:] = G.sum(axis=0)
        diagonal = sums.T.ravel()
        if objective.free is not None:
            diagonal = diagonal[objective.free]
        diagonal = diagonal + objective.l2 + damping
        return cls(1.0 / np.where(diagonal > 0, diagonal, 1.0))

    def solve(self, V: Array) -> Array:
        return V * self.inverse[:, None].astype(V.dtype)


@dataclass(frozen=True, eq=False)
class PerOutput(Inverse):
    """The inverse of the curvature of each output alone: block Jacobi.

    Attributes
    ----------
    factors : list of (ndarray, bool)
        Cholesky factors, shape (block_size, block_size).
    """

    factors: list[tuple[Array, bool]]

    @classmethod
    def of(cls, objective: LinearObjective, damping: float) -> Self | None:
        """Return it for the curvature of an objective plus damping; None where there is none."""
        if objective.free is not None or not objective.convex:
            return None
        K, d = objective.loss.n_outputs, objective.block_size
        require_memory(
            8.0 * (K + 1) * d**2,
            f"A preconditioner of {K} blocks of {d:,} parameters",
            "Pass solver=CG(preconditioner='jacobi'), which needs none of it.",
        )
        penalties = (objective.l2 + damping).reshape(K, d)
        factors = []
        for g, penalty in zip(_of_outputs(objective).T, penalties, strict=True):
            H = weighted_gram(objective.X, g, objective.fit_intercept)
            H[np.diag_indices(d)] += penalty
            try:
                factors.append(linalg.cho_factor(H, lower=True, overwrite_a=True))
            except (linalg.LinAlgError, ValueError):  # not definite, or not finite
                return None
        return cls(factors)

    def solve(self, V: Array) -> Array:
        parts = np.split(V, len(self.factors))
        solved = [linalg.cho_solve(c, part) for c, part in zip(self.factors, parts, strict=True)]
        return np.concatenate(solved).astype(V.dtype, copy=False)


def _of_outputs(objective: LinearObjective) -> Array:
    """Return w_i times the second derivative of the loss in each output, shape (n, K)."""
    entry = objective.loss.hessian_entries(objective.targets, objective.raw_predictions())
    columns = [objective.sample_weight * entry(k, k) for k in range(objective.loss.n_outputs)]
    return np.stack(columns, axis=1)
