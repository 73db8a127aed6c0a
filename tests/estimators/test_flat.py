"""Models with more than one optimum, and columns far from zero: what is unique is answered.

Against scikit-learn's own refits, which take the optimum of the shortest coefficients under squared
error, and against the same model in fewer columns.
"""

import re
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    HuberRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.solvers import SingularCurvatureError
from tests.model_table import OLD

N = 60
RNG = np.random.default_rng(0)
LEVELS = np.column_stack([RNG.integers(0, 4, N), RNG.integers(0, 3, N)])
NUMBER = RNG.standard_normal(N)
ROWS = np.column_stack([LEVELS, NUMBER])
TARGET = LEVELS[:, 0] + NUMBER + RNG.standard_normal(N)
FULL = np.column_stack([OneHotEncoder(sparse_output=False).fit_transform(LEVELS), NUMBER])
FEWER = np.column_stack(
    [OneHotEncoder(sparse_output=False, drop="first").fit_transform(LEVELS), NUMBER]
)
ODD = RNG.standard_normal((5, FULL.shape[1]))  # no rows of levels
COUNTS = RNG.poisson(np.exp(0.3 * LEVELS[:, 0]))
NOISY = (np.median(TARGET) < TARGET) ^ (RNG.random(N) < 0.2)
SPARSE = sparse.csr_matrix(FULL)


def dense(X):
    return X.toarray() if sparse.issparse(X) else X


# scikit-learn 1.6 has no `tol`, and stops at a gradient of 1e-6.
TIGHT = {} if OLD else {"tol": 1e-14}
LEAST_SQUARES = {
    "plain": (LinearRegression(), FULL, TARGET),
    "sparse": (LinearRegression(**TIGHT), SPARSE, TARGET),
    "two targets": (LinearRegression(), FULL, np.column_stack([TARGET, NUMBER**2])),
    "no intercept": (
        LinearRegression(fit_intercept=False),
        np.column_stack([FULL, 2 * NUMBER - FULL[:, 0]]),
        TARGET,
    ),
    "constant": (LinearRegression(), np.column_stack([FULL, np.full(N, 5.0)]), TARGET),
    "units": (LinearRegression(), FULL * np.geomspace(1e-3, 1e3, FULL.shape[1]), TARGET),
}
if OLD:
    del LEAST_SQUARES["sparse"]  # its fitted parameters are too far off to be compared with


@pytest.mark.parametrize("name", LEAST_SQUARES)
@pytest.mark.parametrize("method", ["newton", "exact"])
def test_least_squares_takes_the_shortest_coefficients_as_scikit_learn_does(name, method):
    inner, X, y = LEAST_SQUARES[name]
    model = InfluenceRegressor(inner).fit(X, y)

    def refit(gone):
        kept = np.delete(np.arange(N), gone)
        return clone(inner).fit(dense(X)[kept], y[kept])

    left_out = model.leave_one_out(method=method, return_parameters=True)
    refits = [refit(i) for i in range(N)]
    expected = [r.predict(dense(X)[[i]])[0] for i, r in enumerate(refits)]
    np.testing.assert_allclose(left_out.predictions, expected, rtol=1e-8, atol=1e-9)
    parameters = [
        np.column_stack([np.atleast_2d(r.coef_), *([r.intercept_] if r.fit_intercept else [])])
        if np.ndim(r.coef_) == 2
        else np.r_[r.coef_, [r.intercept_] if r.fit_intercept else []]
        for r in refits
    ]
    parameters = np.reshape(parameters, (N, -1))
    size = np.maximum(np.abs(parameters).max(axis=0), 1e-6)  # of a constant column it is 0
    np.testing.assert_allclose(left_out.parameters / size, parameters / size, atol=1e-8)
    changes = model.parameter_influence(method=method).changes
    np.testing.assert_allclose(
        changes / size, (parameters - parameters_of(model)) / size, atol=1e-8
    )
    # rows that do not keep to the dependence of the columns are predicted by the shortest ones
    odd = np.resize(ODD, (5, X.shape[1]))
    output = {"output": 0} if np.ndim(y) == 2 else {}
    scores = model.influence_scores(odd, target="predict", method=method, **output)
    whole = clone(inner).fit(dense(X), y).predict(odd).reshape(5, -1)[:, 0]
    actual = np.array([r.predict(odd).reshape(5, -1)[:, 0] - whole for r in refits]).T
    np.testing.assert_allclose(scores, actual, atol=1e-8 * np.abs(actual).max())
    without = model.without([3, 17], method=method).estimator_
    np.testing.assert_allclose(
        without.predict(dense(X)), refit([3, 17]).predict(dense(X)), rtol=1e-7
    )
    np.testing.assert_allclose(without.coef_, refit([3, 17]).coef_, rtol=1e-6, atol=1e-9)
    groups = model.group_influence(
        np.arange(N) % 6, odd, target="predict", method=method, **output
    ).scores
    actual = refit(np.arange(0, N, 6)).predict(odd).reshape(5, -1)[:, 0] - whole
    np.testing.assert_allclose(groups[:, 0], actual, atol=1e-8 * np.abs(actual).max())


