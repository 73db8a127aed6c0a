"""What the fuzz tests draw: a model, rows for it, weights, an edit of the rows and a method.

A `Draw` says what in words, and its seed all numbers; a draw that failed is kept by its text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR

from skinfluence import SmoothLinearSVC

Array = Any
N_TEST, N_NEW = 5, 3


@dataclass(frozen=True)
class Draw:
    """A question to ask, in words; numbers are of the seed."""

    seed: int
    family: str
    data: str
    container: str = "array"
    weights: str | None = None
    class_weight: str | None = None
    edit: str = "remove"
    method: str = "auto"
    target: str = "loss"


@dataclass(frozen=True, eq=False)
class Problem:
    """An estimator and its rows: `n` to train on, then those to test on, then new ones.

    Attributes
    ----------
    estimator : estimator, not fitted
    X, y, s : arrays of all rows, float64
    given : what the wrapper is given for X
    n : int
    special : positions of training rows that the kind of data is about
    t : float or None
        The temperature of a smoothed hinge.
    """

    estimator: Any
    X: Array
    y: Array
    s: Array | None
    given: Any
    n: int
    special: Array
    t: float | None

    @property
    def train(self):
        return slice(0, self.n)

    @property
    def test(self):
        return slice(self.n, self.n + N_TEST)

    @property
    def new(self):
        return slice(self.n + N_TEST, self.n + N_TEST + N_NEW)

    def rows(self, part):
        """Return some rows as the wrapper is given them."""
        return self.given.iloc[part] if hasattr(self.given, "iloc") else self.given[part]

    @property
    def labels(self):
        """What messages may call the training rows: their labels, and their positions."""
        return getattr(self.given, "index", np.arange(len(self.X)))[self.train]


# ---------------------------------------------------------------------------------------- families


@dataclass(frozen=True)
class Family:
    """A model with random hyper-parameters.

    Attributes
    ----------
    make : callable
        From a random generator to the estimator.
    tasks : tuple of str
        The targets it can be fitted on.
    counts : {"rows", "weights"}
        What ``class_weight="balanced"`` counts.
    tags : str
        "quadratic": one Newton step is exact, but with weights where they are "averaged", since a
        row takes its own share of the penalty along; "smoothed": takes a temperature; "balanced":
        takes class weights; "kernel"; "network"; "sums": loss alone, a sum over outputs; "dense"
        and "unweighted": no sparse X, no sample weights.
    """

    make: Callable[[np.random.Generator], Any]
    tasks: tuple[str, ...]
    tags: str = ""
    counts: str = "weights"

    def has(self, tag):
        return tag in self.tags.split()


def power_of_ten(rng, low, high):
    return float(10.0 ** rng.uniform(low, high))


def coin(rng):
    return bool(rng.random() < 0.5)


def _logistic(rng, **params):
    solver = str(rng.choice(["lbfgs", "newton-cholesky", "newton-cg"]))
    given = {"C": power_of_ten(rng, -2, 2), "solver": solver, "fit_intercept": rng.random() < 0.8}
    return LogisticRegression(**{**given, "tol": 1e-8, "max_iter": 2000, **params})


def _mixed(rng, share, **params):
    steps = {"solver": "saga", "max_iter": 5000, "random_state": 0}
    return _logistic(rng, l1_ratio=share, C=power_of_ten(rng, -1, 1), **{**steps, **params})


def _ridge(rng, **params):
    alpha = power_of_ten(rng, -3, 3) if rng.random() < 0.85 else 0.0
    return Ridge(**{"alpha": alpha, "fit_intercept": rng.random() < 0.8, **params})


def _lasso(kind, rng, **params):
    alpha = power_of_ten(rng, -2.5, -0.3)
    intercept = rng.random() < 0.8
    return kind(alpha=alpha, fit_intercept=intercept, tol=1e-10, max_iter=50000, **params)


def _glm(kind, rng, **params):
    alpha = power_of_ten(rng, -3, 0) if rng.random() < 0.85 else 0.0
    given = {"alpha": alpha, "solver": "newton-cholesky", "fit_intercept": rng.random() < 0.8}
    return kind(**{**given, "tol": 1e-8, "max_iter": 500, **params})


def _huber(rng):
    epsilon, alpha = float(rng.choice([1.1, 1.35, 2.0])), power_of_ten(rng, -4, 1)
    return HuberRegressor(epsilon=epsilon, alpha=alpha, max_iter=5000, tol=1e-8)


def _linear_svc(rng, **params):
    given = {"C": power_of_ten(rng, -2, 1), "fit_intercept": rng.random() < 0.8}
    steps = {"tol": 1e-8, "max_iter": 20000, "random_state": 0}
    return LinearSVC(**{**given, **steps, **params})


def _linear_svr(rng, **params):
    given = {"C": power_of_ten(rng, -2, 1), "epsilon": float(rng.choice([0.0, 0.2]))}
    return LinearSVR(**{**given, "tol": 1e-8, "max_iter": 20000, "random_state": 0, **params})


def _machine(kind, rng, **params):
    kernel = str(rng.choice(["rbf", "linear", "poly"]))
    given = {"kernel": kernel, "gamma": 0.3, "coef0": 1.0, "degree": 2}
    # Far from zero libsvm itself would go on for hours.
    return kind(C=power_of_ten(rng, -1, 1), tol=1e-6, max_iter=20000, **given, **params)


def _kernel_ridge(rng):
    kernel = str(rng.choice(["rbf", "linear", "poly"]))
    return KernelRidge(alpha=power_of_ten(rng, -2, 1), kernel=kernel, gamma=0.3, degree=2)


def _process(rng):
    noise = power_of_ten(rng, -2, 0)
    kernel = 2.0 * RBF(1.5) + WhiteKernel(noise) if coin(rng) else 1.0 * RBF(2.0)
    return GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)


def _descent(kind, losses, rng, **params):
    penalty = str(rng.choice(["l2", "l2", "l1", "elasticnet"]))
    given = {"loss": str(rng.choice(losses)), "penalty": penalty, "alpha": power_of_ten(rng, -2, 0)}
    return kind(**{**given, "max_iter": 200, "tol": None, "random_state": 0, **params})


def _network(kind, rng):
    sizes, activation = (int(rng.choice([2, 3])),), str(rng.choice(["tanh", "logistic"]))
    steps = {"solver": "lbfgs", "tol": 1e-10, "max_iter": 3000, "max_fun": 50000}
    given = {"hidden_layer_sizes": sizes, "activation": activation, "random_state": 0}
    return kind(alpha=power_of_ten(rng, -0.7, 0.5), **given, **steps)


def _in_pipeline(inner, rng):
    step = [StandardScaler(), MaxAbsScaler(), PolynomialFeatures(2, include_bias=False)]
    return make_pipeline(step[rng.integers(3)], inner)


SMOOTH_MARGINS = ["log_loss", "squared_hinge", "modified_huber", "squared_error"]
SMOOTH_RESIDUALS = ["huber", "squared_epsilon_insensitive"]

FAMILIES = {
    "LinearRegression": Family(
        lambda rng: LinearRegression(fit_intercept=rng.random() < 0.8),
        ("real", "reals"),
        "quadratic",
    ),
    "Ridge": Family(_ridge, ("real", "reals"), "quadratic"),
    "Lasso": Family(lambda rng: _lasso(Lasso, rng), ("real",), "quadratic averaged"),
    "ElasticNet": Family(
        lambda rng: _lasso(ElasticNet, rng, l1_ratio=float(rng.choice([0.2, 0.8]))),
        ("real",),
        "quadratic averaged",
    ),
    "Logistic": Family(_logistic, ("binary", "classes"), "balanced"),
    "Logistic-unpenalised": Family(
        lambda rng: _logistic(rng, C=np.inf), ("binary", "classes"), "balanced"
    ),
    "Logistic-liblinear": Family(
        lambda rng: _logistic(
            rng, solver="liblinear", intercept_scaling=float(rng.choice([1.0, 3.0]))
        ),
        ("binary",),
        "balanced",
    ),
    "Logistic-l1": Family(lambda rng: _mixed(rng, 1.0), ("binary", "classes"), "balanced"),
    "Logistic-l1-liblinear": Family(
        lambda rng: _mixed(rng, 1.0, solver="liblinear"), ("binary",), "balanced"
    ),
    "Logistic-elasticnet": Family(lambda rng: _mixed(rng, 0.5), ("binary", "classes"), "balanced"),
    "RidgeClassifier": Family(
        lambda rng: RidgeClassifier(alpha=power_of_ten(rng, -3, 2)),
        ("binary", "classes"),
        "quadratic balanced",
        "rows",
    ),
    "Poisson": Family(lambda rng: _glm(PoissonRegressor, rng), ("counts",)),
    "Gamma": Family(lambda rng: _glm(GammaRegressor, rng), ("positive",)),
    "Tweedie": Family(
        lambda rng: _glm(TweedieRegressor, rng, power=float(rng.choice([1.5, 3.0]))),
        ("positive",),
    ),
    "Tweedie-0": Family(
        lambda rng: _glm(TweedieRegressor, rng, power=0.0), ("real",), "quadratic averaged"
    ),
    "Huber": Family(_huber, ("real",)),
    "LinearSVC": Family(
        lambda rng: _linear_svc(rng, dual=False), ("binary", "classes"), "balanced"
    ),
    "LinearSVC-l1": Family(
        lambda rng: _linear_svc(rng, dual=False, penalty="l1"), ("binary", "classes"), "balanced"
    ),
    "LinearSVC-hinge": Family(
        lambda rng: _linear_svc(rng, loss="hinge"), ("binary", "classes"), "balanced smoothed"
    ),
    "SmoothLinearSVC": Family(
        lambda rng: SmoothLinearSVC(
            C=power_of_ten(rng, -2, 1), temperature=power_of_ten(rng, -1.5, 0)
        ),
        ("binary", "classes"),
    ),
    "LinearSVR": Family(_linear_svr, ("real",), "smoothed"),
    "LinearSVR-squared": Family(
        lambda rng: _linear_svr(rng, loss="squared_epsilon_insensitive", dual=False), ("real",)
    ),
    "SVC": Family(
        lambda rng: _machine(SVC, rng),
        ("binary", "classes"),
        "balanced smoothed kernel",
        "rows",
    ),
    "SVR": Family(lambda rng: _machine(SVR, rng, epsilon=0.2), ("real",), "smoothed kernel"),
    "KernelRidge": Family(_kernel_ridge, ("real", "reals"), "quadratic kernel"),
    "GaussianProcess": Family(_process, ("real",), "quadratic kernel unweighted dense"),
    "SGDClassifier": Family(
        lambda rng: _descent(SGDClassifier, SMOOTH_MARGINS, rng),
        ("binary", "classes"),
        "balanced",
        "rows",
    ),
    "SGDClassifier-hinge": Family(
        lambda rng: _descent(SGDClassifier, ["hinge"], rng),
        ("binary",),
        "balanced smoothed",
        "rows",
    ),
    "SGDRegressor": Family(lambda rng: _descent(SGDRegressor, SMOOTH_RESIDUALS, rng), ("real",)),
    "SGDRegressor-squared": Family(
        lambda rng: _descent(SGDRegressor, ["squared_error"], rng), ("real",), "quadratic"
    ),
    "SGDRegressor-tube": Family(
        lambda rng: _descent(SGDRegressor, ["epsilon_insensitive"], rng), ("real",), "smoothed"
    ),
    "MLPClassifier": Family(
        lambda rng: _network(MLPClassifier, rng), ("binary", "classes"), "network"
    ),
    "MLPRegressor": Family(lambda rng: _network(MLPRegressor, rng), ("real", "reals"), "network"),
    "MultiOutput-ridge": Family(
        lambda rng: MultiOutputRegressor(_ridge(rng)), ("reals",), "quadratic"
    ),
    "MultiOutput-poisson": Family(
        lambda rng: MultiOutputRegressor(_glm(PoissonRegressor, rng)), ("pairs",), "sums"
    ),
    "MultiOutput-logistic": Family(
        lambda rng: MultiOutputClassifier(_logistic(rng)), ("labels",), "sums"
    ),
    "OneVsRest-logistic": Family(
        lambda rng: OneVsRestClassifier(_logistic(rng)), ("classes", "labels"), "unweighted sums"
    ),
    "OneVsRest-svc": Family(
        lambda rng: OneVsRestClassifier(_linear_svc(rng, dual=False)),
        ("classes",),
        "unweighted sums",
    ),
    "OneVsOne-logistic": Family(
        lambda rng: OneVsOneClassifier(_logistic(rng)), ("classes",), "unweighted sums"
    ),
    "TransformedTarget": Family(
        lambda rng: TransformedTargetRegressor(_ridge(rng), func=np.log, inverse_func=np.exp),
        ("positive",),
        "quadratic",
    ),
    "Pipeline-ridge": Family(lambda rng: _in_pipeline(_ridge(rng), rng), ("real",), "quadratic"),
    "Pipeline-logistic": Family(
        lambda rng: _in_pipeline(_logistic(rng), rng), ("binary", "classes")
    ),
    "Pipeline-lasso": Family(
        lambda rng: _in_pipeline(_lasso(Lasso, rng), rng), ("real",), "quadratic averaged"
    ),
}

DATA = (
    "plain",
    "collinear",
    "one_hot",
    "separable",
    "rare",
    "scales",
    "far",
    "duplicates",
    "leverage_one",
    "constant",
    "wide",
    "outliers",
)
CONTAINERS = ("array", "array", "float32", "sparse", "named rows", "numbered rows")
EDITS = (
    "remove",
    "remove",
    "leave_one_out",
    "group",
    "without",
    "add",
    "relabel",
    "self",
    "parameters",
)
METHODS = ("first_order", "newton", "exact", "auto")


def draw_of(seed: int) -> Draw:
    """Return the draw of a seed."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(list(FAMILIES)))
    family = FAMILIES[name]
    data, container = str(rng.choice(DATA)), str(rng.choice(CONTAINERS))
    if family.has("dense") and container == "sparse":
        container = "array"
    if data == "collinear" and container == "float32":
        container = "array"  # the columns differ by a rounding, which scikit-learn takes for none
    if family.has("network") and data in ("scales", "far", "collinear", "one_hot", "wide"):
        data = "plain"  # whose minimum is alone in its basin
    weights = rng.choice([None, "random", "zeros"])
    class_weight = rng.choice([None, None, "balanced", "dict"])
    edit, method = str(rng.choice(EDITS)), str(rng.choice(METHODS))
    if edit == "leave_one_out" and (method == "first_order" or family.has("network")):
        method = "exact"  # losses at moved predictions, which are no derivatives
    if edit in ("without", "parameters") and family.has("kernel"):
        edit = "remove"  # of other parameters, and of the machine itself
    target = str(rng.choice(["loss", "loss", "raw", "predict"]))
    return Draw(
        seed,
        name,
        data,
        container,
        None if weights is None or family.has("unweighted") else str(weights),
        None if class_weight is None or not family.has("balanced") else str(class_weight),
        edit,
        method,
        "loss" if family.has("sums") else target,
    )


