"""Labels where the audit comes to its limits: rare classes, no second model, what is refused."""

import re
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, make_blobs
from sklearn.ensemble import (
    GradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skinfluence import LabelAudit
from tests.cases import BINARY, REAL, THREE

LOGISTIC = LogisticRegression(solver="newton-cholesky", tol=1e-10)


# ------------------------------------------------------------------------------------ rare classes


def counts_of_the_kept(audit, y):
    kept = np.delete(np.arange(len(y)), audit.result_.left_aside)
    return np.unique(y[kept], return_counts=True)


@pytest.mark.slow_rows(where=lambda shift: shift == 1.5)
@pytest.mark.parametrize("shift", [0.0, 1.5, 6.0])
def test_a_rare_class_is_never_emptied(shift):
    """Of 5,000 rows ten are positive, whether a model knows them or not."""
    rng = np.random.default_rng(0)
    y = np.arange(5000) % 500 == 7
    X = rng.standard_normal((5000, 3)) + shift * y[:, None]
    audit = LabelAudit(LOGISTIC).fit(X, y)
    classes, counts = counts_of_the_kept(audit, y)
    assert classes.tolist() == [False, True]
    assert counts[1] >= 2
    assert np.all(np.isfinite(audit.label_quality_))
    if shift == 6.0:
        assert counts[1] == 10


def mistaken(n_rows):
    """Return two clouds, and a third class of some rows in the middle of the first."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((60 + n_rows, 2))
    X[30:60] += 5.0
    y = np.repeat(["a", "b", "c"], [30, 30, n_rows])
    return X, y


@pytest.mark.slow_rows(where=lambda n_rows, method: (n_rows == 3) == (method != "exact"))
@pytest.mark.parametrize("n_rows", [2, 3])
@pytest.mark.parametrize("method", ["auto", "exact", "folds"])
def test_classes_whose_rows_are_all_suspects_stay(method, n_rows):
    X, y = mistaken(n_rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        audit = LabelAudit(LOGISTIC, method=method).fit(X, y)
    classes, counts = counts_of_the_kept(audit, y)
    assert classes.tolist() == ["a", "b", "c"]
    assert counts[2] >= 2
    assert audit.result_.passes == 2
    assert set(audit.result_.tiers[60:]) == {"likely"}


def test_a_row_of_weight_zero_does_not_hold_a_class_up():
    """Of four rows of a class two count: they stay, and those of weight 0 may leave."""
    X, y = mistaken(4)
    s = np.ones(64)
    s[[60, 61]] = 0.0
    audit = LabelAudit(LOGISTIC).fit(X, y, s)
    assert not set(audit.result_.left_aside) & {62, 63}
    s[62] = 0.0
    with pytest.raises(ValueError, match=r"labels of one row each, \['c'\]"):
        LabelAudit(LOGISTIC).fit(X, y, s)


def test_many_classes_of_few_rows():
    """Twenty classes of ten rows, of which a tenth is mistaken."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(20), 10)
    X = 4.0 * rng.standard_normal((20, 8))[truth] + rng.standard_normal((200, 8))
    wrong = np.arange(200) % 10 == 3
    y = (truth + 7 * wrong) % 20
    audit = LabelAudit(LOGISTIC).fit(X, y)
    assert set(np.flatnonzero(wrong)) <= set(audit.result_.flagged)
    np.testing.assert_array_equal(audit.suggested_labels_[wrong], truth[wrong])
    assert np.mean(audit.suggested_labels_ == truth) > 0.97
    assert audit.expected_errors_.low <= 20 <= audit.expected_errors_.high
    assert abs(audit.expected_errors_.estimate - 20) < 5


@pytest.mark.parametrize(
    "model",
    [
        OneVsRestClassifier(LOGISTIC),
        MultiOutputClassifier(LOGISTIC),
        DecisionTreeClassifier(max_depth=3, random_state=0),
        RandomForestClassifier(20, max_depth=3, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_of_several_labels_none_is_emptied(model):
    """Two rows have the third label, for no reason: no model is without it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    Y = (X + 0.3 * rng.standard_normal((60, 3)) > 0).astype(int)
    Y[:, 2] = 0
    Y[[3, 7], 2] = 1
    audit = LabelAudit(model).fit(X, Y)
    assert audit.result_.passes == 1
    assert {3, 7} <= set(audit.result_.flagged)
    Y[7, 2] = 0
    with pytest.raises(ValueError, match=r"labels of one row each, \['output 2: 1'\]"):
        LabelAudit(model).fit(X, Y)


# ------------------------------------------------------------------------------- no second model


def test_without_a_second_model_the_first_pass_is_the_answer():
    """Without a penalty and the suspects that stood in the way, classes are separable."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2)) + np.repeat([[-4.0, 0.0], [4.0, 0.0]], 30, axis=0)
    y = np.repeat(["no", "yes"], 30)
    y[[3, 10, 40, 50]] = ["yes", "yes", "no", "no"]
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    message = (
        "^Without 4 suspects there is no model .* numbers are those of the first pass: .*separ"
    )
    with pytest.warns(UserWarning, match=message) as record:
        audit = LabelAudit(model).fit(X, y)
    assert any(w.filename == __file__ for w in record)
    first = LabelAudit(model, passes=1).fit(X, y)
    np.testing.assert_array_equal(audit.label_quality_, first.label_quality_)
    exact = LabelAudit(model, method="exact", passes=1).fit(X, y)
    np.testing.assert_allclose(
        audit.label_quality_[[3, 10, 40, 50]], exact.label_quality_[[3, 10, 40, 50]], atol=0.002
    )
    assert audit.result_.passes == 1
    assert audit.result_.left_aside.size == 0
    assert any("Without 4 suspects" in text for text in audit.result_.warned)
    assert set(audit.result_.flagged) == {3, 10, 40, 50}


def test_without_suspects_both_passes_are_one():
    X = np.linspace(-3, 3, 40)[:, None]
    y = (X[:, 0] > 0).astype(int)
    two, one = (LabelAudit(passes=passes).fit(X, y) for passes in (2, 1))
    assert two.result_.left_aside.size == 0
    np.testing.assert_array_equal(two.label_quality_, one.label_quality_)
    assert two.result_.flagged.size == 0
    assert len(two.suggest()) == 0
    assert two.suggest().columns.tolist() == two.to_frame().columns.tolist()


# ----------------------------------------------------------------------------- degenerate numbers


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize(
    "estimator",
    [LinearRegression(), Ridge(), DecisionTreeRegressor(max_depth=2), PoissonRegressor()],
)
@pytest.mark.parametrize("kind", ["constant", "half exact", "exact"])
def test_residuals_of_nothing(estimator, kind):
    """Targets that are all alike, or on the line; nothing is divided by zero."""
    X = np.linspace(0.0, 1.0, 40)[:, None]
    if kind == "constant":
        y = np.full(40, 3.0)
    else:
        y = 1.0 + (X[:, 0] > 0.5) if "Tree" in type(estimator).__name__ else 1.0 + X[:, 0]
        if kind == "half exact":
            y[::8] += 5.0
    audit = LabelAudit(estimator).fit(X, y)
    quality = audit.label_quality_
    assert np.all((quality >= 0) & (quality <= 1))
    assert audit.expected_errors_ is None
    if kind == "constant" and not isinstance(estimator, PoissonRegressor):
        np.testing.assert_array_equal(audit.result_.tiers, "")


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_errors_of_rounding_stand_not_out(offset):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    y = X[:, 0] + 1.0 + offset
    audit = LabelAudit(LinearRegression()).fit(X, y)
    assert audit.result_.flagged.size == 0
    y[11] += 5.0
    assert LabelAudit(LinearRegression()).fit(X, y).result_.flagged.tolist() == [11]


def test_one_outlier_among_exact_targets_is_found():
    X = np.linspace(0.0, 1.0, 40)[:, None]
    y = np.where(X[:, 0] > 0.5, 2.0, 1.0)
    y[11] = 50.0
    audit = LabelAudit(DecisionTreeRegressor(max_depth=1, random_state=0)).fit(X, y)
    assert np.argmin(audit.label_quality_) == 11
    assert audit.result_.tiers[11] == "likely"


# -------------------------------------------------------------------------------------- refused


X, Y = BINARY.X, BINARY.y


def unnamed(labels):
    return np.where(np.arange(60) == 3, "alone", labels)


class Nothing(BaseEstimator):
    """An estimator that nobody knows."""

    def fit(self, X, y):
        return self


REFUSED = {
    "one class": (LOGISTIC, {}, np.full(60, "no"), ValueError, "class"),
    "a label of one row": (
        LOGISTIC,
        {},
        unnamed(Y),
        ValueError,
        r"was given labels of one row each, \['alone'\].*At least two rows .* join them",
    ),
    "folds of a label of one row": (
        DecisionTreeClassifier(),
        {},
        unnamed(Y),
        ValueError,
        r"was given labels of one row each, \['alone'\]",
    ),
    "three passes": (
        LOGISTIC,
        {"passes": 3},
        Y,
        ValueError,
        r"passes=3 was given; accepted are 1 \(.*\) and 2",
    ),
    "passes that are true": (LOGISTIC, {"passes": True}, Y, ValueError, "passes=True was given"),
    "passes in words": (LOGISTIC, {"passes": "2"}, Y, ValueError, "passes='2' was given"),
    "no passes": (LOGISTIC, {"passes": None}, Y, ValueError, "passes=None was given"),
    "an unknown method": (
        LOGISTIC,
        {"method": "best"},
        Y,
        ValueError,
        r"method='best' was given; accepted are \('auto', 'newton'",
    ),
    "a list of methods": (LOGISTIC, {"method": ["auto"]}, Y, ValueError, "was given; accepted"),
    "out of bag of a line": (
        LOGISTIC,
        {"method": "out_of_bag"},
        Y,
        ValueError,
        "method='out_of_bag' was given",
    ),
    "out of bag of a network": (
        MLPClassifier((2,), solver="lbfgs", max_iter=20, random_state=0),
        {"method": "out_of_bag"},
        Y,
        ValueError,
        "method='out_of_bag' was given",
    ),
    "an unknown estimator": (KNeighborsClassifier(), {}, Y, TypeError, "KNeighborsClassifier"),
    "an estimator of nobody": (Nothing(), {}, Y, TypeError, "Nothing"),
    "no estimator": ("logistic", {}, Y, TypeError, "'logistic'"),
    "a class": (LogisticRegression, {}, Y, TypeError, "instance"),
    "boosting that came fitted": (
        FrozenEstimator(GradientBoostingClassifier(n_estimators=3).fit(X, Y)),
        {},
        Y,
        ValueError,
        "GradientBoostingClassifier that is fitted already, and its splits saw every row.*"
        "Pass the estimator itself",
    ),
    "missing labels": (
        LOGISTIC,
        {},
        np.where(np.arange(60) % 20 == 3, None, Y.astype(object)),
        ValueError,
        r"was given rows without a label, \[3, 23, 43\] \(3 in all\); a label of every row is .* "
        "Leave these rows out",
    ),
    "missing numbers": (
        LinearRegression(),
        {},
        np.where(np.arange(60) == 3, np.nan, REAL.y),
        ValueError,
        "NaN",
    ),
    "labels of fewer rows": (LOGISTIC, {}, Y[:50], ValueError, "inconsistent"),
    "continuous labels": (LOGISTIC, {}, REAL.y, ValueError, "continuous"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    estimator, params, y, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        LabelAudit(estimator, **params).fit(X, y)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_rows_without_a_label_are_named(missing):
    y = pd.Series(Y, index=[f"row {i}" for i in range(60)], dtype=object)
    y.iloc[[4, 9]] = missing
    with pytest.raises(ValueError, match=r"\['row 4', 'row 9'\] \(2 in all, by label\)"):
        LabelAudit(LOGISTIC).fit(pd.DataFrame(X, index=y.index), y)
    assert len(LabelAudit(LOGISTIC).fit(X[y.notna()], y.dropna()).label_quality_) == 58


def test_nothing_to_ask_before_fit():
    for ask in (LabelAudit().to_frame, LabelAudit().suggest, LabelAudit().plot):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            ask()


def test_nothing_is_left_of_a_fit_that_failed():
    audit = LabelAudit(LOGISTIC)
    with pytest.raises(ValueError, match="one row each"):
        audit.fit(X, unnamed(Y))
    assert not hasattr(audit, "result_")


def test_predictions_that_are_no_numbers(monkeypatch):
    from skinfluence.questions import judged as question

    original = question.left_out_where

    def broken(*args):
        eta = original(*args)
        eta[[7, 11]] = np.nan
        return eta

    monkeypatch.setattr(question, "left_out_where", broken)
    frame = pd.DataFrame(X, index=[f"row {i}" for i in range(60)])
    message = "predict nan for 2 rows, the first .*row 7.*; finite predictions are accepted. Look"
    for passes in (1, 2):
        with pytest.raises(ValueError, match=message):
            LabelAudit(LOGISTIC, passes=passes).fit(frame, Y)


def test_rows_in_every_tree_are_not_known():
    """Forests of three trees; such rows come last, and are called nan."""
    forest = RandomForestClassifier(3, random_state=0)
    with pytest.warns(UserWarning, match="have no out-of-bag prediction"):
        audit = LabelAudit(forest, passes=1).fit(X, Y)
    unknown = np.flatnonzero(np.isnan(audit.label_quality_))
    assert 0 < len(unknown) < 30
    counted = [
        set(drawn)
        for drawn in RandomForestClassifier(3, random_state=0).fit(X, Y).estimators_samples_
    ]
    assert unknown.tolist() == [i for i in range(60) if all(i in drawn for drawn in counted)]
    assert set(audit.to_frame()["position"][-len(unknown) :]) == set(unknown)
    assert not set(unknown) & set(audit.result_.flagged)
    assert f"{len(unknown)} of 60 rows were in every tree: nan, last." in repr(audit.result_)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        two = LabelAudit(forest).fit(X, Y)
    assert not set(unknown) & set(two.result_.left_aside)
    plt.close(two.plot().figure_)


def test_targets_of_rows_in_every_tree_are_not_known():
    rng = np.random.default_rng(0)
    X_real = rng.standard_normal((60, 3))
    y = X_real[:, 0] + 0.1 * rng.standard_normal(60)
    y[7] += 9.0
    forest = RandomForestRegressor(5, random_state=0)
    with pytest.warns(UserWarning, match="have no out-of-bag prediction"):
        audit = LabelAudit(forest, passes=1).fit(X_real, y)
    counted = [set(drawn) for drawn in clone(forest).fit(X_real, y).estimators_samples_]
    unknown = [i for i in range(60) if all(i in drawn for drawn in counted)]
    assert 0 < len(unknown) < 30
    assert np.flatnonzero(np.isnan(audit.label_quality_)).tolist() == unknown
    assert audit.to_frame(1)["position"].tolist() == [7]


WRONG_K = {"negative": -1, "half": 2.5, "words": "five", "true": True, "a list": [3]}


@pytest.mark.parametrize("k", WRONG_K.values(), ids=WRONG_K)
@pytest.mark.parametrize("ask", ["to_frame", "suggest"])
def test_rows_are_counted(ask, k):
    audit = LabelAudit(LOGISTIC).fit(X, Y)
    with pytest.raises(
        ValueError, match=re.escape(f"k={k!r} was given; a number of rows, 0 or more")
    ):
        getattr(audit, ask)(k)


def test_few_and_many_rows_can_be_asked_for():
    audit = LabelAudit(LOGISTIC).fit(THREE.X, THREE.y)
    assert len(audit.to_frame(1)) == 1
    assert audit.to_frame(0).columns.tolist() == audit.to_frame().columns.tolist()
    assert len(audit.to_frame(1000)) == len(audit.to_frame()) == len(THREE.y)
    assert len(audit.to_frame(np.int64(3))) == 3
    assert audit.suggest(2)["position"].tolist() == audit.result_.flagged[:2].tolist()


# ------------------------------------------------------- the model that a row is left out of


LOOSE = {
    "a loose tolerance": LogisticRegression(tol=0.1),
    "three iterations": LogisticRegression(max_iter=3),
    "stochastic": SGDClassifier(loss="log_loss", random_state=0),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("method", ["auto", "exact"])
@pytest.mark.parametrize("name", LOOSE)
def test_no_row_harms_itself_in_a_convex_model(name, method, passes):
    """However far from the optimum the fit stopped: both losses are of one model."""
    X, y = load_breast_cancer(return_X_y=True)
    y[::20] = 1 - y[::20]
    X = StandardScaler().fit_transform(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        audit = LabelAudit(LOOSE[name], method=method, passes=passes).fit(X, y)
    # by a penalty that leaves with the row, as that of SGD does, it may, by next to nothing
    assert audit.self_influence_.min() > (-1e-4 if name == "stochastic" else -1e-9)
    assert audit.self_influence_.max() > 0.05


@pytest.mark.filterwarnings("ignore:Ridge stopped before")
def test_noise_is_that_of_the_optimum_that_rows_are_left_out_of():
    X, y = REAL.X, REAL.y
    loose = LabelAudit(Ridge(solver="lsqr", tol=0.3), passes=1).fit(X, y).result_.deviations
    tight = LabelAudit(Ridge(solver="svd"), passes=1).fit(X, y).result_.deviations
    np.testing.assert_allclose(loose, tight, atol=1e-6)


# ------------------------------------------------------------------------- what is not counted


def test_rows_without_a_weight_are_not_counted():
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    y[::20] = 1 - y[::20]
    weights = np.ones(len(y))
    weights[300:] = 0
    with_them = LabelAudit(LOGISTIC).fit(X, y, weights).expected_errors_
    without = LabelAudit(LOGISTIC).fit(X[:300], y[:300]).expected_errors_
    assert with_them.n_rows == 300 and with_them.flagged == without.flagged
    np.testing.assert_allclose(with_them.estimate, without.estimate, rtol=1e-3)
    np.testing.assert_allclose(with_them.by_chance, without.by_chance, rtol=1e-3)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(class_weight="balanced"),
        LogisticRegression(class_weight=dict(zip(np.unique(BINARY.y), (1.0, 5.0), strict=True))),
        RandomForestClassifier(50, class_weight="balanced", random_state=0),
    ],
)
def test_weighed_classes_are_said_and_not_counted(estimator):
    with pytest.warns(UserWarning, match="Audit it with class_weight=None"):
        audit = LabelAudit(estimator).fit(BINARY.X, BINARY.y)
    assert audit.expected_errors_ is None
    assert any("class_weight" in text for text in audit.result_.warned)


def test_counts_of_right_rows_are_not_all_outliers():
    """Most targets are 0, and so is their spread: counts scatter as far as their loss says."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 2))
    y = rng.poisson(np.exp(0.5 * X[:, 0] - 2)).astype(float)
    result = LabelAudit(PoissonRegressor(alpha=1e-3)).fit(X, y).result_
    assert len(result.flagged) < 0.1 * 500
    assert len(result.left_aside) < 0.1 * 500
    assert 0.8 < np.sum(result.suggested) / np.sum(y) < 1.1  # no model of the zeros alone


def test_most_of_them_by_chance_is_said():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((2000, 1))
    y = rng.random(2000) < 1 / (1 + np.exp(-2 * X[:, 0]))
    assert "Most of them would be flagged if all labels were right." in repr(
        LabelAudit(LOGISTIC).fit(X, y).result_
    )
    y = X[:, 0] > 0
    y[::20] = ~y[::20]
    assert "Most of them" not in repr(LabelAudit(LOGISTIC).fit(X, y).result_)


# ---------------------------------------------------------------------- where each row costs much


def test_folds_where_a_solve_for_each_row_costs_more(monkeypatch):
    X, y = THREE.X, THREE.y
    folds = LabelAudit(LOGISTIC, method="folds").fit(X, y)
    assert LabelAudit(LOGISTIC).fit(X, y).result_.method == "newton, then exact"
    monkeypatch.setattr("skinfluence.questions.judged.MOST_WORK", 1e3)
    audit = LabelAudit(LOGISTIC).fit(X, y)
    assert audit.result_.method == "folds"
    np.testing.assert_array_equal(audit.label_quality_, folds.label_quality_)
    frozen = LabelAudit(FrozenEstimator(LOGISTIC.fit(X, y))).fit(X, y)
    assert frozen.result_.method == "newton, then exact"


@pytest.mark.parametrize(("data", "method"), [(BINARY, "newton, then exact"), (THREE, "folds")])
def test_machines_of_several_classes_are_fitted_again(data, method):
    assert LabelAudit(SVC()).fit(data.X, data.y).result_.method == method


@pytest.mark.slow
def test_77_classes_of_40_rows():
    rng = np.random.default_rng(0)
    X, right = make_blobs(3080, 50, centers=77, cluster_std=6, random_state=0)
    wrong, y = rng.choice(3080, 154, replace=False), right.copy()
    y[wrong] = (y[wrong] + 1 + rng.integers(0, 75, 154)) % 77
    audit = LabelAudit(LogisticRegression(max_iter=200)).fit(X, y)
    assert np.isin(np.argsort(audit.label_quality_)[:154], wrong).mean() > 0.95
    assert audit.expected_errors_.low <= 154 <= audit.expected_errors_.high
    assert np.mean(audit.suggested_labels_[wrong] == right[wrong]) > 0.95


# ------------------------------------------------------------------------- what says what to do


def test_a_category_that_suspects_alone_have():
    rng = np.random.default_rng(0)
    x = rng.standard_normal(200)
    y = x > 0
    kinds = np.where(rng.random(200) < 0.5, "one", "other").astype(object)
    i = int(np.argmax(x))
    y[i], kinds[i] = False, "rare"
    X = pd.DataFrame({"x": x, "kind": kinds})
    encoder = make_column_transformer((OneHotEncoder(), ["kind"]), (StandardScaler(), ["x"]))
    with pytest.warns(UserWarning, match=r"numbers are those of the first pass.*unknown categor"):
        audit = LabelAudit(make_pipeline(encoder, LogisticRegression())).fit(X, y)
    assert audit.result_.passes == 1 and audit.result_.flagged[0] == i


def test_a_network_that_came_fitted_says_what_to_pass():
    network = MLPClassifier((16,), alpha=1.0, max_iter=300, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.fit(BINARY.X, BINARY.y)
    with pytest.raises(ValueError, match=r"MLPClassifier that is fitted already.*estimator itself"):
        LabelAudit(FrozenEstimator(network)).fit(BINARY.X, BINARY.y)


def test_targets_of_a_regression_are_no_labels():
    X, y = load_diabetes(return_X_y=True)
    with pytest.raises(ValueError, match="look like the targets of a regression"):
        LabelAudit(LogisticRegression(max_iter=20)).fit(X, y.astype(int))
