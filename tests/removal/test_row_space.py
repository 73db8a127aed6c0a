"""Few long rows: minima are sought in the space that they span."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from skinfluence import InfluenceClassifier
from skinfluence.objectives import LinearObjective
from tests.cases import classification


@pytest.mark.parametrize("n_classes", [2, 3])
def test_few_long_rows_are_refined_in_the_space_they_span(n_classes, monkeypatch, tune):
    """The same minimum and the same guarded steps as in all parameters, confirmed there."""
    data = classification(n=20, p=300, n_classes=n_classes, seed=3)
    fitted = LogisticRegression(C=0.05, tol=1e-2).fit(data.X, data.y)
    found = {}
    for small in (True, False):
        monkeypatch.setattr(LinearObjective, "row_space_is_small", small)
        tune(guard_rtol=1e-10)
        tune(trusted_shift=1e-3)
        model = InfluenceClassifier(fitted).fit(data.X, data.y)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mechanism = model._current().mechanism("auto")
        removal = mechanism.removal("newton")
        assert len(removal.guarded) == 20
        found[small] = mechanism.refinement, removal.guarded_changes
    (inside, changes), (outside, expected) = found[True], found[False]
    assert inside.n_iter > 0 and inside.gradient_norm == outside.gradient_norm
    assert inside.remaining_gradient_norm < 1e-10 * inside.gradient_norm
    theta = outside.objective.theta
    np.testing.assert_allclose(inside.objective.theta, theta, rtol=0, atol=1e-11 * abs(theta).max())
    np.testing.assert_allclose(changes, expected, rtol=0, atol=1e-7 * abs(expected).max())
