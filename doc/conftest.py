"""Pages whose examples need a package that is not installed are skipped."""

from importlib.util import find_spec

import pytest

NEEDS = {"command.rst": ("narwhals", "jinja2"), "report.rst": ("jinja2",)}


def pytest_collection_modifyitems(items):
    for item in items:
        missing = [each for each in NEEDS.get(item.path.name, ()) if find_spec(each) is None]
        if missing:
            item.add_marker(pytest.mark.skip(reason=f"{' and '.join(missing)} not installed"))
