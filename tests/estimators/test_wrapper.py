"""The wrappers as scikit-learn estimators, and their scores as arrays: order, sums, kinds of X."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from skinfluence import InfluenceClassifier, InfluenceRegressor
from tests.cases import classification, regression

DATA = classification(labels=["no", "yes"])
THREE = classification(n=75, n_classes=3)
REAL = regression()
REALS = regression(n_outputs=3)

MODELS = {
    "binary": (InfluenceClassifier(), DATA),
    "multinomial": (InfluenceClassifier(), THREE),
    "balanced": (InfluenceClassifier(LogisticRegression(class_weight="balanced")), THREE),
    "pipeline": (InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression())), DATA),
    "ridge": (InfluenceRegressor(), REALS),
}


@pytest.fixture(params=MODELS)
def case(request):
    model, data = MODELS[request.param]
    return clone(model).fit(data.X, data.y), data


@pytest.fixture
def small_blocks(tune):
    """Cut everything into blocks of a few rows."""
    tune(block_elements=100)


def scores(model, data=DATA, **params):
    return model.influence_scores(data.X_test, data.y_test, **params)


# ------------------------------------------------------------------------ a scikit-learn estimator


def test_fit_leaves_the_given_estimator_alone():
    inner = LogisticRegression()
    model = InfluenceClassifier(inner).fit(DATA.X, DATA.y)
    assert model.estimator is inner
    assert not hasattr(inner, "coef_")
    assert model.estimator_ is not inner


def test_delegation():
    model = InfluenceClassifier(LogisticRegression(C=0.3)).fit(DATA.X, DATA.y)
    inner = LogisticRegression(C=0.3).fit(DATA.X, DATA.y)
    for name in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        np.testing.assert_array_equal(
            getattr(model, name)(DATA.X_test), getattr(inner, name)(DATA.X_test)
        )
    s = np.arange(len(DATA.y_test)) + 1.0
    expected = inner.score(DATA.X_test, DATA.y_test, sample_weight=s)
    assert model.score(DATA.X_test, DATA.y_test, sample_weight=s) == expected
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.n_features_in_ == DATA.X.shape[1]
    assert not hasattr(model, "feature_names_in_")
    assert not hasattr(InfluenceClassifier(RidgeClassifier()), "predict_proba")
    assert not hasattr(InfluenceClassifier(RidgeClassifier()), "predict_log_proba")
    assert not hasattr(InfluenceRegressor(), "decision_function")


def test_clone_is_unfitted_and_alike():
    inner = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    model = InfluenceClassifier(inner, method="first_order", damping=0.1, n_jobs=2)
    copy = clone(model.fit(DATA.X, DATA.y))
    assert repr(copy) == repr(model)
    assert not hasattr(copy, "estimator_")
    np.testing.assert_array_equal(scores(copy.fit(DATA.X, DATA.y)), scores(model))


def test_pickle(case):
    model, data = case
    unscored = pickle.dumps(model)
    expected = scores(model, data)
    scored = pickle.dumps(model)
    assert len(scored) == len(unscored)  # what scoring keeps stays at home
    copy = pickle.loads(scored)
    np.testing.assert_array_equal(scores(copy, data), expected)
    assert copy.solver_ == model.solver_


def test_html_repr_computes_nothing():
    model = InfluenceClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
    for one in (model, model.fit(DATA.X, DATA.y)):
        html = estimator_html_repr(one)
        for name in ("InfluenceClassifier", "StandardScaler", "LogisticRegression"):
            assert name in html
    assert not hasattr(model, "refinement_")


def test_fitting_again_forgets():
    model = InfluenceClassifier().fit(DATA.X[:40], DATA.y[:40])
    assert scores(model).shape == (len(DATA.y_test), 40)
    fresh = InfluenceClassifier().fit(DATA.X, DATA.y)
    np.testing.assert_array_equal(scores(model.fit(DATA.X, DATA.y)), scores(fresh))


def test_failed_fit_leaves_the_model_usable():
    model = InfluenceClassifier().fit(DATA.X, DATA.y)
    expected = scores(model)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(DATA.X, DATA.y[:-1])
    np.testing.assert_array_equal(scores(model), expected)


@pytest.mark.parametrize(
    "changes", [{"damping": 3.0}, {"refine": False}, {"method": "first_order"}]
)
def test_parameters_changed_after_fit_take_effect(changes):
    model = InfluenceClassifier(LogisticRegression(tol=1e-2)).fit(DATA.X, DATA.y)
    before = scores(model)
    after = scores(model.set_params(**changes))
    fresh = clone(model).fit(DATA.X, DATA.y)
    np.testing.assert_array_equal(after, scores(fresh))
    assert np.max(np.abs(after - before)) > 1e-8
    unset = {name: getattr(InfluenceClassifier(), name) for name in changes}
    np.testing.assert_array_equal(scores(model.set_params(**unset)), before)


def test_method_of_a_call_wins():
    model = InfluenceClassifier(method="first_order").fit(DATA.X, DATA.y)
    newton = clone(model).set_params(method="newton").fit(DATA.X, DATA.y)
    np.testing.assert_array_equal(scores(model, method="newton"), scores(newton))
    assert model.influence(DATA.X_test, DATA.y_test).method == "first_order"
    assert model.influence(DATA.X_test, DATA.y_test, method="auto").method == "newton"
    assert np.max(np.abs(scores(model) - scores(newton))) > 1e-4


# --------------------------------------------------------------------------- blocks and threads


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_n_jobs_changes_no_bit(case, method):
    model, data = case
    two = clone(model).set_params(n_jobs=2).fit(data.X, data.y)
    calls = [
        lambda m: scores(m, data, method=method),
        lambda m: scores(m, data, method=method, aggregate="sum"),
        lambda m: m.influence(data.X_test, data.y_test, method=method, top=3).scores,
        lambda m: m.influence(data.X_test, data.y_test, method=method, top=3).rows,
    ]
    for call in calls:
        np.testing.assert_array_equal(call(two), call(model))


def test_n_jobs_changes_no_bit_of_refits():
    model = InfluenceClassifier().fit(DATA.X, DATA.y)
    two = InfluenceClassifier(n_jobs=2).fit(DATA.X, DATA.y)
    checks = [m.leave_one_out_check(DATA.X_test, DATA.y_test, rows=4) for m in (model, two)]
    for name in ("rows", "predicted", "actual", "noise"):
        np.testing.assert_array_equal(getattr(checks[0], name), getattr(checks[1], name))


@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_blocks_change_rounding_only(case, method, tune):
    model, data = case
    whole = scores(model, data, method=method)
    tune(block_elements=100)
    cut = scores(clone(model).fit(data.X, data.y), data, method=method)
    # Guarded rows are followed to 1e-4 of their gradient, the first sweep in single precision.
    rtol = 1e-6 if method == "newton" else 1e-9
    np.testing.assert_allclose(cut, whole, rtol=rtol, atol=1e-13)


# ------------------------------------------------------------------------------ ways of asking


@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_aggregates(case, method):
    model, data = case
    matrix = scores(model, data, method=method)
    total = scores(model, data, method=method, aggregate="sum")
    mean = scores(model, data, method=method, aggregate="mean")
    assert total.shape == (len(data.y),)
    np.testing.assert_allclose(total, matrix.sum(axis=0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mean, matrix.mean(axis=0), rtol=1e-9, atol=1e-13)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("k", [1, 3, 1000])
def test_top_is_the_full_ranking(case, k):
    model, data = case
    full = model.influence(data.X_test, data.y_test)
    top = model.influence(data.X_test, data.y_test, top=k)
    k = min(k, len(data.y))
    assert top.scores.shape == top.rows.shape == (len(data.y_test), 2 * k)
    np.testing.assert_array_equal(top.helpful(k), full.helpful(k))
    np.testing.assert_array_equal(top.harmful(k), full.harmful(k))
    pd.testing.assert_frame_equal(top.to_frame(k), full.to_frame(k))
    order = np.argsort(full.scores, axis=1)
    np.testing.assert_array_equal(top.helpful(k), order[:, ::-1][:, :k])
    np.testing.assert_array_equal(top.harmful(k), order[:, :k])


def test_class_of_a_target():
    model = InfluenceClassifier().fit(THREE.X, THREE.y)
    predicted = model.predict(THREE.X_test)
    for target in ("predict_proba", "decision_function"):
        own = scores(model, THREE, target=target)
        chosen = model.influence_scores(THREE.X_test, predicted, target=target)
        np.testing.assert_array_equal(model.influence_scores(THREE.X_test, target=target), chosen)
        wrong = predicted != THREE.y_test
        assert wrong.any()
        np.testing.assert_array_equal(own[~wrong], chosen[~wrong])
        assert np.all(np.linalg.norm(own[wrong] - chosen[wrong], axis=1) > 1e-3)


def test_class_of_a_binary_target():
    model = InfluenceClassifier().fit(DATA.X, DATA.y)
    everywhere = [np.full(len(DATA.X_test), label) for label in ("no", "yes")]
    no, yes = (model.influence_scores(DATA.X_test, y, target="predict_proba") for y in everywhere)
    np.testing.assert_allclose(no, -yes, atol=1e-15)
    no, yes = (
        model.influence_scores(DATA.X_test, y, target="decision_function") for y in everywhere
    )
    np.testing.assert_array_equal(no, yes)


def test_one_of_several_outputs():
    model = InfluenceRegressor().fit(REALS.X, REALS.y)
    for k in range(3):
        alone = InfluenceRegressor().fit(REALS.X, REALS.y[:, k])
        expected = alone.influence_scores(REALS.X_test, target="predict")
        np.testing.assert_allclose(
            model.influence_scores(REALS.X_test, target="predict", output=k), expected, rtol=1e-7
        )


# -------------------------------------------------------------------------------- kinds of input


def test_frames_and_series():
    X = pd.DataFrame(DATA.X, columns=list("abcd"), index=[f"row {i}" for i in range(len(DATA.X))])
    y = pd.Series(DATA.y, index=X.index)
    X_test = pd.DataFrame(DATA.X_test, columns=list("abcd"), index=range(100, 112))
    model = InfluenceClassifier().fit(X, y)
    assert model.feature_names_in_.tolist() == list("abcd")
    plain = scores(InfluenceClassifier().fit(DATA.X, DATA.y))
    y_test = pd.Series(DATA.y_test, index=X_test.index)
    np.testing.assert_allclose(model.influence_scores(X_test, y_test), plain, rtol=1e-9)
    table = model.influence(X_test, y_test).to_frame(k=1)
    assert table["test"].tolist() == [t for t in range(100, 112) for _ in range(2)]
    best, worst = plain.argmax(axis=1), plain.argmin(axis=1)
    rows = table["row"].to_numpy().reshape(-1, 2)
    assert rows[:, 0].tolist() == [f"row {i}" for i in best]
    assert rows[:, 1].tolist() == [f"row {i}" for i in worst]
    check = model.leave_one_out_check(X_test, y_test, rows=[5, 2])
    assert check.row_labels.tolist() == ["row 5", "row 2"]


def test_lists():
    model = InfluenceClassifier().fit(DATA.X.tolist(), DATA.y.tolist())
    expected = scores(InfluenceClassifier().fit(DATA.X, DATA.y))
    lists = DATA.X_test.tolist(), DATA.y_test.tolist()
    np.testing.assert_array_equal(model.influence_scores(*lists), expected)
    check = model.leave_one_out_check(*lists, rows=[3])
    np.testing.assert_allclose(check.predicted, expected[:, [3]], rtol=1e-12)


@pytest.mark.parametrize(
    "container", [sparse.csr_matrix, sparse.csc_matrix, sparse.coo_matrix, sparse.csr_array]
)
@pytest.mark.parametrize("name", ["binary", "multinomial", "balanced", "ridge"])
def test_sparse_equals_dense(name, container):
    model, data = MODELS[name]
    if model.estimator is None and name != "ridge":
        model = InfluenceClassifier(LogisticRegression(tol=1e-10, solver="newton-cg"))
    X, X_test = (np.where(np.abs(A) < 0.5, 0.0, A) for A in (data.X, data.X_test))
    dense = clone(model).fit(X, data.y)
    same = clone(model).fit(container(X), data.y)
    for method in ("first_order", "newton", "exact"):
        np.testing.assert_allclose(
            same.influence_scores(container(X_test), data.y_test, method=method),
            dense.influence_scores(X_test, data.y_test, method=method),
            rtol=1e-6,
            atol=1e-9,
        )
    check = same.leave_one_out_check(container(X_test), data.y_test, rows=[4, 9])
    expected = dense.leave_one_out_check(X_test, data.y_test, rows=[4, 9])
    np.testing.assert_allclose(check.actual, expected.actual, rtol=1e-6, atol=1e-9)


def test_float32(case):
    model, data = case
    single, X_test = data.X.astype(np.float32), data.X_test.astype(np.float32)
    small = clone(model).fit(single, data.y)
    large = clone(model).fit(single.astype(np.float64), data.y)
    for params in ({}, {"method": "first_order"}, {"aggregate": "mean"}):
        got = small.influence_scores(X_test, data.y_test, **params)
        expected = large.influence_scores(X_test.astype(np.float64), data.y_test, **params)
        assert got.dtype == np.float32
        assert np.linalg.norm(got - expected) < 1e-5 * np.linalg.norm(expected)
    assert small.influence(X_test, data.y_test, top=2).scores.dtype == np.float32


def test_X_is_kept_uncopied():
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    scores(model, REAL)
    assert np.shares_memory(model.refinement_.objective.X, REAL.X)


# ----------------------------------------------------------------- rows that cannot be removed


def lonely():
    X, y = np.linspace(-1.0, 1.0, 12)[:, None], np.array(["no", "yes"] * 6)
    y[5] = "odd"
    return X, y


def test_the_only_row_of_a_class_is_named_once_per_call():
    X, y = lonely()
    model = InfluenceClassifier().fit(X, y)
    message = (
        r"The training rows \[5\] \(1 in all\) are the only ones of their class: without them the "
        "model has other classes, or no finite optimum, and their scores mean nothing. "
        "Leave these scores out, or "
    )
    for call in (model.influence_scores, model.influence, model.influence):
        with pytest.warns(UserWarning, match=message) as record:
            call(X[:2], y[:2])
        assert [w.filename for w in record] == [__file__]


def test_no_row_is_named_where_every_class_has_two_or_the_check_leaves_it_out():
    X, y = lonely()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = InfluenceClassifier().fit(X, y)
        model.leave_one_out_check(X[:2], y[:2], rows=2)
        s = np.where(y == "odd", 0.0, 1.0)
        ridge = InfluenceClassifier(RidgeClassifier()).fit(X, y, s)  # weight 0: nothing to remove
        ridge.influence_scores(X[:2], y[:2])
        InfluenceRegressor().fit(X, np.arange(12.0)).influence_scores(X[:2], [0.0, 1.0])


def test_weights_decide_which_row_is_the_only_one():
    X, y = np.linspace(-1.0, 1.0, 12)[:, None], np.array(["no", "yes"] * 6)
    s = np.where((y == "yes") & (np.arange(12) != 7), 0.0, 1.0)
    with pytest.warns(UserWarning, match=r"The training rows \[7\] \(1 in all\) are the only"):
        InfluenceClassifier().fit(X, y, s).influence_scores(X[:2], y[:2])
