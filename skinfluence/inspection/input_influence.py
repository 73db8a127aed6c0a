"""How a target at test rows moves as the features of training rows do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skinfluence.inspection.displays import InfluenceDisplay
from skinfluence.inspection.result import LINES_SHOWN, Result
from skinfluence.inspection.tables import beside, number_of, pandas, plain
from skinfluence.inspection.words import effect_words, kind_of, target_words
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class InputInfluence(Result):
    """Derivatives of a target at test rows in the features of training rows.

    What `InfluenceClassifier.input_influence` returns.

    Attributes
    ----------
    derivatives : ndarray of shape (n_test, n_rows, n_features)
        Target per unit of each feature. For the loss: positive = the feature, made larger, harms.
        ``np.asarray`` gives them.
    target : str
        What moves: "loss", "decision_function", "predict_proba", "predict", "linear_predictor".
    features : ndarray of str, shape (n_features,)
        Names of what the final step sees.
    test_labels, row_labels : ndarray of shape (n_test,), (n_rows,)
        Index of the frames the rows came from, or their positions.
    rows : ndarray of int, shape (n_rows,)
        Positions of the training rows.
    classes : ndarray of shape (n_test,) or None
        The class whose probability or decision the target is.
    output : object
        The output of a model with several, where it was chosen.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> model = InfluenceRegressor().fit(X[:400], y[:400])
    >>> influence = model.input_influence(X[400:402], rows=[3, 7], target="predict")
    >>> influence.to_frame().shape, influence.features[:3].tolist()
    ((4, 13), ['age', 'sex', 'bmi'])
    """

    derivatives: Array
    target: str
    features: Array
    test_labels: Array
    row_labels: Array
    rows: Array
    classes: Array | None = None
    output: Any = None

    _bar: ClassVar[str | None] = "derivative"

    def to_frame(self, *, columns: Any = None) -> pd.DataFrame:
        """Return a line for each pair of a test row and a training row.

        Parameters
        ----------
        columns : True or names, optional
            Columns of the training rows, as they were given to `fit`, to show beside.

        Returns
        -------
        DataFrame
            Columns ``test`` (its label), ``class`` where the target is one's, ``row`` and
            ``position`` (of the training row), and the derivative in each feature, by its name;
            that in a feature called row is "row (feature)".

        Raises
        ------
        ImportError
            Without pandas.
        ValueError
            For a name that no column of the training rows has.
        """
        pd = pandas()
        n_test, n_rows, n_features = self.derivatives.shape
        classes = {} if self.classes is None else {"class": plain(np.repeat(self.classes, n_rows))}
        pairs = {
            "test": plain(np.repeat(self.test_labels, n_rows)),
            **classes,
            "row": plain(np.tile(self.row_labels, n_test)),
            "position": np.tile(self.rows, n_test),
        }
        values = self.derivatives.reshape(-1, n_features)
        each = pd.DataFrame(values, columns=beside(self.features, pairs, "feature"))
        frame = pd.concat([pd.DataFrame(pairs), each], axis=1)
        return self._with_own_columns(frame, np.tile(self.rows, n_test), columns)

    def plot(
        self, test: Any = None, row: Any = None, k: int = 10, ax: Any = None
    ) -> InfluenceDisplay:
        """Draw the (at most) k features of a training row that move a test row most.

        Parameters
        ----------
        test, row : label, optional
            Of the test row and of the training row; the first by default.
        k : int
        ax : matplotlib Axes, optional

        Returns
        -------
        InfluenceDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            For rows that are not there.
        """
        return InfluenceDisplay.from_input_influence(self, test, row, k).plot(ax=ax)

    # -------------------------------------------------------------------------------------- to read

    def _array(self) -> Array:
        return self.derivatives

    @property
    def _blue(self) -> int:
        return effect_words(kind_of(self.target), coming=True)[1]

    def _heading(self) -> str:
        n_test, n_rows, n_features = self.derivatives.shape
        return (
            f"InputInfluence: {number_of(n_features, 'feature')} of "
            f"{number_of(n_rows, 'training row')} on the {target_words(self.target)} of "
            f"{number_of(n_test, 'test row')}."
        )

    def _top(self) -> dict[str, Any]:
        sizes = np.abs(self.derivatives).ravel()
        top = np.argpartition(-sizes, min(LINES_SHOWN, len(sizes)) - 1)[:LINES_SHOWN]
        top = top[np.argsort(-sizes[top], kind="stable")]
        t, i, j = np.unravel_index(top, self.derivatives.shape)
        classes = {} if self.classes is None else {"class": self.classes[t]}
        table = {
            "test": self.test_labels[t],
            **classes,
            "row": self.row_labels[i],
            "position": self.rows[i],
            "feature": self.features[j],
            "derivative": self.derivatives[t, i, j],
        }
        return {name: plain(column) for name, column in table.items()}

    def _remarks(self) -> list[str]:
        shown, size = min(LINES_SHOWN, self.derivatives.size), self.derivatives.size
        meaning = "; positive = the feature, made larger, harms" if self.target == "loss" else ""
        return [
            f"derivative: {target_words(self.target)} per unit of the feature{meaning}.",
            f"The {shown} largest of {size:,} shown; to_frame() has all.",
        ]
