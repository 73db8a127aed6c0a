"""Contracts of an objective: a penalised sum of losses over training rows.

Everything downstream (curvature, solvers, removal, effects) sees a model only through these
methods. They take many right-hand sides at once and never build an (n_samples, n_params) array.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np

from skinfluence.losses import Loss
from skinfluence.objectives.weighting import Weighting
from skinfluence.process.blocks import row_blocks
from skinfluence.process.tuning import tuning
from skinfluence.typing import Array


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
        Promised, not checked: the Hessian is positive semidefinite everywhere. Not promised unless
        stated; models that promise it are moved to their minimum by ``refine="auto"``.
    constant_hessian : bool
        Promised: the Hessian does not depend on theta.
    kind : str
        "linear" for linear models under a loss, "network", "trees", "own" for a user's; decides
        what ``method="auto"`` means.
    default_curvature : {"hessian", "gauss_newton"}
        What ``curvature="auto"`` means.
    single : bool
        Products with arrays of single precision are taken in it.
    unbound : bool
        It has no rows yet: `bind` gives them.
    """

    theta: Array
    l2: Array
    sample_weight: Array
    weighting: Weighting
    convex: bool = False
    constant_hessian: bool = False
    kind: str = "own"
    default_curvature: str = "hessian"
    single: bool = False
    unbound: bool = False

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

    def bind(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """Return an unbound objective over rows; an objective that has some stays as it is."""
        return self

    def as_given(self, V: Array) -> Array:
        """Return columns of parameters, (n_params, k), as the estimator has them."""
        return V

    def parameter_names(
        self, features: Sequence[str], outputs: Sequence[str], positions: Array
    ) -> list[tuple[str, str]]:
        """Return (output, name) of some parameters.

        The output is "" where there is one only, or none in particular.

        Parameters
        ----------
        features, outputs : sequence of str
            Names of the features and of the raw predictions.
        positions : ndarray of int
        """
        return [("", f"parameter {j}") for j in positions.tolist()]

    @abstractmethod
    def rows(self, index: slice | Array) -> Self:
        """Return the objective on some of its rows."""

    def under(self, loss: Loss) -> Self | None:
        """Return the objective under another loss of the same raw predictions and targets.

        None where the model is stated for its own loss alone.
        """
        return None

    def with_weights(self, sample_weight: Array, weighting: Weighting | None = None) -> Self:
        """Return the objective with other weights, and other moves of them.

        Nothing an objective caches may depend on its weights.

        Parameters
        ----------
        sample_weight : ndarray of shape (n_samples,)
        weighting : Weighting, optional
            How the weights of the rows that stay move when others leave; as it was by default.

        Returns
        -------
        Objective
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

    def gradient_norms(self) -> Array:
        """Return the Euclidean norm of the gradient of every row's loss, shape (n_samples,)."""
        return np.linalg.norm(self.weighted_grad_sum(np.eye(self.n_samples)), axis=0)

    @abstractmethod
    def hvp(self, V: Array) -> Array:
        """Return F''(theta) V, weights and penalty included, shape (n_params, k)."""

    def loss_changes(self, D: Array) -> Array:
        """Return the losses at theta + D_j minus those at theta, shape (n_samples, m)."""
        before = self.losses()
        columns = [self.at(self.theta + d).losses() - before for d in D.T]
        return np.stack(columns, axis=1) if columns else np.empty((self.n_samples, 0))

    def own_loss_changes(self, D: Array) -> Array:
        """Return the loss of row i at theta + D_i minus that at theta, shape (n_samples,)."""
        changes = [
            self.rows(np.array([i])).loss_changes(D[:, i : i + 1])[0, 0]
            for i in range(self.n_samples)
        ]
        return np.array(changes)

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

    def rounding_of_fit(self) -> float:
        """Return what rounding leaves of the distance of a fit, which may be more than here."""
        return self.gradient_noise()

    def block_shape(self) -> tuple[int, int]:
        """Return (n_blocks, block_size) of the block-diagonal Hessian.

        Identical blocks are stored once: n_params is a multiple of n_blocks * block_size.
        """
        return 1, self.n_params

    def hessian_blocks(self) -> Array:
        """Return F''(theta) as its diagonal blocks, shape (n_blocks, block_size, block_size)."""
        return self.hvp(np.eye(self.n_params))[None]

    def flat_shifts(self) -> list[Array]:
        """Return the gauge: lists of parameters whose common shift leaves F unchanged.

        Arrays of int; none for most models.
        """
        return []

    @property
    def penalised(self) -> bool:
        """Whether F grows with some parameters whatever the rows say."""
        return bool(np.any(self.l2 > 0))

    def has_no_optimum(self) -> bool:
        """Return whether F provably has no finite minimiser, seen from theta."""
        return False


class OutputObjective(Objective):
    """An objective that depends on theta through K raw predictions eta_i = f(x_i; theta).

    J_i is the Jacobian of eta_i, shape (K, n_params); a_i = w_i dl/deta; G_i = w_i d2l/deta2.
    A subclass gives the products with J; losses and gradients follow by the chain rule, and so
    does the Gauss-Newton product sum_i J_i' G_i J_i V + l2 V, which is `hvp` where f is linear in
    theta.

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
        dots = [np.einsum("pi,pi->i", self.jacobian_t_rows(unit), V) for unit in self.units()]
        return np.column_stack(dots)

    def units(self) -> Array:
        """Return, for each output, the B of shape (n_samples, K) that picks it; (K, n, K)."""
        return np.eye(self.loss.n_outputs)[:, None].repeat(self.n_samples, axis=1)

    @property
    def coupled(self) -> bool:
        """The curvature is one block; otherwise it has one for every output."""
        return True

    def prediction_changes(self, D: Array) -> Array:
        """Return the raw predictions at theta + D_j minus those at theta, shape (n, m, K)."""
        before = self.raw_predictions()
        out = np.empty((self.n_samples, D.shape[1], self.loss.n_outputs))
        for j, d in enumerate(D.T):
            out[:, j] = self.at(self.theta + d).raw_predictions() - before
        return out

    def own_prediction_changes(self, D: Array) -> Array:
        """Return the raw prediction of row i at theta + D_i minus that at theta, shape (n, K)."""
        changes = [
            self.rows(np.array([i])).prediction_changes(D[:, i : i + 1])[0, 0]
            for i in range(self.n_samples)
        ]
        return np.array(changes).reshape(self.n_samples, self.loss.n_outputs)

    def loss_changes(self, D: Array) -> Array:
        eta = self.raw_predictions()[:, None]
        return self.loss.change(self.targets[:, None], eta, self.prediction_changes(D))

    def own_loss_changes(self, D: Array) -> Array:
        moved = self.own_prediction_changes(D)
        return self.loss.change(self.targets, self.raw_predictions(), moved)

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
        return np.einsum("ik,ikv->iv", self.output_gradients(), self.jacobian_dot(V))

    def weighted_grad_sum(self, A: Array) -> Array:
        return self.jacobian_t_dot(self.output_gradients()[:, :, None] * A[:, None, :])

    def gradient_norms(self) -> Array:
        return np.linalg.norm(self.jacobian_t_rows(self.output_gradients()), axis=0)

    def hvp(self, V: Array) -> Array:
        return self.gauss_newton(V)

    def gauss_newton(self, V: Array) -> Array:
        """Return sum_i J_i' G_i J_i V + l2 V, shape (n_params, k)."""
        out = self.l2[:, None] * V
        # Every block adds to all of the result: with many parameters it has to have more rows.
        elements = max(tuning().block_elements, min(8 * V.size, 8 * tuning().block_elements))
        for index in row_blocks(self.n_samples, self.loss.n_outputs * V.shape[1], elements):
            part = self.rows(index)
            times = part.loss.hessian_product(
                part.targets[:, None], part.raw_predictions()[:, None]
            )
            JV = part.jacobian_dot(V).transpose(0, 2, 1)
            GJV = part.sample_weight[:, None, None] * times(JV)
            out += part.jacobian_t_dot(GJV.transpose(0, 2, 1))
        return out

    def gauss_newton_blocks(self) -> Array:
        """Return the Gauss-Newton matrix as its diagonal blocks, as `hessian_blocks`."""
        return self.gauss_newton(np.eye(self.n_params))[None]

    def has_no_optimum(self) -> bool:
        """Return whether nothing is penalised and theta separates: scaling it up only helps."""
        if self.penalised or self.loss.constant_hessian:
            return False
        counted = self.sample_weight > 0
        return bool(np.all(self.loss.is_separated(self.targets, self.raw_predictions())[counted]))


def square_roots(objective: OutputObjective) -> Array:
    """Return S_i with S_i' S_i = w_i d2l/deta2 of every row, shape (n_samples, K, K)."""
    w, G = objective.sample_weight, objective.output_hessians()
    if objective.loss.separable:
        return np.sqrt(np.maximum(w[:, None] * G, 0.0))[:, :, None] * np.eye(G.shape[1])
    values, vectors = np.linalg.eigh(w[:, None, None] * G)
    return np.sqrt(np.maximum(values, 0.0))[:, :, None] * vectors.transpose(0, 2, 1)
