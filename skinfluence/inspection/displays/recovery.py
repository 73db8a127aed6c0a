"""What checking rows in the order of a ranking brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from skinfluence.inspection.tables import pandas
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

CURVES = (HELPS, HARMS, "#588157", "#8e6c8a", "#b08968", None)
"""Colours of curves; None is that of texts."""
MARKS = ("o", "s", "^", "D", "v", "x")


class RecoveryDisplay(Display):
    """What checking rows in the order of a ranking brings, against the share that was checked.

    As in Koh & Liang (2017, section 5.4): labels were flipped, rows are checked worst first, and
    those that were flipped are mended. A line is the mean over repetitions, its band one standard
    deviation of them.

    Parameters
    ----------
    checked : ndarray of shape (n_points,)
        Shares of the rows that were checked, in [0, 1].
    curves : mapping from str to ndarray of shape (n_repetitions, n_points)
        What each ranking brings.
    ylabel : str
        What that is.
    title : str

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    References
    ----------
    Koh, P. W. & Liang, P. (2017). Understanding black-box predictions via influence functions.
    ICML. arXiv:1703.04730.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import RecoveryDisplay
    >>> wrong, quality = np.array([True, False, False, True]), np.array([0.1, 0.9, 0.3, 0.2])
    >>> display = RecoveryDisplay.from_rankings([wrong], {"quality": [quality]}, [0.25, 0.5])
    >>> display.curves["quality"]
    array([[0.5, 1. ]])
    """

    def __init__(
        self,
        checked: Array,
        curves: Mapping[str, Array],
        ylabel: str = "share of the flipped labels that was found",
        title: str = "",
    ) -> None:
        self.checked = checked
        self.curves = curves
        self.ylabel = ylabel
        self.title = title

    @classmethod
    def from_rankings(
        cls,
        wrong: Sequence[Array],
        rankings: Mapping[str, Sequence[Array]],
        checked: Any,
        title: str = "",
    ) -> Self:
        """Return the share of wrong labels that each ranking finds.

        Parameters
        ----------
        wrong : sequence of ndarray of bool, each of shape (n_train,)
            Which labels were flipped, for every repetition.
        rankings : mapping from str to sequences of ndarray, each of shape (n_train,)
            Of every repetition, the smallest is checked first: label qualities, negative losses.
        checked : array-like of shape (n_points,)
            Shares of the rows, in [0, 1].
        title : str

        Returns
        -------
        RecoveryDisplay

        Raises
        ------
        ValueError
            For shares outside of [0, 1], another number of repetitions or of rows, and a repetition
            without a wrong label.
        """
        shares = np.asarray(checked, dtype=np.float64)
        if not np.all((shares >= 0.0) & (shares <= 1.0)):
            raise ValueError(
                f"checked={checked!r} was given; shares of the rows, from 0 to 1, are accepted."
            )
        for name, each in rankings.items():
            if [np.shape(ranking) for ranking in each] != [np.shape(w) for w in wrong]:
                raise ValueError(
                    f"The ranking {name!r} is not of the shape of wrong; a number for every row of "
                    f"each of the {len(wrong)} repetition(s) is accepted."
                )
        if not all(np.any(each) for each in wrong):
            raise ValueError(
                "A repetition without a wrong label was given, of which no share can be found. "
                "Leave it out."
            )
        curves = {
            name: np.array([_found(w, each, shares) for w, each in zip(wrong, of, strict=True)])
            for name, of in rankings.items()
        }
        return cls(shares, curves, title=title)

    def frame(self) -> pd.DataFrame:
        """Return the points of all curves, one a line.

        Returns
        -------
        pandas.DataFrame
            Columns ranking, share checked, mean and standard deviation over the repetitions.

        Raises
        ------
        ImportError
            Without pandas.
        """
        n = len(self.checked)
        points = {
            "ranking": [name for name in self.curves for _ in range(n)],
            "share checked": np.tile(self.checked, len(self.curves)),
            "mean": np.concatenate([np.mean(each, axis=0) for each in self.curves.values()]),
            "standard deviation": np.concatenate(
                [np.std(each, axis=0) for each in self.curves.values()]
            ),
        }
        return pandas().DataFrame(points)

    def _draw(self, ax: Any) -> None:
        for k, (name, values) in enumerate(self.curves.items()):
            color, mark = CURVES[k % len(CURVES)] or neutral(), MARKS[k % len(MARKS)]
            mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
            band = {"color": color, "alpha": 0.1, "linewidth": 0}
            ax.fill_between(self.checked, mean - spread, mean + spread, **band)
            ax.plot(self.checked, mean, marker=mark, markersize=4, color=color, label=as_text(name))
        ax.set_xlabel("share of the rows that was checked")
        ax.set_ylabel(self.ylabel)
        ax.set_title(as_text(self.title, None))
        lines_behind(ax)


def _found(wrong: Array, ranking: Array, checked: Array) -> Array:
    """Return the share of wrong rows among the first of a ranking, for shares of the rows."""
    found = np.concatenate([[0.0], np.cumsum(wrong[np.argsort(ranking, kind="stable")])])
    first = np.rint(checked * len(wrong)).astype(int)
    shares: Array = found[first] / found[-1]
    return shares
