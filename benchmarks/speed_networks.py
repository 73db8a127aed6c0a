"""Networks against pyDVL and captum, and LiSSA against pyDVL's."""

from __future__ import annotations

import copy

import networks
import numpy as np
import rivals
from clocks import Rounds, clocked
from data import ones_and_sevens
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from speed_linear import compared, fitted, over, peer
from speed_table import Line, seconds

from skinfluence import InfluenceClassifier, RecordedTraining
from skinfluence.adapters.neural_network import multilayer_perceptron
from skinfluence.curvature import Curvature
from skinfluence.solvers import CG
from skinfluence.solvers.base import SingularCurvatureError

PARTS = 1e-2, 1e-4
"""Damping, in parts of the largest eigenvalue of the curvature."""

MOST = 40
"""Products that pyDVL may take."""

NOT_SOLVED = "no ratio, as the Hessian, which is pyDVL's curvature, is indefinite at this damping"


# ---------------------------------------------------------------------------- block CG, TracIn


def network(setting):
    """Yield lines for 20 test rows of a network: block CG to a residual, and TracIn."""
    size = {"n": 600, "hidden": 10} if setting.quick else {}
    net, *data = networks.mnist_network(**size)
    X, y, X_test, y_test = data
    objective = multilayer_perceptron(net, X, y, None)
    B = objective.on(X_test, y_test).weighted_grad_sum(np.eye(len(X_test)))
    largest = Curvature(objective, "gauss_newton").largest()
    case = (
        f"Network, MNIST, {X.shape[1]}-{net.coefs_[0].shape[1]}-10, {len(X):,} rows, "
        f"{len(X_test)} test rows; Gauss-Newton, block CG to a residual of {networks.RTOL:g}"
    )
    for part in PARTS:
        damping = float(f"{part * largest:.3g}")
        yield from conjugate_gradients(setting, case, net, data, objective, B, part, damping)
    if setting.rivals:
        yield from tracin(setting, case, data)


def conjugate_gradients(setting, case, net, data, objective, B, part, damping):
    """Yield lines for one damping; pyDVL's curvature is the Hessian."""
    X, y, X_test, y_test = data
    rtol = networks.RTOL
    curvatures = {kind: Curvature(objective, kind, damping) for kind in ("gauss_newton", "hessian")}
    model = InfluenceClassifier(
        FrozenEstimator(net), solver=CG(rtol=rtol), curvature="gauss_newton", damping=damping
    ).fit(X, y)
    exact = copy.copy(model).set_params(curvature="hessian")
    definite = of_hessian(exact, X_test, y_test) is not None
    work = {"ours": lambda: copy.copy(model).influence_scores(X_test, y_test)}
    if definite:
        work["hessian"] = lambda: of_hessian(exact, X_test, y_test)
    dtypes = ("float64", "float32") if definite else ("float32",)
    for dtype in dtypes if setting.rivals else ():
        work[dtype] = lambda dtype=dtype: networks.by_pydvl(
            setting.rivals, net, data, damping, dtype, "--n-iter", MOST
        )
    found = Rounds(work, min(setting.repeats, 3), budget=150.0)
    tight = of_hessian(exact.set_params(solver=CG()), X_test, y_test) if definite else None
    S = CG(rtol=rtol).factorize(curvatures["gauss_newton"]).solve(B)
    left = residual(curvatures["gauss_newton"], S, B)
    what = f"damping {damping:g} ({part:g} of the largest eigenvalue)"
    mine = f"{seconds(found.median('ours'))}, residual {left:.0e}"
    if not setting.rivals:
        yield Line(case, f"Gauss-Newton, {what}", found.median("ours"), "s", note=mine)
        return
    for dtype in dtypes:
        theirs = found.results[dtype]
        reached = residual(curvatures["hessian"], in_our_order(theirs["factors"], objective), B)
        who = f"pyDVL {theirs['version']}, {dtype}, over ours"
        note = f"{seconds(found.median(dtype))}, residual {reached:.0e}, over {mine}"
        if not definite:
            yield Line(case, f"{who}; {what}", None, note=f"{note}; {NOT_SOLVED}")
            return
        ratio, bar = found.ratio(dtype, "ours"), 5.0 if dtype == "float64" else None
        yield Line(case, f"{who}; {what}", ratio, bar=bar, least=True, note=note)
        errors = [
            np.linalg.norm(scores - tight) / np.linalg.norm(tight)
            for scores in (found.results["hessian"], theirs["scores"])
        ]
        text = "errors {:.0e} (ours) and {:.0e} of scores with residual 1e-7".format(*errors)
        note = f"{over(found, dtype, 'hessian', 'ours')}; {text}"
        ratio = found.ratio(dtype, "hessian")
        yield Line(case, "the same, over ours with the Hessian", ratio, note=note)


def of_hessian(model, *test):
    """Return scores, or None where the Hessian is indefinite."""
    try:
        return copy.copy(model).influence_scores(*test)
    except SingularCurvatureError:
        return None


