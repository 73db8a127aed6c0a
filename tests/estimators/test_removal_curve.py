"""Removal curves, against plain loops of scikit-learn's own fits and metrics."""

import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.metrics import log_loss, mean_poisson_deviance, mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from skinfluence import InfluenceClassifier, InfluenceRegressor, removal_curve
from skinfluence.inspection import RemovalCurve, Result
from skinfluence.retraining import refit_without
from tests.cases import BINARY, REAL, REALS
from tests.model_table import COUNTED, THREE

FRACTIONS = [0.1, 0.25]
COUNTS = [6, 15]  # of sixty rows, which all of these data have


def half_squared_error(y, predicted):
    """Squared error, halved, summed over the outputs."""
    return 0.5 * mean_squared_error(y, predicted) * (1 if np.ndim(y) == 1 else np.shape(y)[1])


def half_poisson_deviance(y, predicted):
    return 0.5 * mean_poisson_deviance(y, predicted)


def half_brier_score(y, probabilities, labels):
    """Half the squared distance of probabilities from 1 for the own class and 0 for others."""
    return 0.5 * np.mean(np.sum((probabilities - (y[:, None] == labels)) ** 2, axis=1))


def mean_loss(model, X, y, metric):
    if metric in (log_loss, half_brier_score):
        return metric(y, model.predict_proba(X), labels=model.classes_)
    return metric(y, model.predict(X))


def losses_by_loop(estimator, data, order, metric, weights=None, X=None, y=None):
    """Return the mean loss of a fit without none, and without the first rows, by a plain loop."""
    X, y = (data.X_test, data.y_test) if X is None else (X, y)
    out = []
    for count in [0, *COUNTS]:
        kept = np.delete(np.arange(len(data.y)), order[:count])
        given = {} if weights is None else {"sample_weight": weights[kept]}
        model = clone(estimator).fit(data.X[kept], data.y[kept], **given)
        out.append(mean_loss(model, X, y, metric))
    return np.array(out)


def curve_of(curve, name):
    (line,) = curve.losses[curve.rankings == name]
    return line


PIPELINE = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, tol=1e-10))
MODELS = {
    "two classes": (LogisticRegression(), BINARY, log_loss),
    "three classes, a pipeline": (PIPELINE, THREE, log_loss),
    "ridge": (Ridge(), REAL, half_squared_error),
    "three targets": (Ridge(), REALS, half_squared_error),
    "counts": (PoissonRegressor(), COUNTED, half_poisson_deviance),
    "a forest": (RandomForestClassifier(9, max_depth=4, random_state=0), THREE, half_brier_score),
    "a tree": (DecisionTreeClassifier(max_leaf_nodes=5, random_state=0), BINARY, half_brier_score),
    "a forest of numbers": (RandomForestRegressor(9, random_state=0), REAL, half_squared_error),
    "a network": (
        MLPClassifier((4,), solver="lbfgs", alpha=1.0, random_state=0, max_iter=500),
        BINARY,
        log_loss,
    ),
}


