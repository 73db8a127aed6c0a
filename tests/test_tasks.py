"""Ten tasks of real work, each in at most six lines of a user's code, and whether it is true.

On the real data where they are, else on data of the same kind that are made up here.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skinfluence
from skinfluence import InfluenceClassifier, LabelAudit, leave_one_out_curve
from skinfluence.inspection import Influence

CODE = {
    "who made this applicant bad": """
influence = model.influence(X_test.loc[[applicant]], target="predict_proba")
table = influence.to_frame(k=5, columns=["age", "education", "income"])
""",
    "rows that hurt validation": """
worst = model.influence(X_test, y_test, aggregate="mean").harmful(20)
better = model.without(positions=worst)
""",
    "groups by column": """
groups = model.group_influence(["sex", "education"], X_test, y_test, aggregate=X_test["sex"])
table = groups.to_frame()
gap = groups.gap("Male", "Female").to_frame()
""",
    "save and reload": """
influence = model.influence(X_test, y_test, top=10)
influence.save(path)
again = Influence.load(path, X=X_train, y=y_train)
table = again.to_frame(k=2, columns=True)
""",
    "the rows behind one coefficient": """
changes = model.parameter_influence(coefficients="age")
table = changes.to_frame(k=5, columns=["age", "income"])
""",
    "messages behind a spam miss": """
spam = texts_test[(labels_test == "spam") & (reader.predict(texts_test) == "ham")]
influence = reader.influence(spam[:1], ["spam"])
table = influence.to_frame(k=3, columns=["text", "label"])
""",
    "a digit's helpful rows": """
influence = digits.influence(X_digits[1200:1203], y_digits[1200:1203], top=5)
rows = influence.helpful(5)
display = influence.plot(position=1, labels=[f"a {digit}" for digit in y_digits[:1200]])
""",
    "a deletion with its certificate": """
smaller = model.without(labels=people)
text = smaller.certificate_.summary()
""",
    "C by leave-one-out": """
curve = leave_one_out_curve(pipeline, X_train, y_train, "logisticregression__C", [0.01, 0.1, 1, 10])
chosen = pipeline.set_params(logisticregression__C=curve.best).fit(X_train, y_train)
""",
    "digits that are labelled wrong": """
audit = LabelAudit(digits_model).fit(X_digits[:600], mistaken)
table = audit.suggest(15)
mended = mistaken.copy()
mended[table["position"]] = table["suggested_label"]
""",
}


def path_of(name):
    folder = os.environ.get("SKINFLUENCE_DATA")
    found = Path(folder or ".") / name
    return found if folder and found.exists() else None


def adult(n=600, n_test=150):
    """Rows of the census, or rows like them."""
    if path := path_of("adult.csv.gz"):
        table = pd.read_csv(path, keep_default_na=False)[: n + n_test]
        target = table["income"].rename("income")
        X = table[["age", "sex", "education", "hours-per-week"]]
    else:
        rng, m = np.random.default_rng(0), n + n_test
        education = rng.choice(["HS-grad", "Bachelors", "Masters"], m)
        X = pd.DataFrame(
            {"age": rng.integers(18, 80, m), "sex": rng.choice(["Male", "Female"], m)}
        ).assign(education=education, **{"hours-per-week": rng.integers(10, 70, m)})
        rich = X["age"] / 25 + (education == "Masters") + rng.normal(size=m) > 2.5
        target = pd.Series(np.where(rich, ">50K", "<=50K"), name="income")
    index = pd.Index([f"person {i}" for i in range(len(X))])
    return X.set_axis(index), target.set_axis(index), n


def messages(n=800, n_test=600):
    """Text messages, or texts like them."""
    if path := path_of("sms_spam.csv.gz"):
        table = pd.read_csv(path, keep_default_na=False)[: n + n_test]
        return table["text"].rename("text"), table["label"].rename("label"), n
    rng, m = np.random.default_rng(0), n + n_test
    spam = rng.random(m) < 0.3
    words = {True: "win cash prize now call claim free", False: "see you at home for lunch today"}
    other = rng.random(m) < 0.1  # written like the other kind
    texts = [
        " ".join(rng.choice(words[bool(s ^ o)].split(), 6))
        for s, o in zip(spam, other, strict=True)
    ]
    labels = pd.Series(np.where(spam, "spam", "ham"), name="label")
    return pd.Series(texts, name="text"), labels, n


@pytest.fixture(scope="module")
def prepared():
    X, y, n = adult()
    numbers, words = ["age", "hours-per-week"], ["sex", "education"]
    encoder = OneHotEncoder(handle_unknown="ignore")
    steps = make_column_transformer(
        (StandardScaler(), numbers), (encoder, words), verbose_feature_names_out=False
    )
    pipeline = make_pipeline(steps, LogisticRegression(tol=1e-8, max_iter=1000))
    model = InfluenceClassifier(pipeline).fit(X[:n], y[:n])
    texts, labels, m = messages()
    reader = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10, tol=1e-8, max_iter=1000))
    X_digits, y_digits = load_digits(return_X_y=True)
    digits = LogisticRegression(C=0.01, tol=1e-4, max_iter=2000)
    probabilities = model.predict_proba(X[n:])[:, 1]
    return {
        "pipeline": pipeline,
        "model": model,
        "X_train": X[:n],
        "y_train": y[:n],
        "X_test": X[n:],
        "y_test": y[n:],
        "applicant": X.index[n + int(np.argmin(np.abs(probabilities - 0.4)))],
        "reader": InfluenceClassifier(reader).fit(texts[:m], labels[:m]),
        "texts": texts[:m],
        "labels": labels[:m],
        "texts_test": texts[m:],
        "labels_test": labels[m:],
        "digits": InfluenceClassifier(digits).fit(X_digits[:1200], y_digits[:1200]),
        "X_digits": X_digits,
        "y_digits": y_digits,
        "digits_model": digits,
        "mistaken": (y_digits[:600] + 3 * (np.arange(600) % 40 == 7)) % 10,
        "people": ["person 3", "person 14", "person 159"],
    }


@pytest.fixture
def run(prepared, tmp_path):
    """Return a function that runs the lines of a task, and returns what they named."""

    def run(task):
        lines = CODE[task].strip().splitlines()
        assert len(lines) <= 6
        names = {
            **prepared,
            "Influence": Influence,
            "LabelAudit": LabelAudit,
            "leave_one_out_curve": leave_one_out_curve,
            "path": tmp_path / "answer.npz",
        }
        exec(CODE[task], names)
        return names

    return run


def refit_of(model, X, y, gone):
    """Return scikit-learn's refit of the final step without some rows, and its transformers."""
    transformers, final = model.estimator_[:-1], model.estimator_[-1]
    kept = np.setdiff1d(np.arange(len(y)), gone)
    tight = LogisticRegression(C=final.C, solver="newton-cg", tol=1e-12, max_iter=10_000)
    tight.fit(transformers.transform(X)[kept], np.asarray(y)[kept])
    return tight, transformers


