"""Every name of a solver through the wrappers, and what wrappers say of it afterwards."""

import pickle
import warnings
from functools import cache

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.solvers import CG, LU, Arnoldi, Cholesky, LiSSA, Numerics, Nystroem
from skinfluence.solvers.selection import SOLVERS
from tests import networks
from tests.cases import BINARY, REAL, THREE
from tests.networks import NAMED

# A loose fit, so that refinement has a way to go.
MODELS = {
    "binary": (LogisticRegression(C=0.3, tol=1e-2), BINARY, 0.0),
    "three": (LogisticRegression(C=0.3, tol=1e-2), THREE, 0.0),
    "ridge": (Ridge(alpha=5.0), REAL, 0.0),
    "damped": (LogisticRegression(C=0.3), BINARY, 2.0),
    "network": (NAMED["binary-tanh"].estimator, networks.BINARY, 0.3),
}
# Largest error of scores, relative to all of them.
RTOL = {"auto": 1e-12, "cholesky": 1e-12, "lu": 1e-10, "cg": 1e-6, "lissa": 1e-2, "nystroem": 1e-8}
APPROXIMATE = ("lissa", "nystroem")
linear = pytest.mark.parametrize("name", ["binary", "three", "ridge", "damped"])
solvers = pytest.mark.parametrize("solver", RTOL)


def wrapped(name, solver, **params):
    inner, data, damping = MODELS[name]
    kind = InfluenceClassifier if is_classifier(inner) else InfluenceRegressor
    given = {"damping": damping, **params}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return kind(clone(inner), solver=solver, **given).fit(data.X, data.y)


def ask(model, name, method="first_order"):
    data = MODELS[name][1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (ConvergenceWarning, UserWarning))  # of long steps
        return model.influence_scores(data.X_test, data.y_test, method=method)


@cache
def asked(name, solver, method="first_order"):
    """Return a wrapper and its answer."""
    model = wrapped(name, solver)
    return model, ask(model, name, method)


def near(found, expected, rtol):
    assert np.linalg.norm(found - expected) <= rtol * np.linalg.norm(expected)
    assert np.linalg.norm(expected) > 0


def dense(model):
    """Return H, with damping, where the scores were computed."""
    objective = model.refinement_.objective
    return Curvature(objective, damping=model.damping).matmat(np.eye(objective.n_params))


# --------------------------------------------------------------------------------------- the names


def test_these_are_all_names():
    assert set(RTOL) == {"auto", *SOLVERS}


@pytest.mark.parametrize("name", MODELS)
@solvers
@pytest.mark.parametrize("method", ["first_order", "newton"])
def test_scores_are_those_of_cholesky(name, solver, method):
    near(asked(name, solver, method)[1], asked(name, "cholesky", method)[1], RTOL[solver])


@linear
@pytest.mark.parametrize("solver", ["cg", *APPROXIMATE, Arnoldi(rank=3, tol=1e9)])
def test_exact_removals_need_no_exact_solver(name, solver):
    """Approximate inverses do not take part in them."""
    found = ask(wrapped(name, solver), name, "exact")
    near(found, asked(name, "cholesky", "exact")[1], 1e-7)


SAID = {
    "auto": "cholesky: positive semidefinite curvature of 1 block(s) of {} parameters",
    **{solver: f"{solver}: asked for" for solver in SOLVERS},
}


@pytest.mark.parametrize(("name", "size"), [("binary", 5), ("three", 15), ("network", 16)])
@solvers
def test_solver_says_which_and_why(name, size, solver):
    assert asked(name, solver)[0].solver_ == SAID[solver].format(size)


@pytest.mark.parametrize("solver", [CG(), LU(), LiSSA(), Nystroem(), Arnoldi(), Cholesky()])
def test_objects_are_named_after_their_type(solver):
    model, _ = asked("binary", solver)
    assert model.solver_ == f"{type(solver).__name__.lower()}: given as an object"


# --------------------------------------------------------------------------------- what is measured


@linear
@pytest.mark.parametrize("solver", ["auto", "cholesky", "lu"])
def test_numerics_of_factors(name, solver):
    model, _ = asked(name, solver)
    found, H = model.numerics_, dense(model)
    assert isinstance(found, Numerics)
    assert found.damping == MODELS[name][2]
    assert found.n_negative == 0
    assert found.residual is None and found.n_products is None
    if name != "three":  # whose gauge is filled
        scaled = H / np.sqrt(np.outer(np.diag(H), np.diag(H)))
        np.testing.assert_allclose(found.rcond, 1.0 / np.linalg.cond(scaled, 1), rtol=0.3)
        if solver != "lu":
            pivots = np.diag(np.linalg.cholesky(scaled)) ** 2
            np.testing.assert_allclose(found.smallest_pivot, pivots.min(), rtol=1e-8)
    assert 0 < found.rcond < 1 and 0 < found.smallest_pivot < 1


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("solver", ["cg", "lissa"])
def test_numerics_of_what_iterates(name, solver):
    model, _ = asked(name, solver)
    found = model.numerics_
    assert found.damping == MODELS[name][2]
    assert found.rcond is None and found.smallest_pivot is None and found.n_negative is None
    assert 0 < found.residual <= (1e-7 if solver == "cg" else 0.1)
    assert found.n_products >= (1 if solver == "cg" else LiSSA().n_iter)


def test_numerics_of_nystroem():
    found = asked("three", "nystroem")[0].numerics_
    assert found.residual < 1e-10 and found.n_products >= 1 and found.damping == 0.0


