"""What the command is asked: a report on a model, an audit of the targets."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skinfluence.command.columns import listing
from skinfluence.command.examples import Examples, held_out, tested, training
from skinfluence.command.pipelines import model_name, pipeline
from skinfluence.command.printing import say, table, warn, width_of, wrapped
from skinfluence.command.refusal import Refusal
from skinfluence.command.writing import output_file, whole_file
from skinfluence.estimators import InfluenceClassifier, InfluenceRegressor, LabelAudit
from skinfluence.inspection.report.findings import SEVERITIES
from skinfluence.inspection.tables import cut, number_of, plain
from skinfluence.process.progress import is_watched

COLUMNS_SHOWN = 12
"""Of the rows' own columns, as far as they fit."""

MODEL_WORDS = {
    "logistic": "logistic regression",
    "svm": "linear support vector machine",
    "forest": "random forest",
    "boosting": "histogram gradient boosting",
    "mlp": "neural network",
    "ridge": "ridge regression",
    "poisson": "Poisson regression",
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
        raise Refusal("TRAIN and --test are both \"-\"; one of them is accepted. Pass a file.")
    page, numbers = _outputs(asked.html, asked.json, inputs)
    learnt = _read(asked)
    if asked.test:
        test = tested(asked.test, learnt, asked.max_rows, sys.stdin.buffer)
        warn(*(f"note: {each}" for each in test.warned))
        rows: tuple[Any, Any] = (learnt.X, learnt.y)
        given = test.X, test.y
        which = f"{number_of(len(test.y), 'row')} of {test.name} are predicted"
        said: tuple[str, ...] = test.said
    else:
        first, second = held_out(learnt.y, classifies=learnt.target.classifies)
        rows, given = learnt.take(first), learnt.take(second)
        which, said = f"{len(second):,} are held out to be predicted (a quarter, seed 0)", ()
    _refuse_one_class(rows[1], learnt)
    _introduce(learnt, said)
    model = _model(learnt, asked.model, asked.jobs).fit(*rows)
    answer = model.report(*given, top=asked.top, check=asked.check)
    say_model(learnt, asked.model, f"{len(rows[1]):,} rows train it, {which}", model, given)
    say_report(answer, learnt)
    _write(page, answer.write_html)
    _write(numbers, lambda path: Path(path).write_text(answer.to_json(), encoding="utf-8"))
    say("", *(f"{what}: {path.resolve()}" for what, path in _named(page, numbers)))
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
    _introduce(learnt, ())
    estimator = pipeline(learnt.columns, asked.model, classifies=learnt.target.classifies)
    model = LabelAudit(estimator, n_jobs=asked.jobs, verbose=_verbose()).fit(learnt.X, learnt.y)
    say(_paragraph(f"Model: {_called(learnt, asked.model)}, fitted without each row in turn."), "")
    say_audit(model, learnt, asked.top)
    _write(numbers, lambda path: Path(path).write_text(model.result_.to_json(), encoding="utf-8"))
    say(*(f"{what}: {path.resolve()}" for what, path in _named(None, numbers)))
    return False


# ------------------------------------------------------------------------------------- what is said


def say_model(learnt: Examples, model: str, how: str, fitted: Any, given: tuple[Any, Any]) -> None:
    """Print which model it is, of which rows, and how good it is."""
    score = fitted.score(*given)
    quality = f"accuracy {score:.1%}" if learnt.target.classifies else f"R2 {score:.3f}"
    say(_paragraph(f"Model: {_called(learnt, model)}; {how}: {quality}."))


def say_report(answer: Any, learnt: Examples) -> None:
    """Print the check, the rows that hurt and help most, and what was found."""
    if answer.check is not None:
        say("", _paragraph(f"Check: {answer.check.verdict}."))
    overall, columns = answer.overall, _own_columns(learnt)
    top = overall.to_frame(answer_rows(overall, 10), columns=columns)
    for effect, title in (("harms", "hurt"), ("helps", "help")):
        some = top[top["effect"] == effect]
        change = "lower" if effect == "harms" else "raise"
        heading = (
            f"Rows that {title} most; without one, the mean loss of the rows predicted would be "
            f"{change} by its score:"
        )
        shown = {"line": some["row"], "score": some["score"]} | _columns_shown(some, columns)
        say("", _paragraph(heading if len(some) else f"No row {title}s."))
        if len(some):
            say(_table(shown, always=2))
    say("", *findings_lines(answer.findings))


def say_audit(model: LabelAudit, learnt: Examples, top: int) -> None:
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
    names = {"row": "line", "given_label": "given", "suggested_label": "suggested"}
    names |= {"label_quality": "quality", "tier": "tier"}
    shown = {new: worst[old] for old, new in names.items()} | _columns_shown(worst, columns)
    say(_table(shown, always=5))
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


def answer_rows(overall: Any, most: int) -> int:
    """Return how many rows at either end there are to be shown."""
    return min(most, len(overall.row_labels))


def _introduce(learnt: Examples, said: Sequence[str]) -> None:
    """Print what the table is, and what was imputed and left out."""
    kinds = ("number", "yes or no", "category", "text", "date")
    counts = {each: len(learnt.columns.of_kind(each)) for each in kinds}
    of = listing(f"{n} {kind}" for kind, n in counts.items() if n)
    n_columns = number_of(len(learnt.columns.kept), "column")
    classes = learnt.y.value_counts()
    if learnt.target.classifies:
        each = listing(f"{label} {n:,}" for label, n in classes.items())
        what = f"{len(classes)} classes ({each})"
    else:
        what = f"numbers, {learnt.y.min():,.4g} to {learnt.y.max():,.4g}"
    rows = number_of(len(learnt.y), "row")
    say(
        _paragraph(f"{learnt.name}: {rows}, {n_columns} ({of}); {learnt.target.name}: {what}."),
        *(_paragraph(each[0].upper() + each[1:]) for each in (*learnt.said, *said)),
    )


def _called(learnt: Examples, model: str) -> str:
    return MODEL_WORDS[model_name(model, classifies=learnt.target.classifies)]


def _own_columns(learnt: Examples) -> list[str]:
    """Return which of the rows' own columns may be shown: the target, and the first others."""
    return [learnt.target.name, *(each.name for each in learnt.columns.kept[:COLUMNS_SHOWN])]


def _columns_shown(frame: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the rows' own columns of a table: the last, whatever they are called there."""
    own = frame.iloc[:, frame.shape[1] - len(names) :]
    return {str(name): own[name] for name in own.columns}


def _table(columns: dict[str, Any], always: int) -> str:
    values = {name: plain(np.asarray(each)) for name, each in columns.items()}
    return table(values, _width(), always)


def _width() -> int:
    return width_of(sys.stdout)


def _paragraph(text: str) -> str:
    return wrapped(text, _width())


# ---------------------------------------------------------------------------------- what is done


def _read(asked: Namespace) -> Examples:
    learnt = training(asked.train, asked.target, asked.model, asked.max_rows, sys.stdin.buffer)
    warn(*(f"note: {each}" for each in learnt.warned))
    return learnt


def _model(learnt: Examples, name: str, jobs: int) -> Any:
    classifies = learnt.target.classifies
    wrapper = InfluenceClassifier if classifies else InfluenceRegressor
    estimator = pipeline(learnt.columns, name, classifies=classifies)
    return wrapper(estimator, n_jobs=jobs, verbose=_verbose())


def _verbose() -> int:
    return int(is_watched(sys.stderr))


def _refuse_one_class(y: Any, learnt: Examples) -> None:
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


def _write(path: Path | None, write: Any) -> None:
    if path is not None:
        with whole_file(path) as part:
            write(part)


def _named(page: Path | None, numbers: Path | None) -> list[tuple[str, Path]]:
    named = (("Report", page), ("Numbers", numbers))
    return [(what, path) for what, path in named if path is not None]
