"""Names of coefficients, features and outputs, held against where scikit-learn keeps them."""

import warnings
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import HuberRegressor, LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skinfluence import AutogradObjective, InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import final_step
from skinfluence.questions.names import feature_names, parameter_names, target_names
from tests.cases import CASES, REAL, REALS, THREE
from tests.model_table import MODELS
from tests.networks import NAMED as NETWORKS

COLUMNS = ["age", "income", "debt", "years", "rooms"]
LINEAR = {
    m.name: m
    for m in [*CASES, *MODELS]
    if not m.name.startswith(("KernelRidge", "SVC", "SVR", "GaussianProcess"))
    and "kernel" not in m.name
}
WITH_KERNELS = [m.name for m in MODELS if m.name not in LINEAR]
pytestmark = pytest.mark.filterwarnings("ignore")  # of fits, and of active sets that change


def fit(estimator, X, y, s=None, **params):
    kind = InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        wrapper = kind(clone(estimator), **params)
        return wrapper.fit(X, y) if s is None else wrapper.fit(X, y, s)


def framed(data):
    return pd.DataFrame(data.X.copy(), columns=COLUMNS[: data.X.shape[1]])


def parts_of(estimator, targets):
    """Return [(what its coefficients are of, a fitted estimator)] as scikit-learn nests them."""
    kind = type(estimator).__name__
    if not hasattr(estimator, "estimators_"):
        return [("", estimator)]
    if kind == "OneVsOneClassifier":
        names = [f"{b} vs {a}" for a, b in combinations(estimator.classes_, 2)]
    elif kind == "OneVsRestClassifier" and not estimator.multilabel_:
        names = [str(label) for label in estimator.classes_]
    else:
        names = targets
    return list(zip(names, estimator.estimators_, strict=True))


def by_name(estimator, features, targets):
    """Return the fitted coefficients by name, read from scikit-learn's attributes."""
    expected = {}
    for name, part in parts_of(estimator, targets):
        W = np.atleast_2d(part.coef_)
        b = np.resize(part.intercept_, len(W)) if part.fit_intercept else None
        outputs = [name]
        if len(W) > 1:
            classes = getattr(part, "classes_", targets)
            outputs = [f"{name} = {c}" if name else str(c) for c in classes]
        for k, output in enumerate(outputs):
            before = f"{output}: " if output else ""
            for feature, w in zip(features, W[k], strict=True):
                expected[before + feature] = w
            if b is not None:
                expected[before + "intercept"] = b[k]
        if hasattr(part, "scale_"):
            expected["scale"] = part.scale_
    return expected


@pytest.mark.parametrize("name", LINEAR)
def test_names_are_of_the_coefficients_that_scikit_learn_has(name):
    model = LINEAR[name]
    params = {"temperature": model.on_wrapper} if hasattr(model, "on_wrapper") else {}
    X = framed(model.data)
    wrapper = fit(model.estimator, X, model.data.y, model.s, **params)
    found = wrapper.parameter_influence(method="first_order")
    final = final_step(wrapper.estimator_)
    features = [*X.columns]
    if name == "TransformedTarget-pipeline":
        features = list(wrapper.estimator_.regressor_[:-1].get_feature_names_out())
        assert features[4] == "age^2"
    y = np.asarray(model.data.y)
    targets = [f"output {k}" for k in range(1 if y.ndim == 1 else y.shape[1])]
    expected = by_name(final, features, targets)
    assert found.coefficients.tolist() == [*expected]
    values = np.array([*expected.values()])
    # The values are of the stationary point: of a raw hinge, that of the smoothed one.
    loose = 0.3 if getattr(model, "fit_error", 0.0) is None else 0.02
    assert np.linalg.norm(found.values - values) < loose * np.linalg.norm(values)


