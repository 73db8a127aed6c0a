"""Weights that move, balanced and averaged, against their definitions."""

import numpy as np
import pytest

from skinfluence.losses import HalfSquaredError
from skinfluence.objectives import Averaged, Balanced, Fixed, LinearObjective
from tests.cases import REAL

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
    np.testing.assert_array_equal(part.stratum_totals, Balanced(CODES, COUNTS).stratum_totals)
    assert part.counted().shape == (2, 3)


def test_fixed_weights_push_nothing():
    fixed = Fixed(4)
    assert fixed.rows(slice(1, 3)).n_samples == 2
    assert fixed.ratios(fixed.counted()).shape == (4, 0)
    np.testing.assert_array_equal(fixed.own(fixed.counted()), np.ones(4))


# ------------------------------------------------------------ the mean of the losses is penalised

STRATA = {"one stratum": np.zeros(7, dtype=int), "three strata": CODES}
EDITS = {
    **{f"row {row}": {"remove": [row]} for row in range(7)},
    "a group": {"remove": [0, 1, 4]},
    "a new row": {"codes": [1], "counts": [2.5]},
    "one for another": {"remove": [3], "codes": [0], "counts": [1.5]},
}


def strata(name):
    return Averaged.of_all(COUNTS) if name == "one stratum" else Averaged(CODES, COUNTS)


def totals(codes, counts):
    return np.array([counts[codes == c].sum() for c in np.unique(codes)])


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("name", STRATA)
def test_averaged_weights_are_divided_by_what_is_left_of_their_stratum(name, edit):
    remove, new = EDITS[edit].get("remove", []), EDITS[edit].get("codes", [])
    counts = np.array(EDITS[edit].get("counts", []))
    averaged, codes = strata(name), STRATA[name]
    # New rows come with their class, which is no stratum where there is one stratum.
    joined = averaged.joined(np.array(new, dtype=int), counts)
    leaving = averaged.counted()[remove].sum(axis=0) - joined.counted().sum(axis=0)
    ratios = averaged.ratios(leaving[None])

    kept = np.delete(np.arange(7), remove)
    own = np.zeros(len(new), dtype=int) if name == "one stratum" else np.array(new, dtype=int)
    before = totals(codes, COUNTS)
    after = totals(np.r_[codes[kept], own], np.r_[COUNTS[kept], counts])
    np.testing.assert_allclose(ratios[0], before / after, rtol=1e-12)

    w = np.arange(1.0, 8.0)
    expected = w * (before / after)[codes]
    np.testing.assert_allclose(averaged.all_weights(ratios, w)[:, 0], expected, rtol=1e-12)
    np.testing.assert_allclose(averaged.own(np.repeat(ratios, 7, 0)), expected / w, rtol=1e-12)


def test_one_stratum_scales_and_several_weigh():
    """The common factor of one stratum is kept apart, so that no (n, m) array is formed."""
    w = np.arange(1.0, 8.0)
    one, several = strata("one stratum"), strata("three strata")
    ratios = one.ratios(one.counted())
    np.testing.assert_allclose(one.scales(ratios), COUNTS.sum() / (COUNTS.sum() - COUNTS))
    np.testing.assert_array_equal(one.weights(ratios, w), w[:, None])
    ratios = several.ratios(several.counted()[:5])
    np.testing.assert_array_equal(several.scales(ratios), np.ones(5))
    assert several.weights(ratios, w).shape == (7, 5)
    np.testing.assert_allclose(several.all_weights(ratios, w)[3:, :3], np.tile(w[3:, None], 3))


