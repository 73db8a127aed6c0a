"""What losses are called: the same name where mean losses have one unit."""

import numpy as np
import pytest

from skinfluence.losses import (
    Brier,
    Exponential,
    HalfSquaredError,
    Huber,
    Joint,
    Logistic,
    Multinomial,
    OneVsRest,
    SmoothHinge,
    SquaredHinge,
    TransformedTarget,
    Tweedie,
)
from skinfluence.losses.autograd import AutogradLoss
from skinfluence.losses.words import in_words

TWO, THREE = np.array(["a", "b"]), np.array(["a", "b", "c"])


def own_loss(eta, y):
    return (eta - y) ** 2


@pytest.mark.parametrize(
    "loss, words",
    [
        (Logistic(TWO), "log loss"),
        (Multinomial(THREE), "log loss"),
        (Logistic(THREE), "one vs rest (log loss)"),
        (OneVsRest(Logistic(TWO), THREE), "one vs rest (log loss)"),
        (OneVsRest(SquaredHinge(TWO), THREE), "one vs rest (squared hinge)"),
        (HalfSquaredError(), "half squared error"),
        (HalfSquaredError(n_outputs=3), "half squared error"),
        (HalfSquaredError(3, THREE), "half squared error"),
        (Brier(THREE), "half Brier score"),
        (Joint((Brier(TWO), Brier(THREE))), "half Brier score"),
        (Exponential(TWO), "exponential"),
        (Huber(1.35), "huber (epsilon 1.35)"),
        (Tweedie(0.0, "identity"), "half squared error"),
        (Tweedie(1.0), "half Poisson deviance"),
        (Tweedie(1.0, "identity"), "half Poisson deviance"),
        (Tweedie(1.5), "half Tweedie (1.5) deviance"),
        (Joint((Tweedie(1.0), Tweedie(1.0))), "half Poisson deviance"),
        (Joint((Logistic(TWO), Huber(2.0))), "log loss and huber (epsilon 2.0)"),
        (OneVsRest(Logistic(TWO), THREE, multilabel=True), "log loss"),
        (TransformedTarget(HalfSquaredError(), np.log, np.exp), "half squared error"),
        (AutogradLoss(own_loss, 1), "autograd loss (own_loss)"),
    ],
)
def test_words(loss, words):
    assert in_words(loss) == words


def test_the_temperature_is_no_part_of_it():
    assert in_words(SmoothHinge(TWO, 0.1)) == in_words(SmoothHinge(TWO, 0.2))
    assert in_words(Huber(1.0)) != in_words(Huber(2.0))
