"""What removing each row does to the parameters, in products and never as a matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.objectives import Objective, OutputObjective
from skinfluence.objectives.base import row_blocks
from skinfluence.solvers import Factor

Array = npt.NDArray[Any]

Rows = slice | Array


@dataclass(frozen=True, eq=False)
class Removal:
    """The change of the parameters without each row, alone: H^-1 (J_i' c_i + E z_i).

    Attributes
    ----------
    objective : Objective
        Over the training rows, at the optimum.
    coefficients : ndarray of shape (n_samples, K) or None
        c_i; None for an objective without raw predictions, where c_i is the row's own weight.
    shares : ndarray of shape (n_samples, q)
        z_i.
    shared : ndarray of shape (n_params, q)
        E.
    strata : ndarray of int, shape (n_samples,)
        Which of `factors` applies to a row.
    factors : tuple of Factor
    leverage : ndarray of shape (n_samples,) or None
        Largest eigenvalue of G_i Q_i (h_i for K = 1); None for first order.
    shift : ndarray of shape (n_samples,) or None
        How far one Newton step moves the row's own raw prediction; None for first order.
    guarded : ndarray of int, shape (n_guarded,)
        Sorted rows whose change is not of the form above.
    guarded_changes : ndarray of shape (n_params, n_guarded)
        Their changes.
    method : str
        "first_order": effects are linear in the change. Otherwise targets are evaluated at the
        moved predictions.
    """

    objective: Objective
    coefficients: Array | None
    shares: Array
    shared: Array
    strata: Array
    factors: tuple[Factor, ...]
    leverage: Array | None
    shift: Array | None
    guarded: Array
    guarded_changes: Array
    method: str

    def blocks(self, width: int, among: Array | None = None) -> Iterator[tuple[int, Rows]]:
        """Yield (stratum, rows): blocks that share a factor, of `width` numbers a row.

        `among` restricts them to some rows.
        """
        if among is None and len(self.factors) == 1:
            for index in row_blocks(len(self.strata), width):
                yield 0, index
            return
        for stratum in range(len(self.factors)):
            members = np.flatnonzero(self.strata == stratum)
            if among is not None:
                members = among[self.strata[among] == stratum]
            for index in row_blocks(len(members), width):
                yield stratum, members[index]

    def project(self, U: Array) -> list[Projection]:
        """Return H^-1 U for every stratum, ready to meet the rows; U of shape (n_params, k)."""
        solved = [factor.solve(U) for factor in self.factors]
        return [Projection(T, self.shared.T @ T) for T in solved]

    def project_predictions(self, test: OutputObjective) -> list[Projection]:
        """Return the projections `prediction_changes` needs for these test rows.

        Where outputs do not mix (separable loss) one column serves all outputs of a test row.
        """
        n_outputs = test.loss.n_outputs
        if test.loss.separable:
            return self.project(test.jacobian_t_rows(np.ones((test.n_samples, n_outputs))))
        units = np.eye(n_outputs)
        each = [test.jacobian_t_rows(np.tile(unit, (test.n_samples, 1))) for unit in units]
        return self.project(np.stack(each, axis=2).reshape(test.n_params, -1))

    def along(self, projection: Projection, rows: Rows) -> Array:
        """Return U' (theta_without_i - theta) for some rows, shape (n_rows, k)."""
        part = self.objective.rows(rows)
        if self.coefficients is None:
            dots = part.sample_weight[:, None] * part.grads_dot(projection.T)
        else:
            assert isinstance(part, OutputObjective)
            JT = part.jacobian_dot(projection.T)
            if JT.shape[1] == 1:  # in place: one pass over the largest array there is
                dots = JT[:, 0]
                dots *= self.coefficients[rows]
            else:
                dots = np.einsum("ikv,ik->iv", JT, self.coefficients[rows])
        if self.shares.shape[1]:
            dots = dots + self.shares[rows] @ projection.shared
        return dots

    def prediction_changes(
        self, projection: Projection, test: OutputObjective, rows: Rows
    ) -> Array:
        """Return J_t (theta_without_i - theta), shape (n_test, n_rows, K), in float64."""
        n_outputs = test.loss.n_outputs
        if test.loss.separable:
            delta = self._along_each_output(projection, rows, n_outputs)
        else:
            flat = self.along(projection, rows)
            delta = flat.reshape(len(flat), test.n_samples, n_outputs).transpose(1, 0, 2)
        indices = np.arange(len(self.strata))[rows]
        here = np.isin(indices, self.guarded)
        if np.any(here):
            changes = self.guarded_changes[:, np.searchsorted(self.guarded, indices[here])]
            delta[:, here] = test.jacobian_dot(changes).transpose(0, 2, 1)
        return delta

    def _along_each_output(self, projection: Projection, rows: Rows, n_outputs: int) -> Array:
        """H is block-diagonal: output k of a test row meets only output k of a training row."""
        part = self.objective.rows(rows)
        assert isinstance(part, OutputObjective) and self.coefficients is not None
        JT = part.jacobian_dot(projection.T)
        delta = JT.astype(np.float64, copy=False)
        delta *= self.coefficients[rows][:, :, None]
        if self.shares.shape[1]:
            E = self.shared.reshape(n_outputs, -1, self.shares.shape[1])
            T = projection.T.reshape(n_outputs, -1, projection.T.shape[1])
            delta += np.einsum("kdq,kdt,iq->ikt", E, T, self.shares[rows], optimize=True)
        return delta.transpose(2, 0, 1)

    def pushes(self, rows: Array) -> Array:
        """Return J_i' c_i + E z_i of a few rows as columns, shape (n_params, n_rows)."""
        part = self.objective.rows(rows)
        assert isinstance(part, OutputObjective) and self.coefficients is not None
        out: Array = part.jacobian_t_rows(self.coefficients[rows])
        out += self.shared @ self.shares[rows].T
        return out

    def changes(self, rows: Array) -> Array:
        """Return theta_without_i - theta of a few rows as columns, shape (n_params, n_rows)."""
        out = self.pushes(rows)
        for stratum in np.unique(self.strata[rows]):
            here = self.strata[rows] == stratum
            out[:, here] = self.factors[stratum].solve(out[:, here])
        at = np.isin(rows, self.guarded)
        out[:, at] = self.guarded_changes[:, np.searchsorted(self.guarded, rows[at])]
        return out


@dataclass(frozen=True, eq=False)
class Projection:
    """T = H^-1 U, shape (n_params, k), and E' T, shape (q, k)."""

    T: Array
    shared: Array
