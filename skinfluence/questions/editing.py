"""Other training data: groups that leave, rows that come, other labels, the model without rows."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from skinfluence.adapters import (
    Training,
    is_smoothed,
    recorded,
    write_parameters,
)
from skinfluence.inspection import Certificate
from skinfluence.losses import encode_labels
from skinfluence.mechanisms import Mechanism, mechanism_of
from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.process.row_names import index_of, rows_of
from skinfluence.questions.evaluation import (
    accepted_features,
    as_array,
    check_targets,
    objective_over,
)
from skinfluence.questions.fitted import Answers, Fitted
from skinfluence.questions.groups import masks_given
from skinfluence.questions.rows import (
    by_label,
    refuse_another_order,
    refuse_too_much,
    rows_given,
    warn_of_lonely_rows,
)
from skinfluence.questions.scoring import Asked, aggregated, check_aggregate, edit_scorer
from skinfluence.removal import Counterfactuals, Edits
from skinfluence.retraining import take_params, take_rows
from skinfluence.typing import Array


@by_label
def group_influence(
    fitted: Fitted, groups: Any, asked: Asked, aggregate: str | None = None
) -> Array:
    """See `InfluenceClassifier.group_influence`."""
    check_aggregate(aggregate)
    fitted.method(asked.method)
    if getattr(groups, "ndim", 1) == 1:  # labels; a frame of masks has groups down its index
        refuse_another_order(groups, "groups", index_of(fitted.raw.X))
    masks, names = masks_given(groups, fitted.n_train)
    _refuse_too_much(fitted, masks, names)

    def edits(mechanism: Mechanism, used: str) -> Counterfactuals:
        return mechanism.groups(masks, names, used)

    return aggregated(edit_scorer(fitted, asked, edits), aggregate)


@by_label
def addition_influence(
    fitted: Fitted, X_new: Any, y_new: Any, asked: Asked, aggregate: str | None = None
) -> Array:
    """See `InfluenceClassifier.addition_influence`."""
    check_aggregate(aggregate)
    fitted.method(asked.method)
    y_new = as_array(y_new)
    if y_new is None:
        raise ValueError(
            "y_new=None was given; a row that comes to the training data needs its target. "
            "Pass one for every row of X_new."
        )
    _refuse_unanswered(fitted, "addition")
    _refuse_products(fitted, "addition_influence")
    base = fitted.objective()
    features = accepted_features(fitted, X_new, y_new, kind="new")
    if isinstance(base, LinearObjective):
        base = base.extended_to(features)
    with rows_of(X_new):
        coming = objective_over(base, features, y_new)
    coming = _with_weights_as_trained(fitted, coming, y_new)

    def edits(mechanism: Mechanism, used: str) -> Counterfactuals:
        reference = mechanism.reference
        moved = mechanism.at_reference(coming, comes=True)
        return mechanism.edits(Edits(reference, leaving=False, coming=moved), used)

    with rows_of(X_new):  # which are what edits are about
        return aggregated(edit_scorer(fitted, asked, edits, base), aggregate)


@by_label
def relabel_influence(
    fitted: Fitted, y_new: Any, asked: Asked, aggregate: str | None = None
) -> Array:
    """See `InfluenceClassifier.relabel_influence`."""
    check_aggregate(aggregate)
    fitted.method(asked.method)
    _refuse_unanswered(fitted, "relabelling")
    y_new = as_array(y_new)
    given = len(y_new) if np.ndim(y_new) > 0 else 1
    if given != fitted.n_train:
        raise ValueError(
            f"y_new with {given} target(s) was given; one for every training row, "
            f"{fitted.n_train}, is accepted. Repeat the old target where none is to change."
        )
    refuse_another_order(y_new, "y_new", index_of(fitted.raw.X))
    training = fitted.training
    check_targets(y_new, training.y, classifier=fitted.classifier, kind="new")
    base = fitted.objective()
    counted = base.weighting.counted()
    counts = counted.sum(axis=1) if counted.shape[1] else np.ones(base.n_samples)
    unit, old = _class_weights(fitted)
    new = encode_labels(y_new, fitted.estimator.classes_) if len(unit) > 1 else old
    w = base.sample_weight * unit[new] / unit[old]
    coming = base.on(training.X, y_new)
    coming = coming.with_weights(w, base.weighting.joined(new, counts))

    def edits(mechanism: Mechanism, used: str) -> Counterfactuals:
        reference = mechanism.reference
        moved = mechanism.at_reference(coming)
        return mechanism.edits(Edits(reference, leaving=True, coming=moved), used)

    scorer = edit_scorer(fitted, asked, edits)
    warn_of_lonely_rows(fitted)
    return aggregated(scorer, aggregate)


@by_label
def without(
    fitted: Fitted,
    rows: Any = None,
    *,
    positions: Any = None,
    labels: Any = None,
    method: str = "exact",
) -> tuple[Fitted, Certificate]:
    """See `InfluenceClassifier.without`.

    Returns
    -------
    Fitted
        Over the rows that stay; its temperature is that of the model the rows left.
    Certificate
    """
    used = fitted.method(method)
    _refuse_products(fitted, "without")
    _refuse_held_out(fitted)
    gone = rows_given(fitted, rows, positions, labels)
    mask = np.zeros((1, fitted.n_train), dtype=bool)
    mask[0, gone] = True
    masks, _ = masks_given(mask, fitted.n_train)
    _refuse_too_much(fitted, masks, None)
    mechanism = fitted.mechanism(used)
    before, moved = mechanism.without(masks, used)
    result = _copy_of(fitted, np.delete(np.arange(fitted.n_train), gone))
    refitted = write_parameters(result.final, moved, result.training.X)
    if (record := recorded(result.estimator)) is not None:
        record.checkpoints_ = []  # of a training on other rows
    after = result.objective()
    if after.has_no_optimum():
        raise ValueError(
            f"Without these {len(gone)} row(s) the rows that stay are separated, and larger "
            "coefficients always fit better: there is no finite optimum. Fit with a penalty "
            "(a finite C), or keep some of the rows."
        )
    norm, norm_before = (mechanism.gradient_norm(each) for each in (after, before))
    if np.any(after.l2 > 0):  # in the scale of the fit on the rows that stay
        norm_before /= float(before.l2.sum() / after.l2.sum())
    return result, Certificate(used, len(gone), norm, norm_before, refitted)


def _refuse_unanswered(fitted: Fitted, change: str) -> None:
    """Refuse a change of the training data that this family of models does not answer."""
    answered = mechanism_of(fitted.objective()).changes
    if change not in answered:
        raise ValueError(
            f"An effect of {change} was asked for, and the mechanism of "
            f"{type(fitted.objective()).__name__} answers {answered} alone. Fit it with the change "
            "and compare."
        )


def _refuse_products(fitted: Fitted, question: str) -> None:
    """Refuse rows that are products with the training rows, of which there would be others."""
    if fitted.pairwise:
        raise ValueError(
            f"{question} was asked of a model with a precomputed kernel, whose rows are their "
            "products with the training rows: with other training rows they are others. Pass "
            "the kernel as a function (kernel=callable), or refit."
        )


def _refuse_held_out(fitted: Fitted) -> None:
    """Refuse deletion where some rows did not train, which a copy could not know."""
    base = fitted.objective()
    held_out = np.any((base.sample_weight == 0) & (_given_weights(fitted) > 0))
    if held_out and getattr(fitted.final, "early_stopping", False):
        raise ValueError(
            f"without was asked of {type(fitted.final).__name__}("
            "early_stopping=True), which holds rows out of the fit: of other rows it would "
            "hold out others. Fit with early_stopping=False."
        )


def _refuse_too_much(fitted: Fitted, masks: Any, names: Array | None) -> None:
    one_label = fitted.classifier and np.ndim(fitted.training.y) == 1
    y = fitted.training.y if one_label else None
    refuse_too_much(masks, y, fitted.training.sample_weight, names)


def _copy_of(fitted: Fitted, kept: Array) -> Fitted:
    """Return a copy over some of the training rows, its estimator still as it was."""
    data, raw, base = fitted.training, fitted.raw, fitted.objective()
    weights = None if data.sample_weight is None else take_rows(data.sample_weight, kept)
    options = fitted.options
    if is_smoothed(fitted.final):  # else it would be read off the moved model
        assert isinstance(base, OutputObjective)
        options = replace(options, temperature=base.loss.temperature)
    return replace(
        fitted,
        estimator=deepcopy(fitted.estimator),
        training=Training(take_rows(data.X, kept), take_rows(data.y, kept), weights),
        raw=Training(take_rows(raw.X, kept), take_rows(raw.y, kept), None),
        fit_params=take_params(fitted.fit_params, kept, fitted.n_train),
        options=options,
        answers=Answers(),
    )


def _with_weights_as_trained(fitted: Fitted, coming: Objective, y: Any) -> Objective:
    """Return rows that may come, each of sample weight 1, as the training rows are weighed."""
    base = fitted.objective()
    unit, old = _class_weights(fitted)
    given = _given_weights(fitted)
    counted = (given > 0) & (base.sample_weight > 0)
    if not np.allclose(base.sample_weight[counted], (given * unit[old])[counted]):
        raise ValueError(
            f"{type(fitted.final).__name__} weighs its training rows one by one "
            "(alpha per row), and says nothing of the weight of a new one. Use one alpha for "
            "all rows."
        )
    codes = np.zeros(len(y), dtype=int)
    if len(unit) > 1:
        codes = encode_labels(y, fitted.estimator.classes_)
    weighting = base.weighting.joined(codes, np.ones(coming.n_samples))
    return coming.with_weights(unit[codes], weighting)


def _class_weights(fitted: Fitted) -> tuple[Array, Array]:
    """Return what a row of sample weight 1 weighs in each class, and each row's class.

    Read off the rows there are; one class where weights know of none.
    """
    base, given = fitted.objective(), _given_weights(fitted)
    codes = np.zeros(base.n_samples, dtype=int)
    n_classes = 1
    if getattr(fitted.final, "class_weight", None) is not None:
        classes = fitted.estimator.classes_
        codes, n_classes = encode_labels(fitted.training.y, classes), len(classes)
    unit = np.ones(n_classes)
    counted = np.flatnonzero((given > 0) & (base.sample_weight > 0))
    unit[codes[counted]] = base.sample_weight[counted] / given[counted]
    return unit, codes


def _given_weights(fitted: Fitted) -> Array:
    given, n = fitted.training.sample_weight, fitted.n_train
    return np.ones(n) if given is None else np.asarray(given, dtype=np.float64)
