"""Adapters of stochastic gradient descent, at the stationary point it is on its way to.

sum_i s_i l_i / n + alpha R, n the number of rows (not of their weights): in the sum form penalties
count n times, and every row that leaves takes alpha of that along.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import SGDClassifier, SGDRegressor

from skinfluence.adapters.class_weights import (
    class_weighted,
    refuse_weights_against_the_rest,
    row_weights,
)
from skinfluence.adapters.registry import register_adapter
from skinfluence.adapters.svm import default_temperature
from skinfluence.losses import (
    HalfSquaredError,
    Huber,
    Logistic,
    Loss,
    ModifiedHuber,
    SmoothEpsilonInsensitive,
    SmoothHinge,
    SquaredEpsilonInsensitive,
    SquaredHinge,
)
from skinfluence.objectives import Averaged, LinearObjective, Weighting
from skinfluence.typing import Array

_MARGINS: dict[str, Callable[[Array], Loss]] = {
    "log_loss": Logistic,
    "modified_huber": ModifiedHuber,
    "squared_hinge": SquaredHinge,
}
_SMOOTHED = ("hinge", "epsilon_insensitive")


def _check(estimator: Any) -> None:
    name = type(estimator).__name__
    if estimator.loss == "perceptron":
        raise ValueError(
            f"{name}(loss='perceptron') was given; it is satisfied by any separating plane and has "
            "no optimum to differentiate. Use loss='hinge'."
        )
    if estimator.learning_rate in ("pa1", "pa2"):
        raise ValueError(
            f"{name}(learning_rate={estimator.learning_rate!r}) was given; passive-aggressive "
            "steps depend on the order of the rows and minimise nothing. Use another one."
        )
    if estimator.early_stopping:
        raise ValueError(
            f"{name}(early_stopping=True) was given; it holds some rows out of the fit, at random, "
            "and does not say which. Use early_stopping=False."
        )


def _is_smoothed(estimator: Any) -> bool:
    return estimator.loss in _SMOOTHED


def _residual_loss(estimator: Any, residuals: Array, n_outputs: int, classes: Any) -> Loss:
    if estimator.loss == "squared_error":
        return HalfSquaredError(n_outputs, classes)
    if estimator.loss == "huber":
        return Huber(estimator.epsilon, n_outputs, classes)
    if estimator.loss == "squared_epsilon_insensitive":
        return SquaredEpsilonInsensitive(estimator.epsilon, n_outputs, classes)
    t = default_temperature(residuals)
    return SmoothEpsilonInsensitive(estimator.epsilon, t, n_outputs, classes)


def _objective(
    estimator: Any, X: Any, y: Any, loss: Loss, w: Array, weighting: Weighting
) -> LinearObjective:
    share = {None: 0.0, "l2": 0.0, "l1": 1.0, "elasticnet": estimator.l1_ratio}[estimator.penalty]
    penalty = 0.0 if estimator.penalty is None else estimator.alpha * len(w)
    return LinearObjective.from_coefficients(
        X,
        y,
        loss,
        estimator.coef_,
        estimator.intercept_ if estimator.fit_intercept else None,
        l2=(1.0 - share) * penalty,
        l1=share * penalty,
        sample_weight=w,
        weighting=weighting,
    )


@register_adapter(SGDClassifier, check=_check, smoothed=_is_smoothed)
def sgd_classifier(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a classifier fitted by stochastic gradient descent."""
    refuse_weights_against_the_rest(estimator)
    return class_weighted(estimator, X, y, sample_weight, _classifier, by_rows=True)


def _classifier(
    estimator: Any, X: Any, y: Any, w: Array, weighting: Weighting | None
) -> LinearObjective:
    classes = estimator.classes_
    raw = estimator.decision_function(X)
    if estimator.loss in _MARGINS:
        loss = _MARGINS[estimator.loss](classes)
    elif estimator.loss == "hinge":
        loss = SmoothHinge(classes, default_temperature(raw))
    else:
        loss = _residual_loss(estimator, np.abs(raw) - 1.0, estimator.coef_.shape[0], classes)
    ones = np.ones(len(w))
    mean = Averaged.of_all(ones)
    if isinstance(weighting, Averaged):  # n / (n_classes n_c) / n: the count of all rows cancels
        mean = Averaged(weighting.codes, ones)
    return _objective(estimator, X, y, loss, w, mean)


@register_adapter(SGDRegressor, check=_check, smoothed=_is_smoothed)
def sgd_regressor(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a regressor fitted by stochastic gradient descent."""
    w = row_weights(sample_weight, len(np.asarray(y)))
    loss = _residual_loss(estimator, estimator.predict(X) - np.ravel(y), 1, None)
    return _objective(estimator, X, y, loss, w, Averaged.of_all(np.ones(len(w))))
