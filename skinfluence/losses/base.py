"""The contract of a loss, and the encoding of targets.

Conventions
-----------
eta : ndarray of shape (..., K)
    Raw predictions of K outputs (the linear predictor of a linear model).
y : ndarray
    Encoded targets, as `Loss.encode` returns them: shape (..., K) for losses that are a sum over
    the outputs (`separable`), shape (...) for `Multinomial` (class codes) and `ConcomitantHuber`,
    shape (..., target_width) for losses composed of others. Leading axes broadcast against those of
    `eta`, so that one test target meets many moved predictions.
K : int
    `n_outputs`.

A loss knows nothing of parameters, features, sample weights or penalties. Every function is
pointwise in the leading axes and works in float64; only `Loss.gradient_change` keeps the precision
of the changes it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from skinfluence.losses.softplus import VANISHES
from skinfluence.typing import Array

__all__ = ["Loss", "encode_labels"]


RARE = 10.0 * float(np.finfo(np.float64).eps)
"""Share of rows below which no class, and mean below which no positive target, is taken to be."""

STEADY = 0.25
"""Logarithm of the factor up to which a second derivative is said to stay as it is."""


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
    return np.searchsorted(classes, y)


def encode_signs(y: Any, classes: Array, n_outputs: int) -> Array:
    """Return +1.0 where a row is of the class of an output, else -1.0, shape (n, n_outputs)."""
    return 2.0 * indicator(encode_labels(y, classes), n_outputs) - 1.0


def encode_numbers(y: Any, n_outputs: int) -> Array:
    """Return finite numbers of shape (n_samples, n_outputs).

    Raises
    ------
    ValueError
        If the shape is another, or a target is not finite.
    """
    y = np.asarray(y, dtype=np.float64)
    if y.ndim == 1:
        y = y[:, None]
    if y.ndim != 2 or y.shape[1] != n_outputs:
        raise ValueError(
            f"Targets of shape {y.shape} were given; the model predicts {n_outputs} "
            f"output(s), so shape (n_samples, {n_outputs}) is accepted."
        )
    if not np.all(np.isfinite(y)):
        raise ValueError(
            "Targets with NaN or infinity were given; finite numbers are accepted. Drop or "
            "impute these rows."
        )
    return y


def check_temperature(temperature: Any) -> None:
    """Raise ValueError for a temperature that smooths nothing."""
    if temperature is None or not 0.0 < temperature < np.inf:
        raise ValueError(
            f"temperature={temperature!r} was given; a positive number is accepted, in units of "
            "the raw prediction. Try .01."
        )


class Loss(ABC):
    """Contract of a loss: a pointwise function of a target and a raw prediction.

    A subclass gives `n_outputs`, `encode`, `value`, `gradient` and `hessian`; it overrides `change`
    where the difference of two values would cancel, and `response` where predictions live on
    another scale. That is enough for right numbers.

    What else is true of it are promises, `PROMISES`: not checked, and none is made unless a class
    states it. Each buys time, and a false one costs right numbers. A loss composed of others makes
    the promises of its parts (`hand_on`).

    Attributes
    ----------
    n_outputs : int
        K, the number of raw predictions of one row.
    classes : ndarray of shape (n_classes,) or None
        Sorted labels of a classification loss.
    separable : bool
        The loss is a sum over the outputs: `hessian` returns its diagonal, shape (..., K), and the
        curvature of a linear model falls into K independent blocks. The one attribute of these that
        is True unless stated: it says which shape `hessian` has, which a loss of one output, (...,
        1), and elementwise formulas get right by themselves, and the other shape does not fit.
    shift_invariant : bool
        Adding one constant to all outputs changes nothing: the rows of `hessian` sum to zero and
        the curvature of a linear model is singular along the common shift.
    constant_hessian : bool
        `hessian` does not depend on eta: one Newton step is exact.
    curvature_scale : float or None
        Change of a raw prediction over which `hessian` may change by a factor e, at most: the third
        derivative is at most the second over this (generalised self-concordance, Bach 2010,
        doi:10.1214/09-EJS521). Infinite for a constant Hessian. Newton steps that move no row far
        in this unit are trusted without a look at where they end, and exact minima are certified
        a step earlier. None where there is no such bound, as for losses with bends.
    curvature_bend : float
        See `curvature_slope`.
    canonical : bool
        The expected Hessian (Fisher information) equals the Hessian: `curvature="fisher"` is known.
    unit_dispersion : bool
        Minus the log-likelihood of a distribution whose mean alone says how far targets scatter
        (binomial, multinomial, Poisson): the dispersion of `diagnostics` is 1 and not estimated.
    has_probabilities : bool
        `response` returns class probabilities, shape (..., n_classes).
    identical_outputs : bool
        Every output has the same loss, whatever its target: a constant Hessian is the same for all
        of them, and is factorised once.
    convex : bool
        `hessian` is positive semidefinite at every eta: it has square roots and preconditioners.
    temperature : float or None
        The width over which a smoothed loss is smooth; None for the others.
    targets : tuple of str or None
        The only targets that make sense, where they are not the usual ones of a classifier (with
        `classes`) or a regressor; else None.
    multilabel : bool
        Several labels a row: decisions and probabilities are of an output each, not of classes
        that exclude each other. An output of two classes has the probability of the second.
    """

    n_outputs: int
    classes: Array | None = None
    separable: bool = True
    shift_invariant: bool = False
    constant_hessian: bool = False
    curvature_scale: float | None = None
    curvature_bend: float = 0.0
    canonical: bool = False
    unit_dispersion: bool = False
    has_probabilities: bool = False
    identical_outputs: bool = False
    convex: bool = False
    temperature: float | None = None
    targets: tuple[str, ...] | None = None
    multilabel: bool = False

    @property
    def n_responses(self) -> int:
        """Return the number of outputs a user sees in the predictions of a regressor."""
        return self.n_outputs

    def output_names(self, targets: Sequence[str]) -> list[str]:
        """Return what each raw prediction is of: a class, or a target by its name.

        Parameters
        ----------
        targets : sequence of str
            Names of the columns of y.
        """
        if self.classes is not None and self.n_outputs == len(self.classes):
            return [str(label) for label in self.classes.tolist()]
        if len(targets) == self.n_outputs:
            return list(targets)
        return [f"output {k}" for k in range(self.n_outputs)]

    @property
    def target_width(self) -> int:
        """Return the length of the last axis of encoded targets; 0 where they have none of K."""
        return self.n_outputs if self.separable else 0

    def at_temperature(self, temperature: float) -> Loss:
        """Return the same loss at another temperature.

        Raises
        ------
        TypeError
            If the loss is not a smoothed one.
        """
        raise TypeError(
            f"A temperature was given for {type(self).__name__}, which has none; SmoothHinge, "
            "SmoothEpsilonInsensitive and losses composed of them are accepted. Leave temperature "
            "at None."
        )

    def shift_groups(self) -> list[slice]:
        """Return the groups of outputs along whose common shift the loss does not change."""
        return [slice(0, self.n_outputs)] if self.shift_invariant else []

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

    def hessian_diagonal(self, y: Array, eta: Array) -> Array:
        """Return the diagonal of `hessian`, shape (..., K)."""
        G = self.hessian(y, eta)
        return G if self.separable else np.diagonal(G, axis1=-2, axis2=-1)

    def curvature_slope(self, y: Array, eta: Array) -> Array:
        """Return r, shape (..., K): how the diagonal of `hessian` follows the gradient.

        As the gradient changes by d, the diagonal changes by d (r - curvature_bend d), exactly.
        """
        raise NotImplementedError(
            f"The third derivative of {type(self).__name__} was asked for, which it does not have; "
            "squared, logistic, multinomial, exponential, Poisson and gamma losses do. Write "
            "curvature_slope(y, eta)."
        )

    def expected_hessian(self, y: Array, eta: Array) -> Array | None:
        """Return the mean of the diagonal of `hessian` over targets as the model expects them.

        Shape (..., K). None for a loss that is no likelihood, which expects no targets.
        """
        if not self.canonical:
            return None
        return self.hessian_diagonal(y, eta)

    def residual(self, y: Array, eta: Array) -> Array:
        """Return minus the gradient, as it would be if the loss were not flat for outliers.

        Shape (..., K). Overridden where a loss clips the gradient.
        """
        return -self.gradient(y, eta)

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

        Overridden where an entry needs no K x K matrix.
        """
        G = self.hessian(y, eta)
        if self.separable:
            return lambda k, m: G[..., k] if k == m else np.zeros(G.shape[:-1])
        return lambda k, m: G[..., k, m]

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        """Return value(y, eta + delta) - value(y, eta), accurate for small `delta`."""
        return self.value(y, eta + delta) - self.value(y, eta)

    def why_no_minimum(self, y: Array, eta: Array) -> str | None:
        """Return why no minimum was found from here, where the loss knows; asked after a failure.

        Parameters
        ----------
        y, eta : ndarray
            Of all rows.
        """
        return None

    def response(self, eta: Array) -> Array:
        """Return predictions on the scale of the response; class probabilities if there are any."""
        return eta

    def response_targets(self, y: Array) -> Array:
        """Return targets on the scale of the response, of classes frequencies, shape (..., K)."""
        return y

    def best_constant(self, mean: Array) -> Array:
        """Return the raw predictions that are best for all rows alike, shape (..., K).

        Parameters
        ----------
        mean : ndarray of shape (..., K)
            Of the `response_targets` of the rows. Where a class has none, or targets are all 0, it
            is held to be `RARE`, as scikit-learn does.
        """
        raise NotImplementedError(
            f"The best constant of {type(self).__name__} was asked for, which it does not have; "
            "squared, logistic, multinomial, exponential and Tweedie losses do."
        )

    def best_constant_slope(self, mean: Array, rise: Array) -> Array:
        """Return what `best_constant` moves by, to first order, as the mean does by `rise`."""
        raise NotImplementedError(
            f"{type(self).__name__} has no best_constant_slope; losses with a best_constant do."
        )

    def given_probabilities(self, y: Any, eta: Array) -> Array:
        """Return the probability of the given labels, in their shape."""
        p = self.response(eta)
        if self.multilabel:
            return np.where(np.asarray(y) == 1, p, 1.0 - p)
        assert self.classes is not None
        own: Array = p[np.arange(len(p)), encode_labels(y, self.classes)]
        return own

    def response_gradient(self, eta: Array, index: Array) -> Array:
        """Return the derivative in eta of ``response(eta)[..., index]``, shape (..., K)."""
        return one_hot(index, self.n_outputs)

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        """Return how far each raw prediction may move while `hessian` stays, shape (..., K).

        As it is where it is constant in pieces, elsewhere within a factor e^STEADY. 0 where nothing
        is known: the row is always looked at.
        """
        return np.full(eta.shape, STEADY * (self.curvature_scale or 0.0))

    def decide(self, eta: Array) -> Array:
        """Return the labels that raw predictions speak for, shape (...); needs `classes`."""
        assert self.classes is not None
        single = eta.shape[-1] == 1
        codes = (eta[..., 0] > 0).astype(int) if single else np.argmax(eta, axis=-1)
        return self.classes[codes]

    def is_separated(self, y: Array, eta: Array) -> Array:
        """Return, row by row, whether the loss only falls as eta is scaled up without bound."""
        return np.zeros(eta.shape[:-1], dtype=bool)


