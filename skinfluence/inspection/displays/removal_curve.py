"""Losses of refits without more and more of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from skinfluence.inspection.displays.base import Display, as_text, lines_behind
from skinfluence.inspection.displays.curves import draw_curves, frame_of_curves
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


class RemovalCurveDisplay(Display):
    """The mean test loss of refits, against the share of the training rows that was removed.

    A line for every ranking of the rows; that of random rows is a mean over repetitions in a band
    of one standard deviation. Rows were ranked well where the line of the helpful rows rises above
    all others, and that of the harmful rows stays below.

    Parameters
    ----------
    fractions : ndarray of shape (n_fractions,)
        Shares of the training rows that were removed, in [0, 1].
    curves : mapping from str to ndarray of shape (n_repetitions, n_fractions)
        Mean losses for every ranking, by its name.
    loss : str
    title : str

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import RemovalCurveDisplay
    >>> curves = {"most helpful": np.array([[0.2, 0.5]]), "random": np.array([[0.2, 0.3]])}
    >>> display = RemovalCurveDisplay(np.array([0.0, 0.1]), curves, "log loss")
    >>> display.plot().ax_.get_ylabel()
    'mean log loss of test rows'
    """

    figsize: ClassVar[tuple[float, float] | None] = (6.4, 4.6)

    def __init__(
        self, fractions: Array, curves: Mapping[str, Array], loss: str, title: str = ""
    ) -> None:
        self.fractions = fractions
        self.curves = curves
        self.loss = loss
        self.title = title

    @classmethod
    def from_result(cls, result: Any) -> Self:
        """Return the display of a removal curve.

        Parameters
        ----------
        result : RemovalCurve

        Returns
        -------
        RemovalCurveDisplay
        """
        curves = {}
        for name in dict.fromkeys(result.rankings.tolist()):
            values = result.losses[result.rankings == name]
            repeated = f" (± 1 s.d. of {len(values)})" if len(values) > 1 else ""
            curves[_WORDS.get(name, name) + repeated] = values
        title = "Refitted without these training rows"
        if result.flatters:
            title += "\n(measured on the test rows that ranked them)"
        return cls(result.fractions, curves, result.loss, title)

    def frame(self) -> pd.DataFrame:
        """Return the points of all curves, one a line.

        Returns
        -------
        pandas.DataFrame
            Columns ranking, share removed, mean and standard deviation over the repetitions.

        Raises
        ------
        ImportError
            Without pandas.
        """
        return frame_of_curves(self.fractions, self.curves, "share removed")

    def _draw(self, ax: Any) -> None:
        draw_curves(ax, self.fractions, self.curves)
        ax.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
        ax.set_xlabel("share of the training rows removed")
        ax.set_ylabel(f"mean {as_text(self.loss, None)} of test rows")
        ax.set_title(as_text(self.title, None))
        lines_behind(ax)


_WORDS = {
    "helpful": "most helpful first",
    "harmful": "most harmful first",
    "random": "random rows",
    "largest_loss": "largest training loss first",
}
"""What rankings are called in a legend."""
