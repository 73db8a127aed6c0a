"""Fits that are not the optimum scores are of: smoothed hinges, and descents that stopped early."""

import re
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.svm import SVR, LinearSVC, LinearSVR

from skinfluence import InfluenceClassifier, InfluenceRegressor, SmoothLinearSVC
from tests.cases import classification
from tests.model_table import BINARY, REAL, SMALL_REAL, THREE
from tests.twins import minimiser, twin_of

TIGHT = {"tol": 1e-10, "max_iter": 100_000, "random_state": 0}
SMOOTH = SmoothLinearSVC(C=0.3, temperature=0.1, intercept_scaling=1.0)
OTHER = classification(n=60, labels=["no", "yes"], seed=5)


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


def in_the_note(model, data, rows=(0, 3)):
    """Return (temperature, gap, size of the raw predictions) as the check prints them."""
    found = model.leave_one_out_check(data.X_test, data.y_test, rows=list(rows))
    (note,) = (note for note in found.notes if note.startswith("smoothing: "))
    assert f"- {note}" in found.summary()
    pattern = r"at temperature (\S+); .* are (\S+) off .*\(RMS over the training rows.* is (\S+)\)"
    return [float(one) for one in re.search(pattern, note).groups()]


# ------------------------------------------------------------------------------ smoothed hinges


@pytest.mark.parametrize("t", [0.01, 0.3])
@pytest.mark.parametrize("data", [BINARY, THREE], ids=["binary", "three"])
def test_the_gap_that_smoothing_introduces_is_reported(data, t):
    """Against the smooth machine, which is an estimator of its own, fitted from zero."""
    hinge = LinearSVC(C=0.3, loss="hinge", **TIGHT)
    model = InfluenceClassifier(clone(hinge), temperature=t).fit(data.X, data.y)
    smooth = clone(SMOOTH).set_params(temperature=t).fit(data.X, data.y).decision_function(data.X)
    raw = hinge.fit(data.X, data.y).decision_function(data.X)
    expected = [t, rms(smooth - raw), rms(raw)]
    np.testing.assert_allclose(in_the_note(model, data), expected, rtol=0.06)


@pytest.mark.parametrize(
    ("machine", "data"),
    [
        (LinearSVR(C=0.3, epsilon=0.2, **TIGHT), REAL),
        (SVR(gamma=0.3, epsilon=0.2, tol=1e-8), SMALL_REAL),
    ],
    ids=["LinearSVR", "SVR"],
)
def test_the_gap_of_a_smoothed_tube_is_reported(machine, data, t=0.2):
    model = InfluenceRegressor(clone(machine), temperature=t).fit(data.X, data.y)
    raw = machine.fit(data.X, data.y).predict(data.X)
    twin, theta = minimiser(lambda t: twin_of(machine, data.X, data.y, t=t), t=t)
    expected = [t, rms(twin.raw(theta)[:, 0] - raw), rms(raw)]
    np.testing.assert_allclose(in_the_note(model, data), expected, rtol=0.06)


def test_without_a_hinge_nothing_is_said_of_smoothing():
    model = InfluenceClassifier(LinearSVC(dual=False)).fit(BINARY.X, BINARY.y)
    found = model.leave_one_out_check(BINARY.X_test, BINARY.y_test, rows=[0])
    assert not any("smooth" in note for note in found.notes)


def frozen_hinge(data):
    return FrozenEstimator(LinearSVC(C=0.3, loss="hinge", **TIGHT).fit(data.X, data.y))


def test_a_frozen_machine_on_its_own_rows_is_taken_as_it_is():
    frozen = frozen_hinge(BINARY)
    for t in (0.01, 0.1):
        one, other = (
            InfluenceClassifier(estimator, temperature=t)
            .fit(BINARY.X, BINARY.y)
            .influence_scores(BINARY.X_test, BINARY.y_test)
            for estimator in (frozen, clone(frozen.estimator))
        )
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-12)


def test_a_frozen_machine_on_other_rows_is_refused():
    frozen = frozen_hinge(OTHER)
    model = InfluenceClassifier(frozen, temperature=0.1).fit(BINARY.X, BINARY.y)
    message = (
        r"The raw predictions of the fitted LinearSVC are far from those of the smoothed optimum "
        r"on these rows: these do not look like .* or the temperature is too high\. Pass what it "
        r"was fitted with, a lower temperature, or refine=True"
    )
    with pytest.raises(ValueError, match=message):
        model.influence_scores(BINARY.X_test, BINARY.y_test)
    # As asked then: the smoothed optimum of these rows, wherever the fit was.
    found = model.set_params(refine=True).influence_scores(BINARY.X_test, BINARY.y_test)
    smooth = InfluenceClassifier(clone(SMOOTH)).fit(BINARY.X, BINARY.y)
    expected = smooth.influence_scores(BINARY.X_test, BINARY.y_test)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-10)


# -------------------------------------------------------------------------- descents on their way


DESCENTS = {
    "classifier": (InfluenceClassifier, SGDClassifier(loss="log_loss"), BINARY),
    "regressor": (InfluenceRegressor, SGDRegressor(loss="huber", epsilon=1.0), REAL),
}
SLOW = {"learning_rate": "constant", "eta0": 1e-4, "tol": 1.0, "max_iter": 1000}


def descent(name, **params):
    kind, estimator, data = DESCENTS[name]
    return kind, clone(estimator).set_params(alpha=0.02, random_state=0, **params), data


@pytest.mark.parametrize("name", DESCENTS)
def test_a_descent_far_from_its_optimum_warns_and_is_refined(name):
    kind, far, data = descent(name, **SLOW)
    model = kind(far).fit(data.X, data.y)
    message = rf"{type(far).__name__} stopped before its stationary point: .* is [\d,.]+ times"
    with pytest.warns(ConvergenceWarning, match=message):
        found = model.influence_scores(data.X_test, data.y_test, method="exact")
    _, near, _ = descent(name, learning_rate="optimal", max_iter=3000, tol=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = kind(near).fit(data.X, data.y)
        expected = model.influence_scores(data.X_test, data.y_test, method="exact")
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", DESCENTS)
def test_a_frozen_descent_far_from_its_optimum_is_refused(name):
    kind, far, data = descent(name, **SLOW)
    far.fit(data.X, data.y)
    assert far.n_iter_ < far.max_iter
    model = kind(FrozenEstimator(far)).fit(data.X, data.y)
    message = (
        rf"The fitted {type(far).__name__} is [\d.]+ times the sampling noise away from its "
        r"optimum on these rows .* or it did not converge\. Pass what it was"
    )
    with pytest.raises(ValueError, match=message):
        model.influence_scores(data.X_test, data.y_test)
