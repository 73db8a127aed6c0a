"""What LU has of its own: inertia, saddles, scaling of matrices whose diagonals bound nothing."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import linalg

from skinfluence.curvature import Curvature
from skinfluence.objectives import Objective
from skinfluence.solvers import LU, SingularCurvatureError
from skinfluence.solvers.dense import smallest_eigenvalue
from skinfluence.solvers.lu import equilibrate
from tests.solvers.test_cg import network
from tests.solvers.test_solvers import dense


class Saddle(Objective):
    """A model with any Hessian."""

    convex = False
    sample_weight = np.ones(1)

    def __init__(self, H, kind="own"):
        self.H, self.theta, self.l2, self.kind = H, np.zeros(len(H)), np.zeros(len(H)), kind

    def at(self, theta): ...
    def on(self, X, y=None): ...
    def rows(self, index): ...
    def losses(self): ...
    def grads_dot(self, V): ...
    def weighted_grad_sum(self, A): ...

    def hvp(self, V):
        with np.errstate(invalid="ignore"):
            return self.H @ V


def symmetric(n, seed=0):
    A = np.random.default_rng(seed).standard_normal((n, n))
    return A + A.T


MATRICES = {
    "dense": symmetric(30),
    "one": np.array([[-2.0]]),
    "zero-diagonal": symmetric(25) * (1 - np.eye(25)),
    "swap": np.array([[0.0, 3.0], [3.0, 0.0]]),
    "negative": -symmetric(12) @ symmetric(12) - np.eye(12),
    "positive": symmetric(12) @ symmetric(12) + np.eye(12),
    "corner": np.block(
        [
            [np.zeros((3, 3)), np.ones((3, 4)) + symmetric(7)[:3, 3:]],
            [(np.ones((3, 4)) + symmetric(7)[:3, 3:]).T, symmetric(4)],
        ]
    ),
}
matrices = pytest.mark.parametrize("name", MATRICES)


@pytest.mark.filterwarnings("ignore:The curvature of .* negative eigenvalue")
@matrices
def test_indefinite_curvature_is_inverted_and_its_inertia_reported(name):
    H = MATRICES[name]
    factor = LU().factorize(Curvature(Saddle(H)))
    n = len(H)
    V = np.random.default_rng(1).standard_normal((n, 3))
    inverse = linalg.inv(H)
    np.testing.assert_allclose(factor.solve(V), inverse @ V, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(factor.inverse()[0], inverse, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(factor.inverse_diagonal()[0], np.diag(inverse), atol=1e-10)
    forms = np.diag(V.T @ inverse @ V)
    np.testing.assert_allclose(factor.quadratic(V, 0), forms, rtol=1e-9, atol=1e-10)
    assert factor.numerics.n_negative == np.sum(linalg.eigvalsh(H) < 0)
    s = equilibrate(H)
    rcond = 1.0 / np.linalg.cond(H * s * s[:, None], 1)
    assert 0.99 * rcond <= factor.numerics.rcond <= 3.0 * rcond  # estimated, from below


@pytest.mark.filterwarnings("ignore:The curvature of .* negative eigenvalue")
@matrices
def test_damping_moves_the_inertia(name):
    values = linalg.eigvalsh(MATRICES[name])
    for damping in np.abs(values) * 1.1 + 0.01:
        curvature = Curvature(Saddle(MATRICES[name]), damping=float(damping))
        found = LU().factorize(curvature).numerics
        assert found.n_negative == np.sum(values + damping < 0)
        assert found.damping == damping


def test_a_saddle_is_warned_of_with_the_damping_that_would_do():
    H = np.diag([3.0, -2.0, 5.0, -0.5])
    with pytest.warns(UserWarning) as caught:
        LU().factorize(Curvature(Saddle(H), damping=0.25))
    (text,) = [str(each.message) for each in caught]
    assert "has 2 negative eigenvalues, of 4: the parameters are at a saddle" in text
    assert "first-order answers, but there is no minimum nearby" in text
    assert "damping > 2.002 (twice that" in text
    assert "refine=True" in text and "curvature='gauss_newton'" in text
    with pytest.warns(UserWarning, match="has 1 negative eigenvalue, of 4"):
        LU().factorize(Curvature(Saddle(H), damping=1.0))
    LU().factorize(Curvature(Saddle(H), damping=2.1))


@pytest.mark.parametrize("name", ["binary-tanh", "three-tanh", "real-tanh-3"])
def test_the_hessian_of_a_network_where_it_is_indefinite(name):
    curvature = network(name, 0.0, "hessian")
    one = curvature.objective
    rng = np.random.default_rng(3)
    curvature = Curvature(one.at(one.theta + rng.standard_normal(one.n_params)), "hessian", 0.01)
    H = dense(curvature)
    values = linalg.eigvalsh(H)
    assert values[0] < -0.1
    with pytest.warns(UserWarning, match=r"negative eigenvalue") as caught:
        factor = LU().factorize(curvature)
    V = rng.standard_normal((one.n_params, 3))
    np.testing.assert_allclose(factor.solve(V), linalg.solve(H, V), rtol=1e-7, atol=1e-8)
    assert factor.numerics.n_negative == np.sum(values < 0)
    needed = float(re.search(r"damping > (\S+) \(", str(caught[0].message)).group(1))
    assert linalg.eigvalsh(H + (needed - 0.01) * np.eye(len(H)))[0] > 0
    assert linalg.eigvalsh(H + (0.99 * needed - 0.01) * np.eye(len(H)))[0] < 0


def test_blocks_that_are_stored_once_are_counted_as_often_as_they_are_there():
    H = np.diag([3.0, -2.0, 1.0])
    twice = SimpleNamespace(
        n_params=6,
        damping=0.0,
        flat=None,
        objective=SimpleNamespace(kind="linear", convex=True),
        block_shape=lambda: (1, 3),
        blocks=lambda: H[None].copy(),
        flat_shifts=list,
    )
    with pytest.warns(UserWarning, match="has 2 negative eigenvalues, of 6"):
        factor = LU().factorize(twice)
    V = np.random.default_rng(0).standard_normal((6, 2))
    expected = linalg.block_diag(linalg.inv(H), linalg.inv(H)) @ V
    np.testing.assert_allclose(factor.solve(V), expected)


def test_a_zero_on_the_diagonal_of_a_network_is_no_idle_unit():
    """Only what no row moves is held: a row of zeros."""
    H = np.array([[0.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    with pytest.warns(UserWarning, match="1 negative eigenvalue"):
        factor = LU().factorize(Curvature(Saddle(H, "network")))
    V = np.eye(3)[:, :2]
    expected = np.zeros((3, 2))
    expected[:2] = linalg.inv(H[:2, :2])
    np.testing.assert_allclose(factor.solve(V), expected, atol=1e-14)


@pytest.mark.filterwarnings("ignore:The curvature of .* negative eigenvalue")
@pytest.mark.parametrize("name", ["dense", "positive", "negative"])
def test_scales_of_the_parameters_do_not_matter(name):
    H = MATRICES[name]
    d = 10.0 ** np.random.default_rng(0).uniform(-8, 8, len(H))
    factor = LU().factorize(Curvature(Saddle(H * d * d[:, None])))
    V = np.random.default_rng(1).standard_normal((len(H), 2))
    found = d[:, None] * factor.solve(d[:, None] * V)
    np.testing.assert_allclose(found, linalg.solve(H, V), rtol=1e-8, atol=1e-9)


@matrices
def test_equilibrated_matrices_have_no_entry_above_one(name):
    H = MATRICES[name]
    s = equilibrate(H)
    scaled = H * s * s[:, None]
    if np.all(np.diag(H) != 0):
        assert np.abs(scaled).max() <= 1 + 1e-12
    if name in ("positive", "negative"):
        np.testing.assert_allclose(np.abs(np.diag(scaled)), 1.0)


def test_singular_and_infinite_curvature_are_refused():
    with pytest.raises(SingularCurvatureError, match=r"singular \(reciprocal.*damping > 0"):
        LU().factorize(Curvature(Saddle(np.array([[1.0, -1.0], [-1.0, 1.0]]))))
    with pytest.raises(SingularCurvatureError, match=r"singular \(reciprocal.*damping > 0"):
        LU().factorize(Curvature(Saddle(np.zeros((3, 3)))))
    with pytest.raises(SingularCurvatureError, match=r"not finite.*StandardScaler"):
        LU().factorize(Curvature(Saddle(np.diag([1.0, np.inf]))))


def test_the_smallest_eigenvalue_of_large_matrices_is_found_by_lanczos(tune):
    curvature = Curvature(Saddle(symmetric(60)))
    expected = linalg.eigvalsh(curvature.objective.H)[0]
    np.testing.assert_allclose(smallest_eigenvalue(curvature), expected, rtol=1e-10)
    tune(dense_eigenvalue_params=10)
    np.testing.assert_allclose(smallest_eigenvalue(curvature), expected, rtol=1e-3)


def test_what_is_not_finite_is_no_answer():
    H = np.diag([3.0, 2.0, 1.0])
    H[0, 1] = H[1, 0] = np.nan
    with pytest.raises((SingularCurvatureError, ValueError)):
        LU().factorize(Curvature(Saddle(H)))
