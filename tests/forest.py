"""A family of models from outside the package: a tiny forest whose leaves average their rows.

An estimator, its objective (leaf values as parameters), its mechanism (leaves averaged anew) and
its adapter: what a new family is made of, in this file alone.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skinfluence import register_adapter
from skinfluence.losses import HalfSquaredError
from skinfluence.mechanisms import Mechanism, register_mechanism
from skinfluence.objectives import Fixed, OutputObjective
from skinfluence.removal import Counterfactuals


class AveragingForest(RegressorMixin, BaseEstimator):
    """Trees of random splits; a leaf predicts the mean of its rows."""

    def __init__(self, n_trees=3, random_state=0):
        self.n_trees = n_trees
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None):
        X, y = validate_data(self, X, y)
        w = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
        rng = np.random.default_rng(self.random_state)
        self.features_ = rng.integers(X.shape[1], size=(self.n_trees, 2))
        self.thresholds_ = rng.uniform(-0.3, 0.3, size=(self.n_trees, 2))
        leaves = self.apply(X)
        self.values_ = averages(*sums(leaves, 4 * self.n_trees, w, y))
        return self

    def apply(self, X):
        """Return the leaf of every row in every tree, numbered through, shape (n, n_trees)."""
        right = X[:, self.features_] > self.thresholds_  # (n, n_trees, 2): two questions a tree
        return 4 * np.arange(self.n_trees) + 2 * right[:, :, 0] + right[:, :, 1]

    def predict(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, reset=False)
        return self.values_[self.apply(X)].mean(axis=1)


def sums(leaves, n_leaves, w, y):
    """Return the weights and the weighted targets of every leaf, shape (n_leaves,) each."""
    trees = leaves.shape[1]
    W = np.bincount(leaves.ravel(), np.repeat(w, trees), n_leaves)
    S = np.bincount(leaves.ravel(), np.repeat(w * y, trees), n_leaves)
    return W, S


def averages(W, S):
    """Return S / W, 0 for leaves without weight."""
    return np.divide(S, W, out=np.zeros_like(S), where=W > 0)


@dataclass(frozen=True, eq=False)
class LeavesObjective(OutputObjective):
    """Rows in leaves: eta_i is the mean of theta over the leaves of row i."""

    forest: Any
    leaves: Any
    y: Any
    theta: Any
    sample_weight: Any
    weighting: Any
    loss = HalfSquaredError()

    @property
    def l2(self):
        return np.zeros_like(self.theta)

    def at(self, theta):
        return replace(self, theta=theta)

    def on(self, X, y=None):
        leaves = self.forest.apply(np.asarray(X, dtype=float))
        n = len(leaves)
        y = None if y is None else self.loss.encode(y)
        ones = np.ones(n)
        return replace(self, leaves=leaves, y=y, sample_weight=ones, weighting=Fixed(n))

    def rows(self, index):
        return replace(
            self,
            leaves=self.leaves[index],
            y=None if self.y is None else self.y[index],
            sample_weight=self.sample_weight[index],
            weighting=self.weighting.rows(index),
        )

    def raw_predictions(self):
        return self.theta[self.leaves].mean(axis=1)[:, None]

    def jacobian_dot(self, V):
        return V[self.leaves].mean(axis=1)[:, None]

    def jacobian_t_rows(self, B):
        out = np.zeros((len(self.theta), len(self.leaves)))
        np.put_along_axis(out, self.leaves.T, B.T / self.leaves.shape[1], axis=0)
        return out

    def jacobian_t_dot(self, B):
        return self.jacobian_t_rows(np.ones((len(B), 1))) @ B[:, 0]


@register_mechanism(LeavesObjective)
class ForestMechanism(Mechanism):
    """Leaves that are averaged anew: exact, and nothing else."""

    methods = ("exact",)
    default_method = "exact"
    changes = ("removal", "addition", "relabelling")

    def __init__(self, objective):
        self.objective = objective

    @classmethod
    def at(cls, objective, settings):
        return cls(objective)

    def edits(self, edits, method):
        return LeafEdits(edits)

    def groups(self, masks, names, method):
        return LeafGroups(self.objective, masks)

    def gradient_norm(self, objective):
        return float(np.linalg.norm(objective.theta - averages(*totals(objective))))


def totals(rows):
    """Return the weights and the weighted targets that rows bring to the leaves."""
    return sums(rows.leaves, len(rows.theta), rows.sample_weight, rows.y[:, 0])


class ReaveragedLeaves(Counterfactuals):
    """Leaf values after changes of the weights and the targets of some leaves."""

    method = "exact"

    def changes(self, rows):
        columns = [averages(*self.after(i)) - self.objective.theta for i in rows]
        return np.stack(columns, axis=1)


@dataclass(frozen=True, eq=False)
class LeafEdits(ReaveragedLeaves):
    """Rows that leave, come, or change their target."""

    edits: Any

    @property
    def objective(self):
        return self.edits.base

    @property
    def features(self):
        return self.edits.features

    @property
    def n_edits(self):
        return self.edits.n_edits

    def after(self, i):
        W, S = totals(self.objective)
        for sign, part in self.edits.parts(np.array([i])):
            w, s = totals(part)
            W, S = W - sign * w, S - sign * s
        return W, S


@dataclass(frozen=True, eq=False)
class LeafGroups(ReaveragedLeaves):
    """Groups that leave."""

    base: Any
    masks: Any

    @property
    def objective(self):
        return self.base

    @property
    def n_edits(self):
        return self.masks.shape[0]

    def after(self, i):
        W, S = totals(self.objective)
        w, s = totals(self.objective.rows(self.masks[[i]].indices))
        return W - w, S - s


def write(estimator, objective, X):
    estimator.values_ = objective.theta


@register_adapter(AveragingForest, write=write)
def forest(estimator, X, y, sample_weight):
    n = len(X)
    return LeavesObjective(
        forest=estimator,
        leaves=estimator.apply(np.asarray(X, dtype=float)),
        y=HalfSquaredError().encode(y),
        theta=estimator.values_,
        sample_weight=np.ones(n) if sample_weight is None else np.asarray(sample_weight, float),
        weighting=Fixed(n),
    )
