"""Features whose inner products are a kernel, and columns of features."""

import re

import numpy as np
import pytest
from scipy import sparse
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.metrics.pairwise import linear_kernel, polynomial_kernel, rbf_kernel, sigmoid_kernel

from skinfluence.objectives import KernelFeatures
from skinfluence.objectives.features import AsGiven, Selected, as_rows
from tests.cases import classification

DATA = classification(n=40, p=3, n_test=9)


def rbf(X, Y):
    return rbf_kernel(X, Y, gamma=0.3)


def quadratic(X, Y):
    return polynomial_kernel(X, Y, degree=2, gamma=0.5, coef0=1.0)


def constant(X, Y):
    return np.full((len(X), len(Y)), 2.0)


# What a kernel of three features spans: linear 3, quadratic 1 + 3 + 6.
KERNELS = {
    "rbf": (rbf, None),
    "process": (ConstantKernel(2.0) * RBF(1.5), None),
    "linear": (linear_kernel, 3),
    "quadratic": (quadratic, 10),
    "constant": (constant, 1),
}
kernels = pytest.mark.parametrize("name", KERNELS)


@kernels
def test_products_of_features_are_the_kernel(name):
    kernel, rank = KERNELS[name]
    K = kernel(DATA.X, DATA.X)
    features, Phi = KernelFeatures.of(kernel, DATA.X, K.copy())
    scale = K.max()
    np.testing.assert_allclose(Phi @ Phi.T, K, rtol=1e-10, atol=1e-10 * scale)
    assert Phi.shape == (40, len(features.lower))
    if rank is not None:
        assert Phi.shape[1] == rank
    # New rows by the same factor, and the training rows themselves among them.
    phi = features(DATA.X_test)
    np.testing.assert_allclose(
        phi @ Phi.T, kernel(DATA.X_test, DATA.X), rtol=1e-7, atol=1e-7 * scale
    )
    again = features(DATA.X)
    np.testing.assert_allclose(again @ Phi.T, K, rtol=1e-7, atol=1e-7 * scale)


@kernels
def test_features_of_some_rows_are_those_of_all(name):
    kernel, _ = KERNELS[name]
    features, _ = KernelFeatures.of(kernel, DATA.X, kernel(DATA.X, DATA.X))
    expected = features(DATA.X_test)[3:5]
    np.testing.assert_allclose(features(DATA.X_test[3:5]), expected, rtol=1e-9, atol=1e-12)


def test_rows_given_twice_add_no_feature():
    K = rbf(DATA.X[:20], DATA.X[:20])
    once, Phi = KernelFeatures.of(rbf, DATA.X[:20], K.copy())
    X = np.vstack([DATA.X[:20], DATA.X[4:9]])
    twice, Psi = KernelFeatures.of(rbf, X, rbf(X, X))
    assert Psi.shape == (25, Phi.shape[1]) == (25, 20)
    np.testing.assert_allclose(Psi @ Psi.T, rbf(X, X), atol=1e-12)
    phi, psi = once(DATA.X_test), twice(DATA.X_test)
    np.testing.assert_allclose(phi @ phi.T, psi @ psi.T, rtol=1e-9)


def test_the_norm_of_a_function_is_that_of_its_parameters():
    """|f|^2 = alpha' K alpha = |theta|^2 for f = sum_i alpha_i k(x_i, .), theta = Phi' alpha."""
    K = quadratic(DATA.X, DATA.X)
    features, Phi = KernelFeatures.of(quadratic, DATA.X, K.copy())
    alpha = np.random.default_rng(0).standard_normal(40)
    theta = Phi.T @ alpha
    np.testing.assert_allclose(theta @ theta, alpha @ K @ alpha, rtol=1e-10)
    expected = quadratic(DATA.X_test, DATA.X) @ alpha
    np.testing.assert_allclose(features(DATA.X_test) @ theta, expected, rtol=1e-8)


def test_sparse_rows_are_pivots_as_they_are():
    X = sparse.csr_matrix(np.where(DATA.X > 0.3, DATA.X, 0.0))
    features, Phi = KernelFeatures.of(rbf, X, rbf(X, X))
    assert sparse.issparse(features.pivots)
    dense, Psi = KernelFeatures.of(rbf, X.toarray(), rbf(X, X))
    np.testing.assert_allclose(Phi @ Phi.T, Psi @ Psi.T, atol=1e-12)
    test = sparse.csr_matrix(DATA.X_test)
    np.testing.assert_allclose(features(test), dense(DATA.X_test), rtol=1e-6, atol=1e-9)


def test_single_precision_rows_have_features_in_double():
    X = DATA.X.astype(np.float32)
    features, Phi = KernelFeatures.of(rbf, X, rbf(X, X))
    assert Phi.dtype == features(X).dtype == np.float64


INDEFINITE = {
    "sigmoid": sigmoid_kernel(DATA.X, DATA.X, gamma=2.0, coef0=-1.0),
    "negative diagonal": -rbf(DATA.X, DATA.X),
    "one negative direction": np.diag(np.r_[np.ones(39), -0.1]),
    "zero diagonal": 1.0 - np.eye(40),
    "shifted": rbf(DATA.X, DATA.X) - 0.3,
    "not finite": np.full((40, 40), np.nan),
}


@pytest.mark.parametrize("name", INDEFINITE)
def test_indefinite_kernels_are_refused(name):
    K = INDEFINITE[name]
    if name != "not finite":
        assert np.linalg.eigvalsh(K)[0] < -1e-3
    message = re.escape(
        "The kernel of the training rows is not positive semidefinite (sigmoid kernels often are "
        "not), so the fitted model is not the minimum of a convex problem and no removal can be "
        "derived. Use a kernel such as 'rbf', 'poly' with coef0 >= 0, or 'linear'."
    )
    with pytest.raises(ValueError, match=message):
        KernelFeatures.of(rbf, DATA.X, K.copy())


# ------------------------------------------------------------------------------ rows and columns


def test_rows_as_given():
    assert AsGiven()(DATA.X) is DATA.X
    single = DATA.X.astype(np.float32)
    assert AsGiven()(single) is single
    assert as_rows(DATA.X[:0]).shape == (0, 3)
    thin = as_rows(sparse.csc_matrix(DATA.X))
    assert thin.format == "csr" and thin.shape == (40, 3)
    whole = as_rows([[1, 2], [3, 4]])
    assert whole.dtype == np.float64


def test_selected_columns():
    columns = np.array([2, 0])
    chosen = Selected(AsGiven(), columns)
    np.testing.assert_array_equal(chosen(DATA.X), DATA.X[:, columns])
    np.testing.assert_array_equal(chosen(sparse.csr_matrix(DATA.X)).toarray(), DATA.X[:, columns])
    features, Phi = KernelFeatures.of(rbf, DATA.X, rbf(DATA.X, DATA.X))
    np.testing.assert_allclose(Selected(features, columns)(DATA.X), Phi[:, columns], atol=1e-9)
