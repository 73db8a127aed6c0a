"""Trees, forests and boosting: groups, rows that come, other targets, deletions; own rows."""

import pickle

import numpy as np
import pytest

from tests.estimators.test_trees import assert_close
from tests.plain_trees import prepared, trees_of
from tests.trees_table import EVERY, N, asked_of, fitted, repeats, response_of, rows_of, value_of


def change(fit, **edit):
    """Return the change of the loss of the test rows by an edit, by the oracle."""
    before, after = fit.refit()(fit.X_test), fit.refit(**edit)(fit.X_test)
    return fit.loss(after, fit.y_test) - fit.loss(before, fit.y_test)


def rows_below(fit, tree=0):
    """Return the rows in each of two subtrees of a tree, of which one leaves it altogether."""
    one = trees_of(fit.estimator)[tree]
    leaves, features = one.leaves(prepared(fit.estimator, fit.X)), prepared(fit.estimator, fit.X)
    return [np.flatnonzero(one.goes_left(features, 0) == side) for side in (True, False)], leaves


def groups_of(fit):
    """Return groups: a few rows, all of a leaf, all of a subtree, one row; that keep classes."""
    sides, leaves = rows_below(fit)
    rng = np.random.default_rng(3)
    groups = [rng.permutation(N)[:6], np.flatnonzero(leaves == leaves[0])]
    groups += [np.union1d(min(sides, key=len), rng.permutation(N)[:3]), np.array([7])]
    return [rows for rows in groups if keeps(fit, rows)]


def keeps(fit, rows):
    """Return whether every tree keeps a row, and a classifier its classes."""
    w, draws = fit.weights
    kept = np.setdiff1d(np.arange(N), rows)
    trees = np.all((w[kept, None] * draws[kept]).sum(axis=0) > 0)
    if fit.classifier and np.ndim(fit.y) == 1:
        return trees and len(np.unique(fit.y[kept][w[kept] > 0])) == len(np.unique(fit.y))
    return trees


@pytest.mark.slow_rows(where=repeats)
@pytest.mark.parametrize("name", EVERY)
def test_groups_are_refits_without_them(name):
    fit = fitted(name)
    groups = groups_of(fit)
    assert len(groups) > 2
    masks = np.array([np.isin(np.arange(N), rows) for rows in groups])
    result = fit.model.group_influence(masks, fit.X_test, fit.y_test)
    assert result.method == "exact"
    expected = np.stack([change(fit, removed=rows) for rows in groups], axis=1)
    assert_close(result.scores, expected, fit.rounding)
    first = fit.model.group_influence(masks, fit.X_test, fit.y_test, method="first_order")
    each = fit.model.influence_scores(fit.X_test, fit.y_test, method="first_order")
    np.testing.assert_allclose(
        first.scores, each @ masks.T, atol=max(fit.rounding, 1e-10) * (np.abs(each).max() + 1e-6)
    )


@pytest.mark.slow_rows(where=repeats)
@pytest.mark.parametrize("name", EVERY)
def test_rows_that_come_count_once_everywhere(name):
    fit = fitted(name)
    new = np.arange(4)
    X_new, y_new = rows_of(fit.X_test, new), fit.y_test[new]
    if getattr(fit.estimator, "class_weight", None) is not None:
        pytest.skip("a new row has the weight of its class")
    found = fit.model.addition_influence(X_new, y_new, fit.X_test, fit.y_test).scores
    moved = [change(fit, added=(rows_of(X_new, [i]), y_new[[i]])) for i in new]
    assert_close(found, np.stack(moved, axis=1), fit.rounding)


@pytest.mark.slow_rows(where=repeats)
@pytest.mark.parametrize("name", EVERY)
def test_other_targets_are_refits_to_them(name):
    fit = fitted(name)
    if fit.classifier and getattr(fit.estimator, "class_weight", None) is not None:
        pytest.skip("a row takes the weight of its new class")
    rows, y_new = fit.interesting_rows(3), np.roll(fit.y, 7, axis=0)
    found = fit.model.relabel_influence(y_new, fit.X_test, fit.y_test).scores
    moved = [change(fit, relabelled=([i], y_new[[i]])) for i in rows]
    assert_close(found[:, rows], np.stack(moved, axis=1), fit.rounding)


@pytest.mark.slow_rows(where=repeats)
@pytest.mark.parametrize("name", EVERY)
def test_rows_without_themselves(name):
    fit = fitted(name)
    rows = fit.interesting_rows(3)
    before = fit.refit()(fit.X)
    after = np.array([fit.refit(removed=[i])(rows_of(fit.X, [i]))[0] for i in rows])
    y = fit.y[rows]
    own = fit.model.self_influence(method="exact").scores[rows]
    assert_close(own, fit.loss(after, y) - fit.loss(before[rows], y), fit.rounding)
    result = fit.model.leave_one_out(method="exact")
    assert_close(result.losses[rows], fit.loss(after, y), fit.rounding)
    found = result.probabilities if fit.classifier else result.predictions.reshape(N, -1)
    assert_close(found[rows], response_of(fit.estimator, after), fit.rounding)


@pytest.mark.filterwarnings("ignore:The training rows .* are the only ones of their class")
@pytest.mark.slow_rows(where=repeats)
@pytest.mark.parametrize("name", EVERY)
def test_without_is_a_refit_and_goes_on(name):
    """Twice in a row, the second time from a copy in which leaves are gone already."""
    fit = fitted(name)
    groups, rows = groups_of(fit), fit.interesting_rows(3)
    first = np.union1d(groups[1], rows[:3])
    then = np.setdiff1d(groups[2], first)
    if not keeps(fit, np.union1d(first, then)):
        then = np.setdiff1d(np.arange(6), first)
    assert keeps(fit, np.union1d(first, then)) and len(then)
    once = fit.model.without(first)
    twice = once.without(positions=np.searchsorted(np.setdiff1d(np.arange(N), first), then))
    for model, gone in ((once, first), (twice, np.union1d(first, then))):
        model = pickle.loads(pickle.dumps(model))
        expected = response_of(fit.estimator, fit.refit(removed=gone)(fit.X_test))
        if fit.classifier:
            found = model.estimator_.predict_proba(fit.X_test)
            found = np.hstack(found) if isinstance(found, list) else found
        else:
            found = model.estimator_.predict(fit.X_test).reshape(expected.shape)
        assert_close(found, expected, fit.rounding)
        kept = np.setdiff1d(np.arange(N), gone)
        places = np.unique(np.append(np.flatnonzero(np.isin(kept, rows)), [0, 1]))[:5]
        places = [i for i in places if keeps(fit, [*gone, kept[i]])]
        before = fit.refit(removed=gone)(fit.X_test)
        for target in ("loss",):
            moved = [fit.refit(removed=[*gone, kept[i]])(fit.X_test) for i in places]
            start = value_of(fit, target, before, before)
            expected = np.stack([value_of(fit, target, m, before) - start for m in moved], axis=1)
            found = model.influence_scores(fit.X_test, method="exact", **asked_of(fit, target))
            assert np.abs(found[:, places] - expected).max() <= 10 * fit.rounding * max(
                np.abs(expected).max(), 1e-3
            )
        assert model.certificate_.gradient_norm < 1e-5 * (
            1 + model.certificate_.gradient_norm_before
        )
        assert str(len(gone)) in model.certificate_.summary()
