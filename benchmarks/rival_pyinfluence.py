"""Scores of pyinfluence for a binary logistic regression; speed.py runs this where it is installed.

Its scores are first-order removals, in the units and with the sign of ours, without damping here.
"""

from __future__ import annotations

import argparse
import time
import warnings
from importlib.metadata import version

import numpy as np
from pyinfluence import InfluenceFunctions
from sklearn.linear_model import LogisticRegression


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("given")
    parser.add_argument("found")
    parser.add_argument("--cpu", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    clock = time.process_time if args.cpu else time.perf_counter
    data = np.load(args.given)
    X, y, X_test, y_test = (data[name] for name in ("X", "y", "X_test", "y_test"))
    fitted = LogisticRegression(C=float(data["C"]))
    fitted.classes_ = np.unique(y)
    fitted.coef_, fitted.intercept_ = data["coef"], data["intercept"]
    fitted.n_features_in_, fitted.n_iter_ = X.shape[1], np.array([1])
    start = clock()
    scores = InfluenceFunctions(damping=0.0).fit(fitted, X, y).explain(X_test, y_test)
    seconds = clock() - start
    np.savez(
        args.found,
        scores=scores[data["sample"]],
        seconds=seconds,
        version=version("pyinfluence"),
    )


if __name__ == "__main__":
    main()
