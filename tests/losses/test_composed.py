"""Joint losses against the sum of their parts; transformed targets against transforming by hand."""

import numpy as np
import pytest

from skinfluence.losses import (
    ConcomitantHuber,
    HalfSquaredError,
    Huber,
    Joint,
    Logistic,
    Multinomial,
    OneVsOne,
    SmoothHinge,
    SquaredEpsilonInsensitive,
    TransformedTarget,
    Tweedie,
)
from tests.losses.cases import PAIR, THREE, TWO

MIXED = (Multinomial(THREE), ConcomitantHuber(1.35), Logistic(np.array([0, 1])), Tweedie(1))


def targets(n=8):
    rng = np.random.default_rng(0)
    y = np.empty((n, 4), dtype=object)
    y[:, 0] = THREE[np.arange(n) % 3]
    y[:, 1] = rng.standard_normal(n)
    y[:, 2] = (np.arange(n) % 2).tolist()
    y[:, 3] = rng.poisson(1.0, n).tolist()
    return y


def test_joint_is_the_sum_of_its_parts():
    loss, raw = Joint(MIXED), targets()
    y, rng = loss.encode(raw), np.random.default_rng(1)
    assert (loss.n_outputs, loss.target_width, loss.separable) == (7, 4, False)
    eta, delta = rng.standard_normal((2, 8, 7))
    eta[:, 4] = np.abs(eta[:, 4]) + 1.0
    delta[:, 4] = np.abs(delta[:, 4])
    starts, total, change = [0, 3, 5, 6, 7], 0.0, 0.0
    G = loss.hessian(y, eta)
    filled = np.zeros_like(G, dtype=bool)
    for j, part in enumerate(MIXED):
        at = slice(starts[j], starts[j + 1])
        own = part.encode(np.array(raw[:, j].tolist()))
        total = total + part.value(own, eta[:, at])
        change = change + part.change(own, eta[:, at], delta[:, at])
        np.testing.assert_array_equal(loss.gradient(y, eta)[:, at], part.gradient(own, eta[:, at]))
        block = part.hessian(own, eta[:, at])
        block = block[..., None] if part.separable else block
        np.testing.assert_array_equal(G[:, at, at], block)
        filled[:, at, at] = True
        moved = part.gradient_change(own, eta[:, at])(delta[:, at])
        np.testing.assert_array_equal(loss.gradient_change(y, eta)(delta)[:, at], moved)
    np.testing.assert_allclose(loss.value(y, eta), total, rtol=1e-14)
    np.testing.assert_allclose(loss.change(y, eta, delta), change, rtol=1e-13)
    assert np.all(G[~filled] == 0.0)


def test_flags_of_a_joint_loss_are_those_of_all_parts():
    loss = Joint(MIXED)
    assert loss.targets is None and loss.multilabel and loss.shift_groups() == [slice(0, 3)]
    assert loss.convex and not loss.shift_invariant
    assert not loss.constant_hessian and loss.curvature_scale is None
    assert loss.temperature is None
    same = Joint((HalfSquaredError(), HalfSquaredError(1, TWO)))
    assert same.constant_hessian and same.identical_outputs and same.curvature_scale == np.inf
    assert same.targets is None and same.multilabel
    other = Joint((HalfSquaredError(), SquaredEpsilonInsensitive(0.0)))  # curvatures 1 and 2
    assert other.constant_hessian and not other.identical_outputs and not other.multilabel
    pairs = OneVsOne(HalfSquaredError(1, PAIR), THREE)
    assert not Joint((HalfSquaredError(), pairs)).identical_outputs
    assert Joint((Logistic(TWO), pairs)).targets == ("loss",)


def test_a_temperature_reaches_the_parts_that_have_one():
    loss = Joint((Logistic(TWO), SmoothHinge(TWO, 0.1), OneVsOne(SmoothHinge(PAIR, 0.2), THREE)))
    assert loss.temperature == loss.curvature_scale == 0.1
    moved = loss.at_temperature(0.3)
    assert [part.temperature for part in moved.parts] == [None, 0.3, 0.3]
    with pytest.raises(TypeError, match="A temperature was given for Joint"):
        Joint((Logistic(TWO),)).at_temperature(0.3)


