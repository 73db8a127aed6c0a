"""Edits in one solve: first order and the guarded Newton step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.messages import warn
from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.removal.base import Removal
from skinfluence.removal.edits import Edits
from skinfluence.removal.exact import minimise_guarded
from skinfluence.solvers import Factor, SingularCurvatureError

Array = npt.NDArray[Any]

TRUSTED_SHIFT = 0.5
"""Rows whose own raw prediction moves further than this are minimised on their own.

In units of the loss's `curvature_scale`: a Newton step assumes that the curvature stays as it is,
and over one unit it may change by a factor e. benchmarks/newton_error.py prints the relative error
of one step against refits: with n = 150, p = 60 its median is .01 below half a unit, .03 up to one,
.05 to .06 up to two, .1 up to four, .2 to .3 beyond, at leverages anywhere between .2 and .9, so
leverage is the poorer guide. A line search along the step leaves nearly all of the error: its
direction is wrong, not its length.
"""

TRUSTED_JUMP = 0.25
"""The same for losses whose curvature jumps, and may for other rows that move along.

On Enron (benchmarks/convex.py) a row that moved by .37 took two near duplicates across the kink of
the squared hinge, and its step went twice too far.
"""

HIGH = 0.3
"""Sum of the eigenvalues of G_i Q_i above which the largest is computed."""

GUARD_RTOL = 1e-4
"""Gradient at which a guarded row is done: far below the error of the rows that need no guard."""

ALONE = 1e-6
"""A row whose leverage is within this of 1 (nearly) alone determines some direction.

