"""How well an audit of the labels finds those that are wrong, and counts them.

Seven data sets (Adult, breast cancer, digits, Enron, MNIST, Spambase, wine quality: 569 to 3,000
rows) with logistic regression; 3 % and 10 % of the labels flipped at random, and 10 % by class;
five seeds. Those of the folder that SKINFLUENCE_DATA names are left out without it. Tables:

ranking   average precision of the label quality (two passes, one), of training loss, probabilities
          of ten folds, cleanlab's CleanLearning (where it is installed), self-influence and the
          influence on validation rows whose labels are right (first order, five folds); how far
          ahead of CleanLearning, paired; precision at as many rows as it flags; seconds
counts    the expected number of wrong labels: relative error, how often its interval has the truth,
          its median width over the truth; and what it says of data as they come
models    other models, on two data sets: SVC, a network, a forest, boosting
reviewed  the 10,000 test images of MNIST, 95 of which people looked at again
"""

from __future__ import annotations

import argparse
import contextlib
import json
import warnings
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from badness import audited, by_clean_learning, by_folds, by_influence, by_leaves
from clocks import Rounds, clocked, count_cpu
from data import folder, table
from flipped import FLIPS, SETS, flipped, logistic
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.metrics import average_precision_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skinfluence import LabelAudit

TABLES = ("ranking", "counts", "models", "reviewed")

MODEL_SETS = ("breast cancer", "spambase")

RANKINGS = (
    "two passes",
    "one pass",
    "training loss",
    "ten folds",
    "CleanLearning",
    "self-influence",
    "influence on validation",
)


# --------------------------------------------------------------------------------------------- runs


def run(name, how, seed):
    """Return what all find in a data set with flipped labels."""
    X, y = loaded(name)
    given, estimator = flipped(y, how, seed), logistic(name)
    wrong = given != y
    badness, audit = audited(estimator, X, given)
    badness["ten folds"] = by_folds(estimator, X, given)
    badness["influence on validation"] = by_influence(estimator, X, given, y)
    rival = by_clean_learning(estimator, X, given)
    precision, flags = {}, 0
    if rival is not None:
        badness["CleanLearning"], flagged = rival
        flags = int(flagged.sum())
        worst = np.argsort(badness["two passes"])[::-1][:flags]
        precision = {"two passes": wrong[worst].mean(), "CleanLearning": wrong[flagged].mean()}
    expected = audit.expected_errors_
    return {
        "average precision": precisions(wrong, badness),
        "precision": {key: float(value) for key, value in precision.items()},
        "wrong": int(wrong.sum()),
        "expected": [expected.estimate, expected.low, expected.high],
        "rival flags": flags,
    }


def run_seconds(name):
    """Return the seconds of an audit, ten folds and one fit, a tenth of the labels flipped."""
    X, y = loaded(name)
    given, estimator = flipped(y, "10 %", 0), logistic(name)
    rounds = Rounds(
        {
            "audit": lambda: LabelAudit(clone(estimator)).fit(X, given),
            "ten folds": lambda: by_folds(estimator, X, given),
            "one fit": lambda: clone(estimator).fit(X, given),
        },
        repeats=3,
    )
    return {what: rounds.median(what) for what in rounds.seconds}


def run_unflipped(name):
    """Return the expected number of wrong labels in a data set as it comes."""
    X, y = loaded(name)
    expected = LabelAudit(logistic(name)).fit(X, y).expected_errors_
    return [expected.estimate, expected.low, expected.high]


def precisions(wrong, badness):
    return {key: float(average_precision_score(wrong, bad)) for key, bad in badness.items()}


@lru_cache(maxsize=1)
def loaded(name):
    return SETS[name]()


def other_models():
    network = MLPClassifier((20,), solver="lbfgs", alpha=1.0, max_iter=300, random_state=0)
    return {
        "SVC": make_pipeline(StandardScaler(), SVC()),
        "network": make_pipeline(StandardScaler(), network),
        "forest": RandomForestClassifier(200, random_state=0),
        "boosting": GradientBoostingClassifier(n_estimators=50, random_state=0),
    }


def run_model(model, name, seed):
    """Return what other models find in a data set, 10 % of its labels flipped."""
    X, y = loaded(name)
    given, estimator = flipped(y, "10 %", seed), other_models()[model]
    seconds, (badness, audit) = clocked(lambda: audited(estimator, X, given))
    folds, badness["ten folds"] = clocked(lambda: by_folds(estimator, X, given))
    rival = by_clean_learning(estimator, X, given) if model != "SVC" else None
    if rival is not None:
        badness["CleanLearning"] = rival[0]
    if model in ("forest", "boosting"):
        badness["leaves"] = by_leaves(clone(estimator).fit(X, given), X, given)
    expected = audit.expected_errors_
    return {
        "average precision": precisions(given != y, badness),
        "seconds": {"audit": seconds, "ten folds": folds},
        "wrong": int((given != y).sum()),
        "expected": expected and [expected.estimate, expected.low, expected.high],
    }


