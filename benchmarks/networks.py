"""Networks: products over their floor, scores against pyDVL, scores against refits, adam.

Tables:

products    784-100-10 on 10,000 rows of MNIST: products of the curvature with 20 vectors, and the
            gradients of all rows times 20 vectors, over the matrix products that they cannot do
            without, and autograd for one vector of the same
scores      the same network: 20 test rows on all rows, first order, by conjugate gradients without
            a preconditioner, with the heaviest rows and with the Kronecker factors, and pyDVL's
            block conjugate gradients: the same curvature, damping and residual
refits      digits and diabetes: first order, Newton and exact against L-BFGS refits
adam        a network that was stopped early: what `refine` moves, costs and changes

pyDVL lives in an environment of its own, which ``--rival FOLDER`` makes or finds (rivals.py).
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
import sys
import time
import warnings
from pathlib import Path

import clocks
import numpy as np
import rivals
import scipy
import sklearn
from data import digits
from network_refits import Network
from sklearn.datasets import load_diabetes, load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import scale

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters.neural_network import multilayer_perceptron
from skinfluence.curvature import Curvature
from skinfluence.inspection import agreement
from skinfluence.questions.scoring import Asked, edit_scorer
from skinfluence.solvers import CG
from skinfluence.solvers.cg import conjugate_gradients

REPEATS, COLUMNS, RTOL = 5, 20, 1e-4
clock = time.perf_counter


def clocked(function, *args, **kwargs):
    start = clock()
    result = function(*args, **kwargs)
    return clock() - start, result


def median(function, *args, repeats=REPEATS):
    return statistics.median(clocked(function, *args)[0] for _ in range(repeats))


def mnist_network(n=10_000, hidden=100):
    """Return 784-100-10 fitted by adam without a penalty, its rows and 20 test rows."""
    X, y, X_test, y_test = digits(range(10)) or synthetic()
    X, y, X_test, y_test = X[:n], y[:n], X_test[:COLUMNS], y_test[:COLUMNS]
    network = MLPClassifier((hidden,), alpha=0.0, batch_size=200, max_iter=20, random_state=0)
    return network.fit(X, y), X, y, X_test, y_test


def synthetic():
    """Return rows of the shape of MNIST."""
    rng = np.random.default_rng(0)
    X = rng.random((11_000, 784)) * (rng.random((11_000, 784)) < 0.2)
    y = np.argmax(X @ rng.standard_normal((784, 10)), axis=1)
    return X[:10_000], y[:10_000], X[10_000:], y[10_000:]


# ------------------------------------------------------------------------------------- products


def products():
    """Yield (name, seconds, over the floor)."""
    network, X, y, *_ = mnist_network()
    objective = multilayer_perceptron(network, X, y, None)
    rng = np.random.default_rng(0)
    V = rng.standard_normal((objective.n_params, COLUMNS))
    d, h, K = objective.layers.sizes
    n = len(X)
    wide, thin = (rng.standard_normal(shape) for shape in ((d, COLUMNS * h), (h, COLUMNS * K)))
    back, out = (rng.standard_normal((n, COLUMNS * e)) for e in (h, K))
    A, W = np.ascontiguousarray(back[:, :h]), rng.standard_normal((h, K))
    stack = back.reshape(-1, h)
    matrix = {
        "X V": median(np.matmul, X, wide),
        "X'D": median(np.matmul, X.T, back),
        "A V": median(np.matmul, A, thin),
        "A'D": median(np.matmul, A.T, out),
        "RA W": median(np.matmul, stack, W),
        "D W'": median(np.matmul, out.reshape(-1, K), W.T),
    }
    floors = {
        "gauss_newton": sum(matrix.values()),
        "hvp": sum(matrix.values()) + 2 * matrix["D W'"] + matrix["A'D"],
        "grads_dot": matrix["X V"] + matrix["A V"],
    }
    for name, floor in floors.items():
        yield f"{name}: matrix products alone", floor, 1.0
        seconds = median(getattr(objective, name), V)
        yield f"{name}, {COLUMNS} vectors", seconds, seconds / floor
    seconds = autograd_seconds(objective)
    yield f"hvp by autograd, {COLUMNS} vectors", seconds, seconds / floors["hvp"]


def autograd_seconds(objective):
    """Return the seconds that autograd takes for the product of the Hessian, vector by vector."""
    import autograd
    import autograd.numpy as anp

    X, y = objective.X, objective.y
    shapes = objective.layers.pairs()

    def total(theta):
        A, at = X, 0
        for i, (d, e) in enumerate(shapes):
            layer = anp.reshape(theta[at : at + (d + 1) * e], (d + 1, e))
            A = anp.dot(A, layer[:d]) + layer[d]
            A = anp.maximum(A, 0.0) if i < len(shapes) - 1 else A
            at += (d + 1) * e
        top = anp.max(A, axis=1)
        totals = top + anp.log(anp.sum(anp.exp(A - top[:, None]), axis=1))
        return anp.sum(totals) - anp.sum(A[np.arange(len(X)), codes])

    codes = np.asarray(y).astype(int) if np.ndim(y) == 1 else np.argmax(y, axis=1)
    gradient = autograd.grad(total)
    v = np.random.default_rng(0).standard_normal(objective.n_params)
    along = autograd.grad(lambda theta: anp.dot(gradient(theta), v))
    return COLUMNS * median(along, objective.theta, repeats=3)


# --------------------------------------------------------------------------------------- scores


CURVATURES = ("gauss_newton", 1e-2), ("gauss_newton", 1e-4), ("hessian", 1e-2)
"""Kinds of curvature, and the damping in parts of its largest eigenvalue."""

PRECONDITIONERS = None, "dominant_rows", "kronecker"


def scores(rival):
    """Yield (curvature, damping, solver, products, vectors, seconds, over ours, agreement)."""
    network, X, y, X_test, y_test = mnist_network()
    objective = multilayer_perceptron(network, X, y, None)
    B = objective.on(X_test, y_test).weighted_grad_sum(np.eye(COLUMNS))
    for kind, part in CURVATURES:
        damping = float(f"{part * Curvature(objective, kind).largest():.3g}")
        curvature = Curvature(objective, kind, damping)
        label = f"{kind}, {damping:g}"
        model = InfluenceClassifier(
            FrozenEstimator(network), solver=CG(rtol=RTOL), curvature=kind, damping=damping
        ).fit(X, y)
        for name in PRECONDITIONERS:
            start = clock()
            precondition = CG(preconditioner=name).factorize(curvature).precondition
            times = Counted(curvature.matmat)
            S, _ = conjugate_gradients(times, precondition, B, RTOL, 1000)
            objective.grads_dot(S)
            yield label, f"preconditioner {name or 'none'}", *times.seen, clock() - start, None, ""
        seconds, found = clocked(copy.copy(model).influence_scores, X_test, y_test)
        yield label, "influence_scores, engine included", "", "", seconds, 1.0, ""
        if rival is None or kind != "hessian":
            continue
        for dtype in ("float32", "float64"):
            theirs = by_pydvl(rival, network, (X, y, X_test, y_test), damping, dtype)
            same = agreement(found, theirs["scores"])
            said = f"R {same.pearson:.6f}, slope {same.slope:.4f}"
            taken = float(theirs["seconds"])
            yield (
                label,
                f"pyDVL {theirs['version']}, {dtype}",
                *theirs["products"],
                taken,
                taken / seconds,
                said,
            )


class Counted:
    """A function that counts its calls and columns."""

    def __init__(self, function):
        self.function = function
        self.seen = [0, 0]

    def __call__(self, V):
        self.seen[0] += 1
        self.seen[1] += V.shape[1]
        return self.function(V)


def by_pydvl(folder, network, data, damping, dtype, *options):
    """Return what rival_pydvl.py finds, with options of its own."""
    X, y, X_test, y_test = data
    arrays = {f"W{i}": W for i, W in enumerate(network.coefs_)}
    arrays |= {f"b{i}": b for i, b in enumerate(network.intercepts_)}
    arrays |= {"X": X, "y": y, "X_test": X_test, "y_test": y_test, "depth": len(network.coefs_)}
    arrays |= {"damping": damping, "rtol": RTOL}
    return rivals.asked(folder, "torch", "rival_pydvl.py", "--dtype", dtype, *options, **arrays)


# --------------------------------------------------------------------------------------- refits


def cases():
    """Yield names, estimators and data: training rows, then those that may be test rows."""
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    data = X[:800], y[:800], X[800:], y[800:]
    tight = {"solver": "lbfgs", "max_iter": 20_000, "max_fun": 200_000, "tol": 1e-10}
    tight |= {"random_state": 0}
    for alpha in (1.0, 0.1):
        name = f"digits, 64-16-10 tanh, alpha {alpha:g}"
        yield name, MLPClassifier((16,), activation="tanh", alpha=alpha, **tight), data
    yield "digits, 64-16-10 relu, alpha 1", MLPClassifier((16,), alpha=1.0, **tight), data
    two = MLPClassifier((16, 16), activation="tanh", alpha=1.0, **tight)
    yield "digits, 64-16-16-10 tanh, alpha 1", two, data
    X, y = load_diabetes(return_X_y=True)
    X, y = scale(X), scale(y)
    one = MLPRegressor(hidden_layer_sizes=(16,), activation="tanh", alpha=1.0, **tight)
    yield "diabetes, 10-16-1 tanh, alpha 1", one, (X[:350], y[:350], X[350:], y[350:])


def refits(*, every=True, user=True):
    """Yield (network, method, pearson, slope, error, seconds)."""
    for name, estimator, (X, y, X_rest, y_rest) in cases():
        fit, network = clocked(estimator.fit, X, y)
        plain = Network(network)
        hard = np.argsort(-plain.losses(plain.start(), X_rest, y_rest))[:20]
        test = X_rest[hard], y_rest[hard]
        model = wrapped(network, X, y, damping=0.1)
        found, seconds = {}, {}
        for method in ("first_order", "newton"):
            fresh = copy.copy(model)
            seconds[method], found[method] = clocked(fresh.influence_scores, *test, method=method)
        size = np.linalg.norm(found["newton"], axis=0)
        rows = np.argsort(-size, kind="stable")[:15]
        scorer = edit_scorer(model._current(), Asked(*test, method="exact"))
        seconds["exact"], some = clocked(scorer.matrix, np.float64, rows)
        judged, left = truth(
            plain, model._current().mechanism("auto").objective.weights(), (X, y), test, rows
        )
        fit_name = f"{name}: fit {fit:.2g} s, refits to gradient {left:.0e}"
        for method in ("first_order", "newton"):
            label = f"{method}, damping .1"
            yield fit_name, label, *three(found[method][:, rows], judged[0]), seconds[method]
        undamped = wrapped(network, X, y, damping=0.0)
        for method in ("first_order", "newton"):
            try:
                loose = undamped.influence_scores(*test, method=method)[:, rows]
            except ValueError:  # singular
                continue
            yield fit_name, f"{method}, no damping", *three(loose, judged[0]), ""
        yield fit_name, "exact, 15 rows", *three(some, judged[0]), seconds["exact"]
        one = np.linalg.norm(judged[1] - judged[0], axis=0) < 0.01 * np.linalg.norm(
            judged[0], axis=0
        )
        if 0 < np.sum(one) < len(one):
            label = f"exact, the {np.sum(one)} rows where both refits agree"
            yield fit_name, label, *three(some[:, one], judged[0][:, one]), ""
        if every:
            taken, _ = clocked(scorer.matrix, np.float64, np.arange(len(X)))
            yield fit_name, f"exact, all {len(X)} rows", "", "", "", taken
        label = "refits by L-BFGS alone"
        yield fit_name, label, *three(judged[1], judged[0]), ""
        if user:
            taken, check = clocked(
                model.leave_one_out_check, *test, rows=rows, method="exact", random_state=0
            )
            values = check.pearson, check.slope, check.relative_error
            yield fit_name, "leave_one_out_check, exact", *values, taken


def wrapped(network, X, y, damping, refine=True):
    kind = InfluenceRegressor if isinstance(network, MLPRegressor) else InfluenceClassifier
    return kind(FrozenEstimator(network), damping=damping, refine=refine).fit(X, y)


def truth(plain, weights, data, test, rows):
    """Return the changes of the test losses by two kinds of refits, the first gradient's worst."""
    X, y = data
    theta = np.concatenate([part.ravel() for pair in zip(*weights, strict=True) for part in pair])
    found, worst = [], 0.0
    for kind in ({"maxcor": 50}, {"maxcor": 10, "polished": False}):
        best, norm = plain.minimum(theta, X, y, **kind)
        before, columns = plain.losses(best, *test), []
        for row in rows:
            there, norm = plain.minimum(best, np.delete(X, row, 0), np.delete(y, row), **kind)
            columns.append(plain.losses(there, *test) - before)
            worst = max(worst, norm) if not found else worst
        found.append(np.column_stack(columns))
    return found, worst


