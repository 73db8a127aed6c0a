"""Deletion of the whole: transformers fitted anew, one deletion after another, and certificates.

The judge is scikit-learn's fit of the user's own Pipeline without the rows, its final step with a
solver that converges; of networks the twin's minimum, of chains over the model table the twins'.
"""

import pickle
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone, is_classifier
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import KNNImputer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeCV,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    Normalizer,
    OneHotEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.utils import get_tags

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.inspection import Certificate
from skinfluence.models import RecordedTraining
from tests import network_twins
from tests.adapters.test_resampling import Drawing, sampling
from tests.cases import classification
from tests.estimators.test_models import (
    NAMED,
    OF_EACH_KIND,
    every,
    fitted,
    is_refitted,
    minimiser_without,
    optimum,
    raw_of,
)
from tests.networks import OLD

pytestmark = pytest.mark.filterwarnings("ignore:`TargetEncoder.shuffle`:FutureWarning")

N = 90


def people():
    """Return a frame with labels, numbers, gaps and kinds, one of which a single row has."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.standard_normal((N + 12, 3)), columns=["x0", "x1", "x2"])
    X.index = [f"row {i}" for i in range(N + 12)]
    X["kind"] = rng.choice(["brick", "stone", "wood"], N + 12)
    X.loc["row 5", "kind"] = "glass"
    return X


X = people()
NUMBERS = X[["x0", "x1", "x2"]] * [1.0, 5.0, 0.2] + [0.0, 3.0, 10.0]
NOISE = np.random.default_rng(1).standard_normal(N + 12)
SCORE = (X["x0"] - X["x1"] + (X["kind"] == "wood") + NOISE).to_numpy()
CLASSES = np.where(SCORE > 0.3, "yes", "no")
THREE = np.array(["a", "b", "c"])[np.digitize(SCORE, [-0.5, 1.0])]
COUNTS = np.random.default_rng(2).poisson(np.exp(0.3 * SCORE))
WORDS = {"no": "dull plot weak cast long boring", "yes": "great plot joy cast fine story"}
DELETED = [5, 17, 18, 40, 77]


def texts():
    rng, every_word = np.random.default_rng(3), " ".join(WORDS.values()).split()
    found = [[*rng.choice(WORDS[y].split(), 2), *rng.choice(every_word, 4)] for y in CLASSES]
    lines = [" ".join(words) for words in found]
    lines[5] += " unmentionable"  # a word that one deleted row has
    return np.array(lines)


def with_gaps():
    gaps = NUMBERS.copy()
    gaps[np.random.default_rng(4).random(gaps.shape) < 0.1] = np.nan
    return gaps


def columns(*encoder):
    return make_column_transformer(*encoder, (StandardScaler(), ["x0", "x1", "x2"]))


def logistic(**params):
    return LogisticRegression(**{"C": 0.7, "solver": "newton-cholesky", "tol": 1e-12, **params})


@dataclass(frozen=True)
class Case:
    """A Pipeline over raw rows, and the tightest fit of the same one."""

    pipeline: Any
    X: Any
    y: Any
    tight: Any = None
    tolerance: float = 1e-8

    def fit(self, **params):
        kind = InfluenceClassifier if is_classifier(self.pipeline) else InfluenceRegressor
        return kind(self.pipeline, **params).fit(self.X[:N], self.y[:N])

    def refit(self, gone):
        """Return scikit-learn's fit without rows."""
        kept = np.delete(np.arange(N), gone)
        rows = self.X.iloc[kept] if hasattr(self.X, "iloc") else self.X[kept]
        return clone(self.tight or self.pipeline).fit(rows, self.y[kept])

    def agrees(self, left, refit):
        test = self.X[N:]
        found, expected = (raw(one, test) for one in (left.estimator_, refit))
        assert np.linalg.norm(found - expected) <= self.tolerance * np.linalg.norm(expected)
        labels, judged = left.predict(test), refit.predict(test)
        if is_classifier(self.pipeline):
            np.testing.assert_array_equal(labels, judged)
        else:
            np.testing.assert_allclose(labels, judged, rtol=100 * self.tolerance)


