"""Removals under an l1 penalty where the support alone says nothing.

Separable rows, columns that a row or two have, columns that repeat each other, one class nearly
empty, nothing in the model: there is a minimum in all of these, and removals go to it.
"""

import warnings
from functools import cache

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.removal import Edits, changed_supports
from tests.model_table import OLD
from tests.twins import twin_of

N = 40
TIGHT = {"tol": 1e-13, "max_iter": 10**6}
LIBLINEAR = {"tol": 1e-9, "max_iter": 10**5}


def logistic(C, share=1.0, solver="saga", **params):
    spelled = {"l1_ratio": share}
    if OLD:
        spelled = {"penalty": "l1"} if share == 1 else {"penalty": "elasticnet", **spelled}
    tight = LIBLINEAR if solver == "liblinear" else {"tol": 1e-6, "max_iter": 10**5}
    return LogisticRegression(C=C, solver=solver, **spelled, **tight, **params)


MODELS = {
    "lasso": Lasso(alpha=0.05, **TIGHT),
    "lasso, stronger, without intercept": Lasso(alpha=0.2, fit_intercept=False, **TIGHT),
    "elastic net": ElasticNet(alpha=0.1, l1_ratio=0.9, **TIGHT),
    "logistic": logistic(1.0),
    "logistic, balanced": logistic(1.0, class_weight="balanced"),
    "logistic, elastic net": logistic(1.0, 0.7),
    "liblinear": logistic(5.0, solver="liblinear"),
    "multinomial": logistic(1.0),
    "svc": LinearSVC(penalty="l1", dual=False, C=0.3, **LIBLINEAR),
}


def features(shape, rng):
    base = rng.normal(size=(N, 2))
    return {
        "separable": lambda: rng.normal(size=(N, 8)),
        "dummies": lambda: np.c_[base, np.eye(N)[:, :5]],
        "rare": lambda: np.c_[base, rng.random((N, 10)) < 0.05].astype(float),
        "repeated": lambda: np.c_[base, base, base[:, 0] - base[:, 1], rng.normal(size=N)],
        "wide": lambda: (rng.random((N, 60)) < 0.08).astype(float),
        "one class nearly empty": lambda: rng.normal(size=(N, 4)),
    }[shape]()


SHAPES = ["separable", "dummies", "rare", "repeated", "wide", "one class nearly empty"]


def made(name, shape, seed=0):
    """Return X, y: targets that separate, or follow some of the columns with noise."""
    rng = np.random.default_rng(seed)
    X = features(shape, rng)
    W = rng.normal(size=(X.shape[1], 3)) * (rng.random((X.shape[1], 1)) < 0.7)
    clean = shape == "separable"
    eta = (4.0 if clean else 1.5) * (X - X.mean(axis=0)) @ W
    eta += (0.0 if clean else 0.7) * rng.normal(size=eta.shape)
    if not is_classifier(MODELS[name]):
        return X, eta[:, 0] + 1.0
    if name == "multinomial":
        y = np.argmax(eta, axis=1)
        y[:6] = np.repeat([0, 1, 2], 2)
        return X, y
    cut = np.sort(eta[:, 0])[-4] if shape == "one class nearly empty" else 0.0
    y = (eta[:, 0] > cut).astype(int)
    y[:2] = 0, 1
    return X, y


def fit(estimator, X, y):
    wrapper = InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return wrapper(estimator).fit(X, y)


@cache
def solved(name, shape):
    X, y = made(name, shape)
    return fit(MODELS[name], X, y)


def pull(model, theta, gone=()):
    """Return the largest derivative at theta of what scikit-learn minimises without some rows.

    0 at the minimum, and there alone: the objective is convex. A coefficient that the penalty holds
    at 0 has none.
    """
    X, y = model._current().training.X, model._current().training.y
    ratio = np.ones(N)
    ratio[list(gone)] = 0.0
    twin = twin_of(model.estimator_, X, y, ratio=ratio, counts="rows" if OLD else "weights")
    return np.abs(twin.slope(theta)).max()


def reference(model):
    return model._current().mechanism("exact").reference.theta


every = pytest.mark.parametrize("name", MODELS)
shapes = pytest.mark.parametrize("shape", SHAPES)
ROWS = np.array([0, 1, 2, 3, 4, 17, 23])


@every
@shapes
def test_exact_is_at_the_minimum(name, shape):
    model = solved(name, shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".* stopped before its stationary point")  # saga
        changes = model.parameter_influence(method="exact").changes
        losses = model.leave_one_out().losses
    theta = reference(model)
    assert np.all(np.isfinite(losses))
    left = np.array([pull(model, theta + changes[i], [i]) for i in ROWS])
    caused = np.array([pull(model, theta, [i]) for i in ROWS])
    assert pull(model, theta) < 1e-8 * caused.max()
    assert np.all(left <= 1e-6 * caused.max())
    assert np.all(left <= 1e-4 * caused + 1e-9 * caused.max())


