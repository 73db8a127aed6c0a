"""From a fitted estimator to removals: adapt, refine, factorise; computed once, at the first score."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from skinfluence.adapters import Training, adapt
from skinfluence.curvature import Curvature
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.refinement import Refinement, measure, refine
from skinfluence.removal import Removal, first_order, newton
from skinfluence.solvers import Factor, SingularCurvatureError, resolve

FAR = 1.0
"""Typical removals between the fitted and the stationary parameters from which on to warn."""

FOREIGN = 10.0
"""The same for a frozen model that was surely fitted on something else."""


@dataclass(eq=False)
class Engine:
    """The objective at its optimum with everything that was factorised for it.

    Attributes
    ----------
    refinement : Refinement
    factor : Factor
        Of the curvature with damping.
    factorize : callable
        From an objective to such a factor.
    reason : str
        Which solver, and why.
    """

    refinement: Refinement
    factor: Factor
    factorize: Callable[[Objective], Factor]
    reason: str
    _removals: dict[str, Removal] = field(default_factory=dict)

    @property
    def objective(self) -> Objective:
        return self.refinement.objective

    def resolve_method(self, method: str) -> str:
        """Return what "auto" means for this kind of model; refuse what it cannot do."""
        linear = isinstance(self.objective, LinearObjective)
        if method == "auto":
            return "newton" if linear else "first_order"
        if method == "newton" and not linear:
            raise ValueError(
                f"method='newton' was given, but {type(self.objective).__name__} is not a linear "
                "model of its parameters; use method='first_order'."
            )
        return method

    def removal(self, method: str) -> Removal:
        """Return the removal of every row by a method, kept for the next call."""
        if method not in self._removals:
            if method == "first_order":
                made = first_order(self.objective, self.factor)
            else:
                assert isinstance(self.objective, LinearObjective)
                made = newton(self.objective, self.factor, self.factorize)
            self._removals[method] = made
        return self._removals[method]


def build_engine(
    estimator: Any,
    training: Training,
    *,
    solver: Any,
    curvature: str,
    damping: float,
    refinement: Any,
    frozen: bool,
) -> Engine:
    """Return the engine of a fitted final step.

    Parameters
    ----------
    estimator : estimator
    training : Training
        What it was fitted on.
    solver, curvature, damping
        Of the wrapper.
    refinement : "auto" or bool
        The wrapper's `refine`.
    frozen : bool
        The estimator came fitted: it may have been fitted on something else.

    Raises
    ------
    ValueError
        For a frozen estimator far from the optimum on these rows, and without a finite optimum.
    """
    objective = adapt(estimator, training.X, training.y, training.sample_weight)
    chosen, reason = resolve(solver, Curvature(objective, curvature, damping))

    def factorize(one: Objective) -> Factor:
        return chosen.factorize(Curvature(one, curvature, damping))

    def undamped(one: Objective) -> Factor:
        return chosen.factorize(Curvature(one, curvature))

    move = objective.convex if refinement == "auto" else bool(refinement)
    try:
        found = measure(objective, undamped)
    except SingularCurvatureError:
        if not damping:
            raise
        found, move = measure(objective, factorize), False
    far = found.relative_distance
    if frozen and far > FOREIGN and refinement is not True:
        raise ValueError(
            f"The fitted {type(estimator).__name__} is {far:,.0f} removals of a typical row away "
            "from the optimum on these rows: these do not look like the rows, weights or "
            "hyper-parameters this model was fitted with. Pass what it was fitted with, or "
            "refine=True to score the optimum on these rows instead."
        )
    if far > FAR:
        consequence = (
            "Scores are those of the stationary point, which estimator_ is not"
            if move
            else "Scores are first derivatives at a point where the gradient is not zero"
        )
        warnings.warn(
            f"{type(estimator).__name__} stopped {far:.1f} removals of a typical row away from "
            f"its stationary point. {consequence}; fit with a smaller tol or a larger max_iter.",
            ConvergenceWarning,
            stacklevel=4,
        )
    if move:
        found = refine(found, undamped)
    factor = factorize(found.objective) if damping else found.factor
    return Engine(found, factor, factorize, reason)
