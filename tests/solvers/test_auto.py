"""The factor that iterates or is formed: the same numbers, and when it does which."""

import pickle
import warnings
from functools import cache

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skinfluence import InfluenceClassifier
from skinfluence.curvature import Curvature, Inverse, Work, hessian_roots, operator
from skinfluence.curvature.preconditioners.diagonal import Diagonal
from skinfluence.losses import Logistic, Multinomial, SquaredHinge
from skinfluence.minimisers.distance import measure
from skinfluence.minimisers.newton import newton_step, refine, renewed, shortened
from skinfluence.objectives import LinearObjective
from skinfluence.solvers import (
    Cholesky,
    Numerics,
    SingularCurvatureError,
    auto,
)
from skinfluence.solvers.auto import Auto, AutoFactor, worth_iterating
from skinfluence.solvers.cholesky import CholeskyFactor
from skinfluence.solvers.row_factor import RowFactor
from skinfluence.solvers.selection import resolve
from tests.cases import BINARY, THREE
from tests.model_table import _mixed
from tests.objectives.test_linear import KINDS
from tests.solvers.test_solvers import WIDE

RNG = np.random.default_rng(0)
PAYS = "cholesky: a factor of {} parameters; so many right-hand sides that it pays"


def price(monkeypatch, tune, forming, *, solve=0.0, product=1.0, preconditioner=0.0, n_products=1):
    """Let a curvature take so many seconds to form, to solve with, to multiply one column by."""
    found = Work(forming, 0.0, solve, product, preconditioner, n_products, 1, sparse=True)
    tune(sparse_rate=1.0)
    tune(dense_rate=1.0)
    monkeypatch.setattr(operator, "work", lambda one: None if hessian_roots(one) else found)


@pytest.fixture
def dear(monkeypatch, tune):
    """Factors that nobody would form, unless something is only to be had by one."""
    price(monkeypatch, tune, 1e6)


def right_hand_sides(curvature, k):
    return curvature.off_gauge(np.random.default_rng(k).standard_normal((curvature.n_params, k)))


def near(found, expected, rtol):
    assert np.linalg.norm(found - expected) <= rtol * np.linalg.norm(expected)


# ---------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damping", [0.0, 0.5])
def test_iterating_and_forming_give_the_answer_of_cholesky(kind, damping, dear):
    curvature = Curvature(KINDS[kind](), damping=damping)
    expected = Cholesky().factorize(curvature)
    V = right_hand_sides(curvature, 4)
    factor = Auto().factorize(curvature)
    iterated = factor.solve(V)
    assert factor.factor is None
    near(iterated, curvature.off_gauge(expected.solve(V)), 1e-8)
    near(factor.precondition(V), expected.solve(V), 0.1)
    B = RNG.standard_normal((curvature.block_shape()[1], 3))
    np.testing.assert_allclose(factor.quadratic(B, 0), expected.quadratic(B, 0), rtol=1e-12)
    assert isinstance(factor.factor, CholeskyFactor)
    np.testing.assert_allclose(factor.solve(V), expected.solve(V), rtol=1e-12)
    np.testing.assert_array_equal(factor.precondition(V), factor.solve(V))
    np.testing.assert_allclose(factor.inverse(), expected.inverse(), rtol=1e-12)
    np.testing.assert_allclose(factor.inverse_diagonal(), expected.inverse_diagonal(), rtol=1e-12)
    np.testing.assert_allclose(
        factor.embed(V).T @ factor.embed(V), V.T @ expected.solve(V), rtol=1e-9, atol=1e-10
    )


