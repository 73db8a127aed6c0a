"""Conjugate gradients against Cholesky factors, and what they cost."""

import pickle
import warnings
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.losses import HalfSquaredError
from skinfluence.objectives import LinearObjective, NetworkObjective
from skinfluence.solvers import CG, Cholesky, SingularCurvatureError, resolve
from skinfluence.solvers.base import rough
from skinfluence.solvers.cg import CGFactor
from tests.network_twins import fitted
from tests.networks import NAMED
from tests.objectives.test_linear import KINDS

RNG = np.random.default_rng(0)
NETWORKS = ["binary-tanh", "three-relu-3", "labels-tanh", "reals-logistic-2", "real-tanh-3"]


def network(name, damping=0.3, kind="auto"):
    one = NAMED[name]
    return Curvature(adapt(fitted(name), one.data.X, one.data.y, one.s), kind, damping)


def matrix(curvature):
    return curvature.matmat(np.eye(curvature.n_params))


class Counted:
    """A curvature whose products are counted, by their widths."""

    def __init__(self, curvature):
        self.curvature, self.widths = curvature, []

    def __getattr__(self, name):
        return getattr(self.curvature, name)

    def matmat(self, V):
        self.widths.append(V.shape[1])
        return self.curvature.matmat(V)


class Given:
    """A matrix in place of a curvature."""

    single = False

    def __init__(self, H, near=None):
        self.H, self.near, self.widths = np.asarray(H, dtype=float), near, []
        self.n_params = len(self.H)

    def matmat(self, V):
        self.widths.append(V.shape[1])
        return self.H @ V

    def preconditioner(self, kind):
        return self.near

    def flat_shifts(self):
        return []

    def block_shape(self):
        return 1, self.n_params


def spread(n=40, largest=1e4, seed=0):
    """Return a matrix with eigenvalues from 1 to `largest`."""
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    return Q * np.geomspace(1.0, largest, n) @ Q.T


# -------------------------------------------------------------------------------------- the answers


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("preconditioner", ["auto", "heaviest", "kronecker", None])
def test_networks_agree_with_cholesky(name, preconditioner, monkeypatch):
    monkeypatch.setattr("skinfluence.objectives.heaviest.RANK", 10)
    curvature = network(name)
    V = RNG.standard_normal((curvature.n_params, 5))
    found = CG(rtol=1e-12, preconditioner=preconditioner).factorize(curvature).solve(V)
    expected = Cholesky().factorize(curvature).solve(V)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["binary-tanh", "real-tanh-3"])
