"""Balanced class weights against their definition."""

import numpy as np
import pytest

from skinfluence.objectives import Balanced, Fixed

CODES = np.array([0, 0, 0, 1, 1, 2])
COUNTS = np.array([1.0, 2.0, 0.5, 1.5, 1.0, 3.0])


def class_weights(codes, counts):
    totals = np.array([counts[codes == c].sum() for c in range(3)])
    with np.errstate(divide="ignore"):
        return counts.sum() / (3 * totals)


@pytest.mark.parametrize("row", range(5))
def test_ratios_are_those_of_recounted_weights(row):
    balanced = Balanced(CODES, COUNTS)
    before = class_weights(CODES, COUNTS)
    after = class_weights(np.delete(CODES, row), np.delete(COUNTS, row))
    own, z = balanced.removal_shares()
    np.testing.assert_allclose(1.0 - z[row], after / before, rtol=1e-12)
    np.testing.assert_allclose(own[row], (after / before)[CODES[row]], rtol=1e-12)
    w = COUNTS * before[CODES]
    columns = balanced.weights_without_rows(np.array([row]), w)[:, 0]
    np.testing.assert_allclose(np.delete(columns, row), np.delete(COUNTS * after[CODES], row))


@pytest.mark.parametrize("row", range(5))
def test_derivative_shares_are_the_derivative_of_the_ratios(row):
    z = Balanced(CODES, COUNTS).derivative_shares()[row]
    before = class_weights(CODES, COUNTS)
    e = 1e-6
    less = COUNTS.copy()
    less[row] *= 1.0 - e
    np.testing.assert_allclose(z, -(class_weights(CODES, less) / before - 1.0) / e, rtol=1e-5)


def test_the_only_row_of_its_class_leaves_finite_weights():
    own, z = Balanced(CODES, COUNTS).removal_shares()
    assert own[5] == 1.0
    assert np.all(np.isfinite(z))


def test_a_stratum_of_equal_rows_has_exact_weights():
    balanced = Balanced(CODES, np.ones(6))
    w = class_weights(CODES, np.ones(6))[CODES]
    without = balanced.weights_without_rows(np.array([1]), w)[:, 0]
    np.testing.assert_allclose(balanced.weights_without(0, w), without, rtol=1e-12)


def test_fixed_weights_push_nothing():
    fixed = Fixed(4)
    assert fixed.rows(slice(1, 3)).n_samples == 2
    assert fixed.removal_shares()[1].shape == (4, 0)
