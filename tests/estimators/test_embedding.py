"""Embeddings: their inner products are first-order scores."""

import warnings
from functools import cache

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.solvers import CG, Arnoldi, Cholesky
from tests import cases, model_table, networks
from tests.cases import BINARY, REALS, THREE, classification

TABLE = {
    **{one.name: one for one in cases.CASES},
    **{one.name: one for one in model_table.MODELS},
    **{f"network-{one.name}": one for one in networks.TABLE},
}
OF_EACH_KIND = [
    "LogisticRegression-lbfgs",
    "LogisticRegression-3-weighted",
    "LogisticRegression-3-balanced-weighted",
    "LogisticRegression-unpenalised",
    "LogisticRegression-liblinear-scaling",
    "LinearRegression-weighted",
    "Ridge-3-alphas",
    "RidgeClassifier-3-balanced-weighted",
    "LinearSVC-hinge-balanced",
    "LinearSVR",
    "Poisson-weighted",
    "Huber",
    "Lasso-weighted",
    "Logistic-l1-3",
    "Logistic-elastic-net-3",
    "SGDClassifier-log-3",
    "KernelRidge-3",
    "OneVsOne-logistic",
    "MultiOutput-poisson",
    "TransformedTarget",
    "GridSearch",
    "network-binary-tanh",
    "network-three-relu-3",
    "network-labels-tanh",
    "network-reals-logistic-2",
    "network-real-sgd-batches",
]


