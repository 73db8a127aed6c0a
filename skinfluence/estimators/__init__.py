"""The wrappers a user meets, and curves over their parameters. Wiring, no formula."""

from skinfluence.estimators.leave_one_out_curve import leave_one_out_curve
from skinfluence.estimators.wrapper import InfluenceClassifier, InfluenceRegressor

__all__ = ["InfluenceClassifier", "InfluenceRegressor", "leave_one_out_curve"]
