"""Questions are asked of a record, without a wrapper; what it keeps goes when options change."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import Training
from skinfluence.questions import deletion, editing, left_out, scoring
from skinfluence.questions.fitted import Fitted
from skinfluence.questions.options import Options, check_options
from skinfluence.questions.scoring import Asked
from tests.cases import BINARY, REAL


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)


def by_hand(estimator, data, **options):
    fitted = estimator.fit(data.X, data.y)
    training = Training(data.X, data.y, None)
    classifier = hasattr(fitted, "classes_")
    return Fitted(fitted, training, training, {}, False, classifier, Options(**options))


def test_questions_need_no_wrapper():
    fitted = by_hand(LogisticRegression(tol=1e-10), BINARY)
    model = InfluenceClassifier(LogisticRegression(tol=1e-10)).fit(BINARY.X, BINARY.y)
    asked = Asked(BINARY.X_test, BINARY.y_test)
    scores = model.influence_scores(BINARY.X_test, BINARY.y_test)
    same(scoring.influence_scores(fitted, asked), scores)
    same(left_out.self_influence(fitted), model.self_influence().scores)
    groups = np.arange(fitted.n_train) % 5
    same(
        editing.group_influence(fitted, groups, asked),
        model.group_influence(groups, BINARY.X_test, BINARY.y_test).scores,
    )
    smaller, certificate = deletion.without(fitted, [0, 3])
    assert smaller.n_train == fitted.n_train - 2
    assert certificate.n_removed == 2
    same(smaller.estimator.coef_, model.without([0, 3]).estimator_.coef_)


@pytest.mark.parametrize(
    "option, value",
    [
        ("temperature", 0.5),
        ("solver", "lu"),
        ("damping", 3.0),
        ("refine", False),
        ("method", "first_order"),
        ("curvature", "gauss_newton"),
        ("n_jobs", 2),
        ("verbose", 1),
    ],
)
def test_what_is_set_after_a_score_is_seen_by_the_next(option, value):
    machine = LinearSVC(C=0.1, loss="hinge", max_iter=10**5, random_state=0)
    ask = BINARY.X_test, BINARY.y_test
    model = InfluenceClassifier(machine, temperature=0.05).fit(BINARY.X, BINARY.y)
    before = model.influence_scores(*ask)
    model.set_params(**{option: value})
    params = {"temperature": 0.05, option: value}
    fresh = InfluenceClassifier(machine, **params).fit(BINARY.X, BINARY.y)
    same(model.influence_scores(*ask), fresh.influence_scores(*ask))
    if option in ("temperature", "damping", "refine", "method"):
        assert np.abs(model.influence_scores(*ask) - before).max() > 1e-4 * np.abs(before).max()
    model.set_params(**{"temperature": 0.05, option: getattr(InfluenceClassifier(), option)})
    if option != "temperature":
        same(model.influence_scores(*ask), before)


def test_one_mechanism_answers_until_an_option_it_depends_on_changes():
    fitted = by_hand(Ridge(), REAL)
    mechanism = fitted.mechanism("newton")
    assert fitted.mechanism("exact") is mechanism  # one reference point for all methods
    other = fitted.under(replace(fitted.options, n_jobs=2, method="exact"))
    assert other.mechanism("newton") is mechanism
    damped = fitted.under(replace(fitted.options, damping=1.0))
    assert damped.mechanism("newton") is not mechanism
    assert damped.objective() is fitted.objective()
    assert fitted.under(fitted.options) is fitted


def test_copies_do_not_carry_what_was_computed():
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    scores = model.influence_scores(REAL.X_test, REAL.y_test)
    assert model.solver_.startswith("cholesky")
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert again._fitted.answers.kept == {}
        with pytest.raises(AttributeError, match="answered the last question, and none has"):
            again.solver_  # noqa: B018
        np.testing.assert_array_equal(again.influence_scores(REAL.X_test, REAL.y_test), scores)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "best"}, "method='best' was given; accepted are"),
        ({"curvature": "convex"}, "curvature='convex' was given"),
        ({"damping": -1.0}, "damping=-1.0 was given"),
        ({"refine": "no"}, "refine='no' was given"),
        ({"temperature": 0.0}, "temperature=0.0 was given"),
        ({"temperature": 0.1}, "Ridge with these parameters has none"),
    ],
)
def test_options_out_of_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        check_options(Options(**options), Ridge())
