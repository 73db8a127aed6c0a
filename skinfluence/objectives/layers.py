"""The layers of a network: forward and backward passes at many parameters at once.

Z_l = A_(l-1) W_l + b_l, A_l = phi(Z_l), A_0 = X, eta = Z_L. Everything comes in stacks: an array of
shape (m, n, d) holds, for each of m parameters (or directions), n rows of a layer of d units; an
axis of length 1 broadcasts. One stack is one sequence of matrix products.

The derivative along a direction V (Pearlmutter 1994, doi:10.1162/neco.1994.6.1.147) is written R:

    RZ_l = A_(l-1) V_l + RA_(l-1) W_l + v_l,        RA_l = phi'(Z_l) RZ_l,

and of what goes back, delta_l = dF/dZ_l, with gradients A_(l-1)' delta_l:

    delta_(l-1) = phi'(Z_(l-1)) (delta_l W_l'),
    Rdelta_(l-1) = phi' (Rdelta_l W_l' + delta_l V_l') + phi'' RZ_(l-1) (delta_l W_l').
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit

from skinfluence.objectives.gram import in_double
from skinfluence.typing import Array

Stack = list[tuple[Array, Array]]
"""W_l of shape (m, d_in, d_out) and b_l of shape (m, 1, d_out) of every layer."""


@dataclass(frozen=True)
class Layers:
    """The shape of a network.

    Parameters
    ----------
    sizes : tuple of int
        Units of every layer, from the features to the raw predictions.
    activation : {"identity", "logistic", "relu", "tanh"}
        phi, of the hidden layers.
    """

    sizes: tuple[int, ...]
    activation: str

    @property
    def n_params(self) -> int:
        return sum((d + 1) * e for d, e in self.pairs())

    def pairs(self) -> list[tuple[int, int]]:
        """Return (d_in, d_out) of every layer."""
        return list(pairwise(self.sizes))

    @property
    def width(self) -> int:
        """Units of all layers but the features."""
        return sum(self.sizes[1:])

    def slices(self) -> list[slice]:
        """Return where each layer [W_l; b_l] lies in the parameters."""
        ends = np.cumsum([0] + [(d + 1) * e for d, e in self.pairs()])
        return [slice(int(a), int(b)) for a, b in pairwise(ends)]

    def biases(self) -> list[Array]:
        """Return which parameters are the biases of each layer."""
        ends = [part.stop for part in self.slices()]
        return [np.arange(end - e, end) for end, (_, e) in zip(ends, self.pairs(), strict=True)]

    def split(self, V: Array) -> Stack:
        """Return V of shape (n_params, m) as a stack of layers, in its precision."""
        rows = np.ascontiguousarray(V.T, dtype=precision(V))
        m = len(rows)
        out = []
        for part, (d, e) in zip(self.slices(), self.pairs(), strict=True):
            layer = rows[:, part].reshape(m, d + 1, e)
            out.append((layer[:, :d], layer[:, d:]))
        return out

    def join(self, stack: Stack) -> Array:
        """Return a stack of layers as an array of shape (n_params, m)."""
        m = max(len(W) for W, _ in stack)
        parts = [np.concatenate(layer, axis=1).reshape(m, -1) for layer in stack]
        return np.concatenate(parts, axis=1).T

    def forward(self, X: Any, stack: Stack) -> Pass:
        """Run rows X, (n, d) or a stack of them (m, n, d), through the layers."""
        activations, Z = [X], None
        for i, (W, b) in enumerate(stack):
            Z = times(activations[-1], W) + b
            if i < len(stack) - 1:
                activations.append(_activated(self.activation, Z))
        assert Z is not None
        return Pass(self, stack, activations, Z)


@dataclass(frozen=True, eq=False)
class Pass:
    """What a forward pass leaves for the passes along directions and back.

    Attributes
    ----------
    layers : Layers
    stack : Stack
        The parameters.
    activations : list of arrays
        A_0 = X, ..., A_(L-1).
    eta : ndarray of shape (m, n, K)
        The raw predictions.
    """

    layers: Layers
    stack: Stack
    activations: list[Any]
    eta: Array

    def slope(self, layer: int) -> Array:
        """Return phi' where A_layer was computed."""
        A = self.activations[layer]
        kind = self.layers.activation
        if kind == "tanh":
            return 1.0 - A**2
        if kind == "logistic":
            return A * (1.0 - A)
        if kind == "relu":
            return (A > 0).astype(A.dtype)
        return np.ones_like(A)

    def bend(self, layer: int) -> Array | None:
        """Return phi'' where A_layer was computed; None where it is 0."""
        A = self.activations[layer]
        kind = self.layers.activation
        if kind == "tanh":
            return -2.0 * A * (1.0 - A**2)
        if kind == "logistic":
            return A * (1.0 - A) * (1.0 - 2.0 * A)
        return None

    def along(self, directions: Stack) -> list[Array]:
        """Return RZ_l of every layer, along each direction; the last is that of eta."""
        out: list[Array] = []
        for i, (V, v) in enumerate(directions):
            RZ = times(self.activations[i], V) + v
            if i > 0:
                RZ += times(self.slope(i) * out[-1], self.stack[i][0])
            out.append(RZ)
        return out

    def back(self, delta: Array) -> list[Array]:
        """Return delta_l of every layer from that of eta, of shape (m, n, K)."""
        delta = delta.astype(self.eta.dtype, copy=False)
        deltas = [delta]
        for i in range(len(self.stack) - 1, 0, -1):
            delta = times(delta, self.stack[i][0].transpose(0, 2, 1))
            delta *= self.slope(i)
            deltas.append(delta)
        return deltas[::-1]

    def gradients(self, deltas: list[Array]) -> Stack:
        """Return the gradients sum_i a_i (x) delta_i of every layer."""
        return [
            (t_times(A, delta), delta.sum(axis=1, keepdims=True))
            for A, delta in zip(self.activations, deltas, strict=True)
        ]

    def squares(self, deltas: list[Array]) -> Array:
        """Return the squared norm of the gradient of every row, all layers, shape (m, n)."""
        out: Any = 0.0
        for A, delta in zip(self.activations, deltas, strict=True):
            A = in_double(A)
            size = A.multiply(A).sum(axis=1) if sparse.issparse(A) else np.sum(A**2, axis=-1)
            out = out + (1.0 + np.ravel(size)) * np.sum(delta**2, axis=2)
        return out

    def bent(
        self, directions: Stack, RZ: list[Array], deltas: list[Array], Rdelta: Array
    ) -> list[Array]:
        """Return Rdelta_l of every layer from that of eta."""
        Rdelta = Rdelta.astype(self.eta.dtype, copy=False)
        out = [Rdelta]
        for i in range(len(self.stack) - 1, 0, -1):
            Wt, Vt = (one[i][0].transpose(0, 2, 1) for one in (self.stack, directions))
            Rdelta = times(Rdelta, Wt) + times(deltas[i], Vt)
            Rdelta *= self.slope(i)
            bend = self.bend(i)
            if bend is not None:
                Rdelta += times(deltas[i], Wt) * bend * RZ[i - 1]
            out.append(Rdelta)
        return out[::-1]

    def second(self, RZ: list[Array], deltas: list[Array], Rdeltas: list[Array]) -> Stack:
        """Return the derivatives of `gradients` along the directions."""
        out = self.gradients(Rdeltas)
        for i in range(1, len(self.stack)):
            W, b = out[i]
            out[i] = W + t_times(self.slope(i) * RZ[i - 1], deltas[i]), b
        return out


