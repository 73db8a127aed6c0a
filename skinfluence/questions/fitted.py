"""What every question is asked of: a fitted estimator, its training rows, and how to answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from sklearn.utils import get_tags

from skinfluence.adapters import (
    Training,
    adapt,
    final_step,
    is_frozen,
    is_smoothed,
    reached_max_iter,
    target_transformers,
)
from skinfluence.inspection import GivenRows, Origin
from skinfluence.losses import TransformedTarget
from skinfluence.mechanisms import Mechanism, Settings, mechanism_of, resolve_method
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.process.progress import counting, take_less
from skinfluence.questions.options import Options, check_method, check_traced
from skinfluence.typing import Array

T = TypeVar("T")


@dataclass(eq=False)
class Answers:
    """What answers so far have computed: the objective, mechanisms, and which answered last.

    Each is kept under the options it depends on, and goes when those change.
    """

    kept: dict[str, tuple[Any, dict[Any, Any]]] = field(default_factory=dict)
    answering: Mechanism | None = None

    def get(self, name: str, options: Any, key: Any, compute: Callable[[], T]) -> T:
        """Return what was kept under a name, some options and a key; compute it at first."""
        if name not in self.kept or self.kept[name][0] != options:
            self.kept[name] = options, {}
        values = self.kept[name][1]
        if key not in values:
            values[key] = compute()
        value: T = values[key]
        return value


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted estimator with its training rows: what questions are asked of.

    Attributes
    ----------
    estimator : estimator
        Alone, or with what is around the final step: a Pipeline, a search, a transformed target.
    training : Training
        What the final step was fitted on.
    raw : Training
        The rows and targets as they were given.
    fit_params : dict
        What `fit` was given besides.
    routing : bool
        Whether metadata routing was on.
    classifier : bool
    options : Options
    answers : Answers
    """

    estimator: Any
    training: Training
    raw: Training
    fit_params: dict[str, Any]
    routing: bool
    classifier: bool
    options: Options = field(default_factory=Options)
    answers: Answers = field(default_factory=Answers)

    def under(self, options: Options) -> Fitted:
        """Return the same, answered in another way."""
        return self if options == self.options else replace(self, options=options)

    @property
    def final(self) -> Any:
        """The final step: the estimator whose objective was minimised."""
        return final_step(self.estimator)

    @property
    def n_train(self) -> int:
        """Training rows."""
        return self.objective().n_samples

    @property
    def pairwise(self) -> bool:
        """Whether rows are products with the training rows (a precomputed kernel)."""
        return bool(get_tags(self.estimator).input_tags.pairwise)

    def objective(self) -> Objective:
        """Return the objective at the fitted parameters, kept for the next call."""
        data, temperature = self.training, self.options.temperature

        def compute() -> Objective:
            with counting(f"what {type(self.final).__name__} minimised, over its training rows"):
                objective = adapt(self.final, data.X, data.y, data.sample_weight)
                return as_asked(objective, self.estimator, temperature)

        return self.answers.get("objective", temperature, None, compute)

    def method(self, method: str | None, question: str = "", *, traced: bool = False) -> str:
        """Return what a method means here; the option by default.

        A family of models may have a default of its own for a `question`. `traced` is for questions
        that a path of training answers as well.
        """
        if method is not None:
            check_method(method)
        asked = self.options.method if method is None else method
        if asked == "tracin":
            check_traced(self.estimator, answered=traced)
            return asked
        return resolve_method(asked, self.objective(), question)

    def first_order(self, question: str) -> str:
        """Return "first_order" for a question of derivatives; refuse families without."""
        objective = self.objective()
        methods = mechanism_of(objective).methods
        if "first_order" not in methods:
            raise ValueError(
                f"{question} was asked of {type(objective).__name__}, but it is about derivatives "
                f"(method='first_order'), and this family of models has the methods {methods}. Ask "
                "for influence_scores."
            )
        return "first_order"

    def mechanism(self, method: str) -> Mechanism:
        """Return the mechanism that answers by a method, kept for the next call."""
        options, objective = self.options, self.objective()
        family = mechanism_of(objective)
        if method in family.methods[1:]:
            take_less(f"method={family.methods[family.methods.index(method) - 1]!r}")
        refine = family.refine_for(method, options.refine)
        mechanism = self.answers.get(
            "mechanism",
            (options.temperature, options.solver, options.curvature, options.damping),
            refine,
            lambda: self.mechanism_at(objective, refine),
        )
        self.answers.answering = mechanism
        return mechanism

    def mechanism_at(self, objective: Objective, refine: Any) -> Mechanism:
        """Return a new mechanism of an objective at the fitted parameters."""
        options, final = self.options, self.final
        part, name = getattr(final, "estimator", None), type(final).__name__
        settings = Settings(
            name=name if part is None else f"{name}({type(part).__name__})",
            solver=options.solver,
            curvature=options.curvature,
            damping=options.damping,
            refine=refine,
            frozen=is_frozen(self.estimator),
            out_of_iterations=reached_max_iter(final),
            smoothed=is_smoothed(final),
        )
        n_rows, n_params = objective.n_samples, objective.n_params
        with counting(f"the optimum of {n_params:,} parameters over {n_rows:,} rows"):
            return mechanism_of(objective).at(objective, settings)

    @cached_property
    def given(self) -> GivenRows:
        """The training rows as they were given, which results show."""
        return GivenRows(self.raw.X, self.raw.y)

    @property
    def origin(self) -> Origin:
        """What a result keeps of where it comes from."""
        weights, theta = self.training.sample_weight, self.objective().theta
        return Origin(self.estimator, self.given, weights, theta)

    @property
    def row_labels(self) -> Array:
        """The index of the training frame, or positions."""
        return labels_of(self.raw.X, self.n_train)


def labels_of(X: Any, n_rows: int) -> Array:
    """Return the index of a frame, or positions."""
    return np.asarray(X.index) if hasattr(X, "iloc") else np.arange(n_rows)


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
    transformers = target_transformers(estimator)
    loss = objective.loss if isinstance(objective, OutputObjective) else None
    if loss is None or objective.under(loss) is None:
        if transformers:
            raise ValueError(
                f"{type(final_step(estimator)).__name__} under a TransformedTargetRegressor was "
                "given, but its own objective is stated for the targets it was fitted on. Wrap it "
                "without, and transform the targets beforehand."
            )
        return objective
    assert isinstance(objective, OutputObjective)
    if temperature is not None:
        loss = loss.at_temperature(temperature)
    for transformer in reversed(transformers):
        size = float(np.sqrt(np.mean(np.square(objective.raw_predictions()))))
        unit = size if size > 0 else 1.0
        loss = TransformedTarget(loss, transformer.forward, transformer.inverse, unit)
    return objective.under(loss) or objective