def probability(model, X, y, gone, row, label):
    tight, transformers = refit_of(model, X, y, gone)
    at = tight.classes_.tolist().index(label)
    return tight.predict_proba(transformers.transform(row))[0, at]


def test_who_made_this_applicant_bad(run):
    names = run("who made this applicant bad")
    table, row = names["table"], names["X_test"].loc[[names["applicant"]]]
    assert table["class"].unique().tolist() == ["<=50K"]
    assert set(table["effect"]) == {"supports", "opposes"}
    X, y = names["X_train"], names["y_train"]
    for line in table.iloc[[0, -1]].itertuples():
        assert (line.age, line.education) == tuple(X.loc[line.row, ["age", "education"]])
        assert line.income == y[line.row]
        whole, without = (
            probability(names["model"], X, y, gone, row, "<=50K") for gone in ([], [line.position])
        )
        np.testing.assert_allclose(line.score, without - whole, rtol=0.05)
        assert (line.effect == "supports") == (without < whole)


def test_rows_that_hurt_validation(run):
    names = run("rows that hurt validation")
    losses = [
        log_loss(names["y_test"], names[name].predict_proba(names["X_test"]))
        for name in ("better", "model")
    ]
    assert losses[0] < losses[1]
    tight, transformers = refit_of(
        names["model"], names["X_train"], names["y_train"], names["worst"]
    )
    refitted = tight.predict_proba(transformers.transform(names["X_test"]))
    np.testing.assert_allclose(losses[0], log_loss(names["y_test"], refitted), rtol=1e-6)


def test_groups_by_column(run):
    names = run("groups by column")
    sizes = names["X_train"].groupby(["sex", "education"]).size()
    table = names["table"]
    assert set(table["tests"]) == {"Female", "Male"}
    assert len(table) == 2 * len(sizes)
    found = dict(zip(table["group"], table["size"], strict=True))
    assert found == sizes.to_dict()
    by_group = table.set_index(["tests", "group"])["score"]
    for line in names["gap"].itertuples():
        difference = by_group["Male", line.group] - by_group["Female", line.group]
        np.testing.assert_allclose(line.score, difference, rtol=1e-9, atol=1e-15)
    group = sizes.idxmax()
    of_group = (names["X_train"][["sex", "education"]] == list(group)).all(axis=1).to_numpy()
    X_test, y_test = names["X_test"], names["y_test"]
    men = (X_test["sex"] == "Male").to_numpy()
    losses = []
    for gone in ([], np.flatnonzero(of_group)):
        tight, transformers = refit_of(names["model"], names["X_train"], names["y_train"], gone)
        predicted = tight.predict_proba(transformers.transform(X_test[men]))
        losses.append(log_loss(y_test[men], predicted, labels=tight.classes_))
    np.testing.assert_allclose(by_group["Male", group], losses[1] - losses[0], rtol=0.1, atol=1e-4)


