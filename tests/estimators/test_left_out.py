"""What each training row does to itself and to the parameters, against refits without it."""

import warnings
from functools import cache

import autograd.numpy as anp
import numpy as np
import pandas as pd
import pytest
from autograd import grad, hessian, jacobian
from scipy import sparse
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor, register_adapter
from skinfluence.objectives import Objective
from skinfluence.objectives.weighting import Fixed
from tests import oracles
from tests.cases import BINARY, CASES, REAL, REALS, THREE, classification, wide_logistic

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
methods = pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = np.array([0, 9, 22, 31, 47, 58])


def fit(case):
    kind = InfluenceClassifier if case.is_classifier else InfluenceRegressor
    return kind(case.estimator).fit(case.data.X, case.data.y, case.s)


@cache
def judges(name):
    case = next(case for case in CASES if case.name == name)
    return oracles.judges(case.estimator, case.data, case.s, case.counts, ROWS)


def own(judge, function, data, rows=ROWS):
    """Ask each judge about the row it never saw."""
    return np.concatenate([function(judge[j], data.X[[i]]) for j, i in enumerate(rows)])


def own_losses(judge, data, rows=ROWS):
    return np.concatenate(
        [oracles.losses_of(judge[j], data.X[[i]], data.y[[i]]) for j, i in enumerate(rows)]
    )


def error(mine, actual, before):
    """Return the error of a value after a removal, relative to what the removal changed."""
    assert np.shape(mine) == np.shape(actual) == np.shape(before)
    return np.linalg.norm(mine - actual) / np.linalg.norm(actual - before)


# --------------------------------------------------------------------------------- leave one out


@cases
def test_left_out_rows_equal_refits_without_them(case):
    data, (full, without) = case.data, judges(case.name)
    left_out = fit(case).leave_one_out(return_parameters=True)
    assert left_out.method == "exact"
    losses, before = own_losses(without, data), oracles.losses_of(full, data.X[ROWS], data.y[ROWS])
    assert error(left_out.losses[ROWS], losses, before) < 1e-6
    raw, raw_before = own(without, oracles.raw_of, data), oracles.raw_of(full, data.X[ROWS])
    decisions = left_out.decisions.reshape(len(data.X), -1)[ROWS]
    assert error(decisions, raw, raw_before) < 1e-6
    thetas = np.array([oracles.theta_of(judge) for judge in without])
    theta = np.tile(oracles.theta_of(full), (len(ROWS), 1))
    assert error(left_out.parameters[ROWS], thetas, theta) < 1e-6
    predictions = own(without, lambda judge, X: judge.predict(X), data)
    if case.is_classifier:
        assert left_out.predictions[ROWS].tolist() == predictions.tolist()
    else:
        np.testing.assert_allclose(left_out.predictions[ROWS], predictions, rtol=1e-7)
    if hasattr(full, "predict_proba"):
        actual = own(without, lambda judge, X: judge.predict_proba(X), data)
        before = full.predict_proba(data.X[ROWS])
        assert error(left_out.probabilities[ROWS], actual, before) < 1e-6
    else:
        assert left_out.probabilities is None


@cases
def test_newton_is_within_its_error_of_refits(case):
    data, (full, without) = case.data, judges(case.name)
    left_out = fit(case).leave_one_out(method="newton", return_parameters=True)
    assert left_out.method == "newton"
    losses, before = own_losses(without, data), oracles.losses_of(full, data.X[ROWS], data.y[ROWS])
    assert error(left_out.losses[ROWS], losses, before) < case.newton_error
    thetas = np.array([oracles.theta_of(judge) for judge in without])
    theta = np.tile(oracles.theta_of(full), (len(ROWS), 1))
    assert error(left_out.parameters[ROWS], thetas, theta) < case.newton_error


