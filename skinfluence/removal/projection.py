"""H^-1 U for the gradients U of the test rows, in two forms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skinfluence.objectives import LinearObjective
from skinfluence.removal.edits import Rows
from skinfluence.solvers import Factor
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class Projection:
    """T = H^-1 U, shape (n_params, k), in the precision of the features; E' T, shape (q, k)."""

    T: Array
    shared: Array


@dataclass(frozen=True, eq=False)
class RowSpaceSolve:
    """J T of all training rows for T = H^-1 U, T itself never formed.

    Attributes
    ----------
    JT : ndarray of shape (n_samples, K, k)
    each : ndarray of shape (K, q, k)
        E' T of each output.
    """

    JT: Array
    each: Array

    @property
    def shared(self) -> Array:
        """E' T, shape (q, k)."""
        return self.each.sum(axis=0)

    def pushed(self, C: Array, rows: Rows, out: Array | None = None) -> Array:
        """Return C_i' J_i T of some rows, shape (n_rows, k), into `out` if given."""
        JT = self.JT[rows]
        if JT.shape[1] == 1:
            return np.multiply(JT[:, 0], C, out=out, casting="same_kind")
        return np.einsum("ikv,ik->iv", JT, C, out=out, casting="same_kind")

    @classmethod
    def of(
        cls, factor: Factor, shared: Array, test: LinearObjective, pushes: list[Array]
    ) -> RowSpaceSolve | None:
        """Return J T for U = J_t' B_t, a column for every B; None where the factor has no rows.

        Parameters
        ----------
        factor : Factor
        shared : ndarray of shape (n_params, q)
            E.
        test : LinearObjective
            Over the test rows.
        pushes : list of ndarray of shape (n_test, K)
            B. The columns of a test row come one after the other.
        """
        columns = []
        for B in pushes:
            products = factor.between(test, B)
            if products is None:
                return None
            columns.append(products)
        JT = _side_by_side(columns)
        if not shared.shape[1]:
            return cls(JT, np.zeros((JT.shape[1], 0, JT.shape[2])))
        solved = test.jacobian_dot(factor.solve(shared)).transpose(1, 2, 0)  # (K, q, n_test)
        return cls(JT, _side_by_side([solved * B.T[:, None] for B in pushes]))


def _side_by_side(columns: list[Array]) -> Array:
    """Return arrays of columns as one whose columns alternate between them."""
    if len(columns) == 1:
        return columns[0]
    return np.stack(columns, axis=-1).reshape(*columns[0].shape[:-1], -1)
