"""The table of losses: each with a second writing for one row, in autograd's numpy."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import autograd.numpy as anp
import numpy as np
import pytest

from skinfluence.losses import (
    Brier,
    ConcomitantHuber,
    Exponential,
    HalfSquaredError,
    Huber,
    Joint,
    Logistic,
    Loss,
    ModifiedHuber,
    Multinomial,
    OneVsOne,
    OneVsRest,
    SmoothEpsilonInsensitive,
    SmoothHinge,
    SquaredEpsilonInsensitive,
    SquaredHinge,
    TransformedTarget,
    Tweedie,
)

TWO, THREE = np.array(["a", "b"]), np.array(["a", "b", "c"])


@dataclass
class Case:
    """A loss, its twin(y, eta) for one encoded row, and the raw targets it is for."""

    loss: Loss
    twin: Callable[[Any, Any], Any]
    targets: str = "auto"
    positive: tuple[int, ...] = ()  # outputs at which a raw prediction has to be positive

    def draw(self, rng, n):
        """Return raw targets of n rows."""
        kind = self.targets
        if kind == "auto":
            kind = "numbers" if self.loss.classes is None else "labels"
        if kind == "labels":
            labels = self.loss.classes
            return labels[(np.arange(n) + rng.integers(len(labels))) % len(labels)]
        if kind == "numbers":
            return rng.standard_normal((n, self.loss.n_responses))
        if kind == "wide":
            return 5.0 * rng.standard_normal(n)
        if kind == "counts":
            return rng.poisson(1.5, n).astype(float)
        if kind == "positive":
            return rng.gamma(2.0, 1.0, n) + 0.05
        if kind == "indicators":
            return rng.integers(0, 2, (n, self.loss.n_outputs))
        if kind == "mixed":
            return np.column_stack([THREE[rng.integers(0, 3, n)], rng.integers(0, 2, n)])
        raise AssertionError(kind)

    def rows(self, n=7, scale=2.0, seed=0):
        """Return encoded targets and raw predictions where the loss is finite."""
        rng = np.random.default_rng(seed)
        y = self.loss.encode(self.draw(rng, n))
        eta = scale * rng.standard_normal((n, self.loss.n_outputs))
        for k in self.positive:
            eta[:, k] = 0.5 + np.abs(eta[:, k])
        return y, eta

    def feasible(self, eta, delta):
        """Return delta with the signs that keep the loss finite at eta + delta."""
        delta = delta.copy()
        for k in self.positive:
            out = eta[..., k] + delta[..., k] < 0.1
            delta[..., k] = np.where(out, np.abs(delta[..., k]), delta[..., k])
        return delta


def softplus(z):
    return anp.logaddexp(0.0, z)


def squared(y, eta):
    return 0.5 * anp.sum((eta - y) ** 2)


def logistic(y, eta):
    return anp.sum(softplus(eta) - y * eta)


def multinomial(y, eta):
    return anp.log(anp.sum(anp.exp(eta))) - eta[int(y)]


def exponential(y, eta):
    return anp.sum(anp.exp(-y * eta))


def smooth_hinge(y, eta, t=0.3):
    return anp.sum(t * softplus((1 - y * eta) / t))


def squared_hinge(y, eta):
    return anp.sum(anp.maximum(0.0, 1 - y * eta) ** 2)


def modified_huber(y, eta):
    m = y * eta
    return anp.sum(anp.where(m >= -1, anp.maximum(0.0, 1 - m) ** 2, -4 * m))


def smooth_insensitive(y, eta, e=0.35, t=0.3):
    r = eta - y
    return anp.sum(t * softplus((r - e) / t) + t * softplus((-r - e) / t))


def squared_insensitive(y, eta, e=0.35):
    return anp.sum(anp.maximum(0.0, anp.abs(eta - y) - e) ** 2)


def huber(y, eta, e=0.8):
    r = anp.abs(eta - y)
    return anp.sum(anp.where(r <= e, 0.5 * r**2, e * r - 0.5 * e**2))


def concomitant(y, eta, e=1.35):
    sigma = eta[1]
    z = anp.abs((eta[0] - y) / sigma)
    return sigma + sigma * anp.where(z < e, z**2, 2 * e * z - e**2)


def tweedie(power, link):
    def twin(y, eta):
        mu = anp.exp(eta[0]) if link == "log" else eta[0]
        y = y[0]
        if power == 0:
            return 0.5 * (y - mu) ** 2
        if power == 1:
            return (y * anp.log(y) if y > 0 else 0.0) - y * anp.log(mu) - y + mu
        if power == 2:
            return anp.log(mu) - anp.log(y) + y / mu - 1
        a, b = 1 - power, 2 - power
        return max(y, 0.0) ** b / (a * b) - y * mu**a / a + mu**b / b

    return twin


def one_vs_one(pair):
    """Return the loss of the pairs of three classes, by looking at the row's label."""

    def twin(y, eta):
        total = 0.0
        for k, _ in enumerate(combinations(range(3), 2)):
            if not np.isnan(y[k]):
                total = total + pair(y[k], eta[k])
        return total

    return twin


