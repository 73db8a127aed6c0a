"""Which column of a table is what: a number, a category, a text, a date, or nothing of use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import pairwise
from numbers import Number
from typing import Any

import numpy as np

from skinfluence.inspection.tables import cut, number_of, pandas

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
    "%d/%m/%y",
    "%m/%d/%y",
)
"""Of dates that are not as in ISO 8601; a time of day may follow. Day first, where both fit."""

KINDS = {"number": "numbers", "yes or no": "truths", "date": "dates"}
"""Cells of columns that can be missing though there is something in them."""

TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")

_ID = re.compile(r"(^|[\W_])(id|uuid|guid|key|index|idx)$|[a-z]I[dD]$", re.I)
_PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DECIMAL = re.compile(r"[+-]?(\d+(,\d*)?|,\d+|[1-9]\d{0,2}(\.\d{3})+(,\d*)?)([eE][+-]?\d+)?")
_THOUSANDS = re.compile(rf"[+-]?[1-9]\d{{0,2}}(,\d{{3}})+(\.\d*)?|{_PLAIN.pattern}")
_WORD = re.compile(r"\w\w")

TRUTHS = {"true": 1.0, "false": 0.0}


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
    read : callable
        From a cell that is text to what it stands for; ValueError for what is none.
    note : str
        How cells are read, where they could be read in another way; else "".
    """

    name: str
    kind: str
    read: Callable[[str], Any] = field(default=str, compare=False)
    note: str = ""


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


def notes_on(columns: Columns, frame: Any) -> list[str]:
    """Return in sentences what was imputed, and what was left out.

    Parameters
    ----------
    columns : Columns
    frame : pandas.DataFrame
        What `prepared` returned.
    """
    notes = notes_on_missing(columns, frame)
    reasons: dict[str, list[str]] = {}
    for name, why in columns.left_out.items():
        reasons.setdefault(why, []).append(name)
    if reasons:
        each = "; ".join(f"{listing(names)} ({why})" for why, names in reasons.items())
        notes.append(f"Left out: {each}.")
    return notes


def notes_on_missing(columns: Columns, frame: Any) -> list[str]:
    """Return in a sentence which columns have missing values, and what becomes of them."""
    counts = {name: int(n) for name, n in frame.isna().sum().items()}
    counts |= {name: int((frame[name] == "").sum()) for name in columns.of_kind("text")}
    lacking = [f"{name} ({number_of(n, 'row')})" for name, n in counts.items() if n]
    if not lacking:
        return []
    verb = "has" if len(lacking) == 1 else "have"
    return [
        f"{number_of(len(lacking), 'column')} {verb} missing values: {listing(lacking)}; "
        'numbers get the median, categories "missing".'
    ]


def notes_on_cells(columns: Columns, given: Any, meant: Any) -> list[str]:
    """Return in sentences which cells are not what their columns are, and count as missing.

    Parameters
    ----------
    columns : Columns
    given : pandas or polars DataFrame
    meant : pandas.DataFrame
        What `prepared` made of it.
    """
    table = narwhals().from_native(given, eager_only=True)
    notes = []
    for column in columns.kept:
        unread = np.flatnonzero(meant[column.name].isna())
        if not len(unread):
            continue
        values = cells(table.get_column(column.name))
        words = [spelled(values[k]) for k in unread if values[k] is not None]
        if words:
            shown = listing(map(repr, dict.fromkeys(words)), 3)
            notes.append(
                f"column {column.name!r}: {shown} among {KINDS[column.kind]}, taken as missing "
                f"({number_of(len(words), 'row')})."
            )
    return notes


def listing(names: Iterable[str], most: int = NAMES_SHOWN) -> str:
    """Return names as a sentence has them, the first few and how many more there are."""
    every = list(names)
    more = f" and {len(every) - most:,} more" if len(every) > most else ""
    return ", ".join(cut(each) for each in every[:most]) + more


def cells(series: Any) -> list[Any]:
    """Return the values of a narwhals series, None for what is missing."""
    nothing = series.is_null().to_list()
    return [
        None if null or (isinstance(each, float) and each != each) else each
        for null, each in zip(nothing, series.to_list(), strict=True)
    ]


