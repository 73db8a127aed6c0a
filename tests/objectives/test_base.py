"""Objectives that promise nothing: right numbers, and nothing is moved that did not ask for it."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.tree import DecisionTreeRegressor

from skinfluence import InfluenceRegressor, register_adapter
from skinfluence.losses import HalfSquaredError, Loss
from skinfluence.objectives import Objective, OutputObjective, Weighting
from skinfluence.objectives.weighting import Fixed

rng = np.random.default_rng(0)
X = rng.standard_normal((40, 3))
y = np.sin(2.0 * X[:, 0]) + X[:, 1] ** 2 + 0.3 * rng.standard_normal(40)


class Trees(RegressorMixin, BaseEstimator):
    """The sum of two trees, each fitted on other rows: no minimum of a joint sum of losses."""

    def __init__(self, l2=0.1):
        self.l2 = l2

    def fit(self, X, y):
        self.trees_ = [
            DecisionTreeRegressor(max_leaf_nodes=4, random_state=k).fit(X[k::2], 0.5 * y[k::2])
            for k in (0, 1)
        ]
        self.leaves_ = [np.unique(tree.apply(X)) for tree in self.trees_]
        values = [
            tree.tree_.value[leaves].ravel()
            for tree, leaves in zip(self.trees_, self.leaves_, strict=True)
        ]
        self.theta_ = np.concatenate(values)
        return self

    def indicators(self, X):
        """Return which leaf of each tree every row is in."""
        columns = [
            tree.apply(X)[:, None] == leaves
            for tree, leaves in zip(self.trees_, self.leaves_, strict=True)
        ]
        return np.concatenate(columns, axis=1).astype(float)

    def predict(self, X):
        return self.indicators(X) @ self.theta_


@dataclass(frozen=True, eq=False)
class Forest(OutputObjective):
    """A user's objective, written by the abstract methods and nothing else."""

    model: Any
    X: Any
    y: Any
    theta: Any
    l2: Any
    sample_weight: Any
    weighting: Weighting
    loss: Loss = field(default_factory=HalfSquaredError)

    def at(self, theta):
        return replace(self, theta=theta)

    def on(self, X, y=None):
        y = None if y is None else self.loss.encode(y)
        return replace(self, X=X, y=y, sample_weight=np.ones(len(X)), weighting=Fixed(len(X)))

    def rows(self, index):
        some = {name: getattr(self, name)[index] for name in ("X", "sample_weight")}
        y = None if self.y is None else self.y[index]
        return replace(self, y=y, weighting=self.weighting.rows(index), **some)

    def raw_predictions(self):
        return (self.model.indicators(self.X) @ self.theta)[:, None]

    def jacobian_dot(self, V):
        return (self.model.indicators(self.X) @ V)[:, None]

    def jacobian_t_dot(self, B):
        return self.model.indicators(self.X).T @ B[:, 0]

    def jacobian_t_rows(self, B):
        return self.model.indicators(self.X).T * B[:, 0]


@register_adapter(Trees)
def of_trees(model, X, y, sample_weight):
    l2, w = np.full(len(model.theta_), model.l2), np.ones(len(X))
    targets = HalfSquaredError().encode(y)
    return Forest(model, X, targets, model.theta_, l2, w, Fixed(len(X)))


def test_objectives_promise_nothing():
    for contract in (Objective, OutputObjective, Forest):
        assert not contract.convex and not contract.constant_hessian
        assert contract.kind == "own"


@pytest.mark.parametrize("method", ["first_order", "newton"])
def test_a_model_that_does_not_say_it_is_convex_is_not_refined(method):
    """A minimum of the joint sum is another forest; it is scored where it was fitted."""
    model = InfluenceRegressor(Trees()).fit(X, y)
    with pytest.warns(ConvergenceWarning, match=r"pass refine=True to move a copy to the minimum"):
        scores = model.influence_scores(X[:5], y[:5], method=method)
    assert model.refinement_.n_iter == 0
    np.testing.assert_array_equal(model.refinement_.objective.theta, model.estimator_.theta_)
    Z, theta = model.estimator_.indicators(X), model.estimator_.theta_
    H, r = Z.T @ Z + 0.1 * np.eye(len(theta)), Z @ theta - y
    G = Z * r[:, None]
    if method == "first_order":
        expected = G[:5] @ np.linalg.solve(H, G.T)
    else:
        h = np.einsum("ip,pi->i", Z, np.linalg.solve(H, Z.T))
        D = np.linalg.solve(H, G.T) / (1.0 - h)
        expected = 0.5 * (r[:5, None] + Z[:5] @ D) ** 2 - 0.5 * r[:5, None] ** 2
    np.testing.assert_allclose(scores, expected, rtol=1e-8, atol=1e-12)


def test_it_is_refined_where_that_is_asked_for():
    with pytest.warns(ConvergenceWarning, match="Scores are those of the stationary point"):
        model = InfluenceRegressor(Trees(), refine=True).fit(X, y)
        model.influence_scores(X[:5], y[:5])
    Z = model.estimator_.indicators(X)
    best = np.linalg.solve(Z.T @ Z + 0.1 * np.eye(Z.shape[1]), Z.T @ y)
    assert np.linalg.norm(best - model.estimator_.theta_) > 0.1
    np.testing.assert_allclose(model.refinement_.objective.theta, best, rtol=1e-6, atol=1e-8)
