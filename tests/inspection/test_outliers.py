"""Deviations in units of noise: how large it is, and what quality they are of."""

import numpy as np
import pytest
from scipy import stats

from skinfluence.inspection.outliers import noise_scale, quality_of_deviations

RNG = np.random.default_rng(0)


def test_the_scale_is_that_of_normal_noise():
    noise = 3.0 * RNG.standard_normal((20_000, 1))
    np.testing.assert_allclose(noise_scale(noise), 3.0, rtol=0.02)
    spoiled = noise.copy()
    spoiled[:2000] = 1e9
    np.testing.assert_allclose(noise_scale(spoiled), 3.0, rtol=0.2)


def test_the_scale_in_plain_numbers():
    """Of each column the median size, over the quartile of the normal."""
    residuals = np.array([[1.0, 0.0], [2.0, 10.0], [4.0, 30.0], [8.0, 60.0], [100.0, 100.0]])
    expected = np.array([4.0, 30.0]) / stats.norm.ppf(0.75)
    np.testing.assert_allclose(noise_scale(residuals), expected, rtol=1e-12)
    np.testing.assert_allclose(noise_scale(residuals, least=7.0), [7.0, expected[1]], rtol=1e-12)
    unknown = np.vstack([residuals, [[np.nan, np.nan]]])
    np.testing.assert_allclose(noise_scale(unknown), expected, rtol=1e-12)


@pytest.mark.filterwarnings("error")
def test_where_most_are_alike():
    """The root mean square; 1 where there is nothing at all."""
    residuals = np.zeros((10, 3))
    residuals[:2, 0] = [3.0, -4.0]
    residuals[:, 2] = 2.0
    np.testing.assert_allclose(
        noise_scale(residuals), [np.sqrt(2.5), 1.0, 2.0 / stats.norm.ppf(0.75)]
    )


def test_quality_of_a_deviation():
    z = np.array([0.0, 2.0, -4.0, 2.0 * np.sqrt(0.7 / 0.3), np.inf])
    np.testing.assert_allclose(quality_of_deviations(z), [1.0, 0.5, 0.2, 0.3, 0.0], rtol=1e-12)
    assert np.isnan(quality_of_deviations(np.array([np.nan])))[0]
