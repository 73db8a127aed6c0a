"""Which step sample weights reach, and that a weight means what it says: 0 absent, 2 twice."""

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor, register_adapter
from skinfluence.losses import HalfSquaredError
from skinfluence.objectives import LinearObjective
from tests.cases import classification, regression

DATA = classification()
REAL = regression()


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def tight(**params):
    return LogisticRegression(tol=1e-10, solver="newton-cholesky", **params)


def scaled():
    return make_pipeline(StandardScaler(), tight())


def nested():
    return Pipeline([("scale", Pipeline([("std", StandardScaler())])), ("fit", scaled())])


def weighted_mean(X, s):
    return np.average(X, axis=0, weights=s)


def scores(model, data=DATA, **params):
    return model.influence_scores(data.X_test, data.y_test, **params)


# ------------------------------------------------------------------------- where weights arrive


def test_weights_reach_the_scaler_and_the_final_step():
    model = InfluenceClassifier(scaled()).fit(DATA.X, DATA.y, sample_weight=DATA.s)
    scaler, final = model.estimator_
    np.testing.assert_allclose(scaler.mean_, weighted_mean(DATA.X, DATA.s))
    expected = tight().fit(scaler.transform(DATA.X), DATA.y, DATA.s)
    np.testing.assert_allclose(final.coef_, expected.coef_)
    alone = InfluenceClassifier(tight()).fit(scaler.transform(DATA.X), DATA.y, DATA.s)
    X_test = scaler.transform(DATA.X_test)
    np.testing.assert_allclose(scores(model), alone.influence_scores(X_test, DATA.y_test))


def test_weights_reach_every_step_of_nested_pipelines():
    model = InfluenceClassifier(nested()).fit(DATA.X, DATA.y, DATA.s)
    outer, (inner, _) = model.estimator_["scale"]["std"], model.estimator_["fit"]
    np.testing.assert_allclose(outer.mean_, weighted_mean(DATA.X, DATA.s))
    # the second scaler sees standardised features, by the same weights
    np.testing.assert_allclose(inner.mean_, 0.0, atol=1e-12)
    np.testing.assert_allclose(inner.var_, 1.0)
    flat = InfluenceClassifier(scaled()).fit(DATA.X, DATA.y, DATA.s)
    np.testing.assert_allclose(scores(model), scores(flat))


def test_steps_without_fit_are_passed_over():
    pipeline = Pipeline([("nothing", "passthrough"), ("std", StandardScaler()), ("fit", tight())])
    model = InfluenceClassifier(pipeline).fit(DATA.X, DATA.y, DATA.s)
    np.testing.assert_allclose(scores(model), scores(fitted(DATA.s)))


def fitted(s):
    return InfluenceClassifier(scaled()).fit(DATA.X, DATA.y, s)


def test_named_weights_go_to_that_step_alone():
    named = {"logisticregression__sample_weight": DATA.s}
    model = InfluenceClassifier(scaled()).fit(DATA.X, DATA.y, **named)
    scaler, final = model.estimator_
    np.testing.assert_allclose(scaler.mean_, DATA.X.mean(axis=0))
    X, X_test = scaler.transform(DATA.X), scaler.transform(DATA.X_test)
    alone = InfluenceClassifier(tight()).fit(X, DATA.y, DATA.s)
    np.testing.assert_allclose(final.coef_, alone.estimator_.coef_)
    np.testing.assert_allclose(scores(model), alone.influence_scores(X_test, DATA.y_test))


def test_named_weights_of_a_transformer_are_none_of_the_final_step():
    named = {"standardscaler__sample_weight": DATA.s}
    model = InfluenceClassifier(scaled()).fit(DATA.X, DATA.y, **named)
    scaler, _ = model.estimator_
    np.testing.assert_allclose(scaler.mean_, weighted_mean(DATA.X, DATA.s))
    alone = InfluenceClassifier(tight()).fit(scaler.transform(DATA.X), DATA.y)
    X_test = scaler.transform(DATA.X_test)
    np.testing.assert_allclose(scores(model), alone.influence_scores(X_test, DATA.y_test))


