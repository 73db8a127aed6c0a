"""How many labels are wrong: flipped by construction, of probabilities that are right."""

import numpy as np
import pytest
from scipy import optimize

from skinfluence.inspection.label_noise import (
    confident_suspects,
    expected_errors,
    is_flagged,
)


def calibrated(rng, n, n_classes, spread):
    """Return probabilities, and labels drawn from them."""
    raw = spread * rng.standard_normal((n, n_classes))
    p = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    labels = (rng.random(n)[:, None] > np.cumsum(p, axis=1)).sum(axis=1)
    return p, np.minimum(labels, n_classes - 1)


def flipped(rng, labels, n_classes, rates):
    """Return labels of which class k is another one at rates[k], and which are."""
    wrong = rng.random(len(labels)) < np.asarray(rates)[labels]
    steps = rng.integers(1, n_classes, len(labels))
    return np.where(wrong, (labels + steps) % n_classes, labels), wrong


def powered(p, power):
    return p**power / np.sum(p**power, axis=1, keepdims=True)


# ------------------------------------------------------------------------------- flags and suspects


def suspects_in_loops(probabilities, given):
    n, n_classes = probabilities.shape
    found = np.zeros(n, dtype=bool)
    for i in range(n):
        if np.isnan(probabilities[i]).any():
            continue
        best, best_class = -1.0, None
        for k in range(n_classes):
            own = [
                probabilities[j, k]
                for j in range(n)
                if given[j] == k and not np.isnan(probabilities[j]).any()
            ]
            if own and probabilities[i, k] >= sum(own) / len(own) and probabilities[i, k] > best:
                best, best_class = probabilities[i, k], k
        found[i] = best_class is not None and best_class != given[i]
    return found


@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_suspects_are_off_the_diagonal_of_the_confident_joint(n_classes):
    rng = np.random.default_rng(n_classes)
    p, labels = calibrated(rng, 120, n_classes, 2.0)
    given, _ = flipped(rng, labels, n_classes, [0.2] * n_classes)
    p[::17] = np.nan
    suspects = confident_suspects(p, given)
    np.testing.assert_array_equal(suspects, suspects_in_loops(p, given))
    assert 10 < suspects.sum() < 60
    assert not suspects[::17].any()


def test_classes_of_one_row_and_of_none():
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    given = np.array([0, 1, 0, 1])  # class 2 has no row: nothing belongs to it
    np.testing.assert_array_equal(confident_suspects(p, given), suspects_in_loops(p, given))
    given = np.array([0, 1, 0, 2])
    assert confident_suspects(p, given).tolist() == [False, False, True, False]


def test_equal_probabilities_are_no_suspects():
    p = np.full((7, 2), [0.1, 0.9])  # of which the mean is above .9 by rounding
    assert not confident_suspects(p, np.ones(7, dtype=int)).any()


def test_flags_are_low_and_not_the_likeliest():
    p = np.array([[0.29, 0.71], [0.31, 0.69], [0.8, 0.2], [np.nan, np.nan]])
    assert is_flagged(p, np.array([0, 0, 0, 0])).tolist() == [True, False, False, False]
    assert is_flagged(p, np.array([1, 1, 1, 1]), below=0.2).tolist() == [False] * 4
    many = np.array([[0.25, 0.25, 0.26, 0.24]])
    assert [is_flagged(many, np.array([k]))[0] for k in range(4)] == [True, True, False, True]


