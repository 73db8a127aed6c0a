"""Edits of models that are not linear in their parameters: networks, and a user's own.

One Newton step with the edited rows' own curvature out, or the local refit: the minimum without a
row that trust-region Newton steps reach from that of all rows. Either way a target is evaluated at
the moved parameters, through the model.

A model that is not convex has more than one minimum. The local refit is the one of the same basin:
what retraining from the fitted parameters reaches, not what a new random start would.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning

from skinfluence.messages import warn
from skinfluence.objectives import NetworkObjective, Objective, OutputObjective
from skinfluence.objectives.base import row_blocks
from skinfluence.removal.base import Counterfactuals, Removal
from skinfluence.removal.edits import Edits
from skinfluence.removal.one_step import first_order, newton
from skinfluence.removal.threads import in_threads
from skinfluence.solvers import Factor, SingularCurvatureError, rough
from skinfluence.solvers.cg import conjugate_gradients
from skinfluence.trust_region import Problem, Solve, minimise, norms

Array = npt.NDArray[Any]

LOCAL_RTOL = 1e-7
"""Gradient at which a local refit is done, as a fraction of what the edit caused."""

NOISE = 1e-13
"""Gradients below this, in units of sqrt(F), are rounding."""

ENOUGH = 1e-3
"""Fraction of the caused gradient up to which a refit that rounding or a kink ended is fine."""

FAR = 4.0
"""How far a Newton step may move its own raw prediction before it is named, in units of the loss's
curvature scale."""

OFF = 0.5
"""The same for how far that is from where its derivative says, as a part of it."""

STILL = 1e-9
"""Change of a raw prediction that is none."""

LEFT = 1.0
"""The same for what is left of the gradient that the edit caused, where a look at it is cheap.

