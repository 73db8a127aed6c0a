"""Which Newton steps are too long to be trusted, by the gradient where they end.

A step takes the curvature of all rows as it is. Rows that it moves across a bend of their loss, or
far enough for a smooth one to curve differently, leave a gradient where it ends: the Newton step
that would come next is what the first was off by, as far as the curvature can tell.

Which rows those may be is known beforehand, so that few are looked at: with |d|_H the length of a
step in the norm of the curvature and Q_j = J_j H^-1 J_j', no raw prediction moves by more than

    |J_j d| <= sqrt(Q_j) |d|_H                                             (Cauchy-Schwarz)
"""

from __future__ import annotations

import numpy as np

from skinfluence.objectives import LinearObjective
from skinfluence.process.blocks import row_blocks
from skinfluence.process.tuning import tuning
from skinfluence.removal.base import Removal, edit_blocks
from skinfluence.removal.edited import CHUNK, Edited, EditedRows, norm_in, unforeseen_gradients
from skinfluence.solvers import Factor
from skinfluence.typing import Array

FAR_BEYOND = 0.3
"""Way back to 0, as a part of the change, from which on a step beyond it is not trusted.

On a lasso with n = 150, p = 400 the relative error of all scores falls from 1.2 to .7, that of nine
rows of ten from 1.7 to .9; at .1 it is .6 and .7, for three times as many minima.
"""

TINY = np.finfo(np.float64).tiny


def next_steps(problem: Edited, D: Array, left: Array) -> Array:
    """Return the lengths of the Newton steps that would come next, parts of those to D, (m,).

    Lengths are in the norm of the curvature H_j of each edited objective at theta, which the step
    from theta + D solves with. Where the objective is less curved there, along this step, it is so
    much too short: with g the gradient and z = H_j^-1 g it ends at the minimum along z only after
    g'z / z' F_j''(theta + D) z of its length. Curvature that a step leaves behind (a bend, a loss
    that turns linear) is seen by that alone.

    Parameters
    ----------
    problem : Edited
    D : ndarray of shape (n_params, m)
        Newton steps.
    left : ndarray of shape (n_params, m)
        The gradients where they end.
    """
    bounded = np.isfinite(left).all(axis=0)
    left = np.where(bounded, left, 0.0)
    Z = problem.precondition(left)[0]
    squares = np.abs(np.einsum("pm,pm->m", left, Z))
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        bent = squares + problem.gained_curvature(D, Z)
        longer = np.where(bent > 0.0, np.maximum(squares / bent, 1.0), np.inf)
        lengths = np.sqrt(squares) * longer / norm_in(problem.pushes, D)
    return np.where(bounded, np.where(squares > 0.0, lengths, 0.0), np.inf)


def room_of(objective: LinearObjective) -> Array:
    """Return how far raw predictions may move before their row is looked at, (n_samples, K)."""
    room = objective.loss.distance_to_bend(objective.targets, objective.raw_predictions())
    room[objective.sample_weight == 0.0] = np.inf
    return room


def bending_lengths(objective: LinearObjective, squares: Array | None) -> Array:
    """Return the length from which on a step may use up the room of each row, (n_samples,).

    Parameters
    ----------
    objective : LinearObjective
        Over the training rows.
    squares : ndarray of shape (n_samples, K) or None
        Q_j of each raw prediction; None where not known: every row may be reached by any step.
    """
    room = room_of(objective)
    if squares is None:
        return np.where(np.isinf(room).all(axis=1), np.inf, 0.0)
    lengths: Array = (room / np.sqrt(np.maximum(squares, TINY))).min(axis=1)
    return lengths


def doubtful(removal: Removal, lengths: Array, squares: Array | None) -> Array:
    """Return which steps may bend some row, and are not next to nothing, bool (n_edits,).

    Parameters
    ----------
    removal : Removal
        The steps, none of them guarded, of a linear model.
    lengths : ndarray of shape (n_edits,)
        Of the steps, in the norm of the curvature.
    squares : ndarray of shape (n_samples, K) or None
        As `bending_lengths` has it.
    """
    least = tuning().negligible_step * np.sqrt(np.mean(lengths**2))
    base = removal.edits.base
    assert isinstance(base, LinearObjective)
    reaches: Array = lengths >= bending_lengths(base, squares).min(initial=np.inf)
    reaches |= _bends_what_comes(removal, np.arange(removal.n_edits))
    return reaches & ~(lengths <= least)


def exceeds_next_step(
    removal: Removal, rows: Array, lengths: Array, squares: Array | None
) -> Array:
    """Return which of some edits' Newton steps the gradient where they end speaks against, (m,).

    Parameters
    ----------
    removal : Removal
        The steps, none of them guarded, of a linear model.
    rows : ndarray of int, shape (m,)
    lengths, squares
        As `doubtful` has them.
    """
    base = removal.edits.base
    assert isinstance(base, LinearObjective)
    out, bends = np.zeros(len(rows), dtype=bool), bending_lengths(base, squares)
    order = np.argsort(lengths[rows], kind="stable")  # steps of a block reach the same rows
    for stratum in range(len(removal.factors)):
        members = order[removal.strata[rows[order]] == stratum]
        for block in edit_blocks(len(members), base):
            columns = members[block]
            among = np.flatnonzero(bends <= lengths[rows[columns]].max())
            with np.errstate(over="ignore", invalid="ignore"):
                after = _looked_at(removal, rows[columns], stratum, among, lengths, squares)
            out[columns] = ~(after <= tuning().trusted_next_step)
    return out


