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
    notes_on_cells,
    prepared,
    reading_of_numbers,
)

N = 40
DAY = dt.datetime(2024, 2, 28)

CASES = {
    "float": ([k / 3 for k in range(N)], "number"),
    "int": ([k % 7 for k in range(N)], "number"),
    "infinite": ([float("inf")] + [k / 3 for k in range(N - 1)], "number"),
    "bool": ([k % 2 == 0 for k in range(N)], "yes or no"),
    "bool as text": (["TRUE", "false"] * (N // 2), "yes or no"),
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
    for name in ("bool", "bool as text"):
        assert got[name].tolist() == [1.0, 0.0] * (N // 2)
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


EITHER, ONE = True, False


@pytest.mark.parametrize(
    ("cells", "delimiter", "numbers", "either"),
    [
        (["1,5", "2", "1.234,5", "1.234"], ";", [1.5, 2, 1234.5, 1234], ONE),
        (["1,234", "0,5"], ";", [1.234, 0.5], ONE),
        (["1,234", "5"], ";", [1.234, 5], EITHER),
        (["1,234", "5"], "\t", [1.234, 5], EITHER),
        (["1,234", "5"], ",", [1234, 5], EITHER),
        (["1,234", "5"], "|", [1234, 5], EITHER),
        (["1,234", "1,234,567"], ";", [1234, 1234567], ONE),
        (["0,125", "1,250"], ",", [0.125, 1.25], ONE),
        (["0,125", "1,250"], "\t", [0.125, 1.25], ONE),
        (["1,234", "12,5"], ",", [1.234, 12.5], ONE),
        (["1,234", "1,2345"], ",", [1.234, 1.2345], ONE),
        (["1,234.5", "-7", "1e3", ".5"], ",", [1234.5, -7, 1000, 0.5], ONE),
        (["1.234", "2.345"], ";", [1.234, 2.345], ONE),
        (["1.234", "1.234.567"], ";", [1234, 1234567], ONE),
        (["9007199254740993", "-1"], ",", [9007199254740993, -1], ONE),
    ],
)
def test_commas_are_what_the_whole_column_says(cells, delimiter, numbers, either):
    read, note = reading_of_numbers(cells, delimiter)
    assert [read(each) for each in cells] == numbers
    assert bool(note) == either
    if either:
        meaning = "decimal" if numbers[0] == 1.234 else "those of thousands"
        assert note == f"commas as in '1,234' are taken as {meaning}, and could be either"


@pytest.mark.parametrize("text", ["1_000", "nan", "inf", "", "12,34,5", "0x1f", "-", "."])
def test_what_is_no_number(text):
    with pytest.raises(ValueError):
        reading_of_numbers([text], ",")[0](text)


def test_one_reading_is_for_the_whole_column():
    frame = pd.DataFrame({"v": [*(f"{k},5" for k in range(N - 2)), "1.5", "2.5"]})
    columns = columns_of(frame, "y", delimiter=";")
    got = prepared(frame, columns, range(N))
    assert got["v"].tolist()[:2] == [0.5, 1.5] and got["v"].isna().sum() == 2
    assert notes_on_cells(columns, frame, got) == [
        "column 'v': '1.5', '2.5' among numbers, taken as missing (2 rows)."
    ]


DATES = {
    "both": ([f"{k % 12 + 1:02d}/0{k % 9 + 1}/2024" for k in range(N)], "day", (2024, 1, 1)),
    "day first": ([f"{k % 28 + 1:02d}/0{k % 9 + 1}/2024" for k in range(N)], "", (2024, 1, 1)),
    "month first": ([f"0{k % 9 + 1}/{k % 28 + 1:02d}/24" for k in range(N)], "", (2024, 1, 1)),
    "one is both": (["02/03/24"] * 2 + ["05/06/24"] * (N - 2), "day", (2024, 3, 2)),
    "names": ([f"{k % 12 + 1} Mar 2024" for k in range(N)], "", (2024, 3, 1)),
}


@pytest.mark.parametrize("case", DATES)
def test_days_or_months_first(case):
    cells, first, expected = DATES[case]
    frame = pd.DataFrame({"d": cells})
    (column,) = columns_of(frame, "y").kept
    assert column.kind == "date"
    assert column.read(cells[0]) == dt.datetime(*expected)
    note = f"dates as {cells[0]!r} are read {first} first, and could be either"
    assert column.note == (note if first else "")


def test_integers_are_exact():
    frame = pd.DataFrame(
        {
            "large": [str(2**53 + k % 2) for k in range(N)],
            "user_id": [str(2**60 + k) for k in range(0, 3 * N, 3)],
            "many": [2**53 + k % 2 for k in range(N)],
        }
    )
    columns = columns_of(frame, "y")
    assert columns.left_out == {"user_id": "a number of the row"}
    assert columns.of_kind("number") == ["large", "many"]


def test_decimal_commas_in_the_first_column_name_no_rows():
    frame = pd.DataFrame({"v": [f"{k},{k % 7}" for k in range(N)], "y": [0, 1] * (N // 2)})
    assert columns_of(frame, "y").of_kind("number") == ["v"]


@pytest.mark.parametrize("letters", ["abcdefgh", "!?-+*/&%"])
def test_texts_without_words_are_categories(letters):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"t": [" ".join(rng.choice(list(letters), 6)) for _ in range(N)]})
    (column,) = columns_of(frame, "y").kept
    assert column.kind == "category"


def test_what_is_said():
    frame = pd.DataFrame(
        {
            "amount": [None, "n/k", *(f"{k}.5" for k in range(N - 2))],
            "colour": [None, *["red", "blue", "blue"] * (N // 3)],
            "const": [1] * N,
        }
    )
    columns = columns_of(frame, "y")
    got = prepared(frame, columns, range(N))
    assert notes_on(columns, got) == [
        "2 columns have missing values: amount (2 rows), colour (1 row); numbers get the median, "
        'categories "missing".',
        "Left out: const (one value alone).",
    ]
    assert notes_on_cells(columns, frame, got) == [
        "column 'amount': 'n/k' among numbers, taken as missing (1 row)."
    ]


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
