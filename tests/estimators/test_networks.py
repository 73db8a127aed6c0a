"""Networks through the wrappers: against dense algebra of their twins, and refits by scipy.

First-order and Newton scores are compared with dense matrices of the twin at the same parameters;
"exact" with the twin minimised without the row, started at the minimum with it.
"""

import re
import warnings
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.solvers import CG, Cholesky
from tests.network_twins import (
    descend,
    fitted,
    inverse_times,
    leave,
    optimum,
    theta_of,
    twin,
    twin_of,
    with_theta,
)
from tests.networks import NAMED, OLD
from tests.oracles import slope_and_error

every = pytest.mark.parametrize("name", NAMED)
# Fits by small batches: a row that leaves takes its share of the penalty along.
SHARED = ("real-sgd-batches", "binary-adam-batches", "labels-adam-early")
alone = pytest.mark.parametrize("name", [name for name in NAMED if name not in SHARED])
# Of one clear basin, whose curvature has no small eigenvalue.
CLEAR = ("binary-tanh", "three-tanh", "labels-tanh", "real-tanh", "reals-tanh")
clear = pytest.mark.parametrize("name", CLEAR)
SMOOTH = [
    name
    for name, one in NAMED.items()
    if not one.tags.intersection(("kinked",)) and name not in SHARED
]
DAMPING = 0.3


def wrap(name, estimator=None, X=None, y=None, s=None, **params):
    """Return a fitted wrapper, of the estimator of the table by default."""
    one = NAMED[name]
    kind = InfluenceClassifier if is_classifier(one.estimator) else InfluenceRegressor
    wrapper = kind(clone(one.estimator) if estimator is None else estimator, **params)
    if X is None:
        X = sparse.csr_matrix(one.data.X) if "sparse" in one.tags else one.data.X
        s = one.s if s is None else s
    y = one.data.y if y is None else y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return wrapper.fit(X, y) if s is None else wrapper.fit(X, y, s)


@cache
def at_fit(name, **params):
    return wrap(name, **params)


@cache
def at_optimum(name, **params):
    """Return a wrapper of a frozen network at the minimum of its twin."""
    return wrap(name, FrozenEstimator(with_theta(fitted(name), optimum(name))), **params)


