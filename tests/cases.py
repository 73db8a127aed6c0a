"""The table of models: every estimator with an adapter has a row here, and inherits every test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)


@dataclass(frozen=True)
class Data:
    """Training rows, sample weights far from 1, and test rows."""

    X: np.ndarray
    y: np.ndarray
    s: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def classification(n=60, p=4, n_classes=2, seed=0, n_test=12, noise=1.0, labels=None):
    """Rows of Gaussian features (of unequal scale and mean) and labels of a noisy linear rule."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + n_test, p)) * np.linspace(0.5, 2.0, p) + np.linspace(-0.5, 0.5, p)
    rule = rng.standard_normal((p, n_classes))
    raw = X @ rule + noise * rng.standard_normal((n + n_test, n_classes)) * np.sqrt(p)
    y = raw.argmax(axis=1)
    if labels is not None:
        y = np.asarray(labels)[y]
    s = rng.uniform(0.5, 2.0, n)
    return Data(X[:n], y[:n], s, X[n:], y[n:])


def regression(n=60, p=4, n_outputs=1, seed=0, n_test=12):
    """Rows of Gaussian features and noisy linear targets."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + n_test, p)) * np.linspace(0.5, 2.0, p) + np.linspace(-0.5, 0.5, p)
    Y = X @ rng.standard_normal((p, n_outputs)) + 1.0 + rng.standard_normal((n + n_test, n_outputs))
    y = Y[:, 0] if n_outputs == 1 else Y
    s = rng.uniform(0.5, 2.0, n)
    return Data(X[:n], y[:n], s, X[n:], y[n:])


def wide_logistic(seed, C, n=150, p=60, n_test=40):
    """Binary rows with few samples per parameter: leverages up to .98 at C = 100."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + n_test, p))
    rule = 2.0 * rng.standard_normal(p) / np.sqrt(p)
    y = (rng.random(n + n_test) < 1.0 / (1.0 + np.exp(-X @ rule))).astype(int)
    return Data(X[:n], y[:n], np.ones(n), X[n:], y[n:]), LogisticRegression(C=C)


@dataclass(frozen=True)
class Case:
    """A model and its data.

    Attributes
    ----------
    counts : {"weights", "rows"} or None
        What ``class_weight="balanced"`` counts; None where class weights do not move.
    newton_error : float
        Largest relative error of one Newton step against refits that passes. Squared losses: 1e-9.
    """

    name: str
    estimator: Any
    data: Data
    weighted: bool = False
    counts: str | None = None
    newton_error: float = 1e-9

    @property
    def s(self):
        return self.data.s if self.weighted else None

    @property
    def is_classifier(self):
        return "Logistic" in self.name or "Classifier" in self.name


BINARY = classification(labels=["no", "yes"])
THREE = classification(n=75, n_classes=3, labels=["a", "b", "c"])
REAL = regression()
REALS = regression(n_outputs=3)
CS = [0.3]

SOLVERS = ("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga")

# What LogisticRegression(class_weight="balanced") counts: rows in 1.6, sample weights in 1.9.
LOGISTIC_COUNTS = "rows" if sklearn.__version__.startswith("1.6.") else "weights"


def _logistic(**params):
    return LogisticRegression(**{"C": 0.3, "max_iter": 2000, **params})


CASES = [
    *[
        Case(f"LogisticRegression-{solver}", _logistic(solver=solver), BINARY, newton_error=0.04)
        for solver in SOLVERS
    ],
    *[
        Case(f"LogisticRegression-{solver}-3", _logistic(solver=solver), THREE, newton_error=0.04)
        for solver in SOLVERS
        if solver != "liblinear"  # 1.9 refuses it, 1.6 fits one class versus the rest
        or LOGISTIC_COUNTS == "rows"
    ],
    Case("LogisticRegression-weighted", _logistic(), BINARY, weighted=True, newton_error=0.04),
    Case("LogisticRegression-3-weighted", _logistic(), THREE, weighted=True, newton_error=0.04),
    *[
        Case(f"LogisticRegression-{name}", _logistic(fit_intercept=False), data, newton_error=0.04)
        for name, data in (("no-intercept", BINARY), ("3-no-intercept", THREE))
    ],
    Case("LogisticRegression-unpenalised", _logistic(C=np.inf), BINARY, newton_error=0.08),
    Case("LogisticRegression-3-unpenalised", _logistic(C=np.inf), THREE, newton_error=0.08),
    Case(
        "LogisticRegression-dict",
        _logistic(class_weight={"no": 1.0, "yes": 3.0}),
        BINARY,
        weighted=True,
        newton_error=0.06,
    ),
    Case(
        "LogisticRegression-liblinear-scaling",
        _logistic(solver="liblinear", intercept_scaling=3.0, C=0.05),
        BINARY,
        weighted=True,
        newton_error=0.04,
    ),
    Case(
        "LogisticRegression-balanced",
        _logistic(class_weight="balanced"),
        BINARY,
        counts=LOGISTIC_COUNTS,
        newton_error=0.04,
    ),
    Case(
        "LogisticRegression-balanced-weighted",
        _logistic(class_weight="balanced"),
        BINARY,
        weighted=True,
        counts=LOGISTIC_COUNTS,
        newton_error=0.06,
    ),
    Case(
        "LogisticRegression-3-balanced-weighted",
        _logistic(class_weight="balanced"),
        THREE,
        weighted=True,
        counts=LOGISTIC_COUNTS,
        newton_error=0.06,
    ),
    Case("LogisticRegressionCV", LogisticRegressionCV(Cs=CS, cv=2), BINARY, newton_error=0.04),
    Case("LogisticRegressionCV-3", LogisticRegressionCV(Cs=CS, cv=2), THREE, newton_error=0.04),
    Case("LinearRegression", LinearRegression(), REAL),
    Case("LinearRegression-weighted", LinearRegression(), REALS, weighted=True),
    Case("LinearRegression-no-intercept", LinearRegression(fit_intercept=False), REAL),
    Case("Ridge", Ridge(alpha=5.0), REAL),
    Case("Ridge-weighted", Ridge(alpha=5.0), REAL, weighted=True),
    Case("Ridge-no-intercept", Ridge(alpha=5.0, fit_intercept=False), REAL, weighted=True),
    Case("Ridge-3", Ridge(alpha=5.0), REALS),
    Case("Ridge-3-alphas", Ridge(alpha=np.array([0.5, 5.0, 50.0])), REALS, weighted=True),
    Case("RidgeCV", RidgeCV(alphas=[3.0, 5.0]), REAL),
    Case("RidgeCV-per-target", RidgeCV(alphas=[3.0, 50.0], alpha_per_target=True), REALS),
    Case("RidgeClassifier", RidgeClassifier(alpha=5.0), BINARY),
    Case("RidgeClassifier-3", RidgeClassifier(alpha=5.0), THREE, weighted=True),
    Case(
        "RidgeClassifier-balanced",
        RidgeClassifier(alpha=5.0, class_weight="balanced"),
        BINARY,
        counts="rows",
        newton_error=1e-6,
    ),
    Case(
        "RidgeClassifier-3-balanced-weighted",
        RidgeClassifier(alpha=5.0, class_weight="balanced"),
        THREE,
        weighted=True,
        counts="rows",
        newton_error=1e-6,
    ),
    Case("RidgeClassifierCV-3", RidgeClassifierCV(alphas=[3.0, 5.0]), THREE),
]