@pytest.mark.parametrize("name", ["quadratic", "inverse", "inverse_diagonal", "embed"])
def test_what_needs_a_factor_forms_it_first(name, dear):
    curvature = Curvature(KINDS["multinomial"]())
    B = right_hand_sides(curvature, 2)
    given = {"quadratic": (B, 0), "embed": (B,)}.get(name, ())
    found, expected = (
        getattr(one.factorize(curvature), name)(*given) for one in (Auto(), Cholesky())
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("formed", [False, True])
def test_a_factor_is_pickled(formed, dear):
    curvature = Curvature(KINDS["binary"]())
    factor, V = Auto().factorize(curvature), right_hand_sides(curvature, 2)
    found = factor.solve(V)
    if formed:
        factor.inverse()
    again = pickle.loads(pickle.dumps(factor))
    np.testing.assert_allclose(again.solve(V), found, rtol=1e-9)
    assert (again.factor is not None) == formed and again.reason == factor.reason


def test_nothing_to_solve_for(dear):
    curvature = Curvature(KINDS["binary"]())
    factor = Auto().factorize(curvature)
    assert factor.solve(np.zeros((5, 0))).shape == (5, 0)
    assert factor.iteration is None and factor.numerics == Numerics(0.0)
    np.testing.assert_array_equal(factor.solve(np.zeros((5, 2))), 0.0)


# ------------------------------------------------------------------------------ which, and when


def test_small_curvatures_are_factorised(monkeypatch, tune):
    curvature = Curvature(KINDS["multinomial"]())
    assert not worth_iterating(curvature)
    assert isinstance(resolve("auto", curvature)[0], Cholesky)
    price(monkeypatch, tune, 5.0)
    assert worth_iterating(curvature)
    assert resolve("auto", curvature) == (
        Auto(), "auto: iterates or factorises 15 parameters, as the question needs"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ({"forming": 5.0}, True),
        ({"forming": 0.9}, False),  # not WORTH a thought
        ({"forming": 5.0, "product": 6.0}, False),
        ({"forming": 5.0, "n_products": 6}, False),
        ({"forming": 5.0, "preconditioner": 4.5}, False),
        ({"forming": 5.0, "preconditioner": 3.5}, True),
    ],
)
def test_iterating_is_for_factors_that_take_longer_than_one_solve(
    prices, expected, monkeypatch, tune
):
    price(monkeypatch, tune, **prices)
    assert worth_iterating(Curvature(KINDS["binary"]())) == expected


def test_models_that_are_never_iterated_over(dear, tune):
    """By rows; with many parameters that nothing holds."""
    assert not worth_iterating(Curvature(WIDE["wide-binary"]()))
    free = KINDS["multinomial"](l2=0.0)
    assert worth_iterating(Curvature(free))
    tune(free_params=14)
    assert not worth_iterating(Curvature(free))
    assert worth_iterating(Curvature(free, damping=1e-3))


def test_large_models_are_worth_it_by_their_sizes():
    """What the constants make of shapes, without a number computed."""

    def shaped(n, p, K):
        X = np.broadcast_to(np.zeros((1, p)), (n, p))
        loss = Logistic(np.arange(K)) if K == 2 else Multinomial(np.arange(K))
        W, b = np.zeros((loss.n_outputs, p)), np.zeros(loss.n_outputs)
        return Curvature(LinearObjective.from_coefficients(X, np.zeros(n), loss, W, b, l2=1.0))

    assert worth_iterating(shaped(60_000, 784, 10))
    assert not worth_iterating(shaped(13_007, 784, 2))
    assert not worth_iterating(shaped(1_000_000, 20, 2))


def test_a_factor_is_formed_once_iterating_has_been_paid_for(monkeypatch, tune):
    tune(subsampled_share=1.0)
    price(monkeypatch, tune, 40.0, n_products=4)
    curvature = Curvature(KINDS["binary"]())
    factor, spent = Auto().factorize(curvature), [0.0]
    V = right_hand_sides(curvature, 2)
    for _ in range(50):
        assert factor.factor is None
        assert factor.reason == (
            "cg: iterating takes less for few right-hand sides; a factor of 5 parameters would "
            "take about 40 s"
        )
        before = factor.numerics.n_products or 0
        near(factor.solve(V), np.linalg.solve(curvature.blocks()[0], V), 1e-8)
        if factor.factor is not None:
            break
        spent.append(spent[-1] + 2.0 * (factor.numerics.n_products - before))
        assert factor.spent == pytest.approx(spent[-1])
    # The next would have been more than forming takes.
    assert spent[-1] <= 40.0 < spent[-1] + 2.0 * 4
    assert len(spent) > 3
    assert factor.reason == PAYS.format(5)
    assert factor.numerics == Cholesky().factorize(curvature).numerics


