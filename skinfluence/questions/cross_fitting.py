"""Rows that are chosen on some folds of the validation rows, for what they do on another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.typing import Array

MOST = 0.1
"""Part of the training rows that is looked at where nothing else is said."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Mean scores of every training row on folds of the validation rows, for whoever ranks by them.

    Attributes
    ----------
    sums : ndarray of shape (n_folds, n_train)
        Of the scores on the rows of each fold.
    squares : ndarray of shape (n_train,)
        Sums of the squares of the scores on all rows.
    counts : ndarray of int, shape (n_folds,)
        Rows of each fold.
    """

    sums: Array
    squares: Array
    counts: Array

    def means(self, without: int | None = None) -> Array:
        """Return the mean scores on all validation rows, or on those of the other folds."""
        total, n = self.sums.sum(axis=0), int(self.counts.sum())
        if without is not None:
            total, n = total - self.sums[without], n - int(self.counts[without])
        means: Array = total / n
        return means

    def errors(self) -> Array:
        """Return the standard errors of the mean scores on all validation rows."""
        n = int(self.counts.sum())
        off = np.maximum(self.squares - n * self.means() ** 2, 0.0)
        errors: Array = np.sqrt(off / (n - 1) / n)
        return errors

    def sets(self, sizes: Array) -> tuple[list[Array], Array, Array]:
        """Return the sets of the worst rows, each once, and where they are chosen.

        Returns
        -------
        sets : list of ndarray of int
        which : ndarray of int, shape (n_folds + 1, n_sizes)
            The set of each size that is chosen without each fold, and on all rows.
        names : ndarray of shape (n_sets,)
            What a message calls them.
        """
        folds: list[int | None] = [*range(len(self.counts)), None]
        found: dict[bytes, int] = {}
        sets: list[Array] = []
        names, which = [], np.empty((len(folds), len(sizes)), dtype=int)
        for j, without in enumerate(folds):
            worst = np.argsort(self.means(without), kind="stable")
            for a, size in enumerate(sizes.tolist()):
                chosen = np.sort(worst[:size])
                which[j, a] = found.setdefault(chosen.tobytes(), len(sets))
                if which[j, a] == len(sets):
                    sets.append(chosen)
                    on = "all folds" if without is None else f"all folds but {without}"
                    names.append(f"the {size} worst on {on}")
        return sets, which, np.array(names, dtype=object)


def sizes_given(k: Any, n_train: int) -> Array:
    """Return the numbers of rows that are looked at, each once, from the smallest on."""
    if k is None:
        most = max(1, int(MOST * n_train))
        grid = [step * 10**power for power in range(len(str(most))) for step in (1, 2, 5)]
        return np.array([size for size in grid if size <= most])
    given = list(k) if isinstance(k, Iterable) and not isinstance(k, str) else [k]
    whole = all(isinstance(each, Integral) and not isinstance(each, bool) for each in given)
    if not given or not whole or min(given) < 1 or max(given) >= n_train:
        raise ValueError(
            f"k={k!r} was given; a number of rows from 1 to {n_train - 1}, of {n_train} training "
            "rows, or several of them, is accepted."
        )
    return np.unique(np.array(given, dtype=int))


def on_own_fold(values: Array, which: Array, fold: Array) -> Array:
    """Return values of every validation row by the sets that its fold did not choose.

    Parameters
    ----------
    values : ndarray of shape (n_val, n_sets)
    which : ndarray of int, shape (n_folds + 1, n_sizes)
    fold : ndarray of int, shape (n_val,)

    Returns
    -------
    ndarray of shape (n_sizes, n_val)
    """
    return np.take_along_axis(values, which[fold], axis=1).T


def in_folds(fold: Array) -> Any:
    """Return which rows are in each fold, CSR of shape (n_folds, n_val)."""
    n = len(fold)
    return sparse.csr_matrix((np.ones(n), (fold, np.arange(n))))


def masks_of(sets: Sequence[Array], n_train: int) -> Any:
    """Return which rows are in each set, CSR of bool, shape (n_sets, n_train)."""
    ends = np.cumsum([0, *map(len, sets)])
    members = np.concatenate(sets)
    ones = np.ones(len(members), dtype=bool)
    return sparse.csr_matrix((ones, members, ends), shape=(len(sets), n_train))
