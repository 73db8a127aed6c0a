"""Nystroem: its error by rank, exactness for intercepts, its residual; the preconditioner."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature
from skinfluence.losses import HalfSquaredError, Logistic, Multinomial
from skinfluence.objectives import LinearObjective
from skinfluence.solvers import Nystroem, SingularCurvatureError
from skinfluence.solvers.cg import conjugate_gradients
from skinfluence.solvers.iterative import PROBES, gradient_probes
from skinfluence.solvers.nystroem import nystroem_preconditioner
from skinfluence.solvers.sketch import Sketch
from tests.objectives.test_linear import KINDS
from tests.solvers.test_cg import Counted, network
from tests.solvers.test_lu import Saddle
from tests.solvers.test_solvers import ALL, dense


def decaying(loss, l2=1.0, p=60, n=300, power=1.5, intercept=True):
    """Return an objective whose curvature falls off fast."""
    rng = np.random.default_rng(0)
    mix = linalg.qr(rng.standard_normal((p, p)))[0]
    X = (rng.standard_normal((n, p)) * np.arange(1.0, p + 1) ** -power) @ mix + 0.3
    y = rng.integers(0, max(loss.n_outputs, 2), n)
    if loss.classes is None:
        y = rng.standard_normal((n, loss.n_outputs))
    coef = 0.3 * rng.standard_normal((loss.n_outputs, p))
    b = rng.standard_normal(loss.n_outputs) if intercept else None
    s = rng.uniform(0.0, 2.0, n)
    return LinearObjective.from_coefficients(X, y, loss, coef, b, l2=l2, sample_weight=s)


MODELS = {
    "binary": lambda: decaying(Logistic(np.arange(2))),
    "binary-no-intercept": lambda: decaying(Logistic(np.arange(2)), intercept=False),
    "one-vs-rest": lambda: decaying(Logistic(np.arange(3)), l2=np.array([0.3, 1.0, 3.0])),
    "multinomial": lambda: decaying(Multinomial(np.arange(3))),
    "alike": lambda: decaying(HalfSquaredError(2)),
}
models = pytest.mark.parametrize("name", MODELS)


def parts(curvature):
    """Return H, and A = H without penalty and damping, of the first block."""
    _, size = curvature.block_shape()
    H = dense(curvature)[:size, :size]
    return H, H - np.diag(curvature.objective.l2[:size] + curvature.damping)


@models
@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_the_sketch_errs_by_little_more_than_what_it_leaves_out(name, damping):
    """0 <= A - Z'Z, and its expected norm is below a bound of (1 + 2 k / (r - k - 1)) tails."""
    curvature = Curvature(MODELS[name](), damping=damping)
    _, A = parts(curvature)
    values = linalg.eigvalsh(A)[::-1]
    for rank in (10, 20, 40):
        Z = Sketch.begin(curvature, 0).grown(rank).roots()[0].Z
        assert Z.shape == (rank, len(A))
        error = linalg.eigvalsh(A - Z.T @ Z)
        assert error[0] > -1e-10 * values[0]
        k = rank // 2 - 1  # Corollary 2.3 of Frangella, Tropp & Udell
        assert error[-1] < 3.0 * values[k] + 2.0 * np.e**2 * rank / 25.0 * values[k:].sum()
        assert error[-1] > 0.3 * values[rank]
        free = np.flatnonzero(curvature.diagonal()[0] == 0)
        np.testing.assert_allclose((Z.T @ Z)[:, free], A[:, free], atol=1e-9 * values[0])


@models
def test_the_error_falls_with_the_rank(name):
    curvature = Curvature(MODELS[name]())
    one = curvature.objective
    V = curvature.off_gauge(one.weighted_grad_sum(np.eye(one.n_samples)[:, :20]))
    exact = linalg.pinvh(dense(curvature), rtol=1e-10) @ V
    errors = []
    for rank in (8, 16, 32, 64):
        solver = Nystroem(rank, tol=100.0)
        found = solver.factorize(curvature).solve(V)
        errors.append(np.linalg.norm(found - exact) / np.linalg.norm(exact))
    assert np.all(np.diff(errors) < 0)
    assert errors[2] < 0.3 and errors[3] < (1e-8 if name != "multinomial" else 0.2)


