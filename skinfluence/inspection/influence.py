"""The scores of training rows on test rows, with labels, rankings and a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd

    from skinfluence.inspection.displays import InfluenceDisplay


@dataclass(frozen=True, eq=False)
class Influence:
    """Predicted effects of removing each training row on each test row.

    What `InfluenceClassifier.influence` returns: the scores with rankings, a table and a plot.

    Attributes
    ----------
    scores : ndarray of shape (n_test, n_train), or (n_test, 2 k) with ``top=k``
        Change of the target, in its own unit (nats for the log loss), when the row is removed
        with its whole weight. For the loss: positive = the row helps.
    method : str
        "first_order", "newton", "exact" or "tracin", whichever was used.
    target : str
        What changes: "loss", "decision_function", "predict_proba", "predict", "linear_predictor".
    rows : ndarray of int of the shape of `scores`, or None
        Training row of every score, where only the extremes were kept; None where all were.
    row_labels, test_labels : ndarray of shape (n_train,), (n_test,)
        Index of the frames the rows came from, or their positions.
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
    """

    scores: Array = field(repr=False)
    method: str
    target: str
    row_labels: Array = field(repr=False)
    test_labels: Array = field(repr=False)
    rows: Array | None = field(default=None, repr=False)
    guarded_rows: Array = field(default_factory=lambda: np.empty(0, dtype=int), repr=False)

    def helpful(self, k: int = 5) -> Array:
        """Return the k training rows whose removal would raise the loss of each test row most.

        Parameters
        ----------
        k : int
            At most half the columns of scores that were kept, with ``influence(top=...)``.

        Returns
        -------
        ndarray of int, shape (n_test, k)
            Positions in the training data, most helpful first.

        Raises
        ------
        ValueError
            If the target is not the loss, or more rows are asked for than were kept.
        """
        self._require_loss("helpful")
        return self._ranked(k, largest=True)[0]

    def harmful(self, k: int = 5) -> Array:
        """Return the k training rows whose removal would lower the loss of each test row most.

        Parameters
        ----------
        k : int
            At most half the columns of scores that were kept, with ``influence(top=...)``.

        Returns
        -------
        ndarray of int, shape (n_test, k)
            Positions in the training data, most harmful first.

        Raises
        ------
        ValueError
            As in `helpful`.
        """
        self._require_loss("harmful")
        return self._ranked(k, largest=False)[0]

    def to_frame(self, k: int = 5) -> pd.DataFrame:
        """Return the (at most) k rows that move each test row most either way, one a line.

        Parameters
        ----------
        k : int
            Fewer are returned where fewer are there.

        Returns
        -------
        DataFrame
            Columns ``test`` and ``row`` (labels of the frames), ``position`` (of the training
            row), ``effect`` ("helps" / "harms" for
            the loss, else "raises" / "lowers" the target *when it is removed*), ``rank`` and
            ``score``. Rows that do neither are left out.

        Raises
        ------
        ImportError
            Without pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "Tables need pandas, which is not installed: pip install 'skinfluence[plot]'."
            ) from error

        effects = ("helps", "harms") if self.target == "loss" else ("raises", "lowers")
        lines = [
            (label, effect, rank, self.row_labels[row], row, score)
            for label, ends in zip(self.test_labels, self._ends(k), strict=True)
            for effect, end in zip(effects, ends, strict=True)
            for rank, (row, score) in enumerate(zip(*end, strict=True), start=1)
        ]
        return pd.DataFrame(lines, columns=["test", "effect", "rank", "row", "position", "score"])

    def plot(self, test: int = 0, k: int = 10, ax: Any = None) -> InfluenceDisplay:
        """Draw the (at most) k rows that move one test row most either way.

        Parameters
        ----------
        test : int
            Position of the test row.
        k : int
        ax : matplotlib Axes, optional

        Returns
        -------
        InfluenceDisplay

        Raises
        ------
        ValueError
            For a test row that is not there.
        """
        from skinfluence.inspection.displays import InfluenceDisplay

        n_test = len(self.test_labels)
        if not isinstance(test, Integral) or not -n_test <= test < n_test:
            raise ValueError(
                f"test={test!r} was given; the position of a test row, 0 to {n_test - 1}, is "
                "accepted. For a label of a frame pass X_test.index.get_loc(label)."
            )
        (((top_rows, top), (bottom_rows, bottom)),) = self._ends(k, [test])
        rows = np.concatenate([top_rows, bottom_rows[::-1]])
        display = InfluenceDisplay(
            scores=np.concatenate([top, bottom[::-1]]),
            labels=self.row_labels[rows],
            target=self.target,
            test_label=self.test_labels[test],
        )
        return display.plot(ax=ax)

    def _ends(self, k: int, tests: Any = slice(None)) -> list[list[tuple[Array, Array]]]:
        """Return rows and scores of the k most positive and k most negative, for each test row.

        A row without any effect, or with the opposite one, is at neither end.
        """
        k = min(k, self._available)
        above, below = (self._ranked(k, largest=largest, tests=tests) for largest in (True, False))
        return [
            [(rows[keep], scores[keep]) for rows, scores, keep in ((r, s, s > 0), (q, t, t < 0))]
            for r, s, q, t in zip(*above, *below, strict=True)
        ]

    @property
    def _available(self) -> int:
        """Rows that can be ranked at either end."""
        n_kept = int(self.scores.shape[1])
        return n_kept if self.rows is None else n_kept // 2

    def _ranked(self, k: int, *, largest: bool, tests: Any = slice(None)) -> tuple[Array, Array]:
        """Return rows and scores from one end, ties in row order, each of shape (n_tests, k)."""
        half = self._available
        if not (isinstance(k, Integral) and 1 <= int(k) <= half):
            raise ValueError(
                f"k={k!r} was given; {half} rows at each end are there, so 1 to {half} is "
                "accepted. Call influence() with a larger top= for more."
            )
        scores = self.scores[tests]
        if self.rows is None:
            order = np.argsort(-scores if largest else scores, axis=1, kind="stable")
            rows = order[:, :k]
            return rows, np.take_along_axis(scores, rows, axis=1)
        columns = slice(0, half) if largest else slice(2 * half - 1, half - 1, -1)
        return self.rows[tests][:, columns][:, :k], scores[:, columns][:, :k]

    def _require_loss(self, name: str) -> None:
        if self.target != "loss":
            raise ValueError(
                f"{name}() was called on scores of target={self.target!r}; only the loss knows "
                "help from harm. Use to_frame() or scores, where positive means that removing the "
                "row raises the target."
            )
