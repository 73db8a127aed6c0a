"""Rows that come and rows that change their target, against refits and derivatives of twins."""

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from skinfluence import InfluenceClassifier
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.minimisers.distance import measure
from skinfluence.minimisers.newton import refine
from skinfluence.removal import Edits, exact, first_order, newton
from skinfluence.solvers import Cholesky
from tests import oracles
from tests.cases import CASES, Case, wide_logistic

CASE = {case.name: case for case in CASES}
cases = pytest.mark.parametrize("name", CASE)
ways = pytest.mark.parametrize("way", ["addition", "relabelling"])

RELABELLED = np.array([2, 30, 55])
COMING = 3

# The largest relative error of guarded Newton steps below is .074.
NEWTON_ERROR = 0.08


def factorize(objective):
    return Cholesky().factorize(Curvature(objective))


def step(edits, method, factor=None, **params):
    factor = factorize(edits.base) if factor is None else factor
    if method == "first_order":
        return first_order(edits, factor)
    if method == "newton":
        return newton(edits, factor, factorize, **params)

    def unguarded(same):
        one = factor if same is edits else factorize(same.base)
        return newton(same, one, factorize, guard=False)

    return exact(unguarded, edits)


def other_target(case, y):
    """Return the next class, or a number one larger."""
    if not case.is_classifier:
        return y + 1.0
    classes = np.unique(case.data.y)
    return classes[(np.searchsorted(classes, y) + 1) % len(classes)]


@dataclass(frozen=True)
class Rows:
    """Targets and sample weights of all rows, and of the rows that come."""

    X: np.ndarray
    y: np.ndarray
    s: np.ndarray


def coming_rows(case, way):
    """Return the rows that come: three of the test rows, or those whose target changes."""
    data = case.data
    if way == "addition":
        return Rows(data.X_test[:COMING], data.y_test[:COMING], np.ones(COMING))
    s = np.ones(len(data.y)) if case.s is None else case.s
    return Rows(data.X, other_target(case, data.y), s)


def join(case, rows, i, leaves):
    """Return the training rows, one of them replaced or with one more at their end."""
    data, place = case.data, i if leaves else len(case.data.X)
    s = np.ones(len(data.X)) if case.s is None else case.s
    put = [(data.X, rows.X), (data.y, rows.y), (s, rows.s)]
    if leaves:
        out = [
            np.concatenate([all_[:place], new[i : i + 1], all_[place + 1 :]]) for all_, new in put
        ]
    else:
        out = [np.concatenate([all_, new[i : i + 1]]) for all_, new in put]
    return Rows(*out)


def objective_of(rows, case, base, fitted):
    """Return the objective of rows that come, weighed as scikit-learn would weigh them."""
    data, weighting = case.data, base.weighting
    codes = np.zeros(len(rows.y), dtype=int)
    class_weight = np.ones(len(rows.y))
    if case.is_classifier:
        classes = np.unique(data.y)
        codes = np.searchsorted(classes, rows.y)
        s = np.ones(len(data.y)) if case.s is None else case.s
        known = oracles.class_weights(fitted, data.y, s, case.counts)
        class_weight = np.array([known[data.y == label][0] for label in classes])[codes]
    counts = rows.s if case.counts == "weights" else np.ones(len(rows.s))
    coming = base.on(rows.X, rows.y)
    return coming.with_weights(rows.s * class_weight, weighting.joined(codes, counts))


@dataclass(frozen=True)
class Solved:
    """A case with its edits and what they really do, (n_params, n_edits)."""

    case: Any
    fitted: Any
    edits: Edits
    rows: Rows
    chosen: np.ndarray
    actual: np.ndarray


def optimum(case, X, y, s):
    fitted = oracles.at_optimum(case.estimator, X, y, s, case.counts)
    found = refine(measure(adapt(fitted, X, y, s), factorize), factorize)
    return fitted, found.objective


@functools.cache
def solved(name, way):
    case = CASE[name]
    data, rows, leaving = case.data, coming_rows(case, way), way == "relabelling"
    fitted, base = optimum(case, data.X, data.y, case.s)
    edits = Edits(base, leaving=leaving, coming=objective_of(rows, case, base, fitted))
    judge = oracles.plain(case.estimator, data.X, data.y, case.s)
    full = oracles.theta_of(oracles.tight(judge, data.X, data.y, case.s, case.counts))
    chosen = RELABELLED if leaving else np.arange(COMING)
    thetas = []
    for i in chosen:
        new = join(case, rows, i, leaving)
        s = None if case.s is None else new.s
        thetas.append(oracles.theta_of(oracles.tight(judge, new.X, new.y, s, case.counts)) - full)
    return Solved(case, fitted, edits, rows, chosen, np.array(thetas).T)


