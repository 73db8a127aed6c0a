"""Rows to learn from and rows to predict, from files that nobody prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from sklearn.model_selection import train_test_split

from skinfluence.command.columns import (
    Columns,
    columns_of,
    listing,
    notes_on,
    notes_on_cells,
    notes_on_missing,
    prepared,
)
from skinfluence.command.reading import Source, read
from skinfluence.command.refusal import Refusal
from skinfluence.command.targets import Target, notes_on_target, target_of
from skinfluence.inspection.tables import number_of
from skinfluence.process.row_names import near
from skinfluence.typing import Array

FEWEST = 8
"""Rows with a target below which there is nothing to learn."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A table, ready for a model.

    Attributes
    ----------
    name : str
        Of the file, as it was given.
    X : pandas.DataFrame
    y : pandas.Series
        Both under the numbers of the lines.
    columns : Columns
    target : Target
    said : tuple of str
        What was imputed and left out.
    warned : tuple of str
        What is odd about the file.
    """

    name: str
    X: Any
    y: Any
    columns: Columns
    target: Target
    said: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    def take(self, rows: Array) -> tuple[Any, Any]:
        """Return some of the rows, by their positions, and their targets."""
        return self.X.iloc[rows], self.y.iloc[rows]


def to_learn(
    path: str, target_name: str, model: str, max_rows: int | None, stdin: BinaryIO
) -> Rows:
    """Read rows to learn from.

    Parameters
    ----------
    path : str
    target_name : str
    model : str
        That is to learn.
    max_rows : int or None
        So many alone, drawn with seed 0.
    stdin : binary file
        What "-" is.

    Returns
    -------
    Rows

    Raises
    ------
    Refusal
        For files, columns and targets that are of no use.
    """
    source = read(path, stdin)
    if len(source.lines) < FEWEST:
        raise Refusal(
            f"{source.name}: {number_of(len(source.lines), 'row')}; {FEWEST} or more are accepted, "
            "and a hundred are better. Pass a larger table."
        )
    target = target_of(source, target_name, model)
    y, known = target.values(source)
    if len(y) < FEWEST:
        raise Refusal(
            f"{source.name}: {number_of(len(y), 'row')} with a {target_name!r}; {FEWEST} or more "
            "are accepted. Pass a larger table, or complete the column."
        )
    columns = columns_of(source.frame, target_name, delimiter=source.delimiter)
    if not columns.kept:
        raise Refusal(_nothing_to_learn_from(source, columns, target_name))
    frame = prepared(source.frame, columns, source.lines)
    warned = [*source.notes, *notes_on_target(source, target, y, known)]
    rows, drawn = _drawn(len(y), max_rows, source.name)
    y, X = y.iloc[rows], frame.iloc[known[rows]]
    if y.nunique() < 2:
        raise Refusal(
            f"{source.name}: the {len(y):,} rows that were drawn have one {target_name!r} alone, "
            f"{y.iloc[0]!r}; two or more are accepted. Pass a larger --max-rows."
        )
    warned += [f"column {each.name!r}: {each.note}." for each in columns.kept if each.note]
    warned += notes_on_cells(columns, source.frame, frame)
    said = (*drawn, *notes_on(columns, X))
    return Rows(source.name, X, y, columns, target, said, tuple(warned))


def to_predict(path: str, learnt: Rows, max_rows: int | None, stdin: BinaryIO) -> Rows:
    """Read rows to predict, of the same columns as those that were learnt from.

    Parameters
    ----------
    path : str
    learnt : Rows
    max_rows, stdin
        As in `to_learn`.

    Returns
    -------
    Rows

    Raises
    ------
    Refusal
        For files that are of no use, without one of the columns, or without a row whose target can
        be scored.
    """
    source = read(path, stdin)
    y, known = learnt.target.values(source)
    missing = [each.name for each in learnt.columns.kept if each.name not in source.frame.columns]
    if missing:
        alike = near(missing[0], source.frame.columns, most=3)
        hint = f" Near {missing[0]!r}: {listing(map(repr, alike))}." if alike else ""
        raise Refusal(
            f"{source.name}: {number_of(len(missing), 'column')} of {learnt.name} missing, "
            f"{listing(map(repr, missing))}; the same columns are accepted.{hint}"
        )
    warned = [*source.notes, *notes_on_target(source, learnt.target, y, known, training=False)]
    if learnt.target.classifies:
        seen = np.asarray(y.isin(learnt.y.unique()))
        if not seen.all():
            new = listing(map(repr, y[~seen].unique().tolist()))
            warned.append(
                f"{source.name}: {number_of(int((~seen).sum()), 'row')} of classes that "
                f"{learnt.name} has not left out ({new})."
            )
        y, known = y[seen].astype(learnt.y.dtype), known[seen]
    if not len(y):
        raise Refusal(
            f"{source.name}: no row has a {learnt.target.name!r} to hold predictions against; rows "
            "with their true targets are accepted."
        )
    rows, drawn = _drawn(len(y), max_rows, source.name)
    frame = prepared(source.frame, learnt.columns, source.lines)
    X = frame.iloc[known[rows]]
    said = [f"{source.name}: {each}" for each in notes_on_missing(learnt.columns, X)]
    odd = notes_on_cells(learnt.columns, source.frame, frame)
    warned += [f"{source.name}, {each}" for each in [*odd, *_new_categories(learnt, X)]]
    return Rows(
        source.name,
        X,
        y.iloc[rows],
        learnt.columns,
        learnt.target,
        (*drawn, *said),
        tuple(warned),
    )


def _new_categories(learnt: Rows, X: Any) -> list[str]:
    """Return in sentences which categories of other rows were never learnt."""
    notes = []
    for name in learnt.columns.of_kind("category"):
        new = X[name][~X[name].isin(learnt.X[name]) & X[name].notna()]
        if len(new):
            notes.append(
                f"column {name!r}: {listing(map(repr, new.unique()), 3)} not in {learnt.name}, "
                f"taken as rare ({number_of(len(new), 'row')})."
            )
    return notes


def held_out(y: Any, *, classifies: bool) -> tuple[Array, Array]:
    """Return positions to learn from, and those of a quarter to predict.

    Drawn with seed 0, of every class its share where that can be; a class of one row is learnt.

    Parameters
    ----------
    y : pandas.Series
    classifies : bool

    Returns
    -------
    training, test : ndarray of int
    """
    rows, n_test = np.arange(len(y)), max(1, round(len(y) / 4))
    if not classifies:
        learnt, test = train_test_split(rows, test_size=n_test, random_state=0)
        return np.sort(learnt), np.sort(test)
    counts = y.map(y.value_counts()).to_numpy()
    alone, several = rows[counts == 1], rows[counts > 1]
    codes = np.unique(y.to_numpy(), return_inverse=True)[1][several]
    n_test = min(n_test, len(several) - 1)
    can_be = min(n_test, len(several) - n_test) >= len(np.unique(codes))
    learnt, test = train_test_split(
        several, test_size=n_test, random_state=0, stratify=codes if can_be else None
    )
    return np.sort(np.concatenate([learnt, alone])), np.sort(test)


def _drawn(n_rows: int, most: int | None, name: str) -> tuple[Array, list[str]]:
    """Return positions of the rows that are used, in order, and what is said of that."""
    if most is None or most >= n_rows:
        return np.arange(n_rows), []
    rows = np.sort(np.random.default_rng(0).choice(n_rows, most, replace=False))
    return rows, [f"{name}: {most:,} of {n_rows:,} rows, drawn at random (seed 0)."]


def _nothing_to_learn_from(source: Source, columns: Columns, target: str) -> str:
    why: Sequence[str] = [f"{name} ({reason})" for name, reason in columns.left_out.items()]
    if not why:
        return (
            f"{source.name} has one column, {target!r}; others to predict it from are accepted. "
            "See that they are separated by commas, semicolons, tabs or bars."
        )
    return (
        f"{source.name}: no column is left to predict {target!r} from: {listing(why)}. A column of "
        "numbers, categories, dates or texts is accepted."
    )
