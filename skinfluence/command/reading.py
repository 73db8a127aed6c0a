"""Files to frames, every row under the number of the line at which it begins."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any, BinaryIO

from skinfluence.command.refusal import Refusal
from skinfluence.inspection.tables import cut, number_of, pandas

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}

MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "<NA>")
"""Cells that hold nothing. "None" is a word: it may well be a class."""

RECORDS_TRIED = 200
"""Records by which the delimiter is chosen."""

LONGEST_FIELD = 2**24
"""Characters of a cell; beyond, a quote was opened and never closed."""

END = "\x03"
"""A record after the last; where a quote is never closed, it is no record of its own."""

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, and the encodings of files that begin with them."""


@dataclass(frozen=True, eq=False)
class Source:
    """What was read.

    Attributes
    ----------
    name : str
        Of the file, as messages have it.
    frame : pandas.DataFrame or polars.DataFrame
        Cells of text files are text, None where they hold nothing; Parquet keeps its types.
    lines : sequence of int
        The line of the file at which each row begins, as editors count; of a Parquet file its
        number, from 1.
    delimiter : str
        Between its columns.
    notes : tuple of str
        What a person may want to know of the reading.
    """

    name: str
    frame: Any
    lines: Sequence[int]
    delimiter: str = ","
    notes: tuple[str, ...] = ()


def read(path: str, stdin: BinaryIO) -> Source:
    """Read a table: CSV with any usual delimiter, Parquet, either of them gzipped.

    What a file is, is seen by what is in it, not by its name.

    Parameters
    ----------
    path : str
        "-" is the standard input.
    stdin : binary file

    Returns
    -------
    Source

    Raises
    ------
    Refusal
        For files that are not there or are no table, with the line at which that shows.
    """
    name = "standard input" if path == "-" else path
    data = _unpacked(_bytes_of(path, stdin), name)
    if not data.strip():
        raise Refusal(_empty(name))
    if data.startswith(b"PAR1"):
        frame = _parquet(data, name)
        return Source(name, frame, range(1, len(frame) + 1))
    text, notes = _decoded(data, name)
    if not text.strip():
        raise Refusal(_empty(name))
    if text.lstrip()[:1] in ("<", "{", "["):
        raise Refusal(
            f"{name}, line 1: {cut(text.lstrip(), 30)!r} begins a web page or JSON, no table; CSV "
            "and Parquet are accepted."
        )
    with _long_fields():
        frame, lines, delimiter = _table(text, name)
    return Source(name, frame, lines, delimiter, tuple(notes))


# ----------------------------------------------------------------------------------- bytes and text


def _bytes_of(path: str, stdin: BinaryIO) -> bytes:
    if path == "-":
        return stdin.read()
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        there = _alike(Path(path))
        raise Refusal(f"{path}: there is no such file.{there}") from None
    except IsADirectoryError:
        raise Refusal(f"{path} is a folder; pass one file, CSV or Parquet.") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise Refusal(f"{path} cannot be read: {why}.") from None


def _alike(path: Path) -> str:
    try:
        names = [each.name for each in islice(path.parent.iterdir(), 1000) if each.is_file()]
    except OSError:
        return f" The folder {path.parent} is not there or cannot be read."
    such = get_close_matches(path.name, names, n=3, cutoff=0.75)
    return f" Near it: {', '.join(such)}." if such else " Look for a slip in its name."


def _unpacked(data: bytes, name: str) -> bytes:
    if data.startswith(b"\x1f\x8b"):
        try:
            return gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            raise Refusal(
                f"{name} is gzipped, and damaged or cut off; pass a whole file."
            ) from None
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise Refusal(
            f"{name} is a workbook or an archive, no text; save the sheet as CSV and pass that."
        )
    return data


def _decoded(data: bytes, name: str) -> tuple[str, list[str]]:
    """Return a text, and notes on how it was decoded."""
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            try:
                return data.decode(encoding), []
            except UnicodeDecodeError as error:
                line = data[: error.start].decode(encoding, "ignore").count("\n") + 1
                raise Refusal(
                    f"{name}, line {line}: the file begins as {encoding.upper()}, and these bytes "
                    "are none; save it as UTF-8."
                ) from None
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise Refusal(
            f"{name}, line {line}: there are zero bytes, so this is no text in UTF-8 or Latin-1; "
            "CSV and Parquet are accepted. Save it as CSV in UTF-8."
        )
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
    note = f"{name}, line {line}: not in UTF-8; read as Latin-1 (cp1252)."
    try:
        return data.decode("cp1252"), [note]
    except UnicodeDecodeError:
        return data.decode("latin-1"), [note]


# ------------------------------------------------------------------------------------------- tables


