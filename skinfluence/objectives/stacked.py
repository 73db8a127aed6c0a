"""The losses of an objective at many parameters at once, a column each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import singledispatch

import numpy as np

from skinfluence.objectives.base import Objective
from skinfluence.typing import Array


class Stacked(ABC):
    """The weighted losses of an objective at m parameters, without the penalty.

    Column j has parameters and weights of its own, so that one product of matrices serves many
    models that were trained on (nearly) the same rows.
    """

    @abstractmethod
    def values(self) -> Array:
        """Return sum_i W_ij l_i(theta_j), shape (m,)."""

    @abstractmethod
    def gradients(self) -> Array:
        """Return their derivatives, shape (n_params, m)."""

    @abstractmethod
    def products(self, S: Array) -> Array:
        """Return the second derivative of each times its own column of S, shape (n_params, m)."""


class StackedObjectives(Stacked):
    """An objective for each of the parameters: what works for every model.

    Parameters
    ----------
    objective : Objective
    Theta : ndarray of shape (n_params, m)
    W : ndarray of shape (n_samples, m)
    """

    def __init__(self, objective: Objective, Theta: Array, W: Array) -> None:
        self.objective = objective
        self.Theta = Theta
        self.W = W

    def _columns(self) -> Iterator[Objective]:
        for theta, w in zip(self.Theta.T, self.W.T, strict=True):
            kept = np.flatnonzero(w)
            yield self.objective.rows(kept).with_weights(w[kept]).at(theta)

    def values(self) -> Array:
        return np.array([column.sample_weight @ column.losses() for column in self._columns()])

    def gradients(self) -> Array:
        return np.column_stack(
            [
                column.weighted_grad_sum(column.sample_weight[:, None])[:, 0]
                for column in self._columns()
            ]
        )

    def products(self, S: Array) -> Array:
        return np.column_stack(
            [
                column.hvp(s[:, None])[:, 0] - column.l2 * s
                for column, s in zip(self._columns(), S.T, strict=True)
            ]
        )


@singledispatch
def stacked(objective: Objective, Theta: Array, W: Array) -> Stacked:
    """Return the losses of an objective at several parameters, a column each, weighted anew.

    Register a class for objectives that share their products with matrices:
    ``stacked.register(MyObjective, MyStacked)``.

    Parameters
    ----------
    objective : Objective
    Theta : ndarray of shape (n_params, m)
    W : ndarray of shape (n_samples, m)
        In place of `sample_weight`.
    """
    return StackedObjectives(objective, Theta, W)