@cache
def fitted(name, solver="auto"):
    one = TABLE[name]
    kind = InfluenceClassifier if is_classifier(one.estimator) else InfluenceRegressor
    params = {"damping": 0.3} if name.startswith("network") else {}
    if isinstance(one, model_table.Model):
        params["temperature"] = one.on_wrapper
    wrapper = kind(clone(one.estimator), solver=solver, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if one.s is None:
            return wrapper.fit(one.data.X, one.data.y)
        return wrapper.fit(one.data.X, one.data.y, one.s)


def ask(question, *args, **params):
    """Ask in silence: of early stopping and moving supports there is nothing to say here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", (ConvergenceWarning, UserWarning))
        return question(*args, **params)


def near(found, expected, rtol):
    assert np.linalg.norm(found - expected) <= rtol * np.linalg.norm(expected)
    assert np.linalg.norm(expected) > 0


# --------------------------------------------------------------------------------- inner products


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_inner_products_are_first_order_scores(name):
    model, data = fitted(name, Cholesky()), TABLE[name].data
    rows = ask(model.influence_embedding)
    tests = ask(model.influence_embedding, data.X_test, data.y_test)
    scores = ask(model.influence_scores, data.X_test, data.y_test, method="first_order")
    assert rows.shape == (len(data.y), tests.shape[1]) and len(tests) == len(data.y_test)
    near(tests @ rows.T, scores, 1e-10)


@pytest.mark.parametrize(
    "name", ["LogisticRegression-lbfgs", "Ridge-weighted", "network-real-tanh"]
)
def test_auto_is_cholesky_for_small_models(name):
    data = TABLE[name].data
    for question in ([], [data.X_test, data.y_test]):
        found, expected = (
            ask(fitted(name, solver).influence_embedding, *question)
            for solver in ("auto", "cholesky")
        )
        np.testing.assert_array_equal(found, expected)


TARGETS = {
    "LogisticRegression-3-weighted": ["decision_function", "predict_proba"],
    "LogisticRegression-balanced": ["decision_function", "predict_proba"],
    "Poisson-weighted": ["predict", "linear_predictor"],
    "Logistic-l1-3": ["predict_proba"],
    "network-three-tanh": ["predict_proba"],
    "network-real-tanh": ["predict"],
}


@pytest.mark.parametrize(
    ("name", "target"), [(name, target) for name in TARGETS for target in TARGETS[name]]
)
def test_targets(name, target):
    model, data = fitted(name), TABLE[name].data
    rows = ask(model.influence_embedding)
    answers = []
    for y in (None, np.roll(data.y_test, 1)):
        tests = ask(model.influence_embedding, data.X_test, y, target=target)
        scores = ask(model.influence_scores, data.X_test, y, target=target, method="first_order")
        near(tests @ rows.T, scores, 1e-10)
        answers.append(tests)
    if is_classifier(model) and len(model.classes_) > 2:
        assert np.linalg.norm(answers[0] - answers[1]) > 0  # labels choose the class


@pytest.mark.parametrize("output", [0, 2])
def test_one_output_of_several(output):
    model, asked = fitted("Ridge-3"), {"target": "predict", "output": output}
    tests = model.influence_embedding(REALS.X_test, **asked)
    scores = model.influence_scores(REALS.X_test, method="first_order", **asked)
    near(tests @ model.influence_embedding().T, scores, 1e-10)


def test_the_method_of_the_wrapper_does_not_matter():
    """Embeddings are of first order; so is what a Newton wrapper says on demand."""
    expected = fitted("LogisticRegression-lbfgs").influence_embedding()
    model = InfluenceClassifier(LogisticRegression(C=0.3, max_iter=2000), method="exact")
    near(model.fit(BINARY.X, BINARY.y).influence_embedding(), expected, 1e-12)


def test_a_training_row_has_its_weight_on_it():
    """As a test row it has none, and the gradient of the test loss has the other sign."""
    name = "LogisticRegression-weighted"
    model, data = fitted(name), TABLE[name].data
    rows, tests = model.influence_embedding(), model.influence_embedding(data.X, data.y)
    near(rows, data.s[:, None] * tests, 1e-10)
    own = np.einsum("ij,ij->i", rows, tests)
    near(own, np.diag(model.influence_scores(data.X, data.y, method="first_order")), 1e-10)
    assert np.all(own > 0)  # a row helps itself


@pytest.mark.parametrize("matrix", [np.asarray, sparse.csr_matrix])
def test_pipelines_and_sparse_rows(matrix):
    inner = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(tol=1e-10))
    model = InfluenceClassifier(inner).fit(matrix(THREE.X), THREE.y)
    rows = model.influence_embedding()
    tests = model.influence_embedding(matrix(THREE.X_test), THREE.y_test)
    scores = model.influence_scores(matrix(THREE.X_test), THREE.y_test, method="first_order")
    near(tests @ rows.T, scores, 1e-10)


def test_nearest_neighbours_are_the_most_helpful_rows():
    """By inner product, which for queries of length one among longer rows is no distance."""
    model = fitted("LogisticRegression-lbfgs")
    rows = model.influence_embedding()
    tests = model.influence_embedding(BINARY.X_test, BINARY.y_test)
    # |a - b|^2 falls with a'b once all rows have one length (Bachrach et al. 2014).
    sizes = np.sum(rows**2, axis=1)
    longer = np.column_stack([rows, np.sqrt(sizes.max() - sizes)])
    index = NearestNeighbors(n_neighbors=5).fit(longer)
    found = index.kneighbors(np.column_stack([tests, np.zeros(len(tests))]))[1]
    scores = model.influence_scores(BINARY.X_test, BINARY.y_test, method="first_order")
    np.testing.assert_array_equal(found, np.argsort(-scores, axis=1)[:, :5])


# ------------------------------------------------------------------------------------ of low rank


@cache
def digits(rank):
    X, y = load_digits(n_class=4, return_X_y=True)
    inner = LogisticRegression(C=0.01, max_iter=1000, tol=1e-8)
    solver = "cholesky" if rank is None else Arnoldi(rank=rank)
    return InfluenceClassifier(inner, solver=solver).fit(X[:500], y[:500]), X[500:505], y[500:505]


def test_embeddings_of_low_rank_approach_the_scores():
    exact, X, y = digits(None)
    scores = exact.influence_scores(X, y, method="first_order")
    errors = []
    for rank in (10, 40, 160, 10_000):
        model = digits(rank)[0]
        rows = ask(model.influence_embedding)
        tests = ask(model.influence_embedding, X, y)
        assert rows.shape[1] <= rank and rows.dtype == np.float64
        found = tests @ rows.T
        near(found, ask(model.influence_scores, X, y, method="first_order"), 1e-10)
        errors.append(np.linalg.norm(found - scores) / np.linalg.norm(scores))
    assert np.all(np.diff(errors) < 0)
    assert errors[0] > 0.02 and errors[2] < 0.5 * errors[0] and errors[-1] < 1e-6


def test_coordinates_are_those_of_the_largest_curvature():
    rows = ask(digits(40)[0].influence_embedding)
    few = ask(digits(10)[0].influence_embedding)
    assert rows.shape == (500, 40) and few.shape == (500, 10)


# -------------------------------------------------------------------------------- types and blocks


@pytest.mark.parametrize("kind", ["binary", "multinomial", "ridge"])
def test_single_precision(kind):
    data = {"binary": BINARY, "multinomial": THREE, "ridge": REALS}[kind]
    inner = Ridge() if kind == "ridge" else LogisticRegression(tol=1e-10)
    wrap = InfluenceRegressor if kind == "ridge" else InfluenceClassifier
    model = wrap(inner).fit(data.X.astype(np.float32), data.y)
    X_test = data.X_test.astype(np.float32)
    rows, tests = model.influence_embedding(), model.influence_embedding(X_test, data.y_test)
    assert rows.dtype == tests.dtype == np.float32
    scores = model.influence_scores(X_test, data.y_test, method="first_order")
    near(tests @ rows.T, scores, 1e-5)


@pytest.mark.parametrize(
    "name", ["LogisticRegression-3-weighted", "Lasso-weighted", "network-three-tanh"]
)
@pytest.mark.parametrize("block", [1, 50])
def test_blocks_of_rows(name, block, tune):
    model, data = fitted(name), TABLE[name].data
    questions = [[], [data.X_test, data.y_test]]
    whole = [ask(model.influence_embedding, *each) for each in questions]
    tune(block_elements=block)
    for each, expected in zip(questions, whole, strict=True):
        found = ask(model.influence_embedding, *each)
        np.testing.assert_allclose(found, expected, atol=1e-12 * np.abs(expected).max())


def test_many_rows_are_never_all_in_double_precision():
    """Blocks of rows, whose columns have the length of the parameters."""
    data = classification(n=20_000, p=4, n_test=3)
    model = InfluenceClassifier(LogisticRegression(tol=1e-8)).fit(data.X, data.y)
    rows, tests = model.influence_embedding(), model.influence_embedding(data.X_test, data.y_test)
    assert rows.shape == (20_000, 5)
    near(
        tests @ rows.T, model.influence_scores(data.X_test, data.y_test, method="first_order"), 1e-9
    )


def test_parameters_are_left_as_they_were():
    model = fitted("Ridge-weighted")
    before = model.influence_scores(TABLE["Ridge-weighted"].data.X_test, target="predict")
    model.influence_embedding()
    after = model.influence_scores(TABLE["Ridge-weighted"].data.X_test, target="predict")
    np.testing.assert_array_equal(before, after)


# ---------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("solver", ["cg", CG(), "lu", "lissa", "nystroem"])
def test_solvers_that_do_not_split_the_inverse(solver):
    model = InfluenceRegressor(Ridge(), solver=solver).fit(REALS.X, REALS.y[:, 0])
    message = (
        r"influence_embedding was asked for, which splits the inverse curvature into two factors "
        r"by embed\(V\), and a \w+Factor does not have it; those of Arnoldi and Cholesky .* do\. "
        r"Pass solver=skinfluence\.solvers\.Arnoldi\(rank=100\)\."
    )
    for question in ([], [REALS.X_test, REALS.y_test[:, 0]]):
        with pytest.raises(ValueError, match=message):
            ask(model.influence_embedding, *question)


def test_wide_models_that_are_factorised_by_their_rows():
    wide = model_table.WIDE
    model = InfluenceClassifier(LogisticRegression()).fit(wide.X, wide.y)
    with pytest.raises(ValueError, match=r"a RowFactor does not have it; .*Arnoldi\(rank"):
        model.influence_embedding()
    low = InfluenceClassifier(LogisticRegression(tol=1e-10), solver=Arnoldi(rank=40))
    low.fit(wide.X, wide.y)
    rows, tests = low.influence_embedding(), low.influence_embedding(wide.X_test, wide.y_test)
    scores = ask(low.influence_scores, wide.X_test, wide.y_test, method="first_order")
    near(tests @ rows.T, scores, 1e-9)


def test_targets_without_rows_and_models_that_are_not_fitted():
    model = fitted("LogisticRegression-lbfgs")
    message = r"y was given without X; both are accepted for test rows, .*Pass X as well\."
    with pytest.raises(ValueError, match=message):
        model.influence_embedding(y=BINARY.y_test)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        InfluenceClassifier().influence_embedding()
    with pytest.raises(NotFittedError, match="not fitted yet"):
        InfluenceClassifier().influence_embedding(BINARY.X, BINARY.y)


def test_test_rows_are_checked_as_those_of_scores():
    model = fitted("LogisticRegression-lbfgs")
    with pytest.raises(ValueError, match="maybe"):
        model.influence_embedding(BINARY.X_test[:2], ["yes", "maybe"])
    with pytest.raises(ValueError, match="y_test"):
        model.influence_embedding(BINARY.X_test)
    with pytest.raises(ValueError, match="magic"):
        model.influence_embedding(BINARY.X_test, target="magic")
    with pytest.raises(ValueError, match="features"):
        model.influence_embedding(BINARY.X_test[:, :2], BINARY.y_test)
    with pytest.raises(ValueError):
        model.influence_embedding(BINARY.X_test[:0], BINARY.y_test[:0])


def test_memory_is_checked_before_it_is_taken(monkeypatch):
    model = fitted("LogisticRegression-3-weighted")
    model.influence_scores(THREE.X_test, THREE.y_test, method="first_order")
    monkeypatch.setattr("skinfluence.process.memory.available_memory", lambda: 1e3)
    message = r"An embedding of 75 rows in 15 dimensions needs .*Arnoldi\(rank=100\), or fewer rows"
    with pytest.raises(MemoryError, match=message):
        model.influence_embedding()
