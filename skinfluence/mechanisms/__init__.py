"""Mechanisms: what edits of the training rows do to a model, one for each family of models.

A mechanism says by which methods it answers and which is the default, finds the reference point
(the optimum, where a family has one), and returns what edits of rows and of groups do. Questions
find it by the type of the objective, so that a new family is new files: an objective, a mechanism
under `register_mechanism`, adapters.
"""

from skinfluence.mechanisms.contract import (
    Mechanism,
    Settings,
    known_methods,
    mechanism_of,
    register_mechanism,
    resolve_method,
)
from skinfluence.mechanisms.linear import LinearMechanism
from skinfluence.mechanisms.nonlinear import NonlinearMechanism
from skinfluence.mechanisms.trees import BoostingMechanism, ForestMechanism

__all__ = [
    "BoostingMechanism",
    "ForestMechanism",
    "LinearMechanism",
    "Mechanism",
    "NonlinearMechanism",
    "Settings",
    "known_methods",
    "mechanism_of",
    "register_mechanism",
    "resolve_method",
]


def __dir__() -> list[str]:
    return sorted(__all__)
