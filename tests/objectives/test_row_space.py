"""Axes of the space that rows span, from their products or from the rows themselves."""

import numpy as np
import pytest
from scipy import sparse

from skinfluence.losses import HalfSquaredError
from skinfluence.objectives import LinearObjective
from skinfluence.objectives.row_products import RowProducts
from skinfluence.objectives.row_space import DenseAxes, RowAxes, axes_of, lifted, within

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((12, 40))
TWINS = np.concatenate([ROWS, ROWS[:3]])  # of rank 12
STEEP = ROWS * np.logspace(0, -7, 12)[:, None] + 1e-3 * ROWS[:1]
FORMS = {
    "rows": (ROWS, RowAxes, 12),
    "single": (ROWS.astype(np.float32), RowAxes, 12),
    "sparse": (sparse.csr_matrix(ROWS), RowAxes, 12),
    "twins": (TWINS, DenseAxes, 15),
    "sparse-twins": (sparse.csr_matrix(TWINS), RowAxes, 12),
    "steep": (STEEP, DenseAxes, 12),
}


@pytest.mark.parametrize("form", FORMS)
def test_axes_are_orthonormal_and_span_the_rows(form):
    X, kind, rank = FORMS[form]
    axes = axes_of(RowProducts(X))
    assert type(axes) is kind and axes.rows.shape == (X.shape[0], rank) and axes.n_features == 40
    U = axes.lift(np.eye(rank))
    dense = X.toarray() if sparse.issparse(X) else X.astype(np.float64)
    np.testing.assert_allclose(U.T @ U, np.eye(rank), atol=1e-12)
    np.testing.assert_allclose(axes.rows @ U.T, dense, rtol=0, atol=1e-12)
    V = RNG.standard_normal((40, 3))
    np.testing.assert_allclose(axes.coordinates(V), U.T @ V, atol=1e-12)


@pytest.mark.parametrize("intercept", [True, False])
def test_parameters_in_coordinates_and_back(intercept):
    axes = axes_of(RowProducts(ROWS))
    size = 40 + intercept
    V = RNG.standard_normal((2, size, 3))
    V[:, :40] = ROWS.T @ RNG.standard_normal((2, 12, 3))
    V = V.reshape(2 * size, 3)
    small = within(axes, V, 2)
    assert small.shape == (2 * (12 + intercept), 3)
    np.testing.assert_allclose(np.linalg.norm(small, axis=0), np.linalg.norm(V, axis=0))
    np.testing.assert_allclose(lifted(axes, small, 2), V, atol=1e-11)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_the_objective_there_is_the_same(form):
    n, theta = len(TWINS), (TWINS.T @ RNG.standard_normal((len(TWINS), 2))).T
    y = RNG.standard_normal((n, 2))
    one = LinearObjective.from_coefficients(
        form(TWINS), y, HalfSquaredError(2), theta, [0.3, 0.1], l2=np.array([0.5, 2.0])
    )
    small, axes = one.in_row_space()
    np.testing.assert_allclose(small.value(), one.value(), rtol=1e-12)
    np.testing.assert_allclose(small.raw_predictions(), one.raw_predictions(), atol=1e-11)
    gradient = lifted(axes, small.gradient()[:, None], 2)[:, 0]
    np.testing.assert_allclose(gradient, one.gradient(), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(small.row_products.matrix(), one.row_products.matrix())
    np.testing.assert_allclose(small.row_products.matrix(), small.X @ small.X.T, atol=1e-11)
    outside = one.at(one.theta + RNG.standard_normal(one.n_params))
    assert outside.in_row_space() is None


def test_few_long_rows_are_worth_it():
    def of(X):
        y = np.zeros(X.shape[0])
        return LinearObjective.from_coefficients(
            X, y, HalfSquaredError(), np.zeros(X.shape[1]), 0, l2=1
        )

    assert of(RNG.standard_normal((5, 100))).row_space_is_small
    assert not of(RNG.standard_normal((50, 100))).row_space_is_small
    assert not of(RNG.standard_normal((50, 3))).row_space_is_small
    assert not of(sparse.random(50, 10_000, density=0.01, format="csr")).row_space_is_small
