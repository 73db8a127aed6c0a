"""Pictures, after scikit-learn's Display classes: data in the constructor, `plot` draws it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np

from skinfluence.inspection.agreement import agreement
from skinfluence.inspection.tables import cut
from skinfluence.inspection.words import effect_words, kind_of, plain_number, target_words
from skinfluence.typing import Array

HELPS, HARMS = "#1b6ca8", "#c8553d"

LONGEST_LABEL = 36
"""Characters of a label of a bar."""


def as_text(label: Any, widest: int | None = LONGEST_LABEL) -> str:
    """Return a label as a picture shows it: cut where it is long, a dollar as a dollar."""
    text = str(label) if widest is None else cut(label, widest)
    return text.replace("$", r"\$")


def _name_points(ax: Any, x: Array, y: Array, labels: Array) -> None:
    """Write labels beside points, those of near points above each other."""
    ax.get_xlim()  # which is when the limits are found
    taken: list[tuple[float, float]] = []
    for point, label in zip(np.column_stack([x, y]).tolist(), labels, strict=True):
        right, up = ax.transData.transform(point)
        shift = 4.0
        while any(abs(right - r) < 45 and abs(up + shift - u) < 13 for r, u in taken):
            shift += 13.0
        taken.append((right, up + shift))
        line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.6} if shift > 17 else None
        ax.annotate(
            as_text(label),
            point,
            xytext=(5, shift * 72 / ax.figure.dpi),
            textcoords="offset points",
            fontsize=8,
            arrowprops=line,
        )


class Display(ABC):
    """What all pictures share: axes to draw on.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.
    """

    figsize: ClassVar[tuple[float, float] | None] = None
    ax_: Any
    figure_: Any

    def plot(self, ax: Any = None) -> Self:
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
        if ax is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError as error:
                raise ImportError(
                    "Plots need matplotlib, which is not installed: pip install "
                    "'skinfluence[plot]'."
                ) from error
            _, ax = plt.subplots(figsize=self.figsize, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        self._draw(ax)
        ax.spines[["top", "right"]].set_visible(False)
        return self

    @abstractmethod
    def _draw(self, ax: Any) -> None:
        """Draw on some axes."""


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


class DiagnosticsDisplay(Display):
    """Studentised residuals against leverages; the area of a point is Cook's distance.

    Parameters
    ----------
    hat_diagonal, residuals, cooks_distance : ndarray of shape (n_train,)
    labels : ndarray of shape (n_train,)
        Of the training rows.
    k : int, default=5
        Rows that are named: those with the largest distances.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import DiagnosticsDisplay
    >>> display = DiagnosticsDisplay(
    ...     np.array([0.1, 0.6]), np.array([1.5, -0.2]), np.array([0.3, 0.1]), np.array(["a", "b"])
    ... )
    >>> display.plot().ax_.get_xlabel()
    'leverage (hat diagonal)'
    """

    def __init__(
        self,
        hat_diagonal: Array,
        residuals: Array,
        cooks_distance: Array,
        labels: Array,
        k: int = 5,
    ) -> None:
        self.hat_diagonal = hat_diagonal
        self.residuals = residuals
        self.cooks_distance = cooks_distance
        self.labels = labels
        self.k = k

    def _draw(self, ax: Any) -> None:
        distances = np.nan_to_num(self.cooks_distance)
        largest = distances.max(initial=0.0) or 1.0
        ax.axhline(0.0, color="0.3", linewidth=0.8)
        ax.scatter(
            self.hat_diagonal,
            self.residuals,
            s=6.0 + 400.0 * distances / largest,
            alpha=0.5,
            color=HELPS,
            edgecolor="none",
        )
        ax.margins(0.08)
        rows = np.argsort(-distances, kind="stable")[: self.k]
        _name_points(ax, self.hat_diagonal[rows], self.residuals[rows], self.labels[rows])
        ax.set_xlabel("leverage (hat diagonal)")
        ax.set_ylabel("studentised residual")
        ax.set_title("Area: Cook's distance")


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


class RowsDisplay(Display):
    """Training rows as points, the first of them named.

    Parameters
    ----------
    x, y : ndarray of shape (n_rows,)
        Those to be named first.
    labels : ndarray of shape (n_rows,)
    named : int
        How many points have their label beside them.
    xlabel, ylabel, title : str
    wrong : ndarray of bool of shape (n_rows,), optional
        Rows that are predicted wrong, in red.
    identity : bool, default=False
        Draw y = x. Without it x is a rank, on a logarithmic axis, so that the first are seen.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import RowsDisplay
    >>> given, predicted = np.array([4.0, 1.0, 2.0]), np.array([1.5, 1.2, 2.1])
    >>> display = RowsDisplay(
    ...     given, predicted, np.array(["b", "c", "a"]), 1, "given", "predicted", identity=True
    ... )
    >>> [text.get_text() for text in display.plot().ax_.texts]
    ['b']
    """

    def __init__(
        self,
        x: Array,
        y: Array,
        labels: Array,
        named: int,
        xlabel: str,
        ylabel: str,
        title: str = "",
        wrong: Array | None = None,
        identity: bool = False,
    ) -> None:
        self.x = x
        self.y = y
        self.labels = labels
        self.named = named
        self.xlabel = xlabel
        self.ylabel = ylabel
        self.title = title
        self.wrong = wrong
        self.identity = identity

    def _draw(self, ax: Any) -> None:
        wrong = np.zeros(len(self.x), dtype=bool) if self.wrong is None else self.wrong
        if self.identity:
            ends = [min(self.x.min(), self.y.min()), max(self.x.max(), self.y.max())]
            ax.plot(ends, ends, color="0.3", linewidth=1.0)
        else:
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter("{x:g}")
        for rows, color, word in ((~wrong, HELPS, "right"), (wrong, HARMS, "wrong")):
            if rows.any():
                count = f"{np.sum(rows & ~np.isnan(self.y))} predicted {word}"
                ax.scatter(
                    self.x[rows],
                    self.y[rows],
                    s=18,
                    alpha=0.7,
                    color=color,
                    edgecolor="none",
                    label=None if self.wrong is None else count,
                )
        _name_points(ax, *(each[: self.named] for each in (self.x, self.y, self.labels)))
        ax.set_xlabel(self.xlabel)
        ax.set_ylabel(self.ylabel)
        ax.set_title(self.title)
        if self.wrong is not None:
            ax.legend(loc="best", frameon=False)
        ax.grid(color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)


class LeaveOneOutCurveDisplay(Display):
    """Mean left-out losses over the values of a parameter, with their standard errors.

    The axis is logarithmic where the values are closer to a geometric than to an arithmetic
    sequence, and has equal steps where they are no finite numbers.

    Parameters
    ----------
    param_name : str
    param_range : ndarray of shape (n_values,)
    scores, standard_errors : ndarray of shape (n_values,)
    best : int
        Position of the value that is marked.
    loss : str

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import LeaveOneOutCurveDisplay
    >>> scores, errors = np.array([0.3, 0.1, 0.2]), np.array([0.02, 0.01, 0.03])
    >>> display = LeaveOneOutCurveDisplay(
    ...     "C", np.array([0.1, 1, 10]), scores, errors, 1, "log loss"
    ... )
    >>> display.plot().ax_.get_xscale()
    'log'
    """

    def __init__(
        self,
        param_name: str,
        param_range: Array,
        scores: Array,
        standard_errors: Array,
        best: int,
        loss: str,
    ) -> None:
        self.param_name = param_name
        self.param_range = param_range
        self.scores = scores
        self.standard_errors = standard_errors
        self.best = best
        self.loss = loss

    def _draw(self, ax: Any) -> None:
        numbers = self.param_range.dtype.kind in "iuf" and bool(
            np.all(np.isfinite(self.param_range))
        )
        x = self.param_range if numbers else np.arange(len(self.scores))
        order = np.argsort(x, kind="stable")
        ax.errorbar(
            x[order],
            self.scores[order],
            yerr=self.standard_errors[order],
            color=HELPS,
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=1.2,
            elinewidth=0.8,
        )
        value = f"{self.param_range[self.best]:.4g}" if numbers else self.param_range[self.best]
        ax.plot(
            x[self.best],
            self.scores[self.best],
            "o",
            color=HARMS,
            markersize=8,
            zorder=3,
            label=f"smallest at {value}",
        )
        if not numbers:
            ax.set_xticks(x, [str(value) for value in self.param_range])
        elif _is_geometric(x[order]):
            ax.set_xscale("log")
        ax.set_xlabel(as_text(self.param_name))
        ax.set_ylabel(f"mean {self.loss} of rows left out")
        ax.legend(frameon=False)
        ax.grid(color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)


def _is_geometric(values: Array) -> bool:
    """Return whether rising values grow by more equal factors than differences."""
    if len(values) < 3 or values[0] <= 0 or np.any(np.diff(values) == 0):
        return False
    differences, factors = np.diff(values), np.diff(np.log(values))
    return bool(np.std(factors) / np.mean(factors) < np.std(differences) / np.mean(differences))


class DeletionDisplay(Display):
    """The gradient of the rows that stay before and after a deletion, on a logarithmic axis.

    Parameters
    ----------
    before, after : float
        Norms of the gradient.
    method : str
        How the rows were deleted.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> from skinfluence.inspection import DeletionDisplay
    >>> display = DeletionDisplay(3.0, 1e-12, method="exact")
    >>> display.plot().ax_.get_xscale()
    'log'
    """

    figsize: ClassVar[tuple[float, float] | None] = (6.0, 2.0)

    def __init__(self, before: float, after: float, method: str) -> None:
        self.before = before
        self.after = after
        self.method = method

    def _draw(self, ax: Any) -> None:
        norms = np.array([self.before, self.after])
        smallest = np.finfo(np.float64).eps * max(self.before, 1e-300)  # where a norm is 0
        ax.plot(np.maximum(norms, smallest), ["before", "after"], "o", color=HELPS)
        ax.set_xscale("log")
        ax.margins(y=0.5)
        ax.invert_yaxis()
        ax.set_xlabel("norm of the gradient of the rows that stay (0 at their optimum)")
        ax.set_title(f"Deletion ({self.method.replace('_', ' ')})")
        ax.grid(axis="x", color="0.92", linewidth=0.8)
