"""Groups, new rows, other labels and deletion through the wrappers, against refits.

The judge is scikit-learn's tightest solver of the final step's objective, fitted on the features
that frozen transformers give.
"""

import pickle
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
    RidgeClassifier,
    RidgeCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor, register_adapter
from skinfluence.losses import HalfSquaredError
from skinfluence.objectives import LinearObjective
from tests import oracles
from tests.cases import LOGISTIC_COUNTS, classification, regression

BINARY = classification(labels=["no", "yes"])
THREE = classification(n=75, n_classes=3, labels=["a", "b", "c"])
REAL = regression()
REALS = regression(n_outputs=3)

METHODS = ("first_order", "newton", "exact")
NEWTON_ERROR = 0.1


def logistic(**params):
    return LogisticRegression(**{"C": 0.3, "tol": 1e-10, "max_iter": 5000, **params})


def frame(X, seed=0):
    """Return a frame with a column of categories and named rows."""
    kinds = np.random.default_rng(seed).choice(["brick", "stone", "wood"], len(X))
    numbers = {f"x{k}": X[:, k] for k in range(X.shape[1])}
    return pd.DataFrame({"kind": kinds, **numbers}, index=[f"row {i}" for i in range(len(X))])


def columns():
    numbers = [f"x{k}" for k in range(4)]
    return make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), numbers))


def sentences(y, seed=0):
    """Return a text for every label, of words that go with it more often than not."""
    rng = np.random.default_rng(seed)
    words = {"no": "dull plot weak cast long boring", "yes": "great plot joy cast fine story"}
    every = " ".join(words.values()).split()
    texts = [[*rng.choice(words[label].split(), 2), *rng.choice(every, 4)] for label in y]
    return np.array([" ".join(one) for one in texts])


@dataclass(frozen=True)
class Setting:
    """A wrapper, its data, and what the judge needs to know."""

    inner: Any
    X: Any
    y: Any
    X_test: Any
    y_test: Any
    s: Any = None
    counts: Any = None

    @classmethod
    def of(cls, inner, data, weighted=False, counts=None):
        s = data.s if weighted else None
        return cls(inner, data.X, data.y, data.X_test, data.y_test, s, counts)

    def fit(self, **params):
        kind = InfluenceClassifier if self.is_classifier else InfluenceRegressor
        weights = {} if self.s is None else {"sample_weight": self.s}
        return kind(self.inner, **params).fit(self.X, self.y, **weights)

    @property
    def is_classifier(self):
        return self.y.dtype.kind == "U"

    @property
    def other(self):
        """The next class, or a number one larger."""
        if not self.is_classifier:
            return self.y + 1.0
        classes = np.unique(self.y)
        return classes[(np.searchsorted(classes, self.y) + 1) % len(classes)]


FITTED = logistic().fit(BINARY.X, BINARY.y)
BALANCED = logistic(class_weight="balanced")
DICT = logistic(class_weight={"no": 1.0, "yes": 3.0})
SETTINGS = {
    "alone": Setting.of(logistic(), BINARY),
    "weighted": Setting.of(logistic(), THREE, True),
    "dict": Setting.of(DICT, BINARY, True),
    "balanced": Setting.of(BALANCED, THREE, counts=LOGISTIC_COUNTS),
    "balanced weighted": Setting.of(BALANCED, BINARY, True, LOGISTIC_COUNTS),
    "liblinear": Setting.of(logistic(solver="liblinear"), BINARY, True),
    "pipeline": Setting.of(make_pipeline(StandardScaler(), logistic()), THREE, True),
    "frozen": Setting.of(FrozenEstimator(FITTED), BINARY),
    "cross-validated": Setting.of(LogisticRegressionCV(Cs=[0.1, 0.3], cv=2, tol=1e-10), BINARY),
    "ridge": Setting.of(Ridge(alpha=5.0), REALS, True),
    "ridge, cross-validated": Setting.of(
        make_pipeline(StandardScaler(), RidgeCV(alphas=[3.0, 5.0])), REAL
    ),
    "ridge classifier": Setting.of(
        make_pipeline(StandardScaler(), RidgeClassifier(class_weight="balanced")),
        THREE,
        True,
        "rows",
    ),
    "frame": Setting(
        make_pipeline(columns(), logistic()),
        frame(BINARY.X),
        BINARY.y,
        frame(BINARY.X_test, 1),
        BINARY.y_test,
    ),
    "text": Setting(
        make_pipeline(TfidfVectorizer(), logistic(C=3.0)),
        sentences(BINARY.y),
        BINARY.y,
        sentences(BINARY.y_test, 1),
        BINARY.y_test,
    ),
}
settings = pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
KINDS = ("alone", "balanced", "ridge", "weighted")
kinds = pytest.mark.parametrize("setting", [SETTINGS[name] for name in KINDS], ids=KINDS)