def raw(estimator, X):
    named = getattr(estimator, "decision_function", estimator.predict)
    return np.asarray(named(X), dtype=np.float64)


SMOOTH = np.column_stack([SCORE, COUNTS + SCORE])
SQUARED = {"C": 0.5, "dual": False, "tol": 1e-12, "max_iter": 10000}
CASES = {
    "scaler": Case(
        make_pipeline(StandardScaler(), logistic(solver="lbfgs", tol=1e-4)),
        NUMBERS,
        CLASSES,
        make_pipeline(StandardScaler(), logistic()),
    ),
    "balanced": Case(
        make_pipeline(StandardScaler(), logistic(class_weight="balanced")), NUMBERS, THREE
    ),
    "columns": Case(
        make_pipeline(
            columns((OneHotEncoder(handle_unknown="ignore"), ["kind"])),
            logistic(fit_intercept=False),
        ),
        X,
        THREE,
    ),
    "target-encoder": Case(
        make_pipeline(columns((TargetEncoder(random_state=0), ["kind"])), logistic()), X, CLASSES
    ),
    "text": Case(make_pipeline(TfidfVectorizer(), logistic(solver="newton-cg")), texts(), CLASSES),
    "text-svm": Case(
        # liblinear stops at 2e-8 on sparse rows, whatever its tolerance
        make_pipeline(TfidfVectorizer(), LinearSVC(**SQUARED)),
        texts(),
        CLASSES,
        tolerance=1e-7,
    ),
    "pca": Case(make_pipeline(StandardScaler(), PCA(2), Ridge(solver="svd")), NUMBERS, SCORE),
    "imputer": Case(make_pipeline(KNNImputer(), Ridge(solver="svd")), with_gaps(), SCORE),
    "poisson": Case(
        make_pipeline(
            StandardScaler(), PoissonRegressor(alpha=0.1, solver="newton-cholesky", tol=1e-12)
        ),
        NUMBERS,
        COUNTS,
    ),
    "l1": Case(
        make_pipeline(StandardScaler(), ElasticNet(0.2, tol=1e-14, max_iter=100000)), NUMBERS, SCORE
    ),
    "kernel": Case(
        make_pipeline(StandardScaler(), KernelRidge(kernel="rbf", gamma=0.3)), NUMBERS, SCORE
    ),
    "svc": Case(make_pipeline(StandardScaler(), SVC(tol=1e-9)), NUMBERS, CLASSES),
    "target": Case(
        TransformedTargetRegressor(
            make_pipeline(StandardScaler(), Ridge(solver="svd")), transformer=StandardScaler()
        ),
        NUMBERS,
        SCORE,
    ),
    "several": Case(
        make_pipeline(StandardScaler(), MultiOutputRegressor(Ridge(solver="svd"))), NUMBERS, SMOOTH
    ),
    "alone": Case(logistic(solver="lbfgs", tol=1e-4), NUMBERS, CLASSES, logistic()),
    "sampler": Case(sampling(StandardScaler(), Drawing(), logistic()), NUMBERS.to_numpy(), CLASSES),
}
cases = pytest.mark.parametrize("name", CASES)


@cases
def test_everything_fitted_anew_is_the_refit_of_the_pipeline(name):
    case = CASES[name]
    left = case.fit().without(positions=DELETED, transformers="refit")
    refit = case.refit(DELETED)
    case.agrees(left, refit)
    assert type(left.estimator_) is type(refit)
    assert b"skinfluence" not in pickle.dumps(left.estimator_) or name == "sampler"
    certificate = left.certificate_
    assert (certificate.transformers, certificate.in_transformers) == ("refit", ())
    assert certificate.in_choices == certificate.in_records == ()
    if name != "svc":
        assert certificate.gradient_norm < 1e-8


