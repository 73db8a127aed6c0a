"""One line says what scores are fit for."""

import numpy as np
import pytest

from skinfluence.inspection import Agreement
from skinfluence.inspection.agreement import agreement, median_agreement
from skinfluence.inspection.verdict import LARGEST_ERROR, verdict
from skinfluence.inspection.words import plain_number

NAN = float("nan")


def said(error, spearman, n_rows=30, noise=0.0, slope=1.5):
    """Return what is said where all test rows agree as the median one does."""
    both = Agreement(0.9, spearman, slope, error)
    return verdict(both, both, n_rows, noise)


def said_of(predicted, actual, noise=0.0):
    by_test = [agreement(*pair) for pair in zip(predicted, actual, strict=True)]
    pooled = agreement(predicted, actual)
    return verdict(pooled, median_agreement(by_test), actual.shape[1], noise)


@pytest.mark.parametrize(
    ("error", "spearman", "n_rows", "noise", "fit_for", "words"),
    [
        (0.0, 1.0, 30, 0.0, "values", "fit for values: relative error 0 (noise 0), slope 1.50"),
        (0.1, 0.3, 30, 0.1, "values", "fit for values: "),
        (0.1, 0.9, 30, 0.11, "ranking", "fit for ranking, too noisy to tell values: relative"),
        (
            0.002,
            0.3,
            30,
            10.2,
            None,
            "can tell: before any row leaves, judge and model differ by 10",
        ),
        (0.002, 0.9, 9, 10.2, None, "relative error 0.002 (noise 10), slope 1.50"),
        (0.1, 1.0, 3, 0.0, "values", "Spearman 1.00, of 3 rows alone"),
        (0.1, NAN, 1, 0.0, "values", "of 1 row alone"),
        (0.11, 0.8, 30, 9.0, "ranking", "fit for ranking, not for values: relative error 0.11"),
        (50.0, 0.95, 10, 0.0, "ranking", "fit for ranking, not for values"),
        (
            7e58,
            0.3,
            30,
            0.0,
            None,
            "relative error > 1000 (noise 0), slope 1.50; of the median test ",
        ),
        (0.21, NAN, 1, 0.0, None, "can tell: too few rows to judge a ranking by; relative"),
        (0.21, 0.95, 9, 0.0, None, "can tell: too few rows to judge a ranking by; relative"),
        (0.21, 0.3, 9, 0.0, None, "fit for neither: relative error 0.21"),
        (0.21, 0.79, 30, 0.1, None, "fit for neither: relative error 0.21 (noise 0.1)"),
        (0.21, 0.3, 30, 0.11, None, "can tell: before any row leaves, judge and model differ by"),
        (1.5, -0.7, 30, 8.6, None, "differ by 8.6 typical changes"),
        (0.9, NAN, 30, 0.0, None, "fit for neither: "),
        (NAN, NAN, 30, NAN, None, "can tell: no removal moves these test rows"),
        (float("inf"), NAN, 30, NAN, None, "can tell: no removal moves these test rows"),
    ],
)
def test_a_line_and_a_value(error, spearman, n_rows, noise, fit_for, words):
    found, line = said(error, spearman, n_rows, noise)
    assert found == fit_for
    assert words in line
    assert line.startswith(f"fit for {fit_for or 'neither'}")
    assert "\n" not in line


@pytest.mark.parametrize("seed", range(20))
def test_an_error_bounds_the_slope(seed):
    """So that values need no rule of their own for it."""
    rng = np.random.default_rng(seed)
    actual, off = rng.standard_normal((2, 2))
    off *= LARGEST_ERROR * np.linalg.norm(actual) / np.linalg.norm(off)
    slope = agreement(actual + off, actual).slope
    assert 1.0 / (1.0 + LARGEST_ERROR) <= slope <= 1.0 / (1.0 - LARGEST_ERROR)


# ------------------------------------------------------------------------- one test row of several

CHANGES = np.random.default_rng(0).standard_normal((6, 30))
CLOSE = CHANGES * (1.0 + 0.02 * np.random.default_rng(1).standard_normal(CHANGES.shape))


def test_a_large_test_row_does_not_speak_for_the_others():
    """Five test rows with the opposite sign, and a sixth that outweighs them all."""
    size = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 100.0])[:, None]
    sign = np.array([-1.0, -1.0, -1.0, -1.0, -1.0, 1.0])[:, None]
    assert agreement(sign * size * CLOSE, size * CHANGES).relative_error < LARGEST_ERROR
    found, line = said_of(sign * size * CLOSE, size * CHANGES)
    assert found is None
    assert "of the median test row 2, Spearman -1.00" in line
    assert said_of(size * CLOSE, size * CHANGES)[0] == "values"


def test_sizes_of_test_rows_are_no_ranking_of_rows():
    """Random orders within each test row, and test rows that a pooled correlation tells apart."""
    level = np.array([-100.0, -40.0, -10.0, 10.0, 40.0, 100.0])[:, None]
    scrambled = level + np.random.default_rng(2).permuted(CHANGES, axis=1)
    assert agreement(scrambled, level + CHANGES).spearman > 0.9
    found, line = said_of(2.0 * scrambled, level + CHANGES)
    assert found is None
    assert line.startswith("fit for neither: relative error")
    assert said_of(2.0 * (level + CLOSE), level + CHANGES)[0] == "ranking"


@pytest.mark.parametrize("n_good", [2, 3, 4])
def test_half_of_the_test_rows_decide(n_good):
    good = np.arange(5)[:, None] < n_good
    scaled = np.where(good, CLOSE[:5], 0.5 * CLOSE[:5]) * np.where(good, 100.0, 1.0)
    found, _ = said_of(scaled, CHANGES[:5] * np.where(good, 100.0, 1.0))
    assert found == ("values" if n_good > 2 else "ranking")


def test_one_test_row_is_its_own_median():
    pair = agreement(CLOSE[0], CHANGES[0])
    assert median_agreement([pair]) == pair


def test_the_median_is_of_test_rows_that_move():
    moved = [agreement(*pair) for pair in zip(CLOSE, CHANGES, strict=True)]
    unmoved = [agreement(CLOSE[0], 0.0 * CHANGES[0]), agreement(np.zeros(30), np.zeros(30))]
    assert median_agreement(moved + 9 * unmoved) == median_agreement(moved)
    assert np.isnan(median_agreement(unmoved).relative_error)
    silent = agreement(np.zeros(30), CHANGES[0])  # predicts nothing of what happens
    assert median_agreement([moved[0], silent, silent]).spearman == 0.0
    assert np.isnan(median_agreement([silent, silent]).spearman)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (7e-13, "7e-13"),
        (0.0123, "0.012"),
        (9.94, "9.9"),
        (10.0, "10"),
        (990.4, "990"),
        (1e3, "1000"),
        (1000.1, "> 1000"),
        (7e58, "> 1000"),
        (float("inf"), "> 1000"),
    ],
)
def test_numbers_are_plain(number, text):
    assert plain_number(number) == text
