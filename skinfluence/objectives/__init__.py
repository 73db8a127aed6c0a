"""Objectives: how the raw prediction depends on the parameters and the features."""

from skinfluence.objectives.base import Objective, OutputObjective
from skinfluence.objectives.linear import LinearObjective
from skinfluence.objectives.weighting import Balanced, Fixed, Weighting

__all__ = ["Balanced", "Fixed", "LinearObjective", "Objective", "OutputObjective", "Weighting"]
