"""Statistics of cross-fitted effects, against their definitions in plain loops."""

import numpy as np
import pytest
from scipy import stats

from skinfluence.inspection.cross_fitting import (
    advised,
    cross_fitted_error,
    discoveries,
    errors_asked,
    p_values_of_harm,
)


@pytest.mark.parametrize("n_folds", [2, 4, 10])
def test_error_of_a_cross_fitted_mean(n_folds):
    effects = np.random.default_rng(0).standard_normal((3, 40))
    expected = []
    for line in effects:
        fold_mean_variance = np.sum((line - line.mean()) ** 2) / 39 / (40 / n_folds)
        correction = (40 / n_folds) / (40 - 40 / n_folds)
        expected.append(((1 / n_folds + correction) * fold_mean_variance) ** 0.5)
    np.testing.assert_allclose(cross_fitted_error(effects, n_folds), expected)


def test_p_values_are_those_of_a_t_test_on_one_side():
    scores = np.random.default_rng(0).standard_normal((30, 5)) + np.linspace(-1, 1, 5)
    errors = scores.std(axis=0, ddof=1) / 30**0.5
    p = p_values_of_harm(scores.mean(axis=0), errors, 30)
    expected = stats.ttest_1samp(scores, 0.0, alternative="less").pvalue
    np.testing.assert_allclose(p, expected)
    assert p[0] < 1e-4 < 0.99 < p[-1]


def test_rows_without_an_effect_are_not_harmful():
    assert p_values_of_harm(np.array([0.0, -1.0]), np.zeros(2), 30).tolist() == [1.0, 0.0]


def test_discoveries_are_those_of_the_step_up_procedure():
    rng = np.random.default_rng(1)
    for n_small in (0, 3, 20):
        p = rng.uniform(size=50)
        p[:n_small] **= 6
        order, last = np.argsort(p), 0
        for rank in range(1, 51):
            if p[order[rank - 1]] <= 0.1 * rank / 50:
                last = rank
        assert discoveries(p).tolist() == order[:last].tolist()


def test_advice_has_to_pass_for_all_that_were_tried():
    assert errors_asked(1) == pytest.approx(1.6449, abs=1e-4)
    assert errors_asked(6) == pytest.approx(2.3940, abs=1e-4)
    errors = np.full(2, 1.0)
    assert advised(np.array([-1.9, 3.0]), errors) is None  # 1.96 for two
    assert advised(np.array([-2.0, 3.0]), errors) == 0
    assert advised(np.array([-2.0, -4.0]), errors) == 1
    assert advised(np.array([-2.0, -4.0]), np.array([1.0, 5.0])) == 0
    assert advised(np.array([2.0]), np.array([0.1])) is None


def test_advice_is_seldom_given_where_nothing_helps():
    """In 5 % of the cases at most, however many numbers are tried."""
    rng = np.random.default_rng(0)
    given = [advised(rng.standard_normal(6), np.ones(6)) is not None for _ in range(4000)]
    assert 0.04 < np.mean(given) < 0.06
