"""The table of the other convex models: a row each, which inherits every test of `test_models`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sklearn
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR

from skinfluence.models.smooth_svc import SmoothLinearSVC
from tests.cases import Data, classification, regression

OLD = sklearn.__version__.startswith("1.6.")
# What LinearSVC(class_weight="balanced") counts.
COUNTS = "rows" if OLD else "weights"


@dataclass(frozen=True)
class Model:
    """A model, its data, and what can be asked of it.

    Attributes
    ----------
    fit_error : float or None
        How near scikit-learn's own fit of the same objective comes to the twin's minimum, relative
        in raw predictions; None where it fits another one (the raw hinge).
    newton_error, group_error : float
        Largest relative error of one Newton step against refits, for a row and for eight rows.
    tags : frozenset of str
        "rows": rows are counted, so weights are no repetitions; "mean": rows that leave change what
        the others weigh; "unweighted": `fit` takes no sample weights; "dense": no sparse X;
        "fixed": no row can be added (a hyper-parameter of every row).
    """

    name: str
    estimator: Any
    data: Data
    weighted: bool = False
    t: float | None = None
    counts: str = "rows"
    fit_error: float | None = 1e-6
    newton_error: float = 1e-7
    group_error: float = 1e-7
    tags: frozenset[str] = field(default_factory=frozenset)

    @property
    def s(self):
        return self.data.s if self.weighted else None

    @property
    def on_wrapper(self):
        """The temperature the wrapper is given; SmoothLinearSVC has its own."""
        return None if self.name.startswith("Smooth") else self.t


def counting(seed=0, n=60, p=4, n_test=12, positive=False):
    """Rows with counts (or positive amounts) whose logarithm is nearly linear."""
    data = regression(n, p, seed=seed, n_test=n_test)
    rng = np.random.default_rng(seed + 1)
    X = 0.4 * np.vstack([data.X, data.X_test])
    mean = np.exp(X @ rng.standard_normal(p) * 0.8 + 0.5)
    y = rng.gamma(2.0, mean / 2.0) + 0.05 if positive else 1.0 * rng.poisson(mean)
    return Data(X[:n], y[:n], data.s, X[n:], y[n:])


def sparse_rule(seed=0, n=60, p=5, n_test=12):
    """Rows whose target depends on two features of five."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n + n_test, p))
    y = X @ np.array([2.0, -1.5, 0.0, 0.0, 0.0]) + 1.0 + rng.standard_normal(n + n_test)
    return Data(X[:n], y[:n], rng.uniform(0.5, 2.0, n), X[n:], y[n:])


def rising(n=60, p=3, n_test=12):
    """Rows without a negative feature, whose targets rise in all: an identity link stays > 0."""
    rng = np.random.default_rng(0)
    X = np.abs(rng.standard_normal((n + n_test, p)))
    y = rng.gamma(4.0, (1.0 + X @ np.array([1.0, 0.5, 0.8])) / 4.0)
    return Data(X[:n], y[:n], rng.uniform(0.5, 2.0, n), X[n:], y[n:])


def with_targets(data, y, y_test):
    return replace(data, y=y, y_test=y_test)


BINARY = classification(n=60, labels=["no", "yes"])
THREE = classification(n=60, n_classes=3, labels=["a", "b", "c"])
# Rows far on the wrong side, where the modified Huber loss is a line.
FLIPPED = with_targets(
    BINARY, np.where(np.arange(60) % 12 == 0, BINARY.y[::-1], BINARY.y), BINARY.y_test
)
REAL = regression()
REALS = regression(n_outputs=3)
COUNTED = counting()
POSITIVE = counting(positive=True)
RISING = rising()
SPARSE = sparse_rule()
SMALL = classification(n=40, p=3, labels=["no", "yes"], seed=3)
SMALL_THREE = classification(n=45, p=3, n_classes=3, labels=["a", "b", "c"], seed=3)
SMALL_REAL = regression(n=40, p=3, seed=3)
SMALL_REALS = regression(n=40, p=3, n_outputs=3, seed=3)
LABELS = with_targets(REALS, 1 * (REALS.y > 0.5), 1 * (REALS.y_test > 0.5))
TWO_COUNTS = with_targets(
    COUNTED,
    np.column_stack([COUNTED.y, np.round(COUNTED.y / 2) + 1.0]),
    np.column_stack([COUNTED.y_test, np.round(COUNTED.y_test / 2) + 1.0]),
)
TWO_LABELS = with_targets(
    THREE,
    np.column_stack([THREE.y, np.where(THREE.X[:, 0] + THREE.X[:, 1] ** 2 > 0.7, "u", "v")]),
    np.column_stack(
        [THREE.y_test, np.where(THREE.X_test[:, 0] + THREE.X_test[:, 1] ** 2 > 0.7, "u", "v")]
    ),
)
# Fewer rows than features, where the sigmoid of a product is a kernel.
WIDE = classification(n=40, p=60, labels=["no", "yes"], seed=3)
AMOUNTS = with_targets(REAL, np.exp(REAL.y / 4), np.exp(REAL.y_test / 4))


