"""Edits of models that are not linear in their parameters: networks, and a user's own.

One Newton step with the edited rows' own curvature out, or the local refit: the minimum without a
row that trust-region Newton steps reach from that of all rows. Either way a target is evaluated at
the moved parameters, through the model.

A model that is not convex has more than one minimum. The local refit is the one of the same basin:
what retraining from the fitted parameters reaches, not what a new random start would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from skinfluence.messages import warn
from skinfluence.objectives import NetworkObjective, Objective, OutputObjective
from skinfluence.objectives.base import row_blocks
from skinfluence.removal.base import Counterfactuals, Removal, in_threads
from skinfluence.removal.edits import Edits
from skinfluence.removal.one_step import first_order, newton
from skinfluence.solvers import Factor, SingularCurvatureError
from skinfluence.solvers.cg import conjugate_gradients
from skinfluence.trust_region import Problem, Solve, minimise, norms

Array = npt.NDArray[Any]

LOCAL_RTOL = 1e-7
"""Gradient at which a local refit is done, as a fraction of what the edit caused."""

NOISE = 1e-13
"""Gradients below this, in units of sqrt(F), are rounding."""

ENOUGH = 1e-3
"""Fraction of the caused gradient up to which a refit that rounding or a kink ended is fine."""

TOGETHER = 2**22
"""Raw numbers of the passes of edits that are refitted together (32 MiB)."""

OWN_RTOL = 1e-9
"""Residual of a Newton step that is found by conjugate gradients."""


def after_edits(edits: Edits, rows: Array) -> Problem:
    """Return the objectives after some edits of one row each."""
    base, ratios = edits.base, edits.ratios[rows]
    weights = base.weighting.all_weights(ratios, base.sample_weight)
    W = np.array(np.broadcast_to(weights, (base.n_samples, len(rows))))
    if edits.leaving:
        W[rows, np.arange(len(rows))] = 0.0
    coming = None
    if edits.coming is not None:
        coming = edits.coming.rows(rows)
        coming = coming.weighing(coming.sample_weight * coming.weighting.own(ratios))
    return Problem(base, W, coming)


def proximal(base: NetworkObjective, rows: Array, damping: float) -> Problem:
    """Return the proximal objectives without each of some rows.

    A network that was not trained to a minimum is held where it is: with eta_0 and theta_0 its own,

        sum_j w_j D(eta_j, eta_j0) + 1/2 |theta - theta_0|^2_(l2 + damping) - w_i l_i(theta),

    D the Bregman divergence of the loss (Bae et al. 2022, arXiv:2209.05364). Without the last term
    theta_0 is the minimum; the Gauss-Newton matrix is the Hessian there, so that first order is the
    derivative of this answer whether the network had converged or not.
    """
    gone = base.rows(rows)
    gone = gone.weighing(-gone.sample_weight)
    W = np.repeat(base.sample_weight[:, None], len(rows), axis=1)
    return Problem(base.held(), W, gone, center=base.theta, damping=damping)


class Evaluated(Counterfactuals):
    """Changes of parameters whose effects are evaluated through the model."""

    features: Objective

    def own_predictions(self, n_jobs: int | None = None) -> Array:
        """Return how the raw prediction of row i moves with edit i, shape (n_edits, K)."""
        features = self.features
        assert isinstance(features, OutputObjective)
        return self._own(features.loss.n_outputs, n_jobs, lambda p, D: p.own_prediction_changes(D))

    def own_losses(self, n_jobs: int | None = None) -> Array:
        """Return how the loss of row i moves with edit i, shape (n_edits,)."""
        return self._own(1, n_jobs, lambda part, D: part.own_loss_changes(D)[:, None])[:, 0]

    def _own(self, width: int, n_jobs: int | None, read: Callable[[Any, Array], Array]) -> Array:
        out = np.empty((self.n_edits, width))

        def fill(rows: Array) -> None:
            out[rows] = read(self.features.rows(rows), self.changes(rows))

        in_threads(fill, self.column_blocks(np.arange(self.n_edits)), n_jobs)
        return out


@dataclass(frozen=True, eq=False)
class Steps(Evaluated):
    """Newton steps of edits of one row each, of a model with raw predictions.

    Attributes
    ----------
    steps : Removal
        c_i = (I - G_i Q_i)^-1 a_i: the row's own Gauss-Newton block is out.
    """

    steps: Removal
    method: str = "newton"

    @property
    def objective(self) -> Objective:
        return self.steps.objective

    @property
    def features(self) -> Objective:  # type: ignore[override]
        return self.steps.edits.features

    @property
    def leverage(self) -> Array | None:
        """Largest eigenvalue of G_i Q_i, shape (n_edits,)."""
        return self.steps.leverage

    @property
    def n_edits(self) -> int:
        return self.steps.n_edits

    def changes(self, rows: Array) -> Array:
        return self.steps.changes(rows)


@dataclass(frozen=True, eq=False)
class OwnSteps(Evaluated):
    """Newton steps of a model that is known by its losses alone: (H - H_i) d = g_i.

    H_i is the row's own second derivative; the equations are solved by conjugate gradients, with
    the factor of H as preconditioner.
    """

    edits: Edits
    factor: Factor
    damping: float
    method: str = "newton"

    @property
    def objective(self) -> Objective:
        return self.edits.base

    @property
    def features(self) -> Objective:  # type: ignore[override]
        return self.edits.features

    @property
    def n_edits(self) -> int:
        return self.edits.n_edits

    def changes(self, rows: Array) -> Array:
        pushes = first_order(self.edits, self.factor).pushes(rows)
        out = np.empty_like(pushes)
        failed = []
        for j, row in enumerate(rows):
            one = np.array([row])
            try:
                out[:, [j]] = self._solve(one, pushes[:, [j]])
            except SingularCurvatureError:
                failed.append(int(row))
                out[:, [j]] = self.factor.solve(pushes[:, [j]])
        if failed:
            warn(
                f"Without each of the rows {failed[:20]} ({len(failed)} in all) the curvature is "
                "not positive definite, and a Newton step leads nowhere: their scores are of first "
                "order. Pass damping > 0, or method='exact'.",
                UserWarning,
            )
        return out

    def _solve(self, row: Array, push: Array) -> Array:
        base, theta = self.edits.base, self.edits.base.theta[:, None]
        parts = [
            (sign, part.many(theta, part.sample_weight[:, None]))
            for sign, part in self.edits.parts(row)
        ]

        def times(V: Array) -> Array:
            out = base.hvp(V) + self.damping * V
            for sign, part in parts:
                out -= sign * part.products(V)
            return out

        solved, _ = conjugate_gradients(times, self.factor.solve, push, OWN_RTOL, 500)
        return solved


@dataclass(frozen=True, eq=False)
class ProximalRemoval(Counterfactuals):
    """The change without each row at the minimum of its proximal objective.

    Attributes
    ----------
    base : NetworkObjective
        Over the training rows, at a minimum or not.
    precondition : callable
        As in `LocalRemoval`.
    damping : float
        Of the proximal objective.
    """

    base: NetworkObjective
    precondition: Solve
    damping: float
    method: str = "proximal"

    @property
    def objective(self) -> Objective:
        return self.base

    @property
    def n_edits(self) -> int:
        return self.base.n_samples

    def column_blocks(self, rows: Array) -> Iterator[Array]:
        return refit_blocks(rows, self.base)

    def changes(self, rows: Array) -> Array:
        problem = proximal(self.base, rows, self.damping)
        return refit(problem, self.precondition, "each of the rows {}", rows)


@dataclass(frozen=True, eq=False)
class LocalRemoval(Evaluated):
    """The change by each edit at the minimum near the old one, found when asked for.

    Attributes
    ----------
    edits : Edits
    precondition : callable
        Near the inverse of the second derivative at the optimum.
    """

    edits: Edits
    precondition: Solve
    method: str = "exact"

    @property
    def objective(self) -> Objective:
        return self.edits.base

    @property
    def features(self) -> Objective:  # type: ignore[override]
        return self.edits.features

    @property
    def n_edits(self) -> int:
        return self.edits.n_edits

    def column_blocks(self, rows: Array) -> Iterator[Array]:
        return refit_blocks(rows, self.objective)

    def changes(self, rows: Array) -> Array:
        problem = after_edits(self.edits, rows)
        return refit(problem, self.precondition, "each of the rows {}", rows)


def refit_blocks(rows: Array, objective: Objective) -> Iterator[Array]:
    """Cut edits into blocks that are refitted together."""
    width = getattr(objective, "layers", None)
    numbers = objective.n_samples * (width.width if width is not None else 1)
    for index in row_blocks(len(rows), max(numbers, TOGETHER // 64), TOGETHER):
        yield rows[index]


def refit(problem: Problem, precondition: Solve, names: str, labels: Array) -> Array:
    """Return the changes of the parameters to the minimum of each of some edits.

    Warns
    -----
    ConvergenceWarning
        Naming those whose gradient is not next to nothing where the steps ended.
    """
    theta = problem.base.theta[:, None]
    start = np.repeat(theta, problem.m, axis=1)
    caused = norms(problem.at(start).gradients(), precondition)
    floor = NOISE * np.sqrt(max(problem.base.value(), 0.0))
    found = minimise(problem, start, precondition, np.maximum(LOCAL_RTOL * caused, floor))
    failed = ~found.converged & (found.left > np.maximum(ENOUGH * caused, 1e3 * floor))
    if np.any(failed):
        worst = float((found.left[failed] / caused[failed]).max())
        warn(
            f"Without {names.format(labels[failed][:20].tolist())} the network was not refitted to "
            f"its minimum: {worst:.1e} of the gradient that the removal caused is left, at a kink "
            "of relu or where the loss is all but flat. Values are those of the last step. Fit "
            "with a larger alpha, or with a smooth activation (tanh).",
            ConvergenceWarning,
        )
    return found.Theta - theta


def local_steps(
    edits: Edits,
    method: str,
    factor: Factor,
    factorize: Callable[[Objective], Factor],
    damping: float,
) -> Removal | Evaluated:
    """Return the steps of edits of one row each of a model that is not linear in its parameters."""
    if method == "first_order":
        return first_order(edits, factor, damping)
    if not isinstance(edits.base, OutputObjective):
        return OwnSteps(edits, factor, damping)
    return Steps(newton(edits, factor, factorize, guard=False, damping=damping))
