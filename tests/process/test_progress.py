"""What a person who waits is told: when, where, and in which words."""

import io
import logging
import re
import sys
import time
from contextvars import copy_context
from threading import Thread
from threading import enumerate as threads
from types import ModuleType, SimpleNamespace

import pytest

from skinfluence.process import progress
from skinfluence.process.progress import (
    Answer,
    Phase,
    answering,
    counted,
    counting,
    say_now,
    take_less,
)
from skinfluence.process.tuning import tuned

WHAT = "the removal of 60,000 rows"


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Notebook(io.StringIO):
    __module__ = "ipykernel.iostream"


def answer(*phases, begun=100.0, **params):
    return Answer("influence_scores", 0, begun, phases=[*phases], **params)


SENTENCES = {
    "a share is done": (
        answer(Phase(WHAT, 60_000, "rows", 101.0, done=6_000), cheaper="method='newton'"),
        f"influence_scores has taken 5 s; {WHAT}: 10% done, about 36 s left; "
        "method='newton' takes less; verbose=1 shows the progress.",
    ),
    "nothing is done": (
        answer(Phase(WHAT, 60_000, "rows", 101.0), Phase("a factor", None, "", 101.0)),
        f"influence_scores has taken 5 s; {WHAT}, now a factor: how long it takes is not known "
        "yet; verbose=1 shows the progress.",
    ),
    "part of what cannot be counted": (
        answer(Phase("the optimum", None, "", 100.0), Phase(WHAT, 10, "rows", 103.0, done=4)),
        f"influence_scores has taken 5 s; {WHAT}: 40% done, about 3 s left; verbose=1 shows the "
        "progress.",
    ),
    "part of what can be counted": (
        answer(Phase("6 values of C", 6, "values", 100.0), Phase(WHAT, 10, "rows", 103.0, done=4)),
        f"influence_scores has taken 5 s; 6 values of C, now {WHAT}: 40% done, about 3 s left; "
        "verbose=1 shows the progress.",
    ),
    "minutes": (
        answer(Phase(WHAT, 1_000, "rows", 100.0, done=10)),
        f"influence_scores has taken 5 s; {WHAT}: 1% done, about 8 min left; verbose=1 shows the "
        "progress.",
    ),
    "nobody said what": (answer(), "influence_scores has taken 5 s; verbose=1 shows the progress."),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_sentence(name):
    waited, expected = SENTENCES[name]
    assert waited.sentence(105.0) == expected


@pytest.mark.parametrize(
    "seconds, text", [(0.4, "0 s"), (89, "89 s"), (300, "5 min"), (9_000, "2.5 h")]
)
def test_durations_are_those_of_speech(seconds, text):
    assert progress.duration(seconds) == text


@pytest.mark.parametrize("stream", [Terminal, Notebook, io.StringIO])
def test_it_is_said_once_in_time_where_it_is_read(stream, monkeypatch, caplog):
    monkeypatch.setattr(sys, "stderr", stream())
    waited = answer()
    with caplog.at_level(logging.INFO, "skinfluence"):
        for now in (100.0, 104.9, 105.1, 106.0, 200.0):
            waited.say(now)
    sentence = "influence_scores has taken 5 s; verbose=1 shows the progress."
    if stream is io.StringIO:
        assert [(one.levelname, one.getMessage()) for one in caplog.records] == [("INFO", sentence)]
        assert not sys.stderr.getvalue()
    else:
        assert not caplog.records
        assert sys.stderr.getvalue() == f"skinfluence: {sentence}\n"


def test_who_sees_the_progress_is_told_no_sentence(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    Answer("influence_scores", 1, 0.0).say(100.0)
    assert not sys.stderr.getvalue()


def test_a_question_that_takes_long_says_so_from_within(caplog):
    """One piece of work is long here, and never comes by."""
    with (
        caplog.at_level(logging.INFO, "skinfluence"),
        tuned(patience=0.02),
        answering("leave_one_out", 0),
        counting("a factor of 20,000 parameters"),
    ):
        take_less("method='newton'")
        deadline = time.monotonic() + 2.0
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.02)
    (record,) = caplog.records
    assert record.getMessage() == (
        "leave_one_out has taken 0 s; a factor of 20,000 parameters: how long it takes is not "
        "known yet; method='newton' takes less; verbose=1 shows the progress."
    )


def test_quick_questions_are_quiet_and_the_watch_ends(caplog, capsys):
    with caplog.at_level(logging.INFO, "skinfluence"), tuned(patience=0.1):
        for _ in range(3):
            with answering("influence_scores", 0), counting(WHAT, 10) as advance:
                advance(10)
        deadline = time.monotonic() + 2.0
        while any(one.name == "skinfluence progress" for one in threads()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


def test_questions_of_a_question_are_part_of_it():
    with answering("leave_one_out_check", 0):
        outer = progress._current.get()
        with answering("influence_scores", 1):
            assert progress._current.get() is outer
        assert progress._current.get() is outer
    assert progress._current.get() is None


def test_work_of_other_threads_counts_as_that_of_the_one_that_asked():
    with answering("influence_scores", 0), counting(WHAT, 40) as advance:
        phases = progress._current.get().phases

        def work():
            with counting("a block", 10) as count:
                assert [phase.what for phase in phases] == [WHAT]
                count(10)
            advance(10)

        workers = [Thread(target=copy_context().run, args=(work,)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [(phase.what, phase.done) for phase in phases] == [(WHAT, 40)]


def test_what_fails_is_not_under_way_any_more():
    with answering("influence_scores", 0):
        current = progress._current.get()
        with pytest.raises(ZeroDivisionError), counting(WHAT, 4):
            raise ZeroDivisionError
        assert not current.phases
    with pytest.raises(ZeroDivisionError), answering("influence_scores", 0):
        raise ZeroDivisionError
    assert progress._current.get() is None
    assert current not in progress._WATCH.answers


def test_outside_of_a_question_nothing_is_counted():
    assert [*counted([3, 4], WHAT, 7, size=int)] == [3, 4]
    take_less("method='newton'")


def shown():
    """Do three blocks of work, of which the second has parts."""
    with answering("influence_scores", 1), counting("the optimum"):
        for block in counted([4, 3, 3], WHAT, 10, size=int):
            if block == 3:
                assert [*counted("ab", "solves", 2, size=len)] == ["a", "b"]


def test_lines_where_there_are_no_bars(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    clock = iter(range(0, 1_000))
    monkeypatch.setattr(progress, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(progress, "LINES_EVERY", 2.5)
    shown()
    *lines, last = capsys.readouterr().err.splitlines()
    assert lines[0] == "influence_scores: the optimum"
    assert last.startswith(f"influence_scores: {WHAT}: 10 of 10 rows, ")
    assert re.search(r", \d+ a second, \d+ s$|, 0\.\d+ a second, \d+ s$", last)
    counts = [line for line in lines[1:] if WHAT in line]
    assert any(f"{WHAT}: 7 of 10 rows" in line for line in counts)
    assert not any("solves" in line for line in lines)


def test_bars_where_there_are(monkeypatch, capsys):
    bars = []

    class Bar(SimpleNamespace):
        def __init__(self, **params):
            super().__init__(n=0, closed=False, **params)
            bars.append(self)

        def update(self, n):
            self.n += n

        def close(self):
            self.closed = True

        @staticmethod
        def write(text, file):
            print(f"above the bars: {text}", file=file)

    tqdm = ModuleType("tqdm")
    tqdm.tqdm = Bar
    monkeypatch.setitem(sys.modules, "tqdm", tqdm)
    shown()
    whole, *parts = bars
    assert (whole.desc, whole.unit) == (f"influence_scores: {WHAT}", " rows")
    assert (whole.total, whole.n, whole.closed, whole.leave) == (10, 10, True, True)
    assert [(part.total, part.n, part.closed, part.leave) for part in parts] == [
        (2, 2, True, False)
    ] * 2
    assert capsys.readouterr().err == "influence_scores: the optimum\n"
    with answering("influence_scores", 1):
        say_now("C=1")
        with counting(WHAT, 10):
            say_now("C=2")
    assert capsys.readouterr().err == (
        "influence_scores: C=1\nabove the bars: influence_scores: C=2\n"
    )
    with answering("influence_scores", 0), counting(WHAT, 10):
        say_now("C=3")
    say_now("C=4")
    assert capsys.readouterr().err == ""
