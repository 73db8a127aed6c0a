"""Rows have two names: which is meant, for every kind of index, of rows and of question.

Whatever they were called, the numbers are those of scikit-learn's refit without the rows meant.
"""

import re
import warnings
from functools import cache

import autograd.numpy as anp
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    GammaRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
)
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skinfluence import AutogradObjective, InfluenceClassifier, InfluenceRegressor, register_adapter
from skinfluence.questions import check, deletion, editing, embedding, left_out, scoring
from skinfluence.questions import input_influence as input_influence_question
from tests.cases import BINARY, regression

N = 24
DATA = regression(N, 3, n_test=5)
X, Y, TESTS, Y_TEST = DATA.X, DATA.y, DATA.X_test, DATA.y_test
PLAIN = Ridge(alpha=0.7, solver="svd")
ITERATED = Ridge(alpha=0.7, tol=1e-14)  # svd takes no sparse matrix
ORDER = np.random.default_rng(1).permutation(N)
MEANT = [17, 3, 8]  # not in order: results follow what was given

# Indexes without an integer among their labels: integers are positions.
OTHERS = {
    "strings": pd.Index([f"patient {i}" for i in ORDER]),
    "string dtype": pd.Index([f"patient {i}" for i in ORDER], dtype="string"),
    "categories": pd.CategoricalIndex([f"patient {i}" for i in ORDER]),
    "digits": pd.Index([str(i) for i in ORDER]),
    "days": pd.date_range("2024-01-01", periods=N)[ORDER],
    "days of a zone": pd.date_range("2024-01-01", periods=N, tz="Europe/Berlin")[ORDER],
    "months": pd.period_range("2024-01", periods=N, freq="M")[ORDER],
    "spans": pd.timedelta_range("1h", periods=N, freq="h")[ORDER],
    "reals": pd.Index(ORDER + 0.5),
    "whole reals": pd.Index(ORDER * 1.0),
    "pairs": pd.MultiIndex.from_arrays([[f"site {i % 3}" for i in ORDER], ORDER]),
    "pairs of integers": pd.MultiIndex.from_arrays([ORDER % 3, ORDER]),
}
# Integers could be labels.
INTEGERS = {
    "a split": pd.Index(ORDER),
    "from one": pd.RangeIndex(1, N + 1),
    "backwards": pd.RangeIndex(N - 1, -1, -1),
    "gaps": pd.Index(3 * np.arange(N)),
    "large": pd.Index(10_000 + ORDER),
    "negative": pd.Index(ORDER - N),
    "nullable": pd.Index(ORDER, dtype="Int64"),
    "categorical": pd.CategoricalIndex(ORDER),
    "small unsigned": pd.Index(ORDER.astype(np.uint8)),
    "mixed": pd.Index([f"patient {i}" if i % 2 else int(i) for i in ORDER], dtype=object),
}
COUNTED = {
    "default": pd.RangeIndex(N),
    "counted": pd.Index(np.arange(N)),
    "counted, nullable": pd.Index(np.arange(N), dtype="Int64"),
}
INDEXES = {**COUNTED, **OTHERS, **INTEGERS}

BARE = {"array": X, "list": X.tolist(), "sparse": sparse.csr_matrix(X)}


def frame_of(index, values=X):
    return pd.DataFrame(values, index=index, columns=[f"x{j}" for j in range(values.shape[1])])


@cache
def wrapped(name):
    rows = BARE[name] if name in BARE else frame_of(INDEXES[name])
    return InfluenceRegressor(clone(ITERATED if name == "sparse" else PLAIN)).fit(rows, Y)


# ------------------------------------------------------------------ what each question should say


def refit_without(rows):
    kept = np.delete(np.arange(N), rows)
    return clone(PLAIN).fit(X[kept], Y[kept])


@cache
def loss_changes(rows):
    """The loss of every test row when one of the rows leaves, minus that with all."""

    def losses(model):
        return 0.5 * (model.predict(TESTS) - Y_TEST) ** 2

    return np.column_stack([losses(refit_without([i])) - losses(refit_without([])) for i in rows])


@cache
def slopes(rows):
    """Derivatives of predictions in the features of the rows, by central differences."""
    out = np.empty((len(TESTS), len(rows), X.shape[1]))
    for at, i in enumerate(rows):
        for j in range(X.shape[1]):
            ends = []
            for step in (1e-5, -1e-5):
                moved = X.copy()
                moved[i, j] += step
                ends.append(clone(PLAIN).fit(moved, Y).predict(TESTS))
            out[:, at, j] = (ends[0] - ends[1]) / 2e-5
    return out


