"""Scores of the convex models against refits, model by real data set.

A table for each data set, a line for each model and method (first order, Newton, exact):

pearson, spearman   correlation of predicted and actual changes of the test losses, all pairs of a
                    removed row and a test row pooled
slope               actual regressed on predicted through the origin: 1 is right, above 1 the
                    prediction is too small
error               norm of predicted minus actual over norm of actual
judge               how far the judge on all rows is from the model's optimum, in test losses: root
                    mean square over that of the actual changes; errors below it say nothing
cost                seconds to score every training row on every test row, engine included, over
                    seconds of one fit of the model; "~": some rows, extrapolated

Removed are the 20 rows with the largest Newton scores and 10 at random among those with any. Actual
changes are refits: by `leave_one_out_check`, with its tight judge; where scikit-learn has no tight
solver of the estimator, by another estimator of the same objective (named).

The first table is the linear support vector machine of Koh & Liang (2017), Understanding black-box
predictions via influence functions, ICML, arXiv:1703.04730, figure 3: MNIST 1 v 7, smoothed at
temperature t, against refits of the smoothed and of the real hinge.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import scipy
import sklearn
from data import digits, ones_and_sevens, table
from sklearn.base import clone, is_classifier
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection import agreement
from skinfluence.svm import SmoothLinearSVC

METHODS = ("first_order", "newton", "exact")
N_TEST = 200
N_COUNTED = 500
"""Rows whose exact minima are clocked where all of them would take too long."""

HEADER = ("model", "method", "pearson", "spearman", "slope", "error", "judge", "cost")
clock = time.perf_counter


@dataclass
class Case:
    """A model of a data set, and who judges it.

    `judge` is None for `leave_one_out_check`, or returns the test losses without a row (None: with
    all of them) from the case and the features of the final step.
    """

    name: str
    estimator: Any
    judge: Callable[..., Any] | None = None
    temperature: float | None = None
    n_rows: int | None = None
    count_all: bool = True
    sizes: str = field(default="", init=False)


# --------------------------------------------------------------------------------- the data sets


def parts(frame, y, *, n_train=None, quick=False, weight=None):
    """Return X, y, weight, X_test, y_test: shuffled, `N_TEST` rows held out."""
    order = np.random.default_rng(0).permutation(len(frame))
    n_train = min(len(frame) - N_TEST, n_train or len(frame), 1000 if quick else len(frame))
    test, train = order[:N_TEST], order[N_TEST : N_TEST + n_train]
    y = np.asarray(y)
    s = None if weight is None else np.asarray(weight)[train]
    if isinstance(frame, list):
        return [frame[i] for i in train], y[train], s, [frame[i] for i in test], y[test]
    return frame.iloc[train], y[train], s, frame.iloc[test], y[test]


def motor(quick):
    frame = table("ins_freMTPL2freq")
    frame["LogDensity"] = np.log(frame["Density"])
    frame["BonusMalus"] = frame["BonusMalus"].clip(upper=150)
    exposure = frame["Exposure"].to_numpy()
    features = make_column_transformer(
        (KBinsDiscretizer(10, random_state=0, subsample=None), ["VehAge", "DrivAge"]),
        (OneHotEncoder(), ["VehBrand", "VehPower", "VehGas", "Region", "Area"]),
        (StandardScaler(), ["BonusMalus", "LogDensity"]),
        sparse_threshold=0,
    )
    model = make_pipeline(features, PoissonRegressor(alpha=1e-4, solver="newton-cholesky"))
    data = parts(frame, frame["ClaimNb"] / exposure, weight=exposure, quick=quick)
    return data, [Case("PoissonRegressor", model, count_all=False)]


def wine(quick):
    frame = table("wine_quality")
    X, y = frame.drop(columns=["quality", "color"]), frame["quality"].astype(float)
    quadratic = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False))
    net = ElasticNet(alpha=0.01, l1_ratio=0.5, max_iter=10_000)
    huber = HuberRegressor(alpha=1.0, max_iter=10_000, tol=1e-8)
    yield (
        parts(X, y, quick=quick),
        [
            Case("ElasticNet, quadratic features", make_pipeline(quadratic, StandardScaler(), net)),
            Case("HuberRegressor", make_pipeline(StandardScaler(), huber)),
        ],
    )
    ridge = KernelRidge(alpha=1.0, kernel="rbf", gamma=0.1)
    machine = SVR(C=1.0, epsilon=0.1, gamma=0.1)
    yield (
        parts(X, y, n_train=2000, quick=quick),
        [
            Case("KernelRidge, rbf", make_pipeline(StandardScaler(), ridge)),
            Case("SVR, rbf, t = .05", make_pipeline(StandardScaler(), machine), temperature=0.05),
        ],
    )


def concrete(quick):
    frame = table("concrete")
    X, y = frame.drop(columns="compressive_strength"), frame["compressive_strength"]
    model = make_pipeline(
        StandardScaler(),
        SplineTransformer(n_knots=5),
        GammaRegressor(alpha=1e-3, solver="newton-cholesky"),
    )
    return parts(X, y), [Case("GammaRegressor, splines", model)]


def bike(quick):
    frame = table("bike_sharing_hour")
    features = make_column_transformer(
        (SplineTransformer(n_knots=13, extrapolation="periodic"), ["hr"]),
        (SplineTransformer(n_knots=6), ["temp", "hum", "windspeed"]),
        (OneHotEncoder(), ["season", "weekday", "weathersit"]),
        ("passthrough", ["yr", "holiday", "workingday"]),
        sparse_threshold=0,
    )
    newton = {"alpha": 1e-3, "solver": "newton-cholesky", "max_iter": 1000}
    logged = TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp)
    data = parts(frame, frame["cnt"].astype(float), quick=quick)
    return data, [
        Case("PoissonRegressor, splines", make_pipeline(features, PoissonRegressor(**newton))),
        Case(
            "TweedieRegressor(power=1.5), splines",
            make_pipeline(features, TweedieRegressor(power=1.5, link="log", **newton)),
        ),
        Case("Ridge on log counts, splines", make_pipeline(features, logged)),
    ]


def adult(quick):
    frame = table("adult")
    frame = frame[frame["split"] == "train"]
    y = frame["income"].str.startswith(">50K").to_numpy().astype(int)
    numbers = ["age", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
    labels = ["workclass", "education", "marital-status", "occupation", "relationship"]
    features = make_column_transformer(
        (StandardScaler(), numbers),
        (OneHotEncoder(min_frequency=20), [*labels, "race", "sex", "native-country"]),
        sparse_threshold=0,
    )
    alpha = 1e-4
    lasso = LogisticRegression(C=0.1, solver="liblinear", tol=1e-6, **l1())
    machine = LinearSVC(C=0.1, dual=False)
    descent = SGDClassifier(loss="log_loss", alpha=alpha, random_state=0)
    return parts(frame, y, quick=quick), [
        Case("LogisticRegression, l1", make_pipeline(features, lasso), n_rows=15),
        Case("LinearSVC, squared hinge", make_pipeline(features, machine)),
        Case(
            "SGDClassifier(loss='log_loss')",
            make_pipeline(features, descent),
            judge=logistic_judge("newton-cholesky", alpha),
        ),
    ]


def l1():
    """Return how this version of scikit-learn spells an l1 penalty."""
    old = tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8)
    return {"penalty": "l1"} if old else {"l1_ratio": 1.0}


def enron(quick):
    frame = table("enron1_spam")
    words = TfidfVectorizer(sublinear_tf=True, min_df=2)
    data = parts(frame["text"].tolist(), frame["label"] == "spam", quick=quick)
    alpha = 1e-4
    descent = SGDClassifier(loss="log_loss", alpha=alpha, random_state=0)
    return data, [
        Case("LinearSVC, squared hinge", make_pipeline(words, LinearSVC(C=1.0))),
        Case(
            "SGDClassifier(loss='log_loss')",
            make_pipeline(words, descent),
            judge=logistic_judge("newton-cg", alpha),
        ),
    ]


def three_digits(quick):
    found = digits((3, 5, 8))
    if found is None:
        raise FileNotFoundError("SKINFLUENCE_DATA names no folder with mnist.npz; set it.")
    X, y, X_test, y_test = found
    n = 300 if quick else 2000
    chosen = np.random.default_rng(0).permutation(len(y_test))[:N_TEST]
    data = X[:n], y[:n], None, X_test[chosen], y_test[chosen]
    machine = SVC(C=1.0, gamma=0.02)
    linear = OneVsRestClassifier(LinearSVC(C=0.01, dual=False))
    return data, [
        Case("SVC, rbf, t = .1; smooth refits", machine, smooth_pairs, 0.1, 10),
        Case("SVC, rbf, t = .1; hinge refits", machine, temperature=0.1),
        Case("OneVsRestClassifier(LinearSVC), squared hinge", linear),
    ]


GROUPS = {
    "motor": ("Poisson frequency with exposure, freMTPL2", motor),
    "wine": ("Wine quality", wine),
    "concrete": ("Concrete strength", concrete),
    "bike": ("Bike sharing, splines", bike),
    "adult": ("Adult", adult),
    "enron": ("Enron, sparse text", enron),
    "digits": ("MNIST 3, 5, 8", three_digits),
}


# ------------------------------------------------------------------------------------ the judges


def hinge(estimator, X, y, classes, t=0.0):
    """Return hinge losses, smoothed for t > 0."""
    short = 1.0 - np.where(y == classes[1], 1.0, -1.0) * estimator.decision_function(X)
    return t * np.logaddexp(0.0, short / t) if t > 0 else np.maximum(short, 0.0)


def logistic_judge(solver, alpha):
    """Return the judge of stochastic gradient descent: mean log loss + alpha / 2 |coef|^2."""

    def judge(case, features, tests, data, row):
        X, y = without(features, data[1], row)
        params = {"C": 1.0 / (alpha * len(y)), "tol": 1e-12, "max_iter": 10_000}
        refit = LogisticRegression(solver=solver, **params).fit(X, y)
        margin = np.where(data[4] == refit.classes_[1], 1.0, -1.0) * refit.decision_function(tests)
        return np.logaddexp(0.0, -margin)

    return judge


_kernels: dict[int, Any] = {}


def smooth_pairs(case, features, tests, data, row):
    """Return smoothed losses of machines for all pairs, in the eigenvectors of the kernel.

    A pair that the row is not of stays as it is: its losses are computed once.
    """
    y, y_test, machine = data[1], data[4], case.estimator
    if id(features) not in _kernels:
        values, vectors = np.linalg.eigh(rbf_kernel(features, gamma=machine.gamma))
        vectors = vectors[:, values > 1e-12 * values[-1]]
        root = np.sqrt(values[values > 1e-12 * values[-1]])
        K = rbf_kernel(tests, features, gamma=machine.gamma)
        _kernels[id(features)] = vectors * root, K @ (vectors / root), {}
    Phi, Phi_test, whole = _kernels[id(features)]
    losses = np.zeros(len(y_test))
    for pair in combinations(np.unique(y), 2):
        of_pair = np.isin(y_test, pair)
        left = row if row is not None and y[row] in pair else None
        if left is not None or pair not in whole:
            rows = np.setdiff1d(np.flatnonzero(np.isin(y, pair)), [] if left is None else [left])
            refit = SmoothLinearSVC(C=machine.C, temperature=case.temperature)
            refit.fit(Phi[rows], y[rows])
            value = hinge(refit, Phi_test[of_pair], y_test[of_pair], pair, case.temperature)
        else:
            value = whole[pair]
        if left is None:
            whole[pair] = value
        losses[of_pair] += value
    return losses


def without(X, y, row):
    kept = np.arange(len(y)) != (-1 if row is None else row)
    return X[kept], y[kept]


# ------------------------------------------------------------------------------- what is measured


def clocked(function, *args, **kwargs):
    start = clock()
    result = function(*args, **kwargs)
    return clock() - start, result


def seconds_of_fit(estimator, X, y, weights):
    """Return the median seconds of up to five fits."""
    times: list[float] = []
    while len(times) < 5 and sum(times) < 10.0:
        times.append(clocked(clone(estimator).fit, X, y, **weights)[0])
    return statistics.median(times)


def removed(scores, n_rows):
    """Return the rows of the largest scores, twice as many as others that have any."""
    size = np.linalg.norm(scores, axis=0)
    order = np.argsort(-size, kind="stable")
    largest = order[: 2 * n_rows // 3]
    others = np.setdiff1d(np.flatnonzero(size > 1e-6 * size.max()), largest)
    n_others = min(len(others), n_rows - len(largest))
    some = np.random.default_rng(0).choice(others, n_others, replace=False)
    return np.concatenate([largest, some])


def scored(model, X_test, y_test, method):
    """Return seconds and scores of a fitted wrapper that has not scored yet."""
    fresh = copy.copy(model)  # a copy leaves the engine behind
    return clocked(fresh.influence_scores, X_test, y_test, method=method)


def exact_seconds(model, X_test, y_test, n):
    """Return seconds for all exact minima, of some rows."""
    fresh = copy.copy(model)
    start = clock()
    engine = fresh._engine()
    prepared = clock() - start
    rows = np.unique(np.linspace(0, n - 1, N_COUNTED).astype(int))
    took = clocked(engine.removal("exact").changes, rows)[0]
    return prepared + took * n / len(rows)


def measured(case, data, n_rows):
    """Yield the lines of a model."""
    X, y, weight, X_test, y_test = data
    weights = {} if weight is None else fit_weights(case.estimator, weight)
    fit = seconds_of_fit(case.estimator, X, y, weights)
    kind = InfluenceClassifier if is_classifier(case.estimator) else InfluenceRegressor
    wrapper = kind(case.estimator, temperature=case.temperature)
    model = wrapper.fit(X, y, **weights)
    n, p = shape(model)
    case.sizes = f"{case.name} ({n:,} x {p:,}, fit {fit:.2g} s)"
    seconds, scores = {}, {}
    for method in METHODS if case.count_all else METHODS[:2]:
        seconds[method], scores[method] = scored(model, X_test, y_test, method)
    rows = removed(scores["newton"], min(n_rows, case.n_rows or n_rows))
    predicted = {method: scores[method][:, rows] for method in scores}
    del scores
    if case.judge is None:
        check = model.leave_one_out_check(X_test, y_test, rows=rows, method="exact")
        predicted["exact"], actual, noise = check.predicted, check.actual, check.noise
    else:
        actual, noise = judged(case, model, data, rows)
    floor = np.sqrt(np.mean(noise**2) / np.mean(actual**2))
    approximately = ""
    if not case.count_all:
        seconds["exact"], approximately = exact_seconds(model, X_test, y_test, n), "~"
    for method in METHODS:
        about = approximately if method == "exact" else ""
        cost = f"{about}{number(seconds[method] / fit)}"
        yield line(case.sizes, method, predicted[method], actual, floor, cost)


def fit_weights(estimator, weight):
    """Return sample weights for the final step alone: exposure is none of a scaler's."""
    return {f"{estimator.steps[-1][0]}__sample_weight": weight}


def shape(model):
    training = model._training
    return np.shape(training.X)


def judged(case, model, data, rows):
    """Return actual changes and what separates the judge on all rows from the optimum."""
    pipeline, features, tests = model.estimator_, data[0], data[3]
    if hasattr(pipeline, "steps"):
        features, tests = (pipeline[:-1].transform(part) for part in (features, tests))
    whole = case.judge(case, features, tests, data, None)
    left = [case.judge(case, features, tests, data, row) for row in rows]
    engine = model._engine()
    test = engine.objective.on(tests if case.temperature is None else engine_features(model, tests))
    return np.column_stack(left) - whole[:, None], whole - optimum(test, data[4])


def line(name, method, predicted, actual, floor, cost):
    found = agreement(predicted, actual)
    return (
        name,
        method.replace("first_order", "first order").replace("newton", "Newton"),
        correlation(found.pearson),
        correlation(found.spearman),
        f"{found.slope:.3f}",
        small(found.relative_error),
        small(floor),
        cost,
    )


def correlation(value):
    return f"{value:.3f}" if value < 0.9995 else "1.000"


def small(value):
    return f"{value:.3f}" if value >= 5e-4 else f"{value:.0e}"


def number(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
