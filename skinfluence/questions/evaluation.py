"""Test rows, and rows that may come: what is accepted of them, as an objective over them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite, check_consistent_length, get_tags
from sklearn.utils.validation import validate_data

from skinfluence.adapters import features_of
from skinfluence.effects import target_of
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.process.row_names import length_of, n_dimensions_of
from skinfluence.questions.fitted import Fitted


def accepted_features(
    fitted: Fitted,
    X: Any,
    y: Any,
    *,
    target: str = "loss",
    kind: str = "test",
) -> Any:
    """Return test (or new) rows as the final step sees them; refuse what cannot be one.

    A question asks for them once: what transformers do may cost, or differ from call to call.
    """
    _check_rows_given(X, kind)
    if hasattr(fitted.estimator, "n_features_in_") and _is_one_row(X):
        raise ValueError(_of_dimension(1, kind))  # before y is compared with its numbers
    if n_dimensions_of(fitted.raw.X) == 1 and n_dimensions_of(X) == 2:
        raise ValueError(
            f"X_{kind} of 2 dimensions was given, and the model was fitted on rows of 1 dimension, "
            f"such as texts; X_{kind} like these, shape (n_{kind},), is accepted. Of a frame pass "
            "the column, such as frame['text'] or frame['text'].iloc[[i]]."
        )
    if y is None and target == "loss":
        raise ValueError(
            f"target='loss' was asked for without y_{kind}, and a loss needs the true targets. "
            f"Pass y_{kind}, or another target."
        )
    if y is not None:
        check_targets(y, X, classifier=fitted.classifier, kind=kind)
    features = features_of(fitted.estimator, X)
    if np.ndim(features) != 2:
        raise ValueError(_of_dimension(np.ndim(features), kind))
    # An estimator that keeps no names was given a frame all the same: then only widths can differ.
    nameless = hasattr(fitted.training.X, "iloc") and not hasattr(fitted.final, "feature_names_in_")
    rows = np.asarray(features) if nameless and hasattr(features, "iloc") else features
    validate_data(fitted.final, rows, reset=False, skip_check_array=True)
    _check_finite(features, kind, missing=_takes_missing(fitted.final))
    return features


def _check_finite(features: Any, kind: str, *, missing: bool) -> None:
    """Refuse infinite features, and missing ones unless the final step goes on with them."""
    # A table of objects would be searched for missing values alone.
    numbers = features.select_dtypes("number") if hasattr(features, "select_dtypes") else features
    try:
        assert_all_finite(features, allow_nan=missing, input_name=f"X_{kind}")
        assert_all_finite(numbers, allow_nan=missing, input_name=f"X_{kind}")
    except ValueError as error:
        accepted = "Finite or missing (NaN)" if missing else "Finite"
        raise ValueError(
            f"{error} {accepted} features are accepted by the final step: drop these rows, or "
            "impute them in a step of the Pipeline."
        ) from error


def _takes_missing(final: Any) -> bool:
    """Return whether an estimator says that it goes on with missing values."""
    return hasattr(final, "__sklearn_tags__") and bool(get_tags(final).input_tags.allow_nan)


def objective_over(
    objective: Objective, features: Any, y: Any, *, target: str = "loss", output: Any = None
) -> Objective:
    """Return the objective over rows as the final step sees them; refuse labels it lacks."""
    test = objective.on(features, y if target == "loss" else None)
    if isinstance(test, OutputObjective):
        target_of(target, test, y, output)
    return test


def _is_one_row(X: Any) -> bool:
    if isinstance(X, (list, tuple)):
        return np.ndim(X[0]) == 0
    return bool(getattr(X, "ndim", 2) == 1)


def _of_dimension(ndim: int, kind: str) -> str:
    return (
        f"X_{kind} of {ndim} dimension(s) was given; {kind} rows of shape (n_{kind}, n_features) "
        f"are accepted. Pass one row as X_{kind}.reshape(1, -1), or frame.iloc[[i]]."
    )


def _check_rows_given(X: Any, kind: str) -> None:
    scalar = isinstance(X, str) or getattr(X, "shape", None) == ()
    if scalar or not (hasattr(X, "shape") or hasattr(X, "__len__")):
        raise ValueError(
            f"X_{kind}={X!r} was given; {kind} rows of shape (n_{kind}, n_features) are accepted. "
            "Pass rows like those of fit."
        )
    if length_of(X) == 0:
        raise ValueError(f"X_{kind} has no rows; at least one {kind} row is needed.")


def as_array(y: Any) -> Any:
    """Return targets, a sparse indicator matrix of labels as an array."""
    return y.toarray() if sparse.issparse(y) else y


def check_targets(y: Any, X: Any, *, classifier: bool, kind: str) -> None:
    """Refuse targets that are not one for every row, of a type that can be compared."""
    values = np.asarray(y)
    if values.ndim == 0:
        raise ValueError(
            f"y_{kind}={y!r} was given; one target for every {kind} row, shape (n_{kind},), is "
            f"accepted. For one {kind} row pass [{y!r}]."
        )
    check_consistent_length(X, y)
    if not classifier:
        try:
            values.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"y_{kind} of type {values.dtype} was given and has entries that are no numbers "
                f"({error}); a regressor accepts numbers. Pass targets like those of fit."
            ) from error
        return
    try:
        np.unique(values)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in values.ravel()})
        raise ValueError(
            f"y_{kind} mixes labels of the types {kinds}; labels of one type, as in fit, are "
            "accepted. Drop the rows whose label is missing."
        ) from error
