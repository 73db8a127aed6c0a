"""Trees of transformed targets: leaves in the new units, predictions in the old, by plain loops."""

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)

from skinfluence import InfluenceRegressor
from tests.plain_trees import refit
from tests.test_plain_trees import GRADIENT, HISTOGRAMS, LEVELS, X

Y = np.abs(LEVELS) + 1.0
AT = np.arange(0, 160, 20)
ROWS = np.array([3, 20, 60, 77])
ESTIMATORS = {
    "forest": RandomForestRegressor(10, random_state=0),
    "boosting": GradientBoostingRegressor(**GRADIENT),
    "gamma": HistGradientBoostingRegressor(loss="gamma", **HISTOGRAMS),
}


def wrapped(name):
    inner = TransformedTargetRegressor(ESTIMATORS[name], func=np.sqrt, inverse_func=np.square)
    return InfluenceRegressor(inner).fit(X, Y)


def predictions(model, **changed):
    """Return what the model predicts once its leaves were computed again."""
    fitted = model.estimator_.regressor_
    raw = refit(fitted, X, np.sqrt(Y), **changed)(X[AT])[:, 0]
    return np.exp(raw) ** 2 if getattr(fitted, "loss", None) == "gamma" else raw**2


@pytest.mark.parametrize("name", ["forest", "boosting", "gamma"])
def test_every_edit_is_told_in_the_units_of_the_predictions(name):
    model = wrapped(name)
    before = predictions(model)
    others, groups = Y[::-1].copy(), np.arange(160) % 4
    removed = model.influence_scores(X[AT], target="predict", method="exact")[:, ROWS]
    moved = model.relabel_influence(others, X[AT], target="predict", method="exact")
    added = model.addition_influence(X[ROWS] + 0.1, others[ROWS], X[AT], target="predict")
    left = model.group_influence(groups, X[AT], target="predict")
    single = name == "gamma"  # gradients in single precision
    tolerance = {"rtol": 1e-6 if single else 1e-9, "atol": 2e-8 if single else 1e-12}
    for j, i in enumerate(ROWS):
        new = ([i], np.sqrt(others[[i]]))
        expected = {
            "removed": predictions(model, removed=[i]),
            "relabelled": predictions(model, relabelled=new),
            "added": predictions(model, added=(X[[i]] + 0.1, new[1])),
            "group": predictions(model, removed=np.flatnonzero(groups == j)),
        }
        found = (removed[:, j], moved.scores[:, i], added.scores[:, j], left.scores[:, j])
        for mine, (what, after) in zip(found, expected.items(), strict=True):
            np.testing.assert_allclose(mine, after - before, err_msg=what, **tolerance)
        assert np.abs(expected["group"] - before).max() > 0.01
    without = model.without(ROWS).predict(X[AT])
    np.testing.assert_allclose(without, predictions(model, removed=ROWS), rtol=1e-7)


@pytest.mark.parametrize("name", ["forest", "boosting"])
def test_the_check_and_the_loss_are_in_the_new_units(name):
    model = wrapped(name)
    found = model.leave_one_out_check(X[AT], Y[AT], rows=ROWS, method="exact")
    assert found.slope == pytest.approx(1.0, abs=1e-9) and found.relative_error < 1e-9
    raw = refit(model.estimator_.regressor_, X, np.sqrt(Y), removed=ROWS[:1])(X[AT])[:, 0]
    all_rows = refit(model.estimator_.regressor_, X, np.sqrt(Y))(X[AT])[:, 0]
    t = np.sqrt(Y[AT])
    expected = 0.5 * ((raw - t) ** 2 - (all_rows - t) ** 2)
    np.testing.assert_allclose(found.actual[:, 0], expected, rtol=1e-9, atol=1e-14)


def test_predictions_are_not_linear_in_targets_that_are_transformed():
    with pytest.raises(ValueError, match=r"TransformedTargetRegressor, .* not linear in the"):
        wrapped("forest").prediction_weights(X[AT])
