"""Bars of the rows, groups or new rows that move something most."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.inspection.displays.base import HARMS, HELPS, Display, as_text
from skinfluence.inspection.words import effect_words, kind_of, target_words
from skinfluence.typing import Array


class InfluenceDisplay(Display):
    """Bars of the training rows (groups, new rows) that move one test row most.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        In the order they are drawn, from the top; in the unit of the target.
    labels : ndarray of shape (n_rows,)
        What the bars are called.
    target : str
        What the scores are changes of.
    title : str
        What is moved: the test row, by its label.
    change : str, default="the row is removed"
        What happens to the training data.
    words : tuple ((str, str), sign), optional
        What is said of the two directions, and the sign of the scores of the first, which is blue.
        By default those of rows that leave.
    what : str, default="training row"
        What the bars are.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import InfluenceDisplay
    >>> display = InfluenceDisplay(np.array([0.4, -0.1]), np.array([7, 3]), "loss", "Test row 0")
    >>> display.plot().ax_.get_xlabel()
    'change of loss if the row is removed'
    """

    def __init__(
        self,
        scores: Array,
        labels: Array,
        target: str,
        title: str,
        *,
        change: str = "the row is removed",
        words: tuple[tuple[str, str], int] | None = None,
        what: str = "training row",
    ) -> None:
        self.scores = scores
        self.labels = labels
        self.target = target
        self.title = title
        self.change = change
        self.words = effect_words(kind_of(target)) if words is None else words
        self.what = what

    def _draw(self, ax: Any) -> None:
        (first, second), sign = self.words
        positions = np.arange(len(self.scores))
        colors = np.where(sign * self.scores > 0, HELPS, HARMS)
        ax.barh(positions, self.scores, color=colors, height=0.75)
        ax.axvline(0.0, color="0.3", linewidth=0.8)
        ax.set_yticks(positions, [as_text(label) for label in self.labels])
        ax.invert_yaxis()
        ax.set_ylabel(as_text(self.what))
        ax.set_xlabel(as_text(f"change of {target_words(self.target)} if {self.change}", None))
        ax.set_title(f"{as_text(self.title, None)}\nblue {first}, red {second}")
        ax.locator_params(axis="x", nbins=6)
