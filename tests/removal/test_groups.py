"""Groups of rows against refits without them, dense Newton steps, and each other."""

import functools
import tracemalloc
import warnings
from fractions import Fraction

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.preprocessing import scale

from skinfluence import InfluenceRegressor
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.minimisers.distance import measure
from skinfluence.minimisers.newton import refine
from skinfluence.process.tuning import tuned, tuning
from skinfluence.removal import (
    Edits,
    ExactGroups,
    FirstOrderGroups,
    NewtonGroups,
    first_order,
    groups,
)
from skinfluence.solvers import Cholesky
from tests import oracles
from tests.cases import CASES, Data, wide_logistic

CASE = {case.name: case for case in CASES}
cases = pytest.mark.parametrize("name", CASE)

# The largest relative error of guarded Newton steps of the four groups below is .067.
GUARDED = 0.08


def factorize(objective):
    return Cholesky().factorize(Curvature(objective))


def removal_of(objective, masks, method="newton", guard=True, factor=None):
    factor = factorize(objective) if factor is None else factor
    masks = sparse.csr_matrix(np.atleast_2d(masks))
    names = np.arange(masks.shape[0])
    if method == "newton":
        return NewtonGroups(objective, masks, factor, factorize, names, guard=guard)
    kind = {"first_order": FirstOrderGroups, "exact": ExactGroups}[method]
    return kind(objective, masks, factor, factorize, names)


def masks_of(index, n):
    """Return boolean masks (n_groups, n) of lists of rows."""
    masks = np.zeros((len(index), n), dtype=bool)
    for mask, rows in zip(masks, index, strict=True):
        mask[rows] = True
    return masks


def optimum(estimator, X, y, s=None, counts=None):
    """Return the estimator at its optimum and the objective there."""
    fitted = oracles.at_optimum(estimator, X, y, s, counts)
    found = refine(measure(adapt(fitted, X, y, s), factorize), factorize)
    return fitted, found.objective


def overlapping(data):
    """Return masks of 3 and 12 rows at random, of the first 2, and of 10 at the edge."""
    n, rng = len(data.X), np.random.default_rng(0)
    edge = np.argsort(data.X[:, 3])[-10:]
    return masks_of([rng.choice(n, 3, False), rng.choice(n, 12, False), [0, 1], edge], n)


@functools.cache
def solved(name):
    """Return fitted, objective, masks and the actual changes (n_params, 4) of a case."""
    case, data = CASE[name], CASE[name].data
    fitted, objective = optimum(case.estimator, data.X, data.y, case.s, case.counts)
    judge, masks = oracles.plain(case.estimator, data.X, data.y, case.s), overlapping(data)
    thetas = []
    for kept in (np.ones(len(data.X), dtype=bool), *~masks):
        s = None if case.s is None else case.s[kept]
        one = oracles.tight(judge, data.X[kept], data.y[kept], s, case.counts)
        thetas.append(oracles.theta_of(one))
    return fitted, objective, masks, (np.array(thetas[1:]) - thetas[0]).T


def worst(changes, actual):
    """Return the largest |slope - 1| and the largest relative error of any column."""
    pairs = [oracles.slope_and_error(*one) for one in zip(changes.T, actual.T, strict=True)]
    slopes, errors = np.array(pairs).T
    return np.max(np.abs(slopes - 1.0)), errors.max()


# ------------------------------------------------------------------- every model of the table


@cases
def test_exact_groups_equal_refits(name):
    _, objective, masks, actual = solved(name)
    slope, error = worst(removal_of(objective, masks, "exact").all_changes().T, actual)
    assert error < 1e-7
    assert slope < 1e-7


@cases
def test_guarded_newton_groups_are_near_refits(name):
    """Where the loss is quadratic, equal to them."""
    _, objective, masks, actual = solved(name)
    slope, error = worst(removal_of(objective, masks).all_changes().T, actual)
    assert error < (1e-9 if objective.constant_hessian else GUARDED)
    assert slope < (1e-9 if objective.constant_hessian else GUARDED)


