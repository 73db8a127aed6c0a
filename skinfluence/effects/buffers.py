"""Memory for one block after the other, kept: what is new has to be cleared by the system first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Buffers:
    """Arrays lent to one thread at a time; as many as are out at once are ever made.

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
