"""Where files may be written."""

import os

import pytest

from skinfluence.command.refusal import Refusal
from skinfluence.command.writing import output_file


def test_a_new_file_and_an_old_one(file):
    file("old.html", "")
    assert str(output_file("--html", "new.html", ["-", "none.csv"])) == "new.html"
    assert str(output_file("--html", "old.html", [])) == "old.html"


@pytest.mark.parametrize("given", ["t.csv", "./t.csv", "link.csv", "soft.csv"])
def test_inputs_under_any_name(file, given):
    name = file("t.csv", "a\n")
    os.link(name, "link.csv")
    os.symlink(name, "soft.csv")
    with pytest.raises(Refusal, match="inputs are never written to"):
        output_file("--json", given, ["-", name])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (".", "is a folder"),
        ("", "is a folder"),
        ("none/r.html", "the folder none is not there"),
        (os.devnull, "is a device or a pipe"),
    ],
)
def test_what_is_no_place_for_a_file(folder, given, message):
    with pytest.raises(Refusal, match=message):
        output_file("--html", given, [])
