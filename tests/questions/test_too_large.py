"""What cannot fit says so before it is allocated, and what to pass in its place."""

import re

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.models import RecordedTraining
from tests.cases import BINARY, classification

TIMES = 250
TESTS = np.repeat(BINARY.X_test, TIMES, axis=0), np.repeat(BINARY.y_test, TIMES)
N_TEST = len(TESTS[0])  # 3,000
TOO_LITTLE = 200_000.0  # bytes: 25,000 numbers

EACH = "Ask for aggregate='mean' or 'sum', "
TOP = "influence(top=10) where the largest are enough, "
FEWER = "or fewer test rows at a time."
BY_TESTS = np.arange(N_TEST) // 2

SCORES = {
    "influence_scores": (
        "A score for each of 60 training rows and 3,000 test rows",
        EACH + TOP + FEWER,
        lambda m: m.influence_scores(*TESTS),
    ),
    "influence": (
        "A score for each of 60 training rows and 3,000 test rows",
        EACH + TOP + FEWER,
        lambda m: m.influence(*TESTS),
    ),
    "influence of many": (
        "The 60 largest and the 60 smallest scores of each of 3,000 test rows",
        "Ask for a smaller top, aggregate='mean' or 'sum', " + FEWER,
        lambda m: m.influence(*TESTS, top=100),
    ),
    "influence on groups": (
        "A score for each of 60 training rows and 1,500 groups of test rows",
        "Ask for fewer groups, or aggregate='mean' or 'sum'.",
        lambda m: m.influence(*TESTS, aggregate=BY_TESTS),
    ),
    "group_influence": (
        "A score for each of 12 groups and 3,000 test rows",
        EACH + FEWER,
        lambda m: m.group_influence(np.arange(60) % 12, *TESTS),
    ),
    "group_influence on groups": (
        "A score for each of 20 groups and 1,500 groups of test rows",
        "Ask for fewer groups, or aggregate='mean' or 'sum'.",
        lambda m: m.group_influence(np.arange(60) % 20, *TESTS, aggregate=BY_TESTS),
    ),
    "addition_influence": (
        "A score for each of 12 new rows and 3,000 test rows",
        EACH + FEWER,
        lambda m: m.addition_influence(BINARY.X_test, BINARY.y_test, *TESTS),
    ),
    "relabel_influence": (
        "A score for each of 60 new targets and 3,000 test rows",
        EACH + FEWER,
        lambda m: m.relabel_influence(BINARY.y[::-1], *TESTS),
    ),
    "leave_one_out_check": (
        "A score for each of 30 training rows and 3,000 test rows",
        "Ask for fewer rows, " + FEWER,
        lambda m: m.leave_one_out_check(*TESTS),
    ),
}
MODELS = {
    "linear": LogisticRegression(tol=1e-8),
    "network": MLPClassifier(
        (2,), activation="tanh", solver="lbfgs", alpha=1.0, max_iter=300, random_state=0
    ),
}


@pytest.mark.parametrize("method", ["first_order", "newton"])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("question", SCORES)
@pytest.mark.filterwarnings("ignore")
def test_scores_that_do_not_fit_are_refused(question, kind, method, monkeypatch):
    what, advice, ask = SCORES[question]
    model = InfluenceClassifier(MODELS[kind], method=method, damping=0.2).fit(BINARY.X, BINARY.y)
    model.influence_scores(BINARY.X_test, BINARY.y_test)
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: TOO_LITTLE)
    message = rf"{re.escape(what)} needs .* and 195\.3 KiB are available\. {re.escape(advice)}$"
    with pytest.raises(MemoryError, match=message):
        ask(model)


@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_the_advice_of_scores_that_do_not_fit_is_good(method, monkeypatch):
    model = InfluenceClassifier(method=method).fit(BINARY.X, BINARY.y)
    whole = model.influence_scores(*TESTS)
    largest = np.sort(whole, axis=1)[:, :-4:-1]
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 3e5)
    with pytest.raises(MemoryError, match="A score for each of 60 training rows"):
        model.influence_scores(*TESTS)
    mean = model.influence_scores(*TESTS, aggregate="mean")
    np.testing.assert_allclose(mean, whole.mean(axis=0), rtol=1e-9, atol=1e-15)
    top = model.influence(*TESTS, top=3)
    np.testing.assert_allclose(top.scores[:, :3], largest, rtol=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_a_recorded_training_refuses_alike(monkeypatch):
    inner = MLPClassifier((2,), solver="sgd", max_iter=2, random_state=0)
    model = InfluenceClassifier(RecordedTraining(inner), method="tracin").fit(BINARY.X, BINARY.y)
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: TOO_LITTLE)
    for question in (
        "influence_scores",
        "influence",
        "influence of many",
        "influence on groups",
    ):
        what, advice, ask = SCORES[question]
        with pytest.raises(MemoryError, match=rf"{re.escape(what)} needs .*{re.escape(advice)}$"):
            ask(model)
    assert model.influence_scores(*TESTS, aggregate="sum").shape == (60,)


@pytest.mark.parametrize("question", ["parameter_influence", "leave_one_out", "diagnostics"])
def test_parameters_that_a_penalty_keeps_at_zero_take_memory_too(question, monkeypatch):
    """Of 300 coefficients some three are not zero: their changes fit, those of all do not."""
    X = np.random.default_rng(0).standard_normal((60, 300))
    model = InfluenceRegressor(Lasso(alpha=0.5, tol=1e-10), method="first_order")
    model.fit(X, X[:, :3].sum(axis=1))
    assert np.count_nonzero(model.estimator_.coef_) < 10
    model.self_influence()
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 1e5)
    params = {"return_parameters": True} if question == "leave_one_out" else {}
    method = "newton" if question == "diagnostics" else "first_order"
    message = r"The change of 301 parameters by each of 60 edits needs .* Ask for effects"
    with pytest.raises(MemoryError, match=message):
        getattr(model, question)(method=method, **params)


def test_parameters_of_left_out_rows_are_those_of_the_changes():
    data = classification(n=60)
    model = InfluenceClassifier(LogisticRegression(tol=1e-10)).fit(data.X, data.y)
    left = model.leave_one_out(method="newton", return_parameters=True)
    fitted = np.append(model.estimator_.coef_[0], model.estimator_.intercept_)
    changes = np.asarray(model.parameter_influence(method="newton"))
    np.testing.assert_allclose(left.parameters, fitted + changes, rtol=1e-6, atol=1e-7)
    again = model.leave_one_out(method="newton", return_parameters=True)
    np.testing.assert_array_equal(again.parameters, left.parameters)


def test_what_fits_is_not_refused(monkeypatch):
    model = InfluenceRegressor(Ridge()).fit(BINARY.X, BINARY.X[:, 0])
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 60 * 12 * 8.0)
    assert model.influence_scores(BINARY.X_test, BINARY.X_test[:, 0]).shape == (12, 60)
