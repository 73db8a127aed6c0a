"""What is asked of a wrapper: parameters, test rows and targets, refused before anything costs."""

from __future__ import annotations

from numbers import Integral, Number, Real
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import is_classifier
from sklearn.utils import assert_all_finite, check_consistent_length
from sklearn.utils.validation import validate_data

from skinfluence.adapters import features_of, final_step, is_smoothed, recorded, searches
from skinfluence.curvature import KINDS
from skinfluence.effects import target_of
from skinfluence.objectives import Objective, OutputObjective

Array = npt.NDArray[Any]

METHODS = ("auto", "first_order", "newton", "exact", "tracin")


def check_method(method: str) -> None:
    """Refuse an unknown method."""
    if method not in METHODS:
        raise ValueError(f"method={method!r} was given; accepted are {METHODS}.")


def check_traced(estimator: Any, *, answered: bool) -> None:
    """Refuse "tracin" where a question has no answer along a path, or a model kept none."""
    if not answered:
        raise ValueError(
            "method='tracin' was given, but it follows the gradient steps of single rows, and "
            "knows no model without them; influence_scores, influence and self_influence accept "
            "it. Pass method='first_order', 'newton' or 'exact' here."
        )
    name, record = type(final_step(estimator)).__name__, recorded(estimator)
    if record is None:
        raise ValueError(
            f"method='tracin' was given, but {name} kept no checkpoints of its training; a "
            f"RecordedTraining is accepted. Wrap RecordedTraining({name}(...)), as the last step "
            "where there is a Pipeline, and fit again."
        )
    if not record.checkpoints_:
        raise ValueError(
            f"method='tracin' was given, but this {name} comes from `without` and was not trained "
            "on the rows it has. Score the model it comes from, or fit on these rows."
        )


def check_parameters(wrapper: Any, inner: Any) -> None:
    """Refuse parameters of the wrapper that are out of their range."""
    check_method(wrapper.method)
    if wrapper.curvature not in KINDS:
        raise ValueError(f"curvature={wrapper.curvature!r} was given; accepted are {KINDS}.")
    damping: Any = wrapper.damping
    if not (isinstance(damping, Real) and float(damping) >= 0):
        raise ValueError(
            f"damping={damping!r} was given; a number >= 0 in the units of the Hessian "
            "of the summed loss is accepted."
        )
    if wrapper.refine not in ("auto", True, False):
        raise ValueError(
            f"refine={wrapper.refine!r} was given; accepted are 'auto', True and False."
        )
    temperature: Any = wrapper.temperature
    if temperature is None:
        return
    number = isinstance(temperature, Real) and not isinstance(temperature, bool)
    if not (number and 0 < float(temperature) < np.inf):
        raise ValueError(
            f"temperature={temperature!r} was given; a positive number in the units of the raw "
            "predictions, or None, is accepted."
        )
    if not (searches(inner) or is_smoothed(final_step(inner))):
        raise ValueError(
            f"temperature={temperature!r} was given, but it smooths hinges only and "
            f"{type(final_step(inner)).__name__} with these parameters has none; leave "
            "temperature=None."
        )


def weights_per_row(sample_weight: Any, X: Any) -> Any:
    """Return sample weights as they were given, a single number repeated for every row.

    Raises
    ------
    ValueError
        For a negative weight: scikit-learn fits some models with one, to no minimum.
    """
    if isinstance(sample_weight, Number):
        sample_weight = np.full(X.shape[0] if hasattr(X, "shape") else len(X), sample_weight)
    given = None if sample_weight is None else np.asarray(sample_weight)
    if given is not None and given.dtype.kind in "if" and np.any(given < 0):
        wrong = np.flatnonzero(given.ravel() < 0)
        raise ValueError(
            f"Negative sample weights were given ({len(wrong)}, the first "
            f"{given.ravel()[wrong[0]]:g} at row {wrong[0]}); weights >= 0 are accepted. With a "
            "negative weight the fit may have no minimum: leave the row out, or pass 0."
        )
    return sample_weight


def objective_over(
    wrapper: Any,
    objective: Objective,
    X: Any,
    y: Any,
    *,
    target: str = "loss",
    output: Any = None,
    kind: str = "test",
) -> Objective:
    """Return the objective over test (or new) rows; refuse rows, labels and outputs it lacks."""
    _check_rows_given(X, kind)
    if y is None and target == "loss":
        raise ValueError(
            f"target='loss' was asked for without y_{kind}, and a loss needs the true targets. "
            f"Pass y_{kind}, or another target."
        )
    if y is not None:
        check_targets(y, X, classifier=is_classifier(wrapper), kind=kind)
    _check_output(output, target, classifier=is_classifier(wrapper))
    features = features_of(wrapper.estimator_, X)
    if np.ndim(features) != 2:
        raise ValueError(
            f"X_{kind} of {np.ndim(features)} dimension(s) was given; {kind} rows of shape "
            f"(n_{kind}, n_features) are accepted. Pass one row as X_{kind}.reshape(1, -1), or "
            "frame.iloc[[i]]."
        )
    validate_data(final_step(wrapper.estimator_), features, reset=False, skip_check_array=True)
    try:
        assert_all_finite(features, input_name=f"X_{kind}")
    except ValueError as error:
        raise ValueError(
            f"{error} Finite features are accepted by the final step: drop these rows, or "
            "impute them in a step of the Pipeline."
        ) from error
    test = objective.on(features, y if target == "loss" else None)
    if isinstance(test, OutputObjective):
        target_of(target, test, y, output)
    return test


def _check_rows_given(X: Any, kind: str) -> None:
    scalar = isinstance(X, str) or getattr(X, "shape", None) == ()
    if scalar or not (hasattr(X, "shape") or hasattr(X, "__len__")):
        raise ValueError(
            f"X_{kind}={X!r} was given; {kind} rows of shape (n_{kind}, n_features) are accepted. "
            "Pass rows like those of fit."
        )
    if (X.shape[0] if hasattr(X, "shape") else len(X)) == 0:
        raise ValueError(f"X_{kind} has no rows; at least one {kind} row is needed.")


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


def _check_output(output: Any, target: str, *, classifier: bool) -> None:
    if output is None:
        return
    if target == "loss" or classifier:
        raise ValueError(
            f"output={output!r} was given with target={target!r}, but the loss is summed over "
            "the outputs and the class of a classifier is chosen by y_test. Leave output=None."
        )
    if isinstance(output, bool) or not isinstance(output, Integral):
        raise ValueError(
            f"output={output!r} was given; the position of an output, an integer, is accepted. "
            "Count the columns of y from 0."
        )


def labels_of(X: Any, n_rows: int) -> Array:
    """Return the index of a frame, or positions."""
    return np.asarray(X.index) if hasattr(X, "iloc") else np.arange(n_rows)
