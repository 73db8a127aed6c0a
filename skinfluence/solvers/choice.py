"""What a solver's name stands for; "auto" can be asked what it chose, and why."""

from __future__ import annotations

from typing import Any

from skinfluence.curvature import Curvature
from skinfluence.solvers.base import Solver
from skinfluence.solvers.cholesky import Cholesky
from skinfluence.solvers.rows import roots_of


def resolve(solver: Any, curvature: Curvature) -> tuple[Solver, str]:
    """Return the solver a name stands for, and why.

    Parameters
    ----------
    solver : "auto", "cholesky" or a solver object
    curvature : Curvature

    Raises
    ------
    ValueError
        For an unknown name or an object that is not a solver.
    """
    if isinstance(solver, str) and solver in ("auto", "cholesky"):
        n_blocks, size = curvature.block_shape()
        roots = roots_of(curvature)
        matrix = f"of {size} parameters" if roots is None else f"by its {roots[0].rank} rows"
        reason = (
            "asked for"
            if solver == "cholesky"
            else f"positive semidefinite curvature of {n_blocks} block(s) {matrix}"
        )
        return Cholesky(), f"cholesky: {reason}"
    if isinstance(solver, Solver) and not isinstance(solver, type):
        return solver, f"{type(solver).__name__.lower()}: given as an object"
    raise ValueError(
        f"solver={solver!r} was given; accepted are 'auto', 'cholesky' or a solver object, such "
        "as skinfluence.solvers.Cholesky()."
    )
