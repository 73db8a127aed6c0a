"""A wrapper as a scikit-learn estimator: it fits, predicts, and keeps what is asked of."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields, replace
from numbers import Number
from typing import Any, ClassVar, Self

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from skinfluence.adapters import (
    Training,
    check_composition,
    check_supported,
    final_step,
    fit_recorded,
    past_searches,
    replaces_estimators,
    weighted_fit_params,
)
from skinfluence.mechanisms import Mechanism
from skinfluence.minimisers.distance import Refinement
from skinfluence.models.delegation import Predicting
from skinfluence.process.row_names import length_of, named_row, rows_of
from skinfluence.questions.evaluation import as_array
from skinfluence.questions.fitted import Answers, Fitted
from skinfluence.questions.options import Options, check_options
from skinfluence.solvers import Numerics

_OF_THE_INNER = ("classes_", "n_features_in_", "feature_names_in_")


class FittedWrapper(Predicting, MetaEstimatorMixin, BaseEstimator):
    """What the classifier and the regressor share, but for what they are asked."""

    _fitted: Fitted

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
        # What answers have computed is as large as the Hessian, quick to compute again, and not to
        # be shared by copies.
        state = dict(super().__getstate__())
        if "_fitted" in state:
            state["_fitted"] = replace(state["_fitted"], answers=Answers())
        return state

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **fit_params: Any) -> Self:
        """Fit a clone of the inner estimator and keep its training rows.

        The curvature is computed at the first score, not here.

        Parameters
        ----------
        X : array-like, sparse matrix or frame of shape (n_train, n_features)
            Kept by reference, as the last step of a Pipeline saw it.
        y : array-like of shape (n_train,) or (n_train, n_outputs)
        sample_weight : array-like of shape (n_train,) or float, optional
            Not negative. Goes to every step of a Pipeline whose `fit` takes it; with metadata
            routing enabled, to the steps that request it. A number is that weight for every row.
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
            For parameters out of their range, negative weights, estimators with parameters that
            have no influence function, a Pipeline whose last step sees other rows than those given
            or drawn from them, and whatever the inner `fit` raises.
        """
        check_options(_options_of(self), self._inner())
        estimator = clone(self._inner())
        self._check_kind(estimator)
        check_composition(estimator)
        if not replaces_estimators(estimator):
            check_supported(final_step(estimator))
        sample_weight = weights_per_row(sample_weight, X)
        for name in fit_params:
            if name.endswith("sample_weight"):
                fit_params[name] = weights_per_row(fit_params[name], X)
        params = self._routed(estimator, sample_weight, fit_params)
        training = fit_recorded(estimator, X, y, params)
        check_supported(final_step(estimator))  # a search may have chosen another
        self._take(
            Fitted(
                estimator,
                replace(training, y=as_array(training.y)),
                raw=Training(X, as_array(y), None),
                fit_params=past_searches(estimator, params),
                routing=sklearn.get_config()["enable_metadata_routing"],
                classifier=is_classifier(self),
            )
        )
        return self

    @classmethod
    def from_fitted(
        cls, estimator: Any, X: Any, y: Any, sample_weight: Any = None, **params: Any
    ) -> Self:
        """Return a wrapper around an estimator that is fitted already, as it is.

        Nothing is fitted or copied; a fitted Pipeline transforms the rows once. The same as
        ``InfluenceClassifier(FrozenEstimator(estimator), **params).fit(X, y, sample_weight)``.

        Parameters
        ----------
        estimator : fitted estimator
            Alone, a Pipeline, a search, or in a FrozenEstimator.
        X, y, sample_weight
            What it was fitted on, as in `fit`; where the gradient there says otherwise, the first
            question raises ValueError.
        **params : dict
            Of the constructor, such as ``method``.

        Returns
        -------
        InfluenceClassifier or InfluenceRegressor

        Raises
        ------
        NotFittedError
            For an estimator that is not fitted.
        TypeError, ValueError
            As in `fit`.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import LogisticRegression
        >>> from skinfluence import InfluenceClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> fitted = LogisticRegression(max_iter=1000).fit(X, y)
        >>> InfluenceClassifier.from_fitted(fitted, X, y).influence_scores(X[:2], y[:2]).shape
        (2, 150)
        """
        frozen = estimator if isinstance(estimator, FrozenEstimator) else FrozenEstimator(estimator)
        return cls(frozen, **params).fit(X, y, sample_weight)

    def _check_fitted(self) -> None:
        if not hasattr(self, "estimator_") and _is_fitted(self._inner()):
            name, inner = type(self).__name__, self._inner()
            raise NotFittedError(
                f"This {name} instance is not fitted yet, but the {type(inner).__name__} in it is: "
                f"{name}.from_fitted(estimator, X, y) takes it as it is, with the rows it was "
                "fitted on. Call 'fit' to fit a copy of it."
            )
        check_is_fitted(self)

    def _take(self, fitted: Fitted) -> None:
        """Become the wrapper of a fitted estimator."""
        self._fitted, self.estimator_ = fitted, fitted.estimator
        self.__dict__.pop("certificate_", None)  # of another fit
        for name in _OF_THE_INNER:
            self.__dict__.pop(name, None)
            if hasattr(fitted.estimator, name):
                setattr(self, name, getattr(fitted.estimator, name))

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
        self._check_fitted()
        return float(self.estimator_.score(X, y, **params))

    # ------------------------------------------------------------------------------ questions

    def _current(self) -> Fitted:
        """Return what questions are asked of, answered as the parameters say now."""
        self._check_fitted()
        options = _options_of(self)
        check_options(options, self.estimator_)
        return self._fitted.under(options)

    @property
    def solver_(self) -> str:
        """Which solver answered the last question, and why."""
        return self._answering("solver_").solver

    @property
    def numerics_(self) -> Numerics | None:
        """Conditioning, pivots and residuals of that solver, as far as they were cheap to tell.

        None where the last question needed no inverse.
        """
        return self._answering("numerics_").numerics

    @property
    def refinement_(self) -> Refinement | None:
        """How far the fitted parameters were from where the last question was answered.

        None for a family of models that is not moved.
        """
        return self._answering("refinement_").refinement

    def _answering(self, name: str) -> Mechanism:
        """Return the mechanism that answered the last question."""
        fitted: Fitted | None = self.__dict__.get("_fitted")
        mechanism = None if fitted is None else fitted.answers.answering
        if mechanism is None:
            raise AttributeError(
                f"{name} of {type(self).__name__} was asked for, but it is about the solver that "
                "answered the last question, and none has. Score first, by influence_scores for "
                "example."
            )
        return mechanism


def weights_per_row(sample_weight: Any, X: Any) -> Any:
    """Return sample weights as they were given, a single number repeated for every row.

    Raises
    ------
    ValueError
        For a negative weight: scikit-learn fits some models with one, to no minimum.
    """
    if isinstance(sample_weight, Number):
        sample_weight = np.full(length_of(X), sample_weight)
    given = None if sample_weight is None else np.asarray(sample_weight)
    if given is not None and given.dtype.kind in "if" and np.any(given < 0):
        wrong = np.flatnonzero(given.ravel() < 0)
        with rows_of(X):
            first = named_row(wrong[0])
        raise ValueError(
            f"Negative sample weights were given ({len(wrong)}, the first "
            f"{given.ravel()[wrong[0]]:g} at row {first}); weights >= 0 are accepted. With a "
            "negative weight the fit may have no minimum: leave the row out, or pass 0."
        )
    return sample_weight


def _is_fitted(estimator: Any) -> bool:
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def _options_of(wrapper: Any) -> Options:
    """Return the options that a wrapper has now."""
    return Options(**{option.name: getattr(wrapper, option.name) for option in fields(Options)})
