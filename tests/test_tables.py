"""How rows of tables are chosen by ``--one-in``."""

from types import SimpleNamespace

import pytest

from tests.conftest import TABLE, choose, kinds_of

NAMES = [f"model {k}" for k in range(30)]
METHODS = ["first_order", "newton", "exact"]


def item(test, path="test_some.py", **params):
    name = "-".join(str(getattr(one, "name", one)) for one in params.values())
    callspec = {"callspec": SimpleNamespace(params=params, id=name)} if params else {}
    nodeid = f"{path}::{test}[{name}]" if params else f"{path}::{test}"
    return Item(nodeid=nodeid, path=path, **callspec)


class Item(SimpleNamespace):
    __hash__ = object.__hash__


TESTS = [item(f"test_{k}", model=one) for k in range(8) for one in NAMES]
TESTS += [
    item("test_rare", "test_other.py", model=one, how=how) for one in NAMES for how in METHODS
]
TESTS += [item("test_objects", "test_other.py", row=SimpleNamespace(name=one)) for one in NAMES]
ALONE = [item("test_alone"), *(item("test_few", method=one) for one in METHODS)]


@pytest.mark.parametrize("one_in", [2, 4, 1000])
def test_a_share_of_rows_drops_no_kind_and_no_test(one_in):
    chosen = choose(TESTS + ALONE, one_in)
    assert set(ALONE) <= chosen
    assert len(METHODS) < TABLE
    assert {kind for one in chosen for kind in kinds_of(one)} == {
        kind for one in TESTS + ALONE for kind in kinds_of(one)
    }
    rows = len(chosen) - len(ALONE)
    assert rows <= len(TESTS) / one_in * 1.25 + 3 * len(NAMES)


def test_the_same_rows_are_chosen_in_every_run():
    one, other = (sorted(item.nodeid for item in choose(list(TESTS), 4)) for _ in range(2))
    assert one == other
