"""Rows that alone determine a direction: one outcome, whatever rounding does.

Without such a row there is more than one optimum. Scores, groups and deletions are those of the
nearest, and say so; of least squares it fits the rows that stay as they were fitted.
"""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import (
    GammaRegressor,
    HuberRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    RidgeClassifier,
)

from skinfluence import InfluenceClassifier, InfluenceRegressor

N, ROW = 30, 3
NAMED = "more than one optimum"


def asked(question, *args, **kwargs):
    """Return an answer and whether it was said that there is more than one optimum."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = question(*args, **kwargs)
    return answer, any(NAMED in str(one.message) for one in caught)


def answers(model, X, gone, target):
    """Return, by name, how leaving moves the predictions of all rows, and whether it is named."""
    mask, p, found = np.isin(np.arange(N), gone)[None], X.shape[1], {}
    predict = getattr(model, target)
    for method in ("newton", "exact"):
        scores, named = asked(model.group_influence, mask, X, target=target, method=method)
        found["group", method] = scores.scores[:, 0], named
        left, named = asked(model.without, gone, method=method)
        found["without", method] = getattr(left, target)(X) - predict(X), named
        if len(gone) > 1:
            continue
        scores, named = asked(model.influence_scores, X, target=target, method=method)
        found["scores", method] = scores[:, gone[0]], named
        changes, named = asked(model.parameter_influence, method=method)
        d = changes.changes[gone[0]]
        found["parameters", method] = X @ d[:p] + d[p], named
        found["leave_one_out", method] = None, asked(model.leave_one_out, method=method)[1]
    return found


def columns(kind, rng):
    """Return X and the rows without which one of its columns depends on the others."""
    Z = rng.normal(size=(N, 3))
    level = (np.arange(N) == ROW).astype(float)
    if kind == "a level":
        return np.c_[Z, level], [ROW]
    if kind == "a level in another unit, columns far from 0":
        return np.c_[100.0 + Z, 1e6 * level], [ROW]
    if kind == "a sum but for the row":
        return np.c_[Z, Z @ [1.0, 2.0, 3.0] + 5.0 * level], [ROW]
    if kind == "turned":
        return np.c_[Z, level] @ rng.normal(size=(4, 4)), [ROW]
    return np.c_[Z, level + (np.arange(N) == 7)], [ROW, 7]


KINDS = [
    "a level",
    "a level in another unit, columns far from 0",
    "a sum but for the row",
    "turned",
    "a level of two",
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_seed_has_the_same_outcome(kind, weighted):
    for seed in range(100 if kind == "a level" else 15):
        rng = np.random.default_rng(seed)
        X, gone = columns(kind, rng)
        y = 10.0 ** rng.integers(0, 4) * rng.normal(size=N)
        w = rng.uniform(0.5, 2.0, N) if weighted else None
        model = InfluenceRegressor(LinearRegression()).fit(X, y, sample_weight=w)
        kept = np.delete(np.arange(N), gone)
        # The shortest solution in columns that the rows that stay determine.
        A = np.c_[X, np.ones(N)][kept]
        A = A / np.abs(A).max(axis=0, initial=1e-300)
        root = np.ones(len(kept)) if w is None else np.sqrt(w[kept])
        best = A @ np.linalg.lstsq(A * root[:, None], y[kept] * root, rcond=1e-9)[0]
        size = np.abs(y).max()
        for name, (moved, named) in answers(model, X, gone, "predict").items():
            assert named, (seed, name)
            if moved is None:
                continue
            actual = best - model.predict(X)[kept]
            np.testing.assert_allclose(moved[kept], actual, rtol=0, atol=1e-6 * size)
            if len(gone) == 1:  # which was fitted exactly, and so changes nothing
                np.testing.assert_allclose(moved, 0.0, atol=1e-6 * size)


@pytest.mark.parametrize("tiny", [1e-3, 1e-4])
def test_a_second_row_however_small_its_part_determines_it(tiny):
    """A leverage of 1 - 1e-8 is none of 1: the other row says what the coefficient is."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = np.c_[rng.normal(size=(N, 2)), np.arange(N) == ROW].astype(float)
        X[7, 2] = tiny
        y = rng.normal(size=N)
        model = InfluenceRegressor(LinearRegression()).fit(X, y)
        kept = np.delete(np.arange(N), ROW)
        one = LinearRegression().fit(X[kept], y[kept])
        actual = (one.predict(X) - model.predict(X))[kept]
        for moved, named in answers(model, X, [ROW], "predict").values():
            assert not named
            if moved is not None:
                np.testing.assert_allclose(moved[kept], actual, atol=1e-6 * np.abs(actual).max())


