"""Piecewise quadratic functions: the integral of a clipped line, and its exact changes.

Notation: c = clip(z, low, high) with low <= 0 <= high, and the gap z - c by which z lies outside.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skinfluence.typing import Array


def clip_integral(z: Array, low: float, high: float) -> Array:
    """Return the integral of clip(s, low, high) over s from 0 to z."""
    c = np.clip(z, low, high)
    return c * (z - 0.5 * c)


def inside(z: Array, low: float, high: float) -> Array:
    """Return the derivative of the clipped line: 1.0 where low < z < high, else 0.0."""
    return ((z > low) & (z < high)).astype(np.float64)


def clip_change(z: Array, low: float, high: float) -> Callable[[Array], Array]:
    """Return the map from d to clip(z + d) - clip(z), in the dtype of d."""
    # d first has to close the gap, then moves c, which cannot pass an end. Where z lies outside, c
    # is at an end already, so that one of the two new ends is 0.
    c = np.clip(z, low, high)
    gap, down, up = z - c, low - c, high - c

    def change(d: Array) -> Array:
        kept = [a.astype(d.dtype) for a in (gap, down, up)]
        return np.clip(d + kept[0], kept[1], kept[2])

    return change


def clip_integral_change(z: Array, d: Array, low: float, high: float) -> Array:
    """Return the integral of clip(s, low, high) over s from z to z + d."""
    # c^2 / 2 + c gap, after minus before, with c' = c + D: c d + D (gap + d - D / 2).
    c = np.clip(z, low, high)
    D = clip_change(z, low, high)(d)
    return c * d + D * ((z - c) + d - 0.5 * D)
