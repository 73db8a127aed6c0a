"""Rows of the caller stay as they are, and go through the transformers once a question."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Lasso, LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, StandardScaler
from sklearn.svm import SVR

from skinfluence import InfluenceRegressor
from skinfluence.models import RecordedTraining
from tests.cases import REAL

CALLS = []
"""Numbers of rows that `Doubled.transform` was given, in the order of its calls."""


class Doubled(TransformerMixin, BaseEstimator):
    """Doubles rows where they are, or in a copy, and counts its calls."""

    def __init__(self, copy=False):
        self.copy = copy

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        CALLS.append(X.shape[0])
        if self.copy:
            return 2.0 * X
        if hasattr(X, "iloc"):
            X.iloc[:, :] = 2.0 * X.to_numpy()
        elif sparse.issparse(X):
            X.data *= 2.0
        else:
            X *= 2.0
        return X


LAYERS = {"hidden_layer_sizes": (3,), "activation": "tanh", "random_state": 0}
NET = MLPRegressor(solver="lbfgs", alpha=1.0, **LAYERS)
STEPS = MLPRegressor(solver="sgd", max_iter=5, tol=0.0, **LAYERS)

FORMS = {
    "array": np.array,
    "sparse": lambda X: sparse.csr_matrix(np.where(np.abs(X) > 0.3, X, 0.0)),
    "frame": lambda X: pd.DataFrame(np.array(X), columns=list("abcd")),
}

QUESTIONS = {
    "influence_scores": lambda m, X, y: m.influence_scores(X, y),
    "exact": lambda m, X, y: m.influence_scores(X, y, method="exact"),
    "influence": lambda m, X, y: m.influence(X, y, top=3).scores,
    "group_influence": lambda m, X, y: m.group_influence(np.arange(60) % 4, X, y).scores,
    "input_influence": lambda m, X, y: m.input_influence(X, y, rows=[0, 5]).derivatives,
    "relabel_influence": lambda m, X, y: m.relabel_influence(np.arange(60.0), X, y).scores,
    "influence_embedding": lambda m, X, y: m.influence_embedding(X, y),
    "check": lambda m, X, y: m.leave_one_out_check(X, y, rows=3).actual,
}
OF_TRAINING_ROWS = {
    "leave_one_out": lambda m: m.leave_one_out().predictions,
    "self_influence": lambda m: m.self_influence().scores,
    "parameter_influence": lambda m: m.parameter_influence().changes,
    "diagnostics": lambda m: m.diagnostics().cooks_distance,
    "without": lambda m: m.without([0, 3]).estimator_[-1].coef_,
    "embedding": lambda m: m.influence_embedding(),
}


def bytes_of(X):
    if hasattr(X, "iloc"):
        X = X.to_numpy()
    return (X.data if sparse.issparse(X) else np.asarray(X)).tobytes()


class Watched:
    """Arrays of a caller; `same` says that none has changed."""

    def __init__(self, *given):
        self.given, self.before = given, [bytes_of(one) for one in given]

    def same(self):
        return [bytes_of(one) for one in self.given] == self.before


def pair(form, *more, final=None):
    """Return two wrappers, whose transformer works in place and in a copy, fitted, and their rows.

    The last is watched: the training rows, new rows, and their targets.
    """
    final = Ridge() if final is None else final
    X, X_test, y, y_test = (
        FORMS[form](REAL.X),
        FORMS[form](REAL.X_test),
        REAL.y.copy(),
        REAL.y_test.copy(),
    )
    watched = Watched(X, X_test, y, y_test)
    models = [
        InfluenceRegressor(make_pipeline(Doubled(copy), *more, clone(final))).fit(X, y)
        for copy in (False, True)
    ]
    return *models, X_test, y_test, watched


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("question", QUESTIONS)
def test_test_rows_are_transformed_once_on_a_copy(question, form):
    if question == "input_influence" and form == "sparse":
        pytest.skip("derivatives in sparse features are refused")
    in_place, in_copy, X_test, y_test, watched = pair(form)
    found = []
    for model in (in_place, in_copy, in_place):
        CALLS.clear()
        found.append(QUESTIONS[question](model, X_test, y_test))
        assert CALLS == [12]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[1])
    assert watched.same()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("question", OF_TRAINING_ROWS)
def test_training_rows_are_not_transformed_again(question, form):
    in_place, in_copy, *_, watched = pair(form)
    CALLS.clear()
    found = OF_TRAINING_ROWS[question](in_place)
    # One row tells leave_one_out the shape of what the model predicts.
    assert ([1] if question == "leave_one_out" else []) == CALLS
    np.testing.assert_array_equal(found, OF_TRAINING_ROWS[question](in_copy))
    assert watched.same()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("final", [Ridge(), SVR(C=0.5)], ids=["ridge", "kernel"])
def test_new_rows_and_test_rows_are_transformed_once_each(form, final):
    in_place, in_copy, X_test, y_test, watched = pair(form, final=final)
    new = X_test.iloc[:5] if hasattr(X_test, "iloc") else X_test[:5]
    found = []
    for model in (in_place, in_copy):
        CALLS.clear()
        found.append(model.addition_influence(new, y_test[:5], X_test, y_test).scores)
        assert CALLS == [5, 12]
    np.testing.assert_array_equal(*found)
    assert watched.same()


@pytest.mark.parametrize("final", [NET, RecordedTraining(STEPS)], ids=["network", "recorded"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_networks_transform_once(final):
    in_place, in_copy, X_test, y_test, watched = pair("array", final=final)
    method = "first_order" if final is NET else "tracin"
    ask = {"method": method}
    found = []
    for model in (in_place, in_copy):
        model.set_params(damping=0.1)
        CALLS.clear()
        found.append(model.influence_scores(X_test, y_test, **ask))
        assert CALLS == [12]
        if final is NET:  # whose judge is asked for four sets of refits
            CALLS.clear()
            found[-1] = model.leave_one_out_check(X_test, y_test, rows=2, **ask).actual
            assert CALLS == [12]
    np.testing.assert_array_equal(*found)
    assert watched.same()


@pytest.mark.parametrize("form", FORMS)
def test_the_check_of_the_pipeline_refits_on_raw_rows(form):
    in_place, in_copy, X_test, y_test, watched = pair(form)
    found = [
        model.leave_one_out_check(X_test, y_test, rows=[1, 2], refit="pipeline").actual
        for model in (in_place, in_copy)
    ]
    np.testing.assert_array_equal(*found)
    assert watched.same()
    kept = np.delete(np.arange(60), 1)
    X, y = REAL.X, REAL.y
    if form == "sparse":
        X = FORMS[form](X).toarray()
        X_test = X_test.toarray()
    tests = np.asarray(X_test)
    one, all_ = (
        Ridge(solver="svd").fit(2 * X[some], y[some]).predict(2 * tests)
        for some in (kept, np.arange(60))
    )
    expected = ((one - y_test) ** 2 - (all_ - y_test) ** 2) / 2
    np.testing.assert_allclose(found[0][:, 0], expected, rtol=1e-4, atol=1e-7)


IN_PLACE = {
    "scaler": lambda copy: make_pipeline(StandardScaler(copy=copy), Ridge()),
    "two": lambda copy: make_pipeline(StandardScaler(copy=copy), MaxAbsScaler(copy=copy), Ridge()),
    "union": lambda copy: make_pipeline(FeatureUnion([("a", Doubled(copy))]), Ridge()),
    "nested": lambda copy: make_pipeline("passthrough", make_pipeline(Doubled(copy), Ridge())),
    "search": lambda copy: GridSearchCV(
        make_pipeline(StandardScaler(copy=copy), Ridge()), {"ridge__alpha": [1.0, 2.0]}, cv=3
    ),
    "search inside": lambda copy: make_pipeline(
        Doubled(copy), GridSearchCV(Ridge(copy_X=copy), {"alpha": [1.0, 2.0]}, cv=3)
    ),
    "target": lambda copy: TransformedTargetRegressor(
        Ridge(), transformer=StandardScaler(copy=copy), check_inverse=False
    ),
    "target over a pipeline": lambda copy: TransformedTargetRegressor(
        make_pipeline(Doubled(copy), Ridge(copy_X=copy)),
        transformer=StandardScaler(copy=copy),
        check_inverse=False,
    ),
    "search over a target": lambda copy: GridSearchCV(
        TransformedTargetRegressor(
            Ridge(), transformer=StandardScaler(copy=copy), check_inverse=False
        ),
        {"regressor__alpha": [1.0, 2.0]},
        cv=3,
    ),
    "frozen": lambda copy: FrozenEstimator(
        make_pipeline(StandardScaler(copy=copy), Ridge()).fit(REAL.X.copy(), REAL.y)
    ),
    "ridge": lambda copy: Ridge(copy_X=copy),
    "least squares": lambda copy: LinearRegression(copy_X=copy),
    "lasso": lambda copy: Lasso(alpha=0.1, copy_X=copy, tol=1e-12),
    "in a search": lambda copy: GridSearchCV(
        LinearRegression(copy_X=copy), {"fit_intercept": [True]}, cv=3
    ),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_whatever_works_in_place(name):
    X, X_test, y, y_test = (
        np.asfortranarray(REAL.X.copy()),
        REAL.X_test.copy(),
        REAL.y.copy(),
        REAL.y_test.copy(),
    )
    watched = Watched(X, X_test, y, y_test)
    found = []
    for copy in (False, True):
        model = InfluenceRegressor(IN_PLACE[name](copy)).fit(X, y)
        assert watched.same()
        check = None
        if name != "frozen":
            check = model.leave_one_out_check(X_test, y_test, rows=3, refit="pipeline").actual
        answers = [
            model.influence_scores(X_test, y_test),
            model.leave_one_out().predictions,
            model.addition_influence(X_test, y_test, X_test, y_test).scores,
            model.influence_scores(X_test, target="predict"),
            model.leave_one_out_check(X_test, y_test, rows=3).actual,
            check,
        ]
        assert watched.same()
        found.append(answers)
    for one, other in zip(*found, strict=True):
        if one is not None:
            np.testing.assert_array_equal(one, other)


def test_parts_that_would_spoil_each_others_rows():
    # scikit-learn's parts are fitted one after the other on what the one before left.
    Y = np.column_stack([REAL.y, REAL.y**2])
    X = REAL.X.copy()
    InfluenceRegressor(MultiOutputRegressor(Ridge(copy_X=False))).fit(X, Y)
    np.testing.assert_array_equal(X, REAL.X)


def test_targets_that_are_transformed_there_and_back_first():
    # To check the inverse, scikit-learn transforms some targets twice, here in place.
    found = []
    for copy in (False, True):
        inner = TransformedTargetRegressor(Ridge(), transformer=StandardScaler(copy=copy))
        y = REAL.y.copy()
        model = InfluenceRegressor(inner).fit(REAL.X, y)
        found.append(model.influence_scores(REAL.X_test, REAL.y_test))
        np.testing.assert_array_equal(y, REAL.y)
    np.testing.assert_allclose(*found, rtol=1e-9, atol=1e-12)


def test_a_bare_model_keeps_the_rows_of_the_caller():
    X = REAL.X.copy()
    model = InfluenceRegressor(Ridge()).fit(X, REAL.y)
    assert model._fitted.training.X is X
