"""Time of exact leave-one-out over loops of refits and over the products of two sweeps.

One row of the table per data set, the fit of the model itself in no column:

n, p, K     rows, features, raw predictions of a row
ours        seconds for all rows: ``InfluenceClassifier.fit`` of the fitted model, engine included,
            and ``leave_one_out(method="exact")``; median of 3 where that is short
clone       seconds for all rows of clone and fit on the others at scikit-learn's default solver and
            tolerance; all loops are extrapolated from a few rows, evenly spread
warm        the same from the parameters of the full fit (``warm_start``), the row given weight 0,
            which spares the loop a copy of X; lbfgs or, if that is faster, newton-cholesky
tight       the same with newton-cholesky (newton-cg for sparse X) at tol=1e-10: the loop that gets
            somewhere near the minimum
clone/ ...  seconds of that loop over ours
floor       seconds of two sweeps over the data, X D and X' B each with a column per row and class,
            and of the Hessian and its factor once
exp         floor and, twice, one exponential per raw prediction
/floor /exp seconds of ours over these two

Below, how near the minimum without the row each ends, over the same rows, by independent code:

gradient    what is left of the gradient over what the removal caused, the largest and (in brackets)
            the median: 1 is a model that has not noticed
shift       what a loop says of the removed rows' raw predictions against ours: norm of the
            difference over norm of the change of these predictions
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings

import numpy as np
from data import ones_and_sevens
from scipy import linalg, sparse
from scipy.special import expit, softmax
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skinfluence import InfluenceClassifier

SHORT = 60.0
"""Seconds up to which ours is run three times."""

BLOCK = 512
"""Columns of a block of the floor."""

clock = time.perf_counter


def problems(quick):
    """Yield (name, X, y, C)."""
    rng = np.random.default_rng(0)

    def synthetic(n, p, X=None):
        X = rng.standard_normal((n, p)) if X is None else X
        raw = X @ rng.standard_normal(p)
        return X, (raw / raw.std() + rng.logistic(size=n) / 2 > 0).astype(int)

    yield "small", *synthetic(500, 10), 1.0
    yield "wide", *synthetic(300, 400 if quick else 2000), 1.0
    n, p = (1000, 400) if quick else (5000, 2000)
    words = sparse.random_array((n, p), density=0.01, format="csr", rng=rng)
    yield "sparse", *synthetic(n, p, words), 1.0
    X, y = load_digits(return_X_y=True)
    n = 500 if quick else len(y)
    yield "digits", X[:n] / 16.0, y[:n], 1.0
    X, y, *_, name = ones_and_sevens()
    X, y = (X[:2000], y[:2000]) if quick else (X, y)
    yield name, X, y, 1.0 / (0.01 * len(y))
    yield "tall", *synthetic(5_000 if quick else 100_000, 10), 1.0


def clocked(function, *args, **kwargs):
    start = clock()
    result = function(*args, **kwargs)
    return clock() - start, result


def ours(fitted, X, y):
    model = InfluenceClassifier(FrozenEstimator(fitted), refine=True).fit(X, y)
    return model.leave_one_out(method="exact")


def parameters(model):
    return np.column_stack([model.coef_, model.intercept_])


def loop(refit, rows, n):
    """Return seconds for all n rows and the parameters without each of some."""
    seconds, found = 0.0, []
    for i in rows:
        took, model = clocked(refit, i)
        seconds += took
        found.append(parameters(model))
    return seconds / len(rows) * n, found


def cold(fitted, X, y):
    """Return a refit of a clone without row i."""

    def refit(i):
        kept = np.arange(len(y)) != i
        return clone(fitted).fit(X[kept], y[kept])

    return refit


def warm(fitted, X, y, **params):
    """Return a refit from the parameters of `fitted`, row i with weight zero."""

    def refit(i):
        model = clone(fitted).set_params(warm_start=True, **params)
        model.classes_ = fitted.classes_
        model.coef_, model.intercept_ = fitted.coef_.copy(), fitted.intercept_.copy()
        weight = np.ones(len(y))
        weight[i] = 0.0
        return model.fit(X, y, sample_weight=weight)

    return refit


def error(theta, X, y, C, i=None):
    """Return (p + 1, K): the gradient of the objective of all rows but i."""
    eta = X @ theta[:, :-1].T + theta[:, -1]
    codes = np.unique(y, return_inverse=True)[1]
    if eta.shape[1] == 1:
        a = expit(eta) - codes[:, None]
    else:
        a = softmax(eta, axis=1) - np.eye(eta.shape[1])[codes]
    if i is not None:
        a[i] = 0.0
    return np.vstack([X.T @ a + theta[:, :-1].T / C, a.sum(axis=0)])


def gradients_left(found, base, X, y, C, rows):
    """Return the gradient left over the gradient caused, for every row."""
    full = error(base, X, y, C)
    return [
        np.linalg.norm(error(theta, X, y, C, i)) / np.linalg.norm(full - error(base, X, y, C, i))
        for theta, i in zip(found, rows, strict=True)
    ]


def own_predictions(found, X, rows):
    x = X[rows].toarray() if sparse.issparse(X) else X[rows]
    theta = np.array(found)
    return np.einsum("ij,ikj->ik", x, theta[:, :, :-1]) + theta[:, :, -1]


def floor(X, n_outputs):
    """Return seconds of the products, and of the exponentials, of two sweeps."""
    n, p = X.shape
    rng = np.random.default_rng(0)
    m = min(BLOCK, n) * n_outputs
    D = rng.standard_normal((p, m))
    forward = statistics.median(clocked(lambda: X @ D)[0] for _ in range(5))
    B = rng.standard_normal((n, m))
    back = statistics.median(clocked(lambda: X.T @ B)[0] for _ in range(5))
    exponentials = statistics.median(clocked(np.exp, B, out=B)[0] for _ in range(5))
    weighted_gram, gram = clocked(lambda: (0.5 * X).T @ (0.5 * X))
    H = np.kron(np.eye(n_outputs), gram.toarray() if sparse.issparse(X) else gram)
    H[np.diag_indices_from(H)] += 1.0
    n_tiles = max(1, n_outputs * (n_outputs - 1) // 2)
    once = n_tiles * weighted_gram + clocked(linalg.cho_factor, H, lower=True)[0]
    sweeps = 2 * n / min(BLOCK, n)
    return once + sweeps * (forward + back), sweeps * exponentials


def measured(name, X, y, C, n_fits):
    """Print one line of each table."""
    fitted = LogisticRegression(C=C, max_iter=10_000).fit(X, y)
    n, K = len(y), len(parameters(fitted))
    rows = np.unique(np.linspace(0, n - 1, n_fits).astype(int))
    seconds, result = clocked(ours, fitted, X, y)
    times = [seconds]
    while len(times) < 3 and seconds < SHORT:
        times.append(clocked(ours, fitted, X, y)[0])
    seconds = statistics.median(times)
    products, exponentials = floor(X, K)

    tight = "newton-cg" if sparse.issparse(X) else "newton-cholesky"
    few = rows[:: max(1, n_fits // 10)]
    warms = {"lbfgs": loop(warm(fitted, X, y), rows, n)}
    if tight == "newton-cholesky":
        warms[tight] = loop(warm(fitted, X, y, solver=tight), rows, n)
    faster = min(warms, key=lambda solver: warms[solver][0])
    loops = {
        "clone": loop(cold(fitted, X, y), rows, n),
        "warm": warms[faster],
        "tight": loop(warm(fitted, X, y, solver=tight, tol=1e-10), few, n),
    }

    model = InfluenceClassifier(FrozenEstimator(fitted), refine=True).fit(X, y)
    objective, changes = (
        model._current().mechanism("auto").objective,
        model._current().mechanism("auto").removal("exact").changes(rows),
    )
    base = objective.theta.reshape(K, -1)
    exact = [base + change.reshape(K, -1) for change in changes.T]
    decisions = np.reshape(result.decisions, (n, K))[rows]
    np.testing.assert_allclose(own_predictions(exact, X, rows), decisions, atol=1e-8)
    moved = decisions - own_predictions([base] * len(rows), X, rows)
    off = {}
    for label, (_, found) in loops.items():
        here = np.isin(rows, few if label == "tight" else rows)
        apart = own_predictions(found, X, rows[here]) - decisions[here]
        apart -= apart.mean(axis=1, keepdims=True) if K > 1 else 0.0
        off[label] = (
            gradients_left(found, base, X, y, C, rows[here]),
            np.linalg.norm(apart) / np.linalg.norm(moved[here]),
        )
    off["ours"] = gradients_left(exact, base, X, y, C, rows), 0.0

    print(
        f"{name:12s}{n:8,d}{X.shape[1]:6d}{K:4d}{seconds:9.2f}"
        + "".join(f"{loops[label][0]:9.1f}" for label in loops)
        + "".join(f"{loops[label][0] / seconds:8.1f}" for label in loops)
        + f"{products:9.2f}{products + exponentials:9.2f}"
        + f"{seconds / products:7.1f}{seconds / (products + exponentials):7.1f}"
        + f"   {faster}, ours {min(times):.2f} to {max(times):.2f}",
        flush=True,
    )
    return f"{name:12s}" + "".join(
        f"   {np.max(off[label][0]):8.1e} ({np.median(off[label][0]):.1e})"
        + (f" {off[label][1]:8.1e}" if label != "ours" else "")
        for label in ("ours", "clone", "warm", "tight")
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, 10 refits a loop")
    parser.add_argument("--only", nargs="*", help="names of data sets")
    parser.add_argument("--cpu", action="store_true", help="CPU seconds: for a busy machine")
    args = parser.parse_args()
    global clock
    clock = time.process_time if args.cpu else clock
    warnings.simplefilter("ignore")
    unit = "CPU seconds" if args.cpu else "seconds"
    print(f"{unit}, numpy {np.__version__}, {os.cpu_count()} cores")
    print(
        f"\n{'':12s}{'n':>8s}{'p':>6s}{'K':>4s}{'ours s':>9s}{'clone s':>9s}{'warm s':>9s}"
        f"{'tight s':>9s}{'clone/':>8s}{'warm/':>8s}{'tight/':>8s}{'floor s':>9s}{'exp s':>9s}"
        f"{'/floor':>7s}{'/exp':>7s}   warm by"
    )
    below = []
    for name, X, y, C in problems(args.quick):
        if not args.only or name in args.only:
            below.append(measured(name, X, y, C, 10 if args.quick else 50))
    loops = "".join(f"{label + ': gradient, shift':>30s}" for label in ("clone", "warm", "tight"))
    print(f"\n{'':12s}{'ours: gradient':>21s}{loops}")
    print("\n".join(below))


if __name__ == "__main__":
    main()
