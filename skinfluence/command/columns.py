"""Which column of a table is what: a number, a category, a text, a date, or nothing of use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from skinfluence.inspection.tables import cut, number_of, pandas
from skinfluence.typing import Array

FEW = 20
"""Distinct values up to which words are categories, however long they are."""

FEW_WORDS = 5
"""Different words up to which they are missing values in a column of numbers; more are codes."""

LONG = 3.0
"""Words of the average cell from which on many distinct ones are free text."""

FEWEST_COUNTED = 10
"""Rows from which on integers that rise by one are taken for the number of the row."""

NAMES_SHOWN = 5
"""Columns that a note names."""

FORMATS = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d.%m.%y",
    "%m/%d/%y",
)
"""Of dates that are not as in ISO 8601; a time of day may follow. Day first, where both fit."""

TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")

_ID = re.compile(r"(^|[\W_])(id|uuid|guid|key|index|idx)$|[a-z]I[dD]$", re.I)
_POINTS = re.compile(r"[+-]?(?=[\d.])([1-9]\d{0,2}(,\d{3})+|\d+)?(\.\d*)?([eE][+-]?\d+)?")
_COMMAS = re.compile(r"[+-]?(?=[\d,])([1-9]\d{0,2}(\.\d{3})+|\d+)?(,\d*)?([eE][+-]?\d+)?")

LARGEST = 2.0**53
"""Integers from which on floats cannot tell them apart: those are names."""


def narwhals() -> Any:
    """Return narwhals.

    Raises
    ------
    ImportError
        Where it is not installed, with the way to get it.
    """
    try:
        import narwhals
    except ImportError as error:
        raise ImportError(
            "The command needs narwhals, which is not installed: pip install "
            "'skinfluence[command]'."
        ) from error
    return narwhals


@dataclass(frozen=True)
class Column:
    """What one column is.

    Attributes
    ----------
    name : str
    kind : {"number", "yes or no", "category", "text", "date"}
    read : callable or None
        From a cell that is text to what it stands for, of numbers and dates that came as text;
        ValueError for what is none.
    words : tuple of str
        Of a number: cells that are none, and count as missing.
    reading : str
        How cells were read that could be read otherwise; "" for the others.
    """

    name: str
    kind: str
    read: Callable[[str], Any] | None = field(default=None, compare=False)
    words: tuple[str, ...] = ()
    reading: str = ""


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are.

    Attributes
    ----------
    kept : tuple of Column
    left_out : dict of str
        Why, by the names of the columns that are of no use.
    """

    kept: tuple[Column, ...]
    left_out: dict[str, str]

    def of_kind(self, *kinds: str) -> list[str]:
        """Return the names of the columns of some kinds."""
        return [each.name for each in self.kept if each.kind in kinds]


def columns_of(frame: Any, target: str, *, delimiter: str = ",") -> Columns:
    """Say which column is what.

    Parameters
    ----------
    frame : pandas or polars DataFrame
    target : str
        The column that is none of the features.
    delimiter : str
        Between the columns of the file; numbers that came as text are read accordingly.

    Returns
    -------
    Columns

    Examples
    --------
    >>> import pandas as pd
    >>> from skinfluence.command.columns import columns_of
    >>> people = pd.DataFrame({"age": [31, 52, 47], "town": ["Ulm", "Ulm", "Jena"], "y": [0, 1, 1]})
    >>> [(each.name, each.kind) for each in columns_of(people, "y").kept]
    [('age', 'number'), ('town', 'category')]
    """
    table = narwhals().from_native(frame, eager_only=True)
    kept, left_out = [], {}
    for position, name in enumerate(table.columns):
        if name != target:
            what = _what(name, table.get_column(name), position == 0, delimiter)
            if isinstance(what, Column):
                kept.append(what)
            else:
                left_out[name] = what
    return Columns(tuple(kept), left_out)


def prepared(frame: Any, columns: Columns, lines: Sequence[int]) -> Any:
    """Return the columns that are kept as they are meant, under the numbers of their lines.

    Numbers are floats, categories and texts strings, dates times without a zone; what is missing is
    nan, of texts "".

    Parameters
    ----------
    frame : pandas or polars DataFrame
    columns : Columns
        Of this frame, or of one with the same columns.
    lines : sequence of int

    Returns
    -------
    pandas.DataFrame
    """
    table = narwhals().from_native(frame, eager_only=True)
    meant = {each.name: _meant(each, table.get_column(each.name)) for each in columns.kept}
    pd = pandas()
    return pd.DataFrame(meant, index=pd.Index(lines, name="line"))


