"""Several rows with other targets at once, against refits by scikit-learn."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.linear_model import Lasso, LogisticRegression, PoissonRegressor, Ridge

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.questions.editing import relabelled
from skinfluence.removal import Edits
from tests.cases import BINARY, REAL, REALS, THREE
from tests.model_table import COUNTED, SPARSE

TIGHT = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}
MODELS = {
    "two classes": (LogisticRegression(**TIGHT), BINARY),
    "three classes": (LogisticRegression(**TIGHT), THREE),
    "weights that move": (LogisticRegression(class_weight="balanced", **TIGHT), THREE),
    "fixed weights": (LogisticRegression(class_weight={"no": 3.0, "yes": 0.5}, **TIGHT), BINARY),
    "without a penalty": (LogisticRegression(C=np.inf, **TIGHT), BINARY),
    "ridge": (Ridge(solver="svd"), REAL),
    "three targets": (Ridge(solver="svd"), REALS),
    "counts": (PoissonRegressor(alpha=0.1, **TIGHT), COUNTED),
    "l1": (Lasso(0.1, tol=1e-14, max_iter=100_000), SPARSE),
}
GROUPS = [[3], [0, 5, 7, 20], list(range(10, 22))]


def others_than(y):
    """Return the next class, or the target of another row plus one."""
    if y.dtype.kind == "U":
        classes = np.unique(y)
        return classes[(np.searchsorted(classes, y) + 1) % len(classes)]
    return np.roll(y, 7, axis=0) + 1.0


def mechanism_and_changes(estimator, data, method, weights=None):
    wrapper = InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor
    model = wrapper(clone(estimator)).fit(data.X, data.y, weights)
    y_new = others_than(data.y)
    fitted = model._current()
    mechanism = fitted.mechanism(method)
    coming = mechanism.at_reference(relabelled(fitted, y_new))
    masks = sparse.csr_matrix([np.isin(np.arange(len(data.X)), rows) for rows in GROUPS])
    changes = mechanism.groups(masks, np.arange(3), method, coming)
    return mechanism, changes, y_new


def parameters(estimator):
    """Return theta: class-major, the intercept last in each block."""
    coef = np.atleast_2d(estimator.coef_)
    return np.column_stack([coef, np.atleast_1d(estimator.intercept_)]).ravel()


@pytest.mark.parametrize("method", ["newton", "exact"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_changes_are_those_of_refits(name, weighted, method):
    estimator, data = MODELS[name]
    s = data.s if weighted else None
    mechanism, changes, y_new = mechanism_and_changes(estimator, data, method, s)
    D = mechanism.in_all_parameters(changes.changes(np.arange(3)).T, changes)
    full = parameters(clone(estimator).fit(data.X, data.y, sample_weight=s))
    np.testing.assert_allclose(mechanism.reference.theta, full, rtol=1e-6, atol=1e-7)
    for change, rows in zip(D, GROUPS, strict=True):
        y = data.y.copy()
        y[rows] = y_new[rows]
        expected = parameters(clone(estimator).fit(data.X, y, sample_weight=s)) - full
        off = np.linalg.norm(change - expected) / np.linalg.norm(expected)
        assert off < 1e-6, rows


@pytest.mark.parametrize("name", ["two classes", "three classes", "ridge", "counts"])
def test_first_order_is_a_sum(name):
    """And the derivative of moving the weight of the rows from the old targets to the new."""
    estimator, data = MODELS[name]
    mechanism, changes, y_new = mechanism_and_changes(estimator, data, "first_order")
    assert changes.linear and changes.method == "first_order"
    D = changes.changes(np.arange(3))
    coming = mechanism.at_reference(mechanism.reference.on(data.X, y_new))
    if name != "counts":  # whose rows weigh what they weigh in a mean
        single = mechanism.edits(Edits(mechanism.reference, coming=coming), "first_order")
        for j, rows in enumerate(GROUPS):
            np.testing.assert_allclose(D[:, j], single.changes(np.array(rows)).sum(axis=1))
    X, y, t = np.vstack([data.X, data.X]), np.concatenate([data.y, y_new]), 1e-6
    start, w = parameters(clone(estimator).fit(data.X, data.y)), np.repeat([1.0, 0.0], len(data.X))
    for j, rows in enumerate(GROUPS):
        moved = w.copy()
        moved[rows] -= t
        moved[len(data.X) + np.array(rows)] += t
        slope = (parameters(clone(estimator).fit(X, y, sample_weight=moved)) - start) / t
        assert np.linalg.norm(D[:, j] - slope) < 1e-4 * np.linalg.norm(slope)


def test_sets_without_an_optimum_are_named():
    data = BINARY
    model = InfluenceClassifier(LogisticRegression(C=np.inf, **TIGHT)).fit(data.X, data.y)
    sorted_out = np.where(data.X[:, 0] > 0, "yes", "no")
    fitted = model._current()
    mechanism = fitted.mechanism("newton")
    coming = mechanism.at_reference(relabelled(fitted, sorted_out))
    masks = sparse.csr_matrix(np.ones((1, len(data.X)), dtype=bool))
    changes = mechanism.groups(masks, np.array(["the worst"], dtype=object), "newton", coming)
    with pytest.raises(ValueError, match="With the new targets of the worst no finite optimum"):
        changes.changes(np.array([0]))
