"""Trust-region Newton steps on functions whose minima are known: valleys, wells, saddles, kinks."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from scipy.optimize import minimize

from skinfluence.curvature import Curvature
from skinfluence.losses import HalfSquaredError, Tweedie
from skinfluence.minimisers import trust_region
from skinfluence.minimisers.trust_region import Problem, minimise, norms
from skinfluence.objectives import Fixed, NetworkObjective, Objective
from skinfluence.solvers.approximate import definite_preconditioner


class Own(Objective):
    """Rows whose losses are functions of theta, each with its derivatives; products are counted."""

    convex = False

    def __init__(self, *functions, n_params=2, l2=0.0):
        self.parts = [(f, autograd.grad(f), autograd.hessian(f)) for f in functions]
        self.theta = np.zeros(n_params)
        self.l2 = np.full(n_params, l2)
        self.sample_weight = np.ones(len(functions))
        self.weighting = Fixed(len(functions))
        self.products = []

    def _with(self, **changes):
        out = object.__new__(type(self))
        out.__dict__.update(vars(self), **changes)
        return out

    def at(self, theta):
        return self._with(theta=theta)

    def on(self, X, y=None):
        raise NotImplementedError

    def rows(self, index):
        parts = [self.parts[i] for i in np.arange(len(self.parts))[index]]
        weight = self.sample_weight[index]
        return self._with(parts=parts, sample_weight=weight, weighting=Fixed(len(parts)))

    def losses(self):
        return np.array([f(self.theta) for f, _, _ in self.parts])

    def grads_dot(self, V):
        return np.array([g(self.theta) for _, g, _ in self.parts]) @ V

    def weighted_grad_sum(self, A):
        return np.array([g(self.theta) for _, g, _ in self.parts]).T @ A

    def hvp(self, V):
        self.products.append(V.shape[1])
        H = sum(w * h(self.theta) for w, (_, _, h) in zip(self.sample_weight, self.parts))  # noqa: B905
        return H @ V + self.l2[:, None] * V


def itself(V):
    return V


def column(*values):
    return np.array(values, dtype=float)[:, None]


def seek(one, Theta, W=None, precondition=itself, goal=1e-9, **params):
    Theta = np.asarray(Theta, dtype=float)
    m = Theta.shape[1]
    W = np.ones((one.n_samples, m)) if W is None else np.asarray(W, dtype=float)
    return minimise(Problem(one, W), Theta, precondition, np.full(m, goal), **params)


# -------------------------------------------------------------------------------------- quadratics


def quadratic(n_params=6, seed=0):
    """Return a row 1/2 t'At - b't, and A, b."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n_params, n_params))
    A = A @ A.T + np.eye(n_params)
    b = rng.standard_normal(n_params)
    return (lambda t: 0.5 * anp.dot(t, anp.dot(A, t)) - anp.dot(b, t)), A, b


@pytest.mark.parametrize("l2", [0.0, 0.7])
def test_a_quadratic_takes_one_step_of_its_own_inverse(l2):
    f, A, b = quadratic()
    one = Own(f, n_params=6, l2=l2)
    H = A + l2 * np.eye(6)
    found = seek(one, np.ones((6, 1)), precondition=lambda V: np.linalg.solve(H, V))
    np.testing.assert_allclose(found.Theta[:, 0], np.linalg.solve(H, b), rtol=1e-10)
    assert found.n_iter == 1
    assert found.converged[0]
    assert found.remaining[0] <= 1e-9


def test_the_preconditioner_saves_products_and_not_the_answer():
    f, A, b = quadratic()
    counts = []
    for precondition in (itself, lambda V: np.linalg.solve(A, V)):
        one = Own(f, n_params=6)
        found = seek(one, np.ones((6, 1)), precondition=precondition)
        np.testing.assert_allclose(found.Theta[:, 0], np.linalg.solve(A, b), rtol=1e-8)
        counts.append(len(one.products))
    assert counts[1] <= 0.2 * counts[0]