def test_the_hessian_of_a_network_on_request(name):
    H = matrix(network(name, 0.0, "hessian"))
    curvature = network(name, max(0.0, -1.2 * np.linalg.eigvalsh(H)[0]) + 0.1, "hessian")
    V = RNG.standard_normal((curvature.n_params, 3))
    found = CG(rtol=1e-12).factorize(curvature).solve(V)
    np.testing.assert_allclose(found, np.linalg.solve(matrix(curvature), V), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_linear_models_agree_with_cholesky(kind):
    curvature = Curvature(KINDS[kind](), damping=0.5)
    V = RNG.standard_normal((curvature.n_params, 4))
    factor = CG(rtol=1e-12).factorize(curvature)
    expected = Cholesky().factorize(curvature).solve(V)
    np.testing.assert_allclose(factor.solve(V), expected, rtol=1e-8, atol=1e-10)


def test_the_residual_of_every_column_is_below_rtol():
    """Also of those of very different sizes, each relative to its own right-hand side."""
    H = spread()
    V = RNG.standard_normal((40, 6)) * [1.0, 1e-8, 1e8, 1e-100, 1.0, 3.0]
    for rtol in (1e-3, 1e-7, 1e-10):
        X = CG(rtol=rtol).factorize(Given(H)).solve(V)
        residuals = np.linalg.norm(V - H @ X, axis=0) / np.linalg.norm(V, axis=0)
        assert np.all(residuals <= 1.01 * rtol + 1e-11)


def test_columns_that_are_done_leave():
    """Eigenvectors take one product; a right-hand side of all of them takes many."""
    H = spread()
    U = np.linalg.eigh(H)[1]
    given = Given(H)
    V = np.column_stack([U[:, 0], RNG.standard_normal(40), U[:, 30], 7.0 * U[:, 5]])
    X = CG(rtol=1e-9).factorize(given).solve(V)
    np.testing.assert_allclose(X, np.linalg.solve(H, V), rtol=1e-5, atol=1e-8)
    assert given.widths[0] == 4
    assert set(given.widths[2:]) == {1}


def test_columns_that_are_zero_alike_or_dependent():
    H = spread(largest=100.0)
    b = RNG.standard_normal((40, 2))
    V = np.column_stack([np.zeros(40), b[:, 0], b[:, 0], b[:, 1], b @ [1.0, -2.0], -3.0 * b[:, 1]])
    X = CG(rtol=1e-11).factorize(Given(H)).solve(V)
    np.testing.assert_array_equal(X[:, 0], 0.0)
    np.testing.assert_allclose(X, np.linalg.solve(H, V), rtol=1e-7, atol=1e-9)


def test_more_right_hand_sides_than_parameters():
    H = spread(n=12, largest=50.0)
    V = RNG.standard_normal((12, 300))
    X = CG(rtol=1e-10).factorize(Given(H)).solve(V)
    np.testing.assert_allclose(X, np.linalg.solve(H, V), atol=1e-8)


@pytest.mark.parametrize("solver", [CG(), CG(preconditioner=None)])
def test_nothing_to_solve_for(solver):
    curvature = network("binary-tanh")
    factor = solver.factorize(curvature)
    assert factor.solve(np.zeros((curvature.n_params, 0))).shape == (curvature.n_params, 0)
    np.testing.assert_array_equal(factor.solve(np.zeros((curvature.n_params, 3))), 0.0)


@pytest.mark.parametrize("solver", [CG(rtol=1e-12), CG(rtol=1e-12, preconditioner=None)])
def test_quadratic_inverse_and_its_diagonal(solver):
    curvature = network("real-tanh-3")
    factor, H = solver.factorize(curvature), np.linalg.inv(matrix(network("real-tanh-3")))
    B = RNG.standard_normal((len(H), 3))
    np.testing.assert_allclose(factor.quadratic(B, 0), np.diag(B.T @ H @ B), rtol=1e-9)
    np.testing.assert_allclose(factor.inverse(), H[None], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(factor.inverse_diagonal(), np.diag(H)[None], rtol=1e-8)


def test_blocks_of_right_hand_sides_are_one(monkeypatch):
    curvature = network("three-relu-3")
    factor = CG(rtol=1e-11).factorize(curvature)
    V = RNG.standard_normal((curvature.n_params, 7))
    whole, diagonal = factor.solve(V), factor.inverse_diagonal()
    monkeypatch.setattr("skinfluence.solvers.cg.SLAB", 2 * curvature.n_params + 1)
    counted = CGFactor(Counted(curvature), factor.preconditioner, factor.rtol, factor.max_iter)
    np.testing.assert_allclose(counted.solve(V), whole, rtol=1e-8, atol=1e-10)
    assert max(counted.curvature.widths) == 2
    np.testing.assert_allclose(counted.inverse_diagonal(), diagonal, rtol=1e-8)
    assert max(counted.curvature.widths) == 2
    monkeypatch.setattr("skinfluence.solvers.cg.SLAB", 1)
    np.testing.assert_allclose(factor.solve(V), whole, rtol=1e-8, atol=1e-10)


def test_a_factor_is_pickled():
    curvature = network("reals-logistic-2")
    factor = CG().factorize(curvature)
    again = pickle.loads(pickle.dumps(factor))
    V = RNG.standard_normal((curvature.n_params, 2))
    np.testing.assert_array_equal(again.solve(V), factor.solve(V))
    np.testing.assert_array_equal(again.rough(V), factor.rough(V))


# --------------------------------------------------------------------------------- preconditioners


def products(curvature, preconditioner, V):
    counted = Counted(curvature)
    CG(preconditioner=preconditioner).factorize(counted).solve(V)
    return len(counted.widths)


@cache
def digits(damping):
    """Return the curvature of 64-16-10 on digits: of four orders of magnitude."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16.0, y[:300]
    model = MLPClassifier((16,), activation="tanh", solver="lbfgs", alpha=1.0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return Curvature(adapt(model.fit(X, y), X, y, None), damping=damping)


@pytest.mark.parametrize("width", [1, 20])
@pytest.mark.parametrize("damping", [0.01, 0.1])
def test_the_heaviest_rows_save_products(width, damping, monkeypatch):
    """A tenth of the 3,000 rows of the square root of the Gauss-Newton matrix."""
    monkeypatch.setattr("skinfluence.objectives.heaviest.RANK", 300)
    V = np.random.default_rng(0).standard_normal((1210, width))
    plain, better = (products(digits(damping), given, V) for given in (None, "auto"))
    assert better <= 0.8 * plain


def test_kronecker_factors_save_products():
    """Where there is little damping; with more, the small eigenvalues are one cluster already."""
    V = np.random.default_rng(0).standard_normal((1210, 1))
    plain, better = (products(digits(0.01), given, V) for given in (None, "kronecker"))
    assert better <= 0.8 * plain


def test_all_rows_are_a_solution(monkeypatch):
    """Where they fit, with damping, the heaviest rows are all: one product says it is solved."""
    monkeypatch.setattr(NetworkObjective, "single", False)
    curvature = network("reals-tanh")
    V = RNG.standard_normal((curvature.n_params, 3))
    assert products(curvature, "heaviest", V) == 1
    near = CG(preconditioner="heaviest").factorize(curvature).rough(V)
    np.testing.assert_allclose(near, np.linalg.solve(matrix(curvature), V), rtol=1e-8)


def test_a_perfect_preconditioner_takes_one_product():
    H = spread()

    class Inverse:
        def solve(self, V):
            return np.linalg.solve(H, V)

    given = Given(H, Inverse())
    V = RNG.standard_normal((40, 3))
    np.testing.assert_allclose(CG().factorize(given).solve(V), np.linalg.solve(H, V), rtol=1e-9)
    assert given.widths == [3]
    plain = Given(H, Inverse())
    CG(preconditioner=None).factorize(plain).solve(V)
    assert len(plain.widths) > 10


def test_a_rough_solve_is_the_preconditioner():
    curvature = network("binary-tanh")
    V = RNG.standard_normal((curvature.n_params, 2))
    factor = CG().factorize(curvature)
    np.testing.assert_array_equal(rough(factor)(V), curvature.preconditioner().solve(V))
    np.testing.assert_array_equal(rough(CG(preconditioner=None).factorize(curvature))(V), V)
    exact = Cholesky().factorize(curvature)
    np.testing.assert_array_equal(rough(exact)(V), exact.solve(V))


# ------------------------------------------------------------------------------- what goes wrong


def test_what_is_not_solved_is_said():
    message = (
        r"Conjugate gradients stopped at max_iter=3 with 2 of 3 right-hand sides unsolved; the "
        r"largest residual is ([\d.e+-]+) of its right-hand side, and rtol=1e-07 was asked for\. "
        r"Raise damping=, or pass solver=CG\(max_iter=\.\.\., rtol=\.\.\.\)\."
    )
    H = spread()
    V = np.column_stack([RNG.standard_normal((40, 2)), np.zeros(40)])
    with pytest.warns(ConvergenceWarning, match=message) as said:
        X = CG(max_iter=3).factorize(Given(H)).solve(V)
    residuals = np.linalg.norm(V - H @ X, axis=0)[:2] / np.linalg.norm(V, axis=0)[:2]
    told = float(str(said[0].message).split("residual is ")[1].split(" ")[0])
    assert told == pytest.approx(residuals.max(), rel=0.05)
    assert len(said) == 1


def test_the_warning_of_slabs_is_one(monkeypatch):
    monkeypatch.setattr("skinfluence.solvers.cg.SLAB", 80)
    V = RNG.standard_normal((40, 5))
    with pytest.warns(ConvergenceWarning, match="with 5 of 5 right-hand sides unsolved") as said:
        CG(max_iter=2).factorize(Given(spread())).solve(V)
    assert len(said) == 1


def test_as_many_products_as_allowed():
    given = Given(spread())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        CG(max_iter=5).factorize(given).solve(RNG.standard_normal((40, 2)))
    assert len(given.widths) == 5


@pytest.mark.parametrize(
    "H", [np.diag([3.0, 1.0, -2.0]), np.diag([1.0, 1.0, 0.0]), np.zeros((3, 3))]
)
def test_a_matrix_that_is_not_positive_definite_is_refused(H):
    message = r"direction without positive curvature.*Pass damping > 0, or curvature='gauss_newton'"
    with pytest.raises(SingularCurvatureError, match=message):
        CG().factorize(Given(H)).solve(np.ones((3, 1)))


@pytest.mark.parametrize("name", ["three-relu-3", "real-tanh-3"])
def test_an_indefinite_hessian_is_refused(name):
    """Far from the minimum, as Cholesky says as well."""
    curvature = network(name, 0.0, "hessian")
    one = curvature.objective
    far = Curvature(one.at(2.0 * RNG.standard_normal(one.n_params)), "hessian")
    assert np.linalg.eigvalsh(matrix(far))[0] < -1.0
    with pytest.raises(SingularCurvatureError, match="not positive definite"):
        Cholesky().factorize(far)
    V = RNG.standard_normal((one.n_params, 3))
    for preconditioner in ("auto", None):
        with pytest.raises(SingularCurvatureError, match="without positive curvature"):
            CG(preconditioner=preconditioner).factorize(far).solve(V)


def test_inverses_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr("skinfluence.memory.available_memory", lambda: 1e3)
    factor = CG().factorize(network("binary-tanh"))
    with pytest.raises(MemoryError, match=r"inverse curvature of 16 parameters needs .*fewer rows"):
        factor.inverse()


@pytest.mark.parametrize("params", [{"rtol": 0.0}, {"rtol": 1.0}, {"rtol": -1.0}, {"max_iter": 0}])
def test_parameters_out_of_range(params):
    message = r"CG\(rtol=.*, max_iter=.*\) was given; 0 < rtol < 1 and max_iter >= 1 .* Try CG\("
    with pytest.raises(ValueError, match=message):
        CG(**params).factorize(network("binary-tanh"))


def test_unknown_preconditioners():
    message = (
        r"preconditioner='diagonal' was given; accepted are \('auto', 'heaviest', 'kronecker'\) "
        r"and None\. Leave it at 'auto'\."
    )
    with pytest.raises(ValueError, match=message):
        CG(preconditioner="diagonal").factorize(network("binary-tanh"))


# -------------------------------------------------------------------------------- through wrappers


@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
@pytest.mark.parametrize("solver", ["cg", CG(rtol=1e-10)])
def test_logistic_regression_by_iteration(solver, method):
    X, y = load_breast_cancer(return_X_y=True)
    X, y = scale(X)[:200, :5], y[:200]
    found, expected = (
        InfluenceClassifier(LogisticRegression(tol=1e-8), solver=one)
        .fit(X, y)
        .influence_scores(X[:5], y[:5], method=method)
        for one in (solver, "cholesky")
    )
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert error <= (1e-5 if solver == "cg" else 1e-8)


def test_a_network_by_iteration_says_what_was_not_solved():
    data, plain = NAMED["real-tanh"].data, CG(max_iter=1, preconditioner=None)
    model = InfluenceRegressor(NAMED["real-tanh"].estimator, solver=plain, damping=1e-3)
    model.fit(data.X, data.y)
    with pytest.warns(ConvergenceWarning, match=r"stopped at max_iter=1 with \d+ of 8 right"):
        model.influence_scores(data.X_test, data.y_test)


# ------------------------------------------------------------------------------ what "auto" chooses


def test_small_networks_are_factorised():
    solver, reason = resolve("auto", network("binary-tanh"))
    assert isinstance(solver, Cholesky)
    assert reason == "cholesky: positive semidefinite curvature of 1 block(s) of 16 parameters"
    assert resolve("auto", network("binary-tanh", 0.3, "hessian"))[1].startswith("cholesky: symm")


def shaped(n, sizes, **params):
    """Return the curvature of a network of zeros: of a size that is only looked at."""
    coefs = [np.zeros(pair) for pair in pairwise(sizes)]
    biases = [np.zeros(size) for size in sizes[1:]]
    X, Y = np.zeros((n, sizes[0])), np.zeros((n, sizes[-1]))
    loss = HalfSquaredError(sizes[-1])
    one = NetworkObjective.from_weights(X, Y, loss, coefs, biases, "relu", l2=1.0)
    return Curvature(one, damping=1.0, **params)


def test_large_networks_are_iterated_over():
    solver, reason = resolve("auto", shaped(10_000, (784, 100, 10)))
    assert isinstance(solver, CG)
    assert reason == "cg: 79,510 parameters are too many to form their matrix"
    assert isinstance(resolve("cholesky", shaped(10_000, (784, 100, 10)))[0], Cholesky)


def test_few_rows_of_a_large_network_are_factorised_by_rows():
    solver, reason = resolve("auto", shaped(100, (784, 100, 10)))
    assert isinstance(solver, Cholesky)
    assert "by its 1000 rows" in reason
    # The Hessian has no such form.
    assert isinstance(resolve("auto", shaped(100, (784, 100, 10), kind="hessian"))[0], CG)


def test_limits_decide(monkeypatch):
    curvature = network("binary-tanh")
    monkeypatch.setattr("skinfluence.solvers.choice.SMALL", 10)
    assert isinstance(resolve("auto", curvature)[0], Cholesky)
    monkeypatch.setattr("skinfluence.solvers.choice.AFFORDABLE", 1e3)
    assert resolve("auto", curvature)[1] == "cg: 16 parameters are too many to form their matrix"
    linear = Curvature(KINDS["binary"]())
    assert isinstance(resolve("auto", linear)[0], Cholesky)


def test_asked_for():
    curvature = network("binary-tanh")
    solver, reason = resolve("cg", curvature)
    assert solver == CG()
    assert reason == "cg: asked for"
    assert resolve("cholesky", curvature)[1] == "cholesky: asked for"
    mine = CG(rtol=1e-3)
    assert resolve(mine, curvature) == (mine, "cg: given as an object")
    with pytest.raises(ValueError, match="'auto', 'cholesky', 'cg' or a solver object"):
        resolve(CG, curvature)


def test_plain_linear_objective_has_no_preconditioner():
    one = LinearObjective.from_coefficients(
        np.eye(3), np.zeros(3), HalfSquaredError(), np.zeros(3), 0.0, l2=1.0
    )
    assert CG().factorize(Curvature(one)).preconditioner is None


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-11])
def test_single_precision_is_refined_to_the_residual_asked_for(rtol):
    curvature = network("three-tanh")
    V = RNG.standard_normal((curvature.n_params, 4)) * [1e-3, 1.0, 1e3, 1.0]
    seen = []

    class Seen:
        single, n_params = True, curvature.n_params
        preconditioner, flat_shifts = curvature.preconditioner, curvature.flat_shifts

        def matmat(self, V):
            seen.append(V.dtype)
            return curvature.matmat(V)

    X = CG(rtol=rtol).factorize(Seen()).solve(V)
    left = np.linalg.norm(V - matrix(curvature) @ X, axis=0) / np.linalg.norm(V, axis=0)
    assert left.max() <= rtol
    assert seen.count(np.dtype(np.float32)) > 0 < seen.count(np.dtype(np.float64))


def test_double_precision_takes_over_where_single_does_not_get_nearer():
    """A curvature that single precision takes for indefinite."""
    H = np.diag(np.geomspace(1e-9, 1.0, 30))
    H[0, -1] = H[-1, 0] = 1e-6

    class Rounded(Given):
        single = True

        def matmat(self, V):
            noise = -1e-7 * V if V.dtype == np.float32 else 0.0
            return super().matmat(V).astype(V.dtype) + noise

    V = np.random.default_rng(0).standard_normal((30, 2))
    H = H + 1e-8 * np.eye(30)
    X = CG(rtol=1e-8).factorize(Rounded(H)).solve(V)
    np.testing.assert_allclose(H @ X, V, atol=1e-6)
