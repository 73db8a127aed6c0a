"""What is refused: each with a message that says what was got, what is accepted, what to do next.

And it is refused early: before the curvature is factorised, with the model as it was.
"""

import re
import warnings

import autograd.numpy as anp
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, is_classifier, is_regressor
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    SGDRegressor,
)
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from skinfluence import (
    AutogradObjective,
    InfluenceClassifier,
    InfluenceRegressor,
    register_adapter,
)
from skinfluence.adapters import adapt, check_supported, final_step
from skinfluence.adapters.registry import REFUSED as REFUSED_TYPES
from skinfluence.adapters.registry import registered
from skinfluence.solvers import CG, Arnoldi, LiSSA, Nystroem
from tests.cases import classification, regression

DATA = classification(labels=["no", "yes"])
REAL = regression()
REALS = regression(n_outputs=2)


@pytest.fixture
def classifier():
    return InfluenceClassifier().fit(DATA.X, DATA.y)


@pytest.fixture
def pipeline():
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    return InfluenceClassifier(inner).fit(DATA.X, DATA.y)


@pytest.fixture
def regressor():
    return InfluenceRegressor().fit(REAL.X, REAL.y)


@pytest.fixture
def no_mechanism(monkeypatch):
    """Fail where the curvature is reached for."""

    def mechanism_at(*args, **kwargs):
        raise AssertionError("the curvature was reached for")

    monkeypatch.setattr("skinfluence.questions.fitted.Fitted.mechanism_at", mechanism_at)


def calls(X_test, y_test, **params):
    """Every public way to ask for scores."""
    return [
        lambda m: m.influence_scores(X_test, y_test, **params),
        lambda m: m.influence(X_test, y_test, **params),
        lambda m: m.leave_one_out_check(X_test, y_test, **params),
    ]


def refuse(model, error, message, X_test, y_test, **params):
    for call in calls(X_test, y_test, **params):
        with pytest.raises(error, match=message):
            call(model)


# ------------------------------------------------------------------------------ what is wrapped


def test_unfitted():
    for model in (InfluenceClassifier(), InfluenceRegressor()):
        message = rf"This {type(model).__name__} instance is not fitted yet\. Call 'fit'"
        refuse(model, NotFittedError, message, DATA.X_test, DATA.y_test)
        with pytest.raises(NotFittedError, match=message):
            model.predict(DATA.X_test)
        with pytest.raises(NotFittedError, match=message):
            model.score(DATA.X_test, DATA.y_test)


class Untouched(KNeighborsClassifier):
    def fit(self, X, y):
        raise AssertionError("fitted, though it is refused")