def test_weights_penalty_center_and_damping_are_those_of_the_function():
    """sum_i W_ij l_i + 1/2 (l2 + damping) |theta - center|^2, and a row that comes to each."""
    f, A, b = quadratic()
    g, B, c = quadratic(seed=1)
    base = Own(f, g, n_params=6, l2=0.3)
    coming = Own(g, f, n_params=6)
    coming = coming.with_weights(np.array([2.0, 0.5]))
    center = np.arange(6.0)
    W = np.array([[1.0, 0.2], [0.0, 1.5]])
    problem = Problem(base, W, coming, center=center, damping=0.1)
    found = minimise(problem, np.zeros((6, 2)), itself, np.full(2, 1e-10))
    penalty = 0.4 * np.eye(6)
    first = np.linalg.solve(A + 2.0 * B + penalty, b + 2.0 * c + 0.4 * center)
    second = np.linalg.solve(0.7 * A + 1.5 * B + penalty, 0.7 * b + 1.5 * c + 0.4 * center)
    np.testing.assert_allclose(found.Theta, np.column_stack([first, second]), rtol=1e-8)


def test_left_is_the_gradient_in_the_norm_of_the_preconditioner():
    one, M = Own(valley, slope), np.diag([1.0, 7.0])
    found = seek(one, column(-1.2, 1.0), precondition=lambda V: M @ V, max_iter=2)
    g = one.at(found.Theta[:, 0]).gradient()
    assert found.remaining[0] == pytest.approx(np.sqrt(g @ M @ g), rel=1e-12)
    assert norms(g[:, None], lambda V: M @ V)[0] == pytest.approx(found.remaining[0], rel=1e-12)


@pytest.mark.parametrize("radius", [0.05, 0.5, 3.0, 100.0])
@pytest.mark.parametrize("lowest", [0.5, -2.0])
def test_a_step_knows_its_length_and_what_it_foretells(radius, lowest):
    """|s| = sqrt(s' M s) <= radius, and the fall of the quadratic model, -g's - 1/2 s'Hs."""
    rng = np.random.default_rng(0)
    H, Q = (np.linalg.qr(rng.standard_normal((6, 6)))[0] for _ in range(2))
    H = H * np.array([lowest, 1.0, 3.0, 5.0, 20.0, 60.0]) @ H.T
    M = Q * np.geomspace(0.5, 8.0, 6) @ Q.T
    b = rng.standard_normal(6)
    one = Own(lambda t: 0.5 * anp.dot(t, anp.dot(H, t)) - anp.dot(b, t), n_params=6)
    problem, theta = Problem(one, np.ones((1, 1))), np.ones((6, 1))
    here = problem.at(theta)
    g = here.gradients()
    params = {"radius": np.array([radius]), "forcing": np.array([1e-6]), "goal": np.array([1e-9])}
    S, foretold, length = trust_region._step(
        problem, here, theta, g, lambda V: np.linalg.solve(M, V), **params
    )
    s = S[:, 0]
    assert length[0] == pytest.approx(np.sqrt(s @ M @ s), rel=1e-9)
    assert length[0] <= radius * (1 + 1e-9)
    assert foretold[0] == pytest.approx(-g[:, 0] @ s - 0.5 * s @ H @ s, rel=1e-9)
    if radius == 0.05 or lowest < 0:
        assert length[0] == pytest.approx(radius, rel=1e-9)
    elif radius == 100.0:
        np.testing.assert_allclose(s, -np.linalg.solve(H, g[:, 0]), rtol=1e-4)


# ------------------------------------------------------------------------------- valleys and wells


def valley(t):
    return 100.0 * (t[1] - t[0] ** 2) ** 2


def slope(t):
    return (1.0 - t[0]) ** 2


def pull(t):
    return (t[0] + 0.5) ** 2 + 0.3 * t[1]


STARTS = np.array([[-1.2, 1.0, 2.0, -3.0, 0.9], [1.0, -1.0, 5.0, 0.5, 0.8]])
WEIGHTS = np.array([[1.0, 0.1, 3.0, 1.0, 0.02], [1.0, 1.0, 0.3, 2.0, 1.0], [0.0, 0.5, 1.0, 0.1, 0]])


def minimum_by_scipy(w, start):
    def value(t):
        return w[0] * valley(t) + w[1] * slope(t) + w[2] * pull(t)

    params = {"jac": autograd.grad(value), "hess": autograd.hessian(value)}
    return minimize(value, start, method="trust-exact", options={"gtol": 1e-11}, **params).x


def test_curved_valleys_with_weights_of_their_own_end_where_scipy_ends():
    found = seek(Own(valley, slope, pull), STARTS, WEIGHTS, goal=1e-10)
    assert np.all(found.converged)
    expected = [minimum_by_scipy(w, s) for w, s in zip(WEIGHTS.T, STARTS.T, strict=True)]
    np.testing.assert_allclose(found.Theta.T, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.Theta[:, 0], 1.0, rtol=1e-8)