class Judge:
    """Refits of the final step on other rows, on features as the fitted transformers give them."""

    def __init__(self, setting, model):
        self.setting = setting
        inner = model.estimator_
        *self.transformers, final = (
            [step for _, step in inner.steps] if hasattr(inner, "steps") else [inner]
        )
        final = final.estimator if isinstance(final, FrozenEstimator) else final
        self.F, self.T = self.features(setting.X), self.features(setting.X_test)
        self.s = np.ones(len(self.F)) if setting.s is None else setting.s
        self.final = oracles.plain(final, self.F, setting.y, setting.s)
        self.all = self.fit(self.F, setting.y, self.s)

    def features(self, X):
        for step in self.transformers:
            X = step.transform(X)
        return X.toarray() if sparse.issparse(X) else np.asarray(X)

    def fit(self, F, y, s):
        s = None if self.setting.s is None else s
        return oracles.tight(self.final, F, y, s, self.setting.counts)

    def without(self, rows):
        F, y, s = (np.delete(a, rows, axis=0) for a in (self.F, self.setting.y, self.s))
        return self.fit(F, y, s)

    def adding(self, F_new, y_new):
        F, y = np.vstack([self.F, F_new]), np.concatenate([self.setting.y, y_new])
        return self.fit(F, y, np.append(self.s, np.ones(len(F_new))))

    def relabelling(self, row, label):
        y = self.setting.y.copy()
        y[row] = label
        return self.fit(self.F, y, self.s)

    def change(self, refits, target="loss", output=None):
        """Return what the refits do to a target, (n_test, n_refits)."""
        values = [self.value(one, target, output) for one in (self.all, *refits)]
        return np.transpose(values[1:]) - np.transpose(values[:1])

    def value(self, fitted, target, output):
        y = self.setting.y_test
        if target == "loss":
            return oracles.losses_of(fitted, self.T, y)
        name = "predict" if target == "linear_predictor" else target
        value = getattr(fitted, name)(self.T)
        if self.setting.is_classifier and value.ndim == 2:
            return value[np.arange(len(y)), np.searchsorted(fitted.classes_, y)]
        return value if output is None else value[:, output]


GROUPS = ([5], [0, 3, 9, 21], [2, 5, 11, 17, 18, 30, 41, 44, 50, 55, 57, 58])


def masks(n, groups=GROUPS):
    return np.array([np.isin(np.arange(n), rows) for rows in groups])


def agree(got, actual, tolerance):
    slope, error = oracles.slope_and_error(got, actual)
    assert got.shape == actual.shape
    assert error < tolerance
    assert abs(slope - 1) < tolerance


# ------------------------------------------------------------------------- values against refits


@settings
def test_groups_equal_refits(setting):
    model = setting.fit()
    judge = Judge(setting, model)
    actual = judge.change([judge.without(rows) for rows in GROUPS])
    ask = (masks(len(setting.y)), setting.X_test, setting.y_test)
    agree(model.group_influence(*ask, method="exact").scores, actual, 1e-6)
    agree(
        model.group_influence(*ask).scores, actual, NEWTON_ERROR if setting.is_classifier else 1e-9
    )


@settings
def test_additions_equal_refits(setting):
    model = setting.fit()
    judge = Judge(setting, model)
    new, y_new = setting.X_test[4:8], setting.y_test[4:8]
    refits = [judge.adding(judge.T[i : i + 1], setting.y_test[i : i + 1]) for i in range(4, 8)]
    actual = judge.change(refits)
    ask = (new, y_new, setting.X_test, setting.y_test)
    agree(model.addition_influence(*ask, method="exact").scores, actual, 1e-6)
    agree(
        model.addition_influence(*ask).scores,
        actual,
        NEWTON_ERROR if setting.is_classifier else 1e-9,
    )


@settings
def test_relabelled_rows_equal_refits(setting):
    model = setting.fit()
    judge, rows = Judge(setting, model), [0, 7, 33, 59]
    actual = judge.change([judge.relabelling(row, setting.other[row]) for row in rows])
    ask = (setting.other, setting.X_test, setting.y_test)
    exact = model.relabel_influence(*ask, method="exact").scores
    assert exact.shape == (len(setting.y_test), len(setting.y))
    agree(exact[:, rows], actual, 1e-6)
    newton = model.relabel_influence(*ask).scores[:, rows]
    agree(newton, actual, NEWTON_ERROR if setting.is_classifier else 1e-9)


@pytest.mark.parametrize(
    ("name", "target", "output"),
    [
        *[
            (n, t, None)
            for n in ("alone", "weighted")
            for t in ("decision_function", "predict_proba")
        ],
        ("balanced weighted", "predict_proba", None),
        ("ridge classifier", "decision_function", None),
        ("ridge, cross-validated", "predict", None),
        ("ridge, cross-validated", "linear_predictor", None),
        ("ridge", "predict", 1),
        ("ridge", "linear_predictor", 2),
    ],
)
def test_every_target_equals_refits(name, target, output):
    setting = SETTINGS[name]
    model = setting.fit(method="exact")
    judge, other = Judge(setting, model), setting.other
    ask = {"target": target, "output": output}
    rows, test = [3, 8], (setting.X_test, setting.y_test)
    refits = [judge.without(rows) for rows in GROUPS]
    got = model.group_influence(masks(len(setting.y)), *test, **ask).scores
    agree(got, judge.change(refits, target, output), 1e-6)
    got = model.addition_influence(setting.X_test[:1], setting.y_test[:1], *test, **ask).scores
    refits = [judge.adding(judge.T[:1], setting.y_test[:1])]
    agree(got, judge.change(refits, target, output), 1e-6)
    got = model.relabel_influence(other, *test, **ask).scores[:, rows]
    refits = [judge.relabelling(row, other[row]) for row in rows]
    agree(got, judge.change(refits, target, output), 1e-6)


