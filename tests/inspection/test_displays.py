"""What is drawn, read back from the axes."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from skinfluence.inspection import (
    InfluenceDisplay,
    LeaveOneOutCurveDisplay,
    LeaveOneOutDisplay,
    RecoveryDisplay,
    RowsDisplay,
    ValidationAuditDisplay,
)
from skinfluence.inspection.displays.base import HARMS, HELPS

SCORES = np.array([2.0, 0.5, -1.5])
PREDICTED = np.array([[1.0, -2.0], [0.5, 0.25]])
ACTUAL = np.array([[1.5, -1.0], [0.75, 0.0]])


def influence_display(target="loss"):
    return InfluenceDisplay(SCORES, np.array(["x", "y", "z"]), target, "Test row patient 7")


def check_display(**params):
    return LeaveOneOutDisplay(PREDICTED, ACTUAL, "predict_proba", "first_order", **params)


def test_bars():
    display = influence_display()
    assert display.plot() is display
    ax = display.ax_
    assert [bar.get_width() for bar in ax.patches] == SCORES.tolist()
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == [HELPS, HELPS, HARMS]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["x", "y", "z"]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in ax.patches]
    np.testing.assert_allclose(middles, ax.get_yticks())
    assert ax.yaxis_inverted()  # the first bar is on top
    assert ax.get_xlabel() == "change of loss if the row is removed\n← harms     helps →"
    assert ax.get_ylabel() == "training row"
    assert ax.get_title() == "Test row patient 7"
    assert display.figure_ is ax.figure


def test_bars_of_a_probability_are_coloured_by_what_the_row_does():
    """Without the first row the probability is higher: it opposes the class."""
    ax = influence_display(target="predict_proba").plot().ax_
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == [HARMS, HARMS, HELPS]
    words = "change of probability if the row is removed\n← supports     opposes →"
    assert ax.get_xlabel() == words


def test_points_and_identity():
    display = check_display()
    assert display.plot() is display
    ax = display.ax_
    (points,) = (c for c in ax.collections if isinstance(c, PathCollection))
    np.testing.assert_array_equal(points.get_offsets(), np.c_[PREDICTED.ravel(), ACTUAL.ravel()])
    (line,) = (one for one in ax.lines if one.get_label() == "identity")
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    assert line.get_xdata()[0] < -2.0 < 1.5 < line.get_xdata()[1]
    assert ax.get_xlim() == ax.get_ylim() == tuple(line.get_xdata())
    assert ax.get_aspect() == 1.0
    assert ax.get_xlabel() == "predicted change of probability (first order)"
    assert ax.get_ylabel() == "actual change of probability (refitted)"
    # 1.5 + 2 + .375 + 0 over 1 + 4 + .25 + .0625;  .25 + 1 + .0625 + .0625 over 2.25 + 1 + .5625
    slope, error = 3.875 / 5.3125, np.sqrt(1.375 / 3.8125)
    assert ax.get_title() == f"slope {slope:.3f}, relative error {error:.3f}"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["identity"]


def test_noise_floor_is_a_band_around_the_identity():
    ax = check_display(noise_floor=0.25).plot().ax_
    band = ax.collections[0].get_paths()[0].vertices
    heights = band[:, 1] - band[:, 0]
    np.testing.assert_allclose([heights.min(), heights.max()], [-0.25, 0.25])


def test_one_point_on_the_identity():
    display = LeaveOneOutDisplay(np.zeros((1, 1)), np.zeros((1, 1)), "loss", "newton")
    low, high = display.plot().ax_.get_xlim()
    assert low < 0 < high


def rows_display():
    return RowsDisplay(SCORES, SCORES, np.array(["x", "y", "z"]), 2, "x", "y", identity=True)


def curve_display():
    return LeaveOneOutCurveDisplay("C", np.arange(3), SCORES, np.abs(SCORES), 2, "log loss")


def audit_display(k=(1, 5, 10), **params):
    k, n = np.array(k), len(k)
    verified = params.pop("verified", None)
    params = {"advised": 0, "action": "drop", "loss": "log loss", **params}
    return ValidationAuditDisplay(
        k, SCORES[:n], np.abs(SCORES[:n]), SCORES[:n] - 1.0, verified, **params
    )


def test_an_audit_shows_what_chose_itself_as_what_it_is():
    ax = audit_display(verified=SCORES + 0.1, advised=2).plot().ax_
    lines = {line.get_label(): line for line in ax.lines}
    np.testing.assert_array_equal(lines["on rows that did not choose"].get_ydata(), SCORES)
    np.testing.assert_array_equal(lines["in-sample: flatters"].get_ydata(), SCORES - 1.0)
    assert lines["in-sample: flatters"].get_linestyle() == "--"
    np.testing.assert_array_equal(lines["the same, refitted"].get_ydata(), SCORES + 0.1)
    assert lines["advised: 10"].get_xydata().tolist() == [[10.0, -1.5]]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == -1.5 - 2 * 1.5 and band[:, 1].max() == 2.0 + 2 * 2.0
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1", "5", "10"]
    assert ax.get_ylabel() == "change of mean log loss\n(below 0 is better)"


@pytest.mark.parametrize("width", [3.0, 6.4])
def test_the_legend_of_an_audit_covers_no_curve(width):
    figure, ax = plt.subplots(figsize=(width, 3.0), layout="constrained")
    audit_display(k=(1, 2), action="relabel", advised=None).plot(ax=ax)
    figure.canvas.draw()
    legend, axes = ax.get_legend().get_window_extent(), ax.get_window_extent()
    assert legend.y0 >= axes.y1 - 1 and legend.x1 <= figure.bbox.x1 and legend.y1 <= figure.bbox.y1
    assert ax.get_xlabel() == "worst rows relabelled" and ax.get_xscale() == "linear"


def test_an_audit_of_one_number_has_a_bar_for_its_error():
    ax = audit_display(k=(7,)).plot().ax_
    (bar,) = (c for c in ax.collections if hasattr(c, "get_segments"))
    np.testing.assert_allclose(bar.get_segments()[0][:, 1], [2.0 - 4.0, 2.0 + 4.0])


DISPLAYS = [influence_display, check_display, rows_display, curve_display, audit_display]


@pytest.mark.parametrize("make", DISPLAYS)
def test_drawn_on_given_axes(make):
    figure, axes = plt.subplots(1, 2)
    display = make().plot(ax=axes[1])
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert not axes[0].has_data()
    assert len(plt.get_fignums()) == 1
    figure.canvas.draw()


@pytest.mark.parametrize("make", DISPLAYS)
def test_without_matplotlib(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    message = r"Plots need matplotlib, which is not installed: pip install 'skinfluence\[plot\]'\."
    with pytest.raises(ImportError, match=message):
        make().plot()


# ----------------------------------------------------------------------------------------- recovery


def test_shares_of_the_wrong_labels_that_rankings_find():
    rng = np.random.default_rng(0)
    wrong = [rng.random(40) < 0.2 for _ in range(3)]
    ranking = [rng.random(40) for _ in range(3)]
    display = RecoveryDisplay.from_rankings(wrong, {"a": ranking}, [0.0, 0.1, 0.5, 1.0])
    for j, share in enumerate([0.0, 0.1, 0.5, 1.0]):
        for repetition in range(3):
            first = sorted(range(40), key=lambda i: ranking[repetition][i])[: round(share * 40)]
            found = sum(bool(wrong[repetition][i]) for i in first) / wrong[repetition].sum()
            assert display.curves["a"][repetition, j] == found
    (line,) = display.plot().ax_.lines
    np.testing.assert_allclose(line.get_ydata(), display.curves["a"].mean(axis=0))


@pytest.mark.parametrize(
    ("wrong", "ranking", "checked", "message"),
    [
        ([[True, False]], [[0.1, 0.2]], [1.5], "shares of the rows, from 0 to 1"),
        ([[True, False]], [[0.1]], [0.5], "not of the shape of wrong"),
        ([[True, False]], [[0.1, 0.2]] * 2, [0.5], "not of the shape of wrong"),
        ([[False, False]], [[0.1, 0.2]], [0.5], "without a wrong label"),
    ],
)
def test_rankings_that_are_refused(wrong, ranking, checked, message):
    wrong, ranking = [np.array(w) for w in wrong], [np.array(r) for r in ranking]
    with pytest.raises(ValueError, match=message):
        RecoveryDisplay.from_rankings(wrong, {"a": ranking}, checked)
