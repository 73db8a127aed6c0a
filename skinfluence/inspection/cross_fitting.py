"""What rows are worth that some data chose, on data that did not: statistics of plain arrays."""

from __future__ import annotations

import numpy as np
from scipy import stats

from skinfluence.inspection.averages import standard_error
from skinfluence.typing import Array

FALSE_DISCOVERIES = 0.1
"""Part of the rows named as harmful that may be none, on average."""

FALSE_ADVICE = 0.05
"""Chance of an advice where none of the sets helps."""


def cross_fitted_error(effects: Array, n_folds: int) -> Array:
    """Return the standard error of the mean of cross-fitted effects, over the last axis.

    With s the standard deviation of the effects on n rows, each by the fold that did not see it,
    the root of

        (s^2 / n) (1 + J / (J - 1)).

    The first part is that of independent rows. The folds are none: each is chosen for by rows that
    the others are measured on, and what is chosen varies with them. Nadeau & Bengio add, for J
    splits, n_measured / n_choosing = 1 / (J - 1) to 1 / J in units of the variance of a fold, J s^2
    / n.

    References
    ----------
    Nadeau, C. & Bengio, Y. (2003). Inference for the generalization error. Machine Learning 52.
    doi:10.1023/A:1024068626366.
    """
    error: Array = standard_error(effects) * np.sqrt(1.0 + n_folds / (n_folds - 1.0))
    return error


def p_values_of_harm(means: Array, errors: Array, n: int) -> Array:
    """Return one-sided p-values of means of n effects: small where a mean is surely below 0.

    By the t distribution; 1 for rows that have no effect at all.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(means == 0.0, np.inf, means / errors)
    p: Array = stats.t.cdf(t, n - 1)
    return p


def discoveries(p_values: Array, level: float = FALSE_DISCOVERIES) -> Array:
    """Return the positions of p-values that are small beside all of them, the smallest first.

    By the step-up procedure of Benjamini & Hochberg.

    References
    ----------
    Benjamini, Y. & Hochberg, Y. (1995). Controlling the false discovery rate. JRSS B 57(1).
    doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    adjusted = stats.false_discovery_control(p_values)
    order = np.argsort(p_values, kind="stable")
    return order[adjusted[order] <= level]


def errors_asked(n: int, level: float = FALSE_ADVICE) -> float:
    """Return how many standard errors below 0 one of n means has to be: Bonferroni, one-sided."""
    return float(stats.norm.isf(level / n))


def advised(changes: Array, errors: Array) -> int | None:
    """Return which of several changes for the better to advise, the largest; None for none."""
    shown = np.flatnonzero(changes + errors_asked(len(changes)) * errors < 0.0)
    return int(shown[np.argmin(changes[shown])]) if len(shown) else None
