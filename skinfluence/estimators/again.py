"""The same estimator fitted again on some of its rows: what an audit judges rows by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone

from skinfluence.adapters import is_frozen
from skinfluence.estimators.base import FittedWrapper
from skinfluence.questions.deletion import without
from skinfluence.questions.fitted import Fitted
from skinfluence.retraining import take_columns, take_params, take_rows
from skinfluence.typing import Array


@dataclass(frozen=True)
class Refit:
    """Fits a wrapper on some of the rows."""

    model: FittedWrapper
    X: Any
    y: Any
    fit_params: dict[str, Any]

    def __call__(self, rows: Array) -> Fitted:
        """Return the wrapper fitted on rows, by their positions."""
        X = take_columns(self.model, take_rows(self.X, rows), rows)
        params = take_params(self.fit_params, rows, len(self.y))
        return clone(self.model).fit(X, take_rows(self.y, rows), **params)._current()


@dataclass(frozen=True)
class Reduced:
    """Takes rows out of a model that came fitted, and is not to be fitted again."""

    fitted: Fitted

    def __call__(self, rows: Array) -> Fitted:
        """Return the model with these rows alone, by their positions."""
        gone = np.delete(np.arange(self.fitted.n_train), rows)
        try:
            return without(self.fitted, positions=gone)[0]
        except ValueError as error:
            raise ValueError(
                f"LabelAudit was given a {type(self.fitted.final).__name__} that is fitted "
                f"already, and could not take {len(gone)} rows out of it. Pass the estimator "
                f"itself, to be fitted without them. {error}"
            ) from error


def again(model: FittedWrapper, fitted: Fitted) -> Refit | Reduced:
    """Return what fits a fitted wrapper again, as it was fitted; what came fitted is reduced."""
    if is_frozen(fitted.estimator):
        return Reduced(fitted)
    return Refit(model, fitted.raw.X, fitted.raw.y, fitted.fit_params)
