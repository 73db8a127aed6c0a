"""What columns are taken for, of pandas and polars alike, and what is made of their cells."""

import datetime as dt
import sys
from decimal import Decimal

import numpy as np
import pytest

pytest.importorskip("narwhals", reason="the command needs narwhals")
pd = pytest.importorskip("pandas")

from skinfluence.command.columns import (  # noqa: E402
    columns_of,
    narwhals,
    notes_on,
    number_reader,
    prepared,
)

N = 40
DAY = dt.datetime(2024, 2, 28)

CASES = {
    "float": ([k / 3 for k in range(N)], "number"),
    "int": ([k % 7 for k in range(N)], "number"),
    "infinite": ([float("inf")] + [k / 3 for k in range(N - 1)], "number"),
    "bool": ([k % 2 == 0 for k in range(N)], "yes or no"),
    "word": (["red", "green"] * (N // 2), "category"),
    "grade": (["1", "2", "3+", "3+"] * (N // 4), "category"),
    "sentence": ([f"this is sentence number {k}" for k in range(N)], "text"),
    "few sentences": (["all of these", "are long words"] * (N // 2), "category"),
    "iso": ([f"{DAY + dt.timedelta(k):%Y-%m-%d}" for k in range(N)], "date"),
    "iso time": ([(DAY + dt.timedelta(k / 7)).isoformat() for k in range(N)], "date"),
    "german date": ([f"{DAY + dt.timedelta(k):%d.%m.%Y}" for k in range(N)], "date"),
    "american date": ([f"{DAY + dt.timedelta(k):%m/%d/%Y %H:%M}" for k in range(N)], "date"),
    "named date": ([f"{DAY + dt.timedelta(k):%d %b %Y}" for k in range(N)], "date"),
    "almost dates": ([*["2024-01-05"] * 20, *["2024-01-06"] * 19, "2024-02-30"], "category"),
    "datetime": ([DAY + dt.timedelta(k) for k in range(N)], "date"),
    "mostly numbers": ([*(f"{k / 3:.3f}" for k in range(N - 2)), "n/k", "none"], "number"),
    "codes": ([*(f"{k / 3:.3f}" for k in range(N - 6)), *(f"V{k}" for k in range(6))], "category"),
    "thousands": ([f"{k * 777:,}" for k in range(N)], "number"),
    "town": ([f"town{k % 25}" for k in range(N)], "category"),
    "count": (list(range(5, N + 5)), "a number of the row"),
    "customer_id": ([(k * 7919) % 1009 for k in range(N)], "a number of the row"),
    "uuid": ([f"{k * 7919:x}-{k}" for k in range(N)], "a name of the row"),
    "same": ([3] * N, "one value alone"),
    "same word": (["x"] * N, "one value alone"),
    "nothing": ([None] * N, "nothing but missing values"),
    "lists": ([[1, 2]] * N, "neither numbers, nor text, nor dates"),
    "decimal": ([Decimal(k) / 4 for k in range(N)], "number"),
}


def frames():
    table = {name: values for name, (values, _) in CASES.items()}
    yield "pandas", pd.DataFrame(table)
    try:
        import polars
    except ImportError:
        return
    yield "polars", polars.DataFrame(table)


@pytest.fixture(params=["pandas", "polars"])
def frame(request):
    found = dict(frames())
    if request.param not in found:
        pytest.skip("polars is not installed")
    return found[request.param]


def test_every_column_is_what_it_should_be(frame):
    columns = columns_of(frame, "y")
    got = {each.name: each.kind for each in columns.kept} | columns.left_out
    assert got == {name: kind for name, (_, kind) in CASES.items()}


def test_cells_are_what_they_mean(frame):
    columns = columns_of(frame, "y")
    lines = range(2, N + 2)
    got = prepared(frame, columns, lines)
    assert got.index.name == "line" and list(got.index) == list(lines)
    assert got["float"].tolist() == CASES["float"][0]
    assert np.isnan(got["infinite"].iloc[0]) and got["infinite"].iloc[1] == 0.0
    assert got["bool"].tolist() == [1.0, 0.0] * (N // 2)
    assert got["thousands"].tolist() == [k * 777 for k in range(N)]
    assert got["mostly numbers"].tolist()[:3] == [0.0, 0.333, 0.667]
    assert got["mostly numbers"].isna().tolist()[-3:] == [False, True, True]
    assert got["decimal"].tolist()[:3] == [0.0, 0.25, 0.5]
    days = [DAY + dt.timedelta(k) for k in range(N)]
    for name in ("iso", "german date", "american date", "named date", "datetime"):
        assert got[name].dt.normalize().tolist() == days, name
    assert got["word"].tolist() == CASES["word"][0]


def test_the_first_column_of_different_words_names_the_rows():
    words = [f"w{k}" for k in range(N)]
    frame = pd.DataFrame({"who": words, "other": words, "y": [0, 1] * (N // 2)})
    columns = columns_of(frame, "y")
    assert columns.left_out == {"who": "a name of the row"}
    assert [each.name for each in columns.kept] == ["other"]


@pytest.mark.parametrize(
    ("cells", "delimiter", "numbers"),
    [
        (["1,5", "2", "1.234,5", "1.234"], ";", [1.5, 2.0, 1234.5, 1234.0]),
        (["1,234", "0,5"], ";", [1.234, 0.5]),
        (["1,234", "5"], "\t", [1234.0, 5.0]),
        (["1,234", "0,5"], "\t", [1.234, 0.5]),
        (["1,234.5", "-7", "1e3", ".5"], ",", [1234.5, -7.0, 1000.0, 0.5]),
        (["1.5", "2,5"], ";", [1.5, 2.5]),
        (["1,234", "12,500", "1,234,567", "999"], ";", [1234.0, 12500.0, 1234567.0, 999.0]),
        (["0,125", "0,250"], "\t", [0.125, 0.25]),
        (["1,5", "2,25"], ",", [1.5, 2.25]),
        (["1,234", "2,345"], ",", [1234.0, 2345.0]),
        (["1.234", "2.345"], ";", [1.234, 2.345]),
    ],
)
def test_commas_are_what_the_column_says(cells, delimiter, numbers):
    read, _ = number_reader(cells, delimiter)
    assert [read(each) for each in cells] == numbers


@pytest.mark.parametrize("text", ["1_000", "nan", "inf", "", "12,34,5", "0x1f", "-", "."])
def test_what_is_no_number(text):
    with pytest.raises(ValueError):
        number_reader([text], ",")[0](text)


def test_what_is_said():
    frame = pd.DataFrame(
        {
            "amount": [None, "n/k", *(f"{k}.5" for k in range(N - 2))],
            "colour": [None, *["red", "blue", "blue"] * (N // 3)],
            "const": [1] * N,
        }
    )
    columns = columns_of(frame, "y")
    said, odd = notes_on(columns, prepared(frame, columns, range(N)))
    assert said == [
        "2 columns have missing values: amount (2 rows), colour (1 row); numbers get the median, "
        'categories "missing".',
        "Left out: const (one value alone).",
    ]
    assert odd == ["column 'amount': 'n/k' among numbers, taken as missing."]


def test_zones_are_taken_off():
    times = pd.date_range("2024-01-01", periods=N, tz="Europe/Berlin")
    frame = pd.DataFrame({"when": times, "text": [each.isoformat() for each in times]})
    columns = columns_of(frame, "y")
    got = prepared(frame, columns, range(N))
    expected = times.tz_convert("UTC").tz_localize(None).tolist()
    assert got["when"].tolist() == expected
    assert got["text"].tolist() == expected


def test_without_narwhals_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(ImportError, match=r"pip install 'skinfluence\[command\]'"):
        narwhals()


def test_a_reading_that_could_be_another_is_said():
    n = 12
    frame = pd.DataFrame(
        {
            "price": ["1,5", "2,25", "3,75"] * (n // 3),
            "when": ["01/02/2024", "02/03/2024", "12/11/2024"] * (n // 3),
            "late": ["13/02/2024", "02/03/2024", "12/11/2024"] * (n // 3),
            "y": [0, 1] * (n // 2),
        }
    )
    columns = columns_of(frame, "y")
    said = {each.name: each.reading for each in columns.kept}
    assert said == {
        "price": "commas are read as decimal",
        "when": "dates are read day first",
        "late": "",
    }
    assert "column 'price': commas are read as decimal." in notes_on(columns, frame)[1]


def test_long_integers_are_names_and_no_numbers():
    frame = pd.DataFrame({"z": [0.5, 1.5] * 6, "k": [str(2**60 + 3 * i) for i in range(12)]})
    frame["y"] = [0, 1] * 6
    columns = columns_of(frame, "y")
    assert [(each.name, each.kind) for each in columns.kept] == [("z", "number"), ("k", "category")]