@ways
@cases
def test_exact_equals_refits(name, way):
    one = solved(name, way)
    changes = step(one.edits, "exact").changes(one.chosen)
    slope, error = oracles.slope_and_error(changes, one.actual)
    assert error < 1e-7
    assert abs(slope - 1) < 1e-7


@ways
@cases
def test_newton_is_near_refits(name, way):
    """Where the loss is quadratic, equal to them."""
    one = solved(name, way)
    changes = step(one.edits, "newton").changes(one.chosen)
    slope, error = oracles.slope_and_error(changes, one.actual)
    bound = one.case.newton_error if one.edits.base.constant_hessian else NEWTON_ERROR
    assert error < bound
    assert abs(slope - 1) < bound


@ways
@cases
def test_newton_equals_a_dense_newton_step(name, way):
    """Form the twin after the edit, take one minimum-norm Newton step: the same change."""
    one = solved(name, way)
    case, theta = one.case, one.edits.base.theta
    changes = step(one.edits, "newton", guard=False).changes(one.chosen)
    for change, i in zip(changes.T, one.chosen, strict=True):
        new = join(case, one.rows, i, one.edits.leaving)
        twin = oracles.twin_of(one.fitted, new.X, new.y, new.s, case.counts)
        dense = -np.linalg.lstsq(twin.hessian(theta), twin.gradient(theta), rcond=1e-11)[0]
        off = np.linalg.norm(change - dense) / np.linalg.norm(dense)
        # Weights that count unequal samples share one factor per class: exact but for that.
        shared = case.counts == "weights" and case.weighted
        assert off < (1e-2 if shared else 1e-7)


@ways
@cases
def test_first_order_is_the_derivative(name, way):
    """Of the minimum of the twin, by the weight with which the row comes (and the old leaves)."""
    one = solved(name, way)
    case, i = one.case, one.chosen[0]
    new = join(case, one.rows, i, leaves=False)
    theta, e = one.edits.base.theta, 1e-3
    minima = []
    for part in (e, -e):
        ratio = np.ones(len(new.y))
        ratio[-1] = part
        if one.edits.leaving:
            ratio[i] = 1.0 - part
        twin = oracles.twin_of(one.fitted, new.X, new.y, new.s, case.counts, ratio)
        minima.append(oracles.minimise(twin, theta))
    derivative = (minima[0] - minima[1]) / (2 * e)
    change = step(one.edits, "first_order").changes(np.array([i]))[:, 0]
    slope, error = oracles.slope_and_error(change, derivative)
    assert error < 1e-4
    assert abs(slope - 1) < 1e-4


# --------------------------------------------------------------------------------- identities

METHODS = ("first_order", "newton", "exact")
SOME = (
    "LogisticRegression-lbfgs",
    "LogisticRegression-3-weighted",
    "LogisticRegression-balanced-weighted",
    "LogisticRegression-3-balanced-weighted",
    "Ridge-3-alphas",
    "RidgeClassifier-balanced",
)
some = pytest.mark.parametrize("name", SOME)


@pytest.mark.parametrize("method", METHODS)
@some
def test_the_same_target_changes_nothing(name, method):
    case = CASE[name]
    fitted, base = optimum(case, case.data.X, case.data.y, case.s)
    rows = coming_rows(case, "relabelling")
    same = objective_of(replace(rows, y=case.data.y), case, base, fitted)
    removal = step(Edits(base, leaving=True, coming=same), method)
    changes = removal.all_changes()
    # "exact" may take away what rounding had left of the gradient.
    np.testing.assert_allclose(changes, 0.0, atol=1e-11 if method == "exact" else 1e-15)
    if case.counts is None and method != "exact":
        np.testing.assert_array_equal(changes, 0.0)