Above 1 the step ends where the gradient is larger than where it began. Of the 80 largest rows of
five networks that is so for none (wine), 2 (a misfit by the Hessian, errors 6.6 against .03 of the
others), 54 (digits, .85 against .70), 64 (iris, .95 against .26) and all (the misfit, .87).
"""

LOOKS = 3e11
"""Multiplications for which the gradients at the ends of Newton steps are looked at."""

TOO_FAR = (
    "goes too far for what the curvature says of the model there, and its scores may be far off. "
    "Raise damping=, pass refine=True with curvature='hessian', or method='exact' for models that "
    "can be moved to a minimum."
)

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


def goes_too_far(linear: Array, moved: Array) -> Array:
    """Return where predictions move elsewhere than their derivatives say.

    Parameters
    ----------
    linear, moved : ndarray of shape (m, K)
        The changes of raw predictions that a step is made for, and that it makes.

    Returns
    -------
    ndarray of bool, shape (m,)
    """
    off = np.abs(moved - linear).max(axis=1, initial=0.0)
    far: Array = off > OFF * np.abs(linear).max(axis=1, initial=0.0) + STILL
    return far


def left_of(
    problem: Problem, pushes: Array, D: Array, factor: Factor, n_edits: int
) -> Array | None:
    """Return what steps leave of the gradients that edits caused, as parts of these, shape (m,).

    None where a look at all `n_edits` is not cheap, and for other models than networks, whose
    gradients at many parameters are one product. What the gradient of all rows was before is not
    counted.
    """
    base = problem.base
    work = 6.0 * base.n_samples * float(base.n_params) * n_edits
    if not isinstance(base, NetworkObjective) or work > LOOKS:
        return None
    near, before = rough(factor), base.gradient()[:, None]
    after = norms(problem.at(base.theta[:, None] + D).gradients() - before, near)
    out: Array = after / np.maximum(norms(pushes, near), np.finfo(np.float64).tiny)
    return out


def way_out(objective: Objective) -> str:
    """Return what to do about a minimum that was not reached, after why."""
    if isinstance(objective, NetworkObjective) and objective.layers.activation == "relu":
        return (
            "at a kink of relu or where the loss is all but flat. Values are those of the last "
            "step. Fit with a larger alpha, or with a smooth activation (tanh)."
        )
    return (
        "where the loss is all but flat, or falls without end. Values are those of the last step. "
        "Fit with a larger penalty."
    )


@dataclass(frozen=True, eq=False)
class Doubting(Counterfactuals):
    """Changes that name, once, the edits they cannot be trusted for.

    Attributes
    ----------
    doubted : dict of int to float
        Such edits, of those whose changes were asked for, and by how much.
    """

    doubted: dict[int, float] = field(default_factory=dict, init=False, repr=False, kw_only=True)

    def report(self) -> None:
        if self.doubted:
            edits = np.array(sorted(self.doubted))
            self.warn_of(edits, max(self.doubted.values()))
            self.doubted.clear()

    @abstractmethod
    def warn_of(self, edits: Array, worst: float) -> None:
        """Warn of doubted edits, the worst by how much."""


@dataclass(frozen=True, eq=False)
class Evaluated(Doubting):
    """Changes by edits of one row each, whose effects are evaluated through the model.

    Attributes
    ----------
    edits : Edits
    """

    edits: Edits

    @property
    def objective(self) -> Objective:
        return self.edits.base

    @property
    def features(self) -> Objective:
        """The objective whose row i has the features of edit i."""
        return self.edits.features

    @property
    def n_edits(self) -> int:
        return self.edits.n_edits

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
        self.report()
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
    method = "newton"

    @property
    def leverage(self) -> Array | None:
        """Largest eigenvalue of G_i Q_i, shape (n_edits,)."""
        return self.steps.leverage

    def changes(self, rows: Array) -> Array:
        moved, features = self.steps.moved, self.features
        assert moved is not None and isinstance(features, OutputObjective)
        D = self.steps.changes(rows)
        doubt = goes_too_far(moved[rows], features.rows(rows).own_prediction_changes(D))
        doubt |= np.abs(moved[rows]).max(axis=1) > FAR * features.loss.curvature_scale
        problem, pushes = after_edits(self.edits, rows), self.steps.pushes(rows)
        left = left_of(problem, pushes, D, self.steps.factors[0], self.n_edits)
        doubt |= False if left is None else left > LEFT
        self.doubted.update(dict.fromkeys(rows[doubt].tolist(), np.inf))
        return D

    def warn_of(self, edits: Array, worst: float) -> None:
        warn(
            f"The Newton step without each of the rows {edits[:20].tolist()} ({len(edits)} in all) "
            f"{TOO_FAR}",
            UserWarning,
        )


@dataclass(frozen=True, eq=False)
class OwnSteps(Evaluated):
    """Newton steps of a model that is known by its losses alone: (H - H_i) d = g_i.

    H_i is the row's own second derivative; the equations are solved by conjugate gradients, with
    the factor of H as preconditioner.
    """

    factor: Factor
    damping: float
    method = "newton"

    def changes(self, rows: Array) -> Array:
        pushes = first_order(self.edits, self.factor).pushes(rows)
        out = np.empty_like(pushes)
        for j, row in enumerate(rows):
            one = np.array([row])
            try:
                out[:, [j]] = self._solve(one, pushes[:, [j]])
            except SingularCurvatureError:
                self.doubted[int(row)] = np.inf
                out[:, [j]] = self.factor.solve(pushes[:, [j]])
        return out

    def warn_of(self, edits: Array, worst: float) -> None:
        warn(
            f"Without each of the rows {edits[:20].tolist()} ({len(edits)} in all) the curvature "
            "is not positive definite, and a Newton step leads nowhere: their scores are of first "
            "order. Pass damping > 0, or method='exact'.",
            UserWarning,
        )

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
class Refits(Doubting):
    """The change by each of several edits at the minimum near the old one, found when asked for.

    Attributes
    ----------
    precondition : callable
        Near the inverse of the second derivative where the refits start.
    """

    precondition: Solve
    method = "exact"

    @abstractmethod
    def problem(self, rows: Array) -> Problem:
        """Return the objectives after some edits."""

    def named(self, edits: Array) -> str:
        """Return what a warning calls edits."""
        return f"each of the rows {edits[:20].tolist()} ({len(edits)} in all)"

    def column_blocks(self, rows: Array) -> Iterator[Array]:
        # As many edits together as keep the passes of the model in the caches, but 64.
        objective = self.objective
        width = objective.layers.width if isinstance(objective, NetworkObjective) else 1
        numbers = max(objective.n_samples * width, TOGETHER // 64)
        for index in row_blocks(len(rows), numbers, TOGETHER):
            yield rows[index]

    def changes(self, rows: Array) -> Array:
        problem = self.problem(rows)
        start = np.repeat(problem.base.theta[:, None], problem.m, axis=1)
        caused = norms(problem.at(start).gradients(), self.precondition)
        floor = NOISE * np.sqrt(max(problem.base.value(), 0.0))
        goal = np.maximum(LOCAL_RTOL * caused, floor)
        found = minimise(problem, start, self.precondition, goal)
        stuck = ~found.converged & (found.left > np.maximum(ENOUGH * caused, 1e3 * floor))
        for j in np.flatnonzero(stuck):
            self.doubted[int(rows[j])] = float(found.left[j] / caused[j])
        D: Array = found.Theta - start
        return D

    def warn_of(self, edits: Array, worst: float) -> None:
        warn(
            f"Without {self.named(edits)} the model was not refitted to its minimum: up to "
            f"{worst:.1e} of the gradient that the removal caused is left, "
            + way_out(self.objective),
            ConvergenceWarning,
        )


@dataclass(frozen=True, eq=False)
class LocalRemoval(Refits, Evaluated):
    """Local refits after edits of one row each."""

    def problem(self, rows: Array) -> Problem:
        return after_edits(self.edits, rows)


@dataclass(frozen=True, eq=False)
class ProximalRemoval(Refits, Evaluated):
    """The change without each row of a network at the minimum of its proximal objective.

    Attributes
    ----------
    damping : float
        Of the proximal objective.
    """

    damping: float

    def problem(self, rows: Array) -> Problem:
        assert isinstance(self.objective, NetworkObjective)
        return proximal(self.objective, rows, self.damping)


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
    return Steps(edits, newton(edits, factor, factorize, guard=False, damping=damping))
