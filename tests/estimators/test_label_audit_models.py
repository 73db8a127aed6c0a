"""Labels of every kind of model and of every kind of rows: the wrong ones are found."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    ElasticNet,
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
    TweedieRegressor,
)
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC, LinearSVR
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier

from skinfluence import InfluenceClassifier, InfluenceRegressor, LabelAudit
from skinfluence.models.smooth_svc import SmoothLinearSVC
from tests.model_table import _mixed

N = 100
WRONG = np.arange(N) % 12 == 5
"""Eight rows of a hundred."""

RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, 4))
RAW = X @ RNG.standard_normal((4, 3))
CLEAN = RAW.argmax(axis=1)
THREE = np.array(["a", "b", "c"])[(CLEAN + WRONG) % 3]
TWO = np.array(["no", "yes"])[((RAW[:, 0] > 0) ^ WRONG) * 1]
STEPS = np.array(["no", "yes"])[((X[:, 0] > 0) ^ WRONG) * 1]
REAL = RAW[:, 0] + 0.3 * RNG.standard_normal(N) + 6.0 * WRONG * np.sign(RAW[:, 1])
REALS = np.column_stack([REAL, RAW[:, 1] + 0.3 * RNG.standard_normal(N)])
AMOUNTS = RNG.gamma(20.0, np.exp(0.4 * RAW[:, 0]) / 20.0) * np.where(WRONG, 8.0, 1.0)
COUNTS = RNG.poisson(np.exp(1.0 + 0.3 * RAW[:, 0])) + 15.0 * WRONG
SMALL = {"n_estimators": 10, "max_depth": 3, "random_state": 0}
BINS = {"max_iter": 8, "learning_rate": 0.3, "min_samples_leaf": 5, "random_state": 0}
SGD = {"alpha": 0.01, "learning_rate": "optimal", "max_iter": 3000, "tol": None, "random_state": 0}
NET = {"hidden_layer_sizes": (2,), "solver": "lbfgs", "alpha": 1.0, "max_iter": 60}
NET = {**NET, "activation": "tanh", "random_state": 0}
BEND = 2.0 * RBF(2.0) + WhiteKernel(0.3)

CLASSIFIERS = {
    "logistic": (LogisticRegression(), TWO),
    "logistic of three": (LogisticRegression(solver="newton-cg"), THREE),
    "balanced logistic": (LogisticRegression(class_weight="balanced"), THREE),
    "l1 logistic": (_mixed(1), TWO),
    "logistic over a range": (LogisticRegressionCV(Cs=[1.0], cv=2), TWO),
    "ridge": (RidgeClassifier(), THREE),
    "linear svc": (LinearSVC(C=0.3, dual=False), TWO),
    "hinge": (LinearSVC(C=0.3, loss="hinge", max_iter=10**5, random_state=0), TWO),
    "smooth svc": (SmoothLinearSVC(C=0.3, temperature=0.1), THREE),
    "svc": (SVC(kernel="rbf"), TWO),
    "svc of three": (SVC(kernel="rbf"), THREE),
    "descent": (SGDClassifier(loss="log_loss", **SGD), TWO),
    "modified huber": (SGDClassifier(loss="modified_huber", **SGD), TWO),
    "one versus the rest": (OneVsRestClassifier(LogisticRegression()), THREE),
    "one versus one": (OneVsOneClassifier(LinearSVC(C=0.3, dual=False)), THREE),
    "network": (MLPClassifier(**NET), THREE),
    "tree": (DecisionTreeClassifier(max_depth=3, random_state=0), STEPS),
    "extra tree": (ExtraTreeClassifier(max_depth=3, max_features=None, random_state=0), STEPS),
    "forest": (RandomForestClassifier(30, max_depth=4, random_state=0), THREE),
    "extra trees": (ExtraTreesClassifier(max_features=None, **SMALL), STEPS),
    "bagging": (BaggingClassifier(DecisionTreeClassifier(max_depth=4), 30, random_state=0), STEPS),
    "boosting": (GradientBoostingClassifier(**SMALL), STEPS),
    "histograms": (HistGradientBoostingClassifier(**BINS), STEPS),
}
REGRESSORS = {
    "least squares": (LinearRegression(), REAL),
    "of two targets": (LinearRegression(), REALS),
    "ridge": (Ridge(), REAL),
    "ridge over a range": (RidgeCV(), REAL),
    "lasso": (Lasso(alpha=0.1), REAL),
    "elastic net": (ElasticNet(alpha=0.1), REAL),
    "huber": (HuberRegressor(), REAL),
    "poisson": (PoissonRegressor(alpha=0.01), COUNTS),
    "gamma": (GammaRegressor(alpha=0.01), AMOUNTS),
    "tweedie": (TweedieRegressor(power=1.5, alpha=0.01), AMOUNTS),
    "linear svr": (LinearSVR(C=0.3, epsilon=0.2, max_iter=10**5, random_state=0), REAL),
    "svr": (SVR(kernel="rbf"), REAL),
    "kernel ridge": (KernelRidge(kernel="rbf", gamma=0.1), REAL),
    "gaussian process": (GaussianProcessRegressor(kernel=BEND, optimizer=None), REAL),
    "descent": (SGDRegressor(**SGD), REAL),
    "several models": (MultiOutputRegressor(Ridge()), REALS),
    "network": (MLPRegressor(**NET), REAL),
    "tree": (DecisionTreeRegressor(max_depth=3, random_state=0), REAL),
    "forest": (RandomForestRegressor(30, max_depth=4, random_state=0), REAL),
    "bagging": (BaggingRegressor(DecisionTreeRegressor(max_depth=4), 30, random_state=0), REAL),
    "boosting": (GradientBoostingRegressor(**SMALL), REAL),
    "histograms": (HistGradientBoostingRegressor(**BINS), REAL),
    "poisson histograms": (
        HistGradientBoostingRegressor(loss="poisson", **BINS),
        COUNTS,
    ),
}
MODELS = {
    f"{name} {kind}": row
    for kind, table in (("classes", CLASSIFIERS), ("numbers", REGRESSORS))
    for name, row in table.items()
}

ALIKE = {
    "balanced logistic classes",
    "logistic over a range classes",
    "linear svc classes",
    "svc of three classes",
    "extra trees classes",
    "bagging classes",
    "boosting numbers",
    "histograms classes",
    "bagging numbers",
    "poisson histograms numbers",
    "ridge over a range numbers",
    "elastic net numbers",
    "gamma numbers",
    "network numbers",
}
"""Rows that take the same way as others."""


@pytest.mark.slow_rows(where=lambda name: name in ALIKE)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODELS)
def test_wrong_labels_are_found(name):
    estimator, y = MODELS[name]
    audit = LabelAudit(estimator).fit(X, y)
    quality = audit.label_quality_
    assert quality.shape == (N,)
    assert np.all((quality >= 0) & (quality <= 1))
    found = average_precision_score(WRONG, -quality)
    chance = WRONG.mean()
    assert found > (4 if name == "extra tree classes" else 8) * chance, found
    assert set(np.flatnonzero(WRONG)) & set(audit.result_.flagged)
    assert audit.result_.passes == 2


# ------------------------------------------------------------------------------------ kinds of rows

FRAME = pd.DataFrame(X, columns=["age", "income", "debt", "rank"]).assign(
    town=np.array(["Bonn", "Kiel"])[RNG.integers(0, 2, N)]
)
FRAME.index = pd.Index([f"client {i}" for i in RNG.permutation(N)])
TARGET = pd.Series(TWO, index=FRAME.index, name="pays")
STEPS_OF_FRAME = make_column_transformer(
    (StandardScaler(), ["age", "income", "debt", "rank"]), (OneHotEncoder(), ["town"])
)
PLAIN = LogisticRegression(solver="newton-cholesky", tol=1e-10)
FIELDS = ("quality", "losses", "training_losses", "self_influence", "gains")


def assert_same(one, other, tol=1e-7):
    for field in FIELDS:
        found, expected = getattr(one.result_, field), getattr(other.result_, field)
        np.testing.assert_allclose(found, expected, atol=tol, rtol=tol, err_msg=field)
    np.testing.assert_array_equal(one.result_.suggested, other.result_.suggested)
    np.testing.assert_array_equal(one.result_.left_aside, other.result_.left_aside)


def test_frames_keep_their_labels_and_columns():
    pipeline = make_pipeline(STEPS_OF_FRAME, PLAIN)
    audit = LabelAudit(pipeline).fit(FRAME, TARGET)
    table = audit.to_frame(7, columns=["town", "rank"])
    worst = np.argsort(audit.label_quality_, kind="stable")[:7]
    assert table["row"].tolist() == FRAME.index[worst].tolist()
    assert table["position"].tolist() == worst.tolist()
    assert table["town"].tolist() == FRAME["town"].iloc[worst].tolist()
    assert table["given_label"].tolist() == TARGET.iloc[worst].tolist()
    np.testing.assert_array_equal(table["rank_train"], FRAME["rank"].iloc[worst])
    # in another order the same rows are found
    order = RNG.permutation(N)
    other = LabelAudit(pipeline).fit(FRAME.iloc[order], TARGET.iloc[order])
    assert other.to_frame(7)["row"].tolist() == table["row"].tolist()
    np.testing.assert_allclose(other.label_quality_, audit.label_quality_[order], atol=1e-6)


def test_the_first_pass_is_of_the_fitted_transformers_and_folds_fit_them_again():
    """As for leave_one_out; the second pass fits the whole Pipeline without the suspects."""
    pipeline = make_pipeline(StandardScaler(), PLAIN)
    audit = LabelAudit(pipeline, method="exact").fit(X, TWO)
    first = LabelAudit(pipeline, method="exact", passes=1).fit(X, TWO)
    loo = InfluenceClassifier(pipeline).fit(X, TWO).leave_one_out(method="exact")
    np.testing.assert_allclose(first.loss_left_out_, loo.losses, rtol=1e-8)
    kept = np.delete(np.arange(N), audit.result_.left_aside)
    assert 3 < N - len(kept) < 12
    smaller = InfluenceClassifier(pipeline).fit(X[kept], TWO[kept])
    left_out = smaller.leave_one_out(method="exact")
    np.testing.assert_allclose(audit.loss_left_out_[kept], left_out.losses, rtol=1e-8)
    gone = audit.result_.left_aside
    P = smaller.predict_proba(X[gone])[np.arange(len(gone)), (TWO[gone] == "yes") * 1]
    np.testing.assert_allclose(audit.label_quality_[gone], P, rtol=1e-8)


@pytest.mark.parametrize("name", ["sparse", "list", "single precision"])
def test_rows_of_other_kinds(name):
    thin = np.where(np.abs(X) < 0.3, 0.0, X.astype(np.float32)).astype(float)
    single = thin.astype(np.float32)
    other = {"sparse": sparse.csr_array(thin), "list": thin.tolist()}.get(name, single)
    y = TWO.tolist() if name == "list" else TWO
    model = LogisticRegression(tol=1e-8) if name == "single precision" else PLAIN
    found, expected = LabelAudit(model).fit(other, y), LabelAudit(model).fit(thin, TWO)
    # scikit-learn stops earlier on rows of single precision
    assert_same(found, expected, 1e-3 if name == "single precision" else 1e-6)
    assert len(expected.result_.left_aside)


def test_texts():
    rng = np.random.default_rng(0)
    words = {
        "spam": ["win", "cash", "prize", "now", "call", "free"],
        "ham": ["see", "you", "at", "lunch", "today"],
    }
    truth = np.array(["spam", "ham"])[rng.integers(0, 2, 60)]
    texts = [" ".join(rng.choice(words[each], 5)) for each in truth]
    wrong = np.arange(60) % 12 == 3
    y = np.where(wrong, np.where(truth == "spam", "ham", "spam"), truth)
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    for given in (texts, pd.Series(texts, name="message")):
        audit = LabelAudit(pipeline).fit(given, y)
        assert set(audit.suggest()["position"]) >= set(np.flatnonzero(wrong))
        column = "text" if given is texts else "message"
        table = audit.to_frame(5, columns=column)
        assert table[column].tolist() == [texts[i] for i in table["position"]]


@pytest.mark.parametrize("kind", ["svc", "ridge"])
def test_kernels_that_were_computed(kind):
    """Rows and columns leave together."""
    models = {
        "svc": lambda **k: SVC(C=1.0, tol=1e-8, **k),
        "ridge": lambda **k: KernelRidge(alpha=0.5, **k),
    }
    y = TWO if kind == "svc" else REAL
    known = LabelAudit(models[kind](kernel="precomputed")).fit(rbf_kernel(X, gamma=0.2), y)
    assert_same(known, LabelAudit(models[kind](kernel="rbf", gamma=0.2)).fit(X, y), 1e-5)
    assert len(known.result_.left_aside)
    known = LabelAudit(models[kind](kernel="precomputed"), method="folds")
    other = LabelAudit(models[kind](kernel="rbf", gamma=0.2), method="folds").fit(X, y)
    assert_same(known.fit(rbf_kernel(X, gamma=0.2), y), other, 1e-5)


def test_folds_fit_transformers_again():
    """On frames, texts and lists alike, all of the Pipeline; as scikit-learn's cross-validation."""
    tree = DecisionTreeClassifier(max_depth=3, random_state=0)
    pipeline = make_pipeline(STEPS_OF_FRAME, tree)
    audit = LabelAudit(pipeline, passes=1).fit(FRAME, TARGET)
    ten = StratifiedKFold(10, shuffle=True, random_state=0)
    P = cross_val_predict(pipeline, FRAME, TARGET, cv=ten, method="predict_proba")
    own = P[np.arange(N), (TARGET == "yes") * 1]
    np.testing.assert_allclose(audit.label_quality_, own, atol=1e-12)
    texts = [
        f"{each} {'big' if x > 0 else 'small'}"
        for each, x in zip(FRAME["town"], X[:, 0], strict=True)
    ]
    reader = make_pipeline(TfidfVectorizer(), tree)
    P = cross_val_predict(reader, texts, STEPS, cv=ten, method="predict_proba")
    audit = LabelAudit(reader, passes=1).fit(texts, STEPS)
    np.testing.assert_allclose(audit.label_quality_, P[np.arange(N), (STEPS == "yes") * 1])


