"""How a target moves as the features of training rows do."""

from __future__ import annotations

from typing import Any

import numpy as np

from skinfluence.effects import Scorer
from skinfluence.inspection import InputInfluence
from skinfluence.mechanisms import Mechanism
from skinfluence.objectives.input_gradients import InputGradients, check_input_gradients
from skinfluence.process.blocks import n_rows_of, row_blocks
from skinfluence.process.memory import require_memory
from skinfluence.process.progress import counted
from skinfluence.questions.fitted import Fitted, labels_of
from skinfluence.questions.names import feature_names
from skinfluence.questions.rows import by_label, rows_given
from skinfluence.questions.scoring import Asked, edit_scorer
from skinfluence.removal import Edits, Removal, first_order
from skinfluence.typing import Array


@by_label
def input_influence(
    fitted: Fitted, asked: Asked, rows: Any = None, *, positions: Any = None, labels: Any = None
) -> InputInfluence:
    """See `InfluenceClassifier.input_influence`."""
    objective = fitted.objective()
    check_input_gradients(objective, type(fitted.final).__name__)
    method = fitted.first_order("input_influence")
    chosen = rows_given(fitted, rows, positions, labels)
    scorer = edit_scorer(fitted, asked, _in_one_solve)
    if fitted.mechanism(method).reference.n_params != objective.n_params:
        raise ValueError(
            "input_influence was asked of a model with columns that depend on each other: a change "
            "of one of them alone makes an optimum unique that was not, and has no derivative. "
            "Drop such columns, or fit with a penalty."
        )
    shape = scorer.test.n_samples, len(chosen), int(np.shape(fitted.training.X)[1])
    dtype = objective.dtype
    require_memory(
        float(np.prod(shape, dtype=float)) * dtype.itemsize,
        f"The derivatives of {shape[0]:,} targets in {shape[2]:,} features of {shape[1]:,} "
        "training rows",
        "Ask for fewer rows, or fewer test rows at a time.",
    )
    out = np.empty(shape, dtype=dtype)
    _fill(out, scorer, fitted.mechanism(method), chosen)
    return InputInfluence(
        derivatives=out,
        target=asked.target,
        features=np.array(feature_names(fitted), dtype=object),
        test_labels=labels_of(asked.X_test, len(out)),
        row_labels=fitted.row_labels[chosen],
        rows=chosen,
        classes=asked.classes(scorer.test),
        output=asked.output,
        given=fitted.given,
        origin=fitted.origin,
    )


def _in_one_solve(mechanism: Mechanism, method: str) -> Removal:
    """Return edits in the parameters of the optimum; a derivative needs no more of them."""
    return first_order(Edits(mechanism.objective), mechanism.factor)


def _fill(out: Array, scorer: Scorer, mechanism: Mechanism, rows: Array) -> None:
    """Write the derivatives of every target in the features of some training rows."""
    blocks = row_blocks(len(out), max(1, mechanism.objective.n_params // 32))
    what = f"the derivatives of {len(out):,} targets in the features of {len(rows):,} rows"
    for tests in counted(blocks, what, len(out), size=n_rows_of, unit="test rows"):
        directions = mechanism.factor.solve(scorer.gradients(tests))
        V = mechanism.in_all_parameters(directions.T, scorer.removal).T
        for index in row_blocks(len(rows), V.shape[1] * out.shape[2]):
            part = mechanism.reference.rows(rows[index])
            assert isinstance(part, InputGradients)
            each = part.input_gradients_dot(V).transpose(1, 0, 2)
            out[tests, index] = -part.sample_weight[:, None] * each
