"""Adapters of decision trees, and of forests: leaves average the targets of their rows.

In tree t the rows of a leaf weigh c_ti, how often it drew them. What sample and class weights did
differs between versions of scikit-learn: they multiply c_ti, or they are the probabilities of the
draws. Its documentation is silent, so both are tried, and the leaf values tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from sklearn.utils.class_weight import compute_sample_weight

from skinfluence.adapters.class_weights import row_weights, weights_of_classes
from skinfluence.adapters.registry import register_adapter
from skinfluence.adapters.trees import (
    FittedRows,
    Places,
    TreeSplits,
    as_trees_see,
    keep_rows,
    largest_error,
    precision_of,
    refuse_constraints,
    rows_kept,
    values_of,
    verified,
    warm_started,
    write_values,
)
from skinfluence.losses import Brier, HalfSquaredError, Joint, Loss
from skinfluence.objectives import Objective
from skinfluence.objectives.forests import ForestObjective
from skinfluence.objectives.leaves import as_table
from skinfluence.typing import Array

TREES = (DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor)
FORESTS = (
    RandomForestClassifier,
    RandomForestRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
)
BAGGING = (BaggingClassifier, BaggingRegressor)


def _check(estimator: Any) -> None:
    name = type(estimator).__name__
    if estimator.criterion == "absolute_error":
        raise ValueError(
            f"{name}(criterion='absolute_error') was given; its leaves are medians, which a row "
            "moves by jumps. Use criterion='squared_error', whose leaves are means."
        )
    refuse_constraints(name, estimator.monotonic_cst)


def _check_bagging(estimator: Any) -> None:
    part = estimator.estimator
    if part is None:
        return
    if type(part) not in TREES:
        raise TypeError(
            f"{type(estimator).__name__}({type(part).__name__}) was given; its prediction averages "
            "models that are fitted on their own, and of these only decision trees (DecisionTree, "
            "ExtraTree) are supported. Wrap one of its models by itself."
        )
    _check(part)


# ------------------------------------------------------------------------------ what it is made of


def _trees_of(estimator: Any) -> list[Any]:
    return [estimator] if type(estimator) in TREES else list(estimator.estimators_)


def _fit_of(estimator: Any) -> Any:
    """Return what another fit would have another of."""
    return estimator.tree_ if type(estimator) in TREES else estimator.estimators_


def _places_of(estimator: Any) -> list[Places]:
    trees = _trees_of(estimator)
    if type(estimator) is not BaggingClassifier:
        return [Places.of(tree) for tree in trees]
    # Its trees know classes by number, and only those they drew if weights were not routed to them.
    return [replace(Places.of(tree), values=tree.classes_.astype(int)) for tree in trees]


def _columns_of(estimator: Any) -> list[Array] | None:
    """Return the features of every tree; None is all, in their order."""
    if type(estimator) not in BAGGING:
        return None
    columns, every = estimator.estimators_features_, np.arange(estimator.n_features_in_)
    return None if all(np.array_equal(at, every) for at in columns) else columns


def _classes_of(estimator: Any) -> list[Array]:
    """Return the classes of each output."""
    classes = estimator.classes_
    return classes if isinstance(classes, list) else [classes]


def _loss_of(estimator: Any) -> Loss:
    if not is_classifier(estimator):
        return HalfSquaredError(_trees_of(estimator)[0].n_outputs_)
    parts = tuple(Brier(classes) for classes in _classes_of(estimator))
    return parts[0] if len(parts) == 1 else Joint(parts)


# -------------------------------------------------------------------------------- draws and weights


def _draws(estimator: Any) -> bool:
    """Return whether every tree drew rows of its own."""
    return type(estimator) in BAGGING or bool(getattr(estimator, "bootstrap", False))


def _counts(estimator: Any, n_samples: int) -> Array | None:
    """Return how often each tree drew each row, (n_samples, n_trees); None is once."""
    if not _draws(estimator):
        return None
    drawn = estimator.estimators_samples_
    if len(drawn) != len(estimator.estimators_):
        raise ValueError(
            f"{type(estimator).__name__}(warm_start=True) was given, which knows the draws of its "
            "last trees alone. Use warm_start=False."
        )
    others = estimator.max_samples is None and len(drawn[0]) != n_samples
    if others or max(int(rows.max()) for rows in drawn) >= n_samples:
        return None  # not these rows: that their leaves have other values will be found
    counts = np.column_stack([np.bincount(rows, minlength=n_samples) for rows in drawn])
    return counts.astype(np.int8 if counts.max() < 128 else np.int32)


def _subsample_weights(estimator: Any, y: Array) -> Array:
    """Return the weights of classes balanced among what each tree drew, (n_samples, n_trees)."""
    drawn = estimator.estimators_samples_
    return np.column_stack(
        [compute_sample_weight("balanced", y, indices=indices) for indices in drawn]
    )


def _possible_rows(estimator: Any, y: Array, s: Array) -> Iterator[FittedRows]:
    """Yield what the rows may have weighed, and how often they may have been drawn."""
    fit, counts = _fit_of(estimator), _counts(estimator, len(y))
    # Bagged trees weigh classes themselves: of what they drew.
    within = type(estimator) in BAGGING
    scheme = getattr(_trees_of(estimator)[0] if within else estimator, "class_weight", None)
    if scheme == "balanced_subsample":
        if counts is not None:
            counts, scheme = counts * _subsample_weights(estimator, y), None
        else:
            scheme = "balanced"
    classes = _classes_of(estimator) if is_classifier(estimator) else []
    if within:  # which have numbers there
        classes = [np.arange(len(own)) for own in classes]
        y = np.searchsorted(estimator.classes_, y) if classes else y
    for counted in (np.ones_like(s), s):
        factors = weights_of_classes(scheme, y, classes, counted)
        draws, w = counts, s * factors
        if within and counts is not None and scheme is not None:
            draws, w = counts * factors[:, None], s
        yield FittedRows(fit, w, draws, weighed=True)
        if _draws(estimator):
            yield FittedRows(fit, w, draws, weighed=False)
        if scheme != "balanced" or np.ptp(s) == 0:
            return


def _reasons(estimator: Any, X: Any) -> list[str]:
    reasons = warm_started(estimator)
    if _draws(estimator):
        reasons.append(
            "The draws of its trees are those of its own fit: with other rows or sample weights "
            "they would be others."
        )
    if np.any(np.isnan(as_trees_see(X).sum())):
        reasons.append(
            "Some rows have missing values, which scikit-learn 1.6 may send elsewhere when it "
            "predicts than when it fits: then impute them, or use a later version."
        )
    return reasons


# ------------------------------------------------------------------------------------ the adapters


def _write(estimator: Any, objective: Objective, X: Any) -> None:
    assert isinstance(objective, ForestObjective)
    write_values(_trees_of(estimator), _places_of(estimator), objective)
    kept = objective.sample_weight, objective.draws, objective.weighed
    keep_rows(estimator, FittedRows(_fit_of(estimator), *kept))


@register_adapter(*BAGGING, check=_check_bagging, write=_write)
@register_adapter(*TREES, *FORESTS, check=_check, write=_write)
def averaged_trees(estimator: Any, X: Any, y: Any, sample_weight: Any) -> ForestObjective:
    """Return the objective of a decision tree, or of a forest that averages some."""
    X, y = as_table(X), np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    trees, loss = _trees_of(estimator), _loss_of(estimator)
    splits = TreeSplits.of(trees, _columns_of(estimator))
    s = row_weights(sample_weight, len(y))
    objective = ForestObjective(
        loss=loss,
        splits=splits,
        X=X,
        leaves=splits.leaves(X),
        y=loss.encode(y),
        theta=values_of(trees, _places_of(estimator), loss.n_outputs).ravel(),
        sample_weight=s,
        precision=precision_of(X),
    )
    classes = y if is_classifier(estimator) else None
    kept = rows_kept(estimator, _fit_of(estimator), len(trees), s, classes)
    possible = _possible_rows(estimator, y, s) if kept is None else [kept]
    candidates = (
        replace(
            objective,
            sample_weight=rows.sample_weight,
            draws=rows.draws,
            weighed=rows.weighed,
            bagged=rows.draws is not None and bool(np.any(rows.draws == 0)),
        )
        for rows in possible
    )
    error = partial(_error, trees=trees) if kept is None else largest_error
    return verified(type(estimator).__name__, candidates, partial(_reasons, estimator, X), error)


def _error(objective: ForestObjective, trees: list[Any]) -> float:
    """Return the largest error of leaf values, or of the weights of leaves.

    A leaf of equal targets has the right value by any weights.
    """
    each = [tree.tree_.weighted_n_node_samples[tree.tree_.children_left < 0] for tree in trees]
    weights = np.concatenate(each)
    wrong = np.max(np.abs(objective.totals - weights) / weights)
    return max(largest_error(objective), float(wrong))
