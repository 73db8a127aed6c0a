"""What is said of every label: tables, tiers, pictures and files, from plain arrays."""

import json
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier

from skinfluence import LabelAudit
from skinfluence.inspection import ExpectedErrors, GivenRows, LabelQuality, Result

COLUMNS = [
    "row",
    "position",
    "given_label",
    "suggested_label",
    "label_quality",
    "loss_left_out",
    "loss_training",
    "gain_if_relabelled",
    "rank",
    "tier",
]
Q = np.array([0.9, 0.25, 0.1, 0.3, 0.05, 0.29, 0.2, 0.1])
GIVEN = np.array(["a", "b", "c", "a", "b", "c", "a", "b"])
SUGGESTED = np.array(["a", "a", "a", "b", "b", "b", "b", "c"])
TIERS = ["", "suspected", "likely", "", "", "suspected", "suspected", "likely"]
NAMES = np.array([f"row {i}" for i in range(8)], dtype=object)
EXPECTED = {
    "estimate": 2.4,
    "low": 1.0,
    "high": 5.0,
    "method": "counting",
    "flagged": 5,
    "by_chance": 0.7,
    "n_rows": 8,
}


def quality(**fields):
    known = {
        "quality": Q,
        "losses": -np.log(Q),
        "training_losses": -np.log(Q) / 2,
        "self_influence": -np.log(Q) / 2,
        "targets": GIVEN,
        "suggested": SUGGESTED,
        "gains": np.arange(8) / 8,
        "row_labels": NAMES,
        "method": "newton, then exact",
        "passes": 2,
        "left_aside": np.array([2, 7]),
        "expected": EXPECTED,
    }
    return LabelQuality(**(known | fields))


# --------------------------------------------------------------------------------- what is said


def test_as_an_array_it_is_the_quality():
    np.testing.assert_array_equal(np.asarray(quality()), Q)
    assert np.asarray(quality(), dtype=np.float32).dtype == np.float32


def test_tiers_are_of_other_labels_below_two_bounds():
    """.3 and .2 themselves are not below; a label that is suggested itself is of no tier."""
    assert quality().tiers.tolist() == TIERS
    assert quality().flagged.tolist() == [2, 7, 6, 1, 5]


def test_numbers_have_tiers_by_their_deviation_alone():
    z = np.array([0.0, 3.1, -4.5, 2.9])
    found = quality(
        quality=1 / (1 + z**2 / 4),
        targets=np.arange(4.0),
        suggested=np.arange(4.0),
        losses=z,
        training_losses=z,
        self_influence=z,
        gains=z,
        row_labels=np.arange(4),
        deviations=z,
        classifier=False,
    )
    assert found.tiers.tolist() == ["", "suspected", "likely", ""]
    frame = found.to_frame()
    assert frame.columns.tolist() == [*COLUMNS[:8], "deviation", *COLUMNS[8:]]
    assert frame["deviation"].tolist() == [-4.5, 3.1, 2.9, 0.0]
    assert repr(found).startswith("Targets of 4 rows (newton, then exact, 2 passes)")


def test_the_table():
    frame = quality().to_frame()
    assert frame.columns.tolist() == COLUMNS
    order = [4, 2, 7, 6, 1, 5, 3, 0]  # of equals the first row
    assert frame["position"].tolist() == order
    assert frame["row"].tolist() == [f"row {i}" for i in order]
    assert frame["rank"].tolist() == list(range(1, 9))
    assert frame["tier"].tolist() == [TIERS[i] for i in order]
    assert frame["given_label"].tolist() == GIVEN[order].tolist()
    assert frame["suggested_label"].tolist() == SUGGESTED[order].tolist()
    np.testing.assert_array_equal(frame["label_quality"], Q[order])
    np.testing.assert_array_equal(frame["loss_left_out"], -np.log(Q[order]))
    np.testing.assert_array_equal(frame["loss_training"], -np.log(Q[order]) / 2)
    np.testing.assert_array_equal(frame["gain_if_relabelled"], np.array(order) / 8)
    pd.testing.assert_frame_equal(quality().to_frame(3), frame[:3])


