"""Losses of one raw prediction: value, derivatives, exact change, response."""

from skinfluence.losses.base import Loss, encode_labels
from skinfluence.losses.binary import OneVsOne, OneVsRest
from skinfluence.losses.bregman import Bregman
from skinfluence.losses.classification import Brier, Exponential, Logistic, Multinomial
from skinfluence.losses.composed import Joint, TransformedTarget
from skinfluence.losses.concomitant import ConcomitantHuber
from skinfluence.losses.glm import Tweedie
from skinfluence.losses.margins import ModifiedHuber, SmoothHinge, SquaredHinge
from skinfluence.losses.residuals import (
    HalfSquaredError,
    Huber,
    SmoothEpsilonInsensitive,
    SquaredEpsilonInsensitive,
)

__all__ = [
    "Bregman",
    "Brier",
    "ConcomitantHuber",
    "Exponential",
    "HalfSquaredError",
    "Huber",
    "Joint",
    "Logistic",
    "Loss",
    "ModifiedHuber",
    "Multinomial",
    "OneVsOne",
    "OneVsRest",
    "SmoothEpsilonInsensitive",
    "SmoothHinge",
    "SquaredEpsilonInsensitive",
    "SquaredHinge",
    "TransformedTarget",
    "Tweedie",
    "encode_labels",
]


def __dir__() -> list[str]:
    return sorted(__all__)
