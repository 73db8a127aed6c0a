"""Derivatives in the features of training rows, against refits on rows that were moved a little.

The judge is the minimiser of the slow twin (`tests.twins`), which shares no code with the package;
every model of `tests.model_table` that sees its features is asked.
"""

import warnings
from copy import copy
from dataclasses import replace
from functools import cache

import autograd
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.adapters import features_of, final_step
from tests import network_twins
from tests.cases import classification, regression
from tests.model_table import MODELS
from tests.networks import NAMED as NETWORKS
from tests.twins import minimiser, twin_of

KERNELS = ("KernelRidge", "SVC", "SVR", "GaussianProcess", "OneVsRest-kernel")
SEEN = {
    m.name: m
    for m in MODELS
    if not m.name.startswith(KERNELS) and not (m.t is not None and m.t < 0.05)
}
H = 1e-5

BINARY = classification(labels=["no", "yes"])
THREE = classification(n=75, n_classes=3, labels=["a", "b", "c"])
REAL = regression()
REALS = regression(n_outputs=2)


def fit(estimator, X, y, s=None, **params):
    kind = InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of liblinear
        wrapper = kind(clone(estimator), **params)
        return wrapper.fit(X, y) if s is None else wrapper.fit(X, y, s)


class Judge:
    """The twin of a model's final step, on features as that step sees them."""

    def __init__(self, name):
        self.model = SEEN[name]
        self.wrapper = fit(
            self.model.estimator,
            self.model.data.X,
            self.model.data.y,
            self.model.s,
            temperature=self.model.on_wrapper,
        )
        fitted = self.wrapper.estimator_
        self.estimator = final_step(fitted)
        if type(fitted).__name__ == "TransformedTargetRegressor":
            self.estimator = copy(fitted)
            self.estimator.regressor_ = final_step(fitted)
        self.X = np.asarray(features_of(fitted, self.model.data.X), dtype=float)
        self.X_test = features_of(fitted, self.model.data.X_test)
        self.twin, self.theta = self.solve(self.X)

    def solve(self, X, theta=None):
        def make(t):
            m = self.model
            return twin_of(self.estimator, X, m.data.y, m.s, t=t, counts=m.counts)

        return minimiser(make, theta, self.model.t)

    def differences(self, quantity, rows):
        """Return the central differences of quantity(twin, theta), (n_test, n_rows, p)."""
        columns = []
        for i in rows:
            for j in range(self.X.shape[1]):
                ends = []
                for step in (H, -H):
                    X = self.X.copy()
                    X[i, j] += step
                    ends.append(quantity(*self.solve(X, self.theta)))
                columns.append((ends[0] - ends[1]) / (2.0 * H))
        return np.array(columns).T.reshape(-1, len(rows), self.X.shape[1])

    def losses(self, twin, theta):
        return twin.loss_of(theta, self.X_test, self.model.data.y_test)

    def hardest(self):
        """Return the row whose loss is largest (some are flat), and another."""
        data = self.model.data
        losses = self.twin.loss_of(self.theta, self.X, data.y)
        first = int(np.argmax(losses))
        return [first, 7 if first != 7 else 8]


