"""The table of case diagnostics, from plain arrays and from a frame's rows."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection import Diagnostics
from tests.cases import REAL, REALS, THREE

COLUMNS = [
    "row",
    "position",
    "cooks_distance",
    "hat_diagonal",
    "studentized_residual",
    "internally_studentized_residual",
    "dffits",
    "cov_ratio",
    "largest_dfbetas",
    "most_changed",
    "guarded",
]


def diagnostics(**params):
    given = {
        "hat_diagonal": np.array([0.5, 0.25, 0.75, 0.5]),
        "internally_studentized_residuals": np.array([0.9, -2.5, 0.45, -0.4]),
        "studentized_residuals": np.array([1.0, -3.0, 0.5, -0.5]),
        "dffits": np.array([-0.4, 1.1, 0.2, 0.3]),
        "cov_ratio": np.array([1.2, 0.4, 2.0, 1.1]),
        "guarded_rows": np.array([1, 3]),
        "cooks_distance": np.array([0.1, 0.9, 0.1, 0.4]),
        "dfbetas": np.array([[0.1, -0.4], [0.8, 0.2], [0.0, 0.0], [-0.3, 0.1]]),
        "standard_errors": np.array([1.0, 2.0]),
        "scale": np.array([1.5]),
        "row_labels": np.array(["a", "b", "c", "d"]),
        "method": "newton",
        "dispersion": "family",
        "coefficients": np.array(["age", "intercept"], dtype=object),
    }
    return Diagnostics(**{**given, **params})


def test_table_has_the_largest_cooks_distance_first_and_ties_in_the_order_of_the_rows():
    frame = diagnostics().to_frame()
    assert frame.columns.tolist() == COLUMNS
    assert frame["row"].tolist() == ["b", "d", "a", "c"]
    assert frame["position"].tolist() == [1, 3, 0, 2]
    assert frame["cooks_distance"].tolist() == [0.9, 0.4, 0.1, 0.1]
    assert frame["hat_diagonal"].tolist() == [0.25, 0.5, 0.5, 0.75]
    assert frame["studentized_residual"].tolist() == [-3.0, -0.5, 1.0, 0.5]
    assert frame["internally_studentized_residual"].tolist() == [-2.5, -0.4, 0.9, 0.45]
    assert frame["dffits"].tolist() == [1.1, 0.3, -0.4, 0.2]
    assert frame["cov_ratio"].tolist() == [0.4, 1.1, 1.2, 2.0]
    assert frame["largest_dfbetas"].tolist() == [0.8, 0.3, 0.4, 0.0]
    assert frame["most_changed"].tolist() == ["age", "age", "intercept", "age"]
    assert frame["guarded"].tolist() == [True, True, False, False]


def test_rows_and_coefficients_without_a_number_do_not_hide_the_others():
    nan = np.nan
    frame = diagnostics(
        cooks_distance=np.array([0.1, nan, 0.3, 0.2]),
        dfbetas=np.array([[0.1, nan], [nan, nan], [-0.3, nan], [0.2, nan]]),
        dffits=np.array([[0.1, nan], [nan, nan], [nan, -0.3], [0.2, 0.1]]),
    ).to_frame()
    assert frame["row"].tolist() == ["c", "d", "a", "b"]
    np.testing.assert_array_equal(frame["largest_dfbetas"], [0.3, 0.2, 0.1, nan])
    np.testing.assert_array_equal(frame["dffits"], [-0.3, 0.2, 0.1, nan])


def test_several_outputs_are_one_line():
    """Hat diagonals are summed; of the residuals the largest in size keeps its sign."""
    frame = diagnostics(
        hat_diagonal=np.array([[0.5, 0.1], [0.25, 0.2], [0.75, 0.0], [0.5, 0.5]]),
        studentized_residuals=np.array([[1.0, -2.0], [-3.0, 2.5], [0.5, 0.0], [-0.5, 0.6]]),
    ).to_frame()
    assert frame["hat_diagonal"].tolist() == [0.45, 1.0, 0.6, 0.75]
    assert frame["studentized_residual"].tolist() == [-3.0, 0.6, -2.0, 0.5]


def test_table_with_dfbetas_by_the_name_of_the_coefficient():
    frame = diagnostics().to_frame(dfbetas=True)
    assert frame.columns.tolist() == [*COLUMNS, "dfbetas age", "dfbetas intercept"]
    assert frame["dfbetas age"].tolist() == [0.8, -0.3, 0.1, 0.0]


def test_picture_names_the_rows_with_the_largest_distances():
    ax = diagnostics().plot(k=2).ax_
    assert [text.get_text() for text in ax.texts] == ["b", "d"]
    (points,) = ax.collections
    np.testing.assert_array_equal(points.get_offsets()[1], [0.25, -2.5])  # internally studentised


def test_table_leaves_the_arrays_alone():
    found = diagnostics()
    frame = found.to_frame()
    frame.loc[2, "cooks_distance"] = 0.0
    assert found.cooks_distance.tolist() == [0.1, 0.9, 0.1, 0.4]


def test_table_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError):
        diagnostics().to_frame()


def test_rows_of_a_frame_keep_their_labels():
    days = pd.date_range("2024-01-01", periods=60)
    frame = pd.DataFrame(REAL.X, index=days, columns=list("pqrs"))
    found = InfluenceRegressor(LinearRegression()).fit(frame, REAL.y).diagnostics()
    table = found.to_frame().set_index("row")
    assert table.index[0] == days[found.cooks_distance.argmax()]
    assert sorted(table.index) == list(days)
    by_row = table.loc[days]
    np.testing.assert_array_equal(by_row["hat_diagonal"], found.hat_diagonal)
    np.testing.assert_array_equal(by_row["studentized_residual"], found.studentized_residuals)
    np.testing.assert_array_equal(by_row["largest_dfbetas"], np.abs(found.dfbetas).max(axis=1))


def test_rows_of_an_array_are_counted():
    found = InfluenceRegressor(LinearRegression()).fit(REAL.X, REAL.y).diagnostics()
    assert found.row_labels.tolist() == list(range(60))


@pytest.mark.parametrize(
    "model, data, K",
    [
        (InfluenceRegressor(Ridge()), REAL, 1),
        (InfluenceRegressor(Ridge()), REALS, 3),
        (InfluenceClassifier(LogisticRegression()), THREE, 3),
    ],
    ids=["one target", "three targets", "three classes"],
)
def test_shapes(model, data, K):
    found, n = model.fit(data.X, data.y).diagnostics(), len(data.X)
    each = (n,) if K == 1 else (n, K)
    assert found.hat_diagonal.shape == found.studentized_residuals.shape == each
    assert found.cooks_distance.shape == found.row_labels.shape == (n,)
    assert found.dfbetas.shape == (n, 5 * K)
    assert found.standard_errors.shape == found.coefficients.shape == (5 * K,)
    assert found.scale.shape == (K,)
    assert found.internally_studentized_residuals.shape == found.dffits.shape == each
    assert found.cov_ratio.shape == (n,)
    assert found.to_frame().shape == (n, 11)
