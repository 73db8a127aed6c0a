"""Preconditioners of linear models: what they invert, and where there is none."""

from functools import cache

import numpy as np
import pytest
from scipy import linalg, sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.curvature.preconditioners.diagonal import Diagonal, PerOutput
from skinfluence.curvature.preconditioners.subsampled import SubsampledHessian, heavy
from skinfluence.losses import HalfSquaredError, Joint, Logistic, Multinomial, Tweedie
from skinfluence.objectives import LinearObjective
from skinfluence.solvers import CG, Cholesky
from tests.cases import BINARY, REAL, REALS, THREE
from tests.model_table import TWO_LABELS
from tests.objectives.test_linear import KINDS

TYPES = {
    "dense": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "sparse": sparse.csr_matrix,
}
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def whole(tune):
    """Leave no row out."""
    tune(subsampled_share=1.0)


def matrix(one, damping=0.0):
    return Curvature(one, damping=damping).matmat(np.eye(one.n_params))


def inverse(one, damping=0.0):
    """Return the explicit inverse in single precision, as a map off the gauge."""
    curvature = Curvature(one, damping=damping)
    P = SubsampledHessian.of(one, damping).solve(curvature.off_gauge(np.eye(one.n_params)))
    return curvature.off_gauge(P)


def assert_inverse(one, damping=0.0, rtol=2e-5):
    expected = linalg.pinvh(matrix(one, damping), rtol=1e-11)
    found = inverse(one, damping)
    np.testing.assert_allclose(found, expected, atol=rtol * np.abs(expected).max())


def of_kind(kind, rows="dense", **params):
    data = {"binary": BINARY, "squared": REALS}.get(kind, THREE)
    return KINDS[kind](X=TYPES[rows](data.X), **params)


# -------------------------------------------------------------------------------------- all rows


@kinds
@pytest.mark.parametrize("rows", TYPES)
@pytest.mark.parametrize("damping", [0.0, 3.0])
def test_of_all_rows_it_is_the_inverse(whole, kind, rows, damping):
    assert_inverse(of_kind(kind, rows), damping)


@kinds
def test_of_all_rows_without_an_intercept_and_without_a_penalty(whole, kind):
    """Without a penalty every class of the multinomial can be shifted in every coefficient."""
    assert_inverse(of_kind(kind, intercept=False))
    one = of_kind(kind, l2=0.0)
    assert len(one.flat_shifts()) == (5 if kind == "multinomial" else 0)
    assert_inverse(one)


@kinds
def test_of_all_rows_it_does_not_depend_on_blocks_of_rows(whole, kind, tune):
    V = np.random.default_rng(0).standard_normal((of_kind(kind).n_params, 3))
    found = SubsampledHessian.of(of_kind(kind), 0.5).solve(V)
    tune(block_elements=40)
    # To the rounding of single precision, which is relative to the largest entry.
    again, size = SubsampledHessian.of(of_kind(kind), 0.5).solve(V), np.abs(found).max()
    np.testing.assert_allclose(again, found, rtol=1e-4, atol=1e-5 * size)


def test_rows_without_weight_are_left_out(whole):
    """As if they were not there."""
    s = np.where(np.arange(len(THREE.y)) % 3 == 0, 0.0, THREE.s)
    for loss in (Multinomial(np.unique(THREE.y)), Logistic(np.unique(THREE.y))):
        coef, b = np.random.default_rng(0).standard_normal((3, 4)), np.zeros(3)
        one, kept = (
            LinearObjective.from_coefficients(X, y, loss, coef, b, l2=0.7, sample_weight=w)
            for X, y, w in (
                (THREE.X, THREE.y, s),
                (THREE.X[s > 0], THREE.y[s > 0], s[s > 0]),
            )
        )
        assert_inverse(one)
        np.testing.assert_allclose(inverse(one), inverse(kept), rtol=1e-3, atol=1e-5)


def test_no_weight_at_all_leaves_the_penalty(whole):
    one = KINDS["binary"]().rows(np.arange(5))
    none = LinearObjective.from_coefficients(
        one.X, BINARY.y[:5], Logistic(np.unique(BINARY.y)), np.ones((1, 4)), 0.0, l2=0.7,
        l2_intercept=2.0, sample_weight=np.zeros(5),
    )  # fmt: skip
    expected = np.diag(1.0 / np.array([0.7, 0.7, 0.7, 0.7, 2.0]))
    np.testing.assert_allclose(inverse(none), expected, rtol=1e-6)


def on_support(loss, data, seed=0):
    """Return an objective in the coefficients that an l1 penalty has left."""
    rng = np.random.default_rng(seed)
    K, p = loss.n_outputs, data.X.shape[1]
    coef = rng.standard_normal((K, p)) * (rng.random((K, p)) < 0.6)
    coef[:, 1] = 0.0
    coef[0, 0], coef[-1, 0] = 0.0, 1.0
    one = LinearObjective.from_coefficients(
        data.X, data.y, loss, coef, np.ones(K), l2=0.3, l1=0.2, sample_weight=data.s
    )
    return one.on_support()


