"""The curvature as an operator: its kinds, its products and its blocks."""

import numpy as np
import pytest

from skinfluence.curvature import Curvature
from skinfluence.losses import Tweedie
from skinfluence.objectives import AutogradObjective, LinearObjective
from tests.objectives.test_linear import KINDS
from tests.objectives.test_network import objective as network


def dense(curvature):
    return curvature.matmat(np.eye(curvature.n_params))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damping", [0.0, 2.5])
def test_products_and_blocks_are_one_matrix(kind, damping):
    model = KINDS[kind]()
    curvature = Curvature(model, damping=damping)
    H = dense(curvature)
    np.testing.assert_allclose(
        H, model.hvp(np.eye(len(H))) + damping * np.eye(len(H)), rtol=1e-12, atol=1e-10
    )
    size = curvature.block_shape()[1]
    for b, block in enumerate(curvature.blocks()):
        here = slice(b * size, (b + 1) * size)
        np.testing.assert_allclose(block, H[here, here], rtol=1e-10, atol=1e-10)
    largest = np.linalg.eigvalsh(H)[-1]
    assert curvature.largest(100) == pytest.approx(largest, rel=1e-2)


def test_a_network_has_two_curvatures_and_prefers_the_definite_one():
    model = network("three-tanh")
    auto, hessian = Curvature(model), Curvature(model, "hessian")
    np.testing.assert_array_equal(dense(auto), dense(Curvature(model, "gauss_newton")))
    assert np.abs(dense(hessian) - dense(auto)).max() > 1e-3 * np.abs(dense(auto)).max()
    assert auto.positive_semidefinite and not hessian.positive_semidefinite
    assert hessian.roots() is None


@pytest.mark.parametrize("damping, shifts", [(0.0, 1), (0.1, 0)])
def test_what_is_flat_is_taken_off_unless_damping_holds_it(damping, shifts):
    curvature = Curvature(KINDS["multinomial"](), damping=damping)
    assert len(curvature.flat_shifts()) == shifts
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 2))
    kept = curvature.off_gauge(V)
    for shift in curvature.flat_shifts():
        np.testing.assert_allclose(kept[shift].sum(axis=0), 0.0, atol=1e-12)
    if not shifts:
        assert kept is V


def test_kinds_that_are_not_there_are_refused():
    own = AutogradObjective(
        lambda theta, X, y: (X @ theta - y) ** 2, np.zeros(2), l2=1.0, X=np.eye(2), y=np.ones(2)
    )
    X, y = np.ones((4, 1)), np.arange(1.0, 5.0)
    other = LinearObjective.from_coefficients(X, y, Tweedie(1.5), [0.1], 0.0, l2=1.0)
    for arguments, message in (
        ((own, "hesian"), r"curvature='hesian' was given; accepted are \('auto', "),
        ((own, "auto", -1.0), r"damping=-1\.0 was given; a number >= 0"),
        ((own, "gauss_newton"), r"AutogradObjective has no raw predictions .*curvature='auto'"),
        ((other, "fisher"), r"under Tweedie, which is not canonical, .*curvature='auto'"),
    ):
        with pytest.raises(ValueError, match=message):
            Curvature(*arguments)
