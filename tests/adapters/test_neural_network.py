"""Networks of scikit-learn as objectives: their penalty, the rows that trained, the way back."""

import warnings
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skinfluence.adapters import adapt, check_supported, write_parameters
from skinfluence.losses import Joint, Logistic, Multinomial, OneVsRest
from skinfluence.objectives import Averaged, Fixed
from tests.network_twins import (
    alpha_of,
    descend,
    fitted,
    held_out,
    optimum,
    refit,
    theta_of,
    twin,
    twin_of,
    with_theta,
)
from tests.networks import NAMED, OLD, REAL, THREE

every = pytest.mark.parametrize("name", NAMED)
early = pytest.mark.parametrize("name", [name for name in NAMED if "early" in name])


def objective(name, model=None):
    one = NAMED[name]
    X = sparse.csr_matrix(one.data.X) if "sparse" in one.tags else one.data.X
    return adapt(fitted(name) if model is None else model, X, one.data.y, one.s)


# --------------------------------------------------------------------------- what is minimised


@every
def test_the_objective_is_its_twin_at_the_fitted_parameters(name):
    one, other, theta = objective(name), twin(name), theta_of(fitted(name))
    np.testing.assert_array_equal(one.theta, theta)
    np.testing.assert_allclose(one.l2, other.l2, rtol=1e-14)
    np.testing.assert_array_equal(one.sample_weight, other.w)
    assert one.value() == pytest.approx(other.value(theta), rel=1e-12)
    g = other.gradient(theta)
    np.testing.assert_allclose(one.gradient(), g, atol=1e-10 * np.abs(other.hessian(theta)).max())


@every
def test_raw_predictions_are_those_behind_scikit_learns(name):
    data, model = NAMED[name].data, fitted(name)
    eta = objective(name).on(data.X_test).raw_predictions()
    response = objective(name).loss.response(eta)
    if isinstance(model, MLPRegressor):
        found = model.predict(data.X_test).reshape(len(eta), -1)
    else:
        found = model.predict_proba(data.X_test)
        if np.ndim(data.y) == 2:
            response = 1.0 / (1.0 + np.exp(-eta))
        np.testing.assert_array_equal(objective(name).loss.decide(eta), model.predict(data.X_test))
    np.testing.assert_allclose(response, found, rtol=1e-10)


@pytest.mark.parametrize("name", ["binary-tanh", "three-tanh", "real-tanh", "labels-tanh"])
def test_scikit_learn_stops_near_a_stationary_point(name):
    """A tenth more of the penalty would leave ten times its gradient."""
    one = objective(name)
    assert np.linalg.norm(one.gradient()) <= 0.1 * np.linalg.norm(0.1 * one.l2 * one.theta)


# ---------------------------------------------------------------- the penalty of stochastic solvers


SIZES = [(50, "auto"), (50, 50), (50, 500), (48, 16), (50, 16), (50, 7), (50, 1), (250, "auto")]


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
@pytest.mark.parametrize(("n", "batch_size"), SIZES)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_the_penalty_is_that_of_an_expected_epoch(n, batch_size, solver):
    X = np.random.default_rng(0).standard_normal((n, 2))
    model = MLPRegressor(
        hidden_layer_sizes=(2,), solver=solver, batch_size=batch_size, alpha=0.3, max_iter=1
    )
    model = refit(model, X, X[:, 0])
    assert adapt(model, X, X[:, 0], None).l2.max() == pytest.approx(alpha_of(model, n), rel=1e-14)


