"""Quadratic forms of the rows in the inverse curvature, whose product with G are leverages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch

import numpy as np

from skinfluence.objectives import LinearObjective, OutputObjective
from skinfluence.objectives.gram import with_intercept
from skinfluence.process.blocks import row_blocks
from skinfluence.process.progress import counted
from skinfluence.solvers import Factor
from skinfluence.typing import Array

ALONE = 1e-6
"""A row whose leverage is within this of 1 (nearly) alone determines some direction.

1 - h has lost six digits there; without the row the curvature is formed anew.
"""


def some_unpenalised(objective: LinearObjective) -> bool:
    """Return whether rows alone determine the coefficient of a feature: it has no penalty."""
    penalties = objective.spread(objective.l2[:, None]).reshape(-1, objective.block_size)
    return bool(np.any(penalties[:, : objective.X.shape[1]] == 0))


def quadratic_forms(objective: OutputObjective, factor: Factor) -> Iterator[tuple[slice, Array]]:
    """Yield (rows, Q) with Q_i = J_i H^-1 J_i' for blocks of rows.

    Q has shape (n_rows, K, K); its diagonal alone, shape (n_rows, K), where the curvature falls
    into a block per output (not `coupled`).

    Parameters
    ----------
    objective : OutputObjective
        Over the rows.
    factor : Factor
        Of the curvature.
    """
    n = objective.n_samples
    forms = _forms(objective, factor)
    return counted(forms, f"the leverages of {n:,} rows", n, size=lambda form: len(form[1]))


@singledispatch
def _forms(objective: OutputObjective, factor: Factor) -> Iterator[tuple[slice, Array]]:
    K = objective.loss.n_outputs
    for index in row_blocks(objective.n_samples, K * objective.n_params):
        part = objective.rows(index)
        J = np.stack([part.jacobian_t_rows(unit) for unit in part.units()], axis=2)
        solved = factor.solve(J.reshape(objective.n_params, -1)).reshape(J.shape)
        yield index, np.einsum("pik,pil->ikl", J, solved, optimize=True)


@_forms.register
def _(objective: LinearObjective, factor: Factor) -> Iterator[tuple[slice, Array]]:
    n, n_outputs = objective.n_samples, objective.loss.n_outputs
    in_row_space = factor.quadratics(objective)
    if in_row_space is not None:
        shape = (n_outputs, n_outputs) if objective.coupled else (n_outputs,)
        yield slice(0, n), in_row_space.reshape(n, *shape)
    elif not objective.coupled:
        yield from _by_output(objective, factor)
    elif objective.free is not None or n * n_outputs < objective.n_params:
        yield from _by_solves(objective, factor)  # fewer than the inverse has columns
    else:
        yield from _by_inverse(objective, factor)


def _by_output(objective: LinearObjective, factor: Factor) -> Iterator[tuple[slice, Array]]:
    n_outputs, n_blocks = objective.loss.n_outputs, objective.block_shape()[0]
    for index in row_blocks(objective.n_samples, max(objective.block_size, n_outputs)):
        Xt = with_intercept(objective.X[index], objective.fit_intercept).T
        q = [factor.quadratic(Xt, k) for k in range(n_blocks)]
        yield index, np.broadcast_to(np.column_stack(q), (Xt.shape[1], n_outputs))


def _by_solves(objective: LinearObjective, factor: Factor) -> Iterator[tuple[slice, Array]]:
    for index in row_blocks(objective.n_samples, objective.loss.n_outputs * objective.n_params):
        part = objective.rows(index)
        solved = [factor.solve(part.jacobian_t_rows(unit)) for unit in part.units()]
        Q = np.stack([part.jacobian_rows_dot(V) for V in solved], axis=2)
        yield index, np.einsum("ikk->ik", Q) if objective.loss.separable else Q


def _by_inverse(objective: LinearObjective, factor: Factor) -> Iterator[tuple[slice, Array]]:
    n_outputs, d = objective.loss.n_outputs, objective.block_size
    M = factor.inverse()[0].reshape(n_outputs, d, n_outputs, d)
    for index in row_blocks(objective.n_samples, max(d, n_outputs**2)):
        Xb = with_intercept(objective.X[index], objective.fit_intercept)
        Q = np.empty((len(Xb), n_outputs, n_outputs))
        for k in range(n_outputs):
            for m in range(k, n_outputs):
                Q[:, k, m] = Q[:, m, k] = np.einsum("ij,ij->i", Xb @ M[k, :, m], Xb)
        yield index, Q