@pytest.mark.parametrize("method", ["first_order", "newton"])
@pytest.mark.parametrize("name", [*LINEAR, *WITH_KERNELS])
def test_chosen_coefficients_are_those_of_all(name, method):
    model = LINEAR.get(name) or next(m for m in MODELS if m.name == name)
    params = {"temperature": model.on_wrapper} if hasattr(model, "on_wrapper") else {}
    X = framed(model.data) if name in LINEAR else model.data.X
    wrapper = fit(model.estimator, X, model.data.y, model.s, **params)
    every = wrapper.parameter_influence(method=method)
    names = every.coefficients
    assert len(names) == len(set(names)) == every.changes.shape[1]
    chosen = [names[-1], names[0], names[len(names) // 2]]
    some = wrapper.parameter_influence(coefficients=chosen, method=method)
    at = [names.tolist().index(one) for one in dict.fromkeys(chosen)]
    assert some.coefficients.tolist() == names[at].tolist()
    diagnostics = wrapper.diagnostics(method=method)
    assert diagnostics.coefficients.tolist() == names.tolist()
    assert diagnostics.dfbetas.shape == every.changes.shape
    scale = np.abs(every.changes).max()
    np.testing.assert_allclose(some.changes, every.changes[:, at], rtol=1e-7, atol=1e-9 * scale)
    np.testing.assert_allclose(some.values, every.values[at], rtol=1e-12)
    by_position = wrapper.parameter_influence(coefficients=at, method=method)
    assert by_position.coefficients.tolist() == some.coefficients.tolist()


@pytest.mark.parametrize(
    "name", ["LogisticRegression-lbfgs-3", "Logistic-l1-3", "Huber", "MultiOutput-logistic"]
)
def test_chosen_coefficients_of_exact_minima(name):
    model = LINEAR[name]
    wrapper = fit(model.estimator, framed(model.data), model.data.y, model.s)
    every = wrapper.parameter_influence(method="exact")
    some = wrapper.parameter_influence(coefficients="income", method="exact")
    at = [k for k, one in enumerate(every.coefficients) if one.endswith("income")]
    assert some.coefficients.tolist() == every.coefficients[at].tolist()
    np.testing.assert_allclose(some.changes, every.changes[:, at], rtol=1e-12)


def test_a_name_is_the_coefficient_that_a_refit_changes():
    data, rows = THREE, [0, 31, 58]
    X = framed(data)
    tight = {"solver": "newton-cg", "tol": 1e-12, "max_iter": 1000}
    wrapper = fit(LogisticRegression(C=0.3, **tight), X, data.y)
    found = wrapper.parameter_influence(coefficients=["c: age", "debt"], method="exact")
    assert found.coefficients.tolist() == ["c: age", "a: debt", "b: debt", "c: debt"]
    full = LogisticRegression(C=0.3, **tight).fit(data.X, data.y)
    for row in rows:
        keep = np.arange(len(data.y)) != row
        refit = LogisticRegression(C=0.3, **tight).fit(data.X[keep], data.y[keep])
        D = refit.coef_ - full.coef_
        expected = [D[2, 0], D[0, 2], D[1, 2], D[2, 2]]
        np.testing.assert_allclose(found.changes[row], expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["far", "dependent", "single"])
def test_chosen_coefficients_where_the_coordinates_are_others(kind):
    """Columns far from zero are centred, dependent ones left out; single precision stays."""
    X = framed(REAL)
    if kind == "far":
        X["age"] += 1e5
    if kind == "dependent":
        X["sum"] = X["age"] - 2.0 * X["debt"] + 3.0
    if kind == "single":
        X = X.astype(np.float32)
    wrapper = fit(LinearRegression() if kind != "single" else Ridge(), X, REAL.y)
    for method in ("first_order", "newton", "exact"):
        every = wrapper.parameter_influence(method=method)
        assert every.coefficients.tolist() == [*X.columns, "intercept"]
        some = wrapper.parameter_influence(coefficients=["intercept", "debt"], method=method)
        at = [len(every.coefficients) - 1, 2]
        rtol = 2e-5 if kind == "single" else 1e-7
        scale = np.abs(every.changes[:, at]).max(axis=0)
        np.testing.assert_allclose(some.changes / scale, every.changes[:, at] / scale, atol=rtol)
        fitted = [wrapper.estimator_.intercept_, wrapper.estimator_.coef_[2]]
        np.testing.assert_allclose(some.values, fitted, rtol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_of_networks_are_where_scikit_learn_keeps_them(name):
    model = NETWORKS[name]
    s = getattr(model, "s", None)
    wrapper = fit(model.estimator, model.data.X, model.data.y, s, damping=1.0, refine=False)
    names = parameter_names(wrapper._current())
    kept = vars(final_step(wrapper.estimator_))
    values = [eval(one, {}, kept) for one in names]  # such as "coefs_[0][1, 2]"
    theta = wrapper._current().objective().theta
    np.testing.assert_allclose(theta, values, rtol=1e-12)
    some = wrapper.parameter_influence(coefficients=names[-2:], method="first_order")
    every = wrapper.parameter_influence(method="first_order")
    np.testing.assert_allclose(some.changes, every.changes[:, -2:], rtol=1e-6, atol=1e-12)
    assert some.values.tolist() == values[-2:]


def test_a_model_of_ones_own_has_parameters_by_number():
    import autograd.numpy as anp
    from sklearn.base import BaseEstimator, RegressorMixin

    from skinfluence import register_adapter

    class Line(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.theta_ = np.linalg.solve(X.T @ X + np.eye(X.shape[1]), X.T @ y)
            return self

        def predict(self, X):
            return X @ self.theta_

    @register_adapter(Line)
    def line(estimator, X, y, sample_weight):
        return AutogradObjective(
            lambda theta, X, y: 0.5 * (anp.dot(X, theta) - y) ** 2, estimator.theta_, l2=1.0
        )

    wrapper = InfluenceRegressor(Line()).fit(REAL.X, REAL.y)
    every = wrapper.parameter_influence(method="first_order")
    assert every.coefficients.tolist() == [f"parameter {j}" for j in range(4)]
    some = wrapper.parameter_influence(coefficients="parameter 2", method="first_order")
    np.testing.assert_allclose(some.changes, every.changes[:, [2]], rtol=1e-10)


# ----------------------------------------------------------------------------- names of features


PEOPLE = pd.DataFrame(
    {
        "age": [31.0, 45.0, 28.0, 60.0, 52.0, 39.0, 33.0, 47.0],
        "job": ["clerk", "cook", "clerk", "nurse", "cook", "nurse", "clerk", "cook"],
        "income": [2.1, 3.0, 1.9, 4.2, 3.3, 2.8, 2.4, 3.1],
    }
)
PRICES = np.array([1.0, 2.0, 1.5, 3.0, 2.5, 2.2, 1.2, 2.6])


def columns():
    return ColumnTransformer(
        [("number", StandardScaler(), ["age", "income"]), ("kind", OneHotEncoder(), ["job"])]
    )


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (Ridge(), ["age", "income"]),
        (make_pipeline(StandardScaler(), Ridge()), ["age", "income"]),
        (make_pipeline(PCA(2), Ridge()), ["pca0", "pca1"]),
        (make_pipeline("passthrough", Ridge()), ["age", "income"]),
        (make_pipeline(FunctionTransformer(np.asarray), Ridge()), ["x0", "x1"]),
        (make_pipeline(FunctionTransformer(np.asarray), PCA(2), Ridge()), ["pca0", "pca1"]),
        (make_pipeline(StandardScaler(), FunctionTransformer(np.exp), Ridge()), ["x0", "x1"]),
        (
            GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1.0]}, cv=2),
            ["age", "income"],
        ),
        (make_pipeline(StandardScaler(), make_pipeline(PCA(1), Ridge())), ["pca0"]),
    ],
)
def test_features_are_called_what_the_final_step_sees(estimator, expected):
    wrapper = InfluenceRegressor(estimator).fit(PEOPLE[["age", "income"]], PRICES)
    assert feature_names(wrapper._current()) == expected
    names = wrapper.parameter_influence().coefficients.tolist()
    assert names == [*expected, "intercept"]


