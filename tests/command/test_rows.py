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
    name = file("t.csv", table())
    rows = to_learn(name, "y", "auto", 20, NOBODY)
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
    )


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


def test_cells_of_a_test_file_are_read_as_those_that_were_learnt(file):
    """Whatever the test file looks like by itself: a blank makes 1 no 1.0, and TRUE no True."""
    codes, flags = "12A", ["TRUE", "FALSE", "maybe"]
    rows = "".join(f"{codes[k % 3]},{flags[k // 2 % 3]},{k * k % 7}.5,{k % 2}\n" for k in range(40))
    learnt = to_learn(file("train.csv", f"code,flag,size,y\n{rows}"), "y", "auto", None, NOBODY)
    test = to_predict(
        file("test.csv", "code,flag,size,y\n1,TRUE,2,1\n2,FALSE,,0\n,TRUE,big,1\n3,no,4,1\n"),
        learnt,
        None,
        NOBODY,
    )
    assert test.X["code"].fillna("").tolist() == ["1", "2", "", "3"]
    assert test.X["flag"].tolist() == ["TRUE", "FALSE", "TRUE", "no"]
    np.testing.assert_array_equal(test.X["size"], [2.0, np.nan, np.nan, 4.0])
    missing, new = test.said
    assert missing.startswith("2 columns have missing values: code (1 row), size (2 rows);")
    assert new == "Categories that train.csv has not: code (1 row), flag (1 row)."


def test_a_number_that_is_no_class_is_left_out_and_not_cut_to_one(file):
    learnt = to_learn(
        file("train.csv", table().replace("no", "0").replace("yes", "1")),
        "y",
        "auto",
        None,
        NOBODY,
    )
    test = to_predict(file("test.csv", "a,b,y\n1,u,0.9\n2,v,1\n3,w,0\n"), learnt, None, NOBODY)
    assert test.y.to_dict() == {3: 1, 4: 0} and test.y.dtype == learnt.y.dtype
    assert any(
        "1 row of classes that train.csv has not left out (0.9)" in each for each in test.warned
    )
