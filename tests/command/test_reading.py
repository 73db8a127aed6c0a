"""Files to frames with lines: delimiters, encodings, and what is refused with its line."""

import csv
import gzip
import io
import random
import sys

import numpy as np
import pytest

from skinfluence.command.reading import delimiter_of, read
from skinfluence.command.refusal import Refusal

TABLE = "a,b,y\n1,2.5,no\n\n2,3.5,yes\n"


def test_rows_are_named_by_the_line_at_which_they_begin(file):
    name = file("t.csv", 'a,b\n1,"two\r\nlines, quoted"\n\n   \n2,x\n3,"a ""q"""\n')
    source = read(name, io.BytesIO())
    assert list(source.lines) == [2, 6, 7]
    assert source.frame["a"].tolist() == ["1", "2", "3"]
    assert source.frame["b"].tolist() == ["two\r\nlines, quoted", "x", 'a "q"']


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_any_end_of_line(file, newline):
    source = read(file("t.csv", TABLE.replace("\n", newline)), io.BytesIO())
    assert list(source.lines) == [2, 4]
    assert source.frame["y"].tolist() == ["no", "yes"]


def test_lines_are_those_of_editors(file):
    """Random files: a record holds its own number, and lies where a plain search finds it."""
    rng = random.Random(0)
    cells = ["x", '"q\n\nz"', '"a""b"', '" lead"', 'a"b', "NA", "", '"x,y"', '"\r"', "#c", '"p\rq"']
    for _ in range(60):
        newline, encoding = rng.choice(["\n", "\r\n"]), rng.choice(["utf-8", "utf-8-sig", "utf-16"])
        records = ["a,b,y", *(f"<{k}>,{rng.choice(cells)},1" for k in range(12))]
        blanks = [rng.choice(["", "", "", "\n", " \n", "\n\t\n"]) for _ in records]
        text = "".join(f"{b}{r}\n" for b, r in zip(blanks, records, strict=True))
        text = text.replace("\n", newline)
        name = file("t.csv", text if rng.random() < 0.7 else text.rstrip(), encoding)
        source = read(name, io.BytesIO())
        found = [
            next(at for at, line in enumerate(text.split("\n"), start=1) if f"<{k}>" in line)
            for k in range(12)
        ]
        assert source.frame["a"].tolist() == [f"<{k}>" for k in range(12)]
        assert list(source.lines) == found, text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(file, delimiter):
    text = TABLE.replace(",", delimiter)
    assert delimiter_of(text) == delimiter
    source = read(file("t.txt", text), io.BytesIO())
    assert list(source.frame.columns) == ["a", "b", "y"]
    assert source.delimiter == delimiter


def test_decimal_commas_beside_semicolons_are_no_delimiters():
    assert delimiter_of("a;b\n1,5;2,5\n3,5;4,5\n") == ";"
    assert delimiter_of("a,b\nx; y; z,1\nu; v; w,2\n") == ","


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_encodings_with_a_mark_are_read_silently(file, encoding):
    text = "größe,y\n1,é\n"
    marked = "\ufeff" + text if encoding == "utf-16-le" else text
    source = read(file("t.csv", marked, encoding), io.BytesIO())
    assert list(source.frame.columns) == ["größe", "y"]
    assert source.frame["y"].tolist() == ["é"]
    assert source.notes == ()


@pytest.mark.parametrize(("encoding", "word"), [("latin-1", "Öl"), ("cp1252", "€")])
def test_latin_1_is_read_and_said_with_its_line(file, encoding, word):
    source = read(file("t.csv", f"a,y\n1,x\n2,{word}\n", encoding), io.BytesIO())
    assert source.frame["y"].tolist() == ["x", word]
    assert source.notes == ("t.csv, line 3: not in UTF-8; read as Latin-1 (cp1252).",)


def test_the_standard_input_gzipped(folder):
    source = read("-", io.BytesIO(gzip.compress(TABLE.encode())))
    assert source.name == "standard input"
    assert source.frame["b"].tolist() == ["2.5", "3.5"]


def test_spaces_after_delimiters_and_marks_of_nothing(file):
    source = read(file("t.csv", "a, b, y\n1, ?, <=50K\n2, NA, None\n"), io.BytesIO())
    assert source.frame["b"].isna().all()
    assert source.frame["y"].tolist() == ["<=50K", "None"]  # which is a word


