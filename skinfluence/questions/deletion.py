"""The model without rows, and the certificate of what that leaves undone."""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator

from skinfluence.adapters import (
    Training,
    choices_of_searches,
    fit_recorded,
    fitted_numbers,
    freezes_transformers,
    frozen_transformers,
    is_smoothed,
    left_over,
    recorded,
    tables_of_searches,
    transformers_that_learned,
    write_parameters,
)
from skinfluence.inspection import Certificate
from skinfluence.mechanisms import Mechanism, mechanism_of
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.process.row_names import index_of
from skinfluence.process.versions import versions
from skinfluence.questions.editing import given_weights, refuse_groups, refuse_products
from skinfluence.questions.evaluation import as_array
from skinfluence.questions.fitted import Answers, Fitted
from skinfluence.questions.groups import masks_given
from skinfluence.questions.options import Options
from skinfluence.questions.refits import around
from skinfluence.questions.rows import by_label, rows_given
from skinfluence.retraining import (
    NETWORKS,
    choices_of,
    opened,
    reads_gamma,
    take_params,
    take_rows,
    with_choices_frozen,
)
from skinfluence.typing import Array

_OTHER_FEATURES = (
    "transformers='refit' was asked for, and they give other features without these rows: {error} "
    "A network cannot go on with these. Use transformers='frozen', fix what transformers learn "
    "(categories, a vocabulary, n_components), or fit the Pipeline again."
)


@dataclass(frozen=True, eq=False)
class Deletion:
    """A model without rows, and what its parameters were moved by.

    Attributes
    ----------
    result : Fitted
        Over the rows that stay.
    gradient_norm, gradient_norm_before : float
        Of the objective over these rows, at the parameters written and at those before.
    refitted : bool
        Whether scikit-learn fitted the final step anew, which then holds nothing of the rows.
    records : list of str
        Which numbers of the fit on all rows were left.
    distance : float
        How far the fit was from its optimum before, in units of the sampling noise.
    """

    result: Fitted
    gradient_norm: float
    gradient_norm_before: float
    refitted: bool
    records: list[str]
    distance: float = 0.0


@by_label
def without(
    fitted: Fitted,
    rows: Any = None,
    *,
    positions: Any = None,
    labels: Any = None,
    method: str = "exact",
    transformers: str = "frozen",
    previous: Certificate | None = None,
) -> tuple[Fitted, Certificate]:
    """See `InfluenceClassifier.without`.

    Parameters
    ----------
    previous : Certificate, optional
        Of the deletion that `fitted` came from.

    Returns
    -------
    Fitted
        Over the rows that stay; its temperature is that of the model the rows left.
    Certificate
    """
    used = fitted.method(method, "without")
    _check_transformers(fitted, transformers, used)
    refuse_products(fitted, "without")
    _refuse_held_out(fitted)
    gone = rows_given(fitted, rows, positions, labels)
    mask = np.zeros((1, fitted.n_train), dtype=bool)
    mask[0, gone] = True
    masks, _ = masks_given(mask, fitted.n_train)
    refuse_groups(fitted, masks)
    kept = np.flatnonzero(~mask[0])
    if transformers == "frozen":
        deletion = _moved(fitted, masks, kept, used)
    else:
        deletion = _fitted_anew(fitted, kept, used)
    return deletion.result, _certificate(deletion, fitted, gone, used, transformers, previous)


def _check_transformers(fitted: Fitted, transformers: str, method: str) -> None:
    if transformers not in ("frozen", "refit"):
        raise ValueError(
            f"transformers={transformers!r} was given; accepted are 'frozen' and 'refit'."
        )
    if transformers == "frozen":
        return
    if freezes_transformers(fitted.estimator):
        raise ValueError(
            "transformers='refit' was asked for, but a FrozenEstimator keeps the transformers as "
            "they are. Use transformers='frozen', or wrap the Pipeline itself and fit it here."
        )
    if method not in mechanism_of(fitted.objective()).minimising:
        raise ValueError(
            f"transformers='refit' was asked for with method={method!r}: of new features there is "
            "no optimum yet to make a step from. Use method='exact'."
        )


def _moved(fitted: Fitted, masks: Any, kept: Array, method: str) -> Deletion:
    """Return a copy whose final step is moved to the optimum without rows, or towards it."""
    mechanism = fitted.mechanism(method)
    before, moved = mechanism.without(masks, method)
    result = _copy_of(fitted, kept)
    if (record := recorded(result.estimator)) is not None:
        record.checkpoints_ = []  # of a training on other rows
    numbers = fitted_numbers(result.final)
    refitted, after = _written(result, moved)
    norm, norm_before = (mechanism.gradient_norm(each) for each in (after, before))
    if np.any(after.l2 > 0):  # in the scale of the fit on the rows that stay
        norm_before /= float(before.l2.sum() / after.l2.sum())
    records = tables_of_searches(result.estimator)
    if not refitted:
        records += left_over(numbers, result.final)
    refinement = mechanism.refinement
    distance = 0.0 if refinement is None else float(refinement.relative_distance)
    return Deletion(result, norm, norm_before, refitted, records, distance)


