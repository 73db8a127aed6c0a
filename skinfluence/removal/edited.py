"""The objectives after edits of the training data, for many edits at once.

Column j of Theta = theta + D (n_params, m) is the model after edit j; its objective is that of the
training rows with the weights the edit leaves, without the rows it takes away and with the row it
brings. Gradients are written as differences from those at theta,

    gradient_j(D) = gradient - push_j + J' w_j (l'(eta + J D) - l'(eta)) + l2 D,

so that what remains of them at the minimum is the rounding of small numbers.
Shapes: D, S, gradients (n_params, m); J D, raw predictions (n_samples, m, K).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Self

import numpy as np

from skinfluence.objectives import LinearObjective
from skinfluence.process.blocks import row_blocks
from skinfluence.removal.base import Removal
from skinfluence.removal.edits import Edits
from skinfluence.solvers import Factor
from skinfluence.typing import Array

CHUNK = 2**19
"""Numbers of a chunk of raw predictions: 4 MiB, which the caches hold."""

FLAT = 1e-16
"""Second derivative, relative to the largest, of rows on a flat part of their loss."""


class Edited:
    """The objectives after each of m edits.

    Attributes
    ----------
    objective : LinearObjective
        Over the training rows, at its optimum.
    factor : Factor
        Of a curvature near that of the edited objectives.
    w : ndarray of shape (n_samples, m) or (n_samples, 1)
        The weights the edits leave but for `scale`, as if no row left.
    scale : ndarray of shape (m,)
        Factor common to all weights of a column.
    gone : tuple of two ndarrays of int
        (rows, columns): which rows have left which column.
    coming : LinearObjective or None
        Row j comes with edit j, with the weight it then has.
    pushes : ndarray of shape (n_params, m)
        Minus what the edit adds to the gradient at theta.
    l2 : ndarray of shape (n_params, 1)
        Curvature of the penalty, and of what damping adds, 1/2 damping |D|^2.
    caused : ndarray of shape (m,)
        Norms of the pushes in the inverse curvature.
    """

    caused: Array

    def __init__(
        self,
        objective: LinearObjective,
        factor: Factor,
        w: Array,
        scale: Array,
        gone: tuple[Array, Array],
        coming: LinearObjective | None,
        pushes: Array,
        damping: float,
    ) -> None:
        self.objective = objective
        self.factor = factor
        self.w = w
        self.scale = scale
        order = np.argsort(gone[0], kind="stable")
        self.gone = gone[0][order], gone[1][order]
        self.coming = coming
        self.pushes = pushes
        self.base_gradient = objective.gradient()[:, None]
        self.l2 = objective.l2[:, None] + damping
        self.y = objective.targets[:, None]
        self.eta = objective.raw_predictions()[:, None]

    def take(self, columns: Array) -> Self:
        """Return the objectives after some of the edits."""
        out = copy(self)
        place = np.full(self.m, -1)
        place[columns] = np.arange(len(columns))
        rows, at = self.gone
        kept = place[at] >= 0
        out.gone = rows[kept], place[at[kept]]
        out.w = self.w[:, columns] if self.w.shape[1] > 1 else self.w
        out.scale = self.scale[columns]
        out.coming = None if self.coming is None else self.coming.rows(columns)
        out.pushes, out.caused = self.pushes[:, columns], self.caused[columns]
        return out

    def among(self, rows: Array) -> Self:
        """Return the objectives with the sums over some training rows alone.

        What the others add to the gradient at theta stays; they must not move from there.
        """
        out = copy(self)
        place = np.full(self.objective.n_samples, -1)
        place[rows] = np.arange(len(rows))
        gone, columns = self.gone
        kept = place[gone] >= 0
        out.gone = place[gone[kept]], columns[kept]
        out.w = self.w[rows]
        out.objective = self.objective.rows(rows)
        out.y, out.eta = self.y[rows], self.eta[rows]
        return out

    def active_rows(self, D: Array) -> Array:
        """Return the training rows whose gradient may change within twice the way to theta + D."""
        objective = self.objective
        at = objective.targets, objective.raw_predictions()
        G = np.abs(objective.loss.hessian(*at)).reshape(objective.n_samples, -1).max(axis=1)
        room = objective.loss.distance_to_bend(*at).min(axis=1)
        may_bend = (room == 0.0) | (FLAT * G.max(initial=0.0) < G)
        for rows in row_blocks(objective.n_samples, self.m * self.n_outputs, CHUNK):
            if not np.all(may_bend[rows]):
                moved = np.abs(objective.rows(rows).jacobian_dot(D)).max(axis=(1, 2))
                may_bend[rows] |= room[rows] <= 2.0 * moved
        return np.flatnonzero(may_bend)

    def precondition(self, gradient: Array) -> tuple[Array, Array]:
        """Return (nearly) H_j^-1 g_j and the norm of g_j in an inverse curvature, (m,)."""
        Z = self.apply(gradient)
        return Z, norm_in(gradient, Z)

    def after(self, gradient: Array, Z: Array, reach: Array) -> Array:
        """Return a bound on the size, as `precondition` has it, of the gradient after -Z, (m,).

        Infinite where none is known.
        """
        return np.full(self.m, np.inf)

    def apply(self, V: Array) -> Array:
        """Return H^-1 V, the preconditioner of conjugate gradients."""
        return self.factor.solve(V)

    @property
    def n_outputs(self) -> int:
        return self.objective.loss.n_outputs

    @property
    def m(self) -> int:
        return int(self.pushes.shape[1])

    def predict(self, D: Array) -> Array:
        """Return J D."""
        return self.objective.jacobian_dot(D).transpose(0, 2, 1)

    def gradient(self, D: Array) -> tuple[Array, Array]:
        """Return the gradient of every column, in the precision of D, and its reach.

        The reach, shape (m,), is how far any raw prediction of the column has moved. Rows come in
        chunks that stay in the caches; no raw predictions (n_samples, m) are ever formed.
        """
        reach = np.zeros(self.m)
        out: Array = (self.base_gradient - self.pushes + self.l2 * D).astype(D.dtype)
        width = self.m * self.n_outputs
        # At least as many rows as parameters of an output: every chunk adds to all of these.
        least = max(512, self.objective.block_size) * width
        for rows in row_blocks(self.objective.n_samples, width, max(CHUNK, least)):
            part = self.objective.rows(rows)
            change = part.loss.gradient_change(
                part.targets[:, None], part.raw_predictions()[:, None]
            )
            JD = part.jacobian_dot(D)
            np.maximum(reach, JD.max(axis=(0, 1)), out=reach)
            np.maximum(reach, -JD.min(axis=(0, 1)), out=reach)
            B = change(JD.transpose(0, 2, 1))
            out += part.jacobian_t_dot(self._weighted(B, rows).transpose(0, 2, 1))
        if self.coming is not None:
            change = self.coming.loss.gradient_change(
                self.coming.targets, self.coming.raw_predictions()
            )
            out += self._bring(change(self.coming.jacobian_rows_dot(D)))
        for shift in self.objective.flat_shifts():  # along the gauge there is only rounding
            out[shift] -= out[shift].mean(axis=0)
        return out, reach

    def slope(self, D: Array, JD: Array, S: Array, JS: Array) -> Array:
        """Return the derivative along S, shape (m,)."""
        change = self.objective.loss.gradient_change(self.y, self.eta)
        changes = self._weighted(change(JD))
        along: Array = np.einsum("imk,imk->m", changes, JS)
        along += np.sum((self.base_gradient - self.pushes + self.l2 * D) * S, axis=0)
        if self.coming is not None:
            change = self.coming.loss.gradient_change(
                self.coming.targets, self.coming.raw_predictions()
            )
            moved = change(self.coming.jacobian_rows_dot(D))
            weighed = self.coming.sample_weight[:, None] * moved
            along += np.sum(weighed * self.coming.jacobian_rows_dot(S), axis=1)
        return along

    def curvature(self, D: Array, JD: Array) -> Callable[[Array, Array], Array]:
        """Return the Hessian of every column, as the map from S and J S to its product with S."""
        product = self.objective.loss.hessian_product(self.y, self.eta + JD)
        coming = self.coming
        if coming is None:
            return lambda S, JS: self._pull(self._weighted(product(JS))) + self.l2 * S
        moved = coming.raw_predictions() + coming.jacobian_rows_dot(D)
        own = coming.loss.hessian_product(coming.targets, moved)

        def times(S: Array, JS: Array) -> Array:
            out: Array = self._pull(self._weighted(product(JS))) + self.l2 * S
            out += self._bring(own(coming.jacobian_rows_dot(S)))
            return out

        return times

    def unforeseen(self, D: Array) -> Array:
        """Return the gradient at theta + D less what the curvature at theta makes of it, like D.

        sum_i w_ij J_i' (l'(eta_i + J_i D_j) - l'(eta_i) - l''(eta_i) J_i D_j): what a Newton step
        did not know of.
        """
        out: Array = np.zeros_like(D)
        for rows in row_blocks(self.objective.n_samples, self.m * self.n_outputs, CHUNK):
            part = self.objective.rows(rows)
            B = unforeseen_gradients(part, part.jacobian_dot(D).transpose(0, 2, 1))
            out += part.jacobian_t_dot(self._weighted(B, rows).transpose(0, 2, 1))
        if self.coming is not None:
            JD = self.coming.jacobian_rows_dot(D)[:, None]
            out += self._bring(unforeseen_gradients(self.coming, JD)[:, 0])
        for shift in self.objective.flat_shifts():  # along the gauge there is only rounding
            out[shift] -= out[shift].mean(axis=0)
        return out

    def gained_curvature(self, D: Array, S: Array) -> Array:
        """Return S' (F_j''(theta + D) - F_j''(theta)) S of every column, shape (m,)."""
        out: Array = np.zeros(self.m)
        for rows in row_blocks(self.objective.n_samples, self.m * self.n_outputs, CHUNK):
            part = self.objective.rows(rows)
            JD, JS = (part.jacobian_dot(V).transpose(0, 2, 1) for V in (D, S))
            B = self._weighted(_gained_products(part, JD, JS), rows)
            out += np.einsum("imk,imk->m", B, JS)
        if self.coming is not None:
            JD, JS = (self.coming.jacobian_rows_dot(V)[:, None] for V in (D, S))
            B = _gained_products(self.coming, JD, JS)
            out += self.coming.sample_weight * np.sum(B * JS, axis=(1, 2))
        return out

    def norm(self, gradient: Array) -> Array:
        """Return sqrt(g' H^-1 g) of every column, shape (m,)."""
        return norm_in(gradient, self.apply(gradient))

    @property
    def may_recede(self) -> bool:
        """Whether there may be no finite minimum: nothing is penalised."""
        return not (self.objective.penalised or self.objective.loss.constant_hessian)

    def is_separated(self, D: Array, JD: Array) -> Array:
        """Return which columns have no finite minimum: all their rows are on the right side."""
        objective = self.objective
        counted = np.broadcast_to(self.w > 0, JD.shape[:2]).copy()
        counted[self.gone] = False
        falls = objective.loss.is_separated(self.y, self.eta + JD)
        out: Array = np.all(falls | ~counted, axis=0)
        if self.coming is not None:
            moved = self.coming.raw_predictions() + self.coming.jacobian_rows_dot(D)
            out &= self.coming.loss.is_separated(self.coming.targets, moved)
        return out

    def _weighted(self, B: Array, rows: slice = slice(None)) -> Array:
        """Weigh some rows, B of shape (n_rows, m, K), in place, the ones that left with zero."""
        B *= self.w[rows, :, None].astype(B.dtype, copy=False)
        if np.any(self.scale != 1.0):
            B *= self.scale[:, None].astype(B.dtype, copy=False)
        first, stop, _ = rows.indices(self.objective.n_samples)
        inside = slice(*np.searchsorted(self.gone[0], (first, stop)))
        B[self.gone[0][inside] - first, self.gone[1][inside]] = 0.0
        return B

    def _pull(self, B: Array) -> Array:
        return self.objective.jacobian_t_dot(B.transpose(0, 2, 1))

    def _bring(self, B: Array) -> Array:
        assert self.coming is not None
        return self.coming.jacobian_t_rows(self.coming.sample_weight[:, None] * B)