def test_a_column_without_a_name_gets_its_number(file):
    source = read(file("t.csv", ",a\n0,5\n1,6\n"), io.BytesIO())
    assert list(source.frame.columns) == ["column 1", "a"]


REFUSED = {
    "empty": ("", "t.csv is empty; a table is accepted"),
    "blank": (" \n\n", "t.csv is empty"),
    "header": ("a,b,y\n", "t.csv has the names of 3 columns and no row"),
    "too many": (
        "a,y\n1,x\n2,x,z\n3,x,z\n",
        r"t.csv, line 3: 3 fields \(as in 1 other line\), where line 1 names 2 columns. Put quotes "
        "around cells that hold commas",
    ),
    "too few": ("a,b,y\n1,2,x\n\n3,4\n", "t.csv, line 4: 2 fields, where line 1 names 3 columns"),
    "index": ("a,y\n0,1,x\n1,2,x\n", "line 2: 3 fields .* give the column without a name one"),
    "mark": (b"\xef\xbb\xbf", "t.csv is empty"),
    "nothing quoted": ('""\n', "t.csv is empty"),
    "quote": ('a,b,y\n1,2,x\n3,"4,x\n5,6,x\n', "t.csv, line 3: a quote may be opened"),
    "quote at the end": ('a,y\n1,x\n\n3,"4\n5,6\n7,8', "t.csv, line 4: a quote may be opened"),
    "twice": ("a,b,a\n1,2,3\n", "t.csv, line 1: columns 1 and 3 are both called 'a'"),
    "zero": (b"a,y\n1,x\n2,\0\n", "t.csv, line 3: there are zero bytes"),
    "utf-16": (
        b"\xff\xfea\0,\0y\0\n\0\x00\xd8\x00\xd8",
        "t.csv, line 2: the file begins as UTF-16",
    ),
    "zip": (b"PK\x03\x04...", "is a workbook or an archive"),
    "gzip": (gzip.compress(TABLE.encode())[:-9], "is gzipped, and damaged or cut off"),
    "html": ("\n<!doctype html>\n<p>404, not here", "begins a web page or JSON"),
    "parquet": (b"PAR1 and no more", "is a Parquet file that cannot be read|neither is installed"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table_is_refused_with_its_line(file, case):
    text, message = REFUSED[case]
    with pytest.raises(Refusal, match=message):
        read(file("t.csv", text), io.BytesIO())


def test_files_that_are_not_there(file):
    file("train.csv", TABLE)
    with pytest.raises(Refusal, match=r"trian.csv: there is no such file. Near it: train.csv"):
        read("trian.csv", io.BytesIO())
    with pytest.raises(Refusal, match="The folder nowhere is not there"):
        read("nowhere/t.csv", io.BytesIO())
    with pytest.raises(Refusal, match=r"\. is a folder; pass one file"):
        read(".", io.BytesIO())


def test_a_cell_beyond_the_limit_of_the_csv_module(file):
    before = csv.field_size_limit()
    source = read(file("t.csv", f'a;y\n1,5;"{"x" * 200_000}"\n'), io.BytesIO())
    assert source.delimiter == ";"
    assert len(source.frame["y"][0]) == 200_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("reader", ["pyarrow", "polars"])
def test_parquet_by_either_reader(folder, monkeypatch, reader):
    pd = pytest.importorskip("pandas")
    pytest.importorskip(
        "pyarrow.parquet", reason="pyarrow writes Parquet files", exc_type=ImportError
    )
    pytest.importorskip(reader)
    frame = pd.DataFrame({"a": [1.5, None, 2.0], "y": ["u", "v", "u"]}, index=[5, 6, 7])
    frame.to_parquet("t.parquet")
    if reader == "polars":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    source = read("t.parquet", io.BytesIO())
    assert list(source.lines) == [1, 2, 3]
    assert type(source.frame).__module__.startswith("polars" if reader == "polars" else "pandas")
    np.testing.assert_array_equal(source.frame["y"].to_list(), ["u", "v", "u"])


def test_parquet_without_a_reader_says_what_to_install(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(Refusal, match="neither is installed: pip install pyarrow"):
        read(file("t.parquet", b"PAR1"), io.BytesIO())
