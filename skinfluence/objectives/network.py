"""The objective of a multilayer perceptron, its products for many vectors at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy import sparse
from scipy.linalg.blas import dsyrk

from skinfluence.losses import Bregman, Loss
from skinfluence.objectives.base import OutputObjective, square_roots
from skinfluence.objectives.features import as_rows
from skinfluence.objectives.layers import Layers, Pass, precision, times
from skinfluence.objectives.weighting import Fixed, Weighting
from skinfluence.process.blocks import row_blocks
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class NetworkObjective(OutputObjective):
    """sum_i w_i l(y_i, f(x_i; theta)) + 1/2 theta' diag(l2) theta, f a multilayer perceptron.

    theta is layer-major: [W_1; b_1], [W_2; b_2], ..., each of shape (d_in + 1, d_out) and raveled
    row by row. Make one with `from_weights`.

    Attributes
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features)
    y : ndarray or None
        Encoded targets.
    loss : Loss
        Of the raw predictions, the outputs of the last layer before any output activation.
    layers : Layers
    """

    X: Any
    y: Array | None
    loss: Loss
    theta: Array
    l2: Array
    sample_weight: Array
    weighting: Weighting
    layers: Layers
    convex = False
    kind = "network"
    default_curvature = "gauss_newton"
    single = True

    @classmethod
    def from_weights(
        cls,
        X: Any,
        y: Any,
        loss: Loss,
        coefs: Sequence[Array],
        intercepts: Sequence[Array],
        activation: str,
        *,
        l2: float,
        sample_weight: Array | None = None,
        weighting: Weighting | None = None,
    ) -> Self:
        """Return the objective at fitted weights.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like
            As `loss.encode` takes them.
        loss : Loss
        coefs : list of ndarray of shape (d_in, d_out)
        intercepts : list of ndarray of shape (d_out,)
        activation : {"identity", "logistic", "relu", "tanh"}
            Of the hidden layers.
        l2 : float
            Penalty ``1/2 l2 |W|^2`` of the weights; intercepts are free.
        sample_weight : ndarray of shape (n_samples,), optional
        weighting : Weighting, optional
            How the weights of the rows that stay move when others leave; fixed by default.
        """
        X = as_rows(X)
        layers = Layers((coefs[0].shape[0], *(W.shape[1] for W in coefs)), activation)
        pairs = list(zip(coefs, intercepts, strict=True))
        theta = np.concatenate([np.vstack([W, b]).ravel() for W, b in pairs])
        penalty = np.full(layers.n_params, float(l2))
        penalty[np.concatenate(layers.biases())] = 0.0
        n = X.shape[0]
        return cls(
            X=X,
            y=loss.encode(y),
            loss=loss,
            theta=theta.astype(np.float64),
            l2=penalty,
            sample_weight=np.ones(n) if sample_weight is None else sample_weight,
            weighting=Fixed(n) if weighting is None else weighting,
            layers=layers,
        )

    def weights(self) -> tuple[list[Array], list[Array]]:
        """Return the weights and the intercepts of every layer."""
        stack = self.layers.split(self.theta[:, None])
        return [W[0].copy() for W, _ in stack], [b[0, 0].copy() for _, b in stack]

    def parameter_names(
        self, features: Sequence[str], outputs: Sequence[str], positions: Array
    ) -> list[tuple[str, str]]:
        """Return ("", name) of some weights, by where scikit-learn keeps them."""
        parts, pairs = self.layers.slices(), self.layers.pairs()
        layers = np.searchsorted([part.stop for part in parts], positions, side="right")
        names = []
        for layer, position in zip(layers.tolist(), positions.tolist(), strict=True):
            d, e = pairs[layer]
            row, unit = divmod(position - parts[layer].start, e)
            weight, bias = f"coefs_[{layer}][{row}, {unit}]", f"intercepts_[{layer}][{unit}]"
            names.append(("", weight if row < d else bias))
        return names

    @property
    def dtype(self) -> Any:
        return self.X.dtype

    def under(self, loss: Loss) -> NetworkObjective:
        return replace(self, loss=loss)

    def at(self, theta: Array) -> NetworkObjective:
        return replace(self, theta=theta)

    def on(self, X: Any, y: Any | None = None) -> NetworkObjective:
        X = as_rows(X)
        return replace(
            self,
            X=X,
            y=None if y is None else self.loss.encode(y),
            sample_weight=np.ones(X.shape[0]),
            weighting=Fixed(X.shape[0]),
        )

    def rows(self, index: slice | Array) -> NetworkObjective:
        part = replace(
            self,
            X=self.X[index],
            y=None if self.y is None else self.y[index],
            sample_weight=self.sample_weight[index],
            weighting=self.weighting.rows(index),
        )
        if "_eta" in self.__dict__:
            part.__dict__["_eta"] = self._eta[index]
        return part

    def proximal(self) -> NetworkObjective:
        """Return the objective with the divergence from its own raw predictions for a loss."""
        loss = Bregman(self.loss)
        return replace(self, loss=loss, y=loss.at(self.targets, self.raw_predictions()))

    def has_no_optimum(self) -> bool:
        # Scaling up the last layer only helps where every row is on its right side.
        last = self.l2[self.layers.slices()[-1]]
        if np.any(last > 0) or self.loss.constant_hessian:
            return False
        counted = self.sample_weight > 0
        return bool(np.all(self.loss.is_separated(self.targets, self.raw_predictions())[counted]))

    def flat_shifts(self) -> list[Array]:
        last = self.layers.biases()[-1]
        return [last[group] for group in self.loss.shift_groups()]

    # ------------------------------------------------------------------------ predictions

    @cached_property
    def _eta(self) -> Array:
        stack = self.layers.split(self.theta[:, None])
        eta = np.empty((self.n_samples, self.loss.n_outputs))
        for index in self.blocks(1):
            eta[index] = self.layers.forward(self.X[index], stack).eta[0]
        return eta

    def raw_predictions(self) -> Array:
        return self._eta

    def prediction_changes(self, D: Array) -> Array:
        m = D.shape[1]
        out = np.empty((self.n_samples, m, self.loss.n_outputs))
        for columns in row_blocks(m, self.n_params):
            stack = self.layers.split(self.theta[:, None] + D[:, columns])
            for index in self.blocks(len(stack[0][0])):
                moved = self.layers.forward(self.X[index], stack).eta
                out[index, columns] = moved.transpose(1, 0, 2) - self._eta[index, None]
        return out

    def own_prediction_changes(self, D: Array) -> Array:
        out = np.empty((self.n_samples, self.loss.n_outputs))
        for rows in row_blocks(self.n_samples, self.n_params):
            stack = self.layers.split(self.theta[:, None] + D[:, rows])
            out[rows] = self.layers.forward(self._each(rows), stack).eta[:, 0] - self._eta[rows]
        return out

    def _each(self, rows: slice) -> Array:
        """Return some rows as a stack of one each, shape (m, 1, n_features)."""
        X = self.X[rows]
        dense: Array = X.toarray() if sparse.issparse(X) else X
        return dense[:, None, :]

    def blocks(self, k: int) -> Iterator[slice]:
        """Cut the rows into blocks that k directions can pass through the network at once."""
        return row_blocks(self.n_samples, k * self.layers.width + self.layers.sizes[0])

    def passes(
        self, k: int, dtype: Any = np.float64
    ) -> Iterator[tuple[slice, NetworkObjective, Pass]]:
        """Run blocks of rows, of a size for k directions, through the network in a precision."""
        stack = self.layers.split(self.theta[:, None].astype(dtype))
        self._eta  # noqa: B018 (once for all blocks)
        for index in self.blocks(k):
            part = self.rows(index)
            yield index, part, self.layers.forward(part.X.astype(dtype, copy=False), stack)

    # ------------------------------------------------------------- products with the Jacobian

    def jacobian_dot(self, V: Array) -> Array:
        directions, dtype = self.layers.split(V), precision(V)
        out = np.empty((self.n_samples, V.shape[1], self.loss.n_outputs), dtype=dtype)
        for index, _, run in self.passes(V.shape[1], dtype):
            out[index] = run.along(directions)[-1].transpose(1, 0, 2)
        return out.transpose(0, 2, 1)

    def jacobian_t_dot(self, B: Array) -> Array:
        dtype = precision(B)
        out = np.zeros((self.n_params, B.shape[2]), dtype=dtype)
        for index, _, run in self.passes(B.shape[2], dtype):
            deltas = run.back(np.ascontiguousarray(B[index].transpose(2, 0, 1)))
            out += self.layers.join(run.gradients(deltas))
        return out

    def jacobian_t_rows(self, B: Array) -> Array:
        out = np.empty((self.n_samples, self.n_params))
        for index, _, run in self.passes(1):
            deltas = run.back(np.array(B[index][None], dtype=np.float64))
            self._outer(run, deltas, out[index][None])
        return out.T

    def _outer(self, run: Pass, deltas: list[Array], out: Array) -> None:
        """Fill `out`, (m, n, n_params), with a_i (x) delta_i of every row and layer."""
        parts = zip(self.layers.slices(), self.layers.pairs(), run.activations, deltas, strict=True)
        for part, (d, e), A, delta in parts:
            A = A.toarray() if sparse.issparse(A) else A
            layer = out[:, :, part].reshape(*out.shape[:2], d + 1, e)
            np.multiply(A[..., None], delta[:, :, None, :], out=layer[:, :, :d])
            layer[:, :, d] = delta

    def jacobian_rows_dot(self, V: Array) -> Array:
        out = np.empty((self.n_samples, self.loss.n_outputs))
        stack = self.layers.split(self.theta[:, None])
        for rows in row_blocks(self.n_samples, self.n_params):
            run = self.layers.forward(self._each(rows), stack)
            out[rows] = run.along(self.layers.split(V[:, rows]))[-1][:, 0]
        return out

    # ----------------------------------------------------------------- gradients of the losses

    def grads_dot(self, V: Array) -> Array:
        # g_i'v = sum over layers of delta_i' (V' a_i + v): one product per layer, and none back.
        directions, dtype = self.layers.split(V), precision(V)
        out = np.zeros((self.n_samples, V.shape[1]), dtype=dtype)
        for index, part, run in self.passes(V.shape[1], dtype):
            deltas = run.back(part.output_gradients()[None])
            for (Vl, v), A, delta in zip(directions, run.activations, deltas, strict=True):
                out[index] += np.einsum("knd,nd->nk", times(A, Vl) + v, delta[0])
        return out

    def weighted_grad_sum(self, A: Array) -> Array:
        out = np.zeros((self.n_params, A.shape[1]))
        for index, part, run in self.passes(A.shape[1]):
            deltas = run.back(part.output_gradients()[None])
            weights = A[index].T[:, :, None]
            out += self.layers.join(run.gradients([weights * delta for delta in deltas]))
        return out

    def gradient_norms(self) -> Array:
        squares = np.zeros(self.n_samples)
        for index, part, run in self.passes(1):
            squares[index] = run.squares(run.back(part.output_gradients()[None]))[0]
        return np.sqrt(squares)

    def input_gradients_dot(self, V: Array) -> Array:
        """Return the derivative in x_i of v' grad l_i, shape (n_samples, k, n_features)."""
        directions = self.layers.split(V)
        out = np.empty((self.n_samples, V.shape[1], self.layers.sizes[0]))
        for index, part, run in self.passes(V.shape[1]):
            deltas = run.back(part.output_gradients()[None])
            RZ = run.along(directions)
            Rdeltas = run.bent(directions, RZ, deltas, part._times_hessian(RZ[-1]))
            (W, _), (V1, _) = run.stack[0], directions[0]
            moved = times(Rdeltas[0], W.transpose(0, 2, 1))
            moved = moved + times(deltas[0], V1.transpose(0, 2, 1))
            out[index] = moved.transpose(1, 0, 2)
        return out

    # ------------------------------------------------------------------------------ curvature

    def _times_hessian(self, Reta: Array) -> Array:
        """Return d2l/deta2 times Reta, (k, n, K)."""
        return self.loss.hessian_product(self.targets, self.raw_predictions())(Reta)

    def hvp(self, V: Array) -> Array:
        return self._curvature_product(V, exact=True)

    def gauss_newton(self, V: Array) -> Array:
        return self._curvature_product(V, exact=False)

    def _curvature_product(self, V: Array, *, exact: bool) -> Array:
        directions, dtype = self.layers.split(V), precision(V)
        out = self.l2[:, None].astype(dtype) * V
        for _, part, run in self.passes(V.shape[1], dtype):
            w = part.sample_weight[:, None]
            RZ = run.along(directions)
            Rdelta = w * part._times_hessian(RZ[-1])
            if exact:
                deltas = run.back((w * part.output_gradients())[None])
                Rdeltas = run.bent(directions, RZ, deltas, Rdelta)
                out += self.layers.join(run.second(RZ, deltas, Rdeltas))
            else:
                out += self.layers.join(run.gradients(run.back(Rdelta)))
        return out

    def hessian_blocks(self) -> Array:
        H = np.empty((self.n_params, self.n_params))
        unit = np.eye(self.n_params)
        for columns in row_blocks(self.n_params, self.n_params):
            H[:, columns] = self.hvp(unit[:, columns])
        H += H.T
        H *= 0.5
        return H[None]

    def gauss_newton_blocks(self) -> Array:
        # Z'Z, Z of rows S_i J_i with S_i' S_i = w_i d2l/deta2: one symmetric rank-k update.
        P, K = self.n_params, self.loss.n_outputs
        H = np.zeros((P, P), order="F")
        stack = self.layers.split(self.theta[:, None])
        for index in row_blocks(self.n_samples, K * P):
            part = self.rows(index)
            run = self.layers.forward(part.X, stack)
            Z = np.empty((K, part.n_samples, P))
            self._outer(run, run.back(part.root_stack()), Z)
            H = dsyrk(1.0, Z.reshape(-1, P).T, beta=1.0, c=H, overwrite_c=True, lower=True)
        upper = np.triu_indices(P, 1)
        H[upper] = H.T[upper]
        H[np.arange(P), np.arange(P)] += self.l2
        return H[None]

    def root_stack(self) -> Array:
        """Return the rows of S_i, S_i' S_i = w_i d2l/deta2, as a stack (K, n, K)."""
        return np.ascontiguousarray(square_roots(self).transpose(1, 0, 2))
