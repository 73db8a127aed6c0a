"""A linear support vector machine with two derivatives, as a scikit-learn estimator."""

from skinfluence.svm.estimator import SmoothLinearSVC

__all__ = ["SmoothLinearSVC"]
