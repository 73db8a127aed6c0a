"""Adapters of support vector machines, linear and with kernels.

All minimise C sum_i s_i l_i + 1/2 |w|^2: w = s, l2 = 1 / C. LinearSVC and LinearSVR penalise the
intercept as the coefficient of a feature `intercept_scaling`; SVC and SVR leave it free. SVC on
more than two classes is one machine for every pair, on the rows of these two.

Hinges have no curvature. They are smoothed by a temperature t, which the wrapper sets; unless it
says otherwise, 1 % of the median size of the raw predictions, in regressions of the residuals.
Scores are those of the smooth machine; `without` of SVC and SVR is scikit-learn's own machine,
fitted on the rows that stay.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.utils.class_weight import compute_class_weight

from skinfluence.adapters.class_weights import (
    class_weighted,
    refuse_emptied_classes,
    refuse_weights_against_the_rest,
    row_weights,
)
from skinfluence.adapters.kernels import (
    Kernel,
    features_of_kernel,
    machine_kernel,
    refuse_other_rows,
    same_rows,
)
from skinfluence.adapters.registry import register_adapter
from skinfluence.losses import (
    Loss,
    OneVsOne,
    SmoothEpsilonInsensitive,
    SmoothHinge,
    SquaredEpsilonInsensitive,
    SquaredHinge,
)
from skinfluence.models.smooth_svc import SmoothLinearSVC
from skinfluence.objectives import KernelFeatures, LinearObjective, Weighting
from skinfluence.objectives.features import as_table
from skinfluence.typing import Array

WARMTH = 0.01
"""Default temperature, as a part of the median size of the raw predictions."""


def default_temperature(raw: Array) -> float:
    """Return the temperature for a model that makes these raw predictions."""
    median = float(np.median(np.abs(raw)))
    return WARMTH * median if median > 0 else WARMTH


def _refuse_emptied(estimator: Any, y: Any, sample_weight: Any) -> None:
    """Refuse classes without weight, of which the library's fit leaves nothing."""
    w = row_weights(sample_weight, len(np.asarray(y)))
    refuse_emptied_classes(y, estimator.classes_, w)


def _check_linear(estimator: Any) -> None:
    if getattr(estimator, "multi_class", "ovr") == "crammer_singer":
        raise ValueError(
            "LinearSVC(multi_class='crammer_singer') was given; its loss takes the largest of all "
            "classes and has no curvature. Use multi_class='ovr'."
        )


