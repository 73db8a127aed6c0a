"""The losses of an objective at many parameters at once, a column each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from skinfluence.objectives.base import Objective

Array = npt.NDArray[Any]


class Many(ABC):
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


class OneByOne(Many):
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

    def _each(self) -> Iterator[Objective]:
        for theta, w in zip(self.Theta.T, self.W.T, strict=True):
            kept = np.flatnonzero(w)
            yield self.objective.rows(kept).weighing(w[kept]).at(theta)

    def values(self) -> Array:
        return np.array([one.sample_weight @ one.losses() for one in self._each()])

    def gradients(self) -> Array:
        each = [one.weighted_grad_sum(one.sample_weight[:, None])[:, 0] for one in self._each()]
        return np.column_stack(each)

    def products(self, S: Array) -> Array:
        each = [
            one.hvp(s[:, None])[:, 0] - one.l2 * s for one, s in zip(self._each(), S.T, strict=True)
        ]
        return np.column_stack(each)
