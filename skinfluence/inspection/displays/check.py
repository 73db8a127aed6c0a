"""Predicted against actual changes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from skinfluence.inspection.agreement import agreement
from skinfluence.inspection.displays.base import HELPS, Display
from skinfluence.inspection.words import plain_number, target_words
from skinfluence.typing import Array


class LeaveOneOutDisplay(Display):
    """Predicted against actual changes, with the identity line.

    Parameters
    ----------
    predicted, actual : ndarray of shape (n_test, n_rows)
        Changes of the target, in its unit.
    target, method : str
        What changes, and how the change was predicted.
    noise_floor : float
        Drawn as a band around the identity; in the unit of the target.
    fit_for : str, optional
        What the predictions are fit for, for the title.
    refit : str
        What the actual changes are of, as in `LeaveOneOutCheck`.

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

    figsize: ClassVar[tuple[float, float] | None] = (5.0, 5.0)

    def __init__(
        self,
        predicted: Array,
        actual: Array,
        target: str,
        method: str,
        noise_floor: float = 0.0,
        fit_for: str | None = None,
        refit: str = "final",
    ) -> None:
        self.predicted = predicted
        self.actual = actual
        self.target = target
        self.method = method
        self.noise_floor = noise_floor
        self.fit_for = fit_for
        self.refit = refit

    def _draw(self, ax: Any) -> None:
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
        ax.set_xlabel(
            f"predicted change of {target_words(self.target)} ({self.method.replace('_', ' ')})"
        )
        how = {"structure": "over the same splits", "proximal": "by the proximal objective"}
        ax.set_ylabel(
            f"actual change of {target_words(self.target)} ({how.get(self.refit, 'refitted')})"
        )
        error = plain_number(fit.relative_error, ".3f")
        numbers = f"slope {fit.slope:.3f}, relative error {error}"
        ax.set_title(numbers if self.fit_for is None else f"fit for {self.fit_for}\n{numbers}")
        ax.legend(loc="upper left", frameon=False)
