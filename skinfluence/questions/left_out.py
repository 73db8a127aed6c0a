"""Every training row without itself: its loss, its prediction, the parameters, diagnostics."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.adapters import target_transformers
from skinfluence.effects import left_out, self_effects
from skinfluence.inspection import Diagnostics, LeaveOneOut, ParameterInfluence, SelfInfluence
from skinfluence.losses import Loss
from skinfluence.losses.words import in_words
from skinfluence.mechanisms import Mechanism, mechanism_of
from skinfluence.objectives import LinearFeatures, Objective, OutputObjective
from skinfluence.objectives.independent import Independent
from skinfluence.process.memory import require_memory
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.names import (
    coefficients_given,
    output_names,
    parameter_names,
    target_names,
)
from skinfluence.questions.rows import by_label, warn_of_lonely_rows
from skinfluence.questions.scoring import training_path
from skinfluence.removal import Counterfactuals
from skinfluence.retraining import take_rows
from skinfluence.typing import Array


@by_label
def leave_one_out(
    fitted: Fitted, *, method: str | None = None, return_parameters: bool = False
) -> LeaveOneOut:
    """See `InfluenceClassifier.leave_one_out`."""
    used = method_of_left_out(fitted, method)
    objective = _with_raw_predictions(fitted, "leave_one_out", used)
    warn_of_lonely_rows(fitted)
    mechanism = fitted.mechanism(used)
    removal = mechanism.removal(used)
    n_jobs = fitted.options.n_jobs
    eta, changes = left_out(removal, n_jobs, with_parameters=return_parameters)
    parameters = None
    if changes is not None:
        changes = mechanism.in_all_parameters(changes, removal)
        changes += mechanism.reference.theta  # in place: they are as large as anything here
        parameters = as_given(mechanism.reference, changes)
    loss, targets = objective.loss, given_targets(fitted)
    if fitted.classifier:
        predictions = labels_or_none(loss.decide(eta), eta)
    else:
        predictions = loss.response(eta)
        like = fitted.estimator.predict(take_rows(fitted.raw.X, np.array([0])))
        predictions = predictions.reshape(-1, *np.shape(like)[1:])
    several = targets.ndim == 2
    decided = "predict_proba" not in (loss.targets or ())  # else they are the probabilities
    raw = eta[:, 0] if loss.n_responses == 1 else eta
    of_given = several and fitted.classifier and loss.has_probabilities
    return LeaveOneOut(
        losses=loss.value(objective.targets, eta),
        predictions=_native(predictions),
        probabilities=loss.response(eta) if loss.has_probabilities else None,
        decisions=raw if decided else None,
        parameters=parameters,
        row_labels=fitted.row_labels,
        method=used,
        targets=targets,
        given_probabilities=loss.given_probabilities(targets, eta) if of_given else None,
        classes=None if several or loss.classes is None else _native(loss.classes),
        output_labels=output_labels(fitted, targets.shape[1]) if several else None,
        loss=loss_in_words(fitted, loss),
        classifier=fitted.classifier,
        origin=fitted.origin,
        given=fitted.given,
    )


def method_of_left_out(fitted: Fitted, method: str | None) -> str:
    """Return what a method of `leave_one_out` means: None is the default of the family."""
    if method is None:
        objective = fitted.objective()
        method = mechanism_of(objective).default_for("leave_one_out", objective)
    return fitted.method(method)


def assumption_of_left_out(fitted: Fitted, method: str | None) -> str:
    """Return what `leave_one_out` by a method would take as given; "" for nothing."""
    mechanism = mechanism_of(fitted.objective())
    return mechanism.assumption(method_of_left_out(fitted, method), "leave_one_out")


def labels_or_none(labels: Array, eta: Array) -> Array:
    """Return labels, None in place of those of rows without a prediction."""
    unknown = np.isnan(eta).any(axis=1)
    if not np.any(unknown):
        return labels
    labels = labels.astype(object)
    labels[unknown] = None
    return labels


def given_targets(fitted: Fitted) -> Array:
    """Return targets as they were given, of one column where there is one."""
    y = np.asarray(fitted.raw.y)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if not fitted.classifier and y.dtype.kind not in "iuf":
        y = y.astype(np.float64)
    return _native(y)


def _native(values: Array) -> Array:
    """Return values in the byte order of this machine, the only one that pandas takes."""
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def output_labels(fitted: Fitted, n_targets: int) -> Array:
    """Return what several targets a row are called."""
    names = output_names(fitted)
    return np.array(names if len(names) == n_targets else target_names(fitted), dtype=object)


def loss_in_words(fitted: Fitted, loss: Loss) -> str:
    """Return what a loss is called, with all that makes it another one."""
    transformers = [
        repr(each.regressor.transformer_) for each in target_transformers(fitted.estimator)
    ]
    return " of targets transformed by ".join([in_words(loss), *transformers])


def loss_of_test_rows(fitted: Fitted) -> str:
    """Return what the loss of test rows is called; "loss" of an objective that does not say."""
    objective = fitted.objective()
    if not isinstance(objective, OutputObjective):
        return "loss"
    return loss_in_words(fitted, objective.loss)


@by_label
def self_influence(fitted: Fitted, *, method: str | None = None) -> SelfInfluence:
    """See `InfluenceClassifier.self_influence`."""
    used = fitted.method(method, "self_influence", traced=True)
    warn_of_lonely_rows(fitted)
    n_jobs, guarded = fitted.options.n_jobs, np.empty(0, dtype=int)
    if used == "tracin":
        scores = training_path(fitted).self_influence(n_jobs)
    else:
        removal = fitted.mechanism(used).removal(used)
        scores, guarded = self_effects(removal, n_jobs), removal.guarded_edits
    return SelfInfluence(
        scores=scores,
        method=used,
        target="loss",
        row_labels=fitted.row_labels,
        n_test=fitted.n_train,
        guarded_rows=guarded,
        origin=fitted.origin,
        given=fitted.given,
    )


@by_label
def parameter_influence(
    fitted: Fitted, *, coefficients: Any = None, method: str | None = None
) -> ParameterInfluence:
    """See `InfluenceClassifier.parameter_influence`."""
    used = fitted.method(method)
    chosen = None if coefficients is None else coefficients_given(fitted, coefficients)
    warn_of_lonely_rows(fitted)
    mechanism = fitted.mechanism(used)
    reference = mechanism.reference
    values = as_given(reference, reference.theta[None])[0]
    removal = mechanism.removal(used)
    if chosen is None:
        changes = removal.all_changes(fitted.options.n_jobs)
        changes = as_given(reference, mechanism.in_all_parameters(changes, removal))
    else:
        changes = _some_changes(mechanism, removal, chosen, fitted.options.n_jobs)
    return ParameterInfluence(
        changes=changes,
        coefficients=np.array(parameter_names(fitted, chosen), dtype=object),
        values=values if chosen is None else values[chosen],
        row_labels=fitted.row_labels,
        method=used,
        given=fitted.given,
        origin=fitted.origin,
    )


def _some_changes(
    mechanism: Mechanism, removal: Counterfactuals, chosen: Array, n_jobs: int | None
) -> Array:
    """Return the changes of some parameters by every removal, shape (n_train, n_chosen).

    Of the others never more than a block is there.
    """
    reference = mechanism.reference
    require_memory(
        8.0 * removal.n_edits * len(chosen),
        f"The change of {len(chosen):,} parameters by each of {removal.n_edits:,} edits",
        "Ask for fewer coefficients.",
    )
    linear = isinstance(getattr(reference, "features", None), LinearFeatures)
    if not linear and reference.kind != "trees":
        return removal.changes_along(mechanism.directions(chosen, removal), n_jobs)

    def read(_: Array, D: Array) -> Array:
        return as_given(reference, mechanism.in_all_parameters(D.T, removal))[:, chosen]

    return removal.read_changes(len(chosen), read, n_jobs)


def as_given(reference: Objective, changes: Array) -> Array:
    """Return parameters, a row each, as the estimator has them.

    Raises
    ------
    ValueError
        Where they are not unique, and the estimator does not say which it takes.
    """
    features = getattr(reference, "features", None)
    if isinstance(features, Independent) and not features.minimum_norm:
        raise ValueError(
            "Changes of parameters were asked for, but columns of the training rows depend on each "
            "other: the coefficients are not unique, and only predictions are. Ask for "
            "influence_scores or leave_one_out(), drop such columns, or fit with a penalty."
        )
    return reference.as_given(changes.T).T


@by_label
def diagnostics(
    fitted: Fitted, *, method: str | None = None, dispersion: str = "family"
) -> Diagnostics:
    """See `InfluenceClassifier.diagnostics`."""
    if dispersion not in ("family", "pearson"):
        raise ValueError(
            f"dispersion={dispersion!r} was given; accepted are 'family' (1 for log loss and "
            "Poisson, else 'pearson') and 'pearson' (estimated from the residuals)."
        )
    used = fitted.method(method)
    loss = _with_raw_predictions(fitted, "diagnostics", used).loss
    warn_of_lonely_rows(fitted)
    measures = fitted.mechanism(used).diagnostics(used, dispersion, fitted.options.n_jobs)

    def of_responses(values: Array) -> Array:
        """Return values of every output, those of no target left out (the scale of Huber's)."""
        return values[:, 0] if loss.n_responses == 1 else values[:, : loss.n_responses]

    return Diagnostics(
        hat_diagonal=of_responses(measures.hat_diagonal),
        internally_studentized_residuals=of_responses(measures.internally_studentized_residuals),
        studentized_residuals=of_responses(measures.studentized_residuals),
        dffits=of_responses(measures.dffits),
        cooks_distance=measures.cooks_distance,
        cov_ratio=measures.cov_ratio,
        dfbetas=measures.dfbetas,
        standard_errors=measures.standard_errors,
        scale=measures.scale,
        guarded_rows=measures.guarded_rows,
        row_labels=fitted.row_labels,
        method=used,
        dispersion=dispersion,
        coefficients=np.array(parameter_names(fitted), dtype=object),
        origin=fitted.origin,
        given=fitted.given,
    )


def _with_raw_predictions(fitted: Fitted, question: str, method: str) -> OutputObjective:
    """Return the objective where the scores are computed; refuse one without predictions."""
    objective = fitted.objective()
    if not isinstance(objective, OutputObjective):
        raise ValueError(
            f"{question} needs raw predictions, and {type(objective).__name__} has "
            "only losses of the parameters; self_influence() is defined for it."
        )
    objective = fitted.mechanism(method).objective
    assert isinstance(objective, OutputObjective)
    return objective
