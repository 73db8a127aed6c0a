"""Data that several benchmarks share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def ones_and_sevens():
    """Return MNIST 1 versus 7, or synthetic rows of the same shape, and a name."""
    folder = os.environ.get("SKINFLUENCE_DATA")
    if folder and (Path(folder) / "mnist.npz").exists():
        data = np.load(Path(folder) / "mnist.npz")
        train, test = np.isin(data["y_train"], (1, 7)), np.isin(data["y_test"], (1, 7))
        return (
            data["X_train"][train] / 255.0,
            data["y_train"][train],
            data["X_test"][test] / 255.0,
            data["y_test"][test],
            "MNIST 1 v 7",
        )
    rng = np.random.default_rng(0)
    X = rng.standard_normal((13_007 + 2_163, 784)) * (rng.random((13_007 + 2_163, 784)) < 0.2)
    y = (X[:, :20].sum(axis=1) + rng.standard_normal(len(X)) > 0).astype(int)
    return X[:13_007], y[:13_007], X[13_007:], y[13_007:], "synthetic"
