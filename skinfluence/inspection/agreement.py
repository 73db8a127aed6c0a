"""How well predicted changes agree with actual ones: in rank, in direction and in size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from scipy import stats

from skinfluence.typing import Array


@dataclass(frozen=True)
class Agreement:
    """Agreement of predicted and actual changes.

    Correlations see no factor: a prediction ten times too small has a Pearson correlation of 1.
    Slope and relative error do.

    Attributes
    ----------
    pearson, spearman : float
        Correlations; NaN where either side is constant.
    slope : float
        Actual regressed on predicted through the origin:
        slope = sum(actual * predicted) / sum(predicted^2).
        1 is right; above 1 the predictions are too small. NaN where all predictions are 0.
    relative_error : float
        norm(predicted - actual) / norm(actual), Euclidean.
    """

    pearson: float
    spearman: float
    slope: float
    relative_error: float


def agreement(predicted: Array, actual: Array) -> Agreement:
    """Return the agreement of two arrays of one shape, all entries pooled.

    Parameters
    ----------
    predicted, actual : ndarray of one shape

    Returns
    -------
    Agreement

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import agreement
    >>> actual = np.array([-2.0, 0.0, 1.0, 3.0])
    >>> half_as_large = agreement(actual / 2, actual)
    >>> round(half_as_large.pearson, 6), half_as_large.slope, half_as_large.relative_error
    (1.0, 2.0, 0.5)
    """
    p, a = np.ravel(predicted).astype(float), np.ravel(actual).astype(float)
    constant = len(p) < 2 or np.ptp(p) == 0 or np.ptp(a) == 0
    pearson = float("nan") if constant else float(np.corrcoef(p, a)[0, 1])
    spearman = float("nan") if constant else float(stats.spearmanr(p, a)[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = float(np.divide(p @ a, p @ p))
        error = float(np.divide(np.linalg.norm(p - a), np.linalg.norm(a)))
    return Agreement(pearson, spearman, slope, error)


def median_agreement(by_test: Sequence[Agreement]) -> Agreement:
    """Return the agreement of the median test row, each number by itself.

    Test rows that no removal moves are left out. A correlation that is NaN, where predictions are
    constant, counts as 0, unless it is NaN for all: with one row there is nothing to correlate.

    Parameters
    ----------
    by_test : sequence of Agreement
        Of every test row.

    Returns
    -------
    Agreement
        NaN without test rows that move.

    Examples
    --------
    >>> from skinfluence.inspection.agreement import Agreement, median_agreement
    >>> fair, good = Agreement(0.9, 0.8, 1.5, 0.5), Agreement(1.0, 1.0, 1.1, 0.1)
    >>> unmoved = Agreement(float("nan"), float("nan"), 0.0, float("inf"))
    >>> median_agreement([fair, good, good, unmoved])
    Agreement(pearson=1.0, spearman=1.0, slope=1.1, relative_error=0.1)
    """
    moved = [astuple(one) for one in by_test if np.isfinite(one.relative_error)]
    if not moved:
        return Agreement(*[float("nan")] * 4)
    numbers = np.array(moved)
    known = ~np.all(np.isnan(numbers), axis=0)
    numbers[:, known] = np.nan_to_num(numbers[:, known], nan=0.0)
    return Agreement(*np.median(numbers, axis=0).tolist())