def spelled(value: Any) -> str:
    """Return a cell as a text file would have it: 1, of a float that is an integer, too."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value).strip()


def reading_of_numbers(texts: Sequence[str], delimiter: str) -> tuple[Callable[[str], Any], str]:
    """Return what reads most cells of a column as numbers, one way for all, and a note.

    Parameters
    ----------
    texts : sequence of str
        Different cells of the column.
    delimiter : str
        Between the columns. Where commas can be decimal and those of thousands, they are decimal
        beside semicolons and tabs, which are there for that.

    Returns
    -------
    read : callable
        Exact integers and floats of texts; ValueError for what is no number.
    note : str
        Where commas could be read in both ways: in which they are; else "".
    """
    decimal = _Number(_DECIMAL, {".": "", ",": "."}, "decimal")
    thousands = _Number(_THOUSANDS, {",": ""}, "those of thousands")
    commas = [decimal, thousands] if delimiter in ";\t" else [thousands, decimal]
    if all(PLAIN.fits(text) for text in texts):
        return PLAIN, ""
    ways: list[_Number] = [PLAIN, *commas]
    fits = {each: sum(each.fits(text) for text in texts) for each in ways}
    best = max(fits, key=lambda each: fits[each])  # the first of equals
    either = [text for text in texts if "," in text and decimal.fits(text) and thousands.fits(text)]
    if not either or fits[decimal] != fits[thousands]:
        return best, ""
    return best, f"commas as in {either[0]!r} are taken as {best.meaning}, and could be either"


@dataclass(frozen=True, eq=False)
class _Number:
    """Reads numbers of one manner of writing."""

    pattern: re.Pattern[str]
    replaced: dict[str, str] = field(default_factory=dict)
    meaning: str = ""

    def fits(self, text: str) -> bool:
        return self.pattern.fullmatch(text.strip()) is not None

    def __call__(self, text: str) -> int | float:
        if not self.fits(text):
            raise ValueError(text)
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        text = text.strip()
        return int(text) if text.lstrip("+-").isdecimal() else float(text)


PLAIN = _Number(_PLAIN)
"""Reads numbers without commas."""


# --------------------------------------------------------------------------------- what a column is


def _what(name: str, series: Any, first: bool, delimiter: str) -> Column | str:
    """Return what a column is, or why it is of no use."""
    nw, dtype, values = narwhals(), series.dtype, cells(series)
    known = [each for each in values if each is not None]
    if not known:
        return "nothing but missing values"
    if dtype == nw.Boolean:
        return _unless_one(Column(name, "yes or no", _truth), known, values)
    if dtype in (nw.Date, nw.Datetime) or all(isinstance(each, date) for each in known):
        return _unless_one(Column(name, "date", _iso), known, values)
    if all(isinstance(each, str) for each in known):
        return _written(name, known, values, first, delimiter)
    if all(isinstance(each, (bool, np.bool_)) for each in known):
        return _unless_one(Column(name, "yes or no", _truth), known, values)
    if all(isinstance(each, (Number, np.number)) for each in known):
        return _number(Column(name, "number", PLAIN), known, values)
    if all(np.isscalar(each) for each in known):
        return _written(name, list(map(spelled, known)), values, first, delimiter)
    return "neither numbers, nor text, nor dates"


def _unless_one(column: Column, known: Sequence[Any], values: Sequence[Any]) -> Column | str:
    """Return a column, unless all of its values are the same; a missing one says something."""
    alone = len(set(known)) == 1 and (column.kind != "category" or len(known) == len(values))
    return "one value alone" if alone else column


def _number(column: Column, known: Sequence[Any], values: Sequence[Any]) -> Column | str:
    """Return a column of numbers, unless they count the rows, or name them."""
    finite = [each for each in known if np.isfinite(float(each))]
    if not finite:
        return "nothing but missing values"
    if len(finite) == len(values) and all(each == int(each) for each in finite):
        counts = len(finite) >= FEWEST_COUNTED and all(b - a == 1 for a, b in pairwise(finite))
        if counts or (_ID.search(column.name) and len(set(finite)) == len(finite)):
            return "a number of the row"
    return _unless_one(column, finite, values)


def _truth(text: str) -> float:
    if text.strip().lower() not in TRUTHS:
        raise ValueError(text)
    return TRUTHS[text.strip().lower()]


def _written(
    name: str, texts: Sequence[str], values: Sequence[Any], first: bool, delimiter: str
) -> Column | str:
    """Return what a column of text is."""
    distinct = list(dict.fromkeys(texts))
    number = numbers_with_words(name, texts, distinct, delimiter)
    if number is not None:
        numbers = _readings(number.read, distinct)
        return _number(number, [numbers[each] for each in texts if each in numbers], values)
    if all(_is(_truth, each) for each in distinct):
        return _unless_one(Column(name, "yes or no", _truth), list(map(_truth, distinct)), values)
    dates = _dates(name, distinct)
    if dates is not None:
        return _unless_one(dates, distinct, values)
    one_word = not any(" " in each for each in distinct)
    if len(distinct) == len(values) > 1 and one_word and (first or _ID.search(name)):
        return "a name of the row"
    n_words = sum(len(each.split()) for each in distinct) / len(distinct)
    free = n_words >= LONG and len(distinct) > min(FEW, len(texts) / 2)
    worded = sum(_WORD.search(each) is not None for each in distinct) > len(distinct) / 2
    return _unless_one(Column(name, "text" if free and worded else "category"), texts, values)


def numbers_with_words(
    name: str, texts: Sequence[str], distinct: Sequence[str], delimiter: str
) -> Column | None:
    """Return a column of numbers as texts, a few words among them; None for what is none."""
    read, note = reading_of_numbers(distinct, delimiter)
    words = set(distinct) - set(_readings(read, distinct))
    if words:
        n_numbers = sum(each not in words for each in texts)
        many = len(distinct) - len(words) > min(FEW, len(texts) / 2)
        if not many or len(words) > FEW_WORDS or n_numbers < len(texts) / 2:
            return None
    return Column(name, "number", read, note)


def _readings(read: Callable[[str], Any], texts: Sequence[str]) -> dict[str, Any]:
    """Return what texts stand for, as far as they can be read."""
    found = ((text, _reading(read, text)) for text in texts)
    return {text: value for text, value in found if value is not None}


def _is(read: Callable[[str], Any], text: str) -> bool:
    return _reading(read, text) is not None


def _reading(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except ValueError:
        return None


def _dates(name: str, distinct: Sequence[str]) -> Column | None:
    """Return a column every text of which is a date of one format; None where there is none."""
    formats = [_Format(f"{each}{time}") for each in FORMATS for time in TIMES]
    ways: list[Callable[[str], datetime]] = [_iso, *formats]
    fitting = [read for read in ways if all(_is(read, each) for each in distinct)]
    if not fitting:
        return None
    first = dict.fromkeys(each.first for each in fitting if isinstance(each, _Format))
    if len(first) < 2:
        return Column(name, "date", fitting[0])
    note = f"dates as {distinct[0]!r} are read {next(iter(first))} first, and could be either"
    return Column(name, "date", fitting[0], note)


def _iso(text: str) -> datetime:
    return _without_zone(datetime.fromisoformat(text.strip()))


@dataclass(frozen=True)
class _Format:
    """Reads dates of one format."""

    form: str

    @property
    def first(self) -> str:
        """What comes first, the day or the month."""
        months = max(self.form.find(each) for each in ("%m", "%b", "%B"))
        return "day" if self.form.index("%d") < months else "month"

    def __call__(self, text: str) -> datetime:
        return datetime.strptime(text.strip(), self.form)


def _without_zone(time: Any) -> Any:
    zone = getattr(time, "tzinfo", None)
    return time if zone is None else time.astimezone(UTC).replace(tzinfo=None)


# ------------------------------------------------------------------------------------ what is meant


def _meant(column: Column, series: Any) -> Any:
    """Return the values of a column as what it is; what cannot be read as that is missing."""
    values = [_meaning(column, each) for each in cells(series)]
    if column.kind == "date":
        return pandas().to_datetime(np.array(values, dtype=object), errors="coerce")
    if column.kind == "text":
        return np.array(["" if each is None else each for each in values], dtype=object)
    if column.kind == "category":
        return np.array([np.nan if each is None else each for each in values], dtype=object)
    numbers = np.array([np.nan if each is None else each for each in values], dtype=np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _meaning(column: Column, value: Any) -> Any:
    """Return what a cell stands for in a column; None for what is none of its kind."""
    if value is None:
        return None
    try:
        if column.kind in ("category", "text"):
            return spelled(value)
        if isinstance(value, str):
            return column.read(value)
        return _without_zone(value) if column.kind == "date" else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