# ------------------------------------------------------------------------------------------- data


def problem_of(draw: Draw) -> Problem:
    """Return the estimator and the rows of a draw."""
    rng = np.random.default_rng([draw.seed, 1])
    family = FAMILIES[draw.family]
    task = str(rng.choice(family.tasks))
    n = int(rng.integers(16, 26 if family.has("network") or draw.data == "wide" else 56))
    m = n + N_TEST + N_NEW
    p = int(rng.integers(1, 7))
    Z = rng.standard_normal((m, p)) * rng.uniform(0.5, 1.5, p) + rng.uniform(-0.5, 0.5, p)
    if draw.data == "duplicates":
        Z[: n // 2] = Z[rng.integers(n // 2, n, n // 2)]
    X, special = features(draw.data, Z, n, rng)
    y = targets(task, Z, draw.data == "separable", rng)
    if draw.data == "outliers" and task in ("real", "reals"):
        y[special] += 10.0
    if draw.data == "rare" and task in ("real", "reals"):
        y[special] += 5.0
    estimator = family.make(rng)
    s = None if draw.weights is None else rng.uniform(0.5, 2.0, m)
    if draw.weights == "zeros":
        s[np.setdiff1d(np.arange(0, n, 5), special)] = 0.0
    if draw.class_weight:
        scheme = draw.class_weight
        if scheme == "dict":
            scheme = dict(zip(np.unique(y).tolist(), [1.0, 3.0, 0.5], strict=False))
        if not (one_versus_rest(estimator) and len(np.unique(y)) > 2):
            estimator.set_params(class_weight=scheme)
    t = power_of_ten(rng, -1.3, 0) if family.has("smoothed") else None
    if draw.container == "sparse" and draw.family.startswith("Pipeline"):
        estimator.steps[0] = ("scale", MaxAbsScaler())
    if draw.container == "float32":
        X = X.astype(np.float32).astype(float)
    return Problem(estimator, X, y, s, contained(X, draw.container, rng), n, special, t)


def one_versus_rest(estimator):
    return isinstance(estimator, LinearSVC | SGDClassifier)


def features(kind, Z, n, rng):
    """Return features made of plain ones, and the rows that they are special for."""
    m, p = Z.shape
    some = np.sort(rng.choice(n, 3, replace=False))
    none = np.empty(0, dtype=int)
    if kind == "collinear":
        return np.column_stack([Z, Z @ rng.standard_normal(p), Z[:, 0]]), none
    if kind == "one_hot":
        return np.column_stack([Z, np.eye(3)[np.arange(m) % 3]]), none
    if kind == "rare":
        rare = np.zeros((m, 2))
        rare[some[:1], 0] = rare[some, 1] = rare[n + 1, :] = 1.0
        return np.column_stack([Z, rare]), some
    if kind == "scales":
        return Z * 10.0 ** rng.uniform(-5, 5, p), none
    if kind == "far":
        step, start = 10.0 ** rng.uniform(-1, 3), 10.0 ** rng.uniform(3, 8)
        return np.column_stack([start + step * Z[:, 0], Z[:, 1:]]), none
    if kind == "leverage_one":
        alone = 1.0 * (np.arange(m) == some[0])
        alone[n + 1] = 1.0
        return np.column_stack([Z, alone]), some[:1]
    if kind == "constant":
        return np.column_stack([Z, np.full(m, rng.choice([0.0, 1.0, 3.0]))]), none
    if kind == "wide":
        return np.column_stack([Z, rng.standard_normal((m, n + 5))]), none
    if kind == "outliers":
        Z = Z.copy()
        Z[some[:2]] *= 8.0
        return Z, some
    return Z, none


def targets(task, Z, separable, rng):
    """Return targets that a noisy linear rule gives, or one without noise."""
    m, p = Z.shape
    noise = 0.0 if separable else 1.0
    rule = rng.standard_normal((p, 3))
    raw = Z @ rule + noise * rng.standard_normal((m, 3))
    if task == "real":
        return raw[:, 0] + 1.0
    if task == "reals":
        return raw[:, :2] + 1.0
    if task in ("counts", "pairs"):
        counts = 1.0 * rng.poisson(np.exp(np.clip(0.4 * raw[:, :2] + 0.5, -3, 3)))
        return counts[:, 0] if task == "counts" else counts
    if task == "positive":
        return rng.gamma(3.0, np.exp(np.clip(0.4 * raw[:, 0], -3, 3)) / 3.0) + 0.05
    middle = raw - np.median(raw, axis=0)  # every class has its rows
    if task == "binary":
        return np.where(middle[:, 0] > 0, "yes", "no")
    if task == "labels":
        return (middle[:, :2] > 0).astype(int)
    thirds = np.quantile(raw[:, 0], [1 / 3, 2 / 3])
    own = np.digitize(raw[:, 0], thirds) if separable else middle.argmax(axis=1)
    return np.array(["a", "b", "c"])[own]


def contained(X, kind, rng):
    """Return features as a user may hold them."""
    if kind == "float32":
        return X.astype(np.float32)
    if kind == "sparse":
        return sparse.csr_matrix(X)
    if kind in ("named rows", "numbered rows"):
        names = rng.permutation(len(X)) + 1000
        index = [f"row-{i}" for i in names] if kind == "named rows" else names
        return pd.DataFrame(X, index=index, columns=[f"x{j}" for j in range(X.shape[1])])
    return X
