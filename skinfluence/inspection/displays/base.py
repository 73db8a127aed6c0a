"""Pictures, after scikit-learn's Display classes: data in the constructor, `plot` draws it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from skinfluence.inspection.tables import cut
from skinfluence.typing import Array

HELPS, HARMS = "#1b6ca8", "#c8553d"

LONGEST_LABEL = 36
"""Characters of a label of a bar."""


def as_text(label: Any, widest: int | None = LONGEST_LABEL) -> str:
    """Return a label as a picture shows it: cut where it is long, a dollar as a dollar."""
    text = str(label) if widest is None else cut(label, widest)
    return text.replace("$", r"\$")


def name_points(ax: Any, x: Array, y: Array, labels: Array) -> None:
    """Write labels beside points, those of near points above each other."""
    ax.get_xlim()  # which is when the limits are found
    taken: list[tuple[float, float]] = []
    for point, label in zip(np.column_stack([x, y]).tolist(), labels, strict=True):
        right, up = ax.transData.transform(point)
        shift = 4.0
        while any(abs(right - r) < 45 and abs(up + shift - u) < 13 for r, u in taken):
            shift += 13.0
        taken.append((right, up + shift))
        line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.6} if shift > 17 else None
        ax.annotate(
            as_text(label),
            point,
            xytext=(5, shift * 72 / ax.figure.dpi),
            textcoords="offset points",
            fontsize=8,
            arrowprops=line,
        )


class Display(ABC):
    """What all pictures share: axes to draw on.

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
        return self

    def _size(self) -> tuple[float, float] | None:
        """Return the size of a new figure, in inches; None for that of matplotlib."""
        return self.figsize

    @abstractmethod
    def _draw(self, ax: Any) -> None:
        """Draw on some axes."""
