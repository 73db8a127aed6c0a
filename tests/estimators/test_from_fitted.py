"""A wrapper around an estimator that is fitted already, and what one says that was not fitted."""

import re

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.cases import BINARY, REAL, REALS, THREE
from tests.model_table import COUNTED

TIGHT = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}


def logistic(**params):
    return LogisticRegression(**{**TIGHT, **params})


def pipeline():
    return make_pipeline(StandardScaler(), logistic(C=0.3))


FITTED = {
    "logistic": (logistic(), BINARY),
    "three classes": (logistic(C=0.3), THREE),
    "pipeline": (pipeline(), BINARY),
    "search": (GridSearchCV(pipeline(), {"logisticregression__C": [0.1, 1.0]}), BINARY),
    "ridge": (Ridge(solver="svd"), REALS),
    "counts": (PoissonRegressor(**TIGHT), COUNTED),
    "transformed target": (
        TransformedTargetRegressor(Ridge(solver="svd"), transformer=StandardScaler()),
        REAL,
    ),
    "one versus the rest": (OneVsRestClassifier(logistic()), THREE),
    "linear machine": (LinearSVC(dual=False, tol=1e-12, max_iter=10000), BINARY),
    "machine": (SVC(tol=1e-8), BINARY),
}
models = pytest.mark.parametrize("name", FITTED)


def kind_of(estimator):
    return InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor


def fitted(name):
    estimator, data = FITTED[name]
    return clone(estimator).fit(data.X, data.y), data


@models
def test_answers_are_those_of_a_wrapper_that_fits_itself(name):
    estimator, data = fitted(name)
    kind = kind_of(estimator)
    model = kind.from_fitted(estimator, data.X, data.y)
    other = kind(clone(estimator)).fit(data.X, data.y)
    tests = data.X_test, data.y_test
    expected = other.influence_scores(*tests)
    np.testing.assert_allclose(
        model.influence_scores(*tests), expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max()
    )
    np.testing.assert_array_equal(model.predict(data.X_test), estimator.predict(data.X_test))
    expected = other.leave_one_out().losses
    np.testing.assert_allclose(model.leave_one_out().losses, expected, rtol=1e-6, atol=1e-9)


@models
def test_the_estimator_is_neither_fitted_nor_copied(name, monkeypatch):
    estimator, data = fitted(name)

    def refuse(*args, **kwargs):
        raise AssertionError("fitted, though it was fitted already")

    monkeypatch.setattr(type(estimator), "fit", refuse)
    model = kind_of(estimator).from_fitted(estimator, data.X, data.y)
    assert model.estimator_.estimator is estimator
    assert not hasattr(model, "solver_")
    assert not hasattr(model, "refinement_")


def test_weights_are_those_of_the_fit():
    weighted = logistic(C=0.3).fit(BINARY.X, BINARY.y, BINARY.s)
    model = InfluenceClassifier.from_fitted(weighted, BINARY.X, BINARY.y, BINARY.s)
    other = InfluenceClassifier(logistic(C=0.3)).fit(BINARY.X, BINARY.y, BINARY.s)
    np.testing.assert_allclose(model.self_influence(), other.self_influence(), rtol=1e-6)
    double = InfluenceRegressor.from_fitted(
        Ridge().fit(REAL.X, REAL.y, 2.0 * np.ones(60)), REAL.X, REAL.y, 2.0
    )
    other = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y, 2.0)
    np.testing.assert_allclose(double.self_influence(), other.self_influence(), rtol=1e-8)
    without = InfluenceClassifier.from_fitted(weighted, BINARY.X, BINARY.y)
    with pytest.raises(ValueError, match="do not look like the rows, weights"):
        without.self_influence()


def test_frames_and_sparse_rows():
    X = pd.DataFrame(BINARY.X, columns=list("abcd"), index=[f"row {i}" for i in range(60)])
    model = InfluenceClassifier.from_fitted(pipeline().fit(X, BINARY.y), X, BINARY.y)
    assert model.feature_names_in_.tolist() == list("abcd")
    assert model.leave_one_out().row_labels[7] == "row 7"
    thin = sparse.csr_matrix(np.where(np.abs(BINARY.X) < 0.5, 0.0, BINARY.X))
    inner = logistic(solver="newton-cg").fit(thin, BINARY.y)
    dense = InfluenceClassifier(logistic()).fit(thin.toarray(), BINARY.y)
    found = InfluenceClassifier.from_fitted(inner, thin, BINARY.y).self_influence()
    np.testing.assert_allclose(found, dense.self_influence(), rtol=1e-6)


