"""The command as a shell calls it: what it prints, writes, refuses, and its exit codes."""

import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("narwhals", reason="the command needs narwhals")
pytest.importorskip("jinja2", reason="the page needs jinja2")
pd = pytest.importorskip("pandas")

from skinfluence.command import main, questions  # noqa: E402
from skinfluence.command.questions import is_as_severe  # noqa: E402
from skinfluence.inspection.report.findings import Finding  # noqa: E402

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATHS}


def table(n=80, target="bought"):
    """Return a table whose classes follow a number, but for the rows at lines 12 and 32."""
    rng = np.random.default_rng(0)
    size, town = rng.normal(10, 3, n), rng.choice(["Ulm", "Jena"], n)
    bought = (size + (town == "Ulm") > 10) ^ np.isin(np.arange(n), [10, 30])
    lines = (
        f"{a:.2f},{b},{'yes' if c else 'no'}\n" for a, b, c in zip(size, town, bought, strict=True)
    )
    return f"size,town,{target}\n" + "".join(lines)


@pytest.fixture
def train(file):
    return file("train.csv", table())


# ------------------------------------------------------------------------------------ what it says


def test_a_report(train, folder, capsys):
    before = (folder / train).read_bytes()
    assert main(["report", train, "--target", "bought", "--check", "10", "--json", "r.json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for each in (
        "train.csv: 80 rows, 2 columns (1 number, 1 category); bought: 2 classes",
        "Model: logistic regression; 60 rows train it, 20 are held out",
        "Check: fit for values",
        "Rows that hurt most (score: change of the mean log loss without the row):",
        "Rows that help most",
        "Findings",
        f"Report: {folder / 'skinfluence-report.html'}",
        f"Numbers: {folder / 'r.json'}",
    ):
        assert each in out, each
    assert max(map(len, out.splitlines())) <= 80 or str(folder) in out
    assert "bought" in (folder / "skinfluence-report.html").read_text(encoding="utf-8")
    assert json.loads((folder / "r.json").read_text(encoding="utf-8"))["data"]["n_train"] == 60
    assert (folder / train).read_bytes() == before
    assert sorted(each.name for each in folder.iterdir()) == [
        "r.json",
        "skinfluence-report.html",
        "train.csv",
    ]


def test_the_rows_that_hurt_are_those_of_the_file(train, folder, capsys):
    assert main(["report", train, "--target", "bought", "--check", "0", "--top", "2"]) == 0
    out = capsys.readouterr().out
    assert "Check" not in out
    hurt = out.split("hurt most")[1].split("Rows that help")[0].strip().splitlines()
    names, *rows = (line.split() for line in hurt[1:] if line.strip())
    assert names == ["line", "score", "bought", "size", "town"] and len(rows) == 2
    lines = (folder / train).read_text().splitlines()
    for line, score, bought, size, town in rows:
        given = lines[int(line) - 1].split(",")
        assert given[1:] == [town, bought] and float(given[0]) == pytest.approx(
            float(size), abs=0.1
        )
        assert float(score) < 0


def test_its_scores_are_those_of_refits(train, folder, capsys):
    """Without the worst row, the mean loss of the rows held out falls by what is printed."""
    from sklearn.metrics import log_loss

    from skinfluence.command.pipelines import pipeline
    from skinfluence.command.rows import held_out, to_learn

    assert main(["report", train, "--target", "bought", "--check", "0", "--json", "r.json"]) == 0
    capsys.readouterr()
    rows = to_learn(train, "bought", "auto", None, io.BytesIO())
    learnt, test = held_out(rows.y, classifies=True)
    (X, y), (X_test, y_test) = rows.take(learnt), rows.take(test)
    estimator = pipeline(rows.columns, "logistic", classifies=True)
    estimator.set_params(model__solver="newton-cholesky", model__tol=1e-10).fit(X, y)
    features = estimator[:-1].transform(X)
    tested = estimator[:-1].transform(X_test)

    def loss(kept):
        model = estimator[-1].fit(features[kept], y[kept])
        return log_loss(y_test, model.predict_proba(tested))

    entries = json.loads((folder / "r.json").read_text(encoding="utf-8"))["overall"]
    worst = next(each for each in entries if each["effect"] == "harms")
    everything = np.ones(len(y), dtype=bool)
    change = loss(y.index != worst["row"]) - loss(everything)
    assert worst["score"] == pytest.approx(change, rel=0.05)
    assert change < 0


def test_an_audit_finds_the_swapped_labels(train, folder, capsys):
    assert main(["audit", train, "--target", "bought", "--top", "3", "--json", "a.json"]) == 0
    out, err = capsys.readouterr()
    assert err == "" and "Expected: about" in out
    rows = [line.split() for line in out.splitlines() if line.startswith("    ")]
    assert {row[0] for row in rows[:2]} == {"12", "32"}
    assert all(row[1] != row[2] and row[4] == "likely" for row in rows[:2])
    assert json.loads((folder / "a.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("question", ["audit", "report"])
def test_columns_that_are_called_as_those_of_the_answer(file, capsys, question):
    rng = np.random.default_rng(0)
    names = ["quality", "given", "tier", "score", "effect", "line"]
    cells = rng.integers(1000, 10_000, (40, len(names)))
    text = ",".join([*names, "suggested"]) + "\n"
    text += "".join(f"{','.join(map(str, row))},{row[0] > 5000}\n" for row in cells.tolist())
    given = [question, file("t.csv", text), "--target", "suggested", "--top", "3"]
    assert main([*given, "--check", "0"] if question == "report" else given) == 0
    out = capsys.readouterr().out.splitlines()
    at = next(k for k, each in enumerate(out) if each.split()[:1] == ["line"])
    heads, *rows = (each.split() for each in out[at : at + 4])
    if question == "audit":
        assert heads[:7] == [
            "line",
            "given",
            "suggested",
            "quality",
            "tier",
            "quality_train",
            "given_train",
        ]
    else:
        assert heads[:5] == ["line", "score", "suggested", "quality", "given"]
    for row in rows:
        own = cells[int(row[0]) - 2]
        shown = row[5 - len(heads) :] if question == "audit" else row[3:]
        assert shown == [str(each) for each in own[: len(shown)]]


def test_an_audit_of_numbers(file, capsys):
    text = "a,b,y\n" + "".join(
        f"{k % 9},{k * k % 7},{k % 9 + 2 * (k * k % 7) + (90 if k == 20 else 0) + k % 5 / 9}\n"
        for k in range(60)
    )
    assert main(["audit", file("t.csv", text), "--target", "y", "--top", "2"]) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.startswith("    ")]
    assert rows[0][0] == "22"
    assert "values that are likely wrong" in out


def test_a_second_file_and_its_notes(train, file, capsys):
    other = file("other.csv", table() + "9,Ulm,\n8,Ulm,maybe\n")
    given = ["report", train, "--target", "bought", "--test", other, "--check", "0"]
    assert main(given) == 0
    out, err = capsys.readouterr()
    assert "80 rows train it, 80 rows of other.csv test it" in out
    assert err.splitlines() == [
        "note: other.csv: 1 row without a 'bought' left out (line 82).",
        "note: other.csv: 1 row of classes that train.csv has not left out ('maybe').",
    ]


def test_numbers_and_a_draw(file, capsys):
    text = "a,b,y\n" + "".join(f"{k % 9},{k * k % 7},{k % 9 + k / 99}\n" for k in range(90))
    name = file("t.csv", text)
    given = ["report", name, "--target", "y", "--max-rows", "50", "--check", "0"]
    assert main(given) == 0
    out = capsys.readouterr().out
    assert "t.csv: 50 of 90 rows, drawn at random (seed 0)." in out
    assert "Model: ridge regression" in out and "R2" in out and "half squared error" in out


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_standard_input(folder, monkeypatch, capsys, pack):
    given = SimpleNamespace(buffer=io.BytesIO(pack(table().encode())))
    monkeypatch.setattr(sys, "stdin", given)
    assert main(["audit", "-", "--target", "bought", "--top", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("standard input: 80 rows") and err == ""


@pytest.mark.parametrize("arguments", [["--help"], ["report", "--help"], ["audit", "--help"]])
def test_help_has_the_exit_codes(capsys, arguments):
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "exit codes:" in out and "130" in out and "example" in out
    assert max(map(len, out.splitlines())) <= 100


def test_the_demonstration(folder, capsys):
    assert main(["demo"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "12 rows are swapped on purpose" in out and "Check: fit for values" in out
    assert "of the 12 that were swapped are flagged" in out
    assert f"Report: {folder / 'skinfluence-demo.html'}" in out
    assert [each.name for each in folder.iterdir()] == ["skinfluence-demo.html"]


# ------------------------------------------------------------------------------------- exit codes


def finding(severity, state="found"):
    return Finding("SKI001", "something", state, severity if state == "found" else "")


@pytest.mark.parametrize(
    ("found", "severity", "expected"),
    [
        (["high"], "high", True),
        (["medium", "low"], "high", False),
        (["medium"], "medium", True),
        (["low"], "low", True),
        (["high"], None, False),
        ([], "low", False),
    ],
)
def test_a_finding_as_severe_or_worse(found, severity, expected):
    findings = [*map(finding, found), finding("high", "not found"), finding("high", "ignored")]
    assert is_as_severe(findings, severity) is expected


@pytest.mark.parametrize(("severity", "code"), [("medium", 1), ("high", 0)])
def test_the_exit_code_says_that_something_was_found(train, monkeypatch, capsys, severity, code):
    answer = SimpleNamespace(findings=(finding("medium"),), html=str, to_json=str)
    monkeypatch.setattr(questions, "_reported", lambda *args, **kwargs: answer)
    given = ["report", train, "--target", "bought", "--fail-on", severity]
    assert main(given) == code


REFUSED = {
    "no file": (["report", "none.csv", "--target", "y"], "none.csv: there is no such file"),
    "no column": (["report", "train.csv", "--target", "bougt"], "no column 'bougt'. Near it: 'bou"),
    "no target": (["audit", "train.csv"], "the following arguments are required: --target"),
    "no model": (
        ["audit", "train.csv", "--target", "bought", "--model", "tree"],
        "invalid choice: 'tree' \\(choose from '?auto'?, '?logistic'?",
    ),
    "no number": (
        ["audit", "train.csv", "--target", "bought", "--top", "0"],
        "argument --top: '0' was given; 1 or more is accepted",
    ),
    "no command": ([], "COMMAND"),
    "the input": (
        ["report", "train.csv", "--target", "bought", "--html", "./train.csv"],
        "which is read; inputs are never written to",
    ),
    "the input by another name": (
        ["report", "train.csv", "--target", "bought", "--json", "link.csv"],
        "which is read; inputs are never written to",
    ),
    "no folder": (
        ["report", "train.csv", "--target", "bought", "--html", "no/r.html"],
        "the folder no is not there",
    ),
    "a folder": (
        ["report", "train.csv", "--target", "bought", "--html", "."],
        "is a folder; the name of a file",
    ),
    "one name twice": (
        ["report", "train.csv", "--target", "bought", "--html", "r", "--json", "./r"],
        "--html and --json are both r",
    ),
    "two standard inputs": (
        ["report", "-", "--target", "bought", "--test", "-"],
        'TRAIN and --test are both "-"',
    ),
    "words for ridge": (
        ["report", "train.csv", "--target", "bought", "--model", "ridge"],
        "--model ridge predicts numbers",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_input_that_cannot_be_used(train, folder, capsys, case):
    os.link(train, "link.csv")
    before = Path(train).read_bytes()
    arguments, message = REFUSED[case]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err
    words = " ".join(err.split())
    assert re.search(message, words), words
    assert sorted(each.name for each in folder.iterdir()) == ["link.csv", "train.csv"]
    assert Path(train).read_bytes() == before


def test_no_traceback_unless_asked_for(train, monkeypatch, capsys):
    def fall(*args, **kwargs):
        raise ZeroDivisionError("one over\nnothing")

    monkeypatch.setattr(questions, "to_learn", fall)
    given = ["audit", train, "--target", "bought"]
    assert main(given) == 2
    err = capsys.readouterr().err
    assert err.startswith("skinfluence: error: ZeroDivisionError: one over nothing")
    assert "SKINFLUENCE_TRACEBACK=1" in err and "Traceback" not in err
    monkeypatch.setenv("SKINFLUENCE_TRACEBACK", "1")
    assert main(given) == 2
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_warnings_are_lines(train, monkeypatch, capsys):
    import warnings

    whole = questions.to_learn

    def warned(*args):
        for each in ("odd", "odd", "odder", "oddest", "very odd"):
            warnings.warn(each, UserWarning, stacklevel=1)
        return whole(*args)

    monkeypatch.setattr(questions, "to_learn", warned)
    assert main(["audit", train, "--target", "bought"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: odd",
        "warning: odder",
        "warning: oddest",
        "warning: and 1 more.",
    ]


def test_without_a_package_it_is_said_what_to_install(train, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    assert main(["audit", train, "--target", "bought"]) == 2
    assert "pip install 'skinfluence[command]'" in " ".join(capsys.readouterr().err.split())


# ----------------------------------------------------------------------------------- interruptions


def test_an_interruption_leaves_nothing(train, folder, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    assert main(["report", train, "--target", "bought", "--check", "0"]) == 130
    assert capsys.readouterr().err.split("\n")[-2] == (
        "skinfluence: interrupted; no file was left half written."
    )
    assert [each.name for each in folder.iterdir()] == ["train.csv"]


@pytest.mark.skipif(os.name == "nt", reason="signals as POSIX has them")
def test_ctrl_c_in_a_shell(folder, file):
    file("big.csv", table(3000))
    command = [sys.executable, "-m", "skinfluence", "report", "big.csv", "--target", "bought"]
    process = subprocess.Popen(
        [*command, "--check", "3000", "--model", "boosting"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    process.stdout.readline()  # the work has begun
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err and b"interrupted" in err
    assert [each.name for each in folder.iterdir()] == ["big.csv"]


@pytest.mark.skipif(os.name == "nt", reason="pipes as POSIX has them")
def test_a_reader_that_goes_away_is_no_matter(train, folder):
    command = f"'{sys.executable}' -m skinfluence audit {train} --target bought; echo $? >code"
    done = subprocess.run(
        ["bash", "-c", f"({command}) | true"],
        cwd=folder,
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
    )
    assert (folder / "code").read_text().strip() == "0"
    assert done.stderr == b""


def test_progress_is_for_terminals_alone(train, monkeypatch):
    seen = []

    def look(wrapper, *args, **kwargs):
        seen.append(wrapper.verbose)
        return SimpleNamespace(findings=(), html=str, to_json=str)

    monkeypatch.setattr(questions, "_reported", look)
    given = ["report", train, "--target", "bought"]
    assert main(given) == 0
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(given) == 0
    assert seen == [0, 1]
