"""Training rows as points, the first of them named."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.inspection.displays.base import HARMS, HELPS, Display, name_points
from skinfluence.typing import Array


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
        Rows that are predicted wrong, in red.
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

    def _draw(self, ax: Any) -> None:
        wrong = np.zeros(len(self.x), dtype=bool) if self.wrong is None else self.wrong
        if self.identity:
            ends = [min(self.x.min(), self.y.min()), max(self.x.max(), self.y.max())]
            ax.plot(ends, ends, color="0.3", linewidth=1.0)
        else:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter("{x:g}")
        for rows, color, word in ((~wrong, HELPS, "right"), (wrong, HARMS, "wrong")):
            if rows.any():
                count = f"{np.sum(rows & ~np.isnan(self.y))} predicted {word}"
                ax.scatter(
                    self.x[rows],
                    self.y[rows],
                    s=18,
                    alpha=0.7,
                    color=color,
                    edgecolor="none",
                    label=None if self.wrong is None else count,
                )
        name_points(ax, *(each[: self.named] for each in (self.x, self.y, self.labels)))
        ax.set_xlabel(self.xlabel)
        ax.set_ylabel(self.ylabel)
        ax.set_title(self.title)
        if self.wrong is not None:
            ax.legend(loc="best", frameon=False)
        ax.grid(color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)
