"""The way back: parameters written into fitted estimators."""

import re
from copy import deepcopy

import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from skinfluence import InfluenceRegressor, register_adapter
from skinfluence.adapters import adapt
from skinfluence.adapters.registry import write_parameters
from skinfluence.losses import HalfSquaredError
from skinfluence.objectives import LinearObjective
from tests import oracles
from tests.cases import BINARY, CASES, REAL, THREE

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def form(value):
    """Return the shape and dtype of an attribute."""
    return np.shape(value), np.asarray(value).dtype


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_parameters_written_are_parameters_adapted(case):
    data = case.data
    weights = {} if case.s is None else {"sample_weight": case.s}
    fitted = clone(case.estimator).fit(data.X, data.y, **weights)
    objective = adapt(fitted, data.X, data.y, case.s)
    twin = oracles.twin_of(fitted, data.X, data.y, case.s, case.counts)
    theta = oracles.minimise(twin, objective.theta)
    before = {name: deepcopy(value) for name, value in vars(fitted).items()}
    coef = fitted.coef_
    write_parameters(fitted, objective.at(theta), data.X)
    np.testing.assert_array_equal(coef, before["coef_"])  # a new array, not the old one filled
    assert form(fitted.coef_) == form(before["coef_"])
    assert form(fitted.intercept_) == form(before["intercept_"])
    assert vars(fitted).keys() == before.keys()
    if not fitted.fit_intercept:
        np.testing.assert_array_equal(fitted.intercept_, 0.0)
    np.testing.assert_array_equal(oracles.theta_of(fitted), theta)
    written = adapt(fitted, data.X, data.y, case.s)
    np.testing.assert_array_equal(written.theta, theta)
    # scikit-learn itself predicts by them, at the optimum
    np.testing.assert_allclose(
        oracles.raw_of(fitted, data.X), written.raw_predictions(), rtol=1e-9, atol=1e-12
    )
    assert np.linalg.norm(written.gradient()) < 1e-7


@pytest.mark.parametrize("estimator", [LogisticRegression(), Ridge(), LinearRegression()])
def test_single_precision_stays(estimator):
    data = THREE if isinstance(estimator, LogisticRegression) else REAL
    X = data.X.astype(np.float32)
    y = data.y if data is THREE else data.y.astype(np.float32)
    fitted = clone(estimator).fit(X, y)
    fitted.coef_ = fitted.coef_.astype(np.float32)  # 1.6 returns some in double precision
    before = form(fitted.coef_), form(fitted.intercept_)
    theta = np.arange(1.0, 1.0 + oracles.theta_of(fitted).size)
    write_parameters(fitted, adapt(fitted, X, y, None).at(theta), X)
    assert (form(fitted.coef_), form(fitted.intercept_)) == before
    np.testing.assert_array_equal(oracles.theta_of(fitted), theta)


@pytest.mark.parametrize("estimator", [Ridge(), LinearRegression()])
def test_one_column_of_targets_keeps_its_shapes(estimator):
    fitted = clone(estimator).fit(REAL.X, REAL.y[:, None])
    before = form(fitted.coef_), form(fitted.intercept_), fitted.predict(REAL.X).shape
    objective = adapt(fitted, REAL.X, REAL.y[:, None], None)
    write_parameters(fitted, objective.at(np.arange(5.0)), REAL.X)
    assert (form(fitted.coef_), form(fitted.intercept_), fitted.predict(REAL.X).shape) == before
    expected = REAL.X @ np.arange(4.0) + 4.0
    np.testing.assert_allclose(fitted.predict(REAL.X).ravel(), expected)


class Weights(RegressorMixin, BaseEstimator):
    """Least squares that keeps its parameters under a name of its own."""

    def fit(self, X, y):
        self.weights_ = np.linalg.lstsq(X, y, rcond=None)[0]
        return self


class Writable(Weights):
    pass


def weights_objective(estimator, X, y, sample_weight):
    return LinearObjective.from_coefficients(
        X, y, HalfSquaredError(), estimator.weights_, None, l2=0.0
    )


def test_an_estimator_without_coef_needs_a_way_to_write():
    register_adapter(Weights)(weights_objective)
    fitted = Weights().fit(REAL.X, REAL.y)
    objective = adapt(fitted, REAL.X, REAL.y, None)
    message = (
        "Weights has no coef_, so its parameters cannot be written back. Register its adapter with "
        "a way to: @skinfluence.register_adapter(Weights, write=...)."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        write_parameters(fitted, objective, REAL.X)


def test_a_registered_way_to_write_is_used():
    given = []

    def write(estimator, objective, X):
        given.append((estimator, objective, X))
        estimator.weights_ = objective.theta

    register_adapter(Writable, write=write)(weights_objective)
    fitted = Writable().fit(REAL.X, REAL.y)
    moved = adapt(fitted, REAL.X, REAL.y, None).at(np.arange(4.0))
    assert write_parameters(fitted, moved, REAL.X) is False
    assert given == [(fitted, moved, REAL.X)]
    assert fitted.weights_.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert not hasattr(fitted, "coef_")


class Refitted(Weights):
    pass


def test_a_way_to_write_may_fit_anew_and_says_so():
    def write(estimator, objective, X):
        estimator.fit(X, objective.targets[:, 0])
        return True

    register_adapter(Refitted, write=write)(weights_objective)
    model = InfluenceRegressor(Refitted()).fit(REAL.X, REAL.y)
    left = model.without([1, 4])
    expected = Refitted().fit(*(np.delete(a, [1, 4], axis=0) for a in (REAL.X, REAL.y)))
    np.testing.assert_array_equal(left.estimator_.weights_, expected.weights_)
    assert left.certificate_.refitted
    assert "fitted Refitted anew" in repr(left.certificate_)
    assert left.certificate_.gradient_norm < 1e-10 * left.certificate_.gradient_norm_before


def test_a_type_without_adapter_is_refused():
    class Mine(LogisticRegression):
        pass

    fitted = Mine().fit(BINARY.X, BINARY.y)
    known = LogisticRegression().fit(BINARY.X, BINARY.y)
    objective = adapt(known, BINARY.X, BINARY.y, None)
    with pytest.raises(TypeError, match="Mine is a subclass of LogisticRegression"):
        write_parameters(fitted, objective, BINARY.X)
