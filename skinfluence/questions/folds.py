"""Rows in parts that are left out, or measured on, together."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils import check_random_state

from skinfluence.process.row_names import length_of
from skinfluence.typing import Array


def folds_of_rows(y: Any, n_folds: Any, random_state: Any, *, stratified: bool) -> Array:
    """Return the fold of every row, in a random order, or one within each class.

    Folds differ by one row at most, and so do the rows of a class in them.
    """
    n = length_of(y)
    whole = isinstance(n_folds, Integral) and not isinstance(n_folds, bool)
    if not whole or not 2 <= int(n_folds) <= n:
        raise ValueError(
            f"folds={n_folds!r} was given for {n} validation row(s); a number from 2 to that of "
            "the rows is accepted: rows are chosen on some folds and measured on another. Pass "
            "folds=4, or more validation rows."
        )
    columns: Any = np.asarray(y).reshape(n, -1).T if stratified else ()
    classes = [np.unique(column, return_inverse=True)[1] for column in columns]
    order = np.lexsort((check_random_state(random_state).permutation(n), *classes))
    folds = np.empty(n, dtype=int)
    folds[order] = np.arange(n) % int(n_folds)
    return folds


def alike_parts(y: Array, n_parts: int, classifier: bool) -> list[Array]:
    """Return parts of the rows, alike in classes; of several labels a row in its rarest one."""
    n, strata = len(y), _rarest_labels(y) if classifier else np.arange(len(y))
    n_folds = min(n_parts, int(np.bincount(strata).max()) if classifier else n)
    split: Any = (StratifiedKFold if classifier else KFold)(n_folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than parts
        return [part for _, part in split.split(np.zeros((n, 1)), strata)]


def _rarest_labels(y: Array) -> Array:
    """Return a number for the label of every row; of several for that which fewest rows have."""
    columns = [np.unique(column, return_inverse=True)[1] for column in columns_of(y)]
    counts = np.stack([np.bincount(codes)[codes] for codes in columns])
    rarest = np.argmin(counts, axis=0)
    codes = np.stack(columns)[rarest, np.arange(len(y))]
    _, numbers = np.unique(rarest * (codes.max() + 1) + codes, return_inverse=True)
    return np.asarray(numbers)


def columns_of(y: Array) -> Array:
    """Return the labels of every output, a line each."""
    return y.reshape(len(y), -1).T
