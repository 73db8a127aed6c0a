"""Newton steps and their guard against dense algebra and refits."""

from collections import Counter

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from threadpoolctl import threadpool_info

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import adapt
from skinfluence.curvature import Curvature
from skinfluence.losses import Logistic, Multinomial
from skinfluence.minimisers.distance import measure
from skinfluence.minimisers.newton import refine
from skinfluence.objectives import LinearObjective
from skinfluence.process.threads import in_threads
from skinfluence.removal import Edits, first_order, newton, one_step
from skinfluence.solvers import Cholesky
from tests import oracles
from tests.cases import CASES, LOGISTIC_COUNTS, Data, classification, wide_logistic

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def factorize(objective):
    return Cholesky().factorize(Curvature(objective))


def at_optimum(case):
    data = case.data
    fitted = oracles.at_optimum(case.estimator, data.X, data.y, case.s, case.counts)
    found = refine(measure(adapt(fitted, data.X, data.y, case.s), factorize), factorize)
    return fitted, found.objective, found.factor


@cases
def test_newton_equals_a_dense_newton_step_on_the_remaining_rows(case, tune):
    """Form the twin without the row, take one minimum-norm Newton step: the same change."""
    tune(trusted_shift=np.inf, negligible_step=np.inf)
    data = case.data
    fitted, objective, factor = at_optimum(case)
    removal = newton(Edits(objective), factor, factorize)
    rows = np.array([2, 30, 55])
    changes = removal.changes(rows)
    for column, i in enumerate(rows):
        kept = np.delete(np.arange(len(data.X)), i)
        s = None if case.s is None else case.s[kept]
        twin = oracles.twin_of(fitted, data.X[kept], data.y[kept], s, case.counts)
        H, g = twin.hessian(objective.theta), twin.gradient(objective.theta)
        step = -np.linalg.lstsq(H, g, rcond=1e-11)[0]
        # Weights that count unequal samples share one factor per class: exact but for that.
        shared = case.counts == "weights" and case.weighted
        np.testing.assert_allclose(
            changes[:, column], step, rtol=0, atol=(3e-2 if shared else 1e-7) * np.linalg.norm(step)
        )


