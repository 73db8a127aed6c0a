"""The stochastic Neumann iteration of the papers on influence: LiSSA."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature
from skinfluence.process.progress import counted
from skinfluence.process.warnings import warn
from skinfluence.solvers.base import Factor, Numerics, SingularCurvatureError, Solver
from skinfluence.solvers.iterative import SolveStatistics, residual
from skinfluence.typing import Array

LOOKED_AT = 10
"""Batches whose largest eigenvalue is looked at for the scale."""

MARGIN = 1.2
"""The scale beside the largest eigenvalue found: a power iteration ends below it."""

DOUBLINGS = 4
"""Times that a scale that was found is doubled where the iteration diverges; indefinite curvature
diverges at any scale, only later."""

EVERY = 10
"""Steps between looks at the size of the iterate."""

BEYOND = 10.0
"""The size of the iterate, beside the largest it can have where no step expands: diverged."""


@dataclass(frozen=True)
class LiSSA(Solver):
    """Solve H h = v by h <- h + (v - H_B h) / scale on random batches of rows.

    H_B has the penalty and the damping whole and n / n_B times the losses of its batch, so that it
    is H on average. Needs a positive definite curvature, and about scale / (smallest eigenvalue)
    steps per digit; what noise the batches leave falls with batch_size, scale and repeats. A tool
    for reproducing what was published, and a yardstick; `CG` takes fewer products.

    Parameters
    ----------
    n_iter : int, default=2000
        Steps. Each is one product with a batch.
    batch_size : int, default=100
        Rows of a batch, drawn in proportion to their weights (systematically, from an order
        shuffled for every repeat). As many as there are rows: all of them, and no noise.
    repeats : int, default=1
        Runs, of batches of their own, whose ends are averaged.
    scale : float, optional
        Of the units of H. By default 1.2 times the largest eigenvalue of H and of ten batches: with
        S no less than the largest eigenvalue of any H_B no step expands, and as
        ``E[H_B^2] <= max |H_B| H``, errors shrink in the mean square from half of it on. Doubled
        where the iteration diverges all the same.
    tol : float, default=0.1
        Residual, relative to the right-hand side, above which there is a ConvergenceWarning. It
        takes one product with all rows.
    random_state : int, default=0
        The batches: each solve of a factor has the same.

    Notes
    -----
    The published code (Koh & Liang 2017) iterates h <- v + (1 - damping) h - H_B h / scale, H the
    Hessian of the *mean* loss of n rows, and returns h / scale: it inverts
    H + damping x scale x I. To reproduce it, pass ``LiSSA(scale=n * scale)`` and
    ``damping=n * damping * scale`` to the estimator: its .01 and 10^4 are 100 n.

    References
    ----------
    Agarwal, N., Bullins, B. & Hazan, E. (2017). Second-order stochastic optimization for machine
    learning in linear time. JMLR 18(116).
    Koh, P. W. & Liang, P. (2017). Understanding black-box predictions via influence functions.
    ICML. arXiv:1703.04730.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from skinfluence import InfluenceClassifier
    >>> from skinfluence.solvers import LiSSA
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> X = scale(X)[:, :5]
    >>> model = InfluenceClassifier(solver=LiSSA(n_iter=500, repeats=4)).fit(X, y)
    >>> model.influence_scores(X[:2], y[:2], method="first_order").shape
    (2, 569)
    """

    approximate: ClassVar[bool] = True  # not for measuring how far a gradient is from zero
    n_iter: int = 2000
    batch_size: int = 100
    repeats: int = 1
    scale: float | None = None
    tol: float = 0.1
    random_state: int = 0

    def factorize(self, curvature: Curvature) -> LiSSAFactor:
        """Return the factor of `curvature`: its scale.

        Raises
        ------
        ValueError
            For parameters out of their range.
        """
        if (
            min(self.n_iter, self.batch_size, self.repeats) < 1
            or not (self.scale is None or 0.0 < self.scale < np.inf)
            or not self.tol > 0
        ):
            raise ValueError(
                f"{self} was given; n_iter, batch_size and repeats >= 1, scale > 0 or None, and "
                "tol > 0 are accepted. Try LiSSA(), which finds its scale."
            )
        scale = self.scale if self.scale is not None else self._find_scale(curvature)
        return LiSSAFactor(curvature, self, scale)

    def _find_scale(self, curvature: Curvature) -> float:
        batches = self.batches(curvature, np.random.RandomState(self.random_state))
        sizes = [curvature.largest()]
        sizes += [next(batches).largest() for _ in range(LOOKED_AT)]
        return MARGIN * max(sizes) or 1.0

    def batches(self, curvature: Curvature, rng: np.random.RandomState) -> Iterator[Curvature]:
        """Yield the curvatures H_B of random batches, independent of each other."""
        whole = curvature.objective
        while self.batch_size >= whole.n_samples:
            yield curvature
        order = rng.permutation(whole.n_samples)
        ends = np.cumsum(whole.sample_weight[order])
        step = ends[-1] / self.batch_size
        while True:
            # Every row is met weight / step times on average, and never one time more or less.
            places = (rng.random_sample() + np.arange(self.batch_size)) * step
            drawn = np.searchsorted(ends, places, side="right").clip(max=whole.n_samples - 1)
            rows, counts = np.unique(order[drawn], return_counts=True)
            yield replace(curvature, objective=whole.rows(rows).with_weights(counts * step))


@dataclass(frozen=True, eq=False)
class LiSSAFactor(Factor):
    """H^-1 by iteration.

    Attributes
    ----------
    curvature : Curvature
    solver : LiSSA
    scale : float
        The scale of the first try.
    """

    approximate: ClassVar[bool] = True
    curvature: Curvature
    solver: LiSSA
    scale: float
    record: SolveStatistics = field(default_factory=SolveStatistics)

    @property
    def numerics(self) -> Numerics:  # type: ignore[override]
        """The residual is the largest so far; products are those with batches."""
        return Numerics(
            self.curvature.damping,
            residual=self.record.residual,
            n_products=self.record.n_products,
        )

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (n_params, k).

        Raises
        ------
        SingularCurvatureError
            Where the iteration diverges, with a scale that would do.

        Warns
        -----
        ConvergenceWarning
            With the largest residual, where it is above `tol`.
        """
        V = self.curvature.off_gauge(np.asarray(V, dtype=np.float64))
        if not V.shape[1]:
            return V
        X = self._average(V)
        worst = float(residual(self.curvature, V, X).max())
        self.record.add(worst, self.solver.n_iter * self.solver.repeats)
        if worst > self.solver.tol:
            warn(
                f"LiSSA ended with a residual of {worst:.1e} of its right-hand side, and "
                f"tol={self.solver.tol:g} was asked for. Raise n_iter= (a small curvature takes "
                "many steps), batch_size= or repeats= (less noise), or damping= of the model; "
                "solver=CG() needs none of these.",
                ConvergenceWarning,
            )
        return X

    def _average(self, V: Array) -> Array:
        """Return the average of all repeats; a scale that was found is doubled until they end."""
        tries = DOUBLINGS if self.solver.scale is None else 0
        for doubled in range(tries + 1):
            rng = np.random.RandomState(self.solver.random_state)
            total = np.zeros(V.shape)
            try:
                for _ in range(self.solver.repeats):
                    total += self._run(V, self.scale * 2.0**doubled, rng)
            except Diverged:
                continue
            return total / self.solver.repeats
        raise self._divergence()

    def _run(self, V: Array, scale: float, rng: np.random.RandomState) -> Array:
        # Where no step expands, |h_t| <= t |v| / scale.
        sizes = np.linalg.norm(V, axis=0)
        batches = self.solver.batches(self.curvature, rng)
        h = np.zeros(V.shape)
        n_iter = self.solver.n_iter
        steps, what = range(1, n_iter + 1), f"{V.shape[1]:,} solves for {len(V):,} parameters"
        with np.errstate(over="ignore", invalid="ignore"):
            for t in counted(steps, what, n_iter, size=lambda _: 1, unit="steps"):
                h += (V - next(batches).matmat(h)) / scale
                if t % EVERY == 0 or t == n_iter:
                    reached = np.linalg.norm(h, axis=0) * scale
                    if not np.all(reached <= BEYOND * t * sizes):
                        raise Diverged
        return h

    def _divergence(self) -> SingularCurvatureError:
        needed = self.solver._find_scale(self.curvature)
        if self.scale < needed:
            advice = (
                f"scale >= {needed:.3g} is accepted, {MARGIN:g} times the largest eigenvalue of "
                "random batches. Pass that, or leave scale=None, which finds it"
            )
        else:
            advice = (
                "a positive definite curvature is accepted, whose batches are not too unlike. "
                "Raise batch_size=, pass damping > 0, or curvature='gauss_newton' where the model "
                "has raw predictions"
            )
        return SingularCurvatureError(f"LiSSA diverged with scale={self.scale:.3g}; {advice}.")


class Diverged(ArithmeticError):
    """The iterate has grown beyond what converging ones can."""
