"""Every training row without itself: its loss, its prediction, the parameters, diagnostics."""

from __future__ import annotations

import numpy as np

from skinfluence.effects import left_out, self_effects
from skinfluence.inspection import Diagnostics, LeaveOneOut
from skinfluence.mechanisms import mechanism_of
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.objectives.independent import Independent
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.rows import by_label, warn_of_lonely_rows
from skinfluence.questions.scoring import training_path
from skinfluence.retraining import take_rows
from skinfluence.typing import Array


@by_label
def leave_one_out(
    fitted: Fitted, *, method: str | None = None, return_parameters: bool = False
) -> LeaveOneOut:
    """See `InfluenceClassifier.leave_one_out`."""
    if method is None:  # whatever the constructor's
        method = mechanism_of(fitted.objective()).default_for("leave_one_out")
    used = fitted.method(method)
    objective = _with_raw_predictions(fitted, "leave_one_out", used)
    warn_of_lonely_rows(fitted)
    mechanism = fitted.mechanism(used)
    removal = mechanism.removal(used)
    n_jobs = fitted.options.n_jobs
    eta, changes = left_out(removal, n_jobs, with_parameters=return_parameters)
    parameters = None
    if changes is not None:
        changes = mechanism.in_all_parameters(changes, removal)
        parameters = as_given(mechanism.reference, mechanism.reference.theta + changes)
    loss = objective.loss
    if fitted.classifier:
        predictions = loss.decide(eta)
    else:
        predictions = loss.response(eta)
        like = fitted.estimator.predict(take_rows(fitted.raw.X, np.array([0])))
        predictions = predictions.reshape(-1, *np.shape(like)[1:])
    return LeaveOneOut(
        losses=loss.value(objective.targets, eta),
        predictions=predictions,
        probabilities=loss.response(eta) if loss.has_probabilities else None,
        decisions=eta[:, 0] if loss.n_responses == 1 else eta,
        parameters=parameters,
        row_labels=fitted.row_labels,
        method=used,
    )


@by_label
def self_influence(fitted: Fitted, *, method: str | None = None) -> Array:
    """See `InfluenceClassifier.self_influence`."""
    used = fitted.method(method, "self_influence", traced=True)
    warn_of_lonely_rows(fitted)
    if used == "tracin":
        return training_path(fitted).self_influence(fitted.options.n_jobs)
    return self_effects(fitted.mechanism(used).removal(used), fitted.options.n_jobs)


@by_label
def parameter_influence(fitted: Fitted, *, method: str | None = None) -> Array:
    """See `InfluenceClassifier.parameter_influence`."""
    used = fitted.method(method)
    warn_of_lonely_rows(fitted)
    mechanism = fitted.mechanism(used)
    removal = mechanism.removal(used)
    changes = mechanism.in_all_parameters(removal.all_changes(fitted.options.n_jobs), removal)
    return as_given(mechanism.reference, changes)


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
