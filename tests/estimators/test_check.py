"""The check against refits, itself checked against refits that are written out here."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeCV,
)
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import Training, adapt
from skinfluence.questions.check import choose_rows
from skinfluence.questions.refits import read_target
from skinfluence.questions.rows import only_ones_of_their_class
from tests.cases import classification, regression

DATA = classification(labels=["no", "yes"])
THREE = classification(n=75, n_classes=3)
REAL = regression()
REALS = regression(n_outputs=3)
ROWS = np.array([31, 2, 17, 44, 5])
TIGHT = {"tol": 1e-12, "max_iter": 10_000}


def tight(**params):
    return LogisticRegression(solver="newton-cholesky", **TIGHT, **params)


def log_loss(model, X, y):
    """Return -log p(y | x) from the decision function, row by row."""
    eta = model.decision_function(X)
    if eta.ndim == 1:
        eta = np.column_stack([np.zeros_like(eta), eta])
    return logsumexp(eta, axis=1) - eta[np.arange(len(X)), np.searchsorted(model.classes_, y)]


def half_squared_error(model, X, y):
    return 0.5 * ((model.predict(X) - y) ** 2).reshape(len(X), -1).sum(axis=1)


def changes(estimator, data, measure, X=None, X_test=None, s=None, named=(), rows=ROWS):
    """Refit without each row, from the definition: measure without it minus measure with all."""
    X = data.X if X is None else X
    X_test = data.X_test if X_test is None else X_test

    def refitted(kept):
        params = {} if s is None else {"sample_weight": s[kept]}
        params |= {name: s[kept] for name in named}
        if named:
            del params["sample_weight"]
        return measure(clone(estimator).fit(X[kept], data.y[kept], **params), X_test, data.y_test)

    everything = np.arange(len(X))
    full = refitted(everything)
    return np.column_stack([refitted(np.delete(everything, row)) - full for row in rows])


def check(model, data, s=None, **params):
    fitted = model.fit(data.X, data.y, s)
    return fitted.leave_one_out_check(data.X_test, data.y_test, **{"rows": ROWS, **params})


# ---------------------------------------------------------------------- actual = honest refits


def assert_same(found, expected, slope=0.05, error=0.1, noise=1e-8):
    np.testing.assert_allclose(found.actual, expected, rtol=1e-6, atol=1e-10)
    assert abs(found.slope - 1) < slope
    assert found.relative_error < error
    assert found.noise_floor < noise
    np.testing.assert_array_equal(found.rows, ROWS)


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "newton-cholesky", "saga"])
def test_final_step_alone(solver):
    model = InfluenceClassifier(LogisticRegression(C=0.3, solver=solver, max_iter=1000))
    found = check(model, DATA)
    assert_same(found, changes(tight(C=0.3), DATA, log_loss))
    scores = model.influence_scores(DATA.X_test, DATA.y_test)
    np.testing.assert_allclose(found.predicted, scores[:, ROWS], rtol=1e-12)
    assert found.refit == "final"
    assert found.method == "newton"
    assert found.target == "loss"


def test_exact_scores_are_the_refits():
    inner = LogisticRegression(C=0.3, class_weight="balanced")
    found = check(InfluenceClassifier(inner, method="exact"), THREE, THREE.s)
    expected = changes(tight(C=0.3, class_weight="balanced"), THREE, log_loss, s=THREE.s)
    assert_same(found, expected, slope=1e-6, error=1e-6)
    assert found.method == "exact"


def test_final_step_of_a_pipeline():
    model = InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression(C=0.3)))
    found = check(model, DATA)
    X, X_test = (model.estimator_[:-1].transform(A) for A in (DATA.X, DATA.X_test))
    assert_same(found, changes(tight(C=0.3), DATA, log_loss, X, X_test))
    assert found.actual_final is None


def test_whole_pipeline():
    inner = [("scale", Pipeline([("std", StandardScaler())]))]
    model = InfluenceClassifier(Pipeline([*inner, ("fit", LogisticRegression(C=0.3))]))
    found = check(model, DATA, refit="pipeline")
    assert found.refit == "pipeline"
    expected = changes(Pipeline([*inner, ("fit", tight(C=0.3))]), DATA, log_loss)
    np.testing.assert_allclose(found.actual, expected, rtol=1e-6, atol=1e-10)
    final = check(model, DATA)
    np.testing.assert_array_equal(found.actual_final, final.actual)
    np.testing.assert_array_equal(found.predicted, final.predicted)
    assert np.linalg.norm(found.actual - final.actual) > 1e-2 * np.linalg.norm(final.actual)


def test_without_transformers_the_whole_pipeline_is_the_final_step():
    found = check(InfluenceClassifier(LogisticRegression(C=0.3)), DATA, refit="pipeline")
    assert_same(found, changes(tight(C=0.3), DATA, log_loss))
    assert found.refit == "final"


def test_sample_weights_of_the_final_step():
    found = check(InfluenceClassifier(LogisticRegression(C=0.3)), DATA, DATA.s)
    assert_same(found, changes(tight(C=0.3), DATA, log_loss, s=DATA.s))


@pytest.mark.parametrize("routing", [False, True])
def test_sample_weights_of_the_whole_pipeline(routing):
    """With the routing of the time of `fit`, whatever it is later."""
    with sklearn.config_context(enable_metadata_routing=routing):
        scaler, final = StandardScaler(), LogisticRegression(C=0.3)
        if routing:
            scaler.set_fit_request(sample_weight=True)
            final.set_fit_request(sample_weight=True)
        model = InfluenceClassifier(make_pipeline(scaler, final)).fit(DATA.X, DATA.y, DATA.s)
    found = model.leave_one_out_check(DATA.X_test, DATA.y_test, rows=ROWS, refit="pipeline")
    names = ["standardscaler__sample_weight", "logisticregression__sample_weight"]
    pipeline = make_pipeline(StandardScaler(), tight(C=0.3))
    expected = changes(pipeline, DATA, log_loss, s=DATA.s, named=names)
    np.testing.assert_allclose(found.actual, expected, rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize("s", [None, THREE.s])
def test_class_weights_that_move(s):
    """What "balanced" counts, rows or weights, is for the scikit-learn installed to decide."""
    inner = LogisticRegression(C=0.3, class_weight="balanced")
    found = check(InfluenceClassifier(inner), THREE, s)
    expected = changes(tight(C=0.3, class_weight="balanced"), THREE, log_loss, s=s)
    assert_same(found, expected)
    frozen = changes(tight(C=0.3), THREE, log_loss, s=s)
    assert np.linalg.norm(frozen - expected) > 0.2 * np.linalg.norm(expected)


def test_liblinear_is_judged_by_itself():
    """Only liblinear penalises the intercept."""
    params = {"C": 0.05, "solver": "liblinear"}
    found = check(InfluenceClassifier(LogisticRegression(**params)), DATA)
    expected = changes(LogisticRegression(**params, tol=1e-12, max_iter=10_000), DATA, log_loss)
    assert_same(found, expected, noise=1e-5)
    other = changes(tight(C=0.05), DATA, log_loss)
    assert np.linalg.norm(other - expected) > 0.02 * np.linalg.norm(expected)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_chosen_penalty_is_frozen():
    model = InfluenceClassifier(LogisticRegressionCV(Cs=[0.01, 0.3, 20.0], cv=3))
    found = check(model, DATA)
    (C,) = np.unique(model.estimator_.C_)
    assert_same(found, changes(tight(C=C), DATA, log_loss))


@pytest.mark.parametrize(
    ("inner", "plain", "data"),
    [
        (Ridge(alpha=3.0, solver="lsqr"), Ridge(alpha=3.0), REAL),
        (Ridge(alpha=3.0), Ridge(alpha=3.0), REALS),
        (RidgeCV(alphas=[3.0]), Ridge(alpha=3.0), REAL),
    ],
)
def test_squared_errors_are_predicted_exactly(inner, plain, data):
    found = check(InfluenceRegressor(inner), data, data.s)
    expected = changes(plain, data, half_squared_error, s=data.s)
    assert_same(found, expected, slope=1e-9, error=1e-8)


def test_frozen_estimator():
    frozen = FrozenEstimator(make_pipeline(StandardScaler(), tight(C=0.3)).fit(DATA.X, DATA.y))
    found = check(InfluenceClassifier(frozen), DATA)
    expected = check(InfluenceClassifier(clone(frozen.estimator)), DATA)
    np.testing.assert_array_equal(found.actual, expected.actual)


def test_frozen_final_step_is_judged_without_its_frost():
    scaler = StandardScaler().fit(DATA.X)
    final = tight(C=0.3).fit(scaler.transform(DATA.X), DATA.y)
    model = InfluenceClassifier(make_pipeline(StandardScaler(), FrozenEstimator(final)))
    found = check(model, DATA, refit="pipeline")
    expected = changes(make_pipeline(StandardScaler(), tight(C=0.3)), DATA, log_loss)
    np.testing.assert_allclose(found.actual, expected, rtol=1e-6, atol=1e-10)


# ------------------------------------------------ what is around the Pipeline is refitted as well


OUTLIER = replace(REAL, y=REAL.y + 8.0 * (np.arange(len(REAL.y)) == 5))


def scaled_target(inner):
    return TransformedTargetRegressor(inner, transformer=StandardScaler())


def ridge(alpha=1.0):
    return Ridge(alpha, solver="svd")


AROUND = {
    "target in a pipeline": (
        make_pipeline(StandardScaler(), scaled_target(ridge())),
        make_pipeline(StandardScaler(), scaled_target(ridge())),
    ),
    "target over a pipeline": (
        scaled_target(make_pipeline(StandardScaler(), ridge())),
        scaled_target(make_pipeline(StandardScaler(), ridge())),
    ),
    "search over a pipeline": (  # what it chose is frozen
        GridSearchCV(make_pipeline(StandardScaler(), ridge()), {"ridge__alpha": [3.0, 1e6]}, cv=3),
        make_pipeline(StandardScaler(), ridge(3.0)),
    ),
    "target alone": (scaled_target(ridge()), scaled_target(ridge())),
}


@pytest.mark.parametrize("name", AROUND)
def test_targets_and_searches_are_refitted_with_the_pipeline(name):
    """Predictions in the user's units, which other scalers of the target lead to."""
    wrapped, plain = AROUND[name]
    rows = np.array([5, 6, 17])

    def prediction(fitted, X, y):
        return fitted.predict(X)

    model = InfluenceRegressor(clone(wrapped))
    found = check(model, OUTLIER, rows=rows, target="predict", refit="pipeline")
    expected = changes(plain, OUTLIER, prediction, rows=rows)
    assert found.refit == "pipeline"
    np.testing.assert_allclose(found.actual, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.actual_final, found.predicted, rtol=1e-7, atol=1e-10)
    assert found.noise_floor < 1e-9


