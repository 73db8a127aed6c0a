"""What a report writes: a page, Markdown, JSON, text."""

import json
import webbrowser
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection.report.as_json import plain_value
from skinfluence.inspection.report.as_markdown import escaped, markdown
from skinfluence.inspection.report.contents import Contents, Section, Table
from skinfluence.inspection.report.findings import (
    MOST_ROWS,
    TITLES,
    Finding,
    codes_given,
    found,
    ignored,
    not_found,
)
from skinfluence.inspection.report.report import write_whole
from tests.cases import BINARY, REALS

X = pd.DataFrame(BINARY.X, columns=["age", "income", "debt", "<b>rank</b>"])
X = X.assign(town=np.where(BINARY.X[:, 0] > 0, "Bonn | Kiel", None))
X.index = [f"client {i}" for i in range(len(X))]
NUMBERS = ["age", "income", "debt", "<b>rank</b>"]


@pytest.fixture(scope="module")
def report():
    from sklearn.compose import make_column_transformer

    steps = make_column_transformer(("passthrough", NUMBERS))
    from sklearn.pipeline import make_pipeline

    model = InfluenceClassifier(make_pipeline(steps, LogisticRegression())).fit(X, BINARY.y)
    groups = np.where(BINARY.X[:, 1] > 0, "a", "b")
    X_test = pd.DataFrame(BINARY.X_test, columns=NUMBERS).assign(town="Ulm")
    return model.report(X_test, BINARY.y_test, groups=groups, audit=True, check=12, top=3)


@pytest.fixture
def drawn(report, monkeypatch):
    """Return a report whose page is quick to make."""
    monkeypatch.setattr(type(report), "html", lambda self: "<p>the page</p>")
    return report


# -------------------------------------------------------------------------------------- the file


def test_a_file_is_written_as_a_whole(drawn, tmp_path):
    path = tmp_path / "report.html"
    drawn.write_html(path)
    assert path.read_text() == "<p>the page</p>"
    drawn.write_html(str(path))
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
    plain = tmp_path / "plain"
    plain.write_text("")
    assert path.stat().st_mode == plain.stat().st_mode


