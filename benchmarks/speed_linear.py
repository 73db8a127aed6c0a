"""Linear models: tall, many classes, sparse, wide, streamed; and peers on the same numbers."""

from __future__ import annotations

import copy

import floors
import numpy as np
import rivals
from clocks import Rounds
from data import ones_and_sevens, ten_digits, words
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from speed_table import Line, seconds

from skinfluence import InfluenceClassifier, InfluenceRegressor

GIB = 2.0**30
SAMPLE = 20
"""Of this many test rows (training rows, for changes of parameters) the scores are compared."""

AGREE = 1e-3
"""Relative difference from which on scores of another package are not the same numbers."""


def fitted(estimator, X, y, **parameters):
    """Return a fitted wrapper that has not been asked yet."""
    return InfluenceClassifier(estimator, **parameters).fit(X, y)


def first_order(model, *test, **options):
    """Return a function that asks a fitted wrapper as if for the first time."""
    return lambda: copy.copy(model).influence_scores(*test, method="first_order", **options)


def compared(ours, theirs, why="this is not known"):
    """Return whether scores of another package are ours, and a text that says so."""
    off = float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))
    if off < AGREE:
        return True, f"same to {off:.0e}"
    return False, f"DIFFERS by {off:.0e} of its size: {why}"


def over(found, ours, other, name):
    """Return seconds of ours over those of something else, as text, with the range of ratios."""
    ratios = found.ratios(ours, other)
    text = f"{seconds(found.median(ours))} over {seconds(found.median(other))} ({name})"
    if len(ratios) == 1:
        return f"{text}, one round"
    return f"{text}, {min(ratios):.3g} to {max(ratios):.3g} in {len(ratios)} rounds"


def sample_of(n):
    return np.linspace(0, n - 1, min(n, SAMPLE)).astype(int)


def peer(found, case, who, what, same, **bar):
    """Return the line that holds us against a package; no ratio where its scores are others."""
    agrees, text = same
    ratio = found.ratio("theirs", "ours") if agrees else None
    note = f"{over(found, 'theirs', 'ours', 'ours')}; {text}"
    if "torch" in found.results["theirs"]:
        note += f"; torch {found.results['theirs']['torch']}"
    return Line(case, f"{who}, {what}, over ours", ratio, note=note, **bar)


# ------------------------------------------------------------------------------ binary logistic


def binary(setting):
    """Yield lines for MNIST 1 v 7: all test rows, full matrix."""
    X, y, X_test, y_test, name = ones_and_sevens(not setting.quick)
    if setting.quick:
        X, y, X_test, y_test = X[:1500], y[:1500], X_test[:200], y_test[:200]
    l2 = 0.01 * len(X)
    estimator = LogisticRegression(C=1.0 / l2, tol=1e-8, max_iter=1000)
    model = fitted(estimator, X, y)
    single, single_test = X.astype(np.float32), X_test.astype(np.float32)
    model32 = fitted(estimator, single, y)
    case = f"Binary logistic, {name}, {len(X):,} x {X.shape[1]}, {len(X_test):,} test rows"
    found = Rounds(
        {
            "fit": lambda: clone(estimator).fit(X, y),
            "floor": lambda: floors.binary(X, X_test, l2),
            "first": first_order(model, X_test, y_test),
            "newton": lambda: copy.copy(model).influence_scores(X_test, y_test, method="newton"),
            "floor32": lambda: floors.binary(single, single_test, l2),
            "mixed": lambda: floors.binary(single, single_test, l2, np.float64),
            "first32": first_order(model32, single_test, y_test),
        },
        setting.repeats,
        warm=True,
    )
    assert found.results["first32"].dtype == np.float32
    for what, ours, floor, bar in (
        ("first order, over the floor", "first", "floor", 1.4),
        ("Newton, over the floor", "newton", "floor", 3.0),
        ("first order in float32, over a floor in float32", "first32", "floor32", 1.4),
        ("the same, over a floor with X'DX in double", "first32", "mixed", None),
    ):
        text = over(found, ours, floor, "X'DX, factor, solves, X S")
        yield Line(case, what, found.ratio(ours, floor), bar=bar, note=text)
    ratio = found.ratio("first", "fit")
    yield Line(case, "first order, over the fit", ratio, note=over(found, "first", "fit", "fit"))
    taken = found.peaks["first"] / GIB
    note = f"beyond the data; {found.results['first'].nbytes / GIB:.2f} GiB of it is the result"
    yield Line(case, "first order, peak memory", taken, "GiB", note=note)
    del found
    if setting.rivals:
        yield from binary_peers(setting, case, estimator, (X, y, X_test, y_test))


