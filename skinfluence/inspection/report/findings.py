"""What a report looks for, each under a code of its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

SEVERITIES = ("high", "medium", "low")
"""Of findings, worst first."""

TITLES = {
    "SKI001": "Rows of high leverage",
    "SKI002": "A fit that is not at its minimum",
    "SKI003": "Scores that differ from refits",
    "SKI004": "Suspect labels",
    "SKI005": "Duplicated rows",
    "SKI006": "Few rows that carry the result",
    "SKI007": "Classes of few rows",
    "SKI008": "Groups that harm",
    "SKI009": "Warnings",
}
"""What is looked for, by its code."""

MOST_ROWS = 20
"""Rows that a finding names."""


@dataclass(frozen=True)
class Finding:
    """One thing that a report looks for, whether it was found or not.

    Attributes
    ----------
    code : str
        "SKI001" and so on; a code never changes its meaning.
    title : str
        What is looked for.
    state : {"found", "not found", "not looked for", "ignored"}
    severity : {"high", "medium", "low", ""}
        "" of what was not found.
    text : str
        What was found, in numbers; otherwise how it was looked for, or why it was not.
    advice : str
        What to do about it.
    rows : tuple
        Labels of the rows it is about, the most important first.
    """

    code: str
    title: str
    state: str
    severity: str = ""
    text: str = ""
    advice: str = ""
    rows: tuple[Any, ...] = ()

    @property
    def anchor(self) -> str:
        """Where the documentation explains it: a page and an anchor."""
        return f"report.html#{self.code.lower()}"


def found(code: str, severity: str, text: str, advice: str, rows: Sequence[Any] = ()) -> Finding:
    """Return a finding; of its rows the first `MOST_ROWS` are named."""
    return Finding(code, TITLES[code], "found", severity, text, advice, tuple(rows)[:MOST_ROWS])


def not_found(code: str, text: str) -> Finding:
    """Return what was looked for, and how, and is not there."""
    return Finding(code, TITLES[code], "not found", text=text)


def not_looked_for(code: str, reason: str) -> Finding:
    """Return what was not looked for, and why."""
    return Finding(code, TITLES[code], "not looked for", text=reason)


def codes_given(ignore: Any) -> tuple[str, ...]:
    """Return the codes to ignore.

    Raises
    ------
    ValueError
        For a code that there is not.
    """
    codes = (ignore,) if isinstance(ignore, str) else tuple(ignore or ())
    unknown = [code for code in codes if code not in TITLES]
    if unknown:
        known = "; ".join(f"{code}: {title.lower()}" for code, title in TITLES.items())
        raise ValueError(
            f"ignore={ignore!r} was given; {unknown} are no codes of findings. Accepted are "
            f"{known}."
        )
    return codes


def ignored(finding: Finding, codes: Collection[str]) -> Finding:
    """Return a finding that counts no more, where it was found and its code is to be ignored."""
    if finding.state != "found" or finding.code not in codes:
        return finding
    return replace(finding, state="ignored", severity="")
