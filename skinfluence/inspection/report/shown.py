"""Which of the rows' own columns a report shows; what is in the others stays out of it."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral, Number
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.inspection.given_rows import GivenRows
from skinfluence.inspection.tables import number_of, of_number
from skinfluence.process.row_names import length_of

MOST_COLUMNS = 12
"""Columns that are shown where nothing is said of them."""

HIDDEN = "…"
"""What stands for a value that is not shown."""

_LIST = re.compile(r"""[\[{][^\[\]{}'"]*[\]}]""")
_BRACKETED = re.compile(r"[\[{](?:.*[\]}]|.*)", re.DOTALL)
_QUOTED = re.compile(r"""(?<![\w=])b?['"].*['"]""", re.DOTALL)
"""From the first to the last: a text may hold quotes and brackets of its own."""


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
        rest = f"{self.n_hidden:,} of {number_of(len(self.all_names), 'column')} of the rows"
        return (
            f"{rest} {of_number(self.n_hidden, 'is', 'are')} not shown; columns= chooses which are."
        )

    def text(self, message: str) -> str:
        """Return a message without what may be values of columns that are not shown.

        That is all that is listed in brackets or stands in quotes; where a target is not shown,
        names of its classes too, of whatever type.
        """
        if not self.n_hidden:
            return message
        message = _QUOTED.sub(f"'{HIDDEN}'", _without_lists(message))
        return message if self._classes is None else self._classes.sub(HIDDEN, message)

    def estimator(self, estimator: Any) -> str:
        """Return an estimator with its parameters, in one line.

        Where a column is not shown, a parameter is shown if it is an estimator, a number, a text, a
        bool or None: whatever else may hold values of rows.
        """
        shown = _without_values(estimator) if self.n_hidden else estimator
        return " ".join(repr(shown).split())

    @cached_property
    def _classes(self) -> re.Pattern[str] | None:
        """What finds names of classes that are not shown; None where there are none."""
        if not self.classifier or all(self.targets):
            return None
        labels = np.asarray(self.training.y).reshape(length_of(self.training.X), -1)
        hidden = {str(label) for label in labels[:, ~np.array(self.targets)].ravel().tolist()}
        names = "|".join(re.escape(name) for name in sorted(hidden, key=len, reverse=True))
        return re.compile(rf"(?:(?<=class )|(?<=label ))(?:{names})(?!\w)")


def _without_lists(message: str) -> str:
    """Return a message without what it has in brackets, all between where that is not clear."""
    plain, hidden = _LIST.sub("", message), f"[{HIDDEN}]"
    clear = not set("[]{}") & set(plain)
    return (_LIST if clear else _BRACKETED).sub(hidden, message)


class _Hidden:
    """A parameter that is not shown."""

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:  # kernels write their parameters as numbers
        return HIDDEN


def _without_values(value: Any) -> Any:
    """Return a parameter, or an estimator with its parameters, as it is shown."""
    if isinstance(value, (list, tuple)):
        if not _holds_estimator(value):
            return _Hidden()
        shown = [_without_values(each) for each in value]
        return tuple(shown) if isinstance(value, tuple) else shown
    if _holds_estimator(value):
        shown = copy.copy(value)
        for name, each in value.get_params(deep=False).items():
            setattr(shown, name, _without_values(each))
        return shown
    plain = value is None or isinstance(value, (str, Number, np.bool_))
    return value if plain else _Hidden()


def _holds_estimator(value: Any) -> bool:
    """Return whether a value is an estimator, or has one among its steps or transformers."""
    if isinstance(value, (list, tuple)):
        return any(map(_holds_estimator, value))
    return hasattr(value, "get_params") and not isinstance(value, type)


def _chosen(given: GivenRows, columns: Any) -> tuple[Any, ...]:
    """Return the names of the columns that are shown; where none are named the targets first."""
    there = [*given.columns()]
    if columns is None:
        n_features = len(there) - _n_targets(given.y)
        features, targets = there[:n_features], there[n_features:][:MOST_COLUMNS]
        most = 0 if sparse.issparse(given.X) else MOST_COLUMNS - len(targets)
        return (*targets, *features[:most])
    if columns is False or (not isinstance(columns, (bool, str, Integral)) and not len(columns)):
        return ()
    return tuple(given.frame(np.empty(0, dtype=int), columns).columns)


def _n_targets(y: Any) -> int:
    if y is None:
        return 0
    return 1 if np.ndim(y) < 2 else int(np.shape(y)[1])
