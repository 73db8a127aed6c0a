"""Samplers in a Pipeline: rows given to it that its final step sees several times, or never.

A row that was drawn k times is one row of weight k. So the rows of an objective stay those given,
with as much weight as they were drawn, and 0 for rows that were not: the copies of a row leave
together, and a row that was not drawn has no effect. That this is the objective of the fit is
looked at, since some models count rows rather than weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import has_fit_parameter

from skinfluence.adapters.kernels import same_rows
from skinfluence.adapters.registry import adapt
from skinfluence.objectives import KernelFeatures, Objective
from skinfluence.objectives.features import as_table
from skinfluence.typing import Array

_INSTEAD = (
    "Weigh rows instead of drawing them (sample_weight, or class_weight of the final step), or "
    "resample beforehand and fit on the rows that gives."
)


@dataclass(frozen=True)
class Training:
    """What the final step was fitted on."""

    X: Any
    y: Any
    sample_weight: Any


def draws(step: Any) -> bool:
    """Return whether a step of a Pipeline is a sampler, as imbalanced-learn has them."""
    return hasattr(step, "fit_resample")


def drawn(values: Any, rows: Array) -> Any:
    """Return targets, or rows of a table, as they were drawn.

    Raises
    ------
    ValueError
        Where there are not that many rows.
    """
    table = sparse.csr_matrix(values) if sparse.issparse(values) else np.asarray(values)
    if rows.max(initial=-1) >= table.shape[0]:
        raise ValueError(
            f"{table.shape[0]} rows were given, and the samplers of the Pipeline drew row "
            f"{rows.max()}: these are not the rows it was fitted on. Pass those."
        )
    return table[rows]


def rows_of_samplers(pipeline: Any) -> Array | None:
    """Return which rows the samplers of one fitted Pipeline drew, None where it has none.

    Raises
    ------
    ValueError
        For a sampler that does not say.
    """
    rows = None
    for _, step in pipeline.steps[:-1]:
        if not draws(step):
            continue
        own = getattr(step, "sample_indices_", None)
        if own is None:
            raise ValueError(
                f"{type(step).__name__} was given in a Pipeline; it makes rows that were not "
                "given, or does not say which it drew (sample_indices_), so that no influence can "
                "be assigned to the training rows. Samplers that draw rows, such as "
                f"RandomOverSampler or RandomUnderSampler, are accepted. {_INSTEAD}"
            )
        rows = np.asarray(own) if rows is None else rows[own]
    return rows


def refuse_other_rows(training: Training, y: Any) -> None:
    """Refuse a final step that saw other targets than those given, or in another order."""
    if not _same_targets(training.y, y):
        n_rows, n_given = np.shape(training.y)[0], np.shape(y)[0]
        raise ValueError(
            f"The final step was fitted on {n_rows} rows, of {n_given} given, whose targets are "
            "not those given, in their order: a step of the Pipeline drops, adds or reorders rows, "
            "or changes targets, and does not say how. Do that beforehand, and fit on the result."
        )


def counted(final: Any, training: Training, X: Any, y: Any, rows: Array) -> Training:
    """Return all rows, each with as much weight as it was drawn.

    Parameters
    ----------
    final : estimator
        The fitted final step.
    training : Training
        What it was fitted on, row `rows[j]` of those given as row j.
    X, y
        Features and targets of the rows given, as the final step sees them.
    rows : ndarray of int

    Raises
    ------
    ValueError
        Where the final step saw other rows than these, or minimised something else than the
        objective of weighted rows.
    """
    n_rows, n_given = len(rows), np.shape(y)[0]
    if not (
        same_rows(as_table(training.X), drawn(as_table(X), rows))
        and _same_targets(training.y, drawn(y, rows))
    ):
        raise ValueError(
            f"The final step was fitted on {n_rows} rows that are not those, of {n_given} given, "
            "which its samplers drew: the features of a row differ between its copies, or between "
            f"fit_transform and transform (smoothed copies, a TargetEncoder). {_INSTEAD}"
        )
    name = type(final).__name__
    weighed = Training(X, y, np.bincount(rows, minlength=n_given).astype(np.float64))
    if not (
        has_fit_parameter(final, "sample_weight") and _is_weighed(final, training, weighed, rows)
    ):
        raise ValueError(
            f"{name} was given behind a sampler; with these parameters it takes no sample_weight, "
            "counts rows, or has a coefficient for each, so that a row drawn k times is not one of "
            "weight k. Final steps that minimise a sum over weighted rows, such as "
            f"LogisticRegression or Ridge, are accepted. {_INSTEAD}"
        )
    return weighed


def _is_weighed(final: Any, training: Training, weighed: Training, rows: Array) -> bool:
    """Return whether rows of weight k have the objective of rows drawn k times."""
    of_copies = adapt(final, training.X, training.y, None)
    if isinstance(getattr(of_copies, "features", None), KernelFeatures):
        return False
    of_rows = adapt(final, weighed.X, weighed.y, weighed.sample_weight)
    pairs = [
        (of_copies.theta, of_rows.theta),
        (of_copies.l2, of_rows.l2),
        (_l1(of_copies), _l1(of_rows)),
        (_summed(of_copies.sample_weight, rows, of_rows), of_rows.sample_weight),
        (_summed(of_copies.weighting.counted(), rows, of_rows), of_rows.weighting.counted()),
    ]
    return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=0) for a, b in pairs)


def _l1(objective: Objective) -> Array:
    l1 = getattr(objective, "l1", None)
    return np.zeros(objective.n_params) if l1 is None else np.asarray(l1)


def _summed(of_copies: Array, rows: Array, of_rows: Objective) -> Array:
    """Return what the copies of each row add up to."""
    out = np.zeros((of_rows.n_samples, *of_copies.shape[1:]))
    np.add.at(out, rows, of_copies)
    return out


def _same_targets(found: Any, given: Any) -> bool:
    """Return whether targets are those given, in their order; transformed ones but for rounding."""
    if found is given:
        return True
    if sparse.issparse(found) or sparse.issparse(given):
        return np.shape(found) == np.shape(given) and abs(found - given).max() == 0
    found, given = (np.asarray(y) for y in (found, given))
    if found.shape[0] != given.shape[0] or found.size != given.size:
        return False
    found = found.reshape(given.shape)
    if found.dtype.kind == "f" and given.dtype.kind == "f":
        tolerance = 1e-6 * float(np.abs(given).max(initial=0.0))
        return bool(np.allclose(found, given, rtol=1e-6, atol=tolerance, equal_nan=True))
    return bool(np.array_equal(found, given))
