"""Which preconditioners an objective has, by its type.

Another one is registered from outside, for a class of objectives:

    @preconditioner.register
    def _(objective: MyObjective, kind: str, damping: float) -> Inverse | None: ...

answers ``CG(preconditioner="auto")``; names besides "auto" are registered with
`preconditioners_of`.
"""

from __future__ import annotations

from functools import singledispatch

from skinfluence.curvature.contracts import Inverse
from skinfluence.curvature.preconditioners.diagonal import Diagonal, PerOutput
from skinfluence.curvature.preconditioners.dominant_rows import DominantRows
from skinfluence.curvature.preconditioners.kronecker import Kronecker
from skinfluence.curvature.preconditioners.subsampled import NEARLY_ALL, SubsampledHessian
from skinfluence.objectives import LinearObjective, NetworkObjective, Objective
from skinfluence.process.tuning import tuning


@singledispatch
def preconditioners_of(objective: Objective) -> tuple[str, ...]:
    """Return the kinds of `preconditioner` that an objective has, besides "auto".

    Parameters
    ----------
    objective : Objective
    """
    return ()


@preconditioners_of.register
def _(objective: LinearObjective) -> tuple[str, ...]:
    return "subsampled", "block", "jacobi"


@preconditioners_of.register
def _(objective: NetworkObjective) -> tuple[str, ...]:
    return "dominant_rows", "kronecker"


@singledispatch
def preconditioner(objective: Objective, kind: str, damping: float) -> Inverse | None:
    """Return a cheap approximate inverse of the curvature + damping I; None for none.

    Parameters
    ----------
    objective : Objective
    kind : str
        "auto" or one of `preconditioners_of`. Of linear models "subsampled" is the Hessian of the
        rows with most of it, "block" that of each output, "jacobi" its diagonal; "auto" is the
        first where it fits, else the last. Of networks "dominant_rows", which "auto" is, is the
        Gauss-Newton matrix of the rows with most of it, "kronecker" is factored layer by layer.
    damping : float
    """
    return None


@preconditioner.register
def _(objective: LinearObjective, kind: str, damping: float) -> Inverse | None:
    if kind == "block":
        return PerOutput.of(objective, damping)
    subsampled = None
    fits = objective.block_shape()[1] <= tuning().subsampled_params
    if kind == "subsampled" or (kind == "auto" and fits):
        try:
            subsampled = SubsampledHessian.of(objective, damping)
        except MemoryError:
            if kind == "subsampled":
                raise
    if subsampled is None and kind != "subsampled":
        return Diagonal.of(objective, damping)
    return subsampled


@preconditioner.register
def _(objective: NetworkObjective, kind: str, damping: float) -> Inverse | None:
    if not objective.loss.convex:
        return None
    if kind == "kronecker":
        return Kronecker.of(objective, damping)
    return DominantRows.of(objective, damping)


@singledispatch
def approximate_inverse(objective: Objective, damping: float) -> Inverse | None:
    """Return an inverse of nearly all of the curvature + damping I, to step to a minimum by.

    None where there is none.
    """
    return None


@approximate_inverse.register
def _(objective: LinearObjective, damping: float) -> Inverse | None:
    return SubsampledHessian.of(objective, damping, NEARLY_ALL)