@cache
def judge(name):
    return Judge(name)


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("name", SEEN)
def test_derivatives_equal_differences_of_refits(name):
    one = judge(name)
    data, rows = one.model.data, one.hardest()
    found = one.wrapper.input_influence(data.X_test, data.y_test, rows=rows).derivatives
    expected = one.differences(one.losses, rows)
    assert found.shape == expected.shape
    error = relative_error(found, expected)
    assert error < 1e-5, f"relative error {error:.3g}"


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("Logistic-elastic-net", "predict_proba"),
        ("LinearSVC-3", "decision_function"),
        ("Poisson-weighted", "predict"),
        ("Poisson-weighted", "linear_predictor"),
        ("TransformedTarget", "predict"),
    ],
)
def test_other_targets(name, target):
    one = judge(name)
    rows, X_test = one.hardest(), one.model.data.X_test
    chosen = np.zeros(len(X_test), dtype=int)
    if is_classifier(one.wrapper):
        predicted = one.wrapper.predict(X_test)
        chosen = np.searchsorted(one.wrapper.classes_, predicted)

    def quantity(twin, theta):
        eta = twin.raw(theta, one.X_test)
        if target == "predict_proba":
            p = 1.0 / (1.0 + np.exp(-eta[:, 0]))
            return np.where(chosen == 1, p, 1.0 - p)
        eta = twin.response(eta) if target == "predict" else eta
        return eta[np.arange(len(eta)), chosen]

    found = one.wrapper.input_influence(X_test, rows=rows, target=target).derivatives
    assert relative_error(found, one.differences(quantity, rows)) < 1e-5


def test_multinomial_probabilities_against_scikit_learn():
    inner = LogisticRegression(C=0.3, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    i, j = 4, 2
    ends = []
    for step in (1e-4, -1e-4):
        X = THREE.X.copy()
        X[i, j] += step
        ends.append(clone(inner).fit(X, THREE.y, THREE.s).predict_proba(THREE.X_test)[:, 1])
    model = fit(inner, THREE.X, THREE.y, THREE.s)
    y = np.repeat("b", len(THREE.X_test))
    found = model.input_influence(THREE.X_test, y, rows=i, target="predict_proba").derivatives
    assert relative_error(found[:, 0, j], (ends[0] - ends[1]) / 2e-4) < 1e-6


def moved(twin, i, j, step):
    """Return the twin of a network with one feature of one row moved."""
    X = twin.X.copy()
    X[i, j] += step
    return replace(twin, X=X)


def near(twin, theta):
    """Return the minimiser of a network's twin next to theta; flat directions stay."""
    for _ in range(3):
        theta = theta - np.linalg.lstsq(twin.hessian(theta), twin.gradient(theta), rcond=1e-10)[0]
    return theta


def network(name, curvature):
    """Return a network's derivatives in the features of two rows, its twin and minimiser."""
    data, twin, theta = NETWORKS[name].data, network_twins.twin(name), network_twins.optimum(name)
    there = FrozenEstimator(network_twins.with_theta(network_twins.fitted(name), theta))
    model = fit(there, data.X, data.y, NETWORKS[name].s, curvature=curvature, refine=True)
    found = model.input_influence(data.X_test, data.y_test, rows=[11, 4]).derivatives
    return data, found, twin, theta


@pytest.mark.parametrize("name", ["three-tanh", "labels-tanh", "reals-tanh"])
def test_networks_against_refits(name):
    data, found, twin, theta = network(name, "hessian")
    for row, i in enumerate([11, 4]):
        for j in range(data.X.shape[1]):
            ends = [near(moved(twin, i, j, step), theta) for step in (H, -H)]
            losses = [twin.rows(end, data.X_test, data.y_test) for end in ends]
            expected = (losses[0] - losses[1]) / (2.0 * H)
            assert relative_error(found[:, row, j], expected) < 1e-5


@pytest.mark.parametrize("name", ["binary-tanh", "three-logistic", "real-sgd-batches"])
def test_networks_by_the_gauss_newton_matrix(name):
    data, found, twin, theta = network(name, "auto")
    U = autograd.jacobian(lambda at: twin.rows(at, data.X_test, data.y_test))(theta)
    directions = network_twins.inverse_times(twin.gauss_newton(theta), U.T)
    for row, i in enumerate([11, 4]):
        for j in range(data.X.shape[1]):
            ends = [moved(twin, i, j, step).gradient(theta) for step in (H, -H)]
            expected = -directions.T @ (ends[0] - ends[1]) / (2.0 * H)
            assert relative_error(found[:, row, j], expected) < 1e-5


@pytest.mark.parametrize("damping", [0.0, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_dense_formula_of_least_squares(damping, weighted):
    s = REALS.s if weighted else None
    model = fit(Ridge(alpha=0.7, fit_intercept=False), REALS.X, REALS.y, s, damping=damping)
    w = REALS.s if weighted else np.ones(len(REALS.X))
    X, Y, Z = REALS.X, REALS.y, REALS.X_test
    inverse = np.linalg.inv(X.T @ (w[:, None] * X) + 0.7 * np.eye(4))
    W = (inverse @ X.T @ (w[:, None] * Y)).T
    inverse = np.linalg.inv(np.linalg.inv(inverse) + damping * np.eye(4))
    rows = [5, 0, 11]
    found = model.input_influence(Z, REALS.y_test, rows=rows).derivatives
    for t, z in enumerate(Z):
        # grad_t = outer(r_t, z), so that V = outer(r_t, H^-1 z)
        r_t, v = W @ z - REALS.y_test[t], inverse @ z
        for n, i in enumerate(rows):
            r_i = W @ X[i] - Y[i]
            mixed = (r_t @ W) * (v @ X[i]) + (r_t @ r_i) * v
            np.testing.assert_allclose(found[t, n], -w[i] * mixed, rtol=1e-9, atol=1e-11)
    for k in (0, 1):
        one = model.input_influence(Z, rows=rows, target="predict", output=k).derivatives
        mixed = W[k] * (X[rows] @ inverse @ Z.T).T[:, :, None]
        mixed = mixed + (X[rows] @ W[k] - Y[rows, k])[None, :, None] * (Z @ inverse)[:, None]
        np.testing.assert_allclose(one, -w[rows][:, None] * mixed, rtol=1e-9, atol=1e-11)


def test_pipelines_are_frozen_and_derivatives_in_what_they_gave():
    inner = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, tol=1e-10))
    model = fit(inner, pd.DataFrame(BINARY.X), BINARY.y)
    Z, Z_test = (model.estimator_[0].transform(X) for X in (BINARY.X, BINARY.X_test))
    bare = fit(inner[-1], Z, BINARY.y)
    found = model.input_influence(
        pd.DataFrame(BINARY.X_test), BINARY.y_test, rows=[3, 1]
    ).derivatives
    expected = bare.input_influence(Z_test, BINARY.y_test, rows=[3, 1]).derivatives
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)