@every
@shapes
def test_newton_is_near_or_the_row_is_named(name, shape):
    model = solved(name, shape)
    exact = model.parameter_influence(method="exact").changes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        changes = model.parameter_influence(method="newton").changes
        mechanism = model._current().mechanism("newton")
        removal = mechanism.removal("newton")
    named = changed_supports(removal, Edits(mechanism.whole))
    X = mechanism.reference
    D, E = (X.prediction_changes(one.T) for one in (changes, exact))
    D[np.arange(N), np.arange(N)] = E[np.arange(N), np.arange(N)] = 0.0  # where it may go anywhere
    size = np.linalg.norm(E, axis=(0, 2))
    off = np.linalg.norm(D - E, axis=(0, 2)) / (size + 0.05 * size.mean())
    assert np.all(np.isfinite(off))
    assert off.max() < 3.0  # and never nonsense
    if name != "svc":  # whose curvature jumps
        # .4: what one step of a logistic loss may be off by, with a penalty of any kind.
        assert set(np.flatnonzero(off > 0.4)) <= {*named, *removal.guarded}


@every
@shapes
def test_what_is_left_without_a_group_is_at_its_minimum(name, shape):
    model, group = solved(name, shape), np.array([2, 3, 8, 30])
    theta = reference(model)
    mask = np.isin(np.arange(N), group)[None]
    X = model._current().training.X
    target = "decision_function" if is_classifier(MODELS[name]) else "predict"
    labels = np.zeros(N, dtype=int) if name == "multinomial" else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        left = model.without(group).estimator_
        scores = model.group_influence(mask, X, labels, target=target, method="exact").scores[:, 0]
    parts = [np.atleast_2d(left.coef_)]
    if left.fit_intercept:
        parts.append(np.reshape(left.intercept_, (-1, 1)))
    found = np.column_stack(parts).ravel()
    assert pull(model, found, group) < 1e-6 * pull(model, theta, group)
    if name != "multinomial":  # of which a common shift of all classes is no change
        moved = getattr(left, target)(X) - (X @ theta[: X.shape[1]])
        moved -= theta[-1] if left.fit_intercept else 0.0
        np.testing.assert_allclose(scores, moved, rtol=0, atol=1e-5 * np.abs(moved).max())


# ----------------------------------------------------------- a coefficient that one row stands for

rng = np.random.default_rng(0)
X = np.c_[rng.normal(size=(20, 2)), np.arange(20) == 3].astype(float)
Y = X[:, 0] + rng.normal(size=20)
Y[3] += 8.0
LASSO = Lasso(alpha=0.05, **TIGHT)


@pytest.fixture(scope="module")
def alone():
    model = InfluenceRegressor(LASSO).fit(X, Y)
    assert model.estimator_.coef_[2] > 5.0
    return model


def refit(X, Y):
    return Lasso(alpha=0.05, **TIGHT).fit(X, Y)


def changed(X_now, Y_now):
    return refit(X_now, Y_now).predict(X) - refit(X, Y).predict(X)


@pytest.mark.parametrize("method", ["newton", "exact"])
def test_it_leaves_the_model_whatever_is_asked(alone, method):
    actual = changed(np.delete(X, 3, 0), np.delete(Y, 3))
    assert actual[3] == pytest.approx(-8.08, abs=0.01)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Removing each of the rows")
        warnings.filterwarnings("ignore", message="Removing these rows changes the active set")
        warnings.filterwarnings("ignore", message="Removing each of the groups")
        warnings.filterwarnings("error", message=".*one optimum")
        found = alone.influence_scores(X, target="predict", method=method)[:, 3]
        left_out = alone.leave_one_out(method=method, return_parameters=True)
        effects = alone.parameter_influence(method=method).changes[3]
        mask = np.arange(20)[None] == 3
        groups = alone.group_influence(mask, X, target="predict", method=method).scores[:, 0]
        model = alone.without([3], method=method)
        own = alone.self_influence(method=method).scores[3]
    for values in (found, groups, X @ effects[:-1] + effects[-1]):
        np.testing.assert_allclose(values, actual, rtol=1e-6)
    predicted = refit(np.delete(X, 3, 0), np.delete(Y, 3)).predict(X)
    np.testing.assert_allclose(model.predict(X), predicted, rtol=1e-6)
    assert left_out.predictions[3] == pytest.approx(predicted[3], rel=1e-6)
    theta = left_out.parameters[3]
    np.testing.assert_allclose(X @ theta[:-1] + theta[-1], predicted, rtol=1e-6)
    full = refit(X, Y).predict(X)[3]
    loss = 0.5 * (predicted[3] - Y[3]) ** 2 - 0.5 * (full - Y[3]) ** 2
    assert own == pytest.approx(loss, rel=1e-6)


def test_it_is_named_where_newton_steps_are(alone):
    with pytest.warns(UserWarning, match=r"Removing each of the rows .*3, .* changes the active"):
        result = alone.influence(X, target="predict", method="newton")
    assert 3 in result.guarded_rows


