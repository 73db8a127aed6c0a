"""Models that are not linear in their parameters: networks, and a user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature
from skinfluence.mechanisms.contract import Mechanism, Settings, register_mechanism
from skinfluence.mechanisms.distance import look_at_distance
from skinfluence.mechanisms.solving import Solving
from skinfluence.minimisers.distance import NO_OPTIMUM, Refinement, measured
from skinfluence.minimisers.newton import polish
from skinfluence.objectives import NetworkObjective, Objective, OutputObjective
from skinfluence.process.warnings import warn
from skinfluence.removal import (
    Counterfactuals,
    Edits,
    FirstOrderGroups,
    GroupRemoval,
    GroupSteps,
    LocalGroups,
    LocalRefits,
    ProximalRemoval,
    SummedEdits,
    advice,
    first_order,
    nonlinear_newton,
)
from skinfluence.solvers import Factor, Numerics, SingularCurvatureError
from skinfluence.solvers.approximate import definite_preconditioner
from skinfluence.solvers.cholesky import CholeskyFactor
from skinfluence.solvers.dense import flat_directions
from skinfluence.typing import Array

STUCK = 0.01
"""Gradient, in effects of removing a typical row, from which on a model that was not moved to its
minimum is warned of."""

UNSEEN = 1e-6
"""Derivative of a prediction along a direction, beside that along any, that is none."""

NEARLY_SINGULAR = 1e-8
"""Reciprocal condition number of a network's curvature from which on to warn."""


@register_mechanism(Objective)
class NonlinearMechanism(Mechanism):
    """Steps by the curvature, or local refits, which need no inverse.

    A curvature without an inverse is an error where its factor is asked for, not before.

    Attributes
    ----------
    refinement : Refinement
    solving : Solving
    """

    methods = ("first_order", "newton", "exact")
    changes = ("removal", "addition", "relabelling")
    default_method = "first_order"
    refinement: Refinement

    def __init__(
        self, refinement: Refinement, solving: Solving, factor: Factor | Exception | None
    ) -> None:
        self.refinement = refinement
        self.solving = solving
        self._factor = factor

    @classmethod
    def default_for(cls, question: str, objective: Objective) -> str:
        return "exact" if question == "leave_one_out" else super().default_for(question, objective)

    @classmethod
    def refits_for(cls, objective: Objective) -> tuple[str, ...]:
        refits = super().refits_for(objective)
        return (*refits, "proximal") if isinstance(objective, NetworkObjective) else refits

    @classmethod
    def refine_for(cls, method: str, refine: Any) -> Any:
        """Return the `refine` under which a method answers.

        Exact minima without rows are compared with the minimum of all rows: a network is moved
        there first, where `refine` leaves the choice.
        """
        if method not in cls.minimising:
            return refine
        if refine is False:
            raise ValueError(
                f"method={method!r} was asked for with refine=False, but it is the difference of "
                "two minima, and the fitted parameters are none. Use refine='auto' or True, or "
                "method='newton'."
            )
        return True

    @classmethod
    def at(cls, objective: Objective, settings: Settings) -> Self:
        solving = Solving.of(objective, settings)
        moves = objective.convex if settings.refine == "auto" else bool(settings.refine)
        # Where a network moves, only its minimum is asked for a factor, and that may be nobody.
        factor: Factor | Exception | None = None
        if not moves:
            solving, factor = _factor_or_error(solving, objective)
        near = _preconditioner(objective, solving.damping)
        if isinstance(factor, Factor) and not solving.approximate:
            near = factor.precondition
        refinement = measured(objective, near)
        look_at_distance(refinement, settings, moves=moves, convergent=objective.convex)
        if moves:
            refinement = _at_minimum(refinement, settings.name, solving.damping)
        return cls(refinement, solving, factor)

    @property
    def objective(self) -> Objective:  # type: ignore[override]
        """At the stationary point; at the fitted parameters where nothing was refined."""
        return self.refinement.objective

    @property
    def factor(self) -> Factor:
        if self._factor is None:
            self.solving, self._factor = _factor_or_error(self.solving, self.objective)
        if isinstance(self._factor, Exception):
            raise self._factor
        return self._factor

    @property
    def solver(self) -> str:
        reason = self._factor.reason if isinstance(self._factor, Factor) else None
        reason = reason or self.solving.reason
        if self.solving.flat is not None:
            reason += f"; {self.solving.flat.shape[1]} flat direction(s) that no training row sees"
        return reason

    def test(self, test: Objective, changes: Counterfactuals) -> Objective:
        test = super().test(test, changes)
        if self.solving.flat is not None and changes.method != "exact":
            assert isinstance(test, OutputObjective)
            seen = np.flatnonzero(_sees(test, self.solving.flat))
            if len(seen):
                raise ValueError(
                    f"The training rows leave {self.solving.flat.shape[1]} direction(s) of the "
                    f"parameters undetermined, and {len(seen)} of these test rows, the first at "
                    f"{seen[0]}, depend on them (units that every training row uses alike, and "
                    "these do not): what a removal does to them is not determined. Pass "
                    "damping > 0, leave them out, or use method='exact'."
                )
        return test

    @property
    def numerics(self) -> Numerics | None:
        """As far as there is a factor."""
        return self._factor.numerics if isinstance(self._factor, Factor) else None

    @cached_property
    def precondition(self) -> Callable[[Array], Array]:
        """A map near the inverse of the second derivative, for local refits."""
        return _preconditioner(self.objective, self.solving.damping)

    @property
    def several_minima(self) -> bool:
        return not (self.objective.convex or isinstance(self.objective, NetworkObjective))

    def edits(self, edits: Edits, method: str) -> Counterfactuals:
        answers: dict[str, Callable[[Edits], Counterfactuals]] = {
            "first_order": lambda edits: first_order(edits, self.factor, self.solving.damping),
            "newton": lambda edits: nonlinear_newton(
                edits, self.factor, self.solving.factorize, self.solving.damping
            ),
            "exact": lambda edits: LocalRefits(edits, self.precondition),
        }
        return answers[method](edits)

    def groups(
        self, masks: Any, names: Array | None, method: str, coming: Objective | None = None
    ) -> Counterfactuals:
        if coming is not None and method != "exact":
            return SummedEdits(self.edits(Edits(self.reference, coming=coming), method), masks)
        answers: dict[str, Callable[[], Counterfactuals]] = {
            "first_order": lambda: self._steps(FirstOrderGroups, masks, names),
            "newton": lambda: self._steps(GroupSteps, masks, names),
            "exact": lambda: LocalGroups(self.precondition, self.objective, masks, names, coming),
        }
        return answers[method]()

    def _steps(self, kind: type[GroupRemoval], masks: Any, names: Array | None) -> GroupRemoval:
        solving = self.solving
        return kind(
            self.objective, masks, self.factor, solving.factorize, names, damping=solving.damping
        )

    def proximal(self) -> ProximalRemoval:
        """Return the answer of the proximal objective to the removal of every row of a network."""
        assert isinstance(self.objective, NetworkObjective)
        damping = self.solving.damping
        precondition = _preconditioner(self.objective.proximal(), damping)
        return ProximalRemoval(Edits(self.objective), precondition, damping)


