"""Recorded training: the epochs are those of `fit`, the steps those that scikit-learn took."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from skinfluence.models.recorded_training import RecordedTraining, epoch_steps
from tests.cases import classification, regression
from tests.sklearn_checks import with_checks

BINARY = classification(labels=["no", "yes"])
THREE = classification(n_classes=3)
REAL = regression()
WEIGHED = sklearn.__version__ >= "1.7"  # multilayer perceptrons


def fails(recorded):
    """Return the checks that its estimator fails as well, as it is told with the wrappers' own."""
    checks = [one for one in vars(estimator_checks) if re.match("check.*sample_weight", one)]
    if isinstance(recorded.estimator, SGDClassifier):
        why = "rows are visited in another order"
        return {one: why for one in checks if "equivalence" in one}
    if WEIGHED:
        return {}
    checks = [one for one in checks if "sparse" not in one]  # passes before it fits
    return dict.fromkeys(checks, "partial_fit takes no sample weights")


def network(kind=MLPClassifier, **params):
    given = {"hidden_layer_sizes": (5,), "solver": "sgd", "random_state": 3, "batch_size": 16}
    return kind(**{**given, "learning_rate_init": 0.05, **params})


# ----------------------------------------------------------------------------------- the epochs


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize(("data", "kind"), [(BINARY, MLPClassifier), (REAL, MLPRegressor)])
def test_epochs_in_the_order_of_the_rows_are_those_of_fit(data, kind, solver):
    estimator = network(kind, solver=solver, shuffle=False)
    recorded = RecordedTraining(estimator, epochs=6).fit(data.X, data.y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = clone(estimator).set_params(max_iter=6, tol=0.0).fit(data.X, data.y)
    for ours, theirs in zip(recorded.estimator_.coefs_, fitted.coefs_, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(recorded.predict(data.X), fitted.predict(data.X))
    assert recorded.score(data.X, data.y) == fitted.score(data.X, data.y)


@pytest.mark.parametrize("seed", [3, np.random.RandomState(3)], ids=["integer", "generator"])
def test_a_seed_is_that_of_the_whole_training(seed):
    """`partial_fit` alone would start from an integer in every epoch: one shuffle for all."""
    recorded = RecordedTraining(network(random_state=seed), epochs=4).fit(BINARY.X, BINARY.y)
    once, anew = network(random_state=np.random.RandomState(3)), network(random_state=3)
    for _ in range(4):
        once.partial_fit(BINARY.X, BINARY.y, classes=["no", "yes"])
        anew.partial_fit(BINARY.X, BINARY.y, classes=["no", "yes"])
    np.testing.assert_array_equal(recorded.estimator_.coefs_[0], once.coefs_[0])
    assert np.abs(recorded.estimator_.coefs_[0] - anew.coefs_[0]).max() > 1e-4
    if seed == 3:
        assert recorded.estimator_.random_state == recorded.estimator.random_state == 3


def test_checkpoints_are_the_models_on_the_way():
    recorded = RecordedTraining(network(), epochs=10, every=4).fit(BINARY.X, BINARY.y)
    assert [one.epoch for one in recorded.checkpoints_] == [4, 8, 10]
    for one in recorded.checkpoints_:
        alone = RecordedTraining(network(), epochs=one.epoch).fit(BINARY.X, BINARY.y)
        np.testing.assert_array_equal(one.estimator.coefs_[0], alone.estimator_.coefs_[0])
        assert one.estimator.random_state == 3
    last = recorded.checkpoints_[-1].estimator.coefs_[0].copy()
    recorded.estimator_.partial_fit(BINARY.X, BINARY.y)
    np.testing.assert_array_equal(recorded.checkpoints_[-1].estimator.coefs_[0], last)


def test_steps_add_up_however_often_the_model_is_kept():
    often, rarely = (
        RecordedTraining(network(learning_rate="invscaling"), epochs=10, every=every)
        .fit(BINARY.X, BINARY.y)
        .checkpoints_
        for every in (1, 4)
    )
    each = np.array([one.step for one in often])
    sums = [each[:4].sum(), each[4:8].sum(), each[8:].sum()]
    np.testing.assert_allclose([one.step for one in rarely], sums, rtol=1e-13)


# ------------------------------------------------------------------------------------ the steps


@pytest.mark.parametrize("schedule", ["constant", "invscaling"])
@pytest.mark.parametrize("batch_size, n_batches", [("auto", 1), (16, 4), (20, 3), (500, 1)])
def test_steps_of_a_network_are_its_learning_rates_over_the_batches(
    schedule, batch_size, n_batches
):
    estimator = network(learning_rate=schedule, batch_size=batch_size, momentum=0.0, power_t=0.3)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a batch larger than the data
        recorded = RecordedTraining(estimator, epochs=5).fit(BINARY.X, BINARY.y)
        for _ in range(5):
            if rates:
                rates.append(estimator._optimizer.learning_rate)
            else:
                rates.append(estimator.learning_rate_init)
            estimator.partial_fit(BINARY.X, BINARY.y, classes=["no", "yes"])
    expected = np.array(rates) * n_batches / 60
    np.testing.assert_allclose([c.step for c in recorded.checkpoints_], expected, rtol=1e-12)


def test_two_hundred_rows_are_a_batch_by_default():
    steps = epoch_steps(MLPClassifier(momentum=0.0, solver="sgd"), 2, 450, 450.0)
    np.testing.assert_allclose(steps, 1e-3 * 3 / 450)


def test_adam_counts_as_its_initial_learning_rate():
    estimator = network(solver="adam", learning_rate="adaptive", momentum=0.5)
    np.testing.assert_allclose(epoch_steps(estimator, 3, 60, 60.0), 0.05 * 4 / 60)


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("momentum", [0.0, 0.6, 1.0])
def test_momentum_is_counted_to_the_last_update(nesterov, momentum):
    """Each update in turn gets a gradient of 1, all others none: how far does it carry?"""
    estimator = network(momentum=momentum, nesterovs_momentum=nesterov, batch_size=20)
    carried = np.zeros(12)
    for update in range(12):
        params = [np.zeros(1)]
        optimizer = SGDOptimizer(params, 0.05, momentum=momentum, nesterov=nesterov)
        for now in range(12):
            optimizer.update_params(params, [np.array([float(now == update)])])
        carried[update] = -params[0][0]
    expected = carried.reshape(4, 3).sum(axis=1) / 60
    np.testing.assert_allclose(epoch_steps(estimator, 4, 60, 60.0), expected, rtol=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive", "optimal"])
@pytest.mark.parametrize("kind", [SGDClassifier, SGDRegressor])
def test_steps_of_sgd_are_those_it_took(kind, schedule):
    """Features so small that every gradient is a constant: the way is the sum of the rates."""
    params = {"learning_rate": schedule, "eta0": 0.3, "power_t": 0.4, "alpha": 0.02}
    estimator = kind(**params, penalty=None, fit_intercept=False, n_iter_no_change=1)
    X, y = np.full((40, 1), 1e-7), np.ones(40)
    slope = 1.0
    if kind is SGDClassifier:
        estimator.set_params(loss="log_loss")
        y[::2], X[::2] = 0.0, -X[::2]
        slope = 0.5
    recorded = RecordedTraining(estimator, epochs=4).fit(X, y)
    way = [0.0, *(c.estimator.coef_.ravel()[0] for c in recorded.checkpoints_)]
    expected = np.diff(way) / (slope * 1e-7) / 40
    np.testing.assert_allclose([c.step for c in recorded.checkpoints_], expected, rtol=1e-6)


def test_a_step_that_is_given_counts_in_every_epoch():
    recorded = RecordedTraining(Perceptron(random_state=0), epochs=4, every=3, step=0.25)
    checkpoints = recorded.fit(BINARY.X, BINARY.y).checkpoints_
    assert [(c.epoch, c.step) for c in checkpoints] == [(3, 0.75), (4, 0.25)]


# ---------------------------------------------------------------------------------- the estimator


def test_it_is_what_its_estimator_is():
    classifier = RecordedTraining(SGDClassifier(loss="hinge"))
    regressor = RecordedTraining(network(MLPRegressor))
    assert is_classifier(classifier) and not is_regressor(classifier)
    assert is_regressor(regressor) and not is_classifier(regressor)
    assert hasattr(classifier, "decision_function")
    assert not hasattr(classifier, "predict_proba")
    assert not hasattr(regressor, "predict_proba")
    assert hasattr(RecordedTraining(network()), "predict_proba")


def test_it_survives_clone_pickle_frames_and_pipelines():
    X = pd.DataFrame(BINARY.X, columns=list("abcd"))
    recorded = RecordedTraining(network(), epochs=3).fit(X, BINARY.y)
    assert list(recorded.feature_names_in_) == list("abcd")
    assert recorded.n_features_in_ == 4
    assert recorded.classes_.tolist() == ["no", "yes"]
    again = clone(recorded)
    assert not hasattr(again, "checkpoints_")
    probabilities = recorded.predict_proba(X)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(recorded)).predict_proba(X), probabilities
    )
    np.testing.assert_array_equal(again.fit(X, BINARY.y).predict_proba(X), probabilities)
    pipeline = make_pipeline(StandardScaler(), RecordedTraining(network(), epochs=3))
    assert pipeline.fit(X, BINARY.y).predict(X).shape == (60,)


def test_multi_label_targets():
    Y = (THREE.X[:, :3] > 0).astype(int)
    recorded = RecordedTraining(network(), epochs=3).fit(THREE.X, Y)
    assert recorded.predict(THREE.X).shape == (60, 3)


RECORDED = {
    "SGDClassifier": RecordedTraining(SGDClassifier(random_state=0), epochs=5),
    "MLPRegressor": RecordedTraining(
        MLPRegressor(hidden_layer_sizes=8, learning_rate_init=0.1, random_state=0), epochs=30
    ),
}


@with_checks(RECORDED, expected_failed_checks=fails)
def test_sklearn_checks(estimator, check):
    check(estimator)


# --------------------------------------------------------------------------------------- bad input


class Own(MLPClassifier):
    """A subclass may step otherwise."""


@pytest.mark.parametrize(
    "estimator, params, error, message",
    [
        (network(), {"epochs": 0}, ValueError, "epochs=0 was given; an integer >= 1 is accepted."),
        (network(), {"every": 1.5}, ValueError, "every=1.5 was given; an integer >= 1"),
        (network(), {"epochs": True}, ValueError, "epochs=True was given; an integer >= 1"),
        (network(), {"step": 0.0}, ValueError, "step=0.0 was given; a positive number or None"),
        (network(solver="lbfgs"), {}, ValueError, "Use solver='sgd' or 'adam'"),
        (network(MLPRegressor, solver="lbfgs"), {}, ValueError, "Use solver='sgd' or 'adam'"),
        (network(early_stopping=True), {}, ValueError, "Use early_stopping=False and fewer epochs"),
        (SGDClassifier(early_stopping=True), {}, ValueError, "SGDClassifier(early_stopping=True)"),
        (network(learning_rate="adaptive"), {}, ValueError, "Use learning_rate='constant' or"),
        (SGDClassifier(learning_rate="pa1", eta0=1.0), {}, ValueError, "a size of its own"),
        (SGDRegressor(average=5), {}, ValueError, "SGDRegressor(average=5) was given;"),
        (LogisticRegression(), {}, TypeError, "which does not train in epochs"),
        (make_pipeline(network()), {}, TypeError, "RecordedTraining(model))"),
        (Own(solver="sgd"), {}, TypeError, "Own was given, whose learning rate is not known;"),
        (Perceptron(), {}, TypeError, "Pass step=learning rate / batch size."),
    ],
)
def test_what_leaves_the_steps_unknown_is_refused(estimator, params, error, message):
    with pytest.raises(error, match=re.escape(message)):
        RecordedTraining(estimator, **params).fit(BINARY.X, BINARY.y)


def test_a_frozen_model_is_refused():
    frozen = FrozenEstimator(network().partial_fit(BINARY.X, BINARY.y, classes=["no", "yes"]))
    with pytest.raises(TypeError, match="which does not train in epochs"):
        RecordedTraining(frozen, step=1.0).fit(BINARY.X, BINARY.y)


@pytest.mark.skipif(WEIGHED, reason="takes weights")
def test_weights_that_would_be_ignored_are_refused():
    with pytest.raises(TypeError, match=r"MLPClassifier\.partial_fit takes none in this version"):
        RecordedTraining(network()).fit(BINARY.X, BINARY.y, sample_weight=BINARY.s)
