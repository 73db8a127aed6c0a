"""Contents as one HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from skinfluence.inspection.report.contents import Contents, Section
from skinfluence.inspection.tables import html_table


def page(contents: Contents) -> str:
    """Return a whole page."""
    return f"<!doctype html>\n<title>{escape(contents.title)}</title>\n{snippet(contents)}"


def snippet(contents: Contents) -> str:
    """Return a piece of a page."""
    parts = [part for section in contents.sections for part in _section(section)]
    return f"<h1>{escape(contents.title)}</h1>\n<p>{escape(contents.subtitle)}</p>" + "".join(parts)


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>"
    for text in (section.lead, *section.text):
        yield f"<p>{escape(text)}</p>"
    for each in section.findings:
        yield f"<p>{escape(f'{each.code} {each.title} {each.state} {each.text} {each.rows}')}</p>"
    for name, value in section.facts.items():
        yield f"<p>{escape(name)}: {escape(value)}</p>"
    for table in section.tables:
        yield html_table(table.columns, table.bar, table.blue)
    for part in section.parts:
        yield from _section(part)
