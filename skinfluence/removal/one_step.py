"""Edits in one solve: first order and the guarded Newton step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.process.tuning import tuning
from skinfluence.process.warnings import warn
from skinfluence.removal.base import Removal
from skinfluence.removal.edits import Edits
from skinfluence.removal.exact import in_row_space, minimise_guarded
from skinfluence.removal.guard import exceeds_next_step
from skinfluence.removal.leverages import quadratic_forms
from skinfluence.solvers import Factor, SingularCurvatureError
from skinfluence.typing import Array

HIGH = 0.3
"""Sum of the eigenvalues of G_i Q_i above which the largest is computed."""


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
        own_shift=None,
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

    Edits that move their own prediction by more than `trusted_shift` go on to their exact minimum,
    from this step; where the loss does not say over which distance that is far, those do whose next
    step would be longer than `trusted_next_step`.

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
    coefficients, own_shift = np.empty_like(a), np.empty_like(a)
    leverage = np.empty(edits.n_edits)
    widest = 0.0
    for stratum, stratum_factor in enumerate(factors):
        members = np.flatnonzero(strata == stratum)
        part = features.rows(members) if len(factors) > 1 else features
        H_E = stratum_factor.solve(shared) if shares.shape[1] else shared
        for index, Q in quadratic_forms(part, stratum_factor):
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
            own_shift[rows] = u + (Q * c if Q.ndim == 2 else np.einsum("ikl,il->ik", Q, c))
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
        own_shift=own_shift,
        widest=widest if edits.leaving and np.all(off < 1e-12) else np.inf,
        guarded=np.empty(0, dtype=int),
        guarded_changes=np.empty((objective.n_params, 0)),
        method="newton",
        damping=damping,
    )
    if not guard and not isinstance(objective, LinearObjective):
        return removal

    def factors_of(inside: Edits) -> list[Factor]:
        return _of_strata(inside, factorize)

    alone = leverage > 1.0 - ALONE
    trusted = tuning().trusted_shift if objective.loss.self_concordant else tuning().trusted_jump
    scale = objective.loss.curvature_scale
    unsafe = np.zeros(len(alone), dtype=bool)
    if scale is not None:
        unsafe |= np.abs(own_shift).max(axis=1) > trusted * scale
    unsafe |= off > OFF_STRATUM
    if objective.constant_hessian:
        unsafe &= ~alone  # one step is exact, given the curvature without the row
    else:
        unsafe |= alone
    small = None
    if not guard:
        unsafe[:] = False
    elif scale is None and not objective.constant_hessian:
        small = in_row_space(removal, factors_of)
        rest = np.flatnonzero(~unsafe)
        unsafe[rest] = exceeds_next_step(small[0], rest)
    guarded = np.flatnonzero(unsafe | (alone & objective.constant_hessian))
    if not len(guarded):
        return removal
    changes = np.empty((objective.n_params, len(guarded)))
    iterated = unsafe[guarded]
    if np.any(iterated):
        small = in_row_space(removal, factors_of) if small is None else small
        changes[:, iterated] = minimise_guarded(*small, guarded[iterated], rtol=tuning().guard_rtol)
    changes[:, ~iterated] = _steps_of_their_own(removal, a, guarded[~iterated], factorize)
    return replace(removal, guarded=guarded, guarded_changes=changes)


def _of_strata(edits: Edits, factorize: Callable[[Objective], Factor]) -> list[Factor]:
    """Return the factors of the curvature with the weights that typical edits leave behind."""
    base = edits.base
    if not edits.counts.shape[1]:
        return [factorize(base)]
    weights = base.weighting.all_weights(edits.typical_ratios(), base.sample_weight)
    return [factorize(base.with_weights(w)) for w in weights.T]


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
