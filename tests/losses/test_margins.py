"""Margin losses: the limit of the smooth hinge, far margins, recession, and what is refused."""

from decimal import Decimal, localcontext

import numpy as np
import pytest

from skinfluence.losses import ModifiedHuber, SmoothHinge, SquaredHinge
from tests.losses.cases import THREE, TWO

TEMPERATURES = [1e-6, 1e-4, 0.01, 1.0]


@pytest.mark.parametrize("t", TEMPERATURES)
def test_smooth_hinge_lies_above_the_hinge_by_t_log_2_at_most(t):
    loss = SmoothHinge(TWO, t)
    eta = np.array([-1e4, -3.0, 0.0, 1 - t, 1.0, 1 + t, 3.0, 1e4])[:, None]
    for label, sign in (("a", -1.0), ("b", 1.0)):
        y = loss.encode([label] * len(eta))
        assert np.all(y == sign)
        margins = sign * eta[:, 0]
        gap = loss.value(y, eta) - np.maximum(0.0, 1.0 - margins)
        assert np.all(gap >= -1e-12) and np.all(gap <= t * np.log(2) + 1e-11)
        slopes = loss.gradient(y, eta)[:, 0]
        far = np.abs(1.0 - margins) > 50 * t
        np.testing.assert_allclose(slopes[far], -sign * (margins[far] < 1.0), atol=1e-20)
    at_kink = loss.hessian(np.ones((1, 1)), np.ones((1, 1)))
    assert at_kink.item() == pytest.approx(0.25 / t, rel=1e-14)


@pytest.mark.parametrize("t", [1e-4, 0.01, 1.0])
@pytest.mark.parametrize("delta", [-3.0, -1e-9, 1e-9, 3.0])
@pytest.mark.parametrize("offset", [-20.0, -1.0, 2.0, 30.0])
def test_changes_of_the_smooth_hinge_in_numbers_of_60_digits(t, delta, offset):
    """With the float z of the loss, which is all it can know of 1 - y eta."""
    loss, y, eta = SmoothHinge(TWO, t), np.ones((1, 1)), np.array([[1.0 - offset * t]])
    with localcontext(prec=60):
        z, d = Decimal((1.0 - eta.item()) / t), Decimal(-delta) / Decimal(t)
        before, after = ((1 + e.exp()).ln() for e in (z, z + d))
        value = float(Decimal(t) * (after - before))
        first, second = (1 / (1 + (-e).exp()) for e in (z, z + d))
        slope = float(first - second)
    change = loss.change(y, eta, np.array([[delta]]))
    assert change.item() == pytest.approx(value, rel=1e-11, abs=0.0)
    change = loss.gradient_change(y, eta)(np.array([[delta]]))
    assert change.item() == pytest.approx(slope, rel=1e-11, abs=0.0)


@pytest.mark.parametrize("t", TEMPERATURES)
def test_single_precision_changes_at_low_temperatures(t):
    """A change that carries a row back to the kink is wanted in units of t, not of itself."""
    loss = SmoothHinge(TWO, t)
    rng = np.random.default_rng(0)
    eta = rng.choice([-3.0, 0.5, 1.0, 100.0], (30, 1)) + t * rng.standard_normal((30, 1))
    delta = (1.0 - eta[:, None] + 2 * t * rng.standard_normal((30, 8, 1))).astype(np.float32)
    delta[:, 4:] = np.float32(t) * rng.standard_normal((30, 4, 1)).astype(np.float32)
    y = np.where(rng.random((30, 1, 1)) < 0.5, 1.0, -1.0)
    change = loss.gradient_change(y, eta[:, None])(delta)
    assert change.dtype == np.float32
    moved = eta[:, None] + delta.astype(float)
    exact = loss.gradient(y, moved) - loss.gradient(y, eta[:, None])
    # The oracle knows eta + delta to the rounding of their size.
    rounding = np.finfo(float).eps * np.abs(eta[:, None]) / t
    assert np.max(np.abs(change - exact) - 1e-5 * np.abs(exact) - rounding) <= 1e-6


@pytest.mark.parametrize("make", [lambda c: SmoothHinge(c, 0.1), SquaredHinge, ModifiedHuber])
def test_recession_is_a_margin_of_every_output(make):
    binary = make(TWO)
    y = binary.encode(["a", "b", "b"])
    assert binary.is_separated(y, np.array([[-1.0], [2.0], [-3.0]])).tolist() == [True, True, False]
    three = make(THREE)
    y = three.encode(["a", "a"])
    assert y.tolist() == [[1.0, -1.0, -1.0]] * 2
    eta = np.array([[1.0, -1.0, -2.0], [1.0, 1.0, -2.0]])
    assert three.is_separated(y, eta).tolist() == [True, False]


def test_values_by_hand():
    y, eta = np.ones((5, 1)), np.array([[-3.0], [-1.0], [0.0], [0.5], [2.0]])
    assert SquaredHinge(TWO).value(y, eta).tolist() == [16.0, 4.0, 1.0, 0.25, 0.0]
    assert ModifiedHuber(TWO).value(y, eta).tolist() == [12.0, 4.0, 1.0, 0.25, 0.0]
    assert SquaredHinge(TWO).hessian(y, eta)[:, 0].tolist() == [2.0, 2.0, 2.0, 2.0, 0.0]
    assert ModifiedHuber(TWO).hessian(y, eta)[[0, 2, 4], 0].tolist() == [0.0, 2.0, 0.0]
    assert SquaredHinge(TWO).curvature_scale is None
    assert SmoothHinge(TWO, 0.1).curvature_scale == 0.1


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf, None])
def test_temperatures_that_smooth_nothing_are_refused(temperature):
    expected = f"temperature={temperature!r} was given; a positive number is accepted, .* Try .01"
    with pytest.raises(ValueError, match=expected):
        SmoothHinge(TWO, temperature)


@pytest.mark.parametrize("make", [lambda c: SmoothHinge(c, 0.1), SquaredHinge, ModifiedHuber])
def test_unseen_labels_are_named(make):
    with pytest.raises(ValueError, match=r"\['z'\] were never seen in training"):
        make(TWO).encode(["a", "z"])
