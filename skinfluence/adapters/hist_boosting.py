"""Adapters of histogram gradient boosting.

scikit-learn shows neither its trees nor where rows end, so this is the one file that reads private
attributes, ``_predictors`` and ``_baseline_prediction``, and every number taken from them is
checked. How rows go through the trees (categories, missing values, frames) is left to scikit-learn:
a copy whose leaves have their own numbers in place of their values says by its predictions where
rows end.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.utils import check_random_state

from skinfluence.adapters.boosting import boosting_of
from skinfluence.adapters.class_weights import row_weights, weights_of_classes
from skinfluence.adapters.registry import register_adapter
from skinfluence.adapters.trees import (
    SINGLE,
    FittedRows,
    dead_ends,
    gone_leaves,
    has_seed,
    keep_rows,
    largest_error,
    numbered_through,
    precision_of,
    refuse_constraints,
    refuse_medians,
    rows_kept,
    rows_trained_on,
    tree_and_node,
    verified,
    warm_started,
)
from skinfluence.losses import HalfSquaredError, Logistic, Loss, Multinomial, Tweedie, encode_labels
from skinfluence.objectives import Objective
from skinfluence.objectives.boosting import BoostingObjective
from skinfluence.objectives.leaves import as_table
from skinfluence.objectives.splits import Splits
from skinfluence.typing import Array

LOSSES = ("squared_error", "log_loss", "poisson", "gamma")
LOG_LINKS = ("poisson", "gamma")
TINY = 1e-15
"""What scikit-learn adds to every sum of second derivatives."""


def _check(estimator: Any) -> None:
    name = type(estimator).__name__
    refuse_medians(name, estimator.loss, LOSSES, "'squared_error', 'poisson' or 'gamma'")
    refuse_constraints(name, estimator.monotonic_cst)
    if estimator.early_stopping is True and estimator.validation_fraction is not None:
        _refuse_without_seed(estimator)


def _refuse_without_seed(estimator: Any) -> None:
    if not has_seed(estimator):
        raise ValueError(
            f"{type(estimator).__name__}(early_stopping={estimator.early_stopping!r}, "
            f"random_state={estimator.random_state!r}) was given; it holds some rows out of the "
            "fit, at random, and does not say which ('auto' does so above 10,000 rows). Pass an "
            "integer random_state, or early_stopping=False."
        )


# ------------------------------------------------------------------------------------ splits


@dataclass(frozen=True, eq=False)
class HistSplits(Splits):
    """The splits of histogram gradient boosting.

    Attributes
    ----------
    estimator : estimator
        A copy of the fitted one, of which copies are made.
    nodes : list of structured ndarray
        Of every tree, in the order of stages and then outputs.
    """

    estimator: Any
    nodes: list[Array]

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Return the splits of a fitted estimator."""
        nodes = [predictor.nodes for predictor in _predictors_of(estimator)]
        children = [_children(own) for own in nodes]
        return cls(*numbered_through(children), copy(estimator), nodes)

    def apply(self, X: Any) -> Array:
        return self._ends(range(self.n_trees), self.nodes, X) + self.roots

    def descend(self, X: Any, rows: Array, nodes: Array) -> Array:
        out = nodes.copy()
        tree, number = tree_and_node(self, nodes)
        for start in np.unique(number[self.children[nodes, 0] >= 0]):
            # Trees whose root is node `start` of theirs: one pass for all rows that set out there.
            at = np.flatnonzero((number == start) & (self.children[nodes, 0] >= 0))
            trees, own_tree = np.unique(tree[at], return_inverse=True)
            used, own_row = np.unique(rows[at], return_inverse=True)
            rooted = [_rooted_at(self.nodes[t], start) for t in trees]
            part = X.iloc[used] if hasattr(X, "iloc") else X[used]
            ends = self._ends(trees, rooted, part)
            out[at] = ends[own_row, own_tree] + self.roots[tree[at]]
        return out

    def _ends(self, trees: Any, nodes: list[Array], X: Any) -> Array:
        """Return in which node of some trees every row ends, (n_rows, n_trees).

        Parameters
        ----------
        trees : sequence of int
        nodes : list of structured ndarray
            Of these trees, or what is put in their place.
        X : array-like
        """
        K = len(np.ravel(self.estimator._baseline_prediction))
        # A power of two, so that sums are exact, or under a log link nearly so and below 1.
        unit = 1.0
        if self.estimator.loss in LOG_LINKS:
            unit = 2.0 ** -np.ceil(np.log2(1 + sum(len(own) for own in nodes)))
        predictors = _predictors_of(self.estimator)
        numbered = [
            _with_nodes(predictors[t], _numbered(own, unit))
            for t, own in zip(trees, nodes, strict=True)
        ]
        stages = [numbered[first : first + K] for first in range(0, len(numbered), K)]
        stages[-1] = stages[-1] + [numbered[-1]] * (K - len(stages[-1]))
        asked = copy(self.estimator)
        asked._predictors = stages
        asked._baseline_prediction = np.zeros_like(self.estimator._baseline_prediction)
        out = np.empty((X.shape[0], len(stages) * K), dtype=np.int32)
        before: Any = 0.0
        for stage, raw in enumerate(_staged(asked, X)):
            now = raw.reshape(X.shape[0], K) / unit
            out[:, stage * K : (stage + 1) * K] = np.rint(now - before)
            before = now
        return out[:, : len(numbered)]


