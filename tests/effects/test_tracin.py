"""Scores along a recorded training: against loops over rows, and against what the steps did."""

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skinfluence.adapters import adapt
from skinfluence.effects import target_of
from skinfluence.effects.tracin import PathScorer, TrainingPath, squared_gradients
from skinfluence.models.recorded_training import RecordedTraining
from skinfluence.objectives import Objective, OutputObjective
from tests.cases import classification, regression

BINARY = classification()
THREE = classification(n_classes=3)
REAL = regression()
REALS = regression(n_outputs=2)
WEIGHED = sklearn.__version__ >= "1.7"  # multilayer perceptrons


# -------------------------------------------------------------------------- the slow, obvious twin


def every(n_test):
    """Return the weights of a sum over all test rows."""
    return sparse.csr_matrix(np.ones((1, n_test)))


def forward(weights, X):
    """Raw predictions of a tanh network, its weights W_1, b_1, W_2, b_2, ..."""
    for W, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        X = anp.tanh(X @ W + b)
    return X @ weights[-2] + weights[-1]


def loss_of(eta, y, kind):
    if kind == "squared":
        return 0.5 * anp.sum((eta - y) ** 2)
    if kind == "logistic":
        return anp.log(1.0 + anp.exp(-(2.0 * y - 1.0) * eta[0]))
    return anp.log(anp.sum(anp.exp(eta))) - eta[y]


def own_loss(weights, x, y, kind):
    return loss_of(forward(weights, x[None])[0], y, kind)


def flat(gradient):
    return np.concatenate([np.ravel(part) for part in gradient])


def twin_weights(estimator):
    if hasattr(estimator, "coefs_"):
        pairs = zip(estimator.coefs_, estimator.intercepts_, strict=True)
        return [part for pair in pairs for part in pair]
    return [estimator.coef_.reshape(1, -1).T, np.reshape(estimator.intercept_, -1)]


def twin_gradients(weights, X, y, of):
    """Return the gradient of a function of a row, row by row, shape (n, n_params)."""
    gradient = autograd.grad(of)
    return np.array([flat(gradient(weights, x, t)) for x, t in zip(X, y, strict=True)])


def twin_scores(recorded, data, of, w, of_test):
    scores = 0.0
    for one in recorded.checkpoints_:
        weights = twin_weights(one.estimator)
        g = twin_gradients(weights, data.X, data.y, of)
        h = twin_gradients(weights, data.X_test, data.y_test, of_test)
        scores = scores + one.step * h @ (w[:, None] * g).T
    return scores


# ----------------------------------------------------------------------------------- what is tested


def path_of(recorded, X, y, w=None):
    objective = adapt(recorded.estimator_, X, y, w)
    thetas = np.array([adapt(c.estimator, X, y, w).theta for c in recorded.checkpoints_])
    steps = np.array([c.step for c in recorded.checkpoints_])
    return TrainingPath(objective, thetas, steps)


def scorer_of(path, data, target="loss", output=None, n_jobs=None):
    def make_target(part, tests):
        return target_of(target, part, data.y_test[tests], output)

    return PathScorer(path, path.objective.on(data.X_test, data.y_test), make_target, n_jobs)


def network(kind, **params):
    given = {"hidden_layer_sizes": (4, 3), "solver": "sgd", "random_state": 1, "batch_size": 16}
    given |= {"activation": "tanh", "alpha": 0.01, "learning_rate_init": 0.02}
    return kind(**{**given, **params})


CASES = {
    "binary": (network(MLPClassifier), BINARY, "logistic"),
    "three": (network(MLPClassifier, solver="adam"), THREE, "multinomial"),
    "targets": (network(MLPRegressor, learning_rate="invscaling"), REALS, "squared"),
    "linear": (SGDClassifier(loss="log_loss", random_state=0), BINARY, "logistic"),
    "linear weighted": (SGDRegressor(random_state=0), REAL, "squared"),
}


@pytest.fixture(scope="module", params=list(CASES))
def case(request):
    estimator, data, kind = CASES[request.param]
    w = data.s if "weighted" in request.param else None
    recorded = RecordedTraining(estimator, epochs=5, every=2).fit(data.X, data.y, w)
    return recorded, path_of(recorded, data.X, data.y, w), data, kind


def small_blocks(tune):
    tune(block_elements=64)


