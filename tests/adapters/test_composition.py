"""Pipelines: which features and weights the final step was fitted on, and where test rows go."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    StandardScaler,
    TargetEncoder,
)

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import (
    features_of,
    final_step,
    fit_recorded,
    freezes_transformers,
    is_frozen,
)
from tests.cases import classification, regression

DATA = classification()
REAL = regression()

rng = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "city": rng.choice(["Oslo", "Rome", "Lima", "Cairo", "Perth"], 80),
        "size": rng.standard_normal(80) * 30 + 100,
        "age": rng.integers(0, 90, 80),
    },
    index=[f"house {i}" for i in range(80)],
)
PRICE = FRAME["size"] + 40.0 * (FRAME["city"] == "Rome") + 10 * rng.standard_normal(80)
DEAR = np.where(PRICE > 110.0, "dear", "cheap")


def tight(**params):
    return LogisticRegression(tol=1e-10, solver="newton-cholesky", **params)


def encoder():
    """Return a ColumnTransformer with a Pipeline inside."""
    return ColumnTransformer(
        [
            ("city", OneHotEncoder(sparse_output=False), ["city"]),
            ("numbers", make_pipeline(StandardScaler(), PolynomialFeatures(2)), ["size", "age"]),
        ]
    )


TARGET_ENCODER = ColumnTransformer(
    [("city", TargetEncoder(), ["city"]), ("size", StandardScaler(), ["size"])]
)
SCALED = StandardScaler().fit(REAL.X)

PIPELINES = {
    "column transformer": (make_pipeline(encoder(), Ridge()), FRAME, PRICE),
    "target encoder": (make_pipeline(TARGET_ENCODER, Ridge()), FRAME, PRICE),
    "nested": (
        make_pipeline(make_pipeline(StandardScaler()), make_pipeline(PCA(3), Ridge())),
        REAL.X,
        REAL.y,
    ),
    "passthrough": (Pipeline([("a", "passthrough"), ("b", None), ("c", Ridge())]), REAL.X, REAL.y),
    "one step": (make_pipeline(Ridge()), REAL.X, REAL.y),
    "frozen steps": (make_pipeline(FrozenEstimator(SCALED), PCA(3), Ridge()), REAL.X, REAL.y),
    "frames inside": (
        make_pipeline(encoder(), StandardScaler(), Ridge()).set_output(transform="pandas"),
        FRAME,
        PRICE,
    ),
}


@pytest.fixture
def received(monkeypatch):
    """Return a list of what `fit` of the final step was given."""
    given = []

    for kind in (Ridge, LogisticRegression):

        def spy(self, X, y, sample_weight=None, fit=kind.fit):
            given.append((X, y, sample_weight))
            return fit(self, X, y, sample_weight)

        monkeypatch.setattr(kind, "fit", spy)
    return given


# ---------------------------------------------------------------------- what was recorded in fit


@pytest.mark.parametrize("name", PIPELINES)
def test_training_features_are_those_the_final_step_received(name, received):
    pipeline, X, y = PIPELINES[name]
    training = fit_recorded(pipeline, X, y, {})
    ((X_given, y_given, weights),) = received
    assert training.X is X_given
    assert training.y is y_given
    assert training.sample_weight is weights is None
    assert isinstance(final_step(pipeline), Ridge)  # not what stood in for it
    if name != "target encoder":
        np.testing.assert_array_equal(features_of(pipeline, X), training.X)


def test_target_encoder_fits_on_other_features_than_it_transforms_to(received):
    pipeline = make_pipeline(TARGET_ENCODER, Ridge())
    model = InfluenceRegressor(pipeline).fit(FRAME, PRICE)
    X = received[0][0]
    transformed = model.estimator_[:-1].transform(FRAME)
    assert np.mean(np.abs(X[:, 0] - transformed[:, 0])) > 1.0
    alone = InfluenceRegressor(Ridge()).fit(X, PRICE)
    expected = alone.influence_scores(transformed[:7], PRICE[:7])
    np.testing.assert_allclose(model.influence_scores(FRAME[:7], PRICE[:7]), expected, rtol=1e-9)


def test_weights_that_reach_the_final_step(received):
    pipeline = make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), Ridge()))
    name = "pipeline__ridge__sample_weight"
    training = fit_recorded(pipeline, REAL.X, REAL.y, {name: REAL.s})
    assert training.sample_weight is received[0][2] is REAL.s


def test_the_final_step_is_put_back_where_fit_fails():
    pipeline = make_pipeline(StandardScaler(), make_pipeline(PCA(3), Ridge()))
    final = pipeline[-1][-1]
    with pytest.raises(ValueError, match="NaN"):
        fit_recorded(pipeline, REAL.X, np.full(60, np.nan), {})
    assert pipeline[-1][-1] is final


def test_cached_transformers(tmp_path, received):
    inner = Pipeline(
        [("scale", StandardScaler()), ("fit", Ridge())], memory=str(tmp_path / "cache")
    )
    for _ in range(2):  # the second from the cache
        model = InfluenceRegressor(inner).fit(REAL.X, REAL.y)
        scores = model.influence_scores(REAL.X_test, REAL.y_test)
    plain = InfluenceRegressor(make_pipeline(StandardScaler(), Ridge())).fit(REAL.X, REAL.y)
    np.testing.assert_array_equal(scores, plain.influence_scores(REAL.X_test, REAL.y_test))
    np.testing.assert_array_equal(received[1][0], received[0][0])
    check = model.leave_one_out_check(REAL.X_test, REAL.y_test, rows=3, refit="pipeline")
    assert check.noise_floor < 1e-8


# -------------------------------------------------------------------------- scores through them


@pytest.mark.parametrize("name", PIPELINES)
def test_scores_are_those_of_the_final_step_alone(name, received):
    pipeline, X, y = PIPELINES[name]
    y = np.asarray(y)
    model = InfluenceRegressor(pipeline)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X[20:], y[20:])
        scores = model.influence_scores(X[:9], y[:9])
    alone = InfluenceRegressor(Ridge()).fit(received[0][0], y[20:])
    expected = alone.influence_scores(features_of(model.estimator_, X[:9]), y[:9])
    np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-12)


def test_scores_of_a_frame_with_categories_against_refits():
    model = InfluenceClassifier(make_pipeline(encoder(), tight(C=0.3)))
    model.fit(FRAME[20:], DEAR[20:])
    X_test, y_test = FRAME[:20], DEAR[:20]
    check = model.leave_one_out_check(X_test, y_test, rows=[3, 41])
    design = model.estimator_[0].transform(FRAME)

    def loss(kept):
        p = tight(C=0.3).fit(design[20:][kept], DEAR[20:][kept]).predict_proba(design[:20])
        return -np.log(np.where(y_test == "dear", p[:, 1], p[:, 0]))

    kept = np.arange(60)
    actual = [loss(np.delete(kept, row)) - loss(kept) for row in (3, 41)]
    np.testing.assert_allclose(check.actual, np.transpose(actual), rtol=1e-6, atol=1e-9)
    assert check.relative_error < 0.1
    assert check.row_labels.tolist() == ["house 23", "house 61"]
    table = model.influence(X_test, y_test).to_frame(k=1)
    assert table["test"].tolist()[:4] == ["house 0", "house 0", "house 1", "house 1"]
    assert set(table["row"]) <= set(FRAME.index[20:])


TEXTS = [
    "the film was a joy from start to end",
    "a dull film with no plot and no joy",
    "great cast and a great story",
    "no story and a dull cast",
    "joy and wit in every scene",
    "every scene is dull and too long",
    "wit and charm and a great end",
    "too long with no charm at all",
]
PRAISE = [1, 0] * 4


@pytest.mark.parametrize("refit", ["final", "pipeline"])
def test_texts(refit):
    inner = make_pipeline(TfidfVectorizer(), LogisticRegression(C=3.0))
    model = InfluenceClassifier(inner).fit(TEXTS, PRAISE)
    assert not hasattr(model, "n_features_in_")
    scores = model.influence_scores(["a dull story", "wit and joy"], [0, 1])
    vectorizer, final = model.estimator_
    X = vectorizer.transform(TEXTS)
    assert sparse.issparse(X)
    alone = InfluenceClassifier(LogisticRegression(C=3.0)).fit(X.toarray(), PRAISE)
    X_test = vectorizer.transform(["a dull story", "wit and joy"]).toarray()
    expected = alone.influence_scores(X_test, [0, 1])
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-9)
    # a dull film, a dull cast and a dull scene are what says that "a dull story" is no praise
    influence = model.influence(["a dull story"], [0])
    assert set(influence.helpful(3)[0]) == {1, 3, 5}
    check = model.leave_one_out_check(["a dull story"], [0], rows=[3], refit=refit)
    kept = [text for i, text in enumerate(TEXTS) if i != 3]
    kept_praise = [praise for i, praise in enumerate(PRAISE) if i != 3]
    judge = make_pipeline(TfidfVectorizer(), tight(C=3.0))
    if refit == "final":
        judge = make_pipeline(FrozenEstimator(vectorizer), tight(C=3.0))
    losses = [
        -np.log(judge.fit(*rows).predict_proba(["a dull story"])[0, 0])
        for rows in ((kept, kept_praise), (TEXTS, PRAISE))
    ]
    np.testing.assert_allclose(check.actual, [[losses[0] - losses[1]]], rtol=1e-6)
    assert final.n_features_in_ == X.shape[1]


def test_frozen_scaler_is_neither_refitted_nor_weighted():
    other = StandardScaler().fit(REAL.X * 3 + 1)
    inner = make_pipeline(FrozenEstimator(other), Ridge())
    model = InfluenceRegressor(inner).fit(REAL.X, REAL.y, REAL.s)
    alone = InfluenceRegressor(Ridge()).fit(other.transform(REAL.X), REAL.y, REAL.s)
    expected = alone.influence_scores(other.transform(REAL.X_test), REAL.y_test)
    scores = model.influence_scores(REAL.X_test, REAL.y_test)
    np.testing.assert_allclose(scores, expected, rtol=1e-12)
    check = model.leave_one_out_check(REAL.X_test, REAL.y_test, rows=4, refit="pipeline")
    np.testing.assert_allclose(check.actual, check.actual_final, rtol=1e-6, atol=1e-12)
    assert check.relative_error < 1e-8


# --------------------------------------------------------------------------- what is inside what


def test_what_is_inside():
    ridge = Ridge()
    plain = make_pipeline(StandardScaler(), make_pipeline(PCA(), ridge))
    assert final_step(plain) is ridge
    assert final_step(FrozenEstimator(plain)) is ridge
    assert final_step(make_pipeline(PCA(), FrozenEstimator(plain))) is ridge
    assert final_step(ridge) is ridge
    frozen = FrozenEstimator(ridge)
    expected = {
        ridge: (False, False),
        plain: (False, False),
        frozen: (True, False),
        make_pipeline(PCA(), frozen): (True, False),
        make_pipeline(FrozenEstimator(PCA()), ridge): (False, False),
        FrozenEstimator(plain): (True, True),
        make_pipeline(PCA(), FrozenEstimator(plain)): (True, True),
    }
    for estimator, answers in expected.items():
        assert (is_frozen(estimator), freezes_transformers(estimator)) == answers


def test_features_through_frozen_and_nested_pipelines():
    pipeline = make_pipeline(StandardScaler(), make_pipeline(PCA(2), Ridge()))
    pipeline.fit(REAL.X, REAL.y)
    expected = pipeline[1][0].transform(pipeline[0].transform(REAL.X_test))
    np.testing.assert_array_equal(features_of(pipeline, REAL.X_test), expected)
    np.testing.assert_array_equal(features_of(FrozenEstimator(pipeline), REAL.X_test), expected)
    outer = make_pipeline(FunctionTransformer(lambda X: 2 * X), FrozenEstimator(pipeline))
    outer.fit(REAL.X, REAL.y)
    expected = features_of(pipeline, 2 * REAL.X_test)
    np.testing.assert_array_equal(features_of(outer, REAL.X_test), expected)
