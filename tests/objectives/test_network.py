"""Networks: every product against autograd, at parameters that no fit has seen."""

from functools import cache

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import is_classifier

from skinfluence.curvature import hessian_roots, preconditioner
from skinfluence.curvature.roots import NetworkRoot
from skinfluence.losses import HalfSquaredError, Joint, Logistic, Multinomial, OneVsRest, Tweedie
from skinfluence.objectives import NetworkObjective
from skinfluence.objectives.base import square_roots
from skinfluence.objectives.stacked import stacked
from skinfluence.removal.leverages import quadratic_forms
from skinfluence.solvers import Factor
from tests.network_twins import alpha_of, fitted, theta_of, twin, with_theta
from tests.networks import NAMED

every = pytest.mark.parametrize("name", NAMED)
OF_EACH_KIND = ("three-0", "binary-logistic-2", "three-relu-3", "labels-tanh", "reals-tanh")
each_kind = pytest.mark.parametrize("name", OF_EACH_KIND)


def loss_of(name):
    one, model = NAMED[name], fitted(name)
    if not is_classifier(model):
        K = model.n_outputs_
        if getattr(model, "loss", None) != "poisson":
            return HalfSquaredError(K)
        return Joint((Tweedie(1.0),) * K) if K > 1 else Tweedie(1.0)
    if np.ndim(one.data.y) == 2:
        return OneVsRest(Logistic(np.array([0, 1])), model.classes_, multilabel=True)
    kind = Logistic if len(model.classes_) == 2 else Multinomial
    return kind(model.classes_)


@cache
def point(name):
    """Return parameters near the fitted ones, where no unit is switched off."""
    theta = theta_of(fitted(name))
    return theta + 0.3 * np.random.default_rng(3).standard_normal(len(theta))


def objective(name, X=None, dtype=float):
    """Return the objective, made by hand, at parameters of no fit."""
    one, there = NAMED[name], with_theta(fitted(name), point(name))
    X = one.data.X if X is None else X
    thin = sparse.csr_matrix(X) if "sparse" in one.tags else X
    return NetworkObjective.from_weights(
        thin.astype(dtype),
        one.data.y,
        loss_of(name),
        there.coefs_,
        there.intercepts_,
        there.activation,
        l2=twin(name).l2.max(),
        sample_weight=np.array(twin(name).w),
    )


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


@cache
def jacobian(name):
    return twin(name).jacobian(point(name))


def close(found, expected, tolerance=1e-10):
    """Hold arrays equal to a tolerance relative to the largest entry."""
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


# ------------------------------------------------------------------------------- first derivatives


@every
def test_parameters_and_value(name):
    one, other = objective(name), twin(name)
    close(one.theta, point(name), 1e-15)
    close(one.l2, other.l2, 1e-15)
    close(one.raw_predictions(), other.raw(point(name)))
    close(one.losses(), other.rows(point(name)))
    assert one.value() == pytest.approx(other.value(point(name)), rel=1e-12)
    weights, biases = one.weights()
    there = with_theta(fitted(name), point(name))
    for W, b, V, v in zip(weights, biases, there.coefs_, there.intercepts_, strict=True):
        np.testing.assert_array_equal(W, V)
        np.testing.assert_array_equal(b, v)


@every
def test_gradients(name):
    one, other = objective(name), twin(name)
    rows, V = other.row_gradients(point(name)), normal(one.n_params, 3)
    A = normal(one.n_samples, 2)
    close(one.gradient(), other.gradient(point(name)))
    close(one.grads_dot(V), rows @ V)
    close(one.weighted_grad_sum(A), rows.T @ A)
    close(one.gradient_norms(), np.linalg.norm(rows, axis=1))


@every
def test_products_with_the_jacobian(name):
    one, J = objective(name), jacobian(name)
    n, K, P = J.shape
    V, B, own = normal(P, 3), normal(n, K, 3), normal(P, n)
    close(one.jacobian_dot(V), J @ V)
    close(one.jacobian_t_dot(B), np.einsum("ikp,ikv->pv", J, B))
    close(one.jacobian_t_rows(B[:, :, 0]), np.einsum("ikp,ik->pi", J, B[:, :, 0]))
    close(one.jacobian_rows_dot(own), np.einsum("ikp,pi->ik", J, own))
    close(one.output_gradients(), twin(name).output_slopes(point(name)))


# ------------------------------------------------------------------------------------- curvature


@cache
def hessian(name):
    return twin(name).hessian(point(name))


@cache
def gauss_newton(name):
    return twin(name).gauss_newton(point(name))


