"""The benchmark of speed runs, and README and documentation show what its last run kept."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

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