def _preconditioner(objective: Objective, damping: float) -> Callable[[Array], Array]:
    return definite_preconditioner(Curvature(objective, damping=damping))


def _factor(solving: Solving, objective: Objective) -> Factor:
    """Return the factor of a curvature; say what would help where there is none, or hardly one."""
    curvature = Curvature(objective, solving.curvature)
    network = objective.kind == "network"
    try:
        factor = solving.factorize(objective)
    except SingularCurvatureError as error:
        if network and curvature.gauss_newton:
            raise _singular_network(curvature) from error
        raise
    rcond = factor.rcond if isinstance(factor, CholeskyFactor) else None
    if network and rcond is not None and rcond < NEARLY_SINGULAR:
        warn(
            f"The curvature of this network is nearly singular (reciprocal condition number "
            f"{rcond:.0e}): scores may depend on directions that the training rows hardly "
            f"determine. Pass for example damping={1e-3 * curvature.largest():.1g}, a thousandth "
            "of the largest curvature, and see whether they change; method='exact' needs none.",
            UserWarning,
        )
    return factor


def _factor_or_error(
    solving: Solving, objective: Objective
) -> tuple[Solving, Factor | SingularCurvatureError]:
    """Return a factor, or the error of a curvature without, for whoever asks for one.

    And how it is inverted: without directions that are flat and that no training row sees, where
    that is what it takes.
    """
    try:
        return solving, _factor(solving, objective)
    except SingularCurvatureError as error:
        flat = _flat_and_unseen(solving, objective)
        if flat is None:
            return solving, error
        solving = replace(solving, flat=flat)
        try:
            return solving, _factor(solving, objective)
        except SingularCurvatureError as again:
            return solving, again


def _flat_and_unseen(solving: Solving, objective: Objective) -> Array | None:
    """Return the flat directions of a network, if no training row sees any of them."""
    if not isinstance(objective, NetworkObjective):
        return None
    flat = flat_directions(Curvature(objective, solving.curvature, solving.damping))
    if flat is None or np.any(_sees(objective, flat)[objective.sample_weight > 0]):
        return None
    return flat


def _sees(rows: OutputObjective, flat: Array) -> Array:
    """Return which rows have a part in flat directions, shape (n_rows,), beside what they have."""
    other = np.random.default_rng(0).standard_normal(flat.shape)
    usual = np.sqrt(np.mean(rows.jacobian_dot(other / np.linalg.norm(other, axis=0)) ** 2))
    parts = np.abs(rows.jacobian_dot(flat)).max(axis=(1, 2))
    out: Array = parts > UNSEEN * usual
    return out


def _singular_network(curvature: Curvature) -> SingularCurvatureError:
    return SingularCurvatureError(
        f"The Gauss-Newton matrix of this network of {curvature.n_params:,} parameters has no "
        "inverse: units that do nothing, or the same as another, and intercepts, which no penalty "
        "holds, leave directions that the training rows do not determine. Pass for example "
        f"damping={1e-3 * curvature.largest():.1g}, a thousandth of the largest curvature, or "
        "method='exact', which needs no inverse."
    )


def _at_minimum(refinement: Refinement, name: str, damping: float) -> Refinement:
    """Return the minimum that a model is in the basin of; say where there is none."""
    refinement, remaining = polish(refinement, lambda model: _preconditioner(model, damping))
    if refinement.objective.has_no_optimum():
        raise ValueError(NO_OPTIMUM)
    if remaining > STUCK:
        warn(
            f"{name} could not be moved to its stationary point: after {refinement.n_iter} steps "
            f"the gradient is {refinement.remaining_gradient_norm:.1e} ({remaining:.2g} removals "
            "of a typical row), " + advice(refinement.objective),
            ConvergenceWarning,
        )
    return refinement
