"""An audit of the labels: which of them look wrong, and how many are expected to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from skinfluence.estimators.again import again
from skinfluence.estimators.base import weights_per_row
from skinfluence.estimators.wrapper import wrapped
from skinfluence.inspection import ExpectedErrors, LabelQuality, LabelQualityDisplay
from skinfluence.process.progress import answering
from skinfluence.process.row_names import named_rows, rows_of
from skinfluence.questions.label_audit import label_audit

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("auto", "newton", "exact", "first_order", "out_of_bag", "folds")


class LabelAudit(BaseEstimator):
    """Say which labels look wrong, and how many are expected to be. No label is ever changed.

    Every training row is judged by a model that never saw it: the quality of its label is the
    probability this model gives it. In a second pass the suspects of the first leave, and every row
    is judged again, by a model that saw neither the row nor them: wrong labels no longer speak for
    each other.

    Parameters
    ----------
    estimator : estimator, default=None
        What `InfluenceClassifier` or `InfluenceRegressor` takes, a Pipeline for example, or one of
        them with its own parameters; it is cloned. A ``FrozenEstimator(fitted)`` is taken as it is.
        None is LogisticRegression().
    method : {"auto", "newton", "exact", "first_order", "out_of_bag", "folds"}, default="auto"
        How rows are left out. "auto" is for linear models and kernels a Newton step without each
        row, followed by the minimum for qualities below .3 and wherever such a step is not trusted;
        "out_of_bag" for bagged forests; and "folds" for networks, other trees and models of your
        own, and wherever leaving out each row would take more than ten fits do (many classes, many
        words): ten fits, each without another tenth of the rows. The others are those of
        `InfluenceClassifier.leave_one_out`.
    passes : {1, 2}, default=2
        1 is plain leave-one-out. Suspects of the first pass are rows of quality below .3 that
        confident learning counts as labelled otherwise (Northcutt et al. 2021); of a regressor
        deviations beyond three. Of several labels a row there is one pass.
    n_jobs : int, default=None
        As in `InfluenceClassifier`: threads, and processes for folds. Results do not depend on it,
        but for estimators with ``random_state=None``.
    verbose : int, default=0
        As in `InfluenceClassifier`.

    Attributes
    ----------
    label_quality_ : ndarray of shape (n_train,)
        In [0, 1], lower = more suspect: the probability of the given label; of several labels a row
        that of the least likely; exp(-loss) where the model has no probabilities. Of a regressor
        1 / (1 + (z / 2)^2), z the left-out residual in units of its noise: .3 at three of them.
    loss_left_out_, loss_training_ : ndarray of shape (n_train,)
        Of each row by the model that never saw it (of the last pass), and by that of all rows.
    self_influence_ : ndarray of shape (n_train,)
        Left-out loss in the first pass minus training loss.
    suggested_labels_ : ndarray of shape (n_train,) or (n_train, n_outputs)
        The likeliest by the model that never saw the row.
    expected_errors_ : ExpectedErrors or None
        How many labels are wrong, with an interval, and how many rows a model would flag by chance
        if all were right; of rows that have a weight. None for several labels a row, models without
        probabilities or with class weights, and regressors.
    result_ : LabelQuality
        All of it, to print, draw, save.

    See Also
    --------
    InfluenceClassifier.leave_one_out : The losses and probabilities of the first pass.

    References
    ----------
    Northcutt, C. G., Jiang, L. & Chuang, I. L. (2021). Confident learning: estimating uncertainty
    in dataset labels. JAIR 70. doi:10.1613/jair.1.12125.
    Koh, P. W. & Liang, P. (2017). Understanding black-box predictions via influence functions.
    ICML. arXiv:1703.04730. Section 5.4.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skinfluence import LabelAudit
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> y[[3, 100, 400]] = 1 - y[[3, 100, 400]]
    >>> audit = LabelAudit(make_pipeline(StandardScaler(), LogisticRegression())).fit(X, y)
    >>> audit.to_frame(3)[["row", "given_label", "suggested_label", "tier"]]
       row  given_label  suggested_label    tier
    0  400            1                0  likely
    1    3            1                0  likely
    2  297            0                1  likely
    """

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: str = "auto",
        passes: int = 2,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.passes = passes
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Judge every row by models that never saw it.

        Parameters
        ----------
        X, y, sample_weight
            As in `InfluenceClassifier.fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For parameters that are not accepted, one class, missing labels, labels of a single
            row, predictions that are no numbers, folds of trees that came fitted, and as in
            `InfluenceClassifier.fit`, `leave_one_out` and (of models that came fitted) `without`.

        Warns
        -----
        UserWarning
            For models with class weights; where there is no model without the suspects, so that the
            first pass is the last.
        """
        self._check_parameters()
        model = wrapped(self.estimator, self.n_jobs, self.verbose)
        _refuse_missing_labels(y)
        weights = weights_per_row(sample_weight, X)
        with answering("LabelAudit.fit", self.verbose):
            fitted = clone(model).fit(X, y, weights)._current()
            result = label_audit(
                fitted, again(model, fitted), method=self.method, passes=self.passes
            )
        self.result_ = result
        self.label_quality_ = result.quality
        self.loss_left_out_, self.loss_training_ = result.losses, result.training_losses
        self.self_influence_ = result.self_influence
        self.suggested_labels_ = result.suggested
        self.expected_errors_: ExpectedErrors | None = result.expected_errors
        return self

    def to_frame(self, k: int | None = None, *, columns: Any = None) -> pd.DataFrame:
        """Return a line per training row, worst first.

        Parameters
        ----------
        k, columns
            As in `LabelQuality.to_frame`.

        Returns
        -------
        pandas.DataFrame
        """
        return self._result().to_frame(k, columns=columns)

    def suggest(self, k: int | None = None, *, columns: Any = None) -> pd.DataFrame:
        """Return the rows to look at, worst first: of which another label is likelier.

        Parameters
        ----------
        k, columns
            As in `LabelQuality.suggest`.

        Returns
        -------
        pandas.DataFrame
        """
        return self._result().suggest(k, columns=columns)

    def plot(self, ax: Any = None) -> LabelQualityDisplay:
        """Draw the worst rows by rank, and how many are expected to be wrong.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        LabelQualityDisplay
        """
        return self._result().plot(ax)

    def _result(self) -> LabelQuality:
        check_is_fitted(self)
        return self.result_

    def _check_parameters(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} was given; accepted are {METHODS}.")
        if self.passes not in (1, 2) or isinstance(self.passes, bool):
            raise ValueError(
                f"passes={self.passes!r} was given; accepted are 1 (every row left out once) and 2 "
                "(again without the suspects)."
            )


def _refuse_missing_labels(y: Any) -> None:
    """Refuse labels that are None, or that are not equal to themselves; numbers that are nan not.

    Those scikit-learn refuses, and of the others it says nothing of rows.
    """
    values = np.asarray(y)
    if values.dtype != object or not values.ndim:  # a sparse matrix is one object
        return
    lacking = [each is None or str(each == each) != "True" for each in values.ravel().tolist()]
    rows = np.flatnonzero(np.any(np.reshape(lacking, (len(values), -1)), axis=1))
    if len(rows):
        with rows_of(y):
            raise ValueError(
                f"LabelAudit was given rows without a label, {named_rows(rows)}; a label of every "
                "row is accepted. Leave these rows out: there is nothing to audit."
            )
