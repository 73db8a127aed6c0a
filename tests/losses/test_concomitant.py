"""Huber's loss with its scale: against the function scikit-learn states, and where sigma is bad."""

import numpy as np
import pytest

from skinfluence.losses import ConcomitantHuber

LOSS = ConcomitantHuber(1.35)


def test_value_by_hand():
    y, eta = np.zeros(3), np.array([[1.0, 2.0], [4.0, 2.0], [-4.0, 2.0]])
    outlier = 2.0 + 2.0 * (2 * 1.35 * 2.0 - 1.35**2)
    np.testing.assert_allclose(LOSS.value(y, eta), [2.5, outlier, outlier], rtol=1e-14)


def test_the_scale_is_no_prediction():
    eta = np.array([[1.0, 2.0], [4.0, 3.0]])
    assert (LOSS.n_outputs, LOSS.n_responses, LOSS.curvature_scale) == (2, 1, None)
    assert LOSS.response(eta).tolist() == [[1.0], [4.0]]
    assert LOSS.response_gradient(eta, np.zeros(2, int)).tolist() == [[1.0, 0.0]] * 2


def test_a_scale_that_is_not_positive_is_infinitely_bad():
    y, eta = np.zeros(3), np.array([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]])
    assert np.all(LOSS.value(y, eta) == np.inf)
    for array in (LOSS.gradient(y, eta), LOSS.hessian(y, eta)):
        assert np.all(np.isfinite(array))
    good = np.array([[1.0, 1.0]] * 3)
    assert np.all(LOSS.change(y, good, eta - good) == np.inf)
    assert np.all(LOSS.change(y, eta, good - eta) == -np.inf)
    assert np.all(LOSS.change(y, eta, 0.0 * eta) == 0.0)


def test_it_is_jointly_convex():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 2000, 2))
    a[:, 1], b[:, 1] = np.abs(a[:, 1]) + 0.01, np.abs(b[:, 1]) + 0.01
    y = rng.standard_normal(2000)
    middle = LOSS.value(y, 0.5 * (a + b))
    assert np.all(middle <= 0.5 * (LOSS.value(y, a) + LOSS.value(y, b)) + 1e-12)


def test_targets_of_several_columns_are_refused():
    assert LOSS.encode([[1.0], [2.0]]).tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"Targets of shape \(3, 2\) were given; .* 1 output"):
        LOSS.encode(np.ones((3, 2)))
