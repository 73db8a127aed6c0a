"""Slow twins of networks: what `sklearn.neural_network` minimises, written again from its papers.

    F(theta) = sum_i w_i l(y_i, f(x_i; theta)) + 1/2 theta' diag(l2) theta

Nothing here imports the package: a twin is an autograd function, its judge scipy's minimiser with
Newton steps behind it. theta holds, layer after layer, [W_l; b_l] of shape (d_in + 1, d_out),
raveled in C order.
"""

from __future__ import annotations

import sys
import warnings
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any
from unittest import mock

import autograd
import autograd.numpy as anp
import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning

from tests.networks import NAMED

ACTIVATIONS = {
    "identity": lambda z: z,
    "tanh": anp.tanh,
    "relu": lambda z: anp.maximum(z, 0.0),
    "logistic": lambda z: 0.5 * (1.0 + anp.tanh(0.5 * z)),
}


def _logistic(Y, eta):
    return anp.sum(anp.logaddexp(0.0, eta) - Y * eta, axis=1)


def _multinomial(Y, eta):
    top = anp.max(eta, axis=1)
    return top + anp.log(anp.sum(anp.exp(eta - top[:, None]), axis=1)) - anp.sum(Y * eta, axis=1)


def _squared(Y, eta):
    return 0.5 * anp.sum((eta - Y) ** 2, axis=1)


def _poisson(Y, eta):
    """Return half the unit deviance, which is 0 at exp(eta) = y."""
    logs = np.log(np.where(Y > 0, Y, 1.0))
    return anp.sum(anp.exp(eta) - Y * eta + Y * logs - Y, axis=1)


@dataclass(frozen=True)
class Twin:
    """What a network minimises on the rows X, encoded targets Y and weights w."""

    X: Any
    Y: Any
    w: Any
    sizes: tuple[int, ...]
    activation: str
    loss: Any
    l2: Any
    encode: Any

    def layers(self, theta):
        found, start = [], 0
        for d_in, d_out in pairwise(self.sizes):
            stop = start + (d_in + 1) * d_out
            found.append(anp.reshape(theta[start:stop], (d_in + 1, d_out)))
            start = stop
        return found

    def raw(self, theta, X=None):
        A = self.X if X is None else X
        *hidden, last = self.layers(theta)
        for W in hidden:
            A = ACTIVATIONS[self.activation](anp.dot(A, W[:-1]) + W[-1])
        return anp.dot(A, last[:-1]) + last[-1]

    def rows(self, theta, X=None, y=None):
        """Return the loss of every row, of others where X and y are given."""
        Y = self.Y if y is None else self.encode(y)
        return self.loss(Y, self.raw(theta, X))

    def value(self, theta):
        return anp.sum(self.w * self.rows(theta)) + 0.5 * anp.sum(self.l2 * theta**2)

    def gradient(self, theta):
        return autograd.grad(self.value)(theta)

    def hessian(self, theta):
        return autograd.hessian(self.value)(theta)

    def row_gradients(self, theta, X=None, y=None):
        """Return the gradient of every row, shape (n, P)."""
        return autograd.jacobian(lambda at: self.rows(at, X, y))(theta)

    def jacobian(self, theta, X=None):
        """Return the derivatives of the raw predictions, shape (n, K, P)."""
        return autograd.jacobian(lambda at: self.raw(at, X))(theta)

    def output_slopes(self, theta):
        """Return dl/deta, shape (n, K)."""
        return autograd.grad(lambda eta: anp.sum(self.loss(self.Y, eta)))(self.raw(theta))

    def output_curvatures(self, theta):
        """Return d2l/deta2, shape (n, K, K)."""
        slope = autograd.grad(lambda eta: anp.sum(self.loss(self.Y, eta)))
        eta = self.raw(theta)
        columns = [
            autograd.grad(lambda e, k=k: anp.sum(slope(e)[:, k]))(eta) for k in range(eta.shape[1])
        ]
        return np.stack(columns, axis=1)

    def gauss_newton(self, theta, w=None):
        J, w = self.jacobian(theta), self.w if w is None else w
        G = w[:, None, None] * self.output_curvatures(theta)
        return np.einsum("ikp,ikl,ilq->pq", J, G, J, optimize=True) + np.diag(self.l2)

    def without(self, rows, l2=None):
        """Return the twin whose rows weigh nothing; `l2` where the penalty falls with them."""
        w = np.array(self.w, dtype=float)
        w[rows] = 0.0
        return replace(self, w=w, l2=self.l2 if l2 is None else l2)


def twin_of(fitted, X, y, s=None):
    """Return the twin of a fitted network on rows X, y with sample weights s.

    Rows that early stopping holds out weigh nothing.
    """
    X = np.asarray(X, dtype=float)
    sizes = (*(W.shape[0] for W in fitted.coefs_), fitted.coefs_[-1].shape[1])
    w = np.ones(len(X)) if s is None else np.array(s, dtype=float)
    n = len(X)
    if fitted.early_stopping:
        held = held_out(fitted, X, y, s)
        w[held] = 0.0
        n = len(X) - len(held)
    loss, encode = _loss_of(fitted)
    weight = alpha_of(fitted, n)
    l2 = np.concatenate(
        [
            np.concatenate([np.full((p, q), weight), np.zeros((1, q))]).ravel()
            for p, q in pairwise(sizes)
        ]
    )
    return Twin(X, encode(y), w, sizes, fitted.activation, loss, l2, encode)


