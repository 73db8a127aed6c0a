"""Rows to learn from and to predict: files together, halves, draws."""

import io

import numpy as np
import pytest

pytest.importorskip("narwhals", reason="the command needs narwhals")
pd = pytest.importorskip("pandas")

from skinfluence.command.refusal import Refusal  # noqa: E402
from skinfluence.command.rows import held_out, to_learn, to_predict  # noqa: E402

NOBODY = io.BytesIO()


def table(n=40, header="a,b,y"):
    rows = (f"{k * k % 11},{'uvw'[k % 3]},{'no' if k % 4 else 'yes'}\n" for k in range(n))
    return f"{header}\n" + "".join(rows)


def test_a_quarter_of_every_class_is_held_out():
    y = pd.Series(["a"] * 40 + ["b"] * 20 + ["alone"])
    learnt, test = held_out(y, classifies=True)
    assert sorted([*learnt, *test]) == list(range(61))
    assert y.iloc[test].value_counts().to_dict() == {"a": 10, "b": 5}
    again = held_out(y, classifies=True)
    np.testing.assert_array_equal(test, again[1])


@pytest.mark.parametrize("n", [8, 9, 41])
def test_a_quarter_of_numbers(n):
    learnt, test = held_out(pd.Series(np.arange(n) / 2), classifies=False)
    assert len(test) == round(n / 4)
    assert sorted([*learnt, *test]) == list(range(n))


def test_more_classes_than_can_be_stratified():
    y = pd.Series([f"c{k // 2}" for k in range(12)])
    learnt, test = held_out(y, classifies=True)
    assert len(test) == 3 and len(learnt) == 9


def test_lines_go_with_the_rows(file):
    rows = to_learn(file("t.csv", table() + "\n1,u,\n2,v,no\n"), "y", "auto", None, NOBODY)
    assert rows.X.index.tolist() == [*range(2, 42), 44]
    assert rows.y.index.equals(rows.X.index)
    assert rows.warned == ("t.csv: 1 row without a 'y' left out (line 43).",)


def test_rows_are_drawn_and_that_is_said(file):
    text = "\n" + table().replace("\n", "\n\n")  # of which every other line is blank
    name = file("t.csv", text)
    rows = to_learn(name, "y", "auto", 20, NOBODY)
    cells = [text.split("\n")[line - 1].split(",") for line in rows.X.index]
    assert [int(a) for a, _, _ in cells] == rows.X["a"].tolist()
    assert [y for _, _, y in cells] == rows.y.tolist()
    assert len(rows.y) == 20 and rows.X.index.is_monotonic_increasing
    assert rows.said[0] == "t.csv: 20 of 40 rows, drawn at random (seed 0)."
    assert rows.X.index.equals(to_learn(name, "y", "auto", 20, NOBODY).X.index)


def test_a_second_file_is_read_as_the_first(file):
    learnt = to_learn(file("t.csv", table()), "y", "auto", None, NOBODY)
    other = "y,b,more,a\nyes,new,1,3\nno,u,1,n/k\nmaybe,u,1,1\n,u,1,1\n"
    test = to_predict(file("u.csv", other), learnt, None, NOBODY)
    assert list(test.X.columns) == ["a", "b"]
    assert test.y.to_dict() == {2: "yes", 3: "no"}
    assert test.X["b"].tolist() == ["new", "u"]
    np.testing.assert_array_equal(test.X["a"], [3, np.nan])
    assert test.warned == (
        "u.csv: 1 row without a 'y' left out (line 5).",
        "u.csv: 1 row of classes that t.csv has not left out ('maybe').",
        "u.csv, column 'a': 'n/k' among numbers, taken as missing (1 row).",
        "u.csv, column 'b': 'new' not in t.csv, taken as rare (1 row).",
    )
    assert test.said == (
        "u.csv: 1 column has missing values: a (1 row); numbers get the median, categories "
        '"missing".',
    )


LEARNT_AND_READ = {
    "words like numbers": (["1", "2", "A"], ["", "1", "2"], [None, "1", "2"]),
    "words like truths": (["TRUE", "FALSE", "maybe"], ["TRUE", "FALSE"], ["TRUE", "FALSE"]),
    "zeros in front": (["007", "A", "08"], ["007", "08"], ["007", "08"]),
    "truths": (["TRUE", "FALSE"], ["FALSE", "maybe", "true"], [0.0, None, 1.0]),
    "numbers": (["1.5", "2", "7"], ["1", "x", "2,5"], [1.0, None, None]),
    "decimal commas": (["1,5", "2,25", "7"], ["1", "2,5", "1.5"], [1.0, 2.5, None]),
}


