"""Which targets look wrong: every row judged by a model that saw neither it nor the suspects."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils.parallel import Parallel, delayed

from skinfluence.adapters import is_frozen, is_smoothed
from skinfluence.effects import left_out, left_out_where
from skinfluence.inspection import LabelQuality
from skinfluence.inspection.label_noise import SUSPECTED, confident_suspects, expected_errors
from skinfluence.inspection.outliers import (
    noise_scale,
    quality_of_deviations,
)
from skinfluence.losses import Loss, encode_labels
from skinfluence.mechanisms import Mechanism, mechanism_of
from skinfluence.objectives import OutputObjective
from skinfluence.process.progress import counted
from skinfluence.process.row_names import listed, named_rows
from skinfluence.process.tuning import tuning
from skinfluence.process.warnings import warn
from skinfluence.questions.evaluation import accepted_features
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.left_out import (
    assumption_of_left_out,
    given_targets,
    labels_or_none,
    loss_in_words,
    output_labels,
)
from skinfluence.questions.rows import by_label, only_ones_of_their_class
from skinfluence.removal import ExactRemoval
from skinfluence.retraining import take_columns, take_rows
from skinfluence.typing import Array

FOLDS = 10
"""Parts of the rows that are left out together where each alone would cost more."""

DOUBTFUL = 2.0
"""Up to how many times `SUSPECTED` a quality by a Newton step is held against the minimum."""

SHORT = 0.2
"""Part of a trusted step up to which it is as good as the minimum: qualities are off by .001."""

CLOSE = 0.01
"""Gradient at which a minimum is close enough, as a part of what leaving the row caused.

Qualities below `SUSPECTED` are then within .002 of the exact ones, on seven data sets with 10 % of
their labels flipped, in half of the time.
"""

MOST_WORK = 2e10
"""Multiplications of a pass beyond which tenths of the rows are left out, and not each row.