@every
def test_the_hessian(name):
    one, V = objective(name), normal(len(point(name)), 3)
    close(one.hvp(V), hessian(name) @ V)
    assert one.block_shape() == (1, one.n_params)
    close(one.hessian_blocks(), hessian(name)[None])


@each_kind
def test_the_hessian_is_the_difference_of_gradients(name, h=1e-5):
    one, v = objective(name), normal(len(point(name)))
    ends = [one.at(one.theta + step * v).gradient() for step in (h, -h)]
    close(one.hvp(v[:, None])[:, 0], (ends[0] - ends[1]) / (2 * h), 1e-6)


@every
def test_the_gauss_newton_matrix(name):
    one, V = objective(name), normal(len(point(name)), 3)
    close(one.gauss_newton(V), gauss_newton(name) @ V)
    close(one.gauss_newton_blocks(), gauss_newton(name)[None])


@every
def test_gauss_newton_is_the_hessian_of_the_linearised_network_alone(name):
    depth = len(fitted(name).coefs_)
    error = np.linalg.norm(gauss_newton(name) - hessian(name)) / np.linalg.norm(hessian(name))
    assert (error < 1e-12) if depth == 1 else (error > 1e-4)


class Dense(Factor):
    """A matrix that is solved with by numpy."""

    def __init__(self, M):
        self.M = M

    def solve(self, V):
        return np.linalg.solve(self.M, V)


@every
def test_quadratic_forms(name):
    one, J = objective(name), jacobian(name)
    M = gauss_newton(name) + 0.3 * np.eye(one.n_params)
    expected = np.einsum("ikp,pq,ilq->ikl", J, np.linalg.inv(M), J, optimize=True)
    found = np.zeros_like(expected)
    for rows, Q in quadratic_forms(one, Dense(M)):
        found[rows] = Q
    close(found, expected)


def few(name, n=4):
    """Return (objective, J, G) of the first rows: fewer outputs than parameters."""
    one, J = objective(name).rows(np.arange(n)), jacobian(name)[:n]
    return one, J, twin(name).output_curvatures(point(name))[:n] * twin(name).w[:n, None, None]


@every
def test_roots_of_few_rows(name):
    n = 4 if len(fitted(name).coefs_) > 1 else 1
    one, J, G = few(name, n)
    if J.shape[0] * J.shape[1] >= J.shape[2]:
        assert hessian_roots(one) is None
        return
    assert hessian_roots(objective(name)) is None
    (root,) = hessian_roots(one)
    expected = np.einsum("ikp,ikl,ilq->pq", J, G, J)
    Z = root.dot(np.eye(one.n_params))
    assert root.rank == J.shape[0] * J.shape[1] == len(Z)
    close(Z.T @ Z, expected)
    U = normal(root.rank, 3)
    close(root.t_dot(U), Z.T @ U)
    # The scales that penalties make: alike for the weights of a layer, and for its biases.
    scale = np.concatenate(
        [
            np.repeat([0.5 + layer, 2.0 / (1 + layer)], [W.size, len(b)])
            for layer, (W, b) in enumerate(zip(*one.weights(), strict=True))
        ]
    )
    close(root.gram(scale), (Z * scale) @ Z.T)


@every
@pytest.mark.parametrize("kind", ["auto", "kronecker"])
def test_the_preconditioners_lower_the_condition_number(name, kind, damping=0.01):
    one = objective(name)
    M = gauss_newton(name) + damping * np.eye(one.n_params)
    inverse = preconditioner(one, kind, damping).solve(np.eye(one.n_params))
    close(inverse, inverse.T)
    root = np.linalg.cholesky(inverse)
    assert np.linalg.cond(root.T @ M @ root) < np.linalg.cond(M)


@every
def test_the_heaviest_rows_are_all_rows_of_a_small_network(name, damping=0.2):
    one = objective(name)
    inverse = preconditioner(one, "dominant_rows", damping).solve(np.eye(one.n_params))
    damped = gauss_newton(name) + damping * np.eye(one.n_params)
    close(inverse @ damped, np.eye(one.n_params), 1e-8)


@pytest.mark.parametrize("name", ["three-tanh", "reals-relu-sparse"])
def test_the_heaviest_rows_are_the_largest(name, tune):
    one = objective(name)
    tune(dominant_rows=20)
    Z = hessian_roots(one)[0] if hessian_roots(one) else NetworkRoot(one, square_roots(one))
    Z = Z.dot(np.eye(one.n_params))
    largest = np.argsort(-np.linalg.norm(Z, axis=1))[:20]
    M = Z[largest].T @ Z[largest] + np.diag(one.l2 + 0.2)
    inverse = preconditioner(one, "dominant_rows", 0.2).solve(np.eye(one.n_params))
    close(inverse @ M, np.eye(one.n_params), 1e-8)


