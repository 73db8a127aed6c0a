"""Labels judged in two passes, against refits without the suspects and every row in plain loops."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    RidgeClassifier,
)
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from skinfluence import InfluenceClassifier, LabelAudit
from skinfluence.inspection.label_noise import expected_errors
from skinfluence.models.smooth_svc import SmoothLinearSVC
from tests.cases import classification, regression
from tests.model_table import COUNTED

TIGHT = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}
LOGISTIC = LogisticRegression(**TIGHT)
NETWORK = MLPClassifier(
    (2,), activation="tanh", solver="lbfgs", alpha=1.0, max_iter=300, random_state=0
)


def with_flips(n, n_classes, labels, every=9, seed=1):
    """Return rows of which every ninth has the next label in place of its own."""
    data = classification(n=n, n_classes=n_classes, seed=seed, noise=0.4)
    wrong = np.arange(n) % every == 4
    return data.X, np.asarray(labels)[(data.y + wrong) % n_classes], wrong


TWO = with_flips(80, 2, ["no", "yes"])
THREE = with_flips(84, 3, ["red", "green", "blue"])
CLASSES = {"two classes": TWO, "three classes": THREE}


# ------------------------------------------------------------------------------------ plain loops


def without_each(estimator, X, y, among):
    """Return what refits on some rows, without each row in turn, say of it."""
    found = [
        clone(estimator).fit(X[kept], y[kept]).predict_proba(X[[row]])[0]
        for row in range(len(y))
        for kept in [[other for other in among if other != row]]
    ]
    return np.array(found)


def by_parts(estimator, X, y, among, splitter):
    """Return what fits without a part of some rows say of the part, and one on all of the rest."""
    found = np.empty((len(y), len(set(y))))
    among = np.array(among)
    for rest, part in splitter.split(X[among], y[among]):
        model = clone(estimator).fit(X[among[rest]], y[among[rest]])
        found[among[part]] = model.predict_proba(X[among[part]])
    gone = [row for row in range(len(y)) if row not in set(among.tolist())]
    if gone:
        found[gone] = clone(estimator).fit(X[among], y[among]).predict_proba(X[gone])
    return found


def suspects_of(P, y):
    """Return the rows of confident learning among those of probability below .3."""
    classes = sorted(set(y))
    enough = [np.mean([P[i, k] for i in range(len(y)) if y[i] == c]) for k, c in enumerate(classes)]
    found = []
    for i, label in enumerate(y):
        own = classes.index(label)
        confident = [k for k in range(len(classes)) if P[i, k] >= enough[k]]
        if P[i, own] < 0.3 and confident and max(confident, key=lambda k: P[i, k]) != own:
            found.append(i)
    return found


def the_rest(y, suspects):
    return [row for row in range(len(y)) if row not in suspects]


def assert_says(audit, P, y, tol, training=None):
    """Hold an audit against the probabilities of the models that never saw the rows."""
    classes = np.array(sorted(set(y)))
    own = P[np.arange(len(y)), np.searchsorted(classes, y)]
    np.testing.assert_allclose(audit.label_quality_, own, atol=tol)
    np.testing.assert_allclose(audit.loss_left_out_, -np.log(own), atol=tol / own.min())
    np.testing.assert_array_equal(audit.suggested_labels_, classes[P.argmax(axis=1)])
    gains = np.log(P.max(axis=1)) - np.log(own)
    np.testing.assert_allclose(audit.result_.gains, gains, atol=2 * tol / own.min())
    if training is not None:
        seen = training[np.arange(len(y)), np.searchsorted(classes, y)]
        np.testing.assert_allclose(audit.loss_training_, -np.log(seen), atol=1e-7)


# ---------------------------------------------------------------------------------- refits of rows


@pytest.mark.parametrize("name", CLASSES)
def test_both_passes_are_refits(name):
    X, y, _ = CLASSES[name]
    first = without_each(LOGISTIC, X, y, range(len(y)))
    suspects = suspects_of(first, y)
    assert 4 <= len(suspects) <= 12
    final = without_each(LOGISTIC, X, y, the_rest(y, suspects))
    training = clone(LOGISTIC).fit(X, y).predict_proba(X)
    own = np.searchsorted(sorted(set(y)), y)
    cost = np.log(training[np.arange(len(y)), own] / first[np.arange(len(y)), own])

    exact = LabelAudit(LOGISTIC, method="exact").fit(X, y)
    assert exact.result_.left_aside.tolist() == suspects
    assert_says(exact, final, y, 1e-6, training)
    np.testing.assert_allclose(exact.self_influence_, cost, atol=1e-6)
    assert exact.result_.passes == 2
    expected = expected_errors(first, final, np.searchsorted(sorted(set(y)), y))
    assert exact.expected_errors_.estimate == pytest.approx(expected.estimate, rel=1e-4)
    assert exact.expected_errors_.low == pytest.approx(expected.low, rel=1e-3)
    assert exact.expected_errors_.flagged == expected.flagged == len(exact.result_.flagged)

    auto = LabelAudit(LOGISTIC).fit(X, y)
    assert auto.result_.left_aside.tolist() == suspects
    low = exact.label_quality_ < 0.3
    assert np.abs(auto.label_quality_ - exact.label_quality_)[low].max() < 0.003
    assert np.abs(auto.label_quality_ - exact.label_quality_).max() < 0.05
    np.testing.assert_array_equal(auto.result_.tiers, exact.result_.tiers)
    np.testing.assert_array_equal(auto.suggested_labels_[low], exact.suggested_labels_[low])
    np.testing.assert_allclose(auto.loss_training_, exact.loss_training_, atol=1e-7)

    alone = LabelAudit(LOGISTIC, method="exact", passes=1).fit(X, y)
    assert_says(alone, first, y, 1e-6, training)
    assert alone.result_.left_aside.size == 0
    assert alone.result_.passes == 1


def test_ranks_and_tiers():
    X, y, _ = THREE
    audit = LabelAudit(LOGISTIC, method="exact").fit(X, y)
    frame = audit.to_frame()
    q = audit.label_quality_
    assert frame["rank"].tolist() == list(range(1, len(y) + 1))
    assert frame["position"].tolist() == sorted(range(len(y)), key=lambda i: (q[i], i))
    for line in frame.itertuples():
        other = line.suggested_label != y[line.position]
        tier = "likely" if q[line.position] < 0.2 else "suspected"
        assert line.tier == (tier if other and q[line.position] < 0.3 else "")
        assert line.label_quality == q[line.position]
        assert line.given_label == y[line.position]
        assert line.loss_left_out == audit.loss_left_out_[line.position]
        assert line.loss_training == audit.loss_training_[line.position]
    assert {"likely", "suspected", ""} == set(frame["tier"])


def test_a_label_that_is_unlikely_and_still_the_likeliest_is_no_suspect():
    """Of six classes that overlap, the likeliest has less than .3."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((90, 2)), np.arange(90) % 6
    audit = LabelAudit(LOGISTIC).fit(X, y)
    likeliest = audit.suggested_labels_ == y
    assert np.any(likeliest & (audit.label_quality_ < 0.3))
    assert set(audit.result_.tiers[likeliest]) == {""}


