"""Rows and checks that the tests of the adapters of trees share."""

import pickle
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier

from skinfluence.adapters import adapt, write_parameters
from tests.plain_trees import prepared, trees_of

RNG = np.random.default_rng(7)
N = 160
X = RNG.standard_normal((N, 5))
X[:, 4] = np.round(X[:, 4])
LEVELS = X[:, 0] + np.sin(3.0 * X[:, 1]) + 0.5 * RNG.standard_normal(N)
POSITIVE = np.exp(0.5 * LEVELS)
COUNTS = RNG.poisson(POSITIVE).astype(float)
PAIRS = np.column_stack([LEVELS, X[:, 2] ** 2])
TWO = np.where(LEVELS > 0, "yes", "no")
THREE = np.array(["low", "mid", "high"])[np.digitize(LEVELS, [-0.7, 0.7])]
LABELS = np.column_stack([THREE, TWO])
WEIGHTS = RNG.uniform(0.3, 3.0, N)
SOME = np.where(RNG.random(N) < 0.1, 0.0, WEIGHTS)
HOLES = np.where(RNG.random(X.shape) < 0.15, np.nan, X)
TEST = RNG.standard_normal((40, 5))
TEST_HOLES = np.where(RNG.random(TEST.shape) < 0.3, np.nan, TEST)


def frame(table):
    """Return a frame of features, the last of which is a kind."""
    kinds = np.array(["red", "blue", "green", "grey", None], dtype=object)
    numbers = np.nan_to_num(np.asarray(table)[:, 4])
    column = pd.Categorical(
        kinds[np.abs(numbers.astype(int)) % 5], ["red", "blue", "green", "grey"]
    )
    return pd.DataFrame(table[:, :4], columns=list("abcd")).assign(kind=column)


def fitted(model, rows, y, w=None):
    """Return a clone of a model that is fitted, and its objective."""
    model = clone(model).fit(rows, y, **({} if w is None else {"sample_weight": w}))
    return model, adapt(model, rows, y, w)


def raw_predictions(model, rows):
    """Return what scikit-learn predicts before any link, shape (n, K)."""
    if hasattr(model, "decision_function"):
        raw = model.decision_function(rows)
    elif is_classifier(model):
        raw = model.predict_proba(rows)
        raw = np.column_stack(raw) if isinstance(raw, list) else raw
    else:
        raw = model.predict(rows)
        raw = np.log(raw) if getattr(model, "loss", "") in ("poisson", "gamma") else raw
    return np.reshape(raw, (len(raw), -1))


def errors_of_leaves(objective):
    """Return how far every leaf value is from that of its rows, of the largest of its tree."""
    leaves = objective.parameters_of(np.arange(objective.splits.n_leaves))
    errors = np.abs(objective.refitted() - objective.theta)[leaves].max(axis=1)
    sizes = np.abs(np.nan_to_num(objective.theta[leaves])).max(axis=1)
    largest = np.zeros(objective.splits.n_trees)
    np.maximum.at(largest, objective.splits.trees_of_leaves, sizes)
    return errors / np.maximum(largest, 1e-12)[objective.splits.trees_of_leaves]


def walked(model, objective, rows, theta, rate=1.0):
    """Return raw predictions by plain loops where leaves whose value is nan are passed by."""
    K, table = objective.loss.n_outputs, prepared(model, rows)
    boosted = len(theta) != K * objective.splits.n_leaves
    out = np.tile(theta[:K], (len(table), 1)) if boosted else np.zeros((len(table), K))
    first = K if boosted else 0
    trees = trees_of(model)
    for t, tree in enumerate(trees):
        nodes = np.flatnonzero(np.asarray(tree.left) < 0)
        width = 1 if boosted else K
        values = theta[first : first + width * len(nodes)].reshape(-1, width)
        first += width * len(nodes)
        alive = np.ones(len(tree.left), dtype=bool)
        alive[nodes] = ~np.isnan(values[:, 0])
        for node in range(len(alive) - 1, -1, -1):
            if tree.left[node] >= 0:
                alive[node] = alive[tree.left[node]] or alive[tree.right[node]]
        own = values[np.searchsorted(nodes, tree.leaves(table, alive))]
        if boosted:
            out[:, t % K] += rate * own[:, 0]
        else:
            out += own / len(trees)
    return out


def other_values(objective, share, seed=0):
    """Return values of other leaves, a share of which is gone, but for one in every tree."""
    rng = np.random.default_rng(seed)
    theta = objective.theta + 0.1 * rng.standard_normal(objective.n_params)
    splits = objective.splits
    gone = rng.random(splits.n_leaves) < share
    gone[splits.first_leaves[:-1] + rng.integers(np.diff(splits.first_leaves))] = False
    theta[objective.parameters_of(np.flatnonzero(gone))] = np.nan
    return theta


def written(model, objective, theta, rows):
    """Return a copy of a model with other leaf values."""
    copy = deepcopy(model)
    assert not write_parameters(copy, objective.at(theta), rows)
    return pickle.loads(pickle.dumps(copy))


def others_are_refused(model, *others):
    """Rows, targets and weights that the leaf values are not of."""
    for given in others:
        with pytest.raises(ValueError, match="computed again over its splits from the rows"):
            adapt(model, *given)


def shuffled(rows, y, w, n_left_out=9):
    """Return other rows, other targets, and fewer rows, each with the weights of the fit."""
    order, fewer = np.random.default_rng(0).permutation(len(y)), slice(-n_left_out)
    return (rows[order], y, w), (rows, y[order], w), (rows[fewer], y[fewer], w[fewer])
