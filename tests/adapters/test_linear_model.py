"""Every adapter against its twin, optimum, derivative and refits, over the table of cases."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LogisticRegression,
    LogisticRegressionCV,
)

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import adapt, final_step
from skinfluence.adapters.registry import registered
from tests import oracles
from tests.adapters import test_boosting, test_forests, test_hist_boosting
from tests.cases import BINARY, CASES, REAL, THREE, classification
from tests.model_table import MODELS
from tests.networks import TABLE as NETWORKS

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


# Searches of their own: the plain model at what they chose has a row in `tests.model_table`.
TIGHT = {"tol": 1e-14, "max_iter": 100_000}
SEARCHED = {
    LassoCV: (
        LassoCV(alphas=[0.1, 0.4], cv=3, **TIGHT),
        lambda found: Lasso(found.alpha_, **TIGHT),
    ),
    ElasticNetCV: (
        ElasticNetCV(alphas=[0.1, 0.4], l1_ratio=[0.3, 0.7], cv=3, **TIGHT),
        lambda found: ElasticNet(found.alpha_, l1_ratio=found.l1_ratio_, **TIGHT),
    ),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("kind", SEARCHED)
def test_a_searched_penalty_is_frozen(kind, weighted):
    searching, chosen = SEARCHED[kind]
    s = REAL.s if weighted else None
    model = InfluenceRegressor(searching).fit(REAL.X, REAL.y, s)
    plain = chosen(model.estimator_)
    alone = InfluenceRegressor(plain).fit(REAL.X, REAL.y, s)
    expected = alone.influence_scores(REAL.X_test, REAL.y_test)
    found = model.influence_scores(REAL.X_test, REAL.y_test)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)

    def losses(kept):
        weights = {} if s is None else {"sample_weight": s[kept]}
        fitted = clone(plain).fit(REAL.X[kept], REAL.y[kept], **weights)
        return 0.5 * (fitted.predict(REAL.X_test) - REAL.y_test) ** 2

    rows, everything = [0, 17, 41, 52], np.arange(60)
    actual = [losses(np.delete(everything, i)) - losses(everything) for i in rows]
    exact = model.influence_scores(REAL.X_test, REAL.y_test, method="exact")[:, rows]
    slope, error = oracles.slope_and_error(exact, np.transpose(actual))
    assert abs(slope - 1) < 1e-6
    assert error < 1e-6


SPELLINGS = {
    "l1": {"penalty": "l1", "solver": "saga"},
    "l1 by its ratio": {"penalty": "elasticnet", "l1_ratio": 1.0, "solver": "saga"},
    "elastic net": {"penalty": "elasticnet", "l1_ratio": 0.4, "solver": "saga"},
    "liblinear": {"penalty": "l1", "solver": "liblinear", "intercept_scaling": 3.0},
    "l2": {"penalty": "l2", "solver": "newton-cholesky"},
    "none": {"penalty": None, "solver": "newton-cholesky"},
}
if LogisticRegression().penalty == "deprecated":  # since 1.8 the ratio alone decides
    SPELLINGS |= {
        "ratio alone": {"l1_ratio": 0.4, "solver": "saga"},
        "ratio of 1": {"l1_ratio": 1.0, "solver": "saga"},
        "ratio of 1 and liblinear": {"l1_ratio": 1.0, "solver": "liblinear"},
    }


@pytest.mark.filterwarnings("ignore::UserWarning:sklearn")
@pytest.mark.parametrize("data", [BINARY, THREE], ids=["two classes", "three"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_of_a_penalty_is_the_one_that_was_minimised(name, data):
    params = {"C": 0.3, "tol": 1e-11, "max_iter": 50_000, "random_state": 0} | SPELLINGS[name]
    if data is THREE and params["solver"] == "liblinear":
        pytest.skip("one class against the rest, or refused")
    fitted = LogisticRegression(**params).fit(data.X, data.y, data.s)
    objective = adapt(fitted, data.X, data.y, data.s)
    row_gradients = np.abs(objective.weighted_grad_sum(np.diag(data.s))).max()
    assert np.abs(objective.gradient()).max() < 1e-6 * row_gradients


TREES = (test_boosting.CASES, test_forests.CASES, test_hist_boosting.CASES)


def test_every_adapter_has_a_case():
    mine = {t for t in registered() if t.__module__.startswith(("sklearn.", "skinfluence."))}
    held = {type(final_step(one.estimator)) for one in (*CASES, *MODELS, *NETWORKS)}
    trees = {type(model) for table in TREES for model, *_ in table.values()}
    assert mine == held | set(SEARCHED) | trees


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
