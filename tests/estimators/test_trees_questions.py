"""Trees, forests and boosting: weights of targets, out-of-bag, leaf values, and what is refused."""

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import final_step
from tests.estimators.test_trees import assert_close
from tests.plain_trees import HISTOGRAM, encoded, prepared, refit, trees_of
from tests.trees_table import (
    ALL,
    CLASSES,
    FORESTS,
    LEVELS,
    ONE_OUTPUT,
    SQUARED,
    THREE,
    N,
    fitted,
    loss_of,
)


@pytest.mark.parametrize("name", [*FORESTS, *SQUARED])
def test_weights_times_targets_are_predictions(name):
    fit = fitted(name)
    weights = fit.model.prediction_weights(fit.X_test)
    assert weights.shape == (len(fit.y_test), N)
    targets = encoded(fit.estimator, fit.y)
    if fit.classifier:
        expected = fit.model.predict_proba(fit.X_test)
        expected = np.hstack(expected) if isinstance(expected, list) else expected
    else:
        expected = fit.model.predict(fit.X_test).reshape(len(weights), -1)
    rounding = 1e-6 if isinstance(fit.estimator, HISTOGRAM) else 1e-12
    assert np.abs(weights @ targets - expected).max() <= rounding * np.ptp(targets)
    sums = weights.sum(axis=1)
    if name == "boosting from zero":
        assert np.all(sums < 0.99)
    elif name != "penalised histograms":
        np.testing.assert_allclose(sums, 1.0, rtol=0, atol=1e-12)
    if fit.forest:
        assert weights.min() >= 0.0


@pytest.mark.parametrize("name", SQUARED)
def test_weights_are_what_another_target_does(name):
    """Predictions are linear in the targets, so that a step of any size is the derivative."""
    fit = fitted(name)
    rows = fit.interesting_rows(3)
    weights = fit.model.prediction_weights(fit.X_test)[:, rows]
    before = fit.refit()(fit.X_test)
    moved = [fit.refit(relabelled=([i], [fit.y[i] + 1.0]))(fit.X_test) - before for i in rows]
    assert_close(weights, np.hstack(moved), 1e-10)


@pytest.mark.parametrize("name", [*list(ONE_OUTPUT)[:1], *list(CLASSES)[:1]])
def test_no_weights_where_predictions_are_not_linear(name):
    fit = fitted(name)
    with pytest.raises(ValueError, match=r"not linear in the targets.*relabel_influence"):
        fit.model.prediction_weights(fit.X_test)


def test_no_weights_of_other_models():
    model = InfluenceRegressor(Ridge()).fit(ALL[:N], LEVELS[:N])
    with pytest.raises(ValueError, match="prediction_weights"):
        model.prediction_weights(ALL[N:])


BAGGED = ["forest", "weighted forest", "forest of classes", "forest of outputs", "bagging"]


@pytest.mark.parametrize("name", BAGGED)
def test_rows_of_bagged_forests_are_out_of_bag(name):
    """By loops over the trees that did not draw a row."""
    fit = fitted(name)
    forest, targets = fit.estimator, encoded(fit.estimator, fit.y)
    expected = np.full(targets.shape, np.nan)
    features, trees = prepared(forest, fit.X), trees_of(forest)
    for i in range(N):
        own = []
        for tree, part, drawn in zip(
            trees, forest.estimators_, forest.estimators_samples_, strict=True
        ):
            if i not in drawn:
                own.append(part.tree_.value[tree.leaves(features[[i]])[0]].ravel())
        if own:
            expected[i] = np.mean(own, axis=0)
    never = np.flatnonzero(np.isnan(expected[:, 0]))
    assert 0 < len(never) < N / 2
    with pytest.warns(UserWarning, match=rf"{len(never)} row\(s\).*every one of the 5 trees"):
        result = fit.model.leave_one_out()
    assert result.method == "out_of_bag"
    found = result.probabilities if fit.classifier else result.predictions.reshape(N, -1)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    loss = loss_of(forest, expected, targets)
    np.testing.assert_allclose(result.losses, loss, atol=1e-12)
    with pytest.warns(UserWarning, match="out-of-bag"):
        own = fit.model.self_influence()
    before = loss_of(forest, fit.refit()(fit.X), targets)
    np.testing.assert_allclose(own.scores, loss - before, atol=1e-12)
    for each in (result, own):
        assert "out" in repr(each) and "bag" in repr(each)
        each.to_frame()
        each.plot()
    assert fit.model.leave_one_out(method="exact").method == "exact"


