"""What a person reads on the terminal, and what a pipe gets: 80 columns wide."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from skinfluence.inspection.tables import cut, text_table

WIDTH = 80
"""Columns of a line where no terminal says how many there are."""

WIDEST = 28
"""Characters of a cell where there is not room for longer ones; the rest is cut."""


def say(*lines: str) -> None:
    """Print lines; where nobody reads them any more, quietly go on without."""
    try:
        print(*lines, sep="\n", flush=True)
    except BrokenPipeError:
        _close(sys.stdout)
    except UnicodeEncodeError:  # a terminal of few characters
        encoding = sys.stdout.encoding
        print(*(each.encode(encoding, "replace").decode(encoding) for each in lines), sep="\n")


def warn(*lines: str) -> None:
    """Print lines on the standard error."""
    try:
        for line in lines:
            print(wrapped(line, width_of(sys.stderr)), file=sys.stderr, flush=True)
    except BrokenPipeError:
        _close(sys.stderr)


def width_of(stream: TextIO) -> int:
    """Return how many columns a line has: of the terminal, or 80."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if stream.isatty() else WIDTH


def wrapped(text: str, width: int, indent: str = "") -> str:
    """Return a paragraph in lines of some width, the second and later ones indented."""
    return textwrap.fill(
        text,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(columns: Mapping[str, Sequence[Any]], width: int, always: int = 1) -> str:
    """Return a table as text, without the last of its columns where it would be too wide.

    Long cells are cut before columns go.

    Parameters
    ----------
    columns : mapping from names to values, all of one length
    width : int
    always : int
        So many of the first columns are there, whatever they take.

    Returns
    -------
    str

    Examples
    --------
    >>> from skinfluence.command.printing import table
    >>> print(table({"line": [7, 12], "score": [0.51, -0.2], "town": ["Ulm", "Jena"]}, width=16))
      line   score
         7   0.510
        12  -0.200
    """
    whole = text_table(columns)
    shown = {cut(name, WIDEST): _short(values) for name, values in columns.items()}
    names = list(shown)
    while not _fits(whole, width) and len(names) >= always:
        whole = text_table({name: shown[name] for name in names})
        names.pop()
    return whole


def _fits(text: str, width: int) -> bool:
    return max(map(len, text.split("\n"))) <= width


def _short(values: Iterable[Any]) -> list[Any]:
    return [cut(each, WIDEST) if isinstance(each, str) else each for each in values]


def _close(stream: TextIO) -> None:
    """Let what is written from now on, and what Python flushes when it ends, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
