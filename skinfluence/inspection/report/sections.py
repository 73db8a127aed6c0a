"""The sections of a report, each made of one answer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from skinfluence.inspection.check import LeaveOneOutCheck
from skinfluence.inspection.displays import (
    InfluenceDisplay,
    LabelQualityDisplay,
    LeaveOneOutDisplay,
)
from skinfluence.inspection.influence import GroupInfluence, Influence
from skinfluence.inspection.label_quality import LabelQuality
from skinfluence.inspection.report.contents import Picture, Section, Table
from skinfluence.inspection.report.findings import SEVERITIES, Finding
from skinfluence.inspection.report.shown import Shown
from skinfluence.inspection.report.tested_rows import TestedRows
from skinfluence.inspection.tables import cut, number_of, of_number
from skinfluence.inspection.words import plain_number

BARS = 10
"""Rows, at either end, of a picture."""

LONGEST_FACT = 300
"""Characters of a value that stands alone."""

_REFITTED = {
    "final": "the final step was fitted again without each",
    "structure": "all leaves were computed again over the same splits without each",
}


def check_section(
    check: LeaveOneOutCheck | None, reason: str, n_chosen: int, shown: Shown
) -> Section:
    """Return the check against refits: what the scores below are fit for.

    Parameters
    ----------
    check : LeaveOneOutCheck or None
    reason : str
        Why there is none.
    n_chosen : int
        Test rows of it that the report shows; the others were drawn.
    shown : Shown
    """
    title, name = "Are the scores right?", "check"
    if check is None:
        return Section(title, name, lead=f"Not checked: {reason}")
    n_test, n_rows = check.predicted.shape
    others = n_test - n_chosen
    drawn = f" and {others:,} drawn at random" if others else ""
    text = (
        f"The {number_of(n_rows, 'training row')} with the largest scores left, one at a time, and "
        f"{_REFITTED[check.refit]}: what happened to the losses of {number_of(n_test, 'test row')} "
        f"(those shown below{drawn}), held against what the scores predicted.",
        *(
            _sentence(each if _of_judge(each) else shown.text(each))
            for each in check.explanations()
        ),
    )
    display = LeaveOneOutDisplay.from_result(check)
    seen = f"Predicted against actual changes of the loss, {check.predicted.size:,} points"
    picture = Picture(
        display,
        f"{seen}; slope {check.slope:.3f}, relative error {plain_number(check.relative_error)}.",
    )
    facts = {
        "slope": f"{check.slope:.4f} (actual on predicted; 1 is right)",
        "relative error": plain_number(check.relative_error),
        "Spearman correlation": f"{check.spearman:.4f}",
        "Pearson correlation": f"{check.pearson:.4f}",
        "noise of the refits": f"{check.noise_floor:.1e}",
        "method": check.method,
    }
    lead = f"The scores are {check.verdict}."
    return Section(title, name, lead=lead, text=text, facts=facts, pictures=(picture,))


def findings_section(findings: Sequence[Finding]) -> Section:
    """Return all that was looked for, what was found first."""
    counts = {
        severity: sum(each.severity == severity for each in findings) for severity in SEVERITIES
    }
    some = ", ".join(f"{n} {severity}" for severity, n in counts.items() if n)
    n_found = sum(counts.values())
    lead = f"{number_of(n_found, 'finding')}: {some}." if n_found else "Nothing was found."
    order = [*SEVERITIES, ""]
    states = ["found", "ignored", "not found", "not looked for"]
    ranked = sorted(
        findings,
        key=lambda each: (states.index(each.state), order.index(each.severity), each.code),
    )
    return Section("Findings", "findings", lead=lead, findings=tuple(ranked))


def overall_section(overall: Influence, shown: Shown, top: int, mean_loss: float) -> Section:
    """Return the rows that help and harm all test rows together."""
    scores = overall.scores
    lead = _extremes(overall)
    n_helps, n_harms = int(np.sum(scores > 0)), int(np.sum(scores < 0))
    text = [
        f"A score is the change of the mean loss of {number_of(overall.n_test, 'test row')} "
        f"({mean_loss:.3g} with all rows) if the training row is removed. "
        f"{number_of(n_helps, 'row')} {of_number(n_helps, 'helps', 'help')}, {n_harms:,} "
        f"{of_number(n_harms, 'harms', 'harm')}.",
        "Rows that harm these test rows need not harm others: validation_audit says what dropping "
        "them is worth.",
        overall.assumed,
        shown.remark(),
    ]
    frame = overall.to_frame(top, columns=shown.columns)
    name = f"Rows that help and harm most, at most {top:,} at either end"
    return Section(
        "Rows that help and harm",
        "overall",
        lead=lead,
        text=_said(text),
        pictures=_bars(overall),
        tables=(_table(frame, name),),
    )


def tested_section(tests: TestedRows, shown: Shown, top: int) -> Section:
    """Return the test rows one by one, each with the training rows that decide."""
    frames = tests.frames(top, shown)
    parts = []
    for at, (label, frame) in enumerate(zip(tests.labels, frames, strict=True)):
        facts = {
            **tests.given(at, shown),
            **tests.predicted(at, shown),
            "loss": f"{tests.losses[at]:.4g}",
        }
        for name, value in tests.own(at, shown).items():
            facts[_other_than(facts, str(name), " (own column)")] = value
        parts.append(
            Section(
                f"Test row {cut(label)}",
                f"test-{at + 1}",
                lead=_deciding(frame),
                facts={name: cut(value, LONGEST_FACT) for name, value in facts.items()},
                tables=(_table(frame, f"Training rows on test row {cut(label)}"),),
            )
        )
    text = "A score is the change of the loss of the test row if the training row is removed."
    return Section("Single test rows", "tests", text=(text,), parts=tuple(parts))


def groups_section(groups: GroupInfluence | None, reason: str) -> Section:
    """Return what groups of rows do together."""
    if groups is None:
        return Section("Groups", "groups", lead=f"No scores: {reason}")
    frame = groups.to_frame()
    harmful = int(np.sum(groups.scores < 0))
    display = InfluenceDisplay.from_result(groups, k=BARS)
    pictures = (Picture(display, "Bars of the change of the mean loss without each group."),)
    return Section(
        "Groups",
        "groups",
        lead=f"{harmful:,} of {number_of(len(frame), 'group')} "
        f"{of_number(harmful, 'harms', 'harm')}.",
        text=(
            "A score is the change of the mean loss if all rows of the group are removed together.",
        ),
        pictures=pictures,
        tables=(Table("Groups of training rows", _columns(frame), bar="score"),),
    )


def audit_section(audit: LabelQuality | None, reason: str, shown: Shown, top: int) -> Section:
    """Return the labels to look at; nothing is changed."""
    title, name = "Labels", "audit"
    if audit is None:
        return Section(title, name, lead=f"Not audited: {reason}")
    expected = audit.expected_errors
    counts = [int(np.sum(audit.tiers == tier)) for tier in ("likely", "suspected")]
    counted = f"{counts[0]:,} likely wrong and {counts[1]:,} suspected of {len(audit.quality):,}."
    lead = counted if expected is None else f"{str(expected)[0].upper()}{str(expected)[1:]}."
    display = LabelQualityDisplay.from_result(audit)
    frame = audit_frame(audit, shown, top)
    text = ["" if expected is None else counted, "Nothing was changed: look at these rows first."]
    return Section(
        title,
        name,
        lead=lead,
        text=_said([*text, audit.assumed]),
        pictures=(Picture(display, "Quality of the worst labels by rank."),),
        tables=(_table(frame, f"Labels to look at, at most {top:,}", bar="label_quality"),),
    )


def audit_frame(audit: LabelQuality, shown: Shown, top: int) -> Any:
    """Return the labels to look at, those of targets that are not shown left out."""
    frame = audit.suggest(top, columns=shown.columns)
    names = ["given_label", "suggested_label"]
    if audit.output_labels is None:
        return frame if all(shown.targets) else frame.drop(columns=names)
    labels = zip(audit.output_labels, shown.targets, strict=True)
    hidden = [f"{label}: {name}" for label, seen in labels if not seen for name in names]
    return frame.drop(columns=hidden)


def model_section(facts: Mapping[str, str]) -> Section:
    """Return what was asked: the model, the data, and what made the report."""
    return Section("Model and data", "model", facts=facts)


def _extremes(overall: Influence) -> str:
    frame = overall.to_frame(1)
    said = []
    for _, row in frame.iterrows():
        verb = "raise" if row["score"] > 0 else "lower"
        said.append(
            f"row {cut(row['row'])} {row['effect']} most: without it the mean loss would "
            f"{verb.replace('raise', 'rise').replace('lower', 'fall')} by {abs(row['score']):.2g}"
        )
    text = "; ".join(said) or "no training row moves it"
    return f"{text[0].upper()}{text[1:]}."


def _deciding(frame: Any) -> str:
    said = [
        f"row {cut(some['row'].iloc[0])} {effect} most ({some['score'].iloc[0]:+.2g})"
        for effect, some in frame.groupby("effect", sort=False)
    ]
    text = "; ".join(said) or "no training row moves it"
    return f"{text[0].upper()}{text[1:]}."


def _bars(influence: Influence) -> tuple[Picture, ...]:
    display = InfluenceDisplay.from_result(influence, k=BARS)
    if not len(display.scores):
        return ()
    n_helps = int(np.sum(display.scores > 0))
    n_harms = len(display.scores) - n_helps
    ends = (
        f"{number_of(n_helps, 'row')} that {of_number(n_helps, 'helps', 'help')} most and "
        f"{n_harms} that {of_number(n_harms, 'harms', 'harm')} most"
    )
    return (Picture(display, f"Bars of the change of the mean loss without each of {ends}."),)


def _table(frame: Any, name: str, bar: str = "score") -> Table:
    return Table(name, _columns(frame), bar=bar)


def _columns(frame: Any) -> dict[str, list[Any]]:
    """Return the columns of a frame by texts, each of its own."""
    out: dict[str, list[Any]] = {}
    for at, given in enumerate(frame.columns):
        out[_other_than(out, str(given), "_")] = frame.iloc[:, at].tolist()
    return out


def _other_than(names: Collection[str], name: str, more: str) -> str:
    """Return a name that is not among others, with something behind it where it is taken."""
    while name in names:
        name += more
    return name


def _of_judge(note: str) -> bool:
    """Return whether a note is of the estimator that refits: a solver, a tolerance, no values."""
    return note.startswith("judge: ")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}."


def _said(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text for text in texts if text)
