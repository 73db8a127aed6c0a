"""What a wrapper is asked: scores, a result with rankings, a check against retraining."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier

from skinfluence.adapters import adapt, recorded
from skinfluence.effects import PathScorer, Scorer, TrainingPath, check_target
from skinfluence.estimators.base import FittedWrapper, target_maker
from skinfluence.estimators.check import (
    check_refit,
    check_rows,
    judge_for,
    leave_one_out,
)
from skinfluence.estimators.questions import labels_of, objective_over
from skinfluence.estimators.rows import only_ones_of_their_class
from skinfluence.inspection import Influence, LeaveOneOutCheck
from skinfluence.messages import warn

Array = npt.NDArray[Any]


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


class ScoringWrapper(FittedWrapper):
    """A fitted wrapper that answers."""

    def _row_scorer(
        self, X_test: Any, y_test: Any, *, target: str, method: str | None, output: int | None
    ) -> Scorer | PathScorer:
        """Return the scorer of every training row, by a removal or along the training."""
        if self._method(method, traced=True) == "tracin":
            return self._path_scorer(X_test, y_test, target=target, output=output)
        return self._scorer(X_test, y_test, target=target, method=method, output=output)

    def _path(self) -> TrainingPath:
        """Return the training that was recorded, in the parameters of the objective."""
        data, record = self._training, recorded(self.estimator_)
        assert record is not None
        kept = record.checkpoints_
        thetas = [adapt(c.estimator, data.X, data.y, data.sample_weight).theta for c in kept]
        return TrainingPath(self._objective(), np.array(thetas), np.array([c.step for c in kept]))

    def _path_scorer(
        self, X_test: Any, y_test: Any, *, target: str, output: int | None
    ) -> PathScorer:
        """Return the scorer of every row along the training that was recorded."""
        objective = self._objective()
        check_target(target, objective)
        test = objective_over(self, objective, X_test, y_test, target=target, output=output)
        self.__dict__.pop("_answering", None)  # no solver has a part in it
        maker = target_maker(test, y_test, target, output)
        return PathScorer(self._path(), test, maker, self.n_jobs)

    def influence_scores(
        self,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | None = None,
        aggregate: str | None = None,
    ) -> Array:
        """Predict what removing each training row would do to a target at each test row.

        With a_i = w_i dl_i/deta, H the curvature of the summed objective and J the Jacobian of the
        raw predictions, the parameters move by H^-1 J_i' a_i ("first_order") or
        H^-1 J_i' (I - G_i Q_i)^-1 a_i ("newton", where the row's own curvature leaves with it), or
        to the minimum without the row ("exact", by iteration, for all rows of a block at once).

        Parameters
        ----------
        X_test : array-like of shape (n_test, n_features)
            As the inner estimator takes them: raw rows for a Pipeline.
        y_test : array-like of shape (n_test,), optional
            Needed for ``target="loss"``. For class targets it chooses the class; without it, the
            class the model predicts.
        target : str
            "loss"; "decision_function", "predict_proba" (classifiers); "predict",
            "linear_predictor" (regressors).
        method : {"auto", "first_order", "newton", "exact", "tracin"}, optional
            The constructor's by default. "tracin" (Pruthi et al. 2020) scores what the row's own
            gradient steps did on the way to the fitted parameters, sum_k step_k w_i g_i(theta_k)'
            g_t(theta_k), for an estimator in a `RecordedTraining`.
        output : int, optional
            The output of a regressor with several.
        aggregate : {"mean", "sum"}, optional
            Over the test rows.

        Returns
        -------
        ndarray of shape (n_test, n_train), or (n_train,) with `aggregate`
            Change of the target, in its own unit, when the training row is removed with its whole
            weight. For the loss: positive = the row helps, negative = it harms.

        Raises
        ------
        ValueError
            For input the model does not know (features, labels, targets), and where the fitted
            model has no unique optimum to differentiate.
        MemoryError
            Before allocating a curvature that does not fit.

        Warns
        -----
        ConvergenceWarning
            Where the fit stopped away from its stationary point, by more than the removal of a
            typical row.
        UserWarning
            For training rows that are the only ones of their class, whose scores mean nothing.

        References
        ----------
        Koh, P. W. & Liang, P. (2017). Understanding black-box predictions via influence
        functions. ICML. arXiv:1703.04730.
        Pregibon, D. (1981). Logistic regression diagnostics. Annals of Statistics 9(4).
        doi:10.1214/aos/1176345513.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> model.influence_scores([[1.0]], [1.0]).round(2)
        array([[-0.29,  0.34,  0.73, -0.35]])
        """
        check_aggregate(aggregate)
        scorer = self._row_scorer(X_test, y_test, target=target, method=method, output=output)
        self._warn_of_lonely_rows()
        return aggregated(scorer, aggregate)

    def influence(
        self,
        X_test: Any,
        y_test: Any = None,
        *,
        target: str = "loss",
        method: str | None = None,
        output: int | None = None,
        top: int | None = None,
    ) -> Influence:
        """Return the scores with rankings, labels of the training frame, a table and a plot.

        Parameters
        ----------
        X_test, y_test, target, method, output
            As in `influence_scores`, with the same errors.
        top : int, optional
            Keep only this many rows at either end for each test row: memory O(n_test * top).

        Returns
        -------
        Influence

        Raises
        ------
        ValueError
            For a `top` that is no number of rows, and as in `influence_scores`.
        MemoryError
            As in `influence_scores`.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> influence = model.influence([[1.0]], [1.0])
        >>> influence.helpful(k=1), influence.harmful(k=1)
        (array([[2]]), array([[3]]))
        """
        if top is not None and not (isinstance(top, Integral) and top >= 1):
            raise ValueError(f"top={top!r} was given; None or a number of rows >= 1 is accepted.")
        scorer = self._row_scorer(X_test, y_test, target=target, method=method, output=output)
        self._warn_of_lonely_rows()
        rows = None
        if top is None:
            scores = scorer.matrix(scorer.dtype)
        else:
            rows, scores = scorer.top(top)
            scores = scores.astype(scorer.dtype)
        return Influence(
            scores=scores,
            method=scorer.method,
            target=target,
            row_labels=labels_of(self._raw.X, scorer.n_edits),
            test_labels=labels_of(X_test, scorer.test.n_samples),
            rows=rows,
            guarded_rows=scorer.guarded,
        )

    def leave_one_out_check(
        self,
        X_test: Any,
        y_test: Any = None,
        *,
        rows: Any = 30,
        select: str = "extreme",
        target: str = "loss",
        method: str | None = None,
        output: int | None = None,
        refit: str = "final",
        random_state: Any = None,
    ) -> LeaveOneOutCheck:
        """Hold scores against real retraining: remove rows, refit, measure, compare.

        With q_t(model) the target at test row t,

            predicted[t, i] = score of training row i on t
            actual[t, i] = q_t(judge fitted without row i) - q_t(judge fitted on all rows)

        The judge is a clone of the user's own estimator, with the tightest solver scikit-learn has
        for the same objective; what was changed is in the summary. Refits run in ``n_jobs``
        processes, with progress where ``verbose``.

        Parameters
        ----------
        X_test, y_test
            As in `influence_scores`, with the same errors.
        rows : int or array-like of int, default=30
            How many training rows to remove at most, one at a time, or which (positions).
        select : {"extreme", "random"}, default="extreme"
            The rows with the largest scores over all tests, or any.
        target, method, output
            As in `influence_scores`.
        refit : {"final", "pipeline", "proximal"}, default="final"
            Refit the final step on the features as they are, which is what scores predict, or
            transformers and all; then the summary says what the transformers did. A network goes
            on from its fitted weights: a cold restart ends in another minimum, and measures
            something else. "proximal" holds scores of a network that is not at a minimum against
            the minimum of its proximal objective (Bae et al. 2022), with no refit at all.
        random_state : int, RandomState or None
            For ``select="random"``.

        Returns
        -------
        LeaveOneOutCheck
            Predicted and actual changes, in the unit of the target; for the loss positive = the
            row helps. Slope and relative error have no unit.

        Raises
        ------
        ValueError
            For input that `influence_scores` refuses; for rows that are unknown, repeated or the
            only ones of their class; for ``refit="pipeline"`` of frozen transformers; where no
            single plain estimator repeats a cross-validated fit.
        MemoryError
            As in `influence_scores`.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> check = model.leave_one_out_check([[1.0]], [1.0], rows=[1, 3])
        >>> check.actual.round(2)
        array([[ 0.34, -0.35]])
        >>> bool(np.allclose(check.predicted, check.actual))
        True
        """
        used = self._method(method)
        check_rows(rows, select, self._lonely())
        check_refit(self.estimator_, self._objective(), refit, used)
        judge = judge_for(self)
        scorer = self._scorer(X_test, y_test, target=target, method=method, output=output)
        return leave_one_out(
            self,
            scorer,
            judge,
            X_test,
            y_test,
            rows=rows,
            select=select,
            target=target,
            output=output,
            refit=refit,
            random_state=random_state,
        )

    def _lonely(self) -> Array:
        """Return which training rows are the only ones of their class."""
        if not is_classifier(self) or np.ndim(self._training.y) > 1:
            return np.zeros(len(self._training.y), dtype=bool)
        return only_ones_of_their_class(self._training.y, self._training.sample_weight)

    def _warn_of_lonely_rows(self) -> None:
        rows = np.flatnonzero(self._lonely())
        if len(rows):
            named = ", ".join(map(str, rows[:10])) + (", ..." if len(rows) > 10 else "")
            warn(
                f"The training rows {named} are the only ones of their class: without them the "
                "model has other classes, or no finite optimum, and their scores mean nothing. "
                "Leave these scores out, or add rows of the same classes.",
                UserWarning,
            )
