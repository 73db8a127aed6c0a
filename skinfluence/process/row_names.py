"""What messages call rows: by the labels of the frame they came in, where there is one.

Messages are made where a row goes wrong, far below whoever knows the frame. Questions say which
frame it is for as long as they take; threads take that along (`skinfluence.process.threads`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from typing import Any

import numpy as np

from skinfluence.typing import Array

MOST_NAMED = 20
"""Rows that one message names."""

_index: ContextVar[Any] = ContextVar("index of the rows that messages are about", default=None)


def length_of(X: Any) -> int:
    """Return how many rows there are."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def n_dimensions_of(X: Any) -> int:
    """Return 1 for rows that are texts, records or numbers, 2 for rows of features.

    Of a list by its first row: an array of texts would have room for the longest in every row.
    """
    if hasattr(X, "shape"):
        return len(X.shape)
    first = X[0]
    return 1 if isinstance(first, str) or hasattr(first, "keys") or np.ndim(first) == 0 else 2


def index_of(X: Any) -> Any:
    """Return the index of a frame; None for rows without labels."""
    return X.index if hasattr(X, "iloc") else None


@contextmanager
def rows_of(X: Any) -> Iterator[None]:
    """Let messages call rows by their labels in X, or by position where it has none."""
    before = _index.set(index_of(X))
    try:
        yield
    finally:
        _index.reset(before)


def counts_rows(index: Any) -> bool:
    """Return whether the labels of an index are the positions 0, 1, ..."""
    return index.inferred_type == "integer" and np.array_equal(index, np.arange(len(index)))


def named_rows(positions: Array, most: int | None = MOST_NAMED) -> str:
    """Return what a message calls some rows: the first of them, how many, and by which name.

    All of them where `most` is None: where nothing but the message says which they are.
    """
    few, in_all = positions[:most], f"{len(positions)} in all"
    index = _index.get()
    if index is None or counts_rows(index):
        return f"{listed(few)} ({in_all})"
    if not index.is_unique:
        return f"{listed(few)} ({in_all}, by position: labels repeat)"
    return f"{listed(index[few].tolist())} ({in_all}, by label)"


def named_row(position: int) -> str:
    """Return what a message calls one row."""
    index = _index.get()
    if index is None or counts_rows(index):
        return str(position)
    if not index.is_unique:
        return f"{position} (by position: labels repeat)"
    (label,) = index[[position]].tolist()  # tuples of plain numbers
    return f"{_written(label)} (by label)"


def listed(labels: Iterable[Any]) -> str:
    """Return labels as a message lists them."""
    return f"[{', '.join(map(_written, labels))}]"


def near(name: Any, known: Iterable[Any], most: int = 5) -> list[str]:
    """Return the names most like one that is not there: those it is in, then those spelt alike."""
    names, word = [str(each) for each in known], str(name).lower()
    within = [each for each in names if word in each.lower()]
    alike = get_close_matches(str(name), names, n=most, cutoff=0.5)
    return list(dict.fromkeys([*within, *alike]))[:most]


def _written(label: Any) -> str:
    return repr(str(label)) if isinstance(label, str) else str(label)
