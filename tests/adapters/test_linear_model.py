"""Every adapter against its twin, optimum, derivative and refits, over the table of cases."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import adapt
from skinfluence.adapters.registry import registered
from tests import oracles
from tests.cases import CASES, classification

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
# LogisticRegressionCV announces other defaults in every fit; its own table row states what we use.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")


def wrapper(case, **params):
    kind = InfluenceClassifier if case.is_classifier else InfluenceRegressor
    estimator = clone(case.estimator)
    if "tol" in estimator.get_params():
        estimator.set_params(tol=1e-8)
    return kind(estimator, **params)


def fitted_wrapper(case, **params):
    weights = {"sample_weight": case.s} if case.weighted else {}
    return wrapper(case, **params).fit(case.data.X, case.data.y, **weights)


def test_every_adapter_has_a_case():
    mine = [t for t in registered() if t.__module__.startswith(("sklearn.", "skinfluence."))]
    assert {t.__name__ for t in mine} == {type(case.estimator).__name__ for case in CASES}


@cases
def test_stationary_at_a_tight_fit(case):
    data = case.data
    fitted = oracles.at_optimum(case.estimator, data.X, data.y, case.s, case.counts)
    objective = adapt(fitted, data.X, data.y, case.s)
    row_gradients = np.abs(objective.weighted_grad_sum(np.eye(len(data.X)))).max()
    assert np.abs(objective.gradient()).max() < 1e-9 * row_gradients


@cases
def test_objective_equals_its_autograd_twin(case):
    data = case.data
    fitted = oracles.at_optimum(case.estimator, data.X, data.y, case.s, case.counts)
    twin = oracles.twin_of(fitted, data.X, data.y, case.s, case.counts)
    theta = oracles.theta_of(fitted) + 0.3 * np.random.default_rng(0).standard_normal(twin.n_params)
    objective = adapt(fitted, data.X, data.y, case.s).at(theta)
    V = np.random.default_rng(1).standard_normal((twin.n_params, 3))
    np.testing.assert_allclose(objective.sample_weight, twin.w, rtol=1e-12)
    np.testing.assert_allclose(objective.losses(), twin.rows(theta), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(objective.value(), twin.value(theta), rtol=1e-12)
    np.testing.assert_allclose(objective.gradient(), twin.gradient(theta), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(objective.grads_dot(V), twin.row_gradients(theta) @ V, atol=1e-9)
    H = twin.hessian(theta)
    np.testing.assert_allclose(objective.hvp(V), H @ V, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(_dense(objective), H, rtol=1e-9, atol=1e-9)


def _dense(objective):
    """Return the Hessian of an objective from its blocks."""
    blocks = objective.hessian_blocks()
    repeats = objective.n_params // (blocks.shape[0] * blocks.shape[1])
    if repeats > 1:
        blocks = np.repeat(blocks, repeats, axis=0)
    H = np.zeros((objective.n_params, objective.n_params))
    d = blocks.shape[1]
    for b, block in enumerate(blocks):
        H[b * d : (b + 1) * d, b * d : (b + 1) * d] = block
    return H


@cases
def test_first_order_is_the_derivative_of_a_refit(case):
    """Move one row's weight by +-1e-3, refit tightly: parameters and test losses follow."""
    data, counts = case.data, case.counts
    model = fitted_wrapper(case, method="first_order")
    scores = model.influence_scores(data.X_test, data.y_test)
    rows = [0, 17, 41]
    step = 1e-3
    derivatives = []
    for i in rows:
        values = []
        for sign in (1.0, -1.0):
            if counts == "rows":
                # Weights count rows, which no sample weight can express: minimise the twin in
                # which the row counts and weighs 1 +- step.
                ratio = np.ones(len(data.X))
                ratio[i] += sign * step
                fitted = oracles.at_optimum(case.estimator, data.X, data.y, case.s, counts)
                twin = oracles.twin_of(fitted, data.X, data.y, case.s, counts, ratio)
                theta = oracles.minimise(twin, oracles.theta_of(fitted))
                fitted = oracles._with_theta(fitted, theta)
            else:
                s = np.ones(len(data.X)) if case.s is None else case.s.copy()
                s[i] += sign * step
                fitted = oracles.tight(case.estimator, data.X, data.y, s, counts)
            values.append(oracles.losses_of(fitted, data.X_test, data.y_test))
        whole = 1.0 if case.s is None or counts == "rows" else case.s[i]
        derivatives.append(-whole * (values[0] - values[1]) / (2 * step))
    actual = np.array(derivatives).T
    slope, error = oracles.slope_and_error(scores[:, rows], actual)
    assert abs(slope - 1) < 1e-4
    assert error < 1e-4


