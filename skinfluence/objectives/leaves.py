"""Ensembles of trees whose splits stay as they are: the parameters are the values of the leaves."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy import sparse

from skinfluence.losses import Loss
from skinfluence.objectives.base import OutputObjective
from skinfluence.objectives.splits import Splits
from skinfluence.objectives.weighting import Fixed, Weighting
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class LeavesObjective(OutputObjective):
    """Rows in the leaves of trees; raw predictions are linear in the values of the leaves.

    A leaf without rows is no leaf: nan in place of its value, or of the change of it, says that it
    is gone, and rows that ended there go on to its sibling.

    Parameters
    ----------
    loss : Loss
        Of test rows, and of boosted trees what they minimise.
    splits : Splits
    X : array-like or sparse matrix
        The features of the rows.
    leaves : ndarray of int, shape (n_samples, n_trees)
        The leaf where each row ends in each tree.
    y : ndarray or None
        Encoded targets.
    theta : ndarray of shape (n_params,)
        Values of the leaves, as the estimator has them.
    sample_weight : ndarray of shape (n_samples,)
    precision : dtype
        Of the scores.
    """

    loss: Loss
    splits: Splits
    X: Any
    leaves: Array
    y: Array | None
    theta: Array
    sample_weight: Array
    precision: Any = np.float64
    kind = "trees"

    @abstractmethod
    def paths(self) -> Iterator[tuple[int, Array, float]]:
        """Yield (output, parameters, weight): the terms whose sum is the raw prediction.

        Output k of row i has a term weight * theta[parameters[i]].
        """

    def parameter_names(
        self, features: Sequence[str], outputs: Sequence[str], positions: Array
    ) -> list[tuple[str, str]]:
        names, several = [], self.loss.n_outputs > 1
        for leaf, output, tree in np.stack(self.places_of(positions), axis=1).tolist():
            name = "initial prediction"
            if leaf >= 0:
                node = self.splits.leaf_nodes[leaf]
                node -= self.splits.roots[self.splits.trees_of_leaves[leaf]]
                name = f"tree {tree}, node {node}"
            names.append((outputs[output] if several else "", name))
        return names

    @abstractmethod
    def places_of(self, positions: Array) -> tuple[Array, Array, Array]:
        """Return the leaf, the output and the tree of that output of some parameters, (n,) each.

        Leaf -1 is none.
        """

    @abstractmethod
    def refitted(self) -> Array:
        """Return what the values of the leaves are for these rows, nan for leaves without any."""

    @abstractmethod
    def parameters_of(self, leaves: Array) -> Array:
        """Return the parameters that are values of some leaves, shape (..., one for each value)."""

    @property
    def weighting(self) -> Fixed:  # type: ignore[override]
        return Fixed(self.n_samples)

    @property
    def l2(self) -> Array:  # type: ignore[override]
        return np.zeros_like(self.theta)

    @property
    def dtype(self) -> Any:
        return np.dtype(self.precision)

    def at(self, theta: Array) -> Self:
        return replace(self, theta=theta)

    def under(self, loss: Loss) -> Self:
        return replace(self, loss=loss)

    def with_weights(self, sample_weight: Array, weighting: Weighting | None = None) -> Self:
        """Return the objective with other weights; those of other rows never move."""
        return replace(self, sample_weight=sample_weight)

    def on(self, X: Any, y: Any | None = None) -> Self:
        X = as_table(X)
        return replace(
            self,
            X=X,
            leaves=self.splits.leaves(X),
            y=None if y is None else self.loss.encode(y),
            sample_weight=np.ones(X.shape[0]),
        )

    def rows(self, index: slice | Array) -> Self:
        return replace(
            self,
            X=self.X.iloc[index] if hasattr(self.X, "iloc") else self.X[index],
            leaves=self.leaves[index],
            y=None if self.y is None else self.y[index],
            sample_weight=self.sample_weight[index],
        )

    def raw_predictions(self) -> Array:
        return self.jacobian_dot(self.theta[:, None])[:, :, 0]

    def jacobian_dot(self, V: Array) -> Array:
        out = np.zeros((self.n_samples, self.loss.n_outputs, V.shape[1]))
        for k, index, weight in self.paths():
            out[:, k] += weight * V[index]
        return out

    def jacobian_t_dot(self, B: Array) -> Array:
        out = np.zeros((self.n_params, B.shape[2]))
        for k, index, weight in self.paths():
            out += weight * (indicator(index, self.n_params) @ B[:, k])
        return out

    def jacobian_t_rows(self, B: Array) -> Array:
        out, every = np.zeros((self.n_params, self.n_samples)), np.arange(self.n_samples)
        for k, index, weight in self.paths():
            out[index, every] += weight * B[:, k]
        return out

    def prediction_changes(self, D: Array) -> Array:
        gone = np.isnan(D)
        if not np.any(gone):
            return self.jacobian_dot(D).transpose(0, 2, 1)
        out = self.jacobian_dot(np.where(gone, 0.0, D)).transpose(0, 2, 1)
        for j in np.flatnonzero(gone.any(axis=0)):
            rows, trees, ends = self.detours(gone[:, j])
            out[:, j] += self.shifts(rows, trees, ends, D[:, j])
        return out

    def detours(self, gone: Array) -> tuple[Array, Array, Array]:
        """Return (rows, trees, leaves): where rows end whose leaf is gone, in which tree.

        Parameters
        ----------
        gone : ndarray of bool, shape (n_params,)
        """
        gone_leaves = self.gone | self._any_of_leaves(gone)
        rows, trees = np.nonzero(gone_leaves[self.leaves])
        ends = self.splits.detours(self.X, rows, self.leaves[rows, trees], gone_leaves)
        return rows, trees, ends

    def has_no_optimum(self) -> bool:
        return False

    @cached_property
    def gone(self) -> Array:
        """Which leaves are gone already, bool of shape (n_leaves,); no row ends there."""
        return self._any_of_leaves(np.isnan(self.theta))

    def _any_of_leaves(self, gone: Array) -> Array:
        """Return of which leaves any parameter is gone, bool of shape (n_leaves,)."""
        out: Array = np.any(gone[self.parameters_of(np.arange(self.splits.n_leaves))], axis=-1)
        return out

    @abstractmethod
    def shifts(self, rows: Array, trees: Array, ends: Array, change: Array) -> Array:
        """Return what detours add to raw predictions, shape (n_samples, K).

        Row ``rows[j]`` ends in leaf ``ends[j]`` of ``trees[j]``, whose values moved by `change`,
        instead of its own, which counts as unmoved.
        """

    def replaced(self, change: Array) -> Array:
        """Return the changes of all parameters, of leaves that are gone to what replaces them.

        That is the mean of the leaves of the sibling that are left, each as often as it has rows.

        Parameters
        ----------
        change : ndarray of shape (n_params,)
        """
        splits, out = self.splits, change.copy()
        places = self.parameters_of(np.arange(splits.n_leaves))
        going = self._any_of_leaves(np.isnan(change))
        gone = going | self.gone
        gone_nodes, moved = splits.gone_nodes(gone), self.theta + change
        for leaf in np.flatnonzero(going):
            node = int(splits.leaf_nodes[leaf])
            while gone_nodes[splits.parents[node]]:
                node = int(splits.parents[node])
            below = splits.leaves_below(int(splits.siblings(np.array([node]))[0]))
            below = below[~gone[below]]
            weights = np.maximum(self.counts[below], 1e-300)
            mean = np.average(moved[places[below]], axis=0, weights=weights)
            out[places[leaf]] = mean - self.theta[places[leaf]]
        return out

    @property
    @abstractmethod
    def counts(self) -> Array:
        """How many rows that weigh something each leaf was fitted on, int of shape (n_leaves,)."""

    @abstractmethod
    def as_drawn(self, rows: Any) -> Self:
        """Return rows that take the places of these, drawn as these were."""

    def own_prediction_changes(self, D: Array) -> Array:
        gone = np.isnan(D)
        kept = np.where(gone, 0.0, D) if np.any(gone) else D
        out, every = np.zeros((self.n_samples, self.loss.n_outputs)), np.arange(self.n_samples)
        for k, index, weight in self.paths():
            out[:, k] += weight * kept[index, every]
        for i in np.flatnonzero(gone.any(axis=0)):
            part = self.rows(np.array([i]))
            out[i] += part.shifts(*part.detours(gone[:, i]), D[:, i])[0]
        return out


def as_table(X: Any) -> Any:
    """Return features as a frame, an array or a CSR matrix, of which rows can be taken."""
    if sparse.issparse(X):
        return X.tocsr()
    return X if hasattr(X, "shape") else np.asarray(X)


def indicator(
    index: Array, n_rows: int, values: Array | None = None, dtype: Any = np.float64
) -> Any:
    """Return the CSR matrix that sums over columns with the same index, (n_rows, n_columns).

    Parameters
    ----------
    index : ndarray of int, shape (n_columns,)
    n_rows : int
    values : ndarray of shape (n_columns,), optional
        Weights of the columns; 1 by default.
    dtype : dtype
    """
    values = np.ones(len(index)) if values is None else values
    ends = np.arange(len(index) + 1)
    entries = values.astype(dtype, copy=False), index, ends
    return sparse.csc_matrix(entries, shape=(n_rows, len(index))).tocsr()
