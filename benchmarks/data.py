"""Data that several benchmarks share, from the folder that SKINFLUENCE_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def folder():
    """Return the folder with the data sets, or None."""
    named = os.environ.get("SKINFLUENCE_DATA")
    return Path(named) if named and Path(named).is_dir() else None


def table(name):
    """Return a data set as a frame.

    Raises
    ------
    FileNotFoundError
        Without the folder, or the file in it.
    """
    import pandas as pd

    if folder() is None or not (folder() / f"{name}.csv.gz").exists():
        raise FileNotFoundError(
            f"SKINFLUENCE_DATA={os.environ.get('SKINFLUENCE_DATA')!r} has no {name}.csv.gz; a "
            "folder with the data sets is accepted. Set it, or choose other tables with --only."
        )
    return pd.read_csv(folder() / f"{name}.csv.gz", keep_default_na=False)


def digits(labels):
    """Return the training and test rows of MNIST with these labels, in 0 to 1; None without."""
    if folder() is None or not (folder() / "mnist.npz").exists():
        return None
    data = np.load(folder() / "mnist.npz")
    train, test = np.isin(data["y_train"], labels), np.isin(data["y_test"], labels)
    return (
        data["X_train"][train] / 255.0,
        data["y_train"][train],
        data["X_test"][test] / 255.0,
        data["y_test"][test],
    )


def ones_and_sevens():
    """Return MNIST 1 versus 7, or synthetic rows of the same shape, and a name."""
    found = digits((1, 7))
    if found is not None:
        return *found, "MNIST 1 v 7"
    rng = np.random.default_rng(0)
    X = rng.standard_normal((13_007 + 2_163, 784)) * (rng.random((13_007 + 2_163, 784)) < 0.2)
    y = (X[:, :20].sum(axis=1) + rng.standard_normal(len(X)) > 0).astype(int)
    return X[:13_007], y[:13_007], X[13_007:], y[13_007:], "synthetic"