@pytest.mark.parametrize("alpha", [1e-8, 5.0])
@pytest.mark.parametrize("method", ["newton", "exact"])
def test_ridge_is_the_textbook_residual_over_one_minus_leverage(alpha, method):
    X = np.column_stack([REAL.X, np.ones(len(REAL.X))])
    hat = X @ np.linalg.solve(X.T @ X + np.diag([alpha] * 4 + [0.0]), X.T)
    residual = REAL.y - hat @ REAL.y
    expected = REAL.y - residual / (1.0 - np.diag(hat))
    model = InfluenceRegressor(Ridge(alpha=alpha)).fit(REAL.X, REAL.y)
    left_out = model.leave_one_out(method=method)
    np.testing.assert_allclose(left_out.predictions, expected, rtol=1e-10)
    np.testing.assert_allclose(left_out.losses, 0.5 * (REAL.y - expected) ** 2, rtol=1e-9)
    press = 0.5 * np.mean((residual / (1.0 - np.diag(hat))) ** 2)
    assert left_out.score() == pytest.approx(press, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_near_separable_rows_equal_refits(seed):
    """Leverages up to .98, where one Newton step is off by more than the change itself."""
    data, estimator = wide_logistic(seed, C=100.0)
    rows = np.arange(0, 150, 15)
    full, without = oracles.judges(estimator, data, rows=rows)
    left_out = InfluenceClassifier(estimator).fit(data.X, data.y).leave_one_out()
    actual = own(without, oracles.raw_of, data, rows)[:, 0]
    before = oracles.raw_of(full, data.X[rows])[:, 0]
    assert error(left_out.decisions[rows], actual, before) < 1e-6
    losses, before = own_losses(without, data, rows), oracles.losses_of(full, data.X, data.y)[rows]
    assert error(left_out.losses[rows], losses, before) < 1e-6


@pytest.mark.parametrize("method", ["newton", "exact"])
@pytest.mark.parametrize("name", ["logistic", "three", "ridge"])
def test_rows_of_weight_zero_are_absent(name, method):
    estimator, data = {
        "logistic": (LogisticRegression(C=0.3), BINARY),
        "three": (LogisticRegression(C=0.3), THREE),
        "ridge": (Ridge(alpha=5.0), REAL),
    }[name]
    kind = InfluenceRegressor if name == "ridge" else InfluenceClassifier
    s = np.where(np.arange(len(data.X)) % 5 == 2, 0.0, data.s)
    present = s > 0
    model = kind(estimator).fit(data.X, data.y, s)
    got = model.leave_one_out(method=method)
    alone = kind(estimator).fit(data.X[present], data.y[present], s[present])
    expected = alone.leave_one_out(method=method)
    np.testing.assert_allclose(got.losses[present], expected.losses, rtol=1e-7, atol=1e-10)
    # they predict as if they had never been there, because they never were
    judge = oracles.tight(estimator, data.X[present], data.y[present], s[present])
    raw = oracles.raw_of(judge, data.X[~present])
    mine = got.decisions.reshape(len(data.X), -1)[~present]
    np.testing.assert_allclose(mine, raw, rtol=1e-8, atol=1e-9)
    changes = model.parameter_influence(method=method).changes
    np.testing.assert_allclose(changes[~present], 0.0, atol=1e-10 * np.abs(changes).max())
    losses = model.self_influence(method=method).scores
    np.testing.assert_allclose(losses[~present], 0.0, atol=1e-10 * losses.max())


def test_score_is_the_weighted_mean_of_the_losses():
    left_out = InfluenceRegressor(Ridge(alpha=5.0)).fit(REAL.X, REAL.y, REAL.s).leave_one_out()
    assert left_out.score() == pytest.approx(np.sum(left_out.losses) / 60, rel=1e-12)
    expected = np.sum(REAL.s * left_out.losses) / np.sum(REAL.s)
    assert left_out.score(REAL.s) == pytest.approx(expected, rel=1e-12)


def test_the_standard_error_is_somewhat_below_the_error_of_the_score():
    """Which is the distance to the risk of the model on new rows, over samples of 100 rows."""
    rng = np.random.default_rng(0)
    rule = 2.0 * rng.standard_normal(10) / np.sqrt(10)

    def sample(n):
        X = rng.standard_normal((n, 10))
        return X, (rng.random(n) < 1.0 / (1.0 + np.exp(-X @ rule))).astype(int)

    X_new, y_new = sample(5000)
    off, errors = [], []
    for _ in range(60):
        model = InfluenceClassifier(LogisticRegression()).fit(*sample(100))
        left_out = model.leave_one_out(method="newton")
        risk = -np.mean(model.predict_log_proba(X_new)[np.arange(5000), y_new])
        off.append(left_out.score() - risk)
        errors.append(left_out.standard_error())
    size = np.sqrt(np.mean(np.square(off)))
    assert 0.7 * size < np.mean(errors) < size
    assert abs(np.mean(off)) < 0.25 * size


@pytest.mark.parametrize("seed", range(2))
def test_newton_scores_choose_the_penalty_of_refits(seed):
    data = classification(n=60, p=8, seed=seed)
    mine, actual = [], []
    for C in (0.01, 0.1, 1.0):
        estimator = LogisticRegression(C=C)
        model = InfluenceClassifier(estimator).fit(data.X, data.y)
        mine.append(model.leave_one_out(method="newton").score())
        _, without = oracles.judges(estimator, data, rows=range(60))
        actual.append(np.mean(own_losses(without, data, range(60))))
    np.testing.assert_allclose(mine, actual, rtol=0.02)
    assert np.argmin(mine) == np.argmin(actual)


# ------------------------------------------------------------------------------------- the table


@cases
def test_the_table_is_that_of_refits(case):
    data, (full, without) = case.data, judges(case.name)
    model = fit(case)
    frame = model.leave_one_out().to_frame().set_index("position").loc[ROWS]
    losses = own_losses(without, data)
    np.testing.assert_allclose(frame["loss"], losses, rtol=1e-5, atol=1e-9)
    predicted = own(without, lambda judge, X: judge.predict(X), data)
    if case.is_classifier:
        assert frame["given"].tolist() == data.y[ROWS].tolist()
        assert frame["predicted"].tolist() == predicted.tolist()
        assert ("probability" in frame) == hasattr(full, "predict_proba")
    if hasattr(full, "predict_proba"):
        each = own(without, lambda judge, X: judge.predict_proba(X), data)
        column = [full.classes_.tolist().index(label) for label in data.y[ROWS].tolist()]
        expected = each[np.arange(len(ROWS)), column]
        np.testing.assert_allclose(frame["probability"], expected, rtol=1e-5)
    if not case.is_classifier:
        y = data.y.reshape(len(data.y), -1)[ROWS]
        several = y.shape[1] > 1
        for k, at in enumerate(predicted.reshape(len(ROWS), -1).T):
            name = f"output {k}: " if several else ""
            np.testing.assert_array_equal(frame[f"{name}given"], y[:, k])
            np.testing.assert_allclose(frame[f"{name}predicted"], at, rtol=1e-7)
            np.testing.assert_allclose(frame[f"{name}residual"], y[:, k] - at, rtol=1e-5)


def test_outputs_are_called_as_they_were_given():
    Y = pd.DataFrame(REALS.y, columns=["length", "width", "depth"])
    left_out = InfluenceRegressor(Ridge()).fit(REALS.X, Y).leave_one_out()
    assert left_out.output_labels.tolist() == ["length", "width", "depth"]
    assert "depth: residual" in left_out.to_frame()


@pytest.mark.parametrize("estimator", [OneVsRestClassifier, MultiOutputClassifier])
def test_the_table_of_several_labels_a_row_is_that_of_refits(estimator):
    labels = np.column_stack([BINARY.y == "yes", BINARY.X[:, 0] > 0.3]).astype(int)
    named = pd.DataFrame(labels, columns=["bought", "came"])
    part = LogisticRegression(C=0.3, solver="newton-cholesky", tol=1e-12)
    left_out = InfluenceClassifier(estimator(part)).fit(BINARY.X, named).leave_one_out()
    assert left_out.output_labels.tolist() == ["bought", "came"]
    assert left_out.classes is None
    assert left_out.loss == "log loss"
    frame = left_out.to_frame().set_index("position").loc[ROWS]
    losses = np.zeros(len(ROWS))
    for k, name in enumerate(left_out.output_labels):
        for j, i in enumerate(ROWS):
            kept = np.delete(np.arange(60), i)
            judge = clone(part).fit(BINARY.X[kept], labels[kept, k])
            (p,) = judge.predict_proba(BINARY.X[[i]])
            line = frame.loc[i]
            assert line[f"{name}: given"] == labels[i, k]
            assert line[f"{name}: probability"] == pytest.approx(p[labels[i, k]], rel=1e-6)
            assert line[f"{name}: predicted"] == p.argmax()
            losses[j] -= np.log(p[labels[i, k]])
    np.testing.assert_allclose(frame["loss"], losses, rtol=1e-6)
    wrong = int(np.any(left_out.predictions != labels, axis=1).sum())
    assert f"{wrong} of 60 rows are predicted wrong" in repr(left_out)


LABELS = {
    "three and two classes": (THREE.y, np.where(THREE.X[:, 0] > 0.3, "late", "early")),
    "two classes that are not 0 and 1": (1 + (THREE.y == "a"), 2 + (THREE.X[:, 0] > 0.3)),
}


@pytest.mark.parametrize("name", LABELS)
def test_the_table_of_targets_of_any_classes_is_that_of_refits(name):
    labels = pd.DataFrame(dict(zip(["grade", "time"], LABELS[name], strict=True)))
    part = LogisticRegression(C=0.3, solver="newton-cholesky", tol=1e-12)
    left_out = InfluenceClassifier(MultiOutputClassifier(part)).fit(THREE.X, labels).leave_one_out()
    assert left_out.output_labels.tolist() == ["grade", "time"]
    frame = left_out.to_frame().set_index("position").loc[ROWS]
    losses = np.zeros(len(ROWS))
    for target in labels:
        for j, i in enumerate(ROWS):
            kept = np.delete(np.arange(len(labels)), i)
            judge = clone(part).fit(THREE.X[kept], labels[target][kept])
            given = labels.loc[i, target]
            p = judge.predict_proba(THREE.X[[i]])[0, judge.classes_.tolist().index(given)]
            assert frame.loc[i, f"{target}: given"] == given
            assert frame.loc[i, f"{target}: probability"] == pytest.approx(p, rel=1e-6)
            losses[j] -= np.log(p)
    np.testing.assert_allclose(frame["loss"], losses, rtol=1e-6)
    again = type(left_out).from_json(left_out.to_json())
    np.testing.assert_array_equal(again.given_probabilities, left_out.given_probabilities)


def test_tables_show_the_rows_beside():
    X = pd.DataFrame(REAL.X, columns=["a", "b", "loss", "d"])
    left_out = InfluenceRegressor().fit(X, pd.Series(REAL.y, name="price")).leave_one_out()
    frame = left_out.to_frame(columns=["a", "loss", "price"])
    at = frame["position"]
    np.testing.assert_array_equal(frame["a"], REAL.X[at, 0])
    np.testing.assert_array_equal(frame["loss_train"], REAL.X[at, 2])
    np.testing.assert_array_equal(frame["price"], frame["given"])


def test_numbers_of_objects_are_numbers():
    plain = InfluenceRegressor().fit(REAL.X, REAL.y).leave_one_out()
    as_objects = InfluenceRegressor().fit(REAL.X, REAL.y.astype(object)).leave_one_out()
    pd.testing.assert_frame_equal(as_objects.to_frame(), plain.to_frame())


LOSSES_IN_WORDS = {
    "log loss": (LogisticRegression(), BINARY),
    "half squared error": (Ridge(), REAL),
    "half squared error of targets transformed by StandardScaler()": (
        TransformedTargetRegressor(Ridge(), transformer=StandardScaler()),
        REAL,
    ),
    "smooth hinge": (LinearSVC(loss="hinge"), BINARY),
}


@pytest.mark.parametrize("words", LOSSES_IN_WORDS)
def test_the_loss_in_words(words):
    estimator, data = LOSSES_IN_WORDS[words]
    kind = InfluenceClassifier if data is BINARY else InfluenceRegressor
    assert kind(estimator).fit(data.X, data.y).leave_one_out(method="newton").loss == words


def test_models_of_other_losses_and_other_rows_are_not_compared():
    log = InfluenceClassifier(LogisticRegression()).fit(BINARY.X, BINARY.y).leave_one_out()
    square = InfluenceClassifier(RidgeClassifier()).fit(BINARY.X, BINARY.y).leave_one_out()
    with pytest.raises(ValueError, match="other losses were given, log loss and half squared"):
        log.compare(square)
    frame = pd.DataFrame(BINARY.X, index=range(1, 61))
    labelled = InfluenceClassifier().fit(frame, BINARY.y).leave_one_out()
    with pytest.raises(ValueError, match="training rows have other labels"):
        log.compare(labelled)
    features = InfluenceClassifier().fit(BINARY.X[:, :2], BINARY.y).leave_one_out()
    found = log.compare(features)
    assert found.difference == pytest.approx(log.score() - features.score(), rel=1e-12)


# --------------------------------------------------------------------------- shapes and containers


def test_two_classes_have_one_decision_and_two_probabilities():
    left_out = InfluenceClassifier().fit(BINARY.X, BINARY.y).leave_one_out()
    assert left_out.decisions.shape == (60,)
    assert left_out.probabilities.shape == (60, 2)
    assert left_out.parameters is None
    positive = 1.0 / (1.0 + np.exp(-left_out.decisions))
    np.testing.assert_allclose(left_out.probabilities[:, 1], positive, rtol=1e-12)
    labels = np.where(left_out.decisions > 0, "yes", "no")
    assert left_out.predictions.tolist() == labels.tolist()
    assert len(np.unique(labels)) == 2


def test_three_classes_have_a_decision_and_a_probability_each():
    left_out = InfluenceClassifier().fit(THREE.X, THREE.y).leave_one_out(return_parameters=True)
    assert left_out.decisions.shape == left_out.probabilities.shape == (75, 3)
    assert left_out.parameters.shape == (75, 15)
    own_class = np.searchsorted(["a", "b", "c"], THREE.y)
    likelihood = left_out.probabilities[np.arange(75), own_class]
    np.testing.assert_allclose(left_out.losses, -np.log(likelihood), rtol=1e-10)


def test_several_targets_have_a_prediction_each():
    left_out = InfluenceRegressor(Ridge()).fit(REALS.X, REALS.y).leave_one_out()
    assert left_out.predictions.shape == left_out.decisions.shape == (60, 3)
    assert left_out.probabilities is None
    squares = 0.5 * np.sum((REALS.y - left_out.predictions) ** 2, axis=1)
    np.testing.assert_allclose(left_out.losses, squares, rtol=1e-12)


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge()])
def test_one_column_of_targets_is_predicted_as_predict_does(estimator):
    model = InfluenceRegressor(estimator).fit(REAL.X, REAL.y[:, None])
    left_out = model.leave_one_out()
    flat = InfluenceRegressor(estimator).fit(REAL.X, REAL.y).leave_one_out()
    np.testing.assert_allclose(left_out.predictions.ravel(), flat.predictions, rtol=1e-12)
    assert left_out.predictions.shape == model.predict(REAL.X).shape


