"""Refits by the judge, read as the target of test rows."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sklearn
from sklearn.utils.metadata_routing import get_routing_for_object

from skinfluence.adapters import (
    Training,
    adapt,
    features_of,
    final_step,
    target_transformers,
    write_parameters,
)
from skinfluence.effects import target_of
from skinfluence.objectives import NetworkObjective, Objective, OutputObjective
from skinfluence.questions.fitted import Fitted, as_asked
from skinfluence.retraining import (
    NETWORKS,
    Judge,
    gradient_norm,
    kept_rows,
    refit_without,
    take_columns,
    take_rows,
    with_final_step,
)
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class Readings:
    """What refits without each set of rows say of the test rows; the first is without none.

    Attributes
    ----------
    values : ndarray of shape (n_test, n_sets)
    steps : list of fitted estimators
        The final steps.
    gradients : ndarray of shape (n_sets,) or None
        Norms of the gradients of the summed objective, of networks.
    """

    values: Array
    steps: list[Any]
    gradients: Array | None

    @property
    def changes(self) -> Array:
        """The target without rows minus that of the fit on all, shape (n_test, n_sets - 1)."""
        return self.values[:, 1:] - self.values[:, :1]


@dataclass(frozen=True, eq=False)
class Refits:
    """Refits of a fitted estimator without rows.

    Parameters
    ----------
    fitted : Fitted
    labels : array-like or None
        Of the test rows, as the target wants them.
    target : str
    output : int or None
    same_targets : bool, default=False
        What a transformation has learned of the targets stays in refits of everything, so that the
        unit of the loss does.
    """

    fitted: Fitted
    labels: Any
    target: str
    output: int | None
    same_targets: bool = False

    def of_final_step(
        self, judge: Judge, features: Any, removed: list[Array], *, y: Any = None
    ) -> Readings:
        """Return what refits of the final step say of test rows as it sees them.

        `y` are other targets of the training rows.
        """
        data = self.fitted.training
        data = data if y is None else replace(data, y=y)
        weights = {} if data.sample_weight is None else {"sample_weight": data.sample_weight}
        return self._read(judge, judge.estimator, data, weights, features, removed)

    def of_pipeline(self, judge: Judge, X_test: Any, removed: list[Array]) -> Readings | None:
        """Return what refits of everything say; None where there is but the final step."""
        pipeline, params = around(self.fitted, judge.estimator, same_targets=self.same_targets)
        if pipeline is judge.estimator:
            return None
        with sklearn.config_context(enable_metadata_routing=self.fitted.routing):
            return self._read(judge, pipeline, self.fitted.raw, params, X_test, removed)

    def _read(
        self,
        judge: Judge,
        estimator: Any,
        data: Training,
        params: dict[str, Any],
        X_test: Any,
        removed: list[Array],
    ) -> Readings:
        # One that begins anew, as the user's own fit did, holds rows out by itself.
        out = held_out(self.fitted) if judge.goes_on else np.empty(0, dtype=int)
        fits = refit_without(
            estimator,
            data.X,
            data.y,
            params,
            removed,
            held_out=out,
            n_jobs=self.fitted.options.n_jobs,
        )
        weights = self.fitted.training.sample_weight
        values, gradients = [], []
        for model, gone in zip(fits, removed, strict=True):
            kept = kept_rows(len(data.y), gone, out)
            X = take_columns(estimator, take_rows(data.X, kept), kept)
            y = take_rows(data.y, kept)
            for transformer in target_transformers(model):
                y = transformer.forward(y)
            s = None if weights is None else take_rows(weights, kept)
            step = Training(features_of(model, X), y, s)
            values.append(
                read_target(
                    model,
                    step,
                    take_columns(estimator, X_test, kept),
                    self.labels,
                    target=self.target,
                    output=self.output,
                    like=self.fitted.objective(),
                )
            )
            if type(final_step(model)) in NETWORKS:
                gradients.append(gradient_norm(final_step(model), step.X, step.y, s))
        return Readings(
            np.column_stack(values),
            [final_step(model) for model in fits],
            np.array(gradients) if gradients else None,
        )


def around(fitted: Fitted, final: Any, *, same_targets: bool = False) -> tuple[Any, dict[str, Any]]:
    """Return what is around the final step, unfitted and with another one, and what `fit` takes."""
    pipeline = with_final_step(fitted.estimator, final, same_targets=same_targets)
    params = fitted.fit_params
    if fitted.routing:  # what a search took for its folds, no refit asks for
        with sklearn.config_context(enable_metadata_routing=True):
            consumed = get_routing_for_object(pipeline).consumes("fit", params)
        params = {name: params[name] for name in consumed}
    return pipeline, params


def read_target(
    model: Any,
    data: Training,
    X_test: Any,
    y_test: Any,
    *,
    target: str,
    output: int | None,
    like: Objective,
) -> Array:
    """Return the target of test rows under a refitted estimator, shape (n_test,).

    The estimator is adapted over what its final step was fitted on, under the loss of `like`, or
    with the transformation of the target that was refitted with it.
    """
    objective = adapt(final_step(model), data.X, data.y, data.sample_weight)
    if not isinstance(objective, OutputObjective):
        return objective.on(features_of(model, X_test), y_test).losses()
    assert isinstance(like, OutputObjective)
    if target_transformers(model):
        temperature = objective.loss.temperature and like.loss.temperature
        objective = as_asked(objective, model, temperature)
        assert isinstance(objective, OutputObjective)
    else:
        objective = objective.under(like.loss) or objective
    test = objective.on(features_of(model, X_test), y_test if target == "loss" else None)
    return target_of(target, test, y_test, output).value()


def held_out(fitted: Fitted) -> Array:
    """Return the training rows that a network's early stopping kept for itself."""
    if type(fitted.final) not in NETWORKS:
        return np.empty(0, dtype=int)
    given = fitted.training.sample_weight
    unused = fitted.objective().sample_weight == 0
    return np.flatnonzero(unused if given is None else unused & (np.asarray(given) > 0))


def scored_network(fitted: Fitted, objective: Objective) -> Any:
    """Return a copy of a fitted network at the weights where its scores are computed."""
    net = deepcopy(fitted.final)
    if isinstance(objective, NetworkObjective):
        write_parameters(net, objective, fitted.training.X)
    return net
