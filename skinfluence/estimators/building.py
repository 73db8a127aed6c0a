"""From an objective at its fitted parameters to an engine: measure, refine, factorise.

A fit that stopped far from its optimum is named; one that was surely made of other rows is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from skinfluence.active_set import settle_or_cool
from skinfluence.curvature import Curvature
from skinfluence.estimators.engine import Engine
from skinfluence.messages import warn
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.refinement import (
    NO_OPTIMUM,
    Refinement,
    measure,
    measured,
    minimum,
    polish,
    refine,
)
from skinfluence.removal import way_out
from skinfluence.solvers import (
    Auto,
    AutoFactor,
    Cholesky,
    CholeskyFactor,
    Close,
    Factor,
    SingularCurvatureError,
    near_inverse,
    resolve,
    rough,
    worth_iterating,
)

Array = npt.NDArray[Any]

FAR = 1.0
"""Typical removals between the fitted and the stationary parameters from which on to warn."""

FOREIGN = 10.0
"""The same for a frozen model that was surely fitted on something else."""

FOREIGN_GAP = 0.5
"""The same for smoothed losses: the gap between the minima, relative to the raw predictions."""

SETTLED = 1e-10
"""Distance to a minimum under an l1 penalty, in typical removals, that is close enough."""

STUCK = 0.01
"""Typical removals from the minimum from which on a network that stopped there is warned of."""

NEARLY_SINGULAR = 1e-8
"""Reciprocal condition number of a network's curvature from which on to warn."""

_OF_NETWORKS = (
    ". Networks stop early whatever their tol; L-BFGS with several targets above all, whose line "
    "search is given the mean over the targets of what its gradient sums."
)

