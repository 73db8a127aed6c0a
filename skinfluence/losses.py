"""Losses of one raw prediction: value, derivatives, exact change, response.

Conventions
-----------
eta : ndarray of shape (..., K)
    Raw predictions of K outputs (the linear predictor of a linear model).
y : ndarray
    Encoded targets, as `Loss.encode` returns them: shape (..., K) for losses that are a sum over
    the outputs (`separable`), shape (...) of class codes for `Multinomial`. Leading axes broadcast
    against those of `eta`, so that one test target meets many moved predictions.
K : int
    `n_outputs`.

A loss knows nothing of parameters, features, sample weights or penalties. Every function is
pointwise in the leading axes and works in float64.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_softmax, softmax

Array = npt.NDArray[Any]

__all__ = ["HalfSquaredError", "Logistic", "Loss", "Multinomial", "encode_labels"]


def encode_labels(y: Any, classes: Array) -> Array:
    """Return the position of every label of `y` in the sorted `classes`.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
    classes : ndarray of shape (n_classes,)

    Returns
    -------
    ndarray of int, shape (n_samples,)

    Raises
    ------
    ValueError
        If a label is not one of `classes`.
    """
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(
            f"Labels of shape {y.shape} were given; one label per row, shape (n_samples,), is "
            "accepted. Multi-label targets are not supported."
        )
    unseen = [label for label in np.unique(y).tolist() if label not in classes.tolist()]
    if unseen:
        raise ValueError(
            f"The labels {unseen} were never seen in training; the model knows "
            f"{classes.tolist()}. Drop these rows, or pass a target that needs no label."
        )
    codes: Array = np.searchsorted(classes, y)
    return codes


class Loss(ABC):
    """Contract of a loss: a pointwise function of a target and a raw prediction.

    A subclass gives `value`, `gradient` and `hessian`; it overrides `change` where the difference
    of two values would cancel, and `response` where predictions live on another scale.

    Attributes
    ----------
    n_outputs : int
        K, the number of raw predictions of one row.
    classes : ndarray of shape (n_classes,) or None
        Sorted labels of a classification loss.
    separable : bool
        The loss is a sum over the outputs: `hessian` returns its diagonal, shape (..., K), and the
        curvature of a linear model falls into K independent blocks.
    shift_invariant : bool
        Adding one constant to all outputs changes nothing: the rows of `hessian` sum to zero and
        the curvature of a linear model is singular along the common shift.
    constant_hessian : bool
        `hessian` does not depend on eta: one Newton step is exact.
    curvature_scale : float
        Change of a raw prediction over which `hessian` may change by a factor e: the third
        derivative is at most the second over this (generalised self-concordance, Bach 2010,
        doi:10.1214/09-EJS521). Infinite for a constant Hessian.
    canonical : bool
        The expected Hessian (Fisher information) equals the Hessian.
    has_probabilities : bool
        `response` returns class probabilities, shape (..., n_classes).
    """

    n_outputs: int
    classes: Array | None = None
    separable: bool = True
    shift_invariant: bool = False
    constant_hessian: bool = False
    curvature_scale: float = 1.0
    canonical: bool = True
    has_probabilities: bool = False

    @abstractmethod
    def encode(self, y: Any) -> Array:
        """Return targets as this loss wants them; raise ValueError for what it cannot judge."""

    @abstractmethod
    def value(self, y: Array, eta: Array) -> Array:
        """Return the loss, shape (...)."""

    @abstractmethod
    def gradient(self, y: Array, eta: Array) -> Array:
        """Return the first derivative in eta, shape (..., K)."""

    @abstractmethod
    def hessian(self, y: Array, eta: Array) -> Array:
        """Return the second derivative in eta: (..., K) if separable, else (..., K, K)."""

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        """Return the map from delta to gradient(y, eta + delta) - gradient(y, eta).

        Made once and applied often; overridden where the difference would cancel.
        """
        before = self.gradient(y, eta)
        return lambda delta: self.gradient(y, eta + delta) - before

    def hessian_product(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        """Return the map from v to the second derivative times v; v of shape (..., K).

        Made once and applied often; overridden where the product needs no K x K matrix.
        """
        G = self.hessian(y, eta)
        if self.separable:
            return lambda v: G * v
        return lambda v: np.matmul(G, v[..., None])[..., 0]

    def hessian_entries(self, y: Array, eta: Array) -> Callable[[int, int], Array]:
        """Return the map from (k, m) to that entry of the second derivative, shape (...).

        For losses that are not separable; overridden where an entry needs no K x K matrix.
        """
        G = self.hessian(y, eta)
        return lambda k, m: G[..., k, m]

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        """Return value(y, eta + delta) - value(y, eta), accurate for small `delta`."""
        return self.value(y, eta + delta) - self.value(y, eta)

    def response(self, eta: Array) -> Array:
        """Return predictions on the scale of the response; class probabilities if there are any."""
        return eta

    def response_gradient(self, eta: Array, index: Array) -> Array:
        """Return the derivative in eta of ``response(eta)[..., index]``, shape (..., K)."""
        return _one_hot(index, self.n_outputs)

    def recedes(self, y: Array, eta: Array) -> Array:
        """Return, row by row, whether the loss only falls as eta is scaled up without bound."""
        return np.zeros(eta.shape[:-1], dtype=bool)


@dataclass(frozen=True, eq=False)
class HalfSquaredError(Loss):
    """Half the squared error summed over the outputs, 1/2 sum_k (eta_k - y_k)^2.

    With `classes` the targets are -1 and +1, one output per class (one for two classes), as in
    `sklearn.linear_model.RidgeClassifier`.
    """

    n_outputs: int = 1
    classes: Array | None = None
    constant_hessian = True
    curvature_scale = np.inf

    def encode(self, y: Any) -> Array:
        if self.classes is not None:
            return 2.0 * _indicator(encode_labels(y, self.classes), self.n_outputs) - 1.0
        y = np.asarray(y, dtype=np.float64)
        if y.ndim == 1:
            y = y[:, None]
        if y.ndim != 2 or y.shape[1] != self.n_outputs:
            raise ValueError(
                f"Targets of shape {y.shape} were given; the model predicts {self.n_outputs} "
                f"output(s), so shape (n_samples, {self.n_outputs}) is accepted."
            )
        if not np.all(np.isfinite(y)):
            raise ValueError(
                "Targets with NaN or infinity were given; finite numbers are accepted. Drop or "
                "impute these rows."
            )
        out: Array = y
        return out

    def value(self, y: Array, eta: Array) -> Array:
        out: Array = 0.5 * np.sum((eta - y) ** 2, axis=-1)
        return out

    def gradient(self, y: Array, eta: Array) -> Array:
        return eta - y

    def hessian(self, y: Array, eta: Array) -> Array:
        return np.ones_like(eta)

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        return lambda delta: np.array(delta)

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        # The difference of two squares, before it cancels.
        out: Array = np.sum(delta * ((eta - y) + 0.5 * delta), axis=-1)
        return out


@dataclass(frozen=True, eq=False)
class Logistic(Loss):
    """Logistic loss of each output summed over the outputs, log(1 + exp(eta)) - y eta, y in {0, 1}.

    One output for two classes (positive for ``classes[1]``), otherwise one versus the rest.
    """

    classes: Array
    has_probabilities = True

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return 1 if len(self.classes) == 2 else len(self.classes)

    def encode(self, y: Any) -> Array:
        return _indicator(encode_labels(y, self.classes), self.n_outputs)

    def value(self, y: Array, eta: Array) -> Array:
        # log(1 + exp(-m)) for the margin m: no cancellation when a confident row is right.
        out: Array = np.sum(_log1pexp((1.0 - 2.0 * y) * eta), axis=-1)
        return out

    def gradient(self, y: Array, eta: Array) -> Array:
        sign = 1.0 - 2.0 * y
        out: Array = sign * expit(sign * eta)
        return out

    def hessian(self, y: Array, eta: Array) -> Array:
        out: Array = expit(eta) * expit(-eta)
        return out

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        p, q = expit(eta), expit(-eta)
        slope = p * q

        def change(delta: Array) -> Array:
            # For d > 0, expit(eta + d) - p = p q (e^d - 1) / (1 + p (e^d - 1)), where nothing
            # cancels. For d < 0 the same with -d and q. Temporaries are reused: this runs over rows
            # times edits.
            rise = np.abs(delta)
            if np.max(rise, initial=0.0) > 30.0:  # where e^d may overflow, and little is left of p
                above = eta + 0.5 * delta > 0
                far = np.where(above, q - expit(-eta - delta), expit(eta + delta) - p)
                out: Array = far.astype(delta.dtype)
                return out
            np.expm1(rise, out=rise)
            below = np.where(delta > 0, p.astype(delta.dtype), q.astype(delta.dtype))
            below *= rise
            below += 1.0
            rise *= slope.astype(delta.dtype)
            rise /= below
            return np.copysign(rise, delta, out=rise)

        return change

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        # log(1 + e^(z + d)) - log(1 + e^z) = log1p(expit(z) expm1(d)), while e^d is tame.
        sign = 1.0 - 2.0 * y
        z, d = sign * eta, sign * delta
        near = np.abs(d) < 1.0
        with np.errstate(over="ignore", under="ignore"):
            close = np.log1p(expit(z) * np.expm1(np.where(near, d, 0.0)))
        out: Array = np.sum(np.where(near, close, _log1pexp(z + d) - _log1pexp(z)), axis=-1)
        return out

    def response(self, eta: Array) -> Array:
        p = expit(eta)
        if self.n_outputs == 1:
            return np.concatenate([expit(-eta), p], axis=-1)
        out: Array = p / np.sum(p, axis=-1, keepdims=True)
        return out

    def response_gradient(self, eta: Array, index: Array) -> Array:
        slope: Array = expit(eta) * expit(-eta)
        if self.n_outputs == 1:
            sign: Array = np.where(index[..., None] == 1, 1.0, -1.0)
            return sign * slope
        # d(p_c / s) = p_c' / s - p_c p_k' / s^2 with s = sum_k p_k
        p = expit(eta)
        s = np.sum(p, axis=-1, keepdims=True)
        out: Array = slope / s * (_one_hot(index, self.n_outputs) - _pick(p, index)[..., None] / s)
        return out

    def recedes(self, y: Array, eta: Array) -> Array:
        out: Array = np.all((2.0 * y - 1.0) * eta > 0, axis=-1)
        return out


@dataclass(frozen=True, eq=False)
class Multinomial(Loss):
    """Multinomial logistic loss, log(sum_k exp(eta_k)) - eta_y, one output per class."""

    classes: Array
    separable = False
    shift_invariant = True
    has_probabilities = True

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return len(self.classes)

    def encode(self, y: Any) -> Array:
        return encode_labels(y, self.classes)

    def value(self, y: Array, eta: Array) -> Array:
        return -_pick(log_softmax(eta, axis=-1), y)

    def gradient(self, y: Array, eta: Array) -> Array:
        out: Array = softmax(eta, axis=-1) - _one_hot(y, self.n_outputs)
        return out

    def hessian(self, y: Array, eta: Array) -> Array:
        # d2l / deta_k deta_l = p_k (delta_kl - p_l)
        p = softmax(eta, axis=-1)
        G: Array = -p[..., :, None] * p[..., None, :]
        k = np.arange(self.n_outputs)
        G[..., k, k] = p * (1.0 - p)
        return G

    def hessian_product(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        p = softmax(eta, axis=-1)
        return lambda v: p * (v - np.sum(p * v, axis=-1, keepdims=True))

    def hessian_entries(self, y: Array, eta: Array) -> Callable[[int, int], Array]:
        p = softmax(eta, axis=-1)
        return lambda k, m: p[..., k] * (float(k == m) - p[..., m])

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        p = softmax(eta, axis=-1)

        def change(delta: Array) -> Array:
            q = p.astype(delta.dtype)
            if np.max(np.abs(delta), initial=0.0) > 2.0:
                out: Array = softmax(eta + delta, axis=-1) - q
                return out
            # p_k e^(d_k) / sum_l p_l e^(d_l) - p_k, before it cancels.
            rise = np.expm1(delta)
            mean = np.sum(q * rise, axis=-1, keepdims=True)
            rise -= mean
            rise *= q
            rise /= 1.0 + mean
            return rise

        return change

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        # lse(eta + d) - lse(eta) = log1p(sum_k p_k expm1(d_k)), while every e^(d_k) is tame; the
        # shift of d by its own component d_y leaves lse - d_y to be computed, without cancelling.
        d = delta - _pick(delta, y)[..., None]
        near = np.max(np.abs(d), axis=-1) < 1.0
        p = softmax(eta, axis=-1)
        close = np.log1p(np.sum(p * np.expm1(np.where(near[..., None], d, 0.0)), axis=-1))
        if np.all(near):
            out: Array = close
            return out
        return np.where(near, close, self.value(y, eta + delta) - self.value(y, eta))

    def response(self, eta: Array) -> Array:
        p: Array = softmax(eta, axis=-1)
        return p

    def response_gradient(self, eta: Array, index: Array) -> Array:
        p = softmax(eta, axis=-1)
        out: Array = _pick(p, index)[..., None] * (_one_hot(index, self.n_outputs) - p)
        return out

    def recedes(self, y: Array, eta: Array) -> Array:
        others = np.where(_one_hot(y, self.n_outputs) > 0, -np.inf, eta)
        out: Array = _pick(eta, y) > np.max(others, axis=-1)
        return out


def _indicator(codes: Array, n_outputs: int) -> Array:
    """Return 1.0 where a row is of the class of an output (the second class if there is one)."""
    if n_outputs == 1:
        out: Array = (codes == 1).astype(np.float64)[:, None]
        return out
    return _one_hot(codes, n_outputs)


def _one_hot(index: Array, size: int) -> Array:
    """Return 1.0 at `index` along a new last axis of length `size`, else 0.0."""
    hot: Array = (np.asarray(index)[..., None] == np.arange(size)).astype(np.float64)
    return hot


def _pick(values: Array, y: Array) -> Array:
    """Return values[..., y], with y broadcast against the leading axes of `values`."""
    y = np.broadcast_to(y, values.shape[:-1])
    return np.take_along_axis(values, y[..., None], axis=-1)[..., 0]


def _log1pexp(z: Array) -> Array:
    """Return log(1 + exp(z)) without overflow."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))