@pytest.mark.parametrize("output", ["default", "pandas"])
def test_columns_of_several_kinds(output):
    pipeline = make_pipeline(columns().set_output(transform=output), Ridge())
    if output == "pandas":
        pipeline[0].set_params(kind__sparse_output=False)
    wrapper = InfluenceRegressor(pipeline).fit(PEOPLE, PRICES)
    jobs = [f"kind__job_{job}" for job in ("clerk", "cook", "nurse")]
    expected = ["number__age", "number__income", *jobs]
    assert feature_names(wrapper._current()) == expected
    found = wrapper.parameter_influence(coefficients="kind__job_cook")
    np.testing.assert_allclose(found.values, wrapper.estimator_[-1].coef_[3], rtol=1e-10)


def test_words_of_texts():
    texts = ["cheap pills now", "meeting at noon", "cheap offer", "noon report", "pills offer now"]
    y = ["spam", "ham", "spam", "ham", "spam"]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    wrapper = InfluenceClassifier(pipeline).fit(texts, y)
    found = wrapper.parameter_influence(coefficients="pills")
    at = wrapper.estimator_[0].vocabulary_["pills"]
    np.testing.assert_allclose(found.values, wrapper.estimator_[1].coef_[0, at], rtol=1e-4)
    others = np.abs(found.changes[:, 0]).argsort()[::-1][:2]
    assert sorted(others.tolist()) == [0, 4]  # the texts that have the word


