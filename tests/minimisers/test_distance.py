"""Newton decrements, beside the sampling noise, against dense algebra."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.losses import Logistic
from skinfluence.minimisers.distance import NO_OPTIMUM, measure, measured, typical_removal
from skinfluence.objectives import LinearObjective
from skinfluence.solvers import Cholesky, SingularCurvatureError
from tests import oracles
from tests.cases import BINARY, THREE
from tests.network_twins import twin
from tests.objectives.test_linear import KINDS
from tests.objectives.test_network import objective
from tests.solvers.test_solvers import WIDE


def factorize(objective):
    return Cholesky().factorize(Curvature(objective))


@pytest.mark.parametrize("s", [np.ones(len(BINARY.y)), 3.0 * BINARY.s], ids=["plain", "weighted"])
def test_distances_are_those_of_dense_algebra(s):
    estimator = LogisticRegression(C=0.3)
    judge = oracles.tight(estimator, BINARY.X, BINARY.y, s)
    model = adapt(judge, BINARY.X, BINARY.y, s)
    moved = model.at(model.theta + 0.01)
    H = Curvature(moved).matmat(np.eye(moved.n_params))
    g = moved.gradient()
    measured = measure(moved, factorize)
    assert measured.newton_decrement == pytest.approx(np.sqrt(g @ np.linalg.solve(H, g)), rel=1e-9)
    G = moved.weighted_grad_sum(np.diag(moved.sample_weight))
    norms = np.sum(G * np.linalg.solve(H, G), axis=0)
    expected = np.sqrt(np.mean(norms))
    assert typical_removal(moved, factorize(moved).solve) == pytest.approx(expected, rel=1e-9)
    # every fourth row, its gradient as the model expects it: s sqrt(p (1 - p)) x
    p = 1.0 / (1.0 + np.exp(-moved.raw_predictions()[::4]))
    X = np.column_stack([BINARY.X, np.ones(len(BINARY.X))])[::4]
    scatter = (X * s[::4, None] ** 2 * p * (1 - p)).T @ X / len(X)
    family = np.sqrt(len(BINARY.X) * np.trace(np.linalg.solve(H, scatter)))
    rows = np.sqrt(len(BINARY.X)) * expected
    assert measured.sampling_noise == pytest.approx(max(family, rows), rel=1e-9)
    assert measured.relative_distance == measured.newton_decrement / measured.sampling_noise


def test_the_sampling_noise_of_classes_that_share_a_shift_is_about_that_of_dense_algebra():
    """Rows stand for all, and a random sign of each output for their covariance."""
    judge = oracles.tight(LogisticRegression(C=0.3), THREE.X, THREE.y, 2.0 * THREE.s)
    model = adapt(judge, THREE.X, THREE.y, 2.0 * THREE.s)
    P, w = judge.predict_proba(THREE.X), 2.0 * THREE.s
    X = np.column_stack([THREE.X, np.ones(len(THREE.X))])
    G = P[:, :, None] * np.eye(3) - P[:, :, None] * P[:, None]
    J = np.einsum("i,ikl,ip,iq->kplq", w**2, G, X, X).reshape(model.n_params, -1)
    H = np.linalg.pinv(Curvature(model).matmat(np.eye(model.n_params)), 1e-10, hermitian=True)
    assert measure(model, factorize).sampling_noise == pytest.approx(
        np.sqrt(np.trace(H @ J)), rel=0.2
    )


def test_distances_of_networks_are_those_of_dense_algebra():
    one = objective("reals-tanh")
    M = twin("reals-tanh").gauss_newton(one.theta) + 0.2 * np.eye(one.n_params)
    found = measured(one, lambda V: np.linalg.solve(M, V))
    g = twin("reals-tanh").gradient(one.theta)
    assert found.newton_decrement == pytest.approx(np.sqrt(g @ np.linalg.solve(M, g)), rel=1e-8)
    G = twin("reals-tanh").row_gradients(one.theta).T
    expected = np.sqrt(np.mean(np.sum(G * np.linalg.solve(M, G), axis=0)))
    assert found.typical_removal == pytest.approx(expected, rel=1e-8)
    assert found.sampling_noise == pytest.approx(expected * np.sqrt(len(G.T)), rel=1e-8)


def test_wide_models_are_measured_by_inner_products_of_rows():
    model = WIDE["wide-multinomial"]()
    factor = factorize(model)
    assert factor.quadratics(model) is not None
    assert typical_removal(model, factor.solve, factor) == pytest.approx(
        typical_removal(model, factor.solve), rel=1e-9
    )


def test_distances_are_in_roundings_where_rows_do_nothing():
    model = KINDS["squared"]()
    found = measure(model, factorize)
    assert found.relative_distance == found.newton_decrement / found.sampling_noise
    quiet = measure(model.with_weights(1e-30 * model.sample_weight), factorize)
    assert quiet.relative_distance == pytest.approx(
        quiet.newton_decrement / max(quiet.sampling_noise, 100.0 * quiet.noise), rel=1e-12
    )


def test_what_has_no_minimum_is_refused():
    X, y = np.array([[-1.0], [1.0]]), np.array([0, 1])
    apart = LinearObjective.from_coefficients(X, y, Logistic(y), [3.0], 0.0, l2=0.0)
    with pytest.raises(ValueError, match="no finite optimum") as said:
        measure(apart, factorize)
    assert str(said.value) == NO_OPTIMUM
    with pytest.raises(SingularCurvatureError, match=r"not finite.*StandardScaler"):
        measured(apart, lambda V: np.full(V.shape, np.nan))
