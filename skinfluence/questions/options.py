"""How questions are answered: the parameters of a wrapper, and what is accepted of them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from skinfluence.adapters import final_step, is_smoothed, recorded, searches
from skinfluence.curvature import KINDS
from skinfluence.mechanisms import known_methods


@dataclass(frozen=True)
class Options:
    """How to answer: the parameters of a wrapper but for its estimator, which says what they are.

    Attributes
    ----------
    method, solver, curvature, damping, refine, temperature, n_jobs, verbose
    """

    method: str = "auto"
    solver: Any = "auto"
    curvature: str = "auto"
    damping: float = 0.0
    refine: Any = "auto"
    temperature: float | None = None
    n_jobs: int | None = None
    verbose: int = 0


def check_method(method: str) -> None:
    """Refuse an unknown method."""
    accepted = ("auto", *known_methods(), "tracin")
    if method not in accepted:
        raise ValueError(f"method={method!r} was given; accepted are {accepted}.")


def check_traced(estimator: Any, *, answered: bool) -> None:
    """Refuse "tracin" where a question has no answer along a path, or a model kept none."""
    if not answered:
        raise ValueError(
            "method='tracin' was given, but it follows the gradient steps of single rows, and "
            "knows no model without them; influence_scores, influence and self_influence accept "
            "it. Pass method='first_order', 'newton' or 'exact' here."
        )
    name, record = type(final_step(estimator)).__name__, recorded(estimator)
    if record is None and not hasattr(final_step(estimator), "partial_fit"):
        raise ValueError(
            f"method='tracin' was given, but it follows gradient steps, and {name} takes none. "
            "Pass method='first_order', 'newton' or 'exact'."
        )
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


def check_options(options: Options, inner: Any) -> None:
    """Refuse options that are out of their range, or that the inner estimator has no use for."""
    check_method(options.method)
    if options.curvature not in KINDS:
        raise ValueError(f"curvature={options.curvature!r} was given; accepted are {KINDS}.")
    damping: Any = options.damping
    if not (isinstance(damping, Real) and float(damping) >= 0):
        raise ValueError(
            f"damping={damping!r} was given; a number >= 0 in the units of the Hessian "
            "of the summed loss is accepted."
        )
    if options.refine not in ("auto", True, False):
        raise ValueError(
            f"refine={options.refine!r} was given; accepted are 'auto', True and False."
        )
    temperature: Any = options.temperature
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
