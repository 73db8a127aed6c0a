"""Scores of training rows on test rows, as an array or as a result with rankings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np

from skinfluence.adapters import adapt, recorded
from skinfluence.effects import PathScorer, Scorer, Target, TrainingPath, check_target, target_of
from skinfluence.effects.scores import ROWS
from skinfluence.effects.top_k import Extremes
from skinfluence.inspection import GivenRows, Influence
from skinfluence.inspection.words import kind_of
from skinfluence.mechanisms import Mechanism, mechanism_of
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.process.progress import take_less
from skinfluence.process.row_names import length_of, rows_of
from skinfluence.questions.aggregation import Aggregation, aggregation_given, labels_to_aggregate
from skinfluence.questions.evaluation import accepted_features, as_array, objective_over
from skinfluence.questions.fitted import Fitted, labels_of
from skinfluence.questions.names import output_given
from skinfluence.questions.rows import by_label, warn_of_lonely_rows
from skinfluence.removal import Counterfactuals
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class Asked:
    """The effect that is asked for: on which target, at which test rows, by which method.

    See `InfluenceClassifier.influence_scores`.
    """

    X_test: Any
    y_test: Any = None
    target: str = "loss"
    method: str | None = None
    output: Any = None
    aggregate: Any = None
    test_weight: Any = None

    def __post_init__(self) -> None:
        y = self.y_test if np.ndim(self.y_test) else None  # one class for all is no column
        tests = GivenRows(self.X_test, y)
        aggregate = labels_to_aggregate(self.aggregate, self.test_weight, tests)
        object.__setattr__(self, "aggregate", aggregate)
        y_test = as_array(self.y_test)
        if kind_of(self.target) == "class" and y_test is not None and np.ndim(y_test) == 0:
            y_test = np.full(length_of(self.X_test), y_test)  # one class for all test rows
        object.__setattr__(self, "y_test", y_test)

    def features(self, fitted: Fitted) -> Any:
        """Return the test rows as the final step sees them; refuse what a model does not know."""
        check_target(self.target, fitted.objective())
        return accepted_features(fitted, self.X_test, self.y_test, target=self.target)

    def resolved(self, fitted: Fitted, question: str) -> Asked:
        """Return the same by the method that a question means; refuse one that is not there."""
        return replace(self, method=fitted.method(self.method, question))

    def at_position(self, fitted: Fitted) -> Asked:
        """Return the same, the output by its position; refuse one that is not there."""
        return replace(self, output=output_given(fitted, self.output, self.target))

    def over(self, objective: Objective, features: Any) -> Objective:
        """Return an objective over the test rows; refuse labels it does not know."""
        with rows_of(self.X_test):
            return objective_over(
                objective, features, self.y_test, target=self.target, output=self.output
            )

    def make_target(self, test: Objective) -> Callable[[Objective, slice], Target | None]:
        """Return the map from the objective over some test rows, and which, to their target."""
        labels = self.labels(test)

        def make_target(part: Objective, tests: slice) -> Target | None:
            if not isinstance(part, OutputObjective):
                return None
            chosen = None if labels is None else labels[tests]
            return target_of(self.target, part, chosen, self.output)

        return make_target

    def labels(self, test: Objective) -> Array | None:
        """Return the labels that choose the class of the target: given, or as predicted."""
        if self.y_test is not None:
            return np.asarray(self.y_test)
        if self.target == "loss" or not isinstance(test, OutputObjective):
            return None
        if test.loss.classes is None or test.loss.multilabel:
            return None
        return test.loss.decide(test.raw_predictions())

    def classes(self, test: Objective) -> Array | None:
        """Return the class whose probability or decision is the target, for each test row."""
        if kind_of(self.target) != "class" or not isinstance(test, OutputObjective):
            return None
        classes = test.loss.classes
        if classes is None or test.loss.multilabel:
            return None
        if self.target == "decision_function" and test.loss.n_outputs == 1:
            return np.full(test.n_samples, classes[1])
        return self.labels(test)

    def aggregation(self, n_test: int) -> Aggregation | None:
        """Return which sums over the test rows are asked for; None where each is a line."""
        return aggregation_given(self.aggregate, self.test_weight, self.X_test, n_test)


@by_label
def influence_scores(fitted: Fitted, asked: Asked) -> Array:
    """See `InfluenceClassifier.influence_scores`."""
    scorer = row_scorer(fitted, asked)
    aggregation = asked.aggregation(scorer.test.n_samples)
    warn_of_lonely_rows(fitted)
    return scores_of(scorer, aggregation)


@by_label
def influence(fitted: Fitted, asked: Asked, top: int | None = None) -> Influence:
    """See `InfluenceClassifier.influence`."""
    if top is not None and not (isinstance(top, Integral) and top >= 1):
        raise ValueError(f"top={top!r} was given; None or a number of rows >= 1 is accepted.")
    scorer = row_scorer(fitted, asked)
    aggregation = asked.aggregation(scorer.test.n_samples)
    warn_of_lonely_rows(fitted)
    rows = None
    if top is not None and aggregation is None:
        rows, scores = scorer.top(int(top))
        scores = scores.astype(scorer.dtype)
    else:
        scores = scores_of(scorer, aggregation)
    if top is not None and aggregation is not None:
        rows, scores = _extremes(scores, int(top))
    return Influence(
        scores=scores,
        row_labels=fitted.row_labels,
        rows=rows,
        guarded_rows=scorer.guarded,
        given=fitted.given,
        **described(fitted, asked, scorer, aggregation),
    )


def described(
    fitted: Fitted, asked: Asked, scorer: Scorer | PathScorer, aggregation: Aggregation | None
) -> dict[str, Any]:
    """Return what every result about test rows says of them and of its origin."""
    n_test = scorer.test.n_samples
    labels: Array | None = labels_of(asked.X_test, n_test)
    classes = asked.classes(scorer.test)
    if aggregation is not None:
        labels = aggregation.labels
        classes = None if classes is None else aggregation.of_one_value(classes)
    return {
        "method": scorer.method,
        "target": asked.target,
        "test_labels": labels,
        "n_test": n_test,
        "classes": classes,
        "output": asked.output,
        "aggregate": None if aggregation is None else aggregation.how,
        "origin": fitted.origin,
    }


def scores_of(scorer: Scorer | PathScorer, aggregation: Aggregation | None) -> Array:
    """Return all scores, (n_test, n_edits), or sums over the test rows, (n_edits,) if one."""
    if aggregation is None:
        if scorer.method == "first_order":
            take_less("aggregate='mean'")
        return scorer.matrix(scorer.dtype)
    sums = scorer.combined(aggregation.weights) / aggregation.divisors[:, None]
    sums = sums.astype(scorer.dtype)
    return sums[0] if aggregation.labels is None else sums


def _extremes(scores: Array, k: int) -> tuple[Array, Array]:
    """Return rows and scores of the k largest and k smallest of each line."""
    lines = np.atleast_2d(scores)
    extremes = Extremes(len(lines), min(k, lines.shape[1]))
    extremes.look(lines, np.arange(lines.shape[1]))
    rows, values = extremes.found()
    values = values.astype(scores.dtype)
    return (rows, values) if scores.ndim == 2 else (rows[0], values[0])


def row_scorer(fitted: Fitted, asked: Asked) -> Scorer | PathScorer:
    """Return the scorer of every training row, by a removal or along the training."""
    if fitted.method(asked.method, traced=True) == "tracin":
        return _path_scorer(fitted, asked)
    return edit_scorer(fitted, asked)


def edit_scorer(
    fitted: Fitted,
    asked: Asked,
    edits: Callable[[Mechanism, str], Counterfactuals] | None = None,
    objective: Objective | None = None,
    features: Any = None,
    called: str = ROWS,
) -> Scorer:
    """Return the scorer of edits on some test rows.

    Parameters
    ----------
    fitted : Fitted
    asked : Asked
    edits : callable, optional
        What the mechanism makes of them by a method; the removal of every row by default.
    objective : Objective, optional
        At the fitted parameters, where it is not the kept one.
    features : array-like or sparse matrix, optional
        Of the test rows, as ``asked.features`` returned them, where they are known already.
    called : str
        What a message calls the edits.
    """
    used, asked = fitted.method(asked.method), asked.at_position(fitted)
    kept = fitted.objective()
    objective = kept if objective is None else objective
    test = asked.over(objective, asked.features(fitted) if features is None else features)

    # Nothing above is expensive, so that wrong input is refused before anything below is.
    if objective is kept:
        mechanism = fitted.mechanism(used)
    else:
        refine = mechanism_of(objective).refine_for(used, fitted.options.refine)
        mechanism = fitted.mechanism_at(objective, refine)
    changes = mechanism.removal(used) if edits is None else edits(mechanism, used)
    test = mechanism.test(test, changes)
    return Scorer(changes, test, asked.make_target(test), fitted.options.n_jobs, called)


def training_path(fitted: Fitted) -> TrainingPath:
    """Return the training that was recorded, in the parameters of the objective."""
    data, record = fitted.training, recorded(fitted.estimator)
    assert record is not None
    stops = record.checkpoints_
    thetas = [adapt(stop.estimator, data.X, data.y, data.sample_weight).theta for stop in stops]
    steps = np.array([stop.step for stop in stops])
    return TrainingPath(fitted.objective(), np.array(thetas), steps)


def _path_scorer(fitted: Fitted, asked: Asked) -> PathScorer:
    """Return the scorer of every row along the training that was recorded."""
    asked = asked.at_position(fitted)
    test = asked.over(fitted.objective(), asked.features(fitted))
    fitted.answers.answering = None  # no solver has a part in it
    path = training_path(fitted)
    return PathScorer(path, test, asked.make_target(test), fitted.options.n_jobs)
