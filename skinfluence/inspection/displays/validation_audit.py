"""What dropping or relabelling the rows that hurt changes."""

from __future__ import annotations

from typing import Any

from skinfluence.inspection.displays.base import HARMS, HELPS, Display
from skinfluence.typing import Array

ROOM = 3.6
"""Width of axes, in inches, from which on a legend has two columns."""


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

    def _draw(self, ax: Any) -> None:
        k, change, error = self.k, self.change, 2.0 * self.standard_error
        ax.axhline(0.0, color="0.4", linewidth=0.8)
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
            ax.plot(k, self.verified, "x", color="0.15", markersize=6, label="the same, refitted")
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
                markerfacecolor="none",
                markeredgecolor=HELPS,
                markersize=11,
                label=f"advised: {k[self.advised]}",
            )
        if k[-1] >= 10 * k[0]:
            ax.set_xscale("log")
        self._name_numbers(ax)
        ax.set_xlabel(f"worst rows {'dropped' if self.action == 'drop' else 'relabelled'}")
        ax.set_ylabel(f"change of mean {self.loss}\n(below 0 is better)")
        self._explain_above(ax)
        ax.grid(color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)

    def _explain_above(self, ax: Any) -> None:
        """Put the legend above the curves, which may be anywhere."""
        wide = ax.get_window_extent().width / ax.figure.dpi > ROOM
        ax.legend(
            frameon=False,
            fontsize="small",
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
            ncols=2 if wide else 1,
        )

    def _name_numbers(self, ax: Any) -> None:
        """Put ticks at the numbers there are, or at fewer of them."""
        every = -(-len(self.k) // 8)
        ticks = self.k[::-1][::every][::-1]
        ax.set_xticks(ticks, [f"{each}" for each in ticks])
        ax.minorticks_off()
