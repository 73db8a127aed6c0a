"""The numbers and the words of a check."""

import numpy as np
import pytest

from skinfluence.inspection import LeaveOneOutCheck

ACTUAL = np.array([[1.0, -2.0, 0.5], [0.5, 3.0, -1.0]])


def check(predicted=0.5 * ACTUAL, actual=ACTUAL, noise=(0.0, 0.0), **params):
    given = {
        "rows": np.array([4, 0, 7]),
        "row_labels": np.array(["e", "a", "h"]),
        "test_labels": np.array(["x", "y"]),
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
        "fit for neither as far as this check can tell: too few rows to judge a ranking by; "
        "relative error 0.13 (noise 6e-08), slope 1.00; of the median test row 0.11, Spearman "
        "1.00, of 3 rows alone",
        "3 training rows removed and refitted, 2 test rows "
        "(target=loss, method=newton, refit=final)",
        "  Pearson           0.9930",
        "  Spearman          0.9856   median over test rows 1.0000",
        "  slope             1.0000   actual on predicted; 1 is right",
        "  relative error      0.13   median over test rows 0.11, largest 0.22",
        "  typical change   1.6e+00   root mean square",
        "  noise floor      1.0e-07   6.2e-08 of a typical change",
        "  - judge: as tight as it goes",
        "  - next: rows=10 or more let a check judge the ranking; method='exact' iterates to the "
        "minimum without each row",
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


def test_words_of_trees():
    """Nothing was refitted over other splits, and no method goes to a minimum."""
    found = check(method="first_order", refit="structure")
    said = found.summary()
    assert "3 training rows removed and all leaves computed again over the same splits, 2 t" in said
    assert "refit=structure" in said and "noise floor" in said and "minimum" not in said
    assert "- leverage: first order ignores that a row's own weight leaves with it" in said
    assert "; method='exact' computes all leaves again without each row" in said
    said = check(method="newton", refit="structure").summary()
    assert "; method='exact' computes the leaves of other rows again too" in said
    assert "held against the same splits with all leaves computed again." in repr(found)


@pytest.mark.parametrize(
    ("refit", "how"),
    [
        ("final", "refitted"),
        ("pipeline", "refitted"),
        ("structure", "over the same splits"),
        ("proximal", "by the proximal objective"),
    ],
)
def test_the_picture_says_what_the_changes_are_of(refit, how):
    axes = check(refit=refit).plot().ax_
    assert axes.get_ylabel() == f"actual change of loss ({how})"


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
    found = check(predicted=np.zeros((2, 3)), actual=np.zeros((2, 3)))
    assert "slope                nan" in found.summary()
    assert found.fit_for is None
    assert "no removal moves these test rows" in found.verdict


def test_plot():
    found = check(noise=(0.3, -0.4))
    display = found.plot()
    assert display.noise_floor == found.noise_floor
    np.testing.assert_array_equal(display.predicted, found.predicted)
    np.testing.assert_array_equal(display.actual, found.actual)
    assert display.ax_.get_title() == "fit for neither\nslope 2.000, relative error 0.500"


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


# ----------------------------------------------------------------------------- labels and records

SPREAD = np.linspace(-3.0, 4.0, 24).reshape(2, 12)


def many(**params):
    labels = {"rows": np.arange(12) + 5, "row_labels": np.array([f"r{i}" for i in range(12)])}
    return check(actual=SPREAD, **{"predicted": 0.5 * SPREAD, **labels, **params})


def test_pairs_in_a_frame():
    found = check(predicted=0.25 * ACTUAL)
    frame = found.to_frame()
    assert list(frame) == ["test", "row", "position", "predicted", "actual", "error"]
    assert frame["test"].tolist() == ["x"] * 3 + ["y"] * 3
    assert frame["row"].tolist() == ["e", "a", "h"] * 2
    assert frame["position"].tolist() == [4, 0, 7] * 2
    np.testing.assert_array_equal(frame["actual"], ACTUAL.ravel())
    np.testing.assert_allclose(frame["error"], -0.75 * ACTUAL.ravel())


def test_array_and_repr():
    found = many()
    np.testing.assert_array_equal(np.asarray(found), 0.5 * SPREAD)
    lines = repr(found).splitlines()
    assert lines[0] == (
        "LeaveOneOutCheck: effects of 12 training rows on the loss of 2 test rows (method newton), "
        "held against refits of the final step."
    )
    assert lines[1].split() == ["test", "row", "position", "predicted", "actual", "error"]
    assert lines[2].split()[:3] == ["y", "r11", "16"]  # the largest change first
    assert len(lines) == 14
    assert lines[11] == found.verdict
    assert lines[12] == "next: method='exact' iterates to the minimum without each row"
    assert lines[13].startswith("The largest changes of 24; to_frame() has all")
    html = many(test_labels=np.array(["<b>", "y"]))._repr_html_()
    assert "fit for ranking" in html
    assert "<b>" not in html


def test_comes_back_as_it_was(tmp_path):
    found = many(noise=(0.1, 0.2), judge_noise=np.array([0.3, 0.1]), notes=("judge: tight",))
    found.save(tmp_path / "check")
    for read in (
        LeaveOneOutCheck.load(tmp_path / "check"),
        LeaveOneOutCheck.from_json(found.to_json()),
    ):
        assert (str(read), repr(read), read.notes) == (str(found), repr(found), found.notes)
        np.testing.assert_array_equal(read.actual, found.actual)


def test_verdict():
    found = many(judge_noise=np.array([9.0, 9.0]))  # scores that agree all the same are not blamed
    assert found.fit_for == "ranking"
    assert found.verdict == (
        "fit for ranking, not for values: relative error 0.5 (noise 4), slope 2.00; of the median "
        "test row 0.5, Spearman 1.00"
    )
    assert found.summary().splitlines()[0] == found.verdict


@pytest.mark.parametrize("name", ["noise", "judge_noise"])
def test_what_the_check_cannot_tell(name):
    """A difference no larger than that of the judge from the model says nothing of scores."""
    scrambled = SPREAD[:, ::-1]
    assert many(predicted=scrambled).verdict.startswith("fit for neither: relative error")
    found = many(predicted=scrambled, **{name: np.array([9.0, -9.0])})
    assert found.fit_for is None
    assert found.verdict.startswith(
        "fit for neither as far as this check can tell: before any row leaves, judge and model "
        "differ by 4.2 typical changes; relative error"
    )


# ---------------------------------------------------------------------------------- what to do next

EXACT = "method='exact' iterates to the minimum without each row"
NEWTON = f"method='newton' takes the row's own curvature out, {EXACT}"
MORE = "rows=10 or more let a check judge the ranking"
STILL = {"judge_noise": np.zeros(2)}  # what networks have


def few(**params):
    return check(**{"predicted": 0.5 * ACTUAL, **params})


@pytest.mark.parametrize(
    ("found", "step"),
    [
        (many(), EXACT),
        (many(method="first_order"), NEWTON),
        (many(method="exact"), None),
        (many(predicted=SPREAD), None),  # fit for values
        (many(predicted=SPREAD[:, ::-1]), EXACT),  # fit for neither
        (many(method="first_order", **STILL), NEWTON),
        (many(predicted=SPREAD[:, ::-1], noise=(9.0, 9.0)), None),  # the model is not the judge's
        (many(predicted=SPREAD[:, ::-1], noise=(9.0, 9.0), **STILL), EXACT),  # which goes there
        (many(refit="proximal"), None),  # which knows no method="exact"
        (many(refit="pipeline", actual_final=0.5 * SPREAD), None),  # transformers make it
        (many(refit="pipeline", actual_final=0.9 * SPREAD), EXACT),
        (few(), f"{MORE}; {EXACT}"),
        (few(method="exact"), MORE),
        (few(predicted=-ACTUAL, method="exact"), None),  # nothing to rank
        (few(predicted=ACTUAL), None),
        (few(actual=np.zeros((2, 3))), None),
    ],
)
def test_next(found, step):
    """One line, in the summary and in the repr, where scores are not fit for values."""
    lines = [line for line in found.summary().splitlines() if "next: " in line]
    assert lines == ([] if step is None else [f"  - next: {step}"])
    assert repr(found).count("next: ") == len(lines)


def test_huge_numbers_are_short():
    found = many(predicted=np.array([[1e5], [7e58]]) * SPREAD, noise=(1e9, 1e9))
    text = found.summary()
    assert "relative error    > 1000   median over test rows > 1000, largest > 1000" in text
    assert "noise floor      1.0e+09   > 1000 of a typical change" in text
    assert found.plot().ax_.get_title().endswith("relative error > 1000")
