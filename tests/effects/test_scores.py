"""Targets against scikit-learn's own predictions, and the streamed and summed scores."""

from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.effects.targets import LossTarget, change_in_pieces
from skinfluence.effects.top_k import Extremes
from skinfluence.losses import Logistic, Multinomial
from skinfluence.losses.softplus import log1pexp_change
from skinfluence.questions.scoring import Asked, edit_scorer
from tests import oracles
from tests.cases import BINARY, REALS, THREE, regression

ROWS = np.arange(0, 60, 7)


def refits(estimator, data):
    full = oracles.tight(estimator, data.X, data.y)
    kept = [np.delete(np.arange(len(data.X)), i) for i in ROWS]
    return full, [oracles.tight(estimator, data.X[k], data.y[k]) for k in kept]


def agree(scores, actual, tolerance=0.04):
    slope, error = oracles.slope_and_error(scores[:, ROWS], actual)
    assert error < tolerance
    assert abs(slope - 1) < tolerance


def test_the_sign_by_eye():
    """Two clusters and one mislabelled row: removing it lowers the loss of a test row beside it."""
    X = np.array([[-2.0], [-1.5], [-1.0], [1.0], [1.5], [2.0], [1.2]])
    y = np.array([0, 0, 0, 1, 1, 1, 0])  # the last row is wrong
    model = InfluenceClassifier(LogisticRegression(tol=1e-8)).fit(X, y)
    scores = model.influence_scores([[1.3]], [1])[0]
    assert scores[6] < 0, "the mislabelled row harms: without it the loss falls"
    assert scores[4] > 0, "a neighbour of the same class helps: without it the loss rises"
    without = LogisticRegression(tol=1e-8).fit(X[:6], y[:6])
    p_without, p_with = (m.predict_proba([[1.3]])[0, 1] for m in (without, model.estimator_))
    assert p_without > p_with


@pytest.mark.parametrize("data", [BINARY, THREE], ids=["binary", "three"])
@pytest.mark.parametrize("given", [True, False], ids=["y_test", "predicted"])
@pytest.mark.parametrize("target", ["decision_function", "predict_proba"])
def test_classifier_targets_equal_refits(data, given, target):
    estimator = LogisticRegression(C=0.3, tol=1e-8)
    model = InfluenceClassifier(estimator).fit(data.X, data.y)
    y_test = data.y_test if given else None
    scores = model.influence_scores(data.X_test, y_test, target=target)
    full, others = refits(estimator, data)
    labels = data.y_test if given else full.predict(data.X_test)
    column = np.searchsorted(full.classes_, labels)

    def read(fitted):
        values = getattr(fitted, target)(data.X_test)
        if values.ndim == 1:  # binary decisions are those of classes_[1], whatever y_test says
            return values
        return values[np.arange(len(column)), column]

    agree(scores, np.column_stack([read(one) - read(full) for one in others]))


@pytest.mark.parametrize("target", ["decision_function", "predict_proba"])
@pytest.mark.parametrize("data", [BINARY, THREE], ids=["binary", "three"])
def test_first_order_is_the_linear_part_of_newton(data, target):
    """With a thousand times the rows, Newton and first order agree to a part in a thousand."""
    X, y = np.tile(data.X, (400, 1)), np.tile(data.y, 400)
    model = InfluenceClassifier(LogisticRegression(C=0.3, tol=1e-8)).fit(X, y)
    first = model.influence_scores(data.X_test, target=target, method="first_order")[:, :60]
    newton = model.influence_scores(data.X_test, target=target, method="newton")[:, :60]
    assert np.linalg.norm(first - newton) < 2e-3 * np.linalg.norm(newton)


@pytest.mark.parametrize("target", ["predict", "linear_predictor"])
@pytest.mark.parametrize("output", [0, 2, -1])
def test_regressor_targets_equal_refits(target, output):
    estimator = Ridge(alpha=5.0)
    model = InfluenceRegressor(estimator).fit(REALS.X, REALS.y)
    scores = model.influence_scores(REALS.X_test, target=target, output=output)
    full, others = refits(estimator, REALS)
    base_values = full.predict(REALS.X_test)
    actual = np.column_stack([(o.predict(REALS.X_test) - base_values)[:, output] for o in others])
    agree(scores, actual, 1e-9)


