"""What scores of trees, forests and boosting cost: CPU seconds, fits, and what cannot be avoided.

10,000 training rows, 100 trees, 100 test rows, one thread. Real data (California for numbers, Adult
for classes) from the folder that SKINFLUENCE_DATA names, otherwise made-up rows. Questions:

first question   of a fitted model: rows found in their leaves, leaf values computed again and
                 compared; first-order scores of one test row
first order      every training row on 100 test rows, from then on; so with the others
newton           a row's own leaves exact, the others linear: exact under squared error
exact            all leaves again, without each row

The floor is what no method can do without, in numpy and scipy: for first order one value for every
row, tree and test row; for newton what every leaf does to every later one, for every row; for exact
the sum over every leaf and the step back to its rows, for every row that leaves; for forests the
product of the leaves of training and test rows.

``large`` asks for first-order scores of 500,000 rows, and for the memory of the whole process.
"""

from __future__ import annotations

import argparse
import resource
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
from clocks import Rounds, clocked, count_cpu
from data import table
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.datasets import make_friedman1, make_hastie_10_2
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.preprocessing import OrdinalEncoder

from skinfluence import InfluenceClassifier, InfluenceRegressor

N_TEST = 100
MASKS = 64
"""Rows that leave one by one where all of them would take too long: seconds are scaled."""
STEPS = 500
"""The same for the floor of newton."""


@dataclass
class Question:
    """What is asked of a model, and what it cannot do without.

    Parameters
    ----------
    what : str
    run : callable
    floor : callable or None
    times : float
        How often `run` has to be done for all rows.
    floor_times : float
        The same of `floor`.
    seconds, fits : float or None
        Targets.
    """

    what: str
    run: Callable
    floor: Callable | None = None
    times: float = 1.0
    floor_times: float = 1.0
    seconds: float | None = None
    fits: float | None = None


HEADER = ("question", "CPU seconds", "fits", "over the floor", "target")


# --------------------------------------------------------------------------------- data and models


def numbers(n):
    """Return n training rows and the test rows, and a name."""
    try:
        frame = table("california_housing").replace("", np.nan).dropna()
    except (FileNotFoundError, ImportError):
        X, y = make_friedman1(n + N_TEST, 9, noise=1.0, random_state=0)
        return X, y, "made-up rows"
    y = frame.pop("median_house_value").to_numpy(float) / 1e5
    return *shuffled(frame, y, n), "California"


def classes(n):
    """Return n training rows and the test rows, of two classes, and a name."""
    try:
        frame = table("adult").drop(columns="split")
    except (FileNotFoundError, ImportError):
        X, y = make_hastie_10_2(n + N_TEST, random_state=0)
        return X, y, "made-up rows"
    y = frame.pop("income").str.startswith(">50K").to_numpy()
    return *shuffled(frame, y, n), "Adult"


def shuffled(frame, y, n):
    texts = [c for c in frame if frame[c].map(lambda value: isinstance(value, str)).any()]
    frame[texts] = OrdinalEncoder().fit_transform(frame[texts].astype(str))
    rows = np.random.default_rng(0).permutation(len(y))[: n + N_TEST]
    return frame.to_numpy(float)[rows], y[rows]


def models(n_trees):
    """Return estimators of about 31 leaves a tree, and forests of trees grown out, too."""
    boosted = {"n_estimators": n_trees, "max_depth": 5, "random_state": 0}
    binned = {"max_iter": n_trees, "early_stopping": False}
    forest = {"n_estimators": n_trees, "random_state": 0}
    return {
        "GradientBoosting, squared": GradientBoostingRegressor(**boosted),
        "GradientBoosting, log loss": GradientBoostingClassifier(**boosted),
        "HistGradientBoosting, squared": HistGradientBoostingRegressor(**binned),
        "HistGradientBoosting, log loss": HistGradientBoostingClassifier(**binned),
        "RandomForestRegressor, 31 leaves": RandomForestRegressor(max_leaf_nodes=31, **forest),
        "RandomForestClassifier, 31 leaves": RandomForestClassifier(max_leaf_nodes=31, **forest),
        "RandomForestRegressor, grown out": RandomForestRegressor(**forest),
        "RandomForestClassifier, grown out": RandomForestClassifier(**forest),
    }


def wrapped(estimator, X, y):
    wrapper = InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor
    return wrapper.from_fitted(estimator, X, y)


