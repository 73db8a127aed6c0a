"""Conjugate gradients for many right-hand sides at once; the matrix is never formed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature, Inverse
from skinfluence.memory import require_memory
from skinfluence.messages import warn
from skinfluence.solvers.base import SingularCurvatureError

Array = npt.NDArray[Any]

SLAB = 2**24
"""Numbers of right-hand sides that are solved for at once (128 MiB)."""


@dataclass(frozen=True)
class CG:
    """Preconditioned conjugate gradients, all right-hand sides in one product with the curvature.

    Needs a positive definite curvature, and about six arrays of the size of the right-hand sides.
    Columns that have converged leave. The preconditioner is the model's own: for networks the
    Gauss-Newton matrix factored layer by layer into Kronecker products; other models have none.

    Parameters
    ----------
    rtol : float, default=1e-7
        Norm of the residual, relative to that of the right-hand side, at which a column is done.
    max_iter : int, default=1000
        Products with the curvature; what is not done by then is warned of.
    preconditioner : {"auto", None}, default="auto"
        None for plain conjugate gradients.

    References
    ----------
    Hestenes, M. R. & Stiefel, E. (1952). Methods of conjugate gradients for solving linear
    systems. J. Res. NBS 49(6). doi:10.6028/jres.049.044.
    Martens, J. & Grosse, R. (2015). Optimizing neural networks with Kronecker-factored approximate
    curvature. ICML. arXiv:1503.05671.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn.preprocessing import scale
    >>> from skinfluence import InfluenceClassifier
    >>> from skinfluence.solvers import CG
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = scale(X)
    >>> network = MLPClassifier((8,), solver="lbfgs", alpha=1.0, random_state=0)
    >>> model = InfluenceClassifier(network, solver=CG(), damping=1.0).fit(X, y)
    >>> model.influence_scores(X[:2], y[:2]).shape
    (2, 569)
    """

    rtol: float = 1e-7
    max_iter: int = 1000
    preconditioner: str | None = "auto"

    def factorize(self, curvature: Curvature) -> CGFactor:
        """Return the factor of `curvature`: its preconditioner.

        Raises
        ------
        ValueError
            For parameters out of their range.
        """
        if not 0.0 < self.rtol < 1.0 or self.max_iter < 1:
            raise ValueError(
                f"CG(rtol={self.rtol!r}, max_iter={self.max_iter!r}) was given; 0 < rtol < 1 and "
                "max_iter >= 1 are accepted. Try CG(rtol=1e-7)."
            )
        if self.preconditioner not in ("auto", None):
            raise ValueError(
                f"preconditioner={self.preconditioner!r} was given; accepted are 'auto' and None."
            )
        found = curvature.preconditioner() if self.preconditioner == "auto" else None
        return CGFactor(curvature, found, self.rtol, self.max_iter)


@dataclass(frozen=True, eq=False)
class CGFactor:
    """H^-1 by iteration.

    Attributes
    ----------
    curvature : Curvature
    preconditioner : Inverse or None
    rtol : float
    max_iter : int
    """

    curvature: Curvature
    preconditioner: Inverse | None
    rtol: float
    max_iter: int

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (n_params, k).

        Warns
        -----
        ConvergenceWarning
            With the largest residual, where `max_iter` was not enough.
        """
        out = np.zeros(V.shape)
        worst, n_open = 0.0, 0
        width = max(1, SLAB // len(V))
        for start in range(0, V.shape[1], width):
            part = slice(start, start + width)
            out[:, part], residuals = conjugate_gradients(
                self.curvature.matmat, self.rough, V[:, part], self.rtol, self.max_iter
            )
            worst = max(worst, float(residuals.max(initial=0.0)))
            n_open += int(np.sum(residuals > self.rtol))
        if n_open:
            warn(
                f"Conjugate gradients stopped at max_iter={self.max_iter} with {n_open} of "
                f"{V.shape[1]} right-hand sides unsolved; the largest residual is {worst:.1e} of "
                f"its right-hand side, and rtol={self.rtol:g} was asked for. Raise damping=, or "
                "pass solver=CG(max_iter=..., rtol=...).",
                ConvergenceWarning,
            )
        return out

    def rough(self, V: Array) -> Array:
        """Return the preconditioner times V."""
        return V if self.preconditioner is None else self.preconditioner.solve(V)

    def quadratic(self, B: Array, block: int) -> Array:
        products: Array = np.einsum("ij,ij->j", B, self.solve(B))
        return products

    def inverse(self) -> Array:
        P = self.curvature.n_params
        require_memory(
            8.0 * 8 * P**2,
            f"The inverse curvature of {P:,} parameters",
            "Ask for fewer rows at a time.",
        )
        return self.solve(np.eye(P))[None]

    def inverse_diagonal(self) -> Array:
        P = self.curvature.n_params
        out = np.empty(P)
        width = max(1, SLAB // P)
        for start in range(0, P, width):
            here = np.arange(start, min(start + width, P))
            unit = np.zeros((P, len(here)))
            unit[here, np.arange(len(here))] = 1.0
            out[here] = self.solve(unit)[here, np.arange(len(here))]
        return out[None]


def conjugate_gradients(
    times: Callable[[Array], Array],
    precondition: Callable[[Array], Array],
    B: Array,
    rtol: float,
    max_iter: int,
) -> tuple[Array, Array]:
    """Solve H X = B for every column; return X and the norms of the residuals, relative to B.

    Raises
    ------
    SingularCurvatureError
        Where a direction has no positive curvature.
    """
    X = np.zeros(B.shape)
    sizes = np.linalg.norm(B, axis=0)
    left = np.where(sizes > 0, 1.0, 0.0)
    open_ = np.flatnonzero(sizes > 0)
    R = np.array(B[:, open_], dtype=np.float64)
    Z = precondition(R)
    P, rz = Z.copy(), np.einsum("ij,ij->j", R, Z)
    for _ in range(max_iter):
        if not len(open_):
            break
        HP = times(P)
        curved = np.einsum("ij,ij->j", P, HP)
        if not np.all(curved > 0):
            raise SingularCurvatureError(
                "Conjugate gradients met a direction without positive curvature: the curvature is "
                "singular or indefinite. Pass damping > 0, or curvature='gauss_newton' where there "
                "is one."
            )
        alpha = rz / curved
        X[:, open_] += alpha * P
        R -= alpha * HP
        left[open_] = np.linalg.norm(R, axis=0) / sizes[open_]
        kept = np.flatnonzero(left[open_] > rtol)
        if len(kept) < len(open_):
            open_, R, P, rz = open_[kept], R[:, kept], P[:, kept], rz[kept]
        Z = precondition(R)
        new = np.einsum("ij,ij->j", R, Z)
        P *= new / rz
        P += Z
        rz = new
    return X, left
