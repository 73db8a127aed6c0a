"""Case diagnostics against textbooks: refits, QR, dense algebra, numbers worked out by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests import oracles
from tests.cases import BINARY, CASES, REAL, REALS, THREE

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def with_ones(X):
    return np.column_stack([X, np.ones(len(X))])


def close(mine, expected, rtol=1e-8):
    mine, expected = np.asarray(mine), np.asarray(expected)
    assert mine.shape == expected.shape
    np.testing.assert_allclose(mine, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


# ------------------------------------------------------------------------------- least squares


def test_four_points_by_hand():
    """y = 0, 1, 3, 8 at x = 0, 1, 2, 3: y = 2.6 x - .9, residuals .9, -.7, -1.3, 1.1."""
    X, y = np.arange(4.0)[:, None], np.array([0.0, 1.0, 3.0, 8.0])
    found = InfluenceRegressor(LinearRegression()).fit(X, y).diagnostics()
    close(found.scale, [2.1])  # 4.2 / (4 - 2)
    close(found.hat_diagonal, [0.7, 0.3, 0.3, 0.7])
    close(found.standard_errors, [np.sqrt(2.1 / 5), np.sqrt(2.1 * 0.7)])
    close(found.cooks_distance, [1.5, 1 / 14, 0.507 / 2.058, 0.847 / 0.378])
    without = np.array([1.5, 3.5, 12.5 / 7, 1 / 6])  # 4.2 - r^2 / (1 - h), on one degree of freedom
    studentized = np.array([0.9, -0.7, -1.3, 1.1]) / np.sqrt(without * [0.3, 0.7, 0.7, 0.3])
    close(found.studentized_residuals, studentized)
    # without the first point y = 3.5 x - 3: the slope rises by .9, the intercept falls by 2.1
    close(found.dfbetas[0], [0.9 / np.sqrt(1.5 / 5), -2.1 / np.sqrt(1.5 * 0.7)])


def least_squares(X, y, w):
    """Return the weighted least squares fit and its inverse cross product, by QR."""
    Q, R = np.linalg.qr(np.sqrt(w)[:, None] * X)
    inverse = np.linalg.inv(R)
    return inverse @ (Q.T @ (np.sqrt(w) * y)), inverse @ inverse.T, np.sum(Q**2, axis=1)


@pytest.mark.parametrize("method", ["newton", "exact"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weights", ["none", "some", "zeros"])
def test_least_squares_is_that_of_textbooks_and_refits(weights, fit_intercept, method):
    s = {
        "none": None,
        "some": REAL.s,
        "zeros": np.where(np.arange(60) % 7 == 3, 0.0, REAL.s),
    }[weights]
    estimator = LinearRegression(fit_intercept=fit_intercept)
    found = InfluenceRegressor(estimator).fit(REAL.X, REAL.y, s).diagnostics(method=method)
    assert found.method == method
    w, y = np.ones(60) if s is None else s, REAL.y
    X = with_ones(REAL.X) if fit_intercept else REAL.X
    theta, inverse, hat = least_squares(X, y, w)
    n, p = np.sum(w > 0), X.shape[1]
    r = y - X @ theta
    scale = np.sum(w * r**2) / (n - p)
    close(found.hat_diagonal, hat)
    close(found.scale, [scale])
    close(found.standard_errors, np.sqrt(scale * np.diag(inverse)))
    close(found.cooks_distance, w * r**2 * hat / (p * scale * (1 - hat) ** 2))
    for i in np.flatnonzero(w > 0):
        kept = np.arange(60) != i
        without, its_inverse, _ = least_squares(X[kept], y[kept], w[kept])
        left = np.sum(w[kept] * (y[kept] - X[kept] @ without) ** 2) / (n - 1 - p)
        # the error of a prediction by its standard deviation: nothing of the fit with the row
        spread = np.sqrt(left * (1 / w[i] + X[i] @ its_inverse @ X[i]))
        close(found.studentized_residuals[i], (y[i] - X[i] @ without) / spread)
        # R's dfbetas() is the fit with the row minus that without it
        close(found.dfbetas[i], (without - theta) / np.sqrt(left * np.diag(inverse)))
    for values in (found.studentized_residuals, found.cooks_distance, found.dfbetas):
        np.testing.assert_allclose(values[w == 0], 0.0, atol=1e-10)


def test_rows_of_weight_zero_are_no_degrees_of_freedom():
    s = np.where(np.arange(60) % 7 == 3, 0.0, REAL.s)
    kept = s > 0
    with_zeros = InfluenceRegressor(Ridge(alpha=5.0)).fit(REAL.X, REAL.y, s).diagnostics()
    alone = InfluenceRegressor(Ridge(alpha=5.0)).fit(REAL.X[kept], REAL.y[kept], s[kept])
    expected = alone.diagnostics()
    close(with_zeros.scale, expected.scale)
    close(with_zeros.standard_errors, expected.standard_errors)
    for name in ("hat_diagonal", "studentized_residuals", "cooks_distance", "dfbetas"):
        close(getattr(with_zeros, name)[kept], getattr(expected, name))


@pytest.mark.parametrize("alpha", [5.0, np.array([0.5, 5.0, 50.0])], ids=["one", "each"])
def test_several_targets_are_diagnosed_each(alpha):
    """Ridge with three targets is three ridges; Cook's distance is over all of them."""
    X, s = with_ones(REALS.X), REALS.s
    found = InfluenceRegressor(Ridge(alpha=alpha)).fit(REALS.X, REALS.y, s).diagnostics()
    assert found.hat_diagonal.shape == found.studentized_residuals.shape == (60, 3)
    assert found.scale.shape == (3,)
    assert found.dfbetas.shape == (60, 15)
    total, effective = np.zeros(60), 0.0
    for k, (y, a) in enumerate(zip(REALS.y.T, np.broadcast_to(alpha, 3), strict=True)):
        H = X.T @ (s[:, None] * X) + np.diag([a] * 4 + [0.0])
        inverse = np.linalg.inv(H)
        hat = s * np.sum(X @ inverse * X, axis=1)
        theta = inverse @ X.T @ (s * y)
        r = np.sqrt(s) * (y - X @ theta)
        degrees = 60 - hat.sum()
        scale = r @ r / degrees
        left = (r @ r - r**2 / (1 - hat)) / (degrees - 1)
        block = slice(5 * k, 5 * k + 5)
        close(found.hat_diagonal[:, k], hat)
        close(found.scale[k], scale)
        close(found.studentized_residuals[:, k], r / np.sqrt(left * (1 - hat)))
        close(found.standard_errors[block], np.sqrt(scale * np.diag(inverse)))
        kept = [np.arange(60) != i for i in range(60)]
        without = [
            np.linalg.solve(H - s[i] * np.outer(X[i], X[i]), X[k_].T @ (s[k_] * y[k_]))
            for i, k_ in enumerate(kept)
        ]
        change = np.array(without) - theta
        close(found.dfbetas[:, block], change / np.sqrt(left[:, None] * np.diag(inverse)))
        total += np.einsum("ip,pq,iq->i", change, H, change) / scale
        effective += hat.sum()
    close(found.cooks_distance, total / effective)


