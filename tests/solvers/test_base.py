"""The contract of a factor: what it has by default, and a user's solver that only solves."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPRegressor

from skinfluence import AutogradObjective, InfluenceClassifier, InfluenceRegressor
from skinfluence.curvature import Curvature
from skinfluence.solvers import CG, LU, Arnoldi, Cholesky, Factor, LiSSA, Nystroem, Solver
from skinfluence.solvers.auto import AutoFactor
from skinfluence.solvers.selection import resolve
from tests.cases import BINARY, REALS, THREE
from tests.objectives.test_linear import KINDS


class LeastSquaresFactor(Factor):
    """What a user writes: a way to solve."""

    def solve(self, V):
        H = self.curvature.matmat(np.eye(self.curvature.n_params))
        return np.linalg.lstsq(H, V, rcond=1e-13)[0]


@dataclass(frozen=True)
class LeastSquares:
    """A solver that is one by its method `factorize` alone."""

    def factorize(self, curvature):
        return LeastSquaresFactor(curvature)


def near(found, expected, rtol):
    np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * np.abs(expected).max())


# ---------------------------------------------------------------------------- a solver of your own


class KrylovFactor(Factor):
    """One that takes V column by column, and has no answer along the gauge, as MINRES has none."""

    def solve(self, V):
        H = self.curvature.matmat(np.eye(self.curvature.n_params))
        noise = sum((V[shift].sum(axis=0) for shift in self.curvature.flat_shifts()), 0.0)
        return np.column_stack([np.linalg.lstsq(H, v, rcond=1e-13)[0] for v in V.T]) + 1e3 * noise


class Krylov:
    def factorize(self, curvature):
        return KrylovFactor(curvature)


class Wrong:
    """One whose factor solves for something else."""

    def __init__(self, solved):
        self.solved = solved

    def factorize(self, curvature):
        class WrongFactor(Factor):
            solve = staticmethod(self.solved)

        return WrongFactor(curvature)


MODELS = {
    "ridge": (InfluenceRegressor, Ridge(), REALS.X, REALS.y[:, 0]),
    "binary": (InfluenceClassifier, LogisticRegression(tol=1e-10), BINARY.X, BINARY.y),
    "three": (InfluenceClassifier, LogisticRegression(tol=1e-10), THREE.X, THREE.y),
    "balanced": (
        InfluenceClassifier,
        LogisticRegression(class_weight="balanced", tol=1e-10),
        BINARY.X,
        BINARY.y,
    ),
    "wide": (InfluenceClassifier, LogisticRegression(tol=1e-10), BINARY.X[:12] ** 3, BINARY.y[:12]),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
@pytest.mark.parametrize("solver", [LeastSquares(), Krylov()], ids=["lstsq", "krylov"])
def test_a_factor_that_only_solves_answers_every_question(name, method, solver):
    Wrapper, estimator, X, y = MODELS[name]
    found, expected = (
        Wrapper(estimator, solver=each, method=method).fit(X, y) for each in (solver, "cholesky")
    )
    near(found.influence_scores(X[:5], y[:5]), expected.influence_scores(X[:5], y[:5]), 1e-7)
    near(found.self_influence().scores, expected.self_influence().scores, 1e-7)
    groups = np.arange(len(y)) // 3
    near(
        found.group_influence(groups, X[:5], y[:5]).scores,
        expected.group_influence(groups, X[:5], y[:5]).scores,
        1e-7,
    )
    name = type(solver).__name__.lower()
    assert found.solver_ == f"{name}: given as an object" and found.numerics_ is None


@pytest.mark.parametrize(
    "solved, shape",
    [(lambda V: None, r"NoneType of shape \(\)"), (lambda V: V[:, 0], r"ndarray of shape \(5,\)")],
)
def test_a_solve_of_another_shape_is_refused(solved, shape):
    model = InfluenceClassifier(solver=Wrong(solved)).fit(BINARY.X, BINARY.y)
    with pytest.raises(
        TypeError, match=rf"WrongFactor\.solve returned {shape} for V of shape \(5, "
    ):
        model.influence_scores(BINARY.X_test, BINARY.y_test)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_it_answers_for_networks(method):
    network = MLPRegressor(
        hidden_layer_sizes=(3,), activation="tanh", solver="lbfgs", alpha=1.0, random_state=0
    )
    X, y = REALS.X, REALS.y[:, 0]
    found, expected = (
        InfluenceRegressor(network, solver=solver, method=method, damping=0.5).fit(X, y)
        for solver in (LeastSquares(), "cholesky")
    )
    near(found.influence_scores(X[:3], y[:3]), expected.influence_scores(X[:3], y[:3]), 1e-6)


def test_diagnostics_follow_from_solves():
    _, estimator, X, y = MODELS["binary"]
    found, expected = (
        InfluenceClassifier(estimator, solver=solver).fit(X, y).diagnostics()
        for solver in (LeastSquares(), "cholesky")
    )
    for name in ("hat_diagonal", "cooks_distance", "standard_errors"):
        near(getattr(found, name), getattr(expected, name), 1e-7)


class Duck:
    """Returns what solves, and is no Factor."""

    def factorize(self, curvature):
        return np.linalg.inv(curvature.matmat(np.eye(curvature.n_params)))


def test_what_is_no_factor_is_refused_where_it_is_received():
    model = InfluenceClassifier(solver=Duck()).fit(BINARY.X, BINARY.y)
    message = (
        r"Duck\.factorize returned a ndarray; a skinfluence\.solvers\.Factor is accepted\. "
        r"Subclass Factor and give it solve\(V\): all else has a default\."
    )
    with pytest.raises(TypeError, match=message):
        model.influence_scores(BINARY.X[:2], BINARY.y[:2])


def test_a_factor_must_solve():
    with pytest.raises(TypeError, match="abstract"):
        Factor(Curvature(KINDS["binary"]()))


class Rough(Solver):
    """A user's solver that is only close."""

    approximate = True

    def factorize(self, curvature):
        return LeastSquaresFactor(
            Curvature(curvature.objective, curvature.kind, 2 * curvature.damping)
        )


