"""Rows whose targets are judged by models that never saw them, however these are come by."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from skinfluence.adapters import is_frozen, is_smoothed
from skinfluence.effects import left_out, left_out_where
from skinfluence.inspection.label_noise import SUSPECTED
from skinfluence.losses import Loss, encode_labels
from skinfluence.mechanisms import Mechanism
from skinfluence.objectives import OutputObjective
from skinfluence.process.progress import counted
from skinfluence.process.tuning import tuning
from skinfluence.questions.evaluation import accepted_features
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.folds import alike_parts
from skinfluence.questions.left_out import labels_or_none
from skinfluence.removal import ExactRemoval
from skinfluence.retraining import take_columns, take_rows
from skinfluence.typing import Array

AS_NEEDED = "newton, then exact"
"""How rows are left out where a Newton step is followed by the minimum wherever that matters."""

FOLDS = 10
"""Parts of the rows that are left out together where each alone would cost more."""

DOUBTFUL = 2.0
"""Up to how many times `SUSPECTED` a step that is not trusted is held against the minimum."""

SHORT = 0.02
"""Part of a trusted step up to which none is: a hundredth of a logit, and of a quality .0025."""

CLOSE = 0.002
"""Gradient at which a minimum is close enough, as a part of what leaving the row caused.

Qualities below `SUSPECTED` are then within .001 of the exact ones, on seven data sets with flipped
labels; .01 takes a tenth less time, and is off by up to .013.
"""

MOST_WORK = 2e10
"""Multiplications of a pass beyond which tenths of the rows are left out, and not each row.

About two seconds. Ten fits of a logistic regression take less by then, and judge labels as well.
"""

ROUNDING = 1e-13
"""Part of the largest target below which residuals are none, so that no error of it stands out."""

Fit = Callable[[Array], Fitted]
"""Fits the same estimator on some of the rows, by their positions."""


@dataclass(frozen=True, eq=False)
class Judged:
    """What models say of the targets of some rows, a line each.

    Attributes
    ----------
    losses : ndarray of shape (n_rows,)
    quality : ndarray of shape (n_rows,)
        The probability of the given label; of several a row, of the least likely.
    suggested : ndarray of the shape of the targets
    gains : ndarray of shape (n_rows,)
        Loss of the given target minus that of the suggested one.
    probabilities : ndarray of shape (n_rows, n_classes)
        Where the model has none exp(-loss) of every class, summing to 1. Without columns where
        there are several labels a row, and of regressors.
    residuals : ndarray of shape (n_rows, n_outputs)
        Given minus predicted, in units of the scatter that the loss expects; without columns of
        classifiers.
    """

    losses: Array
    quality: Array
    suggested: Array
    gains: Array
    probabilities: Array
    residuals: Array

    @classmethod
    def of(cls, loss: Loss, y: Array, eta: Array, classifier: bool) -> Self:
        """Return what raw predictions (n_rows, K) say of targets as they were given."""
        targets, none = loss.encode(y), np.empty((len(y), 0))
        losses = loss.value(targets, eta)
        if not classifier:
            suggested, best = loss.response(eta), np.full(len(eta), np.nan)
            known = ~np.isnan(eta).any(axis=1)
            best[known] = loss.value(loss.encode(suggested[known]), eta[known])
            residuals = _residuals(loss, targets, eta, y)
            suggested = suggested.reshape(y.shape)
            return cls(losses, np.exp(-losses), suggested, losses - best, none, residuals)
        known = ~np.isnan(eta).any(axis=1)
        labels = loss.decide(eta)
        labels[~known] = y[~known]
        gains = losses - loss.value(loss.encode(labels), eta)
        suggested = labels_or_none(labels, eta)
        if y.ndim == 1:
            p = loss.response(eta) if loss.has_probabilities else _shares(loss, eta)
            own = p[np.arange(len(y)), encode_labels(y, np.asarray(loss.classes))]
            quality = own if loss.has_probabilities else np.exp(-losses)
            return cls(losses, quality, suggested, gains, p, none)
        quality = np.exp(-losses)
        if loss.has_probabilities:
            quality = loss.given_probabilities(y, eta).min(axis=1)
        return cls(losses, quality, suggested, gains, none, none)

    @classmethod
    def joined(cls, parts: Sequence[Judged], rows: Sequence[Array]) -> Self:
        """Return what was said of all rows, given the parts and which rows each is about."""
        order = np.argsort(np.concatenate(rows), kind="stable")
        names = [each.name for each in fields(cls)]
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts])[order] for name in names)
        )


def _shares(loss: Loss, eta: Array) -> Array:
    """Return exp(-loss) of every label in turn, summing to 1: what stands for probabilities."""
    assert loss.classes is not None
    each = [loss.value(loss.encode(np.full(len(eta), k)), eta) for k in loss.classes]
    losses = np.stack(each, axis=1)
    weights = np.exp(losses.min(axis=1, keepdims=True) - losses)
    return weights / weights.sum(axis=1, keepdims=True)


def _residuals(loss: Loss, targets: Array, eta: Array, y: Array) -> Array:
    """Return Pearson's residuals where the loss is a likelihood, else given minus predicted."""
    given = y.reshape(len(y), -1)
    residuals = given - loss.response(eta).reshape(len(y), -1)
    exact = np.abs(residuals) <= ROUNDING * np.abs(given).max()
    expected = loss.expected_hessian(targets, eta)
    if expected is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            residuals = loss.residual(targets, eta) / np.sqrt(expected)
        exact |= expected <= 0
    return np.where(exact, 0.0, residuals)


