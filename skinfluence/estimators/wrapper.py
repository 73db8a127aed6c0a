"""The wrappers a user meets: `InfluenceClassifier` and `InfluenceRegressor`. Wiring, no formula."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    clone,
    is_classifier,
    is_regressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.utils import assert_all_finite, check_consistent_length, get_tags
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, validate_data

from skinfluence.adapters import (
    Training,
    adapt,
    check_supported,
    features_of,
    final_step,
    fit_recorded,
    freezes_transformers,
    is_frozen,
    weighted_fit_params,
)
from skinfluence.curvature import KINDS
from skinfluence.effects import Scorer, Target, check_target, target_of
from skinfluence.estimators.check import (
    check_rows,
    choose_rows,
    only_ones_of_their_class,
    read_target,
)
from skinfluence.estimators.engine import Engine, build_engine, resolve_method
from skinfluence.inspection import Influence, LeaveOneOutCheck
from skinfluence.objectives import Balanced, Objective, OutputObjective
from skinfluence.retraining import judge_of, refit_without, with_final_step

Array = npt.NDArray[Any]

METHODS = ("auto", "first_order", "newton", "exact")

_KEPT_BY_SCORING = ("_objective_", "_engine_", "_engine_key", "solver_", "refinement_")


def _estimator_has(name: str) -> Callable[[Any], bool]:
    def check(self: _InfluenceEstimator) -> bool:
        return hasattr(self.__dict__.get("estimator_", self._inner()), name)

    return check


class _InfluenceEstimator(MetaEstimatorMixin, BaseEstimator):
    """What the classifier and the regressor share."""

    __metadata_request__fit: ClassVar[dict[str, str]] = {"sample_weight": UNUSED}

    def __init__(
        self,
        estimator: Any = None,
        *,
        method: str = "auto",
        solver: Any = "auto",
        curvature: str = "auto",
        damping: float = 0.0,
        refine: Any = "auto",
        temperature: float | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.solver = solver
        self.curvature = curvature
        self.damping = damping
        self.refine = refine
        self.temperature = temperature
        self.n_jobs = n_jobs
        self.verbose = verbose

    # ------------------------------------------------------------------ scikit-learn's protocol

    def _default(self) -> Any:
        raise NotImplementedError

    def _check_kind(self, estimator: Any) -> None:
        raise NotImplementedError

    def _inner(self) -> Any:
        return self._default() if self.estimator is None else self.estimator

    def __sklearn_tags__(self) -> Any:
        tags = deepcopy(get_tags(self._inner()))
        tags.array_api_support = False
        return tags

    def get_metadata_routing(self) -> MetadataRouter:
        """Return the routing of the inner estimator, which alone decides what it is given.

        Returns
        -------
        MetadataRouter
        """
        mapping = (
            MethodMapping().add(caller="fit", callee="fit").add(caller="score", callee="score")
        )
        router = MetadataRouter(owner=type(self).__name__)
        return router.add(estimator=self._inner(), method_mapping=mapping)

    def __getstate__(self) -> dict[str, Any]:
        # What scoring keeps is as large as the Hessian, and quick to compute again.
        state = super().__getstate__().items()
        return {name: value for name, value in state if name not in _KEPT_BY_SCORING}

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **fit_params: Any) -> Self:
        """Fit a clone of the inner estimator and keep its training rows.

        The curvature is computed at the first score, not here.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n_train, n_features)
            Kept by reference, as the last step of a Pipeline saw it.
        y : array-like of shape (n_train,) or (n_train, n_outputs)
        sample_weight : array-like of shape (n_train,), optional
            Goes to every step of a Pipeline whose `fit` takes it; with metadata routing enabled,
            to the steps that request it.
        **fit_params : dict
            Passed to the inner `fit`; ``step__sample_weight`` goes verbatim to that step.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            For an estimator without an adapter, before anything is fitted, and for
            `sample_weight` where the last step takes none.
        ValueError
            For parameters out of their range, for estimators with parameters that have no
            influence function, and whatever the inner `fit` raises.
        """
        self._check_parameters()
        estimator = clone(self._inner())
        self._check_kind(estimator)
        check_supported(final_step(estimator))
        params = self._routed(estimator, sample_weight, fit_params)
        self._training = fit_recorded(estimator, X, y, params)
        self._raw = Training(X, y, None)
        self._fit_params = params
        self._routing = sklearn.get_config()["enable_metadata_routing"]
        self.estimator_ = estimator
        for name in (*_KEPT_BY_SCORING, "classes_", "n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)
        for name in ("classes_", "n_features_in_", "feature_names_in_"):
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))
        return self

    def _routed(
        self, estimator: Any, sample_weight: Any, fit_params: dict[str, Any]
    ) -> dict[str, Any]:
        given = (
            fit_params if sample_weight is None else {**fit_params, "sample_weight": sample_weight}
        )
        if isinstance(estimator, FrozenEstimator):
            return given
        if sklearn.get_config()["enable_metadata_routing"]:
            routed: dict[str, Any] = process_routing(self, "fit", **given).estimator.fit
            return routed
        return weighted_fit_params(estimator, sample_weight, fit_params)

    def _check_parameters(self) -> None:
        _check_method(self.method)
        if self.curvature not in KINDS:
            raise ValueError(f"curvature={self.curvature!r} was given; accepted are {KINDS}.")
        if not (isinstance(self.damping, Real) and self.damping >= 0):
            raise ValueError(
                f"damping={self.damping!r} was given; a number >= 0 in the units of the Hessian "
                "of the summed loss is accepted."
            )
        if self.refine not in ("auto", True, False):
            raise ValueError(
                f"refine={self.refine!r} was given; accepted are 'auto', True and False."
            )
        if self.temperature is not None:
            raise ValueError(
                f"temperature={self.temperature!r} was given, but it smooths hinge losses only and "
                f"{type(final_step(self._inner())).__name__} has none; leave temperature=None."
            )

    def predict(self, X: Any) -> Array:
        """Return the predictions of the inner estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
        """
        check_is_fitted(self)
        predictions: Array = self.estimator_.predict(X)
        return predictions

    def score(self, X: Any, y: Any, **params: Any) -> float:
        """Return the score of the inner estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        **params : dict
            Such as ``sample_weight``.

        Returns
        -------
        float
        """
        check_is_fitted(self)
        return float(self.estimator_.score(X, y, **params))

    # -------------------------------------------------------------------------------- scoring

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
        method : {"auto", "first_order", "newton", "exact"}, optional
            The constructor's by default.
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
        if aggregate not in (None, "mean", "sum"):
            raise ValueError(
                f"aggregate={aggregate!r} was given; accepted are None, 'mean' and 'sum'."
            )
        scorer = self._scorer(X_test, y_test, target=target, method=method, output=output)
        dtype = scorer.removal.objective.dtype
        if aggregate is None:
            return scorer.matrix(dtype)
        total = scorer.total()
        return (total / scorer.test.n_samples if aggregate == "mean" else total).astype(dtype)

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
        """
        if top is not None and not (isinstance(top, Integral) and top >= 1):
            raise ValueError(f"top={top!r} was given; None or a number of rows >= 1 is accepted.")
        scorer = self._scorer(X_test, y_test, target=target, method=method, output=output)
        rows = None
        if top is None:
            scores = scorer.matrix(scorer.removal.objective.dtype)
        else:
            rows, scores = scorer.top(top)
            scores = scores.astype(scorer.removal.objective.dtype)
        return Influence(
            scores=scores,
            method=scorer.removal.method,
            target=target,
            row_labels=_labels_of(self._raw.X, scorer.n_train),
            test_labels=_labels_of(X_test, scorer.test.n_samples),
            rows=rows,
            guarded_rows=scorer.removal.guarded,
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

        Refits are clones of the user's own estimator, with the tightest solver scikit-learn has
        for the same objective; what was changed is in the summary. They run in ``n_jobs``
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
        refit : {"final", "pipeline"}, default="final"
            Refit the final step on the features as they are, which is what scores predict, or
            transformers and all; then the summary says what the transformers did.
        random_state : int, RandomState or None
            For ``select="random"``.

        Returns
        -------
        LeaveOneOutCheck
        """
        check_is_fitted(self)
        training, final = self._training, final_step(self.estimator_)
        forbidden = np.zeros(len(training.y), dtype=bool)
        if is_classifier(self):
            forbidden = only_ones_of_their_class(training.y, training.sample_weight)
        check_rows(rows, select, forbidden)
        self._check_refit(refit)
        with sklearn.config_context(enable_metadata_routing=self._routing):
            judge = judge_of(final, training.X, training.sample_weight)
        scorer = self._scorer(X_test, y_test, target=target, method=method, output=output)
        scores = scorer.matrix(np.float64)
        chosen = choose_rows(rows, select, scores, forbidden, random_state)
        weights = (
            {} if training.sample_weight is None else {"sample_weight": training.sample_weight}
        )
        labels = self._target_labels(scorer.test, y_test, target)

        def retrained(estimator: Any, data: Training, params: dict[str, Any], tests: Any) -> Array:
            removed = [np.empty(0, dtype=int), *chosen[:, None]]
            fits = refit_without(
                estimator, data.X, data.y, params, removed, n_jobs=self.n_jobs, verbose=self.verbose
            )
            reads = [
                read_target(one, tests, labels, training.y, target=target, output=output)
                for one in fits
            ]
            return np.column_stack(reads)

        features = features_of(self.estimator_, X_test)
        values = retrained(judge.estimator, training, weights, features)
        final_changes = values[:, 1:] - values[:, :1]
        whole = None
        if refit == "pipeline" and isinstance(self.estimator_, Pipeline):
            pipeline = with_final_step(self.estimator_, judge.estimator)
            with sklearn.config_context(enable_metadata_routing=self._routing):
                whole = retrained(pipeline, self._raw, self._fit_params, X_test)
            whole = whole[:, 1:] - whole[:, :1]
        refined = scorer.make_target(scorer.test, slice(None))
        assert refined is not None
        return LeaveOneOutCheck(
            predicted=scores[:, chosen],
            actual=final_changes if whole is None else whole,
            noise=values[:, 0] - refined.value(),
            rows=chosen,
            row_labels=_labels_of(self._raw.X, scorer.n_train)[chosen],
            method=scorer.removal.method,
            target=target,
            refit="final" if whole is None else "pipeline",
            notes=self._check_notes(scorer, chosen, judge.notes, int(forbidden.sum())),
            actual_final=None if whole is None else final_changes,
        )

    def _check_refit(self, refit: str) -> None:
        if refit not in ("final", "pipeline"):
            raise ValueError(f"refit={refit!r} was given; accepted are 'final' and 'pipeline'.")
        if refit == "pipeline" and freezes_transformers(self.estimator_):
            raise ValueError(
                "refit='pipeline' was asked for, but a FrozenEstimator keeps the transformers as "
                "they are. Use refit='final', or wrap the Pipeline itself and fit it here."
            )

    def _check_notes(
        self, scorer: Scorer, rows: Array, changes: tuple[str, ...], n_forbidden: int
    ) -> tuple[str, ...]:
        notes = []
        if changes:
            notes.append(
                f"judge: {type(final_step(self.estimator_)).__name__}, {', '.join(changes)}"
            )
        leverage = scorer.removal.leverage
        if leverage is not None:
            note = f"leverage: largest of the removed rows {leverage[rows].max():.2f}"
            if guarded := int(np.sum(np.isin(rows, scorer.removal.guarded))):
                note += f"; {guarded}, whose Newton step goes too far, were minimised on their own"
            notes.append(note)
        if isinstance(scorer.removal.objective.weighting, Balanced):
            notes.append(
                "weights that move: class_weight='balanced' re-weighs the other rows when one "
                "leaves; scores and refits both do"
            )
        if self.damping > 0:
            notes.append(
                f"damping: scores are of the curvature + {self.damping:g} I, refits know none"
            )
        far = self._engine().refinement.relative_distance
        if far > 0.01:
            notes.append(
                f"refinement: the fitted parameters were {far:.2f} typical removals away from "
                "the stationary point"
            )
        if n_forbidden:
            notes.append(f"{n_forbidden} row(s) that are the only ones of their class were left in")
        return tuple(notes)

    # ---------------------------------------------------------------------------------- wiring

    def _objective(self) -> Objective:
        """Return the objective at the fitted parameters, kept for the next call."""
        if "_objective_" not in self.__dict__:
            data, final = self._training, final_step(self.estimator_)
            self._objective_ = adapt(final, data.X, data.y, data.sample_weight)
        return self._objective_

    def _engine(self) -> Engine:
        """Return the engine, built at the first call and again when its parameters change."""
        key = (self.solver, self.curvature, self.damping, self.refine)
        if self.__dict__.get("_engine_key") != key:
            self._engine_ = build_engine(
                self._objective(),
                type(final_step(self.estimator_)).__name__,
                solver=self.solver,
                curvature=self.curvature,
                damping=self.damping,
                refinement=self.refine,
                frozen=is_frozen(self.estimator_),
            )
            self._engine_key = key
            self.solver_ = self._engine_.reason
            self.refinement_ = self._engine_.refinement
        return self._engine_

    def _scorer(
        self, X_test: Any, y_test: Any, *, target: str, method: str | None, output: int | None
    ) -> Scorer:
        check_is_fitted(self)
        self._check_parameters()
        if method is not None:
            _check_method(method)
        objective = self._objective()
        check_target(target, objective)
        used = resolve_method(self.method if method is None else method, objective)
        test = self._test_rows(objective, X_test, y_test, target=target, output=output)

        # Nothing above is expensive, so that wrong input is refused before anything below is.
        engine = self._engine()
        test = test.at(engine.objective.theta)
        labels = self._target_labels(test, y_test, target)

        def make_target(part: Objective, tests: slice) -> Target | None:
            if not isinstance(part, OutputObjective):
                return None
            return target_of(target, part, None if labels is None else labels[tests], output)

        removal = engine.removal(used)
        return Scorer(removal, test, make_target, self.n_jobs)

    def _test_rows(
        self, objective: Objective, X_test: Any, y_test: Any, *, target: str, output: int | None
    ) -> Objective:
        """Return the objective over the test rows; refuse rows, labels and outputs it lacks."""
        if (X_test.shape[0] if hasattr(X_test, "shape") else len(X_test)) == 0:
            raise ValueError(
                "X_test has no rows; at least one test row is needed to have an influence on."
            )
        if y_test is None and target == "loss":
            raise ValueError(
                "target='loss' was asked for without y_test, and a loss needs the true targets. "
                "Pass y_test, or another target."
            )
        if y_test is not None:
            check_consistent_length(X_test, y_test)
        if output is not None and (target == "loss" or is_classifier(self)):
            raise ValueError(
                f"output={output!r} was given with target={target!r}, but the loss is summed over "
                "the outputs and the class of a classifier is chosen by y_test. Leave output=None."
            )
        features = features_of(self.estimator_, X_test)
        validate_data(final_step(self.estimator_), features, reset=False, skip_check_array=True)
        try:
            assert_all_finite(features, input_name="X_test")
        except ValueError as error:
            raise ValueError(
                f"{error} Finite features are accepted by the final step: drop these rows, or "
                "impute them in a step of the Pipeline."
            ) from error
        test = objective.on(features, y_test if target == "loss" else None)
        if isinstance(test, OutputObjective):
            target_of(target, test, y_test, output)
        return test

    @staticmethod
    def _target_labels(test: Objective, y_test: Any, target: str) -> Array | None:
        """Return the labels that choose the class of the target: given, or as predicted."""
        if y_test is not None:
            return np.asarray(y_test)
        if target == "loss" or not isinstance(test, OutputObjective) or test.loss.classes is None:
            return None
        eta = test.raw_predictions()
        best = (eta[:, 0] > 0).astype(int) if eta.shape[1] == 1 else np.argmax(eta, axis=1)
        labels: Array = test.loss.classes[best]
        return labels


class InfluenceClassifier(ClassifierMixin, _InfluenceEstimator):
    """Tell which training rows made a classifier predict that, and what it would do without them.

    Wraps a classifier, alone or as the last step of a Pipeline. It fits and predicts as the inner
    estimator does, scores training rows on test rows, and checks the scores against retraining.

    Parameters
    ----------
    estimator : estimator, default=None
        LogisticRegression (every solver, l2 or no penalty), LogisticRegressionCV, RidgeClassifier,
        RidgeClassifierCV, or a Pipeline that ends in one; LogisticRegression() by default.
        ``FrozenEstimator(fitted)`` is taken as it is. For the CV estimators the chosen
        hyper-parameter is frozen.
    method : {"auto", "first_order", "newton", "exact"}, default="auto"
        How a removal is computed. "auto" is "newton" for linear models; "exact" iterates to the
        minimum without each row, at a multiple of the cost.
    solver : {"auto", "cholesky"} or solver object, default="auto"
        What inverts the curvature; ``solver_`` says what "auto" chose.
    curvature : {"auto", "hessian", "gauss_newton", "fisher"}, default="auto"
        For linear models with a canonical loss they are one matrix.
    damping : float, default=0.0
        Added to the diagonal of the curvature, in the units of the Hessian of the summed loss.
    refine : {"auto", True, False}, default="auto"
        Differentiate at the stationary point, reached from the fitted parameters in a copy
        ("auto": for convex models). False scores the fitted parameters as they are. True also
        accepts a frozen model that was fitted on other rows.
    temperature : float, default=None
        Smoothing of hinge losses; no model supported today has one.
    n_jobs : int, default=None
        Threads for scoring, processes for refits. Results do not depend on it.
    verbose : int, default=0
        Progress of refits.

    Attributes
    ----------
    estimator_ : estimator
        The fitted inner estimator; refinement never touches it.
    classes_ : ndarray of shape (n_classes,)
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where the inner estimator has them.
    solver_ : str
        After the first score: the solver and why.
    refinement_ : Refinement
        After the first score: distances and gradient norms before and after.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skinfluence import InfluenceClassifier
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8))
    >>> model = InfluenceClassifier(pipeline).fit(X[:400], y[:400])
    >>> model.influence(X[400:402], y[400:402]).helpful(k=3).shape
    (2, 3)
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # ClassifierMixin puts new ones in place of those of the inner estimator.
        tags.classifier_tags = get_tags(self._inner()).classifier_tags or tags.classifier_tags
        return tags

    def _default(self) -> Any:
        return LogisticRegression()

    def _check_kind(self, estimator: Any) -> None:
        if is_regressor(estimator):
            raise TypeError(
                f"InfluenceClassifier was given {type(final_step(estimator)).__name__}, a "
                "regressor; use InfluenceRegressor."
            )

    @available_if(_estimator_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Return the class probabilities of the inner estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        probabilities: Array = self.estimator_.predict_proba(X)
        return probabilities

    @available_if(_estimator_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Array:
        """Return the decision function of the inner estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        check_is_fitted(self)
        decisions: Array = self.estimator_.decision_function(X)
        return decisions


class InfluenceRegressor(RegressorMixin, _InfluenceEstimator):
    """Tell which training rows made a regressor predict that, and what it would do without them.

    Wraps a regressor, alone or as the last step of a Pipeline. It fits and predicts as the inner
    estimator does, scores training rows on test rows, and checks the scores against retraining.

    Parameters
    ----------
    estimator : estimator, default=None
        LinearRegression, Ridge (one or several targets), RidgeCV, or a Pipeline that ends in one;
        Ridge() by default. ``FrozenEstimator(fitted)`` is taken as it is. For RidgeCV the chosen
        alpha is frozen.
    method : {"auto", "first_order", "newton", "exact"}, default="auto"
        How a removal is computed. "auto" is "newton" for linear models, which is exact here.
    solver : {"auto", "cholesky"} or solver object, default="auto"
        What inverts the curvature; ``solver_`` says what "auto" chose.
    curvature : {"auto", "hessian", "gauss_newton", "fisher"}, default="auto"
        For linear models with a canonical loss they are one matrix.
    damping : float, default=0.0
        Added to the diagonal of the curvature, in the units of the Hessian of the summed loss.
    refine : {"auto", True, False}, default="auto"
        Differentiate at the stationary point, reached from the fitted parameters in a copy
        ("auto": for convex models). False scores the fitted parameters as they are. True also
        accepts a frozen model that was fitted on other rows.
    temperature : float, default=None
        Smoothing of hinge losses; no model supported today has one.
    n_jobs : int, default=None
        Threads for scoring, processes for refits. Results do not depend on it.
    verbose : int, default=0
        Progress of refits.

    Attributes
    ----------
    estimator_ : estimator
        The fitted inner estimator; refinement never touches it.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Where the inner estimator has them.
    solver_ : str
        After the first score: the solver and why.
    refinement_ : Refinement
        After the first score: distances and gradient norms before and after.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = InfluenceRegressor().fit(X[:400], y[:400])
    >>> check = model.leave_one_out_check(X[400:], y[400:], rows=10)
    >>> bool(check.relative_error < 1e-8)
    True
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # RegressorMixin puts new ones in place of those of the inner estimator.
        tags.regressor_tags = get_tags(self._inner()).regressor_tags or tags.regressor_tags
        return tags

    def _default(self) -> Any:
        return Ridge()

    def _check_kind(self, estimator: Any) -> None:
        if is_classifier(estimator):
            raise TypeError(
                f"InfluenceRegressor was given {type(final_step(estimator)).__name__}, a "
                "classifier; use InfluenceClassifier."
            )


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method={method!r} was given; accepted are {METHODS}.")


def _labels_of(X: Any, n_rows: int) -> Array:
    """Return the index of a frame, or positions."""
    return np.asarray(X.index) if hasattr(X, "iloc") else np.arange(n_rows)
