"""Move an objective to its stationary point, in a copy.

By damped Newton steps where it is convex, by a trust region where it is not. From where the
curvature says little, along minima at falling temperatures, or under falling penalties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from skinfluence.curvature import Curvature
from skinfluence.losses import HalfSquaredError
from skinfluence.minimisers.distance import (
    NO_OPTIMUM,
    TINY,
    Factorize,
    Refinement,
    Solve,
    decrement_of,
    measure,
    typical_removal,
)
from skinfluence.minimisers.trust_region import Problem, minimise
from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.objectives.row_space import lifted
from skinfluence.process.tuning import tuning
from skinfluence.solvers import Factor
from skinfluence.typing import Array

COOLING = 0.25
"""Fall of the temperature from minimum to minimum, beginning at the size of the predictions."""

EASING = 10.0 ** np.arange(0, -11, -2)
"""Additional penalties from minimum to minimum."""

STRIDE = 0.5
"""Way of a raw prediction, in curvature scales, after which the curvature is another one.

A Newton step of that length does not end at a minimum. Down an exponential tail each is 1 long.
"""

ROUNDING = 1e-10
"""Part of a value below which its rise may be rounding."""

POLISHED = 1e-9
"""Distance to a minimum of a model that is not convex, in typical removals, that is enough."""


def refine(
    start: Refinement, factorize: Factorize, *, rtol: float = 1e-10, max_iter: int = 100
) -> Refinement:
    """Minimise a convex objective from where it was measured, by damped Newton steps.

    A factor, or what was measured with in its place, is reused while its steps shrink the Newton
    decrement tenfold. Where rows are few and long, the way is gone in the space they span, and its
    end confirmed in all parameters.

    Parameters
    ----------
    start : Refinement
        As `measure` left it.
    factorize : callable
        From an objective to the factor of its curvature.
    rtol : float
        Stop at this Newton decrement, in units of a typical removal.
    max_iter : int

    Raises
    ------
    ValueError
        If the objective has no finite minimum, or none is found in `max_iter` steps.
    SingularCurvatureError
        If the minimum is not the only one.
    """
    objective = start.objective
    row_space = None
    if isinstance(objective, LinearObjective) and objective.row_space_is_small:
        row_space = objective.in_row_space()
    n_iter = 0
    if row_space is not None:
        small, axes = row_space
        reduced = _descended(measure(small, factorize), factorize, rtol, max_iter)
        n_iter = reduced.n_iter
        if n_iter:
            theta = lifted(axes, reduced.objective.theta[:, None], small.loss.n_outputs)[:, 0]
            moved = objective.at(theta)
            factor = renewed(start.undamped, factorize, moved)
            start = replace(start, objective=moved, factor=factor)
    end = _descended(start, factorize, rtol, max_iter)
    return replace(end, n_iter=end.n_iter + n_iter)


def _descended(start: Refinement, factorize: Factorize, rtol: float, max_iter: int) -> Refinement:
    objective, factor, typical = start.objective, start.factor, start.typical_removal
    assert factor is not None
    noise = start.noise
    gradient = objective.gradient()
    step, decrement = newton_step(factor, gradient)
    n_iter = 0
    while decrement > max(rtol * typical, noise, TINY):
        # Closer, a step that does not shrink the decrement has met the rounding of gradients.
        rounding = max(1e-5 * typical, 1e4 * noise, TINY)
        if n_iter == max_iter and not objective.constant_hessian:
            raise ValueError(_NOT_FOUND)  # steps that shrink slowly for ever: no finite optimum
        with np.errstate(over="ignore", invalid="ignore"):  # too long a step compares as worse
            moved = shortened(objective, factor, step, decrement) if n_iter < max_iter else None
        # The first step on a quadratic is exact; later ones only polish what rounding left.
        if moved is None and (decrement <= rounding or objective.constant_hessian):
            break
        if moved is None or moved.objective.has_no_optimum():
            raise ValueError(_NOT_FOUND if moved is None else NO_OPTIMUM)
        n_iter += 1
        before = decrement
        objective, gradient = moved.objective, moved.gradient
        step, decrement = moved.step, moved.newton_decrement
        if factor.iterates:
            factor = renewed(factor, factorize, objective)
            step, decrement = newton_step(factor, gradient)
        if n_iter == 1 and before > typical:
            # Far from the optimum a removal does more, and rounding more, than it will there.
            typical = min(typical, typical_removal(objective, factor.precondition, factor))
            noise = min(noise, objective.gradient_noise())
        slow = decrement > 0.1 * before and before > rounding and not factor.iterates
        if slow and not objective.constant_hessian:
            factor = renewed(factor, factorize, objective)
            step, decrement = newton_step(factor, gradient)
            typical = min(typical, typical_removal(objective, factor.precondition, factor))
            noise = min(noise, objective.gradient_noise())
    serves = factor.iterates or _same_curvature(start.objective, objective)
    if factor.approximate or not serves:
        factor = renewed(factor, factorize, objective)
    if _recedes(objective, factor, gradient):
        raise ValueError(_NOT_FOUND)
    remaining = float(np.linalg.norm(gradient))
    return replace(
        start,
        objective=objective,
        factor=factor,
        remaining_gradient_norm=remaining,
        n_iter=n_iter,
    )


def polish(
    start: Refinement, preconditioner: Callable[[Objective], Solve]
) -> tuple[Refinement, float]:
    """Move a model that need not be convex to the minimum whose basin it is in.

    Parameters
    ----------
    start : Refinement
        Its factor is kept as it is.
    preconditioner : callable
        From an objective to a map near the inverse of its second derivative.

    Returns
    -------
    Refinement
    remaining : float
        The gradient where the steps ended, in units of a typical removal.
    """
    objective, typical = start.objective, max(start.typical_removal, TINY)
    goal = np.array([max(POLISHED * typical, objective.gradient_noise())])
    n_iter, remaining = 0, np.inf
    for _ in range(tuning().polishing_rounds):
        problem = Problem(objective, objective.sample_weight[:, None])
        end = minimise(problem, objective.theta[:, None], preconditioner(objective), goal)
        objective = objective.at(end.Theta[:, 0])
        n_iter += end.n_iter
        before, remaining = remaining, float(end.remaining[0])
        done = end.converged[0] or end.n_iter < tuning().trust_region_steps
        if done or remaining > 0.5 * before:
            break
    norm = float(np.linalg.norm(objective.gradient()))
    moved = replace(start, objective=objective, remaining_gradient_norm=norm, n_iter=n_iter)
    return moved, remaining / typical


def minimum(
    objective: LinearObjective, factorize: Factorize, start: Refinement | None = None
) -> Refinement:
    """Return the minimum of a convex objective, by way of those of smoother ones where it must.

    Parameters
    ----------
    objective : LinearObjective
    factorize : callable
        From an objective to the factor of its curvature.
    start : Refinement, optional
        As `measure` left it.

    Raises
    ------
    ValueError, SingularCurvatureError
        As `measure` and `refine`.
    """

    def refined(one: LinearObjective) -> LinearObjective:
        minimised = refine(measure(one, factorize), factorize).objective
        assert isinstance(minimised, LinearObjective)
        return minimised

    try:
        return refine(measure(objective, factorize) if start is None else start, factorize)
    except ValueError as failed:
        nearer = approached(objective, factorize, refined, failed)
        end = refine(measure(nearer, factorize), factorize)
    if start is None:
        return end
    remaining = end.remaining_gradient_norm
    end = replace(start, objective=end.objective, factor=end.factor, n_iter=end.n_iter)
    return replace(end, remaining_gradient_norm=remaining)


def approached(
    objective: LinearObjective,
    factorize: Factorize,
    minimum: Callable[[LinearObjective], LinearObjective],
    failed: ValueError,
) -> LinearObjective:
    """Return an objective near its minimum, after steps from where it is have failed.

    Where the temperature is low, or no row is curved, the curvature at other parameters says little
    about the minimum.

    Parameters
    ----------
    objective : LinearObjective
    factorize : callable
        From an objective to the factor of its curvature.
    minimum : callable
        Moves an objective to its minimum.
    failed : ValueError
        What `minimum` said, and is said again where there is no other way.
    """
    if objective.loss.temperature is not None:
        return cooled(objective, minimum)
    if objective.constant_hessian or str(failed) == NO_OPTIMUM:
        raise failed
    try:
        return eased(objective, factorize, minimum)
    except ValueError:
        raise failed from None


def eased(
    objective: LinearObjective,
    factorize: Factorize,
    minimum: Callable[[LinearObjective], LinearObjective],
) -> LinearObjective:
    """Return an objective near its minimum, reached along minima under a falling l2 penalty.

    That is in units of the curvature of rows that are all curved alike. Where even that has no
    inverse, columns depend on each other, and there is no curvature at the minimum either.
    """
    even = objective.under(HalfSquaredError(objective.loss.n_outputs))
    if even.l1 is None:
        factorize(even)
    inverse = Curvature(even).preconditioner("jacobi")
    assert inverse is not None
    size = 1.0 / inverse.solve(np.ones((even.n_params, 1)))[:, 0]
    for share in EASING:
        held = replace(objective, l2=objective.l2 + share * size)
        objective = objective.at(minimum(held).theta)
    return objective


def cooled(
    objective: LinearObjective, minimum: Callable[[LinearObjective], LinearObjective]
) -> LinearObjective:
    """Return an objective near its minimum, reached along minima at falling temperatures.

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
    """An objective after a step, its gradient, and the next Newton step with its decrement."""

    objective: Objective
    gradient: Array
    step: Array
    newton_decrement: float