def new_rows(model):
    named = hasattr(model, "feature_names_in_")
    return frame_of(None, TESTS) if named else TESTS


def without(model, meant, /, **given):
    left = model.without(**given)
    refit = refit_without(meant)
    np.testing.assert_allclose(left.estimator_.coef_, refit.coef_, rtol=1e-9)
    np.testing.assert_allclose(left.estimator_.intercept_, refit.intercept_, rtol=1e-9)


def input_influence(model, meant, /, **given):
    found = model.input_influence(new_rows(model), target="predict", **given).derivatives
    np.testing.assert_allclose(found, slopes(tuple(meant)), rtol=1e-6, atol=1e-8)


def leave_one_out_check(model, meant, /, **given):
    found = model.leave_one_out_check(new_rows(model), Y_TEST, **given)
    assert found.rows.tolist() == list(meant)
    np.testing.assert_allclose(found.actual, loss_changes(tuple(meant)), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.predicted, found.actual, rtol=1e-8, atol=1e-10)


QUESTIONS = [without, input_influence, leave_one_out_check]
questions = pytest.mark.parametrize("ask", QUESTIONS, ids=lambda ask: ask.__name__)


# Every index meets the rule in `without`; the other two ask by the same function.
OF_EACH_KIND = {"array", "default", "strings", "pairs", "a split", "mixed"}
slow = pytest.mark.slow_rows(where=lambda name, ask: not (ask is without or name in OF_EACH_KIND))


def of(ask, *given):
    """Return ways to name rows; the first of them for the check, whose refits take longest."""
    return given[:1] if ask is leave_one_out_check else given


def refuse(message, model, /, **given):
    for ask in QUESTIONS:
        with pytest.raises(ValueError, match=message):
            ask(model, [0], **given)


# ------------------------------------------------------------------------------------ positions


def mask_of(rows):
    return np.isin(np.arange(N), rows)


@slow
@questions
@pytest.mark.parametrize("name", [*BARE, *COUNTED, *OTHERS])
def test_integers_are_positions_where_they_can_be_nothing_else(name, ask):
    model = wrapped(name)
    for rows in of(
        ask,
        MEANT,
        tuple(MEANT),
        np.array(MEANT),
        np.array(MEANT, dtype=np.uint8),
        np.array(MEANT, dtype=object),
        [np.int64(i) for i in MEANT],
        pd.Series(MEANT, index=["a", "b", "c"]),
        pd.Series(MEANT, dtype="Int64"),
    ):
        ask(model, MEANT, rows=rows)


@slow
@questions
@pytest.mark.parametrize("name", [*BARE, *INDEXES])
def test_masks_and_slices_are_positions(name, ask):
    model, rows = wrapped(name), sorted(MEANT)
    index = INDEXES.get(name, pd.RangeIndex(N))
    mask = mask_of(rows)
    for given in of(
        ask,
        mask,
        mask.tolist(),
        pd.Series(mask, index=index),
        pd.Series(mask, index=index, dtype="boolean"),
    ):
        ask(model, rows, rows=given)
    for given in of(ask, slice(2, 5), slice(N - 3, 10 * N), slice(-3, None), slice(None, None, 9)):
        ask(model, np.arange(N)[given].tolist(), rows=given)
    for given, meant in of(ask, (mask, rows), (slice(2, 5), [2, 3, 4])):
        ask(model, meant, positions=given)


@slow
@questions
@pytest.mark.parametrize("name", [*BARE, *INDEXES])
def test_positions_are_positions_whatever_the_index(name, ask):
    model = wrapped(name)
    several = MEANT, np.array(MEANT), pd.Index(MEANT), pd.Series(MEANT), range(4, 10, 2)
    for given in of(ask, *several):
        ask(model, list(given), positions=given)
    for given in of(ask, 3, np.int64(3)):
        ask(model, [3], positions=given)


@pytest.mark.parametrize("name", [*BARE, *COUNTED, *OTHERS])
def test_one_integer_is_a_position_and_a_number_for_the_check(name):
    model = wrapped(name)
    for given in (3, np.int64(3)):
        without(model, [3], rows=given)
        input_influence(model, [3], rows=given)
        assert len(model.leave_one_out_check(new_rows(model), Y_TEST, rows=given).rows) == 3
    assert len(model.leave_one_out_check(new_rows(model), Y_TEST).rows) == N  # of 30 at most


# --------------------------------------------------------------------------------------- labels