@cases
def test_more_rows_leave_what_was_fitted_anew(name):
    case = CASES[name]
    first = case.fit().without(positions=DELETED, transformers="refit")
    later = [0, 30, 60]  # which were 0, 33 and 64
    again = first.without(positions=later, transformers="refit")
    case.agrees(again, case.refit([*DELETED, 0, 33, 64]))
    assert again.certificate_.rows.tolist() == [*DELETED, 0, 33, 64]
    frozen = first.without(positions=later)
    assert frozen.certificate_.fitted_anew == 1
    if isinstance(first.estimator_, sklearn.pipeline.Pipeline) and name not in ("sampler", "svc"):
        steps = case.refit(DELETED)
        kept = np.delete(np.arange(N), [*DELETED, 0, 33, 64])
        rows = case.X.iloc[kept] if hasattr(case.X, "iloc") else case.X[kept]
        if name != "target-encoder":  # whose training features only its own fit gives
            final = clone((case.tight or case.pipeline)[-1]).fit(
                steps[:-1].transform(rows), case.y[kept]
            )
            expected = raw(final, steps[:-1].transform(case.X[N:]))
            np.testing.assert_allclose(
                raw(frozen.estimator_, case.X[N:]), expected, rtol=1e-6, atol=1e-8
            )


def test_frozen_and_refitted_transformers_differ():
    case = CASES["scaler"]
    model = case.fit()
    frozen, anew = (
        model.without(positions=DELETED, transformers=each) for each in ("frozen", "refit")
    )
    refit = case.refit(DELETED)
    np.testing.assert_array_equal(frozen.estimator_[0].mean_, model.estimator_[0].mean_)
    np.testing.assert_allclose(anew.estimator_[0].mean_, refit[0].mean_, rtol=1e-13)
    assert np.abs(raw(frozen, NUMBERS[N:]) - raw(refit, NUMBERS[N:])).max() > 1e-4


def test_a_word_of_a_deleted_text_is_gone():
    model = CASES["text"].fit()
    for transformers, has_it in (("frozen", True), ("refit", False)):
        left = model.without(positions=DELETED, transformers=transformers)
        assert (b"unmentionable" in pickle.dumps(left.estimator_)) == has_it


def test_what_is_left_answers_as_a_fresh_fit():
    case = CASES["columns"]
    left = case.fit().without(positions=DELETED, transformers="refit")
    kept = np.delete(np.arange(N), DELETED)
    fresh = InfluenceClassifier(case.pipeline).fit(X.iloc[kept], case.y[kept])
    test = X[N:], case.y[N:]
    for method in ("newton", "exact"):
        scores = [one.influence_scores(*test, method=method) for one in (left, fresh)]
        np.testing.assert_allclose(*scores, rtol=1e-6, atol=1e-9)
    check = left.leave_one_out_check(*test, rows=5, method="exact", refit="pipeline")
    assert check.refit == "pipeline"


def test_weights_reach_whom_they_reached():
    s = np.random.default_rng(5).uniform(0.5, 2.0, N)
    kept = np.delete(np.arange(N), DELETED)
    pipeline = make_pipeline(StandardScaler(), logistic())
    model = InfluenceClassifier(pipeline).fit(NUMBERS[:N], CLASSES[:N], s)
    left = model.without(positions=DELETED, transformers="refit")
    weights = dict.fromkeys(
        ("standardscaler__sample_weight", "logisticregression__sample_weight"), s[kept]
    )
    expected = clone(pipeline).fit(NUMBERS.iloc[kept], CLASSES[kept], **weights)
    np.testing.assert_allclose(raw(left, NUMBERS[N:]), raw(expected, NUMBERS[N:]), rtol=1e-8)


