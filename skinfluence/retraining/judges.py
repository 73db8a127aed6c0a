"""Which estimator judges: the user's own, as tight as scikit-learn goes.

The judge is the user's own estimator, with
the best solver of the *same* objective: lbfgs stops at a gradient of about 1e-6 whatever its
tolerance, which is a few per cent of a single row's effect; Newton solvers reach 1e-11.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    LassoCV,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.utils.validation import has_fit_parameter

from skinfluence.retraining.networks import NETWORKS, WarmStart


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

    @property
    def goes_on(self) -> bool:
        """Where a fit ends depends on where it starts, so that `starting_at` matters."""
        return isinstance(self.estimator, WarmStart)

    def starting_at(self, fitted: Any) -> Judge:
        """Return the judge of the same objective whose fits go on from another fitted network.

        Others start anywhere: the same judge.
        """
        if not isinstance(self.estimator, WarmStart):
            return self
        return replace(self, estimator=self.estimator.starting_at(fitted))


def judge_of(estimator: Any, X: Any, sample_weight: Any = None, *, n_held_out: int = 0) -> Judge:
    """Return a clone of a fitted final step that converges as tightly as scikit-learn can.

    Hyper-parameters chosen by cross-validation are frozen at their chosen values. Solvers are
    swapped only for a better one of the same objective that takes the features.

    Parameters
    ----------
    estimator : estimator
    X, sample_weight
        What it was fitted on; `sample_weight` is None where no weights reached it.
    n_held_out : int, default=0
        How many of these rows early stopping held out.

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
    if kind in NETWORKS:
        n_rows = int(np.shape(X)[0]) - n_held_out
        return _network_judge(estimator, n_rows, sample_weight is not None)
    if kind in _PLAIN:
        estimator, note = _plain_of(estimator, X, sample_weight)
        notes.append(note)
    if kind in _SIDE_BY_SIDE:
        part = judge_of(getattr(estimator, "estimators_", [estimator.estimator])[0], X, None)
        judge = clone(estimator).set_params(estimator=part.estimator)
        return Judge(judge, part.notes)
    judge = clone(estimator)
    params = judge.get_params(deep=False)
    changes: dict[str, Any] = {}
    if "tol" in params:
        changes["tol"] = _TOLERANCES.get(type(judge), 1e-12)
    if "max_iter" in params:
        enough = _ITERATIONS.get(type(judge), 100_000)
        changes["max_iter"] = (
            enough if params["max_iter"] is None else max(enough, params["max_iter"])
        )
    if "warm_start" in params:
        changes["warm_start"] = False
    if type(judge) in _TIGHT_SOLVERS and not _has_l1(params):
        for_dense, for_sparse = _TIGHT_SOLVERS[type(judge)]
        swap = for_sparse if _fitted_as_sparse(X) else for_dense
        if params["solver"] not in (swap, "newton-cholesky", "liblinear"):
            changes["solver"] = swap
            was = repr(params["solver"])
            notes.append(f"solver={swap!r} instead of {was} (same objective, tighter)")
    if type(judge) in _PRIMAL and params["loss"].startswith("squared"):
        changes["dual"] = False  # the dual solver stops 12 % off a row's effect
        notes.append("dual=False")
    if changes.get("tol") is not None:
        notes.append(f"tol={changes['tol']:g}")
    return Judge(judge.set_params(**changes), tuple(notes))


def choices_of(estimator: Any) -> list[str]:
    """Return which hyper-parameters the fit of a final step, or of its parts, has chosen."""
    kind = type(estimator)
    if kind in _SIDE_BY_SIDE:
        return list(
            dict.fromkeys(one for part in estimator.estimators_ for one in choices_of(part))
        )
    if not _chooses(estimator):
        return []
    values = {name[:-1]: getattr(estimator, name, None) for name in _CHOSEN[kind]}
    chosen = [f"{name}={_in_words(value)}" for name, value in values.items() if np.any(value)]
    return [f"{kind.__name__}: {', '.join(chosen)}"]


def with_choices_frozen(estimator: Any, X: Any, sample_weight: Any = None) -> Any:
    """Return an unfitted clone of a fitted final step, with the hyper-parameters that it chose.

    Parameters
    ----------
    estimator : estimator
    X, sample_weight
        As for `judge_of`.

    Returns
    -------
    estimator
        Which chooses nothing.

    Raises
    ------
    ValueError
        For parts, or classes, that chose differently, which no single plain estimator repeats; for
        a hyper-parameter of every row.
    """
    if type(estimator) in _SIDE_BY_SIDE:
        if len(chosen := choices_of(estimator)) > 1:
            raise ValueError(
                f"The parts of {type(estimator).__name__} chose hyper-parameters of their own, "
                f"{chosen}, with which no single estimator can be fitted anew. Give all parts the "
                "same, or wrap them one by one."
            )
        part = with_choices_frozen(estimator.estimators_[0], X)
        return clone(estimator).set_params(estimator=part)
    if type(estimator) is GaussianProcessRegressor and np.ndim(estimator.alpha):
        raise ValueError(
            "GaussianProcessRegressor with an alpha for each row was given, and a fit of fewer "
            "rows would take fewer. Use one alpha for all rows, or transformers='frozen'."
        )
    if not _chooses(estimator):
        return clone(estimator)
    plain, _ = _plain_of(estimator, X, sample_weight)
    return plain