def shortened(objective: Objective, factor: Factor, step: Array, decrement: float) -> Moved | None:
    """Return where the longest halved step that descends leads, or None."""
    solve = factor.precondition if factor.iterates else factor.solve
    value = objective.value()
    for halvings in range(30):
        t = 0.5**halvings
        candidate = objective.at(objective.theta + t * step)
        gradient = candidate.gradient()
        moved = Moved(candidate, gradient, *_step(solve, gradient))
        # Near the minimum values are all rounding and the decrement alone can tell; far from it a
        # step may descend (Armijo) while the decrement, in an outdated norm, grows, or fall on the
        # other side of a bend, where the decrement is less and the value more.
        rise = candidate.value() - value
        if moved.newton_decrement <= 0.5 * decrement and rise <= ROUNDING * abs(value):
            return moved
        if rise <= -1e-4 * t * decrement**2:
            return moved
    return None


def renewed(factor: Factor, factorize: Factorize, objective: Objective) -> Factor:
    """Return the factor at other parameters, which may keep what is costly of a factor nearby."""
    moved = factor.moved(objective)
    return factorize(objective) if moved is None else moved


def newton_step(factor: Factor, gradient: Array) -> tuple[Array, float]:
    """Return -H^-1 g and the Newton decrement sqrt(g' H^-1 g), its length in the norm of H."""
    return _step(factor.solve, gradient)