@slow
@questions
@pytest.mark.parametrize("name", INDEXES)
def test_labels_are_labels(name, ask):
    """As a pandas Index, as themselves where they are no integers, by labels= always."""
    model, labels = wrapped(name), INDEXES[name][MEANT]
    ask(model, MEANT, rows=labels)
    several = labels.tolist(), labels.to_series().reset_index(drop=True)
    if labels.nlevels == 1:
        several += (tuple(labels), np.asarray(labels), labels.to_numpy(dtype=object))
    for given in of(ask, *several):
        ask(model, MEANT, labels=given)
        if name in OTHERS:
            ask(model, MEANT, rows=given)
    ask(model, MEANT[:1], labels=labels[0])
    if name in OTHERS:
        ask(model, MEANT[:1], rows=labels[0])


@questions
def test_a_day_may_be_written(ask):
    model, days = wrapped("days"), INDEXES["days"][MEANT]
    for given in ([str(day.date()) for day in days], days.to_numpy().astype("M8[D]")):
        ask(model, MEANT, rows=given)


@questions
@pytest.mark.parametrize("name", INTEGERS)
def test_integers_that_could_be_labels_are_asked_about(name, ask):
    model, index = wrapped(name), INDEXES[name]
    first = next(label for label in index if not isinstance(label, str))
    message = (
        rf"rows=\[{first}\] may be labels or positions: the training frame has integer labels "
        rf"other than 0 to {N - 1}, and .*Pass labels= or positions= to say which is meant"
    )
    for rows in ([first], np.array([first]), pd.Series([first])):
        with pytest.raises(ValueError, match=message):
            ask(model, [0], rows=rows)
    for rows in ([3], np.array([3, 5])):
        with pytest.raises(ValueError, match="may be labels or positions"):
            ask(model, [0], rows=rows)


def test_the_error_says_what_either_would_mean():
    index = INDEXES["a split"]
    at = int(index.get_loc(3))
    message = f"position 3 is the row labelled {index[3]} and label 3 is the row at position {at}. "
    with pytest.raises(ValueError, match=re.escape(message)):
        wrapped("a split").without(3)
    with pytest.raises(ValueError, match=r", and label 10003 is the row at position \d+\. ") as two:
        wrapped("large").without([10_003, 10_004])
    assert "rows=[10003, 10004] may be" in str(two.value)
    with pytest.raises(ValueError, match=r"rows=\[10003, 10004, 10005, \.\.\.\] may be"):
        wrapped("large").without([10_003, 10_004, 10_005, 10_006])
    with pytest.raises(ValueError, match=", and position 3 is the row labelled 100"):
        wrapped("large").without(3)
    with pytest.raises(ValueError, match=", and no such row"):
        wrapped("large").without(300)


