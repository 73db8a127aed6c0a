"""Curves over shares of the rows, each the mean of repetitions in a band of their scatter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skinfluence.inspection.displays.base import HARMS, HELPS
from skinfluence.inspection.tables import pandas
from skinfluence.typing import Array

CURVES = (HELPS, HARMS, "#588157", "#8e6c8a", "#b08968", "#808080")
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
        color, mark = CURVES[k % len(CURVES)], MARKS[k % len(MARKS)]
        mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
        if len(values) > 1:
            band = {"color": color, "alpha": 0.15, "linewidth": 0}
            ax.fill_between(shares, mean - spread, mean + spread, **band)
        ax.plot(shares, mean, marker=mark, markersize=4, color=color, label=name)


def frame_of_curves(shares: Array, curves: Mapping[str, Array]) -> Any:
    """Return a line for every curve and share.

    Parameters
    ----------
    shares : ndarray of shape (n_points,)
    curves : mapping from str to ndarray of shape (n_repetitions, n_points)

    Returns
    -------
    pandas.DataFrame
        Columns curve, share, mean and standard_deviation, over the repetitions.
    """
    return pandas().DataFrame(
        {
            "curve": np.repeat(np.array(list(curves), dtype=object), len(shares)),
            "share": np.tile(shares, len(curves)),
            "mean": np.concatenate([np.mean(values, axis=0) for values in curves.values()]),
            "standard_deviation": np.concatenate(
                [np.std(values, axis=0) for values in curves.values()]
            ),
        }
    )