def test_what_goes_wrong_leaves_the_file_as_it_was(report, tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("before")

    def broken(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(report), "html", broken)
    with pytest.raises(KeyboardInterrupt):
        report.write_html(path)
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half a character \ud800")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_and_a_folder_that_is_not_there_are_refused(drawn, tmp_path):
    with pytest.raises(
        IsADirectoryError, match=r"is a folder; the path of a file is accepted, such"
    ):
        drawn.write_html(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere"):
        drawn.write_html(tmp_path / "nowhere" / "report.html")
    assert not list(tmp_path.iterdir())


def test_open_shows_a_temporary_file(drawn, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    drawn.open()
    (address,) = shown
    assert address.startswith("file://")
    (file,) = tmp_path.iterdir()
    assert address == file.as_uri()
    assert file.read_text() == "<p>the page</p>"


def test_the_page_and_the_snippet_are_of_the_contents(report):
    pytest.importorskip("jinja2")
    page, snippet = report.html(), report.html_snippet()
    assert page.lower().startswith("<!doctype html>")
    for text in (page, snippet):
        assert "Are the scores right?" in text
        assert "client" in text
        assert "<b>rank</b>" not in text
    assert report._repr_html_() == snippet


# ----------------------------------------------------------------------------------------- as text


def test_printed_it_says_model_verdict_findings_and_top_rows(report):
    text = repr(report)
    lines = text.splitlines()
    assert lines[0].startswith("LogisticRegression: 60 training rows, 12 test rows with a mean log")
    assert lines[1] == f"Check: {report.check.verdict}"
    listed = [each for each in report.findings if each.state == "found"]
    assert [line[:6] for line in lines[2 : 2 + len(listed)]] == [each.code for each in listed]
    frame = report.overall.to_frame(3)
    for row in frame["row"]:
        assert str(row) in text
    assert "write_html(path)" in lines[-1]
    quiet = replace(report, findings=tuple(not_found(code, "") for code in TITLES))
    assert "Findings: none." in repr(quiet)


# ------------------------------------------------------------------------------------- as Markdown


def test_cells_stand_for_themselves():
    assert escaped("a | b") == r"a \| b"
    assert escaped("a\nb\r\n c") == "a b c"
    assert escaped("<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert escaped("`x` *y* _z_ [a](b) & ~") == r"\`x\` \*y\* \_z\_ \[a\](b) &amp; \~"
    assert escaped("@octocat #12 GH-7") == "@\u200boctocat \\#\u200b12 GH-\u200b7"


def test_a_table_has_as_many_cells_in_every_line(report):
    text = report.markdown()
    assert r"Bonn \| Kiel" in text
    assert "&lt;b&gt;rank&lt;/b&gt;" in text
    assert "<b>" not in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 8
    for table in tables:
        counts = {line.replace(r"\|", "").count("|") for line in table.splitlines()}
        assert len(counts) == 1, table
    assert text.index("## Are the scores right?") < text.index("## Findings")
    for code in TITLES:
        assert f"**{code} " in text


def test_a_section_has_its_parts_below_it():
    finding = found("SKI001", "low", "One row.", "Look.", ["a|b"])
    table = Table("Rows", {"name": ["x"], "n": [1.5]})
    part = Section("Part", "part", text=("below",))
    section = Section(
        "Title", "title", "Lead", ("text",), (finding,), {"a": "b"}, (), (table,), (part,)
    )
    assert markdown(Contents("All", "of it", (section,))).splitlines() == [
        "# All",
        "",
        "of it",
        "",
        "## Title",
        "",
        "**Lead**",
        "",
        "text",
        "",
        r"- **SKI001 Rows of high leverage** (low). One row. Look. Rows: a\|b.",
        "",
        "|  |  |",
        "| --- | --- |",
        "| a | b |",
        "",
        "Rows",
        "",
        "| name | n |",
        "| --- | ---: |",
        "| x | 1.50 |",
        "",
        "### Part",
        "",
        "below",
    ]


# ----------------------------------------------------------------------------------------- as JSON


def test_values_as_json_has_them():
    given = {
        "numbers": [np.int64(3), np.float32(0.5), True, np.bool_(False), Fraction(1, 4)],
        "none": [np.nan, np.inf, None, pd.NaT, pd.NA, np.datetime64("NaT")],
        "times": [date(2020, 1, 2), datetime(2020, 1, 2, 3), pd.Timestamp("2020-01-02")],
        "others": [b"x", Decimal("0.10"), ("a", 1), pd.Interval(0, 1), np.str_("t")],
        5: np.array([[1, 2], [3, 4]]),
    }
    read = json.loads(json.dumps(plain_value(given), allow_nan=False))
    assert read["numbers"] == [3, 0.5, True, False, 0.25]
    assert read["none"] == [None] * 6
    assert read["times"] == ["2020-01-02", "2020-01-02T03:00:00", "2020-01-02T00:00:00"]
    assert read["others"] == ["b'x'", "0.10", ["a", 1], "(0, 1]", "t"]
    assert read["5"] == [[1, 2], [3, 4]]


def test_json_has_the_values_of_the_frames(report):
    read = json.loads(report.to_json())
    assert list(read) == [
        "skinfluence",
        "created",
        "model",
        "data",
        "check",
        "findings",
        "overall",
        "tests",
        "groups",
        "audit",
    ]
    frame = report.overall.to_frame(3, columns=[*NUMBERS, "town", "y"])
    for name in ("effect", "rank", "row", "position", "score"):
        assert [row[name] for row in read["overall"]] == frame[name].tolist()
    assert [row["columns"]["age"] for row in read["overall"]] == frame["age"].tolist()
    towns = [None if town is None else town for town in X.loc[frame["row"], "town"]]
    assert [row["columns"]["town"] for row in read["overall"]] == [
        town if isinstance(town, str) else None for town in towns
    ]
    tests = report.tests
    assert [each["loss"] for each in read["tests"]] == tests.losses.tolist()
    assert [each["given"] for each in read["tests"]] == BINARY.y_test[tests.positions].tolist()
    scores = [[row["score"] for row in each["rows"]] for each in read["tests"]]
    assert scores == [each["score"].tolist() for each in tests.frames(3, report.shown)]
    groups = report.groups.to_frame()
    assert [each["score"] for each in read["groups"]] == groups["score"].tolist()
    check = report.check
    assert read["check"]["slope"] == check.slope
    assert read["check"]["verdict"] == check.verdict
    assert read["check"]["rows"] == check.row_labels.tolist()
    assert read["audit"]["likely"] == int(np.sum(report.audit.tiers == "likely"))
    assert read["data"]["sha256"] == report.overall.facts["data"]
    assert [each["anchor"] for each in read["findings"]] == [
        f"report.html#{code.lower()}" for code in TITLES
    ]


def test_what_was_not_asked_is_null():
    model = InfluenceRegressor(Ridge()).fit(REALS.X, REALS.y)
    read = json.loads(model.report(REALS.X_test, REALS.y_test, check=0).to_json())
    assert read["groups"] is None
    assert read["audit"] is None
    assert read["check"] == {
        "verdict": None,
        "fit_for": None,
        "reason": "check=0 left the refits out.",
    }
    test = read["tests"][0]
    assert test["given y1"] == REALS.y_test[test["position"], 1]


# ---------------------------------------------------------------------------------------- findings


def test_a_finding_names_at_most_so_many_rows():
    assert len(found("SKI001", "low", "", "", range(100)).rows) == MOST_ROWS


def test_codes():
    assert codes_given(()) == codes_given(None) == ()
    assert codes_given("SKI001") == ("SKI001",)
    with pytest.raises(ValueError, match=r"\['ski001'\] are no codes of findings. .*SKI009: warn"):
        codes_given(["ski001"])
    finding = found("SKI002", "high", "far", "fit")
    assert ignored(finding, ("SKI001",)) is finding
    assert ignored(finding, ("SKI002",)) == replace(finding, state="ignored", severity="")
    assert ignored(not_found("SKI002", "near"), ("SKI002",)).state == "not found"


def test_the_documentation_has_every_code():
    page = (Path(__file__).parents[2] / "doc" / "report.rst").read_text()
    for code, title in TITLES.items():
        assert f".. _{code.lower()}:" in page
        assert f"\n{code}: {title}\n---" in page
    assert Finding("SKI001", "", "found").anchor == "report.html#ski001"
