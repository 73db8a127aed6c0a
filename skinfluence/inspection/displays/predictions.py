"""What a model predicts around a row, by one or two of its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skinfluence.typing import Array

GRID = 160
"""Points of each feature at which a model predicts."""


def with_room(values: Array, at: float) -> tuple[float, float]:
    """Return the ends of an axis that shows all values and one more, with some room."""
    every = np.append(values, at)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    room = 0.04 * ((high - low) or 1.0)
    return low - room, high + room


def prediction_around(
    model: Any,
    X: Any,
    row: int,
    columns: Sequence[int],
    n_features: int,
    ends: Sequence[tuple[float, float]],
) -> dict[str, Any]:
    """Return what is predicted where one or two features vary, the others as they are of a row.

    Parameters
    ----------
    model : fitted estimator
    X : array-like
    row : int
        Position of the row.
    columns : sequence of int
        Positions of the features: two for a classifier, one for a regressor.
    n_features : int
        How many the rows have.
    ends : sequence of tuple (low, high)
        Between which each feature varies.

    Returns
    -------
    dict
        ``boundary`` or ``line``, and ``predicted``, as `FeaturesDisplay` takes them; nothing for
        two features of a regressor.
    """
    rest = "" if n_features == len(columns) else ", rest as of the test row"
    x = np.linspace(*ends[0], num=GRID)
    if len(columns) == 1:
        values = np.ravel(model.predict(repeated(X, row, GRID, {columns[0]: x})))
        return {"line": (x, values), "predicted": f"prediction{rest}"}
    if getattr(model, "classes_", None) is None:
        return {}
    y = np.linspace(*ends[1], num=GRID)
    across, up = np.meshgrid(x, y)
    varied = dict(zip(columns, (across.ravel(), up.ravel()), strict=True))
    labels = model.predict(repeated(X, row, across.size, varied))
    codes = np.unique(labels, return_inverse=True)[1].reshape(across.shape)
    return {"boundary": (x, y, codes), "predicted": f"boundary of classes{rest}"}


def repeated(X: Any, row: int, n: int, varied: dict[int, Array] | None = None) -> Any:
    """Return n copies of a row, of the type it came in, with other values in some columns.

    Parameters
    ----------
    X : array-like, sparse matrix or frame
    row : int
        Position of the row.
    n : int
    varied : dict from int to ndarray of shape (n,), optional
        Values by the positions of columns.
    """
    varied = {} if varied is None else varied
    if hasattr(X, "iloc"):
        rows = X.iloc[[row] * n].reset_index(drop=True)
        for at, values in varied.items():
            rows[X.columns[at]] = values
        return rows
    one = X.tocsr()[[row]].toarray() if hasattr(X, "tocsr") else np.asarray(X)[[row]]
    rows = np.repeat(one, n, axis=0)
    if varied:
        rows = rows.astype(np.float64)
    for at, values in varied.items():
        rows[:, at] = values
    return rows
