"""Honest refits without some rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.parallel import Parallel, delayed

from skinfluence.process.progress import counted
from skinfluence.retraining.networks import WarmStart
from skinfluence.typing import Array


def refit_without(
    estimator: Any,
    X: Any,
    y: Any,
    fit_params: dict[str, Any],
    removed: list[Array],
    *,
    held_out: Array | None = None,
    n_jobs: int | None = None,
) -> list[Any]:
    """Fit a clone of the estimator without each set of rows; an empty set is the full fit.

    Parameters
    ----------
    estimator : estimator
    X, y : array-like with n_samples rows
    fit_params : dict
        Entries with n_samples rows are cut along.
    removed : list of ndarray of int
    held_out : ndarray of int, optional
        Rows that no fit sees: those a user's early stopping kept for itself.
    n_jobs : int or None
        Of joblib; refits run in processes.

    Returns
    -------
    list of fitted estimators
    """
    estimator = without_callbacks(estimator)
    fits = Parallel(n_jobs=n_jobs, prefer="processes", return_as="generator")(
        delayed(_refit)(estimator, X, y, fit_params, kept_rows(len(y), rows, held_out))
        for rows in removed
    )
    n, what = len(removed), f"{len(removed):,} fits of {type(estimator).__name__}"
    return [*counted(fits, what, n, size=lambda _: 1, unit="fits")]


def without_callbacks(estimator: Any) -> Any:
    """Return a clone that calls nobody back: the callbacks of scikit-learn are for the user's fit.

    A progress bar for each of many refits would say nothing.
    """
    same = clone(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of solvers that do without callbacks
        for part in (same, *same.get_params().values()):
            if hasattr(part, "set_callbacks"):
                part.set_callbacks()
    return same


def kept_rows(n_samples: int, removed: Array, held_out: Array | None = None) -> Array:
    """Return the rows that a refit without some rows is fitted on."""
    gone = removed if held_out is None else np.union1d(removed, held_out)
    return np.delete(np.arange(n_samples), gone)


def take_rows(values: Any, rows: Array) -> Any:
    """Return some rows of a frame, series, array, sparse matrix or list."""
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if sparse.issparse(values):
        return values.tocsr()[rows]
    if hasattr(values, "shape"):
        return values[rows]
    return [values[i] for i in rows]


def take_columns(estimator: Any, X: Any, kept: Array) -> Any:
    """Return rows of products with training rows for some of these; other rows as they are."""
    return X[:, kept] if get_tags(estimator).input_tags.pairwise else X


def take_params(fit_params: dict[str, Any], rows: Array, n_samples: int) -> dict[str, Any]:
    """Return fit parameters for some rows: entries with `n_samples` rows are cut along."""
    return {
        name: take_rows(value, rows) if _has_rows(value, n_samples) else value
        for name, value in fit_params.items()
    }


def _refit(estimator: Any, X: Any, y: Any, fit_params: dict[str, Any], kept: Array) -> Any:
    params = take_params(fit_params, kept, len(y))
    with warnings.catch_warnings():
        # A tolerance of 1e-12 is asked for, not expected; the noise floor reports what was reached.
        warnings.simplefilter("ignore", ConvergenceWarning)
        X = take_columns(estimator, take_rows(X, kept), kept)
        return opened(clone(estimator).fit(X, take_rows(y, kept), **params))


def opened(fitted: Any) -> Any:
    """Return a fitted estimator with its final step itself in place of what stood for it.

    That is a WarmStart, or a FrozenEstimator of a network that goes on elsewhere.
    """
    if isinstance(fitted, WarmStart):
        return fitted.fitted_
    if isinstance(fitted, FrozenEstimator):
        return fitted.estimator
    if isinstance(fitted, Pipeline):
        name, last = fitted.steps[-1]
        fitted.steps[-1] = (name, opened(last))
    elif isinstance(fitted, TransformedTargetRegressor):
        fitted.regressor_ = opened(fitted.regressor_)
        fitted.regressor = clone(fitted.regressor_)
    return fitted


def _has_rows(value: Any, n_samples: int) -> bool:
    return (
        hasattr(value, "__len__") and not isinstance(value, (str, dict)) and len(value) == n_samples
    )
