"""The models that `convex.py` measures, their data sets and, where they need one, their judges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import sklearn
from data import digits, table
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    OneHotEncoder,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC

from skinfluence.models.smooth_svc import SmoothLinearSVC

N_TEST = 200


@dataclass
class Case:
    """A model of a data set, and who judges it.

    `judge` is None for `leave_one_out_check`; or it is called with the case, the features of the
    final step, those of the test rows and both targets, and returns a function from a row (None for
    none) to the test losses without it. `n_clocked` exact minima are clocked, all where it
    is None.
    """

    name: str
    estimator: Any
    judge: Callable[..., Any] | None = None
    temperature: float | None = None
    n_rows: int | None = None
    n_clocked: int | None = None


# --------------------------------------------------------------------------------- the data sets


def parts(frame, y, *, n_train=None, quick=False, weight=None):
    """Return X, y, weight, X_test, y_test: shuffled, `N_TEST` rows held out."""
    order = np.random.default_rng(0).permutation(len(frame))
    n_train = min(len(frame) - N_TEST, n_train or len(frame), 1000 if quick else len(frame))
    test, train = order[:N_TEST], order[N_TEST : N_TEST + n_train]
    y = np.asarray(y)
    s = None if weight is None else np.asarray(weight)[train]
    if isinstance(frame, list):
        return [frame[i] for i in train], y[train], s, [frame[i] for i in test], y[test]
    return frame.iloc[train], y[train], s, frame.iloc[test], y[test]


def motor(quick):
    frame = table("ins_freMTPL2freq")
    frame["LogDensity"] = np.log(frame["Density"])
    frame["BonusMalus"] = frame["BonusMalus"].clip(upper=150)
    exposure = frame["Exposure"].to_numpy()
    features = make_column_transformer(
        (KBinsDiscretizer(10, random_state=0, subsample=None), ["VehAge", "DrivAge"]),
        (OneHotEncoder(), ["VehBrand", "VehPower", "VehGas", "Region", "Area"]),
        (StandardScaler(), ["BonusMalus", "LogDensity"]),
        sparse_threshold=0,
    )
    model = make_pipeline(features, PoissonRegressor(alpha=1e-4, solver="newton-cholesky"))
    data = parts(frame, frame["ClaimNb"] / exposure, weight=exposure, quick=quick)
    return data, [Case("PoissonRegressor", model, n_clocked=100)]


def wine(quick):
    frame = table("wine_quality")
    X, y = frame.drop(columns=["quality", "color"]), frame["quality"].astype(float)
    quadratic = make_pipeline(StandardScaler(), PolynomialFeatures(2, include_bias=False))
    net = ElasticNet(alpha=0.01, l1_ratio=0.5, max_iter=10_000)
    huber = HuberRegressor(alpha=1.0, max_iter=10_000, tol=1e-8)
    yield (
        parts(X, y, quick=quick),
        [
            Case("ElasticNet, quadratic features", make_pipeline(quadratic, StandardScaler(), net)),
            Case("HuberRegressor", make_pipeline(StandardScaler(), huber)),
        ],
    )
    ridge = KernelRidge(alpha=1.0, kernel="rbf", gamma=0.1)
    machine = SVR(C=1.0, epsilon=0.1, gamma=0.1)
    yield (
        parts(X, y, n_train=1500, quick=quick),
        [
            Case("KernelRidge, rbf", make_pipeline(StandardScaler(), ridge)),
            Case("SVR, rbf, t = .05", make_pipeline(StandardScaler(), machine), temperature=0.05),
        ],
    )


def concrete(quick):
    frame = table("concrete")
    X, y = frame.drop(columns="compressive_strength"), frame["compressive_strength"]
    model = make_pipeline(
        StandardScaler(),
        SplineTransformer(n_knots=5),
        GammaRegressor(alpha=1e-3, solver="newton-cholesky"),
    )
    return parts(X, y), [Case("GammaRegressor, splines", model)]


def bike(quick):
    frame = table("bike_sharing_hour")
    features = make_column_transformer(
        (SplineTransformer(n_knots=13, extrapolation="periodic"), ["hr"]),
        (SplineTransformer(n_knots=6), ["temp", "hum", "windspeed"]),
        (OneHotEncoder(), ["season", "weekday", "weathersit"]),
        ("passthrough", ["yr", "holiday", "workingday"]),
        sparse_threshold=0,
    )
    newton = {"alpha": 1e-3, "solver": "newton-cholesky", "max_iter": 1000}
    logged = TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp)
    data = parts(frame, frame["cnt"].astype(float), quick=quick)
    return data, [
        Case("PoissonRegressor, splines", make_pipeline(features, PoissonRegressor(**newton))),
        Case(
            "TweedieRegressor(power=1.5), splines",
            make_pipeline(features, TweedieRegressor(power=1.5, link="log", **newton)),
        ),
        Case("Ridge on log counts, splines", make_pipeline(features, logged)),
    ]


def adult(quick):
    frame = table("adult")
    frame = frame[frame["split"] == "train"]
    y = frame["income"].str.startswith(">50K").to_numpy().astype(int)
    numbers = ["age", "education-num", "capital-gain", "capital-loss", "hours-per-week"]
    labels = ["workclass", "education", "marital-status", "occupation", "relationship"]
    features = make_column_transformer(
        (StandardScaler(), numbers),
        (
            OneHotEncoder(min_frequency=20, handle_unknown="infrequent_if_exist"),
            [*labels, "race", "sex", "native-country"],
        ),
        sparse_threshold=0,
    )
    alpha = 1e-4
    lasso = LogisticRegression(C=0.1, solver="liblinear", tol=1e-6, **l1())
    machine = LinearSVC(C=0.1, dual=False)
    descent = SGDClassifier(loss="log_loss", alpha=alpha, random_state=0)
    return parts(frame, y, quick=quick), [
        Case("LogisticRegression, l1", make_pipeline(features, lasso), n_clocked=500),
        Case("LinearSVC, squared hinge", make_pipeline(features, machine), n_clocked=500),
        Case(
            "SGDClassifier(loss='log_loss')",
            make_pipeline(features, descent),
            judge=logistic_judge("newton-cholesky", alpha),
            n_clocked=500,
        ),
    ]


def l1():
    """Return how this version of scikit-learn spells an l1 penalty."""
    old = tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8)
    return {"penalty": "l1"} if old else {"l1_ratio": 1.0}


def enron(quick):
    frame = table("enron1_spam")
    words = TfidfVectorizer(sublinear_tf=True, min_df=2)
    data = parts(frame["text"].tolist(), frame["label"] == "spam", quick=quick)
    alpha = 1e-4
    descent = SGDClassifier(loss="log_loss", alpha=alpha, random_state=0)
    return data, [
        Case("LinearSVC, squared hinge", make_pipeline(words, LinearSVC(C=1.0))),
        Case(
            "SGDClassifier(loss='log_loss')",
            make_pipeline(words, descent),
            judge=logistic_judge("newton-cg", alpha),
        ),
    ]


def three_digits(quick):
    found = digits((3, 5, 8))
    if found is None:
        raise FileNotFoundError("SKINFLUENCE_DATA names no folder with mnist.npz; set it.")
    X, y, X_test, y_test = found
    n = 300 if quick else 1200
    chosen = np.random.default_rng(0).permutation(len(y_test))[:N_TEST]
    data = X[:n], y[:n], None, X_test[chosen], y_test[chosen]
    machine = SVC(C=1.0, gamma=0.02)
    linear = OneVsRestClassifier(LinearSVC(C=0.01, dual=False))
    return data, [
        Case("SVC, rbf, t = .1; smooth refits", machine, smooth_pairs, 0.1, 10),
        Case("SVC, rbf, t = .1; hinge refits", machine, temperature=0.1),
        Case("OneVsRestClassifier(LinearSVC), squared hinge", linear),
    ]


# ------------------------------------------------------------------------------------ the judges


def without(X, y, row):
    kept = np.arange(len(y)) != (-1 if row is None else row)
    return X[kept], y[kept]


def logistic_judge(solver, alpha):
    """Return the judge of stochastic gradient descent: mean log loss + alpha / 2 |coef|^2."""

    def judge(case, features, tests, y, y_test):
        def losses(row):
            X, labels = without(features, y, row)
            params = {"C": 1.0 / (alpha * len(labels)), "tol": 1e-12, "max_iter": 10_000}
            refit = LogisticRegression(solver=solver, **params).fit(X, labels)
            sign = np.where(y_test == refit.classes_[1], 1.0, -1.0)
            return np.logaddexp(0.0, -sign * refit.decision_function(tests))

        return losses

    return judge


def smooth_pairs(case, features, tests, y, y_test):
    """Return the judge of a smoothed machine for every pair, in the eigenvectors of the kernel."""
    C, gamma, t = case.estimator.C, case.estimator.gamma, case.temperature
    values, vectors = np.linalg.eigh(rbf_kernel(features, gamma=gamma))
    counted = values > 1e-12 * values[-1]
    vectors, root = vectors[:, counted], np.sqrt(values[counted])
    Phi, Phi_test = vectors * root, rbf_kernel(tests, features, gamma=gamma) @ (vectors / root)

    def of_pair(pair, row):
        chosen = np.isin(y, pair)
        if row is not None:
            chosen[row] = False
        refit = SmoothLinearSVC(C=C, temperature=t).fit(Phi[chosen], y[chosen])
        of_test = np.isin(y_test, pair)
        out = np.zeros(len(y_test))
        out[of_test] = hinge(refit.decision_function(Phi_test[of_test]), y_test[of_test], pair, t)
        return out

    pairs = list(combinations(np.unique(y), 2))
    whole = {pair: of_pair(pair, None) for pair in pairs}

    def losses(row):
        mine = [row is not None and y[row] in pair for pair in pairs]
        return sum(
            of_pair(pair, row) if own else whole[pair]
            for pair, own in zip(pairs, mine, strict=True)
        )

    return losses


def hinge(decisions, y, classes, t=0.0):
    """Return hinge losses, smoothed for t > 0."""
    short = 1.0 - np.where(y == classes[1], 1.0, -1.0) * decisions
    return t * np.logaddexp(0.0, short / t) if t > 0 else np.maximum(short, 0.0)


DATA_SETS = {
    "motor": ("Poisson frequency with exposure, freMTPL2", motor),
    "wine": ("Wine quality", wine),
    "concrete": ("Concrete strength", concrete),
    "bike": ("Bike sharing, splines", bike),
    "adult": ("Adult", adult),
    "enron": ("Enron, sparse text", enron),
    "digits": ("MNIST 3, 5, 8", three_digits),
}
"""What each table is called, and a function that returns or yields (data, cases)."""
