"""Judges of the fuzz tests: the minimum after any change of the weights of rows, from slow twins.

A row's `ratio` is 1 where it is there, 0 where it has left or is still to come. `tests.twins` and
`tests.network_twins` say what is minimised, in columns of any size; here it is minimised in columns
of mean 0 and norm 1, and every value comes with what the judge does not know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tests import network_twins, twins

Array = Any
STEPS, SWEEPS = 100, 20
FLAT = 1e-11
"""Curvature, as a part of the largest, below which a direction is not determined by the rows."""


class Unjudged(Exception):
    """The judge found no minimum, or cannot tell which one is meant."""


@dataclass(frozen=True)
class Value:
    """Values at a minimum, how uncertain they are, and which of them the minimum determines."""

    value: Array
    noise: Array
    determined: Array


@dataclass(frozen=True, eq=False)
class Minimum:
    """Parameters of a twin that one more Newton step would move by `step`.

    Attributes
    ----------
    flat : array of shape (P, m)
        Directions along which nothing changes.
    """

    twin: Any
    theta: Array
    step: Array
    flat: Array

    def value(self, of: Callable[[Any, Array], Array]) -> Value:
        """Return values of (twin, theta)."""
        value = np.asarray(of(self.twin, self.theta), dtype=float)
        noise = np.abs(of(self.twin, self.theta - self.step) - value) + 1e-12 * np.abs(value)
        along = [np.abs(of(self.twin, self.theta + d) - value) for d in self.flat.T]
        moves = np.max(along, axis=0) if along else np.zeros_like(value)
        return Value(value, noise, moves <= 1e-6 * (1.0 + np.abs(value)))


@dataclass(frozen=True, eq=False)
class Judge:
    """The minima of a convex model on rows of any ratio.

    Attributes
    ----------
    fitted : estimator
        For its hyper-parameters and transformers.
    X, y, s : arrays
        All rows that may be there.
    trained : array of shape (n_samples,)
        The ratios of the fit.
    """

    fitted: Any
    X: Array
    y: Array
    s: Array | None
    trained: Array
    t: float | None = None
    counts: str = "rows"

    def twin(self, ratio: Array, t: float | None) -> Any:
        rows = self.X, self.y, self.s
        return twins.twin_of(self.fitted, *rows, ratio=ratio, t=t, counts=self.counts)

    @cached_property
    def columns(self) -> Columns:
        return Columns.of(self.twin(self.trained, self.t), self.trained > 0)

    def minimum(self, ratio: Array, start: Minimum | None = None) -> Minimum:
        """Return the minimum, sought from another one."""
        twin = self.columns.applied(self.twin(ratio, self.t))
        theta = minimiser(twin, twin.start if start is None else start.theta)
        held = (theta == 0) & (twin.lam > 0)
        return Minimum(twin, theta, *_last_step(twin.hessian(theta), twin.slope(theta), ~held))


def minimiser(twin: Any, theta: Array) -> Array:
    """Return the minimiser of a convex twin: proximal Newton steps, damped as far as they have to.

    Raises
    ------
    Unjudged
        Where none is reached.
    """
    scale = 1.0 + np.abs(twin.gradient(np.asarray(twin.start))).max()
    best, stalled, damping, value = (np.inf, theta), 0, 0.0, twin.value(theta)
    for _ in range(STEPS):
        size = np.abs(twin.slope(theta)).max()
        stalled += size >= 0.5 * best[0] and best[0] <= 1e-9 * scale
        best = min((size, theta), best, key=lambda one: one[0])
        if size <= 1e-15 * scale or stalled == 3:
            break
        g, H = twin.gradient(theta), twin.hessian(theta)
        if not (np.all(np.isfinite(H)) and np.isfinite(value)):
            raise Unjudged("the objective is not finite")
        unit = max(np.abs(np.diag(H)).max(), 1e-6)
        for _ in range(40):
            moved = theta + step_to(g, H, twin.lam, theta, (damping + 1e-13) * unit)
            after = twin.value(moved)
            if after <= value + 1e-13 * (1.0 + abs(value)):
                break
            damping = max(8.0 * damping, 1e-6)
        else:
            break
        theta, value, damping = moved, after, damping / 8.0 if damping > 1e-9 else 0.0
    size, theta = best
    if size > 1e-8 * scale:
        raise Unjudged(f"no minimum was reached: a slope of {size:.1e} of {scale:.1e} is left")
    return theta


def step_to(g: Array, H: Array, lam: Array, theta: Array, damping: float) -> Array:
    """Return the d that minimises g'd + d'(H + damping)d / 2 + lam'|theta + d|."""
    H = H + damping * np.eye(len(g))
    if not np.any(lam):
        return -np.linalg.solve(H, g)
    linear = g - H @ theta
    x = by_coordinates(linear, H, lam, theta)
    for _ in range(5 * len(g)):  # along faces, from one sign to the next
        slope = linear + H @ x
        entering = (x == 0) & (np.abs(slope) > lam * (1.0 + 1e-12) + 1e-15)
        signs = np.where(entering, -np.sign(slope), np.sign(x))
        on = (signs != 0) | (lam == 0)
        goal = np.zeros(len(g))
        goal[on] = -np.linalg.solve(H[np.ix_(on, on)], (linear + lam * signs)[on])
        crossing = (lam > 0) & (goal * signs < 0)
        if not np.any(crossing):
            x = goal
            if not np.any(entering):
                break
            continue
        length = np.min(x[crossing] / (x[crossing] - goal[crossing]))
        first = crossing & (x / np.where(crossing, x - goal, 1.0) <= length)
        x = np.where(first, 0.0, x + length * (goal - x))
    return x - theta