def test_ridge_without_a_penalty_is_least_squares():
    expected = InfluenceRegressor(LinearRegression()).fit(REAL.X, REAL.y).diagnostics()
    found = InfluenceRegressor(Ridge(alpha=1e-10)).fit(REAL.X, REAL.y).diagnostics()
    for name in ("scale", "hat_diagonal", "studentized_residuals", "cooks_distance", "dfbetas"):
        close(getattr(found, name), getattr(expected, name))


# ------------------------------------------------------------------------------------ logistic


def logistic(C, s):
    """Return judge, X1, p, H of a binary logistic regression, by dense algebra."""
    judge = oracles.tight(LogisticRegression(C=C), BINARY.X, BINARY.y, s)
    X, w = with_ones(BINARY.X), np.ones(60) if s is None else s
    p = 1.0 / (1.0 + np.exp(-X @ oracles.theta_of(judge)))
    H = (X.T * (w * p * (1 - p))) @ X + np.diag([1.0 / C] * 4 + [0.0])
    return judge, X, w, p, H


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("C", [0.3, np.inf])
def test_logistic_regression_is_pregibons(C, weighted, tune):
    tune(trusted_shift=np.inf, negligible_step=np.inf)
    s = BINARY.s if weighted else None
    _, X, w, p, H = logistic(C, s)
    inverse, y = np.linalg.inv(H), BINARY.y == "yes"
    v = w * p * (1 - p)
    hat = v * np.sum(X @ inverse * X, axis=1)
    model = InfluenceClassifier(LogisticRegression(C=C)).fit(BINARY.X, BINARY.y, s)
    found = model.diagnostics()
    assert found.method == "newton"
    close(found.scale, [1.0])
    close(found.hat_diagonal, hat, 1e-7)
    close(found.standard_errors, np.sqrt(np.diag(inverse)), 1e-7)
    pearson = np.sqrt(w) * (y - p) / np.sqrt(p * (1 - p))
    close(found.studentized_residuals, pearson / np.sqrt(1 - hat), 1e-6)
    # one Newton step, d = H^-1 x w (p - y) / (1 - h); without the row minus with it
    change = ((w * (p - y) / (1 - hat))[:, None] * X) @ inverse
    close(found.dfbetas, change / np.sqrt(np.diag(inverse)), 1e-6)
    close(found.cooks_distance, pearson**2 * hat / (1 - hat) ** 2 / hat.sum(), 1e-6)
    if not np.isfinite(C):
        assert hat.sum() == pytest.approx(5.0)


