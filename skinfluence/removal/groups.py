"""The parameters without groups of rows: first order, joint Newton steps, exact minima.

The rows of a group S leave together, and their curvature with them. With H_S = H - J_S' G_S J_S,

    newton:  theta_without_S - theta = H_S^-1 (J_S' a_S + E z_S)

where H_S^-1 is a down-date of the factor of all rows (Woodbury) if the group is smaller than the
number of parameters, and formed anew from the rows that stay if it is larger or if the weights of
those move. (Koh, Ang, Teo & Liang 2019, arXiv:1905.13289, compare first order with the truth for
groups; Broderick, Giordano & Meager 2020, arXiv:2011.14999, look for the most influential ones.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import lapack
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Inverse
from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.process.blocks import edit_elements
from skinfluence.process.tuning import tuning
from skinfluence.process.warnings import warn
from skinfluence.removal.base import Counterfactuals
from skinfluence.removal.edited import Edited, norm_in
from skinfluence.removal.edits import shared_directions
from skinfluence.removal.exact import minimise
from skinfluence.removal.guard import next_steps
from skinfluence.solvers import Factor, SingularCurvatureError
from skinfluence.typing import Array

GROUP_RTOL = 1e-9
"""Gradient at which a group is done; there are fewer groups than rows, and deletions are kept."""


@dataclass(frozen=True, eq=False)
class GroupRemoval(Counterfactuals):
    """The change of the parameters without each of several groups of rows, each alone.

    Attributes
    ----------
    base : Objective
        Over the training rows, at its optimum.
    masks : CSR matrix of bool, shape (n_groups, n_samples)
        Which rows leave with a group; only rows that leave are stored.
    factor : Factor
        Of the curvature.
    factorize : callable
        Factorises the curvature of other rows or weights.
    names : ndarray of shape (n_groups,) or None
        What a warning calls the groups; None where they are just rows.
    damping : float
        What `factor` has on its diagonal besides the penalty.
    """

    base: Objective
    masks: Any
    factor: Factor
    factorize: Callable[[Objective], Factor]
    names: Array | None = None
    damping: float = 0.0

    @property
    def objective(self) -> Objective:
        return self.base

    @property
    def n_edits(self) -> int:
        return int(self.masks.shape[0])

    def prepare(self, n_edits: int) -> None:
        self.factor.prepare(n_edits)

    def column_blocks(self, rows: Array) -> Iterator[Array]:
        """Cut some groups into blocks, by the size of what is kept to solve without each."""
        base = self.base
        n_outputs = base.loss.n_outputs if isinstance(base, LinearObjective) else 1
        sizes = np.diff(self.masks.indptr)[rows]
        kept = np.minimum(sizes * n_outputs, base.n_params) * base.n_params
        if base.weighting.counted().shape[1]:  # weights that move: a factor for each
            n_blocks, size = base.block_shape()
            kept = np.full(len(rows), n_blocks * size**2)
        taken = np.cumsum(kept + n_outputs * base.n_samples) // edit_elements()
        yield from np.split(rows, np.flatnonzero(np.diff(taken)) + 1)

    def named(self, groups: Array) -> str:
        """Return what a warning calls some groups."""
        if self.names is None:
            return "these rows"
        return f"each of the groups {self.names[groups][:20].tolist()} ({len(groups)} in all)"


class FirstOrderGroups(GroupRemoval):
    """The sum of the first-order changes by the rows of each group, of any model."""

    method = "first_order"
    linear = True

    def changes(self, rows: Array) -> Array:
        masks, weighting = self.masks[rows], self.base.weighting
        z = weighting.derivative_shares(masks @ weighting.counted())
        A = self.base.sample_weight[:, None] * masks.T.toarray()
        pushes = self.base.weighted_grad_sum(A) + shared_directions(self.base) @ z.T
        return self.factor.solve(pushes)


class ExactGroups(GroupRemoval):
    """The change to the exact minimum without each group, of a linear model."""

    method = "exact"

    def changes(self, rows: Array) -> Array:
        problem, D = self.step(rows)
        self.minimise(rows, np.arange(len(rows)), problem, D)
        return D

    def edited(self, rows: Array) -> tuple[EditedGroups, Array]:
        """Return the objectives without some groups, and the joint Newton step of each."""
        assert isinstance(self.base, LinearObjective)
        problem = EditedGroups.leaving(
            self.base, self.masks[rows], self.factor, self.factorize, self.damping
        )
        D = problem.apply(problem.pushes)
        problem.caused = norm_in(problem.pushes, D)
        return problem, D

    def step(self, rows: Array) -> tuple[EditedGroups, Array]:
        """Return `edited`, after naming groups without which there is more than one optimum."""
        problem, D = self.edited(rows)
        flat = problem.flat
        if np.any(flat):
            warn(
                f"Without {self.named(rows[flat])} some direction of the parameters is not "
                "determined: there is more than one optimum. Values are those of the nearest; "
                "scikit-learn's own refit may choose another. Drop the columns that only these "
                "rows have, or fit with a penalty.",
                UserWarning,
            )
        return problem, D

    def minimise(self, rows: Array, chosen: Array, problem: EditedGroups, D: Array) -> None:
        """Overwrite chosen columns of the steps D without some groups by the minima."""
        if self.base.constant_hessian:  # one step is exact, and along flat directions all rounding
            chosen = chosen[~problem.flat[chosen]]
        if not len(chosen):
            return
        D[:, chosen], converged = minimise(problem.take(chosen), D[:, chosen], rtol=GROUP_RTOL)
        failed = rows[chosen[~converged]]
        if len(failed):
            warn(
                f"Without {self.named(failed)} no minimum was reached: the remaining rows may "
                "be separable, or the curvature nearly singular. Values are those of the last "
                "step. Fit with a stronger penalty, or leave these out.",
                ConvergenceWarning,
            )


@dataclass(frozen=True, eq=False)
class NewtonGroups(ExactGroups):
    """The joint Newton step without each group; the minimum where the step is not trusted.

    Attributes
    ----------
    guard : bool
        False: the steps as they are.
    """

    guard: bool = True
    method = "newton"

    def changes(self, rows: Array) -> Array:
        problem, D = self.step(rows)
        untrusted = np.empty(0, dtype=int)
        if self.base.constant_hessian:  # done in one step, but for its rounding
            untrusted = np.arange(len(rows))
        elif self.guard:
            untrusted = np.flatnonzero(~(problem.next_step(D) <= tuning().trusted_next_step))
        self.minimise(rows, untrusted, problem, D)
        return D

    def steps(self, rows: Array) -> tuple[Array, Array]:
        """Return the unguarded Newton steps of some groups, and how far each is from trusted.

        The doubt, shape (n_rows,), is the length of the next Newton step as a part of this one.
        """
        problem, D = self.step(rows)
        return D, problem.next_step(D)


class EditedGroups(Edited):
    """The objectives without each of m groups, with a solver for the curvature without each."""

    inverses: list[Inverse]

    @classmethod
    def leaving(
        cls,
        objective: LinearObjective,
        masks: Any,
        factor: Factor,
        factorize: Callable[[Objective], Factor],
        damping: float,
    ) -> EditedGroups:
        """Return the objectives without each row of `masks`, CSR of shape (m, n_samples)."""
        weighting, counts = objective.weighting, masks @ objective.weighting.counted()
        ratios = weighting.ratios(counts)
        w = weighting.weights(ratios, objective.sample_weight)
        scale = weighting.scales(ratios)
        columns = np.repeat(np.arange(masks.shape[0]), np.diff(masks.indptr))
        gone = masks.indices, columns
        A = np.zeros((objective.n_samples, masks.shape[0]))
        A[gone] = np.broadcast_to(w, A.shape)[gone]
        A *= scale
        pushes = objective.weighted_grad_sum(A) + shared_directions(objective) @ (1.0 - ratios).T
        out = cls(objective, factor, w, scale, gone, None, pushes, damping)
        out.inverses = []
        for j in range(masks.shape[0]):
            rows = masks.indices[masks.indptr[j] : masks.indptr[j + 1]]
            moved = w[:, j % w.shape[1]] * scale[j] if ratios.shape[1] else None
            out.inverses.append(inverse_without(objective, rows, moved, factor, factorize))
        return out

    def take(self, columns: Array) -> EditedGroups:
        out = super().take(columns)
        out.inverses = [self.inverses[j] for j in columns]
        return out

    @property
    def flat(self) -> Array:
        """Which of the curvatures have no inverse, bool of shape (m,)."""
        return np.array([isinstance(inverse, Nearest) for inverse in self.inverses], dtype=bool)

    def apply(self, V: Array) -> Array:
        """Return H_j^-1 v_j for every column, the curvature taken at theta."""
        solved = [inverse.solve(V[:, j : j + 1]) for j, inverse in enumerate(self.inverses)]
        return np.concatenate(solved, axis=1)

    def next_step(self, D: Array) -> Array:
        """Return the length of the Newton step from D as a part of that to the first one, (m,)."""
        if self.objective.constant_hessian:
            return np.zeros(self.m)
        return next_steps(self, D, self.unforeseen(D))


def inverse_without(
    objective: OutputObjective,
    rows: Array,
    weights: Array | None,
    factor: Factor,
    factorize: Callable[[Objective], Factor],
) -> Inverse:
    """Return what solves with the curvature without some rows.

    Parameters
    ----------
    objective : OutputObjective
        Over all rows.
    rows : ndarray of int
        The rows that leave.
    weights : ndarray of shape (n_samples,) or None
        The weights the others then have; None where they stay as they are.
    factor : Factor
        Of the curvature of all rows.
    factorize : callable
    """
    if not len(rows) and weights is None:
        return factor
    n_coupled = objective.loss.n_outputs if objective.coupled else 1
    if weights is None and len(rows) * n_coupled <= objective.block_shape()[1]:
        down_dated = _down_date(objective.rows(rows), factor)
        if down_dated is not None:
            return down_dated
    kept = np.delete(np.arange(objective.n_samples), rows)
    w = objective.sample_weight if weights is None else weights
    part = objective.rows(kept)
    part = part.with_weights(w[kept])
    try:
        return factorize(part)
    except SingularCurvatureError:
        return Nearest.of(part)


@dataclass(frozen=True, eq=False)
class DownDated(Inverse):
    """H_S^-1 = H^-1 + V (I - G Q)^-1 G V', V = H^-1 J_S', for each block of the curvature.

    Attributes
    ----------
    factor : Factor
    V : ndarray of shape (n_blocks, block_size, r)
    inner : ndarray of shape (n_blocks, r, r)
        (I - G Q)^-1 G.
    """

    factor: Factor
    V: Array
    inner: Array

    def solve(self, V: Array) -> Array:
        blocks = V.reshape(self.V.shape[0], self.V.shape[1], -1)
        correction = self.V @ (self.inner @ (self.V.transpose(0, 2, 1) @ blocks))
        return self.factor.solve(V) + correction.reshape(V.shape)


def _down_date(part: OutputObjective, factor: Factor) -> DownDated | None:
    """Return the factor without the rows of `part`; None where too little of it would be left."""
    n, K = part.n_samples, part.loss.n_outputs
    G = part.sample_weight.reshape(-1, *[1] * (1 if part.loss.separable else 2))
    G = G * part.output_hessians()
    if not part.coupled:  # one block per output, of the same features
        J = part.jacobian_t_rows(np.ones((n, K))).reshape(K, -1, n)
        V = factor.solve(J.reshape(-1, n)).reshape(J.shape)
        weight = G.T[:, :, None] * np.eye(n)
    else:
        J = np.stack([part.jacobian_t_rows(unit) for unit in part.units()], axis=2)
        J = J.reshape(1, part.n_params, n * K)
        V = factor.solve(J[0])[None]
        weight = np.zeros((1, n, K, n, K))
        weight[0, np.arange(n), :, np.arange(n)] = G if G.ndim == 3 else G[:, :, None] * np.eye(K)
        weight = weight.reshape(1, n * K, n * K)
    inner = np.empty_like(weight)
    Q = J.transpose(0, 2, 1) @ V
    for b in range(len(Q)):
        A = np.eye(Q.shape[1]) - weight[b] @ Q[b]
        lu, pivots, info = lapack.dgetrf(A)
        # Beside the identity: a matrix of one number, however small, is as well conditioned as any.
        size = max(1.0, float(np.linalg.norm(A, 1)))
        rcond = lapack.dgecon(lu, size)[0] if info == 0 else 0.0
        if rcond < tuning().down_date_rcond:
            return None
        inner[b], _ = lapack.dgetrs(lu, pivots, weight[b])
    return DownDated(factor, V, inner)


@dataclass(frozen=True, eq=False)
class Nearest(Inverse):
    """The shortest solution (in units of the columns) where the curvature has no inverse."""

    inverses: Array
    n_params: int

    @classmethod
    def of(cls, objective: Objective) -> Nearest:
        """Return the pseudo-inverse of the curvature of an objective."""
        H = objective.hessian_blocks()
        diagonal = np.diagonal(H, axis1=1, axis2=2)
        scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        scaled = H * scale[:, :, None] * scale[:, None, :]
        inverses = np.linalg.pinv(scaled, rcond=1e-11, hermitian=True)
        return cls(inverses * scale[:, :, None] * scale[:, None, :], objective.n_params)

    def solve(self, V: Array) -> Array:
        size = self.inverses.shape[1]
        blocks = V.reshape(-1, size, V.shape[1])
        return (self.inverses @ blocks).reshape(self.n_params, -1)
