"""Conjugate gradients against Cholesky factors, and what they cost."""

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import pairwise
from threading import Barrier, BrokenBarrierError

import numpy as np
import pytest
from scipy import linalg, sparse
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import scale

from skinfluence import AutogradObjective, InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature, Inverse
from skinfluence.curvature.preconditioners.subsampled import SubsampledHessian
from skinfluence.losses import HalfSquaredError, Logistic, Multinomial
from skinfluence.objectives import LinearObjective, NetworkObjective
from skinfluence.solvers import CG, Cholesky, SingularCurvatureError
from skinfluence.solvers.base import Numerics
from skinfluence.solvers.cg import CGFactor
from skinfluence.solvers.selection import resolve
from tests.cases import BINARY, REALS, THREE
from tests.network_twins import fitted
from tests.networks import NAMED
from tests.objectives.test_linear import KINDS
from tests.solvers.test_solvers import ALL

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
    damping = 0.0

    def __init__(self, H, near=None):
        self.H, self.near, self.widths = np.asarray(H, dtype=float), near, []
        self.n_params = len(self.H)

    def matmat(self, V):
        self.widths.append(V.shape[1])
        return self.H @ V

    def preconditioner(self, kind):
        return self.near

    def off_gauge(self, V):
        return V

    def block_shape(self):
        return 1, self.n_params


def spread(n=40, largest=1e4, seed=0):
    """Return a matrix with eigenvalues from 1 to `largest`."""
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    return Q * np.geomspace(1.0, largest, n) @ Q.T


# -------------------------------------------------------------------------------------- the answers


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("preconditioner", ["auto", "dominant_rows", "kronecker", None])
def test_networks_agree_with_cholesky(name, preconditioner, tune):
    tune(dominant_rows=10)
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


TYPES = {
    "dense": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "sparse": sparse.csr_matrix,
}


def of_type(kind, name):
    """Return the objective of a kind over rows of another type."""
    data = {"binary": BINARY, "squared": REALS}.get(kind, THREE)
    return KINDS[kind](X=TYPES[name](data.X)) if kind in KINDS else ALL[kind]()


@pytest.mark.parametrize("preconditioner", ["subsampled", "block", "jacobi", "nystroem", None])
@pytest.mark.parametrize("damping", [0.0, 0.5])
@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (kind, rows)
        for kind in ALL
        for rows in (TYPES if kind in KINDS else ["dense"])  # the wide kinds have types of theirs
    ],
)
def test_every_preconditioner_gives_the_answer_of_dense_algebra(
    kind, rows, damping, preconditioner
):
    """Without damping the multinomial has a gauge, of which solutions have no part."""
    curvature = Curvature(of_type(kind, rows), damping=damping)
    assert len(curvature.flat_shifts()) == ("multinomial" in kind and damping == 0)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 4))
    found = CG(rtol=1e-12, preconditioner=preconditioner).factorize(curvature).solve(V)
    expected = linalg.pinvh(matrix(curvature), rtol=1e-11) @ V
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())


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


def test_blocks_of_right_hand_sides_are_one(tune):
    curvature = network("three-relu-3")
    factor = CG(rtol=1e-11).factorize(curvature)
    V = RNG.standard_normal((curvature.n_params, 7))
    whole, diagonal = factor.solve(V), factor.inverse_diagonal()
    tune(cg_elements=2 * curvature.n_params + 1)
    counted = CGFactor(Counted(curvature), factor.preconditioner, factor.rtol, factor.max_iter)
    np.testing.assert_allclose(counted.solve(V), whole, rtol=1e-8, atol=1e-10)
    assert max(counted.curvature.widths) == 2
    np.testing.assert_allclose(counted.inverse_diagonal(), diagonal, rtol=1e-8)
    assert max(counted.curvature.widths) == 2
    tune(cg_elements=1)
    np.testing.assert_allclose(factor.solve(V), whole, rtol=1e-8, atol=1e-10)


def test_a_factor_is_pickled():
    curvature = network("reals-logistic-2")
    factor = CG().factorize(curvature)
    again = pickle.loads(pickle.dumps(factor))
    V = RNG.standard_normal((curvature.n_params, 2))
    np.testing.assert_array_equal(again.solve(V), factor.solve(V))
    np.testing.assert_array_equal(again.precondition(V), factor.precondition(V))