@settings
def test_one_row_is_a_group(setting):
    model = setting.fit()
    n, test = len(setting.y), (setting.X_test, setting.y_test)
    for method in METHODS:
        single = model.influence_scores(*test, method=method)[:, [4, 20]]
        group = model.group_influence(masks(n, [[4], [20]]), *test, method=method).scores
        # Newton shares one curvature among the rows of a class, groups have their own.
        tolerance = 0.02 if method == "newton" and setting.counts else 1e-6
        agree(group, single, tolerance)


@settings
def test_first_order_groups_are_sums_of_scores(setting):
    model = setting.fit(method="first_order")
    group = masks(len(setting.y))
    scores = model.influence_scores(setting.X_test, setting.y_test)
    got = model.group_influence(group, setting.X_test, setting.y_test).scores
    np.testing.assert_allclose(got, scores @ group.T, rtol=1e-9, atol=1e-12)


# ---------------------------------------------------------------------------- deletion


@settings
def test_without_equals_a_refit_on_frozen_features(setting):
    model, rows = setting.fit(), GROUPS[2]
    judge, left = Judge(setting, model), model.without(rows)
    refit = judge.without(rows)
    got, before = (raw_of(one, setting.X_test) for one in (left, model))
    actual, full = (oracles.raw_of(one, judge.T) for one in (refit, judge.all))
    assert np.linalg.norm(got - actual) < 1e-8 * np.linalg.norm(actual)
    agree(got - before, actual - full, 1e-5)  # to what the user's own solver leaves
    predicted, expected = left.predict(setting.X_test), refit.predict(judge.T)
    if setting.is_classifier:
        np.testing.assert_array_equal(predicted, expected)
    else:
        np.testing.assert_allclose(predicted, expected, rtol=1e-8)


def raw_of(model, X):
    return oracles.raw_of(model.estimator_, X)


@settings
def test_without_gives_a_plain_estimator_that_leaves_the_original_alone(setting):
    model = setting.fit()
    test = setting.X_test, setting.y_test
    scores, coef = model.influence_scores(*test), final_of(model).coef_.copy()
    left = model.without([1, 2])
    assert type(left) is type(model)
    assert repr(left) == repr(model)
    for one in (left.estimator_, final_of(left)):
        assert "skinfluence" not in type(one).__module__
    assert type(left.estimator_) is type(model.estimator_)
    assert repr(left.estimator_) == repr(model.estimator_)
    assert final_of(left).coef_.shape == coef.shape
    assert final_of(left).coef_.dtype == coef.dtype
    assert np.shape(final_of(left).intercept_) == np.shape(final_of(model).intercept_)
    assert np.any(final_of(left).coef_ != coef)
    np.testing.assert_array_equal(final_of(model).coef_, coef)
    np.testing.assert_array_equal(model.influence_scores(*test), scores)
    dumped = pickle.dumps(left.estimator_)
    assert b"skinfluence" not in dumped
    again = pickle.loads(dumped)
    np.testing.assert_array_equal(again.predict(setting.X_test), left.predict(setting.X_test))
    copy = pickle.loads(pickle.dumps(left))
    assert copy.certificate_.to_json() == left.certificate_.to_json()
    np.testing.assert_array_equal(copy.influence_scores(*test), left.influence_scores(*test))
    np.testing.assert_array_equal(copy.predict(setting.X_test), left.predict(setting.X_test))


def final_of(model):
    inner = model.estimator_
    final = inner[-1] if hasattr(inner, "steps") else inner
    return final.estimator if isinstance(final, FrozenEstimator) else final


@settings
def test_certificates_are_gradient_norms_of_the_twin(setting):
    model, rows = setting.fit(), GROUPS[1]
    judge = Judge(setting, model)
    F, y, s = (np.delete(a, rows, axis=0) for a in (judge.F, setting.y, judge.s))
    twin = oracles.twin_of(final_of(model), F, y, s, setting.counts)
    before = np.linalg.norm(twin.gradient(oracles.theta_of(judge.all)))
    for method in METHODS:
        left = model.without(rows, method=method)
        found = left.certificate_
        assert (found.method, found.n_removed) == (method, len(rows))
        assert found.gradient_norm_before == pytest.approx(before, rel=1e-5)
        norm = np.linalg.norm(twin.gradient(oracles.theta_of(final_of(left))))
        assert found.gradient_norm == pytest.approx(norm, rel=1e-6, abs=1e-9 * before)
    assert found.gradient_norm < 1e-8 * before  # "exact", the last