def test_a_classifier_without_probabilities_has_none():
    left_out = InfluenceClassifier(RidgeClassifier()).fit(THREE.X, THREE.y).leave_one_out()
    assert left_out.probabilities is None
    assert left_out.decisions.shape == (75, 3)
    classes = np.array(["a", "b", "c"])
    expected = classes[left_out.decisions.argmax(axis=1)].tolist()
    assert left_out.predictions.tolist() == expected


def everything(model, method):
    left_out = model.leave_one_out(method=method)
    return {
        "losses": left_out.losses,
        "decisions": left_out.decisions,
        "probabilities": left_out.probabilities,
        "self_influence": model.self_influence(method=method).scores,
        "parameter_influence": model.parameter_influence(method=method).changes,
    }


def check_equal(got, expected, rtol):
    for name, value in expected.items():
        atol = rtol * np.abs(value).max()
        np.testing.assert_allclose(got[name], value, rtol=rtol, atol=atol, err_msg=name)


@methods
def test_transformers_are_frozen(method):
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    model = InfluenceClassifier(pipeline).fit(THREE.X, THREE.y)
    scaled = StandardScaler().fit_transform(THREE.X)
    alone = InfluenceClassifier(LogisticRegression(C=0.3)).fit(scaled, THREE.y)
    check_equal(everything(model, method), everything(alone, method), 1e-7)


