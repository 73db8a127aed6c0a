"""The map near the inverse of the second derivative: positive definite, whatever it is made for."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from skinfluence import InfluenceClassifier
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature, preconditioner
from skinfluence.losses import HalfSquaredError, Multinomial
from skinfluence.objectives import NetworkObjective, Objective
from skinfluence.solvers import Cholesky, SingularCurvatureError
from skinfluence.solvers.approximate import definite_preconditioner
from tests.network_twins import fitted, optimum, twin, with_theta
from tests.networks import NAMED


def at_minimum(name):
    one = NAMED[name]
    return adapt(with_theta(fitted(name), optimum(name)), one.data.X, one.data.y, one.s)


def matrix(near, n_params):
    M = near(np.eye(n_params))
    np.testing.assert_allclose(M, M.T, atol=1e-8 * np.abs(M).max())
    return 0.5 * (M + M.T)


def check_definite(near, n_params):
    M = matrix(near, n_params)
    values = np.linalg.eigvalsh(M)
    assert np.all(np.isfinite(values))
    assert values[0] > 1e-14 * values[-1] > 0
    return M


SMOOTH = ["binary-tanh", "three-tanh", "labels-tanh", "reals-tanh", "real-tanh-3"]


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("damping", [0.0, 3.0])
def test_at_a_minimum_it_is_the_inverse_hessian(name, damping):
    """Of the second derivative itself, which damping has no part in."""
    one = at_minimum(name)
    M = check_definite(definite_preconditioner(Curvature(one, damping=damping)), one.n_params)
    H = twin(name).hessian(optimum(name))
    shifts = one.flat_shifts()
    V = np.random.default_rng(0).standard_normal((one.n_params, 3))
    for shift in shifts:  # no gradient has a part along the gauge
        V[shift] -= V[shift].mean(axis=0)
    np.testing.assert_allclose(H @ (M @ V), V, atol=1e-6)


@pytest.mark.parametrize("name", ["three-relu-3", "real-tanh-3", "labels-tanh"])
@pytest.mark.parametrize("damping", [0.0, 0.5])
def test_where_the_hessian_bends_down_it_is_of_gauss_newton(name, damping):
    one = adapt(fitted(name), NAMED[name].data.X, NAMED[name].data.y, None)
    far = one.at(2.0 * np.random.default_rng(0).standard_normal(one.n_params))
    H = twin(name).hessian(far.theta)
    assert np.linalg.eigvalsh(H)[0] < -1.0
    M = check_definite(definite_preconditioner(Curvature(far, damping=damping)), one.n_params)
    largest = np.linalg.eigvalsh(twin(name).gauss_newton(far.theta))[-1]
    found = np.linalg.eigvalsh(np.linalg.inv(M))
    assert found[-1] == pytest.approx(largest, rel=0.05)
    assert found[0] >= 0.8e-3 * largest


def idle(loss, y):
    """Return a network of which a unit of relu is never active, at damping 0 without an inverse."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    coefs = [rng.standard_normal((3, 4)), rng.standard_normal((4, loss.n_outputs))]
    biases = [np.array([0.1, -50.0, 0.2, -0.1]), np.zeros(loss.n_outputs)]
    return NetworkObjective.from_weights(X, y, loss, coefs, biases, "relu", l2=0.1)


IDLE = {
    "squared": lambda: idle(HalfSquaredError(), np.arange(30.0) / 10.0),
    "multinomial": lambda: idle(Multinomial(np.arange(3)), np.arange(30) % 3),
}


@pytest.mark.parametrize("kind", IDLE)
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_units_that_are_never_active(kind, damping):
    one = IDLE[kind]()
    check_definite(definite_preconditioner(Curvature(one, damping=damping)), one.n_params)


def large(tune):
    """Say that every network is too large for its matrix."""
    tune(network_params=1)
    tune(network_work=1.0)


@pytest.mark.parametrize("name", [*SMOOTH, "reals-logistic-2"])
@pytest.mark.parametrize("damping", [0.0, 0.5])
@pytest.mark.parametrize("rank", [5, 2000])
def test_large_networks_have_their_preconditioner(name, damping, rank, tune):
    large(tune)
    tune(dominant_rows=rank)
    one = at_minimum(name)
    curvature = Curvature(one, damping=damping)
    M = check_definite(definite_preconditioner(curvature), one.n_params)
    soft = max(damping, 1e-3 * curvature.largest())
    M_soft = preconditioner(one, "auto", soft).solve(np.eye(one.n_params))
    np.testing.assert_allclose(M, M_soft, rtol=1e-10, atol=1e-12 * np.abs(M).max())
    if rank == 2000:  # all rows there are
        G = twin(name).gauss_newton(optimum(name)) + soft * np.eye(one.n_params)
        np.testing.assert_allclose(M @ G, np.eye(one.n_params), atol=1e-6)


