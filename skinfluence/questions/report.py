"""A report: the questions that a reader of a model asks first, and what is found on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any, TypeAlias, TypeVar

import numpy as np

from skinfluence.inspection import GivenRows, GroupInfluence, Influence, LabelQuality
from skinfluence.inspection.check import LeaveOneOutCheck
from skinfluence.inspection.report.findings import codes_given, ignored
from skinfluence.inspection.report.report import Report
from skinfluence.inspection.report.shown import Shown
from skinfluence.inspection.report.tested_rows import TestedRows
from skinfluence.inspection.tables import number_of
from skinfluence.process.progress import counting
from skinfluence.process.row_names import length_of
from skinfluence.process.warnings import hearing
from skinfluence.questions import findings
from skinfluence.questions.check import leave_one_out_check
from skinfluence.questions.editing import group_scorer, groups_given
from skinfluence.questions.evaluation import as_array
from skinfluence.questions.fitted import Fitted, labels_of
from skinfluence.questions.judged import Fit
from skinfluence.questions.label_audit import label_audit
from skinfluence.questions.left_out import loss_of
from skinfluence.questions.rows import by_label, tested_rows_given
from skinfluence.questions.scoring import Asked, described, influence
from skinfluence.retraining import take_rows
from skinfluence.typing import Array

T = TypeVar("T")

_Part: TypeAlias = tuple[T | None, str]
"""What a part of a report has to say, or why it has nothing."""

_Grouped: TypeAlias = tuple[GroupInfluence, Array]

TESTS_SHOWN = 5
"""Test rows that are shown where none are asked for: those of the largest loss."""

TESTS_CHECKED = 50
"""Test rows of the check: those that are shown, and others at random."""


@by_label
def report(
    fitted: Fitted,
    X_test: Any,
    y_test: Any,
    *,
    again: Fit,
    test_rows: Any = None,
    groups: Any = None,
    columns: Any = None,
    top: int = 20,
    check: int | None = 30,
    audit: bool = False,
    ignore: Any = (),
) -> Report:
    """See `InfluenceClassifier.report`.

    Parameters
    ----------
    fitted : Fitted
    X_test, y_test, test_rows, groups, columns, top, check, audit, ignore
    again : callable
        From positions of rows to the same estimator fitted on them, for the audit.
    """
    codes, top = codes_given(ignore), _number("top", top, least=1)
    n_checked = 0 if check is None else _number("check", check, least=0)
    if y_test is None:
        raise ValueError(
            "y_test=None was given; a report is about the loss of test rows, which needs their "
            "true targets. Pass y_test, or ask influence(X_test, target=...) of predictions."
        )
    y_test = as_array(y_test)
    if length_of(y_test) != length_of(X_test):
        raise ValueError(
            f"y_test has {number_of(length_of(y_test), 'target')}, X_test has "
            f"{number_of(length_of(X_test), 'row')}. Pass the target of every test row."
        )
    asked = Asked(X_test, y_test)
    losses = _losses(fitted, asked)
    given = GivenRows(X_test, y_test)
    shown = Shown.of(fitted.given, given, columns, fitted.classifier)
    chosen = (
        _tests_shown(X_test, losses) if test_rows is None else tested_rows_given(X_test, test_rows)
    )
    used = fitted.method(None, traced=True)
    masks = None if groups is None else groups_given(fitted, groups)

    checked: _Part[LeaveOneOutCheck] = (None, "check=0 left the refits out.")
    grouped: _Part[_Grouped] = (None, "no groups were given; groups= takes labels or columns.")
    audited: _Part[LabelQuality] = (None, "audit=True looks for them.")
    with hearing() as heard:
        if n_checked:
            checked = _part(lambda: _checked(fitted, asked, chosen, n_checked), shown)
        overall = influence(fitted, Asked(X_test, y_test, aggregate="mean"))
        tests = _tests(fitted, asked, chosen, losses, top)
        if masks is not None:
            grouped = _part(lambda: _grouped(fitted, *masks, asked), shown)
        if audit:
            audited = _part(lambda: label_audit(fitted, again, method="auto", passes=2), shown)
        leverages = _part(lambda: findings.leverages(fitted, used), shown)
    mean_loss = float(losses.mean())
    warned = tuple(shown.text(each) for each in heard)
    with counting("what there is to be found"):
        every = [
            findings.high_leverage(fitted, *leverages),
            minimum := findings.off_minimum(fitted, used),
            findings.differs_from_refits(*checked),
            findings.suspect_labels(*audited),
            findings.duplicated_rows(
                fitted, X_test, y_test, _influential(overall, top), _labels(asked)
            ),
            findings.few_rows(fitted, overall),
            findings.small_classes(fitted, shown),
            findings.harmful_groups(*grouped, mean_loss),
            findings.warned_of(warned, minimum),
        ]
    facts = {**overall.facts, "estimator": shown.estimator(fitted.estimator)}
    return Report(
        check=checked[0],
        findings=tuple(ignored(each, codes) for each in every),
        overall=overall,
        tests=tests,
        groups=None if grouped[0] is None else grouped[0][0],
        audit=audited[0],
        mean_loss=mean_loss,
        loss=shown.text(loss_of(fitted)),
        model=type(fitted.final).__name__,
        facts=facts,
        warned=warned,
        shown=shown,
        top=top,
        grouped=groups is not None,
        audited=bool(audit),
        not_checked=checked[1],
    )


def _number(name: str, given: Any, least: int) -> int:
    if isinstance(given, bool) or not isinstance(given, Integral) or given < least:
        what = "a number of rows"
        raise ValueError(f"{name}={given!r} was given; {what}, {least} or more, is accepted.")
    return int(given)


def _losses(fitted: Fitted, asked: Asked) -> Array:
    """Return the loss of every test row by the fitted model; refuse rows it does not know."""
    test = asked.over(fitted.objective(), asked.features(fitted))
    return np.asarray(test.losses(), dtype=np.float64)


def _tests_shown(X_test: Any, losses: Array) -> Array:
    """Return the test rows of the largest loss."""
    return np.argsort(-losses, kind="stable")[:TESTS_SHOWN]


def _of_some(asked: Asked, rows: Array) -> Asked:
    """Return the same question of some of the test rows."""
    return Asked(take_rows(asked.X_test, rows), take_rows(asked.y_test, rows))


def _part(question: Callable[[], T], shown: Shown) -> _Part[T]:
    """Return what a question is answered, or why there is no answer."""
    try:
        return question(), ""
    except (ValueError, TypeError, MemoryError) as error:
        return None, shown.text(str(error))


def _checked(fitted: Fitted, asked: Asked, chosen: Array, n_rows: int) -> LeaveOneOutCheck:
    """Return the check of the rows that are shown and others."""
    others = np.setdiff1d(np.arange(length_of(asked.X_test)), chosen)
    n_others = min(max(TESTS_CHECKED - len(chosen), 0), len(others))
    drawn = np.random.default_rng(0).choice(others, n_others, replace=False)
    tests = np.concatenate([chosen, np.sort(drawn)])
    check = leave_one_out_check(fitted, _of_some(asked, tests), rows=n_rows)
    return replace(check, test_labels=_labels(asked)[tests])


def _labels(asked: Asked) -> Array:
    """Return the labels of all test rows, of which some are asked about alone."""
    return labels_of(asked.X_test, length_of(asked.X_test))


def _tests(fitted: Fitted, asked: Asked, chosen: Array, losses: Array, top: int) -> TestedRows:
    """Return the test rows that are shown, with the rows that decide."""
    some = _of_some(asked, chosen)
    predict = getattr(fitted.estimator, "predict", None)
    return TestedRows(
        influence=replace(influence(fitted, some, top), test_labels=_labels(asked)[chosen]),
        positions=chosen,
        losses=losses[chosen],
        predictions=None if predict is None else np.asarray(predict(some.X_test)),
    )


def _grouped(fitted: Fitted, masks: Any, names: Array, asked: Asked) -> _Grouped:
    """Return what groups do to the mean loss, and the standard errors over the test rows."""
    mean = replace(asked, aggregate="mean").resolved(fitted, "group_influence")
    scorer = group_scorer(fitted, masks, names, mean)
    n = scorer.test.n_samples
    aggregation = mean.aggregation(n)
    assert aggregation is not None
    sums, squares = scorer.moments(aggregation.weights)
    means = sums[0] / n
    errors = np.sqrt(np.maximum(squares / n - means**2, 0.0) / max(n - 1, 1))
    answer = GroupInfluence(
        scores=means.astype(scorer.dtype),
        groups=names,
        sizes=np.diff(masks.indptr),
        guarded_groups=scorer.guarded,
        given=fitted.given,
        **described(fitted, mean, scorer, aggregation),
    )
    return answer, errors


def _influential(overall: Influence, top: int) -> Array:
    """Return the positions of the rows that are shown, the largest scores first."""
    frame = overall.to_frame(top)
    order = np.argsort(-np.abs(frame["score"].to_numpy(dtype=float)), kind="stable")
    return frame["position"].to_numpy(dtype=int)[order]
