"""What rows do to each other through the factor by rows, against dense algebra."""

import pickle

import numpy as np
import pytest
from scipy import linalg, sparse

from skinfluence.curvature import Curvature, hessian_roots
from skinfluence.losses import (
    HalfSquaredError,
    Logistic,
    Multinomial,
    SquaredHinge,
    Tweedie,
)
from skinfluence.objectives import LinearObjective
from skinfluence.removal.leverages import quadratic_forms
from skinfluence.solvers import Cholesky
from skinfluence.solvers.row_factor import RowFactor
from skinfluence.solvers.woodbury import LOST, REFINED


def wide(loss, *, n=18, p=30, intercept=True, l2=0.7, l2_intercept=0.0, kind=float, common=0.5):
    """Return a penalised objective with more columns than rows, of weights down to 0."""
    rng = np.random.default_rng(0)
    K = loss.n_outputs
    X = rng.standard_normal((n, p * K)) * (rng.random((n, p * K)) < common)
    X[3] = X[4]  # rows that are alike
    y = np.abs(X[:, :K]) + 1.0 if loss.classes is None else np.arange(n) % len(loss.classes)
    y = y[:, 0] if loss.classes is None and K == 1 else y
    coef = 0.3 * rng.standard_normal((K, p * K))
    b = rng.standard_normal(K) if intercept else None
    s = rng.uniform(0.0, 2.0, n)
    s[7] = 0.0
    X = sparse.csr_matrix(X) if kind == "sparse" else X.astype(kind)
    return LinearObjective.from_coefficients(
        X, y, loss, coef, b, l2=l2, l2_intercept=l2_intercept, sample_weight=s
    )


def binary():
    return Logistic(np.arange(2))


CASES = {
    "binary": lambda: wide(binary()),
    "sparse": lambda: wide(binary(), kind="sparse"),
    "rare-columns": lambda: wide(binary(), kind="sparse", common=0.02),
    "single": lambda: wide(binary(), kind=np.float32),
    "no-intercept": lambda: wide(binary(), intercept=False),
    "penalised-intercept": lambda: wide(binary(), l2_intercept=0.4),
    "one-vs-rest": lambda: wide(Logistic(np.arange(3)), l2=np.array([0.1, 1.0, 3.0])),
    "multinomial": lambda: wide(Multinomial(np.arange(3))),
    "multinomial-sparse": lambda: wide(Multinomial(np.arange(3)), kind="sparse"),
    "squared": lambda: wide(HalfSquaredError(2)),
    "poisson": lambda: wide(Tweedie(1.0, "log")),
    "flat-rows": lambda: wide(SquaredHinge(np.arange(2))),
    "weak": lambda: wide(binary(), l2=1e-6),
    "weak-multinomial": lambda: wide(Multinomial(np.arange(3)), l2=1e-5),
}
cases = pytest.mark.parametrize("case", CASES)
dampings = pytest.mark.parametrize("damping", [0.0, 2.5])


def jacobian(objective):
    """Return J, shape (n, K, n_params)."""
    return objective.jacobian_dot(np.eye(objective.n_params))


def dense_inverse(curvature):
    H = curvature.matmat(np.eye(curvature.n_params))
    return linalg.pinvh(H, rtol=1e-14 if not curvature.flat_shifts() else 1e-10)


def test_rows(objective):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((5, objective.X.shape[1])) * (rng.random(objective.X.shape[1]) < 0.5)
    return objective.on(sparse.csr_matrix(X) if sparse.issparse(objective.X) else X)


test_rows.__test__ = False


def off_gauge(B, curvature):
    """Return what the gradient of a target in the raw predictions may be: no common shift."""
    return B - B.mean(axis=1, keepdims=True) if curvature.flat_shifts() else B


@cases
@dampings
@pytest.mark.parametrize("which", ["others", "training", "some"])
def test_rows_meet_as_in_dense_algebra(case, damping, which):
    objective = CASES[case]()
    curvature = Curvature(objective, damping=damping)
    factor = Cholesky().factorize(curvature)
    assert isinstance(factor, RowFactor)
    some = np.array([2, 3, 4, 11])
    rows = {
        "others": lambda: test_rows(objective),
        "training": lambda: objective,
        "some": lambda: objective.rows(slice(1, 16)).rows(some - 1),
    }[which]()
    B = np.random.default_rng(2).standard_normal((rows.n_samples, objective.loss.n_outputs))
    B = off_gauge(B, curvature)
    inverse = dense_inverse(curvature)
    U = rows.jacobian_t_rows(B)
    expected = np.einsum("ikp,pt->ikt", jacobian(objective), inverse @ U)
    found = factor.between(rows, B)
    tolerance = 1e-8 if case.startswith("weak") and not damping else 1e-10
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * abs(expected).max())