def test_several_labels_of_a_frame_and_of_a_sparse_matrix():
    Y = pd.DataFrame(1 * (RAW[:, :2] > 0), columns=["sports", "news"], index=FRAME.index)
    Y.iloc[WRONG, 0] = 1 - Y.iloc[WRONG, 0]
    audit = LabelAudit(MultiOutputClassifier(PLAIN)).fit(
        FRAME[["age", "income", "debt", "rank"]], Y
    )
    table = audit.suggest()
    assert set(table["position"]) & set(np.flatnonzero(WRONG))
    for line in table.itertuples(index=False):
        assert line[2] == Y.iloc[line.position, 0]
    assert table.columns[2:6].tolist() == [
        f"{label}: {what}_label" for label in Y for what in ("given", "suggested")
    ]
    thin = sparse.csr_matrix(Y.to_numpy())
    assert_same(
        LabelAudit(OneVsRestClassifier(PLAIN)).fit(X, thin),
        LabelAudit(OneVsRestClassifier(PLAIN)).fit(X, Y.to_numpy()),
    )


def test_one_column_of_targets():
    column = LabelAudit(LinearRegression()).fit(X, REAL[:, None])
    plain = LabelAudit(LinearRegression()).fit(X, REAL)
    np.testing.assert_allclose(column.label_quality_, plain.label_quality_, rtol=1e-10)
    assert column.to_frame().columns.tolist() == plain.to_frame().columns.tolist()