def test_the_loss_under_a_target_that_is_refitted():
    """That of the inner model, in the units of the transformer it was refitted with."""
    wrapped, plain = AROUND["target in a pipeline"]
    rows = np.array([5, 17])

    def loss(fitted, X, y):
        inner = fitted[-1]
        z = inner.transformer_.transform(y[:, None])[:, 0]
        return 0.5 * (inner.regressor_.predict(fitted[0].transform(X)) - z) ** 2

    found = check(InfluenceRegressor(clone(wrapped)), OUTLIER, rows=rows, refit="pipeline")
    expected = changes(plain, OUTLIER, loss, rows=rows)
    np.testing.assert_allclose(found.actual, expected, rtol=1e-8, atol=1e-10)


# -------------------------------------------------------------------------------- other targets


def test_probability_of_the_predicted_class():
    model = InfluenceClassifier(LogisticRegression(C=0.3)).fit(THREE.X, THREE.y)
    found = model.leave_one_out_check(THREE.X_test, rows=ROWS, target="predict_proba")
    full = tight(C=0.3).fit(THREE.X, THREE.y)
    index = full.predict_proba(THREE.X_test).argmax(axis=1)

    def probability(fitted, X, y):
        return fitted.predict_proba(X)[np.arange(len(X)), index]

    assert_same(found, changes(tight(C=0.3), THREE, probability))
    assert found.target == "predict_proba"