def test_labels_that_several_rows_have_are_refused_and_others_are_not():
    index = pd.Index([f"patient {i}" for i in np.minimum(np.arange(N), N - 3)])
    model = InfluenceRegressor(clone(PLAIN)).fit(frame_of(index), Y)
    for ask in QUESTIONS:
        ask(model, [4, 2], rows=["patient 4", "patient 2"])
        ask(model, [N - 1], positions=[N - 1])
    message = (
        rf"{{}} has labels that several training rows have: \['patient {N - 3}'\], those at the "
        rf"positions \[{N - 3}, {N - 2}, {N - 1}\]; .* Pass positions="
    )
    refuse(message.format("rows"), model, rows=["patient 4", index[-1]])
    refuse(message.format("rows"), model, rows=index[-1:])
    refuse(message.format("labels"), model, labels=index[-1])
    twice = pd.Index(np.arange(N) // 2)
    model = InfluenceRegressor(clone(PLAIN)).fit(frame_of(twice), Y)
    refuse("may be labels or positions", model, rows=[3])
    refuse(r"several training rows have: \[3\], .*\[6, 7\]", model, labels=[3])
    names = pd.MultiIndex.from_arrays([["site"] * N, np.arange(N) // 2])
    model = InfluenceRegressor(clone(PLAIN)).fit(frame_of(names), Y)
    refuse(r"have: \[\('site', 2\)\], those at the positions \[4, 5\]", model, rows=("site", 2))


def test_labels_of_true_and_false():
    index, rows = pd.Index([True, False]), frame_of(None, X[:2])
    model = InfluenceRegressor(clone(PLAIN)).fit(rows.set_axis(index), Y[:2])
    expected = clone(PLAIN).fit(X[:1], Y[:1])
    for given in (
        {"labels": False},
        {"labels": [False]},
        {"rows": index[1:]},
        {"rows": [False, True]},
    ):
        found = model.without(**given).estimator_
        np.testing.assert_allclose(found.intercept_, expected.intercept_, rtol=1e-12)


# ------------------------------------------------------------------------------------- refusals

STRINGS, BACKWARDS = INDEXES["strings"], INDEXES["backwards"]

REFUSED = {
    "nothing": ("array", {"rows": []}, "rows is empty; at least one row"),
    "no label": ("strings", {"rows": STRINGS[:0]}, "rows is empty"),
    "empty slice": ("array", {"rows": slice(5, 5)}, r"rows=slice\(5, 5, None\) takes none of 24"),
    "empty mask": ("array", {"rows": np.zeros(N, bool)}, "a mask without any True"),
    "short mask": (
        "strings",
        {"rows": [True, False]},
        r"mask of shape \(2,\) was given; .*\(24,\)",
    ),
    "one truth": ("strings", {"rows": True}, r"mask of shape \(1,\)"),
    "outside": ("array", {"rows": [2, N]}, r"rows \[24\] are out of range; positions from 0 to 23"),
    "negative": ("strings", {"rows": [-1]}, r"rows \[-1\] are out of range"),
    "negative position": ("a split", {"positions": -1}, r"positions \[-1\] are out of range"),
    "twice": ("array", {"rows": [3, 5, 3]}, "rows has duplicates; positions from 0 to 23"),
    "label twice": ("strings", {"rows": STRINGS[[2, 2]]}, "rows has duplicates; labels, each once"),
    "matrix": ("array", {"rows": [[1, 2]]}, "rows has rows in more than one dimension"),
    "frame": ("strings", {"rows": frame_of(STRINGS)}, "dimension.* Of a frame of rows pass its in"),
    "unknown": (
        "strings",
        {"rows": ["patient 3", "nobody"]},
        r"labels that no training row has: \['nobody'\] \(1 in all\); labels of the training frame,"
        r" such as \['patient \d+', .*, \.\.\.\], are accepted\. Look at X\.index",
    ),
    "unknown of a kind": ("days", {"rows": "nobody"}, r"no training row has: \['nobody'\]"),
    "part of a pair": ("pairs", {"rows": "site 1"}, r"no training row has: \['site 1'\]"),
    "missing label": ("strings", {"labels": [None]}, r"no training row has: \[None\]"),
    "other type": ("digits", {"labels": [3]}, r"no training row has: \[3\]"),
    "a number": ("strings", {"rows": 0.5}, r"no training row has: \[0\.5\]"),
    "array has none": (
        "array",
        {"rows": "a"},
        r"rows=\['a'\] are labels, and the training rows have",
    ),
    "list has none": ("list", {"labels": [3]}, r"labels=\[3\] are labels, and .*Pass positions"),
    "index of others": ("sparse", {"rows": pd.RangeIndex(3)}, r"rows=\[0, 1, 2\] are labels, and"),
    "mixed": (
        "strings",
        {"rows": [3, "patient 5"]},
        r"of the types \['int', 'str'\].*pass labels=",
    ),
    "mixed index": ("mixed", {"rows": [2, "patient 5"]}, r"types \['int', 'str'\].*pass labels="),
    "unsure mask": (
        "strings",
        {"rows": pd.Series([True, None] * (N // 2), index=STRINGS, dtype="boolean")},
        r"of the types \['NAType', 'bool'\] .* fill in what a mask is missing",
    ),
    "missing number": (
        "strings",
        {"rows": pd.Series([1, None], dtype="Int64")},
        r"no training row has: \[1\.0, nan\]|of the types \['NAType', 'int'\]",  # by the pandas
    ),
    "positions by name": (
        "strings",
        {"positions": ["patient 3"]},
        r"types \['str'\] was given; pos",
    ),
    "slice of labels": (
        "strings",
        {"rows": slice("a", "b")},
        r"labels=X\.loc\[first:last\]\.index",
    ),
    "slice as labels": ("a split", {"labels": slice(2, 3)}, r"labels=X\.loc\[first:last\]\.index"),
    "mask in another order": (
        "strings",
        {"rows": pd.Series(mask_of(MEANT), index=STRINGS).sort_index()},
        r"rows has the labels of the training frame in another order; .* Pass rows\.loc\[X\.index\]"
        r" to go by the labels, rows\.to_numpy\(\) to go by the order",
    ),
    "counted mask": ("backwards", {"rows": pd.Series(mask_of(MEANT))}, "in another order"),
    "both": (
        "strings",
        {"rows": [3], "labels": ["patient 3"]},
        "rows and labels were given; exactly",
    ),
    "all three": (
        "array",
        {"rows": 1, "positions": 1, "labels": 1},
        "rows and positions and labels",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_rows_that_are_none(case):
    name, given, message = REFUSED[case]
    refuse(message, wrapped(name), **given)


def test_no_rows_at_all():
    model = wrapped("array")
    for call in (model.without, lambda: model.input_influence(TESTS, Y_TEST).derivatives):
        with pytest.raises(ValueError, match="no rows were given; exactly one of rows=, posi"):
            call()


def test_a_mask_of_other_labels_is_a_mask():
    """It cannot be put in the order of the frame, so that there is but one way to read it."""
    mask = pd.Series(mask_of(MEANT), index=[f"other {i}" for i in range(N)])
    without(wrapped("strings"), MEANT, rows=mask)


# --------------------------------------------------------------------- around the model, afterwards


@pytest.mark.parametrize("name", ["strings", "a split"])
def test_labels_pass_through_pipelines_and_frozen_models(name):
    frame = frame_of(INDEXES[name])
    steps = FunctionTransformer(np.asarray), StandardScaler()
    pipeline = make_pipeline(*steps, clone(PLAIN)).fit(frame, Y)
    scaled = StandardScaler().fit_transform(X)
    kept = np.delete(np.arange(N), MEANT)
    expected = clone(PLAIN).fit(scaled[kept], Y[kept])
    for estimator in (clone(pipeline), FrozenEstimator(pipeline)):
        model = InfluenceRegressor(estimator).fit(frame, Y)
        for given in ({"rows": frame.index[MEANT]}, {"positions": MEANT}):
            left = model.without(**given)
            plain = left.estimator_
            plain = getattr(plain, "estimator", plain)[-1]
            np.testing.assert_allclose(plain.coef_, expected.coef_, rtol=1e-9)
    if name == "a split":
        with pytest.raises(ValueError, match="may be labels or positions"):
            model.without(MEANT)


@pytest.mark.parametrize("name", ["default", "strings", "a split"])
def test_rows_that_stay_keep_their_labels(name):
    """The positions of what stays are others, so that integer labels are asked about."""
    index = INDEXES[name]
    left = wrapped(name).without(labels=index[[2, 9]])
    gone, labels = [2, 9, *MEANT], index[MEANT]
    for again in (left.without(labels=labels), left.without(labels)):
        np.testing.assert_allclose(again.estimator_.coef_, refit_without(gone).coef_, rtol=1e-9)
    now = index.delete([2, 9]).get_indexer(labels)
    np.testing.assert_allclose(
        left.without(positions=now).estimator_.coef_, refit_without(gone).coef_, rtol=1e-9
    )
    if name != "strings":
        with pytest.raises(ValueError, match="may be labels or positions"):
            left.without([4])
    with pytest.raises(ValueError, match="no training row has"):
        left.without(labels=index[[2]])


# ---------------------------------------------------------------- a value for every row, groups


@pytest.mark.parametrize("name", ["strings", "a split"])
def test_values_for_every_row_in_another_order_are_refused(name):
    model, index = wrapped(name), INDEXES[name]
    tests = new_rows(model), Y_TEST
    groups, y_new = pd.Series(np.arange(N) % 3, index=index), pd.Series(Y + 1.0, index=index)
    for ask, given in (
        (model.group_influence, groups),
        (model.relabel_influence, y_new),
    ):
        expected = ask(given.to_numpy(), *tests)
        np.testing.assert_array_equal(ask(given, *tests), expected)
        with pytest.raises(ValueError, match=r"in another order; .*\.loc\[X\.index\] to go by"):
            ask(given.sort_index(), *tests)
        np.testing.assert_array_equal(ask(given.sort_index().loc[index], *tests), expected)
        np.testing.assert_array_equal(ask(given.set_axis(np.arange(N) + 1000), *tests), expected)
    masks = pd.DataFrame(np.eye(N, dtype=bool), index=index[::-1])
    np.testing.assert_array_equal(
        model.group_influence(masks, *tests).scores,
        model.group_influence(masks.to_numpy(), *tests).scores,
    )


def test_truths_are_labels_of_groups():
    found = wrapped("array").group_influence(Y > 0, TESTS, Y_TEST).scores
    expected = wrapped("array").group_influence(np.vstack([Y <= 0, Y > 0]), TESTS, Y_TEST).scores
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize(
    "groups", [[[0, 1], [2, 3, 4]], [[0, 1], [2, 3]]], ids=["unequal", "equal"]
)
def test_lists_of_positions_are_told_how_to_be_groups(groups):
    model = wrapped("array")
    with pytest.raises(ValueError, match=r"were given\. One label per .* For lists of pos") as said:
        model.group_influence(groups, TESTS, Y_TEST)
    advice = str(said.value).split("pass ")[-1].rstrip(".")
    masks = eval(advice, {"np": np, "groups": groups})
    found = model.group_influence(masks, TESTS, Y_TEST).scores
    for column, rows in enumerate(groups):
        refit, full = refit_without(rows), refit_without([])
        change = (refit.predict(TESTS) - Y_TEST) ** 2 - (full.predict(TESTS) - Y_TEST) ** 2
        np.testing.assert_allclose(found[:, column], 0.5 * change, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", [object, "string", "category"])
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_labels_of_groups_are_named(kind, missing):
    site = pd.Series(["a", "b", missing, "a"] * (N // 4), dtype=kind)
    with pytest.raises(ValueError, match=r"groups has 6 missing label\(s\), the first at row 2; "):
        wrapped("array").group_influence(site, TESTS, Y_TEST)
    for index, name in (
        (STRINGS, rf"'{STRINGS[2]}' \(by label\)"),
        (BACKWARDS, r"21 \(by label\)"),
    ):
        model = InfluenceRegressor().fit(frame_of(index), Y)
        with pytest.raises(ValueError, match=rf"the first at row {name}; "):
            model.group_influence(site.to_numpy(), new_rows(model), Y_TEST)


# --------------------------------------------------------------------------- results carry both


@pytest.mark.parametrize("name", ["array", "default", "strings", "a split", "pairs", "days"])
def test_tables_have_the_label_and_the_position(name):
    model = wrapped(name)
    index = INDEXES.get(name, pd.RangeIndex(N))
    tests = new_rows(model), Y_TEST
    influence = model.influence(*tests)
    table = influence.to_frame(k=2)
    assert table["row"].tolist() == index[table["position"]].tolist()
    helpful = table[(table["test"] == 0) & (table["effect"] == "helps")]["position"]
    assert helpful.tolist() == influence.helpful(k=2)[0].tolist()
    for found in (model.leave_one_out(), model.diagnostics()):
        table = found.to_frame()
        assert table["row"].tolist() == index[table["position"]].tolist()
        assert sorted(table["position"]) == list(range(N))
    losses = model.leave_one_out()
    table = losses.to_frame()
    np.testing.assert_array_equal(table["loss"], losses.losses[table["position"]])
    check = model.leave_one_out_check(*tests, positions=MEANT)
    assert check.rows.tolist() == MEANT
    assert pd.Index(check.row_labels).tolist() == index[MEANT].tolist()


# -------------------------------------------------------------------- messages call rows by label


ASKED = {
    "self_influence": lambda m, tests, y: m.self_influence().scores,
    "parameter_influence": lambda m, tests, y: m.parameter_influence().changes,
    "leave_one_out": lambda m, tests, y: m.leave_one_out(method=m.method),
    "influence": lambda m, tests, y: m.influence(tests, y[: len(tests)]),
}


def said(call, about="(?i)rows "):
    """Return what warnings about rows say."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    messages = {str(warning.message) for warning in caught}
    return sorted(message for message in messages if re.search(about, message))


def said_by(model, ask, tests, y):
    tests = frame_of(None, tests) if hasattr(model, "feature_names_in_") else tests
    return said(lambda: ASKED[ask](model, tests, y))


def relabelled(message, index):
    """Return a message about positions as it should be about labels."""

    def by_label(found):
        names = [index[int(at)] for at in found[1].split(", ")]
        names = [f"'{name}'" if isinstance(name, str) else str(name) for name in names]
        return f"[{', '.join(names)}] ({found[2]} in all, by label)"

    return re.sub(r"\[([\d, ]+)\] \((\d+) in all\)", by_label, message)


ONLY_ONE = np.column_stack([X, np.arange(N) == 3])
LINE = np.linspace(-2.0, 2.0, 20)[:, None]
SIDES = np.where(np.arange(20) == 8, 1, LINE[:, 0] > 0)
ODD = np.where(np.arange(60) == 13, "maybe", BINARY.y)
WIDE = regression(40, 20)


class Wells(Ridge):
    """Rows 1 and 2 alone hold a direction: without either the curvature bends down."""


STRENGTH = np.array([[1.0, 0.1], [1.0, 2.0], [1.0, -1.0], [1.0, -0.9], [2.0, 0.3]])
DEPTH = np.array([0.0, 1.0, 0.5, 0.2, 1.0])


@register_adapter(Wells)
def wells(estimator, X, y, sample_weight):
    def loss(theta, X, y):
        return X[:, 0] * (theta[0] - y) ** 2 + X[:, 1] * (theta[1] - y) ** 2

    theta = (STRENGTH.T @ DEPTH) / STRENGTH.sum(axis=0)
    return AutogradObjective(loss, anp.array(theta), X=X, y=y)


NETWORK = MLPRegressor(
    hidden_layer_sizes=(4,),
    activation="tanh",
    solver="lbfgs",
    alpha=0.01,
    max_iter=3000,
    random_state=0,
)

WARNING = {
    "leverage one": (
        InfluenceRegressor(LinearRegression()),
        ONLY_ONE,
        Y,
        "alone determine a direction",
    ),
    "no minimum": (
        InfluenceClassifier(LogisticRegression(C=np.inf), method="exact"),
        LINE,
        SIDES,
        "no minimum was reached",
    ),
    "no minimum, guarded": (
        InfluenceClassifier(LogisticRegression(C=np.inf), method="newton"),
        LINE,
        SIDES,
        "no minimum was reached",
    ),
    "active set": (
        InfluenceRegressor(Lasso(alpha=0.3, tol=1e-12)),
        WIDE.X,
        WIDE.y,
        "changes the active set",
    ),
    "only one of its class": (
        InfluenceClassifier(LogisticRegression()),
        BINARY.X,
        ODD,
        "are the only ones of their class",
    ),
    "network": (InfluenceRegressor(NETWORK, method="newton"), X, Y, "quadratic model no longer"),
    "local refits": (InfluenceRegressor(NETWORK, method="exact"), X, Y, "was not refitted to its"),
    "a model of one's own": (
        InfluenceRegressor(Wells(), method="newton"),
        STRENGTH,
        DEPTH,
        "the curvature is not positive definite",
    ),
}


@pytest.mark.parametrize("case", WARNING)
def test_warnings_call_rows_by_their_labels(case, tune):
    """Every model that names rows, by whatever answers; the rows are those named by position."""
    model, X, y, kind = WARNING[case]
    if case == "local refits":
        tune(trust_region_steps=1)
    for index in (
        pd.Index([f"patient {i}" for i in range(100, 100 + len(X))]),
        pd.Index(np.random.default_rng(0).permutation(len(X)) + 500),
    ):
        bare, framed = clone(model).fit(X, y), clone(model).fit(frame_of(index, X), y)
        for ask in ASKED:
            if ask == "leave_one_out" and case == "a model of one's own":
                continue  # which has no raw predictions
            positions, labels = said_by(bare, ask, X[:3], y), said_by(framed, ask, X[:3], y)
            assert any(kind in message for message in positions), (ask, positions)
            assert labels == sorted(relabelled(message, index) for message in positions)
            assert all("by label" in message for message in labels)


@pytest.mark.parametrize("name", ["exact", "groups"])
def test_edits_that_an_l1_penalty_leaves_without_a_minimum_are_named(name, monkeypatch):
    """Rows by their labels, groups by their names."""

    def failed(whole, change, *_):
        return np.full_like(change, np.nan)

    monkeypatch.setattr("skinfluence.removal.active_set._minimise_l1", failed)
    index = pd.Index([f"patient {i}" for i in range(40)])
    model = InfluenceRegressor(Lasso(alpha=0.3, tol=1e-12), method="exact")
    model.fit(frame_of(index, WIDE.X), WIDE.y)
    tests = frame_of(None, WIDE.X[:3]), WIDE.y[:3]
    if name == "groups":
        sites = np.where(np.arange(40) < 20, "north", "south")
        (message,) = said(lambda: model.group_influence(sites, *tests).scores, "no minimum")
        assert "After the edit of each of the groups ['north', 'south'] (2 in all) no" in message
    else:
        messages = said(lambda: model.influence(*tests), "no minimum")
        assert messages
        named = (
            r"After the edit of each of the rows \['patient \d+'.*\] \(\d+ in all, by label\) no"
        )
        assert all(re.match(named, message) for message in messages)


def test_every_question_names_rows():
    """A function over a fitted estimator that a wrapper asks is decorated to."""
    asked = {name for name in dir(InfluenceRegressor) if not name.startswith("_")}
    for room in (check, deletion, editing, embedding, input_influence_question, left_out, scoring):
        for name in asked & set(vars(room)):
            assert hasattr(getattr(room, name), "__wrapped__"), (room.__name__, name)


def test_threads_know_the_labels(tune):
    tune(edit_elements=4)  # two rows at a time
    index = pd.Index([f"patient {i}" for i in range(20)])
    model = InfluenceClassifier(LogisticRegression(C=np.inf), n_jobs=3)
    messages = said(model.fit(frame_of(index, LINE), SIDES).leave_one_out)
    assert messages
    assert all(re.search(r"rows \['patient [89]'.*by label\)", message) for message in messages)


def test_new_rows_have_labels_of_their_own():
    train = frame_of(pd.Index([f"patient {i}" for i in range(N)]))
    new = frame_of(pd.Index([f"new {i}" for i in range(4)]), 30.0 * X[:4])
    model = InfluenceRegressor(Lasso(alpha=0.3)).fit(train, Y)
    tests = new_rows(model), Y_TEST
    (message,) = said(lambda: model.addition_influence(new, Y[:4] + 50.0, *tests).scores)
    assert re.search(r"Changing each of the rows \['new \d'.*\] \(\d in all, by label\)", message)
    (message,) = said(lambda: model.addition_influence(new.to_numpy(), Y[:4] + 50.0, *tests).scores)
    assert re.search(r"each of the rows \[\d[, \d]*\] \(\d in all\) changes", message)


def test_labels_that_repeat_name_nobody():
    index = pd.Index(["patient"] * N)
    model = InfluenceRegressor(LinearRegression()).fit(frame_of(index, ONLY_ONE), Y)
    (message,) = said(model.leave_one_out)
    assert message.startswith("Rows [3] (1 in all, by position: labels repeat) alone determine")


def test_many_rows_are_counted():
    alone = frame_of(pd.Index(np.arange(N) + 7), np.eye(N)[:, 1:])
    (message,) = said(InfluenceRegressor(LinearRegression()).fit(alone, Y).leave_one_out)
    assert re.search(rf"\[7, 8, 9, .*, 26\] \({N} in all, by label\)", message)


def test_labels_are_forgotten_after_a_question():
    """Also after one that was refused; a model of another frame speaks of its own."""
    strings = pd.Index([f"patient {i}" for i in range(N)])
    one = InfluenceRegressor(LinearRegression()).fit(frame_of(strings, ONLY_ONE), Y)
    other = InfluenceRegressor(LinearRegression()).fit(ONLY_ONE, Y)
    with pytest.raises(ValueError, match="no training row has"):
        one.without("nobody")
    assert "['patient 3']" in said(one.leave_one_out)[0]
    assert "[3] (1 in all) " in said(other.leave_one_out)[0]


def test_errors_call_rows_by_their_labels():
    index = pd.Index([f"patient {i}" for i in range(60)])
    frame = frame_of(index, BINARY.X)
    model = InfluenceClassifier().fit(frame, ODD)
    message = r"rows \['patient 13'\] \(1 in all, by label\) are the only ones of their class"
    with pytest.raises(ValueError, match=message):
        model.leave_one_out_check(frame[:3], ODD[:3], rows=["patient 4", "patient 13"])
    weights = np.where(np.arange(60) == 7, -1.0, 1.0)
    with pytest.raises(
        ValueError, match=r"the first -1 at row 'patient 7' \(by label\)\); weights"
    ):
        InfluenceClassifier().fit(frame, BINARY.y, sample_weight=weights)
    amounts = np.exp(Y / 4)
    model = InfluenceRegressor(GammaRegressor()).fit(frame_of(STRINGS), amounts)
    tests = frame_of(pd.Index(list("abcde")), TESTS)
    wrong = np.array([1.0, 2.0, 0.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=r"the first 0 at row 'c' \(by label\)\); the Gamma"):
        model.influence_scores(tests, wrong)
    with pytest.raises(ValueError, match=r"the first 0 at row 2\); the Gamma"):
        model.influence_scores(tests.reset_index(drop=True), wrong)
    with pytest.raises(ValueError, match=r"the first 0 at row 'c' \(by label\)\); the Gamma"):
        model.addition_influence(tests, wrong, tests, amounts[:5])
    relabelled = np.where(np.arange(N) == 4, 0.0, amounts)
    with pytest.raises(ValueError, match=rf"first 0 at row '{STRINGS[4]}' \(by label\)\); the Gam"):
        model.relabel_influence(relabelled, tests, amounts[:5])


def test_the_summary_of_a_check_calls_rows_by_their_labels():
    days = pd.date_range("2024-01-01", periods=N, name="day")
    model = InfluenceRegressor(clone(PLAIN)).fit(frame_of(days), Y)
    check = model.leave_one_out_check(new_rows(model), Y_TEST, rows=days[:4])
    gradients = np.array([1e-8, 1e-8, 1e-3, 1e-8, 1e-8])
    parts = {name: getattr(check, name) for name in ("predicted", "actual", "noise", "rows")}
    check = type(check)(
        **parts,
        row_labels=check.row_labels,
        test_labels=check.test_labels,
        method="exact",
        target="loss",
        judge_gradients=gradients,
    )
    assert "unfinished: without the rows [2024-01-02" in check.summary()
