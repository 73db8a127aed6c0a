"""Which preconditioners an objective has, and that anyone may register another."""

from copy import copy

import numpy as np
import pytest

from skinfluence.curvature import (
    Curvature,
    Inverse,
    approximate_inverse,
    preconditioner,
    preconditioners_of,
)
from skinfluence.curvature.preconditioners.diagonal import Diagonal, PerOutput
from skinfluence.curvature.preconditioners.dominant_rows import DominantRows
from skinfluence.curvature.preconditioners.kronecker import Kronecker
from skinfluence.curvature.preconditioners.subsampled import SubsampledHessian
from skinfluence.objectives import Objective
from skinfluence.solvers import CG
from tests.objectives.test_linear import KINDS
from tests.objectives.test_network import objective as network


class Quadratic(Objective):
    """A user's model: 1/2 |A theta - 1|^2 + 1/2 theta' diag(l2) theta, ill conditioned."""

    convex = True

    def __init__(self, A, theta):
        self.A, self.theta = A, theta
        self.l2 = np.full(A.shape[1], 0.1)
        self.sample_weight = np.ones(len(A))

    def at(self, theta):
        return self._with(theta=theta)

    def on(self, X, y=None):
        return self._with(A=X, sample_weight=np.ones(len(X)))

    def rows(self, index):
        return self._with(A=self.A[index], sample_weight=self.sample_weight[index])

    def _with(self, **changes):
        out = copy(self)
        vars(out).update(changes)
        return out

    def losses(self):
        return 0.5 * (self.A @ self.theta - 1.0) ** 2

    def grads_dot(self, V):
        return (self.A @ self.theta - 1.0)[:, None] * (self.A @ V)

    def weighted_grad_sum(self, weights):
        return self.A.T @ (weights * (self.A @ self.theta - 1.0)[:, None])

    def hvp(self, V):
        return self.A.T @ (self.sample_weight[:, None] * (self.A @ V)) + self.l2[:, None] * V


class Jacobi(Inverse):
    """An outsider's preconditioner."""

    def __init__(self, diagonal):
        self.diagonal = diagonal

    def solve(self, V):
        return V / self.diagonal[:, None]


def diagonal_of(model, damping):
    return np.sum(model.A**2, axis=0) + model.l2 + damping


def quadratic(cls=Quadratic, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((60, 25)) * np.geomspace(1.0, 1e3, 25)
    return cls(A, rng.standard_normal(25))


def products(curvature, solver, V):
    factor = solver.factorize(curvature)
    solution = factor.solve(V)
    return factor.numerics.n_products, solution


def test_an_outsider_registers_a_preconditioner_that_cg_uses():
    class Own(Quadratic):
        """The objective that is registered for."""

    @preconditioner.register
    def _(objective: Own, kind: str, damping: float) -> Inverse | None:
        return Jacobi(diagonal_of(objective, damping))

    V = np.random.default_rng(1).standard_normal((25, 2))
    plain, curvature = Curvature(quadratic(), damping=0.5), Curvature(quadratic(Own), damping=0.5)
    assert CG().factorize(plain).preconditioner is None
    assert isinstance(CG().factorize(curvature).preconditioner, Jacobi)
    before, _ = products(plain, CG(rtol=1e-9), V)
    after, solution = products(curvature, CG(rtol=1e-9), V)
    assert after < 0.8 * before
    H = curvature.matmat(np.eye(25))
    np.testing.assert_allclose(solution, np.linalg.solve(H, V), rtol=1e-6, atol=1e-12)


def test_an_outsider_registers_the_names_he_knows():
    class Named(Quadratic):
        """The objective that is registered for."""

    preconditioners_of.register(Named, lambda objective: ("mine",))
    preconditioner.register(
        Named,
        lambda objective, kind, damping: (
            Jacobi(diagonal_of(objective, damping)) if kind == "mine" else None
        ),
    )
    curvature = Curvature(quadratic(Named))
    assert isinstance(CG(preconditioner="mine").factorize(curvature).preconditioner, Jacobi)
    assert CG().factorize(curvature).preconditioner is None
    with pytest.raises(ValueError, match=r"accepts \('auto', 'mine', 'nystroem'\)"):
        CG(preconditioner="jacobi").factorize(curvature)


def test_the_kinds_of_linear_models_and_of_networks():
    linear, net = KINDS["multinomial"](), network("three-tanh")
    expected = {
        "subsampled": SubsampledHessian,
        "block": PerOutput,
        "jacobi": Diagonal,
        "auto": SubsampledHessian,
    }
    assert preconditioners_of(linear) == ("subsampled", "block", "jacobi")
    for kind, cls in expected.items():
        assert type(preconditioner(linear, kind, 0.1)) is cls
    assert preconditioners_of(net) == ("dominant_rows", "kronecker")
    for kind, cls in {"dominant_rows": DominantRows, "kronecker": Kronecker}.items():
        assert type(preconditioner(net, kind, 0.1)) is cls
    assert type(preconditioner(net, "auto", 0.1)) is DominantRows


def test_models_too_large_for_a_subsample_have_the_diagonal(tune):
    tune(subsampled_params=3)
    assert type(preconditioner(KINDS["binary"](), "auto", 0.1)) is Diagonal
    assert type(preconditioner(KINDS["binary"](), "subsampled", 0.1)) is SubsampledHessian


def test_other_models_have_none():
    assert preconditioners_of(quadratic()) == ()
    assert preconditioner(quadratic(), "auto", 0.1) is None
    for model in (quadratic(), network("three-tanh")):
        assert approximate_inverse(model, 0.1) is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_approximate_inverse_is_of_nearly_all_of_the_hessian(kind):
    model = KINDS[kind]()
    inverse = approximate_inverse(model, 0.3)
    H = model.hvp(np.eye(model.n_params)) + 0.3 * np.eye(model.n_params)
    values = np.linalg.eigvals(inverse.solve(np.eye(model.n_params)) @ H).real
    assert inverse.lower_bound
    assert values.min() > 1.0 - 1e-4 and values.max() < 1.01


def test_only_what_is_known_to_be_below_the_curvature_says_so():
    model = KINDS["binary"]()
    assert [preconditioner(model, kind, 0.1).lower_bound for kind in preconditioners_of(model)] == [
        True,
        False,
        False,
    ]
