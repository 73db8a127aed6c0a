"""Left-out losses over the values of a hyper-parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skinfluence.inspection.averages import mean, standard_error, with_error
from skinfluence.inspection.displays import LeaveOneOutCurveDisplay
from skinfluence.inspection.result import Result
from skinfluence.inspection.tables import number_of, pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 12
"""Values that a printed curve shows."""


@dataclass(frozen=True, eq=False, repr=False)
class LeaveOneOutCurve(Result):
    """The leave-one-out risk for every value of a hyper-parameter, and which value is best.

    What `leave_one_out_curve` returns; as an array, the scores.

    Attributes
    ----------
    param_name : str
    param_range : ndarray of shape (n_values,)
    losses : ndarray of shape (n_values, n_train)
        Of every training row by the model with this value that never saw the row. NaN where a
        value has no model.
    row_labels : ndarray of shape (n_train,)
        Index of the training frame, or positions.
    method, loss : str
        How rows were left out, and which loss was taken, in words.
    sample_weight : ndarray of shape (n_train,) or None
        Of the rows in the means.
    failures : tuple of str
        Why a value has no model; empty for those that have one.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from skinfluence import leave_one_out_curve
    >>> X, y = load_diabetes(return_X_y=True)
    >>> curve = leave_one_out_curve(Ridge(), X, y, "alpha", [0.01, 0.1, 1.0])
    >>> curve
    Leave-one-out of 442 rows at 3 values of alpha (exact): best 0.01, half squared error 1500 +- 93
      alpha  score  standard_error  above_best  above_best_error
      0.01    1500            93.3           0               0.0  <- best
      0.1     1502            91.2           2               9.2
      1       1664            91.6         164              48.4
    Not told apart from the best, within two standard errors of the paired difference: 0.1.
    The best value is the last in its direction: try values beyond it.
    """

    param_name: str
    param_range: Array
    losses: Array
    row_labels: Array
    method: str
    loss: str = "loss"
    sample_weight: Array | None = None
    failures: tuple[str, ...] = ()

    _bar: ClassVar[str | None] = "above_best"

    @property
    def scores(self) -> Array:
        """Mean losses, shape (n_values,): smaller is better."""
        scores: Array = mean(self.losses, self.sample_weight)
        return scores

    @property
    def standard_errors(self) -> Array:
        """Of the scores, shape (n_values,), as in `LeaveOneOut.standard_error`."""
        errors: Array = standard_error(self.losses, self.sample_weight)
        return errors

    @property
    def best(self) -> Any:
        """The value with the smallest score, the first of equals."""
        value = self.param_range[self._best]
        return value.item() if isinstance(value, np.generic) else value

    def to_frame(self) -> pd.DataFrame:
        """Return a line per value, in the order they were given.

        Returns
        -------
        pandas.DataFrame
            A column under the name of the parameter, then score, standard_error, above_best (the
            score minus the smallest) and above_best_error: the standard error of that difference,
            paired over rows, which is smaller than those of the two scores. Values within two of it
            are not told apart from the best.

        Raises
        ------
        ImportError
            Without pandas.
        """
        return pandas().DataFrame(self._columns())

    def plot(self, ax: Any = None) -> LeaveOneOutCurveDisplay:
        """Draw the scores with their standard errors, and mark the best.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        LeaveOneOutCurveDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        return LeaveOneOutCurveDisplay.from_result(self).plot(ax=ax)

    @property
    def _best(self) -> int:
        return int(np.nanargmin(self.scores))

    def _above_best(self) -> tuple[Array, Array]:
        """Return by how much every score is above the smallest, and its standard error."""
        above = self.losses - self.losses[self._best]
        return mean(above, self.sample_weight), standard_error(above, self.sample_weight)

    def _array(self) -> Array:
        return self.scores

    def _heading(self) -> str:
        n_values, n_train = self.losses.shape
        score = with_error(self.scores[self._best], self.standard_errors[self._best])
        return (
            f"Leave-one-out of {number_of(n_train, 'row')} at {n_values} values of "
            f"{self.param_name} ({self.method}): best {_written(self.best)}, {self.loss} {score}"
        )

    def _top(self) -> Mapping[str, Sequence[Any]]:
        first = max(0, min(self._best - SHOWN // 2, len(self.param_range) - SHOWN))
        shown = slice(first, first + SHOWN)
        marks = ["<- best" if k == self._best else "" for k in range(len(self.param_range))]
        columns = {name: plain(values[shown]) for name, values in self._columns().items()}
        values = [_written(value) for value in self.param_range[shown]]
        return {**columns, self.param_name: values, " ": marks[shown]}

    def _remarks(self) -> list[str]:
        above, error = self._above_best()
        near = np.flatnonzero(above <= 2.0 * error)
        near = near[near != self._best]
        remarks = []
        if len(near):
            values = ", ".join(_written(value) for value in self.param_range[near])
            remarks.append(
                "Not told apart from the best, within two standard errors of the paired "
                f"difference: {values}."
            )
        if self._at_an_end():
            remarks.append("The best value is the last in its direction: try values beyond it.")
        remarks += [
            f"No model at {_written(value)}: {reason}"
            for value, reason in zip(self.param_range, self.failures, strict=True)
            if reason
        ]
        if len(self.param_range) > SHOWN:
            n_values = len(self.param_range)
            remarks.append(f"Shown are {SHOWN} of {n_values} values: to_frame() has all.")
        return remarks

    def _at_an_end(self) -> bool:
        if self.param_range.dtype.kind not in "iuf" or len(self.param_range) < 2:
            return False
        return self.best in (np.min(self.param_range), np.max(self.param_range))

    def _columns(self) -> dict[str, Array]:
        above, error = self._above_best()
        return {
            self.param_name: self.param_range,
            "score": self.scores,
            "standard_error": self.standard_errors,
            "above_best": above,
            "above_best_error": error,
        }


def _written(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
