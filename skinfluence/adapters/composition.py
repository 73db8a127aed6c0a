"""What is around the final step: pipelines, searches, transformed targets, frozen estimators.

And a recorded training, which is transparent but for the path it keeps. Scores treat transformers,
of features and of targets, as frozen, and hyper-parameters that a search has chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import Pipeline

from skinfluence.adapters.resampling import draws, rows_of_samplers
from skinfluence.models.recorded_training import RecordedTraining
from skinfluence.typing import Array

_OF_A_SEARCH = ("estimator", "cv", "refit", "error_score")
"""Parameters that every search of scikit-learn has, and no other estimator has together.

Their base class is private, the halving searches are public only once an experimental switch was
imported, and the searches of other packages follow the same form. TunedThresholdClassifierCV, which
holds no best estimator, has no `error_score`.
"""


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
        given = (
            estimator.regressor
        )  # an ensemble has a length once it is fitted, and no truth before
        default = LinearRegression() if given is None else given
        return getattr(estimator, "regressor_", default)
    return estimator


def is_search(estimator: Any) -> bool:
    """Return whether the estimator is a search over hyper-parameters, fitted or not."""
    return all(hasattr(estimator, name) for name in _OF_A_SEARCH)


def is_frozen(estimator: Any) -> bool:
    """Return whether the estimator, or what it holds at any depth, is a FrozenEstimator."""
    held = inner(estimator)
    return held is not estimator and (isinstance(estimator, FrozenEstimator) or is_frozen(held))


def freezes_transformers(estimator: Any, *, frozen: bool = False) -> bool:
    """Return whether a Pipeline, or a transformed target, is frozen as a whole.

    Parameters
    ----------
    estimator : estimator
    frozen : bool, default=False
        Whether something around it is.
    """
    held = inner(estimator)
    if held is estimator:
        return False
    frozen = frozen or isinstance(estimator, FrozenEstimator)
    if frozen and isinstance(held, (Pipeline, TransformedTargetRegressor)):
        return True
    return freezes_transformers(held, frozen=frozen)


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


def replaces_estimators(estimator: Any) -> bool:
    """Return whether a search has yet to choose among estimators, of which one takes a place."""
    held = inner(estimator)
    if held is estimator:
        return False
    if searches(estimator) and is_search(estimator):
        given = [v for name, v in estimator.get_params(deep=False).items() if "param" in name]
        grids = [grid for one in given for grid in (one if isinstance(one, list) else [one])]
        lists = [list_ for grid in grids if isinstance(grid, Mapping) for list_ in grid.values()]
        if any(hasattr(one, "fit") for each in lists if np.iterable(each) for one in each):
            return True
    return replaces_estimators(held)


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
        y = np.array(y, dtype=np.float64)  # a copy, for transformers that work in place
        one = y.ndim == 1
        out = self.regressor.transformer_.transform(y[:, None] if one else y)
        return out[:, 0] if one and out.ndim == 2 and out.shape[1] == 1 else out

    def inverse(self, predictions: Any) -> Any:
        """Return predictions of the inner regressor in units of the target."""
        shape = np.shape(predictions)
        columns = np.array(predictions).reshape(-1, shape[-1])
        return np.reshape(self.regressor.transformer_.inverse_transform(columns), shape)


def reached_max_iter(estimator: Any) -> bool:
    """Return whether a fitted estimator stopped because it had used up its iterations."""
    used, allowed = getattr(estimator, "n_iter_", None), getattr(estimator, "max_iter", None)
    return used is not None and allowed is not None and bool(np.max(used) >= allowed)


def features_of(estimator: Any, X: Any) -> Any:
    """Return rows as the final step sees them: through the fitted transformers.

    These get a copy, since some work in place. Samplers change no rows but those of a fit.
    """
    if isinstance(estimator, Pipeline):
        transforms = [
            step for step in estimator.steps[:-1] if does_something(step[1]) and not draws(step[1])
        ]
        if transforms:
            X = Pipeline(transforms).transform(copied(X))
    held = inner(estimator)
    return X if held is estimator else features_of(held, X)


def feature_names_of(estimator: Any) -> list[str] | None:
    """Return the names of what the final step sees; None where they are not known.

    Its own, else what the transformers in front of it call what they give.
    """
    held, names = inner(estimator), None
    if held is not estimator:
        names = feature_names_of(held)
        if names is None and isinstance(estimator, Pipeline):
            names = _names_out(estimator)
    elif hasattr(estimator, "feature_names_in_"):
        names = [str(name) for name in estimator.feature_names_in_]
    return names


def _names_out(pipeline: Pipeline) -> list[str] | None:
    """Return what the last transformer calls its features; None where it has no names for them."""
    names = None
    for _, step in pipeline.steps[:-1]:
        if not does_something(step) or draws(step):
            continue
        try:
            names = step.get_feature_names_out(names)
        except (AttributeError, NotImplementedError, TypeError, ValueError):  # it has no such names
            names = None
    return None if names is None else [str(name) for name in names]


def rows_drawn(estimator: Any) -> Array | None:
    """Return which of the rows given its final step was fitted on; None for all, in their order.

    Parameters
    ----------
    estimator : fitted estimator

    Raises
    ------
    ValueError
        For a sampler that made rows of its own.
    """
    held = inner(estimator)
    if held is estimator:
        return None
    own = rows_of_samplers(estimator) if isinstance(estimator, Pipeline) else None
    within = rows_drawn(held)
    return within if own is None else own if within is None else own[within]


def targets_of(estimator: Any, y: Any) -> Any:
    """Return targets as the final step sees them: through the fitted transformers of the target."""
    for one in target_transformers(estimator):
        y = one.forward(y)
    return y


def copied(values: Any) -> Any:
    """Return a copy of rows or targets, for what may write on what it is given."""
    if isinstance(values, np.ndarray):
        return values.copy(order="K")  # or a fit of the copy would round otherwise
    return values.copy() if hasattr(values, "copy") else values


def does_something(step: Any) -> bool:
    """Return whether a step of a Pipeline is more than a placeholder."""
    return step is not None and not isinstance(step, str)  # "passthrough"
