"""A user's own model: one function of the parameters, differentiated by autograd."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Self

import autograd.numpy as anp
import numpy as np

from skinfluence.losses.autograd import (
    AutogradLoss,
    check_per_row,
    encode_rows,
    pullback,
    pushforward,
)
from skinfluence.objectives.base import Objective, OutputObjective
from skinfluence.objectives.validation import (
    check_arguments,
    check_derivatives,
    check_losses,
    check_predictions,
    read_parameters,
    read_penalty,
    read_rows,
    read_weights,
)
from skinfluence.objectives.weighting import Fixed, Weighting
from skinfluence.process.blocks import row_blocks
from skinfluence.typing import Array

_OF_ROWS = ("X", "y", "sample_weight", "weighting", "row_shape", "loss")


class AutogradObjective(Objective):
    """sum_i w_i l(y_i, x_i; theta) + 1/2 theta' diag(l2) theta for an l that autograd can take.

    With `predict` the result is also an `OutputObjective`: it has raw predictions, which opens the
    other targets and the block forms of ``newton``.

    Parameters
    ----------
    loss : callable
        ``loss(theta, X, y)``, the unweighted loss of every row without the penalty, shape
        (n_samples,), written with ``autograd.numpy`` (and ``autograd.scipy``). With `predict`,
        ``loss(eta, y)``. A row's loss must not depend on the other rows.
    theta : array-like of shape (n_params,)
        The fitted parameters.
    l2 : float or array-like of shape (n_params,)
        Beside a *sum* of losses: an estimator that minimises their mean plus
        1/2 alpha theta' theta has l2 = n alpha.
    predict : callable, optional
        ``predict(theta, X)``, the raw predictions eta, shape (n_samples, K) or (n_samples,), which
        `loss` gets in the same shape. The target "predict" is eta itself: where there is a link,
        apply it here for predictions on the scale of the response.
    X, y, sample_weight : array-like, optional
        The rows it was fitted on, all that multiplies a row in `sample_weight`. By default those
        that the final step was fitted on: such an objective is `unbound` until they are known.
    convex : bool
        Promised: the Hessian is positive semidefinite everywhere. Allows ``refine="auto"`` to move
        to the minimum.
    classes : array-like of shape (n_classes,), optional
        The labels of a classifier. `loss` then gets their positions in the sorted `classes`.

    Raises
    ------
    ValueError
        For parameters, penalties and rows of the wrong shape or not finite; a loss of the wrong
        shape, not finite, that mixes rows, or that does not depend on theta.
    TypeError
        For functions of other arguments, and a loss that autograd cannot differentiate twice.

    Notes
    -----
    Where the weights of other rows move when one leaves (a penalised mean), bind the rows and say
    how: ``AutogradObjective(..., X=X, y=y).with_weights(w, Averaged.of_all(counts))``.

    Examples
    --------
    Exponential growth, y = a exp(b x):

    >>> import autograd.numpy as anp
    >>> from skinfluence import AutogradObjective
    >>> def squared(theta, X, y):
    ...     return 0.5 * (theta[0] * anp.exp(theta[1] * X[:, 0]) - y) ** 2
    >>> X, y = [[0.0], [1.0], [2.0]], [1.0, 2.0, 4.0]
    >>> growth = AutogradObjective(squared, [1.0, 0.7], X=X, y=y)
    >>> growth.losses().round(4)
    array([0.    , 0.0001, 0.0015])
    >>> growth.gradient().round(3)
    array([0.252, 0.475])
    """

    y: Array | None
    kind = "own"
    default_curvature = "hessian"

    def __init__(
        self,
        loss: Callable[..., Any],
        theta: Any,
        *,
        l2: Any = 0.0,
        predict: Callable[[Any, Any], Any] | None = None,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
        convex: bool = False,
        classes: Any = None,
    ) -> None:
        check_arguments(loss, predict)
        self.theta = read_parameters(theta)
        self.l2 = read_penalty(l2, self.n_params)
        self.convex = bool(convex)
        self.functions = loss, predict
        self.classes = None if classes is None else np.unique(np.asarray(classes))
        self.unbound = X is None
        if X is not None:
            self._bind(X, y, sample_weight)
        elif y is not None or sample_weight is not None:
            raise ValueError(
                "y or sample_weight were given without X; all of them or none are accepted. Pass "
                "the X your adapter was called with too."
            )

    if not TYPE_CHECKING:

        @wraps(__init__)  # whose signature it is; copy and pickle give no arguments
        def __new__(cls, *args, predict=None, **kwargs):
            return super().__new__(cls if predict is None else AutogradOutputObjective)

        def __getattr__(self, name: str) -> Any:
            """Say why an attribute of the rows is not there."""
            if name in _OF_ROWS and vars(self).get("unbound"):
                raise ValueError(
                    "This AutogradObjective was made without rows; only an adapter may return it "
                    "so. Pass X=X and y=y, or give it rows by over(X, y, sample_weight)."
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def bind(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Return an unbound objective over the rows that its parameters were fitted on.

        An objective that has rows stays as it is.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples, ...)
        sample_weight : array-like of shape (n_samples,), optional
            1 by default.

        Raises
        ------
        ValueError, TypeError
            As the constructor.
        """
        if not self.unbound:
            return self
        out = self._with(unbound=False)
        out._bind(X, y, sample_weight)
        return out

    def _bind(self, X: Any, y: Any, sample_weight: Any) -> None:
        if y is None:
            raise ValueError(
                "X was given without y; the targets of its rows are needed. Pass y=y, or zeros "
                "where the loss has no use for it."
            )
        self.X = read_rows(X)
        self.y = encode_rows(y, self.classes, None)
        self.row_shape = self.y.shape[1:]
        self.sample_weight = read_weights(sample_weight, self.X, self.y)
        self.weighting = Fixed(self.n_samples)
        self._look_at_predictions()
        check_losses(self)
        check_derivatives(self, lambda theta: self._each(theta, self.X))

    def _look_at_predictions(self) -> None:
        """Learn the shape of the raw predictions, where there are any."""

    def _with(self, **changes: Any) -> Self:
        out = copy(self)
        for name in ("_eta", "_hessian"):
            out.__dict__.pop(name, None)
        out.__dict__.update(changes)
        return out

    def at(self, theta: Array) -> Self:
        self.X  # noqa: B018 (unbound objectives say so)
        return self._with(theta=theta)

    def on(self, X: Any, y: Any | None = None) -> Self:
        row_shape, X = self.row_shape, read_rows(X)
        return self._with(
            X=X,
            y=None if y is None else encode_rows(y, self.classes, row_shape),
            sample_weight=np.ones(len(X)),
            weighting=Fixed(len(X)),
        )

    def rows(self, index: slice | Array) -> Self:
        return self._with(
            X=self.X[index],
            y=None if self.y is None else self.y[index],
            sample_weight=self.sample_weight[index],
            weighting=self.weighting.rows(index),
        )

    def with_weights(self, sample_weight: Array, weighting: Weighting | None = None) -> Self:
        weighting = self.weighting if weighting is None else weighting
        return self._with(sample_weight=sample_weight, weighting=weighting)

    @property
    def targets(self) -> Array:
        """The targets as the loss takes them; raises where rows came without any."""
        if self.y is None:
            raise ValueError(
                "The loss of these rows was asked for without their targets; pass y_test."
            )
        return self.y

    def _each(self, theta: Any, X: Any) -> Any:
        """Return the loss of every row; `theta` and `X` may be traced."""
        values = self.functions[0](theta, X, self.targets)
        check_per_row(values, len(X), "loss(theta, X, y)")
        return values

    def losses(self) -> Array:
        return np.asarray(self._each(self.theta, self.X), dtype=np.float64)

    def grads_dot(self, V: Array) -> Array:
        return _columns(pushforward(lambda theta: self._each(theta, self.X), self.theta), V)

    def weighted_grad_sum(self, A: Array) -> Array:
        if A.shape[1] > self.n_params:
            gradients = self.grads_dot(np.eye(self.n_params))
            return gradients.T @ A
        return _columns(pullback(lambda theta: self._each(theta, self.X), self.theta), A)

    def hvp(self, V: Array) -> Array:
        if "_hessian" in vars(self):
            return self._hessian @ V

        def gradient(theta: Any) -> Any:
            back = pullback(lambda theta: self._each(theta, self.X), theta)
            return back(self.sample_weight) + self.l2 * theta

        return _columns(pullback(gradient, self.theta), V)

    @cached_property
    def _hessian(self) -> Array:
        return super().hessian_blocks()[0]

    def hessian_blocks(self) -> Array:
        return self._hessian[None].copy()

    def input_gradients_dot(self, V: Array) -> Array:
        """Return the derivative in x_i of (grad l_i . v), shape (n_samples, k, n_features).

        Unweighted, for every column v of V and rows as the model sees them.
        """

        def gradient(X: Any) -> Any:
            back = pullback(lambda theta: self._each(theta, X), self.theta)
            return back(np.ones(len(X))) + 0.0 * anp.sum(X)  # so that it depends on X

        derivatives = _columns(pullback(gradient, self.X.astype(np.float64)), V)
        return derivatives.transpose(0, 2, 1)

    def gradient_noise(self) -> float:
        # Losses known up to a constant may be negative.
        return 1e-14 * float(np.sqrt(self.sample_weight @ np.abs(self.losses())))


