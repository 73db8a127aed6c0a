"""The largest and the smallest scores of every test row, kept while blocks of scores stream by.

A block costs one look for its maxima and one for its minima, over chunks of edits. Only chunks that
reach what is kept already are looked at closer, ever fewer of them: of n scores in random order,
about k log(n / k) were at some time among the k largest.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numpy as np

from skinfluence.typing import Array

CHUNK = 32
"""Edits of a chunk at most: long enough that a look at its maxima costs little more."""


class Extremes:
    """The k largest and the k smallest scores of some test rows.

    Of equal scores, those of smaller ids. Blocks may come in any order and from several threads:
    what is kept does not depend on it.

    Parameters
    ----------
    n_tests : int
    k : int
        At least one; at most as many as there are edits.
    """

    def __init__(self, n_tests: int, k: int) -> None:
        self.k = k
        self.ends = _End(n_tests, k, 1.0), _End(n_tests, k, -1.0)

    def look(self, block: Array, ids: Array) -> None:
        """Take a block of scores, shape (n_tests, m), of edits with these ids, shape (m,)."""
        m = len(ids)
        length = int(np.clip(m // (2 * self.k), 1, CHUNK))
        whole = m - m % length
        for part, size in ((slice(0, whole), length), (slice(whole, m), m - whole)):
            if part.stop > part.start:
                chunks = block.T[part].reshape(-1, size, len(block))
                for end in self.ends:
                    end.look(chunks, ids[part].reshape(-1, size))

    def found(self) -> tuple[Array, Array]:
        """Return ids and scores, each of shape (n_tests, 2 k), from the largest to the smallest.

        First the k largest, then the k smallest.
        """
        (above, most), (below, least) = (end.found() for end in self.ends)
        ids = np.concatenate([above, below[:, ::-1]], axis=1)
        return ids, np.concatenate([most, least[:, ::-1]], axis=1)


class _End:
    """The k largest of `sign` times the scores."""

    def __init__(self, n_tests: int, k: int, sign: float) -> None:
        self.sign, self.k, self.lock = sign, k, Lock()
        self.ids = np.full((n_tests, k), np.iinfo(int).max)
        self.values = np.full((n_tests, k), -np.inf)
        self.pending: list[tuple[Array, Array, Array]] = []
        self.n_pending = 0
        self.empty = True

    def look(self, chunks: Array, ids: Array) -> None:
        """Take scores of shape (n_chunks, size, n_tests) of edits with ids (n_chunks, size)."""
        peaks = chunks.max(axis=1) if self.sign > 0 else -chunks.min(axis=1)
        with self.lock:
            values, last = self.values[:, -1], self.ids[:, -1]
            empty = self.empty
        n_chunks = len(chunks)
        if empty and n_chunks >= self.k:
            # As many of the peaks reach the k-th largest of them, and so as many scores.
            values = np.partition(peaks, n_chunks - self.k, axis=0)[n_chunks - self.k]
        chunk, test = np.divmod(np.flatnonzero(~(peaks < values)), len(values))
        tied = peaks[chunk, test] == values[test]
        reach = ~tied | (ids.min(axis=1)[chunk] < last[test])
        chunk, test = chunk[reach], test[reach]
        if not len(chunk):
            return
        scores = self.sign * chunks[chunk, :, test].astype(np.float64, copy=False)
        floor, ids, last = values[test, None], ids[chunk], last[test, None]
        kept = ~(scores < floor) & ((scores != floor) | (ids < last))
        test = np.broadcast_to(test[:, None], kept.shape)
        self._keep(test[kept], scores[kept], ids[kept])

    def _keep(self, tests: Array, values: Array, ids: Array) -> None:
        with self.lock:
            self.pending.append((tests, values, ids))
            self.n_pending += len(tests)
            # Merging costs as much as what is kept: wait until there is as much that is new.
            if self.empty or self.n_pending >= self.values.size:
                self._merge()

    def _merge(self) -> None:
        n_tests, k = self.values.shape
        kept = np.repeat(np.arange(n_tests), k), self.values.ravel(), self.ids.ravel()
        columns = zip(kept, *self.pending, strict=True)
        tests, values, ids = (np.concatenate(column) for column in columns)
        unset = ids == np.iinfo(int).max  # after all that is a score, NaN too
        order = np.lexsort((ids, -values, unset, tests))
        starts = np.searchsorted(tests[order], np.arange(n_tests))
        best = order[starts[:, None] + np.arange(k)]
        self.values, self.ids = values[best], ids[best]
        self.pending, self.n_pending, self.empty = [], 0, False

    def found(self) -> tuple[Array, Array]:
        """Return ids and scores, each of shape (n_tests, k), from this end on."""
        with self.lock:
            self._merge()
        return self.ids, self.sign * self.values


class Buffers:
    """Memory for one block after the other, lent to a thread at a time and kept.

    What is new has to be cleared by the system first; as many arrays as are out at once are made.

    Parameters
    ----------
    dtype : dtype
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self._free: list[Array] = []

    @contextmanager
    def borrowed(self, n_rows: int, n_columns: int) -> Iterator[Array]:
        """Lend an array of this shape, in rows one after the other, with anything in it."""
        size = n_rows * n_columns
        try:
            memory = self._free.pop()
        except IndexError:
            memory = np.empty(0, dtype=self.dtype)
        if memory.size < size:
            memory = np.empty(size, dtype=self.dtype)
        yield memory[:size].reshape(n_rows, n_columns)
        self._free.append(memory)
