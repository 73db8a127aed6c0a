"""Curves over a parameter, against scikit-learn's own cross-validation with every row left out."""

import re
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    HuberRegressor,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
)
from sklearn.metrics import make_scorer, mean_poisson_deviance
from sklearn.model_selection import GridSearchCV, LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor, leave_one_out_curve
from skinfluence.process import progress
from tests.cases import BINARY, REAL, REALS, THREE
from tests.model_table import COUNTED

TIGHT = {"solver": "newton-cholesky", "tol": 1e-13, "max_iter": 1000}
RANGE = [0.01, 0.3, 10.0]


def half_squared_error(y, predicted):
    return 0.5 * np.sum((y - predicted) ** 2)


def half_deviance(y, predicted):
    return 0.5 * mean_poisson_deviance(y, predicted)


JUDGED = {
    "two classes": (LogisticRegression(**TIGHT), BINARY, "C", "neg_log_loss"),
    "three classes": (LogisticRegression(**TIGHT), THREE, "C", "neg_log_loss"),
    "ridge": (Ridge(solver="svd"), REAL, "alpha", make_scorer(half_squared_error)),
    "three targets": (Ridge(solver="svd"), REALS, "alpha", make_scorer(half_squared_error)),
    "counts": (PoissonRegressor(**TIGHT), COUNTED, "alpha", make_scorer(half_deviance)),
}


def cross_validated(estimator, data, scoring):
    params = {"cv": LeaveOneOut(), "scoring": scoring}
    if scoring == "neg_log_loss":
        known = np.unique(data.y)
        scorer = make_scorer(log_loss_of(known), response_method="predict_proba")
        params["scoring"] = scorer
    return cross_val_score(estimator, data.X, data.y, **params)


def log_loss_of(classes):
    def loss(y, probabilities):
        if np.ndim(probabilities) == 1:  # of the second of two classes
            probabilities = np.column_stack([1.0 - probabilities, probabilities])
        return -np.log(probabilities[np.arange(len(y)), np.searchsorted(classes, y)]).sum()

    return loss


@pytest.mark.parametrize("name", JUDGED)
def test_scores_are_those_of_cross_validation(name):
    estimator, data, parameter, scoring = JUDGED[name]
    curve = leave_one_out_curve(estimator, data.X, data.y, parameter, RANGE)
    models = [type(estimator)(**{**estimator.get_params(), parameter: value}) for value in RANGE]
    expected = np.array([cross_validated(model, data, scoring) for model in models])
    assert curve.losses.shape == (3, len(data.X))
    np.testing.assert_allclose(curve.losses, expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(np.asarray(curve), expected.mean(axis=1), rtol=1e-7)
    assert curve.best == RANGE[np.argmin(expected.mean(axis=1))]
    assert curve.method == "exact"
    assert curve.param_name == parameter


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("method", [None, "newton", "first_order"])
def test_each_value_is_what_its_model_says(method, weighted):
    """In a Pipeline, whose transformers are frozen, and as a wrapper with its own parameters."""
    s = BINARY.s if weighted else None
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    params = {"sample_weight": s, "method": method}
    curve = leave_one_out_curve(
        pipeline, BINARY.X, BINARY.y, "logisticregression__C", RANGE, **params
    )
    wrapper = InfluenceClassifier(pipeline, solver="lu")
    name = "estimator__logisticregression__C"
    wrapped = leave_one_out_curve(wrapper, BINARY.X, BINARY.y, name, RANGE, **params)
    for k, C in enumerate(RANGE):
        model = InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression(C=C)))
        left_out = model.fit(BINARY.X, BINARY.y, s).leave_one_out(method=method)
        np.testing.assert_array_equal(curve.losses[k], left_out.losses)
        np.testing.assert_allclose(wrapped.losses[k], left_out.losses, rtol=1e-6)
        assert curve.scores[k] == pytest.approx(left_out.score(s), rel=1e-14)
        assert curve.standard_errors[k] == pytest.approx(left_out.standard_error(s), rel=1e-14)
    assert curve.method == wrapped.method == (method or "exact")
    assert not hasattr(pipeline[-1], "coef_")
    assert not hasattr(wrapper, "estimator_")


