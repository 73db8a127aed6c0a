"""Scores against refits on real data: MNIST and Adult where they are, else scikit-learn's own."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor, SmoothLinearSVC
from tests.plain_trees import refit

pytestmark = pytest.mark.slow


def path_of(name):
    folder = os.environ.get("SKINFLUENCE_DATA")
    found = Path(folder or ".") / name
    if not folder or not found.exists():
        pytest.skip(f"SKINFLUENCE_DATA names no folder with {name}")
    return found


def test_all_classes_of_digits():
    X, y = load_digits(return_X_y=True)
    model = InfluenceClassifier(LogisticRegression(C=0.01, max_iter=2000, tol=1e-6))
    model.fit(X[:1200], y[:1200])
    check = model.leave_one_out_check(X[1200:1300], y[1200:1300], rows=8)
    assert abs(check.slope - 1) < 0.01
    assert check.relative_error < 0.02
    assert check.relative_noise_floor < 1e-8


@pytest.mark.parametrize(("C", "error"), [(1e-2, 0.01), (1.0, 0.02)])
def test_mnist_ones_and_sevens(C, error):
    data = np.load(path_of("mnist.npz"))
    train, test = np.isin(data["y_train"], (1, 7)), np.isin(data["y_test"], (1, 7))
    X, y = data["X_train"][train] / 255.0, data["y_train"][train]
    model = InfluenceClassifier(LogisticRegression(C=C, tol=1e-6, max_iter=1000)).fit(X, y)
    X_test, y_test = data["X_test"][test] / 255.0, data["y_test"][test]
    worst = np.argsort(model.decision_function(X_test) * np.where(y_test == 7, 1, -1))[:50]
    check = model.leave_one_out_check(X_test[worst], y_test[worst], rows=8)
    assert abs(check.slope - 1) < error
    assert check.relative_error < error
    single = InfluenceClassifier(LogisticRegression(C=C, tol=1e-6, max_iter=1000))
    single.fit(X.astype(np.float32), y)
    scores = single.influence_scores(X_test[worst].astype(np.float32), y_test[worst])
    assert scores.dtype == np.float32
    off = np.linalg.norm(scores[:, check.rows] - check.predicted)
    assert off < 1e-3 * np.linalg.norm(check.predicted)


def test_adult_through_a_column_transformer():
    table = pd.read_csv(path_of("adult.csv.gz"), keep_default_na=False)
    train, test = table[table.split == "train"][:8000], table[table.split == "test"][:40]
    numbers = table.select_dtypes("number").columns.tolist()
    words = [c for c in table.columns if c not in [*numbers, "income", "split"]]
    transformer = make_column_transformer(
        (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), words)
    )
    pipeline = make_pipeline(transformer, LogisticRegression(max_iter=1000, tol=1e-6))
    model = InfluenceClassifier(pipeline).fit(train[numbers + words], train.income)
    check = model.leave_one_out_check(
        test[numbers + words], test.income.str.rstrip("."), rows=8, refit="pipeline"
    )
    assert abs(check.slope - 1) < 0.02
    assert check.relative_error < 0.03
    assert np.all(np.isin(check.row_labels, train.index))


def test_bike_sharing_with_splines():
    table = pd.read_csv(path_of("bike_sharing_hour.csv.gz"))
    X, y = table[["hr", "temp", "hum", "windspeed"]], table["cnt"]
    pipeline = make_pipeline(SplineTransformer(n_knots=8), Ridge(alpha=1.0))
    model = InfluenceRegressor(pipeline).fit(X[:15000], y[:15000])
    check = model.leave_one_out_check(X[15000:15100], y[15000:15100], rows=10, target="predict")
    assert abs(check.slope - 1) < 1e-7
    assert check.relative_error < 1e-7


def test_exact_leave_one_out_and_deletion_of_mnist():
    """Each eighth row of 1 and 7 against refits of four of them, and fifty rows deleted at once."""
    data = np.load(path_of("mnist.npz"))
    train = np.flatnonzero(np.isin(data["y_train"], (1, 7)))[::8]
    X, y = data["X_train"][train] / 255.0, data["y_train"][train]
    n = len(y)
    judge = LogisticRegression(C=1 / (0.01 * n), solver="newton-cholesky", tol=1e-12)
    model = InfluenceClassifier(LogisticRegression(C=1 / (0.01 * n), max_iter=1000)).fit(X, y)
    left_out = model.leave_one_out()
    full = clone(judge).fit(X, y).decision_function(X)
    rows = [*np.argsort(-left_out.losses)[:2], 0, n // 2]
    for row in rows:
        kept = np.delete(np.arange(n), row)
        actual = clone(judge).fit(X[kept], y[kept]).decision_function(X[[row]])[0] - full[row]
        assert left_out.decisions[row] - full[row] == pytest.approx(actual, rel=1e-6)
    gone = np.argsort(-left_out.losses)[:50]
    kept = np.delete(np.arange(n), gone)
    smaller = model.without(gone)
    refit = clone(judge).fit(X[kept], y[kept])
    moved = np.linalg.norm(refit.coef_ - model.estimator_.coef_)
    assert np.linalg.norm(smaller.estimator_.coef_ - refit.coef_) < 1e-7 * moved
    certificate = smaller.certificate_
    assert certificate.gradient_norm < 1e-8 * certificate.gradient_norm_before


def test_the_hinge_of_mnist():
    """Each eighth row of 1 and 7: refits of the smooth hinge in value, of the hinge in rank."""
    data = np.load(path_of("mnist.npz"))
    train = np.flatnonzero(np.isin(data["y_train"], (1, 7)))[::8]
    X, y = data["X_train"][train] / 255.0, data["y_train"][train]
    test = np.flatnonzero(np.isin(data["y_test"], (1, 7)))
    X_test, y_test = data["X_test"][test] / 255.0, data["y_test"][test]
    C, t = 1.0 / (0.01 * len(y)), 0.001
    machine = LinearSVC(C=C, loss="hinge", tol=1e-8, max_iter=10**6, random_state=0)
    model = InfluenceClassifier(machine, temperature=t).fit(X, y)
    worst = np.argsort(model.decision_function(X_test) * np.where(y_test == 7, 1, -1))[:100]
    X_test, y_test = X_test[worst], y_test[worst]
    scores = model.influence_scores(X_test, y_test)
    rows = np.argsort(-np.linalg.norm(scores, axis=0))[:12]
    sign = np.where(y_test == 7, 1.0, -1.0)[:, None]

    def losses(estimator, gone):
        fitted = [clone(estimator).fit(np.delete(X, i, 0), np.delete(y, i)) for i in gone]
        raw = np.column_stack([one.decision_function(X_test) for one in fitted])
        return t * np.logaddexp(0.0, (1.0 - sign * raw) / t)

    for judge, method, error in (
        (SmoothLinearSVC(C=C, temperature=t, intercept_scaling=1.0), "exact", 1e-6),
        (SmoothLinearSVC(C=C, temperature=t, intercept_scaling=1.0), "newton", 1e-3),
        (clone(machine), "exact", 0.3),
    ):
        actual = losses(judge, rows) - losses(judge, [[]])
        predicted = model.influence_scores(X_test, y_test, method=method)[:, rows]
        assert np.linalg.norm(predicted - actual) < error * np.linalg.norm(actual)
        assert np.corrcoef(predicted.ravel(), actual.ravel())[0, 1] > 0.97


def adult(n, n_test):
    """Return numbers for everything in Adult: words by their position."""
    table = pd.read_csv(path_of("adult.csv.gz"), keep_default_na=False)
    words = table.select_dtypes(exclude="number").columns.drop(["income", "split"])
    table[words] = table[words].apply(lambda column: column.astype("category").cat.codes)
    y = table.income.str.rstrip(".").to_numpy()
    X = table.drop(columns=["income", "split"]).to_numpy(dtype=float)
    return X[:n], y[:n], X[-n_test:], y[-n_test:]


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X[:426], y[:426], X[426:], y[426:]


def california():
    table = pd.read_csv(path_of("california_housing.csv.gz"))
    table = table.dropna().sample(2000, random_state=0).select_dtypes("number")
    X, price = table.iloc[:, :-1].to_numpy(), table.iloc[:, -1].to_numpy()
    y = (price > np.median(price)).astype(int)
    return X[:1500], y[:1500], X[-60:], y[-60:]


@pytest.mark.parametrize(
    "data",
    [breast_cancer, partial(adult, 2000, 60), california],
    ids=["cancer", "adult", "california"],
)
@pytest.mark.parametrize(
    "estimator",
    [GradientBoostingClassifier(random_state=0), HistGradientBoostingClassifier(random_state=0)],
    ids=["boosting", "histograms"],
)
def test_newton_of_boosted_trees(data, estimator):
    """Under log loss, against all leaves computed again by loops, for the rows that matter most."""
    X, y, X_test, y_test = data()
    model = InfluenceClassifier(estimator).fit(X, y)
    newton, exact = (
        model.influence_scores(X_test[:60], y_test[:60], method=method)
        for method in ("newton", "exact")
    )
    assert np.linalg.norm(newton - exact) < 0.05 * np.linalg.norm(exact)
    assert abs(np.vdot(newton, exact) / np.vdot(newton, newton) - 1) < 0.03
    rows = np.argsort(-np.linalg.norm(exact, axis=0))[:3]
    before = refit(model.estimator_, X, y)(X_test[:60])[:, 0]
    sign = np.where(y_test[:60] == model.classes_[1], 1.0, -1.0)
    for i in rows:
        after = refit(model.estimator_, X, y, removed=[i])(X_test[:60])[:, 0]
        expected = np.logaddexp(0.0, -sign * after) - np.logaddexp(0.0, -sign * before)
        assert np.abs(exact[:, i] - expected).max() < 1e-5 * np.abs(expected).max()
