"""Warnings that point at the user's line, however deep they are raised."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

PACKAGE = str(Path(__file__).parents[1])


_heard: ContextVar[list[str] | None] = ContextVar("warnings of a question", default=None)


@contextmanager
def hearing(*, alone: bool = False) -> Iterator[list[str]]:
    """Collect what is warned of meanwhile, in whichever thread.

    Who listens already hears it too, unless this is to hear it `alone`.
    """
    heard: list[str] = []
    listening = _heard.get()
    before = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(before)
        if listening is not None and not alone:
            listening.extend(each for each in heard if each not in listening)


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line from which the package was entered."""
    if (heard := _heard.get()) is not None and message not in heard:
        heard.append(message)
    frame, depth, level = sys._getframe(1), 1, 1
    while frame is not None:
        depth += 1
        if frame.f_code.co_filename.startswith(PACKAGE):
            level = depth + 1
        frame = frame.f_back  # type: ignore[assignment]
    warnings.warn(message, category, stacklevel=level)
