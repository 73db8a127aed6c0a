"""Assemble dense curvature blocks for a factorisation; the errors of those that have none."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh, eigvalsh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from skinfluence.curvature import Curvature
from skinfluence.process.memory import require_memory
from skinfluence.process.tuning import tuning
from skinfluence.solvers.base import SingularCurvatureError
from skinfluence.typing import Array

FLAT = 1e-12
"""Eigenvalue, beside the largest, of a direction that is flat."""


def form(curvature: Curvature) -> Array:
    """Return the blocks of a curvature without what makes it singular by construction.

    Every block is in Fortran order, to be overwritten by its factor. Directions that the curvature
    promises to be flat get a curvature like their parameters', and so do those of a network that no
    training row moves.

    Raises
    ------
    MemoryError
        Before allocating, if the blocks do not fit.
    SingularCurvatureError
        If they are not finite.
    """
    n_blocks, size = curvature.block_shape()
    advice = (
        "Fit the model on fewer features (SelectKBest, TruncatedSVD, max_features= of a "
        "vectorizer), or pass a solver object that does not form the matrix."
    )
    if curvature.objective.kind == "linear" and not curvature.objective.convex:
        advice += (
            " If its loss is convex, let the loss say so (convex = True): the model can then be "
            "factorised by its rows."
        )
    require_memory(
        2.0 * n_blocks * size**2 * 8,
        f"The curvature of {curvature.n_params:,} parameters and its factor",
        advice,
    )
    H = curvature.blocks()
    if not np.all(np.isfinite(np.diagonal(H, axis1=1, axis2=2))):
        raise SingularCurvatureError(
            "The curvature is not finite: the fitted parameters or the features overflow. Scale "
            "the features (StandardScaler) and fit again."
        )
    _curve_shifts(H[0], curvature)
    if curvature.objective.kind == "network":
        # What no training row moves, as the weights of a unit that is never active, stays.
        idle = np.flatnonzero(np.diagonal(H[0]) == 0.0)
        idle = idle[~np.any(H[0][idle], axis=1)]
        H[0, idle, idle] = 1.0
    if curvature.flat is not None:
        fill = np.mean(np.abs(np.diagonal(H[0])))
        H[0] += fill * curvature.flat @ curvature.flat.T
    if H[0].flags.f_contiguous:
        return H
    return np.ascontiguousarray(H).transpose(0, 2, 1)  # the same numbers: they are symmetric


def _curve_shifts(H: Array, curvature: Curvature) -> None:
    """Add a curvature along the shifts of parameters that a block is promised to be flat along.

    H is zero along them, so any multiple of the projector may be added; right-hand sides of
    removals have no part there.
    """
    for parameters in curvature.flat_shifts():
        fill = np.mean(np.abs(H[parameters, parameters])) / len(parameters)
        H[np.ix_(parameters, parameters)] += fill if fill > 0 else 1.0


def flat_directions(curvature: Curvature) -> Array | None:
    """Return orthonormal directions that a curvature of one block maps to zero, (n_params, r).

    None where there are none.
    """
    n = curvature.n_params
    require_memory(
        4.0 * n**2 * 8,
        f"The eigenvectors of the curvature of {n:,} parameters",
        "Pass damping > 0, or method='exact', which needs no inverse.",
    )
    H = curvature.blocks()[0]
    _curve_shifts(H, curvature)
    values, vectors = eigh(H)
    flat: Array = vectors[:, np.abs(values) < FLAT * values[-1]]
    return flat if flat.shape[1] else None


def rescale(H: Array, scale: Array) -> None:
    """Overwrite a matrix H by S H S."""
    H *= scale
    H *= scale[:, None]


def blockwise(V: Array, shape: tuple[int, ...], solve: Callable[[int, Array], Array]) -> Array:
    """Return a map of every block of V, shape (n_params, k), for `shape` (n_blocks, block_size).

    ``solve(b, columns)`` may overwrite the columns of block b, shape (block_size, any). Where one
    block is stored for all, they come at once.
    """
    n_params, k = V.shape
    n_blocks, size = shape
    if not k:
        return np.empty((n_params, 0))
    V = V.reshape(-1, size, k)
    out = np.empty(V.shape)
    for b in range(n_blocks):
        stored = slice(None) if n_blocks == 1 else slice(b, b + 1)
        columns = np.array(V[stored].transpose(1, 0, 2), dtype=np.float64).reshape(size, -1)
        out[stored] = solve(b, columns).reshape(size, -1, k).transpose(1, 0, 2)
    return out.reshape(n_params, k)


def diagonal_off_gauge(inverse: Array, shifts: list[Array]) -> Array:
    """Return the diagonal of an inverse, (n_blocks, block_size), on the complement of the gauge."""
    diagonal: Array = np.diagonal(inverse, axis1=1, axis2=2).copy()
    for shift in shifts:
        # A common shift is an eigenvector, at whatever value the factor was given there.
        along = inverse[0][np.ix_(shift, shift)].sum() / len(shift)
        diagonal[0, shift] -= along / len(shift)
    return diagonal


def singular(curvature: Curvature, rcond: float) -> SingularCurvatureError:
    """Return the error of a curvature without an inverse: its likely causes, and what is left."""
    model, n_rows = curvature.objective, curvature.objective.n_samples
    causes = []
    if n_rows < model.block_shape()[1]:
        causes.append(f"more parameters than the {n_rows:,} rows")
    causes.append("constant, repeated or collinear columns, nearly so or exactly")
    if not getattr(model, "constant_hessian", False):
        causes.append("rows that are fitted so surely that the loss is flat (separated classes)")
    penalty = "a larger penalty" if np.any(model.l2 > 0) else "a penalty (Ridge, a finite C)"
    damping = "a larger damping" if curvature.damping > 0 else "damping > 0"
    return SingularCurvatureError(
        f"The curvature of {curvature.n_params} parameters is singular (reciprocal condition "
        f"number {rcond:.1e}): the fitted model is not the only optimum. Likely causes: "
        f"{'; '.join(causes)}. Drop such columns, fit with {penalty}, or pass {damping}."
    )


def smallest_eigenvalue(curvature: Curvature) -> float | None:
    """Return about the smallest eigenvalue, by Lanczos where there are many; None if unknown."""
    n = curvature.n_params
    if n <= tuning().dense_eigenvalue_params:
        return min(float(eigvalsh(H, subset_by_index=(0, 0))[0]) for H in curvature.blocks())
    H = LinearOperator(
        (n, n), matvec=lambda v: curvature.matmat(v.reshape(n, 1))[:, 0], dtype=np.float64
    )
    start = np.random.RandomState(0).standard_normal(n)
    try:
        values = eigsh(H, 1, which="SA", v0=start, tol=1e-3, maxiter=20, return_eigenvectors=False)
        return float(values[0])
    except ArpackNoConvergence:
        return None


def advice(damping: float, smallest: float | None) -> str:
    """Return what to do about a curvature with a negative eigenvalue, damping included in it."""
    needed = "damping=, more than the size of the most negative eigenvalue"
    if smallest is not None:  # rounded up: it is printed short
        needed = (
            f"damping > {1.001 * max(damping - smallest, 0.0):.4g} (twice that, to be away from "
            "the pole)"
        )
    return (
        f"Pass {needed}, refine=True to move to a minimum, curvature='gauss_newton' where the "
        "model has raw predictions, or solver='lu' to score the parameters as they are."
    )
