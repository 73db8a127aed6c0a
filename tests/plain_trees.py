"""Trees, forests and boosting fitted again over the same splits, in plain loops.

Shares no code with the package: splits are read off scikit-learn's nodes, and every row walks down
from the root. A node where no row is left that its tree is fitted on is passed by, so that all rows
go to its sibling.
"""

from collections.abc import Callable
from unittest import mock

import numpy as np
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.ensemble import _gb as gb
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight

GRADIENT = (GradientBoostingClassifier, GradientBoostingRegressor)
HISTOGRAM = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)
BAGGING = (BaggingClassifier, BaggingRegressor)


class Tree:
    """Children and decisions of one tree: `left`, `right` (-1 of leaves) and `goes_left`."""

    def __init__(self, left, right, goes_left):
        self.left, self.right, self.goes_left = left, right, goes_left

    def leaves(self, X, alive=None):
        """Return the leaf of every row; nodes that are not alive are passed by."""
        out = np.zeros(len(X), dtype=int)
        self._walk(X, np.arange(len(X)), 0, alive, out)
        return out

    def _walk(self, X, rows, node, alive, out):
        while self.left[node] >= 0 and len(rows):
            left, right = self.left[node], self.right[node]
            if alive is not None and not alive[left]:
                node = right
            elif alive is not None and not alive[right]:
                node = left
            else:
                goes = self.goes_left(X[rows], node)
                self._walk(X, rows[goes], left, alive, out)
                rows, node = rows[~goes], right
        out[rows] = node

    def alive(self, leaves, used):
        """Return which nodes have rows that are used, given the leaves of all rows."""
        out = np.zeros(len(self.left), dtype=bool)
        for leaf in leaves[used]:
            out[leaf] = True
        for node in range(len(self.left) - 1, -1, -1):  # children come after their parents
            if self.left[node] >= 0:
                out[node] = out[self.left[node]] or out[self.right[node]]
        assert out[0], "no row is left in a tree"
        return out


def tree_of(tree, columns=None):
    """Return a decision tree of scikit-learn; `columns` are those of X that it knows."""

    def goes_left(X, node):
        feature = tree.feature[node]
        x = X[:, feature if columns is None else columns[feature]]
        missing_left = bool(tree.missing_go_to_left[node])
        return np.where(np.isnan(x), missing_left, x <= tree.threshold[node])

    return Tree(tree.children_left, tree.children_right, goes_left)


