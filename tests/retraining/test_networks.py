"""Refits of networks: on from the fitted weights, to the bottom of scikit-learn's own objective."""

import inspect
import pickle
from copy import deepcopy

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence.retraining import (
    gradient_norm,
    judge_of,
    kept_rows,
    networks,
    refit_without,
    with_final_step,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 3))
RAW = np.column_stack([np.tanh(2 * X[:, 0]) * X[:, 1], X[:, 2] ** 2 - 1, X[:, 0] - X[:, 1]])
RAW += 0.3 * RNG.standard_normal(RAW.shape)
S = RNG.uniform(0.5, 2.0, 60)
BINARY = np.where(RAW[:, 0] > 0, "yes", "no")
THREE = np.argmax(RAW, axis=1)
NONE = np.empty(0, dtype=int)

# Of several targets scikit-learn's line search sees the mean and the gradient of the sum.
pytestmark = pytest.mark.filterwarnings("ignore:lbfgs failed to converge")

TAKES_WEIGHTS = "sample_weight" in inspect.signature(MLPRegressor.fit).parameters
HAS_POISSON = "loss" in MLPRegressor().get_params()
weighted = pytest.mark.skipif(not TAKES_WEIGHTS, reason="no sample_weight in this scikit-learn")
poisson = pytest.mark.skipif(not HAS_POISSON, reason="no poisson loss in this scikit-learn")

SETTINGS = {"activation": "tanh", "random_state": 0, "alpha": 0.5, "max_iter": 2000}


def classifier(*hidden, **params):
    return MLPClassifier(
        hidden_layer_sizes=hidden or (4,), **{"solver": "lbfgs", **SETTINGS, **params}
    )


def regressor(*hidden, **params):
    return MLPRegressor(
        hidden_layer_sizes=hidden or (4,), **{"solver": "lbfgs", **SETTINGS, **params}
    )


# ---------------------------------------------------------------- the objective, by definition


def coded(net, y):
    """Return targets as columns of numbers."""
    if isinstance(net, MLPRegressor) or np.ndim(y) == 2:
        return np.reshape(y, (len(y), -1)).astype(float)
    classes = np.unique(y)
    return (y[:, None] == (classes[1:] if len(classes) == 2 else classes)).astype(float)


def value_and_gradient(net, weights, X, y, l2, s):
    """Return sum_i s_i l_i + l2 / 2 |W|^2 and its gradient, for layers [W; b]."""
    Y, inputs = coded(net, y), [X]
    for layer, A in enumerate(weights):
        z = inputs[-1] @ A[:-1] + A[-1]
        inputs.append(np.tanh(z) if layer < len(weights) - 1 else z)
    if isinstance(net, MLPRegressor) and getattr(net, "loss", "squared_error") == "poisson":
        losses, d = (np.exp(z) - Y * z).sum(axis=1), np.exp(z) - Y
    elif isinstance(net, MLPRegressor):
        losses, d = 0.5 * ((z - Y) ** 2).sum(axis=1), z - Y
    elif np.ndim(y) == 1 and Y.shape[1] > 1:
        lse = np.log(np.exp(z).sum(axis=1, keepdims=True))
        losses, d = lse[:, 0] - (z * Y).sum(axis=1), np.exp(z - lse) - Y
    else:
        losses, d = (np.logaddexp(0, z) - Y * z).sum(axis=1), 1 / (1 + np.exp(-z)) - Y
    value, d, out = s @ losses, s[:, None] * d, []
    for A, h in zip(weights[::-1], inputs[-2::-1], strict=True):
        value += 0.5 * l2 * np.sum(A[:-1] ** 2)
        out.append(np.vstack([h.T @ d + l2 * A[:-1], d.sum(axis=0)]))
        d = (d @ A[:-1].T) * (1 - h**2)
    return value, out[::-1]


def layers(net):
    return [np.vstack(parts) for parts in zip(net.coefs_, net.intercepts_, strict=True)]


