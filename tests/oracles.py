"""Slow twins: what scikit-learn's estimators minimise, written again from its documentation.

Nothing here imports the package. A twin is an autograd function of the parameters; a judge is a
refit by scikit-learn's tightest solver of the same objective, or scipy on the twin where it has
none.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import autograd
import autograd.numpy as anp
import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
)
from sklearn.preprocessing import LabelBinarizer


@dataclass(frozen=True)
class Twin:
    """sum_i w_i rows(theta)_i + penalty(theta), for class-major theta with intercepts last."""

    rows: Any
    penalty: Any
    w: np.ndarray
    n_params: int

    def value(self, theta):
        return anp.sum(self.w * self.rows(theta)) + self.penalty(theta)

    def gradient(self, theta):
        return autograd.grad(self.value)(theta)

    def hessian(self, theta):
        return autograd.hessian(self.value)(theta)

    def row_gradients(self, theta):
        return autograd.jacobian(self.rows)(theta)


def class_weights(estimator, y, s, counts, ratio=None):
    """Return the class weight of every row as scikit-learn documents "balanced" and dicts."""
    weight = getattr(estimator, "class_weight", None)
    if weight is None:
        return np.ones(len(y))
    if isinstance(weight, dict):
        return np.array([weight[label] for label in y])
    c = s if counts == "weights" else np.ones(len(y))
    if ratio is not None:
        c = c * ratio
    classes = np.unique(y)
    total = {label: c[y == label].sum() for label in classes}
    return np.array([c.sum() / (len(classes) * total[label]) for label in y])


def twin_of(estimator, X, y, s, counts=None, ratio=None):
    """Return the twin of a fitted estimator on rows X, y with sample weights s.

    `ratio` scales the count and the weight of every row: a row that partly leaves.
    """
    X, y = np.asarray(X, dtype=float), np.asarray(y)
    s = np.ones(len(X)) if s is None else s
    w = s * class_weights(estimator, y, s, counts, ratio)
    if ratio is not None:
        w = w * ratio
    name = type(estimator).__name__
    X1 = np.column_stack([X, np.ones(len(X))]) if estimator.fit_intercept else X
    d, p = X1.shape[1], X.shape[1]
    if "Logistic" in name:
        C = float(np.ravel(estimator.C_)[0]) if name.endswith("CV") else estimator.C
        classes = np.unique(y)
        alpha = np.zeros(d)
        alpha[:p] = 1.0 / C
        if estimator.solver == "liblinear" and estimator.fit_intercept:
            alpha[p] = 1.0 / (C * estimator.intercept_scaling**2)
        if len(classes) == 2:
            sign = np.where(y == classes[1], 1.0, -1.0)

            def rows(theta):
                return anp.logaddexp(0.0, -sign * anp.dot(X1, theta))

            K = 1
        elif estimator.solver == "liblinear":
            K = len(classes)
            signs = np.where(y[:, None] == classes, 1.0, -1.0)  # one versus the rest

            def rows(theta):
                eta = anp.dot(X1, anp.reshape(theta, (K, d)).T)
                return anp.sum(anp.logaddexp(0.0, -signs * eta), axis=1)

        else:
            K = len(classes)
            code = np.searchsorted(classes, y)

            def rows(theta):
                eta = anp.dot(X1, anp.reshape(theta, (K, d)).T)
                top = anp.max(eta, axis=1)
                lse = top + anp.log(anp.sum(anp.exp(eta - top[:, None]), axis=1))
                return lse - eta[np.arange(len(y)), code]

        alpha = np.tile(alpha, K)
    else:
        if "Classifier" in name:
            Y = LabelBinarizer(neg_label=-1, pos_label=1).fit_transform(y).astype(float)
        else:
            Y = y.reshape(len(y), -1)
        K = Y.shape[1]
        alpha = np.zeros((K, d))
        if name != "LinearRegression":
            chosen = estimator.alpha_ if name.endswith("CV") else estimator.alpha
            alpha[:, :p] = np.broadcast_to(chosen, K)[:, None]
        alpha = alpha.ravel()

        def rows(theta):
            return 0.5 * anp.sum((anp.dot(X1, anp.reshape(theta, (K, d)).T) - Y) ** 2, axis=1)

    return Twin(rows, lambda theta: 0.5 * anp.sum(alpha * theta**2), w, K * d)


def theta_of(fitted):
    """Return a linear estimator's parameters, class-major, the intercept last in each block."""
    W = np.atleast_2d(fitted.coef_)
    if fitted.fit_intercept:
        W = np.column_stack([W, np.broadcast_to(fitted.intercept_, W.shape[0])])
    return W.ravel().astype(float)


def tight(estimator, X, y, s=None, counts=None):
    """Return the judge: a fitted estimator of the same objective at its optimum (or its theta).

    l2 logistic: newton-cholesky; ridge: svd; a penalised intercept: scipy on the twin.
    """
    name = type(estimator).__name__
    weights = {} if s is None else {"sample_weight": s}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "Logistic" in name and estimator.solver == "liblinear":
            fitted = clone(estimator).fit(X, y, **weights)
            theta = minimise(twin_of(fitted, X, y, s, counts), theta_of(fitted))
            return _with_theta(fitted, theta)
        estimator = plain(estimator, X, y, s)
        if "Logistic" in name:
            judge = clone(estimator).set_params(solver="newton-cholesky", tol=1e-14, max_iter=1000)
        elif name == "LinearRegression":
            judge = Ridge(alpha=0.0, solver="svd", fit_intercept=estimator.fit_intercept)
        else:
            judge = clone(estimator).set_params(solver="svd")
        return judge.fit(X, y, **weights)


