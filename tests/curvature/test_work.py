"""What a curvature takes, counted; nothing where nobody has."""

import numpy as np
import pytest
from scipy import sparse

from skinfluence.curvature import Curvature
from skinfluence.curvature.work import work
from skinfluence.losses import Logistic
from skinfluence.objectives import LinearObjective
from tests.objectives.test_network import objective as network
from tests.solvers.test_solvers import WIDE


def binary(n, p, density=1.0, n_outputs=1):
    rng = np.random.default_rng(0)
    X = sparse.random(n, p, density, "csr", random_state=0) if density < 1 else rng.random((n, p))
    classes = np.arange(max(2, n_outputs))
    y = np.resize(classes, n)
    return LinearObjective.from_coefficients(
        X, y, Logistic(classes), np.zeros((n_outputs, p)), 0.0, l2=1.0
    )


def test_dense_counts():
    found = work(binary(500, 29))
    assert found.forming == 500 * 30 * 30 / 2
    assert found.factor == 30**3 / 6
    assert (found.solve, found.product) == (30 * 30, 2 * 500 * 30)
    assert (found.n_products, found.n_outputs, found.sparse) == (7, 1, False)
    assert found.preconditioner == pytest.approx(0.15 * found.forming + 0.5 * found.factor)


def test_each_output_has_a_block():
    one, three = work(binary(500, 29)), work(binary(500, 29, n_outputs=3))
    for name in ("forming", "factor", "solve", "product", "n_outputs"):
        assert getattr(three, name) == 3 * getattr(one, name)


def test_a_product_with_a_sparse_matrix_takes_its_entries():
    model = binary(400, 50, density=0.1)
    found = work(model)
    assert found.sparse and found.product == 2 * model.X.nnz
    assert found.forming == model.X.nnz**2 / 400 + 51**2


def test_where_a_subsample_is_too_large_products_are_many(tune):
    tune(subsampled_params=20)
    found = work(binary(500, 29))
    assert found.n_products == 60 and found.preconditioner == found.product


def test_of_networks_and_of_models_by_their_rows_nobody_counts():
    assert work(network("three-tanh")) is None
    assert Curvature(WIDE["wide-binary"]()).work() is None
    assert Curvature(binary(500, 29)).work() == work(binary(500, 29))
