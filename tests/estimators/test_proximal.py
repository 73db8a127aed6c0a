"""The proximal yardstick of networks that are not at a minimum, against scipy on autograd twins."""

import warnings
from functools import cache

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.base import clone, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.network_twins import theta_of, twin_of
from tests.networks import BINARY, COUNTED, MANY, OLD, REAL, REALS, THREE

DAMPING = 0.4
NETWORKS = {
    "real": (MLPRegressor, REAL, {}),
    "reals": (MLPRegressor, REALS, {}),
    "binary": (MLPClassifier, BINARY, {}),
    "three": (MLPClassifier, THREE, {}),
    "labels": (MLPClassifier, MANY, {}),
    **({} if OLD else {"counts": (MLPRegressor, COUNTED, {"loss": "poisson"})}),
}
networks = pytest.mark.parametrize("name", NETWORKS)


def quiet(call, *args, **params):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return call(*args, **params)


@cache
def wrapped(name, damping=DAMPING, **changes):
    """Return a wrapper of a tanh network after a few epochs: far from a minimum."""
    kind, data, params = NETWORKS[name]
    given = {"hidden_layer_sizes": (3,), "activation": "tanh", "alpha": 0.3, "max_iter": 15}
    network = kind(solver="adam", learning_rate_init=0.02, random_state=0, **given, **params)
    wrapper = InfluenceClassifier if is_classifier(network) else InfluenceRegressor
    return quiet(wrapper(network, damping=damping, **changes).fit, data.X, data.y)


@cache
def twin(name):
    data = NETWORKS[name][1]
    return twin_of(wrapped(name).estimator_, data.X, data.y)


def value_of(name, row, weight=1.0, damping=DAMPING):
    """Return sum_j w_j D_j + 1/2 |theta - theta_0|^2_(l2 + damping) - weight l_row, of theta."""
    other, here = twin(name), theta_of(wrapped(name).estimator_)
    eta = other.raw(here)
    slopes = other.output_slopes(here)
    losses = other.rows(here)

    def value(theta):
        moved = other.rows(theta)
        divergence = moved - losses - anp.sum(slopes * (other.raw(theta) - eta), axis=1)
        from_here = theta - here
        held = anp.sum(other.w * divergence) + 0.5 * anp.sum((other.l2 + damping) * from_here**2)
        return held - weight * other.w[row] * moved[row]

    return value


def minimum(name, row, weight=1.0, damping=DAMPING):
    """Return the minimiser that descent from the network's own parameters ends at."""
    value, theta = value_of(name, row, weight, damping), theta_of(wrapped(name).estimator_)
    options = {"ftol": 0.0, "gtol": 1e-9, "maxiter": 2000, "maxcor": 30}
    both = autograd.value_and_grad(value)
    theta = minimize(both, theta, jac=True, method="L-BFGS-B", options=options).x
    hessian = autograd.hessian(value)
    for _ in range(5):
        theta = theta - np.linalg.lstsq(hessian(theta), both(theta)[1], rcond=1e-12)[0]
    assert np.linalg.norm(both(theta)[1]) <= 1e-9
    return theta


def typical(name):
    """Return rows of middling and of large first-order scores."""
    _, data, _ = NETWORKS[name]
    sizes = np.abs(quiet(wrapped(name).influence_scores, data.X_test, data.y_test)).sum(axis=0)
    return np.argsort(sizes)[[25, 40, 48]]


@networks
def test_changes_are_those_to_the_minimum_of_the_proximal_objective(name):
    rows = typical(name)
    mechanism = quiet(wrapped(name)._current().mechanism, "first_order")
    found = quiet(mechanism.proximal().changes, rows)
    here = theta_of(wrapped(name).estimator_)
    expected = np.column_stack([minimum(name, row) - here for row in rows])
    assert np.linalg.norm(twin(name).gradient(here)) > 1.0  # it is not at a minimum
    if name == "three":  # the common shift of the classes is held by the damping
        np.testing.assert_allclose(found[-3:].sum(axis=0), expected[-3:].sum(axis=0), atol=1e-6)
    error = np.linalg.norm(found - expected, axis=0) / np.linalg.norm(expected, axis=0)
    np.testing.assert_array_less(error, 1e-6)


