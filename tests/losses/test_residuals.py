"""Residual losses: values by hand, the limit of the smooth one, encodings."""

import numpy as np
import pytest

from skinfluence.losses import (
    HalfSquaredError,
    Huber,
    SmoothEpsilonInsensitive,
    SquaredEpsilonInsensitive,
)
from tests.losses.cases import THREE

MAKERS = {
    "squared": HalfSquaredError,
    "huber": lambda *args: Huber(1.0, *args),
    "squared-insensitive": lambda *args: SquaredEpsilonInsensitive(0.5, *args),
    "smooth-insensitive": lambda *args: SmoothEpsilonInsensitive(0.5, 0.1, *args),
}
makers = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def test_values_by_hand():
    y, eta = np.zeros((5, 1)), np.array([[-3.0], [-0.25], [0.0], [0.75], [2.0]])
    assert Huber(1.0).value(y, eta).tolist() == [2.5, 0.03125, 0.0, 0.28125, 1.5]
    assert Huber(1.0).hessian(y, eta)[:, 0].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    loss = SquaredEpsilonInsensitive(0.5)
    assert loss.value(y, eta).tolist() == [6.25, 0.0, 0.0, 0.0625, 2.25]
    assert loss.hessian(y, eta)[:, 0].tolist() == [2.0, 0.0, 0.0, 2.0, 2.0]
    assert loss.curvature_scale is None and not loss.constant_hessian


def test_without_an_insensitive_part_the_curvature_is_constant():
    loss = SquaredEpsilonInsensitive(0.0)
    assert loss.constant_hessian and loss.curvature_scale == np.inf
    zero = np.zeros((2, 1))
    assert loss.hessian(zero, np.array([[0.0], [3.0]])).tolist() == [[2.0], [2.0]]


@pytest.mark.parametrize("t", [1e-6, 1e-4, 0.01])
def test_smooth_insensitive_lies_above_its_limit_by_2_t_log_2_at_most(t):
    loss = SmoothEpsilonInsensitive(0.5, t)
    eta = np.array([-1e4, -1.0, -0.5, 0.0, 0.5 - t, 0.5, 0.5 + t, 1e4])[:, None]
    y = np.zeros_like(eta)
    gap = loss.value(y, eta) - np.maximum(0.0, np.abs(eta[:, 0]) - 0.5)
    assert np.all(gap >= 0.0) and np.all(gap <= 2 * t * np.log(2) + 1e-11)
    slopes = loss.gradient(y, eta)[:, 0]
    np.testing.assert_allclose(slopes[[0, 1, 3, 7]], [-1.0, -1.0, 0.0, 1.0], atol=1e-20)
    np.testing.assert_allclose(slopes[[2, 5]], [-0.5, 0.5], rtol=1e-12)


@makers
def test_encodings(make):
    assert make(1).encode([1, 2]).tolist() == [[1.0], [2.0]]
    assert make(3, THREE).encode(["b", "a"]).tolist() == [[-1.0, 1.0, -1.0], [1.0, -1.0, -1.0]]
    assert make(1, THREE[:2]).encode(["b", "a"]).tolist() == [[1.0], [-1.0]]
    with pytest.raises(ValueError, match=r"shape \(n_samples, 2\) is accepted"):
        make(2).encode(np.ones(3))
    with pytest.raises(ValueError, match="finite numbers are accepted"):
        make(1).encode([1.0, np.nan])


def test_a_temperature_is_needed():
    with pytest.raises(ValueError, match="temperature=None was given; a positive number"):
        SmoothEpsilonInsensitive(0.5, None)
