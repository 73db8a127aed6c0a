"""Time of scores over the floor: the products that cannot be avoided."""

from __future__ import annotations

import os
import statistics
import time

import numpy as np
from data import ones_and_sevens
from scipy import linalg
from sklearn.linear_model import LogisticRegression

from skinfluence import InfluenceClassifier

REPEATS = 5


def weighted_gram(X):
    """Return X' D X as numpy does it best: one scaled copy, one symmetric product."""
    Z = X * 0.5
    return Z.T @ Z


def main():
    X, y, X_test, y_test, name = ones_and_sevens()
    estimator = LogisticRegression(C=1.0 / (0.01 * len(X)), tol=1e-6, max_iter=1000)
    times: dict[str, list[float]] = {}

    def record(label, function, *args, **kwargs):
        start = time.perf_counter()
        result = function(*args, **kwargs)
        times.setdefault(label, []).append(time.perf_counter() - start)
        return result

    for _ in range(REPEATS):
        gram = record("floor: X'DX", weighted_gram, X)
        gram[np.diag_indices_from(gram)] += 100.0
        factor = record("floor: factor", linalg.cho_factor, gram, lower=True)
        T = record("floor: solve", linalg.cho_solve, factor, X_test.T)
        record("floor: X S", np.matmul, X, T)
        model = record("fit", InfluenceClassifier(estimator).fit, X, y)
        record("prepare: adapt, refine, factor", model._engine)
        for label, method in (("first order", "first_order"), ("newton", "newton")):
            record(label, model.influence_scores, X_test, y_test, method=method)
    medians = {label: statistics.median(values) for label, values in times.items()}
    floor = sum(value for label, value in medians.items() if label.startswith("floor"))
    prepare = medians["prepare: adapt, refine, factor"]
    print(f"{name}: {X.shape[0]:,} x {X.shape[1]} training rows, {len(X_test):,} test rows")
    print(f"medians of {REPEATS} runs, numpy {np.__version__}, {os.cpu_count()} cores\n")
    for label, value in medians.items():
        print(f"{label:32s} {value:8.3f} s")
    print(f"\n{'floor':32s} {floor:8.3f} s   1.00")
    for label in ("first order", "newton"):
        total = prepare + medians[label]
        print(f"{'all of ' + label:32s} {total:8.3f} s   {total / floor:.2f} x floor")


if __name__ == "__main__":
    main()
