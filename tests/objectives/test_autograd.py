"""A user's own model: products against finite differences and closed forms, scores, bad input."""

import inspect
import pickle
from copy import copy
from threading import Event, Thread

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.extend import defvjp, primitive
from autograd.scipy import special
from scipy import sparse
from scipy.optimize import least_squares
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge

from skinfluence import AutogradObjective, InfluenceClassifier, InfluenceRegressor, register_adapter
from skinfluence.curvature import Curvature
from skinfluence.losses import Logistic, Multinomial
from skinfluence.losses.autograd import AutogradLoss, pullback
from skinfluence.objectives import (
    Averaged,
    Fixed,
    LinearObjective,
    Objective,
    OutputObjective,
)
from skinfluence.objectives.stacked import stacked
from skinfluence.removal.leverages import quadratic_forms
from skinfluence.solvers import Cholesky

RNG = np.random.default_rng(0)
N, P = 23, 3
X = RNG.standard_normal((N, P))
Y = RNG.standard_normal(N)
Y2 = RNG.standard_normal((N, 2))
CODES = RNG.integers(0, 3, N)
WEIGHTS = RNG.uniform(0.5, 2.0, N)


def curve(theta, X):
    """One output without an axis: a gate times a line."""
    return theta[0] * anp.tanh(X @ theta[1:4]) + theta[4]


def curve_loss(theta, X, y):
    return anp.log(anp.cosh(curve(theta, X) - y))


def log_cosh(eta, y):
    return anp.log(anp.cosh(eta - y))


def two(theta, X):
    """Two outputs that share a parameter."""
    first = anp.exp(0.3 * X @ theta[:3])
    return anp.stack([first, theta[3] * anp.sin(X[:, 0] + theta[4])], axis=1)


def two_loss(eta, y):
    r = eta - y
    return 0.5 * anp.sum(r**2, axis=1) + 0.2 * (r[:, 0] * r[:, 1]) ** 2


def classes_of(theta, X):
    return anp.tanh(X @ anp.reshape(theta, (3, 3)))


def softmax_loss(eta, codes):
    picked = anp.sum(eta * (codes[:, None] == anp.arange(3)), axis=1)
    return special.logsumexp(eta, axis=1) - picked


def binomial_loss(theta, X, y):
    """Functions of scipy.special, for which autograd has no forward mode."""
    rate = anp.exp(0.2 * X @ theta[:3])
    return special.gammaln(rate + y[:, 1] ** 2) - y[:, 0] * theta[3] * rate


THETA = np.array([0.7, -0.4, 0.3, 0.9, 0.2])
NAMES = {
    "plain": lambda **kw: AutogradObjective(
        curve_loss, THETA, l2=[0.1, 0.2, 0.3, 0.4, 0.0], X=X, y=Y, sample_weight=WEIGHTS, **kw
    ),
    "special": lambda: AutogradObjective(
        binomial_loss, THETA[:4], l2=0.5, X=X, y=Y2, sample_weight=WEIGHTS
    ),
    "one output": lambda: AutogradObjective(
        log_cosh, THETA, predict=curve, l2=0.3, X=X, y=Y, sample_weight=WEIGHTS
    ),
    "two outputs": lambda: AutogradObjective(
        two_loss, THETA, predict=two, l2=0.3, X=X, y=Y2, sample_weight=WEIGHTS
    ),
    "three classes": lambda: AutogradObjective(
        softmax_loss,
        RNG.standard_normal(9),
        predict=classes_of,
        classes=["c", "a", "b"],
        X=X,
        y=np.array(["a", "b", "c"])[CODES],
    ),
    "few rows": lambda: AutogradObjective(
        two_loss, THETA, predict=two, l2=0.3, X=X[:4], y=Y2[:4], sample_weight=WEIGHTS[:4]
    ),
}
names = pytest.mark.parametrize("name", NAMES)
predicting = pytest.mark.parametrize("name", ["one output", "two outputs", "three classes"])


def slopes(function, at, step=1e-6):
    """Return the derivative of a function of a vector by central differences, along a last axis."""
    columns = [(function(at + e) - function(at - e)) / (2.0 * step) for e in step * np.eye(len(at))]
    return np.stack(columns, axis=-1)


