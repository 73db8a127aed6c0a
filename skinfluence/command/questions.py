"""What the command is asked: a report on a model, an audit of the targets."""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skinfluence.command.columns import listing
from skinfluence.command.demo import swapped_labels
from skinfluence.command.pipelines import DAMPING, model_name, pipeline
from skinfluence.command.printing import say, table, warn, width_of, wrapped
from skinfluence.command.refusal import Refusal
from skinfluence.command.rows import Rows, held_out, to_learn, to_predict
from skinfluence.command.writing import output_file
from skinfluence.estimators import InfluenceClassifier, InfluenceRegressor, LabelAudit
from skinfluence.inspection.report.findings import SEVERITIES
from skinfluence.inspection.report.report import write_whole
from skinfluence.inspection.tables import cut, number_of, plain
from skinfluence.process.progress import is_watched

COLUMNS_SHOWN = 12
"""Of the rows' own columns, as far as they fit."""

HURT_SHOWN, HELP_SHOWN = 10, 5
"""Rows that are printed; the page has as many as --top says."""

SMALL = 1_000_000
"""Cells of a table up to which a second process costs more than it gives."""

MODEL_WORDS = {
    "logistic": "logistic regression",
    "svm": "linear support vector machine",
    "forest": "random forest",
    "boosting": "histogram gradient boosting",
    "mlp": "neural network",
    "ridge": "ridge regression",
    "poisson": "Poisson regression",
}
KIND_WORDS = {
    "number": ("number", "numbers"),
    "yes or no": ("yes or no", "yes or no"),
    "category": ("category", "categories"),
    "text": ("text", "texts"),
    "date": ("date", "dates"),
}


def report(asked: Namespace) -> bool:
    """Answer ``skinfluence report``.

    Parameters
    ----------
    asked : Namespace
        The arguments.

    Returns
    -------
    bool
        Whether a finding is as severe as ``--fail-on`` says.
    """
    inputs = [asked.train, *([asked.test] if asked.test else [])]
    if inputs.count("-") > 1:
        raise Refusal('TRAIN and --test are both "-"; one of them is accepted. Pass a file.')
    page, numbers = _outputs(asked.html, asked.json, inputs)
    learnt = _read(asked)
    _introduce(learnt)
    if asked.test:
        test = to_predict(asked.test, learnt, asked.max_rows, sys.stdin.buffer)
        _warn_of(test)
        _say_paragraphs(test.said)
        rows, given = (learnt.X, learnt.y), (test.X, test.y)
        which = f"{number_of(len(test.y), 'row')} of {test.name} test it"
    else:
        rows, given = _halves(learnt)
        which = f"{len(given[1]):,} are held out to test it (a quarter, seed 0)"
    wrapper = _wrapper(learnt, asked.model, asked.jobs)
    answer = _reported(wrapper, asked.model, learnt, rows, given, which, asked.top, asked.check)
    _write("Report", page, answer.html)
    _write("Numbers", numbers, answer.to_json)
    return is_as_severe(answer.findings, asked.fail_on)


def audit(asked: Namespace) -> bool:
    """Answer ``skinfluence audit``.

    Parameters
    ----------
    asked : Namespace
        The arguments.

    Returns
    -------
    bool
        False: there is nothing to fail on.
    """
    _, numbers = _outputs(None, asked.json, [asked.train])
    learnt = _read(asked)
    _introduce(learnt)
    judged = _audited(_wrapper(learnt, asked.model, asked.jobs), asked.model, learnt, asked.top)
    _write("Numbers", numbers, judged.result_.to_json)
    return False


def demo(asked: Namespace) -> bool:
    """Answer ``skinfluence demo``.

    Parameters
    ----------
    asked : Namespace
        The arguments.

    Returns
    -------
    bool
        False: there is nothing to fail on.
    """
    page, _ = _outputs(asked.html, None, [])
    learnt, swapped = swapped_labels()
    _introduce(learnt)
    names = ", ".join(map(str, swapped))
    say(_paragraph(f"The labels of {len(swapped)} rows are swapped on purpose: {names}."))
    say("", "1. A report: skinfluence report TRAIN --target diagnosis", "")
    rows, given = _halves(learnt)
    which = f"{len(given[1]):,} are held out to test it (a quarter, seed 0)"
    wrapper = _wrapper(learnt, "auto", None)
    answer = _reported(wrapper, "auto", learnt, rows, given, which, top=20, check=30)
    say("", "2. An audit: skinfluence audit TRAIN --target diagnosis", "")
    judged = _audited(wrapper, "auto", learnt, top=15)
    found = np.isin(swapped, judged.suggest()["position"])
    say(_paragraph(f"{found.sum()} of the {len(swapped)} that were swapped are flagged."))
    _write("Report", page, answer.html)
    return False


