"""Residuals against leverages, with Cook's distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.inspection.displays.base import HELPS, Display, name_points
from skinfluence.typing import Array


class DiagnosticsDisplay(Display):
    """Studentised residuals against leverages; the area of a point is Cook's distance.

    Parameters
    ----------
    hat_diagonal, residuals, cooks_distance : ndarray of shape (n_train,)
    labels : ndarray of shape (n_train,)
        Of the training rows.
    k : int, default=5
        Rows that are named: those with the largest distances.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import DiagnosticsDisplay
    >>> display = DiagnosticsDisplay(
    ...     np.array([0.1, 0.6]), np.array([1.5, -0.2]), np.array([0.3, 0.1]), np.array(["a", "b"])
    ... )
    >>> display.plot().ax_.get_xlabel()
    'leverage (hat diagonal)'
    """

    def __init__(
        self,
        hat_diagonal: Array,
        residuals: Array,
        cooks_distance: Array,
        labels: Array,
        k: int = 5,
    ) -> None:
        self.hat_diagonal = hat_diagonal
        self.residuals = residuals
        self.cooks_distance = cooks_distance
        self.labels = labels
        self.k = k

    def _draw(self, ax: Any) -> None:
        distances = np.nan_to_num(self.cooks_distance)
        largest = distances.max(initial=0.0) or 1.0
        ax.axhline(0.0, color="0.3", linewidth=0.8)
        ax.scatter(
            self.hat_diagonal,
            self.residuals,
            s=6.0 + 400.0 * distances / largest,
            alpha=0.5,
            color=HELPS,
            edgecolor="none",
        )
        ax.margins(0.08)
        rows = np.argsort(-distances, kind="stable")[: self.k]
        name_points(ax, self.hat_diagonal[rows], self.residuals[rows], self.labels[rows])
        ax.set_xlabel("leverage (hat diagonal)")
        ax.set_ylabel("studentised residual")
        ax.set_title("Area: Cook's distance")
