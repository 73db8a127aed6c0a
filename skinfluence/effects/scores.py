"""Effects of edits of the training data on targets of test rows, block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from skinfluence.effects.targets import Target, change_in_pieces, target_gradients
from skinfluence.effects.top_k import Buffers, Extremes
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.process.blocks import n_rows_of, row_blocks
from skinfluence.process.memory import require_memory
from skinfluence.process.progress import counted, counting
from skinfluence.process.threads import in_threads
from skinfluence.removal import Counterfactuals, ProjectedEdits
from skinfluence.typing import Array

Effect = Callable[[Any, Any, Array | None], Array]
"""From a projection and some edits to their effects, shape (n_tests, m), into an array if given."""

Scores = Callable[[Array | None], Array]
"""Computes a block of scores, shape (n_tests, m), into an array if given."""

Consume = Callable[[Scores, slice, Any], None]
"""Takes a block of scores with its test rows and its edits; another block may come meanwhile."""


ROWS = "training rows"
"""What is edited where nothing else is said; of these alone, questions have a top."""


def require_scores(
    n_edits: int, n_test: int, n_bytes: int, edits: str = ROWS, *, chosen: bool = False
) -> None:
    """Raise MemoryError, before anything is allocated, if scores of so many bytes do not fit.

    `chosen` are edits of which the question may be asked for fewer.
    """
    top = "influence(top=10) where the largest are enough, " if edits == ROWS else ""
    less = "fewer rows" if chosen else f"aggregate='mean' or 'sum', {top}"
    require_memory(
        float(n_edits) * n_test * n_bytes,
        f"A score for each of {n_edits:,} {edits} and {n_test:,} test rows",
        f"Ask for {less.rstrip(', ')}, or fewer test rows at a time.",
    )


def require_sums(n_edits: int, n_sums: int, edits: str = ROWS) -> None:
    """Raise MemoryError, before anything is allocated, if sums over test rows do not fit."""
    over = f"{n_sums:,} groups of test rows" if n_sums > 1 else "all test rows at once"
    fewer = f"fewer {edits}" if n_sums == 1 else "fewer groups, or aggregate='mean' or 'sum'"
    require_memory(
        8.0 * n_edits * n_sums,
        f"A score for each of {n_edits:,} {edits} and {over}",
        f"Ask for {fewer}.",
    )


def require_extremes(k: int, n_test: int) -> None:
    """Raise MemoryError, before anything is allocated, if so many largest scores do not fit."""
    require_memory(
        2.0 * k * n_test * 16,
        f"The {k:,} largest and the {k:,} smallest scores of each of {n_test:,} test rows",
        "Ask for a smaller top, aggregate='mean' or 'sum', or fewer test rows at a time.",
    )


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
        Threads; for linear models None is as many as BLAS would use. Block boundaries, and so the
        results, do not depend on it.
    edits : str
        What a message calls the edits.
    """

    removal: Counterfactuals
    test: Objective
    make_target: Callable[[Objective, slice], Target | None]
    n_jobs: int | None
    edits: str = ROWS

    @property
    def linear(self) -> bool:
        """Whether effects are linear in the change, so that scores add up over rows."""
        return self.removal.linear

    @property
    def method(self) -> str:
        return self.removal.method

    @property
    def dtype(self) -> Any:
        """Precision of the scores."""
        return self.removal.objective.dtype

    @property
    def guarded(self) -> Array:
        """Edits that the method alone could not carry."""
        return self.removal.guarded_edits

    @property
    def n_edits(self) -> int:
        return self.removal.n_edits

    @property
    def _precision(self) -> Any:
        """Precision of a block of scores."""
        return self.dtype if self.linear else np.dtype(np.float64)

    def matrix(self, dtype: Any, among: Array | None = None) -> Array:
        """Return the scores, shape (n_test, n_edits), or those of the edits `among` alone."""
        chosen = np.arange(self.n_edits) if among is None else among
        column = np.empty(self.n_edits, dtype=int)
        column[chosen] = np.arange(len(chosen))
        n_bytes, some = np.dtype(dtype).itemsize, among is not None
        require_scores(len(chosen), self.test.n_samples, n_bytes, self.edits, chosen=some)
        # Rows of training data come in blocks: stored by training row, a block is one piece.
        out: Array = np.empty((len(chosen), self.test.n_samples), dtype=dtype).T

        def store(scores: Scores, tests: slice, rows: Any) -> None:
            if among is None and isinstance(rows, slice):
                scores(out[tests, rows])
            else:
                out[tests, column[rows]] = scores(None)

        self._run(store, among)
        return out

    def norms(self) -> Array:
        """Return the Euclidean norm of the scores of every edit over the tests, (n_edits,).

        Those of a cheaper method that ranks the edits alike, where each edit is a refit.
        """
        removal = self.removal.for_ranking()
        if removal is not self.removal:
            return replace(self, removal=removal).norms()
        squares = np.zeros(self.n_edits)

        def add(scores: Scores, tests: slice, rows: Any) -> None:
            block = scores(None)
            squares[rows] += np.einsum("ti,ti->i", block, block)

        self._run(add)
        return np.sqrt(squares)

    def moments(self, weights: Any) -> tuple[Array, Array]:
        """Return weighted sums of the scores over the test rows, and the sums of their squares.

        Of shape (n_sums, n_edits) and (n_edits,); the squares are of all test rows, unweighted.
        Never more than a block of scores is there at once.

        Parameters
        ----------
        weights : sparse matrix of shape (n_sums, n_test)
        """
        weights = weights.tocsc()
        require_sums(self.n_edits, weights.shape[0] + 1, self.edits)
        sums, squares = np.zeros((weights.shape[0], self.n_edits)), np.zeros(self.n_edits)

        def add(scores: Scores, tests: slice, rows: Any) -> None:
            block = np.asarray(scores(None), dtype=np.float64)
            sums[:, rows] += weights[:, tests] @ block
            squares[rows] += np.einsum("ti,ti->i", block, block)

        self._run(add)
        return sums, squares

    def combined(self, weights: Any) -> Array:
        """Return weighted sums of the scores over the test rows, shape (n_sums, n_edits).

        Parameters
        ----------
        weights : sparse matrix of shape (n_sums, n_test)
        """
        weights = weights.tocsc()
        require_sums(self.n_edits, weights.shape[0], self.edits)
        out = np.zeros((weights.shape[0], self.n_edits))
        if self.linear and isinstance(self.removal, ProjectedEdits):
            U = np.zeros((self.removal.objective.n_params, len(out)))
            blocks, n_test = self._test_blocks(), self.test.n_samples
            what = f"the gradients of {n_test:,} test rows"
            for tests in counted(blocks, what, n_test, size=n_rows_of, unit="test rows"):
                U += (weights[:, tests] @ self.gradients(tests).T).T
            projections = self.removal.project(U)
            for stratum, rows in self.removal.blocks(len(out)):
                out[:, rows] = self.removal.along(projections[stratum], rows).T
            return out

        def add(scores: Scores, tests: slice, rows: Any) -> None:
            out[:, rows] += weights[:, tests] @ scores(None)

        self._run(add)
        return out

    def top(self, k: int) -> tuple[Array, Array]:
        """Return the k largest and k smallest scores of each test row, streamed.

        Of equal scores, those of the first edits are kept.

        Returns
        -------
        indices : ndarray of int, shape (n_test, 2 k)
            First the k largest, largest first, then the k smallest, smallest last.
        scores : ndarray of shape (n_test, 2 k)
        """
        k = min(k, self.n_edits)
        require_extremes(k, self.test.n_samples)
        indices = np.empty((self.test.n_samples, 2 * k), dtype=int)
        scores = np.empty((self.test.n_samples, 2 * k))
        found: dict[tuple[int, int], Extremes] = {}
        every, buffers = np.arange(self.n_edits), Buffers(self._precision)

        def keep(scores: Scores, tests: slice, rows: Any) -> None:
            key = (tests.start, tests.stop)
            if key not in found:
                found.setdefault(key, Extremes(tests.stop - tests.start, k))
            ids = every[rows]
            with buffers.borrowed(len(ids), tests.stop - tests.start) as block:
                found[key].look(scores(block.T), ids)

        self._run(keep)
        for (start, stop), extremes in found.items():
            indices[start:stop], scores[start:stop] = extremes.found()
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
        n_tests, n_edits = self.test.n_samples, self.n_edits if among is None else len(among)
        what = f"the effects of {n_edits:,} changes of the training data on {n_tests:,} test rows"
        with counting(what, n_tests * n_edits, "scores") as advance:

            def count(scores: Scores, tests: slice, rows: Any) -> None:
                consume(scores, tests, rows)
                n_rows = n_rows_of(rows) if isinstance(rows, slice) else len(rows)
                advance(n_rows_of(tests) * n_rows)

            if self.removal.columnwise:
                self._run_by_columns(count, among)
            else:
                assert isinstance(self.removal, ProjectedEdits)
                self._run_projected(self.removal, count, among)

    def _run_projected(
        self, removal: ProjectedEdits, consume: Consume, among: Array | None
    ) -> None:
        """Solve for the test rows once; every block of edits is then a product."""
        for tests in self._test_blocks():
            part = self.test.rows(tests)
            projections, effect = self._projected(removal, part, tests)

            def work(
                block: tuple[int, Any],
                tests: slice = tests,
                projections: list[Any] = projections,
                effect: Effect = effect,
            ) -> None:
                stratum, rows = block
                consume(partial(effect, projections[stratum], rows), tests, rows)

            n_outputs = part.loss.n_outputs if isinstance(part, OutputObjective) else 1
            blocks = removal.blocks(part.n_samples * n_outputs * self._columns_per_test, among)
            if removal.objective.kind == "linear":
                in_threads(work, blocks, self.n_jobs)
            else:
                # Passes of networks have threads of their own, and a user's model may not be safe
                # in several.
                Parallel(n_jobs=self.n_jobs, require="sharedmem")(
                    delayed(work)(block) for block in blocks
                )

    def _projected(
        self, removal: ProjectedEdits, part: Objective, tests: slice
    ) -> tuple[list[Any], Effect]:
        """Return what the solves for some test rows give, and how edits meet it."""
        if self.linear:

            def linear(projection: Any, rows: Any, out: Array | None) -> Array:
                return removal.along(projection, rows, None if out is None else out.T).T

            if not isinstance(part, OutputObjective):
                return [*removal.project(self.gradients(tests))], linear
            gradient = self._target(part, tests).gradient()
            return removal.project_gradients(part, gradient), linear
        assert isinstance(part, OutputObjective)
        target = self._target(part, tests)

        def moved(projection: Any, rows: Any, out: Array | None) -> Array:
            delta = removal.prediction_changes(projection, part, rows)
            return change_in_pieces(target, delta, out)

        return removal.project_predictions(part), moved

    def _target(self, part: OutputObjective, tests: slice) -> Target:
        target = self.make_target(part, tests)
        assert target is not None
        return target

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
                consume(partial(self._effects_of, D, tests, part, target), tests, rows)

        self.removal.prepare(len(chosen))
        in_threads(work, columns, self.n_jobs)
        self.removal.report()

    def _effects_of(
        self, D: Array, tests: slice, part: Objective, target: Target | None, out: Array | None
    ) -> Array:
        """Return the effects of changes D of the parameters, shape (n_tests, m)."""
        if self.linear:
            effects = self.gradients(tests).T @ D
        elif target is None:
            effects = part.loss_changes(D)
        else:
            assert isinstance(part, OutputObjective)
            return change_in_pieces(target, part.prediction_changes(D), out)
        if out is None:
            return effects
        out[...] = effects
        return out
