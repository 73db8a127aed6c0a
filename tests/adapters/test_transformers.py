"""Transformers that make features of rows: kernels approximated, splines, words."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.model_table import BINARY, COUNTED, REAL

rng = np.random.default_rng(0)
WORDS = ["tax", "vote", "bank", "law", "court", "goal", "team", "score", "match", "player"]
ABOUT = rng.integers(0, 2, 72)
TEXTS = [
    " ".join(rng.choice(WORDS, 8, p=(np.arange(10) + 2.0 if one else 11.0 - np.arange(10)) / 65))
    for one in ABOUT
]
TIGHT = {"tol": 1e-12, "max_iter": 10_000}
POISSON = PoissonRegressor(alpha=0.05, solver="newton-cholesky", tol=1e-12)

# transformer, final step, (X, y, X_test, y_test), relative error of one Newton step
IN_FRONT = {
    "RBFSampler-logistic": (
        RBFSampler(gamma=0.2, n_components=15, random_state=0),
        LogisticRegression(C=3.0, solver="newton-cholesky", **TIGHT),
        (BINARY.X, BINARY.y, BINARY.X_test, BINARY.y_test),
        0.2,
    ),
    "Nystroem-ridge": (
        make_pipeline(StandardScaler(), Nystroem(gamma=0.2, n_components=12, random_state=0)),
        Ridge(0.5, solver="svd"),
        (REAL.X, REAL.y, REAL.X_test, REAL.y_test),
        1e-9,
    ),
    "Spline-poisson": (
        make_column_transformer((SplineTransformer(n_knots=4), [0, 1]), (StandardScaler(), [2, 3])),
        POISSON,
        (COUNTED.X, COUNTED.y, COUNTED.X_test, COUNTED.y_test),
        0.1,
    ),
    "Tfidf-machine": (
        TfidfVectorizer(),
        LinearSVC(C=0.5, dual=False, random_state=0, **TIGHT),
        (TEXTS[:60], ABOUT[:60], TEXTS[60:], ABOUT[60:]),
        0.1,
    ),
}
ROWS = [0, 7, 19, 33, 52]


def fitted(name):
    transformer, final, (X, y, _, _), _ = IN_FRONT[name]
    kind = InfluenceClassifier if is_classifier(final) else InfluenceRegressor
    alone = clone(transformer).fit(X, y)
    model = kind(make_pipeline(clone(transformer), clone(final))).fit(X, y)
    return model, kind(clone(final)).fit(alone.transform(X), y), alone


@pytest.mark.parametrize("name", IN_FRONT)
def test_scores_are_those_of_the_final_step_on_its_features(name):
    model, alone, transformer = fitted(name)
    _, _, (_, _, X_test, y_test), _ = IN_FRONT[name]
    Z_test = transformer.transform(X_test)
    assert sparse.issparse(Z_test) == name.startswith("Tfidf")
    for method in ("first_order", "newton", "exact"):
        found = model.influence_scores(X_test, y_test, method=method)
        expected = alone.influence_scores(Z_test, y_test, method=method)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", IN_FRONT)
def test_scores_against_refits_of_the_final_step(name):
    model, _, transformer = fitted(name)
    _, final, (X, y, X_test, _), newton_error = IN_FRONT[name]
    Z, Z_test = transformer.transform(X), transformer.transform(X_test)
    target = "decision_function" if is_classifier(final) else "predict"

    def response(kept):
        return getattr(clone(final).fit(Z[kept], y[kept]), target)(Z_test)

    everything = np.arange(60)
    base = response(everything)
    actual = np.array([response(np.delete(everything, i)) - base for i in ROWS]).T
    labels = None
    if is_classifier(final):  # of the second class, whatever is predicted
        labels = np.full(len(base), model.classes_[1])
    for method, error in (("newton", newton_error), ("exact", 1e-6)):
        found = model.influence_scores(X_test, labels, target=target, method=method)[:, ROWS]
        assert np.linalg.norm(found - actual) <= error * np.linalg.norm(actual)
    left = model.without(ROWS).estimator_
    np.testing.assert_allclose(
        getattr(left, target)(X_test), response(np.delete(everything, ROWS)), rtol=1e-6, atol=1e-8
    )


def test_the_whole_pipeline_is_refitted_where_that_is_asked_for():
    """Knots move with the quantiles of the rows that are left."""
    X, y, X_test, y_test = REAL.X, REAL.y, REAL.X_test, REAL.y_test
    knots = SplineTransformer(n_knots=4, knots="quantile", extrapolation="linear")
    pipeline = make_pipeline(knots, Ridge(0.5, solver="svd"))
    model = InfluenceRegressor(pipeline).fit(X, y)
    found = model.leave_one_out_check(X_test, y_test, rows=ROWS, target="predict", refit="pipeline")

    def response(kept):
        return clone(pipeline).fit(X[kept], y[kept]).predict(X_test)

    base = response(np.arange(60))
    actual = [response(np.delete(np.arange(60), i)) - base for i in ROWS]
    np.testing.assert_allclose(found.actual, np.transpose(actual), rtol=1e-6, atol=1e-9)
