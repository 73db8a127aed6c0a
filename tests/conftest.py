"""Settings that libraries read once, when they are imported, and what chooses rows of tables."""

import os
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from zlib import crc32

import pytest

os.environ["SCIPY_ARRAY_API"] = "1"  # scikit-learn's checks of array API support ask for it
os.environ["MPLBACKEND"] = "agg"
# The tests are many small products: on a busy machine, threads that wait for each other, of BLAS or
# of OpenMP in scikit-learn, make them ten times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).parent
TABLE = 4
"""Rows from which on the parameters of a test are a table, of which `--one-in` chooses some."""


QUICK = {
    "adapters/test_registry.py": (),
    "command/test_printing.py": (),
    "curvature/preconditioners/test_subsampled.py": (
        "test_of_all_rows_it_is_the_inverse",
        "test_losses_without_one",
    ),
    "effects/test_scores.py": (
        "test_the_sign_by_eye",
        "test_outputs_have_to_be_named",
        "test_extremes_are_those_of_a_sort_in_whatever_order_blocks_come",
        "test_changes_in_pieces_are_changes",
    ),
    "mechanisms/test_distance.py": (),
    "estimators/test_weights.py": (),
    "inspection/test_agreement.py": (),
    "inspection/test_check.py": (),
    "inspection/test_diagnostics.py": (),
    "inspection/test_influence.py": (),
    "inspection/test_leave_one_out.py": (),
    "losses/test_base.py": (),
    "losses/test_binary.py": (),
    "losses/test_composed.py": (),
    "losses/test_margins.py": (),
    "mechanisms/test_forest.py": (),
    "minimisers/test_active_set.py": ("test_logistic_meets_the_conditions",),
    "models/test_smooth_svc.py": (
        "test_the_gradient_of_the_twin_is_zero",
        "test_one_versus_the_rest_is_three_binary_fits",
        "test_parameters_that_are_refused",
    ),
    "objectives/test_features.py": (),
    "objectives/test_weighting.py": (),
    "process/test_blocks.py": (),
    "process/test_memory.py": (),
    "questions/test_fitted.py": (),
    "removal/test_case_diagnostics.py": (
        "test_least_squares_is_that_of_textbooks_and_refits",
        "test_gauge_of_several_classes_has_no_variance",
    ),
    "removal/test_row_space.py": (),
    "retraining/test_refits.py": (),
    "solvers/test_lu.py": (),
    "solvers/test_row_factor.py": (),
}
"""The tests of ``-m quick``: modules, or some tests of one, that touch every room."""


@pytest.fixture
def tune():
    """Return what puts other numbers of `Tuning` in force until the test ends."""
    from skinfluence.process.tuning import tuned

    with ExitStack() as stack:
        yield lambda **numbers: stack.enter_context(tuned(**numbers))


def pytest_addoption(parser):
    parser.addoption(
        "--one-in",
        type=int,
        metavar="N",
        help="run one row in N of every table of tests, and more where a kind would have none; "
        "2 for the whole suite, 1 for files, names or marks that were asked for",
    )


def pytest_ignore_collect(collection_path, config):
    """Import no modules without a quick test where quick ones alone are asked for."""
    alone = config.option.markexpr == "quick" and collection_path.name.startswith("test_")
    return True if alone and module_of(collection_path) not in QUICK else None


def pytest_configure(config):
    if config.option.one_in is None:  # once: workers are told
        whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
        asked = config.option.keyword or config.option.markexpr not in ("not slow", "quick")
        config.option.one_in = 2 if whole and not asked else 1
    if config.option.markexpr == "quick":
        config.option.doctestmodules = False


def module_of(path):
    return path.relative_to(HERE).as_posix() if path.is_relative_to(HERE) else ""


def is_quick(item):
    names = QUICK.get(module_of(item.path))
    return names is not None and (not names or getattr(item, "originalname", None) in names)


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(config, items):
    for item in items:
        if is_quick(item):
            item.add_marker("quick")
        for mark in item.iter_markers("slow_rows"):
            if mark.kwargs["where"](**item.callspec.params):
                item.add_marker("slow")
    one_in = config.getoption("one_in")
    if one_in > 1:
        chosen = choose(items, one_in)
        config.hook.pytest_deselected(items=[one for one in items if one not in chosen])
        items[:] = [one for one in items if one in chosen]


def choose(items, one_in):
    """Return the tests that are no rows of tables, and a share of the rows.

    Which is by the name of the test: every kind meets other tests, the same ones in every run. A
    kind is a name or number among the parameters, or else a word of the test's name, in one module:
    each has a row at least, and so has each test.
    """
    sizes = Counter(table_of(item) for item in items)
    rows = [item for item in items if hasattr(item, "callspec") and sizes[table_of(item)] >= TABLE]
    chosen = set(items) - set(rows)
    chosen |= {item for item in rows if crc32(item.nodeid.encode()) % one_in == 0}
    seen = {kind for item in chosen for kind in kinds_of(item)}
    for item in rows:
        kinds = set(kinds_of(item))
        if not kinds <= seen:
            chosen.add(item)
            seen |= kinds
    return chosen


def table_of(item):
    return item.nodeid.split("[")[0]


def kinds_of(item):
    yield table_of(item)
    if hasattr(item, "callspec"):
        values = [getattr(one, "name", one) for one in item.callspec.params.values()]
        named = [one for one in values if isinstance(one, str | int | float)]
        for kind in named or item.callspec.id.split("-"):
            yield str(item.path), kind


@pytest.fixture(autouse=True)
def _no_figures_left():
    """Close what a test has drawn: matplotlib warns of many open figures."""
    yield
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")
