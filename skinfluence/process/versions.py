"""Versions of what made an answer."""

from __future__ import annotations

import sys

import numpy
import sklearn


def versions() -> dict[str, str]:
    """Return the versions of skinfluence, scikit-learn and numpy."""
    return {
        "skinfluence": sys.modules["skinfluence"].__version__,  # also where it is not installed
        "scikit-learn": sklearn.__version__,
        "numpy": numpy.__version__,
    }