def notes_on(columns: Columns, frame: Any) -> tuple[list[str], list[str]]:
    """Return in sentences what was imputed and left out, and what was read as something else.

    Parameters
    ----------
    columns : Columns
    frame : pandas.DataFrame
        What `prepared` returned.
    """
    notes, odd = [], []
    for column in columns.kept:
        if column.words:
            shown = listing(map(repr, column.words), 3)
            odd.append(f"column {column.name!r}: {shown} among numbers, taken as missing.")
        if column.reading:
            odd.append(f"column {column.name!r}: {column.reading}.")
    notes += missing_values(frame)
    reasons: dict[str, list[str]] = {}
    for name, why in columns.left_out.items():
        reasons.setdefault(why, []).append(name)
    if reasons:
        each = "; ".join(f"{listing(names)} ({why})" for why, names in reasons.items())
        notes.append(f"Left out: {each}.")
    return notes, odd


def missing_values(frame: Any) -> list[str]:
    """Return in a sentence what is missing, and what stands for it; nothing where nothing is.

    Parameters
    ----------
    frame : pandas.DataFrame
        What `prepared` returned.
    """
    lacking = [
        f"{name} ({number_of(int(n), 'row')})" for name, n in frame.isna().sum().items() if n
    ]
    if not lacking:
        return []
    verb = "has" if len(lacking) == 1 else "have"
    return [
        f"{number_of(len(lacking), 'column')} {verb} missing values: {listing(lacking)}; "
        'numbers get the median, categories "missing".'
    ]


