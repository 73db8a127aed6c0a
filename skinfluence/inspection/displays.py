"""Pictures, after scikit-learn's Display classes: data in the constructor, `plot` draws it."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.inspection.agreement import agreement
from skinfluence.typing import Array

HELPS, HARMS = "#1b6ca8", "#c8553d"


def _axes(ax: Any, figsize: tuple[float, float] | None = None) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "Plots need matplotlib, which is not installed: pip install 'skinfluence[plot]'."
        ) from error
    _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax


class InfluenceDisplay:
    """Bars of the training rows that move one test row most.

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
        In the order they are drawn, from the top; in the unit of the target.
    labels : ndarray of shape (n_rows,)
        Labels of the training rows.
    target : str
        What the scores are changes of.
    test_label : object
        Label of the test row.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import InfluenceDisplay
    >>> display = InfluenceDisplay(np.array([0.4, -0.1]), np.array([7, 3]), "loss", test_label=0)
    >>> display.plot().ax_.get_xlabel()
    'change of loss if the row is removed'
    """

    def __init__(self, scores: Array, labels: Array, target: str, test_label: Any) -> None:
        self.scores = scores
        self.labels = labels
        self.target = target
        self.test_label = test_label

    def plot(self, ax: Any = None) -> InfluenceDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        ax = _axes(ax)
        positions = np.arange(len(self.scores))
        colors = np.where(self.scores > 0, HELPS, HARMS)
        ax.barh(positions, self.scores, color=colors, height=0.75)
        ax.axvline(0.0, color="0.3", linewidth=0.8)
        ax.set_yticks(positions, [str(label) for label in self.labels])
        ax.invert_yaxis()
        ax.set_ylabel("training row")
        ax.set_xlabel(f"change of {_words(self.target)} if the row is removed")
        meaning = ": blue helps, red harms" if self.target == "loss" else ""
        ax.set_title(f"Test row {self.test_label}{meaning}")
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


class LeaveOneOutDisplay:
    """Predicted against actual changes, with the identity line.

    Parameters
    ----------
    predicted, actual : ndarray of shape (n_test, n_rows)
        Changes of the target, in its unit.
    target, method : str
        What changes, and how the change was predicted.
    noise_floor : float
        Drawn as a band around the identity; in the unit of the target.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import LeaveOneOutDisplay
    >>> actual = np.array([[0.4, -0.1, 0.2]])
    >>> display = LeaveOneOutDisplay(actual / 2, actual, target="loss", method="first_order")
    >>> display.plot().ax_.get_title()
    'slope 2.000, relative error 0.500'
    """

    def __init__(
        self, predicted: Array, actual: Array, target: str, method: str, noise_floor: float = 0.0
    ) -> None:
        self.predicted = predicted
        self.actual = actual
        self.target = target
        self.method = method
        self.noise_floor = noise_floor

    def plot(self, ax: Any = None) -> LeaveOneOutDisplay:
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        ax = _axes(ax, figsize=(5.0, 5.0))
        p, a = np.ravel(self.predicted), np.ravel(self.actual)
        ends = np.array([min(p.min(), a.min()), max(p.max(), a.max())])
        ends += np.array([-0.04, 0.04]) * (np.ptp(ends) or 1.0)
        ax.fill_between(
            ends,
            ends - self.noise_floor,
            ends + self.noise_floor,
            color="0.85",
            linewidth=0,
            label="noise floor" if self.noise_floor > 0.01 * np.ptp(ends) else None,
        )
        ax.grid(color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.plot(ends, ends, color="0.3", linewidth=1.0, label="identity")
        ax.scatter(p, a, s=18, alpha=0.7, color=HELPS, edgecolor="none")
        fit = agreement(p, a)
        ax.set_aspect("equal")
        ax.set_xlim(ends)
        ax.set_ylim(ends)
        ax.locator_params(nbins=5)
        ax.set_xlabel(f"predicted change of {_words(self.target)} ({_words(self.method)})")
        ax.set_ylabel(f"actual change of {_words(self.target)} (refitted)")
        ax.set_title(f"slope {fit.slope:.3f}, relative error {fit.relative_error:.3f}")
        ax.legend(loc="upper left", frameon=False)
        ax.spines[["top", "right"]].set_visible(False)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _words(name: str) -> str:
    return {"predict": "prediction", "predict_proba": "probability"}.get(
        name, name.replace("_", " ")
    )
