"""Losses that promise nothing: value, gradient and Hessian alone; and estimators that scipy fits.

`Fitted` shares no code with the losses: it minimises functions of one residual, written again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import BaseEstimator, RegressorMixin

from skinfluence import register_adapter
from skinfluence.losses import Loss
from skinfluence.objectives import LinearObjective


class Plain(Loss):
    """One output; a subclass gives value, gradient and Hessian and states nothing else."""

    n_outputs = 1

    def encode(self, y):
        return np.asarray(y, dtype=float).reshape(-1, 1)


@dataclass(frozen=True, eq=False)
class Pinball(Plain):
    """Smooth quantile regression: q r + t log(1 + exp(-r / t)), r = y - eta."""

    q: float
    t: float

    def value(self, y, eta):
        r = y - eta
        return np.sum(self.q * r + self.t * np.logaddexp(0.0, -r / self.t), axis=-1)

    def gradient(self, y, eta):
        return expit((eta - y) / self.t) - self.q

    def hessian(self, y, eta):
        p = expit((eta - y) / self.t)
        return p * (1.0 - p) / self.t


@dataclass(frozen=True, eq=False)
class Hinge(Plain):
    """Smooth hinge of targets -1 and +1: t log(1 + exp((1 - y eta) / t))."""

    t: float

    def value(self, y, eta):
        return np.sum(self.t * np.logaddexp(0.0, (1.0 - y * eta) / self.t), axis=-1)

    def gradient(self, y, eta):
        return -y * expit((1.0 - y * eta) / self.t)

    def hessian(self, y, eta):
        p = expit((1.0 - y * eta) / self.t)
        return p * (1.0 - p) / self.t


@dataclass(frozen=True, eq=False)
class Robust(Plain):
    """Huber's loss: r^2 / 2 up to t, then t |r| - t^2 / 2; its Hessian jumps."""

    t: float

    def value(self, y, eta):
        r = np.abs(eta - y)
        return np.sum(np.where(r <= self.t, 0.5 * r**2, self.t * (r - 0.5 * self.t)), axis=-1)

    def gradient(self, y, eta):
        return np.clip(eta - y, -self.t, self.t)

    def hessian(self, y, eta):
        return np.where(np.abs(eta - y) < self.t, 1.0, 0.0)


class LogCosh(Plain):
    """log cosh(eta - y), which is smooth over distances of one half."""

    def value(self, y, eta):
        return np.sum(np.logaddexp(eta - y, y - eta) - np.log(2.0), axis=-1)

    def gradient(self, y, eta):
        return np.tanh(eta - y)

    def hessian(self, y, eta):
        return 1.0 / np.cosh(eta - y) ** 2


def twin(kind: str, q: float, t: float) -> Any:
    """Return the function of (y, raw) to the losses and their first two derivatives in raw."""

    def softplus(z):
        e = np.exp(-np.abs(z))
        p = np.where(z > 0, 1.0, e) / (1.0 + e)
        return np.maximum(z, 0.0) + np.log1p(e), p, e / (1.0 + e) ** 2

    def pinball(y, raw):
        s, p, pp = softplus((raw - y) / t)
        return q * (y - raw) + t * s, p - q, pp / t

    def hinge(y, raw):
        s, p, pp = softplus((1.0 - y * raw) / t)
        return t * s, -y * p, pp / t

    def robust(y, raw):
        r = raw - y
        core = np.abs(r) < t
        outside = t * np.abs(r) - 0.5 * t * t
        return np.where(core, 0.5 * r * r, outside), np.where(core, r, t * np.sign(r)), 1.0 * core

    def logcosh(y, raw):
        r = raw - y
        th = np.tanh(r)
        return np.abs(r) + np.log1p(np.exp(-2.0 * np.abs(r))) - np.log(2.0), th, 1.0 - th * th

    return {"pinball": pinball, "hinge": hinge, "robust": robust, "logcosh": logcosh}[kind]


LOSSES = {
    "pinball": lambda model: Pinball(model.q, model.t),
    "hinge": lambda model: Hinge(model.t),
    "robust": lambda model: Robust(model.t),
    "logcosh": lambda model: LogCosh(),
}