def plain(estimator, X, y, s=None):
    """Return the estimator with the hyper-parameter that cross-validation chooses on these rows."""
    if not type(estimator).__name__.endswith("CV"):
        return estimator
    weights = {} if s is None else {"sample_weight": s}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        chosen = clone(estimator).fit(X, y, **weights)
    if isinstance(estimator, LogisticRegressionCV):
        return LogisticRegression(C=float(np.ravel(chosen.C_)[0]), max_iter=1000)
    kind = RidgeClassifier if isinstance(estimator, RidgeClassifierCV) else Ridge
    return kind(alpha=chosen.alpha_, fit_intercept=estimator.fit_intercept)


def minimise(twin, theta):
    """Return the minimiser of a twin, by scipy's BFGS and a few minimum-norm Newton steps."""
    found = minimize(twin.value, theta, jac=twin.gradient, method="BFGS", tol=1e-5).x
    for _ in range(4):
        step, *_ = np.linalg.lstsq(twin.hessian(found), twin.gradient(found), rcond=1e-12)
        found = found - step
    return found


def at_optimum(estimator, X, y, s=None, counts=None):
    """Return the user's own fitted estimator with its parameters moved to the judge's optimum."""
    weights = {} if s is None else {"sample_weight": s}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = clone(estimator).fit(X, y, **weights)
    theta = theta_of(tight(estimator, X, y, s, counts))
    # The same objective, not another one that happens to be stationary.
    np.testing.assert_allclose(theta_of(fitted), theta, rtol=0.02, atol=0.02)
    return _with_theta(fitted, theta)


def _with_theta(fitted, theta):
    shape = np.shape(fitted.coef_)
    W = theta.reshape(1 if len(shape) == 1 else shape[0], -1)
    if fitted.fit_intercept:
        intercept = W[:, -1]
        fitted.intercept_ = intercept if np.ndim(fitted.intercept_) else float(intercept[0])
        W = W[:, :-1]
    fitted.coef_ = W.reshape(shape)
    return fitted


def losses_of(fitted, X, y):
    """Return each row's unweighted loss, from scikit-learn's own predictions."""
    name = type(fitted).__name__
    if "Logistic" in name:
        eta = fitted.decision_function(X)
        if eta.ndim == 1:
            return np.logaddexp(0.0, np.where(y == fitted.classes_[1], -eta, eta))
        if fitted.solver == "liblinear":
            signs = np.where(np.asarray(y)[:, None] == fitted.classes_, 1.0, -1.0)
            return np.sum(np.logaddexp(0.0, -signs * eta), axis=1)
        code = np.searchsorted(fitted.classes_, y)
        return logsumexp(eta, axis=1) - eta[np.arange(len(y)), code]
    if "Classifier" in name:
        binarizer = LabelBinarizer(neg_label=-1, pos_label=1).fit(fitted.classes_)
        Y, eta = binarizer.transform(y), fitted.decision_function(X).reshape(len(y), -1)
    else:
        Y, eta = np.reshape(y, (len(y), -1)), fitted.predict(X).reshape(len(y), -1)
    return 0.5 * np.sum((eta - Y) ** 2, axis=1)


def leave_one_out(estimator, data, s=None, counts=None, rows=None):
    """Return the change of parameters (n_rows, P) and test losses (n_test, n_rows) by refits."""
    estimator = plain(estimator, data.X, data.y, s)
    full = tight(estimator, data.X, data.y, s, counts)
    base = losses_of(full, data.X_test, data.y_test)
    rows = range(len(data.X)) if rows is None else rows
    thetas, losses = [], []
    for i in rows:
        kept = np.delete(np.arange(len(data.X)), i)
        one = tight(estimator, data.X[kept], data.y[kept], None if s is None else s[kept], counts)
        thetas.append(theta_of(one) - theta_of(full))
        losses.append(losses_of(one, data.X_test, data.y_test) - base)
    return np.array(thetas), np.array(losses).T


def slope_and_error(predicted, actual):
    """Return actual on predicted through the origin, and the relative error."""
    slope = np.sum(actual * predicted) / np.sum(predicted**2)
    return slope, np.linalg.norm(predicted - actual) / np.linalg.norm(actual)


def judges(estimator, data, s=None, counts=None, rows=()):
    """Return the judge of all rows, and those without each of some rows, one at a time."""
    estimator = plain(estimator, data.X, data.y, s)
    full = tight(estimator, data.X, data.y, s, counts)
    without = []
    for i in rows:
        kept = np.delete(np.arange(len(data.X)), i)
        weights = None if s is None else s[kept]
        without.append(tight(estimator, data.X[kept], data.y[kept], weights, counts))
    return full, without


def raw_of(fitted, X):
    """Return scikit-learn's own raw predictions, shape (n, K)."""
    raw = fitted.decision_function if hasattr(fitted, "decision_function") else fitted.predict
    return raw(X).reshape(len(X), -1)
