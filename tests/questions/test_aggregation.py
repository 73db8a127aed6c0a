"""Means and sums over test rows, and groups of training rows by columns, against plain loops."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skinfluence import InfluenceClassifier, InfluenceRegressor, RecordedTraining
from tests.cases import BINARY, REAL, THREE

COUNTS = replace(REAL, y=np.round(np.abs(REAL.y)))
MODELS = {
    "Ridge": (InfluenceRegressor(Ridge()), REAL),
    "PoissonRegressor": (InfluenceRegressor(PoissonRegressor()), COUNTS),
    "LogisticRegression": (InfluenceClassifier(LogisticRegression()), BINARY),
    "first order": (InfluenceClassifier(LogisticRegression(), method="first_order"), THREE),
    "exact": (InfluenceClassifier(LogisticRegression(), method="exact"), THREE),
    "network": (
        InfluenceClassifier(MLPClassifier((3,), alpha=1, random_state=0), damping=1),
        THREE,
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def fitted(name):
    model, data = MODELS[name]
    return model.fit(data.X, data.y), data


@pytest.mark.parametrize("name", MODELS)
def test_lines_are_weighted_sums_of_the_scores(name):
    model, data = fitted(name)
    rows, weight = np.arange(9), np.linspace(0.0, 2.0, 9)
    X, y = data.X[rows], data.y[rows]
    scores = model.influence_scores(X, y)

    def line(aggregate, **params):
        return model.influence_scores(X, y, aggregate=aggregate, **params)

    close = {"rtol": 1e-8, "atol": 1e-12}
    np.testing.assert_allclose(line("mean"), scores.mean(axis=0), **close)
    np.testing.assert_allclose(line("sum", test_weight=weight), weight @ scores, **close)
    mean = np.average(scores, axis=0, weights=weight)
    np.testing.assert_allclose(line("mean", test_weight=weight), mean, **close)
    labels = np.array(["b", "a", "b", "b", "a", "c", "c", "a", "b"])
    by_hand = [np.average(scores[labels == g], axis=0, weights=weight[labels == g]) for g in "abc"]
    influence = model.influence(X, y, aggregate=labels, test_weight=weight)
    np.testing.assert_allclose(influence.scores, by_hand, **close)
    assert influence.test_labels.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(influence.gap("c", "a").scores, by_hand[2] - by_hand[0], **close)
    top = model.influence(X, y, aggregate=labels, test_weight=weight, top=2)
    whole, kept = influence.to_frame(k=2), top.to_frame(k=2)
    pd.testing.assert_frame_equal(kept, whole, rtol=1e-8)
    one = model.influence(X, y, aggregate="mean", top=3)
    assert one.helpful(3).tolist() == np.argsort(-scores.mean(axis=0))[:3].tolist()


def test_along_a_recorded_training():
    net = RecordedTraining(MLPClassifier((3,), solver="sgd", max_iter=5, random_state=0))
    model = InfluenceClassifier(net, method="tracin").fit(THREE.X, THREE.y)
    X, y, labels = THREE.X[:6], THREE.y[:6], np.array([0, 1, 0, 1, 1, 0])
    scores = model.influence_scores(X, y)
    found = model.influence_scores(X, y, aggregate=labels)
    by_hand = [scores[labels == g].mean(axis=0) for g in (0, 1)]
    np.testing.assert_allclose(found, by_hand, rtol=1e-8, atol=1e-12)


def test_every_question_about_test_rows_sums_them():
    model, data = fitted("LogisticRegression")
    X, y, labels = data.X[:6], data.y[:6], np.array([0, 1, 0, 1, 1, 0])
    groups = np.arange(len(data.y)) % 4
    other = np.where(data.y == data.y[0], data.y[data.y != data.y[0]][0], data.y[0])
    asked = {
        "group_influence": (groups,),
        "addition_influence": (data.X[:3], data.y[:3]),
        "relabel_influence": (other,),
    }
    for name, first in asked.items():
        question = getattr(model, name)
        scores = question(*first, X, y).scores
        summed = question(*first, X, y, aggregate=labels).scores
        by_hand = [scores[labels == g].mean(axis=0) for g in (0, 1)]
        np.testing.assert_allclose(summed, by_hand, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"aggregate": "median"},
            r"aggregate='median' was given; .* no columns of the test rows.* 'mean', 'sum' are acc",
        ),
        ({"test_weight": np.ones(4)}, "test_weight was given without aggregate"),
        ({"aggregate": "mean", "test_weight": [1, 2]}, r"test_weight of shape \(2,\) was given"),
        ({"aggregate": "mean", "test_weight": [1, -1, 1, 1]}, "negative, infinite or missing"),
        ({"aggregate": "mean", "test_weight": [0, 0, 0, 0]}, "zeros alone"),
        ({"aggregate": ["a", "b"]}, "a label for every row, or 'mean', 'sum' are accepted"),
        ({"aggregate": [1, 2]}, "One label per test row"),
        ({"aggregate": ["a", None, "b", "a"]}, r"aggregate has 1 missing label\(s\)"),
        (
            {"aggregate": ["a", "b", "b", "a"], "test_weight": [1, 0, 0, 1]},
            r"zero for all test rows of the groups \['b'\]",
        ),
        (
            {"aggregate": pd.Series(list("abab"), index=[3, 2, 1, 0])},
            "aggregate has the labels of the test frame in another order",
        ),
        (
            {"aggregate": "mean", "test_weight": pd.Series([1.0] * 4, index=[3, 2, 1, 0])},
            "test_weight has the labels of the test frame in another order",
        ),
    ],
)
def test_what_is_no_way_to_sum(asked, message):
    model, data = fitted("Ridge")
    with pytest.raises(ValueError, match=message):
        model.influence(pd.DataFrame(data.X[:4]), data.y[:4], **asked)


def people(n=80):
    rng = np.random.default_rng(0)
    index = pd.Index([f"person {i}" for i in range(n)])
    sex, race = rng.choice(["m", "f"], n), rng.choice(["x", "y", "z"], n)
    X = pd.DataFrame({"age": rng.normal(size=n), "sex": sex, "race": race}, index=index)
    y = pd.Series(rng.choice(["good", "bad"], n), index=index, name="risk")
    return X, y


def people_model():
    X, y = people()
    steps = make_column_transformer((OneHotEncoder(), ["sex", "race"]), (StandardScaler(), ["age"]))
    return InfluenceClassifier(make_pipeline(steps, LogisticRegression())).fit(X, y), X, y


def test_groups_by_columns():
    model, X, y = people_model()
    by_labels = model.group_influence(X["sex"], X[:5], y[:5])
    by_column = model.group_influence("sex", X[:5], y[:5])
    np.testing.assert_array_equal(by_column.scores, by_labels.scores)
    assert by_column.groups.tolist() == ["f", "m"]
    assert by_column.sizes.tolist() == X["sex"].value_counts().sort_index().tolist()
    both = model.group_influence(["sex", "race"], X[:5], y[:5])
    sizes = X.groupby(["sex", "race"]).size()
    assert both.groups.tolist() == sizes.index.tolist()
    assert both.sizes.tolist() == sizes.tolist()
    masks = [(X["sex"] == s) & (X["race"] == r) for s, r in sizes.index]
    by_masks = model.group_influence(np.array(masks), X[:5], y[:5])
    np.testing.assert_array_equal(both.scores, by_masks.scores)
    frame = pd.DataFrame(np.array(masks), index=[f"{s}{r}" for s, r in sizes.index])
    assert model.group_influence(frame, X[:5], y[:5]).groups.tolist() == frame.index.tolist()


def test_test_rows_by_columns():
    model, X, y = people_model()
    tests = X[:20], y[:20]
    for by, labels in (("sex", X["sex"][:20]), (["race", "sex"], None)):
        found = model.influence(*tests, aggregate=by)
        if labels is None:
            labels = (X["race"][:20] + X["sex"][:20]).to_numpy()
        expected = model.influence_scores(*tests, aggregate=labels)
        np.testing.assert_array_equal(found.scores, expected)
    assert found.test_labels.tolist()[0] == ("x", "f")
    assert found.gap(("x", "f"), ("z", "m")).scores.shape == (80,)


def test_names_of_columns_that_may_be_labels():
    """As many as there are rows: said either way, they are understood."""
    model, X, y = people_model()
    two = X[:2], y[:2]
    message = r"may be columns of the test rows or a label for each of these 2\. "
    with pytest.raises(ValueError, match=message) as refused:
        model.influence(*two, aggregate=["sex", "race"])
    told = str(refused.value)
    as_labels = model.influence(*two, aggregate=np.array(["sex", "race"]))
    assert "aggregate=np.array(['sex', 'race'])" in told
    assert as_labels.test_labels.tolist() == ["race", "sex"]
    as_columns = model.influence(*two, aggregate=X[:2][["sex", "race"]].apply(tuple, axis=1))
    assert "aggregate=X_test[['sex', 'race']].apply(tuple, axis=1)" in told
    expected = sorted(set(zip(X["sex"][:2], X["race"][:2], strict=True)))
    assert as_columns.test_labels.tolist() == expected
    labels = model.influence(*two, aggregate=["sex", "other"]).test_labels
    assert labels.tolist() == ["other", "sex"]


def test_the_target_is_a_column_too():
    model, X, y = people_model()
    named = pd.Series(y, index=X.index, name="bought")
    model = model.fit(X, named)
    tests = X[:20], named[:20]
    found = model.group_influence(["sex", "bought"], *tests)
    labels = np.fromiter(zip(X["sex"], named, strict=True), dtype=object, count=len(X))
    expected = model.group_influence(labels, *tests)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert found.groups.tolist() == expected.groups.tolist()
    assert found.sizes.tolist() == expected.sizes.tolist()
    assert model.fit(X, y.to_numpy()).group_influence(["sex", "y"], *tests).groups.tolist() == (
        expected.groups.tolist()
    )
    by = model.influence(*tests, aggregate="bought")
    assert by.test_labels.tolist() == sorted(set(named[:20]))
    np.testing.assert_array_equal(
        by.scores, model.influence(*tests, aggregate=named[:20].to_numpy()).scores
    )


def test_columns_that_are_no_groups():
    model, X, y = people_model()
    for groups in ("gender", ["sex", "gender"]):
        with pytest.raises(ValueError, match=r"\['gender'\] are no columns of the training rows"):
            model.group_influence(groups, X[:5], y[:5])
    missing = X.assign(sex=X["sex"].where(X["sex"] == "m"))
    holed = InfluenceClassifier(
        make_pipeline(
            make_column_transformer((OneHotEncoder(), ["race"]), (StandardScaler(), ["age"])),
            LogisticRegression(),
        )
    ).fit(missing, y)
    for groups in ("sex", ["sex", "race"]):
        with pytest.raises(ValueError, match=r"groups has .* missing label\(s\), the first at row"):
            holed.group_influence(groups, X[:5], y[:5])
    bare, data = fitted("Ridge")
    with pytest.raises(ValueError, match=r"Names of columns, such as \['x0', .*'y'\], a label"):
        bare.group_influence("sex", data.X[:5], data.y[:5])


def test_the_class_that_a_target_is_of():
    model, data = fitted("exact")
    X, y = data.X[:4], data.y[:4]
    given = model.influence(X, y, target="predict_proba")
    assert given.classes.tolist() == y.tolist()
    predicted = model.influence(X, target="predict_proba")
    assert predicted.classes.tolist() == model.predict(X).tolist()
    several = model.influence(X, y, target="predict_proba", aggregate="mean")
    assert (several.classes is None) == (len(set(y.tolist())) > 1)
    one = model.influence(X, [y[0]] * 4, target="predict_proba", aggregate="mean")
    assert one.classes.tolist() == [y[0]]
    assert model.influence(X, y).classes is None
    two, data = fitted("LogisticRegression")
    decision = two.influence(data.X[:4], data.y[:4], target="decision_function")
    assert decision.classes.tolist() == [two.classes_[1]] * 4
    regressor, data = fitted("Ridge")
    assert regressor.influence(data.X[:2], target="predict").classes is None


def test_a_row_that_supports_a_class_lowers_its_probability_by_leaving():
    """By value: the refit without the strongest supporter gives the class less probability."""
    model, data = fitted("LogisticRegression")
    X = data.X[:1]
    influence = model.influence(X, target="predict_proba")
    table = influence.to_frame(k=1).set_index("effect")
    at = list(model.classes_).index(influence.classes[0])
    before = model.predict_proba(X)[0, at]
    for effect, sign in (("supports", -1), ("opposes", 1)):
        kept = np.delete(np.arange(len(data.y)), table.loc[effect, "position"])
        refit = LogisticRegression(solver="newton-cholesky", tol=1e-12)
        after = refit.fit(data.X[kept], data.y[kept]).predict_proba(X)[0, at]
        assert sign * (after - before) > 0
        np.testing.assert_allclose(table.loc[effect, "score"], after - before, rtol=0.05)


def test_rows_of_a_sparse_mask_are_counted():
    model, data = fitted("Ridge")
    masks = sparse.csr_array(np.eye(2, len(data.y), dtype=bool))
    assert model.group_influence(masks, data.X[:2], data.y[:2]).sizes.tolist() == [1, 1]


def test_one_class_for_all_test_rows():
    model, data = fitted("exact")
    X = data.X[:5]
    for target in ("predict_proba", "decision_function"):
        found = model.influence(X, "b", target=target, aggregate=[0, 1, 0, 1, 1])
        expected = model.influence_scores(X, ["b"] * 5, target=target, aggregate=[0, 1, 0, 1, 1])
        np.testing.assert_array_equal(found.scores, expected)
        assert found.classes.tolist() == ["b", "b"]
        gap = found.gap(1, 0)
        assert gap.classes.tolist() == ["b"]
        assert gap.between == (1, 0)
        assert "gap 1 - 0 in the mean" in repr(gap) and "of class b" in repr(gap)
        again = type(gap).from_json(gap.to_json(), X=data.X, y=data.y)
        assert repr(again) == repr(gap)
    mixed = model.influence(data.X[:30], target="predict_proba", aggregate="mean")
    assert mixed.classes is None
    assert "of each row's own class" in repr(mixed)
    with pytest.raises(ValueError, match="y_test='b' was given; one target for every test row"):
        model.influence(X, "b")


def test_texts_are_no_frame():
    """The rows of a frame would be the names of its columns."""
    texts = pd.DataFrame({"text": ["win cash", "see you", "cash now", "you there"] * 5})
    labels = ["spam", "ham", "spam", "ham"] * 5
    model = InfluenceClassifier(make_pipeline(TfidfVectorizer(), LogisticRegression()))
    model.fit(texts["text"], labels)
    for rows in (texts[:1], texts[:3].to_numpy()):
        with pytest.raises(ValueError, match=r"X_test of 2 dimensions was given.*frame\['text'\]"):
            model.influence(rows, labels[: len(rows)])
    assert model.influence(texts["text"][:1], labels[:1]).scores.shape == (1, 20)


def test_lists_of_texts_are_made_no_arrays_of_fixed_width():
    """One of 120,000 characters beside 300 short ones would take 144 MB, wherever it is done."""
    texts = [f"word{i % 7} word{i % 3}" for i in range(300)]
    texts[5] = "word1 " * 20_000
    model = InfluenceClassifier(make_pipeline(TfidfVectorizer(), LogisticRegression()))
    model.fit(texts, np.arange(300) % 2)
    tracemalloc.start()
    found = model.influence(texts[:2], [0, 1])
    printed, frame = repr(found), found.to_frame(columns="text")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "text" in printed.splitlines()[1]
    assert frame["text"].tolist() == [texts[i] for i in frame["position"]]
    assert peak < 60 * 2**20


def test_weighted_sums_say_so():
    model, data = fitted("Ridge")
    tests = data.X[:4], data.y[:4]
    weighted = model.influence(*tests, aggregate="mean", test_weight=[1, 2, 3, 4])
    assert "the weighted mean loss" in repr(weighted)
    assert "the sum of the loss" in repr(model.influence(*tests, aggregate="sum"))
    same = model.relabel_influence(data.y, *tests)
    assert "No row moves it." in repr(same)
