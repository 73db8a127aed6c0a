"""Square roots of Gauss-Newton blocks: Z with Z'Z = sum_i J_i' G_i J_i, in products."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.curvature.contracts import Root
from skinfluence.losses import HalfSquaredError
from skinfluence.objectives import LinearObjective, NetworkObjective, Objective
from skinfluence.objectives.base import square_roots
from skinfluence.objectives.gram import NEGLIGIBLE, in_double, mirror
from skinfluence.objectives.row_products import RowProducts, squared_lengths
from skinfluence.process.blocks import row_blocks
from skinfluence.typing import Array

MOST_MORE = 2.0
"""Rows there may be for one that has a curvature, for the products of all of them to be kept."""

GRAM_ELEMENTS = 2**17
"""Numbers of a chunk of the products of rows: 1 MiB, which the caches hold."""


@dataclass(frozen=True, eq=False)
class RowRoot:
    """Z, whose rows are those of S_i J_i, S_i' S_i = G_i.

    Attributes
    ----------
    objective : LinearObjective
        Over the rows that have a curvature, of K outputs: those that are coupled, or one.
    roots : ndarray of shape (n_samples, K, K)
        S_i.
    whole : LinearObjective
        Over all rows.
    curved : slice or ndarray of int
        Which of all rows those of `objective` are.
    """

    objective: LinearObjective
    roots: Array
    whole: LinearObjective
    curved: slice | Array

    @property
    def rank(self) -> int:
        return int(self.roots.shape[0] * self.roots.shape[1])

    @property
    def n_samples(self) -> int:
        """All rows, those without a curvature included."""
        return int(self.whole.X.shape[0])

    @property
    def n_outputs(self) -> int:
        """K."""
        return int(self.roots.shape[1])

    def dot(self, V: Array) -> Array:
        return self.scaled(self.objective.jacobian_dot(V))

    def t_dot(self, U: Array) -> Array:
        return self.objective.jacobian_t_dot(self._t_scaled(U))

    def scaled(self, B: Array) -> Array:
        """Return S_i B_i, shape (rank, k), for B of all rows (or the curved), (n, K, k)."""
        B = B if len(B) == len(self.roots) else B[self.curved]
        out: Array = self.roots @ B if self.n_outputs > 1 else self.roots * B
        return out.reshape(self.rank, B.shape[2])

    def _t_scaled(self, U: Array) -> Array:
        n, K, _ = self.roots.shape
        U = U.reshape(n, K, -1)
        return self.roots.transpose(0, 2, 1) @ U if K > 1 else self.roots * U

    @property
    def products(self) -> RowProducts:
        """X X' of all rows, or of those that have a curvature where they are far fewer."""
        known = self.whole if self._all_known else self.objective
        return known.row_products

    @property
    def _all_known(self) -> bool:
        return self.n_samples <= MOST_MORE * len(self.roots)

    def gram(self, scale: Array) -> Array:
        out = self.upper_gram(scale)
        mirror(out)
        return out

    def upper_gram(self, scale: Array) -> Array:
        """Return `gram`, of which only the upper triangle is there."""
        n, K, _ = self.roots.shape
        factor, constant = self._units(scale)
        if np.isnan(factor):
            matrix, factor = _scaled_products(self.objective.X, scale[: self._n_features]), 1.0
        else:
            matrix = self.products.matrix()
        every = n == len(matrix)
        rows = np.arange(len(matrix)) if every else np.arange(len(matrix))[self.curved]
        out = np.empty((n, K, n, K))
        for block in row_blocks(n, n * K * K, GRAM_ELEMENTS):
            later = slice(block.start, n)
            part = matrix[block, later] if every else matrix[np.ix_(rows[block], rows[later])]
            part = factor * part
            part += constant
            if K == 1:
                part *= self.roots[block, 0]
                np.multiply(part, self.roots[later, 0, 0], out=out[block, 0, later, 0])
                continue
            tiles = np.einsum("iac,jbc->iajb", self.roots[block], self.roots[later], optimize=True)
            np.multiply(tiles, part[:, None, :, None], out=out[block, :, later])
        return out.reshape(self.rank, self.rank)

    def meets(self, scale: Array, free: Array) -> bool:
        """Return whether inner products of rows are all that `meet` and `pushed` take.

        They are where those of all rows are kept, features have one penalty, and parameters
        without any, `free`, are intercepts.
        """
        size = self.objective.block_size
        constants = np.all(free % size == size - 1) and self.objective.fit_intercept
        factor, _ = self._units(scale)
        return self._all_known and factor > 0 and (not len(free) or bool(constants))

    def meet(self, rows: LinearObjective, scale: Array) -> Array:
        """Return J_i diag(scale) J_t' of one output of all rows i and others t, (n, n_rows)."""
        factor, constant = self._units(scale)
        out: Array = factor * self.products.times(rows.row_products)
        out += constant
        return out

    def squares(self, rows: LinearObjective, scale: Array) -> Array:
        """Return J_t diag(scale) J_t' of one output of some rows, shape (n_rows,)."""
        factor, constant = self._units(scale)
        return factor * squared_lengths(rows.X) + constant

    def place(self, rows: LinearObjective) -> Array | None:
        """Return which of all rows these are; None where they are others."""
        return self.products.place(rows.row_products)

    def pushed(self, U: Array, scale: Array) -> Array:
        """Return J_i diag(scale) Z' U for all rows i, shape (n_samples, K, k)."""
        factor, constant = self._units(scale)
        B = self._t_scaled(U)
        every = np.zeros((self.whole.X.shape[0], *B.shape[1:]))
        every[self.curved] = B
        flat = every.reshape(len(every), -1)
        out: Array = factor * (self.products.matrix() @ flat)
        out += constant * flat.sum(axis=0)
        return out.reshape(every.shape)

    @property
    def _n_features(self) -> int:
        return int(self.objective.X.shape[1])

    def _units(self, scale: Array) -> tuple[float, float]:
        """Return the scale of all features and of the intercept; NaN where features differ."""
        p = self._n_features
        equal = p > 0 and bool(np.all(scale[:p] == scale[0]))
        constant = float(scale[p]) if self.objective.fit_intercept else 0.0
        return float(scale[0]) if equal else np.nan, constant


