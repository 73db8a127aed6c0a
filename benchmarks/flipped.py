"""Seven data sets, and labels of theirs flipped by construction."""

from __future__ import annotations

import numpy as np
from data import digits, table
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

N = 2_000
"""Rows of the tables, drawn at random."""

FLIPS = {"3 %": 0.03, "10 %": 0.1, "10 % by class": 0.1}


def adult():
    import pandas as pd

    frame = table("adult")
    frame = frame[frame["split"] == "train"].sample(N, random_state=0)
    columns = pd.get_dummies(frame.drop(columns=["income", "split"])).astype(float)
    columns = columns.loc[:, (columns != 0).sum() >= 10]
    return columns.to_numpy(), frame["income"].str.contains(">").to_numpy(int)


def enron():
    frame = table("enron1_spam").drop_duplicates("text").sample(N, random_state=0)
    words = TfidfVectorizer(max_features=1_000, sublinear_tf=True)
    return words.fit_transform(frame["text"]), (frame["label"] == "spam").to_numpy(int)


def mnist():
    found = digits(range(10))
    if found is None:
        raise FileNotFoundError("SKINFLUENCE_DATA has no mnist.npz")
    rows = np.random.default_rng(0).permutation(len(found[1]))[:3_000]
    return PCA(40, random_state=0).fit_transform(found[0][rows]), found[1][rows].astype(int)


def spambase():
    frame = table("spambase").sample(N, random_state=0)
    return np.log1p(frame.iloc[:, :-1].to_numpy(float)), frame.iloc[:, -1].to_numpy(int)


def wine():
    frame = table("wine_quality").sample(N, random_state=0)
    good = (frame.pop("quality") >= 6).to_numpy(int)
    return frame.assign(color=frame["color"] == "red").to_numpy(float), good


SETS = {
    "adult": adult,
    "breast cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "enron": enron,
    "mnist": mnist,
    "spambase": spambase,
    "wine": wine,
}


def logistic(name):
    """Return the model of a data set."""
    if name == "enron":
        return LogisticRegression(C=10, max_iter=2_000)
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))


def flipped(y, how, seed):
    """Return the labels, some of them flipped.

    Parameters
    ----------
    y : ndarray of int
    how : str
        A key of `FLIPS`: a share of the rows at random, to any other class; or by class, each at a
        rate of its own, to the next one: 3 and 17 % of two classes, 0 to 20 % of more.
    seed : int
    """
    rng, n_classes, given = np.random.default_rng(seed), y.max() + 1, y.copy()
    if how.endswith("by class"):
        rates = np.linspace(0.0, 0.2, n_classes) if n_classes > 2 else np.array([0.03, 0.17])
        rows = np.flatnonzero(rng.random(len(y)) < rng.permutation(rates)[y])
        steps = 1
    else:
        rows = rng.choice(len(y), round(FLIPS[how] * len(y)), replace=False)
        steps = rng.integers(1, n_classes, len(rows))
    given[rows] = (y[rows] + steps) % n_classes
    return given
