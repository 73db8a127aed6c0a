"""Maps near the inverse of the curvature: positive definite at any rate, or at little cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from skinfluence.curvature import Curvature, Inverse
from skinfluence.solvers.auto import FREE
from skinfluence.solvers.base import SingularCurvatureError
from skinfluence.solvers.cg import CG, CGFactor
from skinfluence.solvers.choice import resolve
from skinfluence.solvers.cholesky import Cholesky

Array = npt.NDArray[Any]

FORMED = 3e11
"""Multiplications for which a Hessian is formed."""

SOFT = 1e-3
"""Damping, in units of the largest eigenvalue, of a curvature that has no inverse."""


def near_inverse(curvature: Curvature) -> Callable[[Array], Array]:
    """Return a map for preconditioning: of the Hessian, if it can be had, else of what is near.

    Parameters
    ----------
    curvature : Curvature
        Says which objective, and by its damping what helps where it is flat.
    """
    one, P = curvature.objective, float(curvature.n_params)
    solver, _ = resolve("auto", curvature)
    soft = max(curvature.damping, SOFT * curvature.largest())
    if not isinstance(solver, Cholesky):
        return CG().factorize(Curvature(one, curvature.kind, soft)).rough
    tries = [Curvature(one, "hessian")] if 8.0 * one.n_samples * P**2 <= FORMED else []
    tries += [Curvature(one, "auto", soft * 10.0**k) for k in range(8)]
    failed = 0
    for each in tries:
        try:
            factor = Cholesky().factorize(each)
        except SingularCurvatureError:
            failed += 1
            continue
        if failed > 1:  # no longer indefinite, but perhaps only just
            factor = Cholesky().factorize(replace(each, damping=10.0 * each.damping))
        return factor.solve
    return lambda V: V / (soft if soft > 0 else 1.0)


QUICK = 5e8
"""Multiplications of a matrix below which nothing is saved by what is only close to it."""


@dataclass(frozen=True, eq=False)
class Close:
    """What stands in for a factor on the way to a minimum, at a fraction of its price.

    Attributes
    ----------
    inverse : Inverse
        Of nearly all of the curvature.
    curvature : Curvature
    """

    inverse: Inverse
    curvature: Curvature
    approximate: ClassVar[bool] = True

    @classmethod
    def of(cls, curvature: Curvature) -> Self | None:
        """Return it where it is to be had, and cheaper; a constant curvature is needed anyway.

        And where the curvature surely has an inverse, which a factor in double precision tells.
        """
        work, one = curvature.work(), curvature.objective
        if work is None or one.constant_hessian or work.forming < QUICK or work.sparse:
            return None
        inverse = one.close_inverse(curvature.damping)
        sure = getattr(inverse, "below", False) or np.sum(curvature.diagonal() == 0.0) <= FREE
        return cls(inverse, curvature) if inverse is not None and sure else None

    def solve(self, V: Array) -> Array:
        """Return about H^-1 V, shape (n_params, k)."""
        return self.curvature.off_gauge(self.inverse.solve(V))

    def length(self, v: Array) -> float:
        """Return sqrt(v' H^-1 v) of one vector to a few digits, by a few products."""
        solved = CGFactor(self.curvature, self.inverse, 1e-3, 100).attempt(v[:, None])[0]
        return float(np.sqrt(max(float(v @ solved[:, 0]), 0.0)))