@models
def test_the_inverse_is_that_of_low_rank_plus_diagonal(name):
    curvature = Curvature(MODELS[name](), damping=0.2)
    factor = Nystroem(rank=15, tol=100.0).factorize(curvature)
    assert factor.rank == 15
    roots = Sketch.begin(curvature, 0).grown(15).roots()
    for b, (root, diagonal) in enumerate(zip(roots, curvature.diagonal(), strict=True)):
        expected = linalg.inv(root.Z.T @ root.Z + np.diag(diagonal))
        np.testing.assert_allclose(factor.inverse()[b], expected, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(factor.inverse_diagonal()[b], np.diag(expected), rtol=1e-8)
        B = np.random.default_rng(1).standard_normal((len(expected), 3))
        forms = np.diag(B.T @ expected @ B)
        np.testing.assert_allclose(factor.quadratic(B, b), forms, rtol=1e-8)


@models
def test_by_default_the_rank_grows_until_the_residual_is_small(name, tune):
    tune(nystroem_start=4)
    curvature = Counted(Curvature(MODELS[name]()))
    for tol in (0.3, 0.03):
        curvature.widths.clear()
        factor = Nystroem(tol=tol).factorize(curvature)
        assert factor.numerics.residual <= tol
        V = gradient_probes(curvature, 0)
        left = np.linalg.norm(V - dense(curvature.curvature) @ factor.solve(V), axis=0)
        np.testing.assert_allclose(factor.numerics.residual, left.max(), rtol=1e-6, atol=1e-12)
        sketches = curvature.widths[::2]  # and probes between them
        assert sum(sketches) == factor.rank
        if len(sketches) > 1:  # the rank before would not have done
            before = Nystroem(factor.rank - sketches[-1], tol=100.0)
            assert before.factorize(curvature.curvature).numerics.residual > tol


def test_probes_are_gradients_of_the_rows_with_random_signs():
    curvature = Curvature(MODELS["multinomial"]())
    one = curvature.objective
    V = gradient_probes(curvature, 0)
    assert V.shape == (one.n_params, PROBES)
    np.testing.assert_allclose(np.linalg.norm(V, axis=0), 1.0)
    each = curvature.off_gauge(one.weighted_grad_sum(np.diag(one.sample_weight)))
    signs = np.linalg.lstsq(each, V, rcond=None)[0]
    np.testing.assert_allclose(each @ signs, V, atol=1e-10)
    spread = np.linalg.norm(V.mean(axis=1))
    assert spread < 3.0 / np.sqrt(PROBES)  # signs of their own
    none = one.with_weights(np.zeros(one.n_samples))
    assert gradient_probes(Curvature(none), 0).shape == (one.n_params, 0)


def test_all_blocks_are_sketched_in_one_product():
    counted = Counted(Curvature(MODELS["one-vs-rest"]()))
    factor = Nystroem(rank=25, tol=100.0).factorize(counted)
    assert counted.widths == [25, 8]  # and eight probes
    assert factor.numerics.n_products == 1


def test_a_large_residual_is_warned_of():
    curvature = Curvature(MODELS["binary"](), damping=0.01)
    with pytest.warns(
        ConvergenceWarning, match=r"rank 5 leaves \S+ of typical.*Raise rank= or damping="
    ):
        factor = Nystroem(rank=5).factorize(curvature)
    assert factor.numerics.residual > 0.05
    assert Nystroem(rank=5, tol=100.0).factorize(curvature).numerics == factor.numerics


def test_random_state_decides():
    curvature = Curvature(MODELS["binary"]())
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 2))
    first, again, other = (
        Nystroem(10, tol=100.0, random_state=seed).factorize(curvature).solve(V)
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6 * np.abs(first).max()


@pytest.mark.parametrize("name", ["binary-tanh", "three-relu-3", "reals-tanh"])
def test_networks(name):
    """Of full rank it is exact; units that are idle and the gauge stay, as in Cholesky."""
    curvature = network(name, 0.05)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 3))
    factor = Nystroem(rank=curvature.n_params).factorize(curvature)
    expected = linalg.solve(dense(curvature), V)
    np.testing.assert_allclose(factor.solve(V), expected, atol=1e-8 * np.abs(expected).max())