def _fitted_anew(fitted: Fitted, kept: Array, method: str) -> Deletion:
    """Return everything fitted without rows, the final step moved to its optimum.

    What was chosen stays. A network goes on from its weights; all others scikit-learn fits.
    """
    X, y = take_rows(fitted.raw.X, kept), take_rows(fitted.raw.y, kept)
    final, weights = fitted.final, fitted.training.sample_weight
    goes_on = type(final) in NETWORKS
    with sklearn.config_context(enable_metadata_routing=fitted.routing):
        if goes_on:
            start: Any = FrozenEstimator(deepcopy(final))
        else:
            start = with_choices_frozen(final, fitted.training.X, weights)
        estimator, params = around(fitted, start)
        params = take_params(params, kept, fitted.n_train)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the optimum is reached below
            try:
                training = fit_recorded(estimator, X, y, params)
            except ValueError as error:
                if goes_on and f"expecting {final.n_features_in_} features" in str(error):
                    raise ValueError(_OTHER_FEATURES.format(error=error)) from error
                raise
    if training.sample_weight is None and weights is not None:  # a frozen step asks for none
        training = replace(training, sample_weight=take_rows(weights, kept))
    result = replace(
        fitted,
        estimator=opened(estimator),
        training=replace(training, y=as_array(training.y)),
        raw=Training(X, y, None),
        fit_params=params,
        options=replace(_options_of(fitted), refine=True),
        answers=Answers(),
    )
    mechanism = _at_the_optimum(result, method)
    norm_before = mechanism.gradient_norm(result.objective())
    result = replace(result, options=_options_of(fitted), answers=Answers())
    numbers = fitted_numbers(result.final)
    refitted, after = _written(result, mechanism.reference)
    records = left_over(numbers, result.final) if goes_on else []
    return Deletion(result, mechanism.gradient_norm(after), norm_before, refitted, records)


def _at_the_optimum(fitted: Fitted, method: str) -> Mechanism:
    """Return the mechanism of a model that is about to be moved there.

    Raises
    ------
    ValueError
        Where it cannot be.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        warnings.filterwarnings(
            "ignore", ".* stopped before its stationary point", ConvergenceWarning
        )
        try:
            return fitted.mechanism(method)
        except ConvergenceWarning as error:
            raise ValueError(
                f"{error} Or delete by transformers='frozen', method='newton'."
            ) from error


def _written(result: Fitted, moved: Objective) -> tuple[bool, Objective]:
    """Write parameters into the estimator of a result; return its objective anew.

    Returns
    -------
    bool
        Whether the final step was fitted anew instead.
    Objective
    """
    refitted = write_parameters(result.final, moved, result.training.X)
    after = result.objective()
    if after.has_no_optimum():
        raise ValueError(
            "Without these row(s) the rows that stay are separated, and larger coefficients always "
            "fit better: there is no finite optimum. Fit with a penalty (a finite C), or keep some "
            "of the rows."
        )
    return refitted, after


def _certificate(
    deletion: Deletion,
    fitted: Fitted,
    gone: Array,
    method: str,
    transformers: str,
    previous: Certificate | None,
) -> Certificate:
    """Return the certificate of a deletion, which accounts for those before it."""
    positions = np.arange(fitted.n_train)
    if previous is not None:
        whole = np.arange(fitted.n_train + len(previous.rows))
        positions = np.delete(whole, previous.rows)
    has_labels = index_of(fitted.raw.X) is not None
    estimator, anew = deletion.result.estimator, transformers == "refit"
    seen = fitted.n_train + (0 if previous is None else previous.n_in_transformers)
    learned = frozen_transformers(estimator) if anew else transformers_that_learned(estimator, seen)
    choices = [*choices_of_searches(fitted.estimator), *choices_of(fitted.final)]
    held = mechanism_of(fitted.objective()).held
    if not anew:
        choices += held
    if not anew and reads_gamma(fitted.final):
        choices.append(f"{type(fitted.final).__name__}: the number that gamma='scale' was")
    origin = deletion.result.origin
    certificate = Certificate(
        model=type(fitted.final).__name__,
        method=method,
        transformers=transformers,
        n_removed=len(gone),
        n_left=fitted.n_train - len(gone),
        gradient_norm=deletion.gradient_norm,
        gradient_norm_before=deletion.gradient_norm_before,
        refitted=deletion.refitted,
        distance=deletion.distance,
        rows=positions[gone],
        row_labels=(fitted.row_labels if has_labels else positions)[gone],
        deletions=np.ones(len(gone), dtype=int),
        dates=(origin.created,),
        fitted_anew=int(anew),
        in_transformers=tuple(learned),
        in_choices=tuple(choices),
        in_records=tuple(deletion.records),
        versions=versions(),
        same_splits=bool(held),
        origin=origin,
    )
    return certificate if previous is None else certificate.following(previous)


def _refuse_held_out(fitted: Fitted) -> None:
    """Refuse deletion where some rows did not train, which a copy could not know."""
    base = fitted.objective()
    held_out = np.any((base.sample_weight == 0) & (given_weights(fitted) > 0))
    if held_out and type(fitted.final) in NETWORKS:
        raise ValueError(
            f"without was asked of {type(fitted.final).__name__}("
            "early_stopping=True), which holds rows out of the fit: of other rows it would "
            "hold out others. Fit with early_stopping=False."
        )


def _options_of(fitted: Fitted) -> Options:
    """Return the options, with the temperature that would else be read off the moved model."""
    if not is_smoothed(fitted.final):
        return fitted.options
    base = fitted.objective()
    assert isinstance(base, OutputObjective)
    return replace(fitted.options, temperature=base.loss.temperature)


def _copy_of(fitted: Fitted, kept: Array) -> Fitted:
    """Return a copy over some of the training rows, its estimator still as it was."""
    data, raw = fitted.training, fitted.raw
    weights = None if data.sample_weight is None else take_rows(data.sample_weight, kept)
    return replace(
        fitted,
        estimator=deepcopy(fitted.estimator),
        training=Training(take_rows(data.X, kept), take_rows(data.y, kept), weights),
        raw=Training(take_rows(raw.X, kept), take_rows(raw.y, kept), None),
        fit_params=take_params(fitted.fit_params, kept, fitted.n_train),
        options=_options_of(fitted),
        answers=Answers(),
    )
