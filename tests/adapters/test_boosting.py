"""Gradient boosting: read, verified, refused and written back."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import load_breast_cancer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from skinfluence.adapters import adapt, check_supported
from skinfluence.adapters.remains import fitted_numbers
from skinfluence.adapters.trees import TreeSplits
from tests.adapters.tree_cases import (
    LEVELS,
    SOME,
    TEST,
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

FEW = {"n_estimators": 12, "random_state": 0}
STOPS = {"n_iter_no_change": 3, "validation_fraction": 0.2, "n_estimators": 60, "random_state": 5}
SPARSE = sparse.coo_array(np.where(np.abs(X) < 0.7, 0.0, X))

CASES = {
    "levels": (GradientBoostingRegressor(**FEW), X, LEVELS),
    "from zero": (GradientBoostingRegressor(init="zero", **FEW), X, LEVELS),
    "fast": (GradientBoostingRegressor(learning_rate=0.7, max_depth=None, **FEW), X, LEVELS),
    "some features": (GradientBoostingRegressor(max_features=2, **FEW), X, LEVELS),
    "best first": (GradientBoostingRegressor(max_leaf_nodes=6, ccp_alpha=0.01, **FEW), X, LEVELS),
    "sparse": (GradientBoostingRegressor(**FEW), SPARSE, LEVELS),
    "frame": (GradientBoostingRegressor(**FEW), pd.DataFrame(X), LEVELS),
    "list": (GradientBoostingClassifier(**FEW), X.tolist(), THREE.tolist()),
    "column": (GradientBoostingRegressor(**FEW), X, LEVELS[:, None]),
    "drawn": (GradientBoostingRegressor(subsample=0.5, **FEW), X, LEVELS),
    "drawn, features": (GradientBoostingRegressor(subsample=0.4, max_features=2, **FEW), X, LEVELS),
    "stopped": (GradientBoostingRegressor(**STOPS), X, LEVELS),
    "drawn and stopped": (GradientBoostingRegressor(subsample=0.6, **STOPS), X, LEVELS),
    "two": (GradientBoostingClassifier(**FEW), X, TWO),
    "two from zero": (GradientBoostingClassifier(init="zero", **FEW), X, TWO),
    "exponential": (GradientBoostingClassifier(loss="exponential", **FEW), X, TWO),
    "three": (GradientBoostingClassifier(**FEW), X, THREE),
    "three, drawn": (GradientBoostingClassifier(subsample=0.5, **FEW), X, THREE),
    "three, stopped": (GradientBoostingClassifier(subsample=0.7, **STOPS), X, THREE),
}


@pytest.mark.parametrize("weights", [None, WEIGHTS, SOME])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_leaf_values_are_those_of_the_rows(case, weights):
    model, objective = fitted(*CASES[case], weights)
    assert np.nanmax(errors_of_leaves(objective)) < 1e-12
    K = objective.n_outputs
    np.testing.assert_allclose(objective.refitted()[:K], objective.initial, atol=1e-13)
    rows = CASES[case][1]
    expected = raw_predictions(model, rows)
    np.testing.assert_allclose(objective.raw_predictions(), expected, atol=1e-12)
    test = pd.DataFrame(TEST) if case == "frame" else TEST
    on_test = objective.on(test).raw_predictions()
    np.testing.assert_allclose(on_test, raw_predictions(model, test), atol=1e-12)


def test_rows_held_out_weigh_nothing():
    model, objective = fitted(*CASES["drawn and stopped"])
    held_out = objective.sample_weight == 0
    assert held_out.sum() == N // 5
    assert not objective.masks[held_out].any()
    np.testing.assert_array_equal(objective.masks.sum(axis=0), int(0.6 * 0.8 * N))
    assert model.n_estimators_ < 60
    assert objective.masks.shape[1] == model.n_estimators_


def test_other_rows_targets_weights_or_seeds_are_refused():
    model, _ = fitted(*CASES["drawn"], WEIGHTS)
    others_are_refused(model, *shuffled(X, LEVELS, WEIGHTS), (X, LEVELS, None))
    with pytest.raises(ValueError, match="drawn again from random_state=1, which has to be"):
        adapt(model.set_params(random_state=1), X, LEVELS, WEIGHTS)


def test_trees_of_an_earlier_fit():
    for drawn in ({}, {"subsample": 0.5}):
        model = GradientBoostingRegressor(warm_start=True, n_estimators=5, random_state=0, **drawn)
        model.fit(X, LEVELS).set_params(n_estimators=10).fit(X, LEVELS)
        assert np.nanmax(errors_of_leaves(adapt(model, X, LEVELS, None))) < 1e-12
        model.set_params(n_estimators=12).fit(X[::-1], LEVELS)
        with pytest.raises(ValueError, match="warm_start=True it may have trees of an earlier fit"):
            adapt(model, X, LEVELS, None)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (GradientBoostingRegressor(loss="huber"), "loss='huber'.* Use loss='squared_error'"),
        (GradientBoostingRegressor(loss="quantile"), "medians or quantiles"),
        (GradientBoostingRegressor(loss="absolute_error"), "a row moves by jumps"),
        (GradientBoostingRegressor(init=DummyRegressor()), "Use init=None or init='zero'"),
        (GradientBoostingRegressor(subsample=0.5), "which rows each stage drew .* integer"),
        (GradientBoostingClassifier(n_iter_no_change=3), "holds some rows out of the fit"),
        (
            GradientBoostingClassifier(subsample=0.5, random_state=np.random.RandomState(0)),
            "Pass an integer random_state, or subsample=1.0",
        ),
    ],
)
def test_refused_before_fitting(model, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_supported(model)


def test_leaves_that_are_certain_are_no_error():
    """scikit-learn has 1 - p to the last place of 1: values of such leaves are 20 % off."""
    rows, y = load_breast_cancer(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GradientBoostingClassifier(n_estimators=200, learning_rate=1.0, random_state=0)
        model.fit(rows, y)
    objective = adapt(model, rows, y, None)
    assert np.nanmax(errors_of_leaves(objective)) > 1e-6
    moved = y.copy()
    moved[7] = 1 - moved[7]
    with pytest.raises(ValueError, match="These do not look like the rows"):
        adapt(model, rows, moved, None)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("case", ["levels", "from zero", "fast", "two", "exponential", "three"])
def test_written_back(case, share):
    """Rows of leaves that are gone go on to the sibling, by loops over nodes."""
    model, objective = fitted(*CASES[case])
    theta = other_values(objective, share)
    K = objective.n_outputs
    if objective.centred:
        theta[:K] -= theta[:K].mean() if K > 1 else 0.0
    else:
        theta[:K] = 0.0
    copy = written(model, objective, theta, X)
    expected = walked(model, objective, TEST, theta, model.learning_rate)
    np.testing.assert_allclose(raw_predictions(copy, TEST), expected, atol=1e-12)
    np.testing.assert_array_equal(raw_predictions(model, X), raw_predictions(model, X))


@pytest.mark.parametrize("case", ["levels", "drawn", "stopped", "exponential", "three, stopped"])
def test_a_copy_without_rows_is_adapted_again(case):
    """Its masks and the rows held out come with it: nothing else knows them."""
    model, objective = fitted(*CASES[case], WEIGHTS)
    gone = [3, 5, 8, 77]
    kept = np.setdiff1d(np.arange(N), gone)
    part = objective.rows(kept)
    y = CASES[case][2][kept]
    copy = written(model, part, settled(model, part, splits_of), X[kept])
    again = adapt(copy, X[kept], y, WEIGHTS[kept])
    np.testing.assert_array_equal(again.sample_weight, part.sample_weight)
    if part.masks is not None:
        np.testing.assert_array_equal(again.masks, part.masks)
    with pytest.raises(ValueError, match=r"computed again|weights or labels"):
        adapt(copy, X[kept], np.roll(y, 1), WEIGHTS[kept])
    refitted = copy.fit(X, CASES[case][2])
    assert np.nanmax(errors_of_leaves(adapt(refitted, X, CASES[case][2], None))) < 1e-12


def splits_of(model):
    return TreeSplits.of(model.estimators_.ravel())


def settled(model, objective, splits):
    """Return values of leaves that are those of the rows, one stage after the other.

    Rows that a stage did not draw go on where no drawn row is left.
    """
    theta = objective.refitted()
    passing = splits(written(model, objective, theta, None))
    objective = replace(objective, leaves=passing.leaves(objective.X))
    for _ in range(objective.splits.n_trees + 1):
        theta = objective.at(np.nan_to_num(theta)).refitted()
    return theta


def test_all_numbers_of_a_fit_are_found():
    """Its trees are in a table, and a deletion looks at all of them."""
    model, _ = fitted(*CASES["three"])
    assert ("train_score_",) in fitted_numbers(model)
