"""Networks of one shape at many parameters at once, a stack of them in each pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from skinfluence.objectives.layers import Pass
from skinfluence.objectives.many import Many

if TYPE_CHECKING:
    from skinfluence.objectives.network import NetworkObjective

Array = npt.NDArray[Any]

KEPT = 2**24
"""Numbers of the passes, there and back, that are kept from one product to the next (128 MiB)."""


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows passed through every network, and what is sent back for them.

    Attributes
    ----------
    part : NetworkObjective
        Over these rows; its own parameters and weights do not count.
    run : Pass
    w : ndarray of shape (m, n_rows, 1)
    """

    part: NetworkObjective
    run: Pass
    w: Array

    @cached_property
    def deltas(self) -> list[Array]:
        """The derivatives of the weighted losses in the Z of every layer."""
        return self.run.back(self.part.loss.gradient(self.part.targets, self.run.eta) * self.w)

    @cached_property
    def curvature(self) -> Callable[[Array], Array]:
        """The map from v to the second derivatives of the losses times v."""
        return self.part.loss.hessian_product(self.part.targets, self.run.eta)


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
        numbers = 2 * self.m * objective.n_samples * objective.layers.width
        self._kept: list[Block] | None = None
        self._keep = numbers <= KEPT

    def _blocks(self) -> Iterator[Block]:
        if self._kept is not None:
            yield from self._kept
            return
        found = []
        for index in self.objective.blocks(self.m):
            part = self.objective.rows(index)
            run = self.objective.layers.forward(part.X, self.stack)
            one = Block(part, run, self.W[index].T[:, :, None])
            if self._keep:
                found.append(one)
            yield one
        if self._keep:
            self._kept = found

    def values(self) -> Array:
        out = np.zeros(self.m)
        for one in self._blocks():
            losses = one.part.loss.value(one.part.targets, one.run.eta)
            out += np.einsum("mn,mn->m", losses, one.w[:, :, 0])
        return out

    def gradients(self) -> Array:
        out: Any = 0.0
        for one in self._blocks():
            out = out + self.objective.layers.join(one.run.gradients(one.deltas))
        total: Array = out
        return total

    def products(self, S: Array) -> Array:
        directions = self.objective.layers.split(S)
        out: Any = 0.0
        for one in self._blocks():
            RZ = one.run.along(directions)
            Rdeltas = one.run.bent(directions, RZ, one.deltas, one.curvature(RZ[-1]) * one.w)
            out = out + self.objective.layers.join(one.run.second(RZ, one.deltas, Rdeltas))
        total: Array = out
        return total