@settings
def test_one_removal_after_another_is_one_of_all_rows(setting):
    model = setting.fit()
    apart = model.without([3, 7]).without([0, 3])  # what were rows 0 and 4
    joint = model.without([0, 3, 4, 7])
    for name in ("coef_", "intercept_"):
        parts = [np.asarray(getattr(final_of(one), name)) for one in (apart, joint)]
        np.testing.assert_allclose(*parts, rtol=1e-6, atol=1e-8)


@settings
def test_what_is_left_answers_as_a_fresh_fit_does(setting):
    model, rows = setting.fit(), [1, 8, 30]
    judge, left = Judge(setting, model), model.without([1, 8, 30])
    F, y, s = (np.delete(a, rows, axis=0) for a in (judge.F, setting.y, judge.s))
    weights = {} if setting.s is None else {"sample_weight": s}
    fresh = type(model)(clone(judge.without(rows))).fit(F, y, **weights)
    test = setting.X_test, setting.y_test
    for method in METHODS:
        expected = fresh.influence_scores(judge.T, setting.y_test, method=method)
        agree(left.influence_scores(*test, method=method), expected, 1e-6)
    check = left.leave_one_out_check(*test, rows=[0, 5, 20], method="exact")
    assert check.relative_error < 1e-5
    assert check.relative_noise_floor < 1e-5
    mask = masks(len(y), [[0, 5]])
    expected = fresh.group_influence(mask, judge.T, setting.y_test, method="exact").scores
    agree(left.group_influence(mask, *test, method="exact").scores, expected, 1e-6)


@kinds
def test_better_methods_leave_less(setting):
    model, rows = setting.fit(), GROUPS[2]
    theta = oracles.theta_of(Judge(setting, model).without(rows))
    off = [
        np.linalg.norm(oracles.theta_of(final_of(model.without(rows, method=method))) - theta)
        for method in METHODS
    ]
    assert off[1] < 0.3 * off[0]
    assert off[2] < 1e-3 * off[0]


def test_rows_are_positions_masks_or_one_number():
    model = SETTINGS["alone"].fit()
    expected = model.without([3, 41]).estimator_.coef_
    mask = np.isin(np.arange(60), [3, 41])
    for rows in (np.array([41, 3]), mask, mask.tolist(), pd.Series([3, 41])):
        np.testing.assert_allclose(model.without(rows).estimator_.coef_, expected, rtol=1e-10)
    one = model.without([3]).estimator_.coef_
    for rows in (3, np.int64(3)):
        np.testing.assert_array_equal(model.without(rows).estimator_.coef_, one)


def test_rows_are_numbered_anew_with_their_labels():
    setting = SETTINGS["frame"]
    left = setting.fit().without([0, 2])
    table = left.influence(setting.X_test, setting.y_test).to_frame(k=1)
    assert set(table["row"]) <= set(setting.X.index.delete([0, 2]))
    assert left.self_influence().scores.shape == (58,)


def test_float32_rows_leave_float32_models():
    setting = SETTINGS["alone"]
    X = setting.X.astype(np.float32)
    model = InfluenceClassifier(logistic()).fit(X, setting.y)
    left = model.without([2, 40])
    refit = oracles.tight(
        logistic(), np.delete(setting.X, [2, 40], 0), np.delete(setting.y, [2, 40])
    )
    assert left.estimator_.coef_.dtype == model.estimator_.coef_.dtype
    np.testing.assert_allclose(left.estimator_.coef_, refit.coef_, rtol=1e-5)


# ------------------------------------------------------------------------- ways of asking


def everything(model, setting, method=None):
    """Return the answers to the three questions."""
    test = setting.X_test, setting.y_test
    return [
        model.group_influence(masks(len(setting.y)), *test, method=method).scores,
        model.addition_influence(*(a[3:7] for a in test), *test, method=method).scores,
        model.relabel_influence(setting.other, *test, method=method).scores,
    ]


def test_labels_and_masks_of_any_kind_give_the_same_columns():
    setting = SETTINGS["balanced"]
    model, test = setting.fit(), (setting.X_test, setting.y_test)
    names = np.array(["north", "south", "east"])[np.arange(75) % 3]
    dense = np.array([names == name for name in np.unique(names)])
    expected = model.group_influence(dense, *test).scores
    numbers = np.unique(names, return_inverse=True)[1]
    kinds = [
        names,
        names.tolist(),
        names.astype(object),
        pd.Series(names),
        pd.Categorical(names),
        numbers,
        numbers * 10.5,
        dense.astype(int),
        dense.astype(float),
        dense.tolist(),
        *[kind(dense) for kind in (sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array)],
        sparse.csr_matrix(dense.astype(float)),
    ]
    for groups in kinds:
        np.testing.assert_array_equal(model.group_influence(groups, *test).scores, expected)
    given = sparse.csr_matrix(dense.astype(float))
    given.data[:5] = 0.0  # stored zeros are no members, and the caller's matrix stays as it is
    before = given.copy()
    dense[0, np.flatnonzero(dense[0])[:5]] = False
    np.testing.assert_array_equal(
        model.group_influence(given, *test).scores, model.group_influence(dense, *test).scores
    )
    assert given.nnz == before.nnz


