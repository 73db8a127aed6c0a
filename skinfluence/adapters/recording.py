"""Fit an estimator and record what its final step was fitted on.

The features of the training rows are those the final step really saw (what `fit_transform` gave,
which for a TargetEncoder is not what `transform` gives), so they are recorded while the user's own
pipeline fits, with the weights that reached the step.
"""

from __future__ import annotations

from typing import Any

from sklearn import get_config
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length
from sklearn.utils.metadata_routing import get_routing_for_object, process_routing
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from skinfluence.adapters.composition import (
    copied,
    does_something,
    features_of,
    final_step,
    inner,
    is_frozen,
    is_search,
    rows_drawn,
    targets_of,
)
from skinfluence.adapters.resampling import Training, counted, drawn, draws, refuse_other_rows


class _Recorder:
    """Stands in for the final step during `fit` and keeps what it was given.

    Whatever else is read or written, such as callbacks, is the step's.
    """

    estimator: Any
    training: Training | None

    def __init__(self, estimator: Any) -> None:
        vars(self).update(estimator=estimator, training=None)

    def __getattr__(self, name: str) -> Any:
        return getattr(vars(self).get("estimator"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.estimator, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.estimator, name)

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        vars(self)["training"] = _fit(self.estimator, X, y, params)
        return self

    def __sklearn_clone__(self) -> Any:
        return self

    def get_metadata_routing(self) -> Any:
        return get_routing_for_object(self.estimator)

    def __sklearn_tags__(self) -> Any:
        return self.estimator.__sklearn_tags__()


def _writes(estimator: Any) -> bool:
    """Return whether the fit of an estimator may write on the rows or targets it is given.

    Of transformers nothing is known. Linear models do with ``copy_X=False``.
    """
    held = inner(estimator)
    if isinstance(estimator, Pipeline) and any(does_something(s) for _, s in estimator.steps[:-1]):
        return True
    if held is not estimator:
        return type(estimator) is TransformedTargetRegressor or _writes(held)
    params = estimator.get_params() if hasattr(estimator, "get_params") else {}
    return any(value is False for name, value in params.items() if name.endswith("copy_X"))


def fit_recorded(estimator: Any, X: Any, y: Any, fit_params: dict[str, Any]) -> Training:
    """Fit an estimator (in place) and return what its final step was fitted on, row by row.

    X and y stay as they are, whatever works in place. An outermost FrozenEstimator is taken as it
    is: its features are what its transformers give now, its weights those that `fit_params` names
    for its final step. Where samplers drew rows, every row given counts as often as it was drawn.

    Raises
    ------
    NotFittedError
        For a frozen final step that was never fitted.
    ValueError
        For a frozen one that was fitted on other features, for rows of the final step that are not
        those given, and whatever `fit` raises.
    """
    refuse_weights_of_drawn_rows(estimator, fit_params)
    if is_frozen(estimator):
        check_is_fitted(final_step(estimator))
    training = _fit(estimator, X, y, fit_params)
    if inner(estimator) is estimator:
        return training
    rows, targets = rows_drawn(estimator), targets_of(estimator, y)
    if rows is None:
        refuse_other_rows(training, targets)
        return training
    return counted(final_step(estimator), training, features_of(estimator, X), targets, rows)


def _fit(estimator: Any, X: Any, y: Any, fit_params: dict[str, Any]) -> Training:
    """Fit an estimator (in place) and return what its final step was fitted on."""
    if isinstance(estimator, FrozenEstimator):
        check_consistent_length(X, y)
        weights = fit_params.get(_last_parameter(estimator), fit_params.get("sample_weight"))
        features = features_of(estimator, X)
        validate_data(final_step(estimator), features, reset=False, skip_check_array=True)
        targets, rows = targets_of(estimator, y), rows_drawn(estimator)
        if rows is not None:
            features, targets = drawn(features, rows), drawn(targets, rows)
        return Training(features, targets, weights)
    given = (copied(X), copied(y)) if _writes(estimator) else (X, y)
    if isinstance(estimator, Pipeline):
        name, step = estimator.steps[-1]
        recorder = _Recorder(step)
        estimator.steps[-1] = (name, recorder)
        try:
            estimator.fit(*given, **fit_params)
        finally:
            estimator.steps[-1] = (name, step)
    elif type(estimator) is TransformedTargetRegressor:
        regressor = estimator.regressor
        recorder = _Recorder(clone(LinearRegression() if regressor is None else regressor))
        estimator.regressor = recorder
        try:
            estimator.fit(*given, **fit_params)
        finally:
            estimator.regressor = regressor
        estimator.regressor_ = recorder.estimator
    else:
        estimator.fit(*given, **fit_params)
        if not is_search(estimator):
            return Training(X, y, fit_params.get("sample_weight"))
        # Once more, so that it can be recorded; what a search leaves is one fit of many.
        estimator.best_estimator_ = clone(estimator.best_estimator_)
        if get_config()["enable_metadata_routing"]:
            fit_params = process_routing(estimator, "fit", **fit_params).estimator.fit
        return _fit(estimator.best_estimator_, X, y, past_searches(estimator, fit_params))
    assert recorder.training is not None
    return recorder.training


def past_searches(estimator: Any, fit_params: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the parameters of `fit` but for the `groups` of searches, metadata routing off."""
    held = inner(estimator)
    if held is estimator:
        return fit_params
    if is_search(estimator):
        fit_params = {name: v for name, v in fit_params.items() if name != f"{prefix}groups"}
    if isinstance(estimator, Pipeline):
        prefix = f"{prefix}{estimator.steps[-1][0]}__"
    return past_searches(held, fit_params, prefix)


def refuse_weights_of_drawn_rows(estimator: Any, fit_params: dict[str, Any]) -> None:
    """Refuse sample weights where a sampler draws rows, which takes no weights along."""
    named = [name for name in fit_params if name.endswith("sample_weight")]
    weighted = any(fit_params[name] is not None for name in named)
    held = inner(estimator)
    if (
        weighted
        and isinstance(estimator, Pipeline)
        and any(map(draws, dict(estimator.steps).values()))
    ):
        raise ValueError(
            "Sample weights were given to a Pipeline with a sampler, which draws rows and leaves "
            "their weights behind. Fit without weights, or weigh rows instead of drawing them."
        )
    if held is not estimator:
        refuse_weights_of_drawn_rows(held, fit_params)


def weighted_fit_params(
    estimator: Any, sample_weight: Any, fit_params: dict[str, Any]
) -> dict[str, Any]:
    """Return the parameters of ``estimator.fit`` that carry the weights, metadata routing off.

    `sample_weight` goes to every step of the (nested) Pipeline whose `fit` takes it, so that
    weight 0 is absence for a scaler too.

    Raises
    ------
    TypeError
        If the final step takes no sample weights.
    ValueError
        If weights are given both as `sample_weight` and by the name of a step.
    """
    if sample_weight is None:
        return fit_params
    named = [name for name in fit_params if name.endswith("__sample_weight")]
    if named:
        raise ValueError(
            f"Weights were given both as sample_weight and as {named[0]}; pass one of them: "
            "sample_weight for every step that takes it, or the named ones alone."
        )
    if not is_frozen(estimator) and not has_fit_parameter(final_step(estimator), "sample_weight"):
        raise TypeError(
            f"sample_weight was given, but {type(final_step(estimator)).__name__}.fit takes none. "
            "Fit without sample_weight."
        )
    names = _weight_parameters(estimator)
    return {**fit_params, **dict.fromkeys(names, sample_weight)}


def _weight_parameters(estimator: Any, prefix: str = "") -> list[str]:
    """Return the fit parameters by which sample weights reach every step that takes them."""
    if is_search(estimator) or isinstance(estimator, TransformedTargetRegressor):
        held = inner(estimator)
        return _weight_parameters(held, prefix)
    if isinstance(estimator, Pipeline):
        steps = [(name, step) for name, step in estimator.steps if hasattr(step, "fit")]
        return [p for name, step in steps for p in _weight_parameters(step, f"{prefix}{name}__")]
    takes = isinstance(estimator, FrozenEstimator) or has_fit_parameter(estimator, "sample_weight")
    return [f"{prefix}sample_weight"] if takes else []


def _last_parameter(estimator: Any) -> str:
    """Return the name by which the weights of the final step are given."""
    if isinstance(estimator, Pipeline):
        name, step = estimator.steps[-1]
        return f"{name}__{_last_parameter(step)}"
    held = inner(estimator)
    return "sample_weight" if held is estimator else _last_parameter(held)
