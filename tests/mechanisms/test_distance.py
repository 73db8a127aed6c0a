"""Where scores are computed: refined or not, frozen or not, and what is said about it."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.solvers import Cholesky
from tests.cases import classification, regression

DATA = classification()
REAL = regression()
FOREIGN = "do not look like the rows, weights or hyper-parameters this model was fitted with"


def tight(**params):
    return LogisticRegression(tol=1e-10, solver="newton-cholesky", **params)


def scores(model, data=DATA, **params):
    return model.influence_scores(data.X_test, data.y_test, **params)


def fitted(estimator, X=DATA.X, y=DATA.y, **params):
    """Fit without a word about convergence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y, **params)


# ---------------------------------------------------------------------------- refinement

BAD = {
    "saga": LogisticRegression(solver="saga", max_iter=3, random_state=0),
    "lbfgs": LogisticRegression(max_iter=2),
}


@pytest.mark.parametrize("name", BAD)
def test_far_fits_are_refined_and_reported_once(name):
    model = fitted(InfluenceClassifier(BAD[name]))
    before = model.estimator_.coef_.copy(), model.estimator_.intercept_.copy()
    message = (
        r"LogisticRegression stopped before its stationary point: it is [\d.]+ times the sampling "
        r"noise away \(Newton decrement\)\. Scores are those of the "
        r"stationary point, which estimator_ is not; fit with a "
        r"smaller tol or a larger max_iter\."
    )
    with pytest.warns(ConvergenceWarning, match=message) as record:
        got = scores(model)
    assert [w.filename for w in record] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores(model)
        model.leave_one_out_check(DATA.X_test, DATA.y_test, rows=2)
    np.testing.assert_allclose(got, scores(fitted(InfluenceClassifier(tight()))), rtol=1e-6)
    np.testing.assert_array_equal(model.estimator_.coef_, before[0])
    np.testing.assert_array_equal(model.estimator_.intercept_, before[1])
    assert model.refinement_.relative_distance > 0.1
    assert model.refinement_.gradient_norm > 0.1
    assert model.refinement_.remaining_gradient_norm < 1e-8


def test_a_warning_points_at_the_call_whatever_was_asked():
    for ask in ("influence_scores", "influence", "leave_one_out_check"):
        model = fitted(InfluenceClassifier(BAD["lbfgs"]))
        with pytest.warns(ConvergenceWarning) as record:
            getattr(model, ask)(DATA.X_test, DATA.y_test)
        assert [w.filename for w in record] == [__file__]


def test_good_fits_are_refined_in_silence():
    model = InfluenceClassifier(LogisticRegression()).fit(DATA.X, DATA.y)
    coef = model.estimator_.coef_.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = scores(model)
    np.testing.assert_allclose(got, scores(fitted(InfluenceClassifier(tight()))), rtol=1e-6)
    np.testing.assert_array_equal(model.estimator_.coef_, coef)
    refinement = model.refinement_
    assert 0 < refinement.relative_distance < 0.1
    assert refinement.remaining_gradient_norm < 1e-3 * refinement.gradient_norm


def test_without_refinement_scores_are_those_of_the_fitted_parameters():
    model = fitted(InfluenceClassifier(BAD["lbfgs"], refine=False, method="first_order"))
    message = "Scores are first derivatives at a point where the gradient is not zero"
    with pytest.warns(ConvergenceWarning, match=message):
        got = scores(model)
    X, X_test = (np.column_stack([A, np.ones(len(A))]) for A in (DATA.X, DATA.X_test))
    p, p_test = (model.estimator_.predict_proba(A)[:, 1] for A in (DATA.X, DATA.X_test))
    H = X.T @ (X * (p * (1 - p))[:, None]) + np.diag([1.0] * DATA.X.shape[1] + [0.0])
    expected = (X_test * (p_test - DATA.y_test)[:, None]) @ np.linalg.solve(
        H, (X * (p - DATA.y)[:, None]).T
    )
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    assert model.refinement_.n_iter == 0


