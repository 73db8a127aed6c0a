"""Edits of the rows of boosted trees: the training goes again over the same splits.

With N and D the sums of w g and of w h over the rows of a leaf, and its value v = factor N / (D +
penalty), an edit that moves these sums by a and d moves the value by

    v' - v = (factor a - v d) / (D + penalty + d).

a and d have two sources: the rows that leave or come, and all others, whose raw predictions have
moved in the stages before. Three ways to follow them:

- exact: raw predictions and sums of every row, stage by stage, for a block of edits;
- first order: all of it linear. Backwards, from test rows to the leaves they depend on, one pass
  answers for all training rows;
- newton, of one output: a row's own leaves are exact, the others linear, so that what leaves do to
  later leaves is a matrix, made once. Under squared error nothing is left out.

A leaf whose last row leaves is gone: who ended there goes on to its sibling.

References
----------
Sharchilev, B., Ustinovskiy, Y., Serdyukov, P. & de Rijke, M. (2018). Finding influential training
samples for gradient boosted decision trees. ICML. arXiv:1802.06640.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skinfluence.objectives.boosting import BoostingObjective, Stage
from skinfluence.process.blocks import row_blocks
from skinfluence.process.memory import require_memory
from skinfluence.process.tuning import tuning
from skinfluence.removal.base import Counterfactuals, ProjectedEdits
from skinfluence.removal.edits import Edits, Rows
from skinfluence.removal.forests import refuse_empty_trees
from skinfluence.typing import Array

FARTHEST = 0.2
"""How far raw predictions may move in one stage for curvature to follow them linearly."""

LEAST = 1e-3
"""Share of the second derivatives of a leaf that has to be left for a step."""


LEAST_TESTS = 32
"""Targets that are gone backwards with at once: the derivatives of losses are computed for all."""


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


def leaving_groups(base: BoostingObjective, masks: Any, block: Array) -> list[Moving]:
    """Return the rows that leave with some groups."""
    chosen = masks[block]
    part = base.rows(chosen.indices)
    return [Moving(part, np.repeat(np.arange(len(block)), np.diff(chosen.indptr)), -1.0)]


def replayed(base: BoostingObjective, moving: list[Moving], n_edits: int, *, linear: bool) -> Array:
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
    out[:K] = _initial_steps(base, moving, n_edits, linear=linear).T
    F = np.tile(base.initial, (base.n_samples, 1))
    shift = np.empty((base.n_samples, n_edits, K), dtype=base.dtype)
    shift[:] = out[:K].T
    followed = [Followed.from_start(part, base.initial, out[:K].T) for part in moving]
    for trees in base.stages():
        rises = _gradient_rises(loss, y[:, None], F[:, None], shift, linear=linear)
        terms = [part.terms(linear=linear) for part in followed]
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
            change = _quotients(base.factor * a - v[:, None] * d, left, v)
            shift[:, :, k] += (base.rate * change).astype(shift.dtype)[stage.own]
            for part in followed:
                own, _ = part.stage(stage)
                part.shift[:, k] += base.rate * change[own, part.edits]
                part.F[:, k] += base.rate * v[own]
            for e in np.flatnonzero(gone.any(axis=0)).tolist():
                rows, gains = _gains(base, stage, gone[:, e], change[:, e])
                shift[rows, e, k] += base.rate * gains
                for part in followed:
                    part.go_on(stage, e, gone[:, e], change[:, e])
            F[:, k] += base.rate * v[stage.own]
            change[gone] = np.nan
            out[K + at.start : K + at.stop] = change
    return out


def _quotients(rise: Array, left: Array, values: Array) -> Array:
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
    F, shift : ndarray of shape (n_rows, K)
        Their raw predictions as fitted, and how these move by the edit of each.
    """

    F: Array
    shift: Array

    @classmethod
    def from_start(cls, moving: Moving, initial: Array, steps: Array) -> Followed:
        """Return rows before the first stage; `steps` are what edits do to its constants."""
        F = np.tile(initial, (moving.rows.n_samples, 1))
        return cls(moving.rows, moving.edits, moving.sign, F, steps[moving.edits].copy())

    def stage(self, stage: Stage) -> tuple[Array, Array]:
        """Return the leaf of every row in a tree, and what comes with it there, (n_rows,)."""
        mine = self.rows.stage(stage.tree)
        return mine.own, self.sign * mine.weights

    def terms(self, *, linear: bool) -> tuple[Array, Array]:
        """Return g and h of every row, (n_rows, K) each, where it stands then."""
        return row_terms(self.rows, self.F if linear else self.F + self.shift)

    def go_on(self, stage: Stage, edit: int, gone: Array, change: Array) -> None:
        """Let the rows of an edit go on whose leaf is gone."""
        mine = np.flatnonzero(self.edits == edit)
        some = self.rows.rows(mine)
        rows, gains = _gains(some, some.stage(stage.tree), gone, change)
        self.shift[mine[rows], stage.output] += some.rate * gains


