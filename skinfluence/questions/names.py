"""What coefficients, features and outputs are called, and which of them a user means by a name."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from skinfluence.adapters import feature_names_of
from skinfluence.objectives import OutputObjective
from skinfluence.process.row_names import listed, near
from skinfluence.questions.fitted import Fitted
from skinfluence.typing import Array


def feature_names(fitted: Fitted) -> list[str]:
    """Return what the features that the final step sees are called; x0, x1, ... where nothing is.

    Names of the training frame, or those that the transformers give what they make of it.
    """

    def compute() -> list[str]:  # which a vectorizer is slow to tell
        X = fitted.training.X
        n_features = int(np.shape(X)[1])
        names = feature_names_of(fitted.estimator)
        if names is None and hasattr(X, "columns"):
            names = [str(name) for name in X.columns]
        if names is None or len(names) != n_features:
            names = [f"x{j}" for j in range(n_features)]
        return names

    return fitted.answers.get("feature names", None, None, compute)


def target_names(fitted: Fitted) -> list[str]:
    """Return what the columns of y are called; output 0, output 1, ... where nothing is."""
    y = fitted.raw.y
    if np.ndim(y) < 2:
        return ["output 0"]
    columns = getattr(y, "columns", range(np.shape(y)[1]))
    return [f"output {k}" if isinstance(k, Integral) else str(k) for k in columns]


def output_names(fitted: Fitted) -> list[str]:
    """Return what the raw predictions are of: classes, pairs of classes, or targets.

    None of a model without raw predictions.
    """
    objective = fitted.objective()
    if not isinstance(objective, OutputObjective):
        return []
    return objective.loss.output_names(target_names(fitted))


def parameter_names(fitted: Fitted, positions: Array | None = None) -> list[str]:
    """Return what some parameters are called, all by default, in the order of theta.

    Features by their name, the intercept by "intercept"; before them, where there are several,
    the class or the output: "setosa: petal width".

    Parameters
    ----------
    fitted : Fitted
    positions : ndarray of int, optional
    """
    return [_whole(*name) for name in _split_names(fitted, positions)]


def coefficients_given(fitted: Fitted, given: Any) -> Array:
    """Return the positions of coefficients, given by name or by position.

    A name without its class is that coefficient of every class.

    Raises
    ------
    ValueError
        For names that no coefficient has, positions that are not there, and none at all.
    """
    n_params = fitted.objective().n_params
    wanted: list[Any] = [given] if isinstance(given, (str, Integral)) else list(given)
    by_position = [not isinstance(w, bool) and isinstance(w, Integral) for w in wanted]
    by_name = [isinstance(w, str) for w in wanted]
    if not wanted or not (all(by_position) or all(by_name)):
        raise ValueError(
            f"coefficients={given!r} was given; a name, names, or positions from 0 to "
            f"{n_params - 1} are accepted, such as "
            f"{listed(parameter_names(fitted, np.arange(min(3, n_params))))}."
        )
    if all(by_name):
        return _named(fitted, wanted)
    outside = [w for w in wanted if not 0 <= w < n_params]
    if outside:
        raise ValueError(
            f"coefficients {outside[:20]} were given; positions from 0 to "
            f"{n_params - 1} are accepted, or names."
        )
    return np.array(list(dict.fromkeys(wanted)), dtype=np.intp)


def output_given(fitted: Fitted, output: Any, target: str) -> int | None:
    """Return the position of the output that a target is of, given by position or by name.

    Raises
    ------
    ValueError
        For a target without outputs, names that no output has, and positions that could be those of
        a target or of a class.
    """
    if output is None:
        return None
    objective = fitted.objective()
    loss = objective.loss if isinstance(objective, OutputObjective) else None
    if target == "loss" or loss is None or (fitted.classifier and not loss.multilabel):
        raise ValueError(
            f"output={output!r} was given with target={target!r}, but the loss is summed over "
            "the outputs and the class of a classifier is chosen by y_test. Leave output=None."
        )
    names, n_targets = output_names(fitted)[: loss.n_responses], len(target_names(fitted))
    if isinstance(output, str):
        if output not in names:
            raise ValueError(
                f"output={output!r} was given; the model has the outputs {listed(names[:20])} "
                f"({len(names)} in all)."
            )
        return names.index(output)
    if isinstance(output, bool) or not isinstance(output, Integral):
        raise ValueError(
            f"output={output!r} was given; the position of an output, an integer, or its name is "
            "accepted. Count the columns of y from 0."
        )
    if loss.multilabel and len(names) != n_targets:
        raise ValueError(
            f"output={output!r} was given, and some targets have several classes, whose positions "
            f"are not those of the columns of y. Pass a name: {listed(names[:20])}."
        )
    return int(output)


def _whole(output: str, name: str) -> str:
    return f"{output}: {name}" if output else name


def _split_names(fitted: Fitted, positions: Array | None) -> list[tuple[str, str]]:
    objective = fitted.objective()
    if positions is None:
        positions = np.arange(objective.n_params)
    return objective.parameter_names(feature_names(fitted), output_names(fitted), positions)


def _named(fitted: Fitted, wanted: list[str]) -> Array:
    """Return the positions of coefficients that have these names, in the order of the names."""
    found: dict[str, list[int]] = {name: [] for name in wanted}
    names = _split_names(fitted, None)
    for position, (output, name) in enumerate(names):
        for called in {name, _whole(output, name)} & found.keys():
            found[called].append(position)
    unknown = [name for name, at in found.items() if not at]
    if unknown:
        known = list(dict.fromkeys([name for _, name in names] + [_whole(*name) for name in names]))
        such = near(unknown[0], known) or known[:5]
        raise ValueError(
            f"coefficients {listed(unknown[:20])} were given, which the model has not; "
            f"{len(names)} names such as {listed(such)} are accepted, or positions."
        )
    positions = [position for at in found.values() for position in at]
    return np.array(list(dict.fromkeys(positions)), dtype=np.intp)
