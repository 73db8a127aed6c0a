"""One table of solvers; every row inherits every test."""

import numpy as np
import pytest
from scipy import linalg, sparse

from skinfluence.curvature import Curvature
from skinfluence.losses import HalfSquaredError, Logistic, Multinomial, Tweedie
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.solvers import Cholesky, SingularCurvatureError, resolve
from skinfluence.solvers.rows import RowFactor, roots_of
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
SOLVERS = [Cholesky()]
solvers = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
kinds = pytest.mark.parametrize("kind", {**KINDS, **WIDE})


def dense(curvature):
    return curvature.matmat(np.eye(curvature.n_params))


@solvers
@kinds
@pytest.mark.parametrize("damping", [0.0, 2.5])
def test_solve_quadratic_and_inverse_agree_with_dense_algebra(solver, kind, damping):
    curvature = Curvature({**KINDS, **WIDE}[kind](), damping=damping)
    factor = solver.factorize(curvature)
    # Right-hand sides of removals have no part along the gauge, where H has no inverse.
    shifts = curvature.flat_shifts()
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 4))
    assert factor.solve(V[:, :0]).shape == (curvature.n_params, 0)
    for parameters in shifts:
        V[parameters] -= V[parameters].mean(axis=0)
    expected = linalg.pinvh(dense(curvature), rtol=1e-10) @ V
    np.testing.assert_allclose(factor.solve(V), expected, rtol=1e-8, atol=1e-10)
    n_blocks, d = curvature.block_shape()
    inverse = factor.inverse()
    assert inverse.shape == (n_blocks, d, d)
    B = np.random.default_rng(1).standard_normal((d, 3))
    for b in range(n_blocks):
        forms = np.diag(B.T @ inverse[b] @ B)
        np.testing.assert_allclose(factor.quadratic(B, b), forms, rtol=1e-8, atol=1e-10)
        if not len(curvature.flat_shifts()):
            H = curvature.blocks()[b]
            np.testing.assert_allclose(inverse[b] @ H, np.eye(d), atol=1e-8)


@kinds
def test_the_inverse_diagonal_leaves_the_gauge_out(kind):
    curvature = Curvature({**KINDS, **WIDE}[kind]())
    found = Cholesky().factorize(curvature).inverse_diagonal()
    expected = np.diag(linalg.pinvh(dense(curvature), rtol=1e-10))
    np.testing.assert_allclose(found.ravel(), expected[: found.size], rtol=1e-7)


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


@solvers
def test_badly_scaled_columns_do_not_matter(solver):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 3)) * [1e-6, 1.0, 1e7]
    y = X @ [1e6, 1.0, 1e-7] + rng.standard_normal(50)
    one = LinearObjective.from_coefficients(X, y, HalfSquaredError(), np.zeros(3), 0.0, l2=0.0)
    factor = solver.factorize(Curvature(one))
    X1 = np.column_stack([X, np.ones(50)])
    solution = factor.solve((X1.T @ y)[:, None])[:, 0]
    expected = linalg.lstsq(X1 / np.linalg.norm(X1, axis=0), y)[0] / np.linalg.norm(X1, axis=0)
    np.testing.assert_allclose(solution, expected, rtol=1e-9)


@solvers
def test_a_singular_curvature_is_refused_with_its_causes(solver):
    X = np.ones((10, 2))
    y = np.arange(10.0)
    one = LinearObjective.from_coefficients(X, y, HalfSquaredError(), [0, 0], 0.0, l2=0)
    with pytest.raises(SingularCurvatureError, match=r"collinear columns.*Ridge.*damping > 0"):
        solver.factorize(Curvature(one))
    solver.factorize(Curvature(one, damping=1e-3))


class Huge(Objective):
    """A model whose curvature nobody may form."""

    theta = np.broadcast_to(0.0, 10**7)
    convex = True

    def at(self, theta): ...
    def on(self, X, y=None): ...
    def rows(self, index): ...
    def losses(self): ...
    def grads_dot(self, V): ...
    def weighted_grad_sum(self, A): ...

    def hvp(self, V):
        raise AssertionError("must not be formed")


def test_memory_is_checked_before_it_is_taken():
    with pytest.raises(MemoryError, match=r"10,000,000 parameters .* needs .* fewer features"):
        Cholesky().factorize(Curvature(Huge()))


def test_cholesky_says_how_indefinite_a_curvature_is():
    class Own(Huge):
        theta = np.zeros(2)
        l2 = np.zeros(2)
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
        with pytest.raises(ValueError, match="'auto', 'cholesky', 'cg' or a solver object"):
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
