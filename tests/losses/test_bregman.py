"""The Bregman divergence of raw predictions, under every convex loss of the table."""

import autograd
import numpy as np
import pytest

from skinfluence.losses import (
    Bregman,
    HalfSquaredError,
    Joint,
    Logistic,
    Multinomial,
    OneVsRest,
    Tweedie,
)
from skinfluence.losses.base import PROMISES
from tests.losses.cases import CASES, PAIR

STRICT = ("squared", "logistic", "one-vs-rest", "multilabel", "poisson", "gamma")
names = pytest.mark.parametrize("name", [*STRICT, "multinomial", "huber", "joint-regression"])
NETWORK_LOSSES = {
    "squared": HalfSquaredError(2),
    "binary": Logistic(np.arange(2)),
    "classes": Multinomial(np.arange(3)),
    "labels": OneVsRest(Logistic(PAIR), np.arange(3), multilabel=True),
    "counts": Tweedie(1.0),
    "two counts": Joint((Tweedie(1.0), Tweedie(1.0))),
}


def held(name):
    """Return the divergence, its targets, those of the loss, eta_0 and other raw predictions."""
    case = CASES[name]
    y, eta = case.rows()
    loss = Bregman(case.loss)
    other = eta + np.random.default_rng(3).standard_normal(eta.shape)
    return loss, loss.at(y, eta), y, eta, other


def dense(loss, G):
    return G[..., :, None] * np.eye(loss.n_outputs) if loss.separable else G


@names
def test_it_is_the_divergence_but_for_a_constant(name):
    """l(eta) - l(eta_0) - l'(eta_0)' (eta - eta_0), by the twin of the loss."""
    loss, z, y, eta, other = held(name)
    twin = CASES[name].twin
    found = loss.value(z, other) - loss.value(z, eta)
    for i in range(len(eta)):
        slope = autograd.grad(lambda e, i=i: twin(y[i], e))(eta[i])
        expected = twin(y[i], other[i]) - twin(y[i], eta[i]) - slope @ (other[i] - eta[i])
        assert found[i] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert np.all(found >= -1e-12)


@names
def test_the_least_value_is_where_it_was_made(name):
    loss, z, _, eta, _ = held(name)
    np.testing.assert_allclose(loss.gradient(z, eta), 0.0, atol=1e-14)
    for size in (1e-3, 0.1, 1.0, 10.0):
        moved = eta + size * np.random.default_rng(4).standard_normal((20, *eta.shape))
        change = loss.value(np.repeat(z[None], 20, axis=0), moved) - loss.value(z, eta)
        assert np.all(change >= -1e-12)
    if name in STRICT:
        assert np.all(loss.value(z, eta + 1.0) > loss.value(z, eta) + 1e-6)


@names
def test_derivatives_are_finite_differences(name, h=1e-5):
    loss, z, _, eta, other = held(name)
    other = eta + 0.3 * (other - eta)
    G = dense(loss, loss.hessian(z, other))
    for k in range(loss.n_outputs):
        e = h * np.eye(loss.n_outputs)[k]
        first = (loss.value(z, other + e) - loss.value(z, other - e)) / (2 * h)
        np.testing.assert_allclose(loss.gradient(z, other)[:, k], first, rtol=1e-6, atol=1e-8)
        second = (loss.gradient(z, other + e) - loss.gradient(z, other - e)) / (2 * h)
        np.testing.assert_allclose(G[:, :, k], second, rtol=1e-6, atol=1e-7)


@names
def test_products_with_the_hessian(name):
    loss, z, _, _, other = held(name)
    v = np.random.default_rng(1).standard_normal((len(other), 4, loss.n_outputs))
    product = loss.hessian_product(z[:, None], other[:, None])
    expected = np.einsum("ikl,iml->imk", dense(loss, loss.hessian(z, other)), v)
    np.testing.assert_allclose(product(v), expected, rtol=1e-12, atol=1e-13)


@names
def test_shapes_and_leading_axes(name):
    loss, z, _, eta, other = held(name)
    assert z.shape == (7, loss.target_width)
    assert loss.value(z, eta).shape == (7,)
    stack = np.stack([eta, other])
    for method in ("value", "gradient", "hessian"):
        found = getattr(loss, method)(z, stack)
        each = np.stack([getattr(loss, method)(z, one) for one in stack])
        np.testing.assert_allclose(found, each, rtol=1e-13)
    inner = CASES[name].loss
    for flag in ("n_outputs", "separable", "curvature_scale", *PROMISES):
        assert getattr(loss, flag) == getattr(inner, flag)
    assert loss.shift_groups() == inner.shift_groups()


@pytest.mark.parametrize("name", NETWORK_LOSSES)
def test_every_loss_of_a_network_can_be_held(name):
    inner = NETWORK_LOSSES[name]
    rng = np.random.default_rng(0)
    labels = {"binary": np.arange(9) % 2, "classes": np.arange(9) % 3}
    y = labels.get(name, rng.poisson(1.0, (9, inner.n_outputs)))
    y = y % 2 if name == "labels" else y
    loss, eta = Bregman(inner), rng.standard_normal((9, inner.n_outputs))
    z = loss.at(inner.encode(y), eta)
    np.testing.assert_allclose(loss.gradient(z, eta), 0.0, atol=1e-14)
    moved = loss.gradient(z, eta + 0.1) - inner.gradient(inner.encode(y), eta + 0.1)
    np.testing.assert_allclose(moved, -inner.gradient(inner.encode(y), eta), atol=1e-14)


def test_labels_are_no_targets_of_it():
    with pytest.raises(TypeError, match=r"given labels, but its targets are made by Bregman\.at"):
        Bregman(Logistic(np.arange(2))).encode([0, 1])