def test_decision_of_the_second_class():
    model = InfluenceClassifier(RidgeClassifier(alpha=3.0))
    found = check(model, DATA, target="decision_function")

    def decision(fitted, X, y):
        return fitted.decision_function(X)

    assert_same(found, changes(RidgeClassifier(alpha=3.0), DATA, decision), 1e-9, 1e-8)


def test_prediction_of_one_output():
    found = check(InfluenceRegressor(Ridge(alpha=3.0)), REALS, target="predict", output=2)

    def prediction(fitted, X, y):
        return fitted.predict(X)[:, 2]

    assert_same(found, changes(Ridge(alpha=3.0), REALS, prediction), 1e-9, 1e-8)


@pytest.mark.parametrize("target", ["loss", "decision_function", "predict_proba"])
def test_target_read_from_a_fitted_estimator(target):
    """Labels and weights of the training rows cannot show in what is read."""
    fitted = make_pipeline(StandardScaler(), tight()).fit(THREE.X, THREE.y)
    index = np.arange(len(THREE.X_test)), THREE.y_test
    expected = {
        "loss": log_loss(fitted, THREE.X_test, THREE.y_test),
        "decision_function": fitted.decision_function(THREE.X_test)[index],
        "predict_proba": fitted.predict_proba(THREE.X_test)[index],
    }[target]
    features = fitted[:-1].transform(THREE.X)
    like = adapt(fitted[-1], features, THREE.y, None)
    for y_train, s in ((THREE.y, None), (THREE.y[::-1], None), (THREE.y, THREE.s)):
        read = read_target(
            fitted,
            Training(features, y_train, s),
            THREE.X_test,
            THREE.y_test,
            target=target,
            output=None,
            like=like,
        )
        np.testing.assert_allclose(read, expected, rtol=1e-9)


