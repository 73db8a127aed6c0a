"""Which of the rows' own columns a report shows; what is in the others stays out of it."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.inspection.given_rows import GivenRows
from skinfluence.process.row_names import length_of

MOST_COLUMNS = 12
"""Columns that are shown where nothing is said of them."""

LONGEST_ESTIMATOR = 100_000
"""Characters of an estimator: its repr cuts texts in the middle where there are more."""

HIDDEN = "…"
"""What stands for a value that is not shown."""

_TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_QUOTED = re.compile(_TEXT)
_IN_PIECES = re.compile(rf"{_TEXT}(?:\s+{_TEXT})*")
"""A long text is printed in pieces, one beside the other, and so are arrays of texts."""
_LISTED = re.compile(r"[\[{][^\[\]{}]*[\]}]")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")


@dataclass(frozen=True, eq=False)
class Shown:
    """What of the rows a report shows.

    Attributes
    ----------
    training, tests : GivenRows
        All rows, as they were given.
    names : tuple
        Columns that are shown, in their order.
    classifier : bool
    """

    training: GivenRows
    tests: GivenRows
    names: tuple[Any, ...]
    classifier: bool

    @classmethod
    def of(cls, training: GivenRows, tests: GivenRows, columns: Any, classifier: bool) -> Shown:
        """Return what of the rows is shown, as ``columns=`` of a report has it.

        Raises
        ------
        ValueError
            For a name that no column has; for all columns of a sparse matrix.
        """
        return cls(training, tests, _chosen(training, columns), classifier)

    @cached_property
    def all_names(self) -> list[Any]:
        """Every column, the targets last."""
        return [*self.training.columns()]

    @property
    def columns(self) -> list[Any] | None:
        """Columns that are shown, as tables of results take them."""
        return list(self.names) or None

    @property
    def n_hidden(self) -> int:
        """Columns that are not shown."""
        return len(self.all_names) - len(self.names)

    @cached_property
    def targets(self) -> list[bool]:
        """Whether each target is shown."""
        return [name in self.names for name in self.all_names[-_n_targets(self.training.y) :]]

    @property
    def features(self) -> list[Any]:
        """Features that are shown."""
        targets = self.all_names[-len(self.targets) :]
        return [name for name in self.names if name not in targets]

    def remark(self) -> str:
        """Return what to say of columns that are not shown; "" for nothing."""
        if not self.n_hidden:
            return ""
        rest = f"{self.n_hidden:,} of {len(self.all_names):,} columns of the rows are not shown"
        return f"{rest}; columns= chooses which are."

    def text(self, message: str) -> str:
        """Return a message without values of columns that are not shown.

        That is texts in quotes, and labels of classes in lists.
        """
        if not self.n_hidden:
            return message
        message = _IN_PIECES.sub(self._unquoted, message)
        if self.classifier and not all(self.targets):
            return _LISTED.sub(self._unlisted, message)
        return message

    def estimator(self, estimator: Any) -> str:
        """Return an estimator with its parameters, in one line."""
        if not self.n_hidden:
            return " ".join(repr(estimator).split())
        try:
            text = estimator.__repr__(N_CHAR_MAX=LONGEST_ESTIMATOR)
        except TypeError:  # no estimator of scikit-learn
            text = repr(estimator)
        return " ".join(self.text(text).split())

    def _unquoted(self, match: re.Match[str]) -> str:
        pieces = _QUOTED.findall(match.group())
        try:
            texts = [literal_eval(piece) for piece in pieces]
        except (ValueError, SyntaxError):  # an apostrophe, or a text that was cut
            return match.group() if len(pieces) == 1 else f"'{HIDDEN}'"
        known = {_in_one_line(text) for text in ["".join(texts), *texts]}
        return f"'{HIDDEN}'" if known & self._hidden_texts else match.group()

    def _unlisted(self, match: re.Match[str]) -> str:
        def unless_a_class(number: re.Match[str]) -> str:
            return HIDDEN if number.group() in self._hidden_classes else number.group()

        return _NUMBER.sub(unless_a_class, match.group())

    @cached_property
    def _hidden_texts(self) -> set[str]:
        texts: set[str] = set()
        for given in (self.training, self.tests):
            for value in _values(given, self.training, self.names):
                texts.update(_in_one_line(each) for each in value if isinstance(each, str))
        return texts

    @cached_property
    def _hidden_classes(self) -> set[str]:
        labels = np.asarray(self.training.y).reshape(length_of(self.training.X), -1)
        hidden = labels[:, ~np.array(self.targets)]
        return {str(label) for label in set(hidden.ravel().tolist())}


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _values(given: GivenRows, training: GivenRows, names: tuple[Any, ...]) -> Any:
    """Yield the values of every column that is no number, and not shown."""
    rows = np.arange(length_of(given.X))
    known = training.columns()
    own: dict[Any, Callable[[Any], Any]] = given.columns() if not sparse.issparse(given.X) else {}
    if not own and given.y is not None:
        own = GivenRows(np.empty((len(rows), 0)), given.y).columns()
    last = len(own) - _n_targets(given.y)
    targets = [*known][len(known) - _n_targets(training.y) :]
    for at, (name, of) in enumerate(own.items()):
        called = targets[at - last] if at >= last else name
        values = np.asarray(of(rows))
        if called not in names and values.dtype.kind in "OUT":
            yield np.asarray(values, dtype=object)


def _chosen(given: GivenRows, columns: Any) -> tuple[Any, ...]:
    """Return the names of the columns that are shown."""
    there = [*given.columns()]
    if columns is None:
        if len(there) <= MOST_COLUMNS and not sparse.issparse(given.X):
            return tuple(there)
        n_targets = min(_n_targets(given.y), MOST_COLUMNS)
        last = len(there) - _n_targets(given.y)
        n_features = 0 if sparse.issparse(given.X) else min(MOST_COLUMNS - n_targets, last)
        return (*there[:n_features], *there[last : last + n_targets])
    if columns is False or (not isinstance(columns, (bool, str, int)) and not len(columns)):
        return ()
    return tuple(given.frame(np.empty(0, dtype=int), columns).columns)


def _n_targets(y: Any) -> int:
    if y is None:
        return 0
    return 1 if np.ndim(y) < 2 else int(np.shape(y)[1])
