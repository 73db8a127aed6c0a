"""Rankings and tables of scores that can be read by eye."""

import sys

import numpy as np
import pandas as pd
import pytest

from skinfluence.inspection import Influence

#                    a     b    c     d     e
SCORES = np.array([[0.5, -2.0, 0.0, 1.5, -0.1], [-1.0, -3.0, -2.0, 4.0, -0.5]])
LABELS = np.array(["a", "b", "c", "d", "e"])


def influence(scores=SCORES, target="loss", **params):
    params = {"row_labels": LABELS, "test_labels": np.array([10, 11]), **params}
    return Influence(scores=scores, method="newton", target=target, **params)


def top_two():
    """Keep what ``influence(top=2)`` does: the largest first, the smallest last."""
    rows = np.array([[3, 0, 4, 1], [3, 4, 2, 1]])
    return influence(np.take_along_axis(SCORES, rows, axis=1), rows=rows)


def test_helpful_and_harmful():
    """Positive: without the row the loss is higher, so the row helps."""
    assert influence().helpful(2).tolist() == [[3, 0], [3, 4]]
    assert influence().harmful(3).tolist() == [[1, 4, 2], [1, 2, 0]]
    assert influence().helpful().tolist() == [[3, 0, 2, 4, 1], [3, 4, 0, 2, 1]]


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
    table = influence(target="predict_proba").to_frame(k=1)
    assert table["effect"].tolist() == ["raises", "lowers", "raises", "lowers"]
    assert table["row"].tolist() == ["d", "b", "d", "b"]


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
    display = influence().plot(test=1, k=2)
    assert display.scores.tolist() == [4.0, -2.0, -3.0]
    assert display.labels.tolist() == ["d", "c", "b"]
    assert display.test_label == 11
    assert display.target == "loss"
    assert display.ax_.get_title() == "Test row 11: blue helps, red harms"
    assert top_two().plot(test=1).labels.tolist() == ["d", "c", "b"]


def test_no_guarded_rows_unless_said():
    assert influence().guarded_rows.tolist() == []