def test_residuals_are_those_of_the_solves_of_the_answer():
    """Of the gradient of the test row, at the minimum."""
    model = wrapped("binary", CG(rtol=0.3, preconditioner=None), refine=False)
    scores = model.influence_scores(BINARY.X_test[:1], BINARY.y_test[:1], method="first_order")
    objective = model.refinement_.objective
    pushes = objective.weighted_grad_sum(np.diag(objective.sample_weight))
    solved = np.linalg.lstsq(pushes.T, scores.T, rcond=None)[0]  # scores = gradients' H^-1 pushes
    gradient = objective.on(BINARY.X_test[:1], BINARY.y_test[:1]).weighted_grad_sum(np.ones((1, 1)))
    left = np.linalg.norm(gradient - dense(model) @ solved) / np.linalg.norm(gradient)
    assert 1e-6 < left <= 0.3
    assert model.numerics_.residual == pytest.approx(left, rel=1e-6)


def test_damping_is_on_what_answers_and_not_on_the_minimum():
    model, _ = asked("damped", "cholesky")
    plain, _ = asked("damped", "cg")
    assert model.numerics_.damping == plain.numerics_.damping == 2.0
    assert model.refinement_.undamped.numerics.damping == 0.0


# --------------------------------------------------------------------------------------- refinement


@linear
@pytest.mark.parametrize("solver", [*APPROXIMATE, Arnoldi(rank=3, tol=1e9), LiSSA(n_iter=1, tol=9)])
def test_approximate_solvers_do_not_take_part_in_refinement(name, solver):
    """Neither in measuring the way to the minimum nor in going it."""
    found, expected = (wrapped(name, one) for one in (solver, "cholesky"))
    for model in (found, expected):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", (ConvergenceWarning, UserWarning))
            ask(model, name)
    found, expected = found.refinement_, expected.refinement_
    np.testing.assert_array_equal(found.objective.theta, expected.objective.theta)
    for each in (
        "gradient_norm",
        "remaining_gradient_norm",
        "newton_decrement",
        "typical_removal",
        "n_iter",
    ):
        assert getattr(found, each) == getattr(expected, each)
    if name in ("binary", "three"):
        assert found.n_iter > 0


@linear
def test_conjugate_gradients_get_to_the_same_minimum(name):
    found, expected = (asked(name, solver)[0].refinement_ for solver in ("cg", "cholesky"))
    near(found.objective.theta, expected.objective.theta, 1e-9)
    assert found.remaining_gradient_norm <= 1e-8 * max(expected.typical_removal, 1.0)
    np.testing.assert_allclose(found.typical_removal, expected.typical_removal, rtol=0.1)


@pytest.mark.parametrize("solver", APPROXIMATE)
def test_distances_of_a_network_are_about_right(solver):
    found, expected = (asked("network", one)[0].refinement_ for one in (solver, "cholesky"))
    np.testing.assert_array_equal(found.objective.theta, expected.objective.theta)
    assert found.relative_distance == pytest.approx(expected.relative_distance, rel=0.2)


# --------------------------------------------------------------------------- when it is there


@pytest.mark.parametrize("name", ["solver_", "numerics_"])
def test_before_any_question_there_is_nothing_to_tell(name):
    model = wrapped("binary", "auto")
    message = rf"{name} of InfluenceClassifier was asked for, but .* none has\. Score first"
    with pytest.raises(AttributeError, match=message):
        getattr(model, name)
    assert not hasattr(model, name)
    ask(model, "binary")
    assert hasattr(model, name)
    model.fit(BINARY.X, BINARY.y)
    assert not hasattr(model, name)
    assert "binary" not in repr(model) and model._repr_html_()


def test_they_are_about_the_last_question():
    model = wrapped("binary", "cholesky")
    first = ask(model, "binary")
    assert model.numerics_.n_products is None
    model.set_params(solver="cg")
    second = ask(model, "binary")
    assert model.solver_ == "cg: asked for" and model.numerics_.n_products > 0
    near(second, first, 1e-6)
    model.set_params(damping=1.0)
    ask(model, "binary")
    assert model.numerics_.damping == 1.0


def test_more_products_for_more_questions():
    model = wrapped("network", "cg")
    counts = []
    for _ in range(3):
        ask(model, "network")
        counts.append(model.numerics_.n_products)
    assert 0 < counts[0] < counts[1] < counts[2]


def test_exact_minima_of_a_network_need_no_inverse():
    model = wrapped("network", "cholesky")
    ask(model, "network", "exact")
    assert model.numerics_ is None
    assert model.solver_ == "cholesky: asked for"
    ask(model, "network", "first_order")
    assert model.numerics_.rcond > 0


@pytest.mark.parametrize("solver", [*RTOL, Arnoldi(rank=4, tol=1e9)])
@pytest.mark.parametrize("name", ["three", "network"])
def test_a_wrapper_that_has_answered_is_pickled(name, solver):
    """Without what it computed, which it computes again, the same."""
    model = wrapped(name, solver)
    before = ask(model, name)
    size = len(pickle.dumps(model))
    again = pickle.loads(pickle.dumps(model))
    assert size < 2 * len(pickle.dumps(wrapped(name, solver)))
    assert not hasattr(again, "solver_") and not hasattr(again, "numerics_")
    np.testing.assert_array_equal(ask(again, name), before)
    assert again.solver_ == model.solver_
    assert again.numerics_.damping == model.numerics_.damping


def test_objectives_where_scores_are_computed_are_those_of_the_fit():
    """What the tables above compare is no other objective: theta hardly moves."""
    model, _ = asked("three", "cholesky")
    fitted = adapt(model.estimator_, THREE.X, THREE.y, None).theta
    moved = np.linalg.norm(model.refinement_.objective.theta - fitted) / np.linalg.norm(fitted)
    assert 0 < moved < 0.1