def test_an_empty_mask_is_a_column_of_zeros():
    setting = SETTINGS["weighted"]
    model, groups = setting.fit(), masks(75, [[3, 4], []])
    for method in METHODS:
        got = model.group_influence(groups, setting.X_test, setting.y_test, method=method).scores
        np.testing.assert_allclose(got[:, 1], 0.0, atol=1e-12)
        assert np.abs(got[:, 0]).max() > 1e-4


@pytest.mark.parametrize("method", METHODS)
@kinds
def test_sparse_equals_dense(setting, method):
    X, X_test = (np.where(np.abs(A) < 0.5, 0.0, A) for A in (setting.X, setting.X_test))
    dense = replace(setting, X=X, X_test=X_test)
    same = replace(setting, X=sparse.csr_matrix(X), X_test=sparse.csr_matrix(X_test))
    one, other = same.fit(), dense.fit()
    answers = everything(one, same, method), everything(other, dense, method)
    for got, expected in zip(*answers, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-9)
    left = [final_of(model.without([0, 9, 31])).coef_ for model in (one, other)]
    np.testing.assert_allclose(*left, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
@kinds
def test_float32_scores_are_near_those_of_float64(setting, method):
    X, X_test = (a.astype(np.float32) for a in (setting.X, setting.X_test))
    single = replace(setting, X=X, X_test=X_test)
    double = replace(setting, X=X.astype(float), X_test=X_test.astype(float))
    answers = (everything(one.fit(), one, method) for one in (single, double))
    for got, expected in zip(*answers, strict=True):
        assert got.dtype == np.float32
        assert np.linalg.norm(got - expected) < 1e-4 * np.linalg.norm(expected)


@pytest.mark.parametrize("method", METHODS)
@kinds
def test_n_jobs_changes_no_bit(setting, method, tune):
    tune(block_elements=2000)
    one, two = (everything(setting.fit(n_jobs=k), setting, method) for k in (1, 2))
    for got, expected in zip(two, one, strict=True):
        np.testing.assert_array_equal(got, expected)


@kinds
def test_the_method_of_the_constructor_is_the_default(setting):
    for method in METHODS:
        default = everything(setting.fit(method=method), setting)
        given = everything(setting.fit(), setting, method)
        for got, expected in zip(default, given, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_relabelling_to_the_same_target_changes_nothing():
    for name in ("weighted", "dict", "balanced weighted", "ridge"):
        setting = SETTINGS[name]
        model = setting.fit()
        y_new = setting.y.copy()
        y_new[4] = setting.other[4]
        for method in METHODS:
            got = model.relabel_influence(
                y_new, setting.X_test, setting.y_test, method=method
            ).scores
            moved = np.abs(got).max(axis=0)
            assert moved[4] > 1e-4
            assert np.delete(moved, 4).max() < 1e-11


def test_a_row_of_weight_zero_changes_nothing_by_leaving_or_by_another_label():
    s = BINARY.s.copy()
    s[[3, 9]] = 0.0
    model = InfluenceClassifier(logistic()).fit(BINARY.X, BINARY.y, s)
    other = np.where(BINARY.y == "no", "yes", "no")
    test = BINARY.X_test, BINARY.y_test
    for method in METHODS:
        relabelled = model.relabel_influence(other, *test, method=method).scores[:, [3, 9]]
        group = model.group_influence(masks(60, [[3, 9]]), *test, method=method).scores
        for got in (relabelled, group):
            np.testing.assert_allclose(got, 0.0, atol=1e-11)


# ------------------------------------------------------------------- registered estimators


class Slope(RegressorMixin, BaseEstimator):
    """Ridge under other names."""

    def fit(self, X, y):
        inner = Ridge(alpha=2.0, solver="svd").fit(X, y)
        self.slope_, self.n_features_in_ = np.append(inner.coef_, inner.intercept_), X.shape[1]
        return self

    def predict(self, X):
        return X @ self.slope_[:-1] + self.slope_[-1]


class WritableSlope(Slope):
    """The same, with a way back."""


def slope_objective(estimator, X, y, sample_weight):
    return LinearObjective.from_coefficients(
        X, y, HalfSquaredError(), estimator.slope_[:-1], estimator.slope_[-1], l2=2.0
    )


def write_slope(estimator, objective, X):
    assert len(X) == objective.n_samples
    estimator.slope_ = objective.theta


register_adapter(Slope)(slope_objective)
register_adapter(WritableSlope, write=write_slope)(slope_objective)


def test_parameters_with_another_name_need_a_way_back():
    model = InfluenceRegressor(Slope()).fit(REAL.X, REAL.y)
    assert model.group_influence(masks(60), REAL.X_test, REAL.y_test).scores.shape == (12, 3)
    with pytest.raises(TypeError, match=r"Slope has no coef_.*register_adapter\(Slope, write="):
        model.without([1])


def test_a_registered_way_back_is_taken():
    model = InfluenceRegressor(WritableSlope()).fit(REAL.X, REAL.y)
    left = model.without([1, 5])
    expected = WritableSlope().fit(np.delete(REAL.X, [1, 5], 0), np.delete(REAL.y, [1, 5]))
    np.testing.assert_allclose(left.predict(REAL.X_test), expected.predict(REAL.X_test), rtol=1e-9)
    assert np.any(model.estimator_.slope_ != left.estimator_.slope_)


# ----------------------------------------------------------------------------------- bad input


@pytest.fixture
def classifier():
    return SETTINGS["alone"].fit()


@pytest.fixture
def regressor():
    return InfluenceRegressor().fit(REAL.X, REAL.y)


TEST = BINARY.X_test, BINARY.y_test
OTHER = SETTINGS["alone"].other


def with_entry(a, at, value):
    out = a.astype(type(value)) if a.dtype.kind == "b" else a.copy()
    out[at] = value
    return out


def test_unfitted():
    for model in (InfluenceClassifier(), InfluenceRegressor()):
        for call in (
            lambda m: m.group_influence(np.zeros(60), *TEST).scores,
            lambda m: m.addition_influence(*TEST, *TEST).scores,
            lambda m: m.relabel_influence(OTHER, *TEST).scores,
            lambda m: m.without([0]),
        ):
            with pytest.raises(NotFittedError, match="is not fitted yet"):
                call(model)


def test_unknown_methods(classifier):
    for call in (
        lambda m: m.group_influence(np.arange(60) % 5, *TEST, method="best").scores,
        lambda m: m.addition_influence(*TEST, *TEST, method="best").scores,
        lambda m: m.relabel_influence(OTHER, *TEST, method="best").scores,
        lambda m: m.without([0], method="best"),
    ):
        with pytest.raises(ValueError, match="method='best' was given; accepted are"):
            call(classifier)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1, 2, 1], "rows has duplicates; positions from 0 to 59, each once, are accepted"),
        ([3, 60], r"rows \[60\] are out of range; positions from 0 to 59"),
        ([-1], r"rows \[-1\] are out of range"),
        (60, r"rows \[60\] are out of range"),
        ([1.0, 2.0], r"rows=\[1\.0, 2\.0\] are labels, and the training rows have none"),
        (["row 1"], r"rows=\['row 1'\] are labels, and the training rows have none"),
        ([], r"rows is empty; at least one row leaves"),
        ([[1, 2]], "rows has rows in more than one dimension"),
        (np.ones(59, dtype=bool), r"a mask of shape \(59,\) was given; a mask has an entry"),
        (np.zeros(60, dtype=bool), "a mask without any True was given"),
        (range(60), "rows take away every training row"),
        (np.ones(60, dtype=bool), "rows take away every training row"),
        (BINARY.y == "no", r"take away every row of a class \(the first: \['no'\]\)"),
    ],
)
def test_rows_that_cannot_leave(classifier, rows, message):
    before = classifier.estimator_.coef_.copy()
    with pytest.raises(ValueError, match=message):
        classifier.without(rows)
    np.testing.assert_array_equal(classifier.estimator_.coef_, before)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros(59), r"groups of shape \(59,\) .*One label per training row, shape \(60,\)"),
        (np.zeros((2, 59), dtype=bool), r"groups of shape \(2, 59\)"),
        (np.zeros((60, 2), dtype=bool), r"groups of shape \(60, 2\)"),
        (np.zeros((1, 2, 60)), r"groups of shape \(1, 2, 60\)"),
        (np.zeros((0, 60), dtype=bool), r"groups of shape \(0, 60\)"),
        ([], r"groups of shape \(0,\)"),
        ("north", r"\['north'\] are no columns of the training rows"),
        (sparse.csr_matrix((2, 59)), r"groups of shape \(2, 59\)"),
        (np.full((1, 60), "a"), r"groups of shape \(1, 60\) and type <U1"),
        (np.full((1, 60), 2), r"entries other than 0 and 1 were given \(.*2.* is one\)"),
        (with_entry(np.zeros((1, 60)), (0, 3), 0.5), "entries other than 0 and 1"),
        (with_entry(np.zeros((1, 60)), (0, 3), np.nan), "entries other than 0 and 1"),
        (sparse.csr_matrix(-np.eye(60)), "entries other than 0 and 1"),
        (with_entry(np.zeros(60), 7, np.nan), r"1 missing label\(s\), the first at row 7"),
        (np.array(["a"] * 59 + [None], dtype=object), r"1 missing label\(s\), the first at row 59"),
        (np.array(["a"] * 59 + [1], dtype=object), r"mixes labels of the types \['int', 'str'\]"),
        (np.zeros(60), r"groups \[0.0\] \(1 in all\) take away every training row"),
        (
            np.ones((2, 60), dtype=bool),
            r"groups \[0, 1\] \(2 in all\) take away every training row",
        ),
        (BINARY.y, r"groups \['no', 'yes'\] \(2 in all\) take away every row of a class"),
    ],
)
def test_groups_that_are_none(classifier, groups, message):
    with pytest.raises(ValueError, match=message):
        classifier.group_influence(groups, *TEST)