def test_out_of_bag_is_scikit_learns():
    forest = RandomForestRegressor(60, oob_score=True, random_state=0).fit(ALL, LEVELS)
    own = InfluenceRegressor.from_fitted(forest, ALL, LEVELS).leave_one_out()
    np.testing.assert_allclose(own.predictions, forest.oob_prediction_, atol=1e-12)
    forest = RandomForestClassifier(60, oob_score=True, random_state=0).fit(ALL, THREE)
    own = InfluenceClassifier.from_fitted(forest, ALL, THREE).leave_one_out()
    np.testing.assert_allclose(own.probabilities, forest.oob_decision_function_, atol=1e-12)


def test_out_of_bag_knows_rows_alone():
    fit = fitted("forest")
    with pytest.raises(ValueError, match=r"out_of_bag.*Use method='exact'"):
        fit.model.influence_scores(fit.X_test, fit.y_test, method="out_of_bag")
    with pytest.raises(ValueError, match="out_of_bag"):
        fit.model.without([0], method="out_of_bag")


@pytest.mark.parametrize("name", ["tree", "shallow tree", "weighted forest", "bagging"])
def test_leaf_values_of_trees_by_loops(name):
    """Those of a leaf that is gone are the mean of the leaves that replace it, by their rows."""
    fit = fitted(name)
    result = fit.model.parameter_influence()
    w, draws = fit.weights
    features, rows = prepared(fit.estimator, fit.X), fit.interesting_rows(4)
    start = 0
    for tree, drawn in zip(trees_of(fit.estimator), draws.T, strict=True):
        leaves, places = tree.leaves(features), np.flatnonzero(tree.left < 0)
        c = w * drawn
        for i in rows:
            value = {}
            for leaf in places:
                node, own = leaf, (leaves == leaf) & (c > 0) & (np.arange(N) != i)
                if not own.any():
                    parent = np.flatnonzero((tree.left == node) | (tree.right == node))[0]
                    node = tree.left[parent] + tree.right[parent] - node
                    below = below_of(tree, node)
                    counts = {b: np.sum((leaves == b) & (c > 0)) for b in below}
                    means = {
                        b: np.average(fit.y[leaves == b], weights=c[leaves == b]) for b in below
                    }
                    value[leaf] = sum(counts[b] * means[b] for b in below) / sum(counts.values())
                else:
                    value[leaf] = np.average(fit.y[own], weights=c[own])
            moved = result.changes[i, start : start + len(places)]
            before = result.values[start : start + len(places)]
            expected = np.array([value[leaf] for leaf in places])
            np.testing.assert_allclose(before + moved, expected, atol=1e-12)
        start += len(places)
    assert start == result.changes.shape[1]
    some = fit.model.parameter_influence(coefficients=list(result.coefficients[:3]))
    np.testing.assert_allclose(some.changes, result.changes[:, :3], atol=1e-12)


def below_of(tree, node):
    if tree.left[node] < 0:
        return [node]
    return below_of(tree, tree.left[node]) + below_of(tree, tree.right[node])


@pytest.mark.parametrize(
    "name", ["boosting", "boosting of labels", "boosting of classes", "poisson"]
)
def test_leaf_values_of_boosting_add_up_to_refits(name):
    fit = fitted(name)
    result = fit.model.parameter_influence(method="exact")
    objective = fit.model.leave_one_out(method="exact", return_parameters=True)
    np.testing.assert_allclose(objective.parameters - result.values, result.changes, atol=1e-12)
    before = fit.refit()(fit.X_test)
    K, scale = before.shape[1], 1.0 if isinstance(fit.estimator, HISTOGRAM) else 0.1
    features, trees = prepared(fit.estimator, fit.X_test), trees_of(fit.estimator)
    leaves = [tree.leaves(features) for tree in trees]
    for i in fit.interesting_rows(3)[:5]:
        change, start = np.tile(result.changes[i, :K], (len(features), 1)), K
        for t, tree in enumerate(trees):
            places = np.flatnonzero(tree.left < 0)
            own = start + np.searchsorted(places, leaves[t])
            change[:, t % K] += scale * result.changes[i, own]
            start += len(places)
        moved = fit.refit(removed=[i])(fit.X_test) - before
        assert np.abs(change - moved).max() <= max(fit.rounding, 1e-8) * np.abs(moved).max()