@pytest.mark.parametrize("row", range(7))
@pytest.mark.parametrize("name", STRATA)
def test_averaged_shares_are_the_derivative_of_the_ratios(name, row):
    averaged, codes = strata(name), STRATA[name]
    z = averaged.derivative_shares(averaged.counted()[row : row + 1])[0]
    e = 1e-6
    less = COUNTS.copy()
    less[row] *= 1.0 - e
    moved = (totals(codes, COUNTS) / totals(codes, less) - 1.0) / e
    np.testing.assert_allclose(z, -moved, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", STRATA)
def test_the_last_row_of_a_stratum_leaves_finite_weights(name):
    averaged = strata(name)
    ratios = averaged.ratios(averaged.stratum_totals[None])
    np.testing.assert_array_equal(ratios, np.ones_like(ratios))


@pytest.mark.parametrize("name", STRATA)
def test_some_rows_and_new_ones_keep_the_totals_of_all(name):
    averaged = strata(name)
    for other in (averaged.rows(slice(2, 4)), averaged.joined(np.array([2, 0]), np.ones(2))):
        np.testing.assert_array_equal(other.stratum_totals, averaged.stratum_totals)
        assert other.counted().shape == (2, len(averaged.stratum_totals))
        ratios = averaged.ratios(averaged.counted()[:1])
        np.testing.assert_array_equal(other.ratios(averaged.counted()[:1]), ratios)


def mean_form(alpha):
    """Return least squares whose mean loss is penalised, at the minimum, and how to minimise."""
    X1 = np.column_stack([REAL.X, np.ones(60)])

    def minimum(kept):
        s = REAL.s[kept] / REAL.s[kept].sum()
        A, b = X1[kept].T @ (s[:, None] * X1[kept]), X1[kept].T @ (s * REAL.y[kept])
        return np.linalg.solve(A + alpha * np.diag([1.0, 1.0, 1.0, 1.0, 0.0]), b)

    theta = minimum(np.arange(60))
    objective = LinearObjective.from_coefficients(
        REAL.X,
        REAL.y,
        HalfSquaredError(),
        theta[:-1],
        theta[-1],
        l2=alpha * REAL.s.sum(),
        sample_weight=REAL.s,
        weighting=Averaged.of_all(REAL.s),
    )
    return objective, minimum


@pytest.mark.parametrize("removed", [[4], [0, 17, 33]])
def test_averaged_weights_and_the_old_penalty_have_the_minimum_of_the_mean_form(removed):
    objective, minimum = mean_form(alpha=0.4)
    typical = np.abs(objective.weighted_grad_sum(REAL.s[:, None] * np.eye(60))).max()
    assert np.abs(objective.gradient()).max() < 1e-11 * typical

    kept = np.delete(np.arange(60), removed)
    weighting = objective.weighting
    ratios = weighting.ratios(weighting.counted()[removed].sum(axis=0)[None])
    w = weighting.all_weights(ratios, REAL.s)[:, 0]
    after = objective.with_weights(w).rows(kept).at(minimum(kept))
    assert np.abs(after.gradient()).max() < 1e-11 * typical
    unmoved = objective.rows(kept).at(minimum(kept))
    assert np.abs(unmoved.gradient()).max() > 1e-3 * typical


def test_shared_columns_and_shares_are_the_derivative_of_the_mean_form():
    """d theta / d s_i of the minimum, by H^-1 (own gradient + E z), against differences."""
    objective, _ = mean_form(alpha=0.4)
    E = objective.weighted_grad_sum(objective.weighting.shared_columns(REAL.s))
    np.testing.assert_allclose(E[:, 0], -objective.l2 * objective.theta, rtol=1e-8, atol=1e-9)
    weighting = objective.weighting
    own = objective.weighted_grad_sum(REAL.s[:, None] * np.eye(60))
    z = weighting.derivative_shares(weighting.counted())
    change = np.linalg.solve(objective.hvp(np.eye(5)), own + E @ z.T)

    def at(s):
        X1 = np.column_stack([REAL.X, np.ones(60)])
        p = s / s.sum()
        penalty = 0.4 * np.diag([1.0, 1.0, 1.0, 1.0, 0.0])
        return np.linalg.solve(X1.T @ (p[:, None] * X1) + penalty, X1.T @ (p * REAL.y))

    e = 1e-5
    for i in (0, 17, 41):
        step = e * REAL.s[i] * np.eye(60)[i]
        actual = -(at(REAL.s + step) - at(REAL.s - step)) / (2 * e)
        np.testing.assert_allclose(change[:, i], actual, rtol=1e-6, atol=1e-10)
