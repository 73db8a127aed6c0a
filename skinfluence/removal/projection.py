"""What test rows need to know before they meet edits of the training data: H^-1 U, in two forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from skinfluence.objectives import LinearObjective, OutputObjective
from skinfluence.removal.edits import Rows

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Projection:
    """T = H^-1 U, shape (n_params, k), in the precision of the features; E' T, shape (q, k)."""

    T: Array
    shared: Array


@dataclass(frozen=True, eq=False)
class Met:
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
        out: Array = self.each.sum(axis=0)
        return out

    def pushed(self, C: Array, rows: Rows, out: Array | None = None) -> Array:
        """Return C_i' J_i T of some rows, shape (n_rows, k), into `out` if given."""
        JT = self.JT[rows]
        if JT.shape[1] == 1:
            return np.multiply(JT[:, 0], C, out=out, casting="same_kind")
        return np.einsum("ikv,ik->iv", JT, C, out=out, casting="same_kind")

    @classmethod
    def of(
        cls, factor: Any, shared: Array, test: LinearObjective, pushes: list[Array]
    ) -> Met | None:
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
        if not isinstance(factor, KnowsRows):
            return None
        found = []
        for B in pushes:
            one = factor.between(test, B)
            if one is None:
                return None
            found.append(one)
        JT = _side_by_side(found)
        if not shared.shape[1]:
            return cls(JT, np.zeros((JT.shape[1], 0, JT.shape[2])))
        solved = test.jacobian_dot(factor.solve(shared)).transpose(1, 2, 0)  # (K, q, n_test)
        return cls(JT, _side_by_side([solved * B.T[:, None] for B in pushes]))


@runtime_checkable
class KnowsRows(Protocol):
    """A factor that knows what its rows do to others."""

    solve: Callable[[Array], Array]

    def between(self, rows: OutputObjective, B: Array) -> Array | None:
        """Return J_i H^-1 J_t' b_t of all its rows i, (n_samples, K, n_rows); None if it cannot."""
        ...


def _side_by_side(found: list[Array]) -> Array:
    """Return arrays of columns as one whose columns alternate between them."""
    if len(found) == 1:
        return found[0]
    return np.stack(found, axis=-1).reshape(*found[0].shape[:-1], -1)
