"""Training rows behind the predictions of fitted scikit-learn models.

Which rows made a model predict that, and what would it do without them?

`InfluenceClassifier` and `InfluenceRegressor` wrap an estimator or a Pipeline, score its training
rows on test rows, and check the scores against real retraining.
"""

from skinfluence import curvature, inspection, losses, mechanisms, models, objectives, solvers
from skinfluence.adapters import register_adapter
from skinfluence.estimators import (
    InfluenceClassifier,
    InfluenceRegressor,
    LabelAudit,
    leave_one_out_curve,
    removal_curve,
    validation_audit,
)
from skinfluence.models import RecordedTraining, SmoothLinearSVC
from skinfluence.objectives import AutogradObjective

# The one home of the version: setup.cfg reads it here.
__version__ = "0.1.0.dev0"

__all__ = [
    "AutogradObjective",
    "InfluenceClassifier",
    "InfluenceRegressor",
    "LabelAudit",
    "RecordedTraining",
    "SmoothLinearSVC",
    "__version__",
    "curvature",
    "inspection",
    "leave_one_out_curve",
    "losses",
    "mechanisms",
    "models",
    "objectives",
    "register_adapter",
    "removal_curve",
    "solvers",
    "validation_audit",
]


def __dir__() -> list[str]:
    return sorted(__all__)
