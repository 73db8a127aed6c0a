"""Adapters of `sklearn.linear_model`: logistic regression, least squares and ridge.

Scalings, sum_i w_i l_i + 1/2 l2 |theta|^2, each proven by stationarity of a tight fit:

- LogisticRegression minimises C sum_i s_i l_i + 1/2 |coef|^2: w = s, l2 = 1 / C. Its liblinear
  solver penalises the intercept as the coefficient of a feature `intercept_scaling`.
- Ridge minimises sum_i s_i r_i^2 + alpha |coef|^2: with half squared errors l2 = alpha.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)
from sklearn.utils.class_weight import compute_class_weight

from skinfluence.adapters.registry import register_adapter
from skinfluence.losses import HalfSquaredError, Logistic, Loss, Multinomial, encode_labels
from skinfluence.objectives import Balanced, LinearObjective, Weighting

Array = npt.NDArray[Any]


def _check_logistic(estimator: Any) -> None:
    cross_validated = isinstance(estimator, LogisticRegressionCV)
    ratios = estimator.l1_ratios if cross_validated else estimator.l1_ratio
    mixed = np.any(np.asarray(_known(ratios), dtype=float) != 0)
    if estimator.penalty == "l1" or (mixed and estimator.penalty in ("elasticnet", "deprecated")):
        raise ValueError(
            f"{type(estimator).__name__} with an l1 or elastic-net penalty was given; an l2 "
            "penalty or none is accepted. Fit with l1_ratio=0 (penalty='l2' before scikit-learn "
            "1.8)."
        )
    if cross_validated and not estimator.refit:
        raise ValueError(
            "LogisticRegressionCV(refit=False) averages the models of its folds and minimises "
            "nothing on all rows; use refit=True."
        )


def _known(ratios: Any) -> Any:
    return 0.0 if ratios is None or isinstance(ratios, str) else ratios


def _check_ridge(estimator: Any) -> None:
    if getattr(estimator, "positive", False):
        raise ValueError(
            f"{type(estimator).__name__}(positive=True) was given; its optimum lies on the bounds "
            "and has no influence function. Use positive=False."
        )


@register_adapter(LogisticRegression, LogisticRegressionCV, check=_check_logistic)
def logistic(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a (cross-validated) logistic regression, its C frozen."""
    classes = estimator.classes_
    intercept = estimator.intercept_ if estimator.fit_intercept else None
    l2 = _logistic_penalty(estimator)
    l2_intercept: Any = 0.0
    if estimator.solver == "liblinear":
        l2_intercept = l2 / estimator.intercept_scaling**2
    return _most_stationary(
        LinearObjective.from_coefficients(
            X,
            y,
            _logistic_loss(estimator),
            estimator.coef_,
            intercept,
            l2=l2,
            l2_intercept=l2_intercept,
            sample_weight=w,
            weighting=weighting,
        )
        for w, weighting in _class_weighted(estimator.class_weight, classes, y, sample_weight)
    )


def _logistic_loss(estimator: Any) -> Loss:
    classes = estimator.classes_
    scheme = getattr(estimator, "multi_class", "deprecated")
    if len(classes) == 2:
        if scheme == "multinomial":
            raise ValueError(
                "LogisticRegression(multi_class='multinomial') on two classes was given; its "
                "over-parametrised fit is not supported. Leave multi_class at its default."
            )
        return Logistic(classes)
    if estimator.solver == "liblinear" or scheme == "ovr":
        return Logistic(classes)  # one-vs-rest
    return Multinomial(classes)


def _logistic_penalty(estimator: Any) -> Array:
    """Return 1 / C of every output; 0 where there is no penalty."""
    n_outputs = estimator.coef_.shape[0]
    if estimator.penalty is None:
        return np.zeros(n_outputs)
    # LogisticRegressionCV has a C for every class; one-vs-rest fits may choose different ones.
    chosen = estimator.C_ if isinstance(estimator, LogisticRegressionCV) else estimator.C
    C: Array = np.broadcast_to(np.asarray(chosen, dtype=np.float64), n_outputs)
    return 1.0 / C


@register_adapter(Ridge, LinearRegression, RidgeCV, check=_check_ridge)
def least_squares(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of least squares with or without an l2 penalty, its alpha frozen."""
    coef = np.atleast_2d(estimator.coef_)
    return LinearObjective.from_coefficients(
        X,
        y,
        HalfSquaredError(coef.shape[0]),
        coef,
        estimator.intercept_ if estimator.fit_intercept else None,
        l2=_ridge_penalty(estimator),
        sample_weight=_row_weights(sample_weight, len(np.asarray(y))),
    )


@register_adapter(RidgeClassifier, RidgeClassifierCV, check=_check_ridge)
def ridge_classifier(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a ridge regression on targets -1 and +1."""
    if np.asarray(y).ndim == 2 and np.asarray(y).shape[1] > 1:
        raise ValueError(
            f"{type(estimator).__name__} was fitted on multi-label targets of shape "
            f"{np.asarray(y).shape}; one label per row is accepted. Wrap one classifier per label."
        )
    coef = np.atleast_2d(estimator.coef_)
    classes = estimator.classes_
    return _most_stationary(
        LinearObjective.from_coefficients(
            X,
            y,
            HalfSquaredError(coef.shape[0], classes),
            coef,
            estimator.intercept_ if estimator.fit_intercept else None,
            l2=_ridge_penalty(estimator),
            sample_weight=w,
            weighting=weighting,
        )
        for w, weighting in _class_weighted(estimator.class_weight, classes, y, sample_weight)
    )


def _ridge_penalty(estimator: Any) -> Any:
    if isinstance(estimator, LinearRegression):
        return 0.0
    return estimator.alpha_ if hasattr(estimator, "alpha_") else estimator.alpha


def _class_weighted(
    class_weight: Any, classes: Array, y: Any, sample_weight: Any
) -> Iterator[tuple[Array, Weighting | None]]:
    """Yield the row weights, class weights included, of every way the estimator may count.

    ``class_weight="balanced"`` counts sample weights in some estimators and versions of
    scikit-learn, rows in others; which one it was shows in the fit, not in the version.
    """
    codes = encode_labels(y, classes)
    s = _row_weights(sample_weight, len(codes))
    if class_weight is None:
        yield s, None
    elif class_weight == "balanced":
        candidates = [s] if np.all(s == s[0]) else [s, np.ones_like(s)]
        for counts in candidates:
            totals = np.bincount(codes, weights=counts, minlength=len(classes))
            weights = totals.sum() / (len(classes) * np.where(totals > 0, totals, 1.0))
            yield s * weights[codes], Balanced(codes, counts)
    else:
        weights = compute_class_weight(class_weight, classes=classes, y=np.asarray(y))
        yield s * weights[codes], None


def _row_weights(sample_weight: Any, n_samples: int) -> Array:
    if sample_weight is None:
        return np.ones(n_samples)
    s: Array = np.broadcast_to(np.asarray(sample_weight, dtype=np.float64), n_samples)
    if not np.any(s > 0):
        raise ValueError(
            "All sample weights are zero: no row took part in the fit, so none has an influence. "
            "Pass at least one positive weight."
        )
    return s


def _most_stationary(candidates: Iterator[LinearObjective]) -> LinearObjective:
    """Return the candidate whose gradient at the fitted parameters is smallest."""
    return min(candidates, key=lambda objective: float(np.linalg.norm(objective.gradient())))
