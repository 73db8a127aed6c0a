"""Rows as the user gave them, to be shown beside what is said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.inspection.tables import pandas, plain
from skinfluence.process.digest import digest
from skinfluence.process.row_names import n_dimensions_of, near
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class GivenRows:
    """Rows and their targets, as they were given to `fit`.

    Attributes
    ----------
    X : array-like, sparse matrix, frame, or a sequence of texts
    y : array-like or None
    """

    X: Any
    y: Any = None

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the rows and their targets, as they are when it is first asked for."""
        return digest(self.X, self.y)

    def columns(self) -> dict[Any, Any]:
        """Return what may be shown: a function of positions for every column, the target last.

        Features without a name are x0, x1, ...; texts are "text", a target without a name is "y".
        """
        targets = {} if self.y is None else _columns_of(self.y, "y")
        features = _columns_of(self.X, "x", texts="text")
        return {**features, **{_other_than(features, name): of for name, of in targets.items()}}

    def at_a_glance(self, positions: Array) -> dict[Any, Any]:
        """Return what some rows are in a word: their text, if they are one, and their target.

        Parameters
        ----------
        positions : ndarray of int
        """
        one = n_dimensions_of(self.X) == 1
        shown = _columns_of(self.X, "x", texts="text") if one else {}
        targets = {} if self.y is None else _columns_of(self.y, "y")
        if len(targets) == 1:
            shown |= {_other_than(shown, name): of for name, of in targets.items()}
        return {str(name): plain(np.asarray(of(positions))) for name, of in shown.items()}

    def frame(self, positions: Array, columns: Any = True) -> Any:
        """Return columns of some rows as a frame, a line each.

        Parameters
        ----------
        positions : ndarray of int
        columns : True, names, or integers
            True is all of them. Integers are positions where the rows have no names of columns.

        Raises
        ------
        ValueError
            For a name that no column has; for all columns of a sparse matrix.
        """
        there = self.columns()
        if columns is True:
            if sparse.issparse(self.X):
                raise ValueError(
                    f"columns=True was given, but the rows are a sparse matrix with "
                    f"{self.X.shape[1]:,} columns; names are accepted, such as columns=['x0', 'y']."
                )
            columns = list(there)
        elif isinstance(columns, (str, Integral)) or _is_name(columns, there):
            columns = [columns]
        named = hasattr(self.X, "columns")
        known = [name if named else _at_position(name, there) for name in columns]
        shown = {name: there[_known(name, there)](positions) for name in known}
        return pandas().DataFrame(shown)


def _is_name(name: Any, there: Any) -> bool:
    """Return whether one name was given, of whatever type names are."""
    try:
        return name in there
    except TypeError:  # a list is no key
        return False


def _at_position(name: Any, there: Any) -> Any:
    """Return the name of the column at a position; anything else as it is."""
    is_position = isinstance(name, Integral) and not isinstance(name, (bool, np.bool_))
    return list(there)[name] if is_position and 0 <= name < len(there) else name


def _known(name: Any, there: Any) -> Any:
    if _is_name(name, there):
        return name
    alike = near(name, there)
    first = [str(each) for each in list(there)[:5]]
    raise ValueError(
        f"The column {name!r} was asked for, and the rows have none of that name; "
        + (f"near it are {alike}." if alike else f"they have {first}, ... ({len(there)} in all).")
    )


def _columns_of(data: Any, name: str, texts: str | None = None) -> dict[Any, Any]:
    """Return functions from positions to the values of every column."""
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        at = range(data.shape[1])
        return {
            column: lambda rows, j=j: data.iloc[rows, j].to_numpy()
            for column, j in zip(data.columns, at, strict=True)
        }
    if sparse.issparse(data):
        rows_first = data.tocsr()
        return {
            f"{name}{j}": lambda rows, j=j: rows_first[rows][:, [j]].toarray()[:, 0]
            for j in range(data.shape[1])
        }
    values = np.asarray(data) if hasattr(data, "__array__") else _as_array(data)
    if values.ndim == 1:
        are_texts = texts is not None and all(isinstance(each, str) for each in values[:1])
        unnamed = texts if are_texts else name
        given = getattr(data, "name", None)
        return {unnamed if given is None else given: lambda rows: values[rows]}
    if hasattr(data, "columns"):
        names: Sequence[Any] = list(data.columns)
    else:
        names = [f"{name}{j}" for j in range(values.shape[1])]
    return {each: lambda rows, j=j: values[rows, j] for j, each in enumerate(names)}


def _as_array(data: Any) -> Array:
    """Return a list of rows as an array, of records (texts, dicts) where they are no numbers."""
    if n_dimensions_of(data) == 1:
        return np.fromiter(data, dtype=object, count=len(data))
    return np.asarray(data, dtype=object)


def _other_than(names: Any, name: Any) -> Any:
    """Return a name for the target that no feature has."""
    while name in names:
        name = f"{name}_target"
    return name
