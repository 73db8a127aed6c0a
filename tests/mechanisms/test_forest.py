"""A family of models from outside answers every question, equal to hand computation."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceRegressor
from skinfluence.mechanisms import mechanism_of, resolve_method
from tests.forest import AveragingForest, ForestMechanism, LeavesObjective

RNG = np.random.default_rng(0)
X, Y = RNG.uniform(-1, 1, size=(60, 3)), RNG.standard_normal(60)
X_TEST, Y_TEST = RNG.uniform(-1, 1, size=(8, 3)), RNG.standard_normal(8)
WEIGHTS = RNG.uniform(0.5, 2.0, size=60)
weighted = pytest.mark.parametrize("s", [None, WEIGHTS], ids=["alone", "weighted"])


def by_hand(X, y, s, rows):
    """Return the predictions for some rows by loops over trees, leaves and training rows."""
    fitted = AveragingForest().fit(X, y, s)  # its splits do not depend on the data
    out = np.zeros(len(rows))
    for tree in range(fitted.n_trees):
        first, second = fitted.features_[tree]
        a, b = fitted.thresholds_[tree]
        for t, row in enumerate(rows):
            alike = [
                i
                for i in range(len(X))
                if (X[i, first] > a) == (row[first] > a) and (X[i, second] > b) == (row[second] > b)
            ]
            w = np.ones(len(alike)) if s is None else s[alike]
            out[t] += np.sum(w * y[alike]) / np.sum(w) / fitted.n_trees
    return out


def without(i, s):
    kept = np.setdiff1d(np.arange(60), i)
    return X[kept], Y[kept], None if s is None else s[kept]


def half_square(y, eta):
    return 0.5 * (y - eta) ** 2


def fitted(s):
    return InfluenceRegressor(AveragingForest()).fit(X, Y, s)


def test_the_estimator_itself_is_what_the_loops_say():
    np.testing.assert_allclose(
        AveragingForest().fit(X, Y).predict(X_TEST), by_hand(X, Y, None, X_TEST)
    )


def test_its_mechanism_is_found_by_its_objective():
    objective = fitted(None)._current().objective()
    assert isinstance(objective, LeavesObjective)
    assert mechanism_of(objective) is ForestMechanism
    assert resolve_method("auto", objective) == "exact"


@weighted
def test_scores_are_those_of_leaves_averaged_anew(s):
    before = half_square(Y_TEST, by_hand(X, Y, s, X_TEST))
    expected = [half_square(Y_TEST, by_hand(*without(i, s), X_TEST)) - before for i in range(60)]
    found = fitted(s).influence_scores(X_TEST, Y_TEST)
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-12, atol=1e-14)
    assert np.abs(found).max() > 0.01
    moved = [by_hand(*without(i, s), X_TEST) - by_hand(X, Y, s, X_TEST) for i in range(60)]
    found = fitted(s).influence_scores(X_TEST, target="predict")
    np.testing.assert_allclose(found, np.transpose(moved), rtol=1e-12, atol=1e-14)


@weighted
def test_rows_without_themselves(s):
    model = fitted(s)
    eta = np.array([by_hand(*without(i, s), X[[i]])[0] for i in range(60)])
    before = half_square(Y, by_hand(X, Y, s, X))
    left_out = model.leave_one_out()
    np.testing.assert_allclose(left_out.predictions, eta, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(left_out.losses, half_square(Y, eta), rtol=1e-12, atol=1e-14)
    expected = half_square(Y, eta) - before
    np.testing.assert_allclose(model.self_influence().scores, expected, rtol=1e-11, atol=1e-14)
    values = [AveragingForest().fit(*without(i, s)).values_ for i in range(60)]
    np.testing.assert_allclose(
        model.parameter_influence().changes,
        values - model.estimator_.values_,
        rtol=1e-11,
        atol=1e-14,
    )


@weighted
def test_groups_leave_together_and_the_copy_without_them_is_a_refit(s):
    model, groups = fitted(s), np.arange(60) % 4
    before = half_square(Y_TEST, by_hand(X, Y, s, X_TEST))
    after = [by_hand(*without(np.flatnonzero(groups == g), s), X_TEST) for g in range(4)]
    expected = [half_square(Y_TEST, eta) - before for eta in after]
    found = model.group_influence(groups, X_TEST, Y_TEST).scores
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-12, atol=1e-14)
    anew = model.without(groups == 2, transformers="refit")
    np.testing.assert_allclose(anew.predict(X_TEST), after[2], rtol=1e-12)
    smaller = model.without(groups == 2)
    assert type(smaller.estimator_) is AveragingForest
    np.testing.assert_allclose(smaller.predict(X_TEST), after[2], rtol=1e-12)
    np.testing.assert_allclose(
        smaller.influence_scores(X_TEST, Y_TEST),
        InfluenceRegressor(AveragingForest())
        .fit(*without(np.flatnonzero(groups == 2), s))
        .influence_scores(X_TEST, Y_TEST),
        rtol=1e-11,
        atol=1e-14,
    )
    certificate = smaller.certificate_
    assert certificate.gradient_norm < 1e-12 < certificate.gradient_norm_before


def test_rows_that_come_and_rows_with_another_target():
    model = fitted(None)
    before = half_square(Y_TEST, by_hand(X, Y, None, X_TEST))
    X_new, y_new = X_TEST[:3] / 2, np.array([3.0, -2.0, 0.5])
    expected = [
        half_square(Y_TEST, by_hand(np.vstack([X, x]), np.append(Y, y), None, X_TEST)) - before
        for x, y in zip(X_new, y_new, strict=True)
    ]
    found = model.addition_influence(X_new, y_new, X_TEST, Y_TEST).scores
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-12, atol=1e-14)
    changed = Y + 1.0
    expected = [
        half_square(Y_TEST, by_hand(X, np.where(np.arange(60) == i, changed, Y), None, X_TEST))
        - before
        for i in range(60)
    ]
    found = model.relabel_influence(changed, X_TEST, Y_TEST).scores
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-11, atol=1e-14)


def test_the_check_agrees_with_refits_inside_a_pipeline():
    model = InfluenceRegressor(make_pipeline(StandardScaler(), AveragingForest())).fit(X, Y)
    check = model.leave_one_out_check(X_TEST, Y_TEST, rows=5)
    np.testing.assert_allclose(check.predicted, check.actual, rtol=1e-10, atol=1e-13)
    assert check.slope == pytest.approx(1.0, abs=1e-10)
    assert len(model.influence(X_TEST, Y_TEST, top=2).to_frame(k=1)) == 16


def test_it_is_never_moved():
    """Nothing is refined that did not ask for it: the leaves of a fit are what they are."""
    model = InfluenceRegressor(AveragingForest(), refine=True).fit(X, Y)
    model.influence_scores(X_TEST, Y_TEST)
    np.testing.assert_array_equal(
        model._current().mechanism("exact").objective.theta,
        clone(model.estimator).fit(X, Y).values_,
    )
    assert model.refinement_ is None
    assert model.solver_ == "none: this family of models needs none"
    assert model.numerics_ is None


@pytest.mark.parametrize(
    "ask, message",
    [
        (
            lambda m: m.influence_scores(X_TEST, Y_TEST, method="newton"),
            r"has the methods \('exact',\)",
        ),
        (lambda m: m.influence_scores(X_TEST, Y_TEST, method="leaf"), "method='leaf' was given"),
        (lambda m: m.influence_embedding(), r"influence_embedding was asked of LeavesObjective"),
        (lambda m: m.diagnostics(), "diagnostics are defined for linear models"),
        (lambda m: m.leave_one_out_check(X_TEST, Y_TEST, refit="proximal"), "proximal"),
    ],
)
def test_what_it_cannot_answer_is_refused(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(fitted(None))


def test_changes_that_a_family_does_not_answer_are_refused(monkeypatch):
    monkeypatch.setattr(ForestMechanism, "changes", ("removal",))
    model = fitted(None)
    message = r"An effect of {} was asked for, and the mechanism of LeavesObjective answers \('rem"
    with pytest.raises(ValueError, match=message.format("addition")):
        model.addition_influence(X_TEST, Y_TEST, X_TEST, Y_TEST)
    with pytest.raises(ValueError, match=message.format("relabelling")):
        model.relabel_influence(Y + 1.0, X_TEST, Y_TEST)


def test_what_has_no_mechanism_is_refused():
    with pytest.raises(TypeError, match=r"int was given; an Objective.*register_mechanism"):
        mechanism_of(3)
