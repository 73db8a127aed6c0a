"""A demonstration: a report and an audit of data that come with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer

from skinfluence.command.columns import columns_of
from skinfluence.command.rows import Rows
from skinfluence.command.targets import Target
from skinfluence.typing import Array

N_SWAPPED = 12


def swapped_labels() -> tuple[Rows, Array]:
    """Return breast cancer data, some labels of which are wrong, and the rows where they are.

    Returns
    -------
    examples : Rows
    rows : ndarray of int
        Positions, which are also what the rows are called.
    """
    X, codes = load_breast_cancer(return_X_y=True, as_frame=True)
    X.index.name = "row"
    rows = np.sort(np.random.default_rng(0).choice(len(X), N_SWAPPED, replace=False))
    codes[rows] = 1 - codes[rows]
    y: Any = codes.map({0: "malignant", 1: "benign"}).rename("diagnosis")
    target = Target("diagnosis", ("benign", "malignant"))
    return Rows("breast cancer data", X, y, columns_of(X, "diagnosis"), target), rows
