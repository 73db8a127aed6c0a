"""Solvers: factorise a curvature once, solve for many right-hand sides.

A solver is an object with ``factorize(curvature) -> factor``; a new one is one file here and one
row in the table of the tests.
"""

from skinfluence.solvers.base import Factor, SingularCurvatureError, Solver, rough
from skinfluence.solvers.cg import CG
from skinfluence.solvers.choice import resolve
from skinfluence.solvers.cholesky import Cholesky, CholeskyFactor
from skinfluence.solvers.near import near_inverse

__all__ = [
    "CG",
    "Cholesky",
    "CholeskyFactor",
    "Factor",
    "SingularCurvatureError",
    "Solver",
    "near_inverse",
    "resolve",
    "rough",
]
