"""Adapters: from a fitted scikit-learn estimator to the objective it minimised.

The only room that knows scikit-learn's attributes and scalings. A new model is one function under
`register_adapter`.
"""

from skinfluence.adapters import (  # noqa: F401  (they register their adapters)
    boosting,
    forests,
    hist_boosting,
    kernels,
    linear_model,
    meta,
    neural_network,
    stochastic,
    svm,
)
from skinfluence.adapters.composition import (
    check_composition,
    feature_names_of,
    features_of,
    final_step,
    freezes_transformers,
    is_frozen,
    reached_max_iter,
    recorded,
    replaces_estimators,
    rows_drawn,
    searches,
    target_transformers,
)
from skinfluence.adapters.recording import fit_recorded, past_searches, weighted_fit_params
from skinfluence.adapters.registry import (
    adapt,
    check_supported,
    is_smoothed,
    register_adapter,
    write_parameters,
)
from skinfluence.adapters.remains import (
    choices_of_searches,
    fitted_numbers,
    frozen_transformers,
    left_over,
    tables_of_searches,
    transformers_that_learned,
)
from skinfluence.adapters.resampling import Training

__all__ = [
    "Training",
    "adapt",
    "check_composition",
    "check_supported",
    "choices_of_searches",
    "feature_names_of",
    "features_of",
    "final_step",
    "fit_recorded",
    "fitted_numbers",
    "freezes_transformers",
    "frozen_transformers",
    "is_frozen",
    "is_smoothed",
    "left_over",
    "past_searches",
    "reached_max_iter",
    "recorded",
    "register_adapter",
    "replaces_estimators",
    "rows_drawn",
    "searches",
    "tables_of_searches",
    "target_transformers",
    "transformers_that_learned",
    "weighted_fit_params",
    "write_parameters",
]
