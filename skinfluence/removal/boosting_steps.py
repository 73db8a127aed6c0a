"""Rows of boosted trees that leave one by one: their own leaves exact, all others linear.

So what leaves do to later leaves is a matrix, made once for all rows. Under squared error nothing
is left out. Models of one output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skinfluence.objectives.boosting import BoostingObjective, Stage
from skinfluence.process.blocks import row_blocks
from skinfluence.process.memory import require_memory
from skinfluence.process.tuning import tuning
from skinfluence.removal.base import Counterfactuals
from skinfluence.removal.boosting import (
    Moving,
    initial_steps,
    leaf_refits,
    moving_rows,
    quotients,
    row_terms,
)
from skinfluence.removal.edits import Edits
from skinfluence.typing import Array

FARTHEST = 0.2
"""How far raw predictions may move in one stage for curvature to follow them linearly."""

LEAST = 1e-3
"""Share of the second derivatives of a leaf that has to be left for a step."""


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
    out = []
    for (stage,), F in base.walk():
        wh = stage.weights * base.minimised.hessian_diagonal(base.targets, F)[:, 0]
        terms = [-wh]
        if not constant:
            terms.append(wh * base.minimised.curvature_slope(base.targets, F)[:, 0])
        out.append(np.concatenate([_crossed(base, stage, each, dtype) for each in terms]))
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
            out[:, far] = leaf_refits(self.base, moving, len(far), linear=False)
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
        out[:1] = initial_steps(base, [leaving], rows.n_samples, linear=False).T
        lost = []
        far = np.zeros(rows.n_samples, dtype=bool)
        shift = out[0].astype(np.float64)  # of its raw prediction, through its leaves alone
        for ((stage,), F), P in zip(rows.walk(), self.propagation, strict=True):
            k = base.parameters_in(stage)
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
            change = quotients(base.factor * a - v[:, None] * d, below, v)
            lost.append((k.start + own[gone], every[gone]))
            if not base.minimised.constant_hessian:
                far |= np.max(np.abs(change), axis=0) * base.rate > FARTHEST
            out[k] = change
            shift += base.rate * change[own, every]
        for at in lost:
            out[at] = np.nan
        return out.astype(np.float64, copy=False), far