def tree_of_histograms(predictor, known, places):
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)

    def in_set(bits, values):
        v = values.astype(int)
        return (bits[v // 32] >> (v % 32).astype(np.uint32)) & 1 > 0

    def goes_left(X, node):
        one = nodes[node]
        x = X[:, one["feature_idx"]]
        missing = np.isnan(x)
        if one["is_categorical"]:
            value = np.where(missing | (x < 0), 0, x)
            seen = in_set(known[places[one["feature_idx"]]], value)
            missing = missing | (x < 0) | ~seen
            left = in_set(predictor.raw_left_cat_bitsets[one["bitset_idx"]], value)
        else:
            left = x <= one["num_threshold"]
        return np.where(missing, bool(one["missing_go_to_left"]), left)

    left, right = (np.where(leaf, -1, nodes[side].astype(int)) for side in ("left", "right"))
    return Tree(left, right, goes_left)


def trees_of(estimator):
    """Return the trees, those of a stage one after the other."""
    if isinstance(estimator, HISTOGRAM):
        known, places = estimator._bin_mapper.make_known_categories_bitsets()
        stages = estimator._predictors
        return [tree_of_histograms(each, known, places) for stage in stages for each in stage]
    if isinstance(estimator, GRADIENT):
        return [tree_of(each.tree_) for each in estimator.estimators_.ravel()]
    if isinstance(estimator, BAGGING):
        pairs = zip(estimator.estimators_, estimator.estimators_features_, strict=True)
        return [tree_of(each.tree_, columns) for each, columns in pairs]
    return [tree_of(each.tree_) for each in getattr(estimator, "estimators_", [estimator])]


def prepared(estimator, X):
    """Return features as the splits compare them."""
    if isinstance(estimator, HISTOGRAM):
        return estimator._preprocess_X(X, reset=False)
    return np.asarray(X.toarray() if sparse.issparse(X) else X, dtype=np.float32)


def one_hot(labels, classes):
    return (np.asarray(labels)[:, None] == np.asarray(classes)).astype(float)


def encoded(estimator, y):
    """Return targets as numbers, (n, K): of classes 1 in the column of the class."""
    y = np.asarray(y)
    if not is_classifier(estimator):
        return y.reshape(len(y), -1).astype(float)
    if y.ndim == 2 and y.shape[1] > 1:
        columns = zip(y.T, estimator.classes_, strict=True)
        return np.hstack([one_hot(column, classes) for column, classes in columns])
    return one_hot(y.ravel(), estimator.classes_)


def split_of(estimator, y):
    """Return the rows that boosting was fitted on, in its order, and those that it held out."""
    y, every = np.asarray(y), np.arange(len(y))
    if isinstance(estimator, HISTOGRAM) and estimator.do_early_stopping_:
        seed = estimator._random_seed
    elif isinstance(estimator, GRADIENT) and estimator.n_iter_no_change is not None:
        seed = estimator.random_state
    else:
        return every, every[:0]
    if estimator.validation_fraction is None:
        return every, every[:0]
    return train_test_split(
        every,
        test_size=estimator.validation_fraction,
        stratify=y if is_classifier(estimator) else None,
        random_state=seed,
    )


def masks(estimator, X, y, sample_weight=None):
    """Return the rows of every stage, (n, n_stages), listened for while a clone is fitted again."""
    found, draw = [], gb._random_sample_mask

    def listening(*given):
        found.append(np.array(draw(*given)).astype(bool))
        return found[-1]

    with mock.patch.object(gb, "_random_sample_mask", listening):
        clone(estimator).fit(X, y, sample_weight)
    out = np.zeros((len(y), len(estimator.estimators_)), dtype=bool)
    out[split_of(estimator, y)[0]] = np.array(found[: out.shape[1]]).T
    return out


def weights_and_draws(estimator, X, y, sample_weight=None):
    """Return the weights of rows (n,), and how often every tree counts them (n, n_trees)."""
    n = len(y)
    w = np.ones(n) if sample_weight is None else np.array(sample_weight, dtype=float)
    class_weight = getattr(estimator, "class_weight", None)
    if isinstance(class_weight, dict | list) or class_weight == "balanced":
        w = w * compute_sample_weight(class_weight, y)
    n_trees = len(trees_of(estimator))
    draws = np.ones((n, n_trees))
    if isinstance(estimator, GRADIENT + HISTOGRAM):
        w[split_of(estimator, y)[1]] = 0.0
        if getattr(estimator, "subsample", 1.0) < 1.0:
            own = masks(estimator, X, y, sample_weight)
            draws = np.repeat(own, n_trees // own.shape[1], axis=1).astype(float)
        return w, draws
    if not hasattr(estimator, "estimators_samples_"):
        return w, draws
    drawn = [np.bincount(each, minlength=n) for each in estimator.estimators_samples_]
    draws = np.array(drawn, dtype=float).T
    if class_weight == "balanced_subsample":
        for t, rows in enumerate(estimator.estimators_samples_):
            draws[:, t] *= compute_sample_weight("balanced", y, indices=rows)
    # Sample weights multiply the draws up to scikit-learn 1.7, and make them since.
    features, one = prepared(estimator, X), estimator.estimators_[0].tree_
    leaves = trees_of(estimator)[0].leaves(features)
    for weights in (np.ones(n), w):
        sums = np.bincount(leaves, weights * draws[:, 0], minlength=one.node_count)
        at = one.children_left < 0
        if np.allclose(sums[at], one.weighted_n_node_samples[at], rtol=1e-9):
            return weights, draws
    raise AssertionError("the draws of this forest are not understood")


def refit(
    estimator,
    X,
    y,
    sample_weight=None,
    drawn=None,
    *,
    removed=(),
    added=None,
    relabelled=None,
    reweighted=None,
) -> Callable:
    """Fit every leaf again over the same splits, and return the map from X to raw predictions.

    Weights of classes stay as they were. Raw predictions have the shape (n, K): of forests of
    classifiers they are probabilities, those of several outputs side by side.

    Parameters
    ----------
    estimator : fitted scikit-learn estimator
    X, y, sample_weight
        What it was fitted on.
    drawn : ndarray of shape (n, n_trees) or None
        How often every tree counts a row; None finds out.
    removed : sequence of int
        Rows that leave.
    added : tuple (X, y) or None
        Rows that come, of weight 1, once into every tree.
    relabelled : tuple (rows, y) or None
        Rows with other targets.
    reweighted : ndarray of shape (n,) or None
        What the weights of rows are multiplied by.
    """
    w, draws = weights_and_draws(estimator, X, y, sample_weight)
    draws = draws if drawn is None else np.asarray(drawn, dtype=float)
    features, targets = prepared(estimator, X), encoded(estimator, y)
    w[np.asarray(removed, dtype=int)] = 0.0
    w = w if reweighted is None else w * reweighted
    if relabelled is not None:
        targets[np.asarray(relabelled[0])] = encoded(estimator, relabelled[1])
    if added is not None:
        features = np.concatenate([features, prepared(estimator, added[0])])
        new = encoded(estimator, added[1])
        targets, w = np.concatenate([targets, new]), np.concatenate([w, np.ones(len(new))])
        draws = np.concatenate([draws, np.ones((len(new), draws.shape[1]))])
    fit = boosted if isinstance(estimator, GRADIENT + HISTOGRAM) else averaged
    predict = fit(estimator, features, targets, w, draws)
    return lambda X: predict(prepared(estimator, X))


def averaged(estimator, X, y, w, draws):
    """Return the map from features to the mean of trees whose leaves are means."""
    fitted = []
    for tree, draw in zip(trees_of(estimator), draws.T, strict=True):
        c, leaves, values = w * draw, tree.leaves(X), {}
        for leaf in np.unique(leaves[c > 0]):
            own = (leaves == leaf) & (c > 0)
            values[leaf] = (c[own, None] * y[own]).sum(axis=0) / c[own].sum()
        fitted.append((tree, tree.alive(leaves, c > 0), values))

    def predict(X):
        out = np.zeros((len(X), y.shape[1]))
        for tree, alive, values in fitted:
            out += [values[leaf] for leaf in tree.leaves(X, alive)]
        return out / len(fitted)

    return predict


def start_of(estimator, y, w, K):
    """Return the raw predictions that boosting begins with."""
    if getattr(estimator, "init", None) == "zero":
        return np.zeros(K)
    mean = (w[:, None] * y).sum(axis=0) / w.sum()
    if estimator.loss == "squared_error":
        return mean
    if estimator.loss in ("poisson", "gamma"):
        return np.log(mean)
    if K > 1:
        return np.log(mean) - np.log(mean).mean()
    return np.log(mean[1:] / mean[:1]) / (2 if estimator.loss == "exponential" else 1)


def derivatives(estimator, y, F):
    """Return minus the first and the second derivative of the loss, (n, K) each."""
    if estimator.loss == "squared_error":
        return y - F, np.ones_like(F)
    if estimator.loss == "poisson":
        return y - np.exp(F), np.exp(F)
    if estimator.loss == "gamma":
        return y * np.exp(-F) - 1, y * np.exp(-F)
    if estimator.loss == "exponential":
        s = 2 * y[:, 1:] - 1
        return s * np.exp(-s * F), np.exp(-s * F)
    if F.shape[1] == 1:
        p = 1 / (1 + np.exp(-F))
        return y[:, 1:] - p, p * (1 - p)
    p = np.exp(F - F.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    return y - p, p * (1 - p)


def boosted(estimator, X, y, w, draws):
    """Return the map from features to the raw predictions of boosting."""
    K = estimator.n_trees_per_iteration_
    several = isinstance(estimator, GradientBoostingClassifier) and K > 1
    factor = (K - 1) / K if several else 1.0
    penalty = getattr(estimator, "l2_regularization", 0.0)
    start, rate, trees = start_of(estimator, y, w, K), estimator.learning_rate, trees_of(estimator)
    F, fitted = np.tile(start, (len(X), 1)), []
    for t, tree in enumerate(trees):
        k = t % K
        if k == 0:  # the trees of a stage are steps from the same place
            g, h = derivatives(estimator, y, F)
        c, leaves, values = w * draws[:, t], tree.leaves(X), {}
        for leaf in np.unique(leaves[c > 0]):
            own = (leaves == leaf) & (c > 0)
            below = (c[own] * h[own, k]).sum() + penalty
            if isinstance(estimator, HISTOGRAM) and len(tree.left) == 1:
                below = np.inf  # a tree that found no split is no step
            values[leaf] = factor * (c[own] * g[own, k]).sum() / below if below > 1e-150 else 0.0
        alive = tree.alive(leaves, c > 0)
        fitted.append((k, tree, alive, values))
        F[:, k] += [rate * values[leaf] for leaf in tree.leaves(X, alive)]

    def predict(X):
        out = np.tile(start, (len(X), 1))
        for k, tree, alive, values in fitted:
            out[:, k] += [rate * values[leaf] for leaf in tree.leaves(X, alive)]
        return out

    return predict