def test_curvature_that_is_not_positive_semidefinite_is_refused():
    H = np.diag([5.0, -2.0, 1.0, 3.0])
    for make in (Nystroem(rank=4).factorize, lambda c: nystroem_preconditioner(c, 4)):
        with pytest.raises(
            SingularCurvatureError, match=r"not positive semidefinite: -2 .*gauss_newton"
        ):
            make(Curvature(Saddle(H), damping=0.5))


def test_more_free_parameters_than_columns_are_refused():
    for curvature, rank in (
        (Curvature(KINDS["binary"](l2=0.0)), None),
        (Curvature(KINDS["multinomial"]()), 2),
    ):
        with pytest.raises(ValueError, match=r"of .* neither penalty nor damping.*damping > 0"):
            Nystroem(rank=rank).factorize(curvature)
        Nystroem(rank=rank, tol=1e9).factorize(Curvature(curvature.objective, damping=1.0))


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"tol": 0.0}, {"tol": np.nan}])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"Nystroem\(.* was given; rank >= 1.*Try Nystroem\(\)"):
        Nystroem(**wrong).factorize(Curvature(KINDS["binary"]()))


# ---------------------------------------------------------------------------------- preconditioner


def spectrum(P, H):
    """Return the eigenvalues of P H, off the null space of H."""
    values, U = linalg.eigh(P)
    root = (U * np.sqrt(values)) @ U.T
    found = linalg.eigvalsh(root @ H @ root)
    return found[found > 1e-9 * found[-1]]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_the_preconditioner_of_full_rank_is_the_inverse(kind, damping):
    curvature = Curvature(ALL[kind](), damping=damping)
    P = nystroem_preconditioner(curvature, 10_000).solve(np.eye(curvature.n_params))
    np.testing.assert_allclose(P, P.T, atol=1e-9 * np.abs(P).max())
    assert linalg.eigvalsh(P)[0] > 0
    if not curvature.flat_shifts():
        np.testing.assert_allclose(P @ dense(curvature), np.eye(len(P)), atol=1e-5)


@pytest.mark.parametrize("name", ["binary", "one-vs-rest", "multinomial", "alike"])
def test_the_preconditioner_saves_products(name):
    one = MODELS[name]()
    curvature = Curvature(replace(one, l2=1e-2 * one.l2), damping=1e-3)
    H = dense(curvature)
    plain = linalg.eigvalsh(H)
    plain = plain[plain > 1e-9 * plain[-1]]
    preconditioner = nystroem_preconditioner(curvature, 30)
    found = spectrum(preconditioner.solve(np.eye(len(H))), H)
    assert found[-1] / found[0] < 0.05 * plain[-1] / plain[0]
    V = np.random.default_rng(0).standard_normal((len(H), 1))
    counts = []
    for near in (lambda Z: Z, preconditioner.solve):
        widths = []

        def times(Z, widths=widths):
            widths.append(Z.shape[1])
            return H @ Z

        conjugate_gradients(times, near, V, 1e-8, 500)
        counts.append(len(widths))
    assert counts[1] < 0.6 * counts[0]


def test_the_preconditioner_raises_the_diagonal_by_part_of_the_smallest_kept_eigenvalue():
    curvature = Curvature(MODELS["binary-no-intercept"](), damping=0.5)
    Z = Sketch.begin(curvature, 3).grown(12).roots()[0].Z
    values, U = linalg.eigh(Z.T @ Z)
    values, U = values[-12:], U[:, -12:]
    raised = 0.01 * values[0]
    P = U * (values - raised) @ U.T + np.diag(curvature.diagonal()[0] + raised)
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 3))
    found = nystroem_preconditioner(curvature, 12, random_state=3)
    np.testing.assert_allclose(found.solve(V), linalg.solve(P, V), rtol=1e-8)
    single = found.solve(V.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, found.solve(V), rtol=1e-3, atol=1e-5)


def test_the_preconditioner_keeps_its_digits_in_single_precision():
    """Where E and W' W nearly cancel along the sketch, only double precision tells."""
    curvature = Curvature(ALL["wide-binary"]())  # of rank 14; an intercept without a penalty
    found = nystroem_preconditioner(curvature, 20)
    assert found.cancels > 1e6
    V = np.random.default_rng(0).standard_normal((curvature.n_params, 3))
    single = found.solve(V.astype(np.float32))
    np.testing.assert_allclose(single, found.solve(V), rtol=1e-5, atol=1e-6)