def test_both_ways_at_once_is_an_error():
    named = {"logisticregression__sample_weight": DATA.s}
    message = (
        "Weights were given both as sample_weight and as logisticregression__sample_weight; pass "
        "one of them"
    )
    with pytest.raises(ValueError, match=message):
        InfluenceClassifier(scaled()).fit(DATA.X, DATA.y, DATA.s, **named)


class Slope(RegressorMixin, BaseEstimator):
    """Least squares through the origin whose `fit` knows no weights."""

    def fit(self, X, y):
        X = np.asarray(X)
        self.n_features_in_ = X.shape[1]
        self.coef_ = np.linalg.solve(X.T @ X, X.T @ y)
        return self

    def predict(self, X):
        return X @ self.coef_


@register_adapter(Slope)
def slope(estimator, X, y, sample_weight):
    return LinearObjective.from_coefficients(
        X, y, HalfSquaredError(), estimator.coef_, None, l2=0.0, sample_weight=sample_weight
    )


@pytest.mark.parametrize(
    "wrap", [lambda inner: inner, lambda i: make_pipeline(StandardScaler(), i)]
)
def test_final_step_that_takes_no_weights(wrap):
    model = InfluenceRegressor(wrap(Slope()))
    message = r"sample_weight was given, but Slope\.fit takes none\. Fit without sample_weight\."
    with pytest.raises(TypeError, match=message):
        model.fit(REAL.X, REAL.y, REAL.s)
    assert not hasattr(model, "estimator_")
    assert np.all(np.isfinite(scores(model.fit(REAL.X, REAL.y), REAL)))


@pytest.mark.parametrize("key", ["sample_weight", "logisticregression__sample_weight"])
def test_one_weight_for_every_row(key):
    model = InfluenceClassifier(scaled()).fit(DATA.X, DATA.y, **{key: 2.0})
    expected = InfluenceClassifier(scaled()).fit(DATA.X, DATA.y, **{key: np.full(len(DATA.y), 2.0)})
    np.testing.assert_array_equal(scores(model), scores(expected))
    found = model.leave_one_out_check(DATA.X_test, DATA.y_test, rows=5, method="exact")
    assert found.relative_error < 1e-6


# ------------------------------------------------------------------------- with metadata routing


@pytest.mark.usefixtures("routing")
def test_requests_decide():
    scaler = StandardScaler().set_fit_request(sample_weight=True)
    final = tight().set_fit_request(sample_weight=False)
    model = InfluenceClassifier(make_pipeline(scaler, final)).fit(DATA.X, DATA.y, DATA.s)
    scaler, final = model.estimator_
    np.testing.assert_allclose(scaler.mean_, weighted_mean(DATA.X, DATA.s))
    X, X_test = scaler.transform(DATA.X), scaler.transform(DATA.X_test)
    np.testing.assert_allclose(final.coef_, tight().fit(X, DATA.y).coef_)
    alone = InfluenceClassifier(tight()).fit(X, DATA.y)
    np.testing.assert_allclose(scores(model), alone.influence_scores(X_test, DATA.y_test))


@pytest.mark.usefixtures("routing")
def test_requests_of_nested_pipelines():
    pipeline = nested()
    pipeline["scale"]["std"].set_fit_request(sample_weight=True)
    pipeline["fit"][0].set_fit_request(sample_weight=True)
    pipeline["fit"][1].set_fit_request(sample_weight=True)
    model = InfluenceClassifier(pipeline).fit(DATA.X, DATA.y, sample_weight=DATA.s)
    with sklearn.config_context(enable_metadata_routing=False):
        expected = scores(fitted(DATA.s))
    np.testing.assert_allclose(scores(model), expected)


@pytest.mark.usefixtures("routing")
def test_requests_of_an_estimator_alone():
    inner = tight().set_fit_request(sample_weight=True)
    model = InfluenceClassifier(inner).fit(DATA.X, DATA.y, DATA.s)
    np.testing.assert_allclose(model.estimator_.coef_, tight().fit(DATA.X, DATA.y, DATA.s).coef_)
    with pytest.raises(UnsetMetadataPassedError, match=r"\[sample_weight\] are passed but are not"):
        InfluenceClassifier(tight()).fit(DATA.X, DATA.y, DATA.s)


