"""What dropping or relabelling the rows that hurt changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skinfluence.inspection.displays.base import HARMS, HELPS, Display, lines_behind, neutral
from skinfluence.inspection.tables import number_of, pandas
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


class ValidationAuditDisplay(Display):
    """Changes of the mean loss over the number of rows that are dropped or relabelled.

    On rows that did not choose them, in a band of two standard errors, and dashed what the rows
    that chose them say. The axis of numbers is logarithmic from a range of ten on.

    Parameters
    ----------
    k : ndarray of int, shape (n_sizes,)
    change, standard_error, in_sample : ndarray of shape (n_sizes,)
    verified : ndarray of shape (n_sizes,) or None
        By refits.
    advised : int or None
        Position of the number that is marked.
    action : {"drop", "relabel"}
    loss : str

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import ValidationAuditDisplay
    >>> changes, in_sample = np.array([-0.1, -0.2, 0.1]), np.array([-0.2, -0.4, -0.5])
    >>> display = ValidationAuditDisplay(
    ...     np.array([1, 5, 10]), changes, np.full(3, 0.05), in_sample, None, 1, "drop", "log loss"
    ... )
    >>> display.plot().ax_.get_xlabel()
    'worst rows dropped'
    """

    def __init__(
        self,
        k: Array,
        change: Array,
        standard_error: Array,
        in_sample: Array,
        verified: Array | None,
        advised: int | None,
        action: str,
        loss: str,
    ) -> None:
        self.k = k
        self.change = change
        self.standard_error = standard_error
        self.in_sample = in_sample
        self.verified = verified
        self.advised = advised
        self.action = action
        self.loss = loss

    @classmethod
    def from_result(cls, result: Any) -> Self:
        """Return the curve of an audit.

        Parameters
        ----------
        result : ValidationAudit
            What `skinfluence.validation_audit` returned.

        Returns
        -------
        ValidationAuditDisplay
        """
        return cls(
            result.k,
            result.change,
            result.standard_error,
            result.in_sample,
            result.verified,
            result._advised,
            result.action,
            result.loss,
        )

    def frame(self) -> pd.DataFrame:
        """Return the points, a line for every number of rows.

        Returns
        -------
        pandas.DataFrame
            Columns rows (dropped or relabelled), change, standard error, in-sample, refitted where
            refits were asked for, and advised.

        Raises
        ------
        ImportError
            Without pandas.
        """
        refitted = {} if self.verified is None else {"refitted": self.verified}
        points = {
            f"rows {self._done}": self.k,
            "change": self.change,
            "standard error": self.standard_error,
            "in-sample": self.in_sample,
            **refitted,
            "advised": np.arange(len(self.k)) == (-1 if self.advised is None else self.advised),
        }
        return pandas().DataFrame(points)

    @property
    def _done(self) -> str:
        return "dropped" if self.action == "drop" else "relabelled"

    def _draw(self, ax: Any) -> None:
        k, change, error = self.k, self.change, 2.0 * self.standard_error
        ax.axhline(0.0, color=neutral(), linewidth=0.8)
        ax.fill_between(
            k,
            change - error,
            change + error,
            color=HELPS,
            alpha=0.15,
            linewidth=0,
            label="± 2 s.e.",
        )
        if len(k) == 1:  # of which a band has no width
            ax.errorbar(k, change, yerr=error, color=HELPS, capsize=2, elinewidth=0.8)
        ax.plot(
            k,
            change,
            color=HELPS,
            marker="o",
            markersize=4,
            linewidth=1.2,
            label="on rows that did not choose",
        )
        if self.verified is not None:
            ax.plot(
                k, self.verified, "x", color=neutral(), markersize=6, label="the same, refitted"
            )
        ax.plot(
            k,
            self.in_sample,
            color=HARMS,
            linestyle="--",
            marker=".",
            linewidth=1.0,
            label="in-sample: flatters",
        )
        if self.advised is not None:
            ax.plot(
                k[self.advised],
                change[self.advised],
                "o",
                color=HELPS,
                markerfacecolor="none",
                markeredgecolor=HELPS,
                markersize=11,
                label=f"advised: {k[self.advised]}",
            )
        if k[-1] >= 10 * k[0]:
            ax.set_xscale("log")
        self._name_numbers(ax)
        ax.set_xlabel(f"worst rows {self._done}")
        ax.set_ylabel(f"change of mean {self.loss}\n(below 0 is better)")
        ax.set_title(self._advice())
        lines_behind(ax)

    def _advice(self) -> str:
        doing = "Dropping" if self.action == "drop" else "Relabelling"
        if self.advised is None:
            return f"{doing} rows is not shown to help"
        return f"{doing} {number_of(int(self.k[self.advised]), 'row')} is shown to help"

    def _name_numbers(self, ax: Any) -> None:
        """Put ticks at the numbers there are, or at a few of them along the axis."""
        at = np.log(self.k) if ax.get_xscale() == "log" else self.k
        few = np.linspace(at[0], at[-1], 8)
        ticks = self.k
        if len(ticks) > len(few):
            ticks = self.k[np.unique(np.abs(at[:, None] - few).argmin(axis=0))]
        ax.set_xticks(ticks, [f"{each}" for each in ticks])
        ax.minorticks_off()