def with_raw_predictions(fitted: Fitted) -> OutputObjective:
    """Return the objective of a model; refuse one without predictions."""
    objective = fitted.objective()
    if not isinstance(objective, OutputObjective):
        raise ValueError(
            f"LabelAudit was given a model whose {type(objective).__name__} has no raw "
            "predictions, only losses of the parameters: no label can be held against another. "
            "Give the objective predict=."
        )
    return objective


def mechanism_for(fitted: Fitted, used: str, *, final: bool) -> Mechanism:
    """Return the mechanism by which rows are left out."""
    if used == AS_NEEDED and not final and not is_smoothed(fitted.final):
        # Where the fit stopped is good enough to choose suspects by.
        fitted = fitted.under(replace(fitted.options, refine=False))
    return fitted.mechanism("newton" if used == AS_NEEDED else used)


def training_judged(fitted: Fitted, used: str, y: Array, *, final: bool) -> Judged:
    """Return every row judged by the model that it is left out of."""
    objective: Any = with_raw_predictions(fitted)
    if used != "folds":
        objective = mechanism_for(fitted, used, final=final).objective
    return Judged.of(objective.loss, y, objective.raw_predictions(), fitted.classifier)


def affordable(fitted: Fitted) -> str:
    """Return Newton steps, "folds" where they would take more than ten fits do.

    That is a solve for every row and output, or a smoothed hinge for every pair of several classes.
    """
    objective: Any = fitted.objective()
    if is_frozen(fitted.estimator):
        return AS_NEEDED
    n, n_outputs = objective.n_samples, objective.loss.n_outputs
    size = min(objective.n_params, n * n_outputs)
    if not objective.coupled:
        size = min(objective.n_params // n_outputs, n)
    hinges = is_smoothed(fitted.final) and n_outputs > 2
    return "folds" if hinges or float(n) * n_outputs * size**2 > MOST_WORK else AS_NEEDED


def left_out_judged(fitted: Fitted, again: Fit, used: str, y: Array, *, final: bool) -> Judged:
    """Return every row judged by a model that never saw it.

    Parameters
    ----------
    fitted : Fitted
    again : callable
    used : str
    y : ndarray
        Targets of the rows of `fitted`.
    final : bool
        What is low is to be exact, and not only good enough to choose suspects by.
    """
    if used == "folds":
        return _by_folds(fitted, again, y)
    mechanism = mechanism_for(fitted, used, final=final)
    removal = mechanism.removal("exact" if used == AS_NEEDED else used)
    objective, n_jobs = mechanism.objective, fitted.options.n_jobs
    assert isinstance(objective, OutputObjective)
    loss = objective.loss
    if used != AS_NEEDED:
        eta, _ = left_out(removal, n_jobs, with_parameters=False)
        return Judged.of(loss, y, eta, fitted.classifier)
    assert isinstance(removal, ExactRemoval)
    removal = replace(removal, rtol=CLOSE)

    def wanted(eta: Array, steps: Array) -> Array:
        if not final or not fitted.classifier:
            return np.zeros(len(eta), dtype=bool)
        quality = Judged.of(loss, y, eta, fitted.classifier).quality
        trusted = tuning().trusted_shift * (loss.curvature_scale or 0.0)
        lengths = np.abs(steps).max(axis=1)
        low = (quality < SUSPECTED) & (lengths > SHORT * trusted)
        return low | ((quality < DOUBTFUL * SUSPECTED) & (lengths > trusted))

    return Judged.of(loss, y, left_out_where(removal, n_jobs, wanted), fitted.classifier)


def _by_folds(fitted: Fitted, again: Fit, y: Array) -> Judged:
    """Return every row judged by a fit without a tenth of the rows, of which it is one."""
    parts = alike_parts(y, FOLDS, fitted.classifier)
    n, n_jobs = len(y), fitted.options.n_jobs
    kept = [np.delete(np.arange(n), part) for part in parts]
    found = Parallel(n_jobs=n_jobs, prefer="processes", return_as="generator")(
        delayed(_judged_without)(again, rows, fitted.raw.X, y, part)
        for rows, part in zip(kept, parts, strict=True)
    )
    what = f"{len(parts)} fits without a part of {n:,} rows"
    judged = [*counted(found, what, len(parts), size=lambda _: 1, unit="fits")]
    return Judged.joined(judged, parts)


def _judged_without(again: Fit, kept: Array, X: Any, y: Array, rows: Array) -> Judged:
    """Return rows judged by a fit on others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the fit on all rows has said so
        model = again(kept)
    return judged_by(model, kept, X, y, rows)


def judged_by(model: Fitted, kept: Array, X: Any, y: Array, rows: Array) -> Judged:
    """Return rows judged by a model of others."""
    X_rows = take_columns(model.estimator, take_rows(X, rows), kept)
    features = accepted_features(model, X_rows, None, target="predict", kind="left-out")
    objective = with_raw_predictions(model).on(features, y[rows])
    return Judged.of(objective.loss, y[rows], objective.raw_predictions(), model.classifier)
