"""Decision trees and forests: read, verified, refused and written back."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    RandomTreesEmbedding,
)
from sklearn.linear_model import Ridge
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from sklearn.utils.fixes import parse_version

from skinfluence.adapters import adapt, check_supported
from tests.adapters.tree_cases import (
    COUNTS,
    HOLES,
    LABELS,
    LEVELS,
    PAIRS,
    SOME,
    TEST,
    TEST_HOLES,
    THREE,
    TWO,
    WEIGHTS,
    N,
    X,
    errors_of_leaves,
    fitted,
    other_values,
    others_are_refused,
    raw_predictions,
    shuffled,
    walked,
    written,
)

FEW = {"n_estimators": 8, "random_state": 0}
MILD = {"low": 1.0, "mid": 2.5, "high": 4.0}
SPARSE = sparse.csr_array(np.where(np.abs(X) < 0.7, 0.0, X))

CASES = {
    "tree": (DecisionTreeRegressor(random_state=0), X, LEVELS),
    "tree, few leaves": (DecisionTreeRegressor(max_leaf_nodes=7, random_state=0), HOLES, LEVELS),
    "tree, pruned": (DecisionTreeRegressor(ccp_alpha=0.02, random_state=0), X, PAIRS),
    "tree of counts": (DecisionTreeRegressor(criterion="poisson", max_depth=4), X, COUNTS),
    "tree of classes": (DecisionTreeClassifier(max_depth=4, random_state=0), X, THREE),
    "tree, balanced": (DecisionTreeClassifier(class_weight="balanced", max_depth=4), X, THREE),
    "tree of labels": (
        DecisionTreeClassifier(
            class_weight=[MILD, {"yes": 1.0, "no": 3.0}], max_depth=4, criterion="entropy"
        ),
        X,
        LABELS,
    ),
    "extra tree": (ExtraTreeRegressor(max_depth=6, random_state=0), X, LEVELS),
    "extra tree of classes": (ExtraTreeClassifier(max_depth=6, random_state=0), X, TWO),
    "forest": (RandomForestRegressor(**FEW), X, LEVELS),
    "forest, sparse": (RandomForestRegressor(max_depth=5, **FEW), SPARSE, LEVELS),
    "forest, frame": (RandomForestRegressor(max_features=2, **FEW), pd.DataFrame(X), LEVELS),
    "forest, list": (RandomForestRegressor(max_depth=5, **FEW), X.tolist(), LEVELS.tolist()),
    "forest of pairs": (RandomForestRegressor(min_samples_leaf=3, **FEW), X, PAIRS),
    "forest, missing": (RandomForestClassifier(max_depth=5, **FEW), HOLES, THREE),
    "forest, weighed classes": (
        RandomForestClassifier(class_weight=MILD, max_depth=5, **FEW),
        X,
        THREE,
    ),
    "forest, balanced": (
        RandomForestClassifier(class_weight="balanced", max_depth=5, **FEW),
        X,
        THREE,
    ),
    "forest, balanced draws": (
        RandomForestClassifier(class_weight="balanced_subsample", max_depth=5, **FEW),
        X,
        THREE,
    ),
    "forest of labels": (
        RandomForestClassifier(class_weight="balanced_subsample", max_depth=5, **FEW),
        X,
        LABELS,
    ),
    "forest, pure leaves": (RandomForestClassifier(max_samples=0.6, **FEW), X, TWO),
    "extra trees": (ExtraTreesRegressor(**FEW), X, LEVELS),
    "extra trees, drawn": (ExtraTreesRegressor(bootstrap=True, max_samples=0.4, **FEW), X, LEVELS),
    "extra trees, balanced": (
        ExtraTreesClassifier(class_weight="balanced_subsample", max_depth=5, **FEW),
        X,
        THREE,
    ),
    "bagging": (BaggingRegressor(**FEW), X, LEVELS),
    "bagging, features": (
        BaggingRegressor(
            ExtraTreeRegressor(max_depth=6), max_features=0.6, bootstrap_features=True, **FEW
        ),
        X,
        LEVELS,
    ),
    "bagging, shares": (
        BaggingRegressor(
            DecisionTreeRegressor(max_depth=5), max_samples=0.5, bootstrap=False, **FEW
        ),
        X,
        PAIRS,
    ),
    "bagging of classes": (
        BaggingClassifier(DecisionTreeClassifier(max_depth=4), max_features=0.8, **FEW),
        X,
        THREE,
    ),
    "bagging, weighed classes": (
        BaggingClassifier(
            DecisionTreeClassifier(max_depth=4, class_weight={0: 1.0, 1: 2.0, 2: 5.0}), **FEW
        ),
        X,
        THREE,
    ),
    "bagging, balanced": (
        BaggingClassifier(DecisionTreeClassifier(max_depth=4, class_weight="balanced"), **FEW),
        X,
        THREE,
    ),
}
OLD = parse_version(sklearn.__version__) < parse_version("1.7")
STRAY = {"forest, missing"} if OLD else set()
"""scikit-learn 1.6 sends some rows with missing values elsewhere when it predicts."""
SOUND = [case for case in CASES if case not in STRAY]
WEIGHED = {
    "without weights": None,
    "weights": WEIGHTS,
    "some of weight 0": SOME,
    "alike": 2 * SOME**0,
}


@pytest.mark.parametrize("weights", WEIGHED)
@pytest.mark.parametrize("case", SOUND)
def test_leaf_values_are_those_of_the_rows(case, weights):
    model, objective = fitted(*CASES[case], WEIGHED[weights])
    errors = errors_of_leaves(objective)
    assert np.nanmax(errors) < 1e-12
    assert not np.any(np.isnan(errors))  # all leaves have rows
    rows = CASES[case][1]
    expected = raw_predictions(model, rows)
    np.testing.assert_allclose(objective.raw_predictions(), expected, atol=1e-12)
    test = TEST_HOLES if rows is HOLES else TEST
    if isinstance(rows, pd.DataFrame):
        test = pd.DataFrame(test)
    elif sparse.issparse(rows):
        test = sparse.csc_array(np.where(np.abs(test) < 0.7, 0.0, test))
    on_test = objective.on(test).raw_predictions()
    np.testing.assert_allclose(on_test, raw_predictions(model, test), atol=1e-12)


@pytest.mark.parametrize("weights", WEIGHED)
@pytest.mark.parametrize("case", SOUND)
def test_leaves_weigh_what_they_weighed(case, weights):
    """By which versions of scikit-learn are told apart: weights are draws, or multiply them."""
    model, objective = fitted(*CASES[case], WEIGHED[weights])
    trees = getattr(model, "estimators_", [model])
    each = [tree.tree_.weighted_n_node_samples[tree.tree_.children_left < 0] for tree in trees]
    np.testing.assert_allclose(objective.totals, np.concatenate(each), rtol=1e-9)


def test_rows_of_a_leaf_walk_back_to_it():
    """From every node on their path, as they came."""
    for case in ("tree, few leaves", "forest, sparse", "bagging, features", "forest, frame"):
        _, objective = fitted(*CASES[case])
        splits = objective.splits
        ends = splits.leaf_nodes[objective.leaves]
        rows, trees = np.nonzero(np.ones_like(ends, dtype=bool))
        node = ends[rows, trees]
        while np.any(splits.parents[node] >= 0):
            node = np.where(splits.parents[node] >= 0, splits.parents[node], node)
            reached = splits.descend(objective.X, rows, node)
            np.testing.assert_array_equal(reached, ends[rows, trees])
        assert set(node) == set(splits.roots)


@pytest.mark.parametrize(
    "case", ["tree", "forest", "forest, balanced draws", "bagging", "bagging, features"]
)
def test_other_rows_targets_or_weights_are_refused(case):
    model, rows, y = CASES[case]
    model = clone(model).fit(rows, y, sample_weight=WEIGHTS)
    more = (np.tile(rows, (2, 1)), np.tile(y, 2), np.tile(WEIGHTS, 2))
    others_are_refused(model, *shuffled(rows, y, WEIGHTS, 20))
    if "bagging" not in case:  # of which bagged trees drew none
        others_are_refused(model, more)
    if case == "tree":
        with pytest.raises(ValueError, match=r"are off by .* 1e-06 is accepted"):
            adapt(model, rows, y, None)
    if case == "forest":
        with pytest.raises(ValueError, match="draws of its trees are those of its own fit"):
            adapt(model, rows, y[::-1], WEIGHTS)


def test_one_target_that_moved_is_found():
    model, rows, y = CASES["forest"]
    model = clone(model).fit(rows, y)
    moved = y.copy()
    moved[3] += 1e-3
    with pytest.raises(ValueError, match="These do not look like the rows"):
        adapt(model, rows, moved, None)


def test_targets_that_are_missing():
    model, rows, y = CASES["forest"]
    model = clone(model).fit(rows, y)
    with pytest.raises(ValueError, match="Targets with NaN"):
        adapt(model, rows, np.where(np.arange(N) == 5, np.nan, y), None)


def test_trees_of_an_earlier_fit():
    model = RandomForestRegressor(4, warm_start=True, random_state=0).fit(X, LEVELS)
    model.set_params(n_estimators=8).fit(X, LEVELS)
    assert np.nanmax(errors_of_leaves(adapt(model, X, LEVELS, None))) < 1e-12
    model.set_params(n_estimators=9).fit(X[::-1], LEVELS)
    with pytest.raises(ValueError, match="warm_start=True it may have trees of an earlier fit"):
        adapt(model, X, LEVELS, None)


@pytest.mark.skipif(not OLD, reason="repaired in later versions of scikit-learn")
def test_rows_that_scikit_learn_sends_elsewhere():
    with pytest.raises(ValueError, match=r"scikit-learn 1\.6 may send elsewhere"):
        fitted(*CASES["forest, missing"])


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (DecisionTreeRegressor(criterion="absolute_error"), "its leaves are medians"),
        (RandomForestRegressor(criterion="absolute_error"), "Use criterion='squared_error'"),
        (RandomForestRegressor(monotonic_cst=[1, 0, 0, 0, 0]), "its leaf values are clipped"),
        (BaggingRegressor(DecisionTreeRegressor(criterion="absolute_error")), "are medians"),
    ],
)
def test_refused_before_fitting(model, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_supported(model)


def test_constraints_that_constrain_nothing():
    check_supported(RandomForestRegressor(monotonic_cst=[0, 0, 0, 0, 0]))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (BaggingRegressor(Ridge()), "only decision trees .* are supported. Wrap one of its models"),
        (AdaBoostClassifier(), "Use GradientBoostingClassifier\\(loss='exponential'\\)"),
        (IsolationForest(), "its scores count splits drawn at random"),
        (RandomTreesEmbedding(), "Use it before a linear model"),
    ],
)
def test_refused_types(model, sentence):
    with pytest.raises(TypeError, match=sentence):
        check_supported(model)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7])
@pytest.mark.parametrize("case", SOUND)
def test_written_back(case, share):
    """Rows of leaves that are gone go on to the sibling, by loops over nodes."""
    model, objective = fitted(*CASES[case])
    theta = other_values(objective, share)
    copy = written(model, objective, theta, CASES[case][1])
    rows = CASES[case][1]
    test = TEST_HOLES if rows is HOLES else TEST
    if isinstance(rows, pd.DataFrame):
        test = pd.DataFrame(test)
    expected = walked(model, objective, test, theta)
    if hasattr(model, "predict_proba"):
        trees = getattr(copy, "estimators_", [copy])
        np.testing.assert_allclose(_values(trees, copy, test), expected, atol=1e-12)
    else:
        np.testing.assert_allclose(raw_predictions(copy, test), expected, atol=1e-12)


def _values(trees, model, rows):
    """Return the mean of values that are no frequencies, which predict_proba would scale."""
    columns = getattr(model, "estimators_features_", [slice(None)] * len(trees))
    widths = np.ravel(trees[0].n_classes_)
    total = 0.0
    for tree, own in zip(trees, columns, strict=True):
        ends = tree.apply(np.asarray(rows)[:, own])
        total = total + np.column_stack(
            [tree.tree_.value[ends, o, :width] for o, width in enumerate(widths)]
        )
    return total / len(trees)


@pytest.mark.parametrize("case", SOUND)
def test_a_copy_without_rows_is_adapted_again(case):
    """Its draws and weights come with it: nothing else knows them."""
    model, rows, y = CASES[case]
    model, objective = fitted(model, rows, y, WEIGHTS)
    kept = np.setdiff1d(np.arange(N), [3, 5, 8, 77])
    part = objective.rows(kept)
    theta = part.refitted()
    copy = written(model, objective.rows(kept), theta, None)
    again = adapt(copy, part.X, np.asarray(y)[kept], WEIGHTS[kept])
    errors = errors_of_leaves(again)
    assert np.nanmax(errors) < 1e-12
    np.testing.assert_array_equal(np.isnan(again.refitted()), np.isnan(theta))
    np.testing.assert_array_equal(again.sample_weight, part.sample_weight)
    np.testing.assert_array_equal(again.tree_weights(), part.tree_weights())
    # A fit of the copy is one of its own.
    refitted = copy.fit(rows, y)
    assert np.nanmax(errors_of_leaves(adapt(refitted, rows, y, None))) < 1e-12


def test_no_tree_without_rows_is_written():
    model, objective = fitted(*CASES["tree"])
    gone = np.full(objective.n_params, np.nan)
    with pytest.raises(ValueError, match=r"1 tree\(s\) have no rows left"):
        written(model, objective, gone, X)