@pytest.mark.parametrize(
    ("loss", "data"),
    [
        (Multinomial(np.unique(THREE.y)), THREE),
        (Logistic(np.unique(THREE.y)), THREE),  # separable, but its blocks are of unequal size
        (HalfSquaredError(3), REALS),
    ],
    ids=["multinomial", "one-vs-rest", "squared"],
)
def test_of_some_coefficients(whole, loss, data):
    one = on_support(loss, data)
    assert one.free is not None and one.coupled
    assert_inverse(one)
    assert_inverse(one, 0.5)


def test_blocks_that_are_alike_are_stored_once(whole):
    fitted = RidgeClassifier(alpha=2.0).fit(THREE.X, THREE.y, THREE.s)
    one = adapt(fitted, THREE.X, THREE.y, THREE.s)
    found = SubsampledHessian.of(one, 0.0)
    assert len(found.lower) == 1 and one.n_params == 3 * 5
    assert_inverse(one)
    unequal = KINDS["squared"](l2=np.array([0.5, 5.0, 50.0]))
    assert len(SubsampledHessian.of(unequal, 0.0).lower) == 3
    assert_inverse(unequal)


def test_precision_of_what_is_solved_for(whole):
    one = KINDS["binary"]()
    found, V = SubsampledHessian.of(one, 0.0), np.random.default_rng(0).standard_normal((5, 2))
    assert found.solve(V).dtype == np.float64
    assert found.solve(V.astype(np.float32)).dtype == np.float32
    before = V.copy()
    np.testing.assert_allclose(found.solve(V), np.linalg.solve(matrix(one), V), rtol=1e-4)
    np.testing.assert_array_equal(V, before)
    assert found.solve(V[:, :0]).shape == (5, 0)


# ------------------------------------------------------------------------------------ few of them


def test_heavy_rows_are_the_fewest_that_make_up_a_share():
    g = np.array([1.0, 50.0, 0.0, 9.0, 40.0])
    np.testing.assert_array_equal(heavy(g, 0.5), [1])
    np.testing.assert_array_equal(heavy(g, 0.51), [1, 4])
    np.testing.assert_array_equal(heavy(g, 0.9), [1, 4])
    np.testing.assert_array_equal(heavy(g, 0.95), [1, 3, 4])
    np.testing.assert_array_equal(heavy(g, 1.0), [0, 1, 3, 4])


def test_heavy_rows_that_weigh_the_same_are_all_in():
    """What is kept does not depend on the order of rows."""
    np.testing.assert_array_equal(heavy(np.ones(7), 0.5), np.arange(7))
    np.testing.assert_array_equal(heavy(np.array([2.0, 1.0, 1.0, 0.0]), 0.6), [0, 1, 2])
    assert len(heavy(np.zeros(4), 0.99)) == 0
    g = np.random.default_rng(0).integers(0, 4, 50).astype(float)
    order = np.random.default_rng(1).permutation(50)
    np.testing.assert_array_equal(np.sort(order[heavy(g[order], 0.7)]), heavy(g, 0.7))


@cache
def digits(n_classes=10):
    """Return a classifier that fits well, sure of most rows."""
    X, y = load_digits(return_X_y=True)
    X, y = X[y < n_classes] / 16.0, y[y < n_classes]
    return adapt(LogisticRegression(C=1.0, max_iter=300).fit(X, y), X, y, None)


@pytest.mark.parametrize("damping", [0.0, 0.1])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_it_is_below_the_hessian_and_near_it(n_classes, damping):
    """H in the norm of what is kept has eigenvalues from 1 to a little more."""
    one = digits(n_classes)
    H, P = matrix(one, damping), inverse(one, damping)
    U, sizes, _ = np.linalg.svd(P)
    root = U[:, sizes > 1e-6 * sizes[0]] * np.sqrt(sizes[sizes > 1e-6 * sizes[0]])
    assert root.shape[1] == len(H) - len(Curvature(one, damping=damping).flat_shifts())
    values = np.linalg.eigvalsh(root.T @ H @ root)
    assert 0.999 < values[0] < 1.01
    assert 1.005 < values[-1] < 1.5  # something was left out


def test_few_rows_of_every_pair_of_classes():
    one = digits(4)
    entry = one.loss.hessian_entries(one.targets, one.raw_predictions())
    counts = [len(heavy(-entry(k, m), 0.99)) for k in range(4) for m in range(k)]
    assert max(counts) < 0.7 * one.n_samples