def test_target_read_under_the_loss_of_the_question():
    """A refit is read at the temperature and in the units asked for, not at its own default."""
    fitted = LinearSVC(loss="hinge", C=0.3, random_state=0).fit(DATA.X, DATA.y)
    objective = adapt(fitted, DATA.X, DATA.y, None)
    t = 0.2
    like = replace(objective, loss=objective.loss.at_temperature(t))
    read = read_target(
        fitted,
        Training(DATA.X, DATA.y, None),
        DATA.X_test,
        DATA.y_test,
        target="loss",
        output=None,
        like=like,
    )
    signs = np.where(DATA.y_test == fitted.classes_[1], 1.0, -1.0)
    margins = signs * fitted.decision_function(DATA.X_test)
    np.testing.assert_allclose(read, t * np.logaddexp(0.0, (1.0 - margins) / t), rtol=1e-9)
    assert abs(objective.loss.temperature / t - 1.0) > 0.5


# ----------------------------------------------------------------------------------- which rows


def test_extreme_rows_have_the_largest_columns():
    model = InfluenceClassifier().fit(DATA.X, DATA.y)
    found = model.leave_one_out_check(DATA.X_test, DATA.y_test, rows=7)
    norms = np.linalg.norm(model.influence_scores(DATA.X_test, DATA.y_test), axis=0)
    np.testing.assert_array_equal(found.rows, np.argsort(-norms)[:7])
    np.testing.assert_array_equal(found.row_labels, found.rows)


def test_random_rows():
    model = InfluenceClassifier().fit(DATA.X, DATA.y)

    def rows(random_state):
        return model.leave_one_out_check(
            DATA.X_test, DATA.y_test, rows=7, select="random", random_state=random_state
        ).rows

    assert len(np.unique(rows(0))) == 7
    np.testing.assert_array_equal(rows(0), rows(0))
    assert rows(0).tolist() != rows(1).tolist()
    assert np.all(np.diff(rows(0)) > 0)


