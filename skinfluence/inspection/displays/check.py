"""Predicted against actual changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from skinfluence.inspection.agreement import agreement
from skinfluence.inspection.displays.base import HELPS, Display, lines_behind, neutral, points
from skinfluence.inspection.tables import pandas, plain
from skinfluence.inspection.words import plain_number, target_words
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


class LeaveOneOutDisplay(Display):
    """Predicted against actual changes, with the identity line.

    Parameters
    ----------
    predicted, actual : ndarray of shape (n_test, n_rows)
        Changes of the target, in its unit.
    target, method : str
        What changes, and how the change was predicted.
    noise_floor : float
        Drawn as a band around the identity; in the unit of the target.
    fit_for : str, optional
        What the predictions are fit for, for the title.
    refit : str
        What the actual changes are of, as in `LeaveOneOutCheck`.
    test_labels, row_labels : ndarray of shape (n_test,), (n_rows,), optional
        For `frame`; positions by default.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import LeaveOneOutDisplay
    >>> actual = np.array([[0.4, -0.1, 0.2]])
    >>> display = LeaveOneOutDisplay(actual / 2, actual, target="loss", method="first_order")
    >>> display.plot().ax_.get_title()
    'slope 2.000, relative error 0.500'
    """

    figsize: ClassVar[tuple[float, float] | None] = (5.0, 5.0)

    def __init__(
        self,
        predicted: Array,
        actual: Array,
        target: str,
        method: str,
        noise_floor: float = 0.0,
        fit_for: str | None = None,
        refit: str = "final",
        test_labels: Array | None = None,
        row_labels: Array | None = None,
    ) -> None:
        self.predicted = predicted
        self.actual = actual
        self.target = target
        self.method = method
        self.noise_floor = noise_floor
        self.fit_for = fit_for
        self.refit = refit
        self.test_labels = test_labels
        self.row_labels = row_labels

    @classmethod
    def from_result(cls, result: Any) -> Self:
        """Return the predicted and the actual changes of a check.

        Parameters
        ----------
        result : LeaveOneOutCheck

        Returns
        -------
        LeaveOneOutDisplay
        """
        return cls(
            predicted=result.predicted,
            actual=result.actual,
            target=result.target,
            method=result.method,
            noise_floor=result.noise_floor,
            fit_for=result.fit_for or "neither",
            refit=result.refit,
            test_labels=result.test_labels,
            row_labels=result.row_labels,
        )

    @classmethod
    def from_estimator(
        cls, model: Any, X_test: Any, y_test: Any = None, *, ax: Any = None, **asked: Any
    ) -> Self:
        """Check the scores of a model against refits, and draw both.

        Parameters
        ----------
        model : InfluenceClassifier or InfluenceRegressor
            Fitted.
        X_test, y_test : array-like
            Test rows and their targets.
        ax : matplotlib Axes, optional
            A new figure by default.
        **asked
            Passed to `leave_one_out_check`: rows, select, target, method, ...

        Returns
        -------
        LeaveOneOutDisplay
            Drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            As in `leave_one_out_check`.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from skinfluence import InfluenceRegressor
        >>> from skinfluence.inspection import LeaveOneOutDisplay
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = InfluenceRegressor().fit(X[:400], y[:400])
        >>> display = LeaveOneOutDisplay.from_estimator(model, X[400:], y[400:], rows=10)
        >>> print(display.ax_.get_title())
        fit for values
        slope 1.000, relative error 0.000
        """
        display = cls.from_result(model.leave_one_out_check(X_test, y_test, **asked))
        return display.plot(ax=ax)

    def frame(self) -> pd.DataFrame:
        """Return the points: every pair of a test row and a removed row, one a line.

        Returns
        -------
        pandas.DataFrame
            Columns test and row (labels, or positions), predicted and actual.

        Raises
        ------
        ImportError
            Without pandas.
        """
        n_test, n_rows = self.predicted.shape
        tests = np.arange(n_test) if self.test_labels is None else self.test_labels
        rows = np.arange(n_rows) if self.row_labels is None else self.row_labels
        points = {
            "test": plain(np.repeat(tests, n_rows)),
            "row": plain(np.tile(rows, n_test)),
            "predicted": self.predicted.ravel(),
            "actual": self.actual.ravel(),
        }
        return pandas().DataFrame(points)

    def _draw(self, ax: Any) -> None:
        p, a = np.ravel(self.predicted), np.ravel(self.actual)
        ends = np.array([min(p.min(), a.min()), max(p.max(), a.max())])
        ends += np.array([-0.04, 0.04]) * (np.ptp(ends) or 1.0)
        ax.fill_between(
            ends,
            ends - self.noise_floor,
            ends + self.noise_floor,
            color=neutral(0.15),
            linewidth=0,
            label="noise floor" if self.noise_floor > 0.01 * np.ptp(ends) else None,
        )
        lines_behind(ax)
        ax.plot(ends, ends, color=neutral(), linewidth=1.0, label="identity")
        points(ax, p, a, color=HELPS)
        fit = agreement(p, a)
        ax.set_aspect("equal")
        ax.set_xlim(ends)
        ax.set_ylim(ends)
        ax.set_xlabel(
            f"predicted change of {target_words(self.target)} ({self.method.replace('_', ' ')})"
        )
        how = {"structure": "over the same splits", "proximal": "by the proximal objective"}
        ax.set_ylabel(
            f"actual change of {target_words(self.target)} ({how.get(self.refit, 'refitted')})"
        )
        error = plain_number(fit.relative_error, ".3f")
        numbers = f"slope {fit.slope:.3f}, relative error {error}"
        ax.set_title(numbers if self.fit_for is None else f"fit for {self.fit_for}\n{numbers}")
