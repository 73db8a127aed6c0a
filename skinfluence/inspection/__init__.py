"""Results to look at: tables and pictures from arrays and labels."""

from skinfluence.inspection.agreement import Agreement, agreement
from skinfluence.inspection.displays import InfluenceDisplay, LeaveOneOutDisplay
from skinfluence.inspection.influence import Influence
from skinfluence.inspection.leave_one_out import LeaveOneOutCheck

__all__ = [
    "Agreement",
    "Influence",
    "InfluenceDisplay",
    "LeaveOneOutCheck",
    "LeaveOneOutDisplay",
    "agreement",
]
