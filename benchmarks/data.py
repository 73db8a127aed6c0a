"""Data that several benchmarks share, from the folder that SKINFLUENCE_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.preprocessing import normalize


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


def digits(labels, fetch=False):
    """Return the training and test rows of MNIST with these labels, in 0 to 1; None without.

    Where the folder has none, `fetch` looks for them at OpenML.
    """
    if folder() is None or not (folder() / "mnist.npz").exists():
        found = openml() if fetch else None
        if found is None:
            return None
        X, y = found
        X_train, y_train, X_test, y_test = X[:60_000], y[:60_000], X[60_000:], y[60_000:]
    else:
        data = np.load(folder() / "mnist.npz")
        X_train, y_train, X_test, y_test = (
            data[name] for name in ("X_train", "y_train", "X_test", "y_test")
        )
    train, test = np.isin(y_train, labels), np.isin(y_test, labels)
    return X_train[train] / 255.0, y_train[train], X_test[test] / 255.0, y_test[test]


def openml():
    """Return MNIST from OpenML, in its original order; None where it cannot be reached."""
    from sklearn.datasets import fetch_openml

    try:
        X, y = fetch_openml("mnist_784", version=1, as_frame=False, return_X_y=True, n_retries=1)
    except (OSError, ValueError):
        return None
    return X, y.astype(int)


def ones_and_sevens(fetch=False):
    """Return MNIST 1 versus 7, or synthetic rows of the same shape, and a name."""
    found = digits((1, 7), fetch)
    if found is not None:
        return *found, "MNIST 1 v 7"
    rng = np.random.default_rng(0)
    X = rng.standard_normal((13_007 + 2_163, 784)) * (rng.random((13_007 + 2_163, 784)) < 0.2)
    y = (X[:, :20].sum(axis=1) + rng.standard_normal(len(X)) > 0).astype(int)
    return X[:13_007], y[:13_007], X[13_007:], y[13_007:], "synthetic"


def ten_digits(fetch=False):
    """Return MNIST, or synthetic rows of the same shape, and a name."""
    found = digits(range(10), fetch)
    if found is not None:
        return *found, "MNIST"
    rng = np.random.default_rng(0)
    X = rng.random((70_000, 784)) * (rng.random((70_000, 784)) < 0.2)
    y = np.argmax(X @ rng.standard_normal((784, 10)) + rng.gumbel(size=(70_000, 10)), axis=1)
    return X[:60_000], y[:60_000], X[60_000:], y[60_000:], "synthetic"


def words(max_features=None):
    """Return 1-2-grams of Enron, or sparse synthetic rows of about the same shape, and a name.

    The first 100 rows, shuffled, are also the test rows.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        frame = table("enron1_spam")
    except (FileNotFoundError, ImportError):
        X, y = synthetic_words(5_172, max_features or 300_000)
        return X, y, "synthetic text"
    order = np.random.default_rng(0).permutation(len(frame))
    grams = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, max_features=max_features)
    X = grams.fit_transform(frame["text"]).tocsr()[order]
    return X, (frame["label"] == "spam").to_numpy()[order], "Enron"


def synthetic_words(n, p, per_row=217):
    """Return sparse rows of words whose frequencies fall as 1 / rank."""
    rng = np.random.default_rng(0)
    columns = np.minimum((p ** rng.random((n, per_row))).astype(int), p) - 1
    X = sparse.csr_matrix(
        (np.ones(n * per_row), columns.ravel(), np.arange(0, n * per_row + 1, per_row)), (n, p)
    )
    X.sum_duplicates()
    y = X @ rng.standard_normal(p) > 0
    return normalize(X), y
