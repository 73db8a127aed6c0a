"""Derivatives in the features of training rows: which objectives have them, which cannot."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from skinfluence.objectives.base import Objective
from skinfluence.objectives.features import KernelFeatures
from skinfluence.objectives.leaves import LeavesObjective
from skinfluence.objectives.linear import LinearObjective
from skinfluence.typing import Array


@runtime_checkable
class InputGradients(Protocol):
    """An objective whose gradients are differentiable in the features of their row."""

    def input_gradients_dot(self, V: Array) -> Array:
        """Return d(grad l_i . V_j)/dx_i, unweighted, shape (n_samples, k, n_features).

        grad is that in theta; x_i are features as the model sees them; V is (n_params, k).
        """
        ...


def check_input_gradients(objective: Objective, name: str) -> None:
    """Refuse objectives without derivatives in the features of their rows.

    Parameters
    ----------
    objective : Objective
    name : str
        Type of the estimator, for messages.

    Raises
    ------
    ValueError
        Where x_i enters through products with other rows (kernels), or in a way not known.
    """
    if isinstance(objective, LinearObjective) and isinstance(objective.features, KernelFeatures):
        raise ValueError(
            f"input_influence was asked of {name}, which sees training rows through a kernel only: "
            "the features of one row are features of all pairs. Models that see the features "
            "themselves are accepted; use a linear one, or one on Nystroem features in a Pipeline, "
            "with derivatives in these."
        )
    if isinstance(objective, LeavesObjective):
        raise ValueError(
            f"input_influence was asked of {name}: trees see only on which side of its thresholds "
            "a feature is, so that every derivative in it is 0. Ask what rows with other features "
            "do: without(rows) and addition_influence(X_new, y_new, ...)."
        )
    if not isinstance(objective, InputGradients):
        raise ValueError(
            f"input_influence was asked of {name}, whose {type(objective).__name__} has no "
            "derivatives in the features of its rows; objectives with a method "
            "input_gradients_dot(V) are accepted. Add it (see "
            "skinfluence.objectives.input_gradients.InputGradients)."
        )
