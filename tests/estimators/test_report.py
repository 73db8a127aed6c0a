"""Reports of every family of models: their numbers are those of the questions."""

import json
import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)

from skinfluence import InfluenceClassifier, InfluenceRegressor, LabelAudit
from skinfluence.inspection import GivenRows
from skinfluence.inspection.report.findings import TITLES
from skinfluence.inspection.report.shown import Shown
from skinfluence.models import RecordedTraining
from tests import cases, model_table, networks, trees_table
from tests.cases import BINARY, REAL, REALS, THREE

CONVEX = {each.name: each for each in [*cases.CASES, *model_table.MODELS, *networks.TABLE]}
EVERY = [*CONVEX, *trees_table.EVERY]
KINDS = {
    "LogisticRegression-lbfgs",
    "LogisticRegression-3-weighted",
    "Ridge-3",
    "RidgeClassifier-3",
    "LinearSVC",
    "LinearSVC-hinge",
    "LinearSVR",
    "Poisson-weighted",
    "Huber",
    "Lasso",
    "Logistic-l1",
    "SGDRegressor",
    "KernelRidge-rbf",
    "SVC-3",
    "SVR-rbf",
    "GaussianProcess",
    "OneVsRest-labels",
    "OneVsOne-hinge",
    "MultiOutput-ridge",
    "MultiOutput-logistic",
    "TransformedTarget-pipeline",
    "GridSearch-pipeline",
    "binary-tanh",
    "labels-tanh",
    "reals-tanh",
    "real-adam-early",
    *[*trees_table.EVERY][::9],
}
"""A row of every family; the others take the same way."""


def fitted(name):
    """Return a fitted wrapper of a row of the tables, test rows and their targets."""
    if name in trees_table.EVERY:
        fit = trees_table.fitted(name)
        return fit.model, fit.X_test, fit.y_test
    case = CONVEX[name]
    wrapper = InfluenceClassifier if is_classifier(case.estimator) else InfluenceRegressor
    temperature = getattr(case, "on_wrapper", None)
    model = wrapper(case.estimator, temperature=temperature)
    return model.fit(case.data.X, case.data.y, case.s), case.data.X_test, case.data.y_test


@pytest.mark.slow_rows(where=lambda name: name not in KINDS)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EVERY)
def test_a_report_of_every_model_says_what_its_questions_say(name):
    model, X_test, y_test = fitted(name)
    groups = np.arange(len(model._fitted.raw.y)) % 3
    report = model.report(X_test, y_test, check=3, top=4, groups=groups)
    assert [each.code for each in report.findings] == [*TITLES]
    assert {each.state for each in report.findings} <= {"found", "not found", "not looked for"}

    overall = model.influence(X_test, y_test, aggregate="mean")
    scale = np.abs(overall.scores).max()
    np.testing.assert_allclose(report.overall.scores, overall.scores, atol=1e-12 * scale)
    tests = report.tests.positions
    X_some = X_test.iloc[tests] if hasattr(X_test, "iloc") else X_test[tests]
    each = model.influence(X_some, np.asarray(y_test)[tests], top=4)
    np.testing.assert_allclose(report.tests.influence.scores, each.scores, atol=1e-9 * scale)
    expected = model.group_influence(groups, X_test, y_test, aggregate="mean")
    np.testing.assert_allclose(report.groups.scores, expected.scores, atol=1e-9 * scale)
    read = json.loads(report.to_json())
    frame = report.overall.to_frame(4)
    assert [row["score"] for row in read["overall"]] == frame["score"].tolist()
    if name == "GaussianProcess-alphas":
        assert "no refit without a row can take" in report.not_checked
    else:
        assert len(report.check.rows) == 3
        assert read["check"]["slope"] == pytest.approx(report.check.slope, nan_ok=True)
    assert report.markdown().startswith("# Influence report")
    assert repr(report)


# ------------------------------------------------------------------------------------ what is shown

