"""Bars of the rows, groups or new rows that move something most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from skinfluence.inspection.displays.base import HARMS, HELPS, Display, neutral
from skinfluence.inspection.displays.room import (
    SHARE,
    Box,
    as_text,
    cell_of,
    cut_to,
    every,
    ruler,
    small_font,
)
from skinfluence.inspection.tables import (
    are_numbers,
    beside,
    cut,
    line_of,
    number_of,
    pandas,
    plain,
    written,
)
from skinfluence.inspection.words import effect_words, kind_of, target_words
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

READABLE = 12
"""Characters of the name of a column without which it is not drawn."""

BAR, OTHERS, TALLEST = 0.2, 1.6, 9.0
"""Inches of a new figure: for a bar, for what is above and below, and at most."""

COLUMNS, BESIDE_COLUMNS = 0.4, 0.25
"""Shares of the width: of columns of the rows, and of the names of the bars beside them."""


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
    columns : mapping from names to values, each for all bars, optional
        Written to the right of the bars.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import InfluenceDisplay
    >>> display = InfluenceDisplay(np.array([0.4, -0.1]), np.array([7, 3]), "loss", "Test row 0")
    >>> print(display.plot().ax_.get_xlabel())
    change of loss if the row is removed
    ← harms     helps →
    >>> display.frame()
       training row  score effect
    0             7    0.4  helps
    1             3   -0.1  harms
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
        columns: Mapping[Any, Sequence[Any]] | None = None,
    ) -> None:
        self.scores = scores
        self.labels = labels
        self.target = target
        self.title = title
        self.change = change
        self.words = effect_words(kind_of(target)) if words is None else words
        self.what = what
        self.columns = {} if columns is None else columns

    @classmethod
    def from_result(
        cls,
        result: Any,
        test: Any = None,
        k: int = 10,
        *,
        position: int | None = None,
        labels: Any = None,
        columns: Any = None,
    ) -> Self:
        """Return the (at most) k rows, or groups, that move one test row most either way.

        Parameters
        ----------
        result : Influence or GroupInfluence
        test : label, optional
            Of the test row (or group of them), as tables have it; the first by default.
        k : int
        position : int, optional
            In place of `test`: the position of the test row.
        labels : array-like of shape (n_train,) or str, optional
            What the bars are called in place of the labels of the rows: a text for every row, or
            the name of one of their columns. Not of groups.
        columns : True, or names, optional
            Columns of the rows that are written beside their bars, as in `Influence.to_frame`. Not
            of groups, beside which stands how many rows they have.

        Returns
        -------
        InfluenceDisplay

        Raises
        ------
        ImportError
            For columns, without pandas.
        ValueError
            For a test row that is not there, labels that are not one for every row, and columns
            that the rows have not.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from skinfluence import InfluenceRegressor
        >>> from skinfluence.inspection import InfluenceDisplay
        >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
        >>> influence = InfluenceRegressor().fit(X[:400], y[:400]).influence(X[400:], y[400:])
        >>> display = InfluenceDisplay.from_result(influence, test=401, k=1, columns=["target"])
        >>> display.frame().round(1)
           training row  score effect  target
        0           379   13.4  helps    40.0
        1            29  -13.7  harms   283.0
        """
        line = result._line(test, position)
        table = result._table(k, [line])
        sign = result._words[1]
        order = np.argsort(-sign * np.asarray(table["score"]), kind="stable")
        if hasattr(result, "groups"):
            what, names = "group", _objects(table["group"])[order]
            shown: dict[Any, Any] = {"rows": plain(np.asarray(table["size"])[order])}
        else:
            rows = np.asarray(table["position"])[order]
            what = labels if isinstance(labels, str) else result._what
            names, shown = result._names(rows, labels), _own_columns(result, rows, columns)
        return cls(
            np.asarray(table["score"])[order],
            names,
            result.target,
            result._title(line),
            change=result.change,
            words=result._words,
            what=what,
            columns=shown,
        )

    @classmethod
    def from_parameter_influence(
        cls, result: Any, coefficient: Any = None, k: int = 10, *, columns: Any = None
    ) -> Self:
        """Return the (at most) k rows that change one coefficient most.

        Parameters
        ----------
        result : ParameterInfluence
        coefficient : str or int, optional
            Its name, or its position in `coefficients`; the first by default.
        k : int
        columns : True, or names, optional
            Columns of the rows that are written beside their bars, as in `Influence.to_frame`.

        Returns
        -------
        InfluenceDisplay

        Raises
        ------
        ImportError
            For columns, without pandas.
        ValueError
            For a coefficient that is not there, and columns that the rows have not.
        """
        at = result._at(coefficient)
        rows = result._order(at)[:k]
        return cls(
            result.changes[rows, at],
            result.row_labels[rows],
            "the coefficient",
            f"{cut(result.coefficients[at])} = {result.values[at]:.3g}",
            words=(("raises it", "lowers it"), -1),
            columns=_own_columns(result, rows, columns),
        )

    @classmethod
    def from_input_influence(
        cls, result: Any, test: Any = None, row: Any = None, k: int = 10
    ) -> Self:
        """Return the (at most) k features of a training row that move a test row most.

        Parameters
        ----------
        result : InputInfluence
        test, row : label, optional
            Of the test row and of the training row; the first by default.
        k : int

        Returns
        -------
        InfluenceDisplay

        Raises
        ------
        ValueError
            For rows that are not there.
        """
        t = line_of(result.test_labels, test, None, name="test")
        i = line_of(result.row_labels, row, None, name="row")
        values = result.derivatives[t, i]
        order = np.argsort(-np.abs(values), kind="stable")[:k]
        which = "" if result.classes is None else f", class {cut(result.classes[t])}"
        return cls(
            values[order],
            result.features[order],
            result.target,
            f"Test row {cut(result.test_labels[t])}{which}",
            change=f"a feature of row {cut(result.row_labels[i])} grew by 1, at this rate",
            words=effect_words(kind_of(result.target), coming=True),
            what="feature",
        )

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        groups: Any = None,
        test: Any = None,
        position: int | None = None,
        k: int = 10,
        labels: Any = None,
        columns: Any = None,
        ax: Any = None,
        **asked: Any,
    ) -> Self:
        """Ask a model which rows, or groups, move one test row most, and draw them.

        Parameters
        ----------
        model : InfluenceClassifier or InfluenceRegressor
            Fitted.
        X_test, y_test : array-like
            Test rows, and their targets where the loss is asked about.
        groups : optional
            Of training rows, as `group_influence` takes them, in place of the rows.
        test, position, k, labels, columns
            Which test row, how many rows, and what is written of them, as in `from_result`.
        ax : matplotlib Axes, optional
            A new figure by default.
        **asked
            Passed to `influence` or `group_influence`: target, method, aggregate, ...

        Returns
        -------
        InfluenceDisplay
            Drawn.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            As in `influence`, `group_influence` and `from_result`.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> from skinfluence import InfluenceRegressor
        >>> from skinfluence.inspection import InfluenceDisplay
        >>> X, y = load_diabetes(return_X_y=True)
        >>> model = InfluenceRegressor().fit(X[:400], y[:400])
        >>> display = InfluenceDisplay.from_estimator(
        ...     model, X[400:], y[400:], groups=X[:400, 1] > 0, aggregate="mean"
        ... )
        >>> display.ax_.get_title()
        'Mean loss of 42 test rows'
        """
        if groups is None:
            result = model.influence(X_test, y_test, **asked)
        else:
            result = model.group_influence(groups, X_test, y_test, **asked)
        display = cls.from_result(
            result, test, k, position=position, labels=labels, columns=columns
        )
        return display.plot(ax=ax)

    def frame(self) -> pd.DataFrame:
        """Return the bars from the top, a line each: name, score, what it does, its columns.

        Returns
        -------
        pandas.DataFrame
            Columns under what the bars are ("training row", "group", ...), score, effect and
            those of the rows.

        Raises
        ------
        ImportError
            Without pandas.
        """
        (first, second), sign = self.words
        moved = sign * self.scores
        bars = {
            self.what: plain(np.asarray(self.labels)),
            "score": self.scores,
            "effect": np.select([moved > 0, moved < 0], [first, second], "nothing").tolist(),
        }
        names = beside(self.columns, bars, "column")
        own = dict(zip(names, map(list, self.columns.values()), strict=True))
        return pandas().DataFrame({**bars, **own})

    def _size(self) -> tuple[float, float]:
        height = float(np.clip(OTHERS + BAR * len(self.scores), 2.2, TALLEST))
        return (8.5 if len(self.columns) > 1 else 6.4), height

    def _share(self) -> float:
        return BESIDE_COLUMNS if len(self.columns) > 1 else SHARE

    def _draw(self, ax: Any) -> None:
        (first, second), sign = self.words
        left, right = (second, first) if sign > 0 else (first, second)
        positions = np.arange(len(self.scores))
        colors = np.where(sign * self.scores > 0, HELPS, HARMS)
        ax.barh(positions, self.scores, color=colors, height=0.75)
        ax.axvline(0.0, color=neutral(), linewidth=0.8)
        named = positions[
            :: every(ax, len(positions), ruler(ax, fontsize=small_font())("Ag").height)
        ]
        ax.set_yticks(named, [as_text(self.labels[k]) for k in named])
        ax.set_ylim(len(self.scores) - 0.4, -0.6)
        ax.set_ylabel(as_text(self.what))
        change = as_text(f"change of {target_words(self.target)} if {self.change}", None)
        ax.set_xlabel(f"{change}\n← {left}     {right} →")
        height, n_drawn = self._draw_columns(ax, named)
        title = as_text(self.title, None)
        if left_out := len(self.columns) - n_drawn:
            title += f"\n{number_of(left_out, 'column')} without room"
        ax.set_title(title, pad=height + 6.0)

    def _draw_columns(self, ax: Any, named: Array) -> tuple[float, int]:
        """Write columns beside some bars: the height of their names, and how many."""
        self._cells: list[tuple[int, Any]] = []
        pixel, small = ax.figure.figure.dpi / 72, small_font()
        size, bold = ruler(ax, fontsize=small), ruler(ax, fontsize=small, weight="bold")
        gap, start = size("n").width, size("n").width
        room = COLUMNS * cell_of(ax).width - gap
        line = size("Ag").height / pixel
        font: dict[str, Any] = {
            "fontsize": small,
            "annotation_clip": False,
            "textcoords": "offset points",
        }
        columns = list(_columns_in(self.columns, named, room, gap, size, bold))
        for head, cells, numbers, width in columns:
            at = (start + width if numbers else start) / pixel
            font["ha"] = "right" if numbers else "left"
            top = {"xy": (1.0, 1.0), "xycoords": "axes fraction", "xytext": (at, 0.7 * line)}
            ax.annotate(cut_to(head, width, bold), weight="bold", va="bottom", **top, **font)
            for k, text in zip(named.tolist(), cells, strict=True):
                row = {"xy": (1.0, k), "xycoords": ("axes fraction", "data"), "xytext": (at, 0.0)}
                cell = text if numbers else cut_to(text, width, size)
                self._cells.append((k, ax.annotate(cell, va="center", **row, **font)))
            start += width + 2 * gap
        return (1.7 * line if columns else 0.0), len(columns)

    def _thin(self) -> bool:
        """Leave out the columns of bars that have no room for their name."""
        named = {round(at) for at in self.ax_.get_yticks()}
        idle = [text for k, text in self._cells if k not in named and text.get_visible()]
        for text in idle:
            text.set_visible(False)
        return bool(idle)


def _own_columns(result: Any, rows: Array, columns: Any) -> dict[Any, Any]:
    """Return columns of some rows of a result, by name."""
    if columns is None or columns is False:
        return {}
    frame = result._with_own_columns(pandas().DataFrame(index=range(len(rows))), rows, columns)
    return {name: plain(frame[name].to_numpy()) for name in frame.columns}


def _objects(labels: Sequence[Any]) -> Array:
    """Return labels as an array of one dimension, tuples too."""
    return np.fromiter(labels, dtype=object, count=len(labels))


def _columns_in(
    columns: Mapping[Any, Sequence[Any]],
    rows: Array,
    room: float,
    gap: float,
    size: Callable[[str], Box],
    bold: Callable[[str], Box],
) -> Iterator[tuple[str, list[str], bool, float]]:
    """Yield the columns that have room: name, text of some rows, are they numbers, and width.

    Numbers are whole or left out; names and other texts give way.
    """
    found = []
    for name, values in columns.items():
        texts = [as_text(each) for each in written([values[k] for k in rows])]
        natural, numbers = max(size(text).width for text in texts), are_numbers(list(values))
        least = natural if numbers else min(natural, 6 * gap)
        least = max(least, bold(cut(as_text(name), READABLE)).width)
        if room < least + 2 * gap:
            break
        room -= least + 2 * gap
        found.append(
            (as_text(name), texts, numbers, least, max(natural, bold(as_text(name)).width))
        )
    wanted = [natural - least for *_, least, natural in found]
    for (name, texts, numbers, least, _), more in zip(found, _fair(wanted, room), strict=True):
        yield name, texts, numbers, least + more


def _fair(widths: Sequence[float], room: float) -> list[float]:
    """Return widths that fit: the widest give way to the others."""
    fair = dict.fromkeys(range(len(widths)), 0.0)
    for place, k in enumerate(np.argsort(widths).tolist()):
        fair[k] = min(widths[k], room / (len(widths) - place))
        room -= fair[k]
    return list(fair.values())