def test_the_answer_of_a_column_does_not_depend_on_the_others():
    one = Own(valley, slope, pull)
    together = seek(one, STARTS, WEIGHTS)
    for j in (1, 3):
        alone = seek(one, STARTS[:, [j]], WEIGHTS[:, [j]])
        np.testing.assert_allclose(alone.Theta[:, 0], together.Theta[:, j], rtol=1e-12)
        assert alone.converged[0]
    order = np.array([3, 1, 4, 0, 2])
    moved = seek(one, STARTS[:, order], WEIGHTS[:, order])
    np.testing.assert_allclose(moved.Theta, together.Theta[:, order], rtol=1e-12)
    assert together.n_iter == moved.n_iter


def test_the_end_is_faster_than_linear():
    """What one step leaves of the equations falls with the gradient (order 3/2, not a tenth)."""
    A = np.random.default_rng(0).standard_normal((60, 20))

    def bowl(t):
        return anp.sum(anp.log(anp.cosh(anp.dot(A, t) - 1.0))) + 0.05 * anp.sum(t**2)

    found = seek(Own(bowl, n_params=20), np.zeros((20, 1)), goal=1e-12, max_iter=8)
    assert found.remaining[0] <= 1e-8
    there = minimize(bowl, found.Theta[:, 0], jac=autograd.grad(bowl), tol=1e-12).x
    np.testing.assert_allclose(found.Theta[:, 0], there, atol=1e-8)


def wells(t):
    return (t[0] ** 2 - 1.0) ** 2 + 0.5 * t[1] ** 2


def tilt(t):
    return t[0] + 0.0 * t[0] ** 2


def test_each_start_ends_in_its_own_well():
    starts = np.array([[0.8, 1.4, -0.9, -1.7], [0.5, -1.0, 0.2, 2.0]])
    W = np.array([[1.0] * 4, [0.0, 0.3, 0.1, 0.4]])
    found = seek(Own(wells, tilt), starts, W)
    assert np.all(found.converged)
    for j, side in enumerate([1.0, 1.0, -1.0, -1.0]):
        roots = np.roots([4.0, 0.0, -4.0, W[1, j]])
        expected = roots[np.argmin(np.abs(roots - side))].real
        np.testing.assert_allclose(found.Theta[:, j], [expected, 0.0], rtol=1e-9, atol=1e-9)


def test_what_bends_down_is_followed_to_the_edge():
    """Between the wells the second derivative is negative: a plain Newton step would go uphill."""
    found = seek(Own(wells, tilt), [[0.05, -0.05], [0.0, 0.0]], np.array([[1.0, 1.0], [0.0, 0.0]]))
    np.testing.assert_allclose(found.Theta, [[1.0, -1.0], [0.0, 0.0]], atol=1e-9)
    hessian = autograd.hessian(wells)(np.array([0.05, 0.0]))
    assert np.linalg.eigvalsh(hessian)[0] < -3.0


# ------------------------------------------------------------------------------------------ saddles


def test_a_saddle_is_shaken_off():
    """On the axis of symmetry every step stays on it, and ends at the saddle between two wells."""
    found = seek(Own(wells), column(0.0, 1.0))
    assert found.converged[0]
    np.testing.assert_allclose(np.abs(found.Theta[:, 0]), [1.0, 0.0], atol=1e-8)


def test_the_way_off_a_saddle_does_not_depend_on_the_others():
    starts = np.array([np.zeros(8), np.linspace(1.0, 2.0, 8)])
    one = Own(wells)
    together = seek(one, starts)
    for j in range(8):
        alone = seek(one, starts[:, [j]])
        np.testing.assert_allclose(alone.Theta[:, 0], together.Theta[:, j], atol=1e-8)


def test_a_minimum_is_kept_bit_for_bit():
    """The shaken start comes back to it within rounding, and the first answer stays."""
    one = Own(valley, slope)
    first = seek(one, column(1.1, 1.2), goal=1e-12)
    again = seek(one, first.Theta, goal=1e-12)
    np.testing.assert_array_equal(again.Theta, first.Theta)
    assert again.n_iter == 0


# ---------------------------------------------------------------------- kinks, limits and overflow


