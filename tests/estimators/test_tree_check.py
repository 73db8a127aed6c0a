"""The check of trees: the same splits, leaves computed again, held against plain loops."""

import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.plain_trees import encoded, refit
from tests.test_plain_trees import (
    CASES,
    HOLES,
    LEVELS,
    THREE,
    X,
    missing_values_are_misplaced,
)

ROWS = np.array([3, 40, 72, 120, 117, 8, 9])  # some are test rows
PLACES = np.arange(0, 160, 9)


def wrapped(name):
    """Return the fitted wrapper of a case, and its test rows and targets."""
    estimator, features, y, w = CASES[name]
    wrapper = InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor
    model = wrapper(clone(estimator)).fit(features, y, sample_weight=w)
    rows = features.iloc[PLACES] if hasattr(features, "iloc") else features[PLACES]
    return model, rows, y[PLACES]


def losses(estimator, raw, y):
    """Return the loss of every row, written again."""
    t = encoded(estimator, y)
    name = getattr(estimator, "loss", "squared_error")
    if name == "exponential":
        return np.exp((1 - 2 * t[:, 1:]) * raw)[:, 0]
    if name == "log_loss":
        raw = np.column_stack([np.zeros(len(raw)), raw]) if raw.shape[1] == 1 else raw
        return np.log(np.exp(raw).sum(axis=1)) - (t * raw).sum(axis=1)
    if name == "poisson":
        return (np.exp(raw) - t * raw + np.where(t > 0, t * np.log(np.maximum(t, 1)) - t, 0))[:, 0]
    if name == "gamma":
        return (raw - np.log(t) + t * np.exp(-raw) - 1)[:, 0]
    return 0.5 * ((raw - t) ** 2).sum(axis=1)


@pytest.mark.parametrize("name", CASES)
def test_the_judge_is_the_oracle_and_the_scores_are_its_changes(name):
    estimator, features, y, w = CASES[name]
    if features is HOLES and missing_values_are_misplaced():
        pytest.skip("this scikit-learn loses rows with missing values")
    model, rows, labels = wrapped(name)
    found = model.leave_one_out_check(rows, labels, rows=ROWS, method="exact")
    assert found.refit == "structure" and found.actual.shape == (len(PLACES), len(ROWS))
    fitted = model.estimator_
    every = [refit(fitted, features, y, w, removed=gone)(rows) for gone in ([], *ROWS[:, None])]
    before, *after = (losses(fitted, raw, labels) for raw in every)
    expected = np.array(after).T - before[:, None]
    rounding = 1e-13 * np.abs(before).max()
    np.testing.assert_allclose(found.actual, expected, rtol=1e-9, atol=rounding)
    single = type(estimator).__name__.startswith("Hist")  # gradients in single precision
    size = max(np.abs(before).max(), np.abs(expected).max())
    assert found.noise_floor <= (1e-6 if single else 1e-12) * size
    if np.any(expected):
        assert found.relative_error <= (1e-6 if single else 1e-9)
        assert found.slope == pytest.approx(1.0, abs=1e-6 if single else 1e-9)
        assert found.fit_for == "values"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("boosting of labels", "predict_proba"),
        ("boosting of labels", "decision_function"),
        ("boosting of classes", "decision_function"),
        ("forest of classes", "predict_proba"),
        ("poisson", "predict"),
        ("poisson", "linear_predictor"),
    ],
)
def test_other_targets(name, target):
    """Of the class that the fit on all rows predicts."""
    model, rows, _ = wrapped(name)
    found = model.leave_one_out_check(rows, rows=ROWS, target=target, method="exact")
    _, features, y, w = CASES[name]
    fitted = model.estimator_
    every = [refit(fitted, features, y, w, removed=gone)(rows) for gone in ([], *ROWS[:, None])]
    full = every[0]
    one = full.shape[1] == 1
    best = (full[:, 0] > 0).astype(int) if one else full.argmax(axis=1)

    def reading(raw):
        if target == "predict":
            return np.exp(raw[:, 0])
        if one and target == "predict_proba":
            return 1 / (1 + np.exp(np.where(best == 1, -1, 1) * raw[:, 0]))
        return raw[:, 0] if one else raw[np.arange(len(raw)), best]

    expected = np.array([reading(raw) - reading(full) for raw in every[1:]]).T
    np.testing.assert_allclose(found.actual, expected, rtol=1e-9, atol=1e-14)
    assert found.slope == pytest.approx(1.0, abs=1e-6)


def test_it_says_what_was_done():
    model, rows, labels = wrapped("boosting that stops")
    found = model.leave_one_out_check(rows, labels, rows=ROWS)
    said = found.summary()
    assert (
        "7 training rows removed and all leaves computed again over the same splits, 18 test rows "
        "(target=loss, method=exact, refit=structure)" in said
    )
    assert "yardstick: the same splits; without the row all leaves are computed again" in said
    assert "A fit without the row may choose other splits, and moves more" in said
    assert "early stopping: the 16 rows that it held out are in no leaf; their scores are 0" in said
    assert "noise floor" in said and "judge:" not in said and "refitted" not in said
    assert "held against the same splits with all leaves computed again." in repr(found)
    axes = found.plot().ax_
    assert axes.get_ylabel() == "actual change of loss (over the same splits)"
    model, rows, labels = wrapped("histograms of labels")
    said = model.leave_one_out_check(rows, labels, rows=ROWS).summary()
    assert "class weights: they stay what they were with all rows, in scores and in refits" in said
    assert "early stopping" not in said


def test_what_is_better_than_first_order():
    model, rows, labels = wrapped("boosting of labels")
    found = model.leave_one_out_check(rows, labels, rows=12, method="first_order")
    assert found.slope > 1.05 and found.fit_for != "values"
    said = found.summary()
    assert "leverage: first order ignores that a row's own weight leaves with it" in said
    assert "method='exact' computes all leaves again without each row" in said
    exact = model.leave_one_out_check(rows, labels, rows=12, method="exact")
    assert "next:" not in exact.summary()


@pytest.mark.parametrize("asked", ["final", "pipeline"])
def test_fits_that_choose_splits_anew_are_refused(asked):
    estimator = make_pipeline(StandardScaler(), clone(CASES["boosting of classes"][0]))
    model = InfluenceClassifier(estimator).fit(X, THREE)
    with pytest.raises(ValueError) as error:
        model.leave_one_out_check(X[:5], THREE[:5], refit=asked)
    assert str(error.value) == (
        f"refit={asked!r} was asked for, but a fit of GradientBoostingClassifier without a row "
        "would choose its splits anew. Which ones is mostly chance, so that one refit says little "
        "about one row. Use refit='structure', which keeps them, as scores do."
    )
    found = model.leave_one_out_check(X[:5], THREE[:5], rows=ROWS)
    assert found.refit == "structure" and found.relative_error < 1e-9


def test_the_same_splits_are_of_trees_alone():
    model = InfluenceRegressor(Ridge()).fit(X, LEVELS)
    assert model.leave_one_out_check(X[:5], LEVELS[:5], rows=3).refit == "final"
    message = (
        r"refit='structure' was asked for, the same splits with other leaves, and Ridge has no "
        r"splits\. Use refit='final'\."
    )
    with pytest.raises(ValueError, match=message):
        model.leave_one_out_check(X[:5], LEVELS[:5], refit="structure")
    model, rows, labels = wrapped("tree")
    with pytest.raises(ValueError, match=r"the yardstick of networks .* Use refit='structure'"):
        model.leave_one_out_check(rows, labels, refit="proximal")