CLEAN = {
    "breast cancer": (load_breast_cancer, LogisticRegression()),
    "iris": (load_iris, LogisticRegression()),
    "wine": (load_wine, LogisticRegression()),
    "diabetes": (load_diabetes, Ridge()),
    "breast cancer in a forest": (load_breast_cancer, RandomForestClassifier(random_state=0)),
    "wine in histograms": (load_wine, HistGradientBoostingClassifier(max_iter=20)),
}


@pytest.mark.parametrize("name", CLEAN)
def test_clean_data_have_no_high_finding(name):
    load, estimator = CLEAN[name]
    X, y = load(return_X_y=True, as_frame=True)
    X, X_test, y, y_test = train_test_split(X, y, random_state=0)
    wrapper = InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor
    model = wrapper(make_pipeline(StandardScaler(), estimator)).fit(X, y)
    report = model.report(X_test, y_test, audit="histograms" not in name)
    assert report.check.fit_for == "values"
    assert {each.severity for each in report.findings} <= {"medium", "low", ""}
    assert finding(report, "SKI003").state == "not found"


def finding(report, code):
    (found,) = [each for each in report.findings if each.code == code]
    return found


FRAME = pd.DataFrame(REAL.X, columns=["a", "b", "c", "d"]).set_index(pd.Index(range(100, 160)))
TARGET = pd.Series(REAL.y, index=FRAME.index, name="price")
FRAME_TEST = pd.DataFrame(REAL.X_test, columns=FRAME.columns).set_index(pd.Index(range(5, 17)))
TARGET_TEST = pd.Series(REAL.y_test, index=FRAME_TEST.index)


@pytest.fixture(scope="module")
def model():
    return InfluenceRegressor(Ridge()).fit(FRAME, TARGET)


def test_the_test_rows_of_the_largest_loss_are_shown(model):
    report = model.report(FRAME_TEST, TARGET_TEST, check=3)
    losses = 0.5 * (model.predict(FRAME_TEST) - TARGET_TEST.to_numpy()) ** 2
    expected = np.argsort(-losses)[:5]
    assert report.tests.positions.tolist() == expected.tolist()
    assert report.tests.labels == FRAME_TEST.index[expected].tolist()
    np.testing.assert_allclose(report.tests.losses, losses[expected], rtol=1e-12)
    assert report.mean_loss == pytest.approx(losses.mean(), rel=1e-12)
    assert report.check.predicted.shape == (12, 3)
    assert report.check.test_labels[:5].tolist() == FRAME_TEST.index[expected].tolist()


@pytest.mark.parametrize(
    "rows, positions",
    [
        (pd.Index([7, 16]), [2, 11]),
        (slice(2, 4), [2, 3]),
        (np.arange(12) == 4, [4]),
    ],
)
def test_rows_by_label_or_position(model, rows, positions):
    report = model.report(FRAME_TEST, TARGET_TEST, test_rows=rows, check=0)
    assert report.tests.positions.tolist() == positions
    titles = [part.title for part in report.contents().sections[3].parts]
    assert titles == [f"Test row {FRAME_TEST.index[at]}" for at in positions]


def test_integers_are_positions_where_rows_have_no_labels_and_names_are_labels():
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    assert model.report(REAL.X_test, REAL.y_test, test_rows=3, check=0).tests.labels == [3]
    named = FRAME_TEST.set_index(np.array([f"row {i}" for i in range(12)]))
    report = model.report(named.to_numpy(), REAL.y_test, test_rows=[1, 0], check=0)
    assert report.tests.positions.tolist() == [1, 0]
    model = InfluenceRegressor(Ridge()).fit(FRAME, TARGET)
    report = model.report(named, REAL.y_test, test_rows=["row 4"], check=0)
    assert report.tests.positions.tolist() == [4]