_NOT_ITS_OWN = "not look like the rows, weights or hyper-parameters this model was fitted with"


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
    smoothed: bool = False,
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
    smoothed : bool
        The objective is a smoothed one, the estimator's own is not: their minima differ.

    Raises
    ------
    ValueError
        For a frozen estimator far from the optimum on these rows, and without a finite optimum.
    """
    chosen, reason = resolve(solver, Curvature(objective, curvature, damping))
    # What is known roughly only is no way to a minimum, nor to measure how far it is.
    rough_one = bool(getattr(chosen, "approximate", False))
    sure = resolve("auto", Curvature(objective, curvature))[0] if rough_one else chosen

    def factorize(one: Objective) -> Factor:
        return chosen.factorize(Curvature(one, curvature, damping))

    def undamped(one: Objective) -> Factor:
        return sure.factorize(Curvature(one, curvature))

    if not isinstance(objective, LinearObjective):
        return _engine_near(
            objective,
            name,
            reason,
            factorize,
            curvature,
            damping,
            rough_one=rough_one,
            move=objective.convex if refinement == "auto" else bool(refinement),
            frozen=frozen and refinement is not True,
            out_of_iterations=out_of_iterations,
        )
    least = 0.0
    # A linear model under a loss that is not convex was fitted to a minimum all the same.
    move = objective.convex or objective.kind == "linear"
    move = move if refinement == "auto" else bool(refinement)
    near = _in_its_support(objective, name)
    unsure = frozen and refinement is not True
    if smoothed and move:
        assert isinstance(objective, LinearObjective)
        found, whole = _minimum_of_smoothed(objective, undamped)
        if unsure and smoothing_gap(objective, whole) > FOREIGN_GAP:
            raise ValueError(
                f"The raw predictions of the fitted {name} are far from those of the smoothed "
                f"optimum on these rows: these do {_NOT_ITS_OWN}, or the temperature is too high. "
                "Pass what it was fitted with, a lower temperature, or refine=True to score the "
                "smoothed optimum on these rows instead."
            )
    else:

        def first(one: Objective) -> Any:
            """Return a factor to begin with, or what costs less where the end has its own."""
            there = Curvature(one, curvature)
            if not (move and isinstance(sure, Cholesky) and near is objective):
                return undamped(one)
            if worth_iterating(there):
                return Auto().factorize(there)
            return Close.of(there) or undamped(one)

        try:
            found, whole = measure(near, first), objective
            if isinstance(found.factor, Close) and found.relative_distance > FAR:
                # What is only close may overstate it, and something is going to be said of it.
                found = replace(found, distance=found.factor.length(near.gradient()))
        except SingularCurvatureError:
            if move and near is not objective:  # a loose fit with more coefficients than rows
                objective = _settled(objective, undamped)
                found = measure(objective.on_support(), undamped)
            elif damping:
                undamped, least = factorize, damping
                found, whole, move = measure(near, undamped), objective, False
            else:
                raise
        _look_at_distance(
            found,
            name,
            moves=move,
            unsure=unsure,
            out_of_iterations=out_of_iterations,
        )
        if move:
            found, whole = _at_minimum(found, objective, undamped)
            if isinstance(found.factor, AutoFactor) and isinstance(sure, Cholesky):
                found = replace(found, factor=undamped(found.objective))
    factor = factorize(found.objective) if damping or rough_one else found.undamped
    return Engine(found, whole, factor, factorize, undamped, damping, least, reason)


def _engine_near(
    objective: Objective,
    name: str,
    reason: str,
    factorize: Callable[[Objective], Factor],
    kind: str,
    damping: float,
    *,
    rough_one: bool,
    move: bool,
    frozen: bool,
    out_of_iterations: bool,
) -> Engine:
    """Return the engine of a model that is not linear in its parameters.

    A curvature without an inverse is an error where its factor is asked for, not before: local
    refits need none.
    """

    def near(one: Objective) -> Callable[[Array], Array]:
        return near_inverse(Curvature(one, damping=damping))

    def solved(one: Objective) -> Factor | SingularCurvatureError:
        factor, curvature = _tried(factorize, one), Curvature(one, kind)
        if isinstance(factor, SingularCurvatureError):
            return _unsolvable(curvature, factor)
        _look_at_condition(factor, curvature)
        return factor

    # Where a network moves, only its minimum is asked for a factor, and that may be nobody.
    factor = None if move else solved(objective)
    if factor is None or rough_one or isinstance(factor, SingularCurvatureError):
        found = measured(objective, near(objective))
    else:
        found = measured(objective, rough(factor))
    _look_at_distance(
        found,
        name,
        moves=move,
        unsure=frozen,
        out_of_iterations=out_of_iterations or not objective.convex,
    )
    if move:
        found = _moved(found, name, near)
    there = found.objective
    return Engine(
        found,
        there,
        (lambda: solved(there)) if factor is None else factor,
        factorize,
        factorize,
        damping,
        damping,
        reason,
    )


def _moved(
    found: Refinement, name: str, near: Callable[[Objective], Callable[[Array], Array]]
) -> Refinement:
    """Return the minimum that a model is in the basin of; say where there is none."""
    found, left = polish(found, near)
    if found.objective.has_no_optimum():
        raise ValueError(NO_OPTIMUM)
    if left > STUCK:
        warn(
            f"{name} could not be moved to its stationary point: after {found.n_iter} steps the "
            f"gradient is {found.remaining_gradient_norm:.1e} ({left:.2g} removals of a typical "
            "row), " + way_out(found.objective),
            ConvergenceWarning,
        )
    return found


def _look_at_condition(factor: Factor, curvature: Curvature) -> None:
    """Warn of a network whose curvature is next to singular, and of what would help."""
    if not isinstance(factor, CholeskyFactor) or curvature.objective.kind != "network":
        return
    if factor.rcond < NEARLY_SINGULAR:
        warn(
            f"The curvature of this network is nearly singular (reciprocal condition number "
            f"{factor.rcond:.0e}): scores may depend on directions that the training rows hardly "
            f"determine. Pass for example damping={1e-3 * curvature.largest():.1g}, a thousandth "
            "of the largest curvature, and see whether they change; method='exact' needs none.",
            UserWarning,
        )


def _unsolvable(curvature: Curvature, error: Any) -> SingularCurvatureError:
    """Return the error of a network's singular curvature, with a damping that helps."""
    if curvature.objective.kind != "network" or not curvature.gauss_newton:
        own: SingularCurvatureError = error
        return own
    return SingularCurvatureError(
        f"The Gauss-Newton matrix of this network of {curvature.n_params:,} parameters has no "
        "inverse: units that do nothing, or the same as another, and intercepts, which no penalty "
        "holds, leave directions that the training rows do not determine. Pass for example "
        f"damping={1e-3 * curvature.largest():.1g}, a thousandth of the largest curvature, or "
        "method='exact', which needs no inverse."
    )