def _loss_of(fitted):
    if not is_classifier(fitted):
        loss = _poisson if getattr(fitted, "loss", None) == "poisson" else _squared
        return loss, lambda y: np.asarray(y, dtype=float).reshape(len(y), -1)
    classes = fitted.classes_
    if fitted.out_activation_ == "softmax":
        return _multinomial, lambda y: (np.asarray(y)[:, None] == classes).astype(float)

    def labels(y):
        y = np.asarray(y)
        return y.astype(float) if y.ndim == 2 else (y == classes[1]).astype(float)[:, None]

    return _logistic, labels


def alpha_of(estimator, n):
    """Return the penalty of weights in the sum form of n rows.

    The step of a batch B follows (sum_B w_i g_i + alpha theta) / |B|: over an epoch a row counts
    1/n on average, the penalty the mean of 1/|B|.
    """
    if estimator.solver == "lbfgs":
        return estimator.alpha
    size = min(200, n) if estimator.batch_size == "auto" else min(estimator.batch_size, n)
    batches = [min(size, n - start) for start in range(0, n, size)]
    return estimator.alpha * n * np.mean(1.0 / np.array(batches))


def held_out(estimator, X, y, s=None):
    """Return the rows that scikit-learn holds out of the fit, as it splits them itself."""
    module = sys.modules[type(estimator).__module__]
    split, seen = module.train_test_split, []

    def recorded(*arrays, **params):
        *found, _, held = split(*arrays, np.arange(len(X)), **params)
        seen.append(held)
        return found

    with mock.patch.object(module, "train_test_split", recorded):
        refit(clone(estimator).set_params(max_iter=1), X, y, s)
    return np.sort(seen[0])


def refit(estimator, X, y, s=None):
    """Return a fitted clone, whatever it says about convergence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = clone(estimator)
        return estimator.fit(X, y) if s is None else estimator.fit(X, y, sample_weight=s)


def theta_of(fitted):
    """Return the parameters of a fitted network in the layout of the twin."""
    pairs = zip(fitted.coefs_, fitted.intercepts_, strict=True)
    return np.concatenate([np.vstack([W, b]).ravel() for W, b in pairs]).astype(float)


def with_theta(fitted, theta):
    """Return a copy of a fitted network at other parameters."""
    moved, start = deepcopy(fitted), 0
    for layer, W in enumerate(moved.coefs_):
        d_in, d_out = W.shape
        block = theta[start : start + (d_in + 1) * d_out].reshape(d_in + 1, d_out)
        moved.coefs_[layer], moved.intercepts_[layer] = block[:-1].copy(), block[-1].copy()
        start += block.size
    return moved


# ---------------------------------------------------------------------------------------- judges


def minimise(twin, theta):
    """Return a minimiser of a twin near theta: scipy's L-BFGS, and Newton steps."""
    options = {"ftol": 0.0, "gtol": 1e-9, "maxiter": 3000, "maxfun": 10000, "maxcor": 30}
    value = autograd.value_and_grad(twin.value)
    return descend(twin, minimize(value, theta, jac=True, method="L-BFGS-B", options=options).x)


def descend(twin, theta):
    """Return the minimiser at the foot of the slope: damped Newton steps (Levenberg).

    A Hessian serves for as long as its steps make the gradient ten times smaller.
    """
    scale = 1.0 + np.linalg.norm(twin.l2 * theta)
    value, damping, before = twin.value(theta), 0.0, 0.0
    for _ in range(500):
        g = twin.gradient(theta)
        size = np.linalg.norm(g)
        if size <= 1e-11 * scale:
            break
        if size > 0.1 * before:
            H = twin.hessian(theta)
            lowest = np.linalg.eigvalsh(H)[0]
        # Flat directions (a gauge) are left alone; where it bends down, damping beyond that.
        down = lowest < -1e-9 * np.abs(H).max()
        step = inverse_times(H + max(damping, -1.5 * lowest * down) * np.eye(len(g)), g)
        after = twin.value(theta - step)
        if after <= value + 1e-13 * (1.0 + abs(value)):
            theta, value, damping, before = theta - step, after, 0.25 * damping, size
        else:
            damping = max(4.0 * damping, 1e-4 * np.trace(H) / len(g))
    assert size <= 1e-9 * scale, f"not minimised: {size} of {scale}"
    lowest = np.linalg.eigvalsh(twin.hessian(theta))[0]
    assert lowest >= -1e-7 * scale, f"a saddle: {lowest}"
    return theta


def leave(twin, rows, theta, steps=3):
    """Return the minimiser without some rows, followed from theta as their weight falls to 0.

    Where that is another minimum than the one at the foot of the slope from theta, which refit is
    meant is open: None.
    """
    found = theta
    for left in np.linspace(1.0, 0.0, steps + 1)[1:]:
        w = np.array(twin.w)
        w[rows] *= left
        found = descend(replace(twin, w=w), found)
    other = descend(twin.without(rows), theta)
    gap = np.abs(twin.raw(found) - twin.raw(other)).max()
    return found if gap <= 1e-6 * np.abs(twin.raw(found)).max() else None


@cache
def fitted(name):
    """Return scikit-learn's own fit."""
    one = NAMED[name]
    X = csr_matrix(one.data.X) if "sparse" in one.tags else one.data.X
    return refit(one.estimator, X, one.data.y, one.s)


@cache
def twin(name):
    one = NAMED[name]
    return twin_of(fitted(name), one.data.X, one.data.y, one.s)


@cache
def optimum(name):
    """Return the minimiser of the twin in the basin of scikit-learn's own fit."""
    return minimise(twin(name), theta_of(fitted(name)))


def inverse_times(H, B):
    """Return H^-1 B, of least norm where H is singular (no right-hand side moves along that)."""
    values, U = np.linalg.eigh(H)
    curved = np.abs(values) > 1e-10 * np.abs(values).max()
    return U[:, curved] @ ((U[:, curved].T @ B) / values[curved].reshape(-1, *[1] * (B.ndim - 1)))
