"""Which adapter knows which estimator: by exact type, because a subclass may change the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.objectives import Objective

Array = npt.NDArray[Any]

Adapt = Callable[[Any, Any, Any, Any], Objective]
Write = Callable[[Any, Array], None]


@dataclass(frozen=True)
class Adapter:
    """How one type of estimator becomes an objective, and what of it is refused before fitting.

    `write` is the way back: it gives a fitted estimator other parameters.
    """

    objective: Adapt
    check: Callable[[Any], None] | None
    write: Write | None


_ADAPTERS: dict[type, Adapter] = {}


def register_adapter(
    *types: type, check: Callable[[Any], None] | None = None, write: Write | None = None
) -> Callable[[Adapt], Adapt]:
    """Register the objective of one or several types of estimator.

    The decorated function is called as ``adapter(estimator, X, y, sample_weight)`` with the fitted
    final step, the features, targets and weights it was fitted on (`sample_weight` is None where
    none were given), and returns the `Objective` it minimised, at its fitted parameters. It is
    found by exact type: a subclass has to be registered itself.

    Parameters
    ----------
    *types : type
        Estimator classes. A type that has an adapter gets the new one.
    check : callable, optional
        Called with an unfitted estimator before it is fitted; raises ValueError for parameters
        that have no influence function.
    write : callable, optional
        Called as ``write(estimator, theta)`` with a fitted estimator and parameters of the shape
        of ``objective.theta``; puts them in place of the fitted ones. Needed by `without` alone,
        and only where parameters are not ``coef_`` and ``intercept_``.

    Returns
    -------
    callable
        A decorator that returns its function unchanged.

    Notes
    -----
    The objective is stated as F(theta) = sum_i w_i l_i(theta) + 1/2 theta' diag(l2) theta, not
    divided by the number of rows: an estimator that minimises the mean of its losses plus
    1/2 alpha theta' theta has l2 = n alpha. If it is stated right, ``objective.gradient()`` is zero
    at a tight fit; if not, `InfluenceClassifier.leave_one_out_check` shows a noise floor.

    Examples
    --------
    A subclass that keeps its parent's loss may use its parent's adapter:

    >>> from sklearn.linear_model import Ridge
    >>> from skinfluence import InfluenceRegressor, register_adapter
    >>> from skinfluence.losses import HalfSquaredError
    >>> from skinfluence.objectives import LinearObjective
    >>> class MyRidge(Ridge):
    ...     pass
    >>> @register_adapter(MyRidge)
    ... def my_ridge(estimator, X, y, sample_weight):
    ...     return LinearObjective.from_coefficients(
    ...         X,
    ...         y,
    ...         HalfSquaredError(),
    ...         estimator.coef_,
    ...         estimator.intercept_,
    ...         l2=estimator.alpha,
    ...         sample_weight=sample_weight,
    ...     )
    >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0.0, 1.0, 2.0, 5.0]
    >>> model = InfluenceRegressor(MyRidge()).fit(X, y)
    >>> model.influence_scores([[1.0]], [1.0]).shape
    (1, 4)
    """

    def register(adapter: Adapt) -> Adapt:
        for type_ in types:
            _ADAPTERS[type_] = Adapter(adapter, check, write)
        return adapter

    return register


def registered() -> tuple[type, ...]:
    """Return the types that have an adapter."""
    return tuple(_ADAPTERS)


def check_supported(estimator: Any) -> None:
    """Refuse, before it is fitted, an estimator whose influence is not defined here.

    Raises
    ------
    TypeError
        For a type without an adapter.
    ValueError
        For parameters that its adapter refuses.
    """
    adapter = _find(estimator)
    if adapter.check is not None:
        adapter.check(estimator)


def adapt(estimator: Any, X: Any, y: Any, sample_weight: Any) -> Objective:
    """Return the objective of a fitted estimator over the rows it was fitted on."""
    check_supported(estimator)
    return _find(estimator).objective(estimator, X, y, sample_weight)


def write_parameters(estimator: Any, theta: Array) -> None:
    """Put other parameters, of the shape of the objective's, in place of the fitted ones.

    Raises
    ------
    TypeError
        If nothing is known about where this type keeps its parameters.
    """
    write = _find(estimator).write or _write_linear
    write(estimator, theta)


def _write_linear(estimator: Any, theta: Array) -> None:
    """Write class-major parameters to ``coef_`` and ``intercept_``, in their shapes and dtypes."""
    if not hasattr(estimator, "coef_"):
        name = type(estimator).__name__
        raise TypeError(
            f"{name} has no coef_, so its parameters cannot be written back. Register its adapter "
            f"with a way to: @skinfluence.register_adapter({name}, write=...)."
        )
    shape, dtype = np.shape(estimator.coef_), np.asarray(estimator.coef_).dtype
    W = theta.reshape(1 if len(shape) == 1 else shape[0], -1)
    estimator.coef_ = W[:, : shape[-1]].reshape(shape).astype(dtype)
    if W.shape[1] > shape[-1]:
        intercept = W[:, -1].astype(np.asarray(estimator.intercept_).dtype)
        several = np.ndim(estimator.intercept_) > 0
        estimator.intercept_ = intercept if several else intercept[0]


def _find(estimator: Any) -> Adapter:
    if estimator is None or isinstance(estimator, str):
        raise TypeError(
            f"The last step of the Pipeline is {estimator!r}: it has no final estimator, so "
            "nothing was minimised. End the Pipeline with a classifier or a regressor."
        )
    name = type(estimator).__name__
    adapter = _ADAPTERS.get(type(estimator))
    if adapter is not None:
        return adapter
    parents = [t.__name__ for t in type(estimator).__mro__[1:] if t in _ADAPTERS]
    if parents:
        raise TypeError(
            f"{name} is a subclass of {parents[0]} and may minimise something else; adapters are "
            f"found by exact type. If its objective is known, register it: "
            f"@skinfluence.register_adapter({name})."
        )
    known = ", ".join(sorted(t.__name__ for t in _ADAPTERS))
    raise TypeError(
        f"{name} has no known objective, so its influence is not defined here. Supported are "
        f"{known}, alone or as the last step of a Pipeline. A model that minimises a "
        f"differentiable loss can be added: @skinfluence.register_adapter({name}). For models "
        "without one (trees, neighbours), refit without the rows instead, or explain a "
        "differentiable surrogate."
    )
