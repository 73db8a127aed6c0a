"""J_i H^-1 J_i' of every row, by whatever way the factor allows, against dense algebra."""

import numpy as np
import pytest

from skinfluence.curvature import Curvature
from skinfluence.removal.leverages import quadratic_forms
from skinfluence.solvers import Cholesky, Factor
from skinfluence.solvers.row_factor import RowFactor
from tests.objectives.test_linear import KINDS, explicit_jacobian
from tests.objectives.test_network import objective as network
from tests.solvers.test_solvers import WIDE


class Solves(Factor):
    """A factor that solves, and that is all."""

    def solve(self, V):
        H = self.curvature.matmat(np.eye(self.curvature.n_params))
        return np.linalg.lstsq(H, V, rcond=1e-12)[0]


def forms(model, factor):
    blocks = list(quadratic_forms(model, factor))
    covered = np.concatenate([np.arange(model.n_samples)[rows] for rows, _ in blocks])
    np.testing.assert_array_equal(covered, np.arange(model.n_samples))
    return np.concatenate([Q for _, Q in blocks])


def expected(model, curvature, J):
    H = curvature.matmat(np.eye(curvature.n_params))
    Q = J @ np.linalg.solve(H, J.transpose(0, 2, 1))
    return Q if model.coupled else np.einsum("ikk->ik", Q)


@pytest.mark.parametrize("kind", {**KINDS, **WIDE})
@pytest.mark.parametrize("factorize", [Cholesky().factorize, Solves], ids=["Cholesky", "Solves"])
@pytest.mark.parametrize("block_elements", [2**21, 50])
def test_linear_models(kind, factorize, block_elements, tune):
    tune(block_elements=block_elements)
    model = {**KINDS, **WIDE}[kind]()
    curvature = Curvature(model, damping=0.2)
    J = explicit_jacobian(model) if model.fit_intercept else model.X[:, None]
    truth = expected(model, curvature, J)
    found = forms(model, factorize(curvature))
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-9 * abs(truth).max())


def test_wide_models_need_nothing_but_inner_products_of_rows(monkeypatch):
    model = WIDE["wide-multinomial"]()
    factor = Cholesky().factorize(Curvature(model))
    assert isinstance(factor, RowFactor)
    truth = forms(model, Solves(Curvature(model)))
    for name in ("solve", "quadratic", "inverse"):
        monkeypatch.setattr(RowFactor, name, None)
    np.testing.assert_allclose(forms(model, factor), truth, rtol=1e-8, atol=1e-10)


def test_networks():
    model = network("three-tanh")
    curvature = Curvature(model, damping=0.2)
    units = model.units()
    J = np.stack([model.jacobian_t_rows(unit) for unit in units], axis=2).transpose(1, 2, 0)
    truth = expected(model, curvature, J)
    for factor in (Cholesky().factorize(curvature), Solves(curvature)):
        np.testing.assert_allclose(forms(model, factor), truth, rtol=0, atol=1e-9 * truth.max())