def test_outputs_have_to_be_named():
    model = InfluenceRegressor(Ridge()).fit(REALS.X, REALS.y)
    with pytest.raises(ValueError, match=r"has 3 outputs; say which one .* output=0 to 2"):
        model.influence_scores(REALS.X_test, target="predict")
    with pytest.raises(ValueError, match=r"output=3 was given; the model has the outputs 0 to 2"):
        model.influence_scores(REALS.X_test, target="predict", output=3)


@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_sums_and_streams_equal_the_matrix(method, tune):
    model = InfluenceClassifier(LogisticRegression(C=0.3, tol=1e-8), method=method)
    model.fit(THREE.X, THREE.y)
    matrix = model.influence_scores(THREE.X_test, THREE.y_test)
    # Tiny blocks: every seam between blocks of training and of test rows is crossed.
    tune(block_elements=64)
    blocked = model.influence_scores(THREE.X_test, THREE.y_test)
    np.testing.assert_allclose(blocked, matrix, rtol=1e-9, atol=1e-13)
    for name, reduce in (("mean", np.mean), ("sum", np.sum)):
        total = model.influence_scores(THREE.X_test, THREE.y_test, aggregate=name)
        np.testing.assert_allclose(total, reduce(matrix, axis=0), rtol=1e-9, atol=1e-12)
    scorer = edit_scorer(model._current(), Asked(THREE.X_test, THREE.y_test))
    weights = sparse.csr_matrix(np.vstack([np.arange(12) < 5, np.arange(12) % 3]))
    sums, squares = scorer.moments(weights)
    np.testing.assert_allclose(sums, weights @ matrix, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(squares, np.sum(matrix**2, axis=0), rtol=1e-9)
    rows = np.array([50, 3, 17])
    some = scorer.matrix(np.float64, rows)
    np.testing.assert_allclose(some, matrix[:, rows], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(scorer.norms(), np.linalg.norm(matrix, axis=0), rtol=1e-9)
    top = model.influence(THREE.X_test, THREE.y_test, top=4)
    order = np.argsort(-matrix, axis=1)
    np.testing.assert_array_equal(top.rows[:, :4], order[:, :4])
    np.testing.assert_array_equal(top.rows[:, 4:], order[:, -4:])
    np.testing.assert_allclose(
        top.scores, np.take_along_axis(matrix, top.rows, axis=1), rtol=1e-9, atol=1e-13
    )


def test_streaming_with_more_than_there_is_keeps_everything():
    data = regression(n=6)
    model = InfluenceRegressor().fit(data.X, data.y)
    top = model.influence(data.X_test, data.y_test, top=50)
    assert top.scores.shape == (12, 12)
    np.testing.assert_array_equal(top.helpful(6)[:, ::-1], top.harmful(6))


def sorted_ends(scores, k):
    """The k largest from the top, the k smallest up to the bottom, ties by column from each end."""
    above, below = (np.argsort(sign * scores, axis=1, kind="stable")[:, :k] for sign in (-1, 1))
    return np.concatenate([above, below[:, ::-1]], axis=1)


@pytest.mark.parametrize("k", [1, 3, 40, 300])
@pytest.mark.parametrize("ties", ["none", "many", "all"])
def test_extremes_are_those_of_a_sort_in_whatever_order_blocks_come(k, ties):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((5, 300))
    if ties != "none":
        scores = np.round(scores) if ties == "many" else np.zeros_like(scores)
    expected = sorted_ends(scores, k)
    cuts = [0, 130, 131, 200, 300]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]):
        extremes = Extremes(5, k)
        for i in order:
            ids = np.arange(*list(pairwise(cuts))[i])
            block = scores[:, ids]
            extremes.look(block if i % 2 else np.asfortranarray(block), ids)
        ids, values = extremes.found()
        np.testing.assert_array_equal(ids, expected)
        np.testing.assert_array_equal(values, np.take_along_axis(scores, expected, axis=1))


def test_extremes_look_past_what_is_no_number():
    scores = np.array([[np.nan, 3.0, 1.0, 2.0, np.nan, -1.0]])
    extremes = Extremes(1, 2)
    extremes.look(scores[:, :3], np.arange(3))
    extremes.look(scores[:, 3:], np.arange(3, 6))
    ids, values = extremes.found()
    np.testing.assert_array_equal(ids, [[1, 3, 2, 5]])
    np.testing.assert_array_equal(values, [[3.0, 2.0, 1.0, -1.0]])


