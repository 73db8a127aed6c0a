"""What the worst rows cost: against plain loops of scikit-learn's refits, and on fresh data."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

from skinfluence import InfluenceClassifier, InfluenceRegressor, validation_audit
from skinfluence.process.tuning import tuned
from tests.cases import BINARY, REAL, REALS, THREE, classification
from tests.model_table import COUNTED, MODELS
from tests.trees_table import EVERY, fitted, repeats

TIGHT = {"solver": "newton-cholesky", "tol": 1e-12, "max_iter": 1000}
LOGISTIC = LogisticRegression(**TIGHT)
NOISY = classification(n=90, p=4, labels=["no", "yes"], seed=1, n_test=60)
NOISY_THREE = classification(n=90, p=3, n_classes=3, labels=["a", "b", "c"], seed=2, n_test=60)


def log_losses(model, X, y):
    p = model.predict_proba(X)
    return -np.log(p[np.arange(len(y)), np.searchsorted(model.classes_, y)])


def half_squared(model, X, y):
    return 0.5 * np.reshape((model.predict(X) - y) ** 2, (len(y), -1)).sum(axis=1)


def half_deviances(model, X, y):
    mu = model.predict(X)
    return np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0) / mu), 0.0) - y + mu


JUDGED = {
    "two classes": (LOGISTIC, NOISY, log_losses),
    "three classes": (LOGISTIC, NOISY_THREE, log_losses),
    "balanced": (LogisticRegression(class_weight="balanced", **TIGHT), NOISY, log_losses),
    "ridge": (Ridge(solver="svd"), REAL, half_squared),
    "three targets": (Ridge(solver="svd"), REALS, half_squared),
    "counts": (PoissonRegressor(alpha=0.1, **TIGHT), COUNTED, half_deviances),
    "pipeline": (make_pipeline(StandardScaler(), LOGISTIC), NOISY, log_losses),
}
BY_NEWTON = {"two classes": 2e-2, "three classes": 3e-2, "balanced": 2e-2, "pipeline": 2e-2}
"""How far a trusted joint step may be from refits, relative; others are exact."""


def wrapped(estimator, data, sample_weight=None, **options):
    wrapper = InfluenceClassifier if is_classifier(estimator) else InfluenceRegressor
    return wrapper(clone(estimator), **options).fit(data.X, data.y, sample_weight)


def refitted(estimator, data, rows, y_new=None, sample_weight=None):
    """Return the fit without some rows, or with other targets of these; transformers stay."""
    X, y, keep = data.X, np.array(data.y), np.ones(len(data.X), dtype=bool)
    if y_new is None:
        keep[rows] = False
    else:
        y[rows] = y_new[rows]
    last = {} if sample_weight is None else {"sample_weight": sample_weight[keep]}
    if hasattr(estimator, "steps"):
        before, final = estimator[:-1].fit(X), estimator[-1]
        last = clone(final).fit(before.transform(X)[keep], y[keep], **last)
        return type("Fitted", (), {
            "classes_": last.classes_,
            "predict_proba": staticmethod(lambda X: last.predict_proba(before.transform(X))),
        })  # fmt: skip
    return clone(estimator).fit(X[keep], y[keep], **last)


def change(estimator, data, losses, rows, y_new=None):
    """Return the change of the loss of every validation row by a refit."""
    full = refitted(estimator, data, [])
    other = refitted(estimator, data, rows, y_new)
    return losses(other, data.X_test, data.y_test) - losses(full, data.X_test, data.y_test)


def single_scores(model, data, action, y_new):
    """Return the scores of every training row on every validation row."""
    if action == "drop":
        return model.influence_scores(data.X_test, data.y_test)
    return np.asarray(model.relabel_influence(y_new, data.X_test, data.y_test))


@pytest.mark.parametrize("action", ["drop", "relabel"])
@pytest.mark.parametrize("name", JUDGED)
def test_cross_fitting_is_that_of_plain_loops(name, action):
    """Rows chosen on the other folds; their joint effect, on this one, is that of refits."""
    estimator, data, losses = JUDGED[name]
    model, k = wrapped(estimator, data), [1, 3, 8]
    audit = validation_audit(
        model, data.X_test, data.y_test, k=k, action=action, folds=3, verify=True, random_state=5
    )
    y_new = audit.new_targets
    scores = single_scores(model, data, action, y_new)
    expected = np.empty((3, len(data.X_test)))
    for j in range(3):
        own = audit.folds == j
        worst = np.argsort(scores[~own].mean(axis=0), kind="stable")
        for a, size in enumerate(k):
            expected[a, own] = change(estimator, data, losses, worst[:size], y_new)[own]
    exact = action == "relabel" or name not in BY_NEWTON
    tolerance = 1e-8 if exact and name != "counts" else BY_NEWTON.get(name, 3e-2)
    off = np.linalg.norm(audit.effects - expected) / np.linalg.norm(expected)
    assert off < tolerance
    slope = np.sum(audit.effects * expected) / np.sum(audit.effects**2)
    np.testing.assert_allclose(slope, 1.0, atol=tolerance)
    np.testing.assert_allclose(audit.refitted, expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(np.asarray(audit), audit.effects.mean(axis=1))
    np.testing.assert_allclose(audit.verified, expected.mean(axis=1), rtol=1e-6, atol=1e-9)

    worst = np.argsort(scores.mean(axis=0), kind="stable")
    assert audit.rows(8).tolist() == worst[:8].tolist()
    for a, size in enumerate(k):
        whole = change(estimator, data, losses, worst[:size], y_new).mean()
        np.testing.assert_allclose(audit.in_sample[a], whole, rtol=0.1, atol=tolerance)
    np.testing.assert_allclose(audit.scores, scores.mean(axis=0), rtol=1e-9, atol=1e-13)
    spread = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
    np.testing.assert_allclose(audit.score_errors, spread, rtol=1e-6, atol=1e-12)


def test_standard_error_is_that_of_nadeau_and_bengio():
    """Their correction of the variance of fold means, (1/J + n_measured/n_choosing) S^2."""
    data = NOISY
    audit = validation_audit(wrapped(LOGISTIC, data), data.X_test, data.y_test, k=[5], folds=4)
    n, J = len(data.X_test), 4
    of_a_fold = np.var(audit.effects[0], ddof=1) / (n / J)
    measured, choosing = n / J, n - n / J
    expected = np.sqrt((1 / J + measured / choosing) * of_a_fold)
    np.testing.assert_allclose(audit.standard_error, [expected])


def benjamini_hochberg(p, level):
    """Return the rejected hypotheses by the definition, in a loop."""
    order, last = np.argsort(p, kind="stable"), 0
    for rank, at in enumerate(order, start=1):
        if p[at] <= level * rank / len(p):
            last = rank
    return order[:last]


def test_harmful_rows_are_those_of_a_plain_loop():
    X, y = load_breast_cancer(return_X_y=True)
    y[:200:10] = 1 - y[:200:10]
    model = InfluenceClassifier(make_pipeline(StandardScaler(), LOGISTIC)).fit(X[:200], y[:200])
    audit = validation_audit(model, X[200:], y[200:], k=5)
    scores = model.influence_scores(X[200:], y[200:])
    p = stats.ttest_1samp(scores, 0.0, alternative="less").pvalue
    np.testing.assert_allclose(audit.p_values, p, rtol=1e-6, atol=1e-12)
    expected = benjamini_hochberg(p, 0.1)
    assert len(expected) > 3
    assert audit.harmful.tolist() == expected.tolist()
    assert np.mean(expected % 10 == 0) > 0.3  # of a tenth that is wrong


def test_new_labels_are_the_likeliest_others_of_models_without_the_row():
    for data, estimator in ((THREE, LOGISTIC), (BINARY, LOGISTIC)):
        model = wrapped(estimator, data)
        audit = validation_audit(model, data.X_test, data.y_test, k=2, action="relabel", folds=2)
        for i in range(0, len(data.X), 7):
            kept = np.delete(np.arange(len(data.X)), i)
            without = clone(estimator).fit(data.X[kept], data.y[kept])
            (p,) = without.predict_proba(data.X[[i]])
            p[np.searchsorted(without.classes_, data.y[i])] = -1.0
            assert audit.new_targets[i] == without.classes_[np.argmax(p)]


def test_the_likeliest_other_of_pairs_has_the_most_votes():
    data = THREE
    model = wrapped(SVC(C=2.0, gamma=0.1), data)
    audit = validation_audit(model, data.X_test, data.y_test, k=2, action="relabel", folds=2)
    left_out = model.leave_one_out().predictions
    assert np.all(audit.new_targets != data.y)
    moved = left_out != data.y  # the winner is another than the given label
    assert moved.sum() > 5 and np.all(audit.new_targets[moved] == left_out[moved])
    for i in np.flatnonzero(~moved)[:10]:
        kept = np.delete(np.arange(len(data.X)), i)
        pairs = SVC(C=2.0, gamma=0.1, decision_function_shape="ovo")
        decisions = pairs.fit(data.X[kept], data.y[kept]).decision_function(data.X[[i]])[0]
        votes, surest = np.zeros(3), np.zeros(3)
        for decision, (a, b) in zip(decisions, ((0, 1), (0, 2), (1, 2)), strict=True):
            votes[a if decision > 0 else b] += 1
            surest[[a, b]] += [decision, -decision]
        votes[np.searchsorted(pairs.classes_, data.y[i])] = -1
        best = np.flatnonzero(votes == votes.max())
        assert audit.new_targets[i] in pairs.classes_[best]


def test_new_targets_of_a_regressor_are_its_left_out_predictions():
    model = wrapped(Ridge(solver="svd"), REAL)
    audit = validation_audit(model, REAL.X_test, REAL.y_test, k=2, action="relabel", folds=2)
    kept = np.arange(1, len(REAL.X))
    expected = Ridge(solver="svd").fit(REAL.X[kept], REAL.y[kept]).predict(REAL.X[:1])
    np.testing.assert_allclose(audit.new_targets[:1], expected)


def test_given_targets():
    model, y_new = wrapped(LOGISTIC, THREE), np.full(len(THREE.y), "a")
    audit = validation_audit(
        model, THREE.X_test, THREE.y_test, k=3, action="relabel", y_new=y_new, verify=True
    )
    assert audit.new_targets.tolist() == y_new.tolist()
    np.testing.assert_allclose(audit.effects, audit.refitted, rtol=1e-6, atol=1e-9)


ROUGH = re.compile(
    "hinge|OneVsRest-kernel|SV[CR]|[Ss]quared-epsilon|epsilon|l1|Lasso|lastic|GradientDescent|SGD"
)
"""Smoothed losses beside the raw ones of refits, active sets that "newton" keeps, noisy judges."""


def audited(model, data, action, classifier, **options):
    several = np.ndim(data.y) > 1 and classifier
    y_new = np.roll(data.y, 1, axis=0) if several and action == "relabel" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return validation_audit(
            model, data.X_test, data.y_test, k=[1, 4], action=action, y_new=y_new, **options
        )


@pytest.mark.slow_rows(where=lambda model, action: model.name.startswith(("SGD", "Logistic-l1-")))
@pytest.mark.parametrize("action", ["drop", "relabel"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_family_once(model, action):
    options = {} if model.on_wrapper is None else {"temperature": model.on_wrapper}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapper = wrapped(model.estimator, model.data, model.s, **options)
    verify = "fixed" not in model.tags
    audit = audited(wrapper, model.data, action, wrapper._fitted.classifier, folds=3, verify=verify)
    assert np.all(np.isfinite(audit.effects)) and np.any(audit.effects != 0.0)
    if verify and not ROUGH.search(model.name):
        off = np.linalg.norm(audit.effects - audit.refitted)
        assert off < 0.02 * np.linalg.norm(audit.refitted)


UNKNOWN_WEIGHTS = "forest of classes"


def weights_of(fit, rows, y_new):
    """Return by what the weights of all rows are multiplied when some take another class."""
    out, class_weight = np.ones(len(fit.y)), getattr(fit.estimator, "class_weight", None)
    multiplied = np.ptp(fit.weights[0]) > 0  # not where weights decided what was drawn, and stay
    if class_weight is not None and multiplied:
        unit = dict(zip(fit.y, compute_sample_weight(class_weight, fit.y), strict=True))
        out[rows] = [unit[y_new[i]] / unit[fit.y[i]] for i in rows]
    return out


@pytest.mark.slow_rows(where=lambda name, action: repeats(name))
@pytest.mark.parametrize("action", ["drop", "relabel"])
@pytest.mark.parametrize("name", EVERY)
def test_trees_over_the_same_splits(name, action):
    fit = fitted(name)
    if (name, action) == (UNKNOWN_WEIGHTS, "relabel"):
        with pytest.raises(ValueError, match="weigh classes each by itself"):
            audited(fit.model, fit, action, fit.classifier)
        return
    audit = audited(fit.model, fit, action, fit.classifier, folds=2, verify=True)
    assert audit.assumed == "Over the same splits: a fit on other rows may choose others."
    assert audit.assumed in repr(audit)
    size = np.linalg.norm(audit.refitted)
    assert np.linalg.norm(audit.effects - audit.refitted) <= fit.rounding * size
    y_new, worst = audit.new_targets, audit.rows(4)
    edit = {"removed": worst}
    if y_new is not None:
        edit = {"relabelled": (worst, y_new[worst]), "reweighted": weights_of(fit, worst, y_new)}
    losses = [fit.loss(refit(fit.X_test), fit.y_test) for refit in (fit.refit(**edit), fit.refit())]
    np.testing.assert_allclose(audit.in_sample[1], np.mean(losses[0] - losses[1]), rtol=1e-5)


@pytest.mark.parametrize("action", ["drop", "relabel"])
def test_networks_are_refitted_from_where_they_are(action):
    net = MLPClassifier(
        (4,), activation="tanh", solver="lbfgs", alpha=1.0, max_iter=5000, random_state=0
    )
    model = wrapped(net, THREE, refine=True)
    audit = audited(model, THREE, action, True, method="exact", folds=2, verify=True)
    off = np.linalg.norm(audit.effects - audit.refitted)
    assert off < 1e-5 * np.linalg.norm(audit.refitted)
    sums = audited(model, THREE, action, True, folds=2, method="first_order")
    assert sums.method == "first_order"


def test_sums_of_first_order():
    """Effects of sets are those of their rows, added up."""
    model = wrapped(LOGISTIC, BINARY)
    for action, y_new in (("drop", None), ("relabel", BINARY.y[::-1])):
        audit = validation_audit(
            model, BINARY.X_test, BINARY.y_test, k=4, action=action, y_new=y_new,
            method="first_order",
        )  # fmt: skip
        single = (
            model.influence_scores(BINARY.X_test, BINARY.y_test, method="first_order")
            if y_new is None
            else model.relabel_influence(
                y_new, BINARY.X_test, BINARY.y_test, method="first_order"
            ).scores
        )
        np.testing.assert_allclose(audit.in_sample, [single.mean(axis=0)[audit.rows(4)].sum()])


def test_does_not_depend_on_n_jobs():
    data = NOISY_THREE
    for action in ("drop", "relabel"):
        first, second = (
            validation_audit(
                wrapped(LOGISTIC, data, n_jobs=n_jobs), data.X_test, data.y_test, action=action
            )
            for n_jobs in (1, 2)
        )
        for name, value in first._kept().items():
            np.testing.assert_array_equal(value, getattr(second, name), err_msg=name)


def test_folds_are_random_and_stratified():
    data = NOISY_THREE
    model = wrapped(LOGISTIC, data)

    def folds(**options):
        return validation_audit(model, data.X_test, data.y_test, k=1, **options).folds

    np.testing.assert_array_equal(folds(), folds(random_state=0))
    objects = validation_audit(model, data.X_test, data.y_test.astype(object), k=1)
    np.testing.assert_array_equal(objects.folds, folds())
    assert np.any(folds() != folds(random_state=1))
    for n_folds in (2, 3, 7):
        found = folds(folds=n_folds)
        counts = np.array([np.bincount(found[data.y_test == c], minlength=n_folds) for c in "abc"])
        assert np.ptp(counts, axis=1).max() <= 1 and np.ptp(counts.sum(axis=0)) <= 1


def test_default_numbers():
    data = classification(n=260, p=2, seed=0, n_test=20)
    audit = validation_audit(wrapped(LOGISTIC, data), data.X_test, data.y_test)
    assert audit.k.tolist() == [1, 2, 5, 10, 20]
    audit = validation_audit(wrapped(LOGISTIC, data), data.X_test, data.y_test, k=(7, 3, 7))
    assert audit.k.tolist() == [3, 7]


def test_frames_keep_labels_and_columns():
    data = NOISY
    names, index = list("abcd"), [f"r{i}" for i in range(len(data.X))]
    X = pd.DataFrame(data.X, columns=names, index=index)
    X_val = pd.DataFrame(data.X_test, columns=names)
    model = InfluenceClassifier(LOGISTIC).fit(X, pd.Series(data.y, index=index, name="answer"))
    audit = validation_audit(model, X_val, data.y_test, k=[2, 4], action="relabel")
    plain = validation_audit(
        wrapped(LOGISTIC, data), data.X_test, data.y_test, k=[2, 4], action="relabel"
    )
    np.testing.assert_allclose(audit.effects, plain.effects, rtol=1e-9, atol=1e-14)
    frame = audit.rows_frame(3, columns=["c", "answer"])
    rows = audit.rows(3)
    assert frame["row"].tolist() == [f"r{i}" for i in rows]
    assert frame["position"].tolist() == rows.tolist()
    assert frame["given"].tolist() == data.y[rows].tolist() == frame["answer"].tolist()
    assert all(frame["given"] != frame["new"])
    np.testing.assert_array_equal(frame["c"], data.X[rows, 2])
    assert len(audit.rows_frame()) == len(data.X)
    y_new = pd.Series(data.y[::-1], index=index)
    again = validation_audit(model, X_val, data.y_test, k=2, action="relabel", y_new=y_new)
    assert again.new_targets.tolist() == data.y[::-1].tolist()
    with pytest.raises(ValueError, match="y_new has the labels of the training frame in another"):
        validation_audit(model, X_val, data.y_test, action="relabel", y_new=y_new[::-1])


def test_sparse_rows_and_weights():
    data = NOISY
    for action in ("drop", "relabel"):
        dense, thin = (
            validation_audit(
                InfluenceClassifier(LogisticRegression(tol=1e-10)).fit(
                    kind(data.X), data.y, data.s
                ),
                kind(data.X_test),
                data.y_test,
                k=3,
                action=action,
                verify=True,
            )
            for kind in (np.asarray, sparse.csr_matrix)
        )
        np.testing.assert_allclose(dense.effects, thin.effects, rtol=1e-6, atol=1e-10)
        np.testing.assert_allclose(dense.effects, dense.refitted, rtol=0.1, atol=1e-3)


def test_one_class_is_enough_to_be_judged_by():
    chosen = NOISY.y_test == "yes"
    audit = validation_audit(wrapped(LOGISTIC, NOISY), NOISY.X_test[chosen], NOISY.y_test[chosen])
    assert np.all(np.isfinite(audit.effects))


def test_blocks_of_scores_change_nothing():
    data, model = NOISY, wrapped(LOGISTIC, NOISY)
    whole = validation_audit(model, data.X_test, data.y_test, k=4)
    with tuned(block_elements=64):
        blocks = validation_audit(wrapped(LOGISTIC, data), data.X_test, data.y_test, k=4)
    np.testing.assert_allclose(blocks.scores, whole.scores, rtol=1e-10)
    np.testing.assert_allclose(blocks.effects, whole.effects, rtol=1e-7, atol=1e-12)


# ------------------------------------------------------------------------------------- bad input


def asked(**options):
    params = {"X_val": BINARY.X_test, "y_val": BINARY.y_test, **options}
    return validation_audit(wrapped(LOGISTIC, BINARY), **params)


REFUSED = {
    "folds=1 was given for 12 validation": {"folds": 1},
    "folds=13 was given for 12 validation": {"folds": 13},
    "folds=True was given": {"folds": True},
    "folds=2.5 was given": {"folds": 2.5},
    "k=0 was given; a number of rows from 1 to 59": {"k": 0},
    "k=60 was given": {"k": 60},
    r"k=\[\] was given": {"k": []},
    "k='all' was given": {"k": "all"},
    "k=1.5 was given": {"k": 1.5},
    "action='remove' was given; accepted are 'drop' and 'relabel'": {"action": "remove"},
    "y_new was given with action='drop'": {"y_new": BINARY.y},
    "y_new with 59 target": {"action": "relabel", "y_new": BINARY.y[1:]},
    "maybe.* were never seen in training": {"action": "relabel", "y_new": np.full(60, "maybe")},
    "The training rows were given as validation rows": {"X_val": BINARY.X, "y_val": BINARY.y},
    "The training rows were given as validation": {"X_val": BINARY.X.copy(), "y_val": BINARY.y},
    "'maybe'. were never seen": {"y_val": np.full(12, "maybe")},
    "inconsistent numbers of samples": {"y_val": BINARY.y_test[1:]},
    "X_val contains NaN": {"X_val": np.where(BINARY.X_test > 1, np.nan, BINARY.X_test)},
    "expecting 4 features": {"X_val": BINARY.X_test[:, 1:]},
    "y_val": {"y_val": None},
    "method='tracin'": {"method": "tracin"},
    "method='shapley'": {"method": "shapley"},
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_input_is_refused(message):
    with pytest.raises(ValueError, match=message):
        asked(**REFUSED[message])


def test_other_models_are_refused():
    fitted_alone = LogisticRegression().fit(BINARY.X, BINARY.y)
    with pytest.raises(TypeError, match=r"LogisticRegression was given; .*from_fitted\(model, X"):
        validation_audit(fitted_alone, BINARY.X_test, BINARY.y_test)
    with pytest.raises(NotFittedError):
        validation_audit(InfluenceClassifier(), BINARY.X_test, BINARY.y_test)


def test_missing_targets_are_refused():
    y = REAL.y_test.copy()
    y[3] = np.nan
    with pytest.raises(ValueError, match="y_val has 1 target"):
        validation_audit(wrapped(Ridge(), REAL), REAL.X_test, y)


def test_frames_with_other_columns_are_refused():
    X, X_val = (pd.DataFrame(X, columns=list("abcd")) for X in (BINARY.X, BINARY.X_test))
    model = InfluenceClassifier(LOGISTIC).fit(X, BINARY.y)
    with pytest.raises(ValueError, match="feature names"):
        validation_audit(model, X_val.rename(columns={"a": "z"}), BINARY.y_test)


@pytest.mark.parametrize("action", ["drop", "relabel"])
def test_emptied_classes_are_refused(action):
    """Two of a kind among many: the worst rows are all of it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 2))
    y = np.where(X[:, 0] > 0, "no", "maybe")
    y[:2] = "yes"
    X_val = rng.standard_normal((20, 2))
    y_val = np.where(X_val[:, 0] > 0, "no", "maybe")
    model = InfluenceClassifier(LogisticRegression(C=100.0)).fit(X, y)
    y_new = None if action == "drop" else np.where(y == "no", "maybe", "no")
    said = "take away every row of a class" if action == "drop" else "leave no row of the class"
    with pytest.raises(ValueError, match=rf"the 30 worst on all folds but 0.*{said}.*\['yes'\]"):
        validation_audit(model, X_val, y_val, k=[30], action=action, y_new=y_new)


