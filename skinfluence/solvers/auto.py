"""Conjugate gradients for few right-hand sides, a Cholesky factor for many, decided by cost.

The seconds below are those of a machine written down with its constants, two cores of 2023 (AMD
EPYC, OpenBLAS); only their ratio decides. benchmarks/speed.py holds what is chosen against every
solver on every shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import RLock
from typing import Any, ClassVar

import numpy as np
from scipy import linalg

from skinfluence.curvature import Curvature, Work
from skinfluence.objectives import Objective
from skinfluence.process.memory import available_memory
from skinfluence.process.tuning import tuning
from skinfluence.solvers.base import Factor, Numerics, SingularCurvatureError, Solver
from skinfluence.solvers.cg import CG, CGFactor
from skinfluence.solvers.cholesky import Cholesky
from skinfluence.solvers.iterative import SolveStatistics
from skinfluence.typing import Array

NARROW = 16
"""Columns at which a product has half of that: below, reading X is what takes the time."""

WORTH = 1.0
"""Seconds of a factorisation below which nothing else is considered."""


RTOL = 1e-9

CLEAR = 1e-6
"""Smallest eigenvalue of what is not penalised, of unit diagonal, that nobody doubts."""


def worth_iterating(curvature: Curvature) -> bool:
    """Return whether a few columns are solved for sooner than the curvature is factorised."""
    work = curvature.work()
    if work is None or np.sum(curvature.diagonal() == 0.0) > tuning().free_params:
        return False
    return forming(work) > max(WORTH, iterating(work, 1) + preconditioning(work))


def forming(work: Work) -> float:
    """Return the seconds of forming the matrix and its factor."""
    return (
        work.forming / (tuning().sparse_rate if work.sparse else tuning().dense_rate)
        + work.factor / tuning().dense_rate
    )


def preconditioning(work: Work) -> float:
    """Return the seconds of the preconditioner."""
    return work.preconditioner / (tuning().sparse_rate if work.sparse else tuning().dense_rate)


def iterating(work: Work, k: int) -> float:
    """Return the seconds of conjugate gradients for k columns, the preconditioner there."""
    wide = k * work.n_outputs
    rate = tuning().sparse_rate if work.sparse else tuning().dense_rate * wide / (wide + NARROW)
    return work.n_products * k * (work.product / rate + work.solve / tuning().dense_rate)


def solving(work: Work, k: int) -> float:
    """Return the seconds of k solves with the factor."""
    return k * work.solve / tuning().dense_rate


@dataclass(frozen=True)
class Auto(Solver):
    """Conjugate gradients while few columns are asked for, a Cholesky factor when there are many.

    Of the curvature of a linear model that is too large to be factorised without a thought.
    """

    def factorize(self, curvature: Curvature) -> Factor:
        """Return the factor of `curvature`, of which nothing is computed before a solve.

        By its rows, where only few are curved at these parameters (those in a margin).
        """
        many = (
            np.sum(curvature.diagonal() == 0.0) > tuning().free_params
        )  # damping was what held them
        if many or curvature.work() is None:
            return Cholesky().factorize(curvature)
        return AutoFactor(curvature)


@dataclass(eq=False)
class AutoFactor(Factor):
    """H^-1 by iteration or by a factor.

    The factor is formed once iterating has taken as long, or will have: at these parameters that is
    about twice the time, at most, of whoever knew what would be asked.

    Attributes
    ----------
    curvature : Curvature
    iteration : CGFactor or None
        Made at the first solve that iterates.
    factor : Factor or None
        Formed when it is needed.
    spent : float
        Seconds that solves have taken, by the account of the constants above.
    doubt : str
        Why it iterates no more, if so.
    """

    curvature: Curvature
    iteration: CGFactor | None = None
    factor: Factor | None = None
    spent: float = field(default=0.0, repr=False)
    doubt: str = field(default="", repr=False)
    _seen_sure: bool = field(default=False, repr=False)
    _lock: Any = field(default_factory=RLock, repr=False)
    iterates: ClassVar[bool] = True

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"_lock": RLock()})

    @property
    def reason(self) -> str:
        """Which solver answers, and why."""
        P, work = self.curvature.n_params, self._work
        seconds = f"a factor of {P:,} parameters would take about {forming(work):.0f} s"
        if self.factor is not None:
            why = self.doubt or "so many right-hand sides that it pays"
            return f"cholesky: a factor of {P:,} parameters; {why}"
        return f"cg: iterating takes less for few right-hand sides; {seconds}"

    @property
    def numerics(self) -> Numerics | None:  # type: ignore[override]
        asked = self.iteration if self.factor is None else self.factor
        return Numerics(self.curvature.damping) if asked is None else asked.numerics

    @cached_property
    def _work(self) -> Work:
        work = self.curvature.work()
        assert work is not None
        return work

    def moved(self, objective: Objective) -> Factor:
        """Return the factor at parameters near these, which may share the preconditioner."""
        iteration, curvature = self.iteration, replace(self.curvature, objective=objective)
        if (
            iteration is None
            or iteration.record.longest > tuning().stale_products
            or curvature.work() is None
        ):
            anew = Auto().factorize(curvature)
            if isinstance(anew, AutoFactor):
                anew.doubt = self.doubt
            return anew
        kept = CGFactor(curvature, iteration.preconditioner, iteration.rtol, iteration.max_iter)
        return AutoFactor(curvature, kept, doubt=self.doubt)

    def prepare(self, n_columns: int) -> None:
        """Decide for a question that takes so many columns, in whatever threads and blocks.

        What is decided here holds for all of them, so that no answer depends on their order.
        """
        with self._lock:
            if self.factor is None and not self.doubt and n_columns:
                if self._seconds(n_columns) > self._left(n_columns) and self._fits():
                    self._formed()
                elif self._sure():
                    self._iterating()

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (n_params, k)."""
        k = V.shape[1]
        if not k:
            return np.empty(V.shape)
        with self._lock:
            seconds, budget, fits = self._seconds(k), self._left(k), self._fits()
            open_ = self.factor is None and not self.doubt
            if not (open_ and (seconds <= budget or not fits) and self._sure()):
                formed = self._formed()
            else:
                formed, iteration = None, self._iterating()
                self.spent += seconds
        if formed is not None:
            return formed.solve(V)
        if not fits:  # then there is nothing else, and it warns where it does not get there
            return iteration.solve(V)
        seconds_each = seconds / self._work.n_products
        tried = replace(iteration, max_iter=int(budget / seconds_each), record=SolveStatistics())
        try:
            X, n_open, _ = tried.attempt(V)
        except SingularCurvatureError:  # it knows less of that than Cholesky does
            X, n_open = V, k
        with self._lock:
            self.spent += seconds_each * tried.record.longest - seconds
            if n_open:
                self.doubt = "conjugate gradients did not converge in the time that it takes"
        iteration.record.merge(tried.record)
        return self._formed().solve(V) if n_open else X

    def _left(self, k: int) -> float:
        """Return the seconds that iterating may take before a factor had been the sooner way."""
        budget = forming(self._work) + solving(self._work, k) - self.spent
        return budget - (preconditioning(self._work) if self.iteration is None else 0.0)

    def _seconds(self, k: int) -> float:
        return iterating(self._work, k)

    def _fits(self) -> bool:
        """Return whether there is memory for a factor."""
        n_blocks, size = self.curvature.block_shape()
        return 16.0 * n_blocks * size**2 <= available_memory()

    def precondition(self, V: Array) -> Array:
        """Return the preconditioner times V."""
        with self._lock:
            iterates = self.factor is None and not self.doubt and self._sure()
            factor = self._iterating() if iterates else self._formed()
        return factor.precondition(V)

    def _sure(self) -> bool:
        """Return whether the curvature has an inverse, as conjugate gradients do not find out.

        It has where the preconditioner is below it and has one, and where the block of what is not
        penalised has: no direction with a penalised part is flat.
        """
        if self._seen_sure:
            return True
        free = np.flatnonzero(self.curvature.diagonal() == 0.0)
        self._seen_sure = self._has_inverse(free)
        if not self._seen_sure:
            self.doubt = "whether there is an inverse shows in it"
        return self._seen_sure

    def _has_inverse(self, free: Array) -> bool:
        inverse = self._iterating().preconditioner if len(free) else None
        if not len(free) or (inverse is not None and inverse.lower_bound):
            return True
        units = np.zeros((self.curvature.n_params, len(free)))
        units[free, np.arange(len(free))] = 1.0
        G = self.curvature.matmat(units)[free]
        for shift in self.curvature.flat_shifts():
            inside = np.isin(free, shift)
            G[np.ix_(inside, inside)] += np.diagonal(G)[inside].mean() / len(shift)
        sizes = np.sqrt(np.diagonal(G))
        if not np.all(sizes > 0):
            return False
        return bool(linalg.eigvalsh(G / np.outer(sizes, sizes))[0] > CLEAR)

    def quadratic(self, B: Array, block: int) -> Array:
        return self._formed().quadratic(B, block)

    def inverse(self) -> Array:
        return self._formed().inverse()

    def inverse_diagonal(self) -> Array:
        return self._formed().inverse_diagonal()

    def embed(self, V: Array) -> Array:
        """Return L^-1 V, as that of a Cholesky factor."""
        return self._formed().embed(V)

    def _iterating(self) -> CGFactor:
        if self.iteration is None:
            self.iteration = CG(rtol=RTOL).factorize(self.curvature)
        return self.iteration

    def _formed(self) -> Factor:
        with self._lock:
            if self.factor is None:
                self.factor = Cholesky().factorize(self.curvature)
            return self.factor