@cases
def test_leverages_are_eigenvalues_of_dense_algebra(case):
    if case.counts is not None:
        pytest.skip("leverages refer to the weights that stay behind")
    _, objective, factor = at_optimum(case)
    removal = newton(Edits(objective), factor, factorize)
    H = np.linalg.pinv(Curvature(objective).matmat(np.eye(objective.n_params)), rcond=1e-11)
    K = objective.loss.n_outputs
    for i in (2, 30, 55):
        part = objective.rows(np.array([i]))
        J = part.jacobian_t_rows(np.ones((1, K)))[:, 0].reshape(K, -1)
        J = np.concatenate(
            [np.where(np.arange(K)[:, None] == k, J, 0).reshape(1, -1) for k in range(K)]
        )
        G = part.output_hessians()[0] * part.sample_weight[0]
        G = np.diag(G) if G.ndim == 1 else G
        largest = np.max(np.linalg.eigvals(G @ (J @ H @ J.T)).real)
        if removal.leverage[i] > one_step.HIGH or K == 1:
            assert removal.leverage[i] == pytest.approx(largest, rel=1e-6)
        else:
            assert largest <= removal.leverage[i] * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_newton_with_many_rows_per_parameter(seed):
    """Sixty rows a parameter: relative error at most .02."""
    data = classification(n=600, p=9, seed=seed)
    check_against_refits(data, LogisticRegression(C=1.0), rows=np.arange(0, 600, 20), error=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_newton_of_four_classes(seed):
    data = classification(n=200, p=15, n_classes=4, seed=seed)
    check_against_refits(data, LogisticRegression(C=1.0), rows=np.arange(0, 200, 8), error=0.12)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("C", [1.0, 100.0])
def test_guarded_newton_with_few_rows_per_parameter(seed, C):
    """n = 150, p = 60: one unguarded step is .15 off at C = 1, worse than nothing at C = 100."""
    data, estimator = wide_logistic(seed, C)
    model = check_against_refits(data, estimator, rows=np.arange(0, 150, 5), error=0.01)
    removal = model._current().mechanism("auto").removal("newton")
    assert len(removal.guarded) > 10
    assert removal.leverage.max() > (0.8 if C == 100 else 0.6)


def test_without_its_guard_newton_fails_there(tune):
    """The guard is what makes the test above pass."""
    tune(trusted_shift=np.inf, negligible_step=np.inf)
    data, estimator = wide_logistic(0, 100.0)
    with pytest.raises(AssertionError):
        check_against_refits(data, estimator, rows=np.arange(0, 150, 5), error=0.5)


def check_against_refits(data, estimator, rows, error):
    model = InfluenceClassifier(estimator.set_params(tol=1e-8, max_iter=2000))
    model.fit(data.X, data.y)
    scores = model.influence_scores(data.X_test, data.y_test)[:, rows]
    _, actual = oracles.leave_one_out(estimator, data, rows=rows)
    slope, off = oracles.slope_and_error(scores, actual)
    assert off < error
    assert abs(slope - 1) < max(error / 2, 0.005)
    return model


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_few_rows_of_a_balanced_class(weighted, n_classes):
    """Eight rows of the rare class, re-weighed by 8/7 when one leaves.

    Over seeds 3 to 5 the relative error is .33 to .53 for first order and .013 to .089 for Newton,
    weighted or not.
    """
    data = classification(n=90, n_classes=n_classes, seed=3, labels=["a", "b", "c"][:n_classes])
    rare = np.flatnonzero(data.y == "b")[8:]
    kept = np.delete(np.arange(90), rare)
    data = type(data)(data.X[kept], data.y[kept], data.s[kept], data.X_test, data.y_test)
    estimator = LogisticRegression(C=0.3, class_weight="balanced", tol=1e-10, max_iter=2000)
    s = data.s if weighted else None
    model = InfluenceClassifier(estimator).fit(data.X, data.y, sample_weight=s)
    scores = model.influence_scores(data.X_test, data.y_test)
    rows = np.flatnonzero(data.y == "b")
    _, actual = oracles.leave_one_out(estimator, data, s, "weights", rows)
    slope, off = oracles.slope_and_error(scores[:, rows], actual)
    assert off < 0.09
    assert abs(slope - 1) < 0.05


def test_a_row_alone_in_an_unpenalised_column_is_named():
    """Without it nothing determines the column's coefficient: 0 and a warning; others as refits."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((20, 2)), np.eye(20)[:, 0]])
    y = rng.standard_normal(20)
    model = InfluenceRegressor(LinearRegression()).fit(X, y)
    T, z = X[5:8] + 0.1, y[5:8]
    with pytest.warns(UserWarning, match=r"Rows \[0\] .* alone determine a direction"):
        scores = model.influence_scores(T, z)
    np.testing.assert_allclose(scores[:, 0], 0.0, atol=1e-12)
    assert model.influence(T, z).guarded_rows.tolist() == [0]
    refit = LinearRegression().fit(np.delete(X, 7, 0), np.delete(y, 7))
    full = LinearRegression().fit(X, y)
    actual = 0.5 * (refit.predict(T) - z) ** 2 - 0.5 * (full.predict(T) - z) ** 2
    np.testing.assert_allclose(scores[:, 7], actual, rtol=1e-8)


@pytest.mark.parametrize(
    ("alpha", "big"), [(1.0, 1e5), (1e-8, 1.0), (1e-10, 1.0)], ids=["outlier", "dummy", "tiny"]
)
@pytest.mark.parametrize("method", ["newton", "exact"])
def test_penalised_rows_of_leverage_one_equal_refits(alpha, big, method):
    """1 - h is 1e-9 and less: nothing of it survives in 1 - h, so the curvature is formed anew."""
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal((30, 2)), np.zeros(30)])
    y = rng.standard_normal(30)
    X[0, 2], y[0] = big, 5.0
    damping = 0.0 if method == "newton" else 1e-3 * alpha  # which "exact" ignores
    estimator = Ridge(alpha=alpha, solver="svd")
    model = InfluenceRegressor(estimator, method=method, damping=damping).fit(X, y)
    scores = model.influence_scores(X, target="predict")
    for row, test in ((0, 0), (3, 1)):  # elsewhere the two do nothing but round
        kept = np.delete(np.arange(30), row)
        refit = Ridge(alpha=alpha, solver="svd").fit(X[kept], y[kept])
        actual = (refit.predict(X) - model.predict(X))[test]
        assert scores[test, row] == pytest.approx(actual, rel=1e-5)


def test_interpolating_ridge_equals_refits():
    """Every row has leverage 1 but for 1e-8."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 100)), rng.standard_normal(30)
    X_test, y_test = rng.standard_normal((10, 100)), rng.standard_normal(10)
    estimator = Ridge(alpha=1e-6, solver="svd")
    model = InfluenceRegressor(estimator).fit(X, y)
    scores = model.influence_scores(X_test, y_test)
    data = Data(X, y, np.ones(30), X_test, y_test)
    _, actual = oracles.leave_one_out(estimator, data, rows=range(30))
    slope, error = oracles.slope_and_error(scores, actual)
    assert error < 1e-5
    assert abs(slope - 1) < 1e-5


def test_one_dominating_sample_weight_under_balanced_classes():
    """A row of weight 200 beside rows of 1 shares no factor with them: .3 off where it did."""
    data = classification(n=120, seed=1)
    s = np.ones(120)
    s[11] = 200.0
    estimator = LogisticRegression(C=0.3, class_weight="balanced", tol=1e-10, max_iter=5000)
    model = InfluenceClassifier(estimator).fit(data.X, data.y, sample_weight=s)
    scores = model.influence_scores(data.X_test, data.y_test)
    rows = np.array([11, 0, 20, 40])
    if LOGISTIC_COUNTS == "weights":
        assert 11 in model._current().mechanism("auto").removal("newton").guarded
    _, actual = oracles.leave_one_out(estimator, data, s, LOGISTIC_COUNTS, rows)
    slope, error = oracles.slope_and_error(scores[:, rows], actual)
    assert error < 0.02
    assert abs(slope - 1) < 0.02


def test_a_row_of_weight_zero_moves_nothing():
    data = classification()
    s = data.s.copy()
    s[[3, 9]] = 0.0
    model = InfluenceClassifier(LogisticRegression(tol=1e-8)).fit(data.X, data.y, sample_weight=s)
    for method in ("first_order", "newton"):
        scores = model.influence_scores(data.X_test, data.y_test, method=method)
        np.testing.assert_array_equal(scores[:, [3, 9]], 0.0)
        assert np.all(np.any(scores[:, [0, 1, 2]] != 0, axis=0))


def test_first_order_of_an_objective_without_raw_predictions():
    """The contract for a user's own model: losses and gradients alone give the same scores."""
    case = CASES[0]
    _, objective, factor = at_optimum(case)
    whole = first_order(Edits(objective), factor)
    bare = type(whole)(**{**vars(whole), "coefficients": None})
    U = np.random.default_rng(0).standard_normal((objective.n_params, 4))
    (projection,) = whole.project(U)
    np.testing.assert_allclose(
        bare.along(projection, slice(None)), whole.along(projection, slice(None)), rtol=1e-10
    )


def test_ill_conditioned_columns_are_no_reason_to_iterate_every_row():
    """One step is exact for a squared loss: no row is kept apart, whatever the condition."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 6)) * 10.0 ** np.arange(-2, 4) + 100.0
    y = X @ (1.0 / X.std(axis=0)) + rng.standard_normal(300)
    model = InfluenceRegressor(LinearRegression()).fit(X, y)
    scores = model.influence_scores(X[:5], target="predict")
    assert len(model._current().mechanism("auto").removal("newton").guarded) == 0
    exact = model.influence_scores(X[:5], target="predict", method="exact")
    assert np.linalg.norm(scores - exact) < 1e-6 * np.linalg.norm(exact)
    kept = np.delete(np.arange(300), 7)
    centre = X.mean(axis=0)
    full, less = (LinearRegression().fit(X[i] - centre, y[i]) for i in (np.arange(300), kept))
    actual = less.predict(X[:5] - centre) - full.predict(X[:5] - centre)
    np.testing.assert_allclose(scores[:, 7], actual, rtol=1e-5)


@pytest.mark.parametrize("cast", [np.asarray, np.float32, sparse.csr_matrix])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("k", [3, 20], ids=["few", "many"])
@pytest.mark.parametrize("loss", [Logistic(np.arange(2)), Multinomial(np.arange(3))])
def test_products_of_pushes_are_those_of_the_explicit_jacobian(loss, k, intercept, cast, tune):
    """With more columns than parameters, C goes into the rows; with fewer, into the result."""
    rng = np.random.default_rng(0)
    n, p, K = 40, 6, loss.n_outputs
    X, y = rng.standard_normal((n, p)), rng.integers(0, len(loss.classes), n)
    coef, b = rng.standard_normal((K, p)), rng.standard_normal(K) if intercept else None
    one = LinearObjective.from_coefficients(cast(X), y, loss, coef, b, l2=1.0)
    X1 = np.column_stack([X, np.ones(n)]) if intercept else X
    C, V = rng.standard_normal((n, K)), rng.standard_normal((one.n_params, k))
    each = np.einsum("ik,ij,kjv->ikv", C, X1, V.reshape(K, -1, k))
    single = one.dtype == np.float32
    V = V.astype(one.dtype)
    close = {"rtol": 0, "atol": 2e-5 if single else 1e-13}
    tune(block_elements=200)
    found = one.pushes_dot(C, V)
    assert found.dtype == one.pushes_dot_each(C, V).dtype == one.dtype
    np.testing.assert_allclose(found, each.sum(axis=1), **close)
    np.testing.assert_allclose(one.pushes_dot_each(C, V), each, **close)
    out = np.empty((n, 2 * k), dtype=one.dtype)[:, :k]  # rows of a larger array
    assert one.pushes_dot(C, V, out) is out
    np.testing.assert_allclose(out, found, rtol=0, atol=1e-6 if single else 1e-14)
    # In another precision than that of the rows.
    np.testing.assert_allclose(
        one.pushes_dot(C, V.astype(np.float64)),
        each.sum(axis=1),
        rtol=0,
        atol=2e-6 if single else 1e-13,
    )


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
def test_every_block_is_worked_on_once_with_one_thread_of_blas(n_jobs):
    seen, limits = Counter(), []

    def work(block):
        seen[block] += 1
        limits.extend(one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas")

    in_threads(work, range(20), n_jobs)
    assert seen == Counter(range(20))
    assert set(limits) == {1}
    in_threads(work, [], n_jobs)


def test_errors_come_out_of_threads():
    def work(block):
        raise IndexError(f"of block {block}")

    with pytest.raises(IndexError, match="of block"):
        in_threads(work, range(20), 2)