def test_weights_are_those_of_refits():
    """Rows of weight 0 are judged, and judge none."""
    X, y, _ = TWO
    s = np.where(np.arange(80) % 7 == 3, 0.0, np.linspace(0.5, 2.0, 80))
    found = [
        clone(LOGISTIC)
        .fit(np.delete(X, i, 0), np.delete(y, i), np.delete(s, i))
        .predict_proba(X[[i]])[0]
        for i in range(80)
    ]
    audit = LabelAudit(LOGISTIC, method="exact", passes=1).fit(X, y, s)
    assert_says(audit, np.array(found), y, 1e-6)
    two = LabelAudit(LOGISTIC, method="exact").fit(X, y, s)
    among = [i for i in range(80) if i not in set(two.result_.left_aside.tolist())]
    assert len(among) < 80
    final = []
    for i in range(80):
        kept = [j for j in among if j != i]
        final.append(clone(LOGISTIC).fit(X[kept], y[kept], s[kept]).predict_proba(X[[i]])[0])
    assert_says(two, np.array(final), y, 1e-6)


# ------------------------------------------------------------------------------------------- folds

TEN = StratifiedKFold(10, shuffle=True, random_state=0)
FOLDED = {
    "network": NETWORK,
    "boosting": GradientBoostingClassifier(n_estimators=4, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=3, random_state=0),
    "logistic": LOGISTIC,
}


