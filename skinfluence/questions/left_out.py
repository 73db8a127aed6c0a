"""Every training row without itself: its loss, its prediction, the parameters, diagnostics."""

from __future__ import annotations

import numpy as np

from skinfluence.effects import left_out, self_effects
from skinfluence.inspection import Diagnostics, LeaveOneOut
from skinfluence.mechanisms import mechanism_of
from skinfluence.objectives import OutputObjective
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.rows import warn_of_lonely_rows
from skinfluence.questions.scoring import training_path
from skinfluence.retraining import take_rows
from skinfluence.typing import Array


def leave_one_out(
    fitted: Fitted, *, method: str | None = None, return_parameters: bool = False
) -> LeaveOneOut:
    """See `InfluenceClassifier.leave_one_out`."""
    if method is None:  # whatever the constructor's
        method = mechanism_of(fitted.objective()).default_for("leave_one_out")
    used = fitted.method(method)
    objective = _with_raw_predictions(fitted, "leave_one_out", used)
    warn_of_lonely_rows(fitted)
    removal = fitted.mechanism(used).removal(used)
    n_jobs = fitted.options.n_jobs
    eta, parameters = left_out(removal, n_jobs, with_parameters=return_parameters)
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


def self_influence(fitted: Fitted, *, method: str | None = None) -> Array:
    """See `InfluenceClassifier.self_influence`."""
    used = fitted.method(method, "self_influence", traced=True)
    warn_of_lonely_rows(fitted)
    if used == "tracin":
        return training_path(fitted).self_influence(fitted.options.n_jobs)
    return self_effects(fitted.mechanism(used).removal(used), fitted.options.n_jobs)


def parameter_influence(fitted: Fitted, *, method: str | None = None) -> Array:
    """See `InfluenceClassifier.parameter_influence`."""
    used = fitted.method(method)
    warn_of_lonely_rows(fitted)
    mechanism = fitted.mechanism(used)
    removal = mechanism.removal(used)
    return mechanism.in_all_parameters(removal.all_changes(fitted.options.n_jobs), removal)


def diagnostics(fitted: Fitted, *, method: str | None = None) -> Diagnostics:
    """See `InfluenceClassifier.diagnostics`."""
    used = fitted.method(method)
    _with_raw_predictions(fitted, "diagnostics", used)
    warn_of_lonely_rows(fitted)
    measures = fitted.mechanism(used).diagnostics(used, fitted.options.n_jobs)
    hat, residuals = measures.hat_diagonal, measures.studentized_residuals
    single = hat.shape[1] == 1
    return Diagnostics(
        hat_diagonal=hat[:, 0] if single else hat,
        studentized_residuals=residuals[:, 0] if single else residuals,
        cooks_distance=measures.cooks_distance,
        dfbetas=measures.dfbetas,
        standard_errors=measures.standard_errors,
        scale=measures.scale,
        row_labels=fitted.row_labels,
        method=used,
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
