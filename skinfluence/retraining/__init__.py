"""The judge: honest refits of scikit-learn estimators without some rows, as tight as they go.

Knows scikit-learn only: `clone`, `set_params`, `fit`.
"""

from skinfluence.retraining.judges import Judge, judge_of, with_final_step
from skinfluence.retraining.networks import NETWORKS, gradient_norm
from skinfluence.retraining.refits import (
    kept_rows,
    refit_without,
    take_columns,
    take_params,
    take_rows,
)

__all__ = [
    "NETWORKS",
    "Judge",
    "gradient_norm",
    "judge_of",
    "kept_rows",
    "refit_without",
    "take_columns",
    "take_params",
    "take_rows",
    "with_final_step",
]
