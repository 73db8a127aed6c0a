"""Every question says how far it is, and answers the same whether anybody listens or not."""

import re
import sys
import warnings

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor, LabelAudit
from skinfluence.effects import scores
from skinfluence.models import RecordedTraining
from skinfluence.process import progress
from skinfluence.process.tuning import tuned
from skinfluence.questions import refits
from skinfluence.solvers import CG, LiSSA
from tests.cases import BINARY, REAL, THREE

NETWORK = MLPClassifier(
    (2,), activation="tanh", solver="lbfgs", alpha=1.0, max_iter=30, random_state=0
)
MODELS = {
    "logistic": (LogisticRegression(tol=1e-8), THREE, {}),
    "exact": (make_pipeline(StandardScaler(), LogisticRegression()), BINARY, {"method": "exact"}),
    "cg": (LogisticRegression(tol=1e-8), BINARY, {"solver": CG(), "method": "first_order"}),
    "lissa": (
        LogisticRegression(tol=1e-8),
        BINARY,
        {"solver": LiSSA(n_iter=30, tol=10.0), "method": "first_order"},
    ),
    "lasso": (Lasso(alpha=0.1, tol=1e-10), REAL, {"method": "exact"}),
    "ridge": (Ridge(), REAL, {}),
    "hinge": (LinearSVC(C=0.1, loss="hinge", max_iter=10**5, random_state=0), BINARY, {}),
    "kernel": (SVC(kernel="rbf"), BINARY, {"method": "first_order"}),
    "network": (NETWORK, BINARY, {"damping": 0.2, "method": "newton"}),
    "tracin": (
        RecordedTraining(MLPClassifier((2,), solver="sgd", max_iter=4, random_state=0)),
        BINARY,
        {"method": "tracin"},
    ),
}
SLOWLY_REFITTED = ("network", "tracin")
QUESTIONS = {
    "influence_scores": lambda m, d: m.influence_scores(d.X_test, d.y_test),
    "of the mean": lambda m, d: m.influence_scores(d.X_test, d.y_test, aggregate="mean"),
    "influence": lambda m, d: m.influence(d.X_test, d.y_test, top=3),
    "group_influence": lambda m, d: m.group_influence(np.arange(len(d.y)) % 4, d.X_test, d.y_test),
    "addition_influence": lambda m, d: m.addition_influence(
        d.X_test[:3], d.y_test[:3], d.X_test, d.y_test
    ),
    "relabel_influence": lambda m, d: m.relabel_influence(d.y[::-1], d.X_test, d.y_test),
    "input_influence": lambda m, d: m.input_influence(d.X_test, d.y_test, rows=[0, 1]),
    "influence_embedding": lambda m, d: m.influence_embedding(d.X_test, d.y_test),
    "self_influence": lambda m, d: m.self_influence(),
    "parameter_influence": lambda m, d: m.parameter_influence(),
    "leave_one_out": lambda m, d: m.leave_one_out().losses,
    "diagnostics": lambda m, d: m.diagnostics().cooks_distance,
    "leave_one_out_check": lambda m, d: m.leave_one_out_check(d.X_test, d.y_test, rows=2).predicted,
}


def answers(name, **params):
    """Return the answer of a model to every question, or why there is none."""
    estimator, data, asked = MODELS[name]
    wrapper = InfluenceRegressor if data is REAL else InfluenceClassifier
    model = wrapper(estimator, **asked, **params).fit(data.X, data.y)
    found = {}
    for question, ask in QUESTIONS.items():
        if question == "leave_one_out_check" and name in SLOWLY_REFITTED:
            continue
        try:
            found[question] = np.asarray(ask(model, data))
        except ValueError as error:
            found[question] = str(error)
    return found