FORMS = {
    "pipeline": lambda e: make_pipeline(StandardScaler(), e),
    "search": lambda e: GridSearchCV(e, {"max_depth": [3]}, cv=2),
    "pipeline of a search": lambda e: make_pipeline(
        StandardScaler(), GridSearchCV(e, {"max_depth": [3]}, cv=2)
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestRegressor(4, max_depth=3, random_state=0),
        GradientBoostingRegressor(n_estimators=4, max_depth=3, subsample=0.7, random_state=0),
        HistGradientBoostingRegressor(max_iter=4, max_depth=3, random_state=0),
    ],
    ids=["forest", "boosting", "histograms"],
)
def test_around_the_trees(form, estimator):
    X, y, X_test, y_test = ALL[:N], LEVELS[:N], ALL[N:], LEVELS[N:]
    model = InfluenceRegressor(FORMS[form](estimator)).fit(X, y)
    inner, scaled, scaled_test = model.estimator_, X, X_test
    if hasattr(inner, "steps"):
        scaled, scaled_test = (inner[:-1].transform(each) for each in (X, X_test))
        inner = inner[-1]
    inner = getattr(inner, "best_estimator_", inner)
    rows = np.arange(5)
    before = refit(inner, scaled, y)(scaled_test)[:, 0]
    after = [refit(inner, scaled, y, removed=[i])(scaled_test)[:, 0] for i in rows]
    expected = 0.5 * ((np.array(after) - y_test) ** 2 - (before - y_test) ** 2).T
    scores = model.influence_scores(X_test, y_test, method="exact")
    assert_close(scores[:, rows], expected, 1e-6)
    smaller = model.without(rows[:2])
    gone = refit(inner, scaled, y, removed=rows[:2])(scaled_test)[:, 0]
    np.testing.assert_allclose(smaller.predict(X_test), gone, atol=1e-6 * np.ptp(gone))
    frozen = InfluenceRegressor(FrozenEstimator(model.estimator_)).fit(X, y)
    taken = InfluenceRegressor.from_fitted(model.estimator_, X, y)
    for other in (frozen, taken):
        np.testing.assert_array_equal(
            other.influence_scores(X_test, y_test, method="exact"), scores
        )


def test_other_rows_are_refused():
    forest = RandomForestRegressor(4, random_state=0).fit(ALL[:N], LEVELS[:N])
    model = InfluenceRegressor.from_fitted(forest, ALL[:N], LEVELS[:N][::-1])
    with pytest.raises(ValueError, match="do not look like the rows"):
        model.influence_scores(ALL[N:], LEVELS[N:])


@pytest.mark.parametrize(
    "name", ["tree", "forest", "boosting", "exponential", "boosting of classes"]
)
def test_what_has_no_answer_says_where_to_go(name):
    fit = fitted(name)
    refused = {
        "input_influence": (
            lambda: fit.model.input_influence(fit.X_test[:2], fit.y_test[:2], rows=[0]),
            r"every derivative in it is 0.*addition_influence",
        ),
        "influence_embedding": (
            lambda: fit.model.influence_embedding(),
            r"trees.*prediction_weights|influence_scores",
        ),
        "diagnostics": (lambda: fit.model.diagnostics(), r"linear models.*self_influence"),
        "refit": (
            lambda: fit.model.leave_one_out_check(fit.X_test, fit.y_test, refit="final"),
            r"structure",
        ),
    }
    for question, (ask, match) in refused.items():
        with pytest.raises(ValueError, match=match) as caught:
            ask()
        assert "curvature" not in str(caught.value), question