@pytest.mark.parametrize("C", [0.3, np.inf])
def test_exact_measures_are_those_of_refits(C):
    judge, _, _, _, H = logistic(C, BINARY.s)
    rows = np.arange(0, 60, 6)
    estimator = LogisticRegression(C=C)
    _, without = oracles.judges(estimator, BINARY, BINARY.s, rows=rows)
    change = np.array([oracles.theta_of(one) for one in without]) - oracles.theta_of(judge)
    model = InfluenceClassifier(estimator).fit(BINARY.X, BINARY.y, BINARY.s)
    found = model.diagnostics(method="exact")
    assert found.method == "exact"
    cook = np.einsum("ip,pq,iq->i", change, H, change) / found.hat_diagonal.sum()
    close(found.cooks_distance[rows], cook, 1e-6)
    close(found.dfbetas[rows], change / np.sqrt(np.diag(np.linalg.inv(H))), 1e-6)


@pytest.mark.parametrize("C", [0.3, np.inf])
def test_gauge_of_several_classes_has_no_variance(C):
    """The common shift of all classes is not determined: the pseudoinverse leaves it out."""
    judge = oracles.tight(LogisticRegression(C=C), THREE.X, THREE.y, THREE.s)
    theta = oracles.theta_of(judge)
    twin = oracles.twin_of(judge, THREE.X, THREE.y, THREE.s)
    H = twin.hessian(theta)
    inverse = np.linalg.pinv(H, rcond=1e-11)
    assert np.linalg.matrix_rank(H, tol=1e-9) == (14 if C == 0.3 else 10)
    model = InfluenceClassifier(LogisticRegression(C=C)).fit(THREE.X, THREE.y, THREE.s)
    found = model.diagnostics(method="exact")
    close(found.standard_errors, np.sqrt(np.diag(inverse)), 1e-6)
    X = with_ones(THREE.X)
    eta = X @ theta.reshape(3, 5).T
    P = np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True)
    G = P[:, :, None] * (np.eye(3) - P[:, None, :])
    blocks = inverse.reshape(3, 5, 3, 5)
    Q = np.einsum("ip,kplq,iq->ikl", X, blocks, X)
    hat = THREE.s[:, None] * np.einsum("ikl,ilk->ik", G, Q)
    close(found.hat_diagonal, hat, 1e-6)
    effective = np.trace(inverse @ (H - np.diag(np.tile([1 / C] * 4 + [0.0], 3))))
    assert found.hat_diagonal.sum() == pytest.approx(effective, rel=1e-8)
    if not np.isfinite(C):
        assert effective == pytest.approx(10.0)
    Y = THREE.y[:, None] == np.array(["a", "b", "c"])
    pearson = np.sqrt(THREE.s[:, None]) * (Y - P) / np.sqrt(P * (1 - P))
    close(found.studentized_residuals, pearson / np.sqrt(1 - hat), 1e-6)
    close(found.scale, np.ones(3))
    rows = np.array([4, 33, 60])
    _, without = oracles.judges(LogisticRegression(C=C), THREE, THREE.s, rows=rows)
    change = np.array([oracles.theta_of(one) for one in without]) - theta
    close(found.dfbetas[rows], change / np.sqrt(np.diag(inverse)), 1e-6)
    cook = np.einsum("ip,pq,iq->i", change, H, change) / effective
    close(found.cooks_distance[rows], cook, 1e-6)