@pytest.mark.parametrize(
    ("estimator", "near"),
    [
        (PoissonRegressor(alpha=0.0, tol=1e-10, max_iter=1000), 1e-6),
        (GammaRegressor(alpha=0.0, tol=1e-10, max_iter=1000), 1e-6),
        (HuberRegressor(alpha=0.0, tol=1e-10, max_iter=5000), 1e-3),  # which stops early
    ],
    ids=["poisson", "gamma", "huber"],
)
def test_under_other_losses(estimator, near):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = np.c_[rng.normal(size=(N, 2)) + 1.0, np.arange(N) == ROW].astype(float)
        y = 1.0 + rng.poisson(np.exp(0.3 * X[:, 0] + 1.0))
        model = InfluenceRegressor(estimator).fit(X, y)
        kept = np.delete(np.arange(N), ROW)
        before = model.predict(X)[kept]
        actual = clone(estimator).fit(X[kept, :2], y[kept]).predict(X[kept, :2]) - before
        for name, (moved, named) in answers(model, X, [ROW], "predict").items():
            assert named, (seed, name)
            if moved is not None and name[0] != "parameters" and name[1] == "exact":
                np.testing.assert_allclose(moved[kept], actual, atol=near * y.max())


def test_weights_that_move_move_the_rest():
    """Classes are weighed anew without the row, whatever it alone determines."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = np.c_[rng.normal(size=(N, 2)), np.arange(N) == ROW].astype(float)
        y = (X[:, 0] + rng.logistic(size=N) > 0.5).astype(int)
        estimator = RidgeClassifier(alpha=0.0, class_weight="balanced")
        model = InfluenceClassifier(estimator).fit(X, y)
        kept = np.delete(np.arange(N), ROW)
        one = RidgeClassifier(alpha=0.0, class_weight="balanced").fit(X[kept, :2], y[kept])
        actual = one.decision_function(X[kept, :2]) - model.decision_function(X[kept])
        assert np.abs(actual).max() > 1e-3
        for moved, named in answers(model, X, [ROW], "decision_function").values():
            assert named
            if moved is not None:
                np.testing.assert_allclose(moved[kept], actual, atol=1e-7)


@pytest.mark.parametrize("method", ["newton", "exact"])
def test_a_coefficient_that_runs_to_infinity_is_named(method):
    """Two rows of two classes have a level; without one of them the other is separated."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = np.c_[rng.normal(size=(N, 2)), np.isin(np.arange(N), [ROW, 7])].astype(float)
        y = (X[:, 0] + rng.logistic(size=N) > 0).astype(int)
        y[[ROW, 7]] = 1, 0
        estimator = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
        model = InfluenceClassifier(estimator).fit(X, y)
        with pytest.warns(ConvergenceWarning, match=rf"rows \[{ROW}, 7\] \(2 in all\) no minimum"):
            scores = model.influence_scores(X, target="decision_function", method=method)
        kept = np.delete(np.arange(N), [ROW, 7])
        one = estimator.fit(X[kept, :2], y[kept])  # the other rows are fitted as without both
        actual = one.decision_function(X[kept, :2]) - model.decision_function(X[kept])
        np.testing.assert_allclose(scores[kept, ROW], actual, atol=1e-3)
        with pytest.raises(ValueError, match="no finite optimum"):
            model.without([ROW], method=method)
        left, named = asked(model.without, [ROW, 7])
        assert named
        both = left.decision_function(X)[kept]
        np.testing.assert_allclose(both, one.decision_function(X[kept, :2]), atol=1e-7)