class AutogradOutputObjective(AutogradObjective, OutputObjective):
    """An `AutogradObjective` with raw predictions: what the constructor makes with `predict`."""

    loss: AutogradLoss

    def _look_at_predictions(self) -> None:
        loss, predict = self.functions
        assert predict is not None
        shape = np.shape(predict(self.theta, self.X))
        check_predictions(shape, self.n_samples)
        flat = len(shape) == 1
        n_outputs = 1 if flat else int(shape[1])
        self.loss = AutogradLoss(loss, n_outputs, self.row_shape, self.classes, flat)

    def rows(self, index: slice | Array) -> Self:
        part = super().rows(index)
        part.__dict__["_eta"] = self._eta[index]
        return part

    @property
    def targets(self) -> Array:
        return OutputObjective.targets.fget(self)  # type: ignore[attr-defined]

    def _outputs(self, theta: Any, X: Any) -> Any:
        """Return the raw predictions, shape (n_samples, K); `theta` and `X` may be traced."""
        assert self.functions[1] is not None
        eta = self.functions[1](theta, X)
        check_predictions(np.shape(eta), len(X))
        return anp.reshape(eta, (len(X), self.loss.n_outputs))

    def _each(self, theta: Any, X: Any) -> Any:
        return self.loss.each(self.targets, self._outputs(theta, X))

    @cached_property
    def _eta(self) -> Array:
        return np.asarray(self._outputs(self.theta, self.X), dtype=np.float64)

    def raw_predictions(self) -> Array:
        return self._eta

    def jacobian_dot(self, V: Array) -> Array:
        outputs = pushforward(lambda theta: self._outputs(theta, self.X), self.theta)
        return _columns(outputs, V)

    def jacobian_t_dot(self, B: Array) -> Array:
        back = pullback(lambda theta: self._outputs(theta, self.X), self.theta)
        products = [back(b) for b in np.moveaxis(B, 2, 0)]
        return np.stack(products, axis=1) if products else np.empty((self.n_params, 0))

    def jacobian_t_rows(self, B: Array) -> Array:
        out = np.empty((self.n_params, self.n_samples))
        K = self.loss.n_outputs
        if self.n_params > self.n_samples:  # a pullback of every row costs less than J
            for i in range(self.n_samples):
                out[:, i] = self.rows(slice(i, i + 1)).jacobian_t_dot(B[i : i + 1, :, None])[:, 0]
            return out
        for index in row_blocks(self.n_samples, K * self.n_params):
            J = self.rows(index).jacobian_dot(np.eye(self.n_params))
            out[:, index] = np.einsum("ikp,ik->pi", J, B[index])
        return out


def _columns(product: Callable[[Any], Any], V: Array) -> Array:
    """Return a linear map of every column of V, stacked along a new last axis."""
    if V.shape[1] > V.shape[0]:
        return _columns(product, np.eye(V.shape[0])) @ V
    if V.shape[1] == 0:
        return np.stack([product(np.zeros(len(V)))], axis=-1)[..., :0]
    return np.stack([product(v) for v in V.T.astype(np.float64)], axis=-1)
