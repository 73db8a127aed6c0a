"""The judge: honest refits of scikit-learn estimators without some rows, as tight as they go.

Knows scikit-learn only: `clone`, `set_params`, `fit`. Trees whose splits stay it computes again by
itself, from plain arrays.
"""

from skinfluence.retraining.frozen_splits import FrozenTrees, RowsInTrees, refit_leaves
from skinfluence.retraining.judges import (
    Judge,
    choices_of,
    judge_of,
    reads_gamma,
    with_choices_frozen,
    with_final_step,
)
from skinfluence.retraining.networks import NETWORKS, gradient_norm
from skinfluence.retraining.refits import (
    kept_rows,
    opened,
    refit_without,
    take_columns,
    take_params,
    take_rows,
)

__all__ = [
    "NETWORKS",
    "FrozenTrees",
    "Judge",
    "RowsInTrees",
    "choices_of",
    "gradient_norm",
    "judge_of",
    "kept_rows",
    "opened",
    "reads_gamma",
    "refit_leaves",
    "refit_without",
    "take_columns",
    "take_params",
    "take_rows",
    "with_choices_frozen",
    "with_final_step",
]