def residual(curvature, S, B):
    """Return the largest norm of what is left of a column of B, relative to the column."""
    left = np.linalg.norm(curvature.matmat(S) - B, axis=0)
    return float(np.max(left / np.linalg.norm(B, axis=0)))


def in_our_order(factors, objective):
    """Return solutions of torch, (n_test, n_params), as columns in the order of the package.

    Torch ravels W_l' and then b_l, the package the matrix [W_l; b_l].
    """
    parts, at = [], 0
    for d, e in objective.layers.pairs():
        W = factors[:, at : at + d * e].reshape(-1, e, d).transpose(0, 2, 1)
        b = factors[:, at + d * e : at + (d + 1) * e].reshape(-1, 1, e)
        parts.append(np.concatenate([W, b], axis=1).reshape(len(factors), -1))
        at += (d + 1) * e
    return np.concatenate(parts, axis=1).T


def tracin(setting, case, data):
    """Yield a line for TracIn over five checkpoints, against captum's."""
    X, y, X_test, y_test = data
    hidden = 10 if setting.quick else 100
    sgd = MLPClassifier((hidden,), solver="sgd", alpha=0.0, batch_size=200, random_state=0)
    model = InfluenceClassifier(RecordedTraining(sgd, epochs=5)).fit(X, y)
    stops = model.estimator_.checkpoints_
    arrays = {f"W{i}": np.array([s.estimator.coefs_[i] for s in stops]) for i in range(2)}
    arrays |= {f"b{i}": np.array([s.estimator.intercepts_[i] for s in stops]) for i in range(2)}
    arrays |= {"steps": [s.step for s in stops], "depth": 2, "sample": np.arange(len(X_test))}
    arrays |= {"X": X, "y": y, "X_test": X_test, "y_test": y_test}

    def ask():
        return rivals.asked(
            setting.rivals, "torch", "rival_captum.py", "--method", "tracin", **arrays
        )

    work = {
        "ours": lambda: copy.copy(model).influence_scores(X_test, y_test, method="tracin"),
        "theirs": ask,
    }
    found = Rounds(work, min(setting.repeats, 3), budget=60.0)
    theirs = found.results["theirs"]
    same = compared(found.results["ours"], theirs["scores"])
    what = f"TracIn, {len(stops)} checkpoints"
    yield peer(found, case, f"captum {theirs['version']}", what, same)


# ---------------------------------------------------------------------------------------- LiSSA

ERROR = 0.1
"""Relative error of the scores that LiSSA is to reach."""

STEPS = 125, 250, 500, 1000, 2000, 4000


def post(setting):
    """Yield lines for the steps and seconds that LiSSA takes, ours and pyDVL's."""
    from skinfluence.solvers import LiSSA

    X, y, X_test, y_test, name = ones_and_sevens(not setting.quick)
    if setting.quick:
        X, y = X[:1000], y[:1000]
    X_test, y_test = X_test[:20], y_test[:20]
    l2 = 0.01 * len(X)
    estimator = LogisticRegression(C=1.0 / l2, fit_intercept=False, tol=1e-10, max_iter=1000)
    model = fitted(estimator, X, y, refine=False)
    direct = copy.copy(model)
    taken, truth = clocked(lambda: direct.influence_scores(X_test, y_test, method="first_order"))
    scale = 1.2 * Curvature(direct._current().objective()).largest()
    batch = min(1000, len(X))
    case = f"LiSSA, {name}, {len(X):,} x {X.shape[1]}, {len(X_test)} test rows, batches of {batch}"

    def ours(n_iter):
        solver = LiSSA(n_iter=n_iter, batch_size=batch, scale=scale)
        one = copy.copy(model).set_params(solver=solver)
        return clocked(lambda: one.influence_scores(X_test, y_test, method="first_order"))

    def theirs(n_iter):
        codes = np.unique(y)
        options = "--method", "lissa", "--n-iter", n_iter, "--dtype", "float64", "--batch", batch
        found = rivals.asked(
            setting.rivals,
            "torch",
            "rival_pydvl.py",
            *options,
            X=X,
            y=y == codes[1],
            X_test=X_test,
            y_test=y_test == codes[1],
            W0=model.estimator_.coef_.T,
            depth=1,
            damping=l2,
            scale=scale,
        )
        return float(found["seconds"]), found["scores"]

    what = f"to a relative error of {ERROR:g}, over direct"
    runs = {"ours": ours} | ({"pyDVL's": theirs} if setting.rivals else {})
    for who, run in runs.items():
        n_iter, used, off = until(run, truth, setting.quick)
        note = f"{n_iter} steps, {seconds(used)} over {seconds(taken)}; error {off:.2g}"
        reached = used / taken if off < ERROR else None
        yield Line(case, f"{who}, {what}", reached, note=note)


def until(run, truth, quick):
    """Return the first number of steps that is enough, its seconds and error."""
    for n_iter in STEPS[: 4 if quick else None]:
        used, scores = run(n_iter)
        off = float(np.linalg.norm(scores - truth) / np.linalg.norm(truth))
        if off < ERROR:
            break
    return n_iter, used, off