def test_responses_of_regressors_are_concatenated():
    loss = Joint((Tweedie(1), ConcomitantHuber(1.35), HalfSquaredError()))
    eta = np.array([[0.5, 1.0, 2.0, 3.0], [-0.5, 2.0, 1.0, 4.0]])
    assert loss.n_responses == 3
    expected = np.column_stack([np.exp(eta[:, 0]), eta[:, 1], eta[:, 3]])
    np.testing.assert_allclose(loss.response(eta), expected, rtol=1e-14)
    for c in range(3):
        index = np.full(2, c)
        for k in range(4):
            e = 1e-6 * np.eye(4)[k]
            slope = (loss.response(eta + e) - loss.response(eta - e))[:, c] / 2e-6
            mine = loss.response_gradient(eta, index)[:, k]
            np.testing.assert_allclose(mine, slope, rtol=1e-8, atol=1e-10)


def test_a_joint_loss_recedes_with_all_its_parts():
    loss = Joint((Logistic(TWO), Multinomial(TWO)))
    y = loss.encode(np.array([["a", "a"], ["a", "b"]]))
    eta = np.array([[-1.0, 1.0, 0.0], [-1.0, 1.0, 0.0]])
    assert loss.is_separated(y, eta).tolist() == [True, False]


def test_wrong_targets_of_a_joint_loss_are_named():
    loss = Joint((Logistic(TWO), Huber(1.0)))
    with pytest.raises(ValueError, match=r"\(4,\) were given; the model has 2 targets, so shape"):
        loss.encode(np.ones(4))
    with pytest.raises(ValueError, match=r"\['zz'\] were never seen in training"):
        loss.encode(np.array([["a", 1.0], ["zz", 2.0]], dtype=object))


def test_residuals_and_the_expected_hessian_are_those_of_the_parts():
    parts = (Tweedie(2.0), Multinomial(THREE))
    loss, rng = Joint(parts), np.random.default_rng(0)
    raw = np.array([[1.5, "a"], [0.3, "c"]], dtype=object)
    y, eta = loss.encode(raw), rng.standard_normal((2, 4))
    codes = y[:, 1].astype(int)
    split = [(parts[0], y[:, :1], eta[:, :1]), (parts[1], codes, eta[:, 1:])]
    for name in ("residual", "expected_hessian"):
        expected = np.column_stack([getattr(part, name)(own, at) for part, own, at in split])
        np.testing.assert_array_equal(getattr(loss, name)(y, eta), expected)
    assert (
        Joint((Tweedie(2.0), SmoothHinge(TWO, 0.1))).expected_hessian(y[:, :2], eta[:, :2]) is None
    )
    moved = TransformedTarget(Tweedie(2.0), np.exp, np.log)
    assert moved.expected_hessian(y[:, :1], eta[:, :1]).tolist() == [[1.0], [1.0]]
    clipped = TransformedTarget(Joint((Huber(1.0), Huber(2.0))), np.asarray, np.asarray)
    assert clipped.residual(np.zeros((1, 2)), np.array([[7.0, 1.0]])).tolist() == [[-7.0, -1.0]]


def test_a_transformed_target_is_judged_in_its_new_units():
    loss = TransformedTarget(HalfSquaredError(), np.log, np.exp)
    raw, eta = np.array([1.0, 2.0, 5.0]), np.array([[0.1], [0.9], [1.0]])
    y = loss.encode(raw)
    np.testing.assert_allclose(loss.value(y, eta), 0.5 * (eta[:, 0] - np.log(raw)) ** 2)
    np.testing.assert_allclose(loss.response(eta), np.exp(eta))
    np.testing.assert_allclose(loss.response(eta[:, None]), np.exp(eta[:, None]))
    assert loss.constant_hessian and loss.curvature_scale == np.inf and loss.identical_outputs
    with pytest.raises(TypeError, match="HalfSquaredError, which has none"):
        loss.at_temperature(0.1)


@pytest.mark.parametrize("size", [1e-3, 1.0, 30.0])
def test_the_derivative_of_a_response_transformed_back(size):
    loss = TransformedTarget(HalfSquaredError(2), np.log, np.exp)
    eta = size * np.random.default_rng(0).standard_normal((5, 2))
    for c in range(2):
        mine = loss.response_gradient(eta, np.full(5, c))
        expected = np.exp(eta) * np.eye(2)[c]
        np.testing.assert_allclose(mine, expected, rtol=1e-9 * max(size, 1.0) ** 2)
