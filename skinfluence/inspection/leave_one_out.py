"""Every training row under the model that never saw it, and two models compared by that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from skinfluence.inspection.averages import mean, standard_error, with_error
from skinfluence.inspection.displays import RowsDisplay
from skinfluence.inspection.result import LINES_SHOWN, Origin, Result
from skinfluence.inspection.tables import number_of, pandas, plain
from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class LeaveOneOut(Result):
    """Losses and predictions of the training rows, each by the model fitted without it.

    What `InfluenceClassifier.leave_one_out` returns; as an array, the losses.

    Attributes
    ----------
    losses : ndarray of shape (n_train,)
        Unweighted, in the unit of the loss (nats for the log loss, half the squared error). nan for
        rows that no tree of a forest was grown without; they are in no mean.
    predictions : ndarray of shape (n_train,) or (n_train, n_outputs)
        What ``predict`` of these models says of their rows.
    probabilities : ndarray of shape (n_train, n_classes) or None
        What ``predict_proba`` says; None where the model has none. Of several labels a row, the
        probability of each; of several targets with more classes, those of all one after another.
    decisions : ndarray of shape (n_train,) or (n_train, K), or None
        Raw predictions: what ``decision_function`` says, or the linear predictor. None where they
        are the probabilities, as those of forests.
    parameters : ndarray of shape (n_train, n_params) or None
        Of every model, class-major with the intercept last in each block; None unless asked for.
    row_labels : ndarray of shape (n_train,)
        Index of the training frame, or positions.
    method : str
        "first_order", "newton", "exact" or, of bagged forests, "out_of_bag".
    targets : ndarray of the shape of `predictions`
        As they were given.
    given_probabilities : ndarray of the shape of `targets` or None
        Of several labels a row, the probability of each that was given.
    classes : ndarray of shape (n_classes,) or None
        Of the columns of `probabilities`; None for regressors and several targets a row.
    output_labels : ndarray of shape (n_outputs,) or None
        What several targets a row are called; None where there is one.
    loss : str
        Which loss, in words: what two models have to share to be compared.
    classifier : bool

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> left_out = InfluenceRegressor().fit(X, y).leave_one_out()
    >>> left_out.predictions.shape, round(left_out.score())
    ((442,), 1664)
    >>> left_out
    Leave-one-out of 442 rows (exact): mean half squared error 1664 +- 92
      row  given  predicted  residual   loss
      102    302        142       160  12862
      359    311        175       136   9310
      256    346        211       135   9051
       37    276        142       134   8941
        9    310        178       132   8671
      290    332        202       130   8465
       56     52        176      -124   7724
      404    293        171       122   7383
       92     48        169      -121   7283
    Shown are the 9 largest losses of 442: to_frame() has all.
    """

    losses: Array
    predictions: Array
    probabilities: Array | None
    decisions: Array | None
    parameters: Array | None
    row_labels: Array
    method: str
    targets: Array
    given_probabilities: Array | None = None
    classes: Array | None = None
    output_labels: Array | None = None
    loss: str = "loss"
    classifier: bool = False

    _bar: ClassVar[str | None] = "loss"

    def score(self, sample_weight: Any = None) -> float:
        """Return the leave-one-out risk: the mean loss of rows the model never saw.

        An almost unbiased estimate of the loss on new rows, for choosing C or alpha: smaller is
        better. Every row counts alike, rows of weight 0 too, unless weights are passed.

        Parameters
        ----------
        sample_weight : array-like of shape (n_train,), optional
            Weights of the rows in the mean.

        Returns
        -------
        float
            In the unit of the loss.

        Raises
        ------
        ValueError
            For weights of another length.
        """
        return float(mean(self.losses, sample_weight))

    def standard_error(self, sample_weight: Any = None) -> float:
        """Return the standard error of `score`: how far chance alone moves the mean of the losses.

        With m the mean and n the rows of positive weight, the root of

            n / (n - 1) * sum_i w_i^2 (loss_i - m)^2 / (sum_i w_i)^2,

        which is s / sqrt(n) where all weights are equal. It takes the losses as independent, which
        models that share all rows but two are not: it is too small where rows are few for the
        parameters, and no estimator is unbiased for every distribution (Bengio & Grandvalet 2004).
        Where one row hardly moves the model it is right as n grows (Bayle et al. 2020).

        Parameters
        ----------
        sample_weight : array-like of shape (n_train,), optional
            Weights of the rows in the mean.

        Returns
        -------
        float
            In the unit of the loss; NaN for a single row.

        Raises
        ------
        ValueError
            For weights of another length.

        References
        ----------
        Gatz, D. F. & Smith, L. (1995). The standard error of a weighted mean concentration.
        Atmospheric Environment 29(11). doi:10.1016/1352-2310(94)00210-C.
        Bengio, Y. & Grandvalet, Y. (2004). No unbiased estimator of the variance of k-fold
        cross-validation. JMLR 5.
        Bayle, P., Bayle, A., Janson, L. & Mackey, L. (2020). Cross-validation confidence intervals
        for test error. NeurIPS. arXiv:2007.12671.
        """
        return float(standard_error(self.losses, sample_weight))

    def compare(self, other: LeaveOneOut, sample_weight: Any = None) -> LeaveOneOutComparison:
        """Hold the losses of this model against those of another, row by row.

        The rows are the same, so that what is hard in them cancels: the difference of two scores is
        known far better than either.

        Parameters
        ----------
        other : LeaveOneOut
            Of the same rows, targets and loss.
        sample_weight : array-like of shape (n_train,), optional
            Weights of the rows in the means.

        Returns
        -------
        LeaveOneOutComparison

        Raises
        ------
        ValueError
            For other rows, other targets or another loss, weights of another length, and for
            trees over splits that saw the rows.
        """
        _refuse_unlike(self, other)
        differences = self.losses - other.losses
        return LeaveOneOutComparison(
            losses=np.column_stack([self.losses, other.losses]),
            difference=float(mean(differences, sample_weight)),
            standard_error=float(standard_error(differences, sample_weight)),
            row_labels=self.row_labels,
            loss=self.loss,
            origin=_both(self.origin, other.origin),
            given=self.given,
        )

    def to_frame(self, *, columns: Any = None) -> pd.DataFrame:
        """Return a line per training row, largest loss first.

        Parameters
        ----------
        columns : bool or list of names, optional
            Columns of the training rows to show beside; True is all of them, the target last.

        Returns
        -------
        pandas.DataFrame
            Columns row (its label), position, given, probability (of what was given, where the
            model has probabilities), predicted, residual (given - predicted, of regressors) and
            loss. Of several targets a row, "<target>: given", "<target>: predicted" and so on.

        Raises
        ------
        ImportError
            Without pandas.
        """
        order = self._largest_first()
        frame = pandas().DataFrame(self._columns(order))
        return self._with_own_columns(frame, order, columns)

    def plot(self, k: int = 5, ax: Any = None) -> RowsDisplay:
        """Draw all rows, and name the k with the largest loss.

        Of a regressor, what is predicted without the row against what was given; of a classifier
        the probability of the given label without the row, by rank. Where there is neither, or
        there are several targets a row, the loss by rank.

        Parameters
        ----------
        k : int
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        RowsDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        return RowsDisplay.from_result(self, k).plot(ax=ax)

    def _array(self) -> Array:
        return self.losses

    def _heading(self) -> str:
        n = len(self.losses)
        return f"Leave-one-out of {number_of(n, 'row')} ({self.method}): {self._mean_loss()}"

    def _mean_loss(self) -> str:
        return f"mean {self.loss} {with_error(self.score(), self.standard_error())}"

    def _top(self) -> Mapping[str, Sequence[Any]]:
        columns = self._columns(self._largest_first()[:LINES_SHOWN])
        if self.output_labels is not None:  # or the lines would be too long
            columns = {name: columns[name] for name in ("row", "loss")}
        return {name: plain(values) for name, values in columns.items() if name != "position"}

    def _remarks(self) -> list[str]:
        n, remarks = len(self.losses), []
        unknown = int(np.isnan(self.losses).sum())
        if self.classifier:
            wrong = int(self._wrong().sum())
            remarks.append(
                f"{wrong:,} of {n - unknown:,} rows are predicted wrong by the model without them."
            )
        if unknown:
            remarks.append(f"{unknown:,} of {n:,} rows were in every tree: nan, in no mean.")
        if n > LINES_SHOWN:
            remarks.append(
                f"Shown are the {LINES_SHOWN} largest losses of {n:,}: to_frame() has all."
            )
        return remarks

    def _largest_first(self) -> Array:
        return np.argsort(-self.losses, kind="stable")

    def _columns(self, rows: Array) -> dict[str, Array]:
        """Return what is known of some rows, by the names of the columns of a table."""
        known = {"given": self.targets}
        probability = self._probability()
        if probability is not None:
            known["probability"] = probability
        known["predicted"] = self.predictions
        if not self.classifier:
            known["residual"] = self.targets - self.predictions
        columns: dict[str, Array] = {"row": self.row_labels[rows], "position": rows}
        if self.output_labels is None:
            columns |= {name: values.ravel()[rows] for name, values in known.items()}
        else:
            for k, label in enumerate(self.output_labels.tolist()):
                columns |= {f"{label}: {name}": each[rows, k] for name, each in known.items()}
        return columns | {"loss": self.losses[rows]}

    def _probability(self) -> Array | None:
        """Return the probability of what was given, in the shape of the targets."""
        if self.probabilities is None or self.classes is None:
            return self.given_probabilities
        code = {label: k for k, label in enumerate(self.classes.tolist())}
        given = [code[label] for label in self.targets.ravel().tolist()]
        own: Array = self.probabilities[np.arange(len(given)), given]
        return own

    def _wrong(self) -> Array:
        """Return whether a row is predicted otherwise than given, in any of its targets."""
        n = len(self.losses)
        same = self.predictions.reshape(n, -1) == self.targets.reshape(n, -1)
        return ~np.all(same, axis=1) & ~np.isnan(self.losses)


