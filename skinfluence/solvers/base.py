"""The contract of a solver and the errors of all of them."""

from __future__ import annotations

import os
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from skinfluence.curvature import Curvature

Array = npt.NDArray[Any]


class SingularCurvatureError(np.linalg.LinAlgError):
    """The curvature has no inverse: the fitted model is not the only optimum."""


class Factor(Protocol):
    """A factorised curvature: a small picklable object.

    V : shape (n_params, k). B : columns of one block, shape (block_size, k).
    """

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (n_params, k)."""
        ...

    def quadratic(self, B: Array, block: int) -> Array:
        """Return b' H_block^-1 b of every column, shape (k,)."""
        ...

    def inverse(self) -> Array:
        """Return H^-1 as its diagonal blocks, shape (n_blocks, block_size, block_size)."""
        ...

    def inverse_diagonal(self) -> Array:
        """Return the diagonal of H^-1 on the complement of the gauge, (n_blocks, block_size)."""
        ...


@runtime_checkable
class Solver(Protocol):
    """A way to invert a curvature.

    `factorize` raises SingularCurvatureError where there is no inverse, ValueError where the
    curvature lacks what the solver needs, MemoryError *before* it allocates what cannot fit.
    """

    def factorize(self, curvature: Curvature) -> Factor:
        """Return the factor of a curvature."""
        ...


def available_memory() -> float:
    """Return the bytes this process may still allocate, as far as the system tells; else inf."""
    limits = []
    try:
        with open("/proc/meminfo") as lines:
            known = dict(line.split(":", 1) for line in lines)
        limits.append(float(known["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError):
        try:
            limits.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
        except (ValueError, OSError, AttributeError):
            return float("inf")
    return min(limits)


def require_memory(n_bytes: float, what: str, way_out: str) -> None:
    """Raise MemoryError, before anything is allocated, if `n_bytes` are not to be had."""
    available = available_memory()
    if n_bytes > available:
        raise MemoryError(
            f"{what} needs {n_bytes / 2**30:,.1f} GiB and {available / 2**30:,.1f} GiB are "
            f"available. {way_out}"
        )
