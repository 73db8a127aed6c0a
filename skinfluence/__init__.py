"""Training rows behind the predictions of fitted scikit-learn models.

Which rows made a model predict that, and what would it do without them?

`InfluenceClassifier` and `InfluenceRegressor` wrap an estimator or a Pipeline, score its training
rows on test rows, and check the scores against real retraining.
"""

from importlib.metadata import version

from skinfluence.adapters import register_adapter
from skinfluence.estimators import InfluenceClassifier, InfluenceRegressor
from skinfluence.objectives import AutogradObjective
from skinfluence.recording import RecordedTraining
from skinfluence.svm import SmoothLinearSVC

__version__ = version("skinfluence")

__all__ = [
    "AutogradObjective",
    "InfluenceClassifier",
    "InfluenceRegressor",
    "RecordedTraining",
    "SmoothLinearSVC",
    "__version__",
    "register_adapter",
]