def _logistic(**params):
    return LogisticRegression(
        **{"C": 0.5, "solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000, **params}
    )


def _mixed(share, **params):
    """Return an l1 or elastic-net logistic regression, as the installed version spells it."""
    spelled = {"l1_ratio": share}
    if OLD:
        spelled = {"penalty": "l1"} if share == 1 else {"penalty": "elasticnet", "l1_ratio": share}
    return LogisticRegression(
        **{
            "C": 0.3,
            "solver": "saga",
            "tol": 1e-12,
            "max_iter": 20000,
            "random_state": 0,
            **spelled,
            **params,
        }
    )


def _linear_svc(**params):
    return LinearSVC(
        **{"C": 0.3, "dual": False, "tol": 1e-12, "max_iter": 10000, "random_state": 0, **params}
    )


def _hinge(**params):
    return LinearSVC(
        **{"C": 0.3, "loss": "hinge", "tol": 1e-10, "max_iter": 100000, "random_state": 0, **params}
    )


def _smooth(**params):
    return SmoothLinearSVC(**{"C": 0.3, "temperature": 0.1, **params})


def _linear_svr(**params):
    return LinearSVR(
        **{"C": 0.3, "epsilon": 0.2, "tol": 1e-10, "max_iter": 100000, "random_state": 0, **params}
    )


def _glm(kind, **params):
    return kind(**{"alpha": 0.05, "solver": "newton-cholesky", "tol": 1e-12, **params})


def _sgd(kind, **params):
    steps = {"learning_rate": "optimal", "max_iter": 10000, "tol": None, "random_state": 0}
    return kind(**{"alpha": 0.02, **steps, **params})


def _gaussian_process(**params):
    kernel = 2.0 * RBF(1.5) + WhiteKernel(0.3)
    return GaussianProcessRegressor(**{"kernel": kernel, "optimizer": None, **params})


def quadratic(P, Q):
    """Return a kernel of two tables of rows, which reach it as the user gave them."""
    P, Q = np.asarray(P, dtype=np.float64), np.asarray(Q, dtype=np.float64)
    return (1.0 + 0.3 * P @ Q.T) ** 2


def _scaled_ridge():
    steps = Pipeline([("scale", StandardScaler()), ("fit", Ridge(solver="svd"))])
    return GridSearchCV(steps, {"fit__alpha": [1.0, 5.0]}, cv=3)


WEIGHTS = {"no": 1.0, "yes": 3.0}
ROWS = frozenset({"rows"})
MEAN = frozenset({"mean"})
UNWEIGHTED = frozenset({"unweighted"})
DENSE = frozenset({"dense"})
SGD = {"fit_error": 1e-3, "tags": ROWS}

LINEAR_SVM = [
    Model("LinearSVC", _linear_svc(), BINARY, newton_error=0.01),
    Model("LinearSVC-3", _linear_svc(), THREE, newton_error=0.01),
    Model("LinearSVC-weighted", _linear_svc(), BINARY, weighted=True, newton_error=0.01),
    Model("LinearSVC-scaling", _linear_svc(intercept_scaling=3.0), BINARY, newton_error=0.01),
    Model(
        "LinearSVC-dict",
        _linear_svc(class_weight=WEIGHTS),
        BINARY,
        weighted=True,
        newton_error=0.02,
    ),
    Model(
        "LinearSVC-balanced",
        _linear_svc(class_weight="balanced"),
        BINARY,
        weighted=True,
        counts=COUNTS,
        tags=MEAN | ROWS if OLD else MEAN,
        newton_error=0.01,
    ),
    Model("LinearSVC-no-intercept", _linear_svc(fit_intercept=False), BINARY, newton_error=0.01),
    Model(
        "LinearSVC-l1",
        _linear_svc(penalty="l1", intercept_scaling=2.0),
        BINARY,
        newton_error=0.01,
        group_error=0.16,
    ),
    Model("LinearSVC-hinge", _hinge(), BINARY, t=0.1, fit_error=None, newton_error=0.0001),
    Model("LinearSVC-hinge-cold", _hinge(), BINARY, t=0.01, fit_error=None, newton_error=0.0001),
    Model("LinearSVC-hinge-3", _hinge(), THREE, t=0.1, fit_error=None, newton_error=0.0001),
    Model(
        "LinearSVC-hinge-scaling",
        _hinge(intercept_scaling=3.0),
        BINARY,
        weighted=True,
        t=0.1,
        fit_error=None,
        newton_error=0.0001,
    ),
    Model(
        "LinearSVC-hinge-balanced",
        _hinge(class_weight="balanced"),
        BINARY,
        weighted=True,
        t=0.1,
        counts=COUNTS,
        tags=MEAN | ROWS if OLD else MEAN,
        fit_error=None,
        newton_error=0.1,
    ),
    Model("LinearSVR", _linear_svr(), REAL, t=0.05, fit_error=None, newton_error=0.0001),
    Model(
        "LinearSVR-squared",
        _linear_svr(loss="squared_epsilon_insensitive", dual=False),
        REAL,
        weighted=True,
        newton_error=0.03,
    ),
    Model("SmoothLinearSVC", _smooth(), BINARY, t=0.1, newton_error=0.0001),
    Model("SmoothLinearSVC-3", _smooth(), THREE, t=0.1, newton_error=0.0001),
    Model(
        "SmoothLinearSVC-weighted",
        _smooth(temperature=0.03, class_weight=WEIGHTS, intercept_scaling=2.0),
        BINARY,
        weighted=True,
        t=0.03,
        newton_error=0.0001,
    ),
]

GLM = [
    Model("Poisson", _glm(PoissonRegressor), COUNTED, tags=MEAN, newton_error=0.08),
    Model(
        "Poisson-weighted",
        _glm(PoissonRegressor),
        COUNTED,
        weighted=True,
        tags=MEAN,
        newton_error=0.09,
    ),
    Model(
        "Poisson-no-intercept",
        _glm(PoissonRegressor, fit_intercept=False),
        COUNTED,
        tags=MEAN,
        newton_error=0.08,
    ),
    Model(
        "Poisson-unpenalised",
        _glm(PoissonRegressor, alpha=0.0),
        COUNTED,
        tags=MEAN,
        newton_error=0.09,
    ),
    Model(
        "Gamma",
        _glm(GammaRegressor),
        POSITIVE,
        weighted=True,
        tags=MEAN,
        newton_error=0.04,
        group_error=0.03,
    ),
    Model(
        "Tweedie-1.5",
        _glm(TweedieRegressor, power=1.5),
        COUNTED,
        weighted=True,
        tags=MEAN,
        newton_error=0.012,
        group_error=0.01,
    ),
    Model(
        "Tweedie-0",
        _glm(TweedieRegressor, power=0),
        REAL,
        weighted=True,
        tags=MEAN,
        newton_error=0.01,
    ),
    Model(
        "Tweedie-0-log",
        _glm(TweedieRegressor, power=0, link="log"),
        POSITIVE,
        tags=MEAN,
        newton_error=0.25,
    ),
    Model(
        "Tweedie--1",
        _glm(TweedieRegressor, power=-1, link="log"),
        POSITIVE,
        weighted=True,
        tags=MEAN,
        newton_error=0.3,
    ),
    Model(
        "Tweedie-identity",
        _glm(TweedieRegressor, power=1.5, link="identity", max_iter=1000),
        RISING,
        tags=MEAN,
        newton_error=0.1,
    ),
    Model(
        "Tweedie-3",
        _glm(TweedieRegressor, power=3),
        POSITIVE,
        tags=MEAN,
        newton_error=0.11,
        group_error=0.08,
    ),
    Model(
        "Huber", HuberRegressor(tol=1e-10, max_iter=5000), REAL, fit_error=1e-3, newton_error=0.02
    ),
    Model(
        "Huber-weighted",
        HuberRegressor(alpha=2.0, tol=1e-10, max_iter=5000),
        REAL,
        weighted=True,
        fit_error=1e-3,
        newton_error=0.02,
    ),
    Model(
        "Huber-no-intercept",
        HuberRegressor(fit_intercept=False, tol=1e-10, max_iter=5000),
        REAL,
        fit_error=1e-3,
        newton_error=0.02,
    ),
]

L1 = [
    Model("Lasso", Lasso(alpha=0.3, tol=1e-14, max_iter=100000), SPARSE, tags=MEAN),
    Model(
        "Lasso-weighted",
        Lasso(0.3, tol=1e-14, max_iter=100000),
        SPARSE,
        weighted=True,
        tags=MEAN,
        newton_error=0.01,
    ),
    Model("ElasticNet", ElasticNet(0.3, tol=1e-14, max_iter=100000), SPARSE, tags=MEAN),
    Model(
        "ElasticNet-no-intercept",
        ElasticNet(0.2, l1_ratio=0.8, fit_intercept=False, tol=1e-14, max_iter=100000),
        SPARSE,
        weighted=True,
        tags=MEAN,
        newton_error=0.01,
    ),
    Model("Logistic-l1", _mixed(1), BINARY, newton_error=0.08, group_error=0.02),
    Model("Logistic-l1-3", _mixed(1), THREE, fit_error=1e-5, newton_error=0.15),
    Model("Logistic-l1-weighted", _mixed(1), BINARY, weighted=True, newton_error=0.08),
    Model("Logistic-elastic-net", _mixed(0.5), BINARY, newton_error=0.15),
    Model(
        "Logistic-elastic-net-3",
        _mixed(0.5),
        THREE,
        fit_error=1e-5,
        weighted=True,
        newton_error=0.1,
        group_error=0.07,
    ),
    Model(
        "Logistic-l1-liblinear",
        _mixed(1, solver="liblinear", intercept_scaling=3.0),
        BINARY,
        weighted=True,
        newton_error=0.1,
    ),
]

GRADIENT_DESCENT = [
    Model(
        "SGDClassifier-log", _sgd(SGDClassifier, loss="log_loss"), BINARY, **SGD, newton_error=0.02
    ),
    Model(
        "SGDClassifier-log-3", _sgd(SGDClassifier, loss="log_loss"), THREE, **SGD, newton_error=0.02
    ),
    Model(
        "SGDClassifier-log-weighted",
        _sgd(SGDClassifier, loss="log_loss", class_weight=WEIGHTS),
        BINARY,
        weighted=True,
        **SGD,
        newton_error=0.07,
    ),
    Model(
        "SGDClassifier-hinge",
        _sgd(SGDClassifier),
        BINARY,
        t=0.1,
        tags=ROWS,
        fit_error=None,
        newton_error=0.0001,
    ),
    Model(
        "SGDClassifier-squared-hinge",
        _sgd(
            SGDClassifier,
            loss="squared_hinge",
            learning_rate="invscaling",
            eta0=0.3,
            power_t=0.75,
        ),
        BINARY,
        **{**SGD, "fit_error": 1e-2},
        newton_error=0.01,
    ),
    Model(
        "SGDClassifier-modified-huber",
        _sgd(SGDClassifier, loss="modified_huber"),
        FLIPPED,
        **SGD,
        newton_error=0.01,
    ),
    Model(
        "SGDClassifier-squared-error",
        _sgd(SGDClassifier, loss="squared_error"),
        BINARY,
        **SGD,
    ),
    *[
        Model(f"SGDClassifier-{name}", _sgd(SGDClassifier, **params), data, **{**SGD, **more})
        for name, params, data, more in (
            (
                "balanced",
                {"loss": "log_loss", "class_weight": "balanced"},
                BINARY,
                {"weighted": True, "newton_error": 0.08},
            ),
            (
                "l1",
                {"loss": "log_loss", "penalty": "l1", "alpha": 0.01},
                BINARY,
                {"newton_error": 0.05, "group_error": 0.19},
            ),
            (
                "elastic-net",
                {"loss": "log_loss", "penalty": "elasticnet"},
                BINARY,
                {"newton_error": 0.02, "group_error": 0.25},
            ),
            # .009, .03 or .06, by which of the rows of equal slope are chosen: they cross a kink.
            ("huber", {"loss": "huber", "epsilon": 0.5}, BINARY, {"newton_error": 0.07}),
            (
                "squared-epsilon",
                {"loss": "squared_epsilon_insensitive"},
                BINARY,
                {"newton_error": 0.03},
            ),
            (
                "epsilon",
                {"loss": "epsilon_insensitive"},
                BINARY,
                {"t": 0.1, "fit_error": None, "newton_error": 0.01},
            ),
        )
    ],
    Model("SGDRegressor-l1", _sgd(SGDRegressor, penalty="l1", alpha=0.3), SPARSE, **SGD),
    Model(
        "SGDRegressor-elastic-net",
        _sgd(SGDRegressor, penalty="elasticnet", alpha=0.5, l1_ratio=0.8),
        SPARSE,
        weighted=True,
        **SGD,
    ),
    Model("SGDRegressor", _sgd(SGDRegressor), REAL, weighted=True, **SGD),
    Model(
        "SGDRegressor-huber",
        _sgd(SGDRegressor, loss="huber", epsilon=1.0),
        REAL,
        **SGD,
        newton_error=0.03,
    ),
    Model(
        "SGDRegressor-epsilon",
        _sgd(SGDRegressor, loss="epsilon_insensitive", epsilon=0.2),
        REAL,
        t=0.1,
        fit_error=None,
        tags=ROWS,
        newton_error=0.02,
    ),
    Model(
        "SGDRegressor-squared-epsilon",
        _sgd(SGDRegressor, loss="squared_epsilon_insensitive", epsilon=0.2),
        REAL,
        **SGD,
        newton_error=0.02,
    ),
]

KERNEL = [
    Model(
        "KernelRidge-rbf", KernelRidge(alpha=0.5, kernel="rbf", gamma=0.3), SMALL_REAL, tags=DENSE
    ),
    Model(
        "KernelRidge-poly",
        KernelRidge(alpha=2.0, kernel="poly", degree=2, gamma=0.3, coef0=1.0),
        SMALL_REAL,
        weighted=True,
    ),
    Model(
        "KernelRidge-3",
        KernelRidge(alpha=0.5, kernel="rbf", gamma=0.3),
        SMALL_REALS,
        weighted=True,
    ),
    *[
        Model(
            f"SVC-{name}",
            SVC(**{"tol": 1e-8, **params}),
            data,
            t=0.1,
            fit_error=None,
            **more,
            newton_error=1e-4,
        )
        for name, params, data, more in (
            ("rbf", {"gamma": 0.3}, SMALL, {}),
            ("linear", {"kernel": "linear", "C": 0.5}, SMALL, {}),
            ("poly", {"kernel": "poly", "degree": 2, "gamma": 0.3, "coef0": 1.0}, SMALL, {}),
            ("3", {"gamma": 0.3, "decision_function_shape": "ovo"}, SMALL_THREE, {}),
            ("weighted", {"gamma": 0.3, "class_weight": WEIGHTS}, SMALL, {"weighted": True}),
            ("sigmoid", {"kernel": "sigmoid", "gamma": 0.001, "C": 20.0}, WIDE, {}),
            ("function", {"kernel": quadratic, "C": 0.5}, SMALL, {"tags": DENSE}),
        )
    ],
    Model(
        "SVC-balanced",
        SVC(gamma=0.3, class_weight="balanced", tol=1e-8),
        SMALL,
        weighted=True,
        t=0.1,
        fit_error=None,
        tags=ROWS,
        newton_error=0.0001,
    ),
    Model(
        "SVR-rbf",
        SVR(gamma=0.3, epsilon=0.2, tol=1e-8),
        SMALL_REAL,
        weighted=True,
        t=0.1,
        fit_error=None,
        newton_error=0.0001,
    ),
    Model(
        "SVR-poly",
        SVR(kernel="poly", degree=2, gamma=0.3, coef0=1.0, epsilon=0.2, tol=1e-8),
        SMALL_REAL,
        t=0.1,
        fit_error=None,
        newton_error=0.0001,
    ),
    Model("GaussianProcess-3", _gaussian_process(), SMALL_REALS, tags=UNWEIGHTED | DENSE),
    Model("GaussianProcess", _gaussian_process(), SMALL_REAL, tags=UNWEIGHTED | DENSE),
    Model(
        "GaussianProcess-alphas",
        _gaussian_process(alpha=np.linspace(0.05, 0.5, 40)),
        SMALL_REAL,
        tags=UNWEIGHTED | DENSE | {"fixed"},
    ),
]

META = [
    Model(
        "OneVsRest-logistic",
        OneVsRestClassifier(_logistic()),
        THREE,
        tags=UNWEIGHTED,
        newton_error=0.04,
    ),
    Model(
        "OneVsRest-svc",
        OneVsRestClassifier(_linear_svc()),
        THREE,
        tags=UNWEIGHTED,
        newton_error=0.15,
    ),
    Model(
        "OneVsRest-labels",
        OneVsRestClassifier(_logistic()),
        LABELS,
        tags=UNWEIGHTED,
        newton_error=0.01,
    ),
    Model(
        "OneVsRest-hinge",
        OneVsRestClassifier(_hinge()),
        THREE,
        t=0.1,
        fit_error=None,
        tags=UNWEIGHTED,
        newton_error=0.0001,
    ),
    Model(
        "OneVsRest-kernel",
        OneVsRestClassifier(SVC(gamma=0.3, tol=1e-8)),
        SMALL_THREE,
        t=0.1,
        fit_error=None,
        tags=UNWEIGHTED,
        newton_error=0.0001,
    ),
    Model(
        "OneVsRest-descent",
        OneVsRestClassifier(_sgd(SGDClassifier, loss="log_loss")),
        SMALL_THREE,
        fit_error=1e-3,
        tags=ROWS | UNWEIGHTED,
        newton_error=0.02,
    ),
    Model(
        "OneVsOne-hinge",
        OneVsOneClassifier(_hinge()),
        THREE,
        t=0.1,
        fit_error=None,
        tags=UNWEIGHTED,
        newton_error=0.0001,
    ),
    Model(
        "OneVsOne-logistic",
        OneVsOneClassifier(_logistic()),
        THREE,
        tags=UNWEIGHTED,
        newton_error=0.01,
    ),
    Model(
        "MultiOutput-ridge",
        MultiOutputRegressor(Ridge(5.0, solver="svd")),
        REALS,
        weighted=True,
        tags=DENSE,
    ),
    Model(
        "MultiOutput-poisson",
        MultiOutputRegressor(_glm(PoissonRegressor)),
        TWO_COUNTS,
        weighted=True,
        tags=MEAN,
        newton_error=0.06,
    ),
    Model(
        "MultiOutput-logistic",
        MultiOutputClassifier(_logistic()),
        TWO_LABELS,
        weighted=True,
        newton_error=0.05,
    ),
    Model(
        "TransformedTarget",
        TransformedTargetRegressor(Ridge(5.0, solver="svd"), func=np.log, inverse_func=np.exp),
        AMOUNTS,
        tags=UNWEIGHTED | DENSE,
    ),
    Model(
        "TransformedTarget-weighted",
        TransformedTargetRegressor(Ridge(5.0, solver="svd"), func=np.log, inverse_func=np.exp),
        AMOUNTS,
        weighted=True,
        tags=DENSE,
    ),
    Model(
        "TransformedTarget-pipeline",
        TransformedTargetRegressor(
            make_pipeline(PolynomialFeatures(2, include_bias=False), Ridge(5.0, solver="svd")),
            func=np.log,
            inverse_func=np.exp,
        ),
        AMOUNTS,
        tags=UNWEIGHTED | DENSE,
    ),
    Model(
        "GridSearch-hinge",
        GridSearchCV(_hinge(), {"C": [1e-6, 0.3]}, cv=3),
        BINARY,
        t=0.1,
        fit_error=None,
        newton_error=0.0001,
    ),
    Model(
        "GridSearch",
        GridSearchCV(Ridge(solver="svd"), {"alpha": [1.0, 5.0]}, cv=3),
        REAL,
        weighted=True,
        tags=DENSE,
    ),
    Model("GridSearch-pipeline", _scaled_ridge(), REAL, tags=UNWEIGHTED | DENSE),
]

MODELS = LINEAR_SVM + GLM + L1 + GRADIENT_DESCENT + KERNEL + META
