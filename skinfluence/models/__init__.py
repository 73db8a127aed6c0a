"""Estimators of our own, in scikit-learn's form: to be wrapped, or used alone."""

from skinfluence.models.recorded_training import RecordedTraining
from skinfluence.models.smooth_svc import SmoothLinearSVC

__all__ = ["RecordedTraining", "SmoothLinearSVC"]


def __dir__() -> list[str]:
    return sorted(__all__)