def test_parameters_of_the_wrapper_are_values_too():
    model = InfluenceRegressor(Ridge())
    curve = leave_one_out_curve(model, REAL.X, REAL.y, "damping", [0.0, 50.0], method="newton")
    assert curve.scores[0] != curve.scores[1]


def test_rows_of_weight_zero_are_absent():
    s = np.where(np.arange(60) % 5 == 2, 0.0, BINARY.s)
    some = s > 0
    estimator = LogisticRegression(**TIGHT)
    curve = leave_one_out_curve(estimator, BINARY.X, BINARY.y, "C", RANGE, sample_weight=s)
    alone = leave_one_out_curve(
        estimator, BINARY.X[some], BINARY.y[some], "C", RANGE, sample_weight=s[some]
    )
    np.testing.assert_allclose(curve.scores, alone.scores, rtol=1e-8)
    np.testing.assert_allclose(curve.standard_errors, alone.standard_errors, rtol=1e-7)


def test_frames_sparse_rows_and_values_in_any_order():
    frame = pd.DataFrame(REAL.X, index=[f"row {i}" for i in range(60)])
    target = pd.Series(REAL.y, index=frame.index)
    curve = leave_one_out_curve(Ridge(), frame, target, "alpha", iter([10.0, 0.01, 0.3]))
    plain = leave_one_out_curve(Ridge(), REAL.X, REAL.y, "alpha", np.array(RANGE))
    np.testing.assert_allclose(curve.scores, plain.scores[[2, 0, 1]], rtol=1e-10)
    assert curve.row_labels[3] == "row 3"
    assert curve.to_frame()["alpha"].tolist() == [10.0, 0.01, 0.3]
    thin = leave_one_out_curve(Ridge(), sparse.csr_matrix(REAL.X), REAL.y, "alpha", RANGE)
    np.testing.assert_allclose(thin.scores, plain.scores, rtol=1e-7)
    assert curve.facts["estimator"] == "Ridge()"


def test_values_that_are_no_numbers():
    curve = leave_one_out_curve(
        RidgeClassifier(), BINARY.X, BINARY.y, "class_weight", [None, "balanced", {"no": 2.0}]
    )
    assert curve.param_range.tolist() == [None, "balanced", {"no": 2.0}]
    assert len(set(curve.scores)) == 3
    assert "balanced" in repr(curve)


# ------------------------------------------------------------------------ values without a model


def separable():
    X = np.linspace(-2.0, 2.0, 24)[:, None]
    return X, (X[:, 0] > 0).astype(int)


def test_a_value_without_a_model_is_named_and_the_others_answer():
    X, y = separable()
    message = r"^C=inf has no model and no score: .*separa"
    with pytest.warns(UserWarning, match=message) as record:
        curve = leave_one_out_curve(LogisticRegression(), X, y, "C", [0.1, np.inf, 1.0])
    assert {w.filename for w in record} == {__file__}
    np.testing.assert_array_equal(np.isnan(curve.scores), [False, True, False])
    assert np.isnan(curve.losses[1]).all()
    assert curve.best == 1.0
    assert curve.failures[0] == curve.failures[2] == ""
    assert "separa" in curve.failures[1]
    assert "No model at inf: " in repr(curve)
    alone = InfluenceClassifier(LogisticRegression(C=1.0)).fit(X, y).leave_one_out()
    np.testing.assert_array_equal(curve.losses[2], alone.losses)


def test_where_no_value_has_a_model_the_first_says_why():
    X, y = separable()
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(ValueError, match="separa"),
    ):
        leave_one_out_curve(LogisticRegression(), X, y, "C", [np.inf])


