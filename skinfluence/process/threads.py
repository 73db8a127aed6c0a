"""Blocks of work in threads of one BLAS thread each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextvars import copy_context
from threading import Lock
from typing import Any

from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import ThreadpoolController


def in_threads(work: Callable[[Any], None], blocks: Iterable[Any], n_jobs: int | None) -> None:
    """Do some work for every block of edits, in threads of one BLAS thread each.

    As many as BLAS would have used where `n_jobs` is None: one block for each is faster than all of
    them at one block, whose products wait for each other, and whose other work has one core. A
    single block has BLAS to itself.
    """
    todo = deque(blocks)
    if len(todo) == 1:
        work(todo.pop())
        return
    # Threads take one block after the other: a task of joblib for each would cost as much as one.
    with ONE_BLAS_THREAD as found:
        threads = effective_n_jobs(found if n_jobs is None else n_jobs)
        contexts = [copy_context() for _ in range(threads)]  # what messages call rows, for one
        Parallel(n_jobs=threads, require="sharedmem")(
            delayed(context.run)(_take_all, work, todo) for context in contexts
        )


class _OneBlasThread:
    """A limit on the process, which may be entered by several of its threads: the last lifts it."""

    def __init__(self) -> None:
        self.lock, self.n_inside, self.before = Lock(), 0, 1
        self.limiter: Any = None

    def __enter__(self) -> int:
        """Return how many threads BLAS has otherwise."""
        with self.lock:
            if not self.n_inside:
                libraries = ThreadpoolController()
                blas = [one["num_threads"] for one in libraries.info() if one["user_api"] == "blas"]
                self.before = max(blas, default=1)
                self.limiter = libraries.limit(limits=1, user_api="blas")
            self.n_inside += 1
            return self.before

    def __exit__(self, *raised: object) -> None:
        with self.lock:
            self.n_inside -= 1
            if not self.n_inside:
                self.limiter.restore_original_limits()


ONE_BLAS_THREAD = _OneBlasThread()


def _take_all(work: Callable[[Any], None], todo: deque[Any]) -> None:
    while True:
        try:
            block = todo.popleft()
        except IndexError:  # another thread took the last
            return
        try:
            work(block)
        except BaseException:
            todo.clear()
            raise
