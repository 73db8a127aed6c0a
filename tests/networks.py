"""The table of networks: a row each, which inherits every test of networks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor

from tests.cases import Data, classification, regression

OLD = sklearn.__version__.startswith("1.6.")
"""Networks take no sample_weight there, and have no Poisson loss."""

# ------------------------------------------------------------------------------------------ data


def _with_targets(data, change):
    """Return the data with targets that are made of the features and the old ones."""
    return replace(
        data, y=change(data.X, data.y, 0), y_test=change(data.X_test, data.y_test, len(data.y))
    )


def _bent(X, y, skip):
    return y + 1.5 * np.sin(2.0 * X[:, :1] if y.ndim == 2 else 2.0 * X[:, 0])


def _labels(X, y, skip):
    """Return three labels per row, of which a row may have any."""
    rng = np.random.default_rng(7)
    noise = rng.standard_normal((skip + len(X), 3))[skip:]
    rule = np.array([[1.0, 0.5, -0.5], [-0.5, 1.0, 0.3], [0.2, -0.4, -1.0]])
    return (X @ rule + noise > 0.2).astype(int)


def _counts(X, y, skip):
    rng = np.random.default_rng(8)
    u = rng.random(skip + len(X))[skip:]
    mean = np.exp(0.5 * X[:, 0] - 0.4 * X[:, 1] + 0.3)
    return np.floor(mean - 1.5 * np.log(u)) * 1.0


def _sparse(data):
    """Return the data with many zeros in X."""
    return replace(
        data,
        X=np.where(np.abs(data.X) > 0.7, data.X, 0.0),
        X_test=np.where(np.abs(data.X_test) > 0.7, data.X_test, 0.0),
    )


BINARY = classification(n=50, p=3, n_test=8, labels=["no", "yes"])
# Early stopping of scikit-learn 1.6.0 fails for labels that are strings.
NUMBERED = classification(n=50, p=3, n_test=8)
THREE = classification(n=50, p=3, n_test=8, n_classes=3, labels=["a", "b", "c"])
MANY = _with_targets(classification(n=50, p=3, n_test=8), _labels)
REAL = _with_targets(regression(n=50, p=3, n_test=8), _bent)
REALS = _with_targets(regression(n=50, p=3, n_test=8, n_outputs=2), _bent)
COUNTED = _with_targets(regression(n=50, p=3, n_test=8), _counts)
COUNTEDS = _with_targets(COUNTED, lambda X, y, skip: np.column_stack([y, _counts(-X, y, skip)]))


@dataclass(frozen=True)
class Network:
    """A network, its data, and what can be asked of it.

    Attributes
    ----------
    tags : frozenset of str
        "sparse": fitted on a sparse X; "kinked": an activation with kinks, on which minima may lie.
    """

    name: str
    estimator: Any
    data: Data
    weighted: bool = False
    tags: frozenset[str] = field(default_factory=frozenset)

    @property
    def s(self):
        return self.data.s if self.weighted else None


def network(name, data, sizes=(3,), activation="tanh", *, tags="", weighted=False, **params):
    """Return a row of the table; alpha is large enough for one clear basin."""
    labels = np.asarray(data.y).dtype.kind in "UOi"
    kind = MLPClassifier if labels else MLPRegressor
    given = {"solver": "lbfgs", "alpha": 0.5, "max_iter": 500, "random_state": 0, **params}
    estimator = kind(hidden_layer_sizes=sizes, activation=activation, **given)
    return Network(name, estimator, data, weighted, frozenset(tags.split()))


STOCHASTIC = {"max_iter": 150, "learning_rate_init": 0.02}
EARLY = {**STOCHASTIC, "early_stopping": True}

TABLE = [
    network("binary-0", BINARY, ()),
    network("three-0", THREE, ()),
    network("binary-tanh", BINARY),
    network("binary-logistic-2", BINARY, (3, 2), "logistic", alpha=0.05),
    network("binary-relu", BINARY, (4,), "relu", tags="kinked"),
    network("binary-identity", BINARY, (2,), "identity"),
    network("three-tanh", THREE),
    network("three-relu-3", THREE, (4, 3, 3), "relu", alpha=0.1, tags="kinked"),
    network("three-logistic", THREE, (3,), "logistic", alpha=0.1),
    network("labels-tanh", MANY),
    network("real-tanh", REAL),
    network("real-tanh-3", REAL, (3, 3, 2)),
    network("real-identity-2", REAL, (2, 2), "identity"),
    network("reals-tanh", REALS),
    network("reals-logistic-2", REALS, (3, 3), "logistic", alpha=0.05),
    network("binary-tanh-sparse", _sparse(BINARY), (4,), tags="sparse"),
    network("reals-relu-sparse", _sparse(REALS), (4,), "relu", tags="sparse kinked"),
    network("three-adam", THREE, solver="adam", **STOCHASTIC),
    network("reals-adam", REALS, solver="adam", **STOCHASTIC),
    network("real-sgd-batches", REAL, solver="sgd", batch_size=16, alpha=0.1, **STOCHASTIC),
    network("binary-adam-batches", BINARY, solver="adam", batch_size=15, alpha=0.1, **STOCHASTIC),
    network("real-adam-early", REAL, solver="adam", **EARLY),
    network("binary-sgd-early", NUMBERED, solver="sgd", **EARLY),
    network(
        "labels-adam-early", MANY, solver="adam", early_stopping=True, batch_size=20, **STOCHASTIC
    ),
]
if not OLD:
    TABLE += [
        network("reals-0", REALS, (), weighted=True),
        network("binary-tanh-weighted", BINARY, (4,), weighted=True),
        network("three-tanh-weighted", THREE, (3, 3), weighted=True),
        network("labels-relu-2-weighted", MANY, (3, 3), "relu", weighted=True, tags="kinked"),
        network("real-relu-weighted", REAL, (4,), "relu", weighted=True, tags="kinked"),
        network("counts-tanh", COUNTED, loss="poisson"),
        network("counts-both", COUNTEDS, loss="poisson"),
        network("counts-2-weighted", COUNTED, (3, 2), "logistic", loss="poisson", weighted=True),
        network("real-adam-weighted", REAL, solver="adam", weighted=True, **STOCHASTIC),
    ]
NAMED = {one.name: one for one in TABLE}
