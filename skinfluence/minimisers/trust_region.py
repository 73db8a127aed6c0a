"""Minimise many smooth functions at once, each from its own start, by trust-region Newton steps.

The functions need not be convex: a step is the minimum of the second-order model within a radius,
found by conjugate gradients that follow a direction of negative curvature to the edge (Steihaug
1983, doi:10.1137/0720042), and the radius follows how well the model foretold the change (Conn,
Gould & Toint 2000, doi:10.1137/1.9780898719857). All lengths are in the norm of the inverse of the
preconditioner M: |s| = sqrt(s' M s), and gradients in that of M: |g| = sqrt(g' M^-1 g).

Columns are functions: Theta, gradients and steps have the shape (n_params, m).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from skinfluence.minimisers.distance import Solve
from skinfluence.objectives import Objective
from skinfluence.objectives.stacked import Stacked, stacked
from skinfluence.process.tuning import tuning
from skinfluence.typing import Array

INNER = 200
"""Products with the second derivative that one step may take."""


WINDOW = 30
"""Steps after which a function is given up that has not fallen meanwhile, as at a kink."""

FALLS = 0.01
"""Fall that is asked for in these steps, in units of the square of the gradient."""

LEAST_RADIUS = 1e-10
"""Radius, relative to the first, at which a column is given up."""

SHAKE = 1e-2
"""Length of a shake, in units of the first gradient."""

LOWER = 1e-6
"""Fall of a value, in units of the square of that, from which on a minimum was none."""

ROUNDING = 1e3 * float(np.finfo(np.float64).eps)
"""Changes of a value below this part of it tell nothing; the gradient then decides."""


class Problem:
    """An objective under m weightings of its rows, as functions of parameters of their own.

    Attributes
    ----------
    base : Objective
        Its own weights do not count; its penalty does.
    W : ndarray of shape (n_samples, m)
    coming : Objective or None
        Row j comes to function j, with its own weight; or as `arriving` says.
    center : ndarray of shape (n_params,) or None
        Where the penalty is 0, if not at 0.
    damping : float
        Added to the penalty.
    arriving : ndarray of shape (n_coming, m) or None
        The weights with which rows of `coming` come to each function.
    """

    def __init__(
        self,
        base: Objective,
        W: Array,
        coming: Objective | None = None,
        center: Array | None = None,
        damping: float = 0.0,
        arriving: Array | None = None,
    ) -> None:
        self.base = base
        self.W = W
        self.coming = coming
        self.center = center
        self.damping = damping
        self.arriving = arriving

    @property
    def m(self) -> int:
        """How many functions there are."""
        return int(self.W.shape[1])

    def at(self, Theta: Array) -> Stacked:
        """Return their values and derivatives, each at a column of Theta."""
        parts = [stacked(self.base, Theta, self.W)]
        if self.coming is not None:
            W = self.arriving
            W = np.diag(self.coming.sample_weight) if W is None else W
            parts.append(stacked(self.coming, Theta, W))
        from_center = Theta if self.center is None else Theta - self.center[:, None]
        return Penalised(parts, self.base.l2[:, None] + self.damping, from_center)

    def take(self, columns: Array) -> Self:
        """Return some of the functions."""
        coming, arriving = self.coming, self.arriving
        if arriving is not None:
            arriving = arriving[:, columns]
        elif coming is not None:
            coming = coming.rows(columns)
        W = self.W[:, columns]
        return type(self)(self.base, W, coming, self.center, self.damping, arriving)


class Penalised(Stacked):
    """Sums of losses and the penalty, at m parameters."""

    def __init__(self, parts: list[Stacked], l2: Array, Theta: Array) -> None:
        self.parts = parts
        self.l2 = l2
        self.Theta = Theta

    def values(self) -> Array:
        penalty: Array = 0.5 * np.sum(self.l2 * self.Theta**2, axis=0)
        return penalty + sum(part.values() for part in self.parts)

    def gradients(self) -> Array:
        out: Array = self.l2 * self.Theta
        return out + sum(part.gradients() for part in self.parts)

    def products(self, S: Array) -> Array:
        out: Array = self.l2 * S
        return out + sum(part.products(S) for part in self.parts)


@dataclass(frozen=True, eq=False)
class Minima:
    """Where each function was left.

    Attributes
    ----------
    Theta : ndarray of shape (n_params, m)
    remaining : ndarray of shape (m,)
        The gradients there, in the norm of the preconditioner.
    converged : ndarray of bool, shape (m,)
    n_iter : int
        Steps taken, of the function that took most.
    """

    Theta: Array
    remaining: Array
    converged: Array
    n_iter: int


def minimise(
    problem: Problem, Theta: Array, precondition: Solve, goal: Array, max_iter: int | None = None
) -> Minima:
    """Minimise every function from its own start, and from where that ended, shaken a little.

    A step from a symmetric point, such as two units that are alike, stays symmetric, and may end at
    a saddle. What falls further from nearby was one; a minimum is come back to, and kept.

    Parameters
    ----------
    problem : Problem
    Theta : ndarray of shape (n_params, m)
        Where to start.
    precondition : callable
        M^-1 V for an M near the second derivatives, positive definite.
    goal : ndarray of shape (m,)
        Gradients at which a column is done.
    max_iter : int, optional
        ``tuning().trust_region_steps`` by default.
    """
    max_iter = tuning().trust_region_steps if max_iter is None else max_iter
    start = problem.at(Theta)
    caused = norms(start.gradients(), precondition)
    first = _descend(problem, Theta, precondition, goal, max_iter)
    ended = np.flatnonzero(first.converged & (first.remaining < caused))
    if not len(ended):
        return first
    shake = np.random.RandomState(0).standard_normal((len(Theta), 1))  # the same for every column
    move = precondition(shake)
    length = np.sqrt(max(float(np.vdot(shake, move)), float(np.finfo(np.float64).tiny)))
    ends, caused, part = first.Theta[:, ended], caused[ended], problem.take(ended)
    shaken = ends + SHAKE * caused / length * move
    second = _descend(part, shaken, precondition, goal[ended], max_iter)
    before, after = part.at(ends).values(), part.at(second.Theta).values()
    fell = before - after > np.maximum(LOWER * caused**2, ROUNDING * np.abs(before))
    at = ended[fell]
    first.Theta[:, at], first.remaining[at] = second.Theta[:, fell], second.remaining[fell]
    first.converged[at] = second.converged[fell]
    return first if not len(at) else replace(first, n_iter=first.n_iter + second.n_iter)


def _descend(
    problem: Problem, Theta: Array, precondition: Solve, goal: Array, max_iter: int
) -> Minima:
    """Minimise every function from its own start."""
    out, remaining = Theta.copy(), np.zeros(problem.m)
    open_ = np.arange(problem.m)
    here = problem.at(Theta)
    value, gradient = here.values(), here.gradients()
    size = norms(gradient, precondition)
    remaining[:] = size
    radius = 4.0 * np.where(size > 0, size, 1.0)
    least, first, mark = LEAST_RADIUS * radius, size.copy(), np.full(problem.m, np.inf)
    n_iter = 0
    while True:
        going = (remaining[open_] > goal[open_]) & (radius > least)
        if n_iter % WINDOW == 0:
            going &= mark - value > FALLS * size**2
            mark = value
        if not np.all(going):
            kept = np.flatnonzero(going)
            open_, problem, Theta = open_[kept], problem.take(kept), Theta[:, kept]
            value, gradient, size = value[kept], gradient[:, kept], size[kept]
            radius, least, first, mark = radius[kept], least[kept], first[kept], mark[kept]
            here = problem.at(Theta) if len(kept) else here
        if not len(open_) or n_iter == max_iter:
            break
        n_iter += 1
        forcing = np.minimum(0.1, np.sqrt(size / np.maximum(first, size)))
        S, foretold, length = _step(
            problem, here, Theta, gradient, precondition, radius, forcing, goal[open_]
        )
        with np.errstate(over="ignore", invalid="ignore"):  # too long a step compares as worse
            after = problem.at(Theta + S)
            moved, slopes = after.values(), after.gradients()
        moved = np.where(np.isfinite(moved), moved, np.inf)
        slopes = np.where(np.isfinite(moved), slopes, 0.0)
        steeper = norms(slopes, precondition)
        ratio = (value - moved) / np.maximum(foretold, np.finfo(np.float64).tiny)
        blind = foretold <= ROUNDING * np.abs(value)
        ratio = np.where(blind, np.where(steeper < size, 1.0, 0.0), ratio)
        taken = ratio > 1e-4
        radius = np.where(ratio < 0.25, 0.25 * length, radius)
        radius = np.where((ratio > 0.75) & (length > 0.9 * radius), 3.0 * radius, radius)
        Theta = np.where(taken, Theta + S, Theta)
        value, gradient = np.where(taken, moved, value), np.where(taken, slopes, gradient)
        size = np.where(taken, steeper, size)
        here = after if np.all(taken) else problem.at(Theta)
        out[:, open_], remaining[open_] = Theta, size
    return Minima(out, remaining, remaining <= goal, n_iter)


def norms(gradient: Array, precondition: Solve) -> Array:
    """Return sqrt(g' M^-1 g) of every column, shape (m,)."""
    squares = np.einsum("pm,pm->m", gradient, precondition(gradient))
    return np.sqrt(np.maximum(squares, 0.0))


def _step(
    problem: Problem,
    here: Stacked,
    Theta: Array,
    gradient: Array,
    precondition: Solve,
    radius: Array,
    forcing: Array,
    goal: Array,
) -> tuple[Array, Array, Array]:
    """Return the step of every column, the fall its model foretells, and its length."""
    steps, foretold = np.zeros_like(gradient), np.zeros(problem.m)
    lengths = np.zeros(problem.m)
    cols = np.arange(problem.m)
    S, R = np.zeros_like(gradient), gradient.copy()
    Z = precondition(R)
    P, rz = -Z, np.einsum("pm,pm->m", R, Z)
    # The norm of s by recurrence: s'Ms, s'Mp and p'Mp, without a product with M.
    ss, sp, pp = np.zeros(problem.m), np.zeros(problem.m), rz.copy()
    fall = np.zeros(problem.m)
    stop = np.maximum(forcing**2 * rz, 0.01 * goal**2)
    for _ in range(INNER):
        HP = here.products(P)
        curved = np.einsum("pm,pm->m", P, HP)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            alpha = rz / curved
            beyond = ss + alpha * (2.0 * sp + alpha * pp) >= radius[cols] ** 2
        edge = ~(curved > 0) | beyond
        reach = -sp + np.sqrt(np.maximum(sp**2 + pp * (radius[cols] ** 2 - ss), 0.0))
        alpha = np.where(edge, reach / np.maximum(pp, np.finfo(np.float64).tiny), alpha)
        S += alpha * P
        fall += alpha * (rz - 0.5 * alpha * curved)
        ss += alpha * (2.0 * sp + alpha * pp)
        R += alpha * HP
        Z = precondition(R)
        new = np.einsum("pm,pm->m", R, Z)
        done = edge | (new <= stop) | ~np.isfinite(new)
        if np.any(done):
            at = cols[done]
            steps[:, at], foretold[at] = S[:, done], fall[done]
            lengths[at] = np.sqrt(np.maximum(ss[done], 0.0))
        if np.all(done):
            return steps, foretold, lengths
        beta = new / rz
        sp = beta * (sp + alpha * pp)
        pp = new + beta**2 * pp
        P = beta * P - Z
        rz = new
        if np.any(done):
            kept = np.flatnonzero(~done)
            cols, S, R, P, rz = cols[kept], S[:, kept], R[:, kept], P[:, kept], rz[kept]
            ss, sp, pp, fall, stop = ss[kept], sp[kept], pp[kept], fall[kept], stop[kept]
            problem, Theta = problem.take(kept), Theta[:, kept]
            here = problem.at(Theta)
    steps[:, cols], foretold[cols], lengths[cols] = S, fall, np.sqrt(np.maximum(ss, 0.0))
    return steps, foretold, lengths
