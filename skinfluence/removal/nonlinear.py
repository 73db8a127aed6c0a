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

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skinfluence.minimisers.distance import Solve
from skinfluence.minimisers.trust_region import Problem, minimise, norms
from skinfluence.objectives import NetworkObjective, Objective, OutputObjective
from skinfluence.objectives.stacked import stacked
from skinfluence.process.blocks import row_blocks
from skinfluence.process.row_names import named_rows
from skinfluence.process.tuning import tuning
from skinfluence.process.warnings import warn
from skinfluence.removal.base import Counterfactuals, Removal
from skinfluence.removal.edits import Edits
from skinfluence.removal.one_step import first_order, newton
from skinfluence.solvers import Factor, SingularCurvatureError
from skinfluence.solvers.cg import conjugate_gradients
from skinfluence.typing import Array

LOCAL_RTOL = 1e-7
"""Gradient at which a local refit is done, as a fraction of what the edit caused."""

NOISE = 1e-13
"""Gradients below this, in units of sqrt(F), are rounding."""

REMAINING_RTOL = 1e-3
"""Fraction of the caused gradient up to which a refit that rounding or a kink ended is fine."""

FARTHEST_SHIFT = 4.0
"""How far a Newton step may move its own raw prediction before it is named, in units of the loss's
curvature scale, where that is known."""

MOST_NONLINEAR = 0.5
"""The same for how far that is from where its derivative says, as a part of it."""

NO_SHIFT = 1e-9
"""Change of a raw prediction that is none."""

MOST_REMAINING = 0.2
"""The same for what is left of the gradient that the edit caused, where a look at it is cheap.

In units of what the edit caused it is about what the step is off by: more than a fifth is named.
The Gauss-Newton step of a network that misfits is nearly always: at 1, of the 80 largest rows of
five networks, none of wine is named, 54 of digits, 64 of iris and all of a misfit.
"""

GRADIENT_WORK = 3e11
"""Multiplications for which the gradients at the ends of Newton steps are looked at."""

UNTRUSTED = (
    "ends where its quadratic model no longer holds, and its scores may be far off. "
    "Raise damping=, pass refine=True with curvature='hessian', or method='exact' for models that "
    "can be moved to a minimum."
)


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
        coming = coming.with_weights(coming.sample_weight * coming.weighting.own(ratios))
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
    gone = gone.with_weights(-gone.sample_weight)
    W = np.repeat(base.sample_weight[:, None], len(rows), axis=1)
    return Problem(base.proximal(), W, gone, center=base.theta, damping=damping)


def exceeds_trust(linear: Array, moved: Array) -> Array:
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
    return off > MOST_NONLINEAR * np.abs(linear).max(axis=1, initial=0.0) + NO_SHIFT


def remaining_gradients(
    problem: Problem, pushes: Array, D: Array, factor: Factor, n_edits: int
) -> Array | None:
    """Return what steps leave of the gradients that edits caused, as parts of these, shape (m,).

    None where a look at all `n_edits` is not cheap, and for other models than networks, whose
    gradients at many parameters are one product. What the gradient of all rows was before is not
    counted.
    """
    base = problem.base
    work = 6.0 * base.n_samples * float(base.n_params) * n_edits
    if not isinstance(base, NetworkObjective) or work > GRADIENT_WORK:
        return None
    precondition, before = factor.precondition, base.gradient()[:, None]
    after = norms(problem.at(base.theta[:, None] + D).gradients() - before, precondition)
    return after / np.maximum(norms(pushes, precondition), np.finfo(np.float64).tiny)


def advice(objective: Objective) -> str:
    """Return what to do about a minimum that was not reached, after why."""
    if isinstance(objective, NetworkObjective) and objective.layers.activation == "relu":
        return (
            "at a kink of relu or where the loss is nearly flat. Values are those of the last "
            "step. Fit with a larger alpha, or with a smooth activation (tanh)."
        )
    return (
        "where the loss is nearly flat, or falls without end. Values are those of the last step. "
        "Fit with a larger penalty."
    )


@dataclass(frozen=True, eq=False)
class UnreliableSteps(Counterfactuals):
    """Changes that name, once, the edits they cannot be trusted for.

    Attributes
    ----------
    flagged : dict of int to float
        Such edits, of those whose changes were asked for, and by how much.
    """

    flagged: dict[int, float] = field(default_factory=dict, init=False, repr=False, kw_only=True)

    def report(self) -> None:
        if self.flagged:
            edits = np.array(sorted(self.flagged))
            self.warn_of(edits, max(self.flagged.values()))
            self.flagged.clear()

    @abstractmethod
    def warn_of(self, edits: Array, worst: float) -> None:
        """Warn of doubted edits, the worst by how much."""


@dataclass(frozen=True, eq=False)
class EvaluatedEdits(UnreliableSteps):
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


