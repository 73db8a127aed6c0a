"""Small trees, forests and boosted trees of every kind, fitted, with the oracle over their splits.

Every row of the table is one estimator on one set of rows. What it predicts without some rows is
told by `tests.plain_trees`; targets are computed from that in plain NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import xlogy
from sklearn.base import is_classifier
from sklearn.datasets import make_regression
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.plain_trees import (
    GRADIENT,
    HISTOGRAM,
    encoded,
    prepared,
    refit,
    trees_of,
    weights_and_draws,
)

RNG = np.random.default_rng(0)
N, N_TEST = 80, 20
ALL, LEVELS = make_regression(N + N_TEST, 5, noise=10.0, random_state=0)
LEVELS = LEVELS / 50.0
HOLES = np.where(RNG.random(ALL.shape) < 0.1, np.nan, ALL)
LABELS = np.array(["a", "b"])[(LEVELS + 0.3 * RNG.standard_normal(len(ALL)) > 0).astype(int)]
THREE = np.array(["a", "b", "c"])[
    np.digitize(LEVELS + 0.3 * RNG.standard_normal(len(ALL)), np.quantile(LEVELS, [0.3, 0.7]))
]
COUNTS = RNG.poisson(np.exp(LEVELS / 3)).astype(float)
WEIGHTS = RNG.uniform(0.5, 2.0, N)
SOME_ZERO = np.where(np.arange(N) % 9 == 4, 0.0, WEIGHTS)
THIN = np.where(np.abs(ALL) < 0.6, 0.0, ALL)
FRAME = pd.DataFrame(HOLES, columns=list("pqrst")).assign(
    kind=pd.Categorical(np.array(["u", "v", "w", None])[RNG.integers(0, 4, len(ALL))])
)
SMALL = {"max_leaf_nodes": 7, "random_state": 0}
GRADIENTS = {"n_estimators": 5, **SMALL}
HISTOGRAMS = {"max_iter": 6, "min_samples_leaf": 5, **SMALL}
LONELY = {**HISTOGRAMS, "min_samples_leaf": 1, "max_leaf_nodes": 12}


@dataclass(frozen=True)
class Case:
    """An estimator, and the rows it is fitted on: features and targets have the test rows too."""

    estimator: Any
    y: Any = None
    X: Any = None
    w: Any = None

    def __post_init__(self):
        object.__setattr__(self, "X", ALL if self.X is None else self.X)
        object.__setattr__(self, "y", LEVELS if self.y is None else self.y)


FORESTS = {
    "tree": Case(DecisionTreeRegressor(random_state=0)),
    "weighted tree": Case(DecisionTreeRegressor(random_state=0), w=SOME_ZERO),
    "shallow tree": Case(DecisionTreeRegressor(max_depth=3, random_state=0), w=WEIGHTS),
    "tree of balanced classes": Case(
        DecisionTreeClassifier(class_weight="balanced", max_depth=4, random_state=0), THREE
    ),
    "tree of weighed classes": Case(
        DecisionTreeClassifier(max_depth=3, class_weight={"a": 2.0, "b": 0.5}, random_state=0),
        LABELS,
        w=WEIGHTS,
    ),
    "extra tree": Case(ExtraTreeRegressor(max_depth=5, random_state=0), w=WEIGHTS),
    "extra tree of classes": Case(ExtraTreeClassifier(max_depth=5, random_state=0), THREE),
    "forest": Case(RandomForestRegressor(5, random_state=0)),
    "weighted forest": Case(RandomForestRegressor(5, random_state=0), w=WEIGHTS),
    "forest with zeros": Case(RandomForestRegressor(5, random_state=0), w=SOME_ZERO),
    "forest in single precision": Case(
        RandomForestRegressor(5, min_samples_leaf=3, random_state=0), X=ALL.astype(np.float32)
    ),
    "forest of sparse rows": Case(
        RandomForestRegressor(5, max_depth=4, random_state=0), X=sparse.csr_matrix(THIN)
    ),
    "forest of two classes": Case(RandomForestClassifier(5, max_depth=4, random_state=0), LABELS),
    "forest of classes": Case(
        RandomForestClassifier(5, class_weight="balanced_subsample", random_state=0),
        THREE,
        w=WEIGHTS,
    ),
    "forest of balanced classes": Case(
        RandomForestClassifier(5, class_weight="balanced", max_samples=0.6, random_state=0), THREE
    ),
    "forest of outputs": Case(
        RandomForestRegressor(5, max_depth=4, random_state=0), np.column_stack([LEVELS, COUNTS])
    ),
    "forest of several labels": Case(
        RandomForestClassifier(5, max_depth=4, random_state=0), np.column_stack([THREE, LABELS])
    ),
    "extra trees": Case(ExtraTreesRegressor(5, max_depth=5, random_state=0), w=WEIGHTS),
    "bagged extra trees": Case(
        ExtraTreesClassifier(5, bootstrap=True, random_state=0), THREE, w=SOME_ZERO
    ),
    "bagging": Case(BaggingRegressor(DecisionTreeRegressor(), 5, max_features=0.6, random_state=0)),
    "weighted bagging": Case(BaggingRegressor(None, 5, random_state=0), w=WEIGHTS),
    "bagging of classes": Case(
        BaggingClassifier(DecisionTreeClassifier(max_depth=4), 5, max_samples=0.5, random_state=0),
        THREE,
    ),
    "bagging of sparse rows": Case(
        BaggingClassifier(DecisionTreeClassifier(max_depth=3), 5, random_state=0),
        LABELS,
        X=sparse.csr_matrix(THIN),
    ),
}
"""Trees that average their rows."""

SQUARED = {
    "boosting": Case(GradientBoostingRegressor(**GRADIENTS)),
    "weighted boosting": Case(GradientBoostingRegressor(**GRADIENTS), w=SOME_ZERO),
    "boosting from zero": Case(GradientBoostingRegressor(init="zero", **GRADIENTS), w=WEIGHTS),
    "boosting with masks": Case(GradientBoostingRegressor(subsample=0.5, **GRADIENTS)),
    "boosting of single rows": Case(
        GradientBoostingRegressor(n_estimators=5, max_depth=6, random_state=0)
    ),
    "boosting in single precision": Case(
        GradientBoostingRegressor(**GRADIENTS), X=ALL.astype(np.float32)
    ),
    "boosting of sparse rows": Case(
        GradientBoostingRegressor(subsample=0.6, **GRADIENTS), X=sparse.csr_matrix(THIN)
    ),
    "histograms": Case(HistGradientBoostingRegressor(**HISTOGRAMS), X=HOLES, w=WEIGHTS),
    "penalised histograms": Case(
        HistGradientBoostingRegressor(l2_regularization=3.0, **HISTOGRAMS)
    ),
    "categories": Case(
        HistGradientBoostingRegressor(categorical_features="from_dtype", **HISTOGRAMS), X=FRAME
    ),
    "histograms of single rows": Case(HistGradientBoostingRegressor(**LONELY), X=HOLES),
    "histograms that stop": Case(
        HistGradientBoostingRegressor(
            early_stopping=True, n_iter_no_change=3, **{**HISTOGRAMS, "max_iter": 20}
        ),
        X=HOLES,
        w=WEIGHTS,
    ),
}
"""Boosted trees under squared error."""

ONE_OUTPUT = {
    "boosting of labels": Case(GradientBoostingClassifier(**GRADIENTS), LABELS, w=WEIGHTS),
    "boosting of lonely labels": Case(
        GradientBoostingClassifier(n_estimators=5, max_depth=6, subsample=0.7, random_state=0),
        LABELS,
    ),
    "exponential": Case(
        GradientBoostingClassifier(loss="exponential", **GRADIENTS), LABELS, w=SOME_ZERO
    ),
    "poisson": Case(
        HistGradientBoostingRegressor(loss="poisson", l2_regularization=1.0, **HISTOGRAMS), COUNTS
    ),
    "gamma": Case(
        HistGradientBoostingRegressor(loss="gamma", **HISTOGRAMS), COUNTS + 0.5, w=WEIGHTS
    ),
    "histograms of labels": Case(
        HistGradientBoostingClassifier(class_weight="balanced", **HISTOGRAMS), LABELS, w=WEIGHTS
    ),
    "histograms of lonely labels": Case(HistGradientBoostingClassifier(**LONELY), LABELS, X=FRAME),
}
"""Boosted trees of one output under other losses."""

CLASSES = {
    "boosting of classes": Case(GradientBoostingClassifier(**GRADIENTS), THREE, w=SOME_ZERO),
    "boosting that stops": Case(
        GradientBoostingClassifier(
            subsample=0.7, n_iter_no_change=2, max_depth=4, n_estimators=5, random_state=0
        ),
        THREE,
        w=WEIGHTS,
    ),
    "histograms of classes": Case(HistGradientBoostingClassifier(**HISTOGRAMS), THREE, X=HOLES),
    "histograms of classes that stop": Case(
        HistGradientBoostingClassifier(
            early_stopping=True, n_iter_no_change=3, class_weight="balanced", **HISTOGRAMS
        ),
        THREE,
    ),
}
"""Boosted trees of several classes."""

BOOSTED = {**SQUARED, **ONE_OUTPUT, **CLASSES}
EVERY = {**FORESTS, **BOOSTED}

REPEATS = {
    "weighted tree",
    "tree of weighed classes",
    "extra tree",
    "extra tree of classes",
    "weighted forest",
    "forest of two classes",
    "forest of balanced classes",
    "weighted bagging",
    "bagging of sparse rows",
    "boosting in single precision",
    "boosting of sparse rows",
    "boosting from zero",
    "boosting of lonely labels",
    "histograms of labels",
    "penalised histograms",
    "histograms of classes that stop",
    "gamma",
}
"""Rows of the table that repeat a kind, for questions that have little to do with it."""


def repeats(name):
    return name in REPEATS


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted wrapper, its rows, test rows, and what the oracle says."""

    name: str
    model: Any
    X: Any
    y: Any
    w: Any
    X_test: Any
    y_test: Any

    @property
    def estimator(self):
        return self.model.estimator_

    @property
    def classifier(self):
        return is_classifier(self.estimator)

    @property
    def forest(self):
        return not isinstance(self.estimator, GRADIENT + HISTOGRAM)

    @property
    def rounding(self):
        """How far scores may be from the oracle, of the largest."""
        if "single precision" in self.name:
            return 2e-6
        return 1e-6 if isinstance(self.estimator, HISTOGRAM) else 1e-8

    @property
    def grown(self):
        """Whether leaves hold equal targets, so that no weight of a row moves any."""
        trees = getattr(self.estimator, "estimators_", [self.estimator])
        return self.forest and all(
            np.all(each.tree_.impurity[each.tree_.children_left < 0] < 1e-12) for each in trees
        )

    def refit(self, **edit):
        return refit(self.estimator, self.X, self.y, self.w, self.weights[1], **edit)

    @property
    def weights(self):
        """What rows weigh, 0 of rows that were held out, and how often each tree counts them."""
        return _weights(self)

    def loss(self, raw, y):
        return loss_of(self.estimator, raw, encoded(self.estimator, y))

    def interesting_rows(self, k=5):
        """Return rows that are alone in a leaf, some that no tree counts, and some others."""
        w, draws = self.weights
        counted = w[:, None] * draws > 0
        features = prepared(self.estimator, self.X)
        alone = np.zeros(N, dtype=bool)
        for tree, drawn in zip(trees_of(self.estimator), counted.T, strict=True):
            leaves = tree.leaves(features)
            rows = np.flatnonzero(drawn)
            _, first, many = np.unique(leaves[rows], return_index=True, return_counts=True)
            alone[rows[first[many == 1]]] = True
        odd = np.flatnonzero(~counted.any(axis=1))
        rest = np.random.default_rng(5).permutation(N)[:k]
        return np.unique(np.concatenate([np.flatnonzero(alone)[:k], odd[:2], rest]))


