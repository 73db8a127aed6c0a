"""What refits say when the rows that help, or harm, most are taken away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from skinfluence.estimators.wrapper import asked_of
from skinfluence.inspection import RemovalCurve
from skinfluence.questions import removal_curve as question

FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Parts of the training rows that are removed where nothing else is said."""


def removal_curve(
    model: Any,
    X_test: Any,
    y_test: Any,
    *,
    fractions: Sequence[float] = FRACTIONS,
    measured_on: tuple[Any, Any] | None = None,
    baselines: Sequence[str] = ("random", "largest_loss"),
    n_repetitions: int = 5,
    method: str | None = None,
    n_jobs: int | None = None,
    random_state: Any = 0,
) -> RemovalCurve:
    """Return the mean test loss of refits without more and more of the training rows.

    Do scores find the rows that matter? Training rows are ranked by their mean scores on the test
    rows. The estimator is fitted again without the first of them, transformers and all, and the
    mean loss is measured: without the rows that help most it should rise faster, and without those
    that harm most lower, than without random rows or without the rows of largest training loss.

    Every point is a fit by scikit-learn of a clone of the user's own estimator, as it was given:
    trees choose their splits anew, networks start anew. What a search or a CV estimator chose stays
    chosen, a FrozenEstimator keeps its transformers, and a transformed target its transformation,
    which is the unit of the loss.

    Parameters
    ----------
    model : InfluenceClassifier or InfluenceRegressor
        Fitted.
    X_test, y_test : array-like of shape (n_test, n_features) and (n_test,) or (n_test, n_outputs)
        Rows that rank the training rows.
    fractions : sequence of float
        Parts of the training rows that are removed, each in (0, 1).
    measured_on : tuple (X, y), optional
        Rows on which the loss is measured; by default the test rows, which flatters: they have
        chosen what they judge.
    baselines : sequence of {"random", "largest_loss"}
        Random rows, and the rows with the largest training loss.
    n_repetitions : int, default=5
        How often random rows are drawn; a larger set contains the smaller ones.
    method : {"first_order", "newton", "exact", "auto", "tracin"}, optional
        Of the scores; the model's own by default.
    n_jobs : int, optional
        Processes for the fits; the model's own by default.
    random_state : int, RandomState or None
        Of random rows.

    Returns
    -------
    RemovalCurve
        Mean losses in the unit of the model's loss, for each fraction and each ranking.

    Raises
    ------
    TypeError
        For a model that is no wrapper.
    NotFittedError
        For one that is not fitted.
    ValueError
        For fractions that are none, or that are no row or every row; an unknown baseline; and as in
        `InfluenceClassifier.influence_scores`.

    Notes
    -----
    That are 1 + n_fractions * (3 + n_repetitions) fits with both baselines: 41 by default. Where a
    set takes every row of a class along, there is no loss, and NaN in its place.

    Rows are ranked once, each by what it does alone: that the effect of many is not the sum of
    theirs is part of what the curves show.

    References
    ----------
    Ghorbani, A. & Zou, J. (2019). Data Shapley: equitable valuation of data for machine learning.
    ICML. arXiv:1904.02868.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skinfluence import InfluenceClassifier, removal_curve
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    >>> model = InfluenceClassifier(pipeline).fit(X[:200], y[:200])
    >>> fresh = X[400:], y[400:]
    >>> curve = removal_curve(model, X[200:400], y[200:400], fractions=[0.1], measured_on=fresh)
    >>> curve
    RemovalCurve: mean log loss of 169 test rows without up to 10 % of 200 training rows (method
    newton).
      share  rows  helpful  harmful  random  random_sd  largest_loss
      0.000     0    0.148    0.148   0.148     0.0000         0.148
      0.100    20    0.271    0.082   0.139     0.0155         0.123
    Rows are ranked once, each by what it does alone; every loss is of a fit without the first of
    them.
    """
    fitted = asked_of(model)
    if n_jobs is not None:
        fitted = fitted.under(replace(fitted.options, n_jobs=n_jobs))
    return question.removal_curve(
        fitted,
        X_test,
        y_test,
        fractions=fractions,
        measured_on=measured_on,
        baselines=baselines,
        n_repetitions=n_repetitions,
        method=method,
        random_state=random_state,
    )