def test_targets_are_called_as_the_columns_of_y():
    Y = pd.DataFrame(REALS.y, columns=["height", "weight", "width"])
    wrapper = InfluenceRegressor(Ridge()).fit(framed(REALS), Y)
    assert target_names(wrapper._current()) == ["height", "weight", "width"]
    found = wrapper.parameter_influence(coefficients=["weight: intercept", "age"])
    assert found.coefficients.tolist() == [
        "weight: intercept",
        "height: age",
        "weight: age",
        "width: age",
    ]
    np.testing.assert_allclose(found.values[0], wrapper.estimator_.intercept_[1])
    by_name = wrapper.influence_scores(REALS.X_test, target="predict", output="weight")
    by_position = wrapper.influence_scores(REALS.X_test, target="predict", output=1)
    assert np.array_equal(by_name, by_position)


def test_the_scale_of_huber_is_a_name():
    wrapper = fit(HuberRegressor(fit_intercept=False, max_iter=5000), framed(REAL), REAL.y)
    assert parameter_names(wrapper._current())[-2:] == ["years", "scale"]


@pytest.mark.parametrize("intercept", [True, False])
def test_features_that_are_called_like_other_parameters(intercept):
    X = pd.DataFrame(REAL.X, columns=["intercept", "scale", "row", "position"])
    wrapper = fit(HuberRegressor(fit_intercept=intercept, max_iter=5000), X, REAL.y)
    found = wrapper.parameter_influence()
    expected = ["intercept", "scale (feature)", "row", "position", "scale"]
    if intercept:
        expected = ["intercept (feature)", *expected[1:4], "intercept", "scale"]
    assert found.coefficients.tolist() == expected
    coef, place = wrapper.estimator_.coef_, expected.index("intercept")
    at_name = wrapper.estimator_.intercept_ if intercept else coef[0]
    np.testing.assert_allclose(found.values[place], at_name, rtol=1e-2)
    (alone,) = np.asarray(wrapper.parameter_influence(coefficients="intercept")).T
    np.testing.assert_allclose(alone, found.changes[:, place], rtol=1e-7)
    frame = found.to_frame()
    assert frame.columns.is_unique
    assert frame.columns[:2].tolist() == ["row", "position"]
    at = frame["position"]
    np.testing.assert_array_equal(frame["row (coefficient)"], found.changes[at, 2])
    np.testing.assert_array_equal(frame["position (coefficient)"], found.changes[at, 3])
    shown = found.to_frame(columns=True)
    assert shown.columns.is_unique
    np.testing.assert_array_equal(shown["row_train"], X["row"].to_numpy()[at])
    np.testing.assert_array_equal(wrapper.diagnostics().to_frame(dfbetas=True).columns.is_unique, 1)


