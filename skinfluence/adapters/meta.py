"""Adapters of meta-estimators whose parts are fitted side by side on the same features.

Their objectives add up: one linear objective with the outputs of all parts, whose curvature is
block-diagonal.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    HuberRegressor,
    Lasso,
    LassoCV,
    SGDClassifier,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from skinfluence.adapters.registry import (
    adapt,
    check_supported,
    is_smoothed,
    register_adapter,
    write_parameters,
)
from skinfluence.losses import Joint, Loss, OneVsOne, OneVsRest
from skinfluence.objectives import LinearObjective
from skinfluence.objectives.features import as_table
from skinfluence.typing import Array

_NOT_LINEAR = (
    "{name} was given; linear models and kernels are accepted inside a meta-estimator. Wrap its "
    "parts one by one. Networks, trees and forests take several targets, and boosting several "
    "classes, themselves."
)

_WITH_L1 = (ElasticNet, ElasticNetCV, Lasso, LassoCV)


def _check(estimator: Any) -> None:
    name, part = type(estimator).__name__, estimator.estimator
    inside = f"{name} over {type(part).__name__}"
    if isinstance(part, Pipeline):
        raise ValueError(
            f"{name} over a Pipeline was given; its parts would be fitted on other features each. "
            f"Put the transformers in front: make_pipeline(transformer, {name}(model))."
        )
    check_supported(part)
    if isinstance(part, (MLPClassifier, MLPRegressor)):
        raise ValueError(_NOT_LINEAR.format(name=inside))
    if is_classifier(estimator) and not is_classifier(part):
        raise ValueError(
            f"{inside} was given, whose parts are regressors of 0 and 1; classifiers are accepted "
            "as parts. Use RidgeClassifier, or the like, inside."
        )
    share = getattr(part, "l1_ratio", None)
    mixed = getattr(part, "penalty", "elasticnet") in ("elasticnet", "deprecated") and bool(share)
    if isinstance(part, _WITH_L1) or getattr(part, "penalty", None) == "l1" or mixed:
        raise ValueError(
            f"{inside} with an l1 penalty was given; its parts would be nonzero in other "
            "coefficients each, which is not supported. Use an l2 penalty, or wrap the parts one "
            "by one."
        )
    if isinstance(part, HuberRegressor):
        raise ValueError(
            f"{inside} was given, whose scale is a parameter of each part, which is not supported. "
            "Wrap the parts one by one."
        )
    if getattr(part, "class_weight", None) is not None:
        raise ValueError(
            f"{inside}(class_weight={part.class_weight!r}) was given; every part would weigh the "
            "rows in its own way, which is not supported. Use class_weight=None, or wrap the parts "
            "one by one."
        )
    if isinstance(estimator, OneVsOneClassifier) and isinstance(part, SVC):
        raise ValueError(
            f"{inside} was given, whose parts would have features of their own each. Use SVC, "
            "which is one class against one itself."
        )
    if isinstance(estimator, OneVsOneClassifier) and isinstance(part, SGDClassifier):
        raise ValueError(
            f"{inside} was given, whose penalty counts the rows of each pair, which is not "
            "supported. Use OneVsRestClassifier."
        )


def _smoothed(estimator: Any) -> bool:
    return is_smoothed(estimator.estimator)


def _write(estimator: Any, objective: LinearObjective, X: Any) -> bool:
    """Write the parameters of each part, which are consecutive."""
    losses = _parts_of(objective.loss, len(estimator.estimators_))
    first, refitted = 0, False
    for one, loss in zip(estimator.estimators_, losses, strict=True):
        outputs = slice(first, first + loss.n_outputs)
        refitted |= write_parameters(one, objective.outputs(outputs, loss), X)
        first += loss.n_outputs
    return refitted


def _parts_of(loss: Loss, n_parts: int) -> list[Loss]:
    if isinstance(loss, Joint):
        return list(loss.parts)
    return [loss.pair if isinstance(loss, (OneVsOne, OneVsRest)) else loss] * n_parts


@register_adapter(OneVsRestClassifier, check=_check, write=_write, smoothed=_smoothed)
def one_vs_rest(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objectives of each class against the rest, as one."""
    labels = estimator.label_binarizer_.transform(np.asarray(y) if not sparse.issparse(y) else y)
    labels = labels.toarray() if sparse.issparse(labels) else np.asarray(labels)
    parts = []
    for k, one in enumerate(estimator.estimators_):
        if not hasattr(one, "classes_"):
            raise ValueError(
                "OneVsRestClassifier was fitted on rows among which the label "
                f"{estimator.classes_.tolist()[k]!r} is on all or on none, so its part predicts a "
                "constant. Leave that label out."
            )
        parts.append(_part(one, X, labels[:, k], sample_weight))
    pair = _common(estimator, parts)
    if len(parts) == 1:
        return parts[0].with_loss(_of_classes(pair, estimator.classes_), y)
    loss = OneVsRest(pair, estimator.classes_, estimator.multilabel_)
    return _side_by_side(estimator, parts).with_loss(loss, y)


