"""Edits in one solve: first order and the guarded Newton step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from skinfluence.curvature import Inverse
from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.process.row_names import named_rows
from skinfluence.process.tuning import tuning
from skinfluence.process.warnings import warn
from skinfluence.removal.active_set import minima_under_l1
from skinfluence.removal.base import Removal
from skinfluence.removal.edits import Edits, shared_directions
from skinfluence.removal.exact import in_row_space, minimise_guarded
from skinfluence.removal.groups import Nearest
from skinfluence.removal.guard import doubtful, exceeds_next_step, steps_beyond_zero
from skinfluence.removal.leverages import ALONE, quadratic_forms, some_unpenalised
from skinfluence.solvers import Factor, SingularCurvatureError
from skinfluence.typing import Array

HIGH = 0.3
"""Sum of the eigenvalues of G_i Q_i above which the largest is computed."""


OFF_STRATUM = 0.002
"""Relative difference between the weights a row leaves behind and those its factor was made with,
as a part of the curvature that the row leaves to itself, from which on the row is minimised."""


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

    Edits whose next step would be longer than `trusted_next_step` go on to their exact minimum,
    from this step; so do those that move their own prediction by more than `trusted_shift`, where
    the loss has a `curvature_scale`.

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
    under_l1 = isinstance(objective, LinearObjective) and objective.tilt is not None
    shares, shared, strata = 1.0 - edits.ratios, shared_directions(objective), edits.strata
    factors = _of_strata(edits, factorize) if shares.shape[1] else [factor]
    a = edits.gradients(slice(None), edits.ratios)
    coefficients, own_shift = np.empty_like(a), np.empty_like(a)
    leverage, lengths = np.empty(edits.n_edits), np.empty(edits.n_edits)
    squares, widest = np.empty_like(a), 0.0
    for stratum, stratum_factor in enumerate(factors):
        members = np.flatnonzero(strata == stratum)
        part = features.rows(members) if len(factors) > 1 else features
        H_E = stratum_factor.solve(shared) if shares.shape[1] else shared
        for index, Q in quadratic_forms(part, stratum_factor):
            rows = members[index] if len(factors) > 1 else index
            u = np.zeros_like(a[rows])
            if shares.shape[1]:
                u = np.einsum("ikq,iq->ik", part.rows(index).jacobian_dot(H_E), shares[rows])
            squares[rows] = Q if Q.ndim == 2 else np.einsum("ikk->ik", Q)
            largest = squares[rows] if Q.ndim == 2 else squares[rows].sum(axis=1)
            widest = max(widest, float(largest.max(initial=0.0)))
            G = edits.curvatures(rows, edits.ratios[rows])
            if Q.ndim == 3 and G.ndim == 2:  # outputs that meet in the parameters alone
                G = G[:, :, None] * np.eye(G.shape[1])
            c, leverage[rows] = _down_date(a[rows], G, Q, u)
            own_shift[rows] = u + (Q * c if Q.ndim == 2 else np.einsum("ikl,il->ik", Q, c))
            coefficients[rows] = c
            square = np.sum(c * (own_shift[rows] + u), axis=1)  # |J' c + E z|^2, by H^-1
            square += np.sum(shares[rows] @ (shared.T @ H_E) * shares[rows], axis=1)
            lengths[rows] = np.sqrt(np.maximum(square, 0.0))
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
    assert isinstance(objective, LinearObjective)

    def factors_of(inside: Edits) -> list[Factor]:
        return _of_strata(inside, factorize)

    alone = leverage > 1.0 - ALONE
    by_one_step = objective.constant_hessian and not under_l1  # given the curvature without the row
    scale = objective.loss.curvature_scale
    unsafe = off > OFF_STRATUM * np.clip(1.0 - leverage, 0.0, 1.0)
    if scale is not None:
        unsafe |= np.abs(own_shift).max(axis=1) > tuning().trusted_shift * scale
    if by_one_step:
        unsafe &= ~alone
    else:
        unsafe |= alone
    if under_l1 and guard:
        unsafe |= steps_beyond_zero(removal)
    small = None
    if not guard:
        unsafe[:] = False
    elif not objective.constant_hessian:
        known = squares if edits.leaving else None
        rows = np.flatnonzero(doubtful(removal, lengths, known) & ~unsafe)
        if len(rows):
            small = in_row_space(removal, factors_of)
            unsafe[rows] = exceeds_next_step(small[0], rows, lengths, known)
    if np.any(alone) and not (by_one_step or under_l1) and some_unpenalised(objective):
        _inverses_without(removal, np.flatnonzero(alone), factorize)
    guarded = np.flatnonzero(unsafe | (alone & by_one_step))
    if not len(guarded):
        return removal
    changes = np.empty((objective.n_params, len(guarded)))
    if under_l1:
        within = Edits(objective.within_support(damping), edits.leaving, edits.coming)
        changes = minima_under_l1(removal, within, guarded, factorize, rtol=tuning().guard_rtol)
        return replace(removal, guarded=guarded, guarded_changes=changes)
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


def _inverses_without(
    removal: Removal, rows: Array, factorize: Callable[[Objective], Factor]
) -> list[Inverse]:
    """Return what solves with the curvature formed without each of some rows of leverage 1.

    Rows without which it has no inverse are named: they alone determine a direction.
    """
    objective, edits = removal.objective, removal.edits
    assert isinstance(objective, LinearObjective)
    inverses: list[Inverse] = []
    for i in rows:
        row = np.array([i])
        w = objective.sample_weight
        weights = objective.weighting.all_weights(edits.ratios[row], w)[:, 0]
        weights = np.where(np.arange(len(weights)) == i, 0.0, weights)
        if edits.coming is not None:  # the row is back, with another weight
            back = edits.coming.rows(row)
            weights[i] = (back.sample_weight * back.weighting.own(edits.ratios[row]))[0]
        without = objective.with_weights(weights)
        try:
            inverses.append(factorize(without))
        except SingularCurvatureError:
            inverses.append(Nearest.of(without))
    undetermined = [
        int(i) for i, one in zip(rows, inverses, strict=True) if isinstance(one, Nearest)
    ]
    if undetermined:
        warn(
            f"Rows {named_rows(np.array(undetermined))} alone determine a direction of the "
            "parameters: without one of them there is more than one optimum. Their scores are "
            "those of the nearest; scikit-learn's own refit may choose another. Drop the columns "
            "that only these rows have, or fit with a penalty.",
            UserWarning,
        )
    return inverses


def _steps_of_their_own(
    removal: Removal, a: Array, rows: Array, factorize: Callable[[Objective], Factor]
) -> Array:
    """Return the Newton steps of rows of leverage 1, with the curvature formed without each."""
    objective = removal.objective
    assert isinstance(objective, LinearObjective)
    pushes = objective.rows(rows).jacobian_t_rows(a[rows]) + removal.shared @ removal.shares[rows].T
    pushes -= objective.gradient()[:, None]  # all but zero, yet part of a push so stiff
    changes = np.zeros((objective.n_params, len(rows)))
    for column, inverse in enumerate(_inverses_without(removal, rows, factorize)):
        changes[:, column] = inverse.solve(pushes[:, column : column + 1])[:, 0]
    return changes


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