def test_a_kink_is_come_near_to_and_not_called_a_minimum():
    def kink(t):
        return anp.abs(t[0] - 0.3) + 0.5 * t[1] ** 2 + 0.1 * t[0]

    found = seek(Own(kink), column(2.0, 1.0))
    assert not found.converged[0]
    assert found.remaining[0] > 0.5
    np.testing.assert_allclose(found.Theta[:, 0], [0.3, 0.0], atol=1e-3)


def test_a_column_at_a_kink_does_not_hold_up_the_others():
    def kink(t):
        return anp.abs(t[0] - 0.3) + 0.5 * t[1] ** 2

    W = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = seek(Own(kink, wells), [[2.0, 0.6], [1.0, 1.0]], W)
    assert found.converged.tolist() == [False, True]
    alone = seek(Own(wells), column(0.6, 1.0))
    np.testing.assert_allclose(found.Theta[:, 1], alone.Theta[:, 0], rtol=1e-12)


@pytest.mark.parametrize("max_iter", [1, 3])
def test_no_more_steps_than_allowed(max_iter):
    one = Own(valley, slope)
    found = seek(one, column(-1.2, 1.0), max_iter=max_iter)
    assert not found.converged[0]
    assert found.n_iter <= 2 * max_iter
    g = one.at(found.Theta[:, 0]).gradient()
    assert found.remaining[0] == pytest.approx(np.linalg.norm(g), rel=1e-12)
    assert one.at(found.Theta[:, 0]).value() < one.at(np.array([-1.2, 1.0])).value()


def test_what_is_done_at_the_start_stays():
    found = seek(Own(wells), [[1.0, 0.6], [0.0, 0.0]], goal=1e-6)
    np.testing.assert_array_equal(found.Theta[:, 0], [1.0, 0.0])
    np.testing.assert_allclose(found.Theta[:, 1], [1.0, 0.0], atol=1e-6)


def steep(t):
    """Not finite from 700 on, where a first step of the gradient would end."""
    with np.errstate(over="ignore", invalid="ignore"):
        return anp.exp(t[0]) - 2.0 * t[0] + 0.5 * t[1] ** 2


def test_values_that_overflow_are_stepped_back_from():
    with np.errstate(over="ignore", invalid="ignore"):
        found = seek(Own(steep), column(-800.0, 300.0))
    assert found.converged[0]
    np.testing.assert_allclose(found.Theta[:, 0], [np.log(2.0), 0.0], atol=1e-8)


@pytest.mark.parametrize("activation", ["relu", "identity", "tanh"])
def test_a_network_whose_means_overflow_is_stepped_back_from(activation):
    """exp(eta) of a Poisson loss, from weights at which the first step is far too long."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 3)), rng.poisson(2.0, 30).astype(float)
    coefs = [rng.standard_normal((3, 4)), 3.0 * rng.standard_normal((4, 1))]
    biases = [rng.standard_normal(4), np.array([1.0])]
    one = NetworkObjective.from_weights(X, y, Tweedie(1.0), coefs, biases, activation, l2=0.5)
    near = definite_preconditioner(Curvature(one))
    found = seek(one, one.theta[:, None], precondition=near, goal=1e-7, max_iter=300)
    there = one.at(found.Theta[:, 0])
    assert np.isfinite(there.value())
    assert there.value() < 0.5 * one.value()
    assert np.linalg.norm(there.gradient()) <= 1e-6 * np.linalg.norm(one.gradient())
    assert found.converged[0] or activation == "relu"  # where it may end at a kink


# ----------------------------------------------------------------------------------------- networks


def test_networks_without_each_row_are_the_same_alone_and_together():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 3))
    y = X[:, :2] + np.sin(2.0 * X[:, :1])
    coefs = [rng.standard_normal((3, 3)), rng.standard_normal((3, 2))]
    biases = [rng.standard_normal(3), np.zeros(2)]
    one = NetworkObjective.from_weights(X, y, HalfSquaredError(2), coefs, biases, "tanh", l2=1.0)
    start = seek(one, one.theta[:, None]).Theta
    W = 1.0 - np.eye(20)
    together = seek(one, np.repeat(start, 20, axis=1), W)
    assert np.all(together.converged)
    for j in (0, 7, 19):
        alone = seek(one, start, W[:, [j]])
        np.testing.assert_allclose(alone.Theta[:, 0], together.Theta[:, j], atol=1e-7)
        left = one.with_weights(W[:, j]).at(together.Theta[:, j])
        assert np.linalg.norm(left.gradient()) <= 1e-9
        assert np.linalg.eigvalsh(left.hessian_blocks()[0])[0] > -1e-9
