"""Adapters of `sklearn.linear_model`: logistic regression, least squares, generalised models.

Scalings, sum_i w_i l_i + 1/2 l2 |theta|^2 + l1 |theta|_1, each proven by stationarity of a tight
fit:

- LogisticRegression minimises C sum_i s_i l_i + 1/2 |coef|^2: w = s, l2 = 1 / C. Its liblinear
  solver penalises the intercept as the coefficient of a feature `intercept_scaling`.
- Ridge minimises sum_i s_i r_i^2 + alpha |coef|^2: with half squared errors l2 = alpha.
- HuberRegressor minimises sum_i s_i l_i + alpha |coef|^2, the scale a parameter: l2 = 2 alpha.
- Lasso, ElasticNet and the generalised linear models minimise sum_i s_i l_i / S + penalty, S the
  sum of the s_i: penalties count S times, and a row that leaves takes s_i of that along.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    TweedieRegressor,
)

from skinfluence.adapters.class_weights import (
    class_weighted,
    refuse_emptied_classes,
    refuse_weights_against_the_rest,
    row_weights,
)
from skinfluence.adapters.registry import register_adapter
from skinfluence.losses import (
    ConcomitantHuber,
    HalfSquaredError,
    Logistic,
    Loss,
    Multinomial,
    Tweedie,
)
from skinfluence.objectives import Averaged, LinearObjective, Weighting
from skinfluence.typing import Array


def _check_logistic(estimator: Any) -> None:
    if isinstance(estimator, LogisticRegressionCV) and not estimator.refit:
        raise ValueError(
            "LogisticRegressionCV(refit=False) averages the models of its folds and minimises "
            "nothing on all rows; use refit=True."
        )


def _l1_share(estimator: Any) -> Array:
    """Return the share of the l1 penalty of every output, 0 for l2."""
    if estimator.penalty == "l1":
        chosen: Any = 1.0
    elif estimator.penalty not in ("elasticnet", "deprecated"):
        chosen = 0.0
    elif isinstance(estimator, LogisticRegressionCV):
        chosen = estimator.l1_ratio_
    else:
        chosen = estimator.l1_ratio
    share = np.asarray(0.0 if chosen is None else chosen, dtype=np.float64)
    return np.where(np.isnan(share), 0.0, share)  # scikit-learn's "no ratio" of a plain l2 search


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
    penalty, share = _logistic_penalty(estimator), _l1_share(estimator)
    l1, l2 = share * penalty, (1.0 - share) * penalty
    l1_intercept, l2_intercept = np.zeros_like(l1), np.zeros_like(l2)
    if estimator.solver == "liblinear":
        l1_intercept = l1 / estimator.intercept_scaling
        l2_intercept = l2 / estimator.intercept_scaling**2
    if estimator.fit_intercept and not np.all(l1_intercept + l2_intercept):
        refuse_emptied_classes(y, estimator.classes_, w)
    return LinearObjective.from_coefficients(
        X,
        y,
        loss,
        estimator.coef_,
        estimator.intercept_ if estimator.fit_intercept else None,
        l2=l2,
        l2_intercept=l2_intercept,
        l1=l1,
        l1_intercept=l1_intercept,
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
        # LogisticRegressionCV turns class weights into row weights first.
        moving = estimator.solver == "liblinear" or estimator.class_weight == "balanced"
        if moving and not isinstance(estimator, LogisticRegressionCV):
            refuse_weights_against_the_rest(estimator)
        return Logistic(classes)
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
    tight: dict[str, Any] = {}
    if isinstance(estimator, RidgeClassifierCV):
        tight["alphas"] = (1.0,)
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


def _mean_form(
    estimator: Any, X: Any, y: Any, sample_weight: Any, loss: Loss, *, l2: float, l1: float = 0.0
) -> LinearObjective:
    """Return the objective of a mean of losses; `l2` and `l1` are the penalties beside the mean."""
    s = row_weights(sample_weight, len(np.asarray(y)))
    return LinearObjective.from_coefficients(
        X,
        y,
        loss,
        estimator.coef_,
        estimator.intercept_ if estimator.fit_intercept else None,
        l2=l2 * s.sum(),
        l1=l1 * s.sum(),
        sample_weight=s,
        # Without a penalty a mean has the minimum of a sum, whatever leaves.
        weighting=Averaged.of_all(s) if l2 or l1 else None,
    )


@register_adapter(ElasticNet, Lasso, ElasticNetCV, LassoCV, check=_check_ridge)
def elastic_net(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of least squares with l1 and l2 penalties, its alpha frozen."""
    alpha = float(estimator.alpha_ if hasattr(estimator, "alpha_") else estimator.alpha)
    share = (
        1.0
        if isinstance(estimator, LassoCV)
        else float(getattr(estimator, "l1_ratio_", estimator.l1_ratio))
    )
    coef = np.atleast_2d(estimator.coef_)
    loss = HalfSquaredError(coef.shape[0])
    return _mean_form(
        estimator, X, y, sample_weight, loss, l2=alpha * (1.0 - share), l1=alpha * share
    )


@register_adapter(PoissonRegressor, GammaRegressor, TweedieRegressor)
def generalised_linear(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a generalised linear model of the Tweedie family."""
    fixed = {PoissonRegressor: 1.0, GammaRegressor: 2.0}
    link = getattr(estimator, "link", "log")
    power = fixed.get(type(estimator))
    power = float(estimator.power if power is None else power)
    if link == "auto":
        link = "identity" if power <= 0 else "log"
    return _mean_form(
        estimator, X, y, sample_weight, Tweedie(power, link), l2=float(estimator.alpha)
    )


def _write_huber(estimator: Any, objective: LinearObjective, X: Any) -> None:
    W = objective.coefficients_as_given()
    estimator.coef_ = W[0, :-1].astype(estimator.coef_.dtype)
    if estimator.fit_intercept:
        estimator.intercept_ = float(W[0, -1])
    estimator.scale_ = float(W[1, -1])
    y = objective.targets
    estimator.outliers_ = np.abs(y - objective.raw_predictions()[:, 0]) > (
        estimator.scale_ * estimator.epsilon
    )


@register_adapter(HuberRegressor, write=_write_huber)
def huber(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of robust least squares; its scale is the last parameter.

    The scale is a second raw prediction, of which only the intercept is a parameter.
    """
    p = len(estimator.coef_)
    W = np.zeros((2, p))
    W[0] = estimator.coef_
    whole = LinearObjective.from_coefficients(
        X,
        y,
        ConcomitantHuber(estimator.epsilon),
        W,
        np.array([estimator.intercept_, estimator.scale_]),
        l2=np.array([2.0 * estimator.alpha, 0.0]),
        sample_weight=row_weights(sample_weight, len(np.asarray(y))),
    )
    return whole.with_free(np.r_[np.arange(p + bool(estimator.fit_intercept)), 2 * p + 1])
