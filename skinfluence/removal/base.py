"""What edits of the training data do to the parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from skinfluence.objectives import LinearObjective, Objective, OutputObjective
from skinfluence.process.blocks import edit_elements, n_rows_of, row_blocks
from skinfluence.process.memory import require_memory
from skinfluence.process.progress import counted, counting
from skinfluence.process.threads import in_threads
from skinfluence.process.tuning import tuning
from skinfluence.removal.edits import Edits, Rows
from skinfluence.removal.leverages import quadratic_forms
from skinfluence.removal.projection import Projection, RowSpaceSolve
from skinfluence.solvers import Factor
from skinfluence.typing import Array

COLUMNS = 1024
"""Edits whose raw predictions are computed at once, over the outputs: products are fast by then."""


FEW_ROWS = 512
"""Rows of a block below which a product copies its other factor too often."""


def edit_blocks(n_edits: int, objective: Objective) -> Iterator[slice]:
    """Cut edits into blocks whose changes are found together."""
    n_outputs = objective.loss.n_outputs if isinstance(objective, OutputObjective) else 1
    elements = edit_elements()
    width = max(n_outputs * objective.n_params, -(-elements * n_outputs // COLUMNS))
    return row_blocks(n_edits, width, elements)


def require_changes(n_edits: int, n_params: int) -> None:
    """Raise MemoryError, before anything is allocated, if the changes by edits do not fit."""
    require_memory(
        8.0 * n_edits * n_params,
        f"The change of {n_params:,} parameters by each of {n_edits:,} edits",
        "Ask for effects on test rows (influence_scores), or for fewer rows (without).",
    )


class Counterfactuals(ABC):
    """The parameters after each of several edits of the training data, minus those before.

    Attributes
    ----------
    method : str
        What a user asked for, for reports.
    linear : bool
        Effects are linear in the change, so that scores add up over rows. Otherwise targets are
        evaluated at the moved predictions.
    columnwise : bool
        Changes are found for a block of edits when asked for, and not kept: ask once. Otherwise
        these are `ProjectedEdits`.
    """

    method: str
    linear: bool = False
    columnwise: bool = True

    @property
    @abstractmethod
    def objective(self) -> Objective:
        """The objective over the training rows, at its optimum."""

    @property
    @abstractmethod
    def n_edits(self) -> int:
        """How many edits there are."""

    @abstractmethod
    def changes(self, rows: Array) -> Array:
        """Return the changes of the parameters by some edits, shape (n_params, n_rows)."""

    def all_changes(self, n_jobs: int | None = None) -> Array:
        """Return the changes by every edit, shape (n_edits, n_params): as large as asked for.

        Raises
        ------
        MemoryError
            Before allocating, if they do not fit.
        """
        n_edits, n_params = self.n_edits, self.objective.n_params
        require_changes(n_edits, n_params)
        return self.read_changes(n_params, lambda _, D: D.T, n_jobs)

    def changes_along(self, U: Array, n_jobs: int | None = None) -> Array:
        """Return U' times the change by every edit, U of shape (n_params, k): (n_edits, k)."""
        return self.read_changes(U.shape[1], lambda _, D: D.T @ U, n_jobs)

    def read_changes(
        self, width: int, read: Callable[[Array, Array], Array], n_jobs: int | None = None
    ) -> Array:
        """Return what `read` makes of edits and their changes, `width` numbers an edit.

        A block of edits at a time, so that never all changes are kept; shape (n_edits, width).
        """
        out = np.empty((self.n_edits, width))
        self.prepare(self.n_edits)

        def fill(rows: Array) -> None:
            out[rows] = read(rows, self.changes(rows))

        self.in_blocks(fill, n_jobs)
        self.report()
        return out

    @property
    def features(self) -> Objective:
        """The objective whose row i has the features of edit i; the training rows by default."""
        return self.objective

    @property
    def guarded_edits(self) -> Array:
        """Edits that the method alone could not carry, sorted; none by default."""
        return np.empty(0, dtype=int)

    @property
    def leverages(self) -> Array | None:
        """The leverage of every edit, shape (n_edits,); None where the method knows of none."""
        return None

    def own_predictions(self, n_jobs: int | None = None) -> Array:
        """Return how the raw prediction of row i moves with edit i, shape (n_edits, K)."""
        features = self.features
        assert isinstance(features, OutputObjective)
        width = features.loss.n_outputs
        return self.read_changes(width, self._of_own(self.own_shifts), n_jobs)

    def own_shifts(self, part: Any, D: Array) -> Array:
        """Return how change D_i moves the raw prediction of row i of `part`, (n_rows, K).

        Its linear part, where effects are linear.
        """
        return part.jacobian_rows_dot(D) if self.linear else part.own_prediction_changes(D)

    def own_losses(self, n_jobs: int | None = None) -> Array:
        """Return how the loss of row i moves with edit i, shape (n_edits,)."""

        def read(part: Objective, D: Array) -> Array:
            if not self.linear:
                return part.own_loss_changes(D)[:, None]
            gradients = part.weighted_grad_sum(np.eye(part.n_samples))
            return np.einsum("pi,pi->i", gradients, D)[:, None]

        return self.read_changes(1, self._of_own(read), n_jobs)[:, 0]

    def _of_own(self, read: Callable[[Any, Array], Array]) -> Callable[[Array, Array], Array]:
        return lambda rows, D: read(self.features.rows(rows), D)

    def in_blocks(
        self, work: Callable[[Array], None], n_jobs: int | None, among: Array | None = None
    ) -> None:
        """Do some work for every block of edits, or of those `among` alone, in threads."""
        edits = np.arange(self.n_edits) if among is None else among
        n_edits = len(edits)
        what = f"{n_edits:,} changes of the training data by method={self.method!r}"
        with counting(what, n_edits, "changes") as advance:

            def counted(rows: Array) -> None:
                work(rows)
                advance(len(rows))

            in_threads(counted, self.column_blocks(edits), n_jobs)

    def pushes(self, rows: Array) -> Array:
        """Return the vectors that H^-1 takes to the changes, (n_params, n_rows), of a few edits."""
        raise ValueError(
            f"influence_embedding was asked for, and changes by {self.method!r} of this model are "
            "no products with an inverse curvature. Ask for influence_scores."
        )

    def for_ranking(self) -> Counterfactuals:
        """Return changes that rank the edits alike and are cheap; these themselves by default."""
        return self

    def prepare(self, n_edits: int) -> None:
        """Prepare for the changes of so many edits, which threads will ask for."""
        return

    def report(self) -> None:
        """Warn, once, of what went wrong in the blocks of edits whose changes were asked for."""
        return

    def column_blocks(self, rows: Array) -> Iterator[Array]:
        """Cut some edits into blocks whose changes are found together."""
        for index in edit_blocks(len(rows), self.objective):
            yield rows[index]


