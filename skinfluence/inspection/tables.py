"""Small tables as text and as HTML, and the door to pandas."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from numbers import Integral, Real
from typing import Any

import numpy as np

from skinfluence.typing import Array

WIDEST = 48
"""Characters of a cell; longer text is cut."""

STYLE = """
<style>
.skinfluence {font-family: inherit; color: inherit; line-height: 1.45; margin: .4em 0;}
.skinfluence p {margin: .3em 0; max-width: 60em;}
.skinfluence table {border-collapse: collapse; color: inherit; background: transparent;
  font-variant-numeric: tabular-nums; font-size: .95em; margin: .4em 0; border: none;}
.skinfluence th, .skinfluence td {padding: .2em .8em .2em 0; border: none; color: inherit;
  background: transparent; text-align: left; white-space: pre;}
.skinfluence th {font-weight: 600; border-bottom: 1px solid rgba(128, 128, 128, .6);}
.skinfluence .number {text-align: right;}
.skinfluence .remark {opacity: .8; font-size: .92em;}
.skinfluence .bar {display: inline-block; height: .7em; border-radius: 2px; min-width: 1px;}
</style>
"""

BLUE, RED = "#3b82c4", "#d4694c"


def pandas() -> Any:
    """Return pandas.

    Raises
    ------
    ImportError
        Where it is not installed, with the way to get it.
    """
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "Tables need pandas, which is not installed: pip install 'skinfluence[plot]'."
        ) from error
    return pandas


def text_table(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return a table as text, numbers to the right, the rest to the left.

    Parameters
    ----------
    columns : mapping from names to values, all of one length

    Returns
    -------
    str
    """
    padded = []
    for name, values in columns.items():
        cells = [name, *written(values)]
        width, to_the_right = max(map(len, cells)), are_numbers(values)
        padded.append(
            [f"{each:>{width}}" if to_the_right else f"{each:<{width}}" for each in cells]
        )
    return "\n".join("  " + "  ".join(line).rstrip() for line in zip(*padded, strict=True))