def norm(net, X, y, l2, s=None):
    s = np.ones(len(X)) if s is None else s
    _, parts = value_and_gradient(net, layers(net), X, y, l2, s)
    return np.sqrt(sum(np.sum(part**2) for part in parts))


def minimised(net, X, y, l2):
    """Return raveled layers at a minimum near those of a network, by scipy."""
    start = layers(net)
    cuts = np.cumsum([A.size for A in start])[:-1]

    def F(theta):
        cut = zip(np.split(theta, cuts), start, strict=True)
        weights = [part.reshape(A.shape) for part, A in cut]
        value, parts = value_and_gradient(net, weights, X, y, l2, np.ones(len(X)))
        return value, np.concatenate([part.ravel() for part in parts])

    theta = np.concatenate([A.ravel() for A in start])
    options = {"ftol": 0, "gtol": 1e-11, "maxiter": 10_000, "maxcor": 50}
    return minimize(F, theta, jac=True, method="L-BFGS-B", options=options).x


def flat(net):
    return np.concatenate([A.ravel() for A in layers(net)])


def refitted(judge, X, y, s=None, rows=NONE, **params):
    weights = {} if s is None else {"sample_weight": s}
    return refit_without(judge.estimator, X, y, weights, [rows], **params)[0]


def weights_of(s):
    return {} if s is None else {"sample_weight": s}


# ------------------------------------------------------------------------------- stationarity

CASES = {
    "binary": (classifier(), BINARY, None),
    "three classes": (classifier(), THREE, None),
    "labels": (classifier(), (RAW > 0).astype(int), None),
    "two layers": (classifier(4, 3), BINARY, None),
    "one target": (regressor(), RAW[:, 0], None),
    "several targets": (regressor(), RAW, None),
    "weights": pytest.param(classifier(), THREE, S, marks=weighted),
    "poisson": pytest.param(
        regressor(loss="poisson") if HAS_POISSON else None,
        np.floor(np.exp(RAW[:, 0] - 1)),
        S,
        marks=poisson,
    ),
}


@pytest.mark.parametrize(("user", "y", "s"), CASES.values(), ids=CASES.keys())
def test_refits_are_stationary(user, y, s):
    user.fit(X, y, **weights_of(s))
    judge = judge_of(user, X, s)
    assert judge.goes_on
    for rows in (NONE, np.array([7])):
        kept = kept_rows(60, rows)
        net = refitted(judge, X, y, s, rows)
        s_kept = None if s is None else s[kept]
        assert type(net) is type(user)
        assert norm(net, X[kept], y[kept], 0.5, s_kept) < 1e-5
        assert norm(net, X[kept], y[kept], 0.5 * 1.01, s_kept) > 1e-3


@pytest.mark.parametrize(("user", "y", "s"), CASES.values(), ids=CASES.keys())
def test_the_measured_gradient(user, y, s):
    user.fit(X, y, **weights_of(s))
    expected = norm(user, X, y, 0.5, s)
    assert gradient_norm(user, X, y, s) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("container", [sparse.csr_matrix, lambda X: X.astype(np.float32)])
def test_sparse_and_single_precision(container):
    held = container(X)
    user = classifier().fit(held, THREE)
    net = refitted(judge_of(user, held), held, THREE)
    dense = held.toarray() if sparse.issparse(held) else held.astype(float)
    assert norm(net, dense, THREE, 0.5) < 1e-5


# ------------------------------------------------------------------ what alpha means in batches


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", ["auto", 20, 25, 59, 60, 1])
def test_alpha_of_batches(solver, batch_size):
    """Two sgd epochs from the same weights, over the same batches, differ by the penalty alone."""
    sgd = {"solver": "sgd", "momentum": 0.0, "max_iter": 1, "batch_size": batch_size}

    def after(rate, alpha):
        net = classifier(**{**sgd, "learning_rate_init": rate, "alpha": alpha})
        with pytest.warns(UserWarning, match="Maximum iterations"):
            return net.fit(X, THREE).coefs_[0]

    W, rate, alpha = after(1e-15, 0.0), 1e-8, 8.0
    n_batches = np.ceil(60 / (60 if batch_size == "auto" else batch_size))
    pull = (after(rate, 0.0) - after(rate, alpha)) / rate / n_batches
    user = classifier(solver=solver, batch_size=batch_size, alpha=alpha)
    summed = networks.summed_penalty(user, 60)
    np.testing.assert_allclose(60 * pull, summed * W, rtol=1e-5, atol=1e-6)


