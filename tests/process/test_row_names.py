"""What messages call rows: labels, where there are any and each is one row's."""

import numpy as np
import pandas as pd
import pytest

from skinfluence.process.row_names import counts_rows, index_of, named_row, named_rows, rows_of
from skinfluence.process.threads import in_threads

SPLIT = pd.Index([7, 2, 9])


def frame(index):
    return pd.DataFrame({"x": np.zeros(len(index))}, index=index)


@pytest.mark.parametrize(
    ("index", "one", "several"),
    [
        (SPLIT, "9 (by label)", "[9, 7] (2 in all, by label)"),
        (pd.Index(list("abc")), "'c' (by label)", "['c', 'a'] (2 in all, by label)"),
        (pd.Index([0.5, 1.0, 1.5]), "1.5 (by label)", "[1.5, 0.5] (2 in all, by label)"),
        (
            pd.MultiIndex.from_product([["a"], [1, 2, 3]]),
            "('a', 3) (by label)",
            "[('a', 3), ('a', 1)] (2 in all, by label)",
        ),
        (
            pd.date_range("2024-01-01", periods=3),
            "2024-01-03 00:00:00 (by label)",
            "[2024-01-03 00:00:00, 2024-01-01 00:00:00] (2 in all, by label)",
        ),
        (pd.RangeIndex(3), "2", "[2, 0] (2 in all)"),
        (pd.Index([0, 1, 2]), "2", "[2, 0] (2 in all)"),
        (
            pd.Index(list("aab")),
            "2 (by position: labels repeat)",
            "[2, 0] (2 in all, by position: labels repeat)",
        ),
    ],
)
def test_names(index, one, several):
    with rows_of(frame(index)):
        assert named_row(2) == one
        assert named_rows(np.array([2, 0])) == several


def test_rows_without_labels_have_positions():
    assert named_rows(np.array([2, 0])) == "[2, 0] (2 in all)"
    with rows_of(np.zeros((3, 1))):
        assert named_row(2) == "2"


def test_twenty_are_named():
    rows = np.arange(50)
    assert named_rows(rows) == f"{list(range(20))} (50 in all)"
    with rows_of(frame(rows + 1)):
        assert named_rows(rows) == f"{list(range(1, 21))} (50 in all, by label)"


def test_the_innermost_frame_counts_until_it_is_left():
    with rows_of(frame(SPLIT)):
        with pytest.raises(ZeroDivisionError), rows_of(frame(list("abc"))):
            assert named_row(0) == "'a' (by label)"
            1 / 0  # noqa: B018
        assert named_row(0) == "7 (by label)"
        with rows_of([[0.0]]):
            assert named_row(0) == "0"
    assert named_row(0) == "0"


@pytest.mark.parametrize("n_jobs", [1, 2, None])
def test_threads_take_names_along(n_jobs):
    names = []
    with rows_of(frame(SPLIT)):
        in_threads(lambda row: names.append(named_row(row)), [0, 1, 2, 0, 1, 2], n_jobs)
    assert sorted(names) == sorted(2 * ["7 (by label)", "2 (by label)", "9 (by label)"])


def test_which_index_counts_rows():
    assert index_of([[1.0]]) is None
    assert index_of(frame(SPLIT)).equals(SPLIT)
    for index in (pd.RangeIndex(4), pd.Index([0, 1]), pd.Index([0, 1], dtype="Int64")):
        assert counts_rows(index)
    for index in (SPLIT, pd.RangeIndex(1, 4), pd.Index([0.0, 1.0]), pd.Index(["0", "1"])):
        assert not counts_rows(index)