1 - h has lost six digits there; without the row the curvature is formed anew.
"""

OFF_STRATUM = 0.002
"""Relative difference between a row's own weights left behind and those its factor was made with
from which on the row is minimised on its own."""


def first_order(edits: Edits, factor: Factor, damping: float = 0.0) -> Removal:
    """Return the first-order change by every edit (infinitesimal jackknife).

    References
    ----------
    Koh, P. W. & Liang, P. (2017). Understanding black-box predictions via influence functions.
    ICML. arXiv:1703.04730.
    """
    coefficients = None
    if isinstance(edits.base, OutputObjective):
        coefficients = edits.gradients(slice(None))
    return Removal(
        edits,
        coefficients,
        edits.base.weighting.derivative_shares(edits.counts),
        shared_directions(edits.base),
        np.zeros(edits.n_edits, dtype=int),
        (factor,),
        leverage=None,
        moved=None,
        widest=np.inf,
        guarded=np.empty(0, dtype=int),
        guarded_changes=np.empty((edits.base.n_params, 0)),
        method="first_order",
        damping=damping,
    )


def newton(
    edits: Edits,
    factor: Factor,
    factorize: Callable[[Objective], Factor],
    *,
    guard: bool = True,
    damping: float = 0.0,
) -> Removal:
    """Return the leverage-corrected Newton step of every edit, guarded.

    Edits that move their own prediction by more than `TRUSTED_SHIFT` go on to their exact minimum,
    from this step.

    Parameters
    ----------
    edits : Edits
        Of a linear model at its optimum.
    factor : Factor
        Of its curvature.
    factorize : callable
        Factorises the curvature with the weights that stay behind, where those move.
    guard : bool
        False: the steps as they are.
    damping : float
        What `factor` has on its diagonal besides the penalty.

    References
    ----------
    Pregibon, D. (1981). Logistic regression diagnostics. Annals of Statistics 9(4).
    doi:10.1214/aos/1176345513.
    Rad, K. R. & Maleki, A. (2020). A scalable estimate of the out-of-sample prediction error via
    approximate leave-one-out cross-validation. JRSS B 82(4). doi:10.1111/rssb.12374.
    """
    objective, features = edits.base, edits.features
    assert isinstance(objective, OutputObjective) and isinstance(features, OutputObjective)
    shares, shared, strata = 1.0 - edits.ratios, shared_directions(objective), edits.strata
    factors = _of_strata(edits, factorize) if shares.shape[1] else [factor]
    a = edits.gradients(slice(None), edits.ratios)
    coefficients, moved, leverage = np.empty_like(a), np.empty_like(a), np.empty(edits.n_edits)
    widest = 0.0
    for stratum, one in enumerate(factors):
        members = np.flatnonzero(strata == stratum)
        part = features.rows(members) if len(factors) > 1 else features
        H_E = one.solve(shared) if shares.shape[1] else shared
        for index, Q in part.quadratic_forms(one):
            rows = members[index] if len(factors) > 1 else index
            u = np.zeros_like(a[rows])
            if shares.shape[1]:
                u = np.einsum("ikq,iq->ik", part.rows(index).jacobian_dot(H_E), shares[rows])
            largest = Q if Q.ndim == 2 else np.trace(Q, axis1=1, axis2=2)
            widest = max(widest, float(largest.max(initial=0.0)))
            G = edits.curvatures(rows, edits.ratios[rows])
            if Q.ndim == 3 and G.ndim == 2:  # outputs that meet in the parameters alone
                G = G[:, :, None] * np.eye(G.shape[1])
            c, leverage[rows] = _down_date(a[rows], G, Q, u)
            moved[rows] = u + (Q * c if Q.ndim == 2 else np.einsum("ikl,il->ik", Q, c))
            coefficients[rows] = c
    off = edits.off_stratum()
    removal = Removal(
        edits,
        coefficients,
        shares,
        shared,
        strata,
        tuple(factors),
        leverage=leverage,
        moved=moved,
        widest=widest if edits.leaving and np.all(off < 1e-12) else np.inf,
        guarded=np.empty(0, dtype=int),
        guarded_changes=np.empty((objective.n_params, 0)),
        method="newton",
        damping=damping,
    )
    if not guard and not isinstance(objective, LinearObjective):
        return removal
    alone = leverage > 1.0 - ALONE
    trusted = TRUSTED_SHIFT if objective.loss.certified else TRUSTED_JUMP
    unsafe = np.abs(moved).max(axis=1) > trusted * objective.loss.curvature_scale
    unsafe |= off > OFF_STRATUM
    if objective.constant_hessian:
        unsafe &= ~alone  # one step is exact, given the curvature without the row
    else:
        unsafe |= alone
    if not guard:
        unsafe[:] = False
    guarded = np.flatnonzero(unsafe | (alone & objective.constant_hessian))
    if not len(guarded):
        return removal
    changes = np.empty((objective.n_params, len(guarded)))
    iterated = unsafe[guarded]
    if np.any(iterated):
        changes[:, iterated] = minimise_guarded(
            removal,
            guarded[iterated],
            lambda inside: _of_strata(inside, factorize),
            rtol=GUARD_RTOL,
        )
    changes[:, ~iterated] = _steps_of_their_own(removal, a, guarded[~iterated], factorize)
    return replace(removal, guarded=guarded, guarded_changes=changes)


def _of_strata(edits: Edits, factorize: Callable[[Objective], Factor]) -> list[Factor]:
    """Return the factors of the curvature with the weights that typical edits leave behind."""
    base = edits.base
    if not edits.counts.shape[1]:
        return [factorize(base)]
    weights = base.weighting.all_weights(edits.typical_ratios(), base.sample_weight)
    return [factorize(base.weighing(w)) for w in weights.T]


def _steps_of_their_own(
    removal: Removal, a: Array, rows: Array, factorize: Callable[[Objective], Factor]
) -> Array:
    """Return the Newton steps of rows of leverage 1, with the curvature formed without each."""
    objective, edits = removal.objective, removal.edits
    assert isinstance(objective, LinearObjective)
    changes = np.zeros((objective.n_params, len(rows)))
    gradient = objective.gradient()[:, None]
    undetermined = []
    for column, i in enumerate(rows):
        row = np.array([i])
        w = objective.sample_weight
        weights = objective.weighting.all_weights(edits.ratios[row], w)[:, 0]
        weights = np.where(np.arange(len(weights)) == i, 0.0, weights)
        if edits.coming is not None:  # the row is back, with another weight
            back = edits.coming.rows(row)
            weights[i] = (back.sample_weight * back.weighting.own(edits.ratios[row]))[0]
        push = objective.rows(row).jacobian_t_rows(a[row])
        push += removal.shared @ removal.shares[row].T
        push -= gradient  # all but zero, and yet a part of the push in so stiff a direction
        try:
            factor = factorize(replace(objective, sample_weight=weights))
        except SingularCurvatureError:
            undetermined.append(int(i))
        else:
            changes[:, column] = factor.solve(push)[:, 0]
    if undetermined:
        warn(
            f"Rows {undetermined[:20]} ({len(undetermined)} in all) alone determine a direction of "
            "the parameters: without one of them there is no unique optimum. Their scores are 0, "
            "those of the nearest optimum; scikit-learn's own refit may choose another. Drop the "
            "columns that only these rows have, or fit with a penalty.",
            UserWarning,
        )
    return changes


def shared_directions(objective: Objective) -> Array:
    """Return E, shape (n_params, q)."""
    columns = objective.weighting.shared_columns(objective.sample_weight)
    if not columns.shape[1]:
        return np.empty((objective.n_params, 0))
    return objective.weighted_grad_sum(columns)


def _down_date(a: Array, G: Array, Q: Array, u: Array) -> tuple[Array, Array]:
    """Return c = (I - G Q)^-1 (a + G u) and the leverage of every row.

    Where I - G Q is too close to singular to be inverted, c = a: a place to start from.
    """
    rhs = a + (G * u if G.ndim == 2 else np.einsum("ikl,il->ik", G, u))
    if G.ndim == 2:
        h = G * Q
        alone = h > 1.0 - ALONE
        return np.where(alone, a, rhs / np.where(alone, 1.0, 1.0 - h)), h.max(axis=1)
    GQ = G @ Q
    leverage = np.trace(GQ, axis1=1, axis2=2)  # bounds the largest eigenvalue from above
    high = np.flatnonzero(leverage > HIGH)
    leverage[high] = np.linalg.eigvals(GQ[high]).real.max(axis=1)
    alone = leverage > 1.0 - ALONE
    A = np.eye(G.shape[1]) - GQ
    A[alone] = np.eye(G.shape[1])
    rhs[alone] = a[alone]
    return np.linalg.solve(A, rhs[:, :, None])[:, :, 0], leverage
