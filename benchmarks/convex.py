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
import statistics
import sys
import time
import warnings

import numpy as np
import scipy
import sklearn
from cases import DATA_SETS, hinge, without
from data import ones_and_sevens
from sklearn.base import clone, is_classifier
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection import agreement
from skinfluence.models.smooth_svc import SmoothLinearSVC
from skinfluence.questions.scoring import Asked, edit_scorer

TABLES = {
    "svm": "LinearSVC(loss='hinge'), MNIST 1 v 7",
    **{name: title for name, (title, _) in DATA_SETS.items()},
}
METHODS = ("first_order", "newton", "exact")
INTRO = """\
Scores against refits on real data, printed by ``python benchmarks/convex.py --rst``
({versions}; one thread, of BLAS and of OpenMP).

- *pearson, spearman, slope, error*: predicted and actual changes of the losses of held-out
  rows, all pairs of a removed row and a test row pooled; slope is actual regressed on predicted
  through the origin (1 is right, above 1 the prediction is too small), error the norm of the
  difference over the norm of the actual changes.
- *judge*: how far the judge on all rows is from the optimum that is scored, in the same losses and
  over the same changes. For tight judges what their solver leaves; with refits of the hinge
  itself, what smoothing moves.
- *cost*: {unit} to score every training row on every test row, over {unit} of one fit
  of the model, transformers included (a loop of refits costs n); with ~ extrapolated from some
  rows.

Removed are the rows with the largest scores, and half as many at random among those with any.
"""

NOTES = {
    "svm": """\
13,007 x 784, C = 1 / (.01 n), intercept penalised, 45 removed rows, all 2,163 test rows. "copied
weights" is first order at the weights of the hinge (``refine=False``), as in Koh & Liang (2017),
who report, for one test row, a Pearson correlation with retraining of .95 at t = .001 and .91 at
t = .1; "l2 alone" is the hinge without smoothing, whose curvature is that of the penalty. Against
the hinge itself Spearman's correlation is mostly that of test rows far from the margin, whose
losses hardly move or not at all.
""",
    "wine": """\
19 of the 20 largest rows of ElasticNet change which coefficients are zero; first order and Newton
stay on the set of the fit, and say so in a warning. SVR's refits are of its tube without smoothing.
""",
    "digits": """\
SVC is judged twice: by the smoothed machine in the eigenvectors of the kernel, and by SVC itself.
""",
}
HEADER = ("model", "method", "pearson", "spearman", "slope", "error", "judge", "cost")
clock = time.perf_counter


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


def exact_seconds(model, n, n_clocked):
    """Return seconds for all exact minima, of some rows."""
    fresh = copy.copy(model)
    prepared, engine = clocked(lambda: fresh._current().mechanism("auto"))
    rows = np.unique(np.linspace(0, n - 1, n_clocked).astype(int))
    removal = engine.removal("exact")
    return prepared + clocked(removal.changes, rows)[0] * n / len(rows)


def measured(case, data, n_rows):
    """Yield the lines of a model."""
    X, y, weight, X_test, y_test = data
    weights = {} if weight is None else for_final_step(case.estimator, weight)
    fit = seconds_of_fit(case.estimator, X, y, weights)
    kind = InfluenceClassifier if is_classifier(case.estimator) else InfluenceRegressor
    model = kind(case.estimator, temperature=case.temperature).fit(X, y, **weights)
    n, p = np.shape(model._fitted.training.X)
    seconds, scores = {}, {}
    for method in METHODS if case.n_clocked is None else METHODS[:2]:
        seconds[method], scores[method] = scored(model, X_test, y_test, method)
    rows = removed(scores["newton"], min(n_rows, case.n_rows or n_rows))
    predicted = {method: scores[method][:, rows] for method in METHODS[:2]}
    del scores
    exact = edit_scorer(model._current(), Asked(X_test, y_test, method="exact"))
    predicted["exact"] = exact.matrix(np.float64, rows)
    if case.judge is None:
        check = model.leave_one_out_check(X_test, y_test, rows=rows, method="exact")
        actual, noise = check.actual, check.noise
    else:
        whole, actual = judged(case, model.estimator_, data, rows)
        noise = whole - exact.make_target(exact.test, slice(None)).value()
    floor = small(np.sqrt(np.mean(noise**2) / np.mean(actual**2)))
    about = ""
    if case.n_clocked is not None:
        seconds["exact"], about = exact_seconds(model, n, case.n_clocked), "~"
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
        best = edit_scorer(model._current(), Asked(X_test, y_test, method="exact"))
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
        print(f".. csv-table:: {title}\n   :header: {', '.join(HEADER)}")
        print("   :widths: 32 13 10 11 8 9 9 10\n")
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
    made = DATA_SETS[name][1](quick)
    made = [made] if isinstance(made, tuple) else made
    return [line for data, cases in made for line in lines_of(data, cases, n_rows, models)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="some 1,000 rows, 9 refits a model")
    parser.add_argument("--only", nargs="*", help="names of tables: " + ", ".join(TABLES))
    parser.add_argument("--models", nargs="*", help="models whose name has one of these words")
    parser.add_argument("--cpu", action="store_true", help="CPU seconds, right with one thread")
    parser.add_argument("--rst", action="store_true", help="tables for the documentation")
    args = parser.parse_args()
    global clock
    clock = time.process_time if args.cpu else clock
    warnings.simplefilter("ignore")
    packages = (sklearn, "scikit-learn"), (np, "numpy"), (scipy, "scipy")
    versions = ", ".join(f"{name} {package.__version__}" for package, name in packages)
    unit = "CPU seconds" if args.cpu else "seconds"
    if args.rst:
        print(INTRO.format(versions=versions, unit=unit))
    else:
        print(f"{versions}, {os.cpu_count()} cores; cost in {unit}")
    for name, title in TABLES.items():
        if not args.only or name in args.only:
            if args.rst and name in NOTES:
                print(NOTES[name])
            lines = of_group(name, args.quick, 9 if args.quick else 30, args.models)
            printed(title, lines, args.rst)


if __name__ == "__main__":
    main()
