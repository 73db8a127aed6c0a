"""Random sketches of what the losses add to the curvature, and the low rank that they find."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from skinfluence.curvature import Curvature
from skinfluence.process.memory import require_memory
from skinfluence.solvers.base import SingularCurvatureError
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class LowRank:
    """Z of a block as a matrix: a `Root`."""

    Z: Array

    @property
    def rank(self) -> int:
        """Rows of Z."""
        return len(self.Z)

    def dot(self, V: Array) -> Array:
        """Return Z V, shape (rank, k)."""
        return self.Z @ V

    def t_dot(self, U: Array) -> Array:
        """Return Z' U, shape (block_size, k)."""
        return self.Z.T @ U

    def gram(self, scale: Array) -> Array:
        """Return Z diag(scale) Z', shape (rank, rank)."""
        return (self.Z * scale) @ self.Z.T


@dataclass(frozen=True, eq=False)
class Sketch:
    """Omega with orthonormal columns for every block, and A Omega; A positive semidefinite.

    Attributes
    ----------
    curvature : Curvature
    random_state : int
    omega, products : ndarray of shape (n_blocks, block_size, rank)
        The unit vectors of parameters without a penalty in any block come first.
    n_products : int
        With the curvature, of however many columns.
    """

    curvature: Curvature
    random_state: int
    omega: Array
    products: Array
    n_products: int = 0

    @classmethod
    def begin(cls, curvature: Curvature, random_state: int) -> Sketch:
        """Return the sketch of what has no penalty, its products not taken yet."""
        n_blocks, size = curvature.block_shape()
        free = np.flatnonzero(np.any(curvature.diagonal() == 0, axis=0))
        units = np.zeros((n_blocks, size, len(free) if len(free) < size else size))
        units[:, free, np.arange(len(free))] = 1.0
        return cls(curvature, random_state, units, np.empty((n_blocks, size, 0)))

    @property
    def rank(self) -> int:
        return int(self.products.shape[2])

    def grown(self, rank: int) -> Sketch:
        """Return the sketch with random columns up to a rank."""
        n_blocks, size, old = self.omega.shape
        require_memory(
            (4.0 * n_blocks * size * rank + 2.0 * self.curvature.n_params * rank) * 8,
            f"A sketch of rank {rank} of {self.curvature.n_params:,} parameters",
            "Pass a lower rank=, or solver='cg', which needs a few vectors only.",
        )
        rng = np.random.RandomState([self.random_state, old])
        columns = rng.standard_normal((size, max(rank - old, 0)))
        omega = np.concatenate([self.omega, np.empty((n_blocks, size, columns.shape[1]))], axis=2)
        for b in range(n_blocks):
            for _ in range(2):  # once leaves rounding
                new = columns - self.omega[b] @ (self.omega[b].T @ columns)
                omega[b, :, old:] = columns = linalg.qr(new, mode="economic")[0]
        taken = self.rank
        V = omega[:, :, taken:]
        repeats = self.curvature.n_params // (n_blocks * size)
        tall = np.tile(V.reshape(n_blocks * size, -1), (repeats, 1))
        if repeats > 1:
            tall[n_blocks * size :] = 0.0  # of blocks that are alike, one
        AV = self.curvature.matmat(tall)[: n_blocks * size].reshape(V.shape)
        AV = AV - self.curvature.diagonal()[:, :, None] * V
        products = np.concatenate([self.products, AV], axis=2)
        return Sketch(self.curvature, self.random_state, omega, products, self.n_products + 1)

    def roots(self) -> list[LowRank]:
        """Return Z with Z'Z near A, shape (rank, block_size), of every block.

        Raises
        ------
        SingularCurvatureError
            If A is not positive semidefinite.
        """
        return [LowRank(self._root(*pair)) for pair in zip(self.omega, self.products, strict=True)]

    def _root(self, omega: Array, products: Array) -> Array:
        # The shift makes Omega' A Omega numerically definite (Algorithm 2.1 of Frangella et al.);
        # they take it off the eigenvalues again, where it is what rounding leaves of A.
        size = float(np.linalg.norm(products))
        shift = np.sqrt(len(omega)) * np.finfo(np.float64).eps * size or np.finfo(np.float64).tiny
        core = omega.T @ products
        core = 0.5 * (core + core.T)
        for _ in range(4):
            try:
                lower = linalg.cholesky(core + shift * np.eye(len(core)), lower=True)
            except linalg.LinAlgError:
                shift *= 100.0
                continue
            return linalg.solve_triangular(lower, (products + shift * omega).T, lower=True)
        smallest = float(linalg.eigvalsh(core, subset_by_index=(0, 0))[0])
        raise SingularCurvatureError(
            f"The curvature of the losses is not positive semidefinite: {smallest:.3g} along one "
            "direction of the sketch. Nystroem needs one that is; pass curvature='gauss_newton' "
            "where the model has raw predictions, solver='lu', or refine=True to move to a minimum."
        )
