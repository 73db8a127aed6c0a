"""Every kind of result with every kind of label: to read, to draw, to keep, and damaged."""

import builtins
import copy
import datetime
import json
import warnings
from dataclasses import replace
from functools import cache
from zoneinfo import ZoneInfo

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from skinfluence import (
    InfluenceClassifier,
    InfluenceRegressor,
    LabelAudit,
    leave_one_out_curve,
    removal_curve,
    validation_audit,
)
from skinfluence.inspection import GivenRows, Influence, Result

N = 12
DAYS = pd.date_range("2024-03-30 01:00", periods=N)
INDICES = {
    "texts": pd.Index([f"r{i}" for i in range(N)]),
    "integers": pd.Index(np.arange(N) * 3 + 7),
    "numbers": pd.Index(np.arange(N) + 0.5),
    "times": DAYS,
    "times in a zone": DAYS.tz_localize("Europe/Berlin"),
    "times at an offset": DAYS.tz_localize("+05:30"),
    "dates": pd.Index(DAYS.date),
    "durations": pd.to_timedelta(np.arange(N), unit="h"),
    "periods": pd.period_range("2024-01", periods=N, freq="M"),
    "intervals": pd.interval_range(0, N),
    "categories": pd.CategoricalIndex([f"r{i}" for i in range(N)]),
    "tuples": pd.MultiIndex.from_arrays(
        [DAYS, np.arange(N), [f"r{i}" for i in range(N)], pd.to_timedelta(np.arange(N), unit="h")]
    ),
    "twice the same": pd.Index(["a", "b"] * (N // 2)),
    "bytes": pd.Index([b"k%d" % i for i in range(N)]),
    "mixed": pd.Index([1, "a", None, 2.5, True, np.int64(3), np.float32(0.1), pd.NaT] + [(1,)] * 4),
}
RNG = np.random.default_rng(0)
VALUES = RNG.standard_normal((N, 2))
SIGNAL = VALUES @ [1.0, -2.0] + RNG.standard_normal(N)


@cache
def results(name):
    """Return one result of every class, of rows with these labels."""
    index = INDICES[name]
    X = pd.DataFrame(VALUES.copy(), columns=["age", "income"], index=index)
    y, c = (
        pd.Series(SIGNAL, index=index),
        pd.Series(SIGNAL > 0, index=index).map(["no", "yes"].__getitem__),
    )
    model, other = (InfluenceRegressor(Ridge(alpha=a)).fit(X, y) for a in (1.0, 2.0))
    classifier = InfluenceClassifier(LogisticRegression()).fit(X, c)
    groups = index.to_numpy() if index.is_unique and name != "mixed" else np.arange(N) % 3
    made = [
        model.influence(X, y),
        classifier.influence(X, target="predict_proba", top=2),
        model.influence(X, y, aggregate="mean"),
        model.self_influence(),
        model.addition_influence(X, y, X, y),
        classifier.relabel_influence(c[::-1].to_numpy(), X, c),
        model.group_influence(groups, X, y),
        model.parameter_influence(),
        model.input_influence(X[:2], y[:2], rows=np.arange(N) < 2),
        model.leave_one_out(),
        classifier.leave_one_out(),
        model.leave_one_out().compare(other.leave_one_out()),
        LabelAudit().fit(X, c).result_,
        LabelAudit(Ridge()).fit(X, y).result_,
        leave_one_out_curve(Ridge(), X, y, "alpha", [0.5, 1.0, 2.0]),
        removal_curve(model, X, y, fractions=[0.2], n_repetitions=2),
        model.leave_one_out_check(X, y, rows=4),
        model.diagnostics(),
        model.without(positions=[0, 5]).certificate_,
        validation_audit(model, VALUES[::-1] + 1.0, SIGNAL, k=[1, 2], verify=True),
        validation_audit(classifier, X + 1.0, c, k=1, action="relabel"),
    ]
    return {f"{type(each).__name__} {at}": each for at, each in enumerate(made)}


def test_every_class_is_here():
    classes = {type(each) for each in results("texts").values()}
    assert {each.__name__ for each in classes} == set(Result.kinds) - {"Effects"}


def same(first, second):
    """Return whether two values, and all in them, are of one type and equal."""
    if isinstance(first, np.ndarray) and first.dtype == object:
        return all(map(same, first.ravel(), second.ravel())) and first.shape == second.shape
    if isinstance(first, np.ndarray):
        np.testing.assert_array_equal(first, second)
        return first.dtype == second.dtype
    if isinstance(first, tuple):
        return type(second) is tuple and all(map(same, first, second))
    return type(first) is type(second) and repr(first) == repr(second)


ALIKE = ("numbers", "bytes", "dates", "times at an offset", "intervals", "twice the same")
"""Kinds of labels that take the same way as others."""


@pytest.mark.slow_rows(where=lambda name: name in ALIKE)
@pytest.mark.parametrize("name", INDICES)
def test_reads_draws_and_comes_back(name, tmp_path):
    as_text = (pd.Period, pd.Interval)
    for kind, result in results(name).items():
        assert result._repr_html_().count("<table>") == 1, kind
        frame = result.to_frame()
        plt.close(result.plot().figure_)
        result.save(tmp_path / "result.npz")
        bare = replace(result, given=None)  # what is read without its rows does not print them
        for again in (
            Result.load(tmp_path / "result.npz"),
            type(result).from_json(result.to_json()),
        ):
            assert repr(again) == repr(bare), kind
            assert again._repr_html_() == bare._repr_html_(), kind
            assert again.facts == result.facts, kind
            if name not in ("periods", "intervals"):
                zoned = name == "times in a zone"  # older versions of pandas have their own zones
                pd.testing.assert_frame_equal(again.to_frame(), frame, check_dtype=not zoned)
            for field, value in result._kept().items():
                flat = value.ravel()[:1] if isinstance(value, np.ndarray) else [value]
                if not any(isinstance(each, as_text) for each in flat):
                    assert same(value, getattr(again, field)), (kind, field)


LABELS = {
    "a date": datetime.date(2024, 1, 2),
    "a time": datetime.datetime(2024, 1, 2, 3, 4, 5, 6),
    "a time in a zone": datetime.datetime(2024, 7, 2, tzinfo=ZoneInfo("Europe/Berlin")),
    "the second 2:30 of a day": datetime.datetime(
        2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")
    ),
    "a time of pandas": pd.Timestamp("2024-01-02 03:04:05.123456789"),
    "one in a zone": pd.Timestamp("2024-07-02", tz="America/New_York"),
    "no time": pd.NaT,
    "a duration": datetime.timedelta(days=-1, microseconds=3),
    "a duration of pandas": pd.Timedelta(1, "ns"),
    "bytes": b"k\xff",
    "a number of numpy": np.int8(3),
    "a truth of numpy": np.bool_(True),
    "a time of numpy": np.datetime64("2024-01-02T03", "h"),
    "a duration of numpy": np.timedelta64(3, "D"),
    "not a number": float("nan"),
    "half a character": "\ud800",
    "nested": (1, (np.float64(0.1), pd.Timestamp("2024-01-02")), None),
}


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a tuple"])
def test_labels_come_back_as_they_were(label, inside, tmp_path):
    labels = np.fromiter([("a", label) if inside else label], dtype=object, count=1)
    result = Influence(scores=np.ones((1, 1)), method="exact", target="loss", row_labels=labels)
    result.save(tmp_path / "result")
    for again in (Result.load(tmp_path / "result"), Result.from_json(result.to_json())):
        assert same(labels, again.row_labels)
        assert repr(again) == repr(result)


def test_arrays_of_bytes_come_back(tmp_path):
    result = Influence(
        scores=np.ones((1, 2)), method="exact", target="loss", row_labels=np.array([b"k0", b"\xff"])
    )
    result.save(tmp_path / "result")
    for again in (Result.load(tmp_path / "result"), Result.from_json(result.to_json())):
        assert same(result.row_labels, again.row_labels)


def test_times_of_pandas_are_read_without_pandas(monkeypatch):
    labels = np.fromiter([LABELS["one in a zone"], pd.NaT, pd.Timedelta(1, "h")], object, 3)
    rows = {"scores": np.ones((1, 3)), "method": "exact", "target": "loss"}
    text = Influence(**rows, row_labels=labels).to_json()
    importing = builtins.__import__

    def without_pandas(name, *args, **kwargs):
        if name == "pandas":
            raise ImportError(name)
        return importing(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pandas)
    again = Result.from_json(text)
    assert again.row_labels[0] == labels[0].to_pydatetime()
    assert list(map(str, again.row_labels)) == list(map(str, labels))


# ------------------------------------------------------------------------------ facts and rows


def test_what_was_read_keeps_its_facts_and_the_hash_of_its_rows(tmp_path):
    X, y = pd.DataFrame(VALUES.copy()), SIGNAL
    result = InfluenceRegressor().fit(X, y).self_influence()
    again = Result.from_json(Result.from_json(result.to_json()).to_json())
    again.save(tmp_path / "result")
    last = Result.load(tmp_path / "result", X=X, y=y)
    pd.testing.assert_frame_equal(last.to_frame(columns=True), result.to_frame(columns=True))
    assert last.to_json() == result.to_json()


def test_hashes_are_taken_once_for_all_results_of_a_fit():
    X, y = pd.DataFrame(VALUES.copy()), SIGNAL
    model = InfluenceRegressor().fit(X, y)
    first, second = model.self_influence(), model.parameter_influence()
    before = first.facts["data"]
    X.iloc[0, 0] += 1.0
    assert (
        json.loads(first.to_json())["rows"] == GivenRows(pd.DataFrame(VALUES.copy()), y).fingerprint
    )
    assert second.facts["data"] == before


@pytest.mark.parametrize("kind", results("texts"))
def test_rows_are_taken_where_they_can_be_shown(kind):
    result = results("texts")[kind]
    X = pd.DataFrame(VALUES.copy(), columns=["age", "income"], index=INDICES["texts"])
    text = result.to_json()
    with pytest.raises(ValueError, match="y was given without X"):
        Result.from_json(text, y=SIGNAL)
    if kind.startswith("Certificate"):
        with pytest.raises(ValueError, match="beside a Certificate, which has none to show"):
            Result.from_json(text, X=X, y=SIGNAL)
    else:
        y = result.given.y
        assert Result.from_json(text, X=X, y=y).given.y is y
        with pytest.raises(ValueError, match=r"hashes differ. X and y are both needed."):
            Result.from_json(text, X=X)


# ------------------------------------------------------------------------------------- damaged


def read_or_refused(read, damaged):
    """Return whether a result came back, which prints then; anything but ValueError passes on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = read(damaged)
        except ValueError as error:
            assert "accepted" in str(error) or "Read it" in str(error) or "reads the" in str(error)
            return False
        assert repr(result) and result._repr_html_()
        return True


@pytest.mark.parametrize("kind", results("texts"))
def test_damaged_files_are_refused(kind, tmp_path):
    path = tmp_path / "result.npz"
    results("texts")[kind].save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for end in [*range(0, 300, 43), *rng.integers(0, len(whole), 20)]:
        path.write_bytes(whole[:end])
        assert not read_or_refused(Result.load, path)
    for at in [
        *range(0, 60, 3),
        *range(len(whole) - 100, len(whole), 5),
        *rng.integers(0, len(whole), 30),
    ]:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        read_or_refused(Result.load, path)
    np.save(path.with_suffix(".npy"), np.ones(3))
    assert not read_or_refused(Result.load, path.with_suffix(".npy"))


WRONG = [
    None, -1.5, True, "x", ["x"], {}, {"x": 1}, {"array": "<f8"}, {"tuple": 3}, {"mapping": []},
    {"datetime": ["x", None]}, {"Timestamp": ["x", "Nowhere"]}, {"scalar": {}},
    {"array": "<f8", "shape": [1], "values": [1.0]},
    {"array": "object", "shape": [0], "values": []},
    {"array": "<f8", "shape": [2], "values": [1.0]},
]  # fmt: skip


def places(read, *path):
    """Return the paths of all entries of a text, down to those of its fields."""
    for name, value in read.items():
        yield (*path, name)
        if isinstance(value, dict) and len(path) < 2:
            yield from places(value, *path, name)


@pytest.mark.parametrize("kind", results("texts"))
def test_damaged_texts_are_refused(kind):
    text = results("texts")[kind].to_json()
    for end in range(0, len(text), 1 + len(text) // 20):
        assert not read_or_refused(Result.from_json, text[:end])
    read, rng = json.loads(text), np.random.default_rng(0)
    changes = [(place, value) for place in places(read) for value in [..., *WRONG]]
    for at in rng.permutation(len(changes))[:200]:
        (*path, name), value = changes[at]
        damaged = copy.deepcopy(read)
        inner = damaged
        for each in path:
            inner = inner[each]
        if value is ...:
            del inner[name]
        else:
            inner[name] = value
        read_or_refused(Result.from_json, json.dumps(damaged))
    for name in ("given", "origin", "read_header", "kinds"):
        damaged = {**read, "fields": {**read["fields"], name: None}}
        assert not read_or_refused(Result.from_json, json.dumps(damaged))
    deep = '{"tuple": [' * 100_000
    assert not read_or_refused(Result.from_json, deep)
    assert not read_or_refused(Result.from_json, None)


def test_the_message_says_what_is_wrong_and_what_to_do(tmp_path):
    path = tmp_path / "{0}.npz"
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"\{0\}.npz' was given, and holds no result \(.*accepted"):
        Result.load(path)