def close(actual, expected, tolerance=1e-7):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=tolerance * max(scale, 1e-3))


@names
@pytest.mark.parametrize("k", [0, 2, 30])
def test_products_equal_finite_differences(name, k):
    one = NAMES[name]()
    n, rng = one.n_samples, np.random.default_rng(1)
    V, A = rng.standard_normal((one.n_params, k)), rng.standard_normal((n, k))
    gradients = slopes(lambda theta: one.at(theta).losses(), one.theta)
    close(one.grads_dot(V), gradients @ V) if k else None
    assert one.grads_dot(V).shape == (n, k)
    assert one.weighted_grad_sum(A).shape == one.hvp(V).shape == (one.n_params, k)
    if not k:
        return
    close(one.weighted_grad_sum(A), gradients.T @ A)
    close(one.gradient(), one.sample_weight @ gradients + one.l2 * one.theta)
    H = slopes(lambda theta: one.at(theta).gradient(), one.theta)
    close(one.hvp(V), H @ V)
    close(one.hessian_blocks()[0], H)
    penalty = 0.5 * np.sum(one.l2 * one.theta**2)
    close(one.value(), one.sample_weight @ one.losses() + penalty, 1e-14)


@names
def test_changes_equal_differences(name):
    one, rng = NAMES[name](), np.random.default_rng(1)
    D = 0.1 * rng.standard_normal((one.n_params, one.n_samples))
    moved = np.stack([one.at(one.theta + d).losses() - one.losses() for d in D.T], axis=1)
    close(one.loss_changes(D), moved, 1e-12)
    close(one.own_loss_changes(D), np.diag(moved), 1e-12)


@names
def test_a_hessian_that_was_formed_is_used(name):
    one, rng = NAMES[name](), np.random.default_rng(1)
    V = rng.standard_normal((one.n_params, 2))
    before, blocks = one.hvp(V), one.hessian_blocks()
    blocks += 1.0  # in place, as damping is added
    close(one.hvp(V), before, 1e-13)
    other = one.with_weights(2.0 * one.sample_weight)
    close(other.hvp(V) - before, before - one.l2[:, None] * V, 1e-12)
    moved = one.at(one.theta + 0.3)
    assert np.linalg.norm(moved.hvp(V) - before) > 1e-3 * np.linalg.norm(before)
    close(
        one.rows(slice(0, 2)).hvp(V) + one.rows(slice(2, None)).hvp(V), before + one.l2[:, None] * V
    )


@names
def test_many_parameters_at_once(name):
    one, rng = NAMES[name](), np.random.default_rng(1)
    Theta = one.theta[:, None] + 0.1 * rng.standard_normal((one.n_params, 2))
    W, S = rng.uniform(size=(one.n_samples, 2)), rng.standard_normal((one.n_params, 2))
    W[1, 0] = W[:2, 1] = 0.0
    many = stacked(one, Theta, W)
    for j in range(2):
        there = one.at(Theta[:, j]).with_weights(W[:, j])
        close(many.values()[j], W[:, j] @ there.losses(), 1e-12)
        close(many.gradients()[:, j], there.gradient() - one.l2 * there.theta, 1e-12)
        close(many.products(S)[:, j], there.hvp(S)[:, j] - one.l2 * S[:, j], 1e-12)


