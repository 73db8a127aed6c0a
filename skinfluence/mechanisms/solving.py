"""How the curvature of one model is inverted: as asked, and for the way to its optimum."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from skinfluence.curvature import Curvature
from skinfluence.mechanisms.contract import Settings
from skinfluence.objectives import Objective
from skinfluence.process.progress import counting
from skinfluence.solvers import Cholesky, Factor, Solver
from skinfluence.solvers.base import CheckedFactor
from skinfluence.solvers.selection import resolve
from skinfluence.typing import Array


@dataclass(frozen=True)
class Solving:
    """Factorises the curvature at any parameters, with the damping asked for and without.

    Attributes
    ----------
    solver : Solver
        As asked for.
    precise : Solver
        The same, unless it is approximate: what is known roughly only is no way to a minimum, nor
        to measure how far it is.
    reason : str
        Which solver was chosen, and why.
    curvature : str
    damping : float
    least_damping : float
        What `undamped` factors have on the diagonal; 0 unless the curvature is singular without.
    flat : ndarray of shape (n_params, r) or None
        Directions of a network that neither the curvature nor the gradient of any training row has
        a part in: solutions are the shortest.
    """

    solver: Solver
    precise: Solver
    reason: str
    curvature: str
    damping: float
    least_damping: float = 0.0
    flat: Array | None = None

    @classmethod
    def of(cls, objective: Objective, settings: Settings) -> Self:
        """Return how the curvature of an objective is inverted under some settings."""
        kind, damping = settings.curvature, settings.damping
        solver, reason = resolve(settings.solver, Curvature(objective, kind, damping))
        precise = solver
        if solver.approximate:
            precise = resolve("auto", Curvature(objective, kind))[0]
        return cls(solver, precise, reason, kind, damping)

    @property
    def approximate(self) -> bool:
        """Whether the solver asked for knows the inverse roughly only."""
        return self.precise is not self.solver

    @property
    def direct(self) -> bool:
        """Whether a precise factor is one of a matrix."""
        return isinstance(self.precise, Cholesky)

    def factorize(self, objective: Objective) -> Factor:
        """Return the factor of the curvature with damping."""
        curvature = Curvature(objective, self.curvature, self.damping, self.flat)
        factor = _factorized(self.solver, curvature)
        return factor if self.flat is None else CheckedFactor(factor, curvature)

    def undamped(self, objective: Objective) -> Factor:
        """Return the precise factor of the curvature without, which "exact" goes by."""
        if self.least_damping:
            return self.factorize(objective)
        return _factorized(self.precise, Curvature(objective, self.curvature))

    def always_damped(self) -> Self:
        """Return the same for a curvature that is singular without damping."""
        return replace(self, least_damping=self.damping)


def _factorized(solver: Solver, curvature: Curvature) -> Factor:
    rows, n_params = curvature.objective.n_samples, curvature.n_params
    with counting(f"the inverse curvature of {n_params:,} parameters over {rows:,} rows"):
        return solver.factorize(curvature)