def test_save_and_reload(run):
    names = run("save and reload")
    assert repr(names["again"]) == repr(names["influence"])
    pd.testing.assert_frame_equal(names["table"], names["influence"].to_frame(k=2, columns=True))
    assert names["again"].facts["skinfluence"] == skinfluence.__version__


def test_the_rows_behind_one_coefficient(run):
    names = run("the rows behind one coefficient")
    table = names["table"]
    X, y, model = names["X_train"], names["y_train"], names["model"]
    at = model.estimator_[:-1].get_feature_names_out().tolist().index("age")
    for line in table.iloc[:2].itertuples():
        whole, without = (
            refit_of(model, X, y, gone)[0].coef_[0, at] for gone in ([], [line.position])
        )
        np.testing.assert_allclose(line.age, without - whole, rtol=0.05)
        assert (line.age_train, line.income) == (X["age"][line.row], y[line.row])


def test_messages_behind_a_spam_miss(run):
    names = run("messages behind a spam miss")
    assert len(names["spam"])
    table = names["table"]
    assert table["effect"].tolist() == ["helps"] * 3 + ["harms"] * 3
    for line in table.itertuples():
        assert line.text == names["texts"].iloc[line.position]
        assert line.label == names["labels"].iloc[line.position]
    helping = table[table["effect"] == "helps"]
    assert set(helping["label"]) == {"spam"}
    line, row = table.iloc[0], names["spam"][:1]
    whole, without = (
        probability(names["reader"], names["texts"], names["labels"], gone, row, "spam")
        for gone in ([], [line.position])
    )
    np.testing.assert_allclose(line.score, np.log(whole / without), rtol=0.05)


def test_a_digits_helpful_rows(run):
    names = run("a digit's helpful rows")
    truth, rows = names["y_digits"], names["rows"]
    assert rows.shape == (3, 5)
    same = truth[rows] == truth[1200:1203][:, None]
    assert same.mean() > 0.8
    ticks = [tick.get_text() for tick in names["display"].ax_.get_yticklabels()]
    assert ticks[:5] == [f"a {digit}" for digit in truth[rows[1]]]


def test_a_deletion_with_its_certificate(run):
    names = run("a deletion with its certificate")
    text = names["text"]
    for word in (*names["people"], "StandardScaler", "OneHotEncoder", skinfluence.__version__):
        assert word in text
    gone = [3, 14, 159]
    tight, _ = refit_of(names["model"], names["X_train"], names["y_train"], gone)
    coefficients = names["smaller"].estimator_[-1].coef_
    np.testing.assert_allclose(coefficients, tight.coef_, rtol=1e-6, atol=1e-9)


def test_C_by_leave_one_out(run):
    names = run("C by leave-one-out")
    curve, X, y = names["curve"], names["X_train"], names["y_train"]
    assert curve.best in (0.01, 0.1, 1, 10)
    # one row left out, of the transformed rows, by a refit
    model = InfluenceClassifier(names["chosen"]).fit(X, y)
    tight, transformers = refit_of(model, X, y, [7])
    tight_loss = -np.log(
        tight.predict_proba(transformers.transform(X[7:8]))[0, tight.classes_ == y.iloc[7]][0]
    )
    np.testing.assert_allclose(model.leave_one_out().losses[7], tight_loss, rtol=1e-6)
    np.testing.assert_allclose(curve.scores.min(), model.leave_one_out().score(), rtol=1e-8)


def test_digits_that_are_labelled_wrong(run):
    """One label in forty was changed: they are found, and known for what they are."""
    names = run("digits that are labelled wrong")
    table, truth, mistaken = names["table"], names["y_digits"][:600], names["mistaken"]
    assert np.sum(truth != mistaken) == 15
    changed = (truth != mistaken)[table["position"]]
    assert changed.sum() >= 13
    at = table["position"].to_numpy()
    assert np.sum(table["suggested_label"].to_numpy()[changed] == truth[at[changed]]) >= 12
    assert np.all(table["given_label"].to_numpy() == mistaken[at])
    assert np.sum(names["mended"] != truth) <= 5
    assert abs(names["audit"].expected_errors_.estimate - 15) < 5
