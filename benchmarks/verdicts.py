"""How often the verdict of a check errs: models good and bad, and what refits of other rows say.

Every model has an ordinary check: 30 rows with the largest scores, and five test rows or the three
that it gets most wrong. The truth about it is 60 training rows drawn at random and 40 other test
rows: refits by the judge of the check or, for networks, by `network_refits.py`, which shares no
code with the package. Scores are truly fit

- for values where the relative error is at most .2, over all and of the median test row,
- for ranking where the tenth of the rows that they put at either end for the median test row makes
  at least .8 of the change that the right tenth makes.

Thresholds are chosen by every other model and hold, or do not, for the rest.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
from network_refits import Network
from sklearn import datasets
from sklearn.base import is_regressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import scale
from sklearn.svm import SVC, SVR, LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection.agreement import agreement, median_agreement
from skinfluence.inspection.verdict import LARGEST_ERROR, LEAST_SPEARMAN
from skinfluence.retraining import networks
from skinfluence.solvers import Nystroem

N_TRAIN = 150
N_TESTS = 40
"""Test rows of the truth."""
N_ROWS = 60
"""Rows of the truth, drawn at random."""
N_REMOVED = (3, 5, 10, 30)
"""Rows of the check, and what fewer of them would say."""
FIT_FOR = ("values", "ranking", "neither")
SAID = (*FIT_FOR, "cannot tell")


def simulated():
    return datasets.make_classification(400, 20, n_informative=5, flip_y=0.1, random_state=0)


def overlapping():
    return datasets.make_classification(
        400, 12, n_informative=6, n_classes=3, class_sep=0.7, flip_y=0.1, random_state=1
    )


CLASSES = {
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "two classes": simulated,
    "digits": lambda: [part[:500] for part in datasets.load_digits(n_class=3, return_X_y=True)],
    "three classes": overlapping,
}
TWO_CLASSES, THREE_CLASSES = ("breast cancer", "two classes"), ("digits", "three classes")
NUMBERS = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "friedman1": lambda: datasets.make_friedman1(400, 8, noise=1.0, random_state=0),
}


def small(alpha, kind=MLPClassifier, **params):
    """Return a small network that is nearly at a minimum."""
    given = {"activation": "tanh", "solver": "lbfgs", "max_iter": 5000, "random_state": 0}
    return kind(hidden_layer_sizes=(6,), alpha=alpha, **given | params)


CLASSIFIERS = {
    "logistic, newton": (LogisticRegression(), {}),
    "logistic, first order": (LogisticRegression(), {"method": "first_order"}),
    "logistic, C = 100, newton": (LogisticRegression(C=100.0, max_iter=10_000), {}),
    "logistic, C = 100, first order": (
        LogisticRegression(C=100.0, max_iter=10_000),
        {"method": "first_order"},
    ),
    "logistic, C = .01, first order": (LogisticRegression(C=0.01), {"method": "first_order"}),
    "logistic, C = 100, damping 1": (
        LogisticRegression(C=100.0, max_iter=10_000),
        {"damping": 1.0, "method": "first_order"},
    ),
    "logistic, damping 10": (LogisticRegression(), {"damping": 10.0}),
    "logistic, sketched": (
        LogisticRegression(C=10.0),
        {"solver": Nystroem(rank=5, random_state=0), "method": "first_order"},
    ),
    "logistic, l1, newton": (
        LogisticRegression(l1_ratio=1.0, C=0.3, solver="liblinear"),
        {},
    ),
    "LinearSVC": (LinearSVC(loss="hinge", max_iter=200_000), {}),
    "LinearSVC, temperature .001": (
        LinearSVC(loss="hinge", max_iter=200_000),
        {"temperature": 0.001},
    ),
    "LinearSVC, exact": (LinearSVC(loss="hinge", max_iter=200_000), {"method": "exact"}),
    "LinearSVC, squared hinge": (LinearSVC(), {}),
    "SVC": (SVC(), {}),
    "SVC, first order": (SVC(C=10.0), {"method": "first_order"}),
}
REGRESSORS = {
    "Ridge": (Ridge(), {}),
    "Ridge, first order": (Ridge(), {"method": "first_order"}),
    "Poisson": (PoissonRegressor(alpha=0.01, max_iter=10_000), {}),
    "Gamma, first order": (GammaRegressor(alpha=0.01, max_iter=10_000), {"method": "first_order"}),
    "Huber": (HuberRegressor(max_iter=10_000), {}),
    "Lasso": (Lasso(alpha=0.05), {}),
    "Lasso, exact": (Lasso(alpha=0.05), {"method": "exact"}),
    "SVR": (SVR(), {}),
    "kernel ridge": (KernelRidge(alpha=0.3, kernel="rbf"), {}),
    "kernel ridge, first order": (
        KernelRidge(alpha=0.3, kernel="rbf", gamma=0.3),
        {"method": "first_order"},
    ),
}
NETWORKS = {
    "alpha 1": (small(1.0), {"damping": 0.01}),
    "alpha 1, Hessian, newton": (
        small(1.0),
        {"method": "newton", "refine": True, "curvature": "hessian", "damping": 0.01},
    ),
    "alpha 10": (small(10.0), {"damping": 0.01}),
    "alpha 10, newton": (small(10.0), {"method": "newton", "refine": True}),
    "alpha 1, exact": (small(1.0), {"method": "exact"}),
    "alpha .01": (small(0.01), {"damping": 0.01}),
    "alpha .01, exact": (small(0.01), {"method": "exact"}),
    "adam, refined": (small(1.0, solver="adam", max_iter=300), {"refine": True, "damping": 0.01}),
    "adam, ten units": (MLPClassifier((10,), random_state=0), {"damping": 0.1}),
    "adam, ten units, 50 epochs": (
        MLPClassifier((10,), max_iter=50, random_state=0),
        {"damping": 1.0},
    ),
    "numbers, alpha 1": (small(1.0, MLPRegressor), {"damping": 0.01}),
    "numbers, alpha 10, exact": (small(10.0, MLPRegressor), {"method": "exact"}),
    "numbers, adam, ten units": (
        MLPRegressor(hidden_layer_sizes=(10,), random_state=0),
        {"damping": 0.1},
    ),
}


def parts(X, y, seed, numbers):
    """Return rows to fit, rows to check by and rows of the truth, with their targets."""
    order = np.random.default_rng(seed).permutation(len(y))
    X, y = scale(X)[order], y[order]
    if numbers:
        y = y / y.std() if np.all(y > 0) else scale(y)
    cuts = np.array([N_TRAIN, N_TRAIN + N_TESTS, N_TRAIN + 2 * N_TESTS])
    return [(X[a:b], y[a:b]) for a, b in zip([0, *cuts[:-1]], cuts, strict=True)]


def measured(estimator, params, data, seed):
    """Return the ordinary check of one model, and predicted and actual changes of others."""
    numbers = data in NUMBERS
    train, near, far = parts(*(NUMBERS | CLASSES)[data](), seed, numbers)
    model = (InfluenceRegressor if numbers else InfluenceClassifier)(estimator, **params)
    model.fit(*train)
    X, y = (part[asked_about(model, *near, worst=seed % 2 == 1)] for part in near)
    check = model.leave_one_out_check(X, y, rows=30)
    rows = np.random.default_rng(seed).choice(N_TRAIN, N_ROWS, replace=False)
    if isinstance(estimator, MLPClassifier | MLPRegressor):
        rows = rows[: N_ROWS // 2]
        actual = refits(model, *train, *far, rows)
        return check, model.influence_scores(*far)[:, rows], actual
    truth = model.leave_one_out_check(*far, positions=rows)
    return check, truth.predicted, truth.actual


def refits(model, X, y, X_test, y_test, rows):
    """Return what minima of a network without each row say, next to that with all of them."""
    network = Network(model.estimator_)
    full, _ = network.minimum(network.start(), X, y, polished=False)
    before = network.losses(full, X_test, y_test)
    changes = []
    for row in rows:
        kept = np.delete(np.arange(len(y)), row)
        moved, _ = network.minimum(full, X[kept], y[kept], polished=False)
        changes.append(network.losses(moved, X_test, y_test) - before)
    return np.column_stack(changes)


def asked_about(model, X, y, worst):
    """Return the test rows of a check: the three that the model gets most wrong, or any five."""
    if not worst:
        return np.arange(5)
    if isinstance(model, InfluenceRegressor):
        return np.argsort(-np.abs(model.predict(X) - y))[:3]
    try:
        raw = model.decision_function(X)
    except AttributeError:
        raw = model.predict_proba(X)
    if raw.ndim == 1:
        raw = np.column_stack([-raw, raw])
    own = np.arange(len(y)), np.searchsorted(model.classes_, y)
    margins = raw[own].copy()
    raw[own] = -np.inf
    return np.argsort(margins - raw.max(axis=1))[:3]


def cells(splits):
    """Yield every model with its data and seed; networks, which take long, with one of each."""
    for models, sets in ((CLASSIFIERS, CLASSES), (REGRESSORS, NUMBERS)):
        for name, (estimator, params) in models.items():
            for data in TWO_CLASSES if "l1" in name else sets:  # what liblinear can do
                for seed in range(splits):
                    yield name, estimator, params, data, seed
    for name, (estimator, params) in NETWORKS.items():  # of three classes, as their refits are
        sets = list(NUMBERS) if is_regressor(estimator) else THREE_CLASSES
        if name.startswith("adam, ten"):  # the other takes L-BFGS too long
            sets = sets[:1]
        for seed, data in enumerate(sets):
            yield name, estimator, params, data, seed


def share_on_top(predicted, actual):
    """Return the part of the largest changes that the rows at the ends of the scores make.

    For the median of the test rows that any row moves.
    """
    k = max(1, actual.shape[1] // 10)
    found = np.take_along_axis(actual, np.argsort(predicted, axis=1, kind="stable"), axis=1)
    best = np.sort(actual, axis=1)
    made, all_there_is = (a[:, -k:].sum(axis=1) - a[:, :k].sum(axis=1) for a in (found, best))
    moved = all_there_is > 0
    return np.median(made[moved] / all_there_is[moved])


def agreements(predicted, actual):
    """Return the larger relative error, over all and of the median test row, and its Spearman."""
    median = median_agreement([agreement(*row) for row in zip(predicted, actual, strict=True)])
    pooled = agreement(predicted, actual)
    return max(pooled.relative_error, median.relative_error), median.spearman


def numbers(check, predicted, actual):
    """Return what a check says, of all rows and of fewer, and what is true."""
    said = {k: agreements(check.predicted[:, :k], check.actual[:, :k]) for k in N_REMOVED}
    judge = 0.0 if check.judge_noise is None else check.judge_noise
    noise = max(np.sqrt(np.mean(np.square(each))) for each in (check.noise, judge))
    return {
        "verdict": check.verdict,
        "fit_for": check.fit_for or "neither",
        "noise": noise / np.sqrt(np.mean(check.actual**2)),
        "error": {k: error for k, (error, _) in said.items()},
        "spearman": {k: spearman for k, (_, spearman) in said.items()},
        "true_error": agreements(predicted, actual)[0],
        "true_share": share_on_top(predicted, actual),
    }


def truth(cell):
    """Return what scores are truly fit for."""
    if cell["true_error"] <= 0.2:
        return "values"
    return "ranking" if cell["true_share"] >= 0.8 else "neither"


# ---------------------------------------------------------------------------------- the tables


def print_cell(cell):
    print(
        f"{cell['name']:31} {cell['data']:13} {cell['seed']} {cell['took']:6.1f} s  truly "
        f"{truth(cell):8} (error {cell['true_error']:.2g}, on top {cell['true_share']:.2f})   "
        f"{cell['verdict']}",
        flush=True,
    )


def print_verdicts(cells):
    """Print what was said, by what is true."""
    print(f"\n{len(cells)} checks of {len({cell['name'] for cell in cells})} models")
    print(f"{'truly fit for':16}" + "".join(f"{said:>12}" for said in SAID))
    for true in FIT_FOR:
        those = [cell for cell in cells if truth(cell) == true]
        counts = [sum(said_of(cell) == said for cell in those) for said in SAID]
        print(f"{true:16}" + "".join(f"{count:12d}" for count in counts))
    ranks = [(FIT_FOR.index(cell["fit_for"]), FIT_FOR.index(truth(cell))) for cell in cells]
    above, below = (sum(said < true for said, true in ranks), sum(s > t for s, t in ranks))
    print(f"says too much {above}, too little {below}, of {len(cells)}")


def said_of(cell):
    return "cannot tell" if "as far as" in cell["verdict"] else cell["fit_for"]


def wrong(cells, error, spearman, n_removed=30):
    """Return how many checks say too much and too little of values, and of ranking."""
    counts = np.zeros(4, dtype=int)
    for cell in cells:
        values = cell["error"][n_removed] <= error and cell["noise"] <= error
        ranking = values or cell["spearman"][n_removed] >= spearman
        true = truth(cell)
        counts += [
            values and true != "values",
            not values and true == "values",
            ranking and true == "neither",
            not ranking and true != "neither",
        ]
    return counts


def halves(cells):
    """Return the cells of every other model, which choose the thresholds, and the rest."""
    names = list(dict.fromkeys(cell["name"] for cell in cells))
    return [[c for c in cells if names.index(c["name"]) % 2 == half] for half in (0, 1)]


def print_thresholds(cells):
    """Print how often other thresholds err, in the models that choose and in the rest."""
    both = halves(cells)
    sizes = " and in the others ".join(f"({len(half)})" for half in both)
    print(f"\nsays too much, too little; in the models that choose {sizes}")
    for error in (0.1, 0.15, 0.2, 0.25, 0.3):
        chosen, others = (wrong(half, error, LEAST_SPEARMAN)[:2] for half in both)
        print(f"values, relative error <= {error:4.2f}   {chosen}   {others}")
    for spearman in (0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
        chosen, others = (wrong(half, LARGEST_ERROR, spearman)[2:] for half in both)
        print(f"ranking, Spearman >= {spearman:4.2f}        {chosen}   {others}")
    for n_removed in N_REMOVED:
        found = wrong(cells, LARGEST_ERROR, LEAST_SPEARMAN, n_removed)
        print(f"{n_removed:2d} rows removed: values {found[:2]}, ranking {found[2:]}, of all")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="keep the numbers here")
    parser.add_argument("--only", nargs="*", help="models with one of these words in their name")
    parser.add_argument("--splits", type=int, default=2, help="of the rows")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    networks.OPERATIONS = 0.0  # L-BFGS has the last word, as it has with larger networks
    measured_cells = []
    for name, estimator, params, data, seed in cells(args.splits):
        if args.only and not any(word in name for word in args.only):
            continue
        start = time.perf_counter()
        found = numbers(*measured(estimator, params, data, seed))
        took = time.perf_counter() - start
        measured_cells.append({"name": name, "data": data, "seed": seed, "took": took, **found})
        print_cell(measured_cells[-1])
        if args.json:
            args.json.write_text(json.dumps(measured_cells, indent=1), encoding="utf-8")
    print_verdicts(measured_cells)
    print_verdicts(halves(measured_cells)[1])
    print_thresholds(measured_cells)


if __name__ == "__main__":
    main()