def _predictors_of(estimator: Any) -> list[Any]:
    """Return the trees of all stages, those of one output after the other."""
    return [predictor for stage in estimator._predictors for predictor in stage]


def _children(nodes: Array) -> Array:
    children = np.column_stack([nodes["left"], nodes["right"]]).astype(np.intp)
    return np.where(nodes["is_leaf"].astype(bool)[:, None], -1, children)


def _with_nodes(predictor: Any, nodes: Array) -> Any:
    out = copy(predictor)
    out.nodes = nodes
    return out


def _numbered(nodes: Array, unit: float) -> Array:
    """Return nodes whose values are their numbers, in some unit."""
    out = nodes.copy()
    out["value"] = np.arange(len(nodes)) * unit
    return out


def _rooted_at(nodes: Array, start: int) -> Array:
    """Return nodes with one of them in place of the root: children keep their numbers."""
    out = nodes.copy()
    out[0] = nodes[start]
    return out


def _staged(estimator: Any, X: Any) -> Iterator[Array]:
    """Yield raw predictions after every stage."""
    if is_classifier(estimator):
        yield from estimator.staged_decision_function(X)
    elif estimator.loss in LOG_LINKS:
        yield from (np.log(predicted) for predicted in estimator.staged_predict(X))
    else:
        yield from estimator.staged_predict(X)


# --------------------------------------------------------------------------------- rows and weights


def _loss_of(estimator: Any) -> Loss:
    if is_classifier(estimator):
        logistic = Logistic if len(estimator.classes_) == 2 else Multinomial
        return logistic(estimator.classes_)
    losses = {"squared_error": HalfSquaredError(), "poisson": Tweedie(1.0), "gamma": Tweedie(2.0)}
    return losses[estimator.loss]


def _is_alone(splits: Splits) -> Array:
    """Return which leaves are the root of their tree: scikit-learn leaves their value at 0."""
    return np.isin(splits.leaf_nodes, splits.roots)


def _possible_rows(estimator: Any, y: Array, s: Array) -> Iterator[FittedRows]:
    """Yield what the rows may have weighed, 0 if held out."""
    w = s
    if is_classifier(estimator):
        # scikit-learn reads class weights by the number of the class.
        codes, numbers = encode_labels(y, estimator.classes_), np.arange(len(estimator.classes_))
        w = s * weights_of_classes(estimator.class_weight, codes, [numbers], np.ones_like(s))
    stopped = estimator.do_early_stopping_ and estimator.validation_fraction is not None
    if stopped and has_seed(estimator):
        trained = np.zeros(len(y))
        trained[_trained_on(estimator, y)] = 1.0
        yield FittedRows(estimator._predictors, w * trained, None)
    yield FittedRows(estimator._predictors, w, None)  # it was given X_val, or held none out