def wrapped(estimator):
    real = sklearn.base.is_regressor(estimator)
    return (InfluenceRegressor if real else InfluenceClassifier)(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", MODELS)
def test_losses_are_those_of_plain_fits(name):
    """Ranked by the scores that the model is asked for, fitted and measured by scikit-learn."""
    estimator, data, metric = MODELS[name]
    model = wrapped(estimator).fit(data.X, data.y)
    curve = removal_curve(model, data.X_test, data.y_test, fractions=FRACTIONS, n_repetitions=2)
    scores = model.influence_scores(data.X_test, data.y_test).mean(axis=0)
    orders = {
        "helpful": np.argsort(-scores, kind="stable"),
        "harmful": np.argsort(scores, kind="stable"),
    }
    for ranking, order in orders.items():
        expected = losses_by_loop(estimator, data, order, metric)
        np.testing.assert_allclose(curve_of(curve, ranking), expected, rtol=1e-9)
        assert len(set(expected)) > 1  # which a curve of nothing would not have
    assert curve.counts.tolist() == [0, *COUNTS]
    np.testing.assert_array_equal(curve.fractions, np.array([0, *COUNTS]) / 60)
    assert curve.rankings.tolist() == ["helpful", "harmful", "random", "random", "largest_loss"]
    assert curve.method == model.influence(data.X_test, data.y_test).method
    np.testing.assert_array_equal(np.asarray(curve), curve.losses)


def test_baselines_are_drawn_as_they_are_said_to_be():
    """Rows of the largest training loss of the model, and permutations of a generator."""
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    curve = removal_curve(
        model, REAL.X_test, REAL.y_test, fractions=FRACTIONS, n_repetitions=3, random_state=7
    )
    residuals = np.abs(REAL.y - Ridge().fit(REAL.X, REAL.y).predict(REAL.X))
    expected = losses_by_loop(
        Ridge(), REAL, np.argsort(-residuals, kind="stable"), half_squared_error
    )
    np.testing.assert_allclose(curve_of(curve, "largest_loss"), expected, rtol=1e-9)
    rng = np.random.RandomState(7)
    expected = [
        losses_by_loop(Ridge(), REAL, rng.permutation(60), half_squared_error) for _ in range(3)
    ]
    np.testing.assert_allclose(curve.losses[curve.rankings == "random"], expected, rtol=1e-9)
    again = removal_curve(
        model, REAL.X_test, REAL.y_test, fractions=FRACTIONS, n_repetitions=3, random_state=8
    )
    assert np.all(again.losses[2:5, 1:] != curve.losses[2:5, 1:])
    np.testing.assert_array_equal(again.losses[:2], curve.losses[:2])


def test_scores_find_the_rows_that_matter():
    """Of labels that are partly wrong, on rows that did not choose."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 5))
    y = (X @ [2.0, -1.0, 0.5, 0.0, 0.0] + 0.5 * rng.standard_normal(600) > 0).astype(int)
    given = y[:200].copy()
    given[:30] = 1 - given[:30]
    model = InfluenceClassifier(LogisticRegression()).fit(X[:200], given)
    curve = removal_curve(
        model, X[200:400], y[200:400], fractions=[0.15], measured_on=(X[400:], y[400:])
    )
    helpful, harmful = curve_of(curve, "helpful"), curve_of(curve, "harmful")
    random = curve.losses[curve.rankings == "random"]
    assert harmful[1] < 0.7 * harmful[0]  # without the wrong labels
    assert helpful[1] > 1.3 * helpful[0]
    assert harmful[1] < random[:, 1].min() and random[:, 1].max() < helpful[1]


def test_other_rows_measure():
    """The test rows choose, and nothing else."""
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((5, 4)), rng.standard_normal(5)
    asked = {"fractions": FRACTIONS, "baselines": ()}
    curve = removal_curve(model, REAL.X_test, REAL.y_test, measured_on=(X, y), **asked)
    scores = model.influence_scores(REAL.X_test, REAL.y_test).mean(axis=0)
    order = np.argsort(-scores, kind="stable")
    expected = losses_by_loop(Ridge(), REAL, order, half_squared_error, X=X, y=y)
    np.testing.assert_allclose(curve_of(curve, "helpful"), expected, rtol=1e-9)
    assert (curve.n_measured, curve.flatters) == (5, False)
    assert curve.rankings.tolist() == ["helpful", "harmful"]
    assert "flatters" not in repr(curve)
    flattered = removal_curve(model, REAL.X_test, REAL.y_test, **asked)
    assert flattered.flatters
    assert "measure the loss, too, which flatters" in repr(flattered)
    assert "test rows that ranked them" in flattered.plot().ax_.get_title()
    assert "test rows that ranked them" not in curve.plot().ax_.get_title()


def test_weights_stay_with_their_rows():
    model = InfluenceClassifier(PIPELINE).fit(BINARY.X, BINARY.y, BINARY.s)
    curve = removal_curve(model, BINARY.X_test, BINARY.y_test, fractions=FRACTIONS, baselines=())
    scores = model.influence_scores(BINARY.X_test, BINARY.y_test).mean(axis=0)
    for ranking, order in {
        "helpful": np.argsort(-scores, kind="stable"),
        "harmful": np.argsort(scores, kind="stable"),
    }.items():
        expected = []
        for count in [0, *COUNTS]:
            kept = np.delete(np.arange(60), order[:count])
            s = BINARY.s[kept]
            scaler = StandardScaler().fit(BINARY.X[kept], sample_weight=s)
            final = clone(PIPELINE[-1]).fit(scaler.transform(BINARY.X[kept]), BINARY.y[kept], s)
            predicted = final.predict_proba(scaler.transform(BINARY.X_test))
            expected.append(log_loss(BINARY.y_test, predicted))
        np.testing.assert_allclose(curve_of(curve, ranking), expected, rtol=1e-9)


def test_what_was_chosen_stays_chosen():
    """The best estimator of a search is fitted again, and nothing is searched."""
    search = GridSearchCV(PIPELINE, {"logisticregression__C": [0.01, 10.0]}, cv=3)
    model = InfluenceClassifier(search).fit(BINARY.X, BINARY.y)
    curve = removal_curve(model, BINARY.X_test, BINARY.y_test, fractions=FRACTIONS, baselines=())
    scores = model.influence_scores(BINARY.X_test, BINARY.y_test).mean(axis=0)
    best = model.estimator_.best_estimator_
    expected = losses_by_loop(best, BINARY, np.argsort(-scores, kind="stable"), log_loss)
    np.testing.assert_allclose(curve_of(curve, "helpful"), expected, rtol=1e-9)


def test_the_unit_of_a_transformed_target_stays():
    """Half squared errors of targets standardized by the scale of all rows, at every point."""
    estimator = TransformedTargetRegressor(LinearRegression(), transformer=StandardScaler())
    model = InfluenceRegressor(make_pipeline(StandardScaler(), estimator)).fit(REAL.X, REAL.y)
    curve = removal_curve(model, REAL.X_test, REAL.y_test, fractions=FRACTIONS, baselines=())
    scores = model.influence_scores(REAL.X_test, REAL.y_test).mean(axis=0)
    order = np.argsort(-scores, kind="stable")
    expected = losses_by_loop(LinearRegression(), REAL, order, half_squared_error)
    np.testing.assert_allclose(curve_of(curve, "helpful"), expected / np.var(REAL.y), rtol=1e-9)


def test_a_frozen_pipeline_keeps_its_transformers():
    fitted = clone(PIPELINE).fit(BINARY.X, BINARY.y)
    model = InfluenceClassifier(FrozenEstimator(fitted)).fit(BINARY.X, BINARY.y)
    curve = removal_curve(model, BINARY.X_test, BINARY.y_test, fractions=FRACTIONS, baselines=())
    scores = model.influence_scores(BINARY.X_test, BINARY.y_test).mean(axis=0)
    Z, Z_test = fitted[0].transform(BINARY.X), fitted[0].transform(BINARY.X_test)
    for count, found in zip([0, *COUNTS], curve_of(curve, "helpful"), strict=True):
        kept = np.delete(np.arange(60), np.argsort(-scores, kind="stable")[:count])
        final = clone(PIPELINE[-1]).fit(Z[kept], BINARY.y[kept])
        expected = log_loss(BINARY.y_test, final.predict_proba(Z_test))
        assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_network_holds_out_rows_of_its_own_in_every_fit():
    numbered = replace(BINARY, y=1 * (BINARY.y == "yes"), y_test=1 * (BINARY.y_test == "yes"))
    net = MLPClassifier((3,), solver="adam", early_stopping=True, max_iter=20, random_state=0)
    model = InfluenceClassifier(net, damping=10.0).fit(numbered.X, numbered.y)
    curve = removal_curve(
        model, numbered.X_test, numbered.y_test, fractions=FRACTIONS, baselines=()
    )
    scores = model.influence_scores(numbered.X_test, numbered.y_test).mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        order = np.argsort(-scores, kind="stable")
        expected = losses_by_loop(net, numbered, order, log_loss)
    np.testing.assert_allclose(curve_of(curve, "helpful"), expected, rtol=1e-6)


def test_without_a_class_there_is_no_loss():
    """The helpful rows of a rare class are soon gone."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2))
    y = np.where(np.arange(40) < 3, "rare", "common")
    X[:3] += 3.0
    model = InfluenceClassifier(LogisticRegression()).fit(X, y)
    curve = removal_curve(
        model, X[:3] + 0.1, y[:3], fractions=[0.05, 0.5], baselines="random", n_repetitions=1
    )
    helpful = curve_of(curve, "helpful")
    assert np.isfinite(helpful[:2]).all() and np.isnan(helpful[2])
    assert "nan: no row of some class would be left" in repr(curve)
    curve.plot().figure_.canvas.draw()
    assert RemovalCurve.from_json(curve.to_json()).to_frame().equals(curve.to_frame())


@pytest.mark.parametrize(("n_jobs", "expected"), [(None, 3), (1, 1)])
def test_fits_run_in_as_many_processes_as_asked(monkeypatch, n_jobs, expected):
    asked = []

    def noted(*args, n_jobs, **params):
        asked.append(n_jobs)
        return refit_without(*args, n_jobs=None, **params)

    monkeypatch.setattr("skinfluence.questions.refits.refit_without", noted)
    model = InfluenceRegressor(Ridge(), n_jobs=3).fit(REAL.X, REAL.y)
    removal_curve(model, REAL.X_test, REAL.y_test, fractions=0.5, n_jobs=n_jobs)
    assert asked == [expected]


def test_the_frame_has_a_line_per_share():
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    curve = removal_curve(model, REAL.X_test, REAL.y_test, fractions=FRACTIONS, n_repetitions=3)
    frame = curve.to_frame()
    random = curve.losses[2:5]
    expected = pd.DataFrame(
        {
            "share": np.array([0, *COUNTS]) / 60,
            "rows": [0, *COUNTS],
            "helpful": curve.losses[0],
            "harmful": curve.losses[1],
            "random": [np.mean(random[:, j]) for j in range(3)],
            "random_sd": [np.std(random[:, j]) for j in range(3)],
            "largest_loss": curve.losses[5],
        }
    )
    pd.testing.assert_frame_equal(frame, expected)
    assert repr(curve).splitlines()[0] == (
        "RemovalCurve: mean half squared error of 12 test rows without up to 25 % of 60 "
        "training rows (method newton)."
    )


def test_kept_and_read_again(tmp_path):
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    curve = removal_curve(model, REAL.X_test, REAL.y_test, fractions=FRACTIONS)
    curve.save(tmp_path / "curve")
    for again in (Result.load(tmp_path / "curve"), Result.from_json(curve.to_json())):
        assert isinstance(again, RemovalCurve)
        assert repr(again) == repr(curve) and again.facts == curve.facts
        np.testing.assert_array_equal(again.losses, curve.losses)
        np.testing.assert_array_equal(again.plot().frame(), curve.plot().frame())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"fractions": []}, "fractions=[] was given; parts of the training rows, each above 0"),
        ({"fractions": [0.5, 1.0]}, "fractions=[0.5, 1.0] was given; parts of the training rows"),
        ({"fractions": "half"}, "fractions='half' was given; parts of the training rows"),
        ({"fractions": 0.001}, "fractions=0.001 was given, of which one is no row, or every row"),
        ({"baselines": "worst"}, "baselines='worst' was given; accepted are 'random'"),
        ({"n_repetitions": 0}, "n_repetitions=0 was given; how often random rows are drawn"),
        ({"measured_on": REAL.X}, "measured_on of type ndarray was given; a pair of rows"),
        ({"method": "best"}, "method='best' was given"),
    ],
)
def test_refused(params, message):
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    with pytest.raises(ValueError, match=re.escape(message)):
        removal_curve(model, REAL.X_test, REAL.y_test, **params)


def test_refused_before_anything_is_fitted(monkeypatch):
    """What is wrong with the rows that measure costs no refit."""
    model = InfluenceRegressor(Ridge()).fit(REAL.X, REAL.y)
    monkeypatch.setattr("skinfluence.questions.refits.refit_without", None)
    with pytest.raises(ValueError, match="X has 2 features"):
        removal_curve(model, REAL.X_test, REAL.y_test, measured_on=(np.ones((3, 2)), np.ones(3)))


def test_of_wrappers_alone():
    with pytest.raises(TypeError, match="Ridge was given; a fitted InfluenceClassifier or"):
        removal_curve(Ridge(), REAL.X_test, REAL.y_test)
    with pytest.raises(NotFittedError):
        removal_curve(InfluenceRegressor(), REAL.X_test, REAL.y_test)
