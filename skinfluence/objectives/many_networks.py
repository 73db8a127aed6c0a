"""Networks of one shape at many parameters at once, a stack of them in each pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from skinfluence.objectives.layers import Pass
from skinfluence.objectives.many import Many

if TYPE_CHECKING:
    from skinfluence.objectives.network import NetworkObjective

Array = npt.NDArray[Any]

KEPT = 2**24
"""Numbers of the passes that are kept from one product to the next (128 MiB)."""


class ManyNetworks(Many):
    """Networks of one shape over the same rows, a stack of them in each pass.

    Parameters
    ----------
    objective : NetworkObjective
    Theta : ndarray of shape (n_params, m)
    W : ndarray of shape (n_samples, m)
    """

    def __init__(self, objective: NetworkObjective, Theta: Array, W: Array) -> None:
        self.objective = objective
        self.W = W
        self.stack = objective.layers.split(Theta)
        self.m = Theta.shape[1]
        numbers = self.m * objective.n_samples * objective.layers.width
        self._kept: list[tuple[slice, NetworkObjective, Pass]] | None = None
        self._keep = numbers <= KEPT

    def _passes(self) -> Iterator[tuple[slice, NetworkObjective, Pass]]:
        if self._kept is not None:
            yield from self._kept
            return
        found = []
        for index in self.objective.blocks(self.m):
            part = self.objective.rows(index)
            one = index, part, self.objective.layers.forward(part.X, self.stack)
            if self._keep:
                found.append(one)
            yield one
        if self._keep:
            self._kept = found

    def values(self) -> Array:
        out = np.zeros(self.m)
        for index, part, run in self._passes():
            losses = part.loss.value(part.targets, run.eta)
            out += np.einsum("mn,nm->m", losses, self.W[index])
        return out

    def gradients(self) -> Array:
        out: Any = 0.0
        for index, part, run in self._passes():
            delta = part.loss.gradient(part.targets, run.eta) * self.W[index].T[:, :, None]
            out = out + self.objective.layers.join(run.gradients(run.back(delta)))
        total: Array = out
        return total

    def products(self, S: Array) -> Array:
        directions = self.objective.layers.split(S)
        out: Any = 0.0
        for index, part, run in self._passes():
            w = self.W[index].T[:, :, None]
            deltas = run.back(part.loss.gradient(part.targets, run.eta) * w)
            RZ = run.along(directions)
            Rdelta = part.loss.hessian_product(part.targets, run.eta)(RZ[-1]) * w
            Rdeltas = run.bent(directions, RZ, deltas, Rdelta)
            out = out + self.objective.layers.join(run.second(RZ, deltas, Rdeltas))
        total: Array = out
        return total