def test_damping_is_in_units_of_the_hessian():
    model = InfluenceRegressor(Ridge(alpha=2.0), method="first_order", damping=3.0)
    got = scores(model.fit(REAL.X, REAL.y), REAL)
    X, X_test = (np.column_stack([A, np.ones(len(A))]) for A in (REAL.X, REAL.X_test))
    H = X.T @ X + np.diag([2.0] * REAL.X.shape[1] + [0.0]) + 3.0 * np.eye(X.shape[1])
    residuals = model.predict(REAL.X) - REAL.y
    test_residuals = model.predict(REAL.X_test) - REAL.y_test
    moves = np.linalg.solve(H, (X * residuals[:, None]).T)
    np.testing.assert_allclose(got, (X_test * test_residuals[:, None]) @ moves, rtol=1e-9)


def test_solver_says_which_and_why():
    model = InfluenceClassifier().fit(DATA.X, DATA.y)
    assert not hasattr(model, "solver_")
    expected = scores(model)
    assert (
        model.solver_ == "cholesky: positive semidefinite curvature of 1 block(s) of 5 parameters"
    )
    for solver, reason in {"cholesky": "asked for", Cholesky(): "given as an object"}.items():
        np.testing.assert_array_equal(scores(model.set_params(solver=solver)), expected)
        assert model.solver_ == f"cholesky: {reason}"


# -------------------------------------------------------------------------------- frozen


def test_frozen_estimator_is_taken_as_it_is():
    inner = tight().fit(DATA.X, DATA.y, DATA.s)
    before = {name: np.copy(value) for name, value in vars(inner).items()}
    model = InfluenceClassifier(FrozenEstimator(inner)).fit(DATA.X, DATA.y, DATA.s)
    expected = InfluenceClassifier(tight()).fit(DATA.X, DATA.y, DATA.s)
    np.testing.assert_array_equal(scores(model), scores(expected))
    np.testing.assert_array_equal(model.predict(DATA.X_test), inner.predict(DATA.X_test))
    assert model.estimator_.estimator is inner
    assert model.classes_.tolist() == [0, 1]
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(inner, name), value)


def test_frozen_pipeline_is_taken_as_it_is():
    pipeline = make_pipeline(StandardScaler(), tight()).fit(DATA.X, DATA.y)
    model = InfluenceClassifier(FrozenEstimator(pipeline)).fit(DATA.X, DATA.y)
    expected = InfluenceClassifier(clone(pipeline)).fit(DATA.X, DATA.y)
    np.testing.assert_array_equal(scores(model), scores(expected))
    assert model.estimator_.estimator is pipeline


@pytest.mark.parametrize("key", ["sample_weight", "logisticregression__sample_weight"])
def test_weights_of_a_frozen_pipeline(key):
    """Its transformers are frozen, so that its weights are those of its final step."""
    pipeline = make_pipeline(StandardScaler(), tight())
    pipeline.fit(DATA.X, DATA.y, logisticregression__sample_weight=DATA.s)
    model = InfluenceClassifier(FrozenEstimator(pipeline)).fit(DATA.X, DATA.y, **{key: DATA.s})
    expected = InfluenceClassifier(clone(pipeline))
    expected.fit(DATA.X, DATA.y, logisticregression__sample_weight=DATA.s)
    np.testing.assert_array_equal(scores(model), scores(expected))


def test_frozen_final_step():
    scaler = StandardScaler().fit(DATA.X)
    inner = tight().fit(scaler.transform(DATA.X), DATA.y)
    model = InfluenceClassifier(make_pipeline(StandardScaler(), FrozenEstimator(inner)))
    got = scores(model.fit(DATA.X, DATA.y))
    expected = InfluenceClassifier(make_pipeline(StandardScaler(), tight())).fit(DATA.X, DATA.y)
    np.testing.assert_array_equal(got, scores(expected))
    assert model.estimator_[-1].estimator is inner
    # once the scaler is another one, the frozen step is at home no longer
    model = InfluenceClassifier(make_pipeline(MinMaxScaler(), FrozenEstimator(inner)))
    with pytest.raises(ValueError, match=FOREIGN):
        scores(model.fit(DATA.X, DATA.y))