def three(predicted, actual):
    found = agreement(predicted, actual)
    return found.pearson, found.slope, found.relative_error


# ----------------------------------------------------------------------------------------- adam


def adam():
    """Yield (what, value) for a network that was stopped early."""
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    data = X[:1200], y[:1200]
    network = MLPClassifier((16,), alpha=0.01, early_stopping=True, random_state=0, max_iter=500)
    fit, _ = clocked(network.fit, *data)
    test = X[1200:1300], y[1200:1300]
    found = {}
    for refine in (False, True):
        model = wrapped(network, *data, damping=1.0, refine=refine)
        found[refine] = clocked(model.influence_scores, *test), model
    (plain, raw), model = found[False]
    (moved, refined), there = found[True]
    yield "fit, s", fit
    yield "gradient norm at the fitted weights", model.refinement_.gradient_norm
    yield (
        "distance to the minimum, in removals of a typical row",
        model.refinement_.newton_decrement / model.refinement_.typical_removal,
    )
    yield "first-order scores of 100 test rows as fitted, s", plain
    yield "the same with refine=True, s", moved
    yield "gradient norm after refine=True", there.refinement_.remaining_gradient_norm
    same = agreement(raw, refined)
    yield "Pearson, scores as fitted and refined", same.pearson
    yield "Spearman", same.spearman
    yield "slope, refined regressed on fitted", same.slope
    before, after = (Network(network).losses(theta, *test) for theta in thetas(network, there))
    yield "mean test loss as fitted", before.mean()
    yield "mean test loss refined", after.mean()