@cases
@dampings
@pytest.mark.parametrize("which", ["others", "training", "some"])
def test_quadratic_forms_of_rows(case, damping, which):
    objective = CASES[case]()
    curvature = Curvature(objective, damping=damping)
    factor = Cholesky().factorize(curvature)
    rows = {
        "others": lambda: test_rows(objective),
        "training": lambda: objective,
        "some": lambda: objective.rows(np.array([2, 3, 4, 11])),
    }[which]()
    shift = np.eye(objective.loss.n_outputs)
    if curvature.flat_shifts():
        shift = shift - 1.0 / len(shift)
    J = jacobian(rows)
    expected = np.einsum("ikp,pq,ilq->ikl", J, dense_inverse(curvature), J, optimize=True)
    blocks = [Q for _, Q in quadratic_forms(rows, factor)]
    found = np.concatenate(blocks)
    if found.ndim == 2:
        expected = np.einsum("ikk->ik", expected)
    else:
        expected, found = shift @ expected @ shift, shift @ found @ shift
    tolerance = 1e-8 if case.startswith("weak") and not damping else 1e-10
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * expected.max())


@cases
def test_many_others_are_met_in_slabs(case, tune):
    objective = CASES[case]()
    factor = Cholesky().factorize(Curvature(objective))
    rows = test_rows(objective)
    B = np.random.default_rng(2).standard_normal((rows.n_samples, objective.loss.n_outputs))
    whole = factor.between(rows, B)
    tune(row_solve_elements=1)
    tune(fewest_row_solves=2)
    found = factor.between(rows, B)
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-11 * abs(whole).max())


def test_numerics_are_those_of_dense_algebra():
    for case in ("binary", "weak", "one-vs-rest"):
        objective = CASES[case]()
        factor = Cholesky().factorize(
            Curvature(objective, damping=0.5 if case == "binary" else 0.0)
        )
        pivots, traces = [], []
        for root, diagonal in zip(
            hessian_roots(objective),
            Curvature(objective, damping=factor.damping).diagonal(),
            strict=True,
        ):
            Z = root.dot(np.eye(len(diagonal)))
            inverse = np.divide(1.0, diagonal, out=np.zeros(len(diagonal)), where=diagonal > 0)
            M = np.eye(len(Z)) + Z * inverse @ Z.T
            traces.append(np.trace(M))
            pivots.append((np.diag(np.linalg.cholesky(M)) ** 2 / np.diag(M)).min())
        numerics = factor.numerics
        assert numerics.damping == factor.damping and numerics.n_negative == 0
        np.testing.assert_allclose(numerics.rcond, 1.0 / max(traces), rtol=1e-10)
        np.testing.assert_allclose(numerics.smallest_pivot, min(pivots), rtol=1e-6)
        assert (numerics.rcond < REFINED) == (case == "weak") and numerics.residual is None
        V = np.random.default_rng(0).standard_normal((objective.n_params, 3))
        factor.solve(V)
        factor.between(objective, np.ones((objective.n_samples, objective.loss.n_outputs)))
        residual = factor.numerics.residual
        assert residual is None if case != "weak" else 0 < residual < 1e-6


def test_a_factor_by_rows_survives_pickling():
    factor = Cholesky().factorize(Curvature(CASES["sparse"]()))
    again = pickle.loads(pickle.dumps(factor))
    rows = test_rows(CASES["sparse"]())
    B = np.ones((5, 1))
    np.testing.assert_allclose(again.between(rows, B), factor.between(rows, B), rtol=1e-12)


def test_next_to_no_penalty_takes_the_refined_way():
    """Inner products of rows have lost too many digits, and solves are refined."""
    objective = wide(binary(), l2=1e-8)
    curvature = Curvature(objective)
    factor = Cholesky().factorize(curvature)
    assert factor.rcond < LOST
    assert factor.between(objective, np.ones((18, 1))) is None
    assert factor.quadratics(objective) is None
    J = jacobian(objective)[:, 0]
    expected = np.einsum("ip,pq,iq->i", J, dense_inverse(curvature), J)
    found = np.concatenate([Q for _, Q in quadratic_forms(objective, factor)])[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_rows_that_products_do_not_describe_take_the_long_way():
    """Most rows are flat: products of all of them are not kept, and nothing depends on that."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 60))
    y = np.arange(40) % 2
    one = LinearObjective.from_coefficients(
        X, y, SquaredHinge(np.arange(2)), np.zeros((1, 60)), 0.0, l2=0.5
    )
    one.__dict__["_eta"] = np.where(np.arange(40) < 30, 9.0 * (2 * y - 1), 0.0)[:, None]
    curvature = Curvature(one)
    factor = Cholesky().factorize(curvature)
    assert isinstance(factor, RowFactor) and factor.blocks[0].root.rank == 10
    assert factor.between(one, np.ones((40, 1))) is None and factor.quadratics(one) is None
    J = jacobian(one)[:, 0]
    expected = np.einsum("ip,pq,iq->i", J, dense_inverse(curvature), J)
    found = np.concatenate([Q for _, Q in quadratic_forms(one, factor)])[:, 0]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
