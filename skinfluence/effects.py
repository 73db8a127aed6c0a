"""What a removal does to a quantity of test rows: their loss, raw prediction or response.

A target is a function of the raw predictions eta of test rows. First order takes its linear part;
the other methods evaluate it at the moved predictions, as an accurate difference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.parallel import Parallel, delayed

from skinfluence.losses import Loss, encode_labels
from skinfluence.objectives import Objective, OutputObjective
from skinfluence.objectives.base import row_blocks
from skinfluence.removal import Projection, Removal

Array = npt.NDArray[Any]

CLASSIFIER_TARGETS = ("loss", "decision_function", "predict_proba")
REGRESSOR_TARGETS = ("loss", "predict", "linear_predictor")


class Target(ABC):
    """A quantity of test rows, by its values and derivatives in the raw predictions.

    eta : shape (n_test, K).  delta : changes of eta, shape (n_test, m, K).
    """

    @abstractmethod
    def value(self) -> Array:
        """Return the quantity, shape (n_test,)."""

    @abstractmethod
    def gradient(self) -> Array:
        """Return its derivative in eta, shape (n_test, K)."""

    @abstractmethod
    def change(self, delta: Array) -> Array:
        """Return the quantity at eta + delta minus that at eta, shape (n_test, m)."""


@dataclass(frozen=True, eq=False)
class LossTarget(Target):
    """The loss of each test row."""

    loss: Loss
    y: Array
    eta: Array

    def value(self) -> Array:
        return self.loss.value(self.y, self.eta)

    def gradient(self) -> Array:
        return self.loss.gradient(self.y, self.eta)

    def change(self, delta: Array) -> Array:
        return self.loss.change(self.y[:, None], self.eta[:, None], delta)


@dataclass(frozen=True, eq=False)
class RawTarget(Target):
    """One raw prediction of each test row: eta[t, index[t]]."""

    eta: Array
    index: Array

    def value(self) -> Array:
        return np.take_along_axis(self.eta, self.index[:, None], axis=1)[:, 0]

    def gradient(self) -> Array:
        out: Array = (self.index[:, None] == np.arange(self.eta.shape[1])).astype(np.float64)
        return out

    def change(self, delta: Array) -> Array:
        return np.take_along_axis(delta, self.index[:, None, None], axis=2)[:, :, 0]


@dataclass(frozen=True, eq=False)
class ResponseTarget(Target):
    """One entry of the response of each test row: a class probability, or the predicted mean."""

    loss: Loss
    eta: Array
    index: Array

    def value(self) -> Array:
        return np.take_along_axis(self.loss.response(self.eta), self.index[:, None], axis=1)[:, 0]

    def gradient(self) -> Array:
        return self.loss.response_gradient(self.eta, self.index)

    def change(self, delta: Array) -> Array:
        moved = self.loss.response(self.eta[:, None] + delta)
        picked = np.take_along_axis(moved, self.index[:, None, None], axis=2)[:, :, 0]
        return picked - self.value()[:, None]


def check_target(name: str, objective: Objective) -> None:
    """Raise ValueError for a target the model does not have."""
    if not isinstance(objective, OutputObjective):
        accepted: tuple[str, ...] = ("loss",)
    elif objective.loss.classes is None:
        accepted = REGRESSOR_TARGETS
    elif objective.loss.has_probabilities:
        accepted = CLASSIFIER_TARGETS
    else:
        accepted = CLASSIFIER_TARGETS[:2]
    if name not in accepted:
        raise ValueError(f"target={name!r} was given; this model has the targets {accepted}.")


def target_of(name: str, test: OutputObjective, y: Any | None, output: int | None) -> Target:
    """Return the target `name` of some test rows.

    Parameters
    ----------
    name : str
        One that `check_target` accepts.
    test : OutputObjective
        Over the test rows.
    y : array-like or None
        Their labels, which choose the class; None chooses the predicted class.
    output : int or None
        The output of a model with several; binary decisions are always those of ``classes[1]``.
    """
    eta = test.raw_predictions()
    loss = test.loss
    if name == "loss":
        return LossTarget(loss, test.targets, eta)
    if loss.classes is None:
        index = _output_index(output, loss.n_outputs, len(eta))
    elif name == "decision_function" and loss.n_outputs == 1:
        index = np.zeros(len(eta), dtype=int)
    elif y is not None:
        index = encode_labels(y, loss.classes)
    else:
        index = (eta[:, 0] > 0).astype(int) if loss.n_outputs == 1 else np.argmax(eta, axis=1)
    if name in ("decision_function", "linear_predictor"):
        return RawTarget(eta, index)
    return ResponseTarget(loss, eta, index)


def _output_index(output: int | None, n_outputs: int, n_test: int) -> Array:
    if output is None and n_outputs > 1:
        raise ValueError(
            f"The model has {n_outputs} outputs; say which one the target is of, "
            f"output=0 to {n_outputs - 1}."
        )
    index = 0 if output is None else output
    if not -n_outputs <= index < n_outputs:
        raise ValueError(
            f"output={output!r} was given; the model has the outputs 0 to {n_outputs - 1}."
        )
    return np.full(n_test, index % n_outputs)


@dataclass(frozen=True, eq=False)
class Scorer:
    """Scores of every training row on some test rows, block by block.

    Parameters
    ----------
    removal : Removal
    test : Objective
        Over the test rows.
    target : Target or None
        None is the loss of an objective without raw predictions.
    n_jobs : int or None
        Threads. Block boundaries, and so the results, do not depend on it.
    """

    removal: Removal
    test: Objective
    make_target: Callable[[Objective, slice], Target | None]
    n_jobs: int | None

    @property
    def linear(self) -> bool:
        """Whether effects are linear in the change, so that scores add up over rows."""
        return self.removal.method == "first_order"

    @property
    def n_train(self) -> int:
        return self.removal.objective.n_samples

    def matrix(self, dtype: Any, among: Array | None = None) -> Array:
        """Return the scores, shape (n_test, n_train), or those of the rows `among` alone."""
        chosen = np.arange(self.n_train) if among is None else among
        column = np.empty(self.n_train, dtype=int)
        column[chosen] = np.arange(len(chosen))
        # Rows of training data come in blocks: stored by training row, a block is one piece.
        out: Array = np.empty((len(chosen), self.test.n_samples), dtype=dtype).T
        for tests in self._test_blocks():

            def store(block: Array, rows: Any, tests: slice = tests) -> None:
                out[tests, rows if isinstance(rows, slice) else column[rows]] = block

            self._run(tests, store, among)
        return out

    def norms(self) -> Array:
        """Return the Euclidean norm of the scores of every row over the tests, (n_train,)."""
        squares = np.zeros(self.n_train)
        for tests in self._test_blocks():

            def add(block: Array, rows: Any) -> None:
                squares[rows] += np.einsum("ti,ti->i", block, block)

            self._run(tests, add)
        return np.sqrt(squares)

    def total(self) -> Array:
        """Return the scores summed over the test rows, shape (n_train,)."""
        out = np.zeros(self.n_train)
        if self.linear:
            U = np.zeros((self.removal.objective.n_params, 1))
            for tests in self._test_blocks():
                U += self._gradients(tests).sum(axis=1, keepdims=True)
            projections = self.removal.project(U)
            for stratum, rows in self.removal.blocks(1):
                out[rows] = self.removal.along(projections[stratum], rows)[:, 0]
            return out
        for tests in self._test_blocks():

            def add(block: Array, rows: Any) -> None:
                out[rows] += block.sum(axis=0)

            self._run(tests, add)
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
        k = min(k, self.n_train)
        indices = np.empty((self.test.n_samples, 2 * k), dtype=int)
        scores = np.empty((self.test.n_samples, 2 * k))
        for tests in self._test_blocks():
            found: list[tuple[Array, Array]] = []

            def keep(block: Array, rows: Any, found: list[tuple[Array, Array]] = found) -> None:
                found.append(_extremes(np.arange(self.n_train)[rows], block, k))

            self._run(tests, keep)
            ids = np.concatenate([ids for ids, _ in found], axis=1)
            values = np.concatenate([values for _, values in found], axis=1)
            # By value, ties by row: whatever order the threads delivered the blocks in.
            order = np.lexsort((ids, -values), axis=1)
            chosen = np.concatenate([order[:, :k], order[:, order.shape[1] - k :]], axis=1)
            indices[tests] = np.take_along_axis(ids, chosen, axis=1)
            scores[tests] = np.take_along_axis(values, chosen, axis=1)
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

    def _gradients(self, tests: slice) -> Array:
        """Return the gradient of the target of each test row, shape (n_params, n_tests)."""
        part = self.test.rows(tests)
        target = self.make_target(part, tests)
        if target is None:
            return part.weighted_grad_sum(np.eye(part.n_samples))
        assert isinstance(part, OutputObjective)
        return part.jacobian_t_rows(target.gradient())

    def _run(
        self, tests: slice, consume: Callable[[Array, Any], None], among: Array | None = None
    ) -> None:
        """Give `consume` the scores of every block of training rows, shape (n_tests, m)."""
        part = self.test.rows(tests)
        n_outputs = part.loss.n_outputs if isinstance(part, OutputObjective) else 1
        width = part.n_samples * n_outputs * self._columns_per_test
        if self.linear:
            projections = self.removal.project(self._gradients(tests))

            def effect(projection: Projection, rows: Any) -> Array:
                return self.removal.along(projection, rows).T
        else:
            assert isinstance(part, OutputObjective)
            projections = self.removal.project_predictions(part)
            target = self.make_target(part, tests)
            assert target is not None

            def effect(projection: Projection, rows: Any) -> Array:
                return target.change(self.removal.prediction_changes(projection, part, rows))

        def work(stratum: int, rows: Any) -> None:
            consume(effect(projections[stratum], rows), rows)

        Parallel(n_jobs=self.n_jobs, require="sharedmem")(
            delayed(work)(stratum, rows) for stratum, rows in self.removal.blocks(width, among)
        )


def _extremes(ids: Array, block: Array, k: int) -> tuple[Array, Array]:
    """Return the (at most) k largest and k smallest of each row of a block, with their ids."""
    m = block.shape[1]
    if m > 2 * k:
        order = np.argpartition(block, (k - 1, m - k), axis=1)
        chosen = np.concatenate([order[:, :k], order[:, m - k :]], axis=1)
        return ids[chosen], np.take_along_axis(block, chosen, axis=1)
    return np.broadcast_to(ids, block.shape), block