def test_no_more_rows_than_there_are():
    data = regression(n=12)
    found = InfluenceRegressor().fit(data.X, data.y).leave_one_out_check(data.X_test, data.y_test)
    assert sorted(found.rows) == list(range(12))
    forbidden = np.arange(12) < 5
    for select in ("extreme", "random"):
        chosen = choose_rows(30, select, lambda: np.ones(12), forbidden, 0)
        assert sorted(chosen) == list(range(5, 12))


ALONE = np.array(["a", "b", "a", "c", "b", "b", "d", "d"])


def test_only_ones_of_their_class():
    assert np.flatnonzero(only_ones_of_their_class(ALONE, None)).tolist() == [3]
    # of class d one row counts; of class a none but it is not there to be alone
    s = np.array([0, 1, 0, 1, 1, 2, 0, 3])
    assert np.flatnonzero(only_ones_of_their_class(ALONE, s)).tolist() == [3, 7]


@pytest.mark.parametrize("select", ["extreme", "random"])
def test_the_only_row_of_its_class_is_left_in(select):
    y = np.where(np.arange(60) == 13, "maybe", DATA.y)
    model = InfluenceClassifier().fit(DATA.X, y)
    y_test = np.where(np.arange(12) == 2, "maybe", DATA.y_test)  # it has the largest influence
    found = model.leave_one_out_check(DATA.X_test, y_test, rows=60, select=select)
    assert sorted(found.rows) == [i for i in range(60) if i != 13]
    assert "- 1 row(s) that are the only ones of their class were left in" in found.summary()
    message = (
        r"rows \[13\] \(1 in all\) are the only ones of their class: without them the model has "
        r"other classes and no change can be compared\. Leave them in\."
    )
    with pytest.raises(ValueError, match=message):
        model.leave_one_out_check(DATA.X_test, y_test, rows=[4, 13])


def test_every_row_the_only_one_of_its_class():
    model = InfluenceClassifier(RidgeClassifier()).fit(DATA.X[:3], ["a", "b", "c"])
    with pytest.raises(ValueError, match="Every training row is the only one of its class"):
        model.leave_one_out_check(DATA.X_test, ["a"] * 12)


def test_regression_has_no_classes():
    y = np.arange(60.0)
    model = InfluenceRegressor().fit(REAL.X, y)
    assert len(model.leave_one_out_check(REAL.X_test, REAL.y_test, rows=60).rows) == 60


# ----------------------------------------------------------------------- reasons for differences