def test_rows_of_weight_zero_are_nothing_to_leave_behind():
    s = np.where(np.arange(60) < 20, 1.0, 0.0)
    model = InfluenceClassifier(logistic()).fit(BINARY.X, BINARY.y, s)
    with pytest.raises(ValueError, match=r"every training row \(that has a weight\)"):
        model.without(range(20))
    with pytest.raises(ValueError, match=r"\[0\] \(1 in all\) take away every training row"):
        model.group_influence(np.arange(60) // 20, *TEST)


X_NEW = BINARY.X_test[:2]


@pytest.mark.parametrize(
    ("X_new", "y_new", "message"),
    [
        (X_NEW[:, :3], ["no", "yes"], "X has 3 features, but .* is expecting 4"),
        (with_entry(X_NEW, (0, 1), np.nan), ["no", "yes"], "Input X_new contains NaN"),
        (with_entry(X_NEW, (0, 1), np.inf), ["no", "yes"], "Input X_new contains infinity"),
        (X_NEW[0], ["no"], "X_new of 1 dimension|inconsistent numbers of samples"),
        (X_NEW[:0], [], "X_new has no rows"),
        (X_NEW, ["no"], r"inconsistent numbers of samples: \[2, 1\]"),
        (X_NEW, "no", "y_new='no' was given; one target for every new row"),
        (X_NEW, None, "y_new=None was given"),
        (X_NEW, ["no", "maybe"], r"maybe"),
        (X_NEW, np.array(["no", 1], dtype=object), "y_new mixes labels of the types"),
    ],
)
def test_new_rows_that_do_not_fit(classifier, X_new, y_new, message):
    with pytest.raises(ValueError, match=message):
        classifier.addition_influence(X_new, y_new, *TEST)


@pytest.mark.parametrize(
    ("y_new", "message"),
    [
        (OTHER[:-1], r"y_new with 59 target\(s\) was given; one for every training row, 60"),
        ("no", "y_new with 1 target"),
        (np.full(60, "maybe"), "maybe"),
        (np.zeros(60), r"0\.0"),
        (np.array([*OTHER[:-1], 1], dtype=object), "y_new mixes labels of the types"),
    ],
)
def test_labels_that_are_none(classifier, y_new, message):
    with pytest.raises(ValueError, match=message):
        classifier.relabel_influence(y_new, *TEST)


def test_targets_of_a_regressor_are_numbers(regressor):
    test = REAL.X_test, REAL.y_test
    for y_new, message in (
        (["a"] * 60, "y_new of type <U1 was given and has entries that are no numbers"),
        (with_entry(REAL.y, 3, np.nan), "NaN"),
        (REALS.y, r"\(60, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            regressor.relabel_influence(y_new, *test)
        with pytest.raises(ValueError, match=message):
            regressor.addition_influence(REAL.X, y_new, *test)


def test_questions_about_test_rows_are_checked_alike(classifier):
    for call in (
        lambda *a, **k: classifier.group_influence(np.arange(60) % 5, *a, **k).scores,
        lambda *a, **k: classifier.addition_influence(*TEST, *a, **k).scores,
        lambda *a, **k: classifier.relabel_influence(OTHER, *a, **k).scores,
    ):
        for args, params, message in (
            ((TEST[0],), {}, "without y_test"),
            (TEST, {"target": "predict"}, "target='predict'"),
            ((TEST[0][:, :2], TEST[1]), {}, "X has 2 features"),
            (TEST, {"output": 0}, "output=0 was given"),
        ):
            with pytest.raises(ValueError, match=message):
                call(*args, **params)


@pytest.mark.parametrize("method", ["newton", "exact"])
def test_without_a_finite_optimum(method):
    """One row of the other class is all that keeps two classes from being separated."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2))
    y = (X[:, 0] > 0).astype(int)
    row = int(np.argmax(np.abs(X[:, 0]) + (np.abs(X[:, 0]) > 1.0)))
    y[row] = 1 - y[row]
    model = InfluenceClassifier(logistic(C=np.inf)).fit(X, y)
    with pytest.raises(ValueError, match="no finite optimum"):
        model.without([row], method=method)
    model.without([row - 1], method=method)


def test_deletion_with_a_penalty_where_the_rest_is_separable():
    X = np.r_[np.linspace(-3, -1, 20), np.linspace(1, 3, 20)][:, None]
    y = np.repeat([0, 1], 20)
    y[0] = 1
    left = InfluenceClassifier(logistic(C=10.0)).fit(X, y).without(0)
    refit = oracles.tight(logistic(C=10.0), X[1:], y[1:])
    np.testing.assert_allclose(left.estimator_.coef_, refit.coef_, rtol=1e-8)


def test_a_single_output_alone_leaves_as_it_does_among_others():
    model, rows = InfluenceRegressor(LinearRegression()).fit(REALS.X, REALS.y), [2, 9]
    left = model.without(rows).estimator_
    for k in range(3):
        alone = clone(model).fit(REALS.X, REALS.y[:, k]).without(rows).estimator_
        np.testing.assert_allclose(left.coef_[k], alone.coef_, rtol=1e-9)


# ------------------------------------------------------------------ where one solve is not enough


@pytest.mark.parametrize("alpha", [1e-2, 1e-4, 1e-6])
def test_deletion_from_a_ridge_that_all_but_interpolates(alpha):
    """Solves by 50 rows lose |H| / alpha digits: what is written is the refined minimum."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 100)), rng.standard_normal(50)
    model = InfluenceRegressor(Ridge(alpha=alpha, solver="svd")).fit(X, y)
    full, kept = model.estimator_.coef_, np.arange(1, 50)
    refit = Ridge(alpha=alpha, solver="svd").fit(X[kept], y[kept])
    change = np.linalg.norm(refit.coef_ - full)
    smaller = model.without([0])
    assert np.linalg.norm(smaller.estimator_.coef_ - refit.coef_) < 1e-6 * change
    for method in ("newton", "exact"):
        changes = model.parameter_influence(method=method).changes[0, :-1]
        assert np.linalg.norm(changes - (refit.coef_ - full)) < 1e-5 * change


@pytest.mark.parametrize(
    "estimator", [Ridge(), Ridge(alpha=np.array([1.0, 10.0])), RidgeClassifier()]
)
def test_wide_models_of_several_outputs_have_exact_minima(estimator):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((12, 30)), rng.standard_normal((12, 2))
    classifier = isinstance(estimator, RidgeClassifier)
    y = np.arange(12) % 3 if classifier else Y
    wrapper = InfluenceClassifier if classifier else InfluenceRegressor
    model = wrapper(clone(estimator).set_params(solver="svd")).fit(X, y)
    changes = model.parameter_influence(method="exact").changes[4]
    kept = np.delete(np.arange(12), 4)
    refit = clone(model.estimator_).fit(X[kept], y[kept])
    np.testing.assert_allclose(
        changes, oracles.theta_of(refit) - oracles.theta_of(model.estimator_), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("estimator", [LogisticRegression(), RidgeClassifier()])
@pytest.mark.parametrize("method", ["first_order", "newton", "exact"])
def test_an_empty_mask_of_fixed_weights_changes_nothing(estimator, method):
    masks = np.zeros((2, 60), dtype=bool)
    masks[1, :3] = True
    model = InfluenceClassifier(estimator).fit(BINARY.X, BINARY.y)
    scores = model.group_influence(
        masks, BINARY.X_test, target="decision_function", method=method
    ).scores
    np.testing.assert_array_equal(scores[:, 0], 0.0)
    assert np.all(scores[:, 1] != 0.0)


def test_where_only_damping_gives_an_inverse_exact_is_the_damped_minimum():
    """A repeated column: the minimum of the data that stay plus damping / 2 |change|^2."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    X = np.column_stack([X, X[:, 0]])
    damping = 5.0
    model = InfluenceRegressor(LinearRegression(), damping=damping).fit(X, y)
    theta = oracles.theta_of(model.estimator_)
    for gone in ([3], list(range(10))):
        kept = np.delete(np.arange(40), gone)
        X1 = np.column_stack([X, np.ones(40)])
        H = X1[kept].T @ X1[kept] + damping * np.eye(5)
        change = np.linalg.solve(H, X1[kept].T @ (y[kept] - X1[kept] @ theta))
        found = oracles.theta_of(model.without(gone).estimator_) - theta
        np.testing.assert_allclose(found, change, rtol=1e-7, atol=1e-10)
    changes = model.parameter_influence(method="exact").changes[3]
    kept = np.delete(np.arange(40), 3)
    H = X1[kept].T @ X1[kept] + damping * np.eye(5)
    change = np.linalg.solve(H, X1[kept].T @ (y[kept] - X1[kept] @ theta))
    np.testing.assert_allclose(changes, change, rtol=1e-6, atol=1e-10)


def test_damped_groups_of_one_row_are_damped_rows():
    data = BINARY
    model = InfluenceClassifier(LogisticRegression(C=100.0, tol=1e-10), damping=20.0)
    model.fit(data.X, data.y)
    rows = model.influence_scores(data.X_test, data.y_test)
    groups = model.group_influence(np.eye(60, dtype=bool), data.X_test, data.y_test).scores
    assert np.linalg.norm(groups - rows) < 0.02 * np.linalg.norm(rows)


def test_a_handful_of_rows_of_many_columns_needs_no_matrix_of_the_columns():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8, 3000))
    model = InfluenceClassifier(LogisticRegression(tol=1e-8)).fit(X, np.arange(8) % 2)
    model.leave_one_out()
    assert "by its 8 rows" in model.solver_
