"""A positive definite map near the inverse of the second derivative, whatever it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from skinfluence.curvature import Curvature
from skinfluence.solvers.base import SingularCurvatureError
from skinfluence.solvers.cg import CG
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
