"""Agreement against numbers computed by hand."""

import numpy as np
import pytest

from skinfluence.inspection import agreement


def test_numbers_by_hand():
    found = agreement(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0]))
    assert found.slope == pytest.approx(31 / 14)  # 1*2 + 2*4 + 3*7 over 1 + 4 + 9
    assert found.relative_error == pytest.approx(np.sqrt(21 / 69))  # 1 + 4 + 16 over 4 + 16 + 49
    assert found.pearson == pytest.approx(5 / np.sqrt(2 * 114 / 9))
    assert found.spearman == pytest.approx(1.0)


def test_ranks_by_hand():
    found = agreement(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 40.0]))
    assert found.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found.pearson != pytest.approx(found.spearman, abs=0.01)


def test_perfect_agreement():
    actual = np.array([[-1.0, 2.0], [0.5, 0.0]])
    found = agreement(actual, actual)
    assert (found.slope, found.relative_error) == (1.0, 0.0)
    assert (found.pearson, found.spearman) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("factor", [-1.0, 0.5, 2.0, 150.0])
def test_slope_and_error_see_signs_and_factors(factor):
    actual = np.array([-1.0, 2.0, 0.5, 3.0])
    found = agreement(factor * actual, actual)
    assert found.slope == pytest.approx(1 / factor)
    assert found.relative_error == pytest.approx(abs(factor - 1))
    assert found.pearson == pytest.approx(np.sign(factor))


def test_all_entries_are_pooled():
    predicted, actual = np.arange(6.0).reshape(2, 3), np.array([[1.0, 0.0, 2.0], [5.0, 3.0, 4.0]])
    assert agreement(predicted, actual) == agreement(predicted.ravel(), actual.ravel())


def test_constants_have_no_correlation():
    found = agreement(np.ones(3), np.array([1.0, 2.0, 3.0]))
    assert np.isnan([found.pearson, found.spearman]).all()
    assert found.slope == pytest.approx(2.0)
    assert np.isnan(agreement(np.array([1.0]), np.array([2.0])).pearson)


def test_nothing_happened():
    zero, some = np.zeros(3), np.array([1.0, 2.0, 3.0])
    assert agreement(some, zero).relative_error == np.inf
    assert agreement(some, zero).slope == 0.0
    assert np.isnan(agreement(zero, some).slope)
    assert agreement(zero, some).relative_error == 1.0


def test_single_precision_is_pooled_in_double():
    predicted = np.array([1.0, 2.0, 3.0], dtype=np.float32) / 3
    found = agreement(predicted, predicted.astype(float))
    assert (found.slope, found.relative_error) == (1.0, 0.0)
