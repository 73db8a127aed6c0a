"""Linear models: K raw predictions eta = W x + b under any loss of them.

theta is class-major, [coef_0, b_0, coef_1, b_1, ...], so that J_i = I_K (x) x_i' with the intercept
as a last feature that is always 1 and never stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.losses import Loss
from skinfluence.objectives.base import OutputObjective
from skinfluence.objectives.features import (
    AsGiven,
    Features,
    KernelFeatures,
    LinearFeatures,
    Selected,
    Shifted,
    as_rows,
    as_table,
)
from skinfluence.objectives.gram import in_double, weighted_gram, with_intercept
from skinfluence.objectives.row_products import RowProducts
from skinfluence.objectives.row_space import Axes, axes_of, lifted, within
from skinfluence.objectives.weighting import Fixed, Weighting
from skinfluence.process.blocks import row_blocks
from skinfluence.typing import Array

MUCH_LESS = 8
"""Numbers of a row, for each row, from which on it pays to find the space the rows span."""

NOISY = 4096
"""Rows, evenly spread, from which the rounding of a gradient is estimated."""

FAR_FROM_ZERO = 1e3
"""Mean of a column, in its standard deviations, from which on it is centred: six digits of the
curvature are lost there."""

CACHED = 2**17
"""Numbers of X that are cast to another precision at once, for products with few columns."""

FEW_COLUMNS = 8
"""Columns from which on a product with the transpose of a sparse X is worth sorting it by columns.

