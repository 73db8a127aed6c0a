"""Models that are linear in their parameters, kernels among them, with an l1 penalty or without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np

from skinfluence.curvature import Curvature
from skinfluence.mechanisms.contract import Mechanism, Settings, register_mechanism
from skinfluence.mechanisms.distance import FAR, NOT_ITS_OWN, look_at_distance, unsure
from skinfluence.mechanisms.solving import Solving
from skinfluence.minimisers.active_set import minimise_l1
from skinfluence.minimisers.distance import Factorize, Refinement, measure
from skinfluence.minimisers.newton import minimum
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.objectives.independent import Independent, in_independent_columns
from skinfluence.removal import (
    ActiveSetGroups,
    Counterfactuals,
    Edits,
    ExactGroups,
    FirstOrderGroups,
    GroupRemoval,
    JointMinima,
    Measures,
    NewtonGroups,
    NewtonSupportGroups,
    Removal,
    SummedEdits,
    SupportGroups,
    exact,
    first_order,
    measures,
    newton,
    on_active_set,
    require_changes,
    warn_of_changed_supports,
)
from skinfluence.solvers import Factor, Numerics, SingularCurvatureError
from skinfluence.solvers.approximate import ApproximateFactor
from skinfluence.solvers.auto import Auto, AutoFactor, worth_iterating
from skinfluence.typing import Array

FOREIGN_GAP = 0.5
"""Gap between the minima of a loss and its smoothed version, relative to the raw predictions, from
which on a frozen model was surely fitted on something else."""

L1_RTOL = 1e-10
"""Distance to a minimum under an l1 penalty, in typical removals, that is close enough."""

SHRUNK = 0.1
"""That distance where the steps ended, beside the one they were told, at which they go on."""


@register_mechanism(LinearObjective)
class LinearMechanism(Mechanism):
    """Steps by a factorised curvature, and minima that are sought from these.

    Attributes
    ----------
    refinement : Refinement
        With an l1 penalty that in the coefficients that are not 0, where the penalty is linear.
    whole : LinearObjective
        That of `refinement`; with an l1 penalty the one of which that is the support.
    factor : Factor
        Of the curvature with damping.
    solving : Solving
    """

    methods = ("first_order", "newton", "exact")
    changes = ("removal", "addition", "relabelling")
    default_method = "newton"
    refinement: Refinement

    def __init__(
        self, refinement: Refinement, whole: LinearObjective, factor: Factor, solving: Solving
    ) -> None:
        self.refinement = refinement
        self.whole = whole
        self._factor = factor
        self.solving = solving

    @classmethod
    def at(cls, objective: Objective, settings: Settings) -> Self:
        assert isinstance(objective, LinearObjective)
        try:
            return cls._at_unique(objective, settings)
        except ValueError as error:
            reason = objective.loss.why_no_minimum(objective.targets, objective.raw_predictions())
            if reason is None:
                raise
            raise ValueError(reason) from error

    @classmethod
    def _at_unique(cls, objective: LinearObjective, settings: Settings) -> Self:
        """Return it in all columns, or in independent ones."""
        try:
            return cls._at(objective, settings)
        except SingularCurvatureError:
            independent = None if settings.damping else in_independent_columns(objective)
            if independent is None:
                raise
            return cls._at(independent, settings)

    @classmethod
    def _at(cls, objective: LinearObjective, settings: Settings) -> Self:
        solving = Solving.of(objective, settings)
        # A linear model under a loss that is not convex was fitted to a minimum all the same.
        moves = settings.refine == "auto" or bool(settings.refine)
        support = objective.on_support()
        if settings.smoothed and moves:
            refinement, whole = _smoothed_minimum(objective, settings, solving.undamped)
        else:
            refinement, whole, solving = _stationary(objective, support, settings, solving, moves)
        factor = refinement.undamped
        if solving.damping or solving.approximate:
            factor = solving.factorize(refinement.objective)
        return cls(refinement, whole, factor, solving)

    @property
    def objective(self) -> LinearObjective:  # type: ignore[override]
        objective = self.refinement.objective
        assert isinstance(objective, LinearObjective)
        return objective

    @property
    def reference(self) -> LinearObjective:
        return self.whole

    @property
    def factor(self) -> Factor:
        return self._factor

    @property
    def solver(self) -> str:
        reason, features = self.factor.reason or self.solving.reason, self.whole.features
        if isinstance(features, Independent):
            n_rest = len(features.rest)
            reason += f"; {n_rest} of {n_rest + len(features.kept)} columns depend on the others"
        return reason

    @property
    def numerics(self) -> Numerics | None:
        return self.factor.numerics

    @property
    def _penalised_l1(self) -> bool:
        return self.whole is not self.objective

    def at_reference(self, rows: Objective, *, comes: bool = False) -> Objective:
        assert isinstance(rows, LinearObjective)
        whole = self.whole
        if isinstance(whole.features, Independent):
            features = replace(whole.features, minimum_norm=False) if comes else whole.features
            X = features.of(rows.X)
            rows = replace(rows, X=X, features=whole.features, l2=whole.l2, free=whole.free)
        return super().at_reference(rows)

    def test(self, test: Objective, changes: Counterfactuals) -> Objective:
        test = super().test(test, changes)
        assert isinstance(test, LinearObjective)
        return test if changes.objective is self.whole else test.on_support()

    def in_all_parameters(self, D: Array, changes: Counterfactuals) -> Array:
        if changes.objective is self.whole:
            return D
        require_changes(len(D), self.whole.n_params)
        out = np.zeros((len(D), self.whole.n_params))
        out[:, self.objective.support] = D
        return out

    def directions(self, positions: Array, changes: Counterfactuals) -> Array:
        out = super().directions(positions, changes)
        return out if changes.objective is self.whole else out[self.objective.support]

    def edits(self, edits: Edits, method: str) -> Counterfactuals:
        answers = {"first_order": self._first_order, "newton": self._newton, "exact": self._exact}
        return answers[method](edits)

    def _first_order(self, edits: Edits) -> Counterfactuals:
        removal = first_order(self._on_support(edits), self.factor, self.solving.damping)
        return self._named(removal, edits)

    def _newton(self, edits: Edits) -> Counterfactuals:
        solving = self.solving
        on_support = self._on_support(edits)
        removal = newton(on_support, self.factor, solving.factorize, damping=solving.damping)
        return self._named(removal, edits)

    def _exact(self, edits: Edits) -> Counterfactuals:
        minima = exact(self._unguarded, self._on_support(edits))
        return on_active_set(minima, edits, self.solving.undamped) if self._penalised_l1 else minima

    def _unguarded(self, edits: Edits) -> Removal:
        """Return the Newton steps exact minima are sought from: undamped, unguarded."""
        solving = self.solving
        same = edits.base is self.objective
        factor = self.refinement.undamped if same else solving.undamped(edits.base)
        least = solving.least_damping
        return newton(edits, factor, solving.undamped, guard=False, damping=least)

    def _on_support(self, edits: Edits) -> Edits:
        """Return edits in the coefficients that are not 0, where there is an l1 penalty."""
        if not self._penalised_l1:
            return edits
        coming = edits.coming
        assert coming is None or isinstance(coming, LinearObjective)
        return Edits(self.objective, edits.leaving, coming and coming.on_support())

    def _named(self, removal: Removal, edits: Edits) -> Removal:
        """Return the steps of edits, after naming those that would change what is 0."""
        if self._penalised_l1:
            warn_of_changed_supports(removal, edits)
        return removal

    @classmethod
    def default_for(cls, question: str, objective: Objective) -> str:
        return "exact" if question == "leave_one_out" else cls.default_method

    def diagnostics(self, method: str, dispersion: str, n_jobs: int | None) -> Measures:
        removal = self.removal(method)
        assert isinstance(removal, Removal)
        factor, _, damping = self._inverse(method)
        return measures(
            removal,
            self.objective,
            self.whole,
            factor,
            dispersion=dispersion,
            damping=damping,
            n_jobs=n_jobs,
        )

    def _inverse(self, method: str) -> tuple[Factor, Factorize, float]:
        """Return what a method inverts the curvature by: a factor, more of them, their damping.

        "exact" ignores damping.
        """
        solving = self.solving
        damped = self.factor, solving.factorize, solving.damping
        undamped = self.refinement.undamped, solving.undamped, solving.least_damping
        return {"first_order": damped, "newton": damped, "exact": undamped}[method]

    def groups(
        self, masks: Any, names: Array | None, method: str, coming: Objective | None = None
    ) -> Counterfactuals:
        if coming is not None:
            edits = Edits(self.reference, coming=coming)
            if method == "first_order":
                return SummedEdits(self.edits(edits, method), masks)
            return JointMinima(edits, masks, names, self._minimised, method)
        answers: dict[str, tuple[type[GroupRemoval], type[SupportGroups]]] = {
            "first_order": (FirstOrderGroups, SupportGroups),
            "newton": (NewtonGroups, NewtonSupportGroups),
            "exact": (ExactGroups, ActiveSetGroups),
        }
        kind, under_l1 = answers[method]
        factor, factorize, damping = self._inverse(method)
        groups = kind(self.objective, masks, factor, factorize, names, damping)
        if not self._penalised_l1:
            return groups
        return under_l1(groups, self.whole, self.solving.undamped)

    def _minimised(self, objective: LinearObjective) -> LinearObjective:
        """Return an objective over edited rows, at the parameters of all, at its own minimum."""
        undamped = self.solving.undamped
        if self._penalised_l1:
            return _minimum_l1(objective, undamped, L1_RTOL * self.refinement.typical_removal)
        found = minimum(objective, undamped).objective
        assert isinstance(found, LinearObjective)
        return found

    def no_optimum_without(self, n_rows: int, error: Warning) -> str:
        return (
            f"Without these {n_rows} row(s) no finite optimum was found: the rows that "
            "stay may be separable, or nearly so, without a penalty. Fit with a stronger "
            "penalty (a smaller C, a larger alpha), or keep some of the rows."
        )


def _stationary(
    objective: LinearObjective,
    support: LinearObjective,
    settings: Settings,
    solving: Solving,
    moves: bool,
) -> tuple[Refinement, LinearObjective, Solving]:
    """Return how far the fitted parameters are from their optimum, and the optimum if it `moves`.

    With the objective there in all parameters, and how its curvature is inverted.
    """

    def first(model: Objective) -> Any:
        """Return a factor to begin with, or what costs less where the end has its own."""
        curvature = Curvature(model, solving.curvature)
        if not (moves and solving.direct and support is objective):
            return solving.undamped(model)
        if worth_iterating(curvature):
            return Auto().factorize(curvature)
        return ApproximateFactor.of(curvature) or solving.undamped(model)

    try:
        refinement = measure(support, first)
        far = refinement.relative_distance > FAR
        if far and isinstance(refinement.factor, ApproximateFactor):
            # What is only close may overstate it, and something is going to be said of it.
            length = refinement.factor.length(support.gradient())
            refinement = replace(refinement, newton_decrement=length)
    except SingularCurvatureError:
        if moves and (support is not objective or not solving.damping):
            refinement, objective = _from_flat(objective, solving.undamped)
        elif solving.damping:
            solving, moves = solving.always_damped(), False
            refinement = measure(support, solving.undamped)
        else:
            raise
    look_at_distance(refinement, settings, moves=moves)
    if moves:
        refinement, objective = _at_minimum(refinement, objective, solving.undamped)
        if isinstance(refinement.factor, AutoFactor) and solving.direct:
            refinement = replace(refinement, factor=solving.undamped(refinement.objective))
    return refinement, objective, solving


def _from_flat(
    objective: LinearObjective, factorize: Factorize
) -> tuple[Refinement, LinearObjective]:
    """Return the minimum of an objective without curvature where it was fitted, and how far it is.

    Under an l1 penalty fitted loosely, with more coefficients than rows; elsewhere where no row is
    curved. The Newton decrement is that of a parabola which falls as much.
    """
    if objective.l1 is None:
        refinement = minimum(objective, factorize)
        whole = refinement.objective
        assert isinstance(whole, LinearObjective)
    else:
        whole = _minimum_l1(objective, factorize)
        refinement = measure(whole.on_support(), factorize)
    fall = max(objective.value() - whole.value(), 0.0)
    norm = float(np.linalg.norm(objective.gradient()))
    return replace(refinement, gradient_norm=norm, newton_decrement=np.sqrt(2.0 * fall)), whole


def _at_minimum(
    refinement: Refinement, objective: LinearObjective, factorize: Factorize
) -> tuple[Refinement, LinearObjective]:
    """Return the minimum of an objective that was measured, and the objective there.

    The minimum is that in the coefficients that are not 0, where there is an l1 penalty.
    """
    if objective.l1 is None:
        refinement = minimum(objective, factorize, refinement)
        assert isinstance(refinement.objective, LinearObjective)
        return refinement, refinement.objective
    whole, there, goal = objective, refinement, np.inf
    # Far from the optimum a removal does more, and rounding more, than it will there.
    while (nearer := max(L1_RTOL * there.typical_removal, there.noise)) < SHRUNK * goal:
        goal = nearer
        whole = _minimum_l1(whole, factorize, goal)
        there = measure(whole.on_support(), factorize)
    refinement = replace(
        refinement,
        objective=there.objective,
        factor=there.factor,
        remaining_gradient_norm=there.gradient_norm,
        n_iter=1,
    )
    return refinement, whole


def _minimum_l1(
    objective: LinearObjective, factorize: Factorize, goal: float | None = None
) -> LinearObjective:
    """Return an objective with an l1 penalty at its minimum."""
    if goal is None:
        goal = 1e-10 * float(np.sqrt(max(objective.value(), 0.0)))
    return minimise_l1(objective, factorize, goal)


def _smoothed_minimum(
    objective: LinearObjective, settings: Settings, factorize: Factorize
) -> tuple[Refinement, LinearObjective]:
    """Return the minimum of a smoothed loss, near or far from that of the loss itself."""
    fitted = float(np.linalg.norm(objective.gradient()))
    if objective.l1 is None:
        refinement = minimum(objective, factorize)
        whole = refinement.objective
    else:
        start = _minimum_l1(objective, factorize)
        measured = measure(start.on_support(), factorize)
        refinement, whole = _at_minimum(measured, start, factorize)
    assert isinstance(whole, LinearObjective)
    if unsure(settings) and smoothing_gap(objective, whole) > FOREIGN_GAP:
        raise ValueError(
            f"The raw predictions of the fitted {settings.name} are far from those of the smoothed "
            f"optimum on these rows: these do {NOT_ITS_OWN}, or the temperature is too high. "
            "Pass what it was fitted with, a lower temperature, or refine=True to score the "
            "smoothed optimum on these rows instead."
        )
    return replace(refinement, gradient_norm=fitted), whole


def smoothing_gap(fitted: LinearObjective, smooth: LinearObjective) -> float:
    """Return how far the raw predictions of the smoothed optimum are from the fitted ones.

    Root mean squares over the training rows, relative to the fitted ones.
    """
    before = fitted.raw_predictions()
    gap = np.linalg.norm(smooth.raw_predictions() - before)
    return float(gap / max(np.linalg.norm(before), np.finfo(np.float64).tiny))
