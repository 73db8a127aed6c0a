"""Which rows leave, by label or by position, and whether they may.

A row of a frame has two names, its label and its position, and after a split of the data a label is
the position of another row. `rows_given` is the one rule of which is meant, wherever training rows
are asked for; `tested_rows_given` is the same of test rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import wraps
from numbers import Integral
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from scipy import sparse

from skinfluence.inspection import Result
from skinfluence.mechanisms import mechanism_of
from skinfluence.process.progress import answering
from skinfluence.process.row_names import (
    counts_rows,
    index_of,
    length_of,
    listed,
    named_rows,
    rows_of,
)
from skinfluence.process.warnings import hearing, warn
from skinfluence.questions.fitted import Fitted
from skinfluence.typing import Array

P = ParamSpec("P")
R = TypeVar("R")

_KINDS = {"b": "mask", "i": "integer", "u": "integer"}


def by_label(question: Callable[Concatenate[Fitted, P], R]) -> Callable[Concatenate[Fitted, P], R]:
    """Decorate a question: until it is answered, messages call training rows by their labels.

    And whoever waits for the answer is told how far it is, and a result keeps what was warned of,
    and what it takes as given.
    """

    @wraps(question)
    def answered(fitted: Fitted, /, *args: P.args, **kwargs: P.kwargs) -> R:
        under_way = answering(question.__name__, fitted.options.verbose)
        with rows_of(fitted.raw.X), under_way, hearing() as heard:
            answer = question(fitted, *args, **kwargs)
        if not isinstance(answer, Result):
            return answer
        assumed = answer.assumed or _assumption(fitted, answer, question.__name__)
        if not heard and not assumed:
            return answer
        return replace(answer, assumed=assumed, warned=tuple(heard))

    return answered


def _assumption(fitted: Fitted, answer: Result, question: str) -> str:
    mechanism = mechanism_of(fitted.objective())
    return mechanism.assumption(getattr(answer, "method", ""), question)


def rows_given(
    fitted: Fitted, rows: Any = None, positions: Any = None, labels: Any = None
) -> Array:
    """Return the positions of training rows, given by whichever name.

    Masks and slices are positions. Anything that is no integer, and a pandas Index, is a label.
    Integers are positions, unless the training frame has integers among its labels that are not
    these positions: then they could be either.

    Parameters
    ----------
    fitted : Fitted
    rows : array-like, mask, slice, or one row
        Labels or positions, by the rule.
    positions : array-like of int, mask, slice, or int
    labels : array-like or one label
        Exactly one of the three is given.

    Returns
    -------
    ndarray of int
        In the order of what was given.

    Raises
    ------
    ValueError
        For integers that could be either; rows that are unknown, repeated or none; labels that
        several rows have; a mask of another length, or in another order of the same labels.
    """
    named = {"rows": rows, "positions": positions, "labels": labels}
    which = [name for name, value in named.items() if value is not None]
    if len(which) != 1:
        raise ValueError(
            f"{' and '.join(which) or 'no rows'} were given; exactly one of rows=, positions= and "
            "labels= is accepted. Pass positions= or labels= to say which of the two you mean."
        )
    among = _Among(index_of(fitted.raw.X), fitted.n_train, which[0], _OF_TRAINING)
    return _positions(named[which[0]], among)


def tested_rows_given(X_test: Any, rows: Any) -> Array:
    """Return the positions of test rows, given by the rule of `rows_given`.

    Parameters
    ----------
    X_test : array-like, sparse matrix or frame
    rows : array-like, mask, slice, or one row
        Labels or positions; a pandas Index is labels, a mask or a slice positions.

    Raises
    ------
    ValueError
        As in `rows_given`.
    """
    return _positions(rows, _Among(index_of(X_test), length_of(X_test), "test_rows", _OF_TESTS))


@dataclass(frozen=True)
class _Ways:
    """What a message calls rows, and how it says that labels or positions are meant."""

    kind: str
    least: str
    either: str
    labels: str
    slice: str
    frame: str
    look: str
    repeated: str


_OF_TRAINING = _Ways(
    kind="training",
    least="at least one row leaves",
    either="Pass labels= or positions= to say which is meant.",
    labels="For labels of a frame pass labels=",
    slice="Of labels pass labels=X.loc[first:last].index.",
    frame="Pass positions, or fit on a DataFrame.",
    look="Look at X.index, or pass positions=.",
    repeated="Pass positions= to say which are meant.",
)
_OF_TESTS = _Ways(
    kind="test",
    least="at least one row is accepted",
    either="Pass pandas.Index(labels) or a boolean mask to say which is meant.",
    labels="For labels of a frame pass a pandas Index",
    slice="Of labels pass X_test.loc[first:last].index.",
    frame="Pass positions, or X_test as a DataFrame.",
    look="Look at X_test.index, or pass a boolean mask.",
    repeated="Pass a boolean mask to say which are meant.",
)


@dataclass(frozen=True)
class _Among:
    """The rows that some are chosen among, and the parameter that names them."""

    index: Any
    n: int
    name: str
    ways: _Ways


def _positions(given: Any, among: _Among) -> Array:
    """Return the positions of rows, given by one parameter."""
    name, index = among.name, among.index
    if isinstance(given, slice):
        return _sliced(given, among)
    values = _listed(given, among)
    kinds = _kinds(values)
    either = name not in ("positions", "labels")
    if name == "labels" or (either and (_is_index(given) or kinds == {"label"})):
        return _labelled(values, among)
    if kinds == {"mask"}:
        refuse_another_order(given, name, index, rows=among.ways.kind)
        return _masked(values, among)
    if either and kinds == {"integer"} and _may_be_labels(index):
        raise ValueError(_both_meanings(values, among))
    return _positioned(values, among)


def _is_index(given: Any) -> bool:
    return hasattr(given, "get_indexer")


def _listed(given: Any, among: _Among) -> Array:
    """Return rows as they were given, one or many, as an array of one dimension."""
    name, given = among.name, given.toarray() if sparse.issparse(given) else given
    if hasattr(given, "__array__"):
        values = np.atleast_1d(np.asarray(given))
    else:
        given = [given] if _is_one(given, among.index) else given
        values = np.fromiter(given, dtype=object, count=len(given))
    nested = values.dtype == object and any(isinstance(each, (list, np.ndarray)) for each in values)
    if values.ndim > 1 or nested:
        raise ValueError(
            f"{name} has rows in more than one dimension; one row, or rows of shape (n_rows,), are "
            "accepted. Of a frame of rows pass its index."
        )
    if not len(values):
        raise ValueError(f"{name} is empty; {among.ways.least}.")
    return values


def _is_one(given: Any, index: Any) -> bool:
    """Return whether one row was given; a tuple is one label where labels have as many levels."""
    if isinstance(given, tuple) and (levels := getattr(index, "nlevels", 1)) > 1:
        return len(given) == levels and not any(isinstance(each, tuple) for each in given)
    return isinstance(given, (str, bytes)) or not isinstance(given, Collection)


def _kinds(values: Array) -> set[str]:
    """Return what values may be: entries of a mask, integers, labels."""
    if values.dtype != object:
        return {_KINDS.get(values.dtype.kind, "label")}
    kinds = {bool: "mask", np.bool_: "mask"}
    return {
        kinds.get(kind, "integer" if issubclass(kind, Integral) else "label")
        for kind in {type(value) for value in values}
    }


def _sliced(given: slice, among: _Among) -> Array:
    name, n, ways = among.name, among.n, among.ways
    ends = given.start, given.stop, given.step
    if name == "labels" or not all(end is None or isinstance(end, Integral) for end in ends):
        raise ValueError(
            f"{name}={given} was given; slices of positions are accepted. {ways.slice}"
        )
    chosen = np.arange(n)[given]
    if not len(chosen):
        raise ValueError(f"{name}={given} takes none of {n} rows; {ways.least}.")
    return chosen


def _masked(mask: Array, among: _Among) -> Array:
    if mask.shape != (among.n,):
        raise ValueError(
            f"{among.name} as a mask of shape {mask.shape} was given; a mask has an entry for "
            f"every {among.ways.kind} row, shape ({among.n},). Pass that, or positions."
        )
    chosen = np.flatnonzero(mask)
    if not len(chosen):
        raise ValueError(f"{among.name} as a mask without any True was given; {among.ways.least}.")
    return chosen


def refuse_another_order(given: Any, name: str, index: Any, *, rows: str = "training") -> None:
    """Refuse one value per row under the labels of their frame in another order."""
    theirs = index_of(given)
    if index is None or theirs is None or len(theirs) != len(index):
        return
    frame = "X_test" if rows == "test" else "X"
    same_order = theirs.equals(index) or np.array_equal(theirs, index)
    if not same_order and theirs.isin(index).all() and index.isin(theirs).all():
        raise ValueError(
            f"{name} has the labels of the {rows} frame in another order; one value for every "
            f"row, in the order of the rows, is accepted. Pass {name}.loc[{frame}.index] to go by "
            f"the labels, {name}.to_numpy() to go by the order."
        )


def _may_be_labels(index: Any) -> bool:
    """Return whether an index has integers among its labels that are not the positions."""
    labels = getattr(index, "categories", index)  # of a categorical index
    return labels is not None and "integer" in labels.inferred_type and not counts_rows(index)


def _both_meanings(values: Array, among: _Among) -> str:
    """Return what integers would mean either way, and how to say which."""
    index, first, meanings = among.index, int(values[0]), []
    if 0 <= first < len(index):
        meanings.append(f"position {first} is the row labelled {index[first]}")
    if (at := index.get_indexer_non_unique([first])[0][0]) >= 0:
        meanings.append(f"label {first} is the row at position {at}")
    return (
        f"{among.name}={_first(values)} may be labels or positions: the {among.ways.kind} frame "
        f"has integer labels other than 0 to {len(index) - 1}, and "
        f"{' and '.join(meanings) or 'no such row'}. {among.ways.either}"
    )


def _first(rows: Any) -> str:
    """Return the first of some rows as a message lists them, and whether there are more."""
    few = listed(rows[:3].tolist())
    return few if len(rows) <= 3 else f"{few[:-1]}, ...]"


def _positioned(values: Array, among: _Among) -> Array:
    """Return positions, each once."""
    name, n, ways = among.name, among.n, among.ways
    accepted = f"positions from 0 to {n - 1}, each once, are accepted."
    if _kinds(values) != {"integer"}:
        types = sorted({type(value).__name__ for value in values})
        raise ValueError(
            f"{name} with values of the types {types} was given; {accepted} {ways.labels}, and "
            "fill in what a mask is missing."
        )
    outside = values[(values < 0) | (values >= n)]
    if len(outside):
        raise ValueError(f"{name} {outside.tolist()} are out of range; {accepted} {ways.labels}.")
    if len(np.unique(values)) < len(values):
        raise ValueError(f"{name} has duplicates; {accepted}")
    return values.astype(np.intp)


def _labelled(values: Array, among: _Among) -> Array:
    """Return the positions of labels, each once."""
    index, name, ways = among.index, among.name, among.ways
    if index is None:
        raise ValueError(
            f"{name}={_first(values)} are labels, and the {ways.kind} rows have none: they came "
            f"without an index, as an array or a list. {ways.frame}"
        )
    import pandas as pd

    try:
        at, missing = index.get_indexer_non_unique(pd.Index(values))
    except TypeError:  # of a type that is never in an index of this kind
        at, missing = np.full(len(values), -1), np.arange(len(values))
    if len(missing):
        raise ValueError(
            f"{name} has labels that no {ways.kind} row has: {listed(values[missing][:20])} "
            f"({len(missing)} in all); labels of the {ways.kind} frame, such as "
            f"{_first(index)}, are accepted. {ways.look}"
        )
    repeated = index.duplicated(keep=False)[at]
    if np.any(repeated):
        raise ValueError(
            f"{name} has labels that several {ways.kind} rows have: "
            f"{listed(index[at[repeated]].unique()[:20].tolist())}, those at the positions "
            f"{at[repeated][:20].tolist()}; labels of one row each are accepted. {ways.repeated}"
        )
    if len(np.unique(at)) < len(at):
        raise ValueError(f"{name} has duplicates; labels, each once, are accepted.")
    return np.asarray(at, dtype=np.intp)


def only_ones_of_their_class(y: Any, sample_weight: Any) -> Array:
    """Return, for every row, whether no other row of positive weight shares its label."""
    codes, counted = _classes_that_count(y, sample_weight)
    return (np.bincount(codes, weights=counted)[codes] <= 1) & (counted > 0)


def lonely_rows(fitted: Fitted) -> Array:
    """Return which training rows are the only ones of their class, shape (n_train,)."""
    y = fitted.training.y
    if not fitted.classifier or np.ndim(y) > 1:
        return np.zeros(len(y), dtype=bool)
    return only_ones_of_their_class(y, fitted.training.sample_weight)


def warn_of_lonely_rows(fitted: Fitted) -> None:
    """Name the training rows that are the only ones of their class."""
    rows = np.flatnonzero(lonely_rows(fitted))
    if len(rows):
        warn(
            f"The training rows {named_rows(rows)} are the only ones of their class: without "
            "them the model has other classes, or no finite optimum, and their scores mean "
            "nothing. Leave these scores out, or add rows of the same classes.",
            UserWarning,
        )


def refuse_too_much(masks: Any, y: Any | None, sample_weight: Any, names: Array | None) -> None:
    """Refuse groups that leave no row of positive weight, or none of a class.

    Parameters
    ----------
    masks : CSR matrix of bool, shape (n_groups, n_train)
    y : array-like of shape (n_train,) or None
        Labels of a classifier.
    sample_weight : array-like or None
    names : ndarray of shape (n_groups,) or None
        What a message calls the groups; None where they are just rows.
    """
    n_train = masks.shape[1]
    labels = np.zeros(n_train) if y is None else y
    codes, counted = _classes_that_count(labels, sample_weight)
    totals = np.bincount(codes, weights=counted)
    member = counted[:, None] * (codes[:, None] == np.arange(len(totals)))
    emptied = (masks @ member >= totals) & (totals > 0)
    all_of_it = np.flatnonzero(emptied.all(axis=1))
    if len(all_of_it):
        raise ValueError(
            f"{_named(names, all_of_it)} every training row (that has a weight): nothing is left "
            "to fit. Leave some rows in."
        )
    some = np.flatnonzero(emptied.any(axis=1))
    if len(some):
        classes = np.unique(np.asarray(labels).ravel())[emptied[some[0]]].tolist()
        raise ValueError(
            f"{_named(names, some)} every row of a class (the first: {classes}): the model without "
            "them has other classes, and no change can be compared. Leave at least one row of "
            "every class in."
        )


def refuse_lost_classes(masks: Any, y: Any, y_new: Any, sample_weight: Any, names: Array) -> None:
    """Refuse groups whose new labels leave no row of positive weight of a class.

    Parameters
    ----------
    masks : CSR matrix of bool, shape (n_groups, n_train)
    y, y_new : array-like of shape (n_train,)
        Labels of a classifier, and what they become.
    sample_weight : array-like or None
    names : ndarray of shape (n_groups,)
    """
    codes, counted = _classes_that_count(y, sample_weight)
    classes = np.unique(np.asarray(y).ravel())
    new = np.searchsorted(classes, np.asarray(y_new).ravel())
    each = np.arange(len(classes))
    gained = counted[:, None] * ((new[:, None] == each) - 1.0 * (codes[:, None] == each))
    totals = np.bincount(codes, weights=counted)
    lost = (totals > 0) & (totals + masks @ gained <= 0)
    if len(some := np.flatnonzero(lost.any(axis=1))):
        raise ValueError(
            f"The new labels of {names[some][:20].tolist()} ({len(some)} in all) leave no row of "
            f"the class(es) {classes[lost[some[0]]].tolist()} (the first): a fit would know fewer "
            "classes, and no change can be compared. Pass smaller numbers k."
        )


def _named(names: Array | None, found: Array) -> str:
    if names is None:
        return "rows take away"
    return f"groups {names[found][:20].tolist()} ({len(found)} in all) take away"


def _classes_that_count(y: Any, sample_weight: Any) -> tuple[Array, Array]:
    labels = np.asarray(y).ravel()
    _, codes = np.unique(labels, return_inverse=True)
    if sample_weight is None:
        return codes, np.ones(len(labels))
    return codes, (np.asarray(sample_weight) > 0).astype(np.float64)