def by_coordinates(linear: Array, H: Array, lam: Array, x: Array) -> Array:
    """Return an x near the minimum of linear'x + x'Hx / 2 + lam'|x|."""
    x, slope, curvature = x.copy(), linear + H @ x, np.diag(H)
    for _ in range(SWEEPS):
        for j in range(len(x)):
            middle = x[j] - slope[j] / curvature[j]
            size = max(abs(middle) - lam[j] / curvature[j], 0.0)
            move = size * np.sign(middle) - x[j]
            x[j] += move
            slope += H[j] * move
    return x


@dataclass(frozen=True, eq=False)
class NetworkJudge:
    """The minima of a network in the basin of its fit."""

    fitted: Any
    X: Array
    y: Array
    s: Array
    trained: Array

    def minimum(self, ratio: Array, start: Minimum | None = None) -> Minimum:
        twin = network_twins.twin_of(self.fitted, self.X, self.y, self.s * ratio)
        try:
            if start is None:
                theta = network_twins.descend(twin, network_twins.theta_of(self.fitted))
            else:
                theta = self._followed(twin, start)
        except AssertionError as error:
            raise Unjudged(str(error)) from error
        every = np.ones(len(theta), dtype=bool)
        return Minimum(twin, theta, *_last_step(twin.hessian(theta), twin.gradient(theta), every))

    @staticmethod
    def _followed(twin: Any, start: Minimum) -> Array:
        """Return the minimum that the old one becomes as the weights change, if it is alone."""
        other = network_twins.descend(twin, start.theta)
        if np.abs(twin.w - start.twin.w).max() < 1e-2:
            return other
        halfway = replace(twin, w=0.5 * (twin.w + start.twin.w))
        theta = network_twins.descend(twin, network_twins.descend(halfway, start.theta))
        gap = np.abs(twin.raw(theta) - twin.raw(other)).max()
        if gap > 1e-6 * np.abs(twin.raw(theta)).max():
            raise Unjudged("two minima are near")
        return theta


def _last_step(H: Array, g: Array, free: Array) -> tuple[Array, Array]:
    """Return the Newton step that is left, and the flat directions, in the free parameters."""
    step, flat = np.zeros(len(g)), np.zeros((len(g), 0))
    if not np.any(free):
        return step, flat
    values, U = np.linalg.eigh(H[np.ix_(free, free)])
    curved = values > FLAT * np.abs(values).max()
    step[free] = U[:, curved] @ ((U[:, curved].T @ g[free]) / values[curved])
    flat = np.zeros((len(g), int((~curved).sum())))
    flat[free] = U[:, ~curved]
    return step, flat


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a twin's designs taken to mean 0, where the intercept is free, and norm 1.

    Attributes
    ----------
    shifts, scales : lists of arrays
        One of each per design.
    """

    shifts: list[Array]
    scales: list[Array]

    @classmethod
    def of(cls, twin: Any, rows: Array) -> Columns:
        shifts, scales = [], []
        blocks = twin.designs(twin.X)
        spans = twins.spans_of([D.shape[1] for D in blocks])
        for D, span in zip(blocks, spans, strict=True):
            constant = np.all(D[:, -1] == 1.0) and D.shape[1] > 1
            free = twin.A[span, span][-1, -1] == 0 and twin.lam[span][-1] == 0
            shift = np.zeros(D.shape[1])
            if constant and free:
                shift[:-1] = D[rows, :-1].mean(axis=0)
            scale = np.linalg.norm(D - shift, axis=0)
            # What centring leaves of a constant column is rounding.
            whole = np.linalg.norm(D, axis=0)
            small = (scale <= 1e-13 * whole) | (whole <= 1e-13 * whole.max())
            scales.append(np.where(small, 1.0, scale))
            shifts.append(shift)
        return cls(shifts, scales)

    def applied(self, twin: Any) -> Any:
        """Return a twin in these columns."""

        def changed(Z):
            parts = zip(twin.designs(Z), self.shifts, self.scales, strict=True)
            return [(D - shift) / scale for D, shift, scale in parts]

        own = changed(twin.X)  # asked for at every step
        scale = np.concatenate(self.scales)
        return replace(
            twin,
            designs=lambda Z: own if Z is twin.X else changed(Z),
            A=twin.A / np.outer(scale, scale),
            lam=twin.lam / scale,
            start=self.taken(twin.start),
        )

    def taken(self, theta: Array) -> Array:
        """Return parameters of the twin's own columns as parameters of these."""
        spans = twins.spans_of([len(scale) for scale in self.scales])
        parts = []
        for span, shift, scale in zip(spans, self.shifts, self.scales, strict=True):
            own = np.array(theta[span], dtype=float)
            own[-1] += shift @ own
            parts.append(own * scale)
        return np.concatenate(parts)