def binary_peers(setting, case, estimator, data):
    """Yield lines for pyinfluence; and for pyDVL and captum, without an intercept.

    Their penalty is on all parameters.
    """
    X, y, X_test, y_test = data
    l2, sample = 1.0 / estimator.C, sample_of(len(X_test))
    model, codes = fitted(estimator, X, y), np.unique(y)
    bare = fitted(clone(estimator).set_params(fit_intercept=False), X, y)
    arrays = {"X": X, "X_test": X_test, "sample": sample}
    labels = {"y": (y == codes[1]) * 1.0, "y_test": (y_test == codes[1]) * 1.0}
    weights = {"W0": bare.estimator_.coef_.T, "depth": 1, "damping": l2}

    def pyinfluence():
        given = arrays | {"y": y, "y_test": y_test, "C": estimator.C}
        given |= {"coef": model.estimator_.coef_, "intercept": model.estimator_.intercept_}
        return rivals.asked(setting.rivals, "pyinfluence", "rival_pyinfluence.py", **given)

    def pydvl():
        options = "--method", "direct", "--dtype", "float64", "--batch", 1000
        given = arrays | labels | weights
        return rivals.asked(setting.rivals, "torch", "rival_pydvl.py", *options, **given)

    def captum():
        options = "--method", "naive", "--batch", 1000
        given = arrays | labels | weights | {"W0": weights["W0"][None], "steps": [1.0]}
        return rivals.asked(setting.rivals, "torch", "rival_captum.py", *options, **given)

    for mine, ask, name, what, bar in (
        (model, pyinfluence, "pyinfluence", "first order", 1.15),
        (bare, pydvl, "pyDVL", "direct", 8.0),
        (bare, captum, "captum", "naive influence function", None),
    ):
        work = {"ours": first_order(mine, X_test, y_test), "theirs": ask}
        found = Rounds(work, min(setting.repeats, 3), budget=60.0)
        theirs = found.results["theirs"]
        same = compared(found.results["ours"][sample], theirs["scores"])
        yield peer(
            found, case, f"{name} {theirs['version']}", what, same, bar=bar, least=bar is not None
        )


# ---------------------------------------------------------------------------------- ten classes