@dataclass(frozen=True, eq=False, repr=False)
class LeaveOneOutComparison(Result):
    """Which of two models predicts rows it never saw better, and whether chance explains it.

    What `LeaveOneOut.compare` returns; as an array, the losses of the first minus those of the
    second, row by row.

    Attributes
    ----------
    losses : ndarray of shape (n_train, 2)
        Left-out losses of the first and the second model.
    difference : float
        Mean of the first minus mean of the second: negative = the first is better.
    standard_error : float
        Of the difference, as in `LeaveOneOut.standard_error`; over rows, so that what is hard in a
        row for both models is no part of it. ``difference / standard_error`` is the statistic of
        the paired t test.
    row_labels : ndarray of shape (n_train,)
    loss : str

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> weak, strong = (
    ...     InfluenceRegressor(Ridge(alpha=alpha)).fit(X, y).leave_one_out() for alpha in (0.1, 1.0)
    ... )
    >>> weak.compare(strong).better
    'first'
    """

    losses: Array
    difference: float
    standard_error: float
    row_labels: Array
    loss: str = "loss"

    _bar: ClassVar[str | None] = "difference"

    @property
    def better(self) -> str:
        """Which model is: "first", "second", or "neither" below two standard errors."""
        if not abs(self.difference) >= 2.0 * self.standard_error or self.difference == 0:
            return "neither"
        return "first" if self.difference < 0 else "second"

    def to_frame(self, *, columns: Any = None) -> pd.DataFrame:
        """Return a line per training row, largest difference first.

        Parameters
        ----------
        columns : bool or list of names, optional
            Columns of the training rows to show beside, those of the first model.

        Returns
        -------
        pandas.DataFrame
            Columns row (its label), position, first and second (the losses), and difference.

        Raises
        ------
        ImportError
            Without pandas.
        """
        order = self._largest_first()
        frame = pandas().DataFrame(self._columns(order))
        return self._with_own_columns(frame, order, columns)

    def plot(self, k: int = 5, ax: Any = None) -> RowsDisplay:
        """Draw the losses of the second model against those of the first, and name k rows.

        Parameters
        ----------
        k : int
            Of the rows the two models differ on most.
        ax : matplotlib Axes, optional
            A new figure by default.

        Returns
        -------
        RowsDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        return RowsDisplay.from_comparison(self, k).plot(ax=ax)

    def _array(self) -> Array:
        differences: Array = self.losses[:, 0] - self.losses[:, 1]
        return differences

    def _heading(self) -> str:
        return (
            f"Leave-one-out of {number_of(len(self.losses), 'row')} by two models: mean "
            f"{self.loss} of the first minus the second "
            f"{with_error(self.difference, self.standard_error)}"
        )

    def _top(self) -> Mapping[str, Sequence[Any]]:
        columns = self._columns(self._largest_first()[:LINES_SHOWN])
        return {name: plain(values) for name, values in columns.items() if name != "position"}

    def _remarks(self) -> list[str]:
        ratio = abs(self.difference) / (self.standard_error or np.inf)
        if self.better == "neither":
            told = f"Neither is better: the difference is {ratio:.1f} standard errors, below 2."
        else:
            told = f"The {self.better} is better, by {ratio:.1f} standard errors."
        n = len(self.losses)
        more = [f"Shown are the {LINES_SHOWN} largest differences of {n:,}: to_frame() has all."]
        return [told, *(more if n > LINES_SHOWN else [])]

    def _largest_first(self) -> Array:
        return np.argsort(-np.abs(self._array()), kind="stable")

    def _columns(self, rows: Array) -> dict[str, Array]:
        first, second = self.losses[rows].T
        return {
            "row": self.row_labels[rows],
            "position": rows,
            "first": first,
            "second": second,
            "difference": first - second,
        }


def _both(one: Origin | None, other: Origin | None) -> Origin | None:
    """Return where a comparison comes from: two estimators, the rows of the first."""
    if one is None or other is None:
        return None
    known = [np.ravel(each.parameters) for each in (one, other) if each.parameters is not None]
    parameters = np.concatenate(known) if known else None
    return Origin((one.estimator, other.estimator), one.training, one.sample_weight, parameters)


def _refuse_unlike(one: LeaveOneOut, other: LeaveOneOut) -> None:
    """Refuse results whose losses are not of the same rows, targets and kind."""
    if assumed := one.assumed or other.assumed:
        raise ValueError(
            "Models of which one is of trees over their own splits were given, whose left-out "
            f"losses say nothing of how good it is. {assumed} Bagged forests, whose rows are "
            "left out by method='out_of_bag', and models that are no trees are accepted."
        )
    n_one, n_other = len(one.losses), len(other.losses)
    if n_one != n_other:
        raise ValueError(
            f"Two models of {n_one} and {n_other} training rows were given; models of the same "
            "rows are accepted. Fit both on the same rows."
        )
    if one.row_labels.tolist() != other.row_labels.tolist():
        raise ValueError(
            "Two models whose training rows have other labels were given; models of the same rows "
            "in the same order are accepted. Fit both on frames with one index, or both on arrays."
        )
    if one.loss != other.loss:
        raise ValueError(
            f"Two models with other losses were given, {one.loss} and {other.loss}, which have no "
            "common unit; models with the same loss are accepted. Compare what they predict: "
            "`predictions` and `probabilities` of both results."
        )
    if not np.array_equal(one.targets.reshape(n_one, -1), other.targets.reshape(n_one, -1)):
        raise ValueError(
            "Two models fitted on other targets were given; models of the same targets are "
            "accepted. Fit both on the same y."
        )
