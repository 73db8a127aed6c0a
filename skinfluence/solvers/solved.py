"""What a factor that never forms the inverse answers by solving; how near its solves come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.curvature import Curvature
from skinfluence.memory import require_memory

Array = npt.NDArray[Any]

TOGETHER = 256
"""Columns of the inverse that are solved for at once."""

PROBES = 8
"""Right-hand sides that an approximate inverse is tried on."""


@dataclass(eq=False)
class Record:
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

    def merge(self, other: Record) -> None:
        """Take note of what another has seen."""
        with self._lock:
            self.residual = max(other.residual or 0.0, self.residual or 0.0)
            self.n_products += other.n_products
            self.longest = max(self.longest, other.longest)


class BySolves(ABC):
    """The parts of a factor's contract that follow from `solve`.

    Attributes
    ----------
    curvature : Curvature
    """

    curvature: Curvature

    @abstractmethod
    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (n_params, k)."""

    def quadratic(self, B: Array, block: int) -> Array:
        """Return b' H_block^-1 b of every column, shape (k,)."""
        first, size = self._place(block)
        columns = np.zeros((self.curvature.n_params, B.shape[1]))
        columns[first : first + size] = B
        products: Array = np.einsum("ij,ij->j", B, self.solve(columns)[first : first + size])
        return products

    def _place(self, block: int) -> tuple[int, int]:
        """Return where the parameters of a block begin, and how many it has."""
        size = self.curvature.block_shape()[1]
        return block * size, size

    def inverse(self) -> Array:
        """Return H^-1 as its diagonal blocks, shape (n_blocks, block_size, block_size)."""
        n_blocks, size = self.curvature.block_shape()
        require_memory(
            8.0 * 8 * n_blocks * size * self.curvature.n_params,
            f"The inverse curvature of {self.curvature.n_params:,} parameters",
            "Ask for fewer rows at a time.",
        )
        return np.stack([self._columns(b, np.arange(size)) for b in range(n_blocks)])

    def _columns(self, block: int, chosen: Array) -> Array:
        """Return some columns of the inverse of a block, shape (block_size, n_chosen)."""
        first, size = self._place(block)
        units = np.zeros((self.curvature.n_params, len(chosen)))
        units[first + chosen, np.arange(len(chosen))] = 1.0
        return self.solve(units)[first : first + size]

    def inverse_diagonal(self) -> Array:
        """Return the diagonal of H^-1 on the complement of the gauge, (n_blocks, block_size)."""
        n_blocks, size = self.curvature.block_shape()
        out = np.empty((n_blocks, size))
        for b in range(n_blocks):
            for part in np.array_split(np.arange(size), -(-size // TOGETHER)):
                out[b, part] = self._columns(b, part)[part, np.arange(len(part))]
        return out


def gradient_probes(curvature: Curvature, random_state: int | None) -> Array:
    """Return right-hand sides like those of removals: gradients of rows, with random signs.

    Shape (n_params, n_probes), off the gauge, each of length one; none where all rows have none.
    """
    one = curvature.objective
    signs = np.random.RandomState(random_state).choice([-1.0, 1.0], (one.n_samples, PROBES))
    V = curvature.off_gauge(one.weighted_grad_sum(one.sample_weight[:, None] * signs))
    sizes = np.linalg.norm(V, axis=0)
    kept: Array = V[:, sizes > 0] / sizes[sizes > 0]
    return kept


def residual(curvature: Curvature, V: Array, X: Array) -> Array:
    """Return |V - H X| of every column, relative to that of V (0 for columns of zeros)."""
    sizes = np.linalg.norm(V, axis=0)
    left: Array = np.linalg.norm(V - curvature.matmat(X), axis=0)
    return left / np.where(sizes > 0, sizes, 1.0)
