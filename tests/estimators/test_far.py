"""Fits that stopped far from their optimum: answers are those of the optimum, or refused by name.

Against scikit-learn's tight solvers of the same objectives, refitted without the rows.
"""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    ElasticNet,
    HuberRegressor,
    LogisticRegression,
    PoissonRegressor,
    SGDClassifier,
    SGDRegressor,
)

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.model_table import OLD

N = 60
RNG = np.random.default_rng(0)
SIZE = np.array([1e-4, 1.0, 1.0, 1e3])
Z = RNG.standard_normal((N, 4))
X = Z * SIZE
RAW = Z @ [1.0, -0.5, 0.02, 0.7] + 0.5 * RNG.standard_normal(N)
ROWS = [0, 7, 31]
REAL, LABELS = RAW + 2.0, (RAW > 0.3).astype(int)


def far(estimator, y, distance):
    """Return a fit as one that diverged leaves it."""
    fitted = estimator.set_params(max_iter=1, tol=None).fit(Z, y)
    fitted.coef_ = (distance * np.array([1.0, 2.0, -1.0, 1.0]) / SIZE).reshape(fitted.coef_.shape)
    fitted.intercept_ = np.atleast_1d(-distance)
    return fitted


def elastic_net(share, kept):
    judge = ElasticNet(alpha=0.05, l1_ratio=share, tol=1e-14, max_iter=10**6)
    return judge.fit(X[kept], REAL[kept])


@pytest.mark.parametrize("distance", [1.0, 1e4, 1e9])
@pytest.mark.parametrize("share", [0.8, 1.0])
def test_under_an_l1_penalty_where_it_ends_says_how_near_is_enough(share, distance):
    inner = SGDRegressor(penalty="elasticnet", l1_ratio=share, alpha=0.05, random_state=0)
    model = InfluenceRegressor(FrozenEstimator(far(inner, REAL, distance)), refine=True)
    model.fit(X, REAL)
    with pytest.warns(ConvergenceWarning, match="stopped before its stationary point"):
        scores = model.influence_scores(X[:5], target="predict", method="exact")
    whole = elastic_net(share, np.arange(N) >= 0)
    assert 0 < np.sum(whole.coef_ == 0) < 4
    refits = [elastic_net(share, np.arange(N) != i) for i in ROWS]
    expected = np.array([r.predict(X[:5]) - whole.predict(X[:5]) for r in refits]).T
    np.testing.assert_allclose(scores[:, ROWS], expected, rtol=1e-6, atol=1e-9)


def logistic(penalty, kept):
    l1 = {"penalty": "l1"} if OLD else {"l1_ratio": 1.0}
    ways = {"l2": {"solver": "newton-cholesky"}, "l1": {"solver": "saga", **l1}}
    C = 1.0 / (0.03 * kept.sum())
    judge = LogisticRegression(C=C, tol=1e-10, max_iter=10**5, random_state=0, **ways[penalty])
    return judge.fit(Z[kept], LABELS[kept])


@pytest.mark.parametrize("distance", [1.0, 1e4, 1e9])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
def test_fits_without_curvature_are_moved_to_where_there_is_some(penalty, distance):
    inner = far(SGDClassifier("log_loss", penalty=penalty, alpha=0.03), LABELS, distance)
    inner.coef_ = inner.coef_ * SIZE
    model = InfluenceClassifier(FrozenEstimator(inner), refine=True).fit(Z, LABELS)
    with pytest.warns(ConvergenceWarning, match="stopped before its stationary point"):
        scores = model.influence_scores(Z[:5], target="decision_function", method="exact")
    assert model.refinement_.relative_distance > 0.1
    whole = logistic(penalty, np.arange(N) >= 0)
    refits = [logistic(penalty, np.arange(N) != i) for i in ROWS]
    expected = np.array(
        [r.decision_function(Z[:5]) - whole.decision_function(Z[:5]) for r in refits]
    ).T
    rtol = 1e-5 if penalty == "l2" else 1e-4  # saga is not tighter
    np.testing.assert_allclose(scores[:, ROWS], expected, rtol=rtol, atol=1e-6)


def test_a_foreign_fit_without_curvature_is_refused_as_one():
    inner = far(SGDClassifier("log_loss", alpha=0.03), LABELS, 1e6)
    inner.n_iter_ = 5
    inner.max_iter = 1000
    inner.coef_ = inner.coef_ * SIZE
    model = InfluenceClassifier(FrozenEstimator(inner)).fit(Z, LABELS)
    with pytest.raises(ValueError, match=r"times the sampling noise away.*do not look like"):
        model.influence_scores(Z[:5], LABELS[:5])


def test_a_scale_at_its_bound_is_the_reason_that_is_given():
    """With 15 of 20 targets fitted exactly it is 0 until 1 - 1 / epsilon^2 is more than that."""
    x, y = np.arange(20.0)[:, None], np.r_[np.zeros(15), 5, -3, 2, 9, 4.0]
    model = InfluenceRegressor(HuberRegressor(max_iter=10_000)).fit(x, y)
    message = (
        r"scale of the noise is at its bound, 0 \(fitted: 2.*45% of the targets.*larger epsilon"
    )
    with pytest.raises(ValueError, match=message):
        model.leave_one_out()
    larger = HuberRegressor(epsilon=3.0, max_iter=10_000, tol=1e-10)
    found = InfluenceRegressor(larger).fit(x, y).leave_one_out().predictions
    refit = clone(larger).fit(x[:-1], y[:-1])
    assert found[-1] == pytest.approx(refit.predict(x[-1:])[0], rel=1e-4)


@pytest.mark.parametrize("tol", [1e-4, 1e-12])
def test_a_level_without_a_count_has_no_finite_optimum(tol):
    """Its coefficient runs to minus infinity, slowly: no way to the optimum makes one of it."""
    rng = np.random.default_rng(0)
    level = rng.integers(0, 4, 200)
    X = np.column_stack([rng.standard_normal(200), 1.0 * (level[:, None] == np.arange(1, 4))])
    y = rng.poisson(0.4, 200) * (level != 2)
    model = InfluenceRegressor(PoissonRegressor(alpha=0.0, tol=tol, max_iter=1000)).fit(X, y)
    for ask in (model.leave_one_out, lambda: model.without([5]), model.self_influence):
        with pytest.raises(ValueError, match=r"No stationary point .*Fit with a stronger penalty"):
            ask()
    penalised = InfluenceRegressor(PoissonRegressor(alpha=1e-6, tol=tol, max_iter=1000)).fit(X, y)
    kept = np.arange(200) != 5
    refit = PoissonRegressor(alpha=1e-6, tol=1e-12, solver="newton-cholesky").fit(X[kept], y[kept])
    near = penalised.without([5]).estimator_
    np.testing.assert_allclose(near.predict(X[level != 2]), refit.predict(X[level != 2]), rtol=1e-5)
