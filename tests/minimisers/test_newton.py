"""Refinement against optima found by scikit-learn's tight solvers."""

import warnings
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neural_network import MLPRegressor

from skinfluence import InfluenceRegressor
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.losses import (
    HalfSquaredError,
    Huber,
    Logistic,
    ModifiedHuber,
    SquaredEpsilonInsensitive,
    SquaredHinge,
)
from skinfluence.minimisers.distance import measure, measured
from skinfluence.minimisers.newton import minimum, newton_step, polish, refine, shortened
from skinfluence.objectives import LinearObjective, NetworkObjective
from skinfluence.solvers import Cholesky, SingularCurvatureError
from skinfluence.solvers.approximate import definite_preconditioner
from tests import oracles
from tests.cases import BINARY, THREE, wide_logistic
from tests.network_twins import fitted, optimum, twin, with_theta
from tests.networks import NAMED, REAL


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


# --------------------------------------------------------------- models that need not be convex


def near(one):
    return definite_preconditioner(Curvature(one))


def polished(one):
    return polish(measured(one, near(one)), near)


@cache
def network(name, at_optimum=False):
    one = NAMED[name]
    model = with_theta(fitted(name), optimum(name)) if at_optimum else fitted(name)
    return adapt(model, one.data.X, one.data.y, one.s)


SMOOTH = ["binary-tanh", "three-logistic", "labels-tanh", "reals-tanh", "real-adam-early"]


@pytest.mark.parametrize("name", SMOOTH)
def test_polishing_ends_at_the_minimum_of_the_basin(name):
    """Where scipy and Newton steps on the autograd twin end from the same parameters."""
    start = network(name)
    found, left = polished(start)
    one = found.objective
    eta = twin(name).raw(optimum(name))
    np.testing.assert_allclose(one.raw_predictions(), eta, atol=1e-6 * np.abs(eta).max())
    g = twin(name).gradient(start.theta)
    assert found.gradient_norm == pytest.approx(np.linalg.norm(g), rel=1e-8)
    there = np.linalg.norm(twin(name).gradient(one.theta))
    assert found.remaining_gradient_norm == pytest.approx(there, abs=1e-10)
    assert there <= 1e-6 * found.gradient_norm
    assert left <= 1e-8
    assert found.n_iter > 0
    lowest = np.linalg.eigvalsh(twin(name).hessian(one.theta))[0]
    assert lowest >= -1e-7
    assert found.factor is None
    np.testing.assert_array_equal(start.theta, network(name).theta)


@pytest.mark.parametrize("name", ["binary-tanh", "reals-tanh"])
def test_a_minimum_is_not_moved(name):
    first, _ = polished(network(name))
    again, left = polished(first.objective)
    np.testing.assert_array_equal(again.objective.theta, first.objective.theta)
    assert again.n_iter == 0
    assert left <= 1e-8


@pytest.mark.parametrize("distance", [0.03, 0.3])
def test_a_minimum_is_found_again_from_near_it(distance):
    one = network("real-tanh", at_optimum=True)
    rng = np.random.default_rng(0)
    moved = one.at(one.theta + distance * rng.standard_normal(one.n_params))
    found, _ = polished(moved)
    np.testing.assert_allclose(found.objective.theta, one.theta, atol=1e-7)


def test_a_symmetric_network_is_shaken_off_its_saddle():
    """Two units alike stay alike under any gradient; with them apart the loss is far lower."""
    W, v = np.array([[0.8, 0.8], [-0.5, -0.5], [0.3, 0.3]]), np.array([[0.7], [0.7]])
    y = 3.0 * np.sin(2.0 * REAL.X[:, 0]) + REAL.X[:, 1]
    one = NetworkObjective.from_weights(
        REAL.X, y, HalfSquaredError(), [W, v], [np.full(2, 0.1), np.zeros(1)], "tanh", l2=0.1
    )
    found, left = polished(one)
    (W, _), _ = found.objective.weights()
    assert np.abs(W[:, 0] - W[:, 1]).max() > 0.1
    assert left <= 1e-8
    assert np.linalg.eigvalsh(found.objective.hessian_blocks()[0])[0] > -1e-8