@pytest.mark.slow_rows(
    where=lambda name, classes: (classes == "three classes") == (name in ("boosting", "network"))
)
@pytest.mark.parametrize("name", FOLDED)
@pytest.mark.parametrize("classes", CLASSES)
def test_folds_are_those_of_scikit_learn(name, classes):
    X, y, _ = CLASSES[classes]
    estimator = FOLDED[name]
    method = "folds" if name == "logistic" else "auto"
    first = cross_val_predict(clone(estimator), X, y, cv=TEN, method="predict_proba")
    alone = LabelAudit(estimator, method=method, passes=1).fit(X, y)
    assert alone.result_.method == "folds"
    own = np.searchsorted(sorted(set(y)), y)
    np.testing.assert_allclose(alone.label_quality_, first[np.arange(len(y)), own], atol=1e-9)

    suspects = suspects_of(first, y)
    assert suspects
    final = by_parts(estimator, X, y, the_rest(y, suspects), TEN)
    audit = LabelAudit(estimator, method=method).fit(X, y)
    assert audit.result_.left_aside.tolist() == suspects
    np.testing.assert_allclose(audit.label_quality_, final[np.arange(len(y)), own], atol=1e-9)
    p = final.argmax(axis=1)
    np.testing.assert_array_equal(audit.suggested_labels_, np.array(sorted(set(y)))[p])