@pytest.mark.parametrize("name", ["one output", "two outputs", "three classes", "few rows"])
def test_jacobian_products_equal_finite_differences(name):
    one, rng = NAMES[name](), np.random.default_rng(1)
    eta = one.raw_predictions()
    n, K = eta.shape
    J = slopes(lambda theta: one.at(theta).raw_predictions(), one.theta)
    V, B = rng.standard_normal((one.n_params, 2)), rng.standard_normal((n, K, 2))
    close(one.jacobian_dot(V), J @ V)
    close(one.jacobian_dot(np.eye(one.n_params)), J)
    close(one.jacobian_t_dot(B), np.einsum("ikp,ikv->pv", J, B))
    close(one.jacobian_t_rows(B[:, :, 0]), np.einsum("ikp,ik->pi", J, B[:, :, 0]))
    close(
        one.jacobian_rows_dot(one.jacobian_t_rows(B[:, :, 0])),
        np.einsum("ikp,ilp,il->ik", J, J, B[:, :, 0]),
    )
    G = one.sample_weight[:, None, None] * one.output_hessians()
    GN = np.einsum("ikp,ikl,ilq->pq", J, G, J) + np.diag(one.l2)
    close(one.gauss_newton_blocks()[0], GN)
    assert np.linalg.norm(one.hessian_blocks()[0] - GN) > 1e-2 * np.linalg.norm(GN)
    factor = Cholesky().factorize(Curvature(one, damping=50.0))
    solved = np.linalg.inv(one.hessian_blocks()[0] + 50.0 * np.eye(one.n_params))
    expected = np.einsum("ikp,pq,ilq->ikl", J, solved, J)
    close(np.concatenate([Q for _, Q in quadratic_forms(one, factor)]), expected)


@predicting
def test_the_loss_of_raw_predictions_equals_finite_differences(name):
    one = NAMES[name]()
    loss, y, eta = one.loss, one.targets, one.raw_predictions()
    np.testing.assert_allclose(loss.value(y, eta), one.losses(), rtol=1e-14)
    for i in (0, 7):
        gradient = slopes(lambda e, i=i: loss.value(y[i : i + 1], e[None])[0], eta[i])
        close(loss.gradient(y, eta)[i], gradient)
        hessian = slopes(lambda e, i=i: loss.gradient(y[i : i + 1], e[None])[0], eta[i])
        close(loss.hessian(y, eta)[i], hessian)


@predicting
def test_one_target_meets_many_moved_predictions(name):
    one = NAMES[name]()
    loss, y, eta = one.loss, one.targets, one.raw_predictions()
    delta = 0.1 * RNG.standard_normal((N, 4, loss.n_outputs))
    change = loss.change(y[:, None], eta[:, None], delta)
    slope = loss.gradient(y[:, None], eta[:, None] + delta)
    assert change.shape == (N, 4) and slope.shape == delta.shape
    assert loss.hessian(y[:, None], eta[:, None] + delta).shape == (*delta.shape, loss.n_outputs)
    for j in range(4):
        moved = eta + delta[:, j]
        close(change[:, j], loss.value(y, moved) - loss.value(y, eta), 1e-13)
        close(slope[:, j], loss.gradient(y, moved), 1e-13)


@names
def test_input_gradients_equal_finite_differences(name):
    one, rng = NAMES[name](), np.random.default_rng(1)
    V = rng.standard_normal((one.n_params, 2))
    found = one.input_gradients_dot(V)
    assert found.shape == (one.n_samples, 2, P)
    y = None if name == "three classes" else one.y
    for j in range(P):
        step = 1e-6 * np.eye(P)[j]
        if y is None:
            labels = one.classes[one.y]
            up, down = one.on(one.X + step, labels), one.on(one.X - step, labels)
        else:
            up, down = one.on(one.X + step, y), one.on(one.X - step, y)
        close(found[:, :, j], (up.grads_dot(V) - down.grads_dot(V)) / 2e-6)


def no_input(theta, X, y):
    return 0.5 * (theta[0] - y) ** 2


def test_a_loss_without_features_or_curvature_has_derivatives():
    mean = AutogradObjective(no_input, [0.5], X=X.astype(int), y=Y)
    np.testing.assert_allclose(mean.input_gradients_dot(np.ones((1, 1))), 0.0)
    straight = AutogradObjective(lambda theta, X, y: X @ theta, THETA[:3], l2=2.0, X=X, y=Y)
    np.testing.assert_allclose(straight.hessian_blocks()[0], 2.0 * np.eye(3))
    absolute = AutogradLoss(lambda eta, y: anp.abs(eta - y), 1, flat=True)
    np.testing.assert_array_equal(absolute.hessian(Y, Y[:, None] + 1.0), np.zeros((N, 1, 1)))