def precision(V: Array) -> Any:
    """Return the precision that products with V are taken in: its own, single or double."""
    return np.float32 if V.dtype == np.float32 else np.float64


def times(A: Any, W: Array) -> Array:
    """Return A W for each of a stack; A may be one sparse matrix for all."""
    if sparse.issparse(A):
        m, d, e = W.shape
        flat = A.astype(W.dtype, copy=False) @ W.transpose(1, 0, 2).reshape(d, m * e)
        return np.ascontiguousarray(flat.reshape(-1, m, e).transpose(1, 0, 2))
    return np.matmul(A.astype(W.dtype, copy=False), W)


def t_times(A: Any, D: Array) -> Array:
    """Return A' D for each of a stack; A may be one sparse matrix for all."""
    if sparse.issparse(A):
        m, n, e = D.shape
        flat = A.astype(D.dtype, copy=False).T @ D.transpose(1, 0, 2).reshape(n, m * e)
        return flat.reshape(-1, m, e).transpose(1, 0, 2)
    return np.matmul(np.swapaxes(A.astype(D.dtype, copy=False), -1, -2), D)


def _activated(activation: str, Z: Array) -> Array:
    if activation == "tanh":
        return np.tanh(Z, out=Z)
    if activation == "logistic":
        return expit(Z, out=Z)
    if activation == "relu":
        return np.maximum(Z, 0.0, out=Z)
    return Z
