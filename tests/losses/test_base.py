"""The contract of a loss: every row of the table against its twin, in value."""

import pickle
import re

import autograd
import numpy as np
import pytest

from skinfluence.losses import (
    Bregman,
    Brier,
    Exponential,
    HalfSquaredError,
    Huber,
    Joint,
    Logistic,
    Loss,
    ModifiedHuber,
    Multinomial,
    OneVsOne,
    OneVsRest,
    SquaredEpsilonInsensitive,
    SquaredHinge,
    TransformedTarget,
    Tweedie,
    encode_labels,
)
from skinfluence.losses.base import PROMISES
from tests.losses.cases import CASES, THREE, TWO, losses

SMOOTH = [
    name
    for name, case in CASES.items()
    if case.loss.curvature_scale is not None
    and case.loss.separable
    and not case.loss.constant_hessian
]


COUPLED = [
    name
    for name, case in CASES.items()
    if case.loss.curvature_scale is not None
    and not case.loss.separable
    and not case.loss.constant_hessian
]


def diagonal(loss, G):
    return G[..., :, None] * np.eye(loss.n_outputs) if loss.separable else G


@losses
def test_derivatives_equal_autograd(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    hessians = diagonal(loss, loss.hessian(y, eta))
    for i in range(len(eta)):
        twin = case.twin(y[i], eta[i])
        np.testing.assert_allclose(loss.value(y, eta)[i], twin, rtol=1e-12, atol=1e-14)
        gradient = autograd.grad(lambda e, i=i: case.twin(y[i], e))(eta[i])
        np.testing.assert_allclose(loss.gradient(y, eta)[i], gradient, rtol=1e-10, atol=1e-13)
        hessian = autograd.hessian(lambda e, i=i: case.twin(y[i], e))(eta[i])
        np.testing.assert_allclose(hessians[i], hessian, rtol=1e-10, atol=1e-13)


@losses
def test_residuals_are_minus_the_gradient_where_nothing_is_clipped(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    residual, gradient = loss.residual(y, eta), loss.gradient(y, eta)
    assert residual.shape == gradient.shape
    if re.search(r"\b(Concomitant)?Huber\(", repr(loss)):
        assert np.all(np.abs(residual) >= np.abs(gradient) - 1e-12)
    else:
        np.testing.assert_array_equal(residual, -gradient)


@losses
def test_the_expected_hessian_is_known_of_likelihoods(name):
    """And is what the Hessian is at the mean, in which that of every family here is linear."""
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    expected = loss.expected_hessian(y, eta)
    assert (expected is not None) == (loss.canonical or isinstance(loss, Tweedie))
    if expected is not None:
        mean = loss.response(eta) if isinstance(loss, Tweedie) else y
        G = diagonal(loss, loss.hessian(mean, eta))
        np.testing.assert_allclose(expected, np.diagonal(G, axis1=1, axis2=2), rtol=1e-12)


def test_what_has_no_dispersion_of_its_own():
    without = [Logistic(TWO), Multinomial(THREE), Tweedie(1.0), Tweedie(1.0, "identity")]
    assert all(loss.unit_dispersion for loss in without)
    assert Joint(tuple(without)).unit_dispersion
    assert OneVsRest(without[0], THREE).unit_dispersion
    for loss in (HalfSquaredError(), Tweedie(2.0), Tweedie(0.0, "log"), Huber(1.0)):
        assert not loss.unit_dispersion
        assert not Joint((loss, without[0])).unit_dispersion


@losses
def test_shapes_and_the_encoding(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    assert y.shape == ((7, loss.target_width) if loss.target_width else (7,))
    assert loss.value(y, eta).shape == loss.is_separated(y, eta).shape == (7,)
    assert loss.gradient(y, eta).shape == (7, loss.n_outputs)
    response = loss.response(eta)
    if loss.classes is None:
        assert response.shape == (7, loss.n_responses)
    again = pickle.loads(pickle.dumps(loss)) if name != "transformed" else loss
    np.testing.assert_array_equal(again.value(y, eta), loss.value(y, eta))


@losses
def test_leading_axes_broadcast(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    rng = np.random.default_rng(1)
    delta = rng.standard_normal((len(eta), 3, loss.n_outputs))
    delta = case.feasible(eta[:, None], delta)
    moved = eta[:, None] + delta
    wide = np.repeat(y[:, None], 3, axis=1)
    for method in ("value", "gradient", "hessian"):
        mine = getattr(loss, method)(y[:, None], moved)
        np.testing.assert_array_equal(mine, getattr(loss, method)(wide, moved))
        one = np.stack([getattr(loss, method)(y, moved[:, j]) for j in range(3)], axis=1)
        np.testing.assert_allclose(mine, one, rtol=1e-14)
    mine = loss.change(y[:, None], eta[:, None], delta)
    one = np.stack([loss.change(y, eta, delta[:, j]) for j in range(3)], axis=1)
    np.testing.assert_allclose(mine, one, rtol=1e-12, atol=1e-15)
    assert loss.gradient_change(y[:, None], eta[:, None])(delta).shape == delta.shape


@losses
def test_hessian_products_equal_the_hessian(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    v = np.random.default_rng(1).standard_normal((len(eta), 4, loss.n_outputs))
    G = diagonal(loss, loss.hessian(y, eta))
    product = loss.hessian_product(y[:, None], eta[:, None])
    np.testing.assert_allclose(product(v), np.einsum("ikl,iml->imk", G, v), atol=1e-13, rtol=1e-13)
    if not loss.separable:
        entry = loss.hessian_entries(y, eta)
        for k in range(loss.n_outputs):
            for m in range(loss.n_outputs):
                np.testing.assert_allclose(entry(k, m), G[:, k, m], rtol=1e-12)


@losses
def test_derivatives_equal_finite_differences(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    h = 1e-5
    G = diagonal(loss, loss.hessian(y, eta))
    for k in range(loss.n_outputs):
        e = h * np.eye(loss.n_outputs)[k]
        first = (loss.value(y, eta + e) - loss.value(y, eta - e)) / (2 * h)
        np.testing.assert_allclose(loss.gradient(y, eta)[:, k], first, rtol=1e-7, atol=1e-8)
        second = (loss.gradient(y, eta + e) - loss.gradient(y, eta - e)) / (2 * h)
        np.testing.assert_allclose(G[:, :, k], second, rtol=1e-7, atol=1e-8)


@losses
@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="no extended precision here")
@pytest.mark.parametrize("size", [1e-9, 1e-3, 0.9, 3.0, 40.0])
def test_change_is_the_difference_of_values_without_cancellation(name, size):
    """In extended precision the difference of the twin's values is good to 1e-10 at size 1e-9."""
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    delta = size * np.random.default_rng(1).standard_normal((len(eta), 5, loss.n_outputs))
    delta = case.feasible(eta[:, None], delta)
    change = loss.change(y[:, None], eta[:, None], delta)
    for i in range(len(eta)):
        here, target = eta[i].astype(np.longdouble), y[i].astype(np.longdouble)
        before = case.twin(target, here)
        expected = [float(case.twin(target, here + d) - before) for d in delta[i]]
        rounding = 4 * np.finfo(np.longdouble).eps * abs(float(before))
        np.testing.assert_allclose(change[i], expected, rtol=1e-9, atol=1e-9 * size + rounding)


@losses
def test_change_is_finite_where_both_values_are(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    delta = np.full((len(eta), 1, loss.n_outputs), 900.0)
    delta[..., 0] = -900.0
    delta = case.feasible(eta[:, None], delta)
    assert np.all(np.isfinite(loss.change(y[:, None], eta[:, None], delta)))


@losses
def test_far_raw_predictions_give_finite_derivatives(name):
    """Without a warning, which the tests turn into an error."""
    case = CASES[name]
    loss, (y, _) = case.loss, case.rows()
    for size in (1e4, -1e4, 0.0):
        eta = np.full((len(y), loss.n_outputs), size)
        eta[::2, 0] *= -1.0
        delta = np.full_like(eta, 1.0 - 2.0 * size)
        value = loss.value(y, eta)
        assert np.all(np.isfinite(value) | (value == np.inf))
        assert np.all(np.isfinite(loss.response(eta)))
        assert not np.any(np.isnan(loss.change(y, eta, delta)))
        for array in (loss.gradient(y, eta), loss.hessian(y, eta)):
            assert np.all(np.isfinite(array))
        for dtype in (np.float64, np.float32):
            moved = loss.gradient_change(y, eta)(delta.astype(dtype))
            assert moved.dtype == dtype and np.all(np.isfinite(moved))


def has_slope(case):
    try:
        case.loss.curvature_slope(*case.rows())
    except NotImplementedError as error:
        assert re.search(r"third derivative of .* Write curvature_slope", str(error))
        return False
    return True


SLOPED = [name for name, case in CASES.items() if has_slope(case)]
sloped = pytest.mark.parametrize("name", SLOPED)


def test_losses_of_boosted_trees_and_of_forests_have_slopes():
    kinds = {type(CASES[name].loss) for name in SLOPED}
    assert {HalfSquaredError, Brier, Logistic, Multinomial, Exponential, Tweedie} <= kinds


def curvature_change(loss, y, eta, delta):
    """Return how the diagonal of the second derivative changes as the gradient does."""
    rise = loss.gradient_change(y, eta)(delta)
    return rise * (loss.curvature_slope(y, eta).astype(rise.dtype) - loss.curvature_bend * rise)


@sloped
def test_slopes_of_the_curvature_are_those_of_its_diagonal(name):
    """Along any direction d the diagonal changes by r times the Hessian times d."""
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    r, h = loss.curvature_slope(y, eta), 1e-5
    assert r.shape == eta.shape
    for d in np.random.default_rng(1).standard_normal((3, *eta.shape)):
        after, before = (loss.hessian_diagonal(y, eta + way * h * d) for way in (1, -1))
        mine = r * loss.hessian_product(y, eta)(d)
        np.testing.assert_allclose(mine, (after - before) / (2 * h), rtol=1e-7, atol=1e-8)


def curvature_twin(loss, y, eta):
    """Return the diagonal of the Hessian, written again, in extended precision."""
    if isinstance(loss, Multinomial):
        p = np.exp(eta - eta.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        return p * (1 - p)
    if isinstance(loss, Logistic):
        return 1 / (2 + np.exp(eta) + np.exp(-eta))
    if isinstance(loss, Exponential):
        return np.exp(-y * eta)
    if isinstance(loss, Tweedie) and not loss.constant_hessian:
        q, mu = loss.power, np.exp(eta) if loss.link == "log" else eta
        if loss.link == "log":
            return (2 - q) * mu ** (2 - q) - (1 - q) * y * mu ** (1 - q)
        return (1 - q) * mu**-q + q * y * mu ** (-q - 1)
    return np.zeros_like(eta)


@pytest.mark.skipif(np.finfo(np.longdouble).eps > 1e-18, reason="no extended precision here")
@pytest.mark.parametrize("size", [1e-7, 1e-4, 1e-2, 0.5, 3.0])
@sloped
def test_changes_of_the_curvature_do_not_cancel(name, size):
    """In extended precision the difference of the twins is good to 1e-12 at size 1e-7."""
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    delta = size * np.random.default_rng(1).standard_normal((len(eta), 5, loss.n_outputs))
    delta = case.feasible(eta[:, None], delta)
    y = y[:, None]
    for dtype, rtol in ((np.float64, 1e-11), (np.float32, 2e-6)):
        d = delta.astype(dtype)
        change = curvature_change(loss, y, eta[:, None], d)
        assert change.dtype == dtype and change.shape == d.shape
        here, target = eta[:, None].astype(np.longdouble), y.astype(np.longdouble)
        before = curvature_twin(loss, target, here)
        expected = (curvature_twin(loss, target, here + d) - before).astype(float)
        rounding = 64 * np.finfo(np.longdouble).eps * np.abs(before).astype(float)
        scale = np.abs(expected)
        if not loss.separable:  # each output moves all of them, and may move one back
            scale = scale.max(axis=1, keepdims=True)
        assert np.all(np.abs(change - expected) <= rtol * scale + rounding)


@sloped
def test_changes_of_the_curvature_are_differences(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    delta = case.feasible(eta, np.random.default_rng(1).standard_normal(eta.shape))
    expected = loss.hessian_diagonal(y, eta + delta) - loss.hessian_diagonal(y, eta)
    mine = curvature_change(loss, y, eta, delta)
    np.testing.assert_allclose(
        mine, expected, rtol=1e-11, atol=1e-12 * (1 + np.abs(expected).max())
    )


@losses
def test_the_best_constant_is_where_the_gradient_is_0(name):
    case = CASES[name]
    loss, (y, _) = case.loss, case.rows(n=30)
    known = (HalfSquaredError, Logistic, Multinomial, Exponential, Tweedie, Brier)
    if not isinstance(loss, known):
        with pytest.raises(NotImplementedError, match=r"best constant of .* was asked for"):
            loss.best_constant(np.zeros(loss.n_outputs))
        return
    y = np.abs(y) if isinstance(loss, Tweedie) else y  # a mean that every power has
    t = loss.response_targets(y)
    assert t.shape == (30, loss.n_outputs)
    best = loss.best_constant(t.mean(axis=0))
    gradient = loss.gradient(y, np.tile(best, (30, 1)))
    if not (isinstance(loss, Logistic) and loss.n_outputs > 1):
        np.testing.assert_allclose(
            loss.response(best)[..., -loss.n_outputs :], t.mean(axis=0), rtol=1e-12
        )
    assert np.abs(gradient.sum(axis=0)).max() <= 1e-12 * np.abs(gradient).sum()
    rise, h = np.linspace(0.1, -0.05, loss.n_outputs), 1e-6
    ends = (loss.best_constant(t.mean(axis=0) + way * h * rise) for way in (1, -1))
    slope = loss.best_constant_slope(t.mean(axis=0), rise)
    np.testing.assert_allclose(slope, (next(ends) - next(ends)) / (2 * h), rtol=1e-7, atol=1e-12)


SIZES = [-1e3, -60.0, -3.0, -0.4, 0.0, 0.4, 3.0, 60.0, 1e3]


@losses
@pytest.mark.parametrize("start", [-50.0, -3.0, 0.0, 3.0, 50.0, 300.0])
def test_gradient_change_is_the_difference_of_gradients(name, start):
    case = CASES[name]
    loss, rng = case.loss, np.random.default_rng(0)
    y, eta = case.rows(n=6)
    eta = start * rng.choice([-1.0, 1.0], (6, loss.n_outputs))
    eta[0] = start
    delta = rng.choice(SIZES, (6, 40, loss.n_outputs))
    delta[:, : len(SIZES), 0] = SIZES
    given = delta.copy()
    change = loss.gradient_change(y[:, None], eta[:, None])(delta)
    after = loss.gradient(y[:, None], eta[:, None] + delta)
    before = loss.gradient(y[:, None], eta[:, None])
    rounding = 1e-14 + 1e-13 * (np.abs(after) + np.abs(before))
    error = np.abs(change - (after - before)) - 1e-12 * np.abs(change)
    assert np.max(error - rounding) <= 0.0
    np.testing.assert_array_equal(delta, given)  # not overwritten


@losses
@pytest.mark.parametrize("size", [1e-7, 1e-10, 1e-14])
def test_gradient_change_of_nearly_nothing_is_the_hessian_times_it(name, size):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    delta = size * np.random.default_rng(1).standard_normal((len(eta), 5, loss.n_outputs))
    change = loss.gradient_change(y[:, None], eta[:, None])(delta)
    expected = loss.hessian_product(y[:, None], eta[:, None])(delta)
    np.testing.assert_allclose(change, expected, rtol=3e-6, atol=1e-6 * np.abs(expected).max())


@losses
@pytest.mark.parametrize("start", [-50.0, -3.0, 0.0, 3.0, 50.0])
def test_gradient_change_of_single_precision(name, start):
    case = CASES[name]
    loss, (y, _) = case.loss, case.rows(n=6)
    eta = np.full((6, loss.n_outputs), start)
    eta[1::2, 0] = 0.0
    delta = np.random.default_rng(0).choice(SIZES, (6, 40, loss.n_outputs)).astype(np.float32)
    y, eta = y[:, None], eta[:, None]
    change = loss.gradient_change(y, eta)(delta)
    assert change.dtype == np.float32
    after, before = loss.gradient(y, eta + delta.astype(float)), loss.gradient(y, eta)
    most = np.finfo(np.float32).max
    expected = np.clip(after - before, -most, most)
    rounding = 1e-6 * (1.0 + np.abs(after) + np.abs(before))
    assert np.max(np.abs(change - expected) - rounding - 1e-5 * np.abs(expected)) <= 0.0
    tiny = (1e-7 * delta).astype(np.float32)
    change = loss.gradient_change(y, eta)(tiny)
    exact = loss.gradient_change(y, eta)(tiny.astype(float))
    exact = np.clip(exact, -most, most)
    np.testing.assert_allclose(change, exact, rtol=2e-5, atol=1e-6 * np.abs(exact).max())


@pytest.mark.parametrize("name", SMOOTH)
def test_certified_bounds_hold(name):
    """|l'''| <= l'' / scale: the Hessian grows by e^(|d| / scale) at most, over any distance."""
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows(n=40, scale=3.0)
    before = loss.hessian(y, eta)
    for d in (-1.0, -0.1, -1e-3, 1e-3, 0.1, 1.0):
        bound = before * np.exp(abs(d) / loss.curvature_scale)
        assert np.all(loss.hessian(y, eta + d) <= bound * (1 + 1e-9) + 1e-12 * before.max())
    assert loss.convex and np.all(before >= 0)


@losses
def test_hessians_stay_as_far_as_is_said(name):
    """Where it is constant in pieces it is the same, elsewhere within a factor or two."""
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows(n=60, scale=2.0)
    room, before = loss.distance_to_bend(y, eta), loss.hessian(y, eta)
    assert room.shape == eta.shape and np.all(room >= 0.0)
    assert np.any(room > 0.0)
    size = np.abs(before).reshape(len(eta), -1).max(axis=1)
    for way in (-0.999, -0.5, 0.5, 0.999):
        moved = loss.hessian(y, eta + way * np.minimum(room, 1e3))
        off = np.abs(moved - before).reshape(len(eta), -1).max(axis=1)
        assert np.all(off <= 1.75 * size + 1e-15)


@pytest.mark.parametrize(
    "loss", [SquaredHinge(TWO), ModifiedHuber(TWO), Huber(0.7), SquaredEpsilonInsensitive(0.3)]
)
def test_bends_are_where_the_second_derivative_jumps(loss):
    """Both ways up to the bend it is the same, and just beyond it is another one way."""
    rng = np.random.default_rng(0)
    y = rng.choice([-1.0, 1.0], (50, 1)) if loss.classes is not None else np.zeros((50, 1))
    eta = rng.uniform(-3.0, 3.0, (50, 1))
    room, G = loss.distance_to_bend(y, eta), loss.hessian(y, eta)
    for way in (-0.999, 0.999):
        np.testing.assert_array_equal(loss.hessian(y, eta + way * room), G)
    beyond = [loss.hessian(y, eta + way * room) != G for way in (-1.001, 1.001)]
    assert np.all(beyond[0] | beyond[1])


@losses
def test_convexity_is_what_it_says(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows(n=60, scale=3.0)
    eigenvalues = np.linalg.eigvalsh(diagonal(loss, loss.hessian(y, eta)))
    assert loss.convex == bool(np.min(eigenvalues) >= -1e-12)


@losses
def test_canonical_hessians_do_not_depend_on_the_target(name):
    """The expected Hessian is the Hessian where no target can change it."""
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows(n=30)
    G = loss.hessian(y, eta)
    moved = np.roll(y, 1, axis=0)
    counted = y.ndim == 1 or np.array_equal(np.isnan(y), np.isnan(moved))
    if loss.canonical and not counted:  # pairs of classes: given which pairs a row is of
        moved = np.where(np.isnan(y), y, 1.0 - y)
    if loss.canonical:
        np.testing.assert_array_equal(loss.hessian(moved, eta), G)


@losses
def test_constant_and_identical_hessians_are_what_they_say(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows(n=30)
    G = loss.hessian(y, eta)
    other = loss.hessian(y, case.feasible(eta, eta + 1.0))
    assert loss.constant_hessian == bool(np.array_equal(G, other))
    if loss.constant_hessian and loss.identical_outputs:
        assert np.ptp(G) == 0.0
        assert loss.curvature_scale == np.inf


@losses
def test_shifts_of_all_outputs_change_nothing_where_promised(name):
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows()
    if loss.shift_invariant:
        np.testing.assert_allclose(loss.value(y, eta + 3.0), loss.value(y, eta), rtol=1e-12)
        np.testing.assert_allclose(loss.hessian(y, eta).sum(axis=-1), 0.0, atol=1e-15)


@pytest.mark.parametrize("name", COUPLED)
def test_certified_bounds_hold_where_outputs_are_coupled(name):
    """In every direction the Hessian grows by e^(2 max |d| / scale) at most, over any distance."""
    case = CASES[name]
    loss, (y, eta) = case.loss, case.rows(n=40, scale=3.0)
    before, rng = loss.hessian(y, eta), np.random.default_rng(2)
    for size in (1e-3, 0.1, 1.0):
        d = size * rng.standard_normal(eta.shape)
        growth = np.exp(2.0 * np.abs(d).max(axis=1) / loss.curvature_scale)
        room = np.linalg.eigvalsh(growth[:, None, None] * before - loss.hessian(y, eta + d))
        assert np.all(room >= -1e-12 * growth[:, None])


class Stated(Loss):
    """A binary logistic loss, of which nothing is promised but what a subclass says."""

    n_outputs = 1
    classes = np.array([0, 1])

    def encode(self, y):
        return np.asarray(y, dtype=float).reshape(-1, 1)

    def value(self, y, eta):
        return np.sum(np.logaddexp(0.0, eta) - y * eta, axis=-1)

    def gradient(self, y, eta):
        return 0.5 + 0.5 * np.tanh(0.5 * eta) - y

    def hessian(self, y, eta):
        return 0.25 / np.cosh(0.5 * eta) ** 2


class Shy(Stated):
    """One promise at a time is left out of those the logistic loss could make."""

    curvature_scale = 1.0
    canonical = identical_outputs = convex = True

    def __init__(self, without):
        setattr(self, without, None if without == "curvature_scale" else False)


def wrapped(loss):
    """Return the losses composed of one, by name."""
    return {
        "bregman": Bregman(loss),
        "transformed": TransformedTarget(loss, np.asarray, np.asarray),
        "rest": OneVsRest(loss, THREE),
        "pairs": OneVsOne(loss, THREE),
        "joint": Joint((Logistic(TWO), loss)),
        "twice": Bregman(Joint((OneVsRest(loss, TWO), Logistic(TWO)))),
    }


def test_losses_composed_of_one_that_promises_nothing_promise_nothing():
    for name, loss in wrapped(Stated()).items():
        assert loss.curvature_scale is None, name
        assert not any(getattr(loss, promise) for promise in PROMISES), name


@pytest.mark.parametrize("promise", ["curvature_scale", "canonical", "identical_outputs", "convex"])
def test_a_promise_that_a_part_does_not_make_is_not_made(promise):
    others = {"canonical", "convex"} - {promise}
    for name, loss in wrapped(Shy(promise)).items():
        assert not getattr(loss, promise), name
        assert all(getattr(loss, other) for other in others), name


def test_unknown_is_not_the_smallest_scale():
    """The minimum over parts of which one is unknown is not that of the others."""
    joint = Joint((Logistic(TWO), HalfSquaredError(), Stated()))
    assert joint.curvature_scale is None
    assert Joint((Logistic(TWO), HalfSquaredError())).curvature_scale == 1.0


@losses
def test_temperatures_are_changed_where_there_are_any(name):
    loss = CASES[name].loss
    if loss.temperature is None:
        with pytest.raises(TypeError, match=r"which has none; SmoothHinge, .* Leave temperature"):
            loss.at_temperature(0.1)
    else:
        moved = loss.at_temperature(0.1)
        assert type(moved) is type(loss) and moved.temperature == moved.curvature_scale == 0.1
        assert loss.temperature == 0.3


def test_shift_groups_are_the_outputs_that_shift_together():
    groups = {name: CASES[name].loss.shift_groups() for name in ("logistic", "multinomial")}
    assert groups == {"logistic": [], "multinomial": [slice(0, 3)]}
    twice = Joint((CASES["logistic"].loss, Multinomial(TWO), CASES["joint"].loss))
    assert twice.shift_groups() == [slice(1, 3), slice(3, 6)]


def test_defaults_of_the_contract():
    """A loss of three methods, as a user writes it."""

    class Quartic(Loss):
        n_outputs = 2

        def encode(self, y):
            return np.asarray(y, float)

        def value(self, y, eta):
            return np.sum((eta - y) ** 4, axis=-1)

        def gradient(self, y, eta):
            return 4 * (eta - y) ** 3

        def hessian(self, y, eta):
            return 12 * (eta - y) ** 2

    loss = Quartic()
    assert loss.n_responses == loss.target_width == 2
    assert loss.targets is None and loss.temperature is None and loss.classes is None
    assert loss.separable  # the shape of `hessian`, no promise
    assert loss.curvature_scale is None
    assert not any(getattr(loss, promise) for promise in PROMISES)
    y, eta = np.zeros((1, 2)), np.array([[1.0, 2.0]])
    assert loss.change(y, eta, -eta) == -17.0
    np.testing.assert_array_equal(loss.gradient_change(y, eta)(-eta), [[-4.0, -32.0]])


def test_unseen_labels_and_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"\['z'\] were never seen in training; the model knows"):
        encode_labels(["a", "z"], TWO)
    with pytest.raises(ValueError, match="Multi-label targets are not supported"):
        encode_labels(np.eye(2), TWO)