PROMISES = (
    "unit_dispersion",
    "shift_invariant",
    "constant_hessian",
    "canonical",
    "identical_outputs",
    "convex",
)
"""What a loss promises besides its `curvature_scale`; False unless stated."""


def hand_on(composed: Loss, parts: Sequence[Loss], **own: Any) -> None:
    """Give a loss composed of others what is true of it because it is of all its parts.

    A promise that one part does not make is not made; a scale that one does not know is unknown.

    Parameters
    ----------
    composed : Loss
        A frozen dataclass, in its ``__post_init__``.
    parts : sequence of Loss
    **own : Any
        What the way they are composed says, in place of what the parts do.
    """
    scales = [part.curvature_scale for part in parts]
    known = [scale for scale in scales if scale is not None]
    temperatures = [part.temperature for part in parts if part.temperature is not None]
    attributes: dict[str, Any] = {
        name: all(getattr(part, name) for part in parts) for name in PROMISES
    }
    attributes["curvature_scale"] = min(known) if len(known) == len(parts) else None
    attributes["temperature"] = min(temperatures) if temperatures else None
    for name, value in (attributes | own).items():
        object.__setattr__(composed, name, value)


class Smoothed(Loss):
    """A loss with bends of the width `temperature`, a field of its dataclass."""

    temperature: float
    convex = True

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    @property
    def curvature_scale(self) -> float:  # type: ignore[override]
        return self.temperature

    def beyond_bend(self, distance: Array) -> Array:
        """Return the room that rows have at a distance from the middle of the next bend."""
        least, width = STEADY * self.temperature, VANISHES * self.temperature
        return np.maximum(distance - width, least)

    def at_temperature(self, temperature: float) -> Loss:
        moved: Loss = replace(self, temperature=temperature)  # type: ignore[type-var]
        return moved


def indicator(codes: Array, n_outputs: int) -> Array:
    """Return 1.0 where a row is of the class of an output (the second class if there is one)."""
    if n_outputs == 1:
        return (codes == 1).astype(np.float64)[:, None]
    return one_hot(codes, n_outputs)


def one_hot(index: Array, size: int) -> Array:
    """Return 1.0 at `index` along a new last axis of length `size`, else 0.0."""
    return (np.asarray(index)[..., None] == np.arange(size)).astype(np.float64)


def pick(values: Array, y: Array) -> Array:
    """Return values[..., y], with y broadcast against the leading axes of `values`."""
    y = np.broadcast_to(y, values.shape[:-1])
    return np.take_along_axis(values, y[..., None], axis=-1)[..., 0]


def in_precision(values: Array, dtype: Any) -> Array:
    """Return `values` in `dtype`, the largest number in place of what overflows."""
    if np.dtype(dtype) == np.float64:
        return values
    most = np.finfo(dtype).max
    return np.clip(values, -most, most).astype(dtype)
