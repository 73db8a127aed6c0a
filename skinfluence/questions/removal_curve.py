"""Refits without more and more of the rows that help, or harm, most."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
import sklearn
from sklearn.utils import check_random_state

from skinfluence.inspection import RemovalCurve
from skinfluence.process.progress import take_less
from skinfluence.process.row_names import length_of
from skinfluence.questions.cross_fitting import masks_of
from skinfluence.questions.evaluation import accepted_features, as_array
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.left_out import loss_of
from skinfluence.questions.refits import Refits
from skinfluence.questions.rows import by_label, emptied_classes
from skinfluence.questions.scoring import Asked, influence_scores
from skinfluence.retraining import Judge, with_choices_frozen
from skinfluence.typing import Array

BASELINES = ("random", "largest_loss")

_NO_ROW = np.empty(0, dtype=int)

_RANKED_ONCE = (
    "Rows are ranked once, each by what it does alone; every loss is of a fit without the first of "
    "them."
)
_FLATTERED = (
    "The rows that ranked the training rows measure the loss, too, which flatters: the curves of "
    "helpful and harmful rows lie further out than on fresh rows. Pass measured_on=(X, y)."
)


@by_label
def removal_curve(
    fitted: Fitted,
    X_test: Any,
    y_test: Any,
    *,
    fractions: Any,
    measured_on: Any = None,
    baselines: Any = BASELINES,
    n_repetitions: Any = 5,
    method: str | None = None,
    random_state: Any = 0,
) -> RemovalCurve:
    """See `skinfluence.removal_curve`."""
    counts = _counts(fractions, fitted.n_train)
    repetitions = _repetitions(baselines, n_repetitions)
    asked = Asked(X_test, y_test, method=method, aggregate="mean")
    used = fitted.method(method, traced=True)
    X, y = (X_test, y_test) if measured_on is None else _pair(measured_on)
    y = as_array(y)
    features = accepted_features(fitted, X, y)
    scores = influence_scores(fitted, asked)
    orders = {
        "helpful": [np.argsort(-scores, kind="stable")],
        "harmful": [np.argsort(scores, kind="stable")],
        **{name: _orders(fitted, name, n, random_state) for name, n in repetitions.items()},
    }
    rankings = [name for name, several in orders.items() for _ in several]
    removed = [order[:n] for several in orders.values() for order in several for n in counts]
    take_less("fewer fractions=, or a smaller n_repetitions=")
    full, losses = _mean_losses(fitted, X, features, y, removed)
    return RemovalCurve(
        fractions=np.concatenate([[0.0], counts / fitted.n_train]),
        counts=np.concatenate([[0], counts]),
        rankings=np.array(rankings),
        losses=np.column_stack(
            [np.full(len(rankings), full), losses.reshape(len(rankings), len(counts))]
        ),
        n_train=fitted.n_train,
        n_measured=length_of(X),
        method=used,
        loss=loss_of(fitted),
        flatters=measured_on is None,
        assumed=_FLATTERED if measured_on is None else _RANKED_ONCE,
        origin=fitted.origin,
        given=fitted.given,
    )


def _mean_losses(
    fitted: Fitted, X: Any, features: Any, y: Any, removed: list[Array]
) -> tuple[float, Array]:
    """Return mean losses of rows by refits on all training rows, and without each of some sets.

    NaN of a set that takes every row of a class along: a fit without them knows no loss of it.
    """
    with sklearn.config_context(enable_metadata_routing=fitted.routing):
        data = fitted.training
        own = Judge(with_choices_frozen(fitted.final, data.X, data.sample_weight), ())
    possible = np.flatnonzero(_all_classes_stay(fitted, removed))
    sets = [_NO_ROW, *(removed[k] for k in possible)]
    refits = Refits(fitted, y, "loss", None, same_targets=True)
    readings = refits.of_pipeline(own, X, sets) or refits.of_final_step(own, features, sets)
    full, *known = readings.values.mean(axis=0)
    losses = np.full(len(removed), np.nan)
    losses[possible] = known
    return float(full), losses


def _all_classes_stay(fitted: Fitted, removed: list[Array]) -> Array:
    """Return which sets of rows leave rows of every class, shape (n_sets,)."""
    data = fitted.training
    one_label = fitted.classifier and np.ndim(data.y) == 1
    y = data.y if one_label else np.zeros(fitted.n_train)
    emptied = emptied_classes(masks_of(removed, fitted.n_train), y, data.sample_weight)
    stay: Array = ~np.any(emptied, axis=1)
    return stay


def _orders(fitted: Fitted, name: str, n_repetitions: int, random_state: Any) -> list[Array]:
    """Return in which orders a baseline removes the rows."""
    if name == "largest_loss":
        return [np.argsort(-fitted.objective().losses(), kind="stable")]
    rng = check_random_state(random_state)
    return [rng.permutation(fitted.n_train) for _ in range(n_repetitions)]


def _counts(fractions: Any, n_train: int) -> Array:
    """Return how many rows the fractions are, each number once, from the smallest on."""
    given = list(fractions) if isinstance(fractions, Iterable) else [fractions]
    numbers = all(isinstance(each, Real) and not isinstance(each, bool) for each in given)
    if not given or not numbers or not all(0.0 < each < 1.0 for each in given):
        raise ValueError(
            f"fractions={fractions!r} was given; parts of the training rows, each above 0 and "
            "below 1, are accepted, such as (0.05, 0.1, 0.2)."
        )
    counts = np.unique(np.rint(n_train * np.array(given, dtype=np.float64)).astype(int))
    if counts[0] == 0 or counts[-1] == n_train:
        raise ValueError(
            f"fractions={fractions!r} was given, of which one is no row, or every row, of the "
            f"{n_train} there are; parts of at least one row that leave one are accepted."
        )
    return counts


def _repetitions(baselines: Any, n_repetitions: Any) -> dict[str, int]:
    """Return how often each baseline is repeated."""
    names = [baselines] if isinstance(baselines, str) else list(baselines)
    if not set(names) <= set(BASELINES):
        raise ValueError(
            f"baselines={baselines!r} was given; accepted are 'random', 'largest_loss', both or "
            "none: ()."
        )
    whole = isinstance(n_repetitions, Integral) and not isinstance(n_repetitions, bool)
    if not whole or n_repetitions < 1:
        raise ValueError(
            f"n_repetitions={n_repetitions!r} was given; how often random rows are drawn, a number "
            "of 1 or more, is accepted."
        )
    return {name: int(n_repetitions) if name == "random" else 1 for name in names}


def _pair(measured_on: Any) -> tuple[Any, Any]:
    if not isinstance(measured_on, (tuple, list)) or len(measured_on) != 2:
        raise ValueError(
            f"measured_on of type {type(measured_on).__name__} was given; a pair of rows and their "
            "targets is accepted. Pass measured_on=(X, y)."
        )
    X, y = measured_on
    return X, y