UNKNOWN = {
    "alone": Untouched(),
    "last step": make_pipeline(StandardScaler(), Untouched()),
    "frozen": FrozenEstimator(KNeighborsClassifier().fit(DATA.X, DATA.y)),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_estimator(name):
    message = (
        r"has no known objective, so its influence is not defined here\. Supported are linear and "
        r".*, forests and gradient boosting of scikit-learn, alone or as the last step of a "
        r"Pipeline\. .* "
        r"can be added: @skinfluence\.register_adapter\("
    )
    with pytest.raises(TypeError, match=message):
        InfluenceClassifier(UNKNOWN[name]).fit(DATA.X, DATA.y)


def test_transformer_as_last_step():
    model = InfluenceClassifier(Pipeline([("only", StandardScaler())]))
    with pytest.raises(TypeError, match="StandardScaler was given, which predicts nothing"):
        model.fit(DATA.X, DATA.y)


@pytest.mark.parametrize("last", ["passthrough", None])
def test_pipeline_without_a_final_estimator(last):
    model = InfluenceClassifier(Pipeline([("scale", StandardScaler()), ("none", last)]))
    message = (
        rf"The last step of the Pipeline is {last!r}: it has no final estimator, so nothing was "
        r"minimised\. End the Pipeline with a classifier or a regressor\."
    )
    with pytest.raises(TypeError, match=message):
        model.fit(DATA.X, DATA.y)


class Mine(LogisticRegression):
    pass


def test_subclass_of_a_known_estimator():
    message = (
        r"Mine is a subclass of LogisticRegression and may minimise something else; adapters are "
        r"found by exact type\. If its objective is known, register it: "
        r"@skinfluence\.register_adapter\(Mine\)\."
    )
    for inner in (Mine(), make_pipeline(StandardScaler(), Mine())):
        with pytest.raises(TypeError, match=message):
            InfluenceClassifier(inner).fit(DATA.X, DATA.y)


@pytest.mark.parametrize(
    "wrap", [lambda inner: inner, lambda i: make_pipeline(StandardScaler(), i)]
)
def test_wrong_kind(wrap):
    with pytest.raises(TypeError, match="was given Ridge, a regressor; use InfluenceRegressor"):
        InfluenceClassifier(wrap(Ridge())).fit(DATA.X, DATA.y)
    message = "was given RidgeClassifier, a classifier; use InfluenceClassifier"
    with pytest.raises(TypeError, match=message):
        InfluenceRegressor(wrap(RidgeClassifier())).fit(REAL.X, REAL.y)


KINDS_OF = dict(all_estimators())
PARTS = {
    "StackingClassifier": [("a", LogisticRegression())],
    "StackingRegressor": [("a", Ridge())],
    "VotingClassifier": [("a", LogisticRegression())],
    "VotingRegressor": [("a", Ridge())],
    "ClassifierChain": LogisticRegression(),
    "RegressorChain": Ridge(),
}


@pytest.mark.parametrize("name", REFUSED_TYPES)
def test_known_types_that_are_refused_have_a_reason_of_their_own(name):
    kind = KINDS_OF[name]  # a name that scikit-learn has
    inner = kind(PARTS[name]) if name in PARTS else kind()
    message = rf"^{name} was given, but \w.*[.:] (Use|Wrap|Refit|Fit) [^\n]*\.$"
    with pytest.raises(TypeError, match=message):
        check_supported(inner)
    if is_classifier(inner) or is_regressor(inner):
        wrapper = InfluenceClassifier if is_classifier(inner) else InfluenceRegressor
        for estimator in (inner, make_pipeline(StandardScaler(), inner)):
            model = wrapper(estimator)
            with pytest.raises(TypeError, match=message):
                model.fit(DATA.X, DATA.y)
            assert not hasattr(model, "estimator_")


def test_no_type_is_both_supported_and_refused():
    assert not {t.__name__ for t in registered()}.intersection(REFUSED_TYPES)


REFUSED = {
    "averaged folds": (
        LogisticRegressionCV(refit=False),
        r"LogisticRegressionCV\(refit=False\) averages the models of its folds .*use refit=True",
    ),
    "positive": (
        Ridge(positive=True),
        r"Ridge\(positive=True\) was given; its optimum lies on the bounds .*Use positive=False",
    ),
    "positive least squares": (LinearRegression(positive=True), "Use positive=False"),
    "positive lasso": (Lasso(positive=True), r"Lasso\(positive=True\) was given; .*bounds"),
    "crammer singer": (
        LinearSVC(multi_class="crammer_singer"),
        r"LinearSVC\(multi_class='crammer_singer'\) was given; .* Use multi_class='ovr'",
    ),
    "perceptron": (
        SGDClassifier(loss="perceptron"),
        r"SGDClassifier\(loss='perceptron'\) was given; .*no optimum .*Use loss='hinge'",
    ),
    "rows held out": (
        SGDRegressor(early_stopping=True),
        r"SGDRegressor\(early_stopping=True\) was given; .* Use early_stopping=False",
    ),
    "scaled process": (
        GaussianProcessRegressor(normalize_y=True),
        r"\(normalize_y=True\) was given; .*Use normalize_y=False inside a TransformedTarget",
    ),
    "inside one-vs-rest": (
        OneVsRestClassifier(SGDClassifier(loss="perceptron")),
        r"SGDClassifier\(loss='perceptron'\) was given",
    ),
    "search without a fit": (
        GridSearchCV(LogisticRegression(), {"C": [1.0]}, refit=False),
        r"GridSearchCV\(refit=False\) was given: it fits nothing on all rows\. Use refit=True\.",
    ),
    "inside a search": (
        RandomizedSearchCV(Ridge(positive=True), {"alpha": [1.0]}),
        r"Ridge\(positive=True\) was given",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_parameters_without_an_influence_function(name):
    inner, message = REFUSED[name]
    wrapper = InfluenceRegressor if is_regressor(inner) else InfluenceClassifier
    for estimator in (inner, make_pipeline(StandardScaler(), inner)):
        model = wrapper(estimator)
        with pytest.raises(ValueError, match=message):
            model.fit(DATA.X, DATA.y)
        assert not hasattr(model, "estimator_")


# -------------------------------------------------------------------- parameters of the wrapper

PARAMETERS = {
    "method": (
        "exactly",
        r"method='exactly' was given; accepted are \('auto', 'first_order', 'new",
    ),
    "refine": ("yes", "refine='yes' was given; accepted are 'auto', True and False"),
    "temperature": (
        0.1,
        r"^temperature=0\.1 was given, but it smooths hinges only and LogisticRegression with "
        r"these parameters has none; leave temperature=None\.$",
    ),
    "no temperature": (
        0,
        r"^temperature=0 was given; a positive number in the units of the raw predictions, or "
        r"None, is accepted\.$",
    ),
    "damping": (-1.0, r"damping=-1\.0 was given; a number >= 0 in the units of the Hessian"),
    "curvature": ("flat", r"curvature='flat' was given; accepted are \('auto', 'hessian', "),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_the_wrapper(name, classifier):
    value, message = PARAMETERS[name]
    name = name.rpartition(" ")[2]
    expected = classifier.influence_scores(DATA.X_test, DATA.y_test)
    with pytest.raises(ValueError, match=message):
        InfluenceClassifier(**{name: value}).fit(DATA.X, DATA.y)
    default = getattr(classifier, name)
    classifier.set_params(**{name: value})
    refuse(classifier, ValueError, message, DATA.X_test, DATA.y_test)
    classifier.set_params(**{name: default})
    np.testing.assert_array_equal(classifier.influence_scores(DATA.X_test, DATA.y_test), expected)


@pytest.mark.parametrize("temperature", [-0.1, float("nan"), float("inf"), "hot"])
def test_temperature_that_is_no_temperature(temperature):
    message = f"temperature={temperature!r} was given; a positive number in the units of the raw"
    with pytest.raises(ValueError, match=message):
        InfluenceClassifier(LinearSVC(loss="hinge"), temperature=temperature).fit(DATA.X, DATA.y)


WITHOUT_HINGE = {
    "squared hinge": LinearSVC(),
    "logistic by descent": SGDClassifier(loss="log_loss"),
    "inside": make_pipeline(StandardScaler(), OneVsRestClassifier(LinearSVC())),
    "squared tube": LinearSVR(loss="squared_epsilon_insensitive"),
    "transformed target": TransformedTargetRegressor(),
}


@pytest.mark.parametrize("name", WITHOUT_HINGE)
def test_temperature_without_a_hinge(name):
    inner = WITHOUT_HINGE[name]
    wrapper = InfluenceRegressor if is_regressor(inner) else InfluenceClassifier
    message = (
        rf"^temperature=0\.1 was given, but it smooths hinges only and "
        rf"{type(final_step(inner)).__name__} with these parameters has none; leave temperature="
    )
    with pytest.raises(ValueError, match=message):
        wrapper(inner, temperature=0.1).fit(DATA.X, DATA.y)


@pytest.mark.parametrize("damping", ["much", float("nan"), None])
def test_damping_that_is_no_number(damping):
    with pytest.raises(ValueError, match=f"damping={damping!r} was given; a number >= 0"):
        InfluenceClassifier(damping=damping).fit(DATA.X, DATA.y)


@pytest.mark.parametrize("solver", ["magic", "Cholesky", "CG", "", None, 3, CG, Arnoldi, object()])
def test_unknown_solver(solver, classifier):
    """Also what is a solver's type, not an object of it."""
    message = (
        rf"solver={re.escape(repr(solver))} was given; accepted are {NAMES} or a solver object, "
        r"such as skinfluence\.solvers\.Cholesky\(\)"
    )
    refuse(classifier.set_params(solver=solver), ValueError, message, DATA.X_test, DATA.y_test)


NAMES = "'auto', 'cholesky', 'lu', 'cg', 'lissa', 'nystroem'"

OUT_OF_RANGE = {
    "cg": (CG(rtol=0.0), r"CG\(rtol=0\.0, max_iter=1000\) was given; 0 < rtol < 1 .* Try CG\("),
    "cg, no iteration": (CG(max_iter=0), r"max_iter=0\) was given; .* max_iter >= 1 are accepted"),
    "cg, preconditioner": (
        CG(preconditioner="kronecker"),
        r"preconditioner='kronecker' was given; this model accepts \('auto', 'subsampled', "
        r"'block', 'jacobi', 'nystroem'\) and None\. Leave it at 'auto'",
    ),
    "lissa": (LiSSA(n_iter=0), r"LiSSA\(n_iter=0, .*\) was given; n_iter, .* Try LiSSA\(\)"),
    "lissa, scale": (LiSSA(scale=-1.0), r"scale=-1\.0.* was given; .* scale > 0 or None"),
    "nystroem": (Nystroem(rank=0), r"Nystroem\(rank=0.* was given; "),
    "arnoldi": (Arnoldi(rank=0), r"Arnoldi\(rank=0.* was given; "),
}


@pytest.mark.parametrize("name", OUT_OF_RANGE)
def test_parameters_of_solvers_out_of_their_range(name, classifier):
    solver, message = OUT_OF_RANGE[name]
    refuse(classifier.set_params(solver=solver), ValueError, message, DATA.X_test, DATA.y_test)
    classifier.set_params(solver="cholesky")
    assert np.all(np.isfinite(classifier.influence_scores(DATA.X_test, DATA.y_test)))


@pytest.mark.parametrize("solver", ["auto", "cholesky", "lu"])
@pytest.mark.parametrize("rows", [np.asarray, sparse.csr_matrix])
def test_collinear_columns_without_a_penalty(solver, rows):
    """Nearly so: factors tell; what iterates finds one of the solutions, which is not refused."""
    noise = 1e-9 * np.random.default_rng(0).standard_normal(len(DATA.X))
    X = np.column_stack([DATA.X, DATA.X[:, 0] - DATA.X[:, 1] + noise])
    inner = LogisticRegression(C=np.inf, tol=1e-8)
    model = InfluenceClassifier(inner, solver=solver).fit(rows(X), DATA.y)
    with pytest.raises(np.linalg.LinAlgError, match=r"singular .*collinear columns.*damping > 0"):
        model.influence_scores(rows(X[:3]), DATA.y[:3], method="first_order")


def test_embeddings_of_a_solver_that_has_none(classifier):
    message = r"splits the inverse curvature .*a CGFactor does not have it; .*Arnoldi\(rank"
    classifier.set_params(solver="cg")
    with pytest.raises(ValueError, match=message):
        classifier.influence_embedding()
    with pytest.raises(ValueError, match=message):
        classifier.influence_embedding(DATA.X_test, DATA.y_test)
    classifier.set_params(solver="auto")
    assert classifier.influence_embedding().shape == (len(DATA.y), 5)


def test_embeddings_of_test_rows_are_refused_as_scores_are(classifier, no_mechanism):
    X, y = DATA.X_test, DATA.y_test
    with pytest.raises(ValueError, match=r"y was given without X; .* Pass X as well"):
        classifier.influence_embedding(y=y)
    refused = [
        ((X, y), {"target": "predict"}),
        ((X, y), {"output": 0}),
        ((X[:, :2], y), {}),
        ((X, y[:3]), {}),
        ((np.where(X > 0, np.nan, X), y), {}),
        ((X, np.full(len(y), "maybe")), {}),
        ((X[:0], y[:0]), {}),
    ]
    for given, params in refused:
        with pytest.raises(ValueError) as expected:
            classifier.influence_scores(*given, method="first_order", **params)
        with pytest.raises(ValueError, match=re.escape(str(expected.value))):
            classifier.influence_embedding(*given, **params)


# ------------------------------------------------------------------------------ rows to train on


def test_one_class():
    with pytest.raises(ValueError, match="at least 2 classes in the data, but the data contains"):
        InfluenceClassifier().fit(DATA.X, np.full(len(DATA.X), "no"))


def test_one_class_that_the_inner_fit_accepts():
    model = InfluenceClassifier(RidgeClassifier()).fit(DATA.X, np.full(len(DATA.X), "no"))
    message = r"RidgeClassifier was fitted on one class, \['no'\]; at least two are accepted"
    refuse(model, ValueError, message, DATA.X_test, np.full(len(DATA.X_test), "no"))


NEGATIVE = r"Negative sample weights.* were given \(1, the first -1 at row 3\); weights >= 0 are"


@pytest.mark.parametrize("key", ["sample_weight", "logisticregression__sample_weight"])
def test_negative_weights(key):
    s = np.where(np.arange(len(DATA.y)) == 3, -1.0, 1.0)
    model = InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
    with pytest.raises(ValueError, match=NEGATIVE):
        model.fit(DATA.X, DATA.y, **{key: s})
    assert not hasattr(model, "estimator_")


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_weights_that_the_adapter_alone_sees(value):
    """An adapter is asked without the wrapper, or by weights of another name."""
    s = np.where(np.arange(len(DATA.y)) == 3, value, 1.0)
    fitted = LogisticRegression().fit(DATA.X, DATA.y)
    with pytest.raises(ValueError, match=rf"first {value:g} at row 3\); weights >= 0 are accepted"):
        adapt(fitted, DATA.X, DATA.y, s)


EMPTIED = {
    "sample weights": ({}, (DATA.y == "yes").astype(float)),
    "class weights": ({"class_weight": {"no": 0.0, "yes": 1.0}}, None),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", EMPTIED)
def test_class_without_weight(name):
    params, s = EMPTIED[name]
    model = InfluenceClassifier(LogisticRegression(**params)).fit(DATA.X, DATA.y, s)
    message = (
        r"The rows of \['no'\] all have weight 0 \(sample_weight times class_weight\): .* "
        r"Give their rows a positive weight, or fit without them\."
    )
    refuse(model, ValueError, message, DATA.X_test, DATA.y_test)


@pytest.mark.skipif("multi_class" not in LogisticRegression().get_params(), reason="gone since 1.8")
@pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")
@pytest.mark.parametrize(
    "params",
    [
        {"solver": "liblinear", "class_weight": "balanced"},
        {"solver": "liblinear", "class_weight": {0: 1.0, 1: 3.0, 2: 1.0}},
        {"multi_class": "ovr", "class_weight": "balanced"},
    ],
)
def test_class_weights_of_one_vs_rest(params):
    data = classification(n_classes=3)
    model = InfluenceClassifier(LogisticRegression(**params)).fit(data.X, data.y)
    message = r"One-vs-rest LogisticRegression\(class_weight=.* on 3 classes was given; every class"
    refuse(model, ValueError, message, data.X_test, data.y_test)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_all_weights_zero():
    """Where scikit-learn does not refuse them in `fit`, the first score does."""
    zero = np.zeros(len(DATA.X))
    message = r"All sample weights are zero: .*Pass at least one|contain at least one non-zero"
    with pytest.raises(ValueError, match=message):
        InfluenceClassifier().fit(DATA.X, DATA.y, zero).influence_scores(DATA.X_test, DATA.y_test)
    named = {"logisticregression__sample_weight": zero}
    pipeline = InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
    with pytest.raises(ValueError, match=message):
        pipeline.fit(DATA.X, DATA.y, **named).influence_scores(DATA.X_test, DATA.y_test)
    message = "contain at least one non-zero|Weights sum to zero"
    with pytest.raises((ValueError, ZeroDivisionError), match=message):
        InfluenceRegressor().fit(REAL.X, REAL.y, zero)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("solver", ["lbfgs", "newton-cholesky"])
def test_separable_data_without_penalty(solver):
    X = np.linspace(-1.0, 1.0, 20)[:, None]
    y = (X[:, 0] > 0).astype(int)
    model = InfluenceClassifier(LogisticRegression(C=np.inf, solver=solver)).fit(X, y)
    message = (
        r"The objective has no finite optimum: without a penalty the training rows are separated, "
        r".*Fit with a penalty \(a finite C, alpha > 0\)\."
    )
    refuse(model, ValueError, message, X[:1], y[:1])
    assert model.predict([[0.5]]) == 1


@pytest.mark.parametrize(
    ("shape", "matrix"),
    [((700, 300), "curvature of 301 parameters"), ((300, 900), "curvature by its 300 rows")],
    ids=["tall", "wide"],
)
def test_more_parameters_than_memory(shape, matrix, monkeypatch):
    X = sparse.random(*shape, density=0.02, format="csr", random_state=0)
    y = np.arange(shape[0]) % 2
    model = InfluenceClassifier().fit(X, y)
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 1e6)
    message = (
        rf"The {matrix}.* and its factor needs [\d.]+ [MK]iB and 976\.6 KiB "
        r"are available\. Fit the model on fewer features \(SelectKBest, TruncatedSVD, "
    )
    with pytest.raises(MemoryError, match=message):
        model.influence_scores(X[:2], y[:2])
    assert model.predict(X[:2]).shape == (2,)


def test_far_more_parameters_than_rows_are_no_trouble():
    """400,000 columns would need a matrix of 2,384 GiB; 40 rows need none of it."""
    X = sparse.random(40, 400_000, density=1e-4, format="csr", random_state=0)
    y = np.arange(40) % 2
    model = InfluenceClassifier(LogisticRegression(tol=1e-8)).fit(X, y)
    scores = model.influence_scores(X[:2], y[:2])
    few = X[:, np.unique(X.nonzero()[1])]  # columns without entries change nothing
    same = InfluenceClassifier(LogisticRegression(tol=1e-8)).fit(few.toarray(), y)
    np.testing.assert_allclose(scores, same.influence_scores(few[:2].toarray(), y[:2]), rtol=1e-5)


# ------------------------------------------------------------------------------------ test rows


@pytest.mark.usefixtures("no_mechanism")
@pytest.mark.parametrize(("value", "name"), [(np.nan, "NaN"), (np.inf, "infinity or a value too")])
@pytest.mark.parametrize("model", ["classifier", "pipeline"])
def test_test_rows_that_are_not_finite(model, value, name, request):
    X_test = DATA.X_test.copy()
    X_test[3, 1] = value
    model = request.getfixturevalue(model)
    if np.isnan(value) or not isinstance(model.estimator_, Pipeline):
        name = f"Input X_test contains {name}"
        name += r".*Finite features are accepted by the final step: drop these rows, or impute them"
    refuse(model, ValueError, name, X_test, DATA.y_test)
    if not isinstance(model.estimator_, Pipeline):
        refuse(model, ValueError, name, sparse.csr_matrix(X_test), DATA.y_test)


@pytest.mark.usefixtures("no_mechanism")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_test_targets_that_are_not_finite(regressor, value):
    y_test = REAL.y_test.copy()
    y_test[3] = value
    message = (
        r"Targets with NaN or infinity were given; finite numbers are accepted\. Drop or impute"
    )
    refuse(regressor, ValueError, message, REAL.X_test, y_test)


@pytest.mark.usefixtures("no_mechanism")
def test_test_labels_that_are_nan():
    model = InfluenceClassifier().fit(DATA.X, (DATA.y == "yes").astype(float))
    y_test = np.where(np.arange(len(DATA.y_test)) == 3, np.nan, 1.0)
    message = r"The labels \[nan\] were never seen in training; the model knows \[0\.0, 1\.0\]"
    refuse(model, ValueError, message, DATA.X_test, y_test)


@pytest.mark.usefixtures("no_mechanism")
@pytest.mark.parametrize("target", ["loss", "predict_proba"])
@pytest.mark.parametrize("model", ["classifier", "pipeline"])
def test_test_label_that_was_never_seen(model, target, request):
    message = (
        r"The labels \['maybe'\] were never seen in training; the model knows \['no', 'yes'\]\. "
        "Drop these rows, or pass a target that needs no label"
    )
    y_test = np.where(np.arange(len(DATA.y_test)) == 3, "maybe", DATA.y_test)
    model = request.getfixturevalue(model)
    refuse(model, ValueError, message, DATA.X_test, y_test, target=target)


@pytest.mark.usefixtures("no_mechanism")
@pytest.mark.parametrize(
    "inner",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline("passthrough", LogisticRegression()),
        make_pipeline(LogisticRegression()),
        FrozenEstimator(LogisticRegression().fit(DATA.X, DATA.y)),
    ],
)
def test_wrong_number_of_features(inner):
    model = InfluenceClassifier(inner).fit(DATA.X, DATA.y)
    message = r"X has 3 features, but \w+ is expecting 4 features as input"
    refuse(model, ValueError, message, DATA.X_test[:, :3], DATA.y_test)


@pytest.mark.usefixtures("no_mechanism")
def test_wrong_number_of_targets(classifier):
    refuse(classifier, ValueError, r"inconsistent numbers of samples: \[12, 11\]", DATA.X_test,
           DATA.y_test[1:])  # fmt: skip
    model = InfluenceRegressor().fit(REALS.X, REALS.y)
    message = r"Targets of shape \(12, 1\) were given; the model predicts 2 output\(s\), so shape"
    refuse(model, ValueError, message, REALS.X_test, REALS.y_test[:, 0])


@pytest.mark.usefixtures("no_mechanism")
def test_empty_test_set(classifier):
    message = "X_test has no rows; at least one test row is needed"
    for X_test in (DATA.X_test[:0], [], sparse.csr_matrix(DATA.X_test[:0])):
        refuse(classifier, ValueError, message, X_test, DATA.y_test[:0])


@pytest.mark.usefixtures("no_mechanism")
@pytest.mark.parametrize("X_test", [None, 3.0, "rows", np.float64(3.0)])
def test_test_rows_that_are_none(classifier, pipeline, X_test):
    message = r"X_test=.* was given; test rows of shape \(n_test, n_features\) are accepted\."
    for model in (classifier, pipeline):
        refuse(model, ValueError, message, X_test, DATA.y_test)


@pytest.mark.usefixtures("no_mechanism")
def test_one_test_row_without_its_second_dimension(classifier, pipeline):
    message = r"X_test of 1 dimension\(s\) was given; .* Pass one row as X_test\.reshape\(1, -1\)"
    for X_test in (DATA.X_test[0], DATA.X_test[0].tolist()):
        for y_test in (DATA.y_test[:1], DATA.y_test[: len(X_test)]):
            refuse(classifier, ValueError, message, X_test, y_test)
            refuse(pipeline, ValueError, message, X_test, y_test)


@pytest.mark.usefixtures("no_mechanism")
def test_targets_of_another_kind(classifier, regressor):
    message = r"y_test=3\.0 was given; one target for every test row, .* pass \[3\.0\]\."
    refuse(regressor, ValueError, message, REAL.X_test, 3.0)
    refuse(classifier, ValueError, "y_test='no' was given; one target", DATA.X_test, "no")
    message = r"y_test of type <U3 was given and has entries that are no numbers .* a regressor acc"
    refuse(regressor, ValueError, message, REAL.X_test, DATA.y_test)
    y_test = [None, *DATA.y_test[1:]]
    message = r"y_test mixes labels of the types \['NoneType', '.*'\]; .* Drop the rows whose label"
    refuse(classifier, ValueError, message, DATA.X_test, y_test)
    refuse(classifier, ValueError, message, DATA.X_test, y_test, target="decision_function")


@pytest.mark.usefixtures("no_mechanism")
@pytest.mark.parametrize("output", [1.5, True])
def test_outputs_that_are_no_positions(output):
    model = InfluenceRegressor().fit(REALS.X, REALS.y)
    message = rf"output={output!r} was given; the position of an output, an integer, or its name is"
    refuse(model, ValueError, message, REALS.X_test, None, target="predict", output=output)


@pytest.mark.usefixtures("no_mechanism")
def test_outputs_of_no_name():
    model = InfluenceRegressor().fit(REALS.X, REALS.y)
    message = r"output='a' was given; the model has the outputs \['output 0', 'output 1'\] \(2 in"
    refuse(model, ValueError, message, REALS.X_test, None, target="predict", output="a")


@pytest.mark.usefixtures("no_mechanism")
def test_loss_without_targets(classifier, regressor):
    message = (
        "target='loss' was asked for without y_test, and a loss needs the true targets. Pass "
        "y_test, or another target"
    )
    refuse(classifier, ValueError, message, DATA.X_test, None)
    refuse(regressor, ValueError, message, REAL.X_test, None)


# -------------------------------------------------------------------------------- ways of asking


@pytest.mark.usefixtures("no_mechanism")
def test_targets_the_model_does_not_have(classifier, regressor):
    message = r"target='predict' was given; this model has the targets \('loss', 'decision_functi"
    refuse(classifier, ValueError, message, DATA.X_test, DATA.y_test, target="predict")
    message = r"this model has the targets \('loss', 'predict', 'linear_predictor'\)"
    refuse(regressor, ValueError, message, REAL.X_test, REAL.y_test, target="predict_proba")
    ridge = InfluenceClassifier(RidgeClassifier()).fit(DATA.X, DATA.y)
    message = r"this model has the targets \('loss', 'decision_function'\)"
    refuse(ridge, ValueError, message, DATA.X_test, DATA.y_test, target="predict_proba")


@pytest.mark.usefixtures("no_mechanism")
def test_method_of_a_call(classifier):
    accepted = r"\('auto', 'first_order', 'newton', 'exact', 'out_of_bag', 'tracin'\)"
    message = r"method='best' was given; accepted are " + accepted
    refuse(classifier, ValueError, message, DATA.X_test, DATA.y_test, method="best")


@pytest.mark.usefixtures("no_mechanism")
def test_outputs(classifier, regressor):
    message = (
        "output=0 was given with target='loss', but the loss is summed over the outputs and the "
        "class of a classifier is chosen by y_test. Leave output=None"
    )
    refuse(regressor, ValueError, message, REAL.X_test, REAL.y_test, output=0)
    message = "output=1 was given with target='predict_proba', but"
    refuse(classifier, ValueError, message, DATA.X_test, None, output=1, target="predict_proba")
    model = InfluenceRegressor().fit(REALS.X, REALS.y)
    message = "The model has 2 outputs; say which one the target is of, output=0 to 1"
    refuse(model, ValueError, message, REALS.X_test, None, target="predict")
    message = "output=2 was given; the model has the outputs 0 to 1"
    refuse(model, ValueError, message, REALS.X_test, None, target="predict", output=2)


@pytest.mark.usefixtures("no_mechanism")
def test_aggregate(classifier):
    with pytest.raises(ValueError, match=r"aggregate='max' was given; .* or 'mean', 'sum'"):
        classifier.influence_scores(DATA.X_test, DATA.y_test, aggregate="max")


@pytest.mark.usefixtures("no_mechanism")
@pytest.mark.parametrize("top", [0, -1, 1.5, "all"])
def test_top(classifier, top):
    with pytest.raises(ValueError, match=f"top={top!r} was given; None or a number of rows >= 1"):
        classifier.influence(DATA.X_test, DATA.y_test, top=top)


ROWS = {
    "none": (0, "rows=0 was given; a number of rows >= 1, or rows, are accepted"),
    "not whole": (1.5, r"rows=\[1\.5\] are labels, and the training rows have none"),
    "all": ("all", r"rows=\['all'\] are labels, and the training rows have none"),
    "out of range": (
        [3, 60],
        r"rows \[60\] are out of range; positions from 0 to 59, each once, a",
    ),
    "negative": ([-1, 3], r"rows \[-1\] are out of range"),
    "twice": ([3, 5, 3], "rows has duplicates; positions from 0 to 59, each once, are accepted"),
    "real": ([1.0, 2.0], r"rows=\[1\.0, 2\.0\] are labels, and the training rows have none"),
    "mask": (np.ones(59, dtype=bool), r"a mask of shape \(59,\) was given; a mask has an entry"),
    "matrix": ([[1, 2]], "rows has rows in more than one dimension"),
    "empty": ([], "rows is empty"),
}


@pytest.mark.usefixtures("no_mechanism")
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_the_check(classifier, name):
    rows, message = ROWS[name]
    with pytest.raises(ValueError, match=message):
        classifier.leave_one_out_check(DATA.X_test, DATA.y_test, rows=rows)


@pytest.mark.usefixtures("no_mechanism")
def test_ways_of_checking(classifier):
    with pytest.raises(ValueError, match="select='best' was given; accepted are 'extreme' and 'ra"):
        classifier.leave_one_out_check(DATA.X_test, DATA.y_test, select="best")
    with pytest.raises(
        ValueError, match="refit='all' was given; accepted are 'final', 'pipeline' and"
    ):
        classifier.leave_one_out_check(DATA.X_test, DATA.y_test, refit="all")


def test_errors_leave_the_model_usable(classifier):
    expected = InfluenceClassifier().fit(DATA.X, DATA.y)
    expected = expected.influence_scores(DATA.X_test, DATA.y_test)
    for params in ({"target": "predict"}, {"method": "best"}, {"output": 3}):
        for call in calls(DATA.X_test, DATA.y_test, **params):
            with pytest.raises(ValueError, match="was given"):
                call(classifier)
    np.testing.assert_array_equal(classifier.influence_scores(DATA.X_test, DATA.y_test), expected)


# ---------------------------------------------------------------- networks, and models of one's own

NETWORK = {"hidden_layer_sizes": (3,), "activation": "tanh", "alpha": 0.5, "random_state": 0}
ONCE = {**NETWORK, "solver": "lbfgs", "max_iter": 500}
EPOCHS = {**NETWORK, "solver": "adam", "max_iter": 30}


@pytest.fixture
def network():
    return InfluenceRegressor(MLPRegressor(**ONCE), damping=0.1).fit(REAL.X, REAL.y)


quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_unknown_solver_and_curvature_of_a_network(network):
    network.set_params(solver="magic")
    message = rf"solver='magic' was given; accepted are {NAMES} or a solver object"
    refuse(network, ValueError, message, REAL.X_test, REAL.y_test)
    network.set_params(solver="auto", curvature="kfac")
    message = r"curvature='kfac' was given; accepted are \('auto', 'hessian', 'gauss_newton', 'fish"
    refuse(network, ValueError, message, REAL.X_test, REAL.y_test)
    with pytest.raises(ValueError, match=message):
        InfluenceRegressor(MLPRegressor(**ONCE), curvature="kfac").fit(REAL.X, REAL.y)
    network.set_params(curvature="auto")
    assert np.all(np.isfinite(network.influence_scores(REAL.X_test, REAL.y_test)))


REFUSED_NETWORKS = {
    "no seed": (
        {"early_stopping": True, "random_state": None},
        r"\(early_stopping=True, random_state=None\) was given; it holds some rows out of the fit, "
        r"at random, and does not say which\. Pass an integer random_state, .* or early_stopping=F",
    ),
    "a generator": (
        {"early_stopping": True, "random_state": np.random.RandomState(0)},
        r"\(early_stopping=True, random_state=RandomState\(.*does not say which\. Pass an integer",
    ),
    "fitted twice": (
        {"early_stopping": True, "warm_start": True},
        r"\(early_stopping=True, warm_start=True\) was given; which rows it held out depends on how"
        r" often it was fitted\. Use warm_start=False\.",
    ),
}


@pytest.mark.parametrize("name", REFUSED_NETWORKS)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_rows_held_out_that_are_not_known(name, kind):
    params, message = REFUSED_NETWORKS[name]
    inner = kind(**{**EPOCHS, **params})
    wrapper = InfluenceRegressor if kind is MLPRegressor else InfluenceClassifier
    for estimator in (inner, make_pipeline(StandardScaler(), inner)):
        model = wrapper(estimator)
        with pytest.raises(ValueError, match=kind.__name__ + message):
            model.fit(REAL.X, REAL.y)
        assert not hasattr(model, "estimator_")


@quiet
def test_parameters_of_early_stopping_that_lbfgs_does_not_use():
    """Nothing is held out there, whatever they say."""
    params = {**ONCE, "early_stopping": True, "random_state": None, "warm_start": True}
    model = InfluenceRegressor(MLPRegressor(**params), damping=0.1).fit(REAL.X, REAL.y)
    assert np.all(model._current().objective().sample_weight == 1.0)


@quiet
def test_rows_left_by_early_stopping():
    model = InfluenceRegressor(MLPRegressor(**EPOCHS, early_stopping=True)).fit(REAL.X, REAL.y)
    message = (
        r"without was asked of MLPRegressor\(early_stopping=True\), which holds rows out of the "
        r"fit: of other rows it would hold out others\. Fit with early_stopping=False\."
    )
    with pytest.raises(ValueError, match=message):
        model.without([0])


def test_diagnostics_of_a_network(network):
    message = (
        r"diagnostics are defined for linear models, and NetworkObjective is none; "
        r"parameter_influence\(\) and self_influence\(\) are defined for it\."
    )
    with pytest.raises(ValueError, match=message):
        network.diagnostics()


@quiet
@pytest.mark.parametrize("wrap", [lambda i: i, lambda i: make_pipeline(StandardScaler(), i)])
def test_tracin_without_a_record(wrap):
    model = InfluenceRegressor(wrap(MLPRegressor(**EPOCHS))).fit(REAL.X, REAL.y)
    message = (
        r"method='tracin' was given, but MLPRegressor kept no checkpoints of its training; a "
        r"RecordedTraining is accepted\. Wrap RecordedTraining\(MLPRegressor\(\.\.\.\)\), as the "
        r"last step where there is a Pipeline, and fit again\."
    )
    for ask in (
        lambda: model.influence_scores(REAL.X_test, REAL.y_test, method="tracin"),
        lambda: model.influence(REAL.X_test, REAL.y_test, method="tracin"),
        lambda: model.self_influence(method="tracin").scores,
    ):
        with pytest.raises(ValueError, match=message):
            ask()


PARTS_OF_NETWORKS = {
    "one against the rest": (OneVsRestClassifier, MLPClassifier),
    "one against one": (OneVsOneClassifier, MLPClassifier),
    "labels": (MultiOutputClassifier, MLPClassifier),
    "targets": (MultiOutputRegressor, MLPRegressor),
}


@pytest.mark.parametrize("name", PARTS_OF_NETWORKS)
def test_networks_as_parts(name):
    outer, inner = PARTS_OF_NETWORKS[name]
    data = REALS if inner is MLPRegressor else classification(n_classes=3)
    y = np.column_stack([data.y, data.y]) if outer is MultiOutputClassifier else data.y
    wrapper = InfluenceRegressor if inner is MLPRegressor else InfluenceClassifier
    message = (
        rf"over {inner.__name__} was given; linear models and kernels are accepted inside a "
        r"meta-estimator\. Wrap its parts one by one"
    )
    with pytest.raises(ValueError, match=message):
        wrapper(outer(inner(**ONCE))).fit(data.X, y)


def like_units():
    """Return a network whose Gauss-Newton matrix has no inverse: its units are lines."""
    inner = MLPRegressor(**{**ONCE, "hidden_layer_sizes": (2, 2), "activation": "identity"})
    return InfluenceRegressor(inner).fit(REAL.X, REAL.y)


@pytest.mark.parametrize("method", ["first_order", "newton"])
def test_a_singular_gauss_newton_matrix_names_the_damping_that_works(method, monkeypatch):
    """Where training rows see what is flat, as under a loss that is flat for some of them."""
    monkeypatch.setattr("skinfluence.mechanisms.nonlinear._flat_and_unseen", lambda *_: None)
    model = like_units()
    message = (
        r"The Gauss-Newton matrix of this network of \d+ parameters has no inverse: units that do "
        r"nothing, .* Pass for example damping=[\d.e+-]+, a thousandth of the largest curvature, "
        r"or method='exact', which needs no inverse\."
    )
    with pytest.raises(ValueError, match=message) as said:
        model.influence_scores(REAL.X_test, REAL.y_test, method=method)
    damping = float(str(said.value).split("damping=")[1].split(",")[0])
    model.set_params(damping=damping)
    found = model.influence_scores(REAL.X_test, REAL.y_test, method=method)
    assert np.all(np.isfinite(found))
    assert np.abs(found).max() > 0
    model.set_params(damping=0.0)
    exact = model.influence_scores(REAL.X_test, REAL.y_test, method="exact")
    assert np.all(np.isfinite(exact))


@quiet
def test_an_indefinite_hessian_names_the_damping_that_works():
    model = InfluenceRegressor(MLPRegressor(**EPOCHS), curvature="hessian").fit(REAL.X, REAL.y)
    message = (
        r"not positive definite: its smallest eigenvalue is -[\d.e+]+\. .* Pass damping > [\d.e+]+"
        r" \(twice that, to be away from the pole\), refine=True to move to a minimum, "
    )
    with pytest.raises(ValueError, match=message) as said:
        model.influence_scores(REAL.X_test, REAL.y_test)
    damping = float(str(said.value).split("damping > ")[1].split()[0])
    model.set_params(damping=1.01 * damping)
    assert np.all(np.isfinite(model.influence_scores(REAL.X_test, REAL.y_test)))


def frozen(inner, X, y):
    """Return a pipeline around a network that was trained by `partial_fit`, on X and y."""
    scaler = StandardScaler().fit(X)
    for _ in range(60):
        inner.partial_fit(scaler.transform(X), y)
    return make_pipeline(StandardScaler(), FrozenEstimator(inner))


def test_a_network_of_partial_fits_over_rows_that_are_not_its_own():
    pipeline = frozen(MLPRegressor(**{**EPOCHS, "learning_rate_init": 0.05}), REAL.X, REAL.y)
    model = InfluenceRegressor(pipeline, damping=1.0).fit(REAL.X[::-1], 20.0 * REAL.y)
    message = (
        r"(?s)MLPRegressor stopped before its stationary point: .* is [\d.]+ times"
        r".*pass refine=True.*do not look like the rows, weights or hyper-parameters this model was"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        model.influence_scores(REAL.X_test, REAL.y_test)


@pytest.mark.parametrize("target", ["loss", "predict"])
@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_a_network_under_a_transformed_target(target, method):
    """The scores of the network on scaled targets; of predictions, in units of the target."""
    transformer = StandardScaler()
    scaled = transformer.fit_transform(REAL.y[:, None])[:, 0]
    scaled_test = transformer.transform(REAL.y_test[:, None])[:, 0]
    inner = MLPRegressor(**ONCE)
    outer = TransformedTargetRegressor(inner, transformer=StandardScaler())
    one = InfluenceRegressor(outer, damping=0.3).fit(REAL.X, REAL.y)
    two = InfluenceRegressor(inner, damping=0.3).fit(REAL.X, scaled)
    found = one.influence_scores(REAL.X_test, REAL.y_test, target=target, method=method)
    expected = two.influence_scores(REAL.X_test, scaled_test, target=target, method=method)
    # The loss is that which was minimised, of the scaled targets.
    unit = transformer.scale_[0] if target == "predict" else 1.0
    assert np.linalg.norm(found - unit * expected) <= 1e-6 * np.linalg.norm(found)


def gate(theta, X, y):
    return anp.log(anp.cosh(theta[0] * anp.tanh(X @ theta[1:5]) + theta[5] - y))


def line(theta, X):
    return X @ theta[:4] + theta[4]


class Gate(BaseEstimator, RegressorMixin):
    """A model of one's own; `parts` chooses what it tells of itself."""

    def __init__(self, parts="loss"):
        self.parts = parts

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return np.zeros(len(X))


@register_adapter(Gate)
def gate_objective(estimator, X, y, sample_weight):
    if estimator.parts == "loss":
        return AutogradObjective(gate, np.full(6, 0.3), l2=5.0)
    return AutogradObjective(
        lambda eta, y: anp.log(anp.cosh(eta - y)), np.full(5, 0.3), l2=5.0, predict=line
    )


@pytest.mark.parametrize("curvature", ["gauss_newton", "fisher"])
def test_curvatures_that_a_model_of_ones_own_has_not(curvature):
    model = InfluenceRegressor(Gate(), curvature=curvature).fit(REAL.X, REAL.y)
    message = (
        rf"curvature='{curvature}' was given, but AutogradObjective has no raw predictions and "
        r"offers only its Hessian; use curvature='auto', or state the model with predict=\."
    )
    with pytest.raises(ValueError, match=message):
        model.influence_scores(REAL.X_test, REAL.y_test)


def test_fisher_information_of_a_loss_that_is_not_canonical():
    model = InfluenceRegressor(Gate("both"), curvature="fisher").fit(REAL.X, REAL.y)
    message = (
        r"curvature='fisher' was given, but under AutogradLoss, which is not canonical, the "
        r"expected information is another matrix than those there are\. Use curvature='auto'\."
    )
    with pytest.raises(ValueError, match=message):
        model.influence_scores(REAL.X_test, REAL.y_test)
    model.set_params(curvature="gauss_newton", damping=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert np.all(np.isfinite(model.influence_scores(REAL.X_test, REAL.y_test)))


@pytest.mark.parametrize("parts", ["loss", "both"])
def test_a_model_of_ones_own_under_a_transformed_target(parts):
    outer = TransformedTargetRegressor(Gate(parts), transformer=StandardScaler())
    message = (
        r"Gate under a TransformedTargetRegressor was given, but its own objective is stated for "
        r"the targets it was fitted on\. Wrap it without, and transform the targets beforehand\."
    )
    model = InfluenceRegressor(outer, damping=1.0).fit(REAL.X, REAL.y)
    with pytest.raises(ValueError, match=message):
        model.influence_scores(REAL.X_test, REAL.y_test)


def test_targets_that_a_model_of_ones_own_has_not():
    model = InfluenceRegressor(Gate(), damping=1.0).fit(REAL.X, REAL.y)
    with pytest.raises(ValueError, match=r"target='predict' was given; .*\('loss',\)"):
        model.influence_scores(REAL.X_test, REAL.y_test, target="predict")


@quiet
def test_wrong_rows_of_a_network(network):
    message = r"X has 3 features, but MLPRegressor is expecting 4 features as input"
    refuse(network, ValueError, message, REAL.X_test[:, :3], REAL.y_test)
    X_test = REAL.X_test.copy()
    X_test[0, 0] = np.nan
    message = "Input X_test contains NaN.*Finite features are accepted by the final step"
    refuse(network, ValueError, message, X_test, REAL.y_test)
    refuse(network, ValueError, r"target='predict_proba' was given; this model has the targets",
           REAL.X_test, REAL.y_test, target="predict_proba")  # fmt: skip


ON_WITH_MISSING = {
    "tree": DecisionTreeClassifier(max_depth=3),
    "forest": RandomForestClassifier(5, random_state=0),
    "histograms": HistGradientBoostingClassifier(max_iter=5),
    "last step": make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5)),
}


@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize("name", ON_WITH_MISSING)
def test_missing_values_where_the_final_step_goes_on_with_them(name, frame):
    """Test rows with them are those that scikit-learn predicts; infinite ones are not."""
    model = InfluenceClassifier(ON_WITH_MISSING[name])
    take = pd.DataFrame if frame else np.asarray
    model.fit(take(DATA.X), DATA.y)
    holes, infinite = DATA.X_test.copy(), DATA.X_test.copy()
    holes[::2, 0] = np.nan
    infinite[1, 1] = np.inf
    scores = model.influence_scores(take(holes), DATA.y_test)
    assert np.isfinite(scores).all() and np.any(scores)
    # StandardScaler is asked first.
    message = "infinity" if name == "last step" else r"infinity.* Finite or missing \(NaN\) feat"
    with pytest.raises(ValueError, match=message):
        model.influence_scores(take(infinite), DATA.y_test)
    with pytest.raises(ValueError, match=r"NaN\. Finite features are accepted by the final step"):
        InfluenceClassifier().fit(DATA.X, DATA.y).influence_scores(holes, DATA.y_test)


def test_infinite_features_beside_categories():
    """A table of objects is no array of numbers, and its numbers are looked at all the same."""
    kinds = pd.Series(["a", "b", None] * 4, dtype="category")
    frame = pd.DataFrame(DATA.X_test[:12]).rename(columns=str).assign(kind=kinds)
    y = DATA.y_test[:12]
    model = InfluenceClassifier(
        HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype")
    ).fit(frame, y)
    frame.loc[3, "1"] = np.inf
    message = r"contains infinity.* Finite or missing \(NaN\) features are accepted by the final"
    with pytest.raises(ValueError, match=message):
        model.influence_scores(frame, y)
