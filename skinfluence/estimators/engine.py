"""From an objective to removals: refine, factorise; computed once, at the first score."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.curvature import Curvature
from skinfluence.messages import warn
from skinfluence.objectives import LinearObjective, NetworkObjective, Objective
from skinfluence.refinement import Refinement
from skinfluence.removal import (
    Counterfactuals,
    Edits,
    Evaluated,
    GroupRemoval,
    GroupSteps,
    LocalGroups,
    LocalRemoval,
    ProximalRemoval,
    Removal,
    SettledGroups,
    exact,
    first_order,
    local_steps,
    newton,
    settled,
    warn_of_moving_support,
)
from skinfluence.solvers import Factor, Numerics, SingularCurvatureError, near_inverse

Array = npt.NDArray[Any]


@dataclass(eq=False)
class Engine:
    """The objective at its optimum with everything that was factorised for it.

    Attributes
    ----------
    refinement : Refinement
    whole : Objective
        That of `refinement`; with an l1 penalty the one of which that is the support.
    solved : Factor, SingularCurvatureError or callable
        Of the curvature with damping; the error where it has no inverse; what makes either, where
        it may never be needed.
    factorize : callable
        From an objective to such a factor.
    undamped : callable
        The same without damping, which "exact" ignores.
    damping, least_damping : float
        What the two have on the diagonal; the second is 0 unless H is singular without.
    reason : str
        Which solver was chosen, and why.
    """

    refinement: Refinement
    whole: Objective
    solved: Factor | SingularCurvatureError | Callable[[], Factor | SingularCurvatureError]
    factorize: Callable[[Objective], Factor]
    undamped: Callable[[Objective], Factor]
    damping: float
    least_damping: float
    reason: str
    _removals: dict[str, tuple[Removal | Evaluated, list[warnings.WarningMessage]]] = field(
        default_factory=dict
    )
    _near: Callable[[Array], Array] | None = None

    @property
    def solver(self) -> str:
        """Which solver answers, and why; some factors decide when they know what is asked."""
        said: str = getattr(self.solved, "reason", self.reason)
        return said

    @property
    def numerics(self) -> Numerics | None:
        """How well it inverts; None where no factor was asked for, or there is none."""
        return getattr(self.solved, "numerics", None)

    @property
    def factor(self) -> Factor:
        """The factor of the curvature with damping; raises where there is none."""
        if callable(self.solved):
            self.solved = self.solved()
        if isinstance(self.solved, SingularCurvatureError):
            raise self.solved
        return self.solved

    @property
    def objective(self) -> Objective:
        """The objective where the scores are computed."""
        return self.refinement.objective

    def test(self, test: Objective, removal: Counterfactuals) -> Objective:
        """Return test rows at the optimum, in the parameters that a removal changes."""
        test = test.at(self.whole.theta)
        if isinstance(test, LinearObjective) and removal.objective is not self.whole:
            return test.on_support()
        return test

    def spread(self, changes: Array, removal: Counterfactuals) -> Array:
        """Return changes, a row each, of all parameters: none off the support."""
        if removal.objective is self.whole:
            return changes
        assert isinstance(self.objective, LinearObjective)
        out = np.zeros((len(changes), self.whole.n_params))
        out[:, self.objective.support] = changes
        return out

    def removal(self, method: str) -> Removal | Evaluated:
        """Return the removal of every row by a method, kept for the next call."""
        if method not in self._removals:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                self._removals[method] = self.change(Edits(self.whole), method), caught
        removal, caught = self._removals[method]
        for one in caught:  # what holds of these removals is said whenever they are used
            warn(str(one.message), one.category)
        return removal

    def groups(self, masks: Any, names: Any, method: str) -> Counterfactuals:
        """Return the removal of groups of rows, CSR masks of shape (n_groups, n_train)."""
        if not isinstance(self.objective, LinearObjective):
            if method == "exact":
                return LocalGroups(self._precondition(), self.objective, masks, names)
            return GroupSteps(
                self.objective,
                masks,
                self.factor,
                self.factorize,
                method,
                names=names,
                damping=self.damping,
            )
        damped = method != "exact"
        groups = GroupRemoval(
            self.objective,
            masks,
            self.factor if damped else self.refinement.undamped,
            self.factorize if damped else self.undamped,
            method,
            names=names,
            damping=self.damping if damped else self.least_damping,
        )
        if not self._penalised_l1:
            return groups
        assert isinstance(self.whole, LinearObjective)
        return SettledGroups(groups, self.whole, self.undamped)

    @property
    def _penalised_l1(self) -> bool:
        return self.whole is not self.objective

    def _precondition(self) -> Callable[[Array], Array]:
        """Return a map near the inverse of the second derivative, for local refits."""
        if self._near is None:
            self._near = near_inverse(Curvature(self.objective, damping=self.damping))
        return self._near

    def proximal(self) -> ProximalRemoval:
        """Return the answer of the proximal objective to the removal of every row of a network."""
        assert isinstance(self.objective, NetworkObjective)
        held = Curvature(self.objective.held(), damping=self.damping)
        edits = Edits(self.objective)
        return ProximalRemoval(edits, near_inverse(held), self.damping)

    def change(self, edits: Edits, method: str) -> Removal | Evaluated:
        """Return what each edit of one row, stated for `whole`, does by a method."""
        if not isinstance(self.objective, LinearObjective):
            if method == "exact":
                return LocalRemoval(edits, self._precondition())
            return local_steps(edits, method, self.factor, self.factorize, self.damping)
        everywhere = edits
        if self._penalised_l1:
            coming = edits.coming
            assert coming is None or isinstance(coming, LinearObjective)
            coming = None if coming is None else coming.on_support()
            edits = Edits(self.objective, edits.leaving, coming)
        if method == "exact":
            found = exact(self._unguarded, edits)
            return settled(found, everywhere, self.undamped) if self._penalised_l1 else found
        if method == "first_order":
            removal = first_order(edits, self.factor, self.damping)
        else:
            removal = newton(edits, self.factor, self.factorize, damping=self.damping)
        if self._penalised_l1:
            warn_of_moving_support(removal, everywhere)
        return removal

    def _unguarded(self, edits: Edits) -> Removal:
        """Return the Newton steps exact minima are sought from: undamped, unguarded."""
        same = edits.base is self.objective
        factor = self.refinement.undamped if same else self.undamped(edits.base)
        return newton(edits, factor, self.undamped, guard=False, damping=self.least_damping)


def resolve_method(method: str, objective: Objective) -> str:
    """Return what "auto" means for this kind of model."""
    if method == "auto":
        return "newton" if isinstance(objective, LinearObjective) else "first_order"
    return method