def _scaled_products(X: Any, scale: Array) -> Array:
    """Return X diag(scale) X', shape (n, n), for a scale of every feature."""
    if sparse.issparse(X):
        X = in_double(X)
        return (X.multiply(scale).tocsr() @ X.T).toarray()
    products = np.zeros((X.shape[0], X.shape[0]))
    for columns in row_blocks(X.shape[1], X.shape[0]):
        part = in_double(X[:, columns])
        products += (part * scale[columns]) @ part.T
    return products


@dataclass(frozen=True, eq=False)
class NetworkRoot:
    """Z, whose rows are those of S_i J_i, J_i the Jacobian of a network.

    Attributes
    ----------
    objective : NetworkObjective
    roots : ndarray of shape (n_samples, K, K)
        S_i.
    """

    objective: NetworkObjective
    roots: Array

    @property
    def rank(self) -> int:
        return int(self.roots.shape[0] * self.roots.shape[1])

    def dot(self, V: Array) -> Array:
        JV = self.objective.jacobian_dot(V)
        out: Array = self.roots.astype(JV.dtype, copy=False) @ JV
        return out.reshape(self.rank, V.shape[1])

    def t_dot(self, U: Array) -> Array:
        n, K, _ = self.roots.shape
        B = self.roots.astype(U.dtype, copy=False).transpose(0, 2, 1) @ U.reshape(n, K, -1)
        return self.objective.jacobian_t_dot(B)

    def gram(self, scale: Array) -> Array:
        return self.gram_of(np.arange(self.rank), scale)

    def gram_of(self, chosen: Array, scale: Array) -> Array:
        """Return `gram` of some of the rows of Z alone."""
        # A layer adds (s_W a_i'a_j + s_b) delta_i'delta_j, s its scale: alike for all of W.
        network, layers = self.objective, self.objective.layers
        run = layers.forward(network.X, layers.split(network.theta[:, None]))
        deltas = run.back(np.ascontiguousarray(self.roots.transpose(1, 0, 2)))
        n, K, _ = self.roots.shape
        rows, outputs = chosen // K, chosen % K
        out = np.zeros((len(chosen), len(chosen)))
        for part, A, delta in zip(layers.slices(), run.activations, deltas, strict=True):
            A = in_double(A) if sparse.issparse(A) else in_double(A).reshape(n, -1)
            inputs = A @ A.T
            inputs = inputs.toarray() if sparse.issparse(inputs) else inputs
            inputs = scale[part.start] * inputs + scale[part.stop - 1]
            back = delta[outputs, rows]
            products = back @ back.T
            products *= inputs[np.ix_(rows, rows)]
            out += products
        return out


@singledispatch
def hessian_roots(objective: Objective) -> list[Root] | None:
    """Return Z of every Gauss-Newton block, where there are fewer rows than columns.

    None where there are not, or where a block has no such form.
    """
    return None


@hessian_roots.register
def _(objective: LinearObjective) -> list[Root] | None:
    if objective.free is not None or not objective.convex:
        return None
    if objective.loss.separable:
        return _roots_of_outputs(objective)
    K = objective.loss.n_outputs
    penalties = objective.l2.reshape(K, objective.block_size)
    wide = objective.n_samples * K < objective.block_shape()[1]
    if not wide or not np.all(penalties == penalties[0]):
        return None
    return [RowRoot(objective, square_roots(objective), objective, slice(None))]


def _roots_of_outputs(objective: LinearObjective) -> list[Root] | None:
    """Return the roots of each output, of the rows that have a curvature there."""
    n_blocks, size = objective.block_shape()
    G = objective.output_hessians() * objective.sample_weight[:, None]
    # Only products with J are taken of it.
    output = replace(objective, loss=HalfSquaredError(), theta=objective.theta[:size])
    roots: list[Root] = []
    for g in G.T[:n_blocks]:
        curved = np.flatnonzero(g > NEGLIGIBLE * g.max(initial=0.0))
        if not 0 < len(curved) < size:
            return None
        part = output if len(curved) == objective.n_samples else output.rows(curved)
        roots.append(RowRoot(part, np.sqrt(g[curved])[:, None, None], output, curved))
    return roots


@hessian_roots.register
def _(objective: NetworkObjective) -> list[Root] | None:
    wide = objective.n_samples * objective.loss.n_outputs < objective.n_params
    if not wide or not objective.loss.convex:
        return None
    return [NetworkRoot(objective, square_roots(objective))]
