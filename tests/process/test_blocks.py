"""Blocks of rows."""

import numpy as np
import pytest

from skinfluence.process import blocks
from skinfluence.process.blocks import edit_elements, row_blocks


@pytest.mark.parametrize(("n_rows", "width", "elements"), [(10, 3, 9), (7, 100, 5), (0, 4, 8)])
def test_blocks_cut_all_rows_in_order(n_rows, width, elements):
    cut = list(row_blocks(n_rows, width, elements))
    rows = [i for block in cut for i in range(n_rows)[block]]
    assert rows == list(range(n_rows))
    assert all(one.stop - one.start <= max(1, elements // width) for one in cut)


def test_blocks_are_as_large_as_is_tuned(tune):
    tune(block_elements=12)
    assert [one.stop for one in row_blocks(7, 4)] == [3, 6, 7]


@pytest.mark.parametrize(("gib", "cores"), [(1, 1), (64, 1), (64, 16), (1e-6, 4), (np.inf, 8)])
def test_temporaries_of_every_core_this_process_may_use_fit_in_memory(
    gib, cores, monkeypatch, tune
):
    tune(block_elements=2**21)
    monkeypatch.setattr(blocks, "available_memory", lambda: gib * 2**30)
    monkeypatch.setattr(blocks, "cpu_count", lambda: cores)  # a share of a machine has fewer
    found = edit_elements()
    assert found & (found - 1) == 0  # a power of two
    assert 2**19 <= found <= 2**23
    assert found == 2**19 or 8 * 32 * cores * found <= gib * 2**30
    tune(edit_elements=5)
    assert edit_elements() == 5