@names
def test_rows_and_new_rows_are_those_of_the_whole(name):
    one = NAMES[name]()
    index = np.array([3, 1])
    part = one.rows(index)
    np.testing.assert_array_equal(part.losses(), one.losses()[index])
    np.testing.assert_array_equal(part.sample_weight, one.sample_weight[index])
    y = one.y[index] if one.classes is None else one.classes[one.y[index]]
    new = one.on(one.X[index], y)
    np.testing.assert_allclose(new.losses(), one.losses()[index], rtol=1e-14)
    np.testing.assert_array_equal(new.sample_weight, 1.0)
    moved = one.at(one.theta + 0.1)
    assert not np.allclose(moved.losses(), one.losses())
    np.testing.assert_array_equal(moved.rows(index).losses(), moved.losses()[index])
    doubled = one.with_weights(2.0 * one.sample_weight, Averaged.of_all(one.sample_weight))
    np.testing.assert_allclose(
        doubled.gradient() - one.l2 * one.theta, 2.0 * (one.gradient() - one.l2 * one.theta)
    )
    assert isinstance(doubled.weighting, Averaged) and isinstance(one.weighting, Fixed)


def test_new_rows_without_targets_have_predictions_only():
    one = NAMES["two outputs"]()
    np.testing.assert_array_equal(one.on(X).raw_predictions(), one.raw_predictions())
    with pytest.raises(ValueError, match="without their targets; pass y_test, or a target other"):
        one.on(X).losses()
    with pytest.raises(ValueError, match="without their targets; pass y_test"):
        NAMES["plain"]().on(X).losses()


@names
def test_pickles_and_copies(name):
    one = NAMES[name]()
    for again in (pickle.loads(pickle.dumps(one)), copy(one)):
        assert type(again) is type(one)
        np.testing.assert_array_equal(again.losses(), one.losses())
        np.testing.assert_array_equal(again.gradient(), one.gradient())


def test_predict_opens_what_raw_predictions_do():
    plain, output = NAMES["plain"](), NAMES["one output"]()
    for one in (plain, output):
        assert isinstance(one, AutogradObjective) and isinstance(one, Objective)
        assert (one.kind, one.default_curvature, one.convex) == ("own", "hessian", False)
    assert not isinstance(plain, OutputObjective) and isinstance(output, OutputObjective)
    assert NAMES["plain"](convex=True).convex
    assert list(inspect.signature(AutogradObjective).parameters)[:5] == [
        "loss",
        "theta",
        "l2",
        "predict",
        "X",
    ]


def test_a_trace_in_another_thread_changes_nothing():
    """Autograd numbers traces by one counter: unguarded, this derivative is 24 without a word."""
    begun, ends = Event(), Event()

    def elsewhere(x):
        begun.set()
        ends.wait(0.1)
        return anp.sin(x)

    def gradient(x):
        ends.set()
        thread.join(0.1)
        return pullback(lambda z: anp.sum(z**3) * x[0], x)(1.0)

    thread = Thread(target=lambda: pullback(elsewhere, np.ones(2)))
    thread.start()
    begun.wait()
    found = pullback(gradient, np.array([2.0, 3.0]))(np.array([1.0, 0.0]))
    np.testing.assert_allclose(found, [36.0, 0.0])  # d/dx of 3 z^2 x at z = x = 2
    thread.join()


# ------------------------------------------------------------------- the same as the built-in ones


class OwnLogistic(LogisticRegression):
    pass


class OwnRidge(Ridge):
    pass


def logistic_of(theta, X):
    return X @ theta[:-1] + theta[-1]


def logistic_loss(eta, codes):
    return anp.logaddexp(0.0, eta) - codes * eta


def squared_loss(theta, X, y):
    return 0.5 * (X @ theta[:-1] + theta[-1] - y) ** 2


@register_adapter(OwnLogistic)
def own_logistic(estimator, X, y, sample_weight):
    return AutogradObjective(
        logistic_loss,
        np.append(estimator.coef_, estimator.intercept_),
        l2=np.append(np.full(P, 1.0 / estimator.C), 0.0),
        predict=logistic_of,
        classes=estimator.classes_,
        convex=True,
    )  # unbound: over the rows and weights of the final step