@pytest.mark.parametrize("power", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_by_chance_is_what_right_labels_flag(n_classes, power):
    rng = np.random.default_rng(0)
    p, labels = calibrated(rng, 3000, n_classes, 1.5)
    said = p**power / np.sum(p**power, axis=1, keepdims=True)  # too blunt, or too sharp
    errors = expected_errors(None, said, labels)
    assert errors.flagged == is_flagged(said, labels).sum()
    counts = []
    for _ in range(100):
        drawn = (rng.random(3000)[:, None] > np.cumsum(p, axis=1)).sum(axis=1)
        counts.append(is_flagged(said, np.minimum(drawn, n_classes - 1)).sum())
    np.testing.assert_allclose(errors.by_chance, np.mean(counts), rtol=0.2)
    if power != 1.0:  # the probabilities as they are said would be far off
        would_be = sum(said[is_flagged(said, np.full(3000, k)), k].sum() for k in range(n_classes))
        assert abs(would_be - np.mean(counts)) > 0.25 * np.mean(counts)


# ------------------------------------------------------------------------------------- the estimate

CASES = {
    "binary, 10 %": (2, 4.0, [0.1, 0.1], 0.16),
    "binary, by class": (2, 4.0, [0.03, 0.17], 0.16),
    "binary, 3 %": (2, 4.0, [0.03, 0.03], 0.35),
    "four classes, 10 %": (4, 4.0, [0.1] * 4, 0.16),
    "four classes, by class": (4, 4.0, [0.0, 0.05, 0.1, 0.25], 0.16),
}


@pytest.mark.parametrize("power", [1.0, 2.5], ids=["calibrated", "too sharp"])
@pytest.mark.parametrize("case", CASES)
def test_wrong_labels_are_counted(case, power):
    n_classes, spread, rates, tolerance = CASES[case]
    found, truth, covered = [], [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        p, labels = calibrated(rng, 800, n_classes, spread)
        given, wrong = flipped(rng, labels, n_classes, rates)
        errors = expected_errors(None, powered(p, power), given)
        found.append(errors.estimate)
        truth.append(wrong.sum())
        covered.append(errors.low <= wrong.sum() <= errors.high)
        assert 0 <= errors.low <= errors.estimate <= errors.high <= 800
    off = np.abs(np.array(found) - truth) / truth
    assert np.mean(off) < tolerance
    assert abs(np.sum(found) / np.sum(truth) - 1) < tolerance / 2
    assert np.sum(covered) >= 8


@pytest.mark.parametrize("n_classes", [2, 4])
def test_right_labels_are_not_counted(n_classes):
    for seed in range(5):
        p, labels = calibrated(np.random.default_rng(seed), 800, n_classes, 4.0)
        errors = expected_errors(None, p, labels)
        assert errors.estimate < 8
        assert errors.low < 1 < errors.high < 40


def test_probabilities_may_be_too_sharp():
    rng = np.random.default_rng(0)
    p, labels = calibrated(rng, 600, 3, 3.0)
    given, _ = flipped(rng, labels, 3, [0.1] * 3)
    counts = [expected_errors(None, powered(p, b), given).estimate for b in (0.5, 1.0, 2.0)]
    np.testing.assert_allclose(counts, counts[1], rtol=0.003)


def test_estimate_is_that_of_maximum_likelihood():
    """Two classes in equal numbers, mirrored: the rates are one, and one row does not move it."""
    rng = np.random.default_rng(2)
    p, labels = calibrated(rng, 400, 2, 4.0)
    given, _ = flipped(rng, labels, 2, [0.1, 0.1])
    p, given = np.vstack([p, p[:, ::-1]]), np.r_[given, 1 - given]
    margins = np.log(p[np.arange(800), given] / p[np.arange(800), 1 - given])

    def likelihoods(theta):
        own = 1 / (1 + np.exp(-np.exp(theta[0]) * margins))
        rate = 1 / (1 + np.exp(-theta[1]))
        return own * (1 - rate), (1 - own) * rate

    def lost(theta):
        return -np.sum(np.log(np.add(*likelihoods(theta))))

    best = optimize.minimize(lost, [0.0, -2.0], method="Nelder-Mead", options={"xatol": 1e-6})
    right, wrong = likelihoods(best.x)
    errors = expected_errors(None, p, given)
    np.testing.assert_allclose(errors.estimate, np.sum(wrong / (right + wrong)), rtol=0.003)


def test_certain_probabilities_do_not_tell_flips_from_too_sharp_ones():
    """15 of 200 rows are contradicted: that many labels are wrong, or one in 13 rows is unsure."""
    p = np.repeat(np.eye(2), 100, axis=0)
    given = np.repeat([0, 1, 1, 0], [95, 5, 90, 10])
    errors = expected_errors(p, p, given)
    np.testing.assert_allclose([errors.estimate, errors.high], 15, atol=0.01)
    assert errors.low < 0.01
    assert errors.flagged == 15
    assert errors.by_chance < 1e-9


def test_the_first_pass_widens_the_interval():
    rng = np.random.default_rng(0)
    p, labels = calibrated(rng, 600, 2, 4.0)
    given, _ = flipped(rng, labels, 2, [0.1, 0.1])
    assert expected_errors(p, p, given) == expected_errors(None, p, given)  # there was none
    alike = expected_errors(p.copy(), p, given)
    blunt = 0.1 + 0.8 * p  # the flips are in the probabilities: nothing is left for labels
    other = expected_errors(blunt, p, given)
    assert expected_errors(None, blunt, given).estimate < 0.2 * alike.estimate
    assert other.estimate == alike.estimate
    assert other.high - other.low > 1.5 * (alike.high - alike.low)


# ----------------------------------------------------------------------------------- sizes and gaps


def test_rows_without_probabilities_count_at_the_rate_of_the_others():
    rng = np.random.default_rng(0)
    p, labels = calibrated(rng, 800, 2, 4.0)
    given, _ = flipped(rng, labels, 2, [0.1, 0.1])
    unknown = np.arange(800) % 4 == 0
    kept = expected_errors(None, p[~unknown], given[~unknown])
    p[unknown] = np.nan
    errors = expected_errors(None, p, given)
    np.testing.assert_allclose(errors.estimate, kept.estimate * 4 / 3)
    np.testing.assert_allclose([errors.low, errors.high], np.array([kept.low, kept.high]) * 4 / 3)
    assert errors.flagged == kept.flagged
    np.testing.assert_allclose(errors.by_chance, kept.by_chance)
    assert errors.n_rows == 800


def test_nothing_is_said_where_there_are_no_probabilities():
    errors = expected_errors(None, np.full((5, 2), np.nan), np.zeros(5, dtype=int))
    assert np.isnan([errors.estimate, errors.low, errors.high]).all()
    assert errors.flagged == errors.by_chance == 0
    assert str(errors) == "of 5 rows none has probabilities: wrong labels are not counted"
    some = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    assert np.isfinite(expected_errors(np.full((3, 2), np.nan), some, np.array([0, 1, 0])).high)


def test_one_class_has_no_wrong_labels():
    errors = expected_errors(None, np.ones((6, 1)), np.zeros(6, dtype=int))
    assert (errors.estimate, errors.low, errors.high, errors.flagged) == (0, 0, 0, 0)


@pytest.mark.parametrize("exact", [False, True])
def test_a_class_of_one_row_and_one_of_none(exact):
    rng = np.random.default_rng(0)
    p, labels = calibrated(rng, 60, 4, 4.0)
    p[:, 3] = 0.0
    p /= p.sum(axis=1, keepdims=True)
    given = np.where(labels == 3, 0, np.minimum(labels, 1))
    given[7] = 2
    if exact:
        p = np.eye(4)[p.argmax(axis=1)]
    errors = expected_errors(p, p, given)
    assert 0 <= errors.low <= errors.estimate <= errors.high <= 60


def test_many_classes_of_forty_rows():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(77), 40)
    centres = 0.7 * rng.standard_normal((77, 30))
    X = centres[labels] + rng.standard_normal((len(labels), 30))
    raw = X @ centres.T - 0.5 * np.sum(centres**2, axis=1)
    p = np.exp(raw - raw.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    given, wrong = flipped(rng, labels, 77, [0.05] * 77)
    errors = expected_errors(p, p, given)
    assert abs(errors.estimate / wrong.sum() - 1) < 0.15
    assert errors.low < wrong.sum() < errors.high


def test_two_positives_in_a_thousand():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(10_000)
    p = 1 / (1 + np.exp(9.2 - 2.0 * x))
    labels = (rng.random(10_000) < p).astype(int)
    assert 5 < labels.sum() < 40
    p = np.column_stack([1 - p, p])
    clean = expected_errors(p, p, labels)
    assert clean.low < 1
    assert clean.estimate < 10
    given, wrong = flipped(rng, labels, 2, [0.01, 0.0])
    errors = expected_errors(p, p, given)
    assert abs(errors.estimate / wrong.sum() - 1) < 0.15
    assert errors.low < wrong.sum() < errors.high


def test_the_sentence():
    rng = np.random.default_rng(0)
    p, labels = calibrated(rng, 569, 2, 6.0)
    given, _ = flipped(rng, labels, 2, [0.1, 0.1])
    errors = expected_errors(None, p, given)
    text = str(errors)
    start = f"about {errors.estimate:.0f} of 569 labels are wrong ({errors.low:.0f} to "
    assert text.startswith(f"{start}{errors.high:.0f}, 90% interval); ")
    assert text.endswith(
        f"{errors.flagged} rows are flagged, and {errors.by_chance:.0f} would be by chance if all "
        "were right"
    )
