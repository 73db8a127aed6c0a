"""Derivatives of row gradients in the features of the rows: every loss against autograd."""

from dataclasses import replace

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from scipy import sparse

from skinfluence.objectives import LinearObjective
from skinfluence.objectives.input_gradients import check_input_gradients
from tests.losses.cases import CASES, losses

N, P = 9, 4


def objective(name, intercept=True, seed=0, l1=0.0):
    """Return rows at random parameters, where the loss is finite."""
    case, rng = CASES[name], np.random.default_rng(seed)
    X = rng.standard_normal((N, P)) * np.linspace(0.5, 2.0, P)
    W, b = rng.standard_normal((2, case.loss.n_outputs, P))
    b = b[:, 0] if intercept else None
    for k in case.positive:
        W[k] *= 0.1
        if intercept:
            b[k] = 2.0
    y = case.draw(rng, N)
    s = rng.uniform(0.5, 2.0, N)
    return LinearObjective.from_coefficients(X, y, case.loss, W, b, l2=0.7, l1=l1, sample_weight=s)


def directions(one, k=3):
    return np.random.default_rng(1).standard_normal((one.n_params, k))


def by_autograd(name, one, V):
    """Return d(grad l_i . V_j)/dx_i by differentiating the twin of the loss twice."""
    twin, K, p = CASES[name].twin, one.loss.n_outputs, one.X.shape[1]

    def loss(theta, x, y):
        W = anp.reshape(theta, (K, -1))
        eta = anp.dot(W[:, :p], x)
        return twin(y, eta + W[:, p] if one.fit_intercept else eta)

    X = np.asarray(one.X, dtype=float)
    slope = autograd.grad(loss)
    out = np.empty((len(X), V.shape[1], p))
    for i, x in enumerate(X):
        for j, v in enumerate(V.T):
            dot = lambda x, i=i, v=v: anp.dot(slope(one.theta, x, one.y[i]), v)  # noqa: E731
            out[i, j] = autograd.grad(dot)(x)
    return out


@losses
@pytest.mark.parametrize("intercept", [True, False])
def test_equals_autograd(name, intercept):
    if CASES[name].positive and not intercept:
        pytest.skip("its raw predictions have to be positive")
    one = objective(name, intercept)
    V = directions(one)
    expected = by_autograd(name, one, V)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(one.input_gradients_dot(V), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["logistic", "multinomial", "squared"])
def test_weights_of_rows_do_not_enter_and_rows_are_alone(name):
    one = objective(name)
    V = directions(one)
    whole = one.input_gradients_dot(V)
    np.testing.assert_array_equal(one.with_weights(np.zeros(N)).input_gradients_dot(V), whole)
    some = np.array([7, 2])
    np.testing.assert_allclose(one.rows(some).input_gradients_dot(V), whole[some], rtol=1e-12)


@pytest.mark.parametrize("name", ["logistic", "multinomial", "squared"])
def test_sparse_and_single_rows(name):
    one = objective(name)
    V = directions(one)
    expected = one.input_gradients_dot(V)
    thin = replace(one, X=sparse.csr_matrix(one.X)).input_gradients_dot(V)
    assert isinstance(thin, np.ndarray)
    np.testing.assert_allclose(thin, expected, rtol=1e-12, atol=1e-14)
    single = replace(one, X=one.X.astype(np.float32)).input_gradients_dot(V)
    assert single.dtype == np.float64
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-5)


def test_parameters_that_are_fixed():
    one = objective("concomitant")
    theta = one.theta.reshape(2, P + 1).copy()
    theta[1, :P] = 0.0  # the scale of the noise does not depend on the features
    free = np.flatnonzero(np.array([1] * (P + 1) + [0] * P + [1]))
    spread = one.at(theta.ravel())
    V = directions(spread)
    V[np.setdiff1d(np.arange(len(V)), free)] = 0.0
    expected = by_autograd("concomitant", spread, V)
    np.testing.assert_allclose(spread.with_free(free).input_gradients_dot(V[free]), expected)


@pytest.mark.parametrize("name", ["logistic", "multinomial", "squared"])
def test_off_the_support_the_derivative_is_zero(name):
    one = objective(name, l1=0.3)
    theta = one.theta.reshape(-1, P + 1).copy()
    theta[:, [0, 2]] = 0.0
    one = one.at(theta.ravel())
    small = one.on_support()
    V = np.zeros((one.n_params, 2))
    V[small.support] = directions(small, 2)
    found = one.input_gradients_dot(V)
    assert np.all(found[:, :, [0, 2]] == 0.0)
    expected = small.input_gradients_dot(V[small.support])
    np.testing.assert_allclose(found[:, :, [1, 3]], expected, rtol=1e-12)


def test_objectives_without_it_are_named():
    class Bare:
        pass

    one = objective("logistic")
    check_input_gradients(one, "LogisticRegression")
    with pytest.raises(
        ValueError, match=r"asked of Theirs, whose Bare has no.*input_gradients_dot"
    ):
        check_input_gradients(Bare(), "Theirs")
