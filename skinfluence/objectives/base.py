"""Contracts of an objective: a penalised sum of losses over training rows.

Everything downstream (curvature, solvers, removal, effects) sees a model only through these
methods. They take many right-hand sides at once and never build an (n_samples, n_params) array.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from skinfluence.losses import Loss
from skinfluence.objectives.weighting import Weighting

Array = npt.NDArray[Any]

BLOCK_ELEMENTS = 2**21
"""Numbers held by one temporary of a blocked product (16 MiB of float64)."""


def row_blocks(n_rows: int, row_width: int, elements: int | None = None) -> Iterator[slice]:
    """Yield slices that cut `n_rows` rows into blocks of about `elements` numbers.

    `BLOCK_ELEMENTS` by default. The boundaries never depend on the number of workers.
    """
    size = max(1, (elements or BLOCK_ELEMENTS) // max(1, row_width))
    for start in range(0, n_rows, size):
        yield slice(start, min(n_rows, start + size))


class BlockFactor(Protocol):
    """What an objective needs of a factorised curvature to compute its quadratic forms."""

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (n_params, k)."""
        ...

    def quadratic(self, B: Array, block: int) -> Array:
        """Return b' H_block^-1 b for every column of B, shape (block_size, n_columns)."""
        ...

    def inverse(self) -> Array:
        """Return the inverse, shape (n_blocks, block_size, block_size)."""
        ...


class Root(Protocol):
    """A block of F'' without its penalty as Z'Z, Z of shape (rank, block_size), in products."""

    @property
    def rank(self) -> int:
        """Rows of Z."""
        ...

    def dot(self, V: Array) -> Array:
        """Return Z V, shape (rank, k)."""
        ...

    def t_dot(self, U: Array) -> Array:
        """Return Z' U, shape (block_size, k)."""
        ...

    def gram(self, scale: Array) -> Array:
        """Return Z diag(scale) Z', shape (rank, rank), for a scale of shape (block_size,)."""
        ...


class Objective(ABC):
    """F(theta) = sum_i w_i l(y_i, f(x_i; theta)) + 1/2 theta' diag(l2) theta over some rows.

    Subclass this for a model whose loss is known only as a function of the parameters; subclass
    `OutputObjective` where there is a raw prediction in between, which opens Newton steps and the
    targets other than the loss.

    Conventions:

    - n_samples rows, n_params parameters, k right-hand sides;
    - theta, l2 : shape (n_params,), float64;
    - sample_weight : shape (n_samples,), the w_i, class weights and C included;
    - V : shape (n_params, k);  A : shape (n_samples, k).

    An objective is immutable: `at`, `on` and `rows` return another one that shares the data.

    Attributes
    ----------
    convex : bool
        Promised, not checked: the Hessian is positive semidefinite everywhere.
    constant_hessian : bool
        Promised: the Hessian does not depend on theta.
    kind : str
        "linear" for linear models under a loss, "own" for others; decides what ``method="auto"``
        means.
    """

    theta: Array
    l2: Array
    sample_weight: Array
    weighting: Weighting
    convex: bool = True
    constant_hessian: bool = False
    kind: str = "own"

    @property
    def n_samples(self) -> int:
        return int(self.sample_weight.shape[0])

    @property
    def n_params(self) -> int:
        return int(self.theta.shape[0])

    @property
    def dtype(self) -> Any:
        """Precision of the features, and so of the scores."""
        return np.dtype(np.float64)

    @abstractmethod
    def at(self, theta: Array) -> Self:
        """Return the objective at other parameters."""

    @abstractmethod
    def on(self, X: Any, y: Any | None = None) -> Self:
        """Return the objective on other rows at the same parameters, each row of weight 1.

        `X` holds features as the model sees them, `y` labels or targets as the user has them;
        without `y` only predictions are available.
        """

    @abstractmethod
    def rows(self, index: slice | Array) -> Self:
        """Return the objective on some of its rows."""

    def weighing(self, sample_weight: Array, weighting: Weighting | None = None) -> Self:
        """Return the objective with other weights, and other moves of them.

        Nothing an objective caches may depend on its weights.
        """
        out = copy(self)
        object.__setattr__(out, "sample_weight", sample_weight)
        if weighting is not None:
            object.__setattr__(out, "weighting", weighting)
        return out

    @abstractmethod
    def losses(self) -> Array:
        """Return the unweighted loss of every row, shape (n_samples,)."""

    @abstractmethod
    def grads_dot(self, V: Array) -> Array:
        """Return the unweighted gradient of every row's loss times V, shape (n_samples, k)."""

    @abstractmethod
    def weighted_grad_sum(self, A: Array) -> Array:
        """Return sum_i A_i grad l_i (`sample_weight` not applied), shape (n_params, k)."""

    @abstractmethod
    def hvp(self, V: Array) -> Array:
        """Return F''(theta) V, weights and penalty included, shape (n_params, k)."""

    def value(self) -> float:
        """Return F(theta)."""
        return float(self.sample_weight @ self.losses() + 0.5 * self.l2 @ self.theta**2)

    def gradient(self) -> Array:
        """Return F'(theta), shape (n_params,)."""
        out: Array = (
            self.weighted_grad_sum(self.sample_weight[:, None])[:, 0] + self.l2 * self.theta
        )
        return out

    def gradient_noise(self) -> float:
        """Return what rounding leaves of the gradient at an optimum, in the norm of H^-1."""
        return 1e-14 * float(np.sqrt(max(self.value(), 0.0)))

    def block_shape(self) -> tuple[int, int]:
        """Return (n_blocks, block_size) of the block-diagonal Hessian.

        Identical blocks are stored once: n_params is a multiple of n_blocks * block_size.
        """
        return 1, self.n_params

    def hessian_blocks(self) -> Array:
        """Return F''(theta) as its diagonal blocks, shape (n_blocks, block_size, block_size)."""
        return self.hvp(np.eye(self.n_params))[None]

    def hessian_roots(self) -> list[Root] | None:
        """Return Z of every block of `hessian_blocks`, where there are fewer rows than columns.

        None where there are not, or where a block has no such form.
        """
        return None

    def flat_shifts(self) -> list[Array]:
        """Return the gauge: lists of parameters whose common shift leaves F unchanged.

        Arrays of int; none for most models.
        """
        return []

    def has_no_optimum(self) -> bool:
        """Return whether F provably has no finite minimiser, seen from theta."""
        return False


