"""Pictures, after scikit-learn's Display classes."""

from skinfluence.inspection.displays.bars import InfluenceDisplay
from skinfluence.inspection.displays.base import Display
from skinfluence.inspection.displays.check import LeaveOneOutDisplay
from skinfluence.inspection.displays.deletion import DeletionDisplay
from skinfluence.inspection.displays.diagnostics import DiagnosticsDisplay
from skinfluence.inspection.displays.label_quality import LabelQualityDisplay
from skinfluence.inspection.displays.leave_one_out_curve import LeaveOneOutCurveDisplay
from skinfluence.inspection.displays.recovery import RecoveryDisplay
from skinfluence.inspection.displays.rows import RowsDisplay
from skinfluence.inspection.displays.validation_audit import ValidationAuditDisplay

__all__ = [
    "DeletionDisplay",
    "DiagnosticsDisplay",
    "Display",
    "InfluenceDisplay",
    "LabelQualityDisplay",
    "LeaveOneOutCurveDisplay",
    "LeaveOneOutDisplay",
    "RecoveryDisplay",
    "RowsDisplay",
    "ValidationAuditDisplay",
]
