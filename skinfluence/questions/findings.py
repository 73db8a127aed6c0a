"""What a report looks for besides scores: each finding with its numbers, its severity, its rows."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from skinfluence.inspection import (
    GroupInfluence,
    Influence,
    LabelQuality,
    LeaveOneOutCheck,
)
from skinfluence.inspection.report.findings import Finding, found, not_found, not_looked_for
from skinfluence.inspection.report.shown import Shown
from skinfluence.inspection.tables import cut, number_of, of_number, plain
from skinfluence.inspection.verdict import TOO_FEW
from skinfluence.mechanisms.distance import FAR, STOPPED
from skinfluence.objectives import LinearObjective
from skinfluence.process.row_keys import coarser, row_keys
from skinfluence.process.warnings import hearing
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.left_out import given_targets
from skinfluence.typing import Array

RISKY, DOMINANT = 0.2, 0.5
"""Leverages from which on a row is watched, and from which on it is avoided (Huber 1981)."""

TIMES_MEAN, TWICE_MEAN = 3.0, 2.0
"""Times the mean leverage above which one is high (Velleman & Welsch 1981; Hoaglin & Welsch 1978).

A kernel may follow all rows closely; none of them then stands out."""

USUAL = 0.05
"""Part of the rows from which on a high leverage is nothing that a row has of its own."""

MANY_PARAMETERS = "the model has many parameters for its rows, whichever they are"

OTHER_FIT = 1.0
"""Distance from the optimum, in units of the sampling noise, at which a model fitted to another
sample would be."""

MANY_WRONG = 0.1
"""Part of the labels that are wrong, as estimated, from which on nothing that is measured on
them is safe."""

FEW_WRONG = 0.01
"""Part of the labels that are wrong, as estimated, up to which they are as any data have them."""

LEAKED = 0.05
"""Part of the test rows, beyond what chance makes, that are training rows, too."""

FEWEST_LEAKED = 3
"""Test rows, beyond what chance makes, below which a share says nothing."""

SHARE, LARGE_SHARE = 0.4, 0.6
"""Parts of all influence that the top hundredth of the rows holds, from which on that is much: on
the data of scikit-learn it is .03 to .35, most where classes are nearly separated."""

FEW_ROWS = 10
"""Rows of a class below which it is small."""

LEVEL = 0.05
"""Chance that one group or more is said to harm where none does, or copies to be too many."""


def high_leverage(fitted: Fitted, leverages: Array | None, reason: str) -> Finding:
    """Look for rows that are fitted because they are there."""
    code = "SKI001"
    if leverages is None:
        return not_looked_for(code, reason)
    counted = fitted.objective().sample_weight > 0
    mean = float(leverages[counted].mean())
    order = np.argsort(-leverages, kind="stable")
    high = order[leverages[order] > max(RISKY, TIMES_MEAN * mean)]
    dominant = order[leverages[order] > max(DOMINANT, TWICE_MEAN * mean)]
    largest = f"the largest leverage is {leverages[order[0]]:.2f}, the mean {mean:.2g}"
    limits = f"{TIMES_MEAN:g} times the mean and {RISKY:g}"
    higher = f"{TWICE_MEAN:g} times the mean and {DOMINANT:g}"
    advice = (
        "Look at these rows: the model follows them wherever they lie. First-order scores are too "
        "small by 1 / (1 - leverage); method='newton' is not."
    )
    for rows, bound, severity in ((dominant, higher, "medium"), (high, limits, "low")):
        if not len(rows):
            continue
        text = f"{number_of(len(rows), 'row')} of leverage above {bound}; {largest}."
        if len(rows) > USUAL * counted.sum():
            severity, advice = "low", "A stronger penalty, or more rows, make leverages smaller."
            text += f" That is {len(rows) / counted.sum():.0%} of all: {MANY_PARAMETERS}."
        return found(code, severity, text, advice, _named(fitted, rows))
    return not_found(code, f"No leverage is above {limits}, or {higher}; {largest}.")


def leverages(fitted: Fitted, used: str) -> Array:
    """Return the leverage of every training row.

    Raises
    ------
    ValueError
        Where there are none.
    """
    if not isinstance(fitted.objective(), LinearObjective):
        raise ValueError("leverages are of linear models and kernels.")
    if used != "newton":  # what that warns of is of no answer here
        with warnings.catch_warnings(), hearing(alone=True):
            warnings.simplefilter("ignore")
            leverages: Array | None = fitted.mechanism("newton").removal("newton").leverages
    else:
        leverages = fitted.mechanism(used).removal(used).leverages
    if leverages is None:
        raise ValueError("no step of this model knows of leverages.")
    return leverages


def off_minimum(fitted: Fitted, used: str) -> Finding:
    """Look whether the fit stopped away from its stationary point."""
    code = "SKI002"
    if used == "tracin":
        return not_looked_for(code, "method='tracin' asks for no minimum.")
    refinement = fitted.mechanism(used).refinement
    if refinement is None:
        return not_looked_for(code, "this family of models is fitted by no minimisation.")
    linear = refinement.objective
    if isinstance(linear, LinearObjective) and linear.loss.temperature is not None:
        return not_looked_for(
            code,
            "scores are of the minimum of the smoothed hinge, which the fitted model need not be "
            "at; the check says how far apart they are.",
        )
    far, moved = refinement.relative_distance, refinement.n_iter > 0
    where = (
        f"the fitted parameters are {far:.2g} times the sampling noise from the stationary point "
        f"(a fit to another sample is about {OTHER_FIT:g} from it)"
    )
    if far <= FAR:
        return not_found(code, f"At most {FAR:g} is allowed: {where}.")
    scored = (
        "scores are those of the minimum, which the model at hand is not"
        if moved
        else "scores are derivatives at a point where the gradient is not zero"
    )
    severity = "high" if moved and far > OTHER_FIT else "medium"
    advice = "Fit with a smaller tol or a larger max_iter"
    advice += "." if moved else ", or pass refine=True; the check says what the scores are worth."
    return found(code, severity, f"{where[0].upper()}{where[1:]}; {scored}.", advice)


def differs_from_refits(check: LeaveOneOutCheck | None, reason: str) -> Finding:
    """Look whether refits do what the scores say."""
    code = "SKI003"
    if check is None:
        return not_looked_for(code, reason)
    verdict = f"{check.verdict[0].upper()}{check.verdict[1:]}."
    if check.fit_for == "values":
        return not_found(code, verdict)
    better = next((each for each in check.explanations() if each.startswith("next: ")), "")
    advice = f"{better[6:7].upper()}{better[7:]}." if better else "The check says why they differ."
    if check.fit_for == "ranking":
        return found(code, "medium", verdict, f"Read ranks, not values. {advice}")
    if not np.isfinite(check.relative_error) or TOO_FEW in check.verdict:
        return found(code, "low", verdict, f"Do not read the scores yet. {advice}")
    return found(code, "high", verdict, f"Do not read the scores. {advice}")


def suspect_labels(audit: LabelQuality | None, reason: str) -> Finding:
    """Look for labels that are likely to be wrong."""
    code = "SKI004"
    if audit is None:
        return not_looked_for(code, reason)
    order = audit.flagged
    likely = order[audit.tiers[order] == "likely"]
    what = "label" if audit.classifier else "target"
    expected = audit.expected_errors
    about = "" if expected is None else f"; {expected}"
    text = f"{number_of(len(likely), what)} of {len(audit.quality):,} likely wrong{about}."
    severity = "medium"
    if expected is not None and not np.isnan(expected.estimate):
        # of labels of which no model makes sense few are flagged, of blunt models more than enough
        wrong = max(expected.estimate, expected.flagged - expected.by_chance) / expected.n_rows
        severity = "high" if wrong > MANY_WRONG else "medium" if wrong > FEW_WRONG else "low"
    if not len(likely) and severity != "high":
        return not_found(code, text)
    advice = "Look at these rows before anything is changed; LabelAudit has the whole list."
    return found(code, severity, text, advice, plain(audit.row_labels[likely]))


def duplicated_rows(
    fitted: Fitted, X_test: Any, y_test: Any, influential: Array, test_labels: Array
) -> Finding:
    """Look for training rows among the test rows, and for copies of the rows that decide.

    Parameters
    ----------
    fitted : Fitted
    X_test, y_test
    influential : ndarray of int
        Training rows that are shown, the most important first.
    test_labels : ndarray of shape (n_test,)
    """
    code = "SKI005"
    coarse = coarser(fitted.raw.X, X_test)
    coarse_target = coarser(given_targets(fitted), y_test)
    X, y = row_keys(fitted.raw.X, coarse), row_keys(given_targets(fitted), coarse_target)
    targets_of: dict[Any, Counter[Any]] = {}
    for key, target in zip(X, y, strict=True):
        targets_of.setdefault(key, Counter())[target] += 1
    copies = np.array([targets_of[key].total() for key in X])
    alike = np.array([targets_of[key][target] for key, target in zip(X, y, strict=True)])
    copied, same, at_odds = copies > 1, alike > 1, copies > alike

    known, tested = row_keys(X_test, coarse), row_keys(_like(y_test, fitted), coarse_target)
    there = np.array([key in targets_of for key in known])
    leaked = np.array(
        [t in targets_of.get(key, ()) for key, t in zip(known, tested, strict=True)], dtype=bool
    )
    n_test = len(known)
    by_chance = float(same.mean()) * n_test
    twice = influential[copied[influential]]
    odd = influential[at_odds[influential]]

    said, severity = [], ""
    if n_leaked := int(leaked.sum()):
        excess = n_leaked - by_chance
        many = excess > LEAKED * n_test and excess >= FEWEST_LEAKED
        chance = float(stats.poisson.sf(n_leaked - 1, by_chance))
        severity = "high" if many else "medium" if chance < LEVEL else "low"
        said.append(
            f"{n_leaked:,} of {number_of(n_test, 'test row')} "
            f"{of_number(n_leaked, 'is a training row', 'are training rows')}, too, with the same "
            f"target ({by_chance:.1f} by chance, as often as training rows repeat); the "
            f"first: {', '.join(map(cut, plain(test_labels[leaked])[:5]))}"
        )
    if n_odd := int((there & ~leaked).sum()):
        severity = severity or "low"
        said.append(
            f"{number_of(n_odd, 'test row')} with the features of training rows, and another target"
        )
    if len(odd):
        if fitted.classifier and severity != "high":
            severity = "medium"
        severity = severity or "low"  # the same features measured again
        said.append(
            f"{number_of(len(odd), 'row')} among the most influential with copies of another target"
        )
    if n_alike := len(twice) - len(odd):
        severity = severity or "low"
        said.append(
            f"{number_of(n_alike, 'row')} among the most influential with copies of the same target"
        )
    n_copied, digits = (
        int(copied.sum()),
        "" if coarse is None else f"; floats are compared as {coarse}",
    )
    counts = (
        f"{n_copied:,} of {number_of(len(X), 'training row')} {of_number(n_copied, 'has', 'have')} "
        f"the features of another{digits}"
    )
    if not said:
        return not_found(
            code, f"No test row is a training row, no row that is shown has a copy; {counts}."
        )
    seen = {key for key, each in zip(known, leaked, strict=True) if each}
    tested_too = [position for position, key in enumerate(X) if key in seen]
    rows = list(dict.fromkeys([*odd.tolist(), *tested_too, *twice.tolist()]))
    advice = (
        "Split copies together (GroupShuffleSplit), or drop them. The score of a row with a copy "
        "is what the second of two is worth: group_influence removes both."
    )
    text = f"{'; '.join(said)}; {counts}."
    return found(code, severity, text, advice, _named(fitted, np.array(rows, dtype=int)))


def _like(y: Any, fitted: Fitted) -> Any:
    """Return targets of test rows in the shape of those of the training rows."""
    values = np.asarray(y)
    one = given_targets(fitted).ndim == 1
    return values.reshape(len(values)) if one and values.ndim == 2 else values


def few_rows(fitted: Fitted, overall: Influence) -> Finding:
    """Look whether a hundredth of the rows has most of the influence."""
    code = "SKI006"
    sizes = np.abs(overall.scores.astype(np.float64))
    total = sizes.sum()
    if not total > 0:
        return not_found(code, "No training row moves these test rows.")
    order = np.argsort(-sizes, kind="stable")
    n_top = max(1, round(len(sizes) / 100))
    shares = np.cumsum(sizes[order]) / total
    share, half = float(shares[n_top - 1]), int(np.searchsorted(shares, 0.5) + 1)
    usual = _normal_share(n_top / len(sizes))
    text = (
        f"{share:.0%} of the sum of all sizes of scores is that of the {number_of(n_top, 'row')} "
        f"with the largest (a hundredth), where normal scores would have {usual:.0%}; half of it "
        f"is that of {number_of(half, 'row')}."
    )
    if len(sizes) < 100 or share <= SHARE:
        return not_found(code, f"{text} Up to {SHARE:.0%} is usual.")
    severity = "medium" if share > LARGE_SHARE else "low"
    advice = "Look at these rows first; without(rows) is the model that never saw them."
    return found(code, severity, text, advice, _named(fitted, order[:n_top]))


def _normal_share(part: float) -> float:
    """Return the share of E|z| that the largest part of all |z| has, z standard normal."""
    return float(np.exp(-0.5 * stats.norm.isf(part / 2.0) ** 2))


def small_classes(fitted: Fitted, shown: Shown) -> Finding:
    """Look for classes of fewer than `FEW_ROWS` rows."""
    code = "SKI007"
    if not fitted.classifier:
        return not_looked_for(code, "a regression has no classes.")
    y = given_targets(fitted).reshape(fitted.n_train, -1)
    weights = fitted.training.sample_weight
    counted = np.ones(len(y), dtype=bool) if weights is None else np.asarray(weights) > 0
    said, members, least = [], [], len(y)
    for column, name, seen in zip(y.T, shown.all_names[-y.shape[1] :], shown.targets, strict=True):
        labels, codes = np.unique(column, return_inverse=True)
        sizes = np.bincount(codes[counted], minlength=len(labels))
        least = min(least, int(sizes.min()))
        for k in np.argsort(sizes, kind="stable"):
            if sizes[k] >= FEW_ROWS:
                break
            of = f"{name} = " if y.shape[1] > 1 and seen else ""
            called = f"class {of}{cut(labels[k])}" if seen else "a class"
            said.append(f"{called} has {number_of(int(sizes[k]), 'row')}")
            members += np.flatnonzero((codes == k) & counted).tolist()
    if not said:
        return not_found(code, f"The smallest class has {number_of(least, 'row')}.")
    alone = least <= 1
    text = "; ".join(said[:FEW_ROWS]) + ("; ..." if len(said) > FEW_ROWS else "")
    advice = "Add rows of these classes, or join them with others."
    if alone:
        advice = "The score of the only row of a class means nothing: leave it out. " + advice
    severity = "medium" if alone else "low"
    rows = list(dict.fromkeys(members))
    return found(
        code, severity, f"{text[0].upper()}{text[1:]}.", advice, _named(fitted, np.array(rows))
    )


def harmful_groups(
    grouped: tuple[GroupInfluence, Array] | None, reason: str, mean_loss: float
) -> Finding:
    """Look for groups without which the mean loss falls, by more than chance makes.

    Parameters
    ----------
    grouped : (GroupInfluence, ndarray of shape (n_groups,)) or None
        On the mean loss, with the standard errors of its scores over the test rows.
    reason : str
        Why there is nothing.
    mean_loss : float
    """
    code = "SKI008"
    if grouped is None:
        return not_looked_for(code, reason)
    groups, errors = grouped
    n = len(groups.scores)
    bound = float(stats.norm.isf(LEVEL / n))
    surely = np.flatnonzero(groups.scores < -bound * errors)
    harmful = int(np.sum(groups.scores < 0))
    how = f"beyond {bound:.1f} standard errors over the test rows ({LEVEL:.0%} for all groups)"
    if not len(surely):
        return not_found(
            code,
            f"{harmful:,} of {number_of(n, 'group')} {of_number(harmful, 'has', 'have')} a score "
            f"below 0, none {how}.",
        )
    order = surely[np.argsort(groups.scores[surely], kind="stable")]
    worst, label = groups.scores[order[0]], cut(groups.groups[order[0]])
    text = (
        f"{len(surely):,} of {number_of(n, 'group')} {of_number(len(surely), 'harms', 'harm')}, "
        f"{how}; without the worst, {label}, the "
        f"mean loss falls by {-worst:.2g} from {mean_loss:.2g}."
    )
    advice = (
        "Look for what these rows have in common (a source, an instrument, a period); measure what "
        "dropping them is worth on rows that did not choose them."
    )
    return found(code, "medium", text, advice, plain(groups.groups[order]))


def warned_of(texts: Sequence[str], minimum: Finding) -> Finding:
    """Report what the questions warned of, without what was found of the minimum (SKI002)."""
    code, others = "SKI009", texts
    if minimum.state == "found":
        others = [each for each in texts if STOPPED not in each]
    if not others:
        more = "" if len(others) == len(texts) else " but what SKI002 says"
        return not_found(code, f"The questions behind this report warned of nothing{more}.")
    advice = "Each says what to do."
    return found(code, "medium", " ".join(others), advice)


def _named(fitted: Fitted, positions: Array) -> list[Any]:
    return plain(fitted.row_labels[np.asarray(positions, dtype=int)])
