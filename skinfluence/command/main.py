"""The command, from its arguments to its exit code."""

from __future__ import annotations

import os
import traceback
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from skinfluence.command.arguments import parser
from skinfluence.command.printing import warn
from skinfluence.command.questions import audit, demo, report
from skinfluence.command.refusal import Refusal
from skinfluence.inspection.tables import cut

QUESTIONS = {"report": report, "audit": audit, "demo": demo}

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130

TRACEBACK = "SKINFLUENCE_TRACEBACK"

WARNINGS_SHOWN, LONGEST_WARNING = 3, 160


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the name of the command; what the shell was given by default.

    Returns
    -------
    int
        0 done, 1 done with findings as severe as ``--fail-on``, 2 input that cannot be used,
        130 interrupted.
    """
    try:
        asked = parser().parse_args(arguments)
    except SystemExit as done:  # help, or arguments that are none
        return done.code if isinstance(done.code, int) else REFUSED
    try:
        with _warnings_in_a_line():
            return _answered(asked)
    except KeyboardInterrupt:
        warn("", "skinfluence: interrupted; no file was left half written.")
        return INTERRUPTED
    except Exception as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        warn(_in_a_sentence(error))
        return REFUSED


def _answered(asked: Namespace) -> int:
    found = QUESTIONS[asked.command](asked)
    return FAILED if found else DONE


def _in_a_sentence(error: Exception) -> str:
    if isinstance(error, (Refusal, ImportError)):  # which say what to do
        return f"skinfluence: error: {error}"
    what = f"{type(error).__name__}: {cut(error, 400) or 'no more is known'}"
    return f"skinfluence: error: {what} ({TRACEBACK}=1 shows where it comes from.)"


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """Say what is warned of meanwhile in a line each, once, without the code that did."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            yield
        finally:
            texts = list(
                dict.fromkeys(
                    cut(each.message, LONGEST_WARNING)
                    for each in caught
                    if not issubclass(each.category, (DeprecationWarning, FutureWarning))
                )
            )
            warn(*(f"warning: {text}" for text in texts[:WARNINGS_SHOWN]))
            more = len(texts) - WARNINGS_SHOWN
            if more > 0:
                warn(f"warning: and {more} more.")