def _looked_at(
    removal: Removal, rows: Array, stratum: int, among: Array, lengths: Array, squares: Array | None
) -> Array:
    """Return `next_steps` of some edits, by some training rows; 0 where they are surely short."""
    objective = removal.edits.base
    assert isinstance(objective, LinearObjective) and removal.leverage is not None
    D = removal.changes(rows)
    bent = _uses_up_room(objective.rows(among), room_of(objective)[among], D)
    if removal.edits.leaving:
        bent &= among[:, None] != rows
    open_ = bent.any(axis=0) | _bends_what_comes(removal, rows)
    if objective.loss.curvature_scale is None:
        among, bent = among[bent.any(axis=1)], bent[bent.any(axis=1)]
        if squares is not None and removal.edits.coming is None and objective.loss.separable:
            stays = 1.0 - removal.leverage[rows]
            part = objective.rows(among)
            open_ &= ~_surely_short(part, squares[among], bent, D, stays, lengths[rows])
    out = np.zeros(len(rows))
    if np.any(open_):
        problem, D = EditedRows(removal, rows[open_], stratum).among(among), D[:, open_]
        out[open_] = next_steps(problem, D, problem.unforeseen(D))
    return out


def _bends_what_comes(removal: Removal, rows: Array) -> Array:
    """Return which edits move the row that they bring further than it has room, bool (m,)."""
    coming, own = removal.edits.coming, removal.own_shift
    if coming is None:
        return np.zeros(len(rows), dtype=bool)
    part = coming.rows(rows)
    assert isinstance(part, LinearObjective) and own is not None
    out: Array = np.any(np.abs(own[rows]) > room_of(part), axis=1)
    return out


def _uses_up_room(part: LinearObjective, room: Array, D: Array) -> Array:
    """Return which rows changes D move further than they have room, bool (n_rows, m)."""
    out = np.zeros((part.n_samples, D.shape[1]), dtype=bool)
    for rows in row_blocks(part.n_samples, D.shape[1] * part.loss.n_outputs, CHUNK):
        moved = np.abs(part.rows(rows).jacobian_dot(D))
        out[rows] = np.any(~(moved <= room[rows][:, :, None]), axis=1)
    return out


def _surely_short(
    part: LinearObjective, squares: Array, bent: Array, D: Array, stays: Array, lengths: Array
) -> Array:
    """Return which next steps the triangle inequality shows to be trusted, without a solve, (m,).

    With r_j what a bent row adds to the gradient at the end of a step, 1 - h of the curvature left
    by its own row and h_j the leverages,

        |z|_H_i <= sum_j |r_j| sqrt(Q_j / (1 - h)),        |d|_H_i >= sqrt(1 - h) |d|_H,

    in each output, and the minimum along z is at most twice as far where the bent rows make up half
    of the curvature at most: sum_j h_j <= (1 - h) / 2.

    Parameters
    ----------
    part : LinearObjective
        Over the rows that are bent by any of the steps.
    squares : ndarray of shape (n_rows, K)
        Their Q_j.
    bent : ndarray of bool, shape (n_rows, m)
        By which.
    D : ndarray of shape (n_params, m)
    stays, lengths : ndarray of shape (m,)
        1 - h, |d|_H.
    """
    h = part.sample_weight[:, None] * part.output_hessians() * squares
    out: Array = 2.0 * (h.T @ bent).max(axis=0, initial=0.0) <= stays
    left = np.zeros((int(out.sum()), part.loss.n_outputs))
    for rows in row_blocks(part.n_samples, left.size, CHUNK):
        some = part.rows(rows)
        B = np.abs(unforeseen_gradients(some, some.jacobian_dot(D[:, out]).transpose(0, 2, 1)))
        B *= bent[rows][:, out, None]
        left += np.einsum("jmk,jk->mk", B, some.sample_weight[:, None] * np.sqrt(squares[rows]))
    longest = tuning().trusted_next_step * stays[out] * lengths[out]
    out[out] = 2.0 * np.linalg.norm(left, axis=1) <= longest
    return out


def steps_beyond_zero(removal: Removal) -> Array:
    """Return which Newton steps take coefficients under an l1 penalty far beyond 0, (n_edits,)."""
    base = removal.edits.base
    assert isinstance(base, LinearObjective)
    out = np.zeros(removal.n_edits, dtype=bool)
    for stratum, factor in enumerate(removal.factors):
        members = np.flatnonzero(removal.strata == stratum)
        for block in row_blocks(len(members), base.n_params):
            rows = members[block]
            out[rows] = beyond_zero(base, factor, removal.changes(rows), removal.pushes(rows))
    return out


def beyond_zero(base: LinearObjective, factor: Factor, D: Array, pushes: Array) -> Array:
    """Return which changes take coefficients under an l1 penalty far beyond 0, shape (m,).

    There the penalty is another line, and the change wrong by the way back to 0 at least: a
    coefficient that is r beyond is r / sqrt(H^-1_jj) away, in the norm of the curvature.

    Parameters
    ----------
    base : LinearObjective
        On its support.
    factor : Factor
        Of its curvature.
    D, pushes : ndarray of shape (n_params, m)
        The changes, and what H^-1 takes to them.
    """
    assert base.tilt is not None
    over = np.maximum(-np.sign(base.tilt)[:, None] * (base.theta[:, None] + D), 0.0)
    if not np.any(over):
        return np.zeros(D.shape[1], dtype=bool)
    variances = np.resize(factor.inverse_diagonal().ravel(), base.n_params)  # blocks may be alike
    back: Array = np.sum(over**2 / variances[:, None], axis=0)
    far: Array = back > FAR_BEYOND**2 * np.einsum("pm,pm->m", D, pushes)
    return far
