"""How seconds grow with every size, and what choosing a solver costs."""

from __future__ import annotations

import copy

import networks
import numpy as np
from clocks import Rounds
from data import ones_and_sevens, ten_digits, words
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from speed_linear import first_order, fitted
from speed_table import Line, seconds

SIZES = {
    "rows": ("n", 16_000, "columns 100, test rows 500"),
    "columns": ("p", 200, "rows 8,000, test rows 200"),
    "classes": ("K", 4, "rows 4,000, columns 40, test rows 200"),
    "test rows": ("m", 500, "rows 10,000, columns 100"),
}
"""What is doubled three times, from where, and what stays."""

STAYING = {
    "rows": {"p": 100, "K": 2, "m": 500},
    "columns": {"n": 8_000, "K": 2, "m": 200},
    "classes": {"n": 4_000, "p": 40, "m": 200},
    "test rows": {"n": 10_000, "p": 100, "K": 2},
}

EXPLICIT = "cholesky", "cg"


def growth(setting):
    """Yield the exponent of the seconds of first-order scores in every size."""
    case = "Growth of the seconds, first order, size doubled three times"
    for what, (letter, start, stays) in SIZES.items():
        first = start // 8 if setting.quick and letter != "K" else start
        sizes = first * 2 ** np.arange(4)
        models = {}
        for size in sizes.tolist():
            *data, test = rows_of(**STAYING[what] | {letter: size}, quick=setting.quick)
            model = fitted(LogisticRegression(C=100.0 / len(data[0])), *data)
            models[str(size)] = first_order(model, *test)
        found = Rounds(models, setting.repeats, budget=20.0, warm=True)
        taken = [found.median(str(size)) for size in sizes]
        exponent = float(np.polyfit(np.log(sizes), np.log(taken), 1)[0])
        doubled = ", ".join(
            f"{size:,}: {seconds(one)}" for size, one in zip(sizes, taken, strict=True)
        )
        yield Line(case, f"in {what} ({stays})", exponent, "exponent", note=doubled)


def rows_of(n, p, K, m, quick):
    """Return training rows, labels, and (test rows, labels)."""
    n = n // 8 if quick and n > 1_000 else n
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n + m, p))
    eta = X[:, :5] @ rng.standard_normal((5, K)) + rng.gumbel(size=(n + m, K))
    y = np.argmax(eta, axis=1)
    return X[:n], y[:n], (X[n:], y[n:])


# ------------------------------------------------------------------------------ the cost model


def auto(setting):
    """Yield the seconds of solver="auto" over those of the best solver that was named."""
    case = 'solver="auto" over the best of "cholesky" and "cg", first order, the first question'
    for kind, make in SHAPES.items():
        model, test = make(setting.quick)
        n, p = model._fitted.training.X.shape
        name = f"{kind}, {n:,} x {p:,}, {len(test[1]):,} test rows"
        found = Rounds(asked(model, test), min(setting.repeats, 3), budget=25.0)
        taken = {
            solver: found.median(solver) for solver in EXPLICIT if found.results[solver] is not None
        }
        best = min(taken, key=taken.get)
        chosen = copy.copy(model)
        chosen.influence_scores(*test, method="first_order")
        each = ", ".join(f"{solver} {seconds(one)}" for solver, one in taken.items())
        note = f"{each}; auto {seconds(found.median('auto'))}: {chosen.solver_.split(':')[0]}"
        ratio = found.ratio("auto", best)
        yield Line(case, name, ratio, bar=1.5, note=note)


def asked(model, test):
    """Return a function for every solver; None is the answer of one that cannot."""

    def ask(solver):
        one = copy.copy(model).set_params(solver=solver)
        try:
            return one.influence_scores(*test, method="first_order")
        except (MemoryError, ValueError, np.linalg.LinAlgError):
            return None

    return {solver: lambda solver=solver: ask(solver) for solver in ("auto", *EXPLICIT)}


def tall(quick):
    X, y, X_test, y_test, _ = ones_and_sevens(not quick)
    n, m = (1_000, 50) if quick else (13_007, 2_163)
    model = fitted(LogisticRegression(C=1.0 / (0.01 * n), max_iter=1000), X[:n], y[:n])
    return model, (X_test[:m], y_test[:m])


def square(quick):
    n = 300 if quick else 4_000
    X, y, test = rows_of(n=n, p=n, K=2, m=20, quick=False)
    return fitted(LogisticRegression(C=0.01, max_iter=1000), X, y), test


def wide(quick):
    n, p = (100, 1_500) if quick else (500, 20_000)
    X, y, test = rows_of(n=n, p=p, K=2, m=100, quick=False)
    return fitted(LogisticRegression(max_iter=1000), X, y), test


def text(quick):
    X, y, _ = words(2_000 if quick else 40_000)
    n = 300 if quick else 5_000
    return fitted(LogisticRegression(max_iter=1000), X[:n], y[:n]), (X[:20], y[:20])


def small_classes(quick):
    X, y = load_digits(return_X_y=True)
    model = fitted(LogisticRegression(C=0.1, max_iter=1000), X[:1200] / 16.0, y[:1200])
    return model, (X[1200:] / 16.0, y[1200:])


def many_classes(quick):
    X, y, X_test, y_test, _ = ten_digits(not quick)
    n = 500 if quick else 10_000
    columns = slice(300, 360) if quick else slice(None)
    model = fitted(LogisticRegression(max_iter=300), X[:n, columns], y[:n])
    return model, (X_test[:20, columns], y_test[:20])


def small_network(quick):
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    net = MLPClassifier((16,), alpha=1.0, solver="lbfgs", max_iter=2000, random_state=0)
    return fitted(net, X[:1200], y[:1200], damping=0.1), (X[1200:1220], y[1200:1220])


def large_network(quick):
    net, X, y, *test = networks.mnist_network(*((500, 5) if quick else (1_000, 10)))
    return fitted(net, X, y, damping=1.0), test


SHAPES = {
    "tall": tall,
    "square": square,
    "wide": wide,
    "sparse text": text,
    "ten classes": small_classes,
    "ten classes, more": many_classes,
    "network, narrow": small_network,
    "network, wide": large_network,
}
