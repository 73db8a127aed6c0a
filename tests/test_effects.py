"""Targets against scikit-learn's own predictions, and the streamed and summed scores."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.objectives import base
from tests import oracles
from tests.cases import BINARY, REALS, THREE, regression

ROWS = np.arange(0, 60, 7)


def refits(estimator, data):
    full = oracles.tight(estimator, data.X, data.y)
    kept = [np.delete(np.arange(len(data.X)), i) for i in ROWS]
    return full, [oracles.tight(estimator, data.X[k], data.y[k]) for k in kept]


def agree(scores, actual, tolerance=0.04):
    slope, error = oracles.slope_and_error(scores[:, ROWS], actual)
    assert error < tolerance
    assert abs(slope - 1) < tolerance


def test_the_sign_by_eye():
    """Two clusters and one mislabelled row: removing it lowers the loss of a test row beside it."""
    X = np.array([[-2.0], [-1.5], [-1.0], [1.0], [1.5], [2.0], [1.2]])
    y = np.array([0, 0, 0, 1, 1, 1, 0])  # the last row is wrong
    model = InfluenceClassifier(LogisticRegression(tol=1e-8)).fit(X, y)
    scores = model.influence_scores([[1.3]], [1])[0]
    assert scores[6] < 0, "the mislabelled row harms: without it the loss falls"
    assert scores[4] > 0, "a neighbour of the same class helps: without it the loss rises"
    without = LogisticRegression(tol=1e-8).fit(X[:6], y[:6])
    p_without, p_with = (m.predict_proba([[1.3]])[0, 1] for m in (without, model.estimator_))
    assert p_without > p_with


@pytest.mark.parametrize("data", [BINARY, THREE], ids=["binary", "three"])
@pytest.mark.parametrize("given", [True, False], ids=["y_test", "predicted"])
@pytest.mark.parametrize("target", ["decision_function", "predict_proba"])
def test_classifier_targets_equal_refits(data, given, target):
    estimator = LogisticRegression(C=0.3, tol=1e-8)
    model = InfluenceClassifier(estimator).fit(data.X, data.y)
    y_test = data.y_test if given else None
    scores = model.influence_scores(data.X_test, y_test, target=target)
    full, others = refits(estimator, data)
    labels = data.y_test if given else full.predict(data.X_test)
    column = np.searchsorted(full.classes_, labels)

    def read(fitted):
        values = getattr(fitted, target)(data.X_test)
        if values.ndim == 1:  # binary decisions are those of classes_[1], whatever y_test says
            return values
        return values[np.arange(len(column)), column]

    agree(scores, np.column_stack([read(one) - read(full) for one in others]))


@pytest.mark.parametrize("target", ["decision_function", "predict_proba"])
@pytest.mark.parametrize("data", [BINARY, THREE], ids=["binary", "three"])
def test_first_order_is_the_linear_part_of_newton(data, target):
    """With a thousand times the rows, Newton and first order agree to a part in a thousand."""
    X, y = np.tile(data.X, (400, 1)), np.tile(data.y, 400)
    model = InfluenceClassifier(LogisticRegression(C=0.3, tol=1e-8)).fit(X, y)
    first = model.influence_scores(data.X_test, target=target, method="first_order")[:, :60]
    newton = model.influence_scores(data.X_test, target=target, method="newton")[:, :60]
    assert np.linalg.norm(first - newton) < 2e-3 * np.linalg.norm(newton)


@pytest.mark.parametrize("target", ["predict", "linear_predictor"])
@pytest.mark.parametrize("output", [0, 2, -1])
def test_regressor_targets_equal_refits(target, output):
    estimator = Ridge(alpha=5.0)
    model = InfluenceRegressor(estimator).fit(REALS.X, REALS.y)
    scores = model.influence_scores(REALS.X_test, target=target, output=output)
    full, others = refits(estimator, REALS)
    base_values = full.predict(REALS.X_test)
    actual = np.column_stack([(o.predict(REALS.X_test) - base_values)[:, output] for o in others])
    agree(scores, actual, 1e-9)


def test_outputs_have_to_be_named():
    model = InfluenceRegressor(Ridge()).fit(REALS.X, REALS.y)
    with pytest.raises(ValueError, match=r"has 3 outputs; say which one .* output=0 to 2"):
        model.influence_scores(REALS.X_test, target="predict")
    with pytest.raises(ValueError, match=r"output=3 was given; the model has the outputs 0 to 2"):
        model.influence_scores(REALS.X_test, target="predict", output=3)


@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_sums_and_streams_equal_the_matrix(method, monkeypatch):
    model = InfluenceClassifier(LogisticRegression(C=0.3, tol=1e-8), method=method)
    model.fit(THREE.X, THREE.y)
    matrix = model.influence_scores(THREE.X_test, THREE.y_test)
    # Tiny blocks: every seam between blocks of training and of test rows is crossed.
    monkeypatch.setattr(base, "BLOCK_ELEMENTS", 64)
    blocked = model.influence_scores(THREE.X_test, THREE.y_test)
    np.testing.assert_allclose(blocked, matrix, rtol=1e-9, atol=1e-13)
    for name, reduce in (("mean", np.mean), ("sum", np.sum)):
        total = model.influence_scores(THREE.X_test, THREE.y_test, aggregate=name)
        np.testing.assert_allclose(total, reduce(matrix, axis=0), rtol=1e-9, atol=1e-12)
    scorer = model._scorer(THREE.X_test, THREE.y_test, target="loss", method=None, output=None)
    rows = np.array([50, 3, 17])
    some = scorer.matrix(np.float64, rows)
    np.testing.assert_allclose(some, matrix[:, rows], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(scorer.norms(), np.linalg.norm(matrix, axis=0), rtol=1e-9)
    top = model.influence(THREE.X_test, THREE.y_test, top=4)
    order = np.argsort(-matrix, axis=1)
    np.testing.assert_array_equal(top.rows[:, :4], order[:, :4])
    np.testing.assert_array_equal(top.rows[:, 4:], order[:, -4:])
    np.testing.assert_allclose(
        top.scores, np.take_along_axis(matrix, top.rows, axis=1), rtol=1e-9, atol=1e-13
    )


def test_streaming_with_more_than_there_is_keeps_everything():
    data = regression(n=6)
    model = InfluenceRegressor().fit(data.X, data.y)
    top = model.influence(data.X_test, data.y_test, top=50)
    assert top.scores.shape == (12, 12)
    np.testing.assert_array_equal(top.helpful(6)[:, ::-1], top.harmful(6))
