"""Scores of the convex models against refits, model by real data set.

A table for each data set, a line for each model and method (first order, Newton, exact):

pearson, spearman   correlation of predicted and actual changes of the test losses, all pairs of a
                    removed row and a test row pooled
slope               actual regressed on predicted through the origin: 1 is right, above 1 the
                    prediction is too small
error               norm of predicted minus actual over norm of actual
judge               how far the judge on all rows is from the optimum that is scored, in test
                    losses: root mean square over that of the actual changes. What the judge's
                    solver leaves; with refits of the hinge itself, what smoothing moves
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
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
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

    `judge` is None for `leave_one_out_check`; or it is called with the case, the features of the
    final step, those of the test rows and both targets, and returns a function from a row (None for
    none) to the test losses without it. `count_all` is whether all exact minima are clocked.
    """

    name: str
    estimator: Any
    judge: Callable[..., Any] | None = None
    temperature: float | None = None
    n_rows: int | None = None
    count_all: bool = True


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
        (
            OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist"),
            [*labels, "race", "sex", "native-country"],
        ),
        sparse_threshold=0,
    )
    alpha = 1e-4
    lasso = LogisticRegression(C=0.1, solver="liblinear", tol=1e-6, **l1())
    machine = LinearSVC(C=0.1, dual=False)
    descent = SGDClassifier(loss="log_loss", alpha=alpha, random_state=0)
    return parts(frame, y, quick=quick), [
        Case("LogisticRegression, l1", make_pipeline(features, lasso), count_all=False),
        Case("LinearSVC, squared hinge", make_pipeline(features, machine), count_all=False),
        Case(
            "SGDClassifier(loss='log_loss')",
            make_pipeline(features, descent),
            judge=logistic_judge("newton-cholesky", alpha),
            count_all=False,
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
    "svm": ("LinearSVC(loss='hinge'), MNIST 1 v 7", None),
    "motor": ("Poisson frequency with exposure, freMTPL2", motor),
    "wine": ("Wine quality", wine),
    "concrete": ("Concrete strength", concrete),
    "bike": ("Bike sharing, splines", bike),
    "adult": ("Adult", adult),
    "enron": ("Enron, sparse text", enron),
    "digits": ("MNIST 3, 5, 8", three_digits),
}


# ------------------------------------------------------------------------------------ the judges


def without(X, y, row):
    kept = np.arange(len(y)) != (-1 if row is None else row)
    return X[kept], y[kept]


def logistic_judge(solver, alpha):
    """Return the judge of stochastic gradient descent: mean log loss + alpha / 2 |coef|^2."""

    def judge(case, features, tests, y, y_test):
        def losses(row):
            X, labels = without(features, y, row)
            params = {"C": 1.0 / (alpha * len(labels)), "tol": 1e-12, "max_iter": 10_000}
            refit = LogisticRegression(solver=solver, **params).fit(X, labels)
            sign = np.where(y_test == refit.classes_[1], 1.0, -1.0)
            return np.logaddexp(0.0, -sign * refit.decision_function(tests))

        return losses

    return judge


def smooth_pairs(case, features, tests, y, y_test):
    """Return the judge of a smoothed machine for every pair, in the eigenvectors of the kernel."""
    C, gamma, t = case.estimator.C, case.estimator.gamma, case.temperature
    values, vectors = np.linalg.eigh(rbf_kernel(features, gamma=gamma))
    counted = values > 1e-12 * values[-1]
    vectors, root = vectors[:, counted], np.sqrt(values[counted])
    Phi, Phi_test = vectors * root, rbf_kernel(tests, features, gamma=gamma) @ (vectors / root)

    def of_pair(pair, row):
        chosen = np.isin(y, pair)
        if row is not None:
            chosen[row] = False
        refit = SmoothLinearSVC(C=C, temperature=t).fit(Phi[chosen], y[chosen])
        of_test = np.isin(y_test, pair)
        out = np.zeros(len(y_test))
        out[of_test] = hinge(refit.decision_function(Phi_test[of_test]), y_test[of_test], pair, t)
        return out

    pairs = list(combinations(np.unique(y), 2))
    whole = {pair: of_pair(pair, None) for pair in pairs}

    def losses(row):
        mine = [row is not None and y[row] in pair for pair in pairs]
        return sum(
            of_pair(pair, row) if own else whole[pair]
            for pair, own in zip(pairs, mine, strict=True)
        )

    return losses


def hinge(decisions, y, classes, t=0.0):
    """Return hinge losses, smoothed for t > 0."""
    short = 1.0 - np.where(y == classes[1], 1.0, -1.0) * decisions
    return t * np.logaddexp(0.0, short / t) if t > 0 else np.maximum(short, 0.0)


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


def exact_seconds(model, n):
    """Return seconds for all exact minima, of some rows."""
    fresh = copy.copy(model)
    prepared, engine = clocked(fresh._engine)
    rows = np.unique(np.linspace(0, n - 1, N_COUNTED).astype(int))
    removal = engine.removal("exact")
    return prepared + clocked(removal.changes, rows)[0] * n / len(rows)


def measured(case, data, n_rows):
    """Yield the lines of a model."""
    X, y, weight, X_test, y_test = data
    weights = {} if weight is None else for_final_step(case.estimator, weight)
    fit = seconds_of_fit(case.estimator, X, y, weights)
    kind = InfluenceClassifier if is_classifier(case.estimator) else InfluenceRegressor
    model = kind(case.estimator, temperature=case.temperature).fit(X, y, **weights)
    n, p = np.shape(model._training.X)
    seconds, scores = {}, {}
    for method in METHODS if case.count_all else METHODS[:2]:
        seconds[method], scores[method] = scored(model, X_test, y_test, method)
    rows = removed(scores["newton"], min(n_rows, case.n_rows or n_rows))
    predicted = {method: scores[method][:, rows] for method in METHODS[:2]}
    del scores
    exact = model._scorer(X_test, y_test, target="loss", method="exact")
    predicted["exact"] = exact.matrix(np.float64, rows)
    if case.judge is None:
        check = model.leave_one_out_check(X_test, y_test, rows=rows, method="exact")
        actual, noise = check.actual, check.noise
    else:
        whole, actual = judged(case, model.estimator_, data, rows)
        noise = whole - exact.make_target(exact.test, slice(None)).value()
    floor = small(np.sqrt(np.mean(noise**2) / np.mean(actual**2)))
    about = ""
    if not case.count_all:
        seconds["exact"], about = exact_seconds(model, n), "~"
    name = f"{case.name} ({n:,} x {p:,}; fit {fit:.2g} s)"
    for method in METHODS:
        cost = (about if method == "exact" else "") + number(seconds[method] / fit)
        yield line(name, method, predicted[method], actual, floor, cost)


def for_final_step(estimator, weight):
    """Return sample weights for the final step alone: exposure is none of a scaler's."""
    return {f"{estimator.steps[-1][0]}__sample_weight": weight}


def judged(case, fitted, data, rows):
    """Return the test losses of a judge on all rows, and their changes."""
    X, y, _, X_test, y_test = data
    if hasattr(fitted, "steps"):
        X, X_test = (fitted[:-1].transform(part) for part in (X, X_test))
    losses = case.judge(case, X, X_test, y, y_test)
    whole = losses(None)
    return whole, np.column_stack([losses(row) for row in rows]) - whole[:, None]


def line(name, method, predicted, actual, floor, cost):
    found = agreement(predicted, actual)
    return (
        name,
        method.replace("first_order", "first order").replace("newton", "Newton"),
        correlation(found.pearson),
        correlation(found.spearman),
        f"{found.slope:.3f}",
        small(found.relative_error),
        floor,
        cost,
    )


def correlation(value):
    return f"{value:.3f}" if value < 0.9995 else "1.000"


def small(value):
    return f"{value:.3f}" if value >= 5e-4 else f"{value:.0e}"


def number(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


# ------------------------------------------------------------------- the machine of Koh and Liang


def machine(quick, n_rows):
    """Yield the lines of the linear machine, at three temperatures, against two kinds of refits."""
    X, y, X_test, y_test, _ = ones_and_sevens()
    if quick:
        X, y, X_test, y_test = X[:1500], y[:1500], X_test[:200], y_test[:200]
    C, classes = 1.0 / (0.01 * len(y)), np.unique(y)
    real = LinearSVC(C=C, loss="hinge", dual=True, tol=1e-9, max_iter=1_000_000)
    fit = seconds_of_fit(LinearSVC(C=C, loss="hinge"), X, y, {})

    def changes(refit, rows, t):
        def losses(row):
            fitted = clone(refit).fit(*without(X, y, row))
            return hinge(fitted.decision_function(X_test), y_test, classes, t)

        whole = losses(None)
        return whole, np.column_stack([losses(row) for row in rows]) - whole[:, None]

    for t in (0.001, 0.01, 0.1):
        wrapped = InfluenceClassifier(real, temperature=t)
        model = wrapped.fit(X, y)
        found = {method: scored(model, X_test, y_test, method) for method in METHODS}
        rows = removed(found["exact"][1], n_rows)
        costs = {method: number(found[method][0] / fit) for method in METHODS}
        predicted = {method: found[method][1][:, rows] for method in METHODS}
        best = model._scorer(X_test, y_test, target="loss", method="exact")
        best = best.make_target(best.test, slice(None)).value()
        copied = clone(wrapped).set_params(refine=False).fit(X, y)
        copied = copied.influence_scores(X_test, y_test, method="first_order")[:, rows]
        smooth = SmoothLinearSVC(C=C, temperature=t, intercept_scaling=1.0)
        for name, refit, heat in (
            ("smooth refits, smooth loss", smooth, t),
            ("hinge refits, smooth loss", real, t),
            ("hinge refits, hinge loss", real, 0.0),
        ):
            whole, actual = changes(refit, rows, heat)
            floor = small(np.sqrt(np.mean((whole - best) ** 2) / np.mean(actual**2)))
            name = f"t = {t:g}: {name}"
            for method in METHODS:
                yield line(name, method, predicted[method], actual, floor, costs[method])
            if refit is real:
                yield line(name, "copied weights", copied, actual, "", "")
    rows = rows[:n_rows]
    _, actual = changes(real, rows, 0.0)
    yield line(
        "no smoothing: hinge refits",
        "l2 alone",
        raw(real.fit(X, y), X, y, rows, X_test, y_test),
        actual,
        "",
        "",
    )


def raw(fitted, X, y, rows, X_test, y_test):
    """Return first-order scores of the hinge itself, whose curvature is that of the penalty."""
    classes = fitted.classes_

    def slopes(X, y):
        sign = np.where(y == classes[1], 1.0, -1.0)
        on = sign * fitted.decision_function(X) < 1.0
        return -(on * sign)[:, None] * np.column_stack([X, np.ones(len(X))])

    return fitted.C * slopes(X_test, y_test) @ slopes(X[rows], y[rows]).T


# ----------------------------------------------------------------------------------- the printing


def printed(title, lines, rst):
    if rst:
        print(f".. csv-table:: {title}\n   :header: {', '.join(HEADER)}\n")
        last = None
        for name, *values in lines:
            shown = "" if name == last else name
            print("   " + ", ".join(f'"{value}"' for value in (shown, *values)))
            last = name
        print(flush=True)
        return
    print(f"\n{title}\n")
    last = None
    for name, *values in (HEADER, *lines):
        if name != last:
            print(name)
        print("   " + "".join(f"{value:>15s}" for value in values), flush=True)
        last = name


def lines_of(data, cases, n_rows, only):
    for case in cases:
        if not only or any(word in case.name for word in only):
            start = clock()
            yield from measured(case, data, n_rows)
            print(f"{case.name}: {clock() - start:.0f} s", file=sys.stderr, flush=True)


def of_group(name, quick, n_rows, models):
    if name == "svm":
        return list(machine(quick, 12 if quick else 45))
    made = GROUPS[name][1](quick)
    made = [made] if isinstance(made, tuple) else made
    return [line for data, cases in made for line in lines_of(data, cases, n_rows, models)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="some 1,000 rows, 9 refits a model")
    parser.add_argument("--only", nargs="*", help="names of tables: " + ", ".join(GROUPS))
    parser.add_argument("--models", nargs="*", help="models whose name has one of these words")
    parser.add_argument("--rst", action="store_true", help="tables for the documentation")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    versions = (
        f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, scipy {scipy.__version__}"
    )
    print(f"{versions}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    for name, (title, _) in GROUPS.items():
        if not args.only or name in args.only:
            printed(
                title, of_group(name, args.quick, 9 if args.quick else 30, args.models), args.rst
            )


if __name__ == "__main__":
    main()