@methods
def test_frames_and_sparse_features_are_their_arrays(method):
    X, labels = THREE.X.copy(), pd.Index([f"row {i}" for i in range(75)])
    X[np.abs(X) < 0.5] = 0.0
    expected = everything(InfluenceClassifier().fit(X, THREE.y), method)
    frame = pd.DataFrame(X, index=labels, columns=list("pqrs"))
    series = pd.Series(THREE.y, index=labels)
    check_equal(everything(InfluenceClassifier().fit(frame, series), method), expected, 1e-10)
    csr = InfluenceClassifier().fit(sparse.csr_matrix(X), THREE.y)
    check_equal(everything(csr, method), expected, 1e-7)


@methods
def test_single_precision_is_double_precision_on_rounded_features(method):
    rounded = THREE.X.astype(np.float32)
    expected = everything(InfluenceClassifier().fit(rounded.astype(float), THREE.y), method)
    got = everything(InfluenceClassifier().fit(rounded, THREE.y), method)
    check_equal(got, expected, 1e-6)
    assert all(value.dtype == np.float64 for value in got.values())


# --------------------------------------------------------------------------- self and parameters


@cases
def test_self_influence_is_the_diagonal_of_the_scores_on_the_training_rows(case):
    model = fit(case)
    for method in ("first_order", "newton", "exact"):
        scores = model.influence_scores(case.data.X, case.data.y, method=method)
        mine = model.self_influence(method=method).scores
        np.testing.assert_allclose(
            mine, np.diag(scores), rtol=1e-6, atol=1e-10 * mine.max(), err_msg=method
        )


