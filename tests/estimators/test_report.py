"""Reports of every family of models: they are made, and their numbers are those of the questions."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from skinfluence import InfluenceClassifier, InfluenceRegressor, LabelAudit
from skinfluence.inspection.report.findings import TITLES
from skinfluence.models import RecordedTraining
from skinfluence.removal.leverages import quadratic_forms
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
    assert report.check is not None, report.not_checked
    assert len(report.check.rows) == 3

    read = json.loads(report.to_json())
    frame = report.overall.to_frame(4)
    assert [row["score"] for row in read["overall"]] == frame["score"].tolist()
    assert read["check"]["slope"] == pytest.approx(report.check.slope, nan_ok=True)
    assert report.markdown().startswith("# Influence report")
    assert report.html_snippet()
    assert repr(report)