Rows of the result are then written one after the other: with a hundred columns, 16 times faster.
"""


@dataclass(frozen=True, eq=False)
class LinearObjective(OutputObjective):
    """sum_i w_i l(y_i, W x_i + b) + 1/2 theta' diag(l2) theta.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features), float64 or float32
        Kept uncopied. The large products of scoring run in its precision, all else in float64.
    y : ndarray or None
        Targets encoded by ``loss.encode``.
    loss : Loss
    theta, l2 : ndarray of shape (n_params,)
        n_params = K (n_features + fit_intercept).
    sample_weight : ndarray of shape (n_samples,)
    fit_intercept : bool
    weighting : Weighting
        What the weights of other rows do when a row leaves.
    features : Features
        How rows as the estimator takes them become rows of X.
    free : ndarray of int or None
        Which of the K block_size coefficients are parameters; the others are 0. None: all.
    l1 : ndarray of shape (n_params,) or None
        An l1 penalty of F. Such an F has no curvature at zeros; `on_support` has.
    tilt : ndarray of shape (n_params,) or None
        A linear term of F: an l1 penalty while its coefficients keep their signs.
    support : ndarray of int or None
        Which parameters of the objective with the l1 penalty these are, on its support.
    row_products : RowProducts, optional
        X X', of which objectives over the same rows share one.
    """

    X: Any
    y: Array | None
    loss: Loss
    theta: Array
    l2: Array
    sample_weight: Array
    fit_intercept: bool
    weighting: Weighting
    features: Features = field(default_factory=AsGiven)
    free: Array | None = None
    l1: Array | None = None
    tilt: Array | None = None
    support: Array | None = None
    row_products: RowProducts = None  # type: ignore[assignment]  # set below
    kind = "linear"

    def __post_init__(self) -> None:
        kept: RowProducts | None = self.row_products
        if kept is None or kept.X is not self.X:
            object.__setattr__(self, "row_products", RowProducts(self.X))

    @classmethod
    def from_coefficients(
        cls,
        X: Any,
        y: Any,
        loss: Loss,
        coef: Any,
        intercept: Any | None,
        *,
        l2: Any,
        l2_intercept: Any = 0.0,
        sample_weight: Any | None = None,
        weighting: Weighting | None = None,
        l1: Any = 0.0,
        l1_intercept: Any = 0.0,
    ) -> LinearObjective:
        """Build the objective from scikit-learn's shapes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like
            Labels or targets as the user has them.
        loss : Loss
        coef : array-like of shape (n_features,) or (K, n_features)
        intercept : float, array-like of shape (K,) or None
            None where the model has no intercept.
        l2, l2_intercept : float or array-like of shape (K,)
            Penalty of each coefficient and of the intercept, in the sum form.
        sample_weight : array-like of shape (n_samples,), optional
            Class weights included. 1 by default.
        weighting : Weighting, optional
            Fixed by default.
        l1, l1_intercept : float or array-like of shape (K,)
            l1 penalty of each coefficient and of the intercept, in the sum form.
        """
        X = as_rows(X)
        W = np.atleast_2d(np.asarray(coef, dtype=np.float64))
        n_outputs, n_features = W.shape
        penalties = []
        for of_features, of_intercept in ((l2, l2_intercept), (l1, l1_intercept)):
            penalty = np.empty((n_outputs, n_features + (intercept is not None)))
            penalty[:, :n_features] = np.broadcast_to(of_features, n_outputs)[:, None]
            penalty[:, n_features:] = np.broadcast_to(of_intercept, n_outputs)[:, None]
            penalties.append(penalty.ravel())
        if intercept is not None:
            b = np.broadcast_to(np.asarray(intercept, dtype=np.float64), n_outputs)
            W = np.column_stack([W, b])
        n_samples = X.shape[0]
        w = np.ones(n_samples) if sample_weight is None else np.asarray(sample_weight, float)
        return cls(
            X=X,
            y=loss.encode(y),
            loss=loss,
            theta=W.ravel(),
            l2=penalties[0],
            l1=penalties[1] if np.any(penalties[1] > 0) else None,
            sample_weight=w,
            fit_intercept=intercept is not None,
            weighting=Fixed(n_samples) if weighting is None else weighting,
        )

    def with_features(self, features: Features) -> LinearObjective:
        """Return the objective, whose X is what these features gave, for rows that they read."""
        return replace(self, features=features)

    def extended_to(self, X: Any) -> LinearObjective:
        """Return the objective in coordinates that reach new rows too.

        The features of a kernel span the training rows alone; those of other models any row.
        """
        if not isinstance(self.features, KernelFeatures):
            return self
        features = self.features.extended_to(as_table(X))
        more = len(features.lower) - self.X.shape[1]
        if not more:
            return self
        K, p = self.loss.n_outputs, self.X.shape[1]
        theta = self.theta.reshape(K, self.block_size)
        l2 = self.l2.reshape(K, self.block_size)
        wider = [
            np.column_stack([values[:, :p], np.tile(fill, (1, more)), values[:, p:]]).ravel()
            for values, fill in ((theta, np.zeros((K, 1))), (l2, l2[:, :1]))
        ]
        X = np.column_stack([self.X, np.zeros((self.n_samples, more))])
        return replace(self, X=X, theta=wider[0], l2=wider[1], features=features)

    def concatenated(self, rows: LinearObjective) -> LinearObjective:
        """Return the objective over its own rows and others, whose weights then stay fixed."""
        stack = sparse.vstack if sparse.issparse(self.X) else np.vstack
        X: Any = stack([self.X, rows.X])
        return replace(
            self,
            X=X.tocsr() if sparse.issparse(X) else X,
            y=np.concatenate([self.targets, rows.targets]),
            sample_weight=np.concatenate([self.sample_weight, rows.sample_weight]),
            weighting=Fixed(self.n_samples + rows.n_samples),
        )

    def with_loss(self, loss: Loss, y: Any) -> LinearObjective:
        """Return the objective under another loss of the same outputs, of labels or targets y."""
        return replace(self, loss=loss, y=loss.encode(y))

    def outputs(self, outputs: slice, loss: Loss) -> LinearObjective:
        """Return the parameters of some outputs, under their own loss, without targets."""
        size = self.block_size
        part = slice(outputs.start * size, outputs.stop * size)
        y = self.y[:, outputs] if self.y is not None and self.loss.separable else None
        return replace(self, theta=self.theta[part], l2=self.l2[part], loss=loss, y=y)

    def with_free(self, free: Array) -> LinearObjective:
        """Return the objective in some of its parameters, the others fixed at 0."""
        return replace(self, theta=self.theta[free], l2=self.l2[free], free=free)

    def on_support(self, signs: Array | None = None) -> LinearObjective:
        """Return F near theta in the coefficients that are not 0, where an l1 penalty is linear.

        Those are the nonzero entries of `signs`, by default the signs of theta. Features without
        any such coefficient leave X. Where all are 0, the first stands for them: no row moves it.
        """
        if self.l1 is None:
            return self
        signs = np.sign(self.theta) if signs is None else signs
        K, p = self.loss.n_outputs, self.X.shape[1]
        support = np.flatnonzero((signs != 0) | (self.l1 == 0))
        if not len(support):
            held = replace(self, X=0.0 * self.X, l1=self.l1 * (np.arange(self.n_params) > 0))
            return replace(held, l2=self.l2 + 1.0).on_support(signs)
        active = np.zeros(K * self.block_size, dtype=bool)
        active[support if self.free is None else self.free[support]] = True
        active_of = active.reshape(K, self.block_size)
        columns = np.flatnonzero(active_of[:, :p].any(axis=0))
        inside = np.column_stack([active_of[:, columns], active_of[:, p:]])
        tilt = self.l1 * signs if self.tilt is None else self.l1 * signs + self.tilt
        return replace(
            self,
            X=self.X[:, columns],
            features=Selected(self.features, columns),
            theta=self.theta[support],
            l2=self.l2[support],
            l1=None,
            tilt=tilt[support],
            free=None if np.all(inside) else np.flatnonzero(inside),
            support=support,
        )

    def shifted(self) -> LinearObjective:
        """Return the objective in features less a constant, where some are far from zero.

        Times, years and pressures differ little beside their size, and products with the intercept
        lose these digits. An intercept without penalty takes up the constants; `as_given` returns
        to the features as they were. Elsewhere the objective itself, its features uncopied.
        """
        intercepts = np.zeros((self.loss.n_outputs, self.block_size), dtype=bool)
        intercepts[:, -1] = self.fit_intercept
        free = slice(None) if self.free is None else self.free
        penalties = self.l2 if self.l1 is None else self.l2 + self.l1
        penalised = np.any(penalties[intercepts.ravel()[free]] > 0)
        known = isinstance(self.features, AsGiven) and not sparse.issparse(self.X)
        if not (known and self.fit_intercept) or penalised:
            return self
        sample = in_double(self.X[:: max(1, self.n_samples // NOISY)])
        means, spreads = sample.mean(axis=0), sample.std(axis=0)
        far = (np.abs(means) > FAR_FROM_ZERO * spreads) & (spreads > 0)
        if not np.any(far):
            return self
        features = Shifted(self.features, np.where(far, means, 0.0))
        W = self.coefficients()
        W = np.column_stack([W[:, :-1], W[:, -1] + W[:, :-1] @ features.shift])
        theta = W.ravel()[free]
        return replace(self, X=features.of(self.X), features=features, theta=theta)

    def as_given(self, V: Array) -> Array:
        """Return columns of coefficients, (n_params, k), as those of the rows as they were given.

        As the estimator has them, where the features are linear in what it sees.
        """
        if not isinstance(self.features, LinearFeatures):
            return V
        W = self.spread(V).reshape(self.loss.n_outputs, self.block_size, -1)
        inside = self.is_free()
        features: Features = self.features
        while isinstance(features, LinearFeatures):
            if not self.fit_intercept:
                W = np.concatenate([W, np.zeros_like(W[:, :1])], axis=1)
            W = features.coefficients(W)
            W = W if self.fit_intercept else W[:, :-1]
            features = features.features
        if self.free is None:
            return W.reshape(-1, V.shape[1])
        p = W.shape[1] - self.fit_intercept
        whole = np.repeat(inside[:, :1], p, axis=1)  # an output has all columns, or none
        return W[np.column_stack([whole, inside[:, self.X.shape[1] :]])]

    def parameter_names(
        self, features: Sequence[str], outputs: Sequence[str], positions: Array
    ) -> list[tuple[str, str]]:
        """Return (output, name) of some coefficients: of a feature, or of a kernel's component.

        An output that has an intercept alone (the scale of Huber's loss) is a name itself. A
        feature that is called like one of these says that it is a feature.
        """
        p, inside = int(self.X.shape[1]), self.is_free()
        if not isinstance(self.features, (AsGiven, LinearFeatures)):
            features = [f"component {j}" for j in range(p)]
        has_features = np.asarray(inside[:, :p].any(axis=1))
        others = {outputs[k] for k in np.flatnonzero(~has_features).tolist()}
        others |= {"intercept"} if inside[has_features, p:].any() else set()
        names = [f"{name} (feature)" if name in others else name for name in features]
        names.append("intercept")
        several = np.count_nonzero(has_features) > 1
        of_output, of_feature = (at[positions].tolist() for at in np.nonzero(inside))
        return [
            (outputs[k] if several else "", names[j]) if has_features[k] else ("", outputs[k])
            for k, j in zip(of_output, of_feature, strict=True)
        ]

    def coefficients_as_given(self) -> Array:
        """Return theta as the coefficients and intercepts of the estimator, (K, n_features + 1)."""
        W = self.coefficients()
        whole = replace(self, free=None, theta=W.ravel())
        return whole.as_given(whole.theta[:, None]).reshape(len(W), -1)

    def is_free(self) -> Array:
        """Return which coefficients are parameters, shape (K, block_size)."""
        out = np.zeros(self.loss.n_outputs * self.block_size, dtype=bool)
        out[slice(None) if self.free is None else self.free] = True
        return out.reshape(self.loss.n_outputs, self.block_size)

    def within_support(self, damping: float = 0.0) -> LinearObjective:
        """Return F as `on_support` left it, with its l1 penalty in place of the linear term.

        There coefficients may become 0, and F has a minimum where that in all of them has one.
        Damping adds ``1/2 damping |theta' - theta|^2``.
        """
        assert self.tilt is not None
        pull = -damping * self.theta if damping else None
        l1, l2 = np.abs(self.tilt), self.l2 + damping
        return replace(self, l1=l1, l2=l2, tilt=pull, support=None)

    @property
    def penalised(self) -> bool:
        linear = self.l1 is not None or (self.tilt is not None and bool(np.any(self.tilt)))
        return linear or super().penalised

    @property
    def convex(self) -> bool:  # type: ignore[override]
        return self.loss.convex

    @property
    def constant_hessian(self) -> bool:  # type: ignore[override]
        return self.loss.constant_hessian

    @property
    def dtype(self) -> Any:
        if isinstance(self.features, KernelFeatures):
            return np.dtype(self.features.dtype)
        return self.X.dtype

    @property
    def block_size(self) -> int:
        """Parameters of one output."""
        return int(self.X.shape[1]) + self.fit_intercept

    def under(self, loss: Loss) -> LinearObjective:
        return replace(self, loss=loss)

    def at(self, theta: Array) -> LinearObjective:
        return replace(self, theta=theta)

    def on(self, X: Any, y: Any | None = None) -> LinearObjective:
        X = self.features(X)
        return replace(
            self,
            X=X,
            y=None if y is None else self.loss.encode(y),
            sample_weight=np.ones(X.shape[0]),
            weighting=Fixed(X.shape[0]),
        )

    def rows(self, index: slice | Array) -> LinearObjective:
        X = self.X[index]
        part = replace(
            self,
            X=X,
            row_products=RowProducts(X, self.row_products, index),
            y=None if self.y is None else self.y[index],
            sample_weight=self.sample_weight[index],
            weighting=self.weighting.rows(index),
        )
        part.__dict__["_eta"] = self._eta[index]
        return part

    @cached_property
    def _eta(self) -> Array:
        W = self.coefficients()
        eta = np.empty((self.n_samples, self.loss.n_outputs))
        for index in row_blocks(self.n_samples, self._row_width, self._cast_at_once(W.dtype)):
            eta[index] = in_double(self.X[index]) @ W[:, : self.X.shape[1]].T
        return eta + W[:, -1] if self.fit_intercept else eta

    def _cast_at_once(self, dtype: Any) -> int | None:
        """Return how many numbers of X go into another precision at once: what a cache holds."""
        return None if self.X.dtype == dtype else CACHED

    @property
    def _row_width(self) -> int:
        """Numbers that a row has."""
        if sparse.issparse(self.X):
            return int(self.X.nnz // max(1, self.X.shape[0])) + 1
        return int(self.X.shape[1])

    def raw_predictions(self) -> Array:
        return self._eta

    def coefficients(self) -> Array:
        """Return theta as coefficients of X and the intercept, shape (K, block_size)."""
        return self.spread(self.theta[:, None]).reshape(self.loss.n_outputs, self.block_size)

    def spread(self, V: Array) -> Array:
        """Return V, (n_params, k), with zeros for the coefficients that are no parameters."""
        if self.free is None:
            return V
        out = np.zeros((self.loss.n_outputs * self.block_size, V.shape[1]), dtype=V.dtype)
        out[self.free] = V
        return out

    def _gather(self, V: Array) -> Array:
        """Return of V, (K block_size, k), what belongs to parameters."""
        return V if self.free is None else V[self.free]

    def value(self) -> float:
        value = super().value()
        if self.tilt is not None:
            value += float(self.tilt @ self.theta)
        if self.l1 is not None:
            value += float(self.l1 @ np.abs(self.theta))
        return value

    def smooth_gradient(self) -> Array:
        """Return the derivative of all of F but its l1 penalty, shape (n_params,)."""
        gradient = super().gradient()
        return gradient if self.tilt is None else gradient + self.tilt

    def gradient(self) -> Array:
        """Return F'(theta); with an l1 penalty the shortest subgradient, 0 at the minimum."""
        gradient = self.smooth_gradient()
        if self.l1 is not None:
            shrunk = np.sign(gradient) * np.maximum(np.abs(gradient) - self.l1, 0.0)
            gradient = np.where(self.theta != 0, gradient + self.l1 * np.sign(self.theta), shrunk)
        return gradient

    def jacobian_dot(self, V: Array) -> Array:
        n_outputs, p, k = self.loss.n_outputs, self.X.shape[1], V.shape[1]
        V = self.spread(V).reshape(n_outputs, self.block_size, k)
        columns = V[:, :p].transpose(1, 0, 2).reshape(p, n_outputs * k)
        JV: Array = self._times(columns).reshape(self.n_samples, n_outputs, k)
        if self.fit_intercept:
            JV += V[:, -1]
        return JV

    def pushes_dot(self, C: Array, V: Array, out: Array | None = None) -> Array:
        """Return C_i' J_i V for every row and C of shape (n_samples, K), shape (n_samples, k).

        In the precision of V; written into `out` where given.
        """
        n_outputs, (n, k) = self.loss.n_outputs, (self.n_samples, V.shape[1])
        C = C.astype(V.dtype, copy=False)
        if out is None:
            out = np.empty((n, k), dtype=V.dtype)
        if not sparse.issparse(self.X) and self.block_size <= k:
            # C enters the smaller factor, (n, K block_size), and the result is written once.
            V = self.spread(V)
            for index in row_blocks(n, n_outputs * self.block_size):
                np.matmul(self._pushes(index, C), V, out=out[index])
        elif n_outputs == 1:
            V = self.spread(V)
            self._times(V[: self.X.shape[1]], out)
            if self.fit_intercept:
                out += V[-1]
            out *= C
        else:
            np.einsum("ikv,ik->iv", self.jacobian_dot(V), C, out=out)
        return out

    def pushes_dot_each(self, C: Array, V: Array) -> Array:
        """Return C_ik J_ik V, with J_ik of output k alone, shape (n_samples, K, k)."""
        n_outputs, (n, k) = self.loss.n_outputs, (self.n_samples, V.shape[1])
        C = C.astype(V.dtype, copy=False)
        if sparse.issparse(self.X) or self.block_size > k:
            out = self.jacobian_dot(V)
            out *= C[:, :, None]
            return out
        V = self.spread(V).reshape(n_outputs, self.block_size, k)
        out = np.empty((n, n_outputs, k), dtype=V.dtype)
        for index in row_blocks(n, self.block_size):
            for output in range(n_outputs):
                pushes = self._pushes(index, C[:, output : output + 1])
                np.matmul(pushes, V[output], out=out[index, output])
        return out

    def _pushes(self, index: slice, C: Array) -> Array:
        """Return J_i' C_i of a block of rows as rows, J_i as if it had the columns of C alone."""
        (n, K), p = C[index].shape, self.X.shape[1]
        out = np.empty((n, K, self.block_size), dtype=C.dtype)
        X = self.X[index].astype(C.dtype, copy=False)
        np.multiply(X[:, None], C[index, :, None], out=out[:, :, :p])
        if self.fit_intercept:
            out[:, :, -1] = C[index]
        return out.reshape(n, K * self.block_size)

    def prediction_changes(self, D: Array) -> Array:
        return self.jacobian_dot(D).transpose(0, 2, 1)

    def own_prediction_changes(self, D: Array) -> Array:
        return self.jacobian_rows_dot(D)

    def jacobian_t_dot(self, B: Array) -> Array:
        n, n_outputs, k = B.shape
        flat = B.reshape(n, n_outputs * k)
        out = np.zeros((self.block_size, n_outputs * k), dtype=flat.dtype)
        # A product with a sparse X costs its entries, every block of it all of the result.
        cast = self._cast_at_once(flat.dtype) if n_outputs * k <= FEW_COLUMNS else None
        is_sparse = sparse.issparse(self.X)
        blocks = [slice(None)] if is_sparse else row_blocks(n, self.X.shape[1], cast)
        for index in blocks:
            Xt = (self.X if is_sparse else self.X[index]).T.astype(flat.dtype, copy=False)
            if sparse.issparse(Xt) and n_outputs * k > FEW_COLUMNS:
                Xt = Xt.tocsr()
            out[: self.X.shape[1]] += Xt @ flat[index]
        if self.fit_intercept:
            out[-1] = flat.sum(axis=0)
        return self._gather(_class_major(out.reshape(self.block_size, n_outputs, k)))

    def _times(self, columns: Array, out: Array | None = None) -> Array:
        """Return X times columns in their precision, X never copied whole; into `out` if given."""
        product: Array
        if out is None:
            if self.X.dtype == columns.dtype:
                product = self.X @ columns
                return product
            out = np.empty((self.n_samples, columns.shape[1]), dtype=columns.dtype)
        # Many columns want many rows of X at once; for a few, what is cast should stay in a cache.
        cast = self._cast_at_once(columns.dtype) if columns.shape[1] <= FEW_COLUMNS else None
        for index in row_blocks(self.n_samples, self._row_width, cast):
            X = self.X[index].astype(columns.dtype, copy=False)
            if sparse.issparse(X):
                out[index] = X @ columns
            else:
                np.matmul(X, columns, out=out[index])
        return out

    def jacobian_t_rows(self, B: Array) -> Array:
        Xt = with_intercept(self.X, self.fit_intercept).T
        return self._gather(_class_major(Xt[:, None, :] * B.T[None, :, :]))

    def jacobian_rows_dot(self, V: Array) -> Array:
        Xb = with_intercept(self.X, self.fit_intercept)
        V = self.spread(V).reshape(self.loss.n_outputs, self.block_size, self.n_samples)
        out: Array = np.einsum("ij,kji->ik", Xb, V)
        return out

    def input_gradients_dot(self, V: Array) -> Array:
        """Return d(grad l_i . V_j)/dx_i, unweighted, shape (n_samples, k, n_features).

        grad l_i . V_j = a' (V_j x + v_j), a = dl/deta at eta = W x + b; hence W' G (V_j x + v_j) +
        V_j' a, with V_j as coefficients (K, n_features) and intercepts v_j.
        """
        n, p = self.X.shape
        K, k = self.loss.n_outputs, V.shape[1]
        times = self.loss.hessian_product(self.targets[:, None], self.raw_predictions()[:, None])
        GJV = times(self.jacobian_dot(V).transpose(0, 2, 1))
        columns = self.spread(V).reshape(K, self.block_size, k)[:, :p].transpose(0, 2, 1)
        out: Array = self.output_gradients() @ columns.reshape(K, k * p)
        out += (GJV.reshape(n * k, K) @ self.coefficients()[:, :p]).reshape(n, k * p)
        return out.reshape(n, k, p)

    @property
    def coupled(self) -> bool:
        """The curvature is one block; otherwise it has one of `block_size` for every output."""
        return not self.loss.separable or self.free is not None

    def block_shape(self) -> tuple[int, int]:
        if self.coupled:
            return 1, self.n_params
        return (1 if self._identical_blocks else self.loss.n_outputs), self.block_size

    @property
    def _identical_blocks(self) -> bool:
        penalties = self.l2.reshape(self.loss.n_outputs, self.block_size)
        return (
            self.loss.constant_hessian
            and self.loss.identical_outputs
            and bool(np.all(penalties == penalties[0]))
        )

    def rounding_of_fit(self) -> float:
        # The estimator saw features that are far from zero where they were.
        noise = self.gradient_noise()
        if not isinstance(self.features, Shifted):
            return noise
        size = float(np.max(np.abs(self.coefficients()[:, :-1]) @ np.abs(self.features.shift)))
        G = self.output_hessians()
        G = G if self.loss.separable else np.diagonal(G, axis1=1, axis2=2)
        curvature = float(np.sum(self.sample_weight[:, None] * np.abs(G)))
        return noise + float(np.finfo(np.float64).eps) * size * curvature**0.5

    def gradient_noise(self) -> float:
        # An error e_i in eta_i is an error X' D e in the gradient, D the curvature, and
        # |X' D e| in the norm of H^-1 is at most |sqrt(D) e|. Rounding makes e_i eps |x_i|'|theta|.
        p, n = self.X.shape[1], self.n_samples
        W = np.abs(self.coefficients())
        total = 0.0
        width = self.loss.n_outputs * max(self._row_width, self.loss.n_outputs)
        sample = self if n <= 2 * NOISY else self.rows(np.arange(0, n, n // NOISY))
        for index in row_blocks(sample.n_samples, width):
            part = sample.rows(index)
            size = abs(in_double(part.X)) @ W[:, :p].T
            size += np.abs(part.output_gradients()) + (W[:, -1] if self.fit_intercept else 0.0)
            G = part.output_hessians()
            G = G if part.loss.separable else np.diagonal(G, axis1=1, axis2=2)
            total += float(np.sum(part.sample_weight[:, None] * np.abs(G) * size**2))
        return float(np.finfo(np.float64).eps * np.sqrt(total * n / max(sample.n_samples, 1)))

    def hessian_blocks(self) -> Array:
        n_blocks, d = self.block_shape()
        if self.coupled:
            return self._coupled_hessian()[None]
        G = self.output_hessians()
        H = np.empty((n_blocks, d, d))
        for k in range(n_blocks):
            H[k] = weighted_gram(self.X, self.sample_weight * G[:, k], self.fit_intercept)
        penalties = self.l2.reshape(self.loss.n_outputs, d)[:n_blocks]
        H[:, np.arange(d), np.arange(d)] += penalties
        return H

    def _coupled_hessian(self) -> Array:
        """Assemble the K x K blocks X' diag(G_kl) X, each from a symmetric rank-k update."""
        n_outputs, d, w = self.loss.n_outputs, self.block_size, self.sample_weight
        entry = self.loss.hessian_entries(self.targets, self.raw_predictions())
        H = np.zeros((n_outputs, d, n_outputs, d))
        for k in range(n_outputs):
            for m in range(k + 1, 0 if self.loss.separable else n_outputs):
                H[k, :, m] = H[m, :, k] = tile = weighted_gram(
                    self.X, w * entry(k, m), self.fit_intercept
                )
                if self.loss.shift_invariant:
                    # The rows of G sum to zero: G_kk = -sum_m G_km.
                    H[k, :, k] -= tile
                    H[m, :, m] -= tile
            if not self.loss.shift_invariant:
                H[k, :, k] = weighted_gram(self.X, w * entry(k, k), self.fit_intercept)
        matrix: Array = H.reshape(n_outputs * d, n_outputs * d)
        if self.free is not None:
            matrix = matrix[np.ix_(self.free, self.free)]
        matrix[np.arange(self.n_params), np.arange(self.n_params)] += self.l2
        return matrix

    def in_row_space(self) -> tuple[LinearObjective, Axes] | None:
        """Return the objective in coordinates of the space its rows span, and their axes.

        Axes U are orthonormal, shape (n_features, rank), and coefficients are U times the new
        ones. With one penalty for all coefficients of an output, minima have no part outside that
        space, whatever the weights and targets. None where the space is not smaller, and for other
        penalties.
        """
        n, p = self.X.shape
        if n >= p or self.free is not None or self.tilt is not None:
            return None
        penalties = self.l2.reshape(self.loss.n_outputs, self.block_size)
        equal = np.all((penalties[:, :p] == penalties[:, :1]) & (penalties[:, :p] > 0))
        if not equal:
            return None
        K, axes = self.loss.n_outputs, axes_of(self.row_products)
        inside = within(axes, self.theta[:, None], K)
        outside = np.linalg.norm(self.theta - lifted(axes, inside, K)[:, 0])
        if outside > 1e-8 * np.linalg.norm(self.theta):  # not at a minimum: refine=False
            return None
        rank = axes.rows.shape[1]
        small = np.column_stack([np.repeat(penalties[:, :1], rank, axis=1), penalties[:, p:]])
        products = RowProducts(axes.rows).keep(self.row_products.matrix())
        reduced = replace(
            self, X=axes.rows, theta=inside[:, 0], l2=small.ravel(), row_products=products
        )
        return reduced, axes

    @property
    def row_space_is_small(self) -> bool:
        """Whether products in the space of the rows take much less than those with X."""
        n, p = self.X.shape
        return bool(n * MUCH_LESS <= self._row_width and n < p)

    def flat_shifts(self) -> list[Array]:
        """Return the common shift of all classes, of the intercept and of what is unpenalised."""
        n_coefficients = self.loss.n_outputs * self.block_size
        place, penalty = np.full(n_coefficients, -1), np.ones(n_coefficients)
        free = slice(None) if self.free is None else self.free
        place[free], penalty[free] = np.arange(self.n_params), self.l2
        shape = self.loss.n_outputs, self.block_size
        shifts: list[Array] = []
        for outputs in self.loss.shift_groups():
            index = place.reshape(shape)[outputs]
            flat = np.all((penalty.reshape(shape)[outputs] == 0) & (index >= 0), axis=0)
            shifts.extend(index[:, flat].T)
        return shifts


def _class_major(V: Array) -> Array:
    """Return (block_size, K, k) as (K * block_size, k)."""
    d, n_outputs, k = V.shape
    return np.ascontiguousarray(V.transpose(1, 0, 2)).reshape(n_outputs * d, k)
