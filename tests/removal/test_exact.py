"""The minimum without a row against refits, to the gradient it promises."""

import sys

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.refinement import measure, refine
from skinfluence.removal import Edits, minimise_after, newton, one_step
from skinfluence.solvers import Cholesky
from tests import oracles
from tests.cases import CASES, wide_logistic


def factorize(objective):
    return Cholesky().factorize(Curvature(objective))


def removal_of(estimator, data, s=None, counts=None):
    fitted = oracles.at_optimum(estimator, data.X, data.y, s, counts)
    found = refine(measure(adapt(fitted, data.X, data.y, s), factorize), factorize)
    return newton(Edits(found.objective), found.factor, factorize)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_minima_equal_refits(case):
    data = case.data
    rows = np.array([1, 22, 47])
    removal = removal_of(case.estimator, data, case.s, case.counts)
    changes = minimise_after(removal, rows, rtol=1e-10)
    actual, _ = oracles.leave_one_out(case.estimator, data, case.s, case.counts, rows)
    assert np.linalg.norm(changes.T - actual) < 1e-6 * np.linalg.norm(actual)


@pytest.mark.parametrize("seed", range(3))
def test_near_separable_minima_equal_refits(seed, monkeypatch):
    data, estimator = wide_logistic(seed, C=100.0)
    rows = np.arange(0, 150, 10)
    monkeypatch.setattr(one_step, "TRUSTED_SHIFT", np.inf)
    removal = removal_of(estimator.set_params(tol=1e-10, max_iter=5000), data)
    changes = minimise_after(removal, rows, rtol=1e-10)
    actual, _ = oracles.leave_one_out(estimator, data, rows=rows)
    assert np.linalg.norm(changes.T - actual) < 1e-6 * np.linalg.norm(actual)
    monkeypatch.setattr(
        sys.modules["skinfluence.removal.exact"], "block_elements", lambda: 400
    )  # a few columns at a time
    again = minimise_after(removal, rows, rtol=1e-10)
    assert np.linalg.norm(again - changes) < 1e-7 * np.linalg.norm(changes)


def test_rows_that_do_not_converge_are_named():
    data, estimator = wide_logistic(0, C=100.0)
    removal = removal_of(estimator.set_params(tol=1e-10, max_iter=5000), data)
    rows = removal.guarded[:2][::-1]
    named = rf"Without each of the rows \[{rows[1]}, {rows[0]}\] \(2 in all\)"
    with pytest.warns(ConvergenceWarning, match=named):
        minimise_after(removal, rows, rtol=1e-12, max_iter=0)
