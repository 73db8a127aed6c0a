"""The wrappers a user meets. Wiring, no formula."""

from skinfluence.estimators.wrapper import InfluenceClassifier, InfluenceRegressor

__all__ = ["InfluenceClassifier", "InfluenceRegressor"]