@cases
def test_self_influence_is_the_loss_left_out_minus_the_loss_fitted(case):
    model, (full, without) = fit(case), judges(case.name)
    fitted = oracles.losses_of(full, case.data.X, case.data.y)
    for method in ("newton", "exact"):
        mine = model.self_influence(method=method).scores
        expected = model.leave_one_out(method=method).losses - fitted
        np.testing.assert_allclose(mine, expected, rtol=1e-6, atol=1e-8 * mine.max())
    actual = own_losses(without, case.data) - fitted[ROWS]
    assert np.linalg.norm(mine[ROWS] - actual) < 1e-6 * np.linalg.norm(actual)
    if case.counts is None:
        assert mine.min() >= 0


@cases
def test_first_order_self_influence_is_that_of_the_twin(case):
    """g_i' H^-1 times the derivative of the gradient in the presence of the row."""
    data, (full, _) = case.data, judges(case.name)
    theta = oracles.theta_of(full)
    twin = oracles.twin_of(full, data.X, data.y, case.s, case.counts)
    inverse, own_gradients = np.linalg.pinv(twin.hessian(theta), 1e-11), twin.row_gradients(theta)
    expected = []
    for i in ROWS:
        step = 1e-5 * np.eye(len(data.X))[i]
        more, less = (
            oracles.twin_of(full, data.X, data.y, case.s, case.counts, 1.0 + change).gradient(theta)
            for change in (step, -step)
        )
        expected.append(own_gradients[i] @ inverse @ (more - less) / 2e-5)
    mine = fit(case).self_influence(method="first_order").scores[ROWS]
    np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-7 * np.max(expected))