def test_scores_are_the_sum_over_checkpoints(case, tune):
    recorded, path, data, kind = case

    def of(weights, x, y):
        return own_loss(weights, x, y, kind)

    expected = twin_scores(recorded, data, of, path.objective.sample_weight, of)
    scorer = scorer_of(path, data)
    scores = scorer.matrix(np.float64)
    assert scores.shape == (12, 60)
    np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
    np.testing.assert_allclose(
        scorer.combined(every(12))[0], expected.sum(axis=0), rtol=1e-9, atol=1e-12
    )
    small_blocks(tune)
    blocked = scorer_of(path, data, n_jobs=2)
    np.testing.assert_allclose(blocked.matrix(np.float64), expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(
        blocked.combined(every(12))[0], expected.sum(axis=0), rtol=1e-9, atol=1e-11
    )


def test_the_ends_of_the_ranking(case, tune):
    _, path, data, _ = case
    scores = scorer_of(path, data).matrix(np.float64)
    small_blocks(tune)
    indices, values = scorer_of(path, data).top(3)
    order = np.argsort(-scores, axis=1, kind="stable")
    np.testing.assert_array_equal(indices, order[:, [0, 1, 2, -3, -2, -1]])
    np.testing.assert_allclose(values, np.take_along_axis(scores, indices, axis=1), rtol=1e-9)
    assert scorer_of(path, data).top(100)[0].shape == (12, 120)


def test_self_influence_is_the_score_of_a_row_on_itself(case, tune):
    recorded, path, data, kind = case
    expected = 0.0
    for one in recorded.checkpoints_:
        g = twin_gradients(
            twin_weights(one.estimator),
            data.X,
            data.y,
            lambda weights, x, y: own_loss(weights, x, y, kind),
        )
        expected = expected + one.step * path.objective.sample_weight * np.sum(g**2, axis=1)
    np.testing.assert_allclose(path.self_influence(), expected, rtol=1e-9)
    small_blocks(tune)
    np.testing.assert_allclose(path.self_influence(n_jobs=2), expected, rtol=1e-9)


@pytest.mark.parametrize("target", ["decision_function", "predict_proba"])
def test_other_targets_change_as_if_the_steps_were_taken_back(target):
    estimator, data, kind = CASES["three"]
    recorded = RecordedTraining(estimator, epochs=3).fit(data.X, data.y)

    def quantity(weights, x, y):
        eta = forward(weights, x[None])[0]
        return eta[y] if target == "decision_function" else anp.exp(-loss_of(eta, y, kind))

    def of(weights, x, y):
        return own_loss(weights, x, y, kind)

    expected = twin_scores(recorded, data, of, np.ones(60), quantity)
    scores = scorer_of(path_of(recorded, data.X, data.y), data, target).matrix(np.float64)
    np.testing.assert_allclose(scores, expected, rtol=1e-8, atol=1e-12)


def test_one_of_several_outputs():
    estimator, data, _ = CASES["targets"]
    recorded = RecordedTraining(estimator, epochs=3).fit(data.X, data.y)
    expected = twin_scores(
        recorded,
        data,
        lambda weights, x, y: own_loss(weights, x, y, "squared"),
        np.ones(60),
        lambda weights, x, y: forward(weights, x[None])[0, 1],
    )
    scorer = scorer_of(path_of(recorded, data.X, data.y), data, "predict", output=1)
    np.testing.assert_allclose(scorer.matrix(np.float64), expected, rtol=1e-8, atol=1e-12)


class Opaque(Objective):
    """An objective that shows its gradients only."""

    def __init__(self, inner):
        self.inner = inner
        self.theta, self.l2, self.sample_weight = inner.theta, inner.l2, inner.sample_weight

    def at(self, theta):
        return Opaque(self.inner.at(theta))

    def on(self, X, y=None):
        return Opaque(self.inner.on(X, y))

    def rows(self, index):
        return Opaque(self.inner.rows(index))

    def losses(self):
        return self.inner.losses()

    def grads_dot(self, V):
        return self.inner.grads_dot(V)

    def weighted_grad_sum(self, A):
        return self.inner.weighted_grad_sum(A)

    def hvp(self, V):
        return self.inner.hvp(V)


def test_objectives_without_raw_predictions(case, tune):
    _, path, data, _ = case
    expected = scorer_of(path, data).matrix(np.float64)
    opaque = TrainingPath(Opaque(path.objective), path.thetas, path.steps)
    test = opaque.objective.on(data.X_test, data.y_test)
    small_blocks(tune)
    scores = PathScorer(opaque, test, lambda part, tests: None, None).matrix(np.float64)
    np.testing.assert_allclose(scores, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(opaque.self_influence(), path.self_influence(), rtol=1e-9)


def test_squared_gradients_are_those_of_the_rows():
    recorded = RecordedTraining(CASES["binary"][0], epochs=1).fit(BINARY.X, BINARY.y)
    objective = path_of(recorded, BINARY.X, BINARY.y).objective
    slow = objective.jacobian_t_rows(objective.output_gradients())
    np.testing.assert_allclose(squared_gradients(objective), np.sum(slow**2, axis=0), rtol=1e-11)


def test_sparse_rows():
    estimator = SGDClassifier(loss="log_loss", random_state=0)
    recorded = RecordedTraining(estimator, epochs=3).fit(BINARY.X, BINARY.y)
    dense = path_of(recorded, BINARY.X, BINARY.y)
    thin = path_of(recorded, sparse.csr_array(BINARY.X), BINARY.y)
    for one, other in (
        (scorer_of(dense, BINARY).matrix(float), scorer_of(thin, BINARY).matrix(float)),
        (dense.self_influence(), thin.self_influence()),
    ):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)


# -------------------------------------------------------------- what the steps did to the test loss


def end_minus_start(recorded, data, w, start):
    """Return the loss of each test row after the last epoch minus that at other parameters."""
    test = path_of(recorded, data.X, data.y, w).objective.on(data.X_test, data.y_test)
    assert isinstance(test, OutputObjective)
    return test.losses() - test.at(start).losses()


@pytest.mark.parametrize(
    ("params", "epochs"),
    [
        ({"momentum": 0.0}, 20),
        ({"momentum": 0.9}, 20),
        ({"momentum": 0.9, "nesterovs_momentum": False}, 20),
        ({"momentum": 0.9, "batch_size": 60}, 20),  # one update in an epoch: most echoes are lost
        ({"momentum": 0.0, "learning_rate": "invscaling", "power_t": 0.4}, 20),
        ({"momentum": 0.0, "batch_size": 50}, 200),  # 50 rows, and 10
    ],
)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_the_scores_of_all_rows_add_up_to_what_training_did(kind, params, epochs):
    """To first order in the learning rate, so with a tiny one, and without a penalty."""
    data = THREE if kind is MLPClassifier else REALS
    params = {"learning_rate_init": 1e-5, "alpha": 0.0, **params}
    compare_with_training(network(kind, **params), data, None, epochs)


@pytest.mark.skipif(not WEIGHED, reason="takes no weights")
@pytest.mark.parametrize(("batch_size", "epochs"), [(60, 20), (16, 200)])
def test_batches_of_weighted_rows_are_divided_by_their_weights(batch_size, epochs):
    params = {"learning_rate_init": 1e-5, "alpha": 0.0, "batch_size": batch_size}
    compare_with_training(network(MLPClassifier, **params), THREE, 3.0 * THREE.s, epochs)


def compare_with_training(estimator, data, w, epochs):
    recorded = RecordedTraining(estimator, epochs=epochs, every=10).fit(data.X, data.y, w)
    # The same seed and no step worth the name: where the training began.
    still = RecordedTraining(estimator, epochs=1)
    still.set_params(estimator__learning_rate_init=1e-300).fit(data.X, data.y)
    start = path_of(still, data.X, data.y).thetas[0]
    predicted = scorer_of(path_of(recorded, data.X, data.y, w), data).matrix(np.float64).sum(axis=1)
    actual = -end_minus_start(recorded, data, w, start)
    error = np.linalg.norm(predicted - actual) / np.linalg.norm(actual)
    # Of shuffled batches the last is short, and counts as it does on average.
    assert error < (0.003 if estimator.batch_size == 60 else 0.02)


@pytest.mark.parametrize("kind", [SGDClassifier, SGDRegressor])
def test_the_score_of_a_row_is_what_the_loss_would_be_without_its_steps(kind):
    """Weight 0 takes a row's steps away and leaves the others as they were, in their order."""
    data = BINARY if kind is SGDClassifier else REAL
    loss = {"loss": "log_loss"} if kind is SGDClassifier else {}
    estimator = kind(**loss, penalty=None, learning_rate="constant", eta0=1e-6, random_state=0)
    recorded = RecordedTraining(estimator, epochs=10, every=2).fit(data.X, data.y, data.s)
    path = path_of(recorded, data.X, data.y, data.s)
    rows = np.arange(0, 60, 5)
    predicted = scorer_of(path, data).matrix(np.float64)[:, rows]
    actual = np.empty_like(predicted)
    for column, i in enumerate(rows):
        w = np.where(np.arange(60) == i, 0.0, data.s)
        without = RecordedTraining(estimator, epochs=10).fit(data.X, data.y, w)
        actual[:, column] = end_minus_start(without, data, w, path.objective.theta)
    assert np.linalg.norm(predicted - actual) < 0.01 * np.linalg.norm(actual)