def test_warnings_name_their_value():
    with pytest.warns(ConvergenceWarning) as record:
        leave_one_out_curve(
            LogisticRegression(solver="lbfgs"), BINARY.X, BINARY.y, "max_iter", [1, 1000]
        )
    said = {str(w.message).split(":")[0] for w in record}
    assert said == {"max_iter=1"}
    assert {w.filename for w in record} == {__file__}


# --------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "estimator, name, values, error, message",
    [
        (Ridge(), "alpha", [], ValueError, "An empty param_range was given; at least one value"),
        (Ridge(), "C", RANGE, ValueError, "Invalid parameter 'C' for estimator Ridge"),
        (
            HuberRegressor(),
            "epsilon",
            [1.2, 1.35],
            ValueError,
            "epsilon was given, but its values change the loss itself",
        ),
        (
            TransformedTargetRegressor(Ridge(), func=np.cbrt, inverse_func=lambda v: v**3),
            "func",
            [np.cbrt, np.tanh],
            ValueError,
            "func was given, but its values change the loss itself",
        ),
        (
            FrozenEstimator(Ridge().fit(REAL.X, REAL.y)),
            "estimator__alpha",
            RANGE,
            ValueError,
            "cannot set parameters of the inner estimator in a frozen estimator",
        ),
        (KNeighborsRegressor(), "n_neighbors", [2, 3], TypeError, "KNeighborsRegressor"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_refused(estimator, name, values, error, message):
    with pytest.raises(error, match=re.escape(message)):
        leave_one_out_curve(estimator, REAL.X, REAL.y, name, values)


# ------------------------------------------------------------------------------------ progress


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_long_curve_is_one_question(wrapped, caplog, monkeypatch):
    """Of which each value, fit included, is a piece."""
    answers = []

    def a_minute_later(X):
        if answers[-1].phases[0].done == 3:
            answers[-1].say(answers[-1].begun + 60)
        return X

    monkeypatch.setattr(progress._WATCH, "add", answers.append)
    estimator = make_pipeline(FunctionTransformer(a_minute_later), LogisticRegression())
    name = "logisticregression__C"
    if wrapped:
        estimator, name = InfluenceClassifier(estimator), f"estimator__{name}"
    with caplog.at_level("INFO", "skinfluence"):
        leave_one_out_curve(estimator, BINARY.X, BINARY.y, name, np.logspace(-2, 1, 12))
    (record,) = caplog.records
    assert record.getMessage() == (
        f"leave_one_out_curve has taken 60 s; 12 values of {name}: 25% done, about 3 min left; "
        "method='newton' takes less; verbose=1 shows the progress."
    )


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_curve_that_is_watched_names_its_values(wrapped, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    estimator, name, asked = LogisticRegression(), "C", {"verbose": 1}
    if wrapped:
        estimator, name, asked = InfluenceClassifier(estimator, verbose=1), "estimator__C", {}
    quiet = leave_one_out_curve(LogisticRegression(), BINARY.X, BINARY.y, "C", [0.1, 1.0, 10.0])
    assert capsys.readouterr().err == ""
    found = leave_one_out_curve(estimator, BINARY.X, BINARY.y, name, [0.1, 1.0, 10.0], **asked)
    np.testing.assert_array_equal(found.losses, quiet.losses)
    shown = capsys.readouterr().err
    for value in (0.1, 1.0, 10.0):
        assert shown.count(f"leave_one_out_curve: {name}={value}\n") == 1
    assert f"leave_one_out_curve: 3 values of {name}: 3 of 3 values, " in shown


def test_a_search_sets_parameters_on_its_own():
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]})
    for estimator in (search, InfluenceClassifier(search)):
        with pytest.raises(ValueError, match=r"A search, GridSearchCV.*search\.estimator"):
            leave_one_out_curve(estimator, BINARY.X, BINARY.y, "estimator__C", [0.1, 1.0])
