"""Losses at many parameters at once: one objective for each, or a stack of its own."""

import numpy as np
import pytest

from skinfluence.objectives.stacked import StackedObjectives, stacked
from skinfluence.objectives.stacked_networks import StackedNetworks
from tests.curvature.preconditioners.test_selection import Quadratic, quadratic
from tests.objectives.test_linear import KINDS
from tests.objectives.test_network import objective as network

RNG = np.random.default_rng(0)


def columns(model, m=3):
    Theta = model.theta[:, None] + 0.1 * RNG.standard_normal((model.n_params, m))
    W = RNG.uniform(0.5, 1.5, (model.n_samples, m))
    W[1, 0] = 0.0
    return Theta, W


@pytest.mark.parametrize("model", [quadratic(), KINDS["multinomial"](), network("three-tanh")])
def test_a_column_is_the_objective_there_without_its_penalty(model):
    Theta, W = columns(model)
    S = RNG.standard_normal(Theta.shape)
    stack = stacked(model, Theta, W)
    for j in range(3):
        column = model.at(Theta[:, j]).with_weights(W[:, j])
        penalty = 0.5 * column.l2 @ column.theta**2
        assert stack.values()[j] == pytest.approx(column.value() - penalty, rel=1e-10)
        for found, truth in (
            (stack.gradients()[:, j], column.gradient() - column.l2 * column.theta),
            (stack.products(S)[:, j], column.hvp(S)[:, j] - column.l2 * S[:, j]),
        ):
            np.testing.assert_allclose(found, truth, rtol=0, atol=1e-10 * np.abs(truth).max())


def test_networks_are_stacked_in_each_pass():
    for model, cls in ((network("three-tanh"), StackedNetworks), (quadratic(), StackedObjectives)):
        assert type(stacked(model, *columns(model))) is cls


def test_an_outsider_registers_a_stack_of_his_own():
    class Own(Quadratic):
        """The objective that is registered for."""

    class Stack(StackedObjectives):
        """Its stack."""

    stacked.register(Own, Stack)
    assert type(stacked(quadratic(Own), *columns(quadratic()))) is Stack
    assert type(stacked(quadratic(), *columns(quadratic()))) is StackedObjectives