@register_adapter(OwnRidge)
def own_ridge(estimator, X, y, sample_weight):
    return AutogradObjective(
        squared_loss,
        np.append(estimator.coef_, estimator.intercept_),
        l2=np.append(np.full(P, estimator.alpha), 0.0),
        convex=True,
        X=X,
        y=y,
        sample_weight=sample_weight,
    )


def test_an_own_logistic_regression_scores_as_the_built_in_one():
    y = np.where(X[:, 0] + 0.5 * Y > 0, "yes", "no")
    settings = {"C": 0.1, "tol": 1e-12, "solver": "newton-cholesky"}
    own = InfluenceClassifier(OwnLogistic(**settings)).fit(X, y, sample_weight=WEIGHTS)
    known = InfluenceClassifier(LogisticRegression(**settings)).fit(X, y, sample_weight=WEIGHTS)
    for target in ("loss", "decision_function"):
        for method in ("first_order", "newton", "exact"):
            scores = own.influence_scores(X[:6], y[:6], target=target, method=method)
            expected = known.influence_scores(X[:6], y[:6], target=target, method=method)
            close(scores, expected, 1e-6 if method == "exact" else 1e-9)
    close(
        own.self_influence(method="first_order").scores,
        known.self_influence(method="first_order").scores,
        1e-9,
    )
    with pytest.raises(
        ValueError, match=r"accepted|has the targets \('loss', 'decision_function'\)"
    ):
        own.influence_scores(X[:6], y[:6], target="predict_proba")
    with pytest.raises(ValueError, match="labels"):
        own.influence_scores(X[:2], ["yes", "perhaps"])


def test_an_own_ridge_scores_as_the_built_in_one():
    own = InfluenceRegressor(OwnRidge(alpha=0.6)).fit(X, Y, sample_weight=WEIGHTS)
    known = InfluenceRegressor(Ridge(alpha=0.6)).fit(X, Y, sample_weight=WEIGHTS)
    for method in ("first_order", "newton", "exact"):
        scores = own.influence_scores(X[:6], Y[:6], method=method)
        expected = known.influence_scores(X[:6], Y[:6], method=method)
        close(scores, expected, 1e-6 if method == "exact" else 1e-9)
    close(
        own.self_influence(method="first_order").scores,
        known.self_influence(method="first_order").scores,
        1e-9,
    )
    with pytest.raises(ValueError, match=r"this model has the targets \('loss',\)"):
        own.influence_scores(X[:6], Y[:6], target="predict")


class OwnPoisson(PoissonRegressor):
    pass


def poisson_loss(theta, X, y):
    eta = X @ theta[:-1] + theta[-1]
    return anp.exp(eta) - y * eta


@register_adapter(OwnPoisson)
def own_poisson(estimator, X, y, sample_weight):
    total = np.sum(sample_weight)
    return AutogradObjective(
        poisson_loss,
        np.append(estimator.coef_, estimator.intercept_),
        l2=np.append(np.full(P, estimator.alpha * total), 0.0),
        convex=True,
        X=X,
        y=y,
        sample_weight=sample_weight,
    ).with_weights(sample_weight, Averaged.of_all(sample_weight))


def test_a_penalised_mean_is_stated_by_its_weighting():
    y = np.random.default_rng(3).poisson(np.exp(0.5 * X[:, 0]))
    own = InfluenceRegressor(OwnPoisson(alpha=0.3, tol=1e-10)).fit(X, y, sample_weight=WEIGHTS)
    known = InfluenceRegressor(PoissonRegressor(alpha=0.3, tol=1e-10))
    known.fit(X, y, sample_weight=WEIGHTS)
    for method in ("first_order", "exact"):
        scores = own.influence_scores(X[:6], y[:6], method=method)
        expected = known.influence_scores(X[:6], y[:6], method=method)
        close(scores, expected, 1e-6 if method == "exact" else 1e-9)
    moved = own.parameter_influence(method="first_order").changes
    close(moved, known.parameter_influence(method="first_order").changes, 1e-9)