def test_ten_classes_take_few_products():
    curvature = Curvature(digits())
    factor = CG(rtol=1e-8).factorize(curvature)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 20))
    found = factor.solve(V)
    assert factor.numerics.n_products <= 7
    expected = Cholesky().factorize(curvature).solve(curvature.off_gauge(V))
    error = curvature.off_gauge(found - expected)
    assert np.linalg.norm(error) < 1e-6 * np.linalg.norm(expected)


# ---------------------------------------------------------------------------------- what goes wrong


def scaled(sizes, l2, loss=None):
    """Return rows whose columns have these sizes."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, len(sizes))) * sizes
    loss = Logistic(np.arange(2)) if loss is None else loss
    y = rng.integers(0, 2, 60)
    coef = np.zeros((1, len(sizes)))
    return LinearObjective.from_coefficients(X, y, loss, coef, 0.0, l2=l2)


@pytest.mark.parametrize("largest", [1e4, 1e8, 1e15])
def test_columns_of_wild_sizes(whole, largest):
    sizes = np.array([1.0 / largest, 1.0, largest])
    for l2 in (0.0, sizes[0] ** 2):
        one = scaled(sizes, l2)
        S = np.append(sizes, 1.0)
        expected = np.linalg.inv(matrix(one) / np.outer(S, S))
        found = inverse(one) * np.outer(S, S)
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("largest", [1e20, 1e30, 1e60])
@pytest.mark.parametrize("preconditioner", ["auto", "subsampled", "block", "jacobi"])
def test_columns_beyond_single_precision(largest, preconditioner):
    """Squares of the one do not fit, those of the other are 0: there is none, or a good one."""
    for sizes in ([1.0 / largest, 1.0], [1.0, largest], [1.0 / largest, 1.0, largest]):
        one = scaled(np.array(sizes), 1e-3)
        found = Curvature(one).preconditioner(preconditioner)
        if found is None:
            assert preconditioner == "subsampled"
            continue
        P = found.solve(np.eye(one.n_params))
        assert np.all(np.isfinite(P)) and np.all(np.linalg.eigvalsh(P / np.abs(P).max()) > -1e-6)


@pytest.mark.parametrize("size", [1e-60, 1e-30, 1e30, 1e60])
def test_right_hand_sides_of_any_size(whole, size):
    """Targets in the billions make gradients that single precision does not hold."""
    one = KINDS["multinomial"]()
    V = Curvature(one).off_gauge(np.random.default_rng(0).standard_normal((one.n_params, 3)))
    V[:, 2] = 0.0
    found, expected = (SubsampledHessian.of(one, 0.0).solve(s * V) / s for s in (size, 1.0))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_columns_that_are_not_finite_have_none():
    X = np.ones((4, 1))
    one = LinearObjective.from_coefficients(
        X, [0, 1, 0, 1], Logistic(np.arange(2)), [[0.0]], 0.0, l2=1.0
    )
    one.X[0, 0] = np.inf
    with np.errstate(invalid="ignore"):
        assert SubsampledHessian.of(one, 0.0) is None


def test_losses_without_one():
    """Not convex; coupled without rows that sum to zero."""
    rng = np.random.default_rng(0)
    bent = LinearObjective.from_coefficients(
        REAL.X, np.exp(REAL.y / 9), Tweedie(0.0, "log"), rng.standard_normal(4), 0.0, l2=9.0
    )
    labels = [np.unique(column) for column in TWO_LABELS.y.T]
    joint = Joint([Multinomial(labels[0]), Logistic(labels[1])])
    coupled = LinearObjective.from_coefficients(
        TWO_LABELS.X, TWO_LABELS.y, joint, rng.standard_normal((4, 4)), np.zeros(4), l2=1.0
    )
    assert SubsampledHessian.of(bent, 0.0) is None
    assert SubsampledHessian.of(coupled, 0.0) is None
    assert isinstance(Curvature(bent).preconditioner(), Diagonal)
    assert isinstance(Curvature(coupled).preconditioner(), Diagonal)
    V = rng.standard_normal((coupled.n_params, 3))
    found = CG(rtol=1e-11).factorize(Curvature(coupled)).solve(V)
    expected = linalg.pinvh(matrix(coupled), rtol=1e-11) @ V
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("rows", TYPES)
def test_a_singular_curvature_has_none(rows):
    X = np.column_stack([BINARY.X, BINARY.X[:, 0] - BINARY.X[:, 1]])
    loss = Logistic(np.unique(BINARY.y))
    for penalty in (0.0, 1.0):
        one = LinearObjective.from_coefficients(
            TYPES[rows](X), BINARY.y, loss, np.zeros((1, 5)), 0.0, l2=penalty
        )
        assert (SubsampledHessian.of(one, 0.0) is None) == (penalty == 0.0)
    idle = X * [1.0, 0.0, 1.0, 1.0, 1.0]
    one = LinearObjective.from_coefficients(idle, BINARY.y, loss, np.zeros((1, 5)), 0.0, l2=0.0)
    assert SubsampledHessian.of(one, 0.0) is None
    assert SubsampledHessian.of(one, 0.5) is not None


def test_memory_is_checked_before_it_is_taken(monkeypatch):
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 500.0)
    message = r"A preconditioner for 15 parameters needs .*solver=CG\(preconditioner='jacobi'\)"
    with pytest.raises(MemoryError, match=message):
        Curvature(KINDS["multinomial"]()).preconditioner("subsampled")
    with pytest.raises(MemoryError, match=r"3 blocks of 5 parameters .*'jacobi'"):
        Curvature(KINDS["multinomial"]()).preconditioner("block")
    assert isinstance(Curvature(KINDS["multinomial"]()).preconditioner("jacobi"), Diagonal)


def test_what_is_too_large_is_preconditioned_by_its_diagonal(tune):
    tune(subsampled_params=14)
    assert isinstance(Curvature(KINDS["multinomial"]()).preconditioner(), Diagonal)
    assert isinstance(Curvature(KINDS["one-vs-rest"]()).preconditioner(), SubsampledHessian)
    assert isinstance(
        Curvature(KINDS["multinomial"]()).preconditioner("subsampled"), SubsampledHessian
    )


def test_what_does_not_fit_into_memory_is_preconditioned_by_its_diagonal(monkeypatch):
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 500.0)
    assert isinstance(Curvature(KINDS["multinomial"]()).preconditioner(), Diagonal)


# ------------------------------------------------------------------------------------- the diagonal


@kinds
@pytest.mark.parametrize("rows", TYPES)
@pytest.mark.parametrize("damping", [0.0, 3.0])
def test_jacobi_is_the_inverse_of_the_diagonal(kind, rows, damping):
    one = of_kind(kind, rows)
    expected = np.diag(1.0 / np.diag(matrix(one, damping)))
    found = Diagonal.of(one, damping).solve(np.eye(one.n_params))
    np.testing.assert_allclose(found, expected, rtol=1e-6 if rows == "float32" else 1e-12)
    assert Diagonal.of(one, damping).solve(np.ones((one.n_params, 1), np.float32)).dtype == "f4"


@kinds
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("block", [1, 40])
def test_jacobi_in_blocks_of_rows_without_an_intercept(kind, intercept, block, tune):
    one = of_kind(kind, intercept=intercept)
    expected = 1.0 / np.diag(matrix(one))
    tune(block_elements=block)
    np.testing.assert_allclose(Diagonal.of(one, 0.0).inverse, expected, rtol=1e-12)


def test_jacobi_of_some_coefficients_and_of_none_that_matter():
    one = on_support(Multinomial(np.unique(THREE.y)), THREE)
    np.testing.assert_allclose(Diagonal.of(one, 0.0).inverse, 1.0 / np.diag(matrix(one)))
    idle = LinearObjective.from_coefficients(
        [[1.0, 0.0], [2.0, 0.0]], [1.0, 2.0], HalfSquaredError(), [0.0, 0.0], None, l2=0.0
    )
    np.testing.assert_allclose(Diagonal.of(idle, 0.0).inverse, [1 / 5, 1.0])


@kinds
@pytest.mark.parametrize("rows", TYPES)
@pytest.mark.parametrize("damping", [0.0, 3.0])
def test_block_is_the_inverse_of_the_hessian_of_each_output(kind, rows, damping):
    one = of_kind(kind, rows)
    K, d = one.loss.n_outputs, one.block_size
    H = matrix(one, damping)
    at = [slice(k * d, (k + 1) * d) for k in range(K)]
    expected = linalg.block_diag(*(np.linalg.inv(H[here, here]) for here in at))
    found = PerOutput.of(one, damping).solve(np.eye(len(H)))
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    assert PerOutput.of(one, damping).solve(np.ones((len(H), 1), np.float32)).dtype == "f4"


def test_block_is_not_there_for_some_coefficients_and_singular_ones():
    assert PerOutput.of(on_support(Multinomial(np.unique(THREE.y)), THREE), 0.0) is None
    X = np.column_stack([np.ones(10), np.arange(10.0), np.zeros(10)])
    one = LinearObjective.from_coefficients(
        X, np.arange(10) % 2, Logistic(np.arange(2)), np.zeros((1, 3)), 0.0, l2=0.0
    )
    assert PerOutput.of(one, 0.0) is None
    V = np.random.default_rng(0).standard_normal((4, 2))
    damped = PerOutput.of(one, 0.5).solve(V)
    np.testing.assert_allclose(damped, np.linalg.solve(matrix(one, 0.5), V), rtol=1e-9)
