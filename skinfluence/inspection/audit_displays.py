"""Pictures of audits: of labels, of their mending, and of the rows that hurt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from skinfluence.inspection.displays import HARMS, HELPS, Display
from skinfluence.typing import Array

SUSPECTED_COLOR, UNFLAGGED_COLOR = "#e0a458", "0.65"

CURVES = ("#1b6ca8", "#c8553d", "#588157", "#8e6c8a", "#b08968", "0.45")
MARKS = ("o", "s", "^", "D", "v", "x")

ROOM = 3.6
"""Width of axes, in inches, from which on a legend has two columns."""


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
    ) -> None:
        self.quality = quality
        self.tiers = tiers
        self.expected = expected
        self.interval = interval
        self.title = title

    def _draw(self, ax: Any) -> None:
        furthest = [10, 2 * int(np.sum(self.tiers != "")), 1.3 * (self.interval or (0, 0))[1]]
        n = min(len(self.quality), int(max(furthest)))
        ranks = np.arange(1, n + 1)
        words = {
            "likely": ("likely wrong", HARMS),
            "suspected": ("suspected", SUSPECTED_COLOR),
            "": ("not flagged", UNFLAGGED_COLOR),
        }
        for front, (tier, (word, color)) in enumerate(words.items()):
            rows = self.tiers[:n] == tier
            if np.any(self.tiers == tier):
                count = f"{np.sum(self.tiers == tier):,} {word}"
                dots = {"s": 16, "color": color, "label": count, "zorder": 4 - front}
                ax.scatter(ranks[rows], self.quality[:n][rows], **dots)
        if self.expected is not None and self.interval is not None:
            ax.axvspan(*self.interval, color=HELPS, alpha=0.12, linewidth=0)
            line = f"about {self.expected:,.0f} expected wrong"
            ax.axvline(self.expected, color=HELPS, linewidth=1.2, label=line)
        ax.set_xlim(0, n + 1)
        ax.set_ylim(bottom=min(0.0, float(np.nanmin(self.quality[:n]))))
        ax.set_xlabel("rank of the row, worst first")
        ax.set_ylabel("label quality")
        ax.set_title(self.title)
        ax.legend(loc="lower right", frameon=False)
        ax.grid(color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)


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

    def _draw(self, ax: Any) -> None:
        for k, (name, values) in enumerate(self.curves.items()):
            color, mark = CURVES[k % len(CURVES)], MARKS[k % len(MARKS)]
            mean, spread = np.mean(values, axis=0), np.std(values, axis=0)
            band = {"color": color, "alpha": 0.1, "linewidth": 0}
            ax.fill_between(self.checked, mean - spread, mean + spread, **band)
            ax.plot(self.checked, mean, marker=mark, markersize=4, color=color, label=name)
        ax.set_xlabel("share of the rows that was checked")
        ax.set_ylabel(self.ylabel)
        ax.set_title(self.title)
        ax.legend(loc="best", frameon=False)
        ax.grid(color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)


def _found(wrong: Array, ranking: Array, checked: Array) -> Array:
    """Return the share of wrong rows among the first of a ranking, for shares of the rows."""
    found = np.concatenate([[0.0], np.cumsum(wrong[np.argsort(ranking, kind="stable")])])
    first = np.rint(checked * len(wrong)).astype(int)
    shares: Array = found[first] / found[-1]
    return shares


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
