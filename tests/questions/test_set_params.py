"""What is set after a fit and after answers is seen by the next question, whatever it is."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier
from tests.cases import BINARY

ASK = BINARY.X_test, BINARY.y_test
GROUPS = np.arange(len(BINARY.y)) % 4
HINGE = LinearSVC(C=0.1, loss="hinge", max_iter=10**5, random_state=0)
NETWORK = MLPClassifier(
    (2,), activation="tanh", solver="lbfgs", alpha=1.0, max_iter=30, random_state=0
)

QUESTIONS = {
    "influence_scores": lambda m: m.influence_scores(*ASK),
    "influence": lambda m: m.influence(*ASK, top=3).scores,
    "group_influence": lambda m: m.group_influence(GROUPS, *ASK).scores,
    "addition_influence": lambda m: m.addition_influence(ASK[0][:3], ASK[1][:3], *ASK).scores,
    "relabel_influence": lambda m: m.relabel_influence(BINARY.y[::-1], *ASK).scores,
    "input_influence": lambda m: m.input_influence(*ASK, rows=[0, 1]).derivatives,
    "influence_embedding": lambda m: m.influence_embedding(*ASK),
    "self_influence": lambda m: m.self_influence().scores,
    "parameter_influence": lambda m: m.parameter_influence().changes,
}
REFITTED = {
    "leave_one_out": lambda m: m.leave_one_out().losses,
    "diagnostics": lambda m: m.diagnostics().cooks_distance,
    "check": lambda m: m.leave_one_out_check(*ASK, rows=2).predicted,
    "without": lambda m: m.without([0]).estimator_.coef_,
}


def answer(model, ask):
    """Return an answer, or why there is none."""
    try:
        return np.asarray(ask(model))
    except ValueError as error:
        return str(error)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "option, value, machine",
    [
        ("temperature", 0.5, HINGE),
        ("damping", 3.0, HINGE),
        ("refine", False, HINGE),
        ("method", "first_order", HINGE),
        ("solver", "cg", HINGE),
        ("verbose", 1, HINGE),
        ("damping", 3.0, NETWORK),
        ("refine", True, NETWORK),
        ("method", "newton", NETWORK),
        ("curvature", "hessian", NETWORK),
        ("solver", "lu", NETWORK),
        ("n_jobs", 2, NETWORK),
    ],
)
def test_every_question_sees_what_was_set(option, value, machine):
    questions = QUESTIONS if machine is NETWORK else QUESTIONS | REFITTED
    model = InfluenceClassifier(machine, damping=0.2).fit(BINARY.X, BINARY.y)
    before = {name: answer(model, ask) for name, ask in questions.items()}
    model.set_params(**{option: value})
    params = {"damping": 0.2, option: value}
    fresh = InfluenceClassifier(machine, **params).fit(BINARY.X, BINARY.y)
    changed = set()
    for name, ask in questions.items():
        found, expected = answer(model, ask), answer(fresh, ask)
        if isinstance(expected, str):
            assert found == expected
            continue
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
        if np.shape(before[name]) != found.shape or not np.allclose(before[name], found):
            changed.add(name)
        assert model.solver_ == fresh.solver_
    assert ("influence_scores" in changed) == (option not in ("solver", "n_jobs", "verbose"))
    assert option != "solver" or value in model.solver_


def test_another_estimator_is_seen_by_the_next_fit_alone():
    model = InfluenceClassifier(LogisticRegression(C=0.1, tol=1e-10)).fit(BINARY.X, BINARY.y)
    scores, decisions = model.influence_scores(*ASK), model.decision_function(BINARY.X_test)
    checked = model.leave_one_out_check(*ASK, rows=3).actual
    for params in ({"estimator__C": 50.0}, {"estimator": make_pipeline(StandardScaler(), Ridge())}):
        model.set_params(**params)
        np.testing.assert_array_equal(model.influence_scores(*ASK), scores)
        np.testing.assert_array_equal(model.decision_function(BINARY.X_test), decisions)
        np.testing.assert_array_equal(model.leave_one_out_check(*ASK, rows=3).actual, checked)
        assert model.without([0]).estimator_.C == 0.1
    model.set_params(estimator=LogisticRegression(C=50.0, tol=1e-10)).fit(BINARY.X, BINARY.y)
    fresh = InfluenceClassifier(LogisticRegression(C=50.0, tol=1e-10)).fit(BINARY.X, BINARY.y)
    np.testing.assert_array_equal(model.influence_scores(*ASK), fresh.influence_scores(*ASK))