def test_suggested_rows_keep_their_ranks():
    """The worst row of all is the likeliest label itself, and no one's to look at."""
    frame = quality().suggest()
    assert frame.columns.tolist() == COLUMNS
    assert frame["position"].tolist() == [2, 7, 6, 1, 5]
    assert frame["rank"].tolist() == [2, 3, 4, 5, 6]
    assert quality().suggest(2)["position"].tolist() == [2, 7]
    assert len(quality().suggest(100)) == 5


def test_rows_without_a_quality_are_last():
    unknown = Q.copy()
    unknown[[0, 3]] = np.nan
    found = quality(quality=unknown)
    assert found.to_frame()["position"].tolist()[-2:] == [0, 3]
    assert "2 of 8 rows were in every tree: nan, last." in repr(found)
    plt.close(found.plot().figure_)


def several(**fields):
    targets = np.array([[0, 1], [1, 1], [0, 0]])
    return quality(
        quality=Q[[0, 1, 2]],
        losses=Q[:3],
        training_losses=Q[:3],
        self_influence=Q[:3],
        gains=Q[:3],
        targets=targets,
        suggested=np.array([[0, 1], [1, 1], [0, 1]]),
        output_labels=np.array(["sports", "news"], dtype=object),
        row_labels=NAMES[:3],
        expected=None,
        **fields,
    )


def test_several_labels_a_row():
    frame = several().to_frame()
    assert frame.columns.tolist() == [
        *COLUMNS[:2],
        "sports: given_label",
        "sports: suggested_label",
        "news: given_label",
        "news: suggested_label",
        *COLUMNS[4:],
    ]
    assert frame["news: given_label"].tolist() == [0, 1, 1]
    assert frame["news: suggested_label"].tolist() == [1, 1, 1]
    assert frame["tier"].tolist() == ["likely", "", ""]
    assert several().expected_errors is None
    assert repr(several()).splitlines()[0] == "Labels of 3 rows (newton, then exact, 2 passes)"


def test_own_columns_are_shown_beside():
    X = pd.DataFrame({"age": np.arange(8) * 10, "rank": np.arange(8)}, index=NAMES)
    given = GivenRows(X, pd.Series(GIVEN, index=NAMES, name="pays"))
    frame = quality(given=given).to_frame(2, columns=True)
    assert frame.columns.tolist() == [*COLUMNS, "age", "rank_train", "pays"]
    assert frame["age"].tolist() == [40, 20]
    assert quality(given=given).suggest(1, columns="age")["age"].tolist() == [20]
    with pytest.raises(ValueError, match="'aeg'"):
        quality(given=given).to_frame(columns="aeg")
    with pytest.raises(ValueError, match="no rows to show"):
        quality().suggest(columns=True)


@pytest.mark.parametrize("k", [-1, 2.0, "3", True, [1]])
def test_rows_are_counted(k):
    for ask in (quality().to_frame, quality().suggest):
        with pytest.raises(ValueError, match="was given; a number of rows, 0 or more, is accepted"):
            ask(k)


# ------------------------------------------------------------------------------------ expectation


def test_expected_errors_are_those_of_the_entries():
    assert quality().expected_errors == ExpectedErrors(**EXPECTED)
    heading = repr(quality()).splitlines()[0]
    assert heading.startswith("Labels of 8 rows (newton, then exact, 2 passes): about 2 of 8")


# ---------------------------------------------------------------------------------------- to read


def test_printed():
    lines = repr(quality()).splitlines()
    assert lines[1].split() == [
        "row",
        "given_label",
        "suggested_label",
        "label_quality",
        "gain_if_relabelled",
        "tier",
    ]
    assert lines[2].split() == ["row", "4", "b", "b", "0.050", "0.500"]
    assert lines[3].split() == ["row", "2", "c", "a", "0.100", "0.250", "likely"]
    assert "2 likely wrong and 3 suspected of 8 rows." in lines
    assert lines[-1] == "Nothing was changed: look at these rows before you change any."
    many = quality(
        **{
            name: np.tile(getattr(quality(), name), 4)
            for name in ("quality", "losses", "training_losses", "targets", "suggested", "gains")
        },
        row_labels=np.arange(32),
    )
    assert "Shown are the 9 worst: to_frame() has all." in repr(many)