class Fitted(RegressorMixin, BaseEstimator):
    """sum_i w_i l(y_i, x_i'coef + intercept) + alpha/2 |coef|^2, minimised by scipy."""

    def __init__(self, kind="pinball", q=0.5, t=0.05, alpha=1.0, start=None):
        self.kind = kind
        self.q = q
        self.t = t
        self.alpha = alpha
        self.start = start

    def fit(self, X, y, sample_weight=None):
        Z, y = np.column_stack([X, np.ones(len(X))]), np.asarray(y, dtype=float)
        w = np.ones(len(Z)) if sample_weight is None else np.asarray(sample_weight)
        penalty = np.append(np.full(Z.shape[1] - 1, float(self.alpha)), 0.0)
        of_raw = twin(self.kind, self.q, self.t)

        def value(theta):
            return w @ of_raw(y, Z @ theta)[0] + 0.5 * penalty @ theta**2

        def gradient(theta):
            return Z.T @ (w * of_raw(y, Z @ theta)[1]) + penalty * theta

        def hessian(theta):
            return (Z.T * (w * of_raw(y, Z @ theta)[2])) @ Z + np.diag(penalty)

        theta = np.append(np.zeros(Z.shape[1] - 1), np.median(y))
        theta = theta if self.start is None else self.start
        options = {"gtol": 1e-7, "maxiter": 5000}
        theta = minimize(
            value, theta, jac=gradient, hess=hessian, method="trust-exact", options=options
        ).x
        for _ in range(20):  # values are rounding here; Newton steps go on
            g = gradient(theta)
            H = hessian(theta)
            step = np.linalg.lstsq(H, g, rcond=1e-14)[0]
            if not np.linalg.norm(gradient(theta - step)) < np.linalg.norm(g):
                break
            theta = theta - step
        self.coef_, self.intercept_ = theta[:-1], theta[-1]
        self.gradient_norm_ = float(np.linalg.norm(gradient(theta)))
        return self

    def predict(self, X):
        return np.asarray(X) @ self.coef_ + self.intercept_

    def losses(self, X, y):
        """Return the loss of every row."""
        return twin(self.kind, self.q, self.t)(np.asarray(y, dtype=float), self.predict(X))[0]


@register_adapter(Fitted)
def of_fitted(model, X, y, sample_weight):
    return LinearObjective.from_coefficients(
        X,
        y,
        LOSSES[model.kind](model),
        model.coef_,
        model.intercept_,
        l2=model.alpha,
        sample_weight=sample_weight,
    )


@dataclass(frozen=True)
class Problem:
    """Training and test rows, and the estimator to fit on them."""

    estimator: Fitted
    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def draw(kind: str, seed: int, t: float | None = None, n: int | None = None) -> Problem:
    """Return a problem: shape, noise, quantile and penalty drawn with the seed."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([60, 100, 200, 300])) if n is None else n
    p = int(rng.choice([q for q in (3, 5, 10, 20) if 8 * q <= n]))
    q = float(rng.choice([0.1, 0.25, 0.5, 0.75, 0.9]))
    t = t if t is not None else float(rng.choice({"hinge": [0.05, 0.2]}.get(kind, [0.3, 1.35])))
    X = rng.standard_normal((n + 30, p))
    noise = rng.standard_normal(n + 30) if rng.random() < 0.5 else rng.standard_t(3, n + 30)
    y = X @ rng.standard_normal(p) / np.sqrt(p) + noise
    y = np.where(y > 0, 1.0, -1.0) if kind == "hinge" else y
    estimator = Fitted(kind, q, t, alpha=float(rng.choice([0.1, 1.0])))
    return Problem(estimator, X[:n], y[:n], X[n:], y[n:])


def refits(problem: Problem, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the change of test losses and of raw predictions without each row, by scipy."""
    fitted = problem.estimator.fit(problem.X, problem.y)
    start = np.append(fitted.coef_, fitted.intercept_)
    before = fitted.losses(problem.X_test, problem.y_test), fitted.predict(problem.X_test)
    losses, raws = [], []
    for i in rows:
        other = Fitted(**{**problem.estimator.get_params(), "start": start})
        other.fit(np.delete(problem.X, i, axis=0), np.delete(problem.y, i))
        assert other.gradient_norm_ < 1e-6
        losses.append(other.losses(problem.X_test, problem.y_test) - before[0])
        raws.append(other.predict(problem.X_test) - before[1])
    return np.array(losses).T, np.array(raws).T