def _reported(
    wrapper: Any,
    model: str,
    learnt: Rows,
    rows: tuple[Any, Any],
    given: tuple[Any, Any],
    which: str,
    top: int,
    check: int,
) -> Any:
    """Fit, ask for the report, and print it."""
    _refuse_one_class(rows[1], learnt)
    fitted = wrapper.fit(*rows)
    say_model(learnt, model, f"{len(rows[1]):,} rows train it, {which}", fitted, given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a report says itself what was warned of
        answer = fitted.report(*given, top=top, check=check)
    say_report(answer, learnt, top)
    return answer


def _audited(wrapper: Any, model: str, learnt: Rows, top: int) -> LabelAudit:
    """Ask for the audit, and print it."""
    say(_paragraph(f"Model: {_called(learnt, model)}; each row is judged without it."), "")
    judged = LabelAudit(wrapper, n_jobs=wrapper.n_jobs, verbose=_verbose()).fit(learnt.X, learnt.y)
    say_audit(judged, learnt, top)
    return judged


# ------------------------------------------------------------------------------------- what is said


def say_model(learnt: Rows, model: str, how: str, fitted: Any, given: tuple[Any, Any]) -> None:
    """Print which model it is, of which rows, and how good it is."""
    score = fitted.score(*given)
    quality = f"accuracy {score:.1%}" if learnt.target.classifies else f"R2 {score:.3f}"
    say(_paragraph(f"Model: {_called(learnt, model)}; {how}: {quality}."))


def say_report(answer: Any, learnt: Rows, top: int) -> None:
    """Print the check, the rows that hurt and help most, and what was found."""
    if answer.check is not None:
        say("", _paragraph(f"Check: {answer.check.verdict}."))
    overall, own = answer.overall, _own_columns(learnt)
    most = min(max(HURT_SHOWN, HELP_SHOWN), top, len(overall.row_labels))
    frame = overall.to_frame(most, columns=own)
    titles = (("harms", "hurt", HURT_SHOWN), ("helps", "help", HELP_SHOWN))
    for effect, verb, shown in titles:
        some = frame[frame["effect"] == effect][:shown]
        if not len(some):
            say("", f"No row {verb}s.")
            continue
        change = f"score: change of the mean {answer.loss} without the row"
        say("", _paragraph(f"Rows that {verb} most ({change}):"))
        columns = {_row_word(learnt): some["row"], "score": some["score"]}
        say(_table(_beside(columns, some, own), always=2))
    say("", *findings_lines(answer.findings), "")


def say_audit(model: LabelAudit, learnt: Rows, top: int) -> None:
    """Print the most suspect rows, and how many are expected to be wrong."""
    columns = _own_columns(learnt)[1:]
    worst = model.to_frame(top, columns=columns)
    tiers = model.result_.tiers
    counts = [int(np.sum(tiers == tier)) for tier in ("likely", "suspected")]
    noun = "labels" if learnt.target.classifies else "values"
    say(
        _paragraph(
            f"{counts[0]:,} of {number_of(len(tiers), 'row')} have {noun} that are likely wrong, "
            f"and {counts[1]:,} more are suspected. The most suspect first; quality is 0 to 1:"
        )
    )
    names = {"row": _row_word(learnt), "given_label": "given", "suggested_label": "suggested"}
    names |= {"label_quality": "quality", "tier": "tier"}
    worst["label_quality"] = worst["label_quality"].round(4)
    judged = {new: worst[old] for old, new in names.items()}
    say(_table(_beside(judged, worst, columns), always=len(judged)))
    expected = model.expected_errors_
    if expected is not None:
        say(_paragraph(f"Expected: {expected}."))
    say("Nothing was changed: look at these rows before you change any.")


def findings_lines(findings: Sequence[Any]) -> list[str]:
    """Return a line or more for each thing that was found, the worst first."""
    found = sorted(
        (each for each in findings if each.state == "found"),
        key=lambda each: SEVERITIES.index(each.severity),
    )
    if not found:
        return ["Findings: none."]
    lines = [
        wrapped(f"  {each.severity:<6}  {each.code}  {each.text}", _width(), " " * 18)
        for each in found
    ]
    return [f"Findings ({len(found)} of {len(findings)} that are looked for):", *lines]


def is_as_severe(findings: Sequence[Any], severity: str | None) -> bool:
    """Return whether something was found that is as severe as that, or worse."""
    if severity is None:
        return False
    enough = SEVERITIES[: SEVERITIES.index(severity) + 1]
    return any(each.state == "found" and each.severity in enough for each in findings)


def _introduce(learnt: Rows) -> None:
    """Print what the table is, and what was imputed and left out."""
    counts = {kind: len(learnt.columns.of_kind(kind)) for kind in KIND_WORDS}
    of = listing(f"{n} {KIND_WORDS[kind][n > 1]}" for kind, n in counts.items() if n)
    n_columns = number_of(len(learnt.columns.kept), "column")
    classes = learnt.y.value_counts()
    if learnt.target.classifies:
        each = listing(f"{label}: {n:,}" for label, n in classes.items())
        what = f"{len(classes)} classes ({each})"
    else:
        what = f"numbers, {learnt.y.min():,.6g} to {learnt.y.max():,.6g}"
    rows = number_of(len(learnt.y), "row")
    summary = f"{learnt.name}: {rows}, {n_columns} ({of}); {learnt.target.name}: {what}."
    _say_paragraphs([summary, *learnt.said])


def _called(learnt: Rows, model: str) -> str:
    return MODEL_WORDS[model_name(model, classifies=learnt.target.classifies)]


def _row_word(learnt: Rows) -> str:
    """Return what rows are named by: "line", of files."""
    return str(learnt.X.index.name)


def _own_columns(learnt: Rows) -> list[str]:
    """Return which of the rows' own columns may be shown: the target, and the first others."""
    return [learnt.target.name, *(each.name for each in learnt.columns.kept[:COLUMNS_SHOWN])]


def _beside(columns: dict[str, Any], frame: Any, own: Sequence[str]) -> dict[str, Any]:
    """Return columns and the rows' own, the last of a frame; a name that is taken gets "_train"."""
    shown = dict(columns)
    for name, at in zip(own, range(-len(own), 0), strict=True):
        while name in shown:
            name = f"{name}_train"
        shown[name] = frame.iloc[:, at]
    return shown


def _table(columns: dict[str, Any], always: int) -> str:
    values = {name: _shown(each) for name, each in columns.items()}
    return table(values, _width(), always)


def _shown(series: Any) -> list[Any]:
    """Return the values of a column as a person wants them: dates short, nothing as nothing."""
    if series.dtype.kind == "M":
        whole_days = bool((series.dropna() == series.dropna().dt.normalize()).all())
        return list(series.dt.strftime("%Y-%m-%d" if whole_days else "%Y-%m-%d %H:%M").fillna(""))
    values = plain(np.asarray(series))
    words = any(isinstance(each, str) for each in values)
    return ["" if words and each != each else each for each in values]


def _width() -> int:
    return width_of(sys.stdout)


def _say_paragraphs(texts: Sequence[str]) -> None:
    for text in texts:
        say(_paragraph(text))


def _paragraph(text: str) -> str:
    return wrapped(text, _width())


# ------------------------------------------------------------------------------------- what is done


def _read(asked: Namespace) -> Rows:
    learnt = to_learn(asked.train, asked.target, asked.model, asked.max_rows, sys.stdin.buffer)
    _warn_of(learnt)
    return learnt


def _warn_of(examples: Rows) -> None:
    warn(*(f"note: {each}" for each in examples.warned))


def _halves(learnt: Rows) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Return rows to learn from, and the quarter that is held out."""
    first, second = held_out(learnt.y, classifies=learnt.target.classifies)
    return learnt.take(first), learnt.take(second)


def _wrapper(learnt: Rows, name: str, jobs: int | None) -> Any:
    classifies = learnt.target.classifies
    wrapper = InfluenceClassifier if classifies else InfluenceRegressor
    estimator = pipeline(learnt.columns, name, classifies=classifies)
    damping = DAMPING.get(name, 0.0)
    return wrapper(estimator, damping=damping, n_jobs=_jobs(learnt, jobs), verbose=_verbose())


def _jobs(learnt: Rows, given: int | None) -> int:
    return given or (2 if learnt.X.size > SMALL else 1)


def _verbose() -> int:
    return int(is_watched(sys.stderr))


def _refuse_one_class(y: Any, learnt: Rows) -> None:
    if y.nunique() < 2:
        raise Refusal(
            f"{learnt.name}: the {len(y):,} rows to learn from have one {learnt.target.name!r} "
            f"alone, {cut(y.iloc[0])!r}; two or more are accepted. Pass more rows of the others."
        )


def _outputs(
    html: str | None, json: str | None, inputs: Sequence[str]
) -> tuple[Path | None, Path | None]:
    page = None if html is None else output_file("--html", html, inputs)
    numbers = None if json is None else output_file("--json", json, inputs)
    if page is not None and numbers is not None and page.resolve() == numbers.resolve():
        raise Refusal(f"--html and --json are both {html}; a name for each is accepted.")
    return page, numbers


def _write(what: str, path: Path | None, text: Callable[[], str]) -> None:
    if path is not None:
        write_whole(path, text())
        say(f"{what}: {path.resolve()}")
