"""Solvers: factorise a curvature once, solve for many right-hand sides.

A solver is an object with ``factorize(curvature) -> factor``; a new one is one file here and one
row in the table of the tests.
"""

from skinfluence.solvers.arnoldi import Arnoldi, ArnoldiFactor
from skinfluence.solvers.auto import Auto, AutoFactor, worth_iterating
from skinfluence.solvers.base import (
    Factor,
    Numerics,
    SingularCurvatureError,
    Solver,
    expect,
    rough,
)
from skinfluence.solvers.cg import CG
from skinfluence.solvers.choice import resolve
from skinfluence.solvers.cholesky import Cholesky, CholeskyFactor
from skinfluence.solvers.lissa import LiSSA
from skinfluence.solvers.lu import LU
from skinfluence.solvers.near import Close, near_inverse
from skinfluence.solvers.nystroem import Nystroem

__all__ = [
    "CG",
    "LU",
    "Arnoldi",
    "ArnoldiFactor",
    "Auto",
    "AutoFactor",
    "Cholesky",
    "CholeskyFactor",
    "Close",
    "Factor",
    "LiSSA",
    "Numerics",
    "Nystroem",
    "SingularCurvatureError",
    "Solver",
    "expect",
    "near_inverse",
    "resolve",
    "rough",
    "worth_iterating",
]
