"""Edits of models that are not linear in their parameters: steps, refits, and what they say."""

import re
import warnings
from functools import cache

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize as scipy_minimize
from sklearn.exceptions import ConvergenceWarning

from skinfluence import AutogradObjective
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.losses import HalfSquaredError
from skinfluence.minimisers.trust_region import Problem, minimise
from skinfluence.objectives import NetworkObjective
from skinfluence.removal import (
    Edits,
    FirstOrderGroups,
    GroupSteps,
    LocalGroups,
    LocalRefits,
    first_order,
    nonlinear_newton,
)
from skinfluence.removal.nonlinear import OwnSteps, ProximalRemoval, Steps
from skinfluence.solvers import Cholesky
from skinfluence.solvers.approximate import definite_preconditioner
from tests.network_twins import descend, fitted, optimum, twin, with_theta
from tests.networks import NAMED, OLD

RNG = np.random.default_rng(0)
X = RNG.standard_normal((25, 3))
Y = X[:, 0] + np.tanh(X[:, 1]) + 0.4 * RNG.standard_normal(25)
WEIGHTS = RNG.uniform(0.5, 2.0, 25)


def factorizer(damping=0.0, kind="auto"):
    return lambda one: Cholesky().factorize(Curvature(one, kind, damping))


def gate(theta, X, y):
    """A robust loss of a gate times a line, known by its losses alone."""
    r = theta[0] * anp.tanh(X @ theta[1:4]) + theta[4] - y
    return anp.logaddexp(r, -r) - anp.log(2.0)


@cache
def own(l2=0.3):
    """Return a user's own objective at its minimum."""
    one = AutogradObjective(gate, [1.0, 0.8, 0.5, 0.1, 0.0], l2=l2, X=X, y=Y, sample_weight=WEIGHTS)

    def value(theta):
        return anp.dot(WEIGHTS, gate(theta, X, Y)) + 0.5 * l2 * anp.sum(theta**2)

    theta = scipy_minimize(value, one.theta, jac=autograd.grad(value), tol=1e-8).x
    for _ in range(4):
        theta = theta - np.linalg.solve(autograd.hessian(value)(theta), autograd.grad(value)(theta))
    assert np.linalg.norm(one.at(theta).gradient()) <= 1e-11
    return one.at(theta)


def row_derivatives(theta, i):
    """Return gradient and Hessian of the weighted loss of a row, by autograd."""

    def value(t):
        return WEIGHTS[i] * gate(t, X[i : i + 1], Y[i : i + 1])[0]

    return autograd.grad(value)(theta), autograd.hessian(value)(theta)


def steps_of(one, damping=0.0, **edit):
    factorize = factorizer(damping)
    edits = Edits(one, **edit)
    return nonlinear_newton(edits, factorize(one), factorize, damping)


# -------------------------------------------------------------------- steps of a model of one's own


@pytest.mark.parametrize("damping", [0.0, 0.7])
def test_newton_takes_the_second_derivative_of_the_row_out(damping):
    """(H - H_i) d = g_i, in dense matrices."""
    one, rows = own(), np.arange(25)
    found = steps_of(one, damping)
    assert isinstance(found, OwnSteps)
    H = one.hvp(np.eye(5)) + damping * np.eye(5)
    for i, d in zip(rows, found.changes(rows).T, strict=True):
        g, Hi = row_derivatives(one.theta, i)
        assert np.linalg.norm(Hi) > 1e-3
        np.testing.assert_allclose(d, np.linalg.solve(H - Hi, g), rtol=1e-6, atol=1e-8)


def test_first_order_keeps_it():
    one = own()
    factorize = factorizer()
    found = first_order(Edits(one), factorize(one))
    G = np.column_stack([row_derivatives(one.theta, i)[0] for i in range(25)])
    expected = np.linalg.solve(one.hvp(np.eye(5)), G)
    np.testing.assert_allclose(found.changes(np.arange(25)), expected, rtol=1e-8, atol=1e-11)