def classes(setting):
    """Yield lines for MNIST, ten classes: 100 test rows, and the mean over all of them."""
    X, y, X_test, y_test, name = ten_digits(not setting.quick)
    if setting.quick:
        X, y, X_test, y_test = X[:1000], y[:1000], X_test[:500], y_test[:500]
        X, X_test = X[:, 200:320].copy(), X_test[:, 200:320].copy()
    estimator, K = LogisticRegression(), 10
    model = fitted(estimator, X, y)
    P = K * (X.shape[1] + 1)
    few, many = (X_test[:100], y_test[:100]), (X_test, y_test)
    engines = {}

    def engine(solver):
        engines[solver] = copy.copy(model).set_params(solver=solver)
        engines[solver]._current().mechanism("auto")

    def asked(solver, test, **options):
        return lambda: engines[solver].influence_scores(*test, method="first_order", **options)

    def floor():
        pairs = floors.pairs_of_classes(X, K)
        taken, found = floors.factor_of_classes(P)
        return {"seconds": pairs + taken + floors.scores_of_classes(found, X, few[0], K)}

    work = {"fit": lambda: clone(estimator).fit(X, y), "floor": floor}
    for solver in ("auto", "cholesky"):
        work[f"{solver} engine"] = lambda solver=solver: engine(solver)
        work[f"{solver} few"] = asked(solver, few)
        work[f"{solver} mean"] = asked(solver, many, aggregate="mean")
    found = Rounds(work, min(setting.repeats, 3), budget=300.0)
    case = f"Ten-class logistic, {name}, {len(X):,} x {X.shape[1]}, {P:,} parameters"
    total = f"the mean over {len(X_test):,} test rows"
    for question, title in (("few", f"{len(few[0])} test rows"), ("mean", total)):
        for solver in ("cholesky", "auto"):
            ours = [f"{solver} engine", f"{solver} {question}"]
            chosen = "direct" if solver == "cholesky" else "solver chosen"
            if solver == "cholesky":
                what = "45 X'DX, factor, products with 100 test rows"
                note, ratio = over(found, ours, "floor", what), found.ratio(ours, "floor")
                yield Line(case, f"{title}, direct, over the floor", ratio, bar=1.5, note=note)
            note, ratio = over(found, ours, "fit", "fit"), found.ratio(ours, "fit")
            bar = 4.0 if solver == "auto" else None
            yield Line(case, f"{title}, {chosen}, over the fit", ratio, bar=bar, note=note)
            if question == "few":
                taken = found.peak(ours) / GIB
                yield Line(case, f"{title}, {chosen}, peak memory", taken, "GiB", 4.0)
    pair = [found.results[f"{solver} few"] for solver in ("auto", "cholesky")]
    off = np.linalg.norm(pair[0] - pair[1]) / np.linalg.norm(pair[1])
    ours, direct = (["auto engine", "auto few"], ["cholesky engine", "cholesky few"])
    yield Line(
        case,
        "solver chosen, over direct",
        found.ratio(ours, direct),
        note=f"{engines['auto'].solver_}; same to {off:.0e}",
    )


# ------------------------------------------------------------------------------- sparse and wide


def text(setting):
    """Yield lines for word 1-2-grams of Enron: 100 test rows."""
    X, y, name = words(5_000 if setting.quick else None)
    if setting.quick:
        X, y = X[:500], y[:500]
    case = f"Sparse text, {name}, {X.shape[0]:,} x {X.shape[1]:,}, {X.nnz / 1e6:.2g}M entries"
    assert sparse.issparse(X)
    test = X[:100], y[:100]
    dense = 8.0 * X.shape[0] * X.shape[1] / GIB
    note = f"beyond the data; dense, it would be {dense:,.1f} GiB"
    yield from few_rows(setting, case, X, y, test, memory=(1.0, note))


def wide(setting):
    """Yield lines for many more columns than rows."""
    n, p = (100, 1_500) if setting.quick else (500, 20_000)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n + 100, p))
    y = X[:, :20].sum(axis=1) > 0
    case = f"Wide, synthetic, {n} x {p:,}, 100 test rows"
    yield from few_rows(setting, case, X[:n], y[:n], (X[n:], y[n:]))


def few_rows(setting, case, X, y, test, *, memory=None):
    """Yield lines for penalised logistic regression and 100 test rows."""
    estimator = LogisticRegression(max_iter=1000)
    model = fitted(estimator, X, y)
    work = {
        "first": first_order(model, *test),
        "fit": lambda: clone(estimator).fit(X, y),
        "floor": lambda: floors.wide(X, test[0], 1.0),
        "newton": lambda: copy.copy(model).influence_scores(*test, method="newton"),
    }
    found = Rounds(work, setting.repeats, budget=60.0)
    what = "first order, 100 test rows, over the fit"
    note = over(found, "first", "fit", "fit")
    floor = found.ratio("floor", "fit")
    if floor > 2.0:
        note += f"; the floor itself is {floor:.1f} x the fit"
    yield Line(case, what, found.ratio("first", "fit"), bar=2.0, note=note)
    note = over(found, "first", "floor", "X X', X X_test', factor, product")
    yield Line(case, "the same, over the floor", found.ratio("first", "floor"), note=note)
    note = over(found, "newton", "fit", "fit")
    yield Line(case, "Newton, over the fit", found.ratio("newton", "fit"), note=note)
    if memory is not None:
        bar, note = memory
        taken = found.peaks["first"] / GIB
        yield Line(case, "first order, peak memory", taken, "GiB", bar, note=note)


