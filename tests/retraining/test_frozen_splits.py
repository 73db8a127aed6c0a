"""The judge of trees over the same splits against an oracle in plain loops."""

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.ensemble import GradientBoostingClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor

from skinfluence.retraining import FrozenTrees, RowsInTrees, refit_leaves
from tests.plain_trees import GRADIENT, HISTOGRAM, encoded, prepared, refit, trees_of
from tests.plain_trees import weights_and_draws as weights_and_uses
from tests.test_plain_trees import CASES, HOLES, missing_values_are_misplaced

KINDS = {"squared_error": "squared", "poisson": "poisson", "gamma": "gamma"}
PLACES = np.arange(0, 160, 7)


def rows_of(estimator, X, first):
    """Return where rows end in trees whose nodes are numbered from `first` on."""
    trees, features = trees_of(estimator), prepared(estimator, X)

    def descend(rows, nodes):
        out = np.empty(len(rows), dtype=int)
        for j, (row, node) in enumerate(zip(rows, nodes, strict=True)):
            t = np.searchsorted(first, node, side="right") - 1
            end = np.zeros(1, dtype=int)
            trees[t]._walk(features[[row]], np.array([0]), node - first[t], None, end)
            out[j] = end[0] + first[t]
        return out

    ends = [tree.leaves(features) + start for tree, start in zip(trees, first, strict=True)]
    return RowsInTrees(np.array(ends).T, descend)


def penalties(estimator, trees):
    """Return the penalty of every node; trees that are a root alone stay at 0 in histograms."""
    if not isinstance(estimator, HISTOGRAM):
        return None
    each = [np.inf if len(tree.left) == 1 else estimator.l2_regularization for tree in trees]
    return np.repeat(each, [len(tree.left) for tree in trees])


def frozen(estimator, X, y, sample_weight, X_test):
    """Return what the judge is told of a fitted estimator."""
    trees = trees_of(estimator)
    first = np.cumsum([0, *(len(tree.left) for tree in trees)])[:-1]
    children = [np.column_stack([tree.left, tree.right]) for tree in trees]
    children = [np.where(c < 0, -1, c + at) for c, at in zip(children, first, strict=True)]
    w, uses = weights_and_uses(estimator, X, y, sample_weight)
    kind, y, params = "mean", encoded(estimator, y), {}
    if isinstance(estimator, GRADIENT + HISTOGRAM):
        K = estimator.n_trees_per_iteration_
        kind = KINDS.get(estimator.loss, "classes")
        if is_classifier(estimator) and K == 1:
            kind = "exponential" if estimator.loss == "exponential" else "logistic"
            y = 2.0 * y[:, 1:] - 1.0 if kind == "exponential" else y[:, 1:]
        several = isinstance(estimator, GradientBoostingClassifier) and K > 1
        params = {
            "rate": estimator.learning_rate,
            "factor": (K - 1) / K if several else 1.0,
            "penalty": penalties(estimator, trees),
            "centred": getattr(estimator, "init", None) != "zero",
        }
    places = (rows_of(estimator, each, first) for each in (X, X_test))
    return FrozenTrees(kind, np.concatenate(children), first, *places, y, w, uses, **params)


def some(X, rows):
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_oracle(name):
    """With all rows, without single ones, and without groups that empty leaves and subtrees."""
    estimator, X, y, w = CASES[name]
    if X is HOLES and missing_values_are_misplaced():
        pytest.skip("this scikit-learn loses rows with missing values")
    estimator.fit(X, y, sample_weight=w)
    X_test = some(X, PLACES)
    neighbours = np.argsort(np.asarray(y).reshape(len(y), -1)[:, 0], kind="stable")[40:70]
    removed = [np.arange(0), *PLACES[:5, None], neighbours, np.arange(0, 160, 3)]
    found = refit_leaves(frozen(estimator, X, y, w, X_test), removed)
    expected = np.array([refit(estimator, X, y, w, removed=rows)(X_test) for rows in removed])
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * np.ptp(expected))
    moved = np.abs(expected[1:] - expected[0]).reshape(len(removed) - 1, -1).max(axis=1)
    if name != "histograms without splits":  # whose leaves are all pure
        assert np.all(moved[-2:] > 1e-3)


def test_subtrees_without_rows_give_way_by_hand():
    """0 | 1 | 5 6: without 5 and 6 what is above 3 goes to the leaf of 1."""
    x, y = np.array([[0.0], [1.0], [5.0], [6.0]]), np.array([0.0, 10.0, 100.0, 120.0])
    tree = DecisionTreeRegressor().fit(x, y)
    at = np.array([[-1.0], [2.0], [9.0]])
    removed = [np.array(rows, dtype=int) for rows in ([], [1], [3], [2, 3], [0, 1])]
    found = refit_leaves(frozen(tree, x, y, None, at), removed)[:, :, 0]
    expected = [[0, 10, 120], [0, 0, 120], [0, 10, 100], [0, 10, 10], [100, 100, 120]]
    np.testing.assert_array_equal(found, expected)


def test_trees_of_nothing_are_refused():
    x, y = np.array([[0.0], [1.0]]), np.array([0.0, 1.0])
    forest = RandomForestRegressor(3, random_state=0).fit(x, y)
    with pytest.raises(ValueError, match="All rows that a tree was fitted on were removed"):
        refit_leaves(frozen(forest, x, y, None, x), [np.array([0, 1])])
