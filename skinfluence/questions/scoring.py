"""Scores of training rows on test rows, as an array or as a result with rankings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from skinfluence.adapters import adapt, recorded
from skinfluence.effects import PathScorer, Scorer, Target, TrainingPath, check_target, target_of
from skinfluence.inspection import Influence
from skinfluence.mechanisms import Mechanism, mechanism_of
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.process.row_names import rows_of
from skinfluence.questions.evaluation import accepted_features, as_array, objective_over
from skinfluence.questions.fitted import Fitted, labels_of
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
    output: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "y_test", as_array(self.y_test))

    def features(self, fitted: Fitted) -> Any:
        """Return the test rows as the final step sees them; refuse what a model does not know."""
        check_target(self.target, fitted.objective())
        given = self.X_test, self.y_test
        return accepted_features(fitted, *given, target=self.target, output=self.output)

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
        predicts = isinstance(test, OutputObjective) and test.loss.classes is not None
        if self.target == "loss" or not predicts:
            return None
        assert isinstance(test, OutputObjective)
        return test.loss.decide(test.raw_predictions())


@by_label
def influence_scores(fitted: Fitted, asked: Asked, aggregate: str | None = None) -> Array:
    """See `InfluenceClassifier.influence_scores`."""
    check_aggregate(aggregate)
    scorer = row_scorer(fitted, asked)
    warn_of_lonely_rows(fitted)
    return aggregated(scorer, aggregate)


@by_label
def influence(fitted: Fitted, asked: Asked, top: int | None = None) -> Influence:
    """See `InfluenceClassifier.influence`."""
    if top is not None and not (isinstance(top, Integral) and top >= 1):
        raise ValueError(f"top={top!r} was given; None or a number of rows >= 1 is accepted.")
    scorer = row_scorer(fitted, asked)
    warn_of_lonely_rows(fitted)
    rows = None
    if top is None:
        scores = scorer.matrix(scorer.dtype)
    else:
        rows, scores = scorer.top(int(top))
        scores = scores.astype(scorer.dtype)
    return Influence(
        scores=scores,
        method=scorer.method,
        target=asked.target,
        row_labels=fitted.row_labels,
        test_labels=labels_of(asked.X_test, scorer.test.n_samples),
        rows=rows,
        guarded_rows=scorer.guarded,
    )


def check_aggregate(aggregate: str | None) -> None:
    """Refuse an unknown aggregate."""
    if aggregate not in (None, "mean", "sum"):
        raise ValueError(f"aggregate={aggregate!r} was given; accepted are None, 'mean' and 'sum'.")


def aggregated(scorer: Scorer | PathScorer, aggregate: str | None) -> Array:
    """Return all scores, (n_test, n_edits), or their mean or sum over the tests, (n_edits,)."""
    if aggregate is None:
        return scorer.matrix(scorer.dtype)
    total = scorer.total()
    return (total / scorer.test.n_samples if aggregate == "mean" else total).astype(scorer.dtype)


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
    """
    used = fitted.method(asked.method)
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
    return Scorer(changes, test, asked.make_target(test), fitted.options.n_jobs)


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
    test = asked.over(fitted.objective(), asked.features(fitted))
    fitted.answers.answering = None  # no solver has a part in it
    path = training_path(fitted)
    return PathScorer(path, test, asked.make_target(test), fitted.options.n_jobs)
