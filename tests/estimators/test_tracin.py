"""method="tracin" through the wrappers, for an estimator whose training was recorded."""

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor, RecordedTraining
from tests.cases import classification, regression

BINARY = classification(labels=["no", "yes"])
REAL = regression()
NETWORK = MLPClassifier(5, solver="sgd", learning_rate_init=0.1, alpha=0.1, random_state=0)


def by_hand(model, record, X, y):
    """Sum the inner products of gradients over the checkpoints, row by row."""
    objective, total = model._current().objective(), 0.0
    for one in record.checkpoints_:
        pairs = zip(one.estimator.coefs_, one.estimator.intercepts_, strict=True)
        theta = np.concatenate([np.vstack([W, b]).ravel() for W, b in pairs])
        g, h = (
            rows.weighted_grad_sum(np.eye(rows.n_samples))
            for rows in (objective.at(theta), objective.on(X, y).at(theta))
        )
        total = total + one.step * h.T @ g
    return total


@pytest.fixture(scope="module")
def model():
    pipeline = make_pipeline(StandardScaler(), RecordedTraining(NETWORK, epochs=8, every=3))
    model = InfluenceClassifier(pipeline, damping=0.1, method="tracin")
    return model.fit(pd.DataFrame(BINARY.X), BINARY.y)


def test_scores_are_those_of_the_path(model):
    X = pd.DataFrame(BINARY.X_test)
    scaler, record = (step for _, step in model.estimator_.steps)
    expected = by_hand(model, record, scaler.transform(X), BINARY.y_test)
    np.testing.assert_allclose(model.influence_scores(X, BINARY.y_test), expected, rtol=1e-9)
    mean = model.influence_scores(X, BINARY.y_test, aggregate="mean")
    np.testing.assert_allclose(mean, expected.mean(axis=0), rtol=1e-8)
    influence = model.influence(X, BINARY.y_test)
    assert influence.method == "tracin"
    np.testing.assert_array_equal(influence.helpful(k=2)[:, 0], expected.argmax(axis=1))
    np.testing.assert_array_equal(influence.harmful(k=2)[:, 0], expected.argmin(axis=1))
    few = model.influence(X, BINARY.y_test, top=4)
    np.testing.assert_array_equal(few.helpful(k=4), influence.helpful(k=4))


def test_a_row_on_itself(model):
    own = model.self_influence().scores
    X, y = pd.DataFrame(BINARY.X), BINARY.y
    np.testing.assert_allclose(own, np.diag(model.influence_scores(X, y)), rtol=1e-9)
    assert np.all(own > 0)


def test_proponents_are_of_the_same_class(model):
    influence = model.influence(pd.DataFrame(BINARY.X_test), BINARY.y_test)
    assert np.mean(BINARY.y[influence.helpful(k=1)[:, 0]] == BINARY.y_test) > 0.8


def test_other_methods_see_the_model_after_the_last_epoch(model):
    X, y = pd.DataFrame(BINARY.X_test), BINARY.y_test
    scaler, record = (step for _, step in model.estimator_.steps)
    alone = InfluenceClassifier(FrozenEstimator(record.estimator_), damping=0.1)
    alone.fit(scaler.transform(pd.DataFrame(BINARY.X)), BINARY.y)
    with pytest.warns(UserWarning):
        expected = alone.influence_scores(scaler.transform(X), y, method="first_order")
        scores = model.influence_scores(X, y, method="first_order")
    np.testing.assert_allclose(scores, expected, rtol=1e-9)


def test_the_class_of_a_target_is_that_of_the_last_epoch(model):
    X = pd.DataFrame(BINARY.X_test)
    scores = model.influence_scores(X, target="predict_proba")
    given = model.influence_scores(X, model.predict(X), target="predict_proba")
    np.testing.assert_array_equal(scores, given)


def test_weights_reach_the_steps_of_sgd():
    recorded = RecordedTraining(SGDClassifier(loss="log_loss", random_state=0), epochs=3)
    model = InfluenceClassifier(recorded, method="tracin")
    scores = model.fit(BINARY.X, BINARY.y, BINARY.s).influence_scores(BINARY.X_test, BINARY.y_test)
    assert np.abs(scores).max() > 0
    zero = np.where(np.arange(60) == 7, 0.0, BINARY.s)
    scores = model.fit(BINARY.X, BINARY.y, zero).influence_scores(BINARY.X_test, BINARY.y_test)
    assert np.all(scores[:, 7] == 0) and np.all(scores[:, 8] != 0)


def test_regressors_and_frozen_records():
    record = RecordedTraining(MLPRegressor(hidden_layer_sizes=5, random_state=0), epochs=3)
    model = InfluenceRegressor(record, method="tracin").fit(REAL.X, REAL.y)
    frozen = FrozenEstimator(record.fit(REAL.X, REAL.y))
    again = InfluenceRegressor(frozen, method="tracin").fit(REAL.X, REAL.y)
    for target in ("loss", "predict"):
        y = REAL.y_test if target == "loss" else None
        one, other = (m.influence_scores(REAL.X_test, y, target=target) for m in (model, again))
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: m.leave_one_out(method="tracin"),
        lambda m: m.parameter_influence().changes,
        lambda m: (
            m.group_influence(np.arange(60) % 2, pd.DataFrame(BINARY.X_test), BINARY.y_test).scores
        ),
        lambda m: (
            m.addition_influence(
                pd.DataFrame(BINARY.X[:2]), BINARY.y[:2], pd.DataFrame(BINARY.X_test), BINARY.y_test
            ).scores
        ),
        lambda m: m.leave_one_out_check(pd.DataFrame(BINARY.X_test), BINARY.y_test),
        lambda m: m.without([0], method="tracin"),
    ],
)
def test_questions_without_an_answer_along_the_path(model, ask):
    with pytest.raises(ValueError, match="Pass method='first_order', 'newton' or 'exact' here"):
        ask(model)


def test_a_model_without_a_record_is_refused():
    model = InfluenceClassifier(NETWORK).set_params(estimator__max_iter=5, estimator__tol=1.0)
    model.set_params(estimator__n_iter_no_change=1).fit(BINARY.X, BINARY.y)
    with pytest.raises(ValueError, match=r"Wrap RecordedTraining\(MLPClassifier\(\.\.\.\)\)"):
        model.influence_scores(BINARY.X_test, BINARY.y_test, method="tracin")


def test_an_edited_model_has_no_path():
    recorded = RecordedTraining(SGDClassifier(loss="log_loss", alpha=0.1, random_state=0))
    model = InfluenceClassifier(recorded).fit(BINARY.X, BINARY.y)
    edited = model.without([3, 5])
    with pytest.raises(ValueError, match="was not trained on the rows it has"):
        edited.self_influence(method="tracin")
    assert len(model.estimator_.checkpoints_) == 20
