"""What the removal of single rows does to several coefficients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skinfluence.inspection.displays.base import (
    HARMS,
    HELPS,
    Display,
    as_text,
    lines_behind,
    neutral,
)
from skinfluence.inspection.displays.room import Box, box_of, cut_to, ruler
from skinfluence.inspection.tables import pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

MOST = 12
"""Coefficients that are drawn where nothing else is said."""

COLUMNS = 160
"""Into so many columns of dots a strip is cut."""


class CoefficientsDisplay(Display):
    """A strip of dots for every coefficient: what the removal of each row changes it by.

    So that coefficients of different units can be compared, changes are in jackknife standard
    errors of their coefficient, the root of (n - 1) / n sum_i (d_i - mean d)^2. The rows that
    change a coefficient most are named at its strip.

    Parameters
    ----------
    changes : ndarray of shape (n_rows, n_coefficients)
        Coefficient without the row minus that with it, in the unit of the coefficient.
    coefficients : ndarray of str, shape (n_coefficients,)
    labels : ndarray of shape (n_rows,)
        Of the rows.
    k : int, default=1
        Rows that are named at every strip: those of the largest changes.
    most : int, default=12
        At most so many coefficients are drawn: those of the largest changes.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import CoefficientsDisplay
    >>> changes = np.array([[0.3, 2.0], [-0.1, 1.0], [-0.2, -3.0]])
    >>> display = CoefficientsDisplay(changes, np.array(["age", "bmi"]), np.array([4, 5, 6]))
    >>> display.standardized.round(2)
    array([[ 0.98,  0.65],
           [-0.33,  0.33],
           [-0.65, -0.98]])
    """

    def __init__(
        self, changes: Array, coefficients: Array, labels: Array, k: int = 1, most: int = MOST
    ) -> None:
        self.changes = changes
        self.coefficients = coefficients
        self.labels = labels
        self.k = k
        self.most = most

    @classmethod
    def from_result(cls, result: Any, *, k: int = 1, most: int = MOST) -> Self:
        """Return the display of what rows do to coefficients.

        Parameters
        ----------
        result : ParameterInfluence
        k, most : int
            As in the constructor.

        Returns
        -------
        CoefficientsDisplay
        """
        return cls(result.changes, result.coefficients, result.row_labels, k, most)

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        *,
        coefficients: Any = None,
        method: str | None = None,
        k: int = 1,
        most: int = MOST,
        ax: Any = None,
    ) -> Self:
        """Draw what removing each training row does to the coefficients of a model.

        Parameters
        ----------
        model : InfluenceClassifier or InfluenceRegressor
            Fitted.
        coefficients, method
            As in `InfluenceClassifier.parameter_influence`.
        k, most : int
            As in the constructor.
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        CoefficientsDisplay
            Plotted.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            As in `InfluenceClassifier.parameter_influence`.
        """
        result = model.parameter_influence(coefficients=coefficients, method=method)
        return cls.from_result(result, k=k, most=most).plot(ax=ax)

    @property
    def standardized(self) -> Array:
        """The changes in jackknife standard errors of their coefficient, of the same shape."""
        n = len(self.changes)
        off = self.changes - self.changes.mean(axis=0)
        errors = np.sqrt((n - 1) / n * np.sum(off**2, axis=0))
        standardized: Array = self.changes / np.where(errors > 0, errors, 1.0)
        return standardized

    @property
    def shown(self) -> Array:
        """Positions of the coefficients that are drawn, in their order."""
        largest = np.abs(self.standardized).max(axis=0)
        return np.sort(np.argsort(-largest, kind="stable")[: self.most])

    def frame(self) -> pd.DataFrame:
        """Return the numbers behind the picture, a line for every coefficient and row.

        Returns
        -------
        pandas.DataFrame
            Columns coefficient, row (its label), position, change (in the unit of the coefficient)
            and standardized (in its jackknife standard errors); of a coefficient the row of the
            largest change first.

        Raises
        ------
        ImportError
            Without pandas.
        """
        shown, n = self.shown, len(self.changes)
        order = np.concatenate([self._largest(at) for at in shown])
        of = np.repeat(shown, n)
        return pandas().DataFrame(
            {
                "coefficient": plain(np.asarray(self.coefficients)[of]),
                "row": plain(np.asarray(self.labels)[order]),
                "position": order,
                "change": self.changes[order, of],
                "standardized": self.standardized[order, of],
            }
        )

    def _largest(self, at: int) -> Array:
        """Return all rows, that of the largest change of a coefficient first."""
        order: Array = np.argsort(-np.abs(self.changes[:, at]), kind="stable")
        return order

    def _size(self) -> tuple[float, float] | None:
        return 6.4, 1.5 + 0.42 * max(len(self.shown), 2)

    def _draw(self, ax: Any) -> None:
        shown = self.shown
        z = self.standardized[:, shown]
        furthest = 1.25 * float(np.abs(z).max(initial=0.0)) or 1.0
        ax.set_xlim(-furthest, furthest)
        ax.set_ylim(len(shown) - 0.4, -0.6)
        ax.axvline(0.0, color=neutral(0.6), linewidth=0.8)
        for line in range(len(shown)):
            ax.axhline(line, color=neutral(0.15), linewidth=0.8)
            ax.scatter(
                z[:, line],
                line + _swarm(z[:, line], furthest),
                s=9,
                c=np.where(z[:, line] < 0, HELPS, HARMS),
                alpha=0.7,
                edgecolor="none",
                rasterized=True,
                zorder=2,
            )
        ax.set_yticks(range(len(shown)), [as_text(self.coefficients[at]) for at in shown])
        ax.tick_params(axis="y", length=0)
        ax.set_xlabel("change of the coefficient if the row is removed, in its standard errors")
        title = "Each dot a training row: blue raises, red lowers the coefficient"
        if len(shown) < len(self.coefficients):
            n = f"{len(shown)} of {len(self.coefficients):,}"
            title = f"The {n} coefficients that single rows move most\n{title}"
        ax.set_title(title)
        lines_behind(ax, "x")

    def _write(self, ax: Any) -> None:
        from matplotlib.patheffects import withStroke

        axes, size = box_of(ax), ruler(ax, fontsize=8)
        halo = [withStroke(linewidth=2.0, foreground=ax.get_facecolor())]
        standardized = self.standardized
        taken: list[Box] = []
        for line, at in enumerate(self.shown):
            for rank, row in enumerate(self._largest(at)[: self.k]):
                x, side = standardized[row, at], 1 if standardized[row, at] > 0 else -1
                text = cut_to(as_text(self.labels[row]), 0.42 * axes.width, size)
                right, _ = ax.transData.transform((x, line))
                end = right + side * (size(text).width + 12.0)
                outside = rank == 0 and axes.x0 < end < axes.x1
                font: dict[str, Any] = {
                    "ha": "right" if (side > 0) != outside else "left",
                    "fontsize": 8,
                }
                name = ax.annotate(
                    text,
                    (x, line),
                    xytext=(5 * side, 0) if outside else (4 * side, 4),
                    textcoords="offset points",
                    va="center" if outside else "bottom",
                    path_effects=halo,
                    **font,
                )
                name.set_in_layout(False)
                if any(box_of(name).meets(other) for other in taken):
                    name.set(va="top", position=(4 * side, -4))  # below the dot
                if any(box_of(name).meets(other) for other in taken):
                    name.remove()
                else:
                    taken.append(box_of(name))


def _swarm(x: Array, furthest: float) -> Array:
    """Return by how much dots on a line are moved off it, so that many in one place show as such.

    The dots in each of many columns lie above and below each other, all columns to one scale.
    """
    columns = np.floor((x + furthest) / (2.0 * furthest) * COLUMNS).astype(int)
    order = np.lexsort((np.arange(len(x)), columns))
    first = np.searchsorted(columns[order], columns[order])
    sizes = np.bincount(columns, minlength=COLUMNS + 1)
    ranks = np.empty(len(x))
    ranks[order] = np.arange(len(x)) - first
    step = min(0.08, 0.6 / max(sizes.max(initial=1) - 1, 1))
    offsets: Array = step * (ranks - (sizes[columns] - 1) / 2.0)
    return offsets