def last_counts(text):
    """Return what was counted, by question, with the last count and the total."""
    lines = re.findall(r"^(\w+): (.+): ([\d,]+) of ([\d,]+) [\w ]+, .* a second", text, re.M)
    return {(question, what): (done, total) for question, what, done, total in lines}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_progress_changes_no_answer_and_ends_at_the_total(name, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with tuned(block_elements=2**11, edit_elements=2**11):  # of which there are many then
        quiet = answers(name)
        assert not last_counts(capsys.readouterr().err)
        for n_jobs in (1, 2):
            found = answers(name, verbose=1, n_jobs=n_jobs)
            assert found.keys() == quiet.keys()
            for question in found:
                np.testing.assert_array_equal(found[question], quiet[question], question)
            counts = last_counts(capsys.readouterr().err)
            assert {work: n for work, n in counts.items() if n[0] != n[1]} == {}
            answered = {q for q, value in found.items() if not isinstance(value, str)}
            assert answered - {"of the mean", "self_influence"} <= {
                question for question, _ in counts
            }


AUDITED = {"logistic": "auto", "exact": "exact", "lasso": "auto", "hinge": "auto", "ridge": "folds"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", AUDITED)
def test_an_audit_says_how_far_it_is(name, monkeypatch, capsys):
    """Of all its fits and both passes, in its own name."""
    monkeypatch.setitem(sys.modules, "tqdm", None)
    estimator, data, _ = MODELS[name]
    method = AUDITED[name]
    with tuned(block_elements=2**9, edit_elements=2**9):
        quiet = LabelAudit(estimator, method=method).fit(data.X, data.y)
        assert not capsys.readouterr().err
        audit = LabelAudit(estimator, method=method, verbose=1).fit(data.X, data.y)
    np.testing.assert_array_equal(audit.label_quality_, quiet.label_quality_)
    text = capsys.readouterr().err
    assert {line.split(":")[0] for line in text.splitlines()} == {"LabelAudit.fit"}
    counts = last_counts(text.replace("LabelAudit.fit", "LabelAudit"))
    assert counts and all(done == total for done, total in counts.values())
    n, left = len(data.y), len(data.y) - len(audit.result_.left_aside)
    of_rows = {f"of {size} rows" for size in (n, left)}
    assert all(any(size in text for size in (each, each[3:])) for each in of_rows)


CHEAPER = {
    ("influence_scores", "exact"): "method='newton'",
    ("influence_scores", "newton"): "method='first_order'",
    ("influence_scores", "first_order"): "aggregate='mean'",
    ("of the mean", "first_order"): "",
    ("self_influence", "exact"): "method='newton'",
    ("group_influence", "newton"): "method='first_order'",
}


@pytest.mark.parametrize("question, method", CHEAPER)
@pytest.mark.parametrize("kind", ["linear", "network"])
def test_the_cheaper_way_is_named(question, method, kind, monkeypatch):
    seen = []
    monkeypatch.setattr(progress._WATCH, "remove", seen.append)
    estimator = NETWORK if kind == "network" else LogisticRegression(tol=1e-8)
    model = InfluenceClassifier(estimator, method=method, damping=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        QUESTIONS[question](model.fit(BINARY.X, BINARY.y), BINARY)
    monkeypatch.undo()
    for answer in seen:
        progress._WATCH.remove(answer)
    (answer,) = seen
    assert answer.cheaper == CHEAPER[question, method]


def test_fewer_rows_are_the_cheaper_way_of_refits(monkeypatch):
    seen = []

    def refit_without(*args, **params):
        seen.append(progress._current.get().cheaper)
        return original(*args, **params)

    original = refits.refit_without
    monkeypatch.setattr(refits, "refit_without", refit_without)
    model = InfluenceClassifier(LogisticRegression()).fit(BINARY.X, BINARY.y)
    model.leave_one_out_check(BINARY.X_test, BINARY.y_test, rows=2)
    assert seen == ["a smaller rows="]


def test_a_question_that_takes_long_is_told_of(caplog, monkeypatch):
    """By whatever the work is under way; the sentence is one, and names what is asked."""
    model = InfluenceClassifier(method="exact").fit(BINARY.X, BINARY.y)
    answers, change_in_pieces = [], scores.change_in_pieces

    def a_minute_later(*args):
        answers[-1].say(answers[-1].begun + 60)
        return change_in_pieces(*args)

    monkeypatch.setattr(progress._WATCH, "add", answers.append)
    monkeypatch.setattr(scores, "change_in_pieces", a_minute_later)
    with caplog.at_level("INFO", "skinfluence"), tuned(edit_elements=2**9):
        model.influence_scores(BINARY.X_test, BINARY.y_test, aggregate="mean")
    (record,) = caplog.records
    assert re.fullmatch(
        r"influence_scores has taken 60 s; the effects of 60 changes of the training data on 12 "
        r"test rows(: \d+% done, about \d+ (s|min|h) left|.*: how long it takes is not known yet); "
        r"method='newton' takes less; verbose=1 shows the progress\.",
        record.getMessage(),
    )