def with_other_penalty():
    inner = tight(C=1.0).fit(DATA.X, DATA.y)
    return inner.set_params(C=0.001)


OTHER = classification(seed=5)
STRANGERS = {
    "rows": (lambda: tight().fit(OTHER.X, OTHER.y), {}),
    "labels": (lambda: tight().fit(DATA.X, 1 - DATA.y), {}),
    "weights": (lambda: tight().fit(DATA.X, DATA.y), {"sample_weight": DATA.y + 0.1}),
    "forgotten weights": (lambda: tight().fit(DATA.X, DATA.y, DATA.y * 5 + 0.1), {}),
    "C": (with_other_penalty, {}),
    "pipeline": (lambda: make_pipeline(StandardScaler(), tight()).fit(OTHER.X, OTHER.y), {}),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_frozen_estimator_of_something_else_is_refused(name):
    make, params = STRANGERS[name]
    inner = make()
    model = InfluenceClassifier(FrozenEstimator(inner)).fit(DATA.X, DATA.y, **params)
    message = (
        r"The fitted LogisticRegression is [\d.]+ times the sampling noise away from its "
        r"optimum on these rows \(Newton decrement; another sample would be about 1 away\): these "
        rf"{FOREIGN}, or it did not converge\. Pass what it was fitted with, fit "
        r"it with a smaller tol or a larger max_iter, or pass refine=True to score the optimum on "
        r"these rows instead\."
    )
    for call in (scores, lambda m: m.leave_one_out_check(DATA.X_test, DATA.y_test, rows=1)):
        with pytest.raises(ValueError, match=message):
            call(model)

    model.set_params(refine=True)
    with pytest.warns(ConvergenceWarning, match="Scores are those of the stationary point"):
        got = scores(model)
    final = clone(inner[-1]) if name == "pipeline" else clone(inner)
    X, X_test = DATA.X, DATA.X_test
    if name == "pipeline":
        X, X_test = inner[0].transform(X), inner[0].transform(X_test)
    own = InfluenceClassifier(final).fit(X, DATA.y, **params)
    np.testing.assert_allclose(got, own.influence_scores(X_test, DATA.y_test), rtol=1e-6)


def test_frozen_estimator_that_stopped_early_is_accepted():
    inner = fitted(LogisticRegression(max_iter=4))
    model = InfluenceClassifier(FrozenEstimator(inner)).fit(DATA.X, DATA.y)
    with pytest.warns(ConvergenceWarning, match="times the sampling noise away"):
        got = scores(model)
    np.testing.assert_allclose(got, scores(fitted(InfluenceClassifier(tight()))), rtol=1e-6)


def test_frozen_estimator_that_ran_out_of_iterations_is_accepted_however_far():
    X, y = load_breast_cancer(return_X_y=True)
    inner = fitted(LogisticRegression(max_iter=20), X, y)
    model = InfluenceClassifier(FrozenEstimator(inner)).fit(X, y)
    message = rf"If it did converge, these {FOREIGN}\."
    with pytest.warns(ConvergenceWarning, match=message):
        got = model.influence_scores(X[:3], y[:3])
    assert model.refinement_.relative_distance > 0.5
    expected = fitted(InfluenceClassifier(tight()), X, y).influence_scores(X[:3], y[:3])
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6)


def test_frozen_estimator_somewhat_off_is_doubted_but_an_own_fit_is_not():
    """Weights that differ a little may be the reason."""
    s = 1.0 + 0.3 * DATA.y
    model = InfluenceClassifier(FrozenEstimator(tight().fit(DATA.X, DATA.y, s)))
    message = rf"^These {FOREIGN}, or LogisticRegression stopped before its stationary point: it is"
    with pytest.warns(ConvergenceWarning, match=message):
        scores(model.fit(DATA.X, DATA.y))
    assert 0.1 < model.refinement_.relative_distance < 0.5
    own = fitted(InfluenceClassifier(LogisticRegression(max_iter=2)))
    with pytest.warns(ConvergenceWarning) as record:
        scores(own)
    assert FOREIGN not in str(record[0].message)


