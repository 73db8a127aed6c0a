"""What the table of cases does not reach: sparse and float32 rows, blocks, gauge, weights."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Lasso

from skinfluence.curvature import Curvature, hessian_roots
from skinfluence.losses import ConcomitantHuber, HalfSquaredError, Joint, Logistic, Multinomial
from skinfluence.objectives import LinearObjective
from skinfluence.removal.leverages import quadratic_forms
from skinfluence.solvers import Cholesky
from tests.cases import BINARY, REAL, REALS, THREE


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
def test_results_do_not_depend_on_the_block_size(kind, block, tune):
    V = np.random.default_rng(1).standard_normal((KINDS[kind]().n_params, 3))
    expected = KINDS[kind]()
    gradient, H, HV = expected.gradient(), expected.hessian_blocks(), expected.hvp(V)
    tune(block_elements=block)
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


# ------------------------------------------------------------- some coefficients are no parameters


def huber(**kw):
    """Return robust regression, whose second output is a scale: a positive intercept alone."""
    full = objective(REAL, ConcomitantHuber(1.35), **kw)
    W = full.theta.reshape(2, -1).copy()
    W[1] = np.r_[np.zeros(4), 1.3]
    return full.at(W.ravel())


PARTIAL = {
    "binary": [0, 2, 4],
    "one-vs-rest": [0, 1, 4, 6, 7, 8, 13, 14],
    "multinomial": [0, 1, 4, 6, 7, 8, 13, 14],
    "squared": [2, 3, 9, 10, 12],
    "huber": [0, 1, 2, 3, 4, 9],
}
partial = pytest.mark.parametrize("kind", PARTIAL)


def partly(kind, thin=False):
    """Return (full objective with zeros, the same in its free parameters alone)."""
    make = {**KINDS, "huber": huber}[kind]
    full, free = make(), np.array(PARTIAL[kind])
    if thin:
        full = make(X=sparse.csr_matrix(full.X))
    rng = np.random.default_rng(5)
    full = replace(full, l2=rng.uniform(0.2, 3.0, full.n_params))
    zeros = np.zeros(full.n_params)
    zeros[free] = full.theta[free]
    return full.at(zeros), full.with_free(free)


def explicit_jacobian(full):
    n, K = full.n_samples, full.loss.n_outputs
    X = full.X.toarray() if sparse.issparse(full.X) else full.X
    X1 = np.column_stack([X, np.ones(n)])
    return np.einsum("kl,ij->iklj", np.eye(K), X1).reshape(n, K, full.n_params)


@partial
@pytest.mark.parametrize("thin", [False, True], ids=["dense", "sparse"])
def test_free_parameters_are_a_restriction(kind, thin):
    full, part = partly(kind, thin)
    free = part.free
    J = explicit_jacobian(full)[:, :, free]
    rng = np.random.default_rng(1)
    V = rng.standard_normal((len(free), 3))
    B = rng.standard_normal((full.n_samples, full.loss.n_outputs, 3))
    A = rng.standard_normal((full.n_samples, 3))
    close = {"rtol": 1e-9, "atol": 1e-10}

    assert part.n_params == len(free)
    np.testing.assert_array_equal(part.coefficients().ravel(), full.theta)
    np.testing.assert_array_equal(part.spread(V)[free], V)
    np.testing.assert_array_equal(np.delete(part.spread(V), free, axis=0), 0.0)
    np.testing.assert_allclose(part.raw_predictions(), J @ part.theta, **close)
    np.testing.assert_allclose(part.value(), full.value(), rtol=1e-12)
    np.testing.assert_allclose(part.gradient(), full.gradient()[free], **close)
    np.testing.assert_allclose(part.jacobian_dot(V), J @ V, **close)
    np.testing.assert_allclose(part.jacobian_t_dot(B), np.einsum("ikp,ikv->pv", J, B), **close)
    rows = part.jacobian_t_rows(B[:, :, 0])
    np.testing.assert_allclose(rows, np.einsum("ikp,ik->pi", J, B[:, :, 0]), **close)
    own = rng.standard_normal((len(free), full.n_samples))
    np.testing.assert_allclose(
        part.jacobian_rows_dot(own), np.einsum("ikp,pi->ik", J, own), **close
    )
    np.testing.assert_allclose(part.grads_dot(V), full.grads_dot(part.spread(V)), **close)
    np.testing.assert_allclose(part.weighted_grad_sum(A), full.weighted_grad_sum(A)[free], **close)
    H = full.hvp(np.eye(full.n_params))[np.ix_(free, free)]
    np.testing.assert_allclose(part.hvp(V), H @ V, **close)
    assert part.block_shape() == (1, len(free))
    np.testing.assert_allclose(part.hessian_blocks()[0], H, **close)
    assert hessian_roots(part) is None
    assert part.in_row_space() is None


@partial
def test_quadratic_forms_of_free_parameters(kind):
    full, part = partly(kind)
    J = explicit_jacobian(full)[:, :, part.free]
    H = full.hvp(np.eye(full.n_params))[np.ix_(part.free, part.free)]
    expected = J @ np.linalg.inv(H) @ J.transpose(0, 2, 1)
    if part.loss.separable:
        expected = np.einsum("ikk->ik", expected)
    factor = Cholesky().factorize(Curvature(part))
    found = np.concatenate([Q for _, Q in quadratic_forms(part, factor)])
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@partial
def test_free_parameters_stay_free_elsewhere(kind):
    full, part = partly(kind)
    index = np.array([3, 8, 21])
    expected = full.rows(index).gradient()[part.free]
    np.testing.assert_allclose(part.rows(index).gradient(), expected, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(part.rows(index).losses(), full.rows(index).losses(), rtol=1e-10)
    X = np.random.default_rng(3).standard_normal((6, 4))
    np.testing.assert_allclose(part.on(X).raw_predictions(), full.on(X).raw_predictions())
    moved = part.at(1.1 * part.theta)
    np.testing.assert_allclose(moved.coefficients(), 1.1 * part.coefficients())
    assert moved.on(X).free is part.free


@pytest.mark.parametrize("free", [np.arange(15), np.delete(np.arange(15), [4, 6])])
def test_shifts_are_those_of_features_whose_coefficients_are_all_free(free):
    """Without [4, 6], class 0 has no intercept and class 1 lacks a coefficient of feature 1."""
    part = KINDS["multinomial"](l2=0.0).with_free(free)
    shifts = part.flat_shifts()
    assert len(shifts) == (5 if len(free) == 15 else 3)
    for parameters in shifts:
        assert len(parameters) == 3
        v = np.zeros((part.n_params, 1))
        v[parameters] = 1.0
        np.testing.assert_allclose(part.hvp(v), 0.0, atol=1e-11)


def test_shifts_of_outputs_side_by_side():
    """Each multinomial part has its own gauge, binary ones none."""
    two = np.array(["no", "yes"])
    parts = (Multinomial(np.unique(THREE.y)), Logistic(two), Multinomial(np.unique(THREE.y)))
    Y = np.column_stack([THREE.y, two[(THREE.X[:, 0] > 0).astype(int)], THREE.y[::-1]])
    coef = np.random.default_rng(0).standard_normal((7, 4))
    one = LinearObjective.from_coefficients(THREE.X, Y, Joint(parts), coef, np.zeros(7), l2=0.7)
    shifts = one.flat_shifts()
    assert [s.tolist() for s in shifts] == [[4, 9, 14], [24, 29, 34]]
    H = one.hessian_blocks()[0]
    values = np.linalg.eigvalsh(H)
    assert np.sum(np.abs(values) < 1e-10 * values[-1]) == 2
    for parameters in shifts:
        np.testing.assert_allclose(H[:, parameters].sum(axis=1), 0.0, atol=1e-11)


# --------------------------------------------------------------------------------- an l1 penalty

ZEROS = {
    "binary": [1, 3],
    "one-vs-rest": [0, 5, 10, 2, 13],  # feature 0 in no class, others in some
    "multinomial": [0, 5, 10, 2, 13],
    "squared": [1, 6, 11, 3, 8, 13],  # features 1 and 3 in no output: the blocks stay apart
}


def with_l1(kind, thin=False, l1_intercept=0.0):
    one = KINDS[kind]()
    X = sparse.csr_matrix(one.X) if thin else one.X
    rng = np.random.default_rng(7)
    W = rng.standard_normal((one.loss.n_outputs, 5))
    W.ravel()[ZEROS[kind]] = 0.0
    data = {"binary": BINARY, "squared": REALS}.get(kind, THREE)
    return LinearObjective.from_coefficients(
        X,
        data.y,
        one.loss,
        W[:, :4],
        W[:, 4],
        l2=0.6,
        l1=np.linspace(3.0, 5.0, len(W)),
        l1_intercept=l1_intercept,
        sample_weight=data.s,
    )


def differences(function, theta, h=1e-5):
    steps = h * np.eye(len(theta))
    return np.array([(function(theta + d) - function(theta - d)) / (2 * h) for d in steps])


@kinds
@pytest.mark.parametrize("thin", [False, True], ids=["dense", "sparse"])
def test_near_its_support_an_l1_penalty_is_linear(kind, thin):
    one = with_l1(kind, thin)
    part = one.on_support()
    support = part.support
    np.testing.assert_array_equal(support, np.delete(np.arange(one.n_params), ZEROS[kind]))
    np.testing.assert_array_equal(part.theta, one.theta[support])
    assert part.l1 is None
    np.testing.assert_allclose(part.value(), one.value(), rtol=1e-12)
    np.testing.assert_allclose(part.raw_predictions(), one.raw_predictions(), rtol=1e-10)

    def whole(theta):
        out = np.zeros(one.n_params)
        out[support] = theta
        return one.at(out)

    slopes = differences(lambda theta: whole(theta).value(), part.theta)
    np.testing.assert_allclose(part.gradient(), slopes, rtol=1e-6, atol=1e-5)
    H = differences(lambda theta: whole(theta).gradient()[support], part.theta)
    np.testing.assert_allclose(part.hvp(np.eye(part.n_params)), H, rtol=1e-6, atol=1e-5)
    moved = part.theta + 1e-3 * np.random.default_rng(0).standard_normal(part.n_params)
    np.testing.assert_allclose(part.at(moved).value(), whole(moved).value(), rtol=1e-12)
    np.testing.assert_allclose(part.at(moved).gradient(), whole(moved).gradient()[support])


@kinds
def test_features_without_a_coefficient_leave(kind):
    one = with_l1(kind)
    part = one.on_support()
    gone = [j for j in range(4) if not np.any(one.coefficients()[:, j])]
    assert part.X.shape[1] == 4 - len(gone) < 4
    # Where every coefficient of what stays is in the support, the curvature keeps its blocks.
    assert (part.free is None) == (kind in ("binary", "squared"))
    X = np.random.default_rng(3).standard_normal((6, 4))
    np.testing.assert_allclose(part.on(X).raw_predictions(), one.on(X).raw_predictions())
    assert one.on_support().on_support().support is not None
    plain = KINDS[kind]()
    assert plain.on_support() is plain


@kinds
def test_a_coefficient_that_enters_takes_the_sign_it_is_given(kind):
    one = with_l1(kind)
    j = ZEROS[kind][0]
    for sign in (1.0, -1.0):
        signs = np.sign(one.theta)
        signs[j] = sign
        part = one.on_support(signs)
        (at,) = np.flatnonzero(part.support == j)
        step = np.zeros(part.n_params)
        step[at] = sign * 0.3
        moved = one.theta.copy()
        moved[j] = sign * 0.3
        expected = one.at(moved).value()
        np.testing.assert_allclose(part.at(part.theta + step).value(), expected, rtol=1e-12)
        l1 = one.l1[j]
        np.testing.assert_allclose(
            part.gradient()[at], one.smooth_gradient()[j] + sign * l1, rtol=1e-9
        )


def test_a_penalised_intercept_may_leave():
    one = with_l1("one-vs-rest", l1_intercept=2.0)
    theta = one.theta.copy()
    theta[[4, 9]] = 0.0
    one = one.at(theta)
    assert not np.isin([4, 9], one.on_support().support).any()
    free = with_l1("one-vs-rest").at(theta)
    assert np.isin([4, 9], free.on_support().support).all()
    for each in (one, free):
        part = each.on_support()
        np.testing.assert_allclose(part.value(), each.value(), rtol=1e-12)
        slopes = differences(lambda t, part=part: part.at(t).value(), part.theta)
        np.testing.assert_allclose(part.gradient(), slopes, rtol=1e-6, atol=1e-5)


@kinds
def test_the_gradient_under_an_l1_penalty_is_the_shortest_subgradient(kind):
    """F falls along -g at the rate |g|^2, which of all subgradients only the shortest does."""
    one = with_l1(kind)
    g = one.gradient()
    zero = one.theta == 0
    h = 1e-7 / np.linalg.norm(g)
    rate = (one.value() - one.at(one.theta - h * g).value()) / h
    np.testing.assert_allclose(rate, g @ g, rtol=1e-5)
    # No subgradient is shorter, and it is one: F lies above its plane.
    rng = np.random.default_rng(2)
    smooth = replace(one, l1=None).gradient()
    np.testing.assert_allclose(one.smooth_gradient(), smooth)
    for _ in range(20):
        u = np.where(zero, rng.uniform(-1.0, 1.0, one.n_params), np.sign(one.theta))
        assert np.linalg.norm(smooth + one.l1 * u) >= np.linalg.norm(g)
        d = rng.standard_normal(one.n_params)
        assert one.at(one.theta + d).value() >= one.value() + g @ d


def test_the_gradient_under_an_l1_penalty_is_zero_at_the_minimum():
    fitted = Lasso(alpha=0.7, tol=1e-14, max_iter=100_000).fit(REAL.X, REAL.y)
    one = LinearObjective.from_coefficients(
        REAL.X,
        REAL.y,
        HalfSquaredError(),
        fitted.coef_,
        fitted.intercept_,
        l2=0.0,
        l1=0.7 * 60,
    )
    assert 0 < np.sum(fitted.coef_ == 0) < 4
    assert np.abs(one.smooth_gradient()).max() > 1.0
    assert np.abs(one.gradient()).max() < 1e-8
    assert np.abs(one.on_support().gradient()).max() < 1e-8


@kinds
def test_the_value_counts_the_l1_penalty_and_the_tilt(kind):
    one = with_l1(kind)
    plain = replace(one, l1=None)
    penalty = np.linspace(3.0, 5.0, one.loss.n_outputs) @ np.abs(one.coefficients()[:, :4]).sum(1)
    np.testing.assert_allclose(one.value() - plain.value(), penalty, rtol=1e-9)
    tilt = np.random.default_rng(4).standard_normal(one.n_params)
    tilted = replace(plain, tilt=tilt)
    np.testing.assert_allclose(tilted.value() - plain.value(), tilt @ one.theta, rtol=1e-8)
    np.testing.assert_allclose(tilted.gradient(), plain.gradient() + tilt)
    V = np.eye(one.n_params)
    np.testing.assert_allclose(tilted.hvp(V), plain.hvp(V))
    assert tilted.in_row_space() is None


# --------------------------------------------------------- other features, losses, single outputs


def test_new_rows_are_read_through_the_features():
    one = KINDS["binary"]()
    read = one.with_features(lambda X: X[:, ::-1] * 2.0)
    assert read.X is one.X
    X = np.random.default_rng(3).standard_normal((6, 4))
    expected = one.on(2.0 * X[:, ::-1]).raw_predictions()
    np.testing.assert_array_equal(read.on(X).raw_predictions(), expected)
    np.testing.assert_array_equal(read.rows(slice(0, 5)).X, one.X[:5])


def test_another_loss_judges_the_same_predictions():
    rest = KINDS["one-vs-rest"]()
    one = rest.with_loss(Multinomial(np.unique(THREE.y)), THREE.y)
    eta = rest.raw_predictions()
    np.testing.assert_array_equal(one.raw_predictions(), eta)
    codes = np.searchsorted(np.unique(THREE.y), THREE.y)
    expected = np.log(np.exp(eta).sum(axis=1)) - eta[np.arange(len(eta)), codes]
    np.testing.assert_allclose(one.losses(), expected, rtol=1e-10)


def test_one_output_of_several():
    whole = KINDS["squared"](l2=np.array([0.5, 1.0, 2.0]))
    part = whole.outputs(slice(1, 3), HalfSquaredError(2))
    np.testing.assert_array_equal(part.coefficients(), whole.coefficients()[1:])
    np.testing.assert_allclose(part.raw_predictions(), whole.raw_predictions()[:, 1:])
    np.testing.assert_allclose(part.gradient(), whole.gradient()[5:])
    H = whole.hvp(np.eye(15))[5:, 5:]
    np.testing.assert_allclose(part.hvp(np.eye(10)), H, rtol=1e-10, atol=1e-12)
    coupled = KINDS["multinomial"]().outputs(slice(0, 1), Logistic(np.array([0, 1])))
    assert coupled.y is None and coupled.n_params == 5
