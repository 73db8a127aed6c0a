"""From an objective to removals: refine, factorise; computed once, at the first score."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature
from skinfluence.messages import warn
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.refinement import Refinement, measure, refine
from skinfluence.removal import Edits, GroupRemoval, Removal, exact, first_order, newton
from skinfluence.solvers import Factor, SingularCurvatureError, resolve

FAR = 1.0
"""Typical removals between the fitted and the stationary parameters from which on to warn."""

FOREIGN = 10.0
"""The same for a frozen model that was surely fitted on something else."""

_NOT_ITS_OWN = "not look like the rows, weights or hyper-parameters this model was fitted with"


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
    undamped : callable
        The same without damping, which "exact" ignores.
    damping, least_damping : float
        What the two have on the diagonal; the second is 0 unless H is singular without.
    reason : str
        Which solver, and why.
    """

    refinement: Refinement
    factor: Factor
    factorize: Callable[[Objective], Factor]
    undamped: Callable[[Objective], Factor]
    damping: float
    least_damping: float
    reason: str
    _removals: dict[str, tuple[Removal, list[warnings.WarningMessage]]] = field(
        default_factory=dict
    )

    @property
    def objective(self) -> Objective:
        """The objective where the scores are computed."""
        return self.refinement.objective

    def removal(self, method: str) -> Removal:
        """Return the removal of every row by a method, kept for the next call."""
        if method not in self._removals:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                self._removals[method] = self.change(Edits(self.objective), method), caught
        removal, caught = self._removals[method]
        for one in caught:  # what holds of these removals is said whenever they are used
            warn(str(one.message), one.category)
        return removal

    def groups(self, masks: Any, names: Any, method: str) -> GroupRemoval:
        """Return the removal of groups of rows, CSR masks of shape (n_groups, n_train)."""
        damped = method != "exact"
        return GroupRemoval(
            self.objective,
            masks,
            self.factor if damped else self.refinement.factor,
            self.factorize if damped else self.undamped,
            method,
            names=names,
            damping=self.damping if damped else self.least_damping,
        )

    def change(self, edits: Edits, method: str) -> Removal:
        """Return what each edit of one row does, by a method."""
        if method == "first_order":
            return first_order(edits, self.factor, self.damping)
        if method == "newton":
            return newton(edits, self.factor, self.factorize, damping=self.damping)
        return exact(self._unguarded, edits)

    def _unguarded(self, edits: Edits) -> Removal:
        """Return the Newton steps exact minima are sought from: undamped, unguarded."""
        same = edits.base is self.objective
        factor = self.refinement.factor if same else self.undamped(edits.base)
        return newton(edits, factor, self.undamped, guard=False, damping=self.least_damping)


def resolve_method(method: str, objective: Objective) -> str:
    """Return what "auto" means for this kind of model; refuse what it cannot do."""
    linear = isinstance(objective, LinearObjective)
    if method == "auto":
        return "newton" if linear else "first_order"
    if method in ("newton", "exact") and not linear:
        raise ValueError(
            f"method={method!r} was given, but {type(objective).__name__} is not a linear model of "
            "its parameters; use method='first_order'."
        )
    return method


def build_engine(
    objective: Objective,
    name: str,
    *,
    solver: Any,
    curvature: str,
    damping: float,
    refinement: Any,
    frozen: bool,
    out_of_iterations: bool,
) -> Engine:
    """Return the engine of an objective at its fitted parameters.

    Parameters
    ----------
    objective : Objective
    name : str
        Type of the estimator, for messages.
    solver, curvature, damping
        Of the wrapper.
    refinement : "auto" or bool
        The wrapper's `refine`.
    frozen : bool
        The estimator came fitted: it may have been fitted on something else.
    out_of_iterations : bool
        It stopped at its max_iter, which is reason enough to be far from the optimum.

    Raises
    ------
    ValueError
        For a frozen estimator far from the optimum on these rows, and without a finite optimum.
    """
    chosen, reason = resolve(solver, Curvature(objective, curvature, damping))

    def factorize(one: Objective) -> Factor:
        return chosen.factorize(Curvature(one, curvature, damping))

    def undamped(one: Objective) -> Factor:
        return chosen.factorize(Curvature(one, curvature))

    least = 0.0
    move = objective.convex if refinement == "auto" else bool(refinement)
    try:
        found = measure(objective, undamped)
    except SingularCurvatureError:
        if not damping:
            raise
        undamped, least = factorize, damping
        found, move = measure(objective, undamped), False
    far = found.relative_distance
    unsure = frozen and refinement is not True
    if unsure and far > FOREIGN and not out_of_iterations:
        raise ValueError(
            f"The fitted {name} is {far:,.0f} removals of a typical row away "
            f"from the optimum on these rows: these do {_NOT_ITS_OWN}, or it did not converge. "
            "Pass what it was fitted with, fit it with a smaller tol or a larger max_iter, or pass "
            "refine=True to score the optimum on these rows instead."
        )
    if far > FAR:
        consequence = (
            "Scores are those of the stationary point, which estimator_ is not"
            if move
            else "Scores are first derivatives at a point where the gradient is not zero"
        )
        doubt = f" If it did converge, these do {_NOT_ITS_OWN}." if unsure else ""
        warn(
            f"{name} stopped {far:,.1f} removals of a typical row away from "
            f"its stationary point. {consequence}; fit with a smaller tol or a larger max_iter."
            + doubt,
            ConvergenceWarning,
        )
    if move:
        found = refine(found, undamped)
    factor = factorize(found.objective) if damping else found.factor
    return Engine(found, factor, factorize, undamped, damping, least, reason)
