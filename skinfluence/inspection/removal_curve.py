"""Losses of refits without more and more of the training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skinfluence.inspection.displays import RemovalCurveDisplay
from skinfluence.inspection.result import Result
from skinfluence.inspection.tables import number_of, pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class RemovalCurve(Result):
    """Mean losses of refits without the training rows that help or harm most, and without others.

    What `skinfluence.removal_curve` returns; as an array, ``losses``.

    Attributes
    ----------
    fractions : ndarray of shape (n_fractions,)
        Shares of the training rows that were removed; the first is 0.
    counts : ndarray of int, shape (n_fractions,)
        How many rows these are.
    rankings : ndarray of str, shape (n_curves,)
        By what the rows that leave were chosen: "helpful", "harmful", "random" (once for every
        repetition), "largest_loss".
    losses : ndarray of shape (n_curves, n_fractions)
        Mean loss of the measured rows, in the unit of the loss. NaN without a row of some class.
    n_train, n_measured : int
        Training rows, and rows whose loss was measured.
    method, loss : str
        How scores were computed, and of which loss, in words.
    flatters : bool
        Whether the rows that ranked the training rows measured the loss, too.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from skinfluence import InfluenceRegressor, removal_curve
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = InfluenceRegressor(Ridge(alpha=0.1)).fit(X[:200], y[:200])
    >>> fresh = X[300:], y[300:]
    >>> curve = removal_curve(
    ...     model, X[200:300], y[200:300], fractions=[0.1, 0.3], measured_on=fresh
    ... )
    >>> curve
    RemovalCurve: mean half squared error of 142 test rows without up to 30 % of 200 training rows
    (method newton).
      share  rows  helpful  harmful  random  random_sd  largest_loss
      0.000     0     1427     1427    1427        0.0          1427
      0.100    20     1638     1412    1433        6.7          1462
      0.300    60     2214     1537    1464       43.9          1519
    Rows are ranked once, each by what it does alone; every loss is of a fit without the first of
    them.
    """

    fractions: Array
    counts: Array
    rankings: Array
    losses: Array
    n_train: int
    n_measured: int
    method: str
    loss: str = "loss"
    flatters: bool = False

    def to_frame(self) -> pd.DataFrame:
        """Return a line per share of the rows.

        Returns
        -------
        pandas.DataFrame
            Columns share, rows (how many were removed), then the mean loss for every ranking;
            "random" is the mean over the repetitions, "random_sd" their standard deviation.

        Raises
        ------
        ImportError
            Without pandas.
        """
        return pandas().DataFrame(self._columns())

    def plot(self, ax: Any = None) -> RemovalCurveDisplay:
        """Draw the losses against the share of the rows that was removed.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        RemovalCurveDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        return RemovalCurveDisplay.from_result(self).plot(ax=ax)

    # -------------------------------------------------------------------------------------- to read

    def _array(self) -> Array:
        return self.losses

    def _heading(self) -> str:
        return (
            f"RemovalCurve: mean {self.loss} of {number_of(self.n_measured, 'test row')} without "
            f"up to {100 * self.fractions[-1]:.3g} % of {self.n_train:,} training rows (method "
            f"{self.method})."
        )

    def _top(self) -> Mapping[str, Sequence[Any]]:
        return {name: plain(values) for name, values in self._columns().items()}

    def _remarks(self) -> list[str]:
        remarks = []
        if np.isnan(self.losses).any():
            remarks.append("nan: no row of some class would be left, and no loss of it known.")
        return remarks

    def _columns(self) -> dict[str, Array]:
        columns = {"share": self.fractions, "rows": self.counts}
        for name in dict.fromkeys(self.rankings.tolist()):
            values = self.losses[self.rankings == name]
            columns[name] = values.mean(axis=0)
            if len(values) > 1:
                columns[f"{name}_sd"] = values.std(axis=0)
        return columns
