"""Tables and paragraphs within a width."""

import pytest

from skinfluence.command.printing import table, wrapped
from skinfluence.inspection.tables import text_table

COLUMNS = {"line": [2, 30], "score": [0.5, -0.25], "text": ["x" * 60, "y"], "more": [1, 2]}


@pytest.mark.parametrize("width", [20, 40, 47, 60, 100])
def test_a_table_within_a_width(width):
    text = table(COLUMNS, width)
    assert max(map(len, text.splitlines())) <= width
    names = text.splitlines()[0].split()
    assert names == list(COLUMNS)[: len(names)]


def test_columns_that_are_always_there():
    assert table(COLUMNS, 5, always=2) == text_table({k: COLUMNS[k] for k in ("line", "score")})


def test_long_words_stay_whole():
    assert wrapped("see " + "/a" * 60, 80).splitlines() == ["see", "/a" * 60]