def reads_gamma(estimator: Any) -> bool:
    """Return whether a final step, or a part of it, has a kernel whose width is read off rows."""
    if type(estimator) in _SIDE_BY_SIDE:
        return any(map(reads_gamma, estimator.estimators_))
    scaled = type(estimator) in (SVC, SVR) and estimator.gamma == "scale"
    return scaled and estimator.kernel not in ("linear", "precomputed")


def _in_words(value: Any) -> str:
    """Return one number for several equal ones, all of several others, the rest as its own text."""
    if not isinstance(value, (np.ndarray, float)):
        return str(value)
    return ", ".join(f"{one:g}" for one in np.unique(value))


def _chooses(estimator: Any) -> bool:
    return type(estimator) in _CHOSEN and getattr(estimator, "optimizer", "") is not None


def _plain_of(estimator: Any, X: Any, sample_weight: Any) -> tuple[Any, str]:
    """Return what repeats a fit of these types with what it read off the rows, and in words."""
    plain, note = _PLAIN[type(estimator)](estimator, X)
    if get_config()["enable_metadata_routing"] and has_fit_parameter(plain, "sample_weight"):
        plain.set_fit_request(sample_weight=sample_weight is not None)
    return plain, note


def _network_judge(net: Any, n_rows: int, weighted: bool) -> Judge:
    judge = WarmStart.of(net, n_rows)
    if get_config()["enable_metadata_routing"]:
        judge.set_fit_request(sample_weight=weighted)
    notes = ["warm-started from the fitted weights"]
    if net.solver != "lbfgs":
        note = (
            f"solver='lbfgs', alpha={judge.alpha:g} instead of {net.solver!r}, "
            f"alpha={net.alpha:g} added once a batch (same objective)"
        )
        if judge.n_rows is not None:
            note += ", a row that leaves takes its share of it along"
        notes.append(note)
        if net.early_stopping:
            notes.append("the rows that early_stopping held out stay out")
    notes += [
        "after L-BFGS, gradient descent on all rows at once (same objective, tighter)",
        "a cold restart of a non-convex model ends in another minimum and measures something else",
    ]
    return Judge(judge, tuple(notes))


def _fitted_as_sparse(X: Any) -> bool:
    """Return whether scikit-learn makes rows a sparse matrix: a frame of sparse columns too."""
    return sparse.issparse(X) or hasattr(X, "sparse")


def _has_l1(params: dict[str, Any]) -> bool:
    if params.get("penalty") == "l1":
        return True
    mixed = params.get("penalty", "elasticnet") in ("elasticnet", "deprecated")
    return mixed and bool(params.get("l1_ratio"))


def with_final_step(estimator: Any, final: Any, *, same_targets: bool = False) -> Any:
    """Return an unfitted clone with another final step of its (nested) Pipelines.

    Of a fitted search the best estimator stays; with `same_targets` what a transformation has
    learned of the targets stays, too.
    """
    if isinstance(estimator, Pipeline):
        copy = clone(estimator)
        name, last = copy.steps[-1][0], estimator.steps[-1][1]
        copy.steps[-1] = (name, with_final_step(last, final, same_targets=same_targets))
        return copy
    if isinstance(estimator, TransformedTargetRegressor):
        held = getattr(estimator, "regressor_", estimator.regressor)
        params = {"regressor": with_final_step(held, final, same_targets=same_targets)}
        if same_targets and estimator.transformer is not None:
            learned = estimator.transformer_
            params["transformer"] = FunctionTransformer(
                learned.transform, learned.inverse_transform, check_inverse=False
            )
        return clone(estimator).set_params(**params)
    if hasattr(estimator, "best_estimator_"):
        return with_final_step(estimator.best_estimator_, final, same_targets=same_targets)
    return final


def _plain_logistic(cv: Any, X: Any) -> tuple[Any, str]:
    names = LogisticRegression().get_params(deep=False)
    params = {k: v for k, v in cv.get_params(deep=False).items() if k in names}
    params.pop("l1_ratios", None)
    ratio = np.unique([one for one in np.ravel(cv.l1_ratio_) if one is not None])
    if len(ratio) == 1 and ratio[0] > 0:
        params["l1_ratio"] = float(ratio[0])
    if params.get("penalty") == "deprecated":
        params.pop("penalty")
    C = np.unique(cv.C_)
    if len(C) > 1:
        raise ValueError(
            f"LogisticRegressionCV chose a C for every class ({C.tolist()}), which no plain "
            "LogisticRegression can refit. Wrap one binary LogisticRegression per class."
        )
    return LogisticRegression(**{**params, "C": float(C[0])}), f"C={float(C[0]):g} frozen"


