"""Vectors for training and test rows, whose inner products are their scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.estimators.engine import Engine
from skinfluence.estimators.inputs import InputWrapper
from skinfluence.memory import require_memory
from skinfluence.objectives.base import row_blocks
from skinfluence.removal import Removal

Array = npt.NDArray[Any]


class EmbeddingWrapper(InputWrapper):
    """A fitted wrapper that embeds rows."""

    def influence_embedding(
        self,
        X: Any = None,
        y: Any = None,
        *,
        target: str = "loss",
        output: int | None = None,
    ) -> Array:
        """Return a vector for each row, such that inner products are first-order scores.

        With H^-1 = R' R, R of shape (rank, n_params),

            test row t:  R grad_t,        training row i:  R J_i' a_i,

        so that ``embedding(X_test, y_test) @ embedding().T`` is what `influence_scores` gives for
        ``method="first_order"``: what nearest-neighbour libraries search by inner product. The
        solver decides on R. ``Cholesky`` (what "auto" is, but for models with more parameters than
        rows) is exact, with one coordinate per parameter; ``Arnoldi(rank=...)`` has a few, those
        of the largest eigenvalues of H, and says what it leaves out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), optional
            Test rows. Without them, the training rows: these have their weights on them, so that
            a test row embedded is not what it were as a training row.
        y : array-like of shape (n_samples,), optional
        target, output
            Of test rows, as in `influence_scores`.

        Returns
        -------
        ndarray of shape (n_samples, rank)
            In no unit of its own; inner products are in that of the target.

        Raises
        ------
        ValueError
            Where the solver has no such R, and as in `influence_scores`.
        MemoryError
            Where the result does not fit, before it is allocated.

        References
        ----------
        Schioppa, A., Zablotskaia, P., Vilar, D. & Sokolov, A. (2022). Scaling up influence
        functions. AAAI 36(8). doi:10.1609/aaai.v36i8.20791.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor(method="first_order").fit(X, y)
        >>> rows, tests = model.influence_embedding(), model.influence_embedding([[1.0]], [1.0])
        >>> bool(np.allclose(tests @ rows.T, model.influence_scores([[1.0]], [1.0])))
        True
        """
        self._method("first_order")
        if X is None:
            if y is not None:
                raise ValueError(
                    "y was given without X; both are accepted for test rows, neither for the "
                    "training rows. Pass X as well."
                )
            engine = self._engine("first_order")
            removal = engine.removal("first_order")
            assert isinstance(removal, Removal)
            return _embedded(engine, removal.n_edits, lambda rows: removal.pushes(rows))
        scorer = self._scorer(X, y, target=target, method="first_order", output=output)
        return _embedded(
            self._engine("first_order"),
            scorer.test.n_samples,
            lambda rows: scorer.gradients(slice(rows[0], rows[-1] + 1)),
        )


def _embedded(engine: Engine, n_rows: int, columns: Any) -> Array:
    """Return the embedding of the columns that belong to some rows, block by block."""
    embed = getattr(engine.factor, "embed", None)
    if embed is None:
        raise ValueError(
            f"influence_embedding was asked for with the solver {engine.solver!r}, which does not "
            "split the inverse curvature into two factors; Arnoldi and Cholesky (of a model "
            "with more rows than parameters) do. Pass "
            "solver=skinfluence.solvers.Arnoldi(rank=100), say."
        )
    dtype = engine.objective.dtype
    out = None
    for index in row_blocks(n_rows, engine.objective.n_params):
        block = embed(columns(np.arange(n_rows)[index])).T
        if out is None:
            rank = block.shape[1]
            require_memory(
                float(n_rows) * rank * dtype.itemsize,
                f"An embedding of {n_rows:,} rows in {rank:,} dimensions",
                "Pass solver=skinfluence.solvers.Arnoldi(rank=100), or fewer rows at a time.",
            )
            out = np.empty((n_rows, rank), dtype=dtype)
        out[index] = block
    assert out is not None
    return out
