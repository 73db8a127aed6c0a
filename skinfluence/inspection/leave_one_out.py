"""Every training row under the model that never saw it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from skinfluence.typing import Array

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class LeaveOneOut:
    """Losses and predictions of the training rows, each by the model fitted without it.

    What `InfluenceClassifier.leave_one_out` returns.

    Attributes
    ----------
    losses : ndarray of shape (n_train,)
        Unweighted, in the unit of the loss (nats for the log loss, half the squared error).
    predictions : ndarray of shape (n_train,) or (n_train, n_outputs)
        What ``predict`` of these models says of their rows.
    probabilities : ndarray of shape (n_train, n_classes) or None
        What ``predict_proba`` says; None where the model has none.
    decisions : ndarray of shape (n_train,) or (n_train, K)
        Raw predictions: what ``decision_function`` says, or the linear predictor.
    parameters : ndarray of shape (n_train, n_params) or None
        Of every model, class-major with the intercept last in each block; None unless asked for.
    row_labels : ndarray of shape (n_train,)
        Index of the training frame, or positions.
    method : str
        "first_order", "newton" or "exact".

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skinfluence import InfluenceRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> left_out = InfluenceRegressor().fit(X, y).leave_one_out()
    >>> left_out
    LeaveOneOut(method='exact', n_train=442, score=1664)
    >>> left_out.predictions.shape, round(left_out.score())
    ((442,), 1664)
    """

    losses: Array
    predictions: Array
    probabilities: Array | None
    decisions: Array
    parameters: Array | None
    row_labels: Array
    method: str

    def __repr__(self) -> str:
        n_train = len(self.losses)
        return f"LeaveOneOut(method={self.method!r}, n_train={n_train}, score={self.score():.4g})"

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
        if sample_weight is None:
            return float(np.mean(self.losses))
        weights = np.asarray(sample_weight, dtype=np.float64)
        if weights.shape != self.losses.shape:
            raise ValueError(
                f"sample_weight of shape {weights.shape} was given; one weight per training row, "
                f"shape {self.losses.shape}, is accepted."
            )
        return float(np.average(self.losses, weights=weights))

    def to_frame(self) -> pd.DataFrame:
        """Return a row per training row, largest loss first.

        Returns
        -------
        pandas.DataFrame
            Under its label. Columns position, loss and prediction (prediction_0, ... for several
            outputs).

        Raises
        ------
        ImportError
            Without pandas.
        """
        import pandas as pd

        columns: dict[str, Array] = {
            "position": np.arange(len(self.losses)),
            "loss": self.losses,
        }
        # Labels of files of astronomers have the byte order that pandas refuses.
        predictions = self.predictions.astype(self.predictions.dtype.newbyteorder("="))
        if predictions.ndim == 1:
            columns["prediction"] = predictions
        else:
            for k, one in enumerate(predictions.T):
                columns[f"prediction_{k}"] = one
        frame = pd.DataFrame(columns, index=pd.Index(self.row_labels, name="row"))
        return frame.sort_values("loss", ascending=False, kind="stable")
