"""Training rows as points, the first of them named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skinfluence.inspection.averages import with_error
from skinfluence.inspection.displays.base import (
    HARMS,
    HELPS,
    MANY,
    Display,
    lines_behind,
    name_points,
    neutral,
    points,
)
from skinfluence.inspection.tables import beside, pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


class RowsDisplay(Display):
    """Training rows as points, the first of them named.

    Parameters
    ----------
    x, y : ndarray of shape (n_rows,)
        Those to be named first.
    labels : ndarray of shape (n_rows,)
    named : int
        How many points have their label beside them.
    xlabel, ylabel, title : str
    wrong : ndarray of bool of shape (n_rows,), optional
        Rows that are predicted wrong, as red crosses.
    identity : bool, default=False
        Draw y = x. Without it x is a rank, on a logarithmic axis, so that the first are seen.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import RowsDisplay
    >>> given, predicted = np.array([4.0, 1.0, 2.0]), np.array([1.5, 1.2, 2.1])
    >>> display = RowsDisplay(
    ...     given, predicted, np.array(["b", "c", "a"]), 1, "given", "predicted", identity=True
    ... )
    >>> [text.get_text() for text in display.plot().ax_.texts]
    ['b']
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        labels: Array,
        named: int,
        xlabel: str,
        ylabel: str,
        title: str = "",
        wrong: Array | None = None,
        identity: bool = False,
    ) -> None:
        self.x = x
        self.y = y
        self.labels = labels
        self.named = named
        self.xlabel = xlabel
        self.ylabel = ylabel
        self.title = title
        self.wrong = wrong
        self.identity = identity

    @classmethod
    def from_result(cls, result: Any, k: int = 5) -> Self:
        """Return all rows, the k to be named with the largest loss.

        Of a regressor, what is predicted without the row against what was given; of a classifier
        the probability of the given label without the row, by rank. Where there is neither, or
        there are several targets a row, the loss by rank.

        Parameters
        ----------
        result : LeaveOneOut
        k : int

        Returns
        -------
        RowsDisplay
        """
        order = result._largest_first()
        probability, one_target = result._probability(), result.output_labels is None
        x, y = np.arange(1, len(order) + 1), result.losses
        names = {
            "xlabel": "rank, largest loss first",
            "ylabel": f"left-out {result.loss}",
        }
        if one_target and not result.classifier:
            x, y = result.targets.ravel()[order], result.predictions.ravel()
            names = {"xlabel": "given", "ylabel": "left-out prediction"}
        elif one_target and probability is not None:
            y, names["ylabel"] = probability, "left-out probability of the given label"
        return cls(
            x,
            y[order],
            result.row_labels[order],
            named=k,
            wrong=result._wrong()[order] if result.classifier else None,
            identity=names["xlabel"] == "given",
            title=result._mean_loss(),
            **names,
        )

    @classmethod
    def from_comparison(cls, result: Any, k: int = 5) -> Self:
        """Return the losses of two models, the k rows to be named that they differ on most.

        Parameters
        ----------
        result : LeaveOneOutComparison
        k : int

        Returns
        -------
        RowsDisplay
        """
        order = result._largest_first()
        return cls(
            result.losses[order, 0],
            result.losses[order, 1],
            result.row_labels[order],
            named=k,
            xlabel=f"left-out {result.loss}, first model",
            ylabel=f"left-out {result.loss}, second model",
            identity=True,
            title=f"difference {with_error(result.difference, result.standard_error)}",
        )

    @classmethod
    def from_estimator(cls, model: Any, *, k: int = 5, ax: Any = None, **asked: Any) -> Self:
        """Draw every training row under the model that never saw it.

        Parameters
        ----------
        model : InfluenceClassifier or InfluenceRegressor
            Fitted.
        k : int
            Rows that are named: those with the largest loss.
        ax : matplotlib Axes, optional
            A new figure by default.
        **asked
            Passed to `leave_one_out`: method.

        Returns
        -------
        RowsDisplay
            Drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            As in `leave_one_out`.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from skinfluence import InfluenceRegressor
        >>> from skinfluence.inspection import RowsDisplay
        >>> X, y = load_diabetes(return_X_y=True)
        >>> display = RowsDisplay.from_estimator(InfluenceRegressor().fit(X, y), k=2)
        >>> display.frame().head(3).round(1)
           row  given  left-out prediction  named
        0  102  302.0                141.6   True
        1  359  311.0                174.5   True
        2  256  346.0                211.5  False
        """
        return cls.from_result(model.leave_one_out(**asked), k).plot(ax=ax)

    def frame(self) -> pd.DataFrame:
        """Return the points, a line each, those to be named first.

        Returns
        -------
        pandas.DataFrame
            Columns row (its label), those under the names of the axes, predicted wrong where that
            is drawn, and named. Points without a number are not drawn, and left out.

        Raises
        ------
        ImportError
            Without pandas.
        """
        places = {"row": plain(self.labels), self.xlabel: self.x}
        places[beside([self.ylabel], places, "y")[0]] = self.y
        if self.wrong is not None:
            places["predicted wrong"] = self.wrong
        places["named"] = np.arange(len(self.x)) < self.named
        frame = pandas().DataFrame(places)
        return frame[self._drawn()].reset_index(drop=True)

    def _drawn(self) -> Array:
        """Return which points have numbers."""
        drawn: Array = np.isfinite(self.x) & np.isfinite(self.y)
        return drawn

    def _draw(self, ax: Any) -> None:
        wrong = np.zeros(len(self.x), dtype=bool) if self.wrong is None else self.wrong
        if self.identity:
            ends = [np.nanmin([self.x, self.y]), np.nanmax([self.x, self.y])]
            ax.plot(ends, ends, color=neutral(), linewidth=1.0)
        else:
            ax.set_xscale("log", subs=[])
            ax.xaxis.get_major_locator().set_params(subs=[1.0, 2.0, 5.0])
            ax.xaxis.set_major_formatter("{x:g}")
        marks = ((~wrong, HELPS, "o", 18, "right"), (wrong, HARMS, "X", 30, "wrong"))
        for rows, color, marker, size, word in marks:
            if rows.any():
                count = f"{np.sum(rows & ~np.isnan(self.y)):,} predicted {word}"
                label = None if self.wrong is None else count
                mark: dict[str, Any] = {"color": color, "marker": marker, "label": label}
                mark |= {"s": size} if len(self.x) <= MANY else {}
                points(ax, self.x[rows], self.y[rows], **mark)
        ax.set_xlabel(self.xlabel)
        ax.set_ylabel(self.ylabel)
        ax.set_title(self.title)
        lines_behind(ax)

    def _write(self, ax: Any) -> None:
        first = np.flatnonzero(self._drawn()[: self.named])
        name_points(ax, self.x[first], self.y[first], self.labels[first])
