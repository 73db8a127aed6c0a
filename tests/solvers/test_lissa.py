"""LiSSA: its recursion in closed form, its batches on average, its units, its divergence."""

import warnings
from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from scipy import linalg, sparse
from sklearn.exceptions import ConvergenceWarning

from skinfluence import AutogradObjective
from skinfluence.curvature import Curvature
from skinfluence.losses import Logistic
from skinfluence.objectives import LinearObjective
from skinfluence.solvers import LiSSA, SingularCurvatureError
from tests.objectives.test_linear import KINDS
from tests.solvers.test_cg import network
from tests.solvers.test_lu import Saddle
from tests.solvers.test_solvers import ALL, WIDE, dense

RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((30, 3))
TARGETS = RNG.standard_normal(30)
WEIGHTS = np.concatenate([[0.0, 200.0, 1e-3], RNG.uniform(0.5, 2.0, 27)])


def softened(theta, X, y):
    return anp.log(anp.cosh(anp.dot(X, theta[:3]) + theta[3] - y))


def own(predict=False):
    """Return a user's model with very unequal weights."""
    theta = [0.3, -0.2, 0.5, 0.1]
    given = {"X": ROWS, "y": TARGETS, "sample_weight": WEIGHTS, "l2": 0.2}
    if predict:
        return AutogradObjective(
            lambda eta, y: anp.log(anp.cosh(eta - y)),
            theta,
            predict=lambda theta, X: anp.dot(X, theta[:3]) + theta[3],
            **given,
        )
    return AutogradObjective(softened, theta, **given)


def unequal(X=ROWS):
    y = (TARGETS > 0).astype(int)
    return LinearObjective.from_coefficients(
        X, y, Logistic(np.arange(2)), [1.0, 0.0, -1.0], 0.3, l2=0.5, sample_weight=WEIGHTS
    )


MODELS = {
    **{name: lambda name=name: Curvature(ALL[name](), damping=0.3) for name in [*KINDS, *WIDE]},
    "unequal": lambda: Curvature(unequal(), damping=0.1),
    "unequal-sparse": lambda: Curvature(unequal(sparse.csr_matrix(ROWS))),
    "network": lambda: network("three-tanh", 0.2),
    "network-hessian": lambda: network("real-tanh", 0.2, "hessian"),
    "own": lambda: Curvature(own(), damping=0.1),
    "own-outputs": lambda: Curvature(own(predict=True)),
    "own-gauss-newton": lambda: Curvature(own(predict=True), "gauss_newton", 0.1),
}


class Grid:
    """Every place of a systematic sample once, in the place of chance."""

    def __init__(self, n):
        self.places = iter((np.arange(n) + 0.5) / n)

    def permutation(self, n):
        return np.random.RandomState(7).permutation(n)

    def random_sample(self):
        return next(self.places)


@pytest.mark.parametrize(
    ("name", "batch_size"), [*((name, 4) for name in MODELS), ("unequal", 1), ("network", 1)]
)
def test_batches_are_the_curvature_on_average(name, batch_size):
    """The penalty and the damping are whole in each; rows come in proportion to their weights."""
    curvature, n = MODELS[name](), 300
    batches = LiSSA(batch_size=batch_size).batches(curvature, Grid(n))
    V = np.random.default_rng(1).standard_normal((curvature.n_params, 2))
    parts = [next(batches).matmat(V) for _ in range(n)]
    H = curvature.matmat(V)
    np.testing.assert_allclose(np.mean(parts, axis=0), H, atol=0.03 * np.abs(H).max())
    assert np.abs(parts[0] - H).max() > 0.05 * np.abs(H).max()


def test_batches_have_as_many_rows_as_asked_for_and_no_memory():
    curvature = Curvature(KINDS["squared"](), damping=0.3)
    batches = LiSSA(batch_size=7).batches(curvature, np.random.RandomState(0))
    drawn = [next(batches) for _ in range(3)]
    total = curvature.objective.sample_weight.sum()
    for batch in drawn:
        assert batch.objective.n_samples <= 7 and batch.damping == 0.3
        np.testing.assert_allclose(batch.objective.sample_weight.sum(), total)
    whole = LiSSA(batch_size=60).batches(curvature, np.random.RandomState(0))
    assert next(whole) is curvature


@pytest.mark.parametrize("name", ["multinomial", "unequal", "network", "own"])
def test_with_all_rows_it_is_the_neumann_series(name):
    """h_t = (I - (I - H / scale)^t) H^-1 v, whose limit is far for the small eigenvalues."""
    curvature = MODELS[name]()
    V = curvature.off_gauge(RNG.standard_normal((curvature.n_params, 3)))
    values, U = linalg.eigh(dense(curvature))
    scale, n_iter = 1.3 * values[-1], 25
    solver = LiSSA(n_iter, batch_size=1000, scale=scale, tol=10.0)
    found = solver.factorize(curvature).solve(V)
    taken = np.where(values > 1e-9, (1 - (1 - values / scale) ** n_iter) / np.abs(values), 0.0)
    np.testing.assert_allclose(found, U @ (taken[:, None] * (U.T @ V)), rtol=1e-9, atol=1e-12)