def test_noise_is_the_judge_minus_the_refined_model():
    inner = LogisticRegression(C=0.3, max_iter=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = InfluenceClassifier(inner, refine=False)
        found = check(model, DATA)
        refined = check(InfluenceClassifier(inner), DATA)
    expected = log_loss(tight(C=0.3).fit(DATA.X, DATA.y), DATA.X_test, DATA.y_test)
    expected -= log_loss(model, DATA.X_test, DATA.y_test)
    np.testing.assert_allclose(found.noise, expected, rtol=1e-6, atol=1e-9)
    assert found.noise_floor == pytest.approx(np.sqrt(np.mean(expected**2)))
    assert "- noise: much of the difference is how far the judge's fit and" in found.summary()
    assert refined.noise_floor < 1e-8 < 1e-4 < found.noise_floor
    assert "- refinement: the fitted parameters were " in refined.summary()
    assert "- noise" not in refined.summary()


def test_reasons():
    summary = check(InfluenceClassifier(LogisticRegression(C=0.3, tol=1e-8)), DATA).summary()
    verdict, first, *_ = summary.splitlines()
    assert verdict.startswith("fit for values: relative error 0.0")
    assert first == (
        "5 training rows removed and refitted, 12 test rows "
        "(target=loss, method=newton, refit=final)"
    )
    assert (
        "- judge: LogisticRegression, solver='newton-cholesky' instead of 'lbfgs' "
        "(same objective, tighter), tol=1e-12" in summary
    )
    assert "- leverage: largest of the removed rows 0." in summary
    for absent in ("weights that move", "transformers", "refinement", "only ones", "damping"):
        assert absent not in summary


def test_reason_class_weights():
    inner = LogisticRegression(class_weight="balanced")
    summary = check(InfluenceClassifier(inner), DATA).summary()
    assert "- weights that move: class_weight='balanced' re-weighs the other rows" in summary


def test_reason_transformers():
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    found = check(InfluenceClassifier(pipeline), DATA, refit="pipeline")
    difference = np.linalg.norm(found.actual_final - found.actual) / np.linalg.norm(found.actual)
    text = f"- transformers: refitting them changes the truth by {difference:.2g} (relative)"
    assert text in found.summary()


def test_reason_leverage_of_first_order():
    data = regression(n=14, p=6)
    model = InfluenceRegressor(method="first_order").fit(data.X, data.y)
    found = model.leave_one_out_check(data.X_test, data.y_test)
    assert found.slope > 1.3
    assert "- leverage: first order ignores that a row's own curvature leaves" in found.summary()


def test_reason_damping():
    found = check(InfluenceRegressor(damping=20.0), REAL)
    assert found.slope > 1.1
    assert "- damping: scores are of the curvature + 20 I, refits know none" in found.summary()


# ------------------------------------------------------------------------------------ networks


@pytest.mark.parametrize(
    "params",
    [
        {"solver": "lbfgs", "alpha": 2.0},
        {"solver": "adam", "alpha": 0.5, "batch_size": 25, "early_stopping": True},
    ],
)
def test_networks_are_judged_from_where_they_are_scored(params):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((60, 3))
    y = (np.tanh(2 * X[:, 0]) * X[:, 1] + 0.3 * rng.standard_normal(60) > 0).astype(int)
    user = MLPClassifier((3,), activation="tanh", random_state=0, max_iter=2000, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = InfluenceClassifier(user).fit(X, y)
        check = model.leave_one_out_check(X[:10], y[:10], rows=5, method="exact")
    assert check.relative_error < 1e-3
    assert check.slope == pytest.approx(1.0, abs=1e-3)
    assert check.judge_gradients.shape == (6,)
    assert np.all(check.judge_gradients < 1e-4)
    assert np.linalg.norm(check.judge_noise) < 1e-3 * np.linalg.norm(check.actual)
    assert "judge: MLPClassifier, warm-started from the fitted weights" in check.summary()
    assert "a cold restart of a non-convex model ends in another minimum" in check.summary()


def test_the_verdict_of_networks():
    """Nothing is blamed that an unfinished network's check cannot know; at a minimum it can."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    y = (np.tanh(2 * X[:, 0]) * X[:, 1] + 0.3 * rng.standard_normal(60) > 0).astype(int)
    verdicts = []
    for params in ({"max_iter": 20}, {"solver": "lbfgs", "alpha": 1.0, "max_iter": 5000}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net = MLPClassifier((3,), activation="tanh", random_state=0, **params)
            model = InfluenceClassifier(net, damping=0.1).fit(X, y)
            method = "exact" if "alpha" in params else "first_order"
            found = model.leave_one_out_check(X[:5], y[:5], rows=4, method=method)
        verdicts.append((found.fit_for, found.verdict))
    (unfinished, why), (finished, line) = verdicts
    assert unfinished is None
    assert why.startswith("fit for neither as far as this check can tell: before any row leaves")
    assert finished == "values"
    assert line.startswith("fit for values: relative error ")


def test_labels_of_rows_and_test_rows():
    frames = [
        pd.DataFrame(A, index=[f"{name}{i}" for i in range(len(A))])
        for name, A in (("row ", DATA.X), ("test ", DATA.X_test))
    ]
    model = InfluenceClassifier(LogisticRegression(C=0.3)).fit(frames[0], DATA.y)
    found = model.leave_one_out_check(frames[1], DATA.y_test, labels=["row 31", "row 2"])
    table = found.to_frame(columns=[0])
    assert table["test"].tolist()[:4] == ["test 0", "test 0", "test 1", "test 1"]
    assert table["row"].tolist()[:2] == ["row 31", "row 2"]
    assert table["position"].tolist()[:2] == [31, 2]
    np.testing.assert_array_equal(table[0][:2], DATA.X[[31, 2], 0])
    np.testing.assert_array_equal(table["predicted"], np.asarray(found).ravel())
    assert found.facts["data"]
