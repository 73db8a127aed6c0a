"""Pipelines: which features and weights the final step was fitted on, and where test rows go."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import RFECV, SelectFromModel
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeCV,
)
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
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
    searches,
    target_transformers,
)
from skinfluence.adapters.composition import inner, is_search
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


# -------------------------------------------------------------- searches and transformed targets

AMOUNT = np.exp(REAL.y / 4)  # positive
AMOUNT_TEST = np.exp(REAL.y_test / 4)
REALS = regression(n_outputs=3)


def svd(**params):
    return Ridge(**{"solver": "svd", **params})


def search(estimator, name="alpha", **params):
    return GridSearchCV(estimator, {name: [0.5, 5.0]}, cv=3, **params)


def logged(regressor):
    return TransformedTargetRegressor(regressor, func=np.log, inverse_func=np.exp)


def scaled(regressor):
    return TransformedTargetRegressor(regressor, transformer=StandardScaler())


AROUND = {
    "search": lambda: search(svd()),
    "random search": lambda: RandomizedSearchCV(
        svd(), {"alpha": [0.5, 5.0, 50.0]}, n_iter=2, cv=3, random_state=0
    ),
    "halving search": lambda: HalvingGridSearchCV(
        svd(), {"alpha": [0.5, 5.0, 50.0]}, cv=3, random_state=0
    ),
    "search over a pipeline": lambda: search(
        make_pipeline(StandardScaler(), svd()), "ridge__alpha"
    ),
    "search in a pipeline": lambda: make_pipeline(StandardScaler(), search(svd())),
    "search in a search": lambda: GridSearchCV(
        make_pipeline(PCA(), search(svd())), {"pca__n_components": [2, 3]}, cv=3
    ),
    "target": lambda: logged(svd(alpha=2.0)),
    "scaled target": lambda: scaled(svd(alpha=2.0)),
    "default regressor": lambda: logged(None),
    "target over a pipeline": lambda: logged(make_pipeline(StandardScaler(), PCA(3), svd())),
    "target in a pipeline": lambda: make_pipeline(StandardScaler(), logged(svd())),
    "target in a search": lambda: search(logged(svd()), "regressor__alpha"),
    "search in a target": lambda: logged(search(svd())),
    "target in a target": lambda: logged(scaled(svd())),
    "pipeline, search, target, pipeline": lambda: make_pipeline(
        PCA(3),
        search(logged(make_pipeline(StandardScaler(), svd())), "regressor__ridge__alpha"),
    ),
}
around = pytest.mark.parametrize("name", AROUND)


def seen_by_the_final_step(estimator, X, y):
    """Return features and targets through fitted steps, written without the package."""
    while True:
        if isinstance(estimator, Pipeline):
            X, estimator = estimator[:-1].transform(X), estimator[-1]
        elif isinstance(estimator, (GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV)):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, TransformedTargetRegressor):
            y = estimator.transformer_.transform(np.reshape(y, (len(y), -1)))
            y, estimator = y[:, 0] if y.shape[1] == 1 else y, estimator.regressor_
        else:
            return estimator, X, y


@around
def test_what_a_search_or_a_target_transform_hands_to_the_final_step(name):
    estimator = AROUND[name]()
    training = fit_recorded(estimator, REAL.X, AMOUNT, {})
    final, X, y = seen_by_the_final_step(estimator, REAL.X, AMOUNT)
    assert type(final) in (Ridge, LinearRegression)
    assert final_step(estimator) is final  # the fitted one, and not what stood in for it
    assert final.coef_.shape == (X.shape[1],)
    np.testing.assert_allclose(training.X, X, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(training.y, y, rtol=1e-12, atol=1e-12)
    assert training.sample_weight is None
    for each in target_transformers(estimator):
        y_back = each.inverse(each.forward(AMOUNT)[:, None])[:, 0]
        np.testing.assert_allclose(y_back, AMOUNT, rtol=1e-9)
    # It predicts as scikit-learn's own fit does.
    own = AROUND[name]().fit(REAL.X, AMOUNT)
    np.testing.assert_allclose(estimator.predict(REAL.X_test), own.predict(REAL.X_test), rtol=1e-10)


@around
def test_scores_are_those_of_the_inner_model_alone(name):
    model = InfluenceRegressor(AROUND[name]()).fit(REAL.X, AMOUNT)
    final, X, y = seen_by_the_final_step(model.estimator_, REAL.X, AMOUNT)
    alone = InfluenceRegressor(final).fit(X, y)
    _, X_test, y_test = seen_by_the_final_step(model.estimator_, REAL.X_test, AMOUNT_TEST)
    # The loss is that of the final step, in units of the transformed target.
    for method in ("first_order", "newton"):
        scores = model.influence_scores(REAL.X_test, AMOUNT_TEST, method=method)
        expected = alone.influence_scores(X_test, y_test, method=method)
        np.testing.assert_allclose(scores, expected, rtol=1e-8, atol=1e-12)
    found = model.self_influence().scores
    np.testing.assert_allclose(found, alone.self_influence().scores, rtol=1e-8, atol=1e-12)


def test_a_search_is_fitted_once_more_and_recorded(received):
    model = InfluenceRegressor(search(Ridge())).fit(REAL.X, REAL.y, REAL.s)
    folds = [len(X) for X, _, _ in received]
    assert folds == [40] * 6 + [60, 60]
    X, y, s = received[-1]
    assert X is model._fitted.training.X
    np.testing.assert_array_equal(X, REAL.X)
    np.testing.assert_array_equal(y, REAL.y)
    np.testing.assert_array_equal(s, REAL.s)
    assert model.estimator_.best_estimator_.alpha == model.estimator_.best_params_["alpha"]


def without(row):
    return np.delete(np.arange(60), row)


@pytest.mark.parametrize("name", ["target", "target over a pipeline", "search in a target"])
def test_predictions_of_a_transformed_target_are_in_its_own_units(name):
    """Against refits: the functions are fixed, and so are transformers and alpha."""
    model = InfluenceRegressor(AROUND[name]()).fit(REAL.X, AMOUNT)
    final, X, y = seen_by_the_final_step(model.estimator_, REAL.X, AMOUNT)
    _, X_test, _ = seen_by_the_final_step(model.estimator_, REAL.X_test, AMOUNT_TEST)

    def predict(kept):
        return np.exp(Ridge(final.alpha, solver="svd").fit(X[kept], y[kept]).predict(X_test))

    rows = [0, 7, 31, 52]
    actual = np.transpose([predict(without(i)) - predict(np.arange(60)) for i in rows])
    base = model.predict(REAL.X_test)
    np.testing.assert_allclose(base, predict(np.arange(60)), rtol=1e-9)
    for method in ("newton", "exact"):
        scores = model.influence_scores(REAL.X_test, target="predict", method=method)[:, rows]
        np.testing.assert_allclose(scores, actual, rtol=1e-6, atol=1e-11)
    # First order is the linear part: the derivative of exp times that of the logarithm.
    scores = model.influence_scores(REAL.X_test, target="predict", method="first_order")
    inner_scores = model.influence_scores(
        REAL.X_test, target="linear_predictor", method="first_order"
    )
    np.testing.assert_allclose(scores, base[:, None] * inner_scores, rtol=1e-6, atol=1e-12)


def test_a_scaled_target_keeps_its_scale_when_a_row_leaves():
    model = InfluenceRegressor(scaled(svd(alpha=2.0))).fit(REAL.X, REAL.y)
    mean, deviation = REAL.y.mean(), REAL.y.std()
    z = (REAL.y - mean) / deviation

    def predict(kept):
        return mean + deviation * svd(alpha=2.0).fit(REAL.X[kept], z[kept]).predict(REAL.X_test)

    rows = [0, 7, 31, 52]
    actual = np.transpose([predict(without(i)) - predict(np.arange(60)) for i in rows])
    scores = model.influence_scores(REAL.X_test, target="predict")[:, rows]
    np.testing.assert_allclose(scores, actual, rtol=1e-7, atol=1e-11)


def test_several_transformed_targets():
    model = InfluenceRegressor(scaled(svd(alpha=2.0))).fit(REALS.X, REALS.y)
    mean, deviation = REALS.y.mean(0), REALS.y.std(0)
    Z = (REALS.y - mean) / deviation

    def predict(kept):
        return mean + deviation * svd(alpha=2.0).fit(REALS.X[kept], Z[kept]).predict(REALS.X_test)

    rows = [0, 31]
    actual = np.stack([predict(without(i)) - predict(np.arange(60)) for i in rows], axis=2)
    for k in range(3):
        scores = model.influence_scores(REALS.X_test, target="predict", output=k)[:, rows]
        np.testing.assert_allclose(scores, actual[:, k], rtol=1e-7, atol=1e-11)
    alone = InfluenceRegressor(svd(alpha=2.0)).fit(REALS.X, Z)
    expected = alone.influence_scores(REALS.X_test, (REALS.y_test - mean) / deviation)
    found = model.influence_scores(REALS.X_test, REALS.y_test)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["search", "target", "target over a pipeline"])
def test_the_check_of_what_is_around(name):
    model = InfluenceRegressor(AROUND[name]()).fit(REAL.X, AMOUNT)
    for target in ("loss", "predict"):
        found = model.leave_one_out_check(REAL.X_test, AMOUNT_TEST, rows=6, target=target)
        assert abs(found.slope - 1.0) < 1e-7
        assert found.relative_error < 1e-7
        assert found.noise_floor < 1e-9


WEIGHTED = {
    "search": lambda: search(svd()),
    "search over a pipeline": AROUND["search over a pipeline"],
    "search in a pipeline": AROUND["search in a pipeline"],
    "target": AROUND["target"],
    "target over a pipeline": AROUND["target over a pipeline"],
    "pipeline, search, target, pipeline": AROUND["pipeline, search, target, pipeline"],
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_sample_weights_reach_the_final_step_through_what_is_around(name, received):
    model = InfluenceRegressor(WEIGHTED[name]()).fit(REAL.X, AMOUNT, REAL.s)
    np.testing.assert_array_equal(received[-1][2], REAL.s)
    np.testing.assert_array_equal(model._fitted.training.sample_weight, REAL.s)
    final, X, y = seen_by_the_final_step(model.estimator_, REAL.X, AMOUNT)
    _, X_test, y_test = seen_by_the_final_step(model.estimator_, REAL.X_test, AMOUNT_TEST)
    alone = InfluenceRegressor(final).fit(X, y, REAL.s)
    scores = model.influence_scores(REAL.X_test, AMOUNT_TEST)
    expected = alone.influence_scores(X_test, y_test)
    np.testing.assert_allclose(scores, expected, rtol=1e-8, atol=1e-12)
    unweighted = InfluenceRegressor(final).fit(X, y).influence_scores(X_test, y_test)
    assert np.abs(unweighted - expected).max() > 0.01 * np.abs(expected).max()


def test_scalers_inside_a_search_are_weighted_too():
    """Weight 0 is absence, for the scaler of the best pipeline as well."""
    estimator = AROUND["search over a pipeline"]()
    model = InfluenceRegressor(estimator).fit(REAL.X, REAL.y, REAL.s)
    scaler = model.estimator_.best_estimator_[0]
    expected = StandardScaler().fit(REAL.X, sample_weight=REAL.s)
    np.testing.assert_allclose(scaler.mean_, expected.mean_)


def test_weights_by_the_name_of_a_step_inside_a_search():
    estimator = AROUND["search over a pipeline"]()
    model = InfluenceRegressor(estimator).fit(REAL.X, REAL.y, ridge__sample_weight=REAL.s)
    np.testing.assert_array_equal(model._fitted.training.sample_weight, REAL.s)
    np.testing.assert_allclose(model.estimator_.best_estimator_[0].mean_, REAL.X.mean(axis=0))
    with pytest.raises(ValueError, match="both as sample_weight and as ridge__sample_weight"):
        model.fit(REAL.X, REAL.y, REAL.s, ridge__sample_weight=REAL.s)


@pytest.mark.parametrize("wrap", [search, logged])
def test_routing_decides_what_reaches_the_final_step(wrap):
    with config_context(enable_metadata_routing=True):
        final = svd().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        model = InfluenceRegressor(wrap(final)).fit(REAL.X, AMOUNT, sample_weight=REAL.s)
        scores = model.influence_scores(REAL.X_test, AMOUNT_TEST)
        unasked = svd().set_fit_request(sample_weight=False).set_score_request(sample_weight=False)
        with pytest.raises(TypeError, match="sample_weight"):
            InfluenceRegressor(wrap(unasked)).fit(REAL.X, AMOUNT, sample_weight=REAL.s)
    np.testing.assert_array_equal(model._fitted.training.sample_weight, REAL.s)
    final, X, y = seen_by_the_final_step(model.estimator_, REAL.X, AMOUNT)
    _, X_test, y_test = seen_by_the_final_step(model.estimator_, REAL.X_test, AMOUNT_TEST)
    alone = InfluenceRegressor(svd(alpha=final.alpha)).fit(X, y, REAL.s)
    expected = alone.influence_scores(X_test, y_test)
    np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-12)


@around
def test_frozen_as_a_whole(name):
    fitted = AROUND[name]().fit(REAL.X, AMOUNT)
    model = InfluenceRegressor(FrozenEstimator(fitted)).fit(REAL.X, AMOUNT)
    _, X, y = seen_by_the_final_step(fitted, REAL.X, AMOUNT)
    np.testing.assert_allclose(model._fitted.training.X, X)
    np.testing.assert_allclose(model._fitted.training.y, y)
    assert is_frozen(model.estimator_)
    assert final_step(model.estimator_) is final_step(fitted)
    fresh = InfluenceRegressor(AROUND[name]()).fit(REAL.X, AMOUNT)
    for target in ("loss", "predict"):
        scores = model.influence_scores(REAL.X_test, AMOUNT_TEST, target=target)
        expected = fresh.influence_scores(REAL.X_test, AMOUNT_TEST, target=target)
        np.testing.assert_allclose(scores, expected, rtol=1e-8, atol=1e-12)


def test_frozen_with_its_weights():
    fitted = AROUND["target over a pipeline"]()
    names = {"standardscaler__sample_weight": REAL.s, "ridge__sample_weight": REAL.s}
    fitted.fit(REAL.X, AMOUNT, **names)
    fresh = InfluenceRegressor(AROUND["target over a pipeline"]()).fit(REAL.X, AMOUNT, REAL.s)
    expected = fresh.influence_scores(REAL.X_test, AMOUNT_TEST)
    for given in ({"sample_weight": REAL.s}, {"ridge__sample_weight": REAL.s}):
        model = InfluenceRegressor(FrozenEstimator(fitted)).fit(REAL.X, AMOUNT, **given)
        scores = model.influence_scores(REAL.X_test, AMOUNT_TEST)
        np.testing.assert_allclose(scores, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", ["search", "search over a pipeline", "target", "scaled target"])
def test_a_model_without_rows_keeps_what_is_around(name):
    model = InfluenceRegressor(AROUND[name]()).fit(REAL.X, AMOUNT)
    left = model.without([3, 40])
    final, X, y = seen_by_the_final_step(model.estimator_, REAL.X, AMOUNT)
    _, X_test, _ = seen_by_the_final_step(model.estimator_, REAL.X_test, AMOUNT_TEST)
    kept = np.delete(np.arange(60), [3, 40])
    raw = Ridge(final.alpha, solver="svd").fit(X[kept], y[kept]).predict(X_test)
    expected = {
        "target": np.exp,
        "scaled target": lambda z: AMOUNT.mean() + AMOUNT.std() * z,
    }.get(name, lambda z: z)(raw)
    np.testing.assert_allclose(left.predict(REAL.X_test), expected, rtol=1e-9)
    # The model it came from still has its own.
    np.testing.assert_allclose(
        model.predict(REAL.X_test), AROUND[name]().fit(REAL.X, AMOUNT).predict(REAL.X_test)
    )


def test_what_is_a_search():
    """By its parameters: the base of the searches is private, and other packages have some."""
    for kind in (GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV):
        one = kind(Ridge(), {"alpha": [0.5, 5.0, 50.0]}, cv=3)
        assert is_search(one) and searches(one)
        assert searches(make_pipeline(PCA(), logged(one)))
        one.fit(REAL.X, REAL.y)
        assert is_search(one) and not searches(one)
    for other in (
        Ridge(),
        RidgeCV(),
        LogisticRegressionCV(),
        SelectFromModel(Ridge()),
        RFECV(Ridge()),
        TunedThresholdClassifierCV(LogisticRegression()),
        None,
        "passthrough",
    ):
        assert not is_search(other)


def test_what_is_inside_searches_and_transformed_targets():
    ridge = Ridge()
    assert inner(ridge) is ridge
    assert inner(search(ridge)) is ridge
    assert inner(logged(ridge)) is ridge
    assert type(inner(logged(None))) is LinearRegression
    deep = make_pipeline(PCA(), search(logged(make_pipeline(StandardScaler(), ridge))))
    assert final_step(deep) is ridge
    assert not is_frozen(deep)
    assert is_frozen(search(FrozenEstimator(ridge)))
    assert is_frozen(logged(make_pipeline(PCA(), FrozenEstimator(ridge))))
    frozen = FrozenEstimator(search(make_pipeline(PCA(), ridge)))
    assert is_frozen(frozen)
    fitted = search(svd()).fit(REAL.X, REAL.y)
    assert inner(fitted) is fitted.best_estimator_
    assert target_transformers(deep) != [] and target_transformers(ridge) == []
    assert len(target_transformers(logged(scaled(ridge)))) == 2


def test_the_final_step_is_put_back_where_fit_of_a_target_fails():
    ridge = svd()
    estimator = logged(ridge)
    with pytest.raises(ValueError, match="NaN"):
        fit_recorded(estimator, np.full((60, 4), np.nan), AMOUNT, {})
    assert estimator.regressor is ridge


def test_a_target_transform_that_has_no_inverse_as_a_function():
    """Quantiles: a transformer of two directions; predictions are moved through its slope."""
    transformer = QuantileTransformer(n_quantiles=60, output_distribution="normal")
    model = InfluenceRegressor(
        TransformedTargetRegressor(svd(alpha=2.0), transformer=transformer, check_inverse=False)
    ).fit(REAL.X, AMOUNT)
    _, X, y = seen_by_the_final_step(model.estimator_, REAL.X, AMOUNT)
    back = model.estimator_.transformer_

    def predict(kept):
        raw = svd(alpha=2.0).fit(X[kept], y[kept]).predict(REAL.X_test)
        return back.inverse_transform(raw[:, None])[:, 0]

    rows = [0, 31]
    actual = np.transpose([predict(without(i)) - predict(np.arange(60)) for i in rows])
    scores = model.influence_scores(REAL.X_test, target="predict", method="exact")[:, rows]
    np.testing.assert_allclose(scores, actual, rtol=1e-6, atol=1e-10)


# ------------------------------------------------------------------- what searches take and choose

FOLDS = np.arange(60) % 5


def grouped(estimator, name="alpha"):
    return GridSearchCV(estimator, {name: [0.5, 5.0]}, cv=GroupKFold(3))


GROUPED = {
    "search": (lambda: grouped(svd()), "groups"),
    "over a pipeline": (
        lambda: grouped(make_pipeline(StandardScaler(), svd()), "ridge__alpha"),
        "groups",
    ),
    "in a pipeline": (
        lambda: make_pipeline(StandardScaler(), grouped(svd())),
        "gridsearchcv__groups",
    ),
    "in a target": (lambda: logged(grouped(svd())), "groups"),
}


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("name", GROUPED)
def test_groups_are_for_the_folds_of_a_search(name, routing):
    build, parameter = GROUPED[name]
    ask = REAL.X_test, AMOUNT_TEST
    with config_context(enable_metadata_routing=routing):
        own = build().fit(REAL.X, AMOUNT, **{"groups" if routing else parameter: FOLDS})
        given = {"groups" if routing else parameter: FOLDS}
        model = InfluenceRegressor(build()).fit(REAL.X, AMOUNT, **given)
        found = final_step(model.estimator_)
        assert found.alpha == final_step(own).alpha
        np.testing.assert_allclose(found.coef_, final_step(own).coef_, rtol=1e-12)
        check = model.leave_one_out_check(*ask, rows=3, refit="pipeline")
        smaller = model.without([0, 1])
        again = smaller.leave_one_out_check(*ask, rows=3, refit="pipeline")
    final, X, y = seen_by_the_final_step(model.estimator_, REAL.X, AMOUNT)
    _, X_test, y_test = seen_by_the_final_step(model.estimator_, *ask)
    alone = InfluenceRegressor(final).fit(X, y).influence_scores(X_test, y_test)
    np.testing.assert_allclose(model.influence_scores(*ask), alone, rtol=1e-9, atol=1e-13)
    assert check.noise_floor < 1e-8
    assert again.noise_floor < 1e-8


def test_weights_reach_the_best_estimator_past_the_folds():
    with config_context(enable_metadata_routing=True):
        inner_one = svd().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        model = InfluenceRegressor(grouped(inner_one))
        model.fit(REAL.X, REAL.y, groups=FOLDS, sample_weight=REAL.s)
        check = model.leave_one_out_check(REAL.X_test, REAL.y_test, rows=3, refit="pipeline")
    plain = InfluenceRegressor(svd(alpha=model.estimator_.best_params_["alpha"]))
    plain.fit(REAL.X, REAL.y, REAL.s)
    ask = REAL.X_test, REAL.y_test
    np.testing.assert_allclose(
        model.influence_scores(*ask), plain.influence_scores(*ask), rtol=1e-12
    )
    assert check.relative_error < 1e-9


def choosing(first, *models):
    steps = Pipeline([("scale", StandardScaler()), ("model", first)])
    return GridSearchCV(steps, [{"model": [one]} for one in models], cv=3)


def test_a_winner_without_influence_is_refused_by_fit():
    neighbours = KNeighborsClassifier()
    with pytest.raises(TypeError, match="KNeighborsClassifier has no known objective"):
        InfluenceClassifier(choosing(tight(), neighbours)).fit(DATA.X, DATA.y)
    # Nothing could take its place: refused before it is searched.
    before = GridSearchCV(neighbours, {"n_neighbors": [1, 2]}, error_score="raise")
    with pytest.raises(TypeError, match="KNeighborsClassifier has no known objective"):
        InfluenceClassifier(before).fit(np.full((9, 2), np.nan), DATA.y)


@pytest.mark.parametrize("first", [DummyClassifier(), RandomForestClassifier(2)])
def test_a_placeholder_that_is_replaced_is_accepted(first):
    model = InfluenceClassifier(choosing(first, tight())).fit(DATA.X, DATA.y)
    plain = InfluenceClassifier(make_pipeline(StandardScaler(), tight())).fit(DATA.X, DATA.y)
    ask = DATA.X_test, DATA.y_test
    np.testing.assert_allclose(
        model.influence_scores(*ask), plain.influence_scores(*ask), rtol=1e-9, atol=1e-13
    )
    around_it = InfluenceClassifier(make_pipeline(StandardScaler(), choosing(first, tight())))
    around_it.fit(DATA.X, DATA.y)
