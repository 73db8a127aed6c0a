"""Results to look at: tables and pictures from arrays and labels."""

from skinfluence.inspection.agreement import Agreement, agreement
from skinfluence.inspection.certificate import Certificate
from skinfluence.inspection.check import LeaveOneOutCheck
from skinfluence.inspection.diagnostics import Diagnostics
from skinfluence.inspection.displays import InfluenceDisplay, LeaveOneOutDisplay
from skinfluence.inspection.influence import Influence
from skinfluence.inspection.leave_one_out import LeaveOneOut

__all__ = [
    "Agreement",
    "Certificate",
    "Diagnostics",
    "Influence",
    "InfluenceDisplay",
    "LeaveOneOut",
    "LeaveOneOutCheck",
    "LeaveOneOutDisplay",
    "agreement",
]


def __dir__() -> list[str]:
    return sorted(__all__)