def test_features_that_are_called_like_columns_of_the_table():
    names = ["test", "row", "class", "position"]
    X = pd.DataFrame(THREE.X[:, :4], columns=names[: THREE.X.shape[1]])
    model = InfluenceClassifier().fit(X, THREE.y)
    found = model.input_influence(X[:2], target="predict_proba", rows=[3, 4])
    frame = found.to_frame()
    assert frame.columns.tolist() == [
        "test",
        "class",
        "row",
        "position",
        *[f"{name} (feature)" for name in X.columns],
    ]
    values = frame[[f"{name} (feature)" for name in X.columns]].to_numpy()
    np.testing.assert_array_equal(values, found.derivatives.reshape(4, -1))
    names = model.input_influence(X[:2], THREE.y[:2], rows=[3, 4]).to_frame().columns.tolist()
    assert "class" in names and "class (feature)" not in names


# ----------------------------------------------------------------------------- wrong names


def test_names_with_the_word_in_them_come_first():
    job = np.repeat(["clerk", "cook", "nurse"], 20)
    X = pd.DataFrame({"c": REAL.X[:, 0], "box": REAL.X[:, 1], "Sex": job[: len(REAL.y)]})
    onehot = ColumnTransformer([("c", OneHotEncoder(), ["Sex"])], remainder="passthrough")
    wrapper = fit(make_pipeline(onehot, Ridge()), X, REAL.y)
    message = r"names such as \['c__Sex_clerk', 'c__Sex_cook', 'c__Sex_nurse'.*\] are accepted"
    with pytest.raises(ValueError, match=message):
        wrapper.parameter_influence(coefficients="sex")
    with pytest.raises(ValueError, match=r"near it are \['Sex'"):
        wrapper.parameter_influence().to_frame(columns="sex")
    with pytest.raises(ValueError, match=r"such as \['Sex'"):
        wrapper.group_influence("sex", X[:3], REAL.y[:3])


def test_a_plot_of_one_coefficient_of_several_names_them():
    wrapper = fit(LogisticRegression(), framed(THREE), THREE.y)
    found = wrapper.parameter_influence(coefficients="debt")
    message = r"'debt' was given, .* one of \['a: debt', 'b: debt', 'c: debt'\] is accepted"
    with pytest.raises(ValueError, match=message):
        found.plot("debt")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("incom", r"\['incom'\] were given, which the model has not; 5 names such as \['income'\]"),
        (["age", "z"], r"\['z'\] were given, which the model has not; 5 names such as \['age'"),
        (5, r"coefficients \[5\] were given; positions from 0 to 4 are accepted, or names"),
        ([0, -1], r"coefficients \[-1\] were given; positions from 0 to 4"),
        ([], r"coefficients=\[\] was given; a name, names, or positions from 0 to 4"),
        ([True], r"coefficients=\[True\] was given; .*such as \['age', 'income', 'debt'\]"),
        (["age", 1], r"coefficients=\['age', 1\] was given; a name, names, or positions"),
    ],
)
def test_coefficients_that_are_not_there(given, message):
    wrapper = fit(Ridge(), framed(REAL), REAL.y)
    with pytest.raises(ValueError, match=message):
        wrapper.parameter_influence(coefficients=given)


def test_coefficients_in_an_index_or_an_array():
    wrapper = fit(Ridge(), framed(REAL), REAL.y)
    for given in (pd.Index(["debt"]), np.array(["debt"]), np.array([2]), (2,), ["debt", "debt"]):
        assert wrapper.parameter_influence(coefficients=given).coefficients.tolist() == ["debt"]
