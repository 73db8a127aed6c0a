"""Effects of removing groups of rows, .25 to 25 % of breast cancer, against tight refits.

First table: slope (actual on predicted, 1 is right) and relative error of the effects on the losses
of all held-out rows, pooled over the groups of a cell, for each penalty alpha / n (l2 = alpha in
the sum form, C = 1 / alpha), size and kind of group:

random       drawn at random
adversarial  the rows whose removal would raise, or lower, the loss of one held-out row most (by
             first order), and rows of one class

by first order, one Newton step, guarded Newton steps (the default) and the exact minimum.

Second table: Newton steps that are off by more than a fifth (norm over held-out rows), how many of
them the guard's test finds and how many of the others it flags in vain; the largest error it lets
pass; the thresholds that find 95 % and all of those that are off, and how many of the others the
latter flags.

As in Koh, Ang, Teo & Liang (2019), On the accuracy of influence functions for measuring group
effects, arXiv:1905.13289.
"""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
from scipy import sparse
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from skinfluence import InfluenceClassifier
from skinfluence.process.tuning import tuning
from skinfluence.removal import ExactGroups, FirstOrderGroups, NewtonGroups

PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
SIZES = (0.0025, 0.01, 0.025, 0.05, 0.1, 0.25)
KINDS = ("random", "adversarial")
METHODS = {
    "first order": (FirstOrderGroups, {}),
    "Newton": (NewtonGroups, {"guard": False}),
    "guarded": (NewtonGroups, {}),
    "exact": (ExactGroups, {}),
}
N_TRAIN = 450
OFF = 0.2


def groups_of(scores, y, size, rng):
    """Return {kind: masks}, 20 at random, 20 by one held-out row each and 10 of one class."""
    n = len(y)
    random = [rng.choice(n, size, replace=False) for _ in range(20)]
    chosen = []
    for test in rng.choice(len(scores), 10, replace=False):
        order = np.argsort(scores[test])
        chosen += [order[:size], order[-size:]]
    for label in (0, 1):
        members = np.flatnonzero(y == label)
        if size < len(members):
            chosen += [rng.choice(members, size, replace=False) for _ in range(5)]
    return {"random": masks(random, n), "adversarial": masks(chosen, n)}


def masks(index, n):
    out = np.zeros((len(index), n), dtype=bool)
    for mask, rows in zip(out, index, strict=True):
        mask[rows] = True
    return out


def losses(model, X, y):
    return -model.predict_log_proba(X)[np.arange(len(y)), y]


def cell(model, judge, data, left):
    """Return effects of every group by every method, the actual ones, and the doubts."""
    X, y, X_test, y_test = data
    base = losses(judge.fit(X, y), X_test, y_test)
    actual = np.column_stack(
        [losses(judge.fit(X[kept], y[kept]), X_test, y_test) - base for kept in ~left]
    )
    engine = model._current().mechanism("auto")
    ones = np.column_stack([X_test, np.ones(len(X_test))])
    sign = np.where(y_test == 1, -1.0, 1.0)[:, None]
    margin = sign * (ones @ engine.objective.theta)[:, None]
    predicted, doubts = {}, None
    for name, (kind, guard) in METHODS.items():
        given = engine.objective, sparse.csr_matrix(left), engine.factor, engine.solving.factorize
        removal = kind(*given, **guard)
        moved = sign * (ones @ removal.all_changes().T)
        if removal.linear:
            predicted[name] = moved / (1.0 + np.exp(-margin))
        else:
            predicted[name] = np.logaddexp(0, margin + moved) - np.logaddexp(0, margin)
        if name == "Newton":
            doubts = removal.steps(np.arange(len(left)))[1]
    return predicted, actual, doubts


def slope_and_error(predicted, actual):
    slope = np.sum(predicted * actual) / np.sum(predicted**2)
    error = np.linalg.norm(predicted - actual) / np.linalg.norm(actual)
    return f"{slope:.2f} {error:.3f}" if error >= 5e-4 else f"{slope:.2f} {error:.0e}"


def tables():
    """Return the rows of both tables as lists of strings."""
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    order = np.random.default_rng(0).permutation(len(y))
    train, test = order[:N_TRAIN], order[N_TRAIN:]
    data = X[train], y[train], X[test], y[test]
    effects, trust = [], []
    for penalty in PENALTIES:
        rng = np.random.default_rng(1)
        C = 1.0 / (penalty * N_TRAIN)
        judge = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000)
        model = InfluenceClassifier(judge).fit(*data[:2])
        scores = model.influence_scores(*data[2:], method="first_order")
        error, doubt = [], []
        for size in SIZES:
            n_rows = max(1, round(size * N_TRAIN))
            line = [f"{penalty:g}", f"{100 * size:g}"]
            kinds = groups_of(scores, data[1], n_rows, rng)
            found = {kind: cell(model, judge, data, left) for kind, left in kinds.items()}
            for name, kind in product(METHODS, KINDS):
                predicted, actual, _ = found[kind]
                line.append(slope_and_error(predicted[name], actual))
            effects.append(line)
            for predicted, actual, doubts in found.values():
                apart = np.linalg.norm(predicted["Newton"] - actual, axis=0)
                error.extend(apart / np.linalg.norm(actual, axis=0))
                doubt.extend(doubts)
        trust.append([f"{penalty:g}", *trusted(np.array(error), np.array(doubt))])
    return effects, trust


def trusted(error, doubt):
    """Return a line of the second table."""
    off, flagged = error > OFF, doubt > tuning().trusted_next_step
    passed = f"{error[~flagged].max():.3f}" if np.any(~flagged) else "none"
    line = [f"{len(off)}", f"{off.sum()}", share(flagged, off), share(flagged, ~off), passed]
    if not np.any(off):
        return [*line, "none", "none", "none"]
    some, every = (np.quantile(doubt[off], q, method="lower") for q in (0.05, 0.0))
    return [*line, f"{some:.3f}", f"{every:.3f}", share(doubt >= every, ~off)]


def share(flagged, among):
    return f"{100 * np.mean(flagged[among]):.0f} %" if np.any(among) else "none"


def printed(header, rows, above=()):
    """Print an aligned table; `above` heads the last columns, two by two."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    if above:
        n_alone = len(widths) - 2 * len(above)
        spans = widths[:n_alone] + [a + b + 2 for a, b in in_pairs(widths[n_alone:])]
        print(aligned([""] * n_alone + [*above], spans))
    for row in (header, *rows):
        print(aligned(row, widths))


def in_pairs(values):
    return zip(values[::2], values[1::2], strict=True)


def aligned(row, widths):
    return "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))


def main():
    warnings.simplefilter("ignore")  # newton-cholesky at its last digits
    effects, trust = tables()
    printed(["alpha/n", "% rows", *KINDS * len(METHODS)], effects, above=tuple(METHODS))
    print()
    flags = ["flagged", "others flagged", "error passed"]
    thresholds = ["finds 95 %", "finds all", "others then"]
    printed(["alpha/n", "groups", f"off > {OFF:g}", *flags, *thresholds], trust)


if __name__ == "__main__":
    main()
