"""What removing each training row does to the coefficients of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skinfluence.inspection.displays import InfluenceDisplay
from skinfluence.inspection.result import LINES_SHOWN, Result
from skinfluence.inspection.tables import at_most, beside, cut, number_of, pandas, plain
from skinfluence.process.row_names import listed, near
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class ParameterInfluence(Result):
    """Predicted changes of coefficients by the removal of each training row.

    What `InfluenceClassifier.parameter_influence` returns.

    Attributes
    ----------
    changes : ndarray of shape (n_train, n_coefficients)
        Coefficient without the row minus that with it, in the unit of the coefficient.
        ``np.asarray`` gives them.
    coefficients : ndarray of str, shape (n_coefficients,)
        Names of the features that the final step sees, and "intercept"; after their class or output
        where there are several: "setosa: petal width".
    values : ndarray of shape (n_coefficients,)
        The fitted coefficients, which the changes are changes of.
    row_labels : ndarray of shape (n_train,)
        Index of the training frame, or positions.
    method : str
        "first_order", "newton" or "exact", whichever was used.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import LinearRegression
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> model = InfluenceRegressor(LinearRegression()).fit(X, y)
    >>> influence = model.parameter_influence(coefficients="bmi")
    >>> influence.to_frame(k=2).round(2)
       row  position   bmi
    0  256       256 -0.20
    1  417       417  0.15
    """

    changes: Array
    coefficients: Array
    values: Array
    row_labels: Array
    method: str

    _bar: ClassVar[str | None] = "change"

    def to_frame(self, k: int | None = None, *, columns: Any = None) -> pd.DataFrame:
        """Return a line for each training row, largest change first.

        Over several coefficients that is the root of the summed squares of its changes, each in
        units of the root mean square of that coefficient's.

        Parameters
        ----------
        k : int, optional
            At most this many rows; all by default.
        columns : True or names, optional
            Columns of the training rows, as they were given to `fit`, to show beside.

        Returns
        -------
        DataFrame
            Columns ``row`` (its label), ``position``, and one for every coefficient, by its name;
            that of a feature called row is "row (coefficient)".

        Raises
        ------
        ImportError
            Without pandas.
        ValueError
            For a name that no column of the training rows has.
        """
        pd = pandas()
        order = self._order(slice(None))[: at_most(k)]
        named = pd.DataFrame({"row": plain(self.row_labels[order]), "position": order})
        names = beside(self.coefficients, named.columns, "coefficient")
        changes = pd.DataFrame(self.changes[order], columns=names)
        frame = pd.concat([named, changes], axis=1)
        return self._with_own_columns(frame, order, columns)

    def plot(self, coefficient: Any = None, k: int = 10, ax: Any = None) -> InfluenceDisplay:
        """Draw the (at most) k rows that change one coefficient most.

        Parameters
        ----------
        coefficient : str or int, optional
            Its name, or its position in `coefficients`; the first by default.
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
            For a coefficient that is not there.
        """
        return InfluenceDisplay.from_parameter_influence(self, coefficient, k).plot(ax=ax)

    def _at(self, coefficient: Any) -> int:
        """Return the position of a coefficient of these."""
        if coefficient is None:
            return 0
        n = len(self.coefficients)
        if isinstance(coefficient, str):
            found = np.flatnonzero(self.coefficients == coefficient)
            if len(found):
                return int(found[0])
            of_classes = [name for name in self.coefficients if name.endswith(f": {coefficient}")]
            if of_classes:
                raise ValueError(
                    f"coefficient={coefficient!r} was given, of which there are several; one of "
                    f"{listed(of_classes[:20])} is accepted."
                )
        elif 0 <= coefficient < n:
            return int(coefficient)
        such = near(coefficient, self.coefficients) or self.coefficients[:3].tolist()
        raise ValueError(
            f"coefficient={coefficient!r} was given; names such as "
            f"{listed(such)}, or positions from 0 to {n - 1}, are accepted."
        )

    def _order(self, at: Any) -> Array:
        """Return all rows, that of the largest change first, of one coefficient or of several."""
        D = self.changes[:, at].reshape(len(self.changes), -1)
        sizes = np.abs(D[:, 0])
        if D.shape[1] > 1:
            typical = np.sqrt(np.mean(D**2, axis=0))
            sizes = np.linalg.norm(D / np.where(typical > 0, typical, 1.0), axis=1)
        order: Array = np.argsort(-sizes, kind="stable")
        return order

    # -------------------------------------------------------------------------------------- to read

    def _array(self) -> Array:
        return self.changes

    @property
    def _blue(self) -> int:
        return -1  # the row raises what falls without it

    def _heading(self) -> str:
        n, p = self.changes.shape
        what = f"{p:,} coefficients"
        if p == 1:
            what = f"the coefficient {cut(self.coefficients[0])}, {self.values[0]:.4g}"
        return (
            f"ParameterInfluence: removing each of {number_of(n, 'training row')} on {what} "
            f"(method {self.method})."
        )

    def _top(self) -> dict[str, Any]:
        if len(self.coefficients) == 1:
            rows = self._order(0)[:LINES_SHOWN]
            table = {
                "row": self.row_labels[rows],
                "position": rows,
                "change": self.changes[rows, 0],
            }
        else:
            at = np.arange(min(LINES_SHOWN, len(self.coefficients)))
            rows = np.abs(self.changes[:, at]).argmax(axis=0)
            table = {
                "coefficient": self.coefficients[at],
                "fitted": self.values[at],
                "row": self.row_labels[rows],
                "position": rows,
                "change": self.changes[rows, at],
            }
        return {name: plain(column) for name, column in table.items()}

    def _remarks(self) -> list[str]:
        n, p = self.changes.shape
        if p == 1:
            shown = f"The {min(LINES_SHOWN, n)} largest of {n:,} changes shown; to_frame() has all."
        else:
            shown = (
                f"{min(LINES_SHOWN, p)} of {p:,} coefficients shown, each with the row that "
                "changes it most; to_frame() has all, plot(coefficient) draws one."
            )
        return ["change: the coefficient without the row minus that with it.", shown]
