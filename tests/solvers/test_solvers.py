"""One table of solvers; every row inherits every test."""

import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import linalg, sparse

from skinfluence.curvature import Curvature
from skinfluence.losses import HalfSquaredError, Logistic, Multinomial, Tweedie
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.solvers import (
    CG,
    LU,
    Arnoldi,
    Cholesky,
    LiSSA,
    Nystroem,
    SingularCurvatureError,
)
from skinfluence.solvers.row_factor import RowFactor, roots_of
from skinfluence.solvers.selection import resolve
from tests.cases import REAL
from tests.objectives.test_linear import KINDS


def wide(loss, intercept=True, l2=0.7, dtype=float):
    """Return a penalised objective with more columns than rows."""
    rng = np.random.default_rng(0)
    n, K = 14, loss.n_outputs
    X = rng.standard_normal((n, 30 * K)) * (rng.random((n, 30 * K)) < 0.5)
    y = X[:, :K] if loss.classes is None else loss.classes[np.arange(n) % len(loss.classes)]
    coef, b = rng.standard_normal((K, 30 * K)), rng.standard_normal(K) if intercept else None
    X = sparse.csr_matrix(X) if dtype == "sparse" else X.astype(dtype)
    s = rng.uniform(0.0, 2.0, n)
    return LinearObjective.from_coefficients(X, y, loss, coef, b, l2=l2, sample_weight=s)


WIDE = {
    "wide-binary": lambda: wide(Logistic(np.arange(2))),
    "wide-binary-sparse": lambda: wide(Logistic(np.arange(2)), dtype="sparse"),
    "wide-binary-no-intercept": lambda: wide(Logistic(np.arange(2)), intercept=False),
    "wide-one-vs-rest": lambda: wide(Logistic(np.arange(3)), l2=np.array([0.1, 1.0, 3.0])),
    "wide-multinomial": lambda: wide(Multinomial(np.arange(3))),
    "wide-multinomial-sparse": lambda: wide(Multinomial(np.arange(3)), dtype="sparse"),
    "wide-squared": lambda: wide(HalfSquaredError(2)),
}
ALL = {**KINDS, **WIDE}


@dataclass(frozen=True)
class Row:
    """A solver, and how well it can be asked to solve.

    Attributes
    ----------
    rtol : float
        Largest error beside the largest number of the answer.
    condition : float
        Largest condition number of a curvature that it is tried on.
    scales : bool
        Columns of very different sizes do not matter to it.
    refuses : bool
        It finds out that a curvature without any penalty is singular.
    """

    solver: Any
    rtol: float = 1e-9
    condition: float = np.inf
    scales: bool = False
    refuses: bool = False


# All eigenpairs, all columns, all rows in a batch: what approximates is exact then, or iterates.
TABLE = {
    "Cholesky": Row(Cholesky(), scales=True, refuses=True),
    "LU": Row(LU(), scales=True, refuses=True),
    "CG": Row(CG(rtol=1e-11), rtol=1e-8),
    "Nystroem": Row(Nystroem(rank=1000)),
    "Arnoldi": Row(Arnoldi(rank=1000), refuses=True),
    "LiSSA": Row(LiSSA(n_iter=600, batch_size=1000), rtol=1e-5, condition=40.0),
}
rows = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
kinds = pytest.mark.parametrize("kind", ALL)


def dense(curvature):
    return curvature.matmat(np.eye(curvature.n_params))


def well_conditioned(row, H):
    """Return whether a curvature, but for its gauge, is one that the solver is asked to solve."""
    values = linalg.eigvalsh(H)
    return values[-1] <= row.condition * values[values > 1e-9 * values[-1]][0]


def assert_near(found, expected, rtol):
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def sums_for_long(row, kind, **_):
    """Return whether a row takes seconds for thousands of steps of one more wide curvature."""
    return row is TABLE["LiSSA"] and kind.startswith("wide") and kind != "wide-squared"


@pytest.mark.slow_rows(where=sums_for_long)
@rows
@kinds
@pytest.mark.parametrize("damping", [0.0, 2.5])
def test_solve_quadratic_and_inverse_agree_with_dense_algebra(row, kind, damping):
    curvature = Curvature(ALL[kind](), damping=damping)
    H = dense(curvature)
    if not well_conditioned(row, H):
        return
    factor = row.solver.factorize(curvature)
    # Right-hand sides of removals have no part along the gauge, where H has no inverse.
    shifts = curvature.flat_shifts()
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 4))
    assert factor.solve(V[:, :0]).shape == (curvature.n_params, 0)
    for parameters in shifts:
        V[parameters] -= V[parameters].mean(axis=0)
    expected = linalg.pinvh(H, rtol=1e-10) @ V
    assert_near(factor.solve(V), expected, row.rtol)
    n_blocks, d = curvature.block_shape()
    inverse = factor.inverse()
    assert inverse.shape == (n_blocks, d, d)
    B = np.random.default_rng(1).standard_normal((d, 3))
    for b in range(n_blocks):
        here = slice(b * d, (b + 1) * d)
        forms = np.diag(B.T @ inverse[b] @ B)
        assert_near(factor.quadratic(B, b), forms, row.rtol)
        if not shifts:
            assert_near(inverse[b], linalg.inv(H[here, here]), row.rtol)
    expected = np.diag(linalg.pinvh(H, rtol=1e-10))[: n_blocks * d]
    assert_near(factor.inverse_diagonal().ravel(), expected, 100 * row.rtol)