def test_features_of_a_row_of_no_weight_do_nothing():
    s = BINARY.s.copy()
    s[[2, 5]] = 0.0
    found = (
        fit(LogisticRegression(), BINARY.X, BINARY.y, s)
        .input_influence(BINARY.X_test, BINARY.y_test, rows=[2, 3, 5])
        .derivatives
    )
    assert np.all(found[:, [0, 2]] == 0.0) and np.all(np.any(found[:, 1] != 0.0, axis=1))


def test_rows_as_positions_mask_and_number():
    model = fit(Ridge(), REAL.X, REAL.y)
    asked = (REAL.X_test, REAL.y_test)
    every = model.input_influence(*asked, rows=np.arange(len(REAL.X))).derivatives
    assert every.shape == (len(REAL.X_test), len(REAL.X), 4)
    np.testing.assert_allclose(
        model.input_influence(*asked, rows=[9, 4]).derivatives, every[:, [9, 4]]
    )
    np.testing.assert_allclose(model.input_influence(*asked, rows=9).derivatives, every[:, [9]])
    mask = np.isin(np.arange(len(REAL.X)), [9, 4])
    np.testing.assert_allclose(
        model.input_influence(*asked, rows=mask).derivatives, every[:, [4, 9]]
    )


def test_what_blocks_there_are_changes_nothing(tune):
    model = fit(LogisticRegression(), THREE.X, THREE.y)
    asked = {"rows": [1, 40, 7], "target": "loss"}
    expected = model.input_influence(THREE.X_test, THREE.y_test, **asked).derivatives
    tune(block_elements=3)
    again = model.input_influence(THREE.X_test, THREE.y_test, **asked).derivatives
    np.testing.assert_allclose(again, expected, rtol=1e-10, atol=1e-14)


