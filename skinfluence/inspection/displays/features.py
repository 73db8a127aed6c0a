"""Training rows by two of their numbers, coloured by what they do to one test row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from skinfluence.inspection.displays.base import (
    HARMS,
    HELPS,
    MANY,
    Display,
    as_text,
    lines_behind,
    name_points,
    neutral,
)
from skinfluence.inspection.displays.curves import MARKS
from skinfluence.inspection.displays.predictions import prediction_around, repeated, with_room
from skinfluence.inspection.displays.room import box_of, ruler, wrapped
from skinfluence.inspection.given_rows import GivenRows
from skinfluence.inspection.tables import beside, cut, pandas, plain
from skinfluence.inspection.words import effect_words, kind_of, target_words
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

NEUTRAL = "#b9b9b9"
"""Of rows without an effect, between blue and red."""

FULL = 0.98
"""Quantile of the sizes of scores from which on colours are full."""

STRONG = 0.5
"""Part of a full colour from which on rows lie on top of all others."""

SHORT = 24
"""Characters of labels in the title and in the legend."""

NARROW = 4.0
"""Width of axes, in inches, below which the bar of colours has few numbers."""

LOW = 3.0
"""Height of axes, in inches, below which only the most necessary is explained."""


class FeaturesDisplay(Display):
    """Training rows by two features, coloured by what their removal does to one test row.

    With a star for the test row, and where the model changes its mind: the boundary between
    classes, or the line of predictions of a regressor, whose rows are drawn by one feature and
    their target. The strongest rows are the largest and lie on top; k of them are named, and those
    of these that harm have an outline, so that they are told apart in grey, too.

    Parameters
    ----------
    x, y : ndarray of shape (n_train,)
    scores : ndarray of shape (n_train,)
        Changes of the target if the row is removed.
    labels : ndarray of shape (n_train,)
        Names of the training rows.
    test : tuple (x, y)
        Where the test row is.
    xlabel, ylabel : str
    classes : ndarray of shape (n_train,), optional
        Labels of the training rows, each with a mark of its own.
    boundary : tuple (x, y, codes), optional
        ndarrays of shape (n_x,), (n_y,) and (n_y, n_x): which class is predicted on a grid.
    line : tuple (x, y), optional
        ndarrays of shape (n_x,): what is predicted.
    predicted : str, default="predicted"
        What the boundary or the line is called.
    target : str, default="loss"
        What the scores are changes of.
    words : tuple ((str, str), sign), optional
        As in `InfluenceDisplay`.
    title : str, default="Training rows and one test row"
    k : int, default=4
        How many rows are named.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        After `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence.inspection import FeaturesDisplay
    >>> x, scores = np.array([0.0, 1.0, 2.0]), np.array([0.1, -0.3, 0.0])
    >>> display = FeaturesDisplay(x, x**2, scores, np.array([4, 5, 6]), (1.5, 2.0), "age", "price")
    >>> display.plot().ax_.get_ylabel()
    'price'
    """

    figsize: ClassVar[tuple[float, float] | None] = (6.4, 5.6)

    def __init__(
        self,
        x: Array,
        y: Array,
        scores: Array,
        labels: Array,
        test: tuple[Any, Any],
        xlabel: str,
        ylabel: str,
        *,
        classes: Array | None = None,
        boundary: tuple[Array, Array, Array] | None = None,
        line: tuple[Array, Array] | None = None,
        predicted: str = "predicted",
        target: str = "loss",
        words: tuple[tuple[str, str], int] | None = None,
        title: str = "Training rows and one test row",
        k: int = 4,
    ) -> None:
        self.x = x
        self.y = y
        self.scores = scores
        self.labels = labels
        self.test = test
        self.xlabel = xlabel
        self.ylabel = ylabel
        self.classes = classes
        self.boundary = boundary
        self.line = line
        self.predicted = predicted
        self.target = target
        self.words = effect_words(kind_of(target)) if words is None else words
        self.title = title
        self.k = k

    @classmethod
    def from_result(
        cls,
        result: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        features: Sequence[Any] | None = None,
        test: Any = None,
        position: int | None = None,
        model: Any = None,
        k: int = 4,
    ) -> Self:
        """Return the display of what training rows do to one test row.

        Parameters
        ----------
        result : Influence
            Of single test rows, in the order of `X_test`, with the scores of all training rows.
        X_test, y_test : array-like
            As they were given to `InfluenceClassifier.influence`.
        features : sequence of names or positions, optional
            Two features, or one, which is drawn against the target. By default the first two, of a
            regressor the first.
        test, position : optional
            Label or position of the test row; the first by default.
        model : fitted estimator, optional
            Whose boundary between classes, or line of predictions, is drawn. All features but
            those drawn are then what they are of the test row.
        k : int, default=4
            How many rows are named.

        Returns
        -------
        FeaturesDisplay

        Raises
        ------
        ValueError
            For features that are not there, that are no numbers, or too many; for means over test
            rows, for ``top=``, and for a result that was read from a file without its rows.
        """
        _refuse_parts(result)
        line = result._line(test, position)
        given = result.given
        y = None if given.y is None else np.asarray(given.y)
        classes = getattr(model, "classes_", None)
        classifies = classes is not None if model is not None else _are_labels(y)
        names = _names(given, features, classifies)
        against_target = len(names) == 1
        if against_target and (classifies or y is None or y.ndim > 1):
            raise ValueError(
                f"features={features!r} was given, one feature, which is drawn against the numbers "
                "of one target; of a classifier, or without such a target, two are accepted."
            )
        every = np.arange(len(result.scores[line]))
        values = [_numbers(given, name, every) for name in names]
        own = [_numbers(GivenRows(X_test), name, np.array([line]))[0] for name in names]
        if against_target:
            values.append(np.asarray(y, dtype=np.float64))
            own.append(np.nan if y_test is None else float(np.asarray(y_test).ravel()[line]))
        drawn = {}
        if model is not None:
            ends = [with_room(each, at) for each, at in zip(values, own, strict=True)]
            drawn = prediction_around(model, X_test, line, *_columns(given, names), ends)
            if against_target and np.isnan(own[1]):
                own[1] = float(np.interp(own[0], *drawn["line"]))
        elif against_target and y_test is None:
            raise ValueError(
                "One feature was given without y_test, and without a model that predicts it: "
                "where the test row lies is not known. Pass y_test."
            )
        target_name = str(list(given.columns())[-1])
        return cls(
            values[0],
            values[1],
            result.scores[line],
            result.labels,
            (own[0], own[1]),
            str(names[0]),
            target_name if against_target else str(names[1]),
            classes=y if classifies and y is not None and y.ndim == 1 else None,
            target=result.target,
            words=result._words,
            title=_title(result, line, X_test, y_test, model, classifies),
            k=k,
            **drawn,
        )

    @classmethod
    def from_estimator(
        cls,
        model: Any,
        X_test: Any,
        y_test: Any = None,
        *,
        features: Sequence[Any] | None = None,
        position: int = 0,
        target: str = "loss",
        method: str | None = None,
        k: int = 4,
        ax: Any = None,
    ) -> Self:
        """Draw what the training rows of a model do to one test row.

        Parameters
        ----------
        model : InfluenceClassifier or InfluenceRegressor
            Fitted.
        X_test, y_test
            As in `InfluenceClassifier.influence`.
        features
            As in `from_result`.
        position : int, default=0
            Of the test row.
        target, method
            As in `InfluenceClassifier.influence`.
        k : int, default=4
            How many rows are named.
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        FeaturesDisplay
            Plotted.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            As in `from_result` and in `InfluenceClassifier.influence`.
        """
        result = model.influence(X_test, y_test, target=target, method=method)
        params = {"features": features, "position": position, "model": model, "k": k}
        return cls.from_result(result, X_test, y_test, **params).plot(ax=ax)

    def frame(self) -> pd.DataFrame:
        """Return the numbers behind the picture, a line for every training row, in their order.

        Returns
        -------
        pandas.DataFrame
            Columns row (its label), the two that are drawn under their names, class (where rows
            have one), effect and score.

        Raises
        ------
        ImportError
            Without pandas.
        """
        (first, second), sign = self.words
        scores = sign * self.scores
        named = {"row": plain(np.asarray(self.labels))}
        classes = {} if self.classes is None else {"class": plain(self.classes)}
        effects = np.select([scores > 0, scores < 0], [first, second], "nothing")
        does = {"effect": effects, "score": self.scores}
        names = beside([self.xlabel, self.ylabel], {*named, *classes, *does}, "drawn")
        drawn = dict(zip(names, (self.x, self.y), strict=True))
        return pandas().DataFrame({**named, **drawn, **classes, **does})

    def _draw(self, ax: Any) -> None:
        from matplotlib.colors import LinearSegmentedColormap, Normalize

        (first, second), sign = self.words
        full = float(np.quantile(np.abs(self.scores), FULL)) or 1.0
        ends = (HARMS, NEUTRAL, HELPS) if sign > 0 else (HELPS, NEUTRAL, HARMS)
        colors = LinearSegmentedColormap.from_list("influence", ends)
        size = np.minimum(np.abs(self.scores) / full, 1.0)
        outlines = np.zeros(len(size))
        strongest = self._strongest()
        outlines[strongest[(sign * self.scores < 0)[strongest] & (size[strongest] >= STRONG)]] = 1.2
        smallest, largest = (4.0, 24.0) if len(size) > MANY else (10.0, 80.0)
        order = np.argsort(size, kind="stable")
        self._draw_prediction(ax)
        marks = _marks(np.zeros(len(self.x)) if self.classes is None else self.classes)
        for front, strong in enumerate((size < STRONG, size >= STRONG)):
            for mark, of_mark in marks.values():
                rows = order[(of_mark & strong)[order]]
                points = ax.scatter(
                    self.x[rows],
                    self.y[rows],
                    c=self.scores[rows],
                    s=smallest + (largest - smallest) * size[rows] ** 2,
                    cmap=colors,
                    norm=Normalize(-full, full),
                    marker=mark,
                    linewidths=outlines[rows],
                    edgecolors=[neutral()],
                    rasterized=True,
                    zorder=1 + front,
                )
        if self.classes is not None:
            for label, (mark, _) in marks.items():
                ax.plot([], [], mark, color=neutral(0.6), label=as_text(label, SHORT))
        outlined = {"color": neutral(), "markerfacecolor": "none"}
        if box_of(ax).height > LOW * ax.figure.dpi:
            ax.plot([], [], "o", label=f"outlined: {second}", **outlined)
        star = {"color": neutral(), "markerfacecolor": ax.get_facecolor(), "zorder": 7}
        ax.plot(*self.test, "*", markersize=16, linestyle="", label="the test row", **star)
        ax.set_title(as_text(self.title, None))
        ax.set_xlabel(as_text(self.xlabel))
        ax.set_ylabel(as_text(self.ylabel))
        lines_behind(ax)
        if box_of(ax).height > LOW * ax.figure.dpi:
            self._draw_bar(ax, points, (second, first) if sign > 0 else (first, second))
        else:  # a bar of colours would take most of the room
            blue, red = (first, second)
            ax.set_title(f"{as_text(self.title, None)}\nblue {blue}, red {red}")

    def _draw_prediction(self, ax: Any) -> None:
        """Draw the boundary or the line."""
        style = {"color": neutral(), "linewidth": 1.4}
        if box_of(ax).height > LOW * ax.figure.dpi:
            style["label"] = self.predicted
        if self.line is not None:
            ax.plot(*self.line, **style)
        elif self.boundary is not None:
            x, y, codes = self.boundary
            for code in np.unique(codes)[1:]:
                ax.contour(x, y, codes == code, levels=[0.5], colors=[neutral()], linewidths=1.4)
            ax.plot([], [], **style)

    def _draw_bar(self, ax: Any, points: Any, ends: tuple[str, str]) -> None:
        """Draw what the colours mean, under the axes."""
        from matplotlib.ticker import MaxNLocator

        width, height, inch = box_of(ax).width, box_of(ax).height, ax.figure.dpi
        bar = ax.figure.colorbar(points, ax=ax, extend="both", location="bottom", aspect=30)
        bar.locator = MaxNLocator(8 if width > NARROW * inch else 2)
        label = f"\N{LEFTWARDS ARROW} {ends[0]}{' ' * 12}{ends[1]} \N{RIGHTWARDS ARROW}"
        font = bar.ax.xaxis.label.get_fontproperties()
        if height > LOW * inch:
            what = f"change of {target_words(self.target)} if the row is removed"
            label += "\n" + wrapped(what, 0.7 * width, ruler(ax, fontproperties=font))
        bar.set_label(label)
        if min(width / NARROW, height / LOW) < inch:
            bar.ax.tick_params(labelsize="small")

    def _strongest(self) -> Array:
        """Positions of the rows that are named, and outlined if they harm."""
        order: Array = np.argsort(-np.abs(self.scores), kind="stable")
        return order[: self.k]

    def _write(self, ax: Any) -> None:
        strongest = self._strongest()
        name_points(ax, self.x[strongest], self.y[strongest], np.asarray(self.labels)[strongest])


def _marks(classes: Array) -> dict[Any, tuple[str, Array]]:
    """Return the mark of every class, and which rows are of it."""
    labels = np.unique(classes)
    return {
        label: (MARKS[k % len(MARKS)], classes == label) for k, label in enumerate(labels.tolist())
    }


def _refuse_parts(result: Any) -> None:
    if result.aggregate is not None or result.rows is not None:
        what = f"aggregate={result.aggregate!r}" if result.aggregate is not None else "top="
        raise ValueError(
            f"An Influence with {what} was given; one with a line for every test row and the "
            "scores of all training rows is accepted. Ask without it."
        )
    if result.given is None:
        raise ValueError(
            "A result that was read from a file without its rows was given, and where they lie is "
            "not known. Pass X= and y= to load."
        )


def _are_labels(y: Array | None) -> bool:
    return y is not None and y.dtype.kind != "f"


def _names(given: GivenRows, features: Sequence[Any] | None, classifies: bool) -> list[Any]:
    """Return the names of the one or two features that are drawn."""
    named = list(GivenRows(given.X).columns())
    if features is None:
        return named[: 2 if classifies else 1]
    chosen = [features] if isinstance(features, (str, int)) else list(features)
    by_position: dict[Any, Any] = dict(enumerate(named))
    names = [each if each in named else by_position.get(each, each) for each in chosen]
    unknown = [name for name in names if name not in named]
    if unknown or not 1 <= len(names) <= 2:
        raise ValueError(
            f"features={features!r} was given; one or two of the features {named[:5]} ... "
            f"({len(named)} in all), or their positions, are accepted."
        )
    return names


def _columns(given: GivenRows, names: list[Any]) -> tuple[list[int], int]:
    """Return where features are, and how many there are in all."""
    named = list(GivenRows(given.X).columns())
    return [named.index(name) for name in names], len(named)


def _numbers(given: GivenRows, name: Any, rows: Array) -> Array:
    """Return a feature of some rows as numbers."""
    values = np.asarray(GivenRows(given.X).columns()[name](rows))
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The feature {name!r} is of type {values.dtype} and has values that are no numbers; a "
            "picture of features takes those that are. Pass features=."
        ) from error


def _title(result: Any, line: int, X_test: Any, y_test: Any, model: Any, classifies: bool) -> str:
    """Return what the test row is called, with its label and the one predicted."""
    name = f"Test row {cut(result.test_labels[line], SHORT)}"
    if not classifies:
        return name
    said = [] if y_test is None else [cut(np.asarray(y_test)[line], SHORT)]
    if model is not None:
        said.append(f"predicted {cut(model.predict(repeated(X_test, line, 1))[0], SHORT)}")
    return f"{name}: {', '.join(said)}" if said else name
