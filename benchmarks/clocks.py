"""Seconds and memory of functions that run in turn, so that ratios are those of one run."""

from __future__ import annotations

import contextlib
import gc
import resource
import statistics
import sys
import time
from pathlib import Path

_clock = time.perf_counter


def count_cpu():
    """Count CPU seconds from now on: right with one thread, on a machine that others use."""
    global _clock
    _clock = time.process_time


def counts_cpu():
    return _clock is time.process_time


def clocked(function):
    """Return the seconds that a function took, and its result."""
    start = _clock()
    result = function()
    return _clock() - start, result


class Rounds:
    """Functions run one after the other, round after round.

    Parameters
    ----------
    functions : dict
        From names to functions of no argument. One that returns a dict with "seconds" was clocked
        where it ran: in the environment of another package.
    repeats : int
        Rounds at most.
    budget : float
        Seconds after which no further round begins that would not end in time.
    warm : bool
        Whether a round goes before that counts for memory alone.

    Attributes
    ----------
    seconds : dict of list
    peaks, kept : dict of float
        Bytes by which the process grew at most, and those it kept, the first time.
    results : dict
        Of the last round.
    """

    def __init__(self, functions, repeats, *, budget=60.0, warm=False):
        self.seconds = {name: [] for name in functions}
        self.peaks, self.kept, self.results = {}, {}, {}
        start = time.perf_counter()
        for done in range(repeats + warm):
            began = time.perf_counter()
            for name, function in functions.items():
                self._run(name, function, counted=done >= warm)
            now = time.perf_counter()
            if done >= warm and now - start + (now - began) > budget:
                break

    def _run(self, name, function, *, counted):
        self.results.pop(name, None)
        gc.collect()
        with Peak() as peak:
            seconds, result = clocked(function)
        self.peaks.setdefault(name, peak.bytes)
        self.kept.setdefault(name, peak.kept)
        if isinstance(result, dict) and "seconds" in result:
            seconds = float(result["seconds"])
        if counted:
            self.seconds[name].append(seconds)
        self.results[name] = result

    def all_of(self, names):
        """Return the seconds of a function, or of several together, round by round."""
        lists = [self.seconds[name] for name in ([names] if isinstance(names, str) else names)]
        return [sum(round_) for round_ in zip(*lists, strict=True)]

    def median(self, names):
        return statistics.median(self.all_of(names))

    def ratios(self, names, others):
        """Return the seconds of some functions over those of others, round by round."""
        pairs = zip(self.all_of(names), self.all_of(others), strict=True)
        return [one / other for one, other in pairs]

    def ratio(self, names, others):
        """Return the median of the ratios."""
        return statistics.median(self.ratios(names, others))

    def peak(self, names):
        """Return the bytes that functions took at most which keep something for one another."""
        before, most = 0.0, 0.0
        for name in names:
            most, before = max(most, before + self.peaks[name]), before + self.kept[name]
        return most


class Peak:
    """Memory that the process took at most inside the block, beyond what it had before, and kept.

    Linux can be asked to begin its high-water mark anew; elsewhere the mark is that of the whole
    process, and a block that stays below what came before seems to take nothing.
    """

    def __enter__(self):
        self.bytes = self.kept = 0.0
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        self._before = _resident()
        return self

    def __exit__(self, *exception):
        self.bytes = max(_highest() - self._before, 0.0)
        self.kept = max(_resident() - self._before, 0.0)


def _status(key):
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith(f"{key}:")]
    return 1024.0 * int(found[0][1]) if found else None


def _highest():
    unit = 1.0 if sys.platform == "darwin" else 1024.0
    return _status("VmHWM") or unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _resident():
    return _status("VmRSS") or _highest()