def _plain_net(cv: Any, X: Any) -> tuple[Any, str]:
    names = ElasticNet().get_params(deep=False)
    params = {k: v for k, v in cv.get_params(deep=False).items() if k in names}
    params |= {"alpha": float(cv.alpha_), "l1_ratio": float(getattr(cv, "l1_ratio_", 1.0))}
    if not isinstance(params["precompute"], bool):
        params["precompute"] = False
    return ElasticNet(**params), f"alpha={params['alpha']:g} frozen"


def _plain_machine(machine: Any, X: Any) -> tuple[Any, str]:
    """Freeze gamma="scale", which is read off the rows."""
    if machine.gamma != "scale" or machine.kernel in ("linear", "precomputed"):
        return machine, "no smoothing: the hinge itself"
    if sparse.issparse(X):
        variance = float(X.multiply(X).mean() - X.mean() ** 2)
    else:
        variance = float(np.var(np.asarray(X, dtype=np.float64)))
    gamma = 1.0 / (np.shape(X)[1] * variance) if variance > 0 else 1.0
    plain = clone(machine).set_params(gamma=gamma)
    return plain, f"no smoothing: the hinge itself, gamma={gamma:g} frozen"


def _plain_process(process: Any, X: Any) -> tuple[Any, str]:
    if np.ndim(process.alpha):
        raise ValueError(
            "GaussianProcessRegressor with an alpha for each row was given, a hyper-parameter that "
            "no refit without a row can take. Use one alpha for all rows, or method='exact', "
            "which is that refit."
        )
    plain = clone(process).set_params(kernel=process.kernel_, optimizer=None)
    return plain, "kernel frozen at its fitted hyper-parameters"


def _plain_descent(descent: Any, X: Any) -> tuple[Any, str]:
    plain = clone(descent).set_params(tol=None)
    if plain.random_state is None:
        plain.set_params(random_state=0)
    note = "tol=None, as many epochs as allowed; it stays noisy: see the noise floor"
    if descent.penalty in ("l1", "elasticnet"):
        note += ". Its l1 steps may hold coefficients at 0 that belong to the optimum"
    return plain, note


def _plain_ridge(cv: Any, X: Any) -> tuple[Any, str]:
    alpha = np.asarray(cv.alpha_, dtype=float)
    note = f"alpha={np.array2string(alpha, precision=4)} frozen"
    params: dict[str, Any] = {"alpha": cv.alpha_, "fit_intercept": cv.fit_intercept}
    if isinstance(cv, RidgeClassifierCV):
        return RidgeClassifier(class_weight=cv.class_weight, **params), note
    return Ridge(**params), note


_CHOSEN = {
    LogisticRegressionCV: ("C_", "l1_ratio_"),
    RidgeCV: ("alpha_",),
    RidgeClassifierCV: ("alpha_",),
    LassoCV: ("alpha_",),
    ElasticNetCV: ("alpha_", "l1_ratio_"),
    GaussianProcessRegressor: ("kernel_",),
}
"""Fitted attributes that hold what a fit chose, by the type of estimator."""

_PLAIN = {
    LogisticRegressionCV: _plain_logistic,
    RidgeCV: _plain_ridge,
    RidgeClassifierCV: _plain_ridge,
    LassoCV: _plain_net,
    ElasticNetCV: _plain_net,
    SVC: _plain_machine,
    SVR: _plain_machine,
    GaussianProcessRegressor: _plain_process,
    SGDClassifier: _plain_descent,
    SGDRegressor: _plain_descent,
}

_SIDE_BY_SIDE = (
    OneVsOneClassifier,
    OneVsRestClassifier,
    MultiOutputClassifier,
    MultiOutputRegressor,
)

# Where scikit-learn gets no nearer to the optimum below some tolerance, or never ends.
_TOLERANCES: dict[type, float | None] = {
    LinearSVC: 1e-10,
    LinearSVR: 1e-10,
    SVC: 1e-9,
    SVR: 1e-9,
    SGDClassifier: None,
    SGDRegressor: None,
}
_ITERATIONS = {SVC: 10_000_000, SVR: 10_000_000, SGDClassifier: 2_000, SGDRegressor: 2_000}
_PRIMAL = (LinearSVC, LinearSVR)

# For dense and for sparse features. liblinear penalises the intercept, which no other solver does.
_TIGHT_SOLVERS = {
    LogisticRegression: ("newton-cholesky", "newton-cg"),
    Ridge: ("svd", "sparse_cg"),
    RidgeClassifier: ("svd", "sparse_cg"),
    PoissonRegressor: ("newton-cholesky", "newton-cholesky"),
    GammaRegressor: ("newton-cholesky", "newton-cholesky"),
    TweedieRegressor: ("newton-cholesky", "newton-cholesky"),
}