def test_the_judge_of_an_epoch_solver_takes_the_penalty_of_the_rows_it_has():
    user = classifier(solver="adam", batch_size=20, alpha=0.02, max_iter=400)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        user.fit(X, THREE)
    judge = judge_of(user, X)
    assert norm(refitted(judge, X, THREE), X, THREE, 0.02 * 60 / 20) < 1e-5
    kept = np.delete(np.arange(60), 3)
    without = refitted(judge, X, THREE, rows=np.array([3]))
    assert norm(without, X[kept], THREE[kept], 0.06 * 59 / 60) < 1e-5
    assert gradient_norm(user, X, THREE) == pytest.approx(norm(user, X, THREE, 0.06), rel=1e-6)
    assert judge.notes[1] == (
        "solver='lbfgs', alpha=0.06 instead of 'adam', alpha=0.02 added once a batch "
        "(same objective), a row that leaves takes its share of it along"
    )


@pytest.mark.parametrize(
    ("batch_size", "full", "less"),
    [(59, 0.1 * 60 * (1 + 1 / 59) / 2, 0.1 * 59 * (1 + 1 / 59) / 2), ("auto", 0.1, 0.1)],
)
def test_batches_are_not_cut_anew(batch_size, full, less):
    """Batches of 59 of 60 rows leave a rest of one, which without a row is gone."""
    user = classifier(solver="sgd", batch_size=batch_size, alpha=0.1, learning_rate_init=0.1)
    judge = judge_of(user.fit(X, THREE), X)
    kept = np.delete(np.arange(60), 3)
    assert norm(refitted(judge, X, THREE), X, THREE, full) < 1e-5
    without = refitted(judge, X, THREE, rows=np.array([3]))
    assert norm(without, X[kept], THREE[kept], less) < 1e-5


def test_rows_held_out_are_no_part_of_the_penalty():
    user = classifier(solver="adam", batch_size=20, alpha=0.1, early_stopping=True)
    judge = judge_of(user.fit(X, THREE), X, n_held_out=6)
    assert judge.estimator.alpha == pytest.approx(0.1 * 54 * (1 / 20 + 1 / 20 + 1 / 14) / 3)
    assert judge.estimator.n_rows == 54
    assert "the rows that early_stopping held out stay out" in judge.notes


# ------------------------------------------------------------------------------ where it starts


def test_the_judge_starts_from_the_fitted_weights():
    """Hidden units in another order and of other signs: the same network elsewhere."""
    user = classifier().fit(X, THREE)
    other = deepcopy(user)
    order, signs = [2, 0, 3, 1], np.array([1.0, -1.0, -1.0, 1.0])
    other.coefs_ = [user.coefs_[0][:, order] * signs, (user.coefs_[1].T[:, order] * signs).T]
    other.intercepts_ = [user.intercepts_[0][order] * signs, user.intercepts_[1]]
    one, two = (refitted(judge_of(net, X), X, THREE, rows=np.array([5])) for net in (user, other))
    np.testing.assert_allclose(two.coefs_[0], one.coefs_[0][:, order] * signs, atol=1e-5)
    assert np.linalg.norm(flat(one) - flat(two)) > 1.0


def test_refits_find_the_minimum_next_to_the_full_fit():
    user = classifier().fit(X, THREE)
    judge = judge_of(user, X)
    full = refitted(judge, X, THREE)
    np.testing.assert_allclose(flat(full), minimised(full, X, THREE, 0.5), atol=1e-5)
    judge = judge.starting_at(full)
    for row in (0, 17):
        kept = np.delete(np.arange(60), row)
        net = refitted(judge, X, THREE, rows=np.array([row]))
        expected = minimised(full, X[kept], THREE[kept], 0.5)
        moved = np.linalg.norm(expected - flat(full))
        assert np.linalg.norm(flat(net) - expected) < 1e-3 * moved
        back = refitted(judge.starting_at(net), X, THREE)
        assert np.linalg.norm(flat(back) - flat(full)) < 1e-3 * moved


