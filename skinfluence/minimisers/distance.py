"""How far an objective is from its stationary point, beside the sampling noise of that point.

Influence is a derivative at the optimum; an estimator stops near it. Distances are Newton
decrements, sqrt(g' H^-1 g), the length of the Newton step in the norm of the curvature, and are
compared with how far the optimum of another sample of the same population would be: a fit on such a
sample is about 1 away, an ordinary fit on these rows .01 or less, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.objectives.base import square_roots
from skinfluence.solvers import Factor, SingularCurvatureError
from skinfluence.typing import Array

Factorize = Callable[[Objective], Factor]
Solve = Callable[[Array], Array]

TINY = np.finfo(np.float64).tiny

PROBES = 256
"""Rows, evenly spread, from which the size of a typical removal is estimated."""

PROBE_NUMBERS = 2**22
"""Numbers their gradients may take: with very many parameters there are fewer, but 16."""

EXPECTED = 4
"""Probes of which one is asked for the noise that the loss expects of it."""

NO_OPTIMUM = (
    "The objective has no finite optimum: without a penalty the training rows are separated, and "
    "larger coefficients always fit better. Removing a row has no defined effect. Fit with a "
    "penalty (a finite C, alpha > 0)."
)


@dataclass(frozen=True, eq=False)
class Refinement:
    """Where the scores are computed, and how far that is from the fitted parameters.

    Attributes
    ----------
    objective : Objective
        At the stationary point; at the fitted parameters where nothing was refined.
    factor : Factor or None
        Of the curvature there; None for a model that needs none.
    gradient_norm : float
        Euclidean norm of the gradient of the summed objective at the fitted parameters.
    remaining_gradient_norm : float
        The same where the scores are computed.
    newton_decrement : float
        sqrt(g' H^-1 g) at the fitted parameters: the length of the Newton step to the optimum, in
        the norm of the curvature.
    typical_removal : float
        Root mean square over rows of the effect of removing one row, in the same norm.
    sampling_noise : float
        How far the optimum of another sample of as many rows would typically be, in the same norm;
        a hundred roundings of the fit at least.
    noise : float
        What rounding leaves of such distances.
    n_iter : int
        Steps taken.
    """

    objective: Objective = field(repr=False)
    factor: Factor | None = field(repr=False)
    gradient_norm: float
    remaining_gradient_norm: float
    newton_decrement: float
    typical_removal: float
    sampling_noise: float
    noise: float
    n_iter: int

    @property
    def undamped(self) -> Factor:
        """The factor, of a model that needs one."""
        assert self.factor is not None
        return self.factor

    @property
    def relative_distance(self) -> float:
        """The Newton decrement in units of the sampling noise."""
        return self.newton_decrement / max(self.sampling_noise, TINY)


def measure(objective: Objective, factorize: Factorize) -> Refinement:
    """Measure, without moving, how far an objective is from its stationary point.

    Raises
    ------
    ValueError
        If the objective has no finite minimum.
    SingularCurvatureError
        If the minimum is not the only one.
    """
    if objective.has_no_optimum():
        raise ValueError(NO_OPTIMUM)
    factor = factorize(objective)
    return replace(measured(objective, factor.precondition, factor), factor=factor)


def measured(objective: Objective, precondition: Solve, factor: Factor | None = None) -> Refinement:
    """Return how far an objective is from its stationary point, without a factor.

    Parameters
    ----------
    objective : Objective
    precondition : callable
        H^-1 V, or near it.
    factor : Factor, optional
        Whose solve that is.
    """
    gradient = objective.gradient()
    norm = float(np.linalg.norm(gradient))
    decrement = decrement_of(gradient, precondition(gradient[:, None])[:, 0])
    typical = typical_removal(objective, precondition, factor)
    sampling = sampling_noise(objective, precondition, typical)
    sampling = max(sampling, 100.0 * objective.rounding_of_fit())
    noise = objective.gradient_noise()
    return Refinement(objective, None, norm, norm, decrement, typical, sampling, noise, n_iter=0)


def typical_removal(
    objective: Objective, precondition: Solve, factor: Factor | None = None
) -> float:
    """Return the root mean square of |H^-1 w_i grad l_i|_H over (at most `PROBES`) rows."""
    counted = _probes(objective)
    if isinstance(objective, LinearObjective) and factor is not None:
        Q = factor.quadratics(objective, counted)  # no array of the size of the parameters
        if Q is not None:
            a = (objective.sample_weight[:, None] * objective.output_gradients())[counted]
            aQ = Q * a if Q.ndim == 2 else np.einsum("ikl,il->ik", Q, a)
            return float(np.sqrt(max(float(np.sum(a * aQ)) / max(1, len(a)), 0.0)))
    part = objective.rows(counted)
    return _typical_length(part.weighted_grad_sum(np.diag(part.sample_weight)), precondition)


def sampling_noise(objective: Objective, precondition: Solve, typical: float) -> float:
    """Return how far the optimum of another sample of as many rows would typically be.

    In the norm of the curvature that is sqrt(dispersion * n_params) where the model is right and
    nothing is penalised, and sqrt(tr(H^-1 C)) in general, C the covariance of the gradient (White
    1982, doi:10.2307/1912526). It is estimated by the gradients of the rows, sum_i w_i^2 g_i g_i'.
    Rows that a classifier fits closely have hardly any; its dispersion is 1, whatever the rows, and
    C then is sum_i w_i^2 J_i' G_i J_i: the larger of the two is taken.

    Parameters
    ----------
    objective : Objective
    precondition : callable
        H^-1 V, or near it.
    typical : float
        `typical_removal`.
    """
    n_counted = int(np.count_nonzero(objective.sample_weight > 0))
    expected = 0.0
    if isinstance(objective, OutputObjective) and objective.loss.classes is not None:
        part = objective.rows(_probes(objective)[::EXPECTED])
        signs = np.random.default_rng(0).choice([-1.0, 1.0], (part.n_samples, part.loss.n_outputs))
        draws = np.einsum("ikl,ik->il", square_roots(part), signs)
        draws *= np.sqrt(part.sample_weight)[:, None]
        expected = _typical_length(part.jacobian_t_rows(draws), precondition)
    return float(np.sqrt(n_counted)) * max(typical, expected)


def _probes(objective: Objective) -> Array:
    """Return the rows that stand for all."""
    counted = np.flatnonzero(objective.sample_weight > 0)
    probes = int(np.clip(PROBE_NUMBERS // objective.n_params, 16, PROBES))
    if len(counted) <= probes:
        return counted
    return counted[np.linspace(0, len(counted) - 1, probes).astype(int)]


def _typical_length(V: Array, precondition: Solve) -> float:
    """Return the root mean square of the columns of V in the norm of the inverse curvature."""
    squares = np.sum(V * precondition(V), axis=0)
    return float(np.sqrt(max(float(np.mean(squares)), 0.0))) if len(squares) else 0.0


def decrement_of(gradient: Array, solved: Array) -> float:
    """Return the Newton decrement sqrt(g' H^-1 g), for H^-1 g as it was solved for."""
    decrement = float(np.sqrt(max(float(gradient @ solved), 0.0)))
    if not np.isfinite(decrement):
        raise SingularCurvatureError(
            "The Newton step to the stationary point is not finite: the curvature is singular or "
            "the features overflow. Scale the features (StandardScaler), or fit with a penalty."
        )
    return decrement