def test_damping_and_scale_translate_from_those_of_the_published_code():
    """h <- v + (1 - damping) h - H_mean h / scale, and h / scale for an answer."""
    one = KINDS["binary"]()
    n, damping, scale, n_iter = one.n_samples, 0.01, 25.0, 3000
    H = one.hvp(np.eye(one.n_params)) / n
    v = np.random.default_rng(0).standard_normal((one.n_params, 1))
    h = v
    for _ in range(n_iter - 1):
        h = v + (1 - damping) * h - H @ h / scale
    solver = LiSSA(n_iter, batch_size=n, scale=n * scale)
    factor = solver.factorize(Curvature(one, damping=n * damping * scale))
    np.testing.assert_allclose(n * factor.solve(v), h / scale, rtol=1e-9)
    damped = H + damping * scale * np.eye(len(H))
    np.testing.assert_allclose(h / scale, linalg.solve(damped, v), rtol=1e-6)


def test_repeats_are_averaged_and_shrink_the_error():
    curvature = Curvature(KINDS["binary"](), damping=20.0)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 40))
    exact = linalg.solve(dense(curvature), V)

    def error(repeats, random_state):
        solver = LiSSA(150, 5, repeats, tol=100.0, random_state=random_state)
        return np.linalg.norm(solver.factorize(curvature).solve(V) - exact)

    one, eight = (np.sqrt(np.mean([error(k, s) ** 2 for s in range(8)])) for k in (1, 8))
    assert 0.7 < np.sqrt(8.0) * eight / one < 1.4
    assert eight < 0.06 * np.linalg.norm(exact)


def test_random_state_decides():
    curvature = Curvature(KINDS["binary"](), damping=5.0)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 2))
    solver = LiSSA(50, batch_size=5, tol=100.0)
    factor = solver.factorize(curvature)
    first = factor.solve(V)
    np.testing.assert_array_equal(factor.solve(V), first)
    np.testing.assert_allclose(factor.solve(V[:, 1:]), first[:, 1:], rtol=1e-12)
    other = replace(solver, random_state=1).factorize(curvature).solve(V)
    assert np.abs(other - first).max() > 1e-3 * np.abs(first).max()


def test_a_residual_above_tol_is_warned_of_and_reported():
    curvature = Curvature(KINDS["squared"]())
    H, V = dense(curvature), np.random.default_rng(0).standard_normal((curvature.n_params, 3))
    factor = LiSSA(10, tol=1e-3).factorize(curvature)
    with pytest.warns(ConvergenceWarning, match=r"residual of (.*) of its right.*Raise n_iter="):
        X = factor.solve(V)
    left = np.linalg.norm(V - H @ X, axis=0) / np.linalg.norm(V, axis=0)
    np.testing.assert_allclose(factor.numerics.residual, left.max())
    assert factor.numerics.n_products == 10
    factor.solve(V * 0.0)  # no noise about zeros, and the largest residual stays
    np.testing.assert_allclose(factor.numerics.residual, left.max())


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 0.3])
def test_divergence_is_an_error_with_a_scale_that_does(scale):
    curvature = Curvature(KINDS["binary"]())
    largest = linalg.eigvalsh(dense(curvature))[-1]
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 2))
    solver = LiSSA(500, batch_size=60, scale=scale * largest)
    with pytest.raises(
        SingularCurvatureError, match=r"diverged with scale=\S+; scale >= (\S+) "
    ) as e:
        solver.factorize(curvature).solve(V)
    advised = float(str(e.value).split("scale >= ")[1].split()[0])
    assert largest <= advised <= 2.5 * largest
    replace(solver, scale=advised).factorize(curvature).solve(V)


def test_slow_divergence_is_never_an_answer():
    """A scale just below half of the largest eigenvalue: noticed, or warned of."""
    curvature = Curvature(KINDS["binary"]())
    largest = linalg.eigvalsh(dense(curvature))[-1]
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 2))
    for n_iter in (20, 2000):
        solver = LiSSA(n_iter, batch_size=60, scale=0.49 * largest)
        with (
            warnings.catch_warnings(),
            pytest.raises((SingularCurvatureError, ConvergenceWarning)),
        ):
            warnings.simplefilter("error", ConvergenceWarning)
            solver.factorize(curvature).solve(V)


def test_indefinite_curvature_is_an_error_with_a_way_out():
    curvature = Curvature(Saddle(np.diag([3.0, -2.0, 1.0])))
    with pytest.raises(SingularCurvatureError, match=r"positive definite .*damping > 0"):
        LiSSA(300, batch_size=1).factorize(curvature).solve(np.ones((3, 1)))


def test_a_scale_that_was_found_is_doubled_where_it_does_not_do():
    """Ten batches may all be without the rows of most curvature."""
    curvature = Curvature(KINDS["binary"]())
    H = dense(curvature)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 2))
    factor = LiSSA(2000, batch_size=60).factorize(curvature)
    small = replace(factor, scale=linalg.eigvalsh(H)[-1] / 12.0)
    np.testing.assert_allclose(small.solve(V), linalg.solve(H, V), rtol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [{"n_iter": 0}, {"batch_size": 0}, {"repeats": 0}, {"scale": 0.0}, {"scale": np.nan},
     {"scale": np.inf}, {"tol": 0.0}],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"LiSSA\(.* was given; n_iter.*Try LiSSA\(\)"):
        LiSSA(**wrong).factorize(Curvature(KINDS["binary"]()))


def test_rows_without_any_weight_leave_the_penalty():
    one = replace(KINDS["binary"](l2=2.0), fit_intercept=True)
    one = one.with_weights(np.zeros(one.n_samples))
    curvature = Curvature(one, damping=1.0)
    found = LiSSA(200, batch_size=5).factorize(curvature).solve(np.ones((one.n_params, 1)))
    np.testing.assert_allclose(found[:, 0], 1.0 / (one.l2 + 1.0), rtol=1e-6)
