"""Randomised low rank plus diagonal (Nystroem): an approximate inverse, or a preconditioner."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature, Inverse
from skinfluence.process.tuning import tuning
from skinfluence.process.warnings import warn
from skinfluence.solvers.base import Factor, Numerics, Solver
from skinfluence.solvers.iterative import gradient_probes, residual
from skinfluence.solvers.row_factor import RowFactor
from skinfluence.solvers.sketch import Sketch
from skinfluence.solvers.woodbury import factorized
from skinfluence.typing import Array

LARGEST = 1024
"""Rank at which doubling ends where none is asked for."""

PRECONDITIONING = 200
"""Rank of a preconditioner."""

RAISED = 0.01
"""Part of the smallest eigenvalue of the sketch that a preconditioner has off its span.

Products of conjugate gradients with 20 right-hand sides, for 1, .1, .01 and .001 of it: ten digits
of MNIST (6,000 rows, C = 1), rank 200: 42, 36, 33, 33; a network of 2,260 parameters, rank 50: 42,
32, 28, 27 (without: 97)."""

SINGLE = 1e4
"""Times that digits may cancel in a preconditioner that is taken in single precision."""

ZERO = 1e-9
"""Eigenvalue, beside the largest, that a preconditioner puts in the place of a zero."""


@dataclass(frozen=True)
class Nystroem(Solver):
    """Invert F F' + D in the place of H = A + D: D its diagonal, F F' near A by a random sketch.

    A is what the losses add to the curvature, D the penalty and the damping. The sketch A Omega
    takes as many products with the curvature as its rank, for all blocks at once, and from it
    comes the approximation A Omega (Omega' A Omega)^-1 Omega' A, which errs by little more than
    the eigenvalues of A that it leaves out (Frangella, Tropp & Udell 2023); the inverse then
    follows by Woodbury's formula. Good where the curvature of the losses falls off fast, or below
    the penalty, within the rank. Parameters without a penalty (intercepts) are in the sketch one
    by one, and so inverted exactly. Needs a positive semidefinite curvature.

    Parameters
    ----------
    rank : int, optional
        Columns of the sketch, for every block. By default as many as it takes for `tol`, doubled
        from 64 on, 1,024 at most.
    tol : float, default=0.05
        Residual above which there is a ConvergenceWarning: what H leaves of eight right-hand sides
        that are like those of removals (gradients of the rows, with random signs).
    random_state : int, default=0
        The sketch.

    References
    ----------
    Frangella, Z., Tropp, J. A. & Udell, M. (2023). Randomized Nystroem preconditioning. SIAM J.
    Matrix Anal. Appl. 44. doi:10.1137/21M1466244.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skinfluence import InfluenceClassifier
    >>> from skinfluence.solvers import Nystroem
    >>> X, y = load_digits(return_X_y=True)
    >>> model = InfluenceClassifier(LogisticRegression(C=1e-3), solver=Nystroem())
    >>> model = model.fit(X / 16, y)
    >>> model.influence_scores(X[:2] / 16, y[:2], method="first_order").shape
    (2, 1797)
    """

    approximate: ClassVar[bool] = True
    rank: int | None = None
    tol: float = 0.05
    random_state: int = 0

    def factorize(self, curvature: Curvature) -> NystroemFactor:
        """Return the factor of `curvature`.

        Raises
        ------
        ValueError
            For parameters out of their range, or where more parameters are without a penalty than
            the sketch has columns.
        MemoryError
            Before allocating, if the sketch does not fit.
        SingularCurvatureError
            If the curvature is not positive semidefinite, or what has no penalty is not determined.

        Warns
        -----
        ConvergenceWarning
            With the residual, where it is above `tol`.
        """
        if (self.rank is not None and self.rank < 1) or not self.tol > 0:
            raise ValueError(
                f"{self} was given; rank >= 1 or None, and tol > 0 are accepted. Try Nystroem(), "
                "which doubles its rank until it is large enough."
            )
        sketch = Sketch.begin(curvature, self.random_state)
        n_free, size = sketch.omega.shape[2], sketch.omega.shape[1]
        if n_free == size or n_free > (LARGEST if self.rank is None else self.rank):
            raise ValueError(
                f"{n_free:,} of {size:,} parameters have neither penalty nor damping; a diagonal "
                "beside the low rank is needed, but for a few intercepts. Pass damping > 0, fit "
                "with a penalty, or pass solver='cholesky' or 'cg'."
            )
        rank = n_free + tuning().nystroem_start if self.rank is None else self.rank
        while True:
            sketch = sketch.grown(min(rank, size))
            factor = self._invert(curvature, sketch)
            worst = factor.numerics.residual or 0.0
            most = size if self.rank is not None else min(size, LARGEST)
            if worst <= self.tol or self.rank is not None or sketch.rank >= most:
                break
            rank = min(2 * rank, most)
        if worst > self.tol:
            warn(
                f"Nystroem of rank {sketch.rank} leaves {worst:.1e} of typical right-hand sides, "
                f"and tol={self.tol:g} was asked for: the curvature that it leaves out is not "
                "small beside penalty and damping. Raise rank= or damping=, or pass "
                "solver=CG(preconditioner='nystroem'), which iterates to the end.",
                ConvergenceWarning,
            )
        return factor

    def _invert(self, curvature: Curvature, sketch: Sketch) -> NystroemFactor:
        shifts = curvature.flat_shifts()
        pairs = zip(sketch.roots(), curvature.diagonal(), strict=True)
        inverse = RowFactor([factorized(Z, d, shifts) for Z, d in pairs], curvature.n_params)
        probes = gradient_probes(curvature, self.random_state)
        worst = residual(curvature, probes, inverse.solve(probes)).max(initial=0.0)
        numerics = Numerics(
            curvature.damping,
            rcond=inverse.rcond,
            residual=float(worst),
            n_products=sketch.n_products,
        )
        return NystroemFactor(inverse, sketch.rank, numerics)


@dataclass(frozen=True, eq=False)
class NystroemFactor(Factor):
    """(F F' + D)^-1 for every block.

    Attributes
    ----------
    inverse_by_rows : RowFactor
        By the rows of F'.
    rank : int
    numerics : Numerics
        The residual is that of typical right-hand sides.
    """

    approximate: ClassVar[bool] = True
    inverse_by_rows: RowFactor
    rank: int
    numerics: Numerics

    def solve(self, V: Array) -> Array:
        return self.inverse_by_rows.solve(V)

    def quadratic(self, B: Array, block: int) -> Array:
        return self.inverse_by_rows.quadratic(B, block)

    def inverse(self) -> Array:
        return self.inverse_by_rows.inverse()

    def inverse_diagonal(self) -> Array:
        return self.inverse_by_rows.inverse_diagonal()


@dataclass(frozen=True, eq=False)
class NystroemPreconditioner(Inverse):
    """P^-1 = E - W' W, E diagonal, for every block.

    Attributes
    ----------
    diagonal : ndarray of shape (n_blocks, block_size)
        E.
    rows : ndarray of shape (n_blocks, rank, block_size)
        W.
    cancels : float
        Times that E is larger than P^-1 along the sketch, where W' W takes it off again.
    """

    diagonal: Array
    rows: Array
    cancels: float

    @cached_property
    def _single(self) -> tuple[Array, Array]:
        if self.cancels > SINGLE:
            return self.diagonal, self.rows
        return self.diagonal.astype(np.float32), self.rows.astype(np.float32)

    def solve(self, V: Array) -> Array:
        """Return P^-1 V, shape (n_params, k), as precisely as V."""
        E, W = self._single if V.dtype == np.float32 else (self.diagonal, self.rows)
        n_blocks, size = E.shape
        columns = V.reshape(-1, size, V.shape[1]).astype(E.dtype, copy=False)
        out = np.empty_like(columns)
        for b, one in enumerate(columns):
            at = b % n_blocks
            out[b] = E[at][:, None] * one
            out[b] -= W[at].T @ (W[at] @ one)
        return out.reshape(V.shape).astype(V.dtype, copy=False)


def nystroem_preconditioner(
    curvature: Curvature, rank: int = PRECONDITIONING, random_state: int = 0
) -> NystroemPreconditioner:
    """Return the Nystroem preconditioner of a curvature, for conjugate gradients.

    Parameters
    ----------
    curvature : Curvature
        Positive semidefinite.
    rank : int, default=200
        Columns of the one product with the curvature that it takes, parameters without a penalty
        first.
    random_state : int

    Raises
    ------
    MemoryError
        Before allocating, if the sketch does not fit.
    SingularCurvatureError
        If the curvature of the losses is not positive semidefinite.
    """
    # With A near U L U', P = U (L - l)+ U' + D + l. Off the span of U, H lies between D and D + the
    # smallest of L, which Frangella et al. take for l: the least condition number. Most of what is
    # left out is far below it, and iterations go by that. Unit vectors may be along the gauge,
    # where L is zero: they do not count for the smallest.
    size = curvature.block_shape()[1]
    sketch = Sketch.begin(curvature, random_state)
    if 2 * sketch.omega.shape[2] > rank:
        none = np.empty((*sketch.omega.shape[:2], 0))
        sketch = Sketch(curvature, random_state, none, none)
    n_free = sketch.omega.shape[2]
    sketch = sketch.grown(min(rank, size))
    diagonal, rows, cancels = [], [], 1.0
    for root, D in zip(sketch.roots(), curvature.diagonal(), strict=True):
        _, values, Ut = linalg.svd(root.Z, full_matrices=False)
        values = values**2
        least = RAISED * float(values[len(values) - n_free - 1])
        least = max(least, ZERO * float(values[0]), np.finfo(np.float64).tiny)
        E = 1.0 / (D + least)
        Z = np.sqrt(np.maximum(values - least, 0.0))[:, None] * Ut
        gram = (Z * E) @ Z.T
        cancels = max(cancels, 1.0 + float(np.linalg.norm(gram, 2)))
        lower = linalg.cholesky(gram + np.eye(len(Z)), lower=True)
        diagonal.append(E)
        rows.append(linalg.solve_triangular(lower, Z * E, lower=True))
    return NystroemPreconditioner(np.stack(diagonal), np.stack(rows), cancels)
