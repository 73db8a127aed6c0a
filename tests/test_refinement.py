"""Refinement against optima found by scikit-learn's tight solvers."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.refinement import measure, refine, typical_removal
from skinfluence.solvers import Cholesky
from tests import oracles
from tests.cases import BINARY, THREE, wide_logistic


def factorize(objective):
    return Cholesky().factorize(Curvature(objective))


def refined(objective):
    return refine(measure(objective, factorize), factorize)


@pytest.mark.parametrize("data", [BINARY, THREE], ids=["binary", "three"])
@pytest.mark.parametrize("offset", [1e-3, 0.3, 3.0])
def test_reaches_the_optimum_of_a_tight_refit_from_anywhere(data, offset):
    estimator = LogisticRegression(C=0.3)
    judge = oracles.tight(estimator, data.X, data.y)
    objective = adapt(judge, data.X, data.y, None)
    rng = np.random.default_rng(0)
    start = objective.at(objective.theta + offset * rng.standard_normal(objective.n_params))
    found = refined(start)
    eta = found.objective.raw_predictions() - objective.raw_predictions()
    eta -= eta.mean(axis=1, keepdims=True) if eta.shape[1] > 1 else 0.0  # the gauge stays
    np.testing.assert_allclose(eta, 0.0, atol=1e-8)
    assert found.remaining_gradient_norm < 1e-8 < found.gradient_norm
    np.testing.assert_array_equal(start.theta, measure(start, factorize).objective.theta)
    H = Curvature(found.objective).matmat(np.eye(objective.n_params))
    g = found.objective.grads_dot(found.factor.solve(H))  # curvature of the optimum, not the start
    np.testing.assert_allclose(g, found.objective.grads_dot(np.eye(len(H))), atol=1e-6)


def test_distances_are_those_of_dense_algebra():
    estimator = LogisticRegression(C=0.3)
    judge = oracles.tight(estimator, BINARY.X, BINARY.y)
    objective = adapt(judge, BINARY.X, BINARY.y, None)
    moved = objective.at(objective.theta + 0.01)
    H = Curvature(moved).matmat(np.eye(moved.n_params))
    g = moved.gradient()
    measured = measure(moved, factorize)
    assert measured.distance == pytest.approx(np.sqrt(g @ np.linalg.solve(H, g)), rel=1e-9)
    G = moved.weighted_grad_sum(np.diag(moved.sample_weight))
    norms = np.sum(G * np.linalg.solve(H, G), axis=0)
    expected = np.sqrt(np.mean(norms))
    assert typical_removal(moved, factorize(moved).solve) == pytest.approx(expected, rel=1e-9)
    assert measured.relative_distance == pytest.approx(measured.distance / expected)


def test_nearly_separable_data_are_refined():
    data, estimator = wide_logistic(0, C=1e4)
    judge = oracles.tight(estimator, data.X, data.y)
    objective = adapt(estimator.fit(data.X, data.y), data.X, data.y, None)
    np.testing.assert_allclose(
        refined(objective).objective.theta, oracles.theta_of(judge), rtol=1e-5, atol=1e-6
    )


def test_separated_rows_without_a_penalty_are_refused():
    X, y = np.array([[-2.0], [-1.0], [1.0], [3.0]]), np.array([0, 0, 1, 1])
    objective = adapt(LogisticRegression(C=np.inf).fit(X, y), X, y, None)
    with pytest.raises(ValueError, match=r"no finite optimum.*separated.*finite C"):
        measure(objective, factorize)


def test_quasi_separated_rows_without_a_penalty_are_refused():
    # Separated but for two rows on the boundary: no margin is positive for all, none is finite.
    X = np.array([[-2.0], [-1.0], [0.0], [0.0], [1.0], [3.0]])
    y = np.array([0, 0, 0, 1, 1, 1])
    estimator = LogisticRegression(C=np.inf).fit(X, y)
    objective = adapt(estimator, X, y, None)
    with pytest.raises(ValueError, match=r"No stationary point was found.*\(nearly\) separable"):
        refined(objective)


@pytest.mark.parametrize("offset", [0.0, 3e4])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(alpha=1e-4)], ids=str)
def test_least_squares_is_never_refused(offset, scale, noise, estimator):
    """Rounding of gradients is told from distance: data fitted exactly, and far from zero."""
    rng = np.random.default_rng(0)
    X = scale * (rng.standard_normal((50, 4)) + offset)
    y = (X - X.mean(axis=0)) @ np.array([1.0, -2.0, 0.5, 3.0]) / scale + 5.0
    y = y + noise * rng.standard_normal(50)
    fitted = estimator.fit(X, y)
    found = refined(adapt(fitted, X, y, None))
    assert found.relative_distance < 1.0
    moved = found.objective.raw_predictions()[:, 0] - fitted.predict(X)
    np.testing.assert_allclose(moved, 0.0, atol=1e-6)


@pytest.mark.parametrize(("shape", "alpha"), [((30, 100), 1e-4), ((100, 1000), 1e-2)])
def test_interpolating_ridge_is_not_refused(shape, alpha):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
    found = refined(adapt(Ridge(alpha=alpha, solver="svd").fit(X, y), X, y, None))
    assert found.relative_distance < 1.0
