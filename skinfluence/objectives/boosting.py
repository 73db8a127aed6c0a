"""Boosted trees: every leaf is a step of Newton's method for its rows, stage after stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from skinfluence.losses import Loss, TransformedTarget
from skinfluence.objectives.leaves import LeavesObjective, indicator
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class Stage:
    """One tree of boosting, among the rows as they stand before it.

    Attributes
    ----------
    tree : int
        Its number; tree t is of output t % K.
    output : int
    leaves : slice
        Its leaves.
    own : ndarray of int, shape (n_samples,)
        The leaf of every row, counted from its first.
    weights : ndarray of shape (n_samples,)
        Of the rows it was fitted on, 0 for others.
    """

    tree: int
    output: int
    leaves: slice
    own: Array
    weights: Array

    @property
    def n_leaves(self) -> int:
        return self.leaves.stop - self.leaves.start

    def sums(self, values: Array) -> Array:
        """Return sums of values, (n_samples,) or (n_samples, m), over the rows of each leaf."""
        if values.ndim == 1:
            return np.bincount(self.own, values, self.n_leaves)
        return indicator(self.own, self.n_leaves, dtype=values.dtype) @ values

    def weighted_sums(self, values: Array) -> Array:
        """Return sums of values (n_samples, m) times the weights of their rows, in float64."""
        own = indicator(self.own, self.n_leaves, self.weights, dtype=values.dtype)
        return (own @ values).astype(np.float64, copy=False)


@dataclass(frozen=True, eq=False)
class BoostingObjective(LeavesObjective):
    """Boosted trees, whose leaves are steps of Newton's method for the rows in them.

    With F the raw predictions before a stage, g = -dl/dF and h = d2l/dF2,

        value of leaf l = factor sum_{i in l} w_i g_i / (sum_{i in l} w_i h_i + penalty),

    and F grows by `rate` times the value of a row's leaf. Parameters are the initial raw
    predictions (K,), then the values of the leaves.

    Parameters
    ----------
    rate : float
        What the value of a leaf is multiplied by.
    factor : float
        (K - 1) / K where an estimator multiplies values of K classes by it, else 1.
    penalty : float or ndarray of shape (n_leaves,)
        Of the squared values of the leaves; infinite for leaves that stay at 0 whatever rows say.
    centred : bool
        The initial raw predictions are the best constant; otherwise they are 0.
    masks : ndarray of bool, shape (n_samples, n_stages), or None
        The rows each stage was fitted on; None is all.
    """

    rate: float = 1.0
    factor: float = 1.0
    penalty: float | Array = 0.0
    centred: bool = True
    masks: Array | None = None

    def on(self, X: Any, y: Any | None = None) -> Self:
        return replace(super().on(X, y), masks=None)

    def rows(self, index: slice | Array) -> Self:
        masks = None if self.masks is None else self.masks[index]
        return replace(super().rows(index), masks=masks)

    def as_drawn(self, rows: Any) -> Self:
        return replace(rows, masks=self.masks)

    @property
    def minimised(self) -> Loss:
        """The loss that is minimised, of targets as they were transformed."""
        return self.loss.loss if isinstance(self.loss, TransformedTarget) else self.loss

    @property
    def n_outputs(self) -> int:
        return self.loss.n_outputs

    @cached_property
    def values(self) -> Array:
        """The values of the leaves, 0 of those that are gone, shape (n_leaves,)."""
        return np.nan_to_num(self.theta[self.n_outputs :])

    @property
    def initial(self) -> Array:
        """The raw predictions before the first stage, shape (K,)."""
        return self.theta[: self.n_outputs]

    def mean_target(self) -> Array:
        """Return the weighted mean of the targets, of classes the frequencies, shape (K,)."""
        return np.average(self.response_targets, axis=0, weights=self.sample_weight)

    @cached_property
    def response_targets(self) -> Array:
        """Targets on the scale of the response, shape (n_samples, K)."""
        return self.minimised.response_targets(self.targets)

    def stage(self, tree: int) -> Stage:
        """Return one tree."""
        K, at = self.n_outputs, slice(*self.splits.first_leaves[tree : tree + 2].tolist())
        mask = 1.0 if self.masks is None else self.masks[:, tree // K]
        return Stage(tree, tree % K, at, self.leaves[:, tree] - at.start, self.sample_weight * mask)

    def stages(self) -> Iterator[list[Stage]]:
        """Yield the trees of every stage, one for each output."""
        K = self.n_outputs
        for first in range(0, self.splits.n_trees, K):
            yield [self.stage(tree) for tree in range(first, first + K)]

    def walk(self) -> Iterator[tuple[list[Stage], Array]]:
        """Yield the trees of every stage, and the raw predictions before it, (n_samples, K).

        These are written over from stage to stage.
        """
        F = np.tile(self.initial, (self.n_samples, 1))
        for trees in self.stages():
            yield trees, F
            for stage in trees:
                F[:, stage.output] += self.rate * self.values[stage.leaves][stage.own]

    @cached_property
    def denominators(self) -> Array:
        """The sum of w h and the penalty of every leaf, shape (n_leaves,)."""
        return self._fractions()[1]

    @cached_property
    def counts(self) -> Array:
        """How many rows with a weight every leaf was fitted on, int of shape (n_leaves,)."""
        out = np.zeros(self.splits.n_leaves, dtype=int)
        for tree in range(self.splits.n_trees):
            stage = self.stage(tree)
            out[stage.leaves] = stage.sums((stage.weights > 0).astype(np.float64))
        return out

    def _fractions(self) -> tuple[Array, Array]:
        """Return numerators and denominators of all leaves, (n_leaves,) each."""
        N, D = np.zeros(self.splits.n_leaves), np.zeros(self.splits.n_leaves)
        penalties = np.broadcast_to(self.penalty, N.shape)
        for trees, F in self.walk():
            g = -self.minimised.gradient(self.targets, F)
            h = self.minimised.hessian_diagonal(self.targets, F)
            for stage in trees:
                k = stage.output
                N[stage.leaves] = stage.sums(stage.weights * g[:, k])
                D[stage.leaves] = stage.sums(stage.weights * h[:, k]) + penalties[stage.leaves]
        return N, D

    def refitted(self) -> Array:
        N, D = self._fractions()
        with np.errstate(invalid="ignore", divide="ignore"):
            values = self.factor * N / np.where(self.counts > 0, D, np.nan)
        initial = np.zeros(self.n_outputs)
        if self.centred:
            initial = self.minimised.best_constant(self.mean_target())
        return np.concatenate([initial, values])

    def paths(self) -> Iterator[tuple[int, Array, float]]:
        K = self.n_outputs
        for k in range(K):
            yield k, np.full(self.n_samples, k), 1.0
        for tree in range(self.splits.n_trees):
            yield tree % K, K + self.leaves[:, tree], self.rate

    def parameters_of(self, leaves: Array) -> Array:
        return self.n_outputs + leaves[..., None]

    def parameters_in(self, stage: Stage) -> slice:
        """Return the parameters that are the values of a tree."""
        return slice(self.n_outputs + stage.leaves.start, self.n_outputs + stage.leaves.stop)

    def places_of(self, positions: Array) -> tuple[Array, Array, Array]:
        K = self.n_outputs
        leaves = np.maximum(positions - K, -1)
        stages, outputs = np.divmod(self.splits.trees_of_leaves[np.maximum(leaves, 0)], K)
        return leaves, np.where(leaves < 0, positions, outputs), stages

    def shifts(self, rows: Array, trees: Array, ends: Array, change: Array) -> Array:
        out, K = np.zeros((self.n_samples, self.n_outputs)), self.n_outputs
        moved = self.values + change[K:]
        gain = moved[ends] - self.values[self.leaves[rows, trees]]
        np.add.at(out, (rows, trees % K), self.rate * gain)
        return out


@dataclass(frozen=True, eq=False)
class ClassBoostingObjective(BoostingObjective):
    """Boosted trees of several classes: every stage has a tree for each."""