@cases
def test_first_order_has_the_sign_and_size_of_refits(name):
    """Too small by a tenth to a half; without a penalty groups may go anywhere."""
    _, objective, masks, actual = solved(name)
    changes = removal_of(objective, masks, "first_order").all_changes().T
    slope, error = oracles.slope_and_error(changes, actual)
    free = "unpenalised" in name
    assert error < (1.0 if free else 0.45)
    assert (0.5 if free else 1.05) < slope < 1.5


@cases
def test_newton_equals_a_dense_newton_step_on_the_remaining_rows(name):
    """Form the twin without the group, take one minimum-norm Newton step: the same change."""
    case, data = CASE[name], CASE[name].data
    fitted, objective, masks, _ = solved(name)
    changes = removal_of(objective, masks, guard=False).all_changes()
    for change, kept in zip(changes, ~masks, strict=True):
        s = None if case.s is None else case.s[kept]
        twin = oracles.twin_of(fitted, data.X[kept], data.y[kept], s, case.counts)
        H, g = twin.hessian(objective.theta), twin.gradient(objective.theta)
        step = -np.linalg.lstsq(H, g, rcond=1e-11)[0]
        assert np.linalg.norm(change - step) < 1e-8 * np.linalg.norm(step)


@cases
def test_first_order_is_the_sum_over_the_rows(name):
    _, objective, masks, _ = solved(name)
    factor = factorize(objective)
    single = first_order(Edits(objective), factor).all_changes()
    changes = removal_of(objective, masks, "first_order", factor=factor).all_changes()
    total = masks @ single
    assert np.linalg.norm(changes - total) < 1e-12 * np.linalg.norm(total)


@cases
def test_down_dated_and_formed_anew_are_one_inverse(name):
    _, objective, masks, _ = solved(name)
    factor = factorize(objective)
    A = np.random.default_rng(0).standard_normal((objective.n_samples, 5))
    pushes = objective.weighted_grad_sum(A)
    for mask in masks:
        rows = np.flatnonzero(mask)
        w = objective.sample_weight
        down = groups._down_date(objective.rows(rows), factor)
        anew = groups.inverse_without(objective, rows, w, factor, factorize)
        assert not isinstance(anew, groups.DownDated)
        solutions = [one.solve(pushes) for one in (down, anew)]
        assert np.linalg.norm(solutions[0] - solutions[1]) < 1e-10 * np.linalg.norm(solutions[1])


def test_the_smaller_way_is_taken():
    _, objective, *_ = solved("Ridge")  # 5 parameters
    ways = [
        groups.inverse_without(objective, np.arange(m), None, factorize(objective), factorize)
        for m in (5, 6)
    ]
    assert [isinstance(way, groups.DownDated) for way in ways] == [True, False]


def test_a_group_that_down_dating_would_not_survive_is_formed_anew():
    for name in ("LogisticRegression-lbfgs-3", "Ridge-3-alphas"):
        _, objective, masks, _ = solved(name)
        whole = removal_of(objective, masks, guard=False).all_changes()
        with tuned(down_date_rcond=np.inf):
            anew = removal_of(objective, masks, guard=False).all_changes()
        assert np.any(anew != whole)
        assert np.linalg.norm(anew - whole) < 1e-10 * np.linalg.norm(whole)


