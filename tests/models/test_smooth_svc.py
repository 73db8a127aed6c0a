"""The smooth-hinge support vector machine against autograd, scipy, LinearSVC and itself."""

import tracemalloc
import warnings

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from skinfluence.models import smooth_hinge
from skinfluence.models.smooth_svc import SmoothLinearSVC
from tests.sklearn_checks import with_checks

N = 80


MACHINES = {
    "default": SmoothLinearSVC(),
    "cold": SmoothLinearSVC(temperature=1e-4, intercept_scaling=2.0, class_weight="balanced"),
    "warm": SmoothLinearSVC(temperature=0.1, intercept_scaling=1.0),
}


@with_checks(MACHINES, variants=("cold", "warm"))
def test_common_checks(estimator, check):
    check(estimator)


# Two classes that overlap, or three; features of different scales; weights that are not alike.
def data(n_classes=2, n_features=4, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(N) % n_classes
    X = rng.standard_normal((N, n_features)) * np.linspace(0.5, 2.0, n_features)
    X[:, 0] += 0.8 * codes
    X[:, 1] += codes == 1
    s = rng.uniform(0.5, 2.0, N)
    return X, np.array(["a", "b", "c"])[codes], s


# A second writing of the objective of one class against the rest.
def twin(model, X, sign, s, hinge=False):
    t, scaling = model.temperature, model.intercept_scaling

    def F(theta):
        w, b = theta[:-1], theta[-1]
        z = 1.0 - sign * (anp.dot(X, w) + b)
        losses = anp.maximum(0.0, z) if hinge else t * anp.logaddexp(0.0, z / t)
        penalty = 0.5 * anp.sum(w**2)
        if scaling is not None:
            penalty = penalty + 0.5 * (b / scaling) ** 2
        return model.C * anp.sum(s * losses) + penalty

    return F


def theta_of(model, k=0):
    return np.append(model.coef_[k], model.intercept_[k])


def same(a, b, rtol=1e-8):
    """Assert that two models are one within a share of the coefficients."""
    assert_allclose(a.coef_, b.coef_, rtol=0, atol=rtol * np.abs(b.coef_).max())
    assert_allclose(a.intercept_, b.intercept_, rtol=0, atol=rtol * np.abs(b.coef_).max())


OPTIONS = {
    "free-intercept": {},
    "penalised-intercept": {"intercept_scaling": 3.0},
    "no-intercept": {"fit_intercept": False},
    "strong-penalty": {"C": 0.01},
    "weak-penalty": {"C": 100.0},
}
options = pytest.mark.parametrize("kwargs", OPTIONS.values(), ids=OPTIONS)


@options
@pytest.mark.parametrize("n_features", [4, 100])
@pytest.mark.parametrize("t", [10.0, 0.1, 1e-2, 1e-3, 1e-4])
def test_the_gradient_of_the_twin_is_zero(t, n_features, kwargs):
    X, y, s = data(n_features=n_features)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = SmoothLinearSVC(temperature=t, **kwargs).fit(X, y, sample_weight=s)
    sign = np.where(y == "b", 1.0, -1.0)
    gradient = autograd.grad(twin(model, X, sign, s))(theta_of(model))
    if not model.fit_intercept:
        assert model.intercept_[0] == 0.0
        gradient = gradient[:-1]
    pulls = np.linalg.norm(X[sign * model.decision_function(X) < 1 - t], axis=1)
    scale = max(model.C * np.sum(pulls), np.linalg.norm(model.coef_))
    assert np.linalg.norm(gradient) <= 1e-10 * scale
    assert model.gradient_norm_[0] <= 1e-10


@options
@pytest.mark.parametrize("t", [1.0, 0.3])
def test_the_minimum_is_that_of_scipy(t, kwargs):
    X, y, s = data()
    model = SmoothLinearSVC(temperature=t, **kwargs).fit(X, y, sample_weight=s)
    F = twin(model, X, np.where(y == "b", 1.0, -1.0), s)
    start = np.zeros(5)
    bounds = [(None, None)] * 4 + [(None, None) if model.fit_intercept else (0.0, 0.0)]
    found = minimize(
        F,
        start,
        jac=autograd.grad(F),
        bounds=bounds,
        method="L-BFGS-B",
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    assert F(theta_of(model)) <= found.fun + 1e-12 * abs(found.fun)
    assert_allclose(F(theta_of(model)), found.fun, rtol=1e-10)
    assert_allclose(theta_of(model), found.x, rtol=0, atol=1e-4 * np.abs(found.x).max())


def test_falling_temperatures_approach_the_hinge():
    X, y, s = data()
    judge = LinearSVC(loss="hinge", C=0.7, tol=1e-10, max_iter=10**7, random_state=0)
    judge.fit(X, y, sample_weight=s)
    sign = np.where(y == "b", 1.0, -1.0)
    gaps, distances = [], []
    for t in (0.1, 0.01, 0.001, 1e-4):
        model = SmoothLinearSVC(C=0.7, temperature=t, intercept_scaling=1.0)
        model.fit(X, y, sample_weight=s)
        F = twin(model, X, sign, s, hinge=True)
        gaps.append(F(theta_of(model)) - F(theta_of(judge)))
        above = twin(model, X, sign, s)(theta_of(model)) - F(theta_of(judge))
        assert 0.0 < above <= 0.7 * t * np.log(2.0) * s.sum()
        distances.append(np.linalg.norm(theta_of(model) - theta_of(judge)))
    assert np.all(np.diff(gaps) < 0) and np.all(np.diff(distances) < 0)
    assert -1e-9 < gaps[-1] < 3e-3 * gaps[0]
    assert distances[-1] < 1e-3 * np.linalg.norm(theta_of(judge))


@pytest.mark.parametrize("t", [0.1, 1e-4])
def test_real_data_to_rounding(t):
    X, y = load_breast_cancer(return_X_y=True)
    model = SmoothLinearSVC(temperature=t).fit(StandardScaler().fit_transform(X), y)
    assert model.gradient_norm_[0] < 1e-15 / t
    assert model.n_iter_[0] < 60
    raw = SmoothLinearSVC(temperature=t).fit(X, y)  # columns from 1e-3 to 1e3
    assert raw.gradient_norm_[0] < 1e-14 / t


@pytest.mark.parametrize("n_features", [4, 100])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_all_ways_of_solving_a_step_agree(n_features, fit_intercept, tune):
    X, y, s = data(n_features=n_features)
    problem = smooth_hinge.Problem(
        X=X,
        y=np.where(y == "b", 1.0, -1.0),
        weight=s,
        norms=np.ones(N),
        fit_intercept=fit_intercept,
        ridge=0.0,
        temperature=1.0,
    )
    theta = np.append(np.linspace(-0.2, 0.3, n_features), 0.1 * fit_intercept)
    f = problem.raw(theta)
    g, _ = problem.gradient(theta, f)
    F = twin(SmoothLinearSVC(temperature=1.0), X, problem.y, s)
    H = autograd.hessian(F)(theta)
    free = n_features + fit_intercept
    expected = np.append(-np.linalg.solve(H[:free, :free], g[:free]), np.zeros(1 - fit_intercept))
    c = s * problem.loss.hessian(problem.y[:, None], f[:, None])[:, 0]
    rows = np.arange(N)
    sparse = smooth_hinge.replace(problem, X=sp.csr_array(X))
    for one in (problem, sparse):
        for step in (
            one.step(f, g),
            one._step_in_rows(rows, np.sqrt(c), g),
            one._step_in_features(rows, c, g),
        ):
            assert_allclose(step, expected, rtol=1e-9, atol=1e-11)
        by_cg = one._step_by_cg(rows, c, g)
        assert np.linalg.norm((H @ by_cg + g)[:free]) <= 1.01e-3 * np.linalg.norm(g)
        assert free > n_features or by_cg[-1] == 0.0
    tune(hinge_elements=7 * n_features)
    assert_allclose(problem._step_in_features(rows, c, g), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("t", [0.1, 1e-3])
def test_conjugate_gradients_reach_the_same_minimum(t, tune):
    X, y, s = data(3)
    model = SmoothLinearSVC(temperature=t).fit(X, y, sample_weight=s)
    tune(hinge_factor_size=2)
    for Z in (X, sp.csr_array(X)):
        again = SmoothLinearSVC(temperature=t).fit(Z, y, sample_weight=s)
        assert again.gradient_norm_.max() <= 1e-10
        same(again, model)


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_array])
@pytest.mark.parametrize("n_features", [4, 100])
def test_sparse_is_dense(n_features, container):
    X, y, s = data(3, n_features)
    X[np.abs(X) < 0.7] = 0.0
    model = SmoothLinearSVC().fit(X, y, sample_weight=s)
    sparse = SmoothLinearSVC().fit(container(X), y, sample_weight=s)
    same(sparse, model)
    assert_allclose(sparse.decision_function(container(X)), model.decision_function(X), atol=1e-7)
    assert_array_equal(sparse.predict(container(X)), model.predict(X))


def test_sparse_rows_are_never_made_dense():
    X = sp.random(200, 10**5, density=1e-4, format="csr", random_state=0)
    y = np.random.default_rng(0).integers(2, size=200)
    tracemalloc.start()
    model = SmoothLinearSVC(C=10.0).fit(X, y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.2 * 8 * 200 * 10**5
    assert model.gradient_norm_[0] <= 1e-10
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("class_weight", [None, "balanced", {"a": 3.0}])
def test_weights_are_repetitions(n_classes, class_weight):
    X, y, _ = data(n_classes)
    times = np.random.default_rng(1).integers(0, 4, N)
    model = SmoothLinearSVC(temperature=1e-3, class_weight=class_weight)
    weighted = clone(model).fit(X, y, sample_weight=times)
    same(weighted, clone(model).fit(np.repeat(X, times, axis=0), np.repeat(y, times)))
    plain = clone(model).fit(X, y)
    assert np.abs(plain.coef_ - weighted.coef_).max() > 1e-2


def test_a_class_without_weight_is_absent():
    X, y, _ = data(3)
    model = SmoothLinearSVC().fit(X, y, sample_weight=(y != "b").astype(float))
    assert_array_equal(model.classes_, ["a", "c"])
    same(model, SmoothLinearSVC().fit(X[y != "b"], y[y != "b"]))


@pytest.mark.parametrize("t", [0.1, 1e-4])
def test_the_order_of_rows_does_not_matter(t):
    X, y, s = data(3)
    order = np.random.default_rng(2).permutation(N)
    model = SmoothLinearSVC(temperature=t).fit(X, y, sample_weight=s)
    same(SmoothLinearSVC(temperature=t).fit(X[order], y[order], sample_weight=s[order]), model)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_class_weights_are_sample_weights(n_classes):
    X, y, s = data(n_classes)
    given = SmoothLinearSVC(class_weight={"a": 2.0, "b": 0.5}).fit(X, y, sample_weight=s)
    product = s * np.select([y == "a", y == "b"], [2.0, 0.5], 1.0)
    same(given, SmoothLinearSVC().fit(X, y, sample_weight=product))
    balanced = SmoothLinearSVC(class_weight="balanced").fit(X, y, sample_weight=s)
    product = s * np.array([s.sum() / (n_classes * s[y == label].sum()) for label in y])
    same(balanced, SmoothLinearSVC().fit(X, y, sample_weight=product))


def test_one_versus_the_rest_is_three_binary_fits():
    X, y, s = data(3)
    model = SmoothLinearSVC(temperature=1e-3).fit(X, y, sample_weight=s)
    assert model.coef_.shape == (3, 4) and model.intercept_.shape == (3,)
    assert model.n_iter_.shape == model.gradient_norm_.shape == (3,)
    for k, label in enumerate("abc"):
        one = SmoothLinearSVC(temperature=1e-3).fit(X, y == label, sample_weight=s)
        assert_allclose(model.coef_[k], one.coef_[0], rtol=1e-8, atol=1e-10)
        assert_allclose(model.intercept_[k], one.intercept_[0], rtol=1e-8, atol=1e-10)
        assert_allclose(model.decision_function(X)[:, k], one.decision_function(X), atol=1e-8)
    expected = model.classes_[np.argmax(X @ model.coef_.T + model.intercept_, axis=1)]
    assert_array_equal(model.predict(X), expected)
    assert model.score(X, y, sample_weight=s) == np.average(expected == y, weights=s)


def test_two_classes_have_one_sign():
    X, y, _ = data()
    model = SmoothLinearSVC().fit(X, y)
    assert model.decision_function(X).shape == (N,)
    assert_array_equal(model.predict(X), np.where(model.decision_function(X) > 0, "b", "a"))
    assert model.score(X, y) > 0.7


def test_float32_is_computed_in_float64():
    X, y, s = data(3)
    X = X.astype(np.float32)
    model = SmoothLinearSVC().fit(X, y, sample_weight=s)
    same(model, SmoothLinearSVC().fit(X.astype(np.float64), y, sample_weight=s), rtol=1e-14)
    assert model.coef_.dtype == np.float64


@pytest.mark.parametrize("t", [1e-2, 1e-4])
def test_where_no_row_is_near_the_margin(t):
    # All rows are inside the margin and the classes balance: the slope of b is zero but for tails.
    X, _, _ = data()
    y = np.repeat([0, 1], N // 2)
    model = SmoothLinearSVC(C=1e-7, temperature=t).fit(X, y)
    sign = 2.0 * y - 1.0
    assert_allclose(model.coef_[0], 1e-7 * sign @ X, rtol=1e-9)
    assert abs(model.intercept_[0]) < 1.0
    # And a free intercept that must travel out of such a plateau.
    lone = SmoothLinearSVC(C=1e-7, temperature=t).fit(X, np.arange(N) == 0)
    assert_allclose(lone.intercept_, -1.0, atol=10 * t)
    assert lone.gradient_norm_[0] <= 1e-10


def test_features_that_say_nothing():
    y = np.repeat([0, 1], [50, 30])
    model = SmoothLinearSVC(temperature=1e-3).fit(np.zeros((80, 2)), y)
    assert_array_equal(model.coef_, 0.0)
    # 30 / 80 = s for the pull of the larger class: sum_i y_i expit((1 - y_i b) / t) = 0
    b = model.intercept_[0]
    assert_allclose(50 / (1 + np.exp(-(1 + b) / 1e-3)), 30.0, rtol=1e-9)


def test_few_steps_warn():
    X, y, _ = data(3)
    with pytest.warns(ConvergenceWarning) as record:
        model = SmoothLinearSVC(max_iter=1).fit(X, y)
    (warning,) = record
    message = str(warning.message)
    assert warning.filename == __file__
    assert f"The relative gradient {model.gradient_norm_.max():.2g} was reached" in message
    assert "after 1 Newton steps" in message and "tol=1e-10 is accepted" in message
    assert "Raise max_iter=1. Scale the features" in message
    assert_array_equal(model.n_iter_, 1)


def test_a_tolerance_below_rounding_warns_and_ends():
    X, y, _ = data()
    with pytest.warns(ConvergenceWarning, match="tol=1e-20 is accepted. Scale the features"):
        model = SmoothLinearSVC(tol=1e-20, temperature=1e-3).fit(X, y)
    assert model.gradient_norm_[0] < 1e-12 and model.n_iter_[0] < 60


BAD = [
    ({"C": 0.0}, "C=0.0 was given; a finite number above 0 is accepted"),
    ({"C": np.inf}, "C=inf was given"),
    ({"C": "1"}, "C='1' was given"),
    ({"temperature": -1.0}, "temperature=-1.0 was given; a finite number above 0"),
    ({"temperature": None}, "temperature=None was given"),
    ({"tol": 0.0}, "tol=0.0 was given"),
    ({"tol": True}, "tol=True was given"),
    (
        {"intercept_scaling": 0.0},
        r"intercept_scaling=0.0 was given; None \(no penalty\) or a finite number above 0",
    ),
    ({"max_iter": 0}, "max_iter=0 was given; a whole number of at least 1 is accepted"),
    ({"max_iter": 10.0}, "max_iter=10.0 was given"),
    ({"class_weight": "even"}, "class_weight='even' was given; None, 'balanced' or a dict"),
    ({"class_weight": {"z": 1.0}}, r"has the label 'z'; the labels of the rows are \['a', 'b'\]"),
    ({"class_weight": {"a": 0.0}}, r"class_weight\['a'\]=0.0 was given; a finite number above 0"),
]


@pytest.mark.parametrize(("kwargs", "message"), BAD)
def test_parameters_that_are_refused(kwargs, message):
    X, y, _ = data()
    with pytest.raises(ValueError, match=message):
        SmoothLinearSVC(**kwargs).fit(X, y)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_weights_that_are_refused(wrong):
    X, y, s = data()
    s[3] = wrong
    with pytest.raises(ValueError, match="negative, infinite or NaN values, or of zeros alone"):
        SmoothLinearSVC().fit(X, y, sample_weight=s)
    with pytest.raises(ValueError, match="of zeros alone"):
        SmoothLinearSVC().fit(X, y, sample_weight=np.zeros(N))
    with pytest.raises(ValueError, match=r"shape \(3,\) was given; one weight per row"):
        SmoothLinearSVC().fit(X, y, sample_weight=np.ones(3))


def test_one_class_is_refused():
    X, y, _ = data()
    with pytest.raises(ValueError, match=r"only one class were given, \['a'\]"):
        SmoothLinearSVC().fit(X, np.full(N, "a"))
    with pytest.raises(ValueError, match="at least 2 classes are accepted"):
        SmoothLinearSVC().fit(X, y, sample_weight=y == "a")
