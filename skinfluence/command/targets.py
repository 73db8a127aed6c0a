"""What is predicted: classes or numbers, and which rows know it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np

from skinfluence.command.columns import (
    PLAIN,
    Column,
    cells,
    listing,
    narwhals,
    numbers_with_words,
    spelled,
)
from skinfluence.command.reading import Source
from skinfluence.command.refusal import Refusal
from skinfluence.inspection.tables import cut, number_of, pandas
from skinfluence.process.row_names import near
from skinfluence.typing import Array

FEW_CLASSES = 10
"""Different integers up to which they are classes, unless a model of numbers is asked for."""

MOST_CLASSES = 100

CLASSES_ALONE, NUMBERS_ALONE = ("logistic",), ("ridge", "poisson")
"""Models that predict one of the two; the others predict either."""


@dataclass(frozen=True)
class Target:
    """A column that is predicted.

    Attributes
    ----------
    name : str
    classes : tuple
        Its classes; of numbers none.
    numeric : bool
        Whether its cells are numbers.
    read : callable
        From a cell that is text to the number it stands for.
    note : str
        How numbers are read, where they could be read in another way; else "".
    """

    name: str
    classes: tuple[Any, ...] = ()
    numeric: bool = False
    read: Callable[[str], Any] = PLAIN
    note: str = ""

    @property
    def classifies(self) -> bool:
        """Whether it has classes."""
        return bool(self.classes)

    def values(self, source: Source) -> tuple[Any, Array]:
        """Return the targets of the rows of a source that have one, and their positions.

        Returns
        -------
        y : pandas.Series
            Named, under the numbers of the lines.
        rows : ndarray of int
        """
        meant = [self._meaning(each) for each in cells(column(source, self.name))]
        rows = np.array([k for k, each in enumerate(meant) if each is not None], dtype=int)
        known = [meant[k] for k in rows]
        lines = pandas().Index(np.asarray(source.lines)[rows], name="line")
        dtype = object  # as of 0.9, which is no class of integers
        if self.numeric:
            whole = all(isinstance(each, int) for each in known)
            dtype = float if not self.classifies else int if whole else object
        return pandas().Series(known, index=lines, name=self.name, dtype=dtype), rows

    def _meaning(self, value: Any) -> Any:
        """Return the class or the number that a cell is; None for what is none."""
        if value is None or not self.numeric:
            return None if value is None else spelled(value)
        return exact_number(self.read, value)


def exact_number(read: Callable[[str], Any], value: Any) -> int | float | None:
    """Return the number that a cell is, integers as integers; None for what is none."""
    try:
        number = read(value) if isinstance(value, str) else value
        return int(number) if number == int(number) else float(number)
    except (TypeError, ValueError, OverflowError):
        return None


def target_of(source: Source, name: str, model: str) -> Target:
    """Say what a column is as a target: classes, or numbers.

    Parameters
    ----------
    source : Source
    name : str
        Of the column.
    model : str
        That is to predict it.

    Returns
    -------
    Target

    Raises
    ------
    Refusal
        For a column that is not there, that has nothing or one value in it, or that this model does
        not predict.
    """
    nw, series = narwhals(), column(source, name)
    where = f"{source.name}, column {name!r}"
    if series.dtype == nw.Date or series.dtype == nw.Datetime:
        raise Refusal(f"{where}: dates; a target of classes or numbers is accepted.")
    given = cells(series)
    known = [each for each in given if each is not None]
    if not known:
        raise Refusal(
            f"{where}: all {number_of(len(given), 'value')} are missing; a column with the targets "
            "to be predicted is accepted."
        )
    if not all(np.ndim(each) == 0 and not isinstance(each, (bytes, dict)) for each in known[:100]):
        raise Refusal(f"{where}: neither classes nor numbers; one value in each row is accepted.")
    target = _of_numbers(known, name, source.delimiter, model)
    if target is None:
        target = Target(name, tuple(sorted(set(map(spelled, known)))))
    y, _ = target.values(source)
    _check(y, target, model, where)
    return target


def column(source: Source, name: str) -> Any:
    """Return a column of a source as a narwhals series.

    Raises
    ------
    Refusal
        Where it has none of that name.
    """
    table = narwhals().from_native(source.frame, eager_only=True)
    if name in table.columns:
        return table.get_column(name)
    alike = near(name, table.columns, most=3)
    if alike:
        such = listing(map(repr, alike))
        raise Refusal(f"{source.name}: there is no column {name!r}. Near it: {such}.")
    there = listing(map(repr, table.columns), 10)
    raise Refusal(
        f"{source.name}: there is no column {name!r}; there are {there}. Pass one of these; the "
        "first line of a file has to have the names."
    )


def notes_on_target(
    source: Source, target: Target, y: Any, rows: Array, *, training: bool = True
) -> list[str]:
    """Return in sentences which rows have no target, and which classes have one row.

    Parameters
    ----------
    source : Source
    target : Target
    y, rows
        As `Target.values` returned them.
    training : bool
        Whether the rows are to be learnt from.
    """
    notes = [f"column {target.name!r}: {target.note}."] if training and target.note else []
    lacking = np.delete(np.arange(len(source.lines)), rows).tolist()
    if len(lacking):
        which = "line" if len(lacking) == 1 else "lines"
        given = cells(column(source, target.name))
        words = {k: "" if given[k] is None else f": {spelled(given[k])!r}" for k in lacking}
        at = listing(f"{source.lines[k]}{words[k]}" for k in lacking)
        notes.append(
            f"{source.name}: {number_of(len(lacking), 'row')} without a {target.name!r} left out "
            f"({which} {at})."
        )
    if training and target.classifies:
        counts = y.value_counts()
        alone = counts[counts == 1].index
        if len(alone):
            at = listing(f"{each!r} (line {y.index[y == each][0]})" for each in alone.tolist())
            notes.append(f"{source.name}: one row alone has the class {at}; it stays in training.")
    return notes


def _of_numbers(known: Sequence[Any], name: str, delimiter: str, model: str) -> Target | None:
    """Return a target of numbers: classes where they are few integers, or a model takes them so.

    None where the column has words.
    """
    numbers: Column | None = Column(name, "number", PLAIN)
    if all(isinstance(each, str) for each in known):
        numbers = numbers_with_words(name, known, list(dict.fromkeys(known)), delimiter)
    elif not all(isinstance(each, Number) and not isinstance(each, bool) for each in known):
        numbers = None
    if numbers is None:
        return None
    values = [exact_number(numbers.read, each) for each in known]
    distinct = {each for each in values if each is not None}
    whole = all(isinstance(each, int) and abs(each) < 2**63 for each in distinct)
    few = whole and (len(distinct) <= 2 or len(distinct) <= min(FEW_CLASSES, len(values) / 2))
    wanted = model in CLASSES_ALONE and whole
    classes = wanted or (few and model not in NUMBERS_ALONE)
    return Target(
        name, tuple(sorted(distinct)) if classes else (), True, numbers.read, numbers.note
    )


def _check(y: Any, target: Target, model: str, where: str) -> None:
    """Refuse targets that cannot be predicted, or not by this model."""
    n_rows, n_distinct = len(y), int(y.nunique())
    if target.classifies and model in NUMBERS_ALONE:
        some = listing((repr(each) for each in target.classes), 3)
        raise Refusal(
            f"{where}: {n_distinct:,} classes such as {some}; --model {model} predicts "
            "numbers. Pass --model logistic, or auto."
        )
    if not target.classifies and model in CLASSES_ALONE:
        raise Refusal(
            f"{where}: {n_distinct:,} different numbers, not all of them integers; --model "
            f"{model} predicts classes. Pass --model ridge (or auto, forest, boosting), or make "
            "them classes."
        )
    if n_distinct == 1:
        what = "class" if target.classifies else "value"
        raise Refusal(
            f"{where}: one {what} alone, {cut(y.iloc[0])!r}, in {number_of(n_rows, 'row')}; a "
            "target with two or more is accepted. See that the rows of the others are in the file."
        )
    if target.classifies and n_distinct > min(MOST_CLASSES, max(2, n_rows / 2)):
        line = f" (line {y.index[0]}: {cut(y.iloc[0], 30)!r})"
        raise Refusal(
            f"{where}: {n_distinct:,} different classes in {number_of(n_rows, 'row')}{line}; at "
            f"most {MOST_CLASSES}, and two rows a class, are accepted. Is it a name or a text? "
            "Pass the column of the classes, or join the rare ones."
        )
    if model == "poisson" and bool((y < 0).any()):
        line, value = y.index[y < 0][0], y[y < 0].iloc[0]
        raise Refusal(
            f"{where}, line {line}: {value:g}; --model poisson predicts counts, 0 or more. Pass "
            "--model ridge, or mend the line."
        )
