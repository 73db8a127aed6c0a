"""How the weights of the rows that stay move when rows leave or come.

An edit of the data pushes the parameters by H^-1 r. With fixed weights r is the edited rows' own
gradient; where the weights of other rows depend on the edit (``class_weight="balanced"``, the
mean of the losses), the rest of the data pushes too, along a few directions shared by all edits:

    r = sum of own gradients + E z,

where E sums the gradients of each stratum of rows, a column of `shared_columns` each, and z is what
the edit takes from their weights. Rows of one stratum (a class) have weights that move alike.

Shapes: n_samples rows, q strata whose weights move (0 where none do), m edits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from skinfluence.typing import Array


class Weighting(ABC):
    """Contract: what leaves or comes with rows besides their own losses."""

    @abstractmethod
    def rows(self, index: slice | Array) -> Self:
        """Return the weighting of some of the rows."""

    @abstractmethod
    def joined(self, codes: Array, counts: Array) -> Self:
        """Return the weighting of other rows that may join these, by class and count."""

    @abstractmethod
    def shared_columns(self, sample_weight: Array) -> Array:
        """Return A of shape (n_samples, q) with E = ``objective.weighted_grad_sum(A)``."""

    @abstractmethod
    def counted(self) -> Array:
        """Return what every row counts in each stratum, shape (n_samples, q)."""

    @abstractmethod
    def derivative_shares(self, leaving: Array) -> Array:
        """Return z for an infinitesimal part of such edits, shape (m, q).

        `leaving` is what leaves each stratum, in the units of `counted`, shape (m, q).
        """

    @abstractmethod
    def ratios(self, leaving: Array) -> Array:
        """Return new over old weights of each stratum after such edits, shape (m, q)."""

    @abstractmethod
    def own(self, ratios: Array) -> Array:
        """Return the entry of `ratios`, shape (n_samples, q), for each row's own stratum."""

    def all_weights(self, ratios: Array, sample_weight: Array) -> Array:
        """Return the weights of all rows after each edit, as if all stayed, (n_samples, m)."""
        return self.weights(ratios, sample_weight) * self.scales(ratios)

    @abstractmethod
    def weights(self, ratios: Array, sample_weight: Array) -> Array:
        """Return the weights of all rows after each edit but for `scales`, as if all rows stayed.

        Shape (n_samples, m), or (n_samples, 1) where all columns are alike.
        """

    def scales(self, ratios: Array) -> Array:
        """Return the factor by which each edit multiplies all `weights` alike, shape (m,)."""
        return np.ones(len(ratios))


@dataclass(frozen=True, eq=False)
class Fixed(Weighting):
    """The weights of other rows stay as they are."""

    n_samples: int

    def rows(self, index: slice | Array) -> Fixed:
        if isinstance(index, slice):
            return Fixed(len(range(self.n_samples)[index]))
        return Fixed(len(np.arange(self.n_samples)[index]))

    def joined(self, codes: Array, counts: Array) -> Fixed:
        return Fixed(len(counts))

    def shared_columns(self, sample_weight: Array) -> Array:
        return self.counted()

    def counted(self) -> Array:
        return np.empty((self.n_samples, 0))

    def derivative_shares(self, leaving: Array) -> Array:
        return leaving

    def ratios(self, leaving: Array) -> Array:
        return leaving

    def own(self, ratios: Array) -> Array:
        return np.ones(self.n_samples)

    def weights(self, ratios: Array, sample_weight: Array) -> Array:
        return sample_weight[:, None]


@dataclass(frozen=True, eq=False)
class Averaged(Weighting):
    """The mean of the losses of each stratum is penalised: weights are divided by its count.

    One stratum of all rows is the mean form, sum_i s_i l_i / S + penalty. In the sum form its
    penalty counts S times, and a row that leaves takes its share along; here the penalty stays and
    what remains of the losses is scaled up by S / (S - s_i), which has the same minimum.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Stratum of every row.
    counts : ndarray of shape (n_samples,)
        What a row adds to the count of its stratum: its sample weight, or 1, as the estimator
        counts.
    totals : ndarray of shape (n_strata,), optional
        Counts of the training rows; computed from `counts` unless these are only some of them.
    """

    codes: Array
    counts: Array
    totals: Array | None = None

    @classmethod
    def of_all(cls, counts: Array) -> Self:
        """Return one stratum of all rows."""
        return cls(np.zeros(len(counts), dtype=int), counts)

    @property
    def stratum_totals(self) -> Array:
        if self.totals is not None:
            return self.totals
        return np.bincount(self.codes, weights=self.counts)

    def rows(self, index: slice | Array) -> Self:
        return replace(
            self,
            codes=self.codes[index],
            counts=self.counts[index],
            totals=self.stratum_totals,
        )

    def joined(self, codes: Array, counts: Array) -> Self:
        totals = self.stratum_totals
        codes = codes if len(totals) > 1 else np.zeros(len(counts), dtype=int)
        return replace(self, codes=codes, counts=counts, totals=totals)

    def shared_columns(self, sample_weight: Array) -> Array:
        """Return the weights of each stratum's rows: E is the gradient of its losses."""
        return sample_weight[:, None] * self._member()

    def counted(self) -> Array:
        return self.counts[:, None] * self._member()

    def derivative_shares(self, leaving: Array) -> Array:
        # The ratio of the row's own stratum rises by 1/S_c; a push is minus that.
        return -leaving / self.stratum_totals

    def ratios(self, leaving: Array) -> Array:
        totals = self.stratum_totals
        kept = totals - leaving
        # The last row of a stratum leaves nothing behind to be weighed.
        emptied = kept <= 1e-12 * totals
        return np.where(emptied, 1.0, totals / np.where(emptied, 1.0, kept))

    def own(self, ratios: Array) -> Array:
        return np.take_along_axis(ratios, self.codes[:, None], axis=1)[:, 0]

    def weights(self, ratios: Array, sample_weight: Array) -> Array:
        if ratios.shape[1] == 1:
            return sample_weight[:, None]
        return sample_weight[:, None] * ratios.T[self.codes]

    def scales(self, ratios: Array) -> Array:
        return ratios[:, 0] if ratios.shape[1] == 1 else np.ones(len(ratios))

    def _member(self) -> Array:
        return self.codes[:, None] == np.arange(len(self.stratum_totals))


@dataclass(frozen=True, eq=False)
class Balanced(Averaged):
    """``class_weight="balanced"``: class c weighs S / (n_classes S_c), S_c the count of its rows.

    Its strata are the classes; besides S_c the count S of all rows moves.
    """

    def derivative_shares(self, leaving: Array) -> Array:
        fall: Array = leaving.sum(axis=1, keepdims=True) / self.stratum_totals.sum()
        return fall + super().derivative_shares(leaving)

    def ratios(self, leaving: Array) -> Array:
        totals = self.stratum_totals
        emptied = totals - leaving <= 1e-12 * totals
        scale = 1.0 - leaving.sum(axis=1, keepdims=True) / totals.sum()
        return np.where(emptied, 1.0, scale * super().ratios(leaving))
