"""The softplus log(1 + exp(z)) and its derivative, the logistic function, without cancellation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from skinfluence.typing import Array

FAR = 30.0
"""Change of z beyond which exp may overflow, and little is left of what was there."""

TAME = 1.0
"""Change of z up to which its sign does not matter for precision."""


VANISHES = 40.0
"""Distance from a bend, in temperatures, where nothing is left of its curvature: e^-40."""


def log1pexp(z: Array) -> Array:
    """Return log(1 + exp(z)) without overflow."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def log1pexp_change(z: Array, d: Array) -> Array:
    """Return log(1 + exp(z + d)) - log(1 + exp(z)), accurate for small `d`."""
    # It equals log1p(expit(z) expm1(d)), while e^d is tame: nearly everywhere.
    if np.max(d, initial=0.0) < 1.0 and np.min(d, initial=0.0) > -1.0:
        return np.log1p(np.expm1(d) * expit(z))
    near = np.abs(d) < 1.0
    out: Array = np.asarray(np.log1p(np.expm1(np.where(near, d, 0.0)) * expit(z)))
    far = np.broadcast_to(~near, out.shape)
    start, step = (np.broadcast_to(a, out.shape)[far] for a in (z, d))
    out[far] = log1pexp(start + step) - log1pexp(start)
    return out


def expit_change(z: Array, scale: Array | float = 1.0) -> Callable[[Array], Array]:
    """Return the map from delta to expit(z + scale * delta) - expit(z), in the dtype of delta."""
    p, q = expit(z), expit(-z)
    slope = p * q

    def change(delta: Array) -> Array:
        # For d > 0, expit(z + d) - p = p q (e^d - 1) / (1 + p (e^d - 1)), where nothing cancels.
        # For d < 0 the same with -d and q. Temporaries are reused: this runs over rows times edits.
        d = delta if isinstance(scale, float) and scale == 1.0 else _scaled(delta, scale)
        if np.max(d, initial=0.0) < TAME and np.min(d, initial=0.0) > -TAME:
            rise = np.expm1(d)  # the first formula, where 1 + p (e^d - 1) is far from 0
            below = rise * p.astype(d.dtype)
            below += 1.0
            rise *= slope.astype(d.dtype)
            rise /= below
            return rise
        rise = np.abs(d)
        far = rise > FAR if np.max(rise, initial=0.0) > FAR else None
        if far is not None:
            np.minimum(rise, FAR, out=rise)
        np.expm1(rise, out=rise)
        below = np.where(d > 0, p.astype(d.dtype), q.astype(d.dtype))
        below *= rise
        below += 1.0
        rise *= slope.astype(d.dtype)
        rise /= below
        np.copysign(rise, d, out=rise)
        if far is not None:
            rise[far] = _leap(*(np.broadcast_to(a, d.shape)[far] for a in (z, scale, delta)))
        return rise

    return change


def _scaled(delta: Array, scale: Array | float) -> Array:
    return delta * np.asarray(scale, dtype=delta.dtype)


def _leap(z: Array, scale: Array, delta: Array) -> Array:
    """Return the change of expit where it is large, in double precision."""
    d = scale * delta.astype(np.float64)
    # Above 0 the complements are subtracted: 1 - expit is lost where expit rounds to 1.
    side = np.where(z + 0.5 * d > 0, -1.0, 1.0)
    return side * (expit(side * (z + d)) - expit(side * z))