@cache
def _weights(fit):
    return weights_and_draws(fit.estimator, fit.X, fit.y, fit.w)


@cache
def fitted(name, **options):
    """Return a row of the table, fitted."""
    case = EVERY[name]
    wrapper = InfluenceClassifier if is_classifier(case.estimator) else InfluenceRegressor
    X, X_test = rows_of(case.X, slice(N)), rows_of(case.X, slice(N, None))
    y, y_test = case.y[:N], case.y[N:]
    model = wrapper(case.estimator, **options).fit(X, y, sample_weight=case.w)
    return Fit(name, model, X, y, case.w, X_test, y_test)


def rows_of(X, rows):
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


# ------------------------------------------------------------------ targets in plain NumPy


def loss_of(estimator, raw, targets):
    """Return the loss of every row, from raw predictions (n, K) and one-hot targets (n, K')."""
    if not isinstance(estimator, GRADIENT + HISTOGRAM) or estimator.loss == "squared_error":
        return 0.5 * ((raw - targets) ** 2).sum(axis=1)
    if estimator.loss == "poisson":
        y = targets[:, 0]
        return np.exp(raw[:, 0]) - y * raw[:, 0] - y + xlogy(y, y)
    if estimator.loss == "gamma":
        return raw[:, 0] + targets[:, 0] * np.exp(-raw[:, 0]) - 1 - np.log(targets[:, 0])
    if estimator.loss == "exponential":
        return np.exp(-(2 * targets[:, 1] - 1) * raw[:, 0])
    return -np.log((response_of(estimator, raw) * targets).sum(axis=1))