def test_a_frozen_estimator_stays_the_same():
    frozen = FrozenEstimator(logistic().fit(BINARY.X, BINARY.y))
    model = InfluenceClassifier.from_fitted(frozen, BINARY.X, BINARY.y)
    assert model.estimator_ is model.estimator is frozen


def test_parameters_are_those_of_the_wrapper():
    inner = logistic().fit(BINARY.X, BINARY.y)
    model = InfluenceClassifier.from_fitted(
        inner, BINARY.X, BINARY.y, method="first_order", solver="lu", damping=0.5
    )
    assert (model.method, model.solver, model.damping) == ("first_order", "lu", 0.5)
    copy = clone(model).fit(BINARY.X, BINARY.y)
    tests = BINARY.X_test, BINARY.y_test
    np.testing.assert_array_equal(copy.influence_scores(*tests), model.influence_scores(*tests))
    with pytest.raises(TypeError, match="unexpected keyword argument 'C'"):
        InfluenceClassifier.from_fitted(inner, BINARY.X, BINARY.y, C=3.0)


def test_with_metadata_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        inner = logistic().set_fit_request(sample_weight=True).fit(BINARY.X, BINARY.y, BINARY.s)
        model = InfluenceClassifier.from_fitted(inner, BINARY.X, BINARY.y, BINARY.s)
        found = model.self_influence()
    other = InfluenceClassifier(logistic()).fit(BINARY.X, BINARY.y, BINARY.s)
    np.testing.assert_allclose(found, other.self_influence(), rtol=1e-6)


@pytest.mark.parametrize(
    "estimator, error, message",
    [
        (logistic(), NotFittedError, "This LogisticRegression instance is not fitted yet"),
        (pipeline(), NotFittedError, "not fitted yet"),
        (Ridge().fit(REAL.X, REAL.y), TypeError, "Ridge, a regressor; use InfluenceRegressor"),
        (KNeighborsClassifier().fit(BINARY.X, BINARY.y), TypeError, "KNeighborsClassifier"),
        (logistic().fit(BINARY.X[:, :3], BINARY.y), ValueError, "features"),
    ],
)
def test_refused(estimator, error, message):
    with pytest.raises(error, match=message):
        InfluenceClassifier.from_fitted(estimator, BINARY.X, BINARY.y)


# --------------------------------------------------------------- a wrapper that was not fitted

ASKED = {
    "influence": lambda m: m.influence(BINARY.X, BINARY.y),
    "leave_one_out": lambda m: m.leave_one_out(),
    "predict": lambda m: m.predict(BINARY.X),
    "predict_proba": lambda m: m.predict_proba(BINARY.X),
    "predict_log_proba": lambda m: m.predict_log_proba(BINARY.X),
    "decision_function": lambda m: m.decision_function(BINARY.X),
    "score": lambda m: m.score(BINARY.X, BINARY.y),
}


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("name", ["logistic", "pipeline", "search"])
def test_the_way_to_a_fitted_inner_estimator_is_named(name, ask):
    estimator, _ = fitted(name)
    message = (
        f"This InfluenceClassifier instance is not fitted yet, but the {type(estimator).__name__} "
        "in it is: InfluenceClassifier.from_fitted(estimator, X, y) takes it as it is, with the "
        "rows it was fitted on. Call 'fit' to fit a copy of it."
    )
    with pytest.raises(NotFittedError, match=re.escape(message)):
        ASKED[ask](InfluenceClassifier(estimator))


@pytest.mark.parametrize("ask", ASKED)
def test_nothing_is_said_of_one_that_is_not_fitted_either(ask):
    message = r"^This InfluenceClassifier instance is not fitted yet\. Call 'fit'"
    for estimator in (None, logistic(), pipeline()):
        with pytest.raises(NotFittedError, match=message):
            ASKED[ask](InfluenceClassifier(estimator))
