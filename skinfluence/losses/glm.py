"""Losses of generalised linear models: half the unit deviance of the Tweedie family."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import xlogy

from skinfluence.losses.base import RARE, STEADY, Loss, encode_numbers, in_precision
from skinfluence.losses.softplus import TAME
from skinfluence.process.row_names import named_row
from skinfluence.typing import Array

__all__ = ["Tweedie"]

LARGEST = 300.0
"""Largest exponent that is taken: exp of twice that is still finite."""

NAMES = {0.0: "normal", 1.0: "Poisson", 2.0: "Gamma", 3.0: "inverse Gaussian"}


@dataclass(frozen=True, eq=False)
class Tweedie(Loss):
    """Half the unit deviance of a Tweedie distribution, as in `sklearn.linear_model`.

    With the mean mu = exp(eta) (log link) or mu = eta (identity link), and up to a constant that
    makes it 0 at mu = y: -y mu^(1-p) / (1-p) + mu^(2-p) / (2-p), where mu^0 / 0 reads log(mu).
    Power 0 is half the squared error, 1 Poisson, 2 Gamma, 3 inverse Gaussian; targets are
    non-negative from power 1 on, positive from power 2 on.

    With the log link and 1 <= p <= 2 the loss is convex and its `curvature_scale` is
    1 / max(p - 1, 2 - p). Other powers of the log link have no such bound.

    With the identity link the loss is convex for the powers 0 and 1. The mean has to be positive
    there, unless the power is 0: elsewhere the value is infinite, and derivatives are those at a
    tiny mean.

    Parameters
    ----------
    power : float
        p, at most 0 or at least 1.
    link : {"log", "identity"}
    """

    power: float
    link: str = "log"
    n_outputs = 1
    identical_outputs = True

    def __post_init__(self) -> None:
        if not (self.power <= 0.0 or self.power >= 1.0):
            raise ValueError(
                f"power={self.power!r} was given; at most 0 or at least 1 is accepted, as no "
                "distribution exists in between. Use 0 (normal), 1 (Poisson) or a power above."
            )
        if self.link not in ("log", "identity"):
            raise ValueError(
                f"link={self.link!r} was given; 'log' and 'identity' are accepted. For another "
                "link write a Loss of your own."
            )

    @property
    def name(self) -> str:
        """Return the name of the distribution, for messages."""
        return NAMES.get(float(self.power), f"Tweedie(power={self.power:g})")

    @property
    def unit_dispersion(self) -> bool:  # type: ignore[override]
        return self.power == 1

    @property
    def canonical(self) -> bool:  # type: ignore[override]
        return (self.power, self.link) in ((1, "log"), (0, "identity"))

    @property
    def constant_hessian(self) -> bool:  # type: ignore[override]
        return self.power == 0 and self.link == "identity"

    @property
    def convex(self) -> bool:  # type: ignore[override]
        # log link: l'' = (2 - p) mu^(2-p) + (p - 1) y mu^(1-p), both terms non-negative.
        # identity: l'' = mu^(-p-1) ((1 - p) mu + p y), which changes its sign for other powers.
        return 1 <= self.power <= 2 if self.link == "log" else self.power in (0, 1)

    @property
    def curvature_scale(self) -> float | None:  # type: ignore[override]
        if self.constant_hessian:
            return np.inf
        # log link: l''' = (2 - p)^2 mu^(2-p) - (p - 1)^2 y mu^(1-p), against l'' above.
        if self.link == "log" and self.convex:
            return 1.0 / max(self.power - 1.0, 2.0 - self.power)
        return None

    def encode(self, y: Any) -> Array:
        y = encode_numbers(y, 1)
        strict = self.power >= 2
        outside = np.flatnonzero(y[:, 0] <= 0 if strict else y[:, 0] < 0)
        if self.power >= 1 and len(outside):
            few = "of at most 0" if strict else "below 0"
            accepted = "y > 0" if strict else "y >= 0"
            raise ValueError(
                f"Targets {few} were given ({len(outside)}, the first {y[outside[0], 0]:g} at row "
                f"{named_row(outside[0])}); the {self.name} loss accepts {accepted}. Drop or "
                "correct these rows, or fit a model whose loss is defined there."
            )
        return y

    @property
    def _bound(self) -> float:
        """Return the largest abs(log(mu)) at which every power of mu used here is tame."""
        p = self.power
        return LARGEST / max(abs(2.0 - p), abs(1.0 - p if self.link == "log" else 1.0 + p))

    def _log_mean(self, eta: Array) -> Array:
        bound = self._bound
        if self.link == "identity":
            eta = np.log(np.maximum(eta, np.exp(-bound)))
        return np.clip(eta, -bound, bound)

    def _rise(self, eta: Array, delta: Array) -> Array:
        """Return the change of `_log_mean` when eta changes by delta, without cancellation."""
        here, after = self._log_mean(eta), self._log_mean(eta + delta)
        bound = self._bound
        tame = (np.abs(here) < bound) & (np.abs(after) < bound)
        if self.link == "log":
            return np.where(tame, delta, after - here)
        ratio = delta / np.where(tame, eta, 1.0)
        near = tame & (np.abs(ratio) < 0.5)
        return np.where(near, np.log1p(np.where(near, ratio, 0.0)), after - here)

    def _terms(self, y: Array, u: Array, link_power: float) -> tuple[Array, Array]:
        """Return y mu^(1-p-s) and mu^(2-p-s), with u = log(mu) and s = `link_power`."""
        p = self.power + link_power
        return y * np.exp((1.0 - p) * u), np.exp((2.0 - p) * u)

    def _inside(self, eta: Array) -> Array:
        """Return where the mean is one the distribution can have."""
        if self.link == "log" or self.power == 0:
            return np.ones(eta.shape, dtype=bool)
        return eta > 0

    @property
    def _order(self) -> float:
        """Return s: the derivative of log(mu) in eta is mu^-s."""
        return 0.0 if self.link == "log" else 1.0

    def value(self, y: Array, eta: Array) -> Array:
        if self.constant_hessian:
            return 0.5 * np.sum((eta - y) ** 2, axis=-1)
        p, u = self.power, self._log_mean(eta)
        log_mean = eta if self.link == "log" else u
        A, B = self._terms(y, u, 0.0)
        if p == 1:
            out = xlogy(y, y) - y * log_mean - y + B
        elif p == 2:
            out = log_mean - np.log(y) + A - 1.0
        else:
            best = (y if p == 0 else np.maximum(y, 0.0)) ** (2.0 - p) / ((1.0 - p) * (2.0 - p))
            out = best - A / (1.0 - p) + B / (2.0 - p)
        return np.sum(np.where(self._inside(eta), out, np.inf), axis=-1)

    def gradient(self, y: Array, eta: Array) -> Array:
        # dl / d log(mu) = mu^(2-p) - y mu^(1-p); d log(mu) / d eta = mu^-s
        if self.constant_hessian:
            return eta - y
        A, B = self._terms(y, self._log_mean(eta), self._order)
        return B - A

    def expected_hessian(self, y: Array, eta: Array) -> Array:
        # The mean of y is mu: what is left of the second derivative is mu^(2 - p - 2 s).
        return np.exp((2.0 - self.power - 2.0 * self._order) * self._log_mean(eta))

    def hessian(self, y: Array, eta: Array) -> Array:
        # d/deta (mu^b - y mu^a) = mu^-s (b mu^b - a y mu^a), a = 1 - p - s, b = 2 - p - s
        if self.constant_hessian:
            return np.ones_like(eta)
        s = self._order
        A, B = self._terms(y, self._log_mean(eta), 2.0 * s)
        return (2.0 - self.power - s) * B - (1.0 - self.power - s) * A

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        if self.constant_hessian:
            return super().distance_to_bend(y, eta)
        # d/deta of the terms of l'' multiplies each by its exponent and by mu^-s.
        s, u = self._order, self._log_mean(eta)
        a, b = 1.0 - self.power - s, 2.0 - self.power - s
        A, B = self._terms(y, u, 2.0 * s)
        third = np.abs(b * (b - s)) * B + np.abs(a * (a - s) * A)
        second, linear = np.abs(b * B - a * A) * np.exp(s * u), third == 0.0
        return np.where(linear, np.inf, STEADY * second / np.where(linear, 1.0, third))

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        if self.constant_hessian:
            return lambda delta: np.array(delta)
        A, B = self._terms(y, self._log_mean(eta), self._order)
        a, b = 1.0 - self.power - self._order, 2.0 - self.power - self._order

        one_term = self.link == "log" and self.power in (1, 2)  # of Poisson and gamma
        tame = one_term and np.max(np.abs(eta), initial=0.0) < self._bound - TAME

        def change(delta: Array) -> Array:
            if tame and np.max(np.abs(delta), initial=0.0) < TAME:
                sign, size = (1.0, B) if self.power == 1 else (-1.0, -A)
                return in_precision(size, delta.dtype) * np.expm1(sign * delta)
            u = self._rise(eta, delta.astype(np.float64, copy=False))
            return in_precision(B * np.expm1(b * u) - A * np.expm1(a * u), delta.dtype)

        return change

    def curvature_slope(self, y: Array, eta: Array) -> Array:
        # mu and 1 - y / mu under the log link: both grow with the gradient, or fall.
        if self.constant_hessian:
            return np.zeros_like(eta)
        if self.link != "log" or self.power not in (1, 2):
            return super().curvature_slope(y, eta)
        return np.full_like(eta, 1.0 if self.power == 1 else -1.0)

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        if self.constant_hessian:
            return np.sum(delta * ((eta - y) + 0.5 * delta), axis=-1)
        # mu^b -> mu^b (1 + expm1(b u)) with u the change of log(mu)
        p, u = self.power, self._rise(eta, delta)
        A, B = self._terms(y, self._log_mean(eta), 0.0)
        line = delta if self.link == "log" else u
        first = y * line if p == 1 else A * np.expm1((1.0 - p) * u) / (1.0 - p)
        second = line if p == 2 else B * np.expm1((2.0 - p) * u) / (2.0 - p)
        before, after = self._inside(eta), self._inside(eta + delta)
        beyond = np.where(before, np.inf, np.where(after, -np.inf, 0.0))
        return np.sum(np.where(before & after, second - first, beyond), axis=-1)

    def best_constant(self, mean: Array) -> Array:
        return mean if self.link == "identity" else np.log(np.maximum(mean, RARE))

    def best_constant_slope(self, mean: Array, rise: Array) -> Array:
        return rise if self.link == "identity" else rise / mean

    def response(self, eta: Array) -> Array:
        if self.link == "identity":
            return eta
        return np.exp(self._log_mean(eta))

    def response_gradient(self, eta: Array, index: Array) -> Array:
        return np.ones_like(eta) if self.link == "identity" else self.response(eta)

    def is_separated(self, y: Array, eta: Array) -> Array:
        # Without a count mu^(2-p) / (2-p) is left, which falls to 0 with mu.
        if self.link == "identity" or not 1 <= self.power < 2:
            return np.zeros(eta.shape[:-1], dtype=bool)
        return np.all((y == 0) & (eta < 0), axis=-1)
