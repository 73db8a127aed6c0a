"""Edges of the other convex models, each against honest refits or a twin written another way."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import ElasticNet, PoissonRegressor, Ridge, TweedieRegressor
from sklearn.metrics.pairwise import rbf_kernel, sigmoid_kernel
from sklearn.preprocessing import PowerTransformer, QuantileTransformer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.cases import classification
from tests.model_table import AMOUNTS, COUNTED, POSITIVE, REAL, SMALL, SMALL_REAL, THREE, _mixed
from tests.oracles import slope_and_error
from tests.twins import minimiser, raw_of, twin_of

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
        given.group_influence(groups, K_test, y_test, method="exact").scores,
        named.group_influence(groups, X_test, y_test, method="exact").scores,
        1e-8,
    )
    relabelled = np.where(y == "no", "yes", "no")
    check(
        given.relabel_influence(relabelled, K_test, y_test).scores,
        named.relabel_influence(relabelled, X_test, y_test).scores,
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


# ------------------------------------------------------------------- kernels and what is of no use


def test_a_sigmoid_that_is_no_kernel_is_refused():
    machine = SVC(kernel="sigmoid", gamma=0.5, coef0=-1.0).fit(SMALL.X, SMALL.y)
    assert np.linalg.eigvalsh(sigmoid_kernel(SMALL.X, gamma=0.5, coef0=-1.0))[0] < -1e-3
    model = InfluenceClassifier(clone(machine)).fit(SMALL.X, SMALL.y)
    message = r"not positive semidefinite \(sigmoid kernels often are not\).* Use a kernel such as"
    with pytest.raises(ValueError, match=message):
        model.influence_scores(SMALL.X_test, SMALL.y_test)


def test_a_kernel_without_a_penalty_has_no_coefficients_to_write():
    """The minimum is any f through the targets, and alpha f = -dl/deta is 0 = 0."""
    X, y = SMALL_REAL.X[:20], SMALL_REAL.y[:20]
    model = InfluenceRegressor(KernelRidge(alpha=0.0, kernel="rbf", gamma=0.3)).fit(X, y)
    with pytest.raises(ValueError, match=r"alpha=0 was given.*positive penalty.*small alpha"):
        model.without([0])


def test_a_process_takes_no_weights_frozen_or_not():
    kernel = 2.0 * RBF(1.5) + WhiteKernel(0.3)
    process = GaussianProcessRegressor(kernel, optimizer=None)
    X, y, s = SMALL_REAL.X, SMALL_REAL.y, SMALL_REAL.s
    for one in (process, FrozenEstimator(clone(process).fit(X, y))):
        with pytest.raises(TypeError, match=r"GaussianProcessRegressor\.fit takes none"):
            InfluenceRegressor(one).fit(X, y, sample_weight=s).influence_scores(X, y)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_what_is_left_of_a_machine_has_probabilities_of_the_rows_that_stay():
    machine = SVC(gamma=0.3, probability=True, random_state=0)
    model = InfluenceClassifier(machine, temperature=0.1).fit(SMALL.X, SMALL.y)
    left = model.without([1, 5])
    expected = clone(machine).fit(without(SMALL.X, [1, 5]), without(SMALL.y, [1, 5]))
    np.testing.assert_allclose(
        left.predict_proba(SMALL.X_test), expected.predict_proba(SMALL.X_test), rtol=1e-9
    )


@pytest.mark.parametrize("machine", [SVC(tol=1e-8), SVR(tol=1e-8), SVC(gamma="auto")], ids=str)
def test_what_is_left_of_a_machine_keeps_the_kernel_of_all_rows(machine):
    """As the scores do: gamma="scale" is a number read off the features, like a scaler's."""
    data = SMALL if is_classifier(machine) else SMALL_REAL
    kind = InfluenceClassifier if is_classifier(machine) else InfluenceRegressor
    frame, rows = pd.DataFrame(3.0 * data.X).add_prefix("x"), [1, 5, 9]
    left = kind(clone(machine)).fit(frame, data.y).without(rows).estimator_
    gamma = 1.0 / (frame.shape[1] * np.var(frame.to_numpy()))
    if machine.gamma == "scale":
        assert left.gamma == pytest.approx(gamma, rel=1e-12)
        machine = clone(machine).set_params(gamma=gamma)
    expected = clone(machine).fit(frame.drop(rows), without(data.y, rows))
    assert left.get_params() == pytest.approx(expected.get_params())
    assert vars(left).keys() == vars(expected).keys()
    test = pd.DataFrame(3.0 * data.X_test).add_prefix("x")
    np.testing.assert_allclose(*(raw_of(one, test) for one in (left, expected)), rtol=1e-9)
    np.testing.assert_array_equal(left.support_, expected.support_)