class ProjectedEdits(Counterfactuals):
    """Edits that meet test rows in few numbers, solved for once per test row and not per edit.

    A projection is what `project_gradients` or `project_predictions` return for each stratum;
    nothing but `along` and `prediction_changes` looks into one.
    """

    columnwise = False

    @abstractmethod
    def blocks(self, width: int, among: Array | None = None) -> Iterator[tuple[int, Rows]]:
        """Yield (stratum, edits): blocks that share a projection, of `width` numbers an edit."""

    @abstractmethod
    def project(self, U: Array) -> list[Any]:
        """Return the projection of directions U, shape (n_params, k), for every stratum."""

    @abstractmethod
    def project_gradients(self, test: OutputObjective, B: Array) -> list[Any]:
        """Return `project` of J_t' B_t, for gradients B in the raw predictions, (n_test, K)."""

    @abstractmethod
    def project_predictions(self, test: OutputObjective) -> list[Any]:
        """Return the projections that `prediction_changes` needs for these test rows."""

    @abstractmethod
    def along(self, projection: Any, rows: Rows, out: Array | None = None) -> Array:
        """Return U' times the changes by some edits, shape (n_rows, k), into `out` if given."""

    @abstractmethod
    def prediction_changes(self, projection: Any, test: OutputObjective, rows: Rows) -> Array:
        """Return J_t times the changes, shape (n_test, n_rows, K), in float64."""


