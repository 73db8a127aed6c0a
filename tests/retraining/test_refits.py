"""The judge: the user's own estimator with the tightest solver of the same objective."""

import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier
from skinfluence.retraining import judge_of, refit_without, take_rows, with_final_step
from tests.cases import classification, regression

DATA = classification()
THREE = classification(n=75, n_classes=3)
REAL = regression()
REALS = regression(n_outputs=3)


def quiet(estimator, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return estimator.fit(data.X, data.y)


def parameters(judge, user):
    """Return what the judge does differently from the user's estimator."""
    was = user.get_params(deep=False)
    return {k: v for k, v in judge.get_params(deep=False).items() if v is not was[k]}


# ----------------------------------------------------------------------------------- the judge

LOGISTIC = {"C": 0.3, "class_weight": "balanced", "fit_intercept": False, "random_state": 7}


@pytest.mark.parametrize("solver", ["lbfgs", "newton-cg", "sag", "saga"])
def test_logistic_regression_is_judged_by_newton_cholesky(solver):
    user = LogisticRegression(solver=solver, warm_start=True, **LOGISTIC).fit(DATA.X, DATA.y)
    judge = judge_of(user, DATA.X)
    expected = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 100_000, "warm_start": False}
    assert parameters(judge.estimator, user) == expected
    assert judge.notes == (
        f"solver='newton-cholesky' instead of '{solver}' (same objective, tighter)",
        "tol=1e-12",
    )
    assert not hasattr(judge.estimator, "coef_")
    assert user.solver == solver


@pytest.mark.parametrize("solver", ["liblinear", "newton-cholesky"])
def test_solvers_that_stay(solver):
    user = LogisticRegression(solver=solver, max_iter=200_000).fit(DATA.X, DATA.y)
    judge = judge_of(user, DATA.X)
    assert parameters(judge.estimator, user) == {"tol": 1e-12}
    assert judge.notes == ("tol=1e-12",)


@pytest.mark.parametrize(("solver", "tight"), [("lbfgs", "newton-cg"), ("newton-cholesky",) * 2])
def test_sparse_logistic_regression(solver, tight):
    user = LogisticRegression(solver=solver).fit(DATA.X, DATA.y)
    assert judge_of(user, sparse.csr_array(DATA.X)).estimator.solver == tight


@pytest.mark.parametrize("kind", [Ridge, RidgeClassifier])
def test_ridge_is_judged_by_svd(kind):
    user = kind(alpha=3.0, solver="sag", random_state=0).fit(DATA.X, DATA.y)
    judge = judge_of(user, DATA.X)
    expected = {"solver": "svd", "tol": 1e-12, "max_iter": 100_000}
    assert parameters(judge.estimator, user) == expected
    assert judge_of(user, sparse.csr_matrix(DATA.X)).estimator.solver == "sparse_cg"
    assert judge.notes[0] == "solver='svd' instead of 'sag' (same objective, tighter)"


def test_least_squares_is_its_own_judge():
    user = LinearRegression(fit_intercept=False).fit(REAL.X, REAL.y)
    assert set(parameters(judge_of(user, REAL.X).estimator, user)) <= {"tol"}


def test_chosen_penalty_is_frozen():
    user = quiet(LogisticRegressionCV(Cs=[0.01, 0.3, 20.0], cv=3, class_weight={0: 1, 1: 3}), DATA)
    (C,) = np.unique(user.C_)
    judge = judge_of(user, DATA.X)
    assert type(judge.estimator) is LogisticRegression
    assert judge.estimator.get_params()["C"] == C
    assert judge.estimator.class_weight == {0: 1, 1: 3}
    assert judge.notes[0] == f"C={C:g} frozen"
    np.testing.assert_allclose(judge.estimator.fit(DATA.X, DATA.y).coef_, user.coef_, rtol=1e-2)


def test_several_chosen_penalties_have_no_judge():
    user = quiet(LogisticRegressionCV(Cs=[0.3], cv=3), THREE)
    user.C_ = np.array([0.1, 1.0, 1.0])
    message = r"chose a C for every class \(\[0\.1, 1\.0\]\), which no plain .* one binary"
    with pytest.raises(ValueError, match=message):
        judge_of(user, THREE.X)


@pytest.mark.parametrize(
    ("user", "kind", "data"),
    [
        (RidgeCV(alphas=[0.1, 7.0]), Ridge, REAL),
        (RidgeCV(alphas=[0.1, 7.0], alpha_per_target=True, fit_intercept=False), Ridge, REALS),
        (RidgeClassifierCV(alphas=[0.1, 7.0], class_weight="balanced"), RidgeClassifier, DATA),
    ],
)
def test_chosen_alpha_is_frozen(user, kind, data):
    judge = judge_of(user.fit(data.X, data.y), data.X)
    assert type(judge.estimator) is kind
    np.testing.assert_array_equal(judge.estimator.alpha, user.alpha_)
    assert judge.notes[0].startswith("alpha=")
    assert judge.notes[0].endswith(" frozen")
    np.testing.assert_allclose(judge.estimator.fit(data.X, data.y).coef_, user.coef_, rtol=1e-9)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("data", [DATA, THREE])
def test_the_judge_is_tight(data, container):
    """|sum_i x_i (p_i - y_i) + coef / C| of a fit by the judge, from the definition alone."""
    X = container(data.X)
    judge = judge_of(LogisticRegression(C=2.0).fit(X, data.y), X).estimator.fit(X, data.y)
    residuals = judge.predict_proba(X) - (data.y[:, None] == judge.classes_)
    if len(judge.classes_) == 2:
        residuals = residuals[:, 1:]
    gradient = (X.T @ residuals).T + judge.coef_ / 2.0
    assert np.linalg.norm(gradient) < 1e-9
    assert np.linalg.norm(residuals.sum(axis=0)) < 1e-9