# ----------------------------------------------------------------------- units of targets and rows


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e5])
@pytest.mark.parametrize(
    ("func", "inverse_func", "slope"),
    [
        (np.reciprocal, np.reciprocal, lambda p: -(p**2)),
        (np.square, np.sqrt, lambda p: 0.5 / p),
    ],
    ids=["reciprocal", "square"],
)
def test_the_slope_of_a_transformed_target_in_any_unit(func, inverse_func, slope, unit):
    """First order is the inverse's derivative, by calculus, times that of the inner prediction."""
    eta = 3.0 + 0.2 * REAL.X @ np.array([1.0, 2.0, -1.0, 0.5])
    y = unit * inverse_func(eta + 0.05 * np.random.default_rng(0).standard_normal(len(eta)))
    ridge = Ridge(1e-3, solver="svd")
    model = InfluenceRegressor(
        TransformedTargetRegressor(ridge, func=func, inverse_func=inverse_func)
    ).fit(REAL.X, y)
    inner, found = (
        model.influence_scores(REAL.X_test, target=target, method="first_order")
        for target in ("linear_predictor", "predict")
    )
    check(found, slope(model.predict(REAL.X_test))[:, None] * inner, 1e-6)
    exact = model.influence_scores(REAL.X_test, target="predict", method="exact")
    check(found, exact, 0.2)


def test_a_slope_that_is_not_finite_is_refused():
    def inverse(z):
        return np.where(z > 0.0, z, np.nan)

    model = InfluenceRegressor(
        TransformedTargetRegressor(
            Ridge(), func=np.positive, inverse_func=inverse, check_inverse=False
        )
    ).fit(REAL.X, REAL.y)
    raw = model.estimator_.regressor_.predict(REAL.X_test)
    with pytest.raises(ValueError, match=r"no finite derivative.*'newton' or 'exact'.*target="):
        model.influence_scores(REAL.X_test[raw < 0], target="predict", method="first_order")
    inside = model.influence_scores(REAL.X_test[raw > 0], target="predict", method="first_order")
    assert np.all(np.isfinite(inside))


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (TweedieRegressor(power=0, alpha=0.1, solver="newton-cholesky", tol=1e-12), REAL),
        (PoissonRegressor(alpha=0.1, solver="newton-cholesky", tol=1e-12), COUNTED),
        (ElasticNet(0.05, l1_ratio=0.01, tol=1e-14, max_iter=200_000), REAL),
    ],
    ids=["squares", "Poisson", "elastic net"],
)
def test_weights_over_many_decades_in_the_mean_form(estimator, data):
    """What a row takes of the penalty differs by decades too: no common factor serves them all."""
    s = 10.0 ** np.random.default_rng(0).uniform(-4.0, 3.0, len(data.X))
    model = InfluenceRegressor(estimator).fit(data.X, data.y, s)
    newton, exact = (
        model.influence_scores(data.X_test, data.y_test, method=method)
        for method in ("newton", "exact")
    )
    errors = np.linalg.norm(newton - exact, axis=0) / np.linalg.norm(exact, axis=0)
    assert np.median(errors) <= 3e-3
    assert np.median(errors[s < 1e-2]) <= 3e-3