@rows
def test_factors_tell_how_well_they_invert(row):
    for damping in (0.0, 2.5):
        curvature = Curvature(KINDS["multinomial"](), damping=damping)
        factor = row.solver.factorize(curvature)
        factor.solve(curvature.objective.gradient()[:, None])
        found = factor.numerics
        assert found.damping == damping
        assert found.n_negative in (None, 0)
        assert found.residual is None or found.residual < 100 * row.rtol


@pytest.mark.parametrize("solver", [Cholesky(), LU()], ids=["Cholesky", "LU"])
@pytest.mark.parametrize("kind", KINDS)
def test_condition_and_pivots_are_those_of_the_curvature_of_unit_diagonal(solver, kind):
    curvature = Curvature(KINDS[kind](), damping=0.01)
    found = solver.factorize(curvature).numerics
    blocks = [H / np.sqrt(np.outer(np.diag(H), np.diag(H))) for H in curvature.blocks()]
    rconds = [1.0 / np.linalg.cond(H, 1) for H in blocks]
    np.testing.assert_allclose(found.rcond, min(rconds), rtol=0.2)  # estimated, from below
    if isinstance(solver, Cholesky):
        pivots = [np.diag(np.linalg.cholesky(H)) ** 2 for H in blocks]
        np.testing.assert_allclose(found.smallest_pivot, np.min(pivots), rtol=1e-10)
    else:
        pivots = [np.linalg.eigvals(linalg.ldl(H)[1]) for H in blocks]
        np.testing.assert_allclose(found.smallest_pivot, np.abs(pivots).min(), rtol=1e-10)


@rows
def test_factors_can_be_pickled(row):
    curvature = Curvature(KINDS["one-vs-rest"](), damping=10.0)
    factor = row.solver.factorize(curvature)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 2))
    again = pickle.loads(pickle.dumps(factor))
    np.testing.assert_array_equal(again.solve(V), factor.solve(V))


@kinds
@pytest.mark.parametrize("solver", [Cholesky(), Arnoldi(rank=1000)], ids=["Cholesky", "Arnoldi"])
def test_inner_products_of_embeddings_are_those_in_the_inverse(solver, kind):
    curvature = Curvature(ALL[kind]())
    factor = solver.factorize(curvature)
    if isinstance(factor, RowFactor):
        return
    rng = np.random.default_rng(0)
    A, B = (curvature.off_gauge(rng.standard_normal((curvature.n_params, k))) for k in (3, 4))
    expected = A.T @ linalg.pinvh(dense(curvature), rtol=1e-10) @ B
    embedded = factor.embed(A)
    assert embedded.shape[0] <= curvature.n_params
    assert_near(embedded.T @ factor.embed(B), expected, 1e-10)


@pytest.mark.parametrize("kind", WIDE)
def test_wide_penalised_models_are_factorised_by_their_rows(kind):
    curvature = Curvature(WIDE[kind]())
    factor = Cholesky().factorize(curvature)
    assert isinstance(factor, RowFactor)
    rank = 14 * (3 if "multinomial" in kind else 1)
    assert all(block.lower.shape == (rank, rank) for block in factor.blocks)
    assert f"by its {rank} rows" in resolve("auto", curvature)[1]


def test_more_free_parameters_than_rows_can_carry_are_not_factorised_by_rows():
    unpenalised = Curvature(wide(Logistic(np.arange(2)), l2=0.0))
    assert roots_of(unpenalised) is None
    assert roots_of(Curvature(unpenalised.objective, damping=0.1)) is not None


@pytest.mark.parametrize("row", [row for row in TABLE.values() if row.scales])
def test_badly_scaled_columns_do_not_matter(row):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3)) * [1e-6, 1.0, 1e7]
    y = X @ [1e6, 1.0, 1e-7] + rng.standard_normal(50)
    one = LinearObjective.from_coefficients(X, y, HalfSquaredError(), np.zeros(3), 0.0, l2=0.0)
    factor = row.solver.factorize(Curvature(one))
    X1 = np.column_stack([X, np.ones(50)])
    solution = factor.solve((X1.T @ y)[:, None])[:, 0]
    expected = linalg.lstsq(X1 / np.linalg.norm(X1, axis=0), y)[0] / np.linalg.norm(X1, axis=0)
    np.testing.assert_allclose(solution, expected, rtol=1e-9)


