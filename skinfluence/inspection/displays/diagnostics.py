"""Residuals against leverages, with Cook's distance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skinfluence.inspection.displays.base import (
    HARMS,
    HELPS,
    Display,
    name_points,
    neutral,
    points,
)
from skinfluence.inspection.displays.room import Box, box_of
from skinfluence.inspection.tables import number_of, pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

CLASSICAL = (0.5, 1.0)
"""Cook's distances of which R draws contours."""

FEWEST = 2
"""Contours that are drawn at least."""

HOLDS = 0.05
"""Median relative difference from the given distances up to which contours are drawn."""


class DiagnosticsDisplay(Display):
    """Studentised residuals against leverages, with contours of Cook's distance.

    As `plot.lm` of R, ``which=5``. With r the internally studentised residual, h the leverage and
    p the sum of all h, Cook's distance of a regression is

        D = r^2 h / (p (1 - h)),

    and so it is where a row is removed by one Newton step of one output. There the contours are
    those of .5 and 1 and the next smaller, where they come into the picture. Where the given
    distances are others (by more than 5 % in the median), the area of a point is its distance.

    Parameters
    ----------
    hat_diagonal, residuals, cooks_distance : ndarray of shape (n_train,)
        Rows without one of these numbers, nan, are left out, and counted.
    labels : ndarray of shape (n_train,)
        Of the training rows.
    k : int, default=5
        Rows that are named: those with the largest distances.
    contours : bool, default=True
        False for several outputs, of which there is no such formula.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    References
    ----------
    Cook, R. D. & Weisberg, S. (1982). Residuals and Influence in Regression. Chapman & Hall.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import DiagnosticsDisplay
    >>> h, r = np.array([0.1, 0.6, 0.3]), np.array([1.5, -0.2, 1.0])
    >>> display = DiagnosticsDisplay(h, r, r**2 * h / (1 - h), np.array(["a", "b", "c"]))
    >>> display.plot().ax_.get_xlabel()
    'leverage (hat diagonal)'
    >>> display.levels.tolist()
    [0.5, 1.0]
    """

    def __init__(
        self,
        hat_diagonal: Array,
        residuals: Array,
        cooks_distance: Array,
        labels: Array,
        k: int = 5,
        contours: bool = True,
    ) -> None:
        self.hat_diagonal = hat_diagonal
        self.residuals = residuals
        self.cooks_distance = cooks_distance
        self.labels = labels
        self.k = k
        self.contours = contours
        self.n_params = float(np.nansum(hat_diagonal))

    @classmethod
    def from_result(cls, result: Any, k: int = 5) -> Self:
        """Return the diagnostics of all rows, the k largest to be named.

        Parameters
        ----------
        result : Diagnostics
        k : int

        Returns
        -------
        DiagnosticsDisplay
            Over several outputs of the sums of their leverages, and the residuals largest in size.
        """
        table = result._table(np.arange(len(result.cooks_distance)))
        return cls(
            hat_diagonal=table["hat_diagonal"],
            residuals=table["internally_studentized_residual"],
            cooks_distance=result.cooks_distance,
            labels=result.row_labels,
            k=k,
            contours=result.hat_diagonal.ndim == 1,
        )

    @classmethod
    def from_estimator(cls, model: Any, *, k: int = 5, ax: Any = None, **asked: Any) -> Self:
        """Draw the case diagnostics of the training rows of a model.

        Parameters
        ----------
        model : InfluenceClassifier or InfluenceRegressor
            Fitted.
        k : int
            Rows that are named.
        ax : matplotlib Axes, optional
            A new figure by default.
        **asked
            Passed to `diagnostics`: method, dispersion.

        Returns
        -------
        DiagnosticsDisplay
            Drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            As in `diagnostics`.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.linear_model import LinearRegression
        >>> from skinfluence import InfluenceRegressor
        >>> from skinfluence.inspection import DiagnosticsDisplay
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = InfluenceRegressor(LinearRegression()).fit(X, y)
        >>> display = DiagnosticsDisplay.from_estimator(model, k=3)
        >>> display.frame().nlargest(3, "Cook's distance").round(3)
             row  leverage  studentised residual  Cook's distance  named
        382  382     0.054                -2.170            0.024   True
        123  123     0.072                -1.740            0.021   True
        169  169     0.108                -1.333            0.020   True
        """
        return cls.from_result(model.diagnostics(**asked), k).plot(ax=ax)

    def frame(self) -> pd.DataFrame:
        """Return the points, a line each, in the order of the training rows.

        Returns
        -------
        pandas.DataFrame
            Columns row (its label), leverage, studentised residual, Cook's distance and named.

        Raises
        ------
        ImportError
            Without pandas.
        """
        rows = self._drawn
        dots = {
            "row": plain(self.labels[rows]),
            "leverage": self.hat_diagonal[rows],
            "studentised residual": self.residuals[rows],
            "Cook's distance": self.cooks_distance[rows],
            "named": np.isin(rows, self._named),
        }
        return pandas().DataFrame(dots)

    @property
    def _drawn(self) -> Array:
        """Positions of the rows that have all numbers."""
        numbers = np.column_stack([self.hat_diagonal, self.residuals, self.cooks_distance])
        return np.flatnonzero(np.isfinite(numbers).all(axis=1))

    @property
    def _named(self) -> Array:
        """Positions of the rows with the largest distances."""
        rows = self._drawn
        return rows[np.argsort(-self.cooks_distance[rows], kind="stable")[: self.k]]

    @property
    def levels(self) -> Array:
        """Cook's distances of which contours are drawn; none where the formula does not hold.

        Those of .5, 1 and the next smaller of ..., .05, .1, .5, 1, 5, ... that come within the
        leverages and residuals of the rows.
        """
        rows = self._drawn
        h, r = self.hat_diagonal[rows], self.residuals[rows]
        if not self._formula_holds(h, r, self.cooks_distance[rows]):
            return np.empty(0)
        furthest = 0.8 * _distance(h.max(), np.abs(r).max(), self.n_params)
        if not furthest > 0:
            return np.empty(0)
        decade = np.floor(np.log10(furthest))
        round_ones = np.sort(np.outer([1.0, 5.0], 10.0 ** np.arange(decade - 2, decade + 1)), None)
        below = round_ones[round_ones <= furthest][-FEWEST:]
        levels: Array = np.unique([*below, *(each for each in CLASSICAL if each <= furthest)])
        return levels

    def _formula_holds(self, h: Array, r: Array, distances: Array) -> bool:
        """Return whether the given distances are those of leverages and residuals."""
        inside = (h < 1.0) & (distances > 0)
        if not (self.contours and inside.any()):
            return False
        predicted = _distance(h[inside], r[inside], self.n_params)
        return float(np.median(np.abs(predicted / distances[inside] - 1.0))) < HOLDS

    def contour(self, level: float, leverage: Array) -> Array:
        """Return the residuals, positive, that have a Cook's distance at given leverages.

        Parameters
        ----------
        level : float
        leverage : ndarray
            Above 0 and below 1.

        Returns
        -------
        ndarray of the shape of `leverage`
        """
        residuals: Array = np.sqrt(level * self.n_params * (1.0 - leverage) / leverage)
        return residuals

    def _draw(self, ax: Any) -> None:
        rows, levels = self._drawn, self.levels
        h, r = self.hat_diagonal[rows], self.residuals[rows]
        ax.axhline(0.0, color=neutral(0.6), linewidth=0.8)
        title = [number_of(len(rows), "row")]
        if left_out := len(self.labels) - len(rows):
            title.append(f"{left_out:,} without these numbers left out")
        if len(levels) or not len(rows):
            points(ax, h, r, color=HELPS)
        else:
            distances = self.cooks_distance[rows]
            sizes = 6.0 + 400.0 * distances / (distances.max() or 1.0)
            points(ax, h, r, color=HELPS, s=sizes, alpha=0.5)
            title.append("area: Cook's distance")
        if len(rows):
            ax.set_xlim(0.0, 1.06 * h.max())
            ax.set_ylim(1.12 * np.array([-1, 1]) * np.abs(r).max())
        self._numbers = [each for level in levels for each in self._draw_contour(ax, level)]
        ax.set_xlabel("leverage (hat diagonal)")
        ax.set_ylabel("studentised residual")
        ax.set_title("; ".join(title))

    def _draw_contour(self, ax: Any, level: float) -> list[Any]:
        """Draw both halves of a contour, with its number at the right."""
        end = ax.get_xlim()[1]
        leverage = np.linspace(end / 500, min(end, 1.0 - 1e-9), 500)
        residuals = self.contour(level, leverage)
        style = {"color": HARMS, "linewidth": 1.0, "linestyle": "--"}
        label = None if ax.get_legend_handles_labels()[1] else "contours of Cook's distance"
        ax.plot(leverage, residuals, label=label, **style)
        ax.plot(leverage, -residuals, **style)
        beside = {"xytext": (3, 0), "textcoords": "offset points", "fontsize": 8, "va": "center"}
        return [
            ax.annotate(
                f"{level:g}", (leverage[-1], side * residuals[-1]), annotation_clip=True, **beside
            )
            for side in (1, -1)
            if residuals[-1] <= ax.get_ylim()[1]
        ]

    def _thin(self) -> bool:
        """Leave out numbers of contours that run into those of larger ones."""
        shown = [number for number in self._numbers if number.get_visible()]
        taken: list[Box] = []
        for number in reversed(shown):
            if any(box_of(number).meets(other) for other in taken):
                number.set_visible(False)
            else:
                taken.append(box_of(number))
        return len(taken) < len(shown)

    def _write(self, ax: Any) -> None:
        rows = self._named
        name_points(ax, self.hat_diagonal[rows], self.residuals[rows], self.labels[rows])


def _distance(h: Any, r: Any, p: float) -> Any:
    """Return Cook's distances of a regression."""
    with np.errstate(divide="ignore"):
        return r**2 * h / (p * (1.0 - h))