def parameters_of(model):
    inner = model.estimator_
    W = np.atleast_2d(inner.coef_)
    return np.column_stack([W, inner.intercept_]).ravel() if inner.fit_intercept else W.ravel()


def test_new_rows_and_labels_of_least_squares():
    model = InfluenceRegressor(LinearRegression()).fit(FULL, TARGET)
    base = LinearRegression().fit(FULL, TARGET).predict(ODD)
    added = model.addition_influence(FULL[:2], [9.0, -9.0], ODD, target="predict").scores
    for j, y in enumerate([9.0, -9.0]):
        more = LinearRegression().fit(np.vstack([FULL, FULL[j]]), np.r_[TARGET, y])
        np.testing.assert_allclose(added[:, j], more.predict(ODD) - base, rtol=1e-8, atol=1e-10)
    relabelled = model.relabel_influence(TARGET[::-1], ODD, target="predict").scores
    y = np.r_[TARGET[-1], TARGET[1:]]
    other = LinearRegression().fit(FULL, y).predict(ODD) - base
    np.testing.assert_allclose(relabelled[:, 0], other, rtol=1e-8, atol=1e-10)
    with pytest.raises(ValueError, match="Columns of the training rows depend on each other"):
        model.addition_influence(ODD[:1], [1.0], ODD, target="predict")  # it would be fitted alone
    check = model.leave_one_out_check(FULL[:5], TARGET[:5], rows=5)
    assert abs(check.slope - 1.0) < 1e-9 and check.relative_error < 1e-9
    assert "2 of 8 columns depend on the others" in model.solver_


def test_columns_that_only_rows_without_weight_have():
    """They are no columns of the fit: scikit-learn gives them the coefficient 0."""
    X, s = np.column_stack([FEWER, np.arange(N) == 3]).astype(float), 1.0 * (np.arange(N) != 3)
    model = InfluenceRegressor(LinearRegression()).fit(X, TARGET, sample_weight=s)
    kept = np.delete(np.arange(N), 3)
    expected = InfluenceRegressor(LinearRegression()).fit(FEWER[kept], TARGET[kept])
    scores = model.influence_scores(X[:20], TARGET[:20])
    expected = expected.influence_scores(FEWER[:20], TARGET[:20])
    rows = np.arange(20) != 3  # that row itself is predicted with the coefficient 0 too
    np.testing.assert_allclose(scores[rows][:, kept], expected[rows], rtol=1e-8, atol=1e-12)
    assert np.all(scores[:, 3] == 0.0)


def test_a_pipeline_with_a_full_encoding():
    encoder = make_column_transformer((OneHotEncoder(), [0, 1]), remainder="passthrough")
    model = InfluenceRegressor(make_pipeline(encoder, LinearRegression(**TIGHT)))
    found = model.fit(ROWS, TARGET).leave_one_out().predictions
    expected = InfluenceRegressor(LinearRegression()).fit(FEWER, TARGET).leave_one_out().predictions
    np.testing.assert_allclose(found, expected, rtol=1e-9)


GLMS = {
    "poisson": (PoissonRegressor(alpha=0.0, tol=1e-12, max_iter=10_000), COUNTS),
    "huber": (HuberRegressor(alpha=0.0, tol=1e-10, max_iter=100_000), TARGET),
    "logistic": (LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000), NOISY),
    "multinomial": (
        LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000),
        RNG.permutation(np.arange(N) % 3),
    ),
    "ridge": (RidgeClassifier(alpha=0.0, solver="svd"), NOISY),
}


