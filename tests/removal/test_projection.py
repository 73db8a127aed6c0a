"""Scores from inner products of rows are those from arrays of the size of the parameters."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge, RidgeClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.objectives import LinearObjective
from skinfluence.removal import RowSpaceSolve
from skinfluence.solvers.woodbury import RowBlock
from tests.cases import classification, regression

N, P = 24, 50


def logistic(**params):
    return LogisticRegression(C=0.5, tol=1e-8, max_iter=5000, **params)


MODELS = {
    "logistic": (logistic(), 2),
    "balanced": (logistic(class_weight="balanced"), 2),
    "liblinear": (logistic(solver="liblinear", intercept_scaling=2.0), 2),
    "multinomial": (logistic(), 3),
    "multinomial-balanced": (logistic(class_weight="balanced"), 3),
    "one-vs-rest": (OneVsRestClassifier(logistic()), 3),
    "no-intercept": (logistic(fit_intercept=False), 2),
    "squared-hinge": (LinearSVC(C=0.1, tol=1e-8, max_iter=50_000), 2),
    "ridge-classes": (RidgeClassifier(alpha=3.0), 3),
    "ridge": (Ridge(alpha=np.array([0.3, 5.0])), None),
    "poisson": (PoissonRegressor(alpha=0.2, tol=1e-8, max_iter=5000), None),
}


def fitted(name, form=np.asarray):
    estimator, n_classes = MODELS[name]
    if n_classes is None:
        data = regression(n=N, p=P, n_outputs=2 if name == "ridge" else 1, seed=1)
        y = [np.exp(0.1 * y) if name == "poisson" else y for y in (data.y, data.y_test)]
        wrapper = InfluenceRegressor(estimator)
    else:
        data = classification(n=N, p=P, n_classes=n_classes, seed=1)
        y, wrapper = (data.y, data.y_test), InfluenceClassifier(estimator)
    s = data.s.copy()
    s[5] = 0.0
    model = wrapper.fit(
        form(data.X), y[0], **({} if name == "one-vs-rest" else {"sample_weight": s})
    )
    return model, form(data.X_test), y[1], y[0]


def answers(model, X, y, y_train):
    """Return what is asked of the rows, by name."""
    return {
        "first_order": model.influence_scores(X, y, method="first_order"),
        "newton": model.influence_scores(X, y, method="newton"),
        "self": model.self_influence(method="newton").scores,
        "linear": model.self_influence(method="first_order").scores,
        "relabelled": model.relabel_influence(
            np.roll(y_train, 1, axis=0), X, y, method="newton"
        ).scores,
        "added": model.addition_influence(X, y, X, y, method="newton").scores,
    }


def cases():
    yield from ((name, np.asarray) for name in MODELS)
    for name in ("balanced", "multinomial", "ridge"):
        yield from ((name, form) for form in (sparse.csr_matrix, np.float32))


@pytest.mark.parametrize("name, form", cases())
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_alone_give_the_scores_that_parameters_give(name, form, monkeypatch, tune):
    tune(guard_rtol=1e-9)
    found = answers(*fitted(name, form))
    with monkeypatch.context() as patch:
        patch.setattr(RowBlock, "between", lambda *args: None)
        patch.setattr(RowBlock, "quadratics", lambda *args: None)
        expected = answers(*fitted(name, form))
    close = 2e-4 if form is np.float32 else 1e-9
    for question, values in expected.items():
        assert np.any(values != 0)
        np.testing.assert_allclose(
            found[question], values, rtol=0, atol=close * abs(values).max(), err_msg=question
        )


@pytest.mark.parametrize("name", ["logistic", "multinomial", "one-vs-rest", "ridge"])
@pytest.mark.parametrize("method", ["first_order", "newton"])
def test_nothing_is_made_of_the_size_of_tests_times_parameters(name, method, monkeypatch, tune):
    tune(trusted_shift=np.inf, negligible_step=np.inf)
    model, X, y, _ = fitted(name, sparse.csr_matrix)
    mechanism = model._current().mechanism("auto")

    def refused(*args):
        raise AssertionError("an array of the size of the parameters")

    for each in ("jacobian_t_rows", "jacobian_t_dot"):
        monkeypatch.setattr(LinearObjective, each, refused)
    model.influence_scores(X, y, method=method)
    model.self_influence(method=method)
    test = mechanism.objective.on(X, y)
    assert all(
        isinstance(one, RowSpaceSolve)
        for one in mechanism.removal(method).project_predictions(test)
    )


def test_columns_of_met_rows_alternate_between_outputs():
    """As those of `project_predictions`: all outputs of a test row, then those of the next."""
    model, X, y, _ = fitted("multinomial-balanced")
    removal = model._current().mechanism("auto").removal("newton")
    test = model._current().mechanism("auto").objective.on(X, y)
    (met, *_), K = removal.project_predictions(test), 3
    units = [np.tile(unit, (test.n_samples, 1)) for unit in np.eye(K)]
    U = np.stack([test.jacobian_t_rows(unit) for unit in units], axis=2)
    T = removal.factors[0].solve(U.reshape(test.n_params, -1))
    JT = removal.objective.jacobian_dot(T)
    # A common shift of all outputs is no change, and what a solve says of it is arbitrary.
    even = JT.reshape(*JT.shape[:2], -1, K)
    found = met.JT.reshape(even.shape)
    center = np.eye(K) - 1.0 / K
    even, found = ("ab,ibtk,kl->iatl", even), ("ab,ibtk,kl->iatl", found)
    even, found = (np.einsum(how, center, one, center) for how, one in (even, found))
    np.testing.assert_allclose(found, even, rtol=0, atol=1e-10 * abs(even).max())
    shared = removal.shared.T @ T
    np.testing.assert_allclose(met.shared, shared, rtol=0, atol=1e-9 * abs(shared).max())
