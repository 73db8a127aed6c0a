"""Left-out losses over the values of a parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skinfluence.inspection.displays.base import HARMS, HELPS, Display, as_text, lines_behind
from skinfluence.inspection.tables import pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


class LeaveOneOutCurveDisplay(Display):
    """Mean left-out losses over the values of a parameter, with their standard errors.

    The axis is logarithmic where the values are closer to a geometric than to an arithmetic
    sequence, and has equal steps where they are no finite numbers.

    Parameters
    ----------
    param_name : str
    param_range : ndarray of shape (n_values,)
    scores, standard_errors : ndarray of shape (n_values,)
    best : int
        Position of the value that is marked.
    loss : str

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import LeaveOneOutCurveDisplay
    >>> scores, errors = np.array([0.3, 0.1, 0.2]), np.array([0.02, 0.01, 0.03])
    >>> display = LeaveOneOutCurveDisplay(
    ...     "C", np.array([0.1, 1, 10]), scores, errors, 1, "log loss"
    ... )
    >>> display.plot().ax_.get_xscale()
    'log'
    """

    def __init__(
        self,
        param_name: str,
        param_range: Array,
        scores: Array,
        standard_errors: Array,
        best: int,
        loss: str,
    ) -> None:
        self.param_name = param_name
        self.param_range = param_range
        self.scores = scores
        self.standard_errors = standard_errors
        self.best = best
        self.loss = loss

    @classmethod
    def from_result(cls, result: Any) -> Self:
        """Return the scores of a curve.

        Parameters
        ----------
        result : LeaveOneOutCurve
            What `leave_one_out_curve` returned.

        Returns
        -------
        LeaveOneOutCurveDisplay

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.linear_model import Ridge
        >>> from skinfluence import leave_one_out_curve
        >>> from skinfluence.inspection import LeaveOneOutCurveDisplay
        >>> X, y = load_diabetes(return_X_y=True)
        >>> curve = leave_one_out_curve(Ridge(), X, y, "alpha", [0.01, 0.1, 1.0])
        >>> LeaveOneOutCurveDisplay.from_result(curve).frame().round(1)
           alpha  mean half squared error  standard error  smallest
        0    0.0                   1500.2            93.3      True
        1    0.1                   1502.3            91.2     False
        2    1.0                   1663.8            91.6     False
        """
        return cls(
            result.param_name,
            result.param_range,
            result.scores,
            result.standard_errors,
            result._best,
            result.loss,
        )

    def frame(self) -> pd.DataFrame:
        """Return the points in the order they were given, one a line.

        Returns
        -------
        pandas.DataFrame
            Columns under the name of the parameter and of the mean loss, standard error, and
            smallest.

        Raises
        ------
        ImportError
            Without pandas.
        """
        points = {
            self.param_name: plain(self.param_range),
            f"mean {self.loss}": self.scores,
            "standard error": self.standard_errors,
            "smallest": np.arange(len(self.scores)) == self.best,
        }
        return pandas().DataFrame(points)

    def _draw(self, ax: Any) -> None:
        numbers = self.param_range.dtype.kind in "iuf" and bool(
            np.all(np.isfinite(self.param_range))
        )
        x = self.param_range if numbers else np.arange(len(self.scores))
        order = np.argsort(x, kind="stable")
        ax.errorbar(
            x[order],
            self.scores[order],
            yerr=self.standard_errors[order],
            color=HELPS,
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=1.2,
            elinewidth=0.8,
        )
        value = f"{self.param_range[self.best]:.4g}" if numbers else self.param_range[self.best]
        ax.plot(
            x[self.best],
            self.scores[self.best],
            "D",
            color=HARMS,
            markersize=8,
            zorder=3,
            label=as_text(f"smallest at {value}"),
        )
        if not numbers:
            ax.set_xticks(x, [as_text(value) for value in self.param_range])
        elif _is_geometric(x[order]):
            ax.set_xscale("log")
        ax.set_xlabel(as_text(self.param_name, None))
        ax.set_ylabel(f"mean {self.loss} of rows left out")
        ax.set_title("Every row left out once")
        lines_behind(ax)


def _is_geometric(values: Array) -> bool:
    """Return whether rising values grow by more equal factors than differences."""
    if len(values) < 3 or values[0] <= 0 or np.any(np.diff(values) == 0):
        return False
    differences, factors = np.diff(values), np.diff(np.log(values))
    return bool(np.std(factors) / np.mean(factors) < np.std(differences) / np.mean(differences))