def thetas(network, refined):
    yield Network(network).start()
    pairs = zip(*refined._current().mechanism("auto").objective.weights(), strict=True)
    yield np.concatenate([part.ravel() for pair in pairs for part in pair])


# ------------------------------------------------------------------------------------- printing

HEADERS = {
    "products": ("product", "seconds", "over the floor"),
    "scores": ("curvature", "how", "products", "vectors", "seconds", "over ours", "the same?"),
    "refits": ("network", "method", "pearson", "slope", "error", "seconds"),
    "adam": ("quantity", "value"),
}
WIDTHS = {
    "products": "40 15 15",
    "scores": "18 32 10 10 10 10 22",
    "refits": "34 28 11 9 10 10",
    "adam": "50 15",
}
TITLES = {
    "products": "Products with 20 vectors, 784-100-10, 10,000 rows of MNIST",
    "scores": "Scores of 20 test rows for 10,000 rows, 79,510 parameters, residual 1e-4",
    "refits": "The 15 most influential rows on the 20 hardest test rows",
    "adam": "64-16-10 relu, digits, adam with early stopping",
}


def shown(value):
    if value is None or value == "":
        return ""
    if isinstance(value, str | int | np.integer):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
    return f"{value:.0e}"


def printed(name, lines, rst, file=None):
    if rst:
        print(f".. csv-table:: {TITLES[name]}\n   :header: {', '.join(HEADERS[name])}", file=file)
        print(f"   :widths: {WIDTHS[name]}\n", file=file)
    else:
        print(f"\n{TITLES[name]}\n", file=file)
    last = None
    for first, *values in lines:
        cells = ["" if first == last else first, *map(shown, values)]
        last = first
        if rst:
            print("   " + ", ".join(f'"{cell}"' for cell in cells), file=file)
        else:
            print("   ".join(f"{cell:>14s}" for cell in cells), file=file)
    print(file=file, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of tables: " + ", ".join(HEADERS))
    parser.add_argument(
        "--rival", help="folder of the environments of other packages, made if missing"
    )
    parser.add_argument("--quick", action="store_true", help="no exact scores of all rows")
    parser.add_argument("--cpu", action="store_true", help="CPU seconds, right with one thread")
    parser.add_argument("--rst", action="store_true", help="tables for the documentation")
    parser.add_argument("--json", default="networks.json", help="where the numbers are kept")
    args = parser.parse_args()
    global clock
    if args.cpu:
        clock = time.process_time
        clocks.count_cpu()
    warnings.simplefilter("ignore")
    kept = Path(args.json)
    numbers = json.loads(kept.read_text()) if kept.exists() else {}
    makers = {
        "products": products,
        "scores": lambda: scores(args.rival),
        "refits": lambda: refits(every=not args.quick),
        "adam": adam,
    }
    for name, make in makers.items():
        if args.only and name not in args.only:
            continue
        lines = []
        for one in make():
            lines.append([value.item() if hasattr(value, "item") else value for value in one])
            print(*map(shown, one), sep="  ", file=sys.stderr, flush=True)
            numbers[name] = lines
            kept.write_text(json.dumps(numbers, indent=1))
    numbers["versions"] = {
        "scikit-learn": sklearn.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "python": platform.python_version(),
    }
    kept.write_text(json.dumps(numbers, indent=1))
    unit = "CPU seconds" if args.cpu else "seconds"
    said = ", ".join(f"{key} {value}" for key, value in numbers["versions"].items())
    print(f"Measured by ``python benchmarks/networks.py`` ({said}; {unit}).\n")
    for name in HEADERS:
        if name in numbers:
            printed(name, numbers[name], args.rst)


if __name__ == "__main__":
    main()