@pytest.mark.filterwarnings("ignore:.*failed to converge")
@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
@pytest.mark.parametrize("name", GLMS)
def test_other_models_are_those_of_fewer_columns(name, method):
    inner, y = GLMS[name]
    wrapper = InfluenceRegressor if name in ("poisson", "huber") else InfluenceClassifier
    full, fewer = (wrapper(inner).fit(X, y) for X in (FULL, FEWER))
    target = "linear_predictor" if wrapper is InfluenceRegressor else "decision_function"
    ask = {"target": target, "method": method}
    expected = fewer.influence_scores(FEWER[:20], **ask)
    atol = 1e-7 * np.abs(expected).max()
    np.testing.assert_allclose(full.influence_scores(FULL[:20], **ask), expected, atol=atol)
    decisions = (m.leave_one_out(method=method).decisions for m in (full, fewer))
    np.testing.assert_allclose(*decisions, atol=1e-6)
    np.testing.assert_allclose(
        *(m.self_influence(method=method).scores for m in (full, fewer)), atol=1e-6
    )
    if name == "ridge":  # squared error: the shortest are meant
        return
    with pytest.raises(ValueError, match="5 of these rows, the first at 0, do not keep to that"):
        full.influence_scores(ODD, **ask)
    with pytest.raises(ValueError, match="the coefficients are not unique"):
        full.parameter_influence(method=method)
    with pytest.raises(ValueError, match="columns that depend on each other"):
        full.input_influence(FULL[:2], rows=[1], target=target)
    if method == "exact":
        copies = (m.without([2, 5]).estimator_ for m in (full, fewer))
        predicted = [e.predict(X) for e, X in zip(copies, (FULL, FEWER), strict=True)]
        np.testing.assert_allclose(*predicted, rtol=1e-6)


def test_what_is_not_unique_is_refused():
    wide = RNG.standard_normal((20, 30))
    model = InfluenceRegressor(LinearRegression()).fit(wide, TARGET[:20])
    message = (
        "more parameters than the 20 rows.*Drop such columns, fit with a penalty .*damping > 0"
    )
    with pytest.raises(SingularCurvatureError, match=message):
        model.leave_one_out()
    nearly = np.column_stack([FULL, NUMBER + 1e-9 * RNG.standard_normal(N)])
    with pytest.raises(SingularCurvatureError, match="nearly so or exactly"):
        InfluenceRegressor(LinearRegression()).fit(nearly, TARGET).leave_one_out()


@pytest.mark.parametrize("damping", [0.0, 1e-3])
@pytest.mark.parametrize("penalty", [0.0, 1e-30])
def test_advice_is_not_what_was_done_already(damping, penalty):
    nearly = np.column_stack([NUMBER, NUMBER * (1.0 + 1e-16)])
    inner = Ridge(alpha=penalty, solver="svd")
    model = InfluenceRegressor(inner, damping=1e-30 if damping else 0.0).fit(nearly, TARGET)
    if not (damping or penalty):
        assert np.isfinite(model.leave_one_out().losses).all()
        return
    with pytest.raises(SingularCurvatureError) as said:
        model.influence_scores(nearly[:2], TARGET[:2])
    words = str(said.value)
    assert ("a larger penalty" in words) == (penalty > 0)
    assert ("a larger damping" in words) == (damping > 0)
    assert "StandardScaler" not in words


# ------------------------------------------------------------------------- far from zero