def test_the_preconditioner_is_the_inverse_of_one_layer_of_least_squares():
    model = fitted("reals-0" if "reals-0" in NAMED else "reals-tanh")
    X, y = NAMED["reals-tanh"].data.X, NAMED["reals-tanh"].data.y
    W = [normal(X.shape[1], 2)], [normal(2)]
    one = NetworkObjective.from_weights(X, y, HalfSquaredError(2), *W, model.activation, l2=0.0)
    inverse = preconditioner(one, "kronecker", 0.4).solve(np.eye(one.n_params))
    close(inverse, np.linalg.inv(one.hessian_blocks()[0] + 0.4 * np.eye(one.n_params)))


@every
def test_flat_shifts_are_in_the_null_space(name):
    shifts = objective(name).flat_shifts()
    assert len(shifts) == (1 if name.startswith("three") else 0)
    for parameters in shifts:
        v = np.zeros(len(point(name)))
        v[parameters] = 1.0
        close(hessian(name) @ v + 1.0, np.ones(len(v)))


# ------------------------------------------------------------------- other parameters, other inputs


@every
def test_many_parameters_at_once(name):
    one, other, m = objective(name), twin(name), 3
    Theta = point(name)[:, None] + 0.2 * normal(one.n_params, m)
    W = np.random.default_rng(2).uniform(0.0, 2.0, (one.n_samples, m))
    W[::3, 0] = 0.0
    S = normal(one.n_params, m, seed=4)
    many = stacked(one, Theta, W)
    losses = np.array([other.rows(theta) for theta in Theta.T])
    rows = [other.row_gradients(theta) for theta in Theta.T]
    close(many.values(), np.sum(losses * W.T, axis=1))
    close(many.gradients(), np.stack([g.T @ w for g, w in zip(rows, W.T, strict=True)], axis=1))
    for j in range(m):

        def slope(theta, j=j):
            return anp.dot(
                autograd.grad(lambda at: anp.sum(W[:, j] * other.rows(at)))(theta), S[:, j]
            )

        close(many.products(S)[:, j], autograd.grad(slope)(Theta[:, j]))


@every
def test_changes_along_many_directions(name):
    one, other = objective(name), twin(name)
    D, own = 0.2 * normal(one.n_params, 3), 0.2 * normal(one.n_params, one.n_samples, seed=2)
    before, losses = other.raw(point(name)), other.rows(point(name))
    moved = [other.raw(point(name) + d) - before for d in D.T]
    close(one.prediction_changes(D), np.stack(moved, axis=1))
    changes = [other.rows(point(name) + d) - losses for d in D.T]
    close(one.loss_changes(D), np.stack(changes, axis=1))
    eta = np.array([other.raw(point(name) + d)[i] - before[i] for i, d in enumerate(own.T)])
    close(one.own_prediction_changes(own), eta)
    change = [other.rows(point(name) + d)[i] - losses[i] for i, d in enumerate(own.T)]
    close(one.own_loss_changes(own), np.array(change))


@each_kind
def test_small_changes_do_not_cancel(name):
    """A change of 1e-9 is its derivative to six digits, where a difference would have seven."""
    one = objective(name)
    D = 1e-9 * normal(one.n_params, 2)
    close(one.prediction_changes(D).transpose(0, 2, 1), one.jacobian_dot(D), 1e-6)


@every
def test_derivatives_in_the_inputs(name):
    one, other, V = objective(name), twin(name), normal(len(point(name)), 2)

    def along(X, v):
        slope = autograd.grad(lambda theta: anp.sum(other.rows(theta, X)))
        return anp.dot(slope(point(name)), v)

    expected = [autograd.grad(along)(other.X, v) for v in V.T]
    close(one.input_gradients_dot(V), np.stack(expected, axis=1))


@each_kind
def test_derivatives_in_the_inputs_are_differences(name, h=1e-5):
    V, X = normal(len(point(name)), 2), NAMED[name].data.X
    found = objective(name).input_gradients_dot(V)
    for j in range(X.shape[1]):
        step = h * np.eye(X.shape[1])[j]
        ends = [objective(name, X=X + sign * step).grads_dot(V) for sign in (1, -1)]
        difference = (ends[0] - ends[1]) / (2 * h)
        np.testing.assert_allclose(found[:, :, j], difference, atol=1e-6 * np.abs(found).max())


# -------------------------------------------------------------------------- rows, blocks, precision


