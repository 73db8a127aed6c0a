"""Approximate inverses of a curvature, which save iterations and do not change the answer."""

from skinfluence.curvature.preconditioners.selection import (
    approximate_inverse,
    preconditioner,
    preconditioners_of,
)

__all__ = ["approximate_inverse", "preconditioner", "preconditioners_of"]
