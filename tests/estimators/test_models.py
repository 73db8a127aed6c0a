"""The convex models through the wrappers, against minimisers of their slow twins.

One table, `tests.model_table`; every row inherits every test. Changes are measured at the twin's
own minima (`tests.twins`), which share no code with the package and never read a fitted parameter.
"""

import warnings
from dataclasses import replace
from functools import cache

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC, SVR

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.model_table import MODELS
from tests.oracles import slope_and_error
from tests.twins import minimiser, raw_of, spans_of, twin_of

NAMED = {model.name: model for model in MODELS}
OF_EACH_KIND = (
    "LinearSVC-3",
    "LinearSVC-hinge-balanced",
    "LinearSVR",
    "Poisson-weighted",
    "Huber",
    "Lasso-weighted",
    "Logistic-elastic-net",
    "SGDRegressor-huber",
    "KernelRidge-3",
    "SVC-3",
    "OneVsOne-logistic",
    "MultiOutput-poisson",
    "TransformedTarget",
)
# Whose first three outputs are the classes of a multinomial.
SOFTMAX = ("Logistic-l1-3", "Logistic-elastic-net-3", "MultiOutput-logistic")
# Their parameters are coefficients of features of the kernel, which the twin has others of.
IN_KERNELS = ("KernelRidge", "SVC", "SVR", "GaussianProcess")


def in_kernel(name):
    return name.split("-")[0] in IN_KERNELS or "kernel" in name


def every(*without, where=lambda model: True):
    """Parametrise over the models that have none of some tags."""
    kept = [m.name for m in MODELS if not m.tags.intersection(without) and where(m)]
    return pytest.mark.parametrize("name", kept)


