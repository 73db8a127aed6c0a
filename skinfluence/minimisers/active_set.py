"""Minimise under an l1 penalty: Newton steps on the coefficients that are not 0.

On its support, with its signs, the penalty is linear and F smooth: `LinearObjective.on_support`. A
step that would change a sign ends where the coefficient is 0, and it leaves; when F is stationary
on the support, the coefficient at 0 whose derivative exceeds its penalty most comes in, on the side
where F falls. Every step descends, so that no support comes back. (Osborne, Presnell & Turlach
2000, doi:10.1093/imanum/20.3.389, for squared losses.) Where the curvature on the support is
singular, F is linear along some direction, and coefficients leave along it: of the minima that
predict alike, one is found whose support is as small as the rows allow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.linalg import block_diag

from skinfluence.curvature import Curvature
from skinfluence.minimisers.newton import approached, newton_step, shortened
from skinfluence.objectives import LinearObjective, Objective
from skinfluence.solvers import Factor, SingularCurvatureError
from skinfluence.solvers.dense import form
from skinfluence.typing import Array

Step = tuple[LinearObjective, Array, float]
"""An objective after a step, the signs of its support, and how far the minimum there then is."""

_NOT_REACHED = (
    "No minimum was reached under the l1 penalty: the data may be separable, or the features "
    "badly scaled. Fit with a stronger penalty or on scaled features, or pass refine=False."
)

ROUNDING = 1e5
"""Goals of a distance within which a step that does not descend has met the rounding of values."""

FLAT = 1e-12
"""Curvature along a direction, relative to the largest, that is none; changes of F likewise."""

STIFF = 1e-8
"""Damping, in mean curvatures, of steps where the curvature is singular."""

LOOKED_AT = 4
"""Coefficients of which one may enter before F is at its minimum on the support."""

ENTERS = 1e-9
"""Relative excess of a derivative over its l1 penalty at which a coefficient enters."""


def follow_active_set(
    objective: LinearObjective,
    factorize: Callable[[Objective], Factor],
    goal: float,
    *,
    max_iter: int = 10_000,
) -> LinearObjective:
    """Return an objective with an l1 penalty at its minimum.

    Parameters
    ----------
    objective : LinearObjective
        At a place to start from.
    factorize : callable
        From an objective to the factor of its curvature.
    goal : float
        Distance to the minimum, in the norm of the curvature, that is close enough.
    max_iter : int
        Steps.

    Raises
    ------
    ValueError
        If no minimum is reached.
    SingularCurvatureError
        If there is more than one.
    """
    signs = np.sign(objective.theta)
    for _ in range(max_iter):
        part = objective.on_support(signs)
        moved = _descend(objective, part, factorize, signs, goal)
        if moved is None:
            entering = _entering(objective, signs, goal, objective.n_params)
            if entering is None:
                return objective
        else:  # no need to wait for the minimum here
            objective, signs, distance = moved
            far = np.isinf(distance)
            entering = None if far else _entering(objective, signs, max(goal, distance), LOOKED_AT)
        if entering is not None:
            signs[entering[0]] = entering[1]
    raise ValueError(_NOT_REACHED)


def minimise_l1(
    objective: LinearObjective, factorize: Callable[[Objective], Factor], goal: float
) -> LinearObjective:
    """Return an objective at its minimum, by way of those of smoother ones where it must.

    Raises
    ------
    ValueError, SingularCurvatureError
        As `follow_active_set`.
    """

    def minimised(one: LinearObjective) -> LinearObjective:
        return follow_active_set(one, factorize, goal)

    try:
        return minimised(objective)
    except ValueError as failed:
        return minimised(approached(objective, factorize, minimised, failed))


def _descend(
    objective: LinearObjective,
    part: LinearObjective,
    factorize: Callable[[Objective], Factor],
    signs: Array,
    goal: float,
) -> Step | None:
    """Take a Newton step on the support; None where it is at its minimum."""
    try:
        factor = factorize(part)
    except SingularCurvatureError:
        moved = _off_the_flat(objective, part, signs)
        if moved is not None:
            return moved
        H = part.hessian_blocks()
        stiff = STIFF * float(np.mean(np.diagonal(H, axis1=1, axis2=2)))
        factor = factorize(replace(part, l2=part.l2 + stiff))
    step, distance = newton_step(factor, part.gradient())
    if distance <= goal:
        return None
    with np.errstate(over="ignore", invalid="ignore"):  # too long a step compares as worse
        moved = _move(objective, part, factor, step, distance, signs)
    if moved is None and distance > ROUNDING * goal:
        raise ValueError(_NOT_REACHED)
    return moved


def _off_the_flat(objective: LinearObjective, part: LinearObjective, signs: Array) -> Step | None:
    """Go along directions without curvature to where coefficients leave; None where F would rise.

    More coefficients than rows, or columns that repeat each other, leave F linear there: what does
    as well with fewer coefficients is looked for among the minima that are alike.
    """
    assert part.support is not None and objective.l1 is not None
    N, scale = _flat_directions(part)
    theta, after, gradient = part.theta.copy(), signs.copy(), part.gradient()
    own, penalised = signs[part.support], objective.l1[part.support] > 0
    while N.shape[1]:
        v = scale * N[:, 0]
        v = v if gradient @ v <= 0 else -v
        shrinking = penalised & (own * v < 0)
        if not np.any(shrinking):
            return None
        room = np.where(shrinking, np.abs(theta) / np.where(shrinking, np.abs(v), 1.0), np.inf)
        leaves = int(np.argmin(room))
        theta += room[leaves] * v
        theta[leaves] = own[leaves] = after[part.support[leaves]] = 0.0
        # Of the directions, those that keep it at 0.
        largest = int(np.argmax(np.abs(N[leaves])))
        others = np.delete(N, largest, axis=1)
        N = np.linalg.qr(others - np.outer(N[:, largest], others[leaves] / N[leaves, largest]))[0]
        N[leaves] = 0.0
    value = part.value()
    if part.at(theta).value() > value + FLAT * abs(value):
        return None
    return _with_part(objective, part, theta), after, np.inf


def _flat_directions(part: LinearObjective) -> tuple[Array, Array]:
    """Return a basis of the directions without curvature, (n_params, k), in units of the scale."""
    blocks = form(Curvature(part))
    H = block_diag(*np.tile(blocks, (part.n_params // (len(blocks) * blocks.shape[1]), 1, 1)))
    scale = 1.0 / np.sqrt(np.where(np.diagonal(H) > 0, np.diagonal(H), 1.0))
    values, vectors = np.linalg.eigh(H * scale * scale[:, None])
    flat = values <= max(FLAT * values[-1], values[0])
    return vectors[:, flat], scale


def _move(
    objective: LinearObjective,
    part: LinearObjective,
    factor: Factor,
    step: Array,
    decrement: float,
    signs: Array,
) -> Step | None:
    """Take a step on the support, or to where it changes; None where only rounding is left."""
    assert part.support is not None and objective.l1 is not None
    penalised = objective.l1[part.support] > 0
    own = signs[part.support]
    target = part.theta + step
    crossing = penalised & (own * target < 0)
    if not np.any(crossing):
        moved = shortened(part, factor, step, decrement)
        if moved is None:
            return None
        return _with_part(objective, part, moved.objective.theta), signs, moved.newton_decrement
    # All that would change their sign leave at once, if F falls; else the first of them.
    at_zero = np.where(crossing, 0.0, target)
    ratio = np.where(crossing, np.abs(part.theta) / np.where(crossing, np.abs(step), 1.0), np.inf)
    nearest, t = ratio == ratio.min(), float(ratio.min())
    first = np.where(nearest, 0.0, part.theta + t * step)
    value = part.value()
    for theta, leaving in ((at_zero, crossing), (first, nearest)):
        # A coefficient that is 0 already (t = 0) leaves without a fall.
        if part.at(theta).value() < value or (t == 0.0 and leaving is nearest):
            after = signs.copy()
            after[part.support[leaving]] = 0.0
            return _with_part(objective, part, theta), after, np.inf
    moved = shortened(part, factor, t * step, np.sqrt(t) * decrement)  # not as far as that
    if moved is None:
        return None
    return _with_part(objective, part, moved.objective.theta), signs, moved.newton_decrement


def _with_part(objective: LinearObjective, part: LinearObjective, theta: Array) -> LinearObjective:
    assert part.support is not None
    whole = np.zeros(objective.n_params)
    whole[part.support] = theta
    return replace(objective, theta=whole)


def _entering(
    objective: LinearObjective, signs: Array, distance: float, most: int
) -> tuple[int, float] | None:
    """Return the coefficient whose derivative exceeds its penalty most, and the sign it takes.

    At this distance from the minimum on the support a derivative is known to distance * sqrt(H_jj):
    one that exceeds by less, as those of columns that repeat each other may, does not. So many of
    the coefficients are looked at, at `most`.
    """
    assert objective.l1 is not None
    gradient = objective.smooth_gradient()
    outside = (signs == 0) & (objective.l1 > 0)
    excess = np.where(outside, np.abs(gradient) / np.where(outside, objective.l1, 1.0) - 1.0, 0.0)
    for j in np.argsort(-excess)[: min(most, int(np.sum(excess > ENTERS)))]:
        unit = np.zeros((objective.n_params, 1))
        unit[j] = 1.0
        curvature = float(objective.hvp(unit)[j, 0])
        if excess[j] * objective.l1[j] > distance * np.sqrt(max(curvature, 0.0)):
            return int(j), -float(np.sign(gradient[j]))
    return None
