"""A user's own loss of raw predictions, differentiated by autograd; and how autograd is called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp
from autograd.tracer import isbox

from skinfluence.losses.base import Loss, encode_labels
from skinfluence.typing import Array

__all__ = ["AutogradLoss"]

Linear = Callable[[Any], Any]
"""A linear map, as a function."""

# Autograd numbers the functions it is tracing by one counter for the whole process. In two threads
# at once, a trace inside another can get the number of the outer one, and derivatives are silently
# those of something else. Backward passes need no number, so that only tracing waits.
_TRACING = RLock()


def pullback(function: Callable[[Any], Any], at: Any) -> Linear:
    """Return the map from u to u' F, F the derivative of `function` at a point."""
    with _TRACING:
        vjp: Linear = make_vjp(function)(at)[0]
    return vjp


def pushforward(function: Callable[[Any], Any], at: Any) -> Linear:
    """Return the map from v to F v, F the derivative of `function` at a point.

    u' F is linear in u, so that its own pullback, at any u, is v -> F v. Autograd's forward mode
    would trace anew for every v, and knows fewer functions (none of scipy.special).
    """
    with _TRACING:
        back, value = make_vjp(function)(at)
    return pullback(back, anp.zeros_like(value))


def depends(function: Callable[[Any], Any], at: Any) -> bool:
    """Return whether autograd finds that the result of `function` depends on its argument."""
    found: list[bool] = []

    def seen(x: Any) -> Any:
        out = function(x)
        found.append(isbox(out))
        return out + 0.0 * anp.sum(x)

    pullback(seen, at)
    return found[0]


def check_per_row(values: Any, n_rows: int, call: str) -> None:
    """Refuse what a user's function returned unless it is one loss for every row."""
    shape = np.shape(values)
    if shape != (n_rows,):
        got = "a scalar" if shape == () else f"shape {shape}"
        raise ValueError(
            f"{call} returned {got} for {n_rows} rows; one loss for every row, shape ({n_rows},), "
            "is accepted. Sum over the outputs, not over the rows (autograd.numpy.sum(..., "
            "axis=1)), and mind that shapes (n, 1) and (n,) broadcast to (n, n)."
        )


def encode_rows(y: Any, classes: Array | None, row_shape: tuple[int, ...] | None) -> Array:
    """Return targets as a user's own function takes them: codes of labels, or as they are.

    Parameters
    ----------
    y : array-like of shape (n_samples, ...)
    classes : ndarray of shape (n_classes,) or None
        With them, the position of every label among them.
    row_shape : tuple of int or None
        Shape of the target of one row, where it is known.

    Raises
    ------
    ValueError
        For unseen labels, numbers that are not finite, and another shape.
    """
    if classes is not None:
        return encode_labels(y, classes)
    y = np.asarray(y)
    if y.dtype.kind in "OUS":
        raise ValueError(
            f"Targets of dtype {y.dtype} were given, such as {y.ravel()[0]!r}; numbers are "
            "accepted. For labels of a classifier pass classes=estimator.classes_: the "
            "loss then gets their positions."
        )
    if row_shape is not None and y.shape[1:] != row_shape:
        wanted = ", ".join(["n_samples", *map(str, row_shape)]) + ("" if row_shape else ",")
        raise ValueError(
            f"Targets of shape {y.shape} were given; the model was fitted on shape ({wanted}), "
            "which is accepted. Pass them in the same form."
        )
    if y.dtype.kind == "f" and not np.all(np.isfinite(y)):
        raise ValueError(
            "Targets with NaN or infinity were given; finite numbers are accepted. Drop or "
            "impute these rows."
        )
    return y


@dataclass(frozen=True, eq=False)
class AutogradLoss(Loss):
    """A function ``loss(eta, y)`` of a user, for many rows at once.

    Parameters
    ----------
    function : callable
        From raw predictions of shape (n_samples, K), (n_samples,) where `flat`, and targets of
        shape (n_samples, *row_shape) to the losses, shape (n_samples,).
    n_outputs : int
    row_shape : tuple of int
        Shape of the target of one row.
    classes : ndarray of shape (n_classes,) or None
        With them, targets are their codes.
    flat : bool
        The one output of the model comes without an axis of its own.
    """

    function: Callable[[Any, Any], Any]
    n_outputs: int
    row_shape: tuple[int, ...] = ()
    classes: Array | None = None
    flat: bool = False
    separable = False

    def encode(self, y: Any) -> Array:
        return encode_rows(y, self.classes, self.row_shape)

    def each(self, y: Array, eta: Any) -> Any:
        """Return the loss of every row for eta of shape (n, K); `eta` may be traced."""
        values = self.function(eta[:, 0] if self.flat else eta, y)
        check_per_row(values, len(y), "loss(eta, y)")
        return values

    def value(self, y: Array, eta: Array) -> Array:
        y, flat, lead = self._flattened(y, eta)
        return np.asarray(self.each(y, flat), dtype=np.float64).reshape(lead)

    def gradient(self, y: Array, eta: Array) -> Array:
        y, flat, lead = self._flattened(y, eta)
        slope: Array = self._slope(y, flat)
        return slope.reshape(*lead, self.n_outputs)

    def hessian(self, y: Array, eta: Array) -> Array:
        y, flat, lead = self._flattened(y, eta)
        # Rows do not mix: one pullback of e_k in every row is row k of all their Hessians.
        back = pullback(lambda e: self._slope(y, e) + 0.0 * e, flat)
        units = np.eye(self.n_outputs)
        G = np.stack([back(np.tile(unit, (len(flat), 1))) for unit in units], axis=1)
        return G.reshape(*lead, self.n_outputs, self.n_outputs)

    def _slope(self, y: Array, eta: Any) -> Any:
        return pullback(lambda e: self.each(y, e), eta)(np.ones(len(y)))

    def _flattened(self, y: Array, eta: Array) -> tuple[Array, Array, tuple[int, ...]]:
        """Return targets and raw predictions of many rows, and the leading axes they came with."""
        of_y = y.shape[: y.ndim - len(self.row_shape)]
        lead = np.broadcast_shapes(of_y, eta.shape[:-1])
        eta = np.broadcast_to(eta, (*lead, self.n_outputs)).reshape(-1, self.n_outputs)
        y = np.broadcast_to(y, (*lead, *self.row_shape)).reshape(-1, *self.row_shape)
        return y, eta.astype(np.float64), lead
