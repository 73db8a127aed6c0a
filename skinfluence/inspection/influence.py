"""The scores of training rows on test rows, with labels, rankings and a picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

    from skinfluence.inspection.displays import InfluenceDisplay

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Influence:
    """Predicted effects of removing each training row on each test row.

    Attributes
    ----------
    scores : ndarray of shape (n_test, n_train), or (n_test, 2 k) with ``top=k``
        Change of the target when the row is removed. For the loss: positive = the row helps.
    method : str
        "first_order" or "newton", whichever was used.
    target : str
        What changes: "loss", "decision_function", "predict_proba", "predict", "linear_predictor".
    rows : ndarray of int of the shape of `scores`, or None
        Training row of every score, where only the extremes were kept; None where all were.
    row_labels, test_labels : ndarray of shape (n_train,), (n_test,)
        Index of the frames the rows came from, or their positions.
    guarded_rows : ndarray of int
        Training rows of so high a leverage that they were minimised on their own instead of by one
        Newton step.
    """

    scores: Array
    method: str
    target: str
    row_labels: Array
    test_labels: Array
    rows: Array | None = None
    guarded_rows: Array = field(default_factory=lambda: np.empty(0, dtype=int))

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
        """Return the k rows at either end of the ranking of each test row, one a line.

        Parameters
        ----------
        k : int
            Fewer are returned where fewer are there.

        Returns
        -------
        DataFrame
            Columns ``test`` and ``row`` (labels of the frames), ``effect`` ("helps" / "harms" for
            the loss, else "raises" / "lowers" the target *when it is removed*), ``rank`` and
            ``score``.
        """
        import pandas as pd

        k = min(k, self._available)
        loss = self.target == "loss"
        pieces = []
        for largest, effect in (
            (True, "helps" if loss else "raises"),
            (False, "harms" if loss else "lowers"),
        ):
            rows, scores = self._ranked(k, largest=largest)
            pieces.append(
                pd.DataFrame(
                    {
                        "test": np.repeat(self.test_labels, k),
                        "effect": effect,
                        "rank": np.tile(np.arange(1, k + 1), len(scores)),
                        "row": self.row_labels[rows].ravel(),
                        "score": scores.ravel(),
                        "position": np.repeat(np.arange(len(scores)), k),
                    }
                )
            )
        table = pd.concat(pieces).sort_values("position", kind="stable")
        return table.drop(columns="position").reset_index(drop=True)

    def plot(self, test: int = 0, k: int = 10, ax: Any = None) -> InfluenceDisplay:
        """Draw the k rows at either end of one test row's ranking.

        Parameters
        ----------
        test : int
            Position of the test row.
        k : int
        ax : matplotlib Axes, optional

        Returns
        -------
        InfluenceDisplay
        """
        from skinfluence.inspection.displays import InfluenceDisplay

        k = min(k, self._available)
        pieces = [self._ranked(k, largest=largest) for largest in (True, False)]
        rows = np.concatenate([pieces[0][0][test], pieces[1][0][test][::-1]])
        scores = np.concatenate([pieces[0][1][test], pieces[1][1][test][::-1]])
        display = InfluenceDisplay(
            scores=scores,
            labels=self.row_labels[rows],
            target=self.target,
            test_label=self.test_labels[test],
        )
        return display.plot(ax=ax)

    @property
    def _available(self) -> int:
        """Rows that can be ranked at either end."""
        n_kept = int(self.scores.shape[1])
        return n_kept if self.rows is None else n_kept // 2

    def _ranked(self, k: int, *, largest: bool) -> tuple[Array, Array]:
        """Return rows and scores from one end, ties in row order, each of shape (n_test, k)."""
        if not 1 <= k <= self._available:
            raise ValueError(
                f"k={k!r} was given; {self._available} rows at each end are there, so 1 to "
                f"{self._available} is accepted. Call influence() with a larger top= for more."
            )
        if self.rows is None:
            order = np.argsort(-self.scores if largest else self.scores, axis=1, kind="stable")
            rows = order[:, :k]
            return rows, np.take_along_axis(self.scores, rows, axis=1)
        half = self._available
        columns = slice(0, half) if largest else slice(2 * half - 1, half - 1, -1)
        return self.rows[:, columns][:, :k], self.scores[:, columns][:, :k]

    def _require_loss(self, name: str) -> None:
        if self.target != "loss":
            raise ValueError(
                f"{name}() was called on scores of target={self.target!r}; only the loss knows "
                "help from harm. Use to_frame() or scores, where positive means that removing the "
                "row raises the target."
            )
