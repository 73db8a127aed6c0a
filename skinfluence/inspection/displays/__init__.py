"""Pictures, after scikit-learn's Display classes."""

from skinfluence.inspection.displays.bars import InfluenceDisplay
from skinfluence.inspection.displays.base import Display
from skinfluence.inspection.displays.check import LeaveOneOutDisplay
from skinfluence.inspection.displays.coefficients import CoefficientsDisplay
from skinfluence.inspection.displays.deletion import DeletionDisplay
from skinfluence.inspection.displays.diagnostics import DiagnosticsDisplay
from skinfluence.inspection.displays.features import FeaturesDisplay
from skinfluence.inspection.displays.images import ImagesDisplay
from skinfluence.inspection.displays.label_quality import LabelQualityDisplay
from skinfluence.inspection.displays.leave_one_out_curve import LeaveOneOutCurveDisplay
from skinfluence.inspection.displays.recovery import RecoveryDisplay
from skinfluence.inspection.displays.removal_curve import RemovalCurveDisplay
from skinfluence.inspection.displays.rows import RowsDisplay
from skinfluence.inspection.displays.validation_audit import ValidationAuditDisplay

__all__ = [
    "CoefficientsDisplay",
    "DeletionDisplay",
    "DiagnosticsDisplay",
    "Display",
    "FeaturesDisplay",
    "ImagesDisplay",
    "InfluenceDisplay",
    "LabelQualityDisplay",
    "LeaveOneOutCurveDisplay",
    "LeaveOneOutDisplay",
    "RecoveryDisplay",
    "RemovalCurveDisplay",
    "RowsDisplay",
    "ValidationAuditDisplay",
]