def test_targets_of_several_labels_have_to_be_given():
    case = next(each for each in MODELS if each.name == "MultiOutput-logistic")
    model, data = wrapped(case.estimator, case.data), case.data
    with pytest.raises(ValueError, match="several labels a row without y_new"):
        validation_audit(model, data.X_test, data.y_test, action="relabel")


# ------------------------------------------------------------------------------------- fresh data


def drawn(seed, flips):
    X, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    X, y = X[order], y[order]
    wrong = np.random.default_rng(seed + 100).permutation(200)[: int(200 * flips)]
    y_train = y[:200].copy()
    y_train[wrong] = 1 - y_train[wrong]
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=1000))
    model = InfluenceClassifier(pipeline).fit(X[:200], y_train)
    return model, X[200:350], y[200:350], X[350:], y[350:]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["drop", "relabel"])
@pytest.mark.parametrize("flips", [0.0, 0.1])
def test_covers_the_change_on_fresh_data(flips, action):
    """Within two standard errors, its own and those of the fresh rows, in nine of ten cases."""
    covered, flattered, harmful = [], [], []
    for seed in range(20):
        model, X_val, y_val, X_fresh, y_fresh = drawn(seed, flips)
        audit = validation_audit(model, X_val, y_val, k=20, action=action)
        before = log_losses(model.estimator_, X_fresh, y_fresh)
        final, data = model.estimator_[-1], model._fitted.training
        keep, y = np.ones(200, dtype=bool), np.array(data.y)
        if action == "drop":
            keep[audit.rows(20)] = False
        else:
            y[audit.rows(20)] = audit.new_targets[audit.rows(20)]
        again = clone(final).fit(data.X[keep], y[keep])
        after = log_losses(again, model.estimator_[:-1].transform(X_fresh), y_fresh)
        fresh = after - before
        error = np.hypot(audit.standard_error[0], fresh.std(ddof=1) / np.sqrt(len(fresh)))
        covered.append(abs(audit.change[0] - fresh.mean()) <= 2.0 * error)
        flattered.append(audit.in_sample[0] - audit.change[0])
        harmful.append(len(audit.harmful))
    assert np.mean(covered) >= 0.9
    assert np.mean(flattered) < -0.015
    assert flips or np.median(harmful) <= 1


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, lambda X: pd.DataFrame(X)])
def test_training_rows_among_the_validation_rows_are_said(form):
    X, y = BINARY.X, BINARY.y
    n = len(y)
    model = InfluenceClassifier(LogisticRegression()).fit(form(X[: n // 2]), y[: n // 2])
    for rows in (np.arange(n // 2)[::-1], np.arange(n // 2 - 2), np.arange(n // 2 + 1)):
        with pytest.warns(UserWarning, match=r"validation rows are training rows, too"):
            validation_audit(model, form(X[rows]), y[rows], k=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        validation_audit(model, form(X[n // 2 - 5 :]), y[n // 2 - 5 :], k=1)
