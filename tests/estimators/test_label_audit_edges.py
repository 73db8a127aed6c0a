"""Labels where the audit comes to its limits: rare classes, no second model, what is refused."""

import re
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
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
    from skinfluence.questions import label_audit as question

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