@pytest.mark.parametrize(
    "network", [False, pytest.param(True, marks=pytest.mark.skipif(OLD, reason="takes no weights"))]
)
def test_weights_that_were_routed(network):
    s = np.random.default_rng(5).uniform(0.5, 2.0, N)
    kept = np.delete(np.arange(N), DELETED)
    with sklearn.config_context(enable_metadata_routing=True):
        final = tanh(MLPRegressor) if network else Ridge(solver="svd")
        final = final.set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), final)
        model = InfluenceRegressor(pipeline).fit(NUMBERS[:N], SCORE[:N], sample_weight=s)
    left = model.without(positions=DELETED, transformers="refit")
    features = StandardScaler().fit(NUMBERS.iloc[kept]).transform(NUMBERS)
    if network:
        twin = network_twins.twin_of(model.estimator_[-1], features[kept], SCORE[kept], s[kept])
        theta = network_twins.theta_of(left.estimator_[-1])
        assert np.linalg.norm(twin.gradient(theta)) < 1e-7
        return
    expected = Ridge(solver="svd").fit(features[kept], SCORE[kept], s[kept])
    np.testing.assert_allclose(left.predict(NUMBERS[N:]), expected.predict(features[N:]), rtol=1e-9)


# -------------------------------------------------------------------------- what was chosen stays

PROCESS = GaussianProcessRegressor(1.0 * RBF(1.0) + WhiteKernel(0.5), random_state=0)
CHOOSING = {
    "search": (
        GridSearchCV(
            make_pipeline(StandardScaler(), Ridge(solver="svd")), {"ridge__alpha": [0.1, 30.0]}
        ),
        lambda fitted: make_pipeline(
            StandardScaler(), Ridge(fitted.best_params_["ridge__alpha"], solver="svd")
        ),
        "GridSearchCV: ridge__alpha=",
    ),
    "ridge": (
        make_pipeline(StandardScaler(), RidgeCV([0.1, 30.0])),
        lambda fitted: make_pipeline(StandardScaler(), Ridge(fitted[-1].alpha_, solver="svd")),
        "RidgeCV: alpha=",
    ),
    "net": (
        make_pipeline(StandardScaler(), ElasticNetCV(l1_ratio=[0.2, 0.9])),
        lambda fitted: make_pipeline(
            StandardScaler(),
            ElasticNet(
                fitted[-1].alpha_, l1_ratio=fitted[-1].l1_ratio_, tol=1e-14, max_iter=100000
            ),
        ),
        "ElasticNetCV: alpha=",
    ),
    "process": (
        make_pipeline(StandardScaler(), PROCESS),
        lambda fitted: make_pipeline(
            StandardScaler(), GaussianProcessRegressor(fitted[-1].kernel_, optimizer=None)
        ),
        "GaussianProcessRegressor: kernel=",
    ),
}


