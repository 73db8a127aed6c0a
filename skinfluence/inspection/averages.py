"""Means over rows, and how far they may be off."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.typing import Array


def mean(values: Array, sample_weight: Any = None) -> Any:
    """Return the (weighted) mean over the last axis, of rows that have a value (not nan)."""
    known, weights = _known(values, sample_weight)
    total = np.sum(weights, axis=-1)
    return np.sum(weights * known, axis=-1) / np.where(total > 0, total, np.nan)


def standard_error(values: Array, sample_weight: Any = None) -> Any:
    """Return the standard error of `mean`, over the last axis.

    With m the mean and n the rows of positive weight, the root of

        n / (n - 1) * sum_i w_i^2 (values_i - m)^2 / (sum_i w_i)^2,

    which is s / sqrt(n) where all weights are equal. NaN for a single row.

    References
    ----------
    Gatz, D. F. & Smith, L. (1995). The standard error of a weighted mean concentration.
    Atmospheric Environment 29(11). doi:10.1016/1352-2310(94)00210-C.
    """
    known, weights = _known(values, sample_weight)
    n = np.count_nonzero(weights, axis=-1)
    n = np.where(n > 1, n, np.nan)
    off = weights * (known - mean(values, sample_weight)[..., None])
    total = np.where(n > 1, np.sum(weights, axis=-1), np.nan)
    return np.sqrt(n / (n - 1) * np.sum(off**2, axis=-1)) / total


def _known(values: Array, sample_weight: Any) -> tuple[Array, Array]:
    """Return values and weights, both 0 where a value is nan; refuse another number of weights."""
    unknown = np.isnan(values)
    if sample_weight is None:
        weights = np.ones(values.shape[-1])
    else:
        weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != values.shape[-1:]:
        raise ValueError(
            f"sample_weight of shape {weights.shape} was given; one weight per training row, "
            f"shape {values.shape[-1:]}, is accepted."
        )
    return np.where(unknown, 0.0, values), np.where(unknown, 0.0, weights)


def with_error(value: float, error: float) -> str:
    """Return a number with its standard error, both to two digits of the error and in one power.

    The number has six digits at most, and where that is not enough the error has a power of its
    own; an error below rounding is none.
    """
    if not 0.0 <= error < np.inf:
        return f"{value:.4g}"
    if error <= 100 * np.finfo(np.float64).eps * abs(value):
        return f"{value:.4g} +- 0"
    digits = 1 - int(np.floor(np.log10(error)))
    decimals, largest = max(0, digits), 1 - digits
    size = int(np.floor(np.log10(abs(value)))) if value else -decimals
    if decimals <= 6 and decimals + size < 6:
        return f"{value:.{decimals}f} +- {error:.{decimals}f}"
    power = max(size, largest) if value else largest
    if digits + power <= 5 and not -5 < power < 6:
        numbers = (
            f"{each / 10.0**power:.{digits + power}f}e{power:+03d}" for each in (value, error)
        )
        return " +- ".join(numbers)
    return f"{value:.6g} +- {error:.2g}"
