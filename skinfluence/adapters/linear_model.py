"""Adapters of `sklearn.linear_model`: logistic regression, least squares and ridge.

Scalings, sum_i w_i l_i + 1/2 l2 |theta|^2, each proven by stationarity of a tight fit:

- LogisticRegression minimises C sum_i s_i l_i + 1/2 |coef|^2: w = s, l2 = 1 / C. Its liblinear
  solver penalises the intercept as the coefficient of a feature `intercept_scaling`.
- Ridge minimises sum_i s_i r_i^2 + alpha |coef|^2: with half squared errors l2 = alpha.
"""

from __future__ import annotations

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

from skinfluence.adapters.class_weights import (
    class_weighted,
    refuse_emptied_classes,
    row_weights,
)
from skinfluence.adapters.registry import register_adapter
from skinfluence.losses import HalfSquaredError, Logistic, Loss, Multinomial
from skinfluence.objectives import LinearObjective, Weighting

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
    tight: dict[str, Any] = {"tol": 1e-12, "max_iter": 1000}
    tight["solver"] = "liblinear" if estimator.solver == "liblinear" else "newton-cholesky"
    if isinstance(estimator, LogisticRegressionCV):
        tight |= {"Cs": (1.0,), "cv": 2}
    return class_weighted(estimator, X, y, sample_weight, _logistic_objective, **tight)


def _logistic_objective(
    estimator: Any, X: Any, y: Any, w: Array, weighting: Weighting | None
) -> LinearObjective:
    loss = _logistic_loss(estimator)
    l2 = _logistic_penalty(estimator)
    l2_intercept: Any = 0.0
    if estimator.solver == "liblinear":
        l2_intercept = l2 / estimator.intercept_scaling**2
    if estimator.fit_intercept and not np.all(l2_intercept):
        refuse_emptied_classes(y, estimator.classes_, w)
    return LinearObjective.from_coefficients(
        X,
        y,
        loss,
        estimator.coef_,
        estimator.intercept_ if estimator.fit_intercept else None,
        l2=l2,
        l2_intercept=l2_intercept,
        sample_weight=w,
        weighting=weighting,
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
        _refuse_class_weights_against_the_rest(estimator)
        return Logistic(classes)
    return Multinomial(classes)


def _refuse_class_weights_against_the_rest(estimator: Any) -> None:
    """Refuse class weights that are others in the fit of every class.

    liblinear gives the class its weight and the rest 1; "balanced" balances the class against the
    rest. LogisticRegressionCV turns class weights into row weights first.
    """
    weights = estimator.class_weight
    if isinstance(estimator, LogisticRegressionCV) or weights is None:
        return
    if estimator.solver == "liblinear" or weights == "balanced":
        raise ValueError(
            f"One-vs-rest LogisticRegression(class_weight={weights!r}) on "
            f"{len(estimator.classes_)} classes was given; every class is fitted with class "
            "weights of its own, which is not supported. Use a multinomial model "
            "(solver='lbfgs'), or wrap one binary LogisticRegression per class."
        )


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
        sample_weight=row_weights(sample_weight, len(np.asarray(y))),
    )


@register_adapter(RidgeClassifier, RidgeClassifierCV, check=_check_ridge)
def ridge_classifier(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a ridge regression on targets -1 and +1."""
    if np.asarray(y).ndim == 2 and np.asarray(y).shape[1] > 1:
        raise ValueError(
            f"{type(estimator).__name__} was fitted on multi-label targets of shape "
            f"{np.asarray(y).shape}; one label per row is accepted. Wrap one classifier per label."
        )
    if len(estimator.classes_) < 2:
        raise ValueError(
            f"{type(estimator).__name__} was fitted on one class, {estimator.classes_.tolist()}; "
            "at least two are accepted, since the fit of one is constant. Add rows of another."
        )
    tight = {"alphas": (1.0,)} if isinstance(estimator, RidgeClassifierCV) else {}
    return class_weighted(estimator, X, y, sample_weight, _ridge_objective, **tight)


def _ridge_objective(
    estimator: Any, X: Any, y: Any, w: Array, weighting: Weighting | None
) -> LinearObjective:
    coef = np.atleast_2d(estimator.coef_)
    return LinearObjective.from_coefficients(
        X,
        y,
        HalfSquaredError(coef.shape[0], estimator.classes_),
        coef,
        estimator.intercept_ if estimator.fit_intercept else None,
        l2=_ridge_penalty(estimator),
        sample_weight=w,
        weighting=weighting,
    )


def _ridge_penalty(estimator: Any) -> Any:
    if isinstance(estimator, LinearRegression):
        return 0.0
    return estimator.alpha_ if hasattr(estimator, "alpha_") else estimator.alpha
