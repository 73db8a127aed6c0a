"""A report as HTML: a page of its own, or a piece for notebooks and other pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from importlib.resources import files
from math import isfinite
from typing import Any

from skinfluence.inspection.report.contents import Contents, Picture, Section, Table
from skinfluence.inspection.report.figures import LARGEST, svg
from skinfluence.inspection.report.findings import SEVERITIES, Finding
from skinfluence.inspection.tables import are_numbers, written

FIRST_ROWS = 50
"""Rows of a table that stand in the page as they are; a script shows the others."""

ALL_PICTURES = 180_000
"""Characters that the pictures of a report share."""

_MISSING = "\N{EN DASH}"


def page(contents: Contents) -> str:
    """Return a report as a whole HTML document, which asks nothing of any network.

    Parameters
    ----------
    contents : Contents

    Returns
    -------
    str
        The same for the same contents.

    Raises
    ------
    ImportError
        Without jinja2 or matplotlib, with the way to get them.
    """
    return _rendered(_report(contents, "", _drawing(contents)), whole=True)


def snippet(contents: Contents) -> str:
    """Return a report as a piece of HTML for a notebook or another page.

    Where scripts run, it stands in a shadow root, out of the reach of the page's styles; where
    they do not, all its selectors are its own. Several may stand in one page.

    Parameters
    ----------
    contents : Contents

    Returns
    -------
    str
        The same for the same contents.

    Raises
    ------
    ImportError
        Without jinja2 or matplotlib, with the way to get them.
    """
    words = repr(_report(contents, "", lambda picture, name: picture.name))
    prefix = f"ski-{sha256(words.encode('utf-8', 'replace')).hexdigest()[:8]}-"
    return _rendered(_report(contents, prefix, _drawing(contents)), whole=False)


def jinja2() -> Any:
    """Return jinja2.

    Raises
    ------
    ImportError
        Where it is not installed, with the way to get it.
    """
    try:
        import jinja2
    except ImportError as error:
        raise ImportError(
            "A report as HTML needs jinja2, which is not installed: pip install "
            "'skinfluence[report]'."
        ) from error
    return jinja2


def _rendered(report: dict[str, Any], whole: bool) -> str:
    engine, here = jinja2(), files("skinfluence.inspection.report")
    template, style, script = (
        here.joinpath(name).read_text(encoding="utf-8")
        for name in ("template.html", "report.css", "report.js")
    )
    environment = engine.Environment(autoescape=True, undefined=engine.StrictUndefined)
    html: str = environment.from_string(template).render(
        report=report, whole=whole, style=style, script=script
    )
    return html.encode("utf-8", "replace").decode("utf-8")  # no file holds half a character


# ------------------------------------------------------------- contents, as the template has them


def _drawing(contents: Contents) -> Callable[[Picture, str], str]:
    """Return what draws pictures, all of them within their share of the page."""
    n_pictures = sum(map(_n_pictures, contents.sections))
    return partial(svg, largest=min(LARGEST, ALL_PICTURES // max(n_pictures, 1)))


def _n_pictures(section: Section) -> int:
    return len(section.pictures) + sum(map(_n_pictures, section.parts))


def _report(contents: Contents, prefix: str, draw: Callable[[Picture, str], str]) -> dict[str, Any]:
    return {
        "title": contents.title,
        "subtitle": contents.subtitle,
        "sections": [_section(each, prefix, draw) for each in contents.sections],
    }


def _section(section: Section, prefix: str, draw: Callable[[Picture, str], str]) -> dict[str, Any]:
    name = prefix + section.name
    return {
        "id": name,
        "title": section.title,
        "lead": section.lead,
        "text": section.text,
        "findings": _findings(section.findings),
        "facts": {str(fact): str(value) for fact, value in section.facts.items()},
        "pictures": [draw(each, f"{name}-picture{at}") for at, each in enumerate(section.pictures)],
        "tables": [_table(each, f"{name}-table{at}") for at, each in enumerate(section.tables)],
        "parts": [_section(each, prefix, draw) for each in section.parts],
    }


def _findings(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    found = [each for each in findings if each.state == "found"]
    worst_first = (*SEVERITIES, "")
    return {
        "found": sorted(found, key=lambda each: worst_first.index(each.severity)),
        "others": [each for each in findings if each.state != "found"],
    }


def _table(table: Table, name: str) -> dict[str, Any]:
    columns = [_column(key, values, key == table.bar) for key, values in table.columns.items()]
    n_rows = max((len(each["texts"]) for each in columns), default=0)
    n_first = min(n_rows, FIRST_ROWS)
    return {
        "id": name,
        "name": table.name,
        "n_rows": n_rows,
        "blue": table.blue,
        "scale": next((_scale(each["texts"]) for each in columns if each["bar"]), None),
        "columns": columns,
        "first": [[_cell(each, row, table.blue) for each in columns] for row in range(n_first)],
        "rest": _as_json([_rest(each) for each in columns]) if n_rows > n_first else "",
    }


def _column(name: Any, values: Sequence[Any], has_bar: bool) -> dict[str, Any]:
    """Return a column as text, None where a value is missing."""
    there = [not _is_missing(each) for each in values]
    known = [each for each, is_there in zip(values, there, strict=True) if is_there]
    numeric = are_numbers(known) and (bool(known) or not len(values))
    texts = iter(written(known) if numeric else map(str, known))
    bar = has_bar and numeric
    return {
        "name": str(name),
        "numeric": numeric,
        "bar": bar,
        "classes": " ".join(["n"] * numeric + ["b"] * bar),
        "texts": [next(texts) if is_there else None for is_there in there],
    }


def _is_missing(value: Any) -> bool:
    """Return whether a value is None, nan, NaT or NA."""
    if value is None:
        return True
    differs = value != value
    try:
        return bool(differs)
    except (TypeError, ValueError):  # pandas.NA is neither; an array is not missing
        return type(value).__name__ == "NAType"


def _cell(column: dict[str, Any], row: int, blue: int) -> dict[str, str]:
    text = column["texts"][row]
    kinds = ["n"] * column["numeric"] + ["m"] * (text is None)
    bar = column["bar"] and text is not None and isfinite(float(text))
    return {
        "text": _MISSING if text is None else text,
        "classes": f'"{" ".join(kinds)}"' if len(kinds) > 1 else "".join(kinds),
        "bar": ("blue" if blue * float(text) >= 0 else "red") if bar else "",
    }


def _scale(texts: Sequence[str | None]) -> tuple[str, str]:
    """Return the ends of the bars: the smallest and the largest number, and 0."""
    numbers = [float(each) for each in texts if each is not None and isfinite(float(each))]
    low, high = min([0.0, *numbers]), max([0.0, *numbers])
    return f"{low:.6g}", f"{high if high > low else 1.0:.6g}"


def _rest(column: dict[str, Any]) -> str | list[str | None]:
    """Return the rows that the page does not show at first; numbers as one text, which is small."""
    texts: list[str | None] = column["texts"][FIRST_ROWS:]
    return " ".join(each or "" for each in texts) if column["numeric"] else texts


def _as_json(columns: Any) -> str:
    """Return JSON that ends no script element and begins no comment."""
    text = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