def test_many_right_hand_sides_are_never_iterated_over(monkeypatch, tune):
    price(monkeypatch, tune, 100.0, preconditioner=10.0)
    curvature = Curvature(KINDS["binary"]())
    monkeypatch.setattr(auto, "CG", None)  # nobody makes a preconditioner
    for k, formed in ((91, True), (200, True)):
        factor = Auto().factorize(curvature)
        factor.solve(right_hand_sides(curvature, k))
        assert (factor.factor is not None) == formed


def test_few_right_hand_sides_are(monkeypatch, tune):
    """Also where solves with a factor take their time."""
    curvature = Curvature(KINDS["binary"](), damping=0.1)
    for solve, k, formed in ((0.0, 90, False), (0.0, 91, True), (0.1, 91, True)):
        price(monkeypatch, tune, 100.0, preconditioner=10.0, solve=solve, product=1.0)
        factor = Auto().factorize(curvature)
        factor.solve(right_hand_sides(curvature, k))
        assert (factor.factor is not None) == formed


def test_numerics_are_those_of_the_solver_that_answers(dear):
    curvature = Curvature(KINDS["binary"](), damping=0.25)
    factor = Auto().factorize(curvature)
    factor.solve(right_hand_sides(curvature, 2))
    said = factor.numerics
    assert said.damping == 0.25 and said.residual <= 1e-9 and 0 < said.n_products < 20
    assert said.rcond is None
    factor.inverse()
    assert factor.numerics == Cholesky().factorize(curvature).numerics


# --------------------------------------------------------------------------- at other parameters


def test_the_preconditioner_is_kept_nearby(dear):
    one = KINDS["multinomial"]()
    factor = Auto().factorize(Curvature(one, damping=0.3))
    V = right_hand_sides(factor.curvature, 2)
    factor.solve(V)
    moved = factor.moved(one.at(1.1 * one.theta))
    assert isinstance(moved, AutoFactor) and moved.spent == 0.0
    assert moved.iteration.preconditioner is factor.iteration.preconditioner
    assert moved.curvature.damping == 0.3
    H = moved.curvature.matmat(np.eye(one.n_params))
    assert np.linalg.norm(H - factor.curvature.matmat(np.eye(one.n_params))) > 1e-3
    near(moved.solve(V), np.linalg.solve(H, V), 1e-8)
    assert moved.numerics.n_products < 60 and factor.numerics.n_products < 20


def test_the_preconditioner_is_made_anew_where_it_has_become_stale(dear, tune):
    one = KINDS["multinomial"]()
    factor = Auto().factorize(Curvature(one))
    assert factor.moved(one.at(0.0 * one.theta)).iteration is None  # nothing to keep
    factor.solve(right_hand_sides(factor.curvature, 1))
    far = factor.moved(one.at(8.0 * one.theta))
    V = right_hand_sides(far.curvature, 1)
    expected = Cholesky().factorize(far.curvature).solve(V)
    near(far.solve(V), far.curvature.off_gauge(expected), 1e-7)
    tune(stale_products=far.iteration.record.longest - 1)
    again = far.moved(one.at(8.0 * one.theta))
    assert again.iteration is None
    near(again.solve(V), far.curvature.off_gauge(expected), 1e-7)
    assert again.iteration.preconditioner is not factor.iteration.preconditioner


