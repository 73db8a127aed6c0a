"""A wrapper as an estimator: it fits, predicts, and keeps what scoring needs."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import sklearn
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted

from skinfluence.adapters import (
    Training,
    adapt,
    check_composition,
    check_supported,
    final_step,
    fit_recorded,
    is_frozen,
    is_smoothed,
    reached_max_iter,
    target_transformers,
    weighted_fit_params,
)
from skinfluence.delegation import Predicting
from skinfluence.effects import Scorer, Target, check_target, target_of
from skinfluence.estimators.building import build_engine
from skinfluence.estimators.engine import Engine, resolve_method
from skinfluence.estimators.questions import (
    check_method,
    check_parameters,
    check_traced,
    objective_over,
    weights_per_row,
)
from skinfluence.losses import TransformedTarget
from skinfluence.objectives import (
    LinearObjective,
    NetworkObjective,
    Objective,
    OutputObjective,
)
from skinfluence.removal import Counterfactuals
from skinfluence.solvers import Numerics

Array = npt.NDArray[Any]

_KEPT_BY_SCORING = ("_objective_", "_engines_", "_engine_key", "_answering", "refinement_")


class FittedWrapper(Predicting, MetaEstimatorMixin, BaseEstimator):
    """What the classifier and the regressor share, but for what they are asked."""

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
            have no influence function, and whatever the inner `fit` raises.
        """
        check_parameters(self, self._inner())
        estimator = clone(self._inner())
        self._check_kind(estimator)
        check_composition(estimator)
        check_supported(final_step(estimator))
        sample_weight = weights_per_row(sample_weight, X)
        for name in fit_params:
            if name.endswith("sample_weight"):
                fit_params[name] = weights_per_row(fit_params[name], X)
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

    # ---------------------------------------------------------------------------------- wiring

    @property
    def solver_(self) -> str:
        """Which solver answered the last question, and why."""
        return self._answered("solver_").solver

    @property
    def numerics_(self) -> Numerics | None:
        """How well that inverted the curvature, as far as it was cheap to tell.

        None where the last question needed no inverse.
        """
        return self._answered("numerics_").numerics

    def _answered(self, name: str) -> Engine:
        """Return the engine that was asked last."""
        engine: Engine | None = self.__dict__.get("_answering")
        if engine is None:
            raise AttributeError(
                f"{name} of {type(self).__name__} was asked for, but it is about the solver that "
                "answered the last question, and none has. Score first, by influence_scores for "
                "example."
            )
        return engine

    def _objective(self) -> Objective:
        """Return the objective at the fitted parameters, kept for the next call."""
        if "_objective_" not in self.__dict__:
            data, final = self._training, final_step(self.estimator_)
            objective = adapt(final, data.X, data.y, data.sample_weight)
            self._objective_ = as_asked(objective, self.estimator_, self.temperature)
        return self._objective_

    def _engine(self, method: str = "auto") -> Engine:
        """Return the engine of a method, built at its first call and when parameters change.

        Exact minima without rows are compared with the minimum of all rows: a network is moved
        there first, where `refine` leaves the choice.
        """
        moves = method == "exact" and not isinstance(self._objective(), LinearObjective)
        if moves and self.refine is False:
            raise ValueError(
                "method='exact' was asked for with refine=False, but it is the difference of two "
                "minima, and the fitted parameters are none. Use refine='auto' or True, or "
                "method='newton'."
            )
        refine = True if self.refine == "auto" and moves else self.refine
        key = (self.solver, self.curvature, self.damping)
        if self.__dict__.get("_engine_key") != key:
            self._engines_: dict[Any, Engine] = {}
            self._engine_key = key
        if refine not in self._engines_:
            self._engines_[refine] = self._engine_of(self._objective(), refine)
        engine = self._engines_[refine]
        self._answering = engine
        self.refinement_ = engine.refinement
        return engine

    def _engine_of(self, objective: Objective, refine: Any) -> Engine:
        """Return a new engine of an objective at the fitted parameters."""
        final = final_step(self.estimator_)
        part = getattr(final, "estimator", None)
        name = type(final).__name__
        return build_engine(
            objective,
            name if part is None else f"{name}({type(part).__name__})",
            solver=self.solver,
            curvature=self.curvature,
            damping=self.damping,
            refinement=refine,
            frozen=is_frozen(self.estimator_),
            out_of_iterations=reached_max_iter(final),
            smoothed=is_smoothed(final),
        )

    def _method(self, method: str | None, *, traced: bool = False) -> str:
        """Return what a method means here, after the checks that every question begins with.

        `traced` is for questions that a path of training answers as well.
        """
        check_is_fitted(self)
        check_parameters(self, self.estimator_)
        if method is not None:
            check_method(method)
        used = resolve_method(self.method if method is None else method, self._objective())
        if used == "tracin":
            check_traced(self.estimator_, answered=traced)
        return used

    def _scorer(
        self,
        X_test: Any,
        y_test: Any,
        *,
        target: str,
        method: str | None,
        output: int | None = None,
        edits: Callable[[Engine, str], Counterfactuals] = Engine.removal,
        whole: Objective | None = None,
    ) -> Scorer:
        """Return the scorer of edits (of the removal of every row) on some test rows.

        `whole` is the objective at the fitted parameters, where it is not the kept one.
        """
        used = self._method(method)
        objective = self._objective() if whole is None else whole
        check_target(target, objective)
        test = objective_over(self, objective, X_test, y_test, target=target, output=output)

        # Nothing above is expensive, so that wrong input is refused before anything below is.
        kept = objective is self._objective()
        engine = self._engine(used) if kept else self._engine_of(objective, self.refine)
        removal = edits(engine, used)
        test = engine.test(test, removal)
        return Scorer(removal, test, target_maker(test, y_test, target, output), self.n_jobs)


def as_asked(objective: Objective, estimator: Any, temperature: float | None) -> Objective:
    """Return an adapted objective at the temperature asked for, its targets in the user's units.

    Parameters
    ----------
    objective : Objective
        Of the final step.
    estimator : estimator
        What is around it.
    temperature : float or None
        None leaves that of the adapter.
    """
    if not isinstance(objective, (LinearObjective, NetworkObjective)):
        if target_transformers(estimator):
            raise ValueError(
                f"{type(final_step(estimator)).__name__} under a TransformedTargetRegressor was "
                "given, but its own objective is stated for the targets it was fitted on. Wrap it "
                "without, and transform the targets beforehand."
            )
        return objective
    loss = objective.loss
    if temperature is not None:
        loss = loss.at_temperature(temperature)
    for one in reversed(target_transformers(estimator)):
        size = float(np.sqrt(np.mean(np.square(objective.raw_predictions()))))
        loss = TransformedTarget(loss, one.forward, one.inverse, size if size > 0 else 1.0)
    return replace(objective, loss=loss)


def target_maker(
    test: Objective, y_test: Any, target: str, output: int | None
) -> Callable[[Objective, slice], Target | None]:
    """Return the map from the objective over some of the test rows, and which, to their target."""
    labels = target_labels(test, y_test, target)

    def make_target(part: Objective, tests: slice) -> Target | None:
        if not isinstance(part, OutputObjective):
            return None
        return target_of(target, part, None if labels is None else labels[tests], output)

    return make_target


def target_labels(test: Objective, y_test: Any, target: str) -> Array | None:
    """Return the labels that choose the class of the target: given, or as predicted."""
    if y_test is not None:
        return np.asarray(y_test)
    if target == "loss" or not isinstance(test, OutputObjective) or test.loss.classes is None:
        return None
    return test.loss.decide(test.raw_predictions())
