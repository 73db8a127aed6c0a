"""Huber's loss with the scale of the noise as a second raw prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skinfluence.losses.base import STEADY, Loss, encode_numbers, in_precision, one_hot
from skinfluence.losses.clipping import clip_change, inside
from skinfluence.typing import Array

__all__ = ["ConcomitantHuber"]

SMALLEST = 1e-100
"""Scale of the noise at which derivatives are taken where it is not positive."""

COLLAPSED = 1e-3
"""Scale beside the spread of the targets at which, without a minimum nearby, it is going to 0."""


@dataclass(frozen=True, eq=False)
class ConcomitantHuber(Loss):
    """Huber's loss with a concomitant scale, as in `sklearn.linear_model.HuberRegressor`.

    The two raw predictions are that of y and the scale sigma of the noise. With
    z = (eta - y) / sigma: sigma + sigma H(z), H(z) = z^2 for abs(z) < epsilon, else
    2 epsilon abs(z) - epsilon^2. It is convex in both where sigma > 0; elsewhere its value is
    infinite, and derivatives are those at a tiny sigma.

    Parameters
    ----------
    epsilon : float
        Residual beyond which the loss is linear, in units of sigma.

    References
    ----------
    Owen (2007), A robust hybrid of lasso and ridge regression, doi:10.1090/conm/443/08555.
    """

    epsilon: float
    n_outputs = 2
    separable = False
    convex = True

    @property
    def n_responses(self) -> int:
        return 1

    def output_names(self, targets: Sequence[str]) -> list[str]:
        return [*targets, "scale"]

    def encode(self, y: Any) -> Array:
        return encode_numbers(y, 1)[:, 0]

    def _parts(self, y: Array, eta: Array) -> tuple[Array, Array, Array]:
        """Return the residual, the positive scale and the residual in its units."""
        r = eta[..., 0] - y
        sigma = np.maximum(eta[..., 1], SMALLEST)
        return r, sigma, r / sigma

    def _clip(self, z: Array) -> Array:
        return np.clip(z, -self.epsilon, self.epsilon)

    def value(self, y: Array, eta: Array) -> Array:
        # sigma + sigma (2 c z - c^2) with c = clip(z, -epsilon, epsilon)
        r, sigma, z = self._parts(y, eta)
        c = self._clip(z)
        return np.where(eta[..., 1] > 0, sigma * (1.0 - c**2) + 2.0 * c * r, np.inf)

    def gradient(self, y: Array, eta: Array) -> Array:
        c = self._clip(self._parts(y, eta)[2])
        return np.stack([2.0 * c, 1.0 - c**2], axis=-1)

    def residual(self, y: Array, eta: Array) -> Array:
        z = self._parts(y, eta)[2]
        return np.stack([-2.0 * z, self._clip(z) ** 2 - 1.0], axis=-1)

    def hessian(self, y: Array, eta: Array) -> Array:
        # 2 / sigma [1, -z] [1, -z]' inside, 0 outside: homogeneous of degree 1, hence of rank one
        _, sigma, z = self._parts(y, eta)
        v = np.stack([np.ones_like(z), -self._clip(z)], axis=-1)
        rise = 2.0 * inside(z, -self.epsilon, self.epsilon) / sigma
        return rise[..., None, None] * v[..., :, None] * v[..., None, :]

    def _clip_change(self, y: Array, eta: Array, delta: Array) -> Array:
        """Return the change of c, without cancellation where sigma stays positive."""
        z = self._parts(y, eta)[2]
        _, after, moved = self._parts(y, eta + delta)
        near = (eta[..., 1] > SMALLEST) & (after > SMALLEST)
        d = (delta[..., 0] - np.where(near, z, 0.0) * delta[..., 1]) / after
        close = clip_change(z, -self.epsilon, self.epsilon)(d)
        return np.where(near, close, self._clip(moved) - self._clip(z))

    def distance_to_bend(self, y: Array, eta: Array) -> Array:
        # Where both raw predictions move by d, |r| - epsilon sigma moves by (1 + epsilon) d;
        # inside the Hessian, a multiple of 1 / sigma, changes by d / sigma times (3 + 2 epsilon).
        r, sigma, z = self._parts(y, eta)
        bend = np.abs(np.abs(r) - self.epsilon * sigma) / (1.0 + self.epsilon)
        steady = STEADY * sigma / (3.0 + 2.0 * self.epsilon)
        room = np.where(np.abs(z) < self.epsilon, np.minimum(bend, steady), bend)
        return np.stack([room, room], axis=-1)

    def gradient_change(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        c = self._clip(self._parts(y, eta)[2])

        def change(delta: Array) -> Array:
            D = self._clip_change(y, eta, delta.astype(np.float64, copy=False))
            out = np.stack([2.0 * D, -D * (2.0 * c + D)], axis=-1)
            return in_precision(out, delta.dtype)

        return change

    def change(self, y: Array, eta: Array, delta: Array) -> Array:
        # gradient . delta + D sigma' (2 (z' - c') + D), with c' = c + D
        c = self._clip(self._parts(y, eta)[2])
        D = self._clip_change(y, eta, delta)
        r, sigma, z = self._parts(y, eta + delta)
        linear = 2.0 * c * delta[..., 0] + (1.0 - c**2) * delta[..., 1]
        out = linear + D * (2.0 * (r - sigma * self._clip(z)) + sigma * D)
        before, after = eta[..., 1] > 0, eta[..., 1] + delta[..., 1] > 0
        beyond = np.where(before, np.inf, np.where(after, -np.inf, 0.0))
        return np.where(before & after, out, beyond)

    def why_no_minimum(self, y: Array, eta: Array) -> str | None:
        # As sigma falls to 0, F changes with it at the rate of sum_i w_i (1 - c_i^2), where c_i is
        # epsilon but in rows fitted exactly: it falls if these are more than 1 - 1 / epsilon^2.
        scale, spread = float(eta[:, 1].mean()), float(np.std(y))
        if scale > COLLAPSED * spread:
            return None
        return (
            f"The scale of the noise is at its bound, 0 (fitted: {scale:.2g}; the targets spread "
            f"by {spread:.2g}): at least {1.0 - 1.0 / self.epsilon**2:.0%} of the targets are "
            f"fitted exactly, which for epsilon={self.epsilon:g} is an optimum without a "
            "curvature. Removing a row has no defined effect. Fit with a larger epsilon or a "
            "larger alpha, or on fewer features."
        )

    def response(self, eta: Array) -> Array:
        return eta[..., :1]

    def response_gradient(self, eta: Array, index: Array) -> Array:
        return one_hot(np.zeros_like(index), 2)