@pytest.mark.usefixtures("routing")
def test_weights_under_another_name():
    inner = tight().set_fit_request(sample_weight="exposure")
    pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), inner)
    model = InfluenceClassifier(pipeline).fit(DATA.X, DATA.y, exposure=DATA.s)
    X, X_test = (model.estimator_[0].transform(A) for A in (DATA.X, DATA.X_test))
    with sklearn.config_context(enable_metadata_routing=False):
        alone = InfluenceClassifier(tight()).fit(X, DATA.y, DATA.s)
    np.testing.assert_allclose(scores(model), alone.influence_scores(X_test, DATA.y_test))


# ---------------------------------------------------------------------------- what weights mean

MODELS = {
    "logistic": (InfluenceClassifier(tight(C=0.5)), DATA),
    "logistic pipeline": (InfluenceClassifier(scaled()), DATA),
    "ridge pipeline": (InfluenceRegressor(make_pipeline(StandardScaler(), Ridge())), REAL),
}


@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
@pytest.mark.parametrize("name", MODELS)
def test_weight_zero_is_absence(name, method):
    model, data = MODELS[name]
    s = np.ones(len(data.y))
    s[::4] = 0.0
    present = s > 0
    model = sklearn.clone(model).set_params(method=method)
    full = scores(sklearn.clone(model).fit(data.X, data.y, s), data)
    part = scores(sklearn.clone(model).fit(data.X[present], data.y[present]), data)
    np.testing.assert_allclose(full[:, present], part, rtol=1e-6, atol=1e-10)
    assert np.all(full[:, ~present] == 0.0)
    assert np.linalg.norm(scores(model.fit(data.X, data.y), data)[:, present] - part) > 1e-3


@pytest.mark.parametrize("name", MODELS)
def test_weight_two_is_two_rows(name):
    model, data = MODELS[name]
    model = sklearn.clone(model).set_params(method="first_order")
    s = np.ones(len(data.y))
    twice = np.arange(0, len(s), 5)
    s[twice] = 2.0
    rows = np.concatenate([np.arange(len(s)), twice])
    weighted = scores(sklearn.clone(model).fit(data.X, data.y, s), data)
    repeated = scores(sklearn.clone(model).fit(data.X[rows], data.y[rows]), data)
    # first-order scores add up, so a row of weight 2 is worth the sum of both copies
    expected = repeated[:, : len(s)].copy()
    expected[:, twice] += repeated[:, len(s) :]
    np.testing.assert_allclose(weighted, expected, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(repeated[:, twice], repeated[:, len(s) :], rtol=1e-9)


# ------------------------------------------------------------------------------------ searching


def test_grid_search_over_the_estimator_inside():
    search = GridSearchCV(InfluenceClassifier(tight()), {"estimator__C": [1e-4, 1.0]}, cv=3)
    search.fit(DATA.X, DATA.y)
    plain = GridSearchCV(tight(), {"C": [1e-4, 1.0]}, cv=3).fit(DATA.X, DATA.y)
    assert search.best_params_ == {"estimator__C": plain.best_params_["C"]}
    expected = plain.cv_results_["mean_test_score"]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected)
    expected = InfluenceClassifier(plain.best_estimator_).fit(DATA.X, DATA.y)
    np.testing.assert_allclose(scores(search.best_estimator_), scores(expected))


def test_grid_search_into_a_pipeline_with_weights():
    grid = {"estimator__logisticregression__C": [1e-4, 1.0]}
    search = GridSearchCV(InfluenceClassifier(scaled()), grid, cv=3)
    search.fit(DATA.X, DATA.y, sample_weight=DATA.s)
    (best,) = search.best_params_.values()
    assert search.best_estimator_.estimator_[-1].get_params()["C"] == best
    scaler = search.best_estimator_.estimator_[0]
    np.testing.assert_allclose(scaler.mean_, weighted_mean(DATA.X, DATA.s))
