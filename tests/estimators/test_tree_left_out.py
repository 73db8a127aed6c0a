"""Rows without themselves under trees: probabilities, no decisions, the Brier score."""

import numpy as np
import pytest
from sklearn.base import clone

from skinfluence import InfluenceClassifier
from skinfluence.inspection import LeaveOneOut
from tests.plain_trees import encoded, refit
from tests.test_plain_trees import CASES, LABELS, THREE

ROWS = np.arange(0, 160, 8)


def left_out_of(name, method="exact"):
    """Return the answer, and the raw predictions of some rows without themselves by plain loops."""
    estimator, X, y, w = CASES[name]
    model = InfluenceClassifier(clone(estimator)).fit(X, y, sample_weight=w)
    found = model.leave_one_out(method=method)
    fitted = model.estimator_
    each = [refit(fitted, X, y, w, removed=[i])(X[[i]])[0] for i in ROWS]
    return found, np.array(each), encoded(fitted, y)[ROWS]


@pytest.mark.parametrize("name", ["forest of classes", "bagging of classes", "extra tree"])
def test_forests_have_probabilities_and_no_decisions(name, tmp_path):
    found, p, t = left_out_of(name)
    labels = LABELS if name == "extra tree" else THREE
    assert found.decisions is None and found.loss == "half Brier score"
    np.testing.assert_allclose(found.probabilities[ROWS], p, atol=1e-12)
    assert found.probabilities.shape == (160, p.shape[1])
    np.testing.assert_allclose(found.losses[ROWS], 0.5 * ((p - t) ** 2).sum(axis=1), atol=1e-12)
    classes = np.unique(labels)
    assert found.predictions[ROWS].tolist() == classes[p.argmax(axis=1)].tolist()
    assert found.classes.tolist() == classes.tolist()
    found.save(tmp_path / "kept.npz")
    assert LeaveOneOut.load(tmp_path / "kept.npz").decisions is None
    given = found.to_frame().sort_values("position")["probability"].to_numpy()
    np.testing.assert_allclose(given[ROWS], (p * t).sum(axis=1), atol=1e-12)


def test_forests_of_several_outputs():
    found, p, t = left_out_of("forest of outputs")
    assert found.decisions is None and found.probabilities.shape == (160, 5)
    np.testing.assert_allclose(found.probabilities[ROWS], p, atol=1e-12)
    np.testing.assert_allclose(found.losses[ROWS], 0.5 * ((p - t) ** 2).sum(axis=1), atol=1e-12)
    best = [np.array(["a", "b", "c"])[p[:, :3].argmax(1)], np.array(["a", "b"])[p[:, 3:].argmax(1)]]
    assert found.predictions[ROWS].tolist() == np.column_stack(best).tolist()
    given = np.column_stack([(p * t)[:, :3].sum(axis=1), (p * t)[:, 3:].sum(axis=1)])
    np.testing.assert_allclose(found.given_probabilities[ROWS], given, atol=1e-12)
    assert found.classes is None and found.output_labels.tolist() == ["output 0", "output 1"]


@pytest.mark.parametrize("name", ["boosting of classes", "exponential"])
def test_boosting_has_both(name):
    found, raw, _ = left_out_of(name)
    np.testing.assert_allclose(found.decisions.reshape(160, -1)[ROWS], raw, atol=1e-10)
    if name == "exponential":
        p = 1.0 / (1.0 + np.exp(-2.0 * raw[:, 0]))
        np.testing.assert_allclose(found.probabilities[ROWS, 1], p, rtol=1e-9)
        signs = np.where(LABELS[ROWS] == "b", 1.0, -1.0)
        np.testing.assert_allclose(found.losses[ROWS], np.exp(-signs * raw[:, 0]), rtol=1e-9)
