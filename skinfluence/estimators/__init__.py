"""The wrappers a user meets, curves over their parameters, and audits. Wiring, no formula."""

from skinfluence.estimators.label_audit import LabelAudit
from skinfluence.estimators.leave_one_out_curve import leave_one_out_curve
from skinfluence.estimators.removal_curve import removal_curve
from skinfluence.estimators.validation_audit import validation_audit
from skinfluence.estimators.wrapper import InfluenceClassifier, InfluenceRegressor

__all__ = [
    "InfluenceClassifier",
    "InfluenceRegressor",
    "LabelAudit",
    "leave_one_out_curve",
    "removal_curve",
    "validation_audit",
]
