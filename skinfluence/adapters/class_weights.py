"""Weights of rows: sample weights times class weights, and what "balanced" counts.

``class_weight="balanced"`` counts sample weights in some estimators and versions of scikit-learn,
rows in others. Its documentation does not say which, and the user's own fit does not either: its
gradient is zero by neither counting where it stopped early. So a fit that surely is tight is asked,
once per type: a toy problem of eight rows with unequal weights.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, cast

import numpy as np
from sklearn import config_context
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight

from skinfluence.losses import encode_labels
from skinfluence.objectives import Balanced, LinearObjective, Weighting
from skinfluence.process.row_names import named_row
from skinfluence.typing import Array

Weighted = Callable[[Any, Any, Any, Array, Weighting | None], LinearObjective]
"""From (estimator, X, y, row weights, weighting) to the objective."""


def class_weighted(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    objective: Weighted,
    *,
    by_rows: bool = False,
    **tight: Any,
) -> LinearObjective:
    """Return the objective of a classifier with its sample and class weights.

    Parameters
    ----------
    estimator : fitted classifier
    X, y, sample_weight
        What it was fitted on.
    objective : callable
        From ``(estimator, X, y, w, weighting)`` to the objective.
    by_rows : bool
        "balanced" is known to count rows.
    **tight : dict
        Hashable parameters with which a new estimator of this type is fitted to its optimum; only
        those that may change what "balanced" counts have to be the user's own.
    """
    codes = encode_labels(y, estimator.classes_)
    s = row_weights(sample_weight, len(codes))
    scheme = estimator.class_weight
    if scheme is None:
        return objective(estimator, X, y, s, None)
    if scheme != "balanced":
        weights = compute_class_weight(scheme, classes=estimator.classes_, y=np.asarray(y))
        return objective(estimator, X, y, s * weights[codes], None)
    by_weight = np.all(s == s[0]) or (
        not by_rows
        and _counts_weights(
            cast(Hashable, type(estimator)), objective, tuple(sorted(tight.items()))
        )
    )
    return objective(estimator, X, y, *_balanced(codes, s, s if by_weight else np.ones_like(s)))


def row_weights(sample_weight: Any, n_samples: int) -> Array:
    """Return one sample weight per row, 1 without any.

    Raises
    ------
    ValueError
        For negative, missing or no positive weights.
    """
    if sample_weight is None:
        return np.ones(n_samples)
    s: Array = np.broadcast_to(np.asarray(sample_weight, dtype=np.float64), n_samples)
    if not np.all(s >= 0):
        wrong = np.flatnonzero(~(s >= 0))
        raise ValueError(
            f"Negative sample weights, or NaN, were given ({len(wrong)}, the first "
            f"{s[wrong[0]]:g} at row {named_row(wrong[0])}); weights >= 0 are accepted. With a "
            "negative weight the fit may have no minimum: leave the row out, or pass 0."
        )
    if not np.any(s > 0):
        raise ValueError(
            "All sample weights are zero: no row took part in the fit, so none has an influence. "
            "Pass at least one positive weight."
        )
    return s


def weights_of_classes(class_weight: Any, y: Array, classes: list[Array], counts: Array) -> Array:
    """Return what class weights multiply the weight of every row by, shape (n_samples,).

    Parameters
    ----------
    class_weight : dict, list of dict, "balanced" or None
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
    classes : list of ndarray
        Of each output.
    counts : ndarray of shape (n_samples,)
        What each row counts when classes are balanced.
    """
    if class_weight is None:
        return np.ones(len(y))
    if not isinstance(class_weight, str):
        given: Array = compute_sample_weight(class_weight, y)
        return given
    out = np.ones(len(y))
    for labels, own in zip(y.reshape(len(y), -1).T, classes, strict=True):
        codes = encode_labels(labels, own)
        out *= _balanced_weights(np.bincount(codes, counts, len(own)))[codes]
    return out


def refuse_weights_against_the_rest(estimator: Any) -> None:
    """Refuse class weights that are others in the fit of every class.

    One against the rest, the class has its weight and the rest 1; "balanced" balances the class
    against the rest in some estimators.
    """
    n_classes = len(estimator.classes_)
    if estimator.class_weight is not None and n_classes > 2:
        raise ValueError(
            f"One-vs-rest {type(estimator).__name__}(class_weight={estimator.class_weight!r}) on "
            f"{n_classes} classes was given; every class is fitted with class weights of its own, "
            "which is not supported. Use a multinomial model (LogisticRegression, "
            "solver='lbfgs'), or wrap one binary model per class."
        )


def refuse_emptied_classes(y: Any, classes: Array, w: Array) -> None:
    """Raise ValueError for a class whose rows all have weight 0."""
    codes = encode_labels(y, classes)
    rows = np.bincount(codes, minlength=len(classes))
    emptied = (rows > 0) & (np.bincount(codes, weights=w, minlength=len(classes)) == 0)
    if np.any(emptied):
        raise ValueError(
            f"The rows of {classes[emptied].tolist()} all have weight 0 (sample_weight times "
            "class_weight): the model was fitted without these classes, and its intercept has no "
            "finite optimum. Give their rows a positive weight, or fit without them."
        )


def _balanced(codes: Array, s: Array, counts: Array) -> tuple[Array, Balanced]:
    """Return S / (n_classes S_c) times the sample weights, and how they move."""
    weights = _balanced_weights(np.bincount(codes, weights=counts))
    return s * weights[codes], Balanced(codes, counts)


def _balanced_weights(totals: Array) -> Array:
    """Return the weight of each class from the count of its rows."""
    weights: Array = totals.sum() / (len(totals) * np.where(totals > 0, totals, 1.0))
    return weights


@cache
def _counts_weights(kind: Any, objective: Weighted, tight: tuple[tuple[str, Any], ...]) -> bool:
    """Return whether "balanced" counts sample weights: by which a tight fit is stationary."""
    X = np.array([-2.0, -1.0, 1.0, 0.0, 0.0, -1.0, 1.0, 2.0])[:, None]
    codes = np.repeat([0, 1], 4)
    s = np.where(codes == 1, 4.0, 1.0)
    with config_context(enable_metadata_routing=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = kind(class_weight="balanced", **dict(tight)).fit(X, codes, sample_weight=s)

    def gradient(counts: Array) -> float:
        return float(
            np.linalg.norm(objective(fitted, X, codes, *_balanced(codes, s, counts)).gradient())
        )

    return gradient(s) < gradient(np.ones_like(s))