class OutputObjective(Objective):
    """An objective that depends on theta through K raw predictions eta_i = f(x_i; theta).

    J_i is the Jacobian of eta_i, shape (K, n_params); a_i = w_i dl/deta; G_i = w_i d2l/deta2.
    A subclass gives the products with J; losses and gradients follow by the chain rule, and `hvp`
    is the Gauss-Newton product sum_i J_i' G_i J_i V + l2 V, which is the Hessian where f is linear
    in theta.

    Attributes
    ----------
    loss : Loss
    y : ndarray or None
        Targets encoded by ``loss.encode``.
    """

    loss: Loss
    y: Array | None

    @abstractmethod
    def raw_predictions(self) -> Array:
        """Return eta, shape (n_samples, K), in float64."""

    @abstractmethod
    def jacobian_dot(self, V: Array) -> Array:
        """Return J_i V for every row, shape (n_samples, K, k)."""

    @abstractmethod
    def jacobian_t_dot(self, B: Array) -> Array:
        """Return sum_i J_i' B_i for B of shape (n_samples, K, k), shape (n_params, k)."""

    @abstractmethod
    def jacobian_t_rows(self, B: Array) -> Array:
        """Return J_i' B_i for every row and B of shape (n_samples, K), shape (n_params, n)."""

    def jacobian_rows_dot(self, V: Array) -> Array:
        """Return J_i V_i for V with a column of its own for every row, shape (n_samples, K)."""
        units = np.eye(self.loss.n_outputs)[:, None].repeat(self.n_samples, axis=1)
        dots = [np.einsum("pi,pi->i", self.jacobian_t_rows(unit), V) for unit in units]
        return np.column_stack(dots)

    @abstractmethod
    def quadratic_forms(self, factor: BlockFactor) -> Iterator[tuple[slice, Array]]:
        """Yield (rows, Q) with Q_i = J_i H^-1 J_i' for blocks of rows.

        Q has shape (n_rows, K, K); its diagonal alone, shape (n_rows, K), if ``loss.separable``.
        """

    @property
    def targets(self) -> Array:
        """The encoded targets; raises where rows came without any."""
        if self.y is None:
            raise ValueError(
                "The loss of these rows was asked for without their targets; pass y_test, or a "
                "target other than 'loss'."
            )
        return self.y

    def output_gradients(self) -> Array:
        """Return the unweighted dl/deta, shape (n_samples, K)."""
        return self.loss.gradient(self.targets, self.raw_predictions())

    def output_hessians(self) -> Array:
        """Return the unweighted d2l/deta2: (n_samples, K) if separable, else (n_samples, K, K)."""
        return self.loss.hessian(self.targets, self.raw_predictions())

    def losses(self) -> Array:
        return self.loss.value(self.targets, self.raw_predictions())

    def grads_dot(self, V: Array) -> Array:
        dots: Array = np.einsum("ik,ikv->iv", self.output_gradients(), self.jacobian_dot(V))
        return dots

    def weighted_grad_sum(self, A: Array) -> Array:
        return self.jacobian_t_dot(self.output_gradients()[:, :, None] * A[:, None, :])

    def hvp(self, V: Array) -> Array:
        out = self.l2[:, None] * V
        for index in row_blocks(self.n_samples, self.loss.n_outputs * V.shape[1]):
            part = self.rows(index)
            times = part.loss.hessian_product(
                part.targets[:, None], part.raw_predictions()[:, None]
            )
            JV = part.jacobian_dot(V).transpose(0, 2, 1)
            GJV = part.sample_weight[:, None, None] * times(JV)
            out += part.jacobian_t_dot(GJV.transpose(0, 2, 1))
        return out

    def has_no_optimum(self) -> bool:
        """Return whether nothing is penalised and theta separates: scaling it up only helps."""
        if np.any(self.l2 > 0) or self.loss.constant_hessian:
            return False
        counted = self.sample_weight > 0
        return bool(np.all(self.loss.recedes(self.targets, self.raw_predictions())[counted]))