def _table(text: str, name: str) -> tuple[Any, list[int], str]:
    """Return the frame of a text with delimiters, the lines of its rows, and the delimiter."""
    delimiter = delimiter_of(text)
    records = _records(text, delimiter, name)
    first_line, header = next(records, (1, []))
    if not header:
        raise Refusal(_empty(name))
    names = _names(header, first_line, name)
    lines, rows = [], []
    for line, record in records:
        lines.append(line)
        rows.append(record)
    ragged = [
        (line, len(row)) for line, row in zip(lines, rows, strict=True) if len(row) != len(names)
    ]
    if ragged:
        raise Refusal(_ragged(ragged, names, first_line, len(lines), delimiter, name))
    if not lines:
        raise Refusal(
            f"{name} has the names of {number_of(len(names), 'column')} and no row; a row for "
            "every example is accepted."
        )
    cells = (
        [None if each.strip() in MISSING else each for each in column]
        for column in zip(*rows, strict=True)
    )
    frame = pandas().DataFrame(dict(zip(names, cells, strict=True)), dtype=object)
    return frame, lines, delimiter


def _empty(name: str) -> str:
    return f"{name} is empty; a table is accepted, its columns named in the first line."


def delimiter_of(text: str) -> str:
    r"""Return what separates the columns: that which gives most records as many as the first line.

    Parameters
    ----------
    text : str

    Returns
    -------
    str
        One of ``DELIMITERS``; a comma where none is there.

    Examples
    --------
    >>> from skinfluence.command.reading import delimiter_of
    >>> delimiter_of("height;weight\n1,80;75,5\n1,64;60,1\n")
    ';'
    """

    def fit(delimiter: str) -> tuple[float, int]:
        try:
            rows = csv.reader(_pieces(text), delimiter=delimiter)
            filled = (len(row) for row in rows if any(map(str.strip, row)))
            widths = list(islice(filled, RECORDS_TRIED))
        except csv.Error:
            return 0.0, 0
        if not widths or widths[0] == 1:
            return 0.0, 0
        return sum(width == widths[0] for width in widths) / len(widths), widths[0]

    return max(DELIMITERS, key=fit)


def _records(text: str, delimiter: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line at which each record begins, and its fields; blank lines are no records."""
    end = "\n" if "\n" in text else "\r"
    begins = list(accumulate((each.endswith(end) for each in _pieces(text)), initial=1))
    pieces = chain(_pieces(text), ["\n", END])
    reader = csv.reader(pieces, delimiter=delimiter, skipinitialspace=True)
    line, after, record, why = 1, 1, [END], ""
    try:
        for record in reader:
            line, after = after, begins[min(reader.line_num, len(begins) - 1)]
            if record != [END] and (len(record) > 1 or (record and record[0].strip())):
                yield line, record
    except csv.Error as error:
        line, why = after, f"{error}; "
    if why or record != [END]:
        raise Refusal(
            f"{name}, line {line}: {why}a quote may be opened here and never closed. Close it, or "
            "take it out."
        )


def _pieces(text: str) -> Iterator[str]:
    r"""Yield what ends in "\n", "\r\n" or a lone "\r", which is no line of a file with others."""
    return iter(io.StringIO(text, newline=""))


@contextmanager
def _long_fields() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _names(header: Sequence[str], line: int, name: str) -> list[str]:
    """Return the names of the columns; one without a name gets its number."""
    names = [each.strip() or f"column {k}" for k, each in enumerate(header, start=1)]
    seen: dict[str, int] = {}
    for k, each in enumerate(names, start=1):
        if each in seen:
            raise Refusal(
                f"{name}, line {line}: columns {seen[each]} and {k} are both called {each!r}; a "
                "name for each column is accepted. Rename one of them."
            )
        seen[each] = k
    return names


def _ragged(
    ragged: Sequence[tuple[int, int]],
    names: Sequence[str],
    first_line: int,
    n_rows: int,
    delimiter: str,
    name: str,
) -> str:
    """Return what is said of records that have not as many fields as there are columns."""
    line, got = ragged[0]
    more = len(ragged) - 1
    others = f" (as in {number_of(more, 'other line')})" if more else ""
    text = (
        f"{name}, line {line}: {number_of(got, 'field')}{others}, where line {first_line} names "
        f"{number_of(len(names), 'column')}. "
    )
    if len(ragged) == n_rows and {width for _, width in ragged} == {len(names) + 1}:
        return text + "Every row has one more: give the column without a name one."
    if got > len(names):
        return text + f"Put quotes around cells that hold {DELIMITERS[delimiter]}."
    return text + "Complete the line, or take it out; a quote may be opened and never closed."


def _parquet(data: bytes, name: str) -> Any:
    """Return the frame of a Parquet file, by pyarrow or by polars."""
    try:
        frame = _parquet_frame(data)
    except ImportError:
        raise Refusal(
            f"{name} is a Parquet file, which needs pyarrow or polars, and neither is installed: "
            "pip install pyarrow."
        ) from None
    except Exception as error:  # each reader has its own
        raise Refusal(f"{name} is a Parquet file that cannot be read: {cut(error, 120)}") from None
    if not len(frame):
        raise Refusal(f"{name} has no row; a row for every example is accepted.")
    return frame


def _parquet_frame(data: bytes) -> Any:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        import polars

        return polars.read_parquet(io.BytesIO(data))
    frame = pandas().read_parquet(io.BytesIO(data), engine="pyarrow")
    named = any(each is not None for each in frame.index.names)
    return frame.reset_index() if named else frame