# ------------------------------------------------------------------------------------ any model


@cases
def test_leverages_sum_to_the_effective_number_of_parameters(case):
    """tr(H^-1 (H - penalty)), and standard errors of scale * H^-1, by the twin's Hessian."""
    data = case.data
    full = oracles.tight(
        oracles.plain(case.estimator, data.X, data.y, case.s), data.X, data.y, case.s, case.counts
    )
    theta = oracles.theta_of(full)
    twin = oracles.twin_of(full, data.X, data.y, case.s, case.counts)
    H = twin.hessian(theta)
    inverse = np.linalg.pinv(H, rcond=1e-11)
    nothing = oracles.Twin(lambda theta: 0.0 * theta[:1], twin.penalty, np.zeros(1), len(theta))
    effective = np.trace(inverse @ (H - nothing.hessian(theta)))
    kind = InfluenceClassifier if case.is_classifier else InfluenceRegressor
    model = kind(case.estimator).fit(data.X, data.y, case.s)
    found = model.diagnostics()
    assert found.hat_diagonal.sum() == pytest.approx(effective, rel=1e-6)
    scale = np.repeat(found.scale, len(theta) // len(found.scale))
    close(found.standard_errors, np.sqrt(scale * np.diag(inverse)), 1e-6)
    assert np.all(np.isfinite(found.dfbetas))
    change = model.parameter_influence().changes
    cook = np.einsum("ip,pq,iq->i", change / scale, H, change) / effective
    close(found.cooks_distance, cook, 1e-6)
    if "Logistic" in case.name:
        close(found.scale, np.ones(len(found.scale)))


def test_ridge_classifiers_have_the_scale_of_their_targets():
    y = np.where(BINARY.y == "yes", 1.0, -1.0)
    expected = InfluenceRegressor(Ridge(alpha=5.0)).fit(BINARY.X, y).diagnostics()
    model = InfluenceClassifier(RidgeClassifier(alpha=5.0)).fit(BINARY.X, BINARY.y)
    found = model.diagnostics()
    for name in ("scale", "hat_diagonal", "studentized_residuals", "cooks_distance", "dfbetas"):
        close(getattr(found, name), getattr(expected, name))


def test_parameters_are_those_of_the_final_step():
    scaled = StandardScaler().fit_transform(REAL.X)
    pipeline = make_pipeline(StandardScaler(), LinearRegression())
    found = InfluenceRegressor(pipeline).fit(REAL.X, REAL.y).diagnostics()
    expected = InfluenceRegressor(LinearRegression()).fit(scaled, REAL.y).diagnostics()
    close(found.standard_errors, expected.standard_errors)
    close(found.dfbetas, expected.dfbetas)
    plain = InfluenceRegressor(LinearRegression()).fit(REAL.X, REAL.y).diagnostics()
    close(found.hat_diagonal, plain.hat_diagonal)  # which no scaling changes
    close(found.cooks_distance, plain.cooks_distance)


def test_a_row_that_alone_determines_a_direction():
    X = np.column_stack([REAL.X, np.arange(60) == 17])
    with pytest.warns(UserWarning, match=r"Rows \[17\] .* alone determine a direction"):
        found = InfluenceRegressor(LinearRegression()).fit(X, REAL.y).diagnostics()
    others = np.arange(60) != 17
    alone = InfluenceRegressor(LinearRegression()).fit(REAL.X[others], REAL.y[others])
    expected = alone.diagnostics()
    assert found.hat_diagonal[17] == pytest.approx(1.0, abs=1e-12)
    close(found.hat_diagonal[others], expected.hat_diagonal)
    close(found.scale, expected.scale)
    close(found.studentized_residuals[others], expected.studentized_residuals)
    close(found.dfbetas[others][:, [0, 1, 2, 3, 5]], expected.dfbetas)
    close(found.cooks_distance[others] * 6, expected.cooks_distance * 5)


def test_exact_measures_ignore_damping():
    expected = InfluenceRegressor(LinearRegression()).fit(REAL.X, REAL.y)
    damped = InfluenceRegressor(LinearRegression(), damping=50.0).fit(REAL.X, REAL.y)
    expected, found = expected.diagnostics(method="exact"), damped.diagnostics(method="exact")
    for name in ("hat_diagonal", "standard_errors", "cooks_distance", "dfbetas"):
        close(getattr(found, name), getattr(expected, name))


def test_without_degrees_of_freedom_there_are_no_studentized_residuals():
    """Three rows, two parameters: one degree of freedom, and none without a row."""
    X, y = np.array([[0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 3.0])
    found = InfluenceRegressor(LinearRegression()).fit(X, y).diagnostics()
    close(found.scale, [1 / 6])
    close(found.hat_diagonal, [5 / 6, 1 / 3, 5 / 6])
    assert not np.any(np.isfinite(found.studentized_residuals))
    assert not np.any(np.isfinite(found.dfbetas))


def test_a_perfect_fit_is_diagnosed_without_a_warning():
    X = np.arange(5.0)[:, None]
    found = InfluenceRegressor(LinearRegression()).fit(X, np.zeros(5)).diagnostics()
    close(found.hat_diagonal, [0.6, 0.3, 0.2, 0.3, 0.6])
    assert found.scale.tolist() == [0.0]


@pytest.mark.parametrize("alpha", [1e-5, 3e-7, 1e-9])
def test_a_row_that_a_small_penalty_alone_holds_has_its_distance(alpha):
    """The optimum without it is unique, however near 1 its leverage is."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((30, 2)), np.arange(30) == 3]).astype(float)
    y = X[:, 0] + rng.standard_normal(30)
    y[3] += 8.0
    found = InfluenceRegressor(Ridge(alpha=alpha, solver="svd")).fit(X, y).diagnostics()
    ridge = Ridge(alpha=alpha, solver="svd").fit(X, y)
    kept = np.arange(30) != 3
    without = Ridge(alpha=alpha, solver="svd").fit(X[kept], y[kept])
    d = np.r_[without.coef_ - ridge.coef_, without.intercept_ - ridge.intercept_]
    A = np.column_stack([X, np.ones(30)])
    H = A.T @ A + alpha * np.diag([1.0, 1.0, 1.0, 0.0])
    expected = d @ H @ d / found.scale[0] / found.hat_diagonal.sum()
    assert found.cooks_distance[3] == pytest.approx(expected, rel=1e-5)
    assert np.isfinite(found.studentized_residuals[3])
