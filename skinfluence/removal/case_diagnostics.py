"""The classical case diagnostics of regression, for penalised models and other losses too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from skinfluence.curvature import Curvature
from skinfluence.losses import Loss
from skinfluence.objectives import LinearObjective
from skinfluence.objectives.features import LinearFeatures
from skinfluence.objectives.independent import Independent
from skinfluence.removal.base import Removal, require_changes
from skinfluence.removal.leverages import ALONE, quadratic_forms, some_unpenalised
from skinfluence.solvers import Factor
from skinfluence.typing import Array

ROUNDING = 1e-8
"""Degrees of freedom, per row, that are none."""


@dataclass(frozen=True, eq=False)
class Measures:
    """See `skinfluence.inspection.Diagnostics`, of which these are the arrays.

    Those of every output have one for each of the loss, shape (n_train, K).
    """

    hat_diagonal: Array
    internally_studentized_residuals: Array
    studentized_residuals: Array
    dffits: Array
    cooks_distance: Array
    cov_ratio: Array
    dfbetas: Array
    standard_errors: Array
    scale: Array
    guarded_rows: Array


def measures(
    removal: Removal,
    objective: LinearObjective,
    whole: LinearObjective,
    factor: Factor,
    *,
    dispersion: str = "family",
    damping: float = 0.0,
    n_jobs: int | None = None,
) -> Measures:
    """Return the diagnostics of every training row, as `Diagnostics` defines them.

    Parameters
    ----------
    removal : Removal
        Of every row, in the parameters of `objective` or of `whole`.
    objective : LinearObjective
        At its optimum, in the coefficients that are not 0 where there is an l1 penalty.
    whole : LinearObjective
        In all parameters.
    factor : Factor
        Of the curvature of `objective`.
    dispersion : {"family", "pearson"}
    damping : float
        What that curvature has on its diagonal besides the penalty.
    n_jobs : int or None
        Threads for the removals.
    """
    leverages = _Leverages.of(objective, factor)
    hat, effective = leverages.hat, leverages.hat.sum(axis=0)
    known = dispersion == "family" and objective.loss.unit_dispersion
    outputs, deviations = _outputs(whole), _deviations(objective, whole, factor)
    require_changes(removal.n_edits, whole.n_params)
    changes = removal.all_changes(n_jobs)
    base = removal.objective
    assert isinstance(base, LinearObjective)
    # Where a number and its spread are both zero there is none: nan.
    with np.errstate(divide="ignore", invalid="ignore"):
        residuals, scores = _standardized(objective)
        scale, deleted = _dispersions(objective, scores, hat, known)
        left = np.where(leverages.alone, np.nan, 1.0 - hat)
        deleted = np.where(left > 0, deleted, np.nan)
        lengths, shifts = _sizes(removal, changes, scale, damping)
        changes = _among(changes, base.support, whole.n_params, fill=0.0)
        if isinstance(whole.features, LinearFeatures):
            T = whole.as_given(np.eye(whole.n_params))
            changes, outputs = changes @ T.T, outputs[np.abs(T).argmax(axis=1)]
            deviations = _deviations_as_given(objective, factor, T, outputs)
        changes /= np.sqrt(deleted)[:, outputs] * deviations
        volumes = (deleted / scale) ** effective
        return Measures(
            hat_diagonal=hat,
            internally_studentized_residuals=residuals / np.sqrt(scale * left),
            studentized_residuals=residuals / np.sqrt(deleted * left),
            dffits=shifts / np.sqrt(deleted * leverages.quadratic),
            cooks_distance=np.where(np.isnan(left).any(axis=1), np.nan, lengths) / effective.sum(),
            cov_ratio=volumes.prod(axis=1) / leverages.determinant,
            dfbetas=changes,
            standard_errors=deviations * np.sqrt(scale)[outputs],
            scale=scale,
            guarded_rows=removal.guarded_edits,
        )


def _sizes(removal: Removal, changes: Array, scale: Array, damping: float) -> tuple[Array, Array]:
    """Return d' H d / scale of every row, and what d does to the row's raw predictions."""
    objective = removal.objective
    assert isinstance(objective, LinearObjective)
    units = np.sqrt(scale)[_outputs(objective), None]
    lengths = np.empty(len(changes))
    shifts = np.empty((len(changes), objective.loss.n_outputs))
    times, C = _products(objective, damping), _centring(objective.loss)
    for rows in removal.column_blocks(np.arange(len(changes))):
        D = changes[rows].T
        shifts[rows] = objective.rows(rows).jacobian_rows_dot(D) @ C
        D = D / units
        lengths[rows] = np.sum(D * times(D), axis=0)
    return lengths, shifts


@dataclass(frozen=True, eq=False)
class _Leverages:
    """What every row is to its own prediction, with G_i and Q_i of its outputs.

    Attributes
    ----------
    hat : ndarray of shape (n_samples, K)
        The diagonals of w_i G_i Q_i.
    quadratic : ndarray of shape (n_samples, K)
        Those of Q_i, of raw predictions centred by `_centring`.
    determinant : ndarray of shape (n_samples,)
        Of I - w_i G_i Q_i: what is left of that of H without the row.
    alone : ndarray of bool, shape (n_samples, K)
        The row alone determines a direction of the output; of all that G_i couples.
    """

    hat: Array
    quadratic: Array
    determinant: Array
    alone: Array

    @classmethod
    def of(cls, objective: LinearObjective, factor: Factor) -> _Leverages:
        """Return those of all rows."""
        w, G = objective.sample_weight[:, None], objective.output_hessians()
        n, K = objective.n_samples, objective.loss.n_outputs
        hat, quadratic = np.empty((n, K)), np.empty((n, K))
        determinant, alone = np.empty(n), np.empty((n, K), dtype=bool)
        C = _centring(objective.loss)
        # A penalty leaves an optimum without the row; then only 1 - h may be rounding.
        least = ALONE if some_unpenalised(objective) else ALONE**2
        for rows, Q in quadratic_forms(objective, factor):
            quadratic[rows] = np.einsum("km,iml,lk->ik", C, Q, C) if Q.ndim == 3 else Q
            if objective.loss.separable:
                hat[rows] = h = w[rows] * G[rows] * quadratic[rows]
                determinant[rows] = (1.0 - h).prod(axis=1)
                alone[rows] = np.abs(1.0 - h) < least
            else:
                GQ = w[rows, :, None] * (G[rows] @ Q)
                hat[rows] = np.diagonal(GQ, axis1=1, axis2=2)
                determinant[rows] = np.linalg.det(np.eye(K) - GQ)
                alone[rows] = _singular(np.eye(K) - GQ, determinant[rows], least)[:, None]
        return cls(hat, quadratic, determinant, alone)


def _centring(loss: Loss) -> Array:
    """Return the symmetric map, (K, K), that takes off the common shift of which a loss is free."""
    C = np.eye(loss.n_outputs)
    for outputs in loss.shift_groups():
        C[outputs, outputs] -= 1.0 / (outputs.stop - outputs.start)
    return C


def _singular(A: Array, determinants: Array, least: float) -> Array:
    """Return which of the matrices A, with eigenvalues of at most 1 in size, have one of 0."""
    out = np.abs(determinants) < least
    out[out] = np.abs(np.linalg.eigvals(A[out])).min(axis=1, initial=1.0) < least
    return out


def _standardized(objective: LinearObjective) -> tuple[Array, Array]:
    """Return the residuals and minus the gradients by the root of the curvature to expect.

    Shape (n_samples, K) each: Pearson's where the loss is a likelihood, else by the mean curvature.
    """
    loss, y, eta = objective.loss, objective.targets, objective.raw_predictions()
    expected = loss.expected_hessian(y, eta)
    if expected is None:
        G = objective.output_hessians()
        G = G if loss.separable else np.diagonal(G, axis1=1, axis2=2)
        w = objective.sample_weight[:, None] * _counted(objective)
        expected = np.sum(w * G, axis=0) / np.sum(w, axis=0)
    roots = np.sqrt(objective.sample_weight)[:, None]
    unit = np.sqrt(np.where(expected > 0, expected, np.nan))
    residuals, scores = roots * loss.residual(y, eta), -roots * objective.output_gradients()
    residuals, scores = (np.where(r == 0, 0.0, r / unit) for r in (residuals, scores))
    return residuals, scores


def _dispersions(
    objective: LinearObjective, scores: Array, hat: Array, known: bool
) -> tuple[Array, Array]:
    """Return the dispersion of every output, (K,), and those without each row, (n_samples, K).

    Classes of a multinomial share theirs: the chi square of a row, sum_k (y_k - p_k)^2 / p_k, is
    the squared residual of its own class, the one that is positive, on K - 1 degrees of freedom.
    """
    if known:
        return np.ones(hat.shape[1]), np.ones_like(hat)
    n, squares, own = _counted(objective).sum(axis=0), scores**2, np.ones(hat.shape[1])
    lost, used = squares / (1.0 - hat), hat.sum(axis=0)
    for classes in objective.loss.shift_groups() if objective.loss.canonical else []:
        other = scores[:, classes] <= 0
        for values in (squares, lost):
            values[:, classes] = np.where(other, 0.0, values[:, classes]).sum(axis=1, keepdims=True)
        used[classes], own[classes] = used[classes].sum(), other.shape[1] - 1
    own = own * _counted(objective)  # a row of weight 0 takes no degree of freedom along
    degrees, total = n * own.max(axis=0) - used, squares.sum(axis=0)
    scale = total / np.where(degrees > ROUNDING * n, degrees, np.nan)
    fewer = np.where(degrees - own > ROUNDING * n, degrees - own, np.nan)
    return scale, np.maximum(total - lost, 0.0) / fewer


def _counted(objective: LinearObjective) -> Array:
    """Return which rows take part in every output: of a weight, and with a target there."""
    y, K = objective.targets, objective.loss.n_outputs
    weighs = np.repeat(objective.sample_weight[:, None] > 0, K, axis=1)
    return weighs & ~np.isnan(y) if np.shape(y) == weighs.shape else weighs


def _outputs(objective: LinearObjective) -> Array:
    """Return the output that every parameter belongs to, shape (n_params,)."""
    outputs = np.repeat(np.arange(objective.loss.n_outputs), objective.block_size)
    return outputs if objective.free is None else outputs[objective.free]


def _deviations(objective: LinearObjective, whole: LinearObjective, factor: Factor) -> Array:
    """Return the roots of the diagonal of H^-1; NaN for coefficients that an l1 penalty keeps 0."""
    variances = factor.inverse_diagonal().ravel()
    variances = np.tile(variances, objective.n_params // len(variances))  # blocks that are alike
    return _among(np.sqrt(variances), objective.support, whole.n_params, fill=np.nan)


def _among(values: Array, support: Array | None, n_params: int, fill: float) -> Array:
    """Return values of some parameters, the last axis, among those of all."""
    if support is None:
        return values
    out = np.full((*values.shape[:-1], n_params), fill)
    out[..., support] = values
    return out


def _deviations_as_given(
    objective: LinearObjective, factor: Factor, T: Array, outputs: Array
) -> Array:
    """Return the roots of the diagonal of T H^-1 T', where T maps parameters to those as given.

    NaN for coefficients that an l1 penalty keeps 0, and for those that are not unique.
    """
    T = T if objective.support is None else T[:, objective.support]
    variances = np.einsum("ij,ji->i", T, factor.solve(T.T))
    estimated = np.any(T != 0, axis=1)
    if isinstance(objective.features, Independent):
        unique = objective.features.identified
        sizes = np.bincount(outputs)  # of outputs with columns, and of those (scales) without
        estimated &= np.concatenate([unique[:size] if size > 1 else [True] for size in sizes])
    return np.sqrt(np.where(estimated, variances, np.nan))


def _products(objective: LinearObjective, damping: float) -> Callable[[Array], Array]:
    """Return the map from V to H V: by H itself, unless that is larger than the rows."""
    curvature = Curvature(objective, damping=damping)
    size = curvature.block_shape()[1]
    if size > objective.n_samples:
        return curvature.matmat
    blocks = curvature.blocks()
    return lambda V: (blocks @ V.reshape(-1, size, V.shape[1])).reshape(V.shape)
