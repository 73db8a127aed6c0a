"""What the curvature of an objective takes to form, to factorise and to multiply by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from scipy import sparse

from skinfluence.objectives import LinearObjective, Objective
from skinfluence.process.tuning import tuning


@dataclass(frozen=True)
class Work:
    """What the curvature of an objective takes, in multiplications.

    Attributes
    ----------
    forming : float
        Of its matrix.
    factor : float
        Of the Cholesky factor of that.
    solve : float
        Of a solve with it, for one column.
    product : float
        Of a product with one column.
    preconditioner : float
        Of the preconditioner that "auto" is.
    n_products : int
        Products that conjugate gradients take with that, about.
    n_outputs : int
        Columns that X meets in a product with one.
    sparse : bool
        X is.
    """

    forming: float
    factor: float
    solve: float
    product: float
    preconditioner: float
    n_products: int
    n_outputs: int
    sparse: bool


@singledispatch
def work(objective: Objective) -> Work | None:
    """Return what the curvature of an objective takes; None where nobody has counted."""
    return None


@work.register
def _(objective: LinearObjective) -> Work | None:
    if not objective.convex:
        return None
    K, (n_blocks, size) = objective.loss.n_outputs, objective.block_shape()
    is_sparse = sparse.issparse(objective.X)
    entries = objective.X.nnz if is_sparse else objective.n_samples * objective.block_size
    tiles = K * (K - 1) / 2 if objective.coupled and not objective.loss.separable else n_blocks
    tile = entries * objective.block_size / 2.0
    if is_sparse:  # and then its dense result
        tile = entries * entries / max(objective.n_samples, 1) + objective.block_size**2
    forming, factor, product = tiles * tile, n_blocks * size**3 / 6.0, 2.0 * K * entries
    subsampled = size <= tuning().subsampled_params
    return Work(
        forming,
        factor,
        solve=objective.n_params * float(size),
        product=product,
        # A classifier that fits has few rows in the subsample, which is in single precision.
        preconditioner=0.15 * forming + 0.5 * factor if subsampled else product,
        n_products=7 if subsampled else 60,
        n_outputs=K,
        sparse=is_sparse,
    )
