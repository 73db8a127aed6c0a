"""Square roots of Gauss-Newton blocks: Z'Z is the block without its penalty."""

import numpy as np
import pytest

from skinfluence.curvature import Curvature, hessian_roots
from tests.objectives.test_linear import KINDS
from tests.objectives.test_network import objective as network
from tests.solvers.test_solvers import WIDE


@pytest.mark.parametrize("kind", WIDE)
def test_they_are_the_curvature_of_a_wide_model(kind):
    curvature = Curvature(WIDE[kind](), damping=0.3)
    size, of_output = curvature.block_shape()[1], curvature.objective.block_size
    scale = np.tile(np.random.default_rng(0).uniform(0.5, 1.5, of_output), size // of_output)
    roots = hessian_roots(curvature.objective)
    for root, diagonal, H in zip(roots, curvature.diagonal(), curvature.blocks(), strict=True):
        Z = root.dot(np.eye(size))
        assert len(Z) == root.rank < size
        np.testing.assert_allclose(root.t_dot(np.eye(root.rank)), Z.T, atol=1e-12)
        np.testing.assert_allclose(Z.T @ Z + np.diag(diagonal), H, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(root.gram(scale), (Z * scale) @ Z.T, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_models_with_more_rows_than_parameters_have_none(kind):
    assert hessian_roots(KINDS[kind]()) is None


def test_curvatures_that_are_no_gauss_newton_matrix_have_none():
    few = network("three-tanh").rows(slice(0, 4))
    assert hessian_roots(few) is not None
    assert Curvature(few).roots() is not None and Curvature(few, "hessian").roots() is None
