"""What a deletion did to the gradient of the rows that stay."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from skinfluence.inspection.displays.base import HELPS, Display


class DeletionDisplay(Display):
    """The gradient of the rows that stay before and after a deletion, on a logarithmic axis.

    Parameters
    ----------
    before, after : float
        Norms of the gradient.
    method : str
        How the rows were deleted.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> from skinfluence.inspection import DeletionDisplay
    >>> display = DeletionDisplay(3.0, 1e-12, method="exact")
    >>> display.plot().ax_.get_xscale()
    'log'
    """

    figsize: ClassVar[tuple[float, float] | None] = (6.0, 2.0)

    def __init__(self, before: float, after: float, method: str) -> None:
        self.before = before
        self.after = after
        self.method = method

    def _draw(self, ax: Any) -> None:
        norms = np.array([self.before, self.after])
        smallest = np.finfo(np.float64).eps * max(self.before, 1e-300)  # where a norm is 0
        ax.plot(np.maximum(norms, smallest), ["before", "after"], "o", color=HELPS)
        ax.set_xscale("log")
        ax.margins(y=0.5)
        ax.invert_yaxis()
        ax.set_xlabel("norm of the gradient of the rows that stay (0 at their optimum)")
        ax.set_title(f"Deletion ({self.method.replace('_', ' ')})")
        ax.grid(axis="x", color="0.92", linewidth=0.8)
