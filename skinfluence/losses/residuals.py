"""Losses of a residual eta - y: squared, Huber and epsilon-insensitive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from skinfluence.losses.base import Loss, Smoothed, encode_numbers, encode_signs
from skinfluence.losses.clipping import clip_change, clip_integral, clip_integral_change, inside
from skinfluence.losses.softplus import expit_change, log1pexp, log1pexp_change
from skinfluence.typing import Array

__all__ = [
    "HalfSquaredError",
    "Huber",
    "SmoothEpsilonInsensitive",
    "SquaredEpsilonInsensitive",
]


class Residual(Loss):
    """A loss of eta - y summed over the outputs.

    With `classes` the targets are -1 and +1, one output per class (one for two classes).
    """

    convex = True
    identical_outputs = True

    def encode(self, y: Any) -> Array:
        if self.classes is not None:
            return encode_signs(y, self.classes, self.n_outputs)
        return encode_numbers(y, self.n_outputs)


class HalfSquare(Residual):
    """1/2 sum_k (eta_k - y_k)^2."""

    constant_hessian = True
    curvature_scale = np.inf
    canonical = True

    def value(self, y: Array, eta: Array) -> Array:
        return 0.5 * np.sum((eta - y) ** 2, axis=-1)

    def gradient(self, y: Array, eta: Array) -> Array:
        return eta - y

    def hessian(self, y: Array, eta: Array) -> Array:
        return np.ones_like(eta)

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        return lambda delta: np.array(delta)

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        # The difference of two squares, before it cancels.
        return np.sum(delta * ((eta - y) + 0.5 * delta), axis=-1)

    def curvature_slope(self, y: Array, eta: Array) -> Array:
        return np.zeros_like(eta)

    def best_constant(self, mean: Array) -> Array:
        return mean

    def best_constant_slope(self, mean: Array, rise: Array) -> Array:
        return rise


@dataclass(frozen=True, eq=False)
class HalfSquaredError(HalfSquare):
    """Half the squared error summed over the outputs, 1/2 sum_k (eta_k - y_k)^2.

    With `classes` the targets are -1 and +1, one output per class (one for two classes), as in
    `sklearn.linear_model.RidgeClassifier`.
    """

    n_outputs: int = 1
    classes: Array | None = None


@dataclass(frozen=True, eq=False)
class Huber(Residual):
    """Huber loss summed over the outputs, as in `sklearn.linear_model.SGDRegressor`.

    With r = eta - y: r^2 / 2 for abs(r) <= epsilon, else epsilon abs(r) - epsilon^2 / 2.

    Parameters
    ----------
    epsilon : float
        Residual beyond which the loss is linear, in units of y.
    n_outputs : int
    classes : ndarray of shape (n_classes,) or None
        With them the targets are -1 and +1, as in `HalfSquaredError`.
    """

    epsilon: float
    n_outputs: int = 1
    classes: Array | None = None

    def value(self, y: Array, eta: Array) -> Array:
        return np.sum(clip_integral(eta - y, -self.epsilon, self.epsilon), axis=-1)

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        return np.abs(np.abs(eta - y) - self.epsilon)

    def gradient(self, y: Array, eta: Array) -> Array:
        return np.clip(eta - y, -self.epsilon, self.epsilon)

    def residual(self, y: Array, eta: Array) -> Array:
        return y - eta

    def hessian(self, y: Array, eta: Array) -> Array:
        return inside(eta - y, -self.epsilon, self.epsilon)

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        return clip_change(eta - y, -self.epsilon, self.epsilon)

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        rise = clip_integral_change(eta - y, delta, -self.epsilon, self.epsilon)
        return np.sum(rise, axis=-1)


@dataclass(frozen=True, eq=False)
class SquaredEpsilonInsensitive(Residual):
    """Squared epsilon-insensitive loss, sum_k max(0, abs(eta_k - y_k) - epsilon)^2; no factor 1/2.

    For epsilon 0 the loss is the squared error, and its Hessian constant.

    Parameters
    ----------
    epsilon : float
        Residual that costs nothing, in units of y.
    n_outputs : int
    classes : ndarray of shape (n_classes,) or None
        With them the targets are -1 and +1, as in `HalfSquaredError`.
    """

    epsilon: float
    n_outputs: int = 1
    classes: Array | None = None

    @property
    def constant_hessian(self) -> bool:  # type: ignore[override]
        return self.epsilon == 0.0

    @property
    def curvature_scale(self) -> float | None:  # type: ignore[override]
        return np.inf if self.constant_hessian else None

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        return np.abs(np.abs(eta - y) - self.epsilon)

    def _excess(self, y: Array, eta: Array) -> Array:
        r = eta - y
        return r - np.clip(r, -self.epsilon, self.epsilon)

    def value(self, y: Array, eta: Array) -> Array:
        return np.sum(self._excess(y, eta) ** 2, axis=-1)

    def gradient(self, y: Array, eta: Array) -> Array:
        return 2.0 * self._excess(y, eta)

    def hessian(self, y: Array, eta: Array) -> Array:
        return 2.0 - 2.0 * inside(eta - y, -self.epsilon, self.epsilon)

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        clipped = clip_change(eta - y, -self.epsilon, self.epsilon)

        def change(delta: Array) -> Array:
            return 2.0 * (delta - clipped(delta))

        return change

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        # The difference of the squares of the excess, before it cancels.
        rise = delta - clip_change(eta - y, -self.epsilon, self.epsilon)(delta)
        return np.sum(rise * (2.0 * self._excess(y, eta) + rise), axis=-1)


@dataclass(frozen=True, eq=False)
class SmoothEpsilonInsensitive(Smoothed, Residual):
    """Smooth epsilon-insensitive loss summed over the outputs.

    t log(1 + exp((r - epsilon) / t)) + t log(1 + exp((-r - epsilon) / t)) with r = eta - y: it
    approaches max(0, abs(r) - epsilon) as t falls.

    Parameters
    ----------
    epsilon : float
        Residual that costs nothing, in units of y.
    temperature : float
        t, in units of y.
    n_outputs : int
    classes : ndarray of shape (n_classes,) or None
        With them the targets are -1 and +1, as in `HalfSquaredError`.
    """

    epsilon: float
    temperature: float
    n_outputs: int = 1
    classes: Array | None = None

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        return self.beyond_bend(np.abs(np.abs(eta - y) - self.epsilon))

    def _sides(self, y: Array, eta: Array) -> tuple[Array, Array]:
        r = eta - y
        t = self.temperature
        return (r - self.epsilon) / t, (-r - self.epsilon) / t

    def value(self, y: Array, eta: Array) -> Array:
        above, below = self._sides(y, eta)
        return self.temperature * np.sum(log1pexp(above) + log1pexp(below), axis=-1)

    def gradient(self, y: Array, eta: Array) -> Array:
        above, below = self._sides(y, eta)
        return expit(above) - expit(below)

    def hessian(self, y: Array, eta: Array) -> Array:
        above, below = self._sides(y, eta)
        out: Array = (expit(above) * expit(-above) + expit(below) * expit(-below)) / (
            self.temperature
        )
        return out

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        above, below = self._sides(y, eta)
        rise = expit_change(above, 1.0 / self.temperature)
        fall = expit_change(below, -1.0 / self.temperature)
        return lambda delta: rise(delta) - fall(delta)

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        above, below = self._sides(y, eta)
        d = delta / self.temperature
        rise = log1pexp_change(above, d) + log1pexp_change(below, -d)
        return self.temperature * np.sum(rise, axis=-1)
