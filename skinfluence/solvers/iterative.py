"""Statistics of iterative solves, and the residuals that tell how near they come."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np

from skinfluence.curvature import Curvature
from skinfluence.typing import Array

PROBES = 8
"""Right-hand sides that an approximate inverse is tried on."""


@dataclass(eq=False)
class SolveStatistics:
    """What was seen of the solves so far.

    Attributes
    ----------
    residual : float or None
        The largest, relative to its right-hand side.
    n_products : int
        Products with the curvature.
    longest : int
        Products of one solve, at most.
    """

    residual: float | None = None
    n_products: int = 0
    longest: int = 0
    _lock: Any = field(default_factory=Lock, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_lock": Lock()})

    def add(self, residual: float, n_products: int) -> None:
        """Take note of one more solve, in whatever thread."""
        with self._lock:
            self.residual = max(residual, self.residual or 0.0)
            self.n_products += n_products
            self.longest = max(self.longest, n_products)

    def merge(self, other: SolveStatistics) -> None:
        """Take note of what another has seen."""
        with self._lock:
            self.residual = max(other.residual or 0.0, self.residual or 0.0)
            self.n_products += other.n_products
            self.longest = max(self.longest, other.longest)


def gradient_probes(curvature: Curvature, random_state: int | None) -> Array:
    """Return right-hand sides like those of removals: gradients of rows, with random signs.

    Shape (n_params, n_probes), off the gauge, each of length one; none where all rows have none.
    """
    model = curvature.objective
    signs = np.random.RandomState(random_state).choice([-1.0, 1.0], (model.n_samples, PROBES))
    V = curvature.off_gauge(model.weighted_grad_sum(model.sample_weight[:, None] * signs))
    sizes = np.linalg.norm(V, axis=0)
    return V[:, sizes > 0] / sizes[sizes > 0]


def residual(curvature: Curvature, V: Array, X: Array) -> Array:
    """Return |V - H X| of every column, relative to that of V (0 for columns of zeros)."""
    sizes = np.linalg.norm(V, axis=0)
    remaining: Array = np.linalg.norm(V - curvature.matmat(X), axis=0)
    return remaining / np.where(sizes > 0, sizes, 1.0)
