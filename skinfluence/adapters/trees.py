"""What the adapters of trees share: splits, the check of leaf values, and the way back.

A leaf value is a formula over the rows in the leaf, so all of them can be computed again and
compared with what the estimator has. That one check finds other rows, other weights, lost draws,
constraints and losses nobody thought of.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self, TypeVar

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array

from skinfluence.objectives.leaves import LeavesObjective
from skinfluence.objectives.splits import Splits
from skinfluence.typing import Array

TOLERANCE = 1e-6
"""How far leaf values may be from those computed again, of the largest of their tree."""

SINGLE = 1e-2
"""Share of the largest leaf value of all trees below which trees are compared with that: their
values are what is left of gradients that cancel, in single precision."""

DOUBLE = 1e-6
"""The same where gradients are in double precision."""

_ROWS = "_skinfluence_rows"

AnyLeaves = TypeVar("AnyLeaves", bound=LeavesObjective)


# ------------------------------------------------------------------------------------ splits


@dataclass(frozen=True, eq=False)
class TreeSplits(Splits):
    """The splits of scikit-learn's decision trees.

    Attributes
    ----------
    trees : list of estimators
        Fitted decision trees.
    columns : list of ndarray of int, or None
        The features that each tree was given; None is all.
    features : ndarray of int, shape (n_nodes,)
        The feature that a node asks for.
    thresholds : ndarray of shape (n_nodes,)
        FittedRows with a value above it go to the right.
    missing_left : ndarray of bool, shape (n_nodes,)
        Whether rows without a value go to the left.
    """

    trees: list[Any]
    columns: list[Array] | None
    features: Array
    thresholds: Array
    missing_left: Array

    @classmethod
    def of(cls, trees: Iterable[Any], columns: list[Array] | None = None) -> Self:
        """Return the splits of fitted decision trees."""
        trees = list(trees)
        each = [tree.tree_ for tree in trees]
        children = [np.column_stack([t.children_left, t.children_right]) for t in each]
        features = [t.feature for t in each]
        if columns is not None:
            own = zip(columns, features, strict=True)
            features = [np.where(f < 0, f, np.asarray(at)[np.maximum(f, 0)]) for at, f in own]
        return cls(
            *numbered_through(children),
            trees,
            columns,
            np.concatenate(features),
            np.concatenate([t.threshold for t in each]),
            np.concatenate([t.missing_go_to_left for t in each]).astype(bool),
        )

    def apply(self, X: Any) -> Array:
        X = as_trees_see(X)
        columns = [None] * self.n_trees if self.columns is None else self.columns
        ends = [
            tree.apply(X if at is None else X[:, at], check_input=False)
            for tree, at in zip(self.trees, columns, strict=True)
        ]
        return np.column_stack(ends) + self.roots

    def descend(self, X: Any, rows: Array, nodes: Array) -> Array:
        used, rows = np.unique(rows, return_inverse=True)
        X = as_trees_see(X.iloc[used] if hasattr(X, "iloc") else X[used])
        out = nodes.copy()
        going = np.flatnonzero(self.children[out, 0] >= 0)
        while len(going):
            at = out[going]
            values = np.asarray(X[rows[going], self.features[at]]).ravel()
            left = np.where(np.isnan(values), self.missing_left[at], values <= self.thresholds[at])
            out[going] = np.where(left, self.children[at, 0], self.children[at, 1])
            going = going[self.children[out[going], 0] >= 0]
        return out


def numbered_through(children: list[Array]) -> tuple[Array, Array]:
    """Return children and roots of trees one after the other, from the children of each, (n, 2)."""
    ends = np.cumsum([len(own) for own in children])
    roots = np.append(0, ends[:-1])
    shifted = [np.where(c < 0, -1, c + root) for c, root in zip(children, roots, strict=True)]
    return np.concatenate(shifted), roots


def as_trees_see(X: Any) -> Any:
    """Return features in the single precision in which decision trees compare them."""
    return check_array(X, dtype=np.float32, accept_sparse="csr", ensure_all_finite=False)


def precision_of(X: Any) -> Any:
    """Return the precision of scores for features, single only if all of them are."""
    dtypes = set(X.dtypes) if hasattr(X, "dtypes") else {X.dtype}
    return np.float32 if dtypes == {np.dtype(np.float32)} else np.float64


# ------------------------------------------------------------------------------ the rows of a fit


@dataclass(frozen=True, eq=False)
class FittedRows:
    """What the rows that a copy was left with weighed in the fit, and where they were drawn.

    A copy without rows cannot draw this anew: its draws were among all rows.

    Attributes
    ----------
    trees : object
        What the estimator keeps its trees in: another fit has another.
    sample_weight : ndarray of shape (n_samples,)
        Sample weights times class weights, 0 for rows held out.
    draws : ndarray of shape (n_samples, n_trees or n_stages), or None
    weighed : bool
    """

    trees: Any
    sample_weight: Array
    draws: Array | None
    weighed: bool = True


def keep_rows(estimator: Any, rows: FittedRows) -> None:
    """Note on a copy what the rows it was left with were in the fit."""
    setattr(estimator, _ROWS, rows)


def rows_kept(
    estimator: Any, trees: Any, n_draws: int, given: Array, classes: Array | None
) -> FittedRows | None:
    """Return what was noted on a copy; None for an estimator fitted since then, or not a copy.

    Parameters
    ----------
    estimator : estimator
    trees : object
        What it keeps its trees in.
    n_draws : int
        How often rows were drawn, if they were: trees, or stages.
    given : ndarray of shape (n_samples,)
        Sample weights of its rows, as they are given now.
    classes : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        Labels, by which weights may differ besides.

    Raises
    ------
    ValueError
        For another number of rows, or other weights.
    """
    rows: FittedRows | None = getattr(estimator, _ROWS, None)
    if rows is None or rows.trees is not trees:
        return None
    if rows.draws is not None and rows.draws.shape[1] != n_draws:
        return None
    name, n_kept = type(estimator).__name__, len(rows.sample_weight)
    if len(given) != n_kept:
        raise ValueError(
            f"{len(given)} rows were given with a {name} from which rows were deleted; the "
            f"{n_kept} that were left are accepted. Pass those in their order, or fit again."
        )
    if not _alike(rows.sample_weight, given, classes):
        raise ValueError(
            f"Other sample weights or labels were given with a {name} from which rows were deleted "
            "than it was fitted with. Pass those of the rows that were left, or fit again."
        )
    return rows


def _alike(weights: Array, given: Array, classes: Array | None) -> bool:
    """Return whether weights are those given but for a factor of each class, and 0 if held out."""
    codes = np.zeros(len(given), dtype=int)
    if classes is not None:
        codes = np.unique(classes.astype(str), axis=0, return_inverse=True)[1].ravel()
    counted = weights > 0
    if np.any(given[counted] <= 0):
        return False
    ratios, codes = weights[counted] / given[counted], codes[counted]
    least, most = np.full((2, codes.max(initial=0) + 1), np.nan)
    np.fmin.at(least, codes, ratios)
    np.fmax.at(most, codes, ratios)
    return bool(np.all((most <= least * (1 + 1e-9)) | np.isnan(most)))


def has_seed(estimator: Any) -> bool:
    """Return whether what an estimator draws can be drawn again."""
    return isinstance(estimator.random_state, Integral)


def rows_trained_on(n_samples: int, fraction: Any, seed: Any, codes: Array | None) -> Array:
    """Return the rows that early stopping left to train on, in the order of training.

    Parameters
    ----------
    n_samples : int
    fraction : float or int
        Of rows held out.
    seed : int
    codes : ndarray of int or None
        Classes to stratify by.
    """
    rows = np.arange(n_samples)
    kept, _ = train_test_split(rows, test_size=fraction, random_state=seed, stratify=codes)
    return kept


# --------------------------------------------------------------------------------- the check


def largest_error(
    objective: LeavesObjective, floor: float = DOUBLE, rounding: Array | float = 0.0
) -> float:
    """Return how far leaf values are from those of the rows, of the largest of their tree.

    Leaves without rows are left out.

    Parameters
    ----------
    objective : LeavesObjective
    floor : float
        Share of the largest leaf value of all trees that no tree is smaller than.
    rounding : ndarray of shape (n_leaves,)
        Up to which a difference is none.
    """
    leaves = objective.parameters_of(np.arange(objective.splits.n_leaves))
    theta = np.nan_to_num(objective.theta)  # nan of leaves gone before
    errors = np.abs(objective.refitted() - objective.theta)
    own = np.nan_to_num(np.max(errors[leaves], axis=1), nan=np.inf)
    own[(objective.counts == 0) | (own <= rounding)] = 0.0
    first = objective.splits.first_leaves[:-1]
    sizes = np.maximum.reduceat(np.max(np.abs(theta[leaves]), axis=1), first)
    # Leaves that are but the rounding of initial predictions are compared with nothing smaller.
    start = np.max(np.abs(np.delete(theta, leaves.ravel())), initial=0.0)
    sizes = np.maximum(sizes, max(floor * np.max(sizes), DOUBLE * start))
    initial = np.delete(errors, leaves.ravel())
    worst = np.append(np.maximum.reduceat(own, first), np.max(initial, initial=0.0))
    sizes = np.append(sizes, np.max(np.abs(theta)))
    return float(np.max(worst / np.where(sizes > 0, sizes, 1.0)))


def verified(
    name: str,
    candidates: Iterable[AnyLeaves],
    reasons: Callable[[], list[str]],
    error: Callable[[AnyLeaves], float],
) -> AnyLeaves:
    """Return the first objective whose rows have the leaf values that the estimator has.

    Parameters
    ----------
    name : str
        Of the estimator.
    candidates : iterable of LeavesObjective
        What rows, weights and draws may have been.
    reasons : callable
        Returns sentences on what may be the reason if none is right.
    error : callable
        From an objective to the error of it that matters.

    Raises
    ------
    ValueError
        If none has.
    """
    errors = []
    for objective in candidates:
        errors.append(error(objective))
        if errors[-1] <= TOLERANCE:
            return objective
    raise ValueError(
        f"The leaf values of {name}, computed again over its splits from the rows, targets and "
        f"weights given, are off by {min(errors):.1e} of the largest in a tree; {TOLERANCE:.0e} is "
        "accepted. These do not look like the rows, targets or weights it was fitted on. "
        f"{' '.join([*reasons(), 'Pass those in their order, or fit it again here.'])}"
    )


def warm_started(estimator: Any) -> list[str]:
    """Return what may be wrong with an estimator that was fitted in several goes."""
    if not getattr(estimator, "warm_start", False):
        return []
    return [
        "With warm_start=True it may have trees of an earlier fit, on other rows: then use "
        "warm_start=False."
    ]


def refuse_medians(name: str, loss: str, accepted: Collection[str], instead: str) -> None:
    """Refuse losses whose leaves are no means."""
    if loss not in accepted:
        raise ValueError(
            f"{name}(loss={loss!r}) was given; its leaves are medians or quantiles, which a row "
            f"moves by jumps. Use loss={instead}."
        )


def is_constrained(monotonic_cst: Any) -> bool:
    """Return whether monotonic constraints constrain anything."""
    if monotonic_cst is None:
        return False
    values = monotonic_cst.values() if isinstance(monotonic_cst, dict) else monotonic_cst
    return any(value != 0 for value in values)


def refuse_constraints(name: str, monotonic_cst: Any) -> None:
    """Refuse monotonic constraints, which clip leaf values."""
    if is_constrained(monotonic_cst):
        raise ValueError(
            f"{name}(monotonic_cst={monotonic_cst!r}) was given; its leaf values are clipped to "
            "those of other leaves, and are no function of their own rows. Use "
            "monotonic_cst=None."
        )


# -------------------------------------------------------------------------------- the way back


def dead_ends(splits: Splits, gone: Array) -> tuple[Array, Array]:
    """Return the nodes that have no leaf left on the left, and those that have none on the right.

    Raises
    ------
    ValueError
        If a tree has no leaf left.
    """
    gone_nodes = splits.gone_nodes(gone)
    if np.any(gone_nodes[splits.roots]):
        empty = np.flatnonzero(gone_nodes[splits.roots])
        raise ValueError(
            f"Without these rows {len(empty)} tree(s) have no rows left, the first tree "
            f"{empty[0]}: they predict nothing. Keep some of the rows."
        )
    inner = np.flatnonzero((splits.children[:, 0] >= 0) & ~gone_nodes)
    left, right = gone_nodes[splits.children[inner]].T
    return inner[left], inner[right]


def tree_and_node(splits: Splits, nodes: Array) -> tuple[Array, Array]:
    """Return the tree of each node, and its number there."""
    trees = np.searchsorted(splits.roots, nodes, side="right") - 1
    return trees, nodes - splits.roots[trees]


def gone_leaves(objective: LeavesObjective) -> Array:
    """Return which leaves have no value, bool of shape (n_leaves,)."""
    leaves = objective.parameters_of(np.arange(objective.splits.n_leaves))
    return np.any(np.isnan(objective.theta[leaves]), axis=1)


@dataclass(frozen=True)
class Places:
    """Where the values of a leaf are in ``tree_.value`` of a decision tree.

    Attributes
    ----------
    values : ndarray of int
        Which of the values of a leaf; others are 0, of classes that the tree does not know.
    outputs, classes : ndarray of int
        In ``tree_.value[node, output, class]``.
    """

    values: Array
    outputs: Array
    classes: Array

    @classmethod
    def of(cls, tree: Any) -> Self:
        """Return those of a tree that has all values, output after output."""
        widths = np.ravel(getattr(tree, "n_classes_", np.ones(tree.n_outputs_, dtype=int)))
        each = [np.arange(width) for width in widths]
        outputs = np.repeat(np.arange(len(widths)), widths)
        return cls(np.arange(len(outputs)), outputs, np.concatenate(each))


def values_of(trees: list[Any], places: list[Places], width: int) -> Array:
    """Return the values of all leaves of fitted decision trees, shape (n_leaves, width)."""
    each = []
    for tree, place in zip(trees, places, strict=True):
        leaves = np.flatnonzero(tree.tree_.children_left < 0)
        own = np.zeros((len(leaves), width))
        own[:, place.values] = tree.tree_.value[leaves[:, None], place.outputs, place.classes]
        each.append(own)
    return np.concatenate(each)


def write_values(trees: list[Any], places: list[Places], objective: LeavesObjective) -> None:
    """Write leaf values into fitted decision trees; close the ways to leaves that are gone (nan).

    Parameters
    ----------
    trees : list of estimators
        Decision trees with the splits of the objective.
    places : list of Places
    objective : LeavesObjective
    """
    splits, gone = objective.splits, gone_leaves(objective)
    closed = dead_ends(splits, gone)
    values = objective.theta[objective.parameters_of(np.arange(splits.n_leaves))]
    for t, (tree, place) in enumerate(zip(trees, places, strict=True)):
        at = slice(*splits.first_leaves[t : t + 2].tolist())
        nodes = splits.leaf_nodes[at] - splits.roots[t]
        own = values[at][:, place.values]
        tree.tree_.value[nodes[:, None], place.outputs, place.classes] = own
    for nodes, threshold in zip(closed, (-np.inf, np.inf), strict=True):
        for t, node in zip(*tree_and_node(splits, nodes), strict=True):
            trees[t].tree_.threshold[node] = threshold
            trees[t].tree_.missing_go_to_left[node] = threshold > 0
