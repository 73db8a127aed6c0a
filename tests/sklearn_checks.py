"""scikit-learn's checks of its protocol, as a table of estimators by checks."""

import re

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

MATTER = re.compile("weight|train|fit2d|label|classes|idempotent|invariance|sparse_array")
"""Checks whose outcome may depend on the solver, or on the parameters, of one estimator."""


def with_checks(estimators, *, variants=(), expected_failed_checks=None):
    """Parametrise a test over the checks of named estimators.

    Names are the ids: printing an estimator for each of its checks takes longer than most checks.
    Rows that repeat a kind are slow: of `variants` of an estimator that has all checks, those that
    do not `MATTER`; and checks of sparse matrices, of which sparse arrays have a twin, but for the
    first estimator.
    """
    names = {id(one): name for name, one in estimators.items()}
    given = parametrize_with_checks(
        list(estimators.values()), expected_failed_checks=expected_failed_checks
    )

    def name_of(one):
        return names.get(id(one)) or given.kwargs["ids"](one)

    def repeats_a_kind(estimator, check):
        name, check = names[id(estimator)], check.func.__name__
        if check == "check_estimator_sparse_matrix":
            return name != next(iter(estimators))
        return name in variants and not MATTER.search(check)

    def parametrise(test):
        test = pytest.mark.slow_rows(where=repeats_a_kind)(test)
        arguments, rows = given.args
        return pytest.mark.parametrize(arguments, list(rows), ids=name_of)(test)

    return parametrise
