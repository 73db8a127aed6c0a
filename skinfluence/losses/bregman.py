"""The divergence of raw predictions from given ones, under a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skinfluence.losses.base import Loss, hand_on
from skinfluence.typing import Array

__all__ = ["Bregman"]


@dataclass(frozen=True, eq=False)
class Bregman(Loss):
    """l(y, eta) - slope' eta, whose minimum is where the derivative of l is the slope.

    With slope = dl/deta at eta_0 it is, up to a constant, the Bregman divergence of eta from eta_0,
    l(y, eta) - l(y, eta_0) - slope' (eta - eta_0).

    Encoded targets are those of the loss and the slopes, concatenated: see `at`.

    Parameters
    ----------
    loss : Loss

    References
    ----------
    Bae, J., Ng, N., Lo, A., Ghassemi, M. & Grosse, R. (2022). If influence functions are the
    answer, then what is the question? NeurIPS. arXiv:2209.05364.
    """

    loss: Loss

    def __post_init__(self) -> None:
        loss = self.loss
        hand_on(self, [loss], n_outputs=loss.n_outputs, separable=loss.separable, temperature=None)

    @property
    def target_width(self) -> int:
        return max(self.loss.target_width, 1) + self.n_outputs

    def at(self, y: Array, eta: Array) -> Array:
        """Return the targets for which the loss is least at `eta`, shape (n, target_width)."""
        slopes = self.loss.gradient(y, eta)
        return np.column_stack([np.asarray(y, dtype=np.float64), slopes])

    def encode(self, y: Any) -> Array:
        raise TypeError("Bregman was given labels, but its targets are made by Bregman.at().")

    def shift_groups(self) -> list[slice]:
        return self.loss.shift_groups()

    def _split(self, y: Array) -> tuple[Array, Array]:
        width = self.loss.target_width
        own = y[..., : max(width, 1)]
        codes = own[..., 0].astype(np.intp) if width == 0 else own
        return codes, y[..., max(width, 1) :]

    def value(self, y: Array, eta: Array) -> Array:
        own, slopes = self._split(y)
        return self.loss.value(own, eta) - np.sum(slopes * eta, axis=-1)

    def gradient(self, y: Array, eta: Array) -> Array:
        own, slopes = self._split(y)
        return self.loss.gradient(own, eta) - slopes

    def hessian(self, y: Array, eta: Array) -> Array:
        return self.loss.hessian(self._split(y)[0], eta)

    def hessian_product(self, y: Array, eta: Array) -> Callable[[Array], Array]:
        return self.loss.hessian_product(self._split(y)[0], eta)
