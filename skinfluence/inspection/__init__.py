"""Results to look at: tables and pictures from arrays and labels."""

from skinfluence.inspection.agreement import Agreement, agreement
from skinfluence.inspection.certificate import Certificate
from skinfluence.inspection.check import LeaveOneOutCheck
from skinfluence.inspection.diagnostics import Diagnostics
from skinfluence.inspection.displays import (
    DeletionDisplay,
    DiagnosticsDisplay,
    Display,
    InfluenceDisplay,
    LabelQualityDisplay,
    LeaveOneOutCurveDisplay,
    LeaveOneOutDisplay,
    RecoveryDisplay,
    RowsDisplay,
    ValidationAuditDisplay,
)
from skinfluence.inspection.given_rows import GivenRows
from skinfluence.inspection.influence import (
    AdditionInfluence,
    GroupInfluence,
    Influence,
    RelabelInfluence,
    SelfInfluence,
)
from skinfluence.inspection.input_influence import InputInfluence
from skinfluence.inspection.label_noise import ExpectedErrors
from skinfluence.inspection.label_quality import LabelQuality
from skinfluence.inspection.leave_one_out import LeaveOneOut, LeaveOneOutComparison
from skinfluence.inspection.leave_one_out_curve import LeaveOneOutCurve
from skinfluence.inspection.parameter_influence import ParameterInfluence
from skinfluence.inspection.report.contents import Contents
from skinfluence.inspection.report.findings import Finding
from skinfluence.inspection.report.report import Report
from skinfluence.inspection.report.tested_rows import TestedRows
from skinfluence.inspection.result import Origin, Result
from skinfluence.inspection.validation_audit import ValidationAudit

__all__ = [
    "AdditionInfluence",
    "Agreement",
    "Certificate",
    "Contents",
    "DeletionDisplay",
    "Diagnostics",
    "DiagnosticsDisplay",
    "Display",
    "ExpectedErrors",
    "Finding",
    "GivenRows",
    "GroupInfluence",
    "Influence",
    "InfluenceDisplay",
    "InputInfluence",
    "LabelQuality",
    "LabelQualityDisplay",
    "LeaveOneOut",
    "LeaveOneOutCheck",
    "LeaveOneOutComparison",
    "LeaveOneOutCurve",
    "LeaveOneOutCurveDisplay",
    "LeaveOneOutDisplay",
    "Origin",
    "ParameterInfluence",
    "RecoveryDisplay",
    "RelabelInfluence",
    "Report",
    "Result",
    "RowsDisplay",
    "SelfInfluence",
    "TestedRows",
    "ValidationAudit",
    "ValidationAuditDisplay",
    "agreement",
]


def __dir__() -> list[str]:
    return sorted(__all__)