def test_frozen_estimator_that_was_never_fitted():
    for inner in (
        FrozenEstimator(LogisticRegression()),
        FrozenEstimator(make_pipeline(StandardScaler(), LogisticRegression())),
        make_pipeline(StandardScaler(), FrozenEstimator(LogisticRegression())),
    ):
        with pytest.raises(ValueError, match="LogisticRegression instance is not fitted yet"):
            InfluenceClassifier(inner).fit(DATA.X, DATA.y)


def test_frozen_estimator_of_other_features():
    frozen = FrozenEstimator(tight().fit(DATA.X, DATA.y))
    message = "X has 3 features, but LogisticRegression is expecting 4 features"
    with pytest.raises(ValueError, match=message):
        InfluenceClassifier(frozen).fit(DATA.X[:, :3], DATA.y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        InfluenceClassifier(frozen).fit(DATA.X, DATA.y[1:])


def test_frozen_transformers_are_not_refitted():
    frozen = FrozenEstimator(make_pipeline(StandardScaler(), tight()).fit(DATA.X, DATA.y))
    message = (
        "refit='pipeline' was asked for, but a FrozenEstimator keeps the transformers as they are. "
        "Use refit='final', or wrap the Pipeline itself"
    )
    for inner in (frozen, make_pipeline("passthrough", frozen), FrozenEstimator(frozen)):
        model = InfluenceClassifier(inner).fit(DATA.X, DATA.y)
        with pytest.raises(ValueError, match=message):
            model.leave_one_out_check(DATA.X_test, DATA.y_test, refit="pipeline")
        check = model.leave_one_out_check(DATA.X_test, DATA.y_test, rows=5)
        assert check.relative_error < 0.2


# ------------------------------------------------------------------------- the yardstick


@pytest.mark.parametrize("n", [500, 20_000, 200_000])
def test_default_fits_are_at_home_on_their_rows_however_many_there_are(n):
    """A default tolerance stops at a fixed gradient of the mean, further away in removals."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 10)) * rng.uniform(0.3, 3.0, 10)
    y = (X @ rng.standard_normal(10) + 2.0 * rng.standard_normal(n) > 0).astype(int)
    model = InfluenceClassifier(
        FrozenEstimator(LogisticRegression().fit(X, y)), method="first_order"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores_of_three = model.fit(X, y).influence_scores(X[:3], y[:3])
    assert np.isfinite(scores_of_three).all()
    assert model.refinement_.relative_distance < 0.1


@pytest.mark.parametrize("n", [100, 1000, 10_000])
@pytest.mark.parametrize("unit", [1.0, 1000.0])
@pytest.mark.parametrize("kind", [LogisticRegression, Ridge])
def test_a_fit_on_another_sample_is_about_one_away(kind, unit, n):
    """Whatever the number of rows and the units of features and targets; and refused."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((2 * n, 5))
    y = X @ rng.standard_normal(5) + 2.0 * rng.standard_normal(2 * n)
    y = (y > 0).astype(int) if kind is LogisticRegression else unit * y
    halves = slice(None, n), slice(n, None)
    wrapper = InfluenceClassifier if kind is LogisticRegression else InfluenceRegressor
    for train, other in (halves, halves[::-1]):
        frozen = FrozenEstimator(kind().fit(unit * X[train], y[train]))
        model = wrapper(frozen, refine=True).fit(unit * X[other], y[other])
        with pytest.warns(ConvergenceWarning, match="times the sampling noise"):
            model.influence_scores(unit * X[:2], y[:2])
        assert 0.5 < model.refinement_.relative_distance < 2.5
        with pytest.raises(ValueError, match=FOREIGN):
            model.set_params(refine="auto").influence_scores(unit * X[:2], y[:2])