@pytest.mark.parametrize("kind", IDLE)
@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_large_networks_with_units_that_are_never_active(kind, damping, tune):
    large(tune)
    one = IDLE[kind]()
    check_definite(definite_preconditioner(Curvature(one, damping=damping)), one.n_params)


def test_hessians_that_cost_too_much_are_not_formed(tune):
    tune(formed_work=1.0)
    one = at_minimum("real-tanh")
    M = check_definite(definite_preconditioner(Curvature(one)), one.n_params)
    G = twin("real-tanh").gauss_newton(optimum("real-tanh"))
    soft = 1e-3 * np.linalg.eigvalsh(G)[-1]
    np.testing.assert_allclose(np.linalg.inv(M), G + soft * np.eye(len(G)), rtol=0.01, atol=soft)


class Flat(Objective):
    """A model that is known by its losses alone, with a Hessian of any kind."""

    convex = False

    def __init__(self, H):
        self.H = np.asarray(H, dtype=float)
        self.theta, self.l2 = np.zeros(len(H)), np.zeros(len(H))
        self.sample_weight = np.ones(1)

    def at(self, theta): ...
    def on(self, X, y=None): ...
    def rows(self, index): ...
    def losses(self): ...
    def grads_dot(self, V): ...
    def weighted_grad_sum(self, A): ...

    def hvp(self, V):
        return self.H @ V


OWN = {
    "minimum": np.diag([3.0, 1.0, 0.5]),
    "saddle": np.diag([3.0, 1.0, -0.5]),
    "maximum": -np.diag([3.0, 1.0, 0.5]),
    "flat in one direction": np.diag([3.0, 1.0, 0.0]),
    "flat": np.zeros((3, 3)),
    "badly scaled": np.diag([1e9, 1.0, -1e-6]),
    "tiny": 1e-12 * np.diag([3.0, -1.0, 0.5]),
    "huge": 1e100 * np.diag([3.0, -1.0, 0.5]),
}


@pytest.mark.parametrize("kind", OWN)
@pytest.mark.parametrize("damping", [0.0, 0.5])
def test_models_of_ones_own(kind, damping):
    near = definite_preconditioner(Curvature(Flat(OWN[kind]), damping=damping))
    M = check_definite(near, 3)
    if kind == "minimum":
        np.testing.assert_allclose(M, np.linalg.inv(OWN[kind]), rtol=1e-12)


@pytest.mark.parametrize("lowest", [-0.29, -1.0, -2.9, -2.999])
def test_what_bends_down_is_not_all_but_flat_in_it(lowest):
    """Steps would be long without reason where damping just makes it positive definite."""
    M = matrix(definite_preconditioner(Curvature(Flat(np.diag([3.0, 1.0, lowest])))), 3)
    assert np.linalg.eigvalsh(np.linalg.inv(M))[0] >= 0.1 * abs(lowest)


# ---------------------------------------------------------------- on the way to a minimum of a fit


def scored(monkeypatch, tune, estimator, X, y, *, quick):
    """Return first-order scores, the refinement, and how many factors were formed."""
    formed = []
    factorize = Cholesky.factorize
    tune(approximate_work=0.0 if quick else np.inf)
    monkeypatch.setattr(
        Cholesky, "factorize", lambda self, c: formed.append(c) or factorize(self, c)
    )
    model = InfluenceClassifier(estimator).fit(X, y)
    scores = model.influence_scores(X[:30], y[:30], method="first_order")
    monkeypatch.undo()
    return scores, model.refinement_, len(formed)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("tol", [1e-2, 1e-6])
def test_what_is_close_leads_to_the_same_minimum_with_one_factor(monkeypatch, tune, n_classes, tol):
    X, y = load_digits(n_class=n_classes, return_X_y=True)
    estimator = LogisticRegression(C=0.1, tol=tol)
    expected, there, n_before = scored(monkeypatch, tune, estimator, X / 16, y, quick=False)
    scores, found, n_formed = scored(monkeypatch, tune, estimator, X / 16, y, quick=True)
    # Where the fit is far off, the distance is measured with the curvature itself.
    assert n_formed == 1 < n_before if tol < 1e-3 else n_formed <= n_before
    np.testing.assert_allclose(scores, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    np.testing.assert_allclose(found.objective.theta, there.objective.theta, atol=1e-10)
    assert found.relative_distance == pytest.approx(there.relative_distance, rel=1e-2)


def test_models_without_an_inverse_are_refused_all_the_same(tune):
    X, y = load_digits(n_class=2, return_X_y=True)
    rng = np.random.default_rng(0)
    # repeated but for more than rounding, and nothing is penalised
    X = np.column_stack([X / 16, X[:, 20] / 16 + 1e-9 * rng.standard_normal(len(X))])
    tune(approximate_work=0.0)
    y = np.where(rng.random(len(y)) < 0.3, 1 - y, y)
    model = InfluenceClassifier(LogisticRegression(C=np.inf, max_iter=1000)).fit(X, y)
    with pytest.raises(SingularCurvatureError, match="collinear columns"):
        model.influence_scores(X[:2], y[:2])
