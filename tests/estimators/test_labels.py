"""Probabilities and decisions of one label of several, against scikit-learn's own refits."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier
from tests.cases import THREE, regression
from tests.network_twins import with_theta

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RAW = regression(n=60, p=4, n_outputs=3, seed=3, n_test=9)
X, X_TEST = RAW.X, RAW.X_test
Y = (RAW.y > 0.8).astype(int)
TWO = np.column_stack([THREE.y, np.where(THREE.X[:, 0] + THREE.X[:, 1] ** 2 > 0.7, "u", "v")])
ROWS = [0, 13, 27, 44]


def logistic(C=0.5):
    return LogisticRegression(C=C, solver="newton-cg", tol=1e-12, max_iter=1000)


MODELS = {
    "rest": (OneVsRestClassifier(logistic()), X, Y, X_TEST),
    "outputs": (MultiOutputClassifier(logistic()), X, Y, X_TEST),
    "classes": (MultiOutputClassifier(logistic()), THREE.X, TWO, THREE.X_test),
    "rest of classes": (OneVsRestClassifier(logistic()), THREE.X, THREE.y, THREE.X_test),
}


def probabilities(fitted, X):
    """Return the probabilities of a fitted estimator, a column for each of the wrapper's outputs.

    Of two classes that of the second.
    """
    P = fitted.predict_proba(X)
    if not isinstance(P, list):
        return P
    return np.column_stack([p if p.shape[1] > 2 else p[:, 1:] for p in P])


def decisions(fitted, X):
    if hasattr(fitted, "decision_function"):
        return fitted.decision_function(X)
    each = [part.decision_function(X) for part in fitted.estimators_]
    return np.column_stack(each)


@cache
def refits(name):
    """Return the estimator fitted on all rows, and without each of ROWS."""
    estimator, X, y, _ = MODELS[name]
    kept = [np.arange(len(X))] + [np.delete(np.arange(len(X)), i) for i in ROWS]
    return [clone(estimator).fit(X[rows], y[rows]) for rows in kept]


def changes(name, quantity):
    full, *others = refits(name)
    X_test = MODELS[name][3]
    return np.array([quantity(one, X_test) - quantity(full, X_test) for one in others])


def relative_error(found, actual):
    assert found.shape == actual.shape
    return np.linalg.norm(found - actual) / np.linalg.norm(actual)


def wrapper(name):
    estimator, X, y, _ = MODELS[name]
    return InfluenceClassifier(estimator).fit(X, y)


OUTPUTS = {
    "rest": [0, 1, 2],
    "outputs": [0, 1, 2],
    "classes": ["output 0 = a", "output 0 = b", "output 0 = c", "output 1"],
}


@pytest.mark.parametrize(("target", "read"), [("predict_proba", probabilities),
                                              ("decision_function", decisions)])  # fmt: skip
@pytest.mark.parametrize("name", OUTPUTS)
def test_the_target_of_one_label_is_what_refits_say(name, target, read):
    model, X_test = wrapper(name), MODELS[name][3]
    actual = changes(name, read)
    for k, output in enumerate(OUTPUTS[name]):
        asked = {"target": target, "output": output}
        expected = actual[:, :, k].T
        exact = model.influence_scores(X_test, method="exact", **asked)
        assert relative_error(exact[:, ROWS], expected) < 1e-5
        newton = model.influence_scores(X_test, method="newton", **asked)
        assert relative_error(newton[:, ROWS], expected) < 0.08
        first = model.influence_scores(X_test, method="first_order", **asked)
        assert 0.8 < np.sum(first[:, ROWS] * expected) / np.sum(expected**2) < 1.05
        result = model.influence(X_test, method="newton", **asked)
        np.testing.assert_array_equal(np.asarray(result), newton)
        assert result.classes is None


@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_probabilities_of_one_versus_the_rest_are_shares(method):
    model, X_test = wrapper("rest of classes"), THREE.X_test
    y = np.resize(["a", "b", "c"], len(X_test))
    at = np.searchsorted(["a", "b", "c"], y)
    actual = changes("rest of classes", probabilities)[:, np.arange(len(y)), at].T
    found = model.influence_scores(X_test, y, target="predict_proba", method=method)[:, ROWS]
    if method == "first_order":
        assert 0.8 < np.sum(found * actual) / np.sum(actual**2) < 1.05
    else:
        assert relative_error(found, actual) < {"newton": 0.05, "exact": 1e-5}[method]


@pytest.mark.parametrize("name", MODELS)
def test_left_out_rows_have_the_probabilities_of_refits(name):
    X = MODELS[name][1]
    found = wrapper(name).leave_one_out()
    assert found.method == "exact"
    full, *others = refits(name)
    for i, one in zip(ROWS, others, strict=True):
        expected, before = probabilities(one, X[[i]])[0], probabilities(full, X[[i]])[0]
        error = np.linalg.norm(found.probabilities[i] - expected)
        assert error < 1e-5 * np.linalg.norm(expected - before)
    # whoever is not left out far is as the fitted model has it
    P = probabilities(full, X)
    assert found.probabilities.shape == P.shape and np.abs(found.probabilities - P).max() < 0.3


def test_labels_of_a_network():
    network = MLPClassifier((4,), activation="tanh", alpha=1.0, solver="lbfgs", tol=1e-10,
                            max_iter=5000, random_state=0)  # fmt: skip
    model = InfluenceClassifier(network, damping=0.5, refine=False).fit(X, Y)
    theta = model._current().objective().theta
    full = model.estimator_
    moved = model.parameter_influence(method="first_order").changes
    left = model.leave_one_out(method="first_order")
    h = 1e-4
    for k in range(3):
        found = model.influence_scores(X_TEST, target="predict_proba", output=k)
        for i in ROWS:
            ends = [with_theta(full, theta + s * h * moved[i]).predict_proba(X_TEST)[:, k]
                    for s in (1, -1)]  # fmt: skip
            expected = (ends[0] - ends[1]) / (2 * h)
            np.testing.assert_allclose(found[:, i], expected, rtol=1e-5, atol=1e-10)
    for i in ROWS:
        own = with_theta(full, theta + moved[i]).predict_proba(X[[i]])[0]
        np.testing.assert_allclose(left.probabilities[i], own, atol=2e-2)
    np.testing.assert_array_equal(model.predict_proba(X_TEST), full.predict_proba(X_TEST))


@pytest.mark.parametrize("name", MODELS)
def test_wrappers_predict_what_the_inner_estimator_does(name):
    model, X_test = wrapper(name), MODELS[name][3]
    found, expected = model.predict_proba(X_test), model.estimator_.predict_proba(X_test)
    assert type(found) is type(expected)
    for mine, theirs in zip(found, expected, strict=True):  # an array for every target, or a row
        np.testing.assert_array_equal(mine, theirs)


def test_labels_by_the_names_of_columns():
    tags = pd.DataFrame(Y, columns=["sport", "politics", "music"])
    for estimator in (OneVsRestClassifier(logistic()), MultiOutputClassifier(logistic())):
        model = InfluenceClassifier(estimator).fit(X, tags)
        scores = [
            model.influence_scores(X_TEST, target="predict_proba", output=output)
            for output in ("politics", 1)
        ]
        assert np.array_equal(*scores)
        names = model.parameter_influence(coefficients="intercept").coefficients.tolist()
        assert names == ["sport: intercept", "politics: intercept", "music: intercept"]
        check = model.leave_one_out_check(
            X_TEST, rows=ROWS, target="predict_proba", output="politics", method="exact"
        )
        assert check.relative_error < 1e-5


def test_labels_without_probabilities_have_decisions():
    model = InfluenceClassifier(OneVsRestClassifier(LinearSVC(dual=False, tol=1e-10))).fit(X, Y)
    scores = model.influence_scores(X_TEST, target="decision_function", output=1, method="exact")
    without = clone(model.estimator).fit(np.delete(X, 13, 0), np.delete(Y, 13, 0))
    actual = (without.decision_function(X_TEST) - model.decision_function(X_TEST))[:, 1]
    assert relative_error(scores[:, 13], actual) < 1e-4
    message = r"target='predict_proba' was given; this model has the targets \('loss', 'decision_f"
    with pytest.raises(ValueError, match=message):
        model.influence_scores(X_TEST, target="predict_proba", output=1)
    assert model.leave_one_out().probabilities is None


@pytest.mark.parametrize(
    ("name", "asked", "message"),
    [
        ("rest", {}, "The model has 3 outputs; say which one the target is of, output=0 to 2"),
        ("rest", {"output": 3}, "output=3 was given; the model has the outputs 0 to 2"),
        ("rest", {"output": "sport"}, r"the model has the outputs \['output 0', 'output 1', 'out"),
        ("classes", {"output": 1}, r"some targets have several classes, .*\['output 0 = a', 'out"),
        ("rest of classes", {"output": 1}, "the class of a classifier is chosen by y_test"),
    ],
)
def test_outputs_that_are_not_there(name, asked, message):
    with pytest.raises(ValueError, match=message):
        wrapper(name).influence_scores(MODELS[name][3], target="predict_proba", **asked)


def test_pairs_of_classes_have_none():
    model = InfluenceClassifier(OneVsOneClassifier(logistic())).fit(THREE.X, THREE.y)
    message = r"has the targets \('loss',\)\. Its raw predictions are not one decision value"
    with pytest.raises(ValueError, match=message):
        model.influence_scores(THREE.X_test, target="decision_function")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.leave_one_out().probabilities is None
