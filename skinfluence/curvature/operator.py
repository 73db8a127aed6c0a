"""Curvature of an objective as a linear operator: Hessian, Gauss-Newton, Fisher information.

A solver sees only this operator. Structure is promised, not checked: symmetry always, definiteness
by `positive_semidefinite`, block-diagonality by `block_shape`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skinfluence.curvature.contracts import Inverse, Root
from skinfluence.curvature.preconditioners.selection import preconditioner, preconditioners_of
from skinfluence.curvature.roots import hessian_roots
from skinfluence.curvature.work import Work, work
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.typing import Array

KINDS = ("auto", "hessian", "gauss_newton", "fisher")


@dataclass(frozen=True, eq=False)
class Curvature:
    """H = F''(theta) + damping I, or what stands in for F''.

    Parameters
    ----------
    objective : Objective
    kind : {"auto", "hessian", "gauss_newton", "fisher"}
        "auto" is what the objective prefers: the Hessian, and for networks the Gauss-Newton matrix
        sum_i J_i' G_i J_i, which is positive semidefinite wherever it is taken. For a linear model
        that *is* the Hessian, and under a canonical loss the Fisher information is the Gauss-Newton
        matrix; what is not available is refused rather than renamed.
    damping : float
        Added to the diagonal, in the units of F''.
    flat : ndarray of shape (n_params, r) or None
        Orthonormal directions besides the `flat_shifts` that the operator maps to zero at these
        parameters.

    Raises
    ------
    ValueError
        If the objective has no curvature of this kind.
    """

    objective: Objective
    kind: str = "auto"
    damping: float = 0.0
    flat: Array | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"curvature={self.kind!r} was given; accepted are {KINDS}.")
        if self.damping < 0:
            raise ValueError(
                f"damping={self.damping!r} was given; a number >= 0 in the units of the Hessian "
                "of the summed loss is accepted."
            )
        if self.kind in ("auto", "hessian"):
            return
        name = type(self.objective).__name__
        if not isinstance(self.objective, OutputObjective):
            raise ValueError(
                f"curvature={self.kind!r} was given, but {name} has no raw predictions and offers "
                "only its Hessian; use curvature='auto', or state the model with predict=."
            )
        if self.kind == "fisher" and not self.objective.loss.canonical:
            loss = type(self.objective.loss).__name__
            raise ValueError(
                f"curvature='fisher' was given, but under {loss}, which is not canonical, the "
                "expected information is another matrix than those there are. Use "
                "curvature='auto'."
            )

    @property
    def n_params(self) -> int:
        return self.objective.n_params

    @property
    def n_outputs(self) -> int:
        """Rows times raw predictions: the largest rank of the Gauss-Newton matrix."""
        model = self.objective
        return model.n_samples * (model.loss.n_outputs if isinstance(model, OutputObjective) else 1)

    @property
    def single(self) -> bool:
        """Whether products with arrays of single precision are taken in it."""
        return self.objective.single

    @property
    def gauss_newton(self) -> bool:
        """Whether this is the Gauss-Newton matrix (of a linear model: also the Hessian)."""
        kind = self.objective.default_curvature if self.kind == "auto" else self.kind
        return kind != "hessian" or self.objective.kind == "linear"

    @property
    def positive_semidefinite(self) -> bool:
        # A linear model is convex, or was fitted to a minimum, where its curvature has no choice.
        if self.objective.convex or self.objective.kind == "linear":
            return True
        model = self.objective
        return self.gauss_newton and isinstance(model, OutputObjective) and model.loss.convex

    def block_shape(self) -> tuple[int, int]:
        """Return (n_blocks, block_size); identical blocks are stored once."""
        return self.objective.block_shape()

    def flat_shifts(self) -> list[Array]:
        """Return lists of parameters whose common shift the operator maps to zero."""
        return self.objective.flat_shifts() if self.damping == 0 else []

    def off_gauge(self, V: Array) -> Array:
        """Return V without what is along the directions that the operator maps to zero."""
        shifts = self.flat_shifts()
        if shifts:
            V = V.copy()
        for shift in shifts:
            V[shift] -= V[shift].mean(axis=0)
        return V if self.flat is None else V - self.flat @ (self.flat.T @ V)

    def roots(self) -> list[Root] | None:
        """Return Z_b with H_b = diag(diagonal_b) + Z_b' Z_b, where that has fewer rows than H_b."""
        if not self.gauss_newton or self.flat is not None:
            return None
        return hessian_roots(self.objective)

    def diagonal(self) -> Array:
        """Return what `roots` leaves of every block, shape (n_blocks, block_size)."""
        n_blocks, size = self.block_shape()
        return self.objective.l2[: n_blocks * size].reshape(n_blocks, size) + self.damping

    def matmat(self, V: Array) -> Array:
        """Return H V for V of shape (n_params, k)."""
        model = self.objective
        if self.gauss_newton and isinstance(model, OutputObjective):
            return model.gauss_newton(V) + self.damping * V
        return model.hvp(V) + self.damping * V

    def largest(self, n_iter: int = 12) -> float:
        """Return about the largest eigenvalue in size, by a few steps of the power iteration."""
        v = np.random.RandomState(0).standard_normal((self.n_params, 1))
        size = 0.0
        for _ in range(n_iter):
            v /= np.linalg.norm(v)
            v = self.matmat(v)
            size = float(np.linalg.norm(v))
            if not 0.0 < size < np.inf:
                return 0.0
        return size

    def work(self) -> Work | None:
        """Return what this takes, of linear models whose rows are not factorised in its place."""
        return None if self.roots() is not None else work(self.objective)

    def preconditioner(self, kind: str = "auto") -> Inverse | None:
        """Return a cheap approximate inverse of H; None where the model has none for it.

        Raises
        ------
        ValueError
            For a kind that this model knows nothing of.
        """
        known = preconditioners_of(self.objective)
        if kind != "auto" and kind not in known:
            raise ValueError(
                f"preconditioner={kind!r} was given; this model accepts "
                f"{('auto', *known, 'nystroem')} and None. Leave it at 'auto'."
            )
        return preconditioner(self.objective, kind, self.damping)

    def blocks(self) -> Array:
        """Return H as its diagonal blocks, shape (n_blocks, block_size, block_size)."""
        model = self.objective
        if self.gauss_newton and model.kind != "linear" and isinstance(model, OutputObjective):
            H = model.gauss_newton_blocks()
        else:
            H = model.hessian_blocks()
        if self.damping > 0:
            diagonal = np.arange(H.shape[1])
            H[:, diagonal, diagonal] += self.damping
        return H