# ------------------------------------------------------------------------------------------- floors


def leaves_of(estimator, X):
    """Return the leaf of every row in every tree, numbered within trees, (n, T)."""
    if hasattr(estimator, "apply"):
        ends = estimator.apply(X).reshape(len(X), -1)
    else:  # values of leaves are told apart by what a stage adds
        stages = "staged_decision_function" if is_classifier(estimator) else "staged_predict"
        raw = np.column_stack([np.ravel(stage) for stage in getattr(estimator, stages)(X)])
        ends = np.round(np.diff(raw, axis=1, prepend=0.0), 9)
    return np.column_stack([np.unique(own, return_inverse=True)[1] for own in ends.T])


def values_of_all(leaves, width):
    """Sum one value for every row, tree and column."""
    table = np.random.default_rng(0).standard_normal((leaves.max() + 1, width))
    out = np.zeros((len(leaves), width))
    for own in leaves.T:
        out += table[own]
    return out


def later_leaves(leaves, width, n_sums):
    """Multiply the changes of all leaves by what they do to the sums of each later tree."""
    rng = np.random.default_rng(0)
    sizes = leaves.max(axis=0) + 1
    changes = rng.standard_normal((sizes.sum(), width))
    matrix = rng.standard_normal((n_sums * sizes.max(), sizes.sum()))
    for first, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True):
        matrix[: n_sums * size, :first] @ changes[:first]


def sums_and_steps(leaves, width):
    """Sum over the rows of every leaf, and step back to them."""
    shift = np.zeros((len(leaves), width))
    ends = np.arange(len(leaves) + 1)
    for own in leaves.T:
        shape = own.max() + 1, len(own)
        sums = sparse.csc_matrix((np.ones(len(own)), own, ends), shape=shape).tocsr() @ shift
        shift += sums[own]
    return shift


def met_in_leaves(leaves, tests):
    """Return how often training and test rows meet in a leaf."""
    width = max(leaves.max(), tests.max()) + 1
    each = []
    for ends in (leaves, tests):
        columns = (ends + width * np.arange(ends.shape[1])).ravel()
        starts = np.arange(0, ends.size + 1, ends.shape[1])
        shape = len(ends), width * ends.shape[1]
        each.append(sparse.csr_matrix((np.ones(ends.size), columns, starts), shape=shape))
    return (each[1] @ each[0].T).toarray()


# ---------------------------------------------------------------------------------------- questions


def questions(estimator, X, y):
    """Return the questions to a model."""
    n = len(X) - N_TEST
    X, X_test, y = X[:n], X[n:], y[:n]
    fitted = clone(estimator).fit(X, y)
    leaves = leaves_of(fitted, X)
    model = wrapped(fitted, X, y)
    boosted, classifier = "Boosting" in type(estimator).__name__, is_classifier(estimator)
    target = "predict"
    if classifier:
        target = "decision_function" if boosted else "predict_proba"

    def scores(method):
        return lambda: model.influence_scores(X_test, target=target, method=method)

    def first():
        return wrapped(fitted, X, y).influence_scores(
            X_test[:1], target=target, method="first_order"
        )

    def left_out(model):
        masks = np.eye(MASKS, n, dtype=bool)
        return lambda: model.group_influence(masks, X_test, target=target, method="exact")

    yield Question("one fit", lambda: clone(estimator).fit(X, y))
    yield Question("first question", first)
    if not boosted:
        tests = leaves_of(fitted, X_test)
        for what, method in (("first order", "first_order"), ("exact", "exact")):
            yield Question(what, scores(method), lambda: met_in_leaves(leaves, tests), fits=1.0)
        return
    yield Question(
        "first order", scores("first_order"), lambda: values_of_all(leaves, N_TEST), seconds=2.0
    )
    steps = Question(
        "newton",
        scores("newton"),
        lambda: later_leaves(leaves, STEPS, 1 + classifier),
        floor_times=n / STEPS,
        seconds=8.0,
    )
    if not classifier:
        fits = 10.0 if isinstance(estimator, GradientBoostingRegressor) else None
        yield replace(steps, what="newton = exact", fits=fits)
        return
    yield steps
    rounded = X.astype(np.float32)  # which may be on other sides of thresholds: fitted on its own
    single = wrapped(clone(estimator).fit(rounded, y), rounded, y)
    for what, each in (("exact", model), ("exact, float32", single)):
        floor = lambda: sums_and_steps(leaves, MASKS)  # noqa: E731
        yield Question(what, left_out(each), floor, n / MASKS, n / MASKS)


