"""Conjugate gradients for many right-hand sides at once; the matrix is never formed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature, Inverse
from skinfluence.memory import require_memory
from skinfluence.messages import warn
from skinfluence.solvers.base import SingularCurvatureError

Array = npt.NDArray[Any]

PRECONDITIONERS = ("auto", "heaviest", "kronecker")

SINGLE = 3e-5
"""Residual that is asked for in single precision, whose products are twice as fast."""

SLAB = 2**24
"""Numbers of right-hand sides that are solved for at once (128 MiB)."""

TOGETHER = 256
"""Right-hand sides that share their directions: their products grow as this squared."""

DEPENDENT = 1e-10
"""Part of a direction outside the span of the others below which it is none of its own."""


@dataclass(frozen=True)
class CG:
    """Preconditioned block conjugate gradients: right-hand sides share products and directions.

    Needs a positive definite curvature, and about six arrays of the size of the right-hand sides.
    Columns that have converged leave. The preconditioner is the model's own; networks have two.
    "heaviest" inverts what the few rows that weigh most add to the curvature; "kronecker" is the
    Gauss-Newton matrix factored layer by layer. Other models have none.

    Parameters
    ----------
    rtol : float, default=1e-7
        Norm of the residual, relative to that of the right-hand side, at which a column is done.
    max_iter : int, default=1000
        Products with the curvature; what is not done by then is warned of.
    preconditioner : {"auto", "heaviest", "kronecker", None}, default="auto"
        "auto" is "heaviest" for networks, which takes fewest products (see the page "Networks" of
        the documentation); None for plain conjugate gradients.

    References
    ----------
    Hestenes, M. R. & Stiefel, E. (1952). Methods of conjugate gradients for solving linear
    systems. J. Res. NBS 49(6). doi:10.6028/jres.049.044.
    Ji, H. & Li, Y. (2017). A breakdown-free block conjugate gradient method. BIT 57.
    doi:10.1007/s10543-016-0631-z.
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
        if self.preconditioner not in (*PRECONDITIONERS, None):
            raise ValueError(
                f"preconditioner={self.preconditioner!r} was given; accepted are "
                f"{PRECONDITIONERS} and None. Leave it at 'auto'."
            )
        found = None
        if self.preconditioner is not None:
            found = curvature.preconditioner(self.preconditioner)
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
        width = int(np.clip(SLAB // len(V), 1, TOGETHER))
        for start in range(0, V.shape[1], width):
            part = slice(start, start + width)
            out[:, part], residuals = self._solve(self._off_gauge(V[:, part]))
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

    def _solve(self, B: Array) -> tuple[Array, Array]:
        """Return H^-1 B and the residuals; in single precision first, where products take it.

        What is left of B in double precision is solved for again (iterative refinement), and in
        double precision where single does not get nearer.
        """
        single = self.curvature.single
        if not single:
            return self._iterate(B, self.rtol, single=False)
        X = np.zeros(B.shape)
        sizes = np.linalg.norm(B, axis=0)
        left, R = np.where(sizes > 0, 1.0, 0.0), B
        while np.any(left > self.rtol):
            todo = np.flatnonzero(left > self.rtol)
            wanted = 0.5 * self.rtol / float(left[todo].max())
            try:
                D, _ = self._iterate(
                    R[:, todo], max(wanted, SINGLE) if single else wanted, single=single
                )
            except SingularCurvatureError:
                if not single:
                    raise
                single = False
                continue
            X[:, todo] += D
            R = B - self.curvature.matmat(X)
            before, left = left, np.linalg.norm(R, axis=0) / np.where(sizes > 0, sizes, 1.0)
            if np.all(left[todo] > 0.1 * before[todo]):
                if not single:  # out of iterations, or down to rounding
                    break
                single = False
        return X, left

    def _iterate(self, B: Array, rtol: float, *, single: bool) -> tuple[Array, Array]:
        if not single:
            return conjugate_gradients(self.curvature.matmat, self.rough, B, rtol, self.max_iter)

        def times(V: Array) -> Array:
            product: Array = self.curvature.matmat(V.astype(np.float32)).astype(np.float64)
            return product

        def near(V: Array) -> Array:
            return self.rough(V.astype(np.float32)).astype(np.float64)

        return conjugate_gradients(times, near, B, rtol, self.max_iter)

    def rough(self, V: Array) -> Array:
        """Return the preconditioner times V."""
        return self._off_gauge(V if self.preconditioner is None else self.preconditioner.solve(V))

    def _off_gauge(self, V: Array) -> Array:
        """Return V without what is along the directions that the curvature maps to zero."""
        shifts = self.curvature.flat_shifts()
        if shifts:
            V = V.copy()
        for shift in shifts:
            V[shift] -= V[shift].mean(axis=0)
        return V

    def quadratic(self, B: Array, block: int) -> Array:
        first, size = self._place(block)
        columns = np.zeros((self.curvature.n_params, B.shape[1]))
        columns[first : first + size] = B
        products: Array = np.einsum("ij,ij->j", B, self.solve(columns)[first : first + size])
        return products

    def _place(self, block: int) -> tuple[int, int]:
        """Return where the parameters of a block begin, and how many it has."""
        size = self.curvature.block_shape()[1]
        return block * size, size

    def inverse(self) -> Array:
        n_blocks, size = self.curvature.block_shape()
        require_memory(
            8.0 * 8 * n_blocks * size * self.curvature.n_params,
            f"The inverse curvature of {self.curvature.n_params:,} parameters",
            "Ask for fewer rows at a time.",
        )
        return np.stack([self._columns(b, np.arange(size)) for b in range(n_blocks)])

    def _columns(self, block: int, chosen: Array) -> Array:
        """Return some columns of the inverse of a block, shape (block_size, n_chosen)."""
        first, size = self._place(block)
        units = np.zeros((self.curvature.n_params, len(chosen)))
        units[first + chosen, np.arange(len(chosen))] = 1.0
        return self.solve(units)[first : first + size]

    def inverse_diagonal(self) -> Array:
        n_blocks, size = self.curvature.block_shape()
        out = np.empty((n_blocks, size))
        for b in range(n_blocks):
            for part in np.array_split(np.arange(size), -(-size // TOGETHER)):
                out[b, part] = self._columns(b, part)[part, np.arange(len(part))]
        return out


def conjugate_gradients(
    times: Callable[[Array], Array],
    precondition: Callable[[Array], Array],
    B: Array,
    rtol: float,
    max_iter: int,
) -> tuple[Array, Array]:
    """Solve H X = B for every column; return X and the norms of the residuals, relative to B.

    All columns share their directions: the error of each is the least, in the norm of H, over the
    space that all of them have spanned.

    Raises
    ------
    SingularCurvatureError
        Where a direction has no positive curvature.
    """
    X = np.zeros(B.shape)
    sizes = np.linalg.norm(B, axis=0)
    left = np.where(sizes > 0, 1.0, 0.0)
    open_ = np.flatnonzero(sizes > 0)
    R = np.array(B[:, open_], dtype=np.float64) / sizes[open_]
    P = _directions(precondition(R)) if len(open_) else R
    for _ in range(max_iter if len(open_) else 0):
        HP = times(P)
        try:
            curved = linalg.cho_factor(P.T @ HP)
        except linalg.LinAlgError:
            raise SingularCurvatureError(
                "Conjugate gradients met a direction without positive curvature: the curvature is "
                "singular or indefinite. Pass damping > 0, or curvature='gauss_newton' where there "
                "is one."
            ) from None
        alpha = linalg.cho_solve(curved, P.T @ R)
        X[:, open_] += P @ alpha
        R -= HP @ alpha
        left[open_] = np.linalg.norm(R, axis=0)
        kept = np.flatnonzero(left[open_] > rtol)
        open_, R = open_[kept], R[:, kept]
        if not len(open_):
            break
        Z = precondition(R)
        P = _directions(Z - P @ linalg.cho_solve(curved, HP.T @ Z))
    return X * sizes, left


def _directions(Z: Array) -> Array:
    """Return an orthonormal basis of the columns of Z.

    Columns that hardly differ from the span of the others are left out, where plain block
    conjugate gradients break down (Ji & Li 2017).
    """
    sizes = np.linalg.norm(Z, axis=0)
    Z = Z[:, sizes > 0] / sizes[sizes > 0]
    if not Z.shape[1]:
        return Z
    Q, T, _ = linalg.qr(Z, mode="economic", pivoting=True)
    size = np.abs(np.diag(T))
    basis: Array = Q[:, size > DEPENDENT * size[0]]
    return basis
