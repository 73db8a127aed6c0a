"""The worst labels by rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skinfluence.inspection.displays.base import HARMS, HELPS, Display, lines_behind, neutral
from skinfluence.inspection.tables import pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

SUSPECTED_COLOR = "#b8862b"


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
    labels : ndarray of shape (n_rows,), optional
        Of the rows, for `frame`; their ranks by default.

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
        labels: Array | None = None,
    ) -> None:
        self.quality = quality
        self.tiers = tiers
        self.expected = expected
        self.interval = interval
        self.title = title
        self.labels = labels

    @classmethod
    def from_result(cls, result: Any) -> Self:
        """Return the qualities of an audit, the worst first.

        Parameters
        ----------
        result : LabelQuality

        Returns
        -------
        LabelQualityDisplay
        """
        order, expected = result._worst_first(), result.expected_errors
        return cls(
            result.quality[order],
            result.tiers[order],
            expected=None if expected is None else expected.estimate,
            interval=None if expected is None else (expected.low, expected.high),
            title=result._which(),
            labels=result.row_labels[order],
        )

    @classmethod
    def from_estimator(cls, audit: Any, *, ax: Any = None) -> Self:
        """Draw what an audit of labels found.

        Parameters
        ----------
        audit : LabelAudit
            Fitted.
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        LabelQualityDisplay
            Drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        NotFittedError
            For an audit that was not fitted.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> from skinfluence import LabelAudit
        >>> from skinfluence.inspection import LabelQualityDisplay
        >>> X, y = load_iris(return_X_y=True)
        >>> y[[3, 20]] = 2
        >>> model = make_pipeline(StandardScaler(), LogisticRegression())
        >>> display = LabelQualityDisplay.from_estimator(LabelAudit(model).fit(X, y))
        >>> sorted(display.frame()["row"][:2])
        [3, 20]
        """
        return audit.plot(ax=ax)

    def frame(self) -> pd.DataFrame:
        """Return the points: the worst rows, as many as are drawn.

        Returns
        -------
        pandas.DataFrame
            Columns row (its label), rank, label quality and tier.

        Raises
        ------
        ImportError
            Without pandas.
        """
        n = self._n_drawn()
        ranks = np.arange(1, n + 1)
        labels = ranks if self.labels is None else self.labels[:n]
        points = {"rank": ranks, "label quality": self.quality[:n], "tier": self.tiers[:n]}
        return pandas().DataFrame({"row": plain(labels), **points})

    def _n_drawn(self) -> int:
        """Return how many of the worst rows are drawn."""
        furthest = [10, 2 * int(np.sum(self.tiers != "")), 1.3 * (self.interval or (0, 0))[1]]
        return min(len(self.quality), int(max(furthest)))

    def _draw(self, ax: Any) -> None:
        n = self._n_drawn()
        ranks = np.arange(1, n + 1)
        marks = {
            "likely": ("likely wrong", HARMS, "X", 26),
            "suspected": ("suspected", SUSPECTED_COLOR, "^", 20),
            "": ("not flagged", neutral(0.6), "o", 9),
        }
        for front, (tier, (word, color, marker, size)) in enumerate(marks.items()):
            rows = self.tiers[:n] == tier
            if np.any(self.tiers == tier):
                count = f"{np.sum(self.tiers == tier):,} {word}"
                dots = {"s": size, "marker": marker, "linewidth": 0, "color": color}
                ax.scatter(
                    ranks[rows], self.quality[:n][rows], label=count, zorder=4 - front, **dots
                )
        if self.expected is not None and self.interval is not None:
            ax.axvspan(*self.interval, color=HELPS, alpha=0.12, linewidth=0)
            line = f"about {self.expected:,.0f} expected wrong"
            ax.axvline(self.expected, color=HELPS, linewidth=1.2, label=line)
        ax.set_xlim(0, n + 1)
        ax.set_ylim(bottom=min(0.0, float(np.nanmin(self.quality[:n]))))
        ax.set_xlabel("rank, worst first")
        ax.set_ylabel("label quality")
        ax.set_title(self.title)
        lines_behind(ax)
