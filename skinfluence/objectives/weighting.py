"""How the weights of the rows that stay move when a row leaves.

A removal pushes the parameters by H^-1 r_i. With fixed weights r_i is the row's own gradient; where
the weights of other rows depend on it (``class_weight="balanced"``, or a penalty per row), the
rest of the data pushes too, along a few directions shared by all rows:

    r_i = own_i * w_i grad l_i + E z_i,      z_i = shares of row i,

where E sums gradients of the other rows, a column of `shared_columns` each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Weighting(ABC):
    """Contract: what leaves with a row besides its own loss.

    Rows of one stratum share the weights that stay behind closely enough to share one factor.
    """

    @abstractmethod
    def rows(self, index: slice | Array) -> Self:
        """Return the weighting of some of the rows."""

    @abstractmethod
    def shared_columns(self, sample_weight: Array) -> Array:
        """Return A of shape (n_samples, q) with E = ``objective.weighted_grad_sum(A)``."""

    @abstractmethod
    def derivative_shares(self) -> Array:
        """Return z for an infinitesimal part of each row, shape (n_samples, q)."""

    @abstractmethod
    def removal_shares(self) -> tuple[Array, Array]:
        """Return own, shape (n_samples,), and z, shape (n_samples, q), for each whole row."""

    @abstractmethod
    def strata(self) -> Array:
        """Return the stratum of every row, int of shape (n_samples,)."""

    @abstractmethod
    def weights_without(self, stratum: int, sample_weight: Array) -> Array:
        """Return the weights of all rows once a typical row of `stratum` has left."""

    def off_stratum(self) -> Array:
        """Return how far the weights each row leaves are from its stratum's, (n_samples,).

        Largest relative difference over the rows that stay.
        """
        return np.zeros(len(self.strata()))

    @abstractmethod
    def weights_without_rows(self, rows: Array, sample_weight: Array) -> Array:
        """Return the weights of all rows once each of `rows`, alone, has left: a column each.

        Shape (n_samples, n_rows), or (n_samples, 1) where all columns are alike; the entry of the
        leaving row itself is for the caller to clear.
        """


@dataclass(frozen=True, eq=False)
class Fixed(Weighting):
    """The weights of other rows stay as they are."""

    n_samples: int

    def rows(self, index: slice | Array) -> Fixed:
        return Fixed(len(np.arange(self.n_samples)[index]))

    def shared_columns(self, sample_weight: Array) -> Array:
        return np.empty((self.n_samples, 0))

    def derivative_shares(self) -> Array:
        return np.empty((self.n_samples, 0))

    def removal_shares(self) -> tuple[Array, Array]:
        return np.ones(self.n_samples), self.derivative_shares()

    def strata(self) -> Array:
        return np.zeros(self.n_samples, dtype=int)

    def weights_without(self, stratum: int, sample_weight: Array) -> Array:
        return sample_weight

    def weights_without_rows(self, rows: Array, sample_weight: Array) -> Array:
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

    def shared_columns(self, sample_weight: Array) -> Array:
        """Return the weights of each class's rows: E is the gradient of each class's losses."""
        member = self.codes[:, None] == np.arange(len(self.class_totals))
        columns: Array = sample_weight[:, None] * member
        return columns

    def derivative_shares(self) -> Array:
        # The ratio falls by 1/S and, for the row's own class, rises by 1/S_c; a push is minus that.
        totals = self.class_totals
        z = np.repeat((self.counts / totals.sum())[:, None], len(totals), axis=1)
        z[np.arange(len(z)), self.codes] -= self.counts / totals[self.codes]
        return z

    def removal_shares(self) -> tuple[Array, Array]:
        ratios = self._ratios(self.codes, self.counts)
        return ratios[np.arange(len(ratios)), self.codes], 1.0 - ratios

    def strata(self) -> Array:
        return self.codes

    def weights_without(self, stratum: int, sample_weight: Array) -> Array:
        typical = np.mean(self.counts[self.codes == stratum], keepdims=True)
        ratios = self._ratios(np.array([stratum]), typical)[0]
        out: Array = sample_weight * ratios[self.codes]
        return out

    def off_stratum(self) -> Array:
        out = np.zeros(len(self.codes))
        for stratum in range(len(self.class_totals)):
            here = np.flatnonzero(self.codes == stratum)
            if len(here):
                ratios = self._ratios(self.codes[here], self.counts[here])
                typical = np.mean(self.counts[here], keepdims=True)
                shared = self._ratios(np.array([stratum]), typical)
                out[here] = np.abs(ratios / shared - 1.0).max(axis=1)
        return out

    def weights_without_rows(self, rows: Array, sample_weight: Array) -> Array:
        ratios = self._ratios(self.codes[rows], self.counts[rows])
        return sample_weight[:, None] * ratios.T[self.codes]

    def _ratios(self, codes: Array, counts: Array) -> Array:
        """Return new over old weight of each class once such rows have left, (n, n_classes)."""
        totals = self.class_totals
        ratios = np.repeat((1.0 - counts / totals.sum())[:, None], len(totals), axis=1)
        kept = totals[codes] - counts
        own = np.arange(len(codes)), codes
        # The only row of its class leaves nothing behind to be weighed.
        last = kept <= 1e-12 * totals[codes]
        ratios[own] = np.where(last, 1.0, ratios[own] * totals[codes] / np.where(last, 1.0, kept))
        return ratios
