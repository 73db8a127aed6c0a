"""Effects of edits of the training data on targets of test rows, block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.parallel import Parallel, delayed

from skinfluence.effects.targets import Target, target_gradients
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.objectives.base import row_blocks
from skinfluence.removal import Counterfactuals, LocalRemoval, Projection, Removal
from skinfluence.removal.base import in_threads

Array = npt.NDArray[Any]

Effect = Callable[[Projection, Any], Array]
"""From a projection and some edits to their effects, shape (n_tests, m)."""

Consume = Callable[[Array, slice, Any], None]
"""Takes a block of scores, shape (n_tests, m), with its test rows and its edits."""


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores of every edit of the training data on some test rows, block by block.

    Parameters
    ----------
    removal : Counterfactuals
        What the edits do to the parameters: the removal of every row, of groups, ...
    test : Objective
        Over the test rows.
    make_target : callable
        From an objective over some test rows, and which, to their target; None is the loss of an
        objective without raw predictions.
    n_jobs : int or None
        Threads. Block boundaries, and so the results, do not depend on it.
    """

    removal: Counterfactuals
    test: Objective
    make_target: Callable[[Objective, slice], Target | None]
    n_jobs: int | None

    @property
    def linear(self) -> bool:
        """Whether effects are linear in the change, so that scores add up over rows."""
        return self.removal.method == "first_order"

    @property
    def method(self) -> str:
        return self.removal.method

    @property
    def dtype(self) -> Any:
        """Precision of the scores."""
        return self.removal.objective.dtype

    @property
    def guarded(self) -> Array:
        """Edits whose Newton step was replaced by the minimum."""
        out: Array = getattr(self.removal, "guarded", np.empty(0, dtype=int))
        return out

    @property
    def n_edits(self) -> int:
        return self.removal.n_edits

    def matrix(self, dtype: Any, among: Array | None = None) -> Array:
        """Return the scores, shape (n_test, n_edits), or those of the edits `among` alone."""
        chosen = np.arange(self.n_edits) if among is None else among
        column = np.empty(self.n_edits, dtype=int)
        column[chosen] = np.arange(len(chosen))
        # Rows of training data come in blocks: stored by training row, a block is one piece.
        out: Array = np.empty((len(chosen), self.test.n_samples), dtype=dtype).T

        def store(block: Array, tests: slice, rows: Any) -> None:
            out[tests, rows if isinstance(rows, slice) else column[rows]] = block

        self._run(store, among)
        return out

    def norms(self) -> Array:
        """Return the Euclidean norm of the scores of every edit over the tests, (n_edits,).

        Those of first order, where each edit is a refit.
        """
        if isinstance(self.removal, LocalRemoval):
            return self._rough_norms(self.removal)
        squares = np.zeros(self.n_edits)

        def add(block: Array, tests: slice, rows: Any) -> None:
            squares[rows] += np.einsum("ti,ti->i", block, block)

        self._run(add)
        return np.sqrt(squares)

    def _rough_norms(self, removal: LocalRemoval) -> Array:
        squares = np.zeros(self.n_edits)
        for tests in self._test_blocks():
            U = removal.precondition(self.gradients(tests))
            for rows in row_blocks(self.n_edits, U.shape[1]):
                dots = removal.edits.grads_dot(rows, U)
                squares[rows] += np.einsum("it,it->i", dots, dots)
        return np.sqrt(squares)

    def total(self) -> Array:
        """Return the scores summed over the test rows, shape (n_edits,)."""
        out = np.zeros(self.n_edits)
        if self.linear and isinstance(self.removal, Removal):
            U = np.zeros((self.removal.objective.n_params, 1))
            for tests in self._test_blocks():
                U += self.gradients(tests).sum(axis=1, keepdims=True)
            projections = self.removal.project(U)
            for stratum, rows in self.removal.blocks(1):
                out[rows] = self.removal.along(projections[stratum], rows)[:, 0]
            return out

        def add(block: Array, tests: slice, rows: Any) -> None:
            out[rows] += block.sum(axis=0)

        self._run(add)
        return out

    def top(self, k: int) -> tuple[Array, Array]:
        """Return the k largest and k smallest scores of each test row, streamed.

        Which of several equal scores at the edge of k are kept is arbitrary (but always the same).

        Returns
        -------
        indices : ndarray of int, shape (n_test, 2 k)
            First the k largest, largest first, then the k smallest, smallest last.
        scores : ndarray of shape (n_test, 2 k)
        """
        k = min(k, self.n_edits)
        indices = np.empty((self.test.n_samples, 2 * k), dtype=int)
        scores = np.empty((self.test.n_samples, 2 * k))
        found: dict[tuple[int, int], list[tuple[Array, Array]]] = {}

        def keep(block: Array, tests: slice, rows: Any) -> None:
            best = _extremes(np.arange(self.n_edits)[rows], block, k)
            found.setdefault((tests.start, tests.stop), []).append(best)

        self._run(keep)
        for (start, stop), parts in found.items():
            ids = np.concatenate([ids for ids, _ in parts], axis=1)
            values = np.concatenate([values for _, values in parts], axis=1)
            indices[start:stop], scores[start:stop] = ranked(ids, values, k)
        return indices, scores

    def _test_blocks(self) -> Any:
        """Cut the test rows so that their directions take at most 512 MiB."""
        width = self.removal.objective.n_params * self._columns_per_test // 32
        return row_blocks(self.test.n_samples, max(width, 1))

    @property
    def _columns_per_test(self) -> int:
        if self.linear or not isinstance(self.test, OutputObjective) or self.test.loss.separable:
            return 1
        return self.test.loss.n_outputs

    def gradients(self, tests: slice) -> Array:
        """Return the gradient of the target of some test rows, shape (n_params, n_tests)."""
        part = self.test.rows(tests)
        return target_gradients(part, self.make_target(part, tests))

    def _run(self, consume: Consume, among: Array | None = None) -> None:
        """Give `consume` the scores of every block of edits."""
        if isinstance(self.removal, Removal) and not self.removal.columnwise:
            self._run_projected(self.removal, consume, among)
        else:
            self._run_by_columns(consume, among)

    def _run_projected(self, removal: Removal, consume: Consume, among: Array | None) -> None:
        """Solve for the test rows once; every block of edits is then a product."""
        for tests in self._test_blocks():
            part = self.test.rows(tests)
            projections, effect = self._projected(removal, part, tests)

            def work(
                tests: slice, projection: Projection, rows: Any, effect: Effect = effect
            ) -> None:
                consume(effect(projection, rows), tests, rows)

            n_outputs = part.loss.n_outputs if isinstance(part, OutputObjective) else 1
            width = part.n_samples * n_outputs * self._columns_per_test
            Parallel(n_jobs=self.n_jobs, require="sharedmem")(
                delayed(work)(tests, projections[stratum], rows)
                for stratum, rows in removal.blocks(width, among)
            )

    def _projected(
        self, removal: Removal, part: Objective, tests: slice
    ) -> tuple[list[Projection], Effect]:
        """Return what the solves for some test rows give, and how edits meet it."""
        if self.linear:
            return (
                removal.project(self.gradients(tests)),
                lambda projection, rows: removal.along(projection, rows).T,
            )
        assert isinstance(part, OutputObjective)
        target = self.make_target(part, tests)
        assert target is not None
        return (
            removal.project_predictions(part),
            lambda projection, rows: target.change(
                removal.prediction_changes(projection, part, rows)
            ),
        )

    def _run_by_columns(self, consume: Consume, among: Array | None) -> None:
        """Find the changes of a block of edits once, and meet all test rows with them."""
        chosen = np.arange(self.n_edits) if among is None else among
        columns = list(self.removal.column_blocks(chosen))
        n_outputs = self.test.loss.n_outputs if isinstance(self.test, OutputObjective) else 1
        widest = max((len(rows) for rows in columns), default=1)
        parts = []
        for tests in row_blocks(self.test.n_samples, n_outputs * widest):
            part = self.test.rows(tests)
            parts.append((tests, part, None if self.linear else self.make_target(part, tests)))

        def work(rows: Array) -> None:
            D = self.removal.changes(rows)
            for tests, part, target in parts:
                if self.linear:
                    consume(self.gradients(tests).T @ D, tests, rows)
                elif target is None:
                    consume(part.loss_changes(D), tests, rows)
                else:
                    assert isinstance(part, OutputObjective)
                    consume(target.change(part.prediction_changes(D)), tests, rows)

        in_threads(work, iter(columns), self.n_jobs)
        self.removal.report()


def ranked(ids: Array, values: Array, k: int) -> tuple[Array, Array]:
    """Return the k largest, then the k smallest, largest first, ties by id; with their ids first.

    In whatever order they come, as threads deliver blocks.
    """
    order = np.lexsort((ids, -values), axis=1)
    chosen = np.concatenate([order[:, :k], order[:, order.shape[1] - k :]], axis=1)
    return np.take_along_axis(ids, chosen, axis=1), np.take_along_axis(values, chosen, axis=1)


def _extremes(ids: Array, block: Array, k: int) -> tuple[Array, Array]:
    """Return the (at most) k largest and k smallest of each row of a block, with their ids."""
    m = block.shape[1]
    if m > 2 * k:
        order = np.argpartition(block, (k - 1, m - k), axis=1)
        chosen = np.concatenate([order[:, :k], order[:, m - k :]], axis=1)
        return ids[chosen], np.take_along_axis(block, chosen, axis=1)
    return np.broadcast_to(ids, block.shape), block