@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
@pytest.mark.parametrize(
    "name", ["LogisticRegression-3-balanced-weighted", "LogisticRegression-lbfgs", "Ridge-3"]
)
def test_blocks_change_rounding_only(name, method, tune):
    _, objective, masks, _ = solved(name)
    whole = removal_of(objective, masks, method).all_changes()
    tune(edit_elements=100)
    cut = removal_of(objective, masks, method)
    assert len(list(cut.column_blocks(np.arange(4)))) == 4
    np.testing.assert_allclose(cut.all_changes(), whole, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(cut.changes(np.array([2, 0])).T, whole[[2, 0]], rtol=1e-6)


@pytest.mark.parametrize("name", ["LogisticRegression-balanced", "LogisticRegression-3-weighted"])
@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_an_empty_group_changes_nothing(name, method):
    _, objective, masks, _ = solved(name)
    masks = np.vstack([masks[:1], np.zeros_like(masks[:1])])
    changes = removal_of(objective, masks, method).all_changes()
    np.testing.assert_allclose(changes[1], 0.0, atol=1e-12)
    assert np.linalg.norm(changes[0]) > 1e-3


# ----------------------------------------------------------------------- least squares and ridge


def standardised(scales=1.0, n=200, p=8):
    rng = np.random.default_rng(0)
    X = scale(rng.standard_normal((n + 30, p)) @ rng.standard_normal((p, p)))
    y = X @ rng.standard_normal(p) + 1.0 + rng.standard_normal(n + 30)
    return Data(X[:n] * scales, y[:n], rng.uniform(0.5, 2.0, n), X[n:] * scales, y[n:])


def changes_of_predictions(objective, masks, X_test):
    """Return the change of parameters (n_groups, P) and of predictions (n_test, n_groups)."""
    changes = removal_of(objective, masks).all_changes()
    one = np.column_stack([X_test, np.ones(len(X_test))])[:, : objective.n_params]
    return changes, one @ changes.T


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(
    ("scales", "alpha", "tolerance"),
    [(1.0, 10.0, 1e-10), (1.0, 1e-3, 1e-10), (np.logspace(-3, 4, 8), 1.0, 1e-6)],
    ids=["standardised", "weak penalty", "raw columns"],  # the last: svd itself is 1e-7 off
)
def test_ridge_without_groups_equals_refits(scales, alpha, tolerance, intercept, weighted):
    """Groups of 1 to 60 rows: parameters, predictions and losses, relative to their change."""
    data, rng = standardised(scales), np.random.default_rng(1)
    judge = Ridge(alpha=alpha, fit_intercept=intercept, solver="svd")
    s = data.s if weighted else None
    index = [rng.choice(200, size, False) for size in (1, 2, 5, 9, 10, 30, 60)]
    masks = masks_of([*index, np.argsort(data.y)[-40:]], 200)
    _, objective = optimum(judge, data.X, data.y, s)
    changes, moves = changes_of_predictions(objective, masks, data.X_test)
    full = judge.fit(data.X, data.y, s)
    theta, eta = oracles.theta_of(full), full.predict(data.X_test)
    losses = 0.5 * (eta - data.y_test) ** 2
    for change, move, kept in zip(changes, moves.T, ~masks, strict=True):
        one = judge.fit(data.X[kept], data.y[kept], None if s is None else s[kept])
        prediction = one.predict(data.X_test)
        loss = 0.5 * (prediction - data.y_test) ** 2
        for got, actual in (
            (change, oracles.theta_of(one) - theta),
            (move, prediction - eta),
            (0.5 * (eta + move - data.y_test) ** 2 - losses, loss - losses),
        ):
            slope, error = oracles.slope_and_error(got, actual)
            assert error < tolerance
            assert abs(slope - 1) < tolerance


def test_ridge_on_raw_columns_equals_rational_arithmetic():
    """Columns of scales .001 to 10,000: 6e-13 of the change off, where svd is 1e-8 off and more."""
    data = standardised(np.logspace(-3, 4, 4), n=40, p=4)
    kept = np.ones(40, dtype=bool)
    kept[[3, 11, 17, 25, 26, 38]] = False
    _, objective = optimum(Ridge(solver="svd"), data.X, data.y)
    change = removal_of(objective, ~kept).all_changes()[0]
    actual = rational_ridge(data.X[kept], data.y[kept]) - rational_ridge(data.X, data.y)
    assert np.linalg.norm(change - actual.astype(float)) < 1e-11 * np.linalg.norm(change)


def rational_ridge(X, y):
    """Solve (X'X + I) theta = X'y, the intercept free, without rounding."""
    fraction = np.vectorize(Fraction, otypes=[object])
    A, b = fraction(np.column_stack([X, np.ones(len(X))])), fraction(y)
    M = np.column_stack([A.T @ A, A.T @ b])
    M[range(X.shape[1]), range(X.shape[1])] += 1
    for i in range(len(M)):
        M[i] = M[i] / M[i, i]
        for j in set(range(len(M))) - {i}:
            M[j] = M[j] - M[j, i] * M[i]
    return M[:, -1]


def test_a_group_that_alone_determines_a_column_leaves_the_nearest_optimum():
    """Finite, and equal to refits where the column is zero; by either way to the inverse."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((40, 3)), np.zeros(40)])
    X[[3, 8], 3] = 1.0, -2.0
    y = rng.standard_normal(40)
    _, objective = optimum(LinearRegression(), X, y)
    masks = masks_of([[3, 8], [3, 8, 10], [3, 8, *range(20, 30)]], 40)
    X_test = np.column_stack([rng.standard_normal((10, 3)), np.zeros(10)])
    changes, moves = changes_of_predictions(objective, masks, X_test)
    assert np.all(np.isfinite(changes))
    full = LinearRegression().fit(X, y)
    for move, kept in zip(moves.T, ~masks, strict=True):
        one = LinearRegression().fit(X[kept], y[kept])
        actual = one.predict(X_test) - full.predict(X_test)
        assert np.linalg.norm(move - actual) < 1e-9 * np.linalg.norm(actual)


# --------------------------------------------------------------------------- which steps to trust


def groups_of_every_kind(objective, X_test, signs, rng):
    """Return masks at random and adversarial, of .25 to 25 % of the rows.

    Adversarial: the rows whose removal would raise, or lower, the loss of a test row most.
    """
    n = objective.n_samples
    change = first_order(Edits(objective), factorize(objective)).all_changes()
    margins = signs[:, None] * (X_test @ change.T)
    index = []
    for size in np.round(np.array([0.0025, 0.01, 0.03, 0.1, 0.25]) * n).astype(int):
        index += [rng.choice(n, max(size, 1), False) for _ in range(10)]
        for test in rng.choice(len(X_test), 5, False):
            order = np.argsort(margins[test])
            index += [order[: max(size, 1)], order[-max(size, 1) :]]
    return masks_of(index, n)


@pytest.mark.parametrize("alpha", [1e-3, 1e-2, 1e-1])
def test_steps_that_are_off_are_doubted(alpha):
    """Weak penalties: most unguarded steps of large groups are off by a fifth, and flagged.

    Of 100 groups 36, 10 and 2 are off at alpha / n = .001, .01 and .1, and none of them escapes.
    """
    X, y = load_breast_cancer(return_X_y=True)
    X, X_test, y, y_test = scale(X)[:450], scale(X)[450:], y[:450], y[450:]
    judge = LogisticRegression(
        C=1.0 / (alpha * 450), solver="newton-cholesky", tol=1e-14, max_iter=1000
    )
    _, objective = optimum(judge, X, y)
    ones, signs = np.column_stack([X_test, np.ones(len(X_test))]), np.where(y_test == 1, 1, -1)
    masks = groups_of_every_kind(objective, ones, signs, np.random.default_rng(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newton-cholesky at its last digits
        thetas = [oracles.theta_of(judge.fit(X[kept], y[kept])) for kept in ~masks]

    def effects(changes):
        eta = ones @ objective.theta
        moved = eta[:, None] + ones @ changes
        return np.logaddexp(0, -signs[:, None] * moved) - np.logaddexp(0, -signs * eta)[:, None]

    removal = removal_of(objective, masks, guard=False)
    steps, doubt = removal.steps(np.arange(len(masks)))
    predicted, actual = effects(steps), effects(np.array(thetas).T - objective.theta[:, None])
    error = np.linalg.norm(predicted - actual, axis=0) / np.linalg.norm(actual, axis=0)
    off = error > 0.2
    assert off.sum() > 1
    assert np.mean(doubt[off] > tuning().trusted_next_step) >= 0.95
    assert np.any(doubt < tuning().trusted_next_step)
    assert error[doubt < tuning().trusted_next_step].max() < 0.1
    if alpha >= 0.1:
        slope, _ = oracles.slope_and_error(predicted, actual)
        assert abs(slope - 1) < 0.1
    # and the guard does what it is for
    guarded = effects(removal_of(objective, masks).all_changes().T)
    slope, error = oracles.slope_and_error(guarded, actual)
    assert error < 0.005
    assert abs(slope - 1) < 0.001


@pytest.mark.parametrize("seed", range(2))
def test_groups_of_near_separable_rows_equal_refits(seed):
    """n = 150, p = 60, C = 100: one step is worse than nothing, the minimum is still found."""
    data, estimator = wide_logistic(seed, C=100.0)
    _, objective = optimum(estimator.set_params(tol=1e-10, max_iter=5000), data.X, data.y)
    rng = np.random.default_rng(0)
    masks = masks_of([rng.choice(150, size, False) for size in (2, 5, 20, 70)], 150)
    full = oracles.theta_of(oracles.tight(estimator, data.X, data.y))
    refits = [oracles.tight(estimator, data.X[kept], data.y[kept]) for kept in ~masks]
    actual = (np.array([oracles.theta_of(one) for one in refits]) - full).T
    off = worst(removal_of(objective, masks, guard=False).all_changes().T, actual)[1]
    assert off > 0.5
    for method in ("exact", "newton"):
        slope, error = worst(removal_of(objective, masks, method).all_changes().T, actual)
        assert error < 1e-6
        assert slope < 1e-6


@pytest.mark.parametrize("method", ["newton", "exact"])
def test_a_group_that_leaves_separable_rows_is_named(method):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    y = (X[:, 0] > 0).astype(int)
    flipped = [4, 17, 33, 50]
    y[flipped] = 1 - y[flipped]
    _, objective = optimum(LogisticRegression(C=np.inf, tol=1e-10), X, y)
    masks = masks_of([[1, 2], flipped, [4]], 60)
    removal = removal_of(objective, masks, method)
    with pytest.warns(
        ConvergenceWarning, match=r"each of the groups \[1\] \(1 in all\) no"
    ) as caught:
        changes = removal.all_changes()
    assert len(caught) == 1
    assert np.all(np.isfinite(changes))


@pytest.mark.parametrize("kind", [PoissonRegressor, Ridge])
def test_the_factors_kept_for_groups_fit_into_a_block(kind, tune):
    """Where a row's leaving changes all weights, every group has a factor of its own."""
    rng = np.random.default_rng(0)
    X, one_row = rng.standard_normal((160, 100)) / 10.0, np.eye(120, 160, dtype=bool)
    y = 1.0 * rng.poisson(np.exp(X[:, 0]))
    params = {"alpha": 0.01, "solver": "newton-cholesky", "tol": 1e-10}
    estimator = Ridge() if kind is Ridge else PoissonRegressor(**params)
    model = InfluenceRegressor(estimator).fit(X, y)
    whole = model.group_influence(one_row, X[:2], y[:2], method="newton").scores
    tune(edit_elements=2**17)
    tracemalloc.start()
    found = model.group_influence(one_row, X[:2], y[:2], method="newton").scores
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found, whole, rtol=1e-9, atol=1e-12)
    assert peak < 5 * 8 * 2**17 < 0.6 * 120 * 100**2 * 8
