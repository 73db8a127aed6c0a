"""The derivatives of targets in the weights, and targets, of the rows of boosted trees.

Backwards, from test rows to the leaves they depend on, one pass answers for all training rows.

References
----------
Sharchilev, B., Ustinovskiy, Y., Serdyukov, P. & de Rijke, M. (2018). Finding influential training
samples for gradient boosted decision trees. ICML. arXiv:1802.06640. (LeafInfluence)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from skinfluence.objectives.boosting import BoostingObjective
from skinfluence.process.blocks import row_blocks
from skinfluence.process.tuning import tuning
from skinfluence.removal.base import ProjectedEdits
from skinfluence.removal.boosting import leaf_refits, moving_rows, row_terms
from skinfluence.removal.edits import Edits, Rows
from skinfluence.typing import Array

LEAST_TESTS = 32
"""Targets that are gone backwards with at once: the derivatives of losses are computed for all."""


@dataclass(frozen=True, eq=False)
class BoostingDerivatives(ProjectedEdits):
    """Edits of one row each to first order, solved backwards from test rows.

    With U the derivative of targets in the parameters, the derivative in the value of a leaf
    through everything that comes after it is

        L_l = U_l + rate sum_{j in l} lambda_j
        lambda_j -= H_j (w_j (factor + v r_j) / D_l) L_l,

    lambda_j that of raw prediction j, stage by stage from the last; r is `Loss.curvature_slope`.

    Parameters
    ----------
    edits : Edits
    """

    edits: Edits
    method = "first_order"
    linear = True

    @property
    def objective(self) -> BoostingObjective:
        assert isinstance(self.edits.base, BoostingObjective)
        return self.edits.base

    @property
    def features(self) -> Any:
        return self.edits.features

    @property
    def n_edits(self) -> int:
        return self.edits.n_edits

    def blocks(self, width: int, among: Array | None = None) -> Iterator[tuple[int, Rows]]:
        n_edits = self.n_edits if among is None else len(among)
        elements = tuning().block_elements // 16  # gone through once a stage: it stays in a cache
        for index in row_blocks(n_edits, max(width, 1), elements):
            yield 0, index if among is None else among[index]

    def changes(self, rows: Array) -> Array:
        base = self.objective
        return leaf_refits(base, moving_rows(self.edits, rows), len(rows), linear=True)

    def project(self, U: Array) -> list[Array]:
        return [backwards(self.objective, U)]

    def project_gradients(self, test: Any, B: Array) -> list[Array]:
        return self.project(test.jacobian_t_rows(B))

    def project_predictions(self, test: Any) -> list[Any]:
        raise NotImplementedError("Effects of first order are linear.")

    def prediction_changes(self, projection: Any, test: Any, rows: Rows) -> Array:
        raise NotImplementedError("Effects of first order are linear.")

    def along(self, projection: Array, rows: Rows, out: Array | None = None) -> Array:
        total: Any = 0.0
        for part in moving_rows(self.edits, rows):
            total = total + part.sign * forwards(self.objective, part.rows, projection)
        if out is None:
            return np.asarray(total)
        out[...] = total
        return out


def backwards(base: BoostingObjective, U: Array) -> Array:
    """Return the derivative of targets in each parameter through all later stages, (n_params, m).

    Parameters
    ----------
    base : BoostingObjective
    U : ndarray of shape (n_params, m)
        Their derivative in the parameters alone.
    """
    # As many at a time as stay in a cache with all rows; a few, where rows alone do not.
    n_together = tuning().block_elements // (8 * base.n_samples * base.n_outputs)
    blocks = row_blocks(U.shape[1], 1, max(n_together, LEAST_TESTS))
    return np.concatenate([_backwards(base, U[:, some]) for some in blocks], axis=1)


def _backwards(base: BoostingObjective, U: Array) -> Array:
    K, loss, y = base.n_outputs, base.minimised, base.targets
    L, F = U.astype(np.float64), base.raw_predictions()
    lam = np.zeros((base.n_samples, U.shape[1], K))
    push = np.empty_like(lam)
    for trees in reversed([*base.stages()]):
        for stage in trees:
            F[:, stage.output] -= base.rate * base.values[stage.leaves][stage.own]
        r = loss.curvature_slope(y, F)
        for stage in trees:
            k, at = stage.output, base.parameters_in(stage)
            L[at] += base.rate * stage.sums(lam[:, :, k])
            v, D = base.values[stage.leaves][stage.own], base.denominators[stage.leaves][stage.own]
            weighed = np.divide(stage.weights, D, out=np.zeros_like(D), where=stage.weights > 0)
            np.take(L[at], stage.own, axis=0, out=push[:, :, k])
            push[:, :, k] *= (weighed * (base.factor + v * r[:, k]))[:, None]
        lam -= loss.hessian_product(y[:, None], F[:, None])(push)
    L[:K] += lam.sum(axis=0).T
    return L


def forwards(base: BoostingObjective, rows: BoostingObjective, L: Array) -> Array:
    """Return the derivative of targets in the weight of each row, times its weight, (n_rows, m).

    Parameters
    ----------
    base, rows : BoostingObjective
        The training rows, and rows that leave or come.
    L : ndarray of shape (n_params, m)
        As `backwards` returns it.
    """
    K = base.n_outputs
    out = np.zeros((rows.n_samples, L.shape[1]))
    if base.centred:
        mean, share = base.mean_target(), rows.sample_weight / base.sample_weight.sum()
        rise = share[:, None] * (rows.response_targets - mean)
        out += base.minimised.best_constant_slope(mean, rise) @ L[:K]
    for trees, F in rows.walk():
        g, h = row_terms(rows, F)
        for stage in trees:
            k, own = stage.output, stage.own
            v, D = base.values[stage.leaves][own], base.denominators[stage.leaves][own]
            push = stage.weights * (base.factor * g[:, k] - v * h[:, k])
            counted = (stage.weights > 0) & (base.counts[stage.leaves][own] > 0)
            push = np.divide(push, D, out=np.zeros_like(push), where=counted)
            out += push[:, None] * L[base.parameters_in(stage)][own]
    return out


def target_weights(base: BoostingObjective, L: Array) -> Array:
    """Return the derivative of targets in the target of each row, shape (n_rows, m).

    Under squared error alone.

    Parameters
    ----------
    base : BoostingObjective
    L : ndarray of shape (n_params, m)
        As `backwards` returns it.
    """
    out = np.zeros((base.n_samples, L.shape[1]))
    if base.centred:
        out += (base.sample_weight / base.sample_weight.sum())[:, None] * L[:1]
    for (stage,) in base.stages():
        D = base.denominators[stage.leaves][stage.own]
        push = np.divide(stage.weights, D, out=np.zeros_like(D), where=stage.weights > 0)
        out += (base.factor * push)[:, None] * L[base.parameters_in(stage)][stage.own]
    return out