def test_hostile_labels_are_text():
    evil = np.array(["<script>alert(1)</script>", "&amp;", "two\nlines", "$x^2$"] * 2, dtype=object)
    found = quality(targets=evil, suggested=evil[::-1], row_labels=evil)
    html = found._repr_html_()
    assert html.count("<table>") == 1
    assert "<script" not in html
    assert "&lt;script&gt;" in html and "&amp;amp;" in html
    assert all(line.count("\n") == 0 for line in repr(found).splitlines())
    assert "two lines" in repr(found)
    display = found.plot()
    display.figure_.canvas.draw()
    plt.close(display.figure_)


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("newton, then exact", "newton, then exact"),
        ("folds", "ten folds"),
        ("out_of_bag", "out of bag"),
    ],
)
def test_how_rows_were_left_out_is_said(method, words):
    assert f"({words}, 2 passes)" in repr(quality(method=method))
    assert f"({words})" in repr(quality(method=method, passes=1))
    assert "(exact)" in repr(quality(method="exact", passes=1))


# ---------------------------------------------------------------------------------------- to draw


def test_the_picture_has_the_tiers_and_what_is_expected():
    display = quality().plot()
    ax = display.ax_
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ["2 likely wrong", "3 suspected", "3 not flagged", "about 2 expected wrong"]
    points = np.concatenate([each.get_offsets() for each in ax.collections])
    order = np.argsort(Q, kind="stable")
    drawn = points[np.argsort(points[:, 0])]
    np.testing.assert_allclose(drawn, np.column_stack([np.arange(1, 9), Q[order]]))
    (line,) = ax.lines
    assert set(line.get_xdata()) == {2.4}
    assert ax.get_title() == "Labels of 8 rows (newton, then exact, 2 passes)"
    assert ax.get_xlabel() == "rank, worst first"
    display.figure_.canvas.draw()
    plt.close(display.figure_)


def test_the_picture_is_drawn_on_given_axes_and_without_an_expectation():
    figure, ax = plt.subplots()
    assert several().plot(ax=ax).ax_ is ax
    assert not ax.lines
    plt.close(figure)
    calm = quality(quality=np.full(8, 0.9), expected={**EXPECTED, "estimate": 0.0, "low": 0.0})
    display = calm.plot()
    words = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert words == ["8 not flagged", "about 0 expected wrong"]
    plt.close(display.figure_)


# ---------------------------------------------------------------------------------------- to keep

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 2))
MADE = {
    "labels": (LogisticRegression(), np.where(X[:, 0] > 0, "yes", "no")),
    "numbers": (LinearRegression(), X[:, 0] + RNG.standard_normal(30)),
    "several labels": (MultiOutputClassifier(LogisticRegression()), (X > 0).astype(int)),
    "several numbers": (LinearRegression(), X + RNG.standard_normal((30, 2))),
}


@pytest.mark.parametrize("name", MADE)
def test_comes_back_as_it_was(name, tmp_path):
    estimator, y = MADE[name]
    frame = pd.DataFrame(X, columns=["u", "v"], index=[f"r{i}" for i in range(30)])
    result = LabelAudit(estimator).fit(frame, y).result_
    result.save(tmp_path / "audit.npz")
    for again in (Result.load(tmp_path / "audit.npz"), LabelQuality.from_json(result.to_json())):
        assert type(again) is LabelQuality
        assert repr(again) == repr(replace(result, given=None))
        pd.testing.assert_frame_equal(again.to_frame(), result.to_frame())
        assert again.expected_errors == result.expected_errors
        assert again.facts == result.facts
        np.testing.assert_array_equal(again.left_aside, result.left_aside)
    shown = Result.load(tmp_path / "audit.npz", X=frame, y=y).to_frame(3, columns=["u"])
    pd.testing.assert_frame_equal(shown, result.to_frame(3, columns=["u"]))
    assert json.loads(result.to_json())["result"] == "LabelQuality"