def html_table(columns: Mapping[str, Sequence[Any]], bar: str | None = None, blue: int = 1) -> str:
    """Return a table as HTML, all text escaped.

    Parameters
    ----------
    columns : mapping from names to values, all of one length
    bar : str, optional
        A column of numbers that is drawn beside its values.
    blue : {1, -1}
        The sign of the numbers that are drawn in blue; the others are red.

    Returns
    -------
    str
    """
    cells = {
        name: [_cell(each, values) for each in written(values)] for name, values in columns.items()
    }
    heads = {name: _cell(name, values, "th") for name, values in columns.items()}
    if bar in columns:
        at = list(columns).index(str(bar)) + 1
        names = list(columns)
        order = [*names[:at], "", *names[at:]]
        cells[""], heads[""] = (
            [f"<td>{each}</td>" for each in _bars(columns[str(bar)], blue)],
            "<th></th>",
        )
    else:
        order = list(columns)
    head = "".join(heads[name] for name in order)
    lines = zip(*(cells[name] for name in order), strict=True)
    body = "".join(f"<tr>{''.join(line)}</tr>\n" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"


def html_page(heading: str, table: str, remarks: Sequence[str]) -> str:
    """Return a heading, a table and remarks as a piece of HTML that needs no script."""
    lines = "".join(f'<p class="remark">{escape(remark)}</p>\n' for remark in remarks)
    return f'{STYLE}<div class="skinfluence">\n<p>{escape(heading)}</p>\n{table}{lines}</div>\n'


def _cell(text: str, values: Sequence[Any], tag: str = "td") -> str:
    kind = ' class="number"' if are_numbers(values) else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"


def _bars(values: Sequence[Any], blue: int) -> list[str]:
    numbers = np.nan_to_num(np.asarray(values, dtype=np.float64), posinf=0.0, neginf=0.0)
    largest = np.abs(numbers).max(initial=0.0)
    widths = 8.0 * np.abs(numbers) / largest if largest > 0 else np.zeros(len(numbers))
    return [
        f'<span class="bar" style="width: {width:.2f}em; background: '
        f'{BLUE if blue * number >= 0 else RED}"></span>'
        for number, width in zip(numbers, widths, strict=True)
    ]


def are_numbers(values: Sequence[Any]) -> bool:
    """Return whether all values of a column are numbers."""
    others = (bool, np.bool_, np.timedelta64)  # that are Real, too
    return all(isinstance(each, Real) and not isinstance(each, others) for each in values)


def written(values: Sequence[Any]) -> list[str]:
    """Return the values of a column as text."""
    if not are_numbers(values) or all(float(each).is_integer() for each in values):
        return [cut(each) for each in values]
    numbers = np.array([float(each) for each in values])
    sizes = np.abs(numbers[np.isfinite(numbers) & (numbers != 0)])
    orders = np.floor(np.log10(sizes)) if len(sizes) else np.zeros(1)
    if orders.max() > 6 or orders.min() < -5 or orders.max() - orders.min() > 5:
        return [f"{each:.3g}" for each in numbers]
    decimals = int(np.clip(2 - orders.max(), 0, None))
    decimals = max(
        decimals, int(np.clip(-orders.min(), 0, decimals + 2))
    )  # a digit of the smallest
    return [f"{each:.{decimals}f}" for each in numbers]


def line_of(labels: Array, label: Any, position: Any, *, name: str) -> int:
    """Return the line of a label or of a position; the first where neither is given.

    Raises
    ------
    ValueError
        For both, a position that is not there, a label that no line or more than one has.
    """
    n, listed = len(labels), plain(labels)
    if label is not None and position is not None:
        raise ValueError(
            f"{name}={label!r} and position={position!r} were given; one of them is accepted."
        )
    if label is not None:
        found = [at for at, each in enumerate(listed) if _is_same(each, label)]
        if len(found) == 1:
            return found[0]
        have = "several rows have" if found else "no row has"
        raise ValueError(
            f"{name}={label!r} was given, a label that {have}; a label of one, such as "
            f"{listed[:3]}, is accepted, or position=, 0 to {n - 1}, to go by the order."
        )
    if position is None:
        return 0
    if not isinstance(position, Integral) or not -n <= int(position) < n:
        raise ValueError(
            f"position={position!r} was given; the position of a row, 0 to {n - 1}, is accepted."
        )
    return int(position) % n


def _is_same(label: Any, given: Any) -> bool:
    same = label == given
    return isinstance(same, (bool, np.bool_)) and bool(same)


def beside(names: Iterable[Any], taken: Collection[str], what: str) -> list[Any]:
    """Return names of columns beside others; one that is taken says what it is: "row (feature)"."""
    return [f"{name} ({what})" if name in taken else name for name in names]


def number_of(n: int, noun: str) -> str:
    """Return a number with its noun: "1 row", "1,200 rows"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def of_number(n: int, one: str, more: str) -> str:
    """Return the form of a word that goes with a number: 1 has, 2 have."""
    return one if n == 1 else more


def at_most(k: Any) -> int | None:
    """Return how many rows were asked for; None for all."""
    if k is None or (isinstance(k, Integral) and not isinstance(k, bool) and int(k) >= 0):
        return None if k is None else int(k)
    raise ValueError(
        f"k={k!r} was given; a number of rows, 0 or more, is accepted, or None for all of them."
    )


def cut(value: Any, widest: int = WIDEST) -> str:
    """Return a value as text in one line, cut where it is long."""
    text = f"{value:.10g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= widest else text[: widest - 1].rstrip() + "…"


def plain(labels: Array) -> list[Any]:
    """Return labels as a list; tuples stay one label each, times are times."""
    return list(labels) if labels.dtype.kind in "mM" else list(labels.tolist())
