"""Losses in words."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from numbers import Real
from typing import Any

from skinfluence.losses.base import Loss
from skinfluence.losses.binary import OneVsRest
from skinfluence.losses.classification import Brier, Logistic, Multinomial
from skinfluence.losses.composed import Joint, TransformedTarget
from skinfluence.losses.glm import NAMES, Tweedie

__all__ = ["in_words"]

OF_THE_SAME_LOSS = ("classes", "n_outputs", "temperature")
"""Parameters that may differ between two models whose losses have one unit."""


def in_words(loss: Loss) -> str:
    """Return what a loss is called, with the parameters that make it another loss.

    Two losses that read the same have one unit: mean losses can be compared. The temperature of a
    smoothed hinge is no part of it, nor is a transformation of the target, which has no name.

    Examples
    --------
    >>> from skinfluence.losses import HalfSquaredError, Huber
    >>> in_words(HalfSquaredError()), in_words(Huber(epsilon=1.35))
    ('half squared error', 'huber (epsilon 1.35)')
    """
    if isinstance(loss, TransformedTarget):
        return in_words(loss.loss)
    if isinstance(loss, Joint):  # summed over the targets, as every loss of several is
        parts = [in_words(part) for part in loss.parts]
        return parts[0] if len(set(parts)) == 1 else " and ".join(parts)
    if isinstance(loss, OneVsRest) and loss.multilabel:
        return in_words(loss.pair)
    if isinstance(loss, Multinomial) or (isinstance(loss, Logistic) and loss.n_outputs == 1):
        return "log loss"
    if isinstance(loss, Logistic):
        return "one vs rest (log loss)"
    if isinstance(loss, Brier):
        return "half Brier score"
    if isinstance(loss, Tweedie):
        if loss.power == 0:
            return "half squared error"
        return f"half {NAMES.get(loss.power, f'Tweedie ({loss.power:g})')} deviance"
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(loss).__name__).lower()
    own: list[str] = [each.name for each in fields(loss)] if is_dataclass(loss) else []
    said = [_said(each, getattr(loss, each)) for each in own if each not in OF_THE_SAME_LOSS]
    known = ", ".join(filter(None, said))
    return f"{name} ({known})" if known else name


def _said(name: str, value: Any) -> str:
    """Return what a parameter of a loss is called; nothing for a switch or a shape."""
    if isinstance(value, Loss):
        return in_words(value)
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    of_the_loss = isinstance(value, (str, Real)) and not isinstance(value, bool)
    return f"{name} {value}" if of_the_loss else ""