def costs(estimator, X, y, repeats):
    """Return the lines of a model."""
    asked = list(questions(estimator, X, y))
    runs = {one.what: one.run for one in asked}
    floors = {f"floor of {one.what}": one.floor for one in asked if one.floor}
    found = Rounds(runs | floors, repeats, budget=200.0)
    fit = found.median("one fit")
    lines = []
    for one in asked:
        seconds = one.times * found.median(one.what)
        cells = [one.what, *ratios(seconds, fit), ""]
        if one.floor:
            least = one.floor_times * found.median(f"floor of {one.what}")
            cells[3] = f"{seconds / least:.1f} x {least:.2g} s"
        lines.append([*cells, ", ".join(targets(one, seconds, seconds / fit))])
    return lines


def targets(one, seconds, fits):
    """Yield the targets of a question, and which are missed."""
    for bar, value, unit in ((one.seconds, seconds, "s"), (one.fits, fits, "fits")):
        if bar is not None:
            yield f"{bar:g} {unit}" + ", **missed**" * (value > bar)


def large(n_trees, n):
    """Return the lines of many rows."""
    X, y = make_friedman1(n + 20, 8, noise=1.0, random_state=0)
    estimator = HistGradientBoostingRegressor(max_iter=n_trees, early_stopping=False)
    fit, _ = clocked(lambda: estimator.fit(X[:n], y[:n]))
    before = peak()
    model = wrapped(estimator, X[:n], y[:n])
    seconds, _ = clocked(
        lambda: model.influence_scores(X[n:], target="predict", method="first_order")
    )
    highest = peak()
    bar = "2 GiB" + ", **missed**" * (highest > 2.0)
    return [
        ["one fit", *ratios(fit, fit), "", ""],
        ["first question: first order, 20 test rows", *ratios(seconds, fit), "", ""],
        [f"memory: {highest:.2f} GiB, of which {before:.2f} before the question", "", "", "", bar],
    ]


def ratios(seconds, fit):
    return shown(seconds), shown(seconds / fit)


def shown(value):
    """Return a number in two digits or more."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def peak():
    """Return what the process has taken at most, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30


# -------------------------------------------------------------------------------------------- table


def plain(case, lines):
    rows = "\n".join("  {:<55s} {:>8s} {:>8s}  {:<16s} {}".format(*cells) for cells in lines)
    return f"\n{case}\n{rows}"


def rst(case, lines):
    cases = [case, *[""] * (len(lines) - 1)]
    rows = [(one, *cells) for one, cells in zip(cases, lines, strict=True)]
    return "\n".join("   " + ", ".join(f'"{cell}"' for cell in row) for row in rows)


def intro():
    versions = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "numpy", "scipy"))
    printed = f"Printed by ``python benchmarks/trees.py --rst``; {versions}; one thread."
    header = f".. csv-table::\n   :header: model, {', '.join(HEADER)}"
    return f"{printed}\n\n{header}\n   :widths: 28 22 10 8 17 15\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="*", default=[], help="models whose names have one of these texts")
    add("--quick", action="store_true", help="small sizes: a test of the benchmark, not of speed")
    add("--repeats", type=int, default=3, help="rounds at most")
    add("--rst", action="store_true", help="print the tables of the documentation")
    args = parser.parse_args()
    n, n_large, n_trees = (500, 2_000, 10) if args.quick else (10_000, 500_000, 100)
    warnings.simplefilter("ignore")
    count_cpu()
    printed = rst if args.rst else plain

    def chosen(name):
        return not args.only or any(text in name for text in args.only)

    if args.rst:
        print(intro())
    if chosen("large"):  # first: the peak is that of the process
        case = f"HistGradientBoosting, squared, made-up rows, {n_large:,} training rows (large)"
        print(printed(case, large(n_trees, n_large)), flush=True)
    for name, estimator in models(n_trees).items():
        if chosen(name):
            X, y, data = (classes if is_classifier(estimator) else numbers)(n)
            lines = costs(estimator, X, y, args.repeats)
            print(printed(f"{name}, {data}", lines), flush=True)


if __name__ == "__main__":
    main()
