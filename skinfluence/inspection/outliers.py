"""Which deviations are too large to be noise, in units of that noise."""

from __future__ import annotations

import numpy as np

from skinfluence.typing import Array

NORMAL_MEDIAN = 0.6744897501960817
"""Median size of a standard normal number."""


def noise_scale(residuals: Array, least: float = 0.0) -> Array:
    """Return the standard deviation of the residuals that are noise, shape (n_outputs,).

    From their median size, which half of the rows may spoil; the root mean square where more than
    half are 0. At least `least`.
    """
    sizes = np.abs(residuals)
    scale = np.nanmedian(sizes, axis=0) / NORMAL_MEDIAN
    scale = np.where(scale > 0, scale, np.sqrt(np.nanmean(sizes**2, axis=0)))
    return np.maximum(np.where(scale > 0, scale, 1.0), least)


def quality_of_deviations(deviations: Array) -> Array:
    """Return 1 / (1 + (z / 2)^2) of deviations z: 1 at none, .3 at three, .2 at four."""
    quality: Array = 1.0 / (1.0 + 0.25 * deviations**2)
    return quality
