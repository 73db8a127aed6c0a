"""Adapters of gradient boosting: leaves are steps of Newton's method, stage after stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.base import is_classifier
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from skinfluence.adapters.class_weights import row_weights
from skinfluence.adapters.registry import register_adapter
from skinfluence.adapters.trees import (
    FittedRows,
    Places,
    TreeSplits,
    has_seed,
    keep_rows,
    largest_error,
    precision_of,
    refuse_medians,
    rows_kept,
    rows_trained_on,
    values_of,
    verified,
    warm_started,
    write_values,
)
from skinfluence.losses import (
    Exponential,
    HalfSquaredError,
    Logistic,
    Loss,
    Multinomial,
    encode_labels,
)
from skinfluence.objectives import Objective
from skinfluence.objectives.boosting import BoostingObjective, ClassBoostingObjective
from skinfluence.objectives.leaves import as_table
from skinfluence.typing import Array

LOSSES = ("squared_error", "log_loss", "exponential")
LARGEST_SEED = np.iinfo(np.int32).max
"""What scikit-learn's trees draw their own seed below."""


def _check(estimator: Any) -> None:
    name = type(estimator).__name__
    refuse_medians(name, estimator.loss, LOSSES, "'squared_error'")
    if estimator.init is not None and estimator.init != "zero":
        raise ValueError(
            f"{name}(init={type(estimator.init).__name__}()) was given; what that estimator would "
            "predict without a row is not known here. Use init=None or init='zero', and subtract "
            "its predictions from the targets beforehand."
        )
    if estimator.subsample < 1.0 and not has_seed(estimator):
        raise ValueError(
            f"{name}(subsample={estimator.subsample!r}, random_state={estimator.random_state!r}) "
            "was given; which rows each stage drew cannot be drawn again. Pass an integer "
            "random_state, or subsample=1.0."
        )
    if estimator.n_iter_no_change is not None and not has_seed(estimator):
        raise ValueError(
            f"{name}(n_iter_no_change={estimator.n_iter_no_change!r}, "
            f"random_state={estimator.random_state!r}) was given; it holds some rows out of the "
            "fit, at random, and does not say which. Pass an integer random_state, or "
            "n_iter_no_change=None."
        )


def _loss_of(estimator: Any) -> Loss:
    if not is_classifier(estimator):
        return HalfSquaredError()
    if estimator.loss == "exponential":
        return Exponential(estimator.classes_)
    logistic = Logistic if len(estimator.classes_) == 2 else Multinomial
    return logistic(estimator.classes_)


# ------------------------------------------------------------------------------- rows of each stage


def _possible_rows(estimator: Any, y: Array, s: Array) -> Iterator[FittedRows]:
    """Yield what the rows weighed, 0 if held out, and in which stages they took part."""
    n_samples, rows = len(y), np.arange(len(y))
    if estimator.n_iter_no_change is not None:
        codes = encode_labels(y, estimator.classes_) if is_classifier(estimator) else None
        fraction, seed = estimator.validation_fraction, estimator.random_state
        rows = rows_trained_on(n_samples, fraction, seed, codes)
    trained = np.zeros(n_samples)
    trained[rows] = 1.0
    masks = None
    if estimator.subsample < 1.0:
        masks = np.zeros((n_samples, len(estimator.estimators_)), dtype=bool)
        masks[rows] = drawn_in_stages(estimator, len(rows))
    yield FittedRows(estimator.estimators_, s * trained, masks)


def drawn_in_stages(estimator: Any, n_samples: int) -> Array:
    """Return which rows each stage drew, drawn again from the seed, (n_samples, n_stages)."""
    random = np.random.RandomState(estimator.random_state)
    n_stages, n_trees = estimator.estimators_.shape
    masks = np.zeros((n_samples, n_stages), dtype=bool)
    for stage in range(n_stages):
        masks[:, stage] = _sample(random, n_samples, max(1, int(estimator.subsample * n_samples)))
        for _ in range(n_trees):
            random.randint(0, LARGEST_SEED)  # each tree draws its own seed from the same stream
    return masks


def _sample(random: np.random.RandomState, n_samples: int, n_drawn: int) -> Array:
    """Return a sample without replacement as scikit-learn draws it, bool of shape (n_samples,)."""
    mask, drawn = np.zeros(n_samples, dtype=bool), 0
    for i, chance in enumerate(random.uniform(size=n_samples).tolist()):
        if chance * (n_samples - i) < n_drawn - drawn:
            mask[i] = True
            drawn += 1
    return mask


# --------------------------------------------------------------------------- initial predictions


