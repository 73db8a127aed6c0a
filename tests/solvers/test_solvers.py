"""One table of solvers; every row inherits every test."""

import numpy as np
import pytest
from scipy import linalg

from skinfluence.curvature import Curvature
from skinfluence.losses import HalfSquaredError, Logistic, Multinomial
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.solvers import Cholesky, SingularCurvatureError, resolve
from tests.objectives.test_linear import KINDS

SOLVERS = [Cholesky()]
solvers = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: type(s).__name__)
kinds = pytest.mark.parametrize("kind", KINDS)


def dense(curvature):
    return curvature.matmat(np.eye(curvature.n_params))


@solvers
@kinds
@pytest.mark.parametrize("damping", [0.0, 2.5])
def test_solve_whiten_and_inverse_agree_with_dense_algebra(solver, kind, damping):
    curvature = Curvature(KINDS[kind](), damping=damping)
    factor = solver.factorize(curvature)
    # Right-hand sides of removals have no part along the gauge, where H has no inverse.
    shifts = curvature.flat_shifts()
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 4))
    for parameters in shifts:
        V[parameters] -= V[parameters].mean(axis=0)
    expected = linalg.pinvh(dense(curvature), rtol=1e-10) @ V
    np.testing.assert_allclose(factor.solve(V), expected, rtol=1e-8, atol=1e-10)
    n_blocks, d = curvature.block_shape()
    inverse = factor.inverse()
    assert inverse.shape == (n_blocks, d, d)
    B = np.random.default_rng(1).standard_normal((d, 3))
    for b in range(n_blocks):
        Z = factor.whiten(B, b)
        np.testing.assert_allclose(Z.T @ Z, B.T @ inverse[b] @ B, rtol=1e-8, atol=1e-10)
        if not len(curvature.flat_shifts()):
            H = curvature.blocks()[b]
            np.testing.assert_allclose(inverse[b] @ H, np.eye(d), atol=1e-8)


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


def test_memory_is_checked_before_it_is_taken():
    class Huge(Objective):
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

    with pytest.raises(MemoryError, match=r"10,000,000 parameters .* needs .* fewer features"):
        Cholesky().factorize(Curvature(Huge()))


def test_cholesky_refuses_what_may_be_indefinite():
    one = KINDS["binary"]()
    object.__setattr__(one, "convex", False)
    with pytest.raises(ValueError, match="needs a positive semidefinite curvature"):
        Cholesky().factorize(Curvature(one))


def test_auto_says_what_it_chose_and_unknown_names_are_refused():
    curvature = Curvature(KINDS["squared"]())
    solver, reason = resolve("auto", curvature)
    assert isinstance(solver, Cholesky)
    assert reason == "cholesky: positive semidefinite curvature of 1 block(s) of 5 parameters"
    mine = Cholesky(rcond=1e-10)
    assert resolve(mine, curvature)[0] is mine
    for wrong in ("magic", Cholesky, 3):
        with pytest.raises(ValueError, match="accepted are 'auto', 'cholesky' or a solver object"):
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
    with pytest.raises(ValueError, match="offers only its Hessian; use curvature='auto'"):
        Curvature(one, "fisher")
    assert Multinomial.canonical
