"""The classical case diagnostics of regression, for penalised models too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skinfluence.objectives import LinearObjective
from skinfluence.removal.base import Removal
from skinfluence.removal.leverages import quadratic_forms
from skinfluence.solvers import Factor
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class Measures:
    """See `skinfluence.inspection.Diagnostics`, of which these are the arrays."""

    hat_diagonal: Array
    studentized_residuals: Array
    cooks_distance: Array
    dfbetas: Array
    standard_errors: Array
    scale: Array


def measures(
    removal: Removal, factor: Factor, damping: float, n_jobs: int | None = None
) -> Measures:
    """Return the diagnostics of every training row.

    The covariance is scale_k * H^-1, H the curvature of the penalised objective: the classical one
    where nothing is penalised, that of the Laplace approximation where something is. With r the
    Pearson residual -sqrt(w) l' / sqrt(l''), per output,

        h = w l'' x' H^-1 x,      scale = sum r^2 / (n - sum h) for squared errors, else 1,
        scale_(i) = (sum r^2 - r_i^2 / (1 - h_i)) / (n - sum h - 1),
        studentised residual = r_i / sqrt(scale_(i) (1 - h_i)),
        DFBETAS = (theta_without_i - theta) / sqrt(scale_(i) diag(H^-1)),
        Cook's distance = sum_k d_k' H d_k / scale_k / sum h,      d = theta_without_i - theta.

    Parameters
    ----------
    removal : Removal
        Of every row of a linear model.
    factor : Factor
        Of the curvature of all rows.
    damping : float
        What that curvature has on its diagonal besides the penalty.
    n_jobs : int or None
        Threads for the removals.
    """
    objective = removal.objective
    assert isinstance(objective, LinearObjective)
    hat, residuals = _hat_and_residuals(objective, factor)
    n = np.sum(objective.sample_weight > 0)
    degrees = n - hat.sum(axis=0)
    degrees[np.abs(degrees) < 1e-8 * n] = 0.0
    fewer = np.where(np.abs(degrees - 1.0) < 1e-8 * n, 0.0, degrees - 1.0)
    scale, deleted_scale = np.ones(hat.shape[1]), np.ones_like(hat)
    with np.errstate(divide="ignore", invalid="ignore"):
        if objective.loss.constant_hessian:
            squares = np.sum(residuals**2, axis=0)
            scale = squares / np.where(degrees > 0, degrees, np.nan)
            deleted_scale = np.maximum(squares - residuals**2 / (1.0 - hat), 0.0) / np.where(
                fewer > 0, fewer, np.nan
            )
        studentized = residuals / np.sqrt(deleted_scale * (1.0 - hat))
    changes = removal.all_changes(n_jobs)
    variances = factor.inverse_diagonal().ravel()
    variances = np.tile(variances, objective.n_params // len(variances))  # blocks that are alike
    K = objective.loss.n_outputs
    errors = np.sqrt(variances.reshape(K, -1) * scale[:, None]).ravel()
    spread = np.sqrt(deleted_scale)[:, :, None] * np.sqrt(variances).reshape(1, K, -1)
    with np.errstate(divide="ignore", invalid="ignore"):
        dfbetas = changes / spread.reshape(changes.shape)
    cook = np.empty(len(changes))
    for rows in removal.column_blocks(np.arange(len(changes))):
        D = changes[rows].T
        products = (D * (objective.hvp(D) + damping * D)).reshape(K, -1, len(rows)).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            cook[rows] = np.sum(products / scale[:, None], axis=0) / hat.sum()
    return Measures(hat, studentized, cook, dfbetas, errors, scale)


def _hat_and_residuals(objective: LinearObjective, factor: Factor) -> tuple[Array, Array]:
    """Return the hat diagonal and the Pearson residuals of every output, (n_samples, K) each."""
    w = objective.sample_weight[:, None]
    slopes, H = objective.output_gradients(), objective.output_hessians()
    coupled = not objective.loss.separable
    G = np.diagonal(H, axis1=1, axis2=2) if coupled else H
    hat = np.empty_like(slopes)
    for rows, Q in quadratic_forms(objective, factor):
        hat[rows] = np.einsum("ikl,ilk->ik", H[rows], Q) if coupled else H[rows] * Q
    with np.errstate(divide="ignore", invalid="ignore"):
        residuals = np.where(G > 0, -np.sqrt(w) * slopes / np.sqrt(G), 0.0)
    return w * hat, residuals
