"""Relative error of one unguarded Newton step against tight refits, by leverage and by shift.

Then what the guard leaves: of the effects (norms over 60 rows, on the raw predictions of every
class) above a twentieth of the largest, the worst relative error of those that are not named,
against exact minima; CPU seconds of all steps with the guard and without.
"""

from __future__ import annotations

import time
import warnings
from itertools import pairwise

import numpy as np
from data import table
from sklearn import datasets
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import HuberRegressor, LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import scale
from sklearn.svm import LinearSVC, LinearSVR

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.process.tuning import tuned
from skinfluence.removal import Edits, newton

BINS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, np.inf)


def problems():
    """Yield (name, X, y, X_test, y_test, C): few rows a parameter, weak and no penalty."""
    for seed in range(3):
        for C in (1.0, 10.0):
            rng = np.random.default_rng(seed)
            X = rng.standard_normal((190, 60))
            rule = 2.0 * rng.standard_normal(60) / np.sqrt(60)
            y = (rng.random(190) < 1.0 / (1.0 + np.exp(-X @ rule))).astype(int)
            yield f"binary, n = 150, p = 60, C = {C:g}", X[:150], y[:150], X[150:], y[150:], C
        for C in (0.3, np.inf):
            rng = np.random.default_rng(seed)
            X = rng.standard_normal((140, 4))
            raw = X @ rng.standard_normal((4, 3)) + 2.0 * rng.standard_normal((140, 3))
            y = raw.argmax(axis=1)
            yield f"three classes, n = 100, p = 4, C = {C:g}", X[:100], y[:100], X[100:], y[100:], C


def rows_of(X, y, X_test, y_test, C):
    """Return shift, leverage, norm of the error and norm of the actual change of every row."""

    def fit(kept):
        return LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000).fit(
            X[kept], y[kept]
        )

    def losses(model):
        codes = np.searchsorted(model.classes_, y_test)
        return -model.predict_log_proba(X_test)[np.arange(len(codes)), codes]

    model = InfluenceClassifier(fit(np.arange(len(X)))).fit(X, y)
    scores = model.influence_scores(X_test, y_test)
    removal = model._current().mechanism("auto").removal("newton")
    base = losses(fit(np.arange(len(X))))
    actual = np.column_stack(
        [losses(fit(np.delete(np.arange(len(X)), i))) - base for i in range(len(X))]
    )
    off = np.linalg.norm(scores - actual, axis=0)
    size = np.linalg.norm(actual, axis=0)
    return np.abs(removal.own_shift).max(axis=1), removal.leverage, off, size


def tight(kind, **params):
    return kind(dual=False, tol=1e-8, max_iter=100_000, **params)


CLASSIFIERS = {
    **{f"LinearSVC, C = {C:g}": tight(LinearSVC, C=C) for C in (0.01, 0.1, 1.0, 10.0)},
    "one versus the rest": OneVsRestClassifier(tight(LinearSVC)),
    "modified Huber": SGDClassifier("modified_huber", alpha=1e-2, random_state=0),
    "logistic": LogisticRegression(tol=1e-8, max_iter=10_000),
    "logistic, C = 100": LogisticRegression(C=100.0, tol=1e-8, max_iter=10_000),
}
REGRESSORS = {
    **{
        f"LinearSVR, epsilon = {e:g}": tight(
            LinearSVR, epsilon=e, loss="squared_epsilon_insensitive"
        )
        for e in (0.1, 0.5, 1.0)
    },
    "HuberRegressor": HuberRegressor(max_iter=10_000, tol=1e-8),
    "Huber's loss": SGDRegressor("huber", epsilon=0.3, alpha=1e-3, random_state=0),
}


def simulated(n_classes):
    return datasets.make_classification(
        600, 20, n_informative=8, n_classes=n_classes, flip_y=0.1, random_state=0
    )


def messages():
    frame = table("sms_spam").sample(1500, random_state=0)
    return TfidfVectorizer(min_df=2).fit_transform(frame["text"]), frame["label"].to_numpy()


