"""Derivatives in the features of training rows as tables, text, pictures and files."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection import InputInfluence, Result
from tests.cases import REAL, THREE

COLUMNS = ["age", "income", "debt", "years"]
PEOPLE = pd.DataFrame(REAL.X, columns=COLUMNS, index=[f"p{i}" for i in range(len(REAL.X))])
TESTS = pd.DataFrame(REAL.X_test[:3], columns=COLUMNS, index=["u", "v", "w"])


@pytest.fixture(scope="module")
def influence():
    model = InfluenceRegressor(Ridge(solver="svd")).fit(PEOPLE, REAL.y)
    return model.input_influence(TESTS, rows=["p7", "p3"], target="predict")


def difference(test, row, feature, h=1e-5):
    ends = []
    for step in (h, -h):
        X = REAL.X.copy()
        X[row, feature] += step
        ends.append(Ridge(solver="svd").fit(X, REAL.y).predict(REAL.X_test[[test]])[0])
    return (ends[0] - ends[1]) / (2 * h)


def test_the_frame_is_long_with_a_column_for_every_feature(influence):
    frame = influence.to_frame()
    assert frame.columns.tolist() == ["test", "row", "position", *COLUMNS]
    assert frame["test"].tolist() == ["u", "u", "v", "v", "w", "w"]
    assert frame["row"].tolist() == ["p7", "p3"] * 3
    assert frame["position"].tolist() == [7, 3] * 3
    line = frame[(frame["test"] == "v") & (frame["row"] == "p3")]
    expected = [difference(1, 3, j) for j in range(4)]
    np.testing.assert_allclose(line[COLUMNS].to_numpy()[0], expected, rtol=1e-5)
    own = influence.to_frame(columns="debt")
    assert own.columns.tolist()[-1] == "debt_train"
    assert own["debt_train"].tolist() == PEOPLE["debt"].iloc[[7, 3] * 3].tolist()


def test_as_an_array_it_is_what_it_was(influence):
    assert np.asarray(influence).shape == (3, 2, 4)
    assert np.asarray(influence)[1, 1, 2] == pytest.approx(difference(1, 3, 2), rel=1e-5)


def test_the_text_shows_the_largest(influence):
    text = repr(influence).splitlines()
    assert text[0] == (
        "InputInfluence: 4 features of 2 training rows on the prediction of 3 test rows."
    )
    t, i, j = np.unravel_index(np.abs(influence.derivatives).argmax(), (3, 2, 4))
    first = ["uvw"[t], ["p7", "p3"][i], str([7, 3][i]), COLUMNS[j]]
    assert text[2].split()[:4] == first
    assert "<script" not in influence._repr_html_() and COLUMNS[j] in influence._repr_html_()


def test_it_is_written_and_read(influence, tmp_path):
    influence.save(tmp_path / "influence.npz")
    for read in (Result.load(tmp_path / "influence.npz"),
                 InputInfluence.from_json(influence.to_json())):  # fmt: skip
        assert isinstance(read, InputInfluence) and repr(read) == repr(influence)
        np.testing.assert_array_equal(read.derivatives, influence.derivatives)
        assert read.features.tolist() == COLUMNS


def test_the_class_is_said():
    model = InfluenceClassifier(LogisticRegression(max_iter=1000)).fit(THREE.X, THREE.y)
    found = model.input_influence(THREE.X_test[:2], ["a", "c"], rows=[1], target="predict_proba")
    assert found.classes.tolist() == ["a", "c"]
    assert found.to_frame()["class"].tolist() == ["a", "c"] and "class" in repr(found)


def test_a_picture_of_a_pair_of_rows(influence):
    pytest.importorskip("matplotlib").use("agg")
    display = influence.plot("w", "p3", k=2)
    values = influence.derivatives[2, 1]
    order = np.argsort(-np.abs(values))[:2]
    np.testing.assert_allclose([bar.get_width() for bar in display.ax_.patches], values[order])
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names == [COLUMNS[j] for j in order]
    assert "p3" in display.ax_.get_xlabel() and "Test row w" in display.ax_.get_title()
    with pytest.raises(ValueError, match=r"test='z' was given, a label that no row has"):
        influence.plot("z")