def unforeseen_gradients(part: LinearObjective, JD: Array) -> Array:
    """Return l'(eta + J D) - l'(eta) - l''(eta) J D of each row, shape (n_rows, m, K)."""
    at = part.targets[:, None], part.raw_predictions()[:, None]
    return part.loss.gradient_change(*at)(JD) - part.loss.hessian_product(*at)(JD)


def _gained_products(part: LinearObjective, JD: Array, JS: Array) -> Array:
    """Return (l''(eta + J D) - l''(eta)) J S of each row, shape (n_rows, m, K)."""
    y, eta = part.targets[:, None], part.raw_predictions()[:, None]
    return part.loss.hessian_product(y, eta + JD)(JS) - part.loss.hessian_product(y, eta)(JS)


def row_edits(edits: Edits, rows: Array, shared: Array) -> dict[str, Any]:
    """Return what states the objectives after some edits of one row each; `shared` is E."""
    objective, features = edits.base, edits.features.rows(rows)
    assert isinstance(objective, LinearObjective) and isinstance(features, LinearObjective)
    ratios = edits.ratios[rows]
    coming = None
    if edits.coming is not None:
        part = edits.coming.rows(rows)
        coming = part.with_weights(part.sample_weight * part.weighting.own(ratios))
    nothing = np.empty(0, dtype=int)
    pushes = features.jacobian_t_rows(edits.gradients(rows, ratios))
    return {
        "objective": objective,
        "w": objective.weighting.weights(ratios, objective.sample_weight),
        "scale": objective.weighting.scales(ratios),
        "gone": (rows, np.arange(len(rows))) if edits.leaving else (nothing, nothing),
        "coming": coming,
        "pushes": pushes + shared @ (1.0 - ratios).T,
    }


