"""A report: what was asked and answered about a model, to read, to keep and to hand on."""

from __future__ import annotations

import json
import os
import tempfile
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skinfluence.inspection.check import LeaveOneOutCheck
from skinfluence.inspection.influence import GroupInfluence, Influence
from skinfluence.inspection.label_quality import LabelQuality
from skinfluence.inspection.report.as_json import (
    audit_entry,
    check_entry,
    finding_entry,
    groups_entry,
    plain_value,
    rows_entry,
    tested_entry,
)
from skinfluence.inspection.report.as_markdown import markdown
from skinfluence.inspection.report.contents import Contents
from skinfluence.inspection.report.findings import Finding
from skinfluence.inspection.report.sections import (
    audit_section,
    check_section,
    findings_section,
    groups_section,
    model_section,
    overall_section,
    tested_section,
)
from skinfluence.inspection.report.shown import Shown
from skinfluence.inspection.report.tested_rows import TestedRows
from skinfluence.inspection.tables import number_of, text_table

ROWS_PRINTED = 3
"""Rows at either end of a report that is printed."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Report:
    """What training rows do to a model, held against refits, with what was found on the way.

    What `InfluenceClassifier.report` returns. The parts are results with everything in them; what
    is written (`html`, `markdown`, `to_json`, ``print``) shows of the rows' own columns those that
    ``columns=`` chose, and of the others nothing.

    Attributes
    ----------
    check : LeaveOneOutCheck or None
        The scores held against refits; None where it was left out, or has no answer.
    findings : tuple of Finding
        All that was looked for, by its code, whether it was found or not.
    overall : Influence
        Of every training row on the mean loss of all test rows.
    tests : TestedRows
        Test rows one by one.
    groups : GroupInfluence or None
        On the mean loss; None, too, where a group has no answer.
    audit : LabelQuality or None
        Of the training labels.
    mean_loss : float
        Of all test rows, by the fitted model.
    loss : str
        Which loss.
    model : str
        The type of the final step.
    facts : dict
        Estimator, sizes, hashes, date and versions.
    warned : tuple of str
        What the questions warned of.
    shown : Shown
        Which columns of the rows are shown: ``shown.names``.
    top : int
        Training rows that are shown, at most, at either end.
    grouped, audited : bool
        Whether groups were given, and an audit was asked for.
    not_checked : str
        Why there is no check; "" where there is one.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> report = InfluenceRegressor().fit(X[:400], y[:400]).report(X[400:], y[400:])
    >>> report.check.fit_for
    'values'
    >>> [each.code for each in report.findings if each.severity == "high"]
    []
    >>> print(report.markdown().splitlines()[0])
    # Influence report: Ridge
    """

    check: LeaveOneOutCheck | None
    findings: tuple[Finding, ...]
    overall: Influence
    tests: TestedRows
    groups: GroupInfluence | None
    audit: LabelQuality | None
    mean_loss: float
    loss: str
    model: str
    facts: Mapping[str, str]
    warned: tuple[str, ...]
    shown: Shown
    top: int
    grouped: bool
    audited: bool
    not_checked: str

    # -------------------------------------------------------------------------------------- to read

    def contents(self) -> Contents:
        """Return what stands in it, in order: what a page or another writer draws.

        Returns
        -------
        Contents
        """
        shown, top = self.shown, self.top
        sections = [
            check_section(self.check, self.not_checked, len(self.tests.positions), shown),
            findings_section(self.findings),
            overall_section(self.overall, shown, top, self.mean_loss),
            tested_section(self.tests, shown, top),
        ]
        texts = {each.code: each.text for each in self.findings}
        if self.grouped:
            sections.append(groups_section(self.groups, texts["SKI008"]))
        if self.audited:
            sections.append(audit_section(self.audit, texts["SKI004"], shown, top))
        sections.append(model_section(self._facts()))
        return Contents(f"Influence report: {self.model}", self._subtitle(), tuple(sections))

    def _facts(self) -> dict[str, str]:
        """Return the facts as a reader wants them."""
        facts, shown = self.facts, self.shown
        names = ", ".join(str(name) for name in shown.names)
        columns = f"{len(shown.names):,} of {len(shown.all_names):,} shown"
        return {
            "estimator": facts["estimator"],
            "loss": self.loss,
            "method": self.overall.method,
            "training rows": f"{len(self.overall.labels):,}",
            "test rows": f"{self.overall.n_test:,}",
            "columns, with the target": f"{columns}: {names}" if names else columns,
            "SHA-256 of the training data": facts["data"],
            "SHA-256 of the parameters": facts["parameters"],
            "created": facts["created"],
            **{name: facts[name] for name in ("skinfluence", "scikit-learn", "numpy")},
        }

    def _subtitle(self) -> str:
        return (
            f"{number_of(len(self.overall.labels), 'training row')}, "
            f"{number_of(self.overall.n_test, 'test row')} with a mean {self.loss} of "
            f"{self.mean_loss:.3g}; scores by method {self.overall.method}."
        )

    def __repr__(self) -> str:
        checked = self.not_checked if self.check is None else self.check.verdict
        found = [each for each in self.findings if each.state == "found"]
        lines = [f"{self.model}: {self._subtitle()}", f"Check: {checked}"]
        lines += [f"{each.code} {each.title} ({each.severity}): {each.text}" for each in found]
        if not found:
            lines.append("Findings: none.")
        frame = self.overall.to_frame(min(self.top, ROWS_PRINTED), columns=self.shown.columns)
        few = ["effect", "rank", "row", "position", "score"]
        lines.append(text_table({name: frame[name].tolist() for name in few}))
        lines.append(
            "open() shows the page, write_html(path) keeps it; markdown() and to_json() are the "
            "same for readers and for programs."
        )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return self.html_snippet()

    def html(self) -> str:
        """Return one page of HTML that needs nothing else: no network, no files beside it.

        Returns
        -------
        str

        Raises
        ------
        ImportError
            Without jinja2 or matplotlib.
        """
        from skinfluence.inspection.report.page import page

        return page(self.contents())

    def html_snippet(self) -> str:
        """Return the same as a piece of HTML for a notebook, or a page of yours.

        Returns
        -------
        str

        Raises
        ------
        ImportError
            As in `html`.
        """
        from skinfluence.inspection.report.page import snippet

        return snippet(self.contents())

    def open(self) -> None:
        """Show the page in a browser, from a temporary file that stays.

        Raises
        ------
        ImportError
            As in `html`.
        """
        text = self.html()
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="skinfluence-", suffix=".html", delete=False
        ) as file:
            file.write(text)
        webbrowser.open(Path(file.name).as_uri())

    # -------------------------------------------------------------------------------------- to keep

    def write_html(self, path: Any) -> None:
        """Write the page to a file; it is there as a whole, or as it was before.

        Parameters
        ----------
        path : str or path

        Raises
        ------
        ImportError
            As in `html`.
        IsADirectoryError
            For a folder.
        FileNotFoundError
            For a file in a folder that is not there.
        """
        target = Path(path)
        if target.is_dir():
            raise IsADirectoryError(
                f"{str(target)!r} was given, which is a folder; the path of a file is accepted, "
                f"such as {str(target / 'report.html')!r}."
            )
        if not target.parent.is_dir():
            raise FileNotFoundError(
                f"{str(target)!r} was given, but there is no folder {str(target.parent)!r}. Make "
                "it first, or pass another path."
            )
        write_whole(target, self.html())

    def markdown(self) -> str:
        """Return the report as Markdown for GitHub, without pictures.

        Returns
        -------
        str
            All that comes from data is escaped.
        """
        return markdown(self.contents())

    def to_json(self) -> str:
        """Return the report as plain JSON, for programs.

        Returns
        -------
        str
            An object with "skinfluence" (the version), "model", "data", "check", "findings",
            "overall", "tests", "groups" and "audit"; the page "Reports" of the documentation lists
            what is in each. Numbers are in full precision, and null where they are none.
        """
        shown, top = self.shown, self.top
        frame = self.overall.to_frame(top, columns=shown.columns)
        facts = self.facts
        entries = {
            "skinfluence": facts["skinfluence"],
            "created": facts["created"],
            "model": {
                "name": self.model,
                "estimator": facts["estimator"],
                "parameters": facts["parameters"],
                "method": self.overall.method,
                "loss": self.loss,
            },
            "data": {
                "n_train": len(self.overall.labels),
                "n_test": self.overall.n_test,
                "mean_loss": self.mean_loss,
                "columns": [str(name) for name in shown.names],
                "columns_not_shown": shown.n_hidden,
                "sha256": facts["data"],
            },
            "check": check_entry(self.check, self.not_checked, shown),
            "findings": [finding_entry(each) for each in self.findings],
            "overall": rows_entry(frame, shown),
            "tests": tested_entry(self.tests, shown, top),
            "groups": groups_entry(self.groups),
            "audit": audit_entry(self.audit, shown, top),
        }
        return json.dumps(plain_value(entries), allow_nan=False, indent=1)


def write_whole(path: Path, text: str) -> None:
    """Write a text to a file such that it is there as a whole, or as it was before."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, path.stat().st_mode & 0o777 if path.exists() else _usual_mode())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _usual_mode() -> int:
    """Return the mode that a new file gets."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