def test_equal_scores_are_ranked_alike_streamed_or_not(tune):
    X, y = np.tile(BINARY.X, (4, 1)), np.tile(BINARY.y, 4)  # every score four times
    model = InfluenceClassifier(LogisticRegression(tol=1e-8), method="first_order").fit(X, y)
    whole = model.influence(BINARY.X_test, BINARY.y_test)
    tune(block_elements=4 * 20 * len(BINARY.X_test))
    top = model.influence(BINARY.X_test, BINARY.y_test, top=6)
    for name in ("helpful", "harmful"):
        np.testing.assert_array_equal(getattr(top, name)(6), getattr(whole, name)(6))


def thin(X):
    return sparse.csr_matrix(np.where(np.abs(X) > 0.5, X, 0.0))


@pytest.mark.parametrize("method", ["first_order", "newton"])
@pytest.mark.parametrize("cast", [np.asarray, np.float32, thin], ids=["double", "single", "sparse"])
@pytest.mark.parametrize("data", [BINARY, THREE], ids=["binary", "three"])
def test_threads_change_no_bit(data, cast, method, tune):
    X, X_test = cast(data.X), cast(data.X_test)
    tune(block_elements=256)
    every, found = sparse.csr_matrix(np.ones((1, X_test.shape[0]))), []
    for n_jobs in (1, None, 2, 3):
        model = InfluenceClassifier(
            LogisticRegression(C=0.3, tol=1e-8), method=method, n_jobs=n_jobs
        ).fit(X, data.y)
        scorer = edit_scorer(model._current(), Asked(X_test, data.y_test))
        assert len(list(scorer.removal.blocks(X_test.shape[0]))) > 2
        rows, top = scorer.top(5)
        found.append(
            [
                scorer.matrix(scorer.dtype),
                scorer.combined(every),
                *scorer.moments(every),
                scorer.norms(),
                rows,
                top,
            ]
        )
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(one, other)
    whole = InfluenceClassifier(LogisticRegression(C=0.3, tol=1e-8), method=method)
    dense = X.toarray() if sparse.issparse(X) else data.X
    dense_test = X_test.toarray() if sparse.issparse(X) else data.X_test
    expected = whole.fit(dense, data.y).influence_scores(dense_test, data.y_test)
    error = np.linalg.norm(found[0][0] - expected) / np.linalg.norm(expected)
    assert error < (1e-5 if cast is np.float32 else 1e-9)


@pytest.mark.parametrize("loss", [Logistic(np.arange(2)), Multinomial(np.arange(3))])
def test_changes_in_pieces_are_changes(loss, tune):
    rng = np.random.default_rng(0)
    n, m, K = 7, 50, loss.n_outputs
    y = loss.encode(rng.integers(0, len(loss.classes), n))
    target = LossTarget(loss, y, rng.standard_normal((n, K)))
    delta = rng.standard_normal((m, K, n)).transpose(2, 0, 1)
    whole = target.change(delta)
    tune(target_elements=4 * n * K)
    np.testing.assert_allclose(change_in_pieces(target, delta), whole, rtol=1e-13)
    out = np.empty((n, m), dtype=np.float32)
    assert change_in_pieces(target, delta, out) is out
    np.testing.assert_allclose(out, whole, rtol=1e-6)


@pytest.mark.parametrize("shift", [1e-12, -1e-9, 1e-3, -0.99, 1.0, -1.01, 20.0, -700.0, 2000.0])
def test_changes_of_softplus_keep_their_digits_whatever_they_stand_beside(shift):
    """Alone and beside tame and wild neighbours, against fifty decimal places."""
    z = np.array([-40.0, -5.0, -0.3, 0.0, 2.0, 35.0])
    with localcontext() as context:
        context.prec = 60
        context.Emin, context.Emax = -(10**6), 10**6
        after, before = (
            [(1 + (Decimal(float(a)) + Decimal(d)).exp()).ln() for a in z] for d in (shift, 0.0)
        )
        expected = np.array([float(a - b) for a, b in zip(after, before, strict=True)])
    d = np.array([shift, 0.0, 1e-7, 3.0])
    for others in (slice(0, 1), slice(0, 3), slice(0, 4)):
        found = log1pexp_change(z[:, None], np.broadcast_to(d[others], (6, len(d[others]))))
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-12)


def test_extremes_of_fewer_numbers_than_asked_for():
    """What is not a number comes last, from either end, and is an edit all the same."""
    scores = np.array([[np.nan, 2.0, np.nan]])
    extremes = Extremes(1, 3)
    extremes.look(scores, np.arange(3))
    ids, values = extremes.found()
    assert set(ids[0]) <= {0, 1, 2}
    assert ids[0, 0] == 1 and values[0, 0] == 2.0
