"""Solvers: factorise a curvature once, solve for many right-hand sides.

A solver is an object with ``factorize(curvature) -> factor``, the factor a subclass of `Factor`
with ``solve(V)``; a new one here is one file and one row in the table of the tests.
"""

from skinfluence.solvers.arnoldi import Arnoldi
from skinfluence.solvers.base import Factor, Numerics, SingularCurvatureError, Solver
from skinfluence.solvers.cg import CG
from skinfluence.solvers.cholesky import Cholesky
from skinfluence.solvers.lissa import LiSSA
from skinfluence.solvers.lu import LU
from skinfluence.solvers.nystroem import Nystroem

__all__ = [
    "CG",
    "LU",
    "Arnoldi",
    "Cholesky",
    "Factor",
    "LiSSA",
    "Numerics",
    "Nystroem",
    "SingularCurvatureError",
    "Solver",
]


def __dir__() -> list[str]:
    return sorted(__all__)
