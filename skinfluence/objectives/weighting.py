"""How the weights of the rows that stay move when rows leave or come.

An edit of the data pushes the parameters by H^-1 r. With fixed weights r is the edited rows' own
gradient; where the weights of other rows depend on the edit (``class_weight="balanced"``), the rest
of the data pushes too, along a few directions shared by all edits:

    r = sum of own gradients + E z,

where E sums the gradients of each stratum of rows, a column of `shared_columns` each, and z is what
the edit takes from their weights. Rows of one stratum (a class) have weights that move alike.

Shapes: n_samples rows, q strata whose weights move (0 where none do), m edits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


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

    @abstractmethod
    def weights(self, ratios: Array, sample_weight: Array) -> Array:
        """Return the weights of all rows after each edit, as if all of them stayed.

        Shape (n_samples, m), or (n_samples, 1) where all columns are alike.
        """


@dataclass(frozen=True, eq=False)
class Fixed(Weighting):
    """The weights of other rows stay as they are."""

    n_samples: int

    def rows(self, index: slice | Array) -> Fixed:
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
class Balanced(Weighting):
    """``class_weight="balanced"``: class c weighs S / (n_classes S_c), S_c the count of its rows.

    Parameters
    ----------
    codes : ndarray of int, shape (n_samples,)
        Class of every row.
    counts : ndarray of shape (n_samples,)
        What a row adds to S and S_c: its sample weight, or 1, as the estimator counts.
    totals : ndarray of shape (n_classes,), optional
        S_c of the training rows; computed from `counts` unless these are only some of them.
    """

    codes: Array
    counts: Array
    totals: Array | None = None

    @property
    def class_totals(self) -> Array:
        if self.totals is not None:
            return self.totals
        totals: Array = np.bincount(self.codes, weights=self.counts)
        return totals

    def rows(self, index: slice | Array) -> Balanced:
        return Balanced(self.codes[index], self.counts[index], self.class_totals)

    def joined(self, codes: Array, counts: Array) -> Balanced:
        return Balanced(codes, counts, self.class_totals)

    def shared_columns(self, sample_weight: Array) -> Array:
        """Return the weights of each class's rows: E is the gradient of each class's losses."""
        columns: Array = sample_weight[:, None] * self._member()
        return columns

    def counted(self) -> Array:
        counted: Array = self.counts[:, None] * self._member()
        return counted

    def derivative_shares(self, leaving: Array) -> Array:
        # The ratio falls by 1/S and, for the row's own class, rises by 1/S_c; a push is minus that.
        totals = self.class_totals
        z: Array = leaving.sum(axis=1, keepdims=True) / totals.sum() - leaving / totals
        return z

    def ratios(self, leaving: Array) -> Array:
        totals = self.class_totals
        kept = totals - leaving
        # The last row of a class leaves nothing behind to be weighed.
        emptied = kept <= 1e-12 * totals
        scale = 1.0 - leaving.sum(axis=1, keepdims=True) / totals.sum()
        out: Array = np.where(emptied, 1.0, scale * totals / np.where(emptied, 1.0, kept))
        return out

    def own(self, ratios: Array) -> Array:
        return np.take_along_axis(ratios, self.codes[:, None], axis=1)[:, 0]

    def weights(self, ratios: Array, sample_weight: Array) -> Array:
        return sample_weight[:, None] * ratios.T[self.codes]

    def _member(self) -> Array:
        member: Array = self.codes[:, None] == np.arange(len(self.class_totals))
        return member