@pytest.mark.parametrize("s", [None, REAL.s])
def test_the_plain_estimator_requests_what_the_other_was_given(s):
    with sklearn.config_context(enable_metadata_routing=True):
        judge = judge_of(RidgeCV().fit(REAL.X, REAL.y, s), REAL.X, s).estimator
    assert judge.get_metadata_routing().fit.requests == {"sample_weight": s is not None}


# ----------------------------------------------------------------------------------- pipelines


def test_final_step_of_nested_pipelines():
    inner = make_pipeline(StandardScaler(with_mean=False), LogisticRegression())
    user = Pipeline([("a", StandardScaler()), ("b", inner)]).fit(DATA.X, DATA.y)
    final = LogisticRegression(C=7.0)
    new = with_final_step(user, final)
    assert new["b"][-1] is final
    assert [name for name, _ in new.steps] == ["a", "b"]
    assert new["b"][0].with_mean is False
    for one in (new["a"], new["b"][0]):
        assert not hasattr(one, "scale_")
    assert user["b"][-1].C == 1.0
    assert with_final_step(user["b"][-1], final) is final


# -------------------------------------------------------------------------------------- refits


def test_refits_without_rows():
    removed = [np.array([], dtype=int), np.array([4]), np.array([0, 7, 59])]
    fits = refit_without(Ridge(), REAL.X, REAL.y, {"sample_weight": REAL.s}, removed)
    for fit, rows in zip(fits, removed, strict=True):
        kept = np.setdiff1d(np.arange(60), rows)
        expected = Ridge().fit(REAL.X[kept], REAL.y[kept], REAL.s[kept])
        np.testing.assert_array_equal(fit.coef_, expected.coef_)


def test_named_weights_are_cut_and_other_parameters_are_not():
    class Recording(Ridge):
        def fit(self, X, y, **params):
            self.seen = params
            return super().fit(X, y)

    params = {"s": REAL.s.tolist(), "names": ["a", "b"], "flag": True, "word": "x" * 60}
    (fit,) = refit_without(Recording(), REAL.X, REAL.y, params, [np.array([1])])
    assert fit.seen.pop("s") == np.delete(REAL.s, 1).tolist()
    assert fit.seen == {"names": ["a", "b"], "flag": True, "word": "x" * 60}


def test_refits_do_not_warn_of_a_tolerance_nobody_reaches():
    user = LogisticRegression(max_iter=1, tol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refit_without(user, DATA.X, DATA.y, {}, [np.array([1])])


@pytest.mark.parametrize(
    "container",
    [
        np.asarray,
        np.ndarray.tolist,
        pd.DataFrame,
        sparse.csr_matrix,
        sparse.csc_matrix,
        sparse.coo_matrix,
        sparse.csr_array,
    ],
)
def test_rows_of_any_container(container):
    taken = take_rows(container(DATA.X), np.array([5, 2]))
    assert isinstance(taken, list) == (container is np.ndarray.tolist)
    dense = taken.toarray() if sparse.issparse(taken) else np.asarray(taken)
    np.testing.assert_array_equal(dense, DATA.X[[5, 2]])


def test_rows_of_a_series_and_of_texts():
    y = pd.Series(DATA.y, index=np.arange(60) + 100)
    assert take_rows(y, np.array([5, 2])).index.tolist() == [105, 102]
    assert take_rows(["a", "b", "c"], np.array([2, 0])) == ["c", "a"]


# -------------------------------------------------------------------------------- callbacks


class Called:
    """A callback that keeps what it is told."""

    def __init__(self):
        self.tasks = []

    def setup(self, estimator, context):
        self.tasks.append(f"{type(estimator).__name__} begins")

    def on_fit_task_begin(self, estimator, context):
        self.tasks.append(f"{type(estimator).__name__} {context.task_name}")

    def on_fit_task_end(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        self.tasks.append(f"{type(estimator).__name__} ends")


class PassedOn(Called):
    """One that a Pipeline passes on to its steps, as ProgressBar is."""

    max_propagation_depth = 1


CALLED = {
    "alone": lambda: LogisticRegression().set_callbacks(Called()),
    "last step": lambda: make_pipeline(
        StandardScaler(), LogisticRegression().set_callbacks(Called())
    ),
    "Pipeline": lambda: make_pipeline(StandardScaler(), LogisticRegression()).set_callbacks(
        PassedOn()
    ),
}


def tasks(estimator):
    """Return what the callbacks of an estimator, or else of its last step, were told."""
    watched = estimator if hasattr(estimator, "_skl_callbacks") else estimator[-1]
    return watched._skl_callbacks[0].tasks


@pytest.mark.skipif(not hasattr(LogisticRegression, "set_callbacks"), reason="of scikit-learn 1.9")
@pytest.mark.parametrize("name", CALLED)
@pytest.mark.filterwarnings("error")
def test_callbacks_are_for_the_fit_of_the_user(name):
    bare, wrapped = CALLED[name](), CALLED[name]()
    bare.fit(DATA.X, DATA.y)
    model = InfluenceClassifier(wrapped).fit(DATA.X, DATA.y)
    assert tasks(wrapped) == tasks(bare)
    assert "LogisticRegression lbfgs-iter" in tasks(bare)
    for refit in ("final", "pipeline"):
        model.leave_one_out_check(DATA.X_test, DATA.y_test, rows=2, refit=refit)
    assert tasks(wrapped) == tasks(bare)