def test_weights_count_rows():
    """Rows of weight 0 are absent from all models; a weight of two is a row twice."""
    s = np.where(np.arange(N) % 7 == 1, 0.0, 1.0)
    audit = LabelAudit(PLAIN, method="exact", passes=1).fit(X, TWO, s)
    some = LabelAudit(PLAIN, method="exact", passes=1).fit(X[s > 0], TWO[s > 0])
    np.testing.assert_allclose(audit.label_quality_[s > 0], some.label_quality_, atol=1e-7)
    model = PLAIN.fit(X[s > 0], TWO[s > 0])
    P = model.predict_proba(X[s == 0])[np.arange(np.sum(s == 0)), (TWO[s == 0] == "yes") * 1]
    np.testing.assert_allclose(audit.label_quality_[s == 0], P, atol=1e-7)
    folds = LabelAudit(DecisionTreeClassifier(max_depth=2, random_state=0)).fit(X, STEPS, s)
    assert np.all(np.isfinite(folds.label_quality_))
    number = LabelAudit(LinearRegression()).fit(X, REAL, s)
    assert set(number.result_.flagged) >= set(np.flatnonzero(WRONG))


def test_transformed_targets():
    """Deviations are of the transformed targets, suggestions in the units of the given ones."""
    model = TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp)
    audit = LabelAudit(model).fit(X, AMOUNTS)
    inner = LabelAudit(LinearRegression()).fit(X, np.log(AMOUNTS))
    np.testing.assert_allclose(audit.result_.deviations, inner.result_.deviations, rtol=1e-7)
    np.testing.assert_allclose(audit.suggested_labels_, np.exp(inner.suggested_labels_), rtol=1e-7)
    assert audit.to_frame()["given_label"].max() == AMOUNTS.max()