@pytest.mark.parametrize("n_rows", [2, 3, 10])
def test_classes_of_few_rows_are_in_several_folds(n_rows):
    """As many folds as the largest class has rows: none is without a class."""
    X, y = TWO[0][: 4 * n_rows + 1], np.repeat(["a", "b", "c", "d", "e"], n_rows)[: 4 * n_rows + 1]
    y[-1] = "d"
    audit = LabelAudit(LOGISTIC, method="folds", passes=1).fit(X, y)
    parts = StratifiedKFold(min(n_rows + 1, 10), shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        P = by_parts(LOGISTIC, X, y, range(len(y)), parts)
    own = P[range(len(y)), np.searchsorted(["a", "b", "c", "d"], y)]
    np.testing.assert_allclose(audit.label_quality_, own, atol=1e-9)


def rarest(Y):
    """Return for each row the label of its own that fewest rows have, the first of equals."""
    columns = Y.T.tolist()
    return [
        min(((c.count(c[i]), k, c[i]) for k, c in enumerate(columns)), key=lambda found: found[0])
        for i in range(len(Y))
    ]


def test_folds_of_several_labels_go_by_the_rarest():
    X, Y = TWO[0], several_labels()
    Y[:, 2] = 0
    Y[[3, 7], 2] = 1  # which are in two parts, so that every model knows the label
    names = rarest(Y)
    strata = [sorted(set(names)).index(each) for each in names]
    most = max(strata.count(each) for each in strata)
    parts = StratifiedKFold(min(10, most), shuffle=True, random_state=0)
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    quality = np.ones(80)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for rest, part in parts.split(X, strata):
            model = clone(tree).fit(X[rest], Y[rest])
            for k, P in enumerate(model.predict_proba(X[part])):
                own = P[np.arange(len(part)), Y[part, k]]
                quality[part] = np.minimum(quality[part], own)
    audit = LabelAudit(tree, passes=1).fit(X, Y)
    np.testing.assert_allclose(audit.label_quality_, quality, atol=1e-12)
    assert LabelAudit(tree).fit(X, Y).result_.passes == 1


@pytest.mark.slow_rows(where=lambda name: name == "tree")  # processes that have to start
@pytest.mark.parametrize("name", ["logistic", "tree"])
def test_threads_and_processes_change_no_bit(name):
    X, y, _ = THREE
    one, two, again = (LabelAudit(FOLDED[name], n_jobs=n).fit(X, y) for n in (1, 2, None))
    for other in (two, again):
        for field in ("quality", "losses", "training_losses", "gains", "left_aside", "suggested"):
            np.testing.assert_array_equal(
                getattr(one.result_, field), getattr(other.result_, field)
            )
        assert one.expected_errors_ == other.expected_errors_


# -------------------------------------------------------------------------------------- out of bag


@pytest.mark.slow_rows(where=lambda classes: classes == "two classes")
@pytest.mark.parametrize("classes", CLASSES)
def test_out_of_bag_is_that_of_the_forest(classes):
    X, y, _ = CLASSES[classes]
    forest = RandomForestClassifier(40, oob_score=True, random_state=0)
    own = np.searchsorted(sorted(set(y)), y)
    first = clone(forest).fit(X, y).oob_decision_function_
    alone = LabelAudit(forest, passes=1).fit(X, y)
    assert alone.result_.method == "out_of_bag"
    np.testing.assert_allclose(alone.label_quality_, first[np.arange(len(y)), own], atol=1e-12)

    suspects = suspects_of(first, y)
    kept = the_rest(y, suspects)
    smaller = clone(forest).fit(X[kept], y[kept])
    final = np.empty_like(first)
    final[kept] = smaller.oob_decision_function_
    final[suspects] = smaller.predict_proba(X[suspects])
    audit = LabelAudit(forest).fit(X, y)
    assert audit.result_.left_aside.tolist() == suspects
    np.testing.assert_allclose(audit.label_quality_, final[np.arange(len(y)), own], atol=1e-12)


# ----------------------------------------------------------------------------- other kinds of loss


def test_ridge_has_a_loss_and_no_probability():
    """Of targets -1 and 1, half of the squared error of the model without the row."""
    X, y, _ = TWO
    model = RidgeClassifier(alpha=2.0, solver="svd")
    losses = np.empty(80)
    for i, t in enumerate(np.where(y == "yes", 1.0, -1.0)):
        kept = np.delete(np.arange(80), i)
        raw = clone(model).fit(X[kept], y[kept]).decision_function(X[[i]])[0]
        losses[i] = 0.5 * (t - raw) ** 2
    audit = LabelAudit(model, method="exact", passes=1).fit(X, y)
    np.testing.assert_allclose(audit.loss_left_out_, losses, rtol=1e-7)
    np.testing.assert_allclose(audit.label_quality_, np.exp(-losses), rtol=1e-7)


def test_margins_are_those_of_refits():
    """Loss and gain of a smoothed hinge: of the given sign and of that of the decision."""
    X, y, _ = TWO
    model = SmoothLinearSVC(C=0.3, temperature=0.1)

    def hinge(margin):
        return 0.1 * np.logaddexp(0.0, (1.0 - margin) / 0.1)

    margin, t = np.empty(80), np.where(y == "yes", 1.0, -1.0)
    for i in range(80):
        kept = np.delete(np.arange(80), i)
        margin[i] = t[i] * clone(model).fit(X[kept], y[kept]).decision_function(X[[i]])[0]
    audit = LabelAudit(model, method="exact", passes=1).fit(X, y)
    np.testing.assert_allclose(audit.loss_left_out_, hinge(margin), atol=1e-5)
    np.testing.assert_allclose(audit.label_quality_, np.exp(-hinge(margin)), atol=1e-5)
    np.testing.assert_array_equal(audit.suggested_labels_ == y, margin > 0)
    gains = hinge(margin) - hinge(np.abs(margin))
    assert gains.max() > 1
    np.testing.assert_allclose(audit.result_.gains, gains, atol=2e-5)


@pytest.mark.slow_rows(where=lambda model: isinstance(model, SVC))
@pytest.mark.parametrize("model", [LinearSVC(C=0.3, dual=False), SVC(gamma=0.3)], ids=str)
def test_other_margins_are_those_of_leave_one_out(model):
    X, y, _ = THREE
    losses = InfluenceClassifier(model).fit(X, y).leave_one_out(method="exact").losses
    audit = LabelAudit(model, method="exact", passes=1).fit(X, y)
    np.testing.assert_allclose(audit.loss_left_out_, losses, rtol=1e-10)
    np.testing.assert_allclose(audit.label_quality_, np.exp(-losses), rtol=1e-10)
    two = LabelAudit(model, method="exact").fit(X, y)
    kept = np.delete(np.arange(84), two.result_.left_aside)
    assert len(kept) < 84
    losses = InfluenceClassifier(model).fit(X[kept], y[kept]).leave_one_out(method="exact").losses
    np.testing.assert_allclose(two.loss_left_out_[kept], losses, rtol=1e-10)


def several_labels():
    X = TWO[0]
    rng = np.random.default_rng(3)
    raw = X[:, :3] + 0.5 * rng.standard_normal((80, 3))
    return (raw > 0.2).astype(int)


@pytest.mark.slow_rows(where=lambda kind: kind is OneVsRestClassifier)
@pytest.mark.parametrize("kind", [OneVsRestClassifier, MultiOutputClassifier])
def test_of_several_labels_the_least_likely_counts(kind):
    X, Y = TWO[0], several_labels()
    quality, losses = np.ones(80), np.zeros(80)
    for i in range(80):
        kept = np.delete(np.arange(80), i)
        for k in range(3):
            P = clone(LOGISTIC).fit(X[kept], Y[kept, k]).predict_proba(X[[i]])[0]
            quality[i] = min(quality[i], P[Y[i, k]])
            losses[i] -= np.log(P[Y[i, k]])
    audit = LabelAudit(kind(LOGISTIC), method="exact", passes=1).fit(X, Y)
    np.testing.assert_allclose(audit.label_quality_, quality, atol=1e-6)
    np.testing.assert_allclose(audit.loss_left_out_, losses, rtol=1e-5)
    assert audit.suggested_labels_.shape == (80, 3)
    assert audit.expected_errors_ is None
    two = LabelAudit(kind(LOGISTIC), method="exact").fit(X, Y)
    assert two.result_.passes == 1  # the least likely of several labels is low of right rows, too
    np.testing.assert_array_equal(two.label_quality_, audit.label_quality_)


# -------------------------------------------------------------------------------------- regression


def robust(residuals):
    """Return the standard deviation of normal noise of this median size."""
    return np.median(np.abs(residuals)) / 0.6744897501960817


def outlying(n_outputs=1):
    data = regression(n=80, n_outputs=n_outputs, seed=2)
    y = data.y.copy()
    y[5] += 8.0
    y[33] -= 6.0
    return data.X, y


def studentized(X, y):
    """Return residuals e / sqrt(1 - h) in units of their robust scale, a column per target."""
    A = np.column_stack([np.ones(len(X)), X])
    H = A @ np.linalg.solve(A.T @ A, A.T)
    e = (y - H @ y).reshape(len(y), -1)
    scaled = e / np.sqrt(1.0 - np.diag(H))[:, None]
    return np.column_stack([column / robust(column) for column in scaled.T])


@pytest.mark.parametrize("method", ["auto", "exact"])
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_deviations_are_studentized_residuals(method, n_outputs):
    X, y = outlying(n_outputs)
    each = studentized(X, y)
    z = each[np.arange(80), np.abs(each).argmax(axis=1)]
    audit = LabelAudit(LinearRegression(), method=method, passes=1).fit(X, y)
    np.testing.assert_allclose(audit.result_.deviations, z, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(audit.label_quality_, 1 / (1 + (z / 2) ** 2), rtol=1e-7)
    assert set(np.flatnonzero(audit.label_quality_ < 0.3)) >= {5, 33}
    A = np.column_stack([np.ones(80), X])
    Y = y.reshape(80, -1)
    for i in (0, 5, 33, 79):
        kept = np.delete(np.arange(80), i)
        predicted = A[i] @ np.linalg.lstsq(A[kept], Y[kept], rcond=None)[0]
        np.testing.assert_allclose(audit.suggested_labels_[i], np.squeeze(predicted), rtol=1e-9)
        loss = 0.5 * np.sum((Y[i] - predicted) ** 2)
        np.testing.assert_allclose(audit.loss_left_out_[i], loss, rtol=1e-8)
        np.testing.assert_allclose(audit.result_.gains[i], loss, rtol=1e-8)


def test_outliers_leave_in_the_second_pass():
    """Left-out residuals, times sqrt(1 - h) of the first pass, in units of the new scale."""
    X, y = outlying()
    suspects = np.flatnonzero(1 / (1 + (studentized(X, y)[:, 0] / 2) ** 2) < 0.3)
    assert set(suspects) >= {5, 33}
    kept = np.delete(np.arange(80), suspects)
    A = np.column_stack([np.ones(80), X])
    h = np.diag(A @ np.linalg.solve(A.T @ A, A.T))
    left_out = np.empty(80)
    for i in range(80):
        rows = [j for j in kept if j != i]
        left_out[i] = y[i] - A[i] @ np.linalg.lstsq(A[rows], y[rows], rcond=None)[0]
    scaled = left_out * np.sqrt(1.0 - h)
    audit = LabelAudit(LinearRegression()).fit(X, y)
    np.testing.assert_array_equal(audit.result_.left_aside, suspects)
    np.testing.assert_allclose(audit.result_.deviations, scaled / robust(scaled), rtol=1e-7)


def test_counts_have_pearson_residuals():
    X, y = COUNTED.X, COUNTED.y
    model = PoissonRegressor(alpha=0.05, solver="newton-cholesky", tol=1e-12)
    full = clone(model).fit(X, y).predict(X)
    mean = np.array(
        [
            clone(model).fit(np.delete(X, i, 0), np.delete(y, i)).predict(X[[i]])[0]
            for i in range(len(y))
        ]
    )
    left_out, seen = (y - mean) / np.sqrt(mean), (y - full) / np.sqrt(full)
    scaled = left_out * np.sqrt(np.clip(seen / left_out, 0, 1))
    audit = LabelAudit(model, method="exact", passes=1).fit(X, y)
    least = max(1.0, robust(scaled))  # the spread of a count that is known of its mean
    np.testing.assert_allclose(audit.result_.deviations, scaled / least, atol=1e-6)
    np.testing.assert_allclose(audit.suggested_labels_, mean, rtol=1e-6)


def test_folds_of_a_regressor():
    X, y = outlying()
    tree = DecisionTreeRegressor(max_depth=3, random_state=0)
    ten = KFold(10, shuffle=True, random_state=0)
    residuals = y - cross_val_predict(tree, X, y, cv=ten)
    audit = LabelAudit(tree, passes=1).fit(X, y)
    np.testing.assert_allclose(audit.result_.deviations, residuals / robust(residuals), rtol=1e-9)


# ------------------------------------------------------------------------------ as an estimator


def test_it_is_an_estimator():
    inner = LogisticRegression(**TIGHT)
    audit = LabelAudit(inner, method="exact", passes=1, n_jobs=1, verbose=0)
    assert repr(audit).startswith("LabelAudit(estimator=LogisticRegression(")
    same = clone(audit)
    assert {**same.get_params(), "estimator": inner} == audit.get_params()
    assert same.set_params(estimator__C=3.0, passes=2).estimator.C == 3.0
    assert inner.C == 1.0
    X, y, _ = TWO
    assert audit.fit(X, y) is audit
    assert not hasattr(inner, "coef_")
    again = pickle.loads(pickle.dumps(audit))
    np.testing.assert_array_equal(again.label_quality_, audit.label_quality_)
    pd.testing.assert_frame_equal(again.to_frame(), audit.to_frame())
    audit.set_params(passes=2).fit(X[::2], y[::2])  # which forgets the first fit
    np.testing.assert_array_equal(
        audit.label_quality_, LabelAudit(inner, method="exact").fit(X[::2], y[::2]).label_quality_
    )


def test_nothing_is_changed():
    """Neither the data by the audit, nor the audit by who mends the data afterwards."""
    X, y, _ = TWO
    X, y = X.copy(), y.copy()
    audit = LabelAudit(LOGISTIC).fit(X, y)
    np.testing.assert_array_equal(X, TWO[0])
    np.testing.assert_array_equal(y, TWO[1])
    before = audit.suggest()
    worst = before["position"].to_numpy()
    y[worst] = before["suggested_label"]
    assert len(worst) and np.any(y != TWO[1])
    pd.testing.assert_frame_equal(audit.suggest(), before)


def test_without_an_estimator_it_is_logistic_regression():
    X, y, _ = TWO
    np.testing.assert_array_equal(
        LabelAudit().fit(X, y).label_quality_,
        LabelAudit(LogisticRegression()).fit(X, y).label_quality_,
    )