@pytest.mark.parametrize("row", [3, 40])
@some
def test_there_and_back(name, row):
    """Adding a copy of a row, and removing it from the rows with the copy, undo each other."""
    case = CASE[name]
    fitted, base = optimum(case, case.data.X, case.data.y, case.s)
    one = np.array([row])
    copied = Rows(case.data.X[one], case.data.y[one], np.ones(1))
    there = Edits(base, leaving=False, coming=objective_of(copied, case, base, fitted))
    more = join(case, copied, 0, leaves=False)
    _, after = optimum(case, more.X, more.y, None if case.s is None else more.s)
    forth = step(there, "exact").changes(np.array([0]))
    back = step(Edits(after), "exact").changes(np.array([len(case.data.X)]))
    np.testing.assert_allclose(base.theta + forth[:, 0], after.theta, atol=1e-9)
    assert np.linalg.norm(forth + back) < 1e-7 * np.linalg.norm(forth)


@some
def test_relabelling_is_removal_and_addition_to_first_order(name):
    one = solved(name, "relabelling")
    base = one.edits.base
    factor = factorize(base)
    relabelled = step(one.edits, "first_order", factor).all_changes()
    removed = step(Edits(base), "first_order", factor).all_changes()
    added = Edits(base, leaving=False, coming=one.edits.coming)
    both = removed + step(added, "first_order", factor).all_changes()
    assert np.linalg.norm(relabelled - both) < 1e-12 * np.linalg.norm(both)


@ways
@pytest.mark.parametrize("method", METHODS)
@some
def test_blocks_change_rounding_only(name, method, way, tune):
    one = solved(name, way)
    whole = step(one.edits, method).changes(one.chosen)
    tune(block_elements=500)
    tune(edit_elements=10)
    cut = step(one.edits, method)
    assert len(list(cut.column_blocks(one.chosen))) > 1
    changes = cut.changes(one.chosen[::-1])[:, ::-1]
    np.testing.assert_allclose(changes, whole, rtol=1e-5, atol=1e-9)


@ways
@pytest.mark.parametrize("method", METHODS)
@some
def test_own_predictions_are_the_change_at_the_edited_row(name, method, way):
    one = solved(name, way)
    removal = step(one.edits, method)
    X, changes = one.rows.X, removal.all_changes()
    if one.fitted.fit_intercept:
        X = np.column_stack([X, np.ones(len(X))])
    expected = np.einsum("ip,ikp->ik", X, changes.reshape(len(X), -1, X.shape[1]))
    np.testing.assert_allclose(removal.own_predictions(), expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_label_that_moves_everything_is_followed_to_its_minimum(seed):
    """Near-separable rows: one Newton step overshoots to where the loss is flat."""
    data, estimator = wide_logistic(seed, C=100.0)
    case = Case("LogisticRegression", estimator.set_params(tol=1e-10, max_iter=5000), data)
    fitted, base = optimum(case, data.X, data.y, None)
    rows = coming_rows(case, "relabelling")
    edits = Edits(base, leaving=True, coming=objective_of(rows, case, base, fitted))
    chosen = np.argsort(np.where(data.y == 1, -1, 1) * fitted.decision_function(data.X))[:5]
    full, thetas = oracles.theta_of(oracles.tight(estimator, data.X, data.y)), []
    for i in chosen:
        new = join(case, rows, i, leaves=True)
        thetas.append(oracles.theta_of(oracles.tight(estimator, new.X, new.y)) - full)
    for method, bound in (("exact", 1e-7), ("newton", 1e-3)):
        changes = step(edits, method).changes(chosen)
        slope, error = oracles.slope_and_error(changes, np.array(thetas).T)
        assert error < bound
        assert abs(slope - 1) < bound
    unguarded = step(edits, "newton", guard=False).changes(chosen)
    assert oracles.slope_and_error(unguarded, np.array(thetas).T)[1] > 0.3


@pytest.mark.parametrize("method", ["newton", "exact"])
def test_a_relabelled_row_alone_in_a_column_keeps_its_own_curvature(method):
    """Leverage one at a class weight of 1e8: it comes back with weight 1, not with none."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((30, 2)), np.eye(30)[:, 4]])
    y = np.arange(30) % 2
    weights = {0: 1e8, 1: 1.0}
    model = InfluenceClassifier(RidgeClassifier(alpha=1.0, class_weight=weights)).fit(X, y)
    moved = y.copy()
    moved[4] = 1
    scores = model.relabel_influence(moved, X, target="decision_function", method=method).scores[
        :, 4
    ]
    refit = [
        RidgeClassifier(alpha=1.0, class_weight=weights, solver="svd").fit(X, labels)
        for labels in (y, moved)
    ]
    actual = refit[1].decision_function(X) - refit[0].decision_function(X)
    assert scores[4] == pytest.approx(actual[4], rel=1e-5)
