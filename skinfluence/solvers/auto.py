"""A factor that iterates while few columns are asked for, and is formed when they are many.

The seconds below are those of a machine written down with its constants, two cores of 2023 (AMD
EPYC, OpenBLAS); only their ratio decides. benchmarks/speed.py holds what is chosen against every
solver on every shape.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from skinfluence.curvature import Curvature, Work
from skinfluence.memory import available_memory
from skinfluence.solvers.base import Factor, Numerics, SingularCurvatureError
from skinfluence.solvers.cg import CG, CGFactor
from skinfluence.solvers.cholesky import Cholesky
from skinfluence.solvers.solved import Record

Array = npt.NDArray[Any]

DENSE, SPARSE = 3e10, 5e8
"""Multiplications a second in double precision, with a dense X and a sparse one."""

NARROW = 16
"""Columns at which a product has half of that: below, reading X is what takes the time."""

WORTH = 1.0
"""Seconds of a factorisation below which nothing else is considered."""

FREE = 32
"""Parameters without penalty up to which conjugate gradients converge as if there were none."""

RTOL = 1e-9

CLEAR = 1e-6
"""Smallest eigenvalue of what is not penalised, of unit diagonal, that nobody doubts."""

STALE = 12
"""Products of one solve from which on a preconditioner is made anew at other parameters."""


def worth_iterating(curvature: Curvature) -> bool:
    """Return whether a few columns are solved for sooner than the curvature is factorised."""
    work = curvature.work()
    if work is None or np.sum(curvature.diagonal() == 0.0) > FREE:
        return False
    return forming(work) > max(WORTH, iterating(work, 1) + preconditioning(work))


def forming(work: Work) -> float:
    """Return the seconds of forming the matrix and its factor."""
    return work.forming / (SPARSE if work.sparse else DENSE) + work.factor / DENSE


def preconditioning(work: Work) -> float:
    """Return the seconds of the preconditioner."""
    return work.preconditioner / (SPARSE if work.sparse else DENSE)


def iterating(work: Work, k: int) -> float:
    """Return the seconds of conjugate gradients for k columns, the preconditioner there."""
    wide = k * work.n_outputs
    rate = SPARSE if work.sparse else DENSE * wide / (wide + NARROW)
    return work.n_products * k * (work.product / rate + work.solve / DENSE)


def solving(work: Work, k: int) -> float:
    """Return the seconds of k solves with the factor."""
    return k * work.solve / DENSE


@dataclass(frozen=True)
class Auto:
    """Conjugate gradients while few columns are asked for, a Cholesky factor when there are many.

    Of the curvature of a linear model that is too large to be factorised without a thought.
    """

    def factorize(self, curvature: Curvature) -> Factor:
        """Return the factor of `curvature`, of which nothing is computed before a solve.

        By its rows, where only few are curved at these parameters (those in a margin).
        """
        many = np.sum(curvature.diagonal() == 0.0) > FREE  # damping was what held them
        if many or curvature.work() is None:
            return Cholesky().factorize(curvature)
        return AutoFactor(curvature)


@dataclass(eq=False)
class AutoFactor:
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
    def numerics(self) -> Numerics:
        asked = self.iteration if self.factor is None else self.factor
        return Numerics(self.curvature.damping) if asked is None else asked.numerics

    @cached_property
    def _work(self) -> Work:
        work = self.curvature.work()
        assert work is not None
        return work

    def moved(self, objective: Any) -> Factor:
        """Return the factor at parameters near these, which may share the preconditioner."""
        found, curvature = self.iteration, replace(self.curvature, objective=objective)
        if found is None or found.record.longest > STALE or curvature.work() is None:
            again = Auto().factorize(curvature)
            if isinstance(again, AutoFactor):
                again.doubt = self.doubt
            return again
        near = CGFactor(curvature, found.preconditioner, found.rtol, found.max_iter)
        return AutoFactor(curvature, near, doubt=self.doubt)

    def expect(self, k: int) -> None:
        """Prepare for a question that takes k columns, in whatever threads and blocks.

        What is decided here holds for all of them, so that no answer depends on their order.
        """
        with self._lock:
            if self.factor is None and not self.doubt and k:
                if self._seconds(k) > self._left(k) and self._fits():
                    self._formed()
                elif self._sure():
                    self._iterating()

    def solve(self, V: Array) -> Array:
        """Return H^-1 V, shape (n_params, k)."""
        k = V.shape[1]
        if not k:
            return np.empty(V.shape)
        with self._lock:
            seconds, left, fits = self._seconds(k), self._left(k), self._fits()
            open_ = self.factor is None and not self.doubt
            if not (open_ and (seconds <= left or not fits) and self._sure()):
                formed = self._formed()
            else:
                formed, iteration = None, self._iterating()
                self.spent += seconds
        if formed is not None:
            return formed.solve(V)
        if not fits:  # then there is nothing else, and it warns where it does not get there
            return iteration.solve(V)
        each = seconds / self._work.n_products
        tried = replace(iteration, max_iter=int(left / each), record=Record())
        try:
            found, n_open, _ = tried.attempt(V)
        except SingularCurvatureError:  # it knows less of that than Cholesky does
            found, n_open = V, k
        with self._lock:
            self.spent += each * tried.record.longest - seconds
            if n_open:
                self.doubt = "conjugate gradients did not converge in the time that it takes"
        iteration.record.merge(tried.record)
        return self._formed().solve(V) if n_open else found

    def _left(self, k: int) -> float:
        """Return the seconds that iterating may take before a factor had been the sooner way."""
        left = forming(self._work) + solving(self._work, k) - self.spent
        return left - (preconditioning(self._work) if self.iteration is None else 0.0)

    def _seconds(self, k: int) -> float:
        return iterating(self._work, k)

    def _fits(self) -> bool:
        """Return whether there is memory for a factor."""
        n_blocks, size = self.curvature.block_shape()
        return 16.0 * n_blocks * size**2 <= available_memory()

    def rough(self, V: Array) -> Array:
        """Return the preconditioner times V."""
        with self._lock:
            iterates = self.factor is None and not self.doubt and self._sure()
            found = self._iterating().rough if iterates else self._formed().solve
        return found(V)

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
        if not len(free) or getattr(self._iterating().preconditioner, "below", False):
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
        formed: Any = self._formed()
        embedded: Array = formed.embed(V)
        return embedded

    def _iterating(self) -> CGFactor:
        if self.iteration is None:
            self.iteration = CG(rtol=RTOL).factorize(self.curvature)
        return self.iteration

    def _formed(self) -> Factor:
        with self._lock:
            if self.factor is None:
                self.factor = Cholesky().factorize(self.curvature)
            return self.factor
