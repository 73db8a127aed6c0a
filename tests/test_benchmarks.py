"""The benchmark of speed runs, and README and documentation show what its last run kept."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "benchmarks" / "speed.json"


def speed(*options):
    """Run benchmarks/speed.py on the data that are there, without any other package."""
    return subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "speed.py"), *map(str, options)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )


@pytest.mark.parametrize(
    "names", [["top"], pytest.param(["wide", "top"], marks=pytest.mark.slow)], ids=" ".join
)
def test_a_quick_run_has_a_number_for_every_line(names, tmp_path):
    kept = tmp_path / "speed.json"
    done = speed("--quick", "--repeats", 1, "--only", *names, "--json", kept)
    numbers = json.loads(kept.read_text())
    assert list(numbers) == names
    for name, case in numbers.items():
        assert case["of"]["quick"]
        assert len(case["lines"]) == 3, name
        for line in case["lines"]:
            assert line["value"] > 0, line
            assert line["what"] in done.stdout
            above = line["bar"] is not None and line["value"] > line["bar"]
            assert line["missed"] == above


def test_readme_and_documentation_show_the_last_run(monkeypatch, capsys):
    """In this process: importing everything once more would take longer than all the rest."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def printed(how):
        monkeypatch.setattr(sys, "argv", ["speed.py", "--only", "--json", str(KEPT), how])
        importlib.import_module("speed").main()
        return capsys.readouterr().out

    numbers = json.loads(KEPT.read_text(encoding="utf-8"))
    assert not any(case["of"]["quick"] for case in numbers.values())
    readme, tables = printed("--readme"), printed("--rst")
    assert readme in (ROOT / "README.rst").read_text(encoding="utf-8")
    assert tables == (ROOT / "doc" / "speed_measured.inc").read_text(encoding="utf-8")


def test_a_line_says_where_its_bar_is_missed(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    Line = pytest.importorskip("speed_table").Line
    assert Line("case", "what", 1.5, bar=1.4).cells[1:3] == ["<= 1.4 x", "1.50 x, **missed**"]
    assert Line("case", "what", 1.3, bar=1.4).cells[2] == "1.30 x"
    assert Line("case", "what", 4.0, bar=5.0, least=True).missed
    assert not Line("case", "what", 6.0, bar=5.0, least=True).missed
    assert not Line("case", "what", None, bar=5.0).missed


def test_costs_of_trees_have_a_floor_and_a_target(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    trees, clocks = pytest.importorskip("trees"), pytest.importorskip("clocks")
    monkeypatch.setattr(clocks, "_clock", clocks._clock)  # which it sets, and is put back
    options = ["--quick", "--repeats", "1", "--only", "large", "Hist", "Regressor, 31"]
    monkeypatch.setattr(sys, "argv", ["trees.py", *options])
    trees.main()
    tables = capsys.readouterr().out.strip().split("\n\n")
    questions = [[line.split("  ")[1] for line in table.split("\n")[1:]] for table in tables]
    assert [len(asked) for asked in questions] == [3, 4, 6, 4]
    assert questions[1] == ["one fit", "first question", "first order", "newton = exact"]
    assert all(line.count(" x ") == 1 for table in tables[1:] for line in table.split("\n")[3:])


def test_verdicts_are_counted_against_the_truth(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    verdicts = pytest.importorskip("verdicts")
    monkeypatch.setattr(sys, "argv", ["verdicts.py", "--splits", "1", "--only", "Ridge"])
    monkeypatch.setattr(verdicts.networks, "OPERATIONS", 0.0)  # which it sets, and is put back
    verdicts.main()
    out = capsys.readouterr().out
    assert out.count("fit for values: relative error ") == 4  # two models, two data sets
    assert "4 checks of 2 models" in out
    assert "says too much 0, too little 0, of 4" in out


def test_the_share_of_rows_on_top(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    share = pytest.importorskip("verdicts").share_on_top
    actual = np.array([[-2.0, 0.0, 1.0, 3.0]])
    assert share(actual / 10.0, actual) == 1.0
    assert share(-actual, actual) == -1.0
    assert share(np.array([[-1.0, 0.0, 2.0, 1.0]]), actual) == pytest.approx(3.0 / 5.0)
    of_each = np.vstack([actual, 1e3 * actual, -actual, 0.0 * actual])
    assert share(np.vstack([actual] * 4), of_each) == 1.0  # the median of three that move
