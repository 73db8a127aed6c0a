"""Which adapter knows which estimator: by exact type, because a subclass may change the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skinfluence.losses import TransformedTarget
from skinfluence.objectives import LinearObjective, Objective

Adapt = Callable[[Any, Any, Any, Any], Objective]
Write = Callable[[Any, Any, Any], bool | None]


@dataclass(frozen=True)
class Adapter:
    """How one type of estimator becomes an objective, and what of it is refused before fitting.

    `write` is the way back: it gives a fitted estimator other parameters, or fits it anew and
    returns True. `smoothed` tells whether
    a temperature smooths its loss.
    """

    objective: Adapt
    check: Callable[[Any], None] | None
    write: Write | None
    smoothed: Callable[[Any], bool] | None


_ADAPTERS: dict[type, Adapter] = {}


def register_adapter(
    *types: type,
    check: Callable[[Any], None] | None = None,
    write: Write | None = None,
    smoothed: Callable[[Any], bool] | None = None,
) -> Callable[[Adapt], Adapt]:
    """Register the objective of one or several types of estimator.

    The decorated function is called as ``adapter(estimator, X, y, sample_weight)`` with the fitted
    final step, the features, targets and weights it was fitted on (`sample_weight` is None where
    none were given), and returns the `Objective` it minimised, at its fitted parameters. It is
    found by exact type: a subclass has to be registered itself.

    Parameters
    ----------
    *types : type
        Estimator classes. A type that has an adapter gets the new one.
    check : callable, optional
        Called with an unfitted estimator before it is fitted; raises ValueError for parameters
        that have no influence function.
    write : callable, optional
        Called as ``write(estimator, objective, X)`` with a fitted estimator and the objective at
        other parameters, over the rows X that determine them; puts ``objective.theta`` in place of
        the fitted parameters. Or fits the estimator anew on these rows, with the objective's
        targets and weights, and returns True. Needed by `without` alone, and only where the
        parameters are not ``coef_`` and ``intercept_``.
    smoothed : callable, optional
        Called with an estimator; returns whether its objective has a loss with a temperature,
        which the wrapper then sets. By default it has none.

    Returns
    -------
    callable
        A decorator that returns its function unchanged.

    Notes
    -----
    The objective is stated as F(theta) = sum_i w_i l_i(theta) + 1/2 theta' diag(l2) theta, not
    divided by the number of rows: an estimator that minimises the mean of its losses plus
    1/2 alpha theta' theta has l2 = n alpha. If it is stated right, ``objective.gradient()`` is zero
    at a tight fit; if not, `InfluenceClassifier.leave_one_out_check` shows a noise floor.

    Examples
    --------
    A subclass that keeps its parent's loss may use its parent's adapter:

    >>> from sklearn.linear_model import Ridge
    >>> from skinfluence import InfluenceRegressor, register_adapter
    >>> from skinfluence.losses import HalfSquaredError
    >>> from skinfluence.objectives import LinearObjective
    >>> class MyRidge(Ridge):
    ...     pass
    >>> @register_adapter(MyRidge)
    ... def my_ridge(estimator, X, y, sample_weight):
    ...     return LinearObjective.from_coefficients(
    ...         X,
    ...         y,
    ...         HalfSquaredError(),
    ...         estimator.coef_,
    ...         estimator.intercept_,
    ...         l2=estimator.alpha,
    ...         sample_weight=sample_weight,
    ...     )
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 5.0]
    >>> model = InfluenceRegressor(MyRidge()).fit(X, y)
    >>> model.influence_scores([[1.0]], [1.0]).shape
    (1, 4)
    """

    def register(adapter: Adapt) -> Adapt:
        for type_ in types:
            _ADAPTERS[type_] = Adapter(adapter, check, write, smoothed)
        return adapter

    return register


def registered() -> tuple[type, ...]:
    """Return the types that have an adapter."""
    return tuple(_ADAPTERS)


def check_supported(estimator: Any) -> None:
    """Refuse, before it is fitted, an estimator whose influence is not defined here.

    Raises
    ------
    TypeError
        For a type without an adapter.
    ValueError
        For parameters that its adapter refuses.
    """
    adapter = _find(estimator)
    if adapter.check is not None:
        adapter.check(estimator)


def adapt(estimator: Any, X: Any, y: Any, sample_weight: Any) -> Objective:
    """Return the objective of a fitted estimator over the rows it was fitted on."""
    check_supported(estimator)
    objective = _find(estimator).objective(estimator, X, y, sample_weight)
    if not isinstance(objective, Objective):
        raise TypeError(
            f"The adapter of {type(estimator).__name__} returned {objective!r}; an Objective, such "
            "as LinearObjective or AutogradObjective, is accepted. Look for a missing return."
        )
    if isinstance(objective, LinearObjective):
        return objective.shifted()
    return objective.bind(X, y, sample_weight) if objective.unbound else objective


def is_smoothed(estimator: Any) -> bool:
    """Return whether a temperature smooths the loss of an estimator."""
    smoothed = _find(estimator).smoothed
    return smoothed is not None and smoothed(estimator)


def write_parameters(estimator: Any, objective: Objective, X: Any) -> bool:
    """Put the parameters of an objective over rows X in place of the fitted ones.

    Returns
    -------
    bool
        Whether the estimator was fitted anew on these rows instead.

    Raises
    ------
    TypeError
        If nothing is known about where this type keeps its parameters.
    """
    write = _find(estimator).write
    if not isinstance(objective, LinearObjective):
        if write is None:
            raise _no_way_back(estimator, "is not a linear model")
        return bool(write(estimator, objective, X))
    while isinstance(objective.loss, TransformedTarget):  # its targets are transformed already
        objective = replace(objective, loss=objective.loss.loss)
    return bool((write or write_linear)(estimator, objective, X))


def write_linear(estimator: Any, objective: LinearObjective, X: Any) -> None:
    """Write coefficients to ``coef_`` and ``intercept_``, in their shapes and dtypes."""
    if not hasattr(estimator, "coef_"):
        raise _no_way_back(estimator, "has no coef_")
    shape, dtype = np.shape(estimator.coef_), np.asarray(estimator.coef_).dtype
    W = objective.coefficients_as_given()
    estimator.coef_ = W[:, : shape[-1]].reshape(shape).astype(dtype)
    if W.shape[1] > shape[-1]:
        intercept = W[:, -1].astype(np.asarray(estimator.intercept_).dtype)
        several = np.ndim(estimator.intercept_) > 0
        estimator.intercept_ = intercept if several else intercept[0]


def _no_way_back(estimator: Any, why: str) -> TypeError:
    name = type(estimator).__name__
    return TypeError(
        f"{name} {why}, so its parameters cannot be written back. Register its adapter with a way "
        f"to: @skinfluence.register_adapter({name}, write=...)."
    )


def _find(estimator: Any) -> Adapter:
    if estimator is None or isinstance(estimator, str):
        raise TypeError(
            f"The last step of the Pipeline is {estimator!r}: it has no final estimator, so "
            "nothing was minimised. End the Pipeline with a classifier or a regressor."
        )
    name = type(estimator).__name__
    adapter = _ADAPTERS.get(type(estimator))
    if adapter is not None:
        return adapter
    if name in REFUSED:
        raise TypeError(f"{name} was given, but {REFUSED[name]}")
    if not hasattr(estimator, "predict") and not hasattr(type(estimator), "predict"):
        raise TypeError(
            f"{name} was given, which predicts nothing; a classifier or a regressor is accepted. "
            "End the Pipeline with one."
        )
    parents = [t.__name__ for t in type(estimator).__mro__[1:] if t in _ADAPTERS]
    if parents:
        raise TypeError(
            f"{name} is a subclass of {parents[0]} and may minimise something else; adapters are "
            f"found by exact type. If its objective is known, register it: "
            f"@skinfluence.register_adapter({name})."
        )
    raise TypeError(
        f"{name} has no known objective, so its influence is not defined here. "
        f"Supported are {FAMILIES} of scikit-learn, alone or as the last step of a Pipeline. A "
        "model that minimises a differentiable loss can be added: "
        f"@skinfluence.register_adapter({name}). For models without one (nearest neighbours), "
        "refit without the rows instead, or explain a differentiable surrogate."
    )


FAMILIES = (
    "linear and generalised linear models, support vector machines, kernel ridge, Gaussian "
    "processes, multilayer perceptrons, decision trees, forests and gradient boosting"
)

_ONE_BY_ONE = (
    "its prediction combines models that are fitted on their own, each with its own influences. "
    "Wrap them one by one."
)
_NO_LOSS = (
    "it minimises no differentiable loss: a row moves it in jumps, or not at all. Refit without "
    "the rows instead, or explain a differentiable surrogate."
)
_NU = (
    "its nu is a constraint that ties all rows together. Use the estimator without Nu in its name, "
    "whose C is a penalty."
)

REFUSED = {
    **dict.fromkeys(("VotingClassifier", "VotingRegressor"), _ONE_BY_ONE),
    **dict.fromkeys(("StackingClassifier", "StackingRegressor"), _ONE_BY_ONE),
    **dict.fromkeys(("ClassifierChain", "RegressorChain"), _ONE_BY_ONE),
    **dict.fromkeys(
        ("AdaBoostClassifier", "AdaBoostRegressor"),
        "every stage weighs rows, and itself, by which rows the stages before got wrong: a row "
        "moves it in jumps. Use GradientBoostingClassifier(loss='exponential'), which minimises "
        "the loss of AdaBoost, or GradientBoostingRegressor.",
    ),
    "IsolationForest": (
        "its scores count splits drawn at random, and no value in it is fitted to rows. Refit "
        "without the rows instead."
    ),
    "RandomTreesEmbedding": (
        "it codes rows by splits drawn at random, and predicts nothing. Use it before a linear "
        "model in a Pipeline."
    ),
    "CalibratedClassifierCV": (
        "its calibrators are fitted on the predictions of other rows, fold by fold, and it "
        "minimises nothing on all of them. Wrap its estimator, with or without a fixed "
        "calibration behind it."
    ),
    "QuantileRegressor": (
        "its optimum is a vertex of a polyhedron, which the removal of a row moves by jumps: it "
        "has no influence function. Use HuberRegressor, or LinearSVR(epsilon=0), whose loss is "
        "smoothed, for the median."
    ),
    "NuSVC": _NU,
    "NuSVR": _NU,
    "OneClassSVM": _NU,
    "Perceptron": (
        "it stops at any separating plane and minimises no differentiable loss. Use "
        "SGDClassifier(loss='hinge') or LinearSVC."
    ),
    **dict.fromkeys(
        ("PassiveAggressiveClassifier", "PassiveAggressiveRegressor"),
        "its result depends on the order of the rows and minimises nothing. Use LinearSVC, "
        "LinearSVR or SGDClassifier.",
    ),
    **dict.fromkeys(
        ("LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis", "GaussianNB"),
        "it estimates moments of each class and minimises no sum over rows in the parameters it "
        "predicts with. Use LogisticRegression, or RidgeClassifier, which is the discriminant of "
        "two classes as least squares.",
    ),
    **dict.fromkeys(
        ("MultiTaskElasticNet", "MultiTaskLasso"),
        "its penalty couples the targets in groups that leave the model as one, which is not "
        "supported. Use Lasso or ElasticNet, which take several targets, each on its own.",
    ),
    **dict.fromkeys(
        ("BayesianRidge", "ARDRegression"),
        "its penalties are estimated from the same rows. Fit Ridge with alpha=lambda_/alpha_ of "
        "the fitted model, which freezes them.",
    ),
    **dict.fromkeys(("PLSRegression", "PLSCanonical"), _NO_LOSS),
    **dict.fromkeys(
        ("GaussianProcessClassifier",),
        "its Laplace approximation is not a sum over rows at its hyper-parameters here. Use "
        "SVC(kernel='rbf'), or Nystroem and LogisticRegression in a Pipeline.",
    ),
}
"""Estimators that would be asked for, why they are not here, and what to do instead."""