def _tried(
    factorize: Callable[[Objective], Factor], objective: Objective
) -> Factor | SingularCurvatureError:
    """Return the factor of a curvature, or the error of one that has no inverse."""
    try:
        return factorize(objective)
    except SingularCurvatureError as error:
        return error


def _in_its_support(objective: Objective, name: str) -> Objective:
    """Return the objective in the coefficients that are not 0, where an l1 penalty is linear."""
    if not isinstance(objective, LinearObjective):
        return objective
    near = objective.on_support()
    if near.n_params == 0:
        raise ValueError(
            f"All coefficients of the fitted {name} are 0: it predicts a constant, which no row "
            "moves. Fit with a weaker l1 penalty."
        )
    return near


def _settled(
    objective: Objective, factorize: Callable[[Objective], Factor], goal: float | None = None
) -> LinearObjective:
    """Return an objective with an l1 penalty at its minimum."""
    assert isinstance(objective, LinearObjective)
    if goal is None:
        goal = 1e-10 * float(np.sqrt(max(objective.value(), 0.0)))
    return settle_or_cool(objective, factorize, goal)


def _at_minimum(
    found: Refinement, objective: Objective, factorize: Callable[[Objective], Factor]
) -> tuple[Refinement, Objective]:
    """Return the minimum of an objective that was measured, and the objective there.

    The minimum is that in the coefficients that are not 0, where there is an l1 penalty.
    """
    if not isinstance(objective, LinearObjective) or objective.l1 is None:
        refined = refine(found, factorize)
        return refined, refined.objective
    goal = max(SETTLED * found.typical_removal, found.noise)
    whole = _settled(objective, factorize, goal)
    there = measure(whole.on_support(), factorize)
    moved = replace(
        found,
        objective=there.objective,
        factor=there.factor,
        remaining_gradient_norm=there.gradient_norm,
        n_iter=1,
    )
    return moved, whole


def _minimum_of_smoothed(
    objective: LinearObjective, factorize: Callable[[Objective], Factor]
) -> tuple[Refinement, Objective]:
    """Return the minimum of a smoothed loss, near or far from that of the loss itself."""
    fitted = float(np.linalg.norm(objective.gradient()))
    if objective.l1 is None:
        found = minimum(objective, factorize)
        whole: Objective = found.objective
    else:
        near = _settled(objective, factorize)
        found, whole = _at_minimum(measure(near.on_support(), factorize), near, factorize)
    return replace(found, gradient_norm=fitted), whole


def smoothing_gap(fitted: LinearObjective, smooth: Objective) -> float:
    """Return how far the raw predictions of the smoothed optimum are from the fitted ones.

    Root mean squares over the training rows, relative to the fitted ones.
    """
    assert isinstance(smooth, LinearObjective)
    before = fitted.raw_predictions()
    off = np.linalg.norm(smooth.raw_predictions() - before)
    return float(off / max(np.linalg.norm(before), np.finfo(np.float64).tiny))


def _look_at_distance(
    found: Refinement, name: str, *, moves: bool, unsure: bool, out_of_iterations: bool
) -> None:
    """Warn of a fit that stopped far from its optimum; refuse one on surely other rows."""
    far = found.relative_distance
    if unsure and far > FOREIGN and not out_of_iterations:
        raise ValueError(
            f"The fitted {name} is {far:,.0f} removals of a typical row away "
            f"from the optimum on these rows: these do {_NOT_ITS_OWN}, or it did not converge. "
            "Pass what it was fitted with, fit it with a smaller tol or a larger max_iter, or pass "
            "refine=True to score the optimum on these rows instead."
        )
    if far > FAR:
        network = found.objective.kind == "network"
        consequence = (
            "Scores are those of the stationary point, which estimator_ is not"
            if moves
            else "Scores are first derivatives at a point where the gradient is not zero (its norm "
            f"is {found.gradient_norm:.2g}); pass refine=True to move a copy to the minimum"
        )
        more = "fit with a smaller tol or a larger max_iter."
        consequence += _OF_NETWORKS if network else f"{'; ' if moves else ', or '}{more}"
        doubt = f" If it did converge, these do {_NOT_ITS_OWN}." if unsure else ""
        warn(
            f"{name} stopped {far:,.1f} removals of a typical row away from "
            f"its stationary point. {consequence}" + doubt,
            ConvergenceWarning,
        )
