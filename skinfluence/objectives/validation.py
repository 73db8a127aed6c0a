"""What is accepted of a user's own model: its parameters, penalty, rows, and functions."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import numpy as np
from scipy import sparse

from skinfluence.losses.autograd import depends
from skinfluence.objectives.base import Objective
from skinfluence.process.row_names import named_row
from skinfluence.typing import Array

FEW = 3
"""Rows on which second derivatives are tried out."""

SOME = 100
"""Rows whose losses alone are compared with theirs among all rows."""


def check_arguments(loss: Callable[..., Any], predict: Callable[..., Any] | None) -> None:
    """Refuse functions that cannot be called the way they will be."""
    calls = [("loss", loss, "(eta, y)" if predict is not None else "(theta, X, y)")]
    if predict is not None:
        calls.append(("predict", predict, "(theta, X)"))
    for name, function, arguments in calls:
        try:
            signature(function).bind(*arguments.strip("()").split(", "))
        except TypeError as error:
            how = "with" if predict is not None else "without"
            raise TypeError(
                f"{name}={function!r} was given, which cannot be called as {name}{arguments} "
                f"({error}); {how} predict=, that is how it is called. A loss of theta, X and y is "
                "given alone; a loss of eta and y beside predict(theta, X)."
            ) from error
        except ValueError:  # a function that tells nothing of its arguments
            continue


def read_parameters(theta: Any) -> Array:
    """Return theta in float64; refuse what are no parameters."""
    given = np.asarray(theta)
    if given.ndim != 1 or given.dtype.kind not in "fiu" or given.size == 0:
        raise ValueError(
            f"theta of shape {given.shape} and dtype {given.dtype} was given; real numbers of "
            "shape (n_params,) are accepted. Concatenate all fitted parameters (numpy.ravel)."
        )
    out: Array = given.astype(np.float64)
    if not np.all(np.isfinite(out)):
        raise ValueError(
            f"theta[{_first_wrong(out)}] is {out[_first_wrong(out)]}; finite parameters are "
            "accepted. The fit may have diverged: scale the features, or fit with a penalty."
        )
    return out


def read_penalty(l2: Any, n_params: int) -> Array:
    """Return one penalty for every parameter; refuse other lengths and negative ones."""
    given = np.asarray(l2, dtype=np.float64)
    if given.shape not in ((), (n_params,)):
        raise ValueError(
            f"l2 of shape {given.shape} was given for {n_params} parameters; a number or shape "
            f"({n_params},) is accepted. Give 0 to the parameters that are not penalised."
        )
    if not np.all((given >= 0) & (given < np.inf)):
        raise ValueError(
            f"l2={l2!r} was given; finite numbers >= 0 are accepted. It is the factor of "
            "1/2 theta**2 beside a sum of losses: 1/C where a model has a C."
        )
    return np.broadcast_to(given, n_params).copy()


def read_rows(X: Any) -> Array:
    """Return features as the user's functions take them."""
    if sparse.issparse(X):
        raise TypeError(
            f"A sparse X of shape {X.shape} was given; a dense array or frame is accepted, because "
            "autograd differentiates nothing else. Pass X.toarray()."
        )
    return np.asarray(X)


def read_weights(sample_weight: Any, X: Array, y: Array) -> Array:
    """Return the weights of the rows; refuse X, y and weights that are not of the same rows."""
    n = len(X)
    w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if y.shape[:1] != (n,) or w.shape != (n,):
        raise ValueError(
            f"X has {n} rows, y has shape {y.shape} and sample_weight {w.shape}; as many rows of "
            "each are accepted. Pass those the estimator was fitted on."
        )
    return w


def check_predictions(shape: tuple[int, ...], n_rows: int) -> None:
    """Refuse raw predictions that are not one row for every row of X."""
    if shape[:1] != (n_rows,) or len(shape) > 2 or 0 in shape:
        got = "a scalar" if shape == () else f"shape {shape}"
        raise ValueError(
            f"predict(theta, X) returned {got} for {n_rows} rows; raw predictions of shape "
            f"({n_rows}, K) or ({n_rows},) are accepted. Return one row of them for every row of X."
        )


def check_losses(objective: Objective) -> None:
    """Refuse losses that are not finite, and those of rows that depend on other rows."""
    values = objective.losses()
    if not np.all(np.isfinite(values)):
        row = _first_wrong(values)
        raise ValueError(
            f"The loss is {values[row]} at row {named_row(row)} and the given theta; finite losses "
            "are accepted. See that theta is in the units and order that the loss reads."
        )
    if len(values) == 1:
        return
    some = objective.rows(slice(0, min(len(values) // 2, SOME))).losses()
    rounding = 1e-6 * np.abs(values).max(initial=0.0)
    if not np.allclose(some, values[: len(some)], rtol=1e-6, atol=rounding):
        raise ValueError(
            "The losses of some rows alone differ from their losses among all rows; a sum of "
            "losses of single rows is accepted. Compute means, baselines and the like of the "
            "training rows beforehand, and let the loss use them as constants."
        )


def check_derivatives(objective: Objective, losses: Callable[[Any], Any]) -> None:
    """Refuse losses, as a function of theta, of which autograd cannot take two derivatives."""
    order = "first"
    try:
        dependent = depends(losses, objective.theta)
        if dependent:
            slopes = objective.gradient()
            order = "second"
            objective.rows(slice(0, FEW)).hvp(np.ones((objective.n_params, 1)))
    except Exception as error:
        raise TypeError(
            f"autograd cannot take the {order} derivative of the loss ({type(error).__name__}: "
            f"{error}); functions of theta written with autograd.numpy and autograd.scipy are "
            "accepted. Import numpy from autograd, build arrays by concatenate or stack instead of "
            "assigning to their entries, and keep theta out of float(), numpy.array() and "
            "compiled functions."
        ) from error
    if not dependent:
        raise ValueError(
            "The loss does not depend on theta as far as autograd can see; a function whose every "
            "step autograd follows is accepted. Look for a theta that is not used, is rounded or "
            "compared, or goes through a function that autograd does not know."
        )
    if not np.all(np.isfinite(slopes)):
        at = _first_wrong(slopes)
        raise ValueError(
            f"The gradient of the loss is {slopes[at]} at theta[{at}]; finite derivatives are "
            "accepted. A branch that autograd.numpy.where does not choose is differentiated all "
            "the same: keep its argument in range (autograd.numpy.maximum)."
        )


def _first_wrong(values: Array) -> int:
    return int(np.argmin(np.isfinite(values)))
