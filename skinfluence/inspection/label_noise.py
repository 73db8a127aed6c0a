"""How many labels are wrong, and which ones a model contradicts: from probabilities alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from skinfluence.typing import Array

SUSPECTED = 0.3
"""Probability of the given label below which a row is flagged, if another class is likelier."""

LIKELY = 0.2
"""Probability of the given label below which it is likely to be wrong."""

LEVEL = 0.9
"""Of the interval."""

COMMON = 3.0
"""Rows at the common rate of flips that every pair of classes is given beside its own."""

HEAVY = 1 / 3
"""Power that margins grow with in the reading with heavier tails."""

STEPS = 100
TINY = np.finfo(np.float64).tiny

METHOD = (
    "maximum likelihood of labels that are flipped beside rescaled probabilities; its sampling "
    "error and the disagreement of other readings"
)


@dataclass(frozen=True)
class ExpectedErrors:
    """How many labels are wrong, and how many rows are flagged.

    Attributes
    ----------
    estimate : float
        Wrong labels. NaN where no row has probabilities.
    low, high : float
        Interval, of level .9.
    method : str
        How the estimate and the interval were found.
    flagged : int
        Rows whose given label has a probability below .3, and is not the likeliest.
    by_chance : float
        Rows that would be flagged if no label was wrong: each drawn from its probabilities, as
        sharp as the labels say they ought to be.
    n_rows : int
    """

    estimate: float
    low: float
    high: float
    method: str
    flagged: int
    by_chance: float
    n_rows: int

    def __str__(self) -> str:
        """Return the numbers in one sentence."""
        if np.isnan(self.estimate):
            return f"of {self.n_rows} rows none has probabilities: wrong labels are not counted"
        rows = "row is" if self.flagged == 1 else "rows are"
        labels = "label is" if self.n_rows == 1 else "labels are"
        return (
            f"about {self.estimate:.0f} of {self.n_rows} {labels} wrong ({self.low:.0f} to "
            f"{self.high:.0f}, {LEVEL:.0%} interval); {self.flagged} {rows} flagged, and "
            f"{self.by_chance:.0f} would be by chance if all were right"
        )


def is_flagged(probabilities: Array, given: Array, below: float = SUSPECTED) -> Array:
    """Return which rows have another likeliest class, and a given label less likely than `below`.

    Parameters
    ----------
    probabilities : ndarray of shape (n_train, n_classes)
        Of a model that never saw the row; nan where there is none, which flags nothing.
    given : ndarray of shape (n_train,)
        Codes of the classes.
    below : float

    Returns
    -------
    ndarray of shape (n_train,), bool
    """
    return _would_be_flagged(probabilities, below)[np.arange(len(given)), given]


def confident_suspects(probabilities: Array, given: Array) -> Array:
    """Return which rows confident learning suspects: they belong to another class with confidence.

    A row belongs with confidence to the classes that it has a probability of no less than the mean
    of the rows that are given them; of several, to the likeliest. These are the rows off the
    diagonal of the confident joint.

    Parameters
    ----------
    probabilities : ndarray of shape (n_train, n_classes)
        Of a model that never saw the row; nan where there is none, which is no suspect.
    given : ndarray of shape (n_train,)
        Codes of the classes.

    Returns
    -------
    ndarray of shape (n_train,), bool

    References
    ----------
    Northcutt, C. G., Jiang, L. & Chuang, I. L. (2021). Confident learning: estimating uncertainty
    in dataset labels. JAIR 70. doi:10.1613/jair.1.12125.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection.label_noise import confident_suspects
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9]])
    >>> confident_suspects(probabilities, np.array([0, 0, 0, 1, 1]))
    array([False, False,  True, False, False])
    """
    known = ~np.isnan(probabilities).any(axis=1)
    members = _one_hot(given[known], probabilities.shape[1])
    with np.errstate(invalid="ignore"):
        confident = (members * probabilities[known]).sum(axis=0) / members.sum(axis=0)
    rounding = 1e-12  # the mean of equal probabilities may be above them
    belongs = probabilities >= confident - rounding
    likeliest = np.argmax(np.where(belongs, probabilities, -1.0), axis=1)
    return belongs.any(axis=1) & (likeliest != given)


def expected_errors(first: Array | None, final: Array, given: Array) -> ExpectedErrors:
    """Estimate how many labels are wrong.

    The true class of a row is drawn from its probabilities p, which may be too sharp or too blunt
    by a power b; then it is flipped, class k to class j at a rate T_kj:

        P(given = j) = sum_k T_kj p_k^b / sum_l p_l^b.

    The power and the rates are those of maximum likelihood (each pair of classes is given three
    more rows, at the rate common to all). Labels are wrong with the probability that follows. A
    power explains a label the worse the smaller its probability; a flip explains all of them alike:
    that tells the two apart, and nothing else does. Where classes overlap so much that few rows are
    certain, the number is hardly known and the interval wide. Rows that the model puts into another
    class with certainty, though they belong where they are, count as wrong labels.

    The interval has two parts. The error from the rows is that of the likelihood. The error of the
    model is how far other readings of the rows are from the estimate, that could as well have been
    it: the first pass; one rate for all classes; heavier tails, margins log(p_max / p) that grow
    as their third root. Their root mean square, times the quantile of Student's t with as many
    degrees of freedom as there are readings.

    Parameters
    ----------
    first : ndarray of shape (n_train, n_classes) or None
        Probabilities of every class by a model that never saw the row. None, or final itself, where
        there was one pass.
    final : ndarray of shape (n_train, n_classes)
        The same of a model that saw neither the row nor the suspects of the first. Rows of nan
        have no probabilities, and count at the rate of the others.
    given : ndarray of shape (n_train,)
        Codes of the classes.

    Returns
    -------
    ExpectedErrors

    References
    ----------
    Copas, J. B. (1988). Binary regression models for contaminated data. JRSS B 50.
    doi:10.1111/j.2517-6161.1988.tb01733.x.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection.label_noise import expected_errors
    >>> rng = np.random.default_rng(0)
    >>> p = 1 / (1 + np.exp(-4 * rng.standard_normal(1000)))
    >>> wrong = rng.random(1000) < 0.1
    >>> given = (rng.random(1000) < p) ^ wrong
    >>> errors = expected_errors(None, np.column_stack([1 - p, p]), given.astype(int))
    >>> int(wrong.sum()), round(errors.estimate), round(errors.low), round(errors.high)
    (118, 122, 61, 181)
    """
    n = len(given)
    would_be = _would_be_flagged(final, SUSPECTED)
    flagged = int(would_be[np.arange(n), given].sum())
    known = ~np.isnan(final).any(axis=1)
    if not known.any():
        return ExpectedErrors(np.nan, np.nan, np.nan, METHOD, flagged, 0.0, n)
    margins, codes = _margins(final[known]), given[known]
    noise = _fitted(margins, codes)
    reading = _read(margins, codes, noise)
    share = np.mean(reading.wrong)
    below, above = _sampling_error(margins, codes, noise)

    others = [_share(margins, codes, one_rate=True), _share(_heavier(margins), codes)]
    if first is not None and first is not final:
        seen = ~np.isnan(first).any(axis=1)
        others += [_share(_margins(first[seen]), given[seen])] if seen.any() else []
    model = np.sqrt(np.mean((np.array(others) - share) ** 2))
    model *= stats.t.ppf((1 + LEVEL) / 2, len(others))
    return ExpectedErrors(
        estimate=float(n * share),
        low=float(n * max(share - np.hypot(below, model), 0.0)),
        high=float(n * min(share + np.hypot(above, model), 1.0)),
        method=METHOD,
        flagged=flagged,
        by_chance=float(np.sum(reading.prior.T[would_be[known]])),
        n_rows=n,
    )


# ------------------------------------------------------------------------------- labels and flips


class _Noise(NamedTuple):
    """The power of the probabilities, and the rate at which class k is given as class j != k."""

    power: float
    flips: Array


class _Reading(NamedTuple):
    """What the labels say under a noise.

    Of every class and row, the probability to be the true class without (`prior`) and with
    (`posterior`) the given label; of every row, that its label is wrong; the log-likelihood.
    """

    prior: Array
    posterior: Array
    wrong: Array
    log_likelihood: float


def _margins(probabilities: Array) -> Array:
    """Return log p - log p_max, (n_classes, n_samples): sums over few classes are fast so."""
    p = np.maximum(np.ascontiguousarray(probabilities.T, dtype=np.float64), TINY)
    return np.log(p / p.max(axis=0))


def _heavier(margins: Array) -> Array:
    """Return margins that grow as their third root where they are large, and alike at 0."""
    return -((1.0 - margins) ** HEAVY - 1.0) / HEAVY


def _read(margins: Array, given: Array, noise: _Noise) -> _Reading:
    prior = np.exp(noise.power * margins)
    prior /= prior.sum(axis=0)
    kept = 1.0 - noise.flips.sum(axis=1)
    posterior = prior * (noise.flips + np.diag(kept))[:, given]
    total = np.maximum(posterior.sum(axis=0), TINY)
    posterior /= total
    wrong = 1.0 - posterior[given, np.arange(len(given))]
    return _Reading(prior, posterior, wrong, float(np.sum(np.log(total))))


def _fitted(margins: Array, given: Array, one_rate: bool = False) -> _Noise:
    """Return the noise of maximum likelihood: rates by expectation-maximisation, beside the power.

    Parameters
    ----------
    margins : ndarray of shape (n_classes, n_samples)
    given : ndarray of shape (n_samples,)
    one_rate : bool
        Whether all classes are flipped alike.
    """
    n_classes, n = margins.shape
    members = _one_hot(given, n_classes)
    others = (1.0 - np.eye(n_classes)) / max(n_classes - 1, 1)
    shared = COMMON * (n_classes - 1)
    noise, count = _Noise(1.0, 0.05 * others), np.inf
    for _ in range(STEPS):
        reading = _read(margins, given, noise)
        pairs = reading.posterior @ members
        rate = reading.wrong.sum() / n
        flips = rate * others
        if not one_rate:
            flips = (pairs + shared * flips) / (pairs.sum(axis=1, keepdims=True) + shared)
            np.fill_diagonal(flips, 0.0)
        noise = _Noise(noise.power * np.exp(_power_step(margins, noise.power, reading)), flips)
        if abs(reading.wrong.sum() - count) < 1e-4 * (1.0 + count):
            break
        count = reading.wrong.sum()
    return noise


def _share(margins: Array, given: Array, one_rate: bool = False) -> float:
    """Return the share of wrong labels."""
    return float(np.mean(_read(margins, given, _fitted(margins, given, one_rate)).wrong))


def _power_step(margins: Array, power: float, reading: _Reading) -> float:
    """Return a Newton step of the logarithm of the power.

    With r the posterior and s the prior of a row, its log-likelihood has the derivative
    E_r(margins) - E_s(margins) in the power, and the second one Var_r - Var_s, which a flip makes
    positive: a tenth of -Var_s is the least that is taken.
    """
    by_prior, by_posterior = reading.prior * margins, reading.posterior * margins
    mean, found = by_prior.sum(axis=0), by_posterior.sum(axis=0)
    spread = np.vdot(by_prior, margins) - mean @ mean
    curvature = max(spread - np.vdot(by_posterior, margins) + found @ found, 0.1 * spread)
    if not curvature > 0.0:  # all rows are certain
        return 0.0
    return float(np.clip(np.sum(found - mean) / (curvature * power), -0.5, 0.5))


# --------------------------------------------------------------------------------- error from rows


def _sampling_error(margins: Array, given: Array, noise: _Noise) -> tuple[float, float]:
    """Return how far the share of wrong labels may be below and above the estimate.

    Two parts. The rates, all multiplied by one factor, may be as far off as the profile likelihood
    allows, the power fitted anew for each factor. And at given rates the rows are drawn.
    """
    n_classes, n = margins.shape
    least = 0.5 / n / max(n_classes - 1, 1) * (1.0 - np.eye(n_classes))
    noise = _Noise(noise.power, noise.flips + least)  # a factor times nothing would be nothing
    noise, best = _at_power(margins, given, noise)
    deviance = stats.chi2.ppf(LEVEL, 1)

    def at(log_factor: float, near: _Noise) -> tuple[_Noise, _Reading, float]:
        flips = np.exp(log_factor) * noise.flips
        found, reading = _at_power(margins, given, _Noise(near.power, flips))
        lost = 2.0 * (best.log_likelihood - reading.log_likelihood)
        return found, reading, np.clip(np.sqrt(deviance / max(lost, TINY)), 0.25, 4.0)

    def bound(log_factor: float, end: float) -> float:
        """Follow the root of the deviance, nearly linear in the logarithm of the factor."""
        near = noise
        for _ in range(STEPS):
            near, reading, ratio = at(log_factor, near)
            if abs(ratio - 1.0) < 0.02 or (log_factor == end and ratio > 1.0):
                break
            log_factor = np.sign(end) * min(abs(log_factor * ratio), abs(end))
        return abs(float(np.mean(reading.wrong) - np.mean(best.wrong)))

    drawn = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(np.sum(best.wrong * (1 - best.wrong))) / n
    fewest, most = -10.0, np.log(0.95 / max(noise.flips.sum(axis=1).max(), TINY))
    most = max(most, 0.0)
    below, above = bound(fewest, fewest), bound(most / 30, most)
    return float(np.hypot(below, drawn)), float(np.hypot(above, drawn))


def _at_power(margins: Array, given: Array, noise: _Noise) -> tuple[_Noise, _Reading]:
    """Return the noise at the likeliest power, and what the labels say under it."""
    for _ in range(STEPS):
        reading = _read(margins, given, noise)
        step = _power_step(margins, noise.power, reading)
        if abs(step) < 0.01:
            break
        noise = _Noise(noise.power * np.exp(step), noise.flips)
    return noise, reading


def _would_be_flagged(probabilities: Array, below: float) -> Array:
    """Return of every class whether a row that is given it would be flagged."""
    others = np.ones(probabilities.shape, dtype=bool)
    others[np.arange(len(probabilities)), np.argmax(probabilities, axis=1)] = False
    return (probabilities < below) & others


def _one_hot(codes: Array, n_classes: int) -> Array:
    return (codes[:, None] == np.arange(n_classes)).astype(np.float64)