@dataclass(frozen=True, eq=False)
class Removal(ProjectedEdits):
    """The change of the parameters by edits of one row: H^-1 (J_i' c_i + E z_i).

    Attributes
    ----------
    edits : Edits
    coefficients : ndarray of shape (n_edits, K) or None
        c_i; None for an objective without raw predictions, where the push is the row's gradient.
    shares : ndarray of shape (n_edits, q)
        z_i.
    shared : ndarray of shape (n_params, q)
        E.
    strata : ndarray of int, shape (n_edits,)
        Which of `factors` applies to an edit.
    factors : tuple of Factor
    leverage : ndarray of shape (n_edits,) or None
        Largest eigenvalue of G_i Q_i (h_i for K = 1); None for first order.
    own_shift : ndarray of shape (n_edits, K) or None
        J_i d_i, what one Newton step does to the edit's own raw prediction; None for first order.
    widest : float
        Largest J_j H^-1 J_j' of all training rows, in any direction; infinite where not known.
    guarded : ndarray of int, shape (n_guarded,)
        Sorted edits whose change is not of the form above.
    guarded_changes : ndarray of shape (n_params, n_guarded)
        Their changes.
    method : str
    damping : float
        What the factors have on their diagonals besides the penalty.
    """

    edits: Edits
    coefficients: Array | None
    shares: Array
    shared: Array
    strata: Array
    factors: tuple[Factor, ...]
    leverage: Array | None
    own_shift: Array | None
    widest: float
    guarded: Array
    guarded_changes: Array
    method: str
    damping: float

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """The edit's own curvature stays, which first order means."""
        return self.leverage is None

    @property
    def guarded_edits(self) -> Array:
        return self.guarded

    @property
    def leverages(self) -> Array | None:
        return self.leverage

    @property
    def objective(self) -> Objective:
        return self.edits.base

    @property
    def features(self) -> Objective:
        return self.edits.features

    @property
    def n_edits(self) -> int:
        return self.edits.n_edits

    def prepare(self, n_edits: int) -> None:
        for factor in self.factors:
            factor.prepare(n_edits)

    def blocks(self, width: int, among: Array | None = None) -> Iterator[tuple[int, Rows]]:
        """Yield (stratum, rows): blocks that share a factor, of `width` numbers a row.

        `among` restricts them to some edits.
        """
        # A quarter of what a temporary may hold, to stay in a cache, unless that slows products.
        elements = max(tuning().block_elements // 4, min(tuning().block_elements, FEW_ROWS * width))
        size = max(elements // max(width, 1), 1)
        size -= size % FEW_ROWS if size > FEW_ROWS else 0  # which streams cut into even chunks
        if among is None and len(self.factors) == 1:
            for index in row_blocks(self.n_edits, 1, size):
                yield 0, index
            return
        for stratum in range(len(self.factors)):
            members = np.flatnonzero(self.strata == stratum)
            if among is not None:
                members = among[self.strata[among] == stratum]
            for index in row_blocks(len(members), 1, size):
                yield stratum, members[index]

    def project(self, U: Array) -> list[Projection]:
        """Return H^-1 U for every stratum, ready to meet the rows; U of shape (n_params, k)."""
        solved = [factor.solve(U) for factor in self.factors]
        dtype = self.objective.dtype
        return [Projection(T.astype(dtype, copy=False), self.shared.T @ T) for T in solved]

    def project_gradients(
        self, test: OutputObjective, B: Array
    ) -> list[Projection | RowSpaceSolve]:
        """Return `project` of U = J_t' B_t, for gradients B in the raw predictions, (n_test, K)."""
        return self._met(test, [B]) or [*self.project(test.jacobian_t_rows(B))]

    def _met(
        self, test: OutputObjective, pushes: list[Array]
    ) -> list[Projection | RowSpaceSolve] | None:
        """Return what the test rows do to the rows of all factors; None where one has none."""
        if not self.edits.leaving or not isinstance(test, LinearObjective):
            return None
        projections: list[Projection | RowSpaceSolve] = []
        for factor in self.factors:
            products = RowSpaceSolve.of(factor, self.shared, test, pushes)
            if products is None:
                return None
            projections.append(products)
        return projections

    def project_predictions(self, test: OutputObjective) -> list[Projection | RowSpaceSolve]:
        """Return the projections `prediction_changes` needs for these test rows.

        Where outputs do not mix (separable loss) one column serves all outputs of a test row.
        """
        n_outputs = test.loss.n_outputs
        if test.loss.separable:
            return self.project_gradients(test, np.ones((test.n_samples, n_outputs)))
        units = [np.tile(unit, (test.n_samples, 1)) for unit in np.eye(n_outputs)]
        met = self._met(test, units)
        if met is not None:
            return met
        columns = [test.jacobian_t_rows(unit) for unit in units]
        return [*self.project(np.stack(columns, axis=2).reshape(test.n_params, -1))]

    def along(
        self, projection: Projection | RowSpaceSolve, rows: Rows, out: Array | None = None
    ) -> Array:
        """Return U' times the changes by some edits, shape (n_rows, k), into `out` if given."""
        part = self.edits.features.rows(rows)
        if isinstance(projection, RowSpaceSolve):
            assert self.coefficients is not None
            dots = projection.pushed(self.coefficients[rows], rows, out)
        elif self.coefficients is None:
            dots = self.edits.grads_dot(rows, projection.T)
        elif isinstance(part, LinearObjective):
            same = out is not None and out.dtype == projection.T.dtype
            dots = part.pushes_dot(self.coefficients[rows], projection.T, out if same else None)
        else:
            assert isinstance(part, OutputObjective)
            JT = part.jacobian_dot(projection.T)
            dots = np.einsum("ikv,ik->iv", JT, self.coefficients[rows])
        if self.shares.shape[1]:
            dots += self.shares[rows] @ projection.shared
        if out is None:
            return dots
        if dots is not out:
            out[...] = dots
        return out

    def prediction_changes(
        self, projection: Projection | RowSpaceSolve, test: OutputObjective, rows: Rows
    ) -> Array:
        """Return J_t times the changes, shape (n_test, n_rows, K), in float64."""
        n_outputs = test.loss.n_outputs
        if test.loss.separable:
            delta = self._along_each_output(projection, rows, n_outputs)
        else:
            flat = self.along(projection, rows)
            delta = flat.reshape(len(flat), test.n_samples, n_outputs).transpose(1, 0, 2)
        if not len(self.guarded):
            return delta
        indices = np.arange(self.n_edits)[rows]
        here = np.isin(indices, self.guarded)
        if np.any(here):
            changes = self.guarded_changes[:, np.searchsorted(self.guarded, indices[here])]
            delta[:, here] = test.jacobian_dot(changes).transpose(0, 2, 1)
        return delta

    def _along_each_output(
        self, projection: Projection | RowSpaceSolve, rows: Rows, n_outputs: int
    ) -> Array:
        """H is block-diagonal: output k of a test row meets only output k of a training row."""
        if isinstance(projection, RowSpaceSolve):
            assert self.coefficients is not None
            delta = projection.JT[rows] * self.coefficients[rows][:, :, None]
            delta += np.einsum("kqt,iq->ikt", projection.each, self.shares[rows])
            return delta.transpose(2, 0, 1)
        part = self.edits.features.rows(rows)
        assert isinstance(part, OutputObjective) and self.coefficients is not None
        c = self.coefficients[rows]
        if isinstance(part, LinearObjective):
            delta = part.pushes_dot_each(c, projection.T).astype(np.float64, copy=False)
        else:
            delta = part.jacobian_dot(projection.T).astype(np.float64, copy=False)
            delta *= c[:, :, None]
        if self.shares.shape[1]:
            base = self.edits.base
            spread = base.spread if isinstance(base, LinearObjective) else np.asarray
            E = spread(self.shared).reshape(n_outputs, -1, self.shares.shape[1])
            T = spread(projection.T).reshape(n_outputs, -1, projection.T.shape[1])
            delta += np.einsum("kdq,kdt,iq->ikt", E, T, self.shares[rows], optimize=True)
        return delta.transpose(2, 0, 1)

    def pushes(self, rows: Array) -> Array:
        """Return J_i' c_i + E z_i of a few edits as columns, shape (n_params, n_rows)."""
        if self.coefficients is None:
            sums = [
                sign * part.weighted_grad_sum(np.diag(part.sample_weight))
                for sign, part in self.edits.parts(rows)
            ]
            total: Array = np.add.reduce(sums)
            total += self.shared @ self.shares[rows].T
            return total
        part = self.edits.features.rows(rows)
        assert isinstance(part, OutputObjective)
        out: Array = part.jacobian_t_rows(self.coefficients[rows])
        out += self.shared @ self.shares[rows].T
        return out

    def changes_along(self, U: Array, n_jobs: int | None = None) -> Array:
        if self.columnwise or U.shape[1] > self.n_edits:
            return super().changes_along(U, n_jobs)
        out = np.empty((self.n_edits, U.shape[1]))  # a solve for each direction, none for an edit
        projections = self.project(U)
        for stratum, rows in self.blocks(U.shape[1]):
            out[rows] = self.along(projections[stratum], rows)
        out[self.guarded] = self.guarded_changes.T @ U
        return out

    def changes(self, rows: Array) -> Array:
        out = self.pushes(rows)
        for stratum in np.unique(self.strata[rows]):
            here = self.strata[rows] == stratum
            out[:, here] = self.factors[stratum].solve(out[:, here])
        at = np.isin(rows, self.guarded)
        out[:, at] = self.guarded_changes[:, np.searchsorted(self.guarded, rows[at])]
        return out

    def own_predictions(self, n_jobs: int | None = None) -> Array:
        """Return J_i times the change by edit i, shape (n_edits, K)."""
        features = self.edits.features
        assert isinstance(features, OutputObjective) and self.coefficients is not None
        if not isinstance(features, LinearObjective):  # one solve a row in place of K
            out = np.empty_like(self.coefficients)
            blocks, what = row_blocks(self.n_edits, features.n_params), f"{self.n_edits:,} changes"
            for rows in counted(blocks, what, self.n_edits, size=n_rows_of, unit="changes"):
                D = self.changes(np.arange(self.n_edits)[rows])
                out[rows] = features.rows(rows).jacobian_rows_dot(D)
            return out
        if self.own_shift is not None:
            out = self.own_shift.copy()
        else:
            out = np.zeros_like(self.coefficients)
            H_E = self.factors[0].solve(self.shared)
            for rows, Q in quadratic_forms(features, self.factors[0]):
                c = self.coefficients[rows]
                out[rows] = Q * c if Q.ndim == 2 else np.einsum("ikl,il->ik", Q, c)
                if self.shares.shape[1]:
                    JE = features.rows(rows).jacobian_dot(H_E)
                    out[rows] += np.einsum("ikq,iq->ik", JE, self.shares[rows])
        if len(self.guarded):
            part = features.rows(self.guarded)
            out[self.guarded] = part.jacobian_rows_dot(self.guarded_changes)
        return out