# --------------------------------------------------------------------------------------- warm start


def test_a_guess_saves_products_and_leaves_the_answer():
    H = spread()
    V = np.random.default_rng(0).standard_normal((40, 5)) * [1e-6, 1.0, 1e6, 1.0, 0.0]
    expected = np.linalg.solve(H, V)
    cold, warm = Given(H), Given(H)
    guess = expected * (1.0 + 1e-9 * np.random.default_rng(1).standard_normal(V.shape))
    for given, start in ((cold, None), (warm, guess)):
        found = CG(rtol=1e-9).factorize(given).solve(V, start=start)
        left = np.linalg.norm(V - H @ found, axis=0)
        assert np.all(left <= 1e-9 * np.linalg.norm(V, axis=0) + 1e-13)
        sizes = np.where(np.any(V, axis=0), np.abs(expected).max(axis=0), 1.0)
        np.testing.assert_allclose(found / sizes, expected / sizes, atol=1e-5)
    assert len(warm.widths) < 0.8 * len(cold.widths)


def test_a_perfect_guess_takes_the_product_that_says_so():
    H, V = spread(), np.random.default_rng(0).standard_normal((40, 3))
    given, guess = Given(H), np.linalg.solve(H, V)
    np.testing.assert_allclose(CG(rtol=1e-9).factorize(given).solve(V, guess), guess, rtol=1e-12)
    assert given.widths == [3]


def test_residuals_are_relative_to_the_right_hand_side_not_to_what_a_guess_leaves():
    """Solving for what it leaves of V by 1e-2 would be asking for 1e-5 of V."""
    H, V = spread(), np.random.default_rng(0).standard_normal((40, 2))
    error = np.random.default_rng(1).standard_normal((40, 2))
    guess = np.linalg.solve(H, V * (1.0 + 5e-3) + 1e-4 * error)
    given = Given(H)
    found = CG(rtol=1e-2).factorize(given).solve(V, guess)
    np.testing.assert_array_equal(given.widths, [2])
    np.testing.assert_allclose(found, guess, rtol=1e-12)


@pytest.mark.parametrize("single", [False, True])
def test_right_hand_sides_of_zero_have_that_answer_whatever_is_guessed(single):
    given = Given(spread())
    given.single = single
    V = np.zeros((40, 2))
    V[:, 0] = 1.0
    found = CG(rtol=1e-9).factorize(given).solve(V, start=np.ones((40, 2)))
    np.testing.assert_array_equal(found[:, 1], 0.0)
    np.testing.assert_allclose(given.H @ found[:, 0], V[:, 0], atol=1e-7)


@pytest.mark.parametrize("name", ["three-relu-3", "reals-logistic-2"])
def test_a_guess_in_single_precision(name):
    curvature = network(name)
    assert curvature.single
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 3))
    expected = np.linalg.solve(matrix(curvature), V)
    counts = []
    for start in (None, expected, expected * (1.0 + 1e-7)):
        factor = CG(rtol=1e-10).factorize(curvature)
        found = factor.solve(V, start)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
        counts.append(factor.numerics.n_products)
    assert counts[1] == 1
    assert counts[2] < counts[0]


def test_a_guess_with_a_part_along_the_gauge_does_not_leave_it_in_the_answer():
    curvature = Curvature(KINDS["multinomial"]())
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 3))
    expected = linalg.pinvh(matrix(curvature), rtol=1e-11) @ V
    guess = expected.copy()
    guess[curvature.flat_shifts()[0]] += 1.0
    found = CG(rtol=1e-12).factorize(curvature).solve(V, guess)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9)


def test_guesses_are_cut_into_slabs_with_their_right_hand_sides(tune):
    tune(cg_elements=80)
    H, V = spread(), np.random.default_rng(0).standard_normal((40, 5))
    given, guess = Given(H), np.linalg.solve(H, V)
    np.testing.assert_allclose(CG(rtol=1e-9).factorize(given).solve(V, guess), guess, rtol=1e-12)
    assert given.widths == [2, 2, 1]


