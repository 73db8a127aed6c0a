"""What a fitted estimator still has of rows that its final step has forgotten.

Looked up, not listed by names: transformers say by their tags whether they learn from rows, and
what a deletion does not write anew is as the fit on all rows left it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags

from skinfluence.adapters.composition import does_something, inner, is_search
from skinfluence.adapters.resampling import draws


def transformers_that_learned(estimator: Any, n_rows: int) -> list[str]:
    """Return which fitted transformers and samplers around the final step have seen its rows.

    Parameters
    ----------
    estimator : fitted estimator
    n_rows : int
        Of the data they were fitted on: arrays with as many entries are values of single rows.

    Returns
    -------
    list of str
        The type, the name of its step, and which attributes keep single rows.
    """
    return [_described(name, step, n_rows) for name, step in _around(estimator) if _learns(step)]


def frozen_transformers(estimator: Any) -> list[str]:
    """Return which transformers around the final step no fit changes, described alike."""
    frozen = [(name, step) for name, step in _around(estimator) if type(step) is FrozenEstimator]
    return [_described(name, step, 0) for name, step in frozen if _learns(step)]


def _around(estimator: Any) -> list[tuple[str, Any]]:
    """Return the fitted transformers, of features and of the target, and samplers, by name."""
    held = inner(estimator)
    if held is estimator:
        return []
    own: list[tuple[str, Any]] = []
    if isinstance(estimator, Pipeline):
        own = _leaves(estimator.steps[:-1])
    elif type(estimator) is TransformedTargetRegressor:
        own = _leaves([("transformer_", estimator.transformer_)])
    return own + _around(held)


def _leaves(steps: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return fitted transformers by name, those inside others in their place."""
    found = []
    for name, step, *_ in steps:
        path = f"{prefix}{name}"
        within = _within(step)
        if within is not None:
            found += _leaves(within, f"{path}__")
        elif does_something(step):
            found.append((path, step))
    return found


def _within(step: Any) -> Any:
    """Return the named transformers that a transformer is made of; None where it is one."""
    if isinstance(step, Pipeline):
        return step.steps
    if isinstance(step, ColumnTransformer):
        return step.transformers_
    return step.transformer_list if isinstance(step, FeatureUnion) else None


def _learns(step: Any) -> bool:
    """Return whether a transformer is fitted; one that says nothing of itself is."""
    return draws(step) or not hasattr(step, "__sklearn_tags__") or get_tags(step).requires_fit


def _described(name: str, step: Any, n_rows: int) -> str:
    if isinstance(step, FrozenEstimator):
        kind = f"{type(step.estimator).__name__}, step {name!r}"
        return f"{kind}: frozen, fitted on rows that are not known here"
    kind = f"{type(step).__name__}, step {name!r}"
    if draws(step):
        return f"{kind}: it drew with them there"
    kept = [key for key, value in vars(step).items() if _has_rows(value, n_rows)]
    return f"{kind}, which keeps an entry for each row ({', '.join(kept)})" if kept else kind


def _has_rows(value: Any, n_rows: int) -> bool:
    is_table = isinstance(value, np.ndarray) or sparse.issparse(value)
    return is_table and value.ndim > 0 and value.shape[0] == n_rows


def choices_of_searches(estimator: Any) -> list[str]:
    """Return which parameters the fitted searches around the final step have chosen."""
    found = []
    for one in _searches(estimator):
        chosen = ", ".join(f"{name}={value!r}" for name, value in one.best_params_.items())
        found.append(f"{type(one).__name__}: {chosen}")
    return found


def tables_of_searches(estimator: Any) -> list[str]:
    """Return where the fitted searches around the final step keep scores of their candidates."""
    return [f"{type(one).__name__}: cv_results_" for one in _searches(estimator)]


def _searches(estimator: Any) -> list[Any]:
    held = inner(estimator)
    if held is estimator:
        return []
    own = [estimator] if is_search(estimator) and hasattr(estimator, "best_params_") else []
    return own + _searches(held)


def fitted_numbers(final: Any) -> dict[tuple[str, ...], Any]:
    """Return the numbers that a fit left on a final step and its parts, by where they are."""
    params = final.get_params(deep=False)
    found: dict[tuple[str, ...], Any] = {}
    for name, value in vars(final).items():
        if name in params or name == "classes_" or not (name[0] == "_" or name[-1] == "_"):
            continue
        if name == "estimators_":
            parts = value.ravel() if isinstance(value, np.ndarray) else value
            for k, part in enumerate(parts):
                found |= {(str(k), *path): v for path, v in fitted_numbers(part).items()}
        elif any(_numbers(value)):
            found[(name,)] = value
    return found


def _numbers(value: Any) -> Iterator[bool]:
    """Yield, for each value in a value, whether it is a floating number: others count or name."""
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, dict):
        yield from _numbers(list(value.values()))
    elif isinstance(value, (np.ndarray, np.generic)):
        yield value.dtype.kind == "f"
    elif type(value).__module__.startswith("sklearn") and not isinstance(value, BaseEstimator):
        yield from _numbers(list(getattr(value, "__dict__", {}).values()))  # an optimiser's moments
    else:
        yield isinstance(value, float)


def left_over(before: dict[tuple[str, ...], Any], final: Any) -> list[str]:
    """Return which of the numbers of a fit were not written anew.

    Parameters
    ----------
    before : dict
        `fitted_numbers` of the same estimator, before other parameters were written.
    final : estimator

    Returns
    -------
    list of str
        At most one: the type, and the names of attributes.
    """
    after = fitted_numbers(final)
    names = dict.fromkeys(path[-1] for path, v in after.items() if v is before.get(path, after))
    return [f"{type(final).__name__}: {', '.join(names)}"] if names else []