def _initial_steps(
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
class Replays(Counterfactuals):
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
    """

    base: BoostingObjective
    edits: Any
    names: Array | None = None
    method: str = "exact"
    ranking: Callable[[], Counterfactuals] | None = None

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
            moving = leaving_groups(self.base, self.edits, rows)
            self._refuse_empty(moving[0], rows)
        return replayed(self.base, moving, len(rows), linear=self.linear)

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
        return replayed(base, moving_rows(self.edits, rows), len(rows), linear=True)

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
            k, at = stage.output, _parameters(base, stage)
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
    F = np.tile(base.initial, (rows.n_samples, 1))
    out = np.zeros((rows.n_samples, L.shape[1]))
    if base.centred:
        mean, share = base.mean_target(), rows.sample_weight / base.sample_weight.sum()
        rise = share[:, None] * (rows.response_targets - mean)
        out += base.minimised.best_constant_slope(mean, rise) @ L[:K]
    for trees in rows.stages():
        g, h = row_terms(rows, F)
        for stage in trees:
            k, own = stage.output, stage.own
            v, D = base.values[stage.leaves][own], base.denominators[stage.leaves][own]
            push = stage.weights * (base.factor * g[:, k] - v * h[:, k])
            counted = (stage.weights > 0) & (base.counts[stage.leaves][own] > 0)
            push = np.divide(push, D, out=np.zeros_like(push), where=counted)
            out += push[:, None] * L[_parameters(base, stage)][own]
            F[:, k] += base.rate * v
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
        out += (base.factor * push)[:, None] * L[_parameters(base, stage)][stage.own]
    return out


def _parameters(base: BoostingObjective, stage: Stage) -> slice:
    return slice(base.n_outputs + stage.leaves.start, base.n_outputs + stage.leaves.stop)


def propagation(base: BoostingObjective) -> list[Array]:
    """Return how the sums of the leaves of each stage move with the parameters before it.

    For every stage of a model of one output an array of shape (n_sums, n_params before): the sums
    of w g of its leaves, then those of w h, unless these never move. Where they do, steps are off
    by far more than single precision is.

    Raises
    ------
    MemoryError
        Before anything is allocated.
    """
    constant, n_params = base.minimised.constant_hessian, base.n_params
    dtype = base.dtype if constant else np.dtype(np.float32)
    require_memory(
        dtype.itemsize * float(n_params) ** 2 / (2 if constant else 1),
        f"What {n_params:,} leaves of boosted trees do to each other",
        "Pass method='first_order', or method='exact' for a few rows (without, group_influence).",
    )
    out, F = [], np.tile(base.initial, (base.n_samples, 1))
    for (stage,) in base.stages():
        wh = stage.weights * base.minimised.hessian_diagonal(base.targets, F)[:, 0]
        terms = [-wh]
        if not constant:
            terms.append(wh * base.minimised.curvature_slope(base.targets, F)[:, 0])
        out.append(np.concatenate([_crossed(base, stage, each, dtype) for each in terms]))
        F[:, 0] += base.rate * base.values[stage.leaves][stage.own]
    return out


def _crossed(base: BoostingObjective, stage: Stage, values: Array, dtype: Any) -> Array:
    """Return the sums of values over the rows of each leaf and each parameter before it.

    Times what the parameter moves their raw prediction by.
    """
    out = np.empty((stage.n_leaves, 1 + stage.leaves.start), dtype=dtype)
    out[:, 0] = stage.sums(values)
    starts = base.splits.first_leaves
    counted = np.flatnonzero(values)
    own, values = stage.own[counted].astype(np.intp), base.rate * values[counted]
    for before in range(stage.tree):
        first, width = starts[before], starts[before + 1] - starts[before]
        index = own * width
        index += base.leaves[counted, before]
        index -= first
        sums = np.bincount(index, values, stage.n_leaves * width)
        out[:, 1 + first : 1 + first + width] = sums.reshape(stage.n_leaves, width)
    return out


@dataclass(frozen=True, eq=False)
class BoostingSteps(Counterfactuals):
    """The removal of every row of a model of one output: own leaves exact, the others linear.

    Exact under squared error. Gone through exactly are rows without which a leaf is gone where rows
    of another stage's training end, hardly any curvature is left in one, or one moves so far that
    the rows in it do not follow linearly.

    Parameters
    ----------
    base : BoostingObjective
    propagation : list of ndarray
        As `propagation` returns it.
    method : str
    """

    base: BoostingObjective
    propagation: list[Array]
    method: str = "newton"

    @property
    def objective(self) -> BoostingObjective:
        return self.base

    @property
    def n_edits(self) -> int:
        return self.base.n_samples

    def column_blocks(self, rows: Array) -> Iterator[Array]:
        elements = 4 * tuning().block_elements  # few rows of a block are gone through exactly
        for index in row_blocks(len(rows), self.base.n_params, elements):
            yield rows[index]

    def changes(self, rows: Array) -> Array:
        out, far = self._steps(self.base.rows(rows))
        if len(far := np.flatnonzero(far | self.owners_of_shared[rows])):
            moving = moving_rows(Edits(self.base), rows[far])
            out[:, far] = replayed(self.base, moving, len(far), linear=False)
        return out

    @cached_property
    def owners_of_shared(self) -> Array:
        """Rows that are the only ones a leaf was fitted on, and not the only ones in it, (n,)."""
        base, out = self.base, np.zeros(self.base.n_samples, dtype=bool)
        if base.masks is None:
            return out
        counted = base.sample_weight > 0
        for (stage,) in base.stages():
            shared = (base.counts[stage.leaves] == 1) & (stage.sums(counted.astype(float)) > 1)
            out |= shared[stage.own] & (stage.weights > 0)
        return out

    def _steps(self, rows: BoostingObjective) -> tuple[Array, Array]:
        """Return the changes of all parameters, and which of them are no steps to be trusted."""
        base, every = self.base, np.arange(rows.n_samples)
        out = np.zeros((base.n_params, rows.n_samples), dtype=self.propagation[0].dtype)
        leaving = Moving(rows, every, -1.0)
        out[:1] = _initial_steps(base, [leaving], rows.n_samples, linear=False).T
        F, lost = np.full((rows.n_samples, 1), base.initial[0]), []
        far = np.zeros(rows.n_samples, dtype=bool)
        shift = out[0].astype(np.float64)  # of its raw prediction, through its leaves alone
        for (stage,), P in zip(rows.stages(), self.propagation, strict=True):
            k = _parameters(base, stage)
            v, counts = base.values[stage.leaves], base.counts[stage.leaves]
            left = np.where(counts > 0, base.denominators[stage.leaves], np.inf)
            w, own = stage.weights, stage.own
            (g,), (h,) = (term.T for term in row_terms(rows, F))
            slope = base.minimised.curvature_slope(rows.targets, F)[:, 0]
            sums = (P @ out[: k.start]).astype(np.float64, copy=False)
            a, d = sums[: len(v)], sums[len(v) :]
            d = d if len(d) else np.zeros_like(a)
            # A row that leaves takes along what it brings to the sums, linear as the others.
            a[own, every] -= w * (g - h * shift)
            d[own, every] -= w * h * (1.0 + slope * shift)
            below = np.broadcast_to(left[:, None], a.shape).copy()
            below[own, every] += np.where(w > 0, d[own, every], 0.0)
            gone = (counts[own] == 1) & (w > 0)
            far |= ~gone & (below[own, every] <= LEAST * left[own])
            below[own[gone | far], every[gone | far]] = np.inf
            change = _quotients(base.factor * a - v[:, None] * d, below, v)
            lost.append((k.start + own[gone], every[gone]))
            if not base.minimised.constant_hessian:
                far |= np.max(np.abs(change), axis=0) * base.rate > FARTHEST
            out[k] = change
            shift += base.rate * change[own, every]
            F[:, 0] += base.rate * v[own]
        for at in lost:
            out[at] = np.nan
        return out.astype(np.float64, copy=False), far
