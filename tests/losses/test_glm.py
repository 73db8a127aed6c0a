"""Tweedie losses against scikit-learn's deviances; domains of targets and means."""

import numpy as np
import pytest
from sklearn.metrics import mean_tweedie_deviance

from skinfluence.losses import Tweedie

POWERS = [-1.0, -0.5, 0.0, 1.0, 1.3, 1.9, 2.0, 2.5, 3.0]


def draw(power, n=20):
    rng = np.random.default_rng(0)
    if power < 1:
        return rng.standard_normal(n)
    return rng.gamma(2.0, 1.0, n) if power >= 2 else rng.poisson(1.0, n).astype(float)


@pytest.mark.parametrize("link", ["log", "identity"])
@pytest.mark.parametrize("power", POWERS)
def test_value_is_half_the_deviance(power, link):
    loss, targets = Tweedie(power, link), draw(power)
    y = loss.encode(targets)
    mean = np.random.default_rng(1).gamma(2.0, 1.0, 20) + 0.1
    eta = (np.log(mean) if link == "log" else mean)[:, None]
    np.testing.assert_allclose(loss.response(eta)[:, 0], mean, rtol=1e-14)
    expected = [0.5 * mean_tweedie_deviance(targets[i : i + 1], mean[i : i + 1], power=power)
                for i in range(20)]  # fmt: skip
    np.testing.assert_allclose(loss.value(y, eta), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("link", ["log", "identity"])
@pytest.mark.parametrize("power", POWERS)
def test_value_is_0_where_the_mean_is_the_target(power, link):
    loss, y = Tweedie(power, link), np.array([[0.3], [1.0], [20.0]])
    eta = np.log(y) if link == "log" else y
    np.testing.assert_allclose(loss.value(y, eta), 0.0, atol=1e-13 * 20 ** (2 + abs(power)))
    assert np.all(np.abs(loss.gradient(y, eta)) < 1e-14 * 20 ** (2 + abs(power)))


@pytest.mark.parametrize("link", ["log", "identity"])
@pytest.mark.parametrize("power", POWERS)
def test_response_gradient_equals_finite_differences(power, link):
    loss, eta = Tweedie(power, link), np.array([[0.2], [1.0], [2.0]])
    slope = (loss.response(eta + 1e-6) - loss.response(eta - 1e-6)) / 2e-6
    mine = loss.response_gradient(eta, np.zeros(3, int))
    np.testing.assert_allclose(mine, slope, rtol=1e-8)


@pytest.mark.parametrize("power", [-1.0, 1.0, 1.5, 2.0, 3.0])
def test_a_mean_that_is_not_positive_is_infinitely_bad(power):
    loss = Tweedie(power, "identity")
    y, eta = np.ones((3, 1)), np.array([[0.0], [-1e-300], [-1e4]])
    assert np.all(loss.value(y, eta) == np.inf)
    for array in (loss.gradient(y, eta), loss.hessian(y, eta)):
        assert np.all(np.isfinite(array))
    assert np.all(loss.gradient(y, eta) <= 0)  # a larger mean is better
    good = np.ones((3, 1))
    assert np.all(loss.change(y, good, eta - good) == np.inf)
    assert np.all(loss.change(y, eta, good - eta) == -np.inf)
    assert np.all(loss.change(y, eta, 0 * eta) == 0.0)


def test_names_and_what_is_proven():
    assert [Tweedie(p).name for p in (0, 1, 2, 3, 1.5)] == [
        "normal",
        "Poisson",
        "Gamma",
        "inverse Gaussian",
        "Tweedie(power=1.5)",
    ]
    for p in POWERS:
        assert Tweedie(p).convex == (Tweedie(p).curvature_scale is not None) == (1 <= p <= 2)
    scales = [Tweedie(p).curvature_scale for p in (1.0, 1.5, 1.75, 2.0)]
    np.testing.assert_allclose(scales, [1.0, 2.0, 4 / 3, 1.0])
    assert Tweedie(1).canonical and Tweedie(0, "identity").canonical
    assert not Tweedie(2).canonical and not Tweedie(1, "identity").canonical
    squared = Tweedie(0, "identity")
    assert squared.constant_hessian and squared.curvature_scale == np.inf
    poisson = Tweedie(1, "identity")
    assert poisson.convex and poisson.curvature_scale is None


@pytest.mark.parametrize("power", [1.0, 1.5])
def test_counts_of_0_recede(power):
    loss = Tweedie(power)
    eta = np.array([[-1.0], [1.0], [-1.0]])
    assert loss.is_separated(np.array([[0.0], [0.0], [1.0]]), eta).tolist() == [True, False, False]
    assert not np.any(Tweedie(2).is_separated(np.ones((3, 1)), eta))
    assert not np.any(Tweedie(1, "identity").is_separated(np.zeros((3, 1)), eta))


@pytest.mark.parametrize("link", ["log", "identity"])
@pytest.mark.parametrize("power", [0, 1, 1.5, 2, 3])
def test_residuals_by_the_root_of_the_expected_hessian_are_pearsons(power, link):
    loss, rng = Tweedie(power, link), np.random.default_rng(0)
    mu, y = rng.gamma(3.0, size=(2, 9, 1))
    eta = np.log(mu) if link == "log" else mu
    found = loss.residual(y, eta) / np.sqrt(loss.expected_hessian(y, eta))
    np.testing.assert_allclose(found, (y - mu) / np.sqrt(mu**power), rtol=1e-10)


def test_targets_outside_the_domain_name_the_loss():
    y = [0.0, 2.0, 1.0, 4.0, 0.0, -1.0, -2.0, -3.0]
    expected = (
        r"Targets below 0 were given \(3, the first -1 at row 5\); the Poisson loss accepts "
        r"y >= 0\. Drop or correct these rows"
    )
    with pytest.raises(ValueError, match=expected):
        Tweedie(1).encode(y)
    expected = (
        r"Targets of at most 0 were given \(5, the first 0 at row 0\); the Gamma loss accepts y > 0"
    )
    with pytest.raises(ValueError, match=expected):
        Tweedie(2).encode(y)
    with pytest.raises(ValueError, match=r"the Tweedie\(power=1.5\) loss accepts y >= 0"):
        Tweedie(1.5).encode(y)
    assert Tweedie(0).encode(y).shape == (8, 1)
    assert Tweedie(-1).encode(y)[7] == -3.0
    with pytest.raises(ValueError, match="finite numbers are accepted"):
        Tweedie(1).encode([1.0, np.inf])
    with pytest.raises(ValueError, match=r"shape \(n_samples, 1\) is accepted"):
        Tweedie(1).encode(np.ones((2, 2)))


def test_powers_and_links_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"power=0\.5 was given; at most 0 or at least 1 is"):
        Tweedie(0.5)
    with pytest.raises(ValueError, match="link='sqrt' was given; 'log' and 'identity' are"):
        Tweedie(1, "sqrt")
