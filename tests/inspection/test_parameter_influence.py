"""Changes of coefficients as tables, text, pictures and files."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection import ParameterInfluence, Result
from tests.cases import REAL, THREE

COLUMNS = ["age", "income", "debt", "years"]
PEOPLE = pd.DataFrame(REAL.X, columns=COLUMNS, index=[f"p{i}" for i in range(len(REAL.X))])
Y = pd.Series(REAL.y, name="price", index=PEOPLE.index)


@pytest.fixture(scope="module")
def model():
    return InfluenceRegressor(Ridge(solver="svd")).fit(PEOPLE, Y)


def changes_by_refits(rows):
    """Return the changes of coefficients and intercept without each of some rows."""
    full = Ridge(solver="svd").fit(REAL.X, REAL.y)
    out = []
    for i in rows:
        one = Ridge(solver="svd").fit(np.delete(REAL.X, i, 0), np.delete(REAL.y, i))
        out.append(np.append(one.coef_ - full.coef_, one.intercept_ - full.intercept_))
    return np.array(out)


def test_the_frame_is_wide_and_in_the_order_of_the_changes(model):
    frame = model.parameter_influence().to_frame()
    assert frame.columns.tolist() == ["row", "position", *COLUMNS, "intercept"]
    assert len(frame) == len(PEOPLE)
    assert frame["row"].tolist() == [f"p{i}" for i in frame["position"]]
    expected = changes_by_refits(range(len(PEOPLE)))
    np.testing.assert_allclose(frame.iloc[:, 2:], expected[frame["position"]], rtol=1e-7, atol=1e-9)
    sizes = np.linalg.norm(expected / np.sqrt(np.mean(expected**2, axis=0)), axis=1)
    assert frame["position"].tolist() == np.argsort(-sizes, kind="stable").tolist()


def test_one_coefficient_by_the_size_of_its_change(model):
    influence = model.parameter_influence(coefficients="debt")
    frame = influence.to_frame(k=3, columns=["debt", "price"])
    assert frame.columns.tolist() == ["row", "position", "debt", "debt_train", "price"]
    expected = changes_by_refits(range(len(PEOPLE)))[:, 2]
    top = np.argsort(-np.abs(expected))[:3]
    assert frame["position"].tolist() == top.tolist()
    np.testing.assert_allclose(frame["debt"], expected[top], rtol=1e-7)
    assert frame["debt_train"].tolist() == PEOPLE["debt"].iloc[top].tolist()
    assert frame["price"].tolist() == Y.iloc[top].tolist()


def test_as_an_array_it_is_what_it_was(model):
    influence = model.parameter_influence()
    assert np.asarray(influence).shape == (60, 5)
    np.testing.assert_allclose(np.asarray(influence)[[3, 8]], changes_by_refits([3, 8]), rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(influence), influence.changes)


def test_the_text_shows_the_top_of_the_answer(model):
    text = repr(model.parameter_influence(coefficients="debt")).splitlines()
    value = model.estimator_.coef_[2]
    assert text[0] == (
        "ParameterInfluence: removing each of 60 training rows on the coefficient debt, "
        f"{value:.4g} (method newton)."
    )
    assert text[1].split() == ["row", "position", "change"]
    top = np.abs(changes_by_refits(range(60))[:, 2]).argmax()
    assert text[2].split()[:2] == [f"p{top}", str(top)]
    assert len(text) == 13
    several = repr(model.parameter_influence())
    assert "5 coefficients (method newton)" in several and "intercept" in several
    html = model.parameter_influence()._repr_html_()
    assert "<script" not in html and "intercept" in html


def test_it_is_written_and_read(model, tmp_path):
    influence = model.parameter_influence(coefficients=["age", "intercept"])
    influence.save(tmp_path / "influence.npz")
    for read in (Result.load(tmp_path / "influence.npz"),
                 ParameterInfluence.from_json(influence.to_json())):  # fmt: skip
        assert isinstance(read, ParameterInfluence) and repr(read) == repr(influence)
        np.testing.assert_array_equal(read.changes, influence.changes)
        np.testing.assert_array_equal(read.values, influence.values)
        assert read.coefficients.tolist() == ["age", "intercept"]
        assert read.row_labels.tolist() == PEOPLE.index.tolist()


def test_a_picture_of_one_coefficient():
    pytest.importorskip("matplotlib").use("agg")
    model = InfluenceClassifier(LogisticRegression(max_iter=1000)).fit(THREE.X, THREE.y)
    influence = model.parameter_influence()
    display = influence.plot("c: x1", k=4)
    bars = [bar.get_width() for bar in display.ax_.patches]
    at = influence.coefficients.tolist().index("c: x1")
    top = np.argsort(-np.abs(influence.changes[:, at]), kind="stable")[:4]
    np.testing.assert_allclose(bars, influence.changes[top, at])
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == [str(i) for i in top]
    assert display.ax_.get_title().startswith("c: x1 = ")
    assert influence.plot(at, k=4).ax_.get_title() == display.ax_.get_title()
    for wrong in ("x9", 99):
        with pytest.raises(ValueError, match=rf"coefficient={wrong!r} was given; names such as"):
            influence.plot(wrong)
