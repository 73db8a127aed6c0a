"""How far an objective is from its stationary point, beside what removing one row does.

Influence is a derivative at the optimum; an estimator stops near it. Distances are Newton
decrements, sqrt(g' H^-1 g), the length of the Newton step in the norm of the curvature, and are
compared with the effect of removing one row, so that "near" has a meaning for the numbers that
follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from skinfluence.objectives import LinearObjective, Objective
from skinfluence.solvers import Factor, SingularCurvatureError
from skinfluence.typing import Array

Factorize = Callable[[Objective], Factor]
Solve = Callable[[Array], Array]

TINY = np.finfo(np.float64).tiny

PROBES = 256
"""Rows, evenly spread, from which the size of a typical removal is estimated."""

PROBE_NUMBERS = 2**22
"""Numbers their gradients may take: with very many parameters there are fewer, but 16."""

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
    noise: float
    n_iter: int

    @property
    def undamped(self) -> Factor:
        """The factor, of a model that needs one."""
        assert self.factor is not None
        return self.factor

    @property
    def relative_distance(self) -> float:
        """The Newton decrement in typical removals (or in rounding, where rows do no more)."""
        return self.newton_decrement / max(self.typical_removal, 100.0 * self.noise, TINY)


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
    noise = objective.gradient_noise()
    return Refinement(objective, None, norm, norm, decrement, typical, noise, n_iter=0)


def typical_removal(
    objective: Objective, precondition: Solve, factor: Factor | None = None
) -> float:
    """Return the root mean square of |H^-1 w_i grad l_i|_H over (at most `PROBES`) rows."""
    counted = np.flatnonzero(objective.sample_weight > 0)
    probes = int(np.clip(PROBE_NUMBERS // objective.n_params, 16, PROBES))
    if len(counted) > probes:
        counted = counted[np.linspace(0, len(counted) - 1, probes).astype(int)]
    if isinstance(objective, LinearObjective) and factor is not None:
        Q = factor.quadratics(objective, counted)  # no array of the size of the parameters
        if Q is not None:
            a = (objective.sample_weight[:, None] * objective.output_gradients())[counted]
            aQ = Q * a if Q.ndim == 2 else np.einsum("ikl,il->ik", Q, a)
            return float(np.sqrt(max(float(np.sum(a * aQ)) / max(1, len(a)), 0.0)))
    part = objective.rows(counted)
    gradients = part.weighted_grad_sum(np.diag(part.sample_weight))
    squares = np.sum(gradients * precondition(gradients), axis=0)
    return float(np.sqrt(max(float(np.mean(squares)), 0.0)))


def decrement_of(gradient: Array, solved: Array) -> float:
    """Return the Newton decrement sqrt(g' H^-1 g), for H^-1 g as it was solved for."""
    decrement = float(np.sqrt(max(float(gradient @ solved), 0.0)))
    if not np.isfinite(decrement):
        raise SingularCurvatureError(
            "The Newton step to the stationary point is not finite: the curvature is singular or "
            "the features overflow. Scale the features (StandardScaler), or fit with a penalty."
        )
    return decrement
