"""What `validation_audit` promises, on fresh data: coverage of its errors, and what it advises.

For each seed a model is fitted on training rows, the 20 worst of which are dropped (or relabelled)
by an audit on validation rows, and then by refits of scikit-learn, whose mean loss on fresh rows
changes by so much. Adult (logistic regression on scaled one-hot columns), breast cancer, and the
digits 1 and 7 of MNIST (50 components), with clean labels and a tenth of the training labels
flipped; validation and fresh labels are as they are. Adult and MNIST from the folder that
SKINFLUENCE_DATA names. Columns:

fresh        mean change of the mean log loss on fresh rows, by refits without these rows
cross-fitted mean of what the audit says, on rows that did not choose; in-sample on those that did
s.e.         mean standard error of the audit, and beside it the actual spread of cross-fitted minus
             fresh, less what is due to the fresh rows
covered      seeds within two standard errors (the audit's and the test's, squares added); in
             brackets with the plain standard error over validation rows
advised      seeds in which the audit on its own numbers k advises any, and in how many of them the
             loss on fresh rows fell by that
harmful      rows that are significantly harmful: median and largest over seeds
fits         CPU seconds of the audit over those of the fit of the Pipeline
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from time import process_time

import numpy as np
from data import digits, table
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, validation_audit

WORST = 20
"""Rows that are dropped or relabelled where coverage is counted."""


@dataclass
class Case:
    """Rows, what is fitted on them, and how many of them go where."""

    name: str
    X: np.ndarray
    y: np.ndarray
    before: tuple
    sizes: tuple

    def drawn(self, seed, flips):
        """Return training, validation and fresh rows, a part of the first with wrong labels."""
        rng = np.random.default_rng(seed)
        n_train, n_val, n_fresh = self.sizes
        order = rng.permutation(len(self.y))[: n_train + n_val + n_fresh]
        train, val, fresh = np.split(order, [n_train, n_train + n_val])
        y = self.y[train].copy()
        wrong = rng.permutation(n_train)[: int(flips * n_train)]
        y[wrong] = 1 - y[wrong]
        return (self.X[train], y), (self.X[val], self.y[val]), (self.X[fresh], self.y[fresh])


def cases(only):
    X, y = load_breast_cancer(return_X_y=True)
    yield Case("breast cancer", X, y, (StandardScaler(),), (200, 150, 219))
    if not only or "adult" in only:
        import pandas as pd

        frame = table("adult")
        y = frame["income"].str.contains(">").to_numpy().astype(int)
        X = pd.get_dummies(frame.drop(columns=["income", "split", "fnlwgt"])).to_numpy(np.float64)
        yield Case("Adult", X, y, (StandardScaler(),), (600, 200, 4000))
    if not only or "digits" in only:
        X, y, _, _ = digits([1, 7])
        components = PCA(50, random_state=0)
        yield Case("digits 1 and 7", X, (y == 7).astype(int), (components,), (600, 200, 4000))


def losses(steps, final, X, y):
    decisions = final.decision_function(steps.transform(X))
    return np.logaddexp(0.0, decisions) - y * decisions


def fresh_change(model, audit, rows, X, y):
    """Return the change of the loss of every fresh row, by a refit of the final step."""
    steps, data = model.estimator_[:-1], model._fitted.training
    keep, labels = np.ones(len(data.y), dtype=bool), np.array(data.y)
    if audit.action == "drop":
        keep[rows] = False
    else:
        labels[rows] = audit.new_targets[rows]
    tight = LogisticRegression(solver="newton-cholesky", tol=1e-9, max_iter=1000)
    full = clone(tight).fit(data.X, data.y)
    other = clone(tight).fit(data.X[keep], labels[keep])
    return losses(steps, other, X, y) - losses(steps, full, X, y)


def line(case, flips, action, n_seeds):
    """Return the cells of a line."""
    found = []
    for seed in range(n_seeds):
        (X, y), (X_val, y_val), (X_fresh, y_fresh) = case.drawn(seed, flips)
        pipeline = make_pipeline(*case.before, LogisticRegression(tol=1e-8, max_iter=5000))
        before = process_time()
        model = InfluenceClassifier(pipeline).fit(X, y)
        fitted = process_time()
        audit = validation_audit(model, X_val, y_val, action=action)
        ratio = (process_time() - fitted) / (fitted - before)
        at = audit.k.tolist().index(WORST)
        fresh = fresh_change(model, audit, audit.rows(WORST), X_fresh, y_fresh)
        helped = 0.0
        if audit.advice:
            helped = fresh_change(model, audit, audit.rows(), X_fresh, y_fresh).mean()
        plain = audit.effects[at].std(ddof=1) / np.sqrt(len(y_val))
        found.append(
            [
                fresh.mean(),
                fresh.std(ddof=1) / np.sqrt(len(fresh)),
                audit.change[at],
                audit.in_sample[at],
                audit.standard_error[at],
                plain,
                audit.advice > 0,
                helped,
                len(audit.harmful),
                ratio,
            ]
        )
    fresh, noise, change, in_sample, error, plain, advised, helped, harmful, fits = np.array(
        found
    ).T
    off = change - fresh
    spread = np.sqrt(max(np.mean(off**2) - np.mean(noise**2), 0.0))
    covered, plainly = (np.abs(off) <= 2.0 * np.hypot(each, noise) for each in (error, plain))
    return (
        f"{fresh.mean():+.3f}",
        f"{change.mean():+.3f}",
        f"{in_sample.mean():+.3f}",
        f"{error.mean():.3f} / {spread:.3f}",
        f"{covered.sum():.0f} ({plainly.sum():.0f})",
        f"{advised.sum():.0f}, {np.sum(helped < 0):.0f}",
        f"{np.median(harmful):g}, {harmful.max():g}",
        f"{np.median(fits):.2g}",
    )


HEADER = (
    "fresh",
    "cross-fitted",
    "in-sample",
    "s.e. / actual",
    "covered",
    "advised",
    "harmful",
    "fits",
)


def intro(n_seeds):
    versions = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "numpy", "scipy"))
    return (
        f"Printed by ``python benchmarks/validation_audit.py --rst``; {versions}; {n_seeds} "
        "seeds.\n"
        f"\n.. csv-table::\n   :header: data, {', '.join(HEADER)}\n"
        "   :widths: 28 9 10 9 13 10 9 9 5\n"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="*", default=[], help="of adult and digits, beside breast cancer")
    add("--seeds", type=int, default=40)
    add("--rst", action="store_true", help="print the table of the documentation")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.rst:
        print(intro(args.seeds))
    else:
        print(f"{'':<40s}" + "".join(f"{name:>15s}" for name in HEADER))
    for case in cases(args.only):
        for flips in (0.0, 0.1):
            for action in ("drop", "relabel"):
                doing = "dropped" if action == "drop" else "relabelled"
                name = f"{case.name}, {f'{flips:.0%} flipped' if flips else 'clean'}, {doing}"
                cells = line(case, flips, action, args.seeds)
                if args.rst:
                    print("   " + ", ".join(f'"{each}"' for each in (name, *cells)), flush=True)
                else:
                    print(f"{name:<40s}" + "".join(f"{each:>15s}" for each in cells), flush=True)


if __name__ == "__main__":
    main()
