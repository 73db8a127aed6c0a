"""Losses against autograd, finite differences and arithmetic in higher precision."""

from decimal import Decimal, localcontext

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from skinfluence.losses import HalfSquaredError, Logistic, Multinomial, encode_labels

TWO, THREE = np.array(["a", "b"]), np.array(["a", "b", "c"])

# A second writing of each loss for one row, differentiated by autograd.
LOSSES = {
    "squared": (HalfSquaredError(2), lambda y, eta: 0.5 * anp.sum((eta - y) ** 2)),
    "squared-classes": (HalfSquaredError(1, TWO), lambda y, eta: 0.5 * anp.sum((eta - y) ** 2)),
    "logistic": (
        Logistic(TWO),
        lambda y, eta: anp.sum(anp.logaddexp(0.0, eta) - y * eta),
    ),
    "one-vs-rest": (
        Logistic(THREE),
        lambda y, eta: anp.sum(anp.logaddexp(0.0, eta) - y * eta),
    ),
    "multinomial": (
        Multinomial(THREE),
        lambda y, eta: anp.log(anp.sum(anp.exp(eta))) - eta[int(y)],
    ),
}
losses = pytest.mark.parametrize("name", LOSSES)


def rows(name, n=7, scale=2.0, seed=0):
    loss, _ = LOSSES[name]
    rng = np.random.default_rng(seed)
    if loss.classes is None:
        y = loss.encode(rng.standard_normal((n, loss.n_outputs)))
    else:
        y = loss.encode(rng.choice(loss.classes, n))
    return y, scale * rng.standard_normal((n, loss.n_outputs))


@losses
def test_derivatives_equal_autograd(name):
    loss, twin = LOSSES[name]
    y, eta = rows(name)
    for i in range(len(eta)):
        np.testing.assert_allclose(loss.value(y, eta)[i], twin(y[i], eta[i]), rtol=1e-12)
        gradient = autograd.grad(lambda e, i=i: twin(y[i], e))(eta[i])
        np.testing.assert_allclose(loss.gradient(y, eta)[i], gradient, rtol=1e-10, atol=1e-14)
        hessian = autograd.hessian(lambda e, i=i: twin(y[i], e))(eta[i])
        mine = loss.hessian(y, eta)[i]
        mine = np.diag(mine) if loss.separable else mine
        np.testing.assert_allclose(mine, hessian, rtol=1e-10, atol=1e-14)


@losses
def test_hessian_products_equal_the_hessian(name):
    loss, _ = LOSSES[name]
    y, eta = rows(name)
    v = np.random.default_rng(1).standard_normal((len(eta), 4, loss.n_outputs))
    G = loss.hessian(y, eta)
    G = np.einsum("ik,kl->ikl", G, np.eye(loss.n_outputs)) if loss.separable else G
    product = loss.hessian_product(y[:, None], eta[:, None])
    np.testing.assert_allclose(product(v), np.einsum("ikl,iml->imk", G, v), atol=1e-14)
    if not loss.separable:
        entry = loss.hessian_entries(y, eta)
        for k in range(loss.n_outputs):
            for m in range(loss.n_outputs):
                np.testing.assert_allclose(entry(k, m), G[:, k, m], rtol=1e-12)


@losses
def test_derivatives_equal_finite_differences(name):
    loss, _ = LOSSES[name]
    y, eta = rows(name)
    h = 1e-5
    for k in range(loss.n_outputs):
        e = h * np.eye(loss.n_outputs)[k]
        first = (loss.value(y, eta + e) - loss.value(y, eta - e)) / (2 * h)
        np.testing.assert_allclose(loss.gradient(y, eta)[:, k], first, rtol=1e-7, atol=1e-9)
        second = (loss.gradient(y, eta + e) - loss.gradient(y, eta - e)) / (2 * h)
        G = loss.hessian(y, eta)
        column = G[:, k] if loss.separable else G[:, :, k]
        column = column[:, None] * np.eye(loss.n_outputs)[k] if loss.separable else column
        np.testing.assert_allclose(column, second, rtol=1e-7, atol=1e-9)


