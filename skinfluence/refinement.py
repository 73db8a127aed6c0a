"""Move an objective to its stationary point, in a copy, and measure how far that was.

Influence is a derivative at the optimum; an estimator stops near it. Distances are measured in the
norm of the curvature, |d|_H = sqrt(d' H d), and compared with what removing one row does, so that
"near" has a meaning for the numbers that follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.objectives.axes import lifted
from skinfluence.objectives.roots import RowsFactor
from skinfluence.solvers import Factor, SingularCurvatureError, rough
from skinfluence.trust_region import STEPS, Problem, Solve, minimise

Array = npt.NDArray[Any]

Factorize = Callable[[Objective], Factor]

TINY = np.finfo(np.float64).tiny

PROBES = 256
"""Rows, evenly spread, from which the size of a typical removal is estimated."""

COOLING = 0.25
"""Fall of the temperature from minimum to minimum, beginning at the size of the predictions."""

POLISHED = 1e-9
"""Distance to a minimum of a model that is not convex, in typical removals, that is enough."""

POLISHING = 10
"""Times the preconditioner is made anew while such a model is moved."""

PROBE_NUMBERS = 2**22
"""Numbers their gradients may take: with very many parameters there are fewer, but 16."""


@dataclass(frozen=True, eq=False)
class Refinement:
    """Where the scores are computed, and how far that is from the fitted parameters.

    Attributes
    ----------
    objective : Objective
        At the stationary point; at the fitted parameters where nothing was refined.
    factor : Factor or None
        Of the curvature there; None for a model that needs none.
    gradient_norm : float
        Euclidean norm of the gradient of the summed objective at the fitted parameters.
    remaining_gradient_norm : float
        The same where the scores are computed.
    distance : float
        Newton distance from the fitted parameters to the optimum, in the norm of the curvature.
    typical_removal : float
        Root mean square over rows of what removing one row does, in the same norm.
    noise : float
        What rounding leaves of such distances.
    n_iter : int
        Steps taken.
    """

    objective: Objective = field(repr=False)
    factor: Factor | None = field(repr=False)
    gradient_norm: float
    remaining_gradient_norm: float
    distance: float
    typical_removal: float
    noise: float
    n_iter: int

    @property
    def undamped(self) -> Factor:
        """The factor, of a model that needs one."""
        assert self.factor is not None
        return self.factor

    @property
    def relative_distance(self) -> float:
        """The distance in units of a typical removal (or of rounding, where rows do no more)."""
        return self.distance / max(self.typical_removal, 100.0 * self.noise, TINY)


def measure(objective: Objective, factorize: Factorize) -> Refinement:
    """Measure, without moving, how far an objective is from its stationary point.

    Raises
    ------
    ValueError
        If the objective has no finite minimum.
    SingularCurvatureError
        If the minimum is not the only one.
    """
    if objective.has_no_optimum():
        raise ValueError(NO_OPTIMUM)
    factor = factorize(objective)
    return replace(measured(objective, rough(factor), factor), factor=factor)


def measured(objective: Objective, near: Solve, factor: Factor | None = None) -> Refinement:
    """Return how far an objective is from its stationary point, without a factor.

    Parameters
    ----------
    objective : Objective
    near : callable
        H^-1 V, or near it.
    factor : Factor, optional
        Whose solve that is.
    """
    gradient = objective.gradient()
    norm = float(np.linalg.norm(gradient))
    distance = _length(gradient, near(gradient[:, None])[:, 0])
    typical = typical_removal(objective, near, factor)
    noise = objective.gradient_noise()
    return Refinement(objective, None, norm, norm, distance, typical, noise, n_iter=0)


def refine(
    found: Refinement, factorize: Factorize, *, rtol: float = 1e-10, max_iter: int = 100
) -> Refinement:
    """Minimise a convex objective from where it was measured, by damped Newton steps.

    A factor, or what was measured with in its place, is reused while its steps shrink the distance
    tenfold. Where rows are few and long, the
    way is gone in the space they span, and its end confirmed in all parameters.

    Parameters
    ----------
    found : Refinement
        As `measure` left it.
    factorize : callable
        From an objective to the factor of its curvature.
    rtol : float
        Stop at this distance, in units of a typical removal.
    max_iter : int

    Raises
    ------
    ValueError
        If the objective has no finite minimum, or none is found in `max_iter` steps.
    SingularCurvatureError
        If the minimum is not the only one.
    """
    objective = found.objective
    inside = None
    if isinstance(objective, LinearObjective) and objective.row_space_is_small:
        inside = objective.in_row_space()
    if inside is not None:
        small, axes = inside
        there = _descended(measure(small, factorize), factorize, rtol, max_iter)
        n_iter = there.n_iter
        if n_iter:
            theta = lifted(axes, there.objective.theta[:, None], small.loss.n_outputs)[:, 0]
            moved = objective.at(theta)
            factor = renewed(found.undamped, factorize, moved)
            found = replace(found, objective=moved, factor=factor)
    else:
        n_iter = 0
    found = _descended(found, factorize, rtol, max_iter)
    return replace(found, n_iter=found.n_iter + n_iter)


def _descended(found: Refinement, factorize: Factorize, rtol: float, max_iter: int) -> Refinement:
    objective, factor, typical = found.objective, found.factor, found.typical_removal
    assert factor is not None
    noise = found.noise
    gradient = objective.gradient()
    step, distance = newton_step(factor, gradient)
    n_iter = 0
    while distance > max(rtol * typical, noise, TINY):
        # Closer, a step that does not shrink the distance has met the rounding of gradients.
        rounding = max(1e-5 * typical, 1e4 * noise, TINY)
        if n_iter == max_iter and not objective.constant_hessian:
            raise ValueError(_NOT_FOUND)  # steps that shrink slowly for ever: no finite optimum
        with np.errstate(over="ignore", invalid="ignore"):  # too long a step compares as worse
            moved = shortened(objective, factor, step, distance) if n_iter < max_iter else None
        # The first step on a quadratic is exact; later ones only polish what rounding left.
        if moved is None and (distance <= rounding or objective.constant_hessian):
            break
        if moved is None or moved.objective.has_no_optimum():
            raise ValueError(_NOT_FOUND if moved is None else NO_OPTIMUM)
        n_iter += 1
        before = distance
        objective, gradient = moved.objective, moved.gradient
        step, distance = moved.step, moved.distance
        if _iterates(factor):
            factor = renewed(factor, factorize, objective)
            step, distance = newton_step(factor, gradient)
        if n_iter == 1 and before > typical:
            # Far from the optimum a removal does more, and rounding more, than it will there.
            typical = min(typical, typical_removal(objective, rough(factor), factor))
            noise = min(noise, objective.gradient_noise())
        slow = distance > 0.1 * before and before > rounding and not _iterates(factor)
        if slow and not objective.constant_hessian:
            factor = renewed(factor, factorize, objective)
            step, distance = newton_step(factor, gradient)
            typical = min(typical, typical_removal(objective, rough(factor), factor))
            noise = min(noise, objective.gradient_noise())
    close = getattr(factor, "approximate", False)
    if close or not (_iterates(factor) or _same_curvature(found.objective, objective)):
        factor = renewed(factor, factorize, objective)
    remaining = float(np.linalg.norm(gradient))
    return replace(
        found,
        objective=objective,
        factor=factor,
        remaining_gradient_norm=remaining,
        n_iter=n_iter,
    )


def polish(found: Refinement, near: Callable[[Objective], Solve]) -> tuple[Refinement, float]:
    """Move a model that need not be convex to the minimum whose basin it is in.

    Parameters
    ----------
    found : Refinement
        Its factor is kept as it is.
    near : callable
        From an objective to a map near the inverse of its second derivative.

    Returns
    -------
    Refinement
    left : float
        The gradient where the steps ended, in units of a typical removal.
    """
    objective, typical = found.objective, max(found.typical_removal, TINY)
    goal = np.array([max(POLISHED * typical, objective.gradient_noise())])
    n_iter, left = 0, np.inf
    for _ in range(POLISHING):
        problem = Problem(objective, objective.sample_weight[:, None])
        there = minimise(problem, objective.theta[:, None], near(objective), goal)
        objective = objective.at(there.Theta[:, 0])
        n_iter += there.n_iter
        before, left = left, float(there.left[0])
        if there.converged[0] or there.n_iter < STEPS or left > 0.5 * before:
            break
    remaining = float(np.linalg.norm(objective.gradient()))
    moved = replace(found, objective=objective, remaining_gradient_norm=remaining, n_iter=n_iter)
    return moved, left / typical


def minimum(objective: LinearObjective, factorize: Factorize) -> Refinement:
    """Return the minimum of an objective, by way of higher temperatures where it has one and must.

    Raises
    ------
    ValueError, SingularCurvatureError
        As `measure` and `refine`.
    """
    try:
        return refine(measure(objective, factorize), factorize)
    except ValueError:  # a singular curvature, or no descent: the bends are too sharp from here
        if objective.loss.temperature is None:
            raise

        def there(one: LinearObjective) -> LinearObjective:
            found = refine(measure(one, factorize), factorize).objective
            assert isinstance(found, LinearObjective)
            return found

        near = cooled(objective, there)
        return refine(measure(near, factorize), factorize)


def cooled(
    objective: LinearObjective, minimum: Callable[[LinearObjective], LinearObjective]
) -> LinearObjective:
    """Return an objective near its minimum, reached along minima at falling temperatures.

    Where the temperature is low, the curvature at other parameters says little about the minimum.

    Parameters
    ----------
    objective : LinearObjective
        Under a loss with a temperature.
    minimum : callable
        Moves an objective to its minimum.
    """
    t = objective.loss.temperature
    assert t is not None
    heat = max(float(np.abs(objective.raw_predictions()).max(initial=0.0)), 4.0 * t)
    while heat > t:
        warm = replace(objective, loss=objective.loss.at_temperature(heat))
        objective = objective.at(minimum(warm).theta)
        heat *= COOLING
    return objective


@dataclass(frozen=True, eq=False)
class Moved:
    """An objective after a step, its gradient there, and the next step with its length."""

    objective: Objective
    gradient: Array
    step: Array
    distance: float


def shortened(objective: Objective, factor: Factor, step: Array, distance: float) -> Moved | None:
    """Return where the longest halved step that descends leads, or None."""
    near = rough(factor) if _iterates(factor) else factor.solve
    for halvings in range(30):
        t = 0.5**halvings
        candidate = objective.at(objective.theta + t * step)
        gradient = candidate.gradient()
        moved = Moved(candidate, gradient, *_step(near, gradient))
        # Near the minimum values are all rounding and the distance alone can tell; far from it a
        # step may descend (Armijo) while the distance, in an outdated norm, grows.
        if moved.distance <= 0.5 * distance:
            return moved
        if candidate.value() <= objective.value() - 1e-4 * t * distance**2:
            return moved
    return None


def renewed(factor: Factor, factorize: Factorize, objective: Objective) -> Factor:
    """Return the factor at other parameters, which may keep what is costly of a factor nearby."""
    move: Factorize = getattr(factor, "moved", factorize)
    return move(objective)


def typical_removal(objective: Objective, near: Solve, factor: Factor | None = None) -> float:
    """Return the root mean square of |H^-1 w_i grad l_i|_H over (at most `PROBES`) rows."""
    counted = np.flatnonzero(objective.sample_weight > 0)
    probes = int(np.clip(PROBE_NUMBERS // objective.n_params, 16, PROBES))
    if len(counted) > probes:
        counted = counted[np.linspace(0, len(counted) - 1, probes).astype(int)]
    if isinstance(objective, LinearObjective) and isinstance(factor, RowsFactor):
        Q = factor.quadratics(objective, counted)  # no array of the size of the parameters
        if Q is not None:
            a = (objective.sample_weight[:, None] * objective.output_gradients())[counted]
            aQ = Q * a if Q.ndim == 2 else np.einsum("ikl,il->ik", Q, a)
            return float(np.sqrt(max(float(np.sum(a * aQ)) / max(1, len(a)), 0.0)))
    part = objective.rows(counted)
    gradients = part.weighted_grad_sum(np.diag(part.sample_weight))
    squares = np.sum(gradients * near(gradients), axis=0)
    return float(np.sqrt(max(float(np.mean(squares)), 0.0)))


def newton_step(factor: Factor, gradient: Array) -> tuple[Array, float]:
    """Return -H^-1 g and its length in the norm of H."""
    return _step(factor.solve, gradient)


def _step(near: Solve, gradient: Array) -> tuple[Array, float]:
    step = -near(gradient[:, None])[:, 0]
    return step, _length(gradient, -step)


def _iterates(factor: Factor) -> bool:
    """Return whether a factor costs next to nothing at parameters nearby, and its solves do."""
    return hasattr(factor, "moved")


def _length(gradient: Array, solved: Array) -> float:
    """Return sqrt(g' H^-1 g)."""
    distance = float(np.sqrt(max(float(gradient @ solved), 0.0)))
    if not np.isfinite(distance):
        raise SingularCurvatureError(
            "The Newton step to the stationary point is not finite: the curvature is singular or "
            "the features overflow. Scale the features (StandardScaler), or fit with a penalty."
        )
    return distance


def _same_curvature(a: Objective, b: Objective) -> bool:
    """Return whether the curvature at two parameters is one within 1e-9, judged by predictions."""
    if a is b or a.constant_hessian:
        return True
    if isinstance(a, OutputObjective) and isinstance(b, OutputObjective):
        moved = np.abs(a.raw_predictions() - b.raw_predictions())
        return bool(np.all(moved < 1e-9))
    return False


NO_OPTIMUM = (
    "The objective has no finite optimum: without a penalty the training rows are separated, and "
    "larger coefficients always fit better. Removing a row has no defined effect. Fit with a "
    "penalty (a finite C, alpha > 0)."
)
_NOT_FOUND = (
    "No stationary point was found near the fitted parameters: the data may be (nearly) separable "
    "without a penalty, or the features badly scaled. Fit with a stronger penalty or on scaled "
    "features, or pass refine=False to score the parameters as they are."
)