def response_of(estimator, raw):
    """Return what predict of a regressor, or predict_proba, says of raw predictions (n, K)."""
    if not isinstance(estimator, GRADIENT + HISTOGRAM):
        return raw
    if estimator.loss in ("poisson", "gamma"):
        return np.exp(raw)
    if estimator.loss == "squared_error":
        return raw
    if raw.shape[1] == 1:
        p = 1 / (1 + np.exp(-raw * (2 if estimator.loss == "exponential" else 1)))
        return np.hstack([1 - p, p])
    p = np.exp(raw - raw.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def targets_of(fit):
    """Return the targets that a model has."""
    if not fit.classifier:
        return ("loss", "predict", "linear_predictor")
    return (
        ("loss", "predict_proba") if fit.forest else ("loss", "predict_proba", "decision_function")
    )


def value_of(fit, target, raw, before):
    """Return a target of the test rows, from raw predictions now and before an edit.

    Of classes, that which the model predicts before; of several outputs, the last (class).
    """
    estimator = fit.estimator
    if target == "loss":
        return loss_of(estimator, raw, encoded(estimator, fit.y_test))
    if target == "linear_predictor":
        return raw[:, -1]
    response = response_of(estimator, raw)
    if target == "predict" or np.ndim(fit.y_test) == 2:
        return response[:, -1]
    if target == "decision_function" and raw.shape[1] == 1:
        return raw[:, 0]
    chosen = np.argmax(response_of(estimator, before), axis=1)
    values = raw if target == "decision_function" else response
    return values[np.arange(len(raw)), chosen]


def asked_of(fit, target):
    """Return the keyword arguments of a question about a target."""
    if target == "loss":
        return {"target": target, "y_test": fit.y_test}
    if np.ndim(fit.y_test) == 1:
        return {"target": target}
    return {"target": target, "output": "output 1 = b" if fit.classifier else 1}