@losses
@pytest.mark.parametrize("size", [1e-9, 1e-3, 0.9, 3.0, 40.0])
def test_change_is_the_difference_of_values_without_cancellation(name, size):
    loss, _ = LOSSES[name]
    y, eta = rows(name)
    delta = size * np.random.default_rng(1).standard_normal((len(eta), 5, loss.n_outputs))
    change = loss.change(y[:, None], eta[:, None], delta)
    # The integral of the gradient along delta, by Gauss-Legendre: nothing is subtracted.
    nodes, weights = np.polynomial.legendre.leggauss(400)
    t = 0.5 * (nodes + 1.0)
    path = eta[:, None, None] + t[:, None] * delta[:, :, None]
    slopes = np.sum(loss.gradient(y[:, None, None], path) * delta[:, :, None], axis=-1)
    expected = slopes @ weights / 2
    tolerance = 1e-11 if size < 3 else 1e-6
    np.testing.assert_allclose(change, expected, rtol=tolerance, atol=tolerance * size)


@losses
def test_changes_that_overflow_stay_finite(name):
    loss, _ = LOSSES[name]
    y, eta = rows(name)
    delta = np.full((len(eta), 1, loss.n_outputs), 900.0)
    delta[..., 0] = -900.0
    assert np.all(np.isfinite(loss.change(y[:, None], eta[:, None], delta)))


def gradient_change(name, eta, delta):
    """Return the change, which must not overflow, for every label; and the labels."""
    loss, _ = LOSSES[name]
    if loss.classes is None:
        y = loss.encode(np.linspace(-1.0, 1.0, eta.size).reshape(eta.shape))
    else:
        y = loss.encode(loss.classes[np.arange(len(eta)) % len(loss.classes)])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        return loss.gradient_change(y[:, None], eta[:, None])(delta), y


SIZES = [-1e3, -60.0, -3.0, -0.4, 0.0, 0.4, 3.0, 60.0, 1e3]


