"""Refits of networks: on from fitted weights, by scikit-learn's own solvers, to the very bottom.

The objective of a network has many minima, and a cold refit ends in any of them. What a row does to
*this* network is seen by going on from its weights. L-BFGS alone is a poor judge: it stops where
the mean loss falls by less than 2e-9 a step, whatever its tolerance, and for several targets its
line search is given the mean of what its gradient sums. So gradient descent with momentum and all
rows in one batch, which looks at gradients only, goes on from there: the same objective again,
since a batch of all rows has the penalty of L-BFGS.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy, deepcopy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import gen_batches

from skinfluence.typing import Array

NETWORKS = (MLPClassifier, MLPRegressor)

MOMENTUM = 0.99
ROUND = 500
"""Epochs between two looks at the gradient."""

TOLERANCE = 1e-8
"""Gradient at which a refit is done, over the largest curvature (so a length of parameters)."""

OPERATIONS = 5e10
"""Additions and multiplications that one refit may take beyond its first two rounds.

Where a fifth of one round is more than that, L-BFGS has the last word.
"""


class WarmStart(BaseEstimator):
    """A network that is fitted by going on from fitted weights; `clone` keeps these.

    Parameters
    ----------
    start : MLPClassifier or MLPRegressor
        Fitted; where every `fit` begins. Never changed.
    alpha : float
        Penalty of the sum over all rows.
    n_rows : int or None, default=None
        How many rows that is, where a fit on fewer has less of it in proportion.

    Attributes
    ----------
    fitted_ : MLPClassifier or MLPRegressor
    """

    def __init__(self, start: Any, alpha: float, n_rows: int | None = None) -> None:
        self.start = start
        self.alpha = alpha
        self.n_rows = n_rows

    @classmethod
    def of(cls, net: Any, n_rows: int) -> WarmStart:
        """Return the one of a network fitted on some number of rows, at its own weights.

        Where alpha counts in every batch, a row that leaves takes its share of the penalty along.
        That the batches of one row less may be cut otherwise (401 rows in batches of 200 have one
        of a single row, which multiplies the penalty by 67) is no effect of the row.
        """
        in_proportion = net.solver != "lbfgs" and _batch_size(net, n_rows) < n_rows
        return cls(net, summed_penalty(net, n_rows), n_rows if in_proportion else None)

    def __sklearn_clone__(self) -> WarmStart:
        other: WarmStart = copy(self)
        return other

    def starting_at(self, fitted: Any) -> WarmStart:
        """Return another that begins at other fitted weights."""
        other = copy(self)
        other.start = fitted
        return other

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> WarmStart:
        """Minimise the objective over these rows."""
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        net = deepcopy(self.start).set_params(
            solver="lbfgs",
            alpha=self.alpha * (len(y) / self.n_rows if self.n_rows else 1.0),
            tol=1e-12,
            max_iter=100_000,
            max_fun=1_000_000,
            early_stopping=False,
            warm_start=True,
            verbose=False,
        )
        with _quiet():
            net.fit(X, y, **weights)
        descent = _Descent(net, X, y, weights)
        _put(net, descent.bottom(_taken(net)))
        self.fitted_ = net
        return self

    def predict(self, X: Any) -> Any:
        """Predict with the network, as whatever it is put into may ask for."""
        return self.fitted_.predict(X)


def summed_penalty(estimator: Any, n_rows: int) -> float:
    """Return the l2 of a network's weights where losses are summed over `n_rows` rows.

    Stated anew, not taken from what it judges: a judge shares nothing with that.

    L-BFGS adds alpha to the sum over all rows. The others add it to the sum over each batch: a
    step is along sum_batch g_i / b + alpha W / b, and over the batches of one epoch, rows falling
    into each by chance, that is (1 / n) sum_i g_i + alpha W mean(1 / b).
    """
    if estimator.solver == "lbfgs":
        return float(estimator.alpha)
    batches = gen_batches(n_rows, _batch_size(estimator, n_rows))
    inverse = np.mean([1.0 / (batch.stop - batch.start) for batch in batches])
    return float(estimator.alpha * n_rows * inverse)


def _batch_size(estimator: Any, n_rows: int) -> int:
    size = 200 if estimator.batch_size == "auto" else estimator.batch_size
    return int(np.clip(size, 1, n_rows))


def gradient_norm(net: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
    """Return the Euclidean norm of the gradient of a network's summed objective.

    Measured, not derived: by the step that scikit-learn's gradient descent takes on all rows.

    Parameters
    ----------
    net : MLPClassifier or MLPRegressor
        Fitted; it is not changed.
    X, y, sample_weight
        What it was fitted on.

    Returns
    -------
    float
    """
    weights = {} if sample_weight is None else {"sample_weight": sample_weight}
    same = clone(net).set_params(alpha=summed_penalty(net, len(y)))
    descent = _Descent(same, X, y, weights)
    total = len(y) if sample_weight is None else np.sum(sample_weight)
    return float(total * np.linalg.norm(descent.gradient(_taken(net))))


class _Descent:
    """Gradient descent of scikit-learn with all rows in one batch.

    It minimises the mean form; its penalty is the alpha of `net` over the sum of the weights.
    """

    def __init__(self, net: Any, X: Any, y: Any, weights: dict[str, Any]) -> None:
        self.data = X, y
        self.n_rows = len(y)
        self.weights = weights
        self.net = clone(net).set_params(
            solver="sgd",
            batch_size=len(y),
            shuffle=False,
            early_stopping=False,
            learning_rate="constant",
            tol=0.0,
            n_iter_no_change=np.inf,
            random_state=0,
            verbose=False,
            warm_start=True,
        )
        # A first fit makes the attributes that a warm start needs; its weights are replaced.
        self._fit(rate=1e-12, epochs=1, momentum=0.0)

    def _fit(self, *, rate: float, epochs: int, momentum: float) -> None:
        self.net.set_params(learning_rate_init=rate, max_iter=epochs, momentum=momentum)
        with _quiet(), np.errstate(all="ignore"):
            self.net.fit(*self.data, **self.weights)

    def gradient(self, theta: Array) -> Array:
        """Return the gradient of the mean form: what one step of rate 1 takes away."""
        _put(self.net, theta)
        self._fit(rate=1.0, epochs=1, momentum=0.0)
        return theta - _taken(self.net)

    def curvature(self, theta: Array, gradient: Array) -> float:
        """Return about the largest curvature, by power iteration on differences of gradients."""
        v = np.random.default_rng(0).standard_normal(len(theta))
        size = 0.0
        step = 1e-5 * max(1.0, float(np.linalg.norm(theta)))
        for _ in range(20):
            v *= step / np.linalg.norm(v)
            v = self.gradient(theta + v) - gradient
            size = float(np.linalg.norm(v)) / step
            if size == 0.0:
                break
        return size

    def bottom(self, theta: Array) -> Array:
        """Return the parameters where the gradient stops falling."""
        rounds = self._rounds(len(theta))
        if rounds == 0:
            return theta
        gradient = self.gradient(theta)
        largest = self.curvature(theta, gradient)
        if largest == 0.0:
            return theta
        norm = np.linalg.norm(gradient)
        for _ in range(rounds):
            if norm <= TOLERANCE * largest:
                break
            _put(self.net, theta)
            with suppress(ValueError):  # weights that are not finite
                # Nesterov's steps are stable up to a rate of 4/3 over the curvature.
                self._fit(rate=0.8 / largest, epochs=ROUND, momentum=MOMENTUM)
            moved = _taken(self.net)
            if not np.all(np.isfinite(moved)):
                break
            before, norm = norm, np.linalg.norm(self.gradient(moved))
            if not norm < before:
                break
            theta = moved
            if norm > 0.9 * before:
                break
        return theta

    def _rounds(self, n_params: int) -> int:
        # Forward, and backward twice, a multiplication and an addition each.
        affordable = OPERATIONS / (6.0 * self.n_rows * n_params * ROUND)
        return 2 + int(min(affordable, 10)) if affordable > 0.2 else 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Ignore what scikit-learn says of tolerances nobody reaches, and of columns for targets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", DataConversionWarning)
        yield


def _taken(net: Any) -> Array:
    return np.concatenate([np.ravel(part) for part in (*net.coefs_, *net.intercepts_)]).astype(
        np.float64
    )


def _put(net: Any, theta: Array) -> None:
    shapes = [part.shape for part in (*net.coefs_, *net.intercepts_)]
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
    parts = [
        part.reshape(shape).copy()
        for part, shape in zip(np.split(theta, ends[:-1]), shapes, strict=True)
    ]
    depth = len(net.coefs_)
    net.coefs_, net.intercepts_ = parts[:depth], parts[depth:]
