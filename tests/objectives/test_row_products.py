"""Inner products of rows, in every form of X, and who shares them."""

import pickle

import numpy as np
import pytest
from scipy import sparse

from skinfluence.curvature import hessian_roots
from skinfluence.losses import HalfSquaredError, SquaredHinge
from skinfluence.objectives import LinearObjective
from skinfluence.objectives.row_products import (
    between,
    mirror,
    row_products,
    squared_lengths,
)

RNG = np.random.default_rng(0)
# Columns that half of the rows have, and columns that hardly any has.
SHARE = np.where(np.arange(90) < 7, 0.5, 0.02)
X = RNG.standard_normal((70, 90)) * (RNG.random((70, 90)) < SHARE)
FORMS = {
    "dense": lambda X: X,
    "single": lambda X: X.astype(np.float32),
    "fortran": np.asfortranarray,
    "sparse": sparse.csr_matrix,
    "sparse-single": lambda X: sparse.csr_matrix(X.astype(np.float32)),
}
forms = pytest.mark.parametrize("form", FORMS)


def exact(X):
    X = X.toarray() if sparse.issparse(X) else X
    return X.astype(np.float64)


@forms
@pytest.mark.parametrize("tile", [16, 512])
def test_products_of_rows(form, tile, tune):
    tune(tile=tile)
    A = FORMS[form](X)
    expected = exact(A) @ exact(A).T
    found = row_products(A)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(squared_lengths(A), np.diag(expected), atol=1e-13)
    for other in FORMS:
        B = FORMS[other](X[:9] + 1.0)
        np.testing.assert_allclose(between(A, B), exact(A) @ exact(B).T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("common", [0.5, 5, 1e9], ids=["none", "some", "all"])
def test_it_does_not_matter_which_columns_are_common(common, tune):
    tune(common_columns=common)
    np.testing.assert_allclose(row_products(sparse.csr_matrix(X)), X @ X.T, rtol=0, atol=1e-13)


def test_mirror():
    A = np.triu(RNG.standard_normal((1100, 1100)))
    expected = A + np.triu(A, 1).T
    mirror(A)
    np.testing.assert_array_equal(A, expected)


def objective(loss=None, form="sparse"):
    y = RNG.integers(0, 2, 70) if loss else RNG.standard_normal(70)
    coef = np.zeros((1, 90))
    return LinearObjective.from_coefficients(
        FORMS[form](X), y, loss or HalfSquaredError(), coef, 0.0, l2=1.0
    )


def test_objectives_over_the_same_rows_share_them():
    one = objective()
    shared = one.row_products
    moved = one.at(one.theta + 1.0)
    weighed = one.with_weights(2.0 * one.sample_weight)
    assert moved.row_products is weighed.row_products is shared
    matrix = shared.matrix()
    assert moved.row_products.matrix() is matrix
    other = one.on(one.X[:5])
    assert other.row_products is not shared and shared.place(other.row_products) is None
    np.testing.assert_allclose(other.row_products.matrix(), matrix[:5, :5], atol=1e-14)


def test_some_rows_know_which_they_are():
    one = objective()
    part = one.rows(slice(10, 60)).rows(np.array([3, 0, 40])).at(one.theta + 1.0)
    chosen = np.array([13, 10, 50])
    np.testing.assert_array_equal(one.row_products.place(part.row_products), chosen)
    np.testing.assert_allclose(
        one.row_products.times(part.row_products), (X @ X.T)[:, chosen], atol=1e-13
    )
    np.testing.assert_allclose(
        part.row_products.matrix(), (X @ X.T)[np.ix_(chosen, chosen)], atol=1e-13
    )


def test_products_are_not_pickled():
    one = objective()
    one.row_products.matrix()
    size = len(pickle.dumps(one))
    again = pickle.loads(pickle.dumps(one))
    assert size < len(pickle.dumps(objective())) + 100
    np.testing.assert_allclose(again.row_products.matrix(), X @ X.T, atol=1e-13)


def test_rows_without_curvature_need_no_products():
    """Where they are most of the rows, those of the others are enough."""
    for far, whole in ((5.0, False), (0.0, True)):
        one = objective(SquaredHinge(np.arange(2)))
        eta = np.where(np.arange(70) < 60, far * (2.0 * one.y.ravel() - 1.0), 0.0)
        one.__dict__["_eta"] = eta[:, None]
        (root,) = hessian_roots(one)
        assert (root.products is one.row_products) == whole
        assert root.rank == (70 if whole else 10)
        scale = np.ones(91)
        Z = root.dot(np.eye(91))
        np.testing.assert_allclose(root.gram(scale), Z @ Z.T, atol=1e-12)
        scale[:90] = np.linspace(1.0, 2.0, 90)  # no objective has it, but roots allow for it
        np.testing.assert_allclose(root.gram(scale), Z * scale @ Z.T, atol=1e-12)
        assert root.meets(np.ones(91), np.array([90])) == whole
        assert not root.meets(scale, np.array([90]))
        assert not root.meets(np.ones(91), np.array([3]))
