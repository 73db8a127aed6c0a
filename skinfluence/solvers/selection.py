"""What a solver's name stands for; "auto" can be asked what it chose, and why."""

from __future__ import annotations

from typing import Any

from skinfluence.curvature import Curvature
from skinfluence.process.tuning import tuning
from skinfluence.solvers.arnoldi import Arnoldi
from skinfluence.solvers.auto import Auto, worth_iterating
from skinfluence.solvers.base import CheckedSolver, Solver
from skinfluence.solvers.cg import CG
from skinfluence.solvers.cholesky import Cholesky
from skinfluence.solvers.lissa import LiSSA
from skinfluence.solvers.lu import LU
from skinfluence.solvers.nystroem import Nystroem
from skinfluence.solvers.row_factor import roots_of

Named = type[Cholesky] | type[LU] | type[CG] | type[LiSSA] | type[Nystroem]

SOLVERS: dict[str, Named] = {
    "cholesky": Cholesky,
    "lu": LU,
    "cg": CG,
    "lissa": LiSSA,
    "nystroem": Nystroem,
}

OURS = (*SOLVERS.values(), Arnoldi, Auto)


def resolve(solver: Any, curvature: Curvature) -> tuple[Solver, str]:
    """Return the solver a name stands for, and why.

    Parameters
    ----------
    solver : "auto", "cholesky", "lu", "cg", "lissa", "nystroem" or a solver object
    curvature : Curvature

    Raises
    ------
    ValueError
        For an unknown name or an object that is not a solver.
    """
    if isinstance(solver, str) and solver == "auto":
        return _chosen(curvature)
    if isinstance(solver, str) and solver in SOLVERS:
        return SOLVERS[solver](), f"{solver}: asked for"
    if callable(getattr(solver, "factorize", None)) and not isinstance(solver, type):
        checked = solver if isinstance(solver, OURS) else CheckedSolver(solver)
        return checked, f"{type(solver).__name__.lower()}: given as an object"
    raise ValueError(
        f"solver={solver!r} was given; accepted are 'auto', {', '.join(map(repr, SOLVERS))} or a "
        "solver object, such as skinfluence.solvers.Cholesky()."
    )


def _chosen(curvature: Curvature) -> tuple[Solver, str]:
    """Return what "auto" is for a curvature, and why."""
    P = curvature.n_params
    if curvature.objective.kind == "network" and _too_large(curvature):
        return CG(), f"cg: {P:,} parameters are too many to form their matrix"
    if curvature.objective.kind == "linear" and worth_iterating(curvature):
        return Auto(), f"auto: iterates or factorises {P:,} parameters, as the question needs"
    n_blocks, size = curvature.block_shape()
    roots = roots_of(curvature)
    matrix = f"of {size} parameters" if roots is None else f"by its {roots[0].rank} rows"
    sort = "positive semidefinite" if curvature.positive_semidefinite else "symmetric"
    return Cholesky(), f"cholesky: {sort} curvature of {n_blocks} block(s) {matrix}"


def _too_large(curvature: Curvature) -> bool:
    """Return whether iterating is cheaper, for a network."""
    roots = roots_of(curvature)
    rank, P = curvature.n_outputs, curvature.n_params
    size = P if roots is None else roots[0].rank
    work = rank * P**2 + P**3 / 3.0 if roots is None else float(size) ** 2 * (P + size / 3.0)
    return size > tuning().network_params and work > tuning().network_work
