"""Which targets look wrong: every row judged by a model that saw neither it nor the suspects."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from skinfluence.adapters import is_frozen
from skinfluence.inspection import LabelQuality
from skinfluence.inspection.label_noise import SUSPECTED, confident_suspects, expected_errors
from skinfluence.inspection.outliers import noise_scale, quality_of_deviations
from skinfluence.losses import encode_labels
from skinfluence.mechanisms import mechanism_of
from skinfluence.process.row_names import listed, named_rows
from skinfluence.process.warnings import warn
from skinfluence.questions.editing import given_weights
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.folds import columns_of
from skinfluence.questions.judged import (
    AS_NEEDED,
    Fit,
    Judged,
    affordable,
    judged_by,
    left_out_judged,
    training_judged,
    with_raw_predictions,
)
from skinfluence.questions.left_out import (
    assumption_of_left_out,
    given_targets,
    loss_in_words,
    output_labels,
)
from skinfluence.questions.rows import by_label, only_ones_of_their_class
from skinfluence.typing import Array


@by_label
def label_audit(fitted: Fitted, again: Fit, *, method: str, passes: int) -> LabelQuality:
    """See `LabelAudit`.

    Parameters
    ----------
    fitted : Fitted
    again : callable
        From positions of rows to the same estimator fitted on them.
    method : str
    passes : {1, 2}
    """
    loss = with_raw_predictions(fitted).loss
    used = _method(fitted, method)
    _refuse_same_splits(fitted, used)
    y = given_targets(fitted).copy()  # the result has them as given, whatever becomes of them
    _refuse_numbers(fitted, y)
    _refuse_lone_labels(fitted, y)
    _warn_of_class_weights(fitted)
    one_pass = passes == 1 or (y.ndim == 2 and fitted.classifier)
    training = training_judged(fitted, used, y, final=one_pass)
    first = left_out_judged(fitted, again, used, y, final=one_pass)
    noise = _Noise.of(fitted, used, training, first)
    suspects, second = np.zeros(len(y), dtype=bool), None
    if not one_pass:
        suspects = _suspects(first, y, noise)
        suspects &= _dispensable(fitted, y, suspects)
        second = _second_pass(fitted, again, used, y, suspects)
    if second is None and used == AS_NEEDED and not one_pass:
        training = training_judged(fitted, used, y, final=True)
        first = left_out_judged(fitted, again, used, y, final=True)
    final = first if second is None else second
    deviations = None if fitted.classifier else noise.deviations(final)
    quality = final.quality if deviations is None else quality_of_deviations(deviations)
    _refuse_unknown(quality, used)
    return LabelQuality(
        quality=quality,
        losses=final.losses,
        training_losses=training.losses,
        self_influence=first.losses - training.losses,
        targets=y,
        suggested=final.suggested,
        gains=final.gains,
        deviations=deviations,
        row_labels=fitted.row_labels,
        method=used,
        passes=1 if second is None else 2,
        left_aside=np.empty(0, dtype=int) if second is None else np.flatnonzero(suspects),
        loss=loss_in_words(fitted, loss),
        classifier=fitted.classifier,
        output_labels=output_labels(fitted, y.shape[1]) if y.ndim == 2 else None,
        assumed=_assumed(fitted, used),
        expected=_expected(fitted, first, final, y) if loss.has_probabilities else None,
        origin=fitted.origin,
        given=fitted.given,
    )


def _method(fitted: Fitted, method: str) -> str:
    """Return by what rows are left out."""
    if method == "folds":
        return method
    used = fitted.method(method, "label_audit")
    return affordable(fitted) if method == "auto" and used == "newton" else used


def _assumed(fitted: Fitted, used: str) -> str:
    return "" if used in ("folds", AS_NEEDED) else assumption_of_left_out(fitted, used)


def _suspects(judged: Judged, y: Array, noise: _Noise) -> Array:
    """Return the rows that the second pass is better off without, bool of shape (n_train,)."""
    if judged.residuals.shape[1]:
        suspects: Array = quality_of_deviations(noise.deviations(judged)) < SUSPECTED
        return suspects
    low = (judged.quality < SUSPECTED) & _differ(judged.suggested, y)
    if judged.probabilities.shape[1]:
        given = encode_labels(y, np.unique(y))
        low &= confident_suspects(judged.probabilities, given)
    return low


def _differ(suggested: Array, y: Array) -> Array:
    different: Array = np.any(np.asarray(suggested != y).reshape(len(y), -1), axis=1)
    return different


def _dispensable(fitted: Fitted, y: Array, suspects: Array) -> Array:
    """Return which rows may leave such that of every label two rows stay that count."""
    if not fitted.classifier:
        return np.full(len(y), not suspects.all())
    weights = fitted.training.sample_weight
    counted = np.ones(len(y)) if weights is None else (np.asarray(weights) > 0).astype(float)
    enough = np.ones(len(y), dtype=bool)
    for column in columns_of(y):
        codes = encode_labels(column, np.unique(column))
        enough &= np.bincount(codes, weights=counted * ~suspects)[codes] >= 2
    return enough


def _second_pass(fitted: Fitted, again: Fit, used: str, y: Array, suspects: Array) -> Judged | None:
    """Return every row judged by a model that saw neither it nor the suspects; None without one."""
    rows, kept = np.flatnonzero(suspects), np.flatnonzero(~suspects)
    try:
        smaller = again(kept) if len(rows) else fitted
        stay = left_out_judged(smaller, _Among(again, kept), used, y[kept], final=True)
        parts = [stay]
        if len(rows):
            parts.append(judged_by(smaller, kept, fitted.raw.X, y, rows))
    except ValueError as error:
        warn(
            f"Without {len(rows):,} suspects there is no model to judge the rows by, so that "
            f"numbers are those of the first pass: {error}",
            UserWarning,
        )
        return None
    return Judged.joined(parts, [kept, rows][: len(parts)])


@dataclass(frozen=True)
class _Among:
    """Fits on some of the rows that are kept."""

    again: Fit
    kept: Array

    def __call__(self, rows: Array) -> Fitted:
        return self.again(self.kept[rows])


@dataclass(frozen=True)
class _Noise:
    """What is noise in a left-out residual of a regressor.

    A left-out residual is e / (1 - h), where e is the residual of the fit and h the leverage, and
    its standard deviation s / sqrt(1 - h): the two residuals say what the leverage is. That of the
    first pass serves the second, too.

    Attributes
    ----------
    stays : ndarray of shape (n_train, n_outputs) or (n_train, 1)
        sqrt(1 - h); 1 where rows are left out by refits, which say nothing of it.
    least : float
        s at least: 1 for counts, of which the loss knows how far they scatter.
    """

    stays: Array
    least: float

    @classmethod
    def of(cls, fitted: Fitted, used: str, training: Judged, first: Judged) -> _Noise:
        """Return the noise, by the residuals of the fit and those of the first pass."""
        least = 1.0 if with_raw_predictions(fitted).loss.unit_dispersion else 0.0
        if fitted.classifier or used == "folds":
            return cls(np.ones((len(first.losses), 1)), least)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(first.residuals == 0, 1.0, training.residuals / first.residuals)
        return cls(np.sqrt(np.clip(ratios, 0.0, 1.0)), least)

    def deviations(self, judged: Judged) -> Array:
        """Return left-out residuals in units of their noise; of several targets the largest."""
        scaled = judged.residuals * self.stays
        deviations = scaled / noise_scale(scaled, self.least)
        largest = np.argmax(np.abs(deviations), axis=1)
        return deviations[np.arange(len(deviations)), largest]


def _expected(fitted: Fitted, first: Judged, final: Judged, y: Array) -> dict[str, Any] | None:
    """Return how many labels are expected to be wrong, of the rows that have a weight.

    None for several labels a row, of regressors, and where class weights move the probabilities.
    """
    if not final.probabilities.shape[1] or _class_weight(fitted) is not None:
        return None
    counted = given_weights(fitted) > 0
    given = encode_labels(y, np.unique(y))[counted]
    same, p = final is first, final.probabilities[counted]
    return asdict(expected_errors(p if same else first.probabilities[counted], p, given))


def _class_weight(fitted: Fitted) -> Any:
    return getattr(fitted.final, "class_weight", None)


def _warn_of_class_weights(fitted: Fitted) -> None:
    """Say that probabilities are not those of the labels as they come."""
    weights = _class_weight(fitted)
    if fitted.classifier and weights is not None:
        warn(
            f"{type(fitted.final).__name__}(class_weight={weights!r}) was given: its probabilities "
            "are of data in which the weighed classes are more common, and many right labels of "
            "the others look wrong. Audit it with class_weight=None; without, nothing is said of "
            "how many are wrong.",
            UserWarning,
        )


def _refuse_same_splits(fitted: Fitted, used: str) -> None:
    """Refuse folds of trees that came fitted: what they would be left out of saw them."""
    if used == "folds" and is_frozen(fitted.estimator) and mechanism_of(fitted.objective()).held:
        raise ValueError(
            f"LabelAudit was given a {type(fitted.final).__name__} that is fitted already, and its "
            "splits saw every row: without fitting again none is judged fairly. Pass the "
            "estimator itself, or, of a bagged forest, method='out_of_bag'."
        )


def _refuse_numbers(fitted: Fitted, y: Array) -> None:
    """Refuse numbers that most rows have one each of: targets of a regression."""
    n_labels = len(np.unique(y)) if y.ndim == 1 else 0
    if fitted.classifier and n_labels > max(0.25 * len(y), 20) and y.dtype.kind in "if":
        raise ValueError(
            f"LabelAudit was given {n_labels} different numbers as the labels of {len(y)} rows, "
            "which look like the targets of a regression. Pass a regressor, such as Ridge(), for "
            "these."
        )


def _refuse_lone_labels(fitted: Fitted, y: Array) -> None:
    """Refuse labels that no other row could speak for."""
    if not fitted.classifier:
        return
    names = [""] if y.ndim == 1 else [f"{each}: " for each in output_labels(fitted, y.shape[1])]
    weights = fitted.training.sample_weight
    alone = [
        f"{name}{label}" if name else label
        for name, column in zip(names, columns_of(y), strict=True)
        for label in column[only_ones_of_their_class(column, weights)].tolist()
    ]
    if alone:
        raise ValueError(
            f"LabelAudit was given labels of one row each, {listed(alone)}: without it no model "
            "knows the label, and nothing speaks for or against it. At least two rows of every "
            "label are accepted; leave these out, or join them with others."
        )


def _refuse_unknown(quality: Array, used: str) -> None:
    """Refuse a model whose predictions are no numbers."""
    unknown = np.flatnonzero(np.isnan(quality))
    if len(unknown) and used != "out_of_bag":  # which names rows that no tree was grown without
        raise ValueError(
            f"The models without them predict nan for {len(unknown)} rows, the first "
            f"{named_rows(unknown[:1])}; finite predictions are accepted. Look at the fit: "
            "features or parameters may be too large, or the solver has diverged."
        )
