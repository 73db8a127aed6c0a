"""Solvers: factorise a curvature once, solve for many right-hand sides.

A solver is an object with ``factorize(curvature) -> factor``; a new one is one file here and one
row in the table of the tests.
"""

from skinfluence.solvers.base import Factor, SingularCurvatureError, Solver
from skinfluence.solvers.choice import resolve
from skinfluence.solvers.cholesky import Cholesky

__all__ = ["Cholesky", "Factor", "SingularCurvatureError", "Solver", "resolve"]
