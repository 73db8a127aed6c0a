"""What changes of the training data do to test rows, with labels, rankings, tables and pictures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skinfluence.inspection.displays import InfluenceDisplay
from skinfluence.inspection.result import LINES_SHOWN, Result
from skinfluence.inspection.tables import at_most, cut, line_of, number_of, pandas, plain
from skinfluence.inspection.words import effect_words, kind_of, target_words
from skinfluence.process.blocks import row_blocks
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

TESTS_SHOWN, ROWS_SHOWN = 3, 3
"""Of a result that is printed: test rows, and training rows at either end for each."""


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Effects(Result):
    """Effects of changes of the training data on a target, a line for every test row.

    Attributes
    ----------
    scores : ndarray of shape (n_test, n_changes), or (n_changes,)
        Target after the change minus before, in its own unit. ``np.asarray`` gives them. One line
        alone where they are of each row on itself, of the mean or sum over the test rows
        (`aggregate`), or of a difference.
    method : str
        "first_order", "newton", "exact" or "tracin", whichever was used.
    target : str
        What changes: "loss", "decision_function", "predict_proba", "predict", "linear_predictor".
    test_labels : ndarray of shape (n_test,) or None
        Index of the test frame, or positions; labels of groups of test rows; None of one line.
    n_test : int
        Test rows that were asked about.
    classes : ndarray of shape (n_test,) or None
        The class whose probability or decision the target is.
    output : object
        The output of a model with several, where it was chosen.
    aggregate : str or None
        "mean" or "sum" over the test rows ("weighted mean", "weighted sum" with weights), "groups"
        of them, "gap" between two groups.
    between : tuple or None
        Labels of the two groups of a gap: effects are on the first minus the second.
    """

    scores: Array
    method: str
    target: str
    test_labels: Array | None = None
    n_test: int = 1
    classes: Array | None = None
    output: Any = None
    aggregate: str | None = None
    between: tuple[Any, ...] | None = None

    coming: ClassVar[bool] = False
    """Whether the change brings something that is not there."""
    change: ClassVar[str] = "the row is removed"
    _bar: ClassVar[str | None] = "score"

    @property
    @abstractmethod
    def labels(self) -> Array:
        """Labels of what changes: training rows, groups, new rows."""

    @property
    def words(self) -> tuple[str, str]:
        """What is said of the two directions: ("helps", "harms") for a loss."""
        return self._words[0]

    @property
    def _words(self) -> tuple[tuple[str, str], int]:
        kind = "number" if self.aggregate == "gap" else kind_of(self.target)
        return effect_words(kind, coming=self.coming)

    @property
    def _blue(self) -> int:
        return self._words[1]

    def _array(self) -> Array:
        return self.scores

    @property
    def _lines(self) -> Array:
        """The scores, a line for every test row, also where there is one alone."""
        return self.scores if self.scores.ndim == 2 else self.scores[None]

    # -------------------------------------------------------------------------------------- to read

    @abstractmethod
    def _subject(self) -> str:
        """Return what changes, as a heading has it."""

    def _heading(self) -> str:
        return (
            f"{type(self).__name__}: {self._subject()} on {self._object()} (method {self.method})."
        )

    def _object(self) -> str:
        """Return what is changed, as a heading has it."""
        which = ""
        if self.classes is not None and len(set(self.classes.tolist())) == 1:
            which = f" of class {cut(self.classes[0])}"
        elif self.output is not None:
            which = f" of output {cut(self.output)}"
        elif kind_of(self.target) == "class":
            which = " of each row's own class"
        rows = number_of(self.n_test, "test row")
        if self.aggregate == "groups":
            rows += f" in {number_of(len(self._lines), 'group')}"
        return f"the {self._measure}{which} of {rows}"

    @property
    def _measure(self) -> str:
        """What the scores are changes of."""
        first, second = ("", "") if self.between is None else map(cut, self.between)
        gap = f"gap {first} - {second} in the mean "
        over = {None: "", "groups": "mean ", "gap": gap, "sum": "sum of the "}
        return over.get(self.aggregate, f"{self.aggregate} ") + target_words(self.target)

    def _remarks(self) -> list[str]:
        (first, second), sign = self._words
        meaning = first if sign > 0 else second
        remarks = [
            f"score: change of the {self._measure} if {self.change}; positive = the {self._noun} "
            f"{meaning}{' it' if self.aggregate == 'gap' else ''}."
        ]
        if not np.any(self._lines):
            remarks.append(f"No {self._noun} moves it.")
        if len(self._lines) > TESTS_SHOWN:
            lines = "groups of test rows" if self.aggregate == "groups" else "test rows"
            remarks.append(
                f"{TESTS_SHOWN} of {len(self._lines):,} {lines} shown; to_frame() has all, "
                "plot(test) draws one."
            )
        return remarks

    _noun: ClassVar[str] = "row"
    _what: ClassVar[str] = "training row"

    def _title(self, line: int) -> str:
        """Return the title of a picture of one line."""
        if self.test_labels is None:
            about = self._object().removeprefix("the ")
            return about[0].upper() + about[1:]
        which = "" if self.classes is None else f", class {cut(self.classes[line])}"
        what = "Test rows" if self.aggregate == "groups" else "Test row"
        return f"{what} {cut(self.test_labels[line])}{which}"

    def _named(self, lines: Sequence[int], lengths: Sequence[int]) -> dict[str, list[Any]]:
        """Return the columns that say which test row the lines of a table are of."""
        columns: dict[str, list[Any]] = {}
        if self.test_labels is not None:
            name = "tests" if self.aggregate == "groups" else "test"
            columns[name] = _repeated([self.test_labels[t] for t in lines], lengths)
        if self.classes is not None:
            columns["class"] = _repeated([self.classes[t] for t in lines], lengths)
        return columns

    def _line(self, test: Any, position: Any = None) -> int:
        """Return the line of a test row, by its label or its position."""
        labels = np.arange(len(self._lines)) if self.test_labels is None else self.test_labels
        return line_of(labels, test, position, name="test")

    def gap(self, first: Any, second: Any) -> Any:
        """Return the effects on the difference between two groups of test rows.

        Parameters
        ----------
        first, second : labels
            Of groups of test rows, as ``aggregate=`` had them (or of two test rows).

        Returns
        -------
        The same kind of result, of one line
            Effects on the target of `first` minus that of `second`: positive = the change widens a
            gap that is positive.

        Raises
        ------
        ValueError
            For a label that no line, or more than one, has.
        """
        if self.scores.ndim == 1 or getattr(self, "rows", None) is not None:
            raise ValueError(
                "gap() was called on a result of one line, or of the extremes alone; lines for "
                "every group and all rows are needed. Ask with aggregate=groups and without top=."
            )
        a, b = self._line(first), self._line(second)
        return replace(
            self,
            scores=self.scores[a] - self.scores[b],
            test_labels=None,
            classes=None if self.classes is None else _one_value(self.classes[[a, b]]),
            aggregate="gap",
            between=tuple(plain(np.asarray(self.test_labels)[[a, b]])),
        )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Influence(Effects):
    """Predicted effects of removing each training row on each test row.

    What `InfluenceClassifier.influence` returns: the scores with rankings, a table and a plot.
    Where it is printed, the rows that move the first test rows most.

    Attributes
    ----------
    scores : ndarray of shape (n_test, n_train), (n_test, 2 k) with ``top=k``, or one line of these
        Change of the target, in its own unit (nats for the log loss), when the row is removed
        with its whole weight. For the loss: positive = the row helps. ``np.asarray`` gives them.
        One line, of shape (n_train,), for ``aggregate="mean"`` and "sum", and for a gap.
    method : str
        "first_order", "newton", "exact" or "tracin", whichever was used.
    target : str
        What changes: "loss", "decision_function", "predict_proba", "predict", "linear_predictor".
    row_labels : ndarray of shape (n_train,)
        Index of the training frame, or positions.
    test_labels : ndarray of shape (n_test,) or None
        Index of the test frame, or positions; with ``aggregate=groups`` the groups; None of one
        line.
    n_test : int
        Test rows that were asked about.
    classes : ndarray of shape (n_test,) or None
        The class whose probability or decision the target is.
    output : object
        The output of a model with several, where it was chosen.
    aggregate : {None, "mean", "sum", "weighted mean", "weighted sum", "groups", "gap"}
    between : tuple or None
        Labels of the two groups of a gap: effects are on the first minus the second.
    rows : ndarray of int of the shape of `scores`, or None
        Training row of every score, where only the extremes were kept; None where all were.
    guarded_rows : ndarray of int
        Training rows whose one Newton step would go astray: they were minimised on their own.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = InfluenceRegressor().fit(X[:400], y[:400])
    >>> influence = model.influence(X[400:], y[400:])
    >>> influence.scores.shape, influence.helpful(k=3).shape, influence.method
    ((42, 400), (42, 3), 'newton')
    >>> model.influence(X[400:401], y[400:401])
    Influence: 400 training rows on the loss of 1 test row (method newton).
      test  effect  rank  row  position    y  score
         0  helps      1  102       102  302   16.4
         0  helps      2  145       145  259   15.4
         0  helps      3  138       138  336   15.1
         0  harms      1   92        92   48  -20.0
         0  harms      2  380       380   52  -13.8
         0  harms      3  379       379   40  -10.2
    score: change of the loss if the row is removed; positive = the row helps.
    """

    row_labels: Array
    rows: Array | None = None
    guarded_rows: Array = field(default_factory=lambda: np.empty(0, dtype=int))

    @property
    def labels(self) -> Array:
        """Labels of the training rows."""
        return self.row_labels

    def helpful(self, k: int = 5) -> Array:
        """Return the k training rows whose removal would raise the loss of each test row most.

        Parameters
        ----------
        k : int
            At most half the columns of scores that were kept, with ``influence(top=...)``.

        Returns
        -------
        ndarray of int, shape (n_test, k), or (k,) of one line
            Positions in the training data, most helpful first.

        Raises
        ------
        ValueError
            If the target is not the loss, or more rows are asked for than were kept.
        """
        self._require_loss("helpful")
        return self._shaped(self._ranked(k, largest=not self.coming)[0])

    def harmful(self, k: int = 5) -> Array:
        """Return the k training rows whose removal would lower the loss of each test row most.

        Parameters
        ----------
        k : int
            At most half the columns of scores that were kept, with ``influence(top=...)``.

        Returns
        -------
        ndarray of int, shape (n_test, k), or (k,) of one line
            Positions in the training data, most harmful first.

        Raises
        ------
        ValueError
            As in `helpful`.
        """
        self._require_loss("harmful")
        return self._shaped(self._ranked(k, largest=self.coming)[0])

    def to_frame(self, k: int = 5, columns: Any = None) -> pd.DataFrame:
        """Return the (at most) k rows that move each test row most either way, one a line.

        Parameters
        ----------
        k : int
            Fewer are returned where fewer are there.
        columns : True, or names, optional
            Columns of the rows that are shown beside their labels, as they were given: features of
            a frame by their name, of an array as x0, x1, ..., texts as "text", and the target ("y"
            where it has no name). True is all of them. A name that the table has gets "_train".

        Returns
        -------
        DataFrame
            Columns ``test`` and ``row`` (labels of the frames), ``class`` where the target is of
            one, ``position`` (of the row in its frame), ``effect`` ("helps" / "harms" for the loss,
            "supports" / "opposes" for the probability or decision of a class, "raises" / "lowers"
            for a number: what the row does by being there), ``rank`` and ``score``. Rows that do
            neither are left out.

        Raises
        ------
        ImportError
            Without pandas.
        ValueError
            For a column that the rows have not.
        """
        table = self._table(k, range(len(self._lines)))
        frame = pandas().DataFrame(table)
        return self._with_own_columns(frame, table["position"], columns)

    def _table(self, k: int, lines: Sequence[int]) -> dict[str, Any]:
        """Return the ends of some lines as the columns of a table."""
        ends = self._ends(k, list(lines))
        chosen = [end for both in ends for end in both]
        lengths = [len(rows) for rows, _ in chosen]
        positions = np.concatenate([rows for rows, _ in chosen]).astype(int)
        per_test = [len(first[0]) + len(second[0]) for first, second in ends]
        return {
            **self._named(lines, per_test),
            "effect": _repeated(list(self.words) * len(ends), lengths),
            "rank": [rank for n in lengths for rank in range(1, n + 1)],
            "row": plain(self.labels[positions]),
            "position": positions,
            "score": np.concatenate([scores for _, scores in chosen]),
        }

    def _subject(self) -> str:
        kept = "" if self.rows is None else f", the {self._available} at either end,"
        return f"{number_of(len(self.labels), 'training row')}{kept}"

    def _top(self) -> dict[str, Any]:
        table = self._table(ROWS_SHOWN, range(min(len(self._lines), TESTS_SHOWN)))
        return self._with_what_it_is(table)

    def _with_what_it_is(self, table: dict[str, Any]) -> dict[str, Any]:
        """Return a table with the text and the target of its rows before the scores."""
        own = {} if self.given is None else self.given.at_a_glance(table["position"])
        score = table.pop("score")
        named = {f"{name}_train" if name in table else name: v for name, v in own.items()}
        return {**table, **named, "score": score}

    def plot(
        self,
        test: Any = None,
        k: int = 10,
        ax: Any = None,
        *,
        position: int | None = None,
        labels: Any = None,
        columns: Any = None,
    ) -> InfluenceDisplay:
        """Draw the (at most) k rows that move one test row most either way.

        Parameters
        ----------
        test : label, optional
            Of the test row (or group of them), as tables have it; the first by default.
        k : int
        ax : matplotlib Axes, optional
        position : int, optional
            In place of `test`: the position of the test row.
        labels : array-like of shape (n_train,) or str, optional
            What the bars are called in place of the labels of the rows: a text for every row, or
            the name of one of their columns.
        columns : True, or names, optional
            Columns of the rows that are written beside their bars, as in `to_frame`.

        Returns
        -------
        InfluenceDisplay

        Raises
        ------
        ValueError
            For a test row that is not there, labels that are not one for every row, and columns
            that the rows have not.
        """
        display = InfluenceDisplay.from_result(
            self, test, k, position=position, labels=labels, columns=columns
        )
        return display.plot(ax=ax)

    def _names(self, rows: Array, labels: Any) -> Array:
        """Return what some rows are called in a picture."""
        if labels is None:
            return self.labels[rows]
        if isinstance(labels, str):
            if self.given is None:
                raise ValueError(
                    f"labels={labels!r} was given, a column, but this result was read from a file "
                    "without its rows. Pass one label for every row, or X= and y= to load."
                )
            return self.given.frame(rows, [labels]).iloc[:, 0].to_numpy()
        given = np.asarray(labels, dtype=object)
        if given.shape != self.labels.shape:
            raise ValueError(
                f"labels of shape {given.shape} were given; one for every row, shape "
                f"{self.labels.shape}, or the name of a column is accepted."
            )
        return given[rows]

    def _ends(self, k: int, tests: Any = slice(None)) -> list[list[tuple[Array, Array]]]:
        """Return rows and scores of the k most at the end of either word, for each test row.

        A row without any effect, or with the opposite one, is at neither end.
        """
        k = min(k, self._available)
        sign = self._words[1]
        first, second = (
            self._ranked(k, largest=largest, tests=tests) for largest in (sign > 0, sign < 0)
        )
        return [
            [(r[sign * s > 0], s[sign * s > 0]), (q[sign * t < 0], t[sign * t < 0])]
            for r, s, q, t in zip(*first, *second, strict=True)
        ]

    @property
    def _available(self) -> int:
        """Rows that can be ranked at either end."""
        n_kept = int(self._lines.shape[1])
        return n_kept if self.rows is None else n_kept // 2

    def _ranked(self, k: int, *, largest: bool, tests: Any = slice(None)) -> tuple[Array, Array]:
        """Return rows and scores from one end, ties in row order, each of shape (n_tests, k)."""
        half = self._available
        if not (isinstance(k, Integral) and 1 <= int(k) <= half):
            raise ValueError(
                f"k={k!r} was given; {half} rows at each end are there, so 1 to {half} is "
                "accepted. Call influence() with a larger top= for more."
            )
        if self.rows is None:
            return self._ranked_of_all(np.arange(len(self._lines))[tests], int(k), largest)
        scores = self._lines[tests]
        kept = self.rows if self.rows.ndim == 2 else self.rows[None]
        columns = slice(0, half) if largest else slice(2 * half - 1, half - 1, -1)
        return kept[tests][:, columns][:, :k], scores[:, columns][:, :k]

    def _ranked_of_all(self, tests: Array, k: int, largest: bool) -> tuple[Array, Array]:
        """Return rows and scores from one end, of all rows; some lines at a time."""
        rows = np.empty((len(tests), k), dtype=np.intp)
        scores = np.empty((len(tests), k), dtype=self.scores.dtype)
        for some in row_blocks(len(tests), self._lines.shape[1]):
            lines = np.ascontiguousarray(self._lines[tests[some]])
            rows[some] = first_of(-lines if largest else lines, k)
            scores[some] = np.take_along_axis(lines, rows[some], axis=1)
        return rows, scores

    def _shaped(self, rows: Array) -> Array:
        """Return ranked rows as the scores are: of one line without an axis of tests."""
        return rows if self.scores.ndim == 2 else rows[0]

    def _require_loss(self, name: str) -> None:
        if self.target != "loss" or self.aggregate == "gap":
            what = "a gap" if self.aggregate == "gap" else f"target={self.target!r}"
            raise ValueError(
                f"{name}() was called on scores of {what}; only the loss knows "
                "help from harm. Use to_frame() or scores, where positive means that removing the "
                "row raises the target."
            )


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class SelfInfluence(Influence):
    """What removing each training row does to its own loss.

    What `InfluenceClassifier.self_influence` returns.

    Attributes
    ----------
    scores : ndarray of shape (n_train,)
        In the unit of the loss, the row's weight left out of it. ``np.asarray`` gives them.
    method : str
    row_labels : ndarray of shape (n_train,)

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
    >>> InfluenceRegressor().fit(X, y).self_influence().to_frame(k=2).round(2)
      effect  rank  row  position  score
    0  helps     1    3         3  19.10
    1  helps     2    2         2   2.33
    """

    def _heading(self) -> str:
        return (
            f"{type(self).__name__}: each of {number_of(len(self.labels), 'training row')} on its "
            f"own loss (method {self.method})."
        )

    def _remarks(self) -> list[str]:
        remarks = [
            "score: change of the row's own loss if it is removed; large = no other row explains"
            " it."
        ]
        if len(self.labels) > LINES_SHOWN:
            remarks.append(
                f"{LINES_SHOWN} of {len(self.labels):,} rows shown; to_frame(k) has more."
            )
        return remarks

    def _title(self, line: int) -> str:
        return "Training rows on their own loss"

    def _top(self) -> dict[str, Any]:
        return self._with_what_it_is(self._table(LINES_SHOWN, [0]))


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class AdditionInfluence(Influence):
    """Predicted effects of adding each of some new rows to the training data.

    What `InfluenceClassifier.addition_influence` returns; attributes and methods are those of
    `Influence`, of new rows in place of training rows: `row_labels`, positions and columns are
    those of ``X_new``.

    Attributes
    ----------
    scores : ndarray of shape (n_test, n_new), or (n_new,)
        Target with the row minus without, in its own unit. For the loss: positive = adding the row
        would harm. ``np.asarray`` gives them.
    """

    coming: ClassVar[bool] = True
    change: ClassVar[str] = "the row is added"
    _what: ClassVar[str] = "new row"

    def _subject(self) -> str:
        return f"adding each of {number_of(len(self.labels), 'row')}"


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RelabelInfluence(Influence):
    """Predicted effects of giving training rows another target, one at a time.

    What `InfluenceClassifier.relabel_influence` returns; attributes and methods are those of
    `Influence`.

    Attributes
    ----------
    scores : ndarray of shape (n_test, n_train), or (n_train,)
        Target after the change minus before, in its own unit. For the loss: positive = relabelling
        the row would harm. ``np.asarray`` gives them.
    y_new : ndarray of shape (n_train,) or (n_train, n_outputs)
        The other targets; tables show them where they are one for every row.
    """

    y_new: Array

    coming: ClassVar[bool] = True
    change: ClassVar[str] = "the row gets its new target"

    def _subject(self) -> str:
        return f"relabelling each of {number_of(len(self.labels), 'training row')}"

    def _table(self, k: int, lines: Sequence[int]) -> dict[str, Any]:
        table = super()._table(k, lines)
        if self.y_new.ndim == 1:
            score = table.pop("score")
            table.update(new_target=plain(self.y_new[table["position"]]), score=score)
        return table


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class GroupInfluence(Effects):
    """Predicted effects of removing each group of training rows, as a whole, on each test row.

    What `InfluenceClassifier.group_influence` returns.

    Attributes
    ----------
    scores : ndarray of shape (n_test, n_groups), or (n_groups,)
        Change of the target, in its own unit, when all rows of the group are removed. For the
        loss: positive = the group helps. ``np.asarray`` gives them.
    groups : ndarray of shape (n_groups,)
        Labels; tuples of them where groups are those of several columns; positions of masks.
    sizes : ndarray of int, shape (n_groups,)
        Training rows of each.
    guarded_groups : ndarray of int
        Positions of the groups whose one Newton step would go astray: they were minimised.
    method, target, test_labels, n_test, classes, output, aggregate
        As in `Influence`.

    Examples
    --------
    >>> import numpy as np
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
    >>> model = InfluenceRegressor().fit(X, y)
    >>> model.group_influence(["a", "b", "a", "b"], [[1.0]], [1.0])
    GroupInfluence: 2 groups of training rows on the loss of 1 test row (method newton).
      test  group  size  effect   score
         0  a         2  helps    0.542
         0  b         2  harms   -0.347
    score: change of the loss if the group is removed; positive = the group helps.
    """

    groups: Array
    sizes: Array
    guarded_groups: Array = field(default_factory=lambda: np.empty(0, dtype=int))

    change: ClassVar[str] = "the group is removed"
    _noun: ClassVar[str] = "group"

    @property
    def labels(self) -> Array:
        """Labels of the groups."""
        return self.groups

    def to_frame(self, k: int | None = None) -> pd.DataFrame:
        """Return every pair of a test row and a group, one a line.

        Parameters
        ----------
        k : int, optional
            At most this many groups at either end for each test row; all by default.

        Returns
        -------
        DataFrame
            Columns ``test``, ``class`` where the target is of one, ``group``, ``size`` (training
            rows), ``effect`` (what the group does by being there, as in `Influence`) and
            ``score``; from the strongest of the first word to the strongest of the second.

        Raises
        ------
        ImportError
            Without pandas.
        """
        return pandas().DataFrame(self._table(k, range(len(self._lines))))

    def _table(self, k: int | None, lines: Sequence[int]) -> dict[str, Any]:
        (first, second), sign = self._words
        scores = sign * self._lines[list(lines)]
        order = np.argsort(-scores, axis=1, kind="stable")
        n_groups, k = order.shape[1], at_most(k)
        if k is not None and 2 * k < n_groups:
            order = np.concatenate([order[:, :k], order[:, n_groups - k :]], axis=1)
        at = order.ravel()
        values = np.take_along_axis(scores, order, axis=1).ravel()
        return {
            **self._named(lines, [order.shape[1]] * len(order)),
            "group": plain(self.groups[at]),
            "size": self.sizes[at],
            "effect": np.select([values > 0, values < 0], [first, second], "nothing").tolist(),
            "score": sign * values + 0.0,  # none is -0
        }

    def _subject(self) -> str:
        return f"{number_of(len(self.groups), 'group')} of training rows"

    def _remarks(self) -> list[str]:
        n_groups = len(self.groups)
        hidden = f"{2 * ROWS_SHOWN} of {n_groups:,} groups shown; to_frame() has all."
        return [*super()._remarks(), *([hidden] if n_groups > 2 * ROWS_SHOWN else [])]

    def _top(self) -> dict[str, Any]:
        return self._table(ROWS_SHOWN, range(min(len(self._lines), TESTS_SHOWN)))

    def plot(
        self, test: Any = None, k: int = 10, ax: Any = None, *, position: int | None = None
    ) -> InfluenceDisplay:
        """Draw the groups, at most k at either end, that move one test row most.

        Parameters
        ----------
        test : label, optional
            Of the test row (or group of them), as tables have it; the first by default.
        k : int
        ax : matplotlib Axes, optional
        position : int, optional
            In place of `test`: the position of the test row.

        Returns
        -------
        InfluenceDisplay

        Raises
        ------
        ValueError
            For a test row that is not there.
        """
        display = InfluenceDisplay.from_result(self, test, k, position=position)
        return display.plot(ax=ax)


def first_of(values: Array, k: int) -> Array:
    """Return the columns of the k smallest of each line, in order; of equals the first columns."""
    n = values.shape[1]
    if k < n // 8:
        bound = np.partition(values, k - 1, axis=1)[:, k - 1]
        return np.stack([_first_up_to(*each, k) for each in zip(values, bound, strict=True)])
    return np.argsort(values, axis=1, kind="stable")[:, :k]


def _first_up_to(line: Array, bound: Any, k: int) -> Array:
    few = np.flatnonzero(~(line > bound))
    return few[np.argsort(line[few], kind="stable")][:k]


def _one_value(values: Array) -> Array | None:
    """Return the one value that all are; None where they differ."""
    return values[:1] if len(set(values.tolist())) == 1 else None


def _repeated(values: Sequence[Any], lengths: Sequence[int]) -> list[Any]:
    return [value for value, n in zip(values, lengths, strict=True) for _ in range(n)]