@pytest.mark.parametrize("name", CHOOSING)
def test_hyper_parameters_that_were_chosen_are_kept_and_named(name):
    estimator, judge, words = CHOOSING[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = InfluenceRegressor(estimator).fit(NUMBERS[:N], SCORE[:N])
    left = model.without(positions=DELETED, transformers="refit")
    kept = np.delete(np.arange(N), DELETED)
    expected = judge(model.estimator_).fit(NUMBERS.iloc[kept], SCORE[kept])
    np.testing.assert_allclose(left.predict(NUMBERS[N:]), expected.predict(NUMBERS[N:]), rtol=1e-7)
    later = left.without(positions=[0])
    for one in (left, later, model.without(positions=DELETED)):
        (choice,) = one.certificate_.in_choices
        assert choice.startswith(words)
        assert choice in " ".join(one.certificate_.summary().split())
    tables = model.without(positions=DELETED).certificate_.in_records
    assert ("GridSearchCV: cv_results_" in tables) == (name == "search")
    assert left.certificate_.in_records == ()


def test_parts_that_chose_differently_cannot_be_fitted_anew():
    steps = make_pipeline(StandardScaler(), MultiOutputRegressor(RidgeCV([0.1, 300.0])))
    y = np.column_stack([SCORE, np.random.default_rng(8).standard_normal(N + 12)])
    model = InfluenceRegressor(steps).fit(NUMBERS[:N], y[:N])
    with pytest.raises(ValueError, match="The parts of MultiOutputRegressor chose hyper-param"):
        model.without(positions=[3], transformers="refit")
    assert len(model.without(positions=[3]).certificate_.in_choices) == 2


def test_gamma_of_a_machine_is_that_of_the_rows_that_stay_or_named():
    model = InfluenceClassifier(SVC()).fit(NUMBERS[:N], CLASSES[:N])
    (choice,) = model.without(positions=[3]).certificate_.in_choices
    assert choice == "SVC: the number that gamma='scale' was"
    left = model.without(positions=[3], transformers="refit")
    assert left.certificate_.in_choices == ()
    assert left.estimator_.gamma == pytest.approx(
        1.0 / (3 * NUMBERS[:N].drop("row 3").to_numpy().var())
    )


# --------------------------------------------------------------------------------------- networks


def tanh(kind, **params):
    made = {"activation": "tanh", "solver": "lbfgs", "alpha": 1.0, "max_iter": 5000, "tol": 1e-8}
    return kind(hidden_layer_sizes=(3,), random_state=0, **{**made, **params})


def test_a_network_goes_on_to_the_minimum_next_to_its_fit():
    steps = make_pipeline(StandardScaler(), tanh(MLPClassifier))
    model = InfluenceClassifier(steps).fit(NUMBERS[:N], CLASSES[:N])
    left = model.without(positions=DELETED, transformers="refit")
    kept = np.delete(np.arange(N), DELETED)
    features = StandardScaler().fit(NUMBERS.iloc[kept]).transform(NUMBERS)
    net = model.estimator_[-1]
    twin = network_twins.twin_of(net, features[kept], CLASSES[kept])
    theta = network_twins.minimise(twin, network_twins.theta_of(net))
    expected = twin.raw(theta, features[N:])
    found = twin.raw(network_twins.theta_of(left.estimator_[-1]), features[N:])
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        left.predict_proba(NUMBERS[N:])[:, 1], 1 / (1 + np.exp(-found[:, 0]))
    )
    assert left.estimator_[-1].get_params() == net.get_params()
    assert "loss_" in left.certificate_.in_records[0]


def test_a_recorded_training_is_a_plain_network_then():
    steps = make_pipeline(
        StandardScaler(), RecordedTraining(tanh(MLPClassifier, solver="adam"), epochs=60)
    )
    model = InfluenceClassifier(steps).fit(NUMBERS[:N], CLASSES[:N])
    left = model.without(positions=DELETED, transformers="refit")
    assert type(left.estimator_[-1]) is MLPClassifier
    assert left.certificate_.gradient_norm < 1e-6


def test_a_network_takes_no_other_features():
    steps = make_pipeline(columns((OneHotEncoder(), ["kind"])), tanh(MLPClassifier))
    model = InfluenceClassifier(steps).fit(X[:N], CLASSES[:N])
    with pytest.raises(ValueError, match="other features without these rows"):
        model.without(positions=DELETED, transformers="refit")


# -------------------------------------------------------------------------------- what is refused


def test_what_cannot_be_fitted_anew_is_refused():
    case = CASES["scaler"]
    model = case.fit()
    with pytest.raises(ValueError, match=r"transformers='thawed' was given; accepted are 'frozen'"):
        model.without(positions=[3], transformers="thawed")
    for method in ("newton", "first_order", "auto"):
        with pytest.raises(ValueError, match=r"no optimum yet .* Use method='exact'"):
            model.without(positions=[3], transformers="refit", method=method)
    frozen = {
        "pipeline": FrozenEstimator(case.refit([])),
        "target": FrozenEstimator(CASES["target"].refit([])),
        "search": FrozenEstimator(
            GridSearchCV(CASES["pca"].pipeline, {"ridge__alpha": [1.0]}).fit(NUMBERS, SCORE)
        ),
    }
    for name, estimator in frozen.items():
        kind, y = (
            (InfluenceClassifier, CLASSES) if name == "pipeline" else (InfluenceRegressor, SCORE)
        )
        one = kind(estimator, refine=True).fit(NUMBERS[:N], y[:N])
        with pytest.raises(ValueError, match="a FrozenEstimator keeps the transformers"):
            one.without(positions=[3], transformers="refit")
        with pytest.raises(ValueError, match="a FrozenEstimator keeps the transformers"):
            one.leave_one_out_check(NUMBERS[N:], y[N:], rows=3, refit="pipeline")


