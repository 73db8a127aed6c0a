"""What stands in a report, in order: text, findings, tables and pictures, whoever draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skinfluence.inspection.displays import Display
from skinfluence.inspection.report.findings import Finding


@dataclass(frozen=True, eq=False)
class Table:
    """Rows that a reader sorts and filters.

    Attributes
    ----------
    name : str
        What its rows are: its caption.
    columns : mapping from names to values, all of one length
    bar : str, optional
        A column of numbers that is drawn beside its values.
    blue : {1, -1}
        The sign of the numbers that are drawn in blue; the others are red.
    """

    name: str
    columns: Mapping[str, Sequence[Any]]
    bar: str | None = None
    blue: int = 1


@dataclass(frozen=True, eq=False)
class Picture:
    """A display, and what it shows in words, for those who do not see it.

    Attributes
    ----------
    display : Display
    name : str
    """

    display: Display
    name: str


@dataclass(frozen=True, eq=False)
class Section:
    """A part of a report: its text, then its findings, pictures, tables and parts.

    Attributes
    ----------
    title : str
    name : str
        What an address calls it: letters, digits and hyphens, once in a report.
    lead : str
        The sentence that says it all, which stands out; "" for none.
    text : tuple of str
        Paragraphs.
    findings : tuple of Finding
    facts : mapping from str to str
        Names and their values, as "estimator" and its parameters.
    pictures : tuple of Picture
    tables : tuple of Table
    parts : tuple of Section
        Shown folded, but for the first.
    """

    title: str
    name: str
    lead: str = ""
    text: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    parts: tuple[Section, ...] = ()


@dataclass(frozen=True, eq=False)
class Contents:
    """A whole report.

    Attributes
    ----------
    title : str
    subtitle : str
        What the report is of, in a sentence.
    sections : tuple of Section
    """

    title: str
    subtitle: str
    sections: tuple[Section, ...]
