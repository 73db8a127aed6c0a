"""The worst labels by rank."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.inspection.displays.base import HARMS, HELPS, Display
from skinfluence.typing import Array

SUSPECTED_COLOR, UNFLAGGED_COLOR = "#e0a458", "0.65"


class LabelQualityDisplay(Display):
    """The quality of the worst labels by rank: those flagged, and how many are expected wrong.

    Parameters
    ----------
    quality : ndarray of shape (n_rows,)
        Worst first.
    tiers : ndarray of shape (n_rows,)
        "likely", "suspected" or "".
    expected : float, optional
        How many labels are wrong, by an estimate.
    interval : tuple of float, optional
        Around the estimate.
    title : str

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import LabelQualityDisplay
    >>> quality, tiers = np.array([0.01, 0.25, 0.6]), np.array(["likely", "suspected", ""])
    >>> LabelQualityDisplay(quality, tiers).plot().ax_.get_ylabel()
    'label quality'
    """

    def __init__(
        self,
        quality: Array,
        tiers: Array,
        expected: float | None = None,
        interval: tuple[float, float] | None = None,
        title: str = "",
    ) -> None:
        self.quality = quality
        self.tiers = tiers
        self.expected = expected
        self.interval = interval
        self.title = title

    def _draw(self, ax: Any) -> None:
        furthest = [10, 2 * int(np.sum(self.tiers != "")), 1.3 * (self.interval or (0, 0))[1]]
        n = min(len(self.quality), int(max(furthest)))
        ranks = np.arange(1, n + 1)
        words = {
            "likely": ("likely wrong", HARMS),
            "suspected": ("suspected", SUSPECTED_COLOR),
            "": ("not flagged", UNFLAGGED_COLOR),
        }
        for front, (tier, (word, color)) in enumerate(words.items()):
            rows = self.tiers[:n] == tier
            if np.any(self.tiers == tier):
                count = f"{np.sum(self.tiers == tier):,} {word}"
                dots = {"s": 16, "color": color, "label": count, "zorder": 4 - front}
                ax.scatter(ranks[rows], self.quality[:n][rows], **dots)
        if self.expected is not None and self.interval is not None:
            ax.axvspan(*self.interval, color=HELPS, alpha=0.12, linewidth=0)
            line = f"about {self.expected:,.0f} expected wrong"
            ax.axvline(self.expected, color=HELPS, linewidth=1.2, label=line)
        ax.set_xlim(0, n + 1)
        ax.set_ylim(bottom=min(0.0, float(np.nanmin(self.quality[:n]))))
        ax.set_xlabel("rank of the row, worst first")
        ax.set_ylabel("label quality")
        ax.set_title(self.title)
        ax.legend(loc="lower right", frameon=False)
        ax.grid(color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)
