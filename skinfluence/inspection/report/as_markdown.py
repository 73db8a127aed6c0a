"""A report as Markdown, as GitHub reads it: for a pull request, or a file beside the code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from skinfluence.inspection.report.contents import Contents, Section
from skinfluence.inspection.report.findings import Finding
from skinfluence.inspection.tables import are_numbers, written

_MARKS = re.compile(r"([\\`*_\[\]|~#])")
_MENTIONS = re.compile(r"([@#]|GH-)(?=\w)")


def markdown(contents: Contents) -> str:
    """Return a report as Markdown; pictures are left out.

    Parameters
    ----------
    contents : Contents

    Returns
    -------
    str
    """
    lines = [f"# {escaped(contents.title)}", "", escaped(contents.subtitle), ""]
    for section in contents.sections:
        lines += _section(section, 2)
    return "\n".join(lines).rstrip() + "\n"


def escaped(value: Any) -> str:
    """Return a text that stands for itself, in one line, also in a table.

    Names of people and numbers of issues, such as ``@name`` and ``#1``, call nobody.
    """
    text = " ".join(str(value).split())
    text = _MENTIONS.sub("\\1\u200b", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKS.sub(r"\\\1", text)


def _section(section: Section, level: int) -> list[str]:
    lines = [f"{'#' * level} {escaped(section.title)}", ""]
    if section.lead:
        lines += [f"**{escaped(section.lead)}**", ""]
    for text in section.text:
        lines += [escaped(text), ""]
    lines += _findings(section.findings)
    if section.facts:
        names, values = [*section.facts], [*section.facts.values()]
        lines += [*_table({"": names, " ": values}), ""]
    for table in section.tables:
        lines += [escaped(table.name), "", *_table(table.columns), ""]
    for part in section.parts:
        lines += _section(part, min(level + 1, 6))
    return lines


def _findings(findings: Sequence[Finding]) -> list[str]:
    lines = []
    for each in findings:
        state = each.severity or each.state
        said = [each.text, each.advice] if each.state == "found" else [each.text]
        rows = f" Rows: {', '.join(map(escaped, each.rows))}." if each.rows else ""
        text = " ".join(escaped(one) for one in said if one)
        lines.append(f"- **{each.code} {escaped(each.title)}** ({state}). {text}{rows}")
    return [*lines, ""] if lines else []


def _table(columns: Mapping[str, Sequence[Any]]) -> list[str]:
    marks = ["---:" if len(v) and are_numbers(v) else "---" for v in columns.values()]
    cells = [[escaped(each) for each in written(values)] for values in columns.values()]
    lines = [[escaped(name) for name in columns], marks, *zip(*cells, strict=True)]
    return [f"| {' | '.join(line)} |" for line in lines]
