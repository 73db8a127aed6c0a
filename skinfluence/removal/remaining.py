"""The objectives of the remaining rows, for many removals of one row at once.

Column j of Theta = theta + D (n_params, m) is the model without row `rows[j]`; its objective is
that of all rows with the weights that stay behind and the row's own weight set to zero.
Shapes: D, S, gradients (n_params, m); J D, raw predictions (n_samples, m, K).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.objectives import LinearObjective
from skinfluence.solvers import Factor

Array = npt.NDArray[Any]


class Remaining:
    """The objectives without each of m rows that share a factor.

    Parameters
    ----------
    objective : LinearObjective
        Over all rows, at its optimum.
    rows : ndarray of int, shape (m,)
    factor : Factor
        Of the curvature with the weights that stay behind a row of this stratum.
    """

    def __init__(self, objective: LinearObjective, rows: Array, factor: Factor) -> None:
        self.objective = objective
        self.rows = rows
        self.factor = factor
        self.y = objective.targets[:, None]
        self.eta = objective.raw_predictions()[:, None, :]
        self.theta = objective.theta[:, None]
        self.l2 = objective.l2[:, None]
        self.w = objective.weighting.weights_without_rows(rows, objective.sample_weight)

    def take(self, columns: Array) -> Remaining:
        """Return the objectives without some of the rows."""
        return Remaining(self.objective, self.rows[columns], self.factor)

    def predict(self, D: Array) -> Array:
        """Return J D."""
        JD: Array = self.objective.jacobian_dot(D).transpose(0, 2, 1)
        double: Array = JD.astype(np.float64, copy=False)
        return double

    def gradient(self, D: Array, JD: Array) -> Array:
        """Return the gradient of every column."""
        slopes = self.objective.loss.gradient(self.y, self.eta + JD)
        pulled = self._pull(self._weighted(slopes))
        pulled += self.l2 * (self.theta + D)
        return pulled

    def slope(self, D: Array, JD: Array, S: Array, JS: Array) -> Array:
        """Return the derivative along S, shape (m,)."""
        slopes = self._weighted(self.objective.loss.gradient(self.y, self.eta + JD))
        along: Array = np.einsum("imk,imk->m", slopes, JS)
        along += np.sum(self.l2 * (self.theta + D) * S, axis=0)
        return along

    def curvature(self, JD: Array) -> Callable[[Array, Array], Array]:
        """Return the Hessian of every column, as the map from S and J S to its product with S."""
        product = self.objective.loss.hessian_product(self.y, self.eta + JD)
        return lambda S, JS: self._pull(self._weighted(product(JS))) + self.l2 * S

    def norm(self, gradient: Array) -> Array:
        """Return sqrt(g' H^-1 g) of every column, shape (m,)."""
        squares: Array = np.sum(gradient * self.factor.solve(gradient), axis=0)
        return np.sqrt(np.maximum(squares, 0.0))

    def own_directions(self) -> Array:
        """Return H^-1 J_i' of every row, shape (K, n_params, m)."""
        part = self.objective.rows(self.rows)
        n_outputs = self.objective.loss.n_outputs
        units = np.eye(n_outputs)[:, None].repeat(len(self.rows), axis=1)
        return np.stack([self.factor.solve(part.jacobian_t_rows(unit)) for unit in units])

    def own_correction(self, own: Array) -> Callable[[Array], Array]:
        """Return the map from gradients g to H_i^-1 g - H^-1 g, the row's own block taken out.

        With `own` = H^-1 J_i', by Woodbury: H^-1 J_i' (I - G_i Q_i)^-1 G_i J_i H^-1 g.
        """
        part = self.objective.rows(self.rows)
        columns = np.arange(len(self.rows))
        w = self.w[self.rows, columns] if self.w.shape[1] > 1 else self.w[self.rows, 0]
        G = part.output_hessians()
        n_outputs = own.shape[0]
        G = G[:, :, None] * np.eye(n_outputs) if part.loss.separable else G
        G = w[:, None, None] * G
        J = np.stack(
            [part.jacobian_t_rows(u) for u in np.eye(n_outputs)[:, None].repeat(len(w), axis=1)]
        )
        Q = np.einsum("kpm,lpm->mkl", J, own, optimize=True)
        # A row that is alone in a direction (leverage 1) has no inverse there; any will do here.
        A = np.eye(n_outputs) - (1.0 - 1e-12) * (G @ Q)
        inner = np.linalg.solve(A, G)

        def correct(gradient: Array) -> Array:
            u = np.einsum("kpm,pm->mk", own, gradient)
            out: Array = np.einsum("kpm,mk->pm", own, np.einsum("mkl,ml->mk", inner, u))
            return out

        return correct

    def _weighted(self, B: Array) -> Array:
        """Return B with every row weighed and the removed ones at zero."""
        weighted: Array = self.w[:, :, None] * B
        weighted[self.rows, np.arange(len(self.rows))] = 0.0
        return weighted

    def _pull(self, B: Array) -> Array:
        return self.objective.jacobian_t_dot(B.transpose(0, 2, 1))
