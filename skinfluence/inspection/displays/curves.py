"""Curves over shares of the rows, each the mean of repetitions in a band of their scatter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from skinfluence.inspection.displays.base import HARMS, HELPS, as_text, neutral
from skinfluence.inspection.tables import pandas
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

CURVES = (HELPS, HARMS, "#588157", "#8e6c8a", "#b08968", None)
"""Colours of curves; None is that of texts."""
MARKS = ("o", "s", "^", "D", "v", "x")


def draw_curves(ax: Any, shares: Array, curves: Mapping[str, Array]) -> None:
    """Draw means over repetitions with their marks, in bands of one standard deviation.

    Parameters
    ----------
    ax : matplotlib Axes
    shares : ndarray of shape (n_points,)
    curves : mapping from str to ndarray of shape (n_repetitions, n_points)
    """
    for k, (name, values) in enumerate(curves.items()):
        color, mark = CURVES[k % len(CURVES)] or neutral(), MARKS[k % len(MARKS)]
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        if len(values) > 1:
            band = {"color": color, "alpha": 0.12, "linewidth": 0}
            ax.fill_between(shares, mean - spread, mean + spread, **band)
        ax.plot(shares, mean, marker=mark, markersize=4, color=color, label=as_text(name))


def frame_of_curves(shares: Array, curves: Mapping[str, Array], share: str) -> pd.DataFrame:
    """Return the points of all curves, one a line.

    Parameters
    ----------
    shares : ndarray of shape (n_points,)
    curves : mapping from str to ndarray of shape (n_repetitions, n_points)
    share : str
        What the column of shares is called.

    Returns
    -------
    pandas.DataFrame
        Columns ranking, that of shares, mean and standard deviation over the repetitions.

    Raises
    ------
    ImportError
        Without pandas.
    """
    points = {
        "ranking": [name for name in curves for _ in range(len(shares))],
        share: np.tile(shares, len(curves)),
        "mean": np.concatenate([np.mean(each, axis=0) for each in curves.values()]),
        "standard deviation": np.concatenate([np.std(each, axis=0) for each in curves.values()]),
    }
    return pandas().DataFrame(points)
