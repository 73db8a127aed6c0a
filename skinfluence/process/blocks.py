"""Blocks of rows, of a size that temporaries fit in a cache or in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from joblib import cpu_count

from skinfluence.process.memory import available_memory
from skinfluence.process.tuning import tuning


def row_blocks(n_rows: int, row_width: int, elements: int | None = None) -> Iterator[slice]:
    """Yield slices that cut `n_rows` rows into blocks of about `elements` numbers.

    ``tuning().block_elements`` by default. The boundaries never depend on the number of workers.
    """
    size = max(1, (elements or tuning().block_elements) // max(1, row_width))
    for start in range(0, n_rows, size):
        yield slice(start, min(n_rows, start + size))


def n_rows_of(block: slice) -> int:
    """Return how many rows a block has."""
    return int(block.stop - block.start)


def edit_elements() -> int:
    """Return how many numbers a temporary of the exact iteration may hold.

    Chosen from the available memory; about thirty temporaries are alive in every thread.
    """
    numbers = tuning()
    if numbers.edit_elements is not None:
        return numbers.edit_elements
    fits = available_memory() / (8 * 32 * cpu_count())
    block = numbers.block_elements
    # In powers of two, so that a little more or less memory changes nothing.
    return 2 ** int(np.log2(np.clip(fits, block // 4, 4 * block)))