class Growth(RegressorMixin, BaseEstimator):
    """A gate times a line by least squares, as tight as rounding."""

    def fit(self, X, y):
        start = getattr(self, "start", THETA)
        fit = least_squares(lambda t: curve(t, X) - y, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
        self.theta_ = fit.x
        return self

    def predict(self, X):
        return curve(self.theta_, X)


class PlainGrowth(Growth):
    pass


def half_square(eta, y):
    return 0.5 * (eta - y) ** 2


def plain_half_square(theta, X, y):
    return half_square(curve(theta, X), y)


@register_adapter(Growth)
def of_growth(estimator, X, y, sample_weight):
    return AutogradObjective(half_square, estimator.theta_, predict=curve)


@register_adapter(PlainGrowth)
def of_plain_growth(estimator, X, y, sample_weight):
    return AutogradObjective(plain_half_square, estimator.theta_)


@pytest.mark.parametrize("kind", [Growth, PlainGrowth])
def test_exact_scores_of_a_curve_are_those_of_refits(kind):
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((40, P))
    y = curve(np.array([2.0, 0.8, -0.5, 0.6, 0.3]), rows) + 0.2 * rng.standard_normal(40)
    model = InfluenceRegressor(kind()).fit(rows, y)
    tests, y_tests = rows[:5] + 0.1, y[:5]
    fitted = model.estimator_
    before = plain_half_square(fitted.theta_, tests, y_tests)
    actual = []
    for i in range(40):
        refit = kind()
        refit.start = fitted.theta_
        refit.fit(np.delete(rows, i, axis=0), np.delete(y, i))
        actual.append(plain_half_square(refit.theta_, tests, y_tests) - before)
    actual = np.array(actual).T
    exact = model.influence_scores(tests, y_tests, method="exact")
    assert np.linalg.norm(exact - actual) < 1e-5 * np.linalg.norm(actual)
    newton = model.influence_scores(tests, y_tests, method="newton")
    assert np.linalg.norm(newton - actual) < 0.2 * np.linalg.norm(actual)


def survival(theta, X, y):
    """Exponential times, some of them censored."""
    eta = X @ theta
    return y["time"] * anp.exp(eta) - y["event"] * eta


def test_targets_may_have_named_fields():
    y = np.zeros(N, dtype=[("event", bool), ("time", float)])
    y["event"], y["time"] = Y > 0, np.abs(Y)
    one = AutogradObjective(survival, THETA[:3], X=X, y=y)
    close(one.gradient(), X.T @ (y["time"] * np.exp(X @ THETA[:3]) - y["event"]), 1e-12)


def test_an_own_multinomial_objective_equals_the_linear_one():
    labels, theta = np.array(["a", "b", "c"]), RNG.standard_normal(3 * P)

    def scores(theta, X):
        return X @ anp.reshape(theta, (3, P)).T

    own = AutogradObjective(
        softmax_loss, theta, l2=0.3, predict=scores, classes=labels, X=X, y=labels[CODES]
    )
    known = LinearObjective.from_coefficients(
        X, labels[CODES], Multinomial(labels), theta.reshape(3, P), None, l2=0.3
    )
    V = RNG.standard_normal((3 * P, 2))
    close(own.hvp(V), known.hvp(V), 1e-12)
    close(own.gauss_newton(V), known.gauss_newton(V), 1e-12)
    close(own.output_hessians(), known.output_hessians(), 1e-12)
    np.testing.assert_array_equal(
        own.loss.decide(own.raw_predictions()), known.loss.decide(known.raw_predictions())
    )
    assert Logistic(labels[:2]).n_outputs == 1


# ------------------------------------------------------------------------------------- bad input


def test_an_unbound_objective_waits_for_its_rows():
    whole = NAMES["one output"]()
    one = AutogradObjective(log_cosh, THETA, predict=curve, l2=0.3)
    assert one.unbound and not whole.unbound and one.n_params == 5
    bound = one.bind(X, Y, WEIGHTS)
    assert one.unbound and not bound.unbound
    np.testing.assert_array_equal(bound.gradient(), whole.gradient())
    np.testing.assert_array_equal(one.bind(X, Y).sample_weight, 1.0)
    V = np.ones((5, 1))
    for call in (
        lambda o: o.losses(),
        lambda o: o.n_samples,
        lambda o: o.value(),
        lambda o: o.gradient(),
        lambda o: o.hvp(V),
        lambda o: o.grads_dot(V),
        lambda o: o.weighted_grad_sum(V),
        lambda o: o.input_gradients_dot(V),
        lambda o: o.at(THETA),
        lambda o: o.on(X),
        lambda o: o.rows(slice(0, 2)),
        lambda o: o.raw_predictions(),
        lambda o: o.jacobian_dot(V),
        lambda o: o.loss,
    ):
        with pytest.raises(ValueError, match=r"was made without rows.* Pass X=X and y=y"):
            call(pickle.loads(pickle.dumps(one)))
    with pytest.raises(AttributeError, match="no attribute 'anything'"):
        one.anything  # noqa: B018
    with pytest.raises(ValueError, match=r"without X; all of them or none are accepted. Pass"):
        AutogradObjective(curve_loss, THETA, y=Y)
    with pytest.raises(ValueError, match=r"X was given without y; .* Pass y=y"):
        AutogradObjective(curve_loss, THETA, X=X)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"theta": THETA[None]}, ValueError, r"theta of shape \(1, 5\).*accepted. Concatenate"),
        ({"theta": 1.0}, ValueError, r"theta of shape \(\).*shape \(n_params,\) are accepted"),
        ({"theta": []}, ValueError, r"theta of shape \(0,\).*accepted. Concatenate"),
        ({"theta": THETA + 1j}, ValueError, r"dtype complex128 was given; real numbers"),
        ({"theta": list("abcde")}, ValueError, r"dtype <U1 was given; real numbers"),
        (
            {"theta": [0.0, 1.0, np.nan, 1.0, 1.0]},
            ValueError,
            r"theta\[2\] is nan; finite parameters are accepted",
        ),
        ({"l2": [1.0, 2.0]}, ValueError, r"l2 of shape \(2,\).*5 parameters.*Give 0"),
        ({"l2": -1.0}, ValueError, r"l2=-1.0 was given; finite numbers >= 0 are accepted"),
        ({"l2": np.inf}, ValueError, r"l2=inf was given; finite numbers >= 0 are accepted"),
        ({"X": X[:-1]}, ValueError, r"X has 22 rows, y has shape \(23,\).*Pass those"),
        ({"sample_weight": [1.0]}, ValueError, r"sample_weight \(1,\); as many rows"),
        ({"y": np.where(Y > 1, np.nan, Y)}, ValueError, "NaN or infinity.*Drop or"),
        ({"X": sparse.csr_array(X)}, TypeError, r"sparse X of shape.*Pass X.toarray\(\)"),
    ],
)
def test_wrong_parameters_and_rows_are_refused(changes, error, message):
    given = {"theta": THETA, "X": X, "y": Y, **changes}
    with pytest.raises(error, match=message):
        AutogradObjective(curve_loss, **given)


