"""The splits of trees: in which leaf a row ends, and where it goes once leaves are gone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class Splits(ABC):
    """The splits of several trees, as an estimator has them; they never change.

    Nodes are numbered through all trees, and so are leaves, in the order of their nodes.

    Attributes
    ----------
    children : ndarray of int, shape (n_nodes, 2)
        Left and right child of every node; -1 and -1 for a leaf.
    roots : ndarray of int, shape (n_trees,)
        The first node of every tree. Children come after their parents.
    """

    children: Array
    roots: Array

    @abstractmethod
    def apply(self, X: Any) -> Array:
        """Return the node where every row ends in every tree, int of shape (n_rows, n_trees)."""

    @abstractmethod
    def descend(self, X: Any, rows: Array, nodes: Array) -> Array:
        """Return the node where each of some rows ends that sets out from a node, (n,).

        Parameters
        ----------
        X : array-like or sparse matrix
        rows, nodes : ndarray of int, shape (n,)
            Row ``X[rows[j]]`` sets out from node ``nodes[j]``.
        """

    @property
    def n_trees(self) -> int:
        return len(self.roots)

    @cached_property
    def leaf_nodes(self) -> Array:
        """The nodes that are leaves, int of shape (n_leaves,)."""
        return np.flatnonzero(self.children[:, 0] < 0)

    @property
    def n_leaves(self) -> int:
        return len(self.leaf_nodes)

    @cached_property
    def leaf_numbers(self) -> Array:
        """The number of the leaf that a node is; that of the next leaf for other nodes."""
        return np.cumsum(self.children[:, 0] < 0) - (self.children[:, 0] < 0)

    @cached_property
    def parents(self) -> Array:
        """The parent of every node, -1 for roots."""
        out = np.full(len(self.children), -1)
        inner = np.flatnonzero(self.children[:, 0] >= 0)
        out[self.children[inner]] = inner[:, None]
        return out

    @cached_property
    def trees_of_leaves(self) -> Array:
        """The tree that each leaf is of."""
        return np.searchsorted(self.roots, self.leaf_nodes, side="right") - 1

    @cached_property
    def first_leaves(self) -> Array:
        """The first leaf of every tree, and behind them the number of leaves, (n_trees + 1,)."""
        return np.append(self.leaf_numbers[self.roots], self.n_leaves)

    def leaves(self, X: Any) -> Array:
        """Return the leaf where every row ends in every tree, int32 of shape (n_rows, n_trees)."""
        return self.leaf_numbers[self.apply(X)].astype(np.int32)

    def siblings(self, nodes: Array) -> Array:
        """Return the other child of the parent of each node; of a root itself."""
        parents = self.parents[nodes]
        left, right = self.children[parents].T
        return np.where(parents < 0, nodes, np.where(left == nodes, right, left))

    def gone_nodes(self, gone: Array) -> Array:
        """Return which nodes have no leaf left below them, where some are gone, (n_nodes,)."""
        out = np.zeros(len(self.children), dtype=bool)
        out[self.leaf_nodes] = gone
        for nodes in reversed(self._levels):
            out[nodes] = out[self.children[nodes]].all(axis=1)
        return out

    @cached_property
    def _levels(self) -> list[Array]:
        """The nodes that are no leaves, of one depth in all trees after the other."""
        levels, nodes = [], self.roots
        while len(nodes := nodes[self.children[nodes, 0] >= 0]):
            levels.append(nodes)
            nodes = self.children[nodes].ravel()
        return levels

    def leaves_below(self, node: int) -> Array:
        """Return the leaves of the subtree of a node."""
        if self.children[node, 0] < 0:
            return self.leaf_numbers[[node]]
        return np.concatenate([self.leaves_below(int(child)) for child in self.children[node]])

    def detours(self, X: Any, rows: Array, leaves: Array, gone: Array) -> Array:
        """Return the leaf where each of some rows ends that was in a leaf now gone, (n,).

        A node with no leaf left is replaced by its sibling, where the row goes on.

        Parameters
        ----------
        X : array-like or sparse matrix
        rows, leaves : ndarray of int, shape (n,)
            Row ``X[rows[j]]`` was in leaf ``leaves[j]``, which is gone.
        gone : ndarray of bool, shape (n_leaves,)
            Not all leaves of a tree.
        """
        gone_nodes, out = self.gone_nodes(gone), leaves.copy()
        if np.any(empty := gone_nodes[self.roots]):
            raise ValueError(
                f"Tree {int(np.argmax(empty))} of {self.n_trees} has no leaf left, and predicts "
                "nothing. Keep some of the rows that it was fitted on."
            )
        lost = np.arange(len(rows))
        while len(lost):
            nodes = self.leaf_nodes[out[lost]]
            climbing = gone_nodes[self.parents[nodes]]
            while np.any(climbing):  # to the highest node that is gone
                nodes = np.where(climbing, self.parents[nodes], nodes)
                climbing = gone_nodes[self.parents[nodes]]
            ends = self.descend(X, rows[lost], self.siblings(nodes))
            out[lost] = self.leaf_numbers[ends]
            lost = lost[gone[out[lost]]]
        return out

    def bypasses(self, X: Any, leaves: Array, lonely: Array, gone: Array) -> Array:
        """Return the leaf where every row would end in every tree were its own leaf gone, too.

        Parameters
        ----------
        X : array-like or sparse matrix
        leaves : ndarray of int, shape (n_rows, n_trees)
            Where they end.
        lonely : ndarray of bool, shape (n_leaves,)
            Leaves that may go; rows in others stay where they are.
        gone : ndarray of bool, shape (n_leaves,)
            Leaves that are gone already.

        Returns
        -------
        ndarray of int32, shape (n_rows, n_trees)
        """
        out = leaves.copy()
        rows, trees = np.nonzero(lonely[leaves])
        if len(rows):
            nodes, gone_nodes = self.leaf_nodes[leaves[rows, trees]], self.gone_nodes(gone)
            while np.any(climbing := gone_nodes[self.siblings(nodes)]):
                nodes = np.where(climbing, self.parents[nodes], nodes)
            out[rows, trees] = self.leaf_numbers[self.descend(X, rows, self.siblings(nodes))]
        return out