def test_a_solver_of_your_own_says_whether_it_approximates():
    """Then the way to the minimum is measured, and gone, by another."""
    curvature = Curvature(KINDS["binary"]())
    for solver, approximate in ((LeastSquares(), False), (Rough(), True)):
        assert resolve(solver, curvature)[0].approximate == approximate
    loose = LogisticRegression(tol=1e-2)
    ends = []
    for solver in (Rough(), "cholesky"):
        model = InfluenceClassifier(loose, solver=solver, damping=1.0).fit(BINARY.X, BINARY.y)
        model.influence_scores(BINARY.X[:2], BINARY.y[:2])
        ends.append(model.refinement_)
    np.testing.assert_array_equal(ends[0].objective.theta, ends[1].objective.theta)
    assert ends[0].newton_decrement == ends[1].newton_decrement


def test_which_of_ours_approximate():
    solvers = (Cholesky(), LU(), CG(), LiSSA(), Nystroem(), Arnoldi())
    curvature = Curvature(KINDS["binary"](), damping=1.0)
    assert [solver.approximate for solver in solvers] == [False] * 3 + [True] * 3
    for solver in solvers:
        assert resolve(solver, curvature)[0] is solver
        assert solver.factorize(curvature).approximate == solver.approximate


# ------------------------------------------------------------------------------------- defaults


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_from_solves(kind):
    curvature = Curvature(KINDS[kind](), damping=0.5)
    found, expected = LeastSquaresFactor(curvature), Cholesky().factorize(curvature)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 2))
    n_blocks, size = curvature.block_shape()
    near(found.precondition(V), expected.solve(V), 1e-9)
    near(found.inverse(), expected.inverse(), 1e-9)
    near(found.inverse_diagonal(), expected.inverse_diagonal(), 1e-9)
    for b in range(n_blocks):
        near(found.quadratic(V[:size], b), expected.quadratic(V[:size], b), 1e-9)
    near(pickle.loads(pickle.dumps(found)).solve(V), expected.solve(V), 1e-9)


def test_what_is_not_known_is_none():
    model = KINDS["binary"]()
    factor = LeastSquaresFactor(Curvature(model))
    assert factor.moved(model) is None and factor.prepare(10) is None
    assert factor.between(model, np.ones((model.n_samples, 1))) is None
    assert factor.quadratics(model) is None
    assert (factor.numerics, factor.rcond, factor.reason) == (None, None, None)
    assert not (factor.iterates or factor.approximate or factor.lower_bound)
    assert AutoFactor.iterates


@pytest.mark.parametrize("solver", [LeastSquares(), LU(), CG(), Nystroem()])
def test_what_a_factor_cannot_do_it_says_with_who_can(solver):
    factor = solver.factorize(Curvature(KINDS["binary"](), damping=1.0))
    with pytest.raises(ValueError) as said:
        factor.embed(np.ones((factor.n_params if isinstance(solver, LU) else 5, 1)))
    assert str(said.value) == (
        "influence_embedding was asked for, which splits the inverse curvature into two factors "
        f"by embed(V), and a {type(factor).__name__} does not have it; those of Arnoldi and "
        "Cholesky (of a model with more rows than parameters) do. Pass "
        "solver=skinfluence.solvers.Arnoldi(rank=100)."
    )


def test_the_users_model_and_the_users_solver():
    import autograd.numpy as anp

    def loss(theta, X, y):
        return anp.log(1.0 + anp.exp(-(2.0 * y - 1.0) * (X @ theta)))

    X, y = BINARY.X, (BINARY.y == BINARY.y[0]).astype(float)
    own = AutogradObjective(loss, np.zeros(X.shape[1]), l2=1.0, X=X, y=y, convex=True)
    curvature = Curvature(own)
    V = own.gradient()[:, None]
    near(
        LeastSquares().factorize(curvature).solve(V), Cholesky().factorize(curvature).solve(V), 1e-9
    )