def test_searches():
    search = GridSearchCV(PLAIN, {"C": [0.1, 1.0]}, cv=3)
    audit = LabelAudit(search, method="exact", passes=1).fit(X, TWO)
    C = search.fit(X, TWO).best_params_["C"]
    best = LogisticRegression(**{**PLAIN.get_params(), "C": C})
    assert_same(audit, LabelAudit(best, method="exact", passes=1).fit(X, TWO))


def test_wrappers_bring_their_own_parameters():
    wrapper = InfluenceClassifier(PLAIN, solver="lu")
    audit = LabelAudit(wrapper).fit(X, TWO)
    assert_same(audit, LabelAudit(PLAIN).fit(X, TWO))
    assert not hasattr(wrapper, "estimator_")
    damped = InfluenceRegressor(Ridge(), damping=50.0)
    damped, plain = (
        LabelAudit(each, method="newton", passes=1).fit(X, REAL) for each in (damped, Ridge())
    )
    assert np.abs(damped.loss_left_out_ - plain.loss_left_out_).max() > 0.1


@pytest.mark.slow_rows(where=lambda method: method == "exact")
@pytest.mark.parametrize("method", ["auto", "exact", "folds"])
def test_what_came_fitted_is_judged_as_if_it_was_fitted_here(method):
    audit = LabelAudit(FrozenEstimator(PLAIN.fit(X, THREE)), method=method).fit(X, THREE)
    again = LabelAudit(PLAIN, method=method).fit(X, THREE)
    assert_same(audit, again, 1e-6)
    assert 3 < len(again.result_.left_aside) < 12
    inside = make_pipeline(StandardScaler(), PLAIN).fit(X, THREE)
    frozen = LabelAudit(FrozenEstimator(inside), method="exact", passes=1).fit(X, THREE)
    assert_same(frozen, LabelAudit(inside, method="exact", passes=1).fit(X, THREE), 1e-6)


