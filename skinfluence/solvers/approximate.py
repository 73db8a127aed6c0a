"""Preconditioners that are positive definite whatever the curvature, or invert most of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from skinfluence.curvature import Curvature, Inverse, approximate_inverse
from skinfluence.process.tuning import tuning
from skinfluence.solvers.base import Factor, SingularCurvatureError
from skinfluence.solvers.cg import CG, CGFactor
from skinfluence.solvers.cholesky import Cholesky
from skinfluence.solvers.selection import resolve
from skinfluence.typing import Array

SOFT = 1e-3
"""Damping, in units of the largest eigenvalue, of a curvature that has no inverse."""


def definite_preconditioner(curvature: Curvature) -> Callable[[Array], Array]:
    """Return a positive definite map near H^-1: of the Hessian if that is definite, else damped.

    Parameters
    ----------
    curvature : Curvature
        Says which objective, and by its damping what helps where it is flat.
    """
    objective, P = curvature.objective, float(curvature.n_params)
    solver, _ = resolve("auto", curvature)
    soft = max(curvature.damping, SOFT * curvature.largest())
    if not isinstance(solver, Cholesky):
        return CG().factorize(Curvature(objective, curvature.kind, soft)).precondition
    formed = 8.0 * objective.n_samples * P**2 <= tuning().formed_work
    tries = [Curvature(objective, "hessian")] if formed else []
    tries += [Curvature(objective, "auto", soft * 10.0**k) for k in range(8)]
    failed = 0
    for tried in tries:
        try:
            factor = Cholesky().factorize(tried)
        except SingularCurvatureError:
            failed += 1
            continue
        if failed > 1:  # no longer indefinite, but perhaps only just
            factor = Cholesky().factorize(replace(tried, damping=10.0 * tried.damping))
        return factor.solve
    return lambda V: V / (soft if soft > 0 else 1.0)


@dataclass(frozen=True, eq=False)
class ApproximateFactor(Factor):
    """What stands in for a factor on the way to a minimum, at a fraction of its price.

    Attributes
    ----------
    approximation : Inverse
        Of nearly all of the curvature.
    curvature : Curvature
    """

    approximation: Inverse
    curvature: Curvature
    approximate: ClassVar[bool] = True

    @classmethod
    def of(cls, curvature: Curvature) -> Self | None:
        """Return it where it is to be had, and cheaper; a constant curvature is needed anyway.

        And where the curvature surely has an inverse, which a factor in double precision tells.
        """
        work, objective = curvature.work(), curvature.objective
        if (
            work is None
            or objective.constant_hessian
            or work.forming < tuning().approximate_work
            or work.sparse
        ):
            return None
        inverse = approximate_inverse(objective, curvature.damping)
        if inverse is None:
            return None
        few_free = np.sum(curvature.diagonal() == 0.0) <= tuning().free_params
        return cls(inverse, curvature) if inverse.lower_bound or few_free else None

    def solve(self, V: Array) -> Array:
        """Return about H^-1 V, shape (n_params, k)."""
        return self.curvature.off_gauge(self.approximation.solve(V))

    def length(self, v: Array) -> float:
        """Return sqrt(v' H^-1 v) of one vector to a few digits, by a few products."""
        solved = CGFactor(self.curvature, self.approximation, 1e-3, 100).attempt(v[:, None])[0]
        return float(np.sqrt(max(float(v @ solved[:, 0]), 0.0)))
