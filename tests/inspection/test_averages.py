"""Numbers with their errors, as a person writes them."""

import numpy as np
import pytest

from skinfluence.inspection.averages import with_error


@pytest.mark.parametrize(
    ("value", "error", "written"),
    [
        (1664.2, 92.4, "1664 +- 92"),
        (0.1424, 0.0071, "0.1424 +- 0.0071"),
        (-0.4, 1.0, "-0.4 +- 1.0"),
        (0.0, 0.25, "0.00 +- 0.25"),
        (0.0, 0.0, "0 +- 0"),
        (0.25, 0.0, "0.25 +- 0"),
        (0.50000000000000022, 0.00000000000000067, "0.5 +- 0"),
        (19.62208814381, 0.00000000073, "19.6221 +- 7.3e-10"),
        (123456.7, 0.25, "123457 +- 0.25"),
        (1.5e8, 2.3e4, "1.50000e+08 +- 0.00023e+08"),
        (1.0e-9, 2.5e-10, "1.00e-09 +- 0.25e-09"),
        (2.42313e9, 4.4e7, "2.423e+09 +- 0.044e+09"),
        (3.0e8, 2.0e9, "0.3e+09 +- 2.0e+09"),
        (2.0, np.nan, "2"),
        (2.0, np.inf, "2"),
    ],
)
def test_numbers_have_six_digits_at_most(value, error, written):
    assert with_error(value, error) == written
