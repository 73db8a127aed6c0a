"""Linear models without penalty in columns that depend on each other, stated in fewer columns.

A full one-hot encoding beside an intercept, a column twice: the coefficients are not unique, and
predictions, hat values and what removals do to them are. In a set of independent columns the model
has one optimum, and everything that is unique in the other is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse
from scipy.linalg import lapack, solve_triangular

from skinfluence.losses import HalfSquaredError
from skinfluence.objectives.features import Features, LinearFeatures
from skinfluence.objectives.gram import in_double, weighted_gram
from skinfluence.objectives.linear import LinearObjective
from skinfluence.process.blocks import row_blocks
from skinfluence.typing import Array

DEPENDENT = {"f8": 1e-12, "f4": 1e-5}
"""Part of a column below which what the others leave of it is rounding, in the precision of X."""

CANDIDATE = 1e-10
"""The same of its square in the products of columns, which know it to half as many digits."""

UNMOVED = 1e-9
"""Part of the largest coefficient of a direction below which one has no part in it."""

CORRECTIONS = 4
"""Steps in which the dependence of columns is corrected for the rounding of their products."""


@dataclass(frozen=True, eq=False)
class Independent(LinearFeatures):
    """Those columns of other features that the rest depends on, x_rest = x_kept B + c.

    Attributes
    ----------
    features : Features
    kept, rest : ndarray of int
        Columns of the others.
    B : ndarray of shape (n_kept, n_rest)
    c : ndarray of shape (n_rest,)
        0 without an intercept.
    unit : ndarray of shape (n_rest,)
        The size of what counts as rounding in each column of the rest.
    minimum_norm : bool
        Of the optima in all columns the model takes the one of the shortest coefficients, which
        says what rows are predicted whose columns do not depend on each other so. Otherwise
        nothing does.
    """

    features: Features
    kept: Array
    rest: Array
    B: Array
    c: Array
    unit: Array
    minimum_norm: bool

    def of(self, X: Any) -> Any:
        kept = X[:, self.kept]
        left = self._left(X, kept)
        outside = np.any(np.abs(left) > self.unit, axis=1)
        if not np.any(outside):
            return kept
        if not self.minimum_norm:
            rows = np.flatnonzero(outside)
            raise ValueError(
                f"Columns of the training rows depend on each other (column {self.rest[0]}, for "
                "example, is a sum of multiples of others), so that the model has many optima, and "
                f"{len(rows)} of these rows, the first at {rows[0]}, do not keep to that: each "
                "optimum predicts them otherwise. Leave these rows out, drop such columns, or fit "
                "with a penalty."
            )
        more = np.where(outside[:, None], left, 0.0) @ self._shares
        kept = kept.toarray() if sparse.issparse(kept) else kept
        return (kept + more).astype(X.dtype, copy=False)

    def _left(self, X: Any, kept: Any) -> Array:
        """Return what the kept columns leave of the rest."""
        rest = X[:, self.rest]
        rest = rest.toarray() if sparse.issparse(rest) else rest
        left: Array = rest - in_double(kept) @ self.B - self.c
        return left

    @property
    def _shares(self) -> Array:
        """The shortest coefficients of the rest for each of those of the kept, (n_rest, n_kept).

        From w = b_kept + B b_rest the shortest (b_kept, b_rest) has b_rest = (I + B'B)^-1 B' w.
        """
        shares: Array = np.linalg.solve(np.eye(len(self.rest)) + self.B.T @ self.B, self.B.T)
        return shares

    def coefficients(self, W: Array) -> Array:
        w, intercept = W[..., :-1, :], W[..., -1, :]
        rest = self._shares @ w
        out = np.empty((*W.shape[:-2], len(self.kept) + len(self.rest) + 1, W.shape[-1]))
        out[..., self.kept, :] = w - self.B @ rest
        out[..., self.rest, :] = rest
        out[..., -1, :] = intercept - np.einsum("r,...rk->...k", self.c, rest)
        return out

    @property
    def identified(self) -> Array:
        """Which coefficients of rows as given, the intercept last, all optima have in common."""
        flat = np.zeros((len(self.kept) + len(self.rest) + 1, len(self.rest)))
        flat[self.kept], flat[self.rest] = -self.B, np.eye(len(self.rest))
        flat[-1] = -self.c
        features = self.features
        while isinstance(features, LinearFeatures):
            flat, features = features.coefficients(flat), features.features
        out: Array = np.all(np.abs(flat) <= UNMOVED * np.abs(flat).max(axis=0), axis=1)
        return out


def in_independent_columns(objective: LinearObjective) -> LinearObjective | None:
    """Return a linear model in independent columns; None where its columns are, or may not leave.

    They may where nothing penalises their coefficients, where the dependence is exact but for
    rounding on every row, and where the columns that stay do not fit every row exactly.
    """
    p, fit_intercept = objective.X.shape[1], objective.fit_intercept
    penalties = objective.spread(objective.l2[:, None])[:, 0].reshape(-1, objective.block_size)
    has_columns = _outputs_with_columns(objective)
    penalised = np.any(penalties[:, :p] > 0) or objective.l1 is not None
    if penalised or objective.tilt is not None or has_columns is None:
        return None
    counted = (objective.sample_weight > 0).astype(np.float64)
    found = _dependence(objective.X, counted, fit_intercept)
    if found is None or len(found[0]) + fit_intercept >= counted.sum():
        return None
    kept, rest, B, c, unit = found
    squared = isinstance(objective.loss, HalfSquaredError)
    features = Independent(objective.features, kept, rest, B, c, unit, minimum_norm=squared)
    outside = np.any(np.abs(features._left(objective.X, objective.X[:, kept])) > unit, axis=1)
    if np.any(outside[counted > 0]):
        return None
    W = objective.coefficients()
    moved = [W[:, kept] + W[:, rest] @ B.T]
    if fit_intercept:
        moved.append((W[:, -1] + W[:, rest] @ c)[:, None])
    columns = np.concatenate([kept, np.arange(p, objective.block_size)])
    free = None
    if objective.free is not None:
        inside = np.zeros((len(W), len(columns)), dtype=bool)
        inside[has_columns, : len(kept)] = True
        inside[:, len(kept) :] = objective.is_free()[:, p:]
        free = np.flatnonzero(inside)
    out = replace(
        objective,
        X=features.of(objective.X) if squared else objective.X[:, kept],
        features=features,
        theta=np.hstack(moved).ravel(),
        l2=penalties[:, columns].ravel(),
    )
    return out if free is None else out.with_free(free)


def _outputs_with_columns(objective: LinearObjective) -> Array | None:
    """Return which outputs have coefficients; None where one has those of some columns alone."""
    inside = objective.is_free()[:, : objective.X.shape[1]]
    whole: Array = np.all(inside, axis=1)
    return whole if np.all(whole | ~inside.any(axis=1)) else None


def _dependence(
    X: Any, counted: Array, fit_intercept: bool
) -> tuple[Array, Array, Array, Array, Array] | None:
    """Return (kept, rest, B, c, unit) of the columns of X; None where none depends on others."""
    n, p = counted.sum(), X.shape[1]
    G = weighted_gram(X, counted, fit_intercept)
    means = G[-1, :p] / n if fit_intercept else np.zeros(p)
    G = G[:p, :p] - n * np.outer(means, means)
    spread = np.sqrt(np.maximum(np.diagonal(G), 0.0))
    size = np.sqrt(np.maximum(np.diagonal(G) / n + means**2, 0.0))  # constant: all is the mean
    spread[spread <= 1e-7 * np.sqrt(n) * size] = 0.0
    scale = np.where(spread > 0, spread, 1.0)
    G = G / scale / scale[:, None]
    G[:, spread == 0] = G[spread == 0] = 0.0
    R, order, rank, _ = lapack.dpstrf(G, lower=0, tol=CANDIDATE)
    order = order - 1
    if rank == p:
        return None
    kept, rest = order[:rank], order[rank:]
    R11 = np.triu(R[:rank, :rank])
    B = solve_triangular(R11, R[:rank, rank:]) * scale[rest] / scale[kept][:, None]
    c = means[rest] - means[kept] @ B if fit_intercept else np.zeros(len(rest))
    for _ in range(CORRECTIONS):
        products, sums = _products(X, counted, kept, rest, means, B, c)
        step = solve_triangular(R11, products / scale[kept][:, None], trans="T")
        step = solve_triangular(R11, step) / scale[kept][:, None]
        B += step
        if fit_intercept:
            c += sums / n - means[kept] @ step
    largest = (
        np.ravel(sparse.csr_matrix(abs(X).max(axis=0)).toarray())
        if sparse.issparse(X)
        else (np.abs(X).max(axis=0))
    )
    unit = largest[rest] + largest[kept] @ np.abs(B) + np.abs(c)
    return kept, rest, B, c, DEPENDENT[X.dtype.str[1:]] * np.where(unit > 0, unit, 1.0)


def _products(
    X: Any, counted: Array, kept: Array, rest: Array, means: Array, B: Array, c: Array
) -> tuple[Array, Array]:
    """Return the products of the (centred) kept columns with what they leave of the rest.

    And the sums of what they leave.
    """
    out, sums = np.zeros((len(kept), len(rest))), np.zeros(len(rest))
    for index in row_blocks(X.shape[0], X.shape[1]):
        rows = X[index].toarray() if sparse.issparse(X) else in_double(X[index])
        left = (rows[:, rest] - rows[:, kept] @ B - c) * counted[index, None]
        out += (rows[:, kept] - means[kept]).T @ left
        sums += left.sum(axis=0)
    return out, sums