@losses
@pytest.mark.parametrize("start", [-50.0, -3.0, 0.0, 3.0, 50.0, 300.0])
def test_gradient_change_is_the_difference_of_gradients(name, start):
    loss, _ = LOSSES[name]
    rng = np.random.default_rng(0)
    eta = start * rng.choice([-1.0, 1.0], (6, loss.n_outputs))
    eta[0] = start
    delta = rng.choice(SIZES, (6, 40, loss.n_outputs))
    delta[:, : len(SIZES), 0] = SIZES
    given = delta.copy()
    change, y = gradient_change(name, eta, delta)
    after = loss.gradient(y[:, None], eta[:, None] + delta)
    expected = after - loss.gradient(y[:, None], eta[:, None])
    np.testing.assert_allclose(change, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(delta, given)  # not overwritten


@losses
@pytest.mark.parametrize("size", [1e-7, 1e-10, 1e-14])
def test_gradient_change_of_nearly_nothing_is_the_hessian_times_it(name, size):
    loss, _ = LOSSES[name]
    _, eta = rows(name)
    delta = size * np.random.default_rng(1).standard_normal((len(eta), 5, loss.n_outputs))
    change, y = gradient_change(name, eta, delta)
    expected = loss.hessian_product(y[:, None], eta[:, None])(delta)
    np.testing.assert_allclose(change, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("eta", [-40.0, -5.0, 5.0, 40.0])
@pytest.mark.parametrize("delta", [-3.0, -1e-9, 1e-9, 3.0])
def test_gradient_change_of_a_confident_row_does_not_cancel(eta, delta):
    """expit(eta + delta) - expit(eta), in numbers of 60 digits."""
    with localcontext(prec=60):
        before, after = (
            1 / (1 + (-Decimal(e)).exp()) for e in (eta, Decimal(eta) + Decimal(delta))
        )
        expected = float(after - before)
    for label in (0, 1):
        loss = Logistic(TWO)
        y = loss.encode([TWO[label]])
        change = loss.gradient_change(y, np.array([[eta]]))(np.array([[delta]]))
        assert change.item() == pytest.approx(expected, rel=1e-12, abs=0.0)


@losses
@pytest.mark.parametrize("start", [-50.0, -3.0, 0.0, 3.0, 50.0])
def test_gradient_change_of_single_precision(name, start):
    loss, _ = LOSSES[name]
    eta = np.full((6, loss.n_outputs), start)
    eta[1::2, 0] = 0.0
    delta = np.random.default_rng(0).choice(SIZES, (6, 40, loss.n_outputs)).astype(np.float32)
    change, y = gradient_change(name, eta, delta)
    after = loss.gradient(y[:, None], eta[:, None] + delta.astype(float))
    expected = after - loss.gradient(y[:, None], eta[:, None])
    np.testing.assert_allclose(change, expected, rtol=1e-5, atol=1e-6)
    tiny = (1e-7 * delta).astype(np.float32)
    change, y = gradient_change(name, eta, tiny)
    expected = loss.hessian_product(y[:, None], eta[:, None])(tiny.astype(float))
    near = np.broadcast_to(np.abs(tiny).max(axis=-1, keepdims=True) < 1e-5, change.shape)
    atol = 1e-5 * np.abs(expected[near]).max()
    np.testing.assert_allclose(change[near], expected[near], rtol=2e-5, atol=atol)


@pytest.mark.parametrize(
    "eta, delta, dtype",
    [
        (-600.0, 1000.0, float),
        (600.0, -1000.0, float),
        (-800.0, 850.0, float),
        (700.0, -710.0, float),
        (-90.0, 100.0, np.float32),
        (100.0, -110.0, np.float32),
    ],
)
def test_gradient_change_from_beyond_the_smallest_probability(eta, delta, dtype):
    loss = Logistic(TWO)
    y, before, moved = np.zeros((1, 1)), np.array([[eta]]), np.array([[delta]], dtype=dtype)
    expected = loss.gradient(y, before + delta) - loss.gradient(y, before)
    np.testing.assert_allclose(loss.gradient_change(y, before)(moved), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["logistic", "one-vs-rest", "multinomial"])
def test_response_sums_to_one_and_its_gradient_equals_finite_differences(name):
    loss, _ = LOSSES[name]
    _, eta = rows(name)
    np.testing.assert_allclose(loss.response(eta).sum(axis=-1), 1.0, rtol=1e-12)
    h = 1e-6
    for c in range(len(loss.classes)):
        index = np.full(len(eta), c)
        for k in range(loss.n_outputs):
            e = h * np.eye(loss.n_outputs)[k]
            slope = (loss.response(eta + e)[:, c] - loss.response(eta - e)[:, c]) / (2 * h)
            mine = loss.response_gradient(eta, index)[:, k]
            np.testing.assert_allclose(mine, slope, rtol=1e-6, atol=1e-9)


def test_recession_is_a_margin_of_every_output():
    binary = Logistic(TWO)
    y = binary.encode(["a", "b", "b"])
    assert binary.recedes(y, np.array([[-1.0], [2.0], [-3.0]])).tolist() == [True, True, False]
    three = Multinomial(THREE)
    eta = np.array([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert three.recedes(three.encode(["a", "b", "a"]), eta).tolist() == [True, False, False]


def test_unseen_labels_and_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"\['z'\] were never seen in training; the model knows"):
        encode_labels(["a", "z"], TWO)
    with pytest.raises(ValueError, match="Multi-label targets are not supported"):
        encode_labels(np.eye(2), TWO)
    with pytest.raises(ValueError, match=r"shape \(n_samples, 2\) is accepted"):
        HalfSquaredError(2).encode(np.ones(3))
    with pytest.raises(ValueError, match="finite numbers are accepted"):
        HalfSquaredError(1).encode([1.0, np.nan])
