"""Curvature of an objective as a linear operator: Hessian, Gauss-Newton, Fisher information.

A solver sees only this operator. Structure is promised, not checked: symmetry always, definiteness
by `positive_semidefinite`, block-diagonality by `block_shape`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.objectives import Objective, OutputObjective
from skinfluence.objectives.base import Root as Root  # which solvers see through here

Array = npt.NDArray[Any]

KINDS = ("auto", "hessian", "gauss_newton", "fisher")


@dataclass(frozen=True, eq=False)
class Curvature:
    """H = F''(theta) + damping I, or what stands in for F''.

    Parameters
    ----------
    objective : Objective
    kind : {"auto", "hessian", "gauss_newton", "fisher"}
        "auto" is the Hessian. For a linear model Gauss-Newton *is* the Hessian, and so is the
        Fisher information under a canonical loss; where they would differ, what is not available
        is refused rather than renamed.
    damping : float
        Added to the diagonal, in the units of F''.

    Raises
    ------
    ValueError
        If the objective has no curvature of this kind.
    """

    objective: Objective
    kind: str = "auto"
    damping: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"curvature={self.kind!r} was given; accepted are {KINDS}.")
        if self.damping < 0:
            raise ValueError(
                f"damping={self.damping!r} was given; a number >= 0 in the units of the Hessian "
                "of the summed loss is accepted."
            )
        if self.kind in ("auto", "hessian"):
            return
        linear = isinstance(self.objective, OutputObjective) and self.objective.kind == "linear"
        if not linear or (self.kind == "fisher" and not self.objective.loss.canonical):  # type: ignore[attr-defined]
            raise ValueError(
                f"curvature={self.kind!r} was given, but {type(self.objective).__name__} offers "
                "only its Hessian; use curvature='auto'."
            )

    @property
    def n_params(self) -> int:
        return self.objective.n_params

    @property
    def positive_semidefinite(self) -> bool:
        # A linear model is convex, or was fitted to a minimum, where its curvature has no choice.
        return self.objective.convex or self.objective.kind == "linear"

    def block_shape(self) -> tuple[int, int]:
        """Return (n_blocks, block_size); identical blocks are stored once."""
        return self.objective.block_shape()

    def flat_shifts(self) -> list[Array]:
        """Return lists of parameters whose common shift the operator maps to zero."""
        return self.objective.flat_shifts() if self.damping == 0 else []

    def roots(self) -> list[Root] | None:
        """Return Z_b with H_b = diag(diagonal_b) + Z_b' Z_b, where that has fewer rows than H_b."""
        return self.objective.hessian_roots()

    def diagonal(self) -> Array:
        """Return what `roots` leaves of every block, shape (n_blocks, block_size)."""
        n_blocks, size = self.block_shape()
        return self.objective.l2[: n_blocks * size].reshape(n_blocks, size) + self.damping

    def matmat(self, V: Array) -> Array:
        """Return H V for V of shape (n_params, k)."""
        return self.objective.hvp(V) + self.damping * V

    def blocks(self) -> Array:
        """Return H as its diagonal blocks, shape (n_blocks, block_size, block_size)."""
        H = self.objective.hessian_blocks()
        if self.damping > 0:
            diagonal = np.arange(H.shape[1])
            H[:, diagonal, diagonal] += self.damping
        return H