def test_class_weights_of_several_targets_know_no_other_targets():
    X, Y = ALL[:N], np.column_stack([THREE, THREE])
    forest = RandomForestClassifier(3, class_weight="balanced", random_state=0)
    model = InfluenceClassifier(forest).fit(X, Y[:N])
    for ask in (
        lambda: model.relabel_influence(np.roll(Y[:N], 1, axis=0), X, Y[:N]),
        lambda: model.addition_influence(ALL[N:], Y[N:], X, Y[:N]),
    ):
        with pytest.raises(ValueError, match=r"several targets.*Use class_weight=None"):
            ask()


def test_a_tree_of_one_row():
    X, y = ALL[:6], LEVELS[:6]
    one = RandomForestRegressor(3, max_samples=1, random_state=0)
    model = InfluenceRegressor(one).fit(X, y)
    for ask in (model.influence_scores, model.influence):
        with pytest.raises(ValueError, match=r"one row alone.*max_samples"):
            ask(X, y)
    single = InfluenceRegressor(DecisionTreeRegressor()).fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="one row alone"):
        single.influence_scores(X, y)
    stages = GradientBoostingRegressor(subsample=0.1, n_estimators=3, random_state=0)
    boosted = InfluenceRegressor(stages).fit(X, y)
    for method in ("newton", "exact"):
        with pytest.raises(ValueError, match=r"one row alone.*subsample"):
            boosted.influence_scores(X, y, method=method)


def test_groups_that_leave_a_tree_empty():
    forest = RandomForestRegressor(3, max_samples=4, random_state=0).fit(ALL[:N], LEVELS[:N])
    model = InfluenceRegressor.from_fitted(forest, ALL[:N], LEVELS[:N])
    rows = np.unique(forest.estimators_samples_[1])
    groups = [np.isin(np.arange(N), some) for some in (rows[:2], rows)]
    with pytest.raises(ValueError, match=r"group 1 tree 1 of 3 has no training row left"):
        model.group_influence(np.array(groups), ALL[N:], LEVELS[N:])
    with pytest.raises(ValueError, match=r"these rows tree 1 of 3 has no training row left"):
        model.without(rows)


@pytest.mark.parametrize("name", ["forest of classes", "boosting", "boosting of classes"])
def test_results_are_shown_and_kept(name, tmp_path):
    fit = fitted(name)
    X, y = fit.X_test, fit.y_test
    groups = np.where(np.arange(N) % 3 == 0, "third", "rest")
    results = [
        fit.model.influence(X, y),
        fit.model.influence(X, y, top=3),
        fit.model.group_influence(groups, X, y),
        fit.model.self_influence(method="exact"),
        fit.model.leave_one_out(method="exact"),
        fit.model.parameter_influence(),
        fit.model.leave_one_out_check(X, y, rows=4),
    ]
    final = final_step(fit.model.estimator_)
    if getattr(final, "class_weight", None) != "balanced_subsample":  # which refuses them
        results.append(fit.model.addition_influence(X[:3], y[:3], X, y))
        results.append(fit.model.relabel_influence(np.roll(fit.y, 3), X, y))
    for result in results:
        assert repr(result) and result._repr_html_()
        assert len(result.to_frame())
        result.plot()
        path = tmp_path / "result.npz"
        result.save(path)
        again = type(result).load(path)
        np.testing.assert_array_equal(np.asarray(again), np.asarray(result))
        assert repr(again).splitlines()[0] == repr(result).splitlines()[0]


def test_the_words_name_the_splits():
    fit = fitted("boosting")
    assert "over the same splits" in InfluenceRegressor.influence_scores.__doc__
    certificate = fit.model.without([3]).certificate_
    assert "splits" in certificate.summary()


def test_targets_that_were_transformed():
    X, y = ALL[:N], np.exp(LEVELS[:N] / 3)
    inner = HistGradientBoostingRegressor(max_iter=4, max_depth=3)
    around = TransformedTargetRegressor(inner, func=np.log, inverse_func=np.exp)
    model = InfluenceRegressor(around).fit(X, y)
    scores = model.influence_scores(ALL[N:], method="exact", target="predict")
    part = model.estimator_.regressor_
    before = np.exp(refit(part, X, np.log(y))(ALL[N:])[:, 0])
    after = [np.exp(refit(part, X, np.log(y), removed=[i])(ALL[N:])[:, 0]) for i in range(5)]
    assert_close(scores[:, :5], np.stack(after, axis=1) - before[:, None], 1e-6)
