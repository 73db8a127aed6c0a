"""Objectives: how the raw prediction depends on the parameters and the features."""

from skinfluence.objectives.base import Objective, OutputObjective
from skinfluence.objectives.features import KernelFeatures
from skinfluence.objectives.linear import LinearObjective
from skinfluence.objectives.weighting import Averaged, Balanced, Fixed, Weighting

__all__ = [
    "Averaged",
    "Balanced",
    "Fixed",
    "KernelFeatures",
    "LinearObjective",
    "Objective",
    "OutputObjective",
    "Weighting",
]
