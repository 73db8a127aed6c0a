"""Samplers in a Pipeline: questions are about the rows given, whose copies change together."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import (
    HuberRegressor,
    Lasso,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, TargetEncoder
from sklearn.svm import SVC, LinearSVC

from skinfluence import InfluenceClassifier, InfluenceRegressor
from skinfluence.models import RecordedTraining
from tests.cases import Data, classification, regression
from tests.model_table import OLD


class Drawing(BaseEstimator):
    """A sampler that draws rows, each 0 to 3 times, and says which."""

    def __init__(self, seed=0, says=True):
        self.seed = seed
        self.says = says

    def fit_resample(self, X, y):
        n = len(y)
        times = np.random.default_rng(self.seed).choice([0, 1, 1, 2, 3], n)
        rows = np.random.default_rng(self.seed + 1).permutation(np.repeat(np.arange(n), times))
        if self.says:
            self.sample_indices_ = rows
        return X[rows], np.asarray(y)[rows]


class Smoothed(Drawing):
    """One whose copies are moved a little."""

    def fit_resample(self, X, y):
        X, y = super().fit_resample(X, y)
        return X + 1e-3 * np.random.default_rng(0).standard_normal(X.shape), y


class Only(BaseEstimator):
    """A sampler that leaves a class out."""

    def fit_resample(self, X, y):
        self.sample_indices_ = np.flatnonzero(np.asarray(y) != "c")
        return X[self.sample_indices_], y[self.sample_indices_]


class Sampling(Pipeline):
    """A Pipeline with samplers, as imbalanced-learn has it."""

    def fit(self, X, y, **params):
        given = {name: {} for name, _ in self.steps}
        for name, value in params.items():
            step, _, parameter = name.partition("__")
            given[step][parameter] = value
        for name, step in self.steps[:-1]:
            if hasattr(step, "fit_resample"):
                X, y = step.fit_resample(X, y)
            elif step != "passthrough":
                X = step.fit_transform(X, y, **given[name])
        self.steps[-1][1].fit(X, y, **given[self.steps[-1][0]])
        return self

    def through(self, X):
        for _, step in self.steps[:-1]:
            X = step.transform(X) if hasattr(step, "transform") else X
        return X

    def predict(self, X):
        return self.steps[-1][1].predict(self.through(X))

    def score(self, X, y):
        return self.steps[-1][1].score(self.through(X), y)

    def decision_function(self, X):
        return self.steps[-1][1].decision_function(self.through(X))


class Dropping(Pipeline):
    """A Pipeline that drops, or turns around, the rows of its fit; no sampler in it."""

    rows = slice(5, None)

    def fit(self, X, y, **params):
        return super().fit(X[self.rows], np.asarray(y)[self.rows], **params)


class Turning(Dropping):
    rows = slice(None, None, -1)


def sampling(*steps, kind=Sampling):
    return kind([(f"step{i}", step) for i, step in enumerate(steps)])


def tight(**params):
    return LogisticRegression(**{"C": 0.5, "tol": 1e-12, "solver": "newton-cholesky", **params})


TWO = classification(n=60, labels=["no", "yes"])
THREE = classification(n=75, n_classes=3, labels=["a", "b", "c"])
REAL = regression()
COUNTS = Data(REAL.X * 0.3, np.round(np.abs(REAL.y)), REAL.s, REAL.X_test, np.abs(REAL.y_test))
NET = MLPClassifier(
    (3,), activation="tanh", alpha=2.0, solver="lbfgs", max_iter=5000, tol=1e-12, random_state=0
)

# Each with the largest relative error of "exact" against refits of scikit-learn.
MODELS = {
    "logistic": (tight(), TWO, 1e-6),
    "balanced": (tight(class_weight="balanced"), TWO, 1e-6),
    "multinomial": (tight(class_weight="balanced"), THREE, 1e-6),
    "squared hinge": (LinearSVC(C=0.3, dual=False, tol=1e-12, max_iter=10000), TWO, 1e-5),
    "ridge classifier": (RidgeClassifier(solver="svd"), THREE, 1e-8),
    "ridge": (Ridge(solver="svd"), REAL, 1e-8),
    "poisson": (
        PoissonRegressor(alpha=0.1, solver="newton-cholesky", tol=1e-12),
        COUNTS,
        1e-6,
    ),
    "lasso": (Lasso(alpha=0.1, tol=1e-14, max_iter=100000), REAL, 1e-6),
    "huber": (HuberRegressor(tol=1e-11, max_iter=10000), REAL, 1e-2),
}
if OLD:  # where LogisticRegression(class_weight="balanced") counts rows, and is refused
    del MODELS["balanced"], MODELS["multinomial"]
models = pytest.mark.parametrize("name", MODELS)


class Case:
    """A model behind a scaler and a sampler, and its resampled rows, made without the package."""

    def __init__(self, final, data, sampler=None):
        self.data, self.final = data, final
        self.regressor = hasattr(data, "y") and np.asarray(data.y).dtype.kind == "f"
        wrapper = InfluenceRegressor if self.regressor else InfluenceClassifier
        self.pipeline = sampling(StandardScaler(), sampler or Drawing(), final)
        self.model = wrapper(self.pipeline).fit(data.X, data.y)
        self.rows = self.model.estimator_.steps[1][1].sample_indices_
        self.scaler = StandardScaler().fit(data.X)
        self.X, self.X_test = self.scaler.transform(data.X), self.scaler.transform(data.X_test)
        self.target = "predict" if self.regressor else "decision_function"

    def read(self, fitted, X):
        return fitted.predict(X) if self.regressor else fitted.decision_function(X)

    def fit(self, rows, X=None, y=None):
        X, y = (self.X if X is None else X), (self.data.y if y is None else y)
        return type(self.final)(**self.final.get_params()).fit(X[rows], np.asarray(y)[rows])

    def change(self, rows, **other):
        """Return the change of the raw predictions, of the class that the full model predicts."""
        before, after = (
            self.read(one, self.X_test) for one in (self.fit(self.rows), self.fit(rows, **other))
        )
        change = after - before
        if change.ndim == 1:
            return change
        return np.take_along_axis(change, np.argmax(before, axis=1)[:, None], axis=1)[:, 0]


def near(found, expected, tolerance):
    scale = np.abs(expected).max()
    assert scale > 1e-4
    assert np.abs(found - expected).max() < tolerance * scale


# ------------------------------------------------------------------------------------ in value


@models
def test_all_copies_of_a_row_leave_together(name):
    final, data, tolerance = MODELS[name]
    case = Case(final, data)
    times = np.bincount(case.rows, minlength=len(data.y))
    assert set(times) == {0, 1, 2, 3}
    ask = {"target": case.target, "method": "exact"}
    scores = case.model.influence_scores(data.X_test, **ask)
    assert scores.shape == (len(data.X_test), len(data.y))
    assert np.all(scores[:, times == 0] == 0.0)
    size = np.abs(scores).sum(axis=0)
    for row in [int(np.argmax(size * (times == k))) for k in (1, 2, 3)]:
        expected = case.change(case.rows[case.rows != row])
        near(scores[:, row], expected, tolerance)
    group = np.arange(0, len(data.y), 9)
    mask = np.isin(np.arange(len(data.y)), group)
    found = case.model.group_influence(mask[None], data.X_test, **ask).scores[:, 0]
    near(found, case.change(case.rows[~np.isin(case.rows, group)]), tolerance)
    smaller = case.model.without(mask)
    expected = case.read(case.fit(case.rows[~np.isin(case.rows, group)]), case.X_test)
    near(case.read(smaller, data.X_test), expected, tolerance)


@models
def test_scores_are_those_of_groups_of_copies(name):
    final, data, _ = MODELS[name]
    case = Case(final, data)
    wrapper = type(case.model)
    copies = wrapper(final).fit(case.X[case.rows], np.asarray(data.y)[case.rows])
    drawn = np.unique(case.rows)
    masks = case.rows[None] == drawn[:, None]
    ask = {"method": "first_order"}
    expected = copies.group_influence(masks, case.X_test, data.y_test, **ask).scores
    found = case.model.influence_scores(data.X_test, data.y_test, **ask)
    near(found[:, drawn], expected, 1e-6)


@pytest.mark.skipif(OLD, reason="networks of scikit-learn 1.6 take no weights")
def test_networks_are_weighed_too():
    case = Case(NET, TWO)
    wrapped = InfluenceClassifier(case.pipeline, damping=0.1).fit(TWO.X, TWO.y)
    copies = InfluenceClassifier(NET, damping=0.1).fit(case.X[case.rows], TWO.y[case.rows])
    one = copies.influence_scores(case.X_test, TWO.y_test, method="first_order")
    expected = np.zeros((len(one), len(TWO.y)))
    np.add.at(expected.T, case.rows, one.T)
    found = wrapped.influence_scores(TWO.X_test, TWO.y_test, method="first_order")
    near(found, expected, 1e-6)


def test_a_hinge_is_smoothed_alike():
    machine = LinearSVC(C=0.3, loss="hinge", tol=1e-10, max_iter=10**6, random_state=0)
    case = Case(machine, TWO)
    wrapped = InfluenceClassifier(case.pipeline, temperature=0.1).fit(TWO.X, TWO.y)
    copies = InfluenceClassifier(machine, temperature=0.1)
    copies.fit(case.X[case.rows], TWO.y[case.rows])
    masks = case.rows[None] == np.arange(len(TWO.y))[:, None]
    expected = copies.group_influence(masks, case.X_test, TWO.y_test, method="exact").scores
    near(wrapped.influence_scores(TWO.X_test, TWO.y_test, method="exact"), expected, 1e-6)


@pytest.mark.skipif(OLD, reason="networks of scikit-learn 1.6 take no weights")
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1")
def test_steps_of_a_recorded_training_add_up():
    net = MLPClassifier((3,), solver="sgd", batch_size=200, max_iter=20, random_state=0, tol=0.0)
    case = Case(RecordedTraining(net), TWO)
    ask = {"method": "tracin"}
    copies = InfluenceClassifier(RecordedTraining(net)).fit(case.X[case.rows], TWO.y[case.rows])
    expected = np.zeros((len(TWO.y_test), len(TWO.y)))
    np.add.at(expected.T, case.rows, copies.influence_scores(case.X_test, TWO.y_test, **ask).T)
    near(case.model.influence_scores(TWO.X_test, TWO.y_test, **ask), expected, 1e-9)


def test_other_questions():
    case = Case(tight(), TWO)
    model, rows, y = case.model, case.rows, TWO.y
    times = np.bincount(rows, minlength=len(y))
    left_out = model.leave_one_out()
    full = case.read(case.fit(rows), case.X)
    np.testing.assert_allclose(left_out.decisions[times == 0], full[times == 0], rtol=1e-6)
    for row in np.flatnonzero(times == 3)[:3]:
        alone = case.read(case.fit(rows[rows != row]), case.X[[row]])[0]
        assert abs(left_out.decisions[row] - alone) < 1e-6 * np.abs(full).max()

    flipped = np.where(y == "no", "yes", "no")
    row = int(np.flatnonzero(times == 3)[0])
    ask = {"target": "decision_function", "method": "exact"}
    found = model.relabel_influence(flipped, TWO.X_test, **ask).scores
    expected = case.change(rows, y=np.where(np.arange(len(y)) == row, flipped, y))
    near(found[:, row], expected, 1e-6)
    assert np.all(found[:, times == 0] == 0.0)

    new = TWO.X_test[:1]
    found = model.addition_influence(new, ["yes"], TWO.X_test, **ask).scores[:, 0]
    more = np.vstack([case.X, case.X_test[:1]]), np.append(y, "yes")
    near(found, case.change(np.append(rows, len(y)), X=more[0], y=more[1]), 1e-6)

    changes = model.parameter_influence(method="exact").changes
    before, after = case.fit(rows), case.fit(rows[rows != row])
    near(changes[row, :-1], (after.coef_ - before.coef_)[0], 1e-6)
    near(changes[row, -1:], after.intercept_ - before.intercept_, 1e-6)
    scores = model.influence_scores(TWO.X_test, TWO.y_test, method="first_order")
    products = model.influence_embedding(TWO.X_test, TWO.y_test) @ model.influence_embedding().T
    np.testing.assert_allclose(np.abs(products), np.abs(scores), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("refit", ["final", "pipeline"])
def test_the_check_refits_without_all_copies(refit):
    case = Case(tight(), TWO)
    times = np.bincount(case.rows, minlength=len(TWO.y))
    chosen = [int(np.flatnonzero(times == k)[1]) for k in (0, 2, 3)]
    check = case.model.leave_one_out_check(
        TWO.X_test, rows=chosen, target="decision_function", method="exact", refit=refit
    )
    final = check.actual if refit == "final" else check.actual_final
    assert np.all(np.abs(final[:, 0]) < 1e-9)
    for k, row in enumerate(chosen[1:], 1):
        near(final[:, k], case.change(case.rows[case.rows != row]), 1e-6)
    assert any(note.startswith("sampler") for note in check.notes) == (refit == "pipeline")
    if refit == "final":
        assert check.relative_error < 1e-5
        return
    for k, row in enumerate(chosen):
        kept = np.delete(np.arange(len(TWO.y)), row)
        whole = [
            sampling(StandardScaler(), Drawing(), tight())
            .fit(TWO.X[some], TWO.y[some])
            .decision_function(TWO.X_test)
            for some in (np.arange(len(TWO.y)), kept)
        ]
        near(check.actual[:, k], whole[1] - whole[0], 1e-6)


# ------------------------------------------------------------------------- where samplers stand


def rows_of(fitted):
    """Return the rows that each sampler of (nested) pipelines drew, from the outside in."""
    rows = []
    while isinstance(
        fitted, Pipeline | GridSearchCV | FrozenEstimator | TransformedTargetRegressor
    ):
        if isinstance(fitted, Pipeline):
            rows += [s.sample_indices_ for _, s in fitted.steps if hasattr(s, "fit_resample")]
            fitted = fitted.steps[-1][1]
        else:
            names = ("best_estimator_", "regressor_", "estimator")
            fitted = next(getattr(fitted, name) for name in names if hasattr(fitted, name))
    return rows


INSIDE = {
    "alone": lambda: sampling(Drawing(), Ridge()),
    "two": lambda: sampling(Drawing(), StandardScaler(), Drawing(7), Ridge()),
    "nested": lambda: sampling(Drawing(), sampling(StandardScaler(), Drawing(5), Ridge())),
    "in a pipeline": lambda: Pipeline(
        [("a", StandardScaler()), ("b", sampling(Drawing(), Ridge()))]
    ),
    "in a search": lambda: GridSearchCV(
        sampling(StandardScaler(), Drawing(), Ridge()), {"step2__alpha": [1.0, 3.0]}, cv=3
    ),
    "in a target": lambda: TransformedTargetRegressor(
        sampling(Drawing(), Ridge()), transformer=StandardScaler()
    ),
    "passthrough": lambda: sampling("passthrough", Drawing(), Ridge()),
}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", INSIDE)
def test_samplers_anywhere(name, frozen):
    estimator = INSIDE[name]()
    if frozen:
        estimator = FrozenEstimator(estimator.fit(REAL.X, REAL.y))
    model = InfluenceRegressor(estimator).fit(REAL.X, REAL.y)
    rows = np.arange(60)
    for own in rows_of(model.estimator_):
        rows = rows[own]
    training = model._fitted.training
    np.testing.assert_array_equal(training.sample_weight, np.bincount(rows, minlength=60))
    y = (REAL.y - REAL.y.mean()) / REAL.y.std() if name == "in a target" else REAL.y
    np.testing.assert_allclose(training.y, y, rtol=1e-12, atol=1e-12)
    features = np.asarray(training.X)
    alone = InfluenceRegressor(Ridge(alpha=float(model._fitted.final.alpha)))
    alone.fit(features[rows], y[rows])
    masks = rows[None] == np.unique(rows)[:, None]
    tests = features[:9]
    y_test = y[:9]
    expected = alone.group_influence(masks, tests, y_test).scores
    found = model.influence_scores(REAL.X[:9], REAL.y[:9])
    near(found[:, np.unique(rows)], expected, 1e-8)
    assert np.all(np.delete(found, np.unique(rows), axis=1) == 0.0)


def test_sparse_rows():
    X = sparse.csr_matrix(np.where(np.abs(TWO.X) > 0.5, TWO.X, 0.0))
    model = InfluenceClassifier(sampling(Drawing(), tight())).fit(X, TWO.y)
    dense = InfluenceClassifier(sampling(Drawing(), tight())).fit(X.toarray(), TWO.y)
    near(model.influence_scores(X[:5], TWO.y[:5]), dense.influence_scores(X[:5], TWO.y[:5]), 1e-6)


# ---------------------------------------------------------------------------------- refused

ENCODED = ColumnTransformer([("code", TargetEncoder(cv=3), [0])], remainder="passthrough")
CODES = np.column_stack([np.arange(60) % 5, TWO.X])

REFUSED = {
    "made": (sampling(Drawing(says=False), tight()), "does not say which it drew"),
    "smoothed": (sampling(Smoothed(), tight()), "fitted on 86 rows that are not those, of 60"),
    "encoder behind": (sampling(Drawing(), ENCODED, tight()), "rows that are not those"),
    "kernel": (sampling(Drawing(), SVC()), "SVC was given behind a sampler"),
    "rows": (sampling(Drawing(), SGDClassifier(random_state=0)), "counts rows"),
    "counts": (sampling(Drawing(), RidgeClassifier(class_weight="balanced")), "counts rows"),
    "side by side": (
        sampling(Drawing(), OneVsRestClassifier(tight())),
        "takes no sample_weight",
    ),
    "batches": (
        sampling(Drawing(), MLPClassifier((2,), solver="adam", batch_size=20, max_iter=20)),
        "counts rows",
    ),
    "dropping": (sampling(tight(), kind=Dropping), "fitted on 55 rows, of 60 given"),
    "turning": (
        sampling(StandardScaler(), tight(), kind=Turning),
        "drops, adds or reorders rows",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_weight_is_refused_by_fit(name):
    estimator, message = REFUSED[name]
    X = CODES if name == "encoder behind" else TWO.X
    with pytest.raises(ValueError, match=message):
        InfluenceClassifier(estimator).fit(X, TWO.y)


@pytest.mark.parametrize("final", [KernelRidge(), GaussianProcessRegressor(optimizer=None), SVC()])
def test_a_coefficient_for_each_row_is_refused(final):
    wrapper, data = (
        (InfluenceClassifier, TWO) if isinstance(final, SVC) else (InfluenceRegressor, REAL)
    )
    for seed in range(3):
        with pytest.raises(ValueError, match="was given behind a sampler"):
            wrapper(sampling(Drawing(seed), final)).fit(data.X, data.y)


def test_a_class_that_was_never_drawn_is_refused():
    with pytest.raises(ValueError, match="c"):
        InfluenceClassifier(sampling(Only(), tight())).fit(THREE.X, THREE.y)


@pytest.mark.parametrize("given", ["sample_weight", "step0__sample_weight", "step2__sample_weight"])
def test_weights_of_rows_that_are_drawn_are_refused(given):
    model = InfluenceClassifier(sampling(StandardScaler(), Drawing(), tight()))
    with pytest.raises(ValueError, match="Sample weights were given to a Pipeline with a sampler"):
        model.fit(TWO.X, TWO.y, **{given: TWO.s})


def test_a_frozen_pipeline_of_other_rows_is_refused():
    fitted = sampling(Drawing(), tight()).fit(TWO.X, TWO.y)
    with pytest.raises(ValueError, match="not the rows it was fitted on"):
        InfluenceClassifier(FrozenEstimator(fitted)).fit(TWO.X[:40], TWO.y[:40])


def test_a_step_that_keeps_its_rows_is_no_sampler():
    same = FunctionTransformer(lambda X: 2 * X)
    model = InfluenceClassifier(Pipeline([("a", same), ("b", tight())])).fit(TWO.X, TWO.y)
    assert model._fitted.training.sample_weight is None


# ------------------------------------------------------------------------- imbalanced-learn itself


def test_imbalanced_learn():
    imblearn = pytest.importorskip("imblearn")
    make_pipeline = imblearn.pipeline.make_pipeline
    over, under = imblearn.over_sampling, imblearn.under_sampling
    y = np.where(np.arange(60) % 4 == 0, "yes", "no")
    for sampler in (
        over.RandomOverSampler(random_state=0),
        under.RandomUnderSampler(random_state=0),
        under.EditedNearestNeighbours(),
    ):
        pipeline = make_pipeline(StandardScaler(), sampler, tight())
        model = InfluenceClassifier(pipeline).fit(TWO.X, y)
        rows = model.estimator_.steps[1][1].sample_indices_
        scores = model.influence_scores(TWO.X_test, target="decision_function", method="exact")
        X, X_test = (StandardScaler().fit(TWO.X).transform(Z) for Z in (TWO.X, TWO.X_test))
        row = rows[-1]
        with_, without = (
            tight().fit(X[some], y[some]).decision_function(X_test)
            for some in (rows, rows[rows != row])
        )
        near(scores[:, row], without - with_, 1e-6)
        assert np.all(scores[:, np.setdiff1d(np.arange(60), rows)] == 0.0)
        check = model.leave_one_out_check(TWO.X_test, TWO.y_test, rows=4, refit="pipeline")
        assert np.isfinite(check.actual).all()
    with pytest.raises(ValueError, match="SMOTE was given in a Pipeline; it makes rows"):
        InfluenceClassifier(make_pipeline(over.SMOTE(random_state=0), tight())).fit(TWO.X, y)
    with pytest.raises(ValueError, match="rows that are not those"):
        smooth = over.RandomOverSampler(shrinkage=0.1, random_state=0)
        InfluenceClassifier(make_pipeline(smooth, tight())).fit(TWO.X, y)