def test_separated_rows_have_no_model_either_way():
    data = classification(n=40, p=2, labels=["no", "yes"], seed=3)
    wrong = np.flatnonzero(LogisticRegression(C=1e6).fit(data.X, data.y).predict(data.X) != data.y)
    model = InfluenceClassifier(
        make_pipeline(StandardScaler(), LogisticRegression(C=np.inf, max_iter=1000))
    ).fit(data.X, data.y)
    for transformers in ("frozen", "refit"):
        with pytest.raises(ValueError, match="penalty"):
            model.without(positions=wrong, transformers=transformers)


# ------------------------------------------------------------------------ one after the other

ORDER = np.random.default_rng(5).permutation(40)[:20]


def one_after_the_other(model, rows, **params):
    for k, row in enumerate(rows):  # a position falls by one for every row before it that left
        model = model.without(positions=[row - np.sum(rows[:k] < row)], **params)
    return model


@pytest.mark.slow_rows(where=lambda name: name not in OF_EACH_KIND)
@every(where=lambda model: not is_refitted(model))
def test_twenty_deletions_are_one_refit(name):
    data, (twin, _) = NAMED[name].data, optimum(name)
    left = one_after_the_other(fitted(name), ORDER)
    found = raw_of(left.estimator_, data.X_test)
    expected = twin.raw(minimiser_without(name, tuple(ORDER)), data.X_test)[:, : found.shape[1]]
    assert np.linalg.norm(found - expected) < 1e-8 * np.linalg.norm(expected)
    np.testing.assert_array_equal(left.certificate_.rows, ORDER)
    np.testing.assert_array_equal(left.certificate_.deletions, np.arange(1, 21))


NOT_ALONE = ("GaussianProcess-alphas", "GridSearch-pipeline")


@pytest.mark.slow_rows(where=lambda name: name not in OF_EACH_KIND)
@every(where=lambda model: not is_refitted(model) and model.name not in NOT_ALONE)
def test_a_fit_anew_is_at_the_minimum(name):
    data, (twin, _) = NAMED[name].data, optimum(name)
    left = fitted(name).without(positions=ORDER[:8], transformers="refit")
    found = raw_of(left.estimator_, data.X_test)
    expected = twin.raw(minimiser_without(name, tuple(ORDER[:8])), data.X_test)
    expected = expected[:, : found.shape[1]]
    assert np.linalg.norm(found - expected) < 1e-9 * np.linalg.norm(expected)


def test_an_alpha_for_each_row_is_refused():
    model = fitted("GaussianProcess-alphas")
    with pytest.raises(
        ValueError, match="with an alpha for each row was given, and a fit of fewer"
    ):
        model.without(positions=[3], transformers="refit")


@pytest.mark.parametrize("name", ["Poisson", "OneVsRest-logistic", "LinearSVC", "Tweedie-3"])
def test_newton_steps_do_not_drift(name):
    """Each begins at the optimum that the last one missed, so errors do not add up."""
    data, (twin, theta) = NAMED[name].data, optimum(name)
    left = one_after_the_other(fitted(name), ORDER, method="newton")
    found = raw_of(left.estimator_, data.X_test)
    k = found.shape[1]
    expected = twin.raw(minimiser_without(name, tuple(ORDER)), data.X_test)[:, :k]
    moved = np.linalg.norm(expected - twin.raw(theta, data.X_test)[:, :k])
    assert np.linalg.norm(found - expected) < 0.01 * moved