@pytest.mark.parametrize(
    "given, message",
    [
        (
            {"test_rows": [5]},
            r"test_rows=\[5\] may be labels or positions: the test .*Pass pandas.Index\(labels\)",
        ),
        ({"test_rows": pd.Index([99])}, r"labels that no test row has: \[99\]"),
        ({"test_rows": []}, "test_rows is empty; at least one row is accepted"),
        ({"test_rows": np.ones(3, bool)}, r"every test row, shape \(12,\)"),
        ({"columns": ["nothing"]}, "'nothing' was asked for, and the rows have none"),
        ({"top": 0}, "top=0 was given; a number of rows, 1 or more, is accepted"),
        ({"top": True}, "top=True was given"),
        ({"check": -1}, "check=-1 was given; a number of rows, 0 or more"),
        (
            {"ignore": ["SKI999"]},
            r"\['SKI999'\] are no codes of findings. Accepted are SKI001: rows",
        ),
        ({"groups": "nothing"}, r"\['nothing'\] are no columns of the training rows"),
        (
            {"y_test": TARGET_TEST[:5]},
            "y_test has 5 targets, X_test has 12 rows. Pass the target of",
        ),
        ({"y_test": None}, "a report is about the loss of test rows, which needs their true"),
    ],
)
def test_what_is_not_accepted(model, given, message):
    y_test = given.pop("y_test", TARGET_TEST)
    with pytest.raises(ValueError, match=message):
        model.report(FRAME_TEST, y_test, **given)


def test_without_a_check_the_page_says_so(model):
    for check in (0, None):
        report = model.report(FRAME_TEST, TARGET_TEST, check=check)
        assert report.check is None
        assert report.contents().sections[0].lead == "Not checked: check=0 left the refits out."
        assert finding(report, "SKI003").state == "not looked for"
        assert json.loads(report.to_json())["check"]["verdict"] is None


def test_the_check_comes_first_with_its_verdict(model):
    report = model.report(FRAME_TEST, TARGET_TEST, groups=np.arange(60) % 2, audit=True)
    contents = report.contents()
    names = [section.name for section in contents.sections]
    assert names == ["check", "findings", "overall", "tests", "groups", "audit", "model"]
    assert contents.sections[0].lead == f"The scores are {report.check.verdict}."
    facts = contents.sections[-1].facts
    assert facts["estimator"] == "Ridge()"
    assert facts["training rows"] == "60"
    assert facts["SHA-256 of the training data"] == report.overall.facts["data"]


def test_the_audit_is_that_of_label_audit():
    weights = BINARY.s
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    model = InfluenceClassifier(pipeline).fit(BINARY.X, BINARY.y, sample_weight=weights)
    report = model.report(BINARY.X_test, BINARY.y_test, audit=True, check=0)
    expected = LabelAudit(pipeline).fit(BINARY.X, BINARY.y, sample_weight=weights)
    np.testing.assert_allclose(report.audit.quality, expected.label_quality_, rtol=1e-10)
    assert len(report.audit.left_aside)
    entry = json.loads(report.to_json())["audit"]
    frame = expected.suggest(20)
    assert [row["row"] for row in entry["rows"]] == frame["row"].tolist()
    assert [row["given_label"] for row in entry["rows"]] == frame["given_label"].tolist()


def test_a_model_that_came_fitted_is_audited_as_it_is():
    fitted = LogisticRegression(C=0.3).fit(BINARY.X, BINARY.y)
    model = InfluenceClassifier.from_fitted(fitted, BINARY.X, BINARY.y)
    report = model.report(BINARY.X_test, BINARY.y_test, audit=True, check=0)
    expected = LabelAudit(LogisticRegression(C=0.3)).fit(BINARY.X, BINARY.y)
    np.testing.assert_allclose(report.audit.quality, expected.label_quality_, rtol=1e-3)


