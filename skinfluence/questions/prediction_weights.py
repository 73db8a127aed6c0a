"""How much of each prediction is each training target."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.adapters import target_transformers
from skinfluence.process.memory import require_memory
from skinfluence.process.progress import counting
from skinfluence.process.row_names import length_of
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.rows import by_label
from skinfluence.questions.scoring import Asked
from skinfluence.typing import Array


@by_label
def prediction_weights(fitted: Fitted, X_test: Any) -> Array:
    """See `InfluenceClassifier.prediction_weights`."""
    asked = Asked(X_test, target="predict_proba" if fitted.classifier else "predict")
    if target_transformers(fitted.estimator):
        raise ValueError(
            "prediction_weights was asked of a TransformedTargetRegressor, whose predictions are "
            "not linear in the targets, but in what these are transformed to. Wrap its regressor, "
            "fitted on transformed targets."
        )
    mechanism = fitted.mechanism(fitted.method("auto", "prediction_weights"))
    n_test, n_train = length_of(X_test), fitted.n_train
    require_memory(
        2.0 * 8 * n_test * n_train,
        f"The weights of {n_train:,} training rows in {n_test:,} predictions",
        "Ask for fewer test rows at a time.",
    )
    test = fitted.objective().on(asked.features(fitted))
    with counting(f"the weights of {n_train:,} training rows in {n_test:,} predictions"):
        return np.ascontiguousarray(mechanism.prediction_weights(test))
