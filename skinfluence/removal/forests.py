"""Edits of the rows of trees that average them, alone or in a forest: leaves averaged anew.

An edit moves the leaves where its row is, one in each tree that drew it, and no others. With C the
weight of a leaf, v its value, and c the weight there of the row that leaves (or comes, with c < 0)

    v' - v = -c (y - v) / (C - c),      to first order -c (y - v) / C.

A leaf whose only row leaves is gone: who ended there goes on to its sibling.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.objectives.forests import ForestObjective
from skinfluence.process.blocks import row_blocks
from skinfluence.process.row_names import named_rows
from skinfluence.process.warnings import warn
from skinfluence.removal.base import Counterfactuals, ProjectedEdits
from skinfluence.removal.edits import Edits, Rows
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class LeafEdits(ProjectedEdits):
    """Edits of one row each.

    Parameters
    ----------
    edits : Edits
    method : str
        "first_order" is the derivative; everything else is exact.
    """

    edits: Edits
    method: str = "exact"

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return self.method == "first_order"

    @property
    def objective(self) -> ForestObjective:
        assert isinstance(self.edits.base, ForestObjective)
        return self.edits.base

    @property
    def features(self) -> ForestObjective:
        assert isinstance(self.edits.features, ForestObjective)
        return self.edits.features

    @property
    def n_edits(self) -> int:
        return self.edits.n_edits

    def blocks(self, width: int, among: Array | None = None) -> Iterator[tuple[int, Rows]]:
        n_values = self.features.leaves.shape[1] * self.objective.loss.n_outputs
        n_edits = self.n_edits if among is None else len(among)
        for index in row_blocks(n_edits, max(width, n_values)):
            yield 0, index if among is None else among[index]

    def leaf_changes(self, rows: Rows) -> tuple[Array, Array, Array]:
        """Return (leaves, changes, gone) of some edits: (m, T), (m, T, K) and (m, T).

        Where a leaf is gone its change is 0.
        """
        base, leaves = self.objective, self.features.leaves[rows]
        v = base.values[leaves]
        rise = np.zeros_like(v)
        C = base.totals[leaves]
        gone = np.zeros(leaves.shape, dtype=bool)
        for sign, part in self.edits.parts(rows):
            assert isinstance(part, ForestObjective)
            c = part.tree_weights()
            rise -= sign * c[:, :, None] * (part.targets[:, None] - v)
            if not self.linear:
                C = C - sign * c
                gone = (base.counts[leaves] == 1) & (c > 0) if sign > 0 else gone & (c == 0)
        kept = (C > 0) & ~gone
        rise = np.divide(rise, C[:, :, None], out=np.zeros_like(rise), where=kept[:, :, None])
        return leaves, rise, gone

    def sparse_changes(self, rows: Rows) -> tuple[Any, Any]:
        """Return the changes of the parameters, and the leaves that are gone, by some edits.

        CSC matrices of shape (n_params, m) and (n_leaves, m).
        """
        base = self.objective
        leaves, rise, gone = self.leaf_changes(rows)
        m = len(leaves)
        index = base.parameters_of(leaves).reshape(m, -1)
        ends = np.arange(m + 1) * index.shape[1]
        D = sparse.csc_matrix((rise.ravel(), index.ravel(), ends), shape=(base.n_params, m))
        D.eliminate_zeros()
        edit, tree = np.nonzero(gone)
        at = leaves[edit, tree], edit
        G = sparse.csc_matrix((np.ones(len(edit)), at), shape=(base.splits.n_leaves, m))
        return D, G

    def changes(self, rows: Array) -> Array:
        D, G = self.sparse_changes(rows)
        out: Array = D.toarray()
        leaves, edits = G.nonzero()
        out[self.objective.parameters_of(leaves), edits[:, None]] = np.nan
        return out

    def own_predictions(self, n_jobs: int | None = None) -> Array:
        base, features = self.objective, self.features
        out = np.empty((self.n_edits, base.loss.n_outputs))
        for _, rows in self.blocks(1):
            leaves, rise, gone = self.leaf_changes(rows)
            part = features.rows(rows)
            edit, tree = np.nonzero(gone)
            ends = self._ends(part)[edit, tree]
            rise[edit, tree] = base.values[ends] - base.values[leaves[edit, tree]]
            out[rows] = rise.mean(axis=1)
        return out

    @cached_property
    def lonely(self) -> Array:
        """Leaves of one row, which may be gone, (n_leaves,)."""
        return self.objective.counts == 1

    def _ends(self, part: ForestObjective) -> Array:
        """Return where rows end whose own leaf is gone, (n_rows, n_trees)."""
        base = self.objective
        return part.splits.bypasses(part.X, part.leaves, self.lonely, base.gone)

    def project(self, U: Array) -> list[Any]:
        return [sparse.csr_matrix(U)]

    def project_gradients(self, test: Any, B: Array) -> list[Any]:
        columns = self._of_leaves(
            test, np.broadcast_to(B[:, None], (*test.leaves.shape, B.shape[1]))
        )
        return [sum(columns).T.tocsr()]

    def project_predictions(self, test: Any) -> list[Any]:
        """Return two lists of matrices, one for each output, that meet changes and lost leaves.

        Of shape (n_test, n_params), the mean over trees, and (n_test, n_leaves), what a test row
        gains by going on from its leaf.
        """
        ones = np.ones((*test.leaves.shape, self.objective.loss.n_outputs))
        values = self.objective.values
        gains = values[self._ends(test)] - values[test.leaves]
        return [(self._of_leaves(test, ones), self._of_leaves(test, gains, of_params=False))]

    def _of_leaves(self, test: Any, values: Array, *, of_params: bool = True) -> list[Any]:
        """Return a matrix for each output with values (n_test, T, K) over T where rows end."""
        base, (n_test, n_trees) = self.objective, test.leaves.shape
        ends = np.arange(n_test + 1) * n_trees
        index = base.parameters_of(test.leaves)
        width = base.n_params if of_params else base.splits.n_leaves
        out = []
        for k in range(values.shape[2]):
            at = index[:, :, k] if of_params else test.leaves
            entries = values[:, :, k].ravel() / n_trees, at.ravel(), ends
            matrix = sparse.csr_matrix(entries, shape=(n_test, width), copy=True)
            matrix.eliminate_zeros()  # in place, and places are shared by outputs
            out.append(matrix)
        return out

    def along(self, projection: Any, rows: Rows, out: Array | None = None) -> Array:
        found: Array = (self.sparse_changes(rows)[0].T @ projection).toarray()
        if out is None:
            return found
        out[...] = found
        return out

    def prediction_changes(self, projection: Any, test: Any, rows: Rows) -> Array:
        D, G = self.sparse_changes(rows)
        means, gains = projection
        D, G = D.tocsr(), G.tocsr()
        each = [(J @ D + gain @ G).toarray() for J, gain in zip(means, gains, strict=True)]
        return np.stack(each, axis=-1)


@dataclass(frozen=True, eq=False)
class LeafGroups(Counterfactuals):
    """Groups that leave, or come back with other targets.

    Parameters
    ----------
    base : ForestObjective
    masks : CSR matrix of bool, shape (n_groups, n_train)
    names : ndarray of shape (n_groups,) or None
    method : str
        "first_order" is the derivative; everything else is exact.
    coming : ForestObjective or None
        The training rows with the targets with which those of a group come back.
    """

    base: ForestObjective
    masks: Any
    names: Array | None
    method: str = "exact"
    coming: ForestObjective | None = None

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return self.method == "first_order"

    @property
    def objective(self) -> ForestObjective:
        return self.base

    @property
    def n_edits(self) -> int:
        return int(self.masks.shape[0])

    def changes(self, rows: Array) -> Array:
        return np.stack([self._change(int(i)) for i in rows], axis=1)

    def _change(self, i: int) -> Array:
        base, rows = self.base, self.masks[[i]].indices
        leaving = base.rows(rows)
        C, S = leaving.sums()
        counts = base.counts - leaving.counts
        if self.coming is not None:
            coming = self.coming.rows(rows)
            C_coming, S_coming = coming.sums()
            C, S, counts = C - C_coming, S - S_coming, counts + coming.counts
        rise = C[:, None] * base.values - S
        if self.linear:
            left = np.where(base.totals > 0, base.totals, np.inf)
            return (rise / left[:, None]).ravel()
        emptied = (counts == 0) & (base.counts > 0)
        refuse_empty_trees(base, counts, i, self.names)
        left = np.where(counts > 0, base.totals - C, np.inf)
        rise /= left[:, None]
        rise[emptied] = np.nan
        return rise.ravel()


@dataclass(frozen=True, eq=False)
class OutOfBag(Counterfactuals):
    """Every training row by the trees that did not draw it, which were grown without it.

    Parameters
    ----------
    base : ForestObjective
    """

    base: ForestObjective
    method = "out_of_bag"

    @property
    def objective(self) -> ForestObjective:
        return self.base

    @property
    def n_edits(self) -> int:
        return self.base.n_samples

    def changes(self, rows: Array) -> Array:
        raise ValueError(
            "method='out_of_bag' was asked for, which knows the prediction of a training row "
            "without itself, by trees that did not draw it, and nothing else: leave_one_out() and "
            "self_influence() accept it. Use method='exact' here."
        )

    def own_predictions(self, n_jobs: int | None = None) -> Array:
        base, n_trees = self.base, self.base.splits.n_trees
        out = base.tree_weights() == 0
        total = np.zeros((base.n_samples, base.loss.n_outputs))
        for t in range(n_trees):
            total += out[:, t, None] * base.values[base.leaves[:, t]]
        n_out = out.sum(axis=1)
        if never := np.flatnonzero(n_out == 0).tolist():
            warn(
                f"{len(never)} row(s) were drawn by every one of the {n_trees} trees, and have no "
                f"out-of-bag prediction (nan): {named_rows(np.array(never))}. Grow more trees, or "
                "pass method='exact', over the same splits.",
                UserWarning,
            )
        means = total / np.where(n_out > 0, n_out, np.nan)[:, None]
        return means - base.raw_predictions()


def refuse_empty_trees(base: Any, counts: Array, i: int, names: Array | None) -> None:
    """Refuse a group without which a tree has no rows left.

    Parameters
    ----------
    base : LeavesObjective
    counts : ndarray of int, shape (n_leaves,)
        Rows that are left in every leaf.
    i : int
        Number of the group.
    names : ndarray or None
        Of all groups.
    """
    left = np.add.reduceat(counts, base.splits.first_leaves[:-1])
    before = np.add.reduceat(base.counts, base.splits.first_leaves[:-1])
    if np.any(empty := (left == 0) & (before > 0)):
        what = "these rows" if names is None else f"group {names.tolist()[i]!r}"
        raise ValueError(
            f"Without {what} tree {int(np.argmax(empty))} of {base.splits.n_trees} has no training "
            "row left (it was fitted on these alone), and predicts nothing. Keep some of them, or "
            "fit again without them."
        )


def refuse_lone_rows(base: Any) -> None:
    """Refuse to let rows leave one by one where a tree was fitted on one row alone.

    Parameters
    ----------
    base : LeavesObjective
    """
    n_rows = np.add.reduceat(base.counts, base.splits.first_leaves[:-1])
    if np.any(alone := n_rows == 1):
        raise ValueError(
            f"Tree {int(np.argmax(alone))} of {base.splits.n_trees} was fitted on one row alone, "
            "and predicts nothing without it. Fit trees on more rows (max_samples, subsample), or "
            "pass method='first_order'."
        )


def leaf_weights(base: ForestObjective, test: ForestObjective) -> Array:
    """Return the weight of every training row in every prediction, shape (n_test, n_train)."""
    c, n_leaves = base.tree_weights(), base.splits.n_leaves
    shares = np.divide(c, base.totals[base.leaves], out=np.zeros(c.shape), where=c > 0)
    of_rows, of_tests = (
        sparse.csr_matrix(
            (values.ravel(), each.leaves.ravel(), np.arange(len(values) + 1) * values.shape[1]),
            shape=(len(values), n_leaves),
        )
        for each, values in ((base, shares), (test, np.ones(test.leaves.shape)))
    )
    out: Array = (of_tests @ of_rows.T.tocsr()).toarray()
    return out / base.splits.n_trees
