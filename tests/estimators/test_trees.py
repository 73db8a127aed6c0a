"""Trees, forests and boosting: scores against refits over the same splits in plain loops."""

import numpy as np
import pytest

from tests.trees_table import (
    BOOSTED,
    CLASSES,
    EVERY,
    FORESTS,
    ONE_OUTPUT,
    SQUARED,
    asked_of,
    fitted,
    repeats,
    targets_of,
    value_of,
)

STEP = 1e-4
"""Of finite differences in the weight of a row, in units of the weight."""


def oracle(fit, rows, edit):
    """Return the changes of all targets by some edits, by name, (n_test, n_rows) each."""
    before = fit.refit()(fit.X_test)
    moved = [fit.refit(**edit(i))(fit.X_test) for i in rows]
    out = {}
    for target in targets_of(fit):
        start = value_of(fit, target, before, before)
        out[target] = np.stack([value_of(fit, target, m, before) - start for m in moved], axis=1)
    return out


def assert_close(found, expected, rounding):
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 1e-4
    assert np.abs(found - expected).max() <= rounding * np.abs(expected).max()


@pytest.mark.parametrize("name", EVERY)
def test_exact_scores_are_refits(name):
    """Among the rows are those alone in a leaf, of weight 0, held out, and never drawn."""
    fit = fitted(name)
    rows = fit.interesting_rows()
    for target, expected in oracle(fit, rows, lambda i: {"removed": [i]}).items():
        found = fit.model.influence_scores(fit.X_test, method="exact", **asked_of(fit, target))
        assert_close(found[:, rows], expected, fit.rounding)


@pytest.mark.slow_rows(where=repeats)
@pytest.mark.parametrize("name", EVERY)
def test_first_order_is_the_derivative_in_the_weight(name):
    fit = fitted(name)
    rows = fit.interesting_rows(4)
    weight = np.eye(len(fit.y))[rows] * STEP
    up = oracle(fit, range(len(rows)), lambda j: {"reweighted": 1.0 + weight[j]})
    down = oracle(fit, range(len(rows)), lambda j: {"reweighted": 1.0 - weight[j]})
    for target in targets_of(fit):
        expected = (down[target] - up[target]) / (2 * STEP)
        asked = asked_of(fit, target)
        found = fit.model.influence_scores(fit.X_test, method="first_order", **asked)
        if fit.grown:
            assert np.abs(found).max() < 1e-12 and np.abs(expected).max() < 1e-10
        else:
            assert_close(found[:, rows], expected, max(fit.rounding, 1e-6))


@pytest.mark.parametrize("name", [*FORESTS, *SQUARED])
def test_newton_is_exact_under_squared_error(name):
    fit = fitted(name)
    newton, exact = (
        fit.model.influence_scores(fit.X_test, fit.y_test, method=method)
        for method in ("newton", "exact")
    )
    assert_close(newton, exact, 1e-10)


@pytest.mark.parametrize("name", ONE_OUTPUT)
def test_newton_is_close_under_other_losses(name):
    """Where first order is up to 80 % off, for rows that are alone in a leaf."""
    fit = fitted(name)
    newton, exact = (
        fit.model.influence_scores(fit.X_test, fit.y_test, method=method)
        for method in ("newton", "exact")
    )
    assert np.linalg.norm(newton - exact) < 0.015 * np.linalg.norm(exact)
    assert abs(np.vdot(newton, exact) / np.vdot(newton, newton) - 1) < 0.003


DEFAULTS = dict.fromkeys(FORESTS, "exact") | dict.fromkeys(BOOSTED, "newton")
DEFAULTS |= dict.fromkeys(CLASSES, "exact")


@pytest.mark.parametrize("name", ["forest of two classes", "boosting", "exponential", *CLASSES])
def test_top_and_aggregates_agree_with_the_matrix(name):
    fit = fitted(name)
    scores = fit.model.influence_scores(fit.X_test, fit.y_test)
    assert_close(
        scores, fit.model.influence_scores(fit.X_test, fit.y_test, method=DEFAULTS[name]), 0
    )
    result = fit.model.influence(fit.X_test, fit.y_test, top=4)
    assert result.method == DEFAULTS[name]
    for line, rows, values in zip(scores, result.rows, result.scores, strict=True):
        np.testing.assert_allclose(values, line[rows], atol=1e-12)
        np.testing.assert_allclose(np.sort(values)[-4:], np.sort(line)[-4:], atol=1e-12)
        np.testing.assert_allclose(np.sort(values)[:4], np.sort(line)[:4], atol=1e-12)
    for method in (DEFAULTS[name], "first_order"):
        each = fit.model.influence_scores(fit.X_test, fit.y_test, method=method)
        mean = fit.model.influence_scores(fit.X_test, fit.y_test, method=method, aggregate="mean")
        assert_close(mean, each.mean(axis=0), 1e-10)


@pytest.mark.parametrize(
    "name", ["forest", "boosting with masks", "poisson", "boosting of classes"]
)
def test_results_do_not_depend_on_threads(name, tune):
    fit = fitted(name)
    two = fitted(name, n_jobs=2)
    tune(block_elements=6000)
    for method in ("first_order", DEFAULTS[name], "exact"):
        one = fit.model.influence_scores(fit.X_test, fit.y_test, method=method)
        np.testing.assert_array_equal(
            one, two.model.influence_scores(fit.X_test, fit.y_test, method=method)
        )