def run_reviewed(model):
    """Return where the labels of MNIST are ranked that people found wrong, and those they kept."""
    data = np.load(folder() / "mnist.npz")
    X, given = data["X_test"].reshape(10_000, -1) / 255.0, data["y_test"].astype(int)
    review = table("mnist_test_label_review")
    rows = {
        verdict: review.loc[review["majority"] == verdict, "test_index"].to_numpy()
        for verdict in ("label_error", "given_correct")
    }
    estimator = reviewed_models()[model]
    seconds, (badness, audit) = clocked(lambda: audited(estimator, X, given))
    badness["ten folds"] = by_folds(estimator, X, given)
    rival = by_clean_learning(estimator, X, given)
    if rival is not None:
        badness["CleanLearning"] = rival[0]
    looked_at = np.concatenate(list(rows.values()))
    found = {}
    for key, bad in badness.items():
        ranks = np.argsort(np.argsort(-bad)) + 1
        found[key] = {
            "errors": sorted(ranks[rows["label_error"]].tolist()),
            "kept": float(np.median(ranks[rows["given_correct"]])),
            "ap": float(
                average_precision_score(np.isin(looked_at, rows["label_error"]), bad[looked_at])
            ),
        }
    return {"seconds": seconds, "ranks": found, "expected": str(audit.expected_errors_)}


def reviewed_models():
    network = MLPClassifier((50,), alpha=0.01, max_iter=20, random_state=0)
    return {
        "logistic regression": make_pipeline(PCA(50, random_state=0), *logistic("mnist")),
        "network": make_pipeline(PCA(50, random_state=0), network),
    }


class Kept:
    """Runs, in a file if there is one, so that none is done twice."""

    def __init__(self, path):
        self.path = path and Path(path)
        known = self.path and self.path.exists()
        self.runs = json.loads(self.path.read_text()) if known else {}

    def __call__(self, function, *key):
        """Return what a function finds for a key; None where its data set is not there."""
        name = " / ".join(map(str, key))
        if name not in self.runs:
            try:
                self.runs[name] = function(*key[1:])
            except FileNotFoundError as error:
                print(f"{name}: {error}", flush=True)
                return None
            if self.path:
                self.path.write_text(json.dumps(self.runs, indent=1))
        return self.runs[name]


# ------------------------------------------------------------------------------------------- tables


def ranking(kept, sets, seeds):
    """Yield the tables of what comes first, and what it costs."""
    runs = {name: of_set(kept, name, seeds) for name in sets}
    runs = {name: found for name, found in runs.items() if found}
    by_set = {name: means(found, "average precision") for name, found in runs.items()}
    lines = [
        [what, *cells, np.mean(cells)]
        for what in RANKINGS
        if len(cells := [of[what] for of in by_set.values() if what in of]) == len(by_set)
    ]
    yield "average precision", [*by_set, "mean"], [[one[0], *three(one[1:])] for one in lines]
    if all("CleanLearning" in of for of in by_set.values()):
        yield (
            "two passes and CleanLearning",
            ["ahead by", "standard errors", "precision", "its own", "flagged"],
            [[name, *ahead(found)] for name, found in runs.items()],
        )
    seconds = {name: kept(run_seconds, "seconds", name) for name in runs}
    columns = ["audit", "ten folds", "one fit"]
    yield (
        "seconds, 10 % of the labels flipped",
        [*columns, "audit over ten folds"],
        [
            [name, *three(of[one] for one in columns), f"{of['audit'] / of['ten folds']:.2f}"]
            for name, of in seconds.items()
        ],
    )


def ahead(found):
    """Return how far two passes are ahead of CleanLearning, paired, and the precision of both."""
    pairs = [one["average precision"] for one in found]
    lead = np.array([pair["two passes"] - pair["CleanLearning"] for pair in pairs])
    error = lead.std(ddof=1) / np.sqrt(len(lead)) if len(lead) > 1 else np.nan
    precision = means(found, "precision")
    return [
        f"{lead.mean():.3f}",
        f"{lead.mean() / error:.1f}",
        *three([precision["two passes"], precision["CleanLearning"]]),
        f"{np.mean([one['rival flags'] for one in found]):.0f}",
    ]