def ask(wrapper, question, *args, **params):
    """Ask in silence: networks that stopped early say so. Arrays of what has one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        answer = getattr(wrapper, question)(*args, **params)
    whole = ("influence", "leave_one_out", "without")
    return answer if question in whole else np.asarray(answer)


def scores(wrapper, name, method, **params):
    data = NAMED[name].data
    X_test = sparse.csr_matrix(data.X_test) if "sparse" in NAMED[name].tags else data.X_test
    return ask(wrapper, "influence_scores", X_test, data.y_test, method=method, **params)


def check(predicted, actual, error):
    """Hold the values to the relative error."""
    assert np.shape(predicted) == np.shape(actual)
    slope, found = slope_and_error(predicted, actual)
    assert found <= error, f"relative error {found:.3g}, slope {slope:.6g}"


# ------------------------------------------------------------------------------ dense algebra


class DenseNetwork:
    """The curvature of a twin at some parameters, as matrices."""

    def __init__(self, name, theta, curvature="gauss_newton", damping=0.0):
        self.name, self.twin, self.theta = name, twin(name), theta
        other = self.twin
        J, G = other.jacobian(theta), other.output_curvatures(theta)
        self.rows = np.einsum("ikp,ik->ip", J, other.output_slopes(theta))
        self.pushes = (other.w[:, None] * self.rows).T
        self.own = np.einsum("i,ikp,ikl,ilq->ipq", other.w, J, G, J, optimize=True)
        self.M = np.diag(other.l2 + damping) + self.own.sum(axis=0)
        if curvature == "hessian":
            self.M = other.hessian(theta) + damping * np.eye(len(theta))

    def test_losses(self, theta):
        data = NAMED[self.name].data
        return self.twin.rows(theta, data.X_test, data.y_test)

    def first_order(self):
        data = NAMED[self.name].data
        T = self.twin.row_gradients(self.theta, data.X_test, data.y_test)
        return T @ inverse_times(self.M, self.pushes)

    def step(self, rows):
        """Return the Newton step of the data without some rows."""
        return inverse_times(self.M - self.own[rows].sum(axis=0), self.pushes[:, rows].sum(axis=1))

    def newton(self, groups=None):
        base = self.test_losses(self.theta)
        groups = [[i] for i in range(len(self.twin.X))] if groups is None else groups
        moved = [self.test_losses(self.theta + self.step(rows)) - base for rows in groups]
        return np.array(moved).T


@cache
def dense(name, where="fit", curvature="gauss_newton", damping=DAMPING):
    theta = theta_of(fitted(name)) if where == "fit" else optimum(name)
    return DenseNetwork(name, theta, curvature, damping)


@alone
def test_first_order_is_dense_algebra_at_the_fitted_parameters(name):
    found = scores(at_fit(name, damping=DAMPING), name, "first_order")
    check(found, dense(name).first_order(), 1e-8)


@alone
def test_newton_is_dense_algebra_at_the_fitted_parameters(name):
    found = scores(at_fit(name, damping=DAMPING), name, "newton")
    check(found, dense(name).newton(), 1e-7)


@alone
@pytest.mark.parametrize("method", ["first_order"])
def test_the_hessian_on_request(name, method):
    H = twin(name).hessian(theta_of(fitted(name)))
    damping = 0.3 + max(0.0, -np.linalg.eigvalsh(H)[0])
    found = scores(at_fit(name, curvature="hessian", damping=damping), name, method)
    check(found, dense(name, curvature="hessian", damping=damping).first_order(), 1e-8)


@pytest.mark.parametrize("name", ["binary-tanh", "real-tanh", "labels-tanh"])
def test_first_order_with_the_hessian_is_the_derivative_of_the_minimum(name, h=1e-4):
    """In the weight of a row: the definition, by refits."""
    other, theta = twin(name), optimum(name)
    found = scores(at_optimum(name, curvature="hessian"), name, "first_order")
    for i in hardest(name)[:1]:
        ends = []
        for sign in (1.0, -1.0):
            w = np.array(other.w)
            w[i] *= 1.0 - sign * h
            moved = descend(replace(other, w=w), theta)
            ends.append(dense(name, "optimum").test_losses(moved))
        check(found[:, i], (ends[0] - ends[1]) / (2 * h), 1e-5)


@pytest.mark.parametrize("name", ["binary-tanh", "three-tanh", "real-tanh", "labels-tanh"])
def test_fisher_information_is_gauss_newton_for_canonical_losses(name):
    found = scores(at_fit(name, curvature="fisher", damping=DAMPING), name, "first_order")
    check(found, dense(name).first_order(), 1e-8)


@pytest.mark.parametrize("name", [*CLEAR, "binary-0", "three-0", "three-logistic"])
def test_first_order_without_damping(name):
    found = scores(at_optimum(name), name, "first_order")
    check(found, dense(name, "optimum", damping=0.0).first_order(), 1e-7)


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("method", ["first_order", "newton"])
def test_rows_of_small_batches_take_their_share_of_the_penalty(name, method):
    """In the mean form: what remains is scaled up by n / (n - 1), and the penalty stays."""
    one = dense(name, "optimum", damping=0.0)
    other, theta = one.twin, one.theta
    trained = other.w > 0
    n = trained.sum()
    if method == "first_order":
        data = NAMED[name].data
        T = other.row_gradients(theta, data.X_test, data.y_test)
        pushes = one.pushes + np.outer(other.l2 * theta, trained / n)
        expected = T @ inverse_times(one.M, pushes)
    else:
        base, columns = one.test_losses(theta), []
        for i in range(len(trained)):
            left = other.without([i], other.l2 * (n - trained[i]) / n)
            M, g = left.gauss_newton(theta), left.gradient(theta)
            columns.append(one.test_losses(theta - inverse_times(M, g)) - base)
        expected = np.array(columns).T
    check(scores(at_optimum(name), name, method), expected, 1e-6)


# ---------------------------------------------------------------------------------- other targets


@pytest.mark.parametrize("method", ["first_order", "newton"])
@pytest.mark.parametrize("name", ["binary-tanh", "three-tanh"])
def test_probabilities(name, method, h=1e-6):
    one, data = dense(name), NAMED[name].data
    classes = fitted(name).classes_

    def probability(theta):
        P = with_theta(fitted(name), theta).predict_proba(data.X_test)
        return P[np.arange(len(P)), np.searchsorted(classes, data.y_test)]

    expected = moved_target(one, probability, method, h)
    found = scores(at_fit(name, damping=DAMPING), name, method, target="predict_proba")
    check(found, expected, 1e-6 if method == "newton" else 1e-5)


@pytest.mark.parametrize("method", ["first_order", "newton"])
@pytest.mark.parametrize("name", ["real-tanh", *([] if OLD else ["counts-tanh"])])
def test_predictions(name, method, h=1e-6):
    one, data = dense(name), NAMED[name].data
    found = scores(at_fit(name, damping=DAMPING), name, method, target="predict")
    expected = moved_target(
        one, lambda theta: with_theta(fitted(name), theta).predict(data.X_test), method, h
    )
    check(found, expected, 1e-6 if method == "newton" else 1e-5)


def moved_target(one, target, method, h):
    columns = []
    for i, push in enumerate(one.pushes.T):
        if method == "newton":
            columns.append(target(one.theta + one.step([i])) - target(one.theta))
        else:
            d = inverse_times(one.M, push)
            columns.append((target(one.theta + h * d) - target(one.theta - h * d)) / (2 * h))
    return np.array(columns).T


@alone
def test_parameters(name):
    found = ask(at_fit(name, damping=DAMPING), "parameter_influence", method="first_order")
    one = dense(name)
    check(found, inverse_times(one.M, one.pushes).T, 1e-8)


@alone
def test_parameters_by_newton(name):
    found = ask(at_fit(name, damping=DAMPING), "parameter_influence", method="newton")
    one = dense(name)
    check(found, np.array([one.step([i]) for i in range(len(found))]), 1e-7)


@alone
def test_self_influence(name):
    one, wrapper = dense(name), at_fit(name, damping=DAMPING)
    expected = np.einsum("ip,pi->i", one.rows, inverse_times(one.M, one.pushes))
    check(ask(wrapper, "self_influence", method="first_order"), expected, 1e-8)
    losses = one.twin.rows(one.theta)
    moved = [one.twin.rows(one.theta + one.step([i]))[i] - losses[i] for i in range(len(losses))]
    check(ask(wrapper, "self_influence", method="newton"), np.array(moved), 1e-7)


# ------------------------------------------------------------------------- groups and other edits


@alone
def test_groups(name):
    one, data = dense(name), NAMED[name].data
    X_test = sparse.csr_matrix(data.X_test) if "sparse" in NAMED[name].tags else data.X_test
    masks = np.zeros((3, len(data.X)), dtype=bool)
    masks[0, [3, 8]], masks[1, ::9], masks[2, 10:30] = True, True, True  # 2, 6 and 20 rows
    groups = [np.flatnonzero(mask) for mask in masks]
    wrapper = at_fit(name, damping=DAMPING)
    found = ask(wrapper, "group_influence", masks, X_test, data.y_test, method="first_order")
    sums = [one.first_order()[:, rows].sum(axis=1) for rows in groups]
    check(found, np.array(sums).T, 1e-8)
    found = ask(wrapper, "group_influence", masks, X_test, data.y_test, method="newton")
    check(found, one.newton(groups), 1e-7)


def edited(one, X, y, sign):
    """Return (pushes, curvatures) of one row each that comes (-1) or leaves (+1)."""
    other = one.twin
    fresh = replace(other, X=X, Y=other.encode(y), w=np.ones(len(X)))
    J, G = fresh.jacobian(one.theta), fresh.output_curvatures(one.theta)
    own = np.einsum("ikp,ikl,ilq->ipq", J, G, J, optimize=True)
    return sign * fresh.row_gradients(one.theta).T, sign * own


@clear
def test_additions(name):
    one, data = dense(name), NAMED[name].data
    pushes, own = edited(one, data.X_test[:4], data.y_test[:4], -1.0)
    T = one.twin.row_gradients(one.theta, data.X_test, data.y_test)
    args = data.X_test[:4], data.y_test[:4], data.X_test, data.y_test
    wrapper = at_fit(name, damping=DAMPING)
    found = ask(wrapper, "addition_influence", *args, method="first_order")
    check(found, T @ inverse_times(one.M, pushes), 1e-8)
    found = ask(wrapper, "addition_influence", *args, method="newton")
    base = one.test_losses(one.theta)
    steps = [inverse_times(one.M - G, push) for G, push in zip(own, pushes.T, strict=True)]
    moved = [one.test_losses(one.theta + step) - base for step in steps]
    check(found, np.array(moved).T, 1e-7)


def relabelled(name):
    """Return other targets: those of the row before."""
    return np.roll(NAMED[name].data.y, 1, axis=0)


@clear
def test_other_targets(name):
    one, data = dense(name), NAMED[name].data
    y_new = relabelled(name)
    gone, own = edited(one, data.X, data.y, 1.0)
    come, new = edited(one, data.X, y_new, -1.0)
    T = one.twin.row_gradients(one.theta, data.X_test, data.y_test)
    wrapper = at_fit(name, damping=DAMPING)
    args = y_new, data.X_test, data.y_test
    found = ask(wrapper, "relabel_influence", *args, method="first_order")
    check(found, T @ inverse_times(one.M, gone + come), 1e-8)
    found = ask(wrapper, "relabel_influence", *args, method="newton")
    base = one.test_losses(one.theta)
    steps = [inverse_times(one.M - own[i] - new[i], gone[:, i] + come[:, i]) for i in range(50)]
    moved = [one.test_losses(one.theta + step) - base for step in steps]
    check(found, np.array(moved).T, 1e-7)


# ------------------------------------------------------------------------------- exact, by refits


def losses_at(name, theta):
    data = NAMED[name].data
    return twin(name).rows(theta, data.X_test, data.y_test)


@cache
def without(name, rows):
    """Return the minimiser without some rows (a tuple), or None where there are two of them."""
    return leave(twin(name), list(rows), optimum(name))


@cache
def hardest(name, k=2):
    """Return the rows of the largest first-order scores among those whose refit is one."""
    sizes = np.abs(dense(name, "optimum", damping=0.1).first_order()).sum(axis=0)
    order = np.argsort(sizes)[::-1][: k + 4]
    found = [i for i in order if sizes[i] > 0 and without(name, (int(i),)) is not None]
    assert len(found) >= k
    return np.array(found[:k])


@cache
def changes(name):
    base = losses_at(name, optimum(name))
    each = [losses_at(name, without(name, (int(i),))) - base for i in hardest(name)]
    return np.array(each).T


QUICK = ("binary-0", "binary-identity", "binary-tanh", "real-adam-early")
some = [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in SMOOTH]


@pytest.mark.parametrize("name", some)
def test_exact_is_the_refit(name):
    check(scores(at_optimum(name), name, "exact")[:, hardest(name)], changes(name), 1e-6)


@clear
def test_exact_polishes_first(name):
    """From where scikit-learn stopped, in the same basin."""
    check(scores(at_fit(name), name, "exact")[:, hardest(name)], changes(name), 1e-6)


def theta_from(wrapper):
    return theta_of(wrapper.estimator_)


GROUP = (2, 5, 11, 23, 38)


@clear
def test_an_exact_group_is_the_refit(name):
    data = NAMED[name].data
    masks = np.zeros((1, len(data.X)), dtype=bool)
    masks[0, list(GROUP)] = True
    found = ask(at_fit(name), "group_influence", masks, data.X_test, data.y_test, method="exact")
    expected = losses_at(name, without(name, GROUP)) - losses_at(name, optimum(name))
    check(found[:, 0], expected, 1e-6)


@clear
def test_a_network_without_rows_is_the_refit(name):
    left = ask(at_fit(name), "without", list(GROUP))
    expected = without(name, GROUP)
    np.testing.assert_allclose(theta_from(left), expected, atol=1e-6 * np.abs(expected).max())
    model = left.estimator_
    assert [W.shape for W in model.coefs_] == [W.shape for W in fitted(name).coefs_]
    data = NAMED[name].data
    predicted = with_theta(fitted(name), expected).predict(data.X_test)
    if is_classifier(model):
        np.testing.assert_array_equal(left.predict(data.X_test), predicted)
    else:
        check(left.predict(data.X_test), predicted, 1e-6)
    np.testing.assert_array_equal(theta_from(at_fit(name)), theta_of(fitted(name)))
    assert ask(left, "self_influence", method="first_order").shape == (45,)


@clear
def test_the_loss_of_a_row_left_out(name):
    rows = hardest(name)
    left = np.array([twin(name).rows(without(name, (int(i),)))[i] for i in rows])
    found = ask(at_fit(name), "leave_one_out")
    np.testing.assert_allclose(found.losses[rows], left, rtol=1e-6, atol=1e-9)
    own = twin(name).rows(optimum(name))[rows]
    check(ask(at_fit(name), "self_influence", method="exact")[rows], left - own, 1e-6)


@clear
def test_an_exact_addition_is_the_refit(name):
    data, other = NAMED[name].data, twin(name)
    expected = []
    for j in range(2):
        X, y = np.vstack([data.X, data.X_test[[j]]]), np.concatenate([data.y, data.y_test[[j]]])
        more = twin_of(fitted(name), X, y)
        np.testing.assert_array_equal(more.l2, other.l2)
        moved = descend(more, optimum(name))
        expected.append(losses_at(name, moved) - losses_at(name, optimum(name)))
    args = data.X_test[:2], data.y_test[:2], data.X_test, data.y_test
    found = ask(at_fit(name), "addition_influence", *args, method="exact")
    check(found, np.array(expected).T, 1e-6)


@clear
def test_an_exact_other_target_is_the_refit(name):
    data, rows, expected = NAMED[name].data, hardest(name)[:2], []
    y_new = relabelled(name)
    if is_classifier(fitted(name)):
        changed = np.any((y_new != data.y).reshape(50, -1), axis=1)
        rows = np.flatnonzero(changed)[:2]
    for i in rows:
        y = np.array(data.y)
        y[i] = y_new[i]
        moved = descend(twin_of(fitted(name), data.X, y), optimum(name))
        expected.append(losses_at(name, moved) - losses_at(name, optimum(name)))
    args = y_new, data.X_test, data.y_test
    found = ask(at_fit(name), "relabel_influence", *args, method="exact")
    check(found[:, rows], np.array(expected).T, 1e-6)


@clear
def test_refine_polishes_for_every_method(name):
    wrapper = at_fit(name, refine=True, damping=DAMPING)
    for method in ("first_order", "newton"):
        one = dense(name, "optimum")
        expected = one.first_order() if method == "first_order" else one.newton()
        check(scores(wrapper, name, method), expected, 1e-6)
    np.testing.assert_array_equal(theta_from(wrapper), theta_of(fitted(name)))


@pytest.mark.parametrize("name", [*CLEAR, "real-sgd-batches", "binary-adam-batches"])
def test_what_is_left_is_stationary_on_the_rows_that_are_left(name):
    """The penalty of small batches is what the rows left of it."""
    one = ask(at_optimum(name), "without", [0, 1, 2])._current().objective()
    assert np.linalg.norm(one.gradient()) <= 1e-5 * np.linalg.norm(one.l2 * one.theta)


def test_rows_left_of_early_stopping_are_refused():
    """They would be split anew, into others that train."""
    with pytest.raises(ValueError, match="holds rows out of the fit"):
        ask(at_optimum("real-adam-early"), "without", [0, 1])


@pytest.mark.parametrize("name", ["real-adam-early", "binary-sgd-early"])
def test_rows_held_out_have_no_influence(name):
    data, held = NAMED[name].data, np.flatnonzero(twin(name).w == 0)
    wrapper = at_optimum(name, damping=DAMPING)
    for method in ("first_order", "newton", "exact"):
        found = scores(wrapper, name, method)
        assert np.abs(found[:, held]).max() <= 1e-7 * np.abs(found).max()
        args = relabelled(name), data.X_test, data.y_test
        found = ask(wrapper, "relabel_influence", *args, method=method)
        assert np.abs(found[:, held]).max() <= 1e-7 * np.abs(found).max()


# -------------------------------------------------------------------------------------- solvers


@pytest.mark.parametrize("name", [*CLEAR, "three-relu-3", "reals-logistic-2", "three-adam"])
@pytest.mark.parametrize("method", ["first_order", "newton"])
def test_solvers_agree(name, method):
    cholesky = at_fit(name, damping=DAMPING, solver=Cholesky())
    iterated = at_fit(name, damping=DAMPING, solver=CG(rtol=1e-10))
    check(scores(iterated, name, method), scores(cholesky, name, method), 1e-7)


@pytest.mark.parametrize("name", ["three-relu-3", "real-tanh-3", "reals-logistic-2"])
@pytest.mark.parametrize("method", ["first_order", "newton"])
def test_fewer_outputs_than_parameters(name, method):
    """The dual form: eight rows of a network with more parameters than raw predictions."""
    data = NAMED[name].data
    rows = np.arange(8) if not is_classifier(fitted(name)) else rows_of_all_classes(data.y)
    X, y = data.X[rows], data.y[rows]
    model = FrozenEstimator(fitted(name))
    found = []
    for solver in ("auto", CG(rtol=1e-11)):
        wrapper = wrap(name, model, X, y, damping=DAMPING, refine=False, solver=solver)
        found.append(scores(wrapper, name, method))
    other, theta = twin_of(fitted(name), X, y), theta_of(fitted(name))
    M = other.gauss_newton(theta) + DAMPING * np.eye(len(theta))
    if method == "first_order":
        T = other.row_gradients(theta, data.X_test, data.y_test)
        check(found[0], T @ np.linalg.solve(M, other.row_gradients(theta).T), 1e-8)
    check(found[1], found[0], 1e-7)


def rows_of_all_classes(y):
    return np.concatenate([np.flatnonzero(y == label)[:3] for label in np.unique(y)])[:8]


# ------------------------------------------------------------------------------------ invariance


METHODS = ("first_order", "newton", "exact")


@clear
@pytest.mark.parametrize("method", METHODS)
def test_two_jobs_are_one(name, method):
    two = wrap(name, damping=DAMPING, n_jobs=2)
    expected = scores(at_fit(name, damping=DAMPING), name, method)
    np.testing.assert_array_equal(scores(two, name, method), expected)


@pytest.mark.skipif(OLD, reason="networks take no sample_weight there")
@clear
@pytest.mark.parametrize("method", METHODS)
def test_weights_are_repetitions(name, method):
    data, model = NAMED[name].data, with_theta(fitted(name), optimum(name))
    s = np.ones(50)
    s[0], s[1] = 2.0, 0.0
    rows = np.concatenate([[0, 0], np.arange(2, 50)])
    params = {"damping": DAMPING, "refine": True}
    one = wrap(name, FrozenEstimator(model), data.X, data.y, s, **params)
    two = wrap(name, FrozenEstimator(model), data.X[rows], data.y[rows], **params)
    one, two = (scores(m, name, method) for m in (one, two))
    np.testing.assert_allclose(one[:, 1], 0.0, atol=1e-9)
    check(one[:, 2:], two[:, 2:], 1e-6)


@clear
@pytest.mark.parametrize("method", METHODS)
def test_the_order_of_rows_does_not_matter(name, method):
    data = NAMED[name].data
    order = np.random.default_rng(0).permutation(50)
    model = FrozenEstimator(with_theta(fitted(name), optimum(name)))
    found = wrap(name, model, data.X[order], data.y[order], damping=DAMPING)
    expected = scores(at_optimum(name, damping=DAMPING), name, method)
    check(scores(found, name, method), expected[:, order], 1e-6)


@clear
@pytest.mark.parametrize("method", METHODS)
def test_float32(name, method):
    data = NAMED[name].data
    model = FrozenEstimator(with_theta(fitted(name), optimum(name)))
    found = wrap(name, model, data.X.astype(np.float32), data.y, damping=DAMPING)
    X_test = data.X_test.astype(np.float32)
    single = ask(found, "influence_scores", X_test, data.y_test, method=method)
    assert single.dtype == np.float32
    check(single, scores(at_optimum(name, damping=DAMPING), name, method), 1e-3)


@clear
@pytest.mark.parametrize("method", METHODS)
def test_sparse_is_dense(name, method):
    data = NAMED[name].data
    model = FrozenEstimator(with_theta(fitted(name), optimum(name)))
    found = wrap(name, model, sparse.csr_matrix(data.X), data.y, damping=DAMPING)
    X_test = sparse.csr_matrix(data.X_test)
    thin = ask(found, "influence_scores", X_test, data.y_test, method=method)
    check(thin, scores(at_optimum(name, damping=DAMPING), name, method), 1e-7)


@clear
@pytest.mark.parametrize("kind", ["frame", "list"])
def test_frames_and_lists_are_arrays(name, kind):
    data = NAMED[name].data
    pandas = pytest.importorskip("pandas")

    def given(X):
        return pandas.DataFrame(X, columns=["x", "y", "z"]) if kind == "frame" else X.tolist()

    found = wrap(name, None, given(data.X), data.y, damping=DAMPING)
    again = ask(found, "influence_scores", given(data.X_test), data.y_test, method="newton")
    check(again, scores(at_fit(name, damping=DAMPING), name, "newton"), 1e-9)


@clear
@pytest.mark.parametrize("method", METHODS)
def test_a_pipeline_is_its_last_step_on_transformed_rows(name, method):
    data = NAMED[name].data
    scaler = StandardScaler().fit(data.X)
    pipeline = make_pipeline(StandardScaler(), clone(NAMED[name].estimator))
    found = wrap(name, pipeline, data.X, data.y, damping=DAMPING)
    plain = wrap(name, None, scaler.transform(data.X), data.y, damping=DAMPING)
    X_test = scaler.transform(data.X_test)
    expected = ask(plain, "influence_scores", X_test, data.y_test, method=method)
    check(scores(found, name, method), expected, 1e-7)


# ----------------------------------------------------------------------- what is said, and asked


def test_a_network_that_stopped_early_says_how_far_it_is():
    wrapper = wrap("reals-adam", refine=True)
    data = NAMED["reals-adam"].data
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        wrapper.influence_scores(data.X_test, data.y_test)
    assert any(issubclass(one.category, ConvergenceWarning) for one in said)
    g = np.linalg.norm(twin("reals-adam").gradient(theta_of(fitted("reals-adam"))))
    assert wrapper.refinement_.gradient_norm == pytest.approx(g, rel=1e-8)
    assert wrapper.refinement_.remaining_gradient_norm <= 1e-6 * g


def test_auto_is_first_order_for_networks():
    wrapper, data = at_fit("real-tanh", damping=DAMPING), NAMED["real-tanh"].data
    found = ask(wrapper, "influence", data.X_test, data.y_test)
    assert found.method == "first_order"
    np.testing.assert_array_equal(found.scores, scores(wrapper, "real-tanh", "first_order"))


def test_a_frozen_network_of_other_rows_is_doubted():
    """It may have stopped early all the same: scores come with a word."""
    data = NAMED["real-tanh"].data
    model = FrozenEstimator(with_theta(fitted("real-tanh"), optimum("real-tanh")))
    wrapper = wrap("real-tanh", model, 3.0 * data.X[::-1], 9.0 * data.y, damping=DAMPING)
    message = (
        r"(?s)MLPRegressor stopped before its stationary point: .* is \d+\.\d times"
        r".*pass refine=True.*do not look like the rows, weights or hyper-parameters"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        wrapper.influence_scores(data.X_test, data.y_test)


def test_a_fitted_network_that_stopped_early_is_not_doubted():
    data = NAMED["reals-adam"].data
    wrapper = wrap("reals-adam", damping=DAMPING)
    with pytest.warns(ConvergenceWarning, match="stopped .* pass refine=True") as said:
        wrapper.influence_scores(data.X_test, data.y_test)
    assert not any("do not look like" in str(one.message) for one in said)


def test_an_indefinite_hessian_names_the_damping_it_needs():
    name = "three-relu-3"
    lowest = np.linalg.eigvalsh(twin(name).hessian(theta_of(fitted(name))))[0]
    with pytest.raises(ValueError, match=r"not positive definite: .* Pass damping > ") as said:
        scores(at_fit(name, curvature="hessian", damping=1.0), name, "first_order")
    asked = float(re.search(r"damping > ([\d.]+)", str(said.value)).group(1))
    assert asked == pytest.approx(-lowest, rel=0.1)


def test_units_that_are_alike_need_no_damping():
    """Their values are in `test_flat`."""
    model = at_optimum("binary-identity")
    assert np.all(np.isfinite(scores(model, "binary-identity", "first_order")))
    assert "flat direction(s) that no training row sees" in model.solver_


def test_newton_steps_that_do_not_arrive_are_named_alike_for_rows_and_groups():
    """A network that misfits: what the Gauss-Newton matrix leaves out is large."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 3))
    y = np.sin(2 * X[:, 0]) * X[:, 1] + 0.3 * rng.standard_normal(60)
    inner = MLPRegressor(hidden_layer_sizes=8, activation="tanh", solver="lbfgs", alpha=1.0)
    inner.set_params(max_iter=5000, random_state=0)
    model = InfluenceRegressor(inner, refine=True, damping=1e-3).fit(X, y)
    exact = model.influence_scores(X[:5], y[:5], method="exact")
    named, scores = [], []
    for ask in (model.influence_scores, partial(model.group_influence, np.eye(60, dtype=bool))):
        with pytest.warns(UserWarning, match="far off") as caught:
            scores.append(ask(X[:5], y[:5], method="newton"))
        said = [str(one.message) for one in caught if "far off" in str(one.message)]
        assert len(said) == 1
        named.append(said[0].split("[")[1].split(")")[0])
    np.testing.assert_allclose(*scores, rtol=1e-8, atol=1e-10)
    assert named[0] == named[1]
    off = np.linalg.norm(scores[0] - exact) / np.linalg.norm(exact)
    assert off > 0.3
    model.set_params(curvature="hessian")
    nearer = model.influence_scores(X[:5], y[:5], method="first_order")
    assert np.linalg.norm(nearer - exact) < 0.8 * np.linalg.norm(exact)
