"""Losses of class probabilities: logistic, one versus the rest, multinomial, exponential, Brier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, log_expit, log_softmax, logit, softmax

from skinfluence.losses.base import (
    RARE,
    Loss,
    encode_labels,
    encode_signs,
    in_precision,
    indicator,
    one_hot,
    pick,
)
from skinfluence.losses.residuals import HalfSquare
from skinfluence.losses.softplus import expit_change, log1pexp, log1pexp_change
from skinfluence.typing import Array

__all__ = ["Brier", "Exponential", "Logistic", "Multinomial"]

LARGEST = 300.0
"""Largest exponent that is taken: exp of twice that is still finite."""


@dataclass(frozen=True, eq=False)
class Logistic(Loss):
    """Logistic loss of each output summed over the outputs, log(1 + exp(eta)) - y eta, y in {0, 1}.

    One output for two classes (positive for ``classes[1]``), otherwise one versus the rest.
    """

    classes: Array
    unit_dispersion = True
    has_probabilities = True
    curvature_scale = curvature_bend = 1.0
    canonical = convex = identical_outputs = True

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return 1 if len(self.classes) == 2 else len(self.classes)

    def encode(self, y: Any) -> Array:
        return indicator(encode_labels(y, self.classes), self.n_outputs)

    def value(self, y: Array, eta: Array) -> Array:
        # log(1 + exp(-m)) for the margin m: no cancellation when a confident row is right.
        return np.sum(log1pexp((1.0 - 2.0 * y) * eta), axis=-1)

    def gradient(self, y: Array, eta: Array) -> Array:
        sign = 1.0 - 2.0 * y
        return sign * expit(sign * eta)

    def hessian(self, y: Array, eta: Array) -> Array:
        return expit(eta) * expit(-eta)

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        return expit_change(eta)

    def curvature_slope(self, y: Array, eta: Array) -> Array:
        return expit(-eta) - expit(eta)

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        sign = 1.0 - 2.0 * y
        rise = log1pexp_change(sign * eta, sign * delta)
        return rise[..., 0] if rise.shape[-1] == 1 else np.sum(rise, axis=-1)

    def best_constant(self, mean: Array) -> Array:
        return logit(np.clip(mean, RARE, 1.0 - RARE))

    def best_constant_slope(self, mean: Array, rise: Array) -> Array:
        return rise / (mean * (1.0 - mean))

    def response(self, eta: Array) -> Array:
        if self.n_outputs == 1:
            return np.concatenate([expit(-eta), expit(eta)], axis=-1)
        # expit / sum(expit), where all of them may underflow
        return softmax(log_expit(eta), axis=-1)

    def response_gradient(self, eta: Array, index: Array) -> Array:
        if self.n_outputs == 1:
            sign = np.where(index[..., None] == 1, 1.0, -1.0)
            return sign * expit(eta) * expit(-eta)
        # P = p / sum(p) and p_k' = p_k (1 - p_k): dP_c / deta_k = P_c (delta_ck - P_k) (1 - p_k)
        P = self.response(eta)
        own = pick(P, index)[..., None]
        return own * (one_hot(index, self.n_outputs) - P) * expit(-eta)

    def is_separated(self, y: Array, eta: Array) -> Array:
        return np.all((2.0 * y - 1.0) * eta > 0, axis=-1)


@dataclass(frozen=True, eq=False)
class Multinomial(Loss):
    """Multinomial logistic loss, log(sum_k exp(eta_k)) - eta_y, one output per class."""

    classes: Array
    unit_dispersion = True
    separable = False
    shift_invariant = True
    has_probabilities = True
    curvature_scale = curvature_bend = 1.0
    canonical = convex = identical_outputs = True

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return len(self.classes)

    def encode(self, y: Any) -> Array:
        return encode_labels(y, self.classes)

    def value(self, y: Array, eta: Array) -> Array:
        return -pick(log_softmax(eta, axis=-1), y)

    def gradient(self, y: Array, eta: Array) -> Array:
        return softmax(eta, axis=-1) - one_hot(y, self.n_outputs)

    def hessian(self, y: Array, eta: Array) -> Array:
        # d2l / deta_k deta_l = p_k (delta_kl - p_l)
        p = softmax(eta, axis=-1)
        G: Array = -p[..., :, None] * p[..., None, :]
        k = np.arange(self.n_outputs)
        G[..., k, k] = p * (1.0 - p)
        return G

    def hessian_product(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        p = softmax(eta, axis=-1)
        return lambda v: p * (v - np.einsum("...k,...k->...", v, p)[..., None])

    def hessian_entries(self, y: Array, eta: Array) -> Callable[[int, int], Array]:
        p = softmax(eta, axis=-1)
        return lambda k, m: p[..., k] * (float(k == m) - p[..., m])

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        p = softmax(eta, axis=-1)

        def change(delta: Array) -> Array:
            # p_k e^(d_k) / sum_l p_l e^(d_l) - p_k
            q, furthest = p.astype(delta.dtype), np.max(np.abs(delta), initial=0.0)
            if furthest > 20.0:  # where e^d may be too large
                far: Array = softmax(eta + delta, axis=-1) - p
                return far.astype(delta.dtype)
            if furthest > 2.0:
                moved: Array = np.exp(delta)
                moved *= q
                moved /= np.einsum("...k->...", moved)[..., None]
                moved -= q
                return moved
            rise = np.expm1(delta)  # before it cancels
            mean = np.einsum("...k,...k->...", rise, q)[..., None]
            rise -= mean
            rise *= q
            rise /= 1.0 + mean
            return rise

        return change

    def curvature_slope(self, y: Array, eta: Array) -> Array:
        return 1.0 - 2.0 * softmax(eta, axis=-1)

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        # lse(eta + d) - lse(eta) = log1p(sum_k p_k expm1(d_k)), while every e^(d_k) is tame; the
        # shift of d by its own component d_y leaves lse - d_y to be computed, without cancelling.
        d = delta - pick(delta, y)[..., None]
        p = softmax(eta, axis=-1)
        if np.max(d, initial=0.0) < 1.0 and np.min(d, initial=0.0) > -1.0:  # nearly everywhere
            return np.log1p(np.einsum("...k,...k->...", np.expm1(d), p))
        near = np.max(np.abs(d), axis=-1) < 1.0
        close = np.log1p(np.sum(p * np.expm1(np.where(near[..., None], d, 0.0)), axis=-1))
        return np.where(near, close, self.value(y, eta + delta) - self.value(y, eta))

    def response_targets(self, y: Array) -> Array:
        return one_hot(y, self.n_outputs)

    def best_constant(self, mean: Array) -> Array:
        log_mean = np.log(np.maximum(mean, RARE / 10.0))  # as scikit-learn holds it there
        return log_mean - np.mean(log_mean, axis=-1, keepdims=True)

    def best_constant_slope(self, mean: Array, rise: Array) -> Array:
        return rise / mean - np.mean(rise / mean, axis=-1, keepdims=True)

    def response(self, eta: Array) -> Array:
        return softmax(eta, axis=-1)

    def response_gradient(self, eta: Array, index: Array) -> Array:
        p = softmax(eta, axis=-1)
        return pick(p, index)[..., None] * (one_hot(index, self.n_outputs) - p)

    def is_separated(self, y: Array, eta: Array) -> Array:
        others = np.where(one_hot(y, self.n_outputs) > 0, -np.inf, eta)
        return pick(eta, y) > np.max(others, axis=-1)


@dataclass(frozen=True, eq=False)
class Exponential(Loss):
    """AdaBoost's loss of two classes, exp(-y eta) with y in {-1, 1}.

    As in ``GradientBoostingClassifier(loss="exponential")``: eta is half the log odds.
    """

    classes: Array
    n_outputs = 1
    has_probabilities = True
    curvature_scale = 1.0
    convex = identical_outputs = True

    def encode(self, y: Any) -> Array:
        return encode_signs(y, self.classes, 1)

    @staticmethod
    def _exponent(y: Array, eta: Array) -> Array:
        return np.clip(-y * eta, -LARGEST, LARGEST)

    def value(self, y: Array, eta: Array) -> Array:
        return np.exp(self._exponent(y, eta))[..., 0]

    def gradient(self, y: Array, eta: Array) -> Array:
        return -y * np.exp(self._exponent(y, eta))

    def hessian(self, y: Array, eta: Array) -> Array:
        return np.exp(self._exponent(y, eta))

    def _growth(self, y: Array, eta: Array, delta: Array) -> Array:
        """Return the change of exp(-y eta), before it cancels."""
        here, after = self._exponent(y, eta), self._exponent(y, eta + delta)
        tame = (np.abs(here) < LARGEST) & (np.abs(after) < LARGEST)
        return np.exp(here) * np.expm1(np.where(tame, -y * delta, after - here))

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        def change(delta: Array) -> Array:
            growth = self._growth(y, eta, delta.astype(np.float64, copy=False))
            return in_precision(-y * growth, delta.dtype)

        return change

    def curvature_slope(self, y: Array, eta: Array) -> Array:
        return np.broadcast_to(-y, np.broadcast_shapes(y.shape, eta.shape))

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        return self._growth(y, eta, delta)[..., 0]

    def response_targets(self, y: Array) -> Array:
        return (y + 1.0) / 2.0

    def best_constant(self, mean: Array) -> Array:
        return 0.5 * logit(np.clip(mean, RARE, 1.0 - RARE))

    def best_constant_slope(self, mean: Array, rise: Array) -> Array:
        return 0.5 * rise / (mean * (1.0 - mean))

    def response(self, eta: Array) -> Array:
        return np.concatenate([expit(-2.0 * eta), expit(2.0 * eta)], axis=-1)

    def response_gradient(self, eta: Array, index: Array) -> Array:
        sign = np.where(index[..., None] == 1, 2.0, -2.0)
        return sign * expit(2.0 * eta) * expit(-2.0 * eta)

    def is_separated(self, y: Array, eta: Array) -> Array:
        return np.all(y * eta > 0, axis=-1)


@dataclass(frozen=True, eq=False)
class Brier(HalfSquare):
    """Half the Brier score, 1/2 sum_k (eta_k - y_k)^2, where eta are the class probabilities.

    One output per class, two of two classes; y is 1 for the class of the row, and 0 elsewhere. The
    loss of forests, whose probabilities may be 0, where the log loss is infinite.

    References
    ----------
    Brier, G. W. (1950). Verification of forecasts expressed in terms of probability. Monthly
    Weather Review 78(1).
    """

    classes: Array
    has_probabilities = True
    targets = ("loss", "predict_proba")

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return len(self.classes)

    def encode(self, y: Any) -> Array:
        return one_hot(encode_labels(y, self.classes), self.n_outputs)

    def decide(self, eta: Array) -> Array:
        return self.classes[np.argmax(eta, axis=-1)]