def listing(names: Iterable[str], most: int = NAMES_SHOWN) -> str:
    """Return names as a sentence has them, the first few and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(cut(each) for each in every[:most]) + more


def cells(series: Any) -> list[Any]:
    """Return the values of a narwhals series, None for what is missing."""
    return [
        None if each is None or (np.isscalar(each) and each != each) else each
        for each in series.to_list()
    ]


def number_reader(values: Iterable[str], delimiter: str) -> tuple[Callable[[str], float], str]:
    """Return what reads the numbers of a column, all in one way, and what is to be said of that.

    Parameters
    ----------
    values : iterable of str
        Cells of the column.
    delimiter : str
        Between the columns. Where cells may be thousands or decimals, commas are decimal beside
        semicolons, which are there for that, and of thousands elsewhere.
    """
    with_commas = [each.strip() for each in values if "," in each]
    points, commas = (
        sum(bool(form.fullmatch(each)) for each in with_commas) for form in (_POINTS, _COMMAS)
    )
    if not points and not commas:
        return _decimal_points, ""
    if commas > points or (commas == points and delimiter == ";"):
        return _decimal_commas, "" if delimiter == ";" else "commas are read as decimal"
    return _decimal_points, "commas are read as those of thousands"


# --------------------------------------------------------------------------------- what a column is


def _what(name: str, series: Any, first: bool, delimiter: str) -> Column | str:
    """Return what a column is, or why it is of no use."""
    nw, dtype = narwhals(), series.dtype
    if dtype == nw.Boolean:
        return "one value alone" if _n_distinct(cells(series)) < 2 else Column(name, "yes or no")
    if dtype.is_numeric():
        return _number(name, floats(series))
    if dtype == nw.Date or dtype == nw.Datetime:
        return "one value alone" if _n_distinct(cells(series)) < 2 else Column(name, "date")
    if dtype in (nw.String, nw.Categorical, nw.Enum, nw.Object, nw.Unknown):
        return _written(name, cells(series), first, delimiter)
    return "neither numbers, nor text, nor dates"


def _n_distinct(values: Sequence[Any]) -> int:
    return len(set(values) - {None})


def floats(series: Any) -> Array:
    """Return a column of numbers as floats; what is infinite is missing."""
    values = np.asarray(series.cast(narwhals().Float64).to_numpy(), dtype=np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _number(name: str, values: Array) -> Column | str:
    known = values[~np.isnan(values)]
    if not len(known):
        return "nothing but missing values"
    if known.min() == known.max():
        return "one value alone"
    if len(known) == len(values) and np.array_equal(known, np.floor(known)):
        counts = len(known) >= FEWEST_COUNTED and bool(np.all(np.diff(known) == 1))
        if counts or (_ID.search(name) and len(np.unique(known)) == len(known)):
            return "a number of the row"
    return Column(name, "number")


def _written(name: str, values: Sequence[Any], first: bool, delimiter: str) -> Column | str:
    """Return what a column of text, or of anything else, is."""
    known = [each for each in values if each is not None]
    if not known:
        return "nothing but missing values"
    if not all(isinstance(each, (str, bool, int, float)) for each in known):
        if all(np.ndim(each) == 0 and not hasattr(each, "keys") for each in known[:100]):
            try:
                return _number(name, np.array([float(each) for each in known]))  # decimal.Decimal
            except (TypeError, ValueError):
                pass
        return "neither numbers, nor text, nor dates"
    texts = [str(each) for each in known]
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == 1 and len(known) == len(values):
        return "one value alone"
    number = numbers_with_words(name, texts, distinct, delimiter)
    if number is not None:
        no_use = _number(name, np.array([as_float(number.read, each) for each in values]))
        return no_use if isinstance(no_use, str) else number
    readers = _date_readers(distinct)
    if readers:
        orders = {each.form[:2] for each in readers if isinstance(each, _Format)}
        both = "" if len(orders) < 2 else "dates are read day first"
        return Column(name, "date", readers[0], reading=both)
    one_word = not any(" " in each for each in distinct)
    if len(distinct) == len(values) and one_word and (first or _ID.search(name)):
        return "a name of the row"
    n_words = sum(len(each.split()) for each in distinct) / len(distinct)
    free = n_words >= LONG and len(distinct) > min(FEW, len(known) / 2)
    return Column(name, "text" if free else "category")


def numbers_with_words(
    name: str, texts: Sequence[str], distinct: Sequence[str], delimiter: str
) -> Column | None:
    """Return a column of numbers as texts, a few words among them; None for what is none."""
    read, reading = number_reader(distinct, delimiter)
    words = {each for each in distinct if not _is(read, each)}
    if any(abs(read(each)) >= LARGEST for each in distinct if each.strip().isdecimal()):
        return None
    if not words:
        return Column(name, "number", read, reading=reading)
    n_numbers = sum(each not in words for each in texts)
    many = len(distinct) - len(words) > min(FEW, len(texts) / 2)
    if not many or len(words) > FEW_WORDS or n_numbers < len(texts) / 2:
        return None
    return Column(name, "number", read, tuple(each for each in distinct if each in words), reading)


def _is(read: Callable[[str], Any], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _decimal_points(text: str) -> float:
    if not _POINTS.fullmatch(text.strip()):
        raise ValueError(text)
    return float(text.replace(",", ""))


def _decimal_commas(text: str) -> float:
    if _COMMAS.fullmatch(text.strip()):
        return float(text.replace(".", "").replace(",", "."))
    if "," in text:
        raise ValueError(text)
    return _decimal_points(text)


def _date_readers(distinct: Sequence[str]) -> list[Callable[[str], datetime]]:
    """Return all that read every one of these texts as a date."""
    formats = [f"{each}{time}" for each in FORMATS for time in TIMES]
    readers: list[Callable[[str], datetime]] = [_iso, *(_Format(each) for each in formats)]
    some = [read for read in readers if all(_is(read, each) for each in distinct[:20])]
    return [read for read in some if all(_is(read, each) for each in distinct)]


def _iso(text: str) -> datetime:
    return _without_zone(datetime.fromisoformat(text.strip()))


@dataclass(frozen=True)
class _Format:
    """Reads dates of one format."""

    form: str

    def __call__(self, text: str) -> datetime:
        return datetime.strptime(text.strip(), self.form)


def _without_zone(time: Any) -> Any:
    zone = getattr(time, "tzinfo", None)
    return time if zone is None else time.astimezone(UTC).replace(tzinfo=None)


# ------------------------------------------------------------------------------------ what is meant


def _meant(column: Column, series: Any) -> Any:
    """Return the values of a column as what it is; what cannot be read as that is missing."""
    if column.kind == "number" and series.dtype.is_numeric():
        return floats(series)
    values = cells(series)
    if column.kind in ("number", "yes or no"):
        number = {each: as_float(column.read, each) for each in set(values)}
        numbers = np.array([number[each] for each in values])
        return np.where(np.isfinite(numbers), numbers, np.nan)
    if column.kind == "date":
        return pandas().to_datetime(
            pandas().Series([_time(column.read, each) for each in values], dtype=object).to_numpy(),
            errors="coerce",
        )
    missing = "" if column.kind == "text" else np.nan
    return np.array([missing if each is None else str(each) for each in values], dtype=object)


def as_float(read: Callable[[str], Any] | None, value: Any) -> float:
    """Return the number that a cell is, text or not; nan for what is none."""
    try:
        return float(read(value) if read is not None and isinstance(value, str) else value)
    except (TypeError, ValueError):
        return np.nan


def _time(read: Callable[[str], Any] | None, value: Any) -> Any:
    if value is None or not isinstance(value, str):
        return _without_zone(value)
    try:
        return (read or _iso)(value)
    except ValueError:
        return None