@pytest.mark.parametrize("case", LEARNT_AND_READ)
def test_cells_of_a_second_file_are_what_the_first_says(file, case):
    words, others, expected = LEARNT_AND_READ[case]
    text = "a;c;y\n" + "".join(f"{k * k % 7};{words[k % len(words)]};{k % 2}\n" for k in range(40))
    learnt = to_learn(file("t.csv", text), "y", "auto", None, NOBODY)
    other = "a;c;y\n" + "".join(f"{k};{each};{k % 2}\n" for k, each in enumerate(others))
    test = to_predict(file("u.csv", other), learnt, None, NOBODY)
    got = [None if each != each else each for each in test.X["c"]]
    assert got == expected
    odd = [each for each, is_ in zip(others, expected, strict=True) if each and is_ is None]
    said = [each for each in test.warned if "taken as missing" in each]
    assert len(said) == bool(odd) and all(repr(each) in said[0] for each in odd)


def test_targets_between_classes_are_left_out(file):
    text = "a,y\n" + "".join(f"{k * k % 7},{k % 2}\n" for k in range(40))
    learnt = to_learn(file("t.csv", text), "y", "auto", None, NOBODY)
    test = to_predict(file("u.csv", "a,y\n1,0.9\n2,1.0\n3,x\n4,0\n5,1e999\n"), learnt, None, NOBODY)
    assert test.y.to_dict() == {3: 1, 5: 0} and test.y.dtype == learnt.y.dtype
    assert test.warned == (
        "u.csv: 2 rows without a 'y' left out (lines 4: 'x', 6: '1e999').",
        "u.csv: 1 row of classes that t.csv has not left out (0.9).",
    )


def test_classes_beyond_the_integers_of_floats(file):
    text = "a,y\n" + "".join(f"{k * k % 7},{2**53 + k % 2}\n" for k in range(40))
    learnt = to_learn(file("t.csv", text), "y", "auto", None, NOBODY)
    assert learnt.target.classes == (2**53, 2**53 + 1)
    assert learnt.y.tolist() == [2**53 + k % 2 for k in range(40)]


def test_how_dates_and_commas_were_read_is_said(file):
    text = "d;v;y\n" + "".join(
        f"0{k % 9 + 1}/0{k % 8 + 1}/2024;{k % 9 + 1},{k + 100};{k / 7:.4f}\n" for k in range(40)
    )
    learnt = to_learn(file("t.csv", text), "y", "auto", None, NOBODY)
    assert learnt.warned == (
        "column 'd': dates as '01/01/2024' are read day first, and could be either.",
        "column 'v': commas as in '1,100' are taken as decimal, and could be either.",
    )
    assert learnt.X["v"].iloc[0] == 1.1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_of_text_and_parquet_go_together(folder, kind):
    pytest.importorskip(
        "pyarrow.parquet", reason="pyarrow writes Parquet files", exc_type=ImportError
    )
    k = np.arange(40)
    frame = pd.DataFrame(
        {
            "n": k * k % 7,
            "c": np.array(["1", "A"])[k % 2],
            "b": k % 3 == 0,
            "d": pd.Timestamp(2024, 1, 1) + pd.to_timedelta(k % 5, "D"),
            "y": k % 2,
        }
    )
    frame.to_csv("t.csv", index=False)
    frame.to_parquet("t.parquet")
    learnt = to_learn(f"t.{kind}", "y", "auto", None, NOBODY)
    test = to_predict("t.parquet" if kind == "csv" else "t.csv", learnt, None, NOBODY)
    assert [each.kind for each in learnt.columns.kept] == [
        "number",
        "category",
        "yes or no",
        "date",
    ]
    assert learnt.X.to_numpy().tolist() == test.X.to_numpy().tolist()
    assert learnt.y.tolist() == test.y.tolist() and test.warned == ()


def test_what_a_second_file_has_to_have(file):
    learnt = to_learn(file("t.csv", table()), "y", "auto", None, NOBODY)
    with pytest.raises(Refusal, match=r"u.csv: 1 column of t.csv missing, 'b'"):
        to_predict(file("u.csv", "a,B,y\n1,u,no\n"), learnt, None, NOBODY)
    with pytest.raises(Refusal, match=r"u.csv: there is no column 'y'"):
        to_predict(file("u.csv", "a,b\n1,u\n"), learnt, None, NOBODY)
    with pytest.raises(Refusal, match=r"u.csv: no row has a 'y' to hold predictions against"):
        to_predict(file("u.csv", "a,b,y\n1,u,maybe\n"), learnt, None, NOBODY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n1,x\n", "t.csv: 1 row; 8 or more are accepted"),
        ("a,y\n" + "1,\n" * 9 + "2,x\n3,z\n", "t.csv: 2 rows with a 'y'; 8 or more"),
        ("y\n" + "1\n2\n" * 9, "t.csv has one column, 'y'"),
        ("a,y\n" + "7,1\n7,2\n" * 9, r"no column is left to predict 'y' from: a \(one value alone"),
    ],
)
def test_nothing_to_learn(file, text, message):
    with pytest.raises(Refusal, match=message):
        to_learn(file("t.csv", text), "y", "auto", None, NOBODY)


def test_a_draw_of_one_class(file):
    text = "a,y\n" + "".join(f"{k * k % 7},{'x' if k else 'z'}\n" for k in range(500))
    with pytest.raises(Refusal, match=r"have one 'y' alone, 'x'.*larger --max-rows"):
        to_learn(file("t.csv", text), "y", "auto", 9, NOBODY)
