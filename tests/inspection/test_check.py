"""The numbers and the words of a check."""

import numpy as np
import pytest

from skinfluence.inspection import LeaveOneOutCheck

ACTUAL = np.array([[1.0, -2.0, 0.5], [0.5, 3.0, -1.0]])


def check(predicted=0.5 * ACTUAL, actual=ACTUAL, noise=(0.0, 0.0), **params):
    given = {
        "rows": np.array([4, 0, 7]),
        "row_labels": np.array(["e", "a", "h"]),
        "method": "newton",
        "target": "loss",
        **params,
    }
    return LeaveOneOutCheck(predicted=predicted, actual=actual, noise=np.array(noise), **given)


def test_numbers_by_hand():
    found = check()
    assert found.slope == pytest.approx(2.0)
    assert found.relative_error == pytest.approx(0.5)
    assert found.pearson == pytest.approx(1.0)
    assert found.spearman == pytest.approx(1.0)
    swapped = check(predicted=ACTUAL[:, [1, 0, 2]])
    # -2 -2 + .25 + 1.5 + 1.5 + 1 over 1 + 4 + .25 + .25 + 9 + 1
    assert swapped.slope == pytest.approx(0.25 / 15.5)
    assert swapped.relative_error == pytest.approx(np.sqrt((9 + 9 + 6.25 + 6.25) / 15.5))


def test_every_test_row_by_itself():
    predicted = ACTUAL * np.array([[1.0], [0.25]])
    one, other = check(predicted=predicted).per_test
    assert (one.slope, one.relative_error) == (1.0, 0.0)
    assert (other.slope, other.relative_error) == (4.0, 0.75)


def test_noise_floor_by_hand():
    found = check(noise=(0.3, -0.4))
    assert found.noise_floor == pytest.approx(np.sqrt((0.09 + 0.16) / 2))
    assert found.relative_noise_floor == pytest.approx(found.noise_floor / np.sqrt(15.5 / 6))
    assert check(actual=np.zeros((2, 3))).relative_noise_floor == np.inf


def test_summary():
    found = check(
        predicted=np.array([[1.0, -2.0, 0.0], [0.5, 3.0, -1.0]]),
        noise=(1e-7, -1e-7),
        notes=("judge: as tight as it goes",),
    )
    assert found.summary().splitlines() == [
        "3 training rows removed and refitted, 2 test rows "
        "(target=loss, method=newton, refit=final)",
        "  Pearson           0.9930",
        "  Spearman          0.9856",
        "  slope             1.0000   actual on predicted; 1 is right",
        "  relative error      0.13   median over test rows 0.11, largest 0.22",
        "  typical change   1.6e+00   root mean square",
        "  noise floor      1.0e-07   6.2e-08 of a typical change",
        "  - judge: as tight as it goes",
    ]
    assert str(found) == found.summary()


def test_noise_is_a_reason():
    words = "- noise: much of the difference is how far the judge's fit and the model are apart"
    assert words in check(noise=(0.5, 0.5)).summary()
    words_for_adapters = (
        "if the judge is tight, the adapter of the model (one you registered?) may state another "
        "objective than was minimised"
    )
    assert words_for_adapters in check(noise=(0.5, 0.5)).summary()
    assert words not in check(noise=(1e-3, 1e-3)).summary()
    # a difference of rounding errors is no reason to speak of noise
    assert words not in check(predicted=ACTUAL * (1 + 1e-9), noise=(1e-8, 1e-8)).summary()


def test_leverage_is_a_reason():
    words = "- leverage: first order ignores that a row's own curvature leaves with it"
    assert words in check(method="first_order").summary()
    assert words not in check(method="newton").summary()
    assert words not in check(predicted=ACTUAL, method="first_order").summary()


def test_transformers_are_a_reason():
    found = check(actual=ACTUAL, actual_final=0.8 * ACTUAL, refit="pipeline")
    assert (
        "- transformers: refitting them changes the truth by 0.2 (relative); with them frozen, as "
        "scores assume, the relative error is 0.38 and the slope 1.6000" in found.summary()
    )
    assert found.relative_error == pytest.approx(0.5)
    assert "transformers" not in check().summary()


def test_nothing_happened():
    """Rows of weight zero: no correlation, no slope, and no warning either."""
    summary = check(predicted=np.zeros((2, 3)), actual=np.zeros((2, 3))).summary()
    assert "slope                nan" in summary


def test_plot():
    found = check(noise=(0.3, -0.4))
    display = found.plot()
    assert display.noise_floor == found.noise_floor
    np.testing.assert_array_equal(display.predicted, found.predicted)
    np.testing.assert_array_equal(display.actual, found.actual)
    assert display.ax_.get_title() == "slope 2.000, relative error 0.500"


def test_what_the_judge_of_a_network_reached():
    given = {"judge_gradients": np.array([1e-6, 3e-6, 2e-6, 1e-6]), "noise": (1.0, 1.0)}
    lines = check(judge_noise=np.array([3e-3, -4e-3]), **given).summary().splitlines()
    assert "  judge gradient   3.0e-06   largest that a refit left; 1.0e-06 on all rows" in lines
    noise = "  judge noise      3.5e-03   2.2e-03 of a typical change: the first row put back and"
    assert any(line.startswith(noise) for line in lines)
    assert any("refine=True scores a minimum" in line for line in lines)
    assert not any("several minima" in line for line in lines)
    found = check(judge_noise=np.array([1.0, -1.0]), **given).summary()
    assert "several minima: with a row put back, the judge does not find the network" in found