def test_a_model_without_an_answer_says_why():
    tree = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5).fit(BINARY.X, BINARY.y)
    model = InfluenceClassifier.from_fitted(tree, BINARY.X, BINARY.y)
    report = model.report(BINARY.X_test, BINARY.y_test, audit=True, check=3)
    assert report.audit is None
    found = finding(report, "SKI004")
    assert found.state == "not looked for"
    assert "splits saw every row" in found.text
    assert "Not audited" in report.markdown()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_recorded_training():
    network = RecordedTraining(MLPClassifier((3,), max_iter=20, random_state=0))
    model = InfluenceClassifier(network, method="tracin").fit(BINARY.X, BINARY.y)
    report = model.report(BINARY.X_test, BINARY.y_test)
    assert report.check is None
    assert "method='tracin' was given" in report.not_checked
    expected = model.influence_scores(BINARY.X_test, BINARY.y_test, aggregate="mean")
    np.testing.assert_allclose(report.overall.scores, expected)
    grouped = model.report(BINARY.X_test, BINARY.y_test, groups=np.arange(60) % 3)
    assert grouped.groups is None
    assert "tracin" in finding(grouped, "SKI008").text
    assert (
        "tracin" in next(each for each in grouped.contents().sections if each.name == "groups").lead
    )


def test_warnings_are_listed_and_not_lost():
    network = MLPClassifier((3,), alpha=0.01, max_iter=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = InfluenceClassifier(network).fit(THREE.X, THREE.y)
    with pytest.warns(match="stopped before its stationary point"):
        report = model.report(THREE.X_test, THREE.y_test, check=3)
    assert any("stopped before its stationary point" in text for text in report.warned)
    assert finding(report, "SKI002").state == "found"
    found = finding(report, "SKI009")  # the same is not said twice
    assert "stopped before its stationary point" not in found.text
    X, y = BINARY.X, BINARY.y.astype(object)
    y[3] = "lonely"
    with pytest.warns(match="only ones of their class"):
        lonely = InfluenceClassifier(LogisticRegression()).fit(X, y).report(X, y, check=0)
    found = finding(lonely, "SKI009")
    assert (found.state, found.severity) == ("found", "medium")
    assert "only ones of their class" in found.text


def test_the_progress_is_shown(capsys):
    model = InfluenceRegressor(Ridge(), verbose=1).fit(REAL.X, REAL.y)
    model.report(REAL.X_test, REAL.y_test, check=3)
    assert "report: " in capsys.readouterr().err


def test_a_group_without_an_answer_says_why_and_the_report_stands():
    model = InfluenceClassifier(LogisticRegression()).fit(BINARY.X, BINARY.y)
    report = model.report(BINARY.X_test, BINARY.y_test, groups=BINARY.y, check=3)
    assert report.groups is None
    found = finding(report, "SKI008")
    assert found.state == "not looked for"
    assert "every row of a class" in found.text
    assert f"No scores: {found.text}" in [each.lead for each in report.contents().sections]
    assert json.loads(report.to_json())["groups"] is None
    assert report.check is not None


def test_integers_are_columns_by_position_where_columns_have_no_names():
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    report = model.report(REAL.X_test, REAL.y_test, columns=[2, np.int64(0), "y"], check=0)
    assert report.shown.names == ("x2", "x0", "y")
    position = json.loads(report.to_json())["overall"][0]["position"]
    own = json.loads(report.to_json())["overall"][0]["columns"]
    assert own == {"x2": REAL.X[position, 2], "x0": REAL.X[position, 0], "y": REAL.y[position]}
    assert model.report(REAL.X_test, REAL.y_test, columns=1, check=0).shown.names == ("x1",)
    frame = report.overall.to_frame(2, columns=[3])
    assert frame["x3"].tolist() == REAL.X[frame["position"], 3].tolist()
    for columns in ([5], [-1], [True]):
        with pytest.raises(ValueError, match="was asked for, and the rows have none"):
            model.report(REAL.X_test, REAL.y_test, columns=columns, check=0)
    named = InfluenceRegressor(Ridge()).fit(FRAME, TARGET)
    with pytest.raises(ValueError, match="The column 0 was asked for, and the rows have none"):
        named.report(FRAME_TEST, TARGET_TEST, columns=[0], check=0)


@pytest.mark.parametrize("came_fitted", [False, True])
def test_weighted_rows_and_models_that_came_fitted_against_refits(came_fitted):
    weights = np.random.default_rng(3).integers(0, 4, 60).astype(float)
    ridge = Ridge(alpha=0.7).fit(REAL.X, REAL.y, weights)
    model = (
        InfluenceRegressor.from_fitted(ridge, REAL.X, REAL.y, sample_weight=weights)
        if came_fitted
        else InfluenceRegressor(Ridge(alpha=0.7)).fit(REAL.X, REAL.y, sample_weight=weights)
    )
    groups = np.arange(60) % 4
    report = model.report(REAL.X_test, REAL.y_test, groups=groups, check=12)

    def losses(keep):
        fit = Ridge(alpha=0.7).fit(REAL.X[keep], REAL.y[keep], weights[keep])
        return 0.5 * (fit.predict(REAL.X_test) - REAL.y_test) ** 2

    whole = losses(np.arange(60))
    changes = np.array([losses(np.arange(60) != i) - whole for i in range(60)])
    scale = np.abs(changes).max()
    np.testing.assert_allclose(report.overall.scores, changes.mean(axis=1), atol=1e-9 * scale)
    together = [(losses(groups != group) - whole).mean() for group in range(4)]
    np.testing.assert_allclose(report.groups.scores, together, rtol=1e-8)
    assert report.mean_loss == pytest.approx(whole.mean(), rel=1e-12)
    assert report.tests.losses == pytest.approx(np.sort(whole)[::-1][:5], rel=1e-12)
    np.testing.assert_allclose(
        report.check.actual,
        changes[report.check.rows][:, [*map(int, report.check.test_labels)]].T,
        atol=1e-9 * scale,
    )


# ------------------------------------------------------------------------------ columns and secrets


def test_an_estimator_of_any_kind_is_shown_without_its_lists():
    rows = GivenRows(np.zeros((3, 2)), np.zeros(3))
    shown = Shown.of(rows, rows, ["x0"], classifier=False)
    for name in CONVEX:
        given = CONVEX[name].estimator
        before, text = repr(given), shown.estimator(given)
        assert text.startswith(type(given).__name__), name
        assert "[" not in text.replace("steps=[", "").replace("estimators=[", ""), (name, text)
        assert repr(given) == before, name
    assert shown.estimator(RidgeCV(alphas=np.array([0.125, 876543.0]))) == "RidgeCV(alphas=…)"
    kernel = GaussianProcessRegressor(1.5 * RBF([876543.0, 2.0]))
    assert "876543" not in shown.estimator(kernel)


SECRET = "Zanzibar"


def secret_case():
    """Return rows with secrets in text, category and label, and a number that stands out."""
    rng = np.random.default_rng(0)
    n = 90
    X = pd.DataFrame({"age": rng.standard_normal(n), "income": rng.standard_normal(n)})
    X["town"] = np.where(rng.random(n) < 0.5, f"{SECRET} town", f"{SECRET} city")
    X["code"] = 7771777 + rng.integers(0, 5, n)
    y = np.where(X["age"] + 0.5 * rng.standard_normal(n) > 0, f"{SECRET} yes", f"{SECRET} no")
    y = pd.Series(y, name="ill", dtype=object)
    y.iloc[3] = f"{SECRET} lonely"
    X.iloc[10] = X.iloc[11]
    steps = make_column_transformer(
        (StandardScaler(), ["age", "income", "code"]),
        (OneHotEncoder(categories=[[f"{SECRET} city", f"{SECRET} town"]]), ["town"]),
    )
    labels = {each: 1.0 for each in sorted(set(y))}
    model = InfluenceClassifier(make_pipeline(steps, LogisticRegression(class_weight=labels)))
    return model, X, y


@pytest.mark.filterwarnings("ignore:The training rows")
@pytest.mark.filterwarnings("ignore:LogisticRegression")
@pytest.mark.parametrize("columns", [["age", "income"], False, "income"])
def test_what_is_not_chosen_is_nowhere(columns):
    model, X, y = secret_case()
    model.fit(X[:60], y[:60])
    report = model.report(X[60:], y[60:], columns=columns, audit=True, check=3)
    assert finding(report, "SKI007").state == "found"
    assert any(part.pictures for part in report.contents().sections)
    for output in written(report):
        assert SECRET not in output
        assert "777177" not in output


def written(report):
    """Return all that a report writes, and what its pictures say."""
    outputs = [report.markdown(), report.to_json(), repr(report), repr(report.findings)]
    outputs += [*report.warned, report.not_checked]
    if find_spec("jinja2") is not None:
        outputs += [report.html(), report.html_snippet()]
    for part in report.contents().sections:
        for picture in part.pictures:
            picture.display.plot()
            drawn = picture.display.figure_.findobj(lambda one: hasattr(one, "get_text"))
            outputs += [picture.name, *(one.get_text() for one in drawn)]
    return outputs


def as_numbers(frame, vip=None):
    """Return a day as a number; a transformer whose parameter is a secret."""
    return frame.to_numpy().astype("datetime64[D]").astype(float)


@pytest.mark.filterwarnings("ignore")
def test_values_in_any_parameter_are_nowhere():
    rng = np.random.default_rng(0)
    n = 90
    X = pd.DataFrame({"age": rng.standard_normal(n)})
    X["day"] = pd.to_datetime(np.where(rng.random(n) < 0.5, "1987-06-05", "1988-07-06"))
    X["pay"] = np.where(rng.random(n) < 0.5, 876543.0, 765432.0)
    X["town"] = np.where(rng.random(n) < 0.5, "SEC A", "SEC B")
    y = pd.Series(X["age"] + rng.standard_normal(n) > 0, name="ill")
    days = [pd.Timestamp("1987-06-05"), pd.Timestamp("1988-07-06")]
    steps = make_column_transformer(
        ("passthrough", ["age"]),
        (OneHotEncoder(categories=[days]), ["day"]),
        (OrdinalEncoder(categories=[[765432.0, 876543.0]]), ["pay"]),
        (OneHotEncoder(categories=[np.array(["SEC A", "SEC B"])], dtype=float), ["town"]),
        (FunctionTransformer(as_numbers, kw_args={"vip": "SEC A in context"}), ["day"]),
    )
    weights = {False: 1.0, True: 2.0}
    model = InfluenceClassifier(
        make_pipeline(steps, StandardScaler(), LogisticRegression(C=0.25, class_weight=weights))
    ).fit(X[:60], y[:60])
    groups = y[:60].to_numpy()
    report = model.report(X[60:], y[60:], columns=["age"], audit=True, groups=groups, check=3)
    assert "class_weight=" in finding(report, "SKI009").text
    assert "every row of a class" in finding(report, "SKI008").text
    outputs = written(report)
    for output in outputs:
        for secret in ("SEC", "1987-06", "876543", "765432", "False:", "True:", "[False", "[True"):
            assert secret not in output
    shown = report.facts["estimator"]
    assert "LogisticRegression(C=0.25, class_weight=…)" in shown
    assert "('onehotencoder-1', OneHotEncoder(categories" in shown
    assert model.estimator_.get_params()["logisticregression__class_weight"] == weights
    everything = model.report(X[60:], y[60:], check=0)
    assert "False: 1.0, True: 2.0" in everything.facts["estimator"]


@pytest.mark.parametrize(
    "message, shown",
    [
        (
            "Found unknown categories ['SEC A'] in column 0",
            "Found unknown categories […] in column 0",
        ),
        ("Unknown [876543.0\n 1.5] or {False: 1}, twice", "Unknown […] or […], twice"),
        ("could not convert string to float: 'SEC ] A'", "could not convert string to float: '…'"),
        ("not b'SEC A', nor \"it's SEC\": no", "not '…': no"),
        ("(class True against the rest); class 17", "(class … against the rest); class 17"),
        ("cut off ['SEC", "cut off […]"),
        ("[876543.0] and [SEC ] A], then", "[…], then"),
        ("The rows [3, 5] are without {7}.", "The rows […] are without […]."),
        ("the rows' own; method='exact' is nearer", "the rows' own; method='exact' is nearer"),
    ],
)
def test_messages_are_shown_without_what_may_be_values(message, shown):
    y = np.array([False, True, True])
    rows = GivenRows(np.zeros((3, 2)), y)
    assert Shown.of(rows, rows, ["x0"], classifier=True).text(message) == shown
    assert Shown.of(rows, rows, True, classifier=True).text(message) == message


def test_own_columns_leave_the_facts_of_a_test_row_as_they_are():
    names = ["loss", "given", "predicted", "loss (own column)"]
    X, X_test = (pd.DataFrame(each, columns=names) for each in (REAL.X, REAL.X_test))
    model = InfluenceRegressor(Ridge()).fit(X, REAL.y)
    report = model.report(X_test, REAL.y_test, check=0)
    part, at = report.contents().sections[3].parts[0], report.tests.positions[0]
    loss = 0.5 * (model.predict(X_test)[at] - REAL.y_test[at]) ** 2
    assert float(part.facts["loss"]) == pytest.approx(loss, rel=1e-3)
    assert float(part.facts["given"]) == pytest.approx(REAL.y_test[at])
    assert float(part.facts["predicted"]) == pytest.approx(model.predict(X_test)[at])
    own = ["loss (own column)", "given (own column)", "predicted (own column)"]
    values = [float(part.facts[name]) for name in [*own, "loss (own column) (own column)"]]
    assert values == pytest.approx(REAL.X_test[at])
    assert "loss (own column)" in report.markdown()
    test = json.loads(report.to_json())["tests"][0]
    assert test["loss"] == pytest.approx(loss)
    assert test["columns"]["loss"] == REAL.X_test[at, 0]


@pytest.mark.filterwarnings("ignore:The training rows")
@pytest.mark.filterwarnings("ignore:LogisticRegression")
def test_what_is_chosen_is_shown():
    model, X, y = secret_case()
    model.fit(X[:60], y[:60])
    report = model.report(X[60:], y[60:], columns=["town", "ill"], check=3)
    read = json.loads(report.to_json())
    first = read["overall"][0]
    assert first["columns"] == {"town": X["town"][first["row"]], "ill": y[first["row"]]}
    test = read["tests"][0]
    assert test["given"] == y[test["test"]]
    assert test["predicted"] == model.predict(X[60:])[test["position"]]
    assert test["columns"] == {"town": X["town"][test["test"]]}
    assert f"class {SECRET} lonely has 1 row" in finding(report, "SKI007").text.replace("C", "c")
    assert read["data"]["columns"] == ["town", "ill"]
    assert read["data"]["columns_not_shown"] == 3


def test_by_default_at_most_twelve_columns_and_the_target_are_shown(model):
    report = model.report(FRAME_TEST, TARGET_TEST, check=0)
    assert report.shown.names == ("price", "a", "b", "c", "d")
    assert report.shown.remark() == ""
    wide = pd.DataFrame(np.random.default_rng(0).standard_normal((60, 20))).add_prefix("f")
    report = InfluenceRegressor(Ridge()).fit(wide, TARGET).report(wide[:9], TARGET[:9], check=0)
    assert report.shown.names == ("price", *(f"f{j}" for j in range(11)))
    assert report.shown.remark().startswith("9 of 21 columns of the rows are not shown; columns=")
    assert report.shown.remark() in report.contents().sections[2].text
    full = InfluenceRegressor(Ridge()).fit(wide, TARGET)
    assert len(full.report(wide[:9], TARGET[:9], check=0, columns=True).shown.names) == 21


def test_several_targets_are_shown_each_by_itself():
    y = pd.DataFrame(REALS.y, columns=["north", "east", "west"])
    model = InfluenceRegressor(Ridge()).fit(REALS.X, y)
    report = model.report(REALS.X_test, REALS.y_test, columns=["x0", "east"], check=0, audit=True)
    test = json.loads(report.to_json())["tests"][0]
    at = test["position"]
    assert test["given east"] == REALS.y_test[at, 1]
    assert test["predicted east"] == pytest.approx(model.predict(REALS.X_test)[at, 1])
    assert "given north" not in test
    assert "west" not in report.markdown().replace("columns of the rows are not shown", "")


# ------------------------------------------------------------------------------------ kinds of rows


def test_rows_that_are_sparse_lists_or_of_another_library_give_the_same():
    plain = InfluenceClassifier(LogisticRegression(tol=1e-10)).fit(BINARY.X, BINARY.y)
    expected = json.loads(plain.report(BINARY.X_test, BINARY.y_test, columns=["y"]).to_json())
    for kind in (sparse.csr_array, sparse.csc_matrix, np.ndarray.tolist):
        model = InfluenceClassifier(LogisticRegression(tol=1e-10))
        model.fit(kind(BINARY.X), BINARY.y.tolist())
        report = model.report(kind(BINARY.X_test), BINARY.y_test.tolist(), columns=["y"])
        read = json.loads(report.to_json())
        assert [row["row"] for row in read["overall"]] == [
            row["row"] for row in expected["overall"]
        ]
        assert [row["test"] for row in read["tests"]] == [row["test"] for row in expected["tests"]]
        states = [each["state"] for each in read["findings"]]
        assert states == [each["state"] for each in expected["findings"]]
    default = model.fit(sparse.csr_array(BINARY.X), BINARY.y).report(
        sparse.csr_array(BINARY.X_test), BINARY.y_test, check=0
    )
    assert default.shown.names == ("y",)


def test_polars():
    polars = pytest.importorskip("polars")
    X = polars.DataFrame(BINARY.X, schema=["a", "b", "c", "d"])
    X_test = polars.DataFrame(BINARY.X_test, schema=["a", "b", "c", "d"])
    y, y_test = polars.Series("pays", BINARY.y), polars.Series("pays", BINARY.y_test)
    model = InfluenceClassifier(LogisticRegression()).fit(X, y)
    report = model.report(X_test, y_test, check=3)
    read = json.loads(report.to_json())
    assert read["data"]["columns"] == ["pays", "a", "b", "c", "d"]
    first = read["overall"][0]
    assert first["columns"]["b"] == BINARY.X[first["position"], 1]
    assert "harms" in report.markdown()


def test_texts_and_their_copies():
    rng = np.random.default_rng(0)
    words = {"spam": ["win", "cash", "prize", "now"], "ham": ["see", "you", "at", "lunch"]}
    truth = np.array(["spam", "ham"])[rng.integers(0, 2, 60)]
    texts = [" ".join(rng.choice(words[each], 4)) + f" {i}" for i, each in enumerate(truth)]
    texts[50] = texts[7]
    model = InfluenceClassifier(make_pipeline(TfidfVectorizer(), LogisticRegression()))
    model.fit(texts[:40], truth[:40])
    report = model.report(texts[40:], truth[40:], check=3)
    first = json.loads(report.to_json())["overall"][0]
    assert first["columns"]["text"] == texts[first["row"]]
    found = finding(report, "SKI005")
    same = truth[50] == truth[7]
    assert (f"1 of {20} test rows" in found.text) == same
    assert found.state == "found"
