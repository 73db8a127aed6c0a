"""One versus one and one versus the rest against sums of the binary loss."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from skinfluence.losses import (
    HalfSquaredError,
    Joint,
    Logistic,
    Multinomial,
    OneVsOne,
    OneVsRest,
    SmoothHinge,
    SquaredHinge,
)
from tests.losses.cases import PAIR, THREE

FOUR = np.array([10, 20, 30, 40])


@pytest.mark.parametrize(
    "pair", [SmoothHinge(PAIR, 0.3), SquaredHinge(PAIR), Logistic(PAIR), HalfSquaredError(1, PAIR)]
)
def test_one_vs_one_is_the_sum_over_the_pairs_of_a_row(pair):
    loss, rng = OneVsOne(pair, FOUR), np.random.default_rng(0)
    labels = FOUR[np.arange(12) % 4]
    y, eta = loss.encode(labels), rng.standard_normal((12, 6))
    delta = rng.standard_normal((12, 6))
    assert np.isnan(y).sum() == 12 * 3
    pairs = [(a, b) for a in FOUR for b in FOUR if a < b]
    for k, (a, b) in enumerate(pairs):
        inside = (labels == a) | (labels == b)
        own = pair.encode((labels[inside] == b).astype(int))
        at, d = eta[inside, k : k + 1], delta[inside, k : k + 1]
        alone = np.zeros((12, 6))
        alone[:, k] = delta[:, k]
        np.testing.assert_allclose(loss.gradient(y, eta)[inside, k], pair.gradient(own, at)[:, 0])
        np.testing.assert_allclose(loss.hessian(y, eta)[inside, k], pair.hessian(own, at)[:, 0])
        np.testing.assert_allclose(loss.change(y, eta, alone)[inside], pair.change(own, at, d))
        for array in (
            loss.gradient(y, eta),
            loss.hessian(y, eta),
            loss.gradient_change(y, eta)(delta),
        ):
            assert np.all(array[~inside, k] == 0.0)
        assert np.all(loss.change(y, eta, alone)[~inside] == 0.0)
    assert (loss.targets, loss.identical_outputs, loss.separable) == (("loss",), False, True)


def test_pairs_a_row_is_not_of_do_not_keep_it_from_receding():
    loss = OneVsOne(SmoothHinge(PAIR, 0.1), THREE)  # the outputs are ab, ac, bc
    eta = np.array([[-1.0, -1.0, 5.0], [-1.0, 1.0, 5.0]])
    assert loss.is_separated(loss.encode(["a", "a"]), eta).tolist() == [True, False]


def test_one_vs_rest_of_a_loss_is_that_loss_of_several_classes():
    rng = np.random.default_rng(0)
    eta, delta = rng.standard_normal((2, 9, 3))
    for mine, known in (
        (OneVsRest(Logistic(PAIR), THREE), Logistic(THREE)),
        (OneVsRest(SmoothHinge(PAIR, 0.2), THREE), SmoothHinge(THREE, 0.2)),
        (OneVsRest(HalfSquaredError(1, PAIR), THREE), HalfSquaredError(3, THREE)),
    ):
        labels = THREE[np.arange(9) % 3]
        y = known.encode(labels)
        np.testing.assert_array_equal(mine.encode(labels), y)
        for method in ("value", "gradient", "hessian", "is_separated"):
            expected = getattr(known, method)(y, eta)
            np.testing.assert_allclose(getattr(mine, method)(y, eta), expected, rtol=1e-14)
        np.testing.assert_allclose(mine.change(y, eta, delta), known.change(y, eta, delta))
        flags = ("curvature_scale", "constant_hessian", "convex", "temperature")
        assert [getattr(mine, f) for f in flags] == [getattr(known, f) for f in flags]
        assert mine.targets is None and mine.n_outputs == known.n_outputs


def test_two_classes_have_one_output_and_two_labels_two():
    assert OneVsRest(Logistic(PAIR), PAIR).n_outputs == 1
    several = OneVsRest(Logistic(PAIR), PAIR, multilabel=True)
    assert several.n_outputs == 2 and several.targets is None


def test_indicators_dense_and_sparse():
    loss = OneVsRest(SmoothHinge(PAIR, 0.1), THREE, multilabel=True)
    y = np.array([[0, 1, 1], [0, 0, 0]])
    expected = [[-1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]]
    assert loss.encode(y).tolist() == loss.encode(csr_matrix(y)).tolist() == expected
    with pytest.raises(ValueError, match=r"shape \(2, 2\) were given; an indicator matrix of"):
        loss.encode(y[:, :2])
    with pytest.raises(ValueError, match=r"with the entries \[2\] was given; 0 and 1 are"):
        loss.encode(2 * y)


def test_temperatures_reach_the_pair():
    assert OneVsOne(SmoothHinge(PAIR, 0.1), THREE).at_temperature(0.2).pair.temperature == 0.2
    with pytest.raises(TypeError, match="A temperature was given for Logistic, which has none"):
        OneVsRest(Logistic(PAIR), THREE).at_temperature(0.2)


def test_a_pair_is_a_loss_of_two_classes():
    for pair in (Multinomial(THREE), HalfSquaredError(1), Logistic(THREE)):
        with pytest.raises(ValueError, match="a loss of two classes and one output is accepted"):
            OneVsOne(pair, THREE)


@pytest.mark.parametrize(
    "loss",
    [
        OneVsRest(Logistic(PAIR), THREE),
        OneVsRest(Logistic(PAIR), THREE, multilabel=True),
        OneVsRest(Logistic(PAIR), PAIR),
        Joint((Logistic(PAIR), Multinomial(THREE), OneVsRest(Logistic(PAIR), THREE))),
    ],
)
def test_responses_and_their_gradients(loss):
    eta = np.random.default_rng(0).normal(size=(6, loss.n_outputs))
    p = 1.0 / (1.0 + np.exp(-eta))
    if isinstance(loss, Joint):
        shares = p[:, 4:] / p[:, 4:].sum(axis=1, keepdims=True)
        e = np.exp(eta[:, 1:4])
        expected = np.column_stack([p[:, 0], e / e.sum(axis=1, keepdims=True), shares])
    elif loss.multilabel:
        expected = p
    elif loss.n_outputs == 1:
        expected = np.column_stack([1.0 - p, p])
    else:
        expected = p / p.sum(axis=1, keepdims=True)
    assert loss.has_probabilities
    np.testing.assert_allclose(loss.response(eta), expected, rtol=1e-12)
    for c in range(expected.shape[1]):
        mine = loss.response_gradient(eta, np.full(6, c))
        for k in range(loss.n_outputs):
            h = 1e-6 * np.eye(loss.n_outputs)[k]
            slope = (loss.response(eta + h) - loss.response(eta - h))[:, c] / 2e-6
            np.testing.assert_allclose(mine[:, k], slope, rtol=1e-7, atol=1e-9)


def test_probabilities_of_far_raw_predictions_are_finite():
    loss = OneVsRest(Logistic(PAIR), THREE)
    eta = np.full((1, 3), -1000.0)
    assert np.all(np.isfinite(loss.response(eta)))
    assert np.all(np.isfinite(loss.response_gradient(eta, np.array([1]))))