@networks
def test_the_check_evaluates_the_target_there(name):
    _, data, _ = NETWORKS[name]
    rows = typical(name)[:2]
    check = quiet(
        wrapped(name).leave_one_out_check, data.X_test, data.y_test, rows=rows, refit="proximal"
    )
    other, here = twin(name), theta_of(wrapped(name).estimator_)
    before = other.rows(here, data.X_test, data.y_test)
    moved = [other.rows(minimum(name, row), data.X_test, data.y_test) - before for row in rows]
    expected = np.array(moved).T
    assert np.linalg.norm(check.actual - expected) <= 1e-6 * np.linalg.norm(expected)
    scores = quiet(wrapped(name).influence_scores, data.X_test, data.y_test)
    np.testing.assert_allclose(check.predicted, scores[:, rows], rtol=1e-10)
    np.testing.assert_array_equal(check.noise, 0.0)
    np.testing.assert_array_equal(check.rows, rows)


@networks
def test_first_order_is_the_derivative_of_this_answer(name, h=1e-4):
    """In the weight of the row, at parameters that are no minimum of anything else."""
    _, data, _ = NETWORKS[name]
    row = int(typical(name)[1])
    other = twin(name)
    scores = quiet(wrapped(name).influence_scores, data.X_test, data.y_test, method="first_order")
    ends = [other.rows(minimum(name, row, weight), data.X_test, data.y_test) for weight in (h, -h)]
    expected = (ends[0] - ends[1]) / (2 * h)
    assert np.linalg.norm(scores[:, row] - expected) <= 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("name", ["real", "three"])
def test_without_a_row_that_does_nothing_it_stays(name):
    """The network as it is minimises the objective with nothing taken out."""
    np.testing.assert_allclose(
        minimum(name, 0, weight=0.0), theta_of(wrapped(name).estimator_), atol=1e-10
    )


@pytest.mark.parametrize("solver", ["cholesky", "cg"])
def test_two_jobs_and_other_blocks_are_one(solver, tune):
    rows = typical("real")
    mechanism = quiet(wrapped("real")._current().mechanism, "first_order")
    expected = quiet(mechanism.proximal().changes, rows)
    data = REAL
    checks = [
        quiet(
            wrapped("real", n_jobs=n_jobs, solver=solver).leave_one_out_check,
            data.X_test,
            data.y_test,
            rows=6,
            refit="proximal",
        ).actual
        for n_jobs in (1, 2)
    ]
    np.testing.assert_array_equal(*checks)
    tune(refit_elements=1)
    removal = mechanism.proximal()
    each = np.column_stack(
        [quiet(removal.changes, block)[:, 0] for block in removal.column_blocks(rows)]
    )
    np.testing.assert_allclose(each, expected, atol=1e-6 * np.abs(expected).max())


# ---------------------------------------------------------------------------- what is said, refused


def test_notes_say_what_it_is():
    check = quiet(
        wrapped("real").leave_one_out_check, REAL.X_test, REAL.y_test, rows=3, refit="proximal"
    )
    assert check.refit == "proximal"
    assert check.notes[0].startswith("yardstick: the proximal objective (Bae et al. 2022)")
    text = " ".join(check.notes)
    assert "Nothing was refitted by scikit-learn" in text
    assert "refits know none" not in text  # the damping is part of this objective
    assert "judge:" not in text
    assert re_refinement(check.notes) > 0.1
    assert "proximal" in check.summary()


def re_refinement(notes):
    """Return the distance that the notes name."""
    (note,) = (note for note in notes if note.startswith("refinement:"))
    return float(note.split("were ")[1].split(" ")[0])


@pytest.mark.parametrize("inner", [Ridge(), make_pipeline(StandardScaler(), Ridge())], ids=str)
def test_models_that_can_be_refitted_have_no_use_for_it(inner):
    model = InfluenceRegressor(clone(inner)).fit(REAL.X, REAL.y)
    message = (
        r"refit='proximal' was asked for, the yardstick of networks that are not at a minimum; "
        r"Ridge can be refitted\. Use refit='final'\."
    )
    with pytest.raises(ValueError, match=message):
        model.leave_one_out_check(REAL.X_test, REAL.y_test, refit="proximal")
    model = InfluenceClassifier(LogisticRegression()).fit(BINARY.X, BINARY.y)
    with pytest.raises(ValueError, match="LogisticRegression can be refitted"):
        model.leave_one_out_check(BINARY.X_test, BINARY.y_test, refit="proximal")


def test_unknown_refits():
    message = r"refit='magic' was given; accepted are 'final', 'pipeline' and, for networks, 'prox"
    with pytest.raises(ValueError, match=message):
        wrapped("real").leave_one_out_check(REAL.X_test, REAL.y_test, refit="magic")