def test_twenty_labels_leave_a_pipeline():
    case = CASES["scaler"]
    labels = [f"row {i}" for i in ORDER]
    for transformers in ("frozen", "refit"):
        left = case.fit()
        for label in labels:
            left = left.without(label, transformers=transformers)
        expected = case.refit(ORDER)
        if transformers == "frozen":
            kept = np.delete(np.arange(N), ORDER)
            scaler = StandardScaler().fit(NUMBERS[:N])
            final = logistic().fit(scaler.transform(NUMBERS.iloc[kept]), CLASSES[kept])
            expected = make_pipeline(FrozenEstimator(scaler), final)
        found, judged = (raw(one, NUMBERS[N:]) for one in (left.estimator_, expected))
        assert np.linalg.norm(found - judged) < 1e-8 * np.linalg.norm(judged)
        assert left.certificate_.row_labels.tolist() == labels


# ------------------------------------------------------------------------------------ certificates


@cache
def chain():
    """Return the certificates of four deletions from one Pipeline, the third of everything."""
    steps = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["kind"]),
            (make_pipeline(KNNImputer(), StandardScaler()), ["x0", "x1"]),
            (make_union(Normalizer(), FunctionTransformer()), ["x2"]),
            remainder="drop",
        ),
        logistic(),
    )
    model = InfluenceClassifier(steps).fit(X[:N], CLASSES[:N])
    found = []
    for labels, transformers in (
        (["row 3", "row 7"], "frozen"),
        ("row 1", "frozen"),
        (["row 30"], "refit"),
        (["row 40", "row 0"], "frozen"),
    ):
        model = model.without(labels, transformers=transformers)
        found.append(model.certificate_)
    return found


def test_the_last_certificate_accounts_for_all_rows():
    for number, certificate in enumerate(chain(), start=1):
        table = certificate.to_frame()
        assert list(table.columns) == ["row", "position", "deletion", "date"]
        assert len(certificate.dates) == number
        assert certificate.n_left + len(table) == N
        assert certificate.n_removed == np.sum(table["deletion"] == number)
    assert table["row"].tolist() == ["row 3", "row 7", "row 1", "row 30", "row 40", "row 0"]
    assert table["position"].tolist() == [3, 7, 1, 30, 40, 0]
    assert table["deletion"].tolist() == [1, 1, 2, 3, 4, 4]
    assert [one.fitted_anew for one in chain()] == [0, 0, 3, 3]


def test_rows_without_labels_are_called_by_their_positions_in_the_fit():
    model = InfluenceRegressor(Ridge()).fit(NUMBERS[:N].to_numpy(), SCORE[:N])
    left = model.without([4, 2]).without([2, 0])  # which were 3 and 0
    assert left.certificate_.rows.tolist() == [4, 2, 3, 0]
    assert left.certificate_.row_labels.tolist() == [4, 2, 3, 0]


def test_what_still_has_the_rows():
    encoder = "OneHotEncoder, step 'columntransformer__onehotencoder'"
    scaler = "StandardScaler, step 'columntransformer__pipeline__standardscaler'"
    for number, certificate in enumerate(chain(), start=1):
        found = certificate.in_transformers
        if number == 3:
            assert found == ()
            continue
        assert (found[0], found[2]) == (encoder, scaler)  # and nothing that has no state
        assert len(found) == 3
        assert found[1].startswith("KNNImputer, step 'columntransformer__pipeline__knnimputer'")
        assert "keeps an entry for each row (_fit_X" in found[1]