@register_adapter(
    LinearSVC, check=_check_linear, smoothed=lambda estimator: estimator.loss == "hinge"
)
def linear_svc(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a linear machine, its hinge smoothed, one class against the rest."""
    refuse_weights_against_the_rest(estimator)
    _refuse_emptied(estimator, y, sample_weight)
    tight: dict[str, Any] = {"dual": False, "tol": 1e-12, "max_iter": 100_000}
    return class_weighted(estimator, X, y, sample_weight, _linear_svc_objective, **tight)


def _linear_svc_objective(
    estimator: Any, X: Any, y: Any, w: Array, weighting: Weighting | None
) -> LinearObjective:
    loss: Loss = SquaredHinge(estimator.classes_)
    if estimator.loss == "hinge":
        t = default_temperature(estimator.decision_function(X))
        loss = SmoothHinge(estimator.classes_, t)
    return _penalised_intercept(estimator, X, y, loss, w, weighting)


@register_adapter(SmoothLinearSVC)
def smooth_linear_svc(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of the smooth machine, at its own temperature."""
    tight: dict[str, Any] = {"temperature": estimator.temperature}
    return class_weighted(estimator, X, y, sample_weight, _smooth_objective, **tight)


def _smooth_objective(
    estimator: Any, X: Any, y: Any, w: Array, weighting: Weighting | None
) -> LinearObjective:
    loss = SmoothHinge(estimator.classes_, estimator.temperature)
    scaling = np.inf if estimator.intercept_scaling is None else estimator.intercept_scaling
    return _penalised_intercept(estimator, X, y, loss, w, weighting, scaling)


@register_adapter(LinearSVR, smoothed=lambda estimator: estimator.loss == "epsilon_insensitive")
def linear_svr(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a linear machine for regression, its tube smoothed."""
    loss: Loss = SquaredEpsilonInsensitive(estimator.epsilon)
    if estimator.loss == "epsilon_insensitive":
        t = default_temperature(estimator.predict(X) - np.ravel(y))
        loss = SmoothEpsilonInsensitive(estimator.epsilon, t)
    w = row_weights(sample_weight, len(np.asarray(y)))
    return _penalised_intercept(estimator, X, y, loss, w, None)


def _penalised_intercept(
    estimator: Any,
    X: Any,
    y: Any,
    loss: Loss,
    w: Array,
    weighting: Weighting | None,
    scaling: float | None = None,
) -> LinearObjective:
    penalty = 1.0 / estimator.C
    scaling = estimator.intercept_scaling if scaling is None else scaling
    sparse_one = getattr(estimator, "penalty", "l2") == "l1"
    return LinearObjective.from_coefficients(
        X,
        y,
        loss,
        estimator.coef_,
        estimator.intercept_ if estimator.fit_intercept else None,
        l2=0.0 if sparse_one else penalty,
        l2_intercept=0.0 if sparse_one else penalty / scaling**2,
        l1=penalty if sparse_one else 0.0,
        l1_intercept=penalty / scaling if sparse_one else 0.0,
        sample_weight=w,
        weighting=weighting,
    )


# --------------------------------------------------------------------------------- with kernels


def _support(estimator: Any, X: Any, w: Array) -> Array:
    """Return the positions of the support vectors, which dual coefficients go by.

    libsvm leaves out rows of weight 0 and counts the others.

    Raises
    ------
    ValueError
        If other rows are there.
    """
    counted = np.flatnonzero(w > 0)
    if len(counted) <= estimator.support_.max(initial=-1):
        refuse_other_rows(estimator, False)
    support: Array = counted[estimator.support_]
    own = np.shape(X)[0] == estimator.shape_fit_[0]
    if own and not callable(estimator.kernel) and estimator.kernel != "precomputed":
        own = same_rows(as_table(X)[support], estimator.support_vectors_)
    refuse_other_rows(estimator, own)
    return support


def _refit_machine(estimator: Any, objective: LinearObjective, X: Any) -> bool:
    """Fit the machine itself on the rows of an objective.

    What libsvm predicts with is kept in private attributes, which only its own fit may write; and a
    smoothed hinge would make every row a support vector.
    """
    classes = objective.loss.classes
    weights = objective.sample_weight
    if classes is None:
        y = objective.targets[:, 0]
    else:
        codes = _codes(objective)
        y = estimator.classes_[codes]
        scheme = estimator.class_weight
        # The weights of the objective are those of the rows times those of their classes.
        weights = weights / compute_class_weight(scheme, classes=estimator.classes_, y=y)[codes]
    if estimator.gamma == "scale" and isinstance(objective.features, KernelFeatures):
        kernel = objective.features.kernel
        if isinstance(kernel, Kernel):
            estimator.gamma = kernel.params["gamma"]  # frozen: the fit would read another off X
    estimator.fit(X, y, sample_weight=weights)
    return True


def _codes(objective: LinearObjective) -> Array:
    """Return the class of every row, read off its encoded targets."""
    y = objective.targets
    if y.shape[1] == 1:
        return (y[:, 0] > 0).astype(int)
    n_classes = len(objective.loss.classes)  # type: ignore[arg-type]
    member = np.zeros((len(y), n_classes))
    for k, pair in enumerate(combinations(range(n_classes), 2)):
        for label, sign in zip(pair, (-1.0, 1.0), strict=True):
            member[:, label] += y[:, k] == sign
    return member.argmax(axis=1)


@register_adapter(SVC, write=_refit_machine, smoothed=lambda estimator: True)
def svc(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a kernel machine, its hinge smoothed, one class against one."""
    _refuse_emptied(estimator, y, sample_weight)
    return class_weighted(estimator, X, y, sample_weight, _svc_objective, by_rows=True)


def _svc_objective(
    estimator: Any, X: Any, y: Any, w: Array, weighting: Weighting | None
) -> LinearObjective:
    classes = estimator.classes_
    support = _support(estimator, X, w)
    features, Phi = features_of_kernel(machine_kernel(estimator, X), X)
    theta = _pair_coefficients(estimator, Phi[support])
    raw = Phi @ theta.T + np.ravel(_intercepts(estimator))
    if len(classes) == 2:
        loss: Loss = SmoothHinge(classes, default_temperature(raw))
    else:
        pair = SmoothHinge(np.array([0, 1]), default_temperature(raw))
        loss = OneVsOne(pair, classes)
    return LinearObjective.from_coefficients(
        Phi,
        y,
        loss,
        theta,
        _intercepts(estimator),
        l2=1.0 / estimator.C,
        sample_weight=w,
        weighting=weighting,
    ).with_features(features)


def _pair_coefficients(estimator: Any, rows: Array) -> Array:
    """Return the coefficients of every pair of classes, positive for the later one.

    From the features of the support vectors.
    """
    dual = _dense(estimator.dual_coef_)
    n_classes = len(estimator.classes_)
    if n_classes == 2:
        return dual @ rows
    # dual_coef_ has n_classes - 1 rows: a support vector of class a has in row b - 1 its
    # coefficient against class b > a, in row b that against class b < a.
    ends = np.cumsum(estimator.n_support_)
    span = [slice(e - n, e) for e, n in zip(ends, estimator.n_support_, strict=True)]
    return -np.array(
        [
            dual[b - 1, span[a]] @ rows[span[a]] + dual[a, span[b]] @ rows[span[b]]
            for a, b in combinations(range(n_classes), 2)
        ]
    )


def _dense(dual: Any) -> Array:
    return np.asarray(dual.todense() if sparse.issparse(dual) else dual)


def _intercepts(estimator: Any) -> Array:
    b: Array = np.ravel(estimator.intercept_)
    return b if len(estimator.classes_) == 2 else -b


@register_adapter(SVR, write=_refit_machine, smoothed=lambda estimator: True)
def svr(estimator: Any, X: Any, y: Any, sample_weight: Any) -> LinearObjective:
    """Return the objective of a kernel machine for regression, its tube smoothed."""
    w = row_weights(sample_weight, len(np.asarray(y)))
    support = _support(estimator, X, w)
    features, Phi = features_of_kernel(machine_kernel(estimator, X), X)
    theta = _dense(estimator.dual_coef_) @ Phi[support]
    residuals = Phi @ theta[0] + estimator.intercept_[0] - np.ravel(y)
    return LinearObjective.from_coefficients(
        Phi,
        y,
        SmoothEpsilonInsensitive(estimator.epsilon, default_temperature(residuals)),
        theta,
        estimator.intercept_,
        l2=1.0 / estimator.C,
        sample_weight=w,
    ).with_features(features)
