"""The judge of trees over the same splits: all leaves computed again without some rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, softmax

from skinfluence.process.progress import counted
from skinfluence.typing import Array

Descend = Callable[[Array, Array], Array]
"""From rows, and a node that each sets out from, to the nodes where they end."""


@dataclass(frozen=True, eq=False)
class RowsInTrees:
    """Where some rows end in every tree, and how to find out where else they would.

    Attributes
    ----------
    ends : ndarray of int, shape (n_rows, n_trees)
        The node where each row ends in each tree.
    descend : callable
        From (rows, nodes), int of shape (m,), to the node where each of these rows ends that sets
        out from a node, (m,).
    """

    ends: Array
    descend: Descend


@dataclass(frozen=True, eq=False)
class FrozenTrees:
    """Trees whose splits stay, and what their leaves are computed from.

    Attributes
    ----------
    kind : str
        "mean" of trees whose leaves average the targets; otherwise the loss that boosted trees
        minimise: "squared", "logistic", "classes", "exponential", "poisson" or "gamma".
    children : ndarray of int, shape (n_nodes, 2)
        Left and right child of every node, -1 and -1 of leaves; numbered through all trees.
    roots : ndarray of int, shape (n_trees,)
        The first node of every tree.
    train, test : RowsInTrees
    y : ndarray of shape (n_train, n_outputs)
        Numbers; of "logistic" 0 and 1, of "exponential" -1 and 1, of "classes" and of forests of
        classifiers 1 in the column of the class.
    weights : ndarray of shape (n_train,)
        Of the rows; 0 of those that were held out.
    uses : ndarray of shape (n_train, n_trees) or None
        How often each tree counts a row: draws, masks. None is once.
    rate, factor : float
        A leaf of boosted trees adds rate * factor * sum w g / (sum w h + penalty).
    penalty : ndarray of shape (n_nodes,) or None
        Of each leaf; infinite where its value is 0 whatever its rows. None is 0.
    centred : bool
        Boosting sets out from the best constant, otherwise from 0.
    """

    kind: str
    children: Array
    roots: Array
    train: RowsInTrees
    test: RowsInTrees
    y: Array
    weights: Array
    uses: Array | None = None
    rate: float = 1.0
    factor: float = 1.0
    penalty: Array | None = None
    centred: bool = True

    @cached_property
    def parents(self) -> Array:
        """The parent of every node, -1 of roots."""
        parents = np.full(len(self.children), -1)
        for node in np.flatnonzero(self.children[:, 0] >= 0):
            parents[self.children[node]] = node
        return parents

    def weights_in(self, tree: int) -> Array:
        """Return the weight of every training row in a tree before any leaves, (n_train,)."""
        return self.weights if self.uses is None else self.weights * self.uses[:, tree]

    def nodes_of(self, tree: int) -> slice:
        """Return which nodes are those of a tree."""
        last = tree + 1 == len(self.roots)
        return slice(self.roots[tree], len(self.children) if last else self.roots[tree + 1])


def refit_leaves(trees: FrozenTrees, removed: list[Array]) -> Array:
    """Compute all leaves again without each set of rows, and predict the test rows.

    A leaf, or a subtree, that no row is left in is replaced by its sibling, where all rows go on.
    An empty set is the full fit.

    Parameters
    ----------
    trees : FrozenTrees
    removed : list of ndarray of int

    Returns
    -------
    ndarray of shape (n_sets, n_test, n_outputs)
        Raw predictions.
    """
    n, what = len(removed), f"{len(removed):,} fits of the leaves of {len(trees.roots):,} trees"
    fits = (_without(trees, rows) for rows in removed)
    return np.stack([*counted(fits, what, n, size=lambda _: 1, unit="fits")])


def _without(trees: FrozenTrees, rows: Array) -> Array:
    stays = np.ones(len(trees.y))
    stays[rows] = 0.0
    return (_averaged if trees.kind == "mean" else _boosted)(trees, stays)


def _averaged(trees: FrozenTrees, stays: Array) -> Array:
    """Return the mean of trees whose leaves are the weighted means of their rows."""
    total = np.zeros((len(trees.test.ends), trees.y.shape[1]))
    for tree in range(len(trees.roots)):
        c, at = trees.weights_in(tree) * stays, trees.nodes_of(tree)
        counts, (weight, *sums) = _per_node(trees, tree, c, [np.ones_like(c), *trees.y.T])
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.array(sums).T / weight[:, None]
        total += values[_arrivals(trees, trees.test, tree, counts) - at.start]
    return total / len(trees.roots)


def _boosted(trees: FrozenTrees, stays: Array) -> Array:
    """Return the predictions of trees each of which is fitted on what those before have left."""
    start = _best_constant(trees.kind, trees.y, trees.weights * stays)
    start = start if trees.centred else np.zeros_like(start)
    F, F_test = (np.tile(start, (len(rows.ends), 1)) for rows in (trees.train, trees.test))
    K = len(start)
    for tree in range(len(trees.roots)):
        output = tree % K
        if output == 0:  # the trees of a stage set out from the same predictions
            g, h = _derivatives(trees.kind, trees.y, F)
        c, at = trees.weights_in(tree) * stays, trees.nodes_of(tree)
        counts, (above, below) = _per_node(trees, tree, c, [g[:, output], h[:, output]])
        if trees.penalty is not None:
            below += trees.penalty[at]
        steep = below > TINY
        values = np.where(steep, trees.factor * above / np.where(steep, below, 1.0), 0.0)
        for rows, raw in ((trees.train, F), (trees.test, F_test)):
            raw[:, output] += trees.rate * values[_arrivals(trees, rows, tree, counts) - at.start]
    return F_test


TINY = 1e-150
"""Sum of second derivatives up to which scikit-learn gives a leaf the value 0."""


def _per_node(
    trees: FrozenTrees, tree: int, c: Array, values: list[Array]
) -> tuple[Array, list[Array]]:
    """Return how many rows with a weight end in each node of a tree, and weighted sums of values.

    Parameters
    ----------
    c : ndarray of shape (n_train,)
        The weights of the rows.
    values : list of ndarray of shape (n_train,)
    """
    at = trees.nodes_of(tree)
    ends, size = trees.train.ends[:, tree] - at.start, at.stop - at.start
    counts = np.bincount(ends[c > 0], minlength=size)
    return counts, [np.bincount(ends, c * each, minlength=size) for each in values]


def _arrivals(trees: FrozenTrees, rows: RowsInTrees, tree: int, counts: Array) -> Array:
    """Return the node where every row ends in a tree, given how many rows each leaf has left."""
    ends, first = rows.ends[:, tree].copy(), trees.nodes_of(tree).start
    lost = np.flatnonzero(counts[ends - first] == 0)
    while len(lost):
        for leaf in np.unique(ends[lost]):
            here = lost[ends[lost] == leaf]
            onwards = _sibling_with_rows(trees, int(leaf), first, counts)
            ends[here] = rows.descend(here, np.full(len(here), onwards))
        lost = lost[counts[ends[lost] - first] == 0]
    return ends


def _sibling_with_rows(trees: FrozenTrees, node: int, first: int, counts: Array) -> int:
    """Return the sibling of the highest node above (or this one) that no row is left in."""
    while (parent := int(trees.parents[node])) >= 0:
        left, right = trees.children[parent].tolist()
        sibling = right if left == node else left
        if _has_rows(trees, sibling, first, counts):
            return sibling
        node = parent
    raise ValueError(
        "All rows that a tree was fitted on were removed, and nothing is left of it. Remove fewer "
        "rows."
    )


def _has_rows(trees: FrozenTrees, node: int, first: int, counts: Array) -> bool:
    below = [node]
    while below:
        node = below.pop()
        if trees.children[node, 0] >= 0:
            below.extend(trees.children[node].tolist())
        elif counts[node - first] > 0:
            return True
    return False


def _best_constant(kind: str, y: Array, w: Array) -> Array:
    """Return the constant raw predictions that are best for all rows, shape (n_outputs,)."""
    mean = w @ y / np.sum(w)
    if kind == "logistic":
        return np.log(mean / (1.0 - mean))
    if kind == "exponential":  # the mean of -1 and 1
        return 0.5 * np.log((1.0 + mean) / (1.0 - mean))
    if kind == "classes":
        return np.log(mean) - np.mean(np.log(mean))
    return mean if kind == "squared" else np.log(mean)


def _derivatives(kind: str, y: Array, F: Array) -> tuple[Array, Array]:
    """Return minus the first derivatives of the losses, and the second, (n_train, n_outputs)."""
    if kind == "squared":
        return y - F, np.ones_like(F)
    if kind == "exponential":
        return y * np.exp(-y * F), np.exp(-y * F)
    if kind == "poisson":
        return y - np.exp(F), np.exp(F)
    if kind == "gamma":
        return y * np.exp(-F) - 1.0, y * np.exp(-F)
    p = expit(F) if kind == "logistic" else softmax(F, axis=1)
    return y - p, p * (1.0 - p)
