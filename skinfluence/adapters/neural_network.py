"""Adapters of multilayer perceptrons.

scikit-learn minimises sum_i s_i l_i + alpha/2 sum_l |W_l|^2, divided by sum(s), with lbfgs. Its
stochastic solvers take, for each batch of b rows, a step along (sum_batch s_i grad l_i + alpha W) /
sum_batch(s): the penalty counts in full for every batch. Over an epoch of m batches, shuffled, that
is on average the gradient of

    sum_i s_i l_i + 1/2 alpha n mean_j(1 / b_j) |W|^2,

where a row that leaves takes its share of the penalty along (as if batches stayed as full as they
are). For several targets scikit-learn's loss is their mean and its gradient that of the sum: what
it minimises is the sum.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import check_random_state, gen_batches

from skinfluence.adapters.class_weights import row_weights
from skinfluence.adapters.registry import register_adapter
from skinfluence.losses import (
    HalfSquaredError,
    Joint,
    Logistic,
    Loss,
    Multinomial,
    OneVsRest,
    Tweedie,
    encode_labels,
)
from skinfluence.objectives import Averaged, NetworkObjective, Objective, Weighting
from skinfluence.typing import Array

_STOCHASTIC = ("sgd", "adam")


def _check(estimator: Any) -> None:
    name = type(estimator).__name__
    if not (estimator.early_stopping and estimator.solver in _STOCHASTIC):
        return
    if not isinstance(estimator.random_state, Integral):
        raise ValueError(
            f"{name}(early_stopping=True, random_state={estimator.random_state!r}) was given; it "
            "holds some rows out of the fit, at random, and does not say which. Pass an integer "
            "random_state, from which they are known, or early_stopping=False."
        )
    if estimator.warm_start:
        raise ValueError(
            f"{name}(early_stopping=True, warm_start=True) was given; which rows it held out "
            "depends on how often it was fitted. Use warm_start=False."
        )


def held_out(estimator: Any, y: Any) -> Array:
    """Return the rows that early stopping held out of the fit, as scikit-learn drew them.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted, with an integer random_state.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
    """
    if not (estimator.early_stopping and estimator.solver in _STOCHASTIC):
        return np.empty(0, dtype=int)
    random = check_random_state(estimator.random_state)
    for W in estimator.coefs_:  # the weights were drawn first, from the same stream
        random.uniform(size=W.shape)
        random.uniform(size=W.shape[1])
    stratified = isinstance(estimator, MLPClassifier) and estimator.n_outputs_ == 1
    _, out = train_test_split(
        np.arange(len(y)),
        random_state=random,
        test_size=estimator.validation_fraction,
        stratify=encode_labels(y, estimator.classes_) if stratified else None,
    )
    return np.sort(out)


def penalty_of(estimator: Any, n_samples: int) -> float:
    """Return the penalty, in the sum form, of a fit on some number of rows."""
    if estimator.solver not in _STOCHASTIC:
        return float(estimator.alpha)
    batches = gen_batches(n_samples, int(np.clip(_batch_size(estimator), 1, n_samples)))
    each = [1.0 / (batch.stop - batch.start) for batch in batches]
    return float(estimator.alpha) * n_samples * float(np.mean(each))


def _batch_size(estimator: Any) -> int:
    return 200 if estimator.batch_size == "auto" else int(estimator.batch_size)


def _loss(estimator: Any, y: Any) -> Loss:
    K = estimator.n_outputs_
    if isinstance(estimator, MLPRegressor):
        if getattr(estimator, "loss", "squared_error") != "poisson":
            return HalfSquaredError(K)
        return Tweedie(1.0) if K == 1 else Joint(tuple(Tweedie(1.0) for _ in range(K)))
    if np.ndim(y) == 2 and np.shape(y)[1] > 1:
        pair = Logistic(np.array([0, 1]))
        return OneVsRest(pair, np.asarray(estimator.classes_), multilabel=True)
    return Multinomial(estimator.classes_) if K > 1 else Logistic(estimator.classes_)


def _weighting(estimator: Any, n_samples: int, counted: Array) -> Weighting | None:
    """Return how the penalty follows the number of rows: alike, where it is one per batch."""
    if estimator.solver not in _STOCHASTIC or _batch_size(estimator) >= n_samples:
        return None
    return Averaged.of_all(counted)


def _write(estimator: Any, objective: Objective, X: Any) -> None:
    assert isinstance(objective, NetworkObjective)
    if isinstance(objective.weighting, Averaged):
        # The batches of fewer rows are others; the copy has the penalty its parameters are of.
        n, own = objective.n_samples, penalty_of(estimator, objective.n_samples)
        share = n / float(objective.weighting.stratum_totals.sum())
        estimator.alpha *= share * float(objective.l2.max()) / own if own > 0 else 1.0
    coefs, intercepts = objective.weights()
    dtype = estimator.coefs_[0].dtype
    estimator.coefs_ = [W.astype(dtype) for W in coefs]
    estimator.intercepts_ = [b.astype(dtype) for b in intercepts]


@register_adapter(MLPClassifier, MLPRegressor, check=_check, write=_write)
def multilayer_perceptron(estimator: Any, X: Any, y: Any, sample_weight: Any) -> NetworkObjective:
    """Return the objective of a multilayer perceptron."""
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    w = row_weights(sample_weight, len(y))
    trained = np.ones(len(y))
    trained[held_out(estimator, y)] = 0.0
    n_trained = int(trained.sum())
    return NetworkObjective.from_weights(
        X,
        y,
        _loss(estimator, y),
        estimator.coefs_,
        estimator.intercepts_,
        estimator.activation,
        l2=penalty_of(estimator, n_trained),
        sample_weight=w * trained,
        weighting=_weighting(estimator, n_trained, trained),
    )
