"""Arnoldi: its eigenpairs, its embedding, what it leaves out."""

import numpy as np
import pytest
from scipy import linalg
from scipy.sparse.linalg import ArpackNoConvergence
from sklearn.exceptions import ConvergenceWarning

from skinfluence.curvature import Curvature
from skinfluence.solvers import Arnoldi, SingularCurvatureError, arnoldi
from tests.objectives.test_linear import KINDS
from tests.solvers.test_cg import Counted, network
from tests.solvers.test_lu import Saddle
from tests.solvers.test_nystroem import MODELS
from tests.solvers.test_solvers import dense


def truncated(curvature, rank):
    """Return the largest eigenpairs of the matrix in full."""
    values, U = linalg.eigh(dense(curvature))
    return values[::-1][:rank], U[:, ::-1][:, :rank]


@pytest.mark.parametrize("name", [*MODELS, "network"])
@pytest.mark.parametrize("by_lanczos", [True, False])
def test_the_largest_eigenpairs_invert_and_embed(name, by_lanczos, tune):
    if by_lanczos:
        tune(arnoldi_small=0)
        tune(arnoldi_dense=1)
    else:
        tune(arnoldi_small=10**6)
    curvature = network("three-tanh", 0.1) if name == "network" else Curvature(MODELS[name]())
    rank = 6  # even: the eigenvalues of outputs that are alike come in pairs
    counted = Counted(curvature)
    factor = Arnoldi(rank, tol=10.0).factorize(counted)
    assert (counted.widths[0] == 1) == by_lanczos
    assert factor.numerics.n_products == len(counted.widths) - 1  # the last are the probes
    values, U = truncated(curvature, rank)
    np.testing.assert_allclose(factor.values, values, rtol=1e-8)
    rng = np.random.default_rng(0)
    A, B = (rng.standard_normal((curvature.n_params, k)) for k in (3, 4))
    expected = U @ ((U.T @ A) / values[:, None])
    np.testing.assert_allclose(factor.solve(A), expected, rtol=1e-5, atol=1e-7)
    assert factor.embed(A).shape == (rank, 3)
    np.testing.assert_allclose(factor.embed(A).T @ factor.embed(B), expected.T @ B, atol=1e-6)


def test_the_error_of_scores_falls_with_the_rank():
    curvature = Curvature(MODELS["multinomial"]())
    one = curvature.objective
    V = curvature.off_gauge(one.weighted_grad_sum(np.eye(one.n_samples)[:, :40]))
    exact = V.T @ linalg.pinvh(dense(curvature), rtol=1e-10) @ V
    errors = []
    for rank in (5, 20, 80, 200):
        E = Arnoldi(rank, tol=10.0).factorize(curvature).embed(V)
        errors.append(np.linalg.norm(E.T @ E - exact) / np.linalg.norm(exact))
    assert np.all(np.diff(errors) < 0)
    assert errors[1] < 0.5 and errors[3] < 1e-9


def test_what_is_outside_the_span_is_reported_and_warned_of():
    curvature = Curvature(MODELS["binary"]())
    _, U = truncated(curvature, 5)
    with pytest.warns(ConvergenceWarning, match=r"span of 5 eigenvectors leaves .* Raise rank="):
        factor = Arnoldi(5, tol=0.01).factorize(curvature)
    one = curvature.objective
    signs = np.random.default_rng(5).choice([-1.0, 1.0], (one.n_samples, 200))
    V = one.weighted_grad_sum(one.sample_weight[:, None] * signs)
    left = np.linalg.norm(V - U @ (U.T @ V), axis=0) / np.linalg.norm(V, axis=0)
    assert 0.5 * left.mean() < factor.numerics.residual < 1.1 * left.max()


def test_negative_eigenvalues_are_refused():
    H = np.diag(np.append(np.arange(1.0, 30.0), -40.0))
    with pytest.raises(SingularCurvatureError, match=r"-40 is among its largest .*damping > 0"):
        Arnoldi(3).factorize(Curvature(Saddle(H)))


def test_directions_of_the_gauge_are_none_of_the_eigenvectors():
    curvature = Curvature(KINDS["multinomial"](l2=0.0))
    shifts = curvature.flat_shifts()
    factor = Arnoldi(1000).factorize(curvature)
    assert len(factor.values) == curvature.n_params - len(shifts)
    for shift in shifts:
        v = np.zeros((curvature.n_params, 1))
        v[shift] = 1.0
        np.testing.assert_allclose(factor.solve(v), 0.0, atol=1e-10)


def test_eigenpairs_that_were_not_found_are_warned_of(monkeypatch, tune):
    curvature = Curvature(MODELS["binary"]())
    values, U = truncated(curvature, 3)

    def stops(*args, **kwargs):
        raise ArpackNoConvergence("", values, U)

    monkeypatch.setattr(arnoldi, "eigsh", stops)
    tune(arnoldi_small=0)
    with pytest.warns(ConvergenceWarning, match=r"3 of the 8 eigenpairs asked for were found"):
        factor = Arnoldi(8, tol=10.0).factorize(curvature)
    np.testing.assert_allclose(factor.values, values)


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"tol": 0.0}, {"tol": np.nan}])
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=r"Arnoldi\(.* was given; rank >= 1.*Try Arnoldi\("):
        Arnoldi(**wrong).factorize(Curvature(KINDS["binary"]()))
