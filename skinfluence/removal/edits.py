"""Edits of the training data, one row each: it leaves, comes, or changes its target.

An edit pushes the parameters by what leaves minus what comes. With l the loss of a row, w its
weight and r the ratio by which its class is re-weighed (1 for fixed weights),

    a = r w dl/deta of the leaving row - r' w' dl'/deta of the coming one,       G alike,

so that removal, addition and relabelling are one formula with other a and G.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.objectives.row_space import Axes
from skinfluence.typing import Array

Rows = slice | Array


@dataclass(frozen=True, eq=False)
class Edits:
    """Edits of the training data, each alone.

    Parameters
    ----------
    base : Objective
        Over the training rows, at the optimum.
    leaving : bool
        Edit i takes training row i away.
    coming : Objective or None
        Edit i brings its row i, with the weight and the target it comes with. Where rows also
        leave, it has the same features.
    """

    base: Objective
    leaving: bool = True
    coming: Objective | None = None

    @property
    def features(self) -> Objective:
        """The objective whose row i has the features of edit i."""
        if self.leaving:
            return self.base
        assert self.coming is not None
        return self.coming

    @property
    def n_edits(self) -> int:
        return self.features.n_samples

    def in_row_space(self) -> tuple[Edits, Axes] | None:
        """Return the edits in coordinates of the space the training rows span, and their axes.

        See `LinearObjective.in_row_space`. Rows that come with other features leave that space.
        """
        if not self.leaving or not isinstance(self.base, LinearObjective):
            return None
        found = self.base.in_row_space()
        if found is None:
            return None
        base, axes = found
        coming = None
        if self.coming is not None:
            assert isinstance(self.coming, LinearObjective)
            weighed = base.with_weights(self.coming.sample_weight, self.coming.weighting)
            coming = replace(weighed, y=self.coming.y)
        return Edits(base, leaving=True, coming=coming), axes

    def together(self, rows: Array) -> tuple[Array, Objective | None]:
        """Return what some edits leave that are made together.

        The weights of the training rows, shape (n_train,), 0 of those that leave, and the rows that
        come, with theirs.
        """
        weighting, counts = self.base.weighting, self.counts[rows].sum(axis=0, keepdims=True)
        ratios = weighting.ratios(counts)
        w = np.array(weighting.all_weights(ratios, self.base.sample_weight)[:, 0])
        if self.leaving:
            w[rows] = 0.0
        if self.coming is None:
            return w, None
        part = self.coming.rows(rows)
        own = part.weighting.own(np.repeat(ratios, len(rows), axis=0))
        return w, part.with_weights(part.sample_weight * own)

    def after(self, rows: Array) -> LinearObjective:
        """Return the objective after some edits together, over the training rows and what came."""
        assert isinstance(self.base, LinearObjective)
        w, coming = self.together(rows)
        edited = self.base.with_weights(w)
        if coming is None:
            return edited
        assert isinstance(coming, LinearObjective)
        return edited.concatenated(coming)

    def parts(self, rows: Rows) -> Iterator[tuple[float, Objective]]:
        """Yield (1, the rows that leave) and (-1, the rows that come) of some edits."""
        if self.leaving:
            yield 1.0, self.base.rows(rows)
        if self.coming is not None:
            yield -1.0, self.coming.rows(rows)

    @cached_property
    def counts(self) -> Array:
        """What leaves each stratum of the weighting, shape (n_edits, q)."""
        q = self.base.weighting.counted().shape[1]
        total = np.zeros((self.n_edits, q))
        for sign, part in self.parts(slice(None)):
            total += sign * part.weighting.counted()
        return total

    @cached_property
    def ratios(self) -> Array:
        """New over old weight of each stratum, shape (n_edits, q)."""
        return self.base.weighting.ratios(self.counts)

    @cached_property
    def strata(self) -> Array:
        """Which edits leave (nearly) the same weights behind: int of shape (n_edits,)."""
        if not self.counts.shape[1]:
            return np.zeros(self.n_edits, dtype=int)
        _, strata = np.unique(np.sign(self.counts), axis=0, return_inverse=True)
        return strata.reshape(-1)

    def typical_ratios(self) -> Array:
        """Return the ratios of a typical edit of each stratum, shape (n_strata, q)."""
        n_strata = int(self.strata.max(initial=0)) + 1
        means = [self.counts[self.strata == s].mean(axis=0) for s in range(n_strata)]
        return self.base.weighting.ratios(np.array(means))

    def off_stratum(self) -> Array:
        """Return how far the weights each edit leaves are from its stratum's, (n_edits,).

        Largest relative difference over the rows that stay.
        """
        shared = self.typical_ratios()[self.strata]
        return np.abs(self.ratios / shared - 1.0).max(axis=1, initial=0.0)

    def gradients(self, rows: Rows, ratios: Array | None = None) -> Array:
        """Return a of some edits, shape (n_rows, K); their first-order part without `ratios`."""
        total: Any = 0.0
        for sign, part in self.parts(rows):
            assert isinstance(part, OutputObjective)
            w = sign * part.sample_weight * _own(part, ratios)
            total = total + w[:, None] * part.output_gradients()
        return total

    def curvatures(self, rows: Rows, ratios: Array | None = None) -> Array:
        """Return G of some edits, (n_rows, K) if the loss is separable, else (n_rows, K, K)."""
        total: Any = 0.0
        for sign, part in self.parts(rows):
            assert isinstance(part, OutputObjective)
            G = part.output_hessians()
            w = sign * part.sample_weight * _own(part, ratios)
            total = total + w.reshape(-1, *[1] * (G.ndim - 1)) * G
        return total

    def grads_dot(self, rows: Rows, V: Array) -> Array:
        """Return the first-order push of some edits times V, shape (n_rows, k), for any model."""
        total: Any = 0.0
        for sign, part in self.parts(rows):
            total = total + sign * part.sample_weight[:, None] * part.grads_dot(V)
        return total


def _own(part: Objective, ratios: Array | None) -> Array:
    return np.ones(part.n_samples) if ratios is None else part.weighting.own(ratios)


def shared_directions(objective: Objective) -> Array:
    """Return E, what the weights of the rows that stay push along, shape (n_params, q)."""
    columns = objective.weighting.shared_columns(objective.sample_weight)
    if not columns.shape[1]:
        return np.empty((objective.n_params, 0))
    return objective.weighted_grad_sum(columns)
