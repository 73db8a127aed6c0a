"""The largest eigenpairs of the curvature: an embedding whose inner products are the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature
from skinfluence.process.memory import require_memory
from skinfluence.process.tuning import tuning
from skinfluence.process.warnings import warn
from skinfluence.solvers.base import Factor, Numerics, SingularCurvatureError, Solver
from skinfluence.solvers.dense import singular
from skinfluence.solvers.iterative import gradient_probes, residual
from skinfluence.typing import Array

SINGULAR = 1e-13
"""Eigenvalue, relative to the largest, that is zero."""

PRECISE = 1e-10
"""Relative accuracy asked of eigenvalues."""


@dataclass(frozen=True)
class Arnoldi(Solver):
    """Invert the curvature on the span of its largest eigenvectors, U diag(1 / lambda) U'.

    What right-hand sides have outside that span is left out: a residual, which is warned of where
    it is large; `Nystroem` has the penalty there. The use of it is the embedding of low dimension,
    ``factor.embed(V)`` = diag(lambda^-1/2) U' V, whose inner products are the scores of first
    order. Found by the Lanczos iteration, to which that of Arnoldi comes down for symmetric
    matrices: two or three products with the curvature per eigenpair. Needs a positive definite
    curvature.

    Parameters
    ----------
    rank : int, default=100
        Eigenpairs; no more than there are parameters (without gauge directions) are taken.
    tol : float, default=0.1
        Residual above which there is a ConvergenceWarning: the part outside the span of eight
        right-hand sides that are like those of removals (gradients of the rows, with random
        signs).
    random_state : int, default=0
        The vector that the iteration starts from, and the signs.

    References
    ----------
    Schioppa, A., Zablotskaia, P., Vilar, D. & Sokolov, A. (2022). Scaling up influence functions.
    AAAI 36(8). doi:10.1609/aaai.v36i8.20791.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skinfluence import InfluenceClassifier
    >>> from skinfluence.solvers import Arnoldi
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = scale(X)
    >>> model = InfluenceClassifier(solver=Arnoldi(rank=25)).fit(X, y)
    >>> model.influence_scores(X[:2], y[:2], method="first_order").shape
    (2, 569)
    """

    approximate: ClassVar[bool] = True
    rank: int = 100
    tol: float = 0.1
    random_state: int = 0

    def factorize(self, curvature: Curvature) -> ArnoldiFactor:
        """Return the factor of `curvature`: its eigenpairs.

        Raises
        ------
        ValueError
            For parameters out of their range.
        MemoryError
            Before allocating, if the eigenvectors do not fit.
        SingularCurvatureError
            If one of the eigenvalues found is negative or zero.

        Warns
        -----
        ConvergenceWarning
            With the residual, where it is above `tol`, or where fewer eigenpairs were found.
        """
        if self.rank < 1 or not self.tol > 0:
            raise ValueError(
                f"{self} was given; rank >= 1 and tol > 0 are accepted. Try Arnoldi(rank=100)."
            )
        n = curvature.n_params
        rank = min(self.rank, n - len(curvature.flat_shifts()))
        counted = Counted(curvature)
        if n <= tuning().arnoldi_small or tuning().arnoldi_dense * rank >= n:
            values, vectors = _all(counted, rank)
        else:
            values, vectors = self._lanczos(counted, rank)
        largest = float(np.abs(values).max())
        if np.any(values < -SINGULAR * largest):
            raise SingularCurvatureError(
                f"The curvature of {n:,} parameters is not positive definite: {values.min():.3g} "
                "is among its largest eigenvalues in size. An embedding needs those that are "
                "positive; pass damping > 0, curvature='gauss_newton' where the model has raw "
                "predictions, or refine=True to move to a minimum."
            )
        if np.any(values <= SINGULAR * largest):
            raise singular(curvature, float(values.min()) / largest if largest else 0.0)
        factor = ArnoldiFactor(curvature, values, vectors, Numerics(curvature.damping))
        probes = gradient_probes(curvature, self.random_state)
        worst = float(residual(curvature, probes, factor.solve(probes)).max(initial=0.0))
        if worst > self.tol:
            warn(
                f"The span of {len(values)} eigenvectors leaves {worst:.1e} of typical right-hand "
                f"sides outside, and tol={self.tol:g} was asked for. Raise rank=, or pass "
                "solver='nystroem' where it is no embedding that is wanted.",
                ConvergenceWarning,
            )
        numerics = Numerics(curvature.damping, residual=worst, n_products=counted.n_products)
        return ArnoldiFactor(curvature, values, vectors, numerics)

    def _lanczos(self, counted: Counted, rank: int) -> tuple[Array, Array]:
        """Return the eigenpairs of largest size, largest first; warn where some were not found."""
        n = counted.curvature.n_params
        require_memory(
            4.0 * n * rank * 8,
            f"{rank:,} eigenvectors of {n:,} parameters",
            "Pass a lower rank=.",
        )
        H = LinearOperator(
            (n, n), matvec=lambda v: counted.matmat(v.reshape(n, 1))[:, 0], dtype=np.float64
        )
        start = np.random.RandomState(self.random_state).standard_normal((n, 1))
        v0 = counted.curvature.off_gauge(start)[:, 0]
        try:
            values, vectors = eigsh(H, rank, v0=v0, tol=PRECISE)
        except ArpackNoConvergence as stopped:
            values, vectors = stopped.eigenvalues, stopped.eigenvectors
            if not len(values):
                raise
            warn(
                f"{len(values)} of the {rank} eigenpairs asked for were found: many eigenvalues "
                "are alike. Pass a lower rank=.",
                ConvergenceWarning,
            )
        order = np.argsort(-values)
        return values[order], vectors[:, order]


@dataclass(frozen=True, eq=False)
class ArnoldiFactor(Factor):
    """U diag(1 / lambda) U'.

    Attributes
    ----------
    curvature : Curvature
    values : ndarray of shape (rank,)
        lambda, largest first.
    vectors : ndarray of shape (n_params, rank)
        U, orthonormal columns.
    numerics : Numerics
        The residual is that of typical right-hand sides.
    """

    approximate: ClassVar[bool] = True
    curvature: Curvature
    values: Array
    vectors: Array
    numerics: Numerics

    def solve(self, V: Array) -> Array:
        return self.vectors @ ((self.vectors.T @ V) / self.values[:, None])

    def embed(self, V: Array) -> Array:
        """Return lambda^-1/2 U' V, shape (rank, k): embed(A)' embed(B) is near A' H^-1 B."""
        return (self.vectors.T @ V) / np.sqrt(self.values)[:, None]


class Counted:
    """A curvature off its gauge, whose products are counted."""

    def __init__(self, curvature: Curvature) -> None:
        self.curvature, self.n_products = curvature, 0

    def matmat(self, V: Array) -> Array:
        """Return H V."""
        self.n_products += 1
        return self.curvature.off_gauge(self.curvature.matmat(V))


def _all(counted: Counted, rank: int) -> tuple[Array, Array]:
    """Return the eigenpairs of largest size, largest first, of the matrix in full."""
    n = counted.curvature.n_params
    require_memory(
        4.0 * n**2 * 8, f"The curvature of {n:,} parameters in full", "Pass a lower rank=."
    )
    H = counted.matmat(np.eye(n))
    values, vectors = eigh(0.5 * (H + H.T), overwrite_a=True)
    chosen = np.argsort(-np.abs(values), kind="stable")[:rank]
    chosen = chosen[np.argsort(-values[chosen], kind="stable")]
    return values[chosen], vectors[:, chosen]