def test_where_few_rows_are_left_in_a_margin_they_are_factorised(monkeypatch, tune):
    """Here and after a move: their number depends on the parameters."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 20))
    one = LinearObjective.from_coefficients(
        X, X[:, 0] > 0, SquaredHinge(np.array([False, True])), np.eye(1, 20), 0.0, l2=1.0,
        l2_intercept=1.0,
    )  # fmt: skip
    price(monkeypatch, tune, 1e6)
    curvature = Curvature(one)
    assert worth_iterating(curvature)
    factor, V = Auto().factorize(curvature), rng.standard_normal((21, 2))
    near(factor.solve(V), np.linalg.solve(curvature.blocks()[0], V), 1e-8)
    far = one.at(10.0 * one.theta)
    H = Curvature(far).blocks()[0]
    assert 0 < np.sum(far.output_hessians() > 0) < 21
    for found in (factor.moved(far), Auto().factorize(Curvature(far))):
        assert isinstance(found, RowFactor)
        near(found.solve(V), np.linalg.solve(H, V), 1e-10)


# ----------------------------------------------------------------------------- what goes wrong


def collinear(rows=lambda X: X, **params):
    X = np.column_stack([BINARY.X, BINARY.X[:, 0] - BINARY.X[:, 1]])
    return LinearObjective.from_coefficients(
        rows(X), BINARY.y, Logistic(np.unique(BINARY.y)), np.zeros((1, 5)), 0.0, **params
    )


@pytest.mark.parametrize("rows", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("name", ["solve", "precondition", "inverse"])
def test_a_singular_curvature_is_refused_as_by_cholesky(name, rows, dear):
    """Conjugate gradients would find one of its solutions."""
    curvature = Curvature(collinear(rows, l2=0.0))
    assert worth_iterating(curvature)
    with pytest.raises(SingularCurvatureError) as said:
        Cholesky().factorize(curvature)
    V = curvature.objective.gradient()[:, None]
    factor = Auto().factorize(curvature)
    with pytest.raises(SingularCurvatureError) as found:
        getattr(factor, name)(*([] if name == "inverse" else [V]))
    assert str(found.value)[:60] == str(said.value)[:60]
    assert "collinear columns" in str(found.value)
    damped = Curvature(curvature.objective, damping=1e-2)
    near(Auto().factorize(damped).solve(V), np.linalg.solve(damped.blocks()[0], V), 1e-8)


def test_what_may_be_singular_is_factorised(dear):
    """Columns so near each other that single precision does not tell them apart."""
    X = np.column_stack([BINARY.X, BINARY.X[:, 0] + 1e-5 * BINARY.X[:, 1] ** 2])
    one = LinearObjective.from_coefficients(
        X, BINARY.y, Logistic(np.unique(BINARY.y)), np.zeros((1, 5)), 0.0, l2=0.0
    )
    factor, V = Auto().factorize(Curvature(one)), RNG.standard_normal((6, 2))
    near(factor.solve(V), Cholesky().factorize(Curvature(one)).solve(V), 1e-12)
    doubt = "whether there is an inverse shows in it"
    assert factor.reason == f"cholesky: a factor of 6 parameters; {doubt}"
    near(factor.precondition(V), factor.solve(V), 1e-12)


class Useless(Inverse):
    """A preconditioner that is none."""

    lower_bound = True

    def solve(self, V):
        return V


def test_what_does_not_converge_in_the_time_of_a_factor_is_factorised(monkeypatch, tune):
    """Without a warning, and without a second try nearby."""
    price(monkeypatch, tune, 30.0, n_products=3)
    monkeypatch.setattr(operator, "preconditioner", lambda *_: Useless())
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 40)) * np.geomspace(1e-3, 1e3, 40)
    one = LinearObjective.from_coefficients(
        X, rng.integers(0, 2, 200), Logistic(np.arange(2)), np.zeros((1, 40)), 0.0, l2=1e-4
    )
    curvature = Curvature(one)
    factor, V = Auto().factorize(curvature), right_hand_sides(curvature, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        near(factor.solve(V), Cholesky().factorize(curvature).solve(V), 1e-12)
    assert factor.iteration.record.n_products == 30
    doubt = "conjugate gradients did not converge in the time that it takes"
    message = f"cholesky: a factor of 41 parameters; {doubt}"
    assert factor.reason == message
    moved = factor.moved(one.at(one.theta + 1e-3))
    near(moved.precondition(V), Cholesky().factorize(moved.curvature).solve(V), 1e-12)
    assert moved.iteration is None and moved.reason == message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("l2", [0.7, 0.0])
def test_where_single_precision_is_not_trusted(kind, l2, dear, tune):
    """Iterating goes on by the diagonal, what is not penalised having been looked at."""
    tune(subsampled_rcond=1.0)
    curvature = Curvature(KINDS[kind](l2=l2))
    assert isinstance(curvature.preconditioner(), Diagonal)
    factor, V = Auto().factorize(curvature), right_hand_sides(curvature, 3)
    near(factor.solve(V), curvature.off_gauge(Cholesky().factorize(curvature).solve(V)), 1e-7)
    assert factor.reason.startswith("cg: ")


# ------------------------------------------------------------------------------------- refinement


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("far", [0.0, 1.0, 4.0])
def test_minima_are_reached_from_afar(kind, far, dear):
    """By halved steps, where whole ones go too far."""
    one = KINDS[kind](l2=0.3)
    one = one.at(far * one.theta)
    ends = []
    for solver in (Auto(), Cholesky()):

        def factorize(objective, solver=solver):
            return solver.factorize(Curvature(objective))

        measured = measure(one, factorize)
        ends.append(refine(measured, factorize))
    found, expected = ends
    near(found.objective.theta, expected.objective.theta, 1e-9)
    assert isinstance(found.factor, AutoFactor) and found.factor.factor is None
    assert found.factor.curvature.objective is found.objective
    size = np.linalg.norm(one.gradient())
    assert (
        found.gradient_norm == pytest.approx(size) and found.remaining_gradient_norm < 1e-8 * size
    )
    np.testing.assert_allclose(found.newton_decrement, expected.newton_decrement, rtol=0.1)
    np.testing.assert_allclose(found.typical_removal, expected.typical_removal, rtol=0.1)


@pytest.mark.parametrize("solver", [Auto(), Cholesky()])
def test_a_step_that_goes_too_far_is_halved_until_it_descends(solver, dear):
    """What it returns is the gradient and the next step there, which nobody computes again."""
    one = KINDS["one-vs-rest"](l2=0.1)
    one = one.at(np.resize([6.0, -6.0], one.n_params))
    factor = solver.factorize(Curvature(one))
    gradient = one.gradient()
    step, distance = newton_step(factor, gradient)
    assert one.at(one.theta + step).value() > one.value()
    moved = shortened(one, factor, step, distance)
    t = np.linalg.norm(moved.objective.theta - one.theta) / np.linalg.norm(step)
    assert t == pytest.approx(0.5 ** round(-np.log2(t))) and 0.02 < t < 0.5
    near(moved.objective.theta, one.theta + t * step, 1e-12)
    assert moved.objective.value() < one.value() - 1e-4 * t * distance**2
    assert one.at(one.theta + 2.0 * t * step).value() > moved.objective.value()
    np.testing.assert_array_equal(moved.gradient, moved.objective.gradient())
    H = Curvature(one).matmat(np.eye(one.n_params))
    near(moved.step, -np.linalg.solve(H, moved.gradient), 0.2)
    assert moved.newton_decrement == pytest.approx(np.sqrt(-moved.gradient @ moved.step))
    assert shortened(one, factor, -step, distance) is None  # uphill


def test_factors_are_renewed_in_their_own_way(dear):
    one = KINDS["binary"]()
    there = one.at(1.2 * one.theta)
    auto_factor, plain = (s.factorize(Curvature(one)) for s in (Auto(), Cholesky()))
    auto_factor.solve(one.gradient()[:, None])

    def factorize(objective):
        return Cholesky().factorize(Curvature(objective))

    kept = renewed(auto_factor, factorize, there)
    assert kept.iteration.preconditioner is auto_factor.iteration.preconditioner
    fresh = renewed(plain, factorize, there)
    assert isinstance(fresh, CholeskyFactor)
    V = right_hand_sides(Curvature(there), 2)
    near(kept.solve(V), fresh.solve(V), 1e-8)


# -------------------------------------------------------------------------------- through wrappers


@cache
def digits():
    X, y = load_digits(return_X_y=True)
    X = X[:, X.std(axis=0) > 0] / 16.0
    return X[:500, ::2], y[:500], X[1000:1006, ::2], y[1000:1006]


MODELS = {
    "tight": {"tol": 1e-9},
    "loose": {"tol": 3e-2},
    "balanced": {"class_weight": "balanced", "tol": 1e-3},
    "weighted": {"tol": 1e-3},
}


def pair(name, **params):
    """Return a wrapper that iterates and one that factorises."""
    X, y, X_test, y_test = digits()
    s = np.random.default_rng(0).uniform(0.5, 2.0, len(y)) if name == "weighted" else None
    inner = LogisticRegression(C=0.3, max_iter=1000, **MODELS[name])
    models = [
        InfluenceClassifier(inner, solver=one, **params).fit(X, y, sample_weight=s)
        for one in ("auto", "cholesky")
    ]
    return models, X_test, y_test


@pytest.mark.filterwarnings("ignore:LogisticRegression stopped")  # far from its optimum
@pytest.mark.parametrize("name", MODELS)
def test_scores_are_those_of_cholesky(name, dear):
    """Refinement included, which gets there by steps that iterate."""
    (found, expected), X_test, y_test = pair(name)
    for method in ("first_order", "newton"):
        scores = [m.influence_scores(X_test, y_test, method=method) for m in (found, expected)]
        near(*scores, 1e-7)
        if method == "first_order":
            assert found.solver_.startswith("cg: iterating takes less for few right-hand sides")
            assert found.numerics_.residual <= 1e-9
    assert expected.solver_ == "cholesky: asked for"
    ends = [m.refinement_ for m in (found, expected)]
    assert all(e.remaining_gradient_norm <= 1e-7 * e.typical_removal for e in ends)
    assert ends[0].n_iter <= ends[1].n_iter + 3
    near(ends[0].objective.theta, ends[1].objective.theta, 1e-8)
    near(ends[0].typical_removal, ends[1].typical_removal, 0.2)
    if name == "loose":
        assert ends[0].n_iter >= 2


QUESTIONS = {
    "first_order": lambda m, X, y: m.influence_scores(X, y, method="first_order"),
    "newton": lambda m, X, y: m.influence_scores(X, y, method="newton"),
    "exact": lambda m, X, y: m.influence_scores(X, y, method="exact"),
    "probabilities": lambda m, X, y: m.influence_scores(X, target="predict_proba"),
    "aggregate": lambda m, X, y: m.influence_scores(X, y, method="first_order", aggregate="mean"),
    "groups": lambda m, X, y: m.group_influence(groups(m), X, y, method="newton").scores,
    "groups, first order": lambda m, X, y: (
        m.group_influence(groups(m), X, y, method="first_order").scores
    ),
    "additions": lambda m, X, y: m.addition_influence(X, y, X, y, method="first_order").scores,
    "leave_one_out": lambda m, X, y: m.leave_one_out(method="newton").losses,
    "parameters": lambda m, X, y: m.parameter_influence(method="first_order").changes,
    "without": lambda m, X, y: m.without([3, 17]).estimator_.coef_,
}


def groups(model):
    return np.arange(model._fitted.training.X.shape[0]) % 7


def three(name):
    """Return wrappers over three classes that iterate and that factorise, and their test rows."""
    inner, s = {
        "logistic": (LogisticRegression(C=0.3, tol=1e-3), None),
        "balanced": (LogisticRegression(C=0.3, class_weight="balanced"), THREE.s),
        "l1": (_mixed(1), None),
    }[name]
    models = [
        InfluenceClassifier(inner, solver=one).fit(THREE.X, THREE.y, sample_weight=s)
        for one in ("auto", "cholesky")
    ]
    return models, THREE.X_test, THREE.y_test


@pytest.mark.filterwarnings("ignore:Without each")  # coefficients may come to be 0, or not
@pytest.mark.parametrize("name", ["logistic", "balanced", "l1"])
@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_is_answered_as_by_cholesky(question, name, dear):
    models, X_test, y_test = three(name)
    answers = [QUESTIONS[question](m, X_test, y_test) for m in models]
    assert np.linalg.norm(answers[1]) > 0
    near(*answers, 1e-7)
    assert "cg: iter" in models[0].solver_ or "many right-hand sides" in models[0].solver_


def refused(inner, X, y, **params):
    """Return what models that factorise and that iterate say."""
    said = []
    for solver in ("cholesky", "auto"):
        model = InfluenceClassifier(inner, solver=solver, **params).fit(X, y)
        with pytest.raises((SingularCurvatureError, ValueError)) as error:
            model.influence_scores(X[:3], y[:3], method="first_order")
        said.append((type(error.value), str(error.value).split("number")[0]))
    return said


@pytest.mark.filterwarnings("ignore:.*failed to converge")
@pytest.mark.parametrize("refine", ["auto", False])
@pytest.mark.parametrize("name", ["collinear", "separable"])
def test_models_without_one_optimum_are_refused_as_by_cholesky(name, refine, dear):
    X, y = BINARY.X, BINARY.y
    if name == "collinear":  # nearly: by more than rounding, and by less than could be solved for
        noise = 1e-9 * np.random.default_rng(0).standard_normal(len(X))
        X = np.column_stack([X, X[:, 0] - X[:, 1] + noise])
    else:
        y = np.where(X[:, 0] > 0, "no", "yes")
    expected, found = refused(LogisticRegression(C=np.inf, tol=1e-8), X, y, refine=refine)
    assert found == expected
    assert (found[0] is SingularCurvatureError) == (name != "separable")


def test_damping_is_the_way_out_of_a_singular_curvature_here_too(dear):
    X = np.column_stack([BINARY.X, BINARY.X[:, 0] - BINARY.X[:, 1]])
    found, expected = (
        InfluenceClassifier(LogisticRegression(C=np.inf), solver=solver, damping=0.1)
        .fit(X, BINARY.y)
        .influence_scores(BINARY.X_test @ np.eye(4, 5), BINARY.y_test, method="first_order")
        for solver in ("auto", "cholesky")
    )
    near(found, expected, 1e-7)


@pytest.mark.parametrize("price_of_a_factor", [1e6, 30.0])
def test_no_number_of_threads_changes_a_bit(monkeypatch, tune, price_of_a_factor):
    """Whether to iterate is decided for a whole question, not for the blocks of it."""
    price(monkeypatch, tune, price_of_a_factor)
    tune(edit_elements=2000)
    found = []
    for n_jobs in (1, 2, 3):
        model = InfluenceClassifier(LogisticRegression(), n_jobs=n_jobs).fit(THREE.X, THREE.y)
        found.append(model.parameter_influence(method="first_order").changes)
        assert model.solver_.startswith("cg" if price_of_a_factor > 1e3 else "cholesky")
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_what_does_not_fit_is_iterated_over(monkeypatch, tune):
    price(monkeypatch, tune, 0.1)
    curvature = Curvature(KINDS["multinomial"]())
    V = right_hand_sides(curvature, 5)
    expected = Cholesky().factorize(curvature).solve(V)
    monkeypatch.setattr(auto, "available_memory", lambda: 10.0)
    factor = Auto().factorize(curvature)
    near(factor.solve(V), curvature.off_gauge(expected), 1e-7)
    assert factor.factor is None
