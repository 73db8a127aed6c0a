"""Networks of one shape at many parameters at once, a stack of them in each pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from skinfluence.objectives.layers import Pass
from skinfluence.objectives.network import NetworkObjective
from skinfluence.objectives.stacked import Stacked, stacked
from skinfluence.process.tuning import tuning
from skinfluence.typing import Array


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


class StackedNetworks(Stacked):
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
        self._keep = numbers <= tuning().kept_pass_elements

    def _blocks(self) -> Iterator[Block]:
        if self._kept is not None:
            yield from self._kept
            return
        blocks = []
        for index in self.objective.blocks(self.m):
            part = self.objective.rows(index)
            run = self.objective.layers.forward(part.X, self.stack)
            block = Block(part, run, self.W[index].T[:, :, None])
            if self._keep:
                blocks.append(block)
            yield block
        if self._keep:
            self._kept = blocks

    def values(self) -> Array:
        out = np.zeros(self.m)
        for block in self._blocks():
            losses = block.part.loss.value(block.part.targets, block.run.eta)
            out += np.einsum("mn,mn->m", losses, block.w[:, :, 0])
        return out

    def gradients(self) -> Array:
        out: Any = 0.0
        for block in self._blocks():
            out = out + self.objective.layers.join(block.run.gradients(block.deltas))
        return out

    def products(self, S: Array) -> Array:
        directions = self.objective.layers.split(S)
        out: Any = 0.0
        for block in self._blocks():
            RZ = block.run.along(directions)
            Rdeltas = block.run.bent(
                directions, RZ, block.deltas, block.curvature(RZ[-1]) * block.w
            )
            out = out + self.objective.layers.join(block.run.second(RZ, block.deltas, Rdeltas))
        return out


stacked.register(NetworkObjective, StackedNetworks)
