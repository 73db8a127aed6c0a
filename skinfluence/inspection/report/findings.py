"""What a report looks for, each under a code of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SEVERITIES = ("high", "medium", "low")
"""Of findings, worst first."""


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
