"""How far a question is, for whoever waits for its answer.

A question is answered within `answering`; what may be long below it is within `counting`, which
says what is done and, where that is known, how much there is of it. Nothing below needs to know who
reads that:

- with ``verbose``, bars of tqdm where it is installed, else lines on the standard error;
- without, one sentence once `tuning().patience` seconds have passed: on the standard error where a
  person sees it (a terminal, a notebook), else to the logger "skinfluence", at level INFO.

While a question is open, a thread of its own looks at the time: the longest piece of work may be
one call of LAPACK, which does not come by to say how it fares.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock, Thread, get_ident
from time import monotonic, sleep
from typing import Any, TypeVar

from skinfluence.process.tuning import tuning

T = TypeVar("T")

LOGGER = logging.getLogger("skinfluence")

LINES_EVERY = 2.0
"""Seconds between two lines about the same work, where there are no bars."""


@dataclass(eq=False)
class Phase:
    """A piece of work of one question.

    Attributes
    ----------
    what : str
        In words; with its size, as long as nothing else is known.
    total : float or None
        How many units there are to do; None for work that does not come in pieces.
    unit : str
        What is counted, in the plural.
    begun : float
        When, in seconds.
    done : float
        Units so far.
    bar : object or None
        Where that is shown.
    """

    what: str
    total: float | None
    unit: str
    begun: float
    done: float = 0.0
    bar: Any = None

    def seconds_left(self, now: float) -> float | None:
        """Return how long the rest takes at the rate so far; None where nothing is known yet."""
        if not self.total or not self.done:
            return None
        return (now - self.begun) * (self.total - self.done) / self.done

    def count(self, now: float) -> str:
        """Return how much is done, at which rate, and how long the rest takes, or all took."""
        assert self.total is not None
        rate, left = self.done / max(now - self.begun, 1e-9), self.seconds_left(now)
        rounded = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        text = f"{self.done:,.0f} of {self.total:,.0f} {self.unit}, {rounded} a second"
        if left is None:
            return text
        return f"{text}, {f'{duration(left)} left' if left else duration(now - self.begun)}"


@dataclass(eq=False)
class Answer:
    """What is known of the answer to one question while it is being computed.

    Attributes
    ----------
    question : str
    verbose : int
        Whether the progress is shown; otherwise one sentence is said.
    begun : float
        When, in seconds.
    thread : int
        The one that asked. What others do at the same time is part of its work.
    cheaper : str
        What to pass for an answer that takes less.
    phases : list of Phase
        Under way, each part of the one before.
    """

    question: str
    verbose: int
    begun: float = field(default_factory=monotonic)
    thread: int = field(default_factory=get_ident)
    cheaper: str = ""
    phases: list[Phase] = field(default_factory=list)
    lock: Any = field(default_factory=Lock)
    said: bool = False

    def sentence(self, now: float) -> str:
        """Return what is being done, how long it will take, and what takes less."""
        phases = [*self.phases]  # the answer goes on meanwhile
        timed = [(phase, phase.seconds_left(now)) for phase in phases]
        parts = [f"{self.question} has taken {duration(now - self.begun)}"]
        phase, left = next((each for each in timed if each[1] is not None), (None, None))
        if phase is not None and left is not None and phase.total:
            share = f"{phase.done / phase.total:.0%} done, about {duration(left)} left"
            whole = phases[0]
            first = whole.total and not whole.done  # the time of a part of it is all that is known
            what = f"{whole.what}, now {phase.what}" if first else phase.what
            parts.append(f"{what}: {share}")
        elif phases:
            named = dict.fromkeys((phases[0].what, phases[-1].what))
            parts.append(f"{', now '.join(named)}: how long it takes is not known yet")
        if self.cheaper:
            parts.append(f"{self.cheaper} takes less")
        return f"{'; '.join([*parts, 'verbose=1 shows the progress'])}."

    def say(self, now: float) -> None:
        """Say that sentence, once, when a person has waited for long enough."""
        if self.said or self.verbose or now - self.begun < tuning().patience:
            return
        self.said = True
        if is_watched(sys.stderr):
            print(f"skinfluence: {self.sentence(now)}", file=sys.stderr, flush=True)
        else:
            LOGGER.info(self.sentence(now))


@contextmanager
def answering(question: str, verbose: int) -> Iterator[None]:
    """Answer a question; one that is asked in order to answer another is part of that."""
    if _current.get() is not None:
        yield
        return
    answer = Answer(question, verbose)
    token = _current.set(answer)
    if not verbose:
        _WATCH.add(answer)
    try:
        yield
    finally:
        _WATCH.remove(answer)
        _current.reset(token)


@contextmanager
def counting(
    what: str, total: float | None = None, unit: str = "rows"
) -> Iterator[Callable[[float], None]]:
    """Do a piece of work, and be told how much of it is done: in any thread, in any order.

    Parameters
    ----------
    what : str
        What a person would call it, with its size.
    total : float, optional
        How many units that is.
    unit : str

    Yields
    ------
    callable
        Takes how many more units are done.
    """
    answer = _current.get()
    if answer is None or answer.thread != get_ident():
        yield _nothing
        return
    phase = Phase(what, total, unit, monotonic())
    if answer.verbose:
        phase.bar = _shown(answer, phase)
    answer.phases.append(phase)

    def advance(n: float) -> None:
        with answer.lock:
            phase.done += n
            if phase.bar is not None:
                phase.bar.update(n)

    try:
        yield advance if total is not None else _nothing
    finally:
        answer.phases.remove(phase)
        if phase.bar is not None:
            phase.bar.close()


def counted(
    blocks: Iterable[T], what: str, total: float, *, size: Callable[[T], float], unit: str = "rows"
) -> Iterator[T]:
    """Yield blocks of work, each of some size in units, that are done one after the other."""
    with counting(what, total, unit) as advance:
        for block in blocks:
            yield block
            advance(size(block))


def say_now(what: str) -> None:
    """Say, to who sees the progress, what a person would want to see named: a value, a model."""
    answer = _current.get()
    if answer is not None and answer.verbose:
        bars = [phase.bar for phase in answer.phases if phase.bar is not None]
        write = bars[0].write if bars else print
        write(f"{answer.question}: {what}", file=sys.stderr)


def take_less(by: str) -> None:
    """Say what to pass for an answer to the question under way that takes less."""
    answer = _current.get()
    if answer is not None:
        answer.cheaper = by


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"


def is_watched(stream: Any) -> bool:
    """Return whether a person reads a stream: a terminal, or what a notebook shows of it."""
    notebook = type(stream).__module__.startswith("ipykernel")
    return notebook or bool(getattr(stream, "isatty", bool)())


def _nothing(n: float) -> None:
    """Be told of work that nobody asked about."""


def _shown(answer: Answer, phase: Phase) -> Any:
    """Return where some work is shown: a bar, or lines; None where neither is worth it."""
    nested = any(outer.total is not None for outer in answer.phases)
    if phase.total is None:
        if not answer.phases:  # else it is part of what was said
            print(f"{answer.question}: {phase.what}", file=sys.stderr, flush=True)
        return None
    try:
        from tqdm import tqdm
    except ImportError:
        return _Lines(answer, phase, nested)
    return tqdm(
        total=phase.total,
        desc=f"{answer.question}: {phase.what}",
        unit=f" {phase.unit}",
        unit_scale=True,
        leave=not nested,
        delay=1.0 if nested else 0.0,
        file=sys.stderr,
    )


class _Lines:
    """Progress as lines on the standard error."""

    def __init__(self, answer: Answer, phase: Phase, nested: bool) -> None:
        self.answer, self.phase, self.nested = answer, phase, nested
        self.written = monotonic()

    def update(self, n: float) -> None:
        now, ended = monotonic(), self.phase.done == self.phase.total
        if now - self.written > LINES_EVERY and not ended:
            self._write(now)

    def write(self, text: str, file: Any) -> None:
        print(text, file=file, flush=True)

    def close(self) -> None:
        if self.phase.done and not self.nested:
            self._write(monotonic())

    def _write(self, now: float) -> None:
        self.written = now
        text = f"{self.answer.question}: {self.phase.what}: {self.phase.count(now)}"
        print(text, file=sys.stderr, flush=True)


class _Watch:
    """Looks, in a thread of its own, at the answers under way; without any the thread ends."""

    def __init__(self) -> None:
        self.lock, self.answers = Lock(), set[Answer]()
        self.thread: Thread | None = None

    def add(self, answer: Answer) -> None:
        with self.lock:
            self.answers.add(answer)
            if self.thread is None or not self.thread.is_alive():
                self.thread = Thread(target=self._look, name="skinfluence progress", daemon=True)
                self.thread.start()

    def remove(self, answer: Answer) -> None:
        with self.lock:
            self.answers.discard(answer)

    def _look(self) -> None:
        while True:
            sleep(tuning().patience / 10)
            with self.lock:
                if not self.answers:
                    self.thread = None
                    return
                answers = [*self.answers]
            for answer in answers:
                answer.say(monotonic())


_current: ContextVar[Answer | None] = ContextVar("the answer under way", default=None)

_WATCH = _Watch()