# ------------------------------------------------------------------------- what a factor tells


def test_numerics_are_what_was_done():
    """The largest residual of all solves, and every product."""
    curvature = Counted(Curvature(KINDS["one-vs-rest"](), damping=0.25))
    factor = CG(rtol=1e-6, preconditioner=None).factorize(curvature)
    assert factor.numerics == Numerics(0.25, n_products=0)
    H, largest = matrix(curvature.curvature), 0.0
    for seed in range(3):
        V = np.random.default_rng(seed).standard_normal((curvature.n_params, 1 + seed))
        found = factor.solve(V)
        left = np.linalg.norm(V - H @ found, axis=0) / np.linalg.norm(V, axis=0)
        largest = max(largest, left.max())
        assert factor.numerics.n_products == len(curvature.widths)
        assert factor.numerics.residual == pytest.approx(largest, rel=1e-3)
    assert 0 < largest <= 1e-6
    assert factor.numerics.rcond is None and factor.numerics.n_negative is None


def test_numerics_of_a_solve_that_was_not_done():
    H, V = spread(), np.random.default_rng(0).standard_normal((40, 3))
    factor = CG(max_iter=4).factorize(Given(H))
    with pytest.warns(ConvergenceWarning, match="stopped at max_iter=4 with 3 of 3"):
        found = factor.solve(V)
    left = np.linalg.norm(V - H @ found, axis=0) / np.linalg.norm(V, axis=0)
    assert factor.numerics.residual == pytest.approx(left.max(), rel=1e-6)
    assert factor.numerics.n_products == 4


@pytest.mark.parametrize("rtol", [1e-4, 1e-10])
def test_numerics_in_single_precision_are_of_the_answer_in_double(rtol):
    curvature = Counted(network("three-relu-3"))
    factor = CG(rtol=rtol).factorize(curvature)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 3))
    left = V - matrix(curvature.curvature) @ factor.solve(V)
    worst = (np.linalg.norm(left, axis=0) / np.linalg.norm(V, axis=0)).max()
    assert worst <= rtol
    assert factor.numerics.residual == pytest.approx(worst, rel=1e-2)
    assert factor.numerics.n_products == len(curvature.widths)


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
def test_the_heaviest_rows_save_products(width, damping, tune):
    """A tenth of the 3,000 rows of the square root of the Gauss-Newton matrix."""
    tune(dominant_rows=300)
    V = np.random.default_rng(0).standard_normal((1210, width))
    plain, better = (products(digits(damping), given, V) for given in (None, "auto"))
    assert better <= 0.8 * plain


def test_kronecker_factors_save_products():
    """Where there is little damping; with more, the small eigenvalues are one cluster already."""
    V = np.random.default_rng(0).standard_normal((1210, 1))
    plain, better = (products(digits(0.01), given, V) for given in (None, "kronecker"))
    assert better <= 0.8 * plain


