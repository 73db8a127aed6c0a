"""Minima under an l1 penalty against coordinate descent and the conditions of optimality."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso

from skinfluence.curvature import Curvature
from skinfluence.losses import HalfSquaredError, Logistic, Multinomial, SmoothHinge
from skinfluence.minimisers.active_set import follow_active_set, minimise_l1
from skinfluence.objectives import LinearObjective
from skinfluence.solvers import Cholesky
from tests.cases import BINARY, THREE

X, Y = load_diabetes(return_X_y=True)
X, Y = X / X.std(axis=0), Y - Y.mean()


def factorize(objective):
    return Cholesky().factorize(Curvature(objective))


def lasso(alpha, theta):
    return LinearObjective.from_coefficients(
        X, Y, HalfSquaredError(), theta, None, l2=0.0, l1=alpha * len(X)
    )


@pytest.mark.parametrize("alpha", [0.5, 5.0, 25.0])
@pytest.mark.parametrize("start", ["zero", "least squares", "other signs"])
def test_lasso_from_anywhere(alpha, start):
    judge = Lasso(alpha=alpha, fit_intercept=False, tol=1e-14, max_iter=10**6).fit(X, Y)
    full = np.linalg.lstsq(X, Y, rcond=None)[0]
    theta = {"zero": 1e-3 * full, "least squares": full, "other signs": -full}[start]
    found = follow_active_set(lasso(alpha, theta), factorize, 1e-9)
    assert 0 < np.sum(judge.coef_ != 0) < 10
    np.testing.assert_array_equal(found.theta != 0, judge.coef_ != 0)
    np.testing.assert_allclose(found.theta, judge.coef_, rtol=1e-8, atol=1e-8)
    assert np.linalg.norm(found.gradient()) < 1e-8


@pytest.mark.parametrize("data", [BINARY, THREE], ids=["binary", "multinomial"])
def test_logistic_meets_the_conditions(data):
    classes = np.unique(data.y)
    K, loss = (1, Logistic) if len(classes) == 2 else (len(classes), Multinomial)
    W, b = np.full((K, data.X.shape[1]), 0.1), np.zeros(K)
    W *= np.arange(1, K + 1)[:, None] - 1.5
    start = LinearObjective.from_coefficients(data.X, data.y, loss(classes), W, b, l2=0.1, l1=4.0)
    found = follow_active_set(start, factorize, 1e-10)
    g, theta = found.smooth_gradient(), found.theta
    inside = found.l1 > 0
    zero = inside & (theta == 0)
    assert 0 < zero.sum() < inside.sum()
    assert np.all(np.abs(g[zero]) <= 4.0)
    np.testing.assert_allclose(g[inside & ~zero], -4.0 * np.sign(theta[inside & ~zero]), rtol=1e-8)
    np.testing.assert_allclose(g[~inside], 0.0, atol=1e-8)
    other = follow_active_set(start.at(-start.theta), factorize, 1e-10)
    np.testing.assert_allclose(other.theta, theta, rtol=1e-6, atol=1e-8)


def test_a_cold_hinge_is_reached_by_way_of_warm_ones():
    classes = np.unique(BINARY.y)
    start = LinearObjective.from_coefficients(
        BINARY.X, BINARY.y, SmoothHinge(classes, 1e-4), np.full(4, 3.0), 5.0, l2=0.5, l1=0.5
    )
    found = minimise_l1(start, factorize, 1e-9)
    assert np.linalg.norm(found.gradient()) < 1e-6 * np.linalg.norm(start.gradient())
    t = 1.0  # the same from the other side: cooled by hand
    one = start
    while t > 1e-4:
        t /= 3.0
        t = max(t, 1e-4)
        warm = one.with_loss(SmoothHinge(classes, t), BINARY.y)
        one = follow_active_set(warm, factorize, 1e-9)
    np.testing.assert_allclose(found.theta, one.theta, rtol=1e-6, atol=1e-8)


def test_errors():
    with pytest.raises(ValueError, match="No minimum was reached under the l1 penalty"):
        follow_active_set(lasso(0.5, -np.ones(10)), factorize, 1e-9, max_iter=2)
    twice = np.column_stack([X, X[:, :1]])
    both = LinearObjective.from_coefficients(
        twice, Y, HalfSquaredError(), np.ones(11), None, l2=0.0, l1=1.0
    )
    found = follow_active_set(both, factorize, 1e-9)  # one of many minima of the same predictions
    np.testing.assert_allclose(found.gradient(), 0.0, atol=1e-6)
    once = follow_active_set(lasso(1.0 / len(X), np.ones(10)), factorize, 1e-9)
    np.testing.assert_allclose(found.raw_predictions(), once.raw_predictions(), rtol=1e-6)