def kinked():
    """Return a network of relu, and rows, whose minimum lies on kinks."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2))
    y = np.abs(X[:, 0]) + 0.5 * rng.standard_normal(40)
    model = MLPRegressor(
        hidden_layer_sizes=(12,), activation="relu", solver="lbfgs", alpha=1e-3, random_state=0
    )
    return InfluenceRegressor(model, refine=True, damping=0.1), X, y


def test_a_kink_is_named_with_the_ways_out():
    wrapper, X, y = kinked()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        wrapper.fit(X, y)
    message = (
        r"MLPRegressor could not be moved to its stationary point: after \d+ steps the gradient "
        r"is [\d.e+-]+ \([\d.e+-]+ removals of a typical row\), at a kink of relu.*"
        r"Fit with a larger alpha, or with a smooth activation \(tanh\)\."
    )
    with pytest.warns(ConvergenceWarning, match=message):
        wrapper.influence_scores(X[:3], y[:3])
    found = wrapper.refinement_
    one = found.objective
    assert one.value() <= wrapper._current().objective().value()
    assert found.remaining_gradient_norm == pytest.approx(np.linalg.norm(one.gradient()))


def test_steps_that_do_not_suffice_are_named(tune):
    tune(polishing_rounds=1)
    tune(trust_region_steps=1)
    wrapper = InfluenceRegressor(NAMED["reals-adam"].estimator, refine=True, damping=0.3)
    data = NAMED["reals-adam"].data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        wrapper.fit(data.X, data.y)
    with pytest.warns(
        ConvergenceWarning, match=r"could not be moved .*: after [12] steps the grad"
    ):
        wrapper.influence_scores(data.X_test, data.y_test)


def test_what_is_left_is_in_typical_removals(tune):
    tune(polishing_rounds=1)
    tune(trust_region_steps=2)
    start = network("real-tanh-3")
    before = measured(start, near(start))
    found, left = polish(before, near)
    g = found.objective.gradient()
    length = np.sqrt(g @ near(start)(g[:, None])[:, 0])
    assert left == pytest.approx(length / before.typical_removal, rel=1e-6)
    assert left > 1e-8


# ------------------------------------------------------------------------- far from the minimum


CLASSES = np.array([0, 1])
BENT = {
    "huber": Huber(0.3, 1),
    "tube": SquaredEpsilonInsensitive(0.3),
    "squared hinge": SquaredHinge(CLASSES),
    "modified huber": ModifiedHuber(CLASSES),
    "logistic": Logistic(CLASSES),
}


def bent(name, start, offset=0.0, l2=0.1):
    """Return an objective in columns of very different size, far from its minimum, and these."""
    rng = np.random.default_rng(3)
    Z = rng.standard_normal((40, 3))
    size = np.array([1e-4, 1.0, 1e4])
    y = Z @ [1.0, -1.0, 0.5] + rng.standard_normal(40)
    y = y + offset if name in ("huber", "tube") else (y > 0).astype(int)
    theta = start * rng.standard_normal(4)
    one = LinearObjective.from_coefficients(
        Z * size, y, BENT[name], theta[:3] / size, theta[3], l2=l2 * 1e-4
    )
    return one, np.r_[1.0 / size, 1.0]


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("start", [1e-3, 10.0, 1e4, 1e8])
@pytest.mark.parametrize("name", BENT)
def test_a_minimum_is_reached_from_where_no_row_is_curved(name, start, offset):
    """Against scipy from 0, in columns of one size."""
    one, size = bent(name, start, offset)

    def of(theta):
        there = one.at(theta * size)
        return there.value(), there.gradient() * size

    judge = optimize.minimize(
        of, np.zeros(4), jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 10_000}
    )
    end = minimum(one, factorize)
    found = end.objective.theta / size
    np.testing.assert_allclose(found, judge.x, rtol=1e-5, atol=1e-6)
    assert np.abs(of(found)[1]).max() < 1e-8
    again = minimum(one, factorize, start=end)
    assert again.newton_decrement == end.newton_decrement  # of the start that was given


def test_columns_that_depend_on_each_other_do_so_wherever_it_starts():
    one, _ = bent("squared hinge", 1e4, l2=0.0)
    twice = np.column_stack([one.X, one.X[:, 0]])
    theta, zeros = np.r_[one.theta[:3], 1.0, one.theta[3]], np.zeros(5)
    double = replace(one, X=twice, theta=theta, l2=zeros, row_products=None)
    with pytest.raises(SingularCurvatureError, match="collinear columns"):
        minimum(double, factorize)


def test_a_step_across_a_bend_does_not_rise():
    """There the decrement may be half of what it was, and back again, for ever."""
    X, y = np.ones((2, 1)), np.array([1.0, 1.0])
    one = LinearObjective.from_coefficients(X, y, Huber(1e-3, 1), [0.0], None, l2=1e-5)
    factor, gradient = factorize(one), one.gradient()
    step, decrement = newton_step(factor, gradient)
    moved = shortened(one, factor, step, decrement)
    assert moved.objective.value() < one.value()
    assert minimum(one, factorize).objective.theta[0] == pytest.approx(1.0, abs=1e-5)
