"""Logistic and multinomial losses: confident rows, probabilities, recession."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from skinfluence.losses import Brier, Exponential, Joint, Logistic, Multinomial
from tests.losses.cases import CASES, THREE, TWO


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


@pytest.mark.parametrize("name", ["logistic", "one-vs-rest", "multinomial", "exponential"])
def test_response_sums_to_one_and_its_gradient_equals_finite_differences(name):
    loss, (_, eta) = CASES[name].loss, CASES[name].rows()
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
    assert binary.is_separated(y, np.array([[-1.0], [2.0], [-3.0]])).tolist() == [True, True, False]
    three = Multinomial(THREE)
    eta = np.array([[2.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    assert three.is_separated(three.encode(["a", "b", "a"]), eta).tolist() == [True, False, False]


def test_the_exponential_loss_is_of_half_the_log_odds():
    loss = Exponential(TWO)
    y, eta = loss.encode(["a", "b", "b"]), np.array([[-0.5], [0.2], [-1.0]])
    assert y.tolist() == [[-1.0], [1.0], [1.0]]
    np.testing.assert_allclose(loss.value(y, eta), np.exp([-0.5, -0.2, 1.0]), rtol=1e-15)
    odds = loss.response(eta)[:, 1] / loss.response(eta)[:, 0]
    np.testing.assert_allclose(np.log(odds), [-1.0, 0.4, -2.0], rtol=1e-14)
    assert loss.decide(eta).tolist() == ["a", "b", "a"]
    assert loss.is_separated(y, eta).tolist() == [True, True, False]
    np.testing.assert_allclose(loss.given_probabilities(["a"], eta[:1]), 1 / (1 + np.exp(-1.0)))


def test_brier_scores_are_of_probabilities_of_every_class():
    loss = Brier(THREE)
    p = np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75], [1.0, 0.0, 0.0]])
    y = loss.encode(["b", "b", "a"])
    assert y.tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    np.testing.assert_array_equal(loss.value(y, p), [0.25, 0.5625, 0.0])
    assert loss.decide(p).tolist() == ["a", "c", "a"]  # of equal ones the first, as scikit-learn
    np.testing.assert_array_equal(loss.response(p), p)
    assert loss.given_probabilities(["b", "c", "c"], p).tolist() == [0.5, 0.75, 0.0]
    assert loss.targets == ("loss", "predict_proba") and loss.has_probabilities
    assert loss.constant_hessian and loss.output_names(["y"]) == ["a", "b", "c"]
    alone = Brier(np.array(["a"]))  # all rows are of one class
    assert alone.encode(["a"]).tolist() == [[1.0]] and alone.decide(np.ones((2, 1))).size == 2


def test_brier_scores_of_several_targets():
    loss = Joint((Brier(TWO), Brier(THREE), Brier(np.array([7.0]))))
    raw = np.array([["a", "c", 7.0], ["b", "a", 7.0]], dtype=object)
    p = np.array([[0.75, 0.25, 0.5, 0.25, 0.25, 1.0], [0.5, 0.5, 0.0, 0.0, 1.0, 1.0]])
    assert loss.n_responses == loss.n_outputs == 6 and loss.targets == ("loss", "predict_proba")
    y = loss.encode(raw)
    expected = [0.0625 + 0.5 * (0.25 + 0.0625 + 0.5625), 0.25 + 1.0]
    np.testing.assert_allclose(loss.value(y, p), expected, rtol=1e-15)
    np.testing.assert_array_equal(loss.response(p), p)
    assert loss.given_probabilities(raw, p).tolist() == [[0.75, 0.25, 1.0], [0.5, 0.0, 1.0]]
    assert loss.decide(p)[:, :2].tolist() == [["a", "a"], ["a", "c"]]
    assert loss.output_names(["u", "v", "w"])[:3] == ["u = a", "u = b", "v = a"]
    mixed = Joint((Logistic(TWO), Brier(TWO)))
    assert mixed.targets == ("loss", "predict_proba") and mixed.n_responses == 3
    np.testing.assert_allclose(mixed.response(np.array([[0.0, 0.2, 0.8]])), [[0.5, 0.2, 0.8]])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("furthest", [1.9, 4.0, 19.0, 40.0])
def test_gradient_change_of_classes_near_and_far(furthest, dtype):
    """By whichever formula: which it is depends on the largest change of all."""
    loss, rng = Multinomial(THREE), np.random.default_rng(0)
    y, eta = rng.integers(0, 3, (6, 1)), 3.0 * rng.standard_normal((6, 1, 3))
    delta = rng.uniform(-furthest, furthest, (6, 40, 3)).astype(dtype)
    change = loss.gradient_change(y, eta)(delta)
    assert change.dtype == dtype
    after = np.exp(eta + delta.astype(float))
    before = np.exp(eta) / np.exp(eta).sum(axis=-1, keepdims=True)
    expected = after / after.sum(axis=-1, keepdims=True) - before
    np.testing.assert_allclose(change, expected, rtol=0, atol=20 * np.finfo(dtype).eps)