def mail():
    frame = table("spambase").sample(1500, random_state=0).to_numpy(float)
    return np.log1p(frame[:, :-1]), frame[:, -1]


def incomes():
    import pandas as pd

    frame = table("adult").sample(3000, random_state=0)
    X = pd.get_dummies(frame.iloc[:, :-1]).to_numpy(float)
    return X[:, X.std(axis=0) > 0], frame.iloc[:, -1].to_numpy()


SETS = {
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "digits": lambda: [part[:600] for part in datasets.load_digits(return_X_y=True)],
    "two classes": lambda: simulated(2),
    "five classes": lambda: simulated(5),
    "Adult": incomes,
    "Spambase": mail,
    "SMS": messages,
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "friedman1": lambda: datasets.make_friedman1(300, random_state=0),
}


def what_passes(name, estimator):
    """Return rows, guarded rows, the worst error passed, and CPU seconds with and without."""
    X, y = SETS[name]()
    X = X if name in ("SMS", "digits") else scale(X)
    rows = np.linspace(0, X.shape[0] - 1, 60).astype(int)
    numbers, labels = estimator in REGRESSORS.values(), None
    model = (InfluenceRegressor if numbers else InfluenceClassifier)(estimator)
    model.fit(X, scale(y) if numbers else y)
    if not numbers and len(np.unique(y)) > 2:
        labels, rows = np.repeat(np.unique(y), len(rows)), np.tile(rows, len(np.unique(y)))
    asked = {"target": "linear_predictor" if numbers else "decision_function"}
    actual = model.influence_scores(X[rows], labels, method="exact", **asked)
    mechanism = model._current().mechanism("newton")
    edits, seconds = Edits(mechanism.objective), []
    for guard in (True, False):
        start = time.process_time()
        newton(edits, mechanism.factor, mechanism.solving.factorize, guard=guard)
        seconds.append(time.process_time() - start)
    found = model.influence(X[rows], labels, method="newton", **asked)
    off, size = (np.linalg.norm(a, axis=0) for a in (found.scores - actual, actual))
    large = np.setdiff1d(np.flatnonzero(size > size.max() / 20.0), found.guarded_rows)
    worst = np.max(off[large] / size[large], initial=0.0)
    return X.shape[0], len(found.guarded_rows), worst, *seconds


def print_what_passes():
    print(f"\n{'':38} rows   guarded   worst   CPU s   unguarded")
    for name in SETS:
        kinds = REGRESSORS if name in ("diabetes", "friedman1") else CLASSIFIERS
        for kind, estimator in kinds.items():
            try:
                n, guarded, worst, *seconds = what_passes(name, estimator)
            except FileNotFoundError:
                break
            line = f"{name + ', ' + kind:38} {n:4d}   {guarded:7d}   {worst:5.3f}"
            print(f"{line}   {seconds[0]:5.3f}       {seconds[1]:5.3f}")


def main():
    warnings.simplefilter("ignore")
    pooled = {}
    with tuned(trusted_shift=np.inf, negligible_step=np.inf):  # the step itself, without its guard
        for name, *problem in problems():
            pooled.setdefault(name, []).append(rows_of(*problem))
    for name, parts in pooled.items():
        shift, leverage, off, size = (np.concatenate(values) for values in zip(*parts, strict=True))
        counted = (size > 0.02 * size.max()) & np.isfinite(off)
        print(f"\n{name} (rows that matter: {counted.sum()})")
        print("  shift of own prediction   rows   leverage      error: median   largest")
        for low, high in pairwise(BINS):
            here = counted & (shift >= low) & (shift < high)
            if np.any(here):
                error = off[here] / size[here]
                print(
                    f"  {low:5.2f} to {high:5.2f}            {here.sum():6d}   "
                    f"{leverage[here].min():.2f} to {leverage[here].max():.2f}"
                    f"        {np.median(error):.3f}     {error.max():.3f}"
                )
    print_what_passes()


if __name__ == "__main__":
    main()