def _step(solve: Solve, gradient: Array) -> tuple[Array, float]:
    step = -solve(gradient[:, None])[:, 0]
    return step, decrement_of(gradient, -step)


def _recedes(objective: Objective, factor: Factor, gradient: Array) -> bool:
    """Return whether the minimum is at infinity, where gradients are 0 and steps are not short."""
    if not isinstance(objective, OutputObjective):
        return False
    scale = objective.loss.curvature_scale
    if scale is None or np.isinf(scale):
        return False
    way = np.abs(objective.jacobian_dot(newton_step(factor, gradient)[0][:, None]))
    return bool(np.any(way[objective.sample_weight > 0] > STRIDE * scale))


def _same_curvature(a: Objective, b: Objective) -> bool:
    """Return whether the curvature at two parameters is one within 1e-9, judged by predictions."""
    if a is b or a.constant_hessian:
        return True
    if isinstance(a, OutputObjective) and isinstance(b, OutputObjective):
        moved = np.abs(a.raw_predictions() - b.raw_predictions())
        return bool(np.all(moved < 1e-9))
    return False


_NOT_FOUND = (
    "No stationary point was found near the fitted parameters: the data may be (nearly) separable "
    "without a penalty, or the features badly scaled. Fit with a stronger penalty or on scaled "
    "features, or pass refine=False to score the parameters as they are."
)
