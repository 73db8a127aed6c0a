"""Objectives: how the raw prediction depends on the parameters and the features."""

from skinfluence.objectives.autograd import AutogradObjective
from skinfluence.objectives.base import Objective, OutputObjective
from skinfluence.objectives.features import KernelFeatures
from skinfluence.objectives.linear import LinearObjective
from skinfluence.objectives.network import NetworkObjective
from skinfluence.objectives.weighting import Averaged, Balanced, Fixed, Weighting

__all__ = [
    "AutogradObjective",
    "Averaged",
    "Balanced",
    "Fixed",
    "KernelFeatures",
    "LinearObjective",
    "NetworkObjective",
    "Objective",
    "OutputObjective",
    "Weighting",
]
