"""Results are arrays with labels, that print, and come back from files as they were."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from skinfluence.inspection import (
    AdditionInfluence,
    GivenRows,
    GroupInfluence,
    Influence,
    RelabelInfluence,
    Result,
    SelfInfluence,
)
from skinfluence.inspection.tables import html_table, text_table, written

SCORES = np.array([[0.5, -2.0, np.nan], [-1e-9, np.inf, -np.inf]])
LABELS = {
    "integers": np.array([7, 3, 9]),
    "texts": np.array(["a", "ü", "<b>&"], dtype=object),
    "fixed texts": np.array(["a", "ü", "<b>&"]),
    "numbers": np.array([0.5, 1.5, 2.5]),
    "times": np.asarray(pd.date_range("2024-01-01", periods=3)),
    "tuples": np.fromiter([("a", 1), ("b", 2), ("c", None)], dtype=object, count=3),
    "mixed": np.array(["a", 2, 1.5], dtype=object),
}
COMMON = {"scores": SCORES, "method": "newton", "target": "loss", "n_test": 2}
TESTS = {"test_labels": np.array(["p", "q"], dtype=object)}


def results(labels=LABELS["texts"]):
    rows = {"row_labels": labels, **COMMON, **TESTS}
    top = {"rows": np.array([[0, 1, 2], [2, 1, 0]]), "guarded_rows": np.array([2])}
    return [
        Influence(**rows),
        Influence(**{**rows, **top, "target": "predict_proba"}, classes=np.array(["x", "y"])),
        Influence(**{**rows, "scores": SCORES[0], "test_labels": None}, aggregate="mean"),
        SelfInfluence(**{**rows, "scores": SCORES[0], "test_labels": None}),
        AdditionInfluence(**rows, output=1),
        RelabelInfluence(**rows, y_new=np.array(["x", "y", "x"])),
        GroupInfluence(groups=labels, sizes=np.array([1, 20, 300]), **COMMON, **TESTS),
    ]


def assert_same(first, second):
    assert type(first) is type(second)
    for name, value in first._kept().items():
        other = getattr(second, name)
        if isinstance(value, np.ndarray):
            assert value.dtype == other.dtype, name
            np.testing.assert_array_equal(value, other)
        else:
            assert value == other, name


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("at", range(7))
def test_comes_back_as_it_was(at, labels, tmp_path):
    result = results(labels)[at]
    assert_same(result, type(result).from_json(result.to_json()))
    result.save(tmp_path / "result")
    assert_same(result, Result.load(str(tmp_path / "result")))
    assert repr(Result.load(tmp_path / "result")) == repr(result)


def test_json_is_what_other_readers_accept():
    def refuse(name):
        raise AssertionError(name)

    read = json.loads(results()[0].to_json(), parse_constant=refuse)
    assert read["result"] == "Influence"
    assert read["fields"]["scores"]["values"][0] == 0.5


def test_the_array():
    result = results()[0]
    np.testing.assert_array_equal(np.asarray(result), SCORES)
    assert np.asarray(result, dtype=np.float32).dtype == np.float32
    assert np.shares_memory(np.asarray(result), SCORES)
    assert not np.shares_memory(np.array(result), SCORES)


class Trap:
    """Shows whether a file was executed."""

    executed = False

    def __reduce__(self):
        return (setattr, (Trap, "executed", True))


def test_reading_executes_nothing(tmp_path):
    path = tmp_path / "trap.npz"
    np.savez(path, header=np.array([Trap()], dtype=object))
    with pytest.raises(ValueError, match="holds no result") as refused:
        Result.load(path)
    assert "allow_pickle" not in str(refused.value)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="holds no result"):
        Result.load(path)
    assert not Trap.executed


def altered(**changes):
    return json.dumps({**json.loads(results()[0].to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"holds no result \(JSONDecodeError.*\); what to_json\(\) returned is accepted"),
        ("[]", r"holds no result \(TypeError"),
        (altered(format=2), "in the format 2 was given, .* this version reads the format 1"),
        (altered(result="Trap"), "of the class 'Trap' was given; Influence is accepted"),
        (altered(result="GroupInfluence"), "of the class 'GroupInfluence' was given"),
        (altered(fields={"what": 1}), r"unknown entries \['what'\]"),
        (
            altered(fields={"scores": {"array": "|O", "shape": [1], "values": [1]}}),
            "holds no result .* an array of type object",
        ),
    ],
)
def test_what_is_no_result_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Influence.from_json(text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        Result.load(tmp_path / "none.npz")


def test_html_is_escaped():
    for result in results(np.array(["<script>", "&amp;", "<b>"], dtype=object)):
        html = result._repr_html_()
        assert "<script" not in html and "&lt;script&gt;" in html
        assert "&amp;amp;" in html


def test_a_table_of_many_kinds():
    table = text_table({"name": ["a", "longer"], "n": [1, 20], "score": [0.25, -1.5]})
    assert table == "  name     n  score\n  a        1   0.25\n  longer  20  -1.50"
    assert written([1e-9, 1.0]) == ["1e-09", "1"]
    assert written([np.nan, 0.5]) == ["nan", "0.500"]
    assert written(["x" * 99])[0] == "x" * 47 + "…"
    assert written(["two\nlines"]) == ["two lines"]
    bars = html_table({"score": [1.0, -0.5, np.nan]}, "score")
    assert bars.count("width: 8.00em; background: #3b82c4") == 1
    assert bars.count("width: 4.00em; background: #d4694c") == 1
    assert html_table({"score": []}, "score").count("<tr>") == 1


FRAME = pd.DataFrame({"age": [20, 30, 40], "score": [1.0, 2.0, 3.0]}, index=[5, 6, 7])


def shown(X, y=None, columns=True):
    result = results()[0]
    scores = np.array([[0.0, 3.0, 2.0]])
    kept = {**result._kept(), "scores": scores, "test_labels": np.array(["p"])}
    return Influence(**kept, given=GivenRows(X, y)).to_frame(columns=columns)


def test_rows_show_their_own_columns():
    target = pd.Series(["no", "yes", "no"], index=FRAME.index, name="bad")
    table = shown(FRAME, target)
    assert table.columns.tolist()[-4:] == ["score", "age", "score_train", "bad"]
    assert table["age"].tolist() == [30, 40]
    assert table["score_train"].tolist() == [2.0, 3.0]
    assert table["bad"].tolist() == ["yes", "no"]
    assert shown(FRAME, target, ["bad"]).columns.tolist()[-1] == "bad"
    assert shown(FRAME, target, "age")["age"].tolist() == [30, 40]


@pytest.mark.parametrize(
    ("X", "name", "values"),
    [
        (np.arange(6).reshape(3, 2), "x1", [3, 5]),
        ([[0, 1], [2, 3], [4, 5]], "x1", [3, 5]),
        (["first", "second", "third"], "text", ["second", "third"]),
        (np.array(["first", "second", "third"], dtype=object), "text", ["second", "third"]),
        (pd.Series(["first", "second", "third"], name="message"), "message", ["second", "third"]),
        ([{"a": 1}, {"b": 2}, {"c": 3}], "x", [{"b": 2}, {"c": 3}]),
        (sparse.csr_array(np.arange(6).reshape(3, 2)), "x1", [3, 5]),
    ],
)
def test_rows_of_every_kind(X, name, values):
    table = shown(X, [1.0, 2.0, 3.0], [name, "y"])
    assert table[name].tolist() == values
    assert table["y"].tolist() == [2.0, 3.0]


def test_columns_get_names_of_their_own():
    X = pd.DataFrame({"row": [1, 2, 3], "row_train": [4, 5, 6], "score": [7, 8, 9]})
    table = shown(X)
    assert table.columns.tolist()[-3:] == ["row_train", "row_train_train", "score_train"]
    assert table["row_train_train"].tolist() == [5, 6]


def test_columns_that_are_not_there():
    with pytest.raises(ValueError, match=r"column 'aeg' .* near it are \['age'\]"):
        shown(FRAME, columns=["aeg"])
    with pytest.raises(ValueError, match="sparse matrix with 2 columns"):
        shown(sparse.csr_array(np.eye(3)[:, :2]))
    with pytest.raises(ValueError, match="has no rows to show: it was read from a file"):
        results()[0].to_frame(columns=True)


def test_rows_come_back_only_with_the_rows_they_are_of():
    result = Influence(**results()[0]._kept(), given=GivenRows(FRAME, [1, 2, 3]))
    again = Influence.from_json(result.to_json(), X=FRAME.copy(), y=[1, 2, 3])
    pd.testing.assert_frame_equal(again.to_frame(columns=True), result.to_frame(columns=True))
    for X, y in ((FRAME + 1, [1, 2, 3]), (FRAME, [1, 2, 4]), (FRAME[["score", "age"]], [1, 2, 3])):
        with pytest.raises(ValueError, match="hashes differ"):
            Influence.from_json(result.to_json(), X=X, y=y)


def test_a_file_without_a_header(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, field_scores=SCORES)
    with pytest.raises(ValueError, match="holds no result"):
        Result.load(path)