def test_other_labels_and_rows_that_come(alone):
    other = np.where(np.arange(20) == 3, -9.0, Y + 0.5)
    found = alone.relabel_influence(other, X, target="predict", method="exact").scores
    for row in (3, 7):
        now = Y.copy()
        now[row] = other[row]
        np.testing.assert_allclose(found[:, row], changed(X, now), rtol=1e-6, atol=1e-9)
    comes, target = np.array([[0.1, -0.3, 1.0]]), np.array([-20.0])
    found = alone.addition_influence(comes, target, X, target="predict", method="exact").scores[
        :, 0
    ]
    actual = changed(np.r_[X, comes], np.r_[Y, target])
    np.testing.assert_allclose(found, actual, rtol=1e-6, atol=1e-9)


def test_damping_shortens_the_way_of_such_a_row_too():
    small = InfluenceRegressor(LASSO, damping=1e-9).fit(X, Y)
    large = InfluenceRegressor(LASSO, damping=1e9).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        both = [m.influence_scores(X, target="predict", method="newton") for m in (small, large)]
    ways = [scores[3, 3] for scores in both]
    assert ways[0] == pytest.approx(-8.08, abs=0.01)
    assert abs(ways[1]) < 1e-6


# ---------------------------------------------------------------------------- nothing in the model


@pytest.mark.parametrize("intercept", [False, True])
def test_a_row_that_brings_the_first_coefficient_in(intercept):
    """All coefficients are 0; without one of the rows some is not."""
    rng = np.random.default_rng(4)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    centre = intercept * X.mean(axis=0)
    alpha = 1.0001 * np.abs((X - centre).T @ (y - intercept * y.mean())).max() / 20
    estimator = Lasso(alpha=alpha, fit_intercept=intercept, **TIGHT)
    model = InfluenceRegressor(estimator).fit(X, y)
    assert np.all(model.estimator_.coef_ == 0)
    found = model.influence_scores(X, target="predict", method="exact")
    with pytest.warns(UserWarning, match="changes the active set"):
        steps = model.influence_scores(X, target="predict", method="newton")
    comes = 0
    for i in range(20):
        kept = np.delete(np.arange(20), i)
        one = Lasso(alpha=alpha, fit_intercept=intercept, **TIGHT).fit(X[kept], y[kept])
        np.testing.assert_allclose(found[:, i], one.predict(X) - model.predict(X), atol=1e-9)
        np.testing.assert_array_equal(model.without([i]).estimator_.coef_ != 0, one.coef_ != 0)
        comes += np.any(one.coef_ != 0)
        if not np.any(one.coef_):
            np.testing.assert_allclose(steps[:, i], found[:, i], atol=1e-9)
    assert 2 < comes < 18


# --------------------------------------------------------------------------------- a bag of words


def bag_of_words(n, p, length, seed=0):
    """Return whether each word is in each of n documents, and classes that choose some words."""
    rng = np.random.default_rng(seed)
    frequency = 1.0 / np.arange(1, p + 1)
    y = rng.integers(0, 2, n)
    leaning = np.exp(0.7 * rng.normal(size=p) * (rng.random(p) < 0.3))
    X = np.zeros((n, p))
    for i in range(n):
        chances = frequency * (leaning if y[i] else 1.0 / leaning)
        X[i, rng.choice(p, length, p=chances / chances.sum())] = 1.0
    return X, y


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_a_bag_of_words(form):
    X, y = bag_of_words(120, 300, 25)
    T = bag_of_words(10, 300, 25, seed=1)[0]
    given = sparse.csr_matrix(X) if form == "sparse" else X
    model = fit(logistic(1.0, solver="liblinear"), given, y)
    exact = model.influence_scores(T, target="decision_function", method="exact")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        newton = model.influence_scores(T, target="decision_function", method="newton")
    judge = logistic(1.0, solver="liblinear").set_params(tol=1e-8)
    full = judge.fit(X, y).decision_function(T)
    for i in range(0, 120, 12):
        kept = np.delete(np.arange(120), i)
        actual = judge.fit(X[kept], y[kept]).decision_function(T) - full
        np.testing.assert_allclose(exact[:, i], actual, rtol=0, atol=1e-3 * np.abs(actual).max())
    theta, changes = reference(model), model.parameter_influence(method="exact").changes
    one = np.c_[X, np.ones(120)]  # liblinear penalises the intercept too
    for i in range(0, 120, 3):
        kept, found = np.delete(np.arange(120), i), theta + changes[i]
        gradient = one[kept].T @ (1.0 / (1.0 + np.exp(-one[kept] @ found)) - y[kept])
        assert np.abs(gradient[found == 0]).max() < 1.0 + 1e-6
        np.testing.assert_allclose(gradient[found != 0], -np.sign(found[found != 0]), atol=1e-6)
    assert np.linalg.norm(newton - exact) < 0.35 * np.linalg.norm(exact)
    assert np.abs(newton).max() < 2.0 * np.abs(exact).max()
