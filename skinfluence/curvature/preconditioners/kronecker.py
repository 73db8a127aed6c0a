"""A Kronecker-factored Gauss-Newton matrix, layer by layer: a preconditioner for networks.

The block of layer l is sum_i (a_i a_i') (x) (delta_i delta_i'), a_i the inputs of the layer with a
1 and delta_i the columns that go back from a square root of the curvature of the loss. It is
written in the eigenvectors U of sum a a' and V of sum delta delta', where it is taken for diagonal,
with the true second moments sum_i (U' a_i)^2 (V' delta_i)^2 there.

benchmarks/networks.py has its price: on networks that fit well, whose curvature is that of a few
rows, it needs more products than none at all (see `dominant_rows`).

References: Martens & Grosse (2015), arXiv:1503.05671; George et al. (2018), arXiv:1806.03884, for
these eigenvalues; Grosse et al. (2023), arXiv:2308.03296, for influence functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy import sparse

from skinfluence.curvature.contracts import Inverse
from skinfluence.objectives import NetworkObjective
from skinfluence.objectives.gram import with_intercept
from skinfluence.typing import Array

LEAST = 1e-10
"""Part of the largest eigenvalue of a layer below which a direction counts as this flat."""


class _Layer:
    """Gathers the moments of one layer over blocks of rows: first `moments`, then `variances`."""

    def __init__(self, d_in: int, d_out: int) -> None:
        self.inputs = np.zeros((d_in + 1, d_in + 1))
        self.outputs = np.zeros((d_out, d_out))
        self.scale = np.zeros((d_in + 1, d_out))
        self.U: Array | None = None
        self.V: Array | None = None

    def moments(self, A: Any, delta: Array) -> None:
        """Add rows: A of shape (n, d_in) or (1, n, d_in), delta of shape (K, n, d_out)."""
        A = _with_ones(A)
        self.inputs += A.T @ A
        flat = delta.reshape(-1, delta.shape[2])
        self.outputs += flat.T @ flat

    def variances(self, A: Any, delta: Array) -> None:
        """Add the second moments of the same rows along the eigenvectors."""
        if self.U is None or self.V is None:
            self.U = np.linalg.eigh(self.inputs)[1]
            self.V = np.linalg.eigh(self.outputs)[1]
        along = (_with_ones(A) @ self.U) ** 2
        self.scale += along.T @ ((delta @ self.V) ** 2).sum(axis=0)


@dataclass(frozen=True, eq=False)
class Kronecker(Inverse):
    """The inverse of a matrix that is diagonal in U (x) V, layer by layer.

    Attributes
    ----------
    layers : list of (U, V, scale)
        Shapes (d_in + 1, d_in + 1), (d_out, d_out) and (d_in + 1, d_out); scale is the inverse.
    """

    layers: list[tuple[Array, Array, Array]]

    @classmethod
    def of(cls, objective: NetworkObjective, damping: float) -> Self:
        """Return it for the curvature of an objective plus damping."""
        gathered = [_Layer(d, e) for d, e in objective.layers.pairs()]
        for gather in (_Layer.moments, _Layer.variances):
            for _, part, run in objective.passes(objective.loss.n_outputs):
                deltas = run.back(part.root_stack())
                for layer, A, delta in zip(gathered, run.activations, deltas, strict=True):
                    gather(layer, A, delta)
        layers = []
        for layer, params in zip(gathered, objective.layers.slices(), strict=True):
            assert layer.U is not None and layer.V is not None
            scale = layer.scale + float(objective.l2[params.start]) + damping
            least = LEAST * float(scale.max())
            layers.append((layer.U, layer.V, 1.0 / np.maximum(scale, least if least > 0 else 1.0)))
        return cls(layers)

    def solve(self, V: Array) -> Array:
        out = np.empty((V.shape[1], V.shape[0]))
        rows, start = np.ascontiguousarray(V.T), 0
        for left, right, scale in self.layers:
            stop = start + scale.size
            part = rows[:, start:stop].reshape(-1, *scale.shape)
            solved = left @ ((left.T @ part @ right) * scale) @ right.T
            out[:, start:stop] = solved.reshape(len(rows), scale.size)
            start = stop
        return out.T


def _with_ones(A: Any) -> Array:
    if sparse.issparse(A):
        return with_intercept(A, True)
    A = A.reshape(-1, A.shape[-1])
    return np.column_stack([A, np.ones(len(A))]).astype(np.float64, copy=False)
