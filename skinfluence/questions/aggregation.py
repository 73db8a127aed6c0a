"""Means and sums of effects over test rows: all of them, or groups of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.inspection import GivenRows
from skinfluence.process.row_names import index_of
from skinfluence.questions.groups import labels_in_columns, masks_given
from skinfluence.questions.rows import refuse_another_order
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class Aggregation:
    """Which sums of effects over test rows are asked for.

    Attributes
    ----------
    how : {"mean", "sum", "weighted mean", "weighted sum", "groups"}
    weights : CSR matrix of shape (n_lines, n_test)
        What each test row counts for in each line.
    divisors : ndarray of shape (n_lines,)
        What the sums are divided by.
    labels : ndarray of shape (n_lines,) or None
        Of the groups of test rows; None of all of them in one line.
    """

    how: str
    weights: Any
    divisors: Array
    labels: Array | None = None

    def of_one_value(self, values: Array) -> Array | None:
        """Return the one value of each line over its test rows; None where a line has several."""
        lines = [
            np.unique(values[self.weights[[line]].indices]) for line in range(len(self.divisors))
        ]
        return np.concatenate(lines) if all(len(line) == 1 for line in lines) else None


OVER_ALL = ("mean", "sum")


def labels_to_aggregate(aggregate: Any, test_weight: Any, given: GivenRows) -> Any:
    """Return a label for every test row, or "mean", "sum" or None; refuse what is none of these.

    Before anything is computed.
    """
    if aggregate is None and test_weight is not None:
        raise ValueError(
            "test_weight was given without aggregate: scores of single test rows know no weight. "
            "Pass aggregate='mean' or 'sum', or a label for every test row."
        )
    if isinstance(aggregate, str) and aggregate in OVER_ALL:
        return aggregate
    return labels_in_columns(aggregate, given, name="aggregate", rows="test")


def aggregation_given(
    aggregate: Any, test_weight: Any, X_test: Any, n_test: int
) -> Aggregation | None:
    """Return the sums that are asked for; None where every test row is a line.

    Parameters
    ----------
    aggregate : None, "mean", "sum" or array-like of shape (n_test,)
    test_weight : array-like of shape (n_test,) or None
    X_test : array-like
        The test rows, for their labels.
    n_test : int

    Raises
    ------
    ValueError
        For labels or weights that are not one for every test row, or under the labels of the test
        frame in another order; weights that are negative or all zero in a line.
    """
    if aggregate is None:
        return None
    index = index_of(X_test)
    weight = _weights_given(test_weight, index, n_test)
    if isinstance(aggregate, str):
        weights = sparse.csr_matrix(weight[None])
        weighted = "" if test_weight is None else "weighted "
        divisors = np.array([weight.sum() if aggregate == "mean" else 1.0])
        return Aggregation(weighted + aggregate, weights, divisors)
    refuse_another_order(aggregate, "aggregate", index, rows="test")
    masks, names = masks_given(aggregate, n_test, name="aggregate", rows="test")
    weights = sparse.csr_matrix(masks.multiply(weight[None]), dtype=np.float64)
    divisors = np.asarray(weights.sum(axis=1)).ravel()
    if np.any(divisors == 0):
        raise ValueError(
            f"test_weight is zero for all test rows of the groups {names[divisors == 0].tolist()}; "
            "a positive weight in every group is accepted. Leave these test rows out."
        )
    return Aggregation("groups", weights, divisors, names)


def _weights_given(test_weight: Any, index: Any, n_test: int) -> Array:
    if test_weight is None:
        return np.ones(n_test)
    refuse_another_order(test_weight, "test_weight", index, rows="test")
    weight = np.asarray(test_weight, dtype=np.float64)
    if weight.shape != (n_test,):
        raise ValueError(
            f"test_weight of shape {weight.shape} was given; one weight for every test row, shape "
            f"({n_test},), is accepted."
        )
    if not np.all(np.isfinite(weight)) or np.any(weight < 0) or not np.any(weight > 0):
        raise ValueError(
            "test_weight with negative, infinite or missing weights, or zeros alone, was given; "
            "weights >= 0, of which some are positive, are accepted."
        )
    return weight
