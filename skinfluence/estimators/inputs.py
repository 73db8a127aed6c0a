"""What a wrapper is asked of the features of its training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from skinfluence.adapters import final_step
from skinfluence.effects import Scorer
from skinfluence.estimators.editing import EditingWrapper
from skinfluence.estimators.engine import Engine
from skinfluence.estimators.rows import rows_given
from skinfluence.memory import require_memory
from skinfluence.objectives.base import row_blocks
from skinfluence.objectives.inputs import InputGradients, check_input_gradients
from skinfluence.removal import Edits, Removal, first_order

Array = npt.NDArray[Any]


class InputWrapper(EditingWrapper):
    """A fitted wrapper that answers about the features of its training rows."""

    def input_influence(
        self,
        X_test: Any,
        y_test: Any = None,
        *,
        rows: Any,
        target: str = "loss",
        output: int | None = None,
    ) -> Array:
        """Differentiate a target at each test row in the features of training rows.

        How the target moves as a feature of a training row does, the row staying in the training
        data and the final step fitted again:

            d target(theta_hat(x_i)) / dx_i = -grad_t' H^-1 d2(w_i l_i)/dtheta dx_i,

        grad_t the gradient of the target in theta. The test row itself stays as it is, also where
        it equals a training row. For a small change d of the features the target changes by about
        the inner product with d.

        The x_i are features as the final step sees them: transformers of a Pipeline are frozen,
        and derivatives are in what they gave. Hyper-parameters and the temperature of a smoothed
        loss are frozen as well. Under an l1 penalty the coefficients that are 0 stay 0, and
        features without a coefficient have derivative 0.

        Parameters
        ----------
        X_test, y_test
            As in `influence_scores`.
        rows : int, array-like of int, or boolean mask of shape (n_train,)
            Positions of training rows; the result follows their order.
        target, output
            As in `influence_scores`.

        Returns
        -------
        ndarray of shape (n_test, n_rows, n_features)
            Target per unit of each feature of the final step; dense, also for sparse features. For
            the loss: positive = the feature, made larger, harms.

        Raises
        ------
        ValueError
            For models that see rows through a kernel only, and others without these derivatives;
            for rows that are unknown, repeated or none; and as in `influence_scores`.
        MemoryError
            Where the result does not fit, before it is allocated, and as in `influence_scores`.

        References
        ----------
        Koh, P. W. & Liang, P. (2017). Understanding black-box predictions via influence
        functions. ICML. arXiv:1703.04730. Section 2.2.

        Examples
        --------
        >>> import numpy as np
        >>> from skinfluence import InfluenceRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 2.0, 9.0])
        >>> model = InfluenceRegressor().fit(X, y)
        >>> model.input_influence([[1.0]], rows=[0, 3], target="predict").round(2)
        array([[[-0.92],
                [-0.5 ]]])
        """
        self._method("first_order")
        check_input_gradients(self._objective(), type(final_step(self.estimator_)).__name__)
        chosen = rows_given(rows, self._n_train)
        scorer = self._scorer(
            X_test, y_test, target=target, method="first_order", output=output, edits=_in_one_solve
        )
        shape = scorer.test.n_samples, len(chosen), int(np.shape(self._training.X)[1])
        dtype = self._objective().dtype
        require_memory(
            float(np.prod(shape, dtype=float)) * dtype.itemsize,
            f"The derivatives of {shape[0]:,} targets in {shape[2]:,} features of {shape[1]:,} "
            "training rows",
            "Ask for fewer rows, or fewer test rows at a time.",
        )
        out = np.empty(shape, dtype=dtype)
        _fill(out, scorer, self._engine(), chosen)
        return out


def _in_one_solve(engine: Engine, method: str) -> Removal:
    """Return edits in the parameters of the optimum; a derivative needs no more of them."""
    return first_order(Edits(engine.objective), engine.factor, engine.damping)


def _fill(out: Array, scorer: Scorer, engine: Engine, rows: Array) -> None:
    """Write the derivatives of every target in the features of some training rows."""
    for tests in row_blocks(len(out), max(1, engine.objective.n_params // 32)):
        directions = engine.factor.solve(scorer.gradients(tests))
        V = engine.spread(directions.T, scorer.removal).T
        for index in row_blocks(len(rows), V.shape[1] * out.shape[2]):
            part = engine.whole.rows(rows[index])
            assert isinstance(part, InputGradients)
            each = part.input_gradients_dot(V).transpose(1, 0, 2)
            out[tests, index] = -part.sample_weight[:, None] * each
