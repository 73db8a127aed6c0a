"""Adapters: from a fitted scikit-learn estimator to the objective it minimised.

The only room that knows scikit-learn's attributes and scalings. A new model is one function under
`register_adapter`.
"""

from skinfluence.adapters import linear_model  # noqa: F401  (registers its adapters)
from skinfluence.adapters.composition import (
    Training,
    features_of,
    final_step,
    fit_recorded,
    freezes_transformers,
    is_frozen,
    reached_max_iter,
    weighted_fit_params,
)
from skinfluence.adapters.registry import (
    adapt,
    check_supported,
    register_adapter,
    write_parameters,
)

__all__ = [
    "Training",
    "adapt",
    "check_supported",
    "features_of",
    "final_step",
    "fit_recorded",
    "freezes_transformers",
    "is_frozen",
    "reached_max_iter",
    "register_adapter",
    "weighted_fit_params",
    "write_parameters",
]
