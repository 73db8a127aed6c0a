"""Rows and labels in whatever form scikit-learn takes them: the numbers are those of arrays."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR, LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor

rng = np.random.default_rng(0)
X = np.column_stack([rng.integers(0, 5, 40), rng.integers(0, 2, 40), rng.integers(0, 3, 40)])
X = X.astype(float)
Y = np.round(np.abs(X @ [1.0, -2.0, 0.5] + rng.standard_normal(40)))
LABELS = (np.median(Y) < Y).astype(int)
NET = {"hidden_layer_sizes": (2,), "activation": "tanh", "solver": "lbfgs", "alpha": 1.0}
NET |= {"max_iter": 1000, "tol": 1e-10, "random_state": 0}

FORMS = {
    "list": lambda X: X.tolist(),
    "coo": sparse.coo_matrix,
    "csc": sparse.csc_matrix,
    "sparse frame": lambda X: pd.DataFrame(X, columns=list("abc")).astype(
        pd.SparseDtype(float, 0.0)
    ),
    "mixed frame": lambda X: pd.DataFrame(
        {"a": X[:, 0], "b": X[:, 1].astype(bool), "c": X[:, 2].astype(int)}
    ),
    "nullable frame": lambda X: pd.DataFrame(X, columns=list("abc")).astype(
        {"a": "Float64", "b": "boolean", "c": "Int64"}
    ),
    "objects": lambda X: X.astype(object),
    "integers": lambda X: X.astype(np.int8),
    "other byte order": lambda X: X.astype(">f8"),
}
MODELS = {
    "ridge": Ridge(),
    "poisson": PoissonRegressor(solver="newton-cholesky", tol=1e-10),
    "logistic": LogisticRegression(tol=1e-12, solver="newton-cholesky"),
    "linear machine": LinearSVC(dual=False, tol=1e-10),
    "machine": SVC(tol=1e-8),
    "regression machine": SVR(tol=1e-8),
    "kernel ridge": KernelRidge(kernel="rbf", alpha=0.5),
    "process": GaussianProcessRegressor(alpha=0.5, optimizer=None),
    "network": MLPClassifier(**NET),
    "regression network": MLPRegressor(**NET),
    "one versus rest": OneVsRestClassifier(LogisticRegression()),
    "one versus one": OneVsOneClassifier(LogisticRegression()),
}
REFUSED = {
    ("process", "coo"),
    ("process", "csc"),
    *((name, "sparse frame") for name in ("process", "machine", "regression machine")),
}
"""By scikit-learn itself."""


def answers(name, form, labelled=lambda y: y):
    estimator = MODELS[name]
    y = LABELS if is_classifier(estimator) else Y
    kind = InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor
    model = kind(estimator, damping=0.1 if "network" in name else 0.0)
    given, tests = form(X), (form(X[:6]), labelled(y[:6]))
    model.fit(given, labelled(y))
    yield model.influence_scores(*tests)
    yield model.addition_influence(*tests, *tests).scores
    yield model.relabel_influence(labelled(y[::-1]), *tests).scores
    yield model.self_influence().scores
    if "network" not in name:
        check = model.leave_one_out_check(*tests, rows=2)
        yield check.predicted
        if "machine" not in name or name == "linear machine":  # which judge by the hinge itself
            yield check.actual
        yield model.leave_one_out().losses
        yield model.leave_one_out().to_frame()["loss"].to_numpy()
        yield model.without([0, 1]).influence_scores(*tests)


@pytest.fixture(scope="module")
def of_arrays():
    return {name: list(answers(name, lambda X: X)) for name in MODELS}


def near(found, expected, tolerance=1e-5):
    for one, other in zip(found, expected, strict=True):
        assert np.shape(one) == np.shape(other)
        assert np.abs(one - other).max() <= tolerance * max(np.abs(other).max(), 1e-3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", MODELS)
def test_rows_in_any_form(name, form, of_arrays):
    if (name, form) in REFUSED:
        pytest.skip("refused by scikit-learn")
    loose = "network" in name  # whose fit is another one, where rows come in another form
    near(answers(name, FORMS[form]), of_arrays[name], 1e-2 if loose else 1e-5)


@pytest.mark.parametrize("form", ["list", "mixed frame"])
def test_the_check_of_networks_in_any_form(form):
    found = []
    for given in (X, FORMS[form](X)):
        model = InfluenceClassifier(MODELS["network"], damping=0.1).fit(given, LABELS)
        tests = given.iloc[:6] if hasattr(given, "iloc") else given[:6]
        found.append(model.leave_one_out_check(tests, LABELS[:6], rows=2).actual)
    near(found[1:], found[:1], 1e-3)


ORDERS = {
    "other byte order": lambda y: y.astype(y.dtype.newbyteorder(">")),
    "list": list,
    "nullable": lambda y: pd.Series(y).astype("Int64"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ORDERS)
@pytest.mark.parametrize("name", ["ridge", "logistic", "machine", "network", "one versus rest"])
def test_targets_in_any_form(name, form, of_arrays):
    near(answers(name, lambda X: X, ORDERS[form]), of_arrays[name])


def test_labels_as_a_sparse_indicator_matrix():
    indicators = np.column_stack([LABELS, X[:, 1] > 0, rng.integers(0, 2, 40)]).astype(int)
    found = []
    for form in (np.asarray, sparse.csr_matrix, sparse.coo_matrix):
        model = InfluenceClassifier(OneVsRestClassifier(LogisticRegression(tol=1e-10)))
        model.fit(X, form(indicators))
        tests = X[:6], form(indicators[:6])
        found.append(
            [
                model.influence_scores(*tests),
                model.influence(*tests).scores,
                model.group_influence(np.arange(40) % 3, *tests).scores,
                model.addition_influence(*tests, *tests).scores,
                model.relabel_influence(form(indicators[::-1]), *tests).scores,
                model.leave_one_out().losses,
                model.leave_one_out().predictions,
                model.leave_one_out_check(*tests, rows=3).actual,
                model.without([0, 1]).influence_scores(*tests),
                np.asarray(model.self_influence().scores),
            ]
        )
    near(found[1], found[0], 1e-12)
    near(found[2], found[0], 1e-12)