TIMES = {
    "julian day": (2460000.5, 1.0),
    "julian day, hourly": (2460000.5, 1 / 24),
    "unix, 3 min": (1.7e9, 180.0),
    "unix ms, seconds": (1.7e12, 1e3),
    "years": (2000.0, 1e-2),
}


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("kind", ["least squares", "ridge", "logistic", "quadratic"])
def test_columns_far_from_zero_keep_their_digits(name, kind):
    start, step = TIMES[name]
    day = np.arange(float(N))
    near = np.column_stack([step * (day - 30.0), NUMBER])
    far = near + np.array([start + 30.0 * step, 0.0])
    test_near, test_far = near[:7] + 0.5, far[:7] + 0.5
    if kind == "logistic":  # a fit of these columns by scikit-learn itself does not converge
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            inner = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12, max_iter=1000)
            base = inner.fit(near, NOISY)
            moved = clone(inner).fit(near, NOISY)
            moved.intercept_ = base.intercept_ - base.coef_ @ (far - near)[0]
        models = [
            inner_of.fit(X, NOISY) for inner_of, X in ((frozen(base), near), (frozen(moved), far))
        ]
        ask = {"target": "decision_function"}
    else:
        inner = {
            "least squares": LinearRegression(),
            "ridge": Ridge(alpha=3.0, solver="svd"),
            "quadratic": LinearRegression(),
        }[kind]
        if kind == "quadratic":
            squares = PolynomialFeatures(2, include_bias=False)
            near, test_near = squares.fit_transform(near), squares.transform(test_near)
            far = near + np.r_[start, np.zeros(near.shape[1] - 1)]
            test_far = test_near + np.r_[start, np.zeros(near.shape[1] - 1)]
        models = [InfluenceRegressor(inner).fit(X, TARGET) for X in (near, far)]
        ask = {"target": "predict"}
    for method in ("first_order", "newton", "exact"):
        expected = models[0].influence_scores(test_near, method=method, **ask)
        found = models[1].influence_scores(test_far, method=method, **ask)
        np.testing.assert_allclose(found, expected, atol=1e-8 * np.abs(expected).max())
    slopes = [m.parameter_influence().changes[:, :2] for m in models]
    np.testing.assert_allclose(slopes[1], slopes[0], atol=1e-7 * np.abs(slopes[0]).max())
    # the intercept is that of the columns as they were given
    changes = models[1].parameter_influence().changes
    predicted = changes[:, :-1] @ test_far.T + changes[:, -1:]
    newton = models[0].parameter_influence().changes
    expected = newton[:, :-1] @ test_near.T + newton[:, -1:]
    largest = np.abs(changes[:, :-1]).max() * np.abs(far).max()
    np.testing.assert_allclose(predicted, expected, atol=1e-13 * largest)
    coef = [m.without([4, 9]).estimator_.coef_ for m in models]
    np.testing.assert_allclose(coef[1], coef[0], rtol=1e-6)
    derivatives = [
        m.input_influence(X, rows=[0, 8], **ask).derivatives
        for m, X in zip(models, (test_near, test_far), strict=True)
    ]
    np.testing.assert_allclose(*derivatives, atol=1e-6 * np.abs(derivatives[0]).max())


def frozen(estimator):
    return InfluenceClassifier(FrozenEstimator(estimator))


def test_columns_that_are_not_far_stay_as_they_are():
    model = InfluenceRegressor(LinearRegression()).fit(FEWER, TARGET)
    assert model._current().objective().X is FEWER


# ------------------------------------------------------------------------------ networks


