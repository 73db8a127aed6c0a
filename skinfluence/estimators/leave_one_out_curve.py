"""The leave-one-out risk over the values of a hyper-parameter."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
from sklearn.base import clone

from skinfluence.adapters import searches
from skinfluence.estimators.base import weights_per_row
from skinfluence.estimators.influence import InfluenceWrapper
from skinfluence.estimators.wrapper import wrapped
from skinfluence.inspection import GivenRows, LeaveOneOut, LeaveOneOutCurve, Origin
from skinfluence.inspection.tables import number_of
from skinfluence.process.progress import answering, counted, say_now
from skinfluence.process.warnings import warn
from skinfluence.questions.left_out import assumption_of_left_out
from skinfluence.typing import Array


def leave_one_out_curve(
    estimator: Any,
    X: Any,
    y: Any,
    param_name: str,
    param_range: Iterable[Any],
    *,
    sample_weight: Any = None,
    method: str | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> LeaveOneOutCurve:
    """Return the leave-one-out risk for every value of a hyper-parameter: C, alpha, gamma.

    One fit per value, and from it every training row by the model that never saw it: what
    `sklearn.model_selection.validation_curve` is for folds, which takes a fit per value and fold.

    Parameters
    ----------
    estimator : estimator
        Anything that `InfluenceClassifier` or `InfluenceRegressor` takes, or one of them, with its
        own parameters. It is cloned.
    X, y
        As in `InfluenceClassifier.fit`.
    param_name : str
        As ``estimator.set_params`` has it: ``"C"``, ``"logisticregression__C"`` in a Pipeline,
        ``"estimator__C"`` in a wrapper.
    param_range : iterable
        Values, in any order.
    sample_weight : array-like of shape (n_train,) or float, optional
        Of the rows, in the fits and in the mean of their losses.
    method : {"exact", "newton", "first_order", "auto"}, optional
        As in `InfluenceClassifier.leave_one_out`; "exact" by default.
    n_jobs : int, optional
        As in `InfluenceClassifier`; values are taken one after the other.
    verbose : int, default=0
        As in `InfluenceClassifier`.

    Returns
    -------
    LeaveOneOutCurve
        Scores in the unit of the loss, smaller is better; ``best`` is the value with the smallest.

    Raises
    ------
    ValueError
        For a search, no values, an unknown name, values that change the loss itself (their scores
        have no common unit), and where no value at all has a model.

    Warns
    -----
    UserWarning
        Naming a value without a model (separable classes without a penalty, for example), whose
        score is NaN. Whatever a fit warns of names the value, too.

    References
    ----------
    Rad, K. R. & Maleki, A. (2020). A scalable estimate of the out-of-sample prediction error
    via approximate leave-one-out cross-validation. JRSS B 82(4). doi:10.1111/rssb.12374.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skinfluence import leave_one_out_curve
    >>> X, y = load_iris(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    >>> curve = leave_one_out_curve(pipeline, X, y, "logisticregression__C", [0.1, 1, 10])
    >>> curve.scores.round(3), curve.best
    (array([0.34 , 0.142, 0.076]), 10.0)
    """
    values = list(param_range)
    if not values:
        raise ValueError(
            "An empty param_range was given; at least one value is accepted. Pass the values that "
            f"{param_name} is to take."
        )
    inner = estimator._inner() if isinstance(estimator, InfluenceWrapper) else estimator
    if searches(clone(inner)):
        raise ValueError(
            f"A search, {type(inner).__name__}, was given, which sets parameters on its own; "
            "the estimator that it searches over is accepted. Pass search.estimator, or "
            "search.best_estimator_."
        )
    models = [clone(estimator).set_params(**{param_name: value}) for value in values]
    weights = weights_per_row(sample_weight, X)
    wrappers = [wrapped(model, n_jobs, verbose) for model in models]
    answers, n = [], len(values)
    with answering("leave_one_out_curve", wrappers[0].verbose):
        what = f"{number_of(n, 'value')} of {param_name}"
        for k in counted(range(n), what, n, size=lambda _: 1, unit="values"):
            where = f"{param_name}={values[k]}"
            say_now(where)
            answers.append(_answer(wrappers[k], X, y, weights, method, where))
    found = [each for each in answers if isinstance(each, LeaveOneOut)]
    for each in answers:
        if not found and isinstance(each, ValueError):
            raise each
    first = found[0]
    _refuse_other_losses(param_name, [each.loss for each in found])
    none, given = np.full(len(first.losses), np.nan), GivenRows(X, y)
    return LeaveOneOutCurve(
        param_name=param_name,
        param_range=_as_array(values),
        losses=np.stack([each.losses if each in found else none for each in answers]),
        row_labels=first.row_labels,
        method=first.method,
        loss=first.loss,
        sample_weight=None if weights is None else np.asarray(weights, dtype=np.float64),
        failures=tuple("" if each in found else " ".join(str(each).split()) for each in answers),
        origin=Origin(estimator, given, weights),
        given=given,
    )


def _answer(
    model: InfluenceWrapper, X: Any, y: Any, sample_weight: Any, method: str | None, where: str
) -> LeaveOneOut | ValueError:
    """Return the answer at one value, or why there is none; warnings say at which value."""
    answer: LeaveOneOut | ValueError
    assumed = ""
    with warnings.catch_warnings(record=True) as caught:
        try:
            model.fit(X, y, sample_weight)
            if not (assumed := assumption_of_left_out(model._current(), method)):
                answer = model.leave_one_out(method=method)
        except ValueError as error:
            answer = error
    if assumed:  # said before anything is left out, which may take long
        raise ValueError(
            f"leave_one_out_curve was asked of {type(model._inner()).__name__}, whose rows would "
            "be left out over splits that saw them: the deepest trees would win, whatever the "
            "data. Use sklearn.model_selection.validation_curve; bagged forests, whose rows are "
            "left out by trees that never drew them, are accepted."
        )
    for each in caught:
        warn(f"{where}: {each.message}", each.category)
    if isinstance(answer, ValueError):
        warn(f"{where} has no model and no score: {answer}", UserWarning)
    return answer


def _refuse_other_losses(param_name: str, losses: list[str]) -> None:
    """Refuse values whose scores have no common unit."""
    if len(set(losses)) > 1:
        raise ValueError(
            f"{param_name} was given, but its values change the loss itself "
            f"({', '.join(sorted(set(losses))[:3])}): the scores have no common unit. Parameters "
            "that leave the loss as it is are accepted. Compare what the models predict: "
            "`leave_one_out().predictions` of each."
        )


def _as_array(values: list[Any]) -> Array:
    """Return values as numbers where all are, else each as it is."""
    if all(isinstance(each, Real) and not isinstance(each, (bool, np.bool_)) for each in values):
        return np.asarray(values)
    array = np.empty(len(values), dtype=object)
    for k, value in enumerate(values):
        array[k] = value
    return array