@cases
def test_parameter_influence_is_without_minus_with(case):
    model, (full, without) = fit(case), judges(case.name)
    actual = np.array([oracles.theta_of(judge) for judge in without]) - oracles.theta_of(full)
    for method, bound in (("newton", case.newton_error), ("exact", 1e-6)):
        mine = model.parameter_influence(method=method).changes
        assert mine.shape == (len(case.data.X), actual.shape[1])
        assert np.linalg.norm(mine[ROWS] - actual) < bound * np.linalg.norm(actual)


@pytest.mark.parametrize("name", ["LogisticRegression-weighted", "Ridge-weighted"])
def test_first_order_parameter_influence_is_the_derivative_of_refits(name):
    case = next(case for case in CASES if case.name == name)
    data, mine = case.data, fit(case).parameter_influence(method="first_order").changes
    for i in ROWS[:3]:
        step = 1e-4 * np.eye(len(data.X))[i]
        more, less = (
            oracles.theta_of(oracles.tight(case.estimator, data.X, data.y, case.s + change))
            for change in (step, -step)
        )
        expected = -case.s[i] * (more - less) / 2e-4
        np.testing.assert_allclose(mine[i], expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@methods
@pytest.mark.parametrize("name", ["binary", "three", "real", "reals"])
def test_parameter_influence_moves_predictions_as_the_scores_say(name, method):
    """Raw predictions are linear in the parameters: their change is X1 times the parameters'."""
    data = {"binary": BINARY, "three": THREE, "real": REAL, "reals": REALS}[name]
    X1 = np.column_stack([data.X_test, np.ones(12)])
    if name in ("binary", "three"):
        model = InfluenceClassifier(LogisticRegression(C=0.3)).fit(data.X, data.y, data.s)
        scores = [
            model.influence_scores(
                data.X_test, np.full(12, c), target="decision_function", method=method
            )
            for c in (model.classes_ if name == "three" else ["yes"])
        ]
    else:
        model = InfluenceRegressor(Ridge(alpha=5.0)).fit(data.X, data.y, data.s)
        scores = [
            model.influence_scores(data.X_test, target="linear_predictor", output=k, method=method)
            for k in (range(3) if name == "reals" else [None])
        ]
    changes = model.parameter_influence(method=method).changes.reshape(len(data.X), len(scores), 5)
    expected = np.einsum("tp,ikp->kti", X1, changes)
    tolerance = 1e-7 * np.abs(expected).max()
    np.testing.assert_allclose(scores, expected, rtol=0, atol=tolerance)


@methods
def test_left_out_predictions_are_those_of_the_left_out_parameters(method):
    model = InfluenceClassifier(LogisticRegression(C=0.3)).fit(THREE.X, THREE.y, THREE.s)
    left_out = model.leave_one_out(method=method, return_parameters=True)
    plain = model.leave_one_out(method=method)
    X1 = np.column_stack([THREE.X, np.ones(75)])
    raw = np.einsum("ip,ikp->ik", X1, left_out.parameters.reshape(75, 3, 5))
    np.testing.assert_allclose(left_out.decisions, raw, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(plain.decisions, raw, rtol=1e-7, atol=1e-9)
    judge = oracles.tight(LogisticRegression(C=0.3), THREE.X, THREE.y, THREE.s)
    moved = left_out.parameters - model.parameter_influence(method=method).changes
    np.testing.assert_allclose(moved, np.tile(oracles.theta_of(judge), (75, 1)), atol=1e-8)


# --------------------------------------------------- a model known by its losses of the parameters


def huber_losses(theta, X, y):
    """sqrt(1 + r^2) - 1."""
    return anp.sqrt(1.0 + (y - anp.dot(X, theta)) ** 2) - 1.0


class PseudoHuber(RegressorMixin, BaseEstimator):
    """Minimises sum_i w_i huber_losses_i + |theta|^2 / 2."""

    def fit(self, X, y, sample_weight=None):
        w = np.ones(len(X)) if sample_weight is None else sample_weight

        def value(theta):
            return anp.sum(w * huber_losses(theta, X, y)) + 0.5 * anp.sum(theta**2)

        self.theta_ = minimize(value, np.zeros(X.shape[1]), jac=grad(value)).x
        for _ in range(5):
            step = np.linalg.solve(hessian(value)(self.theta_), grad(value)(self.theta_))
            self.theta_ = self.theta_ - step
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return X @ self.theta_


class LossesAlone(Objective):
    """What an adapter can say that knows no raw predictions."""

    def __init__(self, X, y, theta, sample_weight):
        self.X, self.y, self.theta, self.sample_weight = X, y, theta, sample_weight
        self.l2, self.weighting = np.ones(len(theta)), Fixed(len(X))

    def at(self, theta):
        return LossesAlone(self.X, self.y, theta, self.sample_weight)

    def on(self, X, y=None):
        return LossesAlone(X, y, self.theta, np.ones(len(X)))

    def rows(self, index):
        return LossesAlone(self.X[index], self.y[index], self.theta, self.sample_weight[index])

    def losses(self):
        return huber_losses(self.theta, self.X, self.y)

    def grads_dot(self, V):
        return jacobian(huber_losses)(self.theta, self.X, self.y) @ V

    def weighted_grad_sum(self, A):
        return jacobian(huber_losses)(self.theta, self.X, self.y).T @ A

    def hvp(self, V):
        H = hessian(lambda t: anp.sum(self.sample_weight * huber_losses(t, self.X, self.y)))
        return H(self.theta) @ V + self.l2[:, None] * V


@register_adapter(PseudoHuber)
def pseudo_huber(estimator, X, y, sample_weight):
    w = np.ones(len(X)) if sample_weight is None else sample_weight
    return LossesAlone(X, y, estimator.theta_, w)


def test_self_influence_without_raw_predictions_is_the_gradient_in_the_inverse_curvature():
    model = InfluenceRegressor(PseudoHuber()).fit(REAL.X, REAL.y, REAL.s)
    theta = model.estimator_.theta_

    def value(t):
        return anp.sum(REAL.s * huber_losses(t, REAL.X, REAL.y)) + 0.5 * anp.sum(t**2)

    g = jacobian(huber_losses)(theta, REAL.X, REAL.y)
    changes = np.linalg.solve(hessian(value)(theta), g.T).T * REAL.s[:, None]
    mine = model.self_influence().scores
    np.testing.assert_allclose(mine, np.sum(g * changes, axis=1), rtol=1e-8)
    np.testing.assert_allclose(mine, np.diag(model.influence_scores(REAL.X, REAL.y)), rtol=1e-9)
    np.testing.assert_allclose(model.parameter_influence().changes, changes, rtol=1e-7, atol=1e-10)
    # the derivative of refits, in the unit of the whole weight
    less = PseudoHuber().fit(REAL.X, REAL.y, REAL.s - 1e-5 * np.eye(60)[3]).theta_
    np.testing.assert_allclose(changes[3], REAL.s[3] * (less - theta) / 1e-5, rtol=1e-4)


@pytest.mark.parametrize("question", ["leave_one_out", "diagnostics"])
def test_questions_about_raw_predictions_are_refused_without_them(question):
    model = InfluenceRegressor(PseudoHuber()).fit(REAL.X, REAL.y)
    message = rf"{question} needs raw predictions, and LossesAlone has only losses of the"
    with pytest.raises(ValueError, match=message):
        getattr(model, question)(method="first_order")


def test_leave_one_out_as_it_is_called_most_says_why_it_is_refused():
    model = InfluenceRegressor(PseudoHuber()).fit(REAL.X, REAL.y)
    with pytest.raises(ValueError, match="leave_one_out needs raw predictions"):
        model.leave_one_out()


# ------------------------------------------------------------------------------ warnings and errors

QUESTIONS = ["leave_one_out", "self_influence", "parameter_influence", "diagnostics"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_only_row_of_a_class_is_named(question):
    y = THREE.y.copy()
    y[y == "c"] = "a"
    y[7] = "c"
    model = InfluenceClassifier(LogisticRegression(C=0.3)).fit(THREE.X, y)
    message = r"The training rows \[7\] \(1 in all\) are the only ones of their class"
    with pytest.warns(UserWarning, match=message) as record:
        getattr(model, question)(method="newton")
    assert [w.filename for w in record if "only ones" in str(w.message)] == [__file__]


@pytest.mark.parametrize("method", ["newton", "exact"])
def test_rows_that_keep_the_others_from_being_separated_are_named(method):
    """Unpenalised, and separable without row 8 or without row 9: there the loss has no minimum."""
    X = np.linspace(-2.0, 2.0, 20)[:, None]
    y = np.where(np.arange(20) == 8, 1, X[:, 0] > 0)
    model = InfluenceClassifier(LogisticRegression(C=np.inf)).fit(X, y)
    with pytest.warns(ConvergenceWarning, match=r"Without each of the rows \[8, 9\] \(2 in all\)"):
        left_out = model.leave_one_out(method=method)
    assert np.all(np.isfinite(left_out.losses))


AT_THE_CALL = [
    "leave_one_out",
    "diagnostics",
    "self_influence",
    "parameter_influence",
]


@pytest.mark.parametrize("question", AT_THE_CALL)
def test_a_fit_that_stopped_early_is_reported_at_the_call(question):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = InfluenceClassifier(LogisticRegression(max_iter=2)).fit(BINARY.X, BINARY.y)
    with pytest.warns(ConvergenceWarning, match="times the sampling noise") as record:
        getattr(model, question)()
    assert [w.filename for w in record] == [__file__]


@pytest.mark.parametrize("question", ["parameter_influence", "leave_one_out", "diagnostics"])
def test_parameters_that_do_not_fit_in_memory_are_refused(question, monkeypatch):
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    before = model.leave_one_out(method="newton")
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 2000.0)
    params = {"return_parameters": True} if question == "leave_one_out" else {}
    message = r"The change of 5 parameters by each of 60 edits needs .* Ask for effects"
    with pytest.raises(MemoryError, match=message):
        getattr(model, question)(method="newton", **params)
    again = model.leave_one_out(method="newton")  # needs none of it
    np.testing.assert_array_equal(again.losses, before.losses)


@pytest.mark.parametrize("question", QUESTIONS)
def test_unknown_methods_are_refused(question):
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    with pytest.raises(ValueError, match="method='best' was given; accepted are"):
        getattr(model, question)(method="best")