@cache
def uneven(loss):
    """Return the curvature of a linear model over columns of very different sizes."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 30)) * np.geomspace(1e-2, 1e2, 30)
    rule = rng.standard_normal((30, loss.n_outputs)) / np.geomspace(1e-2, 1e2, 30)[:, None]
    raw = X @ rule + rng.standard_normal((300, loss.n_outputs))
    y = raw if loss.classes is None else (raw[:, 0] > 0) + 0
    y = y if loss.n_outputs == 1 or loss.classes is None else raw.argmax(axis=1)
    one = LinearObjective.from_coefficients(X, y, loss, rule.T, np.zeros(loss.n_outputs), l2=1.0)
    return Curvature(one)


@pytest.mark.parametrize(
    "loss",
    [Logistic(np.arange(2)), Logistic(np.arange(3)), Multinomial(np.arange(3)), HalfSquaredError()],
    ids=["binary", "one-vs-rest", "multinomial", "squared"],
)
@pytest.mark.parametrize("preconditioner", ["subsampled", "block", "jacobi", "nystroem"])
def test_preconditioners_of_linear_models_save_products(preconditioner, loss):
    V = np.random.default_rng(0).standard_normal((uneven(loss).n_params, 2))
    plain, better = (products(uneven(loss), given, V) for given in (None, preconditioner))
    assert better < 0.6 * plain
    if preconditioner == "subsampled":
        assert better <= 12


def test_all_rows_are_a_solution(monkeypatch):
    """Where they fit, with damping, the heaviest rows are all: one product says it is solved."""
    monkeypatch.setattr(NetworkObjective, "single", False)
    curvature = network("reals-tanh")
    V = RNG.standard_normal((curvature.n_params, 3))
    assert products(curvature, "dominant_rows", V) == 1
    near = CG(preconditioner="dominant_rows").factorize(curvature).precondition(V)
    np.testing.assert_allclose(near, np.linalg.solve(matrix(curvature), V), rtol=1e-8)


def test_a_perfect_preconditioner_takes_one_product():
    H = spread()

    class Exact(Inverse):
        def solve(self, V):
            return np.linalg.solve(H, V)

    given = Given(H, Exact())
    V = RNG.standard_normal((40, 3))
    np.testing.assert_allclose(CG().factorize(given).solve(V), np.linalg.solve(H, V), rtol=1e-9)
    assert given.widths == [3]
    plain = Given(H, Exact())
    CG(preconditioner=None).factorize(plain).solve(V)
    assert len(plain.widths) > 10


def test_preconditioning_is_by_the_preconditioner_or_the_solve():
    curvature = network("binary-tanh")
    V = RNG.standard_normal((curvature.n_params, 2))
    factor = CG().factorize(curvature)
    np.testing.assert_array_equal(factor.precondition(V), curvature.preconditioner().solve(V))
    np.testing.assert_array_equal(CG(preconditioner=None).factorize(curvature).precondition(V), V)
    exact = Cholesky().factorize(curvature)
    np.testing.assert_array_equal(exact.precondition(V), exact.solve(V))


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


def test_the_warning_of_slabs_is_one(tune):
    tune(cg_elements=80)
    V = RNG.standard_normal((40, 5))
    with pytest.warns(ConvergenceWarning, match="with 5 of 5 right-hand sides unsolved") as said:
        CG(max_iter=2).factorize(Given(spread())).solve(V)
    assert len(said) == 1


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("guessed", [False, True])
@pytest.mark.parametrize("max_iter", [1, 2, 3, 5, 8])
def test_as_many_products_as_allowed(max_iter, single, guessed):
    """In all: also where single precision takes several rounds, and a guess is looked at."""
    given, V = Given(spread(largest=1e6)), RNG.standard_normal((40, 2))
    given.single = single
    message = rf"stopped at max_iter={max_iter} with 2 of 2 right-hand sides unsolved"
    factor = CG(max_iter=max_iter).factorize(given)
    with pytest.warns(ConvergenceWarning, match=message):
        X = factor.solve(V, V / 100.0 if guessed else None)
    assert len(given.widths) == max_iter
    left = np.linalg.norm(V - given.H @ X, axis=0) / np.linalg.norm(V, axis=0)
    assert factor.numerics.residual == pytest.approx(left.max(), rel=1e-6)


def test_rounds_in_single_precision_share_the_products_allowed():
    """Enough for two digits are not enough for the next."""
    curvature = network("three-relu-3", 1e-3)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 2))
    needed = Counted(curvature)
    CG(rtol=1e-10, preconditioner=None).factorize(needed).solve(V)
    for max_iter in (3, len(needed.widths) // 2, 3 * len(needed.widths) // 4):
        counted = Counted(curvature)
        factor = CG(rtol=1e-10, max_iter=max_iter, preconditioner=None).factorize(counted)
        with pytest.warns(ConvergenceWarning, match=f"stopped at max_iter={max_iter} with"):
            X = factor.solve(V)
        assert max_iter - 1 <= len(counted.widths) <= max_iter
        left = np.linalg.norm(V - curvature.matmat(X), axis=0) / np.linalg.norm(V, axis=0)
        assert factor.numerics.residual == pytest.approx(left.max(), rel=1e-3)


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
    one, rng = curvature.objective, np.random.default_rng(0)  # whatever tests ran before
    far = Curvature(one.at(2.0 * rng.standard_normal(one.n_params)), "hessian")
    assert np.linalg.eigvalsh(matrix(far))[0] < -1.0
    with pytest.raises(SingularCurvatureError, match="not positive definite"):
        Cholesky().factorize(far)
    V = rng.standard_normal((one.n_params, 3))
    for preconditioner in ("auto", None):
        with pytest.raises(SingularCurvatureError, match="without positive curvature"):
            CG(preconditioner=preconditioner).factorize(far).solve(V)


def test_inverses_that_do_not_fit_are_refused(monkeypatch):
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 1e3)
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
        r"preconditioner='{}' was given; this model accepts \('auto', {}, 'nystroem'\) and None\. "
        r"Leave it at 'auto'\."
    )
    linear = Curvature(KINDS["binary"]())
    for curvature, wrong, own in (
        (network("binary-tanh"), "diagonal", "'dominant_rows', 'kronecker'"),
        (network("binary-tanh"), "subsampled", "'dominant_rows', 'kronecker'"),
        (linear, "kronecker", "'subsampled', 'block', 'jacobi'"),
    ):
        with pytest.raises(ValueError, match=message.format(wrong, own)):
            CG(preconditioner=wrong).factorize(curvature)


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


def test_limits_decide(tune):
    curvature = network("binary-tanh")
    tune(network_params=10)
    assert isinstance(resolve("auto", curvature)[0], Cholesky)
    tune(network_work=1e3)
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
    names = "'auto', 'cholesky', 'lu', 'cg', 'lissa', 'nystroem' or a solver object"
    with pytest.raises(ValueError, match=names):
        resolve(CG, curvature)


def test_auto_is_the_first_of_the_preconditioners_that_a_model_has():
    linear = CG().factorize(Curvature(KINDS["binary"]())).preconditioner
    assert isinstance(linear, SubsampledHessian)
    assert CG(preconditioner=None).factorize(Curvature(KINDS["binary"]())).preconditioner is None
    own = AutogradObjective(lambda theta, X, y: (X @ theta - y) ** 2, np.zeros(3), l2=1.0)
    own = own.bind(np.eye(3), np.zeros(3))
    assert CG().factorize(Curvature(own)).preconditioner is None


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-11])
def test_single_precision_is_refined_to_the_residual_asked_for(rtol):
    curvature = network("three-tanh")
    V = RNG.standard_normal((curvature.n_params, 4)) * [1e-3, 1.0, 1e3, 1.0]
    seen = []

    class Seen:
        single, n_params = True, curvature.n_params
        preconditioner, off_gauge = curvature.preconditioner, curvature.off_gauge

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


def test_threads_have_a_budget_of_their_own():
    """Products of one solve are not taken off the budget of another that goes on meanwhile."""
    H, V = spread(largest=300.0), RNG.standard_normal((40, 2))
    together = Barrier(2, timeout=30)
    taken = CG(rtol=1e-8).factorize(Given(H))
    alone = taken.solve(V[:, :1]), taken.solve(V[:, 1:])
    needed = taken.record.longest

    class InStep(Given):
        def matmat(self, V):
            if V.dtype == np.float64 and not together.broken:
                with suppress(BrokenBarrierError):
                    together.wait(timeout=0.2)
            return super().matmat(V)

    factor = CG(rtol=1e-8, max_iter=needed).factorize(InStep(H))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(factor.solve, (V[:, :1], V[:, 1:])))
    for one, expected in zip(found, alone, strict=True):
        np.testing.assert_array_equal(one, expected)
    assert factor.record.longest == needed
    assert factor.record.n_products == taken.record.n_products


def test_residuals_are_those_of_the_answer_where_the_curvature_is_ill_conditioned():
    """What is carried along falls further than what is left."""
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((60, 60)))[0]
    H = Q * np.geomspace(1e-11, 1.0, 60) @ Q.T
    H = 0.5 * (H + H.T)
    V = np.random.default_rng(1).standard_normal((60, 2))
    factor = CG(rtol=1e-9, max_iter=400).factorize(Given(H))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        X = factor.solve(V)
    left = np.linalg.norm(V - H @ X, axis=0) / np.linalg.norm(V, axis=0)
    assert factor.numerics.residual >= 0.3 * left.max()