def _initial(estimator: Any, objective: BoostingObjective) -> Array:
    """Return the raw predictions before the first stage, shape (K,)."""
    if estimator.init == "zero":
        return np.zeros(objective.n_outputs)
    if not is_classifier(estimator):
        return np.ravel(estimator.init_.constant_)
    eps = np.finfo(np.float64).eps
    prior = np.clip(estimator.init_.class_prior_, eps, 1.0 - eps)
    return objective.loss.best_constant(prior[1:] if objective.n_outputs == 1 else prior)


def _write_initial(estimator: Any, objective: BoostingObjective) -> None:
    initial = objective.initial
    if estimator.init == "zero":
        return
    if not is_classifier(estimator):
        estimator.init_.constant_ = initial[None]
    elif objective.n_outputs > 1:
        estimator.init_.class_prior_ = softmax(initial)
    else:
        odds = 2.0 * initial if isinstance(objective.loss, Exponential) else initial
        estimator.init_.class_prior_ = np.concatenate([expit(-odds), expit(odds)])


# ------------------------------------------------------------------------------------ the adapter


def _trees_of(estimator: Any) -> list[Any]:
    return list(estimator.estimators_.ravel())


def _write(estimator: Any, objective: Objective, X: Any) -> None:
    assert isinstance(objective, BoostingObjective)
    trees = _trees_of(estimator)
    write_values(trees, [Places.of(tree) for tree in trees], objective)
    _write_initial(estimator, objective)
    keep_rows(
        estimator, FittedRows(estimator.estimators_, objective.sample_weight, objective.masks)
    )


def boosting_of(loss: Loss, **given: Any) -> BoostingObjective:
    """Return the objective of boosting under a loss, of several classes where it has some."""
    kind = ClassBoostingObjective if isinstance(loss, Multinomial) else BoostingObjective
    return kind(loss=loss, **given)


@register_adapter(GradientBoostingClassifier, GradientBoostingRegressor, check=_check, write=_write)
def gradient_boosting(estimator: Any, X: Any, y: Any, sample_weight: Any) -> BoostingObjective:
    """Return the objective of gradient boosting."""
    X, y = as_table(X), np.ravel(y)
    trees, loss = _trees_of(estimator), _loss_of(estimator)
    splits = TreeSplits.of(trees)
    values = values_of(trees, [Places.of(tree) for tree in trees], 1)
    s = row_weights(sample_weight, len(y))
    K = loss.n_outputs
    objective = boosting_of(
        loss,
        splits=splits,
        X=X,
        leaves=splits.leaves(X),
        y=loss.encode(y),
        theta=np.concatenate([np.zeros(K), values.ravel()]),
        sample_weight=s,
        precision=precision_of(X),
        rate=float(estimator.learning_rate),
        factor=(K - 1) / K if K > 1 else 1.0,
        centred=estimator.init != "zero",
    )
    theta = np.concatenate([_initial(estimator, objective), values.ravel()])
    classes = y if is_classifier(estimator) else None
    kept = rows_kept(estimator, estimator.estimators_, len(estimator.estimators_), s, classes)
    possible = _possible_rows(estimator, y, s) if kept is None else [kept]
    candidates = (
        replace(objective, theta=theta, sample_weight=rows.sample_weight, masks=rows.draws)
        for rows in possible
    )
    return verified(type(estimator).__name__, candidates, partial(_reasons, estimator), _error)


def _error(objective: BoostingObjective) -> float:
    """Return the largest error of leaf values, beyond what scikit-learn's own rounding explains.

    It has 1 - p from a residual, to a unit of the last place of 1: where all rows of a leaf are
    fitted nearly for certain, sum w p (1 - p) and sum w (y - p) are that far off.
    """
    if not isinstance(objective.loss, (Logistic, Multinomial)):
        return largest_error(objective)
    stages = (objective.stage(tree) for tree in range(objective.splits.n_trees))
    weights = np.concatenate([stage.sums(stage.weights) for stage in stages])
    unit = np.finfo(np.float64).eps * weights / np.maximum(objective.denominators, 1e-300)
    return largest_error(objective, rounding=unit * (objective.factor + np.abs(objective.values)))


def _reasons(estimator: Any) -> list[str]:
    reasons = warm_started(estimator)
    if estimator.subsample < 1.0 or estimator.n_iter_no_change is not None:
        reasons.append(
            f"What it drew (subsample, n_iter_no_change) was drawn again from "
            f"random_state={estimator.random_state!r}, which has to be that of the fit."
        )
    return reasons
