"""Losses of a margin y eta, y -1 or +1: of support vector machines and their relatives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from skinfluence.losses.base import Loss, Smoothed, encode_signs
from skinfluence.losses.clipping import clip_change, clip_integral, clip_integral_change, inside
from skinfluence.losses.softplus import expit_change, log1pexp, log1pexp_change
from skinfluence.typing import Array

__all__ = ["ModifiedHuber", "SmoothHinge", "SquaredHinge"]


class Margin(Loss):
    """A loss of 1 - y eta summed over the outputs, with targets -1 and +1.

    One output for two classes (positive for ``classes[1]``), otherwise one versus the rest.
    """

    classes: Array
    convex = True
    identical_outputs = True

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return 1 if len(self.classes) == 2 else len(self.classes)

    def encode(self, y: Any) -> Array:
        return encode_signs(y, self.classes, self.n_outputs)

    def is_separated(self, y: Array, eta: Array) -> Array:
        return np.all(y * eta > 0, axis=-1)


@dataclass(frozen=True, eq=False)
class SmoothHinge(Smoothed, Margin):
    """Smooth hinge summed over the outputs, t log(1 + exp((1 - y eta) / t)), y in {-1, +1}.

    It lies above the hinge max(0, 1 - y eta) by t log 2 at most, and approaches it as t falls.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
    temperature : float
        t, in units of the raw prediction.
    """

    classes: Array
    temperature: float

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        return self.beyond_bend(np.abs(1.0 - y * eta))

    def _z(self, y: Array, eta: Array) -> Array:
        return (1.0 - y * eta) / self.temperature

    def value(self, y: Array, eta: Array) -> Array:
        return self.temperature * np.sum(log1pexp(self._z(y, eta)), axis=-1)

    def gradient(self, y: Array, eta: Array) -> Array:
        return -y * expit(self._z(y, eta))

    def hessian(self, y: Array, eta: Array) -> Array:
        z = self._z(y, eta)
        return expit(z) * expit(-z) / self.temperature

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        rise = expit_change(self._z(y, eta), -y / self.temperature)
        return lambda delta: rise(delta) * -y.astype(delta.dtype)

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        rise = log1pexp_change(self._z(y, eta), -y * delta / self.temperature)
        return self.temperature * np.sum(rise, axis=-1)


class ClippedMargin(Margin):
    """A margin loss with the derivative 2 clip(z, 0, reach) in z = 1 - y eta.

    `hessian` is the generalised second derivative: 2 where the derivative rises, else 0.
    """

    reach: float = np.inf

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        z = 1.0 - y * eta
        return np.minimum(np.abs(z), np.abs(z - self.reach))

    def value(self, y: Array, eta: Array) -> Array:
        return 2.0 * np.sum(clip_integral(1.0 - y * eta, 0.0, self.reach), axis=-1)

    def gradient(self, y: Array, eta: Array) -> Array:
        return -2.0 * y * np.clip(1.0 - y * eta, 0.0, self.reach)

    def hessian(self, y: Array, eta: Array) -> Array:
        return 2.0 * inside(1.0 - y * eta, 0.0, self.reach)

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        rise = clip_change(1.0 - y * eta, 0.0, self.reach)

        def change(delta: Array) -> Array:
            down = -y.astype(delta.dtype)
            return 2.0 * (down * rise(down * delta))

        return change

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        rise = clip_integral_change(1.0 - y * eta, -y * delta, 0.0, self.reach)
        return 2.0 * np.sum(rise, axis=-1)


@dataclass(frozen=True, eq=False)
class SquaredHinge(ClippedMargin):
    """Squared hinge summed over the outputs, max(0, 1 - y eta)^2, y in {-1, +1}; no factor 1/2."""

    classes: Array


@dataclass(frozen=True, eq=False)
class ModifiedHuber(ClippedMargin):
    """Modified Huber loss summed over the outputs, as in `sklearn.linear_model.SGDClassifier`.

    With m = y eta, y in {-1, +1}: max(0, 1 - m)^2 for m >= -1, else -4 m.
    """

    classes: Array
    reach = 2.0
