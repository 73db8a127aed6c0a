"""Removals under an l1 penalty: which move the support, and the minima beyond it."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso
from sklearn.preprocessing import PolynomialFeatures, scale

from skinfluence import InfluenceRegressor
from skinfluence.removal import Edits, changed_supports

X, Y = load_diabetes(return_X_y=True)
X = PolynomialFeatures(2, include_bias=False, interaction_only=True).fit_transform(
    X / X.std(axis=0)
)
X, Y, ALPHA = scale(X[:150]), Y[:150], 10.0


def tight(X, Y, s=None):
    return Lasso(alpha=ALPHA, tol=1e-13, max_iter=10**6).fit(X, Y, s)


@pytest.fixture(scope="module")
def model():
    return InfluenceRegressor(Lasso(alpha=ALPHA, tol=1e-10)).fit(X, Y)


@pytest.fixture(scope="module")
def refits():
    return [tight(np.delete(X, i, 0), np.delete(Y, i)) for i in range(len(X))]


def test_rows_that_move_the_support_are_named(model, refits):
    full = tight(X, Y).coef_ != 0
    moves = np.array([np.any((one.coef_ != 0) != full) for one in refits])
    assert 5 < moves.sum() < 50
    mechanism = model._current().mechanism("auto")
    with pytest.warns(UserWarning, match="changes the active set") as caught:
        removal = mechanism.removal("newton")
    named = np.zeros(len(X), dtype=bool)
    named[changed_supports(removal, Edits(mechanism.whole))] = True
    # To first order: rows within the rounding of the edge may be on the other side of it.
    assert np.sum(named != moves) <= 5
    first = np.flatnonzero(named)[0]
    assert f"Removing each of the rows [{first}, " in str(caught[0].message)
    assert "Use method='exact'" in str(caught[0].message)


def test_exact_follows_the_support(model, refits):
    full = tight(X, Y)
    whole = np.column_stack([[one.coef_ for one in refits], [one.intercept_ for one in refits]])
    actual = whole - np.append(full.coef_, full.intercept_)
    changes = model.parameter_influence(method="exact").changes
    assert changes.shape == (150, 56)
    assert np.linalg.norm(changes - actual) < 1e-7 * np.linalg.norm(actual)
    with pytest.warns(UserWarning, match="changes the active set"):
        newton = model.parameter_influence(method="newton").changes
    support = np.append(full.coef_ != 0, True)
    assert np.all(newton[:, ~support] == 0.0)
    stays = [np.all((one.coef_ != 0) == support[:-1]) for one in refits]
    assert np.linalg.norm((newton - actual)[stays]) < 1e-3 * np.linalg.norm(actual[stays])


def test_a_group_and_what_is_left(model):
    group = np.arange(30, 60)
    judge = tight(np.delete(X, group, 0), np.delete(Y, group))
    left = model.without(group)
    np.testing.assert_array_equal(left.estimator_.coef_ != 0, judge.coef_ != 0)
    np.testing.assert_allclose(left.estimator_.coef_, judge.coef_, rtol=1e-8, atol=1e-10)
    again = left.without(np.arange(10))
    gone = np.r_[np.arange(10), group]
    judge = tight(np.delete(X, gone, 0), np.delete(Y, gone))
    np.testing.assert_allclose(again.estimator_.coef_, judge.coef_, rtol=1e-8, atol=1e-10)


# ------------------------------------------------------------- groups that take coefficients along

rng = np.random.default_rng(1)
FEW = rng.standard_normal((80, 4))
TARGET = FEW @ [1.0, 2.0, -1.0, 0.0] + 0.5 * rng.standard_normal(80)
NEW = rng.standard_normal((5, 4))
# Most of what the first feature is told by.
GONE = np.argsort(-np.abs(FEW[:, 0]))[:60]
NAMES = np.where(np.isin(np.arange(80), GONE), "gone", "kept")


@pytest.fixture(scope="module")
def small():
    return InfluenceRegressor(Lasso(alpha=0.4, tol=1e-14, max_iter=10**5)).fit(FEW, TARGET)


def change_without(rows):
    kept = np.delete(np.arange(80), rows)
    full, left = (
        Lasso(alpha=0.4, tol=1e-14, max_iter=10**5).fit(FEW[k], TARGET[k])
        for k in (np.arange(80), kept)
    )
    return left, left.predict(NEW) - full.predict(NEW)


def test_groups_that_move_the_support_are_named(small):
    with pytest.warns(UserWarning, match=r"Removing .* changes the active set") as caught:
        small.group_influence(NAMES, NEW, target="predict", method="newton")
    (message,) = {str(one.message) for one in caught}
    assert "'gone'" in message
    assert "'kept'" not in message
    assert "method='newton' keeps the fitted one. Use method='exact'" in message


def test_groups_that_do_not_are_not(small):
    rows = np.array([5, 40])
    names = np.where(np.isin(np.arange(80), rows), "two", "the rest")
    left, actual = change_without(rows)
    assert np.array_equal(left.coef_ != 0, small.estimator_.coef_ != 0)
    mask = (names == "two")[None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = small.group_influence(mask, NEW, target="predict", method="newton").scores[:, 0]
    np.testing.assert_allclose(found, actual, rtol=1e-7, atol=1e-10)


def test_a_model_without_rows_that_moves_the_support_says_so(small):
    with pytest.warns(UserWarning, match="changes the active set"):
        small.without(GONE, method="newton")


def test_exact_follows_a_group_to_another_support(small):
    left, actual = change_without(GONE)
    assert np.any((left.coef_ != 0) != (small.estimator_.coef_ != 0))
    found = small.group_influence(NAMES, NEW, target="predict", method="exact").scores[:, 0]
    np.testing.assert_allclose(found, actual, rtol=1e-7, atol=1e-10)
    coef = small.without(GONE, method="exact").estimator_.coef_
    np.testing.assert_allclose(coef, left.coef_, rtol=1e-7, atol=1e-10)