def network(activation, alpha, shift=3.0):
    X = np.column_stack([NUMBER, RNG.standard_normal(N) + shift, LEVELS[:, 0]])
    y = NUMBER + 0.3 * np.sin(X[:, 1])
    inner = MLPRegressor(
        hidden_layer_sizes=(6,),
        activation=activation,
        alpha=alpha,
        solver="lbfgs",
        max_iter=3000,
        tol=1e-10,
        random_state=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return InfluenceRegressor(inner).fit(X, y), X, y


@pytest.mark.filterwarnings("ignore:.*stopped before its stationary point")
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_directions_of_a_network_that_no_row_sees_are_left_out(activation, alpha):
    """Units that all rows use alike: a shift of their intercept is one of the output's."""
    model, X, y = network(activation, alpha)
    scores = model.influence_scores(X[:20], y[:20])
    assert re.search(r"; \d+ flat direction\(s\) that no training row sees", model.solver_)
    objective = model._current().objective()
    H = objective.gauss_newton(np.eye(objective.n_params))
    inverse = np.linalg.pinv(H, rcond=1e-11, hermitian=True)
    gradients = objective.weighted_grad_sum(np.eye(N))
    expected = gradients[:, :20].T @ inverse @ gradients
    np.testing.assert_allclose(scores, expected, atol=1e-9 * np.abs(expected).max())
    changes = (inverse @ gradients).T  # the shortest
    atol = 1e-9 * np.abs(changes).max()
    np.testing.assert_allclose(model.parameter_influence().changes, changes, atol=atol)
    if activation == "relu":  # rows for which these units are off
        with pytest.raises(ValueError, match=r"of these test rows, the first at 0, depend on them"):
            model.influence_scores(X[:3] - 20.0, y[:3])
        assert np.isfinite(
            model.set_params(damping=0.1).influence_scores(X[:3] - 20.0, y[:3])
        ).all()


@pytest.mark.filterwarnings("ignore:.*stopped before its stationary point")
@pytest.mark.parametrize("sizes", [(6, 6), (3,)])
@pytest.mark.parametrize("seed", [0, 1])
def test_directions_that_no_row_sees_of_networks_of_many_scales(sizes, seed):
    """More parameters than rows; units shrunk to nothing by the penalty."""
    X = RNG.standard_normal((N, 3))
    y = np.tanh(X[:, 0]) + 0.5 * X[:, 1] + 0.3 * RNG.standard_normal(N)
    inner = MLPRegressor(
        hidden_layer_sizes=sizes,
        activation="relu" if len(sizes) == 2 else "tanh",
        alpha=1.0 if len(sizes) == 2 else 100.0,
        solver="lbfgs",
        max_iter=5000,
        tol=1e-12,
        random_state=seed,
    )
    model = InfluenceRegressor(inner).fit(X, y)
    scores = model.influence_scores(X[:20], y[:20])
    objective = model._current().objective()
    H = objective.gauss_newton(np.eye(objective.n_params))
    gradients = objective.weighted_grad_sum(np.eye(N))
    inverse = np.linalg.pinv(H, rcond=1e-12, hermitian=True)
    expected = gradients[:, :20].T @ inverse @ gradients
    np.testing.assert_allclose(scores, expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.filterwarnings("ignore:.*stopped before its stationary point")
def test_equal_units_of_a_classifier():
    X, y = FEWER[:, -3:], NOISY
    inner = MLPClassifier((4,), activation="tanh", alpha=0.0, max_iter=50, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inner.fit(X, y)
    W, b, v = inner.coefs_[0], inner.intercepts_[0], inner.coefs_[1]
    W[:, 1], b[1], v[1] = W[:, 0], b[0], v[0]
    model = frozen(inner).fit(X, y)
    scores = model.influence_scores(X[:20], y[:20])
    objective = model._current().objective()
    H = objective.gauss_newton(np.eye(objective.n_params))
    inverse = np.linalg.pinv(H, rcond=1e-11, hermitian=True)
    gradients = objective.weighted_grad_sum(np.eye(N))
    expected = gradients[:, :20].T @ inverse @ gradients
    np.testing.assert_allclose(scores, expected, atol=1e-7 * np.abs(expected).max())
    assert "flat direction" in model.solver_


# --------------------------------------------------------------------------- diagnostics


def test_diagnostics_of_a_full_encoding_are_those_of_fewer_columns():
    sm = pytest.importorskip("statsmodels.api")
    found = InfluenceRegressor(LinearRegression()).fit(FULL, TARGET).diagnostics()
    fit = sm.OLS(TARGET, sm.add_constant(FEWER)).fit()
    theirs = fit.get_influence()
    np.testing.assert_allclose(found.cooks_distance, theirs.cooks_distance[0], rtol=1e-9)
    np.testing.assert_allclose(found.hat_diagonal, theirs.hat_matrix_diag, rtol=1e-9)
    residuals = theirs.resid_studentized_external
    np.testing.assert_allclose(found.studentized_residuals, residuals, rtol=1e-9)
    np.testing.assert_allclose(found.cov_ratio, theirs.cov_ratio, rtol=1e-9)
    # of the coefficients only that of the number is unique
    unique = np.arange(FULL.shape[1] + 1) == FULL.shape[1] - 1
    np.testing.assert_array_equal(np.isnan(found.standard_errors), ~unique)
    np.testing.assert_array_equal(np.isnan(found.dfbetas).any(axis=0), ~unique)
    np.testing.assert_allclose(found.standard_errors[unique], fit.bse[-1], rtol=1e-9)
    np.testing.assert_allclose(found.dfbetas[:, unique][:, 0], -theirs.dfbetas[:, -1], rtol=1e-8)


def test_parameters_of_columns_far_from_zero_are_those_of_the_columns_as_given():
    sm = pytest.importorskip("statsmodels.api")
    X = np.column_stack([2000.0 + np.arange(N) / 100.0, NUMBER])
    found = InfluenceRegressor(LinearRegression()).fit(X, TARGET).diagnostics()
    fit = sm.OLS(TARGET, np.column_stack([X, np.ones(N)])).fit()
    np.testing.assert_allclose(found.standard_errors, fit.bse, rtol=1e-6)
    np.testing.assert_allclose(found.dfbetas, -fit.get_influence().dfbetas, rtol=1e-5)
