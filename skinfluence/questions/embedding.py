"""Vectors for training and test rows, whose inner products are their first-order scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from skinfluence.mechanisms import Mechanism
from skinfluence.process.blocks import n_rows_of, row_blocks
from skinfluence.process.memory import require_memory
from skinfluence.process.progress import counted
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.rows import by_label
from skinfluence.questions.scoring import Asked, edit_scorer
from skinfluence.typing import Array


@by_label
def influence_embedding(fitted: Fitted, asked: Asked) -> Array:
    """See `InfluenceClassifier.influence_embedding`."""
    method = fitted.first_order("influence_embedding")
    if asked.X_test is None:
        if asked.y_test is not None:
            raise ValueError(
                "y was given without X; both are accepted for test rows, neither for the "
                "training rows. Pass X as well."
            )
        mechanism = fitted.mechanism(method)
        removal = mechanism.removal(method)
        return _embedded(mechanism, removal.n_edits, removal.pushes)
    scorer = edit_scorer(fitted, asked)
    return _embedded(
        fitted.mechanism(method),
        scorer.test.n_samples,
        lambda rows: scorer.gradients(slice(rows[0], rows[-1] + 1)),
    )


def _embedded(mechanism: Mechanism, n_rows: int, columns: Callable[[Array], Array]) -> Array:
    """Return the embedding of the columns that belong to some rows, block by block."""
    objective = mechanism.objective
    out = None
    blocks = row_blocks(n_rows, objective.n_params)
    for index in counted(blocks, f"the vectors of {n_rows:,} rows", n_rows, size=n_rows_of):
        block = mechanism.factor.embed(columns(np.arange(n_rows)[index])).T
        if out is None:
            rank = block.shape[1]
            require_memory(
                float(n_rows) * rank * objective.dtype.itemsize,
                f"An embedding of {n_rows:,} rows in {rank:,} dimensions",
                "Pass solver=skinfluence.solvers.Arnoldi(rank=100), or fewer rows at a time.",
            )
            out = np.empty((n_rows, rank), dtype=objective.dtype)
        out[index] = block
    assert out is not None
    return out
