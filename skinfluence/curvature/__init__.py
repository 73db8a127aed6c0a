"""Curvature: the matrix that a solver inverts, and what is known of it beside its products.

`Curvature` is the operator (Hessian, Gauss-Newton matrix or Fisher information, with damping).
`hessian_roots`, `preconditioner` and `work.work` dispatch on the type of the objective, which knows
nothing of them; register a function for a type of your own.
"""

from skinfluence.curvature.contracts import Inverse, Root
from skinfluence.curvature.operator import KINDS, Curvature
from skinfluence.curvature.preconditioners import (
    approximate_inverse,
    preconditioner,
    preconditioners_of,
)
from skinfluence.curvature.roots import hessian_roots
from skinfluence.curvature.work import Work

__all__ = [
    "KINDS",
    "Curvature",
    "Inverse",
    "Root",
    "Work",
    "approximate_inverse",
    "hessian_roots",
    "preconditioner",
    "preconditioners_of",
]


def __dir__() -> list[str]:
    return sorted(__all__)