# -------------------------------------------------------------------------------------- streamed


def top(setting):
    """Yield lines for the ten best of a million rows, for a thousand test rows."""
    n, m = (20_000, 100) if setting.quick else (1_000_000, 1_000)
    rng = np.random.default_rng(0)
    X, X_test = rng.standard_normal((n, 50)), rng.standard_normal((m, 50))
    y, y_test = ((one[:, 0] + rng.standard_normal(len(one)) > 0) for one in (X, X_test))
    model = fitted(LogisticRegression(), X, y)
    kept = copy.copy(model)
    S = rng.standard_normal((50, m))
    case = f"influence(top=10), synthetic, {n:,} x 50, {m:,} test rows, first order"

    def ask(one):
        return one.influence(X_test, y_test, method="first_order", top=10)

    found = Rounds(
        {
            "first": lambda: ask(copy.copy(model)),
            "all": lambda: floors.streamed_with_factor(X, X_test, 1.0),
            "floor": lambda: floors.streamed(X, S),
            "again": lambda: ask(kept),
        },
        setting.repeats,
        budget=90.0,
    )
    first, again = found.ratio("first", "all"), found.ratio("again", "floor")
    note = over(found, "again", "floor", "the products, read once")
    yield Line(case, "a second question, over the floor", again, bar=2.0, note=note)
    note = over(found, "first", "all", "X'DX, factor, the products, read once")
    yield Line(case, "the first question, over the floor", first, bar=2.0, note=note)
    taken = (X.nbytes + found.peaks["first"]) / X.nbytes
    note = f"{X.nbytes / GIB:.2f} GiB and {found.peaks['first'] / GIB:.2f} GiB"
    yield Line(case, "memory with the data, over the data", taken, bar=1.5, note=note)


# ------------------------------------------------------------------------------------ statsmodels


def diagnostics(setting):
    """Yield lines for the parameters without each row, by one step, against statsmodels."""
    if not setting.rivals:
        return
    rng = np.random.default_rng(0)
    n, few = (1_000, 500) if setting.quick else (50_000, 2_000)
    X = rng.standard_normal((n, 50))
    eta = X @ rng.standard_normal(50) / 5.0
    values, labels = eta + rng.standard_normal(n), rng.random(n) < 1 / (1 + np.exp(-eta))
    regressor = InfluenceRegressor(LinearRegression())
    plain = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    case = f"Parameters without each row, synthetic, {n:,} x 50"
    for name, model, y, rows, title in (
        ("gaussian", regressor, values, n, "GLM, Gaussian"),
        ("logistic", InfluenceClassifier(plain), labels, n, "GLM, logit"),
        ("refits", regressor, values, few, f"OLS, a loop of refits, {few:,} rows"),
    ):
        yield statsmodels(setting, case, name, clone(model).fit(X[:rows], y[:rows]), title)


def statsmodels(setting, case, name, model, title):
    """Return the line of one of the models of rival_statsmodels.py."""
    X, y = model._fitted.training.X, model._fitted.training.y
    sample = sample_of(len(X))

    def ask():
        options, given = ("--model", name), {"X": X, "y": y, "sample": sample}
        return rivals.asked(
            setting.rivals, "statsmodels", "rival_statsmodels.py", *options, **given
        )

    work = {
        "ours": lambda: copy.copy(model).parameter_influence(method="newton").changes,
        "theirs": ask,
    }
    found = Rounds(work, min(setting.repeats, 5), budget=20.0)
    theirs = found.results["theirs"]
    same = compared(found.results["ours"][sample], theirs["changes"])
    return peer(found, case, f"statsmodels {theirs['version']}", title, same)