About two seconds. Ten fits of a logistic regression take less by then, and judge labels as well.
"""

ROUNDING = 1e-13
"""Part of the largest target below which residuals are none, so that no error of it stands out."""

Refit = Callable[[Array], Fitted]
"""Fits the same estimator on some of the rows, by their positions."""


@by_label
def label_audit(fitted: Fitted, again: Refit, *, method: str, passes: int) -> LabelQuality:
    """See `LabelAudit`.

    Parameters
    ----------
    fitted : Fitted
    again : callable
        From positions of rows to the same estimator fitted on them.
    method : str
    passes : {1, 2}
    """
    used = _method(fitted, method)
    _refuse_same_splits(fitted, used)
    y = given_targets(fitted).copy()  # the result has them as given, whatever becomes of them
    _refuse_lone_labels(fitted, y)
    _with_raw_predictions(fitted)
    one_pass = passes == 1 or (y.ndim == 2 and fitted.classifier)
    used = _affordable(fitted, used)
    training = _training(fitted, used, y, final=one_pass)
    first = _left_out(fitted, again, used, y, final=one_pass)
    unit = np.ones_like(first.losses)[:, None]
    if not fitted.classifier and used != "folds":
        unit = _noise_of_left_out(training.residuals, first.residuals)
    suspects = _suspects(first, y, unit)
    second = None
    if not one_pass:
        suspects &= _dispensable(fitted, y, suspects)
        second = _second_pass(fitted, again, used, y, suspects)
    if second is None and used == "auto" and not one_pass:
        training = _training(fitted, used, y, final=True)
        first = _left_out(fitted, again, used, y, final=True)
    final = first if second is None else second
    deviations = None if fitted.classifier else _deviations(final, unit)
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
        loss=loss_in_words(fitted, _with_raw_predictions(fitted).loss),
        classifier=fitted.classifier,
        output_labels=output_labels(fitted, y.shape[1]) if y.ndim == 2 else None,
        assumed="" if used == "folds" else assumption_of_left_out(fitted, _plain(used)),
        expected=_expected(first, second, y),
        origin=fitted.origin,
        given=fitted.given,
    )


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
        Or exp(-loss) of every class, summing to 1, which are not `calibrated`. Without columns
        where there are several labels a row, and of regressors.
    residuals : ndarray of shape (n_rows, n_outputs)
        Given minus predicted, in units of the scatter that the loss expects; without columns of
        classifiers.
    calibrated : bool
        Whether the model calls its `probabilities` so.
    least_noise : float
        Standard deviation of the residuals that the loss knows of: 1 for Poisson counts.
    """

    losses: Array
    quality: Array
    suggested: Array
    gains: Array
    probabilities: Array
    residuals: Array
    calibrated: bool = False
    least_noise: float = 0.0

    @classmethod
    def of(cls, loss: Loss, y: Array, eta: Array, classifier: bool) -> Self:
        """Return what raw predictions (n_rows, K) say of targets as they were given."""
        targets, none = loss.encode(y), np.empty((len(y), 0))
        losses = loss.value(targets, eta)
        if not classifier:
            suggested = loss.response(eta)
            best = loss.value(loss.encode(suggested), eta)
            residuals = _residuals(loss, targets, eta, y)
            suggested = suggested.reshape(y.shape)
            least = 1.0 if loss.unit_dispersion else 0.0
            quality, gains = np.exp(-losses), losses - best
            return cls(losses, quality, suggested, gains, none, residuals, least_noise=least)
        known = ~np.isnan(eta).any(axis=1)
        labels = loss.decide(eta)
        labels[~known] = y[~known]
        gains = losses - loss.value(loss.encode(labels), eta)
        suggested = labels_or_none(labels, eta)
        if y.ndim == 1:
            p = loss.response(eta) if loss.has_probabilities else _shares(loss, eta)
            own = p[np.arange(len(y)), encode_labels(y, np.asarray(loss.classes))]
            quality = own if loss.has_probabilities else np.exp(-losses)
            return cls(losses, quality, suggested, gains, p, none, loss.has_probabilities)
        quality = np.exp(-losses)
        if loss.has_probabilities:
            quality = loss.given_probabilities(y, eta).min(axis=1)
        return cls(losses, quality, suggested, gains, none, none)

    @classmethod
    def joined(cls, parts: Sequence[Judged], rows: Sequence[Array]) -> Judged:
        """Return what was said of all rows, given the parts and which rows each is about."""
        order = np.argsort(np.concatenate(rows), kind="stable")
        alike = ("calibrated", "least_noise")
        names = [each.name for each in fields(cls) if each.name not in alike]
        all_of = {name: np.concatenate([getattr(each, name) for each in parts]) for name in names}
        changed: Any = {name: values[order] for name, values in all_of.items()}
        return replace(parts[0], **changed)


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


def _method(fitted: Fitted, method: str) -> str:
    """Return by what rows are left out: "newton" is followed by "exact" for those that matter."""
    if method == "folds":
        return method
    used = fitted.method(method, "label_audit")
    if method == "auto" and used == "newton":
        return "auto"
    return used


def _plain(used: str) -> str:
    return "newton" if used == "auto" else used


def _with_raw_predictions(fitted: Fitted) -> OutputObjective:
    objective = fitted.objective()
    if not isinstance(objective, OutputObjective):
        raise ValueError(
            f"LabelAudit was given a model whose {type(objective).__name__} has no raw "
            "predictions, only losses of the parameters: no label can be held against another. "
            "Give the objective predict=."
        )
    return objective


def _mechanism(fitted: Fitted, used: str, *, final: bool) -> Mechanism:
    """Return the mechanism by which rows are left out."""
    if used == "auto" and not final and not is_smoothed(fitted.final):
        # Where the fit stopped is good enough to choose suspects by.
        fitted = fitted.under(replace(fitted.options, refine=False))
    return fitted.mechanism("newton" if used == "auto" else used)


def _training(fitted: Fitted, used: str, y: Array, *, final: bool) -> Judged:
    """Return every row judged by the model that it is left out of."""
    objective: Any = _with_raw_predictions(fitted)
    if used != "folds":
        objective = _mechanism(fitted, used, final=final).objective
    return Judged.of(objective.loss, y, objective.raw_predictions(), fitted.classifier)


