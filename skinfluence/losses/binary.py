"""Several classes by binary losses: one versus one, one versus the rest, several labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy.sparse import issparse

from skinfluence.losses.base import Loss, encode_labels, hand_on, one_hot, pick
from skinfluence.typing import Array

__all__ = ["OneVsOne", "OneVsRest"]


class Binary(Loss):
    """A sum over the outputs of one binary loss, `pair`; a target of NaN leaves an output out."""

    pair: Loss
    classes: Array

    def _take_over(self, **own: bool) -> None:
        if self.pair.classes is None or self.pair.n_outputs != 1:
            raise ValueError(
                f"A pair loss with {self.pair.n_outputs} outputs and classes="
                f"{self.pair.classes!r} was given; a loss of two classes and one output is "
                "accepted. Make one, such as Logistic(np.array([0, 1]))."
            )
        hand_on(self, [self.pair], shift_invariant=False, **own)

    def at_temperature(self, temperature: float) -> Loss:
        return replace(self, pair=self.pair.at_temperature(temperature))  # type: ignore[type-var]

    def _codes(self) -> tuple[float, float]:
        """Return the encoded targets of the negative and the positive class of the pair."""
        negative, positive = np.asarray(self.pair.encode(self.pair.classes), float).ravel()
        return float(negative), float(positive)

    def _inputs(self, y: Array, eta: Array) -> tuple[Array, Array, Array]:
        """Return which outputs count, and targets and raw predictions for the pair loss."""
        counts = ~np.isnan(y)
        return counts, np.where(counts, y, self._codes()[0])[..., None], eta[..., None]

    def value(self, y: Array, eta: Array) -> Array:
        counts, y, eta = self._inputs(y, eta)
        return np.sum(np.where(counts, self.pair.value(y, eta), 0.0), axis=-1)

    def gradient(self, y: Array, eta: Array) -> Array:
        counts, y, eta = self._inputs(y, eta)
        return np.where(counts, self.pair.gradient(y, eta)[..., 0], 0.0)

    def hessian(self, y: Array, eta: Array) -> Array:
        counts, y, eta = self._inputs(y, eta)
        return np.where(counts, self.pair.hessian(y, eta)[..., 0], 0.0)

    def residual(self, y: Array, eta: Array) -> Array:
        counts, y, eta = self._inputs(y, eta)
        return np.where(counts, self.pair.residual(y, eta)[..., 0], 0.0)

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        counts, y, eta = self._inputs(y, eta)
        pair = self.pair.gradient_change(y, eta)

        def change(delta: Array) -> Array:
            return pair(delta[..., None])[..., 0] * counts

        return change

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        counts, y, eta = self._inputs(y, eta)
        rise = self.pair.change(y, eta, delta[..., None])
        return np.sum(np.where(counts, rise, 0.0), axis=-1)

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        counts, y, eta = self._inputs(y, eta)
        return np.where(counts, self.pair.distance_to_bend(y, eta)[..., 0], np.inf)

    def is_separated(self, y: Array, eta: Array) -> Array:
        counts, y, eta = self._inputs(y, eta)
        return np.all(self.pair.is_separated(y, eta) | ~counts, axis=-1)


@dataclass(frozen=True, eq=False)
class OneVsOne(Binary):
    """One binary loss for every pair of classes, summed over the pairs a row belongs to.

    The outputs are the pairs (a, b), a < b, in the order of `itertools.combinations`; the loss is
    positive for b. A row of neither class has the target NaN and no loss there.

    Parameters
    ----------
    pair : Loss
        Of two classes and one output.
    classes : ndarray of shape (n_classes,)
    """

    pair: Loss
    classes: Array
    targets = ("loss",)

    def __post_init__(self) -> None:
        self._take_over(identical_outputs=False)  # a row counts in some outputs only

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return len(self.classes) * (len(self.classes) - 1) // 2

    def output_names(self, targets: Sequence[str]) -> list[str]:
        return [f"{b} vs {a}" for a, b in combinations(self.classes.tolist(), 2)]

    def encode(self, y: Any) -> Array:
        codes = encode_labels(y, self.classes)[:, None]
        negative, positive = self._codes()
        a, b = np.array(list(combinations(range(len(self.classes)), 2))).T
        return np.where(codes == a, negative, np.where(codes == b, positive, np.nan))

    def decide(self, eta: Array) -> Array:
        """Return the class with the most votes; where votes are equal, the surest of them."""
        return self.classes[np.argmax(self.votes(eta), axis=-1)]

    def votes(self, eta: Array) -> Array:
        """Return the votes for every class, with less than one for how sure they are, (..., K)."""
        votes = np.zeros((*eta.shape[:-1], len(self.classes)))
        for k, (a, b) in enumerate(combinations(range(len(self.classes)), 2)):
            raw = eta[..., k]
            sure = raw / (3.0 * (np.abs(raw) + 1.0))  # below 1/3: together less than a vote
            sure /= len(self.classes)
            votes[..., b] += (raw > 0) + sure
            votes[..., a] += (raw <= 0) - sure
        return votes


@dataclass(frozen=True, eq=False)
class OneVsRest(Binary):
    """One binary loss for every class against the rest, summed over the classes.

    Two classes have one output, positive for ``classes[1]``, unless there are several labels a row.

    Parameters
    ----------
    pair : Loss
        Of two classes and one output.
    classes : ndarray of shape (n_classes,)
    multilabel : bool
        Targets are indicator matrices of shape (n_samples, n_classes), dense or sparse.
    """

    pair: Loss
    classes: Array
    multilabel: bool = False

    def __post_init__(self) -> None:
        self._take_over(has_probabilities=self.pair.has_probabilities)

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        return 1 if len(self.classes) == 2 and not self.multilabel else len(self.classes)

    def output_names(self, targets: Sequence[str]) -> list[str]:
        several = self.multilabel and len(targets) == self.n_outputs
        return list(targets) if several else super().output_names(targets)

    def encode(self, y: Any) -> Array:
        negative, positive = self._codes()
        if self.multilabel:
            return np.where(self._indicators(y) == 1, positive, negative)
        codes = encode_labels(y, self.classes)
        if self.n_outputs == 1:
            return np.where(codes == 1, positive, negative)[:, None]
        return np.where(one_hot(codes, self.n_outputs) > 0, positive, negative)

    def decide(self, eta: Array) -> Array:
        if self.multilabel:
            return (eta > 0).astype(int)
        return super().decide(eta)

    def response(self, eta: Array) -> Array:
        """Return the probability of every label, or of every class: their shares of the sum."""
        if not self.has_probabilities:
            return eta
        if self.n_outputs == 1 and not self.multilabel:
            return self.pair.response(eta)
        p = self.pair.response(eta[..., None])[..., 1]
        return p if self.multilabel else p / self._total(p)

    def response_gradient(self, eta: Array, index: Array) -> Array:
        if not self.has_probabilities:
            return super().response_gradient(eta, index)
        if self.n_outputs == 1 and not self.multilabel:
            return self.pair.response_gradient(eta, index)
        each = eta[..., None]
        slope = self.pair.response_gradient(each, np.ones(eta.shape, dtype=int))[..., 0]
        own = one_hot(index, self.n_outputs)
        if self.multilabel:
            return own * slope
        # P = p / s, s = sum(p): dP_c / deta_k = p_k' (delta_ck - P_c) / s
        p = self.pair.response(each)[..., 1]
        total = self._total(p)
        return slope * (own - pick(p / total, index)[..., None]) / total

    @staticmethod
    def _total(p: Array) -> Array:
        return np.maximum(p.sum(axis=-1, keepdims=True), np.finfo(np.float64).tiny)

    def _indicators(self, y: Any) -> Array:
        y = y.toarray() if issparse(y) else np.asarray(y)
        if y.ndim != 2 or y.shape[1] != self.n_outputs:
            raise ValueError(
                f"Labels of shape {y.shape} were given; an indicator matrix of shape (n_samples, "
                f"{self.n_outputs}) is accepted. Use MultiLabelBinarizer with the classes of the "
                "training rows."
            )
        other = [entry for entry in np.unique(y).tolist() if entry not in (0, 1)]
        if other:
            raise ValueError(
                f"An indicator matrix with the entries {other[:5]} was given; 0 and 1 are "
                "accepted. Use MultiLabelBinarizer with the classes of the training rows."
            )
        return y