def test_a_row_that_comes_adds_its_second_derivative():
    one = own()
    fresh = one.on(X[:4] + 0.3, -Y[:4])
    found = steps_of(one, leaving=False, coming=fresh)
    H = one.hvp(np.eye(5))
    for i, d in enumerate(found.changes(np.arange(4)).T):

        def value(t, i=i):
            return gate(t, X[i : i + 1] + 0.3, -Y[i : i + 1])[0]

        g, Hi = autograd.grad(value)(one.theta), autograd.hessian(value)(one.theta)
        np.testing.assert_allclose(d, -np.linalg.solve(H + Hi, g), rtol=1e-6, atol=1e-8)


def test_own_losses_are_evaluated_where_the_row_left():
    one, found = own(), steps_of(own())
    D = found.changes(np.arange(25))
    moved = [gate(one.theta + D[:, i], X[i : i + 1], Y[i : i + 1])[0] for i in range(25)]
    expected = np.array(moved) - gate(one.theta, X, Y)
    np.testing.assert_allclose(found.own_losses(), expected, rtol=1e-7, atol=1e-9)


def test_rows_without_which_the_curvature_bends_down_are_named():
    """Two rows hold a direction alone: without either, the step is of first order and says so."""

    def well(theta, X, y):
        return X[:, 0] * (theta[0] - y) ** 2 + X[:, 1] * (theta[1] - y) ** 2

    strength = np.array([[1.0, 0.1], [1.0, 2.0], [1.0, -1.0], [1.0, -0.9], [2.0, 0.3]])
    y = np.array([0.0, 1.0, 0.5, 0.2, 1.0])
    one = AutogradObjective(well, [0.0, 0.0], X=strength, y=y)
    theta = np.linalg.solve(one.hvp(np.eye(2)), -one.gradient())
    one = one.at(theta)
    np.testing.assert_allclose(one.gradient(), 0.0, atol=1e-12)
    found = steps_of(one)
    message = (
        r"Without each of the rows \[1\] \(1 in all\) the curvature is not positive definite, .*"
        r"of first order\. Pass damping > 0, or method='exact'"
    )
    with pytest.warns(UserWarning, match=message) as said:
        D = found.all_changes().T
    assert len(said) == 1
    H = one.hvp(np.eye(2))
    G = one.weighted_grad_sum(np.eye(5))
    np.testing.assert_allclose(D[:, 1], np.linalg.solve(H, G[:, 1]), rtol=1e-10)
    for i in (0, 2, 3, 4):
        np.testing.assert_allclose(D[:, i], np.linalg.solve(H - 2 * np.diag(strength[i]), G[:, i]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps_of(one, damping=5.0).all_changes()


# -------------------------------------------------------------------------------- steps of networks


@cache
def network(name):
    one = NAMED[name]
    return adapt(with_theta(fitted(name), optimum(name)), one.data.X, one.data.y, one.s)


NETWORKS = ["binary-tanh", "three-tanh", "labels-tanh", "reals-tanh"]
NETWORKS += [] if OLD else ["three-tanh-weighted", "counts-both"]


def own_curvatures(name):
    """Return the Gauss-Newton matrix of each row and its gradient, weighted."""
    other, theta = twin(name), optimum(name)
    J, G = other.jacobian(theta), other.output_curvatures(theta)
    own = np.einsum("i,ikp,ikl,ilq->ipq", other.w, J, G, J, optimize=True)
    return own, other.w[:, None] * other.row_gradients(theta)


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_of_networks_are_dense_algebra(name, damping=0.3):
    one = network(name)
    found = steps_of(one, damping)
    assert isinstance(found, Steps)
    own_parts, g = own_curvatures(name)
    M = twin(name).gauss_newton(optimum(name)) + damping * np.eye(one.n_params)
    expected = np.column_stack([np.linalg.solve(M - own_parts[i], g[i]) for i in range(len(g))])
    changes = found.changes(np.arange(len(g)))
    np.testing.assert_allclose(changes, expected, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_steps_without_groups_are_dense_algebra(name, damping=0.3):
    """Small ones by a down-date, large ones by a new factor."""
    one, factorize = network(name), factorizer(damping)
    masks = np.zeros((3, one.n_samples), dtype=bool)
    masks[0, [1, 7]], masks[1, ::6], masks[2, 5:35] = True, True, True
    given = sparse.csr_matrix(masks)
    found = GroupSteps(one, given, factorize(one), factorize, damping=damping)
    own_parts, g = own_curvatures(name)
    M = twin(name).gauss_newton(optimum(name)) + damping * np.eye(one.n_params)
    for j, (d, mask) in enumerate(zip(found.changes(np.arange(3)).T, masks, strict=True)):
        expected = np.linalg.solve(M - own_parts[mask].sum(axis=0), g[mask].sum(axis=0))
        np.testing.assert_allclose(d, expected, atol=1e-7 * np.abs(expected).max(), err_msg=str(j))
    first = FirstOrderGroups(one, given, factorize(one), factorize, damping=damping)
    sums = np.column_stack([g[mask].sum(axis=0) for mask in masks])
    expected = np.linalg.solve(M, sums)
    changes = first.changes(np.arange(3))
    np.testing.assert_allclose(changes, expected, atol=1e-8 * np.abs(expected).max())


def test_groups_of_a_model_of_ones_own():
    one, factorize = own(), factorizer()
    masks = np.zeros((2, 25), dtype=bool)
    masks[0, [2, 9]], masks[1, :12] = True, True
    found = GroupSteps(one, sparse.csr_matrix(masks), factorize(one), factorize)
    for d, mask in zip(found.changes(np.arange(2)).T, masks, strict=True):
        parts = [row_derivatives(one.theta, i) for i in np.flatnonzero(mask)]
        left = one.hvp(np.eye(5)) - sum(H for _, H in parts)
        expected = np.linalg.solve(left, sum(g for g, _ in parts))
        np.testing.assert_allclose(d, expected, rtol=1e-7, atol=1e-10)


# ------------------------------------------------------------------------------------------- refits


def near(one):
    return definite_preconditioner(Curvature(one))


@pytest.mark.parametrize("name", ["binary-tanh", "reals-tanh"])
def test_a_refit_is_the_minimum_without_the_row(name):
    one = network(name)
    found = LocalRefits(Edits(one), near(one))
    rows = np.array([3, 17, 40])
    for i, d in zip(rows, found.changes(rows).T, strict=True):
        expected = descend(twin(name).without([i]), optimum(name)) - optimum(name)
        np.testing.assert_allclose(d, expected, atol=2e-6 * np.abs(expected).max())


def test_refits_of_a_model_of_ones_own():
    one = own()
    D = LocalRefits(Edits(one), near(one)).changes(np.arange(25))
    for i in range(25):
        kept = np.delete(np.arange(25), i)
        left = one.rows(kept).at(one.theta + D[:, i])
        assert np.linalg.norm(left.gradient()) <= 1e-5 * np.linalg.norm(
            row_derivatives(one.theta, i)[0]
        )
        assert np.linalg.eigvalsh(left.hvp(np.eye(5)))[0] > 0


def test_a_row_without_weight_changes_nothing():
    one = network("binary-tanh")
    w = np.array(one.sample_weight)
    w[4] = 0.0
    one = one.with_weights(w)
    there = minimise(Problem(one, w[:, None]), one.theta[:, None], near(one), np.array([1e-11]))
    one = one.at(there.Theta[:, 0])
    D = LocalRefits(Edits(one), near(one)).changes(np.array([4, 5]))
    assert np.abs(D[:, 0]).max() <= 1e-9
    assert np.abs(D[:, 1]).max() > 1e-4


@pytest.mark.parametrize("together", [1, 2**12, 2**30])
def test_blocks_of_refits_do_not_matter(together, tune):
    one = network("reals-tanh")
    expected = LocalRefits(Edits(one), near(one)).all_changes()
    tune(refit_elements=together)
    removal = LocalRefits(Edits(one), near(one))
    sizes = [len(block) for block in removal.column_blocks(np.arange(50))]
    assert sum(sizes) == 50
    assert max(sizes) == (1 if together == 1 else 50 if together == 2**30 else max(sizes))
    found = removal.all_changes()
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    masks = sparse.csr_matrix(np.eye(50, dtype=bool)[:6])
    groups = LocalGroups(near(one), one, masks, np.arange(6)).all_changes()
    np.testing.assert_allclose(groups, expected[:6], atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("kind", [LocalRefits, ProximalRemoval, OwnSteps])
def test_jobs_do_not_matter(kind, tune):
    tune(refit_elements=2**12)
    one = network("real-tanh")
    if kind is OwnSteps:
        removal = steps_of(own())
    elif kind is LocalRefits:
        removal = LocalRefits(Edits(one), near(one))
    else:
        removal = ProximalRemoval(Edits(one), near(one.proximal()), 0.1)
    found = [removal.all_changes(n_jobs) for n_jobs in (1, 2, None)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_refits_that_are_not_done_are_named(tune):
    """By their rows or groups, with what is left of the gradient that the removal caused."""
    one = network("reals-tanh")
    precondition = near(one)
    tune(trust_region_steps=1)
    removal = LocalRefits(Edits(one), precondition)
    with pytest.warns(ConvergenceWarning) as said:
        removal.all_changes()
    (message,) = (str(w.message) for w in said)
    assert re.match(
        r"Without each of the rows \[0, 1, .*\] \((4\d|50) in all\) the model was not ref", message
    )
    left = float(message.split("minimum: up to ")[1].split(" of the gradient")[0])
    assert left > 1e-3
    assert message.endswith(
        "falls without end. Values are those of the last step. Fit with a larger penalty."
    )
    assert not removal.flagged
    removal.changes(np.array([3, 17, 22]))
    assert sorted(removal.flagged) == [3, 17, 22]
    masks = np.zeros((2, 50), dtype=bool)
    masks[0, :9], masks[1, 20:33] = True, True
    names = np.array(["first", "second"])
    for given, message in (
        (names, r"each of the groups \['first', 'second'\] \(2 in all\) the model was not"),
        (None, "Without these rows the model was not refitted"),
    ):
        with pytest.warns(ConvergenceWarning, match=message):
            LocalGroups(precondition, one, sparse.csr_matrix(masks), given).all_changes()


def test_refits_that_are_done_say_nothing():
    one = network("real-tanh")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LocalRefits(Edits(one), near(one)).all_changes()


def test_without_layers_between_it_is_ridge_regression():
    """A network of no hidden layer under the squared loss has one minimum, in closed form."""
    base = NetworkObjective.from_weights(
        X, Y, HalfSquaredError(), [np.zeros((3, 1))], [np.zeros(1)], "tanh", l2=0.8
    )
    X1 = np.column_stack([X, np.ones(25)])
    penalty = np.diag([0.8, 0.8, 0.8, 0.0])
    whole = np.linalg.solve(X1.T @ X1 + penalty, X1.T @ Y)
    one = base.at(whole)
    D = LocalRefits(Edits(one), near(one)).all_changes()
    for i in range(25):
        kept = np.delete(np.arange(25), i)
        left = np.linalg.solve(X1[kept].T @ X1[kept] + penalty, X1[kept].T @ Y[kept])
        np.testing.assert_allclose(D[i], left - whole, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(steps_of(one).all_changes(), D, rtol=1e-6, atol=1e-9)
