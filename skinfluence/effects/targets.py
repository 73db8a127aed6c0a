"""Quantities of test rows: their loss, raw prediction or response.

A target is a function of the raw predictions eta of test rows. First order takes its linear part;
the other methods evaluate it at the moved predictions, as an accurate difference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from skinfluence.losses import Loss, encode_labels
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.process.blocks import row_blocks
from skinfluence.process.tuning import tuning
from skinfluence.typing import Array

CLASSIFIER_TARGETS = ("loss", "decision_function", "predict_proba")
REGRESSOR_TARGETS = ("loss", "predict", "linear_predictor")


class Target(ABC):
    """A quantity of test rows, by its values and derivatives in the raw predictions.

    eta : shape (n_test, K).  delta : changes of eta, shape (n_test, m, K).
    """

    @abstractmethod
    def value(self) -> Array:
        """Return the quantity, shape (n_test,)."""

    @abstractmethod
    def gradient(self) -> Array:
        """Return its derivative in eta, shape (n_test, K)."""

    @abstractmethod
    def change(self, delta: Array) -> Array:
        """Return the quantity at eta + delta minus that at eta, shape (n_test, m)."""


@dataclass(frozen=True, eq=False)
class LossTarget(Target):
    """The loss of each test row."""

    loss: Loss
    y: Array
    eta: Array

    def value(self) -> Array:
        return self.loss.value(self.y, self.eta)

    def gradient(self) -> Array:
        return self.loss.gradient(self.y, self.eta)

    def change(self, delta: Array) -> Array:
        return self.loss.change(self.y[:, None], self.eta[:, None], delta)


@dataclass(frozen=True, eq=False)
class RawTarget(Target):
    """One raw prediction of each test row: eta[t, index[t]]."""

    eta: Array
    index: Array

    def value(self) -> Array:
        return np.take_along_axis(self.eta, self.index[:, None], axis=1)[:, 0]

    def gradient(self) -> Array:
        return (self.index[:, None] == np.arange(self.eta.shape[1])).astype(np.float64)

    def change(self, delta: Array) -> Array:
        return np.take_along_axis(delta, self.index[:, None, None], axis=2)[:, :, 0]


@dataclass(frozen=True, eq=False)
class ResponseTarget(Target):
    """One entry of the response of each test row: a class probability, or the predicted mean."""

    loss: Loss
    eta: Array
    index: Array

    def value(self) -> Array:
        return np.take_along_axis(self.loss.response(self.eta), self.index[:, None], axis=1)[:, 0]

    def gradient(self) -> Array:
        return self.loss.response_gradient(self.eta, self.index)

    def change(self, delta: Array) -> Array:
        moved = self.loss.response(self.eta[:, None] + delta)
        picked = np.take_along_axis(moved, self.index[:, None, None], axis=2)[:, :, 0]
        return picked - self.value()[:, None]


def change_in_pieces(target: Target, delta: Array, out: Array | None = None) -> Array:
    """Return ``target.change(delta)``, shape (n_test, m), some columns at a time.

    A change is many passes over its temporaries: in memory each would cost more than its
    arithmetic. Written into `out` if given.
    """
    n_test, m, n_outputs = delta.shape
    if out is None:
        out = np.empty((m, n_test)).T
    for piece in row_blocks(m, n_test * n_outputs, tuning().target_elements):
        out[:, piece] = target.change(delta[:, piece])
    return out


def check_target(name: str, objective: Objective) -> None:
    """Raise ValueError for a target the model does not have."""
    if not isinstance(objective, OutputObjective):
        accepted: tuple[str, ...] = ("loss",)
    elif objective.loss.targets is not None:
        accepted = objective.loss.targets
    elif objective.loss.classes is None and not objective.loss.multilabel:
        accepted = REGRESSOR_TARGETS
    elif objective.loss.has_probabilities:
        accepted = CLASSIFIER_TARGETS
    else:
        accepted = CLASSIFIER_TARGETS[:2]
    if name not in accepted:
        own = isinstance(objective, OutputObjective) and objective.loss.targets is not None
        why = " Its raw predictions are not one decision value for each class." if own else ""
        raise ValueError(
            f"target={name!r} was given; this model has the targets {accepted}.{why} Pass one of "
            "them."
        )


def target_of(name: str, test: OutputObjective, y: Any | None, output: int | None) -> Target:
    """Return the target `name` of some test rows.

    Parameters
    ----------
    name : str
        One that `check_target` accepts.
    test : OutputObjective
        Over the test rows.
    y : array-like or None
        Their labels, which choose the class; None chooses the predicted class.
    output : int or None
        The output of a model with several; binary decisions are always those of ``classes[1]``.
    """
    eta = test.raw_predictions()
    loss = test.loss
    if name == "loss":
        return LossTarget(loss, test.targets, eta)
    if loss.classes is None or loss.multilabel:
        index = _output_index(output, loss.n_responses, len(eta))
    elif name == "decision_function" and loss.n_outputs == 1:
        index = np.zeros(len(eta), dtype=int)
    else:
        index = encode_labels(loss.decide(eta) if y is None else y, loss.classes)
    if name in ("decision_function", "linear_predictor"):
        return RawTarget(eta, index)
    return ResponseTarget(loss, eta, index)


def target_gradients(test: Objective, target: Target | None) -> Array:
    """Return the gradient in theta of the target of each test row, shape (n_params, n_test).

    Without a target, that of the loss of an objective without raw predictions.
    """
    if target is None:
        return test.weighted_grad_sum(np.eye(test.n_samples))
    assert isinstance(test, OutputObjective)
    return test.jacobian_t_rows(target.gradient())


def _output_index(output: int | None, n_outputs: int, n_test: int) -> Array:
    if output is None and n_outputs > 1:
        raise ValueError(
            f"The model has {n_outputs} outputs; say which one the target is of, "
            f"output=0 to {n_outputs - 1}."
        )
    index = 0 if output is None else output
    if not -n_outputs <= index < n_outputs:
        raise ValueError(
            f"output={output!r} was given; the model has the outputs 0 to {n_outputs - 1}."
        )
    return np.full(n_test, index % n_outputs)
