"""Objectives: how the raw prediction depends on the parameters and the features."""

import skinfluence.objectives.stacked_networks  # noqa: F401  (registers itself with `stacked`)
from skinfluence.objectives.autograd import AutogradObjective
from skinfluence.objectives.base import Objective, OutputObjective
from skinfluence.objectives.features import KernelFeatures, LinearFeatures
from skinfluence.objectives.linear import LinearObjective
from skinfluence.objectives.network import NetworkObjective
from skinfluence.objectives.weighting import Averaged, Balanced, Fixed, Weighting

__all__ = [
    "AutogradObjective",
    "Averaged",
    "Balanced",
    "Fixed",
    "KernelFeatures",
    "LinearFeatures",
    "LinearObjective",
    "NetworkObjective",
    "Objective",
    "OutputObjective",
    "Weighting",
]


def __dir__() -> list[str]:
    return sorted(__all__)
