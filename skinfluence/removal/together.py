"""Edits of single rows, made together: a group of rows comes back with other targets.

To first order the changes of the rows add up. A joint Newton step is hardly better there: rows that
are worth another target are those that the model is sure about, where the loss is a straight line,
and the curvature, which knows nothing of the new targets, lets a step go many times too far. So the
minimum is sought instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skinfluence.objectives import LinearObjective, Objective
from skinfluence.removal.base import Counterfactuals
from skinfluence.removal.edits import Edits
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class SummedEdits(Counterfactuals):
    """The sums of the changes by the edits of each of several groups.

    Attributes
    ----------
    single : Counterfactuals
        The changes by each edit alone.
    masks : CSR matrix of bool, shape (n_groups, n_edits)
    """

    single: Counterfactuals
    masks: Any

    @property
    def method(self) -> str:  # type: ignore[override]
        return self.single.method

    @property
    def linear(self) -> bool:  # type: ignore[override]
        return self.single.linear

    @property
    def objective(self) -> Objective:
        return self.single.objective

    @property
    def n_edits(self) -> int:
        return int(self.masks.shape[0])

    def prepare(self, n_edits: int) -> None:
        self.single.prepare(self.masks.nnz)

    def report(self) -> None:
        self.single.report()

    def changes(self, rows: Array) -> Array:
        out = np.zeros((self.objective.n_params, len(rows)))
        for j, group in enumerate(rows):
            for members in self.single.column_blocks(self.masks[[group]].indices):
                out[:, j] += self.single.changes(members).sum(axis=1)
        return out


@dataclass(frozen=True, eq=False)
class JointMinima(Counterfactuals):
    """The change to the minimum after the edits of each of several groups, of a linear model.

    Attributes
    ----------
    edits : Edits
    masks : CSR matrix of bool, shape (n_groups, n_edits)
    names : ndarray of shape (n_groups,) or None
        What an error calls the groups; None where they are just rows.
    minimised : callable
        From an objective to the same at its minimum.
    method : str
        What a user asked for.
    """

    edits: Edits
    masks: Any
    names: Array | None
    minimised: Callable[[LinearObjective], LinearObjective]
    method: str

    @property
    def objective(self) -> Objective:
        return self.edits.base

    @property
    def n_edits(self) -> int:
        return int(self.masks.shape[0])

    def changes(self, rows: Array) -> Array:
        """Return the changes of the parameters.

        Raises
        ------
        ValueError
            For a group after whose edits no finite minimum was found.
        """
        return np.stack([self._change(int(group)) for group in rows], axis=1)

    def _change(self, group: int) -> Array:
        after = self.edits.after(self.masks[[group]].indices)
        try:
            return self.minimised(after).theta - self.edits.base.theta
        except ValueError as error:
            named = "these rows" if self.names is None else f"{self.names[group]}"
            raise ValueError(
                f"With the new targets of {named} no finite optimum was found: the rows may then "
                "be separable without a penalty. Change fewer targets, or fit with a penalty."
            ) from error