def test_sparse_and_single_precision_rows():
    dense = fit(LogisticRegression(tol=1e-10), THREE.X, THREE.y)
    expected = dense.input_influence(THREE.X_test, THREE.y_test, rows=[1, 2]).derivatives
    thin = fit(LogisticRegression(tol=1e-10), sparse.csr_matrix(THREE.X), THREE.y)
    found = thin.input_influence(
        sparse.csr_matrix(THREE.X_test), THREE.y_test, rows=[1, 2]
    ).derivatives
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)
    single = fit(LogisticRegression(), THREE.X.astype(np.float32), THREE.y)
    found = single.input_influence(
        THREE.X_test.astype(np.float32), THREE.y_test, rows=[1, 2]
    ).derivatives
    assert found.dtype == np.float32
    assert relative_error(found, expected) < 1e-4


def test_the_wrapper_s_own_method_does_not_matter():
    found = [
        fit(LogisticRegression(), BINARY.X, BINARY.y, method=method)
        .input_influence(BINARY.X_test, BINARY.y_test, rows=[0])
        .derivatives
        for method in ("first_order", "exact")
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("inner", "data"),
    [
        (KernelRidge(kernel="rbf"), REAL),
        (SVC(kernel="linear"), BINARY),
        (GaussianProcessRegressor(RBF(), optimizer=None, alpha=0.1), REAL),
    ],
)
def test_kernels_are_refused_before_anything_is_factorised(inner, data):
    model = fit(inner, data.X, data.y)
    with pytest.raises(ValueError, match=rf"{type(inner).__name__}.*kernel only.*Nystroem"):
        model.input_influence(data.X_test, data.y_test, rows=[0])
    assert not hasattr(model, "solver_")


def test_precomputed_kernels_are_refused():
    model = fit(KernelRidge(kernel="precomputed"), REAL.X @ REAL.X.T, REAL.y)
    with pytest.raises(ValueError, match="kernel only"):
        model.input_influence(REAL.X_test @ REAL.X.T, REAL.y_test, rows=[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rows": [60]}, r"rows \[60\] are out of range.*0 to 59"),
        ({"rows": [1, 1]}, "duplicates"),
        ({"rows": []}, "rows is empty"),
        ({"rows": [0.5]}, r"rows=\[0\.5\] are labels"),
        ({"rows": [True, False]}, r"mask of shape \(2,\)"),
        ({"rows": [0], "target": "predict"}, "target='predict' was given"),
        ({"rows": [0], "y_test": None}, "without y_test"),
        ({"rows": [0], "output": 1}, "output=1 was given"),
        ({"rows": [0], "X_test": np.zeros((12, 3))}, "3 features"),
    ],
)
def test_bad_input_is_refused_early(wrong, message):
    model = fit(LogisticRegression(), BINARY.X, BINARY.y)
    asked = {"X_test": BINARY.X_test, "y_test": BINARY.y_test, **wrong}
    with pytest.raises(ValueError, match=message):
        model.input_influence(**asked)
    assert not hasattr(model, "solver_")


def test_it_needs_a_fitted_model_and_memory(monkeypatch):
    with pytest.raises(NotFittedError):
        InfluenceClassifier().input_influence(BINARY.X_test, BINARY.y_test, rows=[0])
    frozen = FrozenEstimator(Ridge().fit(REAL.X, REAL.y))
    model = InfluenceRegressor(frozen).fit(REAL.X, REAL.y)
    model.input_influence(REAL.X_test, REAL.y_test, rows=[0])
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 100.0)
    with pytest.raises(MemoryError, match=r"12 targets in 4 features of 1 training rows.*fewer"):
        model.input_influence(REAL.X_test, REAL.y_test, rows=[0])
