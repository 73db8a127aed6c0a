"""Trees whose leaves average their rows, alone or in a forest that averages the trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np

from skinfluence.objectives.leaves import LeavesObjective, indicator
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class ForestObjective(LeavesObjective):
    """Trees whose leaves average the targets of their rows: the raw prediction is their mean.

    With c_ti the weight of row i in tree t, the value of leaf l is

        sum_{i in l} c_ti y_i / sum_{i in l} c_ti.

    Parameters are these values, all outputs of a leaf one after the other. Encoded targets are
    numbers: of a class, 1 in the output of the class and 0 in the others.

    Parameters
    ----------
    draws : ndarray of shape (n_samples, n_trees) or None
        How often each tree drew a row; None is once.
    weighed : bool
        Sample weights multiply the draws; otherwise they decided what was drawn.
    bagged : bool
        Every tree drew rows of its own, and left some out.
    """

    draws: Array | None = None
    weighed: bool = True
    bagged: bool = False

    def on(self, X: Any, y: Any | None = None) -> Self:
        return replace(super().on(X, y), draws=None)

    def rows(self, index: slice | Array) -> Self:
        draws = None if self.draws is None else self.draws[index]
        return replace(super().rows(index), draws=draws)

    def as_drawn(self, rows: Any) -> Self:
        return replace(rows, draws=self.draws)

    @cached_property
    def values(self) -> Array:
        """The values of the leaves, 0 of those that are gone, shape (n_leaves, K)."""
        return np.nan_to_num(self.theta).reshape(-1, self.loss.n_outputs)

    def tree_weights(self) -> Array:
        """Return the weight of every row in every tree, shape (n_samples, n_trees)."""
        shape = self.leaves.shape
        draws = np.ones((1, 1)) if self.draws is None else self.draws
        weights = self.sample_weight[:, None] if self.weighed else 1.0
        return np.broadcast_to(draws * weights, shape)

    def sums(self) -> tuple[Array, Array]:
        """Return the weights and weighted targets that rows bring, (n_leaves,), (n_leaves, K)."""
        n_leaves, n_outputs = self.splits.n_leaves, self.loss.n_outputs
        C, S = np.zeros(n_leaves), np.zeros((n_leaves, n_outputs))
        c = self.tree_weights()
        for t in range(self.splits.n_trees):
            at = slice(*self.splits.first_leaves[t : t + 2])
            own = indicator(self.leaves[:, t] - at.start, at.stop - at.start, c[:, t])
            C[at], S[at] = own @ np.ones(self.n_samples), own @ self.targets
        return C, S

    @cached_property
    def totals(self) -> Array:
        """The weight of every leaf, shape (n_leaves,)."""
        return self.sums()[0]

    @cached_property
    def counts(self) -> Array:
        """How many rows that weigh something each leaf has, int of shape (n_leaves,)."""
        counted = self.tree_weights() > 0
        return np.bincount(self.leaves[counted], minlength=self.splits.n_leaves)

    def refitted(self) -> Array:
        C, S = self.sums()
        with np.errstate(invalid="ignore", divide="ignore"):
            return (S / np.where(self.counts > 0, C, np.nan)[:, None]).ravel()

    def paths(self) -> Iterator[tuple[int, Array, float]]:
        K, n_trees = self.loss.n_outputs, self.splits.n_trees
        for t in range(n_trees):
            for k in range(K):
                yield k, self.leaves[:, t] * K + k, 1.0 / n_trees

    def parameters_of(self, leaves: Array) -> Array:
        K = self.loss.n_outputs
        return leaves[..., None] * K + np.arange(K)

    def places_of(self, positions: Array) -> tuple[Array, Array, Array]:
        leaves, outputs = np.divmod(positions, self.loss.n_outputs)
        return leaves, outputs, self.splits.trees_of_leaves[leaves]

    def shifts(self, rows: Array, trees: Array, ends: Array, change: Array) -> Array:
        out = np.zeros((self.n_samples, self.loss.n_outputs))
        moved = self.values + change.reshape(self.values.shape)
        own = self.leaves[rows, trees]
        np.add.at(out, rows, (moved[ends] - self.values[own]) / self.splits.n_trees)
        return out