@primitive
def _hidden(x):
    return x**2


@primitive
def _cube(x):
    return x**3


defvjp(_cube, lambda ans, x: lambda g: g * _hidden(x))


def assigned(theta, X, y):
    out = np.zeros(len(X))
    out[:] = curve_loss(theta, X, y)
    return out


def twice_hidden(theta, X, y):
    return _cube(X @ theta[:3])


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (
            lambda t, X, y: anp.sum(curve_loss(t, X, y)),
            ValueError,
            r"loss\(theta, X, y\) returned a scalar for 23 rows; .*shape \(23,\), is accepted. Sum",
        ),
        (
            lambda t, X, y: curve_loss(t, X, y)[:, None],
            ValueError,
            r"returned shape \(23, 1\) for 23 rows; .*shape \(23,\), is accepted",
        ),
        (
            lambda t, X, y: 0.5 * (curve(t, X)[:, None] - y) ** 2,
            ValueError,
            r"returned shape \(23, 23\) for 23 rows.*broadcast to \(n, n\)",
        ),
        (assigned, TypeError, r"cannot take the first derivative .*autograd.numpy.*Import numpy"),
        (
            lambda t, X, y: float(t[0]) * X[:, 0],
            TypeError,
            r"cannot take the first derivative .*keep theta out of float\(\)",
        ),
        (
            lambda t, X, y: _hidden(X @ t[:3]),
            TypeError,
            r"cannot take the first derivative .*accepted. Import numpy from autograd",
        ),
        (lambda t, X, y: y**2, ValueError, "does not depend on theta as far as autograd can see"),
        (
            lambda t, X, y: 1.0 * (X @ t[:3] > 0),
            ValueError,
            "does not depend on theta.*accepted. Look for a theta that is not used, is rounded",
        ),
        (twice_hidden, TypeError, "cannot take the second derivative"),
        (
            lambda t, X, y: (X - anp.mean(X, axis=0)) @ t[:3],
            ValueError,
            "alone differ from their losses among all rows.*Compute means",
        ),
        (
            lambda t, X, y: curve_loss(t, X, y) + np.where(Y[0] == y, np.inf, 0.0),
            ValueError,
            "The loss is inf at row 0 .*finite losses are accepted",
        ),
        (
            lambda t, X, y: anp.sqrt(anp.abs(t[0] * X[:, 0] + t[1] - t[1] - t[0] * X[:, 0])),
            ValueError,
            r"gradient of the loss is nan at theta\[0\]; finite derivatives are accepted",
        ),
    ],
)
def test_wrong_losses_are_refused(loss, error, message):
    with np.errstate(all="ignore"), pytest.raises(error, match=message):
        AutogradObjective(loss, THETA, X=X, y=Y)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (
            lambda t, X: anp.sum(curve(t, X)),
            r"returned a scalar for 23 rows; .*\(23, K\) or \(23,\)",
        ),
        (
            lambda t, X: curve(t, X)[:5],
            r"returned shape \(5,\) for 23 rows.*Return one row of them",
        ),
        (lambda t, X: curve(t, X)[:, None, None], r"returned shape \(23, 1, 1\) for 23 rows"),
    ],
)
def test_wrong_predictions_are_refused(predict, message):
    with pytest.raises(ValueError, match=r"predict\(theta, X\) " + message):
        AutogradObjective(log_cosh, THETA, predict=predict, X=X, y=Y)


