"""Other training data: groups that leave, rows that come, other labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.effects import Scorer
from skinfluence.inspection import (
    AdditionInfluence,
    GivenRows,
    GroupInfluence,
    RelabelInfluence,
)
from skinfluence.losses import encode_labels
from skinfluence.mechanisms import Mechanism, mechanism_of
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.process.row_names import index_of, rows_of
from skinfluence.questions.evaluation import (
    accepted_features,
    as_array,
    check_targets,
    objective_over,
)
from skinfluence.questions.fitted import Fitted, labels_of
from skinfluence.questions.groups import labels_in_columns, masks_given
from skinfluence.questions.rows import (
    by_label,
    refuse_another_order,
    refuse_too_much,
    warn_of_lonely_rows,
)
from skinfluence.questions.scoring import Asked, described, edit_scorer, scores_of
from skinfluence.removal import Counterfactuals, Edits
from skinfluence.typing import Array


@by_label
def group_influence(fitted: Fitted, groups: Any, asked: Asked) -> GroupInfluence:
    """See `InfluenceClassifier.group_influence`."""
    asked = asked.resolved(fitted, "group_influence")
    masks, names = groups_given(fitted, groups)
    scorer = group_scorer(fitted, masks, names, asked)
    aggregation = asked.aggregation(scorer.test.n_samples)
    return GroupInfluence(
        scores=scores_of(scorer, aggregation),
        groups=names,
        sizes=np.diff(masks.indptr),
        guarded_groups=scorer.guarded,
        given=fitted.given,
        **described(fitted, asked, scorer, aggregation),
    )


def groups_given(fitted: Fitted, groups: Any) -> tuple[Any, Array]:
    """Return masks of groups, (n_groups, n_train), and their names."""
    groups = labels_in_columns(groups, fitted.given)
    if getattr(groups, "ndim", 1) == 1:  # labels; a frame of masks has groups down its index
        refuse_another_order(groups, "groups", index_of(fitted.raw.X))
    return masks_given(groups, fitted.n_train)


def group_scorer(fitted: Fitted, masks: Any, names: Array, asked: Asked) -> Scorer:
    """Return the scorer of groups that leave."""
    refuse_groups(fitted, masks, names)

    def edits(mechanism: Mechanism, used: str) -> Counterfactuals:
        return mechanism.groups(masks, names, used)

    return edit_scorer(fitted, asked, edits, called="groups")


@by_label
def addition_influence(fitted: Fitted, X_new: Any, y_new: Any, asked: Asked) -> AdditionInfluence:
    """See `InfluenceClassifier.addition_influence`."""
    asked = asked.resolved(fitted, "addition_influence")
    given, y_new = GivenRows(X_new, y_new), as_array(y_new)
    if y_new is None:
        raise ValueError(
            "y_new=None was given; a row that comes to the training data needs its target. "
            "Pass one for every row of X_new."
        )
    refuse_unanswered(fitted, "addition")
    refuse_products(fitted, "addition_influence")
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
        scorer = edit_scorer(fitted, asked, edits, base, called="new rows")
        aggregation = asked.aggregation(scorer.test.n_samples)
        return AdditionInfluence(
            scores=scores_of(scorer, aggregation),
            row_labels=labels_of(X_new, coming.n_samples),
            guarded_rows=scorer.guarded,
            given=given,
            **described(fitted, asked, scorer, aggregation),
        )


@by_label
def relabel_influence(fitted: Fitted, y_new: Any, asked: Asked) -> RelabelInfluence:
    """See `InfluenceClassifier.relabel_influence`."""
    asked = asked.resolved(fitted, "relabel_influence")
    refuse_unanswered(fitted, "relabelling")
    y_new = as_array(y_new)
    coming = relabelled(fitted, y_new)

    def edits(mechanism: Mechanism, used: str) -> Counterfactuals:
        reference = mechanism.reference
        moved = mechanism.at_reference(coming)
        return mechanism.edits(Edits(reference, leaving=True, coming=moved), used)

    scorer = edit_scorer(fitted, asked, edits, called="new targets")
    aggregation = asked.aggregation(scorer.test.n_samples)
    warn_of_lonely_rows(fitted)
    return RelabelInfluence(
        scores=scores_of(scorer, aggregation),
        row_labels=fitted.row_labels,
        y_new=np.asarray(y_new),
        guarded_rows=scorer.guarded,
        given=fitted.given,
        **described(fitted, asked, scorer, aggregation),
    )


def relabelled(fitted: Fitted, y_new: Any) -> Objective:
    """Return the objective over the training rows with other targets, weighed as it would be.

    Raises
    ------
    ValueError
        For targets that are not one for every training row, in the order of the rows, of which a
        fit knows.
    """
    given = len(y_new) if np.ndim(y_new) > 0 else 1
    if given != fitted.n_train:
        raise ValueError(
            f"y_new with {given} target(s) was given; one for every training row, "
            f"{fitted.n_train}, is accepted. Repeat the old target where none is to change."
        )
    refuse_another_order(y_new, "y_new", index_of(fitted.raw.X))
    training, base = fitted.training, fitted.objective()
    check_targets(y_new, training.y, classifier=fitted.classifier, kind="new")
    counted = base.weighting.counted()
    counts = counted.sum(axis=1) if counted.shape[1] else np.ones(base.n_samples)
    unit, old = _class_weights(fitted)
    new = encode_labels(y_new, fitted.estimator.classes_) if len(unit) > 1 else old
    w = base.sample_weight * unit[new] / unit[old]
    return base.on(training.X, y_new).with_weights(w, base.weighting.joined(new, counts))


def refuse_unanswered(fitted: Fitted, change: str) -> None:
    """Refuse a change of the training data that this family of models does not answer."""
    answered = mechanism_of(fitted.objective()).changes
    if change not in answered:
        raise ValueError(
            f"An effect of {change} was asked for, and the mechanism of "
            f"{type(fitted.objective()).__name__} answers {answered} alone. Fit it with the change "
            "and compare."
        )


def refuse_products(fitted: Fitted, question: str) -> None:
    """Refuse rows that are products with the training rows, of which there would be others."""
    if fitted.pairwise:
        raise ValueError(
            f"{question} was asked of a model with a precomputed kernel, whose rows are their "
            "products with the training rows: with other training rows they are others. Pass "
            "the kernel as a function (kernel=callable), or refit."
        )


def refuse_groups(fitted: Fitted, masks: Any, names: Array | None = None) -> None:
    """Refuse groups that leave no row that counts, or none of a class."""
    one_label = fitted.classifier and np.ndim(fitted.training.y) == 1
    y = fitted.training.y if one_label else None
    refuse_too_much(masks, y, fitted.training.sample_weight, names)


def _with_weights_as_trained(fitted: Fitted, coming: Objective, y: Any) -> Objective:
    """Return rows that may come, each of sample weight 1, as the training rows are weighed."""
    base = fitted.objective()
    unit, old = _class_weights(fitted)
    given = given_weights(fitted)
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
    base, given = fitted.objective(), given_weights(fitted)
    codes = np.zeros(base.n_samples, dtype=int)
    n_classes = 1
    if getattr(fitted.final, "class_weight", None) is not None:
        if np.ndim(fitted.training.y) > 1:
            raise ValueError(
                f"{type(fitted.final).__name__}(class_weight={fitted.final.class_weight!r}) of "
                "several targets a row was given, and what a row of other targets weighs there is "
                "not known. Use class_weight=None, and sample_weight in its place."
            )
        classes = fitted.estimator.classes_
        codes, n_classes = encode_labels(fitted.training.y, classes), len(classes)
    unit = np.ones(n_classes)
    counted = np.flatnonzero((given > 0) & (base.sample_weight > 0))
    unit[codes[counted]] = base.sample_weight[counted] / given[counted]
    return unit, codes


def given_weights(fitted: Fitted) -> Array:
    """Return the sample weights that reached the final step; 1 where none did."""
    given, n = fitted.training.sample_weight, fitted.n_train
    return np.ones(n) if given is None else np.asarray(given, dtype=np.float64)