def counts(kept, sets, seeds):
    """Yield the table of the expected number of wrong labels."""
    lines, everywhere = [], []
    for name in sets:
        plain = kept(run_unflipped, "as it comes", name)
        found = {how: of_set(kept, name, seeds, [how]) for how in FLIPS}
        if plain is None or not all(found.values()):
            continue
        together = [one for of in found.values() for one in of]
        everywhere += together
        estimate, low, high = plain
        lines.append(
            [
                name,
                *(f"{np.mean([off(one) for one in of]):.2f}" for of in found.values()),
                *summary(together),
                f"{estimate:.0f} ({low:.0f} to {high:.0f})",
            ]
        )
    lines.append(["all", *[""] * len(FLIPS), *summary(everywhere), ""])
    columns = [*FLIPS, "mean", "median", "interval covers", "its width", "as it comes"]
    yield "relative error of the expected number of wrong labels", columns, lines


def summary(found):
    errors = [off(one) for one in found]
    covered = [low <= one["wrong"] <= high for one in found for _, low, high in [one["expected"]]]
    widths = [(high - low) / one["wrong"] for one in found for _, low, high in [one["expected"]]]
    values = [np.mean(errors), np.median(errors), np.mean(covered), np.median(widths)]
    return [f"{value:.2f}" for value in values]


def off(one):
    return abs(one["expected"][0] - one["wrong"]) / one["wrong"]


def models(kept, seeds):
    """Yield the table of other models."""
    ranked = [*RANKINGS[:-1], "leaves"]
    lines = []
    for model in other_models():
        for name in MODEL_SETS:
            found = [kept(run_model, "model", model, name, seed) for seed in range(seeds)]
            found = [one for one in found if one is not None]
            if found:
                precision, seconds = means(found, "average precision"), means(found, "seconds")
                cells = three(precision.get(one) for one in ranked)
                ratio = seconds["audit"] / seconds["ten folds"]
                lines.append([f"{model}, {name}", *cells, f"{ratio:.1f}"])
    yield "average precision, other models", [*ranked, "audit over ten folds, seconds"], lines


def reviewed(kept):
    """Yield the tables of labels that people looked at."""
    columns = [
        "average precision",
        "median rank, wrong",
        "median rank, right",
        "wrong, of the first 100",
    ]
    for model in reviewed_models():
        found = kept(run_reviewed, "reviewed", model)
        if found is None:
            continue
        lines = [
            [
                what,
                f"{of['ap']:.3f}",
                f"{np.median(of['errors']):.0f}",
                f"{of['kept']:.0f}",
                f"{np.sum(np.array(of['errors']) <= 100)}",
            ]
            for what, of in found["ranks"].items()
        ]
        yield f"reviewed labels of MNIST, {model}", columns, lines
        print(f"Of all 10,000: {found['expected']}.\n")


def of_set(kept, name, seeds, flips=FLIPS):
    found = [kept(run, "run", name, how, seed) for how in flips for seed in range(seeds)]
    return [one for one in found if one is not None]


def means(found, what):
    """Return the means of numbers that all runs have under the same names."""
    names = [name for name in found[0][what] if all(name in one[what] for one in found)]
    return {name: np.mean([one[what][name] for one in found]) for name in names}


def three(values):
    return ["" if value is None else f"{value:.3f}" for value in values]


def rst(caption, columns, lines):
    rows = "\n".join("   " + ", ".join(f'"{cell}"' for cell in line) for line in lines)
    header = ", ".join(f'"{column}"' for column in ["", *columns])
    return f".. csv-table:: {caption}\n   :header: {header}\n\n{rows}\n"


def intro():
    packages = ("scikit-learn", "numpy", "scipy", "cleanlab")
    versions = []
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions.append(f"{name} {version(name)}")
    return f"Printed by ``python benchmarks/label_audit.py``; {', '.join(versions)}; one thread.\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="*", choices=TABLES, default=TABLES, help="tables")
    add("--sets", nargs="*", choices=SETS, default=list(SETS), help="data sets")
    add("--seeds", type=int, default=5)
    add("--json", metavar="FILE", help="where runs are kept: none is done twice")
    add("--cpu", action="store_true", help="CPU seconds, on a busy machine")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    if args.cpu:
        count_cpu()
    kept = Kept(args.json)
    made = {
        "ranking": lambda: ranking(kept, args.sets, args.seeds),
        "counts": lambda: counts(kept, args.sets, args.seeds),
        "models": lambda: models(kept, min(args.seeds, 3)),
        "reviewed": lambda: reviewed(kept),
    }
    print(intro())
    for name in args.only:
        for one in made[name]():
            print(rst(*one), flush=True)


if __name__ == "__main__":
    main()