def fit(model, X, y, s=None, **params):
    """Return a fitted wrapper of the model's estimator."""
    kind = InfluenceClassifier if is_classifier(model.estimator) else InfluenceRegressor
    wrapper = kind(clone(model.estimator), temperature=model.on_wrapper, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of liblinear and libsvm
        return wrapper.fit(X, y) if s is None else wrapper.fit(X, y, s)


@cache
def fitted(name):
    model = NAMED[name]
    return fit(model, model.data.X, model.data.y, model.s)


@cache
def plain(name):
    """Return scikit-learn's own fit, from which twins take hyper-parameters."""
    model = NAMED[name]
    return refit(model, model.data.X, model.data.y, model.s)


def refit(model, X, y, s=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator = clone(model.estimator)
        return estimator.fit(X, y) if s is None else estimator.fit(X, y, sample_weight=s)


def solve(name, X=None, y=None, s=None, ratio=None, theta=None, t=None):
    """Return (twin, its minimiser) of other rows, or of the model's own with a ratio."""
    model = NAMED[name]
    if X is None:
        X, y, s = model.data.X, model.data.y, model.s

    def make(t):
        return twin_of(plain(name), X, y, s, ratio=ratio, t=t, counts=model.counts)

    return minimiser(make, theta, model.t if t is None else t)


@cache
def optimum(name):
    return solve(name)


@cache
def chosen(name):
    """Return six rows: the three that pull hardest, and three others."""
    twin, theta = optimum(name)
    slopes = [solve_slope(twin, theta, i) for i in range(len(twin.X))]
    # Where a loss is linear slopes are equal but for rounding, which no choice may hang on.
    hardest = np.lexsort((-np.arange(len(slopes)), np.round(slopes, 6)))[-3:]
    others = np.setdiff1d([0, 7, 19, 23, 31, 37], hardest)[:3]
    return np.concatenate([hardest, others])


def solve_slope(twin, theta, i, h=1e-6):
    """Return the size of dl_i/deta, by differences."""
    eta = twin.raw(theta)[i : i + 1]
    code = twin.encode(twin.y[i : i + 1])
    W = twin.W[i : i + 1]
    steps = h * np.eye(eta.shape[1])
    change = [np.sum(W * (twin.terms(eta + d, code) - twin.terms(eta - d, code))) for d in steps]
    return np.linalg.norm(change) / h


def ratio_of(name, rows, left=0.0):
    ratio = np.ones(len(NAMED[name].data.X))
    ratio[rows] = left
    return ratio


@cache
def optimum_without(name, rows):
    """Return (twin, its minimiser) without some rows (a tuple)."""
    _, theta = optimum(name)
    return solve(name, ratio=ratio_of(name, list(rows)), theta=theta)


def minimiser_without(name, rows):
    return optimum_without(name, rows)[1]


def test_losses(name, theta, twin=None):
    data = NAMED[name].data
    twin = optimum(name)[0] if twin is None else twin
    return twin.loss_of(theta, data.X_test, data.y_test)


test_losses.__test__ = False


@cache
def changes(name):
    """Return the change of the test losses without each of the chosen rows, (n_test, 6)."""
    base = test_losses(name, optimum(name)[1])
    each = [test_losses(name, minimiser_without(name, (i,))) for i in chosen(name)]
    return np.array(each).T - base[:, None]


def scores(name, method, **params):
    data = NAMED[name].data
    return fitted(name).influence_scores(data.X_test, data.y_test, method=method, **params)


def check(predicted, actual, error):
    """Hold the values to the relative error, and the slope to hardly more."""
    slope, found = slope_and_error(predicted, actual)
    assert found <= error, f"relative error {found:.3g}, slope {slope:.6g}"
    assert abs(slope - 1.0) <= 1.2 * error, f"slope {slope:.6g}, relative error {found:.3g}"


# ----------------------------------------------------------------- the twins against scikit-learn


@every(where=lambda m: m.fit_error is not None)
def test_the_twin_is_what_scikit_learn_minimises(name):
    model, (twin, theta) = NAMED[name], optimum(name)
    expected = twin.raw(theta, model.data.X_test)
    found = raw_of(plain(name), model.data.X_test)
    expected = expected[:, : found.shape[1]]  # Huber's scale is no prediction
    assert np.linalg.norm(found - expected) <= model.fit_error * np.linalg.norm(expected)


@every(where=lambda m: m.fit_error is None)
def test_the_twin_approaches_what_scikit_learn_minimises_as_the_temperature_falls(name):
    model = NAMED[name]
    found = raw_of(plain(name), model.data.X_test)
    errors = []
    for t in (0.1, 1e-3):
        twin, theta = solve(name, t=t)
        smooth = twin.raw(theta, model.data.X_test)
        errors.append(np.linalg.norm(smooth - found) / np.linalg.norm(found))
    assert errors[1] <= 5e-3
    assert errors[1] <= 0.2 * errors[0]


# A search may choose other hyper-parameters on other rows, and a scaler scales by them.
@every("fixed", where=lambda m: m.fit_error is not None and not m.name.startswith("GridSearch"))
def test_a_ratio_of_zero_is_a_refit_without_the_rows(name):
    model, rows = NAMED[name], list(chosen(name)[:3])
    kept = np.delete(np.arange(len(model.data.X)), rows)
    s = None if model.s is None else model.s[kept]
    one = refit(model, model.data.X[kept], model.data.y[kept], s)
    expected = optimum(name)[0].raw(minimiser_without(name, tuple(rows)), model.data.X_test)
    found = raw_of(one, model.data.X_test)
    expected = expected[:, : found.shape[1]]
    assert np.linalg.norm(found - expected) <= model.fit_error * np.linalg.norm(expected)


# ------------------------------------------------------------------------------------ one row


@every()
def test_first_order_is_the_derivative_in_the_weight(name, h=1e-4):
    _, theta = optimum(name)
    derivatives = []
    for i in chosen(name):
        less, more = (
            solve(name, ratio=ratio_of(name, [i], left), theta=theta)[1]
            for left in (1.0 - h, 1.0 + h)
        )
        derivatives.append((test_losses(name, less) - test_losses(name, more)) / (2.0 * h))
    check(scores(name, "first_order")[:, chosen(name)], np.array(derivatives).T, 1e-5)


@pytest.mark.parametrize("name", ["LinearSVC-hinge", "LinearSVC-hinge-3", "LinearSVR"])
def test_unrefined_scores_are_those_of_the_copied_weights(name):
    """As Koh & Liang did: the smoothed loss at the weights of the hinge."""
    model, twin = NAMED[name], optimum(name)[0]
    data, estimator = model.data, plain(name)
    W = np.column_stack([np.atleast_2d(estimator.coef_), np.ravel(estimator.intercept_)])
    theta = W.ravel()

    def gradients(X, y):
        return np.array([grad(loss)(theta, X[[i]], y[[i]]) for i in range(len(X))])

    def loss(at, X, y):
        return anp.sum(twin.terms(twin.raw(at, X), twin.encode(y)))

    pushed = np.linalg.solve(twin.hessian(theta), gradients(data.X, data.y).T)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = fit(model, data.X, data.y, refine=False).influence_scores(
            data.X_test, data.y_test, method="first_order"
        )
    check(found, gradients(data.X_test, data.y_test) @ pushed, 1e-8)


@every()
def test_newton_against_refits(name):
    model, (twin, theta) = NAMED[name], optimum(name)
    rows, held = chosen(name), np.sign(theta) * (twin.lam > 0)
    # One step stays on the support: rows that change it are for "exact" alone.
    moved = [optimum_without(name, (i,)) for i in rows]
    kept = np.array([np.array_equal(held, np.sign(one) * (twin.lam > 0)) for _, one in moved])
    assert np.sum(kept) >= 2
    found = scores(name, "newton")[:, rows]
    check(found[:, kept], changes(name)[:, kept], model.newton_error)
    if "mean" in model.tags:
        return
    # Where the curvature of what stays is the same at both ends, the step is exact: squared errors,
    # and the pieces of the piecewise quadratic losses.
    flat = [np.allclose(one.hessian(theta), one.hessian(at), 1e-12) for one, at in moved]
    flat &= kept & (np.linalg.norm(changes(name), axis=0) > 1e-6)
    if np.any(flat):
        check(found[:, flat], changes(name)[:, flat], 2e-7)


@every()
def test_exact_is_the_refit(name):
    check(scores(name, "exact")[:, chosen(name)], changes(name), 1e-6)


@every()
def test_the_loss_of_a_row_left_out(name):
    data, (twin, theta) = NAMED[name].data, optimum(name)
    rows = chosen(name)
    left = [twin.loss_of(minimiser_without(name, (i,)), data.X[[i]], data.y[[i]])[0] for i in rows]
    found = fitted(name).leave_one_out().losses[rows]
    np.testing.assert_allclose(found, left, rtol=1e-6, atol=1e-9)
    own = twin.loss_of(theta, data.X, data.y)[rows]
    found = fitted(name).self_influence(method="exact").scores[rows]
    check(found, np.array(left) - own, 1e-6)


# -------------------------------------------------------------------------- groups and deletions


def a_group(name):
    """Return eight rows, the hardest three among them."""
    hardest = chosen(name)[:3]
    others = np.setdiff1d(np.arange(3, 40, 5), hardest)
    return np.concatenate([hardest, others[: 8 - len(hardest)]])


@every()
@pytest.mark.parametrize("method", ["newton", "exact"])
def test_a_group_against_a_refit(name, method):
    model, rows = NAMED[name], a_group(name)
    theta = minimiser_without(name, tuple(rows))
    actual = test_losses(name, theta) - test_losses(name, optimum(name)[1])
    masks = np.zeros((1, len(model.data.X)), dtype=bool)
    masks[0, rows] = True
    found = (
        fitted(name)
        .group_influence(masks, model.data.X_test, model.data.y_test, method=method)
        .scores
    )
    check(found[:, 0], actual, 1e-6 if method == "exact" else model.group_error)


def is_refitted(model):
    """Return whether `without` fits the model anew, which keeps its parameters to itself."""
    one = model.estimator
    while not isinstance(one, (SVC, SVR)):
        held = getattr(one, "estimator", getattr(one, "regressor", None))
        one = one[-1] if hasattr(one, "steps") else held
        if one is None:
            return False
    return True


@every(where=is_refitted)
def test_a_machine_without_rows_is_scikit_learns_own_fit(name):
    model, data, rows = NAMED[name], NAMED[name].data, a_group(name)
    kept = np.delete(np.arange(len(data.X)), rows)
    expected = refit(model, data.X[kept], data.y[kept], None if model.s is None else model.s[kept])
    for method in ("newton", "exact"):
        left = fitted(name).without(rows, method=method)
        assert left.certificate_.refitted
        found = raw_of(left.estimator_, data.X_test)
        np.testing.assert_allclose(found, raw_of(expected, data.X_test), rtol=1e-9, atol=1e-11)
        np.testing.assert_array_equal(left.predict(data.X_test), expected.predict(data.X_test))
    again = left.self_influence(method="exact").scores
    assert again.shape == kept.shape


@every(where=lambda model: not is_refitted(model))
def test_a_model_without_rows_predicts_as_the_refit(name):
    model, (twin, _) = NAMED[name], optimum(name)
    rows = a_group(name)
    left = fitted(name).without(rows)
    assert not left.certificate_.refitted
    eta = twin.raw(minimiser_without(name, tuple(rows)), model.data.X_test)
    found = raw_of(left.estimator_, model.data.X_test)
    np.testing.assert_allclose(found, eta[:, : found.shape[1]], rtol=1e-6, atol=1e-7)
    if not is_classifier(model.estimator):
        response = np.asarray(twin.response(eta)).reshape(len(eta), -1)
        found = left.predict(model.data.X_test).reshape(len(eta), -1)
        np.testing.assert_allclose(found, response, rtol=1e-6, atol=1e-7)
    kept = np.delete(np.arange(len(model.data.X)), rows)
    again = left.self_influence(method="exact").scores
    assert again.shape == kept.shape


# ------------------------------------------------------------------------- new and other targets


@every("fixed")
def test_an_addition_against_a_refit(name):
    model, (_, theta) = NAMED[name], optimum(name)
    data, base = model.data, test_losses(name, theta)
    actual = []
    for j in range(3):
        X, y = np.vstack([data.X, data.X_test[[j]]]), np.concatenate([data.y, data.y_test[[j]]])
        s = None if model.s is None else np.append(model.s, 1.0)
        twin, moved = solve(name, X, y, s, theta=theta)
        actual.append(test_losses(name, moved, twin) - base)
    found = (
        fitted(name)
        .addition_influence(
            data.X_test[:3], data.y_test[:3], data.X_test, data.y_test, method="exact"
        )
        .scores
    )
    check(found, np.array(actual).T, 1e-6)


def relabelled(name, rows):
    """Return targets of which some rows are others: the next class, or another value."""
    data = NAMED[name].data
    y = np.array(data.y)
    for i in rows:
        if is_classifier(NAMED[name].estimator):
            for k in range(y[i].size):
                labels = np.unique(data.y.reshape(len(y), -1)[:, k])
                old = y[i] if y.ndim == 1 else y[i, k]
                new = labels[(np.searchsorted(labels, old) + 1) % len(labels)]
                if y.ndim == 1:
                    y[i] = new
                else:
                    y[i, k] = new
        else:
            y[i] = data.y[(i + 1) % len(y)]
    return y


@every()
def test_another_target_against_a_refit(name):
    model, (_, theta) = NAMED[name], optimum(name)
    data, rows = model.data, chosen(name)[:4]
    y_new, actual = relabelled(name, rows), []
    for i in rows:
        y = np.array(data.y)
        y[i] = y_new[i]
        twin, moved = solve(name, data.X, y, model.s, theta=theta)
        actual.append(test_losses(name, moved, twin) - test_losses(name, theta))
    found = fitted(name).relabel_influence(y_new, data.X_test, data.y_test, method="exact").scores
    check(found[:, rows], np.array(actual).T, 1e-6)


# -------------------------------------------------------------------------------------- invariance


# A search splits rows, whose number changes with the repetition.
@every("rows", "unweighted", where=lambda m: not m.name.startswith("GridSearch"))
def test_weights_are_repetitions(name):
    model, data = NAMED[name], NAMED[name].data
    n = len(data.X)
    s = np.ones(n)
    s[0], s[1] = 2.0, 0.0
    rows = np.concatenate([[0, 0], np.arange(2, n)])
    weighted = fit(model, data.X, data.y, s)
    repeated = fit(model, data.X[rows], data.y[rows])
    for method in ("first_order", "newton", "exact"):
        one, two = (
            m.influence_scores(data.X_test, data.y_test, method=method)
            for m in (weighted, repeated)
        )
        np.testing.assert_allclose(one[:, 1], 0.0, atol=1e-9)
        # One step takes what others weigh from the mean of the weights, which are not alike.
        loose = method == "newton" and "mean" in model.tags
        check(one[:, 2:], two[:, 2:], 6e-4 if loose else 1e-6)


def methods_of(name):
    return ("first_order", "newton", "exact")[: 3 if name in OF_EACH_KIND else 2]


@every()
def test_the_order_of_rows_does_not_matter(name):
    model, data = NAMED[name], NAMED[name].data
    if name.startswith("GaussianProcess-alphas"):
        pytest.skip("its noise is given in the order of the rows")
    order = np.random.default_rng(0).permutation(len(data.X))
    s = None if model.s is None else model.s[order]
    found = fit(model, data.X[order], data.y[order], s)
    for method in methods_of(name):
        permuted = found.influence_scores(data.X_test, data.y_test, method=method)
        check(permuted, scores(name, method)[:, order], 1e-6)


@every()
def test_float32(name):
    model, data = NAMED[name], NAMED[name].data
    # newton-cholesky of scikit-learn 1.6 fails where rounding is met before the tolerance.
    tols = [key for key in model.estimator.get_params() if key.endswith("estimator__tol")]
    loose = clone(model.estimator).set_params(**dict.fromkeys(tols, 1e-4))
    found = fit(replace(model, estimator=loose), data.X.astype(np.float32), data.y, model.s)
    for method in methods_of(name):
        single = found.influence_scores(data.X_test.astype(np.float32), data.y_test, method=method)
        assert single.dtype == np.float32
        check(single, scores(name, method), 1e-3)


@every("dense")
def test_sparse_is_dense(name):
    model, data = NAMED[name], NAMED[name].data
    found = fit(model, sparse.csr_matrix(data.X), data.y, model.s)
    X_test = sparse.csr_matrix(data.X_test)
    for method in ("first_order", "newton", "exact"):
        check(
            found.influence_scores(X_test, data.y_test, method=method), scores(name, method), 1e-6
        )
    left = raw_of(found.without([1, 5, 9]).estimator_, X_test)
    dense = raw_of(fitted(name).without([1, 5, 9]).estimator_, data.X_test)
    np.testing.assert_allclose(left, dense, rtol=1e-6, atol=1e-7)


@pytest.mark.slow_rows(where=lambda name, kind: kind == "list" and name not in OF_EACH_KIND)
@every()
@pytest.mark.parametrize("kind", ["frame", "list"])
def test_frames_and_lists_are_arrays(name, kind):
    model, data = NAMED[name], NAMED[name].data
    pandas = pytest.importorskip("pandas")
    columns = [f"x{j}" for j in range(data.X.shape[1])]

    def given(X):
        return pandas.DataFrame(X, columns=columns) if kind == "frame" else X.tolist()

    found = fit(model, given(data.X), data.y, model.s)
    again = found.influence_scores(given(data.X_test), data.y_test, method="exact")
    check(again, scores(name, "exact"), 1e-6)
    left = found.without([1, 5, 9]).predict(given(data.X_test))
    expected = fitted(name).without([1, 5, 9]).predict(data.X_test)
    if is_classifier(model.estimator):
        np.testing.assert_array_equal(left, expected)
    else:
        np.testing.assert_allclose(left, expected, rtol=1e-6)


@pytest.mark.slow_rows(where=lambda name: name not in OF_EACH_KIND)
@every()
def test_two_jobs_are_one(name):
    model, data = NAMED[name], NAMED[name].data
    two = fit(model, data.X, data.y, model.s, n_jobs=2)
    for method in ("newton", "exact"):
        np.testing.assert_array_equal(
            two.influence_scores(data.X_test, data.y_test, method=method), scores(name, method)
        )


@every(where=lambda m: m.name in OF_EACH_KIND)
def test_two_jobs_are_one_for_groups_and_what_is_left(name):
    model, data, one = NAMED[name], NAMED[name].data, fitted(name)
    two = fit(model, data.X, data.y, model.s, n_jobs=2)
    groups = np.arange(len(data.X)) % 5
    for method in ("newton", "exact"):
        found, expected = (
            m.group_influence(groups, data.X_test, data.y_test, method=method).scores
            for m in (two, one)
        )
        np.testing.assert_array_equal(found, expected)
    found, expected = (m.leave_one_out().losses for m in (two, one))
    np.testing.assert_array_equal(found, expected)
    found, expected = (raw_of(m.without([1, 5, 9]).estimator_, data.X_test) for m in (two, one))
    np.testing.assert_array_equal(found, expected)


# ------------------------------------------------------------------- the objective and its factor


@every()
def test_the_minimum_is_that_of_the_twin(name):
    twin, theta = optimum(name)
    assert fitted(name)._current().mechanism("auto").whole.value() == pytest.approx(
        twin.value(theta), rel=1e-8
    )


def typical_row(objective):
    """Return the root mean square over rows of the size of a row's gradient."""
    rows = objective.weighted_grad_sum(np.diag(objective.sample_weight))
    return np.sqrt(np.mean(np.sum(rows**2, axis=0)))


@every()
def test_stationary_at_the_refined_optimum(name):
    objective = fitted(name)._current().mechanism("auto").objective
    assert np.linalg.norm(objective.gradient()) <= 1e-8 * typical_row(objective)


@every(where=lambda m: m.fit_error is not None and m.fit_error <= 1e-5)
def test_stationary_at_a_tight_fit_of_scikit_learn(name):
    """In the coefficients that are not 0, where the penalty is an l1 norm."""
    objective = fitted(name)._current().objective().on_support()
    assert np.linalg.norm(objective.gradient()) <= 1e-5 * typical_row(objective)


@every(where=lambda model: not in_kernel(model.name))
def test_the_objective_is_its_twin_anywhere(name):
    """Value, gradient and curvature at random parameters, which no fit has seen."""
    twin, theta = optimum(name)
    whole = fitted(name)._current().mechanism("auto").whole
    rng = np.random.default_rng(0)
    size = 0.05 * np.linalg.norm(theta) / np.sqrt(len(theta))
    V = rng.standard_normal((len(theta), 3))
    for _ in range(3):
        there = theta + size * rng.standard_normal(len(theta))
        found = whole.at(there)
        assert found.value() == pytest.approx(twin.value(there), rel=1e-10)
        np.testing.assert_allclose(found.smooth_gradient(), twin.gradient(there), 1e-8, 1e-8)
        np.testing.assert_allclose(found.hvp(V), twin.hessian(there) @ V, 1e-8, 1e-8)


@every()
def test_the_factor_solves_as_conjugate_gradients_do(name):
    mechanism = fitted(name)._current().mechanism("auto")
    objective, rows = mechanism.objective, chosen(name)
    pushes = objective.weighted_grad_sum(np.eye(objective.n_samples)[:, rows])
    solved = mechanism.factor.solve(pushes)
    for push, mine in zip(pushes.T, solved.T, strict=True):
        other = conjugate_gradients(objective, push)
        difference = mine - other
        size = np.sqrt(mine @ objective.hvp(mine[:, None])[:, 0])
        off = np.sqrt(abs(difference @ objective.hvp(difference[:, None])[:, 0]))
        assert off <= 1e-8 * size


def conjugate_gradients(objective, b, steps=20):
    """Return H^-1 b, from products with H alone; begun anew `steps` times against rounding."""
    x = np.zeros_like(b)
    for _ in range(steps):
        r = b - objective.hvp(x[:, None])[:, 0]
        p, rr = r.copy(), r @ r
        for _ in range(2 * len(b)):
            if rr <= 1e-29 * (b @ b):
                return x
            Hp = objective.hvp(p[:, None])[:, 0]
            x, r = x + rr / (p @ Hp) * p, r - rr / (p @ Hp) * Hp
            p, rr = r + (r @ r) / rr * p, r @ r
    return x


# ----------------------------------------------------------------------------------- diagnostics


def innermost(estimator):
    """Return the estimator whose loss is minimised."""
    for name in ("best_estimator_", "estimator", "regressor"):
        if hasattr(estimator, name):
            return innermost(getattr(estimator, name))
    return innermost(estimator[-1]) if hasattr(estimator, "steps") else estimator


def power_of(name):
    """Return the power of a Tweedie model; "log" for log losses, None for other losses."""
    one = innermost(plain(name))
    if type(one).__name__ == "LogisticRegression" or getattr(one, "loss", None) == "log_loss":
        return "log"
    powers = {"PoissonRegressor": 1, "GammaRegressor": 2}
    return powers.get(type(one).__name__, getattr(one, "power", None))


def squared_residuals(name, twin, theta, g, v, w, counted):
    """Return those of Pearson, (n, K); of a loss of no family the gradients by their mean v."""
    power = power_of(name)
    if power not in ("log", None):
        mu = twin.response(twin.raw(theta)).reshape(len(g), -1)
        return w * (twin.y.reshape(mu.shape) - mu) ** 2 / mu**power
    if power is None:
        v = w * np.sum(v, axis=0) / np.sum(w * counted, axis=0)
    return np.divide(g**2, v, out=np.zeros_like(g), where=counted)


@every(where=lambda m: m.name != "GridSearch-hinge")  # without curvature anywhere
def test_diagnostics_are_those_of_refits(name):
    """By dense algebra at the twin's optimum, and by its minima without each of six rows."""
    (twin, theta), rows = optimum(name), chosen(name)
    eta, slope = twin.raw(theta), grad(twin.weighed)
    n, K = eta.shape
    g, designs = slope(eta), twin.designs(twin.X)
    G = np.stack([grad(lambda e, k=k: anp.sum(slope(e)[:, k]))(eta) for k in range(K)], axis=1)
    w = twin.W if twin.W.shape[1] == K else np.repeat(twin.W[:, :1], K, axis=1)
    in_pairs = name.startswith(("OneVsOne", "SVC-3"))
    counted = twin.encode(twin.y) != 0 if in_pairs else np.ones((n, K), dtype=bool)

    H, free = twin.hessian(theta), (theta != 0) | (twin.lam == 0)
    inverse = np.zeros_like(H)
    inverse[np.ix_(free, free)] = np.linalg.pinv(H[np.ix_(free, free)], 1e-12, hermitian=True)
    spans = spans_of([D.shape[1] for D in designs])
    Q = np.empty((n, K, K))
    for k, m in np.ndindex(K, K):
        Q[:, k, m] = np.sum(designs[k] @ inverse[spans[k], spans[m]] * designs[m], axis=1)
    hat = np.einsum("ikm,imk->ik", G, Q)
    outputs = np.repeat(np.arange(K), [D.shape[1] for D in designs])
    without = np.array([minimiser_without(name, (i,)) for i in rows])
    shifts = np.array([(twin.raw(at) - eta)[i] for i, at in zip(rows, without, strict=True)])
    C = np.eye(K)  # their common shift changes nothing
    if name in SOFTMAX:
        C[:3, :3] -= 1.0 / 3.0
    spread_of_shifts = np.sqrt(np.diagonal(C @ Q @ C, axis1=1, axis2=2))[rows]

    v = np.diagonal(G, axis1=1, axis2=2)
    squares = squared_residuals(name, twin, theta, g, v, w, counted)
    degrees = np.sum(counted, axis=0) - hat.sum(axis=0)
    lost, per_row = squares / (1.0 - hat), np.ones(K)
    if name in SOFTMAX:  # of the three classes, which have one dispersion
        P = np.exp(eta[:, :3]) / np.sum(np.exp(eta[:, :3]), axis=1, keepdims=True)
        own = np.where(g[:, :3] < 0, 1.0, 0.0)
        squares[:, :3] = np.sum(w[:, :3] * (own - P) ** 2 / P, axis=1, keepdims=True)
        lost[:, :3] = squares[:, :3] / (1.0 - np.sum(own * hat[:, :3], axis=1, keepdims=True))
        per_row[:3], degrees[:3] = 2.0, 2 * n - hat[:, :3].sum()
    total = np.sum(squares, axis=0)
    estimated = total / degrees, (total - lost) / (degrees - per_row * counted)
    of_family = (np.ones(K), np.ones((n, K))) if power_of(name) in ("log", 1) else estimated
    for dispersion, (scale, deleted) in (("family", of_family), ("pearson", estimated)):
        found = fitted(name).diagnostics(method="exact", dispersion=dispersion)
        np.testing.assert_allclose(found.scale, scale, 1e-5)
        shown = found.hat_diagonal.reshape(n, -1)
        np.testing.assert_allclose(shown, hat[:, : shown.shape[1]], 1e-5, 1e-6)
        volume = np.prod((deleted / scale) ** hat.sum(axis=0), axis=1)
        np.testing.assert_allclose(found.cov_ratio, volume / np.linalg.det(np.eye(K) - G @ Q), 1e-4)
        D = (without - theta) / np.sqrt(scale[outputs])
        cook = np.einsum("ip,pq,iq->i", D, H, D) / hat.sum()
        np.testing.assert_allclose(found.cooks_distance[rows], cook, 2e-5, 1e-9)
        dffits = shifts @ C / (np.sqrt(deleted[rows]) * spread_of_shifts)
        shown = found.dffits.reshape(n, -1)[rows]
        np.testing.assert_allclose(shown, dffits[:, : shown.shape[1]], 2e-5, 1e-6)
        if not in_kernel(name):
            spread = np.sqrt(np.where(free, np.diag(inverse), np.nan))
            errors = spread * np.sqrt(scale)[outputs]
            np.testing.assert_allclose(found.standard_errors, errors, 1e-5)
            dfbetas = (without - theta) / (np.sqrt(deleted[rows][:, outputs]) * spread)
            np.testing.assert_allclose(found.dfbetas[rows], dfbetas, 2e-5, 1e-6)


@every()
@pytest.mark.parametrize("method", ["first_order", "newton"])
def test_diagnostics_have_a_number_for_every_row(name, method):
    model, (twin, theta) = NAMED[name], optimum(name)
    found, n = fitted(name).diagnostics(method=method), len(model.data.X)
    K = min(twin.raw(theta).shape[1], 1 if name.startswith("Huber") else 99)
    each = (n,) if K == 1 else (n, K)
    for measure in (
        found.hat_diagonal,
        found.internally_studentized_residuals,
        found.studentized_residuals,
        found.dffits,
    ):
        assert measure.shape == each
        assert np.all(np.isfinite(measure))
    assert found.cooks_distance.shape == found.cov_ratio.shape == (n,)
    assert np.all(np.isfinite(found.cooks_distance) & np.isfinite(found.cov_ratio))
    missing = np.isnan(found.standard_errors)
    assert found.dfbetas.shape == (n, len(missing))
    np.testing.assert_array_equal(np.isnan(found.dfbetas), np.tile(missing, (n, 1)))
    if not in_kernel(name):
        np.testing.assert_array_equal(missing, (theta == 0) & (twin.lam > 0))
    assert len(found.to_frame()) == n
    np.testing.assert_array_equal(
        found.guarded_rows,
        fitted(name).influence(model.data.X[:1], model.data.y[:1], method=method).guarded_rows,
    )
