"""Edges of the other convex models, each against honest refits or a twin written another way."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge, TweedieRegressor
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import PowerTransformer, QuantileTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.cases import classification
from tests.models import AMOUNTS, POSITIVE, SMALL, THREE, _mixed
from tests.oracles import slope_and_error
from tests.twins import minimiser, twin_of

ROWS = [0, 5, 9, 14]
FOUR = classification(n=90, n_classes=4, labels=list("abcd"), p=3)
L1_SVC = LinearSVC(C=0.3, penalty="l1", dual=False, tol=1e-12, max_iter=10000, random_state=0)


def check(predicted, actual, error):
    slope, found = slope_and_error(predicted, actual)
    assert found <= error, f"relative error {found:.3g}, slope {slope:.6g}"


def without(values, i):
    return np.delete(values, i, axis=0)


@pytest.mark.parametrize(
    ("estimator", "data"),
    [(L1_SVC, THREE), (_mixed(1), FOUR), (_mixed(0.5), FOUR)],
    ids=["LinearSVC-l1-3", "multinomial-l1-4", "multinomial-elastic-net-4"],
)
def test_several_classes_under_an_l1_penalty(estimator, data):
    """Of an even number of classes, l1 alone leaves a common shift of a feature free."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain = clone(estimator).fit(data.X, data.y)
        model = InfluenceClassifier(clone(estimator)).fit(data.X, data.y)

    def losses(ratio, theta=None):
        twin, theta = minimiser(lambda t: twin_of(plain, data.X, data.y, ratio=ratio, t=t), theta)
        return twin.loss_of(theta, data.X_test, data.y_test), theta

    base, theta = losses(None)
    changes = []
    for i in ROWS:
        ratio = np.ones(len(data.X))
        ratio[i] = 0.0
        changes.append(losses(ratio, theta)[0] - base)
    found = model.influence_scores(data.X_test, data.y_test, method="exact")[:, ROWS]
    check(found, np.array(changes).T, 1e-7)


@pytest.mark.parametrize(
    "transformer",
    [
        StandardScaler(),
        PowerTransformer(),
        QuantileTransformer(n_quantiles=20, output_distribution="normal"),
    ],
    ids=["standard", "power", "quantile"],
)
def test_a_transformed_target_in_its_own_units(transformer):
    X, y, X_test = AMOUNTS.X, AMOUNTS.y, AMOUNTS.X_test
    ridge = Ridge(2.0, solver="svd")
    model = InfluenceRegressor(TransformedTargetRegressor(ridge, transformer=transformer))
    model.fit(X, y)
    frozen = model.estimator_.transformer_
    z = frozen.transform(y[:, None])[:, 0]

    def predict(X, z):
        inner = clone(ridge).fit(X, z).predict(X_test)
        return frozen.inverse_transform(inner[:, None])[:, 0]

    actual = [predict(without(X, i), without(z, i)) - predict(X, z) for i in ROWS]
    found = model.influence_scores(X_test, target="predict", method="exact")[:, ROWS]
    check(found, np.array(actual).T, 1e-9)
    left = model.without([0, 5]).predict(X_test)
    np.testing.assert_allclose(left, predict(without(X, [0, 5]), without(z, [0, 5])), rtol=1e-9)


def test_an_identity_link_against_refits():
    """Raw predictions that the identity link keeps positive."""
    X, X_test = np.abs(POSITIVE.X), np.abs(POSITIVE.X_test) + 0.1
    slope = np.array([1.0, 0.5, 0.2, 0.8])
    y = 1.0 + X @ slope + 0.2 * np.random.default_rng(0).random(len(X))
    plain = TweedieRegressor(
        power=1.5, link="identity", alpha=0.01, solver="newton-cholesky", tol=1e-12, max_iter=1000
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # rounding is met before the tolerance
        model = InfluenceRegressor(clone(plain)).fit(X, y)
        base = clone(plain).fit(X, y).predict(X_test)
        refits = [clone(plain).fit(without(X, i), without(y, i)).predict(X_test) for i in ROWS]
    found = model.influence_scores(X_test, target="predict", method="exact")[:, ROWS]
    check(found, (np.array(refits) - base).T, 1e-6)


def test_a_precomputed_kernel_is_the_kernel():
    X, y, X_test, y_test = SMALL.X, SMALL.y, SMALL.X_test, SMALL.y_test
    K, K_test = rbf_kernel(X, gamma=0.3), rbf_kernel(X_test, X, gamma=0.3)
    given = InfluenceClassifier(SVC(kernel="precomputed", tol=1e-9), temperature=0.1).fit(K, y)
    named = InfluenceClassifier(SVC(gamma=0.3, tol=1e-9), temperature=0.1).fit(X, y)
    groups = np.arange(len(y)) % 5
    check(
        given.group_influence(groups, K_test, y_test, method="exact"),
        named.group_influence(groups, X_test, y_test, method="exact"),
        1e-8,
    )
    relabelled = np.where(y == "no", "yes", "no")
    check(
        given.relabel_influence(relabelled, K_test, y_test),
        named.relabel_influence(relabelled, X_test, y_test),
        1e-8,
    )
    np.testing.assert_allclose(
        given.leave_one_out().losses, named.leave_one_out().losses, rtol=1e-7, atol=1e-9
    )


@pytest.mark.parametrize("refine", ["auto", False])
def test_rows_of_weight_zero_are_absent_from_a_machine(refine):
    """libsvm drops them before it numbers its support vectors."""
    s = np.where(np.arange(len(SMALL.y)) % 3 == 0, 0.0, SMALL.s)
    kept = s > 0

    def scores(X, y, s):
        machine = SVC(gamma=0.3, tol=1e-9)
        model = InfluenceClassifier(machine, temperature=0.1, refine=refine).fit(X, y, s)
        return model.influence_scores(SMALL.X_test, SMALL.y_test, method="first_order")

    whole = scores(SMALL.X, SMALL.y, s)
    check(whole[:, kept], scores(SMALL.X[kept], SMALL.y[kept], s[kept]), 1e-6)
    np.testing.assert_array_equal(whole[:, ~kept], 0.0)
