"""The test rows that a report shows one by one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skinfluence.inspection.given_rows import GivenRows
from skinfluence.inspection.influence import Influence
from skinfluence.inspection.report.shown import Shown
from skinfluence.inspection.tables import plain
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class TestedRows:
    """Some test rows: what was given, what is predicted, and the rows that decide.

    Attributes
    ----------
    influence : Influence
        Of the training rows on each, the largest at either end.
    positions : ndarray of int, shape (n_rows,)
        Among all test rows.
    losses : ndarray of shape (n_rows,)
    predictions : ndarray of shape (n_rows,) or (n_rows, n_outputs), or None
        None of a model that predicts nothing.
    """

    influence: Influence
    positions: Array
    losses: Array
    predictions: Array | None

    @property
    def labels(self) -> list[Any]:
        """Their labels."""
        assert self.influence.test_labels is not None
        return plain(self.influence.test_labels)

    def frames(self, k: int, shown: Shown) -> list[Any]:
        """Return a table for each test row, of the training rows that move it most.

        Parameters
        ----------
        k : int
            At most so many at either end.
        shown : Shown
            Of a report: which of their own columns stand beside.

        Returns
        -------
        list of pandas.DataFrame
            As `Influence.to_frame` has them.
        """
        by_position = replace(self.influence, test_labels=np.arange(len(self.positions)))
        frame = by_position.to_frame(k, columns=shown.columns)
        return [frame[frame["test"] == at].drop(columns="test") for at in range(len(self.labels))]

    def own(self, at: int, shown: Shown) -> dict[Any, Any]:
        """Return the features of a test row that are shown.

        Parameters
        ----------
        at : int
            Which of these test rows.
        shown : Shown
            Of a report.

        Returns
        -------
        dict
        """
        there = GivenRows(shown.tests.X).columns()
        row = self.positions[[at]]
        return {name: there[name](row)[0] for name in shown.features if name in there}

    def given(self, at: int, shown: Shown) -> dict[str, Any]:
        """Return the targets of a test row that are shown, as they were given.

        Parameters
        ----------
        at : int
            Which of these test rows.
        shown : Shown
            Of a report.

        Returns
        -------
        dict
        """
        values = np.asarray(shown.tests.y)[self.positions[at]]
        return _named("given", values, shown)

    def predicted(self, at: int, shown: Shown) -> dict[str, Any]:
        """Return what is predicted of the targets that are shown.

        Parameters
        ----------
        at : int
            Which of these test rows.
        shown : Shown
            Of a report.

        Returns
        -------
        dict
        """
        return {} if self.predictions is None else _named("predicted", self.predictions[at], shown)


def _named(word: str, values: Any, shown: Shown) -> dict[str, Any]:
    values, targets = np.ravel(values), shown.all_names[-len(shown.targets) :]
    if len(values) != len(targets):
        return {}
    named = dict(zip(targets, values, strict=True)) if len(targets) > 1 else {"": values[0]}
    visible = dict(zip(named, shown.targets, strict=True))
    return {f"{word} {name}".strip(): value for name, value in named.items() if visible[name]}
