"""The risk of rows left out, from plain arrays."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from skinfluence.inspection import LeaveOneOut

LOSSES = np.array([0.5, 2.0, 0.0, 1.5])
LABELS = np.array(["a", "b", "c", "d"])


def left_out(losses=LOSSES, **fields):
    n = len(losses)
    known = {
        "losses": losses,
        "predictions": np.zeros(n),
        "probabilities": None,
        "decisions": np.zeros(n),
        "parameters": None,
        "row_labels": np.arange(n),
        "method": "exact",
        "targets": np.arange(n),
        "loss": "half squared error",
    }
    return LeaveOneOut(**(known | fields))


def of_classes(**fields):
    """Three classes, of which one is predicted wrong, in row b."""
    known = {
        "predictions": np.array(["x", "z", "z", "y"]),
        "probabilities": np.array(
            [[0.5, 0.2, 0.3], [0.1, 0.1, 0.8], [0.0, 0.0, 1.0], [0.3, 0.6, 0.1]]
        ),
        "targets": np.array(["x", "y", "z", "y"]),
        "classes": np.array(["x", "y", "z"]),
        "row_labels": LABELS,
        "loss": "log loss",
        "classifier": True,
    }
    return left_out(**(known | fields))


def of_outputs(**fields):
    known = {
        "predictions": np.array([[1.0, 4.0], [2.0, 0.0]]),
        "targets": np.array([[1.5, 1.0], [2.0, 3.0]]),
        "output_labels": np.array(["length", "width"]),
    }
    return left_out(np.array([1.0, 5.0]), **(known | fields))


def compared(**fields):
    return left_out(**fields).compare(left_out(np.array([0.5, 0.0, 3.0, 2.0]), **fields))


ROW_LABELS = {
    "texts": np.array(["a", "ü", "<b>&", "d"], dtype=object),
    "days": np.asarray(pd.date_range("2024-01-01", periods=4)),
    "pairs": np.fromiter([("a", 1), ("b", 2), ("c", 3), ("d", 4)], dtype=object, count=4),
}


# -------------------------------------------------------------------------- score and its error


def test_score_is_the_mean_loss():
    score = left_out().score()
    assert score == 1.0
    assert type(score) is float


@pytest.mark.parametrize("weights", [[2.0, 1.0, 4.0, 1.0], np.array([2, 1, 4, 1])])
def test_score_is_the_weighted_mean(weights):
    score = left_out().score(sample_weight=weights)
    assert score == pytest.approx((1.0 + 2.0 + 0.0 + 1.5) / 8.0)
    assert type(score) is float


def test_rows_of_weight_zero_do_not_count():
    assert left_out().score([0.0, 1.0, 0.0, 0.0]) == 2.0
    some, all_of_them = left_out(LOSSES[:3]), left_out()
    expected = some.standard_error([1.0, 2.0, 3.0])
    assert all_of_them.standard_error([1.0, 2.0, 3.0, 0.0]) == pytest.approx(expected, rel=1e-14)


def test_scale_of_the_weights_does_not_matter():
    assert left_out().score([10.0] * 4) == pytest.approx(left_out().score())
    assert left_out().standard_error([10.0] * 4) == pytest.approx(left_out().standard_error())


@pytest.mark.parametrize("ask", ["score", "standard_error"])
@pytest.mark.parametrize(
    "weights, shape", [([1.0, 2.0], "(2,)"), (np.ones((4, 1)), "(4, 1)"), (1.0, "()")]
)
def test_weights_are_one_for_each_row(weights, shape, ask):
    message = (
        f"sample_weight of shape {shape} was given; one weight per training row, shape (4,), is "
        "accepted."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        getattr(left_out(), ask)(weights)


def test_standard_error_is_that_of_a_mean():
    error = left_out().standard_error()
    assert error == pytest.approx(stats.sem(LOSSES), rel=1e-14)
    assert type(error) is float
    assert np.isnan(left_out(LOSSES[:1]).standard_error())
    assert np.isnan(left_out().standard_error([0.0, 1.0, 0.0, 0.0]))


def test_standard_error_of_a_weighted_mean_by_simulation():
    """Losses are drawn again and again, their weights with them."""
    rng = np.random.default_rng(0)
    w, losses = rng.uniform(0.0, 3.0, (4000, 200)), rng.exponential(size=(4000, 200))
    scores = np.sum(w * losses, axis=1) / np.sum(w, axis=1)
    errors = [left_out(losses[i]).standard_error(w[i]) for i in range(500)]
    assert np.mean(errors) == pytest.approx(np.std(scores), rel=0.03)
    # Weights cost rows, which is no part of the error of a plain mean.
    assert np.mean(stats.sem(losses, axis=1)) < 0.9 * np.std(scores)


# --------------------------------------------------------------------------------- the table


def test_table_of_a_regressor():
    frame = left_out(row_labels=LABELS).to_frame()
    assert frame.columns.tolist() == ["row", "position", "given", "predicted", "residual", "loss"]
    assert frame["row"].tolist() == ["b", "d", "a", "c"]
    assert frame["position"].tolist() == [1, 3, 0, 2]
    assert frame["residual"].tolist() == [1.0, 3.0, 0.0, 2.0]
    assert frame["loss"].tolist() == [2.0, 1.5, 0.5, 0.0]
    assert isinstance(frame.index, pd.RangeIndex)


def test_table_of_a_classifier():
    frame = of_classes().to_frame()
    known = ["row", "position", "given", "probability", "predicted", "loss"]
    assert frame.columns.tolist() == known
    assert frame["given"].tolist() == ["y", "y", "x", "z"]
    assert frame["probability"].tolist() == [0.1, 0.6, 0.5, 1.0]
    assert frame["predicted"].tolist() == ["z", "y", "x", "z"]
    without = of_classes(probabilities=None).to_frame()
    assert without.columns.tolist() == [name for name in known if name != "probability"]


def test_table_of_several_targets():
    frame = of_outputs().to_frame()
    assert frame.columns.tolist() == [
        "row",
        "position",
        "length: given",
        "length: predicted",
        "length: residual",
        "width: given",
        "width: predicted",
        "width: residual",
        "loss",
    ]
    assert frame["width: residual"].tolist() == [3.0, -3.0]
    assert frame["length: residual"].tolist() == [0.0, 0.5]


def test_table_of_several_labels_a_row():
    """What was given is a label that is there, or one that is not."""
    labels = np.array([[1, 0], [0, 0]])
    frame = of_outputs(
        targets=labels,
        predictions=np.array([[1, 1], [0, 0]]),
        probabilities=np.array([[0.9, 0.6], [0.2, 0.3]]),
        given_probabilities=np.array([[0.9, 0.4], [0.8, 0.7]]),
        classifier=True,
    ).to_frame()
    assert frame["length: probability"].tolist() == [0.8, 0.9]
    assert frame["width: probability"].tolist() == [0.7, 0.4]
    assert "length: residual" not in frame


def test_array_is_the_losses():
    np.testing.assert_array_equal(np.asarray(left_out()), LOSSES)
    np.testing.assert_array_equal(np.asarray(left_out(), dtype=np.float32), LOSSES)


# ------------------------------------------------------------------------------ what is printed


def test_printed_regressor():
    lines = repr(left_out(row_labels=LABELS)).splitlines()
    assert lines[0] == "Leave-one-out of 4 rows (exact): mean half squared error 1.00 +- 0.46"
    assert lines[1].split() == ["row", "given", "predicted", "residual", "loss"]
    cells = [line.split() for line in lines[2:]]
    assert [row for row, *_ in cells] == ["b", "d", "a", "c"]
    numbers = np.array([rest for _, *rest in cells], dtype=float)
    given, largest_first = np.array([1.0, 3.0, 0.0, 2.0]), np.sort(LOSSES)[::-1]
    expected = np.column_stack([given, np.zeros(4), given, largest_first])
    np.testing.assert_array_equal(numbers, expected)


def test_printed_classifier():
    lines = repr(of_classes()).splitlines()
    assert lines[0] == "Leave-one-out of 4 rows (exact): mean log loss 1.00 +- 0.46"
    assert lines[1].split() == ["row", "given", "probability", "predicted", "loss"]
    row, given, probability, predicted, loss = lines[2].split()
    assert (row, given, float(probability), predicted, float(loss)) == ("b", "y", 0.1, "z", 2.0)
    assert lines[-1] == "1 of 4 rows are predicted wrong by the model without them."


def test_many_rows_and_many_targets_are_cut():
    wide = left_out(
        np.arange(30.0),
        targets=np.zeros((30, 9)),
        predictions=np.zeros((30, 9)),
        output_labels=np.arange(9),
    )
    lines = repr(wide).splitlines()
    assert lines[1].split() == ["row", "loss"]
    assert [line.split()[0] for line in lines[2:11]] == [str(k) for k in range(29, 20, -1)]
    assert lines[11:] == ["Shown are the 9 largest losses of 30: to_frame() has all."]


def test_html_is_escaped():
    html = of_classes(row_labels=np.array(["<b>", "b", "c", "d"]))._repr_html_()
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "mean log loss 1.00 +- 0.46" in html


@pytest.mark.parametrize("labels", ROW_LABELS.values(), ids=ROW_LABELS)
@pytest.mark.parametrize("make", [left_out, of_classes, of_outputs, compared])
def test_kept_as_text_and_as_a_file(make, labels, tmp_path):
    result = make(row_labels=labels[: len(make().row_labels)])
    result.save(tmp_path / "kept.npz")
    for again in (
        type(result).from_json(result.to_json()),
        type(result).load(tmp_path / "kept.npz"),
    ):
        assert repr(again) == repr(result)
        np.testing.assert_array_equal(again, result)
        pd.testing.assert_frame_equal(again.to_frame(), result.to_frame())


def test_labels_of_days_are_printed_as_days():
    lines = repr(left_out(row_labels=ROW_LABELS["days"])).splitlines()
    assert "2024-01-02" in lines[2]


# ----------------------------------------------------------------------------- two models


def two(seed=0, n=80):
    rng = np.random.default_rng(seed)
    hard = rng.exponential(size=n)
    return hard + 0.1 * rng.uniform(size=n), hard + 0.3 * rng.uniform(size=n)


def test_comparison_is_the_paired_t_test():
    one, other = two()
    found = left_out(one).compare(left_out(other))
    test = stats.ttest_rel(one, other)
    assert found.difference == pytest.approx(np.mean(one) - np.mean(other), rel=1e-12)
    assert found.difference / found.standard_error == pytest.approx(test.statistic, rel=1e-12)
    assert found.better == "first"
    assert left_out(other).compare(left_out(one)).better == "second"
    np.testing.assert_array_equal(np.asarray(found), one - other)
    # which the two scores alone, without pairing, would not tell
    assert abs(found.difference) < left_out(one).standard_error()


def test_weighted_comparison():
    one, other = two()
    w = np.arange(80) % 3
    found = left_out(one).compare(left_out(other), sample_weight=w)
    difference = left_out(one).score(w) - left_out(other).score(w)
    assert found.difference == pytest.approx(difference, rel=1e-12)
    assert found.standard_error == pytest.approx(left_out(one - other).standard_error(w), rel=1e-12)
    assert found.standard_error != pytest.approx(left_out(one - other).standard_error(), rel=1e-3)


def test_neither_is_better_within_two_standard_errors():
    one = np.zeros(50)
    other = np.where(np.arange(50) % 2 == 0, 1.0, -1.0)
    assert left_out(one).compare(left_out(other + 0.28)).better == "neither"
    assert left_out(one).compare(left_out(other + 0.29)).better == "first"
    assert left_out(one).compare(left_out(one)).better == "neither"
    assert left_out(one[:1]).compare(left_out(other[:1])).better == "neither"
    assert left_out(one).compare(left_out(one + 1.0)).better == "first"  # in every row


def test_table_and_text_of_a_comparison():
    found = compared(row_labels=LABELS)
    frame = found.to_frame()
    assert frame.columns.tolist() == ["row", "position", "first", "second", "difference"]
    assert frame["row"].tolist() == ["c", "b", "d", "a"]
    assert frame["difference"].tolist() == [-3.0, 2.0, -0.5, 0.0]
    lines = repr(found).splitlines()
    assert lines[0] == (
        "Leave-one-out of 4 rows by two models: mean half squared error of the first minus the "
        "second -0.4 +- 1.0"
    )
    assert lines[-1] == "Neither is better: the difference is 0.4 standard errors, below 2."
    told = repr(left_out(np.zeros(3)).compare(left_out(np.array([1.0, 1.1, 0.9]))))
    assert told.splitlines()[-1] == "The first is better, by 17.3 standard errors."
    assert "Neither is better" in found._repr_html_()


@pytest.mark.parametrize(
    "fields, message",
    [
        (
            {"losses": LOSSES[:3], "targets": np.arange(3)},
            "Two models of 4 and 3 training rows were given; models of the same rows are accepted. "
            "Fit both on the same rows.",
        ),
        (
            {"row_labels": LABELS},
            "Two models whose training rows have other labels were given; models of the same rows "
            "in the same order are accepted. Fit both on frames with one index, or both on arrays.",
        ),
        (
            {"loss": "log loss"},
            "Two models with other losses were given, half squared error and log loss, which have "
            "no common unit; models with the same loss are accepted. Compare what they predict: "
            "`predictions` and `probabilities` of both results.",
        ),
        (
            {"targets": np.array([0, 1, 2, 4])},
            "Two models fitted on other targets were given; models of the same targets are "
            "accepted. Fit both on the same y.",
        ),
    ],
)
def test_models_that_cannot_be_compared_are_refused(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        left_out().compare(left_out(**fields))


def test_one_column_of_targets_is_one_target():
    column = left_out(targets=np.arange(4)[:, None], predictions=np.zeros((4, 1)))
    assert left_out().compare(column).difference == 0.0
    pd.testing.assert_frame_equal(column.to_frame(), left_out().to_frame())


# --------------------------------------------------------------------------------- pictures


def drawn(result, **params):
    ax = result.plot(**params).ax_
    points = np.concatenate([np.asarray(found.get_offsets()) for found in ax.collections])
    return ax, points[np.lexsort(points.T)]


def test_a_regressor_is_drawn_against_what_was_given():
    ax, points = drawn(left_out(row_labels=LABELS), k=2)
    np.testing.assert_array_equal(points, np.column_stack([np.arange(4), np.zeros(4)]))
    assert [text.get_text() for text in ax.texts] == ["b", "d"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("given", "left-out prediction")
    (identity,) = ax.lines
    np.testing.assert_array_equal(identity.get_xdata(), identity.get_ydata())


def test_a_classifier_is_drawn_by_rank():
    ax, points = drawn(of_classes(), k=1)
    np.testing.assert_array_equal(points[:, 0], [1, 3, 2, 4])
    np.testing.assert_array_equal(points[:, 1], [0.1, 0.5, 0.6, 1.0])
    assert [text.get_text() for text in ax.texts] == ["b"]
    assert ax.get_ylabel() == "left-out probability of the given label"
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["3 predicted right", "1 predicted wrong"]
    ax, points = drawn(of_classes(probabilities=None))
    np.testing.assert_array_equal(points[::-1, 1], np.sort(LOSSES)[::-1])
    assert ax.get_ylabel() == "left-out log loss"


def test_several_targets_are_drawn_by_their_loss():
    ax, points = drawn(of_outputs())
    np.testing.assert_array_equal(points, [[2.0, 1.0], [1.0, 5.0]])
    assert ax.get_ylabel() == "left-out half squared error"


def test_two_models_are_drawn_against_each_other():
    ax, points = drawn(compared(row_labels=LABELS), k=1)
    np.testing.assert_array_equal(points, [[2.0, 0.0], [0.5, 0.5], [1.5, 2.0], [0.0, 3.0]])
    assert [text.get_text() for text in ax.texts] == ["c"]
