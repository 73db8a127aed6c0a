"""The risk over the values of a parameter, from plain arrays."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from skinfluence.inspection import LeaveOneOutCurve, LeaveOneOutCurveDisplay

RNG = np.random.default_rng(0)
LOSSES = RNG.exponential(size=40) + np.array([[0.3], [0.0], [0.06], [0.5]])
LOSSES += 0.2 * RNG.standard_normal(LOSSES.shape)
RANGE = np.array([0.1, 1.0, 10.0, 100.0])


def curve(losses=LOSSES, **fields):
    known = {
        "param_name": "alpha",
        "param_range": RANGE,
        "losses": losses,
        "row_labels": np.arange(losses.shape[1]),
        "method": "exact",
        "loss": "half squared error",
        "failures": ("",) * len(losses),
    }
    return LeaveOneOutCurve(**(known | fields))


def test_scores_and_their_errors():
    found = curve()
    np.testing.assert_allclose(found.scores, LOSSES.mean(axis=1), rtol=1e-14)
    np.testing.assert_allclose(found.standard_errors, stats.sem(LOSSES, axis=1), rtol=1e-13)
    np.testing.assert_array_equal(np.asarray(found), found.scores)
    assert found.best == 1.0
    assert type(found.best) is float


def test_weights_are_those_of_the_rows():
    w = np.arange(40) % 4
    found = curve(sample_weight=w)
    np.testing.assert_allclose(found.scores, LOSSES @ w / w.sum(), rtol=1e-13)
    twice = curve(sample_weight=2 * w)
    np.testing.assert_allclose(twice.standard_errors, found.standard_errors, rtol=1e-13)


def test_table_has_the_paired_distance_to_the_best():
    frame = curve().to_frame()
    names = ["alpha", "score", "standard_error", "above_best", "above_best_error"]
    assert frame.columns.tolist() == names
    assert frame["alpha"].tolist() == RANGE.tolist()
    for k in (0, 2, 3):
        test = stats.ttest_rel(LOSSES[k], LOSSES[1])
        ratio = frame["above_best"][k] / frame["above_best_error"][k]
        assert ratio == pytest.approx(test.statistic, rel=1e-12)
    assert frame.loc[1, ["above_best", "above_best_error"]].tolist() == [0.0, 0.0]


def test_printed_curve():
    lines = repr(curve()).splitlines()
    found = curve()
    assert lines[0] == (
        "Leave-one-out of 40 rows at 4 values of alpha (exact): best 1, half squared error "
        f"{found.scores[1]:.2f} +- {found.standard_errors[1]:.2f}"
    )
    assert [line.split()[0] for line in lines[1:6]] == ["alpha", "0.1", "1", "10", "100"]
    assert [line.endswith("<- best") for line in lines[2:6]] == [False, True, False, False]
    assert lines[6:] == [
        "Not told apart from the best, within two standard errors of the paired difference: 10."
    ]


def test_the_best_at_an_end_is_said():
    said = "The best value is the last in its direction: try values beyond it."
    assert repr(curve(LOSSES[[1, 0, 2, 3]])).splitlines()[-1] == said
    assert said not in repr(curve())
    words = np.array(["a", "b", "c", "d"], dtype=object)
    assert said not in repr(curve(LOSSES[[1, 0, 2, 3]], param_range=words))


def test_values_without_a_model():
    losses = LOSSES.copy()
    losses[3] = np.nan
    found = curve(
        losses, failures=("", "", "", "separable"), param_range=np.array([1, 2, 3, np.inf])
    )
    assert found.best == 2.0
    assert np.isnan(found.to_frame()["score"][3])
    assert repr(found).splitlines()[-1] == "No model at inf: separable"
    ax = found.plot().ax_
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "2", "3", "inf"]


def test_the_first_of_equals_is_best():
    assert curve(LOSSES[[0, 1, 1, 3]]).best == 1.0


def test_long_curves_are_cut_around_the_best():
    losses = np.abs(np.arange(40.0) - 30.0)[:, None] + np.zeros(5)
    found = curve(losses, param_range=np.arange(40))
    lines = repr(found).splitlines()
    assert [line.split()[0] for line in lines[2:14]] == [str(k) for k in range(24, 36)]
    assert lines[-1] == "Shown are 12 of 40 values: to_frame() has all."
    last = curve(losses[::-1][:14], param_range=np.arange(14))
    assert repr(last).splitlines()[13].split()[0] == "13"


def test_kept_as_text_and_as_a_file(tmp_path):
    values = np.empty(4, dtype=object)
    values[:] = [None, "auto", 0.5, (3, 4)]
    for found in (curve(), curve(param_range=values)):
        found.save(tmp_path / "kept.npz")
        for again in (
            LeaveOneOutCurve.from_json(found.to_json()),
            LeaveOneOutCurve.load(tmp_path / "kept.npz"),
        ):
            assert repr(again) == repr(found)
            pd.testing.assert_frame_equal(again.to_frame(), found.to_frame())
    assert "alpha" in found._repr_html_()


@pytest.mark.parametrize(
    "values, scale",
    [
        ([0.1, 1.0, 10.0, 100.0], "log"),
        ([100.0, 10.0, 1.0, 0.1], "log"),
        ([1, 2, 4, 8], "log"),
        ([1, 2, 3, 4], "linear"),
        ([0, 1, 10, 100], "linear"),
        ([1, 1, 10, 100], "linear"),
    ],
)
def test_axis_of_a_geometric_range_is_logarithmic(values, scale):
    ax = curve(param_range=np.array(values)).plot().ax_
    assert ax.get_xscale() == scale
    assert ax.get_xlabel() == "alpha"


def test_points_and_the_best_are_drawn():
    found = curve(param_range=RANGE[::-1])
    display = found.plot()
    assert isinstance(display, LeaveOneOutCurveDisplay)
    line, best = display.ax_.lines[0], display.ax_.lines[-1]
    np.testing.assert_array_equal(line.get_xdata(), RANGE)
    np.testing.assert_array_equal(line.get_ydata(), found.scores[::-1])
    assert (best.get_xdata().item(), best.get_ydata().item()) == (10.0, found.scores[1])
    assert best.get_label() == "smallest at 10"
    assert display.ax_.get_ylabel() == "mean half squared error of rows left out"
