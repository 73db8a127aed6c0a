"""Relative error of one unguarded Newton step against tight refits, by leverage and by shift."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
from sklearn.linear_model import LogisticRegression

from skinfluence import InfluenceClassifier
from skinfluence.process.tuning import tuned

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


def main():
    warnings.simplefilter("ignore")
    pooled = {}
    with tuned(trusted_shift=np.inf):  # the step itself, without its guard
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


if __name__ == "__main__":
    main()