def test_frozen_transformers_are_named_even_where_all_is_fitted_anew():
    scaler = StandardScaler().fit(NUMBERS[:N])
    steps = make_pipeline(FrozenEstimator(scaler), StandardScaler(), Ridge())
    model = InfluenceRegressor(steps).fit(NUMBERS[:N], SCORE[:N])
    left = model.without(positions=[3], transformers="refit")
    assert left.certificate_.in_transformers == (
        "StandardScaler, step 'frozenestimator': frozen, fitted on rows that are not known here",
    )


def test_numbers_that_a_fit_has_left_are_named():
    hashed = HashingVectorizer(n_features=64)
    steps = make_pipeline(hashed, SGDClassifier("log_loss", average=True, random_state=0))
    model = InfluenceClassifier(steps).fit(texts()[:N], CLASSES[:N])
    certificate = model.without([3]).certificate_
    knows = not get_tags(hashed).requires_fit  # which it says from scikit-learn 1.7 on
    assert (certificate.in_transformers == ()) == knows
    (records,) = certificate.in_records
    assert "_standard_coef" in records  # the old parameters
    assert " coef_" not in records
    anew = model.without([3], transformers="refit").certificate_
    assert anew.in_records == ()
    assert not knows or "Nothing of the model that is known of still contains" in anew.summary()


def test_samplers_that_drew_are_named():
    model = CASES["sampler"].fit()
    _, sampler = model.without(positions=[3]).certificate_.in_transformers
    assert sampler == "Drawing, step 'step1': it drew with them there"


def test_a_summary_is_for_people():
    certificate = chain()[-1]
    text = certificate.summary()
    flat = " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 88
    for label in certificate.row_labels:
        assert f"'{label}'" in text
    assert "2 rows removed, by deletion 4; 6 in all since the fit. 84 stay." in flat
    assert "Removed by deletion 3" in flat
    assert f"scikit-learn {sklearn.__version__}, numpy {np.__version__}" in flat
    assert certificate.dates[-1][:10] in flat
    assert "the remaining gradient is" in flat
    assert "Fitted transformers that have seen them (rows of deletion 4):" in text
    for method, words in (
        ("newton", "moved by one Newton step"),
        ("first_order", "moved by one first-order step"),
    ):
        other = CASES["scaler"].fit().without(positions=[3], method=method).certificate_
        assert words in " ".join(other.summary().split())
    for transformers, words in (("frozen", "fitted SVC anew"), ("refit", "fitted everything anew")):
        other = CASES["svc"].fit().without(positions=[3], transformers=transformers).certificate_
        assert words in other.summary()


def test_a_certificate_is_a_result(tmp_path):
    certificate = chain()[-1]
    assert np.asarray(certificate) == certificate.gradient_norm
    again = Certificate.from_json(certificate.to_json())
    certificate.save(tmp_path / "deletion.npz")
    loaded = Certificate.load(tmp_path / "deletion.npz")
    for one in (again, loaded, pickle.loads(pickle.dumps(certificate))):
        assert one.summary() == certificate.summary()
        assert one.to_frame().equals(certificate.to_frame())
        assert one.facts == certificate.facts
    assert repr(certificate).startswith("Deletion from LogisticRegression: 2 rows removed")
    assert "row 40" in certificate._repr_html_()
    display = certificate.plot()
    assert display.ax_.get_xscale() == "log"
    (line,) = display.ax_.lines
    norms = [certificate.gradient_norm_before, certificate.gradient_norm]
    np.testing.assert_allclose(line.get_xdata(), norms)


def test_a_new_fit_begins_a_new_account():
    model = CASES["scaler"].fit().without(positions=[3])
    model.fit(NUMBERS[:N], CLASSES[:N])
    assert model.without(positions=[4]).certificate_.rows.tolist() == [4]


def test_trees_are_not_left_with_leaves_of_no_rows():
    X, y = load_diabetes(return_X_y=True)
    model = InfluenceRegressor(GradientBoostingRegressor(n_estimators=3)).fit(X, y)
    with pytest.raises(ValueError, match=r"leaves that are those of no rows.*method='exact'"):
        model.without([0], method="first_order")