def test_forests_that_came_fitted_are_judged_out_of_bag():
    forest = RandomForestClassifier(30, max_depth=4, random_state=0)
    fitted = FrozenEstimator(forest.fit(X, STEPS))
    audit = LabelAudit(fitted, method="out_of_bag", passes=1).fit(X, STEPS)
    assert_same(audit, LabelAudit(forest, passes=1).fit(X, STEPS), 1e-12)
    assert LabelAudit(fitted, method="out_of_bag").fit(X, STEPS).result_.passes in (1, 2)


def test_routing_of_metadata():
    s = np.linspace(0.5, 2.0, N)
    expected = LabelAudit(PLAIN).fit(StandardScaler().fit_transform(X), TWO, s)
    assert len(expected.result_.left_aside)
    with sklearn.config_context(enable_metadata_routing=True):
        model = LogisticRegression(**PLAIN.get_params()).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, model)
        audit = LabelAudit(pipeline, passes=1).fit(X, TWO, s)
        two = LabelAudit(model).fit(StandardScaler().fit_transform(X), TWO, s)
    assert_same(two, expected)
    first = LabelAudit(PLAIN, passes=1).fit(StandardScaler().fit_transform(X), TWO, s)
    assert_same(audit, first)


def test_labels_of_every_type():
    """Booleans, integers far apart, objects, categories of pandas."""
    plain = LabelAudit(PLAIN).fit(X, TWO)
    for values in ([False, True], [-5, 1000], [2.0, 3.0]):
        labels = np.array(values)[(TWO == "yes") * 1]
        audit = LabelAudit(PLAIN).fit(X, labels)
        np.testing.assert_allclose(audit.label_quality_, plain.label_quality_, atol=1e-8)
        assert set(audit.suggested_labels_.tolist()) == set(values)
        assert audit.suggested_labels_.dtype == labels.dtype
    for labels in (TWO.astype(object), pd.Series(TWO, dtype="category"), pd.Series(TWO)):
        assert_same(LabelAudit(PLAIN).fit(X, labels), plain)