def joint(y, eta):
    return multinomial(y[0], eta[:3]) + smooth_hinge(y[1], eta[3:])


def joint_regression(y, eta):
    return huber(y[:1], eta[:1]) + squared(y[1:], eta[1:])


PAIR = np.array([0, 1])
FORESTS = Joint((Brier(THREE), Brier(np.array(["0", "1"]))))
MIXED = Joint((Multinomial(THREE), SmoothHinge(np.array(["0", "1"]), 0.3)))
CASES = {
    "squared": Case(HalfSquaredError(2), squared),
    "squared-classes": Case(HalfSquaredError(1, TWO), squared),
    "logistic": Case(Logistic(TWO), logistic),
    "one-vs-rest": Case(Logistic(THREE), logistic),
    "multinomial": Case(Multinomial(THREE), multinomial),
    "exponential": Case(Exponential(TWO), exponential),
    "brier": Case(Brier(THREE), squared),
    "brier-two": Case(Brier(TWO), squared),
    "smooth-hinge": Case(SmoothHinge(TWO, 0.3), smooth_hinge),
    "smooth-hinge-three": Case(SmoothHinge(THREE, 0.3), smooth_hinge),
    "squared-hinge": Case(SquaredHinge(TWO), squared_hinge),
    "squared-hinge-three": Case(SquaredHinge(THREE), squared_hinge),
    "modified-huber": Case(ModifiedHuber(TWO), modified_huber),
    "modified-huber-three": Case(ModifiedHuber(THREE), modified_huber),
    "smooth-insensitive": Case(SmoothEpsilonInsensitive(0.35, 0.3, 2), smooth_insensitive),
    "smooth-insensitive-classes": Case(
        SmoothEpsilonInsensitive(0.35, 0.3, 3, THREE), smooth_insensitive
    ),
    "squared-insensitive": Case(SquaredEpsilonInsensitive(0.35, 2), squared_insensitive),
    "squared-insensitive-0": Case(
        SquaredEpsilonInsensitive(0.0), lambda y, eta: squared_insensitive(y, eta, 0.0)
    ),
    "huber": Case(Huber(0.8, 2), huber),
    "huber-classes": Case(Huber(0.8, 1, TWO), huber),
    "concomitant": Case(ConcomitantHuber(1.35), concomitant, positive=(1,)),
    "normal": Case(Tweedie(0, "identity"), tweedie(0, "identity")),
    "normal-log": Case(Tweedie(0, "log"), tweedie(0, "log")),
    "poisson": Case(Tweedie(1), tweedie(1, "log"), "counts"),
    "poisson-identity": Case(Tweedie(1, "identity"), tweedie(1, "identity"), "counts", (0,)),
    "tweedie-1.5": Case(Tweedie(1.5), tweedie(1.5, "log"), "counts"),
    "tweedie-1.5-identity": Case(
        Tweedie(1.5, "identity"), tweedie(1.5, "identity"), "counts", (0,)
    ),
    "gamma": Case(Tweedie(2), tweedie(2, "log"), "positive"),
    "gamma-identity": Case(Tweedie(2, "identity"), tweedie(2, "identity"), "positive", (0,)),
    "inverse-gaussian": Case(Tweedie(3), tweedie(3, "log"), "positive"),
    "tweedie-2.5-identity": Case(
        Tweedie(2.5, "identity"), tweedie(2.5, "identity"), "positive", (0,)
    ),
    "tweedie-minus": Case(Tweedie(-0.5), tweedie(-0.5, "log")),
    "tweedie-minus-identity": Case(Tweedie(-1, "identity"), tweedie(-1, "identity"), "wide", (0,)),
    "one-vs-one-hinge": Case(OneVsOne(SmoothHinge(PAIR, 0.3), THREE), one_vs_one(smooth_hinge)),
    "one-vs-one-squared": Case(OneVsOne(SquaredHinge(PAIR), THREE), one_vs_one(squared_hinge)),
    "one-vs-one-logistic": Case(OneVsOne(Logistic(PAIR), THREE), one_vs_one(logistic)),
    "rest-huber": Case(OneVsRest(ModifiedHuber(PAIR), THREE), modified_huber),
    "rest-two": Case(OneVsRest(HalfSquaredError(1, PAIR), TWO), squared),
    "multilabel": Case(OneVsRest(Logistic(PAIR), THREE, True), logistic, "indicators"),
    "joint": Case(MIXED, joint, "mixed"),
    "joint-brier": Case(FORESTS, squared, "mixed"),
    "joint-regression": Case(Joint((Huber(0.8), HalfSquaredError())), joint_regression),
    "transformed": Case(
        TransformedTarget(Huber(0.8, 2), np.sinh, np.arcsinh),
        huber,
    ),
}
losses = pytest.mark.parametrize("name", CASES)
