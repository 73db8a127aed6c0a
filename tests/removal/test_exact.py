"""The minimum without a row against refits, to the gradient it promises."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skinfluence import InfluenceClassifier
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.losses import Logistic, SmoothHinge, SquaredHinge
from skinfluence.minimisers.distance import measure
from skinfluence.minimisers.newton import cooled, refine
from skinfluence.objectives import LinearObjective
from skinfluence.removal import Edits, minimise_after, newton
from skinfluence.removal.edited import EditedRows
from skinfluence.solvers import Cholesky
from tests import oracles
from tests.cases import BINARY, CASES, LOGISTIC_COUNTS, classification, wide_logistic


def factorize(objective):
    return Cholesky().factorize(Curvature(objective))


def removal_of(estimator, data, s=None, counts=None):
    fitted = oracles.at_optimum(estimator, data.X, data.y, s, counts)
    found = refine(measure(adapt(fitted, data.X, data.y, s), factorize), factorize)
    return newton(Edits(found.objective), found.factor, factorize)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_minima_equal_refits(case):
    data = case.data
    rows = np.array([1, 22, 47])
    removal = removal_of(case.estimator, data, case.s, case.counts)
    changes = minimise_after(removal, rows, rtol=1e-10)
    actual, _ = oracles.leave_one_out(case.estimator, data, case.s, case.counts, rows)
    assert np.linalg.norm(changes.T - actual) < 1e-6 * np.linalg.norm(actual)


@pytest.mark.parametrize("seed", range(3))
def test_near_separable_minima_equal_refits(seed, tune):
    data, estimator = wide_logistic(seed, C=100.0)
    rows = np.arange(0, 150, 10)
    tune(trusted_shift=np.inf, negligible_step=np.inf)
    removal = removal_of(estimator.set_params(tol=1e-10, max_iter=5000), data)
    changes = minimise_after(removal, rows, rtol=1e-10)
    actual, _ = oracles.leave_one_out(estimator, data, rows=rows)
    assert np.linalg.norm(changes.T - actual) < 1e-6 * np.linalg.norm(actual)
    tune(edit_elements=400)  # a few columns at a time
    again = minimise_after(removal, rows, rtol=1e-10)
    assert np.linalg.norm(again - changes) < 1e-7 * np.linalg.norm(changes)


def test_rows_that_do_not_converge_are_named():
    data, estimator = wide_logistic(0, C=100.0)
    removal = removal_of(estimator.set_params(tol=1e-10, max_iter=5000), data)
    rows = removal.guarded[:2][::-1]
    named = rf"Without each of the rows \[{rows[1]}, {rows[0]}\] \(2 in all\)"
    with pytest.warns(ConvergenceWarning, match=named):
        minimise_after(removal, rows, rtol=1e-12, max_iter=0)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("balanced", [None, "balanced"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_minima_in_the_space_of_the_rows_equal_refits(n_classes, balanced, form):
    """More columns than rows: the same minima, found in as many coordinates as there are rows."""
    data = classification(n=40, p=90, n_classes=n_classes, seed=2)
    data.X[7], data.y[7] = data.X[8], data.y[8]  # the rows span one dimension less
    estimator = LogisticRegression(C=0.3, class_weight=balanced, tol=1e-10, max_iter=5000)
    model = InfluenceClassifier(estimator).fit(form(data.X), data.y)
    rows = np.array([1, 8, 33])
    removal = model._current().mechanism("auto").removal("exact")
    assert removal.axes.rows.shape[1] in (39, 40)
    assert removal.edits.base.n_params < (1 if n_classes == 2 else 3) * 42
    actual, losses = oracles.leave_one_out(estimator, data, counts=LOGISTIC_COUNTS, rows=rows)
    changes = removal.changes(rows).T
    assert np.linalg.norm(changes - actual) < 1e-6 * np.linalg.norm(actual)
    scores = model.influence_scores(data.X_test, data.y_test, method="exact")[:, rows]
    assert np.linalg.norm(scores - losses) < 1e-6 * np.linalg.norm(losses)
    left_out = model.leave_one_out(return_parameters=True)
    theta = removal.objective.theta
    np.testing.assert_allclose(left_out.parameters[rows], theta + changes, rtol=1e-6, atol=1e-9)
    with_parameters = left_out.decisions
    np.testing.assert_allclose(model.leave_one_out().decisions, with_parameters, rtol=1e-6)
    flipped = np.roll(np.unique(data.y), 1)[data.y]
    relabelled = model.relabel_influence(flipped, data.X_test, data.y_test, method="exact").scores
    y = data.y.copy()
    y[17] = flipped[17]
    refit = oracles.tight(estimator, data.X, y, None, LOGISTIC_COUNTS)
    full = oracles.tight(estimator, data.X, data.y, None, LOGISTIC_COUNTS)
    change = [oracles.losses_of(one, data.X_test, data.y_test) for one in (refit, full)]
    np.testing.assert_allclose(relabelled[:, 17], change[0] - change[1], rtol=1e-5, atol=1e-8)


def test_rows_on_flat_parts_are_left_out_and_looked_at_again():
    """A squared hinge without the rows beyond the margin is another problem until they matter."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 5))
    y = (X[:, 0] + 0.3 * rng.standard_normal(400) > 0).astype(int)
    objective = LinearObjective.from_coefficients(
        X, y, SmoothHinge(np.array([0, 1]), 1e-3), np.array([2.0, 0, 0, 0, 0]), 0.0, l2=0.1
    )
    one = cooled(objective, lambda warm: refine(measure(warm, factorize), factorize).objective)
    one = refine(measure(one, factorize), factorize).objective
    removal = newton(Edits(one), factorize(one), factorize, guard=False)
    pulling = np.flatnonzero(np.abs(removal.coefficients[:, 0]) > 0.5)[:8]
    found = minimise_after(removal, pulling, rtol=1e-9)
    for i, change in zip(pulling, found.T, strict=True):
        kept = np.delete(np.arange(400), i)
        left = one.rows(kept).at(one.theta + change)
        assert np.linalg.norm(left.gradient()) < 1e-7
    edited = EditedRows(removal, pulling, 0)
    reached = edited.active_rows(found)
    assert len(pulling) < len(reached) < 200  # of 400
    few = edited.among(reached)
    for one_problem in (edited, few):
        gradient, _ = one_problem.gradient(found)
        assert np.abs(gradient).max() < 1e-7
    none = edited.among(np.arange(0))
    assert np.abs(none.gradient(found)[0]).max() > 1e-3


def test_nothing_is_certified_where_the_curvature_jumps():
    """The bound on the next gradient holds for self-concordant losses alone."""
    objectives = [
        LinearObjective.from_coefficients(X, y, loss, w, 0.0, l2=1.0)
        for X, y, w in [(BINARY.X, BINARY.y, np.full(4, 0.1))]
        for loss in (SquaredHinge(np.unique(y)), Logistic(np.unique(y)))
    ]
    for objective, known in zip(objectives, (False, True), strict=True):
        found = refine(measure(objective, factorize), factorize)
        removal = newton(Edits(found.objective), found.factor, factorize, guard=False)
        rows = np.arange(10)
        problem = EditedRows(removal, rows, 0)
        gradient, reach = problem.gradient(np.zeros((5, 10)))
        Z, _ = problem.precondition(gradient)
        assert np.all(np.isfinite(problem.after(gradient, Z, reach))) == known
