"""Which Newton steps are too long to be trusted, by the gradient where they end.

A loss that promises a `curvature_scale` says itself how far a step may go. This needs no promise:
the Newton step that would come next is what the first was off by, as far as the curvature can tell.
"""

from __future__ import annotations

import numpy as np

from skinfluence.process.tuning import tuning
from skinfluence.removal.base import Removal, edit_blocks
from skinfluence.removal.edited import Edited, EditedRows, norm_in
from skinfluence.typing import Array


def next_steps(problem: Edited, D: Array) -> Array:
    """Return the lengths of the Newton steps that would come next, parts of those to D, (m,).

    Lengths are in the norm of the curvature H_j of each edited objective at theta, which the step
    from theta + D solves with. Where the objective is less curved there, along this step, it is so
    much too short: with g the gradient and z = H_j^-1 g it ends at the minimum along z only after
    g'z / z' F_j''(theta + D) z of its length. Curvature that a step leaves behind (a kink, a loss
    that turns linear) is seen by that alone.
    """
    gradient = problem.gradient(D)[0]
    bounded = np.isfinite(gradient).all(axis=0)
    gradient[:, ~bounded] = 0.0
    Z = problem.precondition(gradient)[0]
    squares = np.abs(np.einsum("pm,pm->m", gradient, Z))
    bent = problem.curvature_along(D, Z)
    with np.errstate(divide="ignore", invalid="ignore"):
        longer = np.where(bent > 0.0, np.maximum(squares / bent, 1.0), np.inf)
        lengths = np.sqrt(squares) * longer / norm_in(problem.pushes, D)
    return np.where(bounded, np.where(squares > 0.0, lengths, 0.0), np.inf)


def exceeds_next_step(removal: Removal, rows: Array) -> Array:
    """Return which of some edits' Newton steps the gradient where they end speaks against, (m,).

    One pass over the training rows for each block of edits. Rows that move next to nothing are not
    looked at.

    Parameters
    ----------
    removal : Removal
        The steps, none of them guarded, of a linear model.
    rows : ndarray of int, shape (m,)
    """
    a, moved = removal.edits.gradients(rows), removal.own_shift
    assert moved is not None and removal.coefficients is not None
    out = np.zeros(len(rows), dtype=bool)
    seen = np.ones(len(rows), dtype=bool)
    if not removal.shares.shape[1]:  # a row's push is its own gradient: push' d = a' J d
        squares = np.abs(np.sum(a * moved[rows], axis=1))
        seen = ~(squares <= tuning().negligible_step ** 2 * np.mean(squares))
    for stratum in range(len(removal.factors)):
        members = np.flatnonzero(seen & (removal.strata[rows] == stratum))
        for block in edit_blocks(len(members), removal.edits.base):
            columns = members[block]
            problem = EditedRows(removal, rows[columns], stratum)
            with np.errstate(over="ignore", invalid="ignore"):
                D = problem.step(removal.coefficients[rows[columns]])
                out[columns] = ~(next_steps(problem, D) <= tuning().trusted_next_step)
    return out
