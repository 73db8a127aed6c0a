"""Edits of the rows of boosted trees: the training goes again over the same splits.

With N and D the sums of w g and of w h over the rows of a leaf, and its value v = factor N / (D +
penalty), an edit that moves these sums by a and d moves the value by

    v' - v = (factor a - v d) / (D + penalty + d).

a and d have two sources: the rows that leave or come, and all others, whose raw predictions have
moved in the stages before. Here these are followed row by row, stage by stage, for a block of
edits: exactly, or to first order. Other ways are `boosting_derivatives` (first order, one pass
backwards from test rows for all training rows) and `boosting_steps` (newton).

A leaf whose last row leaves is gone: who ended there goes on to its sibling.

References
----------
Sharchilev, B., Ustinovskiy, Y., Serdyukov, P. & de Rijke, M. (2018). Finding influential training
samples for gradient boosted decision trees. ICML. arXiv:1802.06640.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from skinfluence.objectives.boosting import BoostingObjective, Stage
from skinfluence.process.blocks import row_blocks
from skinfluence.process.tuning import tuning
from skinfluence.removal.base import Counterfactuals
from skinfluence.removal.edits import Edits, Rows
from skinfluence.removal.forests import refuse_empty_trees
from skinfluence.typing import Array

FLAT = 1e-150
"""Sum of w h of a leaf up to which scikit-learn takes its value to be 0."""


@dataclass(frozen=True, eq=False)
class Moving:
    """Rows that leave or come in a block of edits.

    Attributes
    ----------
    rows : BoostingObjective
        Over them, with what they weigh.
    edits : ndarray of int, shape (n_rows,)
        In which edit of the block each moves.
    sign : float
        -1 for rows that leave, 1 for rows that come.
    """

    rows: BoostingObjective
    edits: Array
    sign: float


def moving_rows(edits: Edits, block: Rows) -> list[Moving]:
    """Return the rows that move in some edits of one row each."""
    moving = []
    for sign, part in edits.parts(block):
        assert isinstance(part, BoostingObjective)
        moving.append(Moving(part, np.arange(part.n_samples), -sign))
    return moving


def moving_groups(rows: BoostingObjective, masks: Any, block: Array, sign: float) -> Moving:
    """Return the rows that leave with some groups, or come with them."""
    chosen = masks[block]
    part = rows.rows(chosen.indices)
    return Moving(part, np.repeat(np.arange(len(block)), np.diff(chosen.indptr)), sign)


def leaf_refits(
    base: BoostingObjective, moving: list[Moving], n_edits: int, *, linear: bool
) -> Array:
    """Return the changes of all parameters when the stages are gone through again, (n_params, E).

    Parameters
    ----------
    base : BoostingObjective
    moving : list of Moving
    n_edits : int
    linear : bool
        To first order, in the weights of the rows that move.
    """
    K, loss, y = base.n_outputs, base.minimised, base.targets
    constant = loss.constant_hessian
    out = np.zeros((base.n_params, n_edits))
    out[:K] = initial_steps(base, moving, n_edits, linear=linear).T
    shift = np.empty((base.n_samples, n_edits, K), dtype=base.dtype)
    shift[:] = out[:K].T
    followed = [Followed.from_start(part, out[:K].T) for part in moving]
    for (trees, F), *theirs in zip(
        base.walk(), *(part.rows.walk() for part in moving), strict=True
    ):
        rises = _gradient_rises(loss, y[:, None], F[:, None], shift, linear=linear)
        terms = [
            row_terms(part.rows, own if linear else own + part.shift)
            for part, (_, own) in zip(followed, theirs, strict=True)
        ]
        for stage in trees:
            k, at = stage.output, stage.leaves
            a = -stage.weighted_sums(rises[0][:, :, k])
            d = np.zeros_like(a) if constant else stage.weighted_sums(rises[1][:, :, k])
            count = np.broadcast_to(base.counts[at, None], a.shape).copy()
            for part, (g, h) in zip(followed, terms, strict=True):
                own, w = part.stage(stage)
                np.add.at(a, (own, part.edits), w * g[:, k])
                np.add.at(d, (own, part.edits), w * h[:, k])
                np.add.at(count, (own, part.edits), np.sign(w).astype(int))
            v, D, fitted = base.values[at], base.denominators[at], base.counts[at] > 0
            gone = fitted[:, None] & (count == 0) & (not linear)
            left = D[:, None] + (0.0 if linear else d)
            left = np.where(fitted[:, None] & ~gone, left, np.inf)
            change = quotients(base.factor * a - v[:, None] * d, left, v)
            shift[:, :, k] += (base.rate * change).astype(shift.dtype)[stage.own]
            for part in followed:
                own, _ = part.stage(stage)
                part.shift[:, k] += base.rate * change[own, part.edits]
            for e in np.flatnonzero(gone.any(axis=0)).tolist():
                rows, gains = _gains(base, stage, gone[:, e], change[:, e])
                shift[rows, e, k] += base.rate * gains
                for part in followed:
                    part.go_on(stage, e, gone[:, e], change[:, e])
            change[gone] = np.nan
            out[K + at.start : K + at.stop] = change
    return out


def quotients(rise: Array, left: Array, values: Array) -> Array:
    """Return rise / left, (n_leaves, m), the change of leaf values; to 0 without curvature left."""
    flat = left <= FLAT
    change: Array = np.divide(rise, left, out=np.zeros_like(rise), where=~flat)
    change[flat] = np.broadcast_to(-values[:, None], rise.shape)[flat]
    return change


@dataclass(frozen=True, eq=False)
class Followed(Moving):
    """Rows that leave or come, as they stand before a stage.

    Attributes
    ----------
    shift : ndarray of shape (n_rows, K)
        How the raw prediction of each moves by its edit.
    """

    shift: Array

    @classmethod
    def from_start(cls, moving: Moving, steps: Array) -> Followed:
        """Return rows before the first stage; `steps` are what edits do to its constants."""
        return cls(moving.rows, moving.edits, moving.sign, steps[moving.edits].copy())

    def stage(self, stage: Stage) -> tuple[Array, Array]:
        """Return the leaf of every row in a tree, and what comes with it there, (n_rows,)."""
        mine = self.rows.stage(stage.tree)
        return mine.own, self.sign * mine.weights

    def go_on(self, stage: Stage, edit: int, gone: Array, change: Array) -> None:
        """Let the rows of an edit go on whose leaf is gone."""
        mine = np.flatnonzero(self.edits == edit)
        some = self.rows.rows(mine)
        rows, gains = _gains(some, some.stage(stage.tree), gone, change)
        self.shift[mine[rows], stage.output] += some.rate * gains


def initial_steps(
    base: BoostingObjective, moving: list[Moving], n_edits: int, *, linear: bool
) -> Array:
    """Return the changes of the initial raw predictions, shape (E, K)."""
    if not base.centred:
        return np.zeros((n_edits, base.n_outputs))
    W, mean = float(base.sample_weight.sum()), base.mean_target()
    rise, left = np.zeros((n_edits, base.n_outputs)), np.full((n_edits, 1), W)
    for part in moving:
        w = part.sign * part.rows.sample_weight[:, None]
        np.add.at(rise, part.edits, w * (part.rows.response_targets - mean))
        np.add.at(left, part.edits, w)
    if linear:
        return base.minimised.best_constant_slope(mean, rise / W)
    return base.minimised.best_constant(mean + rise / left) - base.minimised.best_constant(mean)


def _gradient_rises(
    loss: Any, y: Array, F: Array, shift: Array, *, linear: bool
) -> tuple[Array, Array]:
    """Return how dl/dF and the diagonal of d2l/dF2 of every row move, shape (n, E, K)."""
    rise = loss.hessian_product(y, F)(shift) if linear else loss.gradient_change(y, F)(shift)
    if loss.constant_hessian:
        return rise, rise[:0]
    slope = loss.curvature_slope(y, F).astype(rise.dtype)
    bend = 0.0 if linear else loss.curvature_bend
    return rise, rise * (slope - bend * rise if bend else slope)


def row_terms(rows: BoostingObjective, F: Array) -> tuple[Array, Array]:
    """Return g and h of rows at raw predictions F, (n_rows, K) each."""
    loss, y = rows.minimised, rows.targets
    return -loss.gradient(y, F), loss.hessian_diagonal(y, F)


def _gains(
    rows: BoostingObjective, stage: Stage, gone: Array, change: Array
) -> tuple[Array, Array]:
    """Return which rows were in leaves of a stage that are gone, and what they gain elsewhere."""
    lost = np.flatnonzero(gone[stage.own])
    everywhere = rows.gone.copy()
    everywhere[stage.leaves] |= gone
    leaves = rows.leaves[lost, stage.tree]
    ends = rows.splits.detours(rows.X, lost, leaves, everywhere)
    after = rows.values[ends] + change[ends - stage.leaves.start]
    return lost, after - rows.values[leaves]


@dataclass(frozen=True, eq=False)
class LeafRefits(Counterfactuals):
    """What edits do when all stages are gone through again: exactly, or to first order.

    Parameters
    ----------
    base : BoostingObjective
    edits : Edits or CSR matrix of bool, shape (n_groups, n_train)
        Edits of one row each, or groups that leave.
    names : ndarray or None
        Of the groups.
    method : str
        "first_order" is the derivative; everything else is exact.
    ranking : callable or None
        Returns changes that rank the edits alike and are cheap.
    coming : BoostingObjective or None
        The training rows with the targets with which those of a group come back.
    """

    base: BoostingObjective
    edits: Any
    names: Array | None = None
    method: str = "exact"
    ranking: Callable[[], Counterfactuals] | None = None
    coming: BoostingObjective | None = None

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return self.method == "first_order"

    @property
    def objective(self) -> BoostingObjective:
        return self.base

    @property
    def features(self) -> Any:
        return self.edits.features if isinstance(self.edits, Edits) else self.base

    @property
    def n_edits(self) -> int:
        one_each = isinstance(self.edits, Edits)
        return int(self.edits.n_edits if one_each else self.edits.shape[0])

    def changes(self, rows: Array) -> Array:
        if isinstance(self.edits, Edits):
            moving = moving_rows(self.edits, rows)
        else:
            moving = [moving_groups(self.base, self.edits, rows, -1.0)]
            if self.coming is None:
                self._refuse_empty(moving[0], rows)
            else:
                moving.append(moving_groups(self.coming, self.edits, rows, 1.0))
        return leaf_refits(self.base, moving, len(rows), linear=self.linear)

    def _refuse_empty(self, leaving: Moving, rows: Array) -> None:
        for j, i in enumerate(rows.tolist()):
            part = leaving.rows.rows(np.flatnonzero(leaving.edits == j))
            refuse_empty_trees(self.base, self.base.counts - part.counts, i, self.names)

    def column_blocks(self, rows: Array) -> Iterator[Array]:
        width = self.base.n_samples * self.base.n_outputs
        elements = tuning().block_elements // 4
        for index in row_blocks(len(rows), max(width, self.base.n_params), elements):
            yield rows[index]

    def for_ranking(self) -> Counterfactuals:
        return self if self.ranking is None else self.ranking()
