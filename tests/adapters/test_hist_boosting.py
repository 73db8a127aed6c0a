"""Histogram gradient boosting: read, verified, refused and written back."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from skinfluence.adapters import adapt, check_supported
from skinfluence.adapters.hist_boosting import HistSplits
from tests.adapters.test_boosting import settled
from tests.adapters.tree_cases import (
    COUNTS,
    HOLES,
    LEVELS,
    POSITIVE,
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
    frame,
    other_values,
    others_are_refused,
    raw_predictions,
    shuffled,
    walked,
    written,
)

FEW = {"max_iter": 15, "min_samples_leaf": 5, "max_leaf_nodes": 12}
STOPS = {**FEW, "max_iter": 60, "early_stopping": True, "n_iter_no_change": 3, "random_state": 2}
KINDS = np.column_stack([X[:, :4], np.abs(np.round(3.0 * X[:, 4]) % 7)])
FRAME = frame(HOLES)

CASES = {
    "levels": (HistGradientBoostingRegressor(**FEW), X, LEVELS),
    "missing": (HistGradientBoostingRegressor(**FEW), HOLES, LEVELS),
    "penalised": (HistGradientBoostingRegressor(l2_regularization=5.0, **FEW), X, LEVELS),
    "fast": (HistGradientBoostingRegressor(learning_rate=0.8, **FEW), X, LEVELS),
    "coarse": (HistGradientBoostingRegressor(max_bins=8, max_features=0.5, **FEW), X, LEVELS),
    "alone": (HistGradientBoostingRegressor(interaction_cst="no_interactions", **FEW), X, LEVELS),
    "list": (HistGradientBoostingRegressor(**FEW), X.tolist(), LEVELS.tolist()),
    "kinds": (HistGradientBoostingRegressor(categorical_features=[4], **FEW), KINDS, LEVELS),
    "frame": (
        HistGradientBoostingRegressor(categorical_features="from_dtype", **FEW),
        FRAME,
        LEVELS,
    ),
    "poisson": (HistGradientBoostingRegressor(loss="poisson", **FEW), HOLES, COUNTS),
    "gamma": (HistGradientBoostingRegressor(loss="gamma", **FEW), X, POSITIVE),
    "stopped": (HistGradientBoostingRegressor(**STOPS), X, LEVELS),
    "stopped by training": (
        HistGradientBoostingRegressor(**{**STOPS, "validation_fraction": None}),
        X,
        LEVELS,
    ),
    "two": (HistGradientBoostingClassifier(**FEW), X, TWO),
    "two, balanced": (HistGradientBoostingClassifier(class_weight="balanced", **FEW), HOLES, TWO),
    "three": (HistGradientBoostingClassifier(**FEW), X, THREE),
    "three, frame": (
        HistGradientBoostingClassifier(
            categorical_features="from_dtype", class_weight={0: 1, 1: 3, 2: 2}, **FEW
        ),
        FRAME,
        THREE,
    ),
    "three, stopped": (HistGradientBoostingClassifier(**STOPS), X, THREE),
}


def test_rows(case):
    """Return rows like those of a case, some with missing values and kinds unknown."""
    rows = CASES[case][1]
    if rows is FRAME:
        return frame(TEST_HOLES)
    return np.column_stack([TEST[:, :4], np.arange(40) % 9]) if rows is KINDS else TEST_HOLES


test_rows.__test__ = False


@pytest.mark.parametrize("weights", [None, WEIGHTS, SOME])
@pytest.mark.parametrize("case", CASES)
def test_leaf_values_are_those_of_the_rows(case, weights):
    model, objective = fitted(*CASES[case], weights)
    assert np.nanmax(errors_of_leaves(objective)) < 1e-6
    K = objective.n_outputs
    np.testing.assert_allclose(objective.refitted()[:K], objective.initial, atol=1e-13)
    expected = raw_predictions(model, CASES[case][1])
    np.testing.assert_allclose(objective.raw_predictions(), expected, atol=1e-12)
    rows = test_rows(case)
    on_test = objective.on(rows).raw_predictions()
    np.testing.assert_allclose(on_test, raw_predictions(model, rows), atol=1e-12)


@pytest.mark.parametrize("case", ["missing", "frame", "poisson", "three, frame", "kinds"])
def test_rows_walk_on_from_any_node(case):
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


def test_trees_of_a_root_alone_stay_at_0():
    """scikit-learn gives them no value: no row moves it."""
    y = np.arange(N) % 3
    rows = np.column_stack([y, X[:, 0]])
    _, objective = fitted(HistGradientBoostingClassifier(learning_rate=0.5), rows, y)
    alone = np.isin(objective.splits.leaf_nodes, objective.splits.roots)
    assert alone.any()
    np.testing.assert_array_equal(objective.values[alone], 0.0)
    np.testing.assert_array_equal(objective.refitted()[3:][alone], 0.0)
    empty = HistGradientBoostingRegressor(max_iter=3).fit(np.zeros((N, 2)), LEVELS)
    assert adapt(empty, np.zeros((N, 2)), LEVELS, None).splits.n_leaves == 3


def test_rows_held_out_weigh_nothing():
    model, objective = fitted(*CASES["three, stopped"])
    assert (objective.sample_weight == 0).sum() == N // 10
    assert model.n_iter_ < 60


def test_other_rows_targets_weights_or_seeds_are_refused():
    model, _ = fitted(*CASES["stopped"], WEIGHTS)
    others_are_refused(model, *shuffled(X, LEVELS, WEIGHTS), (X, LEVELS, None))
    with pytest.raises(ValueError, match="drawn again from random_state=1, which has to be"):
        adapt(model.set_params(random_state=1), X, LEVELS, WEIGHTS)


def test_trees_of_an_earlier_fit():
    model = HistGradientBoostingRegressor(warm_start=True, random_state=0, **FEW).fit(X, LEVELS)
    model.set_params(max_iter=20).fit(X, LEVELS)
    assert np.nanmax(errors_of_leaves(adapt(model, X, LEVELS, None))) < 1e-6
    model.set_params(max_iter=25).fit(X[::-1], LEVELS)
    with pytest.raises(ValueError, match="warm_start=True it may have trees of an earlier fit"):
        adapt(model, X, LEVELS, None)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (HistGradientBoostingRegressor(loss="quantile", quantile=0.5), "medians or quantiles"),
        (HistGradientBoostingRegressor(loss="absolute_error"), "Use loss='squared_error'"),
        (HistGradientBoostingRegressor(monotonic_cst=[1, 0, 0]), "its leaf values are clipped"),
        (HistGradientBoostingRegressor(monotonic_cst={"a": -1}), "Use monotonic_cst=None"),
        (HistGradientBoostingRegressor(early_stopping=True), "holds some rows out of the fit"),
    ],
)
def test_refused_before_fitting(model, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_supported(model)


def test_early_stopping_that_is_on_by_itself():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((10_001, 2))
    y = rows[:, 0] + rng.standard_normal(10_001)
    check_supported(HistGradientBoostingRegressor())
    model = HistGradientBoostingRegressor(max_iter=3).fit(rows, y)
    with pytest.raises(ValueError, match="'auto' does so above 10,000 rows"):
        adapt(model, rows, y, None)
    objective = adapt(
        HistGradientBoostingRegressor(max_iter=3, random_state=0).fit(rows, y), rows, y, None
    )
    assert (objective.sample_weight == 0).sum() == 1001


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6])
@pytest.mark.parametrize(
    "case", ["levels", "missing", "kinds", "frame", "gamma", "two", "three, frame"]
)
def test_written_back(case, share):
    """Rows of leaves that are gone go on to the sibling, by loops over nodes."""
    model, objective = fitted(*CASES[case])
    theta = other_values(objective, share)
    copy = written(model, objective, theta, CASES[case][1])
    rows = test_rows(case)
    expected = walked(model, objective, rows, theta)
    np.testing.assert_allclose(raw_predictions(copy, rows), expected, atol=1e-12)


@pytest.mark.parametrize("case", ["levels", "frame", "stopped", "two, balanced", "three, stopped"])
def test_a_copy_without_rows_is_adapted_again(case):
    """Class weights and the rows held out come with it: nothing else knows them."""
    model, objective = fitted(*CASES[case], WEIGHTS)
    kept = np.setdiff1d(np.arange(N), [3, 5, 8, 77])
    part = objective.rows(kept)
    y = CASES[case][2][kept]
    copy = written(model, part, settled(model, part, HistSplits.of), part.X)
    again = adapt(copy, part.X, y, WEIGHTS[kept])
    np.testing.assert_array_equal(again.sample_weight, part.sample_weight)
    with pytest.raises(ValueError, match=r"computed again|weights or labels"):
        adapt(copy, part.X, np.roll(y, 1), WEIGHTS[kept])
    refitted = copy.fit(CASES[case][1], CASES[case][2])
    objective = adapt(refitted, CASES[case][1], CASES[case][2], None)
    assert np.nanmax(errors_of_leaves(objective)) < 1e-6