def _affordable(fitted: Fitted, used: str) -> str:
    """Return folds where "auto" would solve for so much that ten fits cost less.

    A solve for every row and output, or a smoothed hinge for every pair of several classes.
    """
    objective: Any = fitted.objective()
    if used != "auto" or is_frozen(fitted.estimator):
        return used
    n, n_outputs = objective.n_samples, objective.loss.n_outputs
    size = min(objective.n_params, n * n_outputs)
    if not objective.coupled:
        size = min(objective.n_params // n_outputs, n)
    hinges = is_smoothed(fitted.final) and n_outputs > 2
    return "folds" if hinges or float(n) * n_outputs * size**2 > MOST_WORK else used


def _left_out(fitted: Fitted, again: Refit, used: str, y: Array, *, final: bool) -> Judged:
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
    mechanism = _mechanism(fitted, used, final=final)
    removal = mechanism.removal("exact" if used == "auto" else used)
    objective, n_jobs = mechanism.objective, fitted.options.n_jobs
    assert isinstance(objective, OutputObjective)
    loss = objective.loss
    if used != "auto":
        eta, _ = left_out(removal, n_jobs, with_parameters=False)
        return Judged.of(loss, y, eta, fitted.classifier)
    assert isinstance(removal, ExactRemoval)
    removal = replace(removal, rtol=CLOSE)

    def wanted(eta: Array, steps: Array) -> Array:
        if not final or not fitted.classifier:
            return np.zeros(len(eta), dtype=bool)
        quality = Judged.of(loss, y, eta, fitted.classifier).quality
        scale = loss.curvature_scale or 0.0  # of a step so much shorter, none of the error is seen
        far = np.abs(steps).max(axis=1) > SHORT * tuning().trusted_shift * scale
        return far & (quality < DOUBTFUL * SUSPECTED)

    return Judged.of(loss, y, left_out_where(removal, n_jobs, wanted), fitted.classifier)


def _by_folds(fitted: Fitted, again: Refit, y: Array) -> Judged:
    """Return every row judged by a fit without a tenth of the rows, of which it is one."""
    parts = _folds(y, fitted.classifier)
    n, n_jobs = len(y), fitted.options.n_jobs
    kept = [np.delete(np.arange(n), part) for part in parts]
    found = Parallel(n_jobs=n_jobs, prefer="processes", return_as="generator")(
        delayed(_judged_without)(again, rows, fitted.raw.X, y, part)
        for rows, part in zip(kept, parts, strict=True)
    )
    what = f"{len(parts)} fits without a part of {n:,} rows"
    judged = [*counted(found, what, len(parts), size=lambda _: 1, unit="fits")]
    return Judged.joined(judged, parts)


def _folds(y: Array, classifier: bool) -> list[Array]:
    """Return parts of the rows, alike in classes; of several labels a row in its rarest one."""
    n, strata = len(y), _rarest_labels(y) if classifier else np.arange(len(y))
    n_folds = min(FOLDS, int(np.bincount(strata).max()) if classifier else n)
    split: Any = (StratifiedKFold if classifier else KFold)(n_folds, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than parts
        return [part for _, part in split.split(np.zeros((n, 1)), strata)]


def _rarest_labels(y: Array) -> Array:
    """Return a number for the label of every row; of several for that which fewest rows have."""
    columns = [np.unique(column, return_inverse=True)[1] for column in _columns(y)]
    counts = np.stack([np.bincount(codes)[codes] for codes in columns])
    rarest = np.argmin(counts, axis=0)
    codes = np.stack(columns)[rarest, np.arange(len(y))]
    _, numbers = np.unique(rarest * (codes.max() + 1) + codes, return_inverse=True)
    return np.asarray(numbers)


def _columns(y: Array) -> Array:
    """Return the labels of every output, a line each."""
    return y.reshape(len(y), -1).T


def _judged_without(again: Refit, kept: Array, X: Any, y: Array, rows: Array) -> Judged:
    """Return rows judged by a fit on others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the fit on all rows has said so
        model = again(kept)
    return _judged_by(model, kept, X, y, rows)


def _judged_by(model: Fitted, kept: Array, X: Any, y: Array, rows: Array) -> Judged:
    """Return rows judged by a model of others."""
    X_rows = take_columns(model.estimator, take_rows(X, rows), kept)
    features = accepted_features(model, X_rows, None, target="predict", kind="left-out")
    objective = _with_raw_predictions(model).on(features, y[rows])
    return Judged.of(objective.loss, y[rows], objective.raw_predictions(), model.classifier)


def _suspects(judged: Judged, y: Array, unit: Array) -> Array:
    """Return the rows that the second pass is better off without, bool of shape (n_train,)."""
    if judged.residuals.shape[1]:
        return quality_of_deviations(_deviations(judged, unit)) < SUSPECTED
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
    for column in _columns(y):
        codes = encode_labels(column, np.unique(column))
        enough &= np.bincount(codes, weights=counted * ~suspects)[codes] >= 2
    return enough


def _second_pass(
    fitted: Fitted, again: Refit, used: str, y: Array, suspects: Array
) -> Judged | None:
    """Return every row judged by a model that saw neither it nor the suspects; None without one."""
    rows, kept = np.flatnonzero(suspects), np.flatnonzero(~suspects)
    try:
        smaller = again(kept) if len(rows) else fitted
        stay = _left_out(smaller, _Among(again, kept), used, y[kept], final=True)
        parts = [stay]
        if len(rows):
            parts.append(_judged_by(smaller, kept, fitted.raw.X, y, rows))
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

    again: Refit
    kept: Array

    def __call__(self, rows: Array) -> Fitted:
        return self.again(self.kept[rows])


def _noise_of_left_out(training: Array, left_out: Array) -> Array:
    """Return sqrt(1 - h), the noise of a residual as a part of that of a left-out one, (n, 1).

    A left-out residual is e / (1 - h) where e is the residual of the fit and h the leverage, and
    its standard deviation s / sqrt(1 - h): the two residuals say what the leverage is.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        stays = np.where(left_out == 0, 1.0, training / left_out)
    return np.sqrt(np.clip(stays, 0.0, 1.0))


def _deviations(judged: Judged, unit: Array) -> Array:
    """Return left-out residuals in units of their noise; of several targets the largest, (n,)."""
    scaled = judged.residuals * unit
    deviations = scaled / noise_scale(scaled, judged.least_noise)
    largest = np.argmax(np.abs(deviations), axis=1)
    return deviations[np.arange(len(deviations)), largest]


def _expected(first: Judged, second: Judged | None, y: Array) -> dict[str, Any] | None:
    """Return how many labels are expected to be wrong; None without probabilities."""
    final = first if second is None else second
    if not final.probabilities.shape[1] or not first.calibrated:
        return None
    given = encode_labels(y, np.unique(y))
    return asdict(expected_errors(first.probabilities, final.probabilities, given))


def _refuse_same_splits(fitted: Fitted, used: str) -> None:
    """Refuse folds of trees that came fitted: what they would be left out of saw them."""
    if used == "folds" and is_frozen(fitted.estimator) and mechanism_of(fitted.objective()).held:
        raise ValueError(
            f"LabelAudit was given a {type(fitted.final).__name__} that is fitted already, and its "
            "splits saw every row: without fitting again none is judged fairly. Pass the "
            "estimator itself, or, of a bagged forest, method='out_of_bag'."
        )


def _refuse_lone_labels(fitted: Fitted, y: Array) -> None:
    """Refuse labels that no other row could speak for."""
    if not fitted.classifier:
        return
    if y.ndim == 1 and len(np.unique(y)) > 0.5 * len(y) > 10 and y.dtype.kind in "if":
        raise ValueError(
            f"LabelAudit was given {len(np.unique(y))} different numbers as the labels of "
            f"{len(y)} rows, which look like the targets of a regression. Pass a regressor, such "
            "as Ridge(), for these."
        )
    names = [""] if y.ndim == 1 else [f"{each}: " for each in output_labels(fitted, y.shape[1])]
    weights = fitted.training.sample_weight
    alone = [
        f"{name}{label}" if name else label
        for name, column in zip(names, _columns(y), strict=True)
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
