"""The judge: honest refits of scikit-learn estimators without some rows, as tight as they go.

Knows scikit-learn only: `clone`, `set_params`, `fit`. The judge is the user's own estimator, with
the best solver of the *same* objective: lbfgs stops at a gradient of about 1e-6 whatever its
tolerance, which is a few per cent of a single row's effect; Newton solvers reach 1e-11.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn import get_config
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)
from sklearn.pipeline import Pipeline
from sklearn.utils.parallel import Parallel, delayed

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Judge:
    """An unfitted estimator that judges, and how it differs from the user's.

    Attributes
    ----------
    estimator : estimator
    notes : tuple of str
        What was changed, for the report.
    """

    estimator: Any
    notes: tuple[str, ...]


def judge_of(estimator: Any, X: Any, sample_weight: Any = None) -> Judge:
    """Return a clone of a fitted final step that converges as tightly as scikit-learn can.

    Hyper-parameters chosen by cross-validation are frozen at their chosen values. Solvers are
    swapped only for a better one of the same objective that takes the features.

    Parameters
    ----------
    estimator : estimator
    X, sample_weight
        What it was fitted on; `sample_weight` is None where no weights reached it.

    Returns
    -------
    Judge

    Raises
    ------
    ValueError
        For a fit that no single plain estimator repeats.
    """
    notes = []
    kind = type(estimator)
    if kind in _PLAIN:
        estimator, note = _PLAIN[kind](estimator)
        notes.append(note)
        if get_config()["enable_metadata_routing"]:
            estimator.set_fit_request(sample_weight=sample_weight is not None)
    judge = clone(estimator)
    params = judge.get_params(deep=False)
    changes: dict[str, Any] = {}
    if "tol" in params:
        changes["tol"] = 1e-12
    if "max_iter" in params:
        changes["max_iter"] = (
            100_000 if params["max_iter"] is None else max(100_000, params["max_iter"])
        )
    if "warm_start" in params:
        changes["warm_start"] = False
    if type(judge) in _TIGHT_SOLVERS:
        for_dense, for_sparse = _TIGHT_SOLVERS[type(judge)]
        swap = for_sparse if sparse.issparse(X) else for_dense
        if params["solver"] not in (swap, "newton-cholesky", "liblinear"):
            changes["solver"] = swap
            was = repr(params["solver"])
            notes.append(f"solver={swap!r} instead of {was} (same objective, tighter)")
    if "tol" in changes:
        notes.append(f"tol={changes['tol']:g}")
    return Judge(judge.set_params(**changes), tuple(notes))


def with_final_step(estimator: Any, final: Any) -> Any:
    """Return an unfitted clone of a (nested) Pipeline with another final step."""
    if not isinstance(estimator, Pipeline):
        return final
    copy = clone(estimator)
    name, step = copy.steps[-1]
    copy.steps[-1] = (name, with_final_step(step, final))
    return copy


def refit_without(
    estimator: Any,
    X: Any,
    y: Any,
    fit_params: dict[str, Any],
    removed: list[Array],
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> list[Any]:
    """Fit a clone of the estimator without each set of rows; an empty set is the full fit.

    Parameters
    ----------
    estimator : estimator
    X, y : array-like with n_samples rows
    fit_params : dict
        Entries with n_samples rows are cut along.
    removed : list of ndarray of int
    n_jobs, verbose : int
        Of joblib; refits run in processes.

    Returns
    -------
    list of fitted estimators
    """
    n_samples = len(y)
    return list(
        Parallel(n_jobs=n_jobs, verbose=verbose, prefer="processes")(
            delayed(_refit)(estimator, X, y, fit_params, np.delete(np.arange(n_samples), rows))
            for rows in removed
        )
    )


def take_rows(values: Any, rows: Array) -> Any:
    """Return some rows of a frame, series, array, sparse matrix or list."""
    if hasattr(values, "iloc"):
        return values.iloc[rows]
    if sparse.issparse(values):
        return values.tocsr()[rows]
    if hasattr(values, "shape"):
        return values[rows]
    return [values[i] for i in rows]


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
        return clone(estimator).fit(take_rows(X, kept), take_rows(y, kept), **params)


def _has_rows(value: Any, n_samples: int) -> bool:
    return (
        hasattr(value, "__len__") and not isinstance(value, (str, dict)) and len(value) == n_samples
    )


def _plain_logistic(cv: Any) -> tuple[Any, str]:
    names = LogisticRegression().get_params(deep=False)
    params = {k: v for k, v in cv.get_params(deep=False).items() if k in names}
    params.pop("l1_ratios", None)
    if params.get("penalty") == "deprecated":
        params.pop("penalty")
    C = np.unique(cv.C_)
    if len(C) > 1:
        raise ValueError(
            f"LogisticRegressionCV chose a C for every class ({C.tolist()}), which no plain "
            "LogisticRegression can refit. Wrap one binary LogisticRegression per class."
        )
    return LogisticRegression(**{**params, "C": float(C[0])}), f"C={float(C[0]):g} frozen"


def _plain_ridge(cv: Any) -> tuple[Any, str]:
    alpha = np.asarray(cv.alpha_, dtype=float)
    note = f"alpha={np.array2string(alpha, precision=4)} frozen"
    params: dict[str, Any] = {"alpha": cv.alpha_, "fit_intercept": cv.fit_intercept}
    if isinstance(cv, RidgeClassifierCV):
        return RidgeClassifier(class_weight=cv.class_weight, **params), note
    return Ridge(**params), note


_PLAIN = {
    LogisticRegressionCV: _plain_logistic,
    RidgeCV: _plain_ridge,
    RidgeClassifierCV: _plain_ridge,
}

# For dense and for sparse features. liblinear penalises the intercept, which no other solver does.
_TIGHT_SOLVERS = {
    LogisticRegression: ("newton-cholesky", "newton-cg"),
    Ridge: ("svd", "sparse_cg"),
    RidgeClassifier: ("svd", "sparse_cg"),
}