@cases
def test_newton_equals_refits(case):
    """Remove every fourth row, refit tightly: slope and relative error of the test losses."""
    data = case.data
    rows = np.arange(0, len(data.X), 4)
    model = fitted_wrapper(case)
    scores = model.influence_scores(data.X_test, data.y_test)
    _, actual = oracles.leave_one_out(case.estimator, data, case.s, case.counts, rows)
    slope, error = oracles.slope_and_error(scores[:, rows], actual)
    assert error < case.newton_error
    assert abs(slope - 1) < case.newton_error


@cases
def test_exact_equals_refits(case):
    """The same at the minimum, where nothing is left but the tolerance of the judge."""
    data = case.data
    rows = np.arange(0, len(data.X), 4)
    model = fitted_wrapper(case, method="exact", damping=0.1)  # damping must not matter
    scores = model.influence_scores(data.X_test, data.y_test)
    _, actual = oracles.leave_one_out(case.estimator, data, case.s, case.counts, rows)
    slope, error = oracles.slope_and_error(scores[:, rows], actual)
    assert error < 1e-6
    assert abs(slope - 1) < 1e-6


@cases
def test_first_order_is_within_its_leverage_of_refits(case):
    """First order is too small by the leverage, 1/(1 - h): slopes between 1 and 1.35 here."""
    data = case.data
    rows = np.arange(0, len(data.X), 4)
    model = fitted_wrapper(case, method="first_order")
    scores = model.influence_scores(data.X_test, data.y_test)
    _, actual = oracles.leave_one_out(case.estimator, data, case.s, case.counts, rows)
    slope, error = oracles.slope_and_error(scores[:, rows], actual)
    assert 1.0 < slope < 1.35
    assert error < 0.35


# What is counted must not depend on how tight the user's own fit is.
LOOSE = {
    "lbfgs": LogisticRegression(max_iter=3),
    "saga": LogisticRegression(solver="saga", max_iter=2, random_state=0),
    "liblinear": LogisticRegression(solver="liblinear", tol=0.5),
    "CV": LogisticRegressionCV(Cs=[1.0], cv=2, max_iter=2),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", LOOSE)
def test_what_balanced_counts_in_a_loose_fit(name, seed):
    """Truth is the refit of the tightest solver of the same objective without each row."""
    data = classification(n=60, noise=0.3, seed=seed)
    s = np.random.default_rng(seed).uniform(0.5, 2.0, 60)
    inner = clone(LOOSE[name]).set_params(class_weight="balanced")
    model = InfluenceClassifier(inner, method="exact").fit(data.X, data.y, s)
    rows = np.arange(0, 60, 12)
    scores = model.influence_scores(data.X_test, data.y_test)[:, rows]

    solver = "liblinear" if name == "liblinear" else "newton-cholesky"
    tight = LogisticRegression(class_weight="balanced", solver=solver, tol=1e-10, max_iter=10_000)

    def losses(kept):
        return oracles.losses_of(
            clone(tight).fit(data.X[kept], data.y[kept], s[kept]), data.X_test, data.y_test
        )

    everything = np.arange(60)
    actual = [losses(np.delete(everything, i)) - losses(everything) for i in rows]
    slope, error = oracles.slope_and_error(scores, np.array(actual).T)
    assert abs(slope - 1) < 1e-3
    assert error < 1e-3