class EditedRows(Edited):
    """The objectives after edits of one row each, which share a factor.

    Parameters
    ----------
    removal : Removal
        Their Newton steps.
    rows : ndarray of int, shape (m,)
        Which of the edits, all of one stratum.
    stratum : int
    """

    def __init__(self, removal: Removal, rows: Array, stratum: int) -> None:
        edits, factor = removal.edits, removal.factors[stratum]
        stated = row_edits(edits, rows, removal.shared)
        super().__init__(factor=factor, damping=removal.damping, **stated)
        features = edits.features.rows(rows)
        assert isinstance(features, LinearObjective)
        ratios, a = edits.ratios[rows], edits.gradients(rows, edits.ratios[rows])
        # Of the outputs that meet in a block of the curvature: (outputs, blocks, block_size, m).
        units = features.units() if features.coupled else [np.ones_like(a)]
        J = np.stack([features.jacobian_t_rows(unit) for unit in units])
        own = np.stack([factor.solve(output) for output in J])
        J = J.reshape(len(units), 1 if features.coupled else a.shape[1], -1, len(rows))
        self._own = own.reshape(J.shape)  # H^-1 J_i'
        self._inner = self._woodbury(edits.curvatures(rows, ratios), J)
        self._rest = factor.solve(removal.shared) @ (1.0 - ratios).T  # H^-1 E z_i
        self.caused = norm_in(self.pushes, self.step(a))
        assert removal.leverage is not None
        leverage = removal.leverage[rows]
        self._left = np.maximum(1.0 - np.maximum(leverage, 0.0), 1e-15)
        self._stiffer = np.sqrt(1.0 + np.maximum(-leverage, 0.0))
        self._widest = removal.widest

    def step(self, c: Array) -> Array:
        """Return H^-1 (J_i' c_i + E z_i) of every edit, for c of shape (m, K)."""
        return self._along(c.reshape(len(c), *self._inner.shape[1:3])) + self._rest

    def _woodbury(self, G: Array, J: Array) -> Array:
        """Return (I - G Q)^-1 G of every edit, shape (m, blocks, outputs, outputs)."""
        outputs, blocks = J.shape[:2]
        if G.ndim == 2:
            G = G.reshape(len(G), blocks, outputs, 1) * np.eye(outputs)
        G = G.reshape(len(G), blocks, outputs, outputs)
        Q = np.einsum("kbpm,lbpm->mbkl", J, self._own, optimize=True)
        # A row that is alone in a direction (leverage 1) has no inverse there; any will do here.
        A = np.eye(outputs) - (1.0 - 1e-12) * (G @ Q)
        return np.linalg.solve(A, G)

    def _along(self, C: Array) -> Array:
        """Return H^-1 J_i' C_i of every edit, for C of shape (m, blocks, outputs)."""
        along: Array = np.einsum("kbpm,mbk->bpm", self._own, C)
        return along.reshape(-1, len(C))

    def take(self, columns: Array) -> EditedRows:
        out = super().take(columns)
        out._own, out._inner = self._own[..., columns], self._inner[columns]
        out._rest, out._left = self._rest[:, columns], self._left[columns]
        out._stiffer = self._stiffer[columns]
        return out

    def precondition(self, gradient: Array) -> tuple[Array, Array]:
        Z = self.factor.solve(gradient)
        size = norm_in(gradient, Z)
        # The row's own block taken out: H^-1 J_i' (I - G_i Q_i)^-1 G_i J_i H^-1 g.
        blocks = gradient.reshape(*self._own.shape[1:])
        u = np.einsum("kbpm,bpm->mbk", self._own, blocks)
        Z += self._along(np.einsum("mbkl,mbl->mbk", self._inner, u))
        return Z, size

    def after(self, gradient: Array, Z: Array, reach: Array) -> Array:
        # Z solves with the curvature H_i at theta, but for the digits a solve loses, and those lost
        # in 1 - h. On the way no raw prediction is further than t curvature scales from theta, so
        # that the curvature is within e^t of H_i, and the gradient left is at most (e^t - 1) |Z|,
        # in the norms of H_i; that of H is at most sqrt(1 - h) times larger where h < 0. Z moves no
        # raw prediction by more than |Z| sqrt(max_j J_j H_i^-1 J_j').
        lost, loss = digits_lost(self.factor), self.objective.loss
        if np.isinf(self._widest) or np.isinf(lost) or loss.curvature_scale is None:
            return super().after(gradient, Z, reach)
        length = norm_in(gradient, Z)
        moved = reach + length * np.sqrt(self._widest / self._left)
        # Where outputs are coupled it is the distance between two of them that counts.
        t = moved * (1.0 if loss.separable else 2.0)
        growth = np.expm1(np.minimum(t / loss.curvature_scale, 700.0))
        return (growth + lost / self._left) * length * self._stiffer


def digits_lost(factor: Factor) -> float:
    """Return the relative rounding of a solve, in the norm of the curvature; inf if not known."""
    return 1e-15 / factor.rcond if factor.rcond else np.inf


def norm_in(gradient: Array, Z: Array) -> Array:
    """Return sqrt(g' z) of every column, where z = H^-1 g."""
    squares: Array = np.einsum("pm,pm->m", gradient, Z)
    return np.sqrt(np.maximum(squares, 0.0))