def everything(one):
    """Return what an objective computes, by name."""
    P, n, K = one.n_params, one.n_samples, one.loss.n_outputs
    V, B = normal(P, 4), normal(n, K, 3)
    forms = [Q for _, Q in quadratic_forms(one, Dense(np.diag(np.linspace(1.0, 2.0, P))))]
    many = stacked(one, one.theta[:, None] + 0.1 * V, normal(n, 4) ** 2)
    return {
        "raw_predictions": one.raw_predictions(),
        "gradient": one.gradient(),
        "grads_dot": one.grads_dot(V),
        "jacobian_dot": one.jacobian_dot(V),
        "jacobian_t_dot": one.jacobian_t_dot(B),
        "jacobian_t_rows": one.jacobian_t_rows(B[:, :, 0]),
        "jacobian_rows_dot": one.jacobian_rows_dot(normal(P, n)),
        "gradient_norms": one.gradient_norms(),
        "hvp": one.hvp(V),
        "gauss_newton": one.gauss_newton(V),
        "hessian_blocks": one.hessian_blocks(),
        "gauss_newton_blocks": one.gauss_newton_blocks(),
        "quadratic_forms": np.concatenate(forms),
        "preconditioner": preconditioner(one, "kronecker", 0.1).solve(V),
        "values": many.values(),
        "gradients": many.gradients(),
        "products": many.products(V),
        "prediction_changes": one.prediction_changes(0.1 * V),
        "own_prediction_changes": one.own_prediction_changes(0.1 * normal(P, n)),
        "loss_changes": one.loss_changes(0.1 * V),
        "input_gradients_dot": one.input_gradients_dot(V),
    }


@pytest.mark.parametrize("block", [1, 300])
@pytest.mark.parametrize("name", [*OF_EACH_KIND, "reals-relu-sparse"])
def test_results_do_not_depend_on_the_block_size(name, block, tune):
    expected = everything(objective(name))
    tune(block_elements=block)
    tune(kept_pass_elements=0)
    for key, found in everything(objective(name)).items():
        np.testing.assert_allclose(
            found, expected[key], rtol=0, atol=1e-10 * np.abs(expected[key]).max(), err_msg=key
        )


@each_kind
@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_sparse_rows_equal_dense_rows(name, kind):
    thin = objective(name, X=sparse.csr_array(NAMED[name].data.X).asformat(kind))
    assert sparse.issparse(thin.X) and thin.X.format == "csr"
    expected = everything(objective(name))
    for key, found in everything(thin).items():
        np.testing.assert_allclose(
            found, expected[key], rtol=0, atol=1e-10 * np.abs(expected[key]).max(), err_msg=key
        )


@each_kind
def test_float32_rows_are_computed_with_in_double(name):
    X = NAMED[name].data.X
    single = objective(name, dtype=np.float32)
    assert single.dtype == np.float32
    assert np.shares_memory(single.X, single.rows(slice(0, 5)).X)
    expected = everything(objective(name, X=X.astype(np.float32).astype(float)))
    for key, found in everything(single).items():
        assert found.dtype == np.float64, key
        np.testing.assert_allclose(
            found, expected[key], rtol=0, atol=1e-10 * np.abs(expected[key]).max(), err_msg=key
        )


@every
def test_rows_are_a_part_of_all(name):
    one, rows = objective(name), np.array([4, 0, 7, 7])
    part, V = one.rows(rows), normal(one.n_params, 2)
    for kept in (part, objective(name)):
        kept.raw_predictions()  # with and without what was computed for all rows
    after = one.rows(rows)
    for found in (part, after):
        np.testing.assert_array_equal(found.sample_weight, twin(name).w[rows])
        close(found.losses(), one.losses()[rows])
        close(found.grads_dot(V), one.grads_dot(V)[rows])
    close(one.rows(slice(2, 9, 3)).losses(), one.losses()[2:9:3])
    again = after.with_weights(np.ones(4)).at(point(name) + 0.1)
    close(again.losses(), twin(name).rows(point(name) + 0.1)[rows])


@every
def test_test_rows_weigh_one_and_need_targets_for_their_loss(name):
    data, one = NAMED[name].data, objective(name)
    other = one.on(data.X_test, data.y_test)
    assert np.all(other.sample_weight == 1.0)
    close(other.losses(), twin(name).rows(point(name), data.X_test, data.y_test))
    unknown = one.on(data.X_test)
    close(unknown.raw_predictions(), twin(name).raw(point(name), data.X_test))
    with pytest.raises(ValueError, match="without their targets; pass y_test"):
        unknown.losses()


def test_what_a_network_promises():
    one = objective("three-tanh")
    assert not one.convex and not one.constant_hessian
    assert one.kind == "network" and one.default_curvature == "gauss_newton"
    assert one.l2.max() == alpha_of(fitted("three-tanh"), 50)
    assert np.sum(one.l2 == 0) == 3 + 3