def _trained_on(estimator: Any, y: Array) -> Array:
    """Return the rows that early stopping left to train on, drawn again from the seed."""
    random = check_random_state(estimator.random_state)
    seed = random.randint(np.iinfo(np.uint32).max, dtype="u8")
    codes = encode_labels(y, estimator.classes_) if is_classifier(estimator) else None
    return rows_trained_on(len(y), estimator.validation_fraction, seed, codes)


def _reasons(estimator: Any) -> list[str]:
    reasons = warm_started(estimator)
    if estimator.do_early_stopping_:
        reasons.append(
            f"The rows that early stopping held out were drawn again from "
            f"random_state={estimator.random_state!r}, which has to be that of the fit."
        )
    return reasons


# ------------------------------------------------------------------------------------ the adapter


def _write(estimator: Any, objective: Objective, X: Any) -> None:
    assert isinstance(objective, BoostingObjective)
    splits, gone = objective.splits, gone_leaves(objective)
    closed = dead_ends(splits, gone)
    nodes = [predictor.nodes for predictor in _predictors_of(estimator)]
    for t, own in enumerate(nodes):
        at = slice(*splits.first_leaves[t : t + 2].tolist())
        value = np.where(gone[at], np.nan, objective.values[at])
        own["value"][splits.leaf_nodes[at] - splits.roots[t]] = value
    for dead, threshold in zip(closed, (-np.inf, np.inf), strict=True):
        for t, node in zip(*tree_and_node(splits, dead), strict=True):
            nodes[t]["num_threshold"][node] = threshold
            nodes[t]["missing_go_to_left"][node] = threshold > 0
            nodes[t]["is_categorical"][node] = False
    baseline = estimator._baseline_prediction
    estimator._baseline_prediction = objective.initial.reshape(baseline.shape)
    keep_rows(estimator, FittedRows(estimator._predictors, objective.sample_weight, None))


@register_adapter(
    HistGradientBoostingClassifier, HistGradientBoostingRegressor, check=_check, write=_write
)
def hist_gradient_boosting(estimator: Any, X: Any, y: Any, sample_weight: Any) -> BoostingObjective:
    """Return the objective of histogram gradient boosting."""
    X, y = as_table(X), np.ravel(y)
    s, classes = row_weights(sample_weight, len(y)), y if is_classifier(estimator) else None
    kept = rows_kept(estimator, estimator._predictors, 0, s, classes)
    if kept is None and estimator.do_early_stopping_ and estimator.validation_fraction is not None:
        _refuse_without_seed(estimator)
    loss, splits = _loss_of(estimator), HistSplits.of(estimator)
    values = np.concatenate([own["value"][own["is_leaf"].astype(bool)] for own in splits.nodes])
    objective = boosting_of(
        loss,
        splits=splits,
        X=X,
        leaves=splits.leaves(X),
        y=loss.encode(y),
        theta=np.concatenate([np.ravel(estimator._baseline_prediction), values]),
        sample_weight=s,
        precision=precision_of(X),
        factor=float(estimator.learning_rate),  # which the values of leaves have in them
        penalty=np.where(_is_alone(splits), np.inf, estimator.l2_regularization + TINY),
    )
    possible = _possible_rows(estimator, y, s) if kept is None else [kept]
    candidates = (replace(objective, sample_weight=rows.sample_weight) for rows in possible)
    return verified(type(estimator).__name__, candidates, partial(_reasons, estimator), _error)


def _error(objective: BoostingObjective) -> float:
    """Return the largest error of leaf values, beyond the rounding of gradients to float32."""
    sizes = np.zeros(objective.splits.n_leaves)
    for trees, F in objective.walk():
        g = np.abs(objective.minimised.gradient(objective.targets, F))
        for stage in trees:
            sizes[stage.leaves] = stage.sums(stage.weights * g[:, stage.output])
    unit = np.finfo(np.float32).eps / np.maximum(objective.denominators, TINY)
    return largest_error(objective, SINGLE, rounding=unit * objective.factor * sizes)
