"""Subsampled Hessian of the rows that carry nearly all curvature, in single precision.

A classifier that fits well is sure of most rows, and what they add to the curvature is next to
nothing. Where the second derivatives of a row sum to zero over the outputs,

    G_i = sum_{k < m} g_ikm (e_k - e_m)(e_k - e_m)',        g_ikm = -w_i d2l/deta_k deta_m >= 0,

a row may even be left out for some pairs of classes and count for others. What is left is below H,
and near it: H in its norm has all eigenvalues between 1 and a little more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import sparse
from scipy.linalg import lapack
from scipy.linalg.blas import ssyrk

from skinfluence.curvature.contracts import Inverse
from skinfluence.objectives import LinearObjective
from skinfluence.objectives.gram import CACHED, MOST_CURVED
from skinfluence.process.blocks import row_blocks
from skinfluence.process.memory import require_memory
from skinfluence.process.tuning import tuning
from skinfluence.typing import Array

NEARLY_ALL = 0.9999
"""Share of the curvature of what stands in for it, in steps to the minimum."""


BEYOND = 30.0
"""Times the rounding of sums over the rows from which on the condition number is no accident."""


@dataclass(frozen=True, eq=False)
class SubsampledHessian(Inverse):
    """The inverse of S^-1 L L' S^-1 for every block.

    Attributes
    ----------
    lower : list of ndarray of shape (block_size, block_size), float32
        L; what is above its diagonal is not used.
    scale : ndarray of shape (n_blocks, block_size)
        S.
    lower_bound : bool
        It has an inverse beyond the rounding of its rows' sum; the curvature is never less.
    """

    lower: list[Array]
    scale: Array
    lower_bound: bool

    @classmethod
    def of(
        cls, objective: LinearObjective, damping: float, share: float | None = None
    ) -> Self | None:
        """Return it for the curvature of an objective plus damping; None where there is none.

        `subsampled_share` of that, unless it is given.
        """
        share = tuning().subsampled_share if share is None else share
        loss = objective.loss
        if not (objective.convex and (loss.separable or loss.shift_invariant)):
            return None
        n_blocks, size = objective.block_shape()
        require_memory(
            4.0 * n_blocks * size**2,
            f"A preconditioner for {objective.n_params:,} parameters",
            "Pass solver=CG(preconditioner='jacobi'), which needs none of it.",
        )
        blocks = _pairs(objective, share) if objective.coupled else _outputs(objective, share)
        penalties = (objective.l2 + damping)[: n_blocks * size].reshape(n_blocks, size)
        lower, scale, rconds = [], np.empty((n_blocks, size)), []
        for b, H in enumerate(blocks):
            H[np.diag_indices(size)] += penalties[b]
            for shift in objective.flat_shifts() if damping == 0 else []:
                H[np.ix_(shift, shift)] += np.mean(H[shift, shift]) / len(shift)
            factor = _factorize(H)
            if factor is None:
                return None
            lower.append(factor[0])
            scale[b] = factor[1]
            rconds.append(factor[2])
        rounding = np.finfo(np.float32).eps * np.sqrt(objective.n_samples)
        return cls(lower, scale, lower_bound=min(rconds) > BEYOND * rounding)

    def solve(self, V: Array) -> Array:
        n_blocks, size = self.scale.shape
        out = np.empty(V.shape, dtype=V.dtype)
        for start in range(0, len(V), size):
            b = start // size % n_blocks  # blocks that are alike are stored once
            part = slice(start, start + size)
            columns = V[part] * self.scale[b][:, None]
            sizes = np.abs(columns).max(axis=0, initial=0.0)  # gradients may be of any size
            sizes[sizes == 0] = 1.0
            columns = np.asfortranarray(columns / sizes, dtype=np.float32)
            solved = lapack.spotrs(self.lower[b], columns, lower=1, overwrite_b=1)[0]
            out[part] = solved * self.scale[b][:, None] * sizes
        return out


def heavy(g: Array, share: float) -> Array:
    """Return the fewest rows that make up a share of the sum of g >= 0 (with ties, all)."""
    falling = np.sort(g)[::-1]
    total = np.cumsum(falling)
    cut = falling[min(int(np.searchsorted(total, share * total[-1])), len(g) - 1)]
    return np.flatnonzero((g >= cut) & (g > 0))


def _outputs(objective: LinearObjective, share: float) -> Iterator[Array]:
    """Yield the subsampled sum of g_ik x_i x_i' of every output, lower triangles."""
    G = objective.output_hessians() * objective.sample_weight[:, None]
    for g in G.T[: objective.block_shape()[0]]:
        yield _single_gram(objective, g, share)


def _pairs(objective: LinearObjective, share: float) -> Iterator[Array]:
    """Yield the subsampled Hessian of coupled outputs, its lower triangle."""
    K, d, w = objective.loss.n_outputs, objective.block_size, objective.sample_weight
    entry = objective.loss.hessian_entries(objective.targets, objective.raw_predictions())
    H = np.zeros((K * d, K * d), dtype=np.float32, order="F")
    at = [slice(k * d, (k + 1) * d) for k in range(K)]
    for k in range(K):
        if objective.loss.separable:
            H[at[k], at[k]] = _single_gram(objective, w * entry(k, k), share)
            continue
        for m in range(k + 1, K):
            tile = _single_gram(objective, -w * entry(k, m), share)
            H[at[k], at[k]] += tile
            H[at[m], at[m]] += tile
            H[at[m], at[k]] = -(np.tril(tile) + np.tril(tile, -1).T)
    if objective.free is not None:
        H = np.asfortranarray(H[np.ix_(objective.free, objective.free)])
    yield H


def _single_gram(objective: LinearObjective, g: Array, share: float) -> Array:
    """Return the sum of g_i x_i x_i' over the heaviest rows, its lower triangle, float32."""
    X, d = objective.X, objective.block_size
    out = np.zeros((d, d), dtype=np.float32, order="F")
    g = np.maximum(g, 0.0)
    rows = heavy(g, share)
    whole = len(rows) > MOST_CURVED * len(g)
    buffer = None
    for part in row_blocks(len(g) if whole else len(rows), d, 2 * CACHED):
        index: slice | Array = part if whole else rows[part]
        chosen, root = X[index], np.sqrt(g[index])
        chosen = chosen.toarray() if sparse.issparse(chosen) else chosen
        buffer = np.empty((len(root), d), dtype=np.float32) if buffer is None else buffer
        Z = buffer[: len(root)]
        with np.errstate(over="ignore", invalid="ignore"):  # the factor of infinities is None
            np.multiply(chosen, root[:, None], out=Z[:, : X.shape[1]], casting="same_kind")
            Z[:, X.shape[1] :] = root[:, None]
        out = ssyrk(1.0, Z.T, beta=1.0, c=out, overwrite_c=True, lower=True)
    return out


def _factorize(H: Array) -> tuple[Array, Array, float] | None:
    """Overwrite H by the factor of S H S; return it, S and its condition; None if it is no use."""
    diagonal = np.diagonal(H).astype(np.float64)
    if not np.all(np.isfinite(diagonal)) or np.any(diagonal <= 0):
        return None
    scale = 1.0 / np.sqrt(diagonal)
    H *= scale
    H *= scale[:, None]
    norm = float(lapack.slange("1", H) + lapack.slange("i", H))  # of both triangles, or a bit more
    lower, info = lapack.spotrf(H, lower=1, clean=0, overwrite_a=1)
    rcond = float(lapack.spocon(lower, norm, uplo="L")[0]) if info == 0 else 0.0
    return (lower, scale, rcond) if rcond >= tuning().subsampled_rcond else None