@dataclass(frozen=True, eq=False)
class Steps(EvaluatedEdits):
    """Newton steps of edits of one row each, of a model with raw predictions.

    Attributes
    ----------
    steps : Removal
        c_i = (I - G_i Q_i)^-1 a_i: the row's own Gauss-Newton block is out.
    """

    steps: Removal
    method = "newton"

    @property
    def leverages(self) -> Array | None:
        """Largest eigenvalue of G_i Q_i, shape (n_edits,)."""
        return self.steps.leverage

    def changes(self, rows: Array) -> Array:
        moved, features = self.steps.own_shift, self.features
        assert moved is not None and isinstance(features, OutputObjective)
        D = self.steps.changes(rows)
        doubt = exceeds_trust(moved[rows], features.rows(rows).own_prediction_changes(D))
        scale = features.loss.curvature_scale
        doubt |= (
            False if scale is None else np.abs(moved[rows]).max(axis=1) > FARTHEST_SHIFT * scale
        )
        problem, pushes = after_edits(self.edits, rows), self.steps.pushes(rows)
        remaining = remaining_gradients(problem, pushes, D, self.steps.factors[0], self.n_edits)
        doubt |= False if remaining is None else remaining > MOST_REMAINING
        self.flagged.update(dict.fromkeys(rows[doubt].tolist(), np.inf))
        return D

    def warn_of(self, edits: Array, worst: float) -> None:
        warn(
            f"The Newton step without each of the rows {named_rows(edits)} {UNTRUSTED}",
            UserWarning,
        )


@dataclass(frozen=True, eq=False)
class OwnSteps(EvaluatedEdits):
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
            try:
                out[:, [j]] = self._solve(np.array([row]), pushes[:, [j]])
            except SingularCurvatureError:
                self.flagged[int(row)] = np.inf
                out[:, [j]] = self.factor.solve(pushes[:, [j]])
        return out

    def warn_of(self, edits: Array, worst: float) -> None:
        warn(
            f"Without each of the rows {named_rows(edits)} the curvature "
            "is not positive definite, and a Newton step leads nowhere: their scores are of first "
            "order. Pass damping > 0, or method='exact'.",
            UserWarning,
        )

    def _solve(self, row: Array, push: Array) -> Array:
        base, theta = self.edits.base, self.edits.base.theta[:, None]
        parts = [
            (sign, stacked(part, theta, part.sample_weight[:, None]))
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
class Refits(UnreliableSteps):
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
        return f"each of the rows {named_rows(edits)}"

    def column_blocks(self, rows: Array) -> Iterator[Array]:
        # As many edits together as keep the passes of the model in the caches, but 64.
        objective = self.objective
        width = objective.layers.width if isinstance(objective, NetworkObjective) else 1
        numbers = max(objective.n_samples * width, tuning().refit_elements // 64)
        for index in row_blocks(len(rows), numbers, tuning().refit_elements):
            yield rows[index]

    def changes(self, rows: Array) -> Array:
        problem = self.problem(rows)
        start = np.repeat(problem.base.theta[:, None], problem.m, axis=1)
        caused = norms(problem.at(start).gradients(), self.precondition)
        floor = NOISE * np.sqrt(max(problem.base.value(), 0.0))
        goal = np.maximum(LOCAL_RTOL * caused, floor)
        minima = minimise(problem, start, self.precondition, goal)
        stuck = ~minima.converged & (
            minima.remaining > np.maximum(REMAINING_RTOL * caused, 1e3 * floor)
        )
        for j in np.flatnonzero(stuck):
            self.flagged[int(rows[j])] = float(minima.remaining[j] / caused[j])
        return minima.Theta - start

    def warn_of(self, edits: Array, worst: float) -> None:
        warn(
            f"Without {self.named(edits)} the model was not refitted to its minimum: up to "
            f"{worst:.1e} of the gradient that the removal caused is left, "
            + advice(self.objective),
            ConvergenceWarning,
        )


@dataclass(frozen=True)
class Preconditioned(Factor):
    """A map near the inverse of a curvature, in place of its factor."""

    precondition_by: Solve

    def solve(self, V: Array) -> Array:
        return self.precondition_by(V)


@dataclass(frozen=True, eq=False)
class LocalRefits(Refits, EvaluatedEdits):
    """Local refits after edits of one row each."""

    def for_ranking(self) -> Counterfactuals:
        """Return their first-order part, by the preconditioner."""
        return first_order(self.edits, Preconditioned(self.precondition))

    def problem(self, rows: Array) -> Problem:
        return after_edits(self.edits, rows)


@dataclass(frozen=True, eq=False)
class ProximalRemoval(Refits, EvaluatedEdits):
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


def nonlinear_newton(
    edits: Edits, factor: Factor, factorize: Callable[[Objective], Factor], damping: float
) -> EvaluatedEdits:
    """Return the Newton steps of edits of one row each of a model not linear in its parameters."""
    if not isinstance(edits.base, OutputObjective):
        return OwnSteps(edits, factor, damping)
    return Steps(edits, newton(edits, factor, factorize, guard=False, damping=damping))