@pytest.mark.parametrize("row", [row for row in TABLE.values() if row.refuses])
def test_a_singular_curvature_is_refused_with_its_causes(row):
    X = np.ones((10, 2))
    y = np.arange(10.0)
    one = LinearObjective.from_coefficients(X, y, HalfSquaredError(), [0, 0], 0.0, l2=0)
    with pytest.raises(SingularCurvatureError, match=r"collinear columns.*Ridge.*damping > 0"):
        row.solver.factorize(Curvature(one))
    row.solver.factorize(Curvature(one, damping=1e-3))


class Huge(Objective):
    """A model whose curvature nobody may form."""

    theta = np.broadcast_to(0.0, 10**7)
    l2 = np.broadcast_to(1.0, 10**7)
    convex = True

    def at(self, theta): ...
    def on(self, X, y=None): ...
    def rows(self, index): ...
    def losses(self): ...
    def grads_dot(self, V): ...
    def weighted_grad_sum(self, A): ...

    def hvp(self, V):
        raise AssertionError("must not be formed")


@pytest.mark.parametrize("solver", [Cholesky(), LU()], ids=["Cholesky", "LU"])
def test_memory_is_checked_before_it_is_taken(solver):
    with pytest.raises(MemoryError, match=r"10,000,000 parameters .* needs .* fewer features"):
        solver.factorize(Curvature(Huge()))


@pytest.mark.parametrize("solver", [Nystroem(10**5), Arnoldi(10**5)], ids=["Nystroem", "Arnoldi"])
def test_memory_is_checked_before_vectors_take_it(solver):
    with pytest.raises(MemoryError, match=r"10,000,000 parameters needs .* lower rank="):
        solver.factorize(Curvature(Huge()))


def test_cholesky_says_how_indefinite_a_curvature_is():
    class Own(Huge):
        theta = np.zeros(2)
        l2 = np.zeros(2)
        sample_weight = np.ones(2)
        convex = False
        H = np.diag([3.0, -2.0])

        def hvp(self, V):
            return self.H @ V

    curvature = Curvature(Own())
    assert not curvature.positive_semidefinite
    with pytest.raises(
        SingularCurvatureError, match=r"eigenvalue is -2\..*damping > 2\.002 \(twice"
    ):
        Cholesky().factorize(curvature)
    damped = Cholesky().factorize(Curvature(Own(), damping=3.0))
    np.testing.assert_allclose(damped.solve(np.eye(2)), np.diag([1 / 6, 1.0]))


def test_a_linear_model_is_at_a_minimum_even_where_its_loss_is_not_convex():
    loss = Tweedie(0.0, "log")
    assert not loss.convex
    rng = np.random.default_rng(0)
    coef = rng.standard_normal(REAL.X.shape[1])
    one = LinearObjective.from_coefficients(
        REAL.X, np.exp(REAL.y / 9), loss, coef / 9, 0.0, l2=90.0
    )
    assert not one.convex
    assert Curvature(one).positive_semidefinite
    H = one.hvp(np.eye(one.n_params))
    np.testing.assert_allclose(Cholesky().factorize(Curvature(one)).solve(H), np.eye(5), atol=1e-9)


def test_auto_says_what_it_chose_and_unknown_names_are_refused():
    curvature = Curvature(KINDS["squared"]())
    solver, reason = resolve("auto", curvature)
    assert isinstance(solver, Cholesky)
    assert reason == "cholesky: positive semidefinite curvature of 1 block(s) of 5 parameters"
    mine = Cholesky(rcond=1e-10)
    assert resolve(mine, curvature)[0] is mine
    for wrong in ("magic", Cholesky, 3):
        with pytest.raises(ValueError, match="'lissa', 'nystroem' or a solver object, such as"):
            resolve(wrong, curvature)


@pytest.mark.parametrize("kind", ["hessian", "gauss_newton", "fisher"])
def test_curvatures_of_a_canonical_linear_model_are_one(kind):
    one = KINDS["multinomial"]()
    np.testing.assert_array_equal(Curvature(one, kind).blocks(), Curvature(one).blocks())


def test_curvatures_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"curvature='magic' was given; accepted are"):
        Curvature(KINDS["binary"](), "magic")
    with pytest.raises(ValueError, match=r"damping=-1\.0 was given; a number >= 0"):
        Curvature(KINDS["binary"](), damping=-1.0)

    class Probit(Logistic):
        canonical = False

    one = LinearObjective.from_coefficients(
        np.ones((2, 1)), [0, 1], Probit(np.array([0, 1])), [[1.0]], None, l2=1.0
    )
    with pytest.raises(ValueError, match=r"not canonical.*Use curvature='auto'"):
        Curvature(one, "fisher")
    assert Multinomial.canonical