@register_adapter(OneVsOneClassifier, check=_check, write=_write, smoothed=_smoothed)
def one_vs_one(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objectives of each pair of classes, on the rows of these two, as one."""
    X, y = as_table(X), np.asarray(y)
    # Features are those of all rows; each part is fitted on two classes, and adapted over them.
    parts = []
    pairs = combinations(range(len(estimator.classes_)), 2)
    for one, (a, b) in zip(estimator.estimators_, pairs, strict=True):
        rows = np.flatnonzero((y == estimator.classes_[a]) | (y == estimator.classes_[b]))
        part = _part(one, X[rows], (y[rows] == estimator.classes_[b]).astype(int), None)
        parts.append(part.on(X))  # without targets
    pair = _common(estimator, parts)
    if len(parts) == 1:
        return parts[0].with_loss(_of_classes(pair, estimator.classes_), y)
    return _side_by_side(estimator, parts).with_loss(OneVsOne(pair, estimator.classes_), y)


@register_adapter(
    MultiOutputClassifier, MultiOutputRegressor, check=_check, write=_write, smoothed=_smoothed
)
def multi_output(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objectives of each target, as one."""
    Y = np.asarray(y)
    parts = [_part(one, X, Y[:, k], sample_weight) for k, one in enumerate(estimator.estimators_)]
    whole = _side_by_side(estimator, parts)
    return whole.with_loss(Joint(tuple(part.loss for part in parts)), Y)


def _part(one: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    part = adapt(one, X, y, sample_weight)
    if not isinstance(part, LinearObjective):
        raise ValueError(_NOT_LINEAR.format(name=f"{type(one).__name__} inside a meta-estimator"))
    return part


def _common(estimator: Any, parts: list[LinearObjective]) -> Loss:
    """Return the loss of the parts, at one temperature."""
    loss = parts[0].loss
    if loss.temperature is not None:
        loss = loss.at_temperature(float(np.median([p.loss.temperature for p in parts])))
    return loss


def _of_classes(pair: Any, classes: Array) -> Loss:
    loss: Loss = replace(pair, classes=classes)
    return loss


def _side_by_side(estimator: Any, parts: list[LinearObjective]) -> LinearObjective:
    """Return one objective with the parameters of all parts; its loss is still that of one."""
    first = parts[0]
    if any(part.l1 is not None or part.free is not None for part in parts):
        raise ValueError(
            f"The parts of {type(estimator).__name__} have an l1 penalty or fixed parameters, "
            "which is not supported side by side. Wrap the parts one by one."
        )
    for part in parts[1:]:
        same = part.X.shape == first.X.shape and part.fit_intercept == first.fit_intercept
        if same and part.X is not first.X:
            off = abs(part.X - first.X)
            same = float(off.max()) == 0.0 if off.size else True
        if not same or not np.array_equal(part.sample_weight, first.sample_weight):
            raise ValueError(
                f"The parts of {type(estimator).__name__} were fitted on other features or with "
                "other weights each (a Pipeline, kernels or class weights inside), which is not "
                "supported. Put transformers in front of it, or wrap its parts one by one."
            )
    return replace(
        first,
        theta=np.concatenate([part.theta for part in parts]),
        l2=np.concatenate([part.l2 for part in parts]),
    )
