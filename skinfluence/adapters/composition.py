"""What is around the final step: pipelines, frozen estimators, and the rows the step was fitted on.

Scores treat transformers as frozen. The features of the training rows are those the final step
really saw (what `fit_transform` gave, which for a TargetEncoder is not what `transform` gives), so
they are recorded while the user's own pipeline fits, with the weights that reached the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data


@dataclass(frozen=True)
class Training:
    """What the final step was fitted on."""

    X: Any
    y: Any
    sample_weight: Any


class _Recorder:
    """Stands in for the final step during `fit` and keeps what it was given."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.training: Training | None = None

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        self.estimator.fit(X, y, **params)
        self.training = Training(X, y, params.get("sample_weight"))
        return self

    def get_metadata_routing(self) -> Any:
        return get_routing_for_object(self.estimator)

    def __sklearn_tags__(self) -> Any:
        return self.estimator.__sklearn_tags__()


def is_frozen(estimator: Any) -> bool:
    """Return whether the estimator, or the final step of a Pipeline, is a FrozenEstimator."""
    if isinstance(estimator, FrozenEstimator):
        return True
    return isinstance(estimator, Pipeline) and is_frozen(estimator.steps[-1][1])


def freezes_transformers(estimator: Any) -> bool:
    """Return whether the final step sits in a Pipeline that is frozen as a whole."""
    if isinstance(estimator, FrozenEstimator):
        inner = estimator.estimator
        return isinstance(inner, Pipeline) or freezes_transformers(inner)
    return isinstance(estimator, Pipeline) and freezes_transformers(estimator.steps[-1][1])


def final_step(estimator: Any) -> Any:
    """Return the innermost last step of (nested, frozen) pipelines; the estimator if it is none."""
    if isinstance(estimator, FrozenEstimator):
        return final_step(estimator.estimator)
    if isinstance(estimator, Pipeline):
        return final_step(estimator.steps[-1][1])
    return estimator


def reached_max_iter(estimator: Any) -> bool:
    """Return whether a fitted estimator stopped because it had used up its iterations."""
    used, allowed = getattr(estimator, "n_iter_", None), getattr(estimator, "max_iter", None)
    return used is not None and allowed is not None and bool(np.max(used) >= allowed)


def features_of(estimator: Any, X: Any) -> Any:
    """Return rows as the final step sees them: through the fitted transformers."""
    if isinstance(estimator, FrozenEstimator):
        return features_of(estimator.estimator, X)
    if isinstance(estimator, Pipeline):
        if len(estimator.steps) > 1:
            X = estimator[:-1].transform(X)
        return features_of(estimator.steps[-1][1], X)
    return X


def fit_recorded(estimator: Any, X: Any, y: Any, fit_params: dict[str, Any]) -> Training:
    """Fit an estimator (in place) and return what its final step was fitted on.

    An outermost FrozenEstimator is taken as it is: its features are what its transformers give
    now, its weights those that `fit_params` names for its final step.

    Raises
    ------
    NotFittedError
        For a frozen final step that was never fitted.
    ValueError
        For a frozen one that was fitted on other features, and whatever `fit` raises.
    """
    if is_frozen(estimator):
        check_is_fitted(final_step(estimator))
    if isinstance(estimator, FrozenEstimator):
        check_consistent_length(X, y)
        weights = fit_params.get(_last_parameter(estimator), fit_params.get("sample_weight"))
        features = features_of(estimator, X)
        validate_data(final_step(estimator), features, reset=False, skip_check_array=True)
        return Training(features, y, weights)
    if not isinstance(estimator, Pipeline):
        estimator.fit(X, y, **fit_params)
        return Training(X, y, fit_params.get("sample_weight"))
    holder = estimator
    while isinstance(holder.steps[-1][1], Pipeline):
        holder = holder.steps[-1][1]
    name, step = holder.steps[-1]
    recorder = _Recorder(step)
    holder.steps[-1] = (name, recorder)
    try:
        estimator.fit(X, y, **fit_params)
    finally:
        holder.steps[-1] = (name, step)
    assert recorder.training is not None
    seen = recorder.training
    return Training(features_of(step, seen.X), seen.y, seen.sample_weight)


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
    if isinstance(estimator, Pipeline):
        steps = [(name, step) for name, step in estimator.steps if hasattr(step, "fit")]
        return [p for name, step in steps for p in _weight_parameters(step, f"{prefix}{name}__")]
    takes = isinstance(estimator, FrozenEstimator) or has_fit_parameter(estimator, "sample_weight")
    return [f"{prefix}sample_weight"] if takes else []


def _last_parameter(estimator: Any) -> str:
    """Return the name by which the weights of the final step are given."""
    if isinstance(estimator, FrozenEstimator):
        return _last_parameter(estimator.estimator)
    if isinstance(estimator, Pipeline):
        name, step = estimator.steps[-1]
        return f"{name}__{_last_parameter(step)}"
    return "sample_weight"
