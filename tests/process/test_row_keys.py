"""Rows with the same values have the same key, whatever they lie in."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from skinfluence.process.row_keys import row_keys

X = np.array([[0.0, 1.0], [-0.0, 1.0], [np.nan, 2.0], [np.nan, 2.0], [0.0, 2.0]])
SAME = [(0, 1), (2, 3)]


def assert_same(rows, same=SAME, n=5):
    keys = row_keys(rows)
    assert len(keys) == n
    for i in range(n):
        for j in range(n):
            expected = i == j or (i, j) in same or (j, i) in same
            assert (keys[i] == keys[j]) == expected, (i, j)
            assert not expected or hash(keys[i]) == hash(keys[j])


@pytest.mark.parametrize(
    "of",
    [
        np.asarray,
        np.asfortranarray,
        lambda X: X.astype(np.float32),
        lambda X: X.astype(object),
        lambda X: X.tolist(),
        pd.DataFrame,
        lambda X: pd.DataFrame(X).astype(object),
        lambda X: pd.DataFrame(X).astype("Float64"),
        sparse.csr_matrix,
        sparse.csc_array,
    ],
)
def test_negative_zeros_and_what_is_missing(of):
    assert_same(of(X))


def test_numbers_and_other_columns():
    frame = pd.DataFrame(
        {
            "n": [1, 1, 2, 2, 1],
            "text": ["a", "a", None, np.nan, "b"],
            "day": pd.to_datetime(["2020-01-01", "2020-01-01", None, None, "2020-01-01"]),
            "kind": pd.Categorical(["u", "u", "v", "v", "u"]),
        }
    )
    assert_same(frame)
    assert_same(frame["text"], [(0, 1), (2, 3)])


def test_integers_are_numbers():
    assert row_keys(np.array([[1, 2]])) == row_keys(np.array([[1.0, 2.0]]))
    assert row_keys(np.array([1, 2])) == row_keys(pd.Series([1.0, 2.0]))


def test_texts_and_records():
    assert_same(["a", "a", "", "", "b"])
    records = [{"a": 1, "b": "x"}, {"b": "x", "a": 1}, {"a": None}, {"a": np.nan}, {"b": 2}]
    assert_same(records)
    assert_same([["a", [1]], ["a", [1]], ["b", [2]], ["b", [2]], ["a", [2]]])


def test_explicit_zeros_of_a_sparse_matrix():
    twice = sparse.coo_array(([1.0, 1.0, 0.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert row_keys(twice) == row_keys(sparse.csr_array([[0.0, 2.0], [0.0, 0.0]]))


def test_a_library_that_is_not_pandas():
    polars = pytest.importorskip("polars")
    assert_same(polars.DataFrame({"a": [1, 1, 2, 2, 1], "b": ["x", "x", None, None, "y"]}))
