"""What the gradient steps of each training row did to targets of test rows on the way (TracIn).

With theta_k the parameters at checkpoint k and step_k what the training since the one before made
of a gradient (learning rate / batch size x epochs), row i moved theta by -step_k w_i grad l_i.
Without these steps the target q_t would have changed by

    sum_k step_k w_i grad l_i(theta_k)' grad q_t(theta_k)

to first order in the learning rate: the score, in the sign of all others. For the loss, what is
positive helps. The penalty's steps are nobody's.

References
----------
Pruthi, G., Liu, F., Kale, S. & Sundararajan, M. (2020). Estimating training data influence by
tracing gradient descent. NeurIPS. arXiv:2002.08484.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from skinfluence.effects.scores import require_extremes, require_scores, require_sums
from skinfluence.effects.targets import Target, target_gradients
from skinfluence.effects.top_k import Extremes
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.process.blocks import n_rows_of, row_blocks
from skinfluence.process.progress import counted
from skinfluence.typing import Array


@dataclass(frozen=True, eq=False)
class TrainingPath:
    """An objective at the parameters where its training was recorded.

    Attributes
    ----------
    objective : Objective
        Over the training rows, at any parameters.
    thetas : ndarray of shape (n_checkpoints, n_params)
    steps : ndarray of shape (n_checkpoints,)
    """

    objective: Objective
    thetas: Array
    steps: Array

    def stops(self) -> Iterator[tuple[Objective, float]]:
        """Yield the objective at each checkpoint, with its step."""
        stops = zip(self.thetas, self.steps, strict=True)
        what = f"the gradients of {self.objective.n_samples:,} rows at each stop of the training"
        for theta, step in counted(stops, what, len(self.steps), size=lambda _: 1, unit="stops"):
            yield self.objective.at(theta), float(step)

    def self_influence(self, n_jobs: int | None = None) -> Array:
        """Return sum_k step_k w_i |grad l_i(theta_k)|^2 of every row, shape (n_train,)."""
        out = np.zeros(self.objective.n_samples)
        for objective, step in self.stops():
            out += step * squared_gradients(objective, n_jobs)
        return out * self.objective.sample_weight

    def along(self, directions: Callable[[Array], Array], n_jobs: int | None = None) -> Array:
        """Return sum_k step_k w_i grad l_i(theta_k)' V_k, shape (n_train, k).

        Parameters
        ----------
        directions : callable
            From theta_k to V_k, shape (n_params, k).
        n_jobs : int or None
            Threads. Block boundaries, and so the results, do not depend on it.
        """
        total: Array | None = None
        for objective, step in self.stops():
            V = step * directions(objective.theta)
            if total is None:
                total = np.zeros((objective.n_samples, V.shape[1]))
            _add_dots(objective, V, total, n_jobs)
        assert total is not None
        total *= self.objective.sample_weight[:, None]
        return total


@dataclass(frozen=True, eq=False)
class PathScorer:
    """Scores of every training row on some test rows, along a recorded training.

    Parameters
    ----------
    path : TrainingPath
    test : Objective
        Over the test rows, in the parameters of the path.
    make_target : callable
        From an objective over some test rows, and which, to their target; None is the loss of an
        objective without raw predictions.
    n_jobs : int or None
        Threads. Block boundaries, and so the results, do not depend on it.
    """

    path: TrainingPath
    test: Objective
    make_target: Callable[[Objective, slice], Target | None]
    n_jobs: int | None

    @property
    def method(self) -> str:
        return "tracin"

    @property
    def dtype(self) -> Any:
        """Precision of the scores."""
        return self.path.objective.dtype

    @property
    def guarded(self) -> Array:
        """Rows whose score is not of the method itself: none."""
        return np.empty(0, dtype=int)

    @property
    def n_edits(self) -> int:
        """Rows that are scored."""
        return self.path.objective.n_samples

    def matrix(self, dtype: Any) -> Array:
        """Return the scores, shape (n_test, n_train)."""
        require_scores(self.n_edits, self.test.n_samples, np.dtype(dtype).itemsize)
        out = np.empty((self.test.n_samples, self.n_edits), dtype=dtype)
        for tests, scores in self._blocks():
            out[tests] = scores
        return out

    def combined(self, weights: Any) -> Array:
        """Return weighted sums of the scores over the test rows, shape (n_sums, n_train).

        Parameters
        ----------
        weights : sparse matrix of shape (n_sums, n_test)
        """
        weights = weights.tocsc()
        require_sums(self.n_edits, weights.shape[0])

        def directions(theta: Array) -> Array:
            blocks = self._test_blocks()
            parts = [weights[:, tests] @ self._gradients(theta, tests).T for tests in blocks]
            return np.sum(parts, axis=0).T

        return self.path.along(directions, self.n_jobs).T

    def top(self, k: int) -> tuple[Array, Array]:
        """Return the k largest and k smallest scores of each test row, ties by row.

        Returns
        -------
        indices : ndarray of int, shape (n_test, 2 k)
            First the k largest, largest first, then the k smallest, smallest last.
        scores : ndarray of shape (n_test, 2 k)
        """
        n = self.n_edits
        k = min(k, n)
        require_extremes(k, self.test.n_samples)
        indices = np.empty((self.test.n_samples, 2 * k), dtype=int)
        values = np.empty((self.test.n_samples, 2 * k))
        for tests, scores in self._blocks():
            extremes = Extremes(len(scores), k)
            extremes.look(scores, np.arange(n))
            indices[tests], values[tests] = extremes.found()
        return indices, values

    def _blocks(self) -> Iterator[tuple[slice, Array]]:
        """Yield blocks of test rows with their scores, shape (n_tests, n_train)."""
        n_tests = self.test.n_samples
        what = f"the effects of {self.n_edits:,} training rows on {n_tests:,} test rows"
        for tests in counted(self._test_blocks(), what, n_tests, size=n_rows_of, unit="test rows"):

            def directions(theta: Array, tests: slice = tests) -> Array:
                return self._gradients(theta, tests)

            yield tests, self.path.along(directions, self.n_jobs).T

    def _test_blocks(self) -> Iterator[slice]:
        """Cut the test rows so that their directions and scores take at most 512 MiB each."""
        width = max(self.path.objective.n_params, self.n_edits) // 32
        return row_blocks(self.test.n_samples, max(width, 1))

    def _gradients(self, theta: Array, tests: slice) -> Array:
        """Return the gradient at theta of the target of some test rows, (n_params, n_tests)."""
        part = self.test.rows(tests).at(theta)
        return target_gradients(part, self.make_target(part, tests))


def squared_gradients(objective: Objective, n_jobs: int | None = None) -> Array:
    """Return the squared norm of the gradient of every row's loss, shape (n_samples,).

    In blocks of rows.
    """
    out = np.empty(objective.n_samples)

    def work(rows: slice) -> None:
        out[rows] = objective.rows(rows).gradient_norms() ** 2

    blocks = row_blocks(objective.n_samples, objective.n_params)
    Parallel(n_jobs=n_jobs, require="sharedmem")(delayed(work)(rows) for rows in blocks)
    return out


def _add_dots(objective: Objective, V: Array, out: Array, n_jobs: int | None) -> None:
    """Add grad l_i' V of every row to `out`, shape (n_samples, k)."""

    def work(rows: slice) -> None:
        out[rows] += objective.rows(rows).grads_dot(V)

    n_outputs = objective.loss.n_outputs if isinstance(objective, OutputObjective) else 1
    blocks = row_blocks(objective.n_samples, V.shape[1] * n_outputs)
    Parallel(n_jobs=n_jobs, require="sharedmem")(delayed(work)(rows) for rows in blocks)
