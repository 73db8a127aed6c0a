"""Conjugate gradients for many right-hand sides at once; the matrix is never formed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature, Inverse
from skinfluence.process.blocks import n_rows_of, row_blocks
from skinfluence.process.progress import counted
from skinfluence.process.tuning import tuning
from skinfluence.process.warnings import warn
from skinfluence.solvers.base import (
    COLUMNS_AT_ONCE,
    Factor,
    Numerics,
    SingularCurvatureError,
    Solver,
)
from skinfluence.solvers.iterative import SolveStatistics
from skinfluence.solvers.nystroem import nystroem_preconditioner
from skinfluence.typing import Array

SINGLE = 3e-5
"""Residual that is asked for in single precision, whose products are twice as fast."""


SHORT = 3
"""Products after which residuals that are carried along are still those of the answer."""

DEPENDENT = 1e-10
"""Part of a direction outside the span of the others below which it is none of its own."""


@dataclass(frozen=True)
class CG(Solver):
    """Preconditioned block conjugate gradients: right-hand sides share products and directions.

    Needs a positive definite curvature, and about six arrays of the size of the right-hand sides.
    Columns that have converged leave.

    Parameters
    ----------
    rtol : float, default=1e-7
        Norm of the residual, relative to that of the right-hand side, at which a column is done.
    max_iter : int, default=1000
        Products with the curvature, of up to 256 right-hand sides at once; what is not done by then
        is warned of.
    preconditioner : str or None, default="auto"
        A cheap inverse of something near the curvature; None for plain conjugate gradients.

        - "subsampled" (linear models): the Hessian of the few rows that carry .99 of it, factorised
          in single precision. "block": the Hessian of every output alone. "jacobi": its diagonal.
        - "dominant_rows" (networks): what the few dominant rows add to the Gauss-Newton
          matrix; "kronecker": that matrix factored layer by layer.
        - "nystroem" (all models): a low-rank approximation from random products.
        - "auto" is the first of the model's own, which takes fewest products by far (see the page
          "Solvers" of the documentation); "jacobi" where that is too large to be factorised; none
          for models of your own.

    References
    ----------
    Hestenes, M. R. & Stiefel, E. (1952). Methods of conjugate gradients for solving linear
    systems. J. Res. NBS 49(6). doi:10.6028/jres.049.044.
    Ji, H. & Li, Y. (2017). A breakdown-free block conjugate gradient method. BIT 57.
    doi:10.1007/s10543-016-0631-z.
    Frangella, Z., Tropp, J. A. & Udell, M. (2023). Randomized Nystroem preconditioning. SIAM J.
    Matrix Anal. Appl. 44(2). doi:10.1137/21M1466244.
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
            For parameters out of their range, and a preconditioner that the model has not.
        """
        if not 0.0 < self.rtol < 1.0 or self.max_iter < 1:
            raise ValueError(
                f"CG(rtol={self.rtol!r}, max_iter={self.max_iter!r}) was given; 0 < rtol < 1 and "
                "max_iter >= 1 are accepted. Try CG(rtol=1e-7)."
            )
        inverse: Inverse | None = None
        if self.preconditioner == "nystroem":
            inverse = nystroem_preconditioner(curvature)
        elif self.preconditioner is not None:
            inverse = curvature.preconditioner(self.preconditioner)
            if inverse is None and self.preconditioner != "auto":
                raise ValueError(
                    f"preconditioner={self.preconditioner!r} was given, but this curvature has "
                    "none: its loss is not convex, or single precision does not tell it from a "
                    "singular one. Use preconditioner='auto', or raise damping=."
                )
        return CGFactor(curvature, inverse, self.rtol, self.max_iter)


@dataclass(frozen=True, eq=False)
class CGFactor(Factor):
    """H^-1 by iteration.

    Attributes
    ----------
    curvature : Curvature
    preconditioner : Inverse or None
    rtol : float
    max_iter : int
    record : SolveStatistics
    """

    curvature: Curvature
    preconditioner: Inverse | None
    rtol: float
    max_iter: int
    record: SolveStatistics = field(default_factory=SolveStatistics)

    @property
    def numerics(self) -> Numerics:  # type: ignore[override]
        return Numerics(
            self.curvature.damping,
            residual=self.record.residual,
            n_products=self.record.n_products,
        )

    def solve(self, V: Array, start: Array | None = None) -> Array:
        """Return H^-1 V, shape (n_params, k), from a guess of the same shape if there is one.

        Warns
        -----
        ConvergenceWarning
            With the largest residual, where `max_iter` was not enough.
        """
        out, n_open, worst = self.attempt(V, start)
        if n_open:
            warn(
                f"Conjugate gradients stopped at max_iter={self.max_iter} with {n_open} of "
                f"{V.shape[1]} right-hand sides unsolved; the largest residual is {worst:.1e} of "
                f"its right-hand side, and rtol={self.rtol:g} was asked for. Raise damping=, or "
                "pass solver=CG(max_iter=..., rtol=...).",
                ConvergenceWarning,
            )
        return out

    def attempt(self, V: Array, start: Array | None = None) -> tuple[Array, int, float]:
        """Return H^-1 V as far as it was found, how many columns were not, the largest residual."""
        out = np.zeros(V.shape)
        worst, n_open = 0.0, 0
        width = int(np.clip(tuning().cg_elements // len(V), 1, COLUMNS_AT_ONCE))
        what = f"{V.shape[1]:,} solves for {len(V):,} parameters by conjugate gradients"
        blocks = row_blocks(V.shape[1], 1, width)
        for part in counted(blocks, what, V.shape[1], size=n_rows_of, unit="solves"):
            B = self.curvature.off_gauge(V[:, part])
            guess = None
            if start is not None:
                guess = np.where(np.any(B, axis=0), self.curvature.off_gauge(start[:, part]), 0.0)
            times = _Counted(self.curvature)
            out[:, part], residuals = self._solve(B, guess, times)
            worst = max(worst, float(residuals.max(initial=0.0)))
            n_open += int(np.sum(residuals > self.rtol))
            self.record.add(float(residuals.max(initial=0.0)), times.n_products)
        return out, n_open, worst

    def _solve(self, B: Array, start: Array | None, times: _Counted) -> tuple[Array, Array]:
        """Return H^-1 B and the residuals; in single precision first, where products take it.

        What is left of B in double precision is solved for again (iterative refinement), and in
        double precision where single does not get nearer. All that shares `max_iter` products.
        """
        single = self.curvature.single and self.max_iter > 2
        sizes = np.linalg.norm(B, axis=0)
        safe = np.where(sizes > 0, sizes, 1.0)
        if not single:
            X, residuals = conjugate_gradients(
                times, self.precondition, B, self.rtol, self.max_iter, start
            )
            short = times.n_products <= SHORT or times.n_products >= self.max_iter
            if short or _as_near_as_it_says(times, X, B, safe, np.maximum(residuals, self.rtol)):
                return X, residuals
            start = X
        allowed = self.max_iter - 1  # one tells how near the last came
        X = np.zeros(B.shape) if start is None else start.copy()
        R = B if start is None else B - times(X)
        residuals = np.linalg.norm(R, axis=0) / safe
        while np.any(residuals > self.rtol) and times.n_products < allowed:
            todo = np.flatnonzero(residuals > self.rtol)
            wanted = 0.5 * self.rtol / float(residuals[todo].max())
            wanted = max(wanted, SINGLE) if single else wanted
            try:
                D = self._iterate(R[:, todo], wanted, allowed, times, single=single)
            except SingularCurvatureError:
                if not single:
                    raise
                single = False
                continue
            X[:, todo] += D
            R = B - times(X)
            before, residuals = residuals, np.linalg.norm(R, axis=0) / safe
            if np.all(residuals[todo] > 0.1 * before[todo]):
                if not single:  # down to rounding
                    break
                single = False
        return X, residuals

    def _iterate(
        self, B: Array, rtol: float, allowed: int, times: _Counted, *, single: bool
    ) -> Array:
        max_iter = allowed - times.n_products
        if not single:
            return conjugate_gradients(times, self.precondition, B, rtol, max_iter)[0]

        def times_single(V: Array) -> Array:
            return times(V.astype(np.float32)).astype(np.float64)

        def precondition_single(V: Array) -> Array:
            return self.precondition(V.astype(np.float32)).astype(np.float64)

        return conjugate_gradients(times_single, precondition_single, B, rtol, max_iter)[0]

    def precondition(self, V: Array) -> Array:
        """Return the preconditioner times V."""
        Z = V if self.preconditioner is None else self.preconditioner.solve(V)
        return self.curvature.off_gauge(Z)


class _Counted:
    """Products with a curvature, counted for one solve: threads solve at once."""

    def __init__(self, curvature: Curvature) -> None:
        self.curvature, self.n_products = curvature, 0

    def __call__(self, V: Array) -> Array:
        self.n_products += 1
        return self.curvature.matmat(V)


def _as_near_as_it_says(
    times: _Counted, X: Array, B: Array, sizes: Array, residuals: Array
) -> bool:
    """Return whether residuals that were carried along are those of X, in a random combination.

    Rounding parts them where the curvature is ill conditioned; a product with one column tells.
    """
    if not X.shape[1]:
        return True
    signs = np.random.RandomState(0).choice([-1.0, 1.0], X.shape[1]) / sizes
    seen = np.linalg.norm(B @ signs - times((X @ signs)[:, None])[:, 0])
    return bool(seen <= 3.0 * np.linalg.norm(residuals))


def conjugate_gradients(
    times: Callable[[Array], Array],
    precondition: Callable[[Array], Array],
    B: Array,
    rtol: float,
    max_iter: int,
    start: Array | None = None,
) -> tuple[Array, Array]:
    """Solve H X = B for every column; return X and the norms of the residuals, relative to B.

    By at most `max_iter` products, from `start`, of the shape of B, or zeros. All columns share
    their directions: the error of each is the least, in the norm of H, over the space that all of
    them have spanned.

    Raises
    ------
    SingularCurvatureError
        Where a direction has no positive curvature.
    """
    sizes = np.linalg.norm(B, axis=0)
    safe = np.where(sizes > 0, sizes, 1.0)
    X = np.zeros(B.shape) if start is None else start / safe
    X[:, sizes == 0] = 0.0
    R = np.array(B, dtype=np.float64) / safe
    if start is not None:
        R -= times(X)
    residuals = np.linalg.norm(R, axis=0)
    open_ = np.flatnonzero(residuals > rtol)
    R = R[:, open_]
    P = _directions(precondition(R)) if len(open_) else R
    for _ in range(max_iter - (start is not None) if len(open_) else 0):
        HP = times(P)
        try:
            curved = linalg.cho_factor(P.T @ HP)
        except (linalg.LinAlgError, ValueError):  # not definite, or not finite
            raise SingularCurvatureError(
                "Conjugate gradients met a direction without positive curvature: the curvature is "
                "singular or indefinite, or not finite. Pass damping > 0, or "
                "curvature='gauss_newton' where there is one; scale features that overflow."
            ) from None
        alpha = linalg.cho_solve(curved, P.T @ R)
        X[:, open_] += P @ alpha
        R -= HP @ alpha
        residuals[open_] = np.linalg.norm(R, axis=0)
        kept = np.flatnonzero(residuals[open_] > rtol)
        open_, R = open_[kept], R[:, kept]
        if not len(open_):
            break
        Z = precondition(R)
        P = _directions(Z - P @ linalg.cho_solve(curved, HP.T @ Z))
    return X * sizes, residuals


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
    return Q[:, size > DEPENDENT * size[0]]
