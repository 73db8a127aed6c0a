"""Results to look at: tables and pictures from arrays and labels."""

from skinfluence.inspection.agreement import Agreement, agreement
from skinfluence.inspection.certificate import Certificate
from skinfluence.inspection.check import LeaveOneOutCheck
from skinfluence.inspection.diagnostics import Diagnostics
from skinfluence.inspection.displays import (
    DeletionDisplay,
    DiagnosticsDisplay,
    InfluenceDisplay,
    LeaveOneOutCurveDisplay,
    LeaveOneOutDisplay,
    RowsDisplay,
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
from skinfluence.inspection.leave_one_out import LeaveOneOut, LeaveOneOutComparison
from skinfluence.inspection.leave_one_out_curve import LeaveOneOutCurve
from skinfluence.inspection.parameter_influence import ParameterInfluence
from skinfluence.inspection.result import Origin, Result

__all__ = [
    "AdditionInfluence",
    "Agreement",
    "Certificate",
    "DeletionDisplay",
    "Diagnostics",
    "DiagnosticsDisplay",
    "GivenRows",
    "GroupInfluence",
    "Influence",
    "InfluenceDisplay",
    "InputInfluence",
    "LeaveOneOut",
    "LeaveOneOutCheck",
    "LeaveOneOutComparison",
    "LeaveOneOutCurve",
    "LeaveOneOutCurveDisplay",
    "LeaveOneOutDisplay",
    "Origin",
    "ParameterInfluence",
    "RelabelInfluence",
    "Result",
    "RowsDisplay",
    "SelfInfluence",
    "agreement",
]


def __dir__() -> list[str]:
    return sorted(__all__)
