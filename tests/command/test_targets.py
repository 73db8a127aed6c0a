"""Classes or numbers, which rows know them, and what cannot be predicted."""

import io

import numpy as np
import pytest

pytest.importorskip("narwhals", reason="the command needs narwhals")
pytest.importorskip("pandas")

from skinfluence.command.reading import read
from skinfluence.command.refusal import Refusal
from skinfluence.command.targets import notes_on_target, target_of

N = 40


def source_of(values, header="y"):
    text = f"a;{header}\n" + "".join(f"{k};{value}\n" for k, value in enumerate(values))
    return read("-", io.BytesIO(text.encode()))


ACCEPTED = {
    "words": (["no", "yes"] * 20, "auto", True, ["no", "yes"]),
    "truths": (["True", "False"] * 20, "auto", True, ["True", "False"]),
    "few integers": ([1, 2, 3, 4] * 10, "auto", True, [1, 2, 3, 4]),
    "few integers of ridge": ([1, 2, 3, 4] * 10, "ridge", False, [1.0, 2.0, 3.0, 4.0]),
    "few integers of a forest": ([1, 2, 3, 4] * 10, "forest", True, [1, 2, 3, 4]),
    "many integers": (list(range(1, N + 1)), "auto", False, [1.0, 2.0, 3.0, 4.0]),
    "many integers of logistic": ([k % 15 for k in range(N)], "logistic", True, [0, 1, 2, 3]),
    "decimal commas": ([f"{k},5" for k in range(N)], "auto", False, [0.5, 1.5, 2.5, 3.5]),
    "counts": ([k % 3 for k in range(N)], "poisson", False, [0.0, 1.0, 2.0, 0.0]),
    "two integers": ([7, 9] * 4, "auto", True, [7, 9, 7, 9]),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_classes_or_numbers(case):
    values, model, classifies, first = ACCEPTED[case]
    source = source_of(values)
    target = target_of(source, "y", model)
    y, rows = target.values(source)
    assert target.classifies == classifies
    assert y.tolist()[: len(first)] == first
    assert type(y.tolist()[0]) is type(first[0])
    assert y.name == "y" and y.index.tolist() == list(source.lines)
    np.testing.assert_array_equal(rows, np.arange(len(values)))


def test_rows_without_a_target_and_classes_of_one_row_are_said():
    source = source_of(["no", "", "yes", "?", "no", "maybe", "yes", "no"])
    target = target_of(source, "y", "auto")
    y, rows = target.values(source)
    assert y.tolist() == ["no", "yes", "no", "maybe", "yes", "no"]
    assert rows.tolist() == [0, 2, 4, 5, 6, 7]
    assert notes_on_target(source, target, y, rows) == [
        "standard input: 2 rows without a 'y' left out (lines 3, 5).",
        "standard input: one row alone has the class 'maybe' (line 7); it stays in training.",
    ]


def test_words_among_many_numbers_are_missing():
    source = source_of([*(f"{k}.5" for k in range(N)), "n/k"])
    y, rows = target_of(source, "y", "auto").values(source)
    assert len(y) == N and rows[-1] == N - 1


REFUSED = {
    "one class": (["yes"] * N, "auto", "column 'y': one class alone, 'yes', in 40 rows"),
    "one value": ([2.5] * N, "auto", "column 'y': one value alone, '2.5', in 40 rows"),
    "nothing": ([""] * N, "auto", "column 'y': all 40 values are missing"),
    "names": ([f"name {k}" for k in range(N)], "auto", r"40 different classes in 40 rows \(line 2"),
    "dates": ([f"2024-01-{k % 28 + 1:02d}" for k in range(N)], "auto", "classes|dates"),
    "continuous": ([k / 8 for k in range(N)], "logistic", "40 different numbers.*--model ridge"),
    "words": (["no", "yes"] * 20, "ridge", "2 classes such as 'no', 'yes'.*--model logistic"),
    "negative": ([1, 2, -3, 4] * 10, "poisson", "column 'y', line 4: -3; .* counts, 0 or more"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_predicted(case):
    values, model, message = REFUSED[case]
    with pytest.raises(Refusal, match=message):
        target_of(source_of(values), "y", model)


def test_columns_that_are_not_there():
    source = source_of([1, 2] * 20, header="outcome")
    with pytest.raises(Refusal, match=r"no column 'outcom'. Near it: 'outcome'"):
        target_of(source, "outcom", "auto")
    with pytest.raises(Refusal, match=r"no column 'zzz'; there are 'a', 'outcome'"):
        target_of(source, "zzz", "auto")
