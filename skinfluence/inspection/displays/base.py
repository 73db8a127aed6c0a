"""Pictures, after scikit-learn's Display classes: data in the constructor, `plot` draws it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from skinfluence.inspection.displays.room import (
    SHARE,
    Box,
    as_text,
    box_of,
    cut_to,
    ruler,
    settle,
)
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

HELPS, HARMS = "#2a7ab9", "#c8553d"

__all__ = [
    "HARMS",
    "HELPS",
    "Display",
    "as_text",
    "lines_behind",
    "name_points",
    "neutral",
    "points",
]


class Display(ABC):
    """What all pictures share: numbers in, axes to draw on, and the numbers out again.

    The constructor takes numbers, as they are drawn. ``from_result`` takes them from a result,
    which is what the ``plot`` of results does; it draws nothing. ``from_estimator`` asks a fitted
    model and draws the answer, as in scikit-learn. `plot` wraps, thins or cuts texts that have no
    room in their part of the figure, at the size it has then.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.
    """

    figsize: ClassVar[tuple[float, float] | None] = None
    ax_: Any
    figure_: Any

    def plot(self, ax: Any = None) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError as error:
                raise ImportError(
                    "Plots need matplotlib, which is not installed: pip install "
                    "'skinfluence[plot]'."
                ) from error
            _, ax = plt.subplots(figsize=self._size(), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self._draw(ax)
        ax.spines[["top", "right"]].set_visible(False)
        settle(ax, self._share(), self._thin)
        self._write(ax)
        return self

    @abstractmethod
    def frame(self) -> pd.DataFrame:
        """Return the numbers behind the picture, a line for every mark that is drawn.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ImportError
            Without pandas.
        """

    @abstractmethod
    def _draw(self, ax: Any) -> None:
        """Draw on some axes."""

    def _thin(self) -> bool:
        """Leave out texts of its own that run into others; return whether there were any."""
        return False

    def _write(self, ax: Any) -> None:
        """Write beside the marks, once they have their places; by default nothing."""
        return

    def _size(self) -> tuple[float, float] | None:
        """Return the size of a new figure, in inches; None is the default of matplotlib."""
        return self.figsize

    def _share(self) -> float:
        """Return the share of the width that the names of ticks may take."""
        return SHARE


# ---------------------------------------------------------------------------------------- points

MANY = 2000
"""Points from which on they are small, faint and drawn as an image, in vector formats too."""


def points(ax: Any, x: Array, y: Array, **drawn: Any) -> Any:
    """Draw points that are told apart, few or many."""
    many = len(x) > MANY
    dots = {"s": 5 if many else 18, "alpha": 0.3 if many else 0.7, "linewidth": 0, **drawn}
    if sum(neutral()[:3]) > 1.5:  # on a dark ground
        dots["alpha"] = min(dots["alpha"] + 0.3, 1.0)
    return ax.scatter(x, y, rasterized=many, **dots)


# ------------------------------------------------------------------------------- names of points

STEPS = (0.0, *(sign * k for k in range(1, 7) for sign in (1, -1)))
"""Lines above a point at which its label is tried, in order."""


def name_points(ax: Any, x: Array, y: Array, labels: Sequence[Any] | Array) -> None:
    """Write labels beside points, the first first, where they run into no other.

    A label stands beside all dots where there is room near its point, otherwise on a ground of its
    own. One that has no room within the axes is left out.
    """
    size, axes, pixel = ruler(ax, fontsize=8), box_of(ax), ax.figure.figure.dpi / 72
    data = np.column_stack([x, y])
    places = ax.transData.transform(data)
    taken = np.column_stack([places - 2.0, places + 2.0])
    dots = np.vstack([_dots(ax), taken])
    ground = {"facecolor": _ground(ax), "alpha": 0.75, "linewidth": 0, "pad": 0.5}
    for point, (right, up), label in zip(data.tolist(), places.tolist(), labels, strict=True):
        text = cut_to(as_text(label), 0.6 * axes.width, size)
        where = right, up, size(text), axes
        box = _free(*where, np.vstack([taken, dots]), 4.0 * pixel)
        box = _free(*where, taken, 4.0 * pixel) if box is None else box
        if box is None:
            continue
        taken = np.vstack([taken, box])
        away = abs((box.y0 + box.y1) / 2 - up) > box.height
        line = {"arrowstyle": "-", "color": neutral(0.5), "linewidth": 0.6, "shrinkB": 2.0}
        ax.annotate(
            text,
            point,
            xytext=((box.x0 - right) / pixel, (box.y0 - up) / pixel),
            textcoords="offset points",
            fontsize=8,
            va="bottom",
            arrowprops=line if away else None,
            bbox=ground,
            zorder=6,
        ).set_in_layout(False)


def _dots(ax: Any) -> Array:
    """Return the boxes of all dots of axes, in pixels."""
    pixel = ax.figure.figure.dpi / 72
    boxes = [np.empty((0, 4))]
    for each in ax.collections:
        if len(each.get_offsets()) and hasattr(each, "get_sizes"):
            places = ax.transData.transform(each.get_offsets())
            radii = np.sqrt(np.resize(each.get_sizes(), len(places)))[:, None] / 2 * pixel
            boxes.append(np.column_stack([places - radii, places + radii]))
    return np.vstack(boxes)


def _ground(ax: Any) -> Any:
    """Return the colour under the marks; of axes that let it through, white or black."""
    if ax.get_facecolor()[3] > 0:
        return ax.get_facecolor()
    return "black" if sum(neutral()[:3]) > 1.5 else "white"


def _free(right: float, up: float, text: Box, axes: Box, taken: Array, near: float) -> Box | None:
    """Return the nearest place for a text beside a point, in the axes, that nothing has."""
    for step in STEPS:
        y0 = up - text.height / 2 + step * 0.9 * text.height
        for x0 in (right + near, right - near - text.width):
            box = Box(x0, y0, x0 + text.width, y0 + text.height)
            across = (box.x0 < taken[:, 2]) & (taken[:, 0] < box.x1)
            along = (box.y0 < taken[:, 3]) & (taken[:, 1] < box.y1)
            if axes.holds(box) and not np.any(across & along):
                return box
    return None


# --------------------------------------------------------------------------------------- colours


def neutral(alpha: float = 1.0) -> tuple[float, float, float, float]:
    """Return the colour of texts, for lines that have to be seen on light and on dark."""
    from matplotlib import rcParams
    from matplotlib.colors import to_rgba

    red, green, blue, _ = to_rgba(rcParams["text.color"])
    return red, green, blue, alpha


def lines_behind(ax: Any, axis: str = "both") -> None:
    """Draw a faint grid behind the marks."""
    ax.grid(axis=axis, color=neutral(0.12), linewidth=0.8)
    ax.set_axisbelow(True)
