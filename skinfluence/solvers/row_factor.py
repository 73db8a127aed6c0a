"""The curvature of penalised models with fewer rows than parameters, factorised by rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skinfluence.curvature import Curvature, Root
from skinfluence.curvature.roots import RowRoot
from skinfluence.process.memory import require_memory
from skinfluence.process.tuning import tuning
from skinfluence.solvers.base import Factor, Numerics
from skinfluence.solvers.woodbury import RowBlock, factorized
from skinfluence.typing import Array

MOST_FREE = 0.1
"""Share of the rows up to which there may be parameters without penalty (or 32 of them)."""


@dataclass(frozen=True, eq=False)
class RowFactor(Factor):
    """H^-1 by the rows of every block.

    Attributes
    ----------
    blocks : list of RowBlock
    n_params : int
        A multiple of n_blocks * block_size: blocks that are alike are stored once.
    damping : float
        On the diagonal of the curvature.
    """

    blocks: list[RowBlock]
    n_params: int
    damping: float = 0.0

    @property
    def rcond(self) -> float:
        return min(block.rcond for block in self.blocks)

    @property
    def numerics(self) -> Numerics:  # type: ignore[override]
        residuals = [residual for block in self.blocks for residual in block.residuals]
        return Numerics(
            self.damping,
            rcond=self.rcond,
            smallest_pivot=min(block.pivot for block in self.blocks),
            n_negative=0,
            residual=max(residuals, default=None),
        )

    def solve(self, V: Array) -> Array:
        n_blocks, size = len(self.blocks), len(self.blocks[0].scale)
        if not V.shape[1]:
            return np.empty((self.n_params, 0))
        V = V.reshape(-1, size, V.shape[1])
        solved = [self.blocks[b % n_blocks].solve(part) for b, part in enumerate(V)]
        return np.concatenate(solved)

    def quadratic(self, B: Array, block: int) -> Array:
        return np.einsum("ij,ij->j", B, self.blocks[block].solve(B))

    def between(self, rows: Any, B: Array) -> Array | None:
        size = max(
            tuning().fewest_row_solves,
            tuning().row_solve_elements // max(block.root.rank for block in self.blocks),
        )
        if len(B) <= size:
            return self._between(rows, B)
        parts = [slice(start, start + size) for start in range(0, len(B), size)]
        pieces = [self._between(rows.rows(part), B[part]) for part in parts]
        known = [piece for piece in pieces if piece is not None]
        return np.concatenate(known, axis=2) if len(known) == len(pieces) else None

    def _between(self, rows: Any, B: Array) -> Array | None:
        if self.n_params == len(self.blocks[0].scale):
            return self.blocks[0].between(rows, B)
        pieces = [block.between(rows, np.ones((len(B), 1))) for block in self.blocks]
        known = [piece[:, 0] for piece in pieces if piece is not None]
        if len(known) < len(pieces):
            return None
        return np.stack([known[k % len(known)] * b for k, b in enumerate(B.T)], axis=1)

    def quadratics(self, rows: Any, chosen: Array | None = None) -> Array | None:
        chosen = np.arange(rows.n_samples) if chosen is None else chosen
        forms = [block.quadratics(rows, chosen) for block in self.blocks]
        known = [Q for Q in forms if Q is not None]
        if len(known) < len(forms):
            return None
        if known[0].shape[1] > 1:
            return known[0]
        n_outputs = self.n_params // len(self.blocks[0].scale)
        return np.column_stack([known[k % len(known)][:, 0, 0] for k in range(n_outputs)])

    def inverse(self) -> Array:
        size = len(self.blocks[0].scale)
        require_memory(
            2.0 * len(self.blocks) * size**2 * 8,
            f"The inverse curvature of {size:,} parameters",
            "Ask for fewer rows at a time.",
        )
        return np.stack([block.solve(np.eye(size)) for block in self.blocks])

    def inverse_diagonal(self) -> Array:
        return np.stack([_inverse_diagonal(block) for block in self.blocks])


def roots_of(curvature: Curvature) -> list[Root] | None:
    """Return the roots to factorise by; None where that is not possible or not less work."""
    roots = curvature.roots()
    if roots is None:
        return None
    free = np.sum(curvature.diagonal() == 0, axis=1)
    rank = min(root.rank for root in roots)
    return roots if np.all(free <= min(max(MOST_FREE * rank, 32), rank - 1)) else None


def factorize_by_rows(curvature: Curvature) -> RowFactor | None:
    """Return the factor by rows; None where there is none, or where it would be larger.

    Raises
    ------
    MemoryError
        Before allocating, if the matrices of the rows do not fit.
    SingularCurvatureError
        If the parameters without penalty are not determined.
    """
    roots = roots_of(curvature)
    if roots is None:
        return None
    rank = max(root.rank for root in roots)
    kept = max((root.n_samples for root in roots if isinstance(root, RowRoot)), default=0)
    require_memory(
        ((len(roots) + 1.0) * rank**2 + max(rank, kept) ** 2) * 8,
        f"The curvature by its {rank:,} rows (times coupled classes) and its factor",
        "Fit the model on fewer features (SelectKBest, TruncatedSVD, max_features= of a "
        "vectorizer), or pass a solver object that does not form the matrix.",
    )
    shifts = curvature.flat_shifts()
    pairs = zip(roots, curvature.diagonal(), strict=True)
    blocks = [factorized(root, diagonal, shifts) for root, diagonal in pairs]
    return RowFactor(blocks, curvature.n_params, curvature.damping)


def _inverse_diagonal(block: RowBlock) -> Array:
    """Return the diagonal of H^-1, a slice of the parameters at a time."""
    size = len(block.scale)
    out = np.empty(size)
    for start in range(0, size, 1024):
        here = np.arange(start, min(start + 1024, size))
        unit = np.zeros((size, len(here)))
        unit[here, np.arange(len(here))] = 1.0
        out[here] = block.solve(unit)[here, np.arange(len(here))]
    return out