def test_wrong_losses_of_predictions_are_refused():
    def column(theta, X):
        return curve(theta, X)[:, None]

    with pytest.raises(ValueError, match=r"loss\(eta, y\) returned shape \(23, 23\) for 23 rows"):
        AutogradObjective(log_cosh, THETA, predict=column, X=X, y=Y)


def test_targets_of_another_form_are_refused():
    with pytest.raises(ValueError, match=r"shape \(23,\) were given; .*\(n_samples, 2\)"):
        NAMES["two outputs"]().on(X, Y)
    with pytest.raises(ValueError, match=r"shape \(23, 2\) were given; .*shape \(n_samples,\)"):
        NAMES["one output"]().on(X, Y2)
    with pytest.raises(ValueError, match=r"labels \['d'\] were never seen"):
        NAMES["three classes"]().on(X[:1], ["d"])


def test_functions_of_other_arguments_are_refused():
    def of_parameters(theta, X, y):
        return (X[:, 0] * theta[0] - y) ** 2

    def of_predictions(eta, y):
        return (eta[:, 0] - y) ** 2

    X, y = np.ones((3, 1)), np.arange(3.0)
    with pytest.raises(TypeError, match=r"called as loss\(theta, X, y\) .*beside predict\(theta"):
        AutogradObjective(of_predictions, [1.0], X=X, y=y)
    with pytest.raises(TypeError, match=r"called as loss\(eta, y\) .*X and y is given alone"):
        AutogradObjective(of_parameters, [1.0], predict=lambda theta, X: X * theta, X=X, y=y)
    with pytest.raises(TypeError, match=r"called as predict\(theta, X\)"):
        AutogradObjective(of_predictions, [1.0], predict=lambda X: X, X=X, y=y)
