"""Balanced class weights against their definition."""

import numpy as np
import pytest

from skinfluence.objectives import Balanced, Fixed

CODES = np.array([0, 0, 0, 1, 1, 2, 2])
COUNTS = np.array([1.0, 2.0, 0.5, 1.5, 1.0, 3.0, 0.25])


def class_weights(codes, counts):
    totals = np.array([counts[codes == c].sum() for c in range(3)])
    return counts.sum() / (3 * totals)


def edited(remove=(), codes=(), counts=()):
    """Return class weights after rows leave and come, and what leaves each class."""
    kept = np.delete(np.arange(len(CODES)), list(remove))
    after = class_weights(np.r_[CODES[kept], codes].astype(int), np.r_[COUNTS[kept], counts])
    balanced = Balanced(CODES, COUNTS)
    leaving = balanced.counted()[list(remove)].sum(axis=0)
    joined = balanced.joined(np.array(codes, dtype=int), np.array(counts))
    return after, (leaving - joined.counted().sum(axis=0))[None]


@pytest.mark.parametrize(
    "edit",
    [
        *({"remove": [row]} for row in range(7)),
        {"remove": [0, 1, 4]},
        {"codes": [1], "counts": [2.5]},
        {"remove": [3], "codes": [0], "counts": [1.5]},
    ],
)
def test_ratios_are_those_of_recounted_weights(edit):
    balanced = Balanced(CODES, COUNTS)
    before = class_weights(CODES, COUNTS)
    after, leaving = edited(**edit)
    ratios = balanced.ratios(leaving)
    np.testing.assert_allclose(ratios[0], after / before, rtol=1e-12)
    w = COUNTS * before[CODES]
    np.testing.assert_allclose(balanced.weights(ratios, w)[:, 0], COUNTS * after[CODES])
    own = balanced.own(np.repeat(ratios, 7, axis=0))
    np.testing.assert_allclose(own, (after / before)[CODES])


@pytest.mark.parametrize("row", range(5))
def test_derivative_shares_are_the_derivative_of_the_ratios(row):
    balanced = Balanced(CODES, COUNTS)
    z = balanced.derivative_shares(balanced.counted()[row : row + 1])[0]
    before = class_weights(CODES, COUNTS)
    e = 1e-6
    less = COUNTS.copy()
    less[row] *= 1.0 - e
    np.testing.assert_allclose(z, -(class_weights(CODES, less) / before - 1.0) / e, rtol=1e-5)


def test_the_only_row_of_its_class_leaves_finite_weights():
    balanced = Balanced(CODES[:6], COUNTS[:6])
    ratios = balanced.ratios(balanced.counted())
    assert ratios[5, 2] == 1.0
    assert np.all(np.isfinite(ratios))


def test_some_rows_keep_the_totals_of_all():
    part = Balanced(CODES, COUNTS).rows(slice(0, 2))
    np.testing.assert_array_equal(part.class_totals, Balanced(CODES, COUNTS).class_totals)
    assert part.counted().shape == (2, 3)


def test_fixed_weights_push_nothing():
    fixed = Fixed(4)
    assert fixed.rows(slice(1, 3)).n_samples == 2
    assert fixed.ratios(fixed.counted()).shape == (4, 0)
    np.testing.assert_array_equal(fixed.own(fixed.counted()), np.ones(4))
