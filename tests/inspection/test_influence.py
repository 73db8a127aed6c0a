"""Rankings and tables of scores that can be read by eye."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from skinfluence.inspection import AdditionInfluence, GivenRows, GroupInfluence, Influence

#                    a     b    c     d     e
SCORES = np.array([[0.5, -2.0, 0.0, 1.5, -0.1], [-1.0, -3.0, -2.0, 4.0, -0.5]])
LABELS = np.array(["a", "b", "c", "d", "e"])


def influence(scores=SCORES, target="loss", **params):
    params = {"row_labels": LABELS, "test_labels": np.array([10, 11]), **params}
    return Influence(scores=scores, method="newton", target=target, **params)


def groups(**params):
    params = {"groups": LABELS, "sizes": np.arange(1, 6), "test_labels": np.arange(2), **params}
    return GroupInfluence(scores=SCORES, method="newton", target="loss", **params)


def top_two():
    """Keep what ``influence(top=2)`` does: the largest first, the smallest last."""
    rows = np.array([[3, 0, 4, 1], [3, 4, 2, 1]])
    return influence(np.take_along_axis(SCORES, rows, axis=1), rows=rows)


def test_helpful_and_harmful():
    """Positive: without the row the loss is higher, so the row helps."""
    assert influence().helpful(2).tolist() == [[3, 0], [3, 4]]
    assert influence().harmful(3).tolist() == [[1, 4, 2], [1, 2, 0]]
    assert influence().helpful().tolist() == [[3, 0, 2, 4, 1], [3, 4, 0, 2, 1]]


def test_few_of_many_are_those_of_the_whole_order():
    rng = np.random.default_rng(0)
    scores = rng.integers(-20, 20, (4, 300)).astype(float)
    scores[0, 5], scores[1] = np.nan, 1.0
    many = influence(scores, row_labels=np.arange(300), test_labels=np.arange(4))
    for k in (1, 7, 30, 300):
        first = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        last = np.argsort(scores, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(many.helpful(k), first)
        np.testing.assert_array_equal(many.harmful(k), last)


def test_a_printed_row_says_what_it_is():
    texts = ["win cash", "see you", "<b>now", "call me", "lunch?"]
    given = GivenRows(texts, pd.Series(["spam", "ham", "spam", "spam", "ham"], name="label"))
    printed = repr(influence(given=given)).splitlines()
    assert printed[1].split() == [
        "test",
        "effect",
        "rank",
        "row",
        "position",
        "text",
        "label",
        "score",
    ]
    assert printed[2].split() == ["10", "helps", "1", "d", "3", "call", "me", "spam", "1.50"]
    html = influence(given=given)._repr_html_()
    assert "win cash" in html and "<b>now" not in html
    frame = GivenRows(pd.DataFrame({"age": range(5)}), [1, 2, 3, 4, 5])
    assert repr(influence(given=frame)).splitlines()[1].split()[-2:] == ["y", "score"]


@pytest.mark.parametrize("label", ["$15_$", r"$\frac$", "win $100 or $5"])
def test_dollars_are_dollars_in_pictures(label):
    names = np.array([label] * 5, dtype=object)
    result = influence(
        row_labels=names, test_labels=np.array([label, "other"]), target="predict_proba"
    )
    display = replace(result, classes=np.array([label, label])).plot()
    display.figure_.canvas.draw()


def test_ties_are_in_the_order_of_the_rows():
    scores = np.array([[1.0, 0.0, 1.0, 0.0, 1.0]])
    assert influence(scores).helpful(5).tolist() == [[0, 2, 4, 1, 3]]
    assert influence(scores).harmful(5).tolist() == [[1, 3, 0, 2, 4]]


def test_extremes_alone():
    assert top_two().helpful(2).tolist() == influence().helpful(2).tolist()
    assert top_two().harmful(2).tolist() == influence().harmful(2).tolist()
    assert top_two().harmful(1).tolist() == influence().harmful(1).tolist()
    pd.testing.assert_frame_equal(top_two().to_frame(2), influence().to_frame(2))
    pd.testing.assert_frame_equal(top_two().to_frame(9), influence().to_frame(2))


@pytest.mark.parametrize("k", [0, 6, 1.5, -1])
def test_number_of_rows(k):
    message = f"k={k!r} was given; 5 rows at each end are there, so 1 to 5 is accepted"
    with pytest.raises(ValueError, match=message):
        influence().helpful(k)
    with pytest.raises(ValueError, match=r"2 rows at each end .* with a larger top= for more"):
        top_two().harmful(3)


def test_only_the_loss_knows_help_from_harm():
    probabilities = influence(target="predict_proba")
    for name in ("helpful", "harmful"):
        message = (
            rf"{name}\(\) was called on scores of target='predict_proba'; only the loss knows help "
            r"from harm\. Use to_frame\(\) or scores"
        )
        with pytest.raises(ValueError, match=message):
            getattr(probabilities, name)(2)


def test_table():
    """One line for a row that helps or harms: c of test 10 does neither, and only d helps 11."""
    expected = [
        (10, "helps", 1, "d", 3, 1.5),
        (10, "helps", 2, "a", 0, 0.5),
        (10, "harms", 1, "b", 1, -2.0),
        (10, "harms", 2, "e", 4, -0.1),
        (11, "helps", 1, "d", 3, 4.0),
        (11, "harms", 1, "b", 1, -3.0),
        (11, "harms", 2, "c", 2, -2.0),
        (11, "harms", 3, "a", 0, -1.0),
    ]
    table = influence().to_frame(k=3)
    assert table.columns.tolist() == ["test", "effect", "rank", "row", "position", "score"]
    assert list(table.itertuples(index=False, name=None)) == expected
    everything = influence().to_frame(k=100)
    assert len(everything) == np.count_nonzero(SCORES)
    assert len(influence().to_frame(k=1)) == 4


def test_table_of_another_target():
    """The row does the opposite of its removal: b, without which the number falls, raises it."""
    table = influence(target="predict").to_frame(k=1)
    assert table["effect"].tolist() == ["raises", "lowers", "raises", "lowers"]
    assert table["row"].tolist() == ["b", "d", "b", "d"]
    assert table["score"].tolist() == [-2.0, 1.5, -3.0, 4.0]


def test_table_of_a_probability_says_of_which_class():
    classes = np.array(["ham", "spam"])
    table = influence(target="predict_proba", classes=classes).to_frame(k=1)
    assert table["class"].tolist() == ["ham", "ham", "spam", "spam"]
    assert table["effect"].tolist() == ["supports", "opposes", "supports", "opposes"]
    assert table["row"].tolist() == ["b", "d", "b", "d"]


def test_what_comes_would_help_where_the_loss_falls():
    new = AdditionInfluence(
        scores=SCORES, method="newton", target="loss", row_labels=LABELS, test_labels=None
    )
    table = new.to_frame(k=1)
    assert table["effect"].tolist() == ["would help", "would harm", "would help", "would harm"]
    assert table["row"].tolist() == ["b", "d", "b", "d"]
    assert new.helpful(1).tolist() == [[1], [1]]
    assert new.harmful(1).tolist() == [[3], [3]]


def test_table_of_groups():
    found = groups().to_frame()
    assert found.columns.tolist() == ["test", "group", "size", "effect", "score"]
    assert found["group"].tolist()[:5] == ["d", "a", "c", "e", "b"]
    assert found["size"].tolist()[:5] == [4, 1, 3, 5, 2]
    assert found["effect"].tolist()[:5] == ["helps", "helps", "nothing", "harms", "harms"]
    assert found["score"].tolist()[:5] == [1.5, 0.5, 0.0, -0.1, -2.0]
    assert groups().to_frame(k=1)["group"].tolist() == ["d", "b", "d", "b"]


def test_gap_between_two_lines():
    gap = groups(aggregate="groups", test_labels=np.array(["x", "y"])).gap("y", "x")
    np.testing.assert_array_equal(gap.scores, SCORES[1] - SCORES[0])
    assert gap.to_frame()["effect"].tolist() == ["raises"] * 4 + ["lowers"]
    assert "the group lowers it" in repr(gap)
    for name in ("a", None):
        with pytest.raises(ValueError, match="label that no row has"):
            groups(test_labels=np.array(["x", "y"])).gap("y", name or "z")


def test_table_keeps_dates():
    days = pd.date_range("2024-01-01", periods=5)
    table = influence(row_labels=np.asarray(days)).to_frame(k=1)
    assert table["row"].tolist() == [days[3], days[1], days[3], days[1]]


def test_table_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    message = r"Tables need pandas, which is not installed: pip install 'skinfluence\[plot\]'\."
    with pytest.raises(ImportError, match=message):
        influence().to_frame()


def test_picture_of_one_test_row():
    display = influence().plot(position=1, k=2)
    assert display.scores.tolist() == influence().plot(test=11, k=2).scores.tolist()
    assert display.scores.tolist() == [4.0, -2.0, -3.0]
    assert display.labels.tolist() == ["d", "c", "b"]
    assert display.target == "loss"
    assert display.ax_.get_title() == "Test row 11"
    assert top_two().plot(test=11).labels.tolist() == ["d", "c", "b"]


def test_bars_may_be_called_otherwise():
    names = [f"message {name}" for name in LABELS]
    shown = influence().plot(k=1, labels=names)
    assert [each.get_text() for each in shown.ax_.get_yticklabels()] == ["message d", "message b"]
    with pytest.raises(ValueError, match=r"labels of shape \(2,\) were given; one for every row"):
        influence().plot(labels=["p", "q"])
    with pytest.raises(ValueError, match="without its rows"):
        influence().plot(labels="age")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"test": 1}, r"test=1 was given, a label that no row has; .* position=, 0 to 1"),
        ({"position": 2}, "position=2 was given; the position of a row, 0 to 1"),
        ({"test": 11, "position": 1}, "one of them is accepted"),
    ],
)
def test_picture_of_a_test_row_that_is_not_there(asked, message):
    with pytest.raises(ValueError, match=message):
        influence().plot(**asked)


def test_no_guarded_rows_unless_said():
    assert influence().guarded_rows.tolist() == []
