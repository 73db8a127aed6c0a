"""A report as plain JSON, for programs: numbers in full precision, null for what is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from math import isfinite
from numbers import Integral, Real
from typing import Any

import numpy as np

from skinfluence.inspection.check import LeaveOneOutCheck
from skinfluence.inspection.influence import GroupInfluence
from skinfluence.inspection.label_quality import LabelQuality
from skinfluence.inspection.report.findings import Finding
from skinfluence.inspection.report.sections import audit_frame
from skinfluence.inspection.report.shown import Shown
from skinfluence.inspection.report.tested_rows import TestedRows
from skinfluence.inspection.tables import plain


def plain_value(value: Any) -> Any:
    """Return a value as JSON has it: numbers, texts, booleans, null, lists and objects of these.

    Numbers that are not finite are null, times are texts in ISO format, anything else is its text.
    """
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return None if np.isnat(value) else str(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, (datetime, date)):  # which may be NaT
        return value.isoformat() if value == value else None
    if isinstance(value, Real):
        return float(value) if isfinite(value) else None
    if isinstance(value, np.ndarray):
        return [plain_value(each) for each in plain(value)]
    if isinstance(value, (list, tuple)):
        return [plain_value(each) for each in value]
    if isinstance(value, Mapping):
        return {str(name): plain_value(each) for name, each in value.items()}
    is_missing = value is None or type(value).__name__ in ("NAType", "NaTType")
    return None if is_missing else str(value)


def check_entry(check: LeaveOneOutCheck | None, reason: str, shown: Shown) -> dict[str, Any]:
    """Return the check; without one the reason."""
    if check is None:
        return {"verdict": None, "fit_for": None, "reason": reason}
    return {
        "verdict": check.verdict,
        "fit_for": check.fit_for,
        "slope": check.slope,
        "relative_error": check.relative_error,
        "spearman": check.spearman,
        "pearson": check.pearson,
        "noise_floor": check.noise_floor,
        "method": check.method,
        "refit": check.refit,
        "rows": check.row_labels,
        "tests": check.test_labels,
        "notes": [shown.text(each) for each in check.explanations()],
    }


def finding_entry(finding: Finding) -> dict[str, Any]:
    """Return a finding with its anchor."""
    return {**asdict(finding), "anchor": finding.anchor}


def rows_entry(frame: Any, shown: Shown) -> list[dict[str, Any]]:
    """Return a table of rows, an entry each, with their own columns under "columns"."""
    n_own = len(shown.names)
    last = frame.shape[1] - n_own
    own = [str(name) for name in shown.names]
    return [
        {
            **dict(zip(frame.columns[:last], line[:last], strict=True)),
            "columns": dict(zip(own, line[last:], strict=True)),
        }
        for line in _lines(frame)
    ]


def _lines(frame: Any) -> list[list[Any]]:
    """Return a frame as lists of values, each of the type that its column has."""
    columns = [frame.iloc[:, at].tolist() for at in range(frame.shape[1])]
    return [[*line] for line in zip(*columns, strict=True)]


def tested_entry(tests: TestedRows, shown: Shown, top: int) -> list[dict[str, Any]]:
    """Return the test rows one by one."""
    frames = tests.frames(top, shown)
    return [
        {
            "test": label,
            "position": tests.positions[at],
            "loss": tests.losses[at],
            **tests.given(at, shown),
            **tests.predicted(at, shown),
            "columns": tests.own(at, shown),
            "rows": rows_entry(frames[at], shown),
        }
        for at, label in enumerate(tests.labels)
    ]


def groups_entry(groups: GroupInfluence | None) -> list[dict[str, Any]] | None:
    """Return the groups, from the most helpful to the most harmful."""
    if groups is None:
        return None
    frame = groups.to_frame()
    return [dict(zip(frame.columns, line, strict=True)) for line in _lines(frame)]


def audit_entry(audit: LabelQuality | None, shown: Shown, top: int) -> dict[str, Any] | None:
    """Return the labels to look at."""
    if audit is None:
        return None
    expected = audit.expected_errors
    return {
        "expected_errors": None if expected is None else asdict(expected),
        "likely": int(np.sum(audit.tiers == "likely")),
        "suspected": int(np.sum(audit.tiers == "suspected")),
        "method": audit.method,
        "passes": audit.passes,
        "rows": rows_entry(audit_frame(audit, shown, top), shown),
    }