def epoch(n, batch_size, alpha, seed=0, s=None, rate=1e-8):
    """Return (network, its data, the mean step of plain gradient descent times n, negative)."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, 2))
    y = X[:, 0] + np.sin(2.0 * X[:, 1]) + 0.3 * rng.standard_normal(n)
    model = MLPRegressor(
        hidden_layer_sizes=(2,),
        activation="tanh",
        solver="sgd",
        momentum=0.0,
        learning_rate_init=rate,
        batch_size=batch_size,
        alpha=alpha,
        max_iter=1,
        warm_start=True,
        random_state=seed,
    )
    start = refit(model.set_params(warm_start=False), X, y, s)
    moved = with_theta(start, rng.standard_normal(9)).set_params(warm_start=True)
    before = deepcopy(moved)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        moved.fit(X, y) if s is None else moved.fit(X, y, sample_weight=s)
    steps = -(-n // batch_size)
    return before, X, y, n * (theta_of(before) - theta_of(moved)) / (rate * steps)


@pytest.mark.parametrize(("n", "batch_size"), [(40, 40), (40, 10), (40, 1)])
def test_the_gradient_is_an_epoch_of_gradient_descent(n, batch_size):
    model, X, y, step = epoch(n, batch_size, alpha=0.4)
    np.testing.assert_allclose(adapt(model, X, y, None).gradient(), step, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("n", "batch_size"), [(40, 10), (42, 10), (41, 10)])
def test_the_penalty_of_unequal_batches_is_that_of_an_epoch(n, batch_size):
    """Measured as the difference of two epochs with the same shuffles."""
    model, X, y, step = epoch(n, batch_size, alpha=0.4)
    *_, without = epoch(n, batch_size, alpha=0.0)
    one = adapt(model, X, y, None)
    np.testing.assert_allclose(one.l2 * one.theta, step - without, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(OLD, reason="networks take no sample_weight there")
def test_the_gradient_is_an_epoch_of_weighted_gradient_descent():
    s = np.random.default_rng(2).uniform(0.5, 2.0, 40)
    model, X, y, step = epoch(40, 40, alpha=0.4, s=s)
    found = adapt(model, X, y, s).gradient()
    np.testing.assert_allclose(found, step * s.mean(), rtol=1e-4, atol=1e-4)


def test_the_gradient_of_unequal_batches_is_their_expectation():
    n, steps = 12, []
    for seed in range(200):
        model, X, y, step = epoch(n, 5, alpha=0.4, seed=seed)
        steps.append(step)
    error = np.std(steps, axis=0) / np.sqrt(len(steps))
    found = adapt(model, X, y, None).gradient()
    assert np.all(np.abs(found - np.mean(steps, axis=0)) <= 4.0 * error + 1e-4)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("real-tanh", Fixed),
        ("three-adam", Fixed),  # one batch of all rows, however many there are
        ("real-sgd-batches", Averaged),
        ("binary-adam-batches", Averaged),
        ("real-adam-early", Fixed),
        ("labels-adam-early", Averaged),
    ],
)
def test_rows_take_their_share_of_the_penalty_where_batches_have_it(name, kind):
    assert type(objective(name).weighting) is kind


# ------------------------------------------------------------------------------- early stopping


@early
def test_rows_held_out_are_those_of_scikit_learn(name):
    data, model = NAMED[name].data, fitted(name)
    one = objective(name)
    held = np.flatnonzero(one.sample_weight == 0)
    np.testing.assert_array_equal(held, held_out(NAMED[name].estimator, data.X, data.y))
    assert len(held) == 5
    assert model.score(data.X[held], data.y[held]) == pytest.approx(model.best_validation_score_)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["binary", "three", "real"])
def test_rows_held_out_at_other_seeds_and_fractions(kind, seed):
    y = {"binary": (THREE.y == "a") * 1, "three": np.unique(THREE.y, return_inverse=True)[1]}
    y = y.get(kind, REAL.y)
    model = (MLPRegressor if kind == "real" else MLPClassifier)(
        hidden_layer_sizes=(3, 2),
        early_stopping=True,
        validation_fraction=0.3,
        random_state=seed,
        max_iter=4,
    )
    expected = held_out(model, REAL.X, y)
    one = adapt(refit(model, REAL.X, y), REAL.X, y, None)
    np.testing.assert_array_equal(np.flatnonzero(one.sample_weight == 0), expected)
    assert one.l2.max() == pytest.approx(model.alpha)  # one batch of the rows that trained


@early
def test_rows_held_out_do_not_pull(name):
    data, theta = NAMED[name].data, optimum(name)
    held = np.flatnonzero(objective(name).sample_weight == 0)
    moved = np.array(data.X)
    moved[held] += 10.0
    model = with_theta(fitted(name), theta)
    np.testing.assert_array_equal(
        adapt(model, moved, data.y, None).gradient(), adapt(model, data.X, data.y, None).gradient()
    )


@pytest.mark.skipif(OLD, reason="networks take no sample_weight there")
def test_rows_held_out_with_weights():
    model = clone(NAMED["real-adam-early"].estimator)
    held = held_out(model, REAL.X, REAL.y, REAL.s)
    one = adapt(refit(model, REAL.X, REAL.y, REAL.s), REAL.X, REAL.y, REAL.s)
    expected = REAL.s.copy()
    expected[held] = 0.0
    np.testing.assert_array_equal(one.sample_weight, expected)


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("seed", [None, np.random.RandomState(0)])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_early_stopping_at_an_unknown_seed_is_refused(kind, seed, solver):
    model = kind(early_stopping=True, random_state=seed, solver=solver)
    message = (
        rf"{kind.__name__}\(early_stopping=True, random_state=.*\) was given; it holds some rows "
        r"out of the fit, at random, and does not say which. Pass an integer random_state, from "
        r"which they are known, or early_stopping=False."
    )
    with pytest.raises(ValueError, match=message):
        check_supported(model)


@pytest.mark.parametrize("seed", [0, np.int64(3)])
def test_early_stopping_at_a_known_seed_is_accepted(seed):
    check_supported(MLPRegressor(early_stopping=True, random_state=seed))
    check_supported(MLPRegressor(early_stopping=True, solver="lbfgs"))  # which stops nothing


def test_early_stopping_of_a_warm_start_is_refused():
    with pytest.raises(ValueError, match=r"warm_start=True\).*Use warm_start=False"):
        check_supported(MLPRegressor(early_stopping=True, warm_start=True, random_state=0))


def test_a_subclass_is_refused():
    class Other(MLPRegressor):
        pass

    with pytest.raises(TypeError, match="Other is a subclass of MLPRegressor"):
        check_supported(Other())


# ---------------------------------------------------------------------------------- the way back


@every
def test_parameters_are_written_back(name):
    model = with_theta(fitted(name), theta_of(fitted(name)))
    shapes = [W.shape for W in model.coefs_], [b.shape for b in model.intercepts_]
    theta = theta_of(model) + 0.1 * np.random.default_rng(0).standard_normal(twin(name).l2.size)
    one = objective(name, model).at(theta)
    write_parameters(model, one, NAMED[name].data.X)
    assert isinstance(model.coefs_, list) and isinstance(model.intercepts_, list)
    assert shapes == ([W.shape for W in model.coefs_], [b.shape for b in model.intercepts_])
    np.testing.assert_array_equal(theta_of(model), theta)
    eta = one.on(NAMED[name].data.X_test).raw_predictions()
    again = objective(name, model).on(NAMED[name].data.X_test).raw_predictions()
    np.testing.assert_array_equal(again, eta)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_written_parameters_keep_their_dtype(solver):
    X = REAL.X.astype(np.float32)
    model = MLPRegressor(hidden_layer_sizes=(3,), solver=solver, max_iter=5, random_state=0)
    model = refit(model, X, REAL.y)
    kinds = [W.dtype for W in (*model.coefs_, *model.intercepts_)]
    one = adapt(model, X, REAL.y, None)
    assert one.theta.dtype == np.float64 and one.dtype == np.float32
    write_parameters(model, one.at(one.theta + 0.1), X)
    assert [W.dtype for W in (*model.coefs_, *model.intercepts_)] == kinds


def test_writing_does_not_touch_other_models():
    model = with_theta(fitted("real-tanh"), theta_of(fitted("real-tanh")))
    one = objective("real-tanh", model)
    write_parameters(model, one.at(one.theta + 1.0), REAL.X)
    np.testing.assert_array_equal(one.theta, theta_of(fitted("real-tanh")))
    model.coefs_[0][0, 0] = np.inf
    assert np.isfinite(one.at(one.theta).raw_predictions()).all()


# --------------------------------------------------------------------------------- kinds of targets


def test_the_losses_of_the_kinds_of_targets():
    kinds = {
        "binary-tanh": Logistic,
        "three-tanh": Multinomial,
        "labels-tanh": OneVsRest,
        **({} if OLD else {"counts-both": Joint}),
    }
    for name, kind in kinds.items():
        assert type(objective(name).loss) is kind


def test_targets_of_one_column_are_one_target():
    model = MLPRegressor(hidden_layer_sizes=(3,), solver="lbfgs", random_state=0)
    column = REAL.y[:, None]
    with pytest.warns(UserWarning, match="column-vector"):
        model.fit(REAL.X, column)
    one, flat = adapt(model, REAL.X, column, None), adapt(model, REAL.X, REAL.y, None)
    np.testing.assert_array_equal(one.gradient(), flat.gradient())


def test_labels_of_two_columns_are_not_two_classes():
    """MLPClassifier keeps classes_ = [0, 1] for two labels a row as well."""
    Y = np.column_stack([REAL.y > 1.0, REAL.X[:, 0] > 0.0]).astype(int)
    model = MLPClassifier(hidden_layer_sizes=(3,), solver="lbfgs", alpha=1.0, random_state=0)
    model = refit(model, REAL.X, Y)
    one, other = adapt(model, REAL.X, Y, None), twin_of(model, REAL.X, Y)
    assert one.loss.n_outputs == 2
    np.testing.assert_allclose(one.gradient(), other.gradient(theta_of(model)), atol=1e-8)


def test_several_targets_are_summed_though_scikit_learn_reports_their_mean():
    """Its loss is the mean over targets, its gradient that of the sum: lbfgs stops half way."""
    one, theta, other = objective("reals-tanh"), optimum("reals-tanh"), twin("reals-tanh")
    half = descend(replace(other, w=0.5 * other.w), theta)
    assert np.linalg.norm(one.at(theta).gradient()) <= 1e-9
    assert np.linalg.norm(one.at(half).gradient()) >= 0.1
