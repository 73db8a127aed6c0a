"""What is around the final step: pipelines, searches, transformed targets, frozen estimators.

And a recorded training, which is transparent but for the path it keeps.

Scores treat transformers, of features and of targets, as frozen, and hyper-parameters that a search
has chosen. The features of the training rows are those the final step
really saw (what `fit_transform` gave, which for a TargetEncoder is not what `transform` gives), so
they are recorded while the user's own pipeline fits, with the weights that reached the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted, has_fit_parameter, validate_data

from skinfluence.models.recorded_training import RecordedTraining

_OF_A_SEARCH = ("estimator", "cv", "refit", "error_score")
"""Parameters that every search of scikit-learn has, and no other estimator has together.

Their base class is private, the halving searches are public only once an experimental switch was
imported, and the searches of other packages follow the same form. TunedThresholdClassifierCV, which
holds no best estimator, has no `error_score`.
"""


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
        self.training = fit_recorded(self.estimator, X, y, params)
        return self

    def predict(self, X: Any) -> Any:
        return self.estimator.predict(X)

    def __sklearn_clone__(self) -> Any:
        return self

    def get_metadata_routing(self) -> Any:
        return get_routing_for_object(self.estimator)

    def __sklearn_tags__(self) -> Any:
        return self.estimator.__sklearn_tags__()


def inner(estimator: Any) -> Any:
    """Return the estimator that one holds, fitted where that is; itself where it holds none.

    That is the last step of a Pipeline, what a FrozenEstimator froze, the best of a search, the
    regressor under a transformed target, and what a RecordedTraining trained.
    """
    if isinstance(estimator, RecordedTraining):
        return getattr(estimator, "estimator_", estimator.estimator)
    if isinstance(estimator, FrozenEstimator):
        return estimator.estimator
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    if is_search(estimator):
        return getattr(estimator, "best_estimator_", estimator.estimator)
    if type(estimator) is TransformedTargetRegressor:
        default = estimator.regressor or LinearRegression()
        return getattr(estimator, "regressor_", default)
    return estimator


def is_search(estimator: Any) -> bool:
    """Return whether the estimator is a search over hyper-parameters, fitted or not."""
    return all(hasattr(estimator, name) for name in _OF_A_SEARCH)


def is_frozen(estimator: Any) -> bool:
    """Return whether the estimator, or what it holds at any depth, is a FrozenEstimator."""
    held = inner(estimator)
    return held is not estimator and (isinstance(estimator, FrozenEstimator) or is_frozen(held))


def freezes_transformers(estimator: Any) -> bool:
    """Return whether the final step sits in a Pipeline that is frozen as a whole."""
    held = inner(estimator)
    if held is estimator:
        return False
    frozen = isinstance(estimator, FrozenEstimator) and isinstance(held, Pipeline)
    return frozen or freezes_transformers(held)


def final_step(estimator: Any) -> Any:
    """Return the innermost estimator; the estimator itself if it holds none."""
    held = inner(estimator)
    return estimator if held is estimator else final_step(held)


def recorded(estimator: Any) -> RecordedTraining | None:
    """Return the recorded training of the innermost estimator, if it has one."""
    held = inner(estimator)
    if held is estimator or isinstance(estimator, RecordedTraining):
        return estimator if isinstance(estimator, RecordedTraining) else None
    return recorded(held)


def searches(estimator: Any) -> bool:
    """Return whether a search has yet to choose the parameters of the innermost estimator."""
    held = inner(estimator)
    if held is estimator:
        return False
    unfitted = is_search(estimator) and not hasattr(estimator, "best_estimator_")
    return unfitted or searches(held)


def check_composition(estimator: Any) -> None:
    """Refuse searches that keep no estimator, and targets no inner estimator can be read under.

    Raises
    ------
    ValueError
        For ``refit=False``.
    """
    if is_search(estimator) and not estimator.refit:
        raise ValueError(
            f"{type(estimator).__name__}(refit=False) was given: it fits nothing on all rows. Use "
            "refit=True."
        )
    held = inner(estimator)
    if held is not estimator:
        check_composition(held)


def target_transformers(estimator: Any) -> list[Any]:
    """Return the fitted transformers of the target, the outermost first."""
    held = inner(estimator)
    if held is estimator:
        return []
    own = [TargetMap(estimator)] if type(estimator) is TransformedTargetRegressor else []
    return own + target_transformers(held)


@dataclass(frozen=True, eq=False)
class TargetMap:
    """The maps of a fitted TransformedTargetRegressor, between shapes (n, k)."""

    regressor: Any

    def forward(self, y: Any) -> Any:
        """Return targets as the inner regressor sees them."""
        y = np.asarray(y, dtype=np.float64)
        one = y.ndim == 1
        out = self.regressor.transformer_.transform(y[:, None] if one else y)
        return out[:, 0] if one and out.ndim == 2 and out.shape[1] == 1 else out

    def inverse(self, predictions: Any) -> Any:
        """Return predictions of the inner regressor in units of the target."""
        shape = np.shape(predictions)
        columns = np.reshape(predictions, (-1, shape[-1]))
        return np.reshape(self.regressor.transformer_.inverse_transform(columns), shape)


def reached_max_iter(estimator: Any) -> bool:
    """Return whether a fitted estimator stopped because it had used up its iterations."""
    used, allowed = getattr(estimator, "n_iter_", None), getattr(estimator, "max_iter", None)
    return used is not None and allowed is not None and bool(np.max(used) >= allowed)


def features_of(estimator: Any, X: Any) -> Any:
    """Return rows as the final step sees them: through the fitted transformers."""
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        X = estimator[:-1].transform(X)
    held = inner(estimator)
    return X if held is estimator else features_of(held, X)


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
        for one in target_transformers(estimator):
            y = one.forward(y)
        weights = fit_params.get(_last_parameter(estimator), fit_params.get("sample_weight"))
        features = features_of(estimator, X)
        validate_data(final_step(estimator), features, reset=False, skip_check_array=True)
        return Training(features, y, weights)
    if isinstance(estimator, Pipeline):
        name, step = estimator.steps[-1]
        recorder = _Recorder(step)
        estimator.steps[-1] = (name, recorder)
        try:
            estimator.fit(X, y, **fit_params)
        finally:
            estimator.steps[-1] = (name, step)
    elif type(estimator) is TransformedTargetRegressor:
        given = estimator.regressor
        recorder = _Recorder(clone(LinearRegression() if given is None else given))
        estimator.regressor = recorder
        try:
            estimator.fit(X, y, **fit_params)
        finally:
            estimator.regressor = given
        estimator.regressor_ = recorder.estimator
    else:
        estimator.fit(X, y, **fit_params)
        if not is_search(estimator):
            return Training(X, y, fit_params.get("sample_weight"))
        # Once more, so that it can be recorded; what a search leaves is one fit of many.
        estimator.best_estimator_ = clone(estimator.best_estimator_)
        return fit_recorded(estimator.best_estimator_, X, y, fit_params)
    assert recorder.training is not None
    return recorder.training


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
