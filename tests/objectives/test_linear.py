"""What the table of cases does not reach: sparse and float32 rows, blocks, gauge, weights."""

import numpy as np
import pytest
from scipy import sparse

from skinfluence.losses import HalfSquaredError, Logistic, Multinomial
from skinfluence.objectives import LinearObjective, base
from tests.cases import BINARY, REALS, THREE


def objective(data, loss, X=None, intercept=True, l2=0.7):
    n_outputs = loss.n_outputs
    rng = np.random.default_rng(0)
    coef = rng.standard_normal((n_outputs, data.X.shape[1]))
    b = rng.standard_normal(n_outputs) if intercept else None
    X = data.X if X is None else X
    return LinearObjective.from_coefficients(X, data.y, loss, coef, b, l2=l2, sample_weight=data.s)


KINDS = {
    "binary": lambda **kw: objective(BINARY, Logistic(np.unique(BINARY.y)), **kw),
    "one-vs-rest": lambda **kw: objective(THREE, Logistic(np.unique(THREE.y)), **kw),
    "multinomial": lambda **kw: objective(THREE, Multinomial(np.unique(THREE.y)), **kw),
    "squared": lambda **kw: objective(REALS, HalfSquaredError(3), **kw),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("intercept", [True, False])
def test_products_are_those_of_the_explicit_jacobian(kind, intercept):
    one = KINDS[kind](intercept=intercept)
    n, K = one.n_samples, one.loss.n_outputs
    X1 = np.column_stack([one.X, np.ones(n)]) if intercept else one.X
    J = np.einsum("kl,ij->iklj", np.eye(K), X1).reshape(n, K, one.n_params)  # J_i = I_K (x) x_i'
    V = np.random.default_rng(1).standard_normal((one.n_params, 3))
    B = np.random.default_rng(2).standard_normal((n, K, 3))
    np.testing.assert_allclose(one.raw_predictions(), J @ one.theta, rtol=1e-12)
    np.testing.assert_allclose(one.jacobian_dot(V), J @ V, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        one.jacobian_t_dot(B), np.einsum("ikp,ikv->pv", J, B), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(
        one.jacobian_t_rows(B[:, :, 0]), np.einsum("ikp,ik->pi", J, B[:, :, 0]), atol=1e-12
    )


@kinds
def test_hessian_blocks_equal_products(kind):
    one = KINDS[kind]()
    blocks = one.hessian_blocks()
    n_blocks, d = one.block_shape()
    assert blocks.shape == (n_blocks, d, d)
    H = one.hvp(np.eye(one.n_params))
    repeats = one.n_params // (n_blocks * d)
    for b in range(n_blocks * repeats):
        here = slice(b * d, (b + 1) * d)
        np.testing.assert_allclose(blocks[b if n_blocks > 1 else 0], H[here, here], atol=1e-10)
        outside = np.delete(H[here], np.arange(one.n_params)[here], axis=1)
        np.testing.assert_allclose(outside, 0.0, atol=1e-12)


@kinds
def test_sparse_rows_equal_dense_rows(kind):
    dense = KINDS[kind]()
    thin = KINDS[kind](X=sparse.csc_matrix(dense.X))
    assert sparse.issparse(thin.X) and thin.X.format == "csr"
    V = np.random.default_rng(1).standard_normal((dense.n_params, 3))
    np.testing.assert_allclose(thin.gradient(), dense.gradient(), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(thin.hvp(V), dense.hvp(V), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(thin.hessian_blocks(), dense.hessian_blocks(), atol=1e-10)
    B = np.ones((dense.n_samples, dense.loss.n_outputs))
    np.testing.assert_allclose(thin.jacobian_t_rows(B), dense.jacobian_t_rows(B))


@kinds
def test_float32_rows_keep_their_precision_in_products_only(kind):
    double = KINDS[kind]()
    single = KINDS[kind](X=double.X.astype(np.float32))
    assert single.dtype == np.float32
    assert np.shares_memory(single.X, single.rows(slice(0, 5)).X)
    assert single.gradient().dtype == np.float64
    assert single.hessian_blocks().dtype == np.float64
    scale = np.abs(double.hessian_blocks()).max()
    np.testing.assert_allclose(
        single.hessian_blocks(), double.hessian_blocks(), rtol=1e-6, atol=1e-6 * scale
    )


@kinds
@pytest.mark.parametrize("block", [1, 40, 10**6])
def test_results_do_not_depend_on_the_block_size(kind, block, monkeypatch):
    V = np.random.default_rng(1).standard_normal((KINDS[kind]().n_params, 3))
    expected = KINDS[kind]()
    gradient, H, HV = expected.gradient(), expected.hessian_blocks(), expected.hvp(V)
    monkeypatch.setattr(base, "BLOCK_ELEMENTS", block)
    again = KINDS[kind]()
    np.testing.assert_allclose(again.gradient(), gradient, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(again.hessian_blocks(), H, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(again.hvp(V), HV, rtol=1e-10, atol=1e-11)


def test_flat_shifts_are_in_the_null_space():
    for l2, intercept, expected in ((0.7, True, 1), (0.7, False, 0), (0.0, True, 5)):
        one = KINDS["multinomial"](l2=l2, intercept=intercept)
        shifts = one.flat_shifts()
        assert len(shifts) == expected
        for parameters in shifts:
            v = np.zeros((one.n_params, 1))
            v[parameters] = 1.0
            np.testing.assert_allclose(one.hvp(v), 0.0, atol=1e-11)
    assert len(KINDS["binary"](l2=0.0).flat_shifts()) == 0


def test_separated_rows_without_a_penalty_have_no_optimum():
    X, y = np.array([[-2.0], [-1.0], [1.0], [3.0]]), np.array([0, 0, 1, 1])
    loss = Logistic(np.array([0, 1]))
    for l2, expected in ((0.0, True), (0.1, False)):
        one = LinearObjective.from_coefficients(X, y, loss, [[2.0]], [0.0], l2=l2)
        assert one.has_no_optimum() is expected
    turned = LinearObjective.from_coefficients(X, y[::-1], loss, [[2.0]], [0.0], l2=0.0)
    assert turned.has_no_optimum() is False


def test_test_rows_weigh_one_and_need_targets_for_their_loss():
    one = KINDS["binary"]().on(BINARY.X_test)
    assert np.all(one.sample_weight == 1.0)
    with pytest.raises(ValueError, match="without their targets; pass y_test"):
        one.losses()


def test_many_classes_cost_products_not_hessians():
    """A hundred classes: 4,950 tiles, none of which may compute the (n, K, K) array again."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 3)), np.arange(300) % 100
    loss = Multinomial(np.arange(100))
    one = LinearObjective.from_coefficients(
        X, y, loss, rng.standard_normal((100, 3)), np.zeros(100), l2=1.0
    )
    calls = []
    original = Multinomial.hessian
    Multinomial.hessian = lambda self, y, eta: calls.append(1) or original(self, y, eta)
    try:
        H = one.hessian_blocks()[0]
    finally:
        Multinomial.hessian = original
    assert not calls
    V = rng.standard_normal((one.n_params, 2))
    np.testing.assert_allclose(H @ V, one.hvp(V), rtol=1e-8, atol=1e-9)
