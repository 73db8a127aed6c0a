"""What a solver's name stands for; "auto" can be asked what it chose, and why."""

from __future__ import annotations

from typing import Any

from skinfluence.curvature import Curvature
from skinfluence.solvers.base import Solver
from skinfluence.solvers.cg import CG
from skinfluence.solvers.cholesky import Cholesky
from skinfluence.solvers.rows import roots_of

SMALL = 2_000
"""Parameters (or rows times outputs) up to which a matrix is always formed."""

AFFORDABLE = 5e11
"""Multiplications for which a matrix is formed and factorised, about ten seconds on two cores.

benchmarks/networks.py prints what both ways take. A factor is worth more than the one question it
was made for: Newton steps and self-influence solve for every row.
"""


def resolve(solver: Any, curvature: Curvature) -> tuple[Solver, str]:
    """Return the solver a name stands for, and why.

    Parameters
    ----------
    solver : "auto", "cholesky", "cg" or a solver object
    curvature : Curvature

    Raises
    ------
    ValueError
        For an unknown name or an object that is not a solver.
    """
    if isinstance(solver, str) and solver in ("auto", "cholesky", "cg"):
        if solver == "cg" or (solver == "auto" and _too_large(curvature)):
            many = f"{curvature.n_params:,} parameters are too many to form their matrix"
            return CG(), f"cg: {'asked for' if solver == 'cg' else many}"
        n_blocks, size = curvature.block_shape()
        roots = roots_of(curvature)
        matrix = f"of {size} parameters" if roots is None else f"by its {roots[0].rank} rows"
        sort = "positive semidefinite" if curvature.positive_semidefinite else "symmetric"
        reason = (
            "asked for"
            if solver == "cholesky"
            else f"{sort} curvature of {n_blocks} block(s) {matrix}"
        )
        return Cholesky(), f"cholesky: {reason}"
    if isinstance(solver, Solver) and not isinstance(solver, type):
        return solver, f"{type(solver).__name__.lower()}: given as an object"
    raise ValueError(
        f"solver={solver!r} was given; accepted are 'auto', 'cholesky', 'cg' or a solver object, "
        "such as skinfluence.solvers.Cholesky()."
    )


def _too_large(curvature: Curvature) -> bool:
    """Return whether iterating is cheaper: for models whose matrix has no other structure."""
    if curvature.objective.kind != "network":
        return False
    roots = roots_of(curvature)
    rank, P = curvature.n_outputs, curvature.n_params
    size = P if roots is None else roots[0].rank
    work = rank * P**2 + P**3 / 3.0 if roots is None else float(size) ** 2 * (P + size / 3.0)
    return size > SMALL and work > AFFORDABLE