def test_other_judges_start_anywhere():
    judge = judge_of(Ridge().fit(X, RAW), X)
    assert not judge.goes_on
    assert judge.starting_at(Ridge()) is judge


def test_starting_elsewhere_keeps_the_objective():
    user = classifier(solver="adam", batch_size=20, max_iter=1000, alpha=0.02, tol=1e-2)
    judge = judge_of(user.fit(X, THREE), X)
    net = refitted(judge, X, THREE)
    again = judge.starting_at(net)
    assert again.notes == judge.notes
    assert judge.estimator.start is user
    assert norm(refitted(again, X, THREE), X, THREE, 0.06) < 1e-5


# --------------------------------------------------------------------------------------- refits


def test_the_users_network_is_not_touched():
    user = classifier(random_state=np.random.RandomState(3)).fit(X, THREE)
    before = pickle.dumps(user)
    judge = judge_of(user, X)
    refitted(judge, X, THREE)
    gradient_norm(user, X, THREE)
    assert pickle.dumps(user) == before


def test_refits_do_not_depend_on_the_number_of_processes():
    judge = judge_of(classifier().fit(X, THREE), X)
    removed = [NONE, np.array([1]), np.array([2, 30])]
    each = [refit_without(judge.estimator, X, THREE, {}, removed, n_jobs=n) for n in (1, 2)]
    for one, other in zip(*each, strict=True):
        np.testing.assert_array_equal(flat(one), flat(other))


def test_rows_held_out_are_not_seen():
    judge = judge_of(classifier().fit(X, THREE), X)
    out = np.array([4, 50])
    net = refitted(judge, X, THREE, rows=np.array([9]), held_out=out)
    kept = kept_rows(60, np.array([9]), out)
    np.testing.assert_array_equal(kept, np.setdiff1d(np.arange(60), [4, 9, 50]))
    assert norm(net, X[kept], THREE[kept], 0.5) < 1e-5


def test_pipelines_and_transformed_targets():
    scaled = StandardScaler(with_mean=False)
    inner = make_pipeline(scaled, regressor())
    user = TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(X, RAW[:, 0])
    judge = judge_of(user.regressor_[-1], user.regressor_[0].transform(X))
    whole = with_final_step(user, judge.estimator)
    (fit,) = refit_without(whole, X, RAW[:, 0], {}, [np.array([3])])
    net = fit.regressor_[-1]
    assert type(net) is MLPRegressor
    kept = np.delete(np.arange(60), 3)
    y = fit.transformer_.transform(RAW[kept, :1])[:, 0]
    assert norm(net, fit.regressor_[0].transform(X[kept]), y, 0.5) < 1e-5
    assert np.linalg.norm(flat(net) - flat(user.regressor_[-1])) < 1.0
    assert np.all(np.isfinite(fit.predict(X)))


@pytest.mark.parametrize("size", [1e-9, 0.0])
def test_a_descent_that_blows_up_leaves_what_there_was(monkeypatch, size):
    user = classifier(alpha=0.01).fit(X, THREE)
    monkeypatch.setattr(networks._Descent, "curvature", lambda self, theta, gradient: size)
    net = refitted(judge_of(user, X), X, THREE)
    assert np.all(np.isfinite(flat(net)))
    assert norm(net, X, THREE, 0.01) < 0.1


def test_notes():
    judge = judge_of(classifier().fit(X, THREE), X)
    assert judge.notes == (
        "warm-started from the fitted weights",
        "after L-BFGS, gradient descent on all rows at once (same objective, tighter)",
        "a cold restart of a non-convex model ends in another minimum and measures something else",
    )
